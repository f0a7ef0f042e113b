//! Scenarios of sessions that survive failing paths, suspended machines and relay restarts.

use std::time::Duration;

use queqiao::base::{Carrier, Input};
use queqiao::client::{Carriers, Command, Event, MoveReason};
use queqiao::relay::Limits;

use crate::link_conditions::LinkConditions;
use crate::node::PendingInput;
use crate::scenarios::basic::{delivered, ended, is_online, millis, secs, send_and_time, shows, two_clients};
use crate::simulation::Simulation;

/// Returns a world in which each client has round trip `rtt` to the relay, and enough letters went
/// each way for UDP to be validated, if it is used.
pub fn conversation(carriers: Carriers, rtt: Duration) -> (Simulation, usize, usize) {
    let (mut sim, tom, jack) = two_clients(carriers);
    for client in [tom, jack] {
        let machine = &mut sim.machines[client];
        machine.up.conditions = LinkConditions::clear(rtt / 2);
        machine.down.conditions = LinkConditions::clear(rtt / 2);
    }
    for _ in 0..20 {
        send_and_time(&mut sim, tom, "JACK", secs(1));
        send_and_time(&mut sim, jack, "TOM", secs(1));
        sim.run_for(millis(150));
    }
    sim.run_for(secs(3));
    send_and_time(&mut sim, tom, "JACK", secs(1));
    send_and_time(&mut sim, jack, "TOM", secs(1));
    (sim, tom, jack)
}

/// JACK is online, and TOM has not started yet.
pub fn only_jack_online() -> (Simulation, usize) {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.start(jack);
    sim.run_for(secs(1));
    (sim, tom)
}

/// Returns how long TOM's first letter takes from his start if UDP is silently dropped.
pub fn first_letter_over_tcp(rtt: Duration, knows_key: bool) -> Duration {
    let (mut sim, tom) = only_jack_online();
    let key = sim.relay.core.public_key();
    let machine = &mut sim.machines[tom];
    machine.pinned = knows_key.then_some(key);
    machine.up.conditions = LinkConditions::clear(rtt / 2);
    machine.down.conditions = LinkConditions::clear(rtt / 2);
    hole(&mut sim, tom, true, true);
    sim.start(tom);
    send_and_time(&mut sim, tom, "JACK", secs(5))
}

pub fn path(sim: &Simulation, client: usize) -> Option<Carrier> {
    let machine = &sim.machines[client];
    Some(machine.node.core.peer(&machine.relay)?.path()?.carrier())
}

pub fn moves(sim: &Simulation, client: usize) -> Vec<(Carrier, MoveReason)> {
    let moved = |(_, event): &(_, Event)| match event {
        Event::Moved { via, reason, .. } => Some((*via, *reason)),
        _ => None,
    };
    sim.machines[client].events.iter().filter_map(moved).collect()
}

pub fn hole(sim: &mut Simulation, client: usize, up: bool, down: bool) {
    sim.machines[client].up.conditions.udp_hole = up;
    sim.machines[client].down.conditions.udp_hole = down;
}

const ROUND_TRIPS: [u64; 3] = [1, 20, 100];

// faults.md: R28
#[test]
fn sender_fails_over_within_1500_ms_when_udp_dies() {
    for rtt in ROUND_TRIPS {
        for (up, down) in [(true, true), (true, false), (false, true)] {
            let (mut sim, tom, _) = conversation(Carriers::Auto, millis(rtt));
            let handshakes = sim.relay.core.stats().handshakes;
            hole(&mut sim, tom, up, down);
            let took = send_and_time(&mut sim, tom, "JACK", secs(5));
            println!("rtt {rtt} ms, up {up}, down {down}: delivered after {took:?}");
            assert!(took <= millis(1_500), "{took:?} at {rtt} ms, up {up}, down {down}");
            assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
            assert_eq!(moves(&sim, tom), [(Carrier::Tcp, MoveReason::Silent)]);
            assert_eq!(sim.relay.core.stats().handshakes, handshakes, "the session needs no handshake");
        }
    }
}

