//! Attacks of a signed-in member on the relay and other members: rates, names, counting.

use queqiao::base::{LetterId, OutboxId, Wall};
use queqiao::relay::Limits;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::{
    KIND_TEXT, Letter, NameReason, Names, Reason, SCREEN_FIRST, SCREEN_LAST, ToRelay,
};
use queqiao::wire::varint::write_varint;

use super::hand::{Hand, Told};
use super::house::two;
use super::rig::{Rig, ms, secs, udp};

/// Returns the number of letters taken.
fn taken(rig: &Rig) -> u64 {
    rig.relay.stats().letters_taken
}

fn few(letters_per_second: u32, letters_burst: u32) -> Limits {
    Limits { letters_per_second, letters_burst, ..Limits::default() }
}

// faults.md: R53
#[test]
fn letters_over_rate_wait_and_control_continues() {
    let mut rig = Rig::with(few(10, 20));
    let (mut tom, mut jack) = two(&mut rig);
    for number in 1..=30 {
        tom.write(&mut rig, "JACK", number, number - 1, "hello");
    }
    assert_eq!(taken(&rig), 20, "the burst, and not one more");
    jack.hear(&mut rig);
    jack.store(&mut rig, "TOM", 20);
    tom.hear(&mut rig);
    let receipt = Told::Receipt { to: "JACK".into(), delivered: 20 };
    assert_eq!(tom.told(StreamId::Control), [receipt], "control is not delayed");
    rig.wait(ms(500));
    assert_eq!(taken(&rig), 25, "ten a second");
    rig.wait(ms(500));
    assert_eq!(taken(&rig), 30, "nothing is dropped");
    assert_eq!(tom.closed(), None);
}

// faults.md: R53
#[test]
fn new_session_has_no_new_letter_burst() {
    let mut rig = Rig::with(few(10, 20));
    let mut jack = Hand::member(&mut rig, udp(2, 2_000), 2, "JACK");
    for _ in 0..5 {
        let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
        for number in 1..=30 {
            tom.write(&mut rig, "JACK", number, number - 1, "hello");
        }
        rig.wait(ms(100));
        jack.hear(&mut rig);
    }
    let most = 20 + 5;
    assert!(taken(&rig) <= most, "{} taken, {most} allowed in half a second", taken(&rig));
}

/// Returns the numbers of letters refused because the name is unknown, each with similar names.
fn told_unknown(hand: &mut Hand, rig: &mut Rig) -> Vec<u64> {
    hand.hear(rig);
    let unknown = |told: &Told| match told {
        Told::Refused { reason: Reason::Unknown, nearest: 1, number, .. } => Some(*number),
        other => panic!("only unknown names with one similar name, not {other:?}"),
    };
    hand.told(StreamId::Control).iter().filter_map(unknown).collect()
}

// faults.md: R61
#[test]
fn unknown_names_get_30_answers_a_minute_and_none_is_lost() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.told(StreamId::Control);
    for number in 1..=60 {
        tom.write_from(&mut rig, OutboxId(number), "JACC", (1, 0), b"");
    }
    assert_eq!(told_unknown(&mut tom, &mut rig).len(), 30);
    rig.wait(secs(10));
    assert_eq!(told_unknown(&mut tom, &mut rig).len(), 5, "one every two seconds");
    rig.wait(secs(50));
    assert_eq!(told_unknown(&mut tom, &mut rig).len(), 25, "each letter has its answer");
    assert_eq!(rig.relay.stats().letters_refused, 60);
}

/// Writes letters to an unknown name, each from another outbox: one more than are answered at once.
fn write_to_nobody(hand: &mut Hand, rig: &mut Rig) {
    for number in 1..=31 {
        hand.write_from(rig, OutboxId(number), "JACC", (1, 0), b"");
    }
}

