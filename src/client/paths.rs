//! Moves one session between UDP and TCP: failover to the TCP fallback, and return to UDP once it
//! is validated.
//!
//! The fallback connection of a session needs no handshake. The relay answers a probe under the
//! session's keys on it, and the next packet moves the session there (RFC 9000 §9.1). The same
//! holds for a validated UDP path.
//!
//! `hints` handles hints of the system about the network, and the UDP state kept between runs.

mod hints;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Now, Path, Tick, Wall};
use crate::peer::Peer;
use crate::wire::packet::RESET_TOKEN_LEN;

use super::api::{Carriers, Event, MovedWhy};
use super::choice::{Damping, Proof, Retries};
use super::connect::Round;
use super::uplink::{Out, Shared, Uplink, close_conn};

/// Consecutive PTOs on UDP after which the fallback opens and the session may fail over.
const SILENT_PTOS: u32 = 2;
/// Silence on UDP required for that: the head start that UDP has in the first race. At short RTTs
/// the PTOs expire within milliseconds, and a relay on a busy machine may wait longer for its turn.
/// Above an RTT of 65 ms the second PTO expires later than this.
const SILENT_FOR: Duration = Duration::from_millis(250);
/// A conversation counts as active for this long after its last letter.
const LIVE_FOR: Duration = Duration::from_secs(30);
/// Interval of pings on UDP during an active conversation, after the last packet that asked for an
/// ack.
const LIVE_PING_AFTER: Duration = Duration::from_secs(2);
/// The same interval while a letter waits for the relay's receipt. The letter has arrived, but the
/// receipt may have been lost on a dead path. The relay sends it within the 500 ms of a mailbox.
const AWAITED_PING_AFTER: Duration = Duration::from_millis(500);
/// Lifetime of the TCP connection that lost a race, while UDP is validated. Longer than a
/// validation.
const RACE_GOES_ON: Duration = Duration::from_millis(3_500);
/// Lifetime of the TCP connection after a return to UDP, for a quick failover.
const KEPT_AFTER_RETURN: Duration = Duration::from_secs(10);
/// Time limit for the relay's answer on a fallback connection.
const BESIDE_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed fallback connection; doubles with each further failure.
const BESIDE_PAUSE_MIN: Duration = Duration::from_secs(5);
const BESIDE_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Minimum interval between two validations of a lossy path.
const DOUBTS_EVERY: Duration = Duration::from_secs(5);
/// Interval of validations while UDP stays the path although it failed one, because TCP fails too.
const UNPROVED_AGAIN: Duration = Duration::from_secs(30);

/// A TCP connection that is not the path, or not yet.
#[derive(Clone, Copy, Debug)]
struct Beside {
    conn: ConnId,
    standing: Standing,
    /// It is closed at this time unless it is needed.
    until: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Opening,
    Open,
    /// This probe was sent on it.
    Asked([u8; 8]),
    /// The relay has answered the probe.
    Ready,
}

impl Beside {
    fn is_answered_by(&self, conn: ConnId, id: [u8; 8]) -> bool {
        self.conn == conn && self.standing == Standing::Asked(id)
    }
}

/// State of both carriers of one relay.
#[derive(Debug, Default)]
pub(super) struct Choice {
    udp: Option<SocketAddr>,
    proof: Option<(SocketAddr, Proof)>,
    /// UDP is the path and has failed its last validation.
    unproved: bool,
    /// UDP failed recently, in this run or an earlier one: the next round starts both carriers at
    /// once.
    pub(super) udp_failed: bool,
    /// Time of UDP's last failure, as stored for later runs.
    failed_on_disk: Option<Wall>,
    /// Result of the last UDP validation or failover, not yet stored.
    verdict: Option<bool>,
    /// RTT of the last validation.
    proved: Option<Duration>,
    beside: Option<Beside>,
    beside_failures: u32,
    beside_not_before: Tick,
    doubts_not_before: Tick,
    retries: Retries,
    damping: Damping,
    /// When the machine last woke up or changed its network.
    pub(super) woken_at: Option<Tick>,
    /// A letter was sent or received since the last turn.
    pub(super) letter: bool,
    last_letter: Option<Tick>,
    /// A letter waits for the relay's receipt.
    awaits: bool,
}

