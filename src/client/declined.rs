//! Letters that this reader refused, as long as they may come again, and what the relay is owed of
//! that.
//!
//! A `stored` counts for every letter before it that was not refused in the same session. So those
//! that are remembered of a conversation are said before the first `stored` of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{Name, OutboxId};
use crate::wire::limits::REFUSALS_REMEMBERED;
use crate::wire::message::Reason;

type Key = (Name, OutboxId);

#[derive(Debug, Default)]
struct Flow {
    numbers: BTreeMap<u64, Reason>,
    /// This session has heard of all of them, or is owed it.
    is_said: bool,
}

/// Refused letters of one relay: the last [`REFUSALS_REMEMBERED`].
#[derive(Debug, Default)]
pub(super) struct Declined {
    flows: BTreeMap<Key, Flow>,
    order: VecDeque<(Key, u64)>,
    owing: BTreeSet<(Key, u64)>,
}

impl Declined {
    /// Takes over a refusal of an earlier run; the oldest comes first.
    pub(super) fn restore(&mut self, key: Key, number: u64, reason: Reason) {
        if self.flows.entry(key.clone()).or_default().numbers.insert(number, reason).is_some() {
            return;
        }
        self.order.push_back((key, number));
        if self.order.len() > REFUSALS_REMEMBERED {
            self.forget_oldest();
        }
    }

    /// A refusal is durable: the relay is owed it.
    pub(super) fn add(&mut self, key: Key, number: u64, reason: Reason) {
        self.restore(key.clone(), number, reason);
        self.owing.insert((key, number));
    }

    /// Whether this letter was refused when it came before; then the relay is owed that again.
    pub(super) fn repeats(&mut self, key: &Key, number: u64) -> bool {
        let repeats = self.flows.get(key).is_some_and(|flow| flow.numbers.contains_key(&number));
        if repeats {
            self.owing.insert((key.clone(), number));
        }
        repeats
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// A new session knows of no refusal. What is owed stays so: a letter may come, and be refused
    /// again, before the welcome does, which is on another stream.
    pub(super) fn session_begun(&mut self) {
        self.flows.values_mut().for_each(|flow| flow.is_said = false);
    }

    /// A `stored` of this conversation is about to be said.
    pub(super) fn before_stored(&mut self, key: &Key) {
        let Some(flow) = self.flows.get_mut(key).filter(|flow| !flow.is_said) else { return };
        flow.is_said = true;
        self.owing.extend(flow.numbers.keys().map(|number| (key.clone(), *number)));
    }

    /// A refusal the relay is owed: whose letter, its number, why. [`Declined::paid`] when it was
    /// said.
    pub(super) fn next(&self) -> Option<(&Name, OutboxId, u64, Reason)> {
        let (key, number) = self.owing.first()?;
        let reason = *self.flows.get(key)?.numbers.get(number)?;
        Some((&key.0, key.1, *number, reason))
    }

    /// The refusal of [`Declined::next`] was said.
    pub(super) fn paid(&mut self) {
        self.owing.pop_first();
    }

    fn forget_oldest(&mut self) {
        let Some((key, number)) = self.order.pop_front() else { return };
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.numbers.remove(&number);
            if flow.numbers.is_empty() {
                self.flows.remove(&key);
            }
        }
        self.owing.remove(&(key, number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(outbox: u64) -> Key {
        ("TOM".parse().unwrap(), OutboxId(outbox))
    }

    fn owed(declined: &mut Declined) -> Vec<(u64, u64)> {
        let mut owed = Vec::new();
        while let Some((_, outbox, number, reason)) = declined.next() {
            assert_eq!(reason, Reason::Full);
            owed.push((outbox.0, number));
            declined.paid();
        }
        owed
    }

    #[test]
    fn a_refusal_is_said_once_and_again_when_its_letter_comes_again() {
        let mut declined = Declined::default();
        declined.add(key(1), 7, Reason::Full);
        assert_eq!(owed(&mut declined), [(1, 7)]);
        assert!(!declined.repeats(&key(1), 8) && !declined.repeats(&key(2), 7));
        assert!(declined.repeats(&key(1), 7) && declined.repeats(&key(1), 7));
        assert_eq!(owed(&mut declined), [(1, 7)]);
    }

    #[test]
    fn a_new_session_hears_of_refusals_before_a_stored() {
        let mut declined = Declined::default();
        declined.restore(key(1), 7, Reason::Full);
        declined.restore(key(2), 9, Reason::Full);
        declined.session_begun();
        assert_eq!(owed(&mut declined), []);
        declined.before_stored(&key(1));
        assert_eq!(owed(&mut declined), [(1, 7)]);
        declined.before_stored(&key(1));
        assert_eq!(owed(&mut declined), [], "once in a session");
        declined.session_begun();
        declined.before_stored(&key(1));
        assert_eq!(owed(&mut declined), [(1, 7)]);
    }

    /// A delivery overtakes the welcome of its session.
    #[test]
    fn refusal_of_a_letter_before_the_welcome_stays_owed() {
        let mut declined = Declined::default();
        declined.restore(key(1), 7, Reason::Full);
        assert!(declined.repeats(&key(1), 7));
        declined.session_begun();
        assert_eq!(owed(&mut declined), [(1, 7)]);
    }

    #[test]
    fn the_oldest_refusal_is_forgotten_at_the_bound() {
        let mut declined = Declined::default();
        (0..=REFUSALS_REMEMBERED as u64)
            .for_each(|number| declined.add(key(number % 3), number, Reason::Full));
        assert!(!declined.repeats(&key(0), 0) && declined.repeats(&key(1), 1));
        assert_eq!(owed(&mut declined).len(), REFUSALS_REMEMBERED);
        assert_eq!(declined.order.len(), REFUSALS_REMEMBERED);
    }
}
