//! Receipts of letters whose recipient does not know their sender. Until the next full second they
//! report what they would if those letters waited in the mailbox.
//!
//! Such a letter is reported as accepted only once the disk has the state of its flow. Otherwise a
//! relay killed before the full second would forget a delivery that nothing repeats. A sender does
//! not repeat accepted letters, and the recipient sends no `read`.

use std::collections::btree_map::Entry;

use super::{Flow, FlowMarks, Flows};
use crate::base::{Tick, Watermarks};
use crate::relay::ids::FlowId;

/// State of a flow as reported to its sender until a full second.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    accepted: u64,
    delivered: u64,
    /// Letters through this number are delivered, but not durably; 0 if all of it is durable.
    unkept: u64,
    /// The full second; `None` before the relay's first turn.
    report_at: Option<Tick>,
}

impl Flows {
    /// Raises the delivered watermark as [`Flows::raise_delivered`] does, but reports it at
    /// `report_at`.
    ///
    /// Returns whether [`Flows::report_held_back`] must be called then; an earlier delivery may
    /// already have requested it.
    pub(in crate::relay) fn hold_back_delivered(
        &mut self,
        flow: FlowId,
        number: u64,
        now: Tick,
        report_at: Tick,
    ) -> bool {
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        let Watermarks { accepted, delivered, .. } = state.marks.watermarks;
        state.marks.watermarks.deliver(number);
        if !std::mem::replace(&mut state.unwritten, true) {
            self.unwritten.insert(flow);
        }
        // A session that begins before the full second reports it then as well.
        state.add_news(flow, &mut self.receipts);
        let new = HeldBack { accepted, delivered, unkept: number, report_at: Some(report_at) };
        match self.held_back.entry(flow) {
            Entry::Occupied(mut before) if before.get().report_at.is_none_or(|report_at| now < report_at) => {
                before.get_mut().unkept = number;
                return false;
            }
            Entry::Occupied(mut before) => _ = before.insert(new),
            Entry::Vacant(vacant) => _ = vacant.insert(new),
        }
        true
    }

    /// Holds back a restored flow until a second that [`Flows::hold_back_until`] sets.
    pub(in crate::relay) fn restore_held_back(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get(&flow) {
            let accepted = state.marks.watermarks.accepted;
            self.held_back.insert(flow, HeldBack { accepted, delivered: 0, unkept: 0, report_at: None });
        }
    }

    /// Sets the second of a restored flow, if it has none.
    pub(in crate::relay) fn hold_back_until(&mut self, flow: FlowId, report_at: Tick) {
        if let Some(held_back) = self.held_back.get_mut(&flow) {
            held_back.report_at.get_or_insert(report_at);
        }
    }

    /// Whether the sender sees less of this flow than is known.
    pub(in crate::relay) fn is_held_back(&self, flow: FlowId) -> bool {
        !self.held_back.is_empty() && self.held_back.contains_key(&flow)
    }

    /// Raises the reported accepted watermark: the mailbox has every letter up to `number`.
    pub(super) fn raise_held_back_accepted(&mut self, flow: FlowId, number: u64) {
        if !self.held_back.is_empty()
            && let Some(held_back) = self.held_back.get_mut(&flow).filter(|entry| entry.unkept == 0)
        {
            held_back.accepted = held_back.accepted.max(number);
        }
    }

    /// Records that accepted letters through `number`, and their deliveries, are durable. Returns
    /// whether a receipt is pending for that.
    pub(in crate::relay) fn mark_held_back_durable(&mut self, flow: FlowId, number: u64) -> bool {
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        let Some(held_back) = self.held_back.get_mut(&flow) else { return false };
        if held_back.unkept <= number {
            held_back.unkept = 0;
        }
        let accepted = if held_back.unkept == 0 { state.marks.watermarks.accepted } else { number };
        let is_news = held_back.accepted < accepted;
        if is_news {
            held_back.accepted = accepted;
            state.add_news_and_queue(flow, &mut self.receipts);
        }
        is_news
    }

    /// Reports the full state, unless a later second is due. Returns whether a receipt is pending
    /// for that.
    pub(in crate::relay) fn report_held_back(&mut self, flow: FlowId, now: Tick) -> bool {
        let is_due = |held_back: &HeldBack| held_back.report_at.is_some_and(|report_at| report_at <= now);
        let is_due = self.held_back.get(&flow).is_some_and(is_due);
        if is_due {
            self.report_now(flow);
        }
        is_due
    }

    /// Ends holding back: the sender may see the full state of this flow.
    pub(super) fn report_now(&mut self, flow: FlowId) {
        if self.held_back.is_empty() || self.held_back.remove(&flow).is_none() {
            return;
        }
        if let Some(state) = self.flows.get_mut(&flow) {
            state.add_news_and_queue(flow, &mut self.receipts);
        }
    }

    /// Returns the marks to report to the sender.
    pub(super) fn reportable_marks(&self, id: FlowId, flow: &Flow) -> FlowMarks {
        let held_back = if self.held_back.is_empty() { None } else { self.held_back.get(&id) };
        let Some(HeldBack { accepted, delivered, .. }) = held_back.copied() else { return flow.marks };
        let read = flow.marks.watermarks.read.min(delivered);
        // As of a letter that entered the mailbox when it was written.
        let accepted_taken_at = flow.marks.accepted_taken_at.max(flow.last_letter_at);
        let watermarks = Watermarks { accepted, delivered, read };
        FlowMarks { watermarks, accepted_taken_at, ..flow.marks }
    }
}
