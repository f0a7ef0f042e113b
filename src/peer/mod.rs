//! One session as both cores see it: its keys and paths (`session`) with its streams (`link`).
//!
//! The keyring opens a packet, the link reads its frames, the paths record where it came from. A
//! packet that the link builds is sealed by the keyring and leaves on the current path. Challenges
//! and their responses are separate, short packets.
//!
//! Must not depend on: members, letters, handshakes, the reason for a carrier.
//!
//! Invariant: every packet has a number never used before, and fits the allowance of its path.

mod hibernate;

pub use hibernate::HibernatedOutcome;

use std::time::Duration;

use crate::base::{Carrier, LazyBox, Outputs, Path, Rng, Tick, empty_value};
use crate::link::{ExtraFrame, Link, Params, ProtocolViolation, StreamsFull};
use crate::session::{Keyring, Keys, Lifetime, PathChange, PathPolicy, PathSet, SEALED_OVERHEAD, SessionId};
use crate::wire::frame::{Frame, Probe, StreamId};
use crate::wire::limits::{DATA_HEADER_LEN, UDP_PACKET_MAX};
use crate::wire::packet::RESET_TOKEN_LEN;

/// Minimum space worth a packet, in bytes: an ack and part of a short letter.
const ROOM_MIN: usize = 64;
/// Maximum pending answers to probes: a path validation needs three. A newer replaces the oldest.
const PENDING_PROBE_REPLIES_MAX: usize = 4;
/// Bytes that a record on TCP adds to its packet.
const RECORD_HEAD_LEN: usize = 2;

/// The two ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Chooses the path, keeps idle sessions alive, begins new handshakes.
    Client,
    /// Follows the client, and seals nothing before the client's first packet.
    Relay,
}

/// Initial parameters of a session.
pub struct PeerOptions {
    /// Our end.
    pub role: Role,
    /// The path of the handshake.
    pub path: Path,
    /// The keys from the handshake.
    pub keys: Keys,
    /// The session's id, with which a later handshake continues it.
    pub id: SessionId,
    /// The handshake's round trip, if it was measured.
    pub rtt: Option<Duration>,
    /// When keys are renewed.
    pub lifetime: Lifetime,
    /// Random numbers for challenges and keep-alives.
    pub rng: Rng,
}

/// The result of a data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketOutcome {
    /// It is not authentic, or a replay. Nothing has changed.
    Dropped,
    /// It was accepted.
    Accepted,
    /// The other end has ended the session with this code ([`crate::wire::frame::close`]).
    Closed(u16),
    /// The other end broke the protocol. The session must be closed.
    Violated(ProtocolViolation),
}

/// Probe timeouts for which old keys and freed indexes are kept (RFC 9001 §6.5).
const LINGER_PTOS: u32 = 3;

/// A pending answer to a probe.
#[derive(Clone, Copy, Debug)]
struct PendingProbeReply {
    path: Path,
    id: [u8; 8],
    /// Length of the probe's frame and of the answer's, in bytes.
    len: usize,
}

/// A session that has ended here. The other end receives CLOSE at once, and again while it sends.
struct Closing {
    code: u16,
    reason: &'static str,
    /// Packets received since.
    packets_received: u32,
    pending: bool,
}

impl Closing {
    /// Repeats CLOSE after the first, second, fourth, eighth… packet, so that a flood does not get
    /// as many packets in return (RFC 9000 §10.2.1).
    fn handle_packet(&mut self) {
        self.packets_received = self.packets_received.saturating_add(1);
        self.pending |= self.packets_received.is_power_of_two();
    }
}

/// The other end of one session.
pub struct Peer {
    id: SessionId,
    role: Role,
    keyring: Keyring,
    paths: PathSet,
    link: Link,
    /// Bytes that a TCP path has not sent yet, as far as is known.
    tcp_unsent: usize,
    rare: LazyBox<RareState>,
}

