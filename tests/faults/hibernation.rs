//! Inactive conversations leave the relay's memory and disk. Reports that a member has not received
//! stay.

use std::path::Path as FolderPath;

use queqiao::base::{Input, OutboxId};
use queqiao::relay::{Command, Limits, OperatorRequest, PersistedMail, Record};
use queqiao::store::RelayStore;
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{Reason, ToRelay};

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{HarnessInput, RelayHarness, START, secs, udp};

/// Time that a mailbox keeps a letter, in seconds. The relay checks all conversations each minute.
const KEEP_S: u64 = 1_000;

fn limits() -> Limits {
    Limits { keep: secs(KEEP_S), ..Limits::default() }
}

fn restart(mut relay: RelayHarness, dir: &FolderPath) -> RelayHarness {
    let tick = stop(&mut relay);
    let counters = relay.next_counter();
    drop(relay);
    let mut relay = RelayHarness::open(dir, limits(), tick);
    (0..counters).for_each(|_| assert!(relay.next_counter() > 0));
    relay
}

fn stop(relay: &mut RelayHarness) -> queqiao::base::Tick {
    relay.take_turn(vec![HarnessInput::Other(Input::Command(Command::Stop))]);
    relay.tick
}

/// Ends the relay and returns the mail on its disk.
fn mail(mut relay: RelayHarness, dir: &FolderPath) -> PersistedMail {
    stop(&mut relay);
    drop(relay);
    RelayStore::open(dir, || [0; 32]).unwrap().1.mail
}

/// TOM writes to JACK, who reads it. TOM may or may not have received the receipt.
fn conversation(relay: &mut RelayHarness) -> (RawClient, RawClient) {
    let mut tom = RawClient::signed_in(relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(relay, udp(2, 1), 2, "JACK");
    tom.send_letter(relay, "JACK", 1, 0, "hello");
    jack.receive(relay);
    jack.report_stored(relay, "TOM", 1);
    jack.send_message(
        relay,
        StreamId::Control,
        &ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: 1 },
    );
    (tom, jack)
}

/// Signs the sender in again, which receives and acknowledges all reports.
fn hear(relay: &mut RelayHarness) -> RawClient {
    let port = 100 + relay.next_counter() as u16;
    let mut tom = RawClient::signed_in(relay, udp(1, port), 1, "TOM");
    tom.receive(relay);
    tom.send(relay, &[queqiao::wire::frame::Frame::Ping]);
    relay.wait(secs(200));
    RawClient::signed_in(relay, udp(1, port), 1, "TOM")
}

#[test]
fn inactive_conversation_leaves_memory_and_disk_after_keep() {
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), limits(), START);
        conversation(&mut relay);
        hear(&mut relay);
        if restarted {
            relay = restart(relay, dir.path());
            hear(&mut relay);
        }
        relay.wait(secs(KEEP_S / 4));
        relay = restart(relay, dir.path());
        relay.wait(secs(1));
        relay = restart(relay, dir.path());
        // The sender receives the reports that a restart may have left.
        hear(&mut relay);
        relay.wait(secs(KEEP_S + 120));
        assert_eq!(mail(relay, dir.path()).flows, [], "restarted: {restarted}");
    }
}

#[test]
fn conversation_stays_until_keep_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    conversation(&mut relay);
    hear(&mut relay);
    relay.wait(secs(KEEP_S - 450));
    assert_eq!(mail(relay, dir.path()).flows.len(), 1);
}

/// The disk keeps the row of a delivered letter for longer than its conversation is remembered. The
/// letter does not expire: its sender gets no refusal, and it leaves its mailbox once.
#[test]
fn delivered_letter_does_not_expire_while_disk_keeps_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    RawClient::signed_in(&mut relay, udp(3, 1), 3, "ANN");
    relay.wait(secs(300));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    relay.wait(secs(5));
    relay.disk_refuses = |record| matches!(record, Record::Progress { stored, .. } if !stored.is_empty());
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    jack.receive(&mut relay);
    jack.report_stored(&mut relay, "TOM", 1);
    tom.receive(&mut relay);
    tom.send(&mut relay, &[queqiao::wire::frame::Frame::Ping]);
    // A letter that expires: the relay looks at all rows then.
    relay.wait(secs(KEEP_S / 2));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 3), 1, "TOM");
    tom.send_letter(&mut relay, "ANN", 1, 0, "are you there");
    relay.wait(secs(2 * KEEP_S));
    assert!(relay.refused > 0);
    assert_eq!(relay.core.stats().letters_expired, 1, "the letter to ANN");
    relay.core.check_sums();
    relay.disk_refuses = |_| false;
    relay.wait(secs(120));
    relay.core.check_sums();
    assert!(mail(relay, dir.path()).waiting.is_empty());
}

