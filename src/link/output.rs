//! Output of a link: messages, packets and the next deadline.

use std::time::Duration;

use super::path_state::{PROBES_UDP, PathState};
use super::pending_frames::bit;
use super::reply_delay::piggyback_ack_delay;
use super::sent::{PacketState, SentPacket};
use super::{BuiltPacket, Link};
use crate::base::Tick;
use crate::wire::frame::{Frame, Frames, StreamId, stream_head_len, write_stream_head};
use crate::wire::limits::{DATA_HEADER_LEN, TAG_LEN, TCP_UNSENT_MAX, UDP_PACKET_MAX};

/// Bytes that sealing adds to the frames of a packet.
const OVERHEAD: usize = DATA_HEADER_LEN + TAG_LEN;
/// Maximum bytes in a packet besides stream data: heads of frames, credit and a full ACK.
const FRAMES_OVERHEAD_MAX: u64 = 256;
/// Maximum stream ranges per packet: with all other frames it stays below the limit of frames.
const RANGES_MAX: usize = 32;
/// Minimum length of a stream range that is cut at the end of a packet: below 16 bytes the head
/// would cost as much.
const RANGE_LEN_MIN: usize = 16;

impl Link {
    /// Returns when time alone makes the link act, or `None` when all is quiet.
    ///
    /// Always later than the last [`Link::handle_time`] and [`Link::build`], if the latter was
    /// repeated until `None`.
    pub fn next_deadline(&self) -> Option<Tick> {
        if self.is_path_lost {
            return None;
        }
        Tick::earliest([
            self.acks.next_deadline(),
            self.current.loss_at,
            self.pto_deadline(),
            self.current.paced_until,
            self.keep_alive_deadline(),
        ])
    }

    /// Whether a complete message of a stream is ready to read.
    #[inline]
    pub const fn has_message(&self, stream: StreamId) -> bool {
        self.readable_streams & bit(stream) != 0
    }

    /// Reads the next complete message of a stream, in order, replacing the content of `into`.
    /// Returns `false` if there is none.
    ///
    /// Reading gives credit back to the other end. An unread stream is stopped by its credit.
    #[inline]
    pub fn receive(&mut self, stream: StreamId, into: &mut Vec<u8>) -> bool {
        if !self.has_message(stream) {
            return false;
        }
        let incoming = &mut self.incoming[stream.index()];
        incoming.next_message(into);
        self.progress += 1;
        if !incoming.has_message() {
            self.readable_streams &= !bit(stream);
        }
        if incoming.owes_credit() {
            self.pending.pending_credits |= bit(stream);
        }
        true
    }

    /// Takes the round trip of a PING requested by [`Link::measure_ping`]. Returns it once.
    pub fn take_pong(&mut self) -> Option<Duration> {
        self.pending.take_pong()
    }

    /// Whether [`Link::build`] would build a packet of the usual size now, with an empty TCP queue.
    pub fn wants_to_send(&self, now: Tick) -> bool {
        !self.is_path_lost && (self.acks.is_due() || self.send_permit(now, usize::MAX, 0) == SendPermit::Open)
    }

    /// Whether [`Link::build`] would find nothing to send at any time and in any window.
    ///
    /// A cheap check at the end of a turn, after which most links need no build.
    pub fn is_silent(&mut self) -> bool {
        let is_silent =
            self.is_path_lost || !(self.acks.is_due() || self.probes() || self.pending.has_sendable());
        if is_silent {
            self.current.paced_until = None;
        }
        is_silent
    }

    /// Whether a probe must leave, whatever the window.
    fn probes(&self) -> bool {
        self.current.probes > 0 && self.sent.outstanding() > 0
    }

    /// Appends the frames of one packet for the current path, at most `room` bytes. Returns `None`
    /// if there is nothing to send now.
    ///
    /// `extra` comes first: encoded frames, which leave even if congestion forbids the rest.
    /// `tcp_unsent` is the number of bytes that a TCP path still has to send, 0 on UDP.
    ///
    /// # Panics
    /// If `extra` is longer than `room`.
    pub fn build(
        &mut self,
        now: Tick,
        room: usize,
        tcp_unsent: usize,
        extra: &[u8],
        buf: &mut Vec<u8>,
    ) -> Option<BuiltPacket> {
        assert!(extra.len() <= room, "callers pass extra frames that fit");
        if self.is_path_lost {
            return None;
        }
        let permit = self.send_permit(now, room, tcp_unsent);
        self.current.paced_until = if let SendPermit::Paced(until) = permit { Some(until) } else { None };
        let open = permit == SendPermit::Open;
        let acks_leave = self.acks.is_due() && !self.is_full(tcp_unsent);
        if !open && extra.is_empty() && !acks_leave {
            return None;
        }
        let start = buf.len();
        let end = start + room.min(self.probe_room());
        let mut sent = SentPacket::new(now);
        buf.extend_from_slice(extra);
        let mut ack_eliciting = has_ack_eliciting(extra);
        sent.ack_through = self.acks.write(now, end - buf.len(), buf);
        let acks_end = buf.len();
        if open {
            ack_eliciting |= self.write_frames(end, &mut sent, buf);
        }
        if buf.len() == start {
            return None;
        }
        if buf.len() == acks_end && extra.is_empty() {
            self.stats.acks_alone += 1;
        }
        sent.size = buf.len() - start + OVERHEAD;
        sent.state = if ack_eliciting { PacketState::Outstanding } else { PacketState::NonEliciting };
        Some(self.record(now, sent))
    }

