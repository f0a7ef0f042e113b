//! Unauthenticated datagrams: no answer, no state, and never more bytes out than in.

use queqiao::base::{Carrier, Rng};
use queqiao::session::{InitPayload, KeyQuery};
use queqiao::wire::frame::{Frame, StreamId, close};
use queqiao::wire::packet::RESET_LEN;

use super::fixtures::{TrafficCounter, two_members};
use super::raw_client::{RawClient, SeenMessage, new_initiator, private_key};
use super::relay_harness::{RelayHarness, ms, secs, udp};

const HELLO: InitPayload = InitPayload { counter: 1, continues: None };

// faults.md: R1
#[test]
fn short_datagrams_of_every_first_byte_are_dropped() {
    let mut relay = RelayHarness::new();
    for len in 0..=16 {
        for first in 0..=255 {
            let mut bytes = vec![first; len];
            relay.handle_packet(udp(1, 1), &bytes);
            if let [magic, kind, rest @ ..] = &mut bytes[..] {
                *magic = 0xFF;
                *kind = first;
                rest.iter_mut().zip([1, 0]).for_each(|(byte, header)| *byte = header);
            }
            relay.handle_packet(udp(1, 1), &bytes);
        }
    }
    relay.assert_silent();
    assert_eq!(relay.core.session_count(), 0);
    assert!(relay.deadline.is_none(), "no state, so no deadline");
}

// faults.md: R2
#[test]
fn random_datagrams_get_at_most_a_reset() {
    let mut relay = RelayHarness::new();
    let mut rng = Rng::from_seed([2; 32]);
    for len in 1..=1_500usize {
        let mut bytes = vec![0; len];
        rng.fill(&mut bytes);
        relay.handle_packet(udp(1, 1), &bytes);
        for kind in 1..=7 {
            let head = [0xFF, kind, 1, 0];
            bytes.iter_mut().zip(head).for_each(|(byte, header)| *byte = header);
            // Key queries are answered; the tests of R10 and R11 cover them.
            if kind != 4 {
                relay.handle_packet(udp(1, 1), &bytes);
            }
        }
    }
    relay.assert_silent_but_for_resets();
    assert!(relay.deadline.is_none());
}

// faults.md: R3
#[test]
fn oversized_datagrams_are_dropped() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    relay.events.clear();
    for len in [1_201, 1_500, 2_000, 9_000, 65_507] {
        let whole = new_initiator(&relay, private_key(9), Carrier::Udp, &HELLO, 1).packet().to_vec();
        let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([1; 32])).packet().to_vec();
        let sealed = tom.seal(&[Frame::Padding(len - 32)]);
        for mut bytes in [whole, query, sealed] {
            bytes.resize(len, 0);
            relay.handle_packet(udp(1, 1_000), &bytes);
        }
    }
    relay.assert_silent();
    assert!(tom.is_alive(&mut relay));
}

// faults.md: R4
/// Captures are truncated, extended, spliced and bit-flipped.
#[test]
fn damaged_captures_get_at_most_a_reset() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    relay.events.clear();
    let captures = [
        new_initiator(&relay, private_key(9), Carrier::Udp, &HELLO, 1).packet().to_vec(),
        tom.seal(&[Frame::Stream { stream: StreamId::Chat, offset: 0, data: b"\x05hello" }]),
        jack.seal(&[Frame::Padding(300)]),
    ];
    for (place, capture) in captures.iter().enumerate() {
        for len in 0..capture.len() {
            relay.handle_packet(udp(66, 1), &capture[..len]);
        }
        for more in 1..=20 {
            relay.handle_packet(udp(66, 1), &[&capture[..], &vec![7; more]].concat());
        }
        let other = &captures[(place + 1) % 3];
        for cut in (8..capture.len().min(other.len())).step_by(7) {
            relay.handle_packet(udp(66, 1), &[&capture[..cut], &other[cut..]].concat());
        }
        // The last 16 bytes of an INIT are mac2, which is not checked without load.
        let bits = if place == 0 { (capture.len() - 16) * 8 } else { capture.len() * 8 };
        for bit in (0..bits).step_by(if place == 0 { 37 } else { 1 }) {
            let mut bytes = capture.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            relay.handle_packet(udp(66, 1), &bytes);
        }
    }
    relay.assert_silent_but_for_resets();
    assert_eq!(relay.core.session_count(), 2);
    assert!(tom.is_alive(&mut relay) && jack.is_alive(&mut relay));
}

