//! Stream data behind a gap, and data before the sign-in: stored sparsely, counted and bounded.

use queqiao::relay::Limits;
use queqiao::wire::frame::{Frame, StreamId, close};
use queqiao::wire::limits::{CREDIT_BEFORE_WELCOME, STREAM_CREDIT};

use super::raw_client::{RawClient, SeenFrame, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Returns one byte of a stream, at `offset`.
fn byte_at(stream: StreamId, offset: usize) -> Frame<'static> {
    Frame::Stream { stream, offset: offset as u64, data: &[1] }
}

/// Returns the memory of received and unread data of all sessions, in bytes.
fn received(relay: &RelayHarness) -> usize {
    let mut sum = 0;
    relay.core.visit_peers(|peer| sum += peer.link().received_memory());
    sum
}

// faults.md: R24
/// In a dense buffer one packet pinned 277 KiB, and 2,048 strangers 559 MiB.
#[test]
fn last_byte_of_window_costs_stranger_only_bytes() {
    let mut relay = RelayHarness::new();
    let last = CREDIT_BEFORE_WELCOME[StreamId::Control.index()] - 1;
    for member in 0..250 {
        let mut client = RawClient::handshake(&mut relay, udp(member as u8, 1_000), member, 1).unwrap();
        client.send(&mut relay, &[byte_at(StreamId::Control, last)]);
        assert_eq!(client.close_code(), None);
        relay.tick = relay.tick + ms(20);
    }
    assert_eq!(relay.core.session_count(), 250);
    assert!(received(&relay) <= 250 * 128, "{} bytes", received(&relay));
    assert_eq!(relay.core.gapped_bytes(), received(&relay));
    relay.wait(secs(10));
    assert_eq!((relay.core.session_count(), relay.core.gapped_bytes()), (0, 0));
}

// faults.md: R24
#[test]
fn last_byte_of_window_costs_member_only_bytes() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for stream in StreamId::ALL {
        tom.send(&mut relay, &[byte_at(stream, STREAM_CREDIT[stream.index()] - 1)]);
    }
    assert_eq!(tom.close_code(), None);
    assert!(relay.core.gapped_bytes() <= 3 * 128, "{} bytes", relay.core.gapped_bytes());
}

#[test]
fn welcome_raises_small_credit_to_full() {
    for (stream, credit) in StreamId::ALL.into_iter().zip(CREDIT_BEFORE_WELCOME) {
        let mut relay = RelayHarness::new();
        let mut client = RawClient::handshake(&mut relay, udp(1, 1), 1, 1).unwrap();
        if credit > 0 {
            client.send(&mut relay, &[byte_at(stream, credit - 1)]);
            assert_eq!(client.close_code(), None, "{stream:?}");
        }
        client.send(&mut relay, &[byte_at(stream, credit)]);
        assert_eq!(client.close_code(), Some(close::PROTOCOL_VIOLATION), "{stream:?}");
        let tom = RawClient::signed_in(&mut relay, udp(2, 2), 2, "TOM");
        for stream in StreamId::ALL {
            let messages = |frame: &SeenFrame| matches!(frame, SeenFrame::Limit(of, limit) if *of == stream && *limit >= STREAM_CREDIT[stream.index()] as u64);
            assert!(tom.seen_frames.iter().any(messages), "{stream:?}");
        }
    }
}

/// Ten seconds after the handshake, on UDP and on TCP, though it answers pings.
#[test]
fn unsigned_session_ends_after_10_s_with_its_connection() {
    let mut relay = RelayHarness::new();
    for is_tcp in [false, true] {
        let path = if is_tcp { relay.connect("198.18.1.1:1".parse().unwrap()) } else { udp(1, 1) };
        let mut client = RawClient::handshake(&mut relay, path, 1, 1 + u64::from(is_tcp)).unwrap();
        for _ in 0..99 {
            assert!(client.is_alive(&mut relay));
            relay.wait(ms(100));
        }
        relay.wait(ms(99));
        assert!(client.is_alive(&mut relay), "the limit is not reached yet");
        relay.wait(ms(1));
        assert_eq!((relay.core.session_count(), relay.is_closed(path)), (0, is_tcp));
    }
}

