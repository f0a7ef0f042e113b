//! Results of the bench, for users and for scripts. Never translated.

use std::time::Duration;

use serde::Serialize;

use crate::app::{Failure, print};
use crate::base::{Carrier, HostPort};

use super::BenchOptions;
use super::totals::Totals;

/// Letters a second per member below which it may be throttled. A relay with its limits on lets
/// each member send 100.
const THROTTLED_BELOW: f64 = 110.0;
/// The relay is the cause of a low rate if round trips alone would allow this many times more.
const THROTTLED_FACTOR: f64 = 3.0;

/// One JSON object; its keys are these field names.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    relay: String,
    pub(super) via: &'static str,
    pub(super) pairs: usize,
    /// `null` with `--rate`.
    pub(super) window: Option<usize>,
    /// Requested letters a second; `null` without `--rate`.
    rate: Option<u32>,
    answer: bool,
    size: usize,
    secs: f64,
    letters: u64,
    pub(super) letters_per_second: f64,
    pub(super) p50_us: u64,
    p90_us: u64,
    pub(super) p99_us: u64,
    p999_us: u64,
    max_us: u64,
    /// Letters due in the measurement that were not written in it; `null` without `--rate`.
    backlog: Option<u64>,
    loss: u64,
    duplicates: u64,
    disorder: u64,
    corrupt: u64,
    refused: u64,
    /// Packets received by the relay, for each letter; records if over TCP.
    pub(super) packets_in_per_letter: Option<f64>,
    /// Packets sent by the relay, for each letter.
    pub(super) packets_out_per_letter: Option<f64>,
    /// CPU time of the relay's process, all threads. This and the next are `null` without
    /// `--relay-pid`.
    pub(super) cpu_us_per_letter: Option<f64>,
    /// Share of one CPU that the relay used.
    pub(super) relay_busy: Option<f64>,
    /// Share of one CPU that the bench used; `null` if the system has no such number.
    pub(super) bench_busy: Option<f64>,
    /// Memory of the relay before any client connected, in KiB.
    rss_kib_before: Option<u64>,
    /// Memory of the relay at the end of the measurement, in KiB.
    rss_kib_after: Option<u64>,
    /// Random datagrams sent in addition to the letters; `null` without `--flood`.
    flood_per_second: Option<f64>,
    /// Whether the relay's limits per sender held the letters back.
    pub(super) throttled: bool,
    /// Storage of the bench's clients.
    kept_in: &'static str,
}

impl Report {
    pub(super) fn new(options: &BenchOptions, relay: &HostPort, span: Duration, totals: &Totals) -> Report {
        let letters: u64 = totals.delivered.iter().sum();
        let secs = span.as_secs_f64();
        let carrier = if options.tcp { Carrier::Tcp } else { Carrier::Udp };
        let quantile = |quantile| totals.latencies_us.value_at_quantile(quantile);
        let per_letter = |count: u64| (letters > 0).then(|| rounded(count as f64 / letters as f64, 3));
        Report {
            relay: relay.to_string(),
            via: carrier.as_str(),
            pairs: options.pairs,
            window: options.rate.is_none().then_some(options.window),
            rate: options.rate,
            answer: options.answer,
            size: options.size,
            secs: rounded(secs, 2),
            letters,
            letters_per_second: rounded(letters as f64 / secs, 2),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: totals.latencies_us.max(),
            backlog: options.rate.is_some().then_some(totals.backlog),
            loss: totals.lost,
            duplicates: totals.duplicates,
            disorder: totals.disorder,
            corrupt: totals.corrupt,
            refused: totals.refused,
            packets_in_per_letter: per_letter(totals.packets_sent),
            packets_out_per_letter: per_letter(totals.packets_received),
            cpu_us_per_letter: None,
            relay_busy: None,
            bench_busy: None,
            rss_kib_before: None,
            rss_kib_after: None,
            flood_per_second: None,
            throttled: is_throttled(options, totals, secs / 2.0),
            kept_in: "memory",
        }
    }

