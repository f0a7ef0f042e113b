//! Guests in line mode: those that have written, and the end of a conversation with one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{HostPort, Name, Now, Phrase, Wall};
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
    /// Guests that got a number so far.
    numbered: u64,
}

#[derive(Clone, Debug)]
struct GuestRow {
    at: Wall,
    label: String,
    number: u64,
}

impl GuestList {
    fn insert(&mut self, who: &ResolvedContact, at: Wall) {
        let number = self.number(&who.relay, &who.member).unwrap_or(self.numbered + 1);
        self.numbered = self.numbered.max(number);
        let row = GuestRow { at, label: who.label.clone(), number };
        self.rows.insert((who.relay.clone(), who.member.clone()), row);
        if self.rows.len() > GUESTS_MAX {
            let oldest = self.rows.iter().min_by_key(|(_, row)| row.at).map(|(who, _)| who.clone());
            oldest.map(|oldest| self.rows.remove(&oldest));
        }
    }

    fn remove(&mut self, who: &ResolvedContact) {
        self.rows.remove(&(who.relay.clone(), who.member.clone()));
    }

    /// Returns the number of a guest. A guest that has left and writes again gets another one.
    pub(super) fn number(&self, relay: &HostPort, member: &Name) -> Option<u64> {
        self.rows.get(&(relay.clone(), member.clone())).map(|row| row.number)
    }

    /// Returns the number of a guest, or the one that it will get.
    pub(super) fn number_or_next(&self, relay: &HostPort, member: &Name) -> u64 {
        self.number(relay, member).unwrap_or(self.numbered + 1)
    }

    /// Returns the numbers of all guests, in order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.rows.values().map(|row| row.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Returns the guest that a user means by its number, label or address.
    pub(super) fn find_meant(&self, text: &str) -> Option<ResolvedContact> {
        let is_meant = |member: &Name, row: &GuestRow| {
            let address = member.guest_address().map(|address| address.to_string());
            row.number.to_string() == text || row.label == text || address.as_deref() == Some(text)
        };
        let ((relay, member), row) = self.rows.iter().find(|((_, member), row)| is_meant(member, row))?;
        Some(ResolvedContact { label: row.label.clone(), relay: relay.clone(), member: member.clone() })
    }

    /// Returns the guest of this name. If several relays have one, returns the one that wrote last.
    pub(super) fn find(&self, name: &str) -> Option<ResolvedContact> {
        let mine = self.rows.iter().filter(|((_, member), _)| member.as_str() == name);
        let ((relay, member), row) = mine.max_by_key(|(_, row)| row.at)?;
        Some(ResolvedContact { label: row.label.clone(), relay: relay.clone(), member: member.clone() })
    }

    fn list(&mut self, now: Wall) -> Vec<(Name, Wall, u64)> {
        let idle = IDLE.as_millis() as u64;
        self.rows.retain(|_, row| now.0.saturating_sub(row.at.0) < idle);
        self.rows.iter().map(|((_, name), row)| (name.clone(), row.at, row.number)).collect()
    }
}

impl<B: ContactLookup> LineMode<B> {
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
                self.forget_answered(&who);
                self.target.take_if(|target| self.options.is_desk && target.member == who.member);
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
        match self.meant_by_close() {
            Err(gone) => vec![self.tell(&gone)],
            Ok(Some(who)) if who.member.guest_address().is_some() => self.end(who, now),
            Ok(_) => vec![self.tell(&Phrase::new("chat-close-no-guest"))],
        }
    }

    pub(super) fn end(&mut self, guest: ResolvedContact, now: Now) -> Vec<Action> {
        self.forget_answered(&guest);
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
        for (name, at, number) in guests {
            let address = name.guest_address().map_or(String::new(), |address| address.to_string());
            let who = if self.is_desk_guest(&name) { number.to_string() } else { name.to_string() };
            let phrase = Phrase::new("chat-guest").with("who", who).with("address", address);
            let heard = self.options.time_format.format(at, now);
            actions.push(self.tell(&phrase.with("heard", heard)));
        }
        actions
    }
}
