//! Letters whose refusal is on its way to the disk, by conversation, and what their readers have
//! stored behind them.
//!
//! A watermark of what was delivered would count a refused letter as well. It therefore waits
//! before the first of them until that refusal is durable, so that no crash leaves the one without
//! the other.

use std::collections::{BTreeMap, BTreeSet};

use super::queue::Through;

#[derive(Debug, Default)]
struct Flow {
    /// Numbers of letters that leave.
    numbers: BTreeSet<u64>,
    /// What the reader has stored in the meantime.
    stored: Through,
}

/// The conversations of one author that letters leave. Bounded by [`super::limits::HANDED_MAX`]
/// letters for each reader that refuses some.
#[derive(Debug)]
pub(super) struct Leaving<K> {
    flows: BTreeMap<K, Flow>,
}

impl<K> Default for Leaving<K> {
    fn default() -> Leaving<K> {
        Leaving::new()
    }
}

impl<K> Leaving<K> {
    pub(super) const fn new() -> Leaving<K> {
        Leaving { flows: BTreeMap::new() }
    }

    /// Whether no letter leaves.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

impl<K: Ord + Copy> Leaving<K> {
    /// A letter is refused, which is not durable yet.
    pub(super) fn begin(&mut self, flow: K, number: u64) {
        self.flows.entry(flow).or_default().numbers.insert(number);
    }

    /// The reader has stored every letter up to `through` that it has not refused. Returns up to
    /// which number that counts already; the rest is remembered.
    pub(super) fn store(&mut self, flow: K, through: Through) -> Through {
        let Some(flow) = self.flows.get_mut(&flow) else { return through };
        let Some(first) = flow.numbers.first().copied().filter(|first| *first <= through.number) else {
            return through;
        };
        flow.stored = flow.stored.and(through);
        Through { number: first.saturating_sub(1), ..through }
    }

    /// The refusal of this letter is durable. Returns what the reader has stored in the meantime,
    /// which counts from here on.
    pub(super) fn end(&mut self, flow: K, number: u64) -> Option<Through> {
        let left = self.flows.get_mut(&flow)?;
        left.numbers.remove(&number);
        let stored = left.stored;
        if left.numbers.is_empty() {
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
        struct All(Leaving<char>);
        impl All {
            fn store(&mut self, flow: char, number: u64) -> u64 {
                self.0.store(flow, Through { number, ..Through::default() }).number
            }
            fn end(&mut self, flow: char, number: u64) -> Option<u64> {
                self.0.end(flow, number).map(|through| through.number)
            }
            fn begin(&mut self, flow: char, number: u64) {
                self.0.begin(flow, number);
            }
        }
        let mut leaving = All(Leaving::new());
        assert_eq!(leaving.store('a', 9), 9, "nothing leaves");
        leaving.begin('a', 3);
        leaving.begin('a', 5);
        assert_eq!((leaving.store('a', 2), leaving.store('b', 7)), (2, 7));
        assert_eq!(leaving.store('a', 6), 2);
        assert_eq!(leaving.end('a', 3), Some(6));
        assert_eq!(leaving.store('a', 6), 4, "the second is not durable");
        assert_eq!(leaving.end('a', 5), Some(6));
        assert!(leaving.0.is_empty() && leaving.end('a', 5).is_none());
        assert_eq!(leaving.store('a', 6), 6);
    }
}
