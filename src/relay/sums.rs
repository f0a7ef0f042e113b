//! Running totals over all mailboxes: their usage, and each sender's part of it.

use std::collections::BTreeMap;

use crate::base::Carrier;

use super::Relay;
use super::ids::MemberId;
use super::mailbox::{Mailbox, Sender};

impl Relay {
    /// Updates the totals of all mailboxes and of each sender with the changes in this one.
    pub(super) fn count_mailbox(&mut self, member: MemberId) {
        let Some(mailbox) = self.member_states[member.0].mailbox.get_allocated_mut() else { return };
        self.mailboxes.usage.update(mailbox);
        while let Some((sender, change)) =
            self.member_states[member.0].mailbox.get_allocated_mut().and_then(Mailbox::next_usage_change)
        {
            // Changes come in reverse order, so a total may pass below zero in between.
            let holds = self.held_bytes_mut(sender);
            *holds = holds.wrapping_add_signed(change);
        }
    }

    /// Bytes of a sender in all mailboxes, in memory and on disk, with
    /// [`ENTRY_COST`](super::limits::ENTRY_COST) for each letter.
    pub(super) fn held_bytes_mut(&mut self, sender: Sender) -> &mut usize {
        match sender {
            Sender::Member(sender) => &mut self.member_states[sender.0].held_bytes,
            Sender::Echo => &mut self.mailboxes.echo_usage,
            Sender::Guest(Carrier::Udp) => &mut self.mailboxes.udp_guest_usage,
            Sender::Guest(Carrier::Tcp) => &mut self.mailboxes.tcp_guest_usage,
        }
    }

    /// Counts the usage of each sender and compares it with the running totals. For tests.
    ///
    /// # Panics
    /// If a total is wrong.
    #[doc(hidden)]
    pub fn check_sums(&self) {
        let mut counted = BTreeMap::<Sender, usize>::new();
        for (sender, cost) in self.member_states.iter().flat_map(|state| state.mailbox.costs()) {
            *counted.entry(sender).or_default() += cost;
        }
        let all: usize = counted.values().sum();
        assert_eq!(self.mailboxes.usage.bytes(), all, "bytes in all mailboxes");
        let members = (0..self.member_states.len())
            .map(|n| (Sender::Member(MemberId(n)), self.member_states[n].held_bytes));
        let others = [
            (Sender::Echo, self.mailboxes.echo_usage),
            (Sender::Guest(Carrier::Udp), self.mailboxes.udp_guest_usage),
            (Sender::Guest(Carrier::Tcp), self.mailboxes.tcp_guest_usage),
        ];
        for (sender, holds) in members.chain(others) {
            assert_eq!(holds, counted.get(&sender).copied().unwrap_or(0), "bytes of {sender:?}");
        }
    }
}
