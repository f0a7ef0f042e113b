//! Races between the carriers at the start, many of each kind.

use std::time::Duration;

use queqiao::base::Carrier;
use queqiao::client::{Carriers, Command, Event};

use crate::link_conditions::LinkConditions;
use crate::scenarios::basic::{delivered, is_online, millis, secs, send_and_time, two_clients};
use crate::scenarios::paths::{conversation, hole, path};
use crate::simulation::Simulation;

const RUNS: u64 = 1_000;

/// Returns how many of [`RUNS`] starts TCP wins although UDP works, and the longest time to a
/// session over UDP.
///
/// `rtt` is the round trip. UDP loses `thousandths` each way.
fn false_wins(rtt: Duration, thousandths: u64, knows_key: bool) -> (u64, Duration) {
    let mut wins = 0;
    let mut longest = Duration::ZERO;
    for seed in 0..RUNS {
        let mut sim = Simulation::new(seed);
        let tom = sim.add_client("TOM", Carriers::Auto);
        let conditions = LinkConditions { loss: thousandths, ..LinkConditions::clear(rtt / 2) };
        let pinned = knows_key.then(|| sim.relay.core.public_key());
        let machine = &mut sim.machines[tom];
        machine.up.conditions = conditions.clone();
        machine.down.conditions = conditions;
        machine.pinned = pinned;
        let start = sim.now;
        sim.start(tom);
        let path = |sim: &Simulation| {
            let machine = &sim.machines[tom];
            Some(machine.node.core.peer(&machine.relay)?.path()?.carrier())
        };
        assert!(sim.run_until(secs(5), |sim| path(sim).is_some()), "seed {seed}: the relay is reached");
        match path(&sim) {
            Some(Carrier::Tcp) => wins += 1,
            _ => longest = longest.max(sim.now.since(start)),
        }
    }
    (wins, longest)
}

#[test]
fn tcp_rarely_wins_race_if_udp_works() {
    for knows_key in [true, false] {
        let (wins, longest) = false_wins(millis(100), 20, knows_key);
        println!(
            "key known {knows_key}: TCP wins {wins} of {RUNS} at 2 % loss each way, 100 ms; UDP took up to {longest:?}"
        );
        assert!(wins * 100 <= RUNS, "{wins} of {RUNS}");
    }
}

#[test]
fn tcp_never_wins_race_if_udp_loses_nothing() {
    for knows_key in [true, false] {
        assert_eq!(false_wins(millis(100), 0, knows_key).0, 0);
    }
}

