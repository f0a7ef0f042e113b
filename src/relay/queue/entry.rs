//! One letter in a mailbox.

use crate::base::{Carrier, LetterId, Mark, Tick};
use crate::wire::message::Reason;

use crate::relay::limits::ENTRY_COST;
use crate::relay::members::MemberId;
use crate::relay::parcels::Parcel;

/// The sender of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum Author {
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
pub(super) enum State {
    /// In memory only.
    Memory,
    /// Being written, with this sequence number.
    Writing(u64),
    /// On disk, with this sequence number.
    Kept(u64),
}

/// Letters of one outbox that the recipient has stored: up to this number and this mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Through {
    pub(in crate::relay) number: u64,
    pub(in crate::relay) mark: Mark,
    /// Whether their sender gets the receipt at the next full second.
    pub(in crate::relay) at_full_second: bool,
}

impl Through {
    /// Combines both ranges; the other settings are those of `other`.
    pub(in crate::relay) fn and(self, other: Through) -> Through {
        Through { number: self.number.max(other.number), mark: self.mark.max(other.mark), ..other }
    }
}

/// One letter in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Entry {
    pub(in crate::relay) author: Author,
    pub(in crate::relay) id: LetterId,
    /// Outbox mark under which it was numbered.
    pub(in crate::relay) mark: Mark,
    /// Length of its body, in bytes.
    pub(in crate::relay) len: usize,
    /// Time at which it began to wait for its recipient or the disk.
    pub(in crate::relay) since: Tick,
    /// Time at which it was taken, in milliseconds of the uptime clock.
    pub(in crate::relay) born: u64,
    /// The encoded delivery; empty if a sent letter is on disk too.
    pub(in crate::relay) message: Parcel,
    /// Whether it was in a session of its recipient, now or earlier.
    pub(in crate::relay) was_handed: bool,
    /// Whether it was in an earlier session, or may have been.
    pub(in crate::relay) was_handed_before: bool,
    /// Reason for which its recipient refuses it; it is removed once it is on disk.
    pub(super) refused: Option<Reason>,
    /// Whether it has waited for its sender's pace, which allows it now.
    pub(super) released: bool,
    pub(super) state: State,
}

impl Entry {
    /// Returns a new letter.
    pub(in crate::relay) fn new(
        author: Author,
        id: LetterId,
        len: usize,
        since: Tick,
        born: u64,
        message: Parcel,
    ) -> Entry {
        Entry {
            author,
            id,
            mark: Mark::default(),
            len,
            since,
            born,
            message,
            was_handed: false,
            was_handed_before: false,
            released: false,
            refused: None,
            state: State::Memory,
        }
    }

    /// Sets the outbox mark under which a member numbered the letter.
    pub(in crate::relay) fn under(self, mark: Mark) -> Entry {
        Entry { mark, ..self }
    }

    /// Marks the letter as loaded from disk.
    pub(in crate::relay) fn kept(self, place: u64) -> Entry {
        Entry { state: State::Kept(place), ..self }
    }

    /// Returns the sequence number of a letter that is on disk or being written.
    pub(in crate::relay) fn place(&self) -> Option<u64> {
        match self.state {
            State::Memory => None,
            State::Writing(place) | State::Kept(place) => Some(place),
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.len + ENTRY_COST
    }

    /// Returns its cost in memory only, and its cost while it is not on disk.
    pub(super) fn unwritten(&self) -> (usize, usize) {
        match self.state {
            State::Memory => (self.cost(), self.cost()),
            State::Writing(_) => (0, self.cost()),
            State::Kept(_) => (0, 0),
        }
    }
}
