//! Handshake counters. Each is higher than all before it, across restarts and clock jumps.
//!
//! A counter is `max(clock in microseconds, last + 1)`, and is used only up to a durable limit. The
//! limit is raised in steps, so that one commit suffices for an hour, and a kill wastes at most one
//! step.

use crate::base::{Effect, Outputs, Ticket, Wall};

use super::api::{Event, Record};

/// Distance of the durable limit from the clock, in microseconds: one hour.
const STEP: u64 = 3_600 * 1_000_000;
/// Later clock times (from the year 11103 on) are replaced by this, so that the counter can always
/// grow.
const CLOCK_MAX: u64 = 1 << 58;

/// The handshake counter, and the source of the client's tickets.
#[derive(Debug)]
pub(super) struct HandshakeCounter {
    last: u64,
    durable: u64,
    pending: Option<(Ticket, u64)>,
    tickets: u64,
}

impl HandshakeCounter {
    /// Creates a counter with the last run's durable limit. Any number up to it may have been used.
    pub(super) fn new(durable: u64) -> HandshakeCounter {
        HandshakeCounter { last: durable, durable, pending: None, tickets: 0 }
    }

    /// Returns the next counter. `None` until a higher limit, which it requests, is durable.
    pub(super) fn next(&mut self, wall: Wall, out: &mut Outputs<Record, Event>) -> Option<u64> {
        let next = wall.0.saturating_mul(1_000).min(CLOCK_MAX).max(self.last.saturating_add(1));
        if next <= self.durable {
            self.last = next;
            return Some(next);
        }
        if self.pending.is_none() {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            let mark = next.saturating_add(STEP);
            self.pending = Some((ticket, mark));
            out.effects.push(Effect::Persist(ticket, Record::Counter(mark)));
        }
        None
    }

    /// Returns a ticket for another record of the client.
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Handles a commit. Returns `true` if a counter may be available now. After a failure the next
    /// call of [`HandshakeCounter::next`] requests the limit again.
    pub(super) fn handle_committed(&mut self, ticket: Ticket, durable: bool) -> bool {
        let Some((_, mark)) = self.pending.take_if(|pending| pending.0 == ticket) else { return false };
        if durable {
            self.durable = mark;
        }
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(out: &mut Outputs<Record, Event>) -> Option<(Ticket, u64)> {
        match out.effects.pop() {
            Some(Effect::Persist(ticket, Record::Counter(mark))) => Some((ticket, mark)),
            _ => None,
        }
    }

    #[test]
    fn counter_is_used_only_below_durable_limit() {
        let mut out = Outputs::default();
        let mut counter = HandshakeCounter::new(0);
        assert_eq!(counter.next(Wall(5), &mut out), None);
        let (ticket, mark) = requested(&mut out).unwrap();
        assert_eq!(counter.next(Wall(5), &mut out), None);
        assert_eq!(requested(&mut out), None, "requested once");
        assert!(!counter.handle_committed(Ticket(99), true));
        assert!(counter.handle_committed(ticket, true));
        assert_eq!(counter.next(Wall(5), &mut out), Some(5_000));
        assert_eq!(counter.next(Wall(5), &mut out), Some(5_001));

        let mut after_restart = HandshakeCounter::new(mark);
        assert_eq!(after_restart.next(Wall(0), &mut out), None);
        let (ticket, _) = requested(&mut out).unwrap();
        after_restart.handle_committed(ticket, true);
        assert_eq!(after_restart.next(Wall(0), &mut out), Some(mark + 1), "the clock jumped back");
    }

    #[test]
    fn clock_years_ahead_leaves_counters_usable() {
        let mut out = Outputs::default();
        let mut counter = HandshakeCounter::new(0);
        counter.next(Wall(u64::MAX), &mut out);
        let (ticket, mark) = requested(&mut out).unwrap();
        counter.handle_committed(ticket, true);
        assert_eq!(counter.next(Wall(u64::MAX), &mut out), Some(CLOCK_MAX));
        assert_eq!(counter.next(Wall(5), &mut out), Some(CLOCK_MAX + 1));
        assert!(mark < u64::MAX / 2);
    }
}
