//! What one session has sent so far: for each outbox and recipient, how far its letters have come and which of them
//! were refused. From this come the answers to repeated letters, the `behind` refusals that keep the order, and the
//! receipts.

use std::collections::BTreeMap;

use crate::base::{LetterId, OutboxId};

use super::limits::FLOWS_MAX;
use super::members::MemberId;

/// One outbox and one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlowId {
    pub(super) outbox: OutboxId,
    /// `None` is `echo`.
    pub(super) to: Option<MemberId>,
}

/// What is to be done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is next: take it.
    Next,
    /// The letter before it was refused: refuse it as behind.
    Behind,
    /// It was taken before: it has or will have its receipt.
    Repeated,
    /// There are too many flows.
    Crowded,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    taken: u64,
    delivered: u64,
    /// The refused numbers that no later letter has overtaken: first and last.
    refused: Option<(u64, u64)>,
    owes_receipt: bool,
}

/// Names nobody has that a session's refused letters are remembered for; at the bound the first is forgotten, and if
/// somebody takes that very name at once, order may suffer.
const UNKNOWN_MAX: usize = 64;

/// The flows of one session.
#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    owing: Vec<FlowId>,
    /// What was refused because nobody has the name: first and last. It counts when somebody takes the name.
    unknown: BTreeMap<(OutboxId, Box<str>), (u64, u64)>,
}

impl Flows {
    /// Whether this letter to somebody called `name` may be taken now.
    pub(super) fn turn_of(&mut self, flow: FlowId, name: &str, number: u64, prev: u64) -> Turn {
        if !self.flows.contains_key(&flow) {
            if self.flows.len() >= FLOWS_MAX {
                return Turn::Crowded;
            }
            let refused = match self.unknown.is_empty() {
                true => None,
                false => self.unknown.remove(&(flow.outbox, name.into())),
            };
            self.flows.insert(flow, Flow { refused, ..Flow::default() });
        }
        let state = self.flows.get_mut(&flow).expect("it is there or was just made");
        if number <= state.taken {
            if number <= state.delivered {
                self.owe(flow);
            }
            return Turn::Repeated;
        }
        match state.refused {
            Some((first, last)) if (first..=last).contains(&prev) => Turn::Behind,
            _ => Turn::Next,
        }
    }

