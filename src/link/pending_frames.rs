//! Data waiting to be sent: three streams, credit to announce, a PING.

use std::ops::Range;
use std::time::Duration;

use super::send_stream::SendStream;
use super::sent::SentPacket;
use crate::base::{Tick, Unpacker};
use crate::wire::frame::StreamId;
use crate::wire::limits::STREAM_CREDIT;

/// Everything that requests an ack and is sent until it has one.
#[derive(Debug)]
pub struct PendingFrames {
    /// Bytes of each stream that are queued or sent and not acknowledged.
    ///
    /// A copy of the streams' own counts, next to the state that every packet needs: idle streams
    /// stay out of the processor's cache.
    unacked: [u32; 3],
    /// Streams that may have data to send, as bits: a superset of those that have.
    dirty_streams: u8,
    /// Streams whose credit must be announced, as bits: half of it was read, or the last
    /// announcement was lost.
    pub pending_credits: u8,
    ping_pending: bool,
    /// Whether a caller waits for the result of a PING.
    pub pong_awaited: bool,
    pong: Option<Duration>,
    /// Indexed by [`StreamId::index`].
    streams: [SendStream; 3],
}

impl PendingFrames {
    /// Creates an empty state with the credit given by the other end.
    pub fn new(credit: [usize; 3]) -> PendingFrames {
        let streams = credit.map(|limit| SendStream::new(limit as u64));
        PendingFrames {
            unacked: [0; 3],
            dirty_streams: 0,
            pending_credits: 0,
            ping_pending: false,
            pong_awaited: false,
            pong: None,
            streams,
        }
    }

    /// Appends a quiet state to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        self.streams.iter().for_each(|stream| stream.pack(into));
    }

    /// Restores a state written by [`PendingFrames::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> PendingFrames {
        PendingFrames {
            streams: StreamId::ALL.map(|_| SendStream::unpack(from)),
            ..PendingFrames::new(STREAM_CREDIT)
        }
    }

    /// Whether nothing is queued, in flight or awaited.
    pub fn is_idle(&self) -> bool {
        let has_pending =
            self.pending_credits != 0 || self.ping_pending || self.pong_awaited || self.pong.is_some();
        !has_pending && self.streams.iter().all(SendStream::is_idle)
    }

    /// Whether anything must leave as soon as it may.
    pub fn has_sendable(&self) -> bool {
        debug_assert!(StreamId::ALL.iter().all(|stream| self.is_consistent(*stream)), "{self:?}");
        self.ping_pending || self.pending_credits != 0 || self.dirty_streams().any(SendStream::has_sendable)
    }

    /// Whether the copies of a stream's counts agree with the stream.
    fn is_consistent(&self, stream: StreamId) -> bool {
        let queued = &self.streams[stream.index()];
        let may_send = self.dirty_streams & bit(stream) != 0 || !queued.has_sendable();
        may_send && self.unacked(stream) == queued.unacked()
    }

    fn dirty_streams(&self) -> impl Iterator<Item = &SendStream> {
        let is_stirred = |stream: &StreamId| self.dirty_streams & bit(*stream) != 0;
        StreamId::ALL.into_iter().filter(is_stirred).map(|stream| &self.streams[stream.index()])
    }

    /// Returns the bytes of all streams that could leave now.
    pub fn sendable(&self) -> u64 {
        self.dirty_streams().map(SendStream::sendable).sum()
    }

    /// Returns the bytes of a stream queued or sent and not acknowledged.
    pub fn unacked(&self, stream: StreamId) -> usize {
        self.unacked[stream.index()] as usize
    }

    /// Queues one message. The link has checked that there is space.
    pub fn push(&mut self, stream: StreamId, parts: &[&[u8]]) {
        let queued = &mut self.streams[stream.index()];
        queued.push(parts);
        self.unacked[stream.index()] = queued.unacked() as u32;
        self.dirty_streams |= bit(stream);
    }

    /// Handles a credit limit given by the other end.
    pub fn handle_limit(&mut self, stream: StreamId, limit: u64) {
        let queued = &mut self.streams[stream.index()];
        queued.handle_limit(limit);
        if queued.has_sendable() {
            self.dirty_streams |= bit(stream);
        }
    }

    /// Returns the next stream with data to send, from index `first` on, and the range given by
    /// [`SendStream::peek`].
    pub fn next(&mut self, first: usize) -> Option<(StreamId, Range<u64>)> {
        for stream in &StreamId::ALL[first..] {
            if self.dirty_streams & bit(*stream) == 0 {
                continue;
            }
            if let Some(range) = self.streams[stream.index()].peek() {
                return Some((*stream, range));
            }
            self.dirty_streams &= !bit(*stream);
        }
        None
    }

    /// Appends the bytes of `range`, the front of the range given by [`PendingFrames::next`], and
    /// counts them as sent.
    ///
    /// Returns whether they are a retransmission.
    pub fn take(&mut self, stream: StreamId, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        self.streams[stream.index()].take(range, out)
    }

    /// Requests a PING with its round trip.
    pub fn queue_measured_ping(&mut self) {
        self.ping_pending = true;
        self.pong_awaited = true;
    }

    /// Requests a PING without its round trip.
    pub fn queue_ping(&mut self) {
        self.ping_pending = true;
    }

    /// Whether a PING must leave.
    pub fn has_pending_ping(&self) -> bool {
        self.ping_pending
    }

    /// Records that a PING has left.
    pub fn clear_ping(&mut self) {
        self.ping_pending = false;
    }

    /// Takes the result of a PING. Returns it once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.pong.take()
    }

    /// Handles the ack of a packet.
    pub fn handle_acked(&mut self, sent: &SentPacket, now: Tick) {
        for (stream, range) in &sent.ranges {
            let queued = &mut self.streams[stream.index()];
            queued.handle_acked(range.clone());
            self.unacked[stream.index()] = queued.unacked() as u32;
        }
        if sent.ping && self.pong_awaited {
            self.ping_pending = false;
            self.pong_awaited = false;
            self.pong = Some(now.since(sent.at));
        }
    }

    /// Schedules the content of a packet to be sent again.
    pub fn retransmit(&mut self, sent: &SentPacket) {
        for (stream, range) in &sent.ranges {
            self.streams[stream.index()].retransmit(range.clone());
            self.dirty_streams |= bit(*stream);
        }
        self.pending_credits |= sent.credits;
        self.ping_pending |= sent.ping && self.pong_awaited;
    }
}

/// Returns the bit of a stream.
pub const fn bit(stream: StreamId) -> u8 {
    1 << stream.index()
}
