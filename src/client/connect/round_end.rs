//! The end of a round in which no attempt succeeded, and its cause.

use crate::base::{HostPort, Now, Tick};
use crate::client::api::{Carriers, Event};
use crate::client::connect_failure::ConnectFailure;
use crate::client::relay_connection::{ClientContext, Out, RelayConnection, ReportedState};

use super::{ConnectReason, Connector};

impl Connector {
    /// Returns why nothing has answered yet.
    pub(super) fn cause_of_silence(&self, carriers: Carriers) -> ConnectFailure {
        match self.udp.are_known() && self.tcp.are_known() {
            true => self.causes.of_round(carriers, self.udp.all(), self.tcp.all()),
            false => ConnectFailure::NoNameServer,
        }
    }
}

impl RelayConnection {
    /// Handles a look-up that no name server answered.
    pub(in super::super) fn handle_unresolved(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        host: &HostPort,
        out: &mut Out,
    ) {
        self.connector.causes.record_unresolved();
        self.handle_resolved(now, ctx, host, &[], out);
    }

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
            self.report_unreached(self.connector.cause_of_silence(self.carriers(ctx.carriers)), out);
        }
        self.connector.back_off(now, &mut ctx.rng);
    }

    /// Reports once that the relay is unreachable or lost. A changed key is always reported.
    pub(super) fn report_unreached(&mut self, failure: ConnectFailure, out: &mut Out) {
        let relay = self.config.addr.clone();
        let is_other_key = failure.is_other_key();
        match self.reported {
            ReportedState::Online if !is_other_key => out.show(Event::Lost { relay }),
            ReportedState::None | ReportedState::Online => {
                out.show(Event::Unreached { relay, reason: failure })
            }
            ReportedState::Offline if is_other_key && !self.connector.reported_key_changed => {
                out.show(Event::Unreached { relay, reason: failure })
            }
            ReportedState::Offline => {}
        }
        self.connector.reported_key_changed |= is_other_key;
        self.reported = ReportedState::Offline;
    }
}