    /// The letter was taken. Later ones whose `prev` was refused are still behind.
    pub(super) fn took(&mut self, flow: FlowId, number: u64) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = number;
        let behind = |(first, last): (u64, u64)| (first.max(number.saturating_add(1)), last);
        state.refused = state.refused.map(behind).filter(|r| r.0 <= r.1);
    }

    /// The letter was refused, at once or after it had been taken; in both cases it may come again.
    pub(super) fn refused(&mut self, flow: FlowId, number: u64) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = state.taken.min(number.saturating_sub(1));
        state.refused = Some(match state.refused {
            Some((first, last)) => (first.min(number), last.max(number)),
            None => (number, number),
        });
    }

    /// The letter was refused because nobody is called `name`.
    pub(super) fn refused_unknown(&mut self, outbox: OutboxId, name: &str, number: u64) {
        let (first, last) = self.unknown.entry((outbox, name.into())).or_insert((number, number));
        (*first, *last) = ((*first).min(number), (*last).max(number));
        if self.unknown.len() > UNKNOWN_MAX {
            self.unknown.pop_first();
        }
    }

    /// The recipient has every letter up to `id`.
    pub(super) fn delivered(&mut self, to: Option<MemberId>, id: LetterId) {
        let flow = FlowId { outbox: id.outbox, to };
        let Some(state) = self.flows.get_mut(&flow) else { return };
        if id.number > state.delivered {
            state.delivered = id.number;
            self.owe(flow);
        }
    }

    /// The next receipt that is owed: the flow, and how far its letters are delivered. `paid` when it was sent.
    pub(super) fn next_receipt(&self) -> Option<(FlowId, u64)> {
        let flow = *self.owing.last()?;
        Some((flow, self.flows[&flow].delivered))
    }

    /// The receipt of [`Flows::next_receipt`] was sent.
    pub(super) fn paid(&mut self) {
        if let Some(state) = self.owing.pop().and_then(|flow| self.flows.get_mut(&flow)) {
            state.owes_receipt = false;
        }
    }

    fn owe(&mut self, flow: FlowId) {
        let state = self.flows.get_mut(&flow).expect("the caller has just looked at it");
        if !state.owes_receipt {
            state.owes_receipt = true;
            self.owing.push(flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: FlowId = FlowId { outbox: OutboxId(1), to: Some(MemberId(2)) };

    fn take(flows: &mut Flows, number: u64, prev: u64) -> Turn {
        let turn = flows.turn_of(FLOW, "JACK", number, prev);
        match turn {
            Turn::Next => flows.took(FLOW, number),
            Turn::Behind => flows.refused(FLOW, number),
            Turn::Repeated | Turn::Crowded => {}
        }
        turn
    }

    #[test]
    fn order_holds_when_a_letter_in_the_middle_is_refused() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        assert_eq!(flows.turn_of(FLOW, "JACK", 2, 1), Turn::Next);
        flows.refused(FLOW, 2);
        assert_eq!(take(&mut flows, 3, 2), Turn::Behind);
        assert_eq!(take(&mut flows, 4, 3), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next, "3 comes again with a new prev");
        assert_eq!(take(&mut flows, 5, 4), Turn::Behind, "5 was sent before 4 was known to be refused");
        assert_eq!(take(&mut flows, 4, 3), Turn::Next);
        assert_eq!(take(&mut flows, 5, 4), Turn::Next);
    }

    #[test]
    fn letters_refused_after_they_were_taken_may_come_again() {
        let mut flows = Flows::default();
        for number in 1..=3 {
            assert_eq!(take(&mut flows, number, number - 1), Turn::Next);
        }
        flows.refused(FLOW, 2);
        flows.refused(FLOW, 3);
        assert_eq!(take(&mut flows, 4, 3), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next);
        assert_eq!(take(&mut flows, 4, 3), Turn::Next);
    }

    #[test]
    fn a_letter_behind_one_to_an_unknown_name_waits_though_the_name_is_taken_meanwhile() {
        let mut flows = Flows::default();
        flows.refused_unknown(FLOW.outbox, "JACK", 1);
        flows.refused_unknown(FLOW.outbox, "JACK", 2);
        assert_eq!(take(&mut flows, 3, 2), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 0), Turn::Next, "its sender knows now that 1 and 2 were refused");
        for name in 0..2 * UNKNOWN_MAX {
            flows.refused_unknown(FLOW.outbox, &name.to_string(), 1);
            assert!(flows.unknown.len() <= UNKNOWN_MAX);
        }
    }

    #[test]
    fn numbers_at_the_end_of_the_range_do_no_harm() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 0, 0), Turn::Repeated);
        assert_eq!(take(&mut flows, u64::MAX, 0), Turn::Next);
        flows.refused(FLOW, u64::MAX);
        assert_eq!(take(&mut flows, u64::MAX, u64::MAX), Turn::Behind);
    }

    #[test]
    fn a_repeated_letter_is_answered_again_and_not_taken_again() {
        let mut flows = Flows::default();
        let id = LetterId { outbox: FLOW.outbox, number: 1 };
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        flows.delivered(FLOW.to, id);
        assert_eq!(flows.next_receipt(), Some((FLOW, 1)));
        flows.paid();
        assert_eq!(flows.next_receipt(), None);
        flows.delivered(FLOW.to, id);
        assert_eq!(flows.next_receipt(), None, "nothing new");
        assert_eq!(take(&mut flows, 1, 0), Turn::Repeated);
        assert_eq!(flows.next_receipt(), Some((FLOW, 1)));
    }

    #[test]
    fn many_letters_owe_one_receipt() {
        let mut flows = Flows::default();
        for number in 1..=64 {
            take(&mut flows, number, number - 1);
            flows.delivered(FLOW.to, LetterId { outbox: FLOW.outbox, number });
        }
        assert_eq!(flows.next_receipt(), Some((FLOW, 64)));
        flows.paid();
        assert_eq!(flows.next_receipt(), None);
    }

    #[test]
    fn flows_are_bounded() {
        let mut flows = Flows::default();
        for n in 0..FLOWS_MAX {
            let flow = FlowId { outbox: OutboxId(9), to: Some(MemberId(n)) };
            assert_eq!(flows.turn_of(flow, "JACK", 1, 0), Turn::Next);
        }
        assert_eq!(flows.turn_of(FLOW, "JACK", 1, 0), Turn::Crowded);
    }
}
