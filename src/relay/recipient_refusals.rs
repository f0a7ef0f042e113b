//! Refusals by recipients before they have stored a letter.
//!
//! The letter leaves its mailbox as a rejected one does, once it is on disk. Its sender receives
//! the refusal once that is durable. Letters that the recipient has stored behind it count after
//! that ([`super::pending_removals`]).

use crate::base::LetterId;
use crate::wire::message::Reason;

use super::block_list::RejectedLetter;
use super::flows::Refusal;
use super::guests::GuestReply;
use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::mailbox::{Mailbox, Sender, StoredThrough};
use super::{Out, Relay};

impl Relay {
    /// Handles a recipient's refusal of a letter sent to it. Returns `false` for any other letter.
    pub(super) fn handle_recipient_refusal(
        &mut self,
        slot: SessionSlot,
        from: &str,
        id: LetterId,
        reason: Reason,
        out: &mut Out,
    ) -> bool {
        let Some(sender) = self.cached_sender(slot, from, id.outbox) else { return false };
        let Some(to) = self.sessions.member(slot) else { return false };
        if !self.member_states[to.0].mailbox.refuse(sender, id, reason) {
            return false;
        }
        self.stats.letters_refused += 1;
        if let Sender::Guest(_) = sender {
            self.report_refusal_to_guest(from, out);
        }
        self.reject_refused(to, out);
        // Letters that are not on disk are written at the end of this turn.
        self.mark_mailbox_due(to);
        self.sessions.mark(slot);
        true
    }

    /// Removes letters that the member's client refuses from its mailbox, as far as they are on
    /// disk.
    pub(super) fn reject_refused(&mut self, to: MemberId, out: &mut Out) {
        while let Some(left) =
            self.member_states[to.0].mailbox.get_allocated_mut().and_then(Mailbox::next_refused)
        {
            let entry = left.entry;
            let id = entry.id;
            self.count_mailbox(to);
            let (Sender::Member(sender), Some(seq)) = (entry.sender, entry.seq()) else {
                self.member_states[to.0].mailbox.end_refusal();
                self.drop_echo(&entry, out);
                continue;
            };
            let refusal =
                Refusal { reason: left.reason, may_have_arrived: entry.was_sent_before, mark: entry.mark };
            self.write_rejection(RejectedLetter { seq, sender, to, id, refusal, by_recipient: true }, out);
            if let Some(stored) = left.stored {
                let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
                self.wait_for_removals(sender, flow, stored);
            }
        }
    }

    /// Returns the part of a recipient's report `through` that counts while refusals of the flow
    /// are not durable. The rest is remembered.
    ///
    /// The remembered part outlives the recipient's session. It covers no letter whose refusal ends
    /// with that session, because the disk does not have the letter yet.
    pub(super) fn wait_for_removals(
        &mut self,
        sender: MemberId,
        flow: FlowId,
        through: StoredThrough,
    ) -> StoredThrough {
        let mailbox = flow.to.member().map(|to| &mut self.member_states[to.0].mailbox);
        let through = match mailbox {
            Some(mailbox) => mailbox.stored_before_refused(Sender::Member(sender), flow.outbox, through),
            None => through,
        };
        self.member_states[sender.0].flows.pending_removals.store(flow, through)
    }

    /// Notifies a TCP guest that a text was not taken. A UDP guest gets no notice.
    fn report_refusal_to_guest(&mut self, from: &str, out: &mut Out) {
        let path = self.guests.as_ref().and_then(|guests| guests.path_of(from));
        path.into_iter().for_each(|path| self.reply_to_guest(path, GuestReply::Full, out));
    }
}
