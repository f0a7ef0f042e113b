//! Event queue of the simulation. Events due at the same time happen in the order of insertion.

use std::collections::BTreeMap;

use queqiao::base::Tick;

pub struct EventQueue<E> {
    entries: BTreeMap<(Tick, u64), E>,
    pushed: u64,
    /// Due time of the last entry taken.
    reached: Tick,
}

impl<E> EventQueue<E> {
    pub fn new() -> EventQueue<E> {
        EventQueue { entries: BTreeMap::new(), pushed: 0, reached: Tick::ZERO }
    }

    pub fn push(&mut self, at: Tick, event: E) {
        assert!(at >= self.reached, "nothing happens in the past: {at:?}, {:?} is over", self.reached);
        self.pushed += 1;
        self.entries.insert((at, self.pushed), event);
    }

    /// Takes the next entry due by `until`.
    pub fn pop_until(&mut self, until: Tick) -> Option<(Tick, E)> {
        let (at, _) = *self.entries.first_key_value()?.0;
        if at > until {
            return None;
        }
        self.reached = at;
        self.entries.pop_first().map(|((at, _), event)| (at, event))
    }
}