impl Choice {
    /// Begins to validate a UDP path with this RTT.
    fn begin_proof(&mut self, now: Tick, addr: SocketAddr, rtt: Duration) {
        self.udp = Some(addr);
        self.doubts_not_before = now + DOUBTS_EVERY;
        self.proof = Some((addr, Proof::new(now, rtt)));
    }

    /// Records that UDP was validated or failed.
    fn judged(&mut self, proved: bool) {
        self.udp_failed = !proved;
        self.verdict = Some(proved);
    }

    /// Returns the number of consecutive failures of fallback connections.
    pub(super) fn beside_failures(&self) -> usize {
        self.beside_failures as usize
    }

    /// Drops a failed fallback connection, and delays the next one.
    fn beside_failed(&mut self, now: Tick) {
        let pause = (BESIDE_PAUSE_MIN * (1 << self.beside_failures.min(6))).min(BESIDE_PAUSE_MAX);
        self.beside_failures = self.beside_failures.saturating_add(1);
        self.beside_not_before = now + pause;
        self.beside = None;
    }

    /// Returns when the next ping of an active conversation is due.
    fn live_ping_at(&self, peer: &Peer) -> Option<Tick> {
        let end = self.last_letter? + LIVE_FOR;
        let after = if self.awaits { AWAITED_PING_AFTER } else { LIVE_PING_AFTER };
        let at = peer.link().unasked_since()? + after;
        (at <= end && matches!(peer.path(), Some(Path::Udp(_)))).then_some(at)
    }
}

impl Uplink {
    /// Checks the paths, once a turn before packets are sent.
    pub(super) fn choose(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.remember_verdict(now.wall, shared, out);
        if std::mem::take(&mut self.choice.letter) {
            self.choice.last_letter = Some(now.tick);
        }
        self.choice.awaits = self.mail.outbox.awaits_answer();
        if self.peer.is_none() || self.stopped {
            self.choice.proof = None;
            self.connecting.forget_doubt();
            return self.close_beside(shared, out);
        }
        self.take_probe_answers(now.tick);
        self.judge_proof(now.tick, shared, out);
        match self.peer.as_ref().and_then(Peer::path) {
            Some(Path::Udp(addr)) => self.watch_udp(now.tick, addr, shared, out),
            Some(Path::Tcp(_)) => self.watch_tcp(now.tick, shared),
            Some(Path::UdpAt(_)) | None => {}
        }
        self.repair_dead_path(now, shared, out);
        self.drive_beside(now.tick, shared, out);
        self.send_probes(now.tick, shared, out);
    }

    /// Assigns the relay's answers to the validation and to the fallback connection.
    fn take_probe_answers(&mut self, now: Tick) {
        let Some(peer) = &mut self.peer else { return };
        while let Some((path, id)) = peer.take_probe_answer() {
            match (path, &mut self.choice.proof, &mut self.choice.beside) {
                (Path::Udp(_), Some((_, proof)), _) => {
                    if let Some(rtt) = proof.handle_answer(now, id) {
                        peer.handle_round_trip(now, path, rtt);
                    }
                }
                (Path::Tcp(conn), _, Some(beside)) if beside.is_answered_by(conn, id) => {
                    beside.standing = Standing::Ready;
                    self.choice.beside_failures = 0;
                }
                _ => {}
            }
        }
    }

