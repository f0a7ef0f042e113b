//! A disk under one process: commits as the store's thread makes them, on a disk that may be full
//! or fail. It also decides what remains of a commit that was running when the process ended.
//!
//! A commit takes effect when it ends, whole or not at all. Jobs submitted while one is running
//! form the next.
//!
//! If the process ends first, the records of the running commit are kept, dropped, or torn: only a
//! first part is there. (SQLite keeps or drops a commit whole; tearing between its records demands
//! more of the cores than that.) Jobs that were only waiting are lost.

use std::collections::VecDeque;
use std::time::Duration;

use queqiao::base::{Query, Rng, Tick, Ticket};

use super::cover::{Count, Cover};

/// A job that a process submits to its disk.
pub enum Job<R> {
    Persist(R),
    Load(Query),
}

struct Given<R> {
    ticket: Ticket,
    job: Job<R>,
    /// End of its commit.
    due: Tick,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Durable,
    /// The disk is full: nothing is written, and a later commit may succeed.
    Full,
    /// The fsync failed. The state of the disk is known only after a restart, and the process ends.
    Broken,
}

pub struct Platter<R> {
    waiting: VecDeque<Given<R>>,
    /// The running commit, and the end of the next one, which new jobs form.
    begun: Tick,
    ends: Tick,
    next_ends: Tick,
    /// No commit succeeds before this time.
    pub full_until: Tick,
    /// Chance that a commit finds the disk full, in thousandths.
    pub fails: u64,
    /// Chance that a single record of a commit is refused, in thousandths.
    pub refuses: u64,
    /// The next commit's fsync fails.
    pub breaks: bool,
}

impl<R> Default for Platter<R> {
    fn default() -> Platter<R> {
        Platter {
            waiting: VecDeque::new(),
            begun: Tick::ZERO,
            ends: Tick::ZERO,
            next_ends: Tick::ZERO,
            full_until: Tick::ZERO,
            fails: 0,
            refuses: 0,
            breaks: false,
        }
    }
}

impl<R> Platter<R> {
    /// Submits a job. A commit takes `takes`. Returns when its commit ends, if it is the first job
    /// of that.
    pub fn give(&mut self, now: Tick, takes: Duration, ticket: Ticket, job: Job<R>) -> Option<Tick> {
        let due = self.ends_at(now, takes);
        let first = self.waiting.back().is_none_or(|last| last.due < due);
        self.waiting.push_back(Given { ticket, job, due });
        first.then_some(due)
    }

    fn ends_at(&mut self, now: Tick, takes: Duration) -> Tick {
        if self.ends <= now && self.next_ends > now {
            self.begun = self.ends;
            self.ends = self.next_ends;
        }
        if self.ends <= now {
            self.begun = now;
            self.ends = now + takes;
        }
        if self.begun == now {
            return self.ends;
        }
        if self.next_ends <= self.ends {
            self.next_ends = self.ends + takes;
        }
        self.next_ends
    }

    /// Ends a commit. Returns its result, and its jobs in order unless the disk broke.
    pub fn end_commit(
        &mut self,
        now: Tick,
        rng: &mut Rng,
        cover: &mut Cover,
    ) -> (Verdict, Vec<(Ticket, Job<R>)>) {
        let many = self.waiting.iter().take_while(|given| given.due <= now).count();
        let writes = self.waiting.iter().take(many).any(|given| matches!(given.job, Job::Persist(_)));
        if writes && std::mem::take(&mut self.breaks) {
            cover.add(Count::FsyncErrors);
            return (Verdict::Broken, Vec::new());
        }
        let is_full = self.full_until > now || (self.fails > 0 && rng.below(1000) < self.fails);
        let verdict = if writes && is_full { Verdict::Full } else { Verdict::Durable };
        let jobs = self.waiting.drain(..many).map(|given| (given.ticket, given.job)).collect();
        (verdict, jobs)
    }

    /// Whether a record of a successful commit is written. Some are refused individually.
    pub fn takes_one(&self, rng: &mut Rng) -> bool {
        self.refuses == 0 || rng.below(1000) >= self.refuses
    }

    /// Ends the process. Returns the records of the running commit that are on disk nevertheless.
    pub fn cut_off(&mut self, now: Tick, rng: &mut Rng, cover: &mut Cover) -> Vec<R> {
        let waiting = std::mem::take(&mut self.waiting);
        let first_due = waiting.front().map(|given| given.due);
        let is_full = self.full_until > now;
        let full_until = self.full_until;
        let fails = self.fails;
        let refuses = self.refuses;
        let fresh = Platter { full_until, fails, refuses, ..Platter::default() };
        *self = fresh;
        let at_work = waiting.into_iter().filter(|given| Some(given.due) == first_due && !is_full);
        let mut records: Vec<R> = at_work
            .filter_map(|given| match given.job {
                Job::Persist(record) => Some(record),
                Job::Load(_) => None,
            })
            .collect();
        if records.is_empty() {
            return records;
        }
        match rng.below(3) {
            0 => cover.add(Count::CommitsKept),
            1 => {
                cover.add(Count::CommitsDropped);
                records.clear();
            }
            _ => {
                cover.add(Count::CommitsTorn);
                records.truncate(rng.below(records.len() as u64) as usize);
            }
        }
        records
    }

    /// Ends every fault.
    pub fn heal(&mut self) {
        self.full_until = Tick::ZERO;
        self.fails = 0;
        self.refuses = 0;
        self.breaks = false;
    }

    /// Whether no job waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
