//! Addresses that change, are forged, or belong to two clients at once.

use queqiao::base::Path;
use queqiao::relay::Event;
use queqiao::session::InitPayload;
use queqiao::wire::frame::{Frame, StreamId};

use super::fixtures::TrafficCounter;
use super::raw_client::{RawClient, SeenFrame, SeenMessage, private_key};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Fills TOM's chat stream with letters from JACK.
fn fill(relay: &mut RelayHarness, jack: &mut RawClient, letters: u64) {
    for number in 1..=letters {
        jack.send_letter(relay, "TOM", number, number - 1, &"x".repeat(5_000));
    }
}

// faults.md: R15
#[test]
fn replay_from_other_address_gets_no_answer_and_no_path() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let mut recorded = Vec::new();
    for _ in 0..20 {
        let packet = tom.seal(&[Frame::Ping]);
        relay.handle_packet(tom.path, &packet);
        recorded.push(packet);
    }
    relay.wait(secs(1));
    tom.receive(&mut relay);
    for packet in recorded.iter().rev().chain(&recorded) {
        relay.handle_packet(udp(66, 6), packet);
    }
    jack.send_letter(&mut relay, "TOM", 1, 0, "where are you?");
    relay.wait(secs(1));
    assert!(relay.take_sent_on(udp(66, 6)).is_empty());
    tom.receive(&mut relay);
    assert!(matches!(&tom.take_messages(StreamId::Chat)[..], [SeenMessage::Delivery { number: 1, .. }]));
}

// faults.md: R11
/// A copy overtakes its original: its source address counts as the new path until the next packet.
#[test]
fn forged_address_gets_at_most_3x_its_bytes() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    fill(&mut relay, &mut jack, 20);
    relay.take_sent_on(tom.path);
    let victim = udp(66, 6);
    let mut bytes = TrafficCounter::default();
    for packet in [tom.seal(&[Frame::Ping]), tom.seal(&[Frame::Padding(500), Frame::Ping])] {
        bytes.send(&mut relay, victim, &packet);
        relay.wait(secs(3));
        bytes.count_received(&mut relay, victim);
        assert!(
            bytes.received > 0 && bytes.received <= 3 * bytes.sent,
            "{} out, {} in",
            bytes.received,
            bytes.sent
        );
    }
    relay.wait(secs(30));
    bytes.count_received(&mut relay, victim);
    assert!(bytes.received <= 3 * bytes.sent, "{} out, {} in", bytes.received, bytes.sent);
    tom.send(&mut relay, &[Frame::Ping]);
    relay.wait(secs(9));
    tom.receive(&mut relay);
    assert!(!tom.take_messages(StreamId::Chat).is_empty(), "the conversation is back at its owner's address");
}

// faults.md: R11
#[test]
fn ended_session_answers_forged_address_within_3x() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_raw(&mut relay, &[0x08]);
    let mut bytes = TrafficCounter::default();
    for _ in 0..20 {
        let smallest = tom.seal_raw(&[0x01]);
        bytes.send(&mut relay, udp(66, 6), &smallest);
        assert!(bytes.received <= 3 * bytes.sent, "{} out, {} in", bytes.received, bytes.sent);
    }
}

// faults.md: R11
#[test]
fn validated_new_address_gets_all_data() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    fill(&mut relay, &mut jack, 4);
    relay.take_sent_on(tom.path);
    tom.path = udp(1, 77);
    tom.send(&mut relay, &[Frame::Ping]);
    let challenge = tom
        .seen_frames
        .iter()
        .find_map(|s| if let SeenFrame::Challenge(data) = s { Some(*data) } else { None });
    let answer = Frame::PathResponse(challenge.expect("a new address is challenged at once"));
    tom.send(&mut relay, &[answer]);
    for _ in 0..60 {
        relay.wait(ms(200));
        tom.receive(&mut relay);
        tom.send(&mut relay, &[Frame::Ping]);
    }
    assert_eq!(tom.take_messages(StreamId::Chat).len(), 4);
}

// faults.md: R21
#[test]
fn changing_port_or_address_loses_no_letter() {
    for new_ip in [false, true] {
        let mut relay = RelayHarness::new();
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
        let mut jack = RawClient::signed_in(&mut relay, udp(200, 2), 2, "JACK");
        for number in 1..=100u16 {
            tom.path = if new_ip { udp(1 + (number % 150) as u8, 9) } else { udp(1, 100 + number) };
            tom.send_letter(&mut relay, "JACK", number.into(), u64::from(number) - 1, "I am moving");
            jack.receive(&mut relay);
            jack.report_stored(&mut relay, "TOM", number.into());
        }
        tom.send(&mut relay, &[Frame::Ping]);
        let numbers: Vec<u64> = jack
            .take_messages(StreamId::Chat)
            .iter()
            .map(|messages| if let SeenMessage::Delivery { number, .. } = messages { *number } else { 0 })
            .collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
        assert_eq!(relay.core.stats().letters_stored, 100);
    }
}

