//! Input of a link: packets and time.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::acks::{AckDelay, AckUrgency};
use super::nanos::{Nanos, of_micros, since};
use super::pending_frames::bit;
use super::recv_stream::InsertResult;
use super::reply_delay::piggyback_ack_delay;
use super::sent::{LossThreshold, Losses, PacketState};
use super::{ExtraFrame, Link, ProtocolViolation, ReceivedPacket};
use crate::base::{Path, Tick};
use crate::wire::frame::{Ack, Frame, Frames};
use crate::wire::varint::VARINT_MAX;

/// PTOs without any ack after which congestion counts as persistent (RFC 9002 §7.6.1).
const PERSISTENT_PTOS: u64 = 3;
/// PTOs for which lost packets are remembered, in case of a late ack.
const LOST_REMEMBERED_PTOS: u64 = 3;

/// Maximum lateness of a deadline, beyond which the process was stopped or the machine suspended: 1
/// s, longer than any turn.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// The effect of one ack.
#[derive(Default)]
struct AckProgress {
    /// Whether an outstanding packet was acknowledged.
    outstanding: bool,
    /// When the packet of the largest number was sent, and its length.
    largest_sent: Option<(Tick, usize)>,
}

impl Link {
    /// Handles the frames of one packet that is authentic and not a replay. `sink` receives the
    /// frames that concern the caller. A packet number above 2⁶² − 1, which no ack can name, is
    /// dropped.
    ///
    /// # Errors
    /// A [`ProtocolViolation`] if the other end broke the protocol. The session must be closed.
    pub fn handle_packet(
        &mut self,
        now: Tick,
        path: Path,
        number: u64,
        frames: &[u8],
        sink: &mut impl FnMut(ExtraFrame<'_>),
    ) -> Result<ReceivedPacket, ProtocolViolation> {
        let mut received = ReceivedPacket::default();
        if number > VARINT_MAX {
            self.stats.packets_refused += 1;
            return Ok(received);
        }
        self.stats.packets_received += 1;
        self.last_received = now;
        if path == self.current.path {
            self.current.last_received = Some(now);
            self.current.loss_window.handle_number(number);
        }
        let mut urgency = AckUrgency::None;
        let mut refused = false;
        for frame in Frames::new(frames) {
            let frame = frame.map_err(ProtocolViolation::Frame)?;
            received.non_probing |= !frame.is_probing();
            match self.handle_frame(now, number, frame, sink)? {
                Some(frame_urgency) => urgency = urgency.max(frame_urgency),
                None => refused = true,
            }
        }
        received.ack_eliciting = urgency > AckUrgency::None || refused;
        // A packet with refused data is not acknowledged at all: its sender must send all of it
        // again.
        if refused {
            self.stats.packets_refused += 1;
        } else {
            self.schedule_ack(now, number, urgency);
        }
        Ok(received)
    }

    /// Records the number of a packet and schedules its ack.
    fn schedule_ack(&mut self, now: Tick, number: u64, urgency: AckUrgency) {
        if urgency > AckUrgency::None {
            self.reply_delay.handle_request(now);
        }
        let piggyback = self.piggyback_delay();
        let ack_delay = if piggyback.is_some() { AckDelay::Piggyback } else { AckDelay::Normal };
        let delay =
            self.announced_ack_delay.min(piggyback.unwrap_or_else(|| self.current.rtt.own_ack_delay()));
        if !self.acks.handle_number(number, now, urgency, delay, ack_delay) {
            self.reply_delay.handle_loss();
        }
    }

    /// Returns how long an ack waits for a packet with data. `None` if that does not help, or if
    /// the other end does not know of the delay yet.
    fn piggyback_delay(&self) -> Option<Nanos> {
        let is_announced = |wait: &Nanos| *wait < piggyback_ack_delay(self.announced_ack_delay);
        self.reply_delay.expected(self.current.rtt.smoothed()).filter(is_announced)
    }

    /// Advances time: handles every deadline up to `now`.
    pub fn handle_time(&mut self, now: Tick) {
        let late = self.next_deadline().map_or(Duration::ZERO, |at| now.since(at));
        if late > OVERSLEPT {
            self.handle_woken(now);
        }
        self.current.silent_since = self.current.silent_since + late;
        if self.acks.handle_time(now) && self.piggyback_delay().is_some() {
            self.reply_delay.handle_no_reply();
        }
        if self.is_path_lost {
            return;
        }
        self.current.paced_until = self.current.paced_until.filter(|until| *until > now);
        if self.current.loss_at.is_some_and(|at| at <= now) {
            self.detect_losses(now);
        }
        if self.pto_deadline().is_some_and(|at| at <= now) {
            self.stats.ptos += 1;
            self.current.handle_pto(now);
        }
        if self.keep_alive_deadline().is_some_and(|at| at <= now) {
            self.pending.queue_ping();
        }
    }

    /// Returns when the probe timer fires. It stops while a loss timer runs (RFC 9002 §6.2.1).
    pub(super) fn pto_deadline(&self) -> Option<Tick> {
        (self.sent.outstanding() > 0 && self.current.loss_at.is_none()).then(|| self.current.pto_at())
    }

    /// Returns when a client must send a keep-alive, after both directions were idle.
    pub(super) fn keep_alive_deadline(&self) -> Option<Tick> {
        let quiet = self.sent.outstanding() == 0 && !self.pending.has_pending_ping();
        self.keep_alive.filter(|_| quiet).map(|span| self.idle_since() + span)
    }

    /// Handles one frame. Returns the ack it requests, or `None` if its packet must be treated as
    /// lost.
    fn handle_frame(
        &mut self,
        now: Tick,
        number: u64,
        frame: Frame<'_>,
        sink: &mut impl FnMut(ExtraFrame<'_>),
    ) -> Result<Option<AckUrgency>, ProtocolViolation> {
        match frame {
            Frame::Padding(_) => return Ok(Some(AckUrgency::None)),
            Frame::Ping => return Ok(Some(AckUrgency::Immediate)),
            Frame::Ack(ack) => {
                self.handle_ack(now, ack)?;
                return Ok(Some(AckUrgency::None));
            }
            Frame::Stream { stream, offset, data } => {
                let incoming = &mut self.incoming[stream.index()];
                return Ok(match incoming.insert(offset, data, &mut self.gapped)? {
                    InsertResult::Accepted => Some(AckUrgency::Delayed),
                    InsertResult::CompletedMessage => {
                        self.readable_streams |= bit(stream);
                        Some(AckUrgency::ImmediateIfIdle)
                    }
                    InsertResult::Refused => None,
                });
            }
            Frame::MaxStreamData { stream, limit } => self.pending.handle_limit(stream, limit),
            Frame::PathChallenge(data) => sink(ExtraFrame::PathChallenge(data)),
            Frame::PathResponse(data) => sink(ExtraFrame::PathResponse(data)),
            Frame::Probe(probe) => {
                sink(ExtraFrame::Probe { id: probe.id, len: frame.encoded_len() });
                return Ok(Some(AckUrgency::None));
            }
            Frame::ProbeAnswer(probe) => {
                sink(ExtraFrame::ProbeAnswer(probe.id));
                return Ok(Some(AckUrgency::None));
            }
            Frame::Close { code, reason } => {
                sink(ExtraFrame::Close { code, reason });
                return Ok(Some(AckUrgency::None));
            }
            Frame::MaxAckDelay(delay_us) => self.handle_ack_delay(now, number, of_micros(delay_us)),
            Frame::Skipped { .. } => {}
        }
        Ok(Some(AckUrgency::Delayed))
    }

    /// Handles an announced ack delay. The announcement with the highest packet number counts, in
    /// whatever order they arrive.
    fn handle_ack_delay(&mut self, now: Tick, number: u64, delay: Nanos) {
        if number >= self.peer_ack_delay_from {
            self.peer_ack_delay_from = number;
            self.current.rtt.set_peer_ack_delay(delay);
            self.rearm(now);
        }
    }

    fn handle_ack(&mut self, now: Tick, ack: Ack<'_>) -> Result<(), ProtocolViolation> {
        if ack.largest >= self.sent.next_number() {
            return Err(ProtocolViolation::AckOfUnsent);
        }
        let mut progress = AckProgress::default();
        for range in ack.ranges() {
            self.handle_acked_range(now, &range, ack.largest, &mut progress);
        }
        // No sample without a newly acknowledged packet that requests an ack (RFC 9002 §5.1), nor
        // across a suspension.
        let is_valid_sample = |(at, _): &(Tick, usize)| {
            progress.outstanding && self.current.woken_at.is_none_or(|woken_at| woken_at <= *at)
        };
        if let Some((sent_at, size)) = progress.largest_sent.filter(is_valid_sample) {
            self.current.handle_sample(since(now, sent_at), size, of_micros(ack.delay_us));
        }
        if progress.outstanding {
            self.current.handle_progress(now);
        }
        self.detect_losses(now);
        self.rearm(now);
        Ok(())
    }

    /// Restarts a probe timeout that has become shorter than the time waited, or was suspended by a
    /// loss timer. It may not fire at once, since a packet has just arrived.
    pub(super) fn rearm(&mut self, now: Tick) {
        if self.current.pto_at() <= now {
            self.current.waiting_since = now;
        }
    }

    fn handle_acked_range(
        &mut self,
        now: Tick,
        range: &RangeInclusive<u64>,
        largest: u64,
        progress: &mut AckProgress,
    ) {
        let Link { sent, pending, acks, current: at, stats, progress: link_progress, .. } = self;
        let in_flight = sent.in_flight();
        sent.ack(*range.start()..*range.end() + 1, |number, sent, on_current_path| {
            if let Some(through) = sent.ack_through {
                acks.forget_through(through);
            }
            pending.handle_acked(sent, now);
            *link_progress += u64::from(!sent.ranges.is_empty());
            if number == largest
                && on_current_path
                && matches!(sent.state, PacketState::Outstanding | PacketState::NonEliciting)
            {
                progress.largest_sent = Some((sent.at, sent.size));
            }
            match sent.state {
                PacketState::Outstanding => {
                    progress.outstanding = true;
                    at.loss_window.handle_acked(sent.size);
                    at.congestion.handle_ack(sent.at, sent.size, in_flight);
                }
                PacketState::Lost => stats.packets_lost_spuriously += 1,
                PacketState::NonEliciting | PacketState::Abandoned | PacketState::Acked => {}
            }
        });
    }

    /// Detects lost packets and queues their content again. On UDP it also adapts the window.
    fn detect_losses(&mut self, now: Tick) {
        self.current.loss_at = None;
        if self.sent.outstanding() > 0 {
            let Link { sent, pending, current: at, .. } = self;
            if at.is_udp() {
                let threshold = LossThreshold::udp(at.rtt.loss_delay());
                let loss_window = &mut at.loss_window;
                let losses = sent.detect_lost(now, threshold, |sent| {
                    loss_window.handle_lost(sent.size);
                    pending.retransmit(sent);
                });
                self.handle_losses(now, losses);
            } else {
                let losses = sent.detect_lost(now, LossThreshold::TCP, |sent| pending.retransmit(sent));
                self.stats.packets_lost += losses.count;
            }
        }
        let rtt = &self.current.rtt;
        self.sent.forget(|| now - Duration::from_nanos(LOST_REMEMBERED_PTOS * rtt.pto()));
    }

    fn handle_losses(&mut self, now: Tick, losses: Losses) {
        self.current.loss_at = losses.next_at;
        self.stats.packets_lost += losses.count;
        let Some(newest) = losses.newest else { return };
        self.reply_delay.handle_loss();
        // The probe timer was suspended by the loss timer. Packets still outstanding wait from now
        // on.
        self.current.waiting_since = now;
        self.current.congestion.handle_loss(newest, now);
        if self.current.rtt.latest().is_some() && losses.span > PERSISTENT_PTOS * self.current.rtt.pto() {
            self.stats.persistent_congestions += 1;
            self.current.congestion.handle_persistent_congestion();
        }
    }
}
