//! A client facing a hostile relay, a hostile member, or a network that fails at the worst moment.

use queqiao::base::{Fingerprint, PublicKey};
use queqiao::client::{Carriers, Command, Event, Progress, Record, RelaySpec, Unreached};
use queqiao::session::{Hello, Identity};
use queqiao::wire::frame::{Frame, close};

use super::hand::{Hand, private};
use super::rig::{Rig, ms, secs, udp};
use super::visitor::{Visitor, relay_addr, spec};

fn is_online(event: &Event) -> bool {
    matches!(event, Event::Online { .. })
}

fn is_replaced(event: &Event) -> bool {
    matches!(event, Event::Replaced { .. })
}

fn delivered(event: &Event) -> bool {
    matches!(event, Event::Progress { progress: Progress::Delivered, .. })
}

/// Signs TOM in on another machine, whose handshake counter is far higher.
fn newer_machine(rig: &mut Rig) -> Hand {
    let hello = Hello { counter: u64::MAX / 2, continues: None };
    let mut hand = Hand::shake_on(rig, udp(9, 9), private(1), &hello).unwrap();
    hand.sign_in(rig, "TOM");
    hand
}

/// A relay can claim to have seen the highest counter that exists. The client still signs in at
/// another relay, now and later.
#[test]
fn false_counter_of_one_relay_does_not_block_another() {
    let mut liar = Rig::new();
    let mut honest = Rig::new();
    Hand::shake(&mut liar, udp(66, 1), 1, u64::MAX).unwrap().send(&mut liar, &[Frame::Ping]);
    let mut tom = Visitor::new("TOM", 1, 1, Carriers::Udp);
    tom.command(Command::Relays(vec![spec(1, Some(&liar)), spec(2, Some(&honest))]));
    tom.run(&mut [(relay_addr(1), &mut liar), (relay_addr(2), &mut honest)], secs(30));
    assert_eq!(tom.shows(is_online), 1, "the honest one");
    assert!(tom.packets_up < 200, "{} packets in half a minute", tom.packets_up);

    tom.command(Command::Relays(Vec::new()));
    tom.run(&mut [(relay_addr(2), &mut honest)], secs(1));
    tom.command(Command::Relays(vec![spec(2, Some(&honest))]));
    tom.run(&mut [(relay_addr(2), &mut honest)], secs(20));
    assert_eq!(tom.shows(is_online), 2, "and once more");
}

#[test]
fn corrected_relay_key_triggers_new_attempt() {
    let mut rig = Rig::new();
    let mut tom = Visitor::new("TOM", 1, 1, Carriers::Udp);
    let wrong = queqiao::session::Identity::from_private([3; 32]).public();
    tom.command(Command::Relays(vec![queqiao::client::RelaySpec { key: Some(wrong), ..spec(1, None) }]));
    tom.run_with(&mut rig, secs(9));
    assert_eq!(tom.shows(is_online), 0);
    tom.command(Command::Relays(vec![spec(1, Some(&rig))]));
    tom.run_with(&mut rig, ms(1));
    assert!(!tom.sleeps_for_ever());
    tom.run_with(&mut rig, secs(2));
    assert_eq!(tom.shows(is_online), 1);
}

/// Returns `spec` with this key as the one that the address book expects.
fn expecting(key: &PublicKey, spec: RelaySpec) -> RelaySpec {
    RelaySpec { fingerprint: Some(Fingerprint::from(key)), ..spec }
}

