//! Queue for TCP connections: a bounded number of rounds may open one, the others wait.
//!
//! Relays that the user waits for go first, then relays that were not tried yet. For both, a round
//! without an answer gives up its connection after [`YIELDS_AFTER`]. So a working relay is reached
//! among 1,500 relays that accept connections silently or drop packets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{ConnId, HostPort, Tick};

/// TCP connections at which no round opens another. A quarter of the usual limit of 1,024
/// descriptors, so that an address book leaves enough for everything else.
const CONNS_MAX: usize = 256;
/// Additional connections for relays that the user waits for.
const CONNS_URGENT_MORE: usize = 32;
/// A round gives up its connection for a higher-ranked one if its last step got no answer within
/// this time. A second, after which a lost SYN is repeated (RFC 6298 §2), and one round trip. 1,500
/// unreachable relays delay a working one by 7 s.
const YIELDS_AFTER: Duration = Duration::from_millis(1_250);

/// Priority of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Letters are waiting, or the user wants the relay.
    Urgent,
    /// No round has failed since the relay was last reached or its entry changed.
    First,
    /// The last round has failed.
    Again,
}

/// Position in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DialRequest {
    rank: Rank,
    number: u64,
}

/// A connection that a round has opened and that has had no answer.
#[derive(Debug)]
struct Trial {
    relay: HostPort,
    rank: Rank,
    /// Time of its last step.
    since: Tick,
}

/// Next action of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DialAction {
    /// This relay's round may open a connection; it has left the queue.
    Open(HostPort),
    /// This relay's round gives up this connection.
    Yield(HostPort, ConnId),
}

/// Rounds waiting for a connection, and connections without an answer.
#[derive(Debug, Default)]
pub(super) struct Dials {
    waiting: BTreeSet<(DialRequest, HostPort)>,
    requests: u64,
    trials: BTreeMap<ConnId, Trial>,
}

impl Rank {
    const fn conns_max(self) -> usize {
        match self {
            Rank::Urgent => CONNS_MAX + CONNS_URGENT_MORE,
            Rank::First | Rank::Again => CONNS_MAX,
        }
    }
}

impl Dials {
    /// Requests a connection while `open` of them are open. Returns the position in the queue;
    /// `None` if it may be opened at once.
    pub(super) fn request(&mut self, open: usize, rank: Rank, relay: &HostPort) -> Option<DialRequest> {
        let is_first = self.waiting.first().is_none_or(|(waiting, _)| waiting.rank > rank);
        if is_first && open < rank.conns_max() {
            return None;
        }
        self.requests += 1;
        let waiting = DialRequest { rank, number: self.requests };
        self.waiting.insert((waiting, relay.clone()));
        Some(waiting)
    }

    /// Returns the first entry of the queue.
    pub(super) fn first(&self) -> Option<&(DialRequest, HostPort)> {
        self.waiting.first()
    }

    /// Makes a waiting relay urgent.
    pub(super) fn raise(&mut self, request: &mut DialRequest, relay: &HostPort) {
        if self.waiting.remove(&(*request, relay.clone())) {
            request.rank = Rank::Urgent;
            self.waiting.insert((*request, relay.clone()));
        }
    }

    /// Removes a round from the queue.
    pub(super) fn cancel(&mut self, request: DialRequest, relay: &HostPort) {
        self.waiting.remove(&(request, relay.clone()));
    }

    /// Registers a connection that a round has opened.
    pub(super) fn begin(&mut self, now: Tick, conn: ConnId, rank: Rank, relay: &HostPort) {
        self.trials.insert(conn, Trial { relay: relay.clone(), rank, since: now });
    }

    /// Restarts the time of a connection that has opened or on which a query was answered.
    pub(super) fn advance(&mut self, now: Tick, conn: ConnId) {
        if let Some(trial) = self.trials.get_mut(&conn) {
            trial.since = now;
        }
    }

    /// Makes a connection urgent: the user waits for it.
    pub(super) fn hold(&mut self, conn: ConnId) {
        if let Some(trial) = self.trials.get_mut(&conn) {
            trial.rank = Rank::Urgent;
        }
    }

    /// Removes a connection that was closed or is in use.
    pub(super) fn end(&mut self, conn: ConnId) {
        self.trials.remove(&conn);
    }

