//! Damaged letters on disk. They are not sent to their recipients and stay on disk unchanged; their
//! senders, if known, receive a refusal.

use crate::base::{Effect, Label, LetterId, Tick, Ticket};
use crate::wire::message::Reason;

use super::flows::{FlowId, To};
use super::limits::SPILL_AFTER;
use super::mailbox::Wait;
use super::members::MemberId;
use super::queue::Author;
use super::records::{OwedRefusal, Record};
use super::{Event, Out, Relay};

/// A damaged letter that is being removed from its mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct DamagedLetter {
    place: u64,
    to: MemberId,
    /// Sender, identifier and body length, if known.
    letter: Option<(Author, LetterId, usize)>,
    may_have_arrived: bool,
}

impl Relay {
    /// Removes a damaged letter from its mailbox and returns the ticket of the record.
    ///
    /// Returns `None` if it stays for now: it is being removed or gone, it is in memory too, or its
    /// sender has too many pending refusals.
    pub(super) fn put_aside(
        &mut self,
        to: MemberId,
        place: u64,
        label: Option<&Label>,
        out: &mut Out,
    ) -> Option<Ticket> {
        let letter = label.and_then(|label| {
            let author = self.author(label.from.as_str(), label.id.outbox)?;
            Some((author, label.id, label.len))
        });
        let may = match letter {
            Some((Author::Member(author), ..)) => self.places[author.0].flows.may_owe_refusal(),
            _ => true,
        };
        let queue = &self.places[to.0].queue;
        if !may || !queue.is_on_disk_only(place) || self.post.expiring.contains_key(&place) {
            return None;
        }
        let may_have_arrived = queue.may_have_arrived(place);
        let name = self.members.name(to).clone();
        let owed = letter.and_then(|(author, id, _)| {
            let Author::Member(author) = author else { return None };
            let from = self.members.name(author).clone();
            let to = name.clone();
            Some(OwedRefusal { from, to, id, reason: Reason::Damaged, may_have_arrived })
        });
        let letter = DamagedLetter { place, to, letter, may_have_arrived };
        let ticket = self.tickets.issue(Wait::Damaged(letter));
        self.post.expiring.insert(place, ticket);
        out.effects.push(Effect::Persist(ticket, Record::Damaged { place, to: name, owed }));
        Some(ticket)
    }

    /// Handles the commit of a removal, after which the letters behind it may be loaded. If it
    /// failed, the letter is found again later.
    pub(super) fn handle_damaged(
        &mut self,
        now: Tick,
        ticket: Ticket,
        letter: DamagedLetter,
        durable: bool,
        out: &mut Out,
    ) {
        let DamagedLetter { place, to, letter, may_have_arrived } = letter;
        self.post.expiring.remove(&place);
        let queue = &mut self.places[to.0].queue;
        queue.not_loaded(ticket);
        if !durable {
            return self.wake_queue(to, now + SPILL_AFTER);
        }
        match letter {
            Some((author, _, len)) => queue.expired(place, author, len),
            None => queue.lost(place),
        }
        self.count_queue(to);
        let mut from = None;
        if let Some((Author::Member(author), id, _)) = letter {
            from = Some(self.members.name(author).clone());
            let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
            self.places[author.0].flows.owe_refusal(flow, id.number, (Reason::Damaged, may_have_arrived));
            self.places[author.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
        }
        out.show(Event::Damaged { place, to: self.members.name(to).clone(), from });
        if self.members.is_removed(to) {
            self.turn_all_away(now, to, out);
        }
        self.places[to.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
    }
}
