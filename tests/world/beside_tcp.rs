//! Compares letters under loss with TCP on the same path, as a golden table. It has the goodput of
//! many letters sent at once, and the latency of letters sent one by one. Also measures how long
//! signing in takes.
//!
//! `QUEQIAO_BLESS=1 cargo test --test world beside_tcp` rewrites the table.

use std::fmt::Write as _;
use std::time::Duration;

use queqiao::base::Tick;
use queqiao::client::{Carriers, Event, Progress};

use super::golden::{hold, signed_in};
use super::reno::Tcp;
use super::stories::{is_online, secs};
use super::world::World;

const LOSS_PERCENT: [u64; 4] = [0, 1, 5, 10];
const RTT: Duration = Duration::from_millis(50);
/// Seeds of each cell.
const RUNS: u64 = 10;
/// Letters written at once.
const MANY: u64 = 2_000;
/// Letters sent one by one, [`APART`] from each other.
const LONE: u64 = 200;
const APART: Duration = Duration::from_millis(500);
const FILE: &str = "tests/golden/loss_beside_tcp.txt";

/// Measurements of one carrier at one loss rate.
#[derive(Default)]
struct Cell {
    many_took: Duration,
    lone: Vec<Duration>,
}

impl Cell {
    fn text(&mut self) -> String {
        self.lone.sort_unstable();
        let at = |share: usize| self.lone[(self.lone.len() - 1) * share / 100].as_millis();
        let goodput = (MANY * RUNS) as f64 / self.many_took.as_secs_f64();
        format!("{goodput:>10.0} {:>6} {:>6}", at(50), at(99))
    }
}

/// Returns when the sender of each letter received `delivered`.
fn delivered(world: &World, client: usize) -> Vec<(u64, Tick)> {
    let events = world.stations[client].events.iter();
    let told = events.filter_map(|(now, event)| match event {
        Event::Progress { request, progress: Progress::Delivered, .. } => Some((*request, *now)),
        _ => None,
    });
    told.collect()
}

fn by_link(loss_percent: u64) -> Cell {
    let mut cell = Cell::default();
    for seed in 0..RUNS {
        let (mut world, tom) = signed_in(seed, loss_percent, RTT);
        let start = world.now;
        (0..MANY).for_each(|number| {
            world.send(tom, "JACK", &format!("{number:<100}"));
        });
        assert!(world.run_until(secs(600), |w| delivered(w, tom).len() as u64 == MANY));
        cell.many_took += world.now.since(start);
        let (mut world, tom) = signed_in(seed, loss_percent, RTT);
        let mut given = Vec::new();
        for number in 0..LONE {
            given.push((world.send(tom, "JACK", &format!("{number:<100}")), world.now));
            world.run_for(APART);
        }
        assert!(world.run_until(secs(60), |w| delivered(w, tom).len() as u64 == LONE));
        let came = delivered(&world, tom);
        let latency = |(request, at): (u64, Tick)| {
            let (_, came) = came.iter().find(|(told, _)| *told == request).expect("all were delivered");
            came.since(at)
        };
        cell.lone.extend(given.into_iter().map(latency));
    }
    cell
}

fn by_tcp(loss_percent: u64) -> Cell {
    let mut cell = Cell::default();
    for seed in 0..RUNS {
        let mut many = Tcp::new(seed, loss_percent * 10, RTT);
        (0..MANY).for_each(|_| many.write_at(Tick::ZERO));
        cell.many_took += many.run().since(Tick::ZERO);
        let mut lone = Tcp::new(seed, loss_percent * 10, RTT);
        (0..LONE).for_each(|number| lone.write_at(Tick::ZERO + APART * number as u32));
        lone.run();
        cell.lone.append(&mut lone.latencies);
    }
    cell
}

fn table() -> String {
    let mut table = format!(
        "{RTT:?} round trip to each client; letters of 100 B; {MANY} at once: goodput; one each {APART:?}: latency to delivered\n"
    );
    table.push_str("            queqiao over UDP              TCP (NewReno, SACK)\n");
    table.push_str(" loss   letters/s p50 ms p99 ms    letters/s p50 ms p99 ms\n");
    for loss in LOSS_PERCENT {
        let link = by_link(loss).text();
        let tcp = by_tcp(loss).text();
        writeln!(table, "{loss:>3} %  {link}   {tcp}").expect("writing to a String cannot fail");
    }
    table
}

#[test]
fn goodput_and_latency_next_to_tcp_match_golden_table() {
    hold(FILE, &table());
}

/// Returns how long each of `count` clients needed to sign in, in ascending order.
///
/// Each has a separate simulation. The relay's key is pinned, and the line loses packets both ways.
fn sign_ins(loss_percent: u64, rtt: Duration, count: u64) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..count)
        .map(|seed| {
            let mut world = World::new(seed);
            let tom = world.client("TOM", Carriers::Udp);
            let station = &mut world.stations[tom];
            station.pinned = Some(world.relay.core.public_key());
            for lane in [&mut station.up, &mut station.down] {
                lane.weather.delay = rtt / 2;
                lane.weather.loss = loss_percent * 10;
            }
            world.start(tom);
            let start = world.now;
            assert!(world.run_until(secs(60), |w| is_online(w, tom)));
            world.now.since(start)
        })
        .collect();
    took.sort_unstable();
    took
}

/// 98 % are signed in within 8 s. The loss applies to each direction.
#[test]
fn sign_in_at_30_percent_loss_takes_3_s_for_95_percent() {
    let took = sign_ins(30, Duration::from_micros(200), 400);
    let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1];
    assert!(at(95) <= secs(3), "95 %: {:?}", at(95));
    assert!(at(98) <= secs(8), "98 %: {:?}", at(98));
}
