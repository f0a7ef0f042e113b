//! `/reply` and `/unread`: messages that came while another recipient was chosen.

use crate::base::{Phrase, Tick};

use super::unread_senders::UNSEEN_FOR;
use super::{Action, ContactLookup, LineMode};

impl<B: ContactLookup> LineMode<B> {
    /// Chooses the sender of the newest unread message. If that came while the user typed, asks
    /// whom the user means.
    pub(super) fn reply(&mut self, now: Tick) -> Vec<Action> {
        let Some(newest) = self.unread.newest().cloned() else {
            return vec![self.tell(&Phrase::new("chat-no-unread"))];
        };
        let has_target_written = self.target_wrote_at.is_some_and(|at| now < at + UNSEEN_FOR);
        let current = self.target.clone().filter(|_| has_target_written);
        if !self.options.is_terminal || (current.is_none() && !self.unread.is_newest_unseen(now)) {
            return self.choose(newest);
        }
        self.target = None;
        let unread = self.unread.list().map(|(who, _)| who);
        let names: Vec<&str> = current.iter().chain(unread).map(|who| who.label.as_str()).collect();
        let phrase = Phrase::new("chat-reply-which").with("who", names[0]);
        vec![self.tell(&phrase.with("names", names.join(", ")))]
    }

    /// Lists the senders of unread messages.
    pub(super) fn list_unread(&self) -> Vec<Action> {
        let names: Vec<String> =
            self.unread.list().map(|(who, count)| self.with_count(&who.label, count)).collect();
        vec![self.tell(&match names.is_empty() {
            true => Phrase::new("chat-no-unread"),
            false => Phrase::new("chat-unread").with("names", names.join(", ")),
        })]
    }

    /// Returns a name with the number of unread messages, if there are any.
    pub(super) fn with_count(&self, name: &str, count: u64) -> String {
        match count {
            0 => name.to_owned(),
            _ => {
                self.options.strings.say(&Phrase::new("chat-name-new").with("who", name).with("count", count))
            }
        }
    }
}
