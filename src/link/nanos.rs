//! Time spans as integer nanoseconds.
//!
//! Each packet adds, compares and scales a dozen of them. With `Duration`, each operation would
//! split and join seconds and nanoseconds.

use std::time::Duration;

use crate::base::Tick;

/// A span of time in nanoseconds.
pub type Nanos = u64;

/// Converts a duration.
pub const fn nanos(span: Duration) -> Nanos {
    span.as_secs() * 1_000_000_000 + span.subsec_nanos() as u64
}

/// Converts microseconds, saturating.
pub const fn of_micros(micros: u64) -> Nanos {
    micros.saturating_mul(1_000)
}

/// Returns the time from `earlier` to `now`; zero if `earlier` is later.
pub const fn since(now: Tick, earlier: Tick) -> Nanos {
    of_micros(now.as_micros().saturating_sub(earlier.as_micros()))
}

/// Returns the time `span` after `tick`, rounded down to microseconds.
pub const fn after(tick: Tick, span: Nanos) -> Tick {
    Tick::from_micros(tick.as_micros().saturating_add(span / 1_000))
}
