//! The user permits TCP only while a session is on UDP. The session moves once the relay has
//! answered over TCP; a relay that does not keeps the carriers permitted before.

use std::time::Duration;

use crate::base::{ConnId, Path, PathError, Tick};
use crate::peer::Peer;

use super::super::api::{Carriers, Event};
use super::super::relay_connection::{ClientContext, Out, RelayConnection};
use super::{FallbackState, TcpRequest};

/// Time limit for the relay's answer over TCP. 3 s: a connect, once retransmitted (RFC 6298: after
/// 1 s), and a probe.
const TCP_WITHIN: Duration = Duration::from_secs(3);

impl RelayConnection {
    /// Returns the carriers permitted at this relay: those of the client, unless it has refused
    /// them.
    pub(in super::super) fn carriers(&self, of_client: Carriers) -> Carriers {
        self.path_manager.kept_carriers.unwrap_or(of_client)
    }

    /// Handles the client's new carriers; before they were `before`.
    pub(super) fn begin_tcp_request(&mut self, now: Tick, before: Carriers, carriers: Carriers) {
        let before = self.path_manager.kept_carriers.take().unwrap_or(before);
        let earlier = self.path_manager.tcp_request.take();
        let before = earlier.map_or(before, |request| request.before);
        let is_on_udp = matches!(self.peer.as_ref().and_then(Peer::path), Some(Path::Udp(_)));
        if is_on_udp && carriers == Carriers::Tcp && before != Carriers::Tcp {
            let deadline = now + TCP_WITHIN;
            self.path_manager.tcp_request = Some(TcpRequest { before, deadline, failures: 0 });
        }
    }

    /// Refuses the request if its time is over. Returns `true` if so.
    pub(super) fn check_tcp_request(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) -> bool {
        let is_over = self.path_manager.tcp_request.is_some_and(|request| request.deadline <= now);
        if is_over {
            self.refuse_tcp(now, false, ctx, out);
        }
        is_over
    }

    /// Handles an opened connection. Returns `true` if it is the fallback.
    pub(in super::super) fn handle_fallback_opened(&mut self, conn: ConnId) -> bool {
        let fallback = self.path_manager.fallback.as_mut().filter(|fallback| fallback.conn == conn);
        fallback.map(|fallback| fallback.state = FallbackState::Open).is_some()
    }

    /// Handles a closed connection, if it is the fallback. After a request each address is tried
    /// without a pause, once.
    pub(in super::super) fn handle_fallback_closed(
        &mut self,
        now: Tick,
        conn: ConnId,
        error: PathError,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        if self.path_manager.fallback.is_none_or(|fallback| fallback.conn != conn) {
            return;
        }
        self.path_manager.back_off_fallback(now);
        let addrs = self.connector.tcp_addr_count();
        let Some(request) = &mut self.path_manager.tcp_request else { return };
        request.failures += 1;
        if request.failures < addrs {
            self.path_manager.fallback_not_before = now;
        } else {
            self.refuse_tcp(now, error == PathError::Refused, ctx, out);
        }
    }

    fn refuse_tcp(&mut self, now: Tick, is_refused: bool, ctx: &mut ClientContext, out: &mut Out) {
        let Some(request) = self.path_manager.tcp_request.take() else { return };
        self.path_manager.kept_carriers = Some(request.before);
        self.close_fallback(ctx, out);
        if let (Carriers::Auto, Some(peer)) = (request.before, &self.peer)
            && let Some(Path::Udp(addr)) = peer.path()
        {
            let rtt = peer.link().smoothed_rtt();
            self.path_manager.begin_validation(now, addr, rtt);
        }
        out.show(Event::TcpUnreached { relay: self.config.addr.clone(), is_refused });
    }
}
