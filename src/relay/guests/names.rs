//! Which guest a name means. A guest on UDP and one on TCP may have the same address and so the same name: it means the
//! one that was heard last, and the other again when that one is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Name, Path, Tick};
use crate::relay::members::MemberId;

use super::guest::GuestId;

/// Guests that are gone while a receipt may be owed for them; at the bound the one that has rested longest is forgotten
/// early, and what a member wrote to it is answered for by no receipt.
const RESTING_MAX: usize = 1_024;

/// The guests that were heard, and those that are gone for as long as a receipt may be owed for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Whoever has the name: those that are gone first, the one heard last at the end.
    by_name: BTreeMap<Name, Vec<GuestId>>,
    by_id: BTreeMap<GuestId, Known>,
    /// Who is gone, until when it is remembered.
    resting: BTreeSet<(Tick, GuestId)>,
}

#[derive(Debug)]
struct Known {
    name: Name,
    /// Where it is reached; `None` once it is gone.
    path: Option<Path>,
    /// Who wrote to it; known once it is gone.
    authors: BTreeSet<MemberId>,
}

impl Names {
    /// A guest wrote a letter: from now on its name means this one.
    pub(super) fn hear(&mut self, id: GuestId, name: &Name, path: Path) {
        let known = || Known { name: name.clone(), path: Some(path), authors: BTreeSet::new() };
        self.by_id.entry(id).or_insert_with(known);
        if self.find(name.as_str()) == Some(id) {
            return;
        }
        let bearers = self.by_name.entry(name.clone()).or_default();
        bearers.retain(|bearer| *bearer != id);
        bearers.push(id);
    }

    /// The guest of this name.
    pub(super) fn find(&self, name: &str) -> Option<GuestId> {
        self.by_name.get(name)?.last().copied()
    }

    /// What a guest is called.
    pub(super) fn name(&self, id: GuestId) -> Option<&Name> {
        self.by_id.get(&id).map(|known| &known.name)
    }

    /// Where a guest is reached.
    pub(super) fn path(&self, id: GuestId) -> Option<Path> {
        self.by_id.get(&id)?.path
    }

    /// A guest is gone; if members wrote to it, it is remembered until then.
    pub(super) fn leave(&mut self, id: GuestId, until: Tick, authors: BTreeSet<MemberId>) {
        let Some(known) = self.by_id.get_mut(&id) else { return };
        if authors.is_empty() {
            self.forget(id);
            return;
        }
        (known.path, known.authors) = (None, authors);
        if let Some(bearers) = self.by_name.get_mut(known.name.as_str()) {
            bearers.retain(|bearer| *bearer != id);
            bearers.insert(0, id);
        }
        self.resting.insert((until, id));
    }

    /// One that is gone and for which nothing is owed any more, and the members who wrote to it.
    pub(super) fn next_gone(&mut self, now: Tick) -> Option<(GuestId, BTreeSet<MemberId>)> {
        let is_over = |(until, _): &(Tick, GuestId)| *until <= now || self.resting.len() > RESTING_MAX;
        let first = self.resting.first().copied().filter(is_over)?;
        self.resting.remove(&first);
        Some((first.1, self.forget(first.1)))
    }

    /// When [`Names::next_gone`] has somebody.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.resting.first().map(|first| first.0)
    }

    fn forget(&mut self, id: GuestId) -> BTreeSet<MemberId> {
        let Some(known) = self.by_id.remove(&id) else { return BTreeSet::new() };
        if let Some(bearers) = self.by_name.get_mut(known.name.as_str()) {
            bearers.retain(|bearer| *bearer != id);
            if bearers.is_empty() {
                self.by_name.remove(known.name.as_str());
            }
        }
        known.authors
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::base::ConnId;

    const NOW: Tick = Tick::from_micros(1_000_000);

    fn name() -> Name {
        Name::of_guest(SocketAddr::from(([127, 0, 0, 1], 4)))
    }

    fn tcp(id: u64) -> Path {
        Path::Tcp(ConnId(id))
    }

    #[test]
    fn a_name_means_the_one_heard_last_and_then_the_other_again() {
        let (mut names, udp) = (Names::default(), Path::Udp(SocketAddr::from(([127, 0, 0, 1], 4))));
        names.hear(GuestId(1), &name(), udp);
        names.hear(GuestId(2), &name(), tcp(7));
        assert_eq!(names.find(name().as_str()), Some(GuestId(2)));
        names.hear(GuestId(1), &name(), udp);
        assert_eq!(names.find(name().as_str()), Some(GuestId(1)));
        names.leave(GuestId(1), NOW, BTreeSet::from([MemberId(0)]));
        assert_eq!(names.find(name().as_str()), Some(GuestId(2)));
        assert_eq!(names.path(GuestId(2)), Some(tcp(7)));
        names.leave(GuestId(2), NOW, BTreeSet::new());
        assert_eq!(names.find(name().as_str()), Some(GuestId(1)), "gone, but not forgotten");
        assert_eq!(names.path(GuestId(1)), None);
        assert_eq!(names.next_gone(NOW), Some((GuestId(1), BTreeSet::from([MemberId(0)]))));
        assert!(names.by_name.is_empty() && names.by_id.is_empty());
    }

    #[test]
    fn who_is_gone_is_forgotten_in_the_order_of_time_and_at_the_bound() {
        let mut names = Names::default();
        let authors = || BTreeSet::from([MemberId(0)]);
        for n in 0..RESTING_MAX as u64 {
            names.hear(GuestId(n), &name(), tcp(n));
            names.leave(GuestId(n), NOW + std::time::Duration::from_secs(10_000 - n), authors());
        }
        assert_eq!(names.next_gone(NOW), None);
        names.hear(GuestId(9_999), &name(), tcp(9_999));
        names.leave(GuestId(9_999), NOW + std::time::Duration::from_secs(20_000), authors());
        assert_eq!(names.next_gone(NOW).map(|gone| gone.0), Some(GuestId(RESTING_MAX as u64 - 1)));
        assert_eq!(names.next_gone(NOW), None);
    }
}
