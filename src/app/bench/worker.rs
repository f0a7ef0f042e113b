//! One thread of the bench: takes turns with all clients of some pairs.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::base::{Phrase, Tick};
use crate::net::Group;

use super::pair::Pair;
use super::totals::Totals;
use super::{Phase, Stage, Told};

/// A change of phase is seen within this time.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What was sent has this long to come to its end: longer than a relay waits for a silent recipient.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Clients are numbered: pair `n` writes as `2 n` and reads as `2 n + 1`.
pub(super) struct Worker {
    pairs: Vec<Pair>,
    stage: Arc<Stage>,
    tell: Sender<Told>,
    group: Group,
    phase: Phase,
    totals: Box<Totals>,
    /// When each client wants a turn though nothing comes, in order and by number.
    deadlines: BTreeSet<(Tick, usize)>,
    deadline_of: Vec<Option<Tick>>,
    /// Who has a turn in this round.
    ready: Vec<usize>,
}

impl Worker {
    /// A worker for these pairs.
    ///
    /// # Errors
    /// `cannot-start` if the system refuses a poll.
    pub(super) fn new(mut pairs: Vec<Pair>, stage: Arc<Stage>, tell: Sender<Told>) -> Result<Worker, Phrase> {
        let mut group = Group::new()?;
        for (number, pair) in pairs.iter_mut().enumerate() {
            for (side, end) in pair.ends_mut().into_iter().enumerate() {
                group.join(2 * number + side, &mut end.net)?;
                end.net.hold();
            }
        }
        let clients = 2 * pairs.len();
        Ok(Worker {
            pairs,
            stage,
            tell,
            group,
            phase: Phase::Begin,
            totals: Box::default(),
            deadlines: (0..clients).map(|client| (Tick::ZERO, client)).collect(),
            deadline_of: vec![Some(Tick::ZERO); clients],
            ready: Vec::new(),
        })
    }

    /// Runs until everything has arrived after the measurement, or the time for that is over.
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
        let _ = self.tell.send(Told::Done(self.totals));
    }

    /// Waits, then gives a turn to everybody who has something to do. What they send leaves at its end: members on
    /// machines of their own would think at the same time, and the relay would hear of them all at once, as the loop
    /// hears of its peers.
    fn round(&mut self) -> Tick {
        let look = self.group.now().tick + LOOK_EVERY;
        let until = self.deadlines.first().map_or(look, |(first, _)| look.min(*first));
        let mut ready = mem::take(&mut self.ready);
        let now = self.group.wait(until, &mut ready).tick;
        let due = self.deadlines.iter().take_while(|(until, _)| *until <= now);
        ready.extend(due.map(|(_, client)| *client));
        let phase = self.stage.get();
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
        totals.handle_phase(now, phase, pairs.iter().flat_map(Pair::ends).map(|end| end.net.stats()));
        if phase == Phase::Drain {
            pairs.iter_mut().for_each(|pair| pair.close(now, totals));
        }
    }

    fn turn(&mut self, client: usize) {
        let Worker { pairs, tell, phase, totals, .. } = self;
        // The bench is over if nobody listens any more, and then this thread ends with the process.
        let mut tell = |told| drop(tell.send(told));
        let until = pairs[client / 2].turn(client % 2, *phase, totals, &mut tell);
        self.schedule(client, until);
    }

    /// When a client is to have its next turn though nothing comes.
    fn schedule(&mut self, client: usize, until: Option<Tick>) {
        if let Some(old) = mem::replace(&mut self.deadline_of[client], until) {
            self.deadlines.remove(&(old, client));
        }
        self.deadlines.extend(until.map(|until| (until, client)));
    }
}
