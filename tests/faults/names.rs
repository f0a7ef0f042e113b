//! Limits on names: for all addresses together, in total, and the lifetime of unused ones.

use std::net::{IpAddr, SocketAddr};

use queqiao::base::{Path, Tick};
use queqiao::relay::{Command, Limits};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{NameReason, Reason};

use super::hand::{Hand, Told};
use super::rig::{Given, Rig, START, ms, secs, udp};

const DAY_S: u64 = 24 * 3_600;

/// Returns a path from this /64 of this /48.
fn v6(network: u16, part: u16) -> Path {
    of_provider(0xdb8, network, part)
}

/// Returns a path from this /64 of this /48 of this /32.
fn of_provider(provider: u16, network: u16, part: u16) -> Path {
    let ip = IpAddr::from([0x2001, provider, network, part, 0, 0, 0, 1]);
    Path::Udp(SocketAddr::from((ip, 1_000)))
}

/// Registers a name and leaves. Returns the reason if it is refused.
fn ask(rig: &mut Rig, path: Path, who: u64, name: &str) -> Option<NameReason> {
    let counter = rig.counter();
    let mut hand = Hand::shake(rig, path, who, counter)?;
    hand.sign_in(rig, name);
    let told = hand.told(StreamId::Control);
    hand.send(rig, &[queqiao::wire::frame::Frame::Close { code: 0, reason: "" }]);
    match told.first() {
        Some(Told::Welcome) => None,
        Some(Told::NameRefused(reason, _)) => Some(*reason),
        other => panic!("{name}: {other:?}"),
    }
}

fn open(dir: &std::path::Path, limits: &Limits, tick: Tick) -> Rig {
    Rig::open(dir, limits.clone(), tick)
}

/// Stops the relay in good order and starts another with its folder.
fn restart(mut rig: Rig, dir: &std::path::Path, limits: &Limits) -> Rig {
    rig.take(vec![Given::Other(queqiao::base::Input::Command(Command::Stop))]);
    let tick = rig.tick + secs(1);
    let counters = rig.counter();
    drop(rig);
    let mut rig = open(dir, limits, tick);
    (0..counters).for_each(|_| assert!(rig.counter() > 0));
    rig
}

/// A thousand /64s of four /48s register names for an hour. A newcomer comes every ten minutes and
/// registers at once.
#[test]
fn newcomer_registers_despite_1000_registering_64s() {
    let mut rig = Rig::new();
    let mut registered = 0;
    let mut newcomers = 0;
    for minute in 0..60_u64 {
        for n in 0..17 {
            let who = minute * 17 + n;
            let path = v6((who % 4) as u16, who as u16);
            registered += usize::from(ask(&mut rig, path, who, &format!("squat{who}")).is_none());
        }
        if minute % 10 == 9 {
            let path = v6(100 + minute as u16, 0);
            assert_eq!(ask(&mut rig, path, 10_000 + minute, &format!("newcomer{minute}")), None);
            newcomers += 1;
        }
        rig.wait(secs(60));
    }
    assert!((10..=30 + 4).contains(&registered), "{registered} of 1,020");
    assert!(registered + newcomers <= 60);
}

/// A thousand /48s of one provider register names for an hour, more than there are. A newcomer of
/// another provider comes every ten minutes and registers at once.
#[test]
fn newcomer_registers_despite_1000_registering_48s() {
    let mut rig = Rig::new();
    let mut registered = 0;
    for minute in 0..60_u64 {
        for n in 0..17 {
            let who = minute * 17 + n;
            registered +=
                usize::from(ask(&mut rig, v6(who as u16, 0), who, &format!("squat{who}")).is_none());
        }
        if minute % 10 == 9 {
            let path = of_provider(0xdb9, minute as u16, 0);
            assert_eq!(ask(&mut rig, path, 10_000 + minute, &format!("newcomer{minute}")), None);
        }
        rig.wait(secs(60));
    }
    assert!((30..=40).contains(&registered), "{registered} of 1,020");
}

