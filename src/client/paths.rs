//! Moves one session between UDP and TCP: failover to the TCP fallback, and return to UDP once it
//! is validated, or at once if UDP is pinned. Also handles stateless resets. It does no I/O, and
//! returns the effects in `out`.
//!
//! The fallback connection of a session needs no handshake. Once the relay has answered a probe on
//! that connection, sealed under the session's keys, the next packet moves the session there (RFC
//! 9000 §9.1). The same holds for a validated UDP path.
//!
//! A *round* of handshakes, its *attempts*, and the race between the carriers are those of
//! [`connect`](super::connect). `hints` handles hints of the system about the network, and the UDP
//! state kept between runs. `tcp_request` handles a user who permits TCP only.

mod hints;
mod tcp_request;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Now, Path, Tick, Wall};
use crate::peer::Peer;
use crate::wire::packet::RESET_TOKEN_LEN;

use super::api::{Carriers, Event, MoveReason};
use super::connect::ConnectReason;
use super::path_validation::{FlapDamping, PathValidation, ProbeSchedule};
use super::relay_connection::{ClientContext, Out, RelayConnection, close_conn};

/// Consecutive PTOs on UDP after which the fallback opens and the session may fail over.
const SILENT_PTOS: u32 = 2;
/// Silence on UDP required for that. Equal to `TCP_CONNECT_AFTER`, UDP's head start in a round. At
/// short RTTs two PTOs expire within milliseconds, while a relay on a busy machine may wait longer
/// for processor time. Above an RTT of 65 ms the second PTO expires later than this.
const SILENT_FOR: Duration = Duration::from_millis(250);
/// A conversation counts as active for this long after its last letter.
const ACTIVE_FOR: Duration = Duration::from_secs(30);
/// Interval of pings on UDP during an active conversation, after the last packet that asked for an
/// ack.
const ACTIVE_PING_AFTER: Duration = Duration::from_secs(2);
/// The same interval while a letter waits for the relay's receipt. The letter's packet was
/// acknowledged, but the receipt may be lost on a dead path. The relay writes a letter, and then
/// sends `accepted`, after 500 ms at the latest (`SPILL_AFTER`).
const AWAITED_PING_AFTER: Duration = Duration::from_millis(500);
/// Lifetime of the TCP connection that lost a race, while UDP is validated. Longer than a
/// validation.
const RACE_LOSER_KEPT: Duration = Duration::from_millis(3_500);
/// Lifetime of the TCP connection after a return to UDP, for a quick failover.
const FALLBACK_AFTER_RETURN: Duration = Duration::from_secs(10);
/// Time limit for the relay's answer on a fallback connection.
const FALLBACK_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed fallback connection; doubles with each further failure.
const FALLBACK_PAUSE_MIN: Duration = Duration::from_secs(5);
const FALLBACK_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Minimum time from the start of a validation to the next one of a lossy UDP path, or of UDP while
/// TCP is silent.
const REVALIDATE_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of validations while the session remains on a UDP path that failed validation, because
/// no fallback is ready.
const VALIDATE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A TCP connection that is not the path, or not yet.
#[derive(Clone, Copy, Debug)]
struct FallbackConn {
    conn: ConnId,
    state: FallbackState,
    /// It is closed at this time unless it has become the path.
    until: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FallbackState {
    Opening,
    Open,
    /// This probe was sent on it.
    Probing([u8; 8]),
    /// The relay has answered the probe.
    Ready,
}

impl FallbackConn {
    fn is_answered_by(&self, conn: ConnId, id: [u8; 8]) -> bool {
        self.conn == conn && self.state == FallbackState::Probing(id)
    }
}

/// A request for TCP only that the relay has not answered.
#[derive(Clone, Copy, Debug)]
struct TcpRequest {
    /// Carriers permitted before.
    before: Carriers,
    deadline: Tick,
    /// Connections that failed.
    failures: usize,
}

/// State of both carriers of one relay.
#[derive(Debug, Default)]
pub(super) struct PathManager {
    last_udp_addr: Option<SocketAddr>,
    validation: Option<(SocketAddr, PathValidation)>,
    /// UDP is the path and has failed its last validation.
    unvalidated: bool,
    /// UDP failed recently, in this run or an earlier one: the next round starts both carriers at
    /// once.
    pub(super) udp_failed: bool,
    /// Time of UDP's last failure, as stored for later runs.
    failed_on_disk: Option<Wall>,
    /// Result of the last UDP validation or failover, not yet stored for later runs.
    unsaved_udp_works: Option<bool>,
    /// RTT of the last validation, if it succeeded.
    validated_rtt: Option<Duration>,
    fallback: Option<FallbackConn>,
    fallback_failures: u32,
    fallback_not_before: Tick,
    validate_not_before: Tick,
    probe_schedule: ProbeSchedule,
    flap_damping: FlapDamping,
    /// When the machine last woke up or changed its network.
    pub(super) woken_at: Option<Tick>,
    /// A letter was sent or received since the last turn.
    pub(super) had_letter: bool,
    last_letter: Option<Tick>,
    /// A letter waits for the relay's receipt.
    awaits_receipt: bool,
    tcp_request: Option<TcpRequest>,
    /// Carriers of this relay, which was not reached over TCP when the client permitted TCP only.
    kept_carriers: Option<Carriers>,
}

impl PathManager {
    /// Begins to validate a UDP path with this RTT.
    fn begin_validation(&mut self, now: Tick, addr: SocketAddr, rtt: Duration) {
        self.last_udp_addr = Some(addr);
        self.validate_not_before = now + REVALIDATE_INTERVAL;
        self.validation = Some((addr, PathValidation::new(now, rtt)));
    }