/// Sessions of the sender end before it acknowledges the receipt.
#[test]
fn conversation_stays_until_its_receipt_is_received() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    conversation(&mut relay);
    for port in 100..103 {
        RawClient::signed_in(&mut relay, udp(1, port), 1, "TOM");
        relay.wait(secs(KEEP_S + 120));
    }
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 9), 1, counter).unwrap();
    tom.sign_in(&mut relay, "TOM");
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 1 };
    assert_eq!(tom.take_messages(StreamId::Control), [SeenMessage::Welcome, receipt]);
}

/// The sender has not signed in since its letter was delivered. It gets the receipt whenever it
/// does.
#[test]
fn receipt_waits_for_absent_sender_for_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    tom.send(&mut relay, &[queqiao::wire::frame::Frame::Close { code: 0, reason: "" }]);
    relay.wait(secs(500));
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    jack.receive(&mut relay);
    jack.report_stored(&mut relay, "TOM", 1);
    relay.wait(secs(5 * KEEP_S));
    let mut relay = restart(relay, dir.path());
    relay.wait(secs(5 * KEEP_S));
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 9), 1, counter).unwrap();
    tom.sign_in(&mut relay, "TOM");
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 1 };
    assert_eq!(tom.take_messages(StreamId::Control), [SeenMessage::Welcome, receipt]);
}

/// A pending refusal keeps its conversation: without it a receipt would count the refused letter as
/// delivered.
#[test]
fn refusal_waits_for_absent_sender_for_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    relay.wait(secs(300));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    relay.wait(secs(5 * KEEP_S));
    assert_eq!(relay.core.stats().letters_expired, 1);
    let mut relay = restart(relay, dir.path());
    relay.wait(secs(5 * KEEP_S));
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 9), 1, counter).unwrap();
    tom.sign_in(&mut relay, "TOM");
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::Expired)]);
}

/// A removed sender cannot receive its refusals any more.
#[test]
fn refusals_of_removed_sender_leave_memory_and_disk() {
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), limits(), START);
        RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
        relay.wait(secs(300));
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
        tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
        relay.wait(secs(KEEP_S + 10));
        assert_eq!(relay.core.stats().letters_expired, 1);
        let request = OperatorRequest::Remove("TOM".parse().unwrap());
        relay.take_turn(vec![HarnessInput::Other(Input::Command(Command::Request { id: 7, request }))]);
        if restarted {
            relay = restart(relay, dir.path());
        }
        relay.wait(secs(2 * KEEP_S));
        assert_eq!(mail(relay, dir.path()).refusals, [], "restarted: {restarted}");
    }
}

/// A letter repeated after its conversation was forgotten goes to its recipient, which knows it.
/// The next one follows it.
#[test]
fn letters_pass_after_conversation_was_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    conversation(&mut relay);
    hear(&mut relay);
    relay.wait(secs(KEEP_S + 200));
    let mut tom = hear(&mut relay);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 9), 2, "JACK");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    tom.send_letter(&mut relay, "JACK", 2, 1, "again");
    let numbers: Vec<u64> = jack.take_deliveries(&mut relay).iter().map(|letter| letter.1).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(tom.take_refusals(&mut relay), []);
}

/// A recipient reports letters that the relay does not know, and their sender never asks for them.
#[test]
fn read_reports_of_unknown_letters_leave_after_keep() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    for outbox in 0..500 {
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(outbox), through: 3 };
        jack.send_message(&mut relay, StreamId::Control, &read);
    }
    relay.wait(secs(KEEP_S / 2));
    let mut relay = restart(relay, dir.path());
    relay.wait(secs(KEEP_S / 2 - 120));
    let mut relay = restart(relay, dir.path());
    relay.wait(secs(1));
    let mut relay = restart(relay, dir.path());
    relay.wait(secs(KEEP_S + 120));
    assert_eq!(mail(relay, dir.path()).flows, []);
}