/// Returns how long the first letter of a client that does not know the relay's key takes, until
/// the relay answers it. The round trip is 100 ms.
///
/// UDP packets up are dropped once `passed` datagrams have been sent.
fn first_letter_without_key(passed: usize) -> Duration {
    let mut sim = Simulation::new(7);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let machine = &mut sim.machines[tom];
    machine.up.conditions = LinkConditions::clear(millis(50));
    machine.down.conditions = LinkConditions::clear(millis(50));
    machine.up.conditions.udp_hole = passed == 0;
    let start = sim.now;
    sim.start(tom);
    let letter = sim.send(tom, "echo", "hello");
    if passed > 0 {
        sim.run_until(secs(5), |sim| sim.datagrams >= passed as u64);
        sim.machines[tom].up.conditions.udp_hole = true;
    }
    assert!(sim.run_until(secs(5), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    sim.now.since(start)
}

/// UDP that has answered the key query gets a head start in the race. If it is dropped after that,
/// the first letter must not take longer than with UDP that is dropped from the start.
#[test]
fn udp_head_start_does_not_delay_first_letter_if_udp_drops() {
    let dropped = first_letter_without_key(0);
    let key_passed = first_letter_without_key(2);
    println!("UDP dropped at once {dropped:?}, after the key {key_passed:?}");
    assert!(dropped < millis(900), "{dropped:?}");
    assert!(key_passed <= dropped, "{key_passed:?}");
}

#[test]
fn false_tcp_win_is_undone_once_udp_is_validated() {
    let undone = |seed: u64| {
        let mut sim = Simulation::new(seed);
        let tom = sim.add_client("TOM", Carriers::Auto);
        let conditions = LinkConditions { loss: 200, ..LinkConditions::clear(millis(50)) };
        let machine = &mut sim.machines[tom];
        machine.up.conditions = conditions.clone();
        machine.down.conditions = conditions;
        sim.start(tom);
        let online = |sim: &Simulation| {
            sim.machines[tom].events.iter().find_map(|(_, event)| match event {
                Event::Online { via, .. } => Some(*via),
                _ => None,
            })
        };
        assert!(sim.run_until(secs(20), |sim| online(sim).is_some()), "seed {seed}");
        (online(&sim) == Some(Carrier::Tcp)).then(|| {
            sim.run_until(secs(15), |sim| {
                let machine = &sim.machines[tom];
                let path = machine.node.core.peer(&machine.relay).and_then(|peer| peer.path());
                path.is_some_and(|path| path.carrier() == Carrier::Udp)
            })
        })
    };
    let falsely: Vec<bool> = (0..200).filter_map(undone).collect();
    let back = falsely.iter().filter(|undone| **undone).count();
    println!("{} of 200 began on TCP at 20 % loss; {back} were on UDP within 15 s", falsely.len());
    assert!(falsely.len() >= 10 && back * 10 >= falsely.len() * 9, "{back} of {}", falsely.len());
}

#[test]
fn late_tcp_attempt_does_not_end_session_being_answered() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    sim.send_command(tom, Command::Leave);
    sim.run_for(secs(1));
    sim.restart_client(tom);
    let before = sim.relay.core.stats();
    sim.machines[tom].pinned = Some(sim.relay.core.public_key());
    for up in [true, false] {
        let machine = &mut sim.machines[tom];
        let direction = if up { &mut machine.up } else { &mut machine.down };
        direction.conditions = LinkConditions::clear(millis(200));
        // Two first messages are lost. The third is answered while the one over TCP is in transit.
        direction.conditions.udp_hole = up;
    }
    sim.schedule(millis(400), move |sim| sim.machines[tom].up.conditions.udp_hole = false);
    let took = send_and_time(&mut sim, tom, "JACK", secs(10));
    let after = sim.relay.core.stats();
    println!("delivered after {took:?}, {} handshakes", after.handshakes - before.handshakes);
    assert_eq!(after.handshakes - before.handshakes, 2);
    assert_eq!(after.resets, before.resets, "no session is reset");
    assert!(took < millis(1_500), "{took:?}");
    assert!(is_online(&sim, jack) && path(&sim, tom) == Some(Carrier::Udp));
}

/// TOM requests new keys over TCP. The connection stalls, and TOM returns to UDP before the answer.
/// It must not put the session back on the connection, which closes ten seconds later as no longer
/// needed.
#[test]
fn rekey_answered_after_return_to_udp_leaves_session_there() {
    let (mut sim, tom, _) = conversation(Carriers::Auto, millis(20));
    hole(&mut sim, tom, true, true);
    send_and_time(&mut sim, tom, "JACK", secs(5));
    assert_eq!(path(&sim, tom), Some(Carrier::Tcp));
    assert!(sim.run_until(secs(1_000), |sim| needs_rekey(sim, tom)));
    hole(&mut sim, tom, false, false);
    sim.machines[tom].down.conditions.tcp_hole = true;
    let letter = sim.send(tom, "JACK", "sent while TCP stalls");
    assert!(sim.run_until(secs(60), |sim| path(sim, tom) == Some(Carrier::Udp)));
    assert!(needs_rekey(&sim, tom));
    sim.machines[tom].down.conditions.tcp_hole = false;
    assert!(!sim.run_until(secs(15), |sim| path(sim, tom) != Some(Carrier::Udp)));
    assert!(!needs_rekey(&sim, tom) && delivered(&sim, letter));
    assert!(send_and_time(&mut sim, tom, "JACK", secs(5)) < millis(100));
}

fn needs_rekey(sim: &Simulation, client: usize) -> bool {
    let machine = &sim.machines[client];
    machine.node.core.peer(&machine.relay).is_some_and(|peer| peer.needs_rekey(sim.now))
}
