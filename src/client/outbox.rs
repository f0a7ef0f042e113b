//! The letters a client has not seen delivered or refused yet: one conversation for each recipient, in order.
//!
//! A letter goes out when the relay's session has room for it, with `prev`, the last number before it that was not
//! refused. A refusal as `behind` puts it back, to go again with the `prev` it then has. A session that is lost puts
//! all of them back; the recipient's ledger removes what it has already.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{LetterId, Name, OutboxId};
use crate::wire::message::{Reason, Receipt};

use super::api::Progress;

/// Letters of one conversation on their way at once, so that one recipient's slowness fills neither the relay's queue
/// nor the session.
pub(super) const WINDOW_LETTERS: usize = 256;
/// Bytes of bodies of one conversation on their way at once; one letter always may be.
pub(super) const WINDOW_BYTES: usize = 128 * 1024;

/// A letter that waits for its end.
#[derive(Debug)]
pub(super) struct OutLetter {
    pub(super) request: u64,
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
    sent: bool,
    accepted: bool,
    /// An earlier session took it and never said what became of it.
    unanswered_before: bool,
}

/// What became of a letter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It got further.
    Progress { request: u64, id: LetterId, progress: Progress },
    /// It was refused for good; the body is given back.
    Refused { request: u64, id: LetterId, may_have_arrived: bool, body: Vec<u8> },
}

/// The next letter to send.
#[derive(Debug)]
pub(super) struct Sendable<'a> {
    pub(super) to: &'a Name,
    pub(super) id: LetterId,
    pub(super) prev: u64,
    pub(super) body: &'a [u8],
}

#[derive(Debug, Default)]
struct Conversation {
    letters: VecDeque<OutLetter>,
    /// The last number given out.
    last_number: u64,
    /// The last number that left the conversation without being refused.
    last_taken: u64,
    /// How many letters, and bytes of bodies, are on their way.
    sent_letters: usize,
    sent_bytes: usize,
}

/// All conversations with one relay.
#[derive(Debug)]
pub(super) struct Outbox {
    id: OutboxId,
    conversations: BTreeMap<Name, Conversation>,
}

impl Outbox {
    pub(super) fn new(id: OutboxId) -> Outbox {
        Outbox { id, conversations: BTreeMap::new() }
    }

    /// Takes a letter from the user and gives it its number.
    pub(super) fn push(&mut self, request: u64, to: Name, body: Vec<u8>) {
        let conversation = self.conversations.entry(to).or_default();
        conversation.last_number += 1;
        let number = conversation.last_number;
        let letter =
            OutLetter { request, number, body, sent: false, accepted: false, unanswered_before: false };
        conversation.letters.push_back(letter);
    }

    /// Offers every letter that may go now, in order, until `send` says that there is no more room.
    pub(super) fn offer(&mut self, mut send: impl FnMut(Sendable<'_>) -> bool) {
        for (to, conversation) in &mut self.conversations {
            if !conversation.offer(self.id, to, &mut send) {
                return;
            }
        }
    }

    /// The session is gone: everything on its way goes again.
    pub(super) fn session_lost(&mut self) {
        for conversation in self.conversations.values_mut() {
            for letter in &mut conversation.letters {
                letter.unanswered_before |= std::mem::take(&mut letter.sent);
            }
            conversation.sent_letters = 0;
            conversation.sent_bytes = 0;
        }
    }

    /// The relay tells how far letters have come.
    pub(super) fn handle_receipt(&mut self, receipt: &Receipt<'_>, mut tell: impl FnMut(Outcome)) {
        if receipt.outbox != self.id {
            return;
        }
        let Some(conversation) = self.conversations.get_mut(receipt.to) else { return };
        let outbox = self.id;
        let accepted = receipt.accepted.max(receipt.delivered);
        for letter in conversation.letters.iter_mut().take_while(|l| l.number <= accepted) {
            let id = LetterId { outbox, number: letter.number };
            if letter.sent && !std::mem::replace(&mut letter.accepted, true) {
                tell(Outcome::Progress { request: letter.request, id, progress: Progress::Accepted });
            }
        }
        while let Some(letter) =
            conversation.letters.front().filter(|l| l.number <= receipt.delivered && l.sent)
        {
            let id = LetterId { outbox, number: letter.number };
            tell(Outcome::Progress { request: letter.request, id, progress: Progress::Delivered });
            conversation.last_taken = letter.number;
            conversation.remove(0);
        }
    }

    /// The relay refused a letter; `None` if it goes again, or is not known.
    pub(super) fn handle_refused(
        &mut self,
        to: &str,
        id: LetterId,
        reason: Reason,
        may_have_arrived: bool,
    ) -> Option<Outcome> {
        let conversation = self.conversations.get_mut(to).filter(|_| id.outbox == self.id)?;
        let place = conversation.letters.iter().position(|l| l.number == id.number && l.sent)?;
        if reason == Reason::Behind {
            conversation.put_back(place);
            return None;
        }
        let letter = conversation.remove(place);
        let may_have_arrived = may_have_arrived || letter.unanswered_before;
        Some(Outcome::Refused { request: letter.request, id, may_have_arrived, body: letter.body })
    }

    /// Whether nothing waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.conversations.values().all(|c| c.letters.is_empty())
    }
}