// faults.md: R9
/// A recorded first message gets the cached response for five seconds. Later it gets one session
/// that is never confirmed.
#[test]
fn replayed_init_gets_cached_response_for_5_s_then_nothing() {
    let mut relay = RelayHarness::new();
    let first = new_initiator(&relay, private_key(1), Carrier::Udp, &HELLO, 1);
    relay.handle_packet(udp(1, 1), first.packet());
    let answer = relay.take_sent_on(udp(1, 1));
    let handshakes = relay.core.stats().handshakes;
    relay.wait(ms(4_999));
    relay.handle_packet(udp(1, 1), first.packet());
    assert_eq!(relay.take_sent_on(udp(1, 1)), answer, "the identical bytes");
    for (wait, from) in [(0, udp(66, 6)), (1, udp(1, 1)), (3_600, udp(1, 1)), (0, udp(66, 6))] {
        relay.wait(secs(wait));
        let mut bytes = TrafficCounter::default();
        bytes.send(&mut relay, from, first.packet());
        assert!(bytes.received <= bytes.sent);
    }
    assert_eq!(relay.core.stats().handshakes, handshakes + 1, "one, after the first was forgotten");
    relay.wait(secs(10) + ms(250));
    assert_eq!(relay.core.session_count(), 0, "the session of a replay is never confirmed");
}

// faults.md: R9
/// An attacker has recorded the unanswered first messages of a client, and repeats them as fast as
/// possible.
#[test]
fn replays_of_unanswered_inits_block_no_client() {
    let mut relay = RelayHarness::new();
    let recorded: Vec<_> = (1..=20)
        .map(|counter| {
            new_initiator(&relay, private_key(1), Carrier::Udp, &InitPayload { counter, continues: None }, 1)
        })
        .collect();
    let replay = |relay: &mut RelayHarness| {
        for (n, first) in recorded.iter().enumerate() {
            relay.handle_packet(udp(66, n as u16), first.packet());
            relay.wait(ms(20));
        }
    };
    replay(&mut relay);
    relay.wait(secs(3));
    let mut tom = RawClient::handshake(&mut relay, udp(1, 1), 1, 21).expect("the newest is granted");
    replay(&mut relay);
    assert!(relay.core.session_count() <= 2);
    tom.sign_in(&mut relay, "TOM");
    assert_eq!(tom.take_messages(StreamId::Control), [SeenMessage::Welcome]);
    relay.wait(secs(10));
    let granted = relay.core.stats().handshakes;
    replay(&mut relay);
    assert_eq!((relay.core.stats().handshakes, relay.core.session_count()), (granted, 1), "all are stale");
    assert!(tom.is_alive(&mut relay));
}

// faults.md: R9
/// The keys of a continued session are as safe from replays as those of a new one.
#[test]
fn replays_of_unanswered_inits_block_no_rekey() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let hello = |counter| InitPayload { counter, continues: Some(tom.session) };
    let recorded: Vec<_> = (10..=20)
        .map(|counter| new_initiator(&relay, private_key(1), Carrier::Udp, &hello(counter), 1))
        .collect();
    let newest =
        RawClient::handshake_with(&mut relay, udp(1, 1), private_key(1), &hello(21)).expect("it is granted");
    for (n, first) in recorded.iter().enumerate() {
        relay.handle_packet(udp(66, n as u16), first.packet());
        relay.wait(ms(20));
    }
    tom.keys = newest.keys;
    tom.number += 1;
    assert!(newest.continued && tom.is_alive(&mut relay));
    let granted = relay.core.stats().handshakes;
    relay.handle_packet(udp(66, 99), recorded[5].packet());
    assert_eq!(relay.core.stats().handshakes, granted, "stale since the newest was confirmed");
}

// faults.md: R9
#[test]
fn replay_leaves_live_session_alone_after_restart() {
    let mut relay = RelayHarness::new();
    let recorded = new_initiator(&relay, private_key(1), Carrier::Udp, &HELLO, 1).packet().to_vec();
    let mut restarted = RelayHarness::new();
    let mut tom = RawClient::handshake(&mut restarted, udp(1, 1_000), 1, 5).unwrap();
    tom.sign_in(&mut restarted, "TOM");
    for _ in 0..20 {
        restarted.handle_packet(udp(66, 6), &recorded);
        restarted.wait(ms(300));
    }
    assert_eq!(restarted.core.session_count(), 1);
    assert!(tom.is_alive(&mut restarted));
    relay.handle_packet(udp(66, 6), &recorded);
    relay.wait(secs(10) + ms(250));
    assert_eq!(relay.core.session_count(), 0, "the session of a replay is never confirmed");
}

// faults.md: R10
#[test]
fn key_query_must_be_padded_and_answer_is_smaller() {
    let mut relay = RelayHarness::new();
    let mut rng = Rng::from_seed([1; 32]);
    let short = KeyQuery::new(Carrier::Tcp, &mut rng).packet().to_vec();
    for len in [short.len(), 1_199] {
        let mut bytes = short.clone();
        bytes.resize(len, 0);
        relay.handle_packet(udp(1, 1), &bytes);
    }
    relay.assert_silent();
    let mut bytes = TrafficCounter::default();
    bytes.send(&mut relay, udp(1, 1), KeyQuery::new(Carrier::Udp, &mut rng).packet());
    assert!(bytes.received > 0 && bytes.received < bytes.sent);
}

