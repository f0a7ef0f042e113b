//! Flows as loaded from disk when the relay starts: first the waiting letters, then the marks.

use super::{FlowId, Flows, Marks, Standing};

impl Flows {
    /// Restores a flow whose last letter came at `touched`.
    pub(in crate::relay) fn found_on_disk(&mut self, flow: FlowId, marks: Marks, touched: u64) {
        let state = self.flows.entry(flow).or_default();
        if marks.accepted >= state.marks.accepted && marks.mark >= state.marks.mark {
            state.unwritten = false;
            self.unwritten.remove(&flow);
        }
        state.touched = state.touched.max(touched);
        state.marks.accepted = state.marks.accepted.max(marks.accepted);
        state.marks.delivered = state.marks.delivered.max(marks.delivered);
        state.marks.read = state.marks.read.max(marks.read);
        state.marks.since = state.marks.since.max(marks.since);
        state.marks.mark = state.marks.mark.max(marks.mark);
        state.taken = state.marks.accepted;
        state.standing = Standing::Known;
        state.raise(flow, self.session, &mut self.raised);
    }

    /// Restores a flow from its waiting letters, the last of which was taken at `touched`.
    ///
    /// Once these rows are removed, only the marks show how far the flow has come, so they count as
    /// not persisted.
    pub(in crate::relay) fn found_waiting(&mut self, flow: FlowId, marks: Marks, touched: u64) {
        self.found_on_disk(flow, marks, touched);
        self.not_written(flow);
    }
}
