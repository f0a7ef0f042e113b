//! Scenarios below a conversation: another network, the memory of an earlier run, and errors of the
//! system and forged packets, which prove nothing.

use std::time::Duration;

use queqiao::base::{Carrier, Core, Input, Path, PathError, Tick};
use queqiao::client::{Carriers, Command, ConnectFailure, Event};
use queqiao::wire::packet;

use super::paths::{conversation, first_letter_over_tcp, hole, moves, only_jack_online, path};
use crate::link_conditions::LinkConditions;
use crate::node::PendingInput;
use crate::scenarios::basic::{delivered, is_online, millis, secs, send_and_time, shows, two_clients};
use crate::simulation::{RELAY_ADDR, SimEvent, Simulation};
use crate::tcp::Side;

/// Moves the machine to another network: another address, and connections of the old one lead
/// nowhere.
fn change_network(sim: &mut Simulation, client: usize, noticed: bool) {
    sim.rebind(client, true);
    stall(sim, client);
    if noticed {
        sim.send_command(client, Command::NetworkChanged);
    }
}

/// Stalls the client's connections. Neither end is notified.
fn stall(sim: &mut Simulation, client: usize) {
    let until = sim.now + secs(3_600);
    for conn in sim.conns.values_mut().filter(|conn| conn.client == client) {
        conn.socket.iter_mut().for_each(|socket| socket.stalled_until = until);
    }
}

/// TOM's conversation is on TCP, because UDP is dead.
fn on_tcp() -> (Simulation, usize, usize) {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
    (sim, tom, jack)
}

/// Without a notification by the system, the sender reaches the listener after its next keep-alive.
#[test]
fn moved_listener_is_reached_at_once_if_notified() {
    for (noticed, most) in [(true, millis(200)), (false, secs(30))] {
        let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
        sim.run_for(secs(50));
        change_network(&mut sim, jack, noticed);
        sim.run_for(millis(100));
        let took = send_and_time(&mut sim, tom, "JACK", most);
        println!("a letter to a listener that has moved, noticed {noticed}: {took:?}");
        assert_eq!(noticed, took < millis(200), "otherwise it is found by its next keep-alive");
        assert!(moves(&sim, jack).is_empty());
    }
}

#[test]
fn network_change_on_tcp_validates_udp_at_once() {
    let (mut sim, tom, jack) = on_tcp();
    sim.run_for(secs(100));
    let handshakes = sim.relay.core.stats().handshakes;
    hole(&mut sim, tom, false, false);
    change_network(&mut sim, tom, true);
    assert!(sim.run_until(millis(500), |sim| path(sim, tom) == Some(Carrier::Udp)), "{:?}", moves(&sim, tom));
    send_and_time(&mut sim, tom, "JACK", millis(200));
    send_and_time(&mut sim, jack, "TOM", millis(200));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes, "the session needs none");
}

/// On a new connection within 2 s, whether the client writes or receives.
#[test]
fn network_change_on_tcp_without_udp_costs_one_handshake() {
    for writes in [true, false] {
        let (mut sim, tom, jack) = on_tcp();
        sim.run_for(secs(100));
        let handshakes = sim.relay.core.stats().handshakes;
        let start = sim.now;
        change_network(&mut sim, tom, true);
        let letter = if writes { sim.send(tom, "JACK", "x") } else { sim.send(jack, "TOM", "x") };
        assert!(sim.run_until(secs(4), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
        println!("writes {writes}: on a new connection after {:?}", sim.now.since(start));
        assert!(sim.now.since(start) <= millis(2_000));
        assert!(sim.relay.core.stats().handshakes <= handshakes + 1);
    }
}

#[test]
fn connection_that_survives_network_change_is_kept() {
    let (mut sim, tom, _) = on_tcp();
    sim.run_for(secs(100));
    let handshakes = sim.relay.core.stats().handshakes;
    let conns = sim.last_conn;
    sim.send_command(tom, Command::NetworkChanged);
    sim.run_for(secs(10));
    send_and_time(&mut sim, tom, "JACK", millis(200));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    assert_eq!(sim.last_conn, conns, "no new connection");
}

/// Data on a stalled connection arrives after the client has signed in on another one. The
/// simulation knows that no other process has its key.
#[test]
fn late_abandoned_session_does_not_replace_newer_one() {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Tcp);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.machines[tom].pinned = Some(sim.relay.core.public_key());
    sim.start(tom);
    assert!(sim.run_until(secs(1), |sim| sim.relay.core.stats().handshakes == 1));
    let until = sim.now + secs(5);
    sim.conns.values_mut().for_each(|conn| conn.side(Side::Relay).stalled_until = until);
    sim.run_for(millis(200));
    sim.send_command(tom, Command::NetworkChanged);
    sim.start(jack);
    assert!(sim.run_until(secs(4), |sim| is_online(sim, tom)), "over another connection");
    sim.run_for(secs(5));
    send_and_time(&mut sim, jack, "TOM", millis(200));
}

/// The simulation fails if a core returns a deadline that is over.
#[test]
fn session_end_on_suspect_connection_leaves_no_deadline() {
    let (mut sim, tom, _) = on_tcp();
    sim.send_command(tom, Command::NetworkChanged);
    sim.push_relay_input(PendingInput::Other(Input::Command(queqiao::relay::Command::Stop)));
    sim.run_for(millis(50));
    sim.restart_relay(secs(10));
    sim.run_for(secs(5));
    assert!(!is_online(&sim, tom), "the relay is down");
    assert!(sim.run_until(secs(40), |sim| is_online(sim, tom)));
}

#[test]
fn restored_network_is_used_at_once() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    sim.isolate(tom);
    sim.run_for(secs(240));
    sim.heal();
    sim.send_command(tom, Command::NetworkChanged);
    sim.run_for(millis(500));
    assert!(is_online(&sim, tom), "no pause between rounds is waited for");
    send_and_time(&mut sim, tom, "JACK", millis(200));
}

