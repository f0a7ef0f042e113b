//! Reliable streams over packets (RFC 9000 §2, §12, §13; RFC 9002).
//!
//! A [`Link`] is one end of a session that outlives its paths. Per turn: [`Link::handle_time`],
//! packets and messages, [`Link::build`] until `None`, wait until [`Link::next_deadline`].
//!
//! Must not depend on: keys, sessions, members, the meaning of a message, whether a path is
//! validated.
//!
//! Invariants: every message arrives complete, once, and in the order of its stream, or the link
//! ends. Bytes in flight stay within the window and two probes. Everything that a peer can make
//! grow has a bound.

mod acks;
mod byte_queue;
mod congestion;
mod hibernate;
mod input;
mod loss_window;
mod nanos;
mod out_of_order;
mod output;
mod path_state;
mod pending_frames;
mod ranges;
mod recv_stream;
mod reply_delay;
mod rtt;
mod send_stream;
mod sent;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::acks::Acks;
pub use self::hibernate::HibernatedLink;
use self::loss_window::LossWindow;
use self::nanos::{Nanos, nanos};
use self::path_state::{PTO_MAX, PathState};
use self::pending_frames::{PendingFrames, bit};
use self::recv_stream::{Gapped, RecvStream};
use self::reply_delay::ReplyDelay;
pub use self::rtt::AMBIGUOUS_RTT;
use self::rtt::{INITIAL_RTT, MAX_ACK_DELAY, Rtt};
use self::sent::{SentPacket, SentPackets};
use crate::base::{Path, Tick};
use crate::wire::frame::{FrameError, StreamId};
use crate::wire::limits::{
    BULK_MESSAGE_MAX, CHAT_MESSAGE_MAX, CONTROL_MESSAGE_MAX, CREDIT_BEFORE_WELCOME, STREAM_CREDIT,
    UNACKED_MAX,
};

/// Maximum length of a message per stream, in bytes.
const MESSAGE_MAX: [usize; 3] = [CONTROL_MESSAGE_MAX, CHAT_MESSAGE_MAX, BULK_MESSAGE_MAX];
/// Bytes of [`UNACKED_MAX`] that only control may use, so that receipts never wait behind letters.
const CONTROL_RESERVED: usize = 32 * 1024;
/// Maximum length of the prefix of a message, in bytes.
const MESSAGE_HEAD_MAX: usize = 4;
/// Former UDP paths whose round trip and window are remembered: a machine rarely has more than two
/// networks.
const PATHS_REMEMBERED_MAX: usize = 4;
/// Interval between keep-alives of an idle client, before its jitter of ± 10 %. 20 s: above RFC
/// 8085's 15 s, below the 29 s after which Linux forgets an unanswered UDP flow.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Initial parameters of a link.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// A sample of the round trip (the handshake's, or the last session's). `None`: 333 ms (RFC
    /// 9002 §6.2.2).
    pub initial_rtt: Option<Duration>,
    /// Whether this end keeps an idle link alive. Clients do, relays do not.
    pub is_client: bool,
    /// A random number, which spreads keep-alives over 20 s ± 10 %.
    pub jitter: u32,
}

/// The error if the streams hold the maximum of unacknowledged data. Try again after the next acks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamsFull;

/// A breach of the protocol by the other end. The session must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolViolation {
    /// Bytes are not frames.
    Frame(FrameError),
    /// An ack names a packet that was never sent.
    AckOfUnsent,
    /// Stream data exceeds the credit given.
    PastCredit,
    /// Stream data differs from earlier data at the same offset.
    Differs,
    /// A message is longer than its stream permits.
    MessageTooLong,
}

impl ProtocolViolation {
    /// Returns one word for the log and for the reason of CLOSE.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProtocolViolation::Frame(_) => "bad-frame",
            ProtocolViolation::AckOfUnsent => "ack-of-unsent",
            ProtocolViolation::PastCredit => "past-credit",
            ProtocolViolation::Differs => "stream-differs",
            ProtocolViolation::MessageTooLong => "message-too-long",
        }
    }
}

