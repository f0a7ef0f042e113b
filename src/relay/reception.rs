//! Routing for guests: plain text into a member's mailbox, and the member's replies back.

use crate::base::{ConnId, LetterId, Mark, Now, Path};
use crate::wire::letter::{Content, GuestNote, Made};
use crate::wire::message::{Delivery, Letter, Reason};

use super::flows::To;
use super::guests::{GuestId, Notice, Said, carrier_of};
use super::members::MemberId;
use super::queue::Author;
use super::{Out, Relay};

impl Relay {
    pub(super) fn handle_guest_datagram(&mut self, now: Now, path: Path, bytes: &[u8], out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_datagram(now.tick, path, bytes, out);
        self.carry_for_guests(now, out);
    }

    pub(super) fn handle_guest_text(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_text(now.tick, conn, bytes, out);
        self.conns.note_heard(now.tick, conn);
        self.carry_for_guests(now, out);
    }

    pub(super) fn handle_guest_end(&mut self, now: Now, conn: ConnId, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_text_end(now.tick, conn, out);
        self.carry_for_guests(now, out);
    }

    /// Handles the end of a connection, a guest's or not.
    pub(super) fn leave_guest(&mut self, now: Now, conn: ConnId, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        guests.handle_closed(conn);
        self.carry_for_guests(now, out);
    }

    pub(super) fn handle_guest_time(&mut self, now: Now, out: &mut Out) {
        let Some(guests) = &mut self.guests else { return };
        if guests.next_deadline().is_none_or(|at| at > now.tick) {
            return;
        }
        guests.handle_time(now.tick, out);
        self.carry_for_guests(now, out);
    }

    /// Sends a member's text to a guest, or ends the conversation. Other content is refused: plain
    /// text cannot express it.
    pub(super) fn answer_guest(
        &mut self,
        now: Now,
        author: MemberId,
        guest: GuestId,
        letter: &Letter<'_>,
        out: &mut Out,
    ) -> Option<Reason> {
        let guests = self.guests.as_mut()?;
        let written = match Content::read(letter.kind, letter.body) {
            Ok(Content::Text(text)) => guests.answer(now.tick, author, guest, &text, out),
            Ok(Content::Note(GuestNote::Close)) => guests.end(now.tick, author, guest, out),
            _ => Err(Reason::Unsupported),
        };
        self.carry_for_guests(now, out);
        written.err()
    }

    /// Routes the guests' new letters, closes the connections of those that are done, and forgets
    /// those without pending receipts.
    fn carry_for_guests(&mut self, now: Now, out: &mut Out) {
        while let Some(said) = self.guests.as_mut().and_then(|guests| guests.next_said()) {
            match said {
                Said::Letter { path, to, text } => self.carry_letter(now, path, to.as_str(), &text, out),
                Said::About { from, outbox, to, note } => {
                    for (member, prev) in to {
                        let id = LetterId { outbox, number: prev + 1 };
                        let made = Made::of_note(note);
                        self.enqueue_for_guest(now, from.as_str(), member, (id, prev), &made, out);
                    }
                }
            }
        }
        while let Some(conn) = self.guests.as_mut().and_then(|guests| guests.next_closing()) {
            self.close_conn(now.tick, conn, out);
        }
        while let Some((guest, authors)) = self.guests.as_mut().and_then(|guests| guests.next_gone(now.tick))
        {
            for author in authors {
                self.places[author.0].flows.forget(To::Guest(guest));
            }
        }
        if let Some(guests) = &mut self.guests {
            let (refused, forged) = guests.take_refused();
            self.stats.guests_refused += refused;
            self.stats.guests_forged += forged;
        }
    }

    fn carry_letter(&mut self, now: Now, path: Path, to: &str, text: &str, out: &mut Out) {
        let found = self.members.find(to);
        let Some(guests) = &mut self.guests else { return };
        let has_named = guests.has_named(to);
        if has_named && !guests.may_ask(now.tick, path, found) {
            return self.notify_guest(path, Notice::Full, out);
        }
        let Some(member) = found else {
            return self.notify_guest(path, Notice::Nobody, out);
        };
        let address = self.guests.as_ref().and_then(|guests| guests.address(path, member));
        let Some((from, id, prev)) = address.map(|(from, id, prev)| (from.clone(), id, prev)) else {
            return self.notify_guest(path, Notice::Full, out);
        };
        let made = Made::of_text(text, now.wall);
        let refused = self.screens_out(member, &from)
            || self.enqueue_for_guest(now, from.as_str(), member, (id, prev), &made, out).is_some();
        if refused {
            return self.notify_guest(path, Notice::Full, out);
        }
        if let Some(guests) = &mut self.guests {
            guests.took(path, member);
        }
        // Strangers must not learn which members are online, except for the default recipient.
        if !has_named && self.present(member).is_none() {
            self.notify_guest(path, Notice::Away, out);
        }
    }

    pub(super) fn notify_guest(&mut self, path: Path, notice: Notice, out: &mut Out) {
        if let Some(guests) = &mut self.guests {
            guests.notify(path, notice, out);
        }
    }

    fn enqueue_for_guest(
        &mut self,
        now: Now,
        from: &str,
        to: MemberId,
        (id, prev): (LetterId, u64),
        made: &Made,
        out: &mut Out,
    ) -> Option<Reason> {
        let mark = Mark::default();
        let body = &*made.body;
        let delivery = Delivery { from, id, prev, accepted: now.wall, mark, kind: made.kind, body };
        let parcel = self.post.parcels.pack(&delivery);
        let author = Author::Guest(carrier_of(id.outbox));
        let refused = self.push(now.tick, to, author, (id, mark, body.len()), parcel);
        self.note_used(to, out);
        self.stats.letters_taken += u64::from(refused.is_none());
        refused
    }
}
