//! Scenarios below a conversation: another network, the memory of an earlier run, and errors of the
//! system and forged packets, which prove nothing.

use std::time::Duration;

use queqiao::base::{Carrier, Core, Input, Path, Tick, Why};
use queqiao::client::{Carriers, Command, Event, Unreached};
use queqiao::wire::packet;

use super::node::Waiting;
use super::stories::{delivered, is_online, millis, say, secs, shows, two};
use super::stories_of_paths::{first_letter_over_tcp, hole, moves, only_jack_is_there, path, talking};
use super::tcp::Side;
use super::weather::Weather;
use super::world::{Happening, RELAY_ADDR, World};

/// Moves the machine to another network: another address, and connections of the old one lead
/// nowhere.
fn change_network(world: &mut World, client: usize, noticed: bool) {
    world.rebind(client, true);
    stall(world, client);
    if noticed {
        world.command(client, Command::NetworkChanged);
    }
}

/// Stalls the client's connections. Neither end is notified.
fn stall(world: &mut World, client: usize) {
    let until = world.now + secs(3_600);
    for conn in world.conns.values_mut().filter(|conn| conn.client == client) {
        conn.socket.iter_mut().for_each(|socket| socket.stalled_until = until);
    }
}

/// TOM's conversation is on TCP, because UDP is dead.
fn on_tcp() -> (World, usize, usize) {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    assert_eq!(path(&world, tom), Some(Carrier::Tcp));
    (world, tom, jack)
}

/// Without a notification by the system, the sender reaches the listener after its next keep-alive.
#[test]
fn moved_listener_is_reached_at_once_if_notified() {
    for (noticed, most) in [(true, millis(200)), (false, secs(30))] {
        let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
        world.run_for(secs(50));
        change_network(&mut world, jack, noticed);
        world.run_for(millis(100));
        let took = say(&mut world, tom, "JACK", most);
        println!("a letter to a listener that has moved, noticed {noticed}: {took:?}");
        assert_eq!(noticed, took < millis(200), "otherwise it is found by its next keep-alive");
        assert!(moves(&world, jack).is_empty());
    }
}

#[test]
fn network_change_on_tcp_validates_udp_at_once() {
    let (mut world, tom, jack) = on_tcp();
    world.run_for(secs(100));
    let handshakes = world.relay.core.stats().handshakes;
    hole(&mut world, tom, false, false);
    change_network(&mut world, tom, true);
    assert!(world.run_until(millis(500), |w| path(w, tom) == Some(Carrier::Udp)), "{:?}", moves(&world, tom));
    say(&mut world, tom, "JACK", millis(200));
    say(&mut world, jack, "TOM", millis(200));
    assert_eq!(world.relay.core.stats().handshakes, handshakes, "the session needs none");
}

/// On a new connection within 2 s, whether the client writes or receives.
#[test]
fn network_change_on_tcp_without_udp_costs_one_handshake() {
    for writes in [true, false] {
        let (mut world, tom, jack) = on_tcp();
        world.run_for(secs(100));
        let handshakes = world.relay.core.stats().handshakes;
        let start = world.now;
        change_network(&mut world, tom, true);
        let letter = if writes { world.send(tom, "JACK", "x") } else { world.send(jack, "TOM", "x") };
        assert!(world.run_until(secs(4), |w| delivered(w, letter)), "{:?}", world.fate(letter));
        println!("writes {writes}: on a new connection after {:?}", world.now.since(start));
        assert!(world.now.since(start) <= millis(2_000));
        assert!(world.relay.core.stats().handshakes <= handshakes + 1);
    }
}

#[test]
fn connection_that_survives_network_change_is_kept() {
    let (mut world, tom, _) = on_tcp();
    world.run_for(secs(100));
    let handshakes = world.relay.core.stats().handshakes;
    let conns = world.last_conn;
    world.command(tom, Command::NetworkChanged);
    world.run_for(secs(10));
    say(&mut world, tom, "JACK", millis(200));
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
    assert_eq!(world.last_conn, conns, "no new connection");
}

