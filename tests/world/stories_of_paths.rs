//! Scenarios in which UDP fails in one way or another and comes back, with the reaction of the
//! conversation.

use std::time::Duration;

use queqiao::base::{Carrier, Input};
use queqiao::client::{Carriers, Command, Event, MovedWhy};
use queqiao::relay::Limits;

use super::node::Waiting;
use super::stories::{delivered, ended, is_online, millis, say, secs, shows, two};
use super::weather::Weather;
use super::world::World;

/// Both ends at `rtt`. A letter went each way, and UDP is validated.
pub fn talking(carriers: Carriers, rtt: Duration) -> (World, usize, usize) {
    let (mut world, tom, jack) = two(carriers);
    for client in [tom, jack] {
        let station = &mut world.stations[client];
        station.up.weather = Weather::clear(rtt / 2);
        station.down.weather = Weather::clear(rtt / 2);
    }
    for _ in 0..20 {
        say(&mut world, tom, "JACK", secs(1));
        say(&mut world, jack, "TOM", secs(1));
        world.run_for(millis(150));
    }
    world.run_for(secs(3));
    say(&mut world, tom, "JACK", secs(1));
    say(&mut world, jack, "TOM", secs(1));
    (world, tom, jack)
}

/// JACK is online, and TOM has not started yet.
pub fn only_jack_is_there() -> (World, usize) {
    let mut world = World::new(1);
    let tom = world.client("TOM", Carriers::Auto);
    let jack = world.client("JACK", Carriers::Auto);
    world.start(jack);
    world.run_for(secs(1));
    (world, tom)
}

/// Returns how long TOM's first letter takes from his start if UDP is silently dropped.
pub fn first_letter_over_tcp(rtt: Duration, knows_key: bool) -> Duration {
    let (mut world, tom) = only_jack_is_there();
    let key = world.relay.core.public_key();
    let station = &mut world.stations[tom];
    station.pinned = knows_key.then_some(key);
    station.up.weather = Weather::clear(rtt / 2);
    station.down.weather = Weather::clear(rtt / 2);
    hole(&mut world, tom, true, true);
    world.start(tom);
    say(&mut world, tom, "JACK", secs(5))
}

pub fn path(world: &World, client: usize) -> Option<Carrier> {
    let station = &world.stations[client];
    Some(station.node.core.peer(&station.relay)?.path()?.carrier())
}

pub fn moves(world: &World, client: usize) -> Vec<(Carrier, MovedWhy)> {
    let moved = |(_, event): &(_, Event)| match event {
        Event::Moved { via, why, .. } => Some((*via, *why)),
        _ => None,
    };
    world.stations[client].events.iter().filter_map(moved).collect()
}

pub fn hole(world: &mut World, client: usize, up: bool, down: bool) {
    world.stations[client].up.weather.udp_hole = up;
    world.stations[client].down.weather.udp_hole = down;
}

const ROUND_TRIPS: [u64; 3] = [1, 20, 100];

// faults.md: R28
#[test]
fn sender_fails_over_within_1500_ms_when_udp_dies() {
    for rtt in ROUND_TRIPS {
        for (up, down) in [(true, true), (true, false), (false, true)] {
            let (mut world, tom, _) = talking(Carriers::Auto, millis(rtt));
            let handshakes = world.relay.core.stats().handshakes;
            hole(&mut world, tom, up, down);
            let took = say(&mut world, tom, "JACK", secs(5));
            println!("rtt {rtt} ms, up {up}, down {down}: delivered after {took:?}");
            assert!(took <= millis(1_500), "{took:?} at {rtt} ms, up {up}, down {down}");
            assert_eq!(path(&world, tom), Some(Carrier::Tcp));
            assert_eq!(moves(&world, tom), [(Carrier::Tcp, MovedWhy::Silent)]);
            assert_eq!(world.relay.core.stats().handshakes, handshakes, "the session needs no handshake");
        }
    }
}

