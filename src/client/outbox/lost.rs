//! Letters that the relay had accepted, and has lost because it was restored from a backup.
//!
//! They are sent again, byte for byte and under their numbers. A recipient that has them drops
//! them.

use crate::base::{LetterId, Name, Wall};
use crate::wire::message::Reason;

use super::{Conversation, Outbox, Refusal};

impl Outbox {
    /// Queues a query. It reports the letters that the relay need not expect any more.
    pub(super) fn query_again(&mut self, to: &Name) {
        if !self.queries.contains(to) {
            self.queries.push(to.clone());
        }
    }
}

impl Conversation {
    /// Returns the last letter that is accepted and not delivered, or 0.
    pub(super) fn last_accepted(&self) -> u64 {
        self.letters.iter().rev().find(|letter| letter.accepted).map_or(0, |letter| letter.number)
    }

    /// Puts back accepted letters from `first` through `through`. Returns their number, and those
    /// whose bodies were dropped, which cannot be sent again.
    pub(super) fn put_back_lost(&mut self, first: LetterId, through: u64) -> (usize, Vec<Refusal>) {
        let range = self.positions(first.number, through);
        let mut lost = 0;
        for index in range.clone() {
            let letter = &mut self.letters[index];
            if letter.accepted {
                letter.accepted = false;
                letter.until = Wall(0);
                letter.unanswered_before = true;
                letter.is_lost = true;
                lost += 1;
            }
        }
        let lost_bodies = self.letters.take(range, |letter| letter.is_lost && letter.encoded.body.is_empty());
        let refused = lost_bodies.into_iter().map(|letter| Refusal {
            may_have_arrived: true,
            ..letter.refused(first.outbox, Reason::Damaged)
        });
        let refused: Vec<Refusal> = refused.collect();
        (lost - refused.len(), refused)
    }
}
