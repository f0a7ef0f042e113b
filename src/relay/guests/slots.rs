//! Assigns slots to guests, and selects those that lose theirs.
//!
//! [`super::GuestRules::limit`] slots serve both carriers, at most half of them UDP. A TCP guest
//! takes one with its first letter, if necessary from the quietest UDP guest without a reply. A UDP
//! guest needs one with its second datagram, or when it gets a reply.
//!
//! A UDP guest without a slot gets the same service. It is forgotten once [`LOOSE_MAX`] other
//! guests without a slot have written since it last received or sent anything.
//! [`super::admission`] admits few enough that this takes at least half a minute. A forged datagram
//! therefore costs no other guest its slot and closes no connection.
//!
//! Plain text cannot prove an address: a proof would have to be sent, and echoed by a person. The
//! closest evidence is a reply of a member followed by another text of the guest. Such guests go
//! last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::base::{Path, Tick};
use crate::session::PrefixLen;

/// UDP guests without a slot: 5 MiB. [`super::admission`] admits at most 100 a second and 1,000 at
/// once, so each is kept for at least 30 s, in which a person can reply.
pub(super) const LOOSE_MAX: usize = 4_096;
/// Silence after which a UDP guest loses its slot to one of the same standing.
const CROWDED_AFTER: Duration = Duration::from_secs(60);

/// How well a UDP guest is known. A higher standing goes later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GuestClass {
    /// It has written.
    #[default]
    Unanswered,
    /// A member has replied.
    Answered,
    /// It has written after that.
    Talking,
}

const GUEST_CLASSES: [GuestClass; 3] = [GuestClass::Unanswered, GuestClass::Answered, GuestClass::Talking];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GuestSlot {
    Loose(Tick),
    Udp(GuestClass, Tick),
    /// The holder of its address; `None` for loopback.
    Tcp(Option<IpAddr>),
}

/// The slots, and the UDP guests without one.
#[derive(Debug)]
pub(super) struct GuestSlots {
    slots_max: usize,
    slots: BTreeMap<Path, GuestSlot>,
    /// UDP guests with a slot by standing, the quietest first.
    udp: [BTreeSet<(Tick, Path)>; GUEST_CLASSES.len()],
    loose: BTreeSet<(Tick, Path)>,
    tcp: usize,
    tcp_by_holder: BTreeMap<IpAddr, usize>,
}

/// Changes caused by traffic of a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotChange {
    /// A UDP guest that has lost its slot.
    pub(super) displaced: Option<Path>,
    /// A UDP guest that must be forgotten. It is already removed here.
    pub(super) forgotten: Option<Path>,
}

impl GuestSlots {
    pub(super) fn new(slots_max: usize) -> GuestSlots {
        GuestSlots {
            slots_max,
            slots: BTreeMap::new(),
            udp: Default::default(),
            loose: BTreeSet::new(),
            tcp: 0,
            tcp_by_holder: BTreeMap::new(),
        }
    }

    /// Whether this guest has a slot.
    pub(super) fn has_slot(&self, path: Path) -> bool {
        self.slots.get(&path).is_some_and(|slot| !matches!(slot, GuestSlot::Loose(_)))
    }

    /// Records traffic of a UDP guest, which may be new. `wants_slot`: it needs a slot.
    pub(super) fn note_udp(
        &mut self,
        now: Tick,
        path: Path,
        class: GuestClass,
        wants_slot: bool,
    ) -> SlotChange {
        let had_slot = self.has_slot(path);
        self.leave(path);
        let slot_change = match had_slot || !wants_slot {
            true => had_slot.then_some(None),
            false => self.displace_for_udp(now, class),
        };
        let slot = if slot_change.is_some() { GuestSlot::Udp(class, now) } else { GuestSlot::Loose(now) };
        self.assign(path, slot);
        SlotChange { displaced: slot_change.flatten(), forgotten: self.next_forgotten() }
    }

    /// Gives a slot to a TCP guest. Returns `None` if none is free.
    ///
    /// None is free if TCP guests and UDP guests with a reply take all of them. None is free for an
    /// address (for IPv6 its /48) that holds as many as are left (dynamic thresholds, Choudhury and
    /// Hahne 1998). Loopback is exempt from the latter.
    pub(super) fn take_tcp(&mut self, path: Path, ip: IpAddr) -> Option<SlotChange> {
        let ip = ip.to_canonical();
        let holder = (!ip.is_loopback()).then(|| holder(ip));
        let held_count = holder.and_then(|holder| self.tcp_by_holder.get(&holder)).copied().unwrap_or(0);
        let unanswered = self.udp[GuestClass::Unanswered as usize].len();
        let free = (self.slots_max + unanswered).saturating_sub(self.tcp + self.udp_slots());
        if free == 0 || held_count >= free {
            return None;
        }
        let is_full = self.tcp + self.udp_slots() >= self.slots_max;
        let displaced = if is_full { self.evict(GuestClass::Unanswered) } else { None };
        self.assign(path, GuestSlot::Tcp(holder));
        Some(SlotChange { displaced, forgotten: self.next_forgotten() })
    }

