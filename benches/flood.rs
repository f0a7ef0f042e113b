//! Letters through a relay that is flooded with garbage: `cargo bench --bench flood [-- SECONDS [PER_SECOND]]`.
//!
//! Real processes on loopback, held to two processors where there are more: a relay with its limits on, the members of
//! `queqiao bench` in a process of their own, and a thread here that sends garbage from addresses of its own, 50,000
//! datagrams a second unless told otherwise. A quarter each are random bytes; the right first byte and random ones; DATA
//! of sessions that nobody has; INITs of full size with a wrong mac1. The members write at a fixed rate whatever comes
//! back, and a letter counts from when it was due, so that a relay that stalls cannot hide it. The first line is without
//! the flood, the second with it; the members of both sign in first, the second ones through the flood already.
//!
//! `refused`: a member's conversation is refused, over and over: it sends as many lines as it can to another that blocks it.
//!
//! The goal is a p99 under 200 ms beside the garbage, and under 50 ms beside refusals. Whether it is met is told, and is no failure: the status is 1 only if letters were
//! lost, repeated or changed.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

mod stage;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use queqiao::base::Rng;
use queqiao::wire::packet::{HANDSHAKE_LEN, HEADER_LEN, MAC_LEN};
use serde_json::Value;
use stage::world::{Home, Relay};

const SECONDS: u64 = 10;
const PER_SECOND: u64 = 50_000;
/// The processors of the promise.
const CPUS: usize = 2;
const P99_GOAL_MS: f64 = 200.0;
const P99_REFUSED_GOAL_MS: f64 = 50.0;
/// Lines of the member whose conversation is refused: more than it can send while others are measured.
const REFUSED_LINES: usize = 4_000_000;
const PAIRS: &str = "20";
/// Letters a second of all pairs together: half of what a relay lets each member write.
const RATE: &str = "1000";
/// Datagrams are sent in bursts so far apart.
const BURST_EVERY: Duration = Duration::from_millis(1);
/// A machine too slow for the rate sends what it can, and still looks whether it should stop.
const BURST_MAX: u64 = 1_000;
/// Made once, so that the flood takes as little as can be of the processors it shares with what is measured.
const DATAGRAMS: usize = 1_024;
const LEN_MAX: u64 = 1_500;
/// Addresses that the flood comes from.
const SOURCES: u8 = 16;

/// A thread that floods until it is stopped.
struct Flood {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(relay: SocketAddr, per_second: u64) -> Flood {
        let (sent, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stop) = (sent.clone(), over.clone());
        let thread = thread::spawn(move || pour(relay, per_second, &counter, &stop));
        Flood { sent, over, thread }
    }

    fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood never fails");
        self.sent.load(Ordering::Relaxed)
    }
}

