//! Records that nothing waits for: the key a relay showed at first use, how UDP to it has fared.
//!
//! One that could not be made durable is given again after a while, in the words of the newest of
//! its kind: one entry for each relay and kind, however long the disk refuses. They hold up no
//! letter, as records of the journal would.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Effect, HostPort, Outputs, Tick, Ticket};

use super::api::{Event, Record};
use super::counter::Counter;

/// The first pause, and the longest. A pin is refused for good where another process has pinned
/// another key: a look at a small file every minute.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pin,
    Udp,
}

#[derive(Debug)]
struct Fact {
    record: Record,
    /// Where the store has it; `None`: it failed.
    at_disk: Option<Ticket>,
}

/// What was given and is not durable.
#[derive(Debug)]
pub(super) struct Facts {
    by_kind: BTreeMap<(HostPort, Kind), Fact>,
    retry_at: Option<Tick>,
    pause: Duration,
}

impl Facts {
    pub(super) const fn new() -> Facts {
        Facts { by_kind: BTreeMap::new(), retry_at: None, pause: RETRY_AFTER }
    }

    /// Hands a record to the store; an earlier one of its kind, about the same relay, is not given
    /// again.
    pub(super) fn give(&mut self, record: Record, counter: &mut Counter, out: &mut Outputs<Record, Event>) {
        let key = match &record {
            Record::Pin { relay, .. } => (relay.clone(), Kind::Pin),
            Record::UdpFailed { relay, .. } => (relay.clone(), Kind::Udp),
            _ => unreachable!("all others are the journal's and the counter's"),
        };
        let ticket = counter.other_ticket();
        out.effects.push(Effect::Persist(ticket, record.clone()));
        self.by_kind.insert(key, Fact { record, at_disk: Some(ticket) });
    }

    /// The user has decided on this relay's key: the one it showed at first use is no more to be
    /// pinned.
    pub(super) fn forget_pin(&mut self, relay: &HostPort) {
        self.by_kind.remove(&(relay.clone(), Kind::Pin));
    }

    /// The store answered; whether it was for one of these.
    pub(super) fn handle_committed(&mut self, now: Tick, ticket: Ticket, durable: bool) -> bool {
        let mut facts = self.by_kind.iter_mut();
        let Some((key, fact)) = facts.find(|(_, fact)| fact.at_disk == Some(ticket)) else { return false };
        if durable {
            let key = key.clone();
            self.by_kind.remove(&key);
            self.pause = RETRY_AFTER;
            return true;
        }
        fact.at_disk = None;
        if self.retry_at.is_none() {
            self.retry_at = Some(now + self.pause);
            self.pause = (self.pause * 2).min(RETRY_AFTER_MAX);
        }
        true
    }

    /// Gives again what failed, when its time has come.
    pub(super) fn handle_time(&mut self, now: Tick, counter: &mut Counter, out: &mut Outputs<Record, Event>) {
        if self.retry_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        for fact in self.by_kind.values_mut().filter(|fact| fact.at_disk.is_none()) {
            let ticket = counter.other_ticket();
            fact.at_disk = Some(ticket);
            out.effects.push(Effect::Persist(ticket, fact.record.clone()));
        }
    }

    pub(super) const fn next_deadline(&self) -> Option<Tick> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PublicKey, Wall};

    fn given(out: &mut Outputs<Record, Event>) -> Vec<(Ticket, Record)> {
        let take = |effect| match effect {
            Effect::Persist(ticket, record) => (ticket, record),
            other => panic!("{other:?}"),
        };
        std::mem::take(&mut out.effects).into_iter().map(take).collect()
    }

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn udp(at: u64) -> Record {
        Record::UdpFailed { relay: relay(), at: Some(Wall(at)) }
    }

    fn pin() -> Record {
        Record::Pin { relay: relay(), key: PublicKey([5; 32]) }
    }

    #[test]
    fn what_failed_is_given_again_in_its_newest_words() {
        let (mut facts, mut counter, mut out) = (Facts::new(), Counter::new(0), Outputs::default());
        let at = |second: u64| Tick::from_micros(second * 1_000_000);
        for record in [udp(1), pin(), udp(2)] {
            facts.give(record, &mut counter, &mut out);
        }
        let tickets: Vec<Ticket> = given(&mut out).into_iter().map(|(ticket, _)| ticket).collect();
        assert!(!facts.handle_committed(at(0), tickets[0], false), "there is a newer one");
        assert!(
            facts.handle_committed(at(0), tickets[1], false)
                && facts.handle_committed(at(0), tickets[2], false)
        );
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = facts.next_deadline().unwrap();
            facts.handle_time(next, &mut counter, &mut out);
            let again = given(&mut out);
            let records: Vec<Record> = again.iter().map(|(_, record)| record.clone()).collect();
            assert_eq!(records, [pin(), udp(2)], "one of each, however long it takes");
            again.iter().for_each(|(ticket, _)| assert!(facts.handle_committed(next, *ticket, false)));
            pauses.push(facts.next_deadline().unwrap().since(next).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        facts.forget_pin(&relay());
        facts.handle_time(facts.next_deadline().unwrap(), &mut counter, &mut out);
        let again = given(&mut out);
        assert_eq!(again.len(), 1, "the user has decided on the key");
        assert!(facts.handle_committed(at(999), again[0].0, true));
        assert_eq!((facts.next_deadline(), facts.by_kind.len()), (None, 0));
    }
}
