//! Establishes and repairs the session with one relay, in rounds of attempts over its carriers.
//!
//! A *round* begins with the look-up and ends with the first authenticated answer, or when every
//! attempt has failed. After a failure the next one begins after 1, 2, 4 … 30 s with jitter. UDP is
//! tried at once. TCP follows 250 ms later (counted from the key's arrival if that came over UDP in
//! this time), or at once if UDP failed last time. The first authenticated answer carries the
//! session; `paths` probes the other path.
//!
//! Handshakes during a session continue it: in a repair round if its path is silent, in a rekey
//! round on that path alone. All addresses are tried: UDP packets go to each in turn, TCP to the
//! next after 250 ms without an answer (RFC 8305 §5).

mod addresses;
mod causes;
mod handshake;
mod known_key;
mod loss_backoff;
mod pacing;
mod round_end;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Effect, HostPort, Now, Path, PathError, PublicKey, Rng, Tick};
use crate::peer::Peer;
use crate::session::KeyQuery;

use super::api::Carriers;
use super::attempt::{AttemptAction, AttemptStage, ConnectAttempt, pause};
use super::connect_failure::ConnectFailure;
use super::dials::DialRequest;
use super::pace::PaceRequest;
use super::relay_connection::{ClientContext, Out, RelayConnection, close_conn};
use addresses::{Addresses, look_up};
use causes::RoundCauses;
use loss_backoff::LossBackoff;

/// Delay of TCP after UDP in a round: the connection attempt delay of RFC 8305 §5.
const TCP_CONNECT_AFTER: Duration = Duration::from_millis(250);
/// Delay before a connection to the next address if one has not answered (RFC 8305 §8).
const NEXT_ADDR_AFTER: Duration = Duration::from_millis(250);
/// Upper bound of the pause after a refused or broken TCP connection, while UDP is still tried.
const TCP_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The relay is reported as silent after this time if TCP was refused, or if only UDP is permitted
/// and was refused. Below the promised second.
const SILENT_AND_REFUSED: Duration = Duration::from_millis(900);
/// The relay is reported as silent after this time without an answer on any carrier.
const SILENT: Duration = Duration::from_secs(3);
/// First pause between rounds.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause between rounds.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Failures assumed for a relay that reported too many requests: the next round waits 4 s or more.
const FAILURES_TOO_MANY: u32 = 3;
/// Upper bound of the random delay before reconnecting to a relay that shut down cleanly.
const SOON: Duration = Duration::from_millis(250);
/// Consecutive PTOs required before a UDP path counts as dead.
const STALLED_PTOS_UDP: u32 = 4;
/// Silence required before a UDP path counts as dead. The TCP fallback opens after half of it and
/// has the other half to answer, which avoids another handshake.
const STALLED_FOR_UDP: Duration = Duration::from_millis(500);
/// Missed probes after which a TCP path counts as dead: about 10 s.
const STALLED_PTOS_TCP: u32 = 3;
/// A session silent for this long is not continued: the relay has forgotten it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);

/// Reason for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectReason {
    /// No session exists.
    Initial,
    /// The session's path is closed or silent.
    Recovery,
    /// The session's keys must be renewed.
    Rekey,
}

/// State of connecting to one relay.
#[derive(Debug, Default)]
pub(super) struct Connector {
    pub(super) reason: Option<ConnectReason>,
    pub(super) attempts: Vec<ConnectAttempt>,
    since: Tick,
    udp: Addresses,
    tcp: Addresses,
    /// When the next TCP connection opens.
    tcp_at: Option<Tick>,
    report_silence_at: Option<Tick>,
    causes: RoundCauses,
    /// A key that the relay has shown and not proved.
    unproven_key: Option<PublicKey>,
    reported_key_changed: bool,
    failures: u32,
    next_round_at: Option<Tick>,
    /// The round waits for its turn among those of all relays.
    pace_request: Option<PaceRequest>,
    /// That turn has come.
    granted: bool,
    /// The connection waits for its turn.
    dial_request: Option<DialRequest>,
    /// The highest handshake counter that this relay is known to have. Kept for each relay, or one
    /// relay could exhaust the counters for all.
    counter: u64,
    /// Since when, and until when, a packet must come on a TCP path that may belong to a previous
    /// network.
    suspected: Option<(Tick, Tick)>,
    /// When the present session began.
    session_began: Tick,
    /// Consecutive sessions that ended soon after they began.
    early_ends: u32,
    /// Pauses between handshakes after lost sessions.
    pub(super) loss_backoff: LossBackoff,
}

