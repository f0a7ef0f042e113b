//! Which session a packet is for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::index_table::IndexTable;
use crate::base::{Rng, Tick};

/// Random 32-bit indexes, each leading to a `T`. A freed one leads nowhere and rests before it can be drawn again, so
/// that a late packet never meets another session. 0 is never drawn: it stands for none.
#[derive(Debug)]
pub struct Indexes<T> {
    live: IndexTable<T>,
    resting: BTreeSet<u32>,
    resting_until: BTreeSet<(Tick, u32)>,
    len_max: usize,
}

impl<T> Indexes<T> {
    /// None yet; at most `len_max` live and resting together.
    pub fn new(len_max: usize) -> Indexes<T> {
        Indexes { live: IndexTable::new(), resting: BTreeSet::new(), resting_until: BTreeSet::new(), len_max }
    }

    /// A new index leading to `slot`; none at the bound: the caller refuses the newcomer.
    pub fn allocate(&mut self, rng: &mut Rng, slot: T) -> Option<u32> {
        if self.live.len() + self.resting.len() >= self.len_max {
            return None;
        }
        loop {
            let index = rng.next_u32();
            if index != 0 && self.live.get(index).is_none() && !self.resting.contains(&index) {
                self.live.insert(index, slot);
                return Some(index);
            }
        }
    }

    /// Where the index leads.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.live.get(index)
    }

    /// Frees a live index, which rests for `rest` (three PTOs of its session; zero if no session had it).
    pub fn free(&mut self, now: Tick, rest: Duration, index: u32) -> Option<T> {
        let slot = self.live.remove(index)?;
        if !rest.is_zero() {
            self.resting.insert(index);
            self.resting_until.insert((now + rest, index));
        }
        Some(slot)
    }

    /// Ends the rest of those that have rested enough.
    pub fn handle_time(&mut self, now: Tick) {
        while let Some((until, index)) = self.resting_until.first().copied() {
            if until > now {
                break;
            }
            self.resting_until.remove(&(until, index));
            self.resting.remove(&index);
        }
    }

    /// When the next rest ends.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.resting_until.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_index_leads_nowhere_and_rests() {
        let (mut rng, rest) = (Rng::from_seed([1; 32]), Duration::from_secs(3));
        let mut indexes = Indexes::new(2);
        let first = indexes.allocate(&mut rng, 'a').unwrap();
        let second = indexes.allocate(&mut rng, 'b').unwrap();
        assert_eq!((indexes.get(first), indexes.get(second)), (Some(&'a'), Some(&'b')));
        assert_eq!(indexes.allocate(&mut rng, 'c'), None, "full");

        assert_eq!(indexes.free(Tick::ZERO, rest, first), Some('a'));
        assert_eq!(indexes.free(Tick::ZERO, rest, first), None);
        assert_eq!(indexes.get(first), None);
        assert_eq!(indexes.allocate(&mut rng, 'c'), None, "still resting");
        assert_eq!(indexes.next_deadline(), Some(Tick::ZERO + rest));

        indexes.handle_time(Tick::ZERO + rest);
        assert_eq!(indexes.next_deadline(), None);
        assert_eq!(indexes.free(Tick::ZERO, Duration::ZERO, second), Some('b'));
        assert_eq!(indexes.next_deadline(), None, "no rest, no deadline");
        assert!(indexes.allocate(&mut rng, 'c').is_some());
    }
}
