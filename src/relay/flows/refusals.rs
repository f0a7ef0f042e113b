//! Refusals of accepted letters, as [`Flows`] queues and reports them.

use crate::base::Mark;

use super::{Flows, NumberRange, Refusal, UnsentRefusal};
use crate::relay::ids::{Destination, FlowId};

impl Flows {
    /// Whether one more refusal may become pending. Otherwise no letter of this sender expires.
    pub(in crate::relay) fn may_queue_refusal(&self) -> bool {
        self.refusals.has_capacity()
    }

    /// Whether one more letter to `to` may be taken, which might be refused later.
    ///
    /// `false` only if the sender has too many unacknowledged refusals, some of them from `to`.
    /// Letters to other recipients are not affected.
    pub(in crate::relay) fn may_queue_refusal_to(&self, to: Destination) -> bool {
        self.refusals.has_capacity() || !self.refusals.is_pending_to(to)
    }

    /// Returns the number of pending refusals above the bound of [`Flows::may_queue_refusal`].
    pub(in crate::relay) fn refusals_above_bound(&self) -> usize {
        self.refusals.above_bound()
    }

    /// Queues the refusal of an accepted letter.
    pub(in crate::relay) fn queue_refusal(&mut self, flow: FlowId, number: u64, refusal: Refusal) {
        self.refusals.insert(flow, number, refusal);
    }

    /// Returns the next refusal. Call [`Flows::mark_refusal_sent`] once it is sent.
    pub(in crate::relay) fn next_unsent_refusal(&mut self) -> Option<UnsentRefusal> {
        if self.refusals.is_empty() {
            return None;
        }
        let (flow, first, refusal) = self.refusals.next()?;
        let last = self.refusals.last_of(flow, first, refusal);
        // Outbox marks rise with the numbers.
        let refusal = self.refusals.get(flow, last).unwrap_or(refusal);
        Some(UnsentRefusal { flow, numbers: NumberRange { first, last }, refusal })
    }

    /// Marks the refusal of [`Flows::next_unsent_refusal`] as sent.
    pub(in crate::relay) fn mark_refusal_sent(&mut self, numbers: NumberRange) {
        (numbers.first..=numbers.last).for_each(|_| self.refusals.mark_sent());
    }

    /// Handles the sender's acknowledgement of a refusal, which is returned if it was pending.
    pub(in crate::relay) fn take_acknowledged(&mut self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.refusals.take_acknowledged(flow, number)
    }

    /// Whether the refusal of this letter is pending.
    pub(in crate::relay) fn has_pending_refusal(&self, flow: FlowId, number: u64) -> bool {
        self.refusals.get(flow, number).is_some()
    }

    /// Returns an upper bound of the outbox marks of this flow's letters, for a letter whose own
    /// outbox mark is not readable.
    ///
    /// A waiting letter has a flow. Without one, no repetition may count as an old copy's letter.
    pub(in crate::relay) fn highest_outbox_mark(&self, flow: FlowId) -> Mark {
        self.marks(flow).map_or(Mark::MAX, |marks| marks.outbox_mark)
    }

    /// Returns every pending refusal. For tests.
    pub(in crate::relay) fn pending_refusals(&self) -> impl Iterator<Item = (FlowId, u64, Refusal)> + '_ {
        self.refusals.all()
    }
}
