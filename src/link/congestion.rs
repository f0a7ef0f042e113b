//! NewReno's congestion window (RFC 9002 §7) and a pacer (§7.7), for UDP paths.

use std::time::Duration;

use super::nanos::{Nanos, nanos, since};
use crate::base::{Tick, Unpacker, pack_maybe_tick, pack_number, pack_tick};
use crate::wire::limits::{UDP_PACKET_MAX, UNACKED_MAX};

/// Initial window in bytes: ten packets (RFC 9002 §7.2).
pub const WINDOW_INITIAL: usize = 10 * UDP_PACKET_MAX;
/// Minimum window in bytes: two packets (RFC 9002 §7.2).
pub const WINDOW_MIN: usize = 2 * UDP_PACKET_MAX;
/// Maximum window in bytes: twice [`UNACKED_MAX`], the limit of unacknowledged data of a session.
/// Packet overhead and retransmissions fit into the rest.
pub const WINDOW_MAX: usize = 2 * UNACKED_MAX;
/// Minimum burst after a pause, in bytes: the initial window (RFC 9002 §7.7).
const BURST_MIN: u64 = WINDOW_INITIAL as u64;
/// Time that a burst may cover on a fast path: 2 ms, since timers are no finer.
const BURST_SPAN: Nanos = nanos(Duration::from_millis(2));
/// Maximum burst in bytes: one GSO train.
const BURST_MAX: u64 = 54 * UDP_PACKET_MAX as u64;
/// Pause after which a burst is no longer than [`BURST_MIN`].
const PAUSE_LONG: Nanos = nanos(Duration::from_secs(1));
/// Maximum burst after a suspension, in bytes: with a path validation and a handshake at the same
/// time, no more than ten packets.
const BURST_WOKEN: u64 = WINDOW_INITIAL as u64 / 2;
/// Shortest wait of the pacer: 1 ms, within which a burst keeps the path busy.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The window and the pacer of one path.
#[derive(Clone, Debug)]
pub struct Congestion {
    window: usize,
    slow_start_threshold: usize,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: usize,
    /// Losses of packets sent before this belong to an event that has reduced the window already.
    recovery_start: Option<Tick>,
    /// Bytes that may leave without a pause, at the time `refilled`.
    tokens: u64,
    refilled: Tick,
}

impl Congestion {
    /// Creates the state of a new path.
    pub fn new(now: Tick) -> Congestion {
        Congestion {
            window: WINDOW_INITIAL,
            slow_start_threshold: usize::MAX,
            acked: 0,
            recovery_start: None,
            tokens: BURST_MIN,
            refilled: now,
        }
    }

