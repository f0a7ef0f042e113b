//! First handshake messages: checked on arrival and opened at the end of the turn, after the
//! packets of sessions.

use std::net::SocketAddr;
use std::ops::Range;

use crate::base::{Now, Path, Tick};
use crate::peer::{Peer, PeerOptions, Role};
use crate::relay::limits::PENDING_MAX;
use crate::relay::{Out, Relay, Timer};
use crate::session::{
    FORGED_COST_US, GRANTED_COST_US, InitOutcome, Lifetime, PendingSession, SessionGrant, SessionId, Source,
};

use super::{Session, Sessions};
use crate::relay::ids::SessionSlot;

/// Bytes of first messages that wait for the end of the turn; a message without space is opened
/// immediately. The budget admits 28 at once, each of 1,200 bytes over UDP and at most 16 KiB over
/// TCP.
const ARRIVALS_BYTES_MAX: usize = 256 * 1024;

/// First messages admitted in this turn. Two reused buffers.
#[derive(Debug, Default)]
pub(in crate::relay) struct PendingInits {
    bytes: Vec<u8>,
    waiting: Vec<(Path, Source, Range<usize>)>,
}

impl PendingInits {
    /// Stores a copy. Returns whether there was space.
    fn keep(&mut self, path: Path, source: Source, bytes: &[u8]) -> bool {
        let start = self.bytes.len();
        if start + bytes.len() > ARRIVALS_BYTES_MAX {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        self.waiting.push((path, source, start..self.bytes.len()));
        true
    }
}

impl Sessions {
    /// Returns the newest unconfirmed handshake of this identity if this one comes too late. Its
    /// counter then repeats one of theirs, or is lower than all while the maximum number is
    /// pending.
    fn too_late_for(&self, pending_session: &PendingSession) -> Option<u64> {
        let pending = || self.pending_of(pending_session).map(|(handshake, _)| handshake);
        let counter = pending_session.payload.counter;
        let is_full = pending().count() >= PENDING_MAX;
        let is_late =
            pending().any(|other| other == counter) || is_full && pending().all(|other| other > counter);
        pending().max().filter(|_| is_late)
    }

    /// Returns the unconfirmed session of this key with the oldest handshake, if the key has the
    /// maximum number.
    fn session_to_evict(&self, pending_session: &PendingSession) -> Option<SessionSlot> {
        let oldest = self.pending_of(pending_session).min_by_key(|(handshake, _)| *handshake);
        oldest.filter(|_| self.pending_of(pending_session).count() >= PENDING_MAX).map(|(_, slot)| slot)
    }

    /// Returns the unconfirmed sessions of an identity, with the counters of their handshakes.
    fn pending_of(&self, pending_session: &PendingSession) -> impl Iterator<Item = (u64, SessionSlot)> + '_ {
        let unconfirmed =
            |slot: SessionSlot| self.active(slot).filter(|session| !session.peer.is_confirmed());
        let handshake = move |slot| Some((unconfirmed(slot)?.peer.newest_unconfirmed()?, slot));
        self.of_key(pending_session.client).filter_map(handshake)
    }
}

impl Relay {
    pub(super) fn handle_init(&mut self, now: Now, path: Path, bytes: &[u8], out: &mut Out) {
        let Some(source) = self.source_of(path) else { return };
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        let outcome = self.responder.check_init(now.tick, path, source, bytes, &mut answer);
        match outcome {
            InitOutcome::Admitted(source) if !self.pending_inits.keep(path, source, bytes) => {
                self.open_init(now, path, source, bytes, &mut answer, out);
            }
            InitOutcome::CookieSent => self.stats.cookies += 1,
            InitOutcome::RepeatedElsewhere(index) => self.handle_handshake_elsewhere(path, index),
            InitOutcome::Rejected(_) => self.drop_packet(now.tick, path, out),
            _ => {}
        }
        self.send_answer(now.tick, path, &answer, out);
        self.answer = answer;
    }

    /// Handles a copy of an answered handshake that arrived on another path. `index` was returned
    /// in the answer.
    fn handle_handshake_elsewhere(&mut self, path: Path, index: u32) {
        let slot = self.sessions.indexes.get(index).copied();
        if let Some(session) = slot.and_then(|slot| self.sessions.get_mut(slot)) {
            session.peer.handle_handshake_elsewhere(path);
        }
    }

    /// Opens the messages admitted in this turn.
    pub(in crate::relay) fn open_pending_inits(&mut self, now: Now, out: &mut Out) {
        if self.pending_inits.waiting.is_empty() {
            return;
        }
        let mut pending_inits = std::mem::take(&mut self.pending_inits);
        let mut answer = std::mem::take(&mut self.answer);
        for (path, source, range) in pending_inits.waiting.drain(..) {
            // The connection may have been closed since.
            if self.source_of(path).is_some() {
                answer.clear();
                self.open_init(now, path, source, &pending_inits.bytes[range], &mut answer, out);
                self.send_answer(now.tick, path, &answer, out);
            }
        }
        pending_inits.bytes.clear();
        self.pending_inits = pending_inits;
        self.answer = answer;
    }

