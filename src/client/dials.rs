//! Turns at TCP connections: a bounded number of rounds may open one, the others wait.
//!
//! Relays that the user waits for go first, then those that were not tried yet. For both of them a round that has had no
//! answer for a while gives its connection up: a relay that lives is reached among 1,500 that accept connections and say
//! nothing, or drop what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{ConnId, HostPort, Tick};

/// TCP connections at which a round opens no more, so that a book leaves descriptors to everything else: a quarter of
/// the usual limit of 1,024.
const CONNS_MAX: usize = 256;
/// This many more are for relays that the user waits for.
const CONNS_URGENT_MORE: usize = 32;
/// A round gives its connection up to one that goes before it if its last step was not answered within this time: a second,
/// after which a lost SYN goes again (RFC 6298), and a round trip. 1,500 relays that are gone hold a living one up by 7 s.
const YIELDS_AFTER: Duration = Duration::from_millis(1_250);

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// There are letters to go, or the user asks for the relay.
    Urgent,
    /// No round has failed since the relay was reached, or since something changed.
    First,
    /// The last round has failed.
    Again,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    rank: Rank,
    number: u64,
}

/// A connection that a round has opened and not been answered on.
#[derive(Debug)]
struct Trial {
    relay: HostPort,
    rank: Rank,
    /// When its last step was taken.
    since: Tick,
}

/// What becomes of the queue now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This relay's round may open a connection; its place is given up.
    Opens(HostPort),
    /// This relay's round gives this connection up.
    Yields(HostPort, ConnId),
}

/// Rounds that wait to open a connection, and connections that no answer came on yet.
#[derive(Debug, Default)]
pub(super) struct Dials {
    waiting: BTreeSet<(Turn, HostPort)>,
    asked: u64,
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
    /// Asks for a connection, where this many are open. Returns the place in the queue; `None` if it may be opened at once.
    pub(super) fn ask(&mut self, open: usize, rank: Rank, relay: &HostPort) -> Option<Turn> {
        let is_first = self.waiting.first().is_none_or(|(turn, _)| turn.rank > rank);
        if is_first && open < rank.conns_max() {
            return None;
        }
        self.asked += 1;
        let turn = Turn { rank, number: self.asked };
        self.waiting.insert((turn, relay.clone()));
        Some(turn)
    }

    /// Whose turn it is next.
    pub(super) fn first(&self) -> Option<&(Turn, HostPort)> {
        self.waiting.first()
    }

    /// A relay that waits has become urgent.
    pub(super) fn raise(&mut self, turn: &mut Turn, relay: &HostPort) {
        if self.waiting.remove(&(*turn, relay.clone())) {
            turn.rank = Rank::Urgent;
            self.waiting.insert((*turn, relay.clone()));
        }
    }

    /// The round waits no more.
    pub(super) fn forget(&mut self, turn: Turn, relay: &HostPort) {
        self.waiting.remove(&(turn, relay.clone()));
    }

    /// A round has opened this connection.
    pub(super) fn begin(&mut self, now: Tick, conn: ConnId, rank: Rank, relay: &HostPort) {
        self.trials.insert(conn, Trial { relay: relay.clone(), rank, since: now });
    }

    /// The connection is open, or a question was answered on it: it has its time again.
    pub(super) fn advance(&mut self, now: Tick, conn: ConnId) {
        if let Some(trial) = self.trials.get_mut(&conn) {
            trial.since = now;
        }
    }

    /// The user waits for what this connection is opened for.
    pub(super) fn hold(&mut self, conn: ConnId) {
        if let Some(trial) = self.trials.get_mut(&conn) {
            trial.rank = Rank::Urgent;
        }
    }

    /// The connection is closed, or in use.
    pub(super) fn end(&mut self, conn: ConnId) {
        self.trials.remove(&conn);
    }

    /// What happens next, where this many connections are open. A connection that is yielded is to be closed at once.
    pub(super) fn next(&mut self, now: Tick, open: usize) -> Option<Next> {
        let rank = self.waiting.first()?.0.rank;
        if open < rank.conns_max() {
            return self.waiting.pop_first().map(|(_, relay)| Next::Opens(relay));
        }
        let (conn, trial) = self.yielding(rank).filter(|(_, trial)| trial.since + YIELDS_AFTER <= now)?;
        Some(Next::Yields(trial.relay.clone(), *conn))
    }

    /// When [`Dials::next`] has something because time has passed.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let rank = self.waiting.first()?.0.rank;
        self.yielding(rank).map(|(_, trial)| trial.since + YIELDS_AFTER)
    }

    /// The oldest connection that is given up for a relay of this rank. Where all were tried, none is: each has its full time.
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

    /// As many connections are being opened as may be, to relays of this rank, a millisecond after each other.
    fn full(rank: Rank) -> Dials {
        let mut dials = Dials::default();
        for n in 0..CONNS_MAX {
            assert_eq!(dials.ask(n, rank, &relay(n)), None);
            dials.begin(NOW + Duration::from_millis(n as u64), conn(n), rank, &relay(n));
        }
        dials
    }

    #[test]
    fn oldest_trial_yields_to_relay_never_tried() {
        let mut dials = full(Rank::First);
        dials.ask(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        dials.advance(NOW + Duration::from_millis(900), conn(0));
        dials.end(conn(1));
        let at = dials.next_deadline().unwrap();
        assert_eq!(at, NOW + YIELDS_AFTER + Duration::from_millis(2));
        assert_eq!(dials.next(at - Duration::from_micros(1), CONNS_MAX), None);
        assert_eq!(dials.next(at, CONNS_MAX), Some(Next::Yields(relay(2), conn(2))));
        dials.end(conn(2));
        assert_eq!(dials.next(at, CONNS_MAX - 1), Some(Next::Opens(relay(900))));
        assert_eq!((dials.next(at, 0), dials.next_deadline()), (None, None));
    }

    #[test]
    fn nothing_is_given_up_for_relay_that_failed() {
        let mut dials = full(Rank::Again);
        let late = NOW + Duration::from_secs(8);
        dials.ask(CONNS_MAX, Rank::Again, &relay(900));
        assert_eq!((dials.next(late, CONNS_MAX), dials.next_deadline()), (None, None));
        dials.ask(CONNS_MAX, Rank::First, &relay(901));
        assert!(matches!(dials.next(late, CONNS_MAX), Some(Next::Yields(..))));
    }

    #[test]
    fn urgent_relay_waits_for_no_other_and_keeps_its_connection() {
        let mut dials = full(Rank::First);
        let mut turn = dials.ask(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        assert_eq!(dials.ask(CONNS_MAX, Rank::Urgent, &relay(901)), None);
        dials.begin(NOW, conn(901), Rank::Urgent, &relay(901));
        dials.hold(conn(0));
        let late = NOW + Duration::from_secs(8);
        assert_eq!(dials.next(late, CONNS_MAX + 1), Some(Next::Yields(relay(1), conn(1))));
        dials.raise(&mut turn, &relay(900));
        assert_eq!(dials.next(late, CONNS_MAX + 1), Some(Next::Opens(relay(900))));
    }

    #[test]
    fn who_is_forgotten_takes_no_turn() {
        let mut dials = full(Rank::Again);
        let turn = dials.ask(CONNS_MAX, Rank::First, &relay(900)).unwrap();
        dials.forget(turn, &relay(900));
        assert_eq!((dials.next(NOW, 0), dials.next_deadline()), (None, None));
    }
}