    /// Removes a guest.
    pub(super) fn leave(&mut self, path: Path) {
        match self.slots.remove(&path) {
            Some(GuestSlot::Loose(at)) => drop(self.loose.remove(&(at, path))),
            Some(GuestSlot::Udp(class, at)) => drop(self.udp[class as usize].remove(&(at, path))),
            Some(GuestSlot::Tcp(holder)) => {
                self.tcp -= 1;
                let count = holder.and_then(|holder| self.tcp_by_holder.get_mut(&holder));
                if let (Some(count), Some(holder)) = (count, holder) {
                    *count -= 1;
                    if *count == 0 {
                        self.tcp_by_holder.remove(&holder);
                    }
                }
            }
            None => {}
        }
    }

    fn udp_slots(&self) -> usize {
        self.udp.iter().map(BTreeSet::len).sum()
    }

    /// Finds a slot for a UDP guest of this standing and returns its previous owner, if any.
    /// Returns `None` if no slot is available.
    fn displace_for_udp(&mut self, now: Tick, class: GuestClass) -> Option<Option<Path>> {
        let used = self.udp_slots();
        if used < self.slots_max / 2 && self.tcp + used < self.slots_max {
            return Some(None);
        }
        for victim in GUEST_CLASSES.into_iter().filter(|victim| *victim <= class) {
            let Some((at, _)) = self.udp[victim as usize].first() else { continue };
            if victim < class || *at + CROWDED_AFTER <= now {
                return Some(self.evict(victim));
            }
        }
        None
    }

    /// Takes the slot of the quietest UDP guest of this standing.
    fn evict(&mut self, class: GuestClass) -> Option<Path> {
        let (at, path) = self.udp[class as usize].pop_first()?;
        self.assign(path, GuestSlot::Loose(at));
        Some(path)
    }

    fn assign(&mut self, path: Path, slot: GuestSlot) {
        match slot {
            GuestSlot::Loose(at) => drop(self.loose.insert((at, path))),
            GuestSlot::Udp(class, at) => drop(self.udp[class as usize].insert((at, path))),
            GuestSlot::Tcp(holder) => {
                self.tcp += 1;
                if let Some(holder) = holder {
                    *self.tcp_by_holder.entry(holder).or_default() += 1;
                }
            }
        }
        self.slots.insert(path, slot);
    }

    fn next_forgotten(&mut self) -> Option<Path> {
        let loose_max = if self.slots_max == 0 { 0 } else { LOOSE_MAX };
        let (_, path) = self.loose.first().copied().filter(|_| self.loose.len() > loose_max)?;
        self.leave(path);
        Some(path)
    }
}

