//! How much text one source may send, whatever it pretends to be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Tick;
use crate::relay::limits::{Bucket, source};

/// Letters of one source in the long run: one in this time.
const INTERVAL: Duration = Duration::from_millis(10);
/// Letters of one source at once after a pause.
const BURST: u32 = 1_000;
/// Sources that are remembered; while so many were busy lately, others wait.
const SOURCES_MAX: usize = 4_096;
/// How often those that have their whole share again are forgotten, at the bound.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The shares of all sources.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_source: BTreeMap<IpAddr, Bucket>,
    swept: Tick,
}

impl Shares {
    /// Counts one more letter from there; `false` if it is one too many.
    pub(super) fn admits(&mut self, now: Tick, ip: IpAddr) -> bool {
        let key = source(ip);
        if !self.by_source.contains_key(&key) && self.by_source.len() >= SOURCES_MAX {
            if now.since(self.swept) < SWEEP_EVERY {
                return false;
            }
            self.swept = now;
            self.by_source.retain(|_, share| share.ready(now, INTERVAL, 1).is_err());
            if self.by_source.len() >= SOURCES_MAX {
                return false;
            }
        }
        let share = self.by_source.entry(key).or_default();
        let ready = share.ready(now, INTERVAL, BURST).is_ok();
        if ready {
            share.spend(now, INTERVAL);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_burst_and_all_together_are_bounded() {
        let (mut shares, now) = (Shares::default(), Tick::from_micros(9_000_000));
        let ip = IpAddr::from([192, 0, 2, 1]);
        assert!((0..BURST).all(|_| shares.admits(now, ip)));
        assert!(!shares.admits(now, ip));
        let forged = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let admitted = (0..10_000).filter(|n| shares.admits(now, forged(*n))).count();
        assert_eq!(admitted, SOURCES_MAX - 1);
        assert!(shares.admits(now + SWEEP_EVERY, forged(20_000)), "who was idle for a while is forgotten");
    }
}