    /// Records whether UDP is valid, as a validation or failover has shown.
    fn record_validation(&mut self, is_valid: bool) {
        self.udp_failed = !is_valid;
        self.unsaved_udp_works = Some(is_valid);
    }

    /// Returns the number of consecutive failures of fallback connections.
    pub(super) fn fallback_failures(&self) -> usize {
        self.fallback_failures as usize
    }

    /// Drops a failed fallback connection, and delays the next one.
    fn back_off_fallback(&mut self, now: Tick) {
        let pause = (FALLBACK_PAUSE_MIN * (1 << self.fallback_failures.min(6))).min(FALLBACK_PAUSE_MAX);
        self.fallback_failures = self.fallback_failures.saturating_add(1);
        self.fallback_not_before = now + pause;
        self.fallback = None;
    }

    /// Returns when the next ping of an active conversation is due.
    fn active_ping_at(&self, peer: &Peer) -> Option<Tick> {
        let end = self.last_letter? + ACTIVE_FOR;
        let after = if self.awaits_receipt { AWAITED_PING_AFTER } else { ACTIVE_PING_AFTER };
        let at = peer.link().quiet_since()? + after;
        (at <= end && matches!(peer.path(), Some(Path::Udp(_)))).then_some(at)
    }
}

impl RelayConnection {
    /// Checks the paths, once a turn before packets are sent.
    pub(super) fn update_path(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        self.record_udp_outcome(now.wall, ctx, out);
        if std::mem::take(&mut self.path_manager.had_letter) {
            self.path_manager.last_letter = Some(now.tick);
        }
        self.path_manager.awaits_receipt = self.mail.outbox.is_awaiting_answer();
        if self.peer.is_none() || self.stopped {
            self.path_manager.validation = None;
            self.connector.clear_suspicion();
            return self.close_fallback(ctx, out);
        }
        self.take_probe_answers(now.tick);
        self.check_validation(now.tick, ctx, out);
        match self.peer.as_ref().and_then(Peer::path) {
            Some(Path::Udp(addr)) => self.watch_udp(now.tick, addr, ctx, out),
            Some(Path::Tcp(_)) => self.watch_tcp(now.tick, ctx),
            Some(Path::UdpAt(_)) | None => {}
        }
        self.repair_dead_path(now, ctx, out);
        self.drive_fallback(now.tick, ctx, out);
        self.send_probes(now.tick, ctx, out);
    }

    /// Passes the relay's answers to probes on to the validation and the fallback connection.
    fn take_probe_answers(&mut self, now: Tick) {
        let Some(peer) = &mut self.peer else { return };
        while let Some((path, id)) = peer.take_probe_answer() {
            match (path, &mut self.path_manager.validation, &mut self.path_manager.fallback) {
                (Path::Udp(_), Some((_, validation)), _) => {
                    if let Some(rtt) = validation.handle_answer(now, id) {
                        peer.handle_round_trip(now, path, rtt);
                    }
                }
                (Path::Tcp(conn), _, Some(fallback)) if fallback.is_answered_by(conn, id) => {
                    fallback.state = FallbackState::Ready;
                    self.path_manager.fallback_failures = 0;
                }
                _ => {}
            }
        }
    }

