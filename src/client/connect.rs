//! How a session comes about and is kept: rounds of attempts over the permitted carriers.
//!
//! A *round* begins with the first look-up and ends with the first authenticated answer, or when every attempt has
//! failed; then the next begins after 1, 2, 4 … 30 s with jitter. UDP is tried at once, TCP beside it after 250 ms, counted
//! from the key's arrival if it came over UDP within that time, or at once if UDP failed last time; each shakes hands with a first message of its own. The first authenticated answer
//! carries the conversation, and the other path is probed under its keys (`paths`).
//!
//! While there is a session its handshakes *continue* it: a round of repair when the path has gone silent, or one on the
//! present path alone when keys are to be renewed.
//!
//! Every address of the relay is tried: over UDP its packets go to each in turn, over TCP a connection to the next is opened
//! beside those that have not answered within 250 ms (RFC 8305 §5).
//!
//! What an attempt says and what answers lead to stands in `shake`.

mod addresses;
mod known_key;
mod loss_backoff;
mod shake;
mod turns;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Effect, HostPort, Now, Path, PublicKey, Rng, Tick, Why};
use crate::peer::Peer;
use crate::session::KeyQuery;

use super::api::{Carriers, Event, Unreached};
use super::attempt::{Attempt, Stage, Step, pause};
use super::dials::Turn;
use super::pace::Asked;
use super::uplink::{Out, Shared, Told, Uplink, close_conn};
use addresses::Addresses;
use loss_backoff::LossBackoff;

/// A TCP connection is opened beside UDP after this time.
const TCP_CONNECT_AFTER: Duration = Duration::from_millis(250);
/// A connection to the next address is opened after this time without an answer at one (RFC 8305 §8).
const NEXT_ADDR_AFTER: Duration = Duration::from_millis(250);
/// A TCP connection that was refused or broke is tried for again within this time, for as long as UDP is.
const TCP_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// With TCP refused and UDP silent for this long, the user is told that no relay answers: within a second. The same where
/// only UDP may be used and it is refused.
const SILENT_AND_REFUSED: Duration = Duration::from_millis(900);
/// With nothing heard on any carrier for this long, the user is told.
const SILENT: Duration = Duration::from_secs(3);
/// Pauses between rounds: the first, and the longest.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A relay that has been asked too often is tried again as if so many rounds had failed: after 4 s at least.
const FAILURES_TOO_MANY: u32 = 3;
/// Within this time after a relay that stops in good order is tried again.
const SOON: Duration = Duration::from_millis(250);
/// Probe time-outs in a row after which a UDP path is taken for dead,
const STALLED_PTOS_UDP: u32 = 4;
/// and the silence: TCP, opened beside UDP after half of it, has had as long to answer without another handshake.
const STALLED_FOR_UDP: Duration = Duration::from_millis(500);
/// Missed probes after which a TCP path is taken for dead: about 10 s.
const STALLED_PTOS_TCP: u32 = 3;
/// A session is not continued after this silence: the relay has forgotten it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);

/// Why attempts are being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// There is no session.
    Fresh,
    /// There is one whose path is gone or silent.
    Repair,
    /// Its keys are to be renewed.
    Rekey,
}

/// What is being done to reach a relay.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    pub(super) round: Option<Round>,
    pub(super) attempts: Vec<Attempt>,
    since: Tick,
    udp: Addresses,
    tcp: Addresses,
    /// When the next connection over TCP is opened.
    tcp_at: Option<Tick>,
    tell_silence_at: Option<Tick>,
    /// A key the relay showed and has not proved yet.
    unproven_key: Option<PublicKey>,
    told_key_changed: bool,
    failures: u32,
    next_round_at: Option<Tick>,
    /// A round waits for its turn among those of all relays; or it has come.
    asked: Option<Asked>,
    granted: bool,
    /// A connection waits for its turn.
    dial_waits: Option<Turn>,
    /// The highest handshake counter this relay has had of us, as far as is known. Each relay has its own, or one could
    /// drive the counters for all others to their end.
    counter: u64,
    /// A TCP path that may have stayed behind in another network: since when it is to be heard, and until when.
    doubted: Option<(Tick, Tick)>,
    /// When the present session began, and how many in a row ended soon after that.
    begun: Tick,
    early_ends: u32,
    /// How soon a session that was lost is shaken hands for again.
    pub(super) loss_backoff: LossBackoff,
}