/// Frames for the caller, which the link does not process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraFrame<'a> {
    /// A challenge, to answer on the path it arrived on.
    PathChallenge([u8; 8]),
    /// The response to a challenge.
    PathResponse([u8; 8]),
    /// A probe, to answer on the path it arrived on by a frame of the same kind and length.
    Probe {
        /// The identifier that the answer repeats.
        id: [u8; 8],
        /// Length of the frame, in bytes.
        len: usize,
    },
    /// The answer to a probe.
    ProbeAnswer([u8; 8]),
    /// The other end has ended the session.
    Close {
        /// The reason; see [`crate::wire::frame::close`].
        code: u16,
        /// Text for the log.
        reason: &'a str,
    },
}

/// Properties of a received packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedPacket {
    /// Whether it requests an ack.
    pub ack_eliciting: bool,
    /// Whether it had a non-probing frame (RFC 9000 §9.1). The session follows its path if it has
    /// the highest number so far.
    pub non_probing: bool,
}

/// A built packet. The caller seals it under this number and sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltPacket {
    /// Its packet number.
    pub number: u64,
    /// Whether it requests an ack.
    pub ack_eliciting: bool,
}

/// Counters since the link began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets built.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost and acknowledged later.
    pub packets_lost_spuriously: u64,
    /// Probe timeouts.
    pub ptos: u64,
    /// Bytes of stream data sent, counted at each transmission.
    pub stream_bytes_sent: u64,
    /// Bytes of stream data retransmitted.
    pub stream_bytes_resent: u64,
    /// Packets that contained only an ack.
    pub acks_alone: u64,
    /// Times that the window fell to its minimum (RFC 9002 §7.6).
    pub persistent_congestions: u64,
    /// Packets treated as lost because a stream had too many gaps or too many bytes behind gaps, or
    /// because their number was out of range.
    pub packets_refused: u64,
    /// Moves to another path.
    pub moves: u64,
}

/// One end of a session over changing paths.
///
/// Messages go into three streams. Packets are numbered and never sent twice; lost data is sent
/// again in a new packet. With nothing outstanding both ends fall silent, except for the client's
/// keep-alive.
///
/// Its methods come in four families: getters, mutators for the caller, `handle_*` for input, and
/// output.
#[derive(Debug)]
pub struct Link {
    /// Streams with complete messages to read, as bits.
    readable_streams: u8,
    /// See [`Link::progress`].
    progress: u64,
    pending: PendingFrames,
    incoming: [RecvStream; 3],
    gapped: Gapped,
    acks: Acks,
    reply_delay: ReplyDelay,
    sent: SentPackets,
    current: PathState,
    /// Whether the current path is gone. Nothing leaves until the next move.
    is_path_lost: bool,
    /// Former UDP paths, at most [`PATHS_REMEMBERED_MAX`], the newest last.
    remembered: Vec<PathState>,
    keep_alive: Option<Duration>,
    /// The maximum delay of our acks that the other end knows of.
    announced_ack_delay: Nanos,
    /// Number of the packet with the newest announcement of the other end's ack delay.
    peer_ack_delay_from: u64,
    last_received: Tick,
    /// When a packet that requests an ack was last built.
    last_ack_eliciting_sent: Tick,
    stats: Stats,
}

