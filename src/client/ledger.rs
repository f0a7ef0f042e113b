//! What this program has been given already: for each sender and outbox, the last letter it took.
//!
//! From it come three answers: whether a letter is new, how many before it are missing, and what to tell the relay is
//! stored.

use std::collections::BTreeMap;

use crate::base::{LetterId, Name, OutboxId};

/// Senders' outboxes remembered, about 150 bytes each. Above it the one unheard for longest is forgotten: a letter of
/// it that comes a second time would be shown a second time.
const OUTBOXES_MAX: usize = 65_536;

/// Of them, those of one sender: one for each machine it ever wrote from. Above it that sender's own are forgotten, so
/// that nobody can make us forget what another has sent.
const OUTBOXES_OF_ONE_MAX: usize = 64;

/// What a letter is to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not here before; so many between the last one and it never came.
    New { missing: u64 },
    /// It was here before.
    Before,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    last: u64,
    heard: u64,
    owes_stored: bool,
}

/// The ledger of one relay.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: BTreeMap<(Name, OutboxId), Row>,
    by_age: BTreeMap<u64, (Name, OutboxId)>,
    clock: u64,
    owing: Vec<(Name, OutboxId)>,
}

impl Ledger {
    /// Takes a letter in; either way the relay is owed a `stored`.
    pub(super) fn take(&mut self, from: &Name, id: LetterId, prev: u64) -> Seen {
        let key = (from.clone(), id.outbox);
        let known = self.rows.contains_key(&key);
        if !known {
            self.make_room(from);
        }
        self.clock += 1;
        let row = self.rows.entry(key.clone()).or_default();
        if known {
            self.by_age.remove(&row.heard);
        }
        row.heard = self.clock;
        self.by_age.insert(self.clock, key.clone());
        if !std::mem::replace(&mut row.owes_stored, true) {
            self.owing.push(key);
        }
        if id.number <= row.last {
            return Seen::Before;
        }
        let missing = if known { prev.saturating_sub(row.last) } else { 0 };
        row.last = id.number;
        Seen::New { missing }
    }

    /// A `stored` the relay is owed: whose letters, and through which number. [`Ledger::paid`] when it was sent.
    pub(super) fn next_stored(&self) -> Option<(&Name, OutboxId, u64)> {
        let key = self.owing.last()?;
        Some((&key.0, key.1, self.rows.get(key)?.last))
    }

    /// The `stored` of [`Ledger::next_stored`] was sent.
    pub(super) fn paid(&mut self) {
        if let Some(row) = self.owing.pop().and_then(|key| self.rows.get_mut(&key)) {
            row.owes_stored = false;
        }
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
            self.owing.retain(|owed| *owed != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(ledger: &mut Ledger, outbox: u64, number: u64, prev: u64) -> Seen {
        ledger.take(&"TOM".parse().unwrap(), LetterId { outbox: OutboxId(outbox), number }, prev)
    }

    #[test]
    fn a_letter_is_new_once_and_gaps_are_counted() {
        let mut ledger = Ledger::default();
        assert_eq!(
            take(&mut ledger, 1, 5, 4),
            Seen::New { missing: 0 },
            "nothing is known of what came before"
        );
        assert_eq!(take(&mut ledger, 1, 5, 4), Seen::Before);
        assert_eq!(take(&mut ledger, 1, 6, 5), Seen::New { missing: 0 });
        assert_eq!(take(&mut ledger, 1, 9, 8), Seen::New { missing: 2 });
        assert_eq!(take(&mut ledger, 1, 12, 9), Seen::New { missing: 0 }, "10 and 11 were refused");
        assert_eq!(take(&mut ledger, 1, 7, 6), Seen::Before);
        assert_eq!(take(&mut ledger, 2, 1, 0), Seen::New { missing: 0 });
        assert_eq!(take(&mut ledger, 1, u64::MAX, u64::MAX), Seen::New { missing: u64::MAX - 12 });
    }

    #[test]
    fn many_letters_owe_one_stored() {
        let mut ledger = Ledger::default();
        for number in 1..=9 {
            take(&mut ledger, 1, number, number - 1);
        }
        assert_eq!(ledger.next_stored().map(|s| s.2), Some(9));
        ledger.paid();
        assert!(ledger.next_stored().is_none());
        take(&mut ledger, 1, 9, 8);
        assert_eq!(ledger.next_stored().map(|s| s.2), Some(9), "a repeated letter is answered again");
    }

    #[test]
    fn the_ledger_is_bounded_and_forgets_the_oldest() {
        let mut ledger = Ledger::default();
        let take = |ledger: &mut Ledger, sender: usize| {
            let from = format!("{sender}").parse().unwrap();
            let seen = ledger.take(&from, LetterId { outbox: OutboxId(1), number: 1 }, 0);
            ledger.paid();
            seen
        };
        (0..=OUTBOXES_MAX).for_each(|sender| assert_eq!(take(&mut ledger, sender), Seen::New { missing: 0 }));
        assert_eq!(ledger.rows.len(), OUTBOXES_MAX);
        assert_eq!(take(&mut ledger, 1), Seen::Before);
        assert_eq!(take(&mut ledger, 0), Seen::New { missing: 0 });
    }

    #[test]
    fn one_sender_with_many_outboxes_makes_nobody_forget_what_another_has_sent() {
        let mut ledger = Ledger::default();
        let jack = "JACK".parse().unwrap();
        ledger.take(&jack, LetterId { outbox: OutboxId(1), number: 1 }, 0);
        for outbox in 0..=OUTBOXES_MAX as u64 {
            take(&mut ledger, outbox, 1, 0);
        }
        assert_eq!((ledger.rows.len(), ledger.by_age.len()), (OUTBOXES_OF_ONE_MAX + 1, ledger.rows.len()));
        assert_eq!(ledger.owing.len(), ledger.rows.len(), "what is forgotten owes nothing");
        assert_eq!(ledger.take(&jack, LetterId { outbox: OutboxId(1), number: 1 }, 0), Seen::Before);
        assert_eq!(take(&mut ledger, OUTBOXES_MAX as u64, 1, 0), Seen::Before);
    }
}
