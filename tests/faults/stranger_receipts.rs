//! Recipients that do not know a sender: which reports the sender gets of its letters, and when.

use std::path::Path as FolderPath;

use queqiao::base::{OutboxId, Tick, Wall};
use queqiao::relay::{Limits, Record};
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::ToRelay;

use super::fixtures::two_members;
use super::raw_client::{RawClient, stored_report_of_stranger};
use super::relay_harness::{RelayHarness, START, ms, secs, udp};

const OUTBOX: u64 = 0xB0;

/// Lets time pass until this many milliseconds after the next full second.
fn wait_past_second(relay: &mut RelayHarness, millis: u64) {
    let next = (relay.tick + ms(1)).rounded_up(secs(1)) + ms(millis);
    relay.wait(next.since(relay.tick));
}

fn store(relay: &mut RelayHarness, jack: &mut RawClient, through: u64) {
    jack.send_message(relay, StreamId::Control, &stored_report_of_stranger("TOM", OUTBOX, through));
}

/// Returns TOM and JACK after a letter of TOM, sent 300 ms after a full second, was delivered.
fn handed(relay: &mut RelayHarness) -> (RawClient, RawClient) {
    let (mut tom, mut jack) = two_members(relay);
    wait_past_second(relay, 300);
    tom.send_letter(relay, "JACK", 1, 0, "hello");
    assert_eq!(jack.take_deliveries(relay).len(), 1);
    tom.take_receipts(relay);
    (tom, jack)
}

#[test]
fn stranger_gets_receipt_at_next_full_second() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = handed(&mut relay);
    store(&mut relay, &mut jack, 1);
    assert_eq!(tom.take_receipts(&mut relay), [(1, 0, 0, true)], "as of a letter that waits");
    assert_eq!(relay.core.stats().letters_stored, 1);
    relay.wait(ms(699));
    assert_eq!(tom.take_receipts(&mut relay), []);
    relay.wait(ms(1));
    assert_eq!(tom.take_receipts(&mut relay), [(1, 1, 0, false)]);
    relay.wait(secs(5));
    assert_eq!(tom.take_receipts(&mut relay), [], "once");
}

/// A repeated letter, a receipt query and a new session get no more than the last receipt.
#[test]
fn query_or_new_session_brings_no_earlier_receipt() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = handed(&mut relay);
    store(&mut relay, &mut jack, 1);
    tom.take_receipts(&mut relay);
    let to = "JACK";
    let outbox = OutboxId(OUTBOX);
    tom.send_message(
        &mut relay,
        StreamId::Control,
        &ToRelay::QueryReceipt { to, outbox, accepted: 0, settled: 0 },
    );
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    assert!(tom.take_receipts(&mut relay).iter().all(|receipt| *receipt == (1, 0, 0, true)));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 9), 1, "TOM");
    tom.send_message(
        &mut relay,
        StreamId::Control,
        &ToRelay::QueryReceipt { to, outbox, accepted: 0, settled: 0 },
    );
    let receipts = tom.take_receipts(&mut relay);
    assert!(
        !receipts.is_empty() && receipts.iter().all(|receipt| *receipt == (1, 0, 0, true)),
        "{receipts:?}"
    );
    wait_past_second(&mut relay, 0);
    assert_eq!(tom.take_receipts(&mut relay), [(1, 1, 0, false)]);
}

/// A letter that waited in the mailbox is removed from the disk at once. No receipt goes out at
/// that time.
#[test]
fn stored_letter_of_stranger_leaves_mailbox_at_once() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = handed(&mut relay);
    relay.wait(ms(600));
    assert_eq!(tom.take_receipts(&mut relay), [(1, 0, 0, true)], "it was written down");
    wait_past_second(&mut relay, 300);
    relay.sent.clear();
    relay.auto_commit = false;
    store(&mut relay, &mut jack, 1);
    let is_gone = |record: &Record| matches!(record, Record::Progress { stored, .. } if stored.len() == 1);
    assert!(relay.records.iter().any(|(_, record)| is_gone(record)), "{:?}", relay.records);
    relay.auto_commit = true;
    relay.take_turn(Vec::new());
    assert_eq!(tom.take_receipts(&mut relay), []);
    wait_past_second(&mut relay, 0);
    assert_eq!(tom.take_receipts(&mut relay), [(1, 1, 0, false)]);
}

/// The `accepted` receipt waits until the disk has the delivery. The receipt at the full second
/// does not.
#[test]
fn accepted_receipt_waits_for_durable_delivery() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = handed(&mut relay);
    relay.auto_commit = false;
    store(&mut relay, &mut jack, 1);
    assert_eq!(tom.take_receipts(&mut relay), []);
    relay.auto_commit = true;
    relay.take_turn(Vec::new());
    assert_eq!(tom.take_receipts(&mut relay), [(1, 0, 0, true)]);
    relay.disk_is_full = true;
    tom.send_letter(&mut relay, "JACK", 2, 1, "and this?");
    jack.receive(&mut relay);
    store(&mut relay, &mut jack, 2);
    assert_eq!(tom.take_receipts(&mut relay), []);
    wait_past_second(&mut relay, 0);
    assert_eq!(tom.take_receipts(&mut relay), [(2, 2, 0, false)], "the disk is full, and JACK has it");
}