/// Data on a stalled connection arrives after the client has signed in on another one. The
/// simulation knows that no other process has its key.
#[test]
fn late_abandoned_session_does_not_replace_newer_one() {
    let mut world = World::new(1);
    let tom = world.client("TOM", Carriers::Tcp);
    let jack = world.client("JACK", Carriers::Auto);
    world.stations[tom].pinned = Some(world.relay.core.public_key());
    world.start(tom);
    assert!(world.run_until(secs(1), |w| w.relay.core.stats().handshakes == 1));
    let until = world.now + secs(5);
    world.conns.values_mut().for_each(|conn| conn.side(Side::Relay).stalled_until = until);
    world.run_for(millis(200));
    world.command(tom, Command::NetworkChanged);
    world.start(jack);
    assert!(world.run_until(secs(4), |w| is_online(w, tom)), "over another connection");
    world.run_for(secs(5));
    say(&mut world, jack, "TOM", millis(200));
}

/// The simulation fails if a core returns a deadline that is over.
#[test]
fn session_end_on_suspect_connection_leaves_no_deadline() {
    let (mut world, tom, _) = on_tcp();
    world.command(tom, Command::NetworkChanged);
    world.tell_relay(Waiting::Other(Input::Command(queqiao::relay::Command::Stop)));
    world.run_for(millis(50));
    world.restart_relay(secs(10));
    world.run_for(secs(5));
    assert!(!is_online(&world, tom), "the relay is down");
    assert!(world.run_until(secs(40), |w| is_online(w, tom)));
}

#[test]
fn restored_network_is_used_at_once() {
    let (mut world, tom, _) = two(Carriers::Auto);
    world.isolate(tom);
    world.run_for(secs(240));
    world.heal();
    world.command(tom, Command::NetworkChanged);
    world.run_for(millis(500));
    assert!(is_online(&world, tom), "no pause between rounds is waited for");
    say(&mut world, tom, "JACK", millis(200));
}

/// A restarted relay resets the sender of a packet of an unknown session. It also resets TOM and
/// JACK because of its session hints.
// faults.md: R31
#[test]
fn idle_client_reset_by_restarted_relay_reconnects_at_once() {
    let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
    world.run_for(secs(60));
    world.restart_relay(Duration::ZERO);
    let from = world.stations[tom].public;
    for bytes in world.overheard_up.clone() {
        let happening = Happening::ToRelay { from, bytes, proves: Vec::new(), genuine: false };
        world.agenda.enter(world.now, happening);
    }
    let handshakes = world.relay.core.stats().handshakes;
    assert!(world.run_until(millis(100), |w| w.relay.core.stats().handshakes > handshakes));
    world.run_for(millis(200));
    assert_eq!(world.relay.core.stats().handshakes, handshakes + 2, "one each: TOM ignores JACK's reset");
    say(&mut world, tom, "echo", millis(200));
    assert!(!shows(&world, tom, |e| matches!(e, Event::Lost { .. })));
}

/// Returns how long the first letter of a new run takes from its start, and how many connections it
/// opened.
fn first_letter(world: &mut World, client: usize) -> (Duration, u64) {
    let start = world.now;
    let conns = world.last_conn;
    world.restart_client(client);
    say(world, client, "JACK", secs(5));
    (world.now.since(start), world.last_conn - conns)
}

#[test]
fn udp_failure_is_remembered_across_runs_until_validated() {
    let (mut world, tom, _) = on_tcp();
    let (took, _) = first_letter(&mut world, tom);
    println!("first letter of a run that remembers: {took:?}");
    assert!(took < millis(200), "TCP is tried at once: {took:?}");
    world.run_for(secs(10));
    hole(&mut world, tom, false, false);
    assert!(world.run_until(secs(60), |w| path(w, tom) == Some(Carrier::Udp)), "validated");
    world.run_for(secs(1));
    assert_eq!(first_letter(&mut world, tom).1, 0, "a validated path is not suspected");
}

