//! Receipts of a sender's flows: which are pending, and which it has received.
//!
//! Marks that rose are *news* until the client that uses the outbox has acknowledged their receipt.
//! The receipt is repeated in each session of that outbox. A member may have several outboxes, one
//! on each machine: a session of one of them tells nothing to the others.

use crate::base::OutboxId;

use super::flow_id::FlowId;

/// No session.
const NEVER: u32 = 0;
/// Number of the session before the first one.
const FIRST: u32 = NEVER + 1;

/// Receipts of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlowReports {
    /// The session in which a receipt is pending, or [`NEVER`].
    due_in: u32,
    /// The session in which a receipt with the present marks was sent, or [`NEVER`].
    sent_in: u32,
    /// Whether the sender may not know the present marks.
    has_news: bool,
}

impl FlowReports {
    /// Whether the sender may not know the present marks, or waits for a receipt.
    pub(super) fn must_report(&self, reports: &Reports) -> bool {
        self.has_news || reports.is_due(self)
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }
}

/// The receipts of one sender.
#[derive(Debug)]
pub(super) struct Reports {
    /// Number of the current or last session.
    session: u32,
    /// Outbox of that session. `None`: the session is of any outbox.
    outbox: Option<OutboxId>,
    /// Flows with a pending receipt in this session, flows with news, and flows whose news were
    /// sent in this session and not acknowledged. Each may contain removed flows.
    due: Vec<FlowId>,
    news: Vec<FlowId>,
    sent: Vec<FlowId>,
}

impl Reports {
    pub(super) const EMPTY: Reports =
        Reports { session: FIRST, outbox: None, due: Vec::new(), news: Vec::new(), sent: Vec::new() };

    /// Returns the number of the current session, or of the last one.
    pub(super) fn session(&self) -> u32 {
        self.session
    }

    pub(super) fn has_none_due(&self) -> bool {
        self.due.is_empty()
    }

    /// Returns the number of entries about news.
    pub(super) fn news_len(&self) -> usize {
        self.news.len()
    }

    fn is_for_session(&self, flow: FlowId) -> bool {
        self.outbox.is_none_or(|outbox| outbox == flow.outbox)
    }

    /// Whether a receipt of this flow is pending.
    pub(super) fn is_due(&self, flow: &FlowReports) -> bool {
        flow.due_in == self.session
    }

    /// Makes a receipt pending, because this session needs one.
    pub(super) fn queue(&mut self, id: FlowId, flow: &mut FlowReports) {
        if !self.is_due(flow) {
            self.due.push(id);
        }
        flow.due_in = self.session;
    }

    /// Records that the marks rose. The next session of the outbox gets a receipt too, unless this
    /// one acknowledges it.
    pub(super) fn add_news(&mut self, id: FlowId, flow: &mut FlowReports) {
        flow.sent_in = NEVER;
        if !std::mem::replace(&mut flow.has_news, true) {
            self.news.push(id);
        }
    }

    /// As [`Reports::add_news`], and makes a receipt pending if this session is of the outbox.
    pub(super) fn report(&mut self, id: FlowId, flow: &mut FlowReports) {
        self.add_news(id, flow);
        if self.is_for_session(id) {
            self.queue(id, flow);
        }
    }

    /// Begins a session with this outbox. Returns the flows with news for it.
    pub(super) fn begin_session(&mut self, outbox: Option<OutboxId>) -> Vec<FlowId> {
        self.session += 1;
        self.outbox = outbox;
        self.due.clear();
        self.sent.clear();
        self.news.iter().filter(|flow| self.is_for_session(**flow)).copied().collect()
    }

    /// Keeps the entries of flows that have news.
    pub(super) fn retain_news(&mut self, has_news: impl Fn(FlowId) -> bool) {
        self.news.sort_unstable();
        self.news.dedup();
        self.news.retain(|flow| has_news(*flow));
    }

    /// Returns the next flow whose receipt may be pending.
    pub(super) fn next(&self) -> Option<FlowId> {
        self.due.last().copied()
    }

    /// Passes over the flow of [`Reports::next`], which has no pending receipt.
    pub(super) fn skip(&mut self) {
        self.due.pop();
    }

    /// Records that the receipt of [`Reports::next`] was sent.
    pub(super) fn mark_sent(&mut self, flow: &mut FlowReports) {
        let Some(id) = self.due.pop() else { return };
        flow.due_in = NEVER;
        if flow.has_news {
            flow.sent_in = self.session;
            self.sent.push(id);
        }
    }

    /// Returns the next flow whose receipt was sent and has arrived.
    pub(super) fn take_received(&mut self) -> Option<FlowId> {
        self.sent.pop()
    }

    /// Records that the client has received the receipts of this flow.
    pub(super) fn mark_received(&self, flow: &mut FlowReports) {
        let is_known = flow.sent_in == self.session && !self.is_due(flow);
        flow.has_news &= !is_known;
    }
}
