//! Senders of messages that came while another recipient was chosen.

use std::time::Duration;

use crate::base::Tick;

use super::api::ResolvedContact;

/// Maximum senders remembered. Beyond it the one whose message is oldest is forgotten.
const SENDERS_MAX: usize = 256;
/// Time after a message in which a user may not have seen it yet. 3 s: a message read, and a
/// command typed.
pub(super) const UNSEEN_FOR: Duration = Duration::from_secs(3);

/// Senders of messages that the user has not answered or opened, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadSenders {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    who: ResolvedContact,
    count: u64,
    /// When its last message came.
    at: Tick,
}

impl UnreadSenders {
    /// Counts messages of a sender.
    pub(super) fn record(&mut self, who: &ResolvedContact, count: u64, at: Tick) {
        let before = self.take(who);
        if self.rows.len() == SENDERS_MAX {
            self.rows.remove(0);
        }
        self.rows.push(Row { who: who.clone(), count: before + count, at });
    }

    /// Forgets a sender. Returns the number of its messages.
    pub(super) fn take(&mut self, who: &ResolvedContact) -> u64 {
        let is_same = |row: &Row| row.who.relay == who.relay && row.who.member == who.member;
        self.rows.iter().position(is_same).map_or(0, |at| self.rows.remove(at).count)
    }

    /// Returns the sender of the newest message.
    pub(super) fn newest(&self) -> Option<&ResolvedContact> {
        self.rows.last().map(|row| &row.who)
    }

    /// Whether the newest message came so late that the user may mean that of another sender.
    pub(super) fn is_newest_unseen(&self, now: Tick) -> bool {
        self.rows.len() > 1 && self.rows.last().is_some_and(|row| now < row.at + UNSEEN_FOR)
    }

    /// Returns the senders and the numbers of their messages, the newest first.
    pub(super) fn list(&self) -> impl Iterator<Item = (&ResolvedContact, u64)> {
        self.rows.iter().rev().map(|row| (&row.who, row.count))
    }
}
