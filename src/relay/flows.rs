//! The flows of one sender: for each outbox and recipient, how far its letters have come and which
//! were refused. They decide about repeated letters, `behind` refusals, and receipts.
//!
//! The watermarks outlive the sender's sessions and, on disk, the relay. Refusals count in one
//! session only, because a client begins each session with its current knowledge.

mod correspondents;
mod flow_id;
mod held_back;
mod lookups;
mod outbox;
mod pending_refusals;
mod refusals;
mod reports;
mod restored;
mod retry_passes;
mod unwritten;

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::base::{Mark, OutboxId, Wall, empty_value};
use crate::wire::message::Reason;

use super::limits::FLOWS_MAX;
use super::pending_removals::PendingRemovals;
use correspondents::Correspondents;
pub(super) use flow_id::{Destination, FlowId};
use held_back::HeldBack;
pub(super) use lookups::{LookupAnswer, NumberRange};
use lookups::{LookupQueue, UnknownRecipients};
use pending_refusals::PendingRefusals;
use reports::{FlowReports, Reports};
use retry_passes::RetryPasses;

/// How a letter fits into the order of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderCheck {
    /// It is next and can be taken.
    Next,
    /// Its `prev` names a refused letter. It must be refused for this reason.
    Behind(Reason),
    /// It was taken before. Its receipt was sent or will be.
    Repeated,
    /// Another letter was taken under its number: an old copy of the outbox has numbered it.
    OldCopy,
    /// The sender has too many flows.
    Full,
}

/// The number of a letter and its predecessor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    /// The last number before it that its sender does not know to be refused.
    pub(super) prev: u64,
    pub(super) mark: Mark,
}

/// Watermarks of one flow: the last letter accepted, delivered and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watermarks {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// Time at which the last accepted letter was taken, in milliseconds of the uptime clock.
    pub(super) since: u64,
    /// Outbox mark of the last letter taken. The marks of earlier letters are not higher.
    pub(super) mark: Mark,
}

impl Watermarks {
    /// Records that the recipient has every letter up to `number`.
    fn deliver(&mut self, number: u64) {
        self.accepted = self.accepted.max(number);
        self.delivered = self.delivered.max(number);
    }
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
    /// Whether one report can contain both. It contains the highest mark.
    fn is_reported_like(&self, other: &Refusal) -> bool {
        (self.reason, self.may_have_arrived) == (other.reason, other.may_have_arrived)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The last letter that was taken and not refused.
    taken: u64,
    watermarks: Watermarks,
    /// Time of the last letter, taken or refused, in milliseconds of the uptime clock.
    touched: u64,
    /// Wall time of the first letter taken since a receipt last covered every taken letter, and
    /// its value in that receipt.
    taken_at: Option<Wall>,
    reported_taken_at: Wall,
    /// Refused numbers that no later letter has overtaken, and the reason for refusing letters
    /// behind them. Valid in session `refused_in` only.
    refused: Option<(NumberRange, Reason)>,
    refused_in: u32,
    retry_passes: RetryPasses,
    disclosure: Disclosure,
    reports: FlowReports,
    /// Whether the marks rose since they were last persisted.
    unwritten: bool,
    /// Whether the delivered mark did.
    delivery_unwritten: bool,
}

/// Whether the sender of a flow may know that its recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Disclosure {
    /// Nothing has been reported about it.
    #[default]
    New,
    /// Its answers wait: see [`lookups`].
    Waiting,
    /// The sender knows it.
    Known,
}

