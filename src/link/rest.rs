//! A link at rest: what is left of one while both ends have nothing to say, in a few dozen bytes.
//!
//! Nothing that the other end can see is lost: numbers, streams, credit and estimates of paths go on where they stood.
//! What is forgotten is of use only while packets are about: records of packets that carried nothing that needs an ack,
//! older ranges of numbers, and how packets fared on the path.

use super::acks::{Acks, Asks, Patience};
use super::answers::Answers;
use super::outgoing::Outgoing;
use super::path_state::PathState;
use super::recv_stream::{Gapped, RecvStream};
use super::sent::SentPackets;
use super::{Link, MESSAGE_MAX, Stats};
use crate::base::{Beats, Tick, Unpacker, pack_number, pack_tick};
use crate::wire::frame::{Frame, Frames, StreamId};
use crate::wire::limits::STREAM_CREDIT;
use crate::wire::varint::VARINT_MAX;

/// What answers a keep-alive of a link at rest: an ack alone.
#[derive(Debug)]
pub struct AtRest {
    acks: Acks,
    next_number: u64,
}

impl Link {
    /// Whether a relay's link may be packed: both ends have what the other one sent, and only the other end may act next.
    pub fn is_quiet(&self) -> bool {
        self.keep_alive.is_none()
            && !self.stranded
            && self.sent.outstanding() == 0
            && self.outgoing.is_quiet()
            && self.incoming.iter().all(RecvStream::is_quiet)
            && self.acks.are_quiet()
            && self.at.is_quiet()
    }

    /// Counts messages that were read, and packets with some that have arrived: it stands still while nobody says
    /// anything.
    pub const fn progress(&self) -> u64 {
        self.progress
    }

    /// Appends a quiet link to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        self.acks.pack(into);
        pack_number(into, self.sent.next_number());
        self.outgoing.pack(into);
        self.incoming.iter().for_each(|stream| stream.pack(into));
        self.at.pack(into);
        pack_number(into, self.left.len() as u64);
        self.left.iter().for_each(|left| left.pack(into));
        pack_number(into, self.ack_delay);
        pack_number(into, self.peer_ack_delay_from);
        pack_tick(into, self.last_heard);
        pack_tick(into, self.last_asked);
        self.stats.pack(into);
    }

    /// A link that was packed, and has answered these since.
    pub fn unpack(from: &mut Unpacker<'_>, beats: Beats) -> Link {
        let AtRest { acks, next_number } = AtRest::unpack(from, beats);
        let outgoing = Outgoing::unpack(from);
        let incoming = StreamId::ALL.map(|stream| {
            RecvStream::unpack(from, STREAM_CREDIT[stream.index()], MESSAGE_MAX[stream.index()])
        });
        Link {
            outgoing,
            incoming,
            gapped: Gapped { held: 0, max: usize::MAX },
            acks,
            answers: Answers::default(),
            sent: SentPackets::resting(next_number),
            at: PathState::unpack(from),
            stranded: false,
            left: (0..from.number()).map(|_| PathState::unpack(from)).collect(),
            keep_alive: None,
            whole: 0,
            progress: 0,
            ack_delay: from.number(),
            peer_ack_delay_from: from.number(),
            last_heard: beats.last().unwrap_or(Tick::ZERO).max(from.tick()),
            last_asked: from.tick(),
            stats: Stats::unpack(from).and(beats),
        }
    }
}

impl AtRest {
    /// What stands first in a link that was packed, and has answered these since.
    pub fn unpack(from: &mut Unpacker<'_>, beats: Beats) -> AtRest {
        let acks = Acks::unpack(from, beats);
        AtRest { acks, next_number: from.number() + u64::from(beats.count) }
    }

    /// Takes in a packet that does nothing but keep alive: the next one, a PING and acks that tell nothing. `false` for
    /// any other, which is for the link itself; nothing has changed.
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
            self.acks.handle_number(number, now, Asks::AtOnce, (0, Patience::Short));
        }
        keeps_alive
    }

    /// Appends the answer's frames; its number.
    pub fn answer(mut self, now: Tick, room: usize, buf: &mut Vec<u8>) -> u64 {
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

    fn and(self, beats: Beats) -> Stats {
        let count = u64::from(beats.count);
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