impl Connector {
    /// Ends a failed round. The next begins after a pause that doubles with each failure.
    fn back_off(&mut self, now: Tick, rng: &mut Rng) {
        let longest = (BACKOFF_MIN * (1 << self.failures.min(5))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.next_round_at = Some(now + pause(longest, rng));
        self.end_round();
    }

    /// Handles the end of a session. After several short sessions the pause grows as with failures.
    pub(super) fn handle_session_ended(&mut self, now: Tick, rng: &mut Rng) {
        let early = now.since(self.session_began) < BACKOFF_MAX;
        self.failures = self.failures.max(self.early_ends);
        self.early_ends = if early { self.early_ends.saturating_add(1) } else { 0 };
        self.back_off(now, rng);
    }

    /// Lengthens the pause after "too many requests". Call before
    /// [`Connector::handle_session_ended`].
    pub(super) fn slow_down(&mut self) {
        self.failures = self.failures.max(FAILURES_TOO_MANY);
    }

    /// Shortens the pause for a relay that shut down cleanly and may restart at once, unless
    /// sessions ended early before. The random delay spreads the relay's clients. Call after
    /// [`Connector::handle_session_ended`].
    pub(super) fn retry_soon(&mut self, now: Tick, rng: &mut Rng) {
        if self.early_ends == 0 {
            self.failures = 0;
            self.next_round_at = Some(now + Duration::from_micros(rng.below(SOON.as_micros() as u64)));
        }
    }

    /// Requires a packet on the TCP path between now and `until`; otherwise the path is repaired.
    pub(super) fn suspect_path(&mut self, now: Tick, until: Tick) {
        self.suspected = Some((now, until));
    }

    /// Drops that requirement: the TCP path is gone.
    pub(super) fn clear_suspicion(&mut self) {
        self.suspected = None;
    }

    /// Starts again with an immediate round, because the relay's address or key has changed.
    pub(super) fn start_over(&mut self) {
        self.failures = 0;
        self.next_round_at = None;
        self.loss_backoff = LossBackoff::default();
        self.end_round();
    }

    /// Drops a pause that is no longer needed because the path works again.
    fn clear_backoff(&mut self) {
        if self.next_round_at.take().is_some() {
            self.failures = 0;
        }
    }

    pub(super) fn handle_success(&mut self) {
        self.failures = 0;
        self.next_round_at = None;
        self.end_round();
    }

    /// Shortens the time until the relay is reported as silent: one carrier was refused.
    fn report_silence_soon(&mut self, now: Tick) {
        if let Some(at) = &mut self.report_silence_at {
            *at = (*at).min(self.since + SILENT_AND_REFUSED).max(now + Duration::from_micros(1));
        }
    }

    /// Restarts the TCP delay when the relay's key arrives over UDP. The handshake that begins now
    /// gets the same head start as that of a client that knew the key. If UDP is dropped no key
    /// arrives, and TCP is not delayed.
    fn delay_tcp(&mut self, now: Tick) {
        self.tcp_at = self.tcp_at.map(|at| at.max(now + TCP_CONNECT_AFTER));
    }

    fn end_round(&mut self) {
        self.reason = None;
        self.tcp_at = None;
        self.dial_request = None;
        self.report_silence_at = None;
    }

    /// Returns the known UDP addresses of the relay.
    pub(super) fn udp_addrs(&self) -> &[SocketAddr] {
        self.udp.all()
    }

    /// Returns a TCP address of the relay; each failure selects another.
    pub(super) fn tcp_addr(&self, failures: u32) -> Option<SocketAddr> {
        self.tcp.at(failures as usize)
    }

    /// Returns the number of TCP addresses of the relay.
    pub(super) fn tcp_addr_count(&self) -> usize {
        self.tcp.all().len()
    }

    /// Handles the system's hint that UDP does not reach `path`. TCP need not wait any longer, and
    /// with UDP only the report comes earlier. Returns `true` if the TCP connection is due now.
    pub(super) fn handle_udp_refused(
        &mut self,
        now: Tick,
        path: Path,
        error: PathError,
        carriers: Carriers,
    ) -> bool {
        let Path::Udp(addr) = path else { return false };
        if !self.udp_addrs().contains(&addr) {
            return false;
        }
        self.causes.record(Carrier::Udp, addr, error);
        if carriers == Carriers::Udp {
            self.report_silence_soon(now);
        }
        let early = self.tcp_at.is_some_and(|at| at > now);
        if early {
            self.tcp_at = Some(now);
        }
        early
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let attempts = self.attempts.iter().map(ConnectAttempt::next_deadline);
        // A round begins after both pauses.
        let paused = self.next_round_at.max(self.loss_backoff.next_deadline());
        let paused = paused.filter(|_| self.reason.is_none() && self.pace_request.is_none());
        let suspect_until = self.suspected.map(|(_, until)| until);
        let deadlines = [paused, self.tcp_at, self.report_silence_at, suspect_until];
        attempts.chain(deadlines.into_iter().flatten()).min()
    }
}

impl RelayConnection {
    /// Whether an attempt is under way.
    pub(super) fn is_connecting(&self) -> bool {
        !self.connector.attempts.is_empty()
    }