// faults.md: R61
#[test]
fn letters_to_one_unknown_name_cost_one_look_up() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.refusals(&mut rig);
    for number in 1..=500 {
        tom.write(&mut rig, "nobody", number, number - 1, "hello");
    }
    assert_eq!(rig.relay.stats().letters_refused, 500);
    let told = tom.refusals(&mut rig);
    assert!(told.len() > 100 && told.iter().all(|(_, reason)| *reason == Reason::Unknown), "{told:?}");
    for number in 1..=29 {
        tom.write_from(&mut rig, OutboxId(number), "no-one", (1, 0), b"");
    }
    assert_eq!(rig.relay.stats().letters_refused, 529, "other names are answered at once");
    tom.write(&mut rig, "no-one", 1, 0, "the thirty-first name");
    rig.wait(ms(1_900));
    assert_eq!(rig.relay.stats().letters_refused, 529);
    rig.wait(ms(100));
    assert_eq!(rig.relay.stats().letters_refused, 530);
}

// faults.md: R61
/// An answer from the negative cache stays the same although the name was registered in between.
#[test]
fn cached_unknown_does_not_reveal_new_registration() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    for number in 1..=30 {
        tom.write(&mut rig, "ANN", number, number - 1, "hello");
    }
    assert_eq!(tom.refusals(&mut rig).len(), 30);
    let mut ann = Hand::member(&mut rig, udp(3, 3_000), 3, "ANN");
    tom.write(&mut rig, "ANN", 31, 30, "hello");
    assert_eq!(tom.refusals(&mut rig), [(31, Reason::Unknown)]);
    rig.wait(secs(2));
    tom.write(&mut rig, "ANN", 32, 31, "hello");
    assert_eq!(tom.refusals(&mut rig), [(32, Reason::Behind)], "31 was refused, so 32 would break the order");
    tom.write(&mut rig, "ANN", 32, 0, "hello");
    ann.hear(&mut rig);
    assert_eq!((ann.told(StreamId::Chat).len(), taken(&rig)), (1, 1));
}

// faults.md: R61
#[test]
fn new_name_is_found_within_1_min_whatever_is_asked() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.write(&mut rig, "ANN", 1, 0, "hello");
    let mut ann = Hand::member(&mut rig, udp(3, 3_000), 3, "ANN");
    let mut number = 1;
    let mut other = 0;
    for second in 0..60 {
        for _ in 0..if second == 0 { 40 } else { 1 } {
            other += 1;
            tom.write_from(&mut rig, OutboxId(other), "JACC", (1, 0), b"");
        }
        number += 1;
        tom.write(&mut rig, "ANN", number, 0, "are you there?");
        rig.wait(secs(1));
        ann.hear(&mut rig);
        tom.hear(&mut rig);
    }
    rig.wait(secs(60));
    ann.hear(&mut rig);
    assert!(!ann.told(StreamId::Chat).is_empty(), "the name is not found");
}

// faults.md: R61
/// Letters pass while an answer waits. Their receipts would reveal that the name before them is
/// unknown, so receipts wait.
#[test]
fn letter_behind_waiting_answer_is_delivered() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    tom.told(StreamId::Control);
    write_to_nobody(&mut tom, &mut rig);
    tom.write(&mut rig, "JACK", 1, 0, "behind it");
    assert_eq!(told_unknown(&mut tom, &mut rig).len(), 30);
    assert_eq!((jack.deliveries(&mut rig).len(), taken(&rig)), (1, 1));
    jack.store(&mut rig, "TOM", 1);
    for outbox in [OutboxId(0xB0), OutboxId(99)] {
        tom.say(&mut rig, StreamId::Control, &ToRelay::Ask { to: "JACK", outbox });
        tom.say(&mut rig, StreamId::Control, &ToRelay::Ask { to: "JACC", outbox });
    }
    let told = tom.told(StreamId::Control);
    let none = |to: &str| Told::Receipt { to: to.into(), delivered: 0 };
    assert_eq!(told, [none("JACK"), none("JACC"), none("JACK"), none("JACC")]);
    rig.wait(secs(2));
    tom.hear(&mut rig);
    let told = tom.told(StreamId::Control);
    let receipt = Told::Receipt { to: "JACK".into(), delivered: 1 };
    assert!(matches!(&told[..], [Told::Refused { number: 1, .. }, last] if *last == receipt), "{told:?}");
}

