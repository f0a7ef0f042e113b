//! One measurement of a relay: threads with clients, and the phases they run through.
#![allow(
    clippy::disallowed_types,
    reason = "the length of the measurement is read from the clock once at each end"
)]

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::app::{ExitStatus, Failure};
use crate::base::{HostPort, Phrase, Rng};
use crate::client::{Carriers, ConnectFailure, RelayConfig};
use crate::net;
use crate::ui::notice;

use super::BenchOptions;
use super::flood::Flood;
use super::meter::{Meter, Usage};
use super::pace::Pace;
use super::pair::{Pair, PairOptions};
use super::report::Report;
use super::texts::Texts;
use super::totals::Totals;
use super::worker::Worker;

/// Time without a further sign-in after which the relay counts as absent.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);
/// Load before the measurement. 1 s: enough for windows to open and buffers to grow.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// Phases of the clients, in this order, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Sign in.
    Begin,
    /// Send, uncounted.
    WarmUp,
    /// Send; counted.
    FirstHalf,
    /// Send; counted.
    SecondHalf,
    /// Send nothing more, and end once everything has arrived.
    Drain,
}

/// The current phase, shared by all threads.
#[derive(Debug, Default)]
pub(super) struct SharedPhase(AtomicU8);

impl SharedPhase {
    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    pub(super) fn get(&self) -> Phase {
        let phases = [Phase::Begin, Phase::WarmUp, Phase::FirstHalf, Phase::SecondHalf, Phase::Drain];
        phases[usize::from(self.0.load(Ordering::Acquire))]
    }
}

/// A report from a worker.
pub(super) enum WorkerReport {
    /// One more client has signed in.
    Online,
    /// A client has received nothing so far, and continues trying.
    Silent(Phrase),
    /// The bench cannot continue.
    Failed(Phrase),
    /// This worker has ended.
    Done(Box<Totals>),
}

/// Resource usage of the processes at one moment.
struct Used {
    at: Instant,
    /// Usage of the relay, if its process is known.
    relay: Option<Usage>,
    /// Usage of this process, if the system has such numbers.
    own: Option<Usage>,
}

/// Meters of a run.
struct Meters {
    relay: Option<Meter>,
    own: Option<Meter>,
}

impl Meters {
    fn open(relay_pid: Option<u32>) -> Result<Meters, Phrase> {
        Ok(Meters {
            relay: relay_pid.map(Meter::open).transpose()?,
            own: Meter::open(std::process::id()).ok(),
        })
    }

    fn read(&self) -> Result<Used, Phrase> {
        let relay = self.relay.as_ref().map(Meter::read).transpose()?;
        let own = self.own.as_ref().and_then(|meter| meter.read().ok());
        Ok(Used { at: Instant::now(), relay, own })
    }
}

/// Measures the relay at this address.
///
/// # Errors
/// A phrase if the relay does not answer, or the clients cannot continue.
pub(super) fn measure(options: &BenchOptions, relay: &HostPort) -> Result<Report, Failure> {
    let meters = Meters::open(options.relay_pid)?;
    let idle = meters.read()?;
    let mut run = Run::start(options, relay)?;
    run.await_sign_in(2 * options.pairs, relay)?;
    let flood = (options.flood > 0).then(|| Flood::start(relay, options.flood)).transpose()?;
    run.last(Phase::WarmUp, WARM_UP)?;
    let flooded = || flood.as_ref().map(Flood::sent);
    let flooded_before = flooded();
    let before = meters.read()?;
    run.last(Phase::FirstHalf, options.time / 2)?;
    run.last(Phase::SecondHalf, options.time / 2)?;
    run.phase.set(Phase::Drain);
    let after = meters.read()?;
    let flooded = flooded().zip(flooded_before).map(|(after, before)| after - before);
    drop(flood);
    let totals = run.finish()?;
    let span = after.at - before.at;
    let cpu = |before: Option<Usage>, after: Option<Usage>| Some(after?.cpu.saturating_sub(before?.cpu));
    let report = Report::new(options, relay, span, &totals)
        .with_cpu(cpu(before.relay, after.relay), cpu(before.own, after.own))
        .with_memory(idle.relay.zip(after.relay).map(|(idle, after)| (idle.rss_kib, after.rss_kib)))
        .with_flood(flooded);
    Ok(report)
}

