//! Floor 3: the other end, as both cores see it: one session's keys and paths composed with one link.
//!
//! `session` and `link` never meet elsewhere. A packet is opened by the keyring, read by the link, and noted by the
//! paths; what the link builds is sealed by the keyring and leaves on the path the paths name, within what an unproven
//! path may be sent. Challenges and their answers are packets of their own, small and never padded.
//!
//! It must not know: members, letters, handshakes, who chooses a carrier and why.
//!
//! Invariant: every packet that leaves has a number never used before and was paid for on its path.

mod rest;

pub use rest::Resting;

use std::time::Duration;

use crate::base::{Carrier, Outputs, Path, Rng, Seldom, Tick, blank};
use crate::link::{Full, Link, Other, Params, Violation};
use crate::session::{Direction, Keyring, Keys, Lifetime, Moved, Paths, SEALED_OVERHEAD, SessionId};
use crate::wire::frame::{Frame, Probe, StreamId};
use crate::wire::limits::{DATA_HEADER_LEN, UDP_PACKET_MAX};
use crate::wire::packet::RESET_TOKEN_LEN;

/// The least room worth building a packet for: an ack and a short letter's piece.
const ROOM_MIN: usize = 64;
/// Answers to probes that wait for the turn's end; a newer one takes the place of the oldest. Proofs need three at once.
const PROBES_OWED_MAX: usize = 4;
/// What a record on TCP adds to its packet.
const RECORD_HEAD_LEN: usize = 2;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Chooses the path, keeps idle sessions alive, begins new handshakes.
    Client,
    /// Follows the client, and seals nothing before the client's first packet.
    Relay,
}

/// What a session begins with.
pub struct Begin {
    /// Which end we are.
    pub role: Role,
    /// Where the handshake went.
    pub path: Path,
    /// What the handshake gave.
    pub keys: Keys,
    /// The session's name, for a later handshake that continues it.
    pub id: SessionId,
    /// The handshake's round trip, if it was measured.
    pub rtt: Option<Duration>,
    /// When keys are renewed.
    pub lifetime: Lifetime,
    /// For challenges and keep-alives.
    pub rng: Rng,
}

/// What became of a data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is not authentic, or a replay; nothing has changed.
    Dropped,
    /// It was taken in.
    Taken,
    /// The other end has ended the session with this code ([`crate::wire::frame::close`]).
    Closed(u16),
    /// The other end broke the protocol; the session is to be closed.
    Broken(Violation),
}

/// Probe time-outs that old keys and freed indexes live on.
const LINGER_PTOS: u32 = 3;

/// An answer to a probe that is to leave.
#[derive(Clone, Copy, Debug)]
struct Owed {
    path: Path,
    id: [u8; 8],
    /// The bytes of the frame it answers, and of its own.
    len: usize,
}

/// A session that has ended here; the other end is told at once, and again as it goes on talking.
struct Closing {
    code: u16,
    reason: &'static str,
    /// Packets that came since.
    heard: u32,
    owed: bool,
}

impl Closing {
    /// After the first, second, fourth, eighth… packet, since whoever sends many would be sent as many (RFC 9000
    /// section 10.2.1).
    fn handle_packet(&mut self) {
        self.heard = self.heard.saturating_add(1);
        self.owed |= self.heard.is_power_of_two();
    }
}

/// The other end of one session.
pub struct Peer {
    id: SessionId,
    role: Role,
    keyring: Keyring,
    paths: Paths,
    link: Link,
    /// Bytes a TCP path has not sent yet, as far as is known.
    tcp_unsent: usize,
    aside: Seldom<Aside>,
}

/// What few ends have to do beside a conversation.
struct Aside {
    closing: Option<Closing>,
    /// At most [`PROBES_OWED_MAX`], the newest last.
    probes_owed: Vec<Owed>,
    /// Answers to our own probes; at most [`PROBES_OWED_MAX`], the newest last.
    answers: Vec<(Path, [u8; 8])>,
    /// Reused: a frame that travels alone.
    apart: Vec<u8>,
}

