//! Addresses that change, are forged, or belong to two clients at once.

use queqiao::base::Path;
use queqiao::relay::Event;
use queqiao::session::Hello;
use queqiao::wire::frame::{Frame, StreamId};

use super::hand::{Hand, Said, Told, private};
use super::house::Ledger;
use super::rig::{Rig, ms, secs, udp};

/// Fills TOM's chat stream with letters from JACK.
fn fill(rig: &mut Rig, jack: &mut Hand, letters: u64) {
    for number in 1..=letters {
        jack.write(rig, "TOM", number, number - 1, &"x".repeat(5_000));
    }
}

// faults.md: R15
#[test]
fn replay_from_other_address_gets_no_answer_and_no_path() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    let mut recorded = Vec::new();
    for _ in 0..20 {
        let packet = tom.seal(&[Frame::Ping]);
        rig.give(tom.path, &packet);
        recorded.push(packet);
    }
    rig.wait(secs(1));
    tom.hear(&mut rig);
    for packet in recorded.iter().rev().chain(&recorded) {
        rig.give(udp(66, 6), packet);
    }
    jack.write(&mut rig, "TOM", 1, 0, "where are you?");
    rig.wait(secs(1));
    assert!(rig.answers(udp(66, 6)).is_empty());
    tom.hear(&mut rig);
    assert!(matches!(&tom.told(StreamId::Chat)[..], [Told::Delivery { number: 1, .. }]));
}

// faults.md: R11
/// A copy overtakes its original: its source address counts as the new path until the next packet.
#[test]
fn forged_address_gets_at_most_3x_its_bytes() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    fill(&mut rig, &mut jack, 20);
    rig.answers(tom.path);
    let victim = udp(66, 6);
    let mut bytes = Ledger::default();
    for packet in [tom.seal(&[Frame::Ping]), tom.seal(&[Frame::Padding(500), Frame::Ping])] {
        bytes.give(&mut rig, victim, &packet);
        rig.wait(secs(3));
        bytes.count(&mut rig, victim);
        assert!(bytes.taken > 0 && bytes.taken <= 3 * bytes.given, "{} out, {} in", bytes.taken, bytes.given);
    }
    rig.wait(secs(30));
    bytes.count(&mut rig, victim);
    assert!(bytes.taken <= 3 * bytes.given, "{} out, {} in", bytes.taken, bytes.given);
    tom.send(&mut rig, &[Frame::Ping]);
    rig.wait(secs(9));
    tom.hear(&mut rig);
    assert!(!tom.told(StreamId::Chat).is_empty(), "the conversation is back at its owner's address");
}

// faults.md: R11
#[test]
fn ended_session_answers_forged_address_within_3x() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    tom.send_raw(&mut rig, &[0x08]);
    let mut bytes = Ledger::default();
    for _ in 0..20 {
        let smallest = tom.seal_raw(&[0x01]);
        bytes.give(&mut rig, udp(66, 6), &smallest);
        assert!(bytes.taken <= 3 * bytes.given, "{} out, {} in", bytes.taken, bytes.given);
    }
}

// faults.md: R11
#[test]
fn validated_new_address_gets_all_data() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    fill(&mut rig, &mut jack, 4);
    rig.answers(tom.path);
    tom.path = udp(1, 77);
    tom.send(&mut rig, &[Frame::Ping]);
    let challenge =
        tom.heard.iter().find_map(|s| if let Said::Challenge(data) = s { Some(*data) } else { None });
    let answer = Frame::PathResponse(challenge.expect("a new address is challenged at once"));
    tom.send(&mut rig, &[answer]);
    for _ in 0..60 {
        rig.wait(ms(200));
        tom.hear(&mut rig);
        tom.send(&mut rig, &[Frame::Ping]);
    }
    assert_eq!(tom.told(StreamId::Chat).len(), 4);
}

// faults.md: R21
#[test]
fn changing_port_or_address_loses_no_letter() {
    for new_ip in [false, true] {
        let mut rig = Rig::new();
        let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
        let mut jack = Hand::member(&mut rig, udp(200, 2), 2, "JACK");
        for number in 1..=100u16 {
            tom.path = if new_ip { udp(1 + (number % 150) as u8, 9) } else { udp(1, 100 + number) };
            tom.write(&mut rig, "JACK", number.into(), u64::from(number) - 1, "I am moving");
            jack.hear(&mut rig);
            jack.store(&mut rig, "TOM", number.into());
        }
        tom.send(&mut rig, &[Frame::Ping]);
        let numbers: Vec<u64> = jack
            .told(StreamId::Chat)
            .iter()
            .map(|told| if let Told::Delivery { number, .. } = told { *number } else { 0 })
            .collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
        assert_eq!(rig.relay.stats().letters_stored, 100);
    }
}

