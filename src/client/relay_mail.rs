//! The letters of one relay in both directions: the state that outlives every session.

use crate::base::{Carrier, LetterId, Name, Wall};
use crate::wire::features::Features;
use crate::wire::message::{Reason, ToRelay};

use super::api::{Event, NotQueued, Progress, Record};
use super::outbox::{Outbox, ProgressUpdate, ReceiptQuery, Refusal};
use super::received_index::ReceivedIndex;

/// The letters of one relay.
#[derive(Debug)]
pub(super) struct RelayMail {
    pub(super) outbox: Outbox,
    pub(super) received: ReceivedIndex,
}

impl RelayMail {
    /// Sends pending control messages while the stream has space. `relay` has the relay's features.
    /// `knows` returns whether the user knows a sender; others get fewer receipts.
    pub(super) fn send_control(
        &mut self,
        relay: Features,
        knows: impl Fn(&Name) -> bool,
        send: &mut impl FnMut(ToRelay<'_>) -> bool,
    ) {
        if !self.send_letter_control(relay, &knows, send) {
            return;
        }
        while let Some((from, outbox, through)) = self.received.next_read() {
            if knows(from) && !send(ToRelay::Read { from: from.as_str(), outbox, through }) {
                return;
            }
            self.received.mark_read_sent();
        }
        if let Some(mark_token) = self.outbox.marks.next_of_session() {
            if !send(ToRelay::Mark { outbox: self.outbox.id(), mark_token }) {
                return;
            }
            self.outbox.marks.take();
        }
        while let Some((to, id)) = self.outbox.next_received_refusal() {
            if !send(ToRelay::RefusalReceived { to: to.as_str(), id }) {
                return;
            }
            self.outbox.mark_refusal_sent();
        }
        while let Some(ReceiptQuery { to, outbox, accepted, settled }) = self.outbox.next_query() {
            if !send(ToRelay::QueryReceipt { to: to.as_str(), outbox, accepted, settled }) {
                return;
            }
            self.outbox.mark_query_sent();
        }
    }

    /// Sends receipts and refusals of incoming letters. Returns `false` if the stream is full.
    /// Refusals go first, because a `stored` would cover the refused letters too.
    fn send_letter_control(
        &mut self,
        relay: Features,
        knows: impl Fn(&Name) -> bool,
        send: &mut impl FnMut(ToRelay<'_>) -> bool,
    ) -> bool {
        while let Some((from, id)) = self.received.next_old_copy() {
            let reason = Reason::OldCopy;
            if !send(ToRelay::RecipientRefusal { from: from.as_str(), id, reason }) {
                return false;
            }
            self.received.mark_old_copy_sent();
        }
        while let Some((from, outbox, number, reason)) = self.received.declined.next() {
            let from = from.as_str();
            let id = LetterId { outbox, number };
            let reason = reason.known_to(relay).by_recipient();
            if !send(ToRelay::RecipientRefusal { from, id, reason }) {
                return false;
            }
            self.received.declined.mark_sent();
        }
        while let Some((from, outbox, (through, mark))) = self.received.next_stored() {
            let at_full_second = !knows(from);
            if !send(ToRelay::Stored { from: from.as_str(), outbox, through, mark, at_full_second }) {
                return false;
            }
            self.received.mark_stored_sent();
        }
        true
    }

    /// Applies the commit of a record, or its failure. Returns an event for the caller to show.
    pub(super) fn handle_commit(&mut self, via: Carrier, record: Record, durable: bool) -> Option<Event> {
        match record {
            Record::Written { relay, to, outbox, number, request, text, .. } if !durable => {
                self.outbox.remove_failed(&to, LetterId { outbox: outbox.for_relay(&relay), number });
                Some(Event::Unkept { request, to, reason: NotQueued::Disk, text })
            }
            Record::Written { relay, to, outbox, number, request, .. } => {
                let id = LetterId { outbox: outbox.for_relay(&relay), number };
                self.outbox.mark_durable(&to, id);
                Some(Event::Progress { request, id, progress: Progress::Queued, via, taken_at: Wall(0) })
            }
            Record::Refused { relay, to, outbox, number, .. } => {
                let id = LetterId { outbox: outbox.for_relay(&relay), number };
                let refusal = self.outbox.take_recorded_refusal(&to, id)?;
                Some(refused_event(to, refusal))
            }
            Record::Received { letter, mark, .. } => {
                self.received.record_stored(&letter.from, letter.id, mark);
                Some(Event::Letter(letter))
            }
            Record::Declined { from, id, reason, .. } => {
                self.received.declined.add((from, id.outbox), id.number, reason);
                None
            }
            Record::Closed { from, outbox, .. } => {
                self.received.record_closed(&from, outbox);
                None
            }
            Record::Shown { from, id, read, .. } => {
                if read {
                    self.received.record_read(&from, id);
                }
                None
            }
            Record::Reached { .. }
            | Record::SigningIn { .. }
            | Record::OldCopy { .. }
            | Record::RefusalShown { .. }
            | Record::Counter(_)
            | Record::Pin { .. }
            | Record::UdpFailed { .. } => None,
        }
    }
}

impl ProgressUpdate {
    /// Returns the event for this progress, with the carrier of the session.
    pub(super) fn event(self, via: Carrier) -> Event {
        let ProgressUpdate { request, id, progress, taken_at } = self;
        Event::Progress { request, id, progress, via, taken_at }
    }
}

/// Returns the event for a refusal.
pub(super) fn refused_event(to: Name, refusal: Refusal) -> Event {
    let Refusal { request, id, reason, may_have_arrived, nearest, encoded, text, .. } = refusal;
    // Empty if the body was dropped.
    let text = text.or_else(|| encoded.text()).unwrap_or_default();
    Event::Refused { request, id, to, reason, may_have_arrived, nearest, text }
}
