//! Letters refused by this recipient that may come again, and the refusals to be sent to the relay.
//!
//! A `stored` covers every earlier letter of its session that was not refused in it. Refusals are
//! therefore sent before it. A refused letter that comes again in a later session is refused again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{Name, OutboxId};
use crate::wire::limits::REFUSALS_REMEMBERED;
use crate::wire::message::Reason;

type Key = (Name, OutboxId);

/// Refused letters of one relay: the last [`REFUSALS_REMEMBERED`].
#[derive(Debug, Default)]
pub(super) struct Declined {
    flows: BTreeMap<Key, BTreeMap<u64, Reason>>,
    order: VecDeque<(Key, u64)>,
    unsent: BTreeSet<(Key, u64)>,
}

impl Declined {
    /// Restores a refusal of an earlier run, the oldest first.
    pub(super) fn restore(&mut self, key: Key, number: u64, reason: Reason) {
        if self.flows.entry(key.clone()).or_default().insert(number, reason).is_some() {
            return;
        }
        self.order.push_back((key, number));
        if self.order.len() > REFUSALS_REMEMBERED {
            self.forget_oldest();
        }
    }

    /// Adds a durable refusal and queues it for the relay.
    pub(super) fn add(&mut self, key: Key, number: u64, reason: Reason) {
        self.restore(key.clone(), number, reason);
        self.unsent.insert((key, number));
    }

    /// Whether this letter was refused before. If so, the refusal is queued again.
    pub(super) fn repeat(&mut self, key: &Key, number: u64) -> bool {
        let repeats = self.flows.get(key).is_some_and(|numbers| numbers.contains_key(&number));
        if repeats {
            self.unsent.insert((key.clone(), number));
        }
        repeats
    }

    /// Whether no refusal is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Returns the next refusal to send: sender, outbox, number, and reason.
    /// [`Declined::mark_sent`] follows once it is sent.
    pub(super) fn next(&self) -> Option<(&Name, OutboxId, u64, Reason)> {
        let (key, number) = self.unsent.first()?;
        let reason = *self.flows.get(key)?.get(number)?;
        Some((&key.0, key.1, *number, reason))
    }

    /// Removes the refusal of [`Declined::next`], which was sent.
    pub(super) fn mark_sent(&mut self) {
        self.unsent.pop_first();
    }

    fn forget_oldest(&mut self) {
        let Some((key, number)) = self.order.pop_front() else { return };
        if let Some(numbers) = self.flows.get_mut(&key) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.flows.remove(&key);
            }
        }
        self.unsent.remove(&(key, number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(outbox: u64) -> Key {
        ("TOM".parse().unwrap(), OutboxId(outbox))
    }

    fn unsent(declined: &mut Declined) -> Vec<(u64, u64)> {
        let mut unsent = Vec::new();
        while let Some((_, outbox, number, reason)) = declined.next() {
            assert_eq!(reason, Reason::Full);
            unsent.push((outbox.0, number));
            declined.mark_sent();
        }
        unsent
    }

    #[test]
    fn refusal_is_sent_once_and_again_if_letter_is_repeated() {
        let mut declined = Declined::default();
        declined.add(key(1), 7, Reason::Full);
        assert_eq!(unsent(&mut declined), [(1, 7)]);
        assert!(!declined.repeat(&key(1), 8) && !declined.repeat(&key(2), 7));
        assert!(declined.repeat(&key(1), 7) && declined.repeat(&key(1), 7));
        assert_eq!(unsent(&mut declined), [(1, 7)]);
    }

    #[test]
    fn oldest_refusal_is_dropped_at_limit() {
        let mut declined = Declined::default();
        (0..=REFUSALS_REMEMBERED as u64)
            .for_each(|number| declined.add(key(number % 3), number, Reason::Full));
        assert!(!declined.repeat(&key(0), 0) && declined.repeat(&key(1), 1));
        assert_eq!(unsent(&mut declined).len(), REFUSALS_REMEMBERED);
        assert_eq!(declined.order.len(), REFUSALS_REMEMBERED);
    }
}