// faults.md: R28
#[test]
fn listener_of_live_conversation_fails_over_within_4_s() {
    for rtt in ROUND_TRIPS {
        for (up, down) in [(true, true), (true, false), (false, true)] {
            let (mut world, _, jack) = talking(Carriers::Auto, millis(rtt));
            let start = world.now;
            hole(&mut world, jack, up, down);
            assert!(world.run_until(secs(10), |w| path(w, jack) == Some(Carrier::Tcp)));
            let took = world.now.since(start);
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
        let (mut world, tom, _) = talking(Carriers::Auto, LOOPBACK);
        let handshakes = world.relay.core.stats().handshakes;
        hole(&mut world, tom, up, down);
        let took = say(&mut world, tom, "JACK", secs(5));
        println!("up {up}, down {down}: delivered after {took:?}");
        assert!((millis(250)..millis(500)).contains(&took) || !up, "{took:?}, up {up}, down {down}");
        assert!(world.run_until(millis(500), |w| path(w, tom) == Some(Carrier::Tcp)));
        assert_eq!(moves(&world, tom), [(Carrier::Tcp, MovedWhy::Silent)]);
        assert_eq!(world.relay.core.stats().handshakes, handshakes, "the session needs no handshake");
    }
}

#[test]
fn busy_relay_causes_no_failover_of_its_clients() {
    let (mut world, tom, jack) = talking(Carriers::Auto, LOOPBACK);
    let handshakes = world.relay.core.stats().handshakes;
    let conns = world.last_conn;
    let mut letters = Vec::new();
    for round in 0..200 {
        world.suspend(0, millis(60));
        letters.push(world.send(tom, "JACK", "hello"));
        letters.push(world.send(jack, "TOM", "hello"));
        world.run_for(millis(70 + round));
    }
    assert!(letters.iter().all(|letter| delivered(&world, *letter)));
    assert!(moves(&world, tom).is_empty() && moves(&world, jack).is_empty());
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
    assert_eq!(world.last_conn, conns, "no new connection");
}

/// The client is suspended for longer than UDP may be silent, and the relay for a little longer.
#[test]
fn suspended_client_does_not_mistake_its_pause_for_dead_udp() {
    for awake in [1, 5, 20, 50, 100] {
        let (mut world, tom, _) = talking(Carriers::Auto, LOOPBACK);
        let handshakes = world.relay.core.stats().handshakes;
        let conns = world.last_conn;
        let letter = world.send(tom, "JACK", "hello");
        world.suspend(0, millis(800));
        world.run_for(millis(awake));
        world.suspend(tom + 1, millis(650));
        world.run_for(secs(1));
        assert!(delivered(&world, letter));
        assert_eq!(moves(&world, tom), []);
        assert_eq!(world.relay.core.stats().handshakes, handshakes, "awake for {awake} ms");
        assert_eq!(world.last_conn, conns, "awake for {awake} ms");
    }
}

/// The relay answers while the client is suspended. Inputs must be processed before timers.
#[test]
fn answers_are_read_before_timers_fire_after_suspension() {
    for late in [60, 100, 200, 400] {
        let (mut world, tom, _) = talking(Carriers::Udp, LOOPBACK);
        let handshakes = world.relay.core.stats().handshakes;
        let letter = world.send(tom, "JACK", "hello");
        world.suspend(0, millis(490));
        world.run_for(millis(480));
        world.suspend(tom + 1, millis(late));
        world.run_for(secs(1));
        assert!(delivered(&world, letter));
        assert_eq!(world.relay.core.stats().handshakes, handshakes, "{late} ms late");
    }
}

// faults.md: R28
#[test]
fn restored_udp_is_validated_and_used_again() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    let handshakes = world.relay.core.stats().handshakes;
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    hole(&mut world, tom, false, false);
    let start = world.now;
    assert!(world.run_until(secs(15), |w| path(w, tom) == Some(Carrier::Udp)));
    println!("back on UDP after {:?}", world.now.since(start));
    assert_eq!(moves(&world, tom)[1..], [(Carrier::Udp, MovedWhy::Proved)]);
    say(&mut world, tom, "JACK", millis(100));
    say(&mut world, jack, "TOM", millis(100));
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
    world.run_for(secs(15));
    assert!(world.conns.is_empty(), "TCP was kept for ten seconds");
}

// faults.md: R28
#[test]
fn udp_restored_one_way_only_is_not_used() {
    for (up, down) in [(true, false), (false, true)] {
        let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
        hole(&mut world, tom, true, true);
        say(&mut world, tom, "JACK", secs(5));
        hole(&mut world, tom, up, down);
        for _ in 0..60 {
            say(&mut world, tom, "JACK", secs(1));
            world.run_for(secs(1));
        }
        assert_eq!(moves(&world, tom).len(), 1, "{:?}", moves(&world, tom));
    }
}

