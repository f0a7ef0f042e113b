//! Which carrier a session is on, as arithmetic: when UDP counts as proved, when it is tested again, how soon the
//! conversation may return to it. `paths` carries out what this says.

use std::time::Duration;

use crate::base::{Rng, Tick};

/// Answered probes that prove a UDP path.
const PROOF_ANSWERS: usize = 3;
/// A proof that is not there by then has failed.
const PROOF_WITHIN: Duration = Duration::from_secs(3);
/// Not one answer by then, nor within three round trips: it has failed already.
const PROOF_BEGUN_WITHIN: Duration = Duration::from_secs(1);
/// Round trips for the first answer.
const PROOF_BEGUN_RTTS: u32 = 3;
/// When the probes of a proof are sent, in milliseconds after the first, until three are answered: of these eleven three
/// are answered in 98 of 100 cases where three in ten packets are lost each way.
const PROBES_AT_MS: [u64; 11] = [0, 60, 120, 350, 600, 850, 1_100, 1_400, 1_700, 2_000, 2_300];
/// UDP is tested so many seconds after the conversation came to TCP, and then every five minutes.
const RETRY_AT_SECS: [u64; 5] = [1, 3, 10, 30, 60];
const RETRY_EVERY: Duration = Duration::from_secs(300);
/// How soon a second flight from UDP may be undone; it doubles with each further one.
const RETURN_WAIT_MIN: Duration = Duration::from_secs(30);
const RETURN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Flights from UDP are forgotten after so long a stay there.
const GOOD_AFTER: Duration = Duration::from_secs(600);

/// A test of a UDP path: full-size probes, each to be answered by a packet as long.
#[derive(Debug)]
pub(super) struct Proof {
    began: Tick,
    rtt: Duration,
    sent: usize,
    ids: [[u8; 8]; PROBES_AT_MS.len()],
    sent_at: [Tick; PROBES_AT_MS.len()],
    answered: [bool; PROBES_AT_MS.len()],
    pub(super) last_rtt: Option<Duration>,
}

impl Proof {
    /// A test that begins now; `rtt` is what is known of the round trip.
    pub(super) fn new(now: Tick, rtt: Duration) -> Proof {
        Proof {
            began: now,
            rtt,
            sent: 0,
            ids: Default::default(),
            sent_at: [now; PROBES_AT_MS.len()],
            answered: Default::default(),
            last_rtt: None,
        }
    }

    fn answers(&self) -> usize {
        self.answered.iter().filter(|answered| **answered).count()
    }

    fn next_probe_at(&self) -> Option<Tick> {
        PROBES_AT_MS.get(self.sent).map(|at| self.began + Duration::from_millis(*at))
    }

    /// The probe that is due, if one is. After a pause each is still sent, one a turn.
    pub(super) fn probe_due(&mut self, now: Tick, rng: &mut Rng) -> Option<[u8; 8]> {
        self.next_probe_at().filter(|at| *at <= now)?;
        let id = rng.next_u64().to_be_bytes();
        (self.ids[self.sent], self.sent_at[self.sent]) = (id, now);
        self.sent += 1;
        Some(id)
    }

    /// Takes in the answer to a probe; its round trip.
    pub(super) fn handle_answer(&mut self, now: Tick, id: [u8; 8]) -> Option<Duration> {
        let place = self.ids[..self.sent].iter().position(|sent| *sent == id)?;
        if std::mem::replace(&mut self.answered[place], true) {
            return None;
        }
        self.last_rtt = Some(now.since(self.sent_at[place]));
        self.last_rtt
    }

    fn fails_at(&self) -> Tick {
        let begun = PROOF_BEGUN_WITHIN.max(self.rtt * PROOF_BEGUN_RTTS).min(PROOF_WITHIN);
        self.began + if self.answers() == 0 { begun } else { PROOF_WITHIN }
    }

    /// Whether the path is proved; `None` while that is open.
    pub(super) fn verdict(&self, now: Tick) -> Option<bool> {
        if self.answers() >= PROOF_ANSWERS {
            return Some(true);
        }
        (now >= self.fails_at()).then_some(false)
    }

    pub(super) fn next_deadline(&self) -> Tick {
        self.next_probe_at().map_or(self.fails_at(), |at| at.min(self.fails_at()))
    }
}

/// When UDP is tested while the conversation is on TCP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retries {
    since: Tick,
    done: usize,
    next_at: Option<Tick>,
}

impl Retries {
    /// The conversation has come to TCP; the first test is due at once if `at_once`.
    pub(super) fn begin(&mut self, now: Tick, at_once: bool) {
        let first = now + if at_once { Duration::ZERO } else { Duration::from_secs(RETRY_AT_SECS[0]) };
        *self = Retries { since: now, done: 0, next_at: Some(first) };
    }