#[test]
fn key_is_checked_against_book_before_pinning() {
    for carrier in [Carriers::Udp, Carriers::Auto] {
        let mut rig = Rig::new();
        let mut tom = Visitor::new("TOM", 1, 1, carrier);
        let offered = rig.key();
        let wrong = Identity::from_private([3; 32]).public();
        tom.command(Command::Relays(vec![expecting(&wrong, spec(1, None))]));
        tom.run_with(&mut rig, secs(60));
        let why = Unreached::KeyUnlikeBook { wanted: Fingerprint::from(&wrong), offered };
        let told = |e: &Event| matches!(e, Event::Unreached { why: told, .. } if *told == why);
        assert_eq!((tom.shows(told), tom.shows(is_online)), (1, 0), "{carrier:?} {:?}", tom.shown);
        assert!(tom.records.iter().all(|record| !matches!(record, Record::Pin { .. })));
        tom.command(Command::Relays(vec![expecting(&offered, spec(1, None))]));
        tom.run_with(&mut rig, secs(2));
        assert_eq!(tom.shows(is_online), 1, "{carrier:?} {:?}", tom.shown);
        assert!(
            tom.records.iter().any(|record| matches!(record, Record::Pin { key, .. } if *key == offered))
        );
        assert_eq!(tom.shows(|e| matches!(e, Event::Pinned { .. })), 0, "the book has announced the key");
    }
}

#[test]
fn relay_with_pin_unlike_book_gets_no_packets() {
    let mut rig = Rig::new();
    let mut tom = Visitor::new("TOM", 1, 1, Carriers::Auto);
    let pinned = rig.key();
    let wrong = Identity::from_private([3; 32]).public();
    let why = Unreached::BookUnlikePin { wanted: Fingerprint::from(&wrong), pinned };
    let told = |e: &Event| matches!(e, Event::Unreached { why: told, .. } if *told == why);
    tom.command(Command::Relays(vec![expecting(&wrong, spec(1, Some(&rig)))]));
    tom.run_with(&mut rig, secs(60));
    assert_eq!((tom.shows(told), tom.shows(is_online), tom.packets_up), (1, 0, 0), "{:?}", tom.shown);
    for round in 1..3 {
        tom.command(Command::Relays(vec![expecting(&pinned, spec(1, Some(&rig)))]));
        tom.run_with(&mut rig, secs(2));
        assert_eq!(tom.shows(is_online), round, "{:?}", tom.shown);
        // The book changes in mid-session.
        tom.command(Command::Relays(vec![expecting(&wrong, spec(1, Some(&rig)))]));
        tom.run_with(&mut rig, secs(1));
        let sent = tom.packets_up;
        tom.run_with(&mut rig, secs(60));
        assert_eq!((tom.shows(told), tom.packets_up), (round + 1, sent), "{:?}", tom.shown);
    }
}

// faults.md: R72
/// Five minutes of attempts would use up every hourly allowance if failures counted. The user sees
/// one event for all of them.
#[test]
fn failed_registration_is_retried_until_disk_takes_it() {
    let mut rig = Rig::new();
    rig.full = true;
    let mut tom = Visitor::of(&rig, "TOM", 1, Carriers::Udp);
    tom.run_with(&mut rig, secs(300));
    let not_written = |e: &Event| matches!(e, Event::Unreached { why: Unreached::NameNotWritten, .. });
    let others = |e: &Event| !matches!(e, Event::Unreached { .. } | Event::Pinned { .. });
    assert_eq!((tom.shows(not_written), tom.shows(others)), (1, 0), "reported once: {:?}", tom.shown);
    assert!(tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    rig.full = false;
    tom.send(1, 7, "echo", "hello");
    tom.run_with(&mut rig, secs(40));
    assert_eq!((tom.shows(is_online), tom.shows(delivered)), (1, 1));
    assert_eq!(rig.relay.member_count(), 1);
}

// faults.md: R72
/// An address may register five names in an hour. The client does not retry within seconds and
/// reports the reason once.
#[test]
fn registration_over_hourly_limit_is_retried_for_an_hour() {
    let mut rig = Rig::new();
    for who in 10..15 {
        Hand::member(&mut rig, udp(1, 1_000 + who as u16), who, &format!("name{who}"));
    }
    let mut tom = Visitor::of(&rig, "TOM", 1, Carriers::Udp);
    tom.send(1, 7, "echo", "hello");
    tom.run_with(&mut rig, secs(3));
    let once = tom.packets_up;
    tom.run_with(&mut rig, ms(900));
    assert_eq!(tom.packets_up, once, "not again within seconds");
    tom.run_with(&mut rig, secs(300));
    let not_written = |e: &Event| matches!(e, Event::Unreached { why: Unreached::NameNotWritten, .. });
    let over =
        |e: &Event| matches!(e, Event::NameRefused { .. } | Event::Lost { .. } | Event::Refused { .. });
    assert_eq!((tom.shows(not_written), tom.shows(over)), (1, 0), "reported once: {:?}", tom.shown);
    assert!(tom.packets_up > once && tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    tom.run_with(&mut rig, secs(3_600));
    assert_eq!((tom.shows(is_online), tom.shows(delivered)), (1, 1));
    assert_eq!((tom.shows(not_written), rig.relay.member_count()), (1, 6));
}

// faults.md: R22
#[test]
fn replaced_client_gets_one_event_and_stays_away() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Udp);
    let elsewhere = newer_machine(&mut rig);
    tom.run_with(&mut rig, secs(60));
    assert_eq!(tom.shows(is_replaced), 1);
    let before = tom.packets_up;
    tom.run_with(&mut rig, secs(60));
    assert_eq!((tom.shows(is_replaced), tom.packets_up), (1, before));
    assert!(tom.sleeps_for_ever() && elsewhere.closed().is_none());
}

