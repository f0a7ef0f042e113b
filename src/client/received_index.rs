//! Deduplication index: the last letter received, stored, and read, for each sender and outbox.
//!
//! It decides whether a letter is new and how many before it are missing. It queues the `stored`
//! and `read` receipts for the relay.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{LetterId, Mark, Name, OutboxId};
use crate::wire::limits::REFUSALS_REMEMBERED;

use super::declined::Declined;
use super::persisted::{OUTBOXES_OF_ONE_MAX, PersistedSender};

/// Maximum senders' outboxes, about 150 bytes each. Beyond it the least recently used one is
/// dropped. A repeated letter of that one would be shown twice, though it is in the history once.
const OUTBOXES_MAX: usize = 65_536;
/// Maximum `read` watermarks sent again in each new session, the newest first. The last session may
/// have ended before the relay received them.
const READS_RESENT_MAX: usize = 256;

/// Result of the check of an incoming letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DedupResult {
    /// Not received before. `missing` letters between `after`, the last one, and this one never
    /// came.
    New { missing: u64, after: u64 },
    /// Received before.
    Duplicate,
    /// An old copy of its sender's outbox numbered it, so it is refused. `is_first`: the copy was
    /// not known.
    OldCopy { is_first: bool },
}

#[derive(Clone, Copy, Debug, Default)]
struct SenderProgress {
    /// Number of the last letter received.
    taken: u64,
    /// Mark of the last letter received.
    taken_mark: Mark,
    /// Mark of the last durable letter.
    stored_mark: Mark,
    /// From this mark on, letters belong to an old copy.
    closed: Option<Mark>,
    /// `closed` is durable.
    is_closed: bool,
    stored: u64,
    read: u64,
    /// Number and mark of the last letter delivered in session `delivered_in`.
    delivered: (u64, Mark),
    delivered_in: u32,
    /// Key of this row in `by_age`.
    age_key: u64,
    stored_unsent: bool,
    read_unsent: bool,
}

type Key = (Name, OutboxId);

/// The index for one relay.
#[derive(Debug, Default)]
pub(super) struct ReceivedIndex {
    senders: BTreeMap<Key, SenderProgress>,
    by_age: BTreeMap<u64, Key>,
    clock: u64,
    /// Number of sessions so far.
    session: u32,
    unsent_stored: Vec<Key>,
    unsent_read: Vec<Key>,
    /// Refusals of old copies' letters to be sent to the relay, at most [`REFUSALS_REMEMBERED`].
    old_copies: BTreeSet<(Key, u64)>,
    /// Refused letters.
    pub(super) declined: Declined,
}

impl ReceivedIndex {
    /// Restores a row of an earlier run. The least recently used ones are restored first.
    pub(super) fn restore(&mut self, from: Name, outbox: OutboxId, persisted: PersistedSender) {
        let row = self.touch(&(from, outbox));
        row.taken = persisted.last;
        row.stored = persisted.last;
        row.read = persisted.read;
        row.taken_mark = persisted.mark;
        row.stored_mark = persisted.mark;
        row.closed = persisted.closed;
        row.is_closed = persisted.closed.is_some();
    }

    /// Checks an incoming letter. If it is durable already, the relay gets `stored` again.
    pub(super) fn take(&mut self, from: &Name, id: LetterId, prev: u64, mark: Mark) -> DedupResult {
        let key = (from.clone(), id.outbox);
        if let Some(is_first) = self.is_old(&key, id.number, mark) {
            // Others are repeated in the next session.
            if self.old_copies.len() < REFUSALS_REMEMBERED {
                self.old_copies.insert((key, id.number));
            }
            return DedupResult::OldCopy { is_first };
        }
        if !self.declined.is_empty() && self.declined.repeat(&key, id.number) {
            return DedupResult::Duplicate;
        }
        let is_known = self.senders.contains_key(&key);
        let session = self.session;
        let row = self.touch(&key);
        if row.delivered_in != session || row.delivered < (id.number, mark) {
            row.delivered = (id.number, mark);
            row.delivered_in = session;
        }
        if id.number <= row.taken {
            if row.stored > 0 && !std::mem::replace(&mut row.stored_unsent, true) {
                self.unsent_stored.push(key);
            }
            return DedupResult::Duplicate;
        }
        let missing = if is_known { prev.saturating_sub(row.taken) } else { 0 };
        let after = std::mem::replace(&mut row.taken, id.number);
        row.taken_mark = mark;
        DedupResult::New { missing, after }
    }

