//! One recipient's queue: the letters the relay holds for it, in memory and on disk, in the order they came.
//!
//! ```text
//! handed | loaded | on disk only | tail
//! ```
//!
//! *Handed* letters are in the recipient's session and not yet stored by it; *loaded* ones came back from disk and go
//! next; of those *on disk only* nothing but their number is known here; the *tail* is in memory. New letters go to the
//! end of the tail. Letters are written oldest first, one batch at a time, and the next batch waits for the answer: so
//! a letter is never durable while one of its author before it is not, and a failed write never
//! leaves a hole. What the disk has and the session does not is dropped from memory.
//!
//! Letters that their author's pace does not allow yet leave this order for a lane of their author,
//! until it does: see [`lanes`].
//!
//! Bounds: [`Limits`](super::limits::Limits) for memory and disk together, of each queue and of
//! all; `UNWRITTEN_MAX` bytes not yet on disk; [`HANDED_MAX`] handed.

mod entry;
mod lanes;
mod refusing;
mod room;
mod shares;

use std::collections::VecDeque;

use crate::base::{LetterId, OutboxId, Tick, Ticket, blank};

use super::limits::{BATCH_BYTES, BATCH_LETTERS, HANDED_MAX, MEMORY_ONLY_MAX, SPILL_AFTER};
use super::pace::Pace;
use super::parcels::{Parcel, Parcels};
use entry::State;
pub(super) use entry::{Author, Entry, Through};
use lanes::Lanes;
use refusing::Refusing;
use room::Share;
pub(super) use room::{Sender, Stock};
use shares::Shares;

/// Rows that are to be loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Those behind this place.
    Behind(u64),
    /// Those of letters that waited for their author's pace.
    At(Vec<u64>),
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
    /// Letters among those that the recipient refuses.
    refusing: Refusing,
    /// Letters from the disk, and of lanes, that go next.
    loaded: VecDeque<Entry>,
    lanes: Lanes,
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
    shares: Shares,
    /// As [`Stock`] has it.
    counted: Stock,
    /// Authors whose shares have changed since, with the cost added or removed.
    moved: Vec<(Author, isize)>,
    /// When every author may be handed a whole burst of again, by [`Queue::settle`] the origin.
    paced_until: Tick,
    /// When a letter was handed over last, and how many shares an empty queue may keep.
    handed_at: Tick,
    shares_kept: usize,
    /// When the queue is looked at next.
    pub(super) scheduled: Option<Tick>,
}

