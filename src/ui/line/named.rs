//! Recipient that the visible prompt names, while prompts are replaced under the user's hands.

use super::api::{Draft, ResolvedContact};

/// Recipient of the visible prompt, and of those that are on their way to the screen.
#[derive(Debug, Default)]
pub(super) struct NamedRecipient {
    /// Named by the visible prompt.
    shown: Option<ResolvedContact>,
    /// Named by the last prompt that was requested.
    requested: Option<ResolvedContact>,
    /// Replacements that are not on the screen yet, in order.
    changes: Vec<(u64, Option<ResolvedContact>)>,
    next_change: u64,
    /// Named by the prompt under which the text of the line was begun, if it was replaced since.
    begun_for: Option<Option<ResolvedContact>>,
    /// The terminal does not tell under which prompt the text was begun.
    is_uncertain: bool,
}

impl NamedRecipient {
    /// Records the prompt of a new line.
    pub(super) fn begin_line(&mut self, who: Option<ResolvedContact>) {
        self.requested.clone_from(&who);
        self.shown = who;
        self.changes.clear();
        self.begun_for = None;
        self.is_uncertain = false;
    }

    /// Requests a prompt that names `who`. Returns the number of the change, or `None` if the last
    /// prompt names it already.
    pub(super) fn request(&mut self, who: Option<ResolvedContact>) -> Option<u64> {
        if self.requested == who {
            return None;
        }
        self.requested.clone_from(&who);
        let id = self.next_change;
        self.next_change += 1;
        self.changes.push((id, who));
        Some(id)
    }

    /// Handles a prompt that was replaced. A change that was overtaken by a new line is ignored.
    pub(super) fn handle_replaced(&mut self, id: u64, draft: Draft) {
        let Some(at) = self.changes.iter().position(|change| change.0 == id) else { return };
        let who = self.changes.drain(..=at).next_back().and_then(|change| change.1);
        let before = std::mem::replace(&mut self.shown, who);
        let has_text = match draft {
            Draft::Empty => false,
            Draft::Begun => true,
            // A text without a recipient was begun for no other one.
            Draft::Unknown => before.is_some(),
        };
        self.is_uncertain = has_text && draft == Draft::Unknown;
        self.begun_for = has_text.then(|| self.begun_for.take().unwrap_or(before));
    }

    /// Whether [`NamedRecipient::of_text`] is known, not assumed.
    pub(super) const fn is_certain(&self) -> bool {
        !self.is_uncertain
    }

    /// Returns the recipient that the prompt named when the text of the line was begun.
    pub(super) const fn of_text(&self) -> Option<&ResolvedContact> {
        match &self.begun_for {
            Some(before) => before.as_ref(),
            None => self.shown.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Option<ResolvedContact> {
        let relay = "127.0.0.1:1".parse().unwrap();
        Some(ResolvedContact { label: name.into(), relay, member: name.parse().unwrap() })
    }

    #[test]
    fn text_belongs_to_prompt_under_which_it_was_begun() {
        let mut named = NamedRecipient::default();
        named.begin_line(who("a"));
        assert_eq!(named.request(who("a")), None);
        let id = named.request(who("b")).unwrap();
        assert_eq!(named.of_text(), who("a").as_ref(), "the screen still names a");
        named.handle_replaced(id, Draft::Begun);
        assert_eq!(named.of_text(), who("a").as_ref());
        let id = named.request(who("c")).unwrap();
        named.handle_replaced(id, Draft::Begun);
        assert_eq!(named.of_text(), who("a").as_ref());
        let id = named.request(who("d")).unwrap();
        named.handle_replaced(id, Draft::Empty);
        assert_eq!(named.of_text(), who("d").as_ref());
    }

    #[test]
    fn overtaken_changes_are_ignored() {
        let mut named = NamedRecipient::default();
        named.begin_line(None);
        let first = named.request(who("a")).unwrap();
        let second = named.request(who("b")).unwrap();
        named.handle_replaced(second, Draft::Unknown);
        assert_eq!(named.of_text(), who("b").as_ref());
        named.handle_replaced(first, Draft::Empty);
        assert_eq!(named.of_text(), who("b").as_ref());
        let third = named.request(None).unwrap();
        named.begin_line(who("c"));
        named.handle_replaced(third, Draft::Begun);
        assert_eq!(named.of_text(), who("c").as_ref());
    }
}
