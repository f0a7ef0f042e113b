//! Receipts of a sender's flows: which are pending, and which the sender has received. This module
//! only queues them and sends nothing.
//!
//! Watermarks that rose are *news* until the client that uses the outbox has acknowledged their
//! receipt. The receipt is repeated in each session of that outbox. A member may have several
//! outboxes, one on each machine. A receipt sent in a session of one does not reach the others.

use crate::base::OutboxId;

use crate::relay::ids::FlowId;

/// No session.
const NEVER: u32 = 0;
/// Number of the session before the first one.
const INITIAL: u32 = NEVER + 1;

/// State of one flow's receipt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReceiptState {
    /// The session in which a receipt is pending, or [`NEVER`].
    due_in: u32,
    /// The session in which a receipt with the current watermarks was sent while they were news, or
    /// [`NEVER`].
    sent_in: u32,
    /// Whether the sender may not know the current watermarks.
    has_news: bool,
}

impl ReceiptState {
    /// Whether the sender may not know the current watermarks, or a receipt is pending.
    pub(super) fn is_outstanding(&self, receipts: &Receipts) -> bool {
        self.has_news || receipts.is_due(self)
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }
}

/// The receipts of one sender.
#[derive(Debug)]
pub(super) struct Receipts {
    /// Number of the current or last session.
    session: u32,
    /// Outbox of that session. `None`: the session receives the receipts of every outbox.
    outbox: Option<OutboxId>,
    /// Flows with a pending receipt in this session. All three lists may contain removed flows.
    due: Vec<FlowId>,
    /// Flows with news; may contain duplicates, and flows that have none.
    news: Vec<FlowId>,
    /// Flows whose news was sent in this session and is not acknowledged.
    sent: Vec<FlowId>,
}

impl Receipts {
    pub(super) const EMPTY: Receipts =
        Receipts { session: INITIAL, outbox: None, due: Vec::new(), news: Vec::new(), sent: Vec::new() };

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
    pub(super) fn is_due(&self, flow: &ReceiptState) -> bool {
        flow.due_in == self.session
    }

    /// Makes a receipt pending in this session.
    pub(super) fn queue(&mut self, id: FlowId, flow: &mut ReceiptState) {
        if !self.is_due(flow) {
            self.due.push(id);
        }
        flow.due_in = self.session;
    }

    /// Records that the watermarks rose. Each later session of the outbox gets a receipt, until one
    /// is acknowledged.
    pub(super) fn add_news(&mut self, id: FlowId, flow: &mut ReceiptState) {
        flow.sent_in = NEVER;
        if !std::mem::replace(&mut flow.has_news, true) {
            self.news.push(id);
        }
    }

    /// As [`Receipts::add_news`], and makes a receipt pending if this session is of the outbox.
    pub(super) fn add_news_and_queue(&mut self, id: FlowId, flow: &mut ReceiptState) {
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

    /// Passes over the flow of [`Receipts::next`], which has no pending receipt.
    pub(super) fn skip(&mut self) {
        self.due.pop();
    }

    /// Records that the receipt of [`Receipts::next`] was sent.
    pub(super) fn mark_sent(&mut self, flow: &mut ReceiptState) {
        let Some(id) = self.due.pop() else { return };
        flow.due_in = NEVER;
        if flow.has_news {
            flow.sent_in = self.session;
            self.sent.push(id);
        }
    }

    /// Removes and returns a flow whose receipt was sent in this session. Call it only once the
    /// client has received every one of them.
    pub(super) fn take_received(&mut self) -> Option<FlowId> {
        self.sent.pop()
    }

    /// Records that the client has received the receipts of this flow sent in this session. If the
    /// watermarks rose after that, they remain news.
    pub(super) fn mark_received(&self, flow: &mut ReceiptState) {
        let is_known = flow.sent_in == self.session && !self.is_due(flow);
        flow.has_news &= !is_known;
    }
}
