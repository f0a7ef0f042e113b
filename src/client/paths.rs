//! Moving one session between UDP and TCP: what is noticed, what is tried, and when the conversation moves.
//!
//! A TCP connection beside a session needs no handshake: a probe under the session's keys is answered on it, and the
//! first other packet moves the conversation there (RFC 9000 §9.1). So does a proved UDP path.
//!
//! What the machine says of the network under it, and what a run leaves to the next, stands in `hints`.

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

/// At this probe time-out in a row on UDP, TCP is opened beside it, and the conversation may go there,
const SILENT_PTOS: u32 = 2;
/// but not before UDP has been silent for so long, the start it has in the first race too. At short round trips probes time
/// out within milliseconds, and a busy machine lets a relay wait longer than that for its turn; above a round trip of 65 ms
/// the second time-out comes later anyway.
const SILENT_FOR: Duration = Duration::from_millis(250);
/// A conversation is alive for so long after a letter.
const LIVE_FOR: Duration = Duration::from_secs(30);
/// While it is, UDP is asked whether it lives after so long without anything that asks for an ack.
const LIVE_PING_AFTER: Duration = Duration::from_secs(2);
/// And after so long while a letter waits for the relay's word: it has arrived, and the answer may have met a dead path. The
/// relay answers within a mailbox's 500 ms.
const AWAITED_PING_AFTER: Duration = Duration::from_millis(500);
/// The loser of a race over TCP is kept while UDP is being proved.
const RACE_GOES_ON: Duration = Duration::from_millis(3_500);
/// TCP is kept after the conversation has returned to UDP.
const KEPT_AFTER_RETURN: Duration = Duration::from_secs(10);
/// A connection opened beside UDP is to be answered on by then.
const BESIDE_WITHIN: Duration = Duration::from_secs(10);
/// After a connection beside UDP came to nothing the next waits so long, doubling.
const BESIDE_PAUSE_MIN: Duration = Duration::from_secs(5);
const BESIDE_PAUSE_MAX: Duration = Duration::from_secs(300);
/// A path that looked poor and was tested is not doubted again sooner.
const DOUBTS_EVERY: Duration = Duration::from_secs(5);
/// UDP that failed its test and stays the path, because TCP does not get through either, is tested again after this time.
const UNPROVED_AGAIN: Duration = Duration::from_secs(30);

/// A TCP connection that is not the path, or not yet.
#[derive(Clone, Copy, Debug)]
struct Beside {
    conn: ConnId,
    standing: Standing,
    /// Closed at this time, unless it is needed.
    until: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Opening,
    Open,
    /// This probe was sent on it.
    Asked([u8; 8]),
    /// The relay has answered on it.
    Ready,
}

impl Beside {
    fn is_answered_by(&self, conn: ConnId, id: [u8; 8]) -> bool {
        self.conn == conn && self.standing == Standing::Asked(id)
    }
}

/// What is known of both carriers of one relay.
#[derive(Debug, Default)]
pub(super) struct Choice {
    udp: Option<SocketAddr>,
    proof: Option<(SocketAddr, Proof)>,
    /// UDP is the path and has just failed its proof.
    unproved: bool,
    /// UDP did not get through lately, in this run or an earlier one: the next round begins with both carriers at once.
    pub(super) udp_failed: bool,
    /// When UDP failed, as it is written down for later runs.
    failed_on_disk: Option<Wall>,
    /// UDP was proved, or failed, since the last turn.
    verdict: Option<bool>,
    /// Round trip of the last proof.
    proved: Option<Duration>,
    beside: Option<Beside>,
    beside_failures: u32,
    beside_not_before: Tick,
    doubts_not_before: Tick,
    retries: Retries,
    damping: Damping,
    /// When the machine last woke, or was given another network.
    pub(super) woken_at: Option<Tick>,
    /// A letter went or came since the last turn.
    pub(super) letter: bool,
    last_letter: Option<Tick>,
    /// A letter waits for the relay's word.
    awaits: bool,
}

impl Choice {
    fn begin_proof(&mut self, now: Tick, addr: SocketAddr, rtt: Duration) {
        self.udp = Some(addr);
        self.doubts_not_before = now + DOUBTS_EVERY;
        self.proof = Some((addr, Proof::new(now, rtt)));
    }

