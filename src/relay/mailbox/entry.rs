//! One letter in a mailbox.

use crate::base::{Carrier, LetterId, Mark, Tick};
use crate::wire::message::Reason;

use crate::relay::buffer_pool::SharedBytes;
use crate::relay::ids::MemberId;
use crate::relay::limits::ENTRY_COST;

/// The sender of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum Sender {
    /// A member, over any of its sessions.
    Member(MemberId),
    /// The relay itself, as `echo`.
    Echo,
    /// All guests of one carrier together: they share the limits of one sender. Guests over UDP can
    /// be forged, and therefore take nothing from those over TCP.
    Guest(Carrier),
}

/// Where a letter is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    /// In memory only.
    Memory,
    /// Being written, with this sequence number.
    Writing(u64),
    /// On disk, with this sequence number.
    OnDisk(u64),
}

/// Letters of one outbox that the recipient has stored: up to this number and this outbox mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct StoredThrough {
    pub(in crate::relay) number: u64,
    pub(in crate::relay) mark: Mark,
    /// Whether their sender gets the receipt at the next full second.
    pub(in crate::relay) at_full_second: bool,
}

impl StoredThrough {
    /// Combines both ranges; the other settings are those of `other`.
    pub(in crate::relay) fn and(self, other: StoredThrough) -> StoredThrough {
        StoredThrough { number: self.number.max(other.number), mark: self.mark.max(other.mark), ..other }
    }
}

/// A letter that the relay has accepted, because it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct AcceptedLetter {
    pub(in crate::relay) sender: Sender,
    pub(in crate::relay) id: LetterId,
    /// Time at which it was taken, in milliseconds of the uptime clock.
    pub(in crate::relay) taken_at: u64,
}

impl AcceptedLetter {
    pub(super) fn of(entry: &MailboxEntry) -> AcceptedLetter {
        AcceptedLetter { sender: entry.sender, id: entry.id, taken_at: entry.taken_at }
    }
}

/// Letters removed from a mailbox because the recipient has stored them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct StoredResult {
    pub(in crate::relay) count: u64,
    /// The highest letter number among them.
    pub(in crate::relay) highest_number: u64,
    /// Sequence numbers of those that are on disk or being written.
    pub(in crate::relay) seqs: Vec<u64>,
}

/// One letter in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct MailboxEntry {
    pub(in crate::relay) sender: Sender,
    pub(in crate::relay) id: LetterId,
    /// Outbox mark under which it was numbered.
    pub(in crate::relay) mark: Mark,
    /// Length of its body, in bytes.
    pub(in crate::relay) len: usize,
    /// Time at which it began to wait for its recipient or the disk.
    pub(in crate::relay) queued_at: Tick,
    /// Time at which it was taken, in milliseconds of the uptime clock.
    pub(in crate::relay) taken_at: u64,
    /// The encoded delivery; empty if a sent letter is on disk too.
    pub(in crate::relay) message: SharedBytes,
    /// Whether it was in a session of its recipient, now or earlier. For a letter released from a
    /// lane, also whether it may have been.
    pub(in crate::relay) was_sent: bool,
    /// Whether it was in an earlier session, or may have been.
    pub(in crate::relay) was_sent_before: bool,
    /// Reason for which its recipient refuses it; it is removed once it is on disk.
    pub(super) refused: Option<Reason>,
    /// Whether it has waited for its sender's pace, which allows it now.
    pub(super) released: bool,
    pub(super) state: EntryState,
}

impl MailboxEntry {
    /// Returns a new letter.
    pub(in crate::relay) fn new(
        sender: Sender,
        id: LetterId,
        len: usize,
        queued_at: Tick,
        taken_at: u64,
        message: SharedBytes,
    ) -> MailboxEntry {
        MailboxEntry {
            sender,
            id,
            mark: Mark::default(),
            len,
            queued_at,
            taken_at,
            message,
            was_sent: false,
            was_sent_before: false,
            released: false,
            refused: None,
            state: EntryState::Memory,
        }
    }

    /// Sets the outbox mark under which a member numbered the letter.
    pub(in crate::relay) fn with_mark(self, mark: Mark) -> MailboxEntry {
        MailboxEntry { mark, ..self }
    }

    /// Marks the letter as loaded from disk.
    pub(in crate::relay) fn on_disk_at(self, seq: u64) -> MailboxEntry {
        MailboxEntry { state: EntryState::OnDisk(seq), ..self }
    }

    /// Returns the sequence number of a letter that is on disk or being written.
    pub(in crate::relay) fn seq(&self) -> Option<u64> {
        match self.state {
            EntryState::Memory => None,
            EntryState::Writing(seq) | EntryState::OnDisk(seq) => Some(seq),
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.len + ENTRY_COST
    }

    /// Returns its cost in memory only, and its cost while it is not on disk.
    pub(super) fn unwritten(&self) -> (usize, usize) {
        match self.state {
            EntryState::Memory => (self.cost(), self.cost()),
            EntryState::Writing(_) => (0, self.cost()),
            EntryState::OnDisk(_) => (0, 0),
        }
    }
}