impl Link {
    /// Creates a link that has sent and received nothing. Its packets leave on `path`.
    pub fn new(path: Path, now: Tick, params: Params) -> Link {
        let jitter_max = KEEP_ALIVE / 5;
        let jitter = jitter_max.mul_f64(f64::from(params.jitter) / f64::from(u32::MAX));
        let is_client = params.is_client;
        let our_credit = if is_client { CREDIT_BEFORE_WELCOME } else { STREAM_CREDIT };
        let their_credit = if is_client { STREAM_CREDIT } else { CREDIT_BEFORE_WELCOME };
        Link {
            readable_streams: 0,
            progress: 0,
            pending: PendingFrames::new(our_credit),
            incoming: StreamId::ALL
                .map(|stream| RecvStream::new(their_credit[stream.index()], MESSAGE_MAX[stream.index()])),
            gapped: Gapped { held: 0, max: usize::MAX },
            acks: Acks::default(),
            reply_delay: ReplyDelay::default(),
            sent: SentPackets::default(),
            current: PathState::new(path, now, params.initial_rtt.map_or(INITIAL_RTT, nanos)),
            is_path_lost: false,
            remembered: Vec::new(),
            keep_alive: params.is_client.then_some(KEEP_ALIVE - jitter_max / 2 + jitter),
            announced_ack_delay: MAX_ACK_DELAY,
            peer_ack_delay_from: 0,
            last_received: now,
            last_ack_eliciting_sent: now,
            stats: Stats::default(),
        }
    }

    // Getters.

    /// Returns the path that packets leave on, or `None` between [`Link::handle_path_lost`] and
    /// [`Link::move_to`].
    pub fn path(&self) -> Option<Path> {
        (!self.is_path_lost).then_some(self.current.path)
    }

    /// Returns the maximum length of a message that `stream` accepts now, in bytes.
    ///
    /// At most the longest message of that stream. 32 KiB of [`UNACKED_MAX`] are reserved for
    /// control, so that receipts never wait behind letters.
    pub fn room(&self, stream: StreamId) -> usize {
        let all = UNACKED_MAX.saturating_sub(self.unacked_bytes());
        let shared = self.pending.unacked(StreamId::Chat) + self.pending.unacked(StreamId::Bulk);
        let room = match stream {
            StreamId::Control => all,
            _ => all.min((UNACKED_MAX - CONTROL_RESERVED).saturating_sub(shared)),
        };
        room.saturating_sub(MESSAGE_HEAD_MAX).min(MESSAGE_MAX[stream.index()])
    }

    /// Returns the smoothed round trip on this path (RFC 9002 §5.3).
    pub fn smoothed_rtt(&self) -> Duration {
        Duration::from_nanos(self.current.rtt.smoothed())
    }

    /// Returns the newest sample of the round trip on this path.
    pub fn latest_rtt(&self) -> Option<Duration> {
        self.current.rtt.latest().map(Duration::from_nanos)
    }

    /// Returns the probe timeout on this path without backoff (RFC 9002 §6.2.1).
    ///
    /// At most 8 s. Keys and indexes are kept for three of them, and a peer that acknowledges late
    /// must not extend that to an hour.
    pub fn pto(&self) -> Duration {
        Duration::from_nanos(self.current.rtt.pto().min(PTO_MAX))
    }

    /// Returns the number of probe timeouts since the last progress on this path.
    ///
    /// After the second on UDP, the client opens a TCP fallback; see [`Link::silent_since`]. At the
    /// third on TCP the connection is dead.
    pub fn pto_count(&self) -> u32 {
        self.current.pto_count
    }

    /// Returns since when nothing has been acknowledged on this path, though something was
    /// outstanding.
    ///
    /// Time by which this process missed its own deadlines does not count: packets that arrived
    /// then may still be unread. Meaningless while [`Link::pto_count`] is 0.
    pub fn silent_since(&self) -> Tick {
        self.current.silent_since
    }

    /// Whether most packets of one direction were lost lately, or four in a row: four sent packets
    /// of at least 1,100 bytes, or four numbers of the other end. The path should be validated
    /// then.
    pub fn is_lossy(&self) -> bool {
        self.current.loss_window.is_lossy()
    }

    /// Returns the maximum length of a packet on this path, in bytes.
    pub fn packet_max(&self) -> usize {
        self.current.packet_max()
    }

