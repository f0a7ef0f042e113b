//! Estimates how soon data is sent in reply, so that acks can ride along (as TCP delays acks in
//! dialogues only).

use std::time::Duration;

use super::nanos::{Nanos, nanos, since};
use super::rtt::{GRANULARITY, MAX_ACK_DELAY};
use crate::base::Tick;

/// Maximum sample, also used if there is no reply: 50 ms, far above the maximum ack delay.
const NEVER: Nanos = nanos(Duration::from_millis(50));
/// Reciprocal weight of the newest reply in the estimate: a dialogue is detected after about ten
/// replies.
const WEIGHT: u64 = 8;
/// Maximum delay of an ack in round trips, so that a near peer's probe timer stays short.
const ROUND_TRIPS_MAX: u64 = 4;

/// Returns the shortest increased delay that is announced if acks are piggybacked and `told` is the
/// announced delay.
pub const fn longer_in_company(told: Nanos) -> Nanos {
    told * 5 / 4
}

/// The usual time to a reply.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    asked_at: Option<Tick>,
    usual: Nanos,
}

impl Default for Answers {
    /// Nothing is known, so acks are not piggybacked.
    fn default() -> Answers {
        Answers { asked_at: None, usual: NEVER }
    }
}

impl Answers {
    /// Records a received packet that requests an ack.
    pub fn handle_asked(&mut self, now: Tick) {
        self.asked_at.get_or_insert(now);
    }

    /// Records a sent packet that requests an ack itself.
    pub fn handle_answer(&mut self, now: Tick) {
        if let Some(asked_at) = self.asked_at.take() {
            self.take(since(now, asked_at).min(NEVER));
        }
    }

    /// Records an ack that waited without a reply.
    pub fn handle_none(&mut self) {
        if self.asked_at.take().is_some() {
            self.take(NEVER);
        }
    }

    /// Records a loss in either direction. Acks may be lost too, so they are sent without delay.
    pub fn handle_loss(&mut self) {
        self.usual = NEVER;
    }

    fn take(&mut self, sample: Nanos) {
        self.usual = (self.usual * (WEIGHT - 1) + sample) / WEIGHT;
    }

    /// Returns how long an ack should wait for a packet with data on a path with this round trip.
    /// `None` if a reply within this time is unlikely.
    pub fn wait(&self, rtt: Nanos) -> Option<Nanos> {
        let longest = (rtt * ROUND_TRIPS_MAX).clamp(GRANULARITY, MAX_ACK_DELAY);
        let hopeful = self.usual * 3 / 2 <= longest;
        hopeful.then(|| (self.usual * 2).clamp(GRANULARITY, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Nanos {
        nanos(Duration::from_millis(millis))
    }

    fn after(answers: &[u64]) -> Answers {
        let mut some = Answers::default();
        let mut now = Tick::ZERO;
        for millis in answers {
            some.handle_asked(now);
            now = now + Duration::from_millis(*millis);
            some.handle_answer(now);
        }
        some
    }

    #[test]
    fn ack_waits_only_in_dialogue() {
        assert_eq!(after(&[]).wait(ms(20)), None);
        assert_eq!(after(&[5; 3]).wait(ms(20)), None, "three quick replies are not a dialogue yet");
        let dialogue = after(&[5; 40]);
        assert!(dialogue.wait(ms(20)).is_some_and(|wait| (ms(10)..ms(11)).contains(&wait)));
        assert_eq!(dialogue.wait(ms(1)), None, "the reply takes longer than an ack to a near peer may wait");
        assert_eq!(after(&[30; 40]).wait(ms(200)), None);
    }

    #[test]
    fn dialogue_ends_when_replies_stop() {
        let mut some = after(&[1; 40]);
        let mut waits = 0;
        while some.wait(ms(20)).is_some() {
            some.handle_asked(Tick::ZERO);
            some.handle_none();
            waits += 1;
        }
        assert!((2..=6).contains(&waits), "{waits}");
        let mut lossy = after(&[1; 40]);
        lossy.handle_loss();
        assert_eq!(lossy.wait(ms(20)), None);
    }
}
