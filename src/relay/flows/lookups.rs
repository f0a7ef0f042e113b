//! Unknown names, and conversations of which nothing is said for now.
//!
//! A member learns of a bounded number of names a minute that they do not exist. Beyond that the
//! answer waits, and its silence must not tell either: so of conversations that begin after it
//! nothing is said before it is answered, whether their recipients exist or not. Their letters are
//! not held up: one to a member is taken and handed over, one to an unknown name is dropped, and
//! its author sends it again if the name is taken by the time of the answer. Conversations of which
//! the author knows are not concerned.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{OutboxId, Tick};
use crate::wire::message::Reason;

use super::super::limits::{LOOKUP_INTERVAL, UNKNOWN_FOR, WAITING_MAX};
use super::{FlowId, Flows, Standing};

/// Unknown names that an author's refused letters are remembered for; at the bound the first is
/// forgotten, and if that very name is taken at once, order may suffer.
const UNKNOWN_MAX: usize = 64;

/// Numbers of letters, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Numbers {
    pub(in crate::relay) first: u64,
    pub(in crate::relay) last: u64,
}

impl Numbers {
    pub(in crate::relay) const fn one(number: u64) -> Numbers {
        Numbers { first: number, last: number }
    }

    /// These and those, and what is between them.
    pub(super) fn span(self, other: Numbers) -> Numbers {
        Numbers { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    pub(super) fn contains(self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Those above `number`, if there are any.
    pub(super) fn behind(self, number: u64) -> Option<Numbers> {
        let first = self.first.max(number.saturating_add(1));
        (first <= self.last).then_some(Numbers { first, ..self })
    }
}

/// Letters to an unknown name.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    refused: Numbers,
    /// When the name was last looked for.
    looked: Option<Tick>,
}

/// Letters that were refused because their recipients are unknown.
#[derive(Debug, Default)]
pub(super) struct Unknowns {
    names: BTreeMap<(OutboxId, Box<str>), Unknown>,
}

impl Unknowns {
    pub(super) const fn new() -> Unknowns {
        Unknowns { names: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    /// The name is taken: returns the letters that were refused before.
    pub(super) fn found(&mut self, outbox: OutboxId, name: &str) -> Option<Numbers> {
        if self.is_empty() {
            return None;
        }
        self.names.remove(&(outbox, name.into())).map(|unknown| unknown.refused)
    }

    fn get(&self, outbox: OutboxId, name: &str) -> Option<&Unknown> {
        if self.is_empty() {
            return None;
        }
        self.names.get(&(outbox, name.into()))
    }
}

/// A conversation of which nothing is said for now.
#[derive(Debug)]
struct Waiter {
    outbox: OutboxId,
    name: Box<str>,
    /// Its letters that were not taken in this session, and how many they are.
    refused: Option<Numbers>,
    letters: u32,
}

/// Conversations of which nothing is said for now, in the order in which they began; at most
/// [`WAITING_MAX`].
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiters: VecDeque<Waiter>,
}

impl Waiting {
    pub(super) const fn new() -> Waiting {
        Waiting { waiters: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn holds(&self, outbox: OutboxId, name: &str) -> bool {
        self.waiters.iter().any(|waiter| waiter.outbox == outbox && *waiter.name == *name)
    }

    /// The author sends everything again. Each conversation keeps its turn, or a session that
    /// begins again would learn early of what waits behind.
    pub(super) fn begin_session(&mut self) {
        self.waiters.iter_mut().for_each(|waiter| (waiter.refused, waiter.letters) = (None, 0));
    }
}

/// A conversation that is answered now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::relay) struct Answer {
    pub(in crate::relay) outbox: OutboxId,
    pub(in crate::relay) name: Box<str>,
    /// Its letters that were not taken.
    pub(in crate::relay) refused: Option<Numbers>,
    letters: u32,
}

impl Flows {
    /// Letters were refused because `name` is unknown; it was looked for at `looked` or earlier.
    pub(in crate::relay) fn refused_unknown(
        &mut self,
        outbox: OutboxId,
        name: &str,
        numbers: Numbers,
        looked: Option<Tick>,
    ) {
        let names = &mut self.unknowns.names;
        let new = Unknown { refused: numbers, looked };
        let unknown = names.entry((outbox, name.into())).or_insert(new);
        unknown.refused = unknown.refused.span(numbers);
        unknown.looked = unknown.looked.max(looked);
        if names.len() > UNKNOWN_MAX {
            names.pop_first();
        }
    }

    /// Whether the author has learned in this session, and not long ago, that `name` is unknown.
    pub(in crate::relay) fn is_known_unknown(&self, now: Tick, outbox: OutboxId, name: &str) -> bool {
        let looked = self.unknowns.get(outbox, name).and_then(|unknown| unknown.looked);
        looked.is_some_and(|at| now.since(at) < UNKNOWN_FOR)
    }

    /// Whether a letter is behind one to a name that was looked for a moment ago: it was sent
    /// before its author could know that the name is unknown, and says nothing new.
    pub(in crate::relay) fn is_behind_unknown(
        &self,
        now: Tick,
        outbox: OutboxId,
        name: &str,
        prev: u64,
    ) -> bool {
        let unknown = self.unknowns.get(outbox, name).filter(|unknown| unknown.refused.contains(prev));
        let looked = unknown.and_then(|unknown| unknown.looked);
        looked.is_some_and(|at| now.since(at) < LOOKUP_INTERVAL)
    }

    /// Whether there are conversations of which nothing is said for now.
    pub(in crate::relay) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing is said of this conversation for now.
    pub(in crate::relay) fn is_waiting(&self, outbox: OutboxId, name: &str) -> bool {
        self.waiting.holds(outbox, name)
    }

    /// Whether nothing is said of this flow for now.
    pub(in crate::relay) fn waits(&self, flow: FlowId) -> bool {
        self.has_waiting() && self.flows.get(&flow).is_some_and(|state| state.standing == Standing::Waits)
    }

    /// Whether the author may know that the recipient exists.
    pub(in crate::relay) fn is_known(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|state| state.standing == Standing::Known)
    }

    /// From now on nothing is said of this conversation; `false` if too many wait.
    pub(in crate::relay) fn wait(&mut self, outbox: OutboxId, name: &str) -> bool {
        if self.waiting.holds(outbox, name) {
            return true;
        }
        let has_room = self.waiting.waiters.len() < WAITING_MAX;
        if has_room {
            let waiter = Waiter { outbox, name: name.into(), refused: None, letters: 0 };
            self.waiting.waiters.push_back(waiter);
        }
        has_room
    }

    /// A letter of a conversation that waits was not taken.
    pub(in crate::relay) fn refused_waiting(&mut self, outbox: OutboxId, name: &str, number: u64) {
        let mut waiters = self.waiting.waiters.iter_mut();
        if let Some(waiter) = waiters.find(|waiter| waiter.outbox == outbox && *waiter.name == *name) {
            let one = Numbers::one(number);
            waiter.refused = Some(waiter.refused.map_or(one, |refused| refused.span(one)));
            waiter.letters = waiter.letters.saturating_add(1);
        }
    }

    /// Whom the conversation that is answered next is with.
    pub(in crate::relay) fn next_waiting(&self) -> Option<&str> {
        self.waiting.waiters.front().map(|waiter| &*waiter.name)
    }

    /// The conversation of [`Flows::next_waiting`] is answered.
    pub(in crate::relay) fn take_waiting(&mut self) -> Option<Answer> {
        let Waiter { outbox, name, refused, letters } = self.waiting.waiters.pop_front()?;
        Some(Answer { outbox, name, refused, letters })
    }

    /// The recipient of this conversation exists: a receipt is owed, and what was not taken goes
    /// again.
    pub(in crate::relay) fn answer(&mut self, flow: FlowId, answer: &Answer) {
        if !self.open(flow) {
            return;
        }
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.standing = Standing::Known;
        if let Some(numbers) = answer.refused {
            state.refuse(numbers, Reason::Behind, self.session);
            self.passes += state.again.grant(numbers.last, answer.letters);
        }
        if state.marks.accepted > 0 {
            state.owe(flow, self.session, &mut self.owing);
            state.raise(flow, self.session, &mut self.raised);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Turn;
    use super::super::tests::{BEHIND, FLOW, take};
    use super::*;

    fn one(flows: &mut Flows, name: &str, number: u64, looked: Option<Tick>) {
        flows.refused_unknown(FLOW.outbox, name, Numbers::one(number), looked);
    }

    #[test]
    fn a_letter_behind_one_to_nobody_waits_when_the_name_is_taken() {
        let mut flows = Flows::default();
        one(&mut flows, "JACK", 1, None);
        one(&mut flows, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), BEHIND);
        assert_eq!(take(&mut flows, 3, 0), Turn::Next, "its sender knows now that 1 and 2 were refused");
        for name in 0..2 * UNKNOWN_MAX {
            one(&mut flows, &name.to_string(), 1, None);
            assert!(flows.unknowns.names.len() <= UNKNOWN_MAX);
        }
    }

    #[test]
    fn an_unknown_name_is_remembered_for_a_while_unless_it_is_found() {
        let (mut flows, at) = (Flows::default(), |second: u64| Tick::from_micros(second * 1_000_000));
        let known = |flows: &Flows, second| flows.is_known_unknown(at(second), FLOW.outbox, "JACK");
        one(&mut flows, "JACK", 1, Some(at(5)));
        one(&mut flows, "JACK", 2, None);
        assert!(known(&flows, 34), "it was not looked for again");
        assert!(!known(&flows, 35));
        one(&mut flows, "JACK", 3, Some(at(76)));
        assert!(known(&flows, 100) && !flows.is_known_unknown(at(100), FLOW.outbox, "JACC"));
        assert_eq!(take(&mut flows, 4, 3), BEHIND, "the name is found");
        assert!(!known(&flows, 100));
        one(&mut flows, "JACC", 1, Some(at(100)));
        flows.begin_session();
        assert!(!flows.is_known_unknown(at(100), FLOW.outbox, "JACC"), "it learned this in another session");
    }

    #[test]
    fn letters_to_a_name_that_was_free_for_a_while_keep_order() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        one(&mut flows, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), BEHIND);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next);
    }

    #[test]
    fn a_flow_that_waits_owes_no_receipt_before_it_is_answered() {
        let mut flows = Flows::default();
        assert!(flows.wait(FLOW.outbox, "JACK") && flows.wait(FLOW.outbox, "JACK"));
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        flows.delivered(FLOW, 1);
        assert_eq!(take(&mut flows, 1, 0), Turn::Repeated);
        flows.asked(FLOW);
        assert_eq!(flows.next_receipt(), None);
        flows.begin_session();
        assert_eq!(flows.next_receipt(), None, "nor by coming again");
        let answer = flows.take_waiting().unwrap();
        assert_eq!((&*answer.name, answer.refused, flows.has_waiting()), ("JACK", None, false));
        flows.answer(FLOW, &answer);
        assert_eq!(flows.next_receipt().map(|(_, marks, _)| marks.delivered), Some(1));
        assert!(flows.is_known(FLOW));
    }

    #[test]
    fn letters_not_taken_come_again_once_without_counting() {
        let mut flows = Flows::default();
        assert!(flows.wait(FLOW.outbox, "JACK"));
        (4..=6).for_each(|number| flows.refused_waiting(FLOW.outbox, "JACK", number));
        let answer = flows.take_waiting().unwrap();
        assert_eq!(answer.refused, Some(Numbers { first: 4, last: 6 }));
        flows.answer(FLOW, &answer);
        assert_eq!(take(&mut flows, 7, 6), BEHIND, "it was sent before its author knew");
        for (number, prev) in [(4, 3), (5, 4), (6, 5), (7, 6)] {
            assert!(flows.comes_again(FLOW, number) && !flows.comes_again(FLOW, number));
            assert_eq!(take(&mut flows, number, prev), Turn::Next);
        }
        assert_eq!(flows.passes, 0);
    }

    #[test]
    fn conversations_that_wait_are_bounded() {
        let mut flows = Flows::default();
        (0..WAITING_MAX).for_each(|name| assert!(flows.wait(FLOW.outbox, &name.to_string())));
        assert!(!flows.wait(FLOW.outbox, "one more") && flows.wait(FLOW.outbox, "0"));
    }
}
