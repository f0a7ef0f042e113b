//! The flows of one sender: for each outbox and recipient, how far its letters have come and which
//! were refused. They decide about repeated letters, `behind` refusals, and receipts. They persist
//! and send nothing, and return the rows to write and the messages to send.
//!
//! The watermarks, and refusals of accepted letters until they are acknowledged, outlive the
//! sender's sessions and, on disk, the relay. A refused number makes later letters `behind` in one
//! session only, because a client begins each session with its current knowledge.
//!
//! Submodules, by subject:
//! - receipts: `pending_receipts`, `held_back` (until a full second)
//! - refusals: `pending_refusals`; `refusals` (its methods of [`Flows`]); `retry_passes`
//! - unknown names: `lookups`, `correspondents` (members whose names may be mistyped)
//! - disk: `unwritten` (watermarks to write), `restored` (rows loaded)
//! - selection: `flow_id`, `outbox` (by outbox or recipient)

mod correspondents;
mod held_back;
mod lookups;
mod outbox;
mod pending_receipts;
mod pending_refusals;
mod refusals;
mod restored;
mod retry_passes;
mod unwritten;

use super::ids::{Destination, FlowId};
use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::base::{Mark, OutboxId, Wall, Watermarks, empty_value};
use crate::wire::message::Reason;

use super::limits::FLOWS_MAX;
use super::pending_removals::PendingRemovals;
use correspondents::Correspondents;
use held_back::HeldBack;
pub(super) use lookups::{LookupAnswer, NumberRange};
use lookups::{LookupQueue, UnknownRecipients};
use pending_receipts::{ReceiptState, Receipts};
use pending_refusals::PendingRefusals;
use retry_passes::RetryPasses;

/// How a letter fits into the order of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderCheck {
    /// It is next and can be taken.
    Next,
    /// Its `prev` names a refused letter. It must be refused for this reason.
    Behind(Reason),
    /// It was taken before. Its receipt or refusal was sent, or will be.
    Repeated,
    /// Another letter was taken under its number: its outbox was restored from an old copy and used
    /// the number again.
    OldCopy,
    /// The sender has too many flows.
    Full,
}

/// The number of a letter and its predecessor.
#[derive(Clone, Copy, Debug)]
pub(super) struct LetterOrder {
    pub(super) number: u64,
    /// The last number before it that its sender does not know to be refused.
    pub(super) prev: u64,
    /// The outbox mark under which it was numbered.
    pub(super) mark: Mark,
}

/// Watermarks of one flow, and the values that its receipts and its row on disk contain as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlowMarks {
    pub(super) watermarks: Watermarks,
    /// Time at which the last accepted letter was taken, in milliseconds of the uptime clock.
    pub(super) accepted_taken_at: u64,
    /// Outbox mark of the last letter taken. Those of earlier letters are not higher.
    pub(super) outbox_mark: Mark,
}

/// Why an accepted letter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) may_have_arrived: bool,
    /// The outbox mark under which the letter was numbered, or a higher one of its flow.
    pub(super) mark: Mark,
}

impl Refusal {
    /// Whether one report can contain both. It contains the highest outbox mark.
    fn is_reported_like(&self, other: &Refusal) -> bool {
        (self.reason, self.may_have_arrived) == (other.reason, other.may_have_arrived)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The last letter that was taken and not refused. Letters through this number are not taken
    /// again.
    last_taken: u64,
    marks: FlowMarks,
    /// Time of the last letter, taken or refused, in milliseconds of the uptime clock.
    last_letter_at: u64,
    /// Wall time of the first letter taken since the last receipt that covered all letters.
    taken_at: Option<Wall>,
    /// Last value of `taken_at` in such a receipt.
    reported_taken_at: Wall,
    /// Refused numbers that no later letter has overtaken, and the reason for refusing letters
    /// behind them. Valid in session `refused_in` only.
    refused: Option<(NumberRange, Reason)>,
    refused_in: u32,
    retry_passes: RetryPasses,
    disclosure: Disclosure,
    receipt: ReceiptState,
    /// Whether the watermarks rose since they were last persisted, or the disk may not have them.
    unwritten: bool,
    /// Whether the next letters of the flow must be written together with its watermarks, because
    /// the disk may not have the delivered one. Not set by a delivery that is held back: such a
    /// flow is written at once.
    delivery_unwritten: bool,
}

/// Flows found by [`Flows::idle`].
#[derive(Debug, Default)]
pub(super) struct IdleSearch {
    pub(super) idle: Vec<FlowId>,
    /// The last flow examined.
    pub(super) last: Option<FlowId>,
    /// Number of flows examined.
    pub(super) examined: usize,
}

/// A pending receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextReceipt {
    pub(super) flow: FlowId,
    pub(super) marks: FlowMarks,
    /// Wall time at which the first letter new in this receipt was taken.
    pub(super) taken_at: Wall,
}

