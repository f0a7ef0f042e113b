//! What waits to leave: three streams, credit to announce, a PING.

use std::ops::Range;
use std::time::Duration;

use super::send_stream::SendStream;
use super::sent::Sent;
use crate::base::{Tick, Unpacker};
use crate::wire::frame::StreamId;
use crate::wire::limits::STREAM_CREDIT;

/// Everything that asks for an ack and is sent until it has one.
#[derive(Debug)]
pub struct Outgoing {
    /// Of each stream, the bytes queued or sent and not acknowledged. It stands here, with all that is asked for with each
    /// packet, so that no stream is touched that has nothing to do.
    unacked: [u32; 3],
    /// Streams that may have something to send, as bits: those that have are among them.
    stirred: u8,
    /// Streams whose credit is to be announced, because half of it was read or the last word of it was lost, as bits.
    pub credits_owed: u8,
    ping_owed: bool,
    /// A caller waits for the result of a PING.
    pub pong_awaited: bool,
    pong: Option<Duration>,
    /// By [`StreamId::index`].
    streams: [SendStream; 3],
}

impl Outgoing {
    /// Nothing waits, and the other end gives this credit.
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

    /// Appends what is quiet to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        self.streams.iter().for_each(|stream| stream.pack(into));
    }

    /// What was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> Outgoing {
        Outgoing { streams: StreamId::ALL.map(|_| SendStream::unpack(from)), ..Outgoing::new(STREAM_CREDIT) }
    }

    /// Whether nothing waits, is on its way or is waited for.
    pub fn is_quiet(&self) -> bool {
        let owes = self.credits_owed != 0 || self.ping_owed || self.pong_awaited || self.pong.is_some();
        !owes && self.streams.iter().all(SendStream::is_quiet)
    }

    /// Whether anything is to leave as soon as it may.
    pub fn waits(&self) -> bool {
        debug_assert!(StreamId::ALL.iter().all(|stream| self.is_told_truly(*stream)), "{self:?}");
        self.ping_owed || self.credits_owed != 0 || self.stirred().any(SendStream::waits)
    }

    /// Whether what stands here of a stream is what the stream says itself.
    fn is_told_truly(&self, stream: StreamId) -> bool {
        let queued = &self.streams[stream.index()];
        let may_send = self.stirred & bit(stream) != 0 || !queued.waits();
        may_send && self.unacked(stream) == queued.unacked()
    }

    fn stirred(&self) -> impl Iterator<Item = &SendStream> {
        let is_stirred = |stream: &StreamId| self.stirred & bit(*stream) != 0;
        StreamId::ALL.into_iter().filter(is_stirred).map(|stream| &self.streams[stream.index()])
    }

    /// Bytes of all streams that could go now.
    pub fn sendable(&self) -> u64 {
        self.stirred().map(SendStream::sendable).sum()
    }

    /// Bytes of a stream queued or sent and not acknowledged.
    pub fn unacked(&self, stream: StreamId) -> usize {
        self.unacked[stream.index()] as usize
    }

    /// Queues one message; the link has checked that there is room.
    pub fn push(&mut self, stream: StreamId, parts: &[&[u8]]) {
        let queued = &mut self.streams[stream.index()];
        queued.push(parts);
        self.unacked[stream.index()] = queued.unacked() as u32;
        self.stirred |= bit(stream);
    }

    /// The other end permits more of a stream.
    pub fn handle_limit(&mut self, stream: StreamId, limit: u64) {
        let queued = &mut self.streams[stream.index()];
        queued.handle_limit(limit);
        if queued.waits() {
            self.stirred |= bit(stream);
        }
    }

    /// The next stream with something to send, from `first` on: what [`SendStream::peek`] has of it.
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

    /// Appends the bytes of `range`, the front of what [`Outgoing::next`] gave, and counts them as sent. Tells whether they
    /// had been sent before.
    pub fn take(&mut self, stream: StreamId, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        self.streams[stream.index()].take(range, out)
    }

    /// A PING whose round trip is wanted.
    pub fn ask_ping(&mut self) {
        (self.ping_owed, self.pong_awaited) = (true, true);
    }

    /// A PING for its own sake.
    pub fn owe_ping(&mut self) {
        self.ping_owed = true;
    }

    /// Whether a PING is to leave.
    pub fn owes_ping(&self) -> bool {
        self.ping_owed
    }

    /// A PING has left.
    pub fn ping_sent(&mut self) {
        self.ping_owed = false;
    }

    /// The result of a PING, once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.pong.take()
    }

    /// A packet was acknowledged.
    pub fn handle_acked(&mut self, sent: &Sent, now: Tick) {
        for (stream, range) in &sent.pieces {
            let queued = &mut self.streams[stream.index()];
            queued.acked(range.clone());
            self.unacked[stream.index()] = queued.unacked() as u32;
        }
        if sent.ping && self.pong_awaited {
            (self.ping_owed, self.pong_awaited) = (false, false);
            self.pong = Some(now.since(sent.at));
        }
    }

    /// What a packet carried goes again.
    pub fn send_again(&mut self, sent: &Sent) {
        for (stream, range) in &sent.pieces {
            self.streams[stream.index()].send_again(range.clone());
            self.stirred |= bit(*stream);
        }
        self.credits_owed |= sent.credits;
        self.ping_owed |= sent.ping && self.pong_awaited;
    }
}

/// The bit that stands for a stream.
pub const fn bit(stream: StreamId) -> u8 {
    1 << stream.index()
}
