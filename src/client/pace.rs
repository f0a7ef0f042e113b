//! Common rate of connection rounds to all relays of a client: an address book may list thousands
//! of unreachable ones.
//!
//! Relays that were not tried yet or were reached before are tried soon, 1,500 of them within 2 s.
//! Unreachable relays wait for a turn among themselves, in addition to their own pause. Relays with
//! waiting letters or a user's request go first, then those that have waited the longest. Repairs
//! of an existing session never wait.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{HostPort, Tick};

use super::dials::Dials;

/// Interval and burst of first rounds. A handshake costs 0.3 ms of curve arithmetic, so a sweep
/// takes a third of a core.
const FIRST_RATE: (Duration, u32) = (Duration::from_millis(1), 64);
/// Interval and burst of further rounds, which cost about 1 ms each. 300 unreachable relays are
/// tried every 30 s, the longest pause of a single one, and 1,500 every 150 s.
const AGAIN_RATE: (Duration, u32) = (Duration::from_millis(100), 16);

/// Queue of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// No round has failed since the relay was last reached or its entry changed.
    First,
    /// The last round has failed.
    Again,
}

/// Position in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaceRequest {
    lane: Lane,
    urgent: bool,
    number: u64,
}

/// A rate limiter (generic cell rate algorithm) with the relays that wait for it, urgent ones
/// first.
#[derive(Debug)]
struct LaneQueue {
    rate: (Duration, u32),
    whole_at: Tick,
    waiting: BTreeSet<(bool, u64, HostPort)>,
}

/// The common rate of all rounds.
#[derive(Debug)]
pub(super) struct Pace {
    first: LaneQueue,
    again: LaneQueue,
    requests: u64,
    /// Queue for TCP connections.
    pub(super) dials: Dials,
}

impl LaneQueue {
    fn new(rate: (Duration, u32)) -> LaneQueue {
        LaneQueue { rate, whole_at: Tick::ZERO, waiting: BTreeSet::new() }
    }

    fn ready_at(&self) -> Tick {
        self.whole_at - self.rate.0 * (self.rate.1 - 1)
    }

    fn take(&mut self, now: Tick) -> bool {
        let ready = self.ready_at() <= now;
        if ready {
            self.whole_at = self.whole_at.max(now) + self.rate.0;
        }
        ready
    }

    fn next(&mut self, now: Tick) -> Option<HostPort> {
        if self.waiting.is_empty() || !self.take(now) {
            return None;
        }
        self.waiting.pop_first().map(|(_, _, relay)| relay)
    }
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace {
            first: LaneQueue::new(FIRST_RATE),
            again: LaneQueue::new(AGAIN_RATE),
            requests: 0,
            dials: Dials::default(),
        }
    }

    /// Requests a round for this relay. Returns its position in the queue; `None` if the round may
    /// begin at once.
    pub(super) fn request(
        &mut self,
        now: Tick,
        lane: Lane,
        urgent: bool,
        relay: &HostPort,
    ) -> Option<PaceRequest> {
        let queue = self.queue(lane);
        if queue.waiting.is_empty() && queue.take(now) {
            return None;
        }
        self.requests += 1;
        let request = PaceRequest { lane, urgent, number: self.requests };
        self.queue(lane).waiting.insert((!urgent, request.number, relay.clone()));
        Some(request)
    }

    /// Makes a waiting relay urgent.
    pub(super) fn raise(&mut self, request: &mut PaceRequest, relay: &HostPort) {
        if std::mem::replace(&mut request.urgent, true) {
            return;
        }
        let waiting = &mut self.queue(request.lane).waiting;
        if waiting.remove(&(true, request.number, relay.clone())) {
            waiting.insert((false, request.number, relay.clone()));
        }
    }

    /// Removes a relay from the queue.
    pub(super) fn cancel(&mut self, request: PaceRequest, relay: &HostPort) {
        self.queue(request.lane).waiting.remove(&(!request.urgent, request.number, relay.clone()));
    }

    /// Returns the relay whose round may begin now.
    pub(super) fn next(&mut self, now: Tick) -> Option<HostPort> {
        self.first.next(now).or_else(|| self.again.next(now))
    }

    /// Returns when [`Pace::next`] or [`Dials::next`] returns something.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let queues = [&self.first, &self.again].into_iter().filter(|queue| !queue.waiting.is_empty());
        queues.map(LaneQueue::ready_at).chain(self.dials.next_deadline()).min()
    }

    fn queue(&mut self, lane: Lane) -> &mut LaneQueue {
        match lane {
            Lane::First => &mut self.first,
            Lane::Again => &mut self.again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::from_micros(60_000_000);

    fn relay(n: usize) -> HostPort {
        format!("h:{}", n + 1).parse().unwrap()
    }

    fn fill(pace: &mut Pace, lane: Lane, many: usize) -> Vec<PaceRequest> {
        (0..many).filter_map(|n| pace.request(NOW, lane, false, &relay(n))).collect()
    }

    #[test]
    fn relays_take_turns_at_rate_and_urgent_ones_go_first() {
        let mut pace = Pace::new();
        let mut requests = fill(&mut pace, Lane::Again, 100);
        assert_eq!(requests.len(), 100 - AGAIN_RATE.1 as usize);
        pace.raise(requests.last_mut().unwrap(), &relay(99));
        assert!(pace.request(NOW, Lane::Again, true, &relay(200)).is_some());
        assert_eq!(pace.next(NOW), None);
        let at = pace.next_deadline().unwrap();
        assert_eq!(at, NOW + AGAIN_RATE.0);
        let order: Vec<_> = (0..5).filter_map(|n| pace.next(at + AGAIN_RATE.0 * n)).collect();
        assert_eq!(order, [99, 200, 16, 17, 18].map(relay));
        assert_eq!(pace.next(at), None, "not two at once");
    }

    #[test]
    fn first_rounds_do_not_wait_for_further_ones() {
        let mut pace = Pace::new();
        fill(&mut pace, Lane::Again, 1_000);
        assert_eq!(pace.request(NOW, Lane::First, false, &relay(2_000)), None);
        fill(&mut pace, Lane::First, 1_500);
        let waiting = |pace: &Pace| (pace.first.waiting.len(), pace.again.waiting.len());
        assert_eq!(waiting(&pace), (1_500 - FIRST_RATE.1 as usize + 1, 1_000 - AGAIN_RATE.1 as usize));
        for ms in 1..=1_500 {
            while pace.next(NOW + FIRST_RATE.0 * ms).is_some() {}
        }
        assert_eq!(waiting(&pace), (0, 1_000 - AGAIN_RATE.1 as usize - 15));
    }

    #[test]
    fn forgotten_relay_gets_no_turn() {
        let mut pace = Pace::new();
        let requests = fill(&mut pace, Lane::Again, AGAIN_RATE.1 as usize + 1);
        pace.cancel(requests[0], &relay(AGAIN_RATE.1 as usize));
        assert_eq!(pace.next_deadline(), None);
    }
}