/// State that few sessions need.
struct RareState {
    closing: Option<Closing>,
    /// At most [`PENDING_PROBE_REPLIES_MAX`], the newest last.
    pending_probe_replies: Vec<PendingProbeReply>,
    /// Answers to our probes; at most [`PENDING_PROBE_REPLIES_MAX`], the newest last.
    probe_answers: Vec<(Path, [u8; 8])>,
    /// Reused buffer for the frame of a separate packet.
    frame_buffer: Vec<u8>,
}

impl RareState {
    const EMPTY: RareState = RareState {
        closing: None,
        pending_probe_replies: Vec::new(),
        probe_answers: Vec::new(),
        frame_buffer: Vec::new(),
    };

    fn is_empty(&self) -> bool {
        self.closing.is_none() && self.pending_probe_replies.is_empty() && self.probe_answers.is_empty()
    }
}

empty_value!(RareState, RareState::EMPTY, RareState::is_empty);

impl Peer {
    /// Creates a session after its handshake.
    pub fn new(now: Tick, mut options: PeerOptions) -> Peer {
        let is_client = options.role == Role::Client;
        let direction = if is_client { PathPolicy::Lead } else { PathPolicy::Follow };
        let keyring = match options.role {
            Role::Client => Keyring::new(now, options.keys, options.lifetime),
            Role::Relay => Keyring::new_unconfirmed(options.keys, options.lifetime),
        };
        let params = Params { initial_rtt: options.rtt, is_client, jitter: options.rng.next_u32() };
        Peer {
            id: options.id,
            role: options.role,
            keyring,
            paths: PathSet::new(now, options.path, true, direction, options.rng),
            link: Link::new(options.path, now, params),
            tcp_unsent: 0,
            rare: LazyBox::default(),
        }
    }

    /// Returns the session's id.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whether a packet of the other end has been opened: its handshake was not a replay.
    pub fn is_confirmed(&self) -> bool {
        self.keyring.highest_opened().is_some()
    }

    /// Returns the path that packets leave on, or `None` if every path is closed.
    pub const fn path(&self) -> Option<Path> {
        self.paths.current()
    }

    /// Returns the current path, if it is validated, and the index of the packets on it.
    pub fn validated_path(&self) -> Option<(Path, u32)> {
        let path = self.path()?;
        let keys = self.keyring.sealing_keys()?;
        self.paths.is_validated(path).then_some((path, keys.local_index))
    }

    /// Returns the link.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Returns the maximum length of a message that `stream` accepts now, in bytes.
    pub fn room(&self, stream: StreamId) -> usize {
        self.link.room(stream)
    }

    /// Whether the other end has received every message queued on a stream.
    pub fn has_received_all(&self, stream: StreamId) -> bool {
        self.link.unacked(stream) == 0
    }

    /// Whether the keys in use must be renewed.
    pub fn needs_rekey(&self, now: Tick) -> bool {
        self.keyring.needs_rekey(now)
    }

    /// Returns how long old keys open late packets and freed indexes rest: three PTOs.
    pub fn linger(&self) -> Duration {
        self.link.pto() * LINGER_PTOS
    }

    /// Queues one complete message, given in parts.
    ///
    /// # Errors
    /// [`StreamsFull`] if it is longer than [`Peer::room`]; nothing was queued.
    pub fn send(&mut self, stream: StreamId, parts: &[&[u8]]) -> Result<(), StreamsFull> {
        self.link.send(stream, parts)
    }

    /// Whether a complete message of a stream is ready to read.
    pub fn has_message(&self, stream: StreamId) -> bool {
        self.link.has_message(stream)
    }

    /// Reads the next complete message of a stream, replacing the content of `into`.
    pub fn receive(&mut self, stream: StreamId, into: &mut Vec<u8>) -> bool {
        self.link.receive(stream, into)
    }

    /// Sends a PING soon; [`Peer::take_pong`] returns its round trip.
    pub fn measure_ping(&mut self) {
        self.link.measure_ping();
    }

