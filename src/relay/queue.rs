//! One recipient's queue: the letters the relay holds for it, in memory and on disk, in the order they came.
//!
//! ```text
//! handed | loaded | on disk only | tail
//! ```
//!
//! *Handed* letters are in the recipient's session and not yet stored by it; *loaded* ones came back from disk and go
//! next; of those *on disk only* nothing but their number is known here; the *tail* is in memory. New letters go to the
//! end of the tail. Letters are written oldest first, one batch at a time, and the next batch waits for the answer: so
//! a letter is never durable while one before it is not, and a failed write never leaves a hole. What the disk has and
//! the session does not is dropped from memory.
//!
//! Bounds: [`Limits`] for memory and disk together, of each queue and of all; [`UNWRITTEN_MAX`] bytes not yet on disk;
//! [`HANDED_MAX`] handed.

mod refusing;
mod room;

use std::collections::{BTreeMap, VecDeque};

use crate::base::{LetterId, OutboxId, Tick, Ticket, blank};
use crate::wire::message::Reason;

use super::limits::{BATCH_BYTES, BATCH_LETTERS, ENTRY_COST, HANDED_MAX, MEMORY_ONLY_MAX, SPILL_AFTER};
use super::members::MemberId;
use super::parcels::{Parcel, Parcels};
use refusing::Refusing;
use room::Share;
pub(super) use room::{Sender, Stock};

/// Who wrote a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Author {
    /// A member, whoever of its sessions it came by.
    Member(MemberId),
    /// The relay itself, as `echo`.
    Echo,
    /// Guests, all of them together: they share what one author may have in a queue.
    Guest,
}

/// Where a letter is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nowhere but here.
    Memory,
    /// It is being written at this place.
    Writing(u64),
    /// The disk has it at this place.
    Kept(u64),
}

/// One letter in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) author: Author,
    pub(super) id: LetterId,
    /// The length of its body.
    pub(super) len: usize,
    /// When it began to wait for its recipient or the disk.
    pub(super) since: Tick,
    /// When it was taken, on the relay's own clock, in milliseconds.
    pub(super) born: u64,
    /// The delivery as it goes to the recipient; empty where a handed letter is on disk too.
    pub(super) message: Parcel,
    /// It was in a session of its recipient, now or earlier.
    pub(super) was_handed: bool,
    /// It was in an earlier session than now, or may have been.
    pub(super) was_handed_before: bool,
    /// Why its recipient refuses it; it leaves once the disk has it.
    refused: Option<Reason>,
    state: State,
}

impl Entry {
    /// A letter that has just come.
    pub(super) fn new(
        author: Author,
        id: LetterId,
        len: usize,
        since: Tick,
        born: u64,
        message: Parcel,
    ) -> Entry {
        let (was_handed, was_handed_before, refused, state) = (false, false, None, State::Memory);
        Entry { author, id, len, since, born, message, was_handed, was_handed_before, refused, state }
    }

    /// A letter that came back from disk.
    pub(super) fn kept(self, place: u64) -> Entry {
        Entry { state: State::Kept(place), ..self }
    }

    /// The place of a letter that the disk has or is being given.
    pub(super) fn place(&self) -> Option<u64> {
        match self.state {
            State::Memory => None,
            State::Writing(place) | State::Kept(place) => Some(place),
        }
    }

    fn cost(&self) -> usize {
        self.len + ENTRY_COST
    }
}

/// What a `stored` took out of a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) count: u64,
    /// The highest number among them.
    pub(super) number: u64,
    /// The places of those that the disk has or is being given.
    pub(super) places: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// `None` where the recipient stored a letter behind one it has not stored yet.
    handed: VecDeque<Option<Entry>>,
    /// What the recipient refuses of those.
    refusing: Refusing,
    loaded: VecDeque<Entry>,
    /// Letters on disk only. They stand at places behind `cursor`.
    on_disk: usize,
    cursor: u64,
    /// Letters up to the first of these places were on disk when the relay started, and were counted. Up to the second this
    /// process has taken out what was delivered.
    found_through: u64,
    left_through: u64,
    /// The highest place of a letter that was in a session of its recipient, or may have been.
    handed_through: u64,
    /// The disk has no more behind `cursor`, whatever was counted.
    exhausted: bool,
    tail: VecDeque<Entry>,
    writing: Option<Ticket>,
    loading: Option<Ticket>,
    /// The last write failed; none is tried before then.
    retry_at: Option<Tick>,
    /// The cost of letters in memory only, and of those and the ones being written.
    memory_only: usize,
    unwritten: usize,
    total: Share,
    shares: BTreeMap<Author, Share>,
    /// As [`Stock`] has it.
    counted: Stock,
    /// Authors whose shares have changed since, with the cost added or removed.
    moved: Vec<(Author, isize)>,
    /// When the queue is looked at next.
    pub(super) scheduled: Option<Tick>,
}

