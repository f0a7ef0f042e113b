//! A hash table for random numbers.
//!
//! The number itself is the hash. A look-up touches one memory location, and not one per level of a
//! tree.

use std::num::NonZeroU32;

/// Maximum share of taken slots before the table doubles, in eighths: linear probing slows down
/// beyond 7/8.
const FULL_EIGHTHS: usize = 7;
/// Slots of the first table: 16, small for a client with one session.
const SLOTS_MIN: usize = 16;

/// Values by number: open addressing with linear probing.
///
/// The caller must draw the numbers at random, so that an attacker cannot choose numbers that
/// collide.
#[derive(Debug)]
pub(super) struct IndexTable<T> {
    /// The number and the value of each taken slot. The length is a power of two, or 0.
    slots: Vec<Option<(NonZeroU32, T)>>,
    len: usize,
}

impl<T> IndexTable<T> {
    pub(super) const fn new() -> IndexTable<T> {
        IndexTable { slots: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn home(&self, number: NonZeroU32) -> usize {
        number.get() as usize & (self.slots.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Returns the slot of a number, or as error the free slot where it belongs.
    fn slot(&self, number: NonZeroU32) -> Result<usize, usize> {
        let mut slot = self.home(number);
        loop {
            match &self.slots[slot] {
                None => return Err(slot),
                Some((there, _)) if *there == number => return Ok(slot),
                Some(_) => slot = self.next(slot),
            }
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        let number = NonZeroU32::new(number).filter(|_| !self.slots.is_empty())?;
        self.slot(number).ok()
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.slots[self.find(number)?].as_ref().map(|(_, value)| value)
    }

    /// Inserts a value under a number that is not 0 and not in the table.
    ///
    /// # Panics
    /// If the number is 0 or in the table.
    pub(super) fn insert(&mut self, number: u32, value: T) {
        if (self.len + 1) * 8 > self.slots.len() * FULL_EIGHTHS {
            self.grow();
        }
        self.put(NonZeroU32::new(number).expect("the caller never draws 0"), value);
        self.len += 1;
    }

    fn put(&mut self, number: NonZeroU32, value: T) {
        let slot = self.slot(number).expect_err("the caller draws until the number is free");
        self.slots[slot] = Some((number, value));
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(SLOTS_MIN);
        let mut slots = Vec::with_capacity(len);
        slots.resize_with(len, || None);
        for (number, value) in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            self.put(number, value);
        }
    }

    /// Removes and returns a value.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let mut free = self.find(number)?;
        let (_, value) = self.slots[free].take()?;
        let mask = self.slots.len() - 1;
        // Entries that probing has pushed past the hole move up, so that no search ends too early.
        let mut next = self.next(free);
        while let Some((number, _)) = &self.slots[next] {
            let from_home = next.wrapping_sub(self.home(*number)) & mask;
            if from_home >= next.wrapping_sub(free) & mask {
                self.slots[free] = self.slots[next].take();
                free = next;
            }
            next = self.next(next);
        }
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_map(steps in proptest::collection::vec((any::<bool>(), 0..40_u32, 0..3_u32), 0..400)) {
            let mut table = IndexTable::new();
            let mut map = BTreeMap::new();
            for (step, (adds, low, high)) in steps.into_iter().enumerate() {
                // Few homes and many numbers, so that they collide.
                let number = low | high << 20;
                if adds && number != 0 && !map.contains_key(&number) {
                    table.insert(number, step);
                    map.insert(number, step);
                } else if !adds {
                    prop_assert_eq!(table.remove(number), map.remove(&number));
                }
                prop_assert_eq!(table.len(), map.len());
                let numbers = (0..40).flat_map(|low| (0..3).map(move |high| low | high << 20));
                for number in numbers {
                    prop_assert_eq!(table.get(number), map.get(&number));
                }
            }
        }
    }
}