// faults.md: R22
/// The path is silent and a repair is being attempted when the `REPLACED` close arrives.
#[test]
fn client_replaced_during_handshake_abandons_it() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Udp);
    tom.cut_down = true;
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut rig, ms(300));
    tom.held.clear();
    let mut elsewhere = newer_machine(&mut rig);
    tom.run_with(&mut rig, secs(4));
    tom.release();
    tom.run_with(&mut rig, secs(60));
    assert_eq!(tom.shows(is_replaced), 1);
    elsewhere.hear(&mut rig);
    assert_eq!(elsewhere.closed(), None, "the newer machine keeps its place");
}

#[test]
fn lost_session_leaves_no_connection_and_no_attempt() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Auto);
    tom.cut_down = true;
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut rig, secs(3));
    assert_eq!(tom.open.len(), 1, "the fallback is tried while UDP is silent");
    tom.held.clear();
    tom.cut_down = false;
    newer_machine(&mut rig);
    tom.run_with(&mut rig, secs(20));
    assert_eq!(tom.shows(is_replaced), 1);
    assert_eq!(tom.open, [], "every connection is closed");
}

/// A relay closes each session after half a second: at most 35 handshakes in a minute.
#[test]
fn closing_relay_gets_few_handshakes() {
    let mut rig = Rig::new();
    let mut tom = Visitor::of(&rig, "TOM", 1, Carriers::Udp);
    for _ in 0..60 {
        tom.run_with(&mut rig, ms(500));
        rig.take(vec![super::rig::Given::Other(queqiao::base::Input::Command(
            queqiao::relay::Command::Stop,
        ))]);
        tom.run_with(&mut rig, ms(500));
    }
    assert!(rig.relay.stats().handshakes <= 35, "{} handshakes a minute", rig.relay.stats().handshakes);
}

// faults.md: R34
/// Packets of another session, garbage, and an empty datagram from the relay's address. None closes
/// the session.
#[test]
fn packets_of_others_to_client_are_dropped() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Udp);
    let mut other = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    let before = tom.packets_up;
    let from = queqiao::base::Path::Udp(relay_addr(1));
    let forged = [
        other.seal(&[Frame::Close { code: close::REPLACED, reason: "go away" }]),
        other.seal(&[Frame::Ping]),
        vec![0xFF; 1_200],
        Vec::new(),
    ];
    for mut bytes in forged {
        for first in [0u8, 1, 2, 3, 4, 5, 6, 7] {
            if bytes.len() > 1 {
                bytes[1] = first;
            }
            tom.give(from, bytes.clone());
        }
    }
    tom.run_with(&mut rig, secs(1));
    assert_eq!((tom.packets_up, tom.shows(is_replaced)), (before, 0));
    tom.send(1, 1, "echo", "still here");
    tom.run_with(&mut rig, secs(1));
    assert_eq!(tom.shows(delivered), 1);
}
