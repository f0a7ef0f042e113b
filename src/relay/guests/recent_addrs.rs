//! Addresses whose first datagram was refused, so that a second one is recognized.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::quality::FixedState;

use crate::base::{Rng, Tick};

/// Number of entries of 4 bytes: 1 MiB, allocated when first needed.
///
/// An address that writes again after 3 s is recognized with probability 89 % under a flood of
/// 10,000 addresses a second, and 32 % under 100,000.
const LEN: usize = 1 << 18;
/// Time for which an address is recognized: a person without a reply writes again within it.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// Low bits of an entry: the second in which it was made. They wrap around after 68 minutes; then
/// an entry that was not overwritten counts once more for a minute.
const SECOND_BITS: u32 = 12;

/// A table of fixed size in which a newer address overwrites an older one.
#[derive(Debug)]
pub(super) struct RecentAddrs {
    hash: FixedState,
    /// A fingerprint of the address, never 0, above the second; 0 for an unused entry. Empty until
    /// the first flood.
    entries: Vec<u32>,
}

impl RecentAddrs {
    pub(super) fn new(rng: &mut Rng) -> RecentAddrs {
        RecentAddrs { hash: FixedState::with_seed(rng.next_u64()), entries: Vec::new() }
    }

    /// Records that a datagram from `from` was refused.
    pub(super) fn insert(&mut self, now: Tick, from: SocketAddr) {
        if self.entries.is_empty() {
            self.entries = vec![0; LEN];
        }
        let (at, fingerprint) = self.entry_of(from);
        self.entries[at] = fingerprint | second(now);
    }

    /// Whether a datagram from `from` was refused recently. One in a million other addresses gives
    /// a false positive.
    pub(super) fn contains(&self, now: Tick, from: SocketAddr) -> bool {
        let (at, fingerprint) = self.entry_of(from);
        let Some(entry) = self.entries.get(at) else { return false };
        let mask = (1 << SECOND_BITS) - 1;
        let age = second(now).wrapping_sub(entry & mask) & mask;
        entry & !mask == fingerprint && u64::from(age) <= KNOWN_FOR.as_secs()
    }

    fn entry_of(&self, from: SocketAddr) -> (usize, u32) {
        let hash = self.hash.hash_one(from);
        let fingerprint = (hash >> 32) as u32 & !((1 << SECOND_BITS) - 1);
        (hash as usize % LEN, fingerprint.max(1 << SECOND_BITS))
    }
}

fn second(now: Tick) -> u32 {
    (now.as_micros() / 1_000_000) as u32 & ((1 << SECOND_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_known_for_minute_under_flood() {
        let mut seen = RecentAddrs::new(&mut Rng::from_seed([5; 32]));
        let now = Tick::from_micros(7_000_000);
        let addr = |n: u32| SocketAddr::from((n.to_be_bytes(), 5_000));
        assert!(!seen.contains(now, addr(1)), "nothing is known before a flood");
        (0..1_000).for_each(|n| seen.insert(now, addr(n)));
        (1_000_000..1_020_000).for_each(|n| seen.insert(now, addr(n)));
        let known = (0..1_000).filter(|n| seen.contains(now + KNOWN_FOR, addr(*n))).count();
        assert!((900..980).contains(&known), "{known}");
        let later = now + KNOWN_FOR + Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|n| seen.contains(later, addr(*n))).count(), 0);
        assert!((2_000_000..2_100_000).filter(|n| seen.contains(now, addr(*n))).count() <= 2);
    }
}