    /// Whether this host belongs to the relay.
    pub(super) fn wants_host(&self, host: &HostPort) -> bool {
        self.config.addr == *host || self.config.tcp.as_ref() == Some(host)
    }

    /// Whether packets for the relay leave on this path.
    pub(super) fn has_path(&self, path: Path) -> bool {
        let is_trying = matches!(path, Path::Udp(addr) if self.connector.udp_addrs().contains(&addr));
        is_trying || self.peer.as_ref().and_then(Peer::path) == Some(path)
    }

    /// Does all connection work that is due.
    pub(super) fn drive(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        if self.connector.reason.is_none()
            && let Some(reason) = self.connect_reason(now.tick)
            && (reason != ConnectReason::Initial || self.may_begin(now.tick, ctx))
        {
            match self.key_contradiction() {
                Some(failure) => {
                    self.report_unreached(failure, out);
                    self.connector.back_off(now.tick, &mut ctx.rng);
                }
                None => self.begin_round(now, ctx, reason, out),
            }
        }
        if self.connector.tcp_at.is_some_and(|at| at <= now.tick) {
            self.connector.tcp_at = None;
            self.open_tcp(now.tick, ctx, out);
        }
        if self.connector.report_silence_at.is_some_and(|at| at <= now.tick) {
            self.connector.report_silence_at = None;
            self.report_unreached(self.connector.cause_of_silence(self.carriers(ctx.carriers)), out);
        }
        self.drive_attempts(now, ctx, out);
    }

    /// Whether a suspect TCP path stayed silent until its deadline: it belongs to a previous
    /// network.
    fn is_left_behind(&mut self, now: Tick) -> bool {
        let suspected = self.connector.suspected.take_if(|suspected| suspected.1 <= now);
        let last_received = self.peer.as_ref().map(|peer| peer.link().last_received());
        suspected.zip(last_received).is_some_and(|((since, _), last_received)| last_received <= since)
    }

