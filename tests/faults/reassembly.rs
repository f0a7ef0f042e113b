//! Stream data behind a gap, and data before the sign-in: stored sparsely, counted and bounded.

use queqiao::relay::Limits;
use queqiao::wire::frame::{Frame, StreamId, close};
use queqiao::wire::limits::{CREDIT_BEFORE_WELCOME, STREAM_CREDIT};

use super::hand::{Hand, Said, Told};
use super::rig::{Rig, ms, secs, udp};

/// Returns one byte of a stream, at `offset`.
fn byte_at(stream: StreamId, offset: usize) -> Frame<'static> {
    Frame::Stream { stream, offset: offset as u64, data: &[1] }
}

/// Returns the memory of received and unread data of all sessions, in bytes.
fn received(rig: &Rig) -> usize {
    let mut sum = 0;
    rig.relay.look_at_peers(|peer| sum += peer.link().received_memory());
    sum
}

// faults.md: R24
/// In a dense buffer one packet pinned 277 KiB, and 2,048 strangers 559 MiB.
#[test]
fn last_byte_of_window_costs_stranger_only_bytes() {
    let mut rig = Rig::new();
    let last = CREDIT_BEFORE_WELCOME[StreamId::Control.index()] - 1;
    for who in 0..250 {
        let mut hand = Hand::shake(&mut rig, udp(who as u8, 1_000), who, 1).unwrap();
        hand.send(&mut rig, &[byte_at(StreamId::Control, last)]);
        assert_eq!(hand.closed(), None);
        rig.tick = rig.tick + ms(20);
    }
    assert_eq!(rig.relay.session_count(), 250);
    assert!(received(&rig) <= 250 * 128, "{} bytes", received(&rig));
    assert_eq!(rig.relay.gapped_bytes(), received(&rig));
    rig.wait(secs(10));
    assert_eq!((rig.relay.session_count(), rig.relay.gapped_bytes()), (0, 0));
}

// faults.md: R24
#[test]
fn last_byte_of_window_costs_member_only_bytes() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    for stream in StreamId::ALL {
        tom.send(&mut rig, &[byte_at(stream, STREAM_CREDIT[stream.index()] - 1)]);
    }
    assert_eq!(tom.closed(), None);
    assert!(rig.relay.gapped_bytes() <= 3 * 128, "{} bytes", rig.relay.gapped_bytes());
}

#[test]
fn welcome_raises_small_credit_to_full() {
    for (stream, credit) in StreamId::ALL.into_iter().zip(CREDIT_BEFORE_WELCOME) {
        let mut rig = Rig::new();
        let mut hand = Hand::shake(&mut rig, udp(1, 1), 1, 1).unwrap();
        if credit > 0 {
            hand.send(&mut rig, &[byte_at(stream, credit - 1)]);
            assert_eq!(hand.closed(), None, "{stream:?}");
        }
        hand.send(&mut rig, &[byte_at(stream, credit)]);
        assert_eq!(hand.closed(), Some(close::PROTOCOL_VIOLATION), "{stream:?}");
        let tom = Hand::member(&mut rig, udp(2, 2), 2, "TOM");
        for stream in StreamId::ALL {
            let told = |said: &Said| matches!(said, Said::Limit(of, limit) if *of == stream && *limit >= STREAM_CREDIT[stream.index()] as u64);
            assert!(tom.heard.iter().any(told), "{stream:?}");
        }
    }
}

/// Ten seconds after the handshake, on UDP and on TCP, though it answers pings.
#[test]
fn unsigned_session_ends_after_10_s_with_its_connection() {
    let mut rig = Rig::new();
    for is_tcp in [false, true] {
        let path = if is_tcp { rig.connect("198.18.1.1:1".parse().unwrap()) } else { udp(1, 1) };
        let mut hand = Hand::shake(&mut rig, path, 1, 1 + u64::from(is_tcp)).unwrap();
        for _ in 0..99 {
            assert!(hand.is_alive(&mut rig));
            rig.wait(ms(100));
        }
        rig.wait(ms(99));
        assert!(hand.is_alive(&mut rig), "the limit is not reached yet");
        rig.wait(ms(1));
        assert_eq!((rig.relay.session_count(), rig.is_closed(path)), (0, is_tcp));
    }
}

