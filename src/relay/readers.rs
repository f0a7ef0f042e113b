//! Letters that their readers refuse before they have stored them.
//!
//! Such a letter leaves its mailbox as an unwanted one does, once the disk has it. Its author hears
//! of it once the refusal is durable. What the reader has stored behind it counts after that
//! ([`super::leaving`]).

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
    /// A reader keeps nothing of a letter it was handed. Of any other letter it has nothing to say;
    /// whether it had.
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
        // Those that the disk does not have are written at this turn's end.
        self.look_at_queue(to);
        self.sessions.mark(slot);
        true
    }

    /// What the member's reader refuses leaves its mailbox, as far as the disk has it.
    pub(super) fn turn_refused_away(&mut self, to: MemberId, out: &mut Out) {
        while let Some(left) = self.places[to.0].queue.there().and_then(Queue::next_refused) {
            let (id, entry) = (left.entry.id, left.entry);
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

    /// A guest gets no text back. Over TCP it hears that one was not taken; over UDP it hears
    /// nothing.
    fn tell_guest_refused(&mut self, from: &str, out: &mut Out) {
        let path = self.guests.as_ref().and_then(|guests| guests.path_of(from));
        path.into_iter().for_each(|path| self.notify_guest(path, Notice::Full, out));
    }
}
