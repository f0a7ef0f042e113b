//! Answering guests at a desk. On a terminal the prompt names the guest that is answered, by the
//! number that it got with its first message. After an answer it stays with that guest for a
//! moment ([`AnsweredGuest`]).
//!
//! Invariant: on a terminal a text goes to the guest that the prompt named when the text was begun.
//! If that guest has left, the user confirms another recipient.

use crate::base::{Name, Now, Phrase, Tick, sanitize};
use crate::client::Incoming;

use super::answered_guest::AnsweredGuest;
use super::commands::ends_conversation;
use super::delivery_watch::excerpt;
use super::question::UnconfirmedText;
use super::recipient::PROMPT_CHOOSE;
use super::{Action, ContactLookup, LineMode, PromptChange, ResolvedContact};

impl<B: ContactLookup> LineMode<B> {
    /// Returns the recipient of a text: the chosen one, or at a desk the guest that was just
    /// answered, or the one that has waited longest.
    pub(super) fn recipient(&self) -> Option<ResolvedContact> {
        let answered = || self.answered.as_ref().map(|answered| answered.who.clone());
        let waits = || self.guest_queue.first().filter(|_| self.options.is_desk).cloned();
        self.target.clone().or_else(answered).or_else(waits)
    }

    /// Records that a text was sent to this guest.
    pub(super) fn record_answer(&mut self, who: &ResolvedContact, now: Tick) {
        if self.options.is_desk && self.options.is_terminal && self.target.is_none() {
            self.answered = Some(AnsweredGuest::new(who, now));
        }
    }

    /// Stops naming this guest, which has left.
    pub(super) fn forget_answered(&mut self, who: &ResolvedContact) {
        self.answered.take_if(|answered| answered.who.member == who.member);
    }

    /// Names the next guest, once the time for a second text is over.
    pub(super) fn end_answer(&mut self, now: Tick) {
        self.answered.take_if(|answered| answered.until <= now);
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
        let keeps_prompt = self.named.of_text().is_some_and(|named| self.is_present(named));
        let prompt_of_draft = (!keeps_prompt).then(|| PROMPT_CHOOSE.to_owned());
        Some(PromptChange { id, prompt: self.prompt(), prompt_of_draft })
    }

    /// Handles a text that was typed at a desk.
    pub(super) fn answer(&mut self, text: &str, now: Now) -> Vec<Action> {
        let to = match self.options.is_terminal {
            true => self.named_guest(),
            false => self.recipient(),
        };
        if let Some(to) = to {
            return self.send_or_ask(to, text, now);
        }
        let named = self.named.of_text().cloned().filter(|_| self.options.is_terminal);
        let gone = named.filter(|named| !self.is_present(named));
        if let Some(gone) = gone.as_ref().filter(|gone| ends_conversation(&gone.member, text)) {
            return vec![self.tell(&has_left(gone))];
        }
        match (gone, self.recipient()) {
            (Some(gone), None) => {
                self.return_text(&Phrase::new("desk-left-not-sent").with("who", gone.label), text)
            }
            (None, None) => self.return_text(&Phrase::new("desk-nobody-waits"), text),
            (gone, Some(to)) => {
                let question = match gone {
                    Some(gone) => Phrase::new("desk-ask-left").with("before", gone.label),
                    None => Phrase::new("desk-ask-new"),
                };
                let question = question.with("who", &to.label).with("text", excerpt(text));
                self.unconfirmed = Some(UnconfirmedText { to, text: text.to_owned() });
                vec![self.tell(&question)]
            }
        }
    }

    /// Returns the guest that the prompt named when the line was begun, if it is known and has not
    /// left.
    fn named_guest(&self) -> Option<ResolvedContact> {
        let named = self.named.of_text().filter(|named| self.is_present(named))?;
        (self.named.is_certain() || self.recipient().as_ref() == Some(named)).then(|| named.clone())
    }

    /// Whether a guest can still be answered. A member always can.
    pub(super) fn is_present(&self, who: &ResolvedContact) -> bool {
        let is_known = || self.guests.number(&who.relay, &who.member).is_some();
        who.member.guest_address().is_none() || self.recipient().as_ref() == Some(who) || is_known()
    }

    /// Shows a text that has no recipient, and why.
    fn return_text(&self, reason: &Phrase, text: &str) -> Vec<Action> {
        vec![self.tell(reason), Action::PrintNotice(sanitize(text).into_owned())]
    }

    /// Returns whom `/close` means: at a desk on a terminal the guest that the prompt names.
    ///
    /// # Errors
    /// The phrase for the user if that guest has left.
    pub(super) fn meant_by_close(&self) -> Result<Option<ResolvedContact>, Phrase> {
        if !self.options.is_desk || !self.options.is_terminal {
            return Ok(self.recipient());
        }
        match self.named.of_text().filter(|named| !self.is_present(named)) {
            Some(gone) => Err(has_left(gone)),
            None => Ok(self.named_guest()),
        }
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