#[test]
fn refused_sign_in_ends_and_waiting_one_stays() {
    let mut rig = Rig::new();
    let _tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    rig.commits = false;
    let mut other = Hand::shake(&mut rig, udp(2, 2), 2, 1).unwrap();
    other.sign_in(&mut rig, "TOM");
    assert!(matches!(other.told(StreamId::Control)[..], [Told::NameRefused(..)]));
    let mut jack = Hand::shake(&mut rig, udp(3, 3), 3, 1).unwrap();
    jack.sign_in(&mut rig, "JACK");
    rig.wait(secs(10));
    assert_eq!(rig.relay.session_count(), 2);
    assert!(jack.is_alive(&mut rig), "its sign-in waits for the disk");
}

/// A member whose name has just changed machines waits for its turn.
#[test]
fn held_back_sign_in_is_not_forgotten() {
    let mut rig = Rig::new();
    let hands: Vec<Hand> =
        (0..3).map(|port| Hand::member_or_held(&mut rig, udp(1, port), 1, "TOM")).collect();
    let mut held = hands.into_iter().next_back().unwrap();
    rig.wait(ms(10_500));
    held.hear(&mut rig);
    assert_eq!(held.told(StreamId::Control).first(), Some(&Told::Welcome));
}

// faults.md: R24
#[test]
fn data_behind_gap_over_budget_counts_as_lost() {
    let mut rig = Rig::with(Limits { reassembly_bytes: 2_000, ..Limits::default() });
    let mut greedy = Hand::member(&mut rig, udp(1, 1), 1, "GREEDY");
    for offset in 0..30 {
        greedy.send(&mut rig, &[byte_at(StreamId::Bulk, 1_000 + 2 * offset)]);
    }
    let full = rig.relay.gapped_bytes();
    assert!((1_900..=2_100).contains(&full), "{full}");
    let mut tom = Hand::member(&mut rig, udp(2, 2), 2, "TOM");
    let mut jack = Hand::member(&mut rig, udp(3, 3), 3, "JACK");
    let acked = |tom: &mut Hand, rig: &mut Rig, frame| {
        tom.heard.clear();
        tom.send(rig, &[frame]);
        rig.wait(ms(50));
        tom.hear(rig);
        tom.heard.contains(&Said::Ack(tom.number - 1))
    };
    assert!(!acked(&mut tom, &mut rig, byte_at(StreamId::Chat, 9_000)), "it must be sent again");
    assert_eq!(rig.relay.gapped_bytes(), full);
    tom.write(&mut rig, "JACK", 1, 0, "in order");
    jack.hear(&mut rig);
    assert_eq!(jack.deliveries(&mut rig).len(), 1, "data without a gap is taken");
    greedy.send(&mut rig, &[Frame::Close { code: close::DONE, reason: "bye" }]);
    assert_eq!(rig.relay.gapped_bytes(), 0);
    assert!(acked(&mut tom, &mut rig, byte_at(StreamId::Chat, 9_000)));
}

#[test]
fn ended_session_keeps_no_received_data() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let piece = |offset| Frame::Stream { stream: StreamId::Bulk, offset, data: &[0xFF; 900] };
    tom.send(&mut rig, &[piece(20_000)]);
    tom.send(&mut rig, &[piece(40_000)]);
    assert!(received(&rig) >= 1_800);
    tom.send_raw(&mut rig, &[0x08]);
    assert_eq!((tom.closed(), received(&rig)), (Some(close::PROTOCOL_VIOLATION), 0));
    for _ in 0..10 {
        tom.send(&mut rig, &[piece(0)]);
    }
    assert_eq!((received(&rig), rig.relay.gapped_bytes(), rig.relay.session_count()), (0, 0, 1));
}
