//! Letters to names that do not exist: the cost of an answer, and the budget of all members
//! together.

use queqiao::relay::{Limits, NAMES_LOOKED_AT_MAX};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::Reason;

use super::hand::{Hand, Told};
use super::rig::{Rig, ms, secs, udp};

/// Signs in members with names of one form: each has another character at the same place. They are
/// syllables of Hangul, because some of as many consecutive Chinese characters look alike.
fn crowd(rig: &mut Rig, count: u32) -> Vec<Hand> {
    let name = |n: u32| format!("p{}q", char::from_u32(0xAC00 + n).unwrap());
    (0..count)
        .map(|n| {
            rig.wait(ms(20));
            Hand::member(rig, udp(1 + n as u8, 1), u64::from(n), &name(n))
        })
        .collect()
}

/// Returns the new refusals: their numbers and the count of similar names in each.
fn refused(rig: &mut Rig, hand: &mut Hand) -> Vec<(u64, usize)> {
    hand.hear(rig);
    let unknown = |told| match told {
        Told::Refused { reason: Reason::Unknown, number, nearest, .. } => Some((number, nearest)),
        _ => None,
    };
    hand.told(StreamId::Control).into_iter().filter_map(unknown).collect()
}

// faults.md: R61
/// Forty members mistype a name at once. Each is refused in the same turn. As many answers have
/// similar names as the common budget allows.
#[test]
fn similar_names_stay_within_budget_of_all_members() {
    let mut rig = Rig::with(Limits { all_names_per_hour: None, ..Limits::default() });
    let mut hands = crowd(&mut rig, 40);
    rig.wait(secs(60));
    let mut with_names = 0;
    for hand in &mut hands {
        let before = rig.relay.stats().names_looked_at;
        hand.write(&mut rig, "pq", 1, 0, "hello");
        let looked_at = rig.relay.stats().names_looked_at - before;
        let answers = refused(&mut rig, hand);
        assert_eq!(answers.len(), 1, "it is refused at once");
        assert!(looked_at <= NAMES_LOOKED_AT_MAX as u64);
        assert_eq!(looked_at > 0, answers[0].1 > 0);
        with_names += usize::from(answers[0].1 > 0);
    }
    assert_eq!(with_names, 32);
    rig.wait(secs(1));
    hands[39].write(&mut rig, "pq", 2, 0, "hello");
    assert_eq!(refused(&mut rig, &mut hands[39]), [(2, 3)]);
}

// faults.md: R61
/// A name with two wrong characters is found only among the sender's correspondents, also after a
/// restart.
#[test]
fn two_mistypes_find_only_correspondents() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), Limits::default(), super::rig::START);
    let names = ["alexander", "TOM", "JACK"];
    let come = |rig: &mut Rig, port: u16| -> Vec<Hand> {
        let member = |(who, name): (usize, &&str)| Hand::member(rig, udp(who as u8, port), who as u64, name);
        names.iter().enumerate().map(member).collect()
    };
    let mut hands = come(&mut rig, 1);
    let asks = |rig: &mut Rig, hand: &mut Hand, wanted: &str, number: u64| {
        // `prev` is 0, as from a client that knows the earlier refusals.
        hand.write(rig, wanted, number, 0, "hello");
        refused(rig, hand).first().map(|answer| answer.1)
    };
    for hand in &mut hands[1..] {
        assert_eq!(asks(&mut rig, hand, "elaxender", 1), Some(0));
    }
    hands[1].write(&mut rig, "alexander", 1, 0, "hello");
    hands[0].hear(&mut rig);
    hands[0].store(&mut rig, "TOM", 1);
    assert_eq!(asks(&mut rig, &mut hands[1], "elaxender", 2), Some(1), "a correspondent");
    assert_eq!(asks(&mut rig, &mut hands[2], "elaxender", 2), Some(0));
    rig.take(vec![super::rig::Given::Other(queqiao::base::Input::Command(queqiao::relay::Command::Stop))]);
    let tick = rig.tick;
    drop(rig);
    let mut rig = Rig::open(dir.path(), Limits::default(), tick + secs(1));
    (0..10).for_each(|_| assert!(rig.counter() > 0));
    let mut hands = come(&mut rig, 2);
    assert_eq!(asks(&mut rig, &mut hands[1], "elaxender", 3), Some(1), "after a restart");
    assert_eq!(asks(&mut rig, &mut hands[2], "elaxender", 3), Some(0));
}
