//! A relay's memory of handshakes: the highest counter of each identity, and recent responses.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use subtle::ConstantTimeEq;

use crate::base::{Carrier, Path, PublicKey, Tick};
use crate::wire::packet::MAC_LEN;

/// Maximum identities whose counter is remembered; about 4 MiB.
///
/// At the bound the one whose handshake is the oldest is forgotten. An old first message of it may
/// then get one response, and a session that is never confirmed.
pub(super) const COUNTERS_MAX: usize = 65_536;

/// The highest handshake counter of each identity.
///
/// An identity is stored as the first eight bytes of its key. A second key with the same eight
/// bytes, which takes 2⁶⁴ tries to find, delays the other identity's next handshake by one round
/// trip.
#[derive(Default)]
pub(super) struct HandshakeCounters {
    by_identity: BTreeMap<u64, CounterEntry>,
    identity_by_age: BTreeMap<u64, u64>,
    next_age: u64,
}

fn prefix(identity: &PublicKey) -> u64 {
    u64::from_be_bytes(*identity.0.first_chunk().expect("a key has more than eight bytes"))
}

struct CounterEntry {
    highest: u64,
    age: u64,
}

impl HandshakeCounters {
    pub(super) fn highest(&self, identity: &PublicKey) -> Option<u64> {
        self.by_identity.get(&prefix(identity)).map(|counter| counter.highest)
    }

    /// Records a confirmed handshake of this identity. A counter that is no higher than before only
    /// refreshes its age.
    pub(super) fn raise(&mut self, identity: PublicKey, counter: u64) {
        let highest = self.highest(&identity).map_or(counter, |highest| highest.max(counter));
        let age = self.next_age;
        let identity = prefix(&identity);
        self.next_age += 1;
        if let Some(old) = self.by_identity.insert(identity, CounterEntry { highest, age }) {
            self.identity_by_age.remove(&old.age);
        }
        self.identity_by_age.insert(age, identity);
        if self.by_identity.len() > COUNTERS_MAX
            && let Some((_, oldest)) = self.identity_by_age.pop_first()
        {
            self.by_identity.remove(&oldest);
        }
    }
}

/// Time in which a response is repeated for the same first message: longer than a client's quick
/// retransmissions.
pub(super) const RESPONSE_LIFETIME: Duration = Duration::from_secs(5);
/// Maximum cached responses (300 KiB). The oldest is evicted; its client starts a new handshake.
pub(super) const RESPONSES_MAX: usize = 256;

/// Recent responses, oldest first. A valid mac1 identifies the message: it covers every byte before
/// it.
#[derive(Default)]
pub(super) struct ResponseCache(VecDeque<CachedResponse>);

struct CachedResponse {
    until: Tick,
    path: Path,
    mac1: [u8; MAC_LEN],
    packet: Vec<u8>,
}

impl ResponseCache {
    pub(super) fn get(&self, now: Tick, path: Path, mac1: &[u8; MAC_LEN]) -> Option<&[u8]> {
        self.find(now, mac1, |sent_on| sent_on == path)
    }

    /// Returns the response to the same message that was sent to another UDP address.
    pub(super) fn get_of_other_path(&self, now: Tick, path: Path, mac1: &[u8; MAC_LEN]) -> Option<&[u8]> {
        self.find(now, mac1, |sent_on| sent_on != path && sent_on.carrier() == Carrier::Udp)
    }

    fn find(&self, now: Tick, mac1: &[u8; MAC_LEN], fits: impl Fn(Path) -> bool) -> Option<&[u8]> {
        let is_it = |response: &&CachedResponse| {
            response.until > now && fits(response.path) && bool::from(response.mac1.ct_eq(mac1))
        };
        self.0.iter().rev().find(is_it).map(|response| &response.packet[..])
    }

    pub(super) fn insert(&mut self, now: Tick, path: Path, mac1: [u8; MAC_LEN], packet: &[u8]) {
        while self.0.front().is_some_and(|oldest| oldest.until <= now) || self.0.len() >= RESPONSES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(CachedResponse {
            until: now + RESPONSE_LIFETIME,
            path,
            mac1,
            packet: packet.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;

    fn identity(number: u32) -> PublicKey {
        PublicKey(std::array::from_fn(|i| number.to_be_bytes()[i % 4]))
    }

    #[test]
    fn oldest_identity_is_forgotten_at_limit() {
        let mut counters = HandshakeCounters::default();
        for number in 0..COUNTERS_MAX as u32 {
            counters.raise(identity(number), 5);
        }
        counters.raise(identity(0), 6);
        counters.raise(identity(0), 4);
        counters.raise(identity(u32::MAX), 7);
        assert_eq!(counters.highest(&identity(0)), Some(6));
        assert_eq!(counters.highest(&identity(1)), None);
        assert_eq!(counters.highest(&identity(2)), Some(5));
        assert_eq!(counters.by_identity.len(), COUNTERS_MAX);
        assert_eq!(counters.identity_by_age.len(), COUNTERS_MAX);
    }

    #[test]
    fn cached_responses_are_bounded_and_expire() {
        let path = Path::Tcp(ConnId(1));
        let other = Path::Tcp(ConnId(2));
        let mut responses = ResponseCache::default();
        for mac in 0..=RESPONSES_MAX {
            responses.insert(Tick::ZERO, path, [mac as u8; 16], &[mac as u8]);
        }
        assert_eq!(responses.0.len(), RESPONSES_MAX);
        assert_eq!(responses.get(Tick::ZERO, path, &[1; 16]), Some(&[1][..]));
        assert_eq!(responses.get(Tick::ZERO, other, &[1; 16]), None);
        assert_eq!(responses.get(Tick::ZERO + RESPONSE_LIFETIME, path, &[1; 16]), None);
        responses.insert(Tick::ZERO + RESPONSE_LIFETIME, path, [1; 16], &[1]);
        assert_eq!(responses.0.len(), 1);
    }
}
