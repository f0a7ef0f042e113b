//! Arithmetic of path selection: UDP path validation, its schedule, and flap damping. `paths`
//! applies the results.

use std::time::Duration;

use crate::base::{Rng, Tick};

/// Answered probes that validate a UDP path. One or two may pass by chance on a path that loses
/// most packets.
const VALIDATION_ANSWERS: usize = 3;
/// Time limit for validating a path.
const VALIDATION_WITHIN: Duration = Duration::from_secs(3);
/// Validation fails early if no probe was answered within this time and within
/// [`VALIDATION_BEGUN_RTTS`].
const VALIDATION_BEGUN_WITHIN: Duration = Duration::from_secs(1);
/// RTTs for the first answer.
const VALIDATION_BEGUN_RTTS: u32 = 3;
/// Send times of a validation's probes, in milliseconds after the first, until three are answered.
/// At 30 % loss each way three of these eleven are answered in 96 % of cases.
const PROBES_AT_MS: [u64; 11] = [0, 60, 120, 350, 600, 850, 1_100, 1_400, 1_700, 2_000, 2_300];
/// UDP is validated this many seconds after the session came to TCP. Early ones catch a short
/// outage.
const RETRY_AT_SECS: [u64; 5] = [1, 3, 10, 30, 60];
/// Interval of validations after those.
const RETRY_EVERY: Duration = Duration::from_secs(300);
/// Delay of the return to UDP after a second failover; doubles with each further one.
const RETURN_WAIT_MIN: Duration = Duration::from_secs(30);
const RETURN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Time on UDP after which the failover count is reset.
const STABLE_AFTER: Duration = Duration::from_secs(600);

/// Validation of a UDP path (RFC 9000 §8.2), by full-size probes that are answered at full size.
#[derive(Debug)]
pub(super) struct PathValidation {
    began_at: Tick,
    rtt: Duration,
    sent: usize,
    ids: [[u8; 8]; PROBES_AT_MS.len()],
    sent_at: [Tick; PROBES_AT_MS.len()],
    answered: [bool; PROBES_AT_MS.len()],
    pub(super) last_rtt: Option<Duration>,
}

impl PathValidation {
    /// Begins a validation; `rtt` is the current estimate.
    pub(super) fn new(now: Tick, rtt: Duration) -> PathValidation {
        PathValidation {
            began_at: now,
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
        PROBES_AT_MS.get(self.sent).map(|at| self.began_at + Duration::from_millis(*at))
    }

    /// Returns the probe that is due, if any. After a pause of the process all are still sent, one
    /// a turn.
    pub(super) fn take_due_probe(&mut self, now: Tick, rng: &mut Rng) -> Option<[u8; 8]> {
        self.next_probe_at().filter(|at| *at <= now)?;
        let id = rng.next_u64().to_be_bytes();
        self.ids[self.sent] = id;
        self.sent_at[self.sent] = now;
        self.sent += 1;
        Some(id)
    }

    /// Handles the answer to a probe. Returns its RTT; `None` for a repeated or unknown answer.
    pub(super) fn handle_answer(&mut self, now: Tick, id: [u8; 8]) -> Option<Duration> {
        let index = self.ids[..self.sent].iter().position(|sent| *sent == id)?;
        if std::mem::replace(&mut self.answered[index], true) {
            return None;
        }
        self.last_rtt = Some(now.since(self.sent_at[index]));
        self.last_rtt
    }

    fn fails_at(&self) -> Tick {
        let first_answer_within =
            VALIDATION_BEGUN_WITHIN.max(self.rtt * VALIDATION_BEGUN_RTTS).min(VALIDATION_WITHIN);
        self.began_at + if self.answers() == 0 { first_answer_within } else { VALIDATION_WITHIN }
    }

    /// Whether the path is valid; `None` while undecided.
    pub(super) fn outcome(&self, now: Tick) -> Option<bool> {
        if self.answers() >= VALIDATION_ANSWERS {
            return Some(true);
        }
        (now >= self.fails_at()).then_some(false)
    }

    pub(super) fn next_deadline(&self) -> Tick {
        self.next_probe_at().map_or(self.fails_at(), |at| at.min(self.fails_at()))
    }
}

/// Schedule of UDP validations while the session is on TCP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeSchedule {
    since: Tick,
    done: usize,
    next_at: Option<Tick>,
}

