//! Capacity for letters: each sender's usage of one mailbox, and of all of them. Also charges sent
//! letters to their sender's pace (`spend`, `limiter`).
//!
//! A sender is refused if its usage would exceed the free space in the mailbox or in all mailboxes
//! together. These are dynamic thresholds (Choudhury and Hahne, "Dynamic queue length
//! thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998)
//! with a factor of 1. `k` greedy senders leave `1/(k+1)` free, and each has as much as the others.
//! Fixed limits of a pair and of a sender apply as well. No accepted letter is evicted. The space
//! for letters that are not on disk yet is shared in the same way.
//!
//! Invariant: once the usage changes of all mailboxes were applied, a sender's total is the sum of
//! its usage of all mailboxes.

use crate::base::{RateLimiter, Tick};
use crate::relay::limits::{ENTRY_COST, Limits, MEMORY_ONLY_MAX, UNWRITTEN_MAX, three_quarters};
use crate::relay::pace::Pace;

use super::{Mailbox, MailboxEntry, Sender};

/// Usage of a mailbox by one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SenderUsage {
    pub(super) letters: usize,
    pub(super) bytes: usize,
    /// The cost of letters that are not on disk.
    pub(super) unwritten: usize,
    /// The sender's pace to this recipient; see [`Pace`].
    limiter: RateLimiter,
}

impl SenderUsage {
    pub(super) const EMPTY: SenderUsage =
        SenderUsage { letters: 0, bytes: 0, unwritten: 0, limiter: RateLimiter::WHOLE };

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
pub(in crate::relay) enum SenderClass {
    /// The recipient has written to it recently. It may use the whole mailbox.
    Known,
    /// It may use three quarters of the mailbox.
    Stranger,
}

/// Usage of one mailbox, or of all together: bytes of bodies, plus [`ENTRY_COST`] for each letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct MailboxUsage {
    /// In memory and on disk.
    bytes: usize,
    /// The part that is not on disk yet.
    unwritten: usize,
}

impl MailboxUsage {
    pub(super) const EMPTY: MailboxUsage = MailboxUsage { bytes: 0, unwritten: 0 };

    /// Whether no mailbox has a letter.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether one more letter of this length fits, from a sender that uses `held` bytes in all
    /// mailboxes.
    ///
    /// No part is reserved for known senders here: two members that fill each other's mailboxes
    /// know each other.
    pub(in crate::relay) fn has_capacity(&self, len: usize, held: usize, limits: &Limits) -> bool {
        let free = limits.all_bytes.saturating_sub(self.bytes);
        let free = free.min(limits.memory_bytes.saturating_sub(self.unwritten));
        held.saturating_add(len + ENTRY_COST) <= free.min(limits.held_max())
    }

    /// Adds the changes in a mailbox since it was last counted.
    pub(in crate::relay) fn update(&mut self, mailbox: &mut Mailbox) {
        let now = MailboxUsage { bytes: mailbox.total.cost(), unwritten: mailbox.unwritten };
        let before = std::mem::replace(&mut mailbox.counted, now);
        self.bytes = self.bytes + now.bytes - before.bytes;
        self.unwritten = self.unwritten + now.unwritten - before.unwritten;
    }

