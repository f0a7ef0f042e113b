//! Compares letters under loss with TCP on the same path, as a golden table. It has the goodput of
//! many letters sent at once, and the latency of letters sent one by one. Also measures how long
//! signing in takes.
//!
//! `QUEQIAO_BLESS=1 cargo test --test simulation tcp_comparison` rewrites the table.

use std::fmt::Write as _;
use std::time::Duration;

use queqiao::base::Tick;
use queqiao::client::{Carriers, Event, Progress};

use super::golden::{check_golden_file, signed_in};
use super::reno::Tcp;
use super::scenarios::basic::{is_online, secs};
use super::simulation::Simulation;

const LOSS_PERCENT: [u64; 4] = [0, 1, 5, 10];
const RTT: Duration = Duration::from_millis(50);
/// Seeds of each cell.
const RUNS: u64 = 10;
/// Letters written at once.
const MANY: u64 = 2_000;
/// Letters sent one by one, [`APART`] from each other.
const LONE: u64 = 200;
const APART: Duration = Duration::from_millis(500);
const FILE: &str = "tests/golden/loss_vs_tcp.txt";

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
fn delivered(sim: &Simulation, client: usize) -> Vec<(u64, Tick)> {
    let events = sim.machines[client].events.iter();
    let requests = events.filter_map(|(now, event)| match event {
        Event::Progress { request, progress: Progress::Delivered, .. } => Some((*request, *now)),
        _ => None,
    });
    requests.collect()
}

fn by_link(loss_percent: u64) -> Cell {
    let mut cell = Cell::default();
    for seed in 0..RUNS {
        let (mut sim, tom) = signed_in(seed, loss_percent, RTT);
        let start = sim.now;
        (0..MANY).for_each(|number| {
            sim.send(tom, "JACK", &format!("{number:<100}"));
        });
        assert!(sim.run_until(secs(600), |sim| delivered(sim, tom).len() as u64 == MANY));
        cell.many_took += sim.now.since(start);
        let (mut sim, tom) = signed_in(seed, loss_percent, RTT);
        let mut given = Vec::new();
        for number in 0..LONE {
            given.push((sim.send(tom, "JACK", &format!("{number:<100}")), sim.now));
            sim.run_for(APART);
        }
        assert!(sim.run_until(secs(60), |sim| delivered(sim, tom).len() as u64 == LONE));
        let came = delivered(&sim, tom);
        let latency = |(request, at): (u64, Tick)| {
            let (_, came) =
                came.iter().find(|(requests, _)| *requests == request).expect("all were delivered");
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
    check_golden_file(FILE, &table());
}

/// Returns how long each of `count` clients needed to sign in, in ascending order.
///
/// Each has a separate simulation. The relay's key is pinned, and the line loses packets both ways.
fn sign_ins(loss_percent: u64, rtt: Duration, count: u64) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..count)
        .map(|seed| {
            let mut sim = Simulation::new(seed);
            let tom = sim.add_client("TOM", Carriers::Udp);
            let machine = &mut sim.machines[tom];
            machine.pinned = Some(sim.relay.core.public_key());
            for direction in [&mut machine.up, &mut machine.down] {
                direction.conditions.delay = rtt / 2;
                direction.conditions.loss = loss_percent * 10;
            }
            sim.start(tom);
            let start = sim.now;
            assert!(sim.run_until(secs(60), |sim| is_online(sim, tom)));
            sim.now.since(start)
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
