//! Flows as loaded from disk when the relay starts: first the waiting letters, then the watermarks.

use super::{Disclosure, FlowMarks, Flows};
use crate::relay::ids::FlowId;

impl Flows {
    /// Restores a flow whose last letter came at `last_letter_at`.
    pub(in crate::relay) fn restore(&mut self, flow: FlowId, marks: FlowMarks, last_letter_at: u64) {
        let state = self.flows.entry(flow).or_default();
        if marks.watermarks.accepted >= state.marks.watermarks.accepted
            && marks.outbox_mark >= state.marks.outbox_mark
        {
            state.unwritten = false;
            self.unwritten.remove(&flow);
        }
        state.last_letter_at = state.last_letter_at.max(last_letter_at);
        state.marks.watermarks.raise(marks.watermarks);
        state.marks.accepted_taken_at = state.marks.accepted_taken_at.max(marks.accepted_taken_at);
        state.marks.outbox_mark = state.marks.outbox_mark.max(marks.outbox_mark);
        state.last_taken = state.marks.watermarks.accepted;
        state.disclosure = Disclosure::Known;
        state.add_news(flow, &mut self.receipts);
    }

    /// Restores a flow from its waiting letters, the last of which was taken at `last_letter_at`.
    ///
    /// Once these rows are removed, only the watermarks show how far the flow has come, so they
    /// count as not persisted.
    pub(in crate::relay) fn restore_waiting(&mut self, flow: FlowId, marks: FlowMarks, last_letter_at: u64) {
        self.restore(flow, marks, last_letter_at);
        self.mark_unwritten(flow);
    }

    /// Returns the last letter of a flow that was taken and not refused; 0 for an unknown flow.
    pub(in crate::relay) fn taken(&self, flow: FlowId) -> u64 {
        self.flows.get(&flow).map_or(0, |state| state.last_taken)
    }

    /// Records that its sender knows the outcome of the letters up to `number`: they are not taken
    /// again.
    pub(in crate::relay) fn settle(&mut self, flow: FlowId, number: u64) {
        if self.open(flow)
            && let Some(state) = self.flows.get_mut(&flow)
        {
            state.last_taken = state.last_taken.max(number);
        }
    }
}