/// A restarted relay resets the sender of a packet of an unknown session. It also resets TOM and
/// JACK because of its session hints.
// faults.md: R31
#[test]
fn idle_client_reset_by_restarted_relay_reconnects_at_once() {
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    sim.run_for(secs(60));
    sim.restart_relay(Duration::ZERO);
    let from = sim.machines[tom].public;
    for bytes in sim.overheard_up.clone() {
        let event = SimEvent::ToRelay { from, bytes, proves: Vec::new(), genuine: false };
        sim.event_queue.push(sim.now, event);
    }
    let handshakes = sim.relay.core.stats().handshakes;
    assert!(sim.run_until(millis(100), |sim| sim.relay.core.stats().handshakes > handshakes));
    sim.run_for(millis(200));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes + 2, "one each: TOM ignores JACK's reset");
    send_and_time(&mut sim, tom, "echo", millis(200));
    assert!(!shows(&sim, tom, |e| matches!(e, Event::Lost { .. })));
}

/// Returns how long the first letter of a new run takes from its start, and how many connections it
/// opened.
fn first_letter(sim: &mut Simulation, client: usize) -> (Duration, u64) {
    let start = sim.now;
    let conns = sim.last_conn;
    sim.restart_client(client);
    send_and_time(sim, client, "JACK", secs(5));
    (sim.now.since(start), sim.last_conn - conns)
}

#[test]
fn udp_failure_is_remembered_across_runs_until_validated() {
    let (mut sim, tom, _) = on_tcp();
    let (took, _) = first_letter(&mut sim, tom);
    println!("first letter of a run that remembers: {took:?}");
    assert!(took < millis(200), "TCP is tried at once: {took:?}");
    sim.run_for(secs(10));
    hole(&mut sim, tom, false, false);
    assert!(sim.run_until(secs(60), |sim| path(sim, tom) == Some(Carrier::Udp)), "validated");
    sim.run_for(secs(1));
    assert_eq!(first_letter(&mut sim, tom).1, 0, "a validated path is not suspected");
}

/// Remembered after six days, forgotten after eight.
#[test]
fn udp_failure_is_forgotten_after_one_week() {
    for (days, conns) in [(6, 1), (8, 0)] {
        let (mut sim, tom, _) = on_tcp();
        hole(&mut sim, tom, false, false);
        sim.machines[tom].node.wall_offset_ms += days * 24 * 3_600_000;
        assert_eq!(first_letter(&mut sim, tom).1, conns, "{days} days later");
    }
}

// faults.md: R30
#[test]
fn udp_send_errors_end_no_session_and_open_few_connections() {
    for reason in [PathError::Refused, PathError::Unreachable, PathError::NoRoom] {
        let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
        let handshakes = sim.relay.core.stats().handshakes;
        let conns = sim.last_conn;
        let relay = Path::Udp(RELAY_ADDR.parse().unwrap());
        for _ in 0..600 {
            for client in [tom, jack] {
                sim.push_client_input(client, PendingInput::Other(Input::SendRefused(relay, reason)));
            }
            sim.run_for(millis(100));
            if sim.now.as_micros() % 3 == 0 {
                send_and_time(&mut sim, tom, "JACK", millis(100));
            }
        }
        send_and_time(&mut sim, tom, "JACK", millis(100));
        assert_eq!(path(&sim, tom), Some(Carrier::Udp), "it is a hint only");
        assert_eq!(sim.relay.core.stats().handshakes, handshakes);
        assert!(!shows(&sim, tom, |e| matches!(e, Event::Lost { .. })));
        let opened = sim.last_conn - conns;
        println!("{reason:?} for a minute: {opened} connections of two clients");
        assert!((2..=24).contains(&opened), "{opened}");
    }
}

