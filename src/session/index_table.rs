//! A table from random numbers: where one stands is told by the number itself, so that finding it touches one place of
//! memory and not one on each level of a tree.

/// Places are doubled when more than this part of them is taken, as eighths.
const FULL_EIGHTHS: usize = 7;
/// Places of the first table.
const PLACES_MIN: usize = 16;
/// Stands at a place that is free; nothing is kept under this number.
const FREE: u32 = 0;

/// Values by number: open addressing with linear probing. The numbers must be drawn at random by us: nobody else may
/// choose which of them collide.
#[derive(Debug)]
pub(super) struct IndexTable<T> {
    /// The number at each place, or [`FREE`]; a power of two of them, or none.
    numbers: Vec<u32>,
    values: Vec<Option<T>>,
    len: usize,
}

impl<T> IndexTable<T> {
    pub(super) const fn new() -> IndexTable<T> {
        IndexTable { numbers: Vec::new(), values: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Where the number stands, or else the free place where it would.
    fn place(&self, number: u32) -> Result<usize, usize> {
        let mask = self.numbers.len() - 1;
        let mut place = number as usize & mask;
        loop {
            match self.numbers[place] {
                FREE => return Err(place),
                there if there == number => return Ok(place),
                _ => place = (place + 1) & mask,
            }
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        if self.numbers.is_empty() || number == FREE {
            return None;
        }
        self.values[self.place(number).ok()?].as_ref()
    }

    /// Keeps a value under a number that is not 0 and not there.
    pub(super) fn insert(&mut self, number: u32, value: T) {
        if (self.len + 1) * 8 > self.numbers.len() * FULL_EIGHTHS {
            self.grow();
        }
        self.put(number, value);
        self.len += 1;
    }

    fn put(&mut self, number: u32, value: T) {
        let place = self.place(number).expect_err("a number is drawn anew until it is not there");
        (self.numbers[place], self.values[place]) = (number, Some(value));
    }

    fn grow(&mut self) {
        let places = (self.numbers.len() * 2).max(PLACES_MIN);
        let numbers = std::mem::replace(&mut self.numbers, vec![FREE; places]);
        let values = std::mem::take(&mut self.values);
        self.values.resize_with(places, || None);
        for (number, value) in numbers.into_iter().zip(values) {
            if let Some(value) = value {
                self.put(number, value);
            }
        }
    }

    /// Takes a value out. Whatever it kept from its place moves up, so that no search ends too early.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        if self.numbers.is_empty() || number == FREE {
            return None;
        }
        let mut hole = self.place(number).ok()?;
        let value = self.values[hole].take();
        let mask = self.numbers.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.numbers[next] != FREE {
            let home = self.numbers[next] as usize & mask;
            let from_home = next.wrapping_sub(home) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.numbers[hole] = self.numbers[next];
                self.values[hole] = self.values[next].take();
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.numbers[hole] = FREE;
        self.len -= 1;
        value
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
                if adds && number != FREE && !map.contains_key(&number) {
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
