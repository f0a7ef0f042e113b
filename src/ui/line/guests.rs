//! Guests in line mode, and answering them at a desk.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{HostPort, Name, Now, Phrase, Wall, harmless};
use crate::client::Incoming;
use crate::ui::notice;
use crate::ui::paint::{Styled, Tone};
use crate::wire::letter::GuestNote;

use super::commands::CLOSE;
use super::{Book, Do, LineMode, Resolved};

/// Maximum guests remembered; beyond it the one that wrote least recently is forgotten.
const GUESTS_MAX: usize = 256;
/// Time after which a silent guest leaves the list. 10 min: as long as the relay keeps one.
const IDLE: Duration = Duration::from_secs(600);

/// Guests that have written, and the time of their last letter.
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

    /// Returns the guest of this name. If several relays have one, returns the one that wrote last.
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

/// A guest's word for the end of its conversation; a member may use it too.
const BYE: &str = "q";

/// Whether this text ends the conversation with its recipient instead of being sent. Guests know no
/// other word for it.
pub fn ends_conversation(to: &Name, text: &str) -> bool {
    to.guest_address().is_some() && [BYE, CLOSE].contains(&text.trim())
}

impl<B: Book> LineMode<B> {
    /// Returns the recipient of a text: the chosen one, or at a desk the guest that has waited
    /// longest.
    pub(super) fn recipient(&self) -> Option<Resolved> {
        let waits = || self.waiting.first().filter(|_| self.settings.desk).cloned();
        self.target.clone().or_else(waits)
    }

    /// Records the sender of a letter. A relay's report about a guest needs no answer.
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

    /// Shows a relay's report about a guest. It begins at the margin, where no text of a guest can
    /// be.
    pub(super) fn show_note(&self, note: GuestNote, who: &str) -> Do {
        let header = self.settings.strings.say(&notice::of_guest(note, who));
        Do::Print(Styled { tone: Tone::Notice, header, text: String::new() })
    }

    /// Returns the names of guests that can be chosen.
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

    /// Lists contacts and guests; at a desk, guests only.
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

    /// Returns a text without a recipient to the user.
    pub(super) fn keep_text(&self, key: &'static str, text: &str) -> Vec<Do> {
        vec![self.tell(&Phrase::new(key)), Do::Tell(harmless(text).into_owned())]
    }
}
