//! A table from random numbers: where one stands is told by the number itself, so that finding it touches one place of
//! memory and not one on each level of a tree.

use std::num::NonZeroU32;

/// Places are doubled when more than this part of them is taken, as eighths.
const FULL_EIGHTHS: usize = 7;
/// Places of the first table.
const PLACES_MIN: usize = 16;

/// Values by number: open addressing with linear probing. The numbers must be drawn at random by us: nobody else may
/// choose which of them collide.
#[derive(Debug)]
pub(super) struct IndexTable<T> {
    /// The number and the value at each place that is taken; a power of two of them, or none.
    places: Vec<Option<(NonZeroU32, T)>>,
    len: usize,
}

impl<T> IndexTable<T> {
    pub(super) const fn new() -> IndexTable<T> {
        IndexTable { places: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn home(&self, number: NonZeroU32) -> usize {
        number.get() as usize & (self.places.len() - 1)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// Where the number stands, or else the free place where it would.
    fn place(&self, number: NonZeroU32) -> Result<usize, usize> {
        let mut place = self.home(number);
        loop {
            match &self.places[place] {
                None => return Err(place),
                Some((there, _)) if *there == number => return Ok(place),
                Some(_) => place = self.next(place),
            }
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        let number = NonZeroU32::new(number).filter(|_| !self.places.is_empty())?;
        self.place(number).ok()
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.places[self.find(number)?].as_ref().map(|(_, value)| value)
    }

    /// Keeps a value under a number that is not 0 and not there.
    pub(super) fn insert(&mut self, number: u32, value: T) {
        if (self.len + 1) * 8 > self.places.len() * FULL_EIGHTHS {
            self.grow();
        }
        self.put(NonZeroU32::new(number).expect("0 is never drawn"), value);
        self.len += 1;
    }

    fn put(&mut self, number: NonZeroU32, value: T) {
        let place = self.place(number).expect_err("a number is drawn anew until it is not there");
        self.places[place] = Some((number, value));
    }

    fn grow(&mut self) {
        let len = (self.places.len() * 2).max(PLACES_MIN);
        let mut places = Vec::with_capacity(len);
        places.resize_with(len, || None);
        for (number, value) in std::mem::replace(&mut self.places, places).into_iter().flatten() {
            self.put(number, value);
        }
    }

    /// Takes a value out. Whatever it kept from its place moves up, so that no search ends too early.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let mut hole = self.find(number)?;
        let (_, value) = self.places[hole].take()?;
        let mask = self.places.len() - 1;
        let mut next = self.next(hole);
        while let Some((number, _)) = &self.places[next] {
            let from_home = next.wrapping_sub(self.home(*number)) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[next].take();
                hole = next;
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
        fn it_agrees_with_a_map(steps in proptest::collection::vec((any::<bool>(), 0..40_u32, 0..3_u32), 0..400)) {
            let (mut table, mut map) = (IndexTable::new(), BTreeMap::new());
            for (step, (adds, low, high)) in steps.into_iter().enumerate() {
                // Few homes, many numbers: they collide.
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
