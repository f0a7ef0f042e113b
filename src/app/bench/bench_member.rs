//! One member of a pair: its client, and counts of the letters it sent and received.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use crate::base::{HostPort, Name, Now, Tick};
use crate::client::{Command, ConnectFailure, Event, Progress};
use crate::ui::notice;

use super::bench_client::BenchClient;
use super::sequence_checker::SequenceChecker;
use super::texts::Texts;
use super::totals::Totals;
use super::{Phase, WorkerReport};

pub(super) struct BenchMember {
    pub(super) client: BenchClient,
    me: Name,
    other: Name,
    relay: HostPort,
    texts: Arc<Texts>,
    /// Letters written so far; their numbers are below this.
    pub(super) sent: u64,
    refused: u64,
    corrupt: u64,
    /// Number and due time of each letter in flight, oldest first.
    in_flight: VecDeque<(u64, Tick)>,
    /// Letters from the other side.
    checker: SequenceChecker,
}

/// Result of a turn, as far as it causes letters to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnReport {
    pub(super) now: Now,
    /// Letters from the other side, each counted once.
    pub(super) letters: usize,
    /// Own letters that were returned.
    pub(super) refused: usize,
}

impl BenchMember {
    pub(super) fn new(
        client: BenchClient,
        me: Name,
        other: Name,
        relay: HostPort,
        texts: Arc<Texts>,
    ) -> BenchMember {
        BenchMember {
            client,
            me,
            other,
            relay,
            texts,
            sent: 0,
            refused: 0,
            corrupt: 0,
            in_flight: VecDeque::new(),
            checker: SequenceChecker::default(),
        }
    }

    /// Runs one turn of the client. The other side has written `others_sent` letters.
    pub(super) fn turn(
        &mut self,
        phase: Phase,
        others_sent: u64,
        totals: &mut Totals,
        tell: &mut impl FnMut(WorkerReport),
    ) -> TurnReport {
        let now = self.client.turn();
        let mut report = TurnReport { now, letters: 0, refused: 0 };
        let mut events = mem::take(&mut self.client.events);
        for event in events.drain(..) {
            match event {
                Event::Progress { request, progress: Progress::Delivered, .. } => {
                    if let Some(due) = self.end_request(request) {
                        totals.count_delivered(phase, now.tick, due);
                    }
                }
                Event::Refused { request, .. } => {
                    report.refused += usize::from(self.end_request(request).is_some());
                    self.refused += 1;
                }
                Event::Letter(letter) => match self.texts.read(&letter.text) {
                    Some(number) if letter.from == self.other => {
                        report.letters += usize::from(self.checker.take(number, others_sent));
                    }
                    _ => self.corrupt += 1,
                },
                event => tell_event(&event, &self.me, tell),
            }
        }
        self.client.events = events;
        report
    }

    /// Writes the next letter, which was due at `due`.
    pub(super) fn write(&mut self, due: Tick) {
        let text = self.texts.write(self.sent);
        let request = self.sent;
        let relay = self.relay.clone();
        let to = self.other.clone();
        self.client.commands.push_back(Command::Send { request, relay, to, text });
        self.in_flight.push_back((request, due));
        self.sent += 1;
    }

    /// Removes a letter that has ended from those in flight. Returns when it was due.
    fn end_request(&mut self, request: u64) -> Option<Tick> {
        let place = self.in_flight.binary_search_by_key(&request, |(number, _)| *number).ok()?;
        self.in_flight.remove(place).map(|(_, due)| due)
    }

    /// Returns the number of letters that have not ended.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Signs out of the relay and adds this side's counts. The other side has written `others_sent`
    /// letters, of which `others_refused` were returned to it.
    pub(super) fn leave(&mut self, (others_sent, others_refused): (u64, u64), totals: &mut Totals) {
        let rtt =
            self.client.client.peer(&self.relay).map(|peer| peer.link().smoothed_rtt().as_micros() as u64);
        totals.rtt_us = totals.rtt_us.into_iter().chain(rtt).min();
        totals.lost += self.checker.missing(others_sent).saturating_sub(others_refused + self.corrupt);
        totals.duplicates += self.checker.duplicates;
        totals.disorder += self.checker.disorder;
        totals.corrupt += self.corrupt;
        totals.refused += self.refused;
        self.client.commands.push_back(Command::Leave);
        self.client.turn();
        self.client.net.release();
    }

    /// Returns the numbers of letters written and of those returned.
    pub(super) fn written(&self) -> (u64, u64) {
        (self.sent, self.refused)
    }
}

/// Reports events about the connection: a sign-in, or its end.
fn tell_event(event: &Event, me: &Name, tell: &mut impl FnMut(WorkerReport)) {
    match event {
        Event::Online { .. } => tell(WorkerReport::Online),
        Event::Unreached { .. } | Event::NameRefused { .. } | Event::Replaced { .. } => {
            if let Some(phrase) = notice::of_event(event, me.as_str()) {
                let passes = matches!(
                    event,
                    Event::Unreached { reason: ConnectFailure::Silent | ConnectFailure::NoRoom, .. }
                );
                tell(if passes { WorkerReport::Silent(phrase) } else { WorkerReport::Failed(phrase) });
            }
        }
        _ => {}
    }
}
