//! An outbox that turns out to be an old copy is given up: letters that wait go back to their
//! writer, and what is written from then on is numbered in another outbox. Both become durable
//! together.

use crate::base::{LetterId, Mark, Name, OutboxId};
use crate::client::marks::Marks;
use crate::wire::message::{Reason, Receipt};

use super::{Conversation, Outbox, Refusal};

impl Outbox {
    /// Gives up this outbox for another one. [`Outbox::take_given_back`] has the letters that
    /// waited, once that is durable.
    pub(in crate::client) fn give_up(&mut self, base: OutboxId, id: OutboxId) {
        for (to, conversation) in std::mem::take(&mut self.conversations) {
            let Conversation { mut letters, refusals, .. } = conversation;
            self.ending.extend(refusals.into_iter().map(|refusal| (to.clone(), refusal)));
            let all = 0..letters.len();
            for letter in letters.take(all, |_| true) {
                // What the relay has of them is not known: another copy has spoken in between.
                let refusal = letter.refused(self.id, Reason::OldCopy);
                self.given_back.push((to.clone(), Refusal { may_have_arrived: true, ..refusal }));
            }
        }
        (self.letters, self.bytes, self.turn) = (0, 0, None);
        self.asks.clear();
        (self.base, self.id, self.number_floor) = (base, id, 0);
        self.marks = Marks::new(Mark(0), []);
        self.is_switching = true;
    }

    /// The other outbox is durable: the letters that waited in the one before it, in the order of
    /// their numbers.
    pub(in crate::client) fn take_given_back(&mut self) -> Vec<(Name, Refusal)> {
        self.is_switching = false;
        std::mem::take(&mut self.given_back)
    }

    /// Whether it is not durable yet that this is the outbox.
    pub(in crate::client) const fn is_switching(&self) -> bool {
        self.is_switching
    }

    /// A letter of the outbox before this one could not be made durable.
    pub(super) fn unrecorded_before(&mut self, to: &Name, id: LetterId) {
        self.given_back.retain(|(other, refusal)| other != to || refusal.id != id);
    }

    /// The refusal of a letter of the outbox before this one is durable.
    pub(super) fn ended_before(&mut self, to: &Name, id: LetterId) -> Option<Refusal> {
        let place = self.ending.iter().position(|(other, refusal)| other == to && refusal.id == id)?;
        self.ending.remove(place).map(|(_, refusal)| refusal)
    }

    /// Whether a receipt is about other letters than ours: the relay has taken numbers that were
    /// never given out here, or took the number of one of ours under a lower mark.
    pub(in crate::client) fn belies(&self, receipt: &Receipt<'_>) -> bool {
        let Some(conversation) = self.conversations.get(receipt.to).filter(|_| receipt.outbox == self.id)
        else {
            return false;
        };
        let through = receipt.accepted.max(receipt.delivered);
        let many = conversation.letters.partition_point(|letter| letter.number <= through);
        let last = many.checked_sub(1).map(|last| &conversation.letters[last]);
        conversation.reach.last < through || last.is_some_and(|letter| letter.mark > receipt.mark)
    }
}
