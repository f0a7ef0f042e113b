//! Rounds of kill -9 at random moments, of relay, sender and recipient in turn, while letters
//! travel over bad lines.
//!
//! `QUEQIAO_ROUNDS=n` sets the number of rounds. `QUEQIAO_SEED=n` repeats the faults and moments of
//! one run, as far as a machine repeats them.
#![allow(clippy::disallowed_types, reason = "real processes are killed in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use queqiao::base::Rng;
use serde_json::Value;

use crate::harness::{ExitedProcess, Machine, Process, Relay};
use crate::netem::{LinkConditions, LinkDirection, NetworkEmulator};

/// Options of the relay. Its mailbox fills from time to time while its owner is cut off, so that
/// letters are refused.
const RELAY: [&str; 5] = ["--tcp", "--limits", "off", "--pair-letters", "2000"];
/// Rounds of a run that names no other number.
const ROUNDS: u64 = 24;
/// Minimum number of undelivered letters in the sender's outbox at a kill. A kill at fewer does not
/// count.
const IN_FLIGHT: usize = 50;
/// Lines typed ahead of the accepted letters: more than one window, so that not all are accepted in
/// one moment.
const TYPED_AHEAD: usize = 320;
/// Time that the survivors may take to finish once the lines are good again.
const HEALED: Duration = Duration::from_secs(60);
/// Maximum time from a kill of the relay until the next one is ready.
const RESTART: Duration = Duration::from_secs(1);

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

/// One run of `send --lines`.
struct LineSender {
    process: Process,
    run: usize,
    typed: usize,
    accepted: usize,
}

impl LineSender {
    fn type_ahead(&mut self) {
        while self.typed - self.accepted < TYPED_AHEAD {
            self.process.write(&format!("{} {}\n", self.run, self.typed));
            self.typed += 1;
        }
    }

    /// Types a line for each accepted letter until this moment.
    fn type_until(&mut self, moment: Instant) {
        self.type_ahead();
        while self.process.out_within(moment.saturating_duration_since(Instant::now())).is_some() {
            self.accepted += 1;
            self.type_ahead();
        }
    }
}

/// Results that the senders printed.
#[derive(Default)]
struct SenderReport {
    accepted: BTreeSet<String>,
    refused: BTreeSet<String>,
    /// Number of refusals for each reason.
    reasons: BTreeMap<String, usize>,
    may_have_arrived: BTreeSet<String>,
}