    fn connect_reason(&mut self, now: Tick) -> Option<ConnectReason> {
        if self.connector.next_round_at.is_some_and(|at| at > now)
            || self.connector.loss_backoff.is_holding(now)
        {
            return None;
        }
        let is_over = self.connector.loss_backoff.is_over(now);
        let Some(peer) = &self.peer else { return Some(ConnectReason::Initial) };
        match peer.path() {
            None => Some(ConnectReason::Recovery),
            Some(_) if is_over => Some(ConnectReason::Recovery),
            Some(_) => peer.needs_rekey(now).then_some(ConnectReason::Rekey),
        }
    }

    /// Returns when the path counts as dead. `None` before enough consecutive PTOs.
    pub(super) fn stalled_at(&self) -> Option<Tick> {
        let link = self.peer.as_ref()?.link();
        match link.path()? {
            Path::Udp(_) | Path::UdpAt(_) => self.udp_silent_at(STALLED_PTOS_UDP, STALLED_FOR_UDP),
            Path::Tcp(_) => (link.pto_count() >= STALLED_PTOS_TCP).then(|| link.silent_since()),
        }
    }

    /// Starts a repair round if the path is dead; otherwise drops an unneeded pause. Call after all
    /// received input was processed: after a pause of the process timers are over, and answers may
    /// be waiting to be read.
    pub(super) fn repair_dead_path(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        let is_stalled = self.stalled_at().is_some_and(|at| at <= now.tick);
        let on_tcp = matches!(self.peer.as_ref().and_then(Peer::path), Some(Path::Tcp(_)));
        let is_left_behind = self.is_left_behind(now.tick) && on_tcp;
        if self.connector.reason.is_some()
            || self.connector.next_round_at.is_some_and(|at| at > now.tick)
            || self.connector.loss_backoff.is_holding(now.tick)
        {
            return;
        }
        if is_stalled || is_left_behind {
            self.begin_round(now, ctx, ConnectReason::Recovery, out);
        } else {
            self.connector.clear_backoff();
        }
    }

    pub(super) fn begin_round(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        reason: ConnectReason,
        out: &mut Out,
    ) {
        let is_forgotten = |peer: &Peer| now.tick.since(peer.link().last_received()) >= FORGOTTEN_AFTER;
        if self.peer.as_ref().is_some_and(is_forgotten) {
            self.drop_peer(now.tick, ctx, out);
        }
        let connector = &mut self.connector;
        connector.reason = Some(reason);
        connector.loss_backoff.is_over(now.tick);
        connector.next_round_at = None;
        connector.since = now.tick;
        connector.causes = RoundCauses::default();
        if let (ConnectReason::Rekey, Some(path)) = (reason, self.peer.as_ref().and_then(Peer::path)) {
            let attempt = match path {
                Path::Tcp(conn) => ConnectAttempt::new(Carrier::Tcp, Vec::new(), now.tick).on(conn),
                _ => ConnectAttempt::new(Carrier::Udp, path.udp_peer().into_iter().collect(), now.tick),
            };
            connector.attempts.push(attempt);
            return;
        }
        connector.report_silence_at = Some(now.tick + SILENT);
        let udp = look_up(&self.config.addr, out);
        let tcp = match &self.config.tcp {
            Some(tcp) => look_up(tcp, out),
            None => udp.clone(),
        };
        connector.udp.begin(udp);
        connector.tcp.begin(tcp);
        self.launch(now, ctx, out);
    }

    /// Handles the addresses of a host. Ignored if the round has attempts already.
    pub(super) fn handle_resolved(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        host: &HostPort,
        addrs: &[SocketAddr],
        out: &mut Out,
    ) {
        if self.connector.reason.is_none() || !self.connector.attempts.is_empty() {
            return;
        }
        if *host == self.config.addr {
            self.connector.udp.set(addrs);
        }
        if *host == *self.config.tcp.as_ref().unwrap_or(&self.config.addr) {
            self.connector.tcp.set(addrs);
        }
        self.launch(now, ctx, out);
    }

