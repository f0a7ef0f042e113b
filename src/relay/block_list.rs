//! Block lists: unwanted letters are refused when they arrive, and waiting ones when they would be
//! sent. Each refusal is reported to its sender.

use std::collections::BTreeSet;

use crate::base::{LetterId, Name, Tick, Ticket, empty_value};
use crate::wire::message::{ALLOW_LIST, BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList, Reason};

use super::flows::Refusal;
use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::limits::{REJECT_INTERVAL, REJECTED_MAX, SPILL_AFTER};
use super::mailbox::{MailboxEntry, Sender};
use super::mailbox_storage::StoreContinuation;
use super::membership::{BLOCK_LIST_MAX, MembershipChange, SenderLists};
use super::records::{PendingRefusal, Record};
use super::sessions::RefusedLetter;
use super::unwritten::RecordKey;
use super::{Out, Relay};

/// Lists that one session is sending.
#[derive(Debug, Default)]
pub(super) struct SessionBlockList {
    /// Whether a list is expected: no letter is sent before it is complete.
    pub(super) awaited: bool,
    /// A list of which further parts are expected.
    incoming: BTreeSet<Name>,
    /// A complete allow list, until the block list that follows it is complete.
    allowed: Option<BTreeSet<Name>>,
}

empty_value!(
    SessionBlockList,
    SessionBlockList { awaited: false, incoming: BTreeSet::new(), allowed: None },
    SessionBlockList::is_empty
);

impl SessionBlockList {
    /// Whether the session has sent everything.
    pub(super) fn is_empty(&self) -> bool {
        let SessionBlockList { awaited, incoming, allowed } = self;
        !awaited && incoming.is_empty() && allowed.is_none()
    }
}

impl Relay {
    /// Handles a part of a list. Invalid names and those beyond the bound are skipped without a
    /// reply, because clients know the bound.
    pub(super) fn handle_block_list(
        &mut self,
        slot: SessionSlot,
        flags: u8,
        names: NameList<'_>,
        out: &mut Out,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let block_list = &mut *session.block_list;
        if flags & BLOCK_LIST_FIRST != 0 {
            block_list.incoming.clear();
        }
        for name in names.iter().filter_map(|name| name.parse().ok()) {
            if block_list.incoming.len() < BLOCK_LIST_MAX {
                block_list.incoming.insert(name);
            }
        }
        if flags & BLOCK_LIST_LAST == 0 {
            return;
        }
        let list = std::mem::take(&mut block_list.incoming);
        if flags & ALLOW_LIST != 0 {
            block_list.allowed = Some(list);
            return;
        }
        let lists = SenderLists { blocked: list, allowed: block_list.allowed.take() };
        block_list.awaited = false;
        self.set_lists(member, lists, out);
        self.sessions.mark(slot);
    }

    /// Replaces this member's lists, durably.
    pub(super) fn set_lists(&mut self, member: MemberId, lists: SenderLists, out: &mut Out) {
        let current = &mut self.member_states[member.0].lists;
        if **current == lists {
            return;
        }
        **current = lists;
        self.write_lists(member, out);
    }

    /// Writes this member's lists. Those of a removed member are written too, as empty ones.
    pub(super) fn write_lists(&mut self, member: MemberId, out: &mut Out) {
        if self.directory.members.is_durable(member) || self.directory.members.is_removed(member) {
            let owner = self.directory.members.name(member).clone();
            let lists = (*self.member_states[member.0].lists).clone();
            let change = MembershipChange::Lists { owner, lists };
            self.persist_keyed(RecordKey::Lists(member), Record::Membership(change), out);
        }
    }

    /// Whether letters of this sender to `to` are blocked. A member's own letters and the relay's
    /// never are.
    pub(super) fn is_unwanted(&self, to: MemberId, sender: Sender) -> bool {
        let Sender::Member(from) = sender else { return false };
        let lists = &self.member_states[to.0].lists;
        from != to && !lists.is_empty() && lists.refuse(self.directory.members.name(from))
    }

    /// Refuses waiting letters of a removed member, as far as they are in memory. The rest is
    /// loaded, or follows in a later turn.
    pub(super) fn reject_all(&mut self, now: Tick, member: MemberId, out: &mut Out) {
        for _ in 0..REJECTED_MAX {
            if self.member_states[member.0].mailbox.next_waiting().is_none() {
                return self.load_mailbox(now, member, out);
            }
            self.reject_next(member, Reason::Unknown, out);
        }
        self.wake_mailbox(member, now + REJECT_INTERVAL);
    }

