//! Recipients that do not know a sender: which reports the sender gets of its letters, and when.

use std::path::Path as FolderPath;

use queqiao::base::{OutboxId, Tick, Wall};
use queqiao::relay::{Limits, Record};
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::ToRelay;

use super::hand::{Hand, stored_of_stranger};
use super::house::two;
use super::rig::{Rig, START, ms, secs, udp};

const OUTBOX: u64 = 0xB0;

/// Lets time pass until this many milliseconds after the next full second.
fn wait_past_second(rig: &mut Rig, millis: u64) {
    let next = (rig.tick + ms(1)).rounded_up(secs(1)) + ms(millis);
    rig.wait(next.since(rig.tick));
}

fn store(rig: &mut Rig, jack: &mut Hand, through: u64) {
    jack.say(rig, StreamId::Control, &stored_of_stranger("TOM", OUTBOX, through));
}

/// Returns TOM and JACK after a letter of TOM, sent 300 ms after a full second, was delivered.
fn handed(rig: &mut Rig) -> (Hand, Hand) {
    let (mut tom, mut jack) = two(rig);
    wait_past_second(rig, 300);
    tom.write(rig, "JACK", 1, 0, "hello");
    assert_eq!(jack.deliveries(rig).len(), 1);
    tom.receipts(rig);
    (tom, jack)
}

#[test]
fn stranger_gets_receipt_at_next_full_second() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = handed(&mut rig);
    store(&mut rig, &mut jack, 1);
    assert_eq!(tom.receipts(&mut rig), [(1, 0, 0, true)], "as of a letter that waits");
    assert_eq!(rig.relay.stats().letters_stored, 1);
    rig.wait(ms(699));
    assert_eq!(tom.receipts(&mut rig), []);
    rig.wait(ms(1));
    assert_eq!(tom.receipts(&mut rig), [(1, 1, 0, false)]);
    rig.wait(secs(5));
    assert_eq!(tom.receipts(&mut rig), [], "once");
}

/// A repeated letter, a receipt query and a new session get no more than the last receipt.
#[test]
fn query_or_new_session_brings_no_earlier_receipt() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = handed(&mut rig);
    store(&mut rig, &mut jack, 1);
    tom.receipts(&mut rig);
    let to = "JACK";
    let outbox = OutboxId(OUTBOX);
    tom.say(&mut rig, StreamId::Control, &ToRelay::Ask { to, outbox });
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    assert!(tom.receipts(&mut rig).iter().all(|receipt| *receipt == (1, 0, 0, true)));
    let mut tom = Hand::member(&mut rig, udp(1, 9), 1, "TOM");
    tom.say(&mut rig, StreamId::Control, &ToRelay::Ask { to, outbox });
    let told = tom.receipts(&mut rig);
    assert!(!told.is_empty() && told.iter().all(|receipt| *receipt == (1, 0, 0, true)), "{told:?}");
    wait_past_second(&mut rig, 0);
    assert_eq!(tom.receipts(&mut rig), [(1, 1, 0, false)]);
}

/// A letter that waited in the mailbox is removed from the disk at once. No receipt goes out at
/// that time.
#[test]
fn stored_letter_of_stranger_leaves_mailbox_at_once() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = handed(&mut rig);
    rig.wait(ms(600));
    assert_eq!(tom.receipts(&mut rig), [(1, 0, 0, true)], "it was written down");
    wait_past_second(&mut rig, 300);
    rig.sent.clear();
    rig.commits = false;
    store(&mut rig, &mut jack, 1);
    let is_gone = |record: &Record| matches!(record, Record::Progress { stored, .. } if stored.len() == 1);
    assert!(rig.asked.iter().any(|(_, record)| is_gone(record)), "{:?}", rig.asked);
    rig.commits = true;
    rig.take(Vec::new());
    assert_eq!(tom.receipts(&mut rig), []);
    wait_past_second(&mut rig, 0);
    assert_eq!(tom.receipts(&mut rig), [(1, 1, 0, false)]);
}

/// The `accepted` receipt waits until the disk has the delivery. The receipt at the full second
/// does not.
#[test]
fn accepted_receipt_waits_for_durable_delivery() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = handed(&mut rig);
    rig.commits = false;
    store(&mut rig, &mut jack, 1);
    assert_eq!(tom.receipts(&mut rig), []);
    rig.commits = true;
    rig.take(Vec::new());
    assert_eq!(tom.receipts(&mut rig), [(1, 0, 0, true)]);
    rig.full = true;
    tom.write(&mut rig, "JACK", 2, 1, "and this?");
    jack.hear(&mut rig);
    store(&mut rig, &mut jack, 2);
    assert_eq!(tom.receipts(&mut rig), []);
    wait_past_second(&mut rig, 0);
    assert_eq!(tom.receipts(&mut rig), [(2, 2, 0, false)], "the disk is full, and JACK has it");
}

