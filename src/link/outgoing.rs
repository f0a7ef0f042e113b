//! What waits to leave: three streams, credit to announce, a PING.

use std::time::Duration;

use super::send_stream::SendStream;
use super::sent::Sent;
use crate::base::Tick;
use crate::wire::frame::StreamId;
use crate::wire::limits::STREAM_CREDIT;

/// Everything that asks for an ack and is sent until it has one.
#[derive(Debug)]
pub struct Outgoing {
    /// The streams, by [`StreamId::index`].
    pub streams: [SendStream; 3],
    /// Streams whose credit is to be announced, because half of it was read or the last word of it was lost, as bits.
    pub credits_owed: u8,
    ping_owed: bool,
    /// A caller waits for the result of a PING.
    pub pong_awaited: bool,
    pong: Option<Duration>,
}

impl Outgoing {
    /// Nothing waits, and the other end gives the credit everybody starts with.
    pub fn new() -> Outgoing {
        Outgoing {
            streams: StreamId::ALL.map(|stream| SendStream::new(STREAM_CREDIT[stream.index()] as u64)),
            credits_owed: 0,
            ping_owed: false,
            pong_awaited: false,
            pong: None,
        }
    }

    /// Whether nothing waits, is on its way or is waited for.
    pub fn is_quiet(&self) -> bool {
        let owes = self.credits_owed != 0 || self.ping_owed || self.pong_awaited || self.pong.is_some();
        !owes && self.streams.iter().all(SendStream::is_quiet)
    }

    /// Whether anything is to leave as soon as it may.
    pub fn waits(&self) -> bool {
        self.ping_owed || self.credits_owed != 0 || self.streams.iter().any(SendStream::waits)
    }

    /// Bytes of a stream queued or sent and not acknowledged.
    pub fn unacked(&self, stream: StreamId) -> usize {
        self.streams[stream.index()].unacked()
    }

    /// Queues one message; the link has checked that there is room.
    pub fn push(&mut self, stream: StreamId, parts: &[&[u8]]) {
        self.streams[stream.index()].push(parts);
    }

    /// The other end permits more of a stream.
    pub fn handle_limit(&mut self, stream: StreamId, limit: u64) {
        self.streams[stream.index()].handle_limit(limit);
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
            self.streams[stream.index()].acked(range.clone());
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
        }
        self.credits_owed |= sent.credits;
        self.ping_owed |= sent.ping && self.pong_awaited;
    }
}
