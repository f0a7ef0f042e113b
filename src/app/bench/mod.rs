//! `queqiao bench`: loads a relay with letters, and says how many it carried, how fast, at what cost, and whether all of
//! them came once, in order and as they were written.
//!
//! A pair is two members, each a whole client with its own socket: one keeps a window of letters in flight to the
//! other, or writes at times set beforehand (open loop). A letter counts when its sender holds `delivered`. The clients
//! keep letters in memory: nothing here waits for a disk. A few threads carry all clients, each pair on one thread.
//!
//! `--bare` measures, in the same run and on the same processor, the least that any server over UDP does: a loop that
//! moves datagrams between registered peers. What a letter costs is told as a multiple of that.
//!
//! It must not know: packets, sessions. Invariant: what is counted was counted at the faces, as a user would see it.
//!
//! Files: `run` (one measurement), `worker` (a thread of it), `pair`, `side`, `end` (members), `pace` (when letters are
//! due), `texts`, `order` (what must come), `totals`, `meter`, `report`; `flood` (garbage beside the letters); `compare`
//! (relay and bare loop in one run), `child` (servers of the bench's own), `idle`, `idler`
//! (members who say nothing), `answers` (what their keep-alives cost the bare loop), `pin` (who runs where), `bare` (the loop and
//! its peers).

#[cfg(target_os = "linux")]
mod answers;
#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod compare;
mod end;
mod flood;
mod idle;
mod idler;
mod meter;
mod order;
mod pace;
mod pair;
#[cfg(target_os = "linux")]
mod pin;
mod report;
mod run;
mod side;
mod texts;
mod totals;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{HostPort, Phrase};
use crate::ui::Strings;

pub use self::idle::{IDLE_MAX, IdleOptions, bench_idle};
use self::run::{Phase, Stage, Told};
use super::{Failure, Outcome, Status, say};

/// The shortest text: it holds the letter's number.
pub const SIZE_MIN: usize = texts::NUMBER_LEN;

/// What `bench` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchMode {
    /// Measure a relay that runs already.
    Measure,
    /// Measure a relay of its own and the bare loop, both in processes of their own: with the given pairs and window, or
    /// with the three shapes that show what batches are worth.
    Compare {
        /// Pairs and window were given.
        one_shape: bool,
    },
    /// Be one of these processes, until standard input ends.
    Serve(BenchServer),
}

/// The servers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchServer {
    /// A relay without limits, whose data folder ends with it.
    Relay,
    /// The bare loop.
    Bare,
}

/// What `bench` is told on its command line.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// What to do.
    pub mode: BenchMode,
    /// The relay, as HOST:PORT.
    pub relay: String,
    /// Pairs of members.
    pub pairs: usize,
    /// Letters each pair keeps in flight; where they are answered, letters without an answer.
    pub window: usize,
    /// The length of a text in bytes, at least [`SIZE_MIN`].
    pub size: usize,
    /// How long to measure.
    pub time: Duration,
    /// Letters a second in all, answers included, written at even distances whatever becomes of them. `None`: the window
    /// decides.
    pub rate: Option<u32>,
    /// Each letter is answered with a letter.
    pub answer: bool,
    /// Over TCP instead of UDP.
    pub tcp: bool,
    /// Random datagrams a second beside the letters; 0: none. To a relay on loopback only.
    pub flood: u32,
    /// The relay's process, to be asked for its CPU time and memory.
    pub relay_pid: Option<u32>,
    /// Print one JSON object.
    pub json: bool,
}

impl BenchOptions {
    /// Letters a second that are written unasked: an answer is as much a letter as what it answers.
    fn written_per_second(&self) -> Option<u32> {
        self.rate.map(|rate| if self.answer { rate.div_ceil(2) } else { rate })
    }
}

/// Measures a relay.
///
/// # Errors
/// [`Failure`]: 1 if no relay answers, or letters were lost, refused, doubled, changed or out of order; 2 for wrong
/// options.
pub fn bench(options: &BenchOptions, strings: &Arc<Strings>) -> Outcome {
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

fn measure(options: &BenchOptions, strings: &Strings) -> Outcome {
    let wrong = |why: crate::base::HostPortError| {
        Failure::usage(Phrase::new(why.key()).with("address", &options.relay))
    };
    let relay: HostPort = options.relay.parse().map_err(wrong)?;
    let report = run::measure(options, &relay)?;
    report.print(options.json)?;
    if report.throttled {
        say(strings, &Phrase::new("bench-throttled"));
    }
    match report.is_sound() {
        true => Ok(Status::Done),
        false => Err(unsound()),
    }
}

fn unsound() -> Failure {
    Phrase::new("bench-unsound").into()
}
