//! What this member has been given already: for each sender and outbox, the last letter taken, stored and seen.
//!
//! From it come four answers: whether a letter is new, how many before it are missing, and what to tell the relay is
//! stored, and what is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{LetterId, Mark, Name, OutboxId};
use crate::wire::limits::REFUSALS_REMEMBERED;

use super::declined::Declined;
use super::kept::{KeptSender, OUTBOXES_OF_ONE_MAX};

/// Senders' outboxes remembered, about 150 bytes each. Above it the one unheard for longest is forgotten: a letter of
/// it that comes a second time would be shown a second time, though it stands in the history once.
const OUTBOXES_MAX: usize = 65_536;
/// Watermarks of what was read that are told again in each new session, newest first: the last session may have ended
/// before the relay had them.
const READS_RETOLD_MAX: usize = 256;

/// What a letter is to this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not here before; so many between the last one, `after`, and it never came.
    New { missing: u64, after: u64 },
    /// It was here before.
    Before,
    /// An old copy of its sender's outbox has numbered it: it is refused. `is_first`: that is new.
    OldCopy { is_first: bool },
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// The last letter that came, the last that is durable, the last that was seen.
    taken: u64,
    /// The marks under which the last one that came and the last durable one were numbered.
    taken_mark: Mark,
    stored_mark: Mark,
    /// From this mark on letters are an old copy's; and whether that is durable.
    closed: Option<Mark>,
    is_closed: bool,
    stored: u64,
    read: u64,
    heard: u64,
    owes_stored: bool,
    owes_read: bool,
}

type Key = (Name, OutboxId);

/// The ledger of one relay.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: BTreeMap<Key, Row>,
    by_age: BTreeMap<u64, Key>,
    clock: u64,
    owing_stored: Vec<Key>,
    owing_read: Vec<Key>,
    /// Letters of old copies whose refusal the relay is owed, at most [`REFUSALS_REMEMBERED`].
    old_copies: BTreeSet<(Key, u64)>,
    /// Refused letters.
    pub(super) declined: Declined,
}

impl Ledger {
    /// Takes over what an earlier run left; the senders unheard for longest come first.
    pub(super) fn restore(&mut self, from: Name, outbox: OutboxId, kept: KeptSender) {
        let row = self.touch(&(from, outbox));
        (row.taken, row.stored, row.read) = (kept.last, kept.last, kept.read);
        (row.taken_mark, row.stored_mark) = (kept.mark, kept.mark);
        (row.closed, row.is_closed) = (kept.closed, kept.closed.is_some());
    }

    /// Takes a letter in. One that is durable already is owed a `stored` again.
    pub(super) fn take(&mut self, from: &Name, id: LetterId, prev: u64, mark: Mark) -> Seen {
        let key = (from.clone(), id.outbox);
        if let Some(is_first) = self.is_old(&key, id.number, mark) {
            // What there is no room for comes again in the next session.
            if self.old_copies.len() < REFUSALS_REMEMBERED {
                self.old_copies.insert((key, id.number));
            }
            return Seen::OldCopy { is_first };
        }
        if !self.declined.is_empty() && self.declined.repeats(&key, id.number) {
            return Seen::Before;
        }
        let known = self.rows.contains_key(&key);
        let row = self.touch(&key);
        if id.number <= row.taken {
            if row.stored > 0 && !std::mem::replace(&mut row.owes_stored, true) {
                self.owing_stored.push(key);
            }
            return Seen::Before;
        }
        let missing = if known { prev.saturating_sub(row.taken) } else { 0 };
        let after = std::mem::replace(&mut row.taken, id.number);
        row.taken_mark = mark;
        Seen::New { missing, after }
    }

    /// Whether an old copy has numbered this letter: its number was used under a lower mark, or a
    /// letter before it was an old copy's; and whether it is the first of them.
    fn is_old(&mut self, key: &Key, number: u64, mark: Mark) -> Option<bool> {
        let row = self.rows.get_mut(key)?;
        if row.closed.is_some_and(|closed| mark >= closed) {
            return Some(false);
        }
        let is_old = number <= row.taken && mark > row.taken_mark;
        if is_old {
            (row.closed, row.is_closed) = (Some(mark), false);
        }
        is_old.then_some(true)
    }

