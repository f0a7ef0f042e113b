//! Incoming letters: decoding, and whether they are stored.
//!
//! A letter that this version does not understand is not stored. Its kind is unknown, its body is
//! malformed, or its content is not permitted for its sender. The sender gets it back as
//! `unsupported`.

use std::time::Duration;

use crate::base::{Name, Now, Tick};
use crate::wire::letter::{Content, GuestNote};
use crate::wire::message::{Delivery, Reason};

use super::api::{Event, Incoming, Record};
use super::ledger::Seen;
use super::uplink::{Out, Shared, Uplink};

/// Minimum interval of notices about such letters, however many a sender sends.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// When the user was last notified of a letter that is not understood.
#[derive(Debug, Default)]
pub(super) struct Unsupported {
    told: Option<Tick>,
}

impl Unsupported {
    /// Whether to notify the user of another such letter.
    pub(super) fn tell(&mut self, now: Tick) -> bool {
        let tells = self.told.is_none_or(|told| now.since(told) >= TOLD_EVERY);
        if tells {
            self.told = Some(now);
        }
        tells
    }
}

impl Uplink {
    /// Returns the parsed name of a letter's sender. Cached, because parsing is expensive and
    /// consecutive letters often have the same sender.
    fn author(&mut self, from: &str) -> Option<Name> {
        if self.last_author.as_ref().is_none_or(|last| last.as_str() != from) {
            self.last_author = Some(from.parse().ok()?);
        }
        self.last_author.clone()
    }

    /// Queues the record of a new letter, or of its refusal. Returns `false` if no honest relay
    /// sends such a delivery.
    pub(super) fn handle_delivery(
        &mut self,
        now: Now,
        shared: &mut Shared,
        delivery: &Delivery<'_>,
        out: &mut Out,
    ) -> bool {
        let Some(from) = self.author(delivery.from) else { return false };
        self.choice.letter = true;
        let Delivery { id, prev, mark, accepted: at, .. } = *delivery;
        let relay = self.spec.addr.clone();
        let via = self.heard_on;
        let (missing, after) = match self.mail.ledger.take(&from, id, prev, mark) {
            Seen::New { missing, after } => (missing, after),
            Seen::OldCopy { is_first: true } => {
                shared.journal.push(Record::Closed { relay, from, outbox: id.outbox, mark });
                return true;
            }
            Seen::Before | Seen::OldCopy { .. } => return true,
        };
        let Some((text, note)) = understand(&from, delivery.kind, delivery.body) else {
            if shared.unsupported.tell(now.tick) {
                out.show(Event::Unreadable { relay: relay.clone(), from: from.clone(), id });
            }
            let reason = Reason::Unsupported;
            shared.journal.push(Record::Declined { relay, from, id, reason, after, mark });
            return true;
        };
        if !shared.strangers.take(&relay, &from, text.len()) {
            if shared.strangers.tell() {
                out.show(Event::StrangersFull { relay: relay.clone() });
            }
            shared.journal.push(Record::Declined { relay, from, id, reason: Reason::Full, after, mark });
            return true;
        }
        let letter = Incoming { relay, from, id, text, note, at, via, missing, damaged: false };
        shared.journal.push(Record::Received { letter, after, mark });
        true
    }
}

/// Decodes a letter of `from`: its text, or the relay's note about a guest, sent in the guest's
/// name. `None` if this version does not understand it.
pub(super) fn understand(from: &Name, kind: u8, body: &[u8]) -> Option<(String, Option<GuestNote>)> {
    match Content::read(kind, body).ok()? {
        Content::Text(text) => Some((text, None)),
        Content::Note(note) => {
            let is_of_relay = note.is_of_relay() && from.guest_address().is_some();
            is_of_relay.then(|| (String::new(), Some(note)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use crate::wire::letter::Made;

    #[test]
    fn guest_notes_are_accepted_from_relay_only() {
        let [guest, member] = ["guest-127.0.0.1-9", "TOM"].map(|name| name.parse::<Name>().unwrap());
        let read = |from: &Name, made: Made| understand(from, made.kind, &made.body);
        for note in [GuestNote::Ended, GuestNote::Left] {
            assert_eq!(read(&guest, Made::of_note(note)), Some((String::new(), Some(note))));
            assert_eq!(read(&member, Made::of_note(note)), None);
        }
        assert_eq!(read(&guest, Made::of_note(GuestNote::Close)), None);
        assert_eq!(read(&guest, Made::of_text("left", Wall(1))), Some(("left".to_owned(), None)));
    }

    #[test]
    fn user_is_notified_once_per_minute() {
        let mut unsupported = Unsupported::default();
        let told: Vec<u64> =
            (0..=180).filter(|second| unsupported.tell(Tick::from_micros(second * 1_000_000))).collect();
        assert_eq!(told, [0, 60, 120, 180]);
    }
}