    /// Whether an old copy numbered this letter. The result is `Some(true)` for the first such
    /// letter.
    ///
    /// Either its number was used under a lower mark, or a letter before it has a higher mark, or a
    /// letter before it was an old copy's.
    fn is_old(&mut self, key: &Key, number: u64, mark: Mark) -> Option<bool> {
        let row = self.senders.get_mut(key)?;
        if row.closed.is_some_and(|closed| mark >= closed) {
            return Some(false);
        }
        let is_old = if number <= row.taken { mark > row.taken_mark } else { mark < row.taken_mark };
        if is_old {
            row.closed = Some(mark);
            row.is_closed = false;
        }
        is_old.then_some(true)
    }

    /// Records that the refusal of an old copy's letters is durable.
    pub(super) fn record_closed(&mut self, from: &Name, outbox: OutboxId) {
        if let Some(row) = self.senders.get_mut(&(from.clone(), outbox)) {
            row.is_closed = true;
        }
    }

    /// Returns the next letter of an old copy whose refusal must be sent.
    /// [`ReceivedIndex::mark_old_copy_sent`] follows once it is sent.
    pub(super) fn next_old_copy(&self) -> Option<(&Name, LetterId)> {
        let is_due = |(key, _): &&(Key, u64)| self.senders.get(key).is_none_or(|row| row.is_closed);
        let (key, number) = self.old_copies.iter().find(is_due)?;
        Some((&key.0, LetterId { outbox: key.1, number: *number }))
    }

    /// Removes the refusal of [`ReceivedIndex::next_old_copy`], which was sent.
    pub(super) fn mark_old_copy_sent(&mut self) {
        let next = self.next_old_copy().map(|(from, id)| ((from.clone(), id.outbox), id.number));
        next.iter().for_each(|next| _ = self.old_copies.remove(next));
    }

    /// Records that a letter is durable, and queues a `stored`.
    pub(super) fn record_stored(&mut self, from: &Name, id: LetterId, mark: Mark) {
        let key = (from.clone(), id.outbox);
        let Some(row) = self.senders.get_mut(&key) else { return };
        if row.stored < id.number {
            row.stored = id.number;
            row.stored_mark = mark;
        }
        // After the loss of its session, the letter comes again.
        if row.delivered_in == self.session && !std::mem::replace(&mut row.stored_unsent, true) {
            self.unsent_stored.push(key);
        }
    }

    /// Records that a letter was read, and queues a `read`.
    pub(super) fn record_read(&mut self, from: &Name, id: LetterId) {
        let key = (from.clone(), id.outbox);
        let Some(row) = self.senders.get_mut(&key).filter(|row| row.read < id.number) else { return };
        row.read = id.number;
        self.queue_read(key);
    }

    /// Begins a session: `stored` reports nothing that was delivered only in an earlier one.
    pub(super) fn begin_session(&mut self) {
        self.session += 1;
        for key in self.unsent_stored.drain(..) {
            if let Some(row) = self.senders.get_mut(&key) {
                row.stored_unsent = false;
            }
        }
    }

    /// Queues the latest `read` receipts again for a new session. Senders that the user does not
    /// know get none and do not count.
    pub(super) fn handle_welcome(&mut self, knows: impl Fn(&Name) -> bool) {
        let newest = self.by_age.values().rev().filter(|key| knows(&key.0)).take(READS_RESENT_MAX);
        let read = newest.filter(|key| self.senders.get(*key).is_some_and(|row| row.read > 0));
        for key in read.cloned().collect::<Vec<_>>() {
            self.queue_read(key);
        }
    }