// faults.md: R28
#[test]
fn listener_of_live_conversation_fails_over_within_4_s() {
    for rtt in ROUND_TRIPS {
        for (up, down) in [(true, true), (true, false), (false, true)] {
            let (mut sim, _, jack) = conversation(Carriers::Auto, millis(rtt));
            let start = sim.now;
            hole(&mut sim, jack, up, down);
            assert!(sim.run_until(secs(10), |sim| path(sim, jack) == Some(Carrier::Tcp)));
            let took = sim.now.since(start);
            println!("rtt {rtt} ms, up {up}, down {down}: listening end on TCP after {took:?}");
            assert!(took <= secs(4), "{took:?} at {rtt} ms, up {up}, down {down}");
        }
    }
}

const LOOPBACK: Duration = Duration::from_micros(200);

/// Not before 250 ms, so that a short interruption does not cause a failover.
// faults.md: R28
#[test]
fn dead_udp_at_minimal_rtt_fails_over_within_500_ms() {
    for (up, down) in [(true, true), (true, false), (false, true)] {
        let (mut sim, tom, _) = conversation(Carriers::Auto, LOOPBACK);
        let handshakes = sim.relay.core.stats().handshakes;
        hole(&mut sim, tom, up, down);
        let took = send_and_time(&mut sim, tom, "JACK", secs(5));
        println!("up {up}, down {down}: delivered after {took:?}");
        assert!((millis(250)..millis(500)).contains(&took) || !up, "{took:?}, up {up}, down {down}");
        assert!(sim.run_until(millis(500), |sim| path(sim, tom) == Some(Carrier::Tcp)));
        assert_eq!(moves(&sim, tom), [(Carrier::Tcp, MoveReason::Silent)]);
        assert_eq!(sim.relay.core.stats().handshakes, handshakes, "the session needs no handshake");
    }
}

#[test]
fn busy_relay_causes_no_failover_of_its_clients() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, LOOPBACK);
    let handshakes = sim.relay.core.stats().handshakes;
    let conns = sim.last_conn;
    let mut letters = Vec::new();
    for round in 0..200 {
        sim.suspend(0, millis(60));
        letters.push(sim.send(tom, "JACK", "hello"));
        letters.push(sim.send(jack, "TOM", "hello"));
        sim.run_for(millis(70 + round));
    }
    assert!(letters.iter().all(|letter| delivered(&sim, *letter)));
    assert!(moves(&sim, tom).is_empty() && moves(&sim, jack).is_empty());
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    assert_eq!(sim.last_conn, conns, "no new connection");
}

/// The client is suspended for longer than UDP may be silent, and the relay for a little longer.
#[test]
fn suspended_client_does_not_mistake_its_pause_for_dead_udp() {
    for awake in [1, 5, 20, 50, 100] {
        let (mut sim, tom, _) = conversation(Carriers::Auto, LOOPBACK);
        let handshakes = sim.relay.core.stats().handshakes;
        let conns = sim.last_conn;
        let letter = sim.send(tom, "JACK", "hello");
        sim.suspend(0, millis(800));
        sim.run_for(millis(awake));
        sim.suspend(tom + 1, millis(650));
        sim.run_for(secs(1));
        assert!(delivered(&sim, letter));
        assert_eq!(moves(&sim, tom), []);
        assert_eq!(sim.relay.core.stats().handshakes, handshakes, "awake for {awake} ms");
        assert_eq!(sim.last_conn, conns, "awake for {awake} ms");
    }
}

/// The relay answers while the client is suspended. Inputs must be processed before timers.
#[test]
fn answers_are_read_before_timers_fire_after_suspension() {
    for late in [60, 100, 200, 400] {
        let (mut sim, tom, _) = conversation(Carriers::Udp, LOOPBACK);
        let handshakes = sim.relay.core.stats().handshakes;
        let letter = sim.send(tom, "JACK", "hello");
        sim.suspend(0, millis(490));
        sim.run_for(millis(480));
        sim.suspend(tom + 1, millis(late));
        sim.run_for(secs(1));
        assert!(delivered(&sim, letter));
        assert_eq!(sim.relay.core.stats().handshakes, handshakes, "{late} ms late");
    }
}

