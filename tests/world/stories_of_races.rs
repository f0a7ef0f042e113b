//! Races between the carriers at the start, many of each kind.

use std::time::Duration;

use queqiao::base::Carrier;
use queqiao::client::{Carriers, Command, Event};

use super::stories::{delivered, is_online, millis, say, secs, two};
use super::stories_of_paths::path;
use super::weather::Weather;
use super::world::World;

const RUNS: u64 = 1_000;

/// Returns how many of [`RUNS`] starts TCP wins although UDP works, and the longest time to a
/// session over UDP.
///
/// `rtt` is the round trip. UDP loses `thousandths` each way.
fn false_wins(rtt: Duration, thousandths: u64, knows_key: bool) -> (u64, Duration) {
    let mut wins = 0;
    let mut longest = Duration::ZERO;
    for seed in 0..RUNS {
        let mut world = World::new(seed);
        let tom = world.client("TOM", Carriers::Auto);
        let weather = Weather { loss: thousandths, ..Weather::clear(rtt / 2) };
        let pinned = knows_key.then(|| world.relay.core.public_key());
        let station = &mut world.stations[tom];
        station.up.weather = weather.clone();
        station.down.weather = weather;
        station.pinned = pinned;
        let start = world.now;
        world.start(tom);
        let path = |world: &World| {
            let station = &world.stations[tom];
            Some(station.node.core.peer(&station.relay)?.path()?.carrier())
        };
        assert!(world.run_until(secs(5), |w| path(w).is_some()), "seed {seed}: the relay is reached");
        match path(&world) {
            Some(Carrier::Tcp) => wins += 1,
            _ => longest = longest.max(world.now.since(start)),
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
    let mut world = World::new(7);
    let tom = world.client("TOM", Carriers::Auto);
    let station = &mut world.stations[tom];
    station.up.weather = Weather::clear(millis(50));
    station.down.weather = Weather::clear(millis(50));
    station.up.weather.udp_hole = passed == 0;
    let start = world.now;
    world.start(tom);
    let letter = world.send(tom, "echo", "hello");
    if passed > 0 {
        world.run_until(secs(5), |w| w.datagrams >= passed as u64);
        world.stations[tom].up.weather.udp_hole = true;
    }
    assert!(world.run_until(secs(5), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    world.now.since(start)
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
        let mut world = World::new(seed);
        let tom = world.client("TOM", Carriers::Auto);
        let weather = Weather { loss: 200, ..Weather::clear(millis(50)) };
        let station = &mut world.stations[tom];
        station.up.weather = weather.clone();
        station.down.weather = weather;
        world.start(tom);
        let online = |w: &World| {
            w.stations[tom].events.iter().find_map(|(_, event)| match event {
                Event::Online { via, .. } => Some(*via),
                _ => None,
            })
        };
        assert!(world.run_until(secs(20), |w| online(w).is_some()), "seed {seed}");
        (online(&world) == Some(Carrier::Tcp)).then(|| {
            world.run_until(secs(15), |w| {
                let station = &w.stations[tom];
                let path = station.node.core.peer(&station.relay).and_then(|peer| peer.path());
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
    let (mut world, tom, jack) = two(Carriers::Auto);
    world.command(tom, Command::Leave);
    world.run_for(secs(1));
    world.restart_client(tom);
    let before = world.relay.core.stats();
    world.stations[tom].pinned = Some(world.relay.core.public_key());
    for up in [true, false] {
        let station = &mut world.stations[tom];
        let lane = if up { &mut station.up } else { &mut station.down };
        lane.weather = Weather::clear(millis(200));
        // Two first messages are lost. The third is answered while the one over TCP is in transit.
        lane.weather.udp_hole = up;
    }
    world.later(millis(400), move |w| w.stations[tom].up.weather.udp_hole = false);
    let took = say(&mut world, tom, "JACK", secs(10));
    let after = world.relay.core.stats();
    println!("delivered after {took:?}, {} handshakes", after.handshakes - before.handshakes);
    assert_eq!(after.handshakes - before.handshakes, 2);
    assert_eq!(after.resets, before.resets, "no session is reset");
    assert!(took < millis(1_500), "{took:?}");
    assert!(is_online(&world, jack) && path(&world, tom) == Some(Carrier::Udp));
}
