//! First handshake messages: checked on arrival and opened at the end of the turn, after the
//! packets of sessions.

use std::net::SocketAddr;
use std::ops::Range;

use crate::base::{Now, Path, Tick};
use crate::peer::{Begin, Peer, Role};
use crate::relay::limits::PENDING_MAX;
use crate::relay::{Out, Relay, Timer};
use crate::session::{FORGED_COST_US, GRANTED_COST_US, Lifetime, Offer, SessionId, Source, Verdict, Welcome};

use super::{Session, Sessions, Slot};

/// Bytes of first messages that wait for the end of the turn; a message without space is opened
/// immediately. The budget admits 28 at once, each of 1,200 bytes over UDP and at most 16 KiB over
/// TCP.
const ARRIVALS_BYTES_MAX: usize = 256 * 1024;

/// First messages admitted in this turn. Two reused buffers.
#[derive(Debug, Default)]
pub(in crate::relay) struct Arrivals {
    bytes: Vec<u8>,
    waiting: Vec<(Path, Source, Range<usize>)>,
}

impl Arrivals {
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
    fn too_late_for(&self, offer: &Offer) -> Option<u64> {
        let pending = || self.pending_of(offer).map(|(handshake, _)| handshake);
        let counter = offer.hello.counter;
        let is_full = pending().count() >= PENDING_MAX;
        let is_late =
            pending().any(|other| other == counter) || is_full && pending().all(|other| other > counter);
        pending().max().filter(|_| is_late)
    }

    /// Returns the unconfirmed session of this key with the oldest handshake, if the key has the
    /// maximum number.
    fn crowded_out(&self, offer: &Offer) -> Option<Slot> {
        let oldest = self.pending_of(offer).min_by_key(|(handshake, _)| *handshake);
        oldest.filter(|_| self.pending_of(offer).count() >= PENDING_MAX).map(|(_, slot)| slot)
    }

    /// Returns the unconfirmed sessions of an identity, with the counters of their handshakes.
    fn pending_of(&self, offer: &Offer) -> impl Iterator<Item = (u64, Slot)> + '_ {
        let unconfirmed = |slot: Slot| self.awake(slot).filter(|session| !session.peer.is_confirmed());
        let handshake = move |slot| Some((unconfirmed(slot)?.peer.newest_waiting()?, slot));
        self.of_key(offer.client).filter_map(handshake)
    }
}

impl Relay {
    pub(super) fn handle_init(&mut self, now: Now, path: Path, bytes: &[u8], out: &mut Out) {
        let Some(source) = self.source_of(path) else { return };
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        let verdict = self.responder.check_init(now.tick, path, source, bytes, &mut answer);
        match verdict {
            Verdict::Admitted(source) if !self.arrivals.keep(path, source, bytes) => {
                self.open_init(now, path, source, bytes, &mut answer, out);
            }
            Verdict::Cookie => self.stats.cookies += 1,
            Verdict::Elsewhere(index) => self.shaken_elsewhere(path, index),
            Verdict::Drop(_) => self.drop_packet(now.tick, path, out),
            _ => {}
        }
        self.send_answer(now.tick, path, &answer, out);
        self.answer = answer;
    }

    /// Handles a copy of an answered handshake that arrived on another path. `index` was returned
    /// in the answer.
    fn shaken_elsewhere(&mut self, path: Path, index: u32) {
        let slot = self.sessions.indexes.get(index).copied();
        if let Some(session) = slot.and_then(|slot| self.sessions.get_mut(slot)) {
            session.peer.handle_shaken_elsewhere(path);
        }
    }

