//! Room for letters: shares of one mailbox, and what one sender holds in all of them.
//!
//! A sender is refused when what it would hold exceeds the space still free: in the mailbox, and in all mailboxes
//! together. These are dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
//! packet switches", IEEE/ACM Transactions on Networking 6(2), 1998) with a factor of 1: `k` greedy senders leave
//! `1/(k+1)` free, and each has as much as the others. Fixed bounds for a pair and for a sender come on top. Nothing
//! that was accepted is evicted. What the disk does not have yet is shared in the same way.
//!
//! Invariant: once a queue was counted, what a sender holds is the sum of its shares in all queues.

use crate::base::Tick;
use crate::relay::limits::{ENTRY_COST, Limits, MEMORY_ONLY_MAX, UNWRITTEN_MAX, three_quarters};
use crate::relay::pace::Pace;

use super::{Author, Entry, Queue};

/// Letters of one author in a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) letters: usize,
    pub(super) bytes: usize,
    /// The cost of those that the disk does not have.
    pub(super) unwritten: usize,
    /// When a whole burst of the author may be handed over again; see [`Pace`].
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

    /// Bytes of bodies, and [`ENTRY_COST`] for each letter.
    fn cost(&self) -> usize {
        self.bytes + self.letters * ENTRY_COST
    }
}

/// How a recipient knows the sender of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Sender {
    /// The recipient has written to it lately. The whole mailbox is open to it.
    Known,
    /// Three quarters of the mailbox are.
    Stranger,
}

/// What one queue, or all together, hold: bytes of bodies, with [`ENTRY_COST`] for each letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Stock {
    /// In memory and on disk.
    all: usize,
    /// The part that the disk does not have yet.
    memory: usize,
}

impl Stock {
    pub(super) const EMPTY: Stock = Stock { all: 0, memory: 0 };

    /// Whether no queue has a letter.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// Whether another letter of this length fits that is of a sender that holds `held` bytes in all mailboxes.
    ///
    /// No part is kept here for senders that the recipient knows: two who fill each other's mailboxes know each other.
    pub(in crate::relay) fn has_room(&self, len: usize, held: usize, limits: &Limits) -> bool {
        let free = limits.all_bytes.saturating_sub(self.all);
        let free = free.min(limits.memory_bytes.saturating_sub(self.memory));
        held.saturating_add(len + ENTRY_COST) <= free.min(limits.held_max())
    }

    /// Takes in what has changed in a queue since it was counted last.
    pub(in crate::relay) fn count(&mut self, queue: &mut Queue) {
        let now = Stock { all: queue.total.cost(), memory: queue.unwritten };
        let before = std::mem::replace(&mut queue.counted, now);
        self.all = self.all + now.all - before.all;
        self.memory = self.memory + now.memory - before.memory;
    }

    /// Bytes held, in memory and on disk.
    pub(in crate::relay) fn all(&self) -> usize {
        self.all
    }
}

/// Authors remembered by an empty queue: a queue that runs empty after each letter allocates nothing for the next.
const SHARES_KEPT: usize = 64;

impl Queue {
    /// Returns which senders may add another letter of this length, if it is this author's; `None` if none may: the
    /// mailbox is full, or the disk is too far behind.
    pub(in crate::relay) fn admits(&self, author: Author, len: usize, limits: &Limits) -> Option<Sender> {
        let share = self.shares.get(author).copied().unwrap_or_default();
        if share.unwritten + len + ENTRY_COST > self.unwritten_free() {
            return None;
        }
        let has_room = |queue_letters: usize, queue_bytes: usize| {
            let letters = queue_letters.saturating_sub(self.total.letters).min(limits.pair_letters);
            let bytes = queue_bytes.saturating_sub(self.total.bytes).min(limits.pair_bytes);
            share.letters < letters && share.bytes + len <= bytes
        };
        if has_room(three_quarters(limits.queue_letters), three_quarters(limits.queue_bytes)) {
            return Some(Sender::Stranger);
        }
        has_room(limits.queue_letters, limits.queue_bytes).then_some(Sender::Known)
    }

    /// Bytes that the disk may still be behind.
    fn unwritten_free(&self) -> usize {
        let free = UNWRITTEN_MAX.saturating_sub(self.unwritten);
        match self.retry_at {
            Some(_) => free.min(MEMORY_ONLY_MAX.saturating_sub(self.memory_only)),
            None => free,
        }
    }

    /// Another letter is the author's, and in memory only.
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

    /// Letters of the author that cost this much are on the disk.
    pub(super) fn note_written(&mut self, author: Author, cost: usize) {
        self.unwritten -= cost;
        if let Some(share) = self.shares.get_mut(author) {
            share.unwritten -= cost;
        }
    }

    /// More letters, which the disk has, with this many bytes of bodies, are the author's.
    pub(super) fn take_shares(&mut self, author: Author, letters: usize, bytes: usize) {
        self.total.add(letters, bytes);
        self.shares.entry(author).add(letters, bytes);
        note(&mut self.moved, author, (bytes + letters * ENTRY_COST) as isize);
    }

    /// A letter of this length, which the disk has, is the author's no longer.
    pub(super) fn forget_share(&mut self, author: Author, len: usize) {
        self.forget_shares(author, 1, len, 0);
    }

    /// Letters, with this many bytes of bodies, are the author's no longer; those of them that the disk does not have
    /// cost `unwritten`.
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
            // A damaged letter of which nothing is known is still in a share.
            let (moved, now) = (&mut self.moved, self.handed_at);
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

    /// When a whole burst of this author may be handed over again.
    pub(super) fn whole_at(&self, author: Author) -> Tick {
        self.shares.get(author).map_or(Tick::ZERO, |share| share.whole_at)
    }

    /// A letter is handed over.
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

    /// Forgets what was handed over long enough ago.
    pub(in crate::relay) fn settle(&mut self, now: Tick) {
        if self.paced_until <= now {
            self.paced_until = Tick::ZERO;
        }
    }

    /// Whose share has changed since it was counted last, and by how many bytes; one author after the other, the
    /// latest change first.
    pub(in crate::relay) fn next_moved(&mut self) -> Option<(Author, isize)> {
        self.moved.pop()
    }

    /// Bytes of each author, as [`Share::cost`] counts them.
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
