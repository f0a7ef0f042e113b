//! Inactive conversations leave the relay's memory and disk. Reports that a member has not received
//! stay.

use std::path::Path as FolderPath;

use queqiao::base::{Input, OutboxId};
use queqiao::relay::{Command, Limits, Mail, Request};
use queqiao::store::RelayStore;
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{Reason, ToRelay};

use super::hand::{Hand, Told};
use super::rig::{Given, Rig, START, secs, udp};

/// Time that a mailbox keeps a letter, in seconds. The relay checks all conversations each minute.
const KEEP_S: u64 = 1_000;

fn limits() -> Limits {
    Limits { keep: secs(KEEP_S), ..Limits::default() }
}

fn restart(mut rig: Rig, dir: &FolderPath) -> Rig {
    let tick = stop(&mut rig);
    let counters = rig.counter();
    drop(rig);
    let mut rig = Rig::open(dir, limits(), tick);
    (0..counters).for_each(|_| assert!(rig.counter() > 0));
    rig
}

fn stop(rig: &mut Rig) -> queqiao::base::Tick {
    rig.take(vec![Given::Other(Input::Command(Command::Stop))]);
    rig.tick
}

/// Ends the relay and returns the mail on its disk.
fn mail(mut rig: Rig, dir: &FolderPath) -> Mail {
    stop(&mut rig);
    drop(rig);
    RelayStore::open(dir, || [0; 32]).unwrap().1.mail
}

/// TOM writes to JACK, who reads it. TOM may or may not have received the receipt.
fn conversation(rig: &mut Rig) -> (Hand, Hand) {
    let mut tom = Hand::member(rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(rig, udp(2, 1), 2, "JACK");
    tom.write(rig, "JACK", 1, 0, "hello");
    jack.hear(rig);
    jack.store(rig, "TOM", 1);
    jack.say(rig, StreamId::Control, &ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: 1 });
    (tom, jack)
}

/// Signs the sender in again, so that it receives all reports.
fn hear(rig: &mut Rig) -> Hand {
    let port = 100 + rig.counter() as u16;
    for _ in 0..2 {
        Hand::member(rig, udp(1, port), 1, "TOM");
        rig.wait(secs(200));
    }
    Hand::member(rig, udp(1, port), 1, "TOM")
}

#[test]
fn inactive_conversation_leaves_memory_and_disk_after_keep() {
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), limits(), START);
        conversation(&mut rig);
        hear(&mut rig);
        if restarted {
            rig = restart(rig, dir.path());
            hear(&mut rig);
        }
        rig.wait(secs(KEEP_S / 4));
        rig = restart(rig, dir.path());
        rig.wait(secs(1));
        rig = restart(rig, dir.path());
        // The sender receives the reports that a restart may have left.
        hear(&mut rig);
        rig.wait(secs(KEEP_S + 120));
        assert_eq!(mail(rig, dir.path()).marks, [], "restarted: {restarted}");
    }
}

#[test]
fn conversation_stays_until_keep_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    conversation(&mut rig);
    hear(&mut rig);
    rig.wait(secs(KEEP_S - 450));
    assert_eq!(mail(rig, dir.path()).marks.len(), 1);
}

/// The sender has not signed in since its letter was delivered. It gets the receipt whenever it
/// does.
#[test]
fn receipt_waits_for_absent_sender_for_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    tom.send(&mut rig, &[queqiao::wire::frame::Frame::Close { code: 0, reason: "" }]);
    rig.wait(secs(500));
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    jack.hear(&mut rig);
    jack.store(&mut rig, "TOM", 1);
    rig.wait(secs(5 * KEEP_S));
    let mut rig = restart(rig, dir.path());
    rig.wait(secs(5 * KEEP_S));
    let counter = rig.counter();
    let mut tom = Hand::shake(&mut rig, udp(1, 9), 1, counter).unwrap();
    tom.sign_in(&mut rig, "TOM");
    let receipt = Told::Receipt { to: "JACK".into(), delivered: 1 };
    assert_eq!(tom.told(StreamId::Control), [Told::Welcome, receipt]);
}

/// A pending refusal keeps its conversation: without it a receipt would count the refused letter as
/// delivered.
#[test]
fn refusal_waits_for_absent_sender_for_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    rig.wait(secs(300));
    let mut tom = Hand::member(&mut rig, udp(1, 2), 1, "TOM");
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    rig.wait(secs(5 * KEEP_S));
    assert_eq!(rig.relay.stats().letters_expired, 1);
    let mut rig = restart(rig, dir.path());
    rig.wait(secs(5 * KEEP_S));
    let counter = rig.counter();
    let mut tom = Hand::shake(&mut rig, udp(1, 9), 1, counter).unwrap();
    tom.sign_in(&mut rig, "TOM");
    assert_eq!(tom.refusals(&mut rig), [(1, Reason::Expired)]);
}

/// A removed sender cannot receive its refusals any more.
#[test]
fn refusals_of_removed_sender_leave_memory_and_disk() {
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), limits(), START);
        Hand::member(&mut rig, udp(2, 1), 2, "JACK");
        rig.wait(secs(300));
        let mut tom = Hand::member(&mut rig, udp(1, 2), 1, "TOM");
        tom.write(&mut rig, "JACK", 1, 0, "hello");
        rig.wait(secs(KEEP_S + 10));
        assert_eq!(rig.relay.stats().letters_expired, 1);
        let request = Request::Remove("TOM".parse().unwrap());
        rig.take(vec![Given::Other(Input::Command(Command::Ask { id: 7, request }))]);
        if restarted {
            rig = restart(rig, dir.path());
        }
        rig.wait(secs(2 * KEEP_S));
        assert_eq!(mail(rig, dir.path()).refusals, [], "restarted: {restarted}");
    }
}

/// A letter repeated after its conversation was forgotten goes to its recipient, which knows it.
/// The next one follows it.
#[test]
fn letters_pass_after_conversation_was_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    conversation(&mut rig);
    hear(&mut rig);
    rig.wait(secs(KEEP_S + 200));
    let mut tom = hear(&mut rig);
    let mut jack = Hand::member(&mut rig, udp(2, 9), 2, "JACK");
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    tom.write(&mut rig, "JACK", 2, 1, "again");
    let numbers: Vec<u64> = jack.deliveries(&mut rig).iter().map(|letter| letter.1).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(tom.refusals(&mut rig), []);
}

/// A recipient reports letters that the relay does not know, and their sender never asks for them.
#[test]
fn read_reports_of_unknown_letters_leave_after_keep() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    for outbox in 0..500 {
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(outbox), through: 3 };
        jack.say(&mut rig, StreamId::Control, &read);
    }
    rig.wait(secs(KEEP_S / 2));
    let mut rig = restart(rig, dir.path());
    rig.wait(secs(KEEP_S / 2 - 120));
    let mut rig = restart(rig, dir.path());
    rig.wait(secs(1));
    let mut rig = restart(rig, dir.path());
    rig.wait(secs(KEEP_S + 120));
    assert_eq!(mail(rig, dir.path()).marks, []);
}
