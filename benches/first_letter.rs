//! Latency of a letter where UDP is silently dropped:
//! `cargo bench --bench first_letter [-- RUNS [ROUND_TRIP_MS]]`.
//!
//! Real processes on loopback, each client behind its own network emulator with this round trip.
//! The first rows measure from the start of `queqiao send` until it reports the letter as accepted.
//! The last rows measure the first letter after UDP has died during a conversation: from its line
//! on the standard input of `send --lines` to the same report.
//!
//! Exits with status 1 if a median misses its goal at a round trip of at most 100 ms.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

mod process_harness;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use process_harness::harness::{Machine, Process, Relay};
use process_harness::netem::{LinkConditions, NetworkEmulator};
use queqiao::base::Rng;

/// Default number of runs: the minimum for a distribution.
const RUNS: usize = 20;
const ROUND_TRIP_MS: u64 = 100;
/// Goal for the median of a first letter, at round trips up to [`ROUND_TRIP_MS`].
const FIRST_GOAL: Duration = Duration::from_secs(1);
/// Goal for the median of a letter after UDP has died, likewise.
const MIDWAY_GOAL: Duration = Duration::from_millis(1_500);
/// A letter that takes longer than this counts as a failure.
const FAILED: Duration = Duration::from_secs(30);
/// Upper bound of the random time between UDP's death and the letter.
const DEAD_FOR_MS: u64 = 1_500;
/// Letters exchanged before UDP dies. UDP is validated by then.
const LETTERS_BEFORE: usize = 4;

/// A relay, and TOM and JACK, each behind a network emulator.
struct FirstLetterTest {
    machine: Machine,
    relay: Relay,
    tom: NetworkEmulator,
    jack: NetworkEmulator,
    round_trip: Duration,
    rng: Rng,
}

impl FirstLetterTest {
    fn open(round_trip: Duration) -> FirstLetterTest {
        let machine = Machine::new();
        let relay = machine.relay(&["--tcp"]);
        let [tom, jack] =
            [1, 2].map(|seed| NetworkEmulator::open(relay.udp, seed, LinkConditions::distant(round_trip)));
        machine.book(&["TOM", "JACK"], tom.addr);
        machine.write("jack.toml", format!("[contacts]\nTOM = \"{}\"\n", jack.addr));
        FirstLetterTest { machine, relay, tom, jack, round_trip, rng: Rng::from_seed([7; 32]) }
    }

    fn listen(&self) -> Process {
        self.machine.listen("JACK", &["--contacts", "jack.toml"])
    }

    /// Drops datagrams in these directions from now on.
    fn hole(&self, up: bool, down: bool) {
        self.tom.set(LinkConditions::distant(self.round_trip).with_hole(up, down));
    }

    /// Deletes the stored state of UDP, so that runs are independent.
    fn clear_udp_failures(&self) {
        let members = self.machine.path(".local/share/queqiao/members");
        for member in fs::read_dir(members).into_iter().flatten().flatten() {
            let _ = fs::remove_file(member.path().join("udp_failed.toml"));
        }
    }

    /// Measures the first letter of a process that has the relay's key. `remembers`: it also knows
    /// that UDP failed last time.
    fn first_letter_with_key(&self, remembers: bool) -> Duration {
        self.hole(false, false);
        self.machine.send("TOM", "JACK", "the key is known from now on").with(0);
        if !remembers {
            self.clear_udp_failures();
        }
        self.hole(true, true);
        self.accepted(&["send", "--as", "TOM", "JACK", "hello"])
    }

    /// Measures the first letter of a new member.
    fn first_letter_without_key(&self, run: usize) -> Duration {
        self.hole(true, true);
        let name = format!("NEW{run}");
        self.accepted(&["send", "--as", &name, "--data", &name, "JACK", "hello"])
    }

    /// Measures a command until it reports its letter as accepted or delivered.
    fn accepted(&self, args: &[&str]) -> Duration {
        let start = Instant::now();
        let mut process = self.machine.start(args);
        let line = process.out_within(FAILED).expect("the letter is accepted");
        let took = start.elapsed();
        assert!(line.starts_with("accepted ") || line.starts_with("delivered "), "{line}");
        process.end().with(0);
        took
    }

    /// Measures the first letter after UDP has died.
    fn letter_after_udp_death(&mut self, up: bool, down: bool) -> Duration {
        self.hole(false, false);
        self.clear_udp_failures();
        let mut process = self.machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        for _ in 0..LETTERS_BEFORE {
            process.write("hello\n");
            process.out_within(FAILED).expect("UDP works");
        }
        self.hole(up, down);
        let dead_for = Duration::from_millis(self.rng.below(DEAD_FOR_MS));
        assert_eq!(process.out_within(dead_for), None);
        let start = Instant::now();
        process.write("are you there\n");
        process.out_within(FAILED).expect("the letter is accepted over TCP");
        let took = start.elapsed();
        process.write_and_close(b"");
        process.end().with(0);
        took
    }
}

/// Prints the distribution on one line. Returns whether the median is below the goal.
fn report(what: &str, goal: Option<Duration>, mut took: Vec<Duration>) -> bool {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_millis();
    let median = (took[(took.len() - 1) / 2] + took[took.len() / 2]) / 2;
    let goal_ms = goal.map_or("-".to_owned(), |goal| goal.as_millis().to_string());
    println!(
        "{what:<44} {:>4} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {goal_ms:>6}",
        took.len(),
        at(0),
        at(25),
        median.as_millis(),
        at(75),
        at(90),
        at(100),
    );
    goal.is_none_or(|goal| median < goal)
}

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let runs = numbers.next().map_or(RUNS, |runs| runs.max(1) as usize);
    let round_trip = numbers.next().unwrap_or(ROUND_TRIP_MS);
    let goal = |goal| Some(goal).filter(|_| round_trip <= ROUND_TRIP_MS);
    println!("round trip {round_trip} ms for each client; all times in ms");
    println!(
        "{:<44} {:>4} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "", "runs", "least", "25 %", "median", "75 %", "90 %", "most", "goal"
    );
    let mut test = FirstLetterTest::open(Duration::from_millis(round_trip));
    let jack = test.listen();
    let times = |one: Box<dyn FnMut(usize) -> Duration + '_>| (0..runs).map(one).collect();
    let mut good = true;
    let known = times(Box::new(|_| test.first_letter_with_key(false)));
    good &= report("first letter, key known, reader online", goal(FIRST_GOAL), known);
    let remembered = times(Box::new(|_| test.first_letter_with_key(true)));
    good &= report("the same, failure of UDP remembered", goal(FIRST_GOAL), remembered);
    let unknown = times(Box::new(|run| test.first_letter_without_key(run)));
    good &= report("first letter, key not known, reader online", None, unknown);
    for (up, down, what) in [(true, true, "both ways"), (true, false, "upwards"), (false, true, "downwards")]
    {
        let letter_after_udp_death = times(Box::new(|_| test.letter_after_udp_death(up, down)));
        good &= report(&format!("UDP dies midway, {what}"), goal(MIDWAY_GOAL), letter_after_udp_death);
    }
    jack.terminate().with(130);
    let away = times(Box::new(|_| test.first_letter_with_key(false)));
    good &= report("first letter, key known, reader away", goal(FIRST_GOAL), away);
    drop((test.jack, test.tom));
    test.relay.stop().with(0);
    ExitCode::from(u8::from(!good))
}