blank!(
    Queue,
    Queue {
        handed: VecDeque::new(),
        refusing: Refusing::new(),
        loaded: VecDeque::new(),
        on_disk: 0,
        cursor: 0,
        found_through: 0,
        left_through: 0,
        handed_through: 0,
        exhausted: false,
        tail: VecDeque::new(),
        writing: None,
        loading: None,
        retry_at: None,
        memory_only: 0,
        unwritten: 0,
        total: Share::EMPTY,
        shares: BTreeMap::new(),
        counted: Stock::EMPTY,
        moved: Vec::new(),
        scheduled: None,
    },
    Queue::is_at_rest
);

impl Queue {
    /// Whether there is no letter in it, none on its way to or from the disk, and no time to look at it.
    fn is_at_rest(&self) -> bool {
        let counted = self.counted == Stock::EMPTY && self.moved.is_empty();
        let empty = self.total.letters == 0 && self.on_disk == 0 && counted;
        empty
            && (self.handed.is_empty() && self.loaded.is_empty() && self.tail.is_empty())
            && self.refusing.is_empty()
            && (self.unwritten, self.retry_at, self.scheduled) == (0, None, None)
            && (self.writing, self.loading) == (None, None)
    }

    /// Letters that were on disk when the relay started, at places up to `through`. The process before this one may have
    /// handed them over: what it sent may still wait where their recipient's machine sleeps.
    pub(super) fn found_on_disk(&mut self, author: Author, letters: usize, bytes: usize, through: u64) {
        self.on_disk += letters;
        self.handed_through = self.handed_through.max(through);
        self.found_through = self.found_through.max(through);
        self.take_shares(author, letters, bytes);
    }

    /// Appends a letter for which [`Queue::has_room`] and [`Queue::can_follow`].
    pub(super) fn push(&mut self, entry: Entry) {
        self.take_share(entry.author, entry.len);
        self.memory_only += entry.cost();
        self.unwritten += entry.cost();
        self.tail.push_back(entry);
    }

    // To the recipient.

    /// The letter to hand over next, if there is one here and another may be handed.
    pub(super) fn next_waiting(&self) -> Option<&Entry> {
        if self.handed.len() + self.refusing.leaving >= HANDED_MAX {
            return None;
        }
        let tail = || self.tail.front().filter(|_| self.on_disk == 0 || self.exhausted);
        self.loaded.front().or_else(tail)
    }

    /// The letter of [`Queue::next_waiting`] was handed over.
    pub(super) fn mark_handed(&mut self) {
        let Some(mut entry) = self.loaded.pop_front().or_else(|| self.tail.pop_front()) else { return };
        entry.was_handed_before =
            entry.was_handed || self.may_have_arrived(entry.place().unwrap_or(u64::MAX));
        entry.was_handed = true;
        self.handed_through = self.handed_through.max(entry.place().unwrap_or(0));
        if let State::Kept(_) = entry.state {
            entry.message = Parcel::default();
        }
        self.handed.push_back(Some(entry));
    }

    /// Takes out the letter of [`Queue::next_waiting`]: it is not for the recipient.
    pub(super) fn take_next(&mut self) -> Option<Entry> {
        let entry = self.loaded.pop_front().or_else(|| self.tail.pop_front())?;
        self.left_through = self.left_through.max(entry.place().unwrap_or(0));
        self.forget_unwritten(&entry);
        self.forget_share(entry.author, entry.len);
        Some(entry)
    }

    /// Behind which place letters are to be loaded now, if any.
    pub(super) fn wants_rows(&self) -> Option<u64> {
        let wants = self.on_disk > 0
            && !self.exhausted
            && self.loaded.is_empty()
            && self.loading.is_none()
            && self.handed.len() + self.refusing.leaving < HANDED_MAX;
        wants.then_some(self.cursor)
    }

    /// The letters behind `cursor` were asked for.
    pub(super) fn mark_loading(&mut self, ticket: Ticket) {
        self.loading = Some(ticket);
    }

