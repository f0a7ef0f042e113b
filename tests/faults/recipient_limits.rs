//! Recipients that refuse letters, and recipients that refuse letters of others.

use queqiao::base::{LetterId, OutboxId};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{Reason, ToRelay};

use super::fixtures::two_members;
use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

fn refuse_from(client: &mut RawClient, relay: &mut RelayHarness, from: &str, (outbox, number): (u64, u64)) {
    let id = LetterId { outbox: OutboxId(outbox), number };
    let reason = Reason::Full;
    client.send_message(relay, StreamId::Control, &ToRelay::RecipientRefusal { from, id, reason });
}

fn refuse(client: &mut RawClient, relay: &mut RelayHarness, number: u64) {
    refuse_from(client, relay, "TOM", (0xB0, number));
}

fn take_messages_of(client: &mut RawClient, relay: &mut RelayHarness) -> Vec<SeenMessage> {
    client.receive(relay);
    client.take_messages(StreamId::Control)
}

/// Returns the refusals that TOM received, and receipts with a delivered number above this one.
fn ends(tom: &mut RawClient, relay: &mut RelayHarness, above: u64) -> Vec<SeenMessage> {
    let is_end = |message: &SeenMessage| !matches!(message, SeenMessage::Receipt { delivered, .. } if *delivered <= above);
    take_messages_of(tom, relay).into_iter().filter(is_end).collect()
}

fn refused(number: u64, may_have_arrived: bool) -> SeenMessage {
    refused_all(number, number, may_have_arrived)
}

fn refused_all(number: u64, through: u64, may_have_arrived: bool) -> SeenMessage {
    let nearest = 0;
    SeenMessage::Refused {
        to: "JACK".into(),
        number,
        through,
        reason: Reason::Full,
        may_have_arrived,
        nearest,
    }
}

fn delivered(through: u64) -> SeenMessage {
    SeenMessage::Receipt { to: "JACK".into(), delivered: through }
}

/// Returns TOM and JACK after this many letters of TOM were delivered to JACK.
fn handed(letters: u64) -> (RelayHarness, RawClient, RawClient) {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    for number in 1..=letters {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "hello");
    }
    assert_eq!(jack.take_deliveries(&mut relay).len() as u64, letters);
    take_messages_of(&mut tom, &mut relay);
    (relay, tom, jack)
}

/// The sender gets the refusal after its commit, and before the receipt for letters stored behind
/// it.
#[test]
fn refusal_reaches_sender_once_durable() {
    let (mut relay, mut tom, mut jack) = handed(4);
    relay.auto_commit = false;
    for number in [2, 3] {
        refuse(&mut jack, &mut relay, number);
    }
    jack.report_stored(&mut relay, "TOM", 4);
    assert_eq!(take_messages_of(&mut tom, &mut relay), [delivered(1)], "letters before it count at once");
    relay.auto_commit = true;
    relay.take_turn(Vec::new());
    relay.take_turn(Vec::new());
    assert_eq!(ends(&mut tom, &mut relay, 1), [refused_all(2, 3, false), delivered(4)]);
    refuse(&mut jack, &mut relay, 2);
    relay.wait(secs(1));
    assert!(ends(&mut tom, &mut relay, 4).is_empty(), "it was sent already");
    let ask = ToRelay::QueryReceipt { to: "JACK", outbox: OutboxId(0xB0), accepted: 0, settled: 0 };
    tom.send_message(&mut relay, StreamId::Control, &ask);
    assert_eq!(ends(&mut tom, &mut relay, 4), [refused_all(2, 3, false)], "until it is acknowledged");
}

/// A sender that missed the answer sends its letters again. A refused one stays refused.
#[test]
fn repeated_refused_letter_is_refused_again() {
    let (mut relay, _tom, mut jack) = handed(2);
    refuse(&mut jack, &mut relay, 1);
    jack.report_stored(&mut relay, "TOM", 2);
    let mut tom = RawClient::signed_in(&mut relay, udp(3, 1), 1, "TOM");
    take_messages_of(&mut tom, &mut relay);
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    assert!(take_messages_of(&mut tom, &mut relay).contains(&refused(1, false)));
    assert!(jack.take_deliveries(&mut relay).is_empty(), "it is not delivered again");
}