// faults.md: R28
#[test]
fn hole_of_2_s_every_7_s_does_not_make_path_flap() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    let handshakes = world.relay.core.stats().handshakes;
    let mut letters = Vec::new();
    for _ in 0..43 {
        for second in 0..7 {
            hole(&mut world, tom, second >= 5, second >= 5);
            letters.push(world.send(tom, "JACK", "hello"));
            letters.push(world.send(jack, "TOM", "hello"));
            world.run_for(secs(1));
        }
    }
    hole(&mut world, tom, false, false);
    world.run_for(secs(5));
    assert!(letters.iter().all(|letter| delivered(&world, *letter)));
    let moves = moves(&world, tom).len();
    println!("{moves} moves in five minutes of flapping");
    assert!((2..=10).contains(&moves), "{moves} moves");
    assert!(world.relay.core.stats().handshakes <= handshakes + 1);
}

// faults.md: R29
#[test]
fn udp_that_loses_every_long_packet_is_abandoned() {
    for (up, down) in [(true, true), (true, false), (false, true)] {
        let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
        let mtu = |open: bool| if open { 1_500 } else { 1_100 };
        world.stations[tom].up.weather.mtu = mtu(!up);
        world.stations[tom].down.weather.mtu = mtu(!down);
        let start = world.now;
        let out = world.send(tom, "JACK", &"x".repeat(20_000));
        let back = world.send(jack, "TOM", &"x".repeat(20_000));
        let both = |w: &World| delivered(w, out) && delivered(w, back);
        assert!(world.run_until(secs(4), both), "up {up}, down {down}: {:?}", moves(&world, tom));
        println!(
            "long packets lost, up {up}, down {down}: both delivered after {:?}",
            world.now.since(start)
        );
        assert_eq!(path(&world, tom), Some(Carrier::Tcp));
    }
}

// faults.md: R29
#[test]
fn udp_that_dies_after_third_packet_is_abandoned() {
    for (up, down) in [(true, true), (true, false), (false, true)] {
        for passes in 2..6 {
            let (mut world, tom) = only_jack_is_there();
            world.stations[tom].up.weather.udp_left = up.then_some(passes);
            world.stations[tom].down.weather.udp_left = down.then_some(passes);
            world.start(tom);
            let took = say(&mut world, tom, "JACK", secs(10));
            println!("{passes} pass, up {up}, down {down}: first letter delivered after {took:?}");
            assert!(took <= millis(1_500), "{took:?} with {passes}, up {up}, down {down}");
            world.run_for(secs(5));
            assert_eq!(path(&world, tom), Some(Carrier::Tcp), "{passes}, up {up}, down {down}");
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
    let mut world = World::new(1);
    let tom = world.client("TOM", Carriers::Auto);
    let jack = world.client("JACK", Carriers::Auto);
    world.start(jack);
    hole(&mut world, tom, true, true);
    world.start(tom);
    assert!(world.run_until(secs(2), |w| is_online(w, tom)));
    assert_eq!(path(&world, tom), Some(Carrier::Tcp));
    hole(&mut world, tom, false, false);
    assert!(world.run_until(secs(4), |w| path(w, tom) == Some(Carrier::Udp)));
    assert_eq!(moves(&world, tom), [(Carrier::Udp, MovedWhy::Proved)]);
    assert_eq!(world.relay.core.stats().handshakes, 2, "one for each client");
}

// faults.md: R39
#[test]
fn connection_reset_mid_conversation_loses_no_letter() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    let mut letters = Vec::new();
    for round in 0..60 {
        letters.push(world.send(tom, "JACK", "hello"));
        letters.push(world.send(jack, "TOM", "hello"));
        world.run_for(millis(100));
        if round % 20 == 10 {
            let ours = world.conns.iter().find(|(_, conn)| conn.client == tom).map(|(number, _)| *number);
            world.reset(ours.expect("the conversation is on TCP"));
        }
    }
    assert!(world.run_until(secs(5), |w| letters.iter().all(|l| delivered(w, *l))));
}

// faults.md: R42
#[test]
fn stalled_connection_is_left_for_udp_within_10_s() {
    let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    hole(&mut world, tom, false, false);
    let until = world.now + secs(600);
    for conn in world.conns.values_mut().filter(|conn| conn.client == tom) {
        conn.socket.iter_mut().for_each(|socket| socket.stalled_until = until);
    }
    let took = say(&mut world, tom, "JACK", secs(10));
    println!("off a stalled connection after {took:?}");
}

// faults.md: R31
#[test]
fn restarted_relay_has_its_sessions_back_within_1_s() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    world.restart_relay(Duration::ZERO);
    let start = world.now;
    let out = world.send(tom, "JACK", "hello");
    let back = world.send(jack, "TOM", "hello");
    assert!(world.run_until(secs(1), |w| ended(w, out) && ended(w, back)), "{:?}", world.fate(out));
    println!("after a restart: both letters ended after {:?}", world.now.since(start));
    assert!(world.relay.core.stats().resets >= 2);
    assert!(!shows(&world, tom, |e| matches!(e, Event::Lost { .. })));
    say(&mut world, tom, "JACK", millis(200));
}

