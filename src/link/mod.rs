//! Floor 2: streams over packets (RFC 9000 §2, §12, §13; RFC 9002). What gets there, once, in order.
//!
//! A [`Link`] is one end of a conversation that outlives its paths. Messages go into three streams; [`Link::build`]
//! fills packets with frames; packets are numbered and never sent twice, and what a lost one carried goes again in
//! a new one. Its methods come in four families: getters, mutators *from the user*, `handle_*` *from the world*,
//! and *what comes out*. The law of use, once a turn: [`Link::handle_time`], then packets and messages, then
//! [`Link::build`] until it answers `None`, then wait until [`Link::next_deadline`].
//!
//! It must not know: keys, sessions, members, what a message means, whether a path is proven.
//!
//! Invariants: every message arrives whole, once, in order, or the link ends; bytes in flight stay within the
//! window and two probes; everything a peer can make grow has a bound; with nothing outstanding both ends fall
//! silent but for the client's keep-alive.
//!
//! Where it leaves RFC 9002: the probe timer counts from the oldest unacknowledged packet or the last progress,
//! not from the last packet sent, so that someone who types steadily into a dead path notices (RFC 6298 §5 does
//! the same); its backoff ends at 8 s. On TCP there is neither window nor loss by threshold, since the carrier has
//! both: acks there show that the other program lives, and make moving between paths lossless.

mod acks;
mod ahead;
mod answers;
mod byte_queue;
mod congestion;
mod health;
mod input;
mod nanos;
mod outgoing;
mod output;
mod path_state;
mod ranges;
mod recv_stream;
mod rest;
mod rtt;
mod send_stream;
mod sent;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::acks::Acks;
use self::answers::Answers;
use self::health::Health;
use self::nanos::{Nanos, nanos};
use self::outgoing::{Outgoing, bit};
use self::path_state::{PTO_MAX, PathState};
use self::recv_stream::{Gapped, RecvStream};
pub use self::rest::AtRest;
pub use self::rtt::RTT_IN_DOUBT;
use self::rtt::{INITIAL_RTT, MAX_ACK_DELAY, Rtt};
use self::sent::{Sent, SentPackets};
use crate::base::{Path, Tick};
use crate::wire::frame::{FrameError, StreamId};
use crate::wire::limits::{
    BULK_MESSAGE_MAX, CHAT_MESSAGE_MAX, CONTROL_MESSAGE_MAX, CREDIT_BEFORE_WELCOME, STREAM_CREDIT,
    UNACKED_MAX,
};

/// The longest message of each stream, in bytes.
const MESSAGE_MAX: [usize; 3] = [CONTROL_MESSAGE_MAX, CHAT_MESSAGE_MAX, BULK_MESSAGE_MAX];
/// Of [`UNACKED_MAX`], bytes that only control may use, so that receipts never wait behind letters.
const CONTROL_RESERVED: usize = 32 * 1024;
/// The length before the longest message, in bytes.
const MESSAGE_HEAD_MAX: usize = 4;
/// UDP paths left whose round trip and window are remembered: a machine seldom has more than two networks.
const PATHS_REMEMBERED_MAX: usize = 4;
/// Between keep-alives of an idle client, before its jitter of ± 10 %: above RFC 8085's 15 s, below the 29 s after
/// which Linux forgets an unanswered UDP flow.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What a link starts with.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// A sample of the round trip (the handshake's, or the last session's); `None`: 333 ms (RFC 9002 §6.2.2).
    pub initial_rtt: Option<Duration>,
    /// Clients keep idle links alive; relays do not.
    pub is_client: bool,
    /// A random number; spreads keep-alives over 20 s ± 10 %.
    pub jitter: u32,
}

/// The streams hold as much unacknowledged data as they may: try again when acks have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How the other end broke the protocol. The session is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Bytes that are not frames.
    Frame(FrameError),
    /// An ack of a packet never sent.
    AckOfUnsent,
    /// Stream data past the credit given.
    PastCredit,
    /// Stream data that differs from what came before at the same place.
    Differs,
    /// A message longer than its stream permits.
    MessageTooLong,
}

impl Violation {
    /// One word for the log and for the reason of CLOSE.
    pub const fn as_str(self) -> &'static str {
        match self {
            Violation::Frame(_) => "bad-frame",
            Violation::AckOfUnsent => "ack-of-unsent",
            Violation::PastCredit => "past-credit",
            Violation::Differs => "stream-differs",
            Violation::MessageTooLong => "message-too-long",
        }
    }
}

