//! A message of the user's own as it stays in the scrollback, in place of the line that was typed.
//!
//! The line editor draws it at the moment of Enter, so that no other output comes between.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Phrase, Wall, sanitize};
use crate::ui::strings::Strings;
use crate::ui::style::{StyledText, TextKind};
use crate::ui::time_format::TimeFormat;
use crate::wire::limits::LETTER_TEXT_MAX;

use super::api::ResolvedContact;
use super::commands::{self, InputMode, ParsedLine, ends_conversation};
use super::question::{UnconfirmedText, needs_question};

/// Decides, for one prompt, how a typed line is shown after Enter.
#[derive(Debug)]
pub struct LineEcho {
    pub(super) to: ResolvedContact,
    pub(super) mode: InputMode,
    pub(super) known_names: BTreeSet<String>,
    pub(super) unconfirmed: Option<UnconfirmedText>,
    pub(super) strings: Arc<Strings>,
    pub(super) time_format: TimeFormat,
}

impl LineEcho {
    /// Returns the message that this line sends, at the time `now`. `None` if it sends none.
    pub fn render(&self, line: &str, now: Wall) -> Option<StyledText> {
        let confirmed = self.unconfirmed.as_ref().filter(|unconfirmed| unconfirmed.is_confirmed_by(line));
        let to = &self.to;
        let text = match (confirmed, commands::parse(line, self.mode)) {
            (Some(confirmed), _) => &confirmed.text,
            (None, ParsedLine::Text(text)) if !needs_question(text, &to.label, &self.known_names) => text,
            _ => return None,
        };
        if text.len() > LETTER_TEXT_MAX || ends_conversation(&to.member, text) {
            return None;
        }
        let header =
            Phrase::new("chat-own").with("who", &to.label).with("time", self.time_format.format(now, now));
        Some(StyledText {
            kind: TextKind::Own,
            header: self.strings.say(&header),
            text: sanitize(text).into_owned(),
        })
    }
}
