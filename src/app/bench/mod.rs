//! `queqiao bench`: loads a relay with letters and reports throughput, latency and cost. It also
//! checks that every letter arrives once, unchanged and in order.
//!
//! A pair is two members, each a full client with its own socket. One keeps a window of letters in
//! flight to the other, or writes at fixed times (open loop). A letter counts when its sender sees
//! `delivered`. Nothing waits for a disk. A few threads run all clients, each pair on one thread.
//!
//! `--bare` also measures a lower bound in the same run: a loop that only moves datagrams between
//! registered peers.
//!
//! Must not depend on: packets, sessions. Invariant: everything counted is visible to a user.

#[cfg(target_os = "linux")]
mod baseline;
mod bench_client;
mod bench_member;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod cpu_placement;
mod flood;
mod idle;
mod idler;
#[cfg(target_os = "linux")]
mod keepalive_baseline;
mod meter;
mod pace;
mod pair;
mod report;
mod run;
mod sequence_checker;
mod texts;
mod totals;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{HostPort, Phrase};
use crate::ui::Strings;

pub use self::idle::{IDLE_MAX, IdleOptions, bench_idle};
use self::run::{Phase, SharedPhase, WorkerReport};
use super::{CommandResult, ExitStatus, Failure, say};

/// Minimum text length in bytes: the letter's number.
pub const SIZE_MIN: usize = texts::NUMBER_LEN;

/// Mode of `bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchMode {
    /// Measures a relay that is running.
    Measure,
    /// Starts a relay and the bare loop, each in a separate process, and measures both. Uses the
    /// given pairs and window, or three shapes that show the effect of batching.
    Compare {
        /// Whether pairs and window were given.
        one_shape: bool,
    },
    /// Runs as one of these processes, until standard input ends.
    Serve(BenchServer),
}

/// The servers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchServer {
    /// A relay without limits, whose data folder is deleted at the end.
    Relay,
    /// The bare loop.
    Baseline,
}

/// Options of `bench`.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Mode.
    pub mode: BenchMode,
    /// Relay, as HOST:PORT.
    pub relay: String,
    /// Number of pairs of members.
    pub pairs: usize,
    /// Letters that each pair keeps in flight. If letters are answered, letters without an answer.
    pub window: usize,
    /// Text length in bytes, at least [`SIZE_MIN`].
    pub size: usize,
    /// Duration of the measurement.
    pub time: Duration,
    /// Total letters a second, including answers, written at even intervals regardless of progress.
    /// `None`: the window decides.
    pub rate: Option<u32>,
    /// Whether each letter is answered with a letter.
    pub answer: bool,
    /// Whether TCP is used instead of UDP.
    pub tcp: bool,
    /// Random datagrams a second sent to the relay in addition; 0 for none. For a relay on loopback
    /// only.
    pub flood: u32,
    /// Process of the relay, whose CPU time and memory are read.
    pub relay_pid: Option<u32>,
    /// Print one JSON object.
    pub json: bool,
}

impl BenchOptions {
    /// Returns the letters a second that are not answers: half the rate if each is answered.
    fn written_per_second(&self) -> Option<u32> {
        self.rate.map(|rate| if self.answer { rate.div_ceil(2) } else { rate })
    }
}

/// Measures a relay.
///
/// # Errors
/// [`Failure`]: 1 if no relay answers, or letters were lost, refused, duplicated, changed, or out
/// of order; 2 for invalid options.
pub fn bench(options: &BenchOptions, strings: &Arc<Strings>) -> CommandResult {
    match options.mode {
        BenchMode::Measure => measure(options, strings),
        #[cfg(target_os = "linux")]
        BenchMode::Compare { one_shape } => compare::compare(options, one_shape),
        #[cfg(target_os = "linux")]
        BenchMode::Serve(server) => child::serve(server, strings),
        #[cfg(not(target_os = "linux"))]
        BenchMode::Compare { .. } | BenchMode::Serve(_) => Err(Phrase::new("bench-bare-linux").into()),
    }
}

fn measure(options: &BenchOptions, strings: &Strings) -> CommandResult {
    let wrong = |error: crate::base::HostPortError| {
        Failure::usage(Phrase::new(error.key()).with("address", &options.relay))
    };
    let relay: HostPort = options.relay.parse().map_err(wrong)?;
    let report = run::measure(options, &relay)?;
    report.print(options.json)?;
    if report.throttled {
        say(strings, &Phrase::new("bench-throttled"));
    }
    match report.is_sound() {
        true => Ok(ExitStatus::Done),
        false => Err(unsound()),
    }
}

fn unsound() -> Failure {
    Phrase::new("bench-unsound").into()
}