    /// UDP was proved, or did not get through.
    fn judged(&mut self, proved: bool) {
        self.udp_failed = !proved;
        self.verdict = Some(proved);
    }

    /// How many connections beside UDP have come to nothing in a row.
    pub(super) fn beside_failures(&self) -> usize {
        self.beside_failures as usize
    }

    /// A connection beside UDP came to nothing.
    fn beside_failed(&mut self, now: Tick) {
        let pause = (BESIDE_PAUSE_MIN * (1 << self.beside_failures.min(6))).min(BESIDE_PAUSE_MAX);
        self.beside_failures = self.beside_failures.saturating_add(1);
        self.beside_not_before = now + pause;
        self.beside = None;
    }

    fn live_ping_at(&self, peer: &Peer) -> Option<Tick> {
        let end = self.last_letter? + LIVE_FOR;
        let after = if self.awaits { AWAITED_PING_AFTER } else { LIVE_PING_AFTER };
        let at = peer.link().unasked_since()? + after;
        (at <= end && matches!(peer.path(), Some(Path::Udp(_)))).then_some(at)
    }
}

impl Uplink {
    /// Looks at the paths, once a turn before anything leaves.
    pub(super) fn choose(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.remember_verdict(now.wall, shared, out);
        let (now, both) = (now.tick, now);
        if std::mem::take(&mut self.choice.letter) {
            self.choice.last_letter = Some(now);
        }
        self.choice.awaits = self.mail.outbox.awaits_answer();
        if self.peer.is_none() || self.stopped {
            self.choice.proof = None;
            self.connecting.forget_doubt();
            return self.close_beside(shared, out);
        }
        self.take_probe_answers(now);
        self.judge_proof(now, shared, out);
        match self.peer.as_ref().and_then(Peer::path) {
            Some(Path::Udp(addr)) => self.watch_udp(now, addr, shared, out),
            Some(Path::Tcp(_)) => self.watch_tcp(now, shared),
            Some(Path::UdpAt(_)) | None => {}
        }
        self.repair_dead_path(both, shared, out);
        self.drive_beside(now, shared, out);
        self.send_probes(now, shared, out);
    }

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

    fn judge_proof(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let Some((addr, proof)) = &self.choice.proof else { return };
        let Some(proved) = proof.verdict(now) else { return };
        let (addr, rtt) = (*addr, proof.last_rtt);
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

    /// When UDP will have been silent for this span, once so many probes have timed out in a row there.
    pub(super) fn udp_silent_at(&self, ptos: u32, span: Duration) -> Option<Tick> {
        let link = self.peer.as_ref()?.link();
        let on_udp = matches!(link.path(), Some(Path::Udp(_)));
        (on_udp && link.pto_count() >= ptos).then(|| link.silent_since() + span)
    }

    /// Why the conversation should leave UDP, if it should.
    fn trouble(&self, now: Tick, carriers: Carriers) -> Option<MovedWhy> {
        let silent = self.udp_silent_at(SILENT_PTOS, SILENT_FOR).is_some_and(|at| at <= now);
        match carriers {
            Carriers::Udp => None,
            Carriers::Tcp => Some(MovedWhy::Asked),
            Carriers::Auto if silent => Some(MovedWhy::Silent),
            Carriers::Auto => self.choice.unproved.then_some(MovedWhy::Poor),
        }
    }

    fn watch_udp(&mut self, now: Tick, addr: SocketAddr, shared: &mut Shared, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        let doubtful = peer.link().is_poor() || self.choice.unproved;
        let may_doubt = self.choice.proof.is_none() && self.choice.doubts_not_before <= now;
        if doubtful && may_doubt && shared.carriers == Carriers::Auto {
            self.choice.begin_proof(now, addr, peer.link().smoothed_rtt());
        }
        let is_live = shared.carriers != Carriers::Tcp;
        if is_live && self.choice.live_ping_at(peer).is_some_and(|at| at <= now) {
            peer.poke();
        }
        let Some(why) = self.trouble(now, shared.carriers) else { return };
        match self.choice.beside {
            Some(Beside { conn, standing: Standing::Ready, .. }) => self.flee(now, conn, why, shared, out),
            Some(_) => {}
            None => self.open_beside(now, shared, out),
        }
    }

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

    fn retry_at(&self) -> Option<Tick> {
        self.choice.retries.next_at().map(|at| at.max(self.choice.damping.returns_at()))
    }

    /// Opens TCP beside UDP, unless that has just come to nothing or a round is at it already.
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

    /// From UDP to a connection that the relay has answered on.
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
        (choice.proof, choice.unproved) = (None, false);
        choice.judged(false);
        choice.damping.fled(now);
        choice.retries.begin(now, false);
    }

