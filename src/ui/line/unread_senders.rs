//! Senders of messages that came while another recipient was chosen.

use super::api::ResolvedContact;

/// Maximum senders remembered. Beyond it the one whose message is oldest is forgotten.
const SENDERS_MAX: usize = 256;

/// Senders of messages that the user has not answered or opened, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadSenders {
    rows: Vec<(ResolvedContact, u64)>,
}

impl UnreadSenders {
    /// Counts messages of a sender.
    pub(super) fn record(&mut self, who: &ResolvedContact, count: u64) {
        let before = self.take(who);
        if self.rows.len() == SENDERS_MAX {
            self.rows.remove(0);
        }
        self.rows.push((who.clone(), before + count));
    }

    /// Forgets a sender. Returns the number of its messages.
    pub(super) fn take(&mut self, who: &ResolvedContact) -> u64 {
        let is_same = |row: &(ResolvedContact, u64)| row.0.relay == who.relay && row.0.member == who.member;
        self.rows.iter().position(is_same).map_or(0, |at| self.rows.remove(at).1)
    }

    /// Returns the sender of the newest message.
    pub(super) fn newest(&self) -> Option<&ResolvedContact> {
        self.rows.last().map(|row| &row.0)
    }

    /// Returns the senders and the numbers of their messages, the newest first.
    pub(super) fn list(&self) -> impl Iterator<Item = (&ResolvedContact, u64)> {
        self.rows.iter().rev().map(|row| (&row.0, row.1))
    }
}