// faults.md: R21
/// Two addresses alternate with increasing numbers. Answers go to the highest number, and an older
/// packet does not move the path.
#[test]
fn path_follows_highest_packet_number() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let older = tom.seal(&[Frame::Ping]);
    let newer = tom.seal(&[Frame::Ping]);
    rig.answers(tom.path);
    rig.give(udp(1, 2), &newer);
    assert!(!rig.answers(udp(1, 2)).is_empty());
    rig.give(udp(1, 3), &older);
    rig.wait(secs(1));
    assert!(rig.answers(udp(1, 3)).is_empty(), "a late packet does not move the path");
}

// faults.md: R23
#[test]
fn probe_is_answered_at_its_source_and_moves_no_path() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    let probe = tom.seal(&[Frame::Padding(200), Frame::PathChallenge([5; 8])]);
    // A packet with an ack would not be a probing packet (RFC 9000 §9.1).
    tom.acks = false;
    let bare = tom.seal(&[Frame::Padding(200), Frame::PathChallenge([6; 8])]);
    drop(probe);
    let elsewhere = udp(1, 50);
    rig.give(elsewhere, &bare);
    let home = std::mem::replace(&mut tom.path, elsewhere);
    tom.heard.clear();
    tom.hear(&mut rig);
    assert_eq!(tom.heard, [Said::Response([6; 8])]);
    tom.path = home;
    jack.write(&mut rig, "TOM", 1, 0, "still there?");
    tom.hear(&mut rig);
    assert_eq!(tom.told(StreamId::Chat).len(), 1);
    assert!(matches!(home, Path::Udp(_)));
}

// faults.md: R22
#[test]
fn newest_session_wins_and_older_gets_replaced_once() {
    let mut rig = Rig::new();
    let mut older = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    jack.write(&mut rig, "TOM", 1, 0, "handed to the older");
    older.hear(&mut rig);
    let mut newer = Hand::member(&mut rig, udp(3, 3), 1, "TOM");
    older.hear(&mut rig);
    let replaced = Said::Close(queqiao::wire::frame::close::REPLACED, "replaced".into());
    assert_eq!(older.heard.iter().filter(|said| **said == replaced).count(), 1);
    jack.hear(&mut rig);
    assert_eq!(jack.told(StreamId::Control), [], "no receipt and no refusal yet");
    older.store(&mut rig, "JACK", 1);
    jack.write(&mut rig, "TOM", 2, 0, "for the newer");
    newer.hear(&mut rig);
    let told = newer.told(StreamId::Chat);
    let both = matches!(&told[..], [Told::Delivery { number: 1, .. }, Told::Delivery { number: 2, .. }]);
    assert!(both, "{told:?}");
    assert!(older.told(StreamId::Chat).len() == 1 && newer.closed().is_none());
}

// faults.md: R22
#[test]
fn name_changes_machine_once_in_10_s() {
    let mut rig = Rig::new();
    let mut machines = [1, 2].map(|host| Hand::member(&mut rig, udp(host, 1), 1, "TOM"));
    rig.shown.clear();
    let mut flips = 0;
    for _ in 0..300 {
        for machine in &mut machines {
            machine.hear(&mut rig);
            // Each returns as soon as it is replaced.
            if machine.closed().is_some() {
                let counter = rig.counter();
                let path = machine.path;
                *machine = Hand::shake(&mut rig, path, 1, counter).expect("a session is granted at once");
                machine.sign_in(&mut rig, "TOM");
            }
        }
        rig.wait(ms(200));
        flips += rig.shown.drain(..).filter(|event| matches!(event, Event::SignedIn(_))).count();
    }
    assert!((5..=6).contains(&flips), "{flips} in a minute");
}

// faults.md: R22
#[test]
fn restarted_process_on_same_address_need_not_wait() {
    let mut rig = Rig::new();
    for port in 1..=20 {
        Hand::member(&mut rig, udp(1, port), 1, "TOM");
        rig.wait(ms(250));
    }
}

// faults.md: R22
#[test]
fn pending_session_leaves_live_one_alone() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    for _ in 0..4 {
        let counter = rig.counter();
        let pending = Hand::shake(&mut rig, udp(1, 2), 1, counter);
        assert!(pending.is_some() && rig.relay.session_count() <= 3, "one live, two pending");
    }
    assert!(tom.is_alive(&mut rig));
    rig.wait(secs(10));
    assert_eq!(rig.relay.session_count(), 1);
}

#[test]
fn only_owner_may_continue_live_session() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let continues = Some(tom.session);
    let again = |rig: &mut Rig, who: u64| {
        let hello = Hello { counter: rig.counter(), continues };
        Hand::shake_on(rig, udp(1, 2), private(who), &hello).unwrap().continued
    };
    assert!(again(&mut rig, 1));
    assert!(!again(&mut rig, 2), "another key gets a separate session");
    tom.send(&mut rig, &[Frame::Ping]);
    assert!(tom.closed().is_none(), "the old keys still open");
    tom.send_raw(&mut rig, &[0x08]);
    assert!(!again(&mut rig, 1));
}
