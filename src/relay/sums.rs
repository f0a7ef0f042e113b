//! Running totals over all mailboxes: their usage, and each sender's part of it.

use std::collections::BTreeMap;

use crate::base::Carrier;

use super::Relay;
use super::members::MemberId;
use super::queue::{Author, Queue};

impl Relay {
    /// Updates the totals of all mailboxes and of each sender with the changes in this one.
    pub(super) fn count_queue(&mut self, member: MemberId) {
        let Some(queue) = self.places[member.0].queue.there() else { return };
        self.post.stock.count(queue);
        while let Some((author, change)) = self.places[member.0].queue.there().and_then(Queue::next_moved) {
            // Changes come in reverse order, so a total may pass below zero in between.
            let holds = self.holds(author);
            *holds = holds.wrapping_add_signed(change);
        }
    }

    /// Bytes of a sender in all mailboxes, in memory and on disk, with
    /// [`ENTRY_COST`](super::limits::ENTRY_COST) for each letter.
    pub(super) fn holds(&mut self, author: Author) -> &mut usize {
        match author {
            Author::Member(author) => &mut self.places[author.0].holds,
            Author::Echo => &mut self.post.echo_holds,
            Author::Guest(Carrier::Udp) => &mut self.post.udp_guests_hold,
            Author::Guest(Carrier::Tcp) => &mut self.post.tcp_guests_hold,
        }
    }

    /// Counts the usage of each sender and compares it with the running totals. For tests.
    ///
    /// # Panics
    /// If a total is wrong.
    #[doc(hidden)]
    pub fn check_sums(&self) {
        let mut counted = BTreeMap::<Author, usize>::new();
        for (author, cost) in self.places.iter().flat_map(|place| place.queue.costs()) {
            *counted.entry(author).or_default() += cost;
        }
        let all: usize = counted.values().sum();
        assert_eq!(self.post.stock.all(), all, "bytes in all mailboxes");
        let members = (0..self.places.len()).map(|n| (Author::Member(MemberId(n)), self.places[n].holds));
        let others = [
            (Author::Echo, self.post.echo_holds),
            (Author::Guest(Carrier::Udp), self.post.udp_guests_hold),
            (Author::Guest(Carrier::Tcp), self.post.tcp_guests_hold),
        ];
        for (author, holds) in members.chain(others) {
            assert_eq!(holds, counted.get(&author).copied().unwrap_or(0), "bytes of {author:?}");
        }
    }
}