// faults.md: R61
#[test]
fn known_conversations_get_receipts_while_answers_wait() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    jack.deliveries(&mut rig);
    tom.told(StreamId::Control);
    write_to_nobody(&mut tom, &mut rig);
    for number in 2..=40 {
        tom.write(&mut rig, "JACK", number, number - 1, "on and on");
        jack.store(&mut rig, "TOM", number);
        tom.hear(&mut rig);
        let receipt = Told::Receipt { to: "JACK".into(), delivered: number };
        assert_eq!(tom.told(StreamId::Control).last(), Some(&receipt));
    }
}

// faults.md: R61
#[test]
fn name_registered_during_wait_gets_letters_again() {
    let mut rig = Rig::with(Limits { letters_per_second: 1, letters_burst: 37, ..Limits::default() });
    let (mut tom, _) = two(&mut rig);
    write_to_nobody(&mut tom, &mut rig);
    tom.refusals(&mut rig);
    (1..=3).for_each(|number| tom.write(&mut rig, "ANN", number, number - 1, "are you there?"));
    let mut ann = Hand::member(&mut rig, udp(3, 3_000), 3, "ANN");
    rig.wait(secs(2));
    tom.hear(&mut rig);
    let told = tom.told(StreamId::Control);
    let behind = |t: &Told| matches!(t, Told::Refused { number: 1, through: 3, reason: Reason::Behind, .. });
    assert!(told.iter().any(behind), "{told:?}");
    // Five are left of the burst and of two seconds.
    (4..=7).for_each(|number| tom.write(&mut rig, "JACK", number, number - 1, "counts"));
    (1..=3).for_each(|number| tom.write(&mut rig, "ANN", number, number - 1, "are you there?"));
    assert_eq!(ann.deliveries(&mut rig).len(), 3, "letters sent again do not count");
}

// faults.md: R61
#[test]
fn new_session_reveals_no_name_early() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.told(StreamId::Control);
    write_to_nobody(&mut tom, &mut rig);
    let mut again = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    again.write_from(&mut rig, OutboxId(31), "JACC", (1, 0), b"");
    again.write(&mut rig, "JACK", 1, 0, "is there a JACK?");
    assert!(told_unknown(&mut again, &mut rig).is_empty());
    rig.wait(ms(700));
    let mut again = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    again.write(&mut rig, "JACK", 1, 0, "is there a JACK?");
    rig.wait(ms(700));
    assert_eq!(again.told(StreamId::Control), [], "JACC has its turn though nothing asks for it");
    rig.wait(secs(1));
    again.hear(&mut rig);
    assert_eq!(again.told(StreamId::Control), [Told::Receipt { to: "JACK".into(), delivered: 0 }]);
}

// faults.md: R61
#[test]
fn waiting_answers_are_bounded_and_known_flows_continue() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    Hand::member(&mut rig, udp(3, 3_000), 3, "ANN");
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    for number in 1..=30 + 256 {
        tom.write_from(&mut rig, OutboxId(number), "JACC", (1, 0), b"");
    }
    tom.refusals(&mut rig);
    tom.write_from(&mut rig, OutboxId(900), "JACC", (1, 0), b"");
    tom.write_from(&mut rig, OutboxId(900), "ANN", (1, 0), b"");
    assert_eq!(
        tom.refusals(&mut rig),
        [(1, Reason::Full), (1, Reason::Full)],
        "whether the name exists or not"
    );
    tom.write(&mut rig, "JACK", 2, 1, "hello again");
    assert_eq!(jack.deliveries(&mut rig).len(), 2);
}

