//! Texts that are sent only after a second Enter: a contact's name that was probably typed to
//! switch to it, and long pastes.

use crate::base::{Now, Phrase};

use super::delivery_watch::excerpt;
use super::question::{LINES_MAX, UnconfirmedText, needs_question};
use super::{Action, ContactLookup, LineMode, ResolvedContact};

impl<B: ContactLookup> LineMode<B> {
    /// Sends a text, or asks first if it was probably not meant to be sent like this.
    pub(super) fn send_or_ask(&mut self, to: ResolvedContact, text: &str, now: Now) -> Vec<Action> {
        let Some(question) = self.question_about(text, &to) else { return self.send(to, text, now) };
        self.unconfirmed = Some(UnconfirmedText { to, text: text.to_owned() });
        vec![self.tell(&question)]
    }

    fn question_about(&self, text: &str, to: &ResolvedContact) -> Option<Phrase> {
        if !self.options.is_terminal || !needs_question(text, &to.label, &self.lower_case_names()) {
            return None;
        }
        let lines = text.lines().count();
        let question = match lines > LINES_MAX {
            true => Phrase::new("chat-ask-lines").with("count", lines),
            false => Phrase::new("chat-ask-name").with("text", text.trim()),
        };
        Some(question.with("who", &to.label))
    }

    /// Handles the line after a question. Enter alone sends the text.
    ///
    /// # Errors
    /// The line is no answer and must be handled as usual, after the notice that the text was not
    /// sent, if there was a question.
    pub(super) fn confirm(&mut self, line: &str, now: Now) -> Result<Vec<Action>, Option<Action>> {
        let Some(unconfirmed) = self.unconfirmed.take() else { return Err(None) };
        // At a desk the guest may have left since the question.
        let is_confirmed =
            unconfirmed.is_confirmed_by(line) && (!self.options.is_desk || self.is_present(&unconfirmed.to));
        let UnconfirmedText { to, text } = unconfirmed;
        if is_confirmed {
            return Ok(self.send(to, &text, now));
        }
        // The user follows the question's advice, or repeats the text and is asked again.
        let is_known = line.starts_with("/to ") || line == text;
        Err((!is_known).then(|| self.tell_not_sent(&text)))
    }

    /// Handles the answer no.
    pub(super) fn refuse_question(&mut self) -> Vec<Action> {
        let unconfirmed = self.unconfirmed.take();
        unconfirmed.map(|unconfirmed| self.tell_not_sent(&unconfirmed.text)).into_iter().collect()
    }

    fn tell_not_sent(&self, text: &str) -> Action {
        self.tell(&Phrase::new("chat-not-sent").with("text", excerpt(text)))
    }
}
