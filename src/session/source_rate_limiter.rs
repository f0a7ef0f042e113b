//! A rate limit per source, and the rate of handshakes above which cookies are required.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use blake2::Blake2sMac;
use blake2::digest::consts::U8;
use blake2::digest::{KeyInit, Mac};

use crate::base::{PublicKey, Rate, RateLimiter, Tick};

/// Entries per hash: enough that sources rarely evict each other.
const WAYS: usize = 4;
/// Groups of entries: 4,096 sources in 64 KiB, whatever the flood.
const SETS: usize = 1024;

/// A rate limit per IPv4 address or IPv6 /64, in a table of fixed size.
///
/// At the bound the source that has been quiet longest is forgotten. Loopback is exempt.
pub struct SourceRateLimiter {
    rate: Rate,
    key: [u8; 32],
    entries: Vec<RateEntry>,
}

/// One source: its hash and its limiter.
#[derive(Clone, Copy, Default)]
struct RateEntry {
    source: u64,
    limiter: RateLimiter,
}

impl SourceRateLimiter {
    /// Creates a limit of `rate` for each source. The table is hashed with the secret `key`.
    pub fn new(key: [u8; 32], rate: Rate) -> SourceRateLimiter {
        SourceRateLimiter { rate, key, entries: vec![RateEntry::default(); SETS * WAYS] }
    }

    /// Whether this source may make one more request now. Counts it if so.
    pub fn admit(&mut self, now: Tick, source: IpAddr) -> bool {
        let source = source.to_canonical();
        if source.is_loopback() {
            return true;
        }
        self.admit_hash(now, self.hash(source))
    }

    /// As [`SourceRateLimiter::admit`], for a public key.
    pub(super) fn admit_key(&mut self, now: Tick, key: &PublicKey) -> bool {
        let mac = <Blake2sMac<U8> as KeyInit>::new_from_slice(&self.key).expect("BLAKE2s takes 32-byte keys");
        let hash = mac.chain_update(key.0).finalize().into_bytes();
        self.admit_hash(now, u64::from_be_bytes(hash.into()))
    }

    fn admit_hash(&mut self, now: Tick, hash: u64) -> bool {
        let start = (hash % SETS as u64) as usize * WAYS;
        let entries = &mut self.entries[start..start + WAYS];
        let at = entries.iter().position(|entry| entry.source == hash).unwrap_or_else(|| {
            let quietest = (0..WAYS).min_by_key(|at| entries[*at].limiter.full_at()).unwrap_or(0);
            entries[quietest] = RateEntry { source: hash, limiter: RateLimiter::default() };
            quietest
        });
        entries[at].limiter.admit(now, self.rate)
    }

    /// Takes back the last admitted request of this source, which failed through no fault of the
    /// source.
    pub fn refund(&mut self, source: IpAddr) {
        let hash = self.hash(source.to_canonical());
        let start = (hash % SETS as u64) as usize * WAYS;
        let mut entries = self.entries[start..start + WAYS].iter_mut();
        if let Some(entry) = entries.find(|entry| entry.source == hash) {
            entry.limiter.refund(self.rate.interval());
        }
    }

    /// Hashes a source. Keyed with a secret, so that an attacker cannot choose sources that share
    /// entries.
    fn hash(&self, source: IpAddr) -> u64 {
        let mac = <Blake2sMac<U8> as KeyInit>::new_from_slice(&self.key).expect("BLAKE2s takes 32-byte keys");
        let mac = match source {
            IpAddr::V4(ip) => mac.chain_update(ip.octets()),
            IpAddr::V6(ip) => mac.chain_update(&ip.octets()[..8]),
        };
        u64::from_be_bytes(mac.finalize().into_bytes().into())
    }
}

/// Hides the key.
impl fmt::Debug for SourceRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceRateLimiter").field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// First messages per second, of all sources together, above which the relay is under load.
///
/// Measured in a release build: a granted one costs 0.35 ms, a forged one 0.13 ms, and a cookie 5
/// µs. So 100 per second take 4 % of the loop, and 5,000 cookies 2.5 %.
const LOAD_PER_SECOND: u32 = 100;
/// Maximum excess of the count above the threshold: the load ends at most this long after a flood.
const LOAD_EXCESS: Duration = Duration::from_secs(1);

