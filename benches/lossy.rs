//! Letters and sign-ins under random datagram loss: `cargo bench --bench lossy [-- SECONDS]`.
//!
//! Real processes on loopback: a relay with `--limits off` behind a network emulator that loses
//! datagrams in each direction and adds no delay. First, pairs with one letter in flight at 5, 10,
//! and 30 % loss. Then members with a pinned relay key sign in at 30 %, one after the other. All
//! use UDP, because the emulator cannot lose parts of a TCP connection.
//!
//! The goals are ten times the best of three servers over TCP, and a quarter of its p99. Those were
//! measured with nftables dropping packets between two network namespaces. Exits with status 1 if a
//! goal is missed.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

mod process_harness;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use process_harness::harness::{Machine, Relay};
use process_harness::netem::{LinkConditions, LinkDirection, NetworkEmulator};
use serde_json::Value;

/// Loss each way in parts per thousand. Then the goals: minimum letters per second and maximum p99
/// in milliseconds.
const ROWS: [(u64, Option<(f64, f64)>); 3] =
    [(50, Some((10_070.0, 54.0))), (100, Some((4_240.0, 108.0))), (300, None)];
const SECONDS: u64 = 10;
const PAIRS: &str = "20";
/// Members that sign in.
const MEMBERS: usize = 200;
/// Loss each way during the sign-ins, in parts per thousand.
const SIGN_IN_LOSS: u64 = 300;
/// Shares of the members that must be signed in by these times.
const SIGN_IN_GOALS: [(Duration, f64); 2] = [(Duration::from_secs(3), 0.95), (Duration::from_secs(8), 0.98)];
/// Interval between two members' starts. Long enough that starting processes is not measured.
const APART: Duration = Duration::from_millis(250);
/// A member that takes longer counts as not signed in.
const GIVEN_UP: Duration = Duration::from_secs(25);

fn lossy(loss: u64) -> LinkConditions {
    LinkConditions::both(LinkDirection { loss, ..LinkDirection::default() })
}

/// Measures and prints one line of the table of letters. Returns whether the goal is met.
fn letters(machine: &Machine, relay: &Relay, loss: u64, goal: Option<(f64, f64)>, seconds: u64) -> bool {
    let line = NetworkEmulator::open(relay.udp, loss, lossy(loss));
    let addr = line.addr.to_string();
    let secs = seconds.to_string();
    let pid = relay.process.pid();
    let args = ["bench", "--relay", &addr, "--pairs", PAIRS, "--window", "1", "--secs", &secs];
    let exited = machine.run(&[&args[..], &["--relay-pid", &pid, "--json"]].concat());
    let Some(report) = exited.out.last().and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        println!("{:>5} %  {:?}", loss / 10, exited.err);
        return false;
    };
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    let rate = number("letters_per_second");
    let p99 = number("p99_us") / 1e3;
    let goal_text = goal.map_or("-".to_owned(), |(rate, p99)| format!("{rate:.0}/s, {p99:.0} ms"));
    println!(
        "{:>5} % {rate:>10.0} {:>9.2} {:>9.2} {p99:>9.2} {:>9.2} {:>9.2} {:>9.2}   {goal_text}",
        loss / 10,
        number("p50_us") / 1e3,
        number("p90_us") / 1e3,
        number("max_us") / 1e3,
        number("packets_in_per_letter"),
        number("packets_out_per_letter"),
    );
    exited.code == 0 && goal.is_none_or(|goal| rate >= goal.0 && p99 <= goal.1)
}

/// Returns the sign-in time of each member; `None` for a member that did not sign in.
fn sign_ins(machine: &Machine, relay: &Relay) -> Vec<Option<Duration>> {
    let line = NetworkEmulator::open(relay.udp, 7, LinkConditions::default());
    machine.book(&["JACK"], line.addr);
    machine.listen("JACK", &["--udp"]).terminate();
    line.set(lossy(SIGN_IN_LOSS));
    let one = |member: usize| {
        let name = format!("M{member}");
        let start = Instant::now();
        let mut process = machine.start(&["listen", "--as", &name, "--udp"]);
        thread::spawn(move || {
            loop {
                let left = GIVEN_UP.checked_sub(start.elapsed())?;
                if process.err_within(left)?.contains("connected to") {
                    return Some(start.elapsed());
                }
            }
        })
    };
    let start_next = |member: usize| {
        thread::sleep(APART);
        one(member)
    };
    let members: Vec<_> = (0..MEMBERS).map(start_next).collect();
    members.into_iter().map(|member| member.join().unwrap()).collect()
}

fn main() -> ExitCode {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(SECONDS);
    let machine = Machine::new();
    let relay = machine.relay(&["--limits", "off"]);
    println!(
        "{PAIRS} pairs with one letter in flight, {seconds} s each; latencies in ms; packets for each letter"
    );
    println!(
        "{:>7} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}   goal",
        "loss", "letters/s", "p50", "p90", "p99", "max", "in", "out"
    );
    let mut good = true;
    for (loss, goal) in ROWS {
        good &= letters(&machine, &relay, loss, goal, seconds);
    }
    let mut took: Vec<Duration> = sign_ins(&machine, &relay).into_iter().flatten().collect();
    took.sort_unstable();
    println!("{MEMBERS} members with a pinned key sign in at {} % loss", SIGN_IN_LOSS / 10);
    for (within, goal) in SIGN_IN_GOALS {
        let share = took.iter().filter(|took| **took <= within).count() as f64 / MEMBERS as f64;
        println!("within {within:?}: {:.1} %, goal {:.0} %", share * 100.0, goal * 100.0);
        good &= share >= goal;
    }
    println!("slowest {:?}, {} never", took.last(), MEMBERS - took.len());
    relay.stop();
    ExitCode::from(u8::from(!good))
}
