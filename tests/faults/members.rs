//! What a signed-in member can do to the relay and to other members: rates, names, counting.

use queqiao::base::OutboxId;
use queqiao::relay::Limits;
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::Reason;

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

/// How many of `tries` letters to somebody unknown come back with names like it.
fn looked_up(rig: &mut Rig, hand: &mut Hand, tries: u64) -> usize {
    hand.told(StreamId::Control);
    for number in 1..=tries {
        hand.write_from(rig, OutboxId(rig.tick.as_micros()), "JACC", (number, 0), b"");
    }
    hand.hear(rig);
    let found = |told: &Told| matches!(told, Told::Refused { reason: Reason::Unknown, nearest: 1, .. });
    hand.told(StreamId::Control).iter().filter(|told| found(told)).count()
}

#[test]
fn row_61_names_are_looked_for_thirty_times_a_minute() {
    let mut rig = Rig::new();
    let (mut tom, _) = two(&mut rig);
    assert_eq!(looked_up(&mut rig, &mut tom, 60), 30);
    rig.wait(secs(10));
    assert_eq!(looked_up(&mut rig, &mut tom, 60), 5, "one every two seconds");
    let mut again = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    assert_eq!(looked_up(&mut rig, &mut again, 60), 0, "coming again gives no new share");
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
