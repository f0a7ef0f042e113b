//! Guests in line mode, and answering them at a desk.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{HostPort, Name, Now, Phrase, Wall, sanitize};
use crate::client::Incoming;
use crate::ui::notice;
use crate::ui::style::{StyledText, TextKind};
use crate::wire::letter::GuestEvent;

use super::commands::CLOSE;
use super::{Action, ContactLookup, LineMode, ResolvedContact};

/// Maximum guests remembered; beyond it the one that wrote least recently is forgotten.
const GUESTS_MAX: usize = 256;
/// Time after which a silent guest leaves the list. 10 min: as long as the relay keeps one.
const IDLE: Duration = Duration::from_secs(600);

/// Guests that have written, and the time of their last letter.
#[derive(Debug, Default)]
pub(super) struct GuestList {
    rows: BTreeMap<(HostPort, Name), GuestRow>,
}

#[derive(Clone, Debug)]
struct GuestRow {
    at: Wall,
    label: String,
}

impl GuestList {
    fn insert(&mut self, who: &ResolvedContact, at: Wall) {
        let row = GuestRow { at, label: who.label.clone() };
        self.rows.insert((who.relay.clone(), who.member.clone()), row);
        if self.rows.len() > GUESTS_MAX {
            let oldest = self.rows.iter().min_by_key(|(_, row)| row.at).map(|(who, _)| who.clone());
            oldest.map(|oldest| self.rows.remove(&oldest));
        }
    }

    fn remove(&mut self, who: &ResolvedContact) {
        self.rows.remove(&(who.relay.clone(), who.member.clone()));
    }

    /// Returns the guest of this name. If several relays have one, returns the one that wrote last.
    pub(super) fn find(&self, name: &str) -> Option<ResolvedContact> {
        let mine = self.rows.iter().filter(|((_, member), _)| member.as_str() == name);
        let ((relay, member), row) = mine.max_by_key(|(_, row)| row.at)?;
        Some(ResolvedContact { label: row.label.clone(), relay: relay.clone(), member: member.clone() })
    }

    fn list(&mut self, now: Wall) -> Vec<(Name, Wall)> {
        let idle = IDLE.as_millis() as u64;
        self.rows.retain(|_, row| now.0.saturating_sub(row.at.0) < idle);
        self.rows.iter().map(|((_, name), row)| (name.clone(), row.at)).collect()
    }
}

/// A guest's word for the end of its conversation; a member may use it too.
const BYE: &str = "q";

/// Whether this text ends the conversation with its recipient instead of being sent. Guests know no
/// other word for it.
pub fn ends_conversation(to: &Name, text: &str) -> bool {
    to.guest_address().is_some() && [BYE, CLOSE].contains(&text.trim())
}

impl<B: ContactLookup> LineMode<B> {
    /// Returns the recipient of a text: the chosen one, or at a desk the guest that has waited
    /// longest.
    pub(super) fn recipient(&self) -> Option<ResolvedContact> {
        let waits = || self.guest_queue.first().filter(|_| self.options.is_desk).cloned();
        self.target.clone().or_else(waits)
    }

    /// Records the sender of a letter. A relay's report about a guest needs no answer.
    pub(super) fn record_guest_letter(&mut self, letter: &Incoming, label: &str) {
        let who = ResolvedContact {
            label: label.to_owned(),
            relay: letter.relay.clone(),
            member: letter.from.clone(),
        };
        match letter.note {
            Some(GuestEvent::Left) => {
                self.guests.remove(&who);
                self.guest_queue.remove(&who);
            }
            Some(GuestEvent::Ended | GuestEvent::Close) => {}
            None => {
                if letter.from.guest_address().is_some() {
                    self.guests.insert(&who, letter.at);
                }
                self.guest_queue.push(&who);
            }
        }
    }

    /// Shows a relay's report about a guest. It begins at the margin, where no text of a guest can
    /// be.
    pub(super) fn show_note(&self, note: GuestEvent, who: &str) -> Action {
        let header = self.options.strings.say(&notice::of_guest(note, who));
        Action::PrintMessage(StyledText { kind: TextKind::Notice, header, text: String::new() })
    }

    /// Returns the names of guests that can be chosen.
    pub(super) fn guest_names(&self) -> impl Iterator<Item = String> + '_ {
        self.guests.rows.keys().map(|(_, name)| name.to_string())
    }

    /// Ends the conversation with a guest.
    pub(super) fn close(&mut self, now: Now) -> Vec<Action> {
        match self.recipient().filter(|who| who.member.guest_address().is_some()) {
            Some(guest) => self.end(guest, now),
            None => vec![self.tell(&Phrase::new("chat-close-no-guest"))],
        }
    }

    pub(super) fn end(&mut self, guest: ResolvedContact, now: Now) -> Vec<Action> {
        let request = self.record_sent(&guest, CLOSE, now);
        vec![Action::Close { request, relay: guest.relay, to: guest.member }]
    }

    /// Lists contacts and guests; at a desk, guests only.
    pub(super) fn list_contacts(&mut self, now: Wall) -> Vec<Action> {
        let guests = self.guests.list(now);
        let first = match self.options.is_desk {
            false => Some(self.contacts()),
            true => guests.is_empty().then(|| Phrase::new("desk-no-guests")),
        };
        let mut actions: Vec<Action> = first.iter().map(|phrase| self.tell(phrase)).collect();
        for (name, at) in guests {
            let address = name.guest_address().map_or(String::new(), |address| address.to_string());
            let phrase = Phrase::new("chat-guest").with("who", name).with("address", address);
            let heard = self.options.time_format.format(at, now);
            actions.push(self.tell(&phrase.with("heard", heard)));
        }
        actions
    }

    /// Returns a text without a recipient to the user.
    pub(super) fn keep_text(&self, key: &'static str, text: &str) -> Vec<Action> {
        vec![self.tell(&Phrase::new(key)), Action::PrintNotice(sanitize(text).into_owned())]
    }
}
