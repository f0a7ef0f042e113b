//! First lines of a conversation: who the user is, where, and with whom; and its last messages.

use crate::base::{HostPort, Name, Now, Phrase, Wall, sanitize};
use crate::client::{HistoryEntry, Progress};
use crate::ui::notice;
use crate::ui::plain::DAMAGED;
use crate::ui::style::{StyledText, TextKind};

use super::recipient::first_of;
use super::{Action, ContactLookup, LineMode, ResolvedContact};

/// Maximum contacts in the first lines; `/who` lists all.
const CONTACTS_MAX: usize = 20;

impl<B: ContactLookup> LineMode<B> {
    /// Adds a message of an earlier run that its relay has not accepted. The first lines name its
    /// recipient, and its arrival is reported.
    pub fn restore_unsent(&mut self, request: u64, relay: &HostPort, to: &Name, text: &str) {
        let label = self.book.label_of(relay, to).unwrap_or_else(|| format!("{to}@{relay}"));
        let to = ResolvedContact { label, relay: relay.clone(), member: to.clone() };
        self.delivery_watch.restore(request, &to, text);
    }

    /// Returns the first lines on a terminal. `unread` counts the messages of each sender that were
    /// not shown yet.
    pub fn start(&mut self, unread: &[(HostPort, Name, u64)], now: Now) -> Vec<Action> {
        self.day_watch.handle_time(now, &self.options.time_format);
        if !self.options.is_terminal || self.options.is_desk {
            return Vec::new();
        }
        let relays: Vec<String> = self.relays().iter().map(HostPort::to_string).collect();
        let me = match relays.is_empty() {
            true => Phrase::new("chat-start-alone"),
            false => Phrase::new("chat-start").with("addresses", relays.join(", ")),
        };
        let mut names: Vec<(u64, String)> = self.book.labels().into_iter().map(|label| (0, label)).collect();
        for (relay, member, count) in unread {
            let label = self.name_of(relay, member);
            names.retain(|(_, name)| *name != label);
            names.push((*count, label));
        }
        // Those with unread messages first, else in the book's order.
        names.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let names: Vec<String> =
            names.into_iter().map(|(count, name)| self.with_count(&self.marked(name), count)).collect();
        let contacts = match names.is_empty() {
            true => self.empty_book(),
            false => Phrase::new("chat-contacts").with("names", first_of(&names, CONTACTS_MAX)),
        };
        let help = match self.target {
            Some(_) => Phrase::new("chat-start-help-to"),
            None => Phrase::new("chat-start-help"),
        };
        let unsent = self.counts("chat-start-unsent", &self.delivery_watch.unsent_earlier());
        let phrases = [Some(me.with("me", &self.options.me)), Some(contacts), unsent];
        let phrases = phrases.into_iter().flatten().chain([help]);
        let mut actions: Vec<Action> = phrases.map(|phrase| self.tell(&phrase)).collect();
        if let Some(target) = self.target.take() {
            let is_target = |(relay, member, _): &&(HostPort, Name, u64)| {
                (relay, member) == (&target.relay, &target.member)
            };
            let has_new = unread.iter().any(|row| is_target(&row));
            actions.extend(self.choose(target));
            actions.extend(has_new.then(|| self.tell(&Phrase::new("chat-new"))));
        }
        actions
    }

    /// Returns what a user can do whose book has no contacts.
    fn empty_book(&self) -> Phrase {
        match &self.book.relays()[..] {
            [relay] => Phrase::new("chat-any-name").with("relay", relay),
            _ => Phrase::new("chat-start-empty"),
        }
    }

    /// Returns the last messages with `who`, oldest first, with a line where the date changes and
    /// one before the last `new` that came in. Messages that are about to be shown are left out.
    pub fn history(
        &self,
        entries: &[HistoryEntry],
        who: &ResolvedContact,
        new: u64,
        now: Wall,
    ) -> Vec<Action> {
        let is_shown = |entry: &&HistoryEntry| entry.by_me || entry.state == Progress::Read;
        let entries: Vec<&HistoryEntry> = entries.iter().filter(is_shown).collect();
        let came_in = entries.iter().filter(|entry| !entry.by_me).count() as u64;
        let mut old = came_in.saturating_sub(new);
        let mut marked = new == 0;
        let format = &self.options.time_format;
        let mut day = format.day(now);
        let mut actions = Vec::new();
        for entry in &entries {
            let its_day = format.day(entry.at);
            if its_day != day {
                actions.push(self.tell(&Phrase::new("chat-day").with("day", &its_day)));
                day = its_day;
            }
            if !entry.by_me {
                if old == 0 && !std::mem::replace(&mut marked, true) {
                    actions.push(self.tell(&Phrase::new("chat-new")));
                }
                old = old.saturating_sub(1);
            }
            actions.push(self.history_entry(entry, who, now));
        }
        if day != format.day(now) {
            actions.push(self.tell(&Phrase::new("chat-day").with("day", format.day(now))));
        }
        actions
    }

    fn history_entry(&self, entry: &HistoryEntry, who: &ResolvedContact, now: Wall) -> Action {
        if let Some(note) = entry.note {
            return self.show_note(note, &who.label);
        }
        let via = entry.via.map_or("", |via| via.as_str());
        let header = match entry.by_me {
            true => {
                let state = notice::history_state(entry, |at| self.until(at, now));
                Phrase::new("history-own").with("state", self.options.strings.say(&state))
            }
            false => Phrase::new("chat-incoming").with("via", if entry.damaged { DAMAGED } else { via }),
        };
        let header = header.with("who", &who.label).with("time", self.options.time_format.time(entry.at));
        Action::PrintMessage(StyledText {
            kind: if entry.by_me { TextKind::Own } else { TextKind::Incoming },
            header: self.options.strings.say(&header),
            text: sanitize(&entry.text).into_owned(),
        })
    }
}