/// Returns the holder of TCP slots: an IPv4 address, or the /48 of an IPv6 address, whose owner
/// has any number of addresses. On TCP the address is proved.
fn holder(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { ip } else { PrefixLen::SITE.network(ip) }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::base::ConnId;

    const NOW: Tick = Tick::from_micros(9_000_000);

    fn udp(n: usize) -> Path {
        Path::Udp(SocketAddr::from(((0x0a00_0000 + n as u32).to_be_bytes(), 5_000)))
    }

    fn tcp(n: u64) -> Path {
        Path::Tcp(ConnId(n))
    }

    fn host(n: u8) -> IpAddr {
        IpAddr::from([192, 0, n, 1])
    }

    fn at(seconds: u64) -> Tick {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn udp_has_half_of_places_and_tcp_rest() {
        let mut seats = GuestSlots::new(8);
        for n in 0..10 {
            assert_eq!(seats.note_udp(NOW, udp(n), GuestClass::Talking, true), SlotChange::default());
        }
        assert_eq!((0..10).filter(|n| seats.has_slot(udp(*n))).count(), 4);
        assert!((0..4).all(|n| seats.take_tcp(tcp(n), host(n as u8)).is_some()));
        assert_eq!(seats.take_tcp(tcp(4), host(4)), None, "the UDP guests have replies");
    }

    #[test]
    fn tcp_guest_displaces_quietest_unanswered_udp_guest() {
        let mut seats = GuestSlots::new(4);
        for n in 0..2 {
            seats.note_udp(at(n), udp(n as usize), GuestClass::Unanswered, true);
        }
        assert!((0..2).all(|n| seats.take_tcp(tcp(n), host(n as u8)) == Some(SlotChange::default())));
        let change = |n| Some(SlotChange { displaced: Some(udp(n)), forgotten: None });
        assert_eq!(seats.take_tcp(tcp(2), host(2)), change(0));
        assert_eq!(seats.take_tcp(tcp(3), host(3)), change(1));
        assert_eq!(seats.take_tcp(tcp(4), host(4)), None);
        assert!(!seats.has_slot(udp(0)) && seats.has_slot(tcp(3)));
        seats.note_udp(at(9), udp(0), GuestClass::Talking, true);
        assert!(!seats.has_slot(udp(0)), "connections are not displaced");
    }

    #[test]
    fn one_address_takes_half_of_tcp_places() {
        let mut seats = GuestSlots::new(16);
        assert_eq!((0..16).filter(|n| seats.take_tcp(tcp(*n), host(1)).is_some()).count(), 8);
        assert!(seats.take_tcp(tcp(100), host(2)).is_some(), "others are in");
        seats.leave(tcp(0));
        seats.leave(tcp(1));
        assert!(seats.take_tcp(tcp(101), host(1)).is_some());
        let mut seats = GuestSlots::new(16);
        let local = IpAddr::from([127, 0, 0, 1]);
        assert!((0..16).all(|n| seats.take_tcp(tcp(n), local).is_some()), "loopback is exempt");
        assert_eq!(seats.tcp_by_holder.len(), 0);
    }

    #[test]
    fn lower_standing_and_longer_silence_lose_place_first() {
        let mut seats = GuestSlots::new(4);
        seats.note_udp(at(0), udp(0), GuestClass::Answered, true);
        seats.note_udp(at(1), udp(1), GuestClass::Unanswered, true);
        seats.note_udp(at(2), udp(2), GuestClass::Unanswered, true);
        assert!(!seats.has_slot(udp(2)), "nothing distinguishes it");
        let change = seats.note_udp(at(3), udp(2), GuestClass::Answered, true);
        assert_eq!(change.displaced, Some(udp(1)));
        assert_eq!(seats.note_udp(at(4), udp(3), GuestClass::Answered, true).displaced, None);
        let change = seats.note_udp(at(5), udp(2), GuestClass::Talking, false);
        assert_eq!(change, SlotChange::default());
        assert!(seats.has_slot(udp(2)));
        assert_eq!(seats.note_udp(at(60), udp(3), GuestClass::Answered, true).displaced, Some(udp(0)));
        assert_eq!(seats.note_udp(at(500), udp(0), GuestClass::Unanswered, true).displaced, None);
    }

    /// Guests without a slot go in the order of their last traffic, and no others go.
    #[test]
    fn flood_forgets_only_quietest_guests_without_place() {
        let mut seats = GuestSlots::new(4);
        seats.note_udp(at(0), udp(0), GuestClass::Unanswered, true);
        assert!(seats.take_tcp(tcp(0), host(0)).is_some());
        for n in 1..=LOOSE_MAX {
            assert_eq!(seats.note_udp(at(1), udp(n), GuestClass::Unanswered, false), SlotChange::default());
        }
        seats.note_udp(at(2), udp(1), GuestClass::Unanswered, false);
        for n in 2..=LOOSE_MAX {
            let change = seats.note_udp(at(3), udp(LOOSE_MAX + n), GuestClass::Unanswered, false);
            assert_eq!(change, SlotChange { displaced: None, forgotten: Some(udp(n)) });
        }
        assert!(seats.has_slot(udp(0)) && seats.has_slot(tcp(0)) && seats.slots.contains_key(&udp(1)));
        assert_eq!(seats.slots.len(), LOOSE_MAX + 2);
    }

    #[test]
    fn without_places_no_guest_is_kept() {
        let mut seats = GuestSlots::new(0);
        let change = seats.note_udp(NOW, udp(1), GuestClass::Unanswered, true);
        assert_eq!(change, SlotChange { displaced: None, forgotten: Some(udp(1)) });
        assert_eq!(seats.take_tcp(tcp(1), host(1)), None);
        assert!(seats.slots.is_empty());
    }
}
