//! `/path`: other carriers from here on. TCP alone is used at each relay that answers over it.

use std::collections::BTreeSet;

use crate::base::{Carrier, HostPort};
use crate::client::{Carriers, ConnectFailure, Event};
use crate::ui::notice;

use super::relay_status::{RelayStatus, TcpRequest};
use super::{Action, ContactLookup, LineMode};

impl<B: ContactLookup> LineMode<B> {
    pub(super) fn set_carriers(&mut self, carriers: Carriers) -> Vec<Action> {
        let before = self.tcp_request.take().map_or(self.options.carriers, |request| request.before);
        self.options.carriers = carriers;
        if carriers == Carriers::Tcp {
            let pending: BTreeSet<HostPort> =
                self.relays().into_iter().filter(|relay| !self.is_over_tcp(relay)).collect();
            let on_udp = RelayStatus::Online(Carrier::Udp);
            let awaits_move = self.relay_statuses.values().any(|status| *status == on_udp);
            if before != Carriers::Tcp && !pending.is_empty() {
                self.tcp_request = Some(TcpRequest { before, pending });
            }
            // The move, or the refusal, is the answer.
            if awaits_move {
                return vec![Action::Carriers(carriers)];
            }
        }
        vec![self.tell(&notice::of_carriers(carriers)), Action::Carriers(carriers)]
    }

    fn is_over_tcp(&self, relay: &HostPort) -> bool {
        self.relay_statuses.get(relay) == Some(&RelayStatus::Online(Carrier::Tcp))
    }

    /// Handles a relay that is reached over `via`.
    pub(super) fn handle_reached(&mut self, relay: &HostPort, via: Carrier) {
        if via == Carrier::Tcp
            && let Some(request) = &mut self.tcp_request
        {
            request.pending.remove(relay);
            self.tcp_request.take_if(|request| request.pending.is_empty());
        }
    }

    /// Handles a relay that stays on UDP because it does not answer over TCP.
    pub(super) fn handle_tcp_unreached(&mut self, relay: &HostPort, event: &Event) -> Vec<Action> {
        let mut actions = self.notice(event);
        actions.extend(self.end_tcp_request_at(relay));
        actions
    }

    /// Handles a relay that was not connected and refuses TCP.
    pub(super) fn handle_no_listener(&mut self, relay: &HostPort, reason: &ConnectFailure) -> Option<Action> {
        let is_refused = *reason == ConnectFailure::NoTcpListener;
        if is_refused { self.end_tcp_request_at(relay) } else { None }
    }

    /// Goes back to the carriers before, once every relay has refused TCP.
    fn end_tcp_request_at(&mut self, relay: &HostPort) -> Option<Action> {
        let request = self.tcp_request.as_mut()?;
        request.pending.remove(relay);
        if !request.pending.is_empty() {
            return None;
        }
        let before = self.tcp_request.take()?.before;
        if self.relays().iter().any(|relay| self.is_over_tcp(relay)) {
            return None;
        }
        self.options.carriers = before;
        Some(Action::Carriers(before))
    }
}