/// Another session of the recipient may have stored it.
#[test]
fn letter_delivered_before_may_have_arrived() {
    let (mut relay, mut tom, _jack) = handed(1);
    let mut jack = RawClient::signed_in(&mut relay, udp(4, 1), 2, "JACK");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1);
    refuse(&mut jack, &mut relay, 1);
    relay.wait(ms(1));
    assert_eq!(ends(&mut tom, &mut relay, 0), [refused(1, true)]);
}

#[test]
fn refusal_of_undelivered_letter_is_ignored() {
    let (mut relay, mut tom, mut jack) = handed(2);
    jack.report_stored(&mut relay, "TOM", 1);
    take_messages_of(&mut tom, &mut relay);
    refuse(&mut jack, &mut relay, 1);
    refuse(&mut jack, &mut relay, 3);
    for (from, id) in [("JACK", (0xB0, 2)), ("nobody", (0xB0, 2)), ("TOM", (0xB1, 2)), ("echo", (0xB0, 2))] {
        refuse_from(&mut jack, &mut relay, from, id);
    }
    refuse_from(&mut tom, &mut relay, "TOM", (0xB0, 2));
    relay.wait(secs(1));
    assert!(
        take_messages_of(&mut tom, &mut relay)
            .iter()
            .all(|message| !matches!(message, SeenMessage::Refused { .. }))
    );
    jack.report_stored(&mut relay, "TOM", 2);
    assert_eq!(take_messages_of(&mut tom, &mut relay), [delivered(2)]);
    assert!(jack.is_alive(&mut relay) && tom.is_alive(&mut relay));
}

/// A recipient could otherwise mislead senders with reasons that only a relay has.
#[test]
fn refusal_reason_reserved_for_relay_breaks_protocol() {
    for reason in [0, 1, 2, 4, 5, 6, 7, 11, 255] {
        let (mut relay, mut tom, mut jack) = handed(1);
        let mut message = vec![0x09, 3, b'T', b'O', b'M'];
        message.extend([0, 0, 0, 0, 0, 0, 0, 0xB0, 0, 0, 0, 0, 0, 0, 0, 1, reason]);
        jack.send_message_bytes(&mut relay, StreamId::Control, &message);
        assert!(jack.close_code().is_some(), "{reason}");
        assert!(ends(&mut tom, &mut relay, 0).is_empty());
    }
}

// faults.md: R72
/// The sender gets nothing while the disk is full, and then everything in order.
#[test]
fn refusal_waits_while_disk_is_full() {
    let (mut relay, mut tom, mut jack) = handed(3);
    relay.disk_is_full = true;
    refuse(&mut jack, &mut relay, 1);
    jack.report_stored(&mut relay, "TOM", 3);
    relay.wait(secs(5));
    assert!(ends(&mut tom, &mut relay, 0).is_empty());
    relay.disk_is_full = false;
    relay.wait(secs(2));
    assert_eq!(ends(&mut tom, &mut relay, 0), [refused(1, false), delivered(3)]);
    let mut again = RawClient::signed_in(&mut relay, udp(4, 1), 2, "JACK");
    assert!(again.take_deliveries(&mut relay).is_empty());
}

/// The recipient refused the second letter too, in a session that ended before the disk had it.
#[test]
fn refusal_of_next_session_is_not_covered_by_delivered_mark() {
    let (mut relay, mut tom, mut jack) = handed(1);
    relay.wait(secs(2));
    take_messages_of(&mut tom, &mut relay);
    relay.disk_is_full = true;
    refuse(&mut jack, &mut relay, 1);
    tom.send_letter(&mut relay, "JACK", 2, 1, "hello");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1);
    refuse(&mut jack, &mut relay, 2);
    jack.report_stored(&mut relay, "TOM", 2);
    let mut jack = RawClient::signed_in(&mut relay, udp(4, 1), 2, "JACK");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1, "the second letter is sent again");
    relay.disk_is_full = false;
    relay.wait(secs(2));
    let ended = ends(&mut tom, &mut relay, 0);
    assert!(ended.contains(&refused(1, false)) && !ended.contains(&delivered(2)), "{ended:?}");
    refuse(&mut jack, &mut relay, 2);
    relay.wait(secs(2));
    assert_eq!(ends(&mut tom, &mut relay, 1), [refused(2, true)]);
}
