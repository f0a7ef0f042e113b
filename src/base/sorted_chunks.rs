//! A sorted list of many small values, with little memory overhead.
//!
//! A B-tree of two levels, as in Python's sortedcontainers: a list of chunks, each a list of at
//! most [`CHUNK_MAX`] values. A [`std::collections::BTreeSet`] has nodes of at most eleven values,
//! whose headers take as much memory as values of eight bytes. The caller supplies the order, and
//! may look up the object behind a value for it.

use std::cmp::Ordering;

/// Maximum values in one chunk.
///
/// An insertion moves the values of at most one chunk, and in a list of a million values the 8,000
/// list entries of the chunks.
const CHUNK_MAX: usize = 256;
/// Capacity added to a full chunk, in values: doubling would leave a third of the memory unused.
const ROOM: usize = 16;

/// Values in the order of the comparisons that inserted them. No two are equal.
#[derive(Debug)]
pub struct SortedChunks<T> {
    /// Invariant: no chunk is empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for SortedChunks<T> {
    fn default() -> SortedChunks<T> {
        SortedChunks { chunks: Vec::new() }
    }
}

impl<T: Copy> SortedChunks<T> {
    /// Builds a list of values that are already sorted.
    pub fn from_sorted(values: &[T]) -> SortedChunks<T> {
        SortedChunks { chunks: values.chunks(CHUNK_MAX / 2).map(<[T]>::to_vec).collect() }
    }

    /// Inserts a value unless an equal one exists. `order` compares a value of the list with the
    /// new one.
    pub fn insert(&mut self, value: T, order: impl Fn(&T) -> Ordering) {
        let Some(last) = self.chunks.len().checked_sub(1) else {
            self.chunks.push(vec![value]);
            return;
        };
        let at = self.chunk_of(&order).min(last);
        let chunk = &mut self.chunks[at];
        let Err(index) = chunk.binary_search_by(&order) else { return };
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact(ROOM);
        }
        chunk.insert(index, value);
        if chunk.len() > CHUNK_MAX {
            let behind = chunk.split_off(CHUNK_MAX / 2);
            chunk.shrink_to_fit();
            self.chunks.insert(at + 1, behind);
        }
    }

    /// Removes the value that `order` finds equal, if it exists.
    pub fn remove(&mut self, order: impl Fn(&T) -> Ordering) {
        let at = self.chunk_of(&order);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let Ok(index) = chunk.binary_search_by(&order) else { return };
        chunk.remove(index);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
    }

    /// Returns the values from the first one that `order` does not find less.
    pub fn range_from(&self, order: impl Fn(&T) -> Ordering) -> impl Iterator<Item = &T> {
        let at = self.chunk_of(&order);
        let skip = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|value| order(value).is_lt()));
        self.chunks[at..].iter().flatten().skip(skip)
    }

    /// Returns the index of the first chunk whose last value is not less.
    fn chunk_of(&self, order: &impl Fn(&T) -> Ordering) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| order(last).is_lt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Inserts and removes enough values for chunks to split and to become empty.
        #[test]
        fn list_equals_reference_set(
            first in prop::collection::btree_set(0_u16..2_000, 0..600),
            steps in prop::collection::vec((any::<bool>(), 0_u16..2_000), 0..2_000),
            from in 0_u16..2_000,
        ) {
            let sorted: Vec<u16> = first.iter().copied().collect();
            let mut set = first;
            let mut list = SortedChunks::from_sorted(&sorted);
            for (comes, value) in steps {
                if comes {
                    set.insert(value);
                    list.insert(value, |have| have.cmp(&value));
                } else {
                    set.remove(&value);
                    list.remove(|have| have.cmp(&value));
                }
            }
            let of_list = list.range_from(|have| have.cmp(&from)).copied();
            prop_assert_eq!(of_list.collect::<BTreeSet<u16>>(), set.range(from..).copied().collect::<BTreeSet<u16>>());
            prop_assert!(list.range_from(|_| Ordering::Equal).is_sorted());
            prop_assert!(list.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK_MAX));
        }
    }
}