impl Aside {
    const NOTHING: Aside =
        Aside { closing: None, probes_owed: Vec::new(), answers: Vec::new(), apart: Vec::new() };

    fn is_nothing(&self) -> bool {
        self.closing.is_none() && self.probes_owed.is_empty() && self.answers.is_empty()
    }
}

blank!(Aside, Aside::NOTHING, Aside::is_nothing);

impl Peer {
    /// A session whose handshake has just been made.
    pub fn new(now: Tick, mut begin: Begin) -> Peer {
        let is_client = begin.role == Role::Client;
        let direction = if is_client { Direction::Lead } else { Direction::Follow };
        let keyring = match begin.role {
            Role::Client => Keyring::new(now, begin.keys, begin.lifetime),
            Role::Relay => Keyring::waiting(begin.keys, begin.lifetime),
        };
        let params = Params { initial_rtt: begin.rtt, is_client, jitter: begin.rng.next_u32() };
        Peer {
            id: begin.id,
            role: begin.role,
            keyring,
            paths: Paths::new(now, begin.path, true, direction, begin.rng),
            link: Link::new(begin.path, now, params),
            tcp_unsent: 0,
            aside: Seldom::default(),
        }
    }

    /// The session's name.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether a packet of the other end has been opened, so that it is there and not a replay of it.
    pub fn is_confirmed(&self) -> bool {
        self.keyring.highest_opened().is_some()
    }

    /// Where packets leave; none if every path is gone.
    pub const fn path(&self) -> Option<Path> {
        self.paths.current()
    }

    /// The path that packets leave on, if the other end has shown that it is there, and the index that its packets come
    /// under.
    pub fn proven_at(&self) -> Option<(Path, u32)> {
        let (path, keys) = (self.path()?, self.keyring.sealing_keys()?);
        self.paths.is_proven(path).then_some((path, keys.local_index))
    }

    /// The link, to be looked at.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Bytes of message that `stream` would take now.
    pub fn room(&self, stream: StreamId) -> usize {
        self.link.room(stream)
    }

    /// Whether the keys in use are to be renewed.
    pub fn needs_rekey(&self, now: Tick) -> bool {
        self.keyring.needs_rekey(now)
    }

    /// Three probe time-outs: how long old keys open late packets, and freed indexes rest.
    pub fn linger(&self) -> Duration {
        self.link.pto() * LINGER_PTOS
    }

    /// Queues one whole message, given in parts.
    ///
    /// # Errors
    /// [`Full`] if it is longer than [`Peer::room`]; nothing was queued.
    pub fn send(&mut self, stream: StreamId, parts: &[&[u8]]) -> Result<(), Full> {
        self.link.send(stream, parts)
    }

    /// Whether a whole message of a stream waits.
    pub fn has_message(&self, stream: StreamId) -> bool {
        self.link.has_message(stream)
    }

    /// The next whole message of a stream, in place of what `into` held.
    pub fn receive(&mut self, stream: StreamId, into: &mut Vec<u8>) -> bool {
        self.link.receive(stream, into)
    }

    /// Sends a PING soon; [`Peer::take_pong`] has its round trip.
    pub fn ping(&mut self) {
        self.link.ping();
    }

