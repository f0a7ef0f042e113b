//! An authenticated peer that breaks the protocol, or a network that repeats its packets.

use queqiao::wire::frame::{Frame, StreamId, close, encode_ack};
use queqiao::wire::limits::{ACK_RANGES_READ_MAX, FRAMES_PER_PACKET_MAX, STREAM_CREDIT};
use queqiao::wire::packet::NUMBER_MAX;
use queqiao::wire::varint::write_varint;

use super::raw_client::{RawClient, SeenFrame};
use super::relay_harness::{RelayHarness, secs, udp};

/// Returns the code with which the relay closes after one packet of these bytes in place of frames,
/// if it does.
fn closes_with(plain: &[u8]) -> Option<u16> {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_raw(&mut relay, plain);
    let closed = tom.close_code();
    relay.wait(secs(31));
    assert_eq!(
        closed.is_some(),
        relay.core.session_count() == 0,
        "a closed session is forgotten after a while"
    );
    closed
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

const BROKEN: Option<u16> = Some(close::PROTOCOL_VIOLATION);

// faults.md: R16
#[test]
fn numbers_out_of_range_or_behind_window_are_dropped() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.number = 3_000;
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(tom.seen_frames.contains(&SeenFrame::Ack(3_000)));
    let answered = |relay: &mut RelayHarness, tom: &mut RawClient, number: u64| {
        tom.number = number;
        tom.acks = false;
        tom.seen_frames.clear();
        tom.send(relay, &[Frame::Ping]);
        !tom.seen_frames.is_empty()
    };
    assert!(answered(&mut relay, &mut tom, 3_000 - 1_023));
    assert!(!answered(&mut relay, &mut tom, 3_000 - 1_023), "a second time");
    assert!(!answered(&mut relay, &mut tom, 3_000 - 1_024), "behind the window");
    assert!(!answered(&mut relay, &mut tom, 3_000 - 1_025));
    for number in [1 << 63, NUMBER_MAX + 1, u64::MAX - 1] {
        assert!(!answered(&mut relay, &mut tom, number), "{number}");
    }
    assert!(answered(&mut relay, &mut tom, 3_001), "the window has not moved");
    assert!(answered(&mut relay, &mut tom, NUMBER_MAX));
    assert!(!answered(&mut relay, &mut tom, NUMBER_MAX));
    relay.wait(secs(200));
}

// faults.md: R17
#[test]
fn every_flipped_header_bit_is_rejected() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.events.clear();
    for bit in 0..16 * 8 {
        let mut packet = tom.seal(&[Frame::Ping]);
        packet[bit / 8] ^= 1 << (bit % 8);
        relay.handle_packet(tom.path, &packet);
        // A changed index is unknown.
        let resets = relay.assert_silent_but_for_resets();
        assert_eq!(resets, usize::from((32..64).contains(&bit)), "bit {bit}");
    }
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(!tom.seen_frames.is_empty());
}

// faults.md: R18
#[test]
fn ack_of_unsent_number_closes() {
    let mut ack = Vec::new();
    encode_ack(std::iter::once(1_000..=1_000), 0, 100, &mut ack);
    assert_eq!(closes_with(&ack), BROKEN);
}

// faults.md: R19
#[test]
fn ack_of_too_many_ranges_or_below_zero_closes() {
    let ack = |count: u64, gaps: &[(u64, u64)]| {
        let mut bytes = vec![0x02];
        [100_000, 0, count, 0].iter().for_each(|value| write_varint(&mut bytes, *value));
        for (gap, length) in gaps {
            write_varint(&mut bytes, *gap);
            write_varint(&mut bytes, *length);
        }
        bytes
    };
    let many = vec![(0, 0); 400];
    assert_eq!(closes_with(&ack(10_000, &many)), BROKEN);
    assert_eq!(closes_with(&ack(ACK_RANGES_READ_MAX as u64, &many)), BROKEN);
    assert_eq!(closes_with(&ack(1, &[(99_999, 0)])), BROKEN, "below zero");
    assert_eq!(closes_with(&ack(1, &[((1 << 62) - 1, (1 << 62) - 1)])), BROKEN);
}

// faults.md: R23
#[test]
fn challenge_flood_gets_one_response_per_turn() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let challenges: Vec<Frame<'_>> = (0..40u64).map(|n| Frame::PathChallenge(n.to_be_bytes())).collect();
    let packets: Vec<_> = (0..100)
        .map(|_| super::relay_harness::HarnessInput::Packet(tom.path, tom.seal(&challenges)))
        .collect();
    relay.take_turn(packets);
    tom.receive(&mut relay);
    let answers: Vec<_> =
        tom.seen_frames.iter().filter(|frame| matches!(frame, SeenFrame::Response(_))).collect();
    assert_eq!(answers, [&SeenFrame::Response(39u64.to_be_bytes())], "the newest");
}