    /// Bytes in memory and on disk.
    pub(in crate::relay) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Usage entries kept by an empty mailbox, so that a mailbox emptied after each letter does not
/// allocate for the next.
const USAGES_KEPT: usize = 64;

impl Mailbox {
    /// Returns the class that `sender` must have at least to add a letter of `len` bytes; a known
    /// sender may do all that a stranger may. Returns `None` if the mailbox is full for `sender`,
    /// or too many letters are not on disk.
    pub(in crate::relay) fn check_capacity(
        &self,
        sender: Sender,
        len: usize,
        limits: &Limits,
    ) -> Option<SenderClass> {
        let usage = self.usages.get(sender).copied().unwrap_or_default();
        if usage.unwritten + len + ENTRY_COST > self.unwritten_free() {
            return None;
        }
        let fits = |letters_max: usize, bytes_max: usize| {
            let letters = letters_max.saturating_sub(self.total.letters).min(limits.pair_letters);
            let bytes = bytes_max.saturating_sub(self.total.bytes).min(limits.pair_bytes);
            usage.letters < letters && usage.bytes + len <= bytes
        };
        if fits(three_quarters(limits.mailbox_letters), three_quarters(limits.mailbox_bytes)) {
            return Some(SenderClass::Stranger);
        }
        fits(limits.mailbox_letters, limits.mailbox_bytes).then_some(SenderClass::Known)
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
    pub(super) fn add_new(&mut self, sender: Sender, len: usize) {
        let cost = len + ENTRY_COST;
        self.memory_only += cost;
        self.unwritten += cost;
        self.total.add(1, len);
        let usage = self.usages.entry(sender);
        usage.add(1, len);
        usage.unwritten += cost;
        add_change(&mut self.usage_changes, sender, cost as isize);
    }

    /// Counts letters of the sender with this cost as written.
    pub(super) fn record_written(&mut self, sender: Sender, cost: usize) {
        self.unwritten -= cost;
        if let Some(usage) = self.usages.get_mut(sender) {
            usage.unwritten -= cost;
        }
    }

    /// Counts restored letters of the sender, which are on disk, with this many bytes of bodies.
    pub(super) fn add_usage(&mut self, sender: Sender, letters: usize, bytes: usize) {
        self.total.add(letters, bytes);
        self.usages.entry(sender).add(letters, bytes);
        add_change(&mut self.usage_changes, sender, (bytes + letters * ENTRY_COST) as isize);
    }

    /// Removes one letter of this length, which is on disk, from the sender's usage.
    pub(super) fn remove_letter_usage(&mut self, sender: Sender, len: usize) {
        self.remove_usage(sender, 1, len, 0);
    }

    /// Removes letters, with this many bytes of bodies, from the sender's usage. Those of them that
    /// are not on disk have cost `unwritten`.
    pub(super) fn remove_usage(&mut self, sender: Sender, letters: usize, bytes: usize, unwritten: usize) {
        self.unwritten -= unwritten;
        self.total.remove(letters, bytes);
        if let Some(usage) = self.usages.get_mut(sender) {
            let before = usage.cost();
            usage.unwritten -= unwritten;
            usage.remove(letters, bytes);
            add_change(&mut self.usage_changes, sender, usage.cost() as isize - before as isize);
        }
        if self.total.letters == 0 && self.usages.len() > self.usages_max.max(USAGES_KEPT) {
            // An entry may still count a removed letter whose sender could not be identified.
            // Report the entry's cost as removed.
            let changes = &mut self.usage_changes;
            let now = self.last_sent_at;
            self.usages.retain(|sender, usage| {
                let is_paced = usage.limiter.full_at() > now;
                if !is_paced {
                    add_change(changes, sender, -(usage.cost() as isize));
                }
                is_paced
            });
            self.usages_max = 2 * self.usages.len();
        }
    }

    /// Returns the limiter of this sender's pace.
    pub(super) fn limiter(&self, sender: Sender) -> RateLimiter {
        self.usages.get(sender).map_or(RateLimiter::default(), |usage| usage.limiter)
    }

    /// Charges a sent letter to its sender's pace.
    pub(super) fn spend(&mut self, entry: &MailboxEntry, now: Tick, pace: Pace) {
        if !entry.released {
            self.lanes.record_passed(entry.cost());
        }
        if let Some(usage) = self.usages.get_mut(entry.sender) {
            pace.spend(&mut usage.limiter, now, entry.cost());
            self.paced_until = self.paced_until.max(usage.limiter.full_at());
        }
        self.last_sent_at = now;
    }

    /// Clears the pacing state once every sender has a full burst, so that an empty mailbox counts
    /// as unused.
    pub(in crate::relay) fn clear_pacing(&mut self, now: Tick) {
        if self.paced_until <= now {
            self.paced_until = Tick::ZERO;
        }
    }

    /// Removes and returns the latest change of a sender's cost, in bytes.
    pub(in crate::relay) fn next_usage_change(&mut self) -> Option<(Sender, isize)> {
        self.usage_changes.pop()
    }

    /// Returns the bytes of each sender, as [`SenderUsage::cost`] counts them.
    pub(in crate::relay) fn costs(&self) -> impl Iterator<Item = (Sender, usize)> {
        self.usages.iter().map(|(sender, usage)| (sender, usage.cost()))
    }
}

fn add_change(changes: &mut Vec<(Sender, isize)>, sender: Sender, change: isize) {
    match changes.last_mut() {
        Some((last, sum)) if *last == sender => *sum += change,
        _ if change == 0 => {}
        _ => changes.push((sender, change)),
    }
}
