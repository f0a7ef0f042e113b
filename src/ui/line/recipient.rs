//! Recipient of the next line: how it is chosen and found, and the prompt that names it.
//!
//! Invariant: a text goes to the recipient that the prompt named. A choice that failed leaves no
//! recipient, so that the next text goes to no one.

use std::collections::BTreeSet;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::base::{HostPort, Name, NameError, Now, Phrase, sanitize_line};
use crate::contacts::ResolveError;

use super::echo::LineEcho;
use super::recipient_notice::RecipientNotice;
use super::{Action, ContactLookup, LineMode, ResolvedContact, STRANGERS_MAX, commands};

/// Prompt on a terminal while no recipient is chosen.
pub(super) const PROMPT_CHOOSE: &str = "> ";
/// Maximum width of a name in the prompt, in terminal cells. 24: fits a name at an IPv4
/// address, and for a draft next to it on narrow terminals.
const PROMPT_NAME_CELLS: usize = 24;
/// Maximum relays with which an unknown name is offered.
const RELAYS_OFFERED_MAX: usize = 3;
/// Messages shown when a conversation is opened: most of a screen of 24 rows.
const HISTORY_LEN: u64 = 20;

impl<B: ContactLookup> LineMode<B> {
    /// Returns the prompt for the next line. On a terminal it names the recipient; pipes get the
    /// sentences that scripts wait for.
    pub fn prompt(&self) -> String {
        let key = match self.recipient() {
            Some(target) if self.options.is_terminal => {
                Phrase::new("chat-prompt").with("who", self.short_name(&target.label))
            }
            None if self.options.is_terminal => return PROMPT_CHOOSE.to_owned(),
            _ if self.options.is_desk => Phrase::new("desk-answer"),
            Some(_) => Phrase::new("chat-write"),
            None => Phrase::new("chat-choose"),
        };
        self.options.strings.say(&key)
    }

    /// Returns the name of a recipient for the prompt. It is short unless another contact has the
    /// same short name.
    fn short_name(&self, label: &str) -> String {
        let short = shorten(label, PROMPT_NAME_CELLS);
        if short == label {
            return short;
        }
        let is_alike = |other: &String| other != label && shorten(other, PROMPT_NAME_CELLS) == short;
        if self.book.labels().iter().any(is_alike) { sanitize_line(label).into_owned() } else { short }
    }

    /// Returns how the next line is shown. `None` if it is not a message.
    pub fn echo(&self) -> Option<LineEcho> {
        let to = self.recipient().filter(|_| self.options.is_terminal)?;
        Some(LineEcho {
            unconfirmed: self.unconfirmed.clone().filter(|unconfirmed| unconfirmed.to == to),
            to,
            mode: self.input_mode(),
            known_names: self.lower_case_names(),
            strings: Arc::clone(&self.options.strings),
            time_format: self.options.time_format.clone(),
        })
    }

    /// Returns completions of the next line: commands, and contacts and guests when one must be
    /// chosen.
    pub fn candidates(&self) -> Vec<String> {
        let known = if self.options.is_desk { self.desk_names() } else { self.known_names() };
        let targets: Vec<String> = known.iter().map(|label| format!("/to {label}")).collect();
        let labels = if self.target.is_none() && !self.options.is_desk { known } else { Vec::new() };
        labels.into_iter().chain(commands::completions(self.input_mode())).chain(targets).collect()
    }