    /// It is durable that no more is taken of an old copy.
    pub(super) fn closed(&mut self, from: &Name, outbox: OutboxId) {
        if let Some(row) = self.rows.get_mut(&(from.clone(), outbox)) {
            row.is_closed = true;
        }
    }

    /// A letter of an old copy whose refusal the relay is owed. [`Ledger::paid_old_copy`] when it
    /// was said.
    pub(super) fn next_old_copy(&self) -> Option<(&Name, LetterId)> {
        let is_due = |(key, _): &&(Key, u64)| self.rows.get(key).is_none_or(|row| row.is_closed);
        let (key, number) = self.old_copies.iter().find(is_due)?;
        Some((&key.0, LetterId { outbox: key.1, number: *number }))
    }

    /// The refusal of [`Ledger::next_old_copy`] was said.
    pub(super) fn paid_old_copy(&mut self) {
        let next = self.next_old_copy().map(|(from, id)| ((from.clone(), id.outbox), id.number));
        next.iter().for_each(|next| _ = self.old_copies.remove(next));
    }

    /// A letter is durable: the relay is owed a `stored`.
    pub(super) fn stored(&mut self, from: &Name, id: LetterId, mark: Mark) {
        let key = (from.clone(), id.outbox);
        let Some(row) = self.rows.get_mut(&key) else { return };
        if row.stored < id.number {
            (row.stored, row.stored_mark) = (id.number, mark);
        }
        if !std::mem::replace(&mut row.owes_stored, true) {
            self.owing_stored.push(key);
        }
    }

    /// A letter was seen: the relay is owed a `read`.
    pub(super) fn read(&mut self, from: &Name, id: LetterId) {
        let key = (from.clone(), id.outbox);
        let Some(row) = self.rows.get_mut(&key).filter(|row| row.read < id.number) else { return };
        row.read = id.number;
        self.owe_read(key);
    }

    /// A new session knows nothing of what the last one was told of late. Senders who are not told
    /// what was read push out none of the others.
    pub(super) fn session_begun(&mut self, knows: impl Fn(&Name) -> bool) {
        self.declined.session_begun();
        let newest = self.by_age.values().rev().filter(|key| knows(&key.0)).take(READS_RETOLD_MAX);
        let seen = newest.filter(|key| self.rows.get(*key).is_some_and(|row| row.read > 0));
        for key in seen.cloned().collect::<Vec<_>>() {
            self.owe_read(key);
        }
    }

