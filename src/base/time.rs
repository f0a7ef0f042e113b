//! Time in the cores: a monotonic clock for timers and a wall clock for users, both read once per
//! turn.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time on a monotonic clock, in microseconds since an arbitrary origin; at most 2⁶⁴ − 2.
///
/// Stored from 1, so that an `Option<Tick>` takes no more memory than a `Tick`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(NonZeroU64);

impl Tick {
    /// The origin.
    pub const ZERO: Tick = Tick(NonZeroU64::MIN);

    /// Returns the time `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Tick {
        Tick(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Returns the microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Returns the first time from this one on that is a whole number of spans after the origin.
    ///
    /// `span` must not be zero.
    pub const fn rounded_up(self, span: Duration) -> Tick {
        let rest = self.as_micros() % micros(span);
        if rest == 0 { self } else { Tick(self.0.saturating_add(micros(span) - rest)) }
    }

    /// Returns the earliest of the times that are present.
    pub fn earliest<const N: usize>(moments: [Option<Tick>; N]) -> Option<Tick> {
        // The last possible time represents "never".
        let never = Tick(NonZeroU64::MAX);
        let earliest = moments.iter().fold(never, |earliest, moment| earliest.min(moment.unwrap_or(never)));
        (earliest < never).then_some(earliest)
    }
}

/// Returns the whole microseconds of a span, saturating.
const fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(span.subsec_micros() as u64)
}

impl Default for Tick {
    fn default() -> Tick {
        Tick::ZERO
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tick").field(&self.as_micros()).finish()
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;
    fn add(self, span: Duration) -> Tick {
        Tick(self.0.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Tick {
    type Output = Tick;
    fn sub(self, span: Duration) -> Tick {
        Tick::from_micros(self.as_micros().saturating_sub(micros(span)))
    }
}

/// A time on the wall clock, in milliseconds since the Unix epoch. For users and ids, never for
/// timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub u64);

/// Time of one turn: both clocks, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time, for all timers.
    pub tick: Tick,
    /// Wall-clock time, which may jump.
    pub wall: Wall,
}

/// Timers hold optional ticks.
const _: () = assert!(size_of::<Option<Tick>>() == size_of::<Tick>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_counts_from_zero() {
        assert_eq!(Tick::from_micros(0), Tick::ZERO);
        assert_eq!(Tick::default().as_micros(), 0);
    }

    #[test]
    fn tick_rounds_up_to_whole_span() {
        let rounded = |micros| Tick::from_micros(micros).rounded_up(Duration::from_micros(250)).as_micros();
        assert_eq!([0, 1, 249, 250, 251].map(rounded), [0, 250, 250, 250, 500]);
        assert_eq!(rounded(u64::MAX), u64::MAX - 1, "saturates at the last tick");
    }
}