/// Remembered after six days, forgotten after eight.
#[test]
fn udp_failure_is_forgotten_after_one_week() {
    for (days, conns) in [(6, 1), (8, 0)] {
        let (mut world, tom, _) = on_tcp();
        hole(&mut world, tom, false, false);
        world.stations[tom].node.wall_offset_ms += days * 24 * 3_600_000;
        assert_eq!(first_letter(&mut world, tom).1, conns, "{days} days later");
    }
}

// faults.md: R30
#[test]
fn udp_send_errors_end_no_session_and_open_few_connections() {
    for why in [Why::Refused, Why::Unreachable, Why::NoRoom] {
        let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
        let handshakes = world.relay.core.stats().handshakes;
        let conns = world.last_conn;
        let relay = Path::Udp(RELAY_ADDR.parse().unwrap());
        for _ in 0..600 {
            for client in [tom, jack] {
                world.tell_client(client, Waiting::Other(Input::SendRefused(relay, why)));
            }
            world.run_for(millis(100));
            if world.now.as_micros() % 3 == 0 {
                say(&mut world, tom, "JACK", millis(100));
            }
        }
        say(&mut world, tom, "JACK", millis(100));
        assert_eq!(path(&world, tom), Some(Carrier::Udp), "it is a hint only");
        assert_eq!(world.relay.core.stats().handshakes, handshakes);
        assert!(!shows(&world, tom, |e| matches!(e, Event::Lost { .. })));
        let opened = world.last_conn - conns;
        println!("{why:?} for a minute: {opened} connections of two clients");
        assert!((2..=24).contains(&opened), "{opened}");
    }
}

// faults.md: R30
#[test]
fn first_udp_refusal_of_round_starts_tcp_at_once() {
    let (mut world, tom) = only_jack_is_there();
    world.stations[tom].pinned = Some(world.relay.core.public_key());
    hole(&mut world, tom, true, true);
    world.start(tom);
    world.run_for(millis(10));
    let relay = Path::Udp(RELAY_ADDR.parse().unwrap());
    world.tell_client(tom, Waiting::Other(Input::SendRefused(relay, Why::Refused)));
    let took = say(&mut world, tom, "JACK", secs(1));
    assert!(took < millis(200), "{took:?}");
}

/// Within 1 s if the system reports an error, and within about 3 s if nothing answers.
#[test]
fn unreachable_relay_is_reported_within_1_s_or_3_s_if_silent() {
    let untold = |carriers: Carriers, why: Unreached, most: Duration, isolated: bool| {
        let mut world = World::new(1);
        let tom = world.client("TOM", carriers);
        world.relay_up_at = Tick::ZERO + secs(60);
        if isolated {
            world.isolate(tom);
        }
        world.start(tom);
        let told =
            |w: &World| shows(w, tom, |e| matches!(e, Event::Unreached { why: said, .. } if *said == why));
        assert!(world.run_until(most, told), "{carriers:?}, isolated: {isolated}");
    };
    for carriers in [Carriers::Auto, Carriers::Udp] {
        untold(carriers, Unreached::Silent, millis(950), false);
        untold(carriers, Unreached::Silent, millis(3_050), true);
    }
    untold(Carriers::Tcp, Unreached::NoTcpListener, millis(950), false);
}

/// Packets that an off-path attacker can make: every kind, with the right index and an invalid tag.
fn forged(index: u32, number: u64) -> Vec<Vec<u8>> {
    let mut data = vec![0xFF, 6, 1, 0];
    data.extend_from_slice(&index.to_be_bytes());
    data.extend_from_slice(&number.to_be_bytes());
    data.extend_from_slice(&[0x5A; 40]);
    let mut reset = Vec::new();
    packet::write_reset(&mut reset, index, &[0x5A; 16]);
    let mut all = vec![data.clone(), reset];
    for kind in 1..=9 {
        let mut other = data.clone();
        other[1] = kind;
        all.push(other.clone());
        other.resize(1_200, 0x5A);
        all.push(other);
    }
    all
}