    /// They have come, `through` being the last place looked at; the letter behind it may be on its way out, and none is
    /// asked for before that one's ticket is answered. `false` if nobody waits for them any more.
    pub(super) fn loaded(
        &mut self,
        ticket: Ticket,
        (through, leaving): (Option<u64>, Option<Ticket>),
        entries: Vec<Entry>,
    ) -> bool {
        if self.loading != Some(ticket) {
            return false;
        }
        self.loading = leaving;
        match through {
            None => self.exhausted = leaving.is_none(),
            Some(through) => self.cursor = self.cursor.max(through),
        }
        self.on_disk = self.on_disk.saturating_sub(entries.len());
        self.loaded.extend(entries);
        true
    }

    /// They could not be asked for.
    pub(super) fn not_loaded(&mut self, ticket: Ticket) {
        if self.loading == Some(ticket) {
            self.loading = None;
        }
    }

    /// The recipient stored every letter of this outbox up to `through`; `None` if this takes none out.
    pub(super) fn stored(
        &mut self,
        author: Author,
        outbox: OutboxId,
        through: u64,
        parcels: &mut Parcels,
    ) -> Option<Stored> {
        let mut stored = Stored::default();
        for slot in 0..self.handed.len() {
            let Some(entry) = &self.handed[slot] else { continue };
            if entry.author != author || entry.id.outbox != outbox {
                continue;
            }
            // The numbers of one outbox stand here in rising order.
            if entry.id.number > through {
                break;
            }
            if entry.refused.is_some() {
                self.refusing.store(author, outbox, through);
                break;
            }
            let Some(entry) = self.handed[slot].take() else { continue };
            stored.count += 1;
            stored.number = stored.number.max(entry.id.number);
            stored.places.extend(entry.place());
            self.left_through = self.left_through.max(entry.place().unwrap_or(0));
            self.forget_unwritten(&entry);
            self.forget_share(entry.author, entry.len);
            parcels.take_back(entry.message);
        }
        while let Some(None) = self.handed.front() {
            self.handed.pop_front();
        }
        (stored.count > 0).then_some(stored)
    }

    /// The recipient's session is gone: what the disk has is there only, the rest waits to be handed again.
    pub(super) fn session_ended(&mut self) {
        self.loading = None;
        self.exhausted = false;
        self.forget_refused();
        let returned = self.loaded.drain(..);
        let handed: Vec<Entry> = self.handed.drain(..).flatten().chain(returned).collect();
        for entry in handed.into_iter().rev() {
            match entry.state {
                State::Kept(place) => {
                    self.on_disk += 1;
                    self.cursor = self.cursor.min(place - 1);
                }
                _ => self.tail.push_front(entry),
            }
        }
    }

    // To the disk.

