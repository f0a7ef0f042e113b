//! The letters of one relay in both directions: the state that outlives every session.

use crate::base::{Carrier, LetterId, Name, Wall};
use crate::wire::features::Features;
use crate::wire::message::{Reason, ToRelay};

use super::api::{Event, Progress, Record, Unkept};
use super::ledger::Ledger;
use super::outbox::{Outbox, Refusal, Step};

/// The letters of one relay.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) outbox: Outbox,
    pub(super) ledger: Ledger,
}

impl Mail {
    /// Sends pending control messages while the stream has space. `relay` has the relay's features.
    /// `knows` returns whether the user knows a sender; others get fewer receipts.
    pub(super) fn speak(
        &mut self,
        relay: Features,
        knows: impl Fn(&Name) -> bool,
        say: &mut impl FnMut(ToRelay<'_>) -> bool,
    ) {
        if !self.speak_of_letters(relay, &knows, say) {
            return;
        }
        while let Some((from, outbox, through)) = self.ledger.next_read() {
            if knows(from) && !say(ToRelay::Read { from: from.as_str(), outbox, through }) {
                return;
            }
            self.ledger.paid_read();
        }
        if let Some(said) = self.outbox.marks.next_of_session() {
            if !say(ToRelay::Mark { outbox: self.outbox.id(), said }) {
                return;
            }
            self.outbox.marks.take();
        }
        while let Some((to, id)) = self.outbox.next_heard() {
            if !say(ToRelay::Heard { to: to.as_str(), id }) {
                return;
            }
            self.outbox.paid_heard();
        }
        while let Some((to, outbox)) = self.outbox.next_ask() {
            if !say(ToRelay::Ask { to: to.as_str(), outbox }) {
                return;
            }
            self.outbox.asked();
        }
    }

    /// Sends receipts and refusals of incoming letters. Returns `false` if the stream is full.
    /// Refusals go first, because a `stored` would cover the refused letters too.
    fn speak_of_letters(
        &mut self,
        relay: Features,
        knows: impl Fn(&Name) -> bool,
        say: &mut impl FnMut(ToRelay<'_>) -> bool,
    ) -> bool {
        loop {
            self.ledger.before_stored();
            while let Some((from, id)) = self.ledger.next_old_copy() {
                let reason = Reason::OldCopy;
                if !say(ToRelay::ReaderRefusal { from: from.as_str(), id, reason }) {
                    return false;
                }
                self.ledger.paid_old_copy();
            }
            while let Some((from, outbox, number, reason)) = self.ledger.declined.next() {
                let from = from.as_str();
                let id = LetterId { outbox, number };
                let reason = reason.known_to(relay).of_reader();
                if !say(ToRelay::ReaderRefusal { from, id, reason }) {
                    return false;
                }
                self.ledger.declined.paid();
            }
            let Some((from, outbox, (through, mark))) = self.ledger.next_stored() else { return true };
            let at_full_second = !knows(from);
            if !say(ToRelay::Stored { from: from.as_str(), outbox, through, mark, at_full_second }) {
                return false;
            }
            self.ledger.paid_stored();
        }
    }

    /// Applies the commit of a record, or its failure. Returns an event for the caller to show.
    pub(super) fn settle(&mut self, via: Carrier, record: Record, durable: bool) -> Option<Event> {
        match record {
            Record::Written { relay, to, outbox, number, request, text, .. } if !durable => {
                self.outbox.unrecorded(&to, LetterId { outbox: outbox.through(&relay), number });
                Some(Event::Unkept { request, to, why: Unkept::Disk, text })
            }
            Record::Written { relay, to, outbox, number, request, .. } => {
                let id = LetterId { outbox: outbox.through(&relay), number };
                self.outbox.recorded(&to, id);
                Some(Event::Progress { request, id, progress: Progress::Queued, via, taken: Wall(0) })
            }
            Record::Refused { relay, to, outbox, number, .. } => {
                let id = LetterId { outbox: outbox.through(&relay), number };
                let refusal = self.outbox.refusal_recorded(&to, id)?;
                Some(refused_event(to, refusal))
            }
            Record::Received { letter, mark, .. } => {
                self.ledger.stored(&letter.from, letter.id, mark);
                Some(Event::Letter(letter))
            }
            Record::Declined { from, id, reason, .. } => {
                self.ledger.declined.add((from, id.outbox), id.number, reason);
                None
            }
            Record::Closed { from, outbox, .. } => {
                self.ledger.closed(&from, outbox);
                None
            }
            Record::Shown { from, id, read, .. } => {
                if read {
                    self.ledger.read(&from, id);
                }
                None
            }
            Record::Reached { .. }
            | Record::SigningIn { .. }
            | Record::OldCopy { .. }
            | Record::Told { .. }
            | Record::Counter(_)
            | Record::Pin { .. }
            | Record::UdpFailed { .. } => None,
        }
    }
}

impl Step {
    /// Returns the event for this progress, with the carrier of the session.
    pub(super) fn event(self, via: Carrier) -> Event {
        let Step { request, id, progress, taken } = self;
        Event::Progress { request, id, progress, via, taken }
    }
}

/// Returns the event for a refusal.
pub(super) fn refused_event(to: Name, refusal: Refusal) -> Event {
    let Refusal { request, id, reason, may_have_arrived, nearest, made, text, .. } = refusal;
    // Empty if the body was dropped.
    let text = text.or_else(|| made.text()).unwrap_or_default();
    Event::Refused { request, id, to, reason, may_have_arrived, nearest, text }
}