// faults.md: R34
#[test]
fn packets_injected_off_path_get_no_answer() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    world.run_for(secs(15));
    let index = world.stations[tom].epoch_since.expect("it has sent data").0;
    let handshakes = world.relay.core.stats().handshakes;
    let sent = world.datagrams;
    for number in [0, 1, 1_000, u64::MAX / 2, u64::MAX] {
        for guess in [index, index ^ 1] {
            forged(guess, number).into_iter().for_each(|bytes| world.inject_to_client(tom, bytes));
        }
    }
    world.run_for(millis(500));
    assert_eq!(world.datagrams, sent, "not a byte is answered");
    say(&mut world, tom, "JACK", millis(100));
    say(&mut world, jack, "TOM", millis(100));
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
    assert!(moves(&world, tom).is_empty());
}

// faults.md: R34
#[test]
fn forged_tcp_reset_moves_path_only() {
    let (mut world, tom, _) = on_tcp();
    world.run_for(secs(5));
    let handshakes = world.relay.core.stats().handshakes;
    let conn = world.conns.iter().find(|(_, conn)| conn.client == tom).map(|(number, _)| *number);
    world.reset(conn.expect("the conversation is on TCP"));
    let took = say(&mut world, tom, "JACK", secs(3));
    println!("after a forged reset: {took:?}");
    assert!(took <= millis(1_500));
    assert!(!shows(&world, tom, |e| matches!(e, Event::Lost { .. })), "the session lives on");
    assert!(world.relay.core.stats().handshakes <= handshakes + 1);
}

/// The limit is 10 s and three round trips, at round trips of 1 and 100 ms.
// faults.md: R42
#[test]
fn stalled_connection_without_udp_is_replaced_within_10_s() {
    for rtt in [1, 100] {
        let (mut world, tom, jack) = talking(Carriers::Auto, millis(rtt));
        hole(&mut world, tom, true, true);
        say(&mut world, tom, "JACK", secs(5));
        world.run_for(secs(20));
        let handshakes = world.relay.core.stats().handshakes;
        stall(&mut world, tom);
        let start = world.now;
        let out = world.send(tom, "JACK", "out");
        let back = world.send(jack, "TOM", "back");
        assert!(world.run_until(secs(11), |w| delivered(w, out) && delivered(w, back)));
        println!("rtt {rtt} ms: off a stalled connection after {:?}", world.now.since(start));
        assert!(world.now.since(start) <= secs(10) + millis(3 * rtt));
        assert_eq!(path(&world, tom), Some(Carrier::Tcp));
        assert!(world.relay.core.stats().handshakes <= handshakes + 1);
    }
}

// faults.md: R74
#[test]
fn waking_sends_few_packets_and_loses_no_session() {
    for pause in [1, 60, 150] {
        let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
        world.stations[tom].node.paused_until = world.now + secs(pause);
        world.run_for(secs(pause));
        let sent = world.datagrams + world.records;
        world.run_for(millis(150));
        let burst = world.datagrams + world.records - sent;
        println!("{burst} packets of both ends within 150 ms of waking after {pause} s");
        assert!(burst <= 20, "{burst} packets after {pause} s");
        say(&mut world, tom, "JACK", secs(1));
        assert!(!shows(&world, tom, |e| matches!(e, Event::Lost { .. })), "{pause} s");
    }
}

/// The key query takes one more round trip, at round trips of up to 100 ms.
#[test]
fn first_letter_over_tcp_with_unknown_key_takes_under_1_s() {
    for rtt in [1, 20, 100] {
        let took = first_letter_over_tcp(millis(rtt), false);
        println!("first letter over TCP at {rtt} ms, the key unknown: {took:?}");
        assert!(took < secs(1), "{took:?} at {rtt} ms");
    }
}

/// The returns wait 0, 30, 60, and 120 s. Ten good minutes on UDP reset the count.
#[test]
fn each_return_to_udp_except_first_waits_longer() {
    let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
    let mut waits = Vec::new();
    for _ in 0..4 {
        hole(&mut world, tom, true, true);
        say(&mut world, tom, "JACK", secs(5));
        hole(&mut world, tom, false, false);
        let left: Tick = world.now;
        assert!(world.run_until(secs(700), |w| path(w, tom) == Some(Carrier::Udp)));
        waits.push(world.now.since(left).as_secs());
        world.run_for(secs(5));
    }
    println!("back on UDP after {waits:?} s");
    assert!(waits[0] <= 2 && waits[1] >= 29 && waits[2] >= 59 && waits[3] >= 119, "{waits:?}");
    world.run_for(secs(601));
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    hole(&mut world, tom, false, false);
    assert!(
        world.run_until(secs(5), |w| path(w, tom) == Some(Carrier::Udp)),
        "ten good minutes reset the count"
    );
}