// faults.md: R21
/// Two addresses alternate with increasing numbers. Answers go to the highest number, and an older
/// packet does not move the path.
#[test]
fn path_follows_highest_packet_number() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let older = tom.seal(&[Frame::Ping]);
    let newer = tom.seal(&[Frame::Ping]);
    relay.take_sent_on(tom.path);
    relay.handle_packet(udp(1, 2), &newer);
    assert!(!relay.take_sent_on(udp(1, 2)).is_empty());
    relay.handle_packet(udp(1, 3), &older);
    relay.wait(secs(1));
    assert!(relay.take_sent_on(udp(1, 3)).is_empty(), "a late packet does not move the path");
}

// faults.md: R23
#[test]
fn probe_is_answered_at_its_source_and_moves_no_path() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let probe = tom.seal(&[Frame::Padding(200), Frame::PathChallenge([5; 8])]);
    // A packet with an ack would not be a probing packet (RFC 9000 §9.1).
    tom.acks = false;
    let bare = tom.seal(&[Frame::Padding(200), Frame::PathChallenge([6; 8])]);
    drop(probe);
    let elsewhere = udp(1, 50);
    relay.handle_packet(elsewhere, &bare);
    let home = std::mem::replace(&mut tom.path, elsewhere);
    tom.seen_frames.clear();
    tom.receive(&mut relay);
    assert_eq!(tom.seen_frames, [SeenFrame::Response([6; 8])]);
    tom.path = home;
    jack.send_letter(&mut relay, "TOM", 1, 0, "still there?");
    tom.receive(&mut relay);
    assert_eq!(tom.take_messages(StreamId::Chat).len(), 1);
    assert!(matches!(home, Path::Udp(_)));
}

// faults.md: R22
#[test]
fn newest_session_wins_and_older_gets_replaced_once() {
    let mut relay = RelayHarness::new();
    let mut older = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    jack.send_letter(&mut relay, "TOM", 1, 0, "handed to the older");
    older.receive(&mut relay);
    let mut newer = RawClient::signed_in(&mut relay, udp(3, 3), 1, "TOM");
    older.receive(&mut relay);
    let replaced = SeenFrame::Close(queqiao::wire::frame::close::REPLACED, "replaced".into());
    assert_eq!(older.seen_frames.iter().filter(|frame| **frame == replaced).count(), 1);
    jack.receive(&mut relay);
    assert_eq!(jack.take_messages(StreamId::Control), [], "no receipt and no refusal yet");
    older.report_stored(&mut relay, "JACK", 1);
    jack.send_letter(&mut relay, "TOM", 2, 0, "for the newer");
    newer.receive(&mut relay);
    let messages = newer.take_messages(StreamId::Chat);
    let both = matches!(
        &messages[..],
        [SeenMessage::Delivery { number: 1, .. }, SeenMessage::Delivery { number: 2, .. }]
    );
    assert!(both, "{messages:?}");
    assert!(older.take_messages(StreamId::Chat).len() == 1 && newer.close_code().is_none());
}

// faults.md: R22
#[test]
fn name_changes_machine_once_in_10_s() {
    let mut relay = RelayHarness::new();
    let mut machines = [1, 2].map(|host| RawClient::signed_in(&mut relay, udp(host, 1), 1, "TOM"));
    relay.events.clear();
    let mut flips = 0;
    for _ in 0..300 {
        for machine in &mut machines {
            machine.receive(&mut relay);
            // Each returns as soon as it is replaced.
            if machine.close_code().is_some() {
                let counter = relay.next_counter();
                let path = machine.path;
                *machine =
                    RawClient::handshake(&mut relay, path, 1, counter).expect("a session is granted at once");
                machine.sign_in(&mut relay, "TOM");
            }
        }
        relay.wait(ms(200));
        flips += relay.events.drain(..).filter(|event| matches!(event, Event::SignedIn { .. })).count();
    }
    assert!((5..=6).contains(&flips), "{flips} in a minute");
}

// faults.md: R22
#[test]
fn restarted_process_on_same_address_need_not_wait() {
    let mut relay = RelayHarness::new();
    for port in 1..=20 {
        RawClient::signed_in(&mut relay, udp(1, port), 1, "TOM");
        relay.wait(ms(250));
    }
}

// faults.md: R22
#[test]
fn pending_session_leaves_live_one_alone() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for _ in 0..4 {
        let counter = relay.next_counter();
        let pending = RawClient::handshake(&mut relay, udp(1, 2), 1, counter);
        assert!(pending.is_some() && relay.core.session_count() <= 3, "one live, two pending");
    }
    assert!(tom.is_alive(&mut relay));
    relay.wait(secs(10));
    assert_eq!(relay.core.session_count(), 1);
}

#[test]
fn only_owner_may_continue_live_session() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let continues = Some(tom.session);
    let again = |relay: &mut RelayHarness, member: u64| {
        let hello = InitPayload { counter: relay.next_counter(), continues };
        RawClient::handshake_with(relay, udp(1, 2), private_key(member), &hello).unwrap().continued
    };
    assert!(again(&mut relay, 1));
    assert!(!again(&mut relay, 2), "another key gets a separate session");
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(tom.close_code().is_none(), "the old keys still open");
    tom.send_raw(&mut relay, &[0x08]);
    assert!(!again(&mut relay, 1));
}
