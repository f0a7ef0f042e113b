//! What the disk has of flows when the relay starts: first the letters that wait, then the marks.

use super::{FlowId, Flows, Marks, Standing};

impl Flows {
    /// Takes in what the disk has of a flow, of which a letter came last at `touched`.
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

    /// Takes in letters of a flow that wait on the disk, of which the last was taken at `touched`.
    /// When they leave it, it has nothing that says how far the flow has come, unless its marks do.
    pub(in crate::relay) fn found_waiting(&mut self, flow: FlowId, marks: Marks, touched: u64) {
        self.found_on_disk(flow, marks, touched);
        self.not_written(flow);
    }
}
