//! Refusals by the recipient before it has stored a letter.
//!
//! No letter is durable while an earlier one of its sender is neither durable nor known to be
//! refused. A refused letter in memory only is therefore written first, with all earlier ones, and
//! removed once it is on disk. Letters that the recipient has stored behind it count after that.

use std::collections::BTreeMap;

use super::{EntryState, Mailbox, MailboxEntry, Sender, StoredThrough};
use crate::base::{LetterId, OutboxId};
use crate::wire::message::Reason;

/// Letters that the recipient refuses.
#[derive(Debug)]
pub(super) struct Refusing {
    /// Refused letters among those sent: they wait for the disk.
    pub(super) letters: usize,
    /// Letters whose refusal is being made durable; they count as sent.
    pub(super) being_removed: usize,
    /// Numbers up to which the recipient has stored letters behind refused ones, by sender and
    /// outbox.
    stored: BTreeMap<(Sender, OutboxId), StoredThrough>,
}

impl Default for Refusing {
    fn default() -> Refusing {
        Refusing::new()
    }
}

impl Refusing {
    pub(super) const fn new() -> Refusing {
        Refusing { letters: 0, being_removed: 0, stored: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters == 0 && self.being_removed == 0 && self.stored.is_empty()
    }

    pub(super) fn store(&mut self, sender: Sender, outbox: OutboxId, through: StoredThrough) {
        let stored = self.stored.entry((sender, outbox)).or_default();
        *stored = stored.and(through);
    }
}

/// A letter removed because its recipient refuses it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::relay) struct RefusedEntry {
    pub(in crate::relay) entry: MailboxEntry,
    pub(in crate::relay) reason: Reason,
    /// The letters that the recipient has stored behind it, if any.
    pub(in crate::relay) stored: Option<StoredThrough>,
}

impl Mailbox {
    /// Records that the recipient refuses a letter sent to it. Returns `false` if it has no such
    /// letter.
    ///
    /// [`Mailbox::next_refused`] returns the letter once it may be removed.
    pub(in crate::relay) fn refuse(&mut self, sender: Sender, id: LetterId, reason: Reason) -> bool {
        let is_it =
            |entry: &&mut MailboxEntry| entry.sender == sender && entry.id == id && entry.refused.is_none();
        let Some(entry) = self.sent.iter_mut().flatten().find(is_it) else { return false };
        entry.refused = Some(reason);
        self.refusing.letters += 1;
        true
    }

    /// Removes and returns a refused letter that is on disk, or whose sender is no member. It
    /// counts as sent until [`Mailbox::end_refusal`].
    pub(in crate::relay) fn next_refused(&mut self) -> Option<RefusedEntry> {
        if self.refusing.letters == 0 {
            return None;
        }
        let may_be_removed = |entry: &MailboxEntry| {
            let is_on_disk = matches!(entry.state, EntryState::OnDisk(_));
            entry.refused.is_some() && (is_on_disk || !matches!(entry.sender, Sender::Member(_)))
        };
        let slot = self.sent.iter().position(|slot| slot.as_ref().is_some_and(may_be_removed))?;
        let entry = self.sent[slot].take()?;
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
        }
        self.refusing.letters -= 1;
        self.refusing.being_removed += 1;
        self.subtract(&entry);
        let stored = self.refusing.stored.remove(&(entry.sender, entry.id.outbox));
        let reason = entry.refused?;
        Some(RefusedEntry { entry, reason, stored })
    }

    /// Returns the part of a recipient's report `through` that counts now: the letters before the
    /// first one of this outbox that it refuses and that is still here. The rest counts once that
    /// letter is removed, or is forgotten with the recipient's session.
    ///
    /// The refusal must be durable first. Otherwise the delivered watermark would cover the refused
    /// letter.
    pub(in crate::relay) fn stored_before_refused(
        &mut self,
        sender: Sender,
        outbox: OutboxId,
        through: StoredThrough,
    ) -> StoredThrough {
        if self.refusing.letters == 0 {
            return through;
        }
        let is_refused = |entry: &&MailboxEntry| {
            entry.refused.is_some() && entry.sender == sender && entry.id.outbox == outbox
        };
        let first = self.sent.iter().flatten().find(is_refused);
        let is_covered =
            |entry: &&MailboxEntry| entry.id.number <= through.number && entry.mark <= through.mark;
        let Some(first) = first.filter(is_covered) else { return through };
        let number = first.id.number - 1;
        self.refusing.store(sender, outbox, through);
        StoredThrough { number, ..through }
    }

    /// Ends the refusal of a letter of [`Mailbox::next_refused`], which is durable or does not need
    /// to be.
    pub(in crate::relay) fn end_refusal(&mut self) {
        self.refusing.being_removed -= 1;
    }

    /// Forgets refusals at the end of the recipient's session: the next one gets the letters again,
    /// and may refuse them again.
    pub(super) fn forget_refused(&mut self) {
        if self.refusing.letters > 0 {
            self.sent.iter_mut().flatten().for_each(|entry| entry.refused = None);
        }
        self.refusing.letters = 0;
        self.refusing.stored.clear();
    }
}