    /// A test has begun; plans the next.
    pub(super) fn tested(&mut self, now: Tick) {
        while let Some(secs) = RETRY_AT_SECS.get(self.done) {
            self.done += 1;
            let at = self.since + Duration::from_secs(*secs);
            if at > now + PROOF_WITHIN / 2 {
                self.next_at = Some(at);
                return;
            }
        }
        self.next_at = Some(now + RETRY_EVERY);
    }

    pub(super) fn next_at(&self) -> Option<Tick> {
        self.next_at
    }
}

/// Keeps a conversation from flapping between UDP and TCP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damping {
    /// Flights from UDP that are remembered.
    flights: u32,
    fled_at: Tick,
    /// When the present stay on UDP began.
    on_udp_since: Option<Tick>,
}

impl Damping {
    /// The conversation left UDP for TCP.
    pub(super) fn fled(&mut self, now: Tick) {
        if self.on_udp_since.is_some_and(|since| now.since(since) >= GOOD_AFTER) {
            self.flights = 0;
        }
        self.flights = self.flights.saturating_add(1);
        (self.fled_at, self.on_udp_since) = (now, None);
    }

    /// The conversation is on UDP.
    pub(super) fn came_to_udp(&mut self, now: Tick) {
        self.on_udp_since.get_or_insert(now);
    }

    /// When the conversation may return: at once after a first flight, then after 30 s, a minute … ten minutes.
    pub(super) fn returns_at(&self) -> Tick {
        let Some(doublings) = self.flights.checked_sub(2) else { return Tick::ZERO };
        self.fled_at + (RETURN_WAIT_MIN * (1 << doublings.min(8))).min(RETURN_WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    /// Answers the probes that `passes` lets through after `rtt_ms`; when the verdict falls and what it is.
    fn judge(rtt_ms: u64, passes: impl Fn(usize) -> bool) -> (u64, bool) {
        let (mut rng, start) = (Rng::from_seed([1; 32]), 5_000);
        let mut proof = Proof::new(at(start), Duration::from_millis(rtt_ms));
        let mut coming = Vec::new();
        for ms in start.. {
            if let Some(id) = proof.probe_due(at(ms), &mut rng)
                && passes(proof.sent)
            {
                coming.push((ms + rtt_ms, id));
            }
            coming.iter().filter(|(when, _)| *when == ms).for_each(|(_, id)| {
                proof.handle_answer(at(ms), *id);
                proof.handle_answer(at(ms), *id);
            });
            match proof.verdict(at(ms)) {
                Some(proved) => return (ms - start, proved),
                None => assert!(proof.next_deadline() > at(ms)),
            }
        }
        unreachable!("a proof ends")
    }

    #[test]
    fn three_answers_prove_a_path_and_two_do_not() {
        assert_eq!(judge(10, |_| true), (130, true));
        assert_eq!(judge(10, |n| n <= 2), (3_000, false));
        assert_eq!(judge(10, |n| n % 3 == 0), (1_710, true));
        assert_eq!(judge(200, |_| false), (1_000, false));
        assert_eq!(judge(1_000, |_| true), (1_120, true));
        assert_eq!(judge(1_000, |_| false), (3_000, false));
    }

    #[test]
    fn udp_is_tested_at_1_3_10_30_60_seconds_and_every_five_minutes() {
        let mut retries = Retries::default();
        retries.begin(at(0), false);
        let mut times = Vec::new();
        for _ in 0..8 {
            let now = retries.next_at().unwrap();
            times.push(now.as_micros() / 1_000_000);
            retries.tested(now);
        }
        assert_eq!(times, [1, 3, 10, 30, 60, 360, 660, 960]);
        retries.begin(at(0), true);
        assert_eq!(retries.next_at(), Some(at(0)));
    }

    #[test]
    fn each_flight_doubles_the_wait_and_ten_good_minutes_forget_them() {
        let (mut damping, mut now, mut waits) = (Damping::default(), at(0), Vec::new());
        for _ in 0..8 {
            damping.fled(now);
            waits.push(damping.returns_at().since(now).as_secs());
            now = now.max(damping.returns_at());
            damping.came_to_udp(now);
            now = now + Duration::from_secs(599);
        }
        assert_eq!(waits, [0, 30, 60, 120, 240, 480, 600, 600]);
        damping.fled(now + Duration::from_secs(1));
        assert_eq!(damping.returns_at(), Tick::ZERO);
    }
}