    /// Handles the end of a validation.
    fn judge_proof(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let Some((addr, proof)) = &self.choice.proof else { return };
        let Some(proved) = proof.verdict(now) else { return };
        let addr = *addr;
        let rtt = proof.last_rtt;
        let Some(peer) = &mut self.peer else { return };
        let path = peer.path();
        self.choice.proof = None;
        self.choice.judged(proved);
        self.choice.proved = rtt.filter(|_| proved);
        match path {
            Some(Path::Udp(_)) => {
                self.choice.unproved = !proved;
                if !proved {
                    self.choice.doubts_not_before = now + UNPROVED_AGAIN;
                }
                if proved {
                    peer.forgive();
                }
            }
            Some(Path::Tcp(conn)) if proved && shared.carriers == Carriers::Auto => {
                self.return_to_udp(now, addr, conn, out)
            }
            _ => {}
        }
    }

    /// Returns when UDP will have been silent for `span`. `None` before `ptos` consecutive PTOs
    /// there.
    pub(super) fn udp_silent_at(&self, ptos: u32, span: Duration) -> Option<Tick> {
        let link = self.peer.as_ref()?.link();
        let on_udp = matches!(link.path(), Some(Path::Udp(_)));
        (on_udp && link.pto_count() >= ptos).then(|| link.silent_since() + span)
    }

    /// Returns the reason for leaving UDP, if there is one.
    fn trouble(&self, now: Tick, carriers: Carriers) -> Option<MovedWhy> {
        let silent = self.udp_silent_at(SILENT_PTOS, SILENT_FOR).is_some_and(|at| at <= now);
        match carriers {
            Carriers::Udp => None,
            Carriers::Tcp => Some(MovedWhy::Asked),
            Carriers::Auto if silent => Some(MovedWhy::Silent),
            Carriers::Auto => self.choice.unproved.then_some(MovedWhy::Poor),
        }
    }

    /// Checks the UDP path: validates it if it is lossy, pings, opens the fallback, fails over.
    fn watch_udp(&mut self, now: Tick, addr: SocketAddr, shared: &mut Shared, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        // Loss alone is no reason to leave UDP, because TCP suffers from it too. A failed
        // validation is one.
        let doubtful = peer.link().is_poor() || self.choice.unproved;
        let may_doubt = self.choice.proof.is_none() && self.choice.doubts_not_before <= now;
        if doubtful && may_doubt && shared.carriers == Carriers::Auto {
            self.choice.begin_proof(now, addr, peer.link().smoothed_rtt());
        }
        // A silent path is noticed by PTOs only, so an idle but active conversation must send
        // something. With TCP only, the session leaves UDP anyway.
        let is_live = shared.carriers != Carriers::Tcp;
        if is_live && self.choice.live_ping_at(peer).is_some_and(|at| at <= now) {
            peer.poke();
        }
        let Some(why) = self.trouble(now, shared.carriers) else { return };
        // Fail over only to a connection that the relay has answered on.
        match self.choice.beside {
            Some(Beside { conn, standing: Standing::Ready, .. }) => self.flee(now, conn, why, shared, out),
            Some(_) => {}
            None => self.open_beside(now, shared, out),
        }
    }

    /// Begins a UDP validation while the session is on TCP, when it is due or TCP is silent.
    fn watch_tcp(&mut self, now: Tick, shared: &Shared) {
        let Some(peer) = &self.peer else { return };
        if shared.carriers != Carriers::Auto || self.choice.proof.is_some() {
            return;
        }
        let choice = &self.choice;
        let silent = peer.link().pto_count() > 0 && choice.doubts_not_before <= now;
        let due = self.retry_at().is_some_and(|at| at <= now);
        let addrs = self.connecting.udp_addrs();
        let turn = choice.udp.and_then(|last| addrs.iter().position(|addr| *addr == last));
        let Some(&addr) = addrs.get(turn.map_or(0, |turn| (turn + 1) % addrs.len())) else { return };
        if due || silent {
            let rtt = peer.link().smoothed_rtt();
            self.choice.begin_proof(now, addr, rtt);
            self.choice.retries.tested(now);
        }
    }

