//! Guests in line mode: who they are, and whoever waits for an answer at a desk.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{HostPort, Name, Now, Phrase, Wall, harmless};
use crate::client::Incoming;
use crate::ui::notice;
use crate::ui::paint::{Styled, Tone};
use crate::wire::letter::GuestNote;

use super::commands::CLOSE;
use super::{Book, Do, LineMode, Resolved};

/// Guests remembered; beyond it the one unheard for longest is forgotten.
const GUESTS_MAX: usize = 256;
/// A relay forgets a guest that is silent for so long, and so does the list.
const IDLE: Duration = Duration::from_secs(600);

/// Guests who have written, and when last.
#[derive(Debug, Default)]
pub(super) struct Guests {
    heard: BTreeMap<(HostPort, Name), Heard>,
}

#[derive(Clone, Debug)]
struct Heard {
    at: Wall,
    label: String,
}

impl Guests {
    fn hear(&mut self, who: &Resolved, at: Wall) {
        let heard = Heard { at, label: who.label.clone() };
        self.heard.insert((who.relay.clone(), who.member.clone()), heard);
        if self.heard.len() > GUESTS_MAX {
            let oldest = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(who, _)| who.clone());
            oldest.map(|oldest| self.heard.remove(&oldest));
        }
    }

    fn leave(&mut self, who: &Resolved) {
        self.heard.remove(&(who.relay.clone(), who.member.clone()));
    }

    /// The guest of this name; of several, at different relays, the one heard last.
    pub(super) fn find(&self, name: &str) -> Option<Resolved> {
        let mine = self.heard.iter().filter(|((_, member), _)| member.as_str() == name);
        let ((relay, member), heard) = mine.max_by_key(|(_, heard)| heard.at)?;
        Some(Resolved { label: heard.label.clone(), relay: relay.clone(), member: member.clone() })
    }

    fn list(&mut self, now: Wall) -> Vec<(Name, Wall)> {
        let idle = IDLE.as_millis() as u64;
        self.heard.retain(|_, heard| now.0.saturating_sub(heard.at.0) < idle);
        self.heard.iter().map(|((_, name), heard)| (name.clone(), heard.at)).collect()
    }
}

/// A guest's own word for the end of its conversation, which a member may say, too.
const BYE: &str = "q";

/// Whether this text ends the conversation with its recipient, and is no message: guests have no
/// other word for that.
pub fn ends_conversation(to: &Name, text: &str) -> bool {
    to.guest_address().is_some() && [BYE, CLOSE].contains(&text.trim())
}

impl<B: Book> LineMode<B> {
    /// Whom a text goes to: the one who was chosen, or at a desk whoever has waited the longest.
    pub(super) fn recipient(&self) -> Option<Resolved> {
        let waits = || self.waiting.first().filter(|_| self.settings.desk).cloned();
        self.target.clone().or_else(waits)
    }

    /// Notes who wrote. What the relay says about a guest asks for no answer.
    pub(super) fn hear(&mut self, letter: &Incoming, label: &str) {
        let who =
            Resolved { label: label.to_owned(), relay: letter.relay.clone(), member: letter.from.clone() };
        match letter.note {
            Some(GuestNote::Left) => {
                self.guests.leave(&who);
                self.waiting.answered(&who);
            }
            Some(GuestNote::Ended | GuestNote::Close) => {}
            None => {
                if letter.from.guest_address().is_some() {
                    self.guests.hear(&who, letter.at);
                }
                self.waiting.heard(&who);
            }
        }
    }

    /// What the relay says about a guest: words of our own at the margin, where no text of a guest can stand.
    pub(super) fn show_note(&self, note: GuestNote, who: &str) -> Do {
        let header = self.settings.strings.say(&notice::of_guest(note, who));
        Do::Print(Styled { tone: Tone::Notice, header, text: String::new() })
    }

    /// Guests who can be chosen by name.
    pub(super) fn guest_names(&self) -> impl Iterator<Item = String> + '_ {
        self.guests.heard.keys().map(|(_, name)| name.to_string())
    }

    /// Ends the conversation with a guest.
    pub(super) fn close(&mut self, now: Now) -> Vec<Do> {
        match self.recipient().filter(|who| who.member.guest_address().is_some()) {
            Some(guest) => self.end(guest, now),
            None => vec![self.tell(&Phrase::new("chat-close-no-guest"))],
        }
    }

    pub(super) fn end(&mut self, guest: Resolved, now: Now) -> Vec<Do> {
        let request = self.note_sent(&guest, CLOSE, now);
        vec![Do::Close { request, relay: guest.relay, to: guest.member }]
    }

    /// Contacts, and guests apart; a desk has guests only.
    pub(super) fn who(&mut self, now: Wall) -> Vec<Do> {
        let guests = self.guests.list(now);
        let first = match self.settings.desk {
            false => Some(self.contacts()),
            true => guests.is_empty().then(|| Phrase::new("desk-no-guests")),
        };
        let mut dos: Vec<Do> = first.iter().map(|phrase| self.tell(phrase)).collect();
        for (name, at) in guests {
            let address = name.guest_address().map_or(String::new(), |address| address.to_string());
            let phrase = Phrase::new("chat-guest").with("who", name).with("address", address);
            let heard = self.settings.clock.show(at, now);
            dos.push(self.tell(&phrase.with("heard", heard)));
        }
        dos
    }

    /// A text that goes nowhere stays with the user.
    pub(super) fn keep_text(&self, key: &'static str, text: &str) -> Vec<Do> {
        vec![self.tell(&Phrase::new(key)), Do::Tell(harmless(text).into_owned())]
    }
}
