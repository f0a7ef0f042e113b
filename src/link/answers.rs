//! How soon what comes in is answered by a packet that asks for an ack itself: where that is soon, the ack waits for it
//! and costs no packet (as TCP's stacks delay acks in a dialogue only).

use std::time::Duration;

use super::nanos::{Nanos, nanos, since};
use super::rtt::{GRANULARITY, MAX_ACK_DELAY};
use crate::base::Tick;

/// What no answer at all counts as, and the longest one: far more than an ack may wait.
const NEVER: Nanos = nanos(Duration::from_millis(50));
/// The share of the newest answer in the estimate: a dialogue shows after about ten of them.
const WEIGHT: u64 = 8;
/// An ack waits for at most so many round trips, so that a near peer's probe timer stays short.
const ROUND_TRIPS_MAX: u64 = 4;

/// The shortest wait that is announced anew where acks wait for company and this one was told.
pub const fn longer_in_company(told: Nanos) -> Nanos {
    told * 5 / 4
}

/// The usual time to the answer.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    asked_at: Option<Tick>,
    usual: Nanos,
}

impl Default for Answers {
    /// Nothing is known: no ack waits for company.
    fn default() -> Answers {
        Answers { asked_at: None, usual: NEVER }
    }
}

impl Answers {
    /// A packet came that asks for an ack.
    pub fn handle_asked(&mut self, now: Tick) {
        self.asked_at.get_or_insert(now);
    }

    /// A packet leaves that asks for an ack itself.
    pub fn handle_answer(&mut self, now: Tick) {
        if let Some(asked_at) = self.asked_at.take() {
            self.take(since(now, asked_at).min(NEVER));
        }
    }

    /// An ack has waited in vain.
    pub fn handle_none(&mut self) {
        if self.asked_at.take().is_some() {
            self.take(NEVER);
        }
    }

    /// A packet was lost, on its way here or there: where acks are lost too, the more of them the better.
    pub fn handle_loss(&mut self) {
        self.usual = NEVER;
    }

    fn take(&mut self, sample: Nanos) {
        self.usual = (self.usual * (WEIGHT - 1) + sample) / WEIGHT;
    }

    /// How long an ack is to wait for company on a path of this round trip; `None` if there is little hope.
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
        let (mut some, mut now) = (Answers::default(), Tick::ZERO);
        for millis in answers {
            some.handle_asked(now);
            now = now + Duration::from_millis(*millis);
            some.handle_answer(now);
        }
        some
    }

    #[test]
    fn an_ack_waits_in_a_dialogue_and_nowhere_else() {
        assert_eq!(after(&[]).wait(ms(20)), None);
        assert_eq!(after(&[5; 3]).wait(ms(20)), None, "three quick answers are no dialogue yet");
        let dialogue = after(&[5; 40]);
        assert!(dialogue.wait(ms(20)).is_some_and(|wait| (ms(10)..ms(11)).contains(&wait)));
        assert_eq!(dialogue.wait(ms(1)), None, "the answer is longer in coming than a near peer may wait");
        assert_eq!(after(&[30; 40]).wait(ms(200)), None);
    }

    #[test]
    fn a_dialogue_ends_when_answers_stay_away() {
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
