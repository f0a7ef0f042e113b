//! Which packets have come, and when to say so (RFC 9000 §13.2).

use std::ops::RangeInclusive;

use super::nanos::{Nanos, after, since};
use super::ranges::RangeSet;
use crate::base::{Beats, Tick, Unpacker, pack_maybe_tick, pack_number, pack_tick};
use crate::wire::frame::encode_ack;
use crate::wire::limits::ACK_RANGES_SENT_MAX;

/// An ack answers every second packet that asks for one (RFC 9000 §13.2.2).
const PACKETS_PER_ACK: u32 = 2;
/// So many where the ack waits for company: fewer than the window a sender begins with, so that none stands still.
const PACKETS_PER_ACK_IN_COMPANY: u32 = 8;

/// The numbers received and not yet known to be acknowledged: at most [`ACK_RANGES_SENT_MAX`] ranges, the newest.
#[derive(Debug, Default)]
pub struct Acks {
    received: RangeSet,
    largest: Option<u64>,
    largest_at: Tick,
    /// The lowest number that came since the last ack was sent.
    news_from: Option<u64>,
    /// Packets since then that ask for an ack.
    asking: u32,
    at_once: bool,
    deadline: Option<Tick>,
    last_asked: Option<Tick>,
}

impl Acks {
    /// Takes in a number of a packet that asks for so much. The ack waits for at most the delay given. Tells whether the
    /// number is the next one.
    pub fn handle_number(
        &mut self,
        number: u64,
        now: Tick,
        asks: Asks,
        (max_delay, patience): (Nanos, Patience),
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
        self.news_from = Some(self.news_from.map_or(number, |from| from.min(number)));
        if asks == Asks::Nothing {
            return in_order;
        }
        let idle = self.last_asked.is_none_or(|last| since(now, last) > max_delay);
        self.last_asked = Some(now);
        self.asking += 1;
        let (most, waits) = match patience {
            Patience::Short => (PACKETS_PER_ACK, !idle),
            Patience::ForCompany => (PACKETS_PER_ACK_IN_COMPANY, true),
        };
        self.at_once |=
            !in_order || self.asking >= most || asks == Asks::AtOnce || asks == Asks::AtOnceIfIdle && !waits;
        self.deadline = self.deadline.or(Some(after(now, max_delay)));
        in_order
    }

    /// Whether the other end waits for no ack.
    pub fn are_quiet(&self) -> bool {
        self.asking == 0 && !self.at_once && self.deadline.is_none()
    }

    /// Appends what is quiet to what is at rest. Of the numbers only the newest range is kept (RFC 9000 §13.2.3).
    pub fn pack(&self, into: &mut Vec<u8>) {
        let newest = self.received.as_slice().last().cloned().unwrap_or_default();
        let one_more = |number: Option<u64>| number.map_or(0, |number| number.saturating_add(1));
        for number in [newest.end - newest.start, newest.end] {
            pack_number(into, number);
        }
        pack_number(into, one_more(self.largest));
        pack_tick(into, self.largest_at);
        pack_number(into, one_more(self.news_from.filter(|_| !newest.is_empty())));
        pack_maybe_tick(into, self.last_asked);
    }

    /// What was packed, and has taken in and acknowledged these since.
    pub fn unpack(from: &mut Unpacker<'_>, beats: Beats) -> Acks {
        let (len, end) = (from.number(), from.number());
        let mut received = RangeSet::default();
        received.insert(end - len..end);
        let (largest, largest_at) = (from.number().checked_sub(1), from.tick());
        let (news_from, last_asked) = (from.number().checked_sub(1), from.maybe_tick());
        let mut acks = Acks { received, largest, largest_at, news_from, last_asked, ..Acks::default() };
        if let Some(last) = beats.last() {
            let next = acks.next_number();
            let end = next + u64::from(beats.count);
            acks.received.insert(next..end);
            (acks.largest, acks.largest_at, acks.news_from) = (Some(end - 1), last, None);
            acks.last_asked = Some(last);
        }
        acks
    }

    /// The number after the largest that came.
    pub fn next_number(&self) -> u64 {
        self.largest.map_or(0, |largest| largest + 1)
    }

    /// Lets time pass. Tells whether an ack has waited long enough.
    pub fn handle_time(&mut self, now: Tick) -> bool {
        let over = !self.at_once && self.deadline.is_some_and(|deadline| deadline <= now);
        self.at_once |= over;
        over
    }

    /// Whether an ack is to leave now, alone if need be.
    pub const fn is_due(&self) -> bool {
        self.at_once
    }

