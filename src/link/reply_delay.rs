//! Estimates how soon data is sent in reply, so that acks can ride along (as TCP delays acks in
//! dialogues only).

use std::time::Duration;

use super::nanos::{Nanos, nanos, since};
use super::rtt::{GRANULARITY, MAX_ACK_DELAY};
use crate::base::Tick;

/// Maximum sample, also used if there is no reply: 50 ms, far above the maximum ack delay.
const DELAY_MAX: Nanos = nanos(Duration::from_millis(50));
/// Reciprocal weight of the newest reply in the estimate: a dialogue is detected after about ten
/// replies.
const WEIGHT: u64 = 8;
/// Maximum delay of an ack in round trips, so that a near peer's probe timer stays short.
const ROUND_TRIPS_MAX: u64 = 4;

/// Returns the shortest increased delay to announce for piggybacked acks, given the delay that was
/// announced before.
pub const fn piggyback_ack_delay(announced: Nanos) -> Nanos {
    announced * 5 / 4
}

/// The usual time to a reply.
#[derive(Clone, Copy, Debug)]
pub struct ReplyDelay {
    request_at: Option<Tick>,
    average: Nanos,
}

impl Default for ReplyDelay {
    /// Nothing is known, so acks are not piggybacked.
    fn default() -> ReplyDelay {
        ReplyDelay { request_at: None, average: DELAY_MAX }
    }
}

impl ReplyDelay {
    /// Records a received packet that requests an ack.
    pub fn handle_request(&mut self, now: Tick) {
        self.request_at.get_or_insert(now);
    }

    /// Records a sent packet that requests an ack itself.
    pub fn handle_reply(&mut self, now: Tick) {
        if let Some(request_at) = self.request_at.take() {
            self.record(since(now, request_at).min(DELAY_MAX));
        }
    }

    /// Records an ack that waited without a reply.
    pub fn handle_no_reply(&mut self) {
        if self.request_at.take().is_some() {
            self.record(DELAY_MAX);
        }
    }

    /// Records a loss in either direction. Acks may be lost too, so they are sent without delay.
    pub fn handle_loss(&mut self) {
        self.average = DELAY_MAX;
    }

    fn record(&mut self, sample: Nanos) {
        self.average = (self.average * (WEIGHT - 1) + sample) / WEIGHT;
    }

    /// Returns how long an ack should wait for a packet with data on a path with this round trip.
    /// `None` if a reply within this time is unlikely.
    pub fn expected(&self, rtt: Nanos) -> Option<Nanos> {
        let longest = (rtt * ROUND_TRIPS_MAX).clamp(GRANULARITY, MAX_ACK_DELAY);
        let is_likely = self.average * 3 / 2 <= longest;
        is_likely.then(|| (self.average * 2).clamp(GRANULARITY, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Nanos {
        nanos(Duration::from_millis(millis))
    }

    fn after(answers: &[u64]) -> ReplyDelay {
        let mut delay = ReplyDelay::default();
        let mut now = Tick::ZERO;
        for millis in answers {
            delay.handle_request(now);
            now = now + Duration::from_millis(*millis);
            delay.handle_reply(now);
        }
        delay
    }

    #[test]
    fn ack_waits_only_in_dialogue() {
        assert_eq!(after(&[]).expected(ms(20)), None);
        assert_eq!(after(&[5; 3]).expected(ms(20)), None, "three quick replies are not a dialogue yet");
        let dialogue = after(&[5; 40]);
        assert!(dialogue.expected(ms(20)).is_some_and(|wait| (ms(10)..ms(11)).contains(&wait)));
        assert_eq!(
            dialogue.expected(ms(1)),
            None,
            "the reply takes longer than an ack to a near peer may wait"
        );
        assert_eq!(after(&[30; 40]).expected(ms(200)), None);
    }

    #[test]
    fn dialogue_ends_when_replies_stop() {
        let mut delay = after(&[1; 40]);
        let mut waits = 0;
        while delay.expected(ms(20)).is_some() {
            delay.handle_request(Tick::ZERO);
            delay.handle_no_reply();
            waits += 1;
        }
        assert!((2..=6).contains(&waits), "{waits}");
        let mut lossy = after(&[1; 40]);
        lossy.handle_loss();
        assert_eq!(lossy.expected(ms(20)), None);
    }
}