    /// Refuses the next letter of a mailbox.
    ///
    /// An accepted letter leaves the disk together with the record of its refusal. The number of
    /// such refusals is bounded by the letters that mailboxes took from the sender.
    pub(super) fn reject_next(&mut self, to: MemberId, reason: Reason, out: &mut Out) {
        let Some(entry) = self.member_states[to.0].mailbox.take_next() else { return };
        self.count_mailbox(to);
        let seq = entry.seq();
        let id = entry.id;
        let Sender::Member(sender) = entry.sender else { return self.drop_echo(&entry, out) };
        let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
        let name = self.directory.members.name(to).clone();
        let Some(seq) = seq else {
            let refusal = RefusedLetter::of(name.as_str(), id, reason);
            let may_have_arrived = entry.was_sent;
            let mark = entry.mark;
            return self.refuse_taken(sender, flow, RefusedLetter { may_have_arrived, mark, ..refusal });
        };
        self.stats.letters_refused += 1;
        let may_have_arrived = self.member_states[to.0].mailbox.may_have_been_sent(&entry);
        let refusal = Refusal { reason, may_have_arrived, mark: entry.mark };
        let by_recipient = false;
        self.write_rejection(RejectedLetter { seq, sender, to, id, refusal, by_recipient }, out);
    }

    /// Removes a letter from the disk and records its refusal. A load that waits for an earlier
    /// attempt is repeated.
    pub(super) fn write_rejection(&mut self, letter: RejectedLetter, out: &mut Out) {
        let RejectedLetter { seq, sender, to, id, refusal, .. } = letter;
        let Refusal { reason, may_have_arrived, mark } = refusal;
        let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
        self.member_states[sender.0].flows.pending_removals.begin(flow, id.number);
        let from = self.directory.members.name(sender).clone();
        let name = self.directory.members.name(to).clone();
        let refusal = PendingRefusal { from, to: name, id, reason, may_have_arrived, mark };
        let ticket = self.persist(StoreContinuation::Rejected(letter), Record::Expired { seq, refusal }, out);
        if let Some(failed) = self.mailboxes.expiring.insert(seq, ticket) {
            self.resume_loading(to, failed);
        }
    }

    /// Removes a letter of the relay itself, or of a guest, without a refusal.
    pub(super) fn drop_echo(&mut self, entry: &MailboxEntry, out: &mut Out) {
        self.write_removed(entry.seq().into_iter().collect(), out);
    }

    /// Handles the removal of a rejected letter; its sender receives the refusal. A failed record
    /// is soon repeated.
    pub(super) fn handle_rejection_stored(
        &mut self,
        now: Tick,
        ticket: Ticket,
        letter: RejectedLetter,
        durable: bool,
        out: &mut Out,
    ) {
        let RejectedLetter { seq, sender, to, id, refusal, by_recipient } = letter;
        if !durable {
            self.mailboxes.rejections_to_retry.entry(to).or_default().push(letter);
            return self.wake_mailbox(to, now + SPILL_AFTER);
        }
        self.mailboxes.expiring.remove(&seq);
        if by_recipient {
            self.member_states[to.0].mailbox.end_refusal();
        }
        self.resume_loading(to, ticket);
        let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
        let state = &mut self.member_states[sender.0];
        state.flows.queue_refusal(flow, id.number, refusal);
        let stored = state.flows.pending_removals.end(flow, id.number);
        if let Some(slot) = state.session {
            self.sessions.mark(slot);
        }
        if let Some(through) = stored {
            self.store_through(now, to, Sender::Member(sender), id.outbox, through, out);
        }
    }

    /// Allows loads of the letters behind one whose removal ended with this ticket.
    fn resume_loading(&mut self, to: MemberId, ticket: Ticket) {
        self.member_states[to.0].mailbox.cancel_load(ticket);
        if let Some(slot) = self.member_states[to.0].session {
            self.sessions.mark(slot);
        }
    }
}

/// A rejected letter being removed from its mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct RejectedLetter {
    pub(super) seq: u64,
    pub(super) sender: MemberId,
    pub(super) to: MemberId,
    pub(super) id: LetterId,
    pub(super) refusal: Refusal,
    /// Whether the recipient refused it after it had been sent.
    pub(super) by_recipient: bool,
}
