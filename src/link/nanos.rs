//! Spans of time as whole nanoseconds. Each packet adds, compares and scales a dozen of them; a `Duration` is taken apart
//! and put together again for each.

use std::time::Duration;

use crate::base::Tick;

/// A span of time in nanoseconds.
pub type Nanos = u64;

/// The same of a span.
pub const fn nanos(span: Duration) -> Nanos {
    span.as_secs() * 1_000_000_000 + span.subsec_nanos() as u64
}

/// So many microseconds, as far as they can be counted.
pub const fn of_micros(micros: u64) -> Nanos {
    micros.saturating_mul(1_000)
}

/// The time from `earlier` to `now`; zero if `earlier` is later.
pub const fn since(now: Tick, earlier: Tick) -> Nanos {
    of_micros(now.as_micros().saturating_sub(earlier.as_micros()))
}

/// The moment that much after `tick`, to the microsecond below.
pub const fn after(tick: Tick, span: Nanos) -> Tick {
    Tick::from_micros(tick.as_micros().saturating_add(span / 1_000))
}
