//! A set of numbers as sorted, disjoint ranges that never touch.

use std::ops::Range;

use smallvec::SmallVec;

use crate::base::empty_value;

/// Ranges stored without the heap: gaps are rare.
const INLINE: usize = 1;

/// Sorted, disjoint, not touching, not empty ranges. The users bound their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet(SmallVec<[Range<u64>; INLINE]>);

empty_value!(RangeSet, RangeSet::NONE, RangeSet::is_empty);

impl RangeSet {
    /// The empty set.
    pub const NONE: RangeSet = RangeSet(SmallVec::new_const());

    /// Returns the ranges, lowest first.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of ranges.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the count of numbers in all ranges.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Returns the range of the lowest numbers.
    pub fn first(&self) -> Option<Range<u64>> {
        self.0.first().cloned()
    }

    /// Returns the index of the first range that ends at or after `number`.
    fn index_of(&self, number: u64) -> usize {
        match self.0.last() {
            Some(last) if number > last.end => self.0.len(),
            _ => self.0.partition_point(|range| range.end < number),
        }
    }

    /// Whether the set contains `number`.
    #[cfg(test)]
    pub fn contains(&self, number: u64) -> bool {
        self.0.get(self.index_of(number + 1)).is_some_and(|range| range.contains(&number))
    }

    /// Returns the parts of `range` that are in the set, lowest first.
    pub fn overlaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let from = self.index_of(range.start);
        self.0[from..]
            .iter()
            .take_while({
                let end = range.end;
                move |held| held.start < end
            })
            .map(move |held| held.start.max(range.start)..held.end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// Adds `range`.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // The common case: the next number in order.
        if let Some(last) = self.0.last_mut()
            && last.end == range.start
        {
            last.end = range.end;
            return;
        }
        let from = self.index_of(range.start);
        let touching = self.0[from..].iter().take_while(|held| held.start <= range.end).count();
        if touching == 0 {
            self.0.insert(from, range);
            return;
        }
        let last_end = self.0[from + touching - 1].end;
        let merged = &mut self.0[from];
        merged.start = merged.start.min(range.start);
        merged.end = last_end.max(range.end);
        self.0.drain(from + 1..from + touching);
    }

    /// Removes `range`.
    pub fn remove(&mut self, range: Range<u64>) {
        // The common cases: nothing to remove, or the front of the first range.
        match self.0.first_mut() {
            Some(first) if range.end > first.start => {
                if range.start <= first.start && range.end < first.end {
                    first.start = range.end;
                    return;
                }
            }
            _ => return,
        }
        let mut at = self.index_of(range.start);
        while let Some(held) = self.0.get_mut(at) {
            if held.start >= range.end || range.is_empty() {
                return;
            }
            let start = held.start;
            let end = held.end;
            if end <= range.start {
                at += 1;
            } else if start < range.start {
                held.end = range.start;
                if end > range.end {
                    self.0.insert(at + 1, range.end..end);
                }
                at += 1;
            } else if end > range.end {
                held.start = range.end;
            } else {
                self.0.remove(at);
            }
        }
    }

    /// Removes all numbers below `end`.
    pub fn remove_below(&mut self, end: u64) {
        match self.0.iter().take_while(|held| held.end <= end).count() {
            0 => {}
            all if all == self.0.len() => return self.0.clear(),
            some => drop(self.0.drain(..some)),
        }
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.max(end);
        }
    }

    /// Removes the lowest range.
    pub fn remove_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_set_of_single_numbers(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..60, 0_u64..12), 0..60)
        ) {
            let mut ranges = RangeSet::default();
            let mut model = BTreeSet::new();
            for (adds, start, len) in steps {
                let range = start..start + len;
                let inside: Vec<u64> = ranges.overlaps(range.clone()).flatten().collect();
                prop_assert_eq!(inside, model.range(range.clone()).copied().collect::<Vec<_>>());
                if adds {
                    ranges.insert(range.clone());
                    model.extend(range);
                } else if start < 10 {
                    ranges.remove_below(range.end);
                    model.retain(|number| *number >= range.end);
                } else {
                    ranges.remove(range.clone());
                    range.for_each(|number| { model.remove(&number); });
                }
                prop_assert!(ranges.as_slice().iter().all(|held| held.start < held.end));
                prop_assert!(ranges.as_slice().windows(2).all(|two| two[0].end < two[1].start));
                prop_assert_eq!(ranges.total(), model.len() as u64);
                prop_assert!((0..80).all(|number| ranges.contains(number) == model.contains(&number)));
            }
        }
    }
}