/// No member sends anything: the relay must remember their addresses.
// faults.md: R31
#[test]
fn idle_clients_are_back_within_1_s_of_relay_restart() {
    // All of them come from one network, which has a limited share of the registrations in an hour.
    let mut world = World::with_limits(3, Limits { all_names_per_hour: None, ..Limits::default() });
    let clients: Vec<usize> = (0..60).map(|n| world.client(&format!("m{n}"), Carriers::Udp)).collect();
    clients.iter().for_each(|client| world.start(*client));
    assert!(world.run_until(secs(10), |w| clients.iter().all(|client| is_online(w, *client))));
    world.run_for(secs(8));
    assert_eq!(world.relay_disk.noted(), clients.len());
    world.restart_relay(Duration::ZERO);
    let start = world.now;
    let wanted = clients.len() as u64;
    let back = |w: &World| w.relay.core.stats().handshakes >= wanted;
    assert!(world.run_until(secs(1), back), "{:?}", world.relay.core.stats());
    println!("{wanted} idle clients are back after {:?}", world.now.since(start));
    world.run_for(secs(5));
    assert!(clients.iter().all(|client| !shows(&world, *client, |e| matches!(e, Event::Lost { .. }))));
    assert_eq!(world.relay.core.stats().handshakes, wanted, "once each");
    assert_eq!(world.relay_disk.noted(), clients.len(), "hints of lost sessions are removed");
    let letter = world.send(clients[0], "m1", "hello");
    assert!(world.run_until(secs(1), |w| delivered(w, letter)), "{:?}", world.fate(letter));
}

// faults.md: R31
#[test]
fn absent_client_is_reset_three_times_and_forgotten() {
    let (mut world, tom, _) = talking(Carriers::Udp, millis(20));
    world.run_for(secs(2));
    assert_eq!(world.relay_disk.noted(), 2);
    hole(&mut world, tom, true, true);
    world.restart_relay(Duration::ZERO);
    world.run_for(secs(3));
    assert_eq!(world.relay.core.stats().resets, 3 + 1, "JACK was back after the first");
    assert_eq!(world.relay_disk.noted(), 1);
}

// faults.md: R31
#[test]
fn clients_are_back_within_1_s_of_orderly_relay_stop() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        let (mut world, tom, jack) = talking(carriers, millis(20));
        world.run_for(secs(30));
        let stop = Input::Command(queqiao::relay::Command::Stop);
        world.tell_relay(Waiting::Other(stop));
        world.run_for(millis(5));
        world.restart_relay(millis(100));
        let both = |w: &World| is_online(w, tom) && is_online(w, jack);
        assert!(world.run_until(millis(50), |w| !is_online(w, tom)), "clients are notified");
        assert!(world.run_until(secs(1), both), "{carriers:?}");
        say(&mut world, tom, "JACK", millis(200));
    }
}

/// UDP is blocked, and resets with it. The broken connection shows that the relay died. The client
/// tries TCP again while it still tries UDP.
// faults.md: R31
#[test]
fn client_on_tcp_is_back_soon_after_relay_restart() {
    for carriers in [Carriers::Auto, Carriers::Tcp] {
        let (mut world, tom, jack) = talking(carriers, millis(20));
        hole(&mut world, tom, true, true);
        say(&mut world, tom, "JACK", secs(5));
        for down in [Duration::ZERO, millis(300), secs(1), secs(3)] {
            world.run_for(secs(60));
            world.restart_relay(down);
            let start = world.now;
            let letter = world.send(jack, "TOM", "hello");
            assert!(world.run_until(secs(30), |w| delivered(w, letter)), "{carriers:?} {down:?}");
            let took = world.now.since(start + down);
            println!("{carriers:?}: down for {down:?}, back after {took:?}");
            assert!(took < millis(1_500) + down, "{carriers:?}: down for {down:?}, back after {took:?}");
        }
    }
}

