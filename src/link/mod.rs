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

use std::time::Duration;

use crate::base::{Path, Tick};
use crate::wire::frame::{FrameError, StreamId};

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
        unimplemented!()
    }
}

/// Frames that are not the link's own business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other<'a> {
    /// To be answered on the path it came on.
    PathChallenge([u8; 8]),
    /// The answer to a challenge.
    PathResponse([u8; 8]),
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
pub struct Link {}

#[expect(unused_variables, reason = "signatures first")]
impl Link {
    /// A link that has sent and received nothing; its packets leave on `path`.
    pub fn new(path: Path, now: Tick, params: Params) -> Link {
        unimplemented!()
    }

    // Getters.

    /// Where packets leave; `None` after [`Link::path_lost`] until [`Link::move_to`].
    pub fn path(&self) -> Option<Path> {
        unimplemented!()
    }
    /// How long a message `stream` would take now, in bytes; at most the longest message of that stream. 32 KiB of
    /// [`crate::wire::limits::UNACKED_MAX`] are kept for control, so that receipts never wait behind letters.
    pub fn room(&self, stream: StreamId) -> usize {
        unimplemented!()
    }
    /// The smoothed round trip on this path (RFC 9002 §5.3).
    pub fn smoothed_rtt(&self) -> Duration {
        unimplemented!()
    }
    /// The newest sample of the round trip on this path.
    pub fn latest_rtt(&self) -> Option<Duration> {
        unimplemented!()
    }
    /// The probe time-out on this path without backoff (RFC 9002 §6.2.1); keys and indexes live three of them on.
    pub fn pto(&self) -> Duration {
        unimplemented!()
    }
    /// Probe time-outs since the last progress on this path. At the second one on UDP, TCP is to be opened beside;
    /// at the third one on TCP the connection is dead.
    pub fn pto_count(&self) -> u32 {
        unimplemented!()
    }
    /// Bytes sent on this path that ask for an ack and have none.
    pub fn bytes_in_flight(&self) -> usize {
        unimplemented!()
    }
    /// The congestion window, in bytes.
    pub fn window(&self) -> usize {
        unimplemented!()
    }
    /// Bytes of messages queued or sent and not acknowledged.
    pub fn unacked_bytes(&self) -> usize {
        unimplemented!()
    }
    /// When an authentic packet last came.
    pub fn last_heard(&self) -> Tick {
        unimplemented!()
    }
    /// When the last packet was taken in or one that asks for an ack was built.
    pub fn idle_since(&self) -> Tick {
        unimplemented!()
    }
    /// The number the next packet will have.
    pub fn next_number(&self) -> u64 {
        unimplemented!()
    }
    /// Counters since the link began.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    // From the user.

    /// Queues one whole message, given in parts.
    ///
    /// # Errors
    /// [`Full`] if it is longer than [`Link::room`]; nothing was queued.
    pub fn send(&mut self, stream: StreamId, message_parts: &[&[u8]]) -> Result<(), Full> {
        unimplemented!()
    }
    /// Sends a PING soon; [`Link::take_pong`] has the result.
    pub fn ping(&mut self) {
        unimplemented!()
    }
    /// Later packets leave there, and everything unacknowledged goes again. The round trip and the window start
    /// afresh, or as they were when this path was left; they stay when only the port of a UDP address changed
    /// (RFC 9000 §9.4).
    pub fn move_to(&mut self, path: Path, now: Tick) {
        unimplemented!()
    }
    /// That path is gone for good. If packets left there, everything unacknowledged goes again after the next
    /// [`Link::move_to`], and until then nothing is sent.
    pub fn path_lost(&mut self, path: Path) {
        unimplemented!()
    }

    // From the world.

    /// Takes in the frames of one packet that is authentic and no replay. `sink` gets the frames that concern the
    /// rooms above.
    ///
    /// # Errors
    /// A [`Violation`] if the other end broke the protocol; the session is to be closed.
    pub fn handle_packet(
        &mut self,
        now: Tick,
        path: Path,
        number: u64,
        frames: &[u8],
        sink: &mut impl FnMut(Other<'_>),
    ) -> Result<Seen, Violation> {
        unimplemented!()
    }
    /// Lets time pass: acts on every deadline up to `now`.
    pub fn handle_time(&mut self, now: Tick) {
        unimplemented!()
    }

    // What comes out.

    /// When time alone would make it act: always later than the last [`Link::handle_time`] and [`Link::build`].
    /// `None` when all is quiet.
    pub fn next_deadline(&self) -> Option<Tick> {
        unimplemented!()
    }
    /// The next whole message of a stream, in order, in place of what `into` held; `false` if there is none.
    /// Reading gives credit back; not reading withholds it.
    pub fn receive(&mut self, stream: StreamId, into: &mut Vec<u8>) -> bool {
        unimplemented!()
    }
    /// The round trip of a PING asked for by [`Link::ping`], once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        unimplemented!()
    }
    /// Whether [`Link::build`] would build a packet now, with an empty TCP queue.
    pub fn wants_to_send(&self, now: Tick) -> bool {
        unimplemented!()
    }
    /// Appends the frames of one packet for the present path, at most `room` bytes, `extra` first: frames that are
    /// encoded already, which leave even if congestion forbids the rest. `None` if there is nothing to send now.
    /// `tcp_unsent`: bytes a TCP path still has to send, 0 on UDP.
    pub fn build(
        &mut self,
        now: Tick,
        room: usize,
        tcp_unsent: usize,
        extra: &[u8],
        buf: &mut Vec<u8>,
    ) -> Option<Built> {
        unimplemented!()
    }
    /// Appends `extra`, encoded probing frames, as a packet for another path than the present one: it takes a
    /// number, and an ack of it is legal and means nothing.
    pub fn build_elsewhere(&mut self, now: Tick, extra: &[u8], buf: &mut Vec<u8>) -> Built {
        unimplemented!()
    }
}