    /// Returns when the last packet that requests an ack was built, or `None` while one waits for
    /// its ack.
    pub fn quiet_since(&self) -> Option<Tick> {
        (self.sent.outstanding() == 0).then_some(self.last_ack_eliciting_sent)
    }

    /// Returns the bytes sent on this path that request an ack and have none, with headers and
    /// tags.
    pub fn bytes_in_flight(&self) -> usize {
        self.sent.in_flight()
    }

    /// Returns the congestion window, in bytes. Meaningless on TCP.
    pub fn window(&self) -> usize {
        self.current.congestion.window()
    }

    /// Returns the bytes of messages queued or sent and not acknowledged; at most [`UNACKED_MAX`].
    pub fn unacked_bytes(&self) -> usize {
        StreamId::ALL.iter().map(|stream| self.unacked(*stream)).sum()
    }

    /// Returns the bytes of one stream that were queued or sent and not acknowledged.
    pub fn unacked(&self, stream: StreamId) -> usize {
        self.pending.unacked(stream)
    }

    /// Returns the memory of received data behind gaps, of all streams together, in bytes.
    pub fn gapped(&self) -> usize {
        self.gapped.held
    }

    /// Returns the memory of all received and unread data, in bytes.
    pub fn received_memory(&self) -> usize {
        self.incoming.iter().map(RecvStream::memory).sum()
    }

    /// Returns when an authentic packet was last received.
    pub fn last_received(&self) -> Tick {
        self.last_received
    }

    /// Returns the time of the last received packet, or of the last built packet that requests an
    /// ack if that was later.
    pub fn idle_since(&self) -> Tick {
        self.last_received.max(self.last_ack_eliciting_sent)
    }