/// A pending refusal of consecutive letters, not reported in this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnsentRefusal {
    pub(super) flow: FlowId,
    pub(super) numbers: NumberRange,
    /// With the highest outbox mark of these letters.
    pub(super) refusal: Refusal,
}

/// Whether the sender of a flow may know that its recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Disclosure {
    /// Nothing has been reported about it.
    #[default]
    New,
    /// Answers about it wait: see [`lookups`].
    Waiting,
    /// The sender knows it.
    Known,
}

/// Entries of `Receipts::news` above twice the number of flows at which stale ones are dropped.
///
/// 64: the clean-up visits every entry and drops at least half of them, so its amortised cost is
/// constant.
const NEWS_SLACK: usize = 64;

impl Flow {
    /// Records that later letters whose `prev` is among these numbers are refused for `reason`.
    fn refuse(&mut self, numbers: NumberRange, reason: Reason, session: u32) {
        let all = self.refused_now(session).map_or(numbers, |(refused, _)| refused.span(numbers));
        self.refused = Some((all, reason));
        self.refused_in = session;
    }

    fn refused_now(&self, session: u32) -> Option<(NumberRange, Reason)> {
        self.refused.filter(|_| self.refused_in == session)
    }

    /// Makes a receipt pending in this session, unless the flow's answers wait.
    fn queue_receipt(&mut self, id: FlowId, receipts: &mut Receipts) {
        if self.disclosure != Disclosure::Waiting {
            receipts.queue(id, &mut self.receipt);
        }
    }

    /// Records that the watermarks rose, unless the flow's answers wait: see
    /// [`Receipts::add_news`].
    fn add_news(&mut self, id: FlowId, receipts: &mut Receipts) {
        if self.disclosure != Disclosure::Waiting {
            receipts.add_news(id, &mut self.receipt);
        }
    }

    /// As [`Flow::add_news`], and makes a receipt pending if the session is of this outbox.
    fn add_news_and_queue(&mut self, id: FlowId, receipts: &mut Receipts) {
        if self.disclosure != Disclosure::Waiting {
            receipts.add_news_and_queue(id, &mut self.receipt);
        }
    }
}

/// The flows of one sender.
#[derive(Debug)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    receipts: Receipts,
    /// Flows whose watermarks the disk may not have.
    unwritten: BTreeSet<FlowId>,
    /// Letters refused in this session as unknown. They matter if the name is registered.
    unknowns: UnknownRecipients,
    /// Flows whose answers wait until those to earlier flows are sent.
    lookup_queue: LookupQueue,
    /// Letters that may be sent again without counting against the sender's rate.
    passes: usize,
    /// Letters accepted and refused later, until the sender acknowledges the refusal.
    refusals: PendingRefusals,
    correspondents: Correspondents,
    /// Receipts that are held back.
    held_back: BTreeMap<FlowId, HeldBack>,
    /// Refusals that are not durable yet.
    pub(super) pending_removals: PendingRemovals<FlowId>,
}

impl Default for Flows {
    fn default() -> Flows {
        <Flows as crate::base::EmptyValue>::new_empty()
    }
}

empty_value!(
    Flows,
    Flows {
        flows: BTreeMap::new(),
        receipts: Receipts::EMPTY,
        unwritten: BTreeSet::new(),
        unknowns: UnknownRecipients::new(),
        lookup_queue: LookupQueue::new(),
        passes: 0,
        refusals: PendingRefusals::EMPTY,
        correspondents: Correspondents::EMPTY,
        held_back: BTreeMap::new(),
        pending_removals: PendingRemovals::new(),
    },
    |flows| {
        let has_no_answers =
            flows.refusals.is_empty() && flows.unknowns.is_empty() && flows.correspondents.is_empty();
        has_no_answers
            && flows.lookup_queue.is_empty()
            && flows.pending_removals.is_empty()
            && flows.flows.is_empty()
            && flows.receipts.has_none_due()
    }
);