/// A recipient that gets to know the sender reports everything at once.
#[test]
fn known_sender_gets_receipts_without_delay() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = handed(&mut rig);
    store(&mut rig, &mut jack, 1);
    tom.receipts(&mut rig);
    let from = "TOM";
    let outbox = OutboxId(OUTBOX);
    let through = 1;
    jack.say(&mut rig, StreamId::Control, &ToRelay::Read { from, outbox, through });
    assert_eq!(tom.receipts(&mut rig), [(1, 1, 1, false)]);
    tom.write(&mut rig, "JACK", 2, 1, "again");
    jack.hear(&mut rig);
    store(&mut rig, &mut jack, 2);
    assert_eq!(tom.receipts(&mut rig), [(2, 1, 1, true)]);
    tom.write(&mut rig, "JACK", 3, 2, "and again");
    jack.hear(&mut rig);
    jack.store(&mut rig, "TOM", 3);
    assert_eq!(tom.receipts(&mut rig), [(3, 3, 1, false)]);
    wait_past_second(&mut rig, 500);
    assert_eq!(tom.receipts(&mut rig), []);
}

fn later(rig: Rig, dir: &FolderPath) -> Rig {
    let tick = rig.tick;
    drop(rig);
    Rig::open(dir, Limits::default(), tick)
}

/// The relay is killed before the full second. The next one has the delivery and reports it at its
/// own full second.
#[test]
fn held_back_receipt_survives_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), Limits::default(), START);
    let (mut tom, mut jack) = handed(&mut rig);
    store(&mut rig, &mut jack, 1);
    assert_eq!(tom.receipts(&mut rig), [(1, 0, 0, true)]);
    let mut rig = later(rig, dir.path());
    let mut tom = Hand::member(&mut rig, udp(1, 9), 1, "TOM");
    let told = tom.receipts(&mut rig);
    assert!(told.iter().all(|receipt| *receipt == (1, 0, 0, true)), "{told:?}");
    wait_past_second(&mut rig, 0);
    assert_eq!(tom.receipts(&mut rig), [(1, 1, 0, false)]);
}

/// Many letters of many strangers: one entry for each conversation and one timer for all. A turn
/// reports at most 256 of them.
#[test]
fn many_strangers_share_one_timer() {
    const STRANGERS: u64 = 300;
    let mut rig = Rig::with(Limits { per_sender: false, ..Limits::default() });
    let mut jack = Hand::member(&mut rig, udp(1, 1), 9_999, "JACK");
    let path = |n: u64| udp(2, 1_000 + n as u16);
    let member = |rig: &mut Rig, n: u64| Hand::member(rig, path(n), n, &format!("stranger-{n}"));
    let mut strangers: Vec<Hand> = (0..STRANGERS).map(|n| member(&mut rig, n)).collect();
    wait_past_second(&mut rig, 100);
    for number in 1..=3 {
        for (n, stranger) in strangers.iter_mut().enumerate() {
            let body = encode_text("hello", Wall(1));
            stranger.write_from(&mut rig, OutboxId(n as u64), "JACK", (number, number - 1), &body);
            jack.hear(&mut rig);
            let from = format!("stranger-{n}");
            jack.say(&mut rig, StreamId::Control, &stored_of_stranger(&from, n as u64, number));
        }
    }
    let told: Vec<_> = strangers.iter_mut().map(|stranger| stranger.receipts(&mut rig)).collect();
    assert!(told.iter().flatten().all(|receipt| receipt.1 == 0), "{told:?}");
    assert_eq!(rig.relay.held_back_count(), STRANGERS as usize);
    let second: Tick = (rig.tick + ms(1)).rounded_up(secs(1));
    rig.wait(second.since(rig.tick));
    let mut told = 0;
    for stranger in &mut strangers {
        told += usize::from(stranger.receipts(&mut rig).iter().any(|receipt| receipt.1 == 3));
    }
    assert_eq!(told, 256, "in one turn");
    rig.wait(ms(10));
    for stranger in &mut strangers {
        told += usize::from(stranger.receipts(&mut rig).iter().any(|receipt| receipt.1 == 3));
    }
    assert_eq!((told, rig.relay.held_back_count()), (STRANGERS as usize, 0));
}
