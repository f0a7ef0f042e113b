//! Two clients, one of which writes to the other; and the books kept about them.

use std::collections::{BTreeSet, VecDeque};

use hdrhistogram::Histogram;

use crate::base::{HostPort, Name, Phrase, Tick};
use crate::client::{Carriers, Command, Event, Progress, RelaySpec};
use crate::ui::notice;

use super::end::End;
use super::{Phase, Told};

/// A text begins with the letter's number as so many hexadecimal digits.
pub(super) const NUMBER_LEN: usize = 16;
/// Latencies are kept up to this many microseconds, to three digits.
const LATENCY_MAX_US: u64 = 120_000_000;

/// What was counted.
pub(super) struct Totals {
    /// Letters delivered in each half of the measurement.
    pub(super) delivered: [u64; 2],
    /// From the letter given to the sender's client to `delivered` there, in microseconds, for those letters.
    pub(super) latencies_us: Histogram<u64>,
    /// Given to a client, never refused, and never shown by the other one.
    pub(super) lost: u64,
    /// Shown twice.
    pub(super) duplicates: u64,
    /// Shown after a later one.
    pub(super) disorder: u64,
    /// Given back to the sender.
    pub(super) refused: u64,
    /// The shortest round trip of any sender's link, in microseconds.
    pub(super) rtt_us: Option<u64>,
}

impl Default for Totals {
    fn default() -> Totals {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order");
        let (lost, duplicates, disorder, refused) = (0, 0, 0, 0);
        Totals { delivered: [0; 2], latencies_us, lost, duplicates, disorder, refused, rtt_us: None }
    }
}

impl Totals {
    /// Takes in what another thread counted.
    pub(super) fn add(&mut self, other: &Totals) {
        (0..2).for_each(|half| self.delivered[half] += other.delivered[half]);
        self.latencies_us.add(&other.latencies_us).expect("all have the same bounds");
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.disorder += other.disorder;
        self.refused += other.refused;
        self.rtt_us = self.rtt_us.into_iter().chain(other.rtt_us).min();
    }

    /// A letter's sender holds `delivered`.
    fn count_delivered(&mut self, phase: Phase, latency_us: u64) {
        let half = match phase {
            Phase::FirstHalf => 0,
            Phase::SecondHalf => 1,
            _ => return,
        };
        self.delivered[half] += 1;
        self.latencies_us.saturating_record(latency_us);
    }
}

/// Which numbers have come.
#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// Below `next`, and never seen.
    skipped: BTreeSet<u64>,
    duplicates: u64,
    disorder: u64,
}

impl Order {
    /// Takes in a letter that came; `sent` letters were written so far.
    fn take(&mut self, number: u64, sent: u64) {
        if number >= sent {
            self.disorder += 1;
        } else if number >= self.next {
            self.skipped.extend(self.next..number);
            self.next = number + 1;
        } else if self.skipped.remove(&number) {
            self.disorder += 1;
        } else {
            self.duplicates += 1;
        }
    }

    fn missing(&self, sent: u64) -> u64 {
        self.skipped.len() as u64 + sent - self.next
    }
}

/// Two members and what is between them.
pub(super) struct Pair {
    pub(super) sender: End,
    pub(super) receiver: End,
    names: [Name; 2],
    relay: HostPort,
    window: usize,
    size: usize,
    sent: u64,
    refused: u64,
    /// Number and time of giving, oldest first.
    in_flight: VecDeque<(u64, Tick)>,
    order: Order,
}

impl Pair {
    /// The pair of this number, not signed in yet.
    ///
    /// # Errors
    /// Those of [`End::open`].
    pub(super) fn open(
        run: &str,
        number: usize,
        spec: RelaySpec,
        carriers: Carriers,
        (window, size): (usize, usize),
    ) -> Result<Pair, Phrase> {
        let name = |side| -> Name {
            format!("{run}-{side}{number}").parse().expect("letters, digits and dashes are a name")
        };
        let (names, relay) = ([name('a'), name('b')], spec.addr.clone());
        let sender = End::open(names[0].clone(), spec.clone(), carriers)?;
        let receiver = End::open(names[1].clone(), spec, carriers)?;
        let (in_flight, order) = (VecDeque::new(), Order::default());
        Ok(Pair { sender, receiver, names, relay, window, size, sent: 0, refused: 0, in_flight, order })
    }

