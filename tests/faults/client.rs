//! A client before a hostile relay, a hostile member, and a network at the worst moment.

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

/// TOM signs in on another machine, whose counter is far higher.
fn newer_machine(rig: &mut Rig) -> Hand {
    let hello = Hello { counter: u64::MAX / 2, continues: None };
    let mut hand = Hand::shake_on(rig, udp(9, 9), private(1), &hello).unwrap();
    hand.sign_in(rig, "TOM");
    hand
}

/// A relay can say that the highest counter it has seen is the highest there is.
#[test]
fn a_relay_that_lies_about_counters_locks_nobody_out_of_another_relay() {
    let (mut liar, mut honest) = (Rig::new(), Rig::new());
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
fn a_client_whose_key_of_the_relay_is_corrected_tries_again_by_itself() {
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

fn expecting(key: &PublicKey, spec: RelaySpec) -> RelaySpec {
    RelaySpec { fingerprint: Some(Fingerprint::from(key)), ..spec }
}

#[test]
fn key_that_the_book_expects_is_checked_before_it_is_pinned() {
    for carrier in [Carriers::Udp, Carriers::Auto] {
        let mut rig = Rig::new();
        let mut tom = Visitor::new("TOM", 1, 1, carrier);
        let (offered, wrong) = (rig.key(), Identity::from_private([3; 32]).public());
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
        assert_eq!(tom.shows(|e| matches!(e, Event::Pinned { .. })), 0, "it is no surprise");
    }
}

#[test]
fn relay_whose_pin_is_unlike_the_book_is_not_spoken_to() {
    let mut rig = Rig::new();
    let mut tom = Visitor::new("TOM", 1, 1, Carriers::Auto);
    let (pinned, wrong) = (rig.key(), Identity::from_private([3; 32]).public());
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

/// Often enough for every allowance of an hour to be spent, if failures counted.
#[test]
fn row_72_a_relay_that_could_not_write_a_name_down_is_tried_again_until_it_can() {
    let mut rig = Rig::new();
    rig.full = true;
    let mut tom = Visitor::of(&rig, "TOM", 1, Carriers::Udp);
    tom.run_with(&mut rig, secs(300));
    let not_written = |e: &Event| matches!(e, Event::Unreached { why: Unreached::NameNotWritten, .. });
    let others = |e: &Event| !matches!(e, Event::Unreached { .. } | Event::Pinned { .. });
    assert_eq!((tom.shows(not_written), tom.shows(others)), (1, 0), "said once: {:?}", tom.shown);
    assert!(tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    rig.full = false;
    tom.send(1, 7, "echo", "hello");
    tom.run_with(&mut rig, secs(40));
    assert_eq!((tom.shows(is_online), tom.shows(delivered)), (1, 1));
    assert_eq!(rig.relay.member_count(), 1);
}

/// Five names are taken from one address in an hour.
#[test]
fn row_72_a_relay_that_was_asked_for_too_many_names_is_tried_again_until_the_hour_is_over() {
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
    assert_eq!((tom.shows(not_written), tom.shows(over)), (1, 0), "said once: {:?}", tom.shown);
    assert!(tom.packets_up > once && tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    tom.run_with(&mut rig, secs(3_600));
    assert_eq!((tom.shows(is_online), tom.shows(delivered)), (1, 1));
    assert_eq!((tom.shows(not_written), rig.relay.member_count()), (1, 6));
}

#[test]
fn row_22_the_older_machine_is_told_once_and_never_comes_back() {
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

/// The path is silent, an attempt to repair it is under way, and then the news comes.
#[test]
fn row_22_a_machine_that_is_replaced_while_it_shakes_hands_lets_its_attempt_fall() {
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
fn a_session_that_is_lost_leaves_no_connection_and_no_attempt_behind() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Auto);
    tom.cut_down = true;
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut rig, secs(3));
    assert_eq!(tom.open.len(), 1, "TCP is tried beside the silent path");
    tom.held.clear();
    tom.cut_down = false;
    newer_machine(&mut rig);
    tom.run_with(&mut rig, secs(20));
    assert_eq!(tom.shows(is_replaced), 1);
    assert_eq!(tom.open, [], "every connection is closed");
}

#[test]
fn a_relay_that_closes_every_session_is_not_stormed() {
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

#[test]
fn what_strangers_send_a_client_is_dropped() {
    let mut rig = Rig::new();
    let mut tom = Visitor::signed_in(&mut rig, "TOM", 1, Carriers::Udp);
    let mut other = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    let (before, from) = (tom.packets_up, queqiao::base::Path::Udp(relay_addr(1)));
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
