//! Rates, and a rate limiter whose only state is a time.

use std::time::Duration;

use super::Tick;

/// How often something may happen: a burst after a pause, and one per interval in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    /// Time in which a burst is regained.
    burst: Duration,
}

impl Rate {
    /// Returns the rate of `burst` at once (at least 1) and one per `interval`.
    pub const fn new(interval: Duration, burst: u32) -> Rate {
        let burst = if burst == 0 { 1 } else { burst };
        Rate { interval, burst: interval.saturating_mul(burst) }
    }

    /// Returns the time in which one is regained.
    pub const fn interval(self) -> Duration {
        self.interval
    }
}

/// A rate limiter by the generic cell rate algorithm (ITU-T I.371, Annex A): its only state is the
/// time at which the burst will be whole again. Starts with a whole burst.
///
/// Amounts are given as the time in which they are regained: a letter per 10 ms is 10 ms, and
/// 1,000 bytes at 10,000 bytes a second are 100 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimiter {
    full_at: Tick,
}

impl RateLimiter {
    /// A limiter with a whole burst.
    pub const WHOLE: RateLimiter = RateLimiter { full_at: Tick::ZERO };

    /// Returns the time from which `cost` may be spent. More than the burst may be spent when the
    /// burst is whole.
    pub fn ready_at(self, cost: Duration, burst: Duration) -> Tick {
        self.full_at - burst.saturating_sub(cost)
    }

    /// Returns the time from which the burst is whole.
    pub const fn full_at(self) -> Tick {
        self.full_at
    }

    /// Whether one more is allowed now.
    ///
    /// # Errors
    /// The time from which it is allowed.
    pub fn ready(self, now: Tick, rate: Rate) -> Result<(), Tick> {
        let at = self.ready_at(rate.interval, rate.burst);
        if at <= now { Ok(()) } else { Err(at) }
    }

    /// Counts one, if it is allowed now. Returns whether it is.
    pub fn admit(&mut self, now: Tick, rate: Rate) -> bool {
        let is_ready = self.ready(now, rate).is_ok();
        if is_ready {
            self.spend(now, rate.interval);
        }
        is_ready
    }

    /// Spends `cost`, even if it is not allowed: later ones wait for it.
    pub fn spend(&mut self, now: Tick, cost: Duration) {
        self.full_at = self.full_at.max(now) + cost;
    }

    /// Takes back `cost`, which was spent for nothing.
    pub fn refund(&mut self, cost: Duration) {
        self.full_at = self.full_at - cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    const RATE: Rate = Rate::new(INTERVAL, 3);
    const START: Tick = Tick::from_micros(7);

    #[test]
    fn burst_passes_at_once_and_rest_at_rate() {
        let mut limiter = RateLimiter::default();
        assert!((0..3).all(|_| limiter.admit(START, RATE)));
        let again = START + INTERVAL;
        assert_eq!(limiter.ready(START, RATE), Err(again));
        assert!(!limiter.admit(START, RATE));
        assert!(limiter.admit(again, RATE));
        assert!(!limiter.admit(again, RATE));
        limiter.refund(INTERVAL);
        assert!(limiter.admit(again, RATE));
    }

    #[test]
    fn more_than_burst_passes_when_burst_is_whole() {
        let burst = Duration::from_secs(3);
        let mut limiter = RateLimiter::default();
        limiter.spend(START, Duration::from_secs(9));
        assert_eq!(limiter.ready_at(Duration::from_secs(1), burst), START + Duration::from_secs(7));
        assert_eq!(limiter.ready_at(Duration::from_secs(60), burst), limiter.full_at());
        let later = START + Duration::from_secs(60);
        limiter.spend(later, Duration::from_millis(500));
        assert_eq!(limiter.full_at(), later + Duration::from_millis(500));
    }

    #[test]
    fn burst_of_nothing_is_one() {
        let mut limiter = RateLimiter::default();
        let rate = Rate::new(INTERVAL, 0);
        assert!(limiter.admit(START, rate));
        assert!(!limiter.admit(START, rate));
    }
}