/// Little is known of UDP right after signing in: few round trips were measured, with and without
/// jitter. Failover takes at most 1.5 s and no handshake.
// faults.md: R28
#[test]
fn failover_soon_after_sign_in_takes_at_most_1500_ms() {
    for (rtt, jitter, before) in [(20, 20, 0), (100, 0, 0), (100, 0, 1), (100, 20, 0), (100, 20, 2)] {
        let mut longest = Duration::ZERO;
        for seed in 0..10 {
            let mut world = World::new(seed);
            let tom = world.client("TOM", Carriers::Auto);
            let jack = world.client("JACK", Carriers::Auto);
            for client in [tom, jack] {
                let station = &mut world.stations[client];
                for lane in [&mut station.up, &mut station.down] {
                    lane.weather = Weather { jitter: millis(jitter), ..Weather::clear(millis(rtt) / 2) };
                }
                world.start(client);
            }
            assert!(world.run_until(secs(9), |w| is_online(w, tom) && is_online(w, jack)));
            for _ in 0..before {
                say(&mut world, tom, "JACK", secs(2));
            }
            world.run_for(millis(400 + 37 * seed));
            let handshakes = world.relay.core.stats().handshakes;
            hole(&mut world, tom, true, true);
            longest = longest.max(say(&mut world, tom, "JACK", secs(5)));
            assert_eq!(world.relay.core.stats().handshakes, handshakes);
        }
        println!("rtt {rtt} ms, jitter {jitter} ms, {before} letters before: at most {longest:?}");
        assert!(longest <= millis(1_500), "{longest:?} at {rtt} ms, jitter {jitter} ms");
    }
}

/// The client was refused or replaced, and the network is then cut.
#[test]
fn stopped_client_has_no_deadline_while_relay_is_silent() {
    for refused in [true, false] {
        let (mut world, tom, _) = two(Carriers::Auto);
        let told = if refused {
            let other = world.client("TOM", Carriers::Auto);
            world.start(other);
            other
        } else {
            let key = world.stations[tom].private_key;
            let second = world.client_with_key("TOM", Carriers::Auto, key);
            world.stations[second].node.wall_offset_ms = 20_000;
            world.start(second);
            tom
        };
        world.send(told, "JACK", "is there anybody");
        let stops = |e: &Event| matches!(e, Event::Replaced { .. } | Event::NameRefused { .. });
        assert!(world.run_until(secs(10), |w| shows(w, told, stops)));
        (0..world.stations.len()).for_each(|client| world.isolate(client));
        world.run_for(secs(200));
        let due = world.stations[told].node.core.next_deadline();
        assert_eq!(due, None, "refused {refused}: a deadline without any pending work");
    }
}

/// A relay that answers each handshake with a reset. Its clients perform about six handshakes in
/// half a minute, not 700 a second. They are online again soon after it has stopped.
#[test]
fn client_backs_off_if_relay_resets_every_session() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        let (mut world, tom, _) = two(carriers);
        super::shakes::reset_all(&mut world, secs(30));
        let before = world.relay.core.stats().handshakes;
        match world.conns.iter().find(|(_, conn)| conn.client == tom && carriers == Carriers::Tcp) {
            Some((&conn, _)) => world.reset(conn),
            None => world.reset_once(tom),
        }
        world.run_for(secs(30));
        let made = world.relay.core.stats().handshakes - before;
        assert!((3..=12).contains(&made), "{made} handshakes in half a minute, {carriers:?}");
        world.run_for(secs(35));
        say(&mut world, tom, "JACK", secs(1));
    }
}