// faults.md: R28
#[test]
fn restored_udp_is_validated_and_used_again() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    let handshakes = sim.relay.core.stats().handshakes;
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    hole(&mut sim, tom, false, false);
    let start = sim.now;
    assert!(sim.run_until(secs(15), |sim| path(sim, tom) == Some(Carrier::Udp)));
    println!("back on UDP after {:?}", sim.now.since(start));
    assert_eq!(moves(&sim, tom)[1..], [(Carrier::Udp, MoveReason::Proved)]);
    send_and_time(&mut sim, tom, "JACK", millis(100));
    send_and_time(&mut sim, jack, "TOM", millis(100));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    sim.run_for(secs(15));
    assert!(sim.conns.is_empty(), "TCP was kept for ten seconds");
}

// faults.md: R28
#[test]
fn udp_restored_one_way_only_is_not_used() {
    for (up, down) in [(true, false), (false, true)] {
        let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
        hole(&mut sim, tom, true, true);
        send_and_time(&mut sim, tom, "JACK", secs(5));
        hole(&mut sim, tom, up, down);
        for _ in 0..60 {
            send_and_time(&mut sim, tom, "JACK", secs(1));
            sim.run_for(secs(1));
        }
        assert_eq!(moves(&sim, tom).len(), 1, "{:?}", moves(&sim, tom));
    }
}

// faults.md: R28
#[test]
fn hole_of_2_s_every_7_s_does_not_make_path_flap() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    let handshakes = sim.relay.core.stats().handshakes;
    let mut letters = Vec::new();
    for _ in 0..43 {
        for second in 0..7 {
            hole(&mut sim, tom, second >= 5, second >= 5);
            letters.push(sim.send(tom, "JACK", "hello"));
            letters.push(sim.send(jack, "TOM", "hello"));
            sim.run_for(secs(1));
        }
    }
    hole(&mut sim, tom, false, false);
    sim.run_for(secs(5));
    assert!(letters.iter().all(|letter| delivered(&sim, *letter)));
    let moves = moves(&sim, tom).len();
    println!("{moves} moves in five minutes of flapping");
    assert!((2..=10).contains(&moves), "{moves} moves");
    assert!(sim.relay.core.stats().handshakes <= handshakes + 1);
}

// faults.md: R29
#[test]
fn udp_that_loses_every_long_packet_is_abandoned() {
    for (up, down) in [(true, true), (true, false), (false, true)] {
        let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
        let mtu = |open: bool| if open { 1_500 } else { 1_100 };
        sim.machines[tom].up.conditions.mtu = mtu(!up);
        sim.machines[tom].down.conditions.mtu = mtu(!down);
        let start = sim.now;
        let out = sim.send(tom, "JACK", &"x".repeat(20_000));
        let back = sim.send(jack, "TOM", &"x".repeat(20_000));
        let both = |sim: &Simulation| delivered(sim, out) && delivered(sim, back);
        assert!(sim.run_until(secs(4), both), "up {up}, down {down}: {:?}", moves(&sim, tom));
        println!("long packets lost, up {up}, down {down}: both delivered after {:?}", sim.now.since(start));
        assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
    }
}

// faults.md: R29
#[test]
fn udp_that_dies_after_third_packet_is_abandoned() {
    for (up, down) in [(true, true), (true, false), (false, true)] {
        for passes in 2..6 {
            let (mut sim, tom) = only_jack_online();
            sim.machines[tom].up.conditions.udp_left = up.then_some(passes);
            sim.machines[tom].down.conditions.udp_left = down.then_some(passes);
            sim.start(tom);
            let took = send_and_time(&mut sim, tom, "JACK", secs(10));
            println!("{passes} pass, up {up}, down {down}: first letter delivered after {took:?}");
            assert!(took <= millis(1_500), "{took:?} with {passes}, up {up}, down {down}");
            sim.run_for(secs(5));
            assert_eq!(path(&sim, tom), Some(Carrier::Tcp), "{passes}, up {up}, down {down}");
        }
    }
}

#[test]
fn first_letter_takes_under_1_s_if_udp_is_dropped() {
    for rtt in ROUND_TRIPS {
        let took = first_letter_over_tcp(millis(rtt), true);
        println!("first letter over TCP at {rtt} ms: {took:?}");
        assert!(took < secs(1), "{took:?} at {rtt} ms");
    }
}