/// Frames that are not the link's own business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other<'a> {
    /// To be answered on the path it came on.
    PathChallenge([u8; 8]),
    /// The answer to a challenge.
    PathResponse([u8; 8]),
    /// To be answered on the path it came on by a frame of the same kind and length.
    Probe {
        /// What the answer repeats.
        id: [u8; 8],
        /// The bytes of the frame.
        len: usize,
    },
    /// The answer to a probe.
    ProbeAnswer([u8; 8]),
    /// The other end ended the session.
    Close {
        /// Why; see [`crate::wire::frame::close`].
        code: u16,
        /// Words for the log.
        reason: &'a str,
    },
}

/// What a packet that came in was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It asked for an ack.
    pub ack_eliciting: bool,
    /// It held a frame that is not probing (RFC 9000 §9.1): the conversation is on its path if it has the highest
    /// number so far.
    pub non_probing: bool,
}

/// A packet that has been built: seal it under this number and send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its packet number.
    pub number: u64,
    /// It asks for an ack.
    pub ack_eliciting: bool,
}

/// Counters since the link began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets built.
    pub packets_sent: u64,
    /// Packets taken in.
    pub packets_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost and acknowledged later.
    pub packets_lost_spuriously: u64,
    /// Probe time-outs.
    pub ptos: u64,
    /// Bytes of stream data sent, each time they are sent.
    pub stream_bytes_sent: u64,
    /// Bytes of stream data sent again.
    pub stream_bytes_resent: u64,
    /// Packets that held nothing but an ack.
    pub acks_alone: u64,
    /// Times the window fell to its minimum (RFC 9002 §7.6).
    pub persistent_congestions: u64,
    /// Packets treated as lost because a stream had too many gaps, or their number was out of range.
    pub packets_refused: u64,
    /// Moves to another path.
    pub moves: u64,
}

/// One end of a conversation over changing paths.
#[derive(Debug)]
pub struct Link {
    /// Streams that have whole messages to be read, as bits.
    whole: u8,
    /// See [`Link::progress`].
    progress: u64,
    outgoing: Outgoing,
    incoming: [RecvStream; 3],
    gapped: Gapped,
    acks: Acks,
    answers: Answers,
    sent: SentPackets,
    at: PathState,
    /// The present path is gone: nothing leaves until the next move.
    stranded: bool,
    /// UDP paths left, at most [`PATHS_REMEMBERED_MAX`], the newest last.
    left: Vec<PathState>,
    keep_alive: Option<Duration>,
    /// How long our acks wait at most, as the other end was told.
    ack_delay: Nanos,
    /// The number of the packet that told us the same of the other end.
    peer_ack_delay_from: u64,
    last_heard: Tick,
    /// When a packet that asks for an ack was last built.
    last_asked: Tick,
    stats: Stats,
}

impl Link {
    /// A link that has sent and received nothing; its packets leave on `path`.
    pub fn new(path: Path, now: Tick, params: Params) -> Link {
        let jitter_max = KEEP_ALIVE / 5;
        let jitter = jitter_max.mul_f64(f64::from(params.jitter) / f64::from(u32::MAX));
        let (ours, theirs) = match params.is_client {
            true => (CREDIT_BEFORE_WELCOME, STREAM_CREDIT),
            false => (STREAM_CREDIT, CREDIT_BEFORE_WELCOME),
        };
        Link {
            whole: 0,
            progress: 0,
            outgoing: Outgoing::new(ours),
            incoming: StreamId::ALL
                .map(|stream| RecvStream::new(theirs[stream.index()], MESSAGE_MAX[stream.index()])),
            gapped: Gapped { held: 0, max: usize::MAX },
            acks: Acks::default(),
            answers: Answers::default(),
            sent: SentPackets::default(),
            at: PathState::new(path, now, params.initial_rtt.map_or(INITIAL_RTT, nanos)),
            stranded: false,
            left: Vec::new(),
            keep_alive: params.is_client.then_some(KEEP_ALIVE - jitter_max / 2 + jitter),
            ack_delay: MAX_ACK_DELAY,
            peer_ack_delay_from: 0,
            last_heard: now,
            last_asked: now,
            stats: Stats::default(),
        }
    }

    // Getters.

    /// Where packets leave; `None` after [`Link::path_lost`] until [`Link::move_to`].
    pub fn path(&self) -> Option<Path> {
        (!self.stranded).then_some(self.at.path)
    }

