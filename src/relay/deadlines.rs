//! Deadlines of all parts of the relay, in one ordered set.

use std::collections::BTreeSet;

use crate::base::Tick;

/// An ordered set of deadlines, at most one per key.
///
/// Moving a deadline later leaves the entry in place: the owner re-checks its state when woken and
/// sets its current deadline. Moving it earlier removes the old entry. Entries of keys that no
/// longer exist stay until their time has come.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    entries: BTreeSet<(Tick, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(super) fn new() -> Deadlines<K> {
        Deadlines { entries: BTreeSet::new() }
    }

    /// Wakes `key` at `tick`, unless `scheduled` shows that it is woken by then.
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

    /// Removes and returns the first key due at `now`. The caller clears its `scheduled` mark if
    /// that equals the returned tick.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        self.entries.first().filter(|entry| entry.0 <= now)?;
        self.entries.pop_first()
    }

    /// Returns the earliest deadline, which may have moved later since.
    pub(super) fn next(&self) -> Option<Tick> {
        self.entries.first().map(|entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_comes_first_and_later_deadline_is_not_queued_twice() {
        let mut deadlines = Deadlines::new();
        let mut mark = None;
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
    fn deadline_moved_back_and_forth_has_one_entry() {
        let mut deadlines = Deadlines::new();
        let mut mark = None;
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