    /// Appends `extra`, encoded probing frames, as a packet for another path than the current one.
    ///
    /// It uses a packet number. An ack of it is valid and has no effect.
    pub fn build_elsewhere(&mut self, now: Tick, extra: &[u8], buf: &mut Vec<u8>) -> BuiltPacket {
        buf.extend_from_slice(extra);
        self.stats.packets_sent += 1;
        let number = self.sent.next_number();
        if let Some(forgotten) = self.sent.push_elsewhere(now) {
            self.pending.retransmit(&forgotten);
        }
        BuiltPacket { number, ack_eliciting: has_ack_eliciting(extra) }
    }

    /// Returns the maximum length of a probe, in bytes of frames; unlimited if no probe is due.
    ///
    /// A probe replaces an earlier packet in flight. A series of small packets repeated
    /// as full ones would exceed the window.
    fn probe_room(&self) -> usize {
        if self.current.probes == 0 || !self.current.is_udp() {
            return usize::MAX;
        }
        let beyond = self.current.congestion.window() + PROBES_UDP as usize * UDP_PACKET_MAX;
        let free = beyond.saturating_sub(self.sent.in_flight());
        free.max(self.sent.oldest_size()).saturating_sub(OVERHEAD)
    }

    /// Whether TCP has enough to send. Nothing new is built then, not even acks, because a later
    /// ack covers more.
    fn is_full(&self, tcp_unsent: usize) -> bool {
        !self.current.is_udp() && tcp_unsent >= TCP_UNSENT_MAX
    }

    fn send_permit(&self, now: Tick, room: usize, tcp_unsent: usize) -> SendPermit {
        let PathState { congestion, rtt, .. } = &self.current;
        // A probe ignores the window (RFC 9002 §7.5), since no ack may come without it.
        if self.probes() {
            return SendPermit::Open;
        }
        if !self.pending.has_sendable() {
            return SendPermit::Closed;
        }
        // TCP has its own window and loss recovery. Acks on it only show that the peer is alive,
        // and make moves between paths lossless.
        if !self.current.is_udp() {
            return if self.is_full(tcp_unsent) { SendPermit::Closed } else { SendPermit::Open };
        }
        let sendable = self.pending.sendable();
        let room = room.min(UDP_PACKET_MAX - OVERHEAD);
        let size = room.min((sendable + FRAMES_OVERHEAD_MAX) as usize) + OVERHEAD;
        if self.sent.in_flight() + size > congestion.window() {
            return SendPermit::Closed;
        }
        congestion.pause(now, size, rtt.smoothed()).map_or(SendPermit::Open, SendPermit::Paced)
    }

    /// Writes everything but acks. Returns whether anything was written; a probe always writes
    /// something if a byte fits.
    fn write_frames(&mut self, end: usize, sent: &mut SentPacket, buf: &mut Vec<u8>) -> bool {
        let start = buf.len();
        // A probe repeats the oldest data without an ack (RFC 9002 §6.2.4). TCP repeats it itself.
        if self.current.probes > 0 && self.current.is_udp() {
            let Link { sent: packets, pending, .. } = self;
            packets.copy_oldest(|oldest| pending.retransmit(oldest));
        }
        if self.pending.has_pending_ping() && Frame::Ping.encode_within(end - buf.len(), buf) {
            sent.ping = self.pending.pong_awaited;
            self.pending.clear_ping();
        }
        self.write_ack_delay(end, sent, buf);
        self.write_credits(end, sent, buf);
        self.write_streams(end, sent, buf);
        // Nothing to repeat: the probe still needs a frame that requests an ack.
        if buf.len() == start && self.current.probes > 0 {
            Frame::Ping.encode_within(end - buf.len(), buf);
        }
        buf.len() > start
    }