    /// Appends the state to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let no_threshold = self.slow_start_threshold == usize::MAX;
        let threshold = if no_threshold { 0 } else { self.slow_start_threshold as u64 };
        for number in [self.window as u64, threshold, self.acked as u64, self.tokens] {
            pack_number(into, number);
        }
        pack_maybe_tick(into, self.recovery_start);
        pack_tick(into, self.refilled);
    }

    /// Restores a state written by [`Congestion::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> Congestion {
        let window = from.size();
        let threshold = from.size();
        let acked = from.size();
        let tokens = from.number();
        let slow_start_threshold = if threshold == 0 { usize::MAX } else { threshold };
        let recovery_start = from.maybe_tick();
        let refilled = from.tick();
        Congestion { window, slow_start_threshold, acked, recovery_start, tokens, refilled }
    }

    /// Returns the window in bytes.
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Handles the ack of a packet sent at `sent`.
    ///
    /// `in_flight` is the number of bytes in flight before. An unused window does not grow (RFC
    /// 9002 §7.8).
    pub fn handle_ack(&mut self, sent: Tick, size: usize, in_flight: usize) {
        let slow_start = self.window < self.slow_start_threshold;
        // Used up to three packets. In slow start half is enough, since the window doubles each
        // round trip.
        let used =
            in_flight + 3 * UDP_PACKET_MAX >= self.window || slow_start && 2 * in_flight >= self.window;
        if !used || self.recovery_start.is_some_and(|start| sent <= start) {
            return;
        }
        if slow_start {
            self.window += size;
        } else {
            self.acked += size;
            if self.acked >= self.window {
                self.acked -= self.window;
                self.window += UDP_PACKET_MAX;
            }
        }
        self.window = self.window.min(WINDOW_MAX);
    }

    /// Handles the loss of a packet sent at `sent`. Halves the window once per round trip of
    /// losses.
    pub fn handle_loss(&mut self, sent: Tick, now: Tick) {
        if self.recovery_start.is_some_and(|start| sent <= start) {
            return;
        }
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(WINDOW_MIN);
        self.slow_start_threshold = self.window;
        self.acked = 0;
    }

    /// Handles persistent congestion: nothing got through for three PTOs (RFC 9002 §7.6).
    pub fn handle_persistent_congestion(&mut self) {
        self.window = WINDOW_MIN;
        self.recovery_start = None;
        self.acked = 0;
    }

    /// Returns the bytes that leave in `span` at 1.25 windows per round trip (RFC 9002 §7.7).
    fn worth(&self, span: Nanos, rtt: Nanos) -> u64 {
        let micros = |span: Nanos| (span / 1_000).clamp(1, 1 << 24);
        self.window as u64 * micros(span) * 5 / (4 * micros(rtt))
    }

    fn burst(&self, rtt: Nanos) -> u64 {
        self.worth(BURST_SPAN, rtt).clamp(BURST_MIN, BURST_MAX)
    }

    fn tokens_at(&self, now: Tick, rtt: Nanos) -> u64 {
        if now <= self.refilled {
            return self.tokens;
        }
        let pause = since(now, self.refilled);
        let more = self.worth(pause, rtt);
        if pause > PAUSE_LONG {
            return (self.tokens + more).min(BURST_MIN);
        }
        (self.tokens + more).min(self.burst(rtt).max(self.tokens))
    }

    /// Returns when `size` bytes may leave, or `None` if they may leave now.
    pub fn pause(&self, now: Tick, size: usize, rtt: Nanos) -> Option<Tick> {
        if size as u64 <= self.tokens.min(BURST_MIN) {
            return None;
        }
        let short = (size as u64).checked_sub(self.tokens_at(now, rtt)).filter(|short| *short > 0)?;
        let in_a_second = self.worth(nanos(Duration::from_secs(1)), rtt).max(1);
        let wait = Duration::from_micros(short * 1_000_000 / in_a_second + 1);
        Some(now + wait.max(PAUSE_MIN))
    }

    /// Handles a suspension of the machine, after which the capacity of the path is unknown.
    pub fn handle_woken(&mut self, now: Tick) {
        self.tokens = self.tokens.min(BURST_WOKEN);
        self.refilled = now;
    }

    /// Records that `size` bytes have left.
    pub fn handle_sent(&mut self, now: Tick, size: usize, rtt: Nanos) {
        self.tokens = self.tokens_at(now, rtt).saturating_sub(size as u64);
        self.refilled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Nanos = nanos(Duration::from_millis(100));

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    #[test]
    fn window_doubles_in_slow_start_then_grows_linearly() {
        let mut path = Congestion::new(at(0));
        for _ in 0..10 {
            path.handle_ack(at(1), UDP_PACKET_MAX, WINDOW_INITIAL);
        }
        assert_eq!(path.window(), 2 * WINDOW_INITIAL);
        path.handle_loss(at(2), at(3));
        assert_eq!(path.window(), WINDOW_INITIAL);
        for _ in 0..10 {
            path.handle_ack(at(4), UDP_PACKET_MAX, WINDOW_INITIAL);
        }
        assert_eq!(path.window(), WINDOW_INITIAL + UDP_PACKET_MAX);
    }

    #[test]
    fn losses_halve_window_once_per_rtt_to_two_packets_at_least() {
        let mut path = Congestion::new(at(0));
        path.handle_loss(at(1), at(100));
        path.handle_loss(at(2), at(101));
        assert_eq!(path.window(), WINDOW_INITIAL / 2);
        for round in 2..20 {
            path.handle_loss(at(round * 100), at(round * 100 + 1));
        }
        path.handle_persistent_congestion();
        assert_eq!(path.window(), WINDOW_MIN);
    }

    #[test]
    fn burst_after_pause_is_ten_packets_and_after_sleep_five() {
        let rtt = nanos(Duration::from_millis(1));
        let mut path = Congestion::new(at(0));
        path.window = WINDOW_MAX;
        let at_once = |path: &Congestion, now: Tick| {
            let mut path = path.clone();
            let mut acked = 0;
            while path.pause(now, UDP_PACKET_MAX, rtt).is_none() {
                path.handle_sent(now, UDP_PACKET_MAX, rtt);
                acked += 1;
            }
            acked
        };
        assert_eq!(at_once(&path, at(500)), 54);
        assert_eq!(at_once(&path, at(2_000)), 10);
        path.handle_woken(at(9_000));
        assert_eq!(at_once(&path, at(9_000)), 5);
    }

    #[test]
    fn unused_window_does_not_grow() {
        let mut path = Congestion::new(at(0));
        for _ in 0..100 {
            path.handle_ack(at(1), 100, 100);
        }
        assert_eq!(path.window(), WINDOW_INITIAL);
    }

    #[test]
    fn pacer_spreads_window_over_rtt() {
        let mut path = Congestion::new(at(0));
        let mut now = at(0);
        let mut sent = 0;
        while now < at(1_000) {
            match path.pause(now, UDP_PACKET_MAX, RTT) {
                None => {
                    path.handle_sent(now, UDP_PACKET_MAX, RTT);
                    sent += UDP_PACKET_MAX;
                }
                Some(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        let fair = WINDOW_INITIAL + WINDOW_INITIAL * 10 * 5 / 4;
        assert!(sent <= fair && sent >= fair * 9 / 10, "{sent} of {fair}");
    }
}
