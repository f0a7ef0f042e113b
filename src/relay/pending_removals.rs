//! Letters whose refusal is being persisted, by flow, and the letters stored behind them.
//!
//! A delivered watermark would cover a refused letter too. It therefore stays before the first of
//! them until that refusal is durable, so that a crash cannot leave one without the other.

use std::collections::{BTreeMap, BTreeSet};

use super::mailbox::StoredThrough;

#[derive(Debug, Default)]
struct FlowRemovals {
    /// Numbers of letters whose refusal is being persisted.
    numbers: BTreeSet<u64>,
    /// Letters that the recipient has stored in the meantime.
    stored: StoredThrough,
}

/// Flows of one sender with refusals being persisted. Bounded by [`super::limits::SENT_MAX`]
/// letters for each recipient that refuses some.
#[derive(Debug)]
pub(super) struct PendingRemovals<K> {
    flows: BTreeMap<K, FlowRemovals>,
}

impl<K> Default for PendingRemovals<K> {
    fn default() -> PendingRemovals<K> {
        PendingRemovals::new()
    }
}

impl<K> PendingRemovals<K> {
    pub(super) const fn new() -> PendingRemovals<K> {
        PendingRemovals { flows: BTreeMap::new() }
    }

    /// Whether no refusal is being persisted.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

impl<K: Ord + Copy> PendingRemovals<K> {
    /// Records a refusal that is not durable yet.
    pub(super) fn begin(&mut self, flow: K, number: u64) {
        self.flows.entry(flow).or_default().numbers.insert(number);
    }

    /// Records that the recipient has stored every letter up to `through` that it has not refused.
    /// Returns the part that counts immediately; the rest is remembered.
    pub(super) fn store(&mut self, flow: K, through: StoredThrough) -> StoredThrough {
        let Some(flow) = self.flows.get_mut(&flow) else { return through };
        let Some(first) = flow.numbers.first().copied().filter(|first| *first <= through.number) else {
            return through;
        };
        flow.stored = flow.stored.and(through);
        StoredThrough { number: first.saturating_sub(1), ..through }
    }

    /// Ends the wait for a refusal, which is durable. Returns the letters stored in the meantime,
    /// which count from here on.
    pub(super) fn end(&mut self, flow: K, number: u64) -> Option<StoredThrough> {
        let waiting = self.flows.get_mut(&flow)?;
        waiting.numbers.remove(&number);
        let stored = waiting.stored;
        if waiting.numbers.is_empty() {
            self.flows.remove(&flow);
        }
        (stored.number > 0).then_some(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_letters_wait_for_refusals_before_them() {
        struct All(PendingRemovals<char>);
        impl All {
            fn store(&mut self, flow: char, number: u64) -> u64 {
                self.0.store(flow, StoredThrough { number, ..StoredThrough::default() }).number
            }
            fn end(&mut self, flow: char, number: u64) -> Option<u64> {
                self.0.end(flow, number).map(|through| through.number)
            }
            fn begin(&mut self, flow: char, number: u64) {
                self.0.begin(flow, number);
            }
        }
        let mut leaving = All(PendingRemovals::new());
        assert_eq!(leaving.store('a', 9), 9, "nothing leaves");
        leaving.begin('a', 3);
        leaving.begin('a', 5);
        assert_eq!(leaving.store('a', 2), 2);
        assert_eq!(leaving.store('b', 7), 7);
        assert_eq!(leaving.store('a', 6), 2);
        assert_eq!(leaving.end('a', 3), Some(6));
        assert_eq!(leaving.store('a', 6), 4, "the second is not durable");
        assert_eq!(leaving.end('a', 5), Some(6));
        assert!(leaving.0.is_empty() && leaving.end('a', 5).is_none());
        assert_eq!(leaving.store('a', 6), 6);
    }
}
