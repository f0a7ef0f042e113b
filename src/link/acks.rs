//! Acknowledgement of received packets (RFC 9000 §13.2).

use std::ops::RangeInclusive;

use super::nanos::{Nanos, after, since};
use super::ranges::RangeSet;
use crate::base::{KeepAliveCount, Tick, Unpacker, pack_maybe_tick, pack_number, pack_tick};
use crate::wire::frame::encode_ack;
use crate::wire::limits::ACK_RANGES_SENT_MAX;

/// Packets that request an ack, per ack (RFC 9000 §13.2.2).
const PACKETS_PER_ACK: u32 = 2;
/// Packets per ack while acks are piggybacked: fewer than a sender's initial window, so that none
/// stalls.
const PACKETS_PER_ACK_PIGGYBACK: u32 = 8;

/// Received numbers whose acks are not known to have arrived: at most [`ACK_RANGES_SENT_MAX`]
/// ranges, the newest.
#[derive(Debug, Default)]
pub struct Acks {
    received: RangeSet,
    largest: Option<u64>,
    largest_at: Tick,
    /// The lowest number received since the last ack was sent.
    unreported_from: Option<u64>,
    /// Packets since then that request an ack.
    ack_eliciting_count: u32,
    immediate: bool,
    deadline: Option<Tick>,
    last_ack_eliciting: Option<Tick>,
}

impl Acks {
    /// Records the number of a packet with this `urgency`. The ack may wait for `max_delay`.
    ///
    /// Returns whether the number is the next one.
    pub fn handle_number(
        &mut self,
        number: u64,
        now: Tick,
        urgency: AckUrgency,
        max_delay: Nanos,
        ack_delay: AckDelay,
    ) -> bool {
        let in_order = self.largest.is_none_or(|largest| number == largest + 1);
        if self.largest.is_none_or(|largest| number > largest) {
            self.largest = Some(number);
            self.largest_at = now;
        }
        self.received.insert(number..number + 1);
        if self.received.len() > ACK_RANGES_SENT_MAX {
            self.received.remove_first();
        }
        self.unreported_from = Some(self.unreported_from.map_or(number, |from| from.min(number)));
        if urgency == AckUrgency::None {
            return in_order;
        }
        let idle = self.last_ack_eliciting.is_none_or(|last| since(now, last) > max_delay);
        self.last_ack_eliciting = Some(now);
        self.ack_eliciting_count += 1;
        let (packets_max, may_wait) = match ack_delay {
            AckDelay::Normal => (PACKETS_PER_ACK, !idle),
            AckDelay::Piggyback => (PACKETS_PER_ACK_PIGGYBACK, true),
        };
        self.immediate |= !in_order
            || self.ack_eliciting_count >= packets_max
            || urgency == AckUrgency::Immediate
            || urgency == AckUrgency::ImmediateIfIdle && !may_wait;
        self.deadline = self.deadline.or(Some(after(now, max_delay)));
        in_order
    }

    /// Whether the other end waits for no ack.
    pub fn is_idle(&self) -> bool {
        self.ack_eliciting_count == 0 && !self.immediate && self.deadline.is_none()
    }

    /// Appends quiet acks to a hibernated link. Of the numbers only the newest range is kept (RFC
    /// 9000 §13.2.3).
    pub fn pack(&self, into: &mut Vec<u8>) {
        let newest = self.received.as_slice().last().cloned().unwrap_or_default();
        let one_more = |number: Option<u64>| number.map_or(0, |number| number.saturating_add(1));
        for number in [newest.end - newest.start, newest.end] {
            pack_number(into, number);
        }
        pack_number(into, one_more(self.largest));
        pack_tick(into, self.largest_at);
        pack_number(into, one_more(self.unreported_from.filter(|_| !newest.is_empty())));
        pack_maybe_tick(into, self.last_ack_eliciting);
    }

    /// Restores acks written by [`Acks::pack`], which have recorded and acknowledged `beats` since.
    pub fn unpack(from: &mut Unpacker<'_>, keep_alives: KeepAliveCount) -> Acks {
        let len = from.number();
        let end = from.number();
        let mut received = RangeSet::default();
        received.insert(end - len..end);
        let largest = from.number().checked_sub(1);
        let largest_at = from.tick();
        let unreported_from = from.number().checked_sub(1);
        let last_ack_eliciting = from.maybe_tick();
        let mut acks =
            Acks { received, largest, largest_at, unreported_from, last_ack_eliciting, ..Acks::default() };
        if let Some(last) = keep_alives.last() {
            let next = acks.next_number();
            let end = next + u64::from(keep_alives.count);
            acks.received.insert(next..end);
            acks.largest = Some(end - 1);
            acks.largest_at = last;
            acks.unreported_from = None;
            acks.last_ack_eliciting = Some(last);
        }
        acks
    }

    /// Returns the number after the largest received one.
    pub fn next_number(&self) -> u64 {
        self.largest.map_or(0, |largest| largest + 1)
    }

    /// Advances time. Returns whether an ack has just reached its maximum delay.
    pub fn handle_time(&mut self, now: Tick) -> bool {
        let expired = !self.immediate && self.deadline.is_some_and(|deadline| deadline <= now);
        self.immediate |= expired;
        expired
    }

    /// Whether an ack must leave now, alone if necessary.
    pub const fn is_due(&self) -> bool {
        self.immediate
    }

