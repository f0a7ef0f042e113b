//! Capacity for letters: each sender's usage of one mailbox, and of all of them.
//!
//! A sender is refused if its usage would exceed the free space, in the mailbox and in all
//! mailboxes together. These are dynamic thresholds (Choudhury and Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998)
//! with a factor of 1. `k` greedy senders leave `1/(k+1)` free, and each has as much as the others.
//! Fixed limits of a pair and of a sender apply as well. No accepted letter is evicted. The space
//! for letters that are not on disk yet is shared in the same way.
//!
//! Invariant: once a mailbox was counted, a sender's total is the sum of its usage of all
//! mailboxes.

use crate::base::Tick;
use crate::relay::limits::{ENTRY_COST, Limits, MEMORY_ONLY_MAX, UNWRITTEN_MAX, three_quarters};
use crate::relay::pace::Pace;

use super::{Author, Entry, Queue};

/// Usage of a mailbox by one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) letters: usize,
    pub(super) bytes: usize,
    /// The cost of letters that are not on disk.
    pub(super) unwritten: usize,
    /// Time from which a whole burst of the sender may be sent again; see [`Pace`].
    whole_at: Tick,
}

impl Share {
    pub(super) const EMPTY: Share = Share { letters: 0, bytes: 0, unwritten: 0, whole_at: Tick::ZERO };

    fn add(&mut self, letters: usize, bytes: usize) {
        self.letters += letters;
        self.bytes += bytes;
    }

    /// Removes letters, with this many bytes of bodies.
    pub(super) fn remove(&mut self, letters: usize, bytes: usize) {
        self.letters = self.letters.saturating_sub(letters);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Bytes of bodies, plus [`ENTRY_COST`] for each letter.
    fn cost(&self) -> usize {
        self.bytes + self.letters * ENTRY_COST
    }
}

/// Class of a letter's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Sender {
    /// The recipient has written to it recently. It may use the whole mailbox.
    Known,
    /// It may use three quarters of the mailbox.
    Stranger,
}

/// Usage of one mailbox, or of all together: bytes of bodies, plus [`ENTRY_COST`] for each letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Stock {
    /// In memory and on disk.
    all: usize,
    /// The part that is not on disk yet.
    memory: usize,
}

impl Stock {
    pub(super) const EMPTY: Stock = Stock { all: 0, memory: 0 };

    /// Whether no mailbox has a letter.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// Whether one more letter of this length fits, from a sender that uses `held` bytes in all
    /// mailboxes.
    ///
    /// No part is reserved for known senders here: two members that fill each other's mailboxes
    /// know each other.
    pub(in crate::relay) fn has_room(&self, len: usize, held: usize, limits: &Limits) -> bool {
        let free = limits.all_bytes.saturating_sub(self.all);
        let free = free.min(limits.memory_bytes.saturating_sub(self.memory));
        held.saturating_add(len + ENTRY_COST) <= free.min(limits.held_max())
    }

    /// Adds the changes in a mailbox since it was last counted.
    pub(in crate::relay) fn count(&mut self, queue: &mut Queue) {
        let now = Stock { all: queue.total.cost(), memory: queue.unwritten };
        let before = std::mem::replace(&mut queue.counted, now);
        self.all = self.all + now.all - before.all;
        self.memory = self.memory + now.memory - before.memory;
    }

    /// Bytes in memory and on disk.
    pub(in crate::relay) fn all(&self) -> usize {
        self.all
    }
}

/// Usage entries kept by an empty mailbox, so that one that runs empty after each letter allocates
/// nothing for the next.
const SHARES_KEPT: usize = 64;

impl Queue {
    /// Returns the class of senders that may add one more letter of this length and sender. `None`
    /// if none may: the mailbox is full, or too many letters are not on disk.
    pub(in crate::relay) fn admits(&self, author: Author, len: usize, limits: &Limits) -> Option<Sender> {
        let share = self.shares.get(author).copied().unwrap_or_default();
        if share.unwritten + len + ENTRY_COST > self.unwritten_free() {
            return None;
        }
        let fits = |queue_letters: usize, queue_bytes: usize| {
            let letters = queue_letters.saturating_sub(self.total.letters).min(limits.pair_letters);
            let bytes = queue_bytes.saturating_sub(self.total.bytes).min(limits.pair_bytes);
            share.letters < letters && share.bytes + len <= bytes
        };
        if fits(three_quarters(limits.queue_letters), three_quarters(limits.queue_bytes)) {
            return Some(Sender::Stranger);
        }
        fits(limits.queue_letters, limits.queue_bytes).then_some(Sender::Known)
    }

