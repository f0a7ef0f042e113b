//! Turns of one relay's rounds and TCP connections among those of all relays; see
//! [`crate::client::pace`].

use crate::base::{ConnId, Now, Tick};
use crate::client::attempt::ConnectAttempt;
use crate::client::connect::ConnectReason;
use crate::client::dials::{DialRequest, Rank};
use crate::client::pace::Lane;
use crate::client::relay_connection::{ClientContext, Out, RelayConnection, close_conn};

impl RelayConnection {
    /// Whether a round may begin. If not, it waits for [`RelayConnection::handle_pace_grant`].
    pub(super) fn may_begin(&mut self, now: Tick, ctx: &mut ClientContext) -> bool {
        if std::mem::take(&mut self.connector.granted) {
            return true;
        }
        if self.connector.pace_request.is_none() {
            let lane = self.lane();
            let urgent = self.is_urgent();
            self.connector.pace_request = ctx.pace.request(now, lane, urgent, &self.config.addr);
            return self.connector.pace_request.is_none();
        }
        self.raise_priority(ctx);
        false
    }

    /// Begins the round whose turn has come.
    pub(in crate::client) fn handle_pace_grant(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        let waits = self.connector.pace_request.take().is_some();
        if waits && !self.stopped {
            self.connector.granted = true;
            self.drive(now, ctx, out);
            self.connector.granted = false;
        }
    }

    /// Whether a TCP connection may be opened. If not, it waits for
    /// [`RelayConnection::handle_dial_grant`]. Only rounds without a session wait.
    pub(super) fn may_dial(&mut self, ctx: &mut ClientContext) -> bool {
        if self.connector.reason == Some(ConnectReason::Initial) {
            let open = ctx.conns.len();
            let rank = self.rank();
            self.connector.dial_request = ctx.pace.dials.request(open, rank, &self.config.addr);
        }
        self.connector.dial_request.is_none()
    }

    /// Whether a connection waits with this request. Its round may have ended.
    pub(in crate::client) fn is_waiting_to_dial(&self, request: DialRequest) -> bool {
        self.connector.dial_request == Some(request)
    }

    /// Opens the connection whose turn has come.
    pub(in crate::client) fn handle_dial_grant(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        if self.connector.dial_request.take().is_some() && self.connector.reason.is_some() {
            self.begin_tcp(now.tick, ctx, out);
            self.drive_attempts(now, ctx, out);
        }
    }

    /// Registers a connection of a round without a session. It is closed early if others wait.
    pub(super) fn record_trial(&self, now: Tick, conn: ConnId, ctx: &mut ClientContext) {
        if self.connector.reason == Some(ConnectReason::Initial) {
            ctx.pace.dials.begin(now, conn, self.rank(), &self.config.addr);
        }
    }

    /// Closes this connection and ends its attempt.
    pub(in crate::client) fn yield_conn(
        &mut self,
        now: Now,
        conn: ConnId,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        ctx.pace.dials.end(conn);
        let attempts = &mut self.connector.attempts;
        if let Some(index) = attempts.iter().position(|attempt| attempt.conn() == Some(conn)) {
            let attempt = attempts.remove(index);
            self.free_attempt(now.tick, ctx, &attempt);
            close_conn(ctx, conn, out);
            self.end_failed_round(now.tick, ctx, out);
        }
    }

    /// Makes the waiting round and connection urgent if letters are waiting or the user wants the
    /// relay. Open connections are then not closed early.
    pub(in crate::client) fn raise_priority(&mut self, ctx: &mut ClientContext) {
        if !self.is_urgent() {
            return;
        }
        if let Some(request) = &mut self.connector.pace_request {
            ctx.pace.raise(request, &self.config.addr);
        }
        if let Some(request) = &mut self.connector.dial_request {
            ctx.pace.dials.raise(request, &self.config.addr);
        }
        for conn in self.connector.attempts.iter().filter_map(ConnectAttempt::conn) {
            ctx.pace.dials.hold(conn);
        }
    }

    /// Removes the round and the connection from the queues.
    pub(in crate::client) fn cancel_requests(&mut self, ctx: &mut ClientContext) {
        if let Some(request) = self.connector.pace_request.take() {
            ctx.pace.cancel(request, &self.config.addr);
        }
        if let Some(request) = self.connector.dial_request.take() {
            ctx.pace.dials.cancel(request, &self.config.addr);
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
        if self.connector.failures == 0 { Lane::First } else { Lane::Again }
    }
}
