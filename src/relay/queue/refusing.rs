//! Letters that their recipient refuses before it has stored them.
//!
//! No letter is durable while one of its author before it is neither that nor known as refused. So
//! a refused letter that is in memory only is written first, with all before it, and leaves when
//! the disk has it; and what the recipient has stored behind it counts after that.

use std::collections::BTreeMap;

use super::{Author, Entry, Queue, State, Through};
use crate::base::{LetterId, OutboxId};
use crate::wire::message::Reason;

/// Letters that the recipient refuses.
#[derive(Debug)]
pub(super) struct Refusing {
    /// Refused letters among those handed: they wait for the disk.
    pub(super) letters: usize,
    /// Letters whose refusal is being made durable; they count as handed.
    pub(super) leaving: usize,
    /// Numbers through which the recipient has stored letters behind refused ones, by author and
    /// outbox.
    stored: BTreeMap<(Author, OutboxId), Through>,
}

impl Default for Refusing {
    fn default() -> Refusing {
        Refusing::new()
    }
}

impl Refusing {
    pub(super) const fn new() -> Refusing {
        Refusing { letters: 0, leaving: 0, stored: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters == 0 && self.leaving == 0 && self.stored.is_empty()
    }

    pub(super) fn store(&mut self, author: Author, outbox: OutboxId, through: Through) {
        let stored = self.stored.entry((author, outbox)).or_default();
        *stored = stored.and(through);
    }
}

/// A letter that leaves because its recipient refuses it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::relay) struct Left {
    pub(in crate::relay) entry: Entry,
    pub(in crate::relay) reason: Reason,
    /// What the recipient has stored behind it, if anything.
    pub(in crate::relay) stored: Option<Through>,
}

impl Queue {
    /// The recipient refuses a letter it was handed; `false` if it has no such letter.
    /// [`Queue::next_refused`] has it as soon as it may leave.
    pub(in crate::relay) fn refuse(&mut self, author: Author, id: LetterId, reason: Reason) -> bool {
        let is_it = |entry: &&mut Entry| entry.author == author && entry.id == id && entry.refused.is_none();
        let Some(entry) = self.handed.iter_mut().flatten().find(is_it) else { return false };
        entry.refused = Some(reason);
        self.refusing.letters += 1;
        true
    }

    /// Takes out a refused letter that the disk has, or whose author is no member. It counts as
    /// handed until [`Queue::refusal_ended`].
    pub(in crate::relay) fn next_refused(&mut self) -> Option<Left> {
        if self.refusing.letters == 0 {
            return None;
        }
        let may_leave = |entry: &Entry| {
            let is_kept = matches!(entry.state, State::Kept(_));
            entry.refused.is_some() && (is_kept || !matches!(entry.author, Author::Member(_)))
        };
        let slot = self.handed.iter().position(|slot| slot.as_ref().is_some_and(may_leave))?;
        let entry = self.handed[slot].take()?;
        while let Some(None) = self.handed.front() {
            self.handed.pop_front();
        }
        self.refusing.letters -= 1;
        self.refusing.leaving += 1;
        self.left_through = self.left_through.max(entry.place().unwrap_or(0));
        self.forget(&entry);
        let stored = self.refusing.stored.remove(&(entry.author, entry.id.outbox));
        let reason = entry.refused?;
        Some(Left { entry, reason, stored })
    }

    /// The refusal of a letter of [`Queue::next_refused`] is durable, or need not be.
    pub(in crate::relay) fn refusal_ended(&mut self) {
        self.refusing.leaving -= 1;
    }

    /// The recipient's session is gone: the next one is handed what has not left, and says again
    /// what it does with it.
    pub(super) fn forget_refused(&mut self) {
        if self.refusing.letters > 0 {
            self.handed.iter_mut().flatten().for_each(|entry| entry.refused = None);
        }
        self.refusing.letters = 0;
        self.refusing.stored.clear();
    }
}
