//! Counters of network events, and a limit on log lines that remote peers could otherwise cause
//! without bound.

use std::time::Duration;

use crate::base::{PathError, Tick};

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// System calls that wait for readiness.
    pub polls: u64,
    /// Datagrams received and passed to the core.
    pub datagrams_in: u64,
    /// Datagrams passed to the kernel.
    pub datagrams_out: u64,
    /// Sends of several datagrams: a GSO batch to one peer, or one `sendmmsg` to many.
    pub batches_out: u64,
    /// Datagrams dropped because they were empty or larger than a packet can be.
    pub datagrams_misfit: u64,
    /// Datagrams dropped because they claimed to come from the receiving socket.
    pub datagrams_from_self: u64,
    /// Receive errors. The socket stays in use.
    pub receive_errors: u64,
    /// Datagrams the system refused because nothing listens there.
    pub sends_refused: u64,
    /// Datagrams the system refused because there is no route.
    pub sends_unreachable: u64,
    /// Datagrams refused for any other reason.
    pub sends_failed: u64,
    /// Datagrams dropped because the kernel took none and the queue was full.
    pub sends_dropped: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed on arrival because the table was full.
    pub accepts_refused: u64,
    /// Failures to accept a connection, for example for lack of descriptors.
    pub accept_errors: u64,
    /// Packets received in records.
    pub records_in: u64,
    /// Packets queued as records.
    pub records_out: u64,
    /// Connections closed because their bytes were not records.
    pub framing_errors: u64,
    /// Connections closed because the other end did not read.
    pub stuck: u64,
}

impl Stats {
    pub(super) fn count_refused(&mut self, error: PathError) {
        match error {
            PathError::Refused => self.sends_refused += 1,
            PathError::Unreachable => self.sends_unreachable += 1,
            _ => self.sends_failed += 1,
        }
    }
}

/// Kinds of log lines. Each has its own budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogKind {
    Send,
    Receive,
    Accept,
    Connection,
}

/// Maximum log lines of one kind in one second: enough to see the cause, too few to fill a disk.
const LINES_PER_SECOND: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct LogLimiter {
    kinds: [(Tick, u32); 4],
}

impl LogLimiter {
    /// Whether one more line of this kind may be written.
    pub(super) fn may_log(&mut self, kind: LogKind, now: Tick) -> bool {
        let (since, written) = &mut self.kinds[kind as usize];
        if now.since(*since) >= Duration::from_secs(1) {
            *since = now;
            *written = 0;
        }
        *written += 1;
        *written <= LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_gets_10_log_lines_per_second() {
        let mut limiter = LogLimiter::default();
        let at = |millis: u64| Tick::from_micros((5000 + millis) * 1000);
        assert_eq!((0..100).filter(|i| limiter.may_log(LogKind::Send, at(*i))).count(), 10);
        assert!(limiter.may_log(LogKind::Accept, at(100)));
        assert!(limiter.may_log(LogKind::Send, at(1000)));
    }
}
