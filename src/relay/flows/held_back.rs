//! Receipts of letters whose recipient does not know their author: until the next full second they
//! say what they would say if those letters waited in the mailbox.
//!
//! Such a letter is called accepted once the disk has how far its conversation has come. A relay
//! that is killed before the full second would otherwise forget a delivery that nothing repeats: an
//! author does not send again what was accepted, and the recipient says no `read`.

use std::collections::btree_map::Entry;

use super::{Flow, FlowId, Flows, Marks};
use crate::base::Tick;

/// What the author of a conversation is told until a full second.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    accepted: u64,
    delivered: u64,
    /// That letters through this number were delivered is not durable; 0: all of it is.
    unkept: u64,
    /// The full second; `None` before the relay's first turn.
    due: Option<Tick>,
}

impl Flows {
    /// As [`Flows::delivered`]; the author is told at `due`. Returns whether [`Flows::tell_held_back`]
    /// has to be called then, which an earlier delivery may have asked for already.
    pub(in crate::relay) fn delivered_held_back(
        &mut self,
        flow: FlowId,
        number: u64,
        (now, due): (Tick, Tick),
    ) -> bool {
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        let Marks { accepted, delivered, .. } = state.marks;
        state.marks.deliver(number);
        if !std::mem::replace(&mut state.unwritten, true) {
            self.unwritten.insert(flow);
        }
        // A session that begins before the full second is told then as well.
        state.raise(flow, self.session, &mut self.raised);
        let new = HeldBack { accepted, delivered, unkept: number, due: Some(due) };
        match self.held_back.entry(flow) {
            Entry::Occupied(mut before) if before.get().due.is_none_or(|due| now < due) => {
                before.get_mut().unkept = number;
                return false;
            }
            Entry::Occupied(mut before) => _ = before.insert(new),
            Entry::Vacant(vacant) => _ = vacant.insert(new),
        }
        true
    }

    /// What the disk has of a flow is held back until a second that is not known yet.
    pub(in crate::relay) fn found_held_back(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get(&flow) {
            let (accepted, delivered, unkept, due) = (state.marks.accepted, 0, 0, None);
            self.held_back.insert(flow, HeldBack { accepted, delivered, unkept, due });
        }
    }

    /// That second is `due`.
    pub(in crate::relay) fn hold_back_until(&mut self, flow: FlowId, due: Tick) {
        if let Some(held_back) = self.held_back.get_mut(&flow) {
            held_back.due.get_or_insert(due);
        }
    }

    /// Whether the author is told less of this flow than is known.
    pub(in crate::relay) fn is_held_back(&self, flow: FlowId) -> bool {
        !self.held_back.is_empty() && self.held_back.contains_key(&flow)
    }

    /// The mailbox has every letter up to `number`.
    pub(super) fn accepted_though_held_back(&mut self, flow: FlowId, number: u64) {
        if !self.held_back.is_empty()
            && let Some(held_back) = self.held_back.get_mut(&flow).filter(|known| known.unkept == 0)
        {
            held_back.accepted = held_back.accepted.max(number);
        }
    }

    /// The disk has it that letters through `number` were accepted, and which of them were
    /// delivered. Returns whether a receipt is owed for that.
    pub(in crate::relay) fn kept_held_back(&mut self, flow: FlowId, number: u64) -> bool {
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        let Some(held_back) = self.held_back.get_mut(&flow) else { return false };
        if held_back.unkept <= number {
            held_back.unkept = 0;
        }
        let accepted = if held_back.unkept == 0 { state.marks.accepted } else { number };
        let is_news = held_back.accepted < accepted;
        if is_news {
            held_back.accepted = accepted;
            state.owe(flow, self.session, &mut self.owing);
        }
        is_news
    }

    /// The full second has come: all is told, unless a later one is due. Returns whether a receipt
    /// is owed for that.
    pub(in crate::relay) fn tell_held_back(&mut self, flow: FlowId, now: Tick) -> bool {
        let is_due = |held_back: &HeldBack| held_back.due.is_some_and(|due| due <= now);
        let is_due = self.held_back.get(&flow).is_some_and(is_due);
        if is_due {
            self.tell_now(flow);
        }
        is_due
    }

    /// The author may know all of this flow.
    pub(super) fn tell_now(&mut self, flow: FlowId) {
        if self.held_back.is_empty() || self.held_back.remove(&flow).is_none() {
            return;
        }
        if let Some(state) = self.flows.get_mut(&flow) {
            state.owe(flow, self.session, &mut self.owing);
            state.raise(flow, self.session, &mut self.raised);
        }
    }

    /// What the author is told of a flow.
    pub(super) fn told_of(&self, id: FlowId, flow: &Flow) -> Marks {
        let held_back = if self.held_back.is_empty() { None } else { self.held_back.get(&id) };
        let Some(HeldBack { accepted, delivered, .. }) = held_back.copied() else { return flow.marks };
        let read = flow.marks.read.min(delivered);
        // As of a letter that came into the mailbox when it was written.
        let since = flow.marks.since.max(flow.touched);
        Marks { accepted, delivered, read, since, ..flow.marks }
    }
}