// faults.md: R11
#[test]
fn unproven_address_gets_no_more_than_it_sent() {
    let mut relay = RelayHarness::new();
    let mut bytes = TrafficCounter::default();
    let packet = new_initiator(&relay, private_key(1), Carrier::Udp, &HELLO, 1).packet().to_vec();
    let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([1; 32])).packet().to_vec();
    for _ in 0..5 {
        bytes.send(&mut relay, udp(1, 1), &packet);
        bytes.send(&mut relay, udp(1, 1), &query);
        relay.wait(secs(3));
        bytes.count_received(&mut relay, udp(1, 1));
        assert!(bytes.received <= bytes.sent, "{} out, {} in", bytes.received, bytes.sent);
    }
}

// faults.md: R12
#[test]
fn unknown_index_gets_at_most_reset_and_foreign_index_nothing() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    relay.events.clear();
    let theirs = jack.keys.remote_index;
    let mut packet = tom.seal(&[Frame::Ping]);
    for index in [0, 1, u32::MAX, theirs] {
        packet[4..8].copy_from_slice(&index.to_be_bytes());
        relay.handle_packet(udp(1, 1_000), &packet);
    }
    assert_eq!(relay.assert_silent_but_for_resets(), 3, "one for each unknown index");
    let farewell = Frame::Close { code: 0, reason: "" };
    tom.send(&mut relay, &[farewell]);
    relay.events.clear();
    let late = tom.seal(&[Frame::Ping]);
    for _ in 0..3 {
        relay.handle_packet(udp(1, 1_000), &late);
        relay.wait(secs(5));
    }
    let answers: Vec<usize> = relay.take_sent_on(tom.path).iter().map(Vec::len).collect();
    assert_eq!(answers, [RESET_LEN; 3], "one for each late packet");
    assert!(jack.is_alive(&mut relay));
}

// faults.md: R13
#[test]
fn unknown_version_gets_no_answer() {
    let mut relay = RelayHarness::new();
    let packet = new_initiator(&relay, private_key(1), Carrier::Udp, &HELLO, 1).packet().to_vec();
    for version in (0..=255).filter(|version| *version != 1) {
        let mut bytes = packet.clone();
        bytes[2] = version;
        relay.handle_packet(udp(1, 1), &bytes);
    }
    relay.assert_silent();
}

// faults.md: R14
/// Points of low order give a shared secret that everybody knows.
#[test]
fn low_order_ephemeral_keys_get_no_session() {
    let mut relay = RelayHarness::new();
    let packet = new_initiator(&relay, private_key(1), Carrier::Udp, &HELLO, 1).packet().to_vec();
    let mac = blake2_mac1(&relay);
    for point in [[0u8; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let mut bytes = packet.clone();
        bytes[8..40].copy_from_slice(&point);
        let covered = bytes.len() - 32;
        let mac1 = mac(&bytes[..covered]);
        bytes[covered..covered + 16].copy_from_slice(&mac1);
        relay.handle_packet(udp(1, 1), &bytes);
    }
    relay.assert_silent();
    assert_eq!((relay.core.session_count(), relay.core.stats().dropped), (0, 2));
}

/// Returns mac1 by the specification, without the code under test.
fn blake2_mac1(relay: &RelayHarness) -> impl Fn(&[u8]) -> [u8; 16] + use<> {
    use blake2::digest::consts::U16;
    use blake2::digest::{KeyInit, Mac};
    use blake2::{Blake2s256, Blake2sMac, Digest};
    let key = Blake2s256::new().chain_update(b"queqiao mac1").chain_update(relay.key().0).finalize();
    move |bytes| {
        let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(&key).unwrap();
        mac.chain_update(bytes).finalize().into_bytes().into()
    }
}

/// Ninety clients begin a session within a second and never confirm it. Ten seconds later their
/// sessions are forgotten in a few turns, and their indexes are free again in a few more.
#[test]
fn unconfirmed_sessions_are_forgotten_in_few_turns() {
    let mut relay = RelayHarness::new();
    for n in 0..90 {
        relay.wait(ms(11));
        RawClient::handshake(&mut relay, udp(n, 7), 1_000 + u64::from(n), 1).expect("it is answered");
    }
    assert_eq!(relay.core.session_count(), 90);
    let turns = relay.wait(secs(20));
    assert_eq!(relay.core.session_count(), 0);
    assert!(turns <= 12, "{turns} turns");
}

#[test]
fn letters_and_reports_before_sign_in_have_no_effect() {
    let mut relay = RelayHarness::new();
    let (_, mut jack) = two_members(&mut relay);
    let mut stranger = RawClient::handshake(&mut relay, udp(9, 9), 9, 1).unwrap();
    stranger.send_message(
        &mut relay,
        StreamId::Control,
        &super::raw_client::stored_report("TOM", 0xB0, u64::MAX),
    );
    assert_eq!(stranger.close_code(), None);
    stranger.send_letter(&mut relay, "JACK", 1, 0, "psst");
    jack.receive(&mut relay);
    assert!(jack.take_messages(StreamId::Chat).is_empty());
    let closed = (stranger.close_code(), relay.core.stats().letters_taken);
    assert_eq!(closed, (Some(close::PROTOCOL_VIOLATION), 0), "there is no credit for letters yet");
}
