//! Rates of text by source or network, for any number of sources.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

use crate::base::{Rate, RateLimiter, Rng, Tick};

/// Buckets of one row, 8 bytes each: 64 KiB for both rows. A flood fills a bucket only if it sends
/// more than its rate into it, 4,096 times the rate in total.
const ROW_LEN: usize = 4_096;
/// Rows, each with another hash. A source that shares a full bucket with a flood has a separate one
/// in the other row.
const ROWS: usize = 2;

/// A rate for each source, in a table of fixed size.
///
/// A source has one bucket in each row and is refused when both are empty. No number of sources can
/// exclude another by filling the table, and none gets more than its rate. Sources cannot be chosen
/// to share a bucket, because the hashes are seeded with a secret.
#[derive(Debug)]
pub(super) struct ByteBudgets {
    rate: Rate,
    hashes: [FixedState; ROWS],
    limiters: Vec<RateLimiter>,
}

impl ByteBudgets {
    /// Returns a table that allows `rate` for each source.
    pub(super) fn new(rng: &mut Rng, rate: Rate) -> ByteBudgets {
        let hashes = std::array::from_fn(|_| FixedState::with_seed(rng.next_u64()));
        ByteBudgets { rate, hashes, limiters: vec![RateLimiter::default(); ROWS * ROW_LEN] }
    }

    /// Counts one more text of `key`. Returns `false`, without counting it, if it exceeds the rate.
    pub(super) fn admit(&mut self, now: Tick, key: impl Hash) -> bool {
        let indexes = self.indexes(key);
        let mut admitted = false;
        for at in indexes {
            admitted |= self.limiters[at].admit(now, self.rate);
        }
        admitted
    }

    fn indexes(&self, key: impl Hash) -> [usize; ROWS] {
        let at = |row: usize| row * ROW_LEN + (self.hashes[row].hash_one(&key) % ROW_LEN as u64) as usize;
        std::array::from_fn(at)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    const NOW: Tick = Tick::from_micros(9_000_000);

    fn shares() -> ByteBudgets {
        ByteBudgets::new(&mut Rng::from_seed([3; 32]), Rate::new(INTERVAL, 100))
    }

    #[test]
    fn source_has_its_burst_and_then_its_rate() {
        let mut shares = shares();
        let ip = IpAddr::from([192, 0, 2, 1]);
        assert!((0..100).all(|_| shares.admit(NOW, ip)));
        assert!(!shares.admit(NOW, ip));
        assert!(shares.admit(NOW + INTERVAL, ip) && !shares.admit(NOW + INTERVAL, ip));
    }

    /// Nine in ten of 50 sources are admitted among 100,000 others, and among 200 that exceed their
    /// rate.
    #[test]
    fn flood_does_not_exclude_other_sources() {
        let mut shares = shares();
        let forged = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        assert_eq!((0..100_000).filter(|n| shares.admit(NOW, forged(*n))).count(), 100_000);
        for n in 0..200 {
            while shares.admit(NOW, forged(n)) {}
        }
        let admitted = (0..50).filter(|n| shares.admit(NOW, IpAddr::from([192, 0, 2, *n]))).count();
        assert!(admitted >= 45, "{admitted}");
    }
}
