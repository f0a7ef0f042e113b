//! Incoming letters: decoding, and whether they are stored.
//!
//! A letter that this version does not understand is not stored. Its kind is unknown, its body is
//! malformed, or its content is not permitted for its sender. The sender gets it back as
//! `unsupported`.

use std::time::Duration;

use crate::base::{Name, Now, Tick};
use crate::wire::letter::{Content, GuestEvent};
use crate::wire::message::{Delivery, Reason};

use super::api::{Event, Incoming, Record};
use super::received_index::DedupResult;
use super::relay_connection::{ClientContext, Out, RelayConnection};

/// Minimum interval of notices about such letters, however many a sender sends.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// When the user was last notified of a letter that is not understood.
#[derive(Debug, Default)]
pub(super) struct Unsupported {
    reported_at: Option<Tick>,
}

impl Unsupported {
    /// Whether to notify the user of another such letter.
    pub(super) fn may_report(&mut self, now: Tick) -> bool {
        let may_report = self.reported_at.is_none_or(|last| now.since(last) >= REPORT_EVERY);
        if may_report {
            self.reported_at = Some(now);
        }
        may_report
    }
}

impl RelayConnection {
    /// Returns the parsed name of a letter's sender. Cached, because parsing is expensive and
    /// consecutive letters often have the same sender.
    fn sender(&mut self, from: &str) -> Option<Name> {
        if self.last_sender.as_ref().is_none_or(|last| last.as_str() != from) {
            self.last_sender = Some(from.parse().ok()?);
        }
        self.last_sender.clone()
    }

    /// Queues the record of a new letter, or of its refusal. Returns `false` if no honest relay
    /// sends such a delivery.
    pub(super) fn handle_delivery(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        delivery: &Delivery<'_>,
        out: &mut Out,
    ) -> bool {
        let Some(from) = self.sender(delivery.from) else { return false };
        self.path_manager.had_letter = true;
        let Delivery { id, prev, mark, accepted: at, .. } = *delivery;
        let relay = self.config.addr.clone();
        let via = self.received_on;
        let (missing, after) = match self.mail.received.take(&from, id, prev, mark) {
            DedupResult::New { missing, after } => (missing, after),
            DedupResult::OldCopy { is_first: true } => {
                ctx.commit_queue.push(Record::Closed { relay, from, outbox: id.outbox, mark });
                return true;
            }
            DedupResult::Duplicate | DedupResult::OldCopy { .. } => return true,
        };
        let Some((text, note)) = decode_letter(&from, delivery.kind, delivery.body) else {
            if ctx.unsupported.may_report(now.tick) {
                out.show(Event::Unreadable { relay: relay.clone(), from: from.clone(), id });
            }
            let reason = Reason::Unsupported;
            ctx.commit_queue.push(Record::Declined { relay, from, id, reason, after, mark });
            return true;
        };
        if !ctx.strangers.take(&relay, &from, text.len()) {
            if ctx.strangers.may_report() {
                out.show(Event::StrangersFull { relay: relay.clone() });
            }
            ctx.commit_queue.push(Record::Declined { relay, from, id, reason: Reason::Full, after, mark });
            return true;
        }
        let letter = Incoming { relay, from, id, text, note, at, via, missing, damaged: false };
        ctx.commit_queue.push(Record::Received { letter, after, mark });
        true
    }
}

/// Decodes a letter of `from`: its text, or the relay's note about a guest, sent in the guest's
/// name. `None` if this version does not understand it.
pub(super) fn decode_letter(from: &Name, kind: u8, body: &[u8]) -> Option<(String, Option<GuestEvent>)> {
    match Content::read(kind, body).ok()? {
        Content::Text(text) => Some((text, None)),
        Content::GuestEvent(note) => {
            let is_of_relay = note.is_from_relay() && from.guest_address().is_some();
            is_of_relay.then(|| (String::new(), Some(note)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use crate::wire::letter::LetterBody;

    #[test]
    fn guest_notes_are_accepted_from_relay_only() {
        let [guest, member] = ["guest-127.0.0.1-9", "TOM"].map(|name| name.parse::<Name>().unwrap());
        let read = |from: &Name, encoded: LetterBody| decode_letter(from, encoded.kind, &encoded.body);
        for note in [GuestEvent::Ended, GuestEvent::Left] {
            assert_eq!(read(&guest, LetterBody::from_guest_event(note)), Some((String::new(), Some(note))));
            assert_eq!(read(&member, LetterBody::from_guest_event(note)), None);
        }
        assert_eq!(read(&guest, LetterBody::from_guest_event(GuestEvent::Close)), None);
        assert_eq!(read(&guest, LetterBody::from_text("left", Wall(1))), Some(("left".to_owned(), None)));
    }

    #[test]
    fn user_is_notified_once_per_minute() {
        let mut unsupported = Unsupported::default();
        let reported: Vec<u64> = (0..=180)
            .filter(|second| unsupported.may_report(Tick::from_micros(second * 1_000_000)))
            .collect();
        assert_eq!(reported, [0, 60, 120, 180]);
    }
}
