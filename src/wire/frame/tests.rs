//! Tests of the byte layout of frames.

use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Vec<Frame<'_>>, FrameError> {
    Frames::new(bytes).collect()
}

#[test]
fn every_frame_has_bytes_of_table() {
    let ack = Ack { largest: 10, delay_us: 100, more: 1, first: 2, rest: &[1, 3] };
    let table: [(Frame<'_>, &[u8]); 13] = [
        (Frame::Padding(3), &[0, 0, 0]),
        (Frame::Ping, &[1]),
        (Frame::Ack(ack), &[2, 10, 0x40, 100, 1, 2, 1, 3]),
        (Frame::Stream { stream: StreamId::Chat, offset: 300, data: b"hi" }, b"\x03\x01\x41\x2c\x02hi"),
        (Frame::MaxStreamData { stream: StreamId::Bulk, limit: 64 }, &[4, 2, 0x40, 64]),
        (Frame::PathChallenge([7; 8]), &[5, 7, 7, 7, 7, 7, 7, 7, 7]),
        (Frame::PathResponse([8; 8]), &[6, 8, 8, 8, 8, 8, 8, 8, 8]),
        (Frame::Close { code: 258, reason: "鹊" }, &[7, 1, 2, 3, 0xe9, 0xb9, 0x8a]),
        (Frame::MaxAckDelay(1_000), &[8, 0x43, 0xe8]),
        (Frame::Probe(Probe { id: [7; 8], filler: &[0] }), &[0x40, 9, 7, 7, 7, 7, 7, 7, 7, 7, 0]),
        (Frame::ProbeAnswer(Probe { id: [7; 8], filler: &[] }), &[0x41, 8, 7, 7, 7, 7, 7, 7, 7, 7]),
        (Frame::Skipped { kind: 0x40, body: &[9] }, &[0x40, 1, 9]),
        (Frame::Skipped { kind: 0x7f, body: &[] }, &[0x7f, 0]),
    ];
    for (frame, bytes) in table {
        let mut out = Vec::new();
        assert!(!frame.encode_within(bytes.len() - 1, &mut out));
        assert!(frame.encode_within(bytes.len(), &mut out));
        assert_eq!(out, bytes, "{frame:?}");
        assert_eq!(read(bytes), Ok(vec![frame]));
        for cut in 1..bytes.len() {
            let whole_padding = matches!(frame, Frame::Padding(_));
            assert_eq!(read(&bytes[..cut]).is_err(), !whole_padding, "{frame:?} cut at {cut}");
        }
    }
    assert_eq!(ack.ranges().collect::<Vec<_>>(), [8..=10, 2..=5]);
}

/// An unknown stream is an error as well, and so is an ignorable frame that ends after its packet.
#[test]
fn unknown_critical_types_close_and_ignorable_ones_are_skipped() {
    for kind in (0x09..=0x3f).chain(0x80..=0xff) {
        assert_eq!(read(&[kind, 0]), Err(FrameError::UnknownCritical(kind)));
    }
    for kind in 0x42..=0x7f {
        assert_eq!(read(&[kind, 1, 0xff]), Ok(vec![Frame::Skipped { kind, body: &[0xff] }]));
    }
    assert_eq!(read(&[STREAM, 3, 0, 0]), Err(FrameError::UnknownStream(3)));
    assert_eq!(read(&[0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(FrameError::Truncated));
}

#[test]
fn probe_has_requested_length() {
    for len in (PROBE_LEN_MIN..65).chain(67..1200) {
        assert_eq!(Frame::Probe(Probe::of_len([1; 8], len)).encoded_len(), len);
    }
    assert_eq!(Frame::Probe(Probe::of_len([1; 8], 0)).encoded_len(), PROBE_LEN_MIN);
}

#[test]
fn packet_of_65_frames_is_refused_and_padding_counts_as_one() {
    assert_eq!(read(&[PING; FRAMES_PER_PACKET_MAX]).map(|f| f.len()), Ok(FRAMES_PER_PACKET_MAX));
    assert_eq!(read(&[PING; 1200]), Err(FrameError::TooManyFrames));
    assert_eq!(read(&[PADDING; 1200]), Ok(vec![Frame::Padding(1200)]));
}

/// Invalid: more than 64 ranges, or a range below zero.
#[test]
fn invalid_or_second_ack_in_packet_is_refused() {
    let with = |more: u64, pair: &[u8]| {
        let mut bytes = vec![ACK];
        [1000, 0, more, 0].iter().for_each(|value| write_varint(&mut bytes, *value));
        (0..more).for_each(|_| bytes.extend_from_slice(pair));
        bytes
    };
    assert!(read(&with(63, &[0, 0])).is_ok());
    assert_eq!(read(&with(64, &[0, 0])), Err(FrameError::BadAck));
    assert_eq!(read(&with(10_000, &[0, 0])), Err(FrameError::BadAck));
    assert_eq!(read(&with(60, &[0, 40])), Err(FrameError::BadAck));
    assert_eq!(read(&[ACK, 1, 0, 0, 0, ACK, 1, 0, 0, 0]), Err(FrameError::BadAck));
    assert_eq!(read(&[ACK, 1, 0, 0, 2]), Err(FrameError::BadAck));
    assert_eq!(read(&[ACK, 1, 0, 1, 1, 0, 0]), Err(FrameError::BadAck));
}

/// Bad reasons: longer than 256 bytes, or not UTF-8.
#[test]
fn stream_data_past_2_62_and_bad_reasons_are_refused() {
    let mut bytes = vec![STREAM, 0];
    write_varint(&mut bytes, VARINT_MAX);
    bytes.extend_from_slice(&[1, b'x']);
    assert_eq!(read(&bytes), Err(FrameError::PastEnd));
    assert_eq!(read(&[CLOSE, 0, 0, 0x41, 0x01]), Err(FrameError::BadReason));
    assert_eq!(read(&[CLOSE, 0, 0, 1, 0xff]), Err(FrameError::BadReason));
}

#[test]
fn ack_keeps_newest_ranges_that_fit() {
    let ranges: Vec<_> = (0..100_u64).rev().map(|n| n * 10..=n * 10 + 1).collect();
    let mut out = Vec::new();
    assert!(encode_ack(ranges.iter().cloned(), 5, 1200, &mut out));
    let Ok([Frame::Ack(ack)]) = read(&out).as_deref().map(|f| [f[0]]) else { panic!("an ack") };
    assert_eq!(ack.ranges().collect::<Vec<_>>(), ranges[..ACK_RANGES_SENT_MAX]);
    for len_max in 0..out.len() {
        let mut less = Vec::new();
        let some = encode_ack(ranges.iter().cloned(), 5, len_max, &mut less);
        assert!(less.len() <= len_max && some == (read(&less).is_ok_and(|f| !f.is_empty())));
    }
    assert!(!encode_ack(std::iter::empty(), 5, 1200, &mut out));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_parsed_frames_round_trip(
        bytes in proptest::collection::vec(prop_oneof![0_u8..9, any::<u8>()], 0..200)
    ) {
        for frame in Frames::new(&bytes).map_while(Result::ok) {
            let mut out = Vec::new();
            frame.encode(&mut out);
            prop_assert_eq!(out.len(), frame.encoded_len());
            prop_assert_eq!(read(&out), Ok(vec![frame]));
            if let Frame::Ack(ack) = frame {
                prop_assert!(ack.ranges().count() <= ACK_RANGES_READ_MAX);
            }
        }
    }
}