    /// Takes the round trip of a PING. Returns it once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.link.take_pong()
    }

    /// Sends a probe on any `path`; [`Peer::take_probe_answer`] returns the answer.
    ///
    /// On UDP it has the maximum length, on TCP it is short. It does not move the session, and its
    /// loss is not detected.
    pub fn probe<R, E>(&mut self, now: Tick, path: Path, id: [u8; 8], out: &mut Outputs<R, E>) {
        let len = match path.carrier() {
            Carrier::Udp => UDP_PACKET_MAX - SEALED_OVERHEAD,
            Carrier::Tcp => 0,
        };
        if self.keyring.can_seal() {
            self.send_probe_packet(now, path, &Frame::Probe(Probe::of_len(id, len)), out);
        }
    }

    /// Handles an answered probe of `path`. On the current path `rtt` counts as a sample.
    ///
    /// RFC 9002 §6.2.2 would not use it, because a response may wait or take another path. Ours
    /// leaves in the same turn, on the path of the probe.
    pub fn handle_round_trip(&mut self, now: Tick, path: Path, rtt: Duration) {
        if self.path() == Some(path) {
            self.link.handle_round_trip(now, rtt);
        }
    }

    /// As [`Link::handle_round_trip_bound`].
    pub fn handle_round_trip_bound(&mut self, now: Tick, bound: Duration) {
        self.link.handle_round_trip_bound(now, bound);
    }

    /// Returns the path and the id of an answered probe. Call until `None`.
    pub fn take_probe_answer(&mut self) -> Option<(Path, [u8; 8])> {
        self.rare.get_allocated_mut()?.probe_answers.pop()
    }

    /// Sends a PING soon, so that the other end follows, or the path is found dead.
    pub fn send_ping(&mut self) {
        self.link.send_ping();
    }

    /// Handles a suspension of the machine: the next burst is small.
    pub fn handle_woken(&mut self, now: Tick) {
        self.link.handle_woken(now);
    }

    /// Forgets the losses on the current path, which validation has found good.
    pub fn reset_loss_stats(&mut self) {
        self.link.reset_loss_stats();
    }

    /// Whether a RESET of `index` with `token` proves that the other end has lost this session.
    pub fn is_reset(&self, index: u32, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.keyring.is_reset(index, token)
    }

    /// Adds new keys for the same session. The client's are used at once, the relay's after the
    /// client's first packet.
    pub fn renew(&mut self, now: Tick, keys: Keys) {
        match self.role {
            Role::Client => self.keyring.switch(now, keys),
            Role::Relay => self.keyring.add_unconfirmed(keys),
        }
    }

    /// Returns the counter of the newest unconfirmed handshake.
    pub fn newest_unconfirmed(&self) -> Option<u64> {
        self.keyring.newest_unconfirmed()
    }

    /// Whether a handshake with this counter comes too late for [`Peer::renew`].
    pub fn is_too_late(&self, handshake: u64) -> bool {
        self.keyring.is_too_late(handshake)
    }

    /// Takes the counter of a just confirmed handshake. Call after each packet.
    pub fn take_confirmed(&mut self) -> Option<u64> {
        self.keyring.take_confirmed()
    }

    /// Records that the newest handshake was answered on this validated path too.
    pub fn handle_handshake_elsewhere(&mut self, path: Path) {
        self.paths.handle_handshake_elsewhere(path, self.is_confirmed());
    }

    /// Records that the last packet confirmed the handshake of [`Peer::take_confirmed`].
    pub fn handle_confirmed(&mut self, now: Tick) {
        let change = self.paths.handle_confirmed(now);
        self.apply_path_change(now, change);
    }

    /// Moves the client to `path`. If it is the current one and was silent, unacknowledged data is
    /// sent again at once. The next probe may be seconds away.
    pub fn select(&mut self, now: Tick, path: Path) {
        let change = self.paths.select(now, path);
        self.apply_path_change(now, change);
        if change.is_none() && self.link.pto_count() > 0 {
            self.link.handle_path_lost(path);
            self.link.move_to(path, now);
        }
    }

    /// Grants the client full credit on every stream after its sign-in.
    pub fn grant_full_credit(&mut self) {
        self.link.grant_credit();
    }

    /// As [`Link::with_full_credit`], for a session without messages so far.
    pub fn with_full_credit(self) -> Peer {
        Peer { link: self.link.with_full_credit(), ..self }
    }

    /// As [`Link::set_gapped_max`].
    pub fn set_gapped_max(&mut self, max: usize) {
        self.link.set_gapped_max(max);
    }

    /// Ends the session. CLOSE is sent with the next flush, and again in reply to later packets.
    /// Nothing else is sent, and unread messages are discarded.
    pub fn close(&mut self, code: u16, reason: &'static str) {
        self.link.shut();
        self.rare.closing = Some(Closing { code, reason, packets_received: 0, pending: true });
    }

    /// Returns an index to free, which does not lead here any more. Call until `None`.
    pub fn next_freed(&mut self) -> Option<u32> {
        self.keyring.next_freed()
    }

    /// Returns every index that leads here.
    pub fn local_indexes(&self) -> impl Iterator<Item = u32> {
        self.keyring.local_indexes()
    }

    /// Handles one data packet.
    pub fn handle_packet(&mut self, now: Tick, path: Path, bytes: &mut [u8]) -> PacketOutcome {
        let len = bytes.len();
        let linger = || self.link.pto() * LINGER_PTOS;
        let Ok(opened) = self.keyring.open(now, linger, path.carrier(), bytes) else {
            return PacketOutcome::Dropped;
        };
        if let Some(RareState { closing: Some(closing), .. }) = self.rare.get_allocated_mut() {
            closing.handle_packet();
        }
        let mut challenge = None;
        let mut response = None;
        let mut probe = None;
        let mut answer = None;
        let mut closed = None;
        let received =
            self.link.handle_packet(now, path, opened.number, opened.plain, &mut |other| match other {
                ExtraFrame::PathChallenge(data) => challenge = Some(data),
                ExtraFrame::PathResponse(data) => response = Some(data),
                ExtraFrame::Probe { id, len } => probe = Some(PendingProbeReply { path, id, len }),
                ExtraFrame::ProbeAnswer(id) => answer = Some((path, id)),
                ExtraFrame::Close { code, .. } => closed = Some(code),
            });
        let received = match received {
            Ok(received) => received,
            Err(violation) => return PacketOutcome::Violated(violation),
        };
        // Before the frames below: the packet itself decides which path is the current one.
        let pto = || self.link.pto();
        let change = self.paths.handle_received(now, path, opened.number, len, received.non_probing, pto);
        self.apply_path_change(now, change);
        if let Some(data) = challenge {
            self.handle_challenge(path, data);
        }
        if let Some(data) = response {
            let change = self.paths.handle_response(now, data);
            self.apply_path_change(now, change);
        }
        if probe.is_some() || answer.is_some() {
            keep_newest(&mut self.rare.pending_probe_replies, probe);
            keep_newest(&mut self.rare.probe_answers, answer);
        }
        closed.map_or(PacketOutcome::Accepted, PacketOutcome::Closed)
    }

    fn handle_challenge(&mut self, path: Path, data: [u8; 8]) {
        self.paths.handle_challenge(path, data);
        if self.role == Role::Client && self.path() == Some(path) {
            // An attacker may have sent a copy of our packet first, which moved the relay's path. A
            // new packet of ours moves it back (RFC 9000 §9.3.3).
            self.link.send_ping();
        }
    }

    /// Handles the end of a path.
    pub fn handle_path_closed(&mut self, now: Tick, path: Path) {
        let change = self.paths.close(path);
        self.link.handle_path_lost(path);
        self.apply_path_change(now, change);
    }

    /// Handles the number of bytes that a TCP path has not sent yet.
    pub fn handle_unsent(&mut self, now: Tick, path: Path, bytes: usize) {
        if self.path() == Some(path) {
            // An empty queue may only mean that the system has taken the data. A shrinking one
            // shows progress.
            if bytes > 0 && bytes < self.tcp_unsent {
                self.link.handle_tcp_progress(now);
            }
            self.tcp_unsent = bytes;
        }
    }

    /// Advances time.
    pub fn handle_time(&mut self, now: Tick) {
        self.link.handle_time(now);
        self.keyring.handle_time(now);
        let change = self.paths.handle_time(now);
        self.apply_path_change(now, change);
    }

    /// Returns when time alone makes the session act, later than the last flush.
    pub fn next_deadline(&self, now: Tick) -> Option<Tick> {
        Tick::earliest([
            self.link.next_deadline(),
            self.keyring.next_deadline(now),
            self.paths.next_deadline(),
        ])
    }

    /// Seals everything that may leave now, in as few packets as possible.
    pub fn flush<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        if !self.keyring.can_seal() {
            return;
        }
        if self.rare.closing.is_some() {
            return self.send_close(now, out);
        }
        if self.paths.has_pending_frames() || !self.rare.pending_probe_replies.is_empty() {
            self.flush_probe_packets(now, out);
        }
        while let Some(path) = self.path().filter(|_| !self.link.is_silent()) {
            if self.send_next(now, path, out) {
                continue;
            }
            let change = self.paths.handle_stuck(now, ROOM_MIN + SEALED_OVERHEAD);
            if change.is_none() {
                break;
            }
            self.apply_path_change(now, change);
        }
    }

    /// Sends challenges, their responses and answers to probes, each in a separate packet.
    fn flush_probe_packets<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        while let Some((path, data)) = self.paths.next_response() {
            self.send_probe_packet(now, path, &Frame::PathResponse(data), out);
        }
        while let Some(reply) = self.rare.pending_probe_replies.first().copied() {
            self.rare.pending_probe_replies.remove(0);
            if self.paths.allowance(reply.path) >= reply.len + SEALED_OVERHEAD {
                let answer = Frame::ProbeAnswer(Probe::of_len(reply.id, reply.len));
                self.send_probe_packet(now, reply.path, &answer, out);
            }
        }
        while let Some((path, data)) = self.paths.next_challenge(now) {
            self.send_probe_packet(now, path, &Frame::PathChallenge(data), out);
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
        let link = &mut self.link;
        let keyring = &mut self.keyring;
        let unsent = self.tcp_unsent;
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

    /// Sends a pending CLOSE alone, whatever else is queued. On an unvalidated path without
    /// allowance it stays pending until more has been received.
    fn send_close<R, E>(&mut self, now: Tick, out: &mut Outputs<R, E>) {
        let Some(path) = self.path() else { return };
        let RareState { closing, frame_buffer, .. } = &mut *self.rare;
        let Some(closing) = closing.as_mut().filter(|closing| closing.pending) else { return };
        let frame = Frame::Close { code: closing.code, reason: closing.reason };
        frame_buffer.clear();
        frame.encode(frame_buffer);
        if self.paths.last_allowance(path) < frame_buffer.len() + SEALED_OVERHEAD {
            return;
        }
        closing.pending = false;
        let link = &mut self.link;
        let keyring = &mut self.keyring;
        let close = &*frame_buffer;
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

    /// Sends one probing frame in a separate packet.
    fn send_probe_packet<R, E>(&mut self, now: Tick, path: Path, frame: &Frame<'_>, out: &mut Outputs<R, E>) {
        let frame_buffer = &mut self.rare.frame_buffer;
        frame_buffer.clear();
        frame.encode(frame_buffer);
        let link = &mut self.link;
        let keyring = &mut self.keyring;
        let frames = &*frame_buffer;
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

    fn apply_path_change(&mut self, now: Tick, change: Option<PathChange>) {
        if let Some(change) = change {
            self.tcp_unsent = 0;
            self.link.move_to(change.to, now);
        }
    }
}

/// Appends to a list of at most [`PENDING_PROBE_REPLIES_MAX`]. At the bound the oldest is removed.
fn keep_newest<T>(list: &mut Vec<T>, new: Option<T>) {
    let Some(new) = new else { return };
    if list.len() == PENDING_PROBE_REPLIES_MAX {
        list.remove(0);
    }
    list.push(new);
}

#[cfg(test)]
mod tests;
