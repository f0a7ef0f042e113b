//! `/reply` and `/unread`: messages that came while another recipient was chosen.

use crate::base::Phrase;

use super::{Action, ContactLookup, LineMode};

impl<B: ContactLookup> LineMode<B> {
    /// Chooses the sender of the newest unread message.
    pub(super) fn reply(&mut self) -> Vec<Action> {
        match self.unread.newest().cloned() {
            Some(sender) => self.choose(sender),
            None => vec![self.tell(&Phrase::new("chat-no-unread"))],
        }
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
