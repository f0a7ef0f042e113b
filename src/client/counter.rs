//! Handshake counters: each higher than every one before, also across restarts and clock jumps.
//!
//! A counter is `max(clock in microseconds, last + 1)` and is used only below a mark that is durable. The mark is moved
//! ahead in steps, so that one commit serves for an hour and a kill wastes at most one step.

use crate::base::{Effect, Outputs, Ticket, Wall};

use super::api::{Event, Record};

/// How far ahead of the clock the durable mark is set, in microseconds: one hour.
const STEP: u64 = 3_600 * 1_000_000;
/// Clocks beyond this are not believed (the year 10889): counters must keep room to count up.
const CLOCK_MAX: u64 = 1 << 58;

#[derive(Debug)]
pub(super) struct Counter {
    last: u64,
    durable: u64,
    asked: Option<(Ticket, u64)>,
    tickets: u64,
}

impl Counter {
    /// A counter whose durable mark was left at `durable` by the last run: any number up to it may have been used.
    pub(super) fn new(durable: u64) -> Counter {
        Counter { last: durable, durable, asked: None, tickets: 0 }
    }

    /// The next counter; none until a higher mark is durable, which is asked for.
    pub(super) fn next(&mut self, wall: Wall, out: &mut Outputs<Record, Event>) -> Option<u64> {
        let next = wall.0.saturating_mul(1_000).min(CLOCK_MAX).max(self.last.saturating_add(1));
        if next <= self.durable {
            self.last = next;
            return Some(next);
        }
        if self.asked.is_none() {
            self.tickets += 1;
            let (ticket, mark) = (Ticket(self.tickets), next.saturating_add(STEP));
            self.asked = Some((ticket, mark));
            out.effects.push(Effect::Persist(ticket, Record::Counter(mark)));
        }
        None
    }

    /// A ticket for another record of the client, whose answer its giver waits for.
    pub(super) fn other_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A record became durable, or could not; `true` if there may be a next counter now. A mark
    /// that failed is asked for again by the next attempt that needs it.
    pub(super) fn handle_committed(&mut self, ticket: Ticket, durable: bool) -> bool {
        let Some((_, mark)) = self.asked.take_if(|asked| asked.0 == ticket) else { return false };
        if durable {
            self.durable = mark;
        }
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(out: &mut Outputs<Record, Event>) -> Option<(Ticket, u64)> {
        match out.effects.pop() {
            Some(Effect::Persist(ticket, Record::Counter(mark))) => Some((ticket, mark)),
            _ => None,
        }
    }

    #[test]
    fn no_counter_is_used_before_a_higher_mark_is_durable() {
        let mut out = Outputs::default();
        let mut counter = Counter::new(0);
        assert_eq!(counter.next(Wall(5), &mut out), None);
        let (ticket, mark) = asked(&mut out).unwrap();
        assert_eq!(counter.next(Wall(5), &mut out), None);
        assert_eq!(asked(&mut out), None, "asked once");
        assert!(!counter.handle_committed(Ticket(99), true));
        assert!(counter.handle_committed(ticket, true));
        assert_eq!(counter.next(Wall(5), &mut out), Some(5_000));
        assert_eq!(counter.next(Wall(5), &mut out), Some(5_001));

        let mut after_restart = Counter::new(mark);
        assert_eq!(after_restart.next(Wall(0), &mut out), None);
        let (ticket, _) = asked(&mut out).unwrap();
        after_restart.handle_committed(ticket, true);
        assert_eq!(after_restart.next(Wall(0), &mut out), Some(mark + 1), "the clock jumped back");
    }

    #[test]
    fn a_clock_years_ahead_locks_nobody_out() {
        let mut out = Outputs::default();
        let mut counter = Counter::new(0);
        counter.next(Wall(u64::MAX), &mut out);
        let (ticket, mark) = asked(&mut out).unwrap();
        counter.handle_committed(ticket, true);
        assert_eq!(counter.next(Wall(u64::MAX), &mut out), Some(CLOCK_MAX));
        assert_eq!(counter.next(Wall(5), &mut out), Some(CLOCK_MAX + 1));
        assert!(mark < u64::MAX / 2);
    }
}