#[test]
fn refused_sign_in_ends_and_waiting_one_stays() {
    let mut relay = RelayHarness::new();
    let _tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.auto_commit = false;
    let mut other = RawClient::handshake(&mut relay, udp(2, 2), 2, 1).unwrap();
    other.sign_in(&mut relay, "TOM");
    assert!(matches!(other.take_messages(StreamId::Control)[..], [SeenMessage::NameRefused(..)]));
    let mut jack = RawClient::handshake(&mut relay, udp(3, 3), 3, 1).unwrap();
    jack.sign_in(&mut relay, "JACK");
    relay.wait(secs(10));
    assert_eq!(relay.core.session_count(), 2);
    assert!(jack.is_alive(&mut relay), "its sign-in waits for the disk");
}

/// A member whose name has just changed machines waits for its turn.
#[test]
fn held_back_sign_in_is_not_forgotten() {
    let mut relay = RelayHarness::new();
    let clients: Vec<RawClient> =
        (0..3).map(|port| RawClient::signing_in(&mut relay, udp(1, port), 1, "TOM")).collect();
    let mut held = clients.into_iter().next_back().unwrap();
    relay.wait(ms(10_500));
    held.receive(&mut relay);
    assert_eq!(held.take_messages(StreamId::Control).first(), Some(&SeenMessage::Welcome));
}

// faults.md: R24
#[test]
fn data_behind_gap_over_budget_counts_as_lost() {
    let mut relay = RelayHarness::with(Limits { reassembly_bytes: 2_000, ..Limits::default() });
    let mut greedy = RawClient::signed_in(&mut relay, udp(1, 1), 1, "GREEDY");
    for offset in 0..30 {
        greedy.send(&mut relay, &[byte_at(StreamId::Bulk, 1_000 + 2 * offset)]);
    }
    let full = relay.core.gapped_bytes();
    assert!((1_900..=2_100).contains(&full), "{full}");
    let mut tom = RawClient::signed_in(&mut relay, udp(2, 2), 2, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(3, 3), 3, "JACK");
    let acked = |tom: &mut RawClient, relay: &mut RelayHarness, frame| {
        tom.seen_frames.clear();
        tom.send(relay, &[frame]);
        relay.wait(ms(50));
        tom.receive(relay);
        tom.seen_frames.contains(&SeenFrame::Ack(tom.number - 1))
    };
    assert!(!acked(&mut tom, &mut relay, byte_at(StreamId::Chat, 9_000)), "it must be sent again");
    assert_eq!(relay.core.gapped_bytes(), full);
    tom.send_letter(&mut relay, "JACK", 1, 0, "in order");
    jack.receive(&mut relay);
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1, "data without a gap is taken");
    greedy.send(&mut relay, &[Frame::Close { code: close::DONE, reason: "bye" }]);
    assert_eq!(relay.core.gapped_bytes(), 0);
    assert!(acked(&mut tom, &mut relay, byte_at(StreamId::Chat, 9_000)));
}

#[test]
fn ended_session_keeps_no_received_data() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let piece = |offset| Frame::Stream { stream: StreamId::Bulk, offset, data: &[0xFF; 900] };
    tom.send(&mut relay, &[piece(20_000)]);
    tom.send(&mut relay, &[piece(40_000)]);
    assert!(received(&relay) >= 1_800);
    tom.send_raw(&mut relay, &[0x08]);
    assert_eq!((tom.close_code(), received(&relay)), (Some(close::PROTOCOL_VIOLATION), 0));
    for _ in 0..10 {
        tom.send(&mut relay, &[piece(0)]);
    }
    assert_eq!((received(&relay), relay.core.gapped_bytes(), relay.core.session_count()), (0, 0, 1));
}
