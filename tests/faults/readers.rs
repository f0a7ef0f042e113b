//! Recipients that refuse letters, and recipients that refuse letters of others.

use queqiao::base::{LetterId, OutboxId};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{Reason, ToRelay};

use super::hand::{Hand, Told};
use super::house::two;
use super::rig::{Rig, ms, secs, udp};

fn refuse_from(hand: &mut Hand, rig: &mut Rig, from: &str, (outbox, number): (u64, u64)) {
    let id = LetterId { outbox: OutboxId(outbox), number };
    let reason = Reason::Full;
    hand.say(rig, StreamId::Control, &ToRelay::ReaderRefusal { from, id, reason });
}

fn refuse(hand: &mut Hand, rig: &mut Rig, number: u64) {
    refuse_from(hand, rig, "TOM", (0xB0, number));
}

fn told(hand: &mut Hand, rig: &mut Rig) -> Vec<Told> {
    hand.hear(rig);
    hand.told(StreamId::Control)
}

/// Returns the refusals that TOM received, and receipts with a delivered number above this one.
fn ends(tom: &mut Hand, rig: &mut Rig, above: u64) -> Vec<Told> {
    let is_end = |told: &Told| !matches!(told, Told::Receipt { delivered, .. } if *delivered <= above);
    told(tom, rig).into_iter().filter(is_end).collect()
}

fn refused(number: u64, may_have_arrived: bool) -> Told {
    refused_all(number, number, may_have_arrived)
}

fn refused_all(number: u64, through: u64, may_have_arrived: bool) -> Told {
    let nearest = 0;
    Told::Refused { to: "JACK".into(), number, through, reason: Reason::Full, may_have_arrived, nearest }
}

fn delivered(through: u64) -> Told {
    Told::Receipt { to: "JACK".into(), delivered: through }
}

/// Returns TOM and JACK after this many letters of TOM were delivered to JACK.
fn handed(letters: u64) -> (Rig, Hand, Hand) {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    for number in 1..=letters {
        tom.write(&mut rig, "JACK", number, number - 1, "hello");
    }
    assert_eq!(jack.deliveries(&mut rig).len() as u64, letters);
    told(&mut tom, &mut rig);
    (rig, tom, jack)
}

/// The sender gets the refusal after its commit, and before the receipt for letters stored behind
/// it.
#[test]
fn refusal_reaches_sender_once_durable() {
    let (mut rig, mut tom, mut jack) = handed(4);
    rig.commits = false;
    for number in [2, 3] {
        refuse(&mut jack, &mut rig, number);
    }
    jack.store(&mut rig, "TOM", 4);
    assert_eq!(told(&mut tom, &mut rig), [delivered(1)], "letters before it count at once");
    rig.commits = true;
    rig.take(Vec::new());
    rig.take(Vec::new());
    assert_eq!(ends(&mut tom, &mut rig, 1), [refused_all(2, 3, false), delivered(4)]);
    refuse(&mut jack, &mut rig, 2);
    rig.wait(secs(1));
    assert!(ends(&mut tom, &mut rig, 4).is_empty(), "it was sent already");
    let ask = ToRelay::Ask { to: "JACK", outbox: OutboxId(0xB0) };
    tom.say(&mut rig, StreamId::Control, &ask);
    assert_eq!(ends(&mut tom, &mut rig, 4), [refused_all(2, 3, false)], "until it is acknowledged");
}

/// A sender that missed the answer sends its letters again. A refused one stays refused.
#[test]
fn repeated_refused_letter_is_refused_again() {
    let (mut rig, _tom, mut jack) = handed(2);
    refuse(&mut jack, &mut rig, 1);
    jack.store(&mut rig, "TOM", 2);
    let mut tom = Hand::member(&mut rig, udp(3, 1), 1, "TOM");
    told(&mut tom, &mut rig);
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    assert!(told(&mut tom, &mut rig).contains(&refused(1, false)));
    assert!(jack.deliveries(&mut rig).is_empty(), "it is not delivered again");
}

/// Another session of the recipient may have stored it.
#[test]
fn letter_delivered_before_may_have_arrived() {
    let (mut rig, mut tom, _jack) = handed(1);
    let mut jack = Hand::member(&mut rig, udp(4, 1), 2, "JACK");
    assert_eq!(jack.deliveries(&mut rig).len(), 1);
    refuse(&mut jack, &mut rig, 1);
    rig.wait(ms(1));
    assert_eq!(ends(&mut tom, &mut rig, 0), [refused(1, true)]);
}

#[test]
fn refusal_of_undelivered_letter_is_ignored() {
    let (mut rig, mut tom, mut jack) = handed(2);
    jack.store(&mut rig, "TOM", 1);
    told(&mut tom, &mut rig);
    refuse(&mut jack, &mut rig, 1);
    refuse(&mut jack, &mut rig, 3);
    for (from, id) in [("JACK", (0xB0, 2)), ("nobody", (0xB0, 2)), ("TOM", (0xB1, 2)), ("echo", (0xB0, 2))] {
        refuse_from(&mut jack, &mut rig, from, id);
    }
    refuse_from(&mut tom, &mut rig, "TOM", (0xB0, 2));
    rig.wait(secs(1));
    assert!(told(&mut tom, &mut rig).iter().all(|told| !matches!(told, Told::Refused { .. })));
    jack.store(&mut rig, "TOM", 2);
    assert_eq!(told(&mut tom, &mut rig), [delivered(2)]);
    assert!(jack.is_alive(&mut rig) && tom.is_alive(&mut rig));
}

/// A recipient could otherwise mislead senders with reasons that only a relay has.
#[test]
fn refusal_reason_reserved_for_relay_breaks_protocol() {
    for reason in [0, 1, 2, 4, 5, 6, 7, 11, 255] {
        let (mut rig, mut tom, mut jack) = handed(1);
        let mut message = vec![0x09, 3, b'T', b'O', b'M'];
        message.extend([0, 0, 0, 0, 0, 0, 0, 0xB0, 0, 0, 0, 0, 0, 0, 0, 1, reason]);
        jack.say_bytes(&mut rig, StreamId::Control, &message);
        assert!(jack.closed().is_some(), "{reason}");
        assert!(ends(&mut tom, &mut rig, 0).is_empty());
    }
}

// faults.md: R72
/// The sender gets nothing while the disk is full, and then everything in order.
#[test]
fn refusal_waits_while_disk_is_full() {
    let (mut rig, mut tom, mut jack) = handed(3);
    rig.full = true;
    refuse(&mut jack, &mut rig, 1);
    jack.store(&mut rig, "TOM", 3);
    rig.wait(secs(5));
    assert!(ends(&mut tom, &mut rig, 0).is_empty());
    rig.full = false;
    rig.wait(secs(2));
    assert_eq!(ends(&mut tom, &mut rig, 0), [refused(1, false), delivered(3)]);
    let mut again = Hand::member(&mut rig, udp(4, 1), 2, "JACK");
    assert!(again.deliveries(&mut rig).is_empty());
}