impl Connecting {
    /// The next round begins after a pause that doubles with each failure.
    fn back_off(&mut self, now: Tick, rng: &mut Rng) {
        let longest = (BACKOFF_MIN * (1 << self.failures.min(5))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.next_round_at = Some(now + pause(longest, rng));
        self.end_round();
    }

    /// A session has ended. If it was a short one, and those before it too, the pause grows as with failures.
    pub(super) fn session_ended(&mut self, now: Tick, rng: &mut Rng) {
        let early = now.since(self.begun) < BACKOFF_MAX;
        self.failures = self.failures.max(self.early_ends);
        self.early_ends = if early { self.early_ends.saturating_add(1) } else { 0 };
        self.back_off(now, rng);
    }

    /// The relay has been asked too often from here. To be called before [`Connecting::session_ended`].
    pub(super) fn slow_down(&mut self) {
        self.failures = self.failures.max(FAILURES_TOO_MANY);
    }

    /// The relay has said that it goes, perhaps to run again at once: the next round begins soon, though not everybody's
    /// in the same moment, unless sessions have ended early before. To be called after [`Connecting::session_ended`].
    pub(super) fn hasten(&mut self, now: Tick, rng: &mut Rng) {
        if self.early_ends == 0 {
            self.failures = 0;
            self.next_round_at = Some(now + Duration::from_micros(rng.below(SOON.as_micros() as u64)));
        }
    }

    /// The TCP path is to be heard from now on until `until`, or it is repaired.
    pub(super) fn doubt(&mut self, now: Tick, until: Tick) {
        self.doubted = Some((now, until));
    }

    /// There is no path that could be heard.
    pub(super) fn forget_doubt(&mut self) {
        self.doubted = None;
    }

    /// What was learned about how the relay is reached has changed: the next round begins at once.
    pub(super) fn start_over(&mut self) {
        (self.failures, self.next_round_at) = (0, None);
        self.loss_backoff = LossBackoff::default();
        self.end_round();
    }

    /// A pause that is over though nothing is wanted: the path has come back by itself.
    fn forget_pause(&mut self) {
        if self.next_round_at.take().is_some() {
            self.failures = 0;
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.next_round_at = None;
        self.end_round();
    }

    /// One carrier is refused: the other has only so long to answer before the user is told.
    fn hasten_silence(&mut self, now: Tick) {
        if let Some(at) = &mut self.tell_silence_at {
            *at = (*at).min(self.since + SILENT_AND_REFUSED).max(now + Duration::from_micros(1));
        }
    }

    /// The relay has told its key, so the attempt that has it may win: its handshake, which begins now, has the same start
    /// of the next connection as that of a client that knew the key. Where UDP is dropped no such answer comes, and TCP
    /// waits no longer for it.
    fn give_a_start(&mut self, now: Tick) {
        self.tcp_at = self.tcp_at.map(|at| at.max(now + TCP_CONNECT_AFTER));
    }

    fn end_round(&mut self) {
        self.round = None;
        self.tcp_at = None;
        self.dial_waits = None;
        self.tell_silence_at = None;
    }

    /// The relay's addresses over UDP, as far as they are known.
    pub(super) fn udp_addrs(&self) -> &[SocketAddr] {
        self.udp.all()
    }

    /// One of its addresses over TCP, another one for each failure.
    pub(super) fn tcp_addr(&self, failures: u32) -> Option<SocketAddr> {
        self.tcp.at(failures as usize)
    }

    /// The system says that UDP does not get to `path`, a hint: TCP need not wait any longer, and where only UDP may be
    /// used the user may hear it earlier. Whether something is due now.
    pub(super) fn handle_udp_refused(&mut self, now: Tick, path: Path, carriers: Carriers) -> bool {
        let Path::Udp(addr) = path else { return false };
        if !self.udp_addrs().contains(&addr) {
            return false;
        }
        if carriers == Carriers::Udp {
            self.hasten_silence(now);
        }
        let early = self.tcp_at.is_some_and(|at| at > now);
        if early {
            self.tcp_at = Some(now);
        }
        early
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let attempts = self.attempts.iter().map(Attempt::next_deadline);
        // Both pauses have to be over.
        let paused = self.next_round_at.max(self.loss_backoff.next_deadline());
        let paused = paused.filter(|_| self.round.is_none() && self.asked.is_none());
        let doubted = self.doubted.map(|(_, until)| until);
        attempts.chain([paused, self.tcp_at, self.tell_silence_at, doubted].into_iter().flatten()).min()
    }
}

impl Uplink {
    /// Whether anything is under way to reach the relay.
    pub(super) fn is_trying(&self) -> bool {
        !self.connecting.attempts.is_empty()
    }

    /// Whether this host is the relay's.
    pub(super) fn asks_for(&self, host: &HostPort) -> bool {
        self.spec.addr == *host || self.spec.tcp.as_ref() == Some(host)
    }

    /// Whether packets for the relay leave on this path.
    pub(super) fn sends_to(&self, path: Path) -> bool {
        let tries = matches!(path, Path::Udp(addr) if self.connecting.udp_addrs().contains(&addr));
        tries || self.peer.as_ref().and_then(Peer::path) == Some(path)
    }

    /// Does whatever is due to reach the relay or keep it.
    pub(super) fn pursue(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if self.connecting.round.is_none()
            && let Some(round) = self.wanted_round(now.tick)
            && (round != Round::Fresh || self.is_its_turn(now.tick, shared))
        {
            match self.contradiction() {
                Some(why) => {
                    self.tell_unreached(why, out);
                    self.connecting.back_off(now.tick, &mut shared.rng);
                }
                None => self.begin_round(now, shared, round, out),
            }
        }
        if self.connecting.tcp_at.is_some_and(|at| at <= now.tick) {
            self.connecting.tcp_at = None;
            self.open_tcp(now.tick, shared, out);
        }
        if self.connecting.tell_silence_at.is_some_and(|at| at <= now.tick) {
            self.connecting.tell_silence_at = None;
            self.tell_unreached(Unreached::Silent, out);
        }
        self.drive_attempts(now, shared, out);
    }

    /// Whether the time of a doubted connection is over and nothing was heard: it has stayed behind in another network.
    fn is_left_behind(&mut self, now: Tick) -> bool {
        let doubted = self.connecting.doubted.take_if(|doubted| doubted.1 <= now);
        let heard = self.peer.as_ref().map(|peer| peer.link().last_heard());
        doubted.zip(heard).is_some_and(|((since, _), heard)| heard <= since)
    }

    fn wanted_round(&mut self, now: Tick) -> Option<Round> {
        if self.connecting.next_round_at.is_some_and(|at| at > now) || self.connecting.loss_backoff.holds(now)
        {
            return None;
        }
        let is_over = self.connecting.loss_backoff.is_over(now);
        let Some(peer) = &self.peer else { return Some(Round::Fresh) };
        match peer.path() {
            None => Some(Round::Repair),
            Some(_) if is_over => Some(Round::Repair),
            Some(_) => peer.needs_rekey(now).then_some(Round::Rekey),
        }
    }

    /// When the path is taken for dead, once enough probes have timed out there in a row.
    pub(super) fn stalled_at(&self) -> Option<Tick> {
        let link = self.peer.as_ref()?.link();
        match link.path()? {
            Path::Udp(_) | Path::UdpAt(_) => self.udp_silent_at(STALLED_PTOS_UDP, STALLED_FOR_UDP),
            Path::Tcp(_) => (link.pto_count() >= STALLED_PTOS_TCP).then(|| link.silent_since()),
        }
    }

    /// Shakes hands anew where the path is dead, or sees that no pause is needed. To be called when everything that has come
    /// was taken in: when a process was not run for a while its timers are over, and answers may be there to be read.
    pub(super) fn repair_dead_path(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let is_stalled = self.stalled_at().is_some_and(|at| at <= now.tick);
        let on_tcp = matches!(self.peer.as_ref().and_then(Peer::path), Some(Path::Tcp(_)));
        let is_left_behind = self.is_left_behind(now.tick) && on_tcp;
        if self.connecting.round.is_some()
            || self.connecting.next_round_at.is_some_and(|at| at > now.tick)
            || self.connecting.loss_backoff.holds(now.tick)
        {
            return;
        }
        if is_stalled || is_left_behind {
            self.begin_round(now, shared, Round::Repair, out);
        } else {
            self.connecting.forget_pause();
        }
    }

    pub(super) fn begin_round(&mut self, now: Now, shared: &mut Shared, round: Round, out: &mut Out) {
        if self.peer.as_ref().is_some_and(|peer| now.tick.since(peer.link().last_heard()) >= FORGOTTEN_AFTER)
        {
            self.drop_peer(now.tick, shared, out);
        }
        let connecting = &mut self.connecting;
        connecting.round = Some(round);
        connecting.loss_backoff.is_over(now.tick);
        connecting.next_round_at = None;
        connecting.since = now.tick;
        if let (Round::Rekey, Some(path)) = (round, self.peer.as_ref().and_then(Peer::path)) {
            let attempt = match path {
                Path::Tcp(conn) => Attempt::new(Carrier::Tcp, Vec::new(), now.tick).on(conn),
                _ => Attempt::new(Carrier::Udp, path.udp_peer().into_iter().collect(), now.tick),
            };
            connecting.attempts.push(attempt);
            return;
        }
        connecting.tell_silence_at = Some(now.tick + SILENT);
        let udp = look_up(&self.spec.addr, out);
        let tcp = match &self.spec.tcp {
            Some(tcp) => look_up(tcp, out),
            None => udp.clone(),
        };
        connecting.udp.begin(udp);
        connecting.tcp.begin(tcp);
        self.launch(now, shared, out);
    }

    pub(super) fn handle_resolved(
        &mut self,
        now: Now,
        shared: &mut Shared,
        host: &HostPort,
        addrs: &[SocketAddr],
        out: &mut Out,
    ) {
        if self.connecting.round.is_none() || !self.connecting.attempts.is_empty() {
            return;
        }
        if *host == self.spec.addr {
            self.connecting.udp.set(addrs);
        }
        if *host == *self.spec.tcp.as_ref().unwrap_or(&self.spec.addr) {
            self.connecting.tcp.set(addrs);
        }
        self.launch(now, shared, out);
    }

    /// Begins the attempts once every address is known.
    fn launch(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let connecting = &mut self.connecting;
        let Connecting { udp, tcp, .. } = &*connecting;
        if !udp.are_known() || !tcp.are_known() {
            return;
        }
        let use_udp = shared.carriers != Carriers::Tcp && !udp.all().is_empty();
        let use_tcp = shared.carriers != Carriers::Udp && !tcp.all().is_empty();
        if !use_udp && !use_tcp {
            self.tell_unreached(Unreached::NoSuchHost, out);
            return self.connecting.back_off(now.tick, &mut shared.rng);
        }
        if use_udp {
            connecting.attempts.push(Attempt::new(Carrier::Udp, udp.in_turn(), now.tick));
        }
        if !use_tcp {
            self.close_beside(shared, out);
        } else if let Some((conn, open)) = self.take_beside() {
            self.connecting.tcp.take(self.choice.beside_failures());
            let addr = self.connecting.tcp.at(0).into_iter().collect();
            let attempt = Attempt::new(Carrier::Tcp, addr, now.tick);
            let attempt = if open { attempt.on(conn) } else { attempt.connecting(conn) };
            self.connecting.attempts.push(attempt);
            self.plan_next_addr(now.tick);
        } else if use_udp && !self.choice.udp_failed {
            self.connecting.tcp_at = Some(now.tick + TCP_CONNECT_AFTER);
        } else {
            self.open_tcp(now.tick, shared, out);
        }
        self.drive_attempts(now, shared, out);
    }

    fn open_tcp(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        if self.connecting.dial_waits.is_none() && self.is_its_dial_turn(shared) {
            self.begin_tcp(now, shared, out);
        }
    }

    pub(super) fn begin_tcp(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let Some(addr) = self.connecting.tcp.next() else { return };
        let conn = self.dial(shared, addr, out);
        self.note_trial(now, conn, shared);
        self.connecting.attempts.push(Attempt::new(Carrier::Tcp, vec![addr], now).connecting(conn));
        self.plan_next_addr(now);
    }

    /// The next address has its turn, if there is another, though the present one may yet answer.
    fn plan_next_addr(&mut self, now: Tick) {
        let more = self.connecting.tcp.has_more();
        self.connecting.tcp_at = more.then(|| now + NEXT_ADDR_AFTER);
    }

    pub(super) fn dial(&self, shared: &mut Shared, addr: SocketAddr, out: &mut Out) -> ConnId {
        shared.next_conn += 1;
        let conn = ConnId(shared.next_conn);
        shared.conns.insert(conn, self.spec.addr.clone());
        out.effects.push(Effect::OpenTcp(conn, addr));
        conn
    }

    pub(super) fn handle_opened(&mut self, now: Now, shared: &mut Shared, conn: ConnId, out: &mut Out) {
        if self.beside_opened(conn) {
            return;
        }
        if let Some(attempt) = self.connecting.attempts.iter_mut().find(|a| a.conn() == Some(conn)) {
            attempt.enter(now.tick, Stage::Ready);
            shared.pace.dials.advance(now.tick, conn);
        }
        self.drive_attempts(now, shared, out);
    }

    pub(super) fn handle_path_closed(
        &mut self,
        now: Now,
        shared: &mut Shared,
        conn: ConnId,
        why: Why,
        out: &mut Out,
    ) {
        shared.conns.remove(&conn);
        shared.pace.dials.end(conn);
        self.beside_closed(now.tick, conn);
        if let Some(peer) = &mut self.peer {
            let had_path = peer.path().is_some();
            peer.handle_path_closed(now.tick, Path::Tcp(conn));
            if had_path && peer.path().is_none() {
                self.connecting.loss_backoff.lost(now.tick, &mut shared.rng);
            }
        }
        if let Some(place) = self.connecting.attempts.iter().position(|a| a.conn() == Some(conn)) {
            self.handle_attempt_closed(now, shared, place, why, out);
        }
        if !self.stopped {
            self.pursue(now, shared, out);
        }
    }

    fn handle_attempt_closed(
        &mut self,
        now: Now,
        shared: &mut Shared,
        place: usize,
        why: Why,
        out: &mut Out,
    ) {
        let attempt = self.connecting.attempts.remove(place);
        self.free_attempt(now.tick, shared, &attempt);
        let is_rekey = self.connecting.round == Some(Round::Rekey);
        if self.connecting.tcp.has_more() && !is_rekey {
            self.connecting.tcp_at = Some(now.tick);
            return;
        }
        if self.connecting.attempts.iter().any(|other| other.carrier == Carrier::Tcp) {
            return;
        }
        if why == Why::Refused {
            if shared.carriers == Carriers::Tcp {
                self.tell_unreached(Unreached::NoTcpListener, out);
            } else {
                self.connecting.hasten_silence(now.tick);
            }
        }
        if !self.connecting.attempts.is_empty() && !is_rekey {
            let again = now.tick + pause(TCP_AGAIN_AFTER, &mut shared.rng);
            self.connecting.tcp_at.get_or_insert(again);
        }
        self.end_failed_round(now.tick, shared, out);
    }

    /// Takes each attempt as far as it can go now.
    pub(super) fn drive_attempts(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let mut place = 0;
        while place < self.connecting.attempts.len() {
            self.make_ready(now, shared, place, out);
            let attempt = &mut self.connecting.attempts[place];
            match attempt.step(now.tick, &mut shared.rng) {
                Step::Wait => place += 1,
                Step::Send(path) => {
                    if attempt.doubts_key()
                        && let Stage::Shaking(_, check) = &mut attempt.stage
                    {
                        *check = Some(KeyQuery::new(path.carrier(), &mut shared.rng));
                    }
                    attempt.send(path, out);
                }
                Step::GiveUp => {
                    let attempt = self.connecting.attempts.remove(place);
                    self.free_attempt(now.tick, shared, &attempt);
                    if let Some(conn) = attempt.conn().filter(|_| self.connecting.round != Some(Round::Rekey))
                    {
                        close_conn(shared, conn, out);
                    }
                    self.end_failed_round(now.tick, shared, out);
                }
            }
        }
    }

    pub(super) fn cancel_attempts(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let in_use = match self.peer.as_ref().and_then(Peer::path) {
            Some(Path::Tcp(conn)) => Some(conn),
            _ => None,
        };
        self.cancel_attempts_but(now, shared, in_use, out);
    }

    fn cancel_attempts_but(&mut self, now: Tick, shared: &mut Shared, kept: Option<ConnId>, out: &mut Out) {
        for attempt in std::mem::take(&mut self.connecting.attempts) {
            self.free_attempt(now, shared, &attempt);
            if let Some(conn) = attempt.conn().filter(|conn| Some(*conn) != kept) {
                close_conn(shared, conn, out);
            }
        }
    }

    fn free_attempt(&self, now: Tick, shared: &mut Shared, attempt: &Attempt) {
        if let Stage::Shaking(initiator, _) = &attempt.stage {
            shared.indexes.free(now, Duration::from_secs(3), initiator.local_index());
        }
    }

    fn end_failed_round(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let waits = self.connecting.tcp_at.is_some() || self.connecting.dial_waits.is_some();
        let more = !self.connecting.attempts.is_empty() || waits;
        if more || self.connecting.round.is_none() {
            return;
        }
        self.forget_unproven_key();
        if self.connecting.round != Some(Round::Rekey) {
            self.connecting.udp.handle_failed_round();
            self.connecting.tcp.handle_failed_round();
            self.tell_unreached(Unreached::Silent, out);
        }
        self.connecting.back_off(now, &mut shared.rng);
    }

    /// Tells once that the relay is not reached, or no longer.
    fn tell_unreached(&mut self, why: Unreached, out: &mut Out) {
        let relay = self.spec.addr.clone();
        let loud = why.is_other_key();
        match self.told {
            Told::Online if !loud => out.show(Event::Lost { relay }),
            Told::Nothing | Told::Online => out.show(Event::Unreached { relay, why }),
            Told::Away if loud && !self.connecting.told_key_changed => {
                out.show(Event::Unreached { relay, why })
            }
            Told::Away => {}
        }
        self.connecting.told_key_changed |= loud;
        self.told = Told::Away;
    }
}

/// The addresses of a host: at once if it is an address itself, otherwise they are asked for.
fn look_up(host: &HostPort, out: &mut Out) -> Option<Vec<SocketAddr>> {
    let known = host.as_socket_addr().map(|addr| vec![addr]);
    if known.is_none() {
        out.effects.push(Effect::LookUp(host.clone()));
    }
    known
}