impl ProbeSchedule {
    /// Begins the schedule when the session has come to TCP. With `at_once` the first validation is
    /// due now.
    pub(super) fn begin(&mut self, now: Tick, at_once: bool) {
        let first = now + if at_once { Duration::ZERO } else { Duration::from_secs(RETRY_AT_SECS[0]) };
        *self = ProbeSchedule { since: now, done: 0, next_at: Some(first) };
    }

    /// Schedules the next validation, after one has begun.
    pub(super) fn record_probe(&mut self, now: Tick) {
        while let Some(secs) = RETRY_AT_SECS.get(self.done) {
            self.done += 1;
            let at = self.since + Duration::from_secs(*secs);
            if at > now + VALIDATION_WITHIN / 2 {
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

/// Flap damping between UDP and TCP, in the manner of RFC 2439.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlapDamping {
    /// Failovers since the last reset.
    failovers: u32,
    failed_over_at: Tick,
    /// When the present stay on UDP began.
    on_udp_since: Option<Tick>,
}

impl FlapDamping {
    /// Records a failover from UDP to TCP.
    pub(super) fn record_failover(&mut self, now: Tick) {
        if self.on_udp_since.is_some_and(|since| now.since(since) >= STABLE_AFTER) {
            self.failovers = 0;
        }
        self.failovers = self.failovers.saturating_add(1);
        self.failed_over_at = now;
        self.on_udp_since = None;
    }

    /// Records that the session is on UDP.
    pub(super) fn record_return(&mut self, now: Tick) {
        self.on_udp_since.get_or_insert(now);
    }

    /// Returns when the session may return to UDP: at once after a first failover, then after 30 s,
    /// 60 s … 10 min.
    pub(super) fn returns_at(&self) -> Tick {
        let Some(doublings) = self.failovers.checked_sub(2) else { return Tick::ZERO };
        self.failed_over_at + (RETURN_WAIT_MIN * (1 << doublings.min(8))).min(RETURN_WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    /// Answers the probes selected by `passes` after `rtt_ms`. Returns the time of the result in
    /// milliseconds, and the result.
    fn judge(rtt_ms: u64, passes: impl Fn(usize) -> bool) -> (u64, bool) {
        let mut rng = Rng::from_seed([1; 32]);
        let start = 5_000;
        let mut validation = PathValidation::new(at(start), Duration::from_millis(rtt_ms));
        let mut coming = Vec::new();
        for ms in start.. {
            if let Some(id) = validation.take_due_probe(at(ms), &mut rng)
                && passes(validation.sent)
            {
                coming.push((ms + rtt_ms, id));
            }
            coming.iter().filter(|(when, _)| *when == ms).for_each(|(_, id)| {
                validation.handle_answer(at(ms), *id);
                validation.handle_answer(at(ms), *id);
            });
            match validation.outcome(at(ms)) {
                Some(proved) => return (ms - start, proved),
                None => assert!(validation.next_deadline() > at(ms)),
            }
        }
        unreachable!("a proof ends")
    }

    #[test]
    fn three_answers_validate_path_and_two_do_not() {
        assert_eq!(judge(10, |_| true), (130, true));
        assert_eq!(judge(10, |n| n <= 2), (3_000, false));
        assert_eq!(judge(10, |n| n % 3 == 0), (1_710, true));
        assert_eq!(judge(200, |_| false), (1_000, false));
        assert_eq!(judge(1_000, |_| true), (1_120, true));
        assert_eq!(judge(1_000, |_| false), (3_000, false));
    }

    #[test]
    fn udp_is_validated_at_1_3_10_30_60_s_then_every_5_min() {
        let mut schedule = ProbeSchedule::default();
        schedule.begin(at(0), false);
        let mut times = Vec::new();
        for _ in 0..8 {
            let now = schedule.next_at().unwrap();
            times.push(now.as_micros() / 1_000_000);
            schedule.record_probe(now);
        }
        assert_eq!(times, [1, 3, 10, 30, 60, 360, 660, 960]);
        schedule.begin(at(0), true);
        assert_eq!(schedule.next_at(), Some(at(0)));
    }

    #[test]
    fn each_failover_doubles_wait_and_10_min_on_udp_reset_it() {
        let mut flap_damping = FlapDamping::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            flap_damping.record_failover(now);
            waits.push(flap_damping.returns_at().since(now).as_secs());
            now = now.max(flap_damping.returns_at());
            flap_damping.record_return(now);
            now = now + Duration::from_secs(599);
        }
        assert_eq!(waits, [0, 30, 60, 120, 240, 480, 600, 600]);
        flap_damping.record_failover(now + Duration::from_secs(1));
        assert_eq!(flap_damping.returns_at(), Tick::ZERO);
    }
}