impl Conversation {
    fn offer(&mut self, outbox: OutboxId, to: &Name, send: &mut impl FnMut(Sendable<'_>) -> bool) -> bool {
        let mut prev = self.last_taken;
        for letter in &mut self.letters {
            if !letter.sent {
                let len = letter.body.len();
                let fits = self.sent_letters == 0 || self.sent_bytes + len <= WINDOW_BYTES;
                if self.sent_letters >= WINDOW_LETTERS || !fits {
                    return true;
                }
                let id = LetterId { outbox, number: letter.number };
                if !send(Sendable { to, id, prev, body: &letter.body }) {
                    return false;
                }
                letter.sent = true;
                self.sent_letters += 1;
                self.sent_bytes += len;
            }
            prev = letter.number;
        }
        true
    }

    fn put_back(&mut self, place: usize) {
        let letter = &mut self.letters[place];
        if std::mem::take(&mut letter.sent) {
            self.sent_letters -= 1;
            self.sent_bytes -= letter.body.len();
        }
    }

    fn remove(&mut self, place: usize) -> OutLetter {
        self.put_back(place);
        self.letters.remove(place).expect("the caller has found it there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;

    const BOX: OutboxId = OutboxId(7);

    fn outbox(letters: u64) -> Outbox {
        let mut outbox = Outbox::new(BOX);
        for n in 1..=letters {
            outbox.push(100 + n, "JACK".parse().unwrap(), vec![n as u8]);
        }
        outbox
    }

    fn offered(outbox: &mut Outbox) -> Vec<(u64, u64)> {
        let mut sent = Vec::new();
        outbox.offer(|letter| {
            sent.push((letter.id.number, letter.prev));
            true
        });
        sent
    }

    fn id(number: u64) -> LetterId {
        LetterId { outbox: BOX, number }
    }

    fn delivered(outbox: &mut Outbox, through: u64) -> Vec<u64> {
        let receipt =
            Receipt { to: "JACK", outbox: BOX, accepted: 0, delivered: through, read: 0, until: Wall(0) };
        let mut requests = Vec::new();
        outbox.handle_receipt(&receipt, |outcome| {
            if let Outcome::Progress { request, progress: Progress::Delivered, .. } = outcome {
                requests.push(request);
            }
        });
        requests
    }

    #[test]
    fn letters_go_in_order_each_once_and_end_with_their_receipt() {
        let mut outbox = outbox(3);
        assert_eq!(offered(&mut outbox), [(1, 0), (2, 1), (3, 2)]);
        assert_eq!(offered(&mut outbox), []);
        assert_eq!(delivered(&mut outbox, 2), [101, 102]);
        assert!(!outbox.is_empty());
        assert_eq!(delivered(&mut outbox, 3), [103]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn after_a_refusal_those_behind_go_again_with_a_new_prev() {
        let mut outbox = outbox(4);
        offered(&mut outbox);
        let refused = outbox.handle_refused("JACK", id(2), Reason::Full, false);
        let gone = Outcome::Refused { request: 102, id: id(2), may_have_arrived: false, body: vec![2] };
        assert_eq!(refused, Some(gone));
        assert_eq!(outbox.handle_refused("JACK", id(3), Reason::Behind, false), None);
        assert_eq!(offered(&mut outbox), [(3, 1)]);
        assert_eq!(outbox.handle_refused("JACK", id(4), Reason::Behind, false), None);
        assert_eq!(offered(&mut outbox), [(4, 3)]);
        assert_eq!(delivered(&mut outbox, 4), [101, 103, 104]);
    }

    #[test]
    fn a_lost_session_sends_everything_again_and_a_later_refusal_may_have_arrived() {
        let mut outbox = outbox(2);
        offered(&mut outbox);
        outbox.session_lost();
        assert!(delivered(&mut outbox, 2).is_empty(), "a receipt before it was sent again means nothing");
        assert_eq!(offered(&mut outbox), [(1, 0), (2, 1)]);
        let refused = outbox.handle_refused("JACK", id(1), Reason::Offline, false);
        assert!(matches!(refused, Some(Outcome::Refused { may_have_arrived: true, .. })));
        outbox.handle_refused("JACK", id(2), Reason::Behind, false);
        outbox.push(9, "JACK".parse().unwrap(), vec![]);
        assert_eq!(offered(&mut outbox), [(2, 0), (3, 2)]);
    }

    #[test]
    fn a_window_bounds_what_is_on_its_way() {
        let mut outbox = Outbox::new(BOX);
        for n in 0..3 {
            outbox.push(n, "JACK".parse().unwrap(), vec![0; WINDOW_BYTES]);
        }
        assert_eq!(offered(&mut outbox), [(1, 0)]);
        delivered(&mut outbox, 1);
        assert_eq!(offered(&mut outbox), [(2, 1)]);
        let mut many = super::tests::outbox(WINDOW_LETTERS as u64 + 5);
        assert_eq!(offered(&mut many).len(), WINDOW_LETTERS);
    }

    #[test]
    fn no_room_keeps_the_rest_for_later() {
        let mut outbox = outbox(3);
        let mut room = 2;
        outbox.offer(|_| {
            room -= 1;
            room >= 0
        });
        assert_eq!(offered(&mut outbox), [(3, 2)]);
    }
}
