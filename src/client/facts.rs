//! Records that no effect waits for: the key of a relay at first use, and UDP failures.
//!
//! A failed record is retried after a pause, with the latest value of its kind. There is one entry
//! for each relay and kind, however long the disk fails. Unlike records of the journal, they hold
//! up no letter.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Effect, HostPort, Outputs, Tick, Ticket};

use super::api::{Event, Record};
use super::handshake_counter::HandshakeCounter;

/// First pause before a retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest pause. A pin fails for good if another process has pinned another key; the retry then
/// reads a small file every minute.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pin,
    Udp,
}

#[derive(Debug)]
struct Fact {
    record: Record,
    /// Its ticket at the store; `None` after a failure.
    submitted: Option<Ticket>,
}

/// Records that are not durable yet.
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

    /// Submits a record to the store. It replaces an earlier one of its kind for the same relay.
    pub(super) fn submit(
        &mut self,
        record: Record,
        counter: &mut HandshakeCounter,
        out: &mut Outputs<Record, Event>,
    ) {
        let key = match &record {
            Record::Pin { relay, .. } => (relay.clone(), Kind::Pin),
            Record::UdpFailed { relay, .. } => (relay.clone(), Kind::Udp),
            _ => unreachable!("other records belong to the journal or the counter"),
        };
        let ticket = counter.next_ticket();
        out.effects.push(Effect::Persist(ticket, record.clone()));
        self.by_kind.insert(key, Fact { record, submitted: Some(ticket) });
    }

    /// Drops the pin of this relay: the user has decided on its key.
    pub(super) fn forget_pin(&mut self, relay: &HostPort) {
        self.by_kind.remove(&(relay.clone(), Kind::Pin));
    }

    /// Handles the store's answer. Returns whether it was for one of these records.
    pub(super) fn handle_committed(&mut self, now: Tick, ticket: Ticket, durable: bool) -> bool {
        let mut facts = self.by_kind.iter_mut();
        let Some((key, fact)) = facts.find(|(_, fact)| fact.submitted == Some(ticket)) else { return false };
        if durable {
            let key = key.clone();
            self.by_kind.remove(&key);
            self.pause = RETRY_AFTER;
            return true;
        }
        fact.submitted = None;
        if self.retry_at.is_none() {
            self.retry_at = Some(now + self.pause);
            self.pause = (self.pause * 2).min(RETRY_AFTER_MAX);
        }
        true
    }

    /// Submits failed records again when their pause is over.
    pub(super) fn handle_time(
        &mut self,
        now: Tick,
        counter: &mut HandshakeCounter,
        out: &mut Outputs<Record, Event>,
    ) {
        if self.retry_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        for fact in self.by_kind.values_mut().filter(|fact| fact.submitted.is_none()) {
            let ticket = counter.next_ticket();
            fact.submitted = Some(ticket);
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

    fn submitted(out: &mut Outputs<Record, Event>) -> Vec<(Ticket, Record)> {
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
    fn failed_record_is_retried_with_latest_value() {
        let mut facts = Facts::new();
        let mut counter = HandshakeCounter::new(0);
        let mut out = Outputs::default();
        let at = |second: u64| Tick::from_micros(second * 1_000_000);
        for record in [udp(1), pin(), udp(2)] {
            facts.submit(record, &mut counter, &mut out);
        }
        let tickets: Vec<Ticket> = submitted(&mut out).into_iter().map(|(ticket, _)| ticket).collect();
        assert!(!facts.handle_committed(at(0), tickets[0], false), "a newer record replaced it");
        assert!(
            facts.handle_committed(at(0), tickets[1], false)
                && facts.handle_committed(at(0), tickets[2], false)
        );
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = facts.next_deadline().unwrap();
            facts.handle_time(next, &mut counter, &mut out);
            let again = submitted(&mut out);
            let records: Vec<Record> = again.iter().map(|(_, record)| record.clone()).collect();
            assert_eq!(records, [pin(), udp(2)], "one of each, however long it takes");
            again.iter().for_each(|(ticket, _)| assert!(facts.handle_committed(next, *ticket, false)));
            pauses.push(facts.next_deadline().unwrap().since(next).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        facts.forget_pin(&relay());
        facts.handle_time(facts.next_deadline().unwrap(), &mut counter, &mut out);
        let again = submitted(&mut out);
        assert_eq!(again.len(), 1, "the user has decided on the key");
        assert!(facts.handle_committed(at(999), again[0].0, true));
        assert_eq!(facts.next_deadline(), None);
        assert!(facts.by_kind.is_empty());
    }
}