/// Returns the stream limit of a member that has just signed in.
fn credit_of_member(stream: StreamId) -> u64 {
    let tom = RawClient::signed_in(&mut RelayHarness::new(), udp(1, 1), 1, "TOM");
    let mut limits = tom.seen_frames.iter().filter_map(|frame| match frame {
        SeenFrame::Limit(of, limit) if *of == stream => Some(*limit),
        _ => None,
    });
    limits.next_back().expect("it came with the welcome")
}

// faults.md: R24
/// Data at the end of the number range closes too.
#[test]
fn stream_data_beyond_credit_or_conflicting_closes() {
    for stream in StreamId::ALL {
        let credit = credit_of_member(stream);
        assert!(credit - (STREAM_CREDIT[stream.index()] as u64) < 20, "plus the bytes of the sign-in");
        let piece = |offset, data| encoded(&Frame::Stream { stream, offset, data });
        assert_eq!(closes_with(&piece(credit - 1, b"x")), None, "at the bound");
        assert_eq!(closes_with(&piece(credit, b"x")), BROKEN);
        assert_eq!(closes_with(&piece((1 << 62) - 2, b"x")), BROKEN);
        let differing = [piece(500, b"one"), piece(501, b"NE")].concat();
        assert_eq!(closes_with(&differing), BROKEN);
        let same = [piece(500, b"one"), piece(501, b"ne")].concat();
        assert_eq!(closes_with(&same), None);
    }
}

// faults.md: R25
#[test]
fn unknown_torn_and_too_many_frames_close() {
    assert_eq!(closes_with(&[0x08]), BROKEN, "unknown, critical");
    assert_eq!(closes_with(&[0xFF]), BROKEN);
    assert_eq!(closes_with(&[0x7F, 3, 1, 2, 3]), None, "unknown, ignorable");
    assert_eq!(closes_with(&[0x7F, 4, 1, 2, 3]), BROKEN, "past the end");
    assert_eq!(closes_with(&[0x03, 1, 0, 50, 1]), BROKEN, "past the end");
    assert_eq!(closes_with(&[0x01; FRAMES_PER_PACKET_MAX]), None);
    assert_eq!(closes_with(&[0x01; FRAMES_PER_PACKET_MAX + 1]), BROKEN);
    assert_eq!(closes_with(&[0x01; 1_168]), BROKEN);
    assert_eq!(closes_with(&[]), None);
}

#[test]
fn invalid_message_closes_and_later_kinds_are_skipped() {
    let closes = |stream: StreamId, message: &[u8]| {
        let mut relay = RelayHarness::new();
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
        tom.send_message_bytes(&mut relay, stream, message);
        tom.close_code()
    };
    for stream in [StreamId::Control, StreamId::Chat] {
        assert_eq!(closes(stream, &[]), BROKEN);
        assert_eq!(closes(stream, &[0x7F]), BROKEN);
        assert_eq!(closes(stream, &[0x80, 1, 2, 3]), None);
    }
    assert_eq!(closes(StreamId::Chat, &[0x01, 1, b'x']), BROKEN, "a sign-in on the wrong stream");
    assert_eq!(closes(StreamId::Control, &[0x10; 60]), BROKEN, "a letter on the wrong stream");
    assert_eq!(closes(StreamId::Control, &[0x01, 2, 0xC3, 0x28]), BROKEN, "no UTF-8");
    assert_eq!(closes(StreamId::Bulk, b"anything"), None, "bulk has no messages yet");
}

/// The close is repeated after the first, second, fourth and eighth packet (RFC 9000 §10.2.1), and
/// not after 31 s.
#[test]
fn broken_session_repeats_close_and_frees_name_at_once() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_raw(&mut relay, &[0x08]);
    for messages in [BROKEN, BROKEN, None, BROKEN, None, None, None, BROKEN] {
        tom.seen_frames.clear();
        tom.send(&mut relay, &[Frame::Ping]);
        assert_eq!(tom.close_code(), messages, "after the first, second, fourth, eighth packet");
    }
    let mut again = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
    relay.wait(secs(31));
    tom.seen_frames.clear();
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(tom.seen_frames.is_empty(), "then silence");
    again.receive(&mut relay);
    assert_eq!(again.close_code(), None);
}

// faults.md: R26
/// The relay's state for it does not grow, and there is no retransmission storm.
#[test]
fn peer_that_never_acks_gets_little_data_and_times_out() {
    let mut relay = RelayHarness::new();
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    jack.acks = false;
    let mut sent = 0;
    for number in 1..=300 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, &"x".repeat(2_000));
        relay.wait(std::time::Duration::from_millis(100));
        sent += relay.take_sent_on(udp(2, 2)).iter().map(Vec::len).sum::<usize>();
        jack.send(&mut relay, &[Frame::Ping]);
        tom.receive(&mut relay);
    }
    assert!(sent < 100_000, "{sent} bytes to a peer that acknowledges nothing");
    assert_eq!(tom.close_code(), None);
    relay.wait(secs(300));
    let quiet_for = relay.deadline.map(|at| at.since(relay.tick));
    assert_eq!(relay.core.session_count(), 0);
    assert!(
        quiet_for.is_none_or(|span| span > secs(3_000)),
        "only mailbox letters have deadlines: {quiet_for:?}"
    );
}
