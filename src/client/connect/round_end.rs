//! The end of a round in which no attempt succeeded.

use crate::base::Tick;
use crate::client::api::{ConnectFailure, Event};
use crate::client::relay_connection::{ClientContext, Out, RelayConnection, ReportedState};

use super::ConnectReason;

impl RelayConnection {
    pub(super) fn end_failed_round(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let waits = self.connector.tcp_at.is_some() || self.connector.dial_request.is_some();
        let more = !self.connector.attempts.is_empty() || waits;
        if more || self.connector.reason.is_none() {
            return;
        }
        self.forget_unproven_key();
        if self.connector.reason != Some(ConnectReason::Rekey) {
            self.connector.udp.handle_failed_round();
            self.connector.tcp.handle_failed_round();
            self.tell_unreached(ConnectFailure::Silent, out);
        }
        self.connector.back_off(now, &mut ctx.rng);
    }

    /// Reports once that the relay is unreachable or lost. A changed key is always reported.
    pub(super) fn tell_unreached(&mut self, why: ConnectFailure, out: &mut Out) {
        let relay = self.config.addr.clone();
        let loud = why.is_other_key();
        match self.reported {
            ReportedState::Online if !loud => out.show(Event::Lost { relay }),
            ReportedState::None | ReportedState::Online => out.show(Event::Unreached { relay, why }),
            ReportedState::Offline if loud && !self.connector.reported_key_changed => {
                out.show(Event::Unreached { relay, why })
            }
            ReportedState::Offline => {}
        }
        self.connector.reported_key_changed |= loud;
        self.reported = ReportedState::Offline;
    }
}
