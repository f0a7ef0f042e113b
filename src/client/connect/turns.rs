//! When a round and a connection of one relay get their turn among those of all relays; see [`crate::client::pace`].

use crate::base::{ConnId, Now, Tick};
use crate::client::attempt::Attempt;
use crate::client::connect::Round;
use crate::client::dials::{Rank, Turn};
use crate::client::pace::Lane;
use crate::client::uplink::{Out, Shared, Uplink, close_conn};

impl Uplink {
    /// Whether a round may begin; if not, it waits until [`Uplink::handle_turn`].
    pub(super) fn is_its_turn(&mut self, now: Tick, shared: &mut Shared) -> bool {
        if std::mem::take(&mut self.connecting.granted) {
            return true;
        }
        if self.connecting.asked.is_none() {
            let (lane, urgent) = (self.lane(), self.is_urgent());
            self.connecting.asked = shared.pace.ask(now, lane, urgent, &self.spec.addr);
            return self.connecting.asked.is_none();
        }
        self.raise(shared);
        false
    }

    /// The turn of this relay's round has come.
    pub(in crate::client) fn handle_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let waits = self.connecting.asked.take().is_some();
        if waits && !self.stopped {
            self.connecting.granted = true;
            self.pursue(now, shared, out);
            self.connecting.granted = false;
        }
    }

    /// Whether a connection may be opened; if not, it waits until [`Uplink::handle_dial_turn`]. Only a fresh round waits.
    pub(super) fn is_its_dial_turn(&mut self, shared: &mut Shared) -> bool {
        if self.connecting.round == Some(Round::Fresh) {
            let (open, rank) = (shared.conns.len(), self.rank());
            self.connecting.dial_waits = shared.pace.dials.ask(open, rank, &self.spec.addr);
        }
        self.connecting.dial_waits.is_none()
    }

    /// Whether it waits in this place of the queue: its round may have ended since.
    pub(in crate::client) fn waits_to_dial(&self, turn: Turn) -> bool {
        self.connecting.dial_waits == Some(turn)
    }

    /// The turn of this relay's connection has come.
    pub(in crate::client) fn handle_dial_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if self.connecting.dial_waits.take().is_some() && self.connecting.round.is_some() {
            self.begin_tcp(now.tick, shared, out);
            self.drive_attempts(now, shared, out);
        }
    }

    /// A fresh round has opened this connection, which is given up early where others wait.
    pub(super) fn note_trial(&self, now: Tick, conn: ConnId, shared: &mut Shared) {
        if self.connecting.round == Some(Round::Fresh) {
            shared.pace.dials.begin(now, conn, self.rank(), &self.spec.addr);
        }
    }

    /// Gives up the attempt on this connection.
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

    /// A round that waits goes before others if there are letters to go, or the user asks for the relay; so does its
    /// connection, and one that is there is kept.
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

    /// The relay is not spoken to any more.
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
