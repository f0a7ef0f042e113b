//! Refusals of accepted letters: kept until their sender acknowledges them, and reported in each of
//! its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::base::{Mark, OutboxId};
use crate::relay::limits::{PENDING_REFUSALS_MAX, REFUSED_AT_ONCE_MAX};

use super::Refusal;
use crate::relay::ids::{Destination, FlowId};

type Key = (FlowId, u64);

/// The pending refusals of one sender.
///
/// From [`PENDING_REFUSALS_MAX`] on, only those of letters taken before are added, and those of
/// recipients without any. Starting a session and a query about a flow take little time: only the
/// position from which refusals are reported again is set.
#[derive(Debug, Default)]
pub(super) struct PendingRefusals {
    refusals: BTreeMap<Key, Refusal>,
    /// New refusals of this session, reported first.
    new: BTreeSet<Key>,
    /// Flows that the sender queried: their refusals from this number on are reported again.
    requested_from: BTreeMap<FlowId, u64>,
    /// Position of the report of this session; `None` if it is complete.
    position: Option<Reported>,
}

/// Position of the report of all refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    None,
    Through(Key),
}

impl PendingRefusals {
    pub(super) const EMPTY: PendingRefusals = PendingRefusals {
        refusals: BTreeMap::new(),
        new: BTreeSet::new(),
        requested_from: BTreeMap::new(),
        position: None,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Whether there are fewer than [`PENDING_REFUSALS_MAX`].
    pub(super) fn has_capacity(&self) -> bool {
        self.refusals.len() < PENDING_REFUSALS_MAX
    }

    /// Whether a refusal of this flow is pending.
    pub(super) fn is_pending_for(&self, flow: FlowId) -> bool {
        self.first_of(flow, 0).is_some()
    }

    pub(super) fn above_bound(&self) -> usize {
        self.refusals.len().saturating_sub(PENDING_REFUSALS_MAX)
    }

    /// Whether a refusal of a letter to `to` is pending, from any outbox.
    pub(super) fn is_pending_to(&self, to: Destination) -> bool {
        let flow = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        self.refusals.range((flow(0), 0)..=(flow(u64::MAX), u64::MAX)).next().is_some()
    }

    /// Returns all pending refusals.
    pub(super) fn all(&self) -> impl Iterator<Item = (FlowId, u64, Refusal)> + '_ {
        self.refusals.iter().map(|((flow, number), refusal)| (*flow, *number, *refusal))
    }

    /// Returns the refusal of this letter if it is pending.
    pub(super) fn get(&self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.refusals.get(&(flow, number)).copied()
    }

    /// Begins a session, in which everything is reported.
    pub(super) fn begin_session(&mut self) {
        self.new.clear();
        self.requested_from.clear();
        self.position = (!self.refusals.is_empty()).then_some(Reported::None);
    }

    /// Adds the refusal of an accepted letter.
    pub(super) fn insert(&mut self, flow: FlowId, number: u64, refusal: Refusal) {
        let key = (flow, number);
        self.refusals.insert(key, refusal);
        let will_be_reported = match self.position {
            None => false,
            Some(Reported::None) => true,
            Some(Reported::Through(last)) => last < key,
        };
        if !will_be_reported && self.requested_from.get(&flow).is_none_or(|from| *from > number) {
            self.new.insert(key);
        }
    }

    /// Whether the pending refusals show that an old copy of the outbox has numbered this letter.
    ///
    /// Outbox marks rise with the numbers, and a repeated letter has its old mark. So the original
    /// had used this number if that or a later one was refused under a lower mark.
    pub(super) fn show_old_copy(&self, flow: FlowId, number: u64, mark: Mark) -> bool {
        !self.refusals.is_empty()
            && self.first_of(flow, number).is_some_and(|key| mark > self.refusals[&key].mark)
    }

    /// Whether the refusal of this letter is pending; if so, it is reported again.
    pub(super) fn take_repeated(&mut self, flow: FlowId, number: u64) -> bool {
        let pending = self.get(flow, number);
        if let Some(refusal) = pending {
            self.insert(flow, number, refusal);
        }
        pending.is_some()
    }

    /// Reports the refusals of a flow again, because the sender queried it.
    pub(super) fn request(&mut self, flow: FlowId) {
        if self.is_pending_for(flow) {
            self.requested_from.insert(flow, 0);
        }
    }

    /// Returns the next refusal to report. Call [`PendingRefusals::mark_sent`] once it is reported.
    pub(super) fn next(&mut self) -> Option<(FlowId, u64, Refusal)> {
        let (flow, number) = self.next_key()?;
        Some((flow, number, self.refusals[&(flow, number)]))
    }

    /// Returns the last of the consecutive letters to report next that were refused like the first.
    pub(super) fn last_of(&mut self, flow: FlowId, first: u64, refusal: Refusal) -> u64 {
        let mut last = first;
        let from_new = self.new.contains(&(flow, first));
        for (key, number) in self.refusals.range((flow, first)..).map(|(key, _)| *key).zip(first..=u64::MAX) {
            let is_like = |other: &Refusal| other.is_reported_like(&refusal);
            let is_next = key == (flow, number) && self.refusals.get(&key).is_some_and(is_like);
            // New refusals are reported first, and separately.
            if !is_next || self.new.contains(&key) != from_new || number - first >= REFUSED_AT_ONCE_MAX {
                break;
            }
            last = number;
        }
        last
    }

