//! `queqiao bench`: loads a relay with letters, and says how many it carried, how fast, at what cost, and whether all of
//! them came once and in order.
//!
//! A pair is two members, each a whole client with its own socket: one keeps a window of letters in flight to the
//! other. A letter counts when its sender holds `delivered`. The clients keep letters in memory: nothing here waits for
//! a disk. A few threads carry all clients, each pair on one thread.
//!
//! It must not know: packets, sessions. Invariant: what is counted was counted at the faces, as a user would see it.
#![allow(
    clippy::disallowed_types,
    reason = "the length of the measurement is read from the clock once at each end"
)]

mod cpu;
mod end;
mod flood;
mod idle;
mod idler;
mod pair;
mod report;
mod worker;

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::base::{HostPort, Phrase, Rng};
use crate::client::{Carriers, RelaySpec, Unreached};
use crate::net;
use crate::ui::{Strings, notice};

use self::cpu::CpuMeter;
use self::flood::Flood;
pub use self::idle::{IDLE_MAX, IdleOptions, bench_idle};
use self::pair::{Pair, Totals};
use self::report::Report;
use self::worker::Worker;
use super::{Failure, Outcome, Status, say};

/// The shortest text: it holds the letter's number.
pub const SIZE_MIN: usize = pair::NUMBER_LEN;
/// All clients are signed in within this time, or the relay is not there.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);
/// Letters flow for this long before anything is counted: windows have opened by then, and buffers have grown.
const WARM_UP: Duration = Duration::from_secs(1);
/// A relay with its limits on lets each member send 100 letters a second.
const THROTTLED_BELOW: f64 = 110.0;
/// It is the relay that holds the letters back if round trips alone would allow this many times more.
const THROTTLED_FACTOR: f64 = 3.0;

/// What `bench` is told on its command line.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The relay, as HOST:PORT.
    pub relay: String,
    /// Pairs of members.
    pub pairs: usize,
    /// Letters each pair keeps in flight.
    pub window: usize,
    /// The length of a text in bytes, at least [`SIZE_MIN`].
    pub size: usize,
    /// How long to measure.
    pub time: Duration,
    /// Over TCP instead of UDP.
    pub tcp: bool,
    /// Random datagrams a second beside the letters; 0: none. To a relay on loopback only.
    pub flood: u32,
    /// The relay's process, to be asked for its CPU time.
    pub relay_pid: Option<u32>,
    /// Print one JSON object.
    pub json: bool,
}

/// What the clients are to do now. In this order, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Sign in.
    Begin,
    /// Send, uncounted.
    WarmUp,
    /// Send; counted.
    FirstHalf,
    /// Send; counted.
    SecondHalf,
    /// Send nothing more, and end when everything has arrived.
    Drain,
}

/// The phase as all threads see it.
#[derive(Debug, Default)]
struct Stage(AtomicU8);

impl Stage {
    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    fn get(&self) -> Phase {
        let phases = [Phase::Begin, Phase::WarmUp, Phase::FirstHalf, Phase::SecondHalf, Phase::Drain];
        phases[usize::from(self.0.load(Ordering::Acquire))]
    }
}

/// What a worker tells.
enum Told {
    /// One more client is signed in.
    Online,
    /// The bench cannot go on.
    Failed(Phrase),
    /// This worker is done.
    Done(Box<Totals>),
}

/// Measures a relay.
///
/// # Errors
/// [`Failure`]: 1 if no relay answers, or letters were lost, refused, doubled or out of order; 2 for wrong options.
pub fn bench(options: &BenchOptions, strings: &Strings) -> Outcome {
    let wrong = |why: crate::base::HostPortError| {
        Failure::usage(Phrase::new(why.key()).with("address", &options.relay))
    };
    let relay: HostPort = options.relay.parse().map_err(wrong)?;
    let meter = options.relay_pid.map(CpuMeter::open).transpose()?;
    let mut bench = Bench::start(options, &relay)?;
    let report = bench.measure(options, &relay, meter.as_ref())?;
    report.print(options.json)?;
    if report.throttled {
        say(strings, &Phrase::new("bench-throttled"));
    }
    match report.is_sound() {
        true => Ok(Status::Done),
        false => Err(Phrase::new("bench-unsound").into()),
    }
}

