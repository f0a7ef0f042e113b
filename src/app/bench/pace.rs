//! Schedule of a pair's letters.

use std::time::Duration;

use crate::base::Tick;

/// Maximum letters in flight of one client in open loop. Letters due beyond it wait outside the
/// client; their delay counts as latency. Bounds the client's memory.
const IN_FLIGHT_MAX: usize = 4_096;

/// Rule for when the next letter is written.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// Closed loop: this many letters are kept in flight.
    Window(usize),
    /// Open loop: letters are written on schedule, regardless of earlier ones.
    Rate(Rate),
}

/// Letters at even intervals.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    every: Duration,
    /// Time from the beginning to the first letter.
    first: Duration,
    begin: Option<Tick>,
    written: u64,
}

impl Pace {
    /// Returns the pace of pair `number` (from 0) of `pairs` that together write `per_second`
    /// letters. The pairs take turns, so that all their letters are at even intervals too.
    pub(super) fn share(per_second: u32, number: usize, pairs: usize) -> Pace {
        let every = Duration::from_secs(1).mul_f64(pairs as f64 / f64::from(per_second));
        let first = every.mul_f64(number as f64 / pairs as f64);
        Pace::Rate(Rate { every, first, begin: None, written: 0 })
    }

    /// Returns when the next letter is due, or `None` if an earlier one must end first. `under_way`
    /// is the number of letters that have not ended.
    pub(super) fn next_due(&mut self, now: Tick, under_way: usize) -> Option<Tick> {
        match self {
            Pace::Window(window) => (under_way < *window).then_some(now),
            Pace::Rate(_) if under_way >= IN_FLIGHT_MAX => None,
            Pace::Rate(rate) => Some(rate.due(now)),
        }
    }

    /// Records that a letter that was due is written.
    pub(super) fn written(&mut self) {
        if let Pace::Rate(rate) = self {
            rate.written += 1;
        }
    }

    /// Calls `each` with the due time of every letter that is due and not written.
    pub(super) fn backlog(&mut self, now: Tick, mut each: impl FnMut(Tick)) {
        let Pace::Rate(rate) = self else { return };
        while rate.begin.is_some() && rate.due(now) < now {
            each(rate.due(now));
            rate.written += 1;
        }
    }
}

impl Rate {
    /// Returns the due time of the next letter. The schedule begins with the first call.
    fn due(&mut self, now: Tick) -> Tick {
        let begin = *self.begin.get_or_insert(now);
        begin + self.first + self.every.mul_f64(self.written as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1_000)
    }

    #[test]
    fn window_is_kept_full() {
        let mut pace = Pace::Window(2);
        assert_eq!(pace.next_due(at(5), 1), Some(at(5)));
        assert_eq!(pace.next_due(at(5), 2), None);
    }

    #[test]
    fn pairs_take_turns_at_even_intervals() {
        let mut due: Vec<Tick> = Vec::new();
        for number in 0..4 {
            let mut pace = Pace::share(100, number, 4);
            for _ in 0..3 {
                due.extend(pace.next_due(at(1_000), 0));
                pace.written();
            }
        }
        due.sort_unstable();
        let wanted: Vec<Tick> = (0..12).map(|number| at(1_000 + 10 * number)).collect();
        assert_eq!(due, wanted);
    }

    #[test]
    /// A late letter keeps its due time, so that its delay counts as latency.
    fn late_letter_keeps_its_due_time() {
        let mut pace = Pace::share(10, 0, 1);
        assert_eq!(pace.next_due(at(0), 0), Some(at(0)));
        pace.written();
        assert_eq!(pace.next_due(at(0), IN_FLIGHT_MAX), None, "not beyond the limit");
        assert_eq!(pace.next_due(at(900), 7), Some(at(100)));
    }

    #[test]
    fn backlog_reports_due_times_of_unwritten_letters() {
        let mut pace = Pace::share(10, 0, 1);
        pace.backlog(at(0), |_| panic!("it has not begun"));
        pace.next_due(at(0), 0);
        pace.written();
        let mut due = Vec::new();
        pace.backlog(at(301), |each| due.push(each));
        assert_eq!(due, [at(100), at(200), at(300)]);
    }
}
