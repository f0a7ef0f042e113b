//! What was counted, and when counting is on.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::Tick;
use crate::net::Stats;

use super::Phase;

/// Latencies are kept up to this many microseconds, to three digits.
const LATENCY_MAX_US: u64 = 120_000_000;

/// What one thread counted, or all of them.
pub(super) struct Totals {
    /// The measurement, as this thread saw it begin and end.
    from: Option<Tick>,
    until: Option<Tick>,
    /// Letters delivered in each half of the measurement.
    pub(super) delivered: [u64; 2],
    /// In microseconds, of the letters that were to be written in the measurement: from that moment, which in open loop
    /// may lie before the letter was given to the sender's client, to `delivered` there.
    pub(super) latencies_us: Histogram<u64>,
    /// Letters whose time had come before the end of the measurement and that were not even written by then. Each stands
    /// among the latencies with the time it had waited.
    pub(super) backlog: u64,
    /// Given to a client, never refused, and never shown by the other one.
    pub(super) lost: u64,
    /// Shown twice.
    pub(super) duplicates: u64,
    /// Shown after a later one.
    pub(super) disorder: u64,
    /// Shown with another text than the one that was given.
    pub(super) corrupt: u64,
    /// Given back to the sender.
    pub(super) refused: u64,
    /// The shortest round trip of any sender's link, in microseconds.
    pub(super) rtt_us: Option<u64>,
    /// Packets the clients sent in the measurement: what came in at the relay, but for losses.
    pub(super) packets_sent: u64,
    /// Packets the clients received in the measurement: what went out of the relay.
    pub(super) packets_received: u64,
}

impl Default for Totals {
    fn default() -> Totals {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order");
        Totals {
            from: None,
            until: None,
            delivered: [0; 2],
            latencies_us,
            backlog: 0,
            lost: 0,
            duplicates: 0,
            disorder: 0,
            corrupt: 0,
            refused: 0,
            rtt_us: None,
            packets_sent: 0,
            packets_received: 0,
        }
    }
}

impl Totals {
    /// Takes in what another thread counted.
    pub(super) fn add(&mut self, other: &Totals) {
        (0..2).for_each(|half| self.delivered[half] += other.delivered[half]);
        self.latencies_us.add(&other.latencies_us).expect("all have the same bounds");
        self.backlog += other.backlog;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.disorder += other.disorder;
        self.corrupt += other.corrupt;
        self.refused += other.refused;
        self.rtt_us = self.rtt_us.into_iter().chain(other.rtt_us).min();
        self.packets_sent += other.packets_sent;
        self.packets_received += other.packets_received;
    }

    /// The phase has changed. `stats` has the counters of every client's outside.
    pub(super) fn handle_phase(&mut self, now: Tick, phase: Phase, stats: impl Iterator<Item = Stats>) {
        let (sent, received) = stats.fold((0, 0), |(sent, received), stats| {
            (sent + stats.datagrams_out + stats.records_out, received + stats.datagrams_in + stats.records_in)
        });
        if phase >= Phase::FirstHalf && self.from.is_none() {
            self.from = Some(now);
            (self.packets_sent, self.packets_received) = (sent, received);
        }
        if phase >= Phase::Drain && self.until.is_none() {
            self.until = Some(now);
            self.packets_sent = sent - self.packets_sent;
            self.packets_received = received - self.packets_received;
        }
    }

    /// A letter's sender holds `delivered`.
    pub(super) fn count_delivered(&mut self, phase: Phase, now: Tick, due: Tick) {
        match phase {
            Phase::FirstHalf => self.delivered[0] += 1,
            Phase::SecondHalf => self.delivered[1] += 1,
            _ => {}
        }
        self.record(due, now.since(due));
    }

    /// A letter that was due has not been written when the measurement ends.
    pub(super) fn count_backlog(&mut self, now: Tick, due: Tick) {
        self.backlog += 1;
        self.record(due, now.since(due));
    }

    fn record(&mut self, due: Tick, latency: Duration) {
        if self.from.is_some_and(|from| from <= due) && self.until.is_none_or(|until| due < until) {
            self.latencies_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Tick {
        Tick::from_micros(micros)
    }

    fn stats(out: u64) -> Stats {
        Stats { datagrams_out: out, datagrams_in: 10 * out, ..Stats::default() }
    }

    #[test]
    fn only_what_happens_in_the_measurement_counts() {
        let mut totals = Totals::default();
        let phases = [
            Phase::Begin,
            Phase::WarmUp,
            Phase::FirstHalf,
            Phase::SecondHalf,
            Phase::SecondHalf,
            Phase::Drain,
        ];
        for (number, phase) in phases.into_iter().enumerate() {
            let now = 100 * number as u64;
            totals.handle_phase(at(now), phase, [stats(number as u64), stats(0)].into_iter());
            totals.count_delivered(phase, at(now + 7), at(now));
        }
        let mut sum = Totals::default();
        sum.add(&totals);
        assert_eq!((sum.delivered, sum.latencies_us.len()), ([1, 2], 3));
        assert_eq!((sum.latencies_us.min(), sum.latencies_us.max()), (7, 7));
        assert_eq!((sum.packets_sent, sum.packets_received), (3, 30));
    }

    #[test]
    fn a_letter_of_the_measurement_that_comes_after_it_has_its_latency_counted() {
        let mut totals = Totals::default();
        totals.handle_phase(at(1_000), Phase::FirstHalf, std::iter::empty());
        totals.handle_phase(at(2_000), Phase::Drain, std::iter::empty());
        totals.count_delivered(Phase::Drain, at(9_000), at(1_500));
        totals.count_delivered(Phase::Drain, at(9_000), at(900));
        totals.count_delivered(Phase::Drain, at(9_000), at(2_000));
        assert_eq!((totals.delivered, totals.latencies_us.len()), ([0; 2], 1));
        assert!((7_490..=7_510).contains(&totals.latencies_us.max()));
    }
}
