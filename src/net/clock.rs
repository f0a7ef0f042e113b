//! The process's clocks. This module is the only one that reads the system clock.
//!
//! Linux: `CLOCK_BOOTTIME`, which counts while the machine sleeps. After a night of sleep every
//! keep-alive and session deadline has passed, and the core acts on them in its next turn. The poll
//! itself waits on a clock that stops during sleep: the next turn starts when the rest of the wait
//! is over, or when a packet or key arrives. Elsewhere: `Instant`, which on macOS stops during
//! sleep.
#![allow(clippy::disallowed_types, reason = "the only module that reads the system clock")]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::{Now, Tick, Wall};

/// First tick of a process: 1 s, so that a core can look back a little from it.
const FIRST_TICK: Tick = Tick::from_micros(1_000_000);

#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock {
    origin: Monotonic,
}

impl SystemClock {
    /// Returns a clock. All clocks of a process have the same origin, so their ticks can be
    /// compared.
    pub(super) fn new() -> SystemClock {
        static ORIGIN: OnceLock<Monotonic> = OnceLock::new();
        SystemClock { origin: *ORIGIN.get_or_init(Monotonic::read) }
    }

    pub(super) fn tick(&self) -> Tick {
        FIRST_TICK + Monotonic::read().since(self.origin)
    }

    pub(super) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { tick: self.tick(), wall: Wall(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)) }
    }
}

#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct Monotonic(Duration);

#[cfg(target_os = "linux")]
impl Monotonic {
    fn read() -> Monotonic {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(time.tv_sec).expect("time since boot is not negative");
        let nanos = u32::try_from(time.tv_nsec).expect("nanoseconds are below 1,000,000,000");
        Monotonic(Duration::new(secs, nanos))
    }

    fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, Debug)]
struct Monotonic(std::time::Instant);

#[cfg(not(target_os = "linux"))]
impl Monotonic {
    fn read() -> Monotonic {
        Monotonic(std::time::Instant::now())
    }

    fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_start_at_1_s_and_never_decrease() {
        let clock = SystemClock::new();
        let first = clock.now();
        let second = clock.now();
        assert!(first.tick >= FIRST_TICK && second.tick >= first.tick);
        assert!(first.wall > Wall(1_600_000_000_000), "the wall clock counts milliseconds since 1970");
    }
}