    /// One turn of the client that writes.
    pub(super) fn turn_sender(&mut self, phase: Phase, totals: &mut Totals, tell: &mut impl FnMut(Told)) {
        let now = self.sender.turn().tick;
        for event in self.sender.events.drain(..) {
            match event {
                Event::Progress { request, progress: Progress::Delivered, .. } => {
                    if let Some(given) = settle(&mut self.in_flight, request) {
                        let micros = now.since(given).as_micros();
                        totals.count_delivered(phase, u64::try_from(micros).unwrap_or(u64::MAX));
                    }
                }
                Event::Refused { request, .. } => {
                    settle(&mut self.in_flight, request);
                    self.refused += 1;
                }
                event => tell_event(&event, &self.names[0], tell),
            }
        }
        if (Phase::WarmUp..Phase::Drain).contains(&phase) {
            while self.in_flight.len() < self.window {
                self.write(now);
            }
        }
    }

    /// One turn of the client that reads.
    pub(super) fn turn_receiver(&mut self, tell: &mut impl FnMut(Told)) {
        self.receiver.turn();
        for event in self.receiver.events.drain(..) {
            match event {
                Event::Letter(letter) if letter.from == self.names[0] => {
                    let number = letter.text.get(..NUMBER_LEN).map(|digits| u64::from_str_radix(digits, 16));
                    if let Some(Ok(number)) = number.filter(|_| letter.text.len() == self.size) {
                        self.order.take(number, self.sent);
                    }
                }
                event => tell_event(&event, &self.names[1], tell),
            }
        }
    }

    fn write(&mut self, now: Tick) {
        let mut text = format!("{:0NUMBER_LEN$x}", self.sent);
        text.extend(std::iter::repeat_n('.', self.size - NUMBER_LEN));
        let (request, relay, to) = (self.sent, self.relay.clone(), self.names[1].clone());
        self.sender.commands.push_back(Command::Send { request, relay, to, text });
        self.in_flight.push_back((request, now));
        self.sent += 1;
    }

    /// Whether every letter has come to its end.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Leaves the relay, and closes the books.
    pub(super) fn leave(&mut self, totals: &mut Totals) {
        let rtt =
            self.sender.client.peer(&self.relay).map(|peer| peer.link().smoothed_rtt().as_micros() as u64);
        totals.rtt_us = totals.rtt_us.into_iter().chain(rtt).min();
        totals.lost += self.order.missing(self.sent).saturating_sub(self.refused);
        totals.duplicates += self.order.duplicates;
        totals.disorder += self.order.disorder;
        totals.refused += self.refused;
        for end in [&mut self.sender, &mut self.receiver] {
            end.commands.push_back(Command::Leave);
            end.turn();
        }
    }
}

/// Takes a letter that has come to its end off those in flight: when it was given.
fn settle(in_flight: &mut VecDeque<(u64, Tick)>, request: u64) -> Option<Tick> {
    let place = in_flight.binary_search_by_key(&request, |(number, _)| *number).ok()?;
    in_flight.remove(place).map(|(_, given)| given)
}

/// What happened beside letters: signed in, or the end of it.
fn tell_event(event: &Event, me: &Name, tell: &mut impl FnMut(Told)) {
    match event {
        Event::Online { .. } => tell(Told::Online),
        Event::Unreached { .. } | Event::NameRefused { .. } | Event::Replaced { .. } => {
            if let Some(phrase) = notice::of_event(event, me.as_str()) {
                tell(Told::Failed(phrase));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(came: &[u64], sent: u64) -> (u64, u64, u64) {
        let mut order = Order::default();
        came.iter().for_each(|number| order.take(*number, sent));
        (order.missing(sent), order.duplicates, order.disorder)
    }

    #[test]
    fn what_is_lost_doubled_or_late_is_told_apart() {
        assert_eq!(order(&[0, 1, 2], 3), (0, 0, 0));
        assert_eq!(order(&[0, 2], 4), (2, 0, 0));
        assert_eq!(order(&[0, 1, 1, 0], 2), (0, 2, 0));
        assert_eq!(order(&[1, 0, 2], 3), (0, 0, 1));
        assert_eq!(order(&[1, 0, 0], 2), (0, 1, 1));
        assert_eq!(order(&[7], 1), (1, 0, 1), "a number that was never sent");
    }

    #[test]
    fn only_what_is_delivered_in_the_measurement_counts() {
        let mut totals = Totals::default();
        for phase in [
            Phase::Begin,
            Phase::WarmUp,
            Phase::FirstHalf,
            Phase::SecondHalf,
            Phase::SecondHalf,
            Phase::Drain,
        ] {
            totals.count_delivered(phase, 50);
        }
        let mut sum = Totals::default();
        sum.add(&totals);
        assert_eq!((sum.delivered, sum.latencies_us.len()), ([1, 2], 3));
    }
}