// faults.md: R12
#[test]
fn reset_with_wrong_token_is_ignored() {
    let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
    let handshakes = world.relay.core.stats().handshakes;
    let index = world.stations[tom].epoch_since.expect("it has sent data").0;
    for token in [[0; 16], [1; 16], [255; 16]] {
        let mut reset = Vec::new();
        queqiao::wire::packet::write_reset(&mut reset, index, &token);
        world.inject_to_client(tom, reset);
    }
    world.run_for(secs(2));
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
    say(&mut world, tom, "JACK", millis(100));
}

#[test]
fn user_moves_conversation_to_tcp_and_back() {
    let (mut world, tom, jack) = talking(Carriers::Auto, millis(20));
    let handshakes = world.relay.core.stats().handshakes;
    for (carriers, via) in
        [(Carriers::Tcp, Carrier::Tcp), (Carriers::Udp, Carrier::Udp), (Carriers::Tcp, Carrier::Tcp)]
    {
        world.command(tom, Command::Carriers(carriers));
        assert!(world.run_until(secs(1), |w| path(w, tom) == Some(via)), "{carriers:?}");
        assert_eq!(moves(&world, tom).last(), Some(&(via, MovedWhy::Asked)));
        say(&mut world, tom, "JACK", millis(200));
        say(&mut world, jack, "TOM", millis(200));
        world.run_for(secs(30));
        assert_eq!(path(&world, tom), Some(via), "it is pinned");
    }
    world.command(tom, Command::Carriers(Carriers::Auto));
    assert!(world.run_until(secs(4), |w| path(w, tom) == Some(Carrier::Udp)), "UDP is validated");
    assert_eq!(world.relay.core.stats().handshakes, handshakes);
}

/// There is no session: a round is running, or the pause before the next one.
#[test]
fn carriers_chosen_while_relay_is_silent_are_tried() {
    for carriers in [Carriers::Udp, Carriers::Tcp, Carriers::Auto] {
        for chosen_after in [millis(100), secs(5), secs(9), secs(20)] {
            let (mut world, tom, _) = two(Carriers::Auto);
            world.restart_relay(secs(30));
            world.restart_client(tom);
            world.run_for(chosen_after);
            world.command(tom, Command::Carriers(carriers));
            let letter = world.send(tom, "JACK", "hello");
            assert!(world.run_until(secs(75), |w| delivered(w, letter)), "{carriers:?} {chosen_after:?}");
        }
    }
}

#[test]
fn client_pinned_to_udp_opens_no_tcp_connection() {
    let (mut world, tom, _) = talking(Carriers::Udp, millis(20));
    hole(&mut world, tom, true, true);
    let letter = world.send(tom, "JACK", "hello");
    world.run_for(secs(20));
    hole(&mut world, tom, false, false);
    assert!(world.run_until(secs(20), |w| delivered(w, letter)));
    assert_eq!(world.last_conn, 0);
}

#[test]
fn long_letter_stays_on_its_slow_connection() {
    let (mut world, tom, _) = talking(Carriers::Tcp, millis(100));
    world.conns.values_mut().for_each(|conn| conn.cut = 1_460);
    world.stations[tom].up.weather.rate = 1_500;
    let letter = world.send(tom, "JACK", &"x".repeat(60_000));
    assert!(world.run_until(secs(120), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    assert_eq!(world.last_conn, 2, "one connection for each client");
}

// faults.md: R74
#[test]
fn udp_is_validated_at_once_after_suspension() {
    let (mut world, tom, _) = talking(Carriers::Auto, millis(20));
    hole(&mut world, tom, true, true);
    say(&mut world, tom, "JACK", secs(5));
    world.run_for(secs(20));
    hole(&mut world, tom, false, false);
    world.stations[tom].node.paused_until = world.now + secs(60);
    world.run_for(secs(60));
    assert!(world.run_until(secs(2), |w| path(w, tom) == Some(Carrier::Udp)), "{:?}", moves(&world, tom));
}