/// A run in progress.
struct Run {
    phase: Arc<SharedPhase>,
    reports: Receiver<WorkerReport>,
    workers: Vec<JoinHandle<()>>,
}

impl Run {
    fn start(options: &BenchOptions, relay: &HostPort) -> Result<Run, Failure> {
        let (tell, reports) = channel();
        let shared_phase = Arc::new(SharedPhase::default());
        let pair_options = PairOptions {
            run: format!("bench-{:08x}", Rng::from_seed(net::seed()).next_u32()),
            relay: RelayConfig { addr: relay.clone(), tcp: None, key: None, fingerprint: None },
            carriers: if options.tcp { Carriers::Tcp } else { Carriers::Udp },
            texts: Arc::new(Texts::new(options.size)),
            answer: options.answer,
        };
        let mut shares: Vec<Vec<Pair>> = (0..threads(options.pairs)).map(|_| Vec::new()).collect();
        for number in 0..options.pairs {
            let pace = match options.written_per_second() {
                Some(rate) => Pace::share(rate, number, options.pairs),
                None => Pace::Window(options.window),
            };
            let place = number % shares.len();
            shares[place].push(Pair::open(&pair_options, number + 1, pace)?);
        }
        let spawn = |pairs| spawn_worker(pairs, shared_phase.clone(), tell.clone());
        let workers = shares.into_iter().map(spawn).collect::<Result<_, _>>()?;
        Ok(Run { phase: shared_phase, reports, workers })
    }

    fn await_sign_in(&self, wanted: usize, relay: &HostPort) -> Result<(), Failure> {
        let mut online = 0;
        let mut silent = 0;
        while online < wanted {
            match self.reports.recv_timeout(SIGN_IN_WITHIN) {
                Ok(WorkerReport::Online) => online += 1,
                // On a bad line some clients receive nothing at first. If none does, the relay is
                // absent.
                Ok(WorkerReport::Silent(phrase)) => {
                    silent += 1;
                    if online == 0 && silent >= wanted {
                        return Err(phrase.into());
                    }
                }
                Ok(WorkerReport::Failed(phrase)) => return Err(phrase.into()),
                Ok(WorkerReport::Done(_)) | Err(_) => {
                    return Err(notice::connect_failure(relay, &ConnectFailure::Silent).into());
                }
            }
        }
        Ok(())
    }

    /// Keeps a phase for `span`, unless something fails.
    fn last(&self, phase: Phase, span: Duration) -> Result<(), Failure> {
        self.phase.set(phase);
        let end = Instant::now() + span;
        loop {
            match self.reports.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::silent(ExitStatus::Failed)),
                Ok(WorkerReport::Failed(phrase) | WorkerReport::Silent(phrase)) => return Err(phrase.into()),
                Ok(WorkerReport::Online | WorkerReport::Done(_)) => {}
            }
        }
    }

    fn finish(&mut self) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        let mut left = self.workers.len();
        while left > 0 {
            match self.reports.recv() {
                Ok(WorkerReport::Done(some)) => {
                    totals.add(&some);
                    left -= 1;
                }
                Ok(WorkerReport::Failed(phrase)) => return Err(phrase.into()),
                Ok(WorkerReport::Online | WorkerReport::Silent(_)) => {}
                Err(_) => break,
            }
        }
        self.workers.drain(..).for_each(|worker| worker.join().expect("workers of the bench do not panic"));
        Ok(totals)
    }
}

fn spawn_worker(
    pairs: Vec<Pair>,
    shared_phase: Arc<SharedPhase>,
    tell: Sender<WorkerReport>,
) -> Result<JoinHandle<()>, Failure> {
    let worker = Worker::new(pairs, shared_phase, tell)?;
    let spawned = thread::Builder::new().name("bench".to_owned()).spawn(move || worker.run());
    spawned.map_err(|error| Phrase::new("cannot-start").with("cause", error).into())
}

/// Number of threads: half of the machine's, because the relay may run on the same machine.
fn threads(pairs: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).clamp(1, pairs.max(1))
}
