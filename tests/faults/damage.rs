//! Letters in a relay's mailboxes that its disk has damaged: the reports to their senders and to
//! the operator. Everything else continues.

use std::path::Path as FolderPath;

use queqiao::relay::{Event, Limits};
use queqiao::store::RELAY_DATABASE;
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::Reason;
use rusqlite::Connection;

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, START, secs, udp};

/// Changes one column of the letter with this number.
fn harm(dir: &FolderPath, set: &str, number: u64) {
    let db = Connection::open(dir.join(RELAY_DATABASE)).unwrap();
    let changed = db.execute(&format!("UPDATE letters SET {set} WHERE number = {number}"), []).unwrap();
    assert_eq!(changed, 1);
}

/// Flips a bit at the end of the message with this number.
fn harm_body(dir: &FolderPath, number: u64) {
    let db = Connection::open(dir.join(RELAY_DATABASE)).unwrap();
    let select = "SELECT message FROM letters WHERE number = ?1";
    let mut message: Vec<u8> = db.query_row(select, [number as i64], |row| row.get(0)).unwrap();
    *message.last_mut().unwrap() ^= 4;
    db.execute("UPDATE letters SET message = ?1 WHERE number = ?2", (message, number as i64)).unwrap();
}

/// Returns a relay that keeps these letters of TOM to JACK, who is away.
fn mailbox(dir: &FolderPath, numbers: std::ops::RangeInclusive<u64>) -> (RelayHarness, RawClient) {
    let mut relay = RelayHarness::open(dir, Limits::default(), START);
    RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    relay.wait(secs(200));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for number in numbers {
        tom.send_letter(&mut relay, "JACK", number, number - 1, &format!("number {number}"));
    }
    tom.take_messages(StreamId::Control);
    (relay, tom)
}

/// Returns the letters delivered to JACK: number and previous number.
fn numbers(jack: &mut RawClient) -> Vec<(u64, u64)> {
    let messages = jack.take_messages(StreamId::Chat).into_iter();
    messages
        .filter_map(|t| match t {
            SeenMessage::Delivery { number, prev, .. } => Some((number, prev)),
            _ => None,
        })
        .collect()
}

/// Returns the damaged letters reported to the operator: their senders, if known.
fn found(relay: &RelayHarness) -> Vec<Option<String>> {
    let shown = relay.events.iter();
    shown
        .filter_map(|event| match event {
            Event::Damaged { to, from, .. } => {
                assert_eq!(to.as_str(), "JACK");
                Some(from.as_ref().map(ToString::to_string))
            }
            _ => None,
        })
        .collect()
}

// faults.md: R71
/// The report comes once, also across a restart, and the letter's space is free again.
#[test]
fn damaged_letter_is_refused_before_later_ones_deliver() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, mut tom) = mailbox(dir.path(), 1..=4);
    harm_body(dir.path(), 2);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
    assert_eq!(numbers(&mut jack), [(1, 0), (3, 2), (4, 3)], "letter 3 shows that 2 is missing");
    jack.report_stored(&mut relay, "TOM", 4);
    tom.receive(&mut relay);
    let messages = tom.take_messages(StreamId::Control);
    let refused = SeenMessage::Refused {
        to: "JACK".into(),
        number: 2,
        through: 2,
        reason: Reason::Damaged,
        may_have_arrived: false,
        nearest: 0,
    };
    assert_eq!(messages, [refused, SeenMessage::Receipt { to: "JACK".into(), delivered: 4 }]);
    assert_eq!(found(&relay), [Some("TOM".into())]);

    // Both sign in again after a restart: no second report, and the letter's space is free.
    relay.wait(secs(200));
    let tick = relay.tick;
    drop(relay);
    let mut relay = RelayHarness::open(dir.path(), Limits { pair_letters: 1, ..Limits::default() }, tick);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 4), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 5, 4, "number 5");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 5), 2, "JACK");
    assert_eq!((numbers(&mut jack), found(&relay)), (vec![(5, 4)], vec![]));
}

// faults.md: R71
#[test]
fn absent_sender_gets_damaged_refusal_before_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, _) = mailbox(dir.path(), 1..=3);
    relay.wait(secs(200));
    harm_body(dir.path(), 2);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
    jack.report_stored(&mut relay, "TOM", 3);
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 2), 1, counter).unwrap();
    tom.sign_in(&mut relay, "TOM");
    let messages = tom.take_messages(StreamId::Control);
    let of_letters = messages.iter().filter(|t| !matches!(t, SeenMessage::Welcome));
    let of_letters: Vec<&SeenMessage> = of_letters.collect();
    assert!(
        matches!(
            of_letters[..],
            [SeenMessage::Refused { number: 2, .. }, SeenMessage::Receipt { delivered: 3, .. }]
        ),
        "{messages:?}"
    );
}

// faults.md: R71
/// 39 rows whose identity is damaged: none is attributed to a sender, and the intact letters are
/// delivered.
#[test]
fn sender_of_damaged_row_is_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, mut tom) = mailbox(dir.path(), 1..=40);
    harm(dir.path(), "outbox = outbox + 1", 40);
    for number in 1..=38 {
        harm(dir.path(), "number = -number", number);
    }
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
    assert_eq!(numbers(&mut jack), [(39, 38)]);
    jack.report_stored(&mut relay, "TOM", 39);
    tom.receive(&mut relay);
    assert_eq!(
        tom.take_messages(StreamId::Control),
        [SeenMessage::Receipt { to: "JACK".into(), delivered: 39 }]
    );
    assert_eq!(found(&relay), vec![None; 39]);
    tom.send_letter(&mut relay, "JACK", 41, 40, "number 41");
    jack.receive(&mut relay);
    assert_eq!(numbers(&mut jack), [(41, 40)], "new letters are taken");
}

// faults.md: R71
/// While the disk is full the refusal cannot be stored. Neither it nor later letters go out until
/// it is.
#[test]
fn unwritable_damage_report_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, _) = mailbox(dir.path(), 1..=3);
    harm_body(dir.path(), 1);
    relay.disk_is_full = true;
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
    relay.wait(secs(5));
    jack.receive(&mut relay);
    assert_eq!((numbers(&mut jack), found(&relay)), (vec![], vec![]), "its sender could not get the refusal");
    relay.disk_is_full = false;
    relay.wait(secs(5));
    jack.receive(&mut relay);
    assert_eq!((numbers(&mut jack), found(&relay)), (vec![(2, 1), (3, 2)], vec![Some("TOM".into())]));
}

// faults.md: R71
#[test]
fn damaged_letter_of_absent_reader_is_found_at_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, _) = mailbox(dir.path(), 1..=2);
    harm_body(dir.path(), 1);
    relay.wait(Limits::default().keep + secs(60));
    assert_eq!((found(&relay), relay.core.stats().letters_expired), (vec![Some("TOM".into())], 1));
    let mut tom = RawClient::handshake(&mut relay, udp(1, 9), 1, 1 << 40).unwrap();
    tom.sign_in(&mut relay, "TOM");
    let reasons = tom.take_messages(StreamId::Control).into_iter().filter_map(|t| match t {
        SeenMessage::Refused { number, reason, .. } => Some((number, reason)),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [(1, Reason::Damaged), (2, Reason::Expired)]);
}
