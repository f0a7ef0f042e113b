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

use super::coverage::{Count, Coverage};

/// A job that a process submits to its disk.
pub enum Job<R> {
    Persist(R),
    Load(Query),
}

struct SubmittedJob<R> {
    ticket: Ticket,
    job: Job<R>,
    /// End of its commit.
    due: Tick,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitResult {
    Durable,
    /// The disk is full: nothing is written, and a later commit may succeed.
    Full,
    /// The fsync failed. The state of the disk is known only after a restart, and the process ends.
    Broken,
}

pub struct SimDisk<R> {
    waiting: VecDeque<SubmittedJob<R>>,
    /// The running commit, and the end of the next one, which new jobs form.
    begun: Tick,
    ends: Tick,
    next_ends: Tick,
    /// No commit succeeds before this time.
    pub full_until: Tick,
    /// Chance that a commit finds the disk full, in thousandths.
    pub full_chance: u64,
    /// Chance that a single record of a commit is refused, in thousandths.
    pub refuse_chance: u64,
    /// The next commit's fsync fails.
    pub fsync_fails: bool,
}

impl<R> Default for SimDisk<R> {
    fn default() -> SimDisk<R> {
        SimDisk {
            waiting: VecDeque::new(),
            begun: Tick::ZERO,
            ends: Tick::ZERO,
            next_ends: Tick::ZERO,
            full_until: Tick::ZERO,
            full_chance: 0,
            refuse_chance: 0,
            fsync_fails: false,
        }
    }
}

impl<R> SimDisk<R> {
    /// Submits a job. A commit takes `takes`. Returns when its commit ends, if it is the first job
    /// of that.
    pub fn submit(&mut self, now: Tick, time: Duration, ticket: Ticket, job: Job<R>) -> Option<Tick> {
        let due = self.commit_end(now, time);
        let first = self.waiting.back().is_none_or(|last| last.due < due);
        self.waiting.push_back(SubmittedJob { ticket, job, due });
        first.then_some(due)
    }

    fn commit_end(&mut self, now: Tick, time: Duration) -> Tick {
        if self.ends <= now && self.next_ends > now {
            self.begun = self.ends;
            self.ends = self.next_ends;
        }
        if self.ends <= now {
            self.begun = now;
            self.ends = now + time;
        }
        if self.begun == now {
            return self.ends;
        }
        if self.next_ends <= self.ends {
            self.next_ends = self.ends + time;
        }
        self.next_ends
    }

    /// Ends a commit. Returns its result, and its jobs in order unless the disk broke.
    pub fn end_commit(
        &mut self,
        now: Tick,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) -> (CommitResult, Vec<(Ticket, Job<R>)>) {
        let many = self.waiting.iter().take_while(|submitted| submitted.due <= now).count();
        let writes = self.waiting.iter().take(many).any(|given| matches!(given.job, Job::Persist(_)));
        if writes && std::mem::take(&mut self.fsync_fails) {
            coverage.add(Count::FsyncErrors);
            return (CommitResult::Broken, Vec::new());
        }
        let is_full = self.full_until > now || (self.full_chance > 0 && rng.below(1000) < self.full_chance);
        let result = if writes && is_full { CommitResult::Full } else { CommitResult::Durable };
        let jobs = self.waiting.drain(..many).map(|given| (given.ticket, given.job)).collect();
        (result, jobs)
    }

    /// Whether a record of a successful commit is written. Some are refused individually.
    pub fn accepts_record(&self, rng: &mut Rng) -> bool {
        self.refuse_chance == 0 || rng.below(1000) >= self.refuse_chance
    }

    /// Ends the process. Returns the records of the running commit that are on disk nevertheless.
    pub fn cut_off(&mut self, now: Tick, rng: &mut Rng, coverage: &mut Coverage) -> Vec<R> {
        let waiting = std::mem::take(&mut self.waiting);
        let first_due = waiting.front().map(|given| given.due);
        let is_full = self.full_until > now;
        let full_until = self.full_until;
        let full_chance = self.full_chance;
        let refuse_chance = self.refuse_chance;
        let fresh = SimDisk { full_until, full_chance, refuse_chance, ..SimDisk::default() };
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
            0 => coverage.add(Count::CommitsKept),
            1 => {
                coverage.add(Count::CommitsDropped);
                records.clear();
            }
            _ => {
                coverage.add(Count::CommitsTorn);
                records.truncate(rng.below(records.len() as u64) as usize);
            }
        }
        records
    }

    /// Ends every fault.
    pub fn heal(&mut self) {
        self.full_until = Tick::ZERO;
        self.full_chance = 0;
        self.refuse_chance = 0;
        self.fsync_fails = false;
    }

    /// Whether no job waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