    /// Returns the number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.sent.next_number()
    }

    /// Returns the counters since the link began.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // From the caller.

    /// Queues one complete message, given in parts.
    ///
    /// # Errors
    /// [`StreamsFull`] if it is longer than [`Link::room`]; nothing was queued.
    ///
    /// # Panics
    /// If it is longer than its stream permits.
    pub fn send(&mut self, stream: StreamId, message_parts: &[&[u8]]) -> Result<(), StreamsFull> {
        let len: usize = message_parts.iter().map(|part| part.len()).sum();
        assert!(len <= MESSAGE_MAX[stream.index()], "callers keep messages within the limits of wire");
        if len > self.room(stream) {
            return Err(StreamsFull);
        }
        self.pending.push(stream, message_parts);
        Ok(())
    }

    /// Sets the maximum memory for data behind gaps. A packet whose data would exceed it counts as
    /// lost.
    pub fn set_gapped_max(&mut self, max: usize) {
        self.gapped.max = max;
    }

    /// Grants a signed-in client full credit on every stream. A relay's link grants little before.
    pub fn grant_credit(&mut self) {
        for stream in StreamId::ALL {
            if self.incoming[stream.index()].widen(STREAM_CREDIT[stream.index()]) {
                self.pending.pending_credits |= bit(stream);
            }
        }
    }

    /// Grants both ends full credit on every stream, as the handshake announced.
    pub fn with_full_credit(mut self) -> Link {
        self.grant_credit();
        self.pending = PendingFrames::new(STREAM_CREDIT);
        for incoming in &mut self.incoming {
            incoming.renew_credit();
        }
        self
    }

    /// Ends the session: discards unread and unacknowledged data, and ignores later stream data.
    pub fn shut(&mut self) {
        self.pending = PendingFrames::new(STREAM_CREDIT);
        self.sent = SentPackets::after_hibernation(self.sent.next_number());
        self.incoming.iter_mut().for_each(RecvStream::shut);
        self.readable_streams = 0;
        self.gapped.held = 0;
    }

    /// Sends a PING soon; [`Link::take_pong`] returns its round trip.
    ///
    /// One at a time: another call before the result sends a new PING, and the first answer to
    /// either counts.
    pub fn measure_ping(&mut self) {
        self.pending.queue_measured_ping();
    }

    /// Sends a PING soon without measuring its round trip, so that the other end follows to a new
    /// path, or to check this one.
    pub fn send_ping(&mut self) {
        self.pending.queue_ping();
    }

    /// Handles a suspension of the machine. Acks of packets sent before do not count as round
    /// trips, and the next burst is small.
    pub fn handle_woken(&mut self, now: Tick) {
        self.current.woken_at = Some(now);
        self.current.congestion.handle_woken(now);
    }

    /// Handles a measurement of the current path's round trip that did not come from an ack.
    pub fn handle_round_trip(&mut self, now: Tick, rtt: Duration) {
        self.current.rtt.handle_sample(nanos(rtt), 0);
        self.rearm(now);
    }

    /// Records that the handshake was answered within `bound`. Before the first sample, a lower
    /// `bound` replaces the initial RTT (RFC 9002 §6.2.2). A bound above [`AMBIGUOUS_RTT`]
    /// counts as that value.
    pub fn handle_round_trip_bound(&mut self, now: Tick, bound: Duration) {
        let bound = nanos(bound.min(AMBIGUOUS_RTT));
        if self.current.rtt.latest().is_none() && bound < self.current.rtt.smoothed() {
            let delay = self.current.rtt.peer_ack_delay();
            self.current.rtt = Rtt::new(bound);
            self.current.rtt.set_peer_ack_delay(delay);
            self.rearm(now);
        }
    }

    /// Forgets the losses on this path, which validation has found good.
    pub fn reset_loss_stats(&mut self) {
        self.current.loss_window = LossWindow::default();
    }

    /// Handles progress of a TCP connection that sends slowly: the probe timeout starts again.
    pub fn handle_tcp_progress(&mut self, now: Tick) {
        if !self.current.is_udp() {
            self.current.waiting_since = now;
        }
    }

    /// Moves to `path`. Later packets leave there, and everything unacknowledged is retransmitted.
    ///
    /// The round trip and the window start from initial values, or as they were when this path was
    /// left. They are kept if only the port of a UDP address changed (RFC 9000 §9.4). A client
    /// sends at least a PING there at once.
    pub fn move_to(&mut self, path: Path, now: Tick) {
        if path == self.current.path && !self.is_path_lost {
            return;
        }
        self.leave_path();
        let remembered = self
            .remembered
            .iter()
            .position(|state| state.path == path)
            .map(|index| self.remembered.remove(index));
        let next = match remembered {
            Some(remembered) => remembered.renewed(path, now),
            None if self.current.differs_by_port_only(path) => self.current.renewed(path, now),
            None => PathState::new(path, now, INITIAL_RTT),
        };
        let old = std::mem::replace(&mut self.current, next);
        self.current.rtt.set_peer_ack_delay(old.rtt.peer_ack_delay());
        if old.woken_at == Some(now) {
            self.handle_woken(now);
        }
        if old.is_worth_remembering() && old.path != path {
            if self.remembered.len() == PATHS_REMEMBERED_MAX {
                self.remembered.remove(0);
            }
            self.remembered.push(old);
        }
        self.is_path_lost = false;
        // The deadline of an ack may have passed while there was no path.
        self.acks.handle_time(now);
        if self.keep_alive.is_some() {
            // The other end follows only when it has received a packet on this path.
            self.pending.queue_ping();
        }
        self.stats.moves += 1;
    }

    /// Handles the permanent loss of a path. If it was the current one, nothing is sent until
    /// [`Link::move_to`], which retransmits everything unacknowledged.
    pub fn handle_path_lost(&mut self, path: Path) {
        self.remembered.retain(|state| state.path != path);
        if path == self.current.path {
            self.leave_path();
            self.is_path_lost = true;
        }
    }

    fn leave_path(&mut self) {
        let pending = &mut self.pending;
        self.sent.abandon_all(|sent: &SentPacket| pending.retransmit(sent));
        self.current.clear_timers();
    }
}