    /// Announces the maximum delay of our acks if it has changed by a factor of two, or by a
    /// quarter upwards for piggybacked acks.
    ///
    /// The latter may not wait longer than announced. An announcement travels with other frames,
    /// and alone only if the packet with the last one was lost.
    fn write_ack_delay(&mut self, end: usize, sent: &mut SentPacket, buf: &mut Vec<u8>) {
        let piggyback = self.reply_delay.expected(self.current.rtt.smoothed());
        let announced = self.announced_ack_delay;
        let delay = piggyback.unwrap_or_else(|| self.current.rtt.own_ack_delay());
        let longer = if piggyback.is_some() { piggyback_ack_delay(announced) } else { announced * 2 };
        let changed = self.current.rtt.latest().is_some() && (delay * 2 <= announced || delay >= longer);
        let again = self.pending.pending_credits & ACK_DELAY_BIT != 0;
        if !changed && !again {
            return;
        }
        let announced = if changed { delay } else { announced };
        let frame = Frame::MaxAckDelay(announced / 1_000);
        if frame.encode_within(end - buf.len(), buf) {
            self.announced_ack_delay = announced;
            self.pending.pending_credits &= !ACK_DELAY_BIT;
            sent.credits |= ACK_DELAY_BIT;
        }
    }

    fn write_credits(&mut self, end: usize, sent: &mut SentPacket, buf: &mut Vec<u8>) {
        if self.pending.pending_credits == 0 {
            return;
        }
        for stream in StreamId::ALL {
            let bit = bit(stream);
            if self.pending.pending_credits & bit != 0 && end - buf.len() >= CREDIT_LEN_MAX {
                let limit = self.incoming[stream.index()].renew_credit();
                Frame::MaxStreamData { stream, limit }.encode(buf);
                self.pending.pending_credits &= !bit;
                sent.credits |= bit;
            }
        }
    }

    fn write_streams(&mut self, end: usize, sent: &mut SentPacket, buf: &mut Vec<u8>) {
        let mut first = 0;
        while let Some((stream, range)) = self.pending.next(first) {
            if sent.ranges.len() == RANGES_MAX {
                return;
            }
            let Some(len) = range_len(range.start, range.end - range.start, end - buf.len()) else {
                // The packets of a train have one size (GSO), so the rest becomes padding.
                if self.current.is_udp() && end - buf.len() < PADDING_MAX {
                    buf.resize(end, 0);
                }
                return;
            };
            first = stream.index();
            write_stream_head(buf, stream, range.start, len);
            let range = range.start..range.start + len as u64;
            self.stats.stream_bytes_sent += len as u64;
            if self.pending.take(stream, range.clone(), buf) {
                self.stats.stream_bytes_resent += len as u64;
            }
            sent.ranges.push((stream, range));
        }
    }

    fn record(&mut self, now: Tick, sent: SentPacket) -> BuiltPacket {
        let ack_eliciting = sent.state == PacketState::Outstanding;
        if ack_eliciting {
            self.reply_delay.handle_reply(now);
            if self.sent.outstanding() == 0 {
                self.current.begin_waiting(now);
            }
            self.current.probes = self.current.probes.saturating_sub(1);
            self.current.congestion.handle_sent(now, sent.size, self.current.rtt.smoothed());
            self.last_ack_eliciting_sent = now;
        }
        self.stats.packets_sent += 1;
        let number = self.sent.next_number();
        if let Some(forgotten) = self.sent.push(sent) {
            self.pending.retransmit(&forgotten);
        }
        BuiltPacket { number, ack_eliciting }
    }
}

/// Whether stream data may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendPermit {
    Open,
    /// Nothing is queued, the window is full, or TCP has enough to send. An event changes that.
    Closed,
    /// The pacer allows it at this time.
    Paced(Tick),
}

/// Bit of an announced ack delay, in one mask with the streams whose credit a packet announced.
const ACK_DELAY_BIT: u8 = 1 << 7;
/// Maximum length of a MAX_STREAM_DATA frame, in bytes.
const CREDIT_LEN_MAX: usize = 10;
/// Maximum unused bytes of a packet: the longest head and the shortest range do not fit into less.
const PADDING_MAX: usize = 2 + 8 + 2 + RANGE_LEN_MIN;

fn has_ack_eliciting(frames: &[u8]) -> bool {
    Frames::new(frames).flatten().any(|frame| frame.is_ack_eliciting())
}

/// Returns how many bytes of a range of `len` bytes at `offset` fit into `room` bytes with its
/// head, or `None` if too few.
fn range_len(offset: u64, len: u64, room: usize) -> Option<usize> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let head = stream_head_len(offset, len.min(room));
    let fits = room.checked_sub(head)?.min(len);
    (fits > 0 && fits >= len.min(RANGE_LEN_MIN)).then_some(fits)
}