    /// Queues `read` receipts for these senders, which got none so far.
    pub(super) fn queue_reads(&mut self, of: impl Fn(&Name) -> bool) {
        let read = self.senders.iter().filter(|(key, row)| row.read > 0 && of(&key.0));
        for key in read.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.queue_read(key);
        }
    }

    /// Returns the next `stored` to send: sender, outbox, number and mark.
    /// [`ReceivedIndex::mark_stored_sent`] follows once it is sent.
    ///
    /// It covers only letters delivered in this session. At the end of a session the relay forgets
    /// which letters were refused in it, and delivers them again. A `stored` that covers such a
    /// letter before it comes would report it as delivered.
    pub(super) fn next_stored(&self) -> Option<(&Name, OutboxId, (u64, Mark))> {
        let key = self.unsent_stored.last()?;
        let row = self.senders.get(key)?;
        let stored = (row.stored, row.stored_mark);
        Some((&key.0, key.1, stored.min(row.delivered)))
    }

    /// Removes the `stored` of [`ReceivedIndex::next_stored`], which was sent.
    pub(super) fn mark_stored_sent(&mut self) {
        if let Some(row) = self.unsent_stored.pop().and_then(|key| self.senders.get_mut(&key)) {
            row.stored_unsent = false;
        }
    }

    /// Returns the next `read` to send; see [`ReceivedIndex::next_stored`].
    pub(super) fn next_read(&self) -> Option<(&Name, OutboxId, u64)> {
        let key = self.unsent_read.last()?;
        Some((&key.0, key.1, self.senders.get(key)?.read))
    }

    /// Removes the `read` of [`ReceivedIndex::next_read`], which was sent.
    pub(super) fn mark_read_sent(&mut self) {
        if let Some(row) = self.unsent_read.pop().and_then(|key| self.senders.get_mut(&key)) {
            row.read_unsent = false;
        }
    }

    /// Queues a `read`, unless one is queued already.
    fn queue_read(&mut self, key: Key) {
        let row = self.senders.get_mut(&key).expect("the caller has found it there");
        if !std::mem::replace(&mut row.read_unsent, true) {
            self.unsent_read.push(key);
        }
    }

    /// Returns the row of `key` and makes it the newest. At the bounds the oldest row is dropped.
    fn touch(&mut self, key: &Key) -> &mut SenderProgress {
        match self.senders.get(key).map(|row| row.age_key) {
            Some(age_key) if age_key == self.clock => {
                return self.senders.get_mut(key).expect("it was there just now");
            }
            Some(age_key) => {
                self.by_age.remove(&age_key);
            }
            None => self.make_room(&key.0),
        }
        self.clock += 1;
        self.by_age.insert(self.clock, key.clone());
        let row = self.senders.entry(key.clone()).or_default();
        row.age_key = self.clock;
        row
    }

    fn make_room(&mut self, from: &Name) {
        let bounds = (from.clone(), OutboxId(0))..=(from.clone(), OutboxId(u64::MAX));
        let age_keys = || self.senders.range(bounds.clone()).map(|(_, row)| row.age_key);
        let oldest = match age_keys().count() {
            OUTBOXES_OF_ONE_MAX.. => age_keys().min(),
            _ if self.senders.len() >= OUTBOXES_MAX => self.by_age.keys().next().copied(),
            _ => None,
        };
        if let Some(key) = oldest.and_then(|age_key| self.by_age.remove(&age_key)) {
            self.senders.remove(&key);
            self.unsent_stored.retain(|unsent| *unsent != key);
            self.unsent_read.retain(|unsent| *unsent != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(outbox: u64, number: u64) -> LetterId {
        LetterId { outbox: OutboxId(outbox), number }
    }

    fn tom() -> Name {
        "TOM".parse().unwrap()
    }

    fn take(index: &mut ReceivedIndex, outbox: u64, number: u64, prev: u64) -> Option<u64> {
        match index.take(&tom(), id(outbox, number), prev, Mark(0)) {
            DedupResult::New { missing, .. } => Some(missing),
            DedupResult::Duplicate | DedupResult::OldCopy { .. } => None,
        }
    }

    #[test]
    fn letter_is_new_once_and_gaps_are_counted() {
        let mut index = ReceivedIndex::default();
        assert_eq!(take(&mut index, 1, 5, 4), Some(0), "earlier letters are unknown");
        assert_eq!(take(&mut index, 1, 5, 4), None);
        assert_eq!(take(&mut index, 1, 6, 5), Some(0));
        assert_eq!(take(&mut index, 1, 9, 8), Some(2));
        assert_eq!(take(&mut index, 1, 12, 9), Some(0), "10 and 11 were refused");
        assert_eq!(take(&mut index, 1, 7, 6), None);
        assert_eq!(take(&mut index, 2, 1, 0), Some(0));
        assert_eq!(take(&mut index, 1, u64::MAX, u64::MAX), Some(u64::MAX - 12));
    }

    #[test]
    fn stored_is_sent_only_for_durable_letters() {
        let mut index = ReceivedIndex::default();
        assert_eq!(index.take(&tom(), id(1, 1), 0, Mark(0)), DedupResult::New { missing: 0, after: 0 });
        assert_eq!(index.take(&tom(), id(1, 2), 1, Mark(0)), DedupResult::New { missing: 0, after: 1 });
        assert_eq!(index.take(&tom(), id(1, 2), 1, Mark(0)), DedupResult::Duplicate, "its record is pending");
        assert!(index.next_stored().is_none());
        index.record_stored(&tom(), id(1, 1), Mark(0));
        assert_eq!(index.next_stored().map(|s| s.2.0), Some(1));
        index.record_stored(&tom(), id(1, 2), Mark(0));
        assert_eq!(index.next_stored().map(|s| s.2.0), Some(2), "one `stored` covers several letters");
        index.mark_stored_sent();
        assert!(index.next_stored().is_none());
        take(&mut index, 1, 2, 1);
        assert_eq!(index.next_stored().map(|s| s.2.0), Some(2), "a repeated letter is answered again");
    }

    #[test]
    fn stored_covers_only_letters_of_its_session() {
        let mut index = ReceivedIndex::default();
        for number in 1..=4 {
            take(&mut index, 1, number, number - 1);
        }
        for number in 1..=3 {
            index.record_stored(&tom(), id(1, number), Mark(0));
        }
        index.begin_session();
        index.record_stored(&tom(), id(1, 4), Mark(0));
        assert!(index.next_stored().is_none(), "nothing was delivered in this session");
        take(&mut index, 1, 2, 1);
        assert_eq!(index.next_stored().map(|s| s.2.0), Some(2), "3 may have been refused");
        take(&mut index, 1, 4, 2);
        assert_eq!(index.next_stored().map(|s| s.2.0), Some(4));
    }

    #[test]
    fn read_is_sent_once_and_again_in_new_session() {
        let mut index = ReceivedIndex::default();
        index.restore(
            tom(),
            OutboxId(1),
            PersistedSender { last: 7, read: 5, last_received: 1, ..PersistedSender::default() },
        );
        assert_eq!(take(&mut index, 1, 7, 6), None, "an earlier run stored it");
        assert!(index.next_read().is_none());
        index.record_read(&tom(), id(1, 7));
        index.record_read(&tom(), id(1, 6));
        assert_eq!(index.next_read().map(|r| r.2), Some(7));
        index.mark_read_sent();
        assert!(index.next_read().is_none());
        index.handle_welcome(|_| false);
        assert!(index.next_read().is_none());
        index.handle_welcome(|_| true);
        assert_eq!(index.next_read().map(|r| r.2), Some(7));
        index.mark_read_sent();
        index.queue_reads(|from| from.as_str() == "JACK");
        assert!(index.next_read().is_none());
        index.queue_reads(|from| *from == tom());
        assert_eq!(index.next_read().map(|r| r.2), Some(7));
    }

    #[test]
    fn index_is_bounded_and_drops_oldest_row() {
        let mut index = ReceivedIndex::default();
        let take = |index: &mut ReceivedIndex, sender: usize| {
            let from = format!("{sender}").parse().unwrap();
            index.take(&from, id(1, 1), 0, Mark(0))
        };
        let new = DedupResult::New { missing: 0, after: 0 };
        (0..=OUTBOXES_MAX).for_each(|sender| assert_eq!(take(&mut index, sender), new));
        assert_eq!(index.senders.len(), OUTBOXES_MAX);
        assert_eq!(take(&mut index, 1), DedupResult::Duplicate);
        assert_eq!(take(&mut index, 0), new);
    }

    #[test]
    fn sender_with_many_outboxes_displaces_only_its_own() {
        let mut index = ReceivedIndex::default();
        let jack = "JACK".parse().unwrap();
        index.take(&jack, id(1, 1), 0, Mark(0));
        index.record_stored(&jack, id(1, 1), Mark(0));
        for outbox in 0..=OUTBOXES_MAX as u64 {
            take(&mut index, outbox, 1, 0);
            index.record_stored(&tom(), id(outbox, 1), Mark(0));
        }
        assert_eq!(index.senders.len(), OUTBOXES_OF_ONE_MAX + 1);
        assert_eq!(index.by_age.len(), index.senders.len());
        assert_eq!(index.unsent_stored.len(), index.senders.len(), "dropped rows owe nothing");
        assert_eq!(index.take(&jack, id(1, 1), 0, Mark(0)), DedupResult::Duplicate);
        assert_eq!(take(&mut index, OUTBOXES_MAX as u64, 1, 0), None);
    }

    /// Otherwise a report of the second letter would not cover the first one at the relay, and both
    /// would keep their places among the letters on their way.
    #[test]
    fn letter_with_lower_mark_than_before_is_refused() {
        let mut index = ReceivedIndex::default();
        let mut take = |number, mark| index.take(&tom(), id(1, number), number - 1, Mark(mark));
        assert_eq!(take(1, 7), DedupResult::New { missing: 0, after: 0 });
        assert_eq!(take(2, 6), DedupResult::OldCopy { is_first: true });
        assert_eq!(take(1, 7), DedupResult::OldCopy { is_first: false });
    }

    /// A hostile relay delivers any number of letters, and reads as little as it likes.
    #[test]
    fn refusals_of_old_copy_are_bounded() {
        let mut index = ReceivedIndex::default();
        assert_eq!(index.take(&tom(), id(1, 1), 0, Mark(1)), DedupResult::New { missing: 0, after: 0 });
        for number in 1..=2 * REFUSALS_REMEMBERED as u64 {
            let result = index.take(&tom(), id(1, number), number - 1, Mark(2));
            assert_eq!(result, DedupResult::OldCopy { is_first: number == 1 });
        }
        assert_eq!(index.old_copies.len(), REFUSALS_REMEMBERED);
    }
}