    /// Opens the messages admitted in this turn.
    pub(in crate::relay) fn open_arrivals(&mut self, now: Now, out: &mut Out) {
        if self.arrivals.waiting.is_empty() {
            return;
        }
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let mut answer = std::mem::take(&mut self.answer);
        for (path, source, range) in arrivals.waiting.drain(..) {
            // The connection may have been closed since.
            if self.source_of(path).is_some() {
                answer.clear();
                self.open_init(now, path, source, &arrivals.bytes[range], &mut answer, out);
                self.send_answer(now.tick, path, &answer, out);
            }
        }
        arrivals.bytes.clear();
        self.arrivals = arrivals;
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
        let verdict = self.responder.open_init(now.tick, path, source, bytes, answer);
        let cost = match &verdict {
            Verdict::Offer(_) | Verdict::Stale(_) => GRANTED_COST_US,
            Verdict::Drop(why) if why.is_late() => FORGED_COST_US,
            _ => 0,
        };
        self.stats.curve_work += u64::from(cost > 0);
        self.stats.curve_us += u64::from(cost);
        match verdict {
            Verdict::Offer(offer) => self.grant(now, offer, answer),
            Verdict::Cookie => self.stats.cookies += 1,
            Verdict::Elsewhere(index) => self.shaken_elsewhere(path, index),
            Verdict::Drop(_) => self.drop_packet(now.tick, path, out),
            _ => {}
        }
    }

    fn grant(&mut self, now: Now, offer: Box<Offer>, answer: &mut Vec<u8>) {
        let member = self.members.knows(&offer.client);
        if member {
            self.responder.note_known(now.tick, &offer);
        }
        let continues = offer.hello.continues.and_then(|id| self.sessions.find(&offer.client, id));
        if let Some(slot) = continues {
            return self.grant_continued(now.tick, slot, offer, answer);
        }
        if let Some(newest) = self.sessions.too_late_for(&offer) {
            return self.responder.refuse(now.tick, offer, newest, answer);
        }
        self.stats.handshakes += 1;
        let crowded_out = [self.pending_on(offer.path), self.sessions.crowded_out(&offer)];
        for oldest in crowded_out.into_iter().flatten() {
            self.forget_session(now.tick, oldest);
        }
        if let Some(oldest) = self.sessions.closed_out(&offer.client) {
            self.forget_session(now.tick, oldest);
        }
        while let Some(oldest) = self.sessions.pushed_out() {
            self.forget_session(now.tick, oldest);
        }
        if self.sessions.slab.len() >= self.sessions.len_max {
            self.stats.dropped += 1;
            return;
        }
        let slot = Slot(self.sessions.slab.vacant_key());
        let Some(index) = self.sessions.indexes.allocate(&mut self.rng, slot) else { return };
        let key = offer.client;
        let path = offer.path;
        let id = SessionId::random(&mut self.rng);
        let welcome = Welcome { session: id, continued: false, member };
        let keys = self.responder.accept(now.tick, offer, index, &welcome, answer);
        let rng = self.rng.fork();
        let begin =
            Begin { role: Role::Relay, path, keys, id, rtt: None, lifetime: Lifetime::default(), rng };
        let peer = Peer::new(now.tick, begin);
        let peer = if member { peer.with_full_credit() } else { peer };
        let mut session = Session::new(peer, key, self.sessions.next_serial, now.tick);
        self.deadlines.set(Timer::Session(slot), session.deadline(now.tick), &mut session.scheduled);
        self.note_pending(path, slot, session.serial);
        self.sessions.next_serial += 1;
        self.sessions.insert(session);
    }

    fn grant_continued(&mut self, now: Tick, slot: Slot, offer: Box<Offer>, answer: &mut Vec<u8>) {
        let late = self.sessions.awake(slot).filter(|session| session.peer.is_too_late(offer.hello.counter));
        if let Some(newest) = late.and_then(|session| session.peer.newest_waiting()) {
            return self.responder.refuse(now, offer, newest, answer);
        }
        self.stats.handshakes += 1;
        let Some(index) = self.sessions.indexes.allocate(&mut self.rng, slot) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let welcome = Welcome { session: session.peer.id(), continued: true, member: false };
        let keys = self.responder.accept(now, offer, index, &welcome, answer);
        session.peer.renew(now, keys);
        self.free_indexes(now, slot);
        self.stats.continued += 1;
    }
}
