//! How fast letters of one sender pass to one recipient: at once after a pause, then at a rate.
//!
//! A leaky bucket for each pair (the generic cell rate algorithm, with bytes for cells). All that
//! is kept of one is the time at which it will be whole again.

use std::time::Duration;

use crate::base::Tick;

use super::limits::Limits;

/// A rate and a burst, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: u64,
    pub(super) burst: usize,
}

impl Pace {
    /// The pace of every pair; `None` where it is lifted.
    pub(super) fn of(limits: &Limits) -> Option<Pace> {
        let rate = limits.pair_rate.max(1) as u64;
        limits.per_sender.then_some(Pace { rate, burst: limits.pair_burst })
    }

    /// When this many bytes may pass of a pair that is whole again at `whole_at`. More than a burst
    /// pass when it is whole.
    pub(super) fn ready_at(self, whole_at: Tick, bytes: usize) -> Tick {
        whole_at - self.span(self.burst.saturating_sub(bytes))
    }

    /// When a pair is whole again of which this many bytes pass now.
    pub(super) fn spend(self, whole_at: Tick, now: Tick, bytes: usize) -> Tick {
        whole_at.max(now) + self.span(bytes)
    }

    fn span(self, bytes: usize) -> Duration {
        Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_at_once_and_the_rest_at_the_rate() {
        let pace = Pace { rate: 1_000, burst: 3_000 };
        let (start, mut whole_at) = (Tick::from_micros(5), Tick::ZERO);
        for _ in 0..3 {
            assert!(pace.ready_at(whole_at, 1_000) <= start);
            whole_at = pace.spend(whole_at, start, 1_000);
        }
        assert_eq!(pace.ready_at(whole_at, 1_000), start + Duration::from_secs(1));
        assert_eq!(pace.ready_at(whole_at, 9_000), start + Duration::from_secs(3), "whole again");
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.spend(whole_at, later, 500), later + Duration::from_millis(500));
        assert!(Pace::of(&Limits { per_sender: false, ..Limits::default() }).is_none());
    }
}
