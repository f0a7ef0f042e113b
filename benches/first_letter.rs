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

mod stage;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use queqiao::base::Rng;
use stage::line::{Line, Weather};
use stage::world::{Home, Relay, Running};

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
struct Stage {
    home: Home,
    relay: Relay,
    tom: Line,
    jack: Line,
    round_trip: Duration,
    rng: Rng,
}

impl Stage {
    fn open(round_trip: Duration) -> Stage {
        let home = Home::new();
        let relay = home.relay(&["--tcp"]);
        let [tom, jack] = [1, 2].map(|seed| Line::open(relay.udp, seed, Weather::distant(round_trip)));
        home.book(&["TOM", "JACK"], tom.addr);
        home.write("jack.toml", format!("[contacts]\nTOM = \"{}\"\n", jack.addr));
        Stage { home, relay, tom, jack, round_trip, rng: Rng::from_seed([7; 32]) }
    }

    fn listen(&self) -> Running {
        self.home.listen("JACK", &["--contacts", "jack.toml"])
    }

    /// Drops datagrams in these directions from now on.
    fn hole(&self, up: bool, down: bool) {
        self.tom.set(Weather::distant(self.round_trip).with_hole(up, down));
    }

    /// Deletes the stored state of UDP, so that runs are independent.
    fn forget(&self) {
        let members = self.home.path(".local/share/queqiao/members");
        for member in fs::read_dir(members).into_iter().flatten().flatten() {
            let _ = fs::remove_file(member.path().join("udp_failed.toml"));
        }
    }

    /// Measures the first letter of a process that has the relay's key. `remembers`: it also knows
    /// that UDP failed last time.
    fn with_key(&self, remembers: bool) -> Duration {
        self.hole(false, false);
        self.home.send("TOM", "JACK", "the key is known from now on").with(0);
        if !remembers {
            self.forget();
        }
        self.hole(true, true);
        self.accepted(&["send", "--as", "TOM", "JACK", "hello"])
    }

    /// Measures the first letter of a new member.
    fn without_key(&self, run: usize) -> Duration {
        self.hole(true, true);
        let name = format!("NEW{run}");
        self.accepted(&["send", "--as", &name, "--data", &name, "JACK", "hello"])
    }

    /// Measures a command until it reports its letter as accepted or delivered.
    fn accepted(&self, args: &[&str]) -> Duration {
        let start = Instant::now();
        let mut running = self.home.start(args);
        let told = running.out_within(FAILED).expect("the letter is accepted");
        let took = start.elapsed();
        assert!(told.starts_with("accepted ") || told.starts_with("delivered "), "{told}");
        running.end().with(0);
        took
    }

    /// Measures the first letter after UDP has died.
    fn midway(&mut self, up: bool, down: bool) -> Duration {
        self.hole(false, false);
        self.forget();
        let mut running = self.home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        for _ in 0..LETTERS_BEFORE {
            running.write("hello\n");
            running.out_within(FAILED).expect("UDP works");
        }
        self.hole(up, down);
        let dead_for = Duration::from_millis(self.rng.below(DEAD_FOR_MS));
        assert_eq!(running.out_within(dead_for), None);
        let start = Instant::now();
        running.write("are you there\n");
        running.out_within(FAILED).expect("the letter is accepted over TCP");
        let took = start.elapsed();
        running.feed(b"");
        running.end().with(0);
        took
    }
}

/// Prints the distribution on one line. Returns whether the median is below the goal.
fn tell(what: &str, goal: Option<Duration>, mut took: Vec<Duration>) -> bool {
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
    let mut stage = Stage::open(Duration::from_millis(round_trip));
    let jack = stage.listen();
    let times = |one: Box<dyn FnMut(usize) -> Duration + '_>| (0..runs).map(one).collect();
    let mut good = true;
    let known = times(Box::new(|_| stage.with_key(false)));
    good &= tell("first letter, key known, reader online", goal(FIRST_GOAL), known);
    let remembered = times(Box::new(|_| stage.with_key(true)));
    good &= tell("the same, failure of UDP remembered", goal(FIRST_GOAL), remembered);
    let unknown = times(Box::new(|run| stage.without_key(run)));
    good &= tell("first letter, key not known, reader online", None, unknown);
    for (up, down, what) in [(true, true, "both ways"), (true, false, "upwards"), (false, true, "downwards")]
    {
        let midway = times(Box::new(|_| stage.midway(up, down)));
        good &= tell(&format!("UDP dies midway, {what}"), goal(MIDWAY_GOAL), midway);
    }
    jack.terminate().with(130);
    let away = times(Box::new(|_| stage.with_key(false)));
    good &= tell("first letter, key known, reader away", goal(FIRST_GOAL), away);
    drop((stage.jack, stage.tom));
    stage.relay.stop().with(0);
    ExitCode::from(u8::from(!good))
}
