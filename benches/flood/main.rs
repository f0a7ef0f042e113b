//! Letters of honest members while their relay is attacked:
//! `cargo bench --bench flood [-- [SCENARIO…] [SECONDS [PER_SECOND]]]`.
//!
//! Real processes on loopback, on two processors if there are more: a relay with its limits on, the
//! members of `queqiao bench` in a separate process, and an attacker on a thread here. The members
//! write at a fixed rate, and a letter's latency counts from the time it was due, so that a stalled
//! relay cannot hide its delay. Each line is one scenario. The members sign in during the attack,
//! except for that of handshakes.
//!
//! A missed goal is printed and is not an error. The status is 1 only if letters were lost,
//! repeated, or changed.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

mod garbage;
mod handshakes;
mod last_bytes;
#[path = "../process_harness/mod.rs"]
mod process_harness;
mod refused;
mod unknown_names;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use process_harness::harness::{Machine, Relay};
use serde_json::Value;

const SECONDS: u64 = 10;
/// Processors of the guarantee.
const CPUS: usize = 2;
/// Goal during the flood of garbage, the heaviest attack: 50,000 datagrams per second.
const P99_GARBAGE_GOAL_MS: f64 = 200.0;
/// Goal during all other attacks.
const P99_GOAL_MS: f64 = 50.0;
/// Goal for the relay's memory during each attack.
const MEMORY_GOAL_MB: f64 = 300.0;
const PAIRS: &str = "20";
/// Letters per second of all pairs together: half of a relay's limit for each member.
const RATE: &str = "1000";

/// An attack and the function that runs it.
struct Scenario {
    name: &'static str,
    p99_goal_ms: f64,
    run: fn(&Options) -> Option<Measured>,
}

const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "quiet", p99_goal_ms: P99_GOAL_MS, run: quiet },
    Scenario { name: "garbage", p99_goal_ms: P99_GARBAGE_GOAL_MS, run: garbage::run },
    Scenario { name: "handshakes", p99_goal_ms: P99_GOAL_MS, run: handshakes::run },
    Scenario { name: "last-bytes", p99_goal_ms: P99_GOAL_MS, run: last_bytes::run },
    Scenario { name: "refused", p99_goal_ms: P99_GOAL_MS, run: refused::run },
    Scenario { name: "unknown-names", p99_goal_ms: P99_GOAL_MS, run: unknown_names::run },
];

/// Parsed command line.
struct Options {
    seconds: u64,
    /// Datagrams of garbage per second.
    per_second: u64,
}

/// Result of one scenario.
struct Measured {
    p99_ms: f64,
    /// Maximum memory of the relay; Linux only.
    memory_max_mb: Option<f64>,
}

/// An attacker's thread. It runs until stopped and counts the packets that it has sent.
struct Attack {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Attack {
    fn start(send_flood: impl FnOnce(&AtomicU64, &AtomicBool) + Send + 'static) -> Attack {
        let sent = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let counter = sent.clone();
        let stop = over.clone();
        let thread = thread::spawn(move || send_flood(&counter, &stop));
        Attack { sent, over, thread }
    }

    fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("an attacker never panics");
        self.sent.load(Ordering::Relaxed)
    }
}

fn quiet(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    let relay = machine.relay(&[]);
    let measured = measure("quiet", &machine, &relay, options.seconds, None);
    relay.stop();
    measured
}

/// Measures once and prints one line. `None` if letters were lost, repeated, or changed.
fn measure(
    what: &str,
    machine: &Machine,
    relay: &Relay,
    seconds: u64,
    attack: Option<Attack>,
) -> Option<Measured> {
    let before = overflowed(relay.udp).unwrap_or(0);
    let start = Instant::now();
    let addr = relay.udp.to_string();
    let secs = seconds.to_string();
    let pid = relay.process.pid();
    let args = ["bench", "--relay", &addr, "--pairs", PAIRS, "--rate", RATE, "--secs", &secs];
    let exited = machine.run(&[&args[..], &["--relay-pid", &pid, "--json"]].concat());
    let sent = attack.map_or(0, Attack::stop);
    let took = start.elapsed().as_secs_f64();
    let lost = overflowed(relay.udp).map(|after| after - before);
    let report = exited.out.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let Some(report) = report.filter(|_| exited.code == 0) else {
        println!("{what:<13} {:?} {:?}", exited.out, exited.err);
        return None;
    };
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    let millis = |key: &str| number(key) / 1e3;
    let memory_max_mb = memory_max_mb(relay);
    println!(
        "{what:<13} {:>9.0} {:>9} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>10.0} {:>10.1} {:>9}",
        sent as f64 / took,
        lost.map_or("?".to_owned(), |lost| format!("{:.0}", lost as f64 / took)),
        number("letters_per_second"),
        millis("p50_us"),
        millis("p99_us"),
        millis("max_us"),
        number("relay_busy") * 100.0,
        number("bench_busy") * 100.0,
        memory_max_mb.map_or("?".to_owned(), |memory| format!("{memory:.0}")),
    );
    Some(Measured { p99_ms: millis("p99_us"), memory_max_mb })
}

/// Returns the number of datagrams that the system dropped because the relay's socket was full;
/// Linux only.
fn overflowed(relay: SocketAddr) -> Option<u64> {
    let IpAddr::V4(ip) = relay.ip() else { return None };
    let local = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), relay.port());
    let table = std::fs::read_to_string("/proc/net/udp").ok()?;
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    line.split_whitespace().last()?.parse().ok()
}

fn memory_max_mb(relay: &Relay) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.process.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1_024.0)
}

/// Restricts this process and its children to the processors of the guarantee.
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = numbers.next().unwrap_or(SECONDS).max(1);
    let per_second = numbers.next().unwrap_or(garbage::PER_SECOND).max(1);
    let options = Options { seconds, per_second };
    let is_asked = |scenario: &&Scenario| arguments.iter().any(|argument| argument == scenario.name);
    let is_any_asked = SCENARIOS.iter().any(|scenario| is_asked(&scenario));
    hold_to_few_processors();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    println!("{PAIRS} pairs, {RATE} letters/s in all, {seconds} s each, {cpus} processors; latencies in ms");
    println!(
        "{:<13} {:>9} {:>9} {:>10} {:>8} {:>8} {:>8} {:>10} {:>10} {:>9}",
        "",
        "attacks/s",
        "dropped/s",
        "letters/s",
        "p50",
        "p99",
        "max",
        "relay CPU%",
        "members' %",
        "relay MB"
    );
    let mut measured = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| !is_any_asked || is_asked(scenario)) {
        let Some(result) = (scenario.run)(&options) else { return ExitCode::FAILURE };
        measured.push((scenario, result));
    }
    for (Scenario { name, p99_goal_ms, .. }, Measured { p99_ms, memory_max_mb }) in measured {
        let is_met = p99_ms < *p99_goal_ms && memory_max_mb.is_none_or(|memory| memory < MEMORY_GOAL_MB);
        let met = if is_met { "met" } else { "missed" };
        println!("{name}: p99 < {p99_goal_ms} ms and memory < {MEMORY_GOAL_MB} MB: {met}");
    }
    ExitCode::SUCCESS
}
