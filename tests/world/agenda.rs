//! Event queue of the simulation. Events due at the same time happen in the order of insertion.

use std::collections::BTreeMap;

use queqiao::base::Tick;

pub struct Agenda<E> {
    entries: BTreeMap<(Tick, u64), E>,
    entered: u64,
    /// Due time of the last entry taken.
    reached: Tick,
}

impl<E> Agenda<E> {
    pub fn new() -> Agenda<E> {
        Agenda { entries: BTreeMap::new(), entered: 0, reached: Tick::ZERO }
    }

    pub fn enter(&mut self, at: Tick, happening: E) {
        assert!(at >= self.reached, "nothing happens in the past: {at:?}, {:?} is over", self.reached);
        self.entered += 1;
        self.entries.insert((at, self.entered), happening);
    }

    /// Takes the next entry due by `until`.
    pub fn next_by(&mut self, until: Tick) -> Option<(Tick, E)> {
        let (at, _) = *self.entries.first_key_value()?.0;
        if at > until {
            return None;
        }
        self.reached = at;
        self.entries.pop_first().map(|((at, _), happening)| (at, happening))
    }
}