#[test]
fn udp_that_lost_race_is_validated_over_tcp_session() {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.start(jack);
    hole(&mut sim, tom, true, true);
    sim.start(tom);
    assert!(sim.run_until(secs(2), |sim| is_online(sim, tom)));
    assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
    hole(&mut sim, tom, false, false);
    assert!(sim.run_until(secs(4), |sim| path(sim, tom) == Some(Carrier::Udp)));
    assert_eq!(moves(&sim, tom), [(Carrier::Udp, MoveReason::Proved)]);
    assert_eq!(sim.relay.core.stats().handshakes, 2, "one for each client");
}

// faults.md: R39
#[test]
fn connection_reset_mid_conversation_loses_no_letter() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    let mut letters = Vec::new();
    for round in 0..60 {
        letters.push(sim.send(tom, "JACK", "hello"));
        letters.push(sim.send(jack, "TOM", "hello"));
        sim.run_for(millis(100));
        if round % 20 == 10 {
            let ours = sim.conns.iter().find(|(_, conn)| conn.client == tom).map(|(number, _)| *number);
            sim.reset_tcp(ours.expect("the conversation is on TCP"));
        }
    }
    assert!(sim.run_until(secs(5), |sim| letters.iter().all(|l| delivered(sim, *l))));
}

// faults.md: R42
#[test]
fn stalled_connection_is_left_for_udp_within_10_s() {
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    hole(&mut sim, tom, false, false);
    let until = sim.now + secs(600);
    for conn in sim.conns.values_mut().filter(|conn| conn.client == tom) {
        conn.socket.iter_mut().for_each(|socket| socket.stalled_until = until);
    }
    let took = send_and_time(&mut sim, tom, "JACK", secs(10));
    println!("off a stalled connection after {took:?}");
}

// faults.md: R31
#[test]
fn restarted_relay_has_its_sessions_back_within_1_s() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    sim.restart_relay(Duration::ZERO);
    let start = sim.now;
    let out = sim.send(tom, "JACK", "hello");
    let back = sim.send(jack, "TOM", "hello");
    assert!(sim.run_until(secs(1), |sim| ended(sim, out) && ended(sim, back)), "{:?}", sim.fate(out));
    println!("after a restart: both letters ended after {:?}", sim.now.since(start));
    assert!(sim.relay.core.stats().resets >= 2);
    assert!(!shows(&sim, tom, |e| matches!(e, Event::Lost { .. })));
    send_and_time(&mut sim, tom, "JACK", millis(200));
}

/// No member sends anything: the relay must remember their addresses.
// faults.md: R31
#[test]
fn idle_clients_are_back_within_1_s_of_relay_restart() {
    // All of them come from one network, which has a limited share of the registrations in an hour.
    let mut sim = Simulation::with_limits(3, Limits { all_names_per_hour: None, ..Limits::default() });
    let clients: Vec<usize> = (0..60).map(|n| sim.add_client(&format!("m{n}"), Carriers::Udp)).collect();
    clients.iter().for_each(|client| sim.start(*client));
    assert!(sim.run_until(secs(10), |sim| clients.iter().all(|client| is_online(sim, *client))));
    sim.run_for(secs(8));
    assert_eq!(sim.relay_disk.noted(), clients.len());
    sim.restart_relay(Duration::ZERO);
    let start = sim.now;
    let wanted = clients.len() as u64;
    let back = |sim: &Simulation| sim.relay.core.stats().handshakes >= wanted;
    assert!(sim.run_until(secs(1), back), "{:?}", sim.relay.core.stats());
    println!("{wanted} idle clients are back after {:?}", sim.now.since(start));
    sim.run_for(secs(5));
    assert!(clients.iter().all(|client| !shows(&sim, *client, |e| matches!(e, Event::Lost { .. }))));
    assert_eq!(sim.relay.core.stats().handshakes, wanted, "once each");
    assert_eq!(sim.relay_disk.noted(), clients.len(), "hints of lost sessions are removed");
    let letter = sim.send(clients[0], "m1", "hello");
    assert!(sim.run_until(secs(1), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
}

// faults.md: R31
#[test]
fn absent_client_is_reset_three_times_and_forgotten() {
    let (mut sim, tom, _) = conversation(Carriers::Udp, millis(20));
    sim.run_for(secs(2));
    assert_eq!(sim.relay_disk.noted(), 2);
    hole(&mut sim, tom, true, true);
    sim.restart_relay(Duration::ZERO);
    sim.run_for(secs(3));
    assert_eq!(sim.relay.core.stats().resets, 3 + 1, "JACK was back after the first");
    assert_eq!(sim.relay_disk.noted(), 1);
}

// faults.md: R31
#[test]
fn clients_are_back_within_1_s_of_orderly_relay_stop() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        let (mut sim, tom, jack) = conversation(carriers, millis(20));
        sim.run_for(secs(30));
        let stop = Input::Command(queqiao::relay::Command::Stop);
        sim.push_relay_input(PendingInput::Other(stop));
        sim.run_for(millis(5));
        sim.restart_relay(millis(100));
        let both = |sim: &Simulation| is_online(sim, tom) && is_online(sim, jack);
        assert!(sim.run_until(millis(50), |sim| !is_online(sim, tom)), "clients are notified");
        assert!(sim.run_until(secs(1), both), "{carriers:?}");
        send_and_time(&mut sim, tom, "JACK", millis(200));
    }
}