    /// How long a message `stream` would take now, in bytes; at most the longest message of that stream. 32 KiB of
    /// [`UNACKED_MAX`] are kept for control, so that receipts never wait behind letters.
    pub fn room(&self, stream: StreamId) -> usize {
        let all = UNACKED_MAX.saturating_sub(self.unacked_bytes());
        let others = self.outgoing.unacked(StreamId::Chat) + self.outgoing.unacked(StreamId::Bulk);
        let room = match stream {
            StreamId::Control => all,
            _ => all.min((UNACKED_MAX - CONTROL_RESERVED).saturating_sub(others)),
        };
        room.saturating_sub(MESSAGE_HEAD_MAX).min(MESSAGE_MAX[stream.index()])
    }

    /// The smoothed round trip on this path (RFC 9002 §5.3).
    pub fn smoothed_rtt(&self) -> Duration {
        Duration::from_nanos(self.at.rtt.smoothed())
    }

    /// The newest sample of the round trip on this path.
    pub fn latest_rtt(&self) -> Option<Duration> {
        self.at.rtt.latest().map(Duration::from_nanos)
    }

    /// The probe time-out on this path without backoff (RFC 9002 §6.2.1), at most 8 s: keys and indexes live three of
    /// them on, and a peer that acknowledges late shall not make that an hour.
    pub fn pto(&self) -> Duration {
        Duration::from_nanos(self.at.rtt.pto().min(PTO_MAX))
    }

    /// Probe time-outs since the last progress on this path. After the second one on UDP, TCP is to be opened
    /// beside, see [`Link::silent_since`]; at the third one on TCP the connection is dead.
    pub fn pto_count(&self) -> u32 {
        self.at.pto_count
    }

    /// Since when nothing was acknowledged here though something was outstanding. Time by which this process was late for
    /// its own deadlines does not count: what came meanwhile may not have been read yet. It means nothing while
    /// [`Link::pto_count`] is 0.
    pub fn silent_since(&self) -> Tick {
        self.at.silent_since
    }

    /// Most of what is sent here, or of what the other end sends, or every packet above 1,100 bytes, gets lost lately: the
    /// path is to be tested.
    pub fn is_poor(&self) -> bool {
        self.at.health.is_poor()
    }

    /// The longest packet that is to be built for this path, in bytes.
    pub fn packet_max(&self) -> usize {
        self.at.packet_max()
    }

    /// When the last packet that asks for an ack was built; `None` while one waits for its ack.
    pub fn unasked_since(&self) -> Option<Tick> {
        (self.sent.outstanding() == 0).then_some(self.last_asked)
    }

    /// Bytes sent on this path that ask for an ack and have none, headers and tags included.
    pub fn bytes_in_flight(&self) -> usize {
        self.sent.in_flight()
    }

    /// The congestion window, in bytes. It means nothing on TCP.
    pub fn window(&self) -> usize {
        self.at.congestion.window()
    }

    /// Bytes of messages queued or sent and not acknowledged; at most [`UNACKED_MAX`].
    pub fn unacked_bytes(&self) -> usize {
        StreamId::ALL.iter().map(|stream| self.outgoing.unacked(*stream)).sum()
    }

    /// Memory of what was received and is behind a gap, all streams together, in bytes.
    pub fn gapped(&self) -> usize {
        self.gapped.held
    }

    /// Memory of everything that was received and not read, in bytes.
    pub fn received_memory(&self) -> usize {
        self.incoming.iter().map(RecvStream::memory).sum()
    }

    /// When an authentic packet last came.
    pub fn last_heard(&self) -> Tick {
        self.last_heard
    }

    /// When the last packet was taken in, or the last one that asks for an ack was built.
    pub fn idle_since(&self) -> Tick {
        self.last_heard.max(self.last_asked)
    }

    /// The number the next packet will have.
    pub fn next_number(&self) -> u64 {
        self.sent.next_number()
    }

    /// Counters since the link began.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // From the user.

    /// Queues one whole message, given in parts. It must not be longer than its stream permits.
    ///
    /// # Errors
    /// [`Full`] if it is longer than [`Link::room`]; nothing was queued.
    pub fn send(&mut self, stream: StreamId, message_parts: &[&[u8]]) -> Result<(), Full> {
        let len: usize = message_parts.iter().map(|part| part.len()).sum();
        assert!(len <= MESSAGE_MAX[stream.index()], "callers hold messages to the limits of wire");
        if len > self.room(stream) {
            return Err(Full);
        }
        self.outgoing.push(stream, message_parts);
        Ok(())
    }

    /// Sets the maximum memory for bytes behind gaps: a packet whose piece needs more counts as
    /// lost.
    pub fn set_gapped_max(&mut self, max: usize) {
        self.gapped.max = max;
    }

    /// Gives the other end, which is welcome, the credit of every stream in full; a relay's link
    /// gives little before.
    pub fn give_credit(&mut self) {
        for stream in StreamId::ALL {
            if self.incoming[stream.index()].widen(STREAM_CREDIT[stream.index()]) {
                self.outgoing.credits_owed |= bit(stream);
            }
        }
    }