    /// Handles the end of a validation.
    fn check_validation(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let Some((addr, validation)) = &self.path_manager.validation else { return };
        let Some(is_valid) = validation.outcome(now) else { return };
        let addr = *addr;
        let rtt = validation.last_rtt;
        let Some(peer) = &mut self.peer else { return };
        let path = peer.path();
        self.path_manager.validation = None;
        self.path_manager.record_validation(is_valid);
        self.path_manager.validated_rtt = rtt.filter(|_| is_valid);
        match path {
            Some(Path::Udp(_)) => {
                self.path_manager.unvalidated = !is_valid;
                if !is_valid {
                    self.path_manager.validate_not_before = now + VALIDATE_AGAIN_AFTER;
                }
                if is_valid {
                    peer.reset_loss_stats();
                }
            }
            Some(Path::Tcp(conn)) if is_valid && self.carriers(ctx.carriers) == Carriers::Auto => {
                self.return_to_udp(now, addr, conn, out)
            }
            _ => {}
        }
    }

    /// Returns the time at which UDP will have been silent for `span`, or `None` before `ptos`
    /// consecutive PTOs on UDP.
    pub(super) fn udp_silent_at(&self, ptos: u32, span: Duration) -> Option<Tick> {
        let link = self.peer.as_ref()?.link();
        let on_udp = matches!(link.path(), Some(Path::Udp(_)));
        (on_udp && link.pto_count() >= ptos).then(|| link.silent_since() + span)
    }

    /// Returns the reason for leaving UDP, if there is one.
    fn failover_reason(&self, now: Tick, carriers: Carriers) -> Option<MoveReason> {
        let silent = self.udp_silent_at(SILENT_PTOS, SILENT_FOR).is_some_and(|at| at <= now);
        match carriers {
            Carriers::Udp => None,
            Carriers::Tcp => Some(MoveReason::Asked),
            Carriers::Auto if silent => Some(MoveReason::Silent),
            Carriers::Auto => self.path_manager.unvalidated.then_some(MoveReason::Poor),
        }
    }

    /// Checks the UDP path: validates it if it is lossy, pings, opens the fallback, fails over.
    fn watch_udp(&mut self, now: Tick, addr: SocketAddr, ctx: &mut ClientContext, out: &mut Out) {
        if self.check_tcp_request(now, ctx, out) {
            return;
        }
        let carriers = self.carriers(ctx.carriers);
        let Some(peer) = &mut self.peer else { return };
        // Loss alone is no reason to leave UDP, because TCP suffers from it too. A failed
        // validation is one.
        let is_doubtful = peer.link().is_lossy() || self.path_manager.unvalidated;
        let may_revalidate =
            self.path_manager.validation.is_none() && self.path_manager.validate_not_before <= now;
        if is_doubtful && may_revalidate && carriers == Carriers::Auto {
            self.path_manager.begin_validation(now, addr, peer.link().smoothed_rtt());
        }
        // A silent path is noticed by PTOs only, so an active conversation that has nothing to send
        // must send a PING. With TCP only, the session leaves UDP anyway.
        let may_use_udp = carriers != Carriers::Tcp;
        if may_use_udp && self.path_manager.active_ping_at(peer).is_some_and(|at| at <= now) {
            peer.send_ping();
        }
        let Some(reason) = self.failover_reason(now, carriers) else { return };
        // Fail over only to a connection that the relay has answered on.
        match self.path_manager.fallback {
            Some(FallbackConn { conn, state: FallbackState::Ready, .. }) => {
                self.fail_over(now, conn, reason, ctx, out)
            }
            Some(_) => {}
            None => self.open_fallback(now, ctx, out),
        }
    }