    /// Returns when an ack must leave even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.deadline.filter(|_| !self.immediate)
    }

    /// Appends an ACK if there is news and space. Returns the largest number it acknowledges.
    pub fn write(&mut self, now: Tick, room: usize, out: &mut Vec<u8>) -> Option<u64> {
        let largest = self.largest.filter(|_| self.unreported_from.is_some())?;
        let delay = now.as_micros().saturating_sub(self.largest_at.as_micros());
        let ranges = self.received.as_slice().iter().rev();
        let ranges = ranges.map(|range| -> RangeInclusive<u64> { range.start..=range.end - 1 });
        if !encode_ack(ranges, delay, room, out) {
            return None;
        }
        self.unreported_from = None;
        self.ack_eliciting_count = 0;
        self.immediate = false;
        self.deadline = None;
        Some(largest)
    }

    /// Handles an ack of our ack of everything up to `largest`: those numbers are not repeated (RFC
    /// 9000 §13.2.4), except for late ones.
    pub fn forget_through(&mut self, largest: u64) {
        self.received.remove_below(self.unreported_from.unwrap_or(u64::MAX).min(largest + 1));
    }
}

/// The ack that a received packet requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckUrgency {
    /// No ack.
    None,
    /// An ack within the usual delay.
    Delayed,
    /// An immediate ack if the link was idle: the packet completed a message.
    ImmediateIfIdle,
    /// An immediate ack: a PING.
    Immediate,
}

/// The reason for which an ack waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckDelay {
    /// A second packet. A message on an idle link does not wait.
    Normal,
    /// A packet with data, which is likely to leave soon.
    Piggyback,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Nanos = 25_000_000;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    fn seen(numbers: &[(u64, AckUrgency)]) -> Acks {
        let mut acks = Acks::default();
        for (index, (number, urgency)) in numbers.iter().enumerate() {
            acks.handle_number(*number, at(index as u64), *urgency, DELAY, AckDelay::Normal);
        }
        acks
    }

    #[test]
    fn every_second_packet_is_acked_at_once_single_one_delayed() {
        let mut acks = seen(&[(0, AckUrgency::Delayed)]);
        assert!(!acks.is_due());
        assert_eq!(acks.next_deadline(), Some(at(25)));
        acks.handle_time(at(25));
        assert!(acks.is_due() && acks.next_deadline().is_none());
        assert!(seen(&[(0, AckUrgency::Delayed), (1, AckUrgency::Delayed)]).is_due());
    }

    #[test]
    fn gaps_pings_and_data_on_idle_link_are_acked_at_once() {
        assert!(seen(&[(0, AckUrgency::None), (2, AckUrgency::Delayed)]).is_due());
        assert!(seen(&[(5, AckUrgency::None), (4, AckUrgency::Delayed)]).is_due());
        assert!(seen(&[(0, AckUrgency::Immediate)]).is_due());
        assert!(seen(&[(0, AckUrgency::ImmediateIfIdle)]).is_due());
        let quiet = seen(&[(0, AckUrgency::None), (5, AckUrgency::None), (1, AckUrgency::None)]);
        assert!(!quiet.is_due() && quiet.next_deadline().is_none());
    }

    #[test]
    fn data_amid_traffic_is_acked_with_delay() {
        let mut acks = seen(&[(0, AckUrgency::Delayed), (1, AckUrgency::Delayed)]);
        assert_eq!(acks.write(at(2), 100, &mut Vec::new()), Some(1));
        acks.handle_number(2, at(3), AckUrgency::ImmediateIfIdle, DELAY, AckDelay::Normal);
        assert!(!acks.is_due());
    }

    /// A piggybacked ack waits for up to eight packets. A gap or a PING is acknowledged at once.
    #[test]
    fn piggyback_delays_acks_but_not_of_gaps_and_pings() {
        let mut acks = Acks::default();
        for number in 0..7 {
            acks.handle_number(number, at(number), AckUrgency::ImmediateIfIdle, DELAY, AckDelay::Piggyback);
            assert!(!acks.is_due());
        }
        let mut gap = seen(&[(0, AckUrgency::Delayed)]);
        gap.handle_number(2, at(1), AckUrgency::Delayed, DELAY, AckDelay::Piggyback);
        let mut ping = Acks::default();
        ping.handle_number(0, at(0), AckUrgency::Immediate, DELAY, AckDelay::Piggyback);
        acks.handle_number(7, at(7), AckUrgency::Delayed, DELAY, AckDelay::Piggyback);
        assert!(acks.is_due() && gap.is_due() && ping.is_due());
    }

    #[test]
    fn newest_ranges_are_kept_and_acknowledged_ones_dropped() {
        let mut acks = Acks::default();
        for number in 0..1000 {
            acks.handle_number(number * 2, at(0), AckUrgency::Delayed, DELAY, AckDelay::Normal);
        }
        assert_eq!(acks.received.len(), ACK_RANGES_SENT_MAX);
        assert!(acks.received.contains(1998));
        assert_eq!(acks.write(at(0), 1200, &mut Vec::new()), Some(1998));
        acks.forget_through(1997);
        assert_eq!(acks.received.first(), Some(1998..1999));
        assert_eq!(acks.received.len(), 1);
        acks.handle_number(1991, at(1), AckUrgency::Delayed, DELAY, AckDelay::Normal);
        acks.forget_through(1998);
        assert!(acks.received.contains(1991), "a late packet is still acknowledged");
    }
}
