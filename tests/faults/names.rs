//! Limits on names: for all addresses together, in total, and the lifetime of unused ones.

use std::net::{IpAddr, SocketAddr};

use queqiao::base::{Path, Tick};
use queqiao::relay::{Command, Limits};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::{NameReason, Reason};

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{HarnessInput, RelayHarness, START, ms, secs, udp};

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
fn request_name(relay: &mut RelayHarness, path: Path, member: u64, name: &str) -> Option<NameReason> {
    let counter = relay.next_counter();
    let mut client = RawClient::handshake(relay, path, member, counter)?;
    client.sign_in(relay, name);
    let messages = client.take_messages(StreamId::Control);
    client.send(relay, &[queqiao::wire::frame::Frame::Close { code: 0, reason: "" }]);
    match messages.first() {
        Some(SeenMessage::Welcome) => None,
        Some(SeenMessage::NameRefused(reason, _)) => Some(*reason),
        other => panic!("{name}: {other:?}"),
    }
}

fn open(dir: &std::path::Path, limits: &Limits, tick: Tick) -> RelayHarness {
    RelayHarness::open(dir, limits.clone(), tick)
}

/// Stops the relay in good order and starts another with its folder.
fn restart(mut relay: RelayHarness, dir: &std::path::Path, limits: &Limits) -> RelayHarness {
    relay.take_turn(vec![HarnessInput::Other(queqiao::base::Input::Command(Command::Stop))]);
    let tick = relay.tick + secs(1);
    let counters = relay.next_counter();
    drop(relay);
    let mut relay = open(dir, limits, tick);
    (0..counters).for_each(|_| assert!(relay.next_counter() > 0));
    relay
}

/// A thousand /64s of four /48s register names for an hour. A newcomer comes every ten minutes and
/// registers at once.
#[test]
fn newcomer_registers_despite_1000_registering_64s() {
    let mut relay = RelayHarness::new();
    let mut registered = 0;
    let mut newcomers = 0;
    for minute in 0..60_u64 {
        for n in 0..17 {
            let member = minute * 17 + n;
            let path = v6((member % 4) as u16, member as u16);
            registered +=
                usize::from(request_name(&mut relay, path, member, &format!("squat{member}")).is_none());
        }
        if minute % 10 == 9 {
            let path = v6(100 + minute as u16, 0);
            assert_eq!(request_name(&mut relay, path, 10_000 + minute, &format!("newcomer{minute}")), None);
            newcomers += 1;
        }
        relay.wait(secs(60));
    }
    assert!((10..=30 + 4).contains(&registered), "{registered} of 1,020");
    assert!(registered + newcomers <= 60);
}

/// A thousand /48s of one provider register names for an hour, more than there are. A newcomer of
/// another provider comes every ten minutes and registers at once.
#[test]
fn newcomer_registers_despite_1000_registering_48s() {
    let mut relay = RelayHarness::new();
    let mut registered = 0;
    for minute in 0..60_u64 {
        for n in 0..17 {
            let member = minute * 17 + n;
            registered += usize::from(
                request_name(&mut relay, v6(member as u16, 0), member, &format!("squat{member}")).is_none(),
            );
        }
        if minute % 10 == 9 {
            let path = of_provider(0xdb9, minute as u16, 0);
            assert_eq!(request_name(&mut relay, path, 10_000 + minute, &format!("newcomer{minute}")), None);
        }
        relay.wait(secs(60));
    }
    assert!((30..=40).contains(&registered), "{registered} of 1,020");
}