    /// Begins the attempts once all addresses are known.
    fn launch(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        let carriers = self.carriers(ctx.carriers);
        let connector = &mut self.connector;
        let Connector { udp, tcp, .. } = &*connector;
        if !udp.are_known() || !tcp.are_known() {
            return;
        }
        let use_udp = carriers != Carriers::Tcp && !udp.all().is_empty();
        let use_tcp = carriers != Carriers::Udp && !tcp.all().is_empty();
        if !use_udp && !use_tcp {
            self.report_unreached(self.connector.causes.of_host(), out);
            return self.connector.back_off(now.tick, &mut ctx.rng);
        }
        if use_udp {
            connector.attempts.push(ConnectAttempt::new(Carrier::Udp, udp.in_turn(), now.tick));
        }
        if !use_tcp {
            self.close_fallback(ctx, out);
        // Reuse the fallback connection: it is further along than a new one.
        } else if let Some((conn, open)) = self.take_fallback() {
            self.connector.tcp.take(self.path_manager.fallback_failures());
            let addr = self.connector.tcp.at(0).into_iter().collect();
            let attempt = ConnectAttempt::new(Carrier::Tcp, addr, now.tick);
            let attempt = if open { attempt.on(conn) } else { attempt.connecting(conn) };
            self.connector.attempts.push(attempt);
            self.plan_next_addr(now.tick);
        } else if use_udp && !self.path_manager.udp_failed {
            self.connector.tcp_at = Some(now.tick + TCP_CONNECT_AFTER);
        } else {
            self.open_tcp(now.tick, ctx, out);
        }
        self.drive_attempts(now, ctx, out);
    }

    fn open_tcp(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        if self.connector.dial_request.is_none() && self.may_dial(ctx) {
            self.begin_tcp(now, ctx, out);
        }
    }

    pub(super) fn begin_tcp(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let Some(addr) = self.connector.tcp.next() else { return };
        let conn = self.dial(ctx, addr, out);
        self.record_trial(now, conn, ctx);
        self.connector.attempts.push(ConnectAttempt::new(Carrier::Tcp, vec![addr], now).connecting(conn));
        self.plan_next_addr(now);
    }

    /// Schedules a connection to the next address, if any. The present one may still answer.
    fn plan_next_addr(&mut self, now: Tick) {
        let more = self.connector.tcp.has_more();
        self.connector.tcp_at = more.then(|| now + NEXT_ADDR_AFTER);
    }

    pub(super) fn dial(&self, ctx: &mut ClientContext, addr: SocketAddr, out: &mut Out) -> ConnId {
        ctx.next_conn += 1;
        let conn = ConnId(ctx.next_conn);
        ctx.conns.insert(conn, self.config.addr.clone());
        out.effects.push(Effect::OpenTcp(conn, addr));
        conn
    }

    pub(super) fn handle_opened(&mut self, now: Now, ctx: &mut ClientContext, conn: ConnId, out: &mut Out) {
        if self.handle_fallback_opened(conn) {
            return;
        }
        if let Some(attempt) = self.connector.attempts.iter_mut().find(|a| a.conn() == Some(conn)) {
            attempt.enter(now.tick, AttemptStage::Ready);
            ctx.pace.dials.advance(now.tick, conn);
        }
        self.drive_attempts(now, ctx, out);
    }

    /// Handles the end of a TCP connection, whatever it was used for.
    pub(super) fn handle_path_closed(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        conn: ConnId,
        error: PathError,
        out: &mut Out,
    ) {
        ctx.conns.remove(&conn);
        ctx.pace.dials.end(conn);
        self.handle_fallback_closed(now.tick, conn, error, ctx, out);
        if let Some(peer) = &mut self.peer {
            let had_path = peer.path().is_some();
            peer.handle_path_closed(now.tick, Path::Tcp(conn));
            if had_path && peer.path().is_none() {
                self.connector.loss_backoff.record_loss(now.tick, &mut ctx.rng);
            }
        }
        if let Some(index) = self.connector.attempts.iter().position(|a| a.conn() == Some(conn)) {
            self.handle_attempt_closed(now, ctx, index, error, out);
        }
        if !self.stopped {
            self.drive(now, ctx, out);
        }
    }