    /// Adds the CPU time that relay and bench used during the measurement.
    pub(super) fn with_cpu(mut self, relay: Option<Duration>, own: Option<Duration>) -> Report {
        let share = |cpu: Duration| rounded(cpu.as_secs_f64() / self.secs.max(0.01), 2);
        let letters = self.letters as f64;
        let per_letter = |cpu: Duration| rounded(cpu.as_secs_f64() * 1e6 / letters, 2);
        self.cpu_us_per_letter = relay.filter(|_| self.letters > 0).map(per_letter);
        self.relay_busy = relay.map(share);
        self.bench_busy = own.map(share);
        self
    }

    /// Adds the relay's memory before and after, in KiB.
    pub(super) fn with_memory(mut self, rss_kib: Option<(u64, u64)>) -> Report {
        (self.rss_kib_before, self.rss_kib_after) = rss_kib.unzip();
        self
    }

    /// Adds the number of datagrams that the relay was flooded with during the measurement.
    pub(super) fn with_flood(mut self, datagrams: Option<u64>) -> Report {
        self.flood_per_second = datagrams.map(|count| rounded(count as f64 / self.secs, 2));
        self
    }

    /// Whether every letter arrived once, in order and unchanged.
    pub(super) fn is_sound(&self) -> bool {
        let amiss = self.loss + self.duplicates + self.disorder + self.corrupt + self.refused;
        self.letters > 0 && amiss == 0
    }

    /// Prints the report: one `key value` per line, or one JSON object.
    ///
    /// # Errors
    /// Those of [`print()`].
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            let object = serde_json::to_string(self).expect("strings and numbers always serialize");
            return print(&object).map(drop);
        }
        self.lines().iter().try_for_each(|line| print(line).map(drop))
    }

    fn lines(&self) -> Vec<String> {
        let Report { relay, via, pairs, size, secs, .. } = self;
        let load = match (self.window, self.rate) {
            (Some(window), _) => format!("window {window}"),
            (_, rate) => format!("rate {}", rate.unwrap_or_default()),
        };
        let answers = if self.answer { ", answered" } else { "" };
        let mut lines = vec![
            format!("relay {relay} via {via}, {pairs} pairs, {load}{answers}, {size} bytes, {secs} s"),
            format!("bench clients keep letters in {}, not on disk", self.kept_in),
            format!("letters {}", self.letters),
            format!("letters_per_second {}", self.letters_per_second),
            format!(
                "latency_us p50 {} p90 {} p99 {} p999 {} max {}",
                self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us
            ),
            format!(
                "loss {} duplicates {} disorder {} corrupt {}",
                self.loss, self.duplicates, self.disorder, self.corrupt
            ),
        ];
        lines.extend(self.backlog.map(|backlog| format!("backlog {backlog}")));
        if self.refused > 0 {
            lines.push(format!("refused {}", self.refused));
        }
        let packets = self.packets_in_per_letter.zip(self.packets_out_per_letter);
        lines.extend(packets.map(|(sent, received)| format!("packets_per_letter in {sent} out {received}")));
        lines.extend(self.cpu_us_per_letter.map(|cpu| format!("cpu_us_per_letter {cpu}")));
        let busy = self.relay_busy.zip(self.bench_busy);
        lines.extend(busy.map(|(relay, bench)| format!("busy relay {relay} bench {bench}")));
        let memory = self.rss_kib_before.zip(self.rss_kib_after);
        lines.extend(memory.map(|(before, after)| format!("rss_kib before {before} after {after}")));
        lines.extend(self.flood_per_second.map(|rate| format!("flood_per_second {rate}")));
        if self.throttled {
            lines.push("throttled: the relay holds each sender to its limits".to_owned());
        }
        lines
    }
}

/// Whether the relay's limits, and not round trips, held the letters back. Only the second half
/// counts, because the limits allow a burst at first.
fn is_throttled(options: &BenchOptions, totals: &Totals, half_secs: f64) -> bool {
    let rate = totals.delivered[1] as f64 / half_secs / options.pairs as f64;
    let Some(rtt_us) = totals.rtt_us else { return false };
    let possible = match options.rate {
        Some(rate) => f64::from(rate) / options.pairs as f64,
        None => options.window as f64 * 1e6 / rtt_us.max(1) as f64 / 2.0,
    };
    rate < THROTTLED_BELOW && possible > rate * THROTTLED_FACTOR
}

