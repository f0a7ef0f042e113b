//! A disk under one process: commits as the store's thread makes them, a disk that is full or breaks, and what is left
//! of a commit that was at work when the process ended.
//!
//! A commit takes effect when it ends, whole or not at all; while one is at work, what comes forms the next. When the
//! process ends first, the records at work are kept, dropped or torn: a first part of them is there. (SQLite keeps or
//! drops a commit whole; tearing between its records asks more of the cores than that.) What was only waiting is lost.

use std::collections::VecDeque;
use std::time::Duration;

use queqiao::base::{Query, Rng, Tick, Ticket};

use super::cover::{Count, Cover};

/// What a process wants of its disk.
pub enum Job<R> {
    Persist(R),
    Load(Query),
}

struct Given<R> {
    ticket: Ticket,
    job: Job<R>,
    /// When its commit ends.
    due: Tick,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Durable,
    /// The disk is full: nothing of it is there, and a later one may succeed.
    Full,
    /// The fsync failed: what is there is known only after a restart, and the process ends.
    Broken,
}

pub struct Platter<R> {
    waiting: VecDeque<Given<R>>,
    /// The commit at work, and the one that what comes meanwhile forms.
    begun: Tick,
    ends: Tick,
    next_ends: Tick,
    /// No commit succeeds before then.
    pub full_until: Tick,
    /// The chance in a thousand that a commit finds the disk full.
    pub fails: u64,
    /// The chance in a thousand that one record of a commit is not taken, and the others are.
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
    /// Takes a job; a commit takes so long. When the commit it belongs to ends, if it is the first of it.
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

    /// A commit ends now: its verdict, and its jobs in order unless it broke the disk.
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

    /// Whether a record of a commit that succeeds is there: some are refused, each by itself.
    pub fn takes_one(&self, rng: &mut Rng) -> bool {
        self.refuses == 0 || rng.below(1000) >= self.refuses
    }

    /// The process ends: what of the commit at work is there all the same.
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

    /// Nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