/// A bench under way.
struct Bench {
    stage: Arc<Stage>,
    told: Receiver<Told>,
    workers: Vec<JoinHandle<()>>,
}

impl Bench {
    fn start(options: &BenchOptions, relay: &HostPort) -> Result<Bench, Failure> {
        let (tell, told) = channel();
        let stage = Arc::new(Stage::default());
        let run = format!("bench-{:08x}", Rng::from_seed(net::seed()).next_u32());
        let mut shares: Vec<Vec<Pair>> = (0..threads(options.pairs)).map(|_| Vec::new()).collect();
        for number in 0..options.pairs {
            let carriers = if options.tcp { Carriers::Tcp } else { Carriers::Udp };
            let spec = RelaySpec { addr: relay.clone(), tcp: None, key: None };
            let pair = Pair::open(&run, number + 1, spec, carriers, (options.window, options.size))?;
            let place = number % shares.len();
            shares[place].push(pair);
        }
        let spawn = |pairs| spawn_worker(pairs, stage.clone(), tell.clone());
        let workers = shares.into_iter().map(spawn).collect::<Result<_, _>>()?;
        Ok(Bench { stage, told, workers })
    }

    fn measure(
        &mut self,
        options: &BenchOptions,
        relay: &HostPort,
        meter: Option<&CpuMeter>,
    ) -> Result<Report, Failure> {
        self.await_sign_in(2 * options.pairs, relay)?;
        let flood = (options.flood > 0).then(|| Flood::start(relay, options.flood)).transpose()?;
        self.run(Phase::WarmUp, WARM_UP)?;
        let flooded = || flood.as_ref().map(Flood::sent);
        let flooded_before = flooded();
        let (cpu_before, begin) = (meter.map(CpuMeter::read).transpose()?, Instant::now());
        self.run(Phase::FirstHalf, options.time / 2)?;
        self.run(Phase::SecondHalf, options.time / 2)?;
        self.stage.set(Phase::Drain);
        let (cpu_after, span) = (meter.map(CpuMeter::read).transpose()?, begin.elapsed());
        let flooded = flooded().zip(flooded_before).map(|(after, before)| after - before);
        drop(flood);
        let totals = self.finish()?;
        let cpu = cpu_before.zip(cpu_after).map(|(before, after)| after.saturating_sub(before));
        Ok(Report::new(options, relay, span, totals, cpu).with_flood(flooded))
    }

    fn await_sign_in(&self, wanted: usize, relay: &HostPort) -> Result<(), Failure> {
        let (mut online, end) = (0, Instant::now() + SIGN_IN_WITHIN);
        while online < wanted {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Told::Online) => online += 1,
                Ok(Told::Failed(phrase)) => return Err(phrase.into()),
                Ok(Told::Done(_)) | Err(_) => return Err(notice::unreached(relay, &Unreached::Silent).into()),
            }
        }
        Ok(())
    }

    /// Lets a phase last for so long, unless something fails.
    fn run(&self, phase: Phase, span: Duration) -> Result<(), Failure> {
        self.stage.set(phase);
        let end = Instant::now() + span;
        loop {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::silent(Status::Failed)),
                Ok(Told::Failed(phrase)) => return Err(phrase.into()),
                Ok(Told::Online | Told::Done(_)) => {}
            }
        }
    }

    fn finish(&mut self) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        let mut left = self.workers.len();
        while left > 0 {
            match self.told.recv() {
                Ok(Told::Done(some)) => {
                    totals.add(&some);
                    left -= 1;
                }
                Ok(Told::Failed(phrase)) => return Err(phrase.into()),
                Ok(Told::Online) => {}
                Err(_) => break,
            }
        }
        self.workers.drain(..).for_each(|worker| worker.join().expect("a worker of the bench never panics"));
        Ok(totals)
    }
}

fn spawn_worker(pairs: Vec<Pair>, stage: Arc<Stage>, tell: Sender<Told>) -> Result<JoinHandle<()>, Failure> {
    let worker = Worker::new(pairs, stage, tell)?;
    let spawned = thread::Builder::new().name("bench".to_owned()).spawn(move || worker.run());
    spawned.map_err(|why| Phrase::new("cannot-start").with("cause", why).into())
}

/// Half of the machine is left to the relay, which may run beside.
fn threads(pairs: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).clamp(1, pairs.max(1))
}
