//! The round trip of one path (RFC 9002 §5) and the probe time-out made of it (§6.2).

use std::time::Duration;

use super::nanos::{Nanos, nanos};
use super::path_state::PTO_MAX;
use crate::base::{Unpacker, pack_number};

/// Before the first sample (RFC 9002 §6.2.2).
pub const INITIAL_RTT: Nanos = nanos(Duration::from_millis(333));
/// What is assumed at most once a handshake has been answered, of which nobody knows which of its packets was: a probe
/// time-out of 250 ms is made of it, as the handshake itself is repeated first, and the longest delay of an ack. A first
/// probe too many is a small packet; one second of silence where packets get lost is felt.
pub const RTT_IN_DOUBT: Duration = Duration::from_millis(75);
/// The finest time a timer is asked for (RFC 9002 §6.1.2).
pub const GRANULARITY: Nanos = nanos(Duration::from_millis(1));
/// The longest an ack waits at either end; the receiver of the ack believes in no longer wait.
pub const MAX_ACK_DELAY: Nanos = nanos(Duration::from_millis(25));
/// The shortest sample: a clock's tick. Zero would make a path look infinitely fast.
const RTT_MIN: Nanos = nanos(Duration::from_micros(1));
/// The longest sample: an ack after the session was forgotten (180 s) cannot come.
const SAMPLE_MAX: Nanos = nanos(Duration::from_secs(180));
/// The longest sample that estimates are made of. An ack that takes longer came from an end that was stopped: believed, it
/// would keep what is lost from being sent again for as long as the stop was.
const RTT_MAX: Nanos = PTO_MAX;

/// The round trip as estimated on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// 0: there is none.
    latest: Nanos,
    smoothed: Nanos,
    variation: Nanos,
    min: Nanos,
    /// The longest wait of an ack, as the other end announced it.
    peer_ack_delay: Nanos,
}

impl Rtt {
    /// An estimate that holds until the first sample.
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

    /// Appends it to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        for span in [self.latest, self.smoothed, self.variation, self.min, self.peer_ack_delay] {
            pack_number(into, span);
        }
    }

    /// What was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> Rtt {
        let mut next = || from.number();
        Rtt { latest: next(), smoothed: next(), variation: next(), min: next(), peer_ack_delay: next() }
    }

    /// The newest sample.
    pub fn latest(&self) -> Option<Nanos> {
        (self.latest > 0).then_some(self.latest)
    }

    /// The smoothed round trip.
    pub const fn smoothed(&self) -> Nanos {
        self.smoothed
    }

    /// How long the other end lets its acks wait at most.
    pub const fn peer_ack_delay(&self) -> Nanos {
        self.peer_ack_delay
    }

    /// The other end announced so; more than 25 ms is not believed.
    pub fn set_peer_ack_delay(&mut self, delay: Nanos) {
        self.peer_ack_delay = delay.clamp(GRANULARITY, MAX_ACK_DELAY);
    }

    /// Takes a sample in, with the delay the other end says its ack had (RFC 9002 §5.3).
    pub fn handle_sample(&mut self, sample: Nanos, ack_delay: Nanos) {
        let is_first = self.latest == 0;
        self.latest = sample.clamp(RTT_MIN, SAMPLE_MAX);
        let sample = sample.clamp(RTT_MIN, RTT_MAX);
        if is_first {
            (self.smoothed, self.variation, self.min) = (sample, sample / 2, sample);
            return;
        }
        self.min = self.min.min(sample);
        let ack_delay = ack_delay.min(self.peer_ack_delay);
        let adjusted = if sample >= self.min + ack_delay { sample - ack_delay } else { sample };
        self.variation = (3 * self.variation + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (7 * self.smoothed + adjusted) / 8;
    }

    /// The probe time-out without backoff (RFC 9002 §6.2.1).
    pub fn pto(&self) -> Nanos {
        self.smoothed + (4 * self.variation).max(GRANULARITY) + self.peer_ack_delay
    }

    /// How long after its sending a packet is lost if a later one has arrived: 9/8 of the round trip (§6.1.2).
    pub fn loss_delay(&self) -> Nanos {
        let rtt = self.smoothed.max(self.latest.min(RTT_MAX));
        (rtt + rtt / 8).max(GRANULARITY)
    }

    /// How long our own acks wait on this path: a quarter of the round trip, from 1 to 25 ms.
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
    fn the_estimate_follows_rfc_9002() {
        let mut rtt = Rtt::new(INITIAL_RTT);
        assert_eq!(rtt.pto(), ms(333) + 2 * ms(333) + ms(25));
        rtt.handle_sample(ms(100), ms(10));
        assert_eq!((rtt.smoothed(), rtt.variation), (ms(100), ms(50)));
        rtt.handle_sample(ms(140), ms(20));
        assert_eq!(rtt.smoothed(), 102_500_000);
        assert_eq!(rtt.variation, 42_500_000);
        assert_eq!(rtt.loss_delay(), ms(140) * 9 / 8);
    }

    #[test]
    fn a_near_peer_that_acks_soon_makes_the_probe_timer_short() {
        let mut rtt = Rtt::new(ms(1));
        (0..100).for_each(|_| rtt.handle_sample(ms(1), 0));
        assert!(rtt.pto() > ms(26));
        rtt.set_peer_ack_delay(rtt.own_ack_delay());
        assert!(rtt.pto() < ms(4), "{:?}", rtt.pto());
        rtt.set_peer_ack_delay(Nanos::MAX);
        assert_eq!(rtt.peer_ack_delay(), MAX_ACK_DELAY);
    }

    #[test]
    fn an_end_that_was_stopped_for_a_minute_makes_losses_wait_for_seconds_only() {
        let mut rtt = Rtt::new(ms(50));
        rtt.handle_sample(ms(50), ms(1));
        rtt.handle_sample(ms(60_000), ms(1));
        assert!(rtt.loss_delay() < ms(10_000), "{:?}", rtt.loss_delay());
        assert!(rtt.smoothed() < ms(1_100), "{:?}", rtt.smoothed());
    }

    #[test]
    fn row_20_absurd_samples_and_delays_are_clamped() {
        let mut rtt = Rtt::new(0);
        rtt.handle_sample(0, Nanos::MAX);
        assert_eq!(rtt.smoothed(), RTT_MIN);
        rtt.handle_sample(Nanos::MAX, Nanos::MAX);
        assert!(rtt.smoothed() <= RTT_MAX / 8 + RTT_MIN && rtt.smoothed() >= (RTT_MAX - MAX_ACK_DELAY) / 8);
    }
}