    /// What was seen of the letters of these senders was not told, and is from now on.
    pub(super) fn tell_read(&mut self, of: impl Fn(&Name) -> bool) {
        let seen = self.rows.iter().filter(|(key, row)| row.read > 0 && of(&key.0));
        for key in seen.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.owe_read(key);
        }
    }

    /// Makes the relay be owed, before the `stored` of [`Ledger::next_stored`], what was refused of
    /// those letters.
    pub(super) fn before_stored(&mut self) {
        if let (false, Some(key)) = (self.declined.is_empty(), self.owing_stored.last()) {
            self.declined.before_stored(key);
        }
    }

    /// A `stored` the relay is owed: whose letters, and through which number and mark.
    /// [`Ledger::paid_stored`] when it was sent.
    pub(super) fn next_stored(&self) -> Option<(&Name, OutboxId, (u64, Mark))> {
        let key = self.owing_stored.last()?;
        let row = self.rows.get(key)?;
        Some((&key.0, key.1, (row.stored, row.stored_mark)))
    }

    /// The `stored` of [`Ledger::next_stored`] was sent.
    pub(super) fn paid_stored(&mut self) {
        if let Some(row) = self.owing_stored.pop().and_then(|key| self.rows.get_mut(&key)) {
            row.owes_stored = false;
        }
    }

    /// A `read` the relay is owed, as [`Ledger::next_stored`].
    pub(super) fn next_read(&self) -> Option<(&Name, OutboxId, u64)> {
        let key = self.owing_read.last()?;
        Some((&key.0, key.1, self.rows.get(key)?.read))
    }

    /// The `read` of [`Ledger::next_read`] was sent.
    pub(super) fn paid_read(&mut self) {
        if let Some(row) = self.owing_read.pop().and_then(|key| self.rows.get_mut(&key)) {
            row.owes_read = false;
        }
    }

    fn owe_read(&mut self, key: Key) {
        let row = self.rows.get_mut(&key).expect("the caller has found it there");
        if !std::mem::replace(&mut row.owes_read, true) {
            self.owing_read.push(key);
        }
    }

    /// The row of `key`, now the newest; the oldest gives way to a new one at the bounds.
    fn touch(&mut self, key: &Key) -> &mut Row {
        match self.rows.get(key).map(|row| row.heard) {
            Some(heard) if heard == self.clock => {
                return self.rows.get_mut(key).expect("it was there just now");
            }
            Some(heard) => {
                self.by_age.remove(&heard);
            }
            None => self.make_room(&key.0),
        }
        self.clock += 1;
        self.by_age.insert(self.clock, key.clone());
        let row = self.rows.entry(key.clone()).or_default();
        row.heard = self.clock;
        row
    }

    fn make_room(&mut self, from: &Name) {
        let bounds = (from.clone(), OutboxId(0))..=(from.clone(), OutboxId(u64::MAX));
        let theirs = || self.rows.range(bounds.clone()).map(|(_, row)| row.heard);
        let oldest = match theirs().count() {
            OUTBOXES_OF_ONE_MAX.. => theirs().min(),
            _ if self.rows.len() >= OUTBOXES_MAX => self.by_age.keys().next().copied(),
            _ => None,
        };
        if let Some(key) = oldest.and_then(|heard| self.by_age.remove(&heard)) {
            self.rows.remove(&key);
            self.owing_stored.retain(|owed| *owed != key);
            self.owing_read.retain(|owed| *owed != key);
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

    fn take(ledger: &mut Ledger, outbox: u64, number: u64, prev: u64) -> Option<u64> {
        match ledger.take(&tom(), id(outbox, number), prev, Mark(0)) {
            Seen::New { missing, .. } => Some(missing),
            Seen::Before | Seen::OldCopy { .. } => None,
        }
    }

    #[test]
    fn a_letter_is_new_once_and_gaps_are_counted() {
        let mut ledger = Ledger::default();
        assert_eq!(take(&mut ledger, 1, 5, 4), Some(0), "nothing is known of what came before");
        assert_eq!(take(&mut ledger, 1, 5, 4), None);
        assert_eq!(take(&mut ledger, 1, 6, 5), Some(0));
        assert_eq!(take(&mut ledger, 1, 9, 8), Some(2));
        assert_eq!(take(&mut ledger, 1, 12, 9), Some(0), "10 and 11 were refused");
        assert_eq!(take(&mut ledger, 1, 7, 6), None);
        assert_eq!(take(&mut ledger, 2, 1, 0), Some(0));
        assert_eq!(take(&mut ledger, 1, u64::MAX, u64::MAX), Some(u64::MAX - 12));
    }

    #[test]
    fn nothing_is_told_as_stored_before_it_is_durable() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(&tom(), id(1, 1), 0, Mark(0)), Seen::New { missing: 0, after: 0 });
        assert_eq!(ledger.take(&tom(), id(1, 2), 1, Mark(0)), Seen::New { missing: 0, after: 1 });
        assert_eq!(ledger.take(&tom(), id(1, 2), 1, Mark(0)), Seen::Before, "it is on its way to the disk");
        assert!(ledger.next_stored().is_none());
        ledger.stored(&tom(), id(1, 1), Mark(0));
        assert_eq!(ledger.next_stored().map(|s| s.2.0), Some(1));
        ledger.stored(&tom(), id(1, 2), Mark(0));
        assert_eq!(ledger.next_stored().map(|s| s.2.0), Some(2), "many letters owe one");
        ledger.paid_stored();
        assert!(ledger.next_stored().is_none());
        take(&mut ledger, 1, 2, 1);
        assert_eq!(ledger.next_stored().map(|s| s.2.0), Some(2), "a repeated letter is answered again");
    }

    #[test]
    fn what_was_read_is_told_once_and_again_in_a_new_session() {
        let mut ledger = Ledger::default();
        ledger.restore(
            tom(),
            OutboxId(1),
            KeptSender { last: 7, read: 5, heard: 1, ..KeptSender::default() },
        );
        assert_eq!(take(&mut ledger, 1, 7, 6), None, "an earlier run stored it");
        assert!(ledger.next_read().is_none());
        ledger.read(&tom(), id(1, 7));
        ledger.read(&tom(), id(1, 6));
        assert_eq!(ledger.next_read().map(|r| r.2), Some(7));
        ledger.paid_read();
        assert!(ledger.next_read().is_none());
        ledger.session_begun(|_| false);
        assert!(ledger.next_read().is_none());
        ledger.session_begun(|_| true);
        assert_eq!(ledger.next_read().map(|r| r.2), Some(7));
        ledger.paid_read();
        ledger.tell_read(|from| from.as_str() == "JACK");
        assert!(ledger.next_read().is_none());
        ledger.tell_read(|from| *from == tom());
        assert_eq!(ledger.next_read().map(|r| r.2), Some(7));
    }

    #[test]
    fn the_ledger_is_bounded_and_forgets_the_oldest() {
        let mut ledger = Ledger::default();
        let take = |ledger: &mut Ledger, sender: usize| {
            let from = format!("{sender}").parse().unwrap();
            ledger.take(&from, id(1, 1), 0, Mark(0))
        };
        let new = Seen::New { missing: 0, after: 0 };
        (0..=OUTBOXES_MAX).for_each(|sender| assert_eq!(take(&mut ledger, sender), new));
        assert_eq!(ledger.rows.len(), OUTBOXES_MAX);
        assert_eq!(take(&mut ledger, 1), Seen::Before);
        assert_eq!(take(&mut ledger, 0), new);
    }

    #[test]
    fn one_sender_with_many_outboxes_makes_nobody_forget_what_another_has_sent() {
        let mut ledger = Ledger::default();
        let jack = "JACK".parse().unwrap();
        ledger.take(&jack, id(1, 1), 0, Mark(0));
        ledger.stored(&jack, id(1, 1), Mark(0));
        for outbox in 0..=OUTBOXES_MAX as u64 {
            take(&mut ledger, outbox, 1, 0);
            ledger.stored(&tom(), id(outbox, 1), Mark(0));
        }
        assert_eq!((ledger.rows.len(), ledger.by_age.len()), (OUTBOXES_OF_ONE_MAX + 1, ledger.rows.len()));
        assert_eq!(ledger.owing_stored.len(), ledger.rows.len(), "what is forgotten owes nothing");
        assert_eq!(ledger.take(&jack, id(1, 1), 0, Mark(0)), Seen::Before);
        assert_eq!(take(&mut ledger, OUTBOXES_MAX as u64, 1, 0), None);
    }

    /// Whatever a relay hands over, and however little it reads.
    #[test]
    fn refusals_of_an_old_copy_are_bounded() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(&tom(), id(1, 1), 0, Mark(1)), Seen::New { missing: 0, after: 0 });
        for number in 1..=2 * REFUSALS_REMEMBERED as u64 {
            let seen = ledger.take(&tom(), id(1, number), number - 1, Mark(2));
            assert_eq!(seen, Seen::OldCopy { is_first: number == 1 });
        }
        assert_eq!(ledger.old_copies.len(), REFUSALS_REMEMBERED);
    }
}
