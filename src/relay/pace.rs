//! Pace of letters from one sender to one recipient: a burst after a pause, then a rate.
//!
//! A leaky bucket for each pair (the generic cell rate algorithm, with bytes for cells). Its only
//! state is the time at which it will be full again.

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
    /// Returns the pace of every pair; `None` if pacing is off.
    pub(super) fn of(limits: &Limits) -> Option<Pace> {
        let rate = limits.pair_rate.max(1) as u64;
        limits.per_sender.then_some(Pace { rate, burst: limits.pair_burst })
    }

    /// Returns the time at which this many bytes may pass, for a pair that is full again at
    /// `full_at`. More than a burst may pass when it is full.
    pub(super) fn ready_at(self, whole_at: Tick, bytes: usize) -> Tick {
        whole_at - self.span(self.burst.saturating_sub(bytes))
    }

    /// Returns the time at which a pair is full again if this many bytes pass now.
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
    fn burst_passes_at_once_and_rest_at_rate() {
        let pace = Pace { rate: 1_000, burst: 3_000 };
        let start = Tick::from_micros(5);
        let mut whole_at = Tick::ZERO;
        for _ in 0..3 {
            assert!(pace.ready_at(whole_at, 1_000) <= start);
            whole_at = pace.spend(whole_at, start, 1_000);
        }
        assert_eq!(pace.ready_at(whole_at, 1_000), start + Duration::from_secs(1));
        assert_eq!(pace.ready_at(whole_at, 9_000), start + Duration::from_secs(3), "full again");
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.spend(whole_at, later, 500), later + Duration::from_millis(500));
        assert!(Pace::of(&Limits { per_sender: false, ..Limits::default() }).is_none());
    }
}
