//! What the bench found, for people and for scripts. Never translated.

use std::time::Duration;

use serde::Serialize;

use crate::app::{Failure, print};
use crate::base::{Carrier, HostPort};

use super::pair::Totals;
use super::{BenchOptions, THROTTLED_BELOW, THROTTLED_FACTOR};

/// The keys of the JSON object are these names.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    relay: String,
    via: &'static str,
    pairs: usize,
    window: usize,
    size: usize,
    secs: f64,
    letters: u64,
    letters_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    loss: u64,
    duplicates: u64,
    disorder: u64,
    refused: u64,
    /// Of the relay's process; `null` without `--relay-pid`.
    cpu_us_per_letter: Option<f64>,
    /// Random datagrams sent beside the letters; `null` without `--flood`.
    flood_per_second: Option<f64>,
    /// The relay holds each sender to its limits.
    pub(super) throttled: bool,
    /// Where the bench's clients keep letters.
    kept_in: &'static str,
}

impl Report {
    pub(super) fn new(
        options: &BenchOptions,
        relay: &HostPort,
        span: Duration,
        totals: Totals,
        cpu: Option<Duration>,
    ) -> Report {
        let letters: u64 = totals.delivered.iter().sum();
        let secs = span.as_secs_f64();
        let carrier = if options.tcp { Carrier::Tcp } else { Carrier::Udp };
        let latencies = &totals.latencies_us;
        Report {
            relay: relay.to_string(),
            via: carrier.as_str(),
            pairs: options.pairs,
            window: options.window,
            size: options.size,
            secs: rounded(secs),
            letters,
            letters_per_second: rounded(letters as f64 / secs),
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            max_us: latencies.max(),
            loss: totals.lost,
            duplicates: totals.duplicates,
            disorder: totals.disorder,
            refused: totals.refused,
            cpu_us_per_letter: cpu
                .filter(|_| letters > 0)
                .map(|cpu| rounded(cpu.as_secs_f64() * 1e6 / letters as f64)),
            flood_per_second: None,
            throttled: is_throttled(options, &totals, secs / 2.0),
            kept_in: "memory",
        }
    }

    /// Says how many datagrams the relay was flooded with while it was measured.
    pub(super) fn with_flood(mut self, datagrams: Option<u64>) -> Report {
        self.flood_per_second = datagrams.map(|count| rounded(count as f64 / self.secs));
        self
    }

    /// Whether every letter came, once and in its order.
    pub(super) fn is_sound(&self) -> bool {
        self.letters > 0 && self.loss + self.duplicates + self.disorder + self.refused == 0
    }

    /// Prints it: one `key value` a line, or one JSON object.
    ///
    /// # Errors
    /// Those of [`print`].
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            let object = serde_json::to_string(self).expect("texts and numbers always serialise");
            return print(&object).map(drop);
        }
        self.lines().iter().try_for_each(|line| print(line).map(drop))
    }

    fn lines(&self) -> Vec<String> {
        let Report { relay, via, pairs, window, size, secs, .. } = self;
        let mut lines = vec![
            format!("relay {relay} via {via}, {pairs} pairs, window {window}, {size} bytes, {secs} s"),
            format!("bench clients keep letters in {}, not on disk", self.kept_in),
            format!("letters {}", self.letters),
            format!("letters_per_second {}", self.letters_per_second),
            format!("latency_us p50 {} p99 {} max {}", self.p50_us, self.p99_us, self.max_us),
            format!("loss {} duplicates {} disorder {}", self.loss, self.duplicates, self.disorder),
        ];
        if self.refused > 0 {
            lines.push(format!("refused {}", self.refused));
        }
        lines.extend(self.cpu_us_per_letter.map(|cpu| format!("cpu_us_per_letter {cpu}")));
        lines.extend(self.flood_per_second.map(|rate| format!("flood_per_second {rate}")));
        if self.throttled {
            lines.push("throttled: the relay holds each sender to its limits".to_owned());
        }
        lines
    }
}

/// Whether the relay's limits, and not round trips, held the letters back in the second half (a burst is free).
fn is_throttled(options: &BenchOptions, totals: &Totals, half_secs: f64) -> bool {
    let rate = totals.delivered[1] as f64 / half_secs / options.pairs as f64;
    let Some(rtt_us) = totals.rtt_us else { return false };
    let possible = options.window as f64 * 1e6 / rtt_us.max(1) as f64 / 2.0;
    rate < THROTTLED_BELOW && possible > rate * THROTTLED_FACTOR
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl FnOnce(&mut Totals)) -> Report {
        let options = BenchOptions {
            relay: String::new(),
            pairs: 2,
            window: 8,
            size: 100,
            time: Duration::from_secs(2),
            tcp: false,
            flood: 0,
            relay_pid: None,
            json: true,
        };
        let mut totals = Totals { delivered: [900, 200], rtt_us: Some(200), ..Totals::default() };
        totals.latencies_us.record_n(80, 1_100).unwrap();
        change(&mut totals);
        let relay = "127.0.0.1:8081".parse().unwrap();
        Report::new(&options, &relay, options.time, totals, Some(Duration::from_micros(5_500)))
    }

    #[test]
    fn the_object_of_json_is_this_one() {
        let json = serde_json::to_string(&report(|_| ())).unwrap();
        insta::assert_snapshot!(json, @r#"{"relay":"127.0.0.1:8081","via":"udp","pairs":2,"window":8,"size":100,"secs":2.0,"letters":1100,"letters_per_second":550.0,"p50_us":80,"p99_us":80,"max_us":80,"loss":0,"duplicates":0,"disorder":0,"refused":0,"cpu_us_per_letter":5.0,"flood_per_second":null,"throttled":true,"kept_in":"memory"}"#);
    }

    #[test]
    fn a_relay_with_its_limits_on_is_noticed_and_a_long_way_is_not_taken_for_one() {
        assert!(report(|_| ()).throttled);
        assert!(!report(|totals| totals.rtt_us = Some(40_000)).throttled);
        assert!(!report(|totals| totals.delivered[1] = 20_000).throttled);
    }

    #[test]
    fn anything_amiss_is_no_success() {
        assert!(report(|_| ()).is_sound());
        assert!(!report(|totals| totals.delivered = [0; 2]).is_sound());
        assert!(!report(|totals| totals.lost = 1).is_sound());
        assert!(!report(|totals| totals.refused = 1).is_sound());
    }
}
