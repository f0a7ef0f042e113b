//! Input of a link: packets and time.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::acks::{Asks, Patience};
use super::answers::longer_in_company;
use super::nanos::{Nanos, of_micros, since};
use super::outgoing::bit;
use super::recv_stream::Piece;
use super::sent::{Losses, State};
use super::{Link, Other, Seen, Violation};
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
struct Progress {
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
    /// A [`Violation`] if the other end broke the protocol. The session must be closed.
    pub fn handle_packet(
        &mut self,
        now: Tick,
        path: Path,
        number: u64,
        frames: &[u8],
        sink: &mut impl FnMut(Other<'_>),
    ) -> Result<Seen, Violation> {
        let mut seen = Seen::default();
        if number > VARINT_MAX {
            self.stats.packets_refused += 1;
            return Ok(seen);
        }
        self.stats.packets_received += 1;
        self.last_heard = now;
        if path == self.at.path {
            self.at.heard = Some(now);
            self.at.health.handle_number(number);
        }
        let mut asks = Asks::Nothing;
        let mut refused = false;
        for frame in Frames::new(frames) {
            let frame = frame.map_err(Violation::Frame)?;
            seen.non_probing |= !frame.is_probing();
            match self.handle_frame(now, number, frame, sink)? {
                Some(asked) => asks = asks.max(asked),
                None => refused = true,
            }
        }
        seen.ack_eliciting = asks > Asks::Nothing || refused;
        // A packet with refused data is not acknowledged at all: its sender must send all of it
        // again.
        if refused {
            self.stats.packets_refused += 1;
        } else {
            self.handle_asks(now, number, asks);
        }
        Ok(seen)
    }

    /// Records the number of a packet and schedules its ack.
    fn handle_asks(&mut self, now: Tick, number: u64, asks: Asks) {
        if asks > Asks::Nothing {
            self.answers.handle_asked(now);
        }
        let company = self.company_awaited();
        let patience = if company.is_some() { Patience::ForCompany } else { Patience::Short };
        let delay = self.ack_delay.min(company.unwrap_or_else(|| self.at.rtt.own_ack_delay()));
        if !self.acks.handle_number(number, now, asks, delay, patience) {
            self.answers.handle_loss();
        }
    }

    /// Returns how long an ack waits for a packet with data. `None` if that does not help, or if
    /// the other end does not know of the delay yet.
    fn company_awaited(&self) -> Option<Nanos> {
        let told = |wait: &Nanos| *wait < longer_in_company(self.ack_delay);
        self.answers.wait(self.at.rtt.smoothed()).filter(told)
    }

    /// Advances time: handles every deadline up to `now`.
    pub fn handle_time(&mut self, now: Tick) {
        let late = self.next_deadline().map_or(Duration::ZERO, |at| now.since(at));
        if late > OVERSLEPT {
            self.handle_woken(now);
        }
        self.at.silent_since = self.at.silent_since + late;
        if self.acks.handle_time(now) && self.company_awaited().is_some() {
            self.answers.handle_none();
        }
        if self.stranded {
            return;
        }
        self.at.paced_until = self.at.paced_until.filter(|until| *until > now);
        if self.at.loss_at.is_some_and(|at| at <= now) {
            self.detect_losses(now);
        }
        if self.pto_deadline().is_some_and(|at| at <= now) {
            self.stats.ptos += 1;
            self.at.handle_pto(now);
        }
        if self.keep_alive_deadline().is_some_and(|at| at <= now) {
            self.outgoing.owe_ping();
        }
    }

    /// Returns when the probe timer fires. It stops while a loss timer runs (RFC 9002 §6.2.1).
    pub(super) fn pto_deadline(&self) -> Option<Tick> {
        (self.sent.outstanding() > 0 && self.at.loss_at.is_none()).then(|| self.at.pto_at())
    }

    /// Returns when a client must send a keep-alive, after both directions were idle.
    pub(super) fn keep_alive_deadline(&self) -> Option<Tick> {
        let quiet = self.sent.outstanding() == 0 && !self.outgoing.owes_ping();
        self.keep_alive.filter(|_| quiet).map(|span| self.idle_since() + span)
    }

    /// Handles one frame. Returns the ack it requests, or `None` if its packet must be treated as
    /// lost.
    fn handle_frame(
        &mut self,
        now: Tick,
        number: u64,
        frame: Frame<'_>,
        sink: &mut impl FnMut(Other<'_>),
    ) -> Result<Option<Asks>, Violation> {
        match frame {
            Frame::Padding(_) => return Ok(Some(Asks::Nothing)),
            Frame::Ping => return Ok(Some(Asks::AtOnce)),
            Frame::Ack(ack) => {
                self.handle_ack(now, ack)?;
                return Ok(Some(Asks::Nothing));
            }
            Frame::Stream { stream, offset, data } => {
                let incoming = &mut self.incoming[stream.index()];
                return Ok(match incoming.handle_piece(offset, data, &mut self.gapped)? {
                    Piece::Kept => Some(Asks::Ack),
                    Piece::CompletedMessage => {
                        self.whole |= bit(stream);
                        Some(Asks::AtOnceIfIdle)
                    }
                    Piece::Refused => None,
                });
            }
            Frame::MaxStreamData { stream, limit } => self.outgoing.handle_limit(stream, limit),
            Frame::PathChallenge(data) => sink(Other::PathChallenge(data)),
            Frame::PathResponse(data) => sink(Other::PathResponse(data)),
            Frame::Probe(probe) => {
                sink(Other::Probe { id: probe.id, len: frame.encoded_len() });
                return Ok(Some(Asks::Nothing));
            }
            Frame::ProbeAnswer(probe) => {
                sink(Other::ProbeAnswer(probe.id));
                return Ok(Some(Asks::Nothing));
            }
            Frame::Close { code, reason } => {
                sink(Other::Close { code, reason });
                return Ok(Some(Asks::Nothing));
            }
            Frame::MaxAckDelay(delay_us) => self.handle_ack_delay(now, number, of_micros(delay_us)),
            Frame::Skipped { .. } => {}
        }
        Ok(Some(Asks::Ack))
    }

    /// Handles an announced ack delay. The announcement with the highest packet number counts, in
    /// whatever order they arrive.
    fn handle_ack_delay(&mut self, now: Tick, number: u64, delay: Nanos) {
        if number >= self.peer_ack_delay_from {
            self.peer_ack_delay_from = number;
            self.at.rtt.set_peer_ack_delay(delay);
            self.rearm(now);
        }
    }

    fn handle_ack(&mut self, now: Tick, ack: Ack<'_>) -> Result<(), Violation> {
        if ack.largest >= self.sent.next_number() {
            return Err(Violation::AckOfUnsent);
        }
        let mut progress = Progress::default();
        for range in ack.ranges() {
            self.handle_acked_range(now, &range, ack.largest, &mut progress);
        }
        // No sample without a newly acknowledged packet that requests an ack (RFC 9002 §5.1), nor
        // across a suspension.
        let is_telling =
            |(at, _): &(Tick, usize)| progress.outstanding && self.at.woke.is_none_or(|woke| woke <= *at);
        if let Some((sent_at, size)) = progress.largest_sent.filter(is_telling) {
            self.at.handle_sample(since(now, sent_at), size, of_micros(ack.delay_us));
        }
        if progress.outstanding {
            self.at.handle_progress(now);
        }
        self.detect_losses(now);
        self.rearm(now);
        Ok(())
    }

    /// Restarts a probe timeout that has become shorter than the time waited, or was suspended by a
    /// loss timer. It may not fire at once, since a packet has just arrived.
    pub(super) fn rearm(&mut self, now: Tick) {
        if self.at.pto_at() <= now {
            self.at.waiting_since = now;
        }
    }

    fn handle_acked_range(
        &mut self,
        now: Tick,
        range: &RangeInclusive<u64>,
        largest: u64,
        progress: &mut Progress,
    ) {
        let Link { sent, outgoing, acks, at, stats, progress: said, .. } = self;
        let in_flight = sent.in_flight();
        sent.ack(*range.start()..*range.end() + 1, |number, sent, here| {
            if let Some(through) = sent.ack_through {
                acks.forget_through(through);
            }
            outgoing.handle_acked(sent, now);
            *said += u64::from(!sent.pieces.is_empty());
            if number == largest && here && matches!(sent.state, State::Outstanding | State::Void) {
                progress.largest_sent = Some((sent.at, sent.size));
            }
            match sent.state {
                State::Outstanding => {
                    progress.outstanding = true;
                    at.health.handle_acked(sent.size);
                    at.congestion.handle_ack(sent.at, sent.size, in_flight);
                }
                State::Lost => stats.packets_lost_spuriously += 1,
                State::Void | State::Left | State::Acked => {}
            }
        });
    }

    /// Detects lost packets, queues their content again and adapts the window. Not on TCP, which
    /// loses nothing itself.
    fn detect_losses(&mut self, now: Tick) {
        self.at.loss_at = None;
        if self.at.is_udp() && self.sent.outstanding() > 0 {
            let Link { sent, outgoing, at, .. } = self;
            let loss_delay = at.rtt.loss_delay();
            let health = &mut at.health;
            let losses = sent.lose(now, loss_delay, |sent| {
                health.handle_lost(sent.size);
                outgoing.send_again(sent);
            });
            self.handle_losses(now, losses);
        }
        let rtt = &self.at.rtt;
        self.sent.forget(|| now - Duration::from_nanos(LOST_REMEMBERED_PTOS * rtt.pto()));
    }

    fn handle_losses(&mut self, now: Tick, losses: Losses) {
        self.at.loss_at = losses.next_at;
        self.stats.packets_lost += losses.count;
        let Some(newest) = losses.newest else { return };
        self.answers.handle_loss();
        // The probe timer was suspended by the loss timer. Packets still outstanding wait from now
        // on.
        self.at.waiting_since = now;
        self.at.congestion.handle_loss(newest, now);
        if self.at.rtt.latest().is_some() && losses.span > PERSISTENT_PTOS * self.at.rtt.pto() {
            self.stats.persistent_congestions += 1;
            self.at.congestion.handle_persistent_congestion();
        }
    }
}