// faults.md: R30
#[test]
fn first_udp_refusal_of_round_starts_tcp_at_once() {
    let (mut sim, tom) = only_jack_online();
    sim.machines[tom].pinned = Some(sim.relay.core.public_key());
    hole(&mut sim, tom, true, true);
    sim.start(tom);
    sim.run_for(millis(10));
    let relay = Path::Udp(RELAY_ADDR.parse().unwrap());
    sim.push_client_input(tom, PendingInput::Other(Input::SendRefused(relay, PathError::Refused)));
    let took = send_and_time(&mut sim, tom, "JACK", secs(1));
    assert!(took < millis(200), "{took:?}");
}

/// Within 1 s if the system reports an error, and within about 3 s if nothing answers.
#[test]
fn unreachable_relay_is_reported_within_1_s_or_3_s_if_silent() {
    let untold = |carriers: Carriers, reason: ConnectFailure, most: Duration, isolated: bool| {
        let mut sim = Simulation::new(1);
        let tom = sim.add_client("TOM", carriers);
        sim.relay_up_at = Tick::ZERO + secs(60);
        if isolated {
            sim.isolate(tom);
        }
        sim.start(tom);
        let notified = |sim: &Simulation| {
            shows(sim, tom, |e| matches!(e, Event::Unreached { reason: said, .. } if *said == reason))
        };
        assert!(sim.run_until(most, notified), "{carriers:?}, isolated: {isolated}");
    };
    for carriers in [Carriers::Auto, Carriers::Udp] {
        untold(carriers, ConnectFailure::Silent, millis(950), false);
        untold(carriers, ConnectFailure::Silent, millis(3_050), true);
    }
    untold(Carriers::Tcp, ConnectFailure::NoTcpListener, millis(950), false);
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
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    sim.run_for(secs(15));
    let index = sim.machines[tom].epoch_since.expect("it has sent data").0;
    let handshakes = sim.relay.core.stats().handshakes;
    let sent = sim.datagrams;
    for number in [0, 1, 1_000, u64::MAX / 2, u64::MAX] {
        for guess in [index, index ^ 1] {
            forged(guess, number).into_iter().for_each(|bytes| sim.inject_to_client(tom, bytes));
        }
    }
    sim.run_for(millis(500));
    assert_eq!(sim.datagrams, sent, "not a byte is answered");
    send_and_time(&mut sim, tom, "JACK", millis(100));
    send_and_time(&mut sim, jack, "TOM", millis(100));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    assert!(moves(&sim, tom).is_empty());
}

// faults.md: R34
#[test]
fn forged_tcp_reset_moves_path_only() {
    let (mut sim, tom, _) = on_tcp();
    sim.run_for(secs(5));
    let handshakes = sim.relay.core.stats().handshakes;
    let conn = sim.conns.iter().find(|(_, conn)| conn.client == tom).map(|(number, _)| *number);
    sim.reset_tcp(conn.expect("the conversation is on TCP"));
    let took = send_and_time(&mut sim, tom, "JACK", secs(3));
    println!("after a forged reset: {took:?}");
    assert!(took <= millis(1_500));
    assert!(!shows(&sim, tom, |e| matches!(e, Event::Lost { .. })), "the session lives on");
    assert!(sim.relay.core.stats().handshakes <= handshakes + 1);
}

/// The limit is 10 s and three round trips, at round trips of 1 and 100 ms.
// faults.md: R42
#[test]
fn stalled_connection_without_udp_is_replaced_within_10_s() {
    for rtt in [1, 100] {
        let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(rtt));
        hole(&mut sim, tom, true, true);
        send_and_time(&mut sim, tom, "JACK", secs(5));
        sim.run_for(secs(20));
        let handshakes = sim.relay.core.stats().handshakes;
        stall(&mut sim, tom);
        let start = sim.now;
        let out = sim.send(tom, "JACK", "out");
        let back = sim.send(jack, "TOM", "back");
        assert!(sim.run_until(secs(11), |sim| delivered(sim, out) && delivered(sim, back)));
        println!("rtt {rtt} ms: off a stalled connection after {:?}", sim.now.since(start));
        assert!(sim.now.since(start) <= secs(10) + millis(3 * rtt));
        assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
        assert!(sim.relay.core.stats().handshakes <= handshakes + 1);
    }
}

