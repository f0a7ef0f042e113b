//! The indexes that map packets to sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::index_table::IndexTable;
use crate::base::{Rng, Tick};

/// Granularity of the time for which indexes rest. Those of a flood share a turn when it ends, and
/// each rests longer by at most this.
const REST_GRID: Duration = Duration::from_millis(250);

/// Random 32-bit indexes, each leading to a `T`.
///
/// A freed index leads nowhere and rests before it can be drawn again, so that a late packet never
/// reaches another session. 0 is never drawn: it means none.
#[derive(Debug)]
pub struct Indexes<T> {
    live: IndexTable<T>,
    quarantined: BTreeSet<u32>,
    quarantined_until: BTreeSet<(Tick, u32)>,
    len_max: usize,
}

impl<T> Indexes<T> {
    /// Creates an empty table with at most `len_max` indexes, live and resting together.
    pub fn new(len_max: usize) -> Indexes<T> {
        Indexes {
            live: IndexTable::new(),
            quarantined: BTreeSet::new(),
            quarantined_until: BTreeSet::new(),
            len_max,
        }
    }

    /// Draws a new index that leads to `slot`. Returns `None` at the bound: the caller refuses the
    /// newcomer.
    pub fn allocate(&mut self, rng: &mut Rng, slot: T) -> Option<u32> {
        if self.live.len() + self.quarantined.len() >= self.len_max {
            return None;
        }
        loop {
            let index = rng.next_u32();
            if index != 0 && self.live.get(index).is_none() && !self.quarantined.contains(&index) {
                self.live.insert(index, slot);
                return Some(index);
            }
        }
    }

    /// Returns the destination of a live index.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.live.get(index)
    }

    /// Frees a live index. It rests for `quarantine`, rounded up: three PTOs of its session, or
    /// zero if no session used it.
    pub fn free(&mut self, now: Tick, quarantine: Duration, index: u32) -> Option<T> {
        let slot = self.live.remove(index)?;
        if !quarantine.is_zero() {
            self.quarantined.insert(index);
            self.quarantined_until.insert(((now + quarantine).rounded_up(REST_GRID), index));
        }
        Some(slot)
    }

    /// Ends the rest of indexes that have rested long enough.
    pub fn handle_time(&mut self, now: Tick) {
        while let Some((until, index)) = self.quarantined_until.first().copied() {
            if until > now {
                break;
            }
            self.quarantined_until.remove(&(until, index));
            self.quarantined.remove(&index);
        }
    }

    /// Returns when the next rest ends.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.quarantined_until.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_index_leads_nowhere_and_rests() {
        let mut rng = Rng::from_seed([1; 32]);
        let rest = Duration::from_secs(3);
        let mut indexes = Indexes::new(2);
        let first = indexes.allocate(&mut rng, 'a').unwrap();
        let second = indexes.allocate(&mut rng, 'b').unwrap();
        assert_eq!(indexes.get(first), Some(&'a'));
        assert_eq!(indexes.get(second), Some(&'b'));
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