/// A recipient that gets to know the sender reports everything at once.
#[test]
fn known_sender_gets_receipts_without_delay() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = handed(&mut relay);
    store(&mut relay, &mut jack, 1);
    tom.take_receipts(&mut relay);
    let from = "TOM";
    let outbox = OutboxId(OUTBOX);
    let through = 1;
    jack.send_message(&mut relay, StreamId::Control, &ToRelay::Read { from, outbox, through });
    assert_eq!(tom.take_receipts(&mut relay), [(1, 1, 1, false)]);
    tom.send_letter(&mut relay, "JACK", 2, 1, "again");
    jack.receive(&mut relay);
    store(&mut relay, &mut jack, 2);
    assert_eq!(tom.take_receipts(&mut relay), [(2, 1, 1, true)]);
    tom.send_letter(&mut relay, "JACK", 3, 2, "and again");
    jack.receive(&mut relay);
    jack.report_stored(&mut relay, "TOM", 3);
    assert_eq!(tom.take_receipts(&mut relay), [(3, 3, 1, false)]);
    wait_past_second(&mut relay, 500);
    assert_eq!(tom.take_receipts(&mut relay), []);
}

fn later(relay: RelayHarness, dir: &FolderPath) -> RelayHarness {
    let tick = relay.tick;
    drop(relay);
    RelayHarness::open(dir, Limits::default(), tick)
}

/// The relay is killed before the full second. The next one has the delivery and reports it at its
/// own full second.
#[test]
fn held_back_receipt_survives_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    let (mut tom, mut jack) = handed(&mut relay);
    store(&mut relay, &mut jack, 1);
    assert_eq!(tom.take_receipts(&mut relay), [(1, 0, 0, true)]);
    let mut relay = later(relay, dir.path());
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 9), 1, "TOM");
    let receipts = tom.take_receipts(&mut relay);
    assert!(receipts.iter().all(|receipt| *receipt == (1, 0, 0, true)), "{receipts:?}");
    wait_past_second(&mut relay, 0);
    assert_eq!(tom.take_receipts(&mut relay), [(1, 1, 0, false)]);
}

/// Many letters of many strangers: one entry for each conversation and one timer for all. A turn
/// reports at most 256 of them.
#[test]
fn many_strangers_share_one_timer() {
    const STRANGERS: u64 = 300;
    let mut relay = RelayHarness::with(Limits { per_sender: false, ..Limits::default() });
    let mut jack = RawClient::signed_in(&mut relay, udp(1, 1), 9_999, "JACK");
    let path = |n: u64| udp(2, 1_000 + n as u16);
    let member =
        |relay: &mut RelayHarness, n: u64| RawClient::signed_in(relay, path(n), n, &format!("stranger-{n}"));
    let mut strangers: Vec<RawClient> = (0..STRANGERS).map(|n| member(&mut relay, n)).collect();
    wait_past_second(&mut relay, 100);
    for number in 1..=3 {
        for (n, stranger) in strangers.iter_mut().enumerate() {
            let body = encode_text("hello", Wall(1));
            stranger.send_letter_from(&mut relay, OutboxId(n as u64), "JACK", (number, number - 1), &body);
            jack.receive(&mut relay);
            let from = format!("stranger-{n}");
            jack.send_message(
                &mut relay,
                StreamId::Control,
                &stored_report_of_stranger(&from, n as u64, number),
            );
        }
    }
    let receipts: Vec<_> = strangers.iter_mut().map(|stranger| stranger.take_receipts(&mut relay)).collect();
    assert!(receipts.iter().flatten().all(|receipt| receipt.1 == 0), "{receipts:?}");
    assert_eq!(relay.core.held_back_count(), STRANGERS as usize);
    let second: Tick = (relay.tick + ms(1)).rounded_up(secs(1));
    relay.wait(second.since(relay.tick));
    let mut receipts = 0;
    for stranger in &mut strangers {
        receipts += usize::from(stranger.take_receipts(&mut relay).iter().any(|receipt| receipt.1 == 3));
    }
    assert_eq!(receipts, 256, "in one turn");
    relay.wait(ms(10));
    for stranger in &mut strangers {
        receipts += usize::from(stranger.take_receipts(&mut relay).iter().any(|receipt| receipt.1 == 3));
    }
    assert_eq!((receipts, relay.core.held_back_count()), (STRANGERS as usize, 0));
}
