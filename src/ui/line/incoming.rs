//! Incoming letters as lines of a screen.

use crate::base::{HostPort, LetterId, Name, Now, Phrase, Tick, sanitize};
use crate::client::Incoming;
use crate::ui::plain::DAMAGED;
use crate::ui::style::{StyledText, TextKind};

use super::{Action, ContactLookup, LineMode, ResolvedContact};

impl<B: ContactLookup> LineMode<B> {
    pub(super) fn show(&mut self, letter: &Incoming, now: Now) -> Vec<Action> {
        let gap = (letter.missing > 0).then(|| Phrase::new("chat-missing").with("count", letter.missing));
        let is_stranger = !letter.from.is_reserved() && !self.is_contact(&letter.relay, &letter.from);
        let warning = if is_stranger { self.warning_of(&letter.relay, &letter.from) } else { None };
        let address = letter.from.guest_address();
        let number = self.desk_number(letter);
        let key = match is_stranger {
            _ if number.is_some() => "desk-incoming-guest",
            // A member writes to the desk.
            _ if self.options.is_desk && self.options.is_terminal => "chat-incoming",
            _ if self.options.is_desk => "desk-incoming",
            _ if address.is_some() => "chat-incoming-guest",
            true => "chat-incoming-stranger",
            false => "chat-incoming",
        };
        let who = match number {
            Some(number) => self.options.strings.say(&Phrase::new("desk-guest").with("number", number)),
            None => self.name_of(&letter.relay, &letter.from),
        };
        self.record_guest_letter(letter, &who);
        self.record_sender(letter, &who, now.tick);
        let address = address.filter(|_| self.options.is_desk).map(|address| address.to_string());
        let who = address.clone().filter(|_| number.is_none()).unwrap_or(who);
        let note = letter.note.map(|note| self.show_note(note, &who));
        let via = if letter.damaged { DAMAGED } else { letter.via.as_str() };
        let header = Phrase::new(key)
            .with("who", who)
            .with("via", via)
            .with("number", number.unwrap_or_default())
            .with("address", address.unwrap_or_default())
            .with("time", self.options.time_format.format(letter.at, now.wall));
        let gap = gap.map(|phrase| StyledText {
            kind: TextKind::Notice,
            header: self.options.strings.say(&phrase),
            text: String::new(),
        });
        let letter = StyledText {
            kind: TextKind::Incoming,
            header: self.options.strings.say(&header),
            text: sanitize(&letter.text).into_owned(),
        };
        let gap = gap.map(Action::PrintMessage);
        warning.into_iter().chain(gap).chain([note.unwrap_or(Action::PrintMessage(letter))]).collect()
    }

    /// Records who wrote, for `/reply`: the recipient, or someone whose message is unread. A
    /// relay's report about a guest needs no reply.
    fn record_sender(&mut self, letter: &Incoming, label: &str, now: Tick) {
        let is_target =
            self.target.as_ref().is_some_and(|to| to.relay == letter.relay && to.member == letter.from);
        if letter.note.is_some() || self.options.is_desk {
            return;
        }
        if is_target {
            self.target_wrote_at = Some(now);
        } else {
            let relay = letter.relay.clone();
            let member = letter.from.clone();
            self.unread.record(&ResolvedContact { label: label.to_owned(), relay, member }, 1, now);
        }
    }

    pub(super) fn handle_unreadable(&mut self, relay: &HostPort, from: &Name, id: LetterId) -> Vec<Action> {
        let who = self.name_of(relay, from);
        vec![self.tell(&Phrase::new("letter-unreadable").with("who", who).with("id", id))]
    }
}
