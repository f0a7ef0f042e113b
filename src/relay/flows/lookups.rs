//! Unknown names, and flows whose answers wait.
//!
//! A member may learn only of a bounded number of unknown names per minute. Beyond that the answer
//! waits, and its silence must not reveal it either. Nothing is reported on flows that begin later
//! until it is answered, whether their recipients exist or not.
//!
//! Their letters are not delayed. A letter to a member is taken and passed on. One to an unknown
//! name is dropped, and its sender repeats it if the name is registered by the time of the answer.
//! Flows whose recipient the sender knows are not affected.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{OutboxId, Tick};
use crate::wire::message::Reason;

use super::super::limits::{LOOKUP_RATE, UNKNOWN_FOR, WAITING_MAX};
use super::{Disclosure, Flows};
use crate::relay::ids::FlowId;

/// Unknown names whose refused letters are tracked for one sender. Beyond this, order is not
/// guaranteed if an evicted name is registered right away.
const UNKNOWN_MAX: usize = 64;

/// A range of letter numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct NumberRange {
    pub(in crate::relay) first: u64,
    pub(in crate::relay) last: u64,
}

impl NumberRange {
    pub(in crate::relay) const fn one(number: u64) -> NumberRange {
        NumberRange { first: number, last: number }
    }

    /// Returns the smallest range that contains both.
    pub(super) fn span(self, other: NumberRange) -> NumberRange {
        NumberRange { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    pub(super) fn contains(self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Returns the numbers above `number`, if any.
    pub(super) fn behind(self, number: u64) -> Option<NumberRange> {
        let first = self.first.max(number.saturating_add(1));
        (first <= self.last).then_some(NumberRange { first, ..self })
    }
}

/// Letters to an unknown name.
#[derive(Clone, Copy, Debug)]
struct UnknownRecipient {
    refused: NumberRange,
    /// Time of the last lookup.
    looked_up_at: Option<Tick>,
}

/// Letters refused because their recipients are unknown.
#[derive(Debug, Default)]
pub(super) struct UnknownRecipients {
    names: BTreeMap<(OutboxId, Box<str>), UnknownRecipient>,
}

impl UnknownRecipients {
    pub(super) const fn new() -> UnknownRecipients {
        UnknownRecipients { names: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    /// Removes a name that is registered now, and returns the letters refused before.
    pub(super) fn remove(&mut self, outbox: OutboxId, name: &str) -> Option<NumberRange> {
        if self.is_empty() {
            return None;
        }
        self.names.remove(&(outbox, name.into())).map(|unknown| unknown.refused)
    }

    fn get(&self, outbox: OutboxId, name: &str) -> Option<&UnknownRecipient> {
        if self.is_empty() {
            return None;
        }
        self.names.get(&(outbox, name.into()))
    }
}

/// A flow whose answer waits.
#[derive(Debug)]
struct QueuedLookup {
    outbox: OutboxId,
    name: Box<str>,
    /// Range and number of its letters that were not taken in this session.
    refused: Option<NumberRange>,
    letters: u32,
}

/// Flows whose answers wait, in the order in which they began; at most [`WAITING_MAX`].
#[derive(Debug, Default)]
pub(super) struct LookupQueue {
    lookups: VecDeque<QueuedLookup>,
}

impl LookupQueue {
    pub(super) const fn new() -> LookupQueue {
        LookupQueue { lookups: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lookups.is_empty()
    }

    pub(super) fn contains(&self, outbox: OutboxId, name: &str) -> bool {
        self.lookups.iter().any(|waiter| waiter.outbox == outbox && *waiter.name == *name)
    }

    /// Resets the letters, because the sender repeats them all. Each flow keeps its turn, or a new
    /// session would learn early about the flows behind.
    pub(super) fn begin_session(&mut self) {
        for waiter in &mut self.lookups {
            waiter.refused = None;
            waiter.letters = 0;
        }
    }
}

/// A flow that is answered.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::relay) struct LookupAnswer {
    pub(in crate::relay) outbox: OutboxId,
    pub(in crate::relay) name: Box<str>,
    /// Its letters that were not taken.
    pub(in crate::relay) refused: Option<NumberRange>,
    letters: u32,
}

impl Flows {
    /// Records letters refused because `name` is unknown, and the time of the lookup, if there was
    /// one.
    pub(in crate::relay) fn record_unknown(
        &mut self,
        outbox: OutboxId,
        name: &str,
        numbers: NumberRange,
        looked_up_at: Option<Tick>,
    ) {
        let names = &mut self.unknowns.names;
        let new = UnknownRecipient { refused: numbers, looked_up_at };
        let unknown = names.entry((outbox, name.into())).or_insert(new);
        unknown.refused = unknown.refused.span(numbers);
        unknown.looked_up_at = unknown.looked_up_at.max(looked_up_at);
        if names.len() > UNKNOWN_MAX {
            names.pop_first();
        }
    }

    /// Whether the sender has learned in this session, within [`UNKNOWN_FOR`], that `name` is
    /// unknown.
    pub(in crate::relay) fn is_cached_unknown(&self, now: Tick, outbox: OutboxId, name: &str) -> bool {
        let looked_up_at = self.unknowns.get(outbox, name).and_then(|unknown| unknown.looked_up_at);
        looked_up_at.is_some_and(|at| now.since(at) < UNKNOWN_FOR)
    }

    /// Whether a letter follows one to a name looked up within the interval of [`LOOKUP_RATE`]. Its
    /// sender could not know the result, so it does not count as another lookup.
    pub(in crate::relay) fn is_behind_unknown(
        &self,
        now: Tick,
        outbox: OutboxId,
        name: &str,
        prev: u64,
    ) -> bool {
        let unknown = self.unknowns.get(outbox, name).filter(|unknown| unknown.refused.contains(prev));
        let looked_up_at = unknown.and_then(|unknown| unknown.looked_up_at);
        looked_up_at.is_some_and(|at| now.since(at) < LOOKUP_RATE.interval())
    }

    /// Whether any flow's answer waits.
    pub(in crate::relay) fn has_waiting(&self) -> bool {
        !self.lookup_queue.is_empty()
    }

    /// Whether the answer to this flow waits.
    pub(in crate::relay) fn is_waiting(&self, outbox: OutboxId, name: &str) -> bool {
        self.lookup_queue.contains(outbox, name)
    }

    /// Whether the answer to this flow waits.
    pub(in crate::relay) fn is_undisclosed(&self, flow: FlowId) -> bool {
        self.has_waiting()
            && self.flows.get(&flow).is_some_and(|state| state.disclosure == Disclosure::Waiting)
    }

    /// Whether the sender may know that the recipient exists.
    pub(in crate::relay) fn is_disclosed(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|state| state.disclosure == Disclosure::Known)
    }

    /// Makes this flow wait. Returns `false` if too many do.
    pub(in crate::relay) fn wait(&mut self, outbox: OutboxId, name: &str) -> bool {
        if self.lookup_queue.contains(outbox, name) {
            return true;
        }
        let has_capacity = self.lookup_queue.lookups.len() < WAITING_MAX;
        if has_capacity {
            let waiter = QueuedLookup { outbox, name: name.into(), refused: None, letters: 0 };
            self.lookup_queue.lookups.push_back(waiter);
        }
        has_capacity
    }

    /// Records a letter of a waiting flow that was not taken.
    pub(in crate::relay) fn record_waiting_refused(&mut self, outbox: OutboxId, name: &str, number: u64) {
        let mut lookups = self.lookup_queue.lookups.iter_mut();
        if let Some(waiter) = lookups.find(|waiter| waiter.outbox == outbox && *waiter.name == *name) {
            let one = NumberRange::one(number);
            waiter.refused = Some(waiter.refused.map_or(one, |refused| refused.span(one)));
            waiter.letters = waiter.letters.saturating_add(1);
        }
    }

    /// Returns the recipient of the flow to answer next.
    pub(in crate::relay) fn next_waiting(&self) -> Option<&str> {
        self.lookup_queue.lookups.front().map(|waiter| &*waiter.name)
    }

    /// Removes and returns the flow of [`Flows::next_waiting`].
    pub(in crate::relay) fn take_waiting(&mut self) -> Option<LookupAnswer> {
        let QueuedLookup { outbox, name, refused, letters } = self.lookup_queue.lookups.pop_front()?;
        Some(LookupAnswer { outbox, name, refused, letters })
    }

    /// Answers a flow whose recipient exists: a receipt is pending, and letters not taken may be
    /// sent again.
    pub(in crate::relay) fn answer(&mut self, flow: FlowId, answer: &LookupAnswer) {
        if !self.open(flow) {
            return;
        }
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.disclosure = Disclosure::Known;
        if let Some(numbers) = answer.refused {
            state.refuse(numbers, Reason::Behind, self.receipts.session());
            self.passes += state.retry_passes.grant(numbers.last, answer.letters);
        }
        if state.marks.watermarks.accepted > 0 {
            state.add_news_and_queue(flow, &mut self.receipts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::OrderCheck;
    use super::super::tests::{BEHIND, FLOW, take};
    use super::*;

    fn one(flows: &mut Flows, name: &str, number: u64, looked_up_at: Option<Tick>) {
        flows.record_unknown(FLOW.outbox, name, NumberRange::one(number), looked_up_at);
    }

    #[test]
    fn letter_after_refused_unknown_is_behind_once_name_is_taken() {
        let mut flows = Flows::default();
        one(&mut flows, "JACK", 1, None);
        one(&mut flows, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), BEHIND);
        assert_eq!(
            take(&mut flows, 3, 0),
            OrderCheck::Next,
            "its sender knows now that 1 and 2 were refused"
        );
        for name in 0..2 * UNKNOWN_MAX {
            one(&mut flows, &name.to_string(), 1, None);
            assert!(flows.unknowns.names.len() <= UNKNOWN_MAX);
        }
    }

    #[test]
    fn unknown_name_is_cached_for_30_s_or_until_it_is_found() {
        let mut flows = Flows::default();
        let at = |second: u64| Tick::from_micros(second * 1_000_000);
        let known = |flows: &Flows, second| flows.is_cached_unknown(at(second), FLOW.outbox, "JACK");
        one(&mut flows, "JACK", 1, Some(at(5)));
        one(&mut flows, "JACK", 2, None);
        assert!(known(&flows, 34), "it was not looked for again");
        assert!(!known(&flows, 35));
        one(&mut flows, "JACK", 3, Some(at(76)));
        assert!(known(&flows, 100) && !flows.is_cached_unknown(at(100), FLOW.outbox, "JACC"));
        assert_eq!(take(&mut flows, 4, 3), BEHIND, "the name is found");
        assert!(!known(&flows, 100));
        one(&mut flows, "JACC", 1, Some(at(100)));
        flows.begin_session(None);
        assert!(!flows.is_cached_unknown(at(100), FLOW.outbox, "JACC"), "it learned this in another session");
    }

    #[test]
    fn letters_to_temporarily_unknown_name_keep_order() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
        one(&mut flows, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), BEHIND);
        assert_eq!(take(&mut flows, 3, 1), OrderCheck::Next);
    }

    #[test]
    fn waiting_flow_has_no_receipt_before_it_is_answered() {
        let mut flows = Flows::default();
        assert!(flows.wait(FLOW.outbox, "JACK") && flows.wait(FLOW.outbox, "JACK"));
        assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
        flows.raise_delivered(FLOW, 1);
        assert_eq!(take(&mut flows, 1, 0), OrderCheck::Repeated);
        flows.request_receipt(FLOW);
        assert_eq!(flows.next_receipt(), None);
        flows.begin_session(None);
        assert_eq!(flows.next_receipt(), None, "nor in a new session");
        let answer = flows.take_waiting().unwrap();
        assert_eq!(&*answer.name, "JACK");
        assert_eq!(answer.refused, None);
        assert!(!flows.has_waiting());
        flows.answer(FLOW, &answer);
        assert_eq!(flows.next_receipt().map(|receipt| receipt.marks.watermarks.delivered), Some(1));
        assert!(flows.is_disclosed(FLOW));
    }

    #[test]
    fn letters_not_taken_may_be_repeated_once_without_counting() {
        let mut flows = Flows::default();
        assert!(flows.wait(FLOW.outbox, "JACK"));
        (4..=6).for_each(|number| flows.record_waiting_refused(FLOW.outbox, "JACK", number));
        let answer = flows.take_waiting().unwrap();
        assert_eq!(answer.refused, Some(NumberRange { first: 4, last: 6 }));
        flows.answer(FLOW, &answer);
        assert_eq!(take(&mut flows, 7, 6), BEHIND, "it was sent before its author knew");
        for (number, prev) in [(4, 3), (5, 4), (6, 5), (7, 6)] {
            assert!(flows.redeem_retry_pass(FLOW, number) && !flows.redeem_retry_pass(FLOW, number));
            assert_eq!(take(&mut flows, number, prev), OrderCheck::Next);
        }
        assert_eq!(flows.passes, 0);
    }

    #[test]
    fn waiting_flows_are_bounded() {
        let mut flows = Flows::default();
        (0..WAITING_MAX).for_each(|name| assert!(flows.wait(FLOW.outbox, &name.to_string())));
        assert!(!flows.wait(FLOW.outbox, "one more") && flows.wait(FLOW.outbox, "0"));
    }
}
