//! NewReno's window (RFC 9002 §7) and a pacer (§7.7), for UDP paths.

use std::time::Duration;

use super::nanos::{Nanos, nanos, since};
use crate::base::{Tick, Unpacker, pack_maybe_tick, pack_number, pack_tick};
use crate::wire::limits::{UDP_PACKET_MAX, UNACKED_MAX};

/// Ten packets (RFC 9002 §7.2).
pub const WINDOW_INITIAL: usize = 10 * UDP_PACKET_MAX;
/// Two packets (RFC 9002 §7.2).
pub const WINDOW_MIN: usize = 2 * UDP_PACKET_MAX;
/// A session never has more unacknowledged data than [`UNACKED_MAX`]; packet overhead and resent pieces fit into
/// the double.
pub const WINDOW_MAX: usize = 2 * UNACKED_MAX;
/// What may leave at once after a pause: the initial window (RFC 9002 §7.7) ...
const BURST_MIN: u64 = WINDOW_INITIAL as u64;
/// ... or, unless the pause was longer than this, two milliseconds' worth on a fast path, since timers are no finer, up to
/// one GSO train.
const BURST_SPAN: Nanos = nanos(Duration::from_millis(2));
const BURST_MAX: u64 = 54 * UDP_PACKET_MAX as u64;
const PAUSE_LONG: Nanos = nanos(Duration::from_secs(1));
/// What may leave at once after a sleep: with a test of the path and a handshake beside it, no more than ten packets.
const BURST_WOKEN: u64 = WINDOW_INITIAL as u64 / 2;
/// No timer of the pacer is shorter: the burst covers it.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The window and the pacer of one path.
#[derive(Clone, Debug)]
pub struct Congestion {
    window: usize,
    slow_start_threshold: usize,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: usize,
    /// Losses of packets sent before this belong to an event already answered.
    recovery_start: Option<Tick>,
    tokens: u64,
    refilled: Tick,
}

impl Congestion {
    /// A fresh path.
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

    /// Appends it to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let no_threshold = self.slow_start_threshold == usize::MAX;
        let threshold = if no_threshold { 0 } else { self.slow_start_threshold as u64 };
        for number in [self.window as u64, threshold, self.acked as u64, self.tokens] {
            pack_number(into, number);
        }
        pack_maybe_tick(into, self.recovery_start);
        pack_tick(into, self.refilled);
    }

    /// What was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> Congestion {
        let (window, threshold, acked, tokens) = (from.size(), from.size(), from.size(), from.number());
        let slow_start_threshold = if threshold == 0 { usize::MAX } else { threshold };
        let (recovery_start, refilled) = (from.maybe_tick(), from.tick());
        Congestion { window, slow_start_threshold, acked, recovery_start, tokens, refilled }
    }

    /// The window in bytes.
    pub const fn window(&self) -> usize {
        self.window
    }

    /// A packet sent at `sent` was acknowledged. `in_flight` is what was in flight before: a window that was not
    /// used does not grow (RFC 9002 §7.8).
    pub fn handle_ack(&mut self, sent: Tick, size: usize, in_flight: usize) {
        let slow_start = self.window < self.slow_start_threshold;
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

    /// A packet sent at `sent` was lost: halves the window once for each round trip of losses.
    pub fn handle_loss(&mut self, sent: Tick, now: Tick) {
        if self.recovery_start.is_some_and(|start| sent <= start) {
            return;
        }
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(WINDOW_MIN);
        self.slow_start_threshold = self.window;
        self.acked = 0;
    }

    /// Nothing got through for three PTOs (RFC 9002 §7.6).
    pub fn handle_persistent_congestion(&mut self) {
        self.window = WINDOW_MIN;
        self.recovery_start = None;
        self.acked = 0;
    }

    /// Bytes that leave in `span` at 1.25 windows a round trip.
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

    /// When `size` bytes may leave; `None`: now.
    pub fn pause(&self, now: Tick, size: usize, rtt: Nanos) -> Option<Tick> {
        if size as u64 <= self.tokens.min(BURST_MIN) {
            return None;
        }
        let short = (size as u64).checked_sub(self.tokens_at(now, rtt)).filter(|short| *short > 0)?;
        let in_a_second = self.worth(nanos(Duration::from_secs(1)), rtt).max(1);
        let wait = Duration::from_micros(short * 1_000_000 / in_a_second + 1);
        Some(now + wait.max(PAUSE_MIN))
    }

    /// The machine slept: nobody knows what the path bears now.
    pub fn handle_woken(&mut self, now: Tick) {
        (self.tokens, self.refilled) = (self.tokens.min(BURST_WOKEN), now);
    }

    /// `size` bytes have left.
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
    fn the_window_doubles_in_slow_start_and_grows_a_packet_a_round_trip_afterwards() {
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
    fn losses_of_one_round_trip_halve_it_once_and_it_never_falls_below_two_packets() {
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
    fn after_a_pause_at_most_ten_packets_leave_at_once_and_after_a_sleep_five() {
        let rtt = nanos(Duration::from_millis(1));
        let mut path = Congestion::new(at(0));
        path.window = WINDOW_MAX;
        let at_once = |path: &Congestion, now: Tick| {
            let (mut path, mut many) = (path.clone(), 0);
            while path.pause(now, UDP_PACKET_MAX, rtt).is_none() {
                path.handle_sent(now, UDP_PACKET_MAX, rtt);
                many += 1;
            }
            many
        };
        assert_eq!((at_once(&path, at(500)), at_once(&path, at(2_000))), (54, 10));
        path.handle_woken(at(9_000));
        assert_eq!(at_once(&path, at(9_000)), 5);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut path = Congestion::new(at(0));
        for _ in 0..100 {
            path.handle_ack(at(1), 100, 100);
        }
        assert_eq!(path.window(), WINDOW_INITIAL);
    }

    #[test]
    fn the_pacer_spreads_a_window_over_a_round_trip_and_never_waits_for_nothing() {
        let mut path = Congestion::new(at(0));
        let (mut now, mut sent) = (at(0), 0);
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
