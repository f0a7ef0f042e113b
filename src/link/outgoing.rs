//! Data waiting to be sent: three streams, credit to announce, a PING.

use std::ops::Range;
use std::time::Duration;

use super::send_stream::SendStream;
use super::sent::Sent;
use crate::base::{Tick, Unpacker};
use crate::wire::frame::StreamId;
use crate::wire::limits::STREAM_CREDIT;

/// Everything that requests an ack and is sent until it has one.
#[derive(Debug)]
pub struct Outgoing {
    /// Bytes of each stream that are queued or sent and not acknowledged.
    ///
    /// A copy of the streams' own counts, next to the state that every packet needs: idle streams
    /// stay out of the processor's cache.
    unacked: [u32; 3],
    /// Streams that may have data to send, as bits: a superset of those that have.
    stirred: u8,
    /// Streams whose credit must be announced, as bits: half of it was read, or the last
    /// announcement was lost.
    pub credits_owed: u8,
    ping_owed: bool,
    /// Whether a caller waits for the result of a PING.
    pub pong_awaited: bool,
    pong: Option<Duration>,
    /// Indexed by [`StreamId::index`].
    streams: [SendStream; 3],
}

impl Outgoing {
    /// Creates an empty state with the credit given by the other end.
    pub fn new(credit: [usize; 3]) -> Outgoing {
        let streams = credit.map(|limit| SendStream::new(limit as u64));
        Outgoing {
            unacked: [0; 3],
            stirred: 0,
            credits_owed: 0,
            ping_owed: false,
            pong_awaited: false,
            pong: None,
            streams,
        }
    }

    /// Appends a quiet state to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        self.streams.iter().for_each(|stream| stream.pack(into));
    }

    /// Restores a state written by [`Outgoing::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> Outgoing {
        Outgoing { streams: StreamId::ALL.map(|_| SendStream::unpack(from)), ..Outgoing::new(STREAM_CREDIT) }
    }

    /// Whether nothing is queued, in flight or awaited.
    pub fn is_quiet(&self) -> bool {
        let owes = self.credits_owed != 0 || self.ping_owed || self.pong_awaited || self.pong.is_some();
        !owes && self.streams.iter().all(SendStream::is_quiet)
    }

    /// Whether anything must leave as soon as it may.
    pub fn waits(&self) -> bool {
        debug_assert!(StreamId::ALL.iter().all(|stream| self.is_told_truly(*stream)), "{self:?}");
        self.ping_owed || self.credits_owed != 0 || self.stirred().any(SendStream::waits)
    }

    /// Whether the copies of a stream's counts agree with the stream.
    fn is_told_truly(&self, stream: StreamId) -> bool {
        let queued = &self.streams[stream.index()];
        let may_send = self.stirred & bit(stream) != 0 || !queued.waits();
        may_send && self.unacked(stream) == queued.unacked()
    }

    fn stirred(&self) -> impl Iterator<Item = &SendStream> {
        let is_stirred = |stream: &StreamId| self.stirred & bit(*stream) != 0;
        StreamId::ALL.into_iter().filter(is_stirred).map(|stream| &self.streams[stream.index()])
    }

    /// Returns the bytes of all streams that could leave now.
    pub fn sendable(&self) -> u64 {
        self.stirred().map(SendStream::sendable).sum()
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
        self.stirred |= bit(stream);
    }

    /// Handles a credit limit given by the other end.
    pub fn handle_limit(&mut self, stream: StreamId, limit: u64) {
        let queued = &mut self.streams[stream.index()];
        queued.handle_limit(limit);
        if queued.waits() {
            self.stirred |= bit(stream);
        }
    }

    /// Returns the next stream with data to send, from index `first` on, and the range given by
    /// [`SendStream::peek`].
    pub fn next(&mut self, first: usize) -> Option<(StreamId, Range<u64>)> {
        for stream in &StreamId::ALL[first..] {
            if self.stirred & bit(*stream) == 0 {
                continue;
            }
            if let Some(range) = self.streams[stream.index()].peek() {
                return Some((*stream, range));
            }
            self.stirred &= !bit(*stream);
        }
        None
    }

    /// Appends the bytes of `range`, the front of the range given by [`Outgoing::next`], and counts
    /// them as sent.
    ///
    /// Returns whether they are a retransmission.
    pub fn take(&mut self, stream: StreamId, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        self.streams[stream.index()].take(range, out)
    }

    /// Requests a PING with its round trip.
    pub fn ask_ping(&mut self) {
        self.ping_owed = true;
        self.pong_awaited = true;
    }

    /// Requests a PING without its round trip.
    pub fn owe_ping(&mut self) {
        self.ping_owed = true;
    }

    /// Whether a PING must leave.
    pub fn owes_ping(&self) -> bool {
        self.ping_owed
    }

    /// Records that a PING has left.
    pub fn ping_sent(&mut self) {
        self.ping_owed = false;
    }

    /// Takes the result of a PING. Returns it once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.pong.take()
    }

    /// Handles the ack of a packet.
    pub fn handle_acked(&mut self, sent: &Sent, now: Tick) {
        for (stream, range) in &sent.pieces {
            let queued = &mut self.streams[stream.index()];
            queued.acked(range.clone());
            self.unacked[stream.index()] = queued.unacked() as u32;
        }
        if sent.ping && self.pong_awaited {
            self.ping_owed = false;
            self.pong_awaited = false;
            self.pong = Some(now.since(sent.at));
        }
    }

    /// Schedules the content of a packet to be sent again.
    pub fn send_again(&mut self, sent: &Sent) {
        for (stream, range) in &sent.pieces {
            self.streams[stream.index()].send_again(range.clone());
            self.stirred |= bit(*stream);
        }
        self.credits_owed |= sent.credits;
        self.ping_owed |= sent.ping && self.pong_awaited;
    }
}

/// Returns the bit of a stream.
pub const fn bit(stream: StreamId) -> u8 {
    1 << stream.index()
}
