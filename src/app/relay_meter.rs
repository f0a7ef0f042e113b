//! Counts of a running relay over time: totals every five minutes, and floods.
//!
//! Must not depend on: the store, the language. Invariant: an idle relay is not woken more often
//! than once in [`TOTALS_EVERY`]. Only while a flood lasts it is looked at every second.

use std::time::Duration;

use crate::base::Tick;
use crate::net;
use crate::relay::Stats;

/// Interval of the totals. 5 min: an hour fits on a screen, and a problem is seen before users
/// call.
pub(super) const TOTALS_EVERY: Duration = Duration::from_secs(300);
/// Interval at which floods are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time below the threshold after which a flood has ended. 10 s: a flood that pauses is one flood.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// Counts since the start of a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Counts of the core.
    pub relay: Stats,
    /// Counts of the sockets.
    pub net: net::Stats,
}

/// Events of some time, as the operator reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Length of that time.
    pub time: Duration,
    /// Members that are online at its end.
    pub online: usize,
    /// Name and number of each event, in the order in which they are printed.
    pub counts: Vec<(&'static str, u64)>,
}

/// Kind of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodKind {
    /// Datagrams that are no packet of a session.
    Datagrams,
    /// First handshake messages from unproven addresses: the relay asks for a proof of the address.
    Handshakes,
    /// TCP connections beyond a limit.
    Connections,
    /// Texts of guests beyond a limit.
    Guests,
    /// Sign-ins that were refused.
    SignIns,
}

/// Begin or end of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// Its kind.
    pub kind: FloodKind,
    /// Number of its events: in the last second at its begin, in total at its end.
    pub count: u64,
    /// Its duration at its end; `None` at its begin.
    pub lasted: Option<Duration>,
}

/// A report of the meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterReport {
    /// Totals of a time in which something happened.
    Totals(Totals),
    /// A flood has begun or ended.
    Flood(Flood),
}

/// Each kind, and the events in one second from which it is a flood. The thresholds are several
/// times what a busy relay sees of honest clients.
const FLOODS: [(FloodKind, u64); 5] = [
    (FloodKind::Datagrams, 1_000),
    (FloodKind::Handshakes, 100),
    (FloodKind::Connections, 20),
    (FloodKind::Guests, 100),
    (FloodKind::SignIns, 20),
];

#[derive(Clone, Copy, Debug)]
struct OngoingFlood {
    since: Tick,
    last: Tick,
    count: u64,
}

/// Compares the counts of a relay at intervals.
#[derive(Debug)]
pub(super) struct Meter {
    reported_at: Tick,
    reported: Counts,
    looked_at: Tick,
    looked: Counts,
    floods: [Option<OngoingFlood>; FLOODS.len()],
}

impl Meter {
    pub(super) fn new(now: Tick) -> Meter {
        Meter {
            reported_at: now,
            reported: Counts::default(),
            looked_at: now,
            looked: Counts::default(),
            floods: [None; FLOODS.len()],
        }
    }

    /// Whether [`Meter::measure`] would do anything.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        now.since(self.looked_at) >= LOOK_EVERY
    }

    /// Returns the time of the next measurement that must not be missed.
    pub(super) fn next_deadline(&self) -> Tick {
        let report = self.reported_at + TOTALS_EVERY;
        match self.floods.iter().any(Option::is_some) {
            true => report.min(self.looked_at + LOOK_EVERY),
            false => report,
        }
    }

    /// Compares the counts with earlier ones, and passes on the reports that are due.
    pub(super) fn measure(
        &mut self,
        now: Tick,
        counts: Counts,
        online: impl FnOnce() -> usize,
        mut report: impl FnMut(MeterReport),
    ) {
        let since = std::mem::replace(&mut self.looked_at, now);
        let before = std::mem::replace(&mut self.looked, counts);
        // After a pause of the loop or of its peers the events are spread over more than a second.
        let secs = now.since(since).as_secs().max(1);
        for ((kind, threshold), ongoing) in FLOODS.into_iter().zip(&mut self.floods) {
            let count = events(kind, &counts) - events(kind, &before);
            if let Some(flood) = look(ongoing, now, count, count / secs >= threshold) {
                report(MeterReport::Flood(Flood { kind, ..flood }));
            }
        }
        if now.since(self.reported_at) >= TOTALS_EVERY {
            self.finish(now, counts, online, report);
        }
    }

    /// Passes on the totals since the last ones, if anything happened.
    pub(super) fn finish(
        &mut self,
        now: Tick,
        counts: Counts,
        online: impl FnOnce() -> usize,
        mut report: impl FnMut(MeterReport),
    ) {
        let time = now.since(std::mem::replace(&mut self.reported_at, now));
        let before = totals(&std::mem::replace(&mut self.reported, counts));
        let mut counts = totals(&counts);
        counts.iter_mut().zip(before).for_each(|(count, before)| count.1 -= before.1);
        if counts.iter().any(|count| count.1 > 0) {
            report(MeterReport::Totals(Totals { time, online: online(), counts: counts.to_vec() }));
        }
    }
}