    /// From TCP to a proved UDP path.
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

    /// A handshake has put the session, new or continued, on `path`; before it was on `before`. `beside` is a connection of
    /// the same race, and whether it is open.
    pub(super) fn settled_on(
        &mut self,
        now: Tick,
        (before, path): (Option<Path>, Path),
        beside: Option<(ConnId, bool)>,
        shared: &mut Shared,
        out: &mut Out,
    ) {
        self.close_beside(shared, out);
        self.choice.proof = None;
        match path {
            Path::Udp(addr) => {
                self.choice.unproved = false;
                self.choice.damping.came_to_udp(now);
                let rtt = self.peer.as_ref().map_or(Duration::ZERO, |peer| peer.link().smoothed_rtt());
                self.choice.begin_proof(now, addr, rtt);
                if shared.carriers != Carriers::Auto {
                    self.choice.proof = None;
                }
                let beside = beside.map(|(conn, open)| {
                    let standing = if open { Standing::Open } else { Standing::Opening };
                    Beside { conn, standing, until: now + RACE_GOES_ON }
                });
                self.choice.beside = beside;
            }
            Path::Tcp(_) if before.map(Path::carrier) == Some(Carrier::Udp) => self.fled(now),
            Path::UdpAt(_) => {}
            Path::Tcp(_) => {
                self.choice.unproved = false;
                self.choice.retries.begin(now, true);
                // A run may be over before the test that begins now has ended.
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

    /// The connection beside UDP, for a round that goes on with it; and whether it is open.
    pub(super) fn take_beside(&mut self) -> Option<(ConnId, bool)> {
        let beside = self.choice.beside.take()?;
        Some((beside.conn, beside.standing != Standing::Opening))
    }

    pub(super) fn close_beside(&mut self, shared: &mut Shared, out: &mut Out) {
        if let Some(beside) = self.choice.beside.take() {
            close_conn(shared, beside.conn, out);
        }
    }

    /// Whether `conn` is the one beside UDP, which has been opened.
    pub(super) fn beside_opened(&mut self, conn: ConnId) -> bool {
        let beside = self.choice.beside.as_mut().filter(|beside| beside.conn == conn);
        beside.map(|beside| beside.standing = Standing::Open).is_some()
    }

    pub(super) fn beside_closed(&mut self, now: Tick, conn: ConnId) {
        if self.choice.beside.is_some_and(|beside| beside.conn == conn) {
            self.choice.beside_failed(now);
        }
    }

    /// The connection of an attempt over TCP that has not answered yet, and whether it is open.
    pub(super) fn racing_conn(&self, carriers: Carriers) -> Option<(ConnId, bool)> {
        let auto = carriers == Carriers::Auto && self.connecting.round != Some(Round::Rekey);
        let attempt = self.connecting.attempts.iter().find(|attempt| auto && attempt.conn().is_some())?;
        Some((attempt.conn()?, attempt.is_open()))
    }

    /// The relay says that it has lost the session, with the token that only it can make: a
    /// handshake begins at once, for the same session, in case that an attacker has drawn the token
    /// from it; but not at once again and again (`LossBackoff`). A client that stops goes silent.
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

    /// Other carriers are permitted from now on.
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
        // The round that was given up, or the pause before the next one, had the only deadline.
        if !self.stopped {
            self.pursue(now, shared, out);
        }
    }

    fn return_to_udp_when_asked(&mut self, now: Tick, addr: SocketAddr, out: &mut Out) {
        let Some(peer) = &mut self.peer else { return };
        peer.select(now, Path::Udp(addr));
        peer.poke();
        self.choice.damping.came_to_udp(now);
        self.choice.unproved = false;
        self.tell_moved(Carrier::Udp, MovedWhy::Asked, out);
    }

    /// The path, unless it is being tested.
    pub(super) fn settled_path(&self) -> Option<Path> {
        let tested = self.choice.proof.is_some() || self.choice.unproved;
        self.peer.as_ref().filter(|_| !tested)?.path()
    }

    /// When the choice of path has something to do; later than `now`.
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