fn pour(relay: SocketAddr, per_second: u64, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed([5; 32]);
    let datagrams: Vec<Vec<u8>> = (0..DATAGRAMS).map(|number| garbage(number, &mut rng)).collect();
    let sources = (1..=SOURCES).map(|host| UdpSocket::bind((IpAddr::from([127, 255, 255, host]), 0)));
    let sources: Vec<UdpSocket> = sources.filter_map(Result::ok).collect();
    assert!(!sources.is_empty(), "loopback has these addresses");
    let (begin, mut done) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(BURST_MAX) {
            let from = &sources[(done / BURST_MAX) as usize % sources.len()];
            // A full buffer is no reason to stop.
            let _ = from.send_to(&datagrams[done as usize % DATAGRAMS], relay);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

fn garbage(number: usize, rng: &mut Rng) -> Vec<u8> {
    let (init, data): ([u8; HEADER_LEN], _) = ([0xFF, 1, 1, 0], [0xFF, 6, 1, 0]);
    let (len, head) = match number % 4 {
        0 => (1 + rng.below(LEN_MAX), &[][..]),
        1 => (1 + rng.below(LEN_MAX), &init[..1]),
        2 => (32 + rng.below(HANDSHAKE_LEN as u64 - 31), &data[..]),
        _ => (HANDSHAKE_LEN as u64, &init[..]),
    };
    let mut bytes = vec![0; len as usize];
    rng.fill(&mut bytes);
    bytes[..head.len()].copy_from_slice(head);
    if number % 4 == 3 {
        // No cookie is claimed: it is mac1 alone that is wrong.
        bytes[HANDSHAKE_LEN - MAC_LEN..].fill(0);
    }
    bytes
}

/// Datagrams that the system has dropped because the relay's socket was full; Linux alone tells.
fn overflowed(relay: SocketAddr) -> Option<u64> {
    let IpAddr::V4(ip) = relay.ip() else { return None };
    let local = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), relay.port());
    let table = std::fs::read_to_string("/proc/net/udp").ok()?;
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Measures once and tells it in one line: p99 in milliseconds, `None` if letters were lost, repeated or changed.
fn measure(what: &str, home: &Home, relay: &Relay, seconds: u64, per_second: Option<u64>) -> Option<f64> {
    let (before, start) = (overflowed(relay.udp).unwrap_or(0), Instant::now());
    let flood = per_second.map(|per_second| Flood::start(relay.udp, per_second));
    let (addr, secs, pid) = (relay.udp.to_string(), seconds.to_string(), relay.running.pid());
    let args = ["bench", "--relay", &addr, "--pairs", PAIRS, "--rate", RATE, "--secs", &secs];
    let ended = home.run(&[&args[..], &["--relay-pid", &pid, "--json"]].concat());
    let sent = flood.map_or(0, Flood::stop);
    let (took, lost) = (start.elapsed().as_secs_f64(), overflowed(relay.udp).map(|after| after - before));
    let report = ended.out.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let Some(report) = report.filter(|_| ended.code == 0) else {
        println!("{what:<10} {:?} {:?}", ended.out, ended.err);
        return None;
    };
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    let millis = |key: &str| number(key) / 1e3;
    println!(
        "{what:<10} {:>9.0} {:>9} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>10.0} {:>11.1}",
        sent as f64 / took,
        lost.map_or("?".to_owned(), |lost| format!("{:.0}", lost as f64 / took)),
        number("letters_per_second"),
        millis("p50_us"),
        millis("p99_us"),
        millis("max_us"),
        number("relay_busy") * 100.0,
        number("bench_busy") * 100.0,
    );
    Some(millis("p99_us"))
}

/// Measures while one member sends lines to another that takes none of them; p99 as in [`measure`].
fn measure_refused(home: &Home, relay: &Relay, seconds: u64) -> Option<f64> {
    home.book(&["TOM", "JACK"], relay.udp);
    home.away("JACK");
    home.run(&["contacts", "block", "TOM"]).with(0);
    home.away("JACK");
    let timeout = format!("{}s", 2 * seconds + 10);
    let mut tom = home.start(&["send", "--as", "TOM", "--timeout", &timeout, "--lines", "JACK"]);
    tom.feed(&b"a line that nobody takes\n".repeat(REFUSED_LINES));
    tom.until_err("blocked");
    let p99 = measure("refused", home, relay, seconds, None);
    let ended = tom.kill();
    let refused = ended.err.iter().filter(|line| line.ends_with(" blocked")).count();
    println!("{refused} lines of one conversation were refused beside them");
    p99
}

/// Keeps this process, and those it starts, on as many processors as were promised.
#[cfg(target_os = "linux")]
fn hold_to_few_processors() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut few = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(CPUS).for_each(|cpu| few.set(cpu));
    let _ = sched_setaffinity(None, &few);
}

#[cfg(not(target_os = "linux"))]
fn hold_to_few_processors() {}

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = numbers.next().unwrap_or(SECONDS).max(1);
    let per_second = numbers.next().unwrap_or(PER_SECOND).max(1);
    hold_to_few_processors();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let home = Home::new();
    let relay = home.relay(&[]);
    println!("{PAIRS} pairs, {RATE} letters/s in all, {seconds} s each, {cpus} processors; latencies in ms");
    println!(
        "{:<10} {:>9} {:>9} {:>10} {:>8} {:>8} {:>8} {:>10} {:>11}",
        "", "garbage/s", "dropped/s", "letters/s", "p50", "p99", "max", "relay CPU %", "members' %"
    );
    let quiet = measure("quiet", &home, &relay, seconds, None);
    let flooded = measure("flooded", &home, &relay, seconds, Some(per_second));
    let refused = measure_refused(&home, &relay, seconds);
    relay.stop();
    let (Some(_), Some(p99), Some(beside)) = (quiet, flooded, refused) else { return ExitCode::FAILURE };
    let told = |p99: f64, goal: f64| if p99 < goal { "met" } else { "missed" };
    let met = told(p99, P99_GOAL_MS);
    println!("goal under the flood: p99 < {P99_GOAL_MS} ms: {met} ({p99:.1} ms)");
    let met = told(beside, P99_REFUSED_GOAL_MS);
    println!("goal beside refusals: p99 < {P99_REFUSED_GOAL_MS} ms: {met} ({beside:.1} ms)");
    ExitCode::SUCCESS
}
