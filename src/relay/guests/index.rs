//! Guests by name. A UDP guest and a TCP guest may have the same address and therefore the same
//! name. It means the one that wrote last, and the other once that one is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Name, Path, Tick};
use crate::relay::ids::{GuestId, MemberId};

/// Guests that are gone while a receipt may be pending for them. At the bound the one with the
/// earliest time is forgotten early, and members get no receipt for their letters to it.
const EXPIRING_MAX: usize = 1_024;

/// Guests that have written, and those that are gone while a receipt may be pending for them.
#[derive(Debug, Default)]
pub(super) struct GuestIndex {
    /// Guests of each name: those that are gone first, the one that wrote last at the end.
    by_name: BTreeMap<Name, Vec<GuestId>>,
    by_id: BTreeMap<GuestId, GuestEntry>,
    /// Guests that are gone, with the time until which they are remembered.
    expiring: BTreeSet<(Tick, GuestId)>,
}

#[derive(Debug)]
struct GuestEntry {
    name: Name,
    /// Its path; `None` once it is gone.
    path: Option<Path>,
    /// Members that wrote to it; empty until it is gone.
    senders: BTreeSet<MemberId>,
}

impl GuestIndex {
    /// Makes the name mean this guest, which wrote a letter.
    pub(super) fn insert(&mut self, id: GuestId, name: &Name, path: Path) {
        let new_entry = || GuestEntry { name: name.clone(), path: Some(path), senders: BTreeSet::new() };
        self.by_id.entry(id).or_insert_with(new_entry);
        if self.find(name.as_str()) == Some(id) {
            return;
        }
        let bearers = self.by_name.entry(name.clone()).or_default();
        bearers.retain(|bearer| *bearer != id);
        bearers.push(id);
    }

    /// Returns the guest of this name.
    pub(super) fn find(&self, name: &str) -> Option<GuestId> {
        self.by_name.get(name)?.last().copied()
    }

    /// Returns the name of a guest.
    pub(super) fn name(&self, id: GuestId) -> Option<&Name> {
        self.by_id.get(&id).map(|entry| &entry.name)
    }

    /// Returns the path of a guest.
    pub(super) fn path(&self, id: GuestId) -> Option<Path> {
        self.by_id.get(&id)?.path
    }

    /// Removes a guest. If members wrote to it, it is remembered until `until`.
    pub(super) fn remove(&mut self, id: GuestId, until: Tick, senders: BTreeSet<MemberId>) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        if senders.is_empty() {
            self.forget(id);
            return;
        }
        entry.path = None;
        entry.senders = senders;
        if let Some(bearers) = self.by_name.get_mut(entry.name.as_str()) {
            bearers.retain(|bearer| *bearer != id);
            bearers.insert(0, id);
        }
        self.expiring.insert((until, id));
    }

    /// Returns a guest that is gone and has no pending receipt, and the members that wrote to it.
    pub(super) fn next_gone(&mut self, now: Tick) -> Option<(GuestId, BTreeSet<MemberId>)> {
        let is_over = |(until, _): &(Tick, GuestId)| *until <= now || self.expiring.len() > EXPIRING_MAX;
        let first = self.expiring.first().copied().filter(is_over)?;
        self.expiring.remove(&first);
        Some((first.1, self.forget(first.1)))
    }

    /// Returns the time at which [`GuestIndex::next_gone`] returns a guest.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.expiring.first().map(|first| first.0)
    }

    fn forget(&mut self, id: GuestId) -> BTreeSet<MemberId> {
        let Some(entry) = self.by_id.remove(&id) else { return BTreeSet::new() };
        if let Some(bearers) = self.by_name.get_mut(entry.name.as_str()) {
            bearers.retain(|bearer| *bearer != id);
            if bearers.is_empty() {
                self.by_name.remove(entry.name.as_str());
            }
        }
        entry.senders
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
    fn name_means_latest_guest_and_then_other_one_again() {
        let mut names = GuestIndex::default();
        let udp = Path::Udp(SocketAddr::from(([127, 0, 0, 1], 4)));
        names.insert(GuestId(1), &name(), udp);
        names.insert(GuestId(2), &name(), tcp(7));
        assert_eq!(names.find(name().as_str()), Some(GuestId(2)));
        names.insert(GuestId(1), &name(), udp);
        assert_eq!(names.find(name().as_str()), Some(GuestId(1)));
        names.remove(GuestId(1), NOW, BTreeSet::from([MemberId(0)]));
        assert_eq!(names.find(name().as_str()), Some(GuestId(2)));
        assert_eq!(names.path(GuestId(2)), Some(tcp(7)));
        names.remove(GuestId(2), NOW, BTreeSet::new());
        assert_eq!(names.find(name().as_str()), Some(GuestId(1)), "gone, but not forgotten");
        assert_eq!(names.path(GuestId(1)), None);
        assert_eq!(names.next_gone(NOW), Some((GuestId(1), BTreeSet::from([MemberId(0)]))));
        assert!(names.by_name.is_empty() && names.by_id.is_empty());
    }

    #[test]
    fn gone_guests_are_forgotten_by_time_and_at_bound() {
        let mut names = GuestIndex::default();
        let senders = || BTreeSet::from([MemberId(0)]);
        for n in 0..EXPIRING_MAX as u64 {
            names.insert(GuestId(n), &name(), tcp(n));
            names.remove(GuestId(n), NOW + std::time::Duration::from_secs(10_000 - n), senders());
        }
        assert_eq!(names.next_gone(NOW), None);
        names.insert(GuestId(9_999), &name(), tcp(9_999));
        names.remove(GuestId(9_999), NOW + std::time::Duration::from_secs(20_000), senders());
        assert_eq!(names.next_gone(NOW).map(|next| next.0), Some(GuestId(EXPIRING_MAX as u64 - 1)));
        assert_eq!(names.next_gone(NOW), None);
    }
}
