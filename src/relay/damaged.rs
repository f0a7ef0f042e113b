//! Damaged letters on disk. They are not sent to their recipients and stay on disk unchanged; their
//! senders, if known, receive a refusal.

use crate::base::{Effect, LetterHeader, LetterId, Tick, Ticket};
use crate::wire::message::Reason;

use super::flows::Refusal;
use super::ids::{Destination, FlowId, MemberId};
use super::limits::SPILL_AFTER;
use super::mailbox::Sender;
use super::mailbox_storage::StoreContinuation;
use super::records::{PendingRefusal, Record};
use super::{Event, Out, Relay};

/// A damaged letter that is being removed from its mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct DamagedLetter {
    seq: u64,
    to: MemberId,
    /// Sender, identifier and body length, if known.
    letter: Option<(Sender, LetterId, usize)>,
    /// The refusal for a sender that is a member.
    refusal: Option<Refusal>,
}

impl Relay {
    /// Removes a damaged letter from its mailbox and returns the ticket of the record.
    ///
    /// Returns `None` if it stays for now: it is being removed or gone, it is in memory too, or its
    /// sender has too many pending refusals.
    pub(super) fn set_aside_damaged(
        &mut self,
        to: MemberId,
        seq: u64,
        label: Option<&LetterHeader>,
        out: &mut Out,
    ) -> Option<Ticket> {
        let letter = label.and_then(|label| {
            let sender = self.sender(label.from.as_str(), label.id.outbox)?;
            Some((sender, label.id, label.len))
        });
        let may = match letter {
            Some((Sender::Member(sender), ..)) => self.member_states[sender.0].flows.may_queue_refusal(),
            _ => true,
        };
        let mailbox = &self.member_states[to.0].mailbox;
        if !may || !mailbox.is_on_disk_only(seq) || self.mailboxes.expiring.contains_key(&seq) {
            return None;
        }
        let may_have_arrived = mailbox.may_row_have_been_sent(seq);
        let name = self.directory.members.name(to).clone();
        let refused = letter.and_then(|(sender, id, _)| {
            let Sender::Member(sender) = sender else { return None };
            let from = self.directory.members.name(sender).clone();
            let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
            // The letter's own outbox mark may be what is damaged.
            let mark = self.member_states[sender.0].flows.highest_outbox_mark(flow);
            let to = name.clone();
            Some(PendingRefusal { from, to, id, reason: Reason::Damaged, may_have_arrived, mark })
        });
        let refusal = refused.as_ref().map(|&PendingRefusal { reason, may_have_arrived, mark, .. }| {
            Refusal { reason, may_have_arrived, mark }
        });
        let letter = DamagedLetter { seq, to, letter, refusal };
        let ticket = self.tickets.issue(StoreContinuation::Damaged(letter));
        self.mailboxes.expiring.insert(seq, ticket);
        let record = Record::Damaged { seq, to: name, refusal: refused };
        out.effects.push(Effect::Persist(ticket, record));
        Some(ticket)
    }

    /// Handles the commit of a removal, after which the letters behind it may be loaded. If it
    /// failed, the letter is found again later.
    pub(super) fn handle_damaged(
        &mut self,
        now: Tick,
        ticket: Ticket,
        letter: DamagedLetter,
        durable: bool,
        out: &mut Out,
    ) {
        let DamagedLetter { seq, to, letter, refusal } = letter;
        self.mailboxes.expiring.remove(&seq);
        let mailbox = &mut self.member_states[to.0].mailbox;
        mailbox.cancel_load(ticket);
        if !durable {
            return self.wake_mailbox(to, now + SPILL_AFTER);
        }
        match letter {
            Some((sender, _, len)) => mailbox.remove_expired(seq, sender, len),
            None => mailbox.remove_unidentified(seq),
        }
        self.count_mailbox(to);
        let mut from = None;
        if let (Some((Sender::Member(sender), id, _)), Some(refusal)) = (letter, refusal) {
            from = Some(self.directory.members.name(sender).clone());
            let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
            self.member_states[sender.0].flows.queue_refusal(flow, id.number, refusal);
            self.member_states[sender.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
        }
        out.show(Event::Damaged { seq, to: self.directory.members.name(to).clone(), from });
        if self.directory.members.is_removed(to) {
            self.reject_all(now, to, out);
        }
        self.member_states[to.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
    }
}
