//! When each part of the relay wants time to pass, in one ordered set.

use std::collections::BTreeSet;

use crate::base::Tick;

/// The earliest deadline first, one for each part that is there. A deadline that moves back stays where it is: whoever
/// is woken looks at its own state, and sets the deadline it then has. One that moves forward leaves its old place. So
/// there are as many entries as parts, and those of parts that are gone until their time has come.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    entries: BTreeSet<(Tick, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(super) fn new() -> Deadlines<K> {
        Deadlines { entries: BTreeSet::new() }
    }

    /// Wakes `key` at `tick`, unless `scheduled` says that it is woken by then anyway.
    pub(super) fn set(&mut self, key: K, tick: Option<Tick>, scheduled: &mut Option<Tick>) {
        let Some(tick) = tick else { return };
        if scheduled.is_some_and(|earlier| earlier <= tick) {
            return;
        }
        if let Some(later) = scheduled.replace(tick) {
            self.entries.remove(&(later, key));
        }
        self.entries.insert((tick, key));
    }

    /// Whoever is due at `now`. The caller clears that one's `scheduled` mark if it equals the tick given.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        self.entries.first().filter(|due| due.0 <= now)?;
        self.entries.pop_first()
    }

    /// The earliest deadline, perhaps one that has moved back since.
    pub(super) fn next(&self) -> Option<Tick> {
        self.entries.first().map(|due| due.0)
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
        deadlines.set('a', None, &mut mark);
        deadlines.set('b', Some(at(4)), &mut None);
        assert_eq!(deadlines.next(), Some(at(4)));
        assert_eq!(deadlines.pop_due(at(3)), None);
        assert_eq!(deadlines.pop_due(at(9)), Some((at(4), 'b')));
        assert_eq!(deadlines.pop_due(at(9)), Some((at(5), 'a')));
        assert_eq!(deadlines.pop_due(at(9)), None);
    }

    #[test]
    fn a_deadline_that_moves_to_and_fro_has_one_entry() {
        let (mut deadlines, mut mark) = (Deadlines::new(), None);
        for second in 0..1_000_u64 {
            let now = second * 1_000_000;
            deadlines.set('a', Some(Tick::from_micros(now + 75_000_000)), &mut mark);
            deadlines.set('a', Some(Tick::from_micros(now + 25_000)), &mut mark);
            assert_eq!(deadlines.entries.len(), 1);
            let due = deadlines.pop_due(Tick::from_micros(now + 25_000));
            assert_eq!(due.map(|due| Some(due.0)), Some(mark.take()));
        }
    }
}