    /// Returns the next action while `open` connections are open. The caller must close a yielded
    /// connection at once.
    pub(super) fn next(&mut self, now: Tick, open: usize) -> Option<DialAction> {
        let rank = self.waiting.first()?.0.rank;
        if open < rank.conns_max() {
            return self.waiting.pop_first().map(|(_, relay)| DialAction::Open(relay));
        }
        let (conn, trial) = self.yielding(rank).filter(|(_, trial)| trial.since + YIELDS_AFTER <= now)?;
        Some(DialAction::Yield(trial.relay.clone(), *conn))
    }

    /// Returns when time alone makes [`Dials::next`] return an action.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let rank = self.waiting.first()?.0.rank;
        self.yielding(rank).map(|(_, trial)| trial.since + YIELDS_AFTER)
    }

    /// Returns the oldest connection to be given up for a relay of this rank. None for
    /// [`Rank::Again`]: relays that have failed before get their full time.
    fn yielding(&self, rank: Rank) -> Option<(&ConnId, &Trial)> {
        let trials = self.trials.iter().filter(|(_, trial)| rank < Rank::Again && trial.rank >= rank);
        trials.min_by_key(|(_, trial)| trial.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::from_micros(60_000_000);

    fn relay(n: usize) -> HostPort {
        format!("h:{}", n + 1).parse().unwrap()
    }

    fn conn(n: usize) -> ConnId {
        ConnId(n as u64)
    }

    /// Returns a full queue: as many connections as allowed, to relays of this rank, opened 1 ms
    /// apart.
    fn full(rank: Rank) -> Dials {
        let mut dials = Dials::default();
        for n in 0..CONNS_MAX {
            assert_eq!(dials.request(n, rank, &relay(n)), None);
            dials.begin(NOW + Duration::from_millis(n as u64), conn(n), rank, &relay(n));
        }
        dials
    }

    #[test]
    fn oldest_trial_yields_to_relay_never_tried() {
        let mut dials = full(Rank::First);
        dials.request(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        dials.advance(NOW + Duration::from_millis(900), conn(0));
        dials.end(conn(1));
        let at = dials.next_deadline().unwrap();
        assert_eq!(at, NOW + YIELDS_AFTER + Duration::from_millis(2));
        assert_eq!(dials.next(at - Duration::from_micros(1), CONNS_MAX), None);
        assert_eq!(dials.next(at, CONNS_MAX), Some(DialAction::Yield(relay(2), conn(2))));
        dials.end(conn(2));
        assert_eq!(dials.next(at, CONNS_MAX - 1), Some(DialAction::Open(relay(900))));
        assert_eq!(dials.next(at, 0), None);
        assert_eq!(dials.next_deadline(), None);
    }

    #[test]
    fn nothing_is_given_up_for_relay_that_failed() {
        let mut dials = full(Rank::Again);
        let late = NOW + Duration::from_secs(8);
        dials.request(CONNS_MAX, Rank::Again, &relay(900));
        assert_eq!(dials.next(late, CONNS_MAX), None);
        assert_eq!(dials.next_deadline(), None);
        dials.request(CONNS_MAX, Rank::First, &relay(901));
        assert!(matches!(dials.next(late, CONNS_MAX), Some(DialAction::Yield(..))));
    }

    #[test]
    fn urgent_relay_waits_for_no_other_and_keeps_its_connection() {
        let mut dials = full(Rank::First);
        let mut request = dials.request(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        assert_eq!(dials.request(CONNS_MAX, Rank::Urgent, &relay(901)), None);
        dials.begin(NOW, conn(901), Rank::Urgent, &relay(901));
        dials.hold(conn(0));
        let late = NOW + Duration::from_secs(8);
        assert_eq!(dials.next(late, CONNS_MAX + 1), Some(DialAction::Yield(relay(1), conn(1))));
        dials.raise(&mut request, &relay(900));
        assert_eq!(dials.next(late, CONNS_MAX + 1), Some(DialAction::Open(relay(900))));
    }

    #[test]
    fn forgotten_relay_gets_no_turn() {
        let mut dials = full(Rank::Again);
        let request = dials.request(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        dials.cancel(request, &relay(900));
        assert_eq!(dials.next(NOW, 0), None);
        assert_eq!(dials.next_deadline(), None);
    }
}
