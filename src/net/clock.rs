//! The process's clocks.
//!
//! Linux: `CLOCK_BOOTTIME`, which goes on while the machine sleeps, so that after a night in a bag every keep-alive
//! and session deadline has passed and the core acts on it at its next turn. (The wait itself runs on the poll's
//! clock, which stands still in sleep: the turn comes when the rest of the wait is over, or a packet or key arrives.)
//! Elsewhere: `Instant`, which on macOS stands still in sleep.
#![allow(clippy::disallowed_types, reason = "the one room that reads clocks")]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::{Now, Tick, Wall};

/// Ticks begin here, so that a core may look a little back from the first one.
const FIRST_TICK: Tick = Tick::from_micros(1_000_000);

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Monotonic,
}

impl Clock {
    /// All clocks of the process have one origin, so that a tick of one can be compared with a tick of another.
    pub(super) fn new() -> Clock {
        static ORIGIN: OnceLock<Monotonic> = OnceLock::new();
        Clock { origin: *ORIGIN.get_or_init(Monotonic::read) }
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
        let secs = u64::try_from(time.tv_sec).expect("time since the boot is not negative");
        let nanos = u32::try_from(time.tv_nsec).expect("nanoseconds are below a thousand million");
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
    fn ticks_begin_at_a_second_and_never_go_back() {
        let clock = Clock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.tick >= FIRST_TICK && second.tick >= first.tick);
        assert!(first.wall > Wall(1_600_000_000_000), "the wall clock counts milliseconds since 1970");
    }
}