    fn source_of(&self, path: Path) -> Option<SocketAddr> {
        match path {
            Path::Tcp(conn) => self.conns.remote(conn),
            _ => path.udp_peer(),
        }
    }

    fn send_answer(&mut self, now: Tick, path: Path, answer: &[u8], out: &mut Out) {
        if !answer.is_empty() {
            out.send(path, answer);
            if let Path::Tcp(conn) = path {
                self.note_handshake(now, conn);
            }
        }
    }

    fn open_init(
        &mut self,
        now: Now,
        path: Path,
        source: Source,
        bytes: &[u8],
        answer: &mut Vec<u8>,
        out: &mut Out,
    ) {
        let outcome = self.responder.open_init(now.tick, path, source, bytes, answer);
        let cost = match &outcome {
            InitOutcome::Pending(_) | InitOutcome::Stale(_) => GRANTED_COST_US,
            InitOutcome::Rejected(rejection) if rejection.was_opened() => FORGED_COST_US,
            _ => 0,
        };
        self.stats.curve_work += u64::from(cost > 0);
        self.stats.curve_us += u64::from(cost);
        match outcome {
            InitOutcome::Pending(pending_session) => self.grant(now, pending_session, answer),
            InitOutcome::CookieSent => self.stats.cookies += 1,
            InitOutcome::RepeatedElsewhere(index) => self.handle_handshake_elsewhere(path, index),
            InitOutcome::Rejected(_) => self.drop_packet(now.tick, path, out),
            _ => {}
        }
    }

    fn grant(&mut self, now: Now, pending_session: Box<PendingSession>, answer: &mut Vec<u8>) {
        let member = self.directory.members.knows(&pending_session.client);
        if member {
            self.responder.exempt_known_client(now.tick, &pending_session);
        }
        let continues =
            pending_session.payload.continues.and_then(|id| self.sessions.find(&pending_session.client, id));
        if let Some(slot) = continues {
            return self.grant_continued(now.tick, slot, pending_session, answer);
        }
        if let Some(newest) = self.sessions.too_late_for(&pending_session) {
            return self.responder.refuse(now.tick, pending_session, newest, answer);
        }
        self.stats.handshakes += 1;
        let session_to_evict =
            [self.pending_on(pending_session.path), self.sessions.session_to_evict(&pending_session)];
        for oldest in session_to_evict.into_iter().flatten() {
            self.forget_session(now.tick, oldest);
        }
        if let Some(oldest) = self.sessions.closing_to_evict(&pending_session.client) {
            self.forget_session(now.tick, oldest);
        }
        while let Some(oldest) = self.sessions.stranger_to_evict() {
            self.forget_session(now.tick, oldest);
        }
        if self.sessions.slab.len() >= self.sessions.len_max {
            self.stats.dropped += 1;
            return;
        }
        let slot = SessionSlot(self.sessions.slab.vacant_key());
        let Some(index) = self.sessions.indexes.allocate(&mut self.rng, slot) else { return };
        let key = pending_session.client;
        let path = pending_session.path;
        let id = SessionId::random(&mut self.rng);
        let welcome = SessionGrant { session: id, continued: false, member };
        let keys = self.responder.accept(now.tick, pending_session, index, &welcome, answer);
        let rng = self.rng.fork();
        let begin =
            PeerOptions { role: Role::Relay, path, keys, id, rtt: None, lifetime: Lifetime::default(), rng };
        let peer = Peer::new(now.tick, begin);
        let peer = if member { peer.with_full_credit() } else { peer };
        let mut session = Session::new(peer, key, self.sessions.next_serial, now.tick);
        self.deadlines.set(Timer::Session(slot), session.deadline(now.tick), &mut session.scheduled);
        self.note_pending(path, slot, session.serial);
        self.sessions.next_serial += 1;
        self.sessions.insert(session);
    }

    fn grant_continued(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        pending_session: Box<PendingSession>,
        answer: &mut Vec<u8>,
    ) {
        let late = self
            .sessions
            .active(slot)
            .filter(|session| session.peer.is_too_late(pending_session.payload.counter));
        if let Some(newest) = late.and_then(|session| session.peer.newest_unconfirmed()) {
            return self.responder.refuse(now, pending_session, newest, answer);
        }
        self.stats.handshakes += 1;
        let Some(index) = self.sessions.indexes.allocate(&mut self.rng, slot) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let welcome = SessionGrant { session: session.peer.id(), continued: true, member: false };
        let keys = self.responder.accept(now, pending_session, index, &welcome, answer);
        session.peer.renew(now, keys);
        self.free_indexes(now, slot);
        self.stats.continued += 1;
    }
}