    /// Returns when UDP is validated next: as scheduled, and not before flap damping permits a
    /// return.
    fn retry_at(&self) -> Option<Tick> {
        self.choice.retries.next_at().map(|at| at.max(self.choice.damping.returns_at()))
    }

    /// Opens the fallback connection, unless the last one just failed or a round is connecting
    /// already.
    fn open_beside(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let at_work = matches!(self.connecting.round, Some(Round::Fresh | Round::Repair));
        let early = self.choice.beside_not_before > now;
        if at_work || early || self.choice.beside.is_some() || shared.carriers == Carriers::Udp {
            return;
        }
        let Some(addr) = self.connecting.tcp_addr(self.choice.beside_failures) else { return };
        let conn = self.dial(shared, addr, out);
        self.choice.beside_not_before = now + BESIDE_PAUSE_MIN;
        self.choice.beside = Some(Beside { conn, standing: Standing::Opening, until: now + BESIDE_WITHIN });
    }

    /// Sends the probe on an open fallback connection, or closes one that has reached its time
    /// limit.
    fn drive_beside(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let Some(beside) = &mut self.choice.beside else { return };
        if beside.until <= now {
            let answered = beside.standing == Standing::Ready;
            self.close_beside(shared, out);
            if !answered {
                self.choice.beside_failed(now);
            }
            return;
        }
        if let (Standing::Open, Some(peer)) = (beside.standing, &mut self.peer) {
            let id = shared.rng.next_u64().to_be_bytes();
            beside.standing = Standing::Asked(id);
            peer.probe(now, Path::Tcp(beside.conn), id, out);
        }
    }

    fn send_probes(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let (Some((addr, proof)), Some(peer)) = (&mut self.choice.proof, &mut self.peer) else { return };
        while let Some(id) = proof.probe_due(now, &mut shared.rng) {
            peer.probe(now, Path::Udp(*addr), id, out);
        }
    }

