//! The mailbox of one recipient: its letters in memory and on disk, those of each sender in the
//! order in which they came. It does no I/O: `mailbox_storage` loads and writes.
//!
//! ```text
//! sent | loaded | on disk only | tail
//!       (front)
//!           lanes, one for each sender: on disk | fresh
//! ```
//!
//! *Sent* letters are in the recipient's session and not stored by it yet. *Loaded* ones come from
//! the disk or from a lane, and go next. Of those *on disk only*, only their count is known here.
//! The *tail* is in memory, and new letters are appended to it. Letters at the front that their
//! sender's pace does not allow yet wait in a lane of their sender: see [`lanes`].
//!
//! Letters of one sender are written oldest first, one batch at a time, and the next batch waits
//! for the commit. A letter is therefore never durable before an earlier one of its sender, and a
//! failed write leaves no hole. Once committed, a letter leaves memory unless it is sent or loaded.
//! Those leave it once they are stored, or when the session ends.
//!
//! Bounds: [`Limits`](super::limits::Limits) for memory and disk together, for each mailbox and for
//! all mailboxes together; `UNWRITTEN_MAX` bytes not yet on disk; [`SENT_MAX`] sent.

mod capacity;
mod entry;
mod lanes;
mod refusing;
mod usages;

use std::collections::VecDeque;

use crate::base::{OutboxId, Tick, Ticket, empty_value};

use super::buffer_pool::{BufferPool, SharedBytes};
use super::limits::{BATCH_BYTES, BATCH_LETTERS, MEMORY_ONLY_MAX, SENT_MAX, SPILL_AFTER};
use super::pace::Pace;
use capacity::SenderUsage;
pub(super) use capacity::{MailboxUsage, SenderClass};
use entry::EntryState;
pub(super) use entry::{AcceptedLetter, MailboxEntry, Sender, StoredResult, StoredThrough};
use lanes::{DissolvedLanes, Lanes};
use refusing::Refusing;
use usages::SenderUsages;

/// Rows to load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowsToLoad {
    /// Rows after this sequence number.
    After(u64),
    /// Rows of letters that waited for their sender's pace.
    At(Vec<u64>),
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// `None`: a letter that was stored or removed, behind one that is still here.
    sent: VecDeque<Option<MailboxEntry>>,
    /// Letters in `sent` that the recipient refuses.
    refusing: Refusing,
    /// Letters from the disk and from lanes that go next.
    loaded: VecDeque<MailboxEntry>,
    lanes: Lanes,
    /// Number of letters on disk only and in no lane. Their sequence numbers are above `cursor`.
    on_disk: usize,
    cursor: u64,
    /// Highest sequence number of a letter that was sent to its recipient, or may have been.
    sent_through: u64,
    /// Whether a load found nothing after `cursor`, even if `on_disk` is not 0.
    exhausted: bool,
    tail: VecDeque<MailboxEntry>,
    writing: Option<Ticket>,
    loading: Option<Ticket>,
    /// After a failed write, the time of the next attempt.
    retry_at: Option<Tick>,
    /// Cost of letters in memory only.
    memory_only: usize,
    /// Cost of all letters not on disk: these and those being written.
    unwritten: usize,
    total: SenderUsage,
    usages: SenderUsages,
    /// The usage that is included in the total of all mailboxes: see [`MailboxUsage::update`].
    counted: MailboxUsage,
    /// Changes of senders' cost that [`Mailbox::next_usage_change`] has not returned yet.
    usage_changes: Vec<(Sender, isize)>,
    /// Time from which every sender has a full burst; [`Mailbox::clear_pacing`] resets it to zero.
    paced_until: Tick,
    /// Time of the last letter sent while pacing was enabled.
    last_sent_at: Tick,
    /// Usage entries above which an empty mailbox drops those of senders with a full burst.
    usages_max: usize,
    /// Time of this mailbox's entry in the relay's deadlines.
    pub(super) scheduled: Option<Tick>,
}

empty_value!(
    Mailbox,
    Mailbox {
        sent: VecDeque::new(),
        refusing: Refusing::new(),
        loaded: VecDeque::new(),
        lanes: Lanes::EMPTY,
        on_disk: 0,
        cursor: 0,
        sent_through: 0,
        exhausted: false,
        tail: VecDeque::new(),
        writing: None,
        loading: None,
        retry_at: None,
        memory_only: 0,
        unwritten: 0,
        total: SenderUsage::EMPTY,
        usages: SenderUsages::EMPTY,
        counted: MailboxUsage::EMPTY,
        usage_changes: Vec::new(),
        paced_until: Tick::ZERO,
        last_sent_at: Tick::ZERO,
        usages_max: 0,
        scheduled: None,
    },
    Mailbox::is_unused
);