/// A letter behind a refused one is read twice and counts once. A circle of refusals still has a
/// cost.
#[test]
fn letter_sent_again_after_behind_counts_once() {
    let limits = Limits { letters_per_second: 1, letters_burst: 40, pair_letters: 10, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let (mut tom, mut jack) = two(&mut rig);
    (1..=10).for_each(|number| tom.write(&mut rig, "JACK", number, number - 1, "hello"));
    (11..=30).for_each(|number| tom.write(&mut rig, "JACK", number, number - 1, "hello"));
    assert_eq!(tom.refusals(&mut rig).len(), 20);
    assert_eq!(jack.deliveries(&mut rig).len(), 10);
    jack.store(&mut rig, "TOM", 10);
    tom.write(&mut rig, "JACK", 12, 10, "again");
    (13..=21).for_each(|number| tom.write(&mut rig, "JACK", number, number - 1, "again"));
    assert_eq!(jack.deliveries(&mut rig).len(), 10, "ten of forty are left");
    jack.store(&mut rig, "TOM", 21);
    tom.write(&mut rig, "JACK", 40, 39, "new");
    let refused = rig.relay.stats().letters_refused;
    // Each of these has had its free repetition.
    for _ in 0..10 {
        (12..=21).for_each(|number| tom.write(&mut rig, "JACK", number, number - 1, "again"));
    }
    assert_eq!((taken(&rig), rig.relay.stats().letters_refused), (21, refused));
    tom.write(&mut rig, "JACK", 41, 40, "waits");
    assert_eq!(taken(&rig), 21, "the circle used up the rest");
}

#[test]
fn blocked_burst_gets_one_refusal_for_all() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    let mut names = Vec::new();
    Names::put(&mut names, "TOM");
    let flags = SCREEN_FIRST | SCREEN_LAST;
    jack.say(&mut rig, StreamId::Control, &ToRelay::Screen { flags, names: Names::new(&names) });
    tom.told(StreamId::Control);
    let mut burst = Vec::new();
    let body = encode_text("hello", Wall(1));
    for number in 1..=20 {
        let id = LetterId { outbox: OutboxId(5), number };
        let letter = Letter {
            to: "JACK",
            id,
            prev: number - 1,
            mark: queqiao::base::Mark(0),
            kind: KIND_TEXT,
            body: &body,
        };
        let mut bytes = Vec::new();
        ToRelay::Letter(letter).encode(&mut bytes);
        write_varint(&mut burst, bytes.len() as u64);
        burst.extend_from_slice(&bytes);
    }
    tom.send(&mut rig, &[Frame::Stream { stream: StreamId::Chat, offset: 0, data: &burst }]);
    let whole = Told::Refused {
        to: "JACK".into(),
        number: 1,
        through: 20,
        reason: Reason::Blocked,
        may_have_arrived: false,
        nearest: 0,
    };
    assert_eq!(tom.told(StreamId::Control), [whole]);
    assert_eq!(rig.relay.stats().letters_refused, 20);
}

// faults.md: R61
#[test]
fn address_learns_of_30_taken_names_a_minute() {
    let mut rig = Rig::new();
    two(&mut rig);
    let mut told = Vec::new();
    for who in 100..140 {
        let mut stranger = Hand::shake(&mut rig, udp(7, 7), who, 1).unwrap();
        stranger.sign_in(&mut rig, "JACK");
        told.extend(stranger.told(StreamId::Control));
        rig.wait(ms(210));
    }
    let taken = Told::NameRefused(NameReason::Taken, "JACK".into());
    let too_many = Told::NameRefused(NameReason::TooMany, String::new());
    let count = |wanted: &Told| told.iter().filter(|told| *told == wanted).count();
    assert_eq!((count(&taken), count(&too_many)), (34, 6), "thirty, and one every two seconds");
    let mut tom = Hand::member(&mut rig, udp(7, 7), 1, "TOM");
    tom.hear(&mut rig);
    assert_eq!(tom.closed(), None, "the owner of a name is not affected");
}

// faults.md: R61
#[test]
fn only_members_may_look_up_names() {
    let mut rig = Rig::new();
    Hand::member(&mut rig, udp(2, 2_000), 2, "JACK");
    let mut stranger = Hand::shake(&mut rig, udp(9, 1_000), 9, 1).unwrap();
    stranger.write(&mut rig, "JACK", 1, 0, "is there a JACK?");
    stranger.write(&mut rig, "JACC", 1, 0, "or a JACC?");
    rig.wait(secs(5));
    stranger.hear(&mut rig);
    assert!(stranger.told(StreamId::Control).is_empty());
    assert_eq!(rig.relay.stats().letters_refused, 0);
}
