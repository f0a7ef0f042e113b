//! Scenarios with a peer that violates the protocol, or exploits its limits.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{UDP_ROOM, udp};
use crate::base::Tick;
use crate::link::{ExtraFrame, Link, Params, ProtocolViolation, ReceivedPacket};
use crate::wire::frame::{Frame, FrameError, StreamId, encode_ack};
use crate::wire::limits::STREAM_CREDIT;

const NOW: Tick = Tick::from_micros(1_000_000);

fn link() -> Link {
    Link::new(udp(1), NOW, Params { initial_rtt: None, is_client: false, jitter: 0 }).with_full_credit()
}

fn handle(link: &mut Link, number: u64, frames: &[u8]) -> Result<ReceivedPacket, ProtocolViolation> {
    link.handle_packet(NOW, udp(1), number, frames, &mut |_: ExtraFrame<'_>| ())
}

fn encoded(frame: Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn ack(largest: u64, delay_us: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(encode_ack([largest..=largest].into_iter(), delay_us, 1200, &mut bytes));
    bytes
}

#[test]
fn ack_of_number_never_sent_is_violation() {
    let mut link = link();
    assert_eq!(handle(&mut link, 0, &ack(0, 0)), Err(ProtocolViolation::AckOfUnsent));
    link.send(StreamId::Chat, &[b"hello"]).unwrap();
    link.build(NOW, UDP_ROOM, 0, &[], &mut Vec::new()).unwrap();
    assert_eq!(handle(&mut link, 1, &ack((1 << 62) - 1, 0)), Err(ProtocolViolation::AckOfUnsent));
    assert_eq!(handle(&mut link, 2, &ack(1, 0)), Err(ProtocolViolation::AckOfUnsent));
    assert!(handle(&mut link, 3, &ack(0, 0)).is_ok());
}

#[test]
fn huge_ack_delay_and_zero_rtt_are_clamped() {
    let mut link = link();
    for number in 0..20 {
        link.measure_ping();
        link.build(NOW, UDP_ROOM, 0, &[], &mut Vec::new()).unwrap();
        handle(&mut link, number, &ack(number, (1 << 62) - 1)).unwrap();
    }
    assert!(link.smoothed_rtt().as_micros() == 1 && link.pto().as_millis() >= 26);
}

/// Keys and indexes are kept for three probe timeouts, so the timeout has an upper limit.
#[test]
fn peer_acking_minutes_late_does_not_keep_keys_for_1_h() {
    let mut link = link();
    link.measure_ping();
    link.build(NOW, UDP_ROOM, 0, &[], &mut Vec::new()).unwrap();
    let late = NOW + Duration::from_secs(170);
    link.handle_packet(late, udp(1), 0, &ack(0, 0), &mut |_: ExtraFrame<'_>| ()).unwrap();
    assert_eq!(link.latest_rtt(), Some(Duration::from_secs(170)));
    assert!(link.pto() <= Duration::from_secs(8));
}

#[test]
fn stream_data_beyond_credit_or_conflicting_is_violation() {
    let piece = |offset, data| encoded(Frame::Stream { stream: StreamId::Chat, offset, data });
    let credit = STREAM_CREDIT[StreamId::Chat.index()] as u64;
    assert_eq!(handle(&mut link(), 0, &piece(credit, b"x")), Err(ProtocolViolation::PastCredit));
    assert!(handle(&mut link(), 0, &piece(credit - 1, b"x")).is_ok());
    let mut twice = piece(9, b"abc");
    twice.extend(piece(10, b"B"));
    assert_eq!(handle(&mut link(), 0, &twice), Err(ProtocolViolation::Differs));
    assert_eq!(
        handle(&mut link(), 0, &piece(0, &[0x9f, 0xff, 0, 0])),
        Err(ProtocolViolation::MessageTooLong)
    );
}

#[test]
fn unknown_critical_frame_closes_ignorable_one_is_acked() {
    assert_eq!(
        handle(&mut link(), 0, &[0x3f]),
        Err(ProtocolViolation::Frame(FrameError::UnknownCritical(0x3f)))
    );
    let seen = handle(&mut link(), 0, &[0x7f, 1, 0]);
    assert_eq!(seen, Ok(ReceivedPacket { ack_eliciting: true, non_probing: true }));
}

#[test]
fn numbers_beyond_ack_range_are_dropped() {
    for number in [1 << 62, 1 << 63, u64::MAX] {
        let mut link = link();
        assert_eq!(handle(&mut link, number, &[1]), Ok(ReceivedPacket::default()));
        assert!(!link.wants_to_send(NOW));
    }
    let mut link = link();
    assert!(handle(&mut link, (1 << 62) - 1, &[1]).is_ok());
    assert!(link.wants_to_send(NOW));
}

#[test]
fn packet_exceeding_gap_limit_is_not_acked() {
    let mut link = link();
    for number in 0..300 {
        let piece = Frame::Stream { stream: StreamId::Bulk, offset: 10 + number * 2, data: &[1] };
        handle(&mut link, number, &encoded(piece)).unwrap();
    }
    assert_eq!(link.stats().packets_refused, 300 - 256);
    let mut buf = Vec::new();
    link.build(NOW, UDP_ROOM, 0, &[], &mut buf).unwrap();
    assert_eq!(buf[..3], [2, 0x40, 255], "an ACK of the 256 packets that were kept");
}

/// CLOSE requests no ack. Frames passed as `extra` leave even if the window is full.
#[test]
fn close_reaches_caller_and_extra_frames_pass_full_window() {
    let mut link = link();
    let mut closed = false;
    let bytes = encoded(Frame::Close { code: 2, reason: "replaced" });
    let sink =
        &mut |other: ExtraFrame<'_>| closed = other == ExtraFrame::Close { code: 2, reason: "replaced" };
    let seen = link.handle_packet(NOW, udp(1), 0, &bytes, sink).unwrap();
    assert!(closed && !seen.ack_eliciting);
    while link.send(StreamId::Chat, &[&[0; 9_000]]).is_ok() {}
    let mut buf = Vec::new();
    while link.build(NOW, UDP_ROOM, 0, &[], &mut buf).is_some() {}
    let extra = encoded(Frame::PathResponse([3; 8]));
    buf.clear();
    assert!(link.build(NOW, UDP_ROOM, 0, &extra, &mut buf).is_some());
    assert_eq!(buf, extra);
}

/// Every second packet counts as lost and is sent again. Packets, data and memory stay bounded.
#[test]
fn peer_acking_every_second_packet_makes_nothing_grow() {
    let mut link = link();
    let mut now = NOW;
    let mut buf = Vec::new();
    for _ in 0..3_000 {
        let _ = link.send(StreamId::Bulk, &[&[7; 3]]);
        while link.build(now, 64, 0, &[], &mut buf).is_some() {}
        now = now + std::time::Duration::from_millis(1);
        link.handle_time(now);
        let last = link.next_number().saturating_sub(1) | 1;
        if last < link.next_number() {
            link.handle_packet(now, udp(1), last, &ack(last, 0), &mut |_: ExtraFrame<'_>| ()).unwrap();
        }
        assert!(link.unacked_bytes() <= crate::wire::limits::UNACKED_MAX);
        buf.clear();
    }
    assert!(link.stats().packets_sent < 10_000, "{:?}", link.stats());
}

proptest! {
    #[test]
    fn no_packet_makes_link_panic_or_spin(
        packets in proptest::collection::vec(
            (0_u64..40, proptest::collection::vec(prop_oneof![0_u8..9, any::<u8>()], 0..60)), 0..30)
    ) {
        let mut link = link();
        let mut now = NOW;
        let mut buf = Vec::new();
        for (number, frames) in packets {
            now = now + std::time::Duration::from_millis(number);
            link.handle_time(now);
            link.send(StreamId::Control, &[&frames]).unwrap();
            if link.handle_packet(now, udp(1), number, &frames, &mut |_: ExtraFrame<'_>| ()).is_err() {
                break;
            }
            while link.build(now, UDP_ROOM, 0, &[], &mut buf).is_some() {}
            prop_assert!(link.next_deadline().is_none_or(|next| next > now));
            while link.receive(StreamId::Chat, &mut buf) {}
        }
    }
}