// faults.md: R74
#[test]
fn waking_sends_few_packets_and_loses_no_session() {
    for pause in [1, 60, 150] {
        let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
        sim.machines[tom].node.paused_until = sim.now + secs(pause);
        sim.run_for(secs(pause));
        let sent = sim.datagrams + sim.records;
        sim.run_for(millis(150));
        let burst = sim.datagrams + sim.records - sent;
        println!("{burst} packets of both ends within 150 ms of waking after {pause} s");
        assert!(burst <= 20, "{burst} packets after {pause} s");
        send_and_time(&mut sim, tom, "JACK", secs(1));
        assert!(!shows(&sim, tom, |e| matches!(e, Event::Lost { .. })), "{pause} s");
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
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    let mut waits = Vec::new();
    for _ in 0..4 {
        hole(&mut sim, tom, true, true);
        send_and_time(&mut sim, tom, "JACK", secs(5));
        hole(&mut sim, tom, false, false);
        let left: Tick = sim.now;
        assert!(sim.run_until(secs(700), |sim| path(sim, tom) == Some(Carrier::Udp)));
        waits.push(sim.now.since(left).as_secs());
        sim.run_for(secs(5));
    }
    println!("back on UDP after {waits:?} s");
    assert!(waits[0] <= 2 && waits[1] >= 29 && waits[2] >= 59 && waits[3] >= 119, "{waits:?}");
    sim.run_for(secs(601));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    hole(&mut sim, tom, false, false);
    assert!(
        sim.run_until(secs(5), |sim| path(sim, tom) == Some(Carrier::Udp)),
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
            let mut sim = Simulation::new(seed);
            let tom = sim.add_client("TOM", Carriers::Auto);
            let jack = sim.add_client("JACK", Carriers::Auto);
            for client in [tom, jack] {
                let machine = &mut sim.machines[client];
                for direction in [&mut machine.up, &mut machine.down] {
                    direction.conditions =
                        LinkConditions { jitter: millis(jitter), ..LinkConditions::clear(millis(rtt) / 2) };
                }
                sim.start(client);
            }
            assert!(sim.run_until(secs(9), |sim| is_online(sim, tom) && is_online(sim, jack)));
            for _ in 0..before {
                send_and_time(&mut sim, tom, "JACK", secs(2));
            }
            sim.run_for(millis(400 + 37 * seed));
            let handshakes = sim.relay.core.stats().handshakes;
            hole(&mut sim, tom, true, true);
            longest = longest.max(send_and_time(&mut sim, tom, "JACK", secs(5)));
            assert_eq!(sim.relay.core.stats().handshakes, handshakes);
        }
        println!("rtt {rtt} ms, jitter {jitter} ms, {before} letters before: at most {longest:?}");
        assert!(longest <= millis(1_500), "{longest:?} at {rtt} ms, jitter {jitter} ms");
    }
}

/// The client was refused or replaced, and the network is then cut.
#[test]
fn stopped_client_has_no_deadline_while_relay_is_silent() {
    for refused in [true, false] {
        let (mut sim, tom, _) = two_clients(Carriers::Auto);
        let notified = if refused {
            let other = sim.add_client("TOM", Carriers::Auto);
            sim.start(other);
            other
        } else {
            let key = sim.machines[tom].private_key;
            let second = sim.add_client_with_key("TOM", Carriers::Auto, key);
            sim.machines[second].node.wall_offset_ms = 20_000;
            sim.start(second);
            tom
        };
        sim.send(notified, "JACK", "is there anybody");
        let stops = |e: &Event| matches!(e, Event::Replaced { .. } | Event::NameRefused { .. });
        assert!(sim.run_until(secs(10), |sim| shows(sim, notified, stops)));
        (0..sim.machines.len()).for_each(|client| sim.isolate(client));
        sim.run_for(secs(200));
        let due = sim.machines[notified].node.core.next_deadline();
        assert_eq!(due, None, "refused {refused}: a deadline without any pending work");
    }
}

/// A relay that answers each handshake with a reset. Its clients perform about six handshakes in
/// half a minute, not 700 a second. They are online again soon after it has stopped.
#[test]
fn client_backs_off_if_relay_resets_every_session() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        let (mut sim, tom, _) = two_clients(carriers);
        crate::handshakes::reset_all(&mut sim, secs(30));
        let before = sim.relay.core.stats().handshakes;
        match sim.conns.iter().find(|(_, conn)| conn.client == tom && carriers == Carriers::Tcp) {
            Some((&conn, _)) => sim.reset_tcp(conn),
            None => sim.reset_current(tom),
        }
        sim.run_for(secs(30));
        let made = sim.relay.core.stats().handshakes - before;
        assert!((3..=12).contains(&made), "{made} handshakes in half a minute, {carriers:?}");
        sim.run_for(secs(35));
        send_and_time(&mut sim, tom, "JACK", secs(1));
    }
}
