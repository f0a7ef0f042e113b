//! Refusals by recipients before they have stored a letter.
//!
//! The letter leaves its mailbox as a rejected one does, once it is on disk. Its sender receives
//! the refusal once that is durable. Letters that the recipient has stored behind it count after
//! that ([`super::leaving`]).

use crate::base::LetterId;
use crate::wire::message::Reason;

use super::flows::{FlowId, To};
use super::guests::Notice;
use super::members::MemberId;
use super::queue::{Author, Queue};
use super::screen::TurnedAway;
use super::sessions::Slot;
use super::{Out, Relay};

impl Relay {
    /// Handles a recipient's refusal of a letter sent to it. Returns `false` for any other letter.
    pub(super) fn handle_reader_refusal(
        &mut self,
        slot: Slot,
        from: &str,
        id: LetterId,
        reason: Reason,
        out: &mut Out,
    ) -> bool {
        let Some(author) = self.author_again(slot, from, id.outbox) else { return false };
        let Some(to) = self.sessions.member(slot) else { return false };
        if !self.places[to.0].queue.refuse(author, id, reason) {
            return false;
        }
        self.stats.letters_refused += 1;
        if let Author::Guest(_) = author {
            self.tell_guest_refused(from, out);
        }
        self.turn_refused_away(to, out);
        // Letters that are not on disk are written at the end of this turn.
        self.look_at_queue(to);
        self.sessions.mark(slot);
        true
    }

    /// Removes letters that the member's client refuses from its mailbox, as far as they are on
    /// disk.
    pub(super) fn turn_refused_away(&mut self, to: MemberId, out: &mut Out) {
        while let Some(left) = self.places[to.0].queue.there().and_then(Queue::next_refused) {
            let entry = left.entry;
            let id = entry.id;
            self.count_queue(to);
            let (Author::Member(author), Some(place)) = (entry.author, entry.place()) else {
                self.places[to.0].queue.refusal_ended();
                self.drop_echo(&entry, out);
                continue;
            };
            let refusal = (left.reason, entry.was_handed_before);
            self.write_turned_away(TurnedAway { place, author, to, id, refusal, by_reader: true }, out);
            if let Some(stored) = left.stored {
                let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
                self.places[author.0].flows.leaving.store(flow, stored);
            }
        }
    }

    /// Notifies a TCP guest that a text was not taken. A UDP guest gets no notice.
    fn tell_guest_refused(&mut self, from: &str, out: &mut Out) {
        let path = self.guests.as_ref().and_then(|guests| guests.path_of(from));
        path.into_iter().for_each(|path| self.notify_guest(path, Notice::Full, out));
    }
}