/// Updates a flood by the events since the last look.
fn look(ongoing: &mut Option<OngoingFlood>, now: Tick, count: u64, is_much: bool) -> Option<Flood> {
    let begin = Flood { kind: FloodKind::Datagrams, count, lasted: None };
    let Some(flood) = ongoing else {
        *ongoing = is_much.then_some(OngoingFlood { since: now, last: now, count });
        return is_much.then_some(begin);
    };
    flood.count += count;
    if is_much {
        flood.last = now;
    }
    if now.since(flood.last) < QUIET_FOR {
        return None;
    }
    let end = Flood { count: flood.count, lasted: Some(flood.last.since(flood.since)), ..begin };
    *ongoing = None;
    Some(end)
}

fn events(kind: FloodKind, Counts { relay, net }: &Counts) -> u64 {
    match kind {
        FloodKind::Datagrams => dropped(relay, net),
        FloodKind::Handshakes => relay.cookies,
        FloodKind::Connections => relay.conns_refused + net.accepts_refused,
        FloodKind::Guests => relay.guests_refused,
        FloodKind::SignIns => relay.names_refused,
    }
}

fn dropped(relay: &Stats, net: &net::Stats) -> u64 {
    relay.dropped + relay.guests_forged + net.datagrams_misfit + net.datagrams_from_self
}

/// Returns the counts of the totals. Their names are for scripts too.
fn totals(Counts { relay, net }: &Counts) -> [(&'static str, u64); 12] {
    [
        ("sign-ins", relay.sign_ins),
        ("names", relay.names_registered),
        ("accepted", relay.letters_taken),
        ("delivered", relay.letters_stored),
        ("refused", relay.letters_refused),
        ("expired", relay.letters_expired),
        ("names-refused", relay.names_refused),
        ("names-freed", relay.names_freed),
        ("guests-refused", relay.guests_refused),
        ("connections-refused", relay.conns_refused + net.accepts_refused),
        ("protocol-errors", relay.violations + net.framing_errors),
        ("dropped", dropped(relay, net)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Tick = Tick::from_micros(1_000_000);

    fn counts(taken: u64, dropped: u64) -> Counts {
        let relay = Stats { letters_taken: taken, dropped, ..Stats::default() };
        Counts { relay, net: net::Stats::default() }
    }

    fn measured(meter: &mut Meter, secs: u64, counts: Counts) -> Vec<MeterReport> {
        let mut reports = Vec::new();
        meter.measure(START + Duration::from_secs(secs), counts, || 2, |report| reports.push(report));
        reports
    }

    #[test]
    fn totals_come_every_5_min_if_anything_happened() {
        let mut meter = Meter::new(START);
        assert_eq!(measured(&mut meter, 299, counts(7, 0)), []);
        assert_eq!(meter.next_deadline(), START + TOTALS_EVERY);
        let reports = measured(&mut meter, 300, counts(8, 0));
        let [MeterReport::Totals(totals)] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!((totals.time, totals.online, totals.counts[2]), (TOTALS_EVERY, 2, ("accepted", 8)));
        assert_eq!(measured(&mut meter, 600, counts(8, 0)), [], "nothing happened");
        let reports = measured(&mut meter, 900, counts(9, 0));
        let [MeterReport::Totals(totals)] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!(totals.counts[2].1, 1);
    }

    #[test]
    fn flood_has_begin_and_end_with_counts() {
        let mut meter = Meter::new(START);
        assert_eq!(measured(&mut meter, 1, counts(0, 999)), []);
        let flood = |count, lasted: Option<u64>| {
            let lasted = lasted.map(Duration::from_secs);
            [MeterReport::Flood(Flood { kind: FloodKind::Datagrams, count, lasted })]
        };
        assert_eq!(measured(&mut meter, 2, counts(0, 2_999)), flood(2_000, None));
        assert_eq!(meter.next_deadline(), START + Duration::from_secs(3));
        assert_eq!(measured(&mut meter, 3, counts(0, 4_999)), []);
        assert_eq!(measured(&mut meter, 12, counts(0, 5_000)), []);
        assert_eq!(measured(&mut meter, 13, counts(0, 5_001)), flood(4_002, Some(1)));
        assert_eq!(meter.next_deadline(), START + TOTALS_EVERY);
    }

    #[test]
    fn many_events_over_long_time_are_no_flood() {
        let mut meter = Meter::new(START);
        assert_eq!(measured(&mut meter, 100, counts(0, 50_000)), []);
    }
}
