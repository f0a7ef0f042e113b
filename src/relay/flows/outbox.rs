//! Flows selected by outbox, when the relay forgets it, or by recipient.

use crate::base::OutboxId;

use super::Flows;
use crate::relay::ids::{Destination, FlowId};

/// Maximum outboxes examined to see whether a member has written to another. A member has one, and
/// one more for each restored backup of its folder.
const OUTBOXES_EXAMINED_MAX: usize = 16;

impl Flows {
    /// Whether a letter to this recipient was accepted, from any outbox, within the retention time;
    /// idle flows are forgotten after it.
    pub(in crate::relay) fn has_written_to(&self, to: Destination) -> bool {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        let mut flows = self.flows.range(of(0)..=of(u64::MAX)).take(OUTBOXES_EXAMINED_MAX);
        flows.any(|(_, flow)| flow.marks.watermarks.accepted > 0)
    }

    /// Returns the flows of an outbox with undelivered letters.
    pub(in crate::relay) fn unfinished(&self, outbox: OutboxId) -> Vec<FlowId> {
        let of = self.flows.iter().filter(|(id, _)| id.outbox == outbox && id.to.member().is_some());
        of.filter(|(_, flow)| flow.last_taken > flow.marks.watermarks.delivered).map(|(id, _)| *id).collect()
    }

    /// Removes the flows of an outbox.
    pub(in crate::relay) fn drop_outbox(&mut self, outbox: OutboxId) {
        let all: Vec<FlowId> = self.flows.keys().filter(|id| id.outbox == outbox).copied().collect();
        all.into_iter().for_each(|flow| self.remove(flow));
    }
}