/// Whether all sources together perform too many handshakes.
///
/// Requests are counted, granted or not. A flood that only gets cookies therefore keeps the relay
/// under load, and none of it is admitted in between.
#[derive(Default)]
pub(super) struct HandshakeLoad {
    full_at: Tick,
}

impl HandshakeLoad {
    /// Counts one first message. Returns `true` if it arrived under load: the 101st within a
    /// second, or later.
    pub(super) fn count(&mut self, now: Tick) -> bool {
        let second = Duration::from_secs(1);
        let full_at = self.full_at.max(now) + second / LOAD_PER_SECOND;
        self.full_at = full_at.min(now + second + LOAD_EXCESS);
        full_at.since(now) > second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshakes() -> SourceRateLimiter {
        SourceRateLimiter::new([1; 32], Rate::new(Duration::from_millis(200), 10))
    }

    fn admitted(throttle: &mut SourceRateLimiter, now: Tick, source: &str, tries: usize) -> usize {
        (0..tries).filter(|_| throttle.admit(now, source.parse().unwrap())).count()
    }

    #[test]
    fn source_gets_burst_of_10_and_5_per_s() {
        let mut throttle = handshakes();
        let start = Tick::from_micros(1);
        assert_eq!(admitted(&mut throttle, start, "192.0.2.1", 50), 10);
        assert_eq!(admitted(&mut throttle, start + Duration::from_secs(1), "192.0.2.1", 50), 5);
        assert_eq!(admitted(&mut throttle, start, "192.0.2.2", 1), 1, "another address");
        assert_eq!(admitted(&mut throttle, start + Duration::from_secs(60), "192.0.2.1", 50), 10);
    }

    #[test]
    fn failed_request_is_given_back() {
        let mut throttle = handshakes();
        let source = "192.0.2.1".parse().unwrap();
        assert_eq!(admitted(&mut throttle, Tick::from_micros(1), "192.0.2.1", 50), 10);
        throttle.refund(source);
        assert_eq!(admitted(&mut throttle, Tick::from_micros(1), "192.0.2.1", 50), 1);
        throttle.refund("192.0.2.2".parse().unwrap());
    }

    #[test]
    fn one_64_is_one_source_and_mapped_address_is_ipv4() {
        let mut throttle = handshakes();
        assert_eq!(admitted(&mut throttle, Tick::ZERO, "2001:db8::1", 50), 10);
        assert_eq!(admitted(&mut throttle, Tick::ZERO, "2001:db8::2", 50), 0);
        assert_eq!(admitted(&mut throttle, Tick::ZERO, "2001:db8:0:1::1", 1), 1);
        assert_eq!(admitted(&mut throttle, Tick::ZERO, "::ffff:192.0.2.1", 50), 10);
        assert_eq!(admitted(&mut throttle, Tick::ZERO, "192.0.2.1", 50), 0);
    }

    /// Load begins with the 101st message within a second, and ends about a second after a flood.
    #[test]
    fn load_begins_above_100_per_s_and_ends_soon_after_flood() {
        let mut load = HandshakeLoad::default();
        let start = Tick::from_micros(1);
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert!((0..1_000).all(|n| !load.count(at(n * 10))), "a hundred a second");
        let mut load = HandshakeLoad::default();
        assert_eq!((0..150).filter(|_| load.count(start)).count(), 50, "at once");
        let mut load = HandshakeLoad::default();
        let flood = (0..10_000u64).map(|n| load.count(start + Duration::from_micros(n * 200)));
        assert!(flood.skip(102).all(|under_load| under_load), "5,000 a second");
        assert!(load.count(at(2_500)));
        assert!(!load.count(at(3_200)));
    }

    #[test]
    fn loopback_is_exempt() {
        let mut throttle = handshakes();
        for source in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(admitted(&mut throttle, Tick::ZERO, source, 1000), 1000);
        }
    }

    #[test]
    fn flood_of_sources_does_not_grow_table() {
        let mut throttle = handshakes();
        let entries = throttle.entries.len();
        for source in 0..20_000u32 {
            throttle.admit(Tick::ZERO, IpAddr::V4((0x0A00_0000 + source).into()));
        }
        assert_eq!(throttle.entries.len(), entries);
    }
}