    /// Marks the refusal of [`PendingRefusals::next`] as reported.
    pub(super) fn mark_sent(&mut self) {
        let Some(key) = self.next_key() else { return };
        if self.new.remove(&key) {
            return;
        }
        if let Some(from) = self.requested_from.get_mut(&key.0) {
            match key.1.checked_add(1) {
                Some(next) => *from = next,
                None => drop(self.requested_from.remove(&key.0)),
            }
            return;
        }
        self.position = Some(Reported::Through(key));
    }

    /// Removes an acknowledged refusal and returns it, if it was pending.
    pub(super) fn take_acknowledged(&mut self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.new.remove(&(flow, number));
        self.refusals.remove(&(flow, number))
    }

    /// Removes the refusals of this flow.
    pub(super) fn remove_flow(&mut self, flow: FlowId) {
        while let Some(key) = self.first_of(flow, 0) {
            self.take_acknowledged(flow, key.1);
        }
    }

    fn next_key(&mut self) -> Option<Key> {
        if let Some(key) = self.new.first() {
            return Some(*key);
        }
        while let Some((flow, from)) = self.requested_from.first_key_value() {
            let flow = *flow;
            if let Some(key) = self.first_of(flow, *from) {
                return Some(key);
            }
            self.requested_from.remove(&flow);
        }
        let start = match self.position? {
            Reported::None => Unbounded,
            Reported::Through(key) => Excluded(key),
        };
        let next = self.refusals.range((start, Unbounded)).next().map(|(key, _)| *key);
        if next.is_none() {
            self.position = None;
        }
        next
    }

    fn first_of(&self, flow: FlowId, from: u64) -> Option<Key> {
        let of_flow = (Included((flow, from)), Included((flow, u64::MAX)));
        self.refusals.range(of_flow).next().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Reason;

    const REFUSAL: Refusal = Refusal { reason: Reason::Expired, may_have_arrived: false, mark: Mark(1) };

    fn flow(outbox: u64) -> FlowId {
        FlowId { to: Destination::Echo, outbox: OutboxId(outbox) }
    }

    /// Returns the outbox and number of every refusal reported now.
    fn report(refusals: &mut PendingRefusals) -> Vec<(u64, u64)> {
        let next = || {
            let (flow, number, _) = refusals.next()?;
            refusals.mark_sent();
            Some((flow.outbox.0, number))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_session_reports_unacknowledged_refusals_once() {
        let mut refusals = PendingRefusals::default();
        for (outbox, number) in [(1, 3), (2, 7), (1, u64::MAX)] {
            refusals.insert(flow(outbox), number, REFUSAL);
        }
        assert_eq!(report(&mut refusals), [(1, 3), (1, u64::MAX), (2, 7)]);
        assert_eq!(report(&mut refusals), []);
        refusals.begin_session();
        refusals.insert(flow(1), 5, REFUSAL);
        assert_eq!(refusals.take_acknowledged(flow(1), 3), Some(REFUSAL));
        assert_eq!(report(&mut refusals), [(1, 5), (1, u64::MAX), (2, 7)]);
        refusals.insert(flow(1), 4, REFUSAL);
        assert_eq!(report(&mut refusals), [(1, 4)]);
    }

    /// A refusal added while the report runs is reported once, before or after its position.
    #[test]
    fn refusal_added_during_report_is_in_it_once() {
        let mut refusals = PendingRefusals::default();
        refusals.insert(flow(2), 2, REFUSAL);
        refusals.insert(flow(2), 4, REFUSAL);
        refusals.begin_session();
        assert_eq!(refusals.next().map(|next| next.1), Some(2));
        refusals.mark_sent();
        refusals.insert(flow(1), 9, REFUSAL);
        refusals.insert(flow(2), 3, REFUSAL);
        assert_eq!(report(&mut refusals), [(1, 9), (2, 3), (2, 4)]);
    }

    #[test]
    fn consecutive_letters_are_one_report() {
        let mut refusals = PendingRefusals::default();
        let other = Refusal { reason: Reason::Damaged, ..REFUSAL };
        let of_next_session = Refusal { mark: Mark(2), ..REFUSAL };
        for (number, refusal) in [(1, REFUSAL), (2, of_next_session), (3, other), (4, REFUSAL), (6, REFUSAL)]
        {
            refusals.insert(flow(1), number, refusal);
        }
        refusals.insert(flow(2), 7, REFUSAL);
        for second_session in [false, true] {
            let mut reported = Vec::new();
            while let Some((flow, first, refusal)) = refusals.next() {
                let last = refusals.last_of(flow, first, refusal);
                (first..=last).for_each(|_| refusals.mark_sent());
                reported.push((flow.outbox.0, first, last));
            }
            assert_eq!(reported, [(1, 1, 2), (1, 3, 3), (1, 4, 4), (1, 6, 6), (2, 7, 7)], "{second_session}");
            refusals.begin_session();
        }
    }

    #[test]
    fn asked_flow_is_reported_again_and_alone() {
        let mut refusals = PendingRefusals::default();
        for (outbox, number) in [(1, 1), (2, 1), (2, u64::MAX)] {
            refusals.insert(flow(outbox), number, REFUSAL);
        }
        report(&mut refusals);
        refusals.request(flow(2));
        assert_eq!(report(&mut refusals), [(2, 1), (2, u64::MAX)]);
        refusals.request(flow(3));
        assert_eq!(report(&mut refusals), []);
    }
}
