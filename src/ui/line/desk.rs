//! Answering guests at a desk. On a terminal the prompt names the guest that is answered, by the
//! number that it got with its first message.
//!
//! Invariant: on a terminal a text goes to the guest that the prompt named when the text was begun.
//! If that guest has left, or another one was named in between, the user confirms the recipient.

use crate::base::{Name, Now, Phrase, sanitize};
use crate::client::Incoming;

use super::commands::ends_conversation;
use super::delivery_watch::excerpt;
use super::question::UnconfirmedText;
use super::recipient::PROMPT_CHOOSE;
use super::{Action, ContactLookup, LineMode, PromptChange, ResolvedContact};

impl<B: ContactLookup> LineMode<B> {
    /// Returns the recipient of a text: the chosen one, or at a desk the guest that has waited
    /// longest.
    pub(super) fn recipient(&self) -> Option<ResolvedContact> {
        let waits = || self.guest_queue.first().filter(|_| self.options.is_desk).cloned();
        self.target.clone().or_else(waits)
    }

    /// Records that the next line is typed at [`LineMode::prompt`] as it is at this time.
    pub fn begin_line(&mut self) {
        self.named.begin_line(self.recipient());
    }

    /// Returns another prompt for the line that is being typed, if the recipient has changed. The
    /// answer to it is [`super::UserInput::PromptReplaced`].
    pub fn change_prompt(&mut self) -> Option<PromptChange> {
        if !self.options.is_desk || !self.options.is_terminal {
            return None;
        }
        let id = self.named.request(self.recipient())?;
        Some(PromptChange { id, prompt: self.prompt(), prompt_of_draft: PROMPT_CHOOSE.to_owned() })
    }

    /// Handles a text that was typed at a desk.
    pub(super) fn answer(&mut self, text: &str, now: Now) -> Vec<Action> {
        let named = self.named.of_text().cloned().filter(|_| self.options.is_terminal);
        let to = match self.recipient() {
            Some(to) if named.as_ref() == Some(&to) || !self.options.is_terminal => {
                return self.send_or_ask(to, text, now);
            }
            to => to,
        };
        let is_word = named.as_ref().is_some_and(|named| ends_conversation(&named.member, text));
        match (named, to) {
            (Some(gone), _) if is_word => vec![self.tell(&has_left(&gone))],
            (Some(gone), None) => {
                self.return_text(&Phrase::new("desk-left-not-sent").with("who", gone.label), text)
            }
            (None, None) => self.return_text(&Phrase::new("desk-nobody-waits"), text),
            (named, Some(to)) => {
                let question = match named {
                    Some(gone) => Phrase::new("desk-ask-left").with("before", gone.label),
                    None => Phrase::new("desk-ask-new"),
                };
                let question = question.with("who", &to.label).with("text", excerpt(text));
                self.unconfirmed = Some(UnconfirmedText { to, text: text.to_owned() });
                vec![self.tell(&question)]
            }
        }
    }

    /// Shows a text that has no recipient, and why.
    fn return_text(&self, reason: &Phrase, text: &str) -> Vec<Action> {
        vec![self.tell(reason), Action::PrintNotice(sanitize(text).into_owned())]
    }

    /// Returns the phrase for a guest that the prompt names and that has left.
    pub(super) fn other_than_named(&self) -> Option<Phrase> {
        let named = self.named.of_text().filter(|_| self.options.is_desk && self.options.is_terminal)?;
        (self.recipient().as_ref() != Some(named)).then(|| has_left(named))
    }

    /// Whether a guest has a number for its name.
    pub(super) fn is_desk_guest(&self, member: &Name) -> bool {
        self.options.is_desk && self.options.is_terminal && member.guest_address().is_some()
    }

    /// Returns the number of the guest that sent this letter. `None` if numbers are not shown.
    pub(super) fn desk_number(&self, letter: &Incoming) -> Option<u64> {
        match letter.note {
            _ if !self.is_desk_guest(&letter.from) => None,
            None => Some(self.guests.number_or_next(&letter.relay, &letter.from)),
            Some(_) => self.guests.number(&letter.relay, &letter.from),
        }
    }

    /// Returns the names after `/to` at a desk.
    pub(super) fn desk_names(&self) -> Vec<String> {
        self.guests.numbers().iter().map(u64::to_string).collect()
    }

    /// Finds a guest by number, label or address, or another sender by name.
    ///
    /// # Errors
    /// The phrase for the user.
    pub(super) fn find_at_desk(&self, text: &str) -> Result<ResolvedContact, Phrase> {
        let text = text.trim();
        let known = self.guests.find_meant(text).or_else(|| self.guests.find(text));
        let unknown = || Phrase::new("desk-no-such-guest").with("text", text);
        known.or_else(|| self.strangers.get(text).cloned()).ok_or_else(unknown)
    }
}

fn has_left(who: &ResolvedContact) -> Phrase {
    Phrase::new("desk-gone").with("who", &who.label)
}
