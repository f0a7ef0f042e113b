//! The round trip of one path (RFC 9002 §5) and the probe timeout derived from it (§6.2).

use std::time::Duration;

use super::nanos::{Nanos, nanos};
use super::path_state::PTO_MAX;
use crate::base::{Unpacker, pack_number};

/// Round trip assumed before the first sample (RFC 9002 §6.2.2).
pub const INITIAL_RTT: Nanos = nanos(Duration::from_millis(333));
/// Initial round trip after a handshake if it is unknown which of its packets was answered (Karn's
/// algorithm): the least estimate of a client, and the highest of a relay.
///
/// 75 ms and the maximum ack delay give a probe timeout of 250 ms, the first interval of handshake
/// retransmissions. An unnecessary probe is a small packet; a second of silence after a loss is
/// noticeable.
pub const AMBIGUOUS_RTT: Duration = Duration::from_millis(75);
/// Finest resolution of a timer (RFC 9002 §6.1.2).
pub const GRANULARITY: Nanos = nanos(Duration::from_millis(1));
/// Maximum ack delay of either end. Longer delays in received acks are not believed.
pub const MAX_ACK_DELAY: Nanos = nanos(Duration::from_millis(25));
/// Minimum sample: one clock tick. Zero would make a path look infinitely fast.
const RTT_MIN: Nanos = nanos(Duration::from_micros(1));
/// Maximum sample: a session is forgotten after 180 s, so no later ack can arrive.
const SAMPLE_MAX: Nanos = nanos(Duration::from_secs(180));
/// Maximum sample used for estimates. A longer one comes from a suspended end. It would delay the
/// detection of losses by the time of the suspension.
const RTT_MAX: Nanos = PTO_MAX;

/// The estimated round trip on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// 0 if there is none.
    latest: Nanos,
    smoothed: Nanos,
    variation: Nanos,
    min: Nanos,
    /// Maximum ack delay announced by the other end.
    peer_ack_delay: Nanos,
}

impl Rtt {
    /// Creates an estimate that is used until the first sample.
    pub fn new(initial: Nanos) -> Rtt {
        let initial = initial.clamp(RTT_MIN, RTT_MAX);
        Rtt {
            latest: 0,
            smoothed: initial,
            variation: initial / 2,
            min: initial,
            peer_ack_delay: MAX_ACK_DELAY,
        }
    }

    /// Appends the estimate to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        for span in [self.latest, self.smoothed, self.variation, self.min, self.peer_ack_delay] {
            pack_number(into, span);
        }
    }

    /// Restores an estimate written by [`Rtt::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> Rtt {
        let mut next = || from.number();
        Rtt { latest: next(), smoothed: next(), variation: next(), min: next(), peer_ack_delay: next() }
    }

    /// Returns the newest sample.
    pub fn latest(&self) -> Option<Nanos> {
        (self.latest > 0).then_some(self.latest)
    }

    /// Returns the smoothed round trip.
    pub const fn smoothed(&self) -> Nanos {
        self.smoothed
    }

    /// Returns the maximum ack delay of the other end.
    pub const fn peer_ack_delay(&self) -> Nanos {
        self.peer_ack_delay
    }

    /// Sets the ack delay announced by the other end, at most 25 ms.
    pub fn set_peer_ack_delay(&mut self, delay: Nanos) {
        self.peer_ack_delay = delay.clamp(GRANULARITY, MAX_ACK_DELAY);
    }

    /// Adds a sample, with the ack delay that the other end reports (RFC 9002 §5.3).
    pub fn handle_sample(&mut self, sample: Nanos, ack_delay: Nanos) {
        let is_first = self.latest == 0;
        self.latest = sample.clamp(RTT_MIN, SAMPLE_MAX);
        let sample = sample.clamp(RTT_MIN, RTT_MAX);
        if is_first {
            self.smoothed = sample;
            self.variation = sample / 2;
            self.min = sample;
            return;
        }
        self.min = self.min.min(sample);
        // An ack delay that would bring the sample below the minimum is wrong, and ignored.
        let ack_delay = ack_delay.min(self.peer_ack_delay);
        let adjusted = if sample >= self.min + ack_delay { sample - ack_delay } else { sample };
        self.variation = (3 * self.variation + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (7 * self.smoothed + adjusted) / 8;
    }

    /// Returns the probe timeout without backoff (RFC 9002 §6.2.1).
    pub fn pto(&self) -> Nanos {
        self.smoothed + (4 * self.variation).max(GRANULARITY) + self.peer_ack_delay
    }

    /// Returns the time after its sending at which a packet is lost if a later one has arrived: 9/8
    /// of the round trip (§6.1.2).
    pub fn loss_delay(&self) -> Nanos {
        let rtt = self.smoothed.max(self.latest.min(RTT_MAX));
        (rtt + rtt / 8).max(GRANULARITY)
    }

    /// Returns the maximum delay of our own acks on this path: a quarter of the round trip, from 1
    /// to 25 ms.
    pub fn own_ack_delay(&self) -> Nanos {
        (self.smoothed / 4).clamp(GRANULARITY, MAX_ACK_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Nanos {
        nanos(Duration::from_millis(millis))
    }

    #[test]
    fn rtt_estimate_follows_rfc_9002() {
        let mut rtt = Rtt::new(INITIAL_RTT);
        assert_eq!(rtt.pto(), ms(333) + 2 * ms(333) + ms(25));
        rtt.handle_sample(ms(100), ms(10));
        assert_eq!(rtt.smoothed(), ms(100));
        assert_eq!(rtt.variation, ms(50));
        rtt.handle_sample(ms(140), ms(20));
        assert_eq!(rtt.smoothed(), 102_500_000);
        assert_eq!(rtt.variation, 42_500_000);
        assert_eq!(rtt.loss_delay(), ms(140) * 9 / 8);
    }

    #[test]
    fn near_peer_with_quick_acks_gets_short_pto() {
        let mut rtt = Rtt::new(ms(1));
        (0..100).for_each(|_| rtt.handle_sample(ms(1), 0));
        assert!(rtt.pto() > ms(26));
        rtt.set_peer_ack_delay(rtt.own_ack_delay());
        assert!(rtt.pto() < ms(4), "{:?}", rtt.pto());
        rtt.set_peer_ack_delay(Nanos::MAX);
        assert_eq!(rtt.peer_ack_delay(), MAX_ACK_DELAY);
    }

    /// A sample of a minute is clamped to 8 s for the estimates.
    #[test]
    fn peer_stopped_for_1_min_delays_loss_detection_by_seconds() {
        let mut rtt = Rtt::new(ms(50));
        rtt.handle_sample(ms(50), ms(1));
        rtt.handle_sample(ms(60_000), ms(1));
        assert!(rtt.loss_delay() < ms(10_000), "{:?}", rtt.loss_delay());
        assert!(rtt.smoothed() < ms(1_100), "{:?}", rtt.smoothed());
    }

    // faults.md: R20
    #[test]
    fn absurd_samples_and_ack_delays_are_clamped() {
        let mut rtt = Rtt::new(0);
        rtt.handle_sample(0, Nanos::MAX);
        assert_eq!(rtt.smoothed(), RTT_MIN);
        rtt.handle_sample(Nanos::MAX, Nanos::MAX);
        assert!(rtt.smoothed() <= RTT_MAX / 8 + RTT_MIN && rtt.smoothed() >= (RTT_MAX - MAX_ACK_DELAY) / 8);
    }
}
