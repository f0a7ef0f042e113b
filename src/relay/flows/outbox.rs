//! Flows by their outboxes: all of one, when the relay forgets it, and all to one recipient.

use crate::base::OutboxId;

use super::{FlowId, Flows, To};

/// Outboxes of a member that are looked at for whether it has written to another: it has one, and
/// another after an old copy of its folder was put back.
const OUTBOXES_LOOKED_AT: usize = 16;

impl Flows {
    /// Whether a letter to this recipient, from whichever outbox, was accepted. Flows that rest for
    /// as long as letters are kept are forgotten, so that it was accepted not long ago.
    pub(in crate::relay) fn has_written_to(&self, to: To) -> bool {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        let mut flows = self.flows.range(of(0)..=of(u64::MAX)).take(OUTBOXES_LOOKED_AT);
        flows.any(|(_, flow)| flow.marks.accepted > 0)
    }

    /// The flows of an outbox whose letters have not all arrived.
    pub(in crate::relay) fn unfinished(&self, outbox: OutboxId) -> Vec<FlowId> {
        let of = self.flows.iter().filter(|(id, _)| id.outbox == outbox && id.to.member().is_some());
        of.filter(|(_, flow)| flow.taken > flow.marks.delivered).map(|(id, _)| *id).collect()
    }

    /// Forgets the flows of an outbox.
    pub(in crate::relay) fn drop_outbox(&mut self, outbox: OutboxId) {
        let all: Vec<FlowId> = self.flows.keys().filter(|id| id.outbox == outbox).copied().collect();
        all.into_iter().for_each(|flow| self.drop_idle(flow));
    }
}