    /// Bytes that may still be added without being on disk.
    fn unwritten_free(&self) -> usize {
        let free = UNWRITTEN_MAX.saturating_sub(self.unwritten);
        match self.retry_at {
            Some(_) => free.min(MEMORY_ONLY_MAX.saturating_sub(self.memory_only)),
            None => free,
        }
    }

    /// Counts a new letter of the sender, in memory only.
    pub(super) fn take_new(&mut self, author: Author, len: usize) {
        let cost = len + ENTRY_COST;
        self.memory_only += cost;
        self.unwritten += cost;
        self.total.add(1, len);
        let share = self.shares.entry(author);
        share.add(1, len);
        share.unwritten += cost;
        note(&mut self.moved, author, cost as isize);
    }

    /// Counts letters of the sender with this cost as written.
    pub(super) fn note_written(&mut self, author: Author, cost: usize) {
        self.unwritten -= cost;
        if let Some(share) = self.shares.get_mut(author) {
            share.unwritten -= cost;
        }
    }

    /// Counts restored letters of the sender, which are on disk, with this many bytes of bodies.
    pub(super) fn take_shares(&mut self, author: Author, letters: usize, bytes: usize) {
        self.total.add(letters, bytes);
        self.shares.entry(author).add(letters, bytes);
        note(&mut self.moved, author, (bytes + letters * ENTRY_COST) as isize);
    }

    /// Removes one letter of this length, which is on disk, from the sender's usage.
    pub(super) fn forget_share(&mut self, author: Author, len: usize) {
        self.forget_shares(author, 1, len, 0);
    }

    /// Removes letters, with this many bytes of bodies, from the sender's usage. Those of them that
    /// are not on disk have cost `unwritten`.
    pub(super) fn forget_shares(&mut self, author: Author, letters: usize, bytes: usize, unwritten: usize) {
        self.unwritten -= unwritten;
        self.total.remove(letters, bytes);
        if let Some(share) = self.shares.get_mut(author) {
            let before = share.cost();
            share.unwritten -= unwritten;
            share.remove(letters, bytes);
            note(&mut self.moved, author, share.cost() as isize - before as isize);
        }
        if self.total.letters == 0 && self.shares.len() > self.shares_kept.max(SHARES_KEPT) {
            // A damaged letter with an unknown sender is still in a usage entry.
            let moved = &mut self.moved;
            let now = self.handed_at;
            self.shares.retain(|author, share| {
                let is_paced = share.whole_at > now;
                if !is_paced {
                    note(moved, author, -(share.cost() as isize));
                }
                is_paced
            });
            self.shares_kept = 2 * self.shares.len();
        }
    }

    /// Returns the time from which a whole burst of this sender may be sent again.
    pub(super) fn whole_at(&self, author: Author) -> Tick {
        self.shares.get(author).map_or(Tick::ZERO, |share| share.whole_at)
    }

    /// Counts a letter that is sent.
    pub(super) fn spend(&mut self, entry: &Entry, now: Tick, pace: Pace) {
        if !entry.released {
            self.lanes.passed(entry.cost());
        }
        if let Some(share) = self.shares.get_mut(entry.author) {
            share.whole_at = pace.spend(share.whole_at, now, entry.cost());
            self.paced_until = self.paced_until.max(share.whole_at);
        }
        self.handed_at = now;
    }

    /// Clears the pacing state once every sender has a full burst.
    pub(in crate::relay) fn settle(&mut self, now: Tick) {
        if self.paced_until <= now {
            self.paced_until = Tick::ZERO;
        }
    }

    /// Returns a sender whose usage has changed since it was last counted, and the change in bytes.
    /// Latest change first.
    pub(in crate::relay) fn next_moved(&mut self) -> Option<(Author, isize)> {
        self.moved.pop()
    }

    /// Returns the bytes of each sender, as [`Share::cost`] counts them.
    pub(in crate::relay) fn costs(&self) -> impl Iterator<Item = (Author, usize)> {
        self.shares.iter().map(|(author, share)| (author, share.cost()))
    }
}

fn note(moved: &mut Vec<(Author, isize)>, author: Author, change: isize) {
    match moved.last_mut() {
        Some((last, sum)) if *last == author => *sum += change,
        _ if change == 0 => {}
        _ => moved.push((author, change)),
    }
}
