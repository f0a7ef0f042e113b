//! What a signed-in member can do to the relay and to other members: rates, names, counting.

use queqiao::base::OutboxId;
use queqiao::relay::Limits;
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{NameReason, Reason};

use super::hand::{Hand, Told};
use super::house::two;
use super::rig::{Rig, ms, secs, udp};

/// Letters to `echo` that were answered with a receipt or an echo.
fn taken(rig: &Rig) -> u64 {
    rig.relay.stats().letters_taken
}

fn few(letters_per_second: u32, letters_burst: u32) -> Limits {
    Limits { letters_per_second, letters_burst, ..Limits::default() }
}

#[test]
fn row_53_letters_beyond_the_rate_wait_and_control_flows_on() {
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
    assert_eq!(tom.told(StreamId::Control), [receipt], "control is not held back");
    rig.wait(ms(500));
    assert_eq!(taken(&rig), 25, "ten a second");
    rig.wait(ms(500));
    assert_eq!(taken(&rig), 30, "nothing is dropped");
    assert_eq!(tom.closed(), None);
}

#[test]
fn row_53_a_member_who_comes_again_has_no_new_share() {
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

/// The numbers of the letters that were refused because nobody has the name, each with names like it.
fn told_unknown(hand: &mut Hand, rig: &mut Rig) -> Vec<u64> {
    hand.hear(rig);
    let unknown = |told: &Told| match told {
        Told::Refused { reason: Reason::Unknown, nearest: 1, number, .. } => Some(*number),
        other => panic!("only names like it, not {other:?}"),
    };
    hand.told(StreamId::Control).iter().filter_map(unknown).collect()
}

#[test]
fn row_61_a_member_is_told_of_thirty_unknown_names_a_minute_and_loses_no_letter() {
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

/// Letters to a name that nobody has, each from another outbox: one more than are answered at once.
fn write_to_nobody(hand: &mut Hand, rig: &mut Rig) {
    for number in 1..=31 {
        hand.write_from(rig, OutboxId(number), "JACC", (1, 0), b"");
    }
}

#[test]
fn row_61_hundreds_of_letters_to_one_unknown_name_are_answered_at_once() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.refusals(&mut rig);
    for number in 1..=500 {
        tom.write(&mut rig, "nobody", number, number - 1, "hello");
    }
    assert_eq!(rig.relay.stats().letters_refused, 500);
    let told = tom.refusals(&mut rig);
    assert!(told.len() > 100 && told.iter().all(|(_, reason)| *reason == Reason::Unknown), "{told:?}");
    tom.write(&mut rig, "no-one", 1, 0, "of another name it is not told more often");
    rig.wait(ms(1_900));
    assert_eq!(rig.relay.stats().letters_refused, 500);
    rig.wait(ms(100));
    assert_eq!(rig.relay.stats().letters_refused, 501);
}

#[test]
fn row_61_what_was_told_is_told_again_from_memory_and_shows_nobody_who_registers_meanwhile() {
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
    assert_eq!(tom.refusals(&mut rig), [(32, Reason::Behind)], "31 was refused: order");
    tom.write(&mut rig, "ANN", 32, 0, "hello");
    ann.hear(&mut rig);
    assert_eq!((ann.told(StreamId::Chat).len(), taken(&rig)), (1, 1));
}

#[test]
fn row_61_who_registers_is_found_within_a_minute_whatever_else_a_member_asks() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.write(&mut rig, "ANN", 1, 0, "hello");
    let mut ann = Hand::member(&mut rig, udp(3, 3_000), 3, "ANN");
    let (mut number, mut other) = (1, 0);
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
    assert!(!ann.told(StreamId::Chat).is_empty(), "never found");
}

/// What a letter to a member earns would tell that the name before it has nobody.
#[test]
fn row_61_a_letter_to_a_member_behind_one_that_waits_is_told_nothing_of_and_arrives() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    tom.told(StreamId::Control);
    write_to_nobody(&mut tom, &mut rig);
    tom.write(&mut rig, "JACK", 1, 0, "behind it");
    assert_eq!(told_unknown(&mut tom, &mut rig).len(), 30);
    jack.hear(&mut rig);
    assert_eq!((jack.told(StreamId::Chat).len(), taken(&rig)), (0, 0));
    rig.wait(secs(2));
    assert_eq!(told_unknown(&mut tom, &mut rig), [1]);
    jack.hear(&mut rig);
    assert_eq!((jack.told(StreamId::Chat).len(), taken(&rig)), (1, 1));
}

#[test]
fn row_61_coming_again_gives_no_new_share_and_the_letter_that_waited_is_sent_again() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    tom.told(StreamId::Control);
    write_to_nobody(&mut tom, &mut rig);
    let mut again = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    again.write_from(&mut rig, OutboxId(31), "JACC", (1, 0), b"");
    assert!(told_unknown(&mut again, &mut rig).is_empty());
    rig.wait(secs(2));
    assert_eq!(told_unknown(&mut again, &mut rig), [1]);
    assert_eq!(rig.relay.stats().letters_refused, 31, "once");
}

#[test]
fn row_61_strangers_of_one_address_are_told_of_thirty_taken_names_a_minute() {
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
    assert_eq!(tom.closed(), None, "who owns a name is not concerned");
}

#[test]
fn row_61_only_members_may_look_for_names() {
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
