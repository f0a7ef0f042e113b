//! Pace of letters from one sender to one recipient: a burst after a pause, then a rate.
//!
//! Each pair has a [`RateLimiter`], with bytes for cells.

use std::time::Duration;

use crate::base::{RateLimiter, Tick};

use super::limits::Limits;

/// A rate and a burst, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: u64,
    pub(super) burst: usize,
}

impl Pace {
    /// Returns the pace of every pair; `None` if pacing is off.
    pub(super) fn of(limits: &Limits) -> Option<Pace> {
        let rate = limits.pair_rate.max(1) as u64;
        limits.per_sender.then_some(Pace { rate, burst: limits.pair_burst })
    }

    /// Returns the time at which this many bytes may pass. More than a burst may pass when it is
    /// whole.
    pub(super) fn ready_at(self, limiter: RateLimiter, bytes: usize) -> Tick {
        limiter.ready_at(self.span(bytes), self.span(self.burst))
    }

    /// Counts this many bytes.
    pub(super) fn spend(self, limiter: &mut RateLimiter, now: Tick, bytes: usize) {
        limiter.spend(now, self.span(bytes));
    }

    fn span(self, bytes: usize) -> Duration {
        Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_at_once_and_rest_at_rate() {
        let pace = Pace { rate: 1_000, burst: 3_000 };
        let start = Tick::from_micros(5);
        let mut limiter = RateLimiter::default();
        for _ in 0..3 {
            assert!(pace.ready_at(limiter, 1_000) <= start);
            pace.spend(&mut limiter, start, 1_000);
        }
        assert_eq!(pace.ready_at(limiter, 1_000), start + Duration::from_secs(1));
        assert_eq!(pace.ready_at(limiter, 9_000), start + Duration::from_secs(3), "whole again");
        assert!(Pace::of(&Limits { per_sender: false, ..Limits::default() }).is_none());
    }
}