    fn handle_attempt_closed(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        index: usize,
        error: PathError,
        out: &mut Out,
    ) {
        let attempt = self.connector.attempts.remove(index);
        self.free_attempt(now.tick, ctx, &attempt);
        if let Some(addr) = attempt.addr() {
            self.connector.causes.record(Carrier::Tcp, addr, error);
        }
        let is_rekey = self.connector.reason == Some(ConnectReason::Rekey);
        if self.connector.tcp.has_more() && !is_rekey {
            self.connector.tcp_at = Some(now.tick);
            return;
        }
        if self.connector.attempts.iter().any(|other| other.carrier == Carrier::Tcp) {
            return;
        }
        if error == PathError::Refused {
            if self.carriers(ctx.carriers) == Carriers::Tcp {
                self.report_unreached(ConnectFailure::NoTcpListener, out);
            } else {
                self.connector.report_silence_soon(now.tick);
            }
        } else if self.connector.cause_of_silence(self.carriers(ctx.carriers)) != ConnectFailure::Silent {
            self.connector.report_silence_soon(now.tick);
        }
        if !self.connector.attempts.is_empty() && !is_rekey {
            let again = now.tick + pause(TCP_AGAIN_AFTER, &mut ctx.rng);
            self.connector.tcp_at.get_or_insert(again);
        }
        self.end_failed_round(now.tick, ctx, out);
    }

    /// Advances each attempt as far as possible.
    pub(super) fn drive_attempts(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        let mut index = 0;
        while index < self.connector.attempts.len() {
            self.make_ready(now, ctx, index, out);
            let attempt = &mut self.connector.attempts[index];
            match attempt.next_action(now.tick, &mut ctx.rng) {
                AttemptAction::Wait => index += 1,
                AttemptAction::Send(path) => {
                    if attempt.should_query_key()
                        && let AttemptStage::Handshaking(_, check) = &mut attempt.stage
                    {
                        *check = Some(KeyQuery::new(path.carrier(), &mut ctx.rng));
                    }
                    attempt.send(path, out);
                }
                AttemptAction::GiveUp => {
                    let attempt = self.connector.attempts.remove(index);
                    self.free_attempt(now.tick, ctx, &attempt);
                    if let Some(conn) =
                        attempt.conn().filter(|_| self.connector.reason != Some(ConnectReason::Rekey))
                    {
                        close_conn(ctx, conn, out);
                    }
                    self.end_failed_round(now.tick, ctx, out);
                }
            }
        }
    }

    pub(super) fn cancel_attempts(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let in_use = match self.peer.as_ref().and_then(Peer::path) {
            Some(Path::Tcp(conn)) => Some(conn),
            _ => None,
        };
        self.cancel_attempts_but(now, ctx, in_use, out);
    }

    fn cancel_attempts_but(
        &mut self,
        now: Tick,
        ctx: &mut ClientContext,
        kept_conn: Option<ConnId>,
        out: &mut Out,
    ) {
        for attempt in std::mem::take(&mut self.connector.attempts) {
            self.free_attempt(now, ctx, &attempt);
            if let Some(conn) = attempt.conn().filter(|conn| Some(*conn) != kept_conn) {
                close_conn(ctx, conn, out);
            }
        }
    }

    fn free_attempt(&self, now: Tick, ctx: &mut ClientContext, attempt: &ConnectAttempt) {
        if let AttemptStage::Handshaking(initiator, _) = &attempt.stage {
            ctx.indexes.free(now, Duration::from_secs(3), initiator.local_index());
        }
    }
}