    /// The letters that have to be written now, oldest first, each with its place; they are then being written.
    /// Nothing while others are, or shortly after a failure.
    pub(super) fn next_batch(
        &mut self,
        now: Tick,
        away: bool,
        ticket: Ticket,
        place: &mut u64,
    ) -> Vec<Entry> {
        let mut batch = Vec::new();
        if self.memory_only == 0 || self.writing.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return batch;
        }
        let mut bytes = 0;
        for entry in self.handed.iter_mut().flatten().chain(self.tail.iter_mut()) {
            if entry.state != State::Memory {
                continue;
            }
            let due = away
                || self.refusing.letters > 0
                || self.memory_only > MEMORY_ONLY_MAX
                || now.since(entry.since) >= SPILL_AFTER;
            if !due || batch.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                break;
            }
            *place += 1;
            bytes += entry.cost();
            self.memory_only -= entry.cost();
            entry.state = State::Writing(*place);
            if entry.was_handed {
                self.handed_through = *place;
            }
            batch.push(entry.clone());
        }
        self.writing = (!batch.is_empty()).then_some(ticket);
        batch
    }

    /// The batch of this ticket is durable; answers with its letters that are still here.
    pub(super) fn committed(&mut self, ticket: Ticket) -> Vec<(Author, LetterId, u64)> {
        let mut accepted = Vec::new();
        if self.writing != Some(ticket) {
            return accepted;
        }
        (self.writing, self.retry_at) = (None, None);
        for entry in self.handed.iter_mut().flatten() {
            let State::Writing(place) = entry.state else { continue };
            entry.state = State::Kept(place);
            entry.message = Parcel::default();
            self.cursor = self.cursor.max(place);
            self.unwritten -= entry.cost();
            accepted.push((entry.author, entry.id, entry.born));
        }
        while let Some(State::Writing(_)) = self.tail.front().map(|entry| entry.state) {
            let Some(entry) = self.tail.pop_front() else { break };
            self.unwritten -= entry.cost();
            self.on_disk += 1;
            self.exhausted = false;
            accepted.push((entry.author, entry.id, entry.born));
        }
        accepted
    }

    /// The batch of this ticket is not durable. Where the recipient is there its letters wait on; where it is away,
    /// nothing that is in memory only can be kept: answers with all of that.
    pub(super) fn failed(&mut self, now: Tick, ticket: Ticket, away: bool) -> Vec<Entry> {
        if self.writing != Some(ticket) {
            return Vec::new();
        }
        (self.writing, self.retry_at) = (None, Some(now + SPILL_AFTER));
        for entry in self.handed.iter_mut().flatten().chain(self.tail.iter_mut()) {
            if let State::Writing(_) = entry.state {
                (entry.state, entry.since) = (State::Memory, now);
                self.memory_only += entry.cost();
            }
        }
        let refused: Vec<Entry> = if away { self.tail.drain(..).collect() } else { Vec::new() };
        for entry in &refused {
            self.forget_unwritten(entry);
            self.forget_share(entry.author, entry.len);
        }
        refused
    }

    /// Letters of this author here, and bytes of their bodies.
    pub(super) fn held_by(&self, author: Author) -> (usize, usize) {
        self.shares.get(&author).map_or((0, 0), |share| (share.letters, share.bytes))
    }

    /// A letter on disk only is there no longer.
    pub(super) fn expired(&mut self, author: Author, len: usize) {
        self.on_disk = self.on_disk.saturating_sub(1);
        self.forget_share(author, len);
    }

    /// A letter that was delivered is on the disk all the same. If an earlier process delivered it, it is counted still; if
    /// this one did, it has left.
    pub(super) fn was_left(&mut self, place: u64, author: Author, len: usize) {
        if place > self.left_through && place <= self.found_through {
            self.left_through = place;
            self.expired(author, len);
        }
    }

    /// As [`Queue::expired`] of a letter of which nothing else is known: its author's share keeps it until the relay ends.
    pub(super) fn lost(&mut self) {
        self.on_disk = self.on_disk.saturating_sub(1);
        self.total.remove(0);
    }

    /// More is in memory only than may be.
    pub(super) fn is_too_big(&self) -> bool {
        self.memory_only > MEMORY_ONLY_MAX
    }

    /// Whether a letter of this author is here.
    pub(super) fn has_letters_of(&self, author: Author) -> bool {
        self.shares.get(&author).is_some_and(|share| share.letters > 0)
    }

    /// Whether any letter is here.
    pub(super) fn has_mail(&self) -> bool {
        self.total.letters > 0
    }

    /// Whether the letter at this place was in a session of its recipient, or may have been in one of an earlier process.
    pub(super) fn may_have_arrived(&self, place: u64) -> bool {
        place <= self.handed_through
    }

    /// Whether the letter at this place is in memory too.
    pub(super) fn holds(&self, place: u64) -> bool {
        // Of the tail only the first letters have a place: those of the batch that is being written.
        let tail = self.tail.iter().take_while(|entry| entry.place().is_some());
        let here = self.handed.iter().flatten().chain(&self.loaded).chain(tail);
        place <= self.cursor && here.into_iter().any(|entry| entry.place() == Some(place))
    }

    /// Whether the letter at this place, which the disk has, is there only. If not it is in memory too, or has left: then
    /// what takes it off the disk is on its way, or failed.
    pub(super) fn is_on_disk_only(&self, place: u64) -> bool {
        place > self.cursor
    }

    /// Whether rows are awaited that were asked for by this ticket.
    pub(super) fn awaits(&self, ticket: Ticket) -> bool {
        self.loading == Some(ticket)
    }

    /// When letters will have waited for their recipient for long enough.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if self.memory_only == 0 || self.writing.is_some() {
            return None;
        }
        let here = self.handed.iter().flatten().chain(&self.tail);
        let oldest = here.into_iter().find(|entry| entry.state == State::Memory)?;
        let due = oldest.since + SPILL_AFTER;
        Some(self.retry_at.map_or(due, |at| at.max(due)))
    }

    /// How many letters are in memory only, in memory and being written, and on disk only.
    #[cfg(test)]
    fn whereabouts(&self) -> (usize, usize, usize) {
        let here = || self.handed.iter().flatten().chain(&self.loaded).chain(&self.tail);
        let memory = here().filter(|e| e.state == State::Memory).count();
        (memory, here().filter(|e| matches!(e.state, State::Writing(_))).count(), self.on_disk)
    }

    fn forget_unwritten(&mut self, entry: &Entry) {
        match entry.state {
            State::Memory => {
                self.memory_only -= entry.cost();
                self.unwritten -= entry.cost();
            }
            State::Writing(_) => self.unwritten -= entry.cost(),
            State::Kept(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