blank!(
    Queue,
    Queue {
        handed: VecDeque::new(),
        refusing: Refusing::new(),
        loaded: VecDeque::new(),
        lanes: Lanes::EMPTY,
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
        shares: Shares::EMPTY,
        counted: Stock::EMPTY,
        moved: Vec::new(),
        paced_until: Tick::ZERO,
        handed_at: Tick::ZERO,
        shares_kept: 0,
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
            && self.lanes.is_empty()
            && self.paced_until == Tick::ZERO
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

    /// Appends a letter for which [`Queue::admits`] its sender.
    pub(super) fn push(&mut self, entry: Entry) {
        self.take_new(entry.author, entry.len);
        self.tail.push_back(entry);
    }

    // To the recipient.

    /// Whether letters wait that were not handed over, here or on disk.
    pub(super) fn has_waiting(&self) -> bool {
        let here = !self.tail.is_empty() || !self.loaded.is_empty() || !self.lanes.is_empty();
        here || self.on_disk > 0
    }

    /// The letter to hand over next, if there is one here and another may be handed.
    pub(super) fn next_waiting(&self) -> Option<&Entry> {
        self.front().filter(|_| self.may_hand())
    }

    /// Whether another letter may be handed over.
    fn may_hand(&self) -> bool {
        self.handed.len() + self.refusing.leaving < HANDED_MAX
    }

    fn front(&self) -> Option<&Entry> {
        let tail = || self.tail.front().filter(|_| self.on_disk == 0 || self.exhausted);
        self.loaded.front().or_else(tail)
    }

    fn pop_next(&mut self) -> Option<Entry> {
        self.loaded.pop_front().or_else(|| self.tail.pop_front())
    }

    /// The letter of [`Queue::next_waiting`] was handed over.
    pub(super) fn mark_handed(&mut self, now: Tick, pace: Option<Pace>) {
        let Some(mut entry) = self.pop_next() else { return };
        entry.was_handed_before = self.was_handed(&entry);
        entry.was_handed = true;
        if let Some(pace) = pace {
            self.spend(&entry, now, pace);
        }
        self.handed_through = self.handed_through.max(entry.place().unwrap_or(0));
        if let State::Kept(_) = entry.state {
            entry.message = Parcel::default();
        }
        self.handed.push_back(Some(entry));
    }

    /// Takes out the letter of [`Queue::next_waiting`]: it is not for the recipient.
    pub(super) fn take_next(&mut self) -> Option<Entry> {
        let entry = self.pop_next()?;
        self.left_through = self.left_through.max(entry.place().unwrap_or(0));
        self.forget(&entry);
        Some(entry)
    }

    /// The letters to be loaded now, if any; `mark_loading` when they were asked for.
    pub(super) fn wants_rows(&mut self, now: Tick, pace: Option<Pace>) -> Option<Rows> {
        if !self.loaded.is_empty() || self.loading.is_some() || !self.may_hand() {
            return None;
        }
        let kept = self.wants_kept(now, pace);
        kept.or_else(|| self.wants_more().then_some(Rows::Behind(self.cursor)))
    }

    /// Whether the disk has letters behind `cursor`.
    fn wants_more(&self) -> bool {
        self.on_disk > 0 && !self.exhausted
    }

    /// The letters of [`Queue::wants_rows`] were asked for.
    pub(super) fn mark_loading(&mut self, ticket: Ticket) {
        self.loading = Some(ticket);
    }

    /// They have come, `through` being the last place looked at; the letter behind it may be on its way out, and none is
    /// asked for before that one's ticket is answered. `false` if nobody waits for them any more.
    pub(super) fn loaded(
        &mut self,
        ticket: Ticket,
        (through, leaving): (Option<u64>, Option<Ticket>),
        mut entries: Vec<Entry>,
    ) -> bool {
        if self.loading != Some(ticket) {
            return false;
        }
        self.loading = leaving;
        if self.kept_loaded(through, leaving.is_some(), &mut entries) {
            return true;
        }
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
            self.kept_not_loaded();
        }
    }

    /// The recipient stored every letter of this outbox up to `through`; `None` if this takes none out.
    pub(super) fn stored(
        &mut self,
        author: Author,
        outbox: OutboxId,
        through: Through,
        parcels: &mut Parcels,
    ) -> Option<Stored> {
        let (mut stored, mut bytes, mut unwritten) = (Stored::default(), 0, 0);
        for slot in &mut self.handed {
            let Some(entry) = slot else { continue };
            if entry.author != author || entry.id.outbox != outbox {
                continue;
            }
            // The numbers of one outbox stand here in rising order, and so do their marks.
            if entry.id.number > through.number || entry.mark > through.mark {
                break;
            }
            if entry.refused.is_some() {
                self.refusing.store(author, outbox, through);
                break;
            }
            stored.count += 1;
            stored.number = stored.number.max(entry.id.number);
            stored.places.extend(entry.place());
            self.left_through = self.left_through.max(entry.place().unwrap_or(0));
            let (of_memory, of_both) = entry.unwritten();
            self.memory_only -= of_memory;
            unwritten += of_both;
            bytes += entry.len;
            parcels.take_back(std::mem::take(&mut entry.message));
            *slot = None;
        }
        self.forget_shares(author, stored.count as usize, bytes, unwritten);
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
        let (kept, first, fresh) = self.lanes.dissolve();
        self.on_disk += kept;
        self.cursor = first.map_or(self.cursor, |place| self.cursor.min(place - 1));
        let returned = self.loaded.drain(..).chain(fresh);
        let mut waiting = Vec::new();
        for entry in self.handed.drain(..).flatten().chain(returned) {
            match entry.state {
                State::Kept(place) => {
                    self.on_disk += 1;
                    self.cursor = self.cursor.min(place - 1);
                }
                _ => waiting.push(Entry { released: false, ..entry }),
            }
        }
        if !waiting.is_empty() {
            // A letter that waited in a lane may be written at a lower place than one that has
            // passed it. Those being written come first, in the order of their places; of one
            // author they are the oldest.
            waiting.extend(self.tail.drain(..));
            waiting.sort_by_key(|entry| entry.place().unwrap_or(u64::MAX));
            self.tail = waiting.into();
        }
    }

    // To the disk.

    /// The letters that have to be written now, each with its place; they are then being written.
    /// Nothing while others are, or shortly after a failure.
    ///
    /// Those of one author are written oldest first, and none of the tail while one before it is in
    /// memory only: letters on disk only are then at higher places than all others.
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
        let is_refusing = self.refusing.letters > 0;
        let (mut memory_only, mut handed_through) = (self.memory_only, self.handed_through);
        // Whether the letter is no longer in memory only.
        let mut write = |entry: &mut Entry| {
            if entry.state != State::Memory {
                return true;
            }
            let due =
                away || is_refusing || memory_only > MEMORY_ONLY_MAX || now.since(entry.since) >= SPILL_AFTER;
            if !due || batch.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                return false;
            }
            *place += 1;
            bytes += entry.cost();
            memory_only -= entry.cost();
            entry.state = State::Writing(*place);
            if entry.was_handed {
                handed_through = *place;
            }
            batch.push(entry.clone());
            true
        };
        // A letter that waited for its author's pace may come behind younger ones of others: each
        // is looked at.
        let mut all = true;
        for entry in self.handed.iter_mut().flatten().chain(self.loaded.iter_mut()) {
            all &= write(entry);
        }
        for fresh in self.lanes.fresh_mut() {
            all &= fresh.iter_mut().all(&mut write);
        }
        if all {
            self.tail.iter_mut().all(&mut write);
        }
        (self.memory_only, self.handed_through) = (memory_only, handed_through);
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
        let mut keep = |entry: &Entry| {
            self.cursor = self.cursor.max(entry.place().unwrap_or(0));
            self.unwritten -= entry.cost();
            if let Some(share) = self.shares.get_mut(entry.author) {
                share.unwritten -= entry.cost();
            }
            accepted.push((entry.author, entry.id, entry.born));
        };
        let handed = self.handed.iter_mut().flatten().map(|entry| (true, entry));
        for (is_handed, entry) in handed.chain(self.loaded.iter_mut().map(|entry| (false, entry))) {
            let State::Writing(place) = entry.state else { continue };
            entry.state = State::Kept(place);
            if is_handed {
                entry.message = Parcel::default();
            }
            keep(entry);
        }
        self.lanes.committed().iter().for_each(keep);
        while let Some(State::Writing(_)) = self.tail.front().map(|entry| entry.state) {
            let Some(entry) = self.tail.pop_front() else { break };
            self.note_written(entry.author, entry.cost());
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
        let waiting = self.loaded.iter_mut().chain(self.lanes.fresh_mut().flatten()).chain(&mut self.tail);
        for entry in self.handed.iter_mut().flatten().chain(waiting) {
            if let State::Writing(_) = entry.state {
                (entry.state, entry.since) = (State::Memory, now);
                self.memory_only += entry.cost();
            }
        }
        let mut refused = if away { self.lanes.drain_fresh() } else { Vec::new() };
        if away {
            refused.extend(self.tail.drain(..));
        }
        for entry in &refused {
            self.forget(entry);
        }
        refused
    }

    /// The letter at this place, on disk only, is there no longer.
    pub(super) fn expired(&mut self, place: u64, author: Author, len: usize) {
        self.leave_disk(place);
        self.forget_share(author, len);
    }

    fn leave_disk(&mut self, place: u64) {
        if self.lanes.is_empty() || !self.lanes.remove(place) {
            self.on_disk = self.on_disk.saturating_sub(1);
        }
    }

    /// A letter that was delivered is on the disk all the same. If an earlier process delivered it, it is counted still; if
    /// this one did, it has left.
    pub(super) fn was_left(&mut self, place: u64, author: Author, len: usize) {
        if self.lanes.keeps(place) {
            return self.expired(place, author, len);
        }
        if place > self.left_through && place <= self.found_through {
            self.left_through = place;
            self.expired(place, author, len);
        }
    }

    /// As [`Queue::expired`] of a letter of which nothing else is known: its author's share keeps it until the relay ends.
    pub(super) fn lost(&mut self, place: u64) {
        self.leave_disk(place);
        self.total.remove(1, 0);
    }

    /// More is in memory only than may be.
    pub(super) fn is_too_big(&self) -> bool {
        self.memory_only > MEMORY_ONLY_MAX
    }

    /// Whether a letter of this author is here.
    pub(super) fn has_letters_of(&self, author: Author) -> bool {
        self.shares.get(author).is_some_and(|share| share.letters > 0)
    }

    /// Whether any letter is here.
    pub(super) fn has_mail(&self) -> bool {
        self.total.letters > 0
    }

    /// Whether this letter, which is in no lane, was in a session of its recipient, or may have
    /// been.
    ///
    /// A letter that was released remembers it: since it was set aside, letters at higher places
    /// have passed it.
    pub(super) fn was_handed(&self, entry: &Entry) -> bool {
        let may_have_been = |place| !entry.released && place <= self.handed_through;
        entry.was_handed || entry.place().is_some_and(may_have_been)
    }

    /// Whether the letter at this place, which is on disk only, was in a session of its recipient,
    /// or may have been in one of an earlier process.
    pub(super) fn may_have_arrived(&self, place: u64) -> bool {
        self.lanes.was_handed(place).unwrap_or(place <= self.handed_through)
    }

    /// Whether the letter at this place is in memory too.
    pub(super) fn holds(&self, place: u64) -> bool {
        // Of the tail and the lanes only the first letters have a place: those of the batch that is
        // being written.
        let tail = self.tail.iter().take_while(|entry| entry.place().is_some());
        let waiting = self.loaded.iter().chain(self.lanes.being_written()).chain(tail);
        let here = self.handed.iter().flatten().chain(waiting);
        place <= self.cursor && here.into_iter().any(|entry| entry.place() == Some(place))
    }

    /// Whether the letter at this place, which the disk has, is there only. If not it is in memory too, or has left: then
    /// what takes it off the disk is on its way, or failed.
    pub(super) fn is_on_disk_only(&self, place: u64) -> bool {
        place > self.cursor || self.lanes.keeps(place)
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
        let is_here = |entry: &&Entry| entry.state == State::Memory;
        let before = self.handed.iter().flatten().chain(&self.loaded).chain(self.lanes.fresh());
        let oldest = before.filter(is_here).chain(self.tail.iter().find(is_here));
        let due = oldest.map(|entry| entry.since).min()? + SPILL_AFTER;
        Some(self.retry_at.map_or(due, |at| at.max(due)))
    }

    /// How many letters are in memory only, in memory and being written, and on disk only.
    #[cfg(test)]
    fn whereabouts(&self) -> (usize, usize, usize) {
        let here =
            || self.handed.iter().flatten().chain(&self.loaded).chain(self.lanes.fresh()).chain(&self.tail);
        let memory = here().filter(|e| e.state == State::Memory).count();
        (memory, here().filter(|e| matches!(e.state, State::Writing(_))).count(), self.on_disk)
    }

    /// Everything that was handed over is stored.
    #[cfg(test)]
    fn session_stored_all(&mut self) {
        for entry in std::mem::take(&mut self.handed).into_iter().flatten() {
            self.forget(&entry);
        }
    }

    /// A letter has left: it is in no share.
    fn forget(&mut self, entry: &Entry) {
        let (memory_only, unwritten) = entry.unwritten();
        self.memory_only -= memory_only;
        self.forget_shares(entry.author, 1, entry.len, unwritten);
    }
}

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;
