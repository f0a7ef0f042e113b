//! Whether a text is sent only after a question.

use std::collections::BTreeSet;

use super::api::ResolvedContact;

/// Maximum lines of a text that is sent without a question. 20: a screen of 24 rows still shows
/// all of it.
pub(super) const LINES_MAX: usize = 20;

/// A text and the recipient it was typed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnconfirmedText {
    pub(super) to: ResolvedContact,
    pub(super) text: String,
}

impl UnconfirmedText {
    /// Whether this line answers the question with yes: Enter alone. A name that is typed once more
    /// was meant to choose it.
    pub(super) fn is_confirmed_by(&self, line: &str) -> bool {
        line.trim().is_empty()
    }
}

/// Whether a text to `to` is sent only after a question: it has many lines, or is the name of
/// someone else. `known_names` are in lower case.
pub(super) fn needs_question(text: &str, to: &str, known_names: &BTreeSet<String>) -> bool {
    let lower = text.trim().to_lowercase();
    text.lines().count() > LINES_MAX || (known_names.contains(&lower) && to.to_lowercase() != lower)
}