/// UDP drops everything, the relay's resets included. The broken TCP connection shows that the
/// relay died. With both carriers, the client tries TCP again while it still tries UDP.
// faults.md: R31
#[test]
fn client_on_tcp_is_back_soon_after_relay_restart() {
    for carriers in [Carriers::Auto, Carriers::Tcp] {
        let (mut sim, tom, jack) = conversation(carriers, millis(20));
        hole(&mut sim, tom, true, true);
        send_and_time(&mut sim, tom, "JACK", secs(5));
        for down in [Duration::ZERO, millis(300), secs(1), secs(3)] {
            sim.run_for(secs(60));
            sim.restart_relay(down);
            let start = sim.now;
            let letter = sim.send(jack, "TOM", "hello");
            assert!(sim.run_until(secs(30), |sim| delivered(sim, letter)), "{carriers:?} {down:?}");
            let took = sim.now.since(start + down);
            println!("{carriers:?}: down for {down:?}, back after {took:?}");
            assert!(took < millis(1_500) + down, "{carriers:?}: down for {down:?}, back after {took:?}");
        }
    }
}

// faults.md: R12
#[test]
fn reset_with_wrong_token_is_ignored() {
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    let handshakes = sim.relay.core.stats().handshakes;
    let index = sim.machines[tom].epoch_since.expect("it has sent data").0;
    for token in [[0; 16], [1; 16], [255; 16]] {
        let mut reset = Vec::new();
        queqiao::wire::packet::write_reset(&mut reset, index, &token);
        sim.inject_to_client(tom, reset);
    }
    sim.run_for(secs(2));
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    send_and_time(&mut sim, tom, "JACK", millis(100));
}

#[test]
fn user_moves_conversation_to_tcp_and_back() {
    let (mut sim, tom, jack) = conversation(Carriers::Auto, millis(20));
    let handshakes = sim.relay.core.stats().handshakes;
    for (carriers, via) in
        [(Carriers::Tcp, Carrier::Tcp), (Carriers::Udp, Carrier::Udp), (Carriers::Tcp, Carrier::Tcp)]
    {
        sim.send_command(tom, Command::Carriers(carriers));
        assert!(sim.run_until(secs(1), |sim| path(sim, tom) == Some(via)), "{carriers:?}");
        assert_eq!(moves(&sim, tom).last(), Some(&(via, MoveReason::Asked)));
        send_and_time(&mut sim, tom, "JACK", millis(200));
        send_and_time(&mut sim, jack, "TOM", millis(200));
        sim.run_for(secs(30));
        assert_eq!(path(&sim, tom), Some(via), "it is pinned");
    }
    sim.send_command(tom, Command::Carriers(Carriers::Auto));
    assert!(sim.run_until(secs(4), |sim| path(sim, tom) == Some(Carrier::Udp)), "UDP is validated");
    assert_eq!(sim.relay.core.stats().handshakes, handshakes);
}