#[test]
fn member_limit_holds_across_restart() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { members_max: 6, ..Limits::default() };
    let mut relay = open(dir.path(), &limits, START);
    for member in 0..3 {
        assert_eq!(request_name(&mut relay, v6(1, member as u16), member, &format!("name{member}")), None);
    }
    assert_eq!(
        request_name(&mut relay, v6(1, 9), 9, "name9"),
        Some(NameReason::TooMany),
        "the upper half is for others"
    );
    assert_eq!(request_name(&mut relay, v6(2, 0), 3, "name3"), None);
    let mut relay = restart(relay, dir.path(), &limits);
    for member in 4..6 {
        assert_eq!(request_name(&mut relay, v6(member as u16, 0), member, &format!("name{member}")), None);
    }
    assert_eq!(request_name(&mut relay, v6(9, 0), 9, "name9"), Some(NameReason::Full));
    assert_eq!(request_name(&mut relay, v6(1, 0), 0, "name0"), None, "members still sign in");
    let mut relay = restart(relay, dir.path(), &limits);
    assert_eq!(request_name(&mut relay, v6(9, 0), 9, "name9"), Some(NameReason::Full));
}

/// Names of members that signed in again, wrote or were written to are never freed.
#[test]
fn only_unused_names_are_freed_after_30_days() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let mut relay = open(dir.path(), &limits, START);
    let names = ["idle", "again", "writer", "reader", "echoes", "stays"];
    let mut clients: Vec<RawClient> = Vec::new();
    for (member, name) in names.iter().enumerate() {
        clients.push(RawClient::signed_in(&mut relay, udp(1 + member as u8, 1), member as u64, name));
    }
    clients[2].send_letter(&mut relay, "reader", 1, 0, "hello");
    clients[4].send_letter(&mut relay, "echo", 1, 0, "hello");
    relay.wait(secs(2 * DAY_S));
    assert_eq!(request_name(&mut relay, udp(2, 2), 1, "again"), None);
    let mut relay = restart(relay, dir.path(), &limits);
    // This one stays signed in until its name would be freed.
    let mut stays = RawClient::signed_in(&mut relay, udp(6, 2), 5, "stays");
    relay.wait(secs(27 * DAY_S));
    assert_eq!(relay.core.stats().names_freed, 0, "a day early");
    let mut relay = restart(relay, dir.path(), &limits);
    relay.wait(secs(DAY_S + 60));
    assert_eq!(relay.core.stats().names_freed, 1);
    stays.receive(&mut relay);
    for (member, name) in names.iter().enumerate() {
        let expected = (member != 0).then_some(NameReason::Taken);
        assert_eq!(
            request_name(&mut relay, udp(99, member as u16), 100 + member as u64, name),
            expected,
            "{name}"
        );
    }
    let relay = restart(relay, dir.path(), &limits);
    assert_eq!(relay.core.member_count(), names.len(), "the slot of the freed name was used again");
}

/// The key may register another name. The slot of a freed member does not carry its conversations
/// over to the next owner.
#[test]
fn freed_name_leaves_nothing_to_inherit() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    assert_eq!(request_name(&mut relay, udp(2, 1), 2, "idle"), None);
    tom.send_letter(&mut relay, "TOM", 1, 0, "to myself");
    relay.wait(secs(31 * DAY_S));
    assert_eq!(relay.core.stats().names_freed, 1);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
    tom.send_letter(&mut relay, "idle", 1, 0, "nobody");
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::Unknown)]);
    let mut heir = RawClient::signed_in(&mut relay, udp(3, 1), 3, "heir");
    assert_eq!(heir.take_deliveries(&mut relay), []);
    assert_eq!(request_name(&mut relay, udp(2, 2), 2, "other"), None, "its key is as free as its name");
    assert_eq!(relay.core.member_count(), 3);
}

#[test]
fn unused_names_are_freed_over_several_turns() {
    let limits = Limits { all_names_per_hour: None, ..Limits::default() };
    let mut relay = RelayHarness::with(limits);
    for member in 0..200_u64 {
        assert_eq!(request_name(&mut relay, v6(member as u16, 0), member, &format!("idle{member}")), None);
        relay.wait(ms(20));
    }
    relay.wait(secs(30 * DAY_S - 60));
    assert_eq!(relay.core.stats().names_freed, 0);
    let mut most = 0;
    let mut before = 0;
    while let Some(at) = relay.deadline.filter(|_| before < 200) {
        relay.wait(at.since(relay.tick));
        let freed = relay.core.stats().names_freed;
        most = most.max(freed - before);
        before = freed;
    }
    assert!((1..=64).contains(&most), "{most} in one turn");
}