    /// Begins a UDP validation while the session is on TCP, when it is due or TCP is silent.
    fn watch_tcp(&mut self, now: Tick, ctx: &ClientContext) {
        let Some(peer) = &self.peer else { return };
        if self.carriers(ctx.carriers) != Carriers::Auto || self.path_manager.validation.is_some() {
            return;
        }
        let manager = &self.path_manager;
        let silent = peer.link().pto_count() > 0 && manager.validate_not_before <= now;
        let is_due = self.next_udp_validation_at().is_some_and(|at| at <= now);
        let addrs = self.connector.udp_addrs();
        let index = manager.last_udp_addr.and_then(|last| addrs.iter().position(|addr| *addr == last));
        let Some(&addr) = addrs.get(index.map_or(0, |index| (index + 1) % addrs.len())) else { return };
        if is_due || silent {
            let rtt = peer.link().smoothed_rtt();
            self.path_manager.begin_validation(now, addr, rtt);
            self.path_manager.probe_schedule.record_probe(now);
        }
    }

    /// Returns when UDP is validated next while the session is on TCP: as scheduled, and not before
    /// flap damping permits a return.
    fn next_udp_validation_at(&self) -> Option<Tick> {
        self.path_manager
            .probe_schedule
            .next_at()
            .map(|at| at.max(self.path_manager.flap_damping.returns_at()))
    }

    /// Opens the fallback connection, unless the last one just failed or a round is connecting
    /// already.
    fn open_fallback(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let is_busy = matches!(self.connector.reason, Some(ConnectReason::Initial | ConnectReason::Recovery));
        let is_too_early = self.path_manager.fallback_not_before > now;
        let has_no_use = self.carriers(ctx.carriers) == Carriers::Udp || self.path_manager.fallback.is_some();
        if is_busy || is_too_early || has_no_use {
            return;
        }
        let Some(addr) = self.connector.tcp_addr(self.path_manager.fallback_failures) else { return };
        let conn = self.dial(ctx, addr, out);
        self.path_manager.fallback_not_before = now + FALLBACK_PAUSE_MIN;
        self.path_manager.fallback =
            Some(FallbackConn { conn, state: FallbackState::Opening, until: now + FALLBACK_WITHIN });
    }

    /// Sends the probe on an open fallback connection, or closes a fallback connection that has
    /// reached its time limit.
    fn drive_fallback(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let Some(fallback) = &mut self.path_manager.fallback else { return };
        if fallback.until <= now {
            let was_ready = fallback.state == FallbackState::Ready;
            self.close_fallback(ctx, out);
            if !was_ready {
                self.path_manager.back_off_fallback(now);
            }
            return;
        }
        if let (FallbackState::Open, Some(peer)) = (fallback.state, &mut self.peer) {
            let id = ctx.rng.next_u64().to_be_bytes();
            fallback.state = FallbackState::Probing(id);
            peer.probe(now, Path::Tcp(fallback.conn), id, out);
        }
    }

    fn send_probes(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let (Some((addr, validation)), Some(peer)) = (&mut self.path_manager.validation, &mut self.peer)
        else {
            return;
        };
        while let Some(id) = validation.take_due_probe(now, &mut ctx.rng) {
            peer.probe(now, Path::Udp(*addr), id, out);
        }
    }

    /// Fails over from UDP to a connection on which the relay has answered.
    fn fail_over(
        &mut self,
        now: Tick,
        conn: ConnId,
        reason: MoveReason,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Tcp(conn));
        peer.send_ping();
        self.path_manager.fallback = None;
        self.cancel_attempts(now, ctx, out);
        self.connector.handle_success();
        self.record_failover(now);
        self.report_move(Carrier::Tcp, reason, out);
    }

    fn record_failover(&mut self, now: Tick) {
        let manager = &mut self.path_manager;
        manager.validation = None;
        manager.tcp_request = None;
        manager.unvalidated = false;
        manager.record_validation(false);
        manager.flap_damping.record_failover(now);
        manager.probe_schedule.begin(now, false);
    }

