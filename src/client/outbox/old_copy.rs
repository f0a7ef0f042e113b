//! Replacement of an outbox that is an old copy. Waiting letters return to the user, and new
//! letters are numbered in another outbox. Both become durable together.

use crate::base::{LetterId, Mark, Name, OutboxId};
use crate::client::marks::Marks;
use crate::wire::message::{Reason, Receipt, Refused};

use super::{Conversation, Outbox, Refusal};

impl Outbox {
    /// Replaces this outbox by another one. [`Outbox::take_returned`] returns the waiting letters
    /// once that is durable.
    pub(in crate::client) fn give_up(&mut self, base: OutboxId, id: OutboxId) {
        for (to, conversation) in std::mem::take(&mut self.conversations) {
            let Conversation { mut letters, refusals, .. } = conversation;
            self.ending.extend(refusals.into_iter().map(|refusal| (to.clone(), refusal)));
            let all = 0..letters.len();
            for letter in letters.take(all, |_| true) {
                // Another copy was used in between, so the relay's knowledge of these letters is
                // unknown.
                let refusal = letter.refused(self.id, Reason::OldCopy);
                self.returned.push((to.clone(), Refusal { may_have_arrived: true, ..refusal }));
            }
        }
        self.letters = 0;
        self.bytes = 0;
        self.next_to_send = None;
        self.queries.clear();
        self.base = base;
        self.id = id;
        self.number_floor = 0;
        self.marks = Marks::new(Mark(0), []);
        self.is_switching = true;
    }

    /// Returns the letters that waited in the previous outbox, in the order of numbers. Call once
    /// the new outbox is durable.
    pub(in crate::client) fn take_returned(&mut self) -> Vec<(Name, Refusal)> {
        self.is_switching = false;
        std::mem::take(&mut self.returned)
    }

    /// Whether a new outbox is not durable yet.
    pub(in crate::client) const fn is_switching(&self) -> bool {
        self.is_switching
    }

    /// Removes a letter of the previous outbox that could not be made durable.
    pub(super) fn remove_failed_before(&mut self, to: &Name, id: LetterId) {
        self.returned.retain(|(other, refusal)| other != to || refusal.id != id);
    }

    /// Handles a durable refusal of a letter of the previous outbox, and returns it.
    pub(super) fn take_ended_before(&mut self, to: &Name, id: LetterId) -> Option<Refusal> {
        let index = self.ending.iter().position(|(other, refusal)| other == to && refusal.id == id)?;
        self.ending.remove(index).map(|(_, refusal)| refusal)
    }

    /// Whether a receipt contradicts this outbox. The relay has numbers that were never assigned
    /// here, or one of our numbers under a lower mark.
    pub(in crate::client) fn is_contradicted_by(&self, receipt: &Receipt<'_>) -> bool {
        let Some(conversation) = self.conversations.get(receipt.to).filter(|_| receipt.outbox == self.id)
        else {
            return false;
        };
        let through = receipt.watermarks.accepted.max(receipt.watermarks.delivered);
        let count = conversation.letters.partition_point(|letter| letter.number <= through);
        let last = count.checked_sub(1).map(|last| &conversation.letters[last]);
        conversation.reach.last < through || last.is_some_and(|letter| letter.mark > receipt.mark)
    }

    /// Whether a refusal concerns letters of the same numbers, but under lower marks.
    pub(in crate::client) fn has_letter_unlike(&self, refused: &Refused<'_>) -> bool {
        let Some(conversation) = self.conversations.get(refused.to).filter(|_| refused.id.outbox == self.id)
        else {
            return false;
        };
        let range = conversation.positions(refused.id.number, refused.through);
        conversation.letters.range(range).any(|letter| letter.mark > refused.mark)
    }
}