    /// Fails over from UDP to a connection on which the relay has answered.
    fn flee(&mut self, now: Tick, conn: ConnId, why: MovedWhy, shared: &mut Shared, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Tcp(conn));
        peer.poke();
        self.choice.beside = None;
        self.cancel_attempts(now, shared, out);
        self.connecting.succeeded();
        self.fled(now);
        self.tell_moved(Carrier::Tcp, why, out);
    }

    fn fled(&mut self, now: Tick) {
        let choice = &mut self.choice;
        choice.proof = None;
        choice.unproved = false;
        choice.judged(false);
        choice.damping.fled(now);
        choice.retries.begin(now, false);
    }

    /// Returns from TCP to a validated UDP path. The TCP connection becomes the fallback.
    fn return_to_udp(&mut self, now: Tick, addr: SocketAddr, conn: ConnId, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Udp(addr));
        if let Some(rtt) = self.choice.proved {
            peer.handle_round_trip(now, Path::Udp(addr), rtt);
        }
        peer.poke();
        self.choice.damping.came_to_udp(now);
        self.choice.unproved = false;
        let until = now + KEPT_AFTER_RETURN;
        self.choice.beside = Some(Beside { conn, standing: Standing::Ready, until });
        self.tell_moved(Carrier::Udp, MovedWhy::Proved, out);
    }

    fn tell_moved(&mut self, via: Carrier, why: MovedWhy, out: &mut Out) {
        if self.is_online() {
            out.show(Event::Moved { relay: self.spec.addr.clone(), via, why });
        }
    }

    /// Handles the end of a handshake that put the session, new or continued, on `path`. Before it
    /// was on `before`. `beside` is a TCP connection of the same race, and whether it is open.
    pub(super) fn settled_on(
        &mut self,
        now: Tick,
        before: Option<Path>,
        path: Path,
        beside: Option<(ConnId, bool)>,
        shared: &mut Shared,
        out: &mut Out,
    ) {
        // Fallback connection and validation belong to the previous path.
        self.close_beside(shared, out);
        self.choice.proof = None;
        match path {
            // Selected, not validated: a handshake does not show that full-size packets pass both
            // ways.
            Path::Udp(addr) => {
                self.choice.unproved = false;
                self.choice.damping.came_to_udp(now);
                let rtt = self.peer.as_ref().map_or(Duration::ZERO, |peer| peer.link().smoothed_rtt());
                self.choice.begin_proof(now, addr, rtt);
                // With a pinned carrier there is nothing to choose.
                if shared.carriers != Carriers::Auto {
                    self.choice.proof = None;
                }
                let beside = beside.map(|(conn, open)| {
                    let standing = if open { Standing::Open } else { Standing::Opening };
                    Beside { conn, standing, until: now + RACE_GOES_ON }
                });
                self.choice.beside = beside;
            }
            // UDP was in use: this is a failover and counts for flap damping.
            Path::Tcp(_) if before.map(Path::carrier) == Some(Carrier::Udp) => self.fled(now),
            Path::UdpAt(_) => {}
            Path::Tcp(_) => {
                self.choice.unproved = false;
                self.choice.retries.begin(now, true);
                // Record UDP as failed at once: a short run ends before the validation does.
                if before.is_none() && shared.carriers == Carriers::Auto {
                    self.choice.judged(false);
                }
            }
        }
        if let Some(before) = before.filter(|before| before.carrier() != path.carrier()) {
            let why = match before.carrier() {
                Carrier::Udp => MovedWhy::Silent,
                Carrier::Tcp => MovedWhy::Broken,
            };
            self.tell_moved(path.carrier(), why, out);
        }
    }

    /// Takes the fallback connection, for a round that continues with it. Returns whether it is
    /// open.
    pub(super) fn take_beside(&mut self) -> Option<(ConnId, bool)> {
        let beside = self.choice.beside.take()?;
        Some((beside.conn, beside.standing != Standing::Opening))
    }

    pub(super) fn close_beside(&mut self, shared: &mut Shared, out: &mut Out) {
        if let Some(beside) = self.choice.beside.take() {
            close_conn(shared, beside.conn, out);
        }
    }

    /// Handles an opened connection. Returns `true` if it is the fallback.
    pub(super) fn beside_opened(&mut self, conn: ConnId) -> bool {
        let beside = self.choice.beside.as_mut().filter(|beside| beside.conn == conn);
        beside.map(|beside| beside.standing = Standing::Open).is_some()
    }

    /// Handles a closed connection, if it is the fallback.
    pub(super) fn beside_closed(&mut self, now: Tick, conn: ConnId) {
        if self.choice.beside.is_some_and(|beside| beside.conn == conn) {
            self.choice.beside_failed(now);
        }
    }

    /// Returns the TCP connection of an unanswered attempt, and whether it is open.
    pub(super) fn racing_conn(&self, carriers: Carriers) -> Option<(ConnId, bool)> {
        let auto = carriers == Carriers::Auto && self.connecting.round != Some(Round::Rekey);
        let attempt = self.connecting.attempts.iter().find(|attempt| auto && attempt.conn().is_some())?;
        Some((attempt.conn()?, attempt.is_open()))
    }

    /// Handles a stateless reset (RFC 9000 §10.3): the relay has lost the session. Starts a
    /// handshake for the same session, in case an attacker obtained the token from the relay.
    /// `LossBackoff` limits repeated handshakes. A client that has stopped drops the session
    /// silently.
    pub(super) fn handle_reset(
        &mut self,
        now: Now,
        shared: &mut Shared,
        index: u32,
        token: &[u8; RESET_TOKEN_LEN],
        out: &mut Out,
    ) {
        if !self.peer.as_ref().is_some_and(|peer| peer.is_reset(index, token)) {
            return;
        }
        if self.stopped {
            return self.drop_peer(now.tick, shared, out);
        }
        if matches!(self.connecting.round, Some(Round::Fresh | Round::Repair)) {
            self.connecting.attempts.iter_mut().for_each(|attempt| attempt.hurry(now.tick));
            return self.drive_attempts(now, shared, out);
        }
        self.connecting.loss_backoff.lost(now.tick, &mut shared.rng);
        if self.connecting.loss_backoff.holds(now.tick) {
            return;
        }
        self.cancel_attempts(now.tick, shared, out);
        self.close_beside(shared, out);
        self.connecting.succeeded();
        self.begin_round(now, shared, Round::Repair, out);
    }

    /// Applies a new choice of permitted carriers.
    pub(super) fn handle_carriers(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if matches!(self.connecting.round, Some(Round::Fresh | Round::Repair)) || self.peer.is_none() {
            self.cancel_attempts(now.tick, shared, out);
            self.connecting.succeeded();
        }
        self.choice.proof = None;
        self.choice.beside_not_before = now.tick;
        self.choice.damping = Damping::default();
        let path = self.peer.as_ref().and_then(Peer::path);
        let udp = self.choice.udp.or(self.connecting.udp_addrs().first().copied());
        match (shared.carriers, path, udp) {
            (Carriers::Udp, Some(Path::Tcp(conn)), Some(addr)) => {
                self.return_to_udp_when_asked(now.tick, addr, out);
                close_conn(shared, conn, out);
            }
            (Carriers::Udp, ..) => self.close_beside(shared, out),
            (Carriers::Auto, Some(Path::Udp(addr)), _) => {
                self.choice.begin_proof(now.tick, addr, Duration::ZERO);
            }
            (Carriers::Auto, ..) => self.choice.retries.begin(now.tick, true),
            (Carriers::Tcp, ..) => {}
        }
        // The cancelled round, or the pause before the next one, had the only deadline.
        if !self.stopped {
            self.pursue(now, shared, out);
        }
    }

    /// Returns from TCP to UDP without validation: no other carrier is permitted.
    fn return_to_udp_when_asked(&mut self, now: Tick, addr: SocketAddr, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Udp(addr));
        peer.poke();
        self.choice.damping.came_to_udp(now);
        self.choice.unproved = false;
        self.tell_moved(Carrier::Udp, MovedWhy::Asked, out);
    }

    /// Returns the path unless it is being validated.
    pub(super) fn settled_path(&self) -> Option<Path> {
        let tested = self.choice.proof.is_some() || self.choice.unproved;
        self.peer.as_ref().filter(|_| !tested)?.path()
    }

    /// Returns the next deadline of path management, always later than `now`.
    pub(super) fn next_choice(&self, now: Tick, carriers: Carriers) -> Option<Tick> {
        let peer = self.peer.as_ref().filter(|_| !self.stopped)?;
        let choice = &self.choice;
        let proof = choice.proof.as_ref().map(|(_, proof)| proof.next_deadline());
        let on_udp = matches!(peer.path(), Some(Path::Udp(_)));
        let troubled = on_udp && self.trouble(now, carriers).is_some();
        let auto = carriers == Carriers::Auto && proof.is_none();
        let all = [
            proof,
            choice.beside.map(|beside| beside.until),
            choice.live_ping_at(peer),
            self.udp_silent_at(SILENT_PTOS, SILENT_FOR).filter(|_| carriers == Carriers::Auto),
            self.stalled_at().filter(|_| self.connecting.round.is_none()),
            (troubled && choice.beside.is_none()).then_some(choice.beside_not_before),
            (auto && on_udp && choice.unproved).then_some(choice.doubts_not_before),
            self.retry_at().filter(|_| auto && !on_udp && peer.path().is_some()),
        ];
        all.into_iter().flatten().filter(|at| *at > now).min()
    }
}
