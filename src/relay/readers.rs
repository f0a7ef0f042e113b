//! Letters that their readers refuse instead of storing them.
//!
//! Such a letter leaves its mailbox as one that nobody wants does: its author is told once that is durable, and what the
//! reader has stored behind it counts after that ([`super::leaving`]).

use crate::base::LetterId;
use crate::wire::message::Reason;

use super::guests::Notice;
use super::queue::Author;
use super::screen::TurnedAway;
use super::sessions::Slot;
use super::{Out, Relay};

impl Relay {
    /// A reader keeps nothing of a letter it was handed. Of any other letter it has nothing to say.
    pub(super) fn handle_reader_refusal(
        &mut self,
        slot: Slot,
        from: &str,
        id: LetterId,
        reason: Reason,
        out: &mut Out,
    ) {
        let Some(author) = self.author_again(slot, from) else { return };
        let Some(to) = self.sessions.member(slot) else { return };
        let Some(entry) = self.places[to.0].queue.refuse(author, id) else { return };
        self.count_queue(to);
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
        let Author::Member(author) = author else {
            self.places[to.0].queue.refusal_ended();
            self.tell_guest_refused(from, out);
            return self.drop_echo(&entry, out);
        };
        // A letter that the disk does not have gets a place where no row is.
        let place = entry.place().unwrap_or_else(|| self.post.next_place());
        let refusal = (reason, entry.was_handed_before);
        self.write_turned_away(TurnedAway { place, author, to, id, refusal, by_reader: true }, out);
    }

    /// A guest keeps no text that could go back to it: it is told that this one was not taken, where it can be told.
    fn tell_guest_refused(&mut self, from: &str, out: &mut Out) {
        let path = self.guests.as_ref().and_then(|guests| guests.path_of(from));
        path.into_iter().for_each(|path| self.notify_guest(path, Notice::Full, out));
    }
}
