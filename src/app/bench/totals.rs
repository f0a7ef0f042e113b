//! Counters of a measurement, and when counting is on.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::Tick;
use crate::net::Stats;

use super::Phase;

/// Maximum latency recorded, in microseconds: 2 min, to three digits.
const LATENCY_MAX_US: u64 = 120_000_000;

/// Counters of one thread, or of all.
pub(super) struct Totals {
    /// Begin and end of the measurement, as this thread saw them.
    from: Option<Tick>,
    until: Option<Tick>,
    /// Letters delivered in each half of the measurement.
    pub(super) delivered: [u64; 2],
    /// Latencies in microseconds of letters due in the measurement, from the due time to
    /// `delivered`. In open loop the due time may be before the sender's client got the letter.
    pub(super) latencies_us: Histogram<u64>,
    /// Letters due before the end of the measurement but not written by then. Each is in the
    /// latencies with the time it had waited.
    pub(super) backlog: u64,
    /// Letters given to a client that were neither refused nor received.
    pub(super) lost: u64,
    /// Letters received again.
    pub(super) duplicates: u64,
    /// Letters received after a later one.
    pub(super) disorder: u64,
    /// Letters received with a different text.
    pub(super) corrupt: u64,
    /// Letters returned to the sender.
    pub(super) refused: u64,
    /// Shortest round trip of any sender's link, in microseconds.
    pub(super) rtt_us: Option<u64>,
    /// Packets that clients sent in the measurement: those the relay received, plus losses.
    pub(super) packets_sent: u64,
    /// Packets that clients received in the measurement: those the relay sent, minus losses.
    pub(super) packets_received: u64,
}

impl Default for Totals {
    fn default() -> Totals {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("1 < max / 2");
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
    /// Adds the counters of another thread.
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

    /// Handles a change of phase. `stats` has the network counters of every client.
    pub(super) fn handle_phase(&mut self, now: Tick, phase: Phase, stats: impl Iterator<Item = Stats>) {
        let (sent, received) = stats.fold((0, 0), |(sent, received), stats| {
            (sent + stats.datagrams_out + stats.records_out, received + stats.datagrams_in + stats.records_in)
        });
        if phase >= Phase::FirstHalf && self.from.is_none() {
            self.from = Some(now);
            self.packets_sent = sent;
            self.packets_received = received;
        }
        if phase >= Phase::Drain && self.until.is_none() {
            self.until = Some(now);
            self.packets_sent = sent - self.packets_sent;
            self.packets_received = received - self.packets_received;
        }
    }

    /// Counts a letter whose sender saw `delivered`.
    pub(super) fn count_delivered(&mut self, phase: Phase, now: Tick, due: Tick) {
        match phase {
            Phase::FirstHalf => self.delivered[0] += 1,
            Phase::SecondHalf => self.delivered[1] += 1,
            _ => {}
        }
        self.record(due, now.since(due));
    }

    /// Counts a letter that was due and is not written at the end of the measurement.
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
    fn only_events_in_measurement_count() {
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
        assert_eq!(sum.delivered, [1, 2]);
        assert_eq!(sum.latencies_us.len(), 3);
        assert_eq!(sum.latencies_us.min(), 7);
        assert_eq!(sum.latencies_us.max(), 7);
        assert_eq!(sum.packets_sent, 3);
        assert_eq!(sum.packets_received, 30);
    }

    #[test]
    /// Its due time decides, not the time of its delivery.
    fn latency_counts_if_letter_was_due_in_measurement() {
        let mut totals = Totals::default();
        totals.handle_phase(at(1_000), Phase::FirstHalf, std::iter::empty());
        totals.handle_phase(at(2_000), Phase::Drain, std::iter::empty());
        totals.count_delivered(Phase::Drain, at(9_000), at(1_500));
        totals.count_delivered(Phase::Drain, at(9_000), at(900));
        totals.count_delivered(Phase::Drain, at(9_000), at(2_000));
        assert_eq!(totals.delivered, [0; 2]);
        assert_eq!(totals.latencies_us.len(), 1);
        assert!((7_490..=7_510).contains(&totals.latencies_us.max()));
    }
}
