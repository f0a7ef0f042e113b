//! Hibernated links: a quiet link packed into a few dozen bytes.
//!
//! The other end sees no difference: numbers, streams, credit and estimates of paths continue
//! unchanged. Forgotten are records of packets without content that needs an ack, older ranges of
//! numbers, and losses on the path.

use super::acks::{AckDelay, AckUrgency, Acks};
use super::path_state::PathState;
use super::pending_frames::PendingFrames;
use super::recv_stream::{Gapped, RecvStream};
use super::reply_delay::ReplyDelay;
use super::sent::SentPackets;
use super::{Link, MESSAGE_MAX, Stats};
use crate::base::{KeepAliveCount, Tick, Unpacker, pack_number, pack_tick};
use crate::wire::frame::{Frame, Frames, StreamId};
use crate::wire::limits::STREAM_CREDIT;
use crate::wire::varint::VARINT_MAX;

/// The part of a hibernated link that answers a keep-alive: an ack alone.
#[derive(Debug)]
pub struct HibernatedLink {
    acks: Acks,
    next_number: u64,
}

impl Link {
    /// Whether a relay's link may be packed: both ends have received everything, and only the other
    /// end may act next.
    pub fn may_hibernate(&self) -> bool {
        self.keep_alive.is_none()
            && !self.is_path_lost
            && self.sent.outstanding() == 0
            && self.pending.is_idle()
            && self.incoming.iter().all(RecvStream::is_idle)
            && self.acks.is_idle()
            && self.current.is_idle()
    }

    /// Returns the number of messages read and of acknowledged packets with stream data. It is
    /// constant while neither end sends messages.
    pub const fn progress(&self) -> u64 {
        self.progress
    }

    /// Appends a quiet link to a hibernated session.
    pub fn pack(&self, into: &mut Vec<u8>) {
        self.acks.pack(into);
        pack_number(into, self.sent.next_number());
        self.pending.pack(into);
        self.incoming.iter().for_each(|stream| stream.pack(into));
        self.current.pack(into);
        pack_number(into, self.remembered.len() as u64);
        self.remembered.iter().for_each(|state| state.pack(into));
        pack_number(into, self.announced_ack_delay);
        pack_number(into, self.peer_ack_delay_from);
        pack_tick(into, self.last_received);
        pack_tick(into, self.last_ack_eliciting_sent);
        self.stats.pack(into);
    }

    /// Restores a link written by [`Link::pack`], which has answered `beats` since.
    pub fn unpack(from: &mut Unpacker<'_>, keep_alives: KeepAliveCount) -> Link {
        let HibernatedLink { acks, next_number } = HibernatedLink::unpack(from, keep_alives);
        let pending = PendingFrames::unpack(from);
        let incoming = StreamId::ALL.map(|stream| {
            RecvStream::unpack(from, STREAM_CREDIT[stream.index()], MESSAGE_MAX[stream.index()])
        });
        Link {
            pending,
            incoming,
            gapped: Gapped { held: 0, max: usize::MAX },
            acks,
            reply_delay: ReplyDelay::default(),
            sent: SentPackets::after_hibernation(next_number),
            current: PathState::unpack(from),
            is_path_lost: false,
            remembered: (0..from.number()).map(|_| PathState::unpack(from)).collect(),
            keep_alive: None,
            readable_streams: 0,
            progress: 0,
            announced_ack_delay: from.number(),
            peer_ack_delay_from: from.number(),
            last_received: keep_alives.last().unwrap_or(Tick::ZERO).max(from.tick()),
            last_ack_eliciting_sent: from.tick(),
            stats: Stats::unpack(from).and(keep_alives),
        }
    }
}

impl HibernatedLink {
    /// Reads the first part of a packed link, which has answered `beats` since.
    pub fn unpack(from: &mut Unpacker<'_>, keep_alives: KeepAliveCount) -> HibernatedLink {
        let acks = Acks::unpack(from, keep_alives);
        HibernatedLink { acks, next_number: from.number() + u64::from(keep_alives.count) }
    }

    /// Handles a packet that is only a keep-alive: the next one, with a PING and acks without news.
    /// Returns `false`, changing nothing, for any other packet, which the link itself must handle.
    pub fn handle_keep_alive(&mut self, now: Tick, number: u64, frames: &[u8]) -> bool {
        let mut pings = false;
        for frame in Frames::new(frames) {
            match frame {
                Ok(Frame::Ping) => pings = true,
                Ok(Frame::Ack(ack)) if ack.largest < self.next_number => {}
                _ => return false,
            }
        }
        let keeps_alive = pings && number == self.acks.next_number() && number < VARINT_MAX;
        if keeps_alive {
            self.acks.handle_number(number, now, AckUrgency::Immediate, 0, AckDelay::Normal);
        }
        keeps_alive
    }

    /// Appends the frames of the answer. Returns its number.
    pub fn write_ack(mut self, now: Tick, room: usize, buf: &mut Vec<u8>) -> u64 {
        self.acks.write(now, room, buf);
        self.next_number
    }
}

impl Stats {
    fn pack(&self, into: &mut Vec<u8>) {
        let Stats { packets_sent, packets_received, packets_lost, packets_lost_spuriously, ptos, .. } = *self;
        let Stats { stream_bytes_sent, stream_bytes_resent, acks_alone, .. } = *self;
        let Stats { persistent_congestions, packets_refused, moves, .. } = *self;
        for count in [packets_sent, packets_received, packets_lost, packets_lost_spuriously, ptos] {
            pack_number(into, count);
        }
        for count in [stream_bytes_sent, stream_bytes_resent, acks_alone] {
            pack_number(into, count);
        }
        for count in [persistent_congestions, packets_refused, moves] {
            pack_number(into, count);
        }
    }

    fn and(self, keep_alives: KeepAliveCount) -> Stats {
        let count = u64::from(keep_alives.count);
        Stats {
            packets_sent: self.packets_sent + count,
            packets_received: self.packets_received + count,
            acks_alone: self.acks_alone + count,
            ..self
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Stats {
        Stats {
            packets_sent: from.number(),
            packets_received: from.number(),
            packets_lost: from.number(),
            packets_lost_spuriously: from.number(),
            ptos: from.number(),
            stream_bytes_sent: from.number(),
            stream_bytes_resent: from.number(),
            acks_alone: from.number(),
            persistent_congestions: from.number(),
            packets_refused: from.number(),
            moves: from.number(),
        }
    }
}
