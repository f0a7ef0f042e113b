//! What happened outside, counted; and log lines that nobody outside can make a flood of.

use std::time::Duration;

use crate::base::{Tick, Why};

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// System calls to wait for readiness.
    pub polls: u64,
    /// Datagrams received and given to the core.
    pub datagrams_in: u64,
    /// Datagrams handed to the kernel.
    pub datagrams_out: u64,
    /// Sends of several datagrams at once: trains to one peer, or one `sendmmsg` to many.
    pub batches_out: u64,
    /// Datagrams dropped because they are empty or larger than a packet can be.
    pub datagrams_misfit: u64,
    /// Datagrams dropped because they say that they come from the socket they came to.
    pub datagrams_from_self: u64,
    /// Errors of receiving; the socket goes on.
    pub receive_errors: u64,
    /// Datagrams the system refused because nothing listens there.
    pub sends_refused: u64,
    /// Datagrams the system refused because there is no way there.
    pub sends_unreachable: u64,
    /// Datagrams refused for any other reason.
    pub sends_failed: u64,
    /// Datagrams dropped because the kernel took none and the queue was full.
    pub sends_dropped: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once, because the table was full.
    pub accepts_refused: u64,
    /// Failures to accept a connection, as by a lack of descriptors.
    pub accept_errors: u64,
    /// Packets received in records.
    pub records_in: u64,
    /// Packets queued as records.
    pub records_out: u64,
    /// Connections closed because their bytes were no records.
    pub framing_errors: u64,
    /// Connections closed because the other end did not read.
    pub stuck: u64,
}

impl Stats {
    pub(super) fn count_refused(&mut self, why: Why) {
        match why {
            Why::Refused => self.sends_refused += 1,
            Why::Unreachable => self.sends_unreachable += 1,
            _ => self.sends_failed += 1,
        }
    }
}

/// Kinds of log lines; each has a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Send,
    Receive,
    Accept,
    Connection,
}

/// Lines of one kind in one second: enough to see what goes on, too few to fill a disk.
const LINES_PER_SECOND: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Limiter {
    kinds: [(Tick, u32); 4],
}

impl Limiter {
    /// Whether one more line of this kind may be written.
    pub(super) fn may(&mut self, line: Line, now: Tick) -> bool {
        let (since, written) = &mut self.kinds[line as usize];
        if now.since(*since) >= Duration::from_secs(1) {
            (*since, *written) = (now, 0);
        }
        *written += 1;
        *written <= LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_of_a_kind_in_a_second() {
        let mut limiter = Limiter::default();
        let at = |millis: u64| Tick::from_micros((5000 + millis) * 1000);
        assert_eq!((0..100).filter(|i| limiter.may(Line::Send, at(*i))).count(), 10);
        assert!(limiter.may(Line::Accept, at(100)));
        assert!(limiter.may(Line::Send, at(1000)));
    }
}
