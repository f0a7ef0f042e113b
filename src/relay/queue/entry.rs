//! One letter in a queue.

use crate::base::{Carrier, LetterId, Mark, Tick};
use crate::wire::message::Reason;

use crate::relay::limits::ENTRY_COST;
use crate::relay::members::MemberId;
use crate::relay::parcels::Parcel;

/// The author of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum Author {
    /// A member, in whichever session it wrote.
    Member(MemberId),
    /// The relay itself, as `echo`.
    Echo,
    /// Guests of one carrier, all of them together: they share what one author may have in a queue. Those over UDP can be
    /// forged, and take nothing from those over TCP.
    Guest(Carrier),
}

/// Where a letter is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nowhere but here.
    Memory,
    /// It is being written at this place.
    Writing(u64),
    /// The disk has it at this place.
    Kept(u64),
}

/// What a reader has stored of one outbox: letters up to this number, and up to this mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Through {
    pub(in crate::relay) number: u64,
    pub(in crate::relay) mark: Mark,
    /// Their author hears of it at the next full second.
    pub(in crate::relay) at_full_second: bool,
}

impl Through {
    /// All of both, said as the other says it.
    pub(in crate::relay) fn and(self, other: Through) -> Through {
        Through { number: self.number.max(other.number), mark: self.mark.max(other.mark), ..other }
    }
}

/// One letter in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Entry {
    pub(in crate::relay) author: Author,
    pub(in crate::relay) id: LetterId,
    /// Under which it was numbered.
    pub(in crate::relay) mark: Mark,
    /// The length of its body.
    pub(in crate::relay) len: usize,
    /// When it began to wait for its recipient or the disk.
    pub(in crate::relay) since: Tick,
    /// When it was taken, on the relay's own clock, in milliseconds.
    pub(in crate::relay) born: u64,
    /// The delivery as it goes to the recipient; empty where a handed letter is on disk too.
    pub(in crate::relay) message: Parcel,
    /// It was in a session of its recipient, now or earlier.
    pub(in crate::relay) was_handed: bool,
    /// It was in an earlier session than now, or may have been.
    pub(in crate::relay) was_handed_before: bool,
    /// Why its recipient refuses it; it leaves once the disk has it.
    pub(super) refused: Option<Reason>,
    /// It waited for its author's pace, which allows it.
    pub(super) released: bool,
    pub(super) state: State,
}

impl Entry {
    /// A letter that has just come.
    pub(in crate::relay) fn new(
        author: Author,
        id: LetterId,
        len: usize,
        since: Tick,
        born: u64,
        message: Parcel,
    ) -> Entry {
        let (was_handed, was_handed_before, released, refused) = (false, false, false, None);
        let state = State::Memory;
        Entry {
            author,
            id,
            mark: Mark::default(),
            len,
            since,
            born,
            message,
            was_handed,
            was_handed_before,
            released,
            refused,
            state,
        }
    }

    /// A letter of a member, numbered under this mark.
    pub(in crate::relay) fn under(self, mark: Mark) -> Entry {
        Entry { mark, ..self }
    }

    /// A letter that came back from disk.
    pub(in crate::relay) fn kept(self, place: u64) -> Entry {
        Entry { state: State::Kept(place), ..self }
    }

    /// The place of a letter that the disk has or is being given.
    pub(in crate::relay) fn place(&self) -> Option<u64> {
        match self.state {
            State::Memory => None,
            State::Writing(place) | State::Kept(place) => Some(place),
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.len + ENTRY_COST
    }

    /// Its cost in memory only, and its cost as long as the disk does not have it.
    pub(super) fn unwritten(&self) -> (usize, usize) {
        match self.state {
            State::Memory => (self.cost(), self.cost()),
            State::Writing(_) => (0, self.cost()),
            State::Kept(_) => (0, 0),
        }
    }
}
