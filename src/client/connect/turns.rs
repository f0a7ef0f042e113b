//! Turns of one relay's rounds and TCP connections among those of all relays; see
//! [`crate::client::pace`].

use crate::base::{ConnId, Now, Tick};
use crate::client::attempt::Attempt;
use crate::client::connect::Round;
use crate::client::dials::{Rank, Turn};
use crate::client::pace::Lane;
use crate::client::uplink::{Out, Shared, Uplink, close_conn};

impl Uplink {
    /// Whether a round may begin. If not, it waits for [`Uplink::handle_turn`].
    pub(super) fn is_its_turn(&mut self, now: Tick, shared: &mut Shared) -> bool {
        if std::mem::take(&mut self.connecting.granted) {
            return true;
        }
        if self.connecting.asked.is_none() {
            let lane = self.lane();
            let urgent = self.is_urgent();
            self.connecting.asked = shared.pace.ask(now, lane, urgent, &self.spec.addr);
            return self.connecting.asked.is_none();
        }
        self.raise(shared);
        false
    }

    /// Begins the round whose turn has come.
    pub(in crate::client) fn handle_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let waits = self.connecting.asked.take().is_some();
        if waits && !self.stopped {
            self.connecting.granted = true;
            self.pursue(now, shared, out);
            self.connecting.granted = false;
        }
    }

    /// Whether a TCP connection may be opened. If not, it waits for [`Uplink::handle_dial_turn`].
    /// Only rounds without a session wait.
    pub(super) fn is_its_dial_turn(&mut self, shared: &mut Shared) -> bool {
        if self.connecting.round == Some(Round::Fresh) {
            let open = shared.conns.len();
            let rank = self.rank();
            self.connecting.dial_waits = shared.pace.dials.ask(open, rank, &self.spec.addr);
        }
        self.connecting.dial_waits.is_none()
    }

    /// Whether a connection waits at this place of the queue. Its round may have ended.
    pub(in crate::client) fn waits_to_dial(&self, turn: Turn) -> bool {
        self.connecting.dial_waits == Some(turn)
    }

    /// Opens the connection whose turn has come.
    pub(in crate::client) fn handle_dial_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if self.connecting.dial_waits.take().is_some() && self.connecting.round.is_some() {
            self.begin_tcp(now.tick, shared, out);
            self.drive_attempts(now, shared, out);
        }
    }

    /// Registers a connection of a round without a session. It is closed early if others wait.
    pub(super) fn note_trial(&self, now: Tick, conn: ConnId, shared: &mut Shared) {
        if self.connecting.round == Some(Round::Fresh) {
            shared.pace.dials.begin(now, conn, self.rank(), &self.spec.addr);
        }
    }

    /// Closes this connection and ends its attempt.
    pub(in crate::client) fn yield_conn(
        &mut self,
        now: Now,
        conn: ConnId,
        shared: &mut Shared,
        out: &mut Out,
    ) {
        shared.pace.dials.end(conn);
        let attempts = &mut self.connecting.attempts;
        if let Some(place) = attempts.iter().position(|attempt| attempt.conn() == Some(conn)) {
            let attempt = attempts.remove(place);
            self.free_attempt(now.tick, shared, &attempt);
            close_conn(shared, conn, out);
            self.end_failed_round(now.tick, shared, out);
        }
    }

    /// Makes the waiting round and connection urgent if letters are waiting or the user wants the
    /// relay. Open connections are then not closed early.
    pub(in crate::client) fn raise(&mut self, shared: &mut Shared) {
        if !self.is_urgent() {
            return;
        }
        if let Some(asked) = &mut self.connecting.asked {
            shared.pace.raise(asked, &self.spec.addr);
        }
        if let Some(turn) = &mut self.connecting.dial_waits {
            shared.pace.dials.raise(turn, &self.spec.addr);
        }
        for conn in self.connecting.attempts.iter().filter_map(Attempt::conn) {
            shared.pace.dials.hold(conn);
        }
    }

    /// Removes the round and the connection from the queues.
    pub(in crate::client) fn forget_turn(&mut self, shared: &mut Shared) {
        if let Some(asked) = self.connecting.asked.take() {
            shared.pace.forget(asked, &self.spec.addr);
        }
        if let Some(turn) = self.connecting.dial_waits.take() {
            shared.pace.dials.forget(turn, &self.spec.addr);
        }
    }

    fn rank(&self) -> Rank {
        match self.lane() {
            _ if self.is_urgent() => Rank::Urgent,
            Lane::First => Rank::First,
            Lane::Again => Rank::Again,
        }
    }

    fn lane(&self) -> Lane {
        if self.connecting.failures == 0 { Lane::First } else { Lane::Again }
    }
}