/// Rounds a number to `digits` decimal places.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (number * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::bench::{BenchMode, Phase};
    use crate::base::Tick;

    fn options() -> BenchOptions {
        BenchOptions {
            mode: BenchMode::Measure,
            relay: String::new(),
            pairs: 2,
            window: 8,
            size: 100,
            time: Duration::from_secs(2),
            rate: None,
            answer: false,
            tcp: false,
            flood: 0,
            relay_pid: None,
            json: true,
        }
    }

    fn report(options: &BenchOptions, change: impl FnOnce(&mut Totals)) -> Report {
        let mut totals = Totals::default();
        totals.delivered = [900, 200];
        totals.rtt_us = Some(200);
        totals.latencies_us.record_n(80, 1_100).unwrap();
        totals.packets_sent = 1_650;
        totals.packets_received = 1_100;
        change(&mut totals);
        let relay = "127.0.0.1:8081".parse().unwrap();
        let cpu = Some(Duration::from_micros(5_500));
        Report::new(options, &relay, options.time, &totals).with_cpu(cpu, cpu).with_memory(Some((900, 1_000)))
    }

    #[test]
    fn json_report_has_these_keys() {
        let json = serde_json::to_string(&report(&options(), |_| ())).unwrap();
        insta::assert_snapshot!(json, @r#"{"relay":"127.0.0.1:8081","via":"udp","pairs":2,"window":8,"rate":null,"answer":false,"size":100,"secs":2.0,"letters":1100,"letters_per_second":550.0,"p50_us":80,"p90_us":80,"p99_us":80,"p999_us":80,"max_us":80,"backlog":null,"loss":0,"duplicates":0,"disorder":0,"corrupt":0,"refused":0,"packets_in_per_letter":1.5,"packets_out_per_letter":1.0,"cpu_us_per_letter":5.0,"relay_busy":0.0,"bench_busy":0.0,"rss_kib_before":900,"rss_kib_after":1000,"flood_per_second":null,"throttled":true,"kept_in":"memory"}"#);
    }

    #[test]
    fn throttling_relay_is_detected_and_long_rtt_is_not() {
        let throttled = |change: fn(&mut Totals)| report(&options(), change).throttled;
        assert!(throttled(|_| ()));
        assert!(!throttled(|totals| totals.rtt_us = Some(40_000)));
        assert!(!throttled(|totals| totals.delivered[1] = 20_000));
        let slow = BenchOptions { rate: Some(200), ..options() };
        assert!(!report(&slow, |_| ()).throttled, "no higher rate was requested");
        let fast = BenchOptions { rate: Some(2_000), ..options() };
        assert!(report(&fast, |_| ()).throttled);
    }

    #[test]
    fn any_defect_makes_report_unsound() {
        let sound = |change: fn(&mut Totals)| report(&options(), change).is_sound();
        assert!(sound(|_| ()));
        assert!(!sound(|totals| totals.delivered = [0; 2]));
        assert!(!sound(|totals| totals.lost = 1));
        assert!(!sound(|totals| totals.refused = 1));
        assert!(!sound(|totals| totals.corrupt = 1));
    }

    #[test]
    fn open_loop_counts_a_stall_in_every_due_latency() {
        let at = |millis: u64| Tick::from_micros(millis * 1_000);
        let mut totals = Totals::default();
        totals.handle_phase(at(0), Phase::FirstHalf, std::iter::empty());
        (0..50).for_each(|due| totals.count_delivered(Phase::FirstHalf, at(due + 1), at(due)));
        (50..100).for_each(|due| totals.count_delivered(Phase::FirstHalf, at(100), at(due)));
        let options = BenchOptions { rate: Some(1_000), ..options() };
        let relay = "127.0.0.1:8081".parse().unwrap();
        let report = Report::new(&options, &relay, Duration::from_millis(100), &totals);
        assert!(report.p50_us <= 1_001 && (40_000..=41_000).contains(&report.p90_us), "{report:?}");
    }
}