/// Entries about news, beyond two for each flow, from which those of removed flows are dropped.
///
/// 64: the clean-up visits every entry and drops at least half of them, so it pays for itself.
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

    /// Makes a receipt pending, because this session needs one.
    fn queue_receipt(&mut self, id: FlowId, reports: &mut Reports) {
        if self.disclosure != Disclosure::Waiting {
            reports.queue(id, &mut self.reports);
        }
    }

    /// Records that the marks rose: see [`Reports::add_news`].
    fn add_news(&mut self, id: FlowId, reports: &mut Reports) {
        if self.disclosure != Disclosure::Waiting {
            reports.add_news(id, &mut self.reports);
        }
    }

    /// Records that the marks rose, and reports them: see [`Reports::report`].
    fn report(&mut self, id: FlowId, reports: &mut Reports) {
        if self.disclosure != Disclosure::Waiting {
            reports.report(id, &mut self.reports);
        }
    }
}

/// The flows of one sender.
#[derive(Debug)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    reports: Reports,
    /// Flows whose marks rose since they were last persisted.
    unwritten: BTreeSet<FlowId>,
    /// Letters refused in this session as unknown. They matter if the name is registered.
    unknowns: UnknownRecipients,
    /// Flows whose answers wait for those of earlier flows.
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
        reports: Reports::EMPTY,
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
            && flows.reports.has_none_due()
    }
);