    /// Returns every name that can be chosen: contacts, unknown senders, and guests.
    pub(super) fn known_names(&self) -> Vec<String> {
        let strangers = self.strangers.keys().cloned();
        let mut names: Vec<String> =
            self.book.labels().into_iter().chain(strangers).chain(self.guest_names()).collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Chooses the recipient that `text` names. If there is none, no recipient is left.
    pub(super) fn switch_to(&mut self, text: &str) -> Vec<Action> {
        match self.look_up(text) {
            Ok(target) => self.choose(target),
            Err(phrase) => {
                self.target = None;
                vec![self.tell(&phrase)]
            }
        }
    }

    /// Chooses a recipient. On a terminal one line confirms it, above the last messages.
    pub(super) fn choose(&mut self, target: ResolvedContact) -> Vec<Action> {
        let new = self.unread.take(&target);
        self.target_in_book = self.is_contact(&target.relay, &target.member);
        self.target_notice = None;
        self.target_wrote_at = None;
        let mut actions = Vec::new();
        if self.options.is_terminal {
            actions.push(self.tell(&confirmation(&target)));
        }
        if self.options.is_terminal && !self.options.is_desk {
            actions.push(Action::ShowHistory { who: target.clone(), last: HISTORY_LEN, new });
        }
        actions.extend(self.notice_about_target(&target));
        self.target = Some(target);
        actions
    }

    /// Returns what the user must know about the recipient, once: it is blocked, or was removed
    /// from the book since it was chosen.
    pub(super) fn notice_about_target(&mut self, target: &ResolvedContact) -> Option<Action> {
        let in_book = self.is_contact(&target.relay, &target.member);
        let notice = match self.book.is_blocked(&target.relay, &target.member) {
            true => Some(RecipientNotice::Blocked),
            false => (self.target_in_book && !in_book).then_some(RecipientNotice::Removed),
        };
        if std::mem::replace(&mut self.target_notice, notice) == notice {
            return None;
        }
        let phrase = match notice? {
            RecipientNotice::Blocked => Phrase::new("chat-target-blocked"),
            RecipientNotice::Removed => Phrase::new("chat-target-left"),
        };
        Some(self.tell(&phrase.with("who", &target.label)))
    }

    /// Adds an unknown sender, or `NAME@HOST:PORT`, to the book: `NAME [as LABEL]`.
    pub(super) fn add(&self, argument: &str) -> Vec<Action> {
        let (name, label) = match argument.rsplit_once(" as ") {
            Some((name, label)) => (name, Some(label.trim())),
            None => (argument, None),
        };
        let added = self.look_up(name).and_then(|who| {
            if let Some(label) = self.book.label_of(&who.relay, &who.member) {
                return Err(Phrase::new("chat-already-contact").with("who", label));
            }
            let label = match label {
                Some(label) => label.parse().map_err(|error: NameError| error.phrase())?,
                None => who.member.clone(),
            };
            Ok(Action::Add { who, label })
        });
        vec![added.unwrap_or_else(|phrase| self.tell(&phrase))]
    }

    /// Handles a new contact of the book. From here on the user's label names it.
    pub fn handle_added(&mut self, who: &ResolvedContact, label: &Name) {
        self.strangers.retain(|_, stranger| stranger.relay != who.relay || stranger.member != who.member);
        if let Some(target) = &mut self.target
            && (&target.relay, &target.member) == (&who.relay, &who.member)
        {
            target.label = label.to_string();
            self.target_in_book = true;
        }
    }

    /// Finds a contact that the user names, completing its name on a terminal.
    ///
    /// # Errors
    /// The phrase for the user.
    pub(super) fn look_up(&self, text: &str) -> Result<ResolvedContact, Phrase> {
        if self.options.is_desk {
            return self.find_at_desk(text);
        }
        self.find(text).or_else(|error| match self.complete(text.trim())? {
            Some(label) => self.find(&label).map_err(ResolveError::into_phrase),
            None => Err(self.with_relays(error, text.trim())),
        })
    }

    /// Returns the phrase, on a terminal with the forms that have a relay if the name is unknown:
    /// it may be a member's.
    fn with_relays(&self, error: ResolveError, name: &str) -> Phrase {
        let relays = self.book.relays();
        let phrase = match error {
            ResolveError::Unknown(phrase) if !self.options.is_terminal || relays.is_empty() => return phrase,
            ResolveError::Invalid(phrase) => return phrase,
            ResolveError::Unknown(_) => match &self.book.nearest(name)[..] {
                [] => Phrase::new("chat-unknown"),
                near => {
                    let near: Vec<&str> = near.iter().map(Name::as_str).collect();
                    Phrase::new("chat-unknown-near").with("near", near.join(", "))
                }
            },
        };
        let names: Vec<String> =
            relays.iter().take(RELAYS_OFFERED_MAX).map(|relay| format!("{name}@{relay}")).collect();
        phrase.with("name", name).with("names", names.join(", "))
    }

    /// Finds a contact, or an unknown sender or guest that has written.
    ///
    /// # Errors
    /// Those of [`ContactLookup::resolve`]; invalid if several unknown senders have the name.
    pub(super) fn find(&self, text: &str) -> Result<ResolvedContact, ResolveError> {
        let text = text.trim();
        self.book.resolve(text).or_else(|error| {
            let known = self.strangers.get(text).cloned().or_else(|| self.guests.find(text));
            let stranger = || self.find_stranger(text).map_err(ResolveError::Invalid)?.ok_or(error);
            known.map_or_else(stranger, Ok)
        })
    }

    /// Finds an unknown sender by its name without a relay.
    ///
    /// # Errors
    /// The phrase for the user if members of several relays have that name.
    fn find_stranger(&self, name: &str) -> Result<Option<ResolvedContact>, Phrase> {
        let mut named = self.strangers.values().filter(|stranger| stranger.member.as_str() == name);
        let first = named.next().cloned();
        match named.next() {
            None => Ok(first),
            Some(_) => {
                let named = self.strangers.iter().filter(|(_, stranger)| stranger.member.as_str() == name);
                Err(which(name, named.map(|(label, _)| label.clone()).collect()))
            }
        }
    }

    /// Returns the only known name that `begun` begins, regardless of case.
    ///
    /// # Errors
    /// The phrase for the user if it begins several.
    fn complete(&self, begun: &str) -> Result<Option<String>, Phrase> {
        if !self.options.is_terminal || begun.is_empty() {
            return Ok(None);
        }
        let lower = begun.to_lowercase();
        let mut names = self.known_names();
        names.retain(|name| name.to_lowercase().starts_with(&lower));
        match &names[..] {
            [] => Ok(None),
            [name] => Ok(Some(name.clone())),
            _ => Err(which(begun, names)),
        }
    }

    /// Returns every name that a user may type to choose it, in lower case. At a desk a number may
    /// be an answer.
    pub(super) fn lower_case_names(&self) -> BTreeSet<String> {
        if self.options.is_desk {
            return BTreeSet::new();
        }
        self.known_names().iter().map(|name| name.to_lowercase()).collect()
    }

    /// Returns the relay of a returned letter, which is from this run (to label `who`) or an
    /// earlier one.
    pub(super) fn relay_of(&self, who: Option<&str>, to: &Name) -> Option<HostPort> {
        let found = self.find(who.unwrap_or(to.as_str())).ok();
        found.filter(|found| found.member == *to).map(|found| found.relay)
    }

    pub(super) fn is_contact(&self, relay: &HostPort, member: &Name) -> bool {
        self.book.label_of(relay, member).is_some()
    }

    /// Returns a warning for the first letter of an unknown sender whose name looks like a
    /// contact's.
    pub(super) fn warning_of(&self, relay: &HostPort, member: &Name) -> Option<Action> {
        let known = self.strangers.values().any(|s| s.relay == *relay && s.member == *member);
        let contact = if known { None } else { self.book.looks_like(member) }?;
        let phrase = Phrase::new("chat-looks-like").with("contact", contact);
        Some(self.tell(&phrase.with("who", member).with("relay", relay)))
    }

    /// Returns the label of a sender: the user's, else the name, with its relay if the name alone
    /// is ambiguous.
    pub(super) fn name_of(&mut self, relay: &HostPort, member: &Name) -> String {
        if let Some(label) = self.book.label_of(relay, member) {
            return label;
        }
        let alone = self.book.is_clear(member);
        let label = if alone { member.to_string() } else { format!("{member}@{relay}") };
        if self.strangers.len() == STRANGERS_MAX && !self.strangers.contains_key(&label) {
            self.strangers.pop_first();
        }
        let stranger = ResolvedContact { label: label.clone(), relay: relay.clone(), member: member.clone() };
        self.strangers.insert(label.clone(), stranger);
        label
    }

    /// Ends the conversation with the recipient. On a terminal a word for it also ends a guest's.
    pub(super) fn leave_conversation(&mut self) -> Vec<Action> {
        self.answered = None;
        if self.target.take().is_some() {
            return Vec::new();
        }
        // At a desk the prompt names the guest that has waited longest.
        match self.recipient().filter(|_| self.options.is_desk && self.options.is_terminal) {
            Some(guest) => vec![self.tell(&Phrase::new("desk-quit-waits").with("who", guest.label))],
            None => vec![Action::Quit { status: 0 }],
        }
    }

    /// Ends the conversation with a guest, or leaves that with a member.
    pub(super) fn leave_or_end(&mut self, now: Now) -> Vec<Action> {
        match self.target.take_if(|target| target.member.guest_address().is_some()) {
            Some(guest) => self.end(guest, now),
            None => self.leave_conversation(),
        }
    }
}

/// Returns the line that confirms a choice: the label, and the address unless the label has it.
fn confirmation(target: &ResolvedContact) -> Phrase {
    let ResolvedContact { label, relay, member } = target;
    if label.contains('@') {
        return Phrase::new("chat-to").with("who", label);
    }
    // A guest at a desk has a number for its name.
    if let Some(address) = member.guest_address().filter(|_| label != member.as_str()) {
        return Phrase::new("chat-to-at").with("who", label).with("address", address);
    }
    let is_named = label == member.as_str();
    let address = if is_named { relay.to_string() } else { format!("{member}@{relay}") };
    Phrase::new("chat-to-at").with("who", label).with("address", address)
}

fn which(name: &str, names: Vec<String>) -> Phrase {
    Phrase::new("chat-which").with("name", name).with("names", names.join(", "))
}

/// Lists the first `max` names, and `…` if there are more.
pub(super) fn first_of(names: &[String], max: usize) -> String {
    let rest = (names.len() > max).then_some("…");
    names.iter().take(max).map(String::as_str).chain(rest).collect::<Vec<_>>().join(", ")
}

/// Returns a name in at most `max` terminal cells. It keeps both ends, because similar names
/// differ at either.
fn shorten(name: &str, max: usize) -> String {
    let name = sanitize_line(name).into_owned();
    if name.width_cjk() <= max {
        return name;
    }
    let clusters: Vec<&str> = name.graphemes(true).collect();
    let half = max.saturating_sub("…".width_cjk()) / 2;
    let fit = |clusters: &mut dyn Iterator<Item = &&str>| {
        let mut cells = 0;
        clusters
            .take_while(|cluster| {
                cells += cluster.width_cjk();
                cells <= half
            })
            .count()
    };
    let head = fit(&mut clusters.iter());
    let tail = fit(&mut clusters.iter().rev());
    format!("{}…{}", clusters[..head].concat(), clusters[clusters.len() - tail..].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_names_shows_that_there_are_more() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(first_of(&names, 3), "a, b, c");
        assert_eq!(first_of(&names, 2), "a, b, …");
        assert_eq!(first_of(&[], 2), "");
    }

    #[test]
    fn long_name_keeps_both_ends() {
        assert_eq!(shorten("JACK@127.0.0.1:8081", 24), "JACK@127.0.0.1:8081");
        assert_eq!(shorten("JACK@relay.example.org:8081", 24), "JACK@relay.…le.org:8081");
        let wide = "鹊".repeat(31) + "桥";
        let short = shorten(&wide, 24);
        assert_eq!(short, format!("{}…{}桥", "鹊".repeat(5), "鹊".repeat(4)));
        assert!(short.width_cjk() <= 24);
    }
}