impl Mailbox {
    /// Whether the mailbox has no letters, no pending write or load, and no deadline.
    fn is_unused(&self) -> bool {
        let counted = self.counted == MailboxUsage::EMPTY && self.usage_changes.is_empty();
        let empty = self.total.letters == 0 && self.on_disk == 0 && counted;
        empty
            && (self.sent.is_empty() && self.loaded.is_empty() && self.tail.is_empty())
            && self.refusing.is_empty()
            && self.lanes.is_empty()
            && self.paced_until == Tick::ZERO
            && (self.unwritten, self.retry_at, self.scheduled) == (0, None, None)
            && (self.writing, self.loading) == (None, None)
    }

    /// Restores the counts of letters on disk, with sequence numbers up to `through`.
    ///
    /// The previous process may have sent these letters, and a suspended recipient may still
    /// receive its packets. They count as possibly sent.
    pub(super) fn restore_counts(&mut self, sender: Sender, letters: usize, bytes: usize, through: u64) {
        self.on_disk += letters;
        self.sent_through = self.sent_through.max(through);
        self.add_usage(sender, letters, bytes);
    }

    /// Appends a letter for which [`Mailbox::check_capacity`] has found space.
    pub(super) fn push(&mut self, entry: MailboxEntry) {
        self.add_new(entry.sender, entry.len);
        self.tail.push_back(entry);
    }

    // Sending to the recipient.

    /// Whether letters wait that were not sent, in memory or on disk.
    pub(super) fn has_waiting(&self) -> bool {
        let in_memory = !self.tail.is_empty() || !self.loaded.is_empty() || !self.lanes.is_empty();
        in_memory || self.on_disk > 0
    }

    /// Returns the letter to send next, if one is in memory and may be sent.
    pub(super) fn next_waiting(&self) -> Option<&MailboxEntry> {
        self.front().filter(|_| self.may_send())
    }

    /// Whether one more letter may be sent.
    fn may_send(&self) -> bool {
        self.sent.len() + self.refusing.being_removed < SENT_MAX
    }

    fn front(&self) -> Option<&MailboxEntry> {
        let tail = || self.tail.front().filter(|_| self.on_disk == 0 || self.exhausted);
        self.loaded.front().or_else(tail)
    }

    fn pop_next(&mut self) -> Option<MailboxEntry> {
        self.loaded.pop_front().or_else(|| self.tail.pop_front())
    }

    /// Marks the letter of [`Mailbox::next_waiting`] as sent.
    pub(super) fn mark_sent(&mut self, now: Tick, pace: Option<Pace>) {
        let Some(mut entry) = self.pop_next() else { return };
        entry.was_sent_before = self.may_have_been_sent(&entry);
        entry.was_sent = true;
        if let Some(pace) = pace {
            self.spend(&entry, now, pace);
        }
        self.sent_through = self.sent_through.max(entry.seq().unwrap_or(0));
        if let EntryState::OnDisk(_) = entry.state {
            entry.message = SharedBytes::default();
        }
        self.sent.push_back(Some(entry));
    }

    /// Removes the letter of [`Mailbox::next_waiting`], which is refused: its sender is blocked, or
    /// its recipient was removed.
    pub(super) fn take_next(&mut self) -> Option<MailboxEntry> {
        let entry = self.pop_next()?;
        self.subtract(&entry);
        Some(entry)
    }

    /// Returns the rows to load now, if any. Then call [`Mailbox::mark_loading`].
    pub(super) fn rows_to_load(&mut self, now: Tick, pace: Option<Pace>) -> Option<RowsToLoad> {
        if !self.loaded.is_empty() || self.loading.is_some() || !self.may_send() {
            return None;
        }
        let lane_rows = self.lane_rows_to_load(now, pace);
        lane_rows.or_else(|| self.wants_more().then_some(RowsToLoad::After(self.cursor)))
    }

    /// Whether the disk has letters after `cursor`.
    fn wants_more(&self) -> bool {
        self.on_disk > 0 && !self.exhausted
    }

    /// Records the request for the rows of [`Mailbox::rows_to_load`].
    pub(super) fn mark_loading(&mut self, ticket: Ticket) {
        self.loading = Some(ticket);
    }