impl SenderReport {
    fn record(&mut self, exited: &ExitedProcess) {
        let ids = exited.out.iter().map(|line| line.split_once(' ').expect("a result has a state and an id"));
        self.accepted.extend(ids.map(|(_, id)| id.to_owned()));
        for refused in exited.err.iter().filter_map(|line| line.strip_prefix("refused ")) {
            let (id, reason) = refused.split_once(' ').expect("a refusal has an id and a reason");
            if reason.contains("may have arrived") {
                self.may_have_arrived.insert(id.to_owned());
            }
            // The run after a kill may repeat a refusal.
            if self.refused.insert(id.to_owned()) {
                *self.reasons.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
}

struct KillTest {
    machine: Machine,
    addr: SocketAddr,
    relay: Option<Relay>,
    slowest_restart: Duration,
    /// The lines of TOM and JACK.
    links: [NetworkEmulator; 2],
    tom: Option<LineSender>,
    jack: Option<Process>,
    runs: usize,
    report: SenderReport,
    /// Output of each run of the recipient.
    outputs: Vec<Vec<String>>,
    rng: Rng,
}

impl KillTest {
    fn open(seed: u64) -> KillTest {
        let machine = Machine::new();
        let relay = machine.relay(&RELAY);
        let addr = relay.udp;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let links = [seed, !seed].map(|seed| NetworkEmulator::open(addr, seed, LinkConditions::default()));
        for (link, book) in links.iter().zip(["tom.toml", "jack.toml"]) {
            let entry = link.addr;
            let book = machine.path(book);
            std::fs::write(book, format!("[contacts]\nTOM = \"{entry}\"\nJACK = \"{entry}\"\n")).unwrap();
        }
        let mut test = KillTest {
            machine,
            addr,
            relay: Some(relay),
            slowest_restart: Duration::ZERO,
            links,
            tom: None,
            jack: None,
            runs: 0,
            report: SenderReport::default(),
            outputs: Vec::new(),
            rng: Rng::from_seed(bytes),
        };
        test.start_reader();
        test.jack.as_mut().unwrap().until_err("connected to");
        test.start_sender();
        test
    }

    fn start_reader(&mut self) {
        let args = ["listen", "--as", "JACK", "--contacts", "jack.toml", "--json"];
        self.jack = Some(self.machine.start(&args));
    }

    fn start_sender(&mut self) {
        let args = ["send", "--as", "TOM", "--contacts", "tom.toml", "--lines", "--timeout", "5m", "JACK"];
        let mut args = args.to_vec();
        if self.rng.below(4) == 0 {
            args.push("--udp");
        }
        let process = self.machine.start(&args);
        self.tom = Some(LineSender { process, run: self.runs, typed: 0, accepted: 0 });
        self.runs += 1;
    }

    fn change_conditions(&mut self) {
        for link in &self.links {
            let rng = &mut self.rng;
            let delay = Duration::from_millis(rng.below(20));
            // At 30 % loss TCP takes over soon. Some rounds lose less and stay on UDP.
            let loss = [300, 300, 30][rng.below(3) as usize];
            let direction =
                LinkDirection { loss, copies: 50, reordered: 100, delay, ..LinkDirection::default() };
            let mut conditions = LinkConditions::both(direction);
            conditions.rebind_every = [0, 20, 100][rng.below(3) as usize];
            match rng.below(8) {
                0 => conditions = conditions.with_hole(true, true),
                1 => conditions = conditions.with_hole(true, false),
                2 => conditions = conditions.with_hole(false, true),
                3 => {
                    conditions.up.size_max = 1_100;
                    conditions.down.size_max = 1_100;
                }
                4 => conditions.stalled = rng.below(2) == 0,
                5 => link.reset(),
                6 => link.rebind(),
                _ => {}
            }
            link.set(conditions);
        }
    }

    /// Kills the process with this number and starts it again. Returns whether enough letters were
    /// in flight.
    fn kill(&mut self, victim: u64) -> bool {
        match victim {
            0 => drop(self.relay.take().unwrap().process.kill()),
            1 => {
                let exited = self.tom.take().unwrap().process.kill();
                self.report.record(&exited);
            }
            _ => {
                let exited = self.jack.take().unwrap().kill();
                self.outputs.push(exited.out);
            }
        }
        let last = self.history("TOM", &["--last", "500"]);
        let in_flight = last.iter().filter(|letter| !["delivered", "read"].contains(&letter.state())).count();
        match victim {
            0 => {
                let start = Instant::now();
                let addr = self.addr.to_string();
                let again = self.machine.relay(&[&["--bind", &addr], &RELAY[..]].concat());
                self.slowest_restart = self.slowest_restart.max(start.elapsed());
                self.relay = Some(again);
            }
            1 => self.start_sender(),
            _ => self.start_reader(),
        }
        in_flight >= IN_FLIGHT
    }

    fn history(&self, of: &str, args: &[&str]) -> Vec<Letter> {
        let book = if of == "TOM" { "tom.toml" } else { "jack.toml" };
        let all = [&["history", "--as", of, "--contacts", book, "--json"], args].concat();
        let exited = self.machine.run(&all).with(0);
        exited.out.iter().map(|line| Letter(serde_json::from_str(line).unwrap())).collect()
    }

    /// Repairs the lines and lets all processes finish.
    fn heal(&mut self) {
        self.links.iter().for_each(|link| link.set(LinkConditions::default()));
        let mut tom = self.tom.take().unwrap();
        tom.process.write_and_close(b"");
        let exited = tom.process.end_within(HEALED);
        self.report.record(&exited);
        // Status 1: a letter of this run was refused. Refusals of earlier runs are printed too.
        let refused = exited.err.iter().any(|line| line.starts_with("refused "));
        assert!(exited.code == 0 || (exited.code == 1 && refused), "{exited:#?}");
        let args = ["send", "--as", "TOM", "--contacts", "tom.toml", "--wait", "delivered"];
        let last = self.machine.start(&[&args[..], &["--timeout", "60s", "JACK", "last"]].concat());
        self.report.record(&last.end_within(HEALED + HEALED).with(0));
        self.outputs.push(self.jack.take().unwrap().terminate().with(130).out);
    }
}

/// A letter of a history or of the recipient's output.
struct Letter(Value);

impl Letter {
    fn field(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn id(&self) -> &str {
        self.field("id")
    }

    fn state(&self) -> &str {
        self.field("state")
    }

    fn number(&self) -> u64 {
        self.id().rsplit_once('-').unwrap().1.parse().unwrap()
    }
}

fn ids(letters: &[Letter]) -> Vec<&str> {
    letters.iter().map(Letter::id).collect()
}

/// Asserts that every committed letter ended accepted or refused, and that every letter reported
/// accepted is in the record. Returns the number of committed letters.
fn check_sender(report: &SenderReport, sent: &[Letter]) -> usize {
    let known: BTreeSet<&str> = ids(sent).into_iter().collect();
    assert_eq!(known.len(), sent.len(), "each is in the sender's record once");
    for letter in sent {
        let exited = ["accepted", "waiting", "delivered", "read"].contains(&letter.state());
        assert!(exited, "{} is {}", letter.id(), letter.state());
    }
    for id in &report.accepted {
        assert!(known.contains(id.as_str()), "{id} was accepted and is not in the record");
    }
    let mut numbers: BTreeSet<u64> = sent.iter().map(Letter::number).collect();
    numbers.extend(report.refused.iter().map(|id| id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap()));
    let first = *numbers.first().unwrap();
    let last = *numbers.last().unwrap();
    let gaps: Vec<u64> = (first..=last).filter(|number| !numbers.contains(number)).collect();
    assert!(gaps.is_empty(), "committed, and neither accepted nor refused: {gaps:?}");
    numbers.len()
}

/// Asserts that each run committed the typed lines from the first one on, except for refused ones.
fn check_typing(report: &SenderReport, sent: &[Letter], runs: usize) {
    let mut missing = Vec::new();
    for run in 0..runs {
        let prefix = format!("{run} ");
        let of_run = sent.iter().filter_map(|letter| letter.field("text").strip_prefix(&prefix));
        let mut next = 0;
        for number in of_run.map(|number| number.parse::<usize>().unwrap()) {
            assert!(number >= next, "run {run} of the sender: {number} after {next}");
            missing.extend((next..number).map(|number| (run, number)));
            next = number + 1;
        }
    }
    let refused = &report.refused;
    assert!(
        missing.len() <= refused.len(),
        "typed between others, not in the record: {missing:?}, {refused:?}"
    );
}

/// Asserts that each accepted letter is in the recipient's history once and in order, and that each
/// was printed. Returns the number printed again, which only the run after a kill may do.
fn check_reader(report: &SenderReport, sent: &[Letter], got: &[Letter], outputs: &[Vec<String>]) -> usize {
    let doubtful = |letter: &&Letter| !report.may_have_arrived.contains(letter.id());
    let wanted = ids(sent);
    let found: Vec<&str> = got.iter().filter(doubtful).map(Letter::id).collect();
    let position =
        wanted.iter().zip(&found).position(|(a, b)| a != b).unwrap_or(wanted.len().min(found.len()));
    let near = position.saturating_sub(2)..position + 4;
    let wanted_near = wanted.get(near.start..near.end.min(wanted.len()));
    let found_near = found.get(near.start..near.end.min(found.len()));
    assert!(
        wanted == found,
        "{} sent, {} found, from place {position}: {wanted_near:?} {found_near:?}",
        wanted.len(),
        found.len()
    );
    for (there, here) in sent.iter().zip(got.iter().filter(doubtful)) {
        assert_eq!(there.field("text"), here.field("text"), "{} has another text here", there.id());
    }
    let gaps = got.iter().filter(|letter| !letter.0["missing"].is_null()).count();
    assert_eq!(gaps, 0, "no gap is reported where no letter is missing");
    let mut printed = BTreeSet::new();
    let mut again = 0;
    for (run, lines) in outputs.iter().enumerate() {
        // The last line of a killed process may be cut short.
        let numbers: Vec<u64> = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .map(|l| Letter(l).number())
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "run {run} of the recipient: {numbers:?}");
        again += numbers.iter().filter(|number| !printed.insert(**number)).count();
    }
    assert!(sent.iter().all(|letter| printed.contains(&letter.number())), "each was printed");
    again
}

// faults.md: R70
/// The relay is ready again within a second after each kill.
#[test]
fn random_kills_neither_lose_nor_duplicate_accepted_letters() {
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    let rounds = from_env("QUEQIAO_ROUNDS").unwrap_or(ROUNDS);
    let seed = from_env("QUEQIAO_SEED").unwrap_or_else(fresh);
    println!("QUEQIAO_SEED={seed} QUEQIAO_ROUNDS={rounds}");
    let start = Instant::now();
    let mut test = KillTest::open(seed);
    let mut counted = 0;
    let mut progress = 0;
    for round in 0.. {
        test.change_conditions();
        let moment = Duration::from_millis(20 + test.rng.below(800));
        let tom = test.tom.as_mut().unwrap();
        let before = tom.accepted;
        tom.type_until(Instant::now() + moment);
        progress += u64::from(tom.accepted > before);
        counted += u64::from(test.kill(round % 3));
        if counted == rounds {
            break;
        }
        assert!(round < 2 * rounds, "{counted} of {round} kills had {IN_FLIGHT} letters in flight");
    }
    let killed = start.elapsed();
    test.heal();
    let sent = test.history("TOM", &[]);
    let got = test.history("JACK", &[]);
    let written = check_sender(&test.report, &sent);
    check_typing(&test.report, &sent, test.runs);
    let again = check_reader(&test.report, &sent, &got, &test.outputs);
    println!(
        "{rounds} kills in {killed:?}, {:?} in all, slowest restart {:?}; {written} letters written, refused {:?}, \
         {again} printed twice; letters were accepted in {progress} rounds; lines {:?}",
        start.elapsed(),
        test.slowest_restart,
        test.report.reasons,
        test.links.each_ref().map(NetworkEmulator::counts),
    );
    assert!(sent.len() * 100 >= written * 95, "{} of {written} were accepted", sent.len());
    assert!(test.slowest_restart < RESTART, "{:?}", test.slowest_restart);
}