/// The relay refuses TCP at once, or stays silent for 3 s. The session stays on UDP, and fails over
/// later as before.
#[test]
fn tcp_only_is_refused_by_relay_without_tcp() {
    for is_refused in [true, false] {
        let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
        let handshakes = sim.relay.core.stats().handshakes;
        sim.has_tcp = !is_refused;
        sim.machines[tom].up.conditions.tcp_hole = !is_refused;
        let conns = sim.last_conn;
        sim.send_command(tom, Command::Carriers(Carriers::Tcp));
        let refusals = |sim: &Simulation| {
            let is_it = |(_, event): &&(_, Event)| matches!(event, Event::TcpUnreached { is_refused: it, .. } if *it == is_refused);
            sim.machines[tom].events.iter().filter(is_it).count()
        };
        let within = if is_refused { millis(50) } else { millis(3_100) };
        assert!(sim.run_until(within, |sim| refusals(sim) == 1), "refused: {is_refused}");
        send_and_time(&mut sim, tom, "JACK", millis(200));
        sim.run_for(secs(60));
        assert_eq!((refusals(&sim), sim.last_conn), (1, conns + 1), "it is reported and tried once");
        assert_eq!(path(&sim, tom), Some(Carrier::Udp));
        sim.has_tcp = true;
        sim.machines[tom].up.conditions.tcp_hole = false;
        hole(&mut sim, tom, true, true);
        send_and_time(&mut sim, tom, "JACK", secs(10));
        assert_eq!(path(&sim, tom), Some(Carrier::Tcp), "it may fail over as before");
        hole(&mut sim, tom, false, false);
        assert!(sim.run_until(secs(120), |sim| path(sim, tom) == Some(Carrier::Udp)));
        sim.send_command(tom, Command::Carriers(Carriers::Tcp));
        assert!(sim.run_until(secs(1), |sim| path(sim, tom) == Some(Carrier::Tcp)), "it can be asked again");
        assert_eq!(sim.relay.core.stats().handshakes, handshakes);
    }
}

/// There is no session: a round is running, or the pause before the next one.
#[test]
fn carriers_chosen_while_relay_is_silent_are_tried() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        for chosen_after in [millis(100), secs(5), secs(9), secs(20)] {
            let (mut sim, tom, _) = two_clients(Carriers::Auto);
            sim.restart_relay(secs(30));
            sim.restart_client(tom);
            sim.run_for(chosen_after);
            sim.send_command(tom, Command::Carriers(carriers));
            let letter = sim.send(tom, "JACK", "hello");
            assert!(sim.run_until(secs(75), |sim| delivered(sim, letter)), "{carriers:?} {chosen_after:?}");
        }
    }
}

#[test]
fn client_pinned_to_udp_opens_no_tcp_connection() {
    let (mut sim, tom, _) = conversation(Carriers::Udp, millis(20));
    hole(&mut sim, tom, true, true);
    let letter = sim.send(tom, "JACK", "hello");
    sim.run_for(secs(20));
    hole(&mut sim, tom, false, false);
    assert!(sim.run_until(secs(20), |sim| delivered(sim, letter)));
    assert_eq!(sim.last_conn, 0);
}

#[test]
fn long_letter_stays_on_its_slow_connection() {
    let (mut sim, tom, _) = conversation(Carriers::Tcp, millis(100));
    sim.conns.values_mut().for_each(|conn| conn.segment_max = 1_460);
    sim.machines[tom].up.conditions.rate = 1_500;
    let letter = sim.send(tom, "JACK", &"x".repeat(60_000));
    assert!(sim.run_until(secs(120), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    assert_eq!(sim.last_conn, 2, "one connection for each client");
}

// faults.md: R74
#[test]
fn udp_is_validated_at_once_after_suspension() {
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    sim.run_for(secs(20));
    hole(&mut sim, tom, false, false);
    sim.machines[tom].node.paused_until = sim.now + secs(60);
    sim.run_for(secs(60));
    assert!(sim.run_until(secs(2), |sim| path(sim, tom) == Some(Carrier::Udp)), "{:?}", moves(&sim, tom));
}