    /// Both ends have the credit of every stream in full from the start, as the handshake said.
    pub fn with_full_credit(mut self) -> Link {
        self.give_credit();
        self.outgoing = Outgoing::new(STREAM_CREDIT);
        for incoming in &mut self.incoming {
            incoming.renew_credit();
        }
        self
    }

    /// The conversation is over: what was said and not read, or not acknowledged, is let go, and
    /// what still comes is not kept.
    pub fn shut(&mut self) {
        self.outgoing = Outgoing::new(STREAM_CREDIT);
        self.sent = SentPackets::resting(self.sent.next_number());
        self.incoming.iter_mut().for_each(RecvStream::shut);
        (self.whole, self.gapped.held) = (0, 0);
    }

    /// Sends a PING soon; [`Link::take_pong`] has the result. One at a time: another call before the result asks
    /// for a fresh PING and the first answer to either counts.
    pub fn ping(&mut self) {
        self.outgoing.ask_ping();
    }

    /// Sends a PING soon whose round trip nobody asks for: to be heard on a new path, or to hear whether this one lives.
    pub fn poke(&mut self) {
        self.outgoing.owe_ping();
    }

    /// The machine slept: acks of what was sent before say nothing of the round trip, and little leaves at once.
    pub fn handle_woken(&mut self, now: Tick) {
        self.at.woke = Some(now);
        self.at.congestion.handle_woken(now);
    }

    /// The present path's round trip was measured apart from acks.
    pub fn handle_round_trip(&mut self, now: Tick, rtt: Duration) {
        self.at.rtt.handle_sample(nanos(rtt), 0);
        self.rearm(now);
    }

    /// The other end has answered the handshake within this time: what is assumed of the round trip before the first
    /// sample (RFC 9002 §6.2.2), at most [`RTT_IN_DOUBT`].
    pub fn handle_round_trip_bound(&mut self, now: Tick, bound: Duration) {
        let bound = nanos(bound.min(RTT_IN_DOUBT));
        if self.at.rtt.latest().is_none() && bound < self.at.rtt.smoothed() {
            let delay = self.at.rtt.peer_ack_delay();
            self.at.rtt = Rtt::new(bound);
            self.at.rtt.set_peer_ack_delay(delay);
            self.rearm(now);
        }
    }

    /// The path was tested and found good: what was lost on it before does not count any more.
    pub fn forgive(&mut self) {
        self.at.health = Health::default();
    }

    /// TCP moves what it was given, if slowly: no probe time-out is due yet.
    pub fn handle_moving(&mut self, now: Tick) {
        if !self.at.is_udp() {
            self.at.waiting_since = now;
        }
    }

    /// Later packets leave there, and everything unacknowledged goes again. The round trip and the window start
    /// afresh, or as they were when this path was left; they stay when only the port of a UDP address changed
    /// (RFC 9000 §9.4). A client says something there at once, if only a PING.
    pub fn move_to(&mut self, path: Path, now: Tick) {
        if path == self.at.path && !self.stranded {
            return;
        }
        self.leave();
        let known = self.left.iter().position(|left| left.path == path).map(|place| self.left.remove(place));
        let next = match known {
            Some(known) => known.again(path, now),
            None if self.at.differs_by_port_only(path) => self.at.again(path, now),
            None => PathState::new(path, now, INITIAL_RTT),
        };
        let old = std::mem::replace(&mut self.at, next);
        self.at.rtt.set_peer_ack_delay(old.rtt.peer_ack_delay());
        if old.woke == Some(now) {
            self.handle_woken(now);
        }
        if old.is_worth_remembering() && old.path != path {
            if self.left.len() == PATHS_REMEMBERED_MAX {
                self.left.remove(0);
            }
            self.left.push(old);
        }
        self.stranded = false;
        if self.keep_alive.is_some() {
            // The other end answers here only when it has heard us here.
            self.outgoing.owe_ping();
        }
        self.stats.moves += 1;
    }

    /// That path is gone for good. If packets left there, everything unacknowledged goes again after the next
    /// [`Link::move_to`], and until then nothing is sent.
    pub fn path_lost(&mut self, path: Path) {
        self.left.retain(|left| left.path != path);
        if path == self.at.path {
            self.leave();
            self.stranded = true;
        }
    }

    fn leave(&mut self) {
        let outgoing = &mut self.outgoing;
        self.sent.leave(|sent: &Sent| outgoing.send_again(sent));
        self.at.quiet();
    }
}