    /// The round trip of a PING, once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.link.take_pong()
    }

    /// Asks for an answer on `path`, whichever is in use: a packet as long as any on UDP, a short one on TCP. It moves no
    /// conversation and nobody waits for its loss; [`Peer::take_probe_answer`] has the answer.
    pub fn probe<R, E>(&mut self, now: Tick, path: Path, id: [u8; 8], out: &mut Outputs<R, E>) {
        let len = match path.carrier() {
            Carrier::Udp => UDP_PACKET_MAX - SEALED_OVERHEAD,
            Carrier::Tcp => 0,
        };
        if self.keyring.can_seal() {
            self.send_apart(now, path, &Frame::Probe(Probe::of_len(id, len)), out);
        }
    }

    /// A probe of `path` was answered after so long; it tells as much as an ack, if packets leave there. RFC 9002 §6.2.2
    /// would not take it for a sample, because an answer may wait or come another way; ours leave with the turn, where the probe
    /// came.
    pub fn handle_round_trip(&mut self, now: Tick, path: Path, rtt: Duration) {
        if self.path() == Some(path) {
            self.link.handle_round_trip(now, rtt);
        }
    }

    /// What has come answers what was first sent so long ago, as [`Link::handle_round_trip_bound`].
    pub fn handle_round_trip_bound(&mut self, now: Tick, bound: Duration) {
        self.link.handle_round_trip_bound(now, bound);
    }

    /// Which probe was answered, and where the answer came; ask until there is none.
    pub fn take_probe_answer(&mut self) -> Option<(Path, [u8; 8])> {
        self.aside.there()?.answers.pop()
    }

    /// Makes itself heard on the present path soon, so that the other end follows there, or notices that it is dead.
    pub fn poke(&mut self) {
        self.link.poke();
    }

    /// The machine slept: little leaves at once.
    pub fn handle_woken(&mut self, now: Tick) {
        self.link.handle_woken(now);
    }

    /// The present path was tested and found good.
    pub fn forgive(&mut self) {
        self.link.forgive();
    }

    /// Whether a RESET of `index` with `token` is the other end's word that it has lost this session.
    pub fn is_reset(&self, index: u32, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.keyring.is_reset(index, token)
    }

    /// New keys for the same session: the client's to be used at once, the relay's when the client has.
    pub fn renew(&mut self, now: Tick, keys: Keys) {
        match self.role {
            Role::Client => self.keyring.switch(now, keys),
            Role::Relay => self.keyring.wait_for(keys),
        }
    }

    /// The newest handshake that is not confirmed, by its counter; if there is one.
    pub fn newest_waiting(&self) -> Option<u64> {
        self.keyring.newest_waiting()
    }

    /// Whether a handshake with this counter comes too late for [`Peer::renew`].
    pub fn is_too_late(&self, handshake: u64) -> bool {
        self.keyring.is_too_late(handshake)
    }

    /// The counter of a handshake that the other end has just confirmed, once; to be asked for
    /// after each packet.
    pub fn take_confirmed(&mut self) -> Option<u64> {
        self.keyring.take_confirmed()
    }

    /// Records that the newest handshake was answered on this validated path too.
    pub fn handle_shaken_elsewhere(&mut self, path: Path) {
        self.paths.handle_shaken_elsewhere(path, self.is_confirmed());
    }

    /// The handshake that [`Peer::take_confirmed`] has named was confirmed by the packet that came last.
    pub fn handle_confirmed(&mut self, now: Tick) {
        let moved = self.paths.handle_confirmed(now);
        self.follow(now, moved);
    }

    /// The client's choice: everything leaves on `path` from now on. If it was silent and has just answered, what is
    /// unacknowledged goes again at once: after many probes the next one may be seconds away.
    pub fn select(&mut self, now: Tick, path: Path) {
        let moved = self.paths.select(now, path);
        self.follow(now, moved);
        if moved.is_none() && self.link.pto_count() > 0 {
            self.link.path_lost(path);
            self.link.move_to(path, now);
        }
    }

    /// Gives the client, which has signed in, the credit of every stream in full.
    pub fn welcome(&mut self) {
        self.link.give_credit();
    }

    /// As [`Link::with_full_credit`]; for a session in which nothing was said yet.
    pub fn with_full_credit(self) -> Peer {
        Peer { link: self.link.with_full_credit(), ..self }
    }

    /// As [`Link::set_gapped_max`].
    pub fn set_gapped_max(&mut self, max: usize) {
        self.link.set_gapped_max(max);
    }

    /// Tells the other end with the next flush that the session has ended, and again in answer to what still comes;
    /// nothing else leaves, and nothing that was said is kept.
    pub fn close(&mut self, code: u16, reason: &'static str) {
        self.link.shut();
        self.aside.closing = Some(Closing { code, reason, heard: 0, owed: true });
    }

    /// An index that leads here no longer; ask until there is none.
    pub fn next_freed(&mut self) -> Option<u32> {
        self.keyring.next_freed()
    }

    /// Every index that leads here.
    pub fn local_indexes(&self) -> impl Iterator<Item = u32> {
        self.keyring.local_indexes()
    }

    /// Takes in one data packet.
    pub fn handle_packet(&mut self, now: Tick, path: Path, bytes: &mut [u8]) -> Heard {
        let (len, link) = (bytes.len(), &self.link);
        let linger = || link.pto() * LINGER_PTOS;
        let Ok(opened) = self.keyring.open(now, linger, path.carrier(), bytes) else { return Heard::Dropped };
        if let Some(Aside { closing: Some(closing), .. }) = self.aside.there() {
            closing.handle_packet();
        }
        let (mut challenge, mut response, mut closed) = (None, None, None);
        let (mut probe, mut answer) = (None, None);
        let seen =
            self.link.handle_packet(now, path, opened.number, opened.plain, &mut |other| match other {
                Other::PathChallenge(data) => challenge = Some(data),
                Other::PathResponse(data) => response = Some(data),
                Other::Probe { id, len } => probe = Some(Owed { path, id, len }),
                Other::ProbeAnswer(id) => answer = Some((path, id)),
                Other::Close { code, .. } => closed = Some(code),
            });
        let seen = match seen {
            Ok(seen) => seen,
            Err(violation) => return Heard::Broken(violation),
        };
        let (packet, link) = ((path, opened.number, len), &self.link);
        let moved = self.paths.handle_received(now, packet, seen.non_probing, || link.pto());
        self.follow(now, moved);
        if let Some(data) = challenge {
            self.handle_challenge(path, data);
        }
        if let Some(data) = response {
            let moved = self.paths.handle_response(now, data);
            self.follow(now, moved);
        }
        if probe.is_some() || answer.is_some() {
            keep_newest(&mut self.aside.probes_owed, probe);
            keep_newest(&mut self.aside.answers, answer);
        }
        closed.map_or(Heard::Taken, Heard::Closed)
    }

    fn handle_challenge(&mut self, path: Path, data: [u8; 8]) {
        self.paths.handle_challenge(path, data);
        if self.role == Role::Client && self.path() == Some(path) {
            // A third party may have sent a copy of our packet first, which moved the relay's path. A new
            // packet of ours moves it back (RFC 9000 §9.3.3).
            self.link.poke();
        }
    }

    /// A path is gone.
    pub fn handle_path_closed(&mut self, now: Tick, path: Path) {
        let moved = self.paths.close(path);
        self.link.path_lost(path);
        self.follow(now, moved);
    }

    /// A TCP path still has so many bytes to send.
    pub fn handle_unsent(&mut self, now: Tick, path: Path, bytes: usize) {
        if self.path() == Some(path) {
            // An empty queue may only mean that the system has taken it; one that shrinks is on its way.
            if bytes > 0 && bytes < self.tcp_unsent {
                self.link.handle_moving(now);
            }
            self.tcp_unsent = bytes;
        }
    }

    /// Lets time pass.
    pub fn handle_time(&mut self, now: Tick) {
        self.link.handle_time(now);
        self.keyring.handle_time(now);
        let moved = self.paths.handle_time(now);
        self.follow(now, moved);
    }

    /// When time alone would make it act; later than the last [`Peer::handle_time`] and [`Peer::flush`].
    pub fn next_deadline(&self, now: Tick) -> Option<Tick> {
        Tick::earliest([
            self.link.next_deadline(),
            self.keyring.next_deadline(now),
            self.paths.next_deadline(),
        ])
    }

    /// Seals everything that may leave now into as few packets as it fits.
    pub fn flush<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        if !self.keyring.can_seal() {
            return;
        }
        if self.aside.closing.is_some() {
            return self.send_close(now, out);
        }
        if self.paths.owe_anything() || !self.aside.probes_owed.is_empty() {
            self.flush_apart(now, out);
        }
        while let Some(path) = self.path().filter(|_| !self.link.is_silent()) {
            if self.send_next(now, path, out) {
                continue;
            }
            let moved = self.paths.handle_stuck(now, ROOM_MIN + SEALED_OVERHEAD);
            if moved.is_none() {
                break;
            }
            self.follow(now, moved);
        }
    }

    /// Seals what travels in packets of its own: answers and challenges.
    fn flush_apart<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        while let Some((path, data)) = self.paths.response_due() {
            self.send_apart(now, path, &Frame::PathResponse(data), out);
        }
        while let Some(owed) = self.aside.probes_owed.first().copied() {
            self.aside.probes_owed.remove(0);
            if self.paths.allowance(owed.path) >= owed.len + SEALED_OVERHEAD {
                let answer = Frame::ProbeAnswer(Probe::of_len(owed.id, owed.len));
                self.send_apart(now, owed.path, &answer, out);
            }
        }
        while let Some((path, data)) = self.paths.challenge_due(now) {
            self.send_apart(now, path, &Frame::PathChallenge(data), out);
        }
    }

    fn send_next<R, E>(&mut self, now: Tick, path: Path, out: &mut Outputs<R, E>) -> bool {
        let largest = self.link.packet_max();
        let Some(room) = largest.min(self.paths.allowance(path)).checked_sub(SEALED_OVERHEAD) else {
            return false;
        };
        if room < ROOM_MIN {
            return false;
        }
        let (link, keyring, unsent) = (&mut self.link, &mut self.keyring, self.tcp_unsent);
        let mut len = 0;
        out.send_with(path, |buf| {
            let start = buf.len();
            buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
            match link.build(now, room, unsent, &[], buf) {
                Some(built) => keyring.seal(built.number, buf, start),
                None => buf.truncate(start),
            }
            len = buf.len() - start;
        });
        self.note_sent(path, len);
        len > 0
    }

    /// Sends a CLOSE alone, if one is owed, whatever else waits. What an unproven path may not be sent stays owed until more
    /// has come there.
    fn send_close<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        let Some(path) = self.path() else { return };
        let Aside { closing, apart, .. } = &mut *self.aside;
        let Some(closing) = closing.as_mut().filter(|closing| closing.owed) else { return };
        let frame = Frame::Close { code: closing.code, reason: closing.reason };
        apart.clear();
        frame.encode(apart);
        if self.paths.last_allowance(path) < apart.len() + SEALED_OVERHEAD {
            return;
        }
        closing.owed = false;
        let (link, keyring, close) = (&mut self.link, &mut self.keyring, &*apart);
        let mut sent = 0;
        out.send_with(path, |buf| {
            let start = buf.len();
            buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
            match link.build(now, close.len(), 0, close, buf) {
                Some(built) => keyring.seal(built.number, buf, start),
                None => buf.truncate(start),
            }
            sent = buf.len() - start;
        });
        self.note_sent(path, sent);
    }

    /// Sends one probing frame in a packet of its own.
    fn send_apart<R, E>(&mut self, now: Tick, path: Path, frame: &Frame<'_>, out: &mut Outputs<R, E>) {
        let apart = &mut self.aside.apart;
        apart.clear();
        frame.encode(apart);
        let (link, keyring, frames) = (&mut self.link, &mut self.keyring, &*apart);
        let mut sent = 0;
        out.send_with(path, |buf| {
            let start = buf.len();
            buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
            let built = link.build_elsewhere(now, frames, buf);
            keyring.seal(built.number, buf, start);
            sent = buf.len() - start;
        });
        self.note_sent(path, sent);
    }

    fn note_sent(&mut self, path: Path, len: usize) {
        if len > 0 {
            self.paths.note_sent(path, len);
            if let Path::Tcp(_) = path {
                self.tcp_unsent += len + RECORD_HEAD_LEN;
            }
        }
    }

    fn follow(&mut self, now: Tick, moved: Option<Moved>) {
        if let Some(moved) = moved {
            self.tcp_unsent = 0;
            self.link.move_to(moved.to, now);
        }
    }
}

/// Appends to a bounded list; at the bound the oldest goes.
fn keep_newest<T>(list: &mut Vec<T>, new: Option<T>) {
    let Some(new) = new else { return };
    if list.len() == PROBES_OWED_MAX {
        list.remove(0);
    }
    list.push(new);
}

#[cfg(test)]
mod tests;