    /// When an ack is to leave though nothing else happens.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.deadline.filter(|_| !self.at_once)
    }

    /// Appends an ACK if there is news and room. Answers with the largest number it acknowledges.
    pub fn write(&mut self, now: Tick, room: usize, out: &mut Vec<u8>) -> Option<u64> {
        let largest = self.largest.filter(|_| self.news_from.is_some())?;
        let delay = now.as_micros().saturating_sub(self.largest_at.as_micros());
        let ranges = self.received.as_slice().iter().rev();
        let ranges = ranges.map(|range| -> RangeInclusive<u64> { range.start..=range.end - 1 });
        if !encode_ack(ranges, delay, room, out) {
            return None;
        }
        (self.news_from, self.asking, self.at_once, self.deadline) = (None, 0, false, None);
        Some(largest)
    }

    /// The other end has an ack of everything up to `largest`: that need not be said again (RFC 9000 §13.2.4), but
    /// for what came late.
    pub fn forget_through(&mut self, largest: u64) {
        self.received.remove_below(self.news_from.unwrap_or(u64::MAX).min(largest + 1));
    }
}

/// What a packet that came asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    /// No ack.
    Nothing,
    /// An ack, soon.
    Ack,
    /// An ack at once if the link was idle: it completed a message.
    AtOnceIfIdle,
    /// An ack at once: a PING.
    AtOnce,
}

/// What an ack waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A second packet; a message on an idle link does not wait.
    Short,
    /// A packet that is to leave anyway, and it is likely that one will.
    ForCompany,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Nanos = 25_000_000;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    fn seen(numbers: &[(u64, Asks)]) -> Acks {
        let mut acks = Acks::default();
        for (turn, (number, asks)) in numbers.iter().enumerate() {
            acks.handle_number(*number, at(turn as u64), *asks, (DELAY, Patience::Short));
        }
        acks
    }

    #[test]
    fn every_second_packet_is_acknowledged_at_once_and_a_lone_one_after_the_delay() {
        let mut one = seen(&[(0, Asks::Ack)]);
        assert!(!one.is_due());
        assert_eq!(one.next_deadline(), Some(at(25)));
        one.handle_time(at(25));
        assert!(one.is_due() && one.next_deadline().is_none());
        assert!(seen(&[(0, Asks::Ack), (1, Asks::Ack)]).is_due());
    }

    #[test]
    fn gaps_pings_and_letters_on_an_idle_link_are_acknowledged_at_once_and_acks_never() {
        assert!(seen(&[(0, Asks::Nothing), (2, Asks::Ack)]).is_due());
        assert!(seen(&[(5, Asks::Nothing), (4, Asks::Ack)]).is_due());
        assert!(seen(&[(0, Asks::AtOnce)]).is_due());
        assert!(seen(&[(0, Asks::AtOnceIfIdle)]).is_due());
        let quiet = seen(&[(0, Asks::Nothing), (5, Asks::Nothing), (1, Asks::Nothing)]);
        assert!(!quiet.is_due() && quiet.next_deadline().is_none());
    }

    #[test]
    fn a_letter_in_the_middle_of_traffic_waits_like_the_rest() {
        let mut acks = seen(&[(0, Asks::Ack), (1, Asks::Ack)]);
        assert_eq!(acks.write(at(2), 100, &mut Vec::new()), Some(1));
        acks.handle_number(2, at(3), Asks::AtOnceIfIdle, (DELAY, Patience::Short));
        assert!(!acks.is_due());
    }

    #[test]
    fn in_company_an_ack_waits_for_more_packets_and_gaps_and_pings_do_not() {
        let company = (DELAY, Patience::ForCompany);
        let mut acks = Acks::default();
        for number in 0..7 {
            acks.handle_number(number, at(number), Asks::AtOnceIfIdle, company);
            assert!(!acks.is_due());
        }
        let mut gap = seen(&[(0, Asks::Ack)]);
        gap.handle_number(2, at(1), Asks::Ack, company);
        let mut ping = Acks::default();
        ping.handle_number(0, at(0), Asks::AtOnce, company);
        acks.handle_number(7, at(7), Asks::Ack, company);
        assert!(acks.is_due() && gap.is_due() && ping.is_due());
    }

    #[test]
    fn only_the_newest_ranges_are_kept_and_those_known_to_be_acknowledged_are_dropped() {
        let mut acks = Acks::default();
        for number in 0..1000 {
            acks.handle_number(number * 2, at(0), Asks::Ack, (DELAY, Patience::Short));
        }
        assert_eq!(acks.received.len(), ACK_RANGES_SENT_MAX);
        assert!(acks.received.contains(1998));
        assert_eq!(acks.write(at(0), 1200, &mut Vec::new()), Some(1998));
        acks.forget_through(1997);
        assert_eq!(acks.received.first(), Some(1998..1999));
        assert_eq!(acks.received.len(), 1);
        acks.handle_number(1991, at(1), Asks::Ack, (DELAY, Patience::Short));
        acks.forget_through(1998);
        assert!(acks.received.contains(1991), "a late one is acknowledged all the same");
    }
}