    /// Returns from TCP to a validated UDP path. The TCP connection becomes the fallback.
    fn return_to_udp(&mut self, now: Tick, addr: SocketAddr, conn: ConnId, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Udp(addr));
        if let Some(rtt) = self.path_manager.validated_rtt {
            peer.handle_round_trip(now, Path::Udp(addr), rtt);
        }
        peer.send_ping();
        self.path_manager.flap_damping.record_return(now);
        self.path_manager.unvalidated = false;
        let until = now + FALLBACK_AFTER_RETURN;
        self.path_manager.fallback = Some(FallbackConn { conn, state: FallbackState::Ready, until });
        self.report_move(Carrier::Udp, MoveReason::Proved, out);
    }

    fn report_move(&mut self, via: Carrier, reason: MoveReason, out: &mut Out) {
        if self.is_online() {
            out.show(Event::Moved { relay: self.config.addr.clone(), via, reason });
        }
    }

    /// Handles the end of a handshake that put the session, new or continued, on `path`.
    ///
    /// `before` is its previous path. `fallback` is a TCP connection of the same round; its flag is
    /// `true` once it is open.
    pub(super) fn handle_handshake_done(
        &mut self,
        now: Tick,
        before: Option<Path>,
        path: Path,
        fallback: Option<(ConnId, bool)>,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        // Fallback connection and validation belong to the previous path. If a rekey ended on the
        // fallback connection, it is the path now and must not be closed.
        self.path_manager.fallback.take_if(|fallback| Path::Tcp(fallback.conn) == path);
        self.close_fallback(ctx, out);
        self.path_manager.validation = None;
        match path {
            // Selected, not validated: a handshake does not show that full-size packets pass both
            // ways.
            Path::Udp(addr) => {
                self.path_manager.unvalidated = false;
                self.path_manager.flap_damping.record_return(now);
                let rtt = self.peer.as_ref().map_or(Duration::ZERO, |peer| peer.link().smoothed_rtt());
                self.path_manager.begin_validation(now, addr, rtt);
                // With a pinned carrier there is nothing to choose.
                if self.carriers(ctx.carriers) != Carriers::Auto {
                    self.path_manager.validation = None;
                }
                let fallback = fallback.map(|(conn, open)| {
                    let state = if open { FallbackState::Open } else { FallbackState::Opening };
                    FallbackConn { conn, state, until: now + RACE_LOSER_KEPT }
                });
                self.path_manager.fallback = fallback;
            }
            // UDP was in use: this is a failover and counts for flap damping.
            Path::Tcp(_) if before.map(Path::carrier) == Some(Carrier::Udp) => self.record_failover(now),
            Path::UdpAt(_) => {}
            Path::Tcp(_) => {
                self.path_manager.unvalidated = false;
                self.path_manager.probe_schedule.begin(now, true);
                // Record UDP as failed at once: a short run ends before the validation does.
                if before.is_none() && self.carriers(ctx.carriers) == Carriers::Auto {
                    self.path_manager.record_validation(false);
                }
            }
        }
        if let Some(before) = before.filter(|before| before.carrier() != path.carrier()) {
            let reason = match before.carrier() {
                Carrier::Udp => MoveReason::Silent,
                Carrier::Tcp => MoveReason::Broken,
            };
            self.report_move(path.carrier(), reason, out);
        }
    }

    /// Takes the fallback connection, for a round that continues with it. The flag is `true` once
    /// it is open.
    pub(super) fn take_fallback(&mut self) -> Option<(ConnId, bool)> {
        let fallback = self.path_manager.fallback.take()?;
        Some((fallback.conn, fallback.state != FallbackState::Opening))
    }

    pub(super) fn close_fallback(&mut self, ctx: &mut ClientContext, out: &mut Out) {
        if let Some(fallback) = self.path_manager.fallback.take() {
            close_conn(ctx, fallback.conn, out);
        }
    }

    /// Returns the TCP connection of an unanswered attempt, with a flag that is `true` once it is
    /// open. Returns `None` if a carrier is pinned, or in the round of a rekey.
    pub(super) fn racing_conn(&self, carriers: Carriers) -> Option<(ConnId, bool)> {
        let auto = carriers == Carriers::Auto && self.connector.reason != Some(ConnectReason::Rekey);
        let attempt = self.connector.attempts.iter().find(|attempt| auto && attempt.conn().is_some())?;
        Some((attempt.conn()?, attempt.is_open()))
    }

    /// Handles a stateless reset (RFC 9000 §10.3): the relay has lost the session.
    ///
    /// Keeps the session and starts a handshake that continues it: the reset may come from an
    /// attacker that obtained the token. `LossBackoff` limits repeated handshakes. A client that
    /// has stopped drops the session silently.
    pub(super) fn handle_reset(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        index: u32,
        token: &[u8; RESET_TOKEN_LEN],
        out: &mut Out,
    ) {
        if !self.peer.as_ref().is_some_and(|peer| peer.is_reset(index, token)) {
            return;
        }
        if self.stopped {
            return self.drop_peer(now.tick, ctx, out);
        }
        if matches!(self.connector.reason, Some(ConnectReason::Initial | ConnectReason::Recovery)) {
            self.connector.attempts.iter_mut().for_each(|attempt| attempt.retry_now(now.tick));
            return self.drive_attempts(now, ctx, out);
        }
        self.connector.loss_backoff.record_loss(now.tick, &mut ctx.rng);
        if self.connector.loss_backoff.is_holding(now.tick) {
            return;
        }
        self.cancel_attempts(now.tick, ctx, out);
        self.close_fallback(ctx, out);
        self.connector.handle_success();
        self.begin_round(now, ctx, ConnectReason::Recovery, out);
    }

    /// Applies a new choice of permitted carriers; before they were `before`.
    pub(super) fn handle_carriers(
        &mut self,
        now: Now,
        before: Carriers,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        self.begin_tcp_request(now.tick, before, ctx.carriers);
        if matches!(self.connector.reason, Some(ConnectReason::Initial | ConnectReason::Recovery))
            || self.peer.is_none()
        {
            self.cancel_attempts(now.tick, ctx, out);
            self.connector.handle_success();
        }
        self.path_manager.validation = None;
        self.path_manager.fallback_not_before = now.tick;
        self.path_manager.flap_damping = FlapDamping::default();
        let path = self.peer.as_ref().and_then(Peer::path);
        let udp = self.path_manager.last_udp_addr.or(self.connector.udp_addrs().first().copied());
        match (ctx.carriers, path, udp) {
            (Carriers::Udp, Some(Path::Tcp(conn)), Some(addr)) => {
                self.return_to_udp_unvalidated(now.tick, addr, out);
                close_conn(ctx, conn, out);
            }
            (Carriers::Udp, ..) => self.close_fallback(ctx, out),
            (Carriers::Auto, Some(Path::Udp(addr)), _) => {
                self.path_manager.begin_validation(now.tick, addr, Duration::ZERO);
            }
            (Carriers::Auto, ..) => self.path_manager.probe_schedule.begin(now.tick, true),
            (Carriers::Tcp, ..) => {}
        }
        // Drive the connection now: the deadline just cancelled may have been its only one.
        if !self.stopped {
            self.drive(now, ctx, out);
        }
    }

    /// Returns from TCP to UDP without validation. Call it if UDP is pinned.
    fn return_to_udp_unvalidated(&mut self, now: Tick, addr: SocketAddr, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Udp(addr));
        peer.send_ping();
        self.path_manager.flap_damping.record_return(now);
        self.path_manager.unvalidated = false;
        self.report_move(Carrier::Udp, MoveReason::Asked, out);
    }

    /// Returns the path. Returns `None` while UDP is being validated, even if the session is on
    /// TCP, and on a UDP path that failed its last validation.
    pub(super) fn selected_path(&self) -> Option<Path> {
        let is_undecided = self.path_manager.validation.is_some() || self.path_manager.unvalidated;
        self.peer.as_ref().filter(|_| !is_undecided)?.path()
    }

    /// Returns the next deadline of path management, always later than `now`.
    pub(super) fn next_path_deadline(&self, now: Tick, carriers: Carriers) -> Option<Tick> {
        let carriers = self.carriers(carriers);
        let peer = self.peer.as_ref().filter(|_| !self.stopped)?;
        let manager = &self.path_manager;
        let validation = manager.validation.as_ref().map(|(_, validation)| validation.next_deadline());
        let on_udp = matches!(peer.path(), Some(Path::Udp(_)));
        let must_fail_over = on_udp && self.failover_reason(now, carriers).is_some();
        let auto = carriers == Carriers::Auto && validation.is_none();
        let all = [
            validation,
            manager.fallback.map(|fallback| fallback.until),
            manager.tcp_request.filter(|_| on_udp).map(|request| request.deadline),
            manager.active_ping_at(peer),
            self.udp_silent_at(SILENT_PTOS, SILENT_FOR).filter(|_| carriers == Carriers::Auto),
            self.stalled_at().filter(|_| self.connector.reason.is_none()),
            (must_fail_over && manager.fallback.is_none()).then_some(manager.fallback_not_before),
            (auto && on_udp && manager.unvalidated).then_some(manager.validate_not_before),
            self.next_udp_validation_at().filter(|_| auto && !on_udp && peer.path().is_some()),
        ];
        all.into_iter().flatten().filter(|at| *at > now).min()
    }
}