    /// Appends loaded rows. Returns `false` if the load was cancelled.
    ///
    /// `through` is the last row examined, `removal` the ticket of a pending removal of the next
    /// row.
    pub(super) fn append_loaded(
        &mut self,
        ticket: Ticket,
        through: Option<u64>,
        removal: Option<Ticket>,
        mut entries: Vec<MailboxEntry>,
    ) -> bool {
        // Reply to an earlier load: the session it was for has ended.
        if self.loading != Some(ticket) {
            return false;
        }
        // The row after `through` is being removed. Load no further before that ticket is answered.
        self.loading = removal;
        if self.append_loaded_lane(through, removal.is_some(), &mut entries) {
            return true;
        }
        match through {
            // Nothing after `cursor` is on disk, unless that removal is still pending.
            None => self.exhausted = removal.is_none(),
            Some(through) => self.cursor = self.cursor.max(through),
        }
        self.on_disk = self.on_disk.saturating_sub(entries.len());
        self.loaded.extend(entries);
        true
    }

    /// Cancels a load that failed.
    pub(super) fn cancel_load(&mut self, ticket: Ticket) {
        if self.loading == Some(ticket) {
            self.loading = None;
            self.cancel_lane_load();
        }
    }

    /// Removes every sent letter of this outbox up to `through`, which the recipient has stored.
    /// Returns `None` if there is no such letter.
    pub(super) fn remove_stored(
        &mut self,
        sender: Sender,
        outbox: OutboxId,
        through: StoredThrough,
        buffers: &mut BufferPool,
    ) -> Option<StoredResult> {
        let through = self.stored_before_refused(sender, outbox, through);
        let mut stored = StoredResult::default();
        let mut bytes = 0;
        let mut unwritten = 0;
        for slot in &mut self.sent {
            let Some(entry) = slot else { continue };
            if entry.sender != sender || entry.id.outbox != outbox {
                continue;
            }
            // Within `sent`, the numbers and marks of one outbox rise.
            if entry.id.number > through.number || entry.mark > through.mark {
                break;
            }
            stored.count += 1;
            stored.highest_number = stored.highest_number.max(entry.id.number);
            stored.seqs.extend(entry.seq());
            let (memory_only, entry_unwritten) = entry.unwritten();
            self.memory_only -= memory_only;
            unwritten += entry_unwritten;
            bytes += entry.len;
            buffers.take_back(std::mem::take(&mut entry.message));
            // Leave a gap: letters of other senders before this one are not stored yet.
            *slot = None;
        }
        self.remove_usage(sender, stored.count as usize, bytes, unwritten);
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
        }
        (stored.count > 0).then_some(stored)
    }

    /// Handles the end of the recipient's session: letters on disk are dropped from memory, the
    /// others wait to be sent again.
    pub(super) fn handle_session_end(&mut self) {
        self.loading = None;
        self.exhausted = false;
        self.forget_refused();
        let DissolvedLanes { on_disk, first_seq, fresh } = self.lanes.dissolve();
        self.on_disk += on_disk;
        self.cursor = first_seq.map_or(self.cursor, |seq| self.cursor.min(seq - 1));
        let returned = self.loaded.drain(..).chain(fresh);
        let mut waiting = Vec::new();
        for entry in self.sent.drain(..).flatten().chain(returned) {
            match entry.state {
                EntryState::OnDisk(seq) => {
                    self.on_disk += 1;
                    self.cursor = self.cursor.min(seq - 1);
                }
                _ => waiting.push(MailboxEntry { released: false, ..entry }),
            }
        }
        if !waiting.is_empty() {
            // A letter from a lane may be in the batch being written under a lower sequence number
            // than a letter that overtook it. Therefore sort: letters being written first, by
            // sequence number. They are the oldest of their senders.
            waiting.extend(self.tail.drain(..));
            waiting.sort_by_key(|entry| entry.seq().unwrap_or(u64::MAX));
            self.tail = waiting.into();
        }
    }

    // Writing to disk.

    /// Assigns sequence numbers to the letters to write now, and returns them. Returns none while
    /// others are being written, or shortly after a failure.
    ///
    /// Letters of one sender are written oldest first, and none of the tail while an earlier letter
    /// is in memory only. Letters on disk only and in no lane therefore have higher sequence
    /// numbers than all sent and loaded letters and those in lanes.
    pub(super) fn next_batch(
        &mut self,
        now: Tick,
        is_recipient_offline: bool,
        ticket: Ticket,
        seq: &mut u64,
    ) -> Vec<MailboxEntry> {
        let mut batch = Vec::new();
        if self.memory_only == 0 || self.writing.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return batch;
        }
        let mut bytes = 0;
        let is_refusing = self.refusing.letters > 0;
        let mut memory_only = self.memory_only;
        let mut sent_through = self.sent_through;
        // Returns whether the letter is written or being written.
        let mut write = |entry: &mut MailboxEntry| {
            if entry.state != EntryState::Memory {
                return true;
            }
            let must_write = is_recipient_offline
                || is_refusing
                || memory_only > MEMORY_ONLY_MAX
                || now.since(entry.queued_at) >= SPILL_AFTER;
            if !must_write || batch.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                return false;
            }
            *seq += 1;
            bytes += entry.cost();
            memory_only -= entry.cost();
            entry.state = EntryState::Writing(*seq);
            if entry.was_sent {
                sent_through = *seq;
            }
            batch.push(entry.clone());
            true
        };
        // A letter that waited for its sender's pace may be behind younger letters of other
        // senders, so examine every letter.
        let mut all = true;
        for entry in self.sent.iter_mut().flatten().chain(self.loaded.iter_mut()) {
            all &= write(entry);
        }
        for letters in self.lanes.fresh_mut() {
            all &= letters.iter_mut().all(&mut write);
        }
        if all {
            self.tail.iter_mut().all(&mut write);
        }
        self.memory_only = memory_only;
        self.sent_through = sent_through;
        self.writing = (!batch.is_empty()).then_some(ticket);
        batch
    }

    /// Handles the commit of a batch. Returns its letters that were not removed in the meantime.
    pub(super) fn mark_committed(&mut self, ticket: Ticket) -> Vec<AcceptedLetter> {
        let mut accepted = Vec::new();
        if self.writing != Some(ticket) {
            return accepted;
        }
        self.writing = None;
        self.retry_at = None;
        let mut accept = |entry: &MailboxEntry| {
            self.cursor = self.cursor.max(entry.seq().unwrap_or(0));
            self.unwritten -= entry.cost();
            if let Some(usage) = self.usages.get_mut(entry.sender) {
                usage.unwritten -= entry.cost();
            }
            accepted.push(AcceptedLetter::of(entry));
        };
        let sent = self.sent.iter_mut().flatten().map(|entry| (true, entry));
        for (is_sent, entry) in sent.chain(self.loaded.iter_mut().map(|entry| (false, entry))) {
            let EntryState::Writing(seq) = entry.state else { continue };
            entry.state = EntryState::OnDisk(seq);
            if is_sent {
                entry.message = SharedBytes::default();
            }
            accept(entry);
        }
        self.lanes.mark_committed().iter().for_each(accept);
        while let Some(EntryState::Writing(_)) = self.tail.front().map(|entry| entry.state) {
            let Some(entry) = self.tail.pop_front() else { break };
            self.record_written(entry.sender, entry.cost());
            self.on_disk += 1;
            self.exhausted = false;
            accepted.push(AcceptedLetter::of(&entry));
        }
        accepted
    }

    /// Handles the failure of a batch. If the recipient is online, its letters continue to wait. If
    /// it is offline, letters in memory only cannot be kept: they are removed and returned.
    pub(super) fn mark_commit_failed(
        &mut self,
        now: Tick,
        ticket: Ticket,
        is_recipient_offline: bool,
    ) -> Vec<MailboxEntry> {
        if self.writing != Some(ticket) {
            return Vec::new();
        }
        self.writing = None;
        self.retry_at = Some(now + SPILL_AFTER);
        let waiting = self.loaded.iter_mut().chain(self.lanes.fresh_mut().flatten()).chain(&mut self.tail);
        for entry in self.sent.iter_mut().flatten().chain(waiting) {
            if let EntryState::Writing(_) = entry.state {
                entry.state = EntryState::Memory;
                entry.queued_at = now;
                self.memory_only += entry.cost();
            }
        }
        let mut refused = if is_recipient_offline { self.lanes.drain_fresh() } else { Vec::new() };
        if is_recipient_offline {
            refused.extend(self.tail.drain(..));
        }
        for entry in &refused {
            self.subtract(entry);
        }
        refused
    }

    /// Removes an expired letter, which was on disk only.
    pub(super) fn remove_expired(&mut self, seq: u64, sender: Sender, len: usize) {
        self.remove_from_disk(seq);
        self.remove_letter_usage(sender, len);
    }

    fn remove_from_disk(&mut self, seq: u64) {
        if self.lanes.is_empty() || !self.lanes.remove(seq) {
            self.on_disk = self.on_disk.saturating_sub(1);
        }
    }

    /// As [`Mailbox::remove_expired`], for a letter whose sender is unknown. The bytes of `total`
    /// include it until the relay ends, the usage of its sender until that entry is dropped.
    pub(super) fn remove_unidentified(&mut self, seq: u64) {
        self.remove_from_disk(seq);
        self.total.remove(1, 0);
    }

    /// Whether more than [`MEMORY_ONLY_MAX`] bytes are in memory only.
    pub(super) fn is_above_memory_only_max(&self) -> bool {
        self.memory_only > MEMORY_ONLY_MAX
    }

    /// Whether a letter of this sender is here.
    pub(super) fn has_letters_of(&self, sender: Sender) -> bool {
        self.usages.get(sender).is_some_and(|usage| usage.letters > 0)
    }

    /// Whether any letter is here.
    pub(super) fn has_mail(&self) -> bool {
        self.total.letters > 0
    }

    /// Whether this letter, which is in no lane, was or may have been in a session of its
    /// recipient.
    ///
    /// For a released letter only `was_sent` counts: letters with higher sequence numbers were sent
    /// before it, so `sent_through` shows nothing.
    pub(super) fn may_have_been_sent(&self, entry: &MailboxEntry) -> bool {
        let may_have_been = |seq| !entry.released && seq <= self.sent_through;
        entry.was_sent || entry.seq().is_some_and(may_have_been)
    }

    /// Whether the letter with this sequence number, which is on disk only, was or may have been in
    /// a session of its recipient.
    pub(super) fn may_row_have_been_sent(&self, seq: u64) -> bool {
        self.lanes.may_have_been_sent(seq).unwrap_or(seq <= self.sent_through)
    }

    /// Whether the letter with this sequence number is in memory too.
    pub(super) fn contains(&self, seq: u64) -> bool {
        // In tail and lanes, only the first letters have a sequence number: those being written.
        let tail = self.tail.iter().take_while(|entry| entry.seq().is_some());
        let waiting = self.loaded.iter().chain(self.lanes.being_written()).chain(tail);
        let in_memory = self.sent.iter().flatten().chain(waiting);
        seq <= self.cursor && in_memory.into_iter().any(|entry| entry.seq() == Some(seq))
    }

    /// Whether the letter with this sequence number, which the disk has, is not in memory.
    ///
    /// Otherwise it is in memory too, or its removal from the disk is pending or has failed.
    pub(super) fn is_on_disk_only(&self, seq: u64) -> bool {
        seq > self.cursor || self.lanes.contains(seq)
    }

    /// Whether a load with this ticket is pending.
    pub(super) fn is_waiting_for(&self, ticket: Ticket) -> bool {
        self.loading == Some(ticket)
    }

    /// Returns the time at which letters in memory must be written.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if self.memory_only == 0 || self.writing.is_some() {
            return None;
        }
        let is_memory_only = |entry: &&MailboxEntry| entry.state == EntryState::Memory;
        let before = self.sent.iter().flatten().chain(&self.loaded).chain(self.lanes.fresh());
        let oldest = before.filter(is_memory_only).chain(self.tail.iter().find(is_memory_only));
        let write_at = oldest.map(|entry| entry.queued_at).min()? + SPILL_AFTER;
        Some(self.retry_at.map_or(write_at, |at| at.max(write_at)))
    }

    #[cfg(test)]
    fn location_counts(&self) -> tests::LocationCounts {
        let in_memory =
            || self.sent.iter().flatten().chain(&self.loaded).chain(self.lanes.fresh()).chain(&self.tail);
        let memory_only = in_memory().filter(|e| e.state == EntryState::Memory).count();
        let writing = in_memory().filter(|e| matches!(e.state, EntryState::Writing(_))).count();
        tests::LocationCounts { memory_only, writing, on_disk: self.on_disk }
    }

    /// Subtracts a removed letter from all counts.
    fn subtract(&mut self, entry: &MailboxEntry) {
        let (memory_only, unwritten) = entry.unwritten();
        self.memory_only -= memory_only;
        self.remove_usage(entry.sender, 1, entry.len, unwritten);
    }
}

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod tests;
