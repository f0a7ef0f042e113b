//! Watermarks that the disk does not have.

use super::{FlowMarks, Flows};
use crate::relay::ids::FlowId;

impl Flows {
    /// Returns the watermarks to persist and the time of the last letter; `None` if the disk has
    /// them.
    pub(in crate::relay) fn take_unwritten(&mut self, flow: FlowId) -> Option<(FlowMarks, u64)> {
        let state = self.flows.get_mut(&flow)?;
        if !std::mem::take(&mut state.unwritten) {
            return None;
        }
        state.delivery_unwritten = false;
        self.unwritten.remove(&flow);
        Some((state.marks, state.last_letter_at))
    }

    /// Whether the disk may not have the delivered watermark: see `Flow::delivery_unwritten`.
    pub(in crate::relay) fn has_unwritten_delivery(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|state| state.unwritten && state.delivery_unwritten)
    }

    /// Marks the flow as not persisted: it was restored from letters only, a write failed, or its
    /// row was removed.
    pub(in crate::relay) fn mark_unwritten(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.unwritten = true;
            state.delivery_unwritten = true;
            self.unwritten.insert(flow);
        }
    }

    /// Returns every flow to a member whose watermarks the disk may not have.
    pub(in crate::relay) fn unwritten(&self) -> Vec<FlowId> {
        self.unwritten.iter().filter(|id| id.to.member().is_some()).copied().collect()
    }
}
