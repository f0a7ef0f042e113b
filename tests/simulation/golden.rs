//! Cost of loss and distance, in virtual seconds and packets, as a golden table: a change of
//! behaviour is one visible diff.
//!
//! `kept` counts letters that the relay wrote to disk, because their recipient did not store them
//! in time. `QUEQIAO_BLESS=1` rewrites the table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use queqiao::client::Carriers;
use queqiao::relay::Limits;

use super::coverage::Count;
use super::scenarios::basic::{is_online, secs};
use super::simulation::Simulation;

const LOSS_PERCENT: [u64; 4] = [0, 2, 10, 30];
const RTT_MS: [u64; 3] = [1, 50, 200];
/// Seeds of each cell: with loss, results of a single run vary too much.
const RUNS: u64 = 5;
const FILE: &str = "tests/golden/loss_by_distance.txt";

/// Returns a simulation without limits, and TOM. He and JACK have signed in, each at the round trip
/// `rtt` from the relay, before the losses begin.
pub fn signed_in(seed: u64, loss_percent: u64, rtt: Duration) -> (Simulation, usize) {
    let mut sim = Simulation::with_limits(seed, Limits { per_sender: false, ..Limits::default() });
    let tom = sim.add_client("TOM", Carriers::Udp);
    let jack = sim.add_client("JACK", Carriers::Udp);
    let key = sim.relay.core.public_key();
    for client in [tom, jack] {
        let machine = &mut sim.machines[client];
        machine.pinned = Some(key);
        for direction in [&mut machine.up, &mut machine.down] {
            direction.conditions.delay = rtt / 2;
        }
        sim.start(client);
    }
    assert!(sim.run_until(secs(10), |sim| is_online(sim, tom) && is_online(sim, jack)));
    sim.run_for(secs(1));
    for machine in &mut sim.machines {
        machine.up.conditions.loss = loss_percent * 10;
        machine.down.conditions.loss = loss_percent * 10;
    }
    (sim, tom)
}

/// Cost of sending some letters.
struct Cost {
    /// Virtual seconds until all are delivered.
    seconds: f64,
    /// Packets that both clients and the relay sent.
    packets: u64,
    /// Letters that the relay wrote to disk.
    kept: u64,
}

/// Sends the letters and returns their cost.
fn cost(seed: u64, loss_percent: u64, rtt_ms: u64, letters: &[String]) -> Cost {
    let (mut sim, tom) = signed_in(seed, loss_percent, Duration::from_millis(rtt_ms));
    let start = sim.now;
    let packets = sim.datagrams;
    letters.iter().for_each(|text| {
        sim.send(tom, "JACK", text);
    });
    let delivered = |sim: &Simulation| sim.coverage.get(Count::LettersDelivered);
    assert!(
        sim.run_until(secs(600), |sim| delivered(sim) == letters.len() as u64),
        "every letter is delivered"
    );
    let kept = sim.relay.core.stats().letters_written;
    let seconds = sim.now.since(start).as_secs_f64();
    Cost { seconds, packets: sim.datagrams - packets, kept }
}

/// Returns the mean of several runs, as one cell.
fn cell(loss: u64, rtt: u64, letters: &[String]) -> String {
    let runs = if loss == 0 { 1 } else { RUNS };
    let costs: Vec<Cost> = (0..runs).map(|seed| cost(seed, loss, rtt, letters)).collect();
    let seconds: f64 = costs.iter().map(|cost| cost.seconds).sum::<f64>() / runs as f64;
    let packets: u64 = costs.iter().map(|cost| cost.packets).sum::<u64>() / runs;
    let kept: u64 = costs.iter().map(|cost| cost.kept).sum::<u64>() / runs;
    format!("{seconds:>9.3} s {packets:>6} {kept:>5}")
}

fn table() -> String {
    let short: Vec<String> = (0..1_000).map(|n| format!("{n:<100}")).collect();
    let long = vec!["x".repeat(64 * 1024)];
    let mut table = String::from(" loss   rtt      1,000 letters of 100 B         one letter of 64 KiB\n");
    table.push_str("         ms       time  packets    kept         time  packets    kept\n");
    for loss in LOSS_PERCENT {
        for rtt in RTT_MS {
            let many = cell(loss, rtt, &short);
            let one = cell(loss, rtt, &long);
            writeln!(table, "{loss:>3} % {rtt:>5}  {many}      {one}")
                .expect("writing to a String cannot fail");
        }
    }
    table
}

/// Compares the golden table in `file` with `now`. `QUEQIAO_BLESS=1` rewrites the file.
pub fn check_golden_file(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("QUEQIAO_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("the path has a parent")).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{file} says:\n{kept}\nbut now it is:\n{now}\nQUEQIAO_BLESS=1 accepts it");
}

#[test]
fn cost_of_loss_and_distance_matches_golden_table() {
    check_golden_file(FILE, &table());
}
