//! When each part of the relay wants time to pass, in one heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::Tick;

/// The earliest deadline first. An entry may be stale: whoever is named by it looks at its own state, and sets the
/// deadline it then has. So moving a deadline back costs nothing, and nothing is ever searched for.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Tick, K)>>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(super) fn new() -> Deadlines<K> {
        Deadlines { heap: BinaryHeap::new() }
    }

    /// Wakes `key` at `tick`, unless `scheduled` says that it is woken by then anyway.
    pub(super) fn set(&mut self, key: K, tick: Option<Tick>, scheduled: &mut Option<Tick>) {
        let Some(tick) = tick else { return };
        if scheduled.is_none_or(|earlier| tick < earlier) {
            *scheduled = Some(tick);
            self.heap.push(Reverse((tick, key)));
        }
    }

    /// Whoever is due at `now`. The caller clears that one's `scheduled` mark if it equals the tick given.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        self.heap.peek().filter(|due| due.0.0 <= now)?;
        self.heap.pop().map(|due| due.0)
    }

    /// The earliest deadline, perhaps a stale one.
    pub(super) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|due| due.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_later_one_is_not_queued_twice() {
        let (mut deadlines, mut mark) = (Deadlines::new(), None);
        let at = Tick::from_micros;
        deadlines.set('a', Some(at(5)), &mut mark);
        deadlines.set('a', Some(at(9)), &mut mark);
        deadlines.set('a', Some(at(3)), &mut mark);
        deadlines.set('a', None, &mut mark);
        assert_eq!(deadlines.next(), Some(at(3)));
        assert_eq!(deadlines.pop_due(at(2)), None);
        assert_eq!(deadlines.pop_due(at(9)), Some((at(3), 'a')));
        assert_eq!(deadlines.pop_due(at(9)), Some((at(5), 'a')));
        assert_eq!(deadlines.pop_due(at(9)), None);
    }
}
