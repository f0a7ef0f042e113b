//! What loss and distance cost: virtual seconds and packets, kept as a table so that a change of behaviour is one
//! visible diff. Refused are letters whose recipient counted as lost, since nothing came from it for too long. `QUEQIAO_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use queqiao::client::Carriers;
use queqiao::relay::Limits;

use super::cover::Count;
use super::stories::{is_online, secs};
use super::world::World;

const LOSS_PERCENT: [u64; 4] = [0, 2, 10, 30];
const RTT_MS: [u64; 3] = [1, 50, 200];
/// Seeds of each cell: with loss one run says little.
const RUNS: u64 = 5;
const FILE: &str = "tests/golden/loss_by_distance.txt";

/// TOM, JACK and a relay with this round trip to each, both signed in before the losses begin; without limits.
pub fn signed_in(seed: u64, loss_percent: u64, rtt: Duration) -> (World, usize) {
    let mut world = World::with_limits(seed, Limits { per_sender: false, ..Limits::default() });
    let tom = world.client("TOM", Carriers::Udp);
    let jack = world.client("JACK", Carriers::Udp);
    let key = world.relay.core.public_key();
    for client in [tom, jack] {
        let station = &mut world.stations[client];
        station.pinned = Some(key);
        for lane in [&mut station.up, &mut station.down] {
            lane.weather.delay = rtt / 2;
        }
        world.start(client);
    }
    assert!(world.run_until(secs(10), |w| is_online(w, tom) && is_online(w, jack)));
    world.run_for(secs(1));
    for station in &mut world.stations {
        station.up.weather.loss = loss_percent * 10;
        station.down.weather.loss = loss_percent * 10;
    }
    (world, tom)
}

/// Seconds until all is delivered, and packets both clients and the relay sent for it.
fn cost(seed: u64, loss_percent: u64, rtt_ms: u64, letters: &[String]) -> (f64, u64, u64) {
    let (mut world, tom) = signed_in(seed, loss_percent, Duration::from_millis(rtt_ms));
    let start = world.now;
    let packets = world.datagrams;
    letters.iter().for_each(|text| {
        world.send(tom, "JACK", text);
    });
    let delivered = |w: &World| w.cover.get(Count::LettersDelivered);
    assert!(
        world.run_until(secs(600), |w| delivered(w) == letters.len() as u64),
        "every letter is delivered"
    );
    let kept = world.relay.core.stats().letters_written;
    (world.now.since(start).as_secs_f64(), world.datagrams - packets, kept)
}

/// The mean of some runs, as one cell.
fn cell(loss: u64, rtt: u64, letters: &[String]) -> String {
    let runs = if loss == 0 { 1 } else { RUNS };
    let costs: Vec<(f64, u64, u64)> = (0..runs).map(|seed| cost(seed, loss, rtt, letters)).collect();
    let seconds: f64 = costs.iter().map(|cost| cost.0).sum::<f64>() / runs as f64;
    let packets: u64 = costs.iter().map(|cost| cost.1).sum::<u64>() / runs;
    let kept: u64 = costs.iter().map(|cost| cost.2).sum::<u64>() / runs;
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
            writeln!(table, "{loss:>3} % {rtt:>5}  {many}      {one}").expect("a String takes all");
        }
    }
    table
}

/// The kept table is this one; `QUEQIAO_BLESS=1` writes it anew.
pub fn hold(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("QUEQIAO_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{file} says:\n{kept}\nbut now it is:\n{now}\nQUEQIAO_BLESS=1 accepts it");
}

#[test]
fn loss_and_distance_cost_what_the_table_says() {
    hold(FILE, &table());
}