impl Flows {
    /// Creates the flow, unless it exists. Returns `false` if the sender has too many flows.
    pub(super) fn open(&mut self, flow: FlowId) -> bool {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&flow) {
            return false;
        }
        self.flows.entry(flow).or_default();
        true
    }

    /// Begins a session of the sender with this outbox (`None`: with every outbox).
    ///
    /// Numbers refused in earlier sessions make no letter of this one `behind`. Unacknowledged
    /// receipts of this outbox, and all unacknowledged refusals, become pending again.
    pub(super) fn begin_session(&mut self, outbox: Option<OutboxId>) {
        self.unknowns.clear();
        self.lookup_queue.begin_session();
        self.refusals.begin_session();
        self.drop_old_news();
        for flow in self.receipts.begin_session(outbox) {
            if let Some(state) = self.flows.get_mut(&flow) {
                state.queue_receipt(flow, &mut self.receipts);
            }
        }
    }

    /// Drops duplicate entries about news, and those of flows that were removed or have none.
    fn drop_old_news(&mut self) {
        let flows = &self.flows;
        self.receipts.retain_news(|flow| flows.get(&flow).is_some_and(|state| state.receipt.has_news()));
    }

    /// Checks whether this letter to `name` can be taken now.
    pub(super) fn check_order(&mut self, flow: FlowId, name: &str, order: LetterOrder) -> OrderCheck {
        let LetterOrder { number, prev, mark } = order;
        // A known number under a higher mark: the outbox was restored from an old copy, and another
        // letter has this number. After a restart, pending refusals may be the only record of a
        // flow, so check them too.
        if self
            .flows
            .get(&flow)
            .is_some_and(|state| number <= state.last_taken && mark > state.marks.outbox_mark)
            || self.refusals.show_old_copy(flow, number, mark)
        {
            return OrderCheck::OldCopy;
        }
        if !self.refusals.is_empty() && self.refusals.take_repeated(flow, number) {
            // It was refused after it had been taken, perhaps by an earlier process of this relay.
            // Its refusal is sent again.
            return OrderCheck::Repeated;
        }
        // Evict no flow: without its `taken` a repeated letter would count as new.
        let is_full = self.flows.len() >= FLOWS_MAX;
        let state = match self.flows.entry(flow) {
            Vacant(_) if is_full => return OrderCheck::Full,
            entry => entry.or_default(),
        };
        // `name` is registered now. Letters refused while it was unknown belong to this flow.
        // Otherwise a letter written after them would pass as `Next`.
        if let Some(numbers) = self.unknowns.remove(flow.outbox, name) {
            state.refuse(numbers, Reason::Behind, self.receipts.session());
        }
        // While earlier lookups wait, even the first receipt would show that the recipient exists.
        if state.disclosure == Disclosure::New {
            let waits = self.lookup_queue.contains(flow.outbox, name);
            state.disclosure = if waits { Disclosure::Waiting } else { Disclosure::Known };
        }
        // The sender lost its session or the receipt. Repeat the receipt, if accepted already.
        if number <= state.last_taken {
            if number <= state.marks.watermarks.accepted {
                state.queue_receipt(flow, &mut self.receipts);
            }
            return OrderCheck::Repeated;
        }
        // The sender had not received the refusal of `prev` when it sent this letter. It will send
        // it again with a corrected `prev`. Taken now, it would overtake letters still to come.
        match state.refused_now(self.receipts.session()) {
            Some((refused, reason)) if refused.contains(prev) => OrderCheck::Behind(reason),
            _ => OrderCheck::Next,
        }
    }

    /// Records that a letter was taken at `at`, which is `clock` on the uptime clock. Returns
    /// whether it is the first of its flow. Letters whose `prev` is a refused number above it are
    /// still behind.
    pub(super) fn record_taken(
        &mut self,
        flow: FlowId,
        number: u64,
        mark: Mark,
        at: Wall,
        clock: u64,
    ) -> bool {
        // Entries of removed flows to guests can accumulate.
        if self.receipts.news_len() > 2 * self.flows.len() + NEWS_SLACK {
            self.drop_old_news();
        }
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        state.last_letter_at = clock;
        state.marks.outbox_mark = state.marks.outbox_mark.max(mark);
        let is_first = state.last_taken == 0;
        state.last_taken = number;
        state.taken_at.get_or_insert(at);
        let refused = state.refused_now(self.receipts.session());
        state.refused = refused.and_then(|(refused, reason)| Some((refused.behind(number)?, reason)));
        is_first
    }

    /// Records the time of a letter that was refused.
    pub(super) fn record_letter_time(&mut self, flow: FlowId, clock: u64) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.last_letter_at = clock;
        }
    }

    /// Records a refusal, immediate or later; the letter may be sent again. One refused as `behind`
    /// gets a pass, because its client repeats it unasked.
    pub(super) fn record_refused(&mut self, flow: FlowId, number: u64, reason: Reason) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.last_taken =
            state.last_taken.min(number.saturating_sub(1)).max(state.marks.watermarks.accepted);
        let behind = if reason.is_about_conversation() { reason } else { Reason::Behind };
        state.refuse(NumberRange::one(number), behind, self.receipts.session());
        if reason == Reason::Behind {
            self.passes += state.retry_passes.grant(number, 1);
        }
    }

    /// Whether a letter is repeated after `behind`; uses up the pass of its number.
    pub(super) fn redeem_retry_pass(&mut self, flow: FlowId, number: u64) -> bool {
        let again = self.passes > 0
            && self.flows.get_mut(&flow).is_some_and(|state| state.retry_passes.redeem(number));
        self.passes -= usize::from(again);
        again
    }

    /// Raises the accepted watermark. Letter `number` was taken at `taken_at`, in milliseconds of
    /// the uptime clock.
    pub(super) fn raise_accepted(&mut self, flow: FlowId, number: u64, taken_at: u64) {
        self.raise(flow, |marks| {
            marks.watermarks.accept(number);
            marks.accepted_taken_at = taken_at;
        });
        self.raise_held_back_accepted(flow, number);
    }

    /// Raises the delivered watermark: the recipient has every letter up to `number`.
    pub(super) fn raise_delivered(&mut self, flow: FlowId, number: u64) {
        self.report_now(flow);
        self.raise(flow, |marks| marks.watermarks.deliver(number));
    }

    /// Raises the read watermark. Returns the watermarks before; `None` if the flow is unknown.
    ///
    /// It may exceed the delivered one: after a crash the relay may know fewer deliveries than the
    /// sender, whose client compares the read watermark with its own state.
    pub(super) fn raise_read(&mut self, flow: FlowId, number: u64) -> Option<Watermarks> {
        self.report_now(flow);
        let before = self.raise(flow, |marks| marks.watermarks.read = marks.watermarks.read.max(number));
        before.map(|marks| marks.watermarks)
    }

    /// Changes the marks and returns those before; `None` if the flow is unknown.
    fn raise(&mut self, flow: FlowId, raise: impl FnOnce(&mut FlowMarks)) -> Option<FlowMarks> {
        let state = self.flows.get_mut(&flow)?;
        let before = state.marks;
        raise(&mut state.marks);
        if state.marks != before {
            state.add_news_and_queue(flow, &mut self.receipts);
            state.delivery_unwritten |= state.marks.watermarks.delivered != before.watermarks.delivered;
            if !std::mem::replace(&mut state.unwritten, true) {
                self.unwritten.insert(flow);
            }
        }
        Some(before)
    }

    /// Returns the watermarks of a flow.
    pub(super) fn watermarks(&self, flow: FlowId) -> Option<Watermarks> {
        self.flows.get(&flow).map(|state| state.marks.watermarks)
    }

    /// Returns the watermarks of a flow, and what belongs to them.
    pub(super) fn marks(&self, flow: FlowId) -> Option<FlowMarks> {
        self.flows.get(&flow).map(|state| state.marks)
    }

    /// Removes all flows to a recipient that has left.
    pub(super) fn forget_recipient(&mut self, to: Destination) {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        while let Some(flow) = self.flows.range(of(0)..=of(u64::MAX)).next().map(|(flow, _)| *flow) {
            self.passes -= self.flows.remove(&flow).map_or(0, |state| state.retry_passes.outstanding());
            self.unwritten.remove(&flow);
            self.held_back.remove(&flow);
        }
    }

    // Idle flows.

    /// Finds flows idle since `before` among at most `count_max` flows after `after`.
    ///
    /// With `sender_may_return` (the sender can sign in again), a flow with unacknowledged receipts
    /// or refusals is not idle.
    pub(super) fn idle(
        &self,
        after: Option<FlowId>,
        count_max: usize,
        before: u64,
        sender_may_return: bool,
    ) -> IdleSearch {
        let start = after.map_or(Unbounded, Excluded);
        let mut search = IdleSearch::default();
        for (id, flow) in self.flows.range((start, Unbounded)).take(count_max) {
            search.last = Some(*id);
            search.examined += 1;
            search.idle.extend(self.is_idle_flow(*id, flow, before, sender_may_return).then_some(*id));
        }
        search
    }

    /// Whether this flow is idle in the sense of [`Flows::idle`].
    pub(super) fn is_idle(&self, flow: FlowId, before: u64, sender_may_return: bool) -> bool {
        self.flows.get(&flow).is_some_and(|state| self.is_idle_flow(flow, state, before, sender_may_return))
    }

    fn is_idle_flow(&self, id: FlowId, flow: &Flow, before: u64, sender_may_return: bool) -> bool {
        let has_outstanding = || {
            flow.receipt.is_outstanding(&self.receipts)
                || self.is_held_back(id)
                || self.refusals.is_pending_for(id)
        };
        // Flows to guests are removed with their guests.
        let is_old = !matches!(id.to, Destination::Guest(_)) && flow.last_letter_at < before;
        is_old && (!sender_may_return || !has_outstanding())
    }

    /// Removes a flow and its refusals.
    pub(super) fn remove(&mut self, flow: FlowId) {
        self.passes -= self.flows.remove(&flow).map_or(0, |state| state.retry_passes.outstanding());
        self.unwritten.remove(&flow);
        self.held_back.remove(&flow);
        self.refusals.remove_flow(flow);
    }

    // Receipts.

    /// Makes a receipt and all refusals of the flow pending, because the sender queries it.
    pub(super) fn request_receipt(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.queue_receipt(flow, &mut self.receipts);
        }
        self.refusals.request(flow);
    }

    /// Returns the next pending receipt. Call [`Flows::mark_receipt_sent`] once it is sent.
    pub(super) fn next_receipt(&mut self) -> Option<NextReceipt> {
        loop {
            let flow = self.receipts.next()?;
            if let Some(state) = self.flows.get(&flow).filter(|state| self.receipts.is_due(&state.receipt)) {
                let marks = self.reportable_marks(flow, state);
                let taken_at = state.taken_at.unwrap_or(state.reported_taken_at);
                return Some(NextReceipt { flow, marks, taken_at });
            }
            self.receipts.skip();
        }
    }

    /// Marks the receipt of [`Flows::next_receipt`] as sent.
    pub(super) fn mark_receipt_sent(&mut self) {
        let Some(flow) = self.receipts.next() else { return };
        let Some(marks) = self.flows.get(&flow).map(|state| self.reportable_marks(flow, state)) else {
            return self.receipts.skip();
        };
        if let Some(state) = self.flows.get_mut(&flow) {
            self.receipts.mark_sent(&mut state.receipt);
            if marks.watermarks.accepted >= state.last_taken {
                state.reported_taken_at = state.taken_at.take().unwrap_or(state.reported_taken_at);
            }
        }
    }

    /// Records that the client has received every receipt sent in this session.
    pub(super) fn mark_receipts_received(&mut self) {
        while let Some(flow) = self.receipts.take_received() {
            if let Some(state) = self.flows.get_mut(&flow) {
                self.receipts.mark_received(&mut state.receipt);
            }
        }
    }

    // For tests.

    /// Returns every flow, its watermarks, and whether the disk may not have them.
    pub(super) fn all(&self) -> impl Iterator<Item = (FlowId, Watermarks, bool)> + '_ {
        self.flows.iter().map(|(id, flow)| (*id, flow.marks.watermarks, flow.unwritten))
    }
}

#[cfg(test)]
mod tests;