impl Flows {
    /// Opens a flow that its sender queries. Returns `false` if the sender has too many flows.
    pub(super) fn open(&mut self, flow: FlowId) -> bool {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&flow) {
            return false;
        }
        self.flows.entry(flow).or_default();
        true
    }

    /// Begins a session of the sender with this outbox: no refusal counts in it, and its
    /// unacknowledged receipts and refusals are pending again.
    pub(super) fn begin_session(&mut self, outbox: Option<OutboxId>) {
        self.unknowns.clear();
        self.lookup_queue.begin_session();
        self.refusals.begin_session();
        self.drop_old_news();
        for flow in self.reports.begin_session(outbox) {
            if let Some(state) = self.flows.get_mut(&flow) {
                state.queue_receipt(flow, &mut self.reports);
            }
        }
    }

    /// Drops entries about news of removed flows, and of flows that have none any more.
    fn drop_old_news(&mut self) {
        let flows = &self.flows;
        self.reports.retain_news(|flow| flows.get(&flow).is_some_and(|state| state.reports.has_news()));
    }

    /// Checks whether this letter to `name` can be taken now.
    pub(super) fn check_order(&mut self, flow: FlowId, name: &str, letter: Numbered) -> OrderCheck {
        let Numbered { number, prev, mark } = letter;
        // A known number under a higher mark: the outbox was restored from an old copy, and another
        // letter has this number. The refusals may be all that an earlier process left of a flow.
        if self.flows.get(&flow).is_some_and(|state| number <= state.taken && mark > state.watermarks.mark)
            || self.refusals.show_old_copy(flow, number, mark)
        {
            return OrderCheck::OldCopy;
        }
        if !self.refusals.is_empty() && self.refusals.take_repeated(flow, number) {
            // It was refused after it had been taken, perhaps by an earlier process of this relay.
            // The refusal holds.
            return OrderCheck::Repeated;
        }
        // Evict no flow: without its `taken` mark a repeated letter would count as new.
        let is_full = self.flows.len() >= FLOWS_MAX;
        let state = match self.flows.entry(flow) {
            Vacant(_) if is_full => return OrderCheck::Full,
            entry => entry.or_default(),
        };
        // `name` is registered now. Letters refused while it was unknown belong to this flow.
        // Otherwise a letter written after them would pass as `Next`.
        if let Some(numbers) = self.unknowns.remove(flow.outbox, name) {
            state.refuse(numbers, Reason::Behind, self.reports.session());
        }
        // While earlier lookups wait, even the first receipt would show that the recipient exists.
        if state.disclosure == Disclosure::New {
            let waits = self.lookup_queue.contains(flow.outbox, name);
            state.disclosure = if waits { Disclosure::Waiting } else { Disclosure::Known };
        }
        // The sender lost its session or the receipt. Repeat the receipt, if accepted already.
        if number <= state.taken {
            if number <= state.watermarks.accepted {
                state.queue_receipt(flow, &mut self.reports);
            }
            return OrderCheck::Repeated;
        }
        // The sender had not received the refusal of `prev` when it sent this letter. It will send
        // it again with a corrected `prev`. Taken now, it would overtake letters still to come.
        match state.refused_now(self.reports.session()) {
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
        // Flows to guests can make them many.
        if self.reports.news_len() > 2 * self.flows.len() + NEWS_SLACK {
            self.drop_old_news();
        }
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        state.touched = clock;
        state.watermarks.mark = state.watermarks.mark.max(mark);
        let is_first = state.taken == 0;
        state.taken = number;
        state.taken_at.get_or_insert(at);
        let refused = state.refused_now(self.reports.session());
        state.refused = refused.and_then(|(refused, reason)| Some((refused.behind(number)?, reason)));
        is_first
    }

    /// Records the time of a letter that was refused.
    pub(super) fn touch(&mut self, flow: FlowId, clock: u64) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.touched = clock;
        }
    }

    /// Records a refusal, immediate or later; the letter may be sent again. One refused as `behind`
    /// gets a pass, because its client repeats it unasked.
    pub(super) fn record_refused(&mut self, flow: FlowId, number: u64, reason: Reason) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = state.taken.min(number.saturating_sub(1)).max(state.watermarks.accepted);
        let behind = if reason.is_about_conversation() { reason } else { Reason::Behind };
        state.refuse(NumberRange::one(number), behind, self.reports.session());
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

    /// Raises the accepted mark. The last of these letters was taken at `since`.
    pub(super) fn raise_accepted(&mut self, flow: FlowId, number: u64, since: u64) {
        self.raise(flow, |watermarks| {
            watermarks.accepted = watermarks.accepted.max(number);
            watermarks.since = since;
        });
        self.raise_held_back_accepted(flow, number);
    }

    /// Raises the delivered mark: the recipient has every letter up to `number`.
    pub(super) fn raise_delivered(&mut self, flow: FlowId, number: u64) {
        self.report_now(flow);
        self.raise(flow, |watermarks| watermarks.deliver(number));
    }

    /// Raises the read mark. Returns the marks before it; `None` if the flow is unknown.
    ///
    /// After a crash the relay may know fewer deliveries than the sender, whose client compares
    /// this mark with its own state.
    pub(super) fn raise_read(&mut self, flow: FlowId, number: u64) -> Option<Watermarks> {
        self.report_now(flow);
        self.raise(flow, |watermarks| watermarks.read = watermarks.read.max(number))
    }

    /// Changes the marks and returns those before; `None` if the flow is unknown.
    fn raise(&mut self, flow: FlowId, raise: impl FnOnce(&mut Watermarks)) -> Option<Watermarks> {
        let state = self.flows.get_mut(&flow)?;
        let before = state.watermarks;
        raise(&mut state.watermarks);
        if state.watermarks != before {
            state.report(flow, &mut self.reports);
            state.delivery_unwritten |= state.watermarks.delivered != before.delivered;
            if !std::mem::replace(&mut state.unwritten, true) {
                self.unwritten.insert(flow);
            }
        }
        Some(before)
    }

    /// Returns the watermarks of a flow.
    pub(super) fn watermarks(&self, flow: FlowId) -> Option<Watermarks> {
        self.flows.get(&flow).map(|state| state.watermarks)
    }

    /// Forgets all flows to a recipient that no longer exists.
    pub(super) fn forget(&mut self, to: Destination) {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        while let Some(flow) = self.flows.range(of(0)..=of(u64::MAX)).next().map(|(flow, _)| *flow) {
            self.passes -= self.flows.remove(&flow).map_or(0, |state| state.retry_passes.outstanding());
            self.unwritten.remove(&flow);
            self.held_back.remove(&flow);
        }
    }

    // Idle flows.

    /// Finds flows idle since `before` among at most `count_max` flows after `after`. Returns them,
    /// the last flow examined and the number examined.
    ///
    /// With `may_hear` (the sender can sign in again), a flow with unacknowledged news is not idle.
    pub(super) fn idle(
        &self,
        after: Option<FlowId>,
        count_max: usize,
        before: u64,
        may_hear: bool,
    ) -> (Vec<FlowId>, Option<(FlowId, usize)>) {
        let behind = after.map_or(Unbounded, Excluded);
        let mut idle = Vec::new();
        let mut last = None;
        for (count, (id, flow)) in self.flows.range((behind, Unbounded)).take(count_max).enumerate() {
            last = Some((*id, count + 1));
            idle.extend(self.is_idle_flow(*id, flow, before, may_hear).then_some(*id));
        }
        (idle, last)
    }

    /// Whether this flow is idle in the sense of [`Flows::idle`].
    pub(super) fn is_idle(&self, flow: FlowId, before: u64, may_hear: bool) -> bool {
        self.flows.get(&flow).is_some_and(|state| self.is_idle_flow(flow, state, before, may_hear))
    }

    fn is_idle_flow(&self, id: FlowId, flow: &Flow, before: u64, may_hear: bool) -> bool {
        let must_report = || {
            flow.reports.must_report(&self.reports)
                || self.is_held_back(id)
                || self.refusals.is_pending_for(id)
        };
        // Flows to guests are forgotten with their guests.
        let may_go = !matches!(id.to, Destination::Guest(_)) && flow.touched < before;
        may_go && (!may_hear || !must_report())
    }

    /// Forgets an idle flow.
    pub(super) fn drop_idle(&mut self, flow: FlowId) {
        self.passes -= self.flows.remove(&flow).map_or(0, |state| state.retry_passes.outstanding());
        self.unwritten.remove(&flow);
        self.held_back.remove(&flow);
        self.refusals.forget(flow);
    }

    // Receipts.

    /// Makes a receipt and all refusals of the flow pending, because the sender queries it.
    pub(super) fn request_receipt(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.queue_receipt(flow, &mut self.reports);
        }
        self.refusals.request(flow);
    }

    /// Returns the next pending receipt and the time at which the first letter new in it was taken.
    /// Call [`Flows::mark_receipt_sent`] once it is sent.
    pub(super) fn next_receipt(&mut self) -> Option<(FlowId, Watermarks, Wall)> {
        loop {
            let flow = self.reports.next()?;
            if let Some(state) = self.flows.get(&flow).filter(|state| self.reports.is_due(&state.reports)) {
                let watermarks = self.reportable_watermarks(flow, state);
                return Some((flow, watermarks, state.taken_at.unwrap_or(state.reported_taken_at)));
            }
            self.reports.skip();
        }
    }

    /// Marks the receipt of [`Flows::next_receipt`] as sent.
    pub(super) fn mark_receipt_sent(&mut self) {
        let Some(flow) = self.reports.next() else { return };
        let Some(accepted) =
            self.flows.get(&flow).map(|state| self.reportable_watermarks(flow, state).accepted)
        else {
            return self.reports.skip();
        };
        if let Some(state) = self.flows.get_mut(&flow) {
            self.reports.mark_sent(&mut state.reports);
            if accepted >= state.taken {
                state.reported_taken_at = state.taken_at.take().unwrap_or(state.reported_taken_at);
            }
        }
    }

    /// Records that the client has received every receipt sent in this session.
    pub(super) fn mark_receipts_received(&mut self) {
        while let Some(flow) = self.reports.take_received() {
            if let Some(state) = self.flows.get_mut(&flow) {
                self.reports.mark_received(&mut state.reports);
            }
        }
    }

    // For tests.

    /// Returns every flow, its marks, and whether they rose since they were persisted.
    pub(super) fn all(&self) -> impl Iterator<Item = (FlowId, Watermarks, bool)> + '_ {
        self.flows.iter().map(|(id, flow)| (*id, flow.watermarks, flow.unwritten))
    }
}

#[cfg(test)]
mod tests;
