//! One thread of the bench: runs the turns of all clients of some pairs.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::base::{Phrase, Tick};
use crate::net::PollGroup;

use super::pair::Pair;
use super::totals::Totals;
use super::{Phase, SharedPhase, WorkerReport};

/// Maximum delay until a change of phase is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Time for letters in flight to end. 10 s: longer than a relay waits for a silent recipient.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Clients are numbered: pair `n` writes as `2 n` and reads as `2 n + 1`.
pub(super) struct Worker {
    pairs: Vec<Pair>,
    shared_phase: Arc<SharedPhase>,
    reports: Sender<WorkerReport>,
    group: PollGroup,
    phase: Phase,
    totals: Box<Totals>,
    /// Deadlines of all clients. `deadline_of` holds each client's entry, to find it again.
    deadlines: BTreeSet<(Tick, usize)>,
    deadline_of: Vec<Option<Tick>>,
    /// Clients with a turn in this round.
    ready: Vec<usize>,
}

impl Worker {
    /// Creates a worker for these pairs.
    ///
    /// # Errors
    /// `cannot-start` if the system refuses a poll.
    pub(super) fn new(
        mut pairs: Vec<Pair>,
        shared_phase: Arc<SharedPhase>,
        tell: Sender<WorkerReport>,
    ) -> Result<Worker, Phrase> {
        let mut group = PollGroup::new()?;
        for (number, pair) in pairs.iter_mut().enumerate() {
            for (member, client) in pair.clients_mut().into_iter().enumerate() {
                group.join(2 * number + member, &mut client.net)?;
                client.net.hold();
            }
        }
        let clients = 2 * pairs.len();
        Ok(Worker {
            pairs,
            shared_phase,
            reports: tell,
            group,
            phase: Phase::Begin,
            totals: Box::default(),
            deadlines: (0..clients).map(|client| (Tick::ZERO, client)).collect(),
            deadline_of: vec![Some(Tick::ZERO); clients],
            ready: Vec::new(),
        })
    }

    /// Runs until everything has arrived after the measurement, or [`DRAIN_WITHIN`] is over.
    pub(super) fn run(mut self) {
        let mut drain_until = None;
        loop {
            let now = self.round();
            if self.phase == Phase::Drain {
                let end = *drain_until.get_or_insert(now + DRAIN_WITHIN);
                if now >= end || self.pairs.iter().all(Pair::is_idle) {
                    break;
                }
            }
        }
        let totals = &mut self.totals;
        self.pairs.iter_mut().for_each(|pair| pair.leave(totals));
        let _ = self.reports.send(WorkerReport::Done(self.totals));
    }

    /// Waits, then runs a turn of each client that has something to do. Their packets leave at the
    /// end of the round. Members on separate machines would work in parallel, so that the relay
    /// would receive their packets together, as the bare loop does from its peers.
    fn round(&mut self) -> Tick {
        let look = self.group.now().tick + LOOK_EVERY;
        let until = self.deadlines.first().map_or(look, |(first, _)| look.min(*first));
        let mut ready = mem::take(&mut self.ready);
        let now = self.group.wait(until, &mut ready).tick;
        let due = self.deadlines.iter().take_while(|(until, _)| *until <= now);
        ready.extend(due.map(|(_, client)| *client));
        let phase = self.shared_phase.get();
        if self.phase != phase {
            self.enter(phase, now);
            ready.extend((0..self.pairs.len()).map(|pair| 2 * pair));
        }
        ready.sort_unstable();
        ready.dedup();
        ready.iter().for_each(|client| self.turn(*client));
        for client in ready.drain(..) {
            if self.pairs[client / 2].release(client % 2) {
                self.schedule(client, Some(Tick::ZERO));
            }
        }
        self.ready = ready;
        now
    }

    fn enter(&mut self, phase: Phase, now: Tick) {
        self.phase = phase;
        let Worker { pairs, totals, .. } = self;
        totals.handle_phase(
            now,
            phase,
            pairs.iter().flat_map(Pair::clients).map(|client| client.net.stats()),
        );
        if phase == Phase::Drain {
            pairs.iter_mut().for_each(|pair| pair.close(now, totals));
        }
    }

    fn turn(&mut self, client: usize) {
        let Worker { pairs, reports: tell, phase, totals, .. } = self;
        // If the receiver is gone, the bench is over and this thread ends with the process.
        let mut tell = |report| drop(tell.send(report));
        let until = pairs[client / 2].turn(client % 2, *phase, totals, &mut tell);
        self.schedule(client, until);
    }

    /// Sets when a client has its next turn if nothing arrives.
    fn schedule(&mut self, client: usize, until: Option<Tick>) {
        if let Some(old) = mem::replace(&mut self.deadline_of[client], until) {
            self.deadlines.remove(&(old, client));
        }
        self.deadlines.extend(until.map(|until| (until, client)));
    }
}