#[test]
fn member_limit_holds_across_restart() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { members_max: 6, ..Limits::default() };
    let mut rig = open(dir.path(), &limits, START);
    for who in 0..3 {
        assert_eq!(ask(&mut rig, v6(1, who as u16), who, &format!("name{who}")), None);
    }
    assert_eq!(
        ask(&mut rig, v6(1, 9), 9, "name9"),
        Some(NameReason::TooMany),
        "the upper half is for others"
    );
    assert_eq!(ask(&mut rig, v6(2, 0), 3, "name3"), None);
    let mut rig = restart(rig, dir.path(), &limits);
    for who in 4..6 {
        assert_eq!(ask(&mut rig, v6(who as u16, 0), who, &format!("name{who}")), None);
    }
    assert_eq!(ask(&mut rig, v6(9, 0), 9, "name9"), Some(NameReason::Full));
    assert_eq!(ask(&mut rig, v6(1, 0), 0, "name0"), None, "members still sign in");
    let mut rig = restart(rig, dir.path(), &limits);
    assert_eq!(ask(&mut rig, v6(9, 0), 9, "name9"), Some(NameReason::Full));
}

/// Names of members that signed in again, wrote or were written to are never freed.
#[test]
fn only_unused_names_are_freed_after_30_days() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let mut rig = open(dir.path(), &limits, START);
    let names = ["idle", "again", "writer", "reader", "echoes", "stays"];
    let mut hands: Vec<Hand> = Vec::new();
    for (who, name) in names.iter().enumerate() {
        hands.push(Hand::member(&mut rig, udp(1 + who as u8, 1), who as u64, name));
    }
    hands[2].write(&mut rig, "reader", 1, 0, "hello");
    hands[4].write(&mut rig, "echo", 1, 0, "hello");
    rig.wait(secs(2 * DAY_S));
    assert_eq!(ask(&mut rig, udp(2, 2), 1, "again"), None);
    let mut rig = restart(rig, dir.path(), &limits);
    // This one stays signed in until its name would be freed.
    let mut stays = Hand::member(&mut rig, udp(6, 2), 5, "stays");
    rig.wait(secs(27 * DAY_S));
    assert_eq!(rig.relay.stats().names_freed, 0, "a day early");
    let mut rig = restart(rig, dir.path(), &limits);
    rig.wait(secs(DAY_S + 60));
    assert_eq!(rig.relay.stats().names_freed, 1);
    stays.hear(&mut rig);
    for (who, name) in names.iter().enumerate() {
        let expected = (who != 0).then_some(NameReason::Taken);
        assert_eq!(ask(&mut rig, udp(99, who as u16), 100 + who as u64, name), expected, "{name}");
    }
    let rig = restart(rig, dir.path(), &limits);
    assert_eq!(rig.relay.member_count(), names.len(), "the slot of the freed name was used again");
}

/// The key may register another name. The slot of a freed member does not carry its conversations
/// over to the next owner.
#[test]
fn freed_name_leaves_nothing_to_inherit() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    assert_eq!(ask(&mut rig, udp(2, 1), 2, "idle"), None);
    tom.write(&mut rig, "TOM", 1, 0, "to myself");
    rig.wait(secs(31 * DAY_S));
    assert_eq!(rig.relay.stats().names_freed, 1);
    let mut tom = Hand::member(&mut rig, udp(1, 2), 1, "TOM");
    tom.write(&mut rig, "idle", 1, 0, "nobody");
    assert_eq!(tom.refusals(&mut rig), [(1, Reason::Unknown)]);
    let mut heir = Hand::member(&mut rig, udp(3, 1), 3, "heir");
    assert_eq!(heir.deliveries(&mut rig), []);
    assert_eq!(ask(&mut rig, udp(2, 2), 2, "other"), None, "its key is as free as its name");
    assert_eq!(rig.relay.member_count(), 3);
}

#[test]
fn unused_names_are_freed_over_several_turns() {
    let limits = Limits { all_names_per_hour: None, ..Limits::default() };
    let mut rig = Rig::with(limits);
    for who in 0..200_u64 {
        assert_eq!(ask(&mut rig, v6(who as u16, 0), who, &format!("idle{who}")), None);
        rig.wait(ms(20));
    }
    rig.wait(secs(30 * DAY_S - 60));
    assert_eq!(rig.relay.stats().names_freed, 0);
    let mut most = 0;
    let mut before = 0;
    while let Some(at) = rig.deadline.filter(|_| before < 200) {
        rig.wait(at.since(rig.tick));
        let freed = rig.relay.stats().names_freed;
        most = most.max(freed - before);
        before = freed;
    }
    assert!((1..=64).contains(&most), "{most} in one turn");
}
