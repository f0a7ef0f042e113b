//! Routing for guests: plain text into a member's mailbox, and the member's replies back.

use crate::base::{ConnId, LetterId, Mark, Now, Path};
use crate::wire::letter::{Content, GuestEvent, LetterBody};
use crate::wire::message::{Delivery, Letter, Reason};

use super::guests::{GuestAction, GuestReply, carrier_of};
use super::ids::{Destination, GuestId, MemberId};
use super::mailbox::Sender;
use super::{Out, Relay};

impl Relay {
    pub(super) fn handle_guest_datagram(&mut self, now: Now, path: Path, bytes: &[u8], out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_datagram(now.tick, path, bytes, out);
        self.route_guest_actions(now, out);
    }

    pub(super) fn handle_guest_text(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_text(now.tick, conn, bytes, out);
        self.conns.record_received(now.tick, conn);
        self.route_guest_actions(now, out);
    }

    pub(super) fn handle_guest_end(&mut self, now: Now, conn: ConnId, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_text_end(now.tick, conn, out);
        self.route_guest_actions(now, out);
    }

    /// Handles the end of a connection, a guest's or not.
    pub(super) fn handle_guest_closed(&mut self, now: Now, conn: ConnId, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_closed(conn);
        self.route_guest_actions(now, out);
    }

    pub(super) fn handle_guest_time(&mut self, now: Now, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        if guests.next_deadline().is_none_or(|at| at > now.tick) {
            return;
        }
        guests.handle_time(now.tick, out);
        self.route_guest_actions(now, out);
    }

    /// Sends a member's text to a guest, or ends the conversation. Other content is refused: plain
    /// text cannot express it.
    pub(super) fn answer_guest(
        &mut self,
        now: Now,
        sender: MemberId,
        guest: GuestId,
        letter: &Letter<'_>,
        out: &mut Out,
    ) -> Option<Reason> {
        let guests = self.guests.as_mut()?;
        let written = match Content::read(letter.kind, letter.body) {
            Ok(Content::Text(text)) => guests.answer(now.tick, sender, guest, &text, out),
            Ok(Content::GuestEvent(GuestEvent::Close)) => guests.end(now.tick, sender, guest, out),
            _ => Err(Reason::Unsupported),
        };
        self.route_guest_actions(now, out);
        written.err()
    }

    /// Routes the guests' new letters, closes the connections of those that are done, and forgets
    /// those without pending receipts.
    fn route_guest_actions(&mut self, now: Now, out: &mut Out) {
        while let Some(action) = self.guests.as_mut().and_then(|guests| guests.next_action()) {
            match action {
                GuestAction::Letter { path, to, text } => {
                    self.route_guest_letter(now, path, to.as_str(), &text, out)
                }
                GuestAction::Event { from, outbox, to, event } => {
                    for (member, prev) in to {
                        let id = LetterId { outbox, number: prev + 1 };
                        let letter_body = LetterBody::from_guest_event(event);
                        self.enqueue_for_guest(now, from.as_str(), member, (id, prev), &letter_body, out);
                    }
                }
            }
        }
        while let Some(conn) = self.guests.as_mut().and_then(|guests| guests.next_closing()) {
            self.close_conn(now.tick, conn, out);
        }
        while let Some((guest, senders)) = self.guests.as_mut().and_then(|guests| guests.next_gone(now.tick))
        {
            for sender in senders {
                self.member_states[sender.0].flows.forget_recipient(Destination::Guest(guest));
            }
        }
        if let Some(guests) = &mut self.guests {
            let (refused, forged) = guests.take_refused();
            self.stats.guests_refused += refused;
            self.stats.guests_forged += forged;
        }
    }

    fn route_guest_letter(&mut self, now: Now, path: Path, to: &str, text: &str, out: &mut Out) {
        let recipient = self.directory.members.find(to);
        let Some(guests) = &mut self.guests else { return };
        let has_named = guests.has_named(to);
        if has_named && !guests.may_query(now.tick, path, recipient) {
            return self.reply_to_guest(path, GuestReply::Full, out);
        }
        let Some(member) = recipient else {
            return self.reply_to_guest(path, GuestReply::Nobody, out);
        };
        let address = self.guests.as_ref().and_then(|guests| guests.address(path, member));
        let Some((from, id, prev)) = address.map(|(from, id, prev)| (from.clone(), id, prev)) else {
            return self.reply_to_guest(path, GuestReply::Full, out);
        };
        let letter_body = LetterBody::from_text(text, now.wall);
        let refused = self.member_states[member.0].lists.refuse(&from)
            || self.enqueue_for_guest(now, from.as_str(), member, (id, prev), &letter_body, out).is_some();
        if refused {
            return self.reply_to_guest(path, GuestReply::Full, out);
        }
        if let Some(guests) = &mut self.guests {
            guests.record_taken(path, member);
        }
        // Strangers must not learn which members are online, except for the default recipient.
        if !has_named && self.receiving_session(member).is_none() {
            self.reply_to_guest(path, GuestReply::Away, out);
        }
    }

    pub(super) fn reply_to_guest(&mut self, path: Path, notice: GuestReply, out: &mut Out) {
        if let Some(guests) = &mut self.guests {
            guests.reply(path, notice, out);
        }
    }

    fn enqueue_for_guest(
        &mut self,
        now: Now,
        from: &str,
        to: MemberId,
        (id, prev): (LetterId, u64),
        letter_body: &LetterBody,
        out: &mut Out,
    ) -> Option<Reason> {
        let mark = Mark::default();
        let body = &*letter_body.body;
        let delivery = Delivery { from, id, prev, accepted: now.wall, mark, kind: letter_body.kind, body };
        let message = self.mailboxes.buffers.pack(&delivery);
        let sender = Sender::Guest(carrier_of(id.outbox));
        let refused = self.push(now.tick, to, sender, (id, mark, body.len()), message);
        self.note_used(to, out);
        self.stats.letters_taken += u64::from(refused.is_none());
        refused
    }
}
