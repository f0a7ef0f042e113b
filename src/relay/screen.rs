//! Block lists: unwanted letters are refused when they arrive, and waiting ones when they would be
//! sent. Each refusal is reported to its sender.

use std::collections::BTreeSet;

use crate::base::{LetterId, Name, Tick, Ticket, blank};
use crate::wire::message::{Names, Reason, SCREEN_FIRST, SCREEN_LAST, SCREEN_ONLY};

use super::flows::{FlowId, Refusal, To};
use super::limits::{SPILL_AFTER, TURNED_AWAY_EVERY, TURNED_AWAY_MAX};
use super::mailbox::Wait;
use super::members::MemberId;
use super::queue::{Author, Entry};
use super::records::{OwedRefusal, Record};
use super::roll::{Change, SCREENED_MAX};
use super::sessions::{RefusedLetter, Slot};
use super::unwritten::Kept;
use super::{Out, Relay};

/// Block list and allow list of one session.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Whether a list is expected: no letter is sent before it is complete.
    pub(super) awaited: bool,
    /// A list of which further parts are expected.
    coming: BTreeSet<Name>,
    /// Allow list: only letters of these members are sent, while the session lasts.
    pub(super) only: Option<BTreeSet<Name>>,
    /// The next allow list, until the block list that follows it is complete.
    next_only: Option<BTreeSet<Name>>,
}

blank!(
    Screen,
    Screen { awaited: false, coming: BTreeSet::new(), only: None, next_only: None },
    Screen::is_plain
);

impl Screen {
    /// Whether the session has no lists and expects none.
    pub(super) fn is_plain(&self) -> bool {
        let Screen { awaited, coming, only, next_only } = self;
        !awaited && coming.is_empty() && only.is_none() && next_only.is_none()
    }
}

impl Relay {
    /// Handles a part of a list. Invalid names and those beyond the bound are skipped without a
    /// reply, because clients know the bound.
    pub(super) fn handle_screen(&mut self, slot: Slot, flags: u8, names: Names<'_>, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let screen = &mut *session.screen;
        if flags & SCREEN_FIRST != 0 {
            screen.coming.clear();
        }
        for name in names.iter().filter_map(|name| name.parse().ok()) {
            if screen.coming.len() < SCREENED_MAX {
                screen.coming.insert(name);
            }
        }
        if flags & SCREEN_LAST == 0 {
            return;
        }
        let list = std::mem::take(&mut screen.coming);
        if flags & SCREEN_ONLY != 0 {
            screen.next_only = Some(list);
            return;
        }
        screen.only = screen.next_only.take();
        screen.awaited = false;
        self.set_blocked(member, list, out);
        self.sessions.mark(slot);
    }

    /// Replaces this member's block list, durably.
    pub(super) fn set_blocked(&mut self, member: MemberId, blocked: BTreeSet<Name>, out: &mut Out) {
        let known = &mut self.places[member.0].blocked;
        if **known == blocked {
            return;
        }
        **known = blocked;
        self.write_blocked(member, out);
    }

    /// Writes this member's block list. A removed member's list is written too, as an empty one.
    pub(super) fn write_blocked(&mut self, member: MemberId, out: &mut Out) {
        if self.members.is_durable(member) || self.members.is_removed(member) {
            let owner = self.members.name(member).clone();
            let blocked = self.places[member.0].blocked.iter().cloned().collect();
            self.keep(Kept::Blocked(member), Record::Roll(Change::Blocks { owner, blocked }), out);
        }
    }

    /// Whether letters of this sender to `to` are blocked. A member's own letters and the relay's
    /// never are.
    pub(super) fn is_unwanted(&self, to: MemberId, author: Author) -> bool {
        let Author::Member(from) = author else { return false };
        from != to && self.has_screen(to) && self.screens_out(to, self.members.name(from))
    }

    /// Whether the member blocks any name.
    fn has_screen(&self, to: MemberId) -> bool {
        let place = &self.places[to.0];
        let only = |slot| self.sessions.screen(slot).is_some_and(|screen| screen.only.is_some());
        !place.blocked.is_empty() || place.session.is_some_and(only)
    }

    /// Whether the member blocks letters from another member of this name.
    pub(super) fn screens_out(&self, to: MemberId, name: &Name) -> bool {
        let place = &self.places[to.0];
        let screen = place.session.and_then(|slot| self.sessions.screen(slot));
        let only = screen.and_then(|screen| screen.only.as_ref());
        place.blocked.contains(name) || only.is_some_and(|only| !only.contains(name))
    }

    /// Refuses waiting letters of a removed member, as far as they are in memory. The rest is
    /// loaded, or follows in a later turn.
    pub(super) fn turn_all_away(&mut self, now: Tick, member: MemberId, out: &mut Out) {
        for _ in 0..TURNED_AWAY_MAX {
            if self.places[member.0].queue.next_waiting().is_none() {
                return self.load_mailbox(now, member, out);
            }
            self.turn_away_next(member, Reason::Unknown, out);
        }
        self.wake_queue(member, now + TURNED_AWAY_EVERY);
    }

    /// Refuses the next letter of a mailbox.
    ///
    /// An accepted letter leaves the disk together with the record of its refusal. The number of
    /// such refusals is bounded by the letters that mailboxes took from the sender.
    pub(super) fn turn_away_next(&mut self, to: MemberId, reason: Reason, out: &mut Out) {
        let Some(entry) = self.places[to.0].queue.take_next() else { return };
        self.count_queue(to);
        let place = entry.place();
        let id = entry.id;
        let Author::Member(author) = entry.author else { return self.drop_echo(&entry, out) };
        let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
        let name = self.members.name(to).clone();
        let Some(place) = place else {
            let refusal = RefusedLetter::of(name.as_str(), id, reason);
            let may_have_arrived = entry.was_handed;
            return self.refuse_taken(author, flow, RefusedLetter { may_have_arrived, ..refusal });
        };
        self.stats.letters_refused += 1;
        let may_have_arrived = self.places[to.0].queue.was_handed(&entry);
        let refusal = (reason, may_have_arrived);
        let by_reader = false;
        self.write_turned_away(TurnedAway { place, author, to, id, refusal, by_reader }, out);
    }

    /// Removes a letter from the disk and records its refusal. A load that waits for an earlier
    /// attempt is repeated.
    pub(super) fn write_turned_away(&mut self, letter: TurnedAway, out: &mut Out) {
        let TurnedAway { place, author, to, id, refusal: (reason, may_have_arrived), .. } = letter;
        let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
        self.places[author.0].flows.leaving.begin(flow, id.number);
        let from = self.members.name(author).clone();
        let name = self.members.name(to).clone();
        let owed = OwedRefusal { from, to: name, id, reason, may_have_arrived };
        let ticket = self.persist(Wait::TurnedAway(letter), Record::Expired { place, owed }, out);
        if let Some(failed) = self.post.expiring.insert(place, ticket) {
            self.load_on(to, failed);
        }
    }

    /// Removes a letter of the relay itself, or of a guest, without a refusal.
    pub(super) fn drop_echo(&mut self, entry: &Entry, out: &mut Out) {
        self.write_gone(entry.place().into_iter().collect(), out);
    }

    /// Handles the removal of a rejected letter; its sender receives the refusal. A failed record
    /// is soon repeated.
    pub(super) fn handle_turned_away(
        &mut self,
        now: Tick,
        ticket: Ticket,
        letter: TurnedAway,
        durable: bool,
        out: &mut Out,
    ) {
        let TurnedAway { place, author, to, id, refusal, by_reader } = letter;
        if !durable {
            self.post.turned_away_again.entry(to).or_default().push(letter);
            return self.wake_queue(to, now + SPILL_AFTER);
        }
        self.post.expiring.remove(&place);
        if by_reader {
            self.places[to.0].queue.refusal_ended();
        }
        self.load_on(to, ticket);
        let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
        let place = &mut self.places[author.0];
        place.flows.owe_refusal(flow, id.number, refusal);
        let stored = place.flows.leaving.end(flow, id.number);
        if let Some(slot) = place.session {
            self.sessions.mark(slot);
        }
        if let Some(through) = stored {
            self.store_through(now, to, Author::Member(author), id.outbox, through, out);
        }
    }

    /// Allows loads of the letters behind one whose removal ended with this ticket.
    fn load_on(&mut self, to: MemberId, ticket: Ticket) {
        self.places[to.0].queue.not_loaded(ticket);
        if let Some(slot) = self.places[to.0].session {
            self.sessions.mark(slot);
        }
    }
}

/// A rejected letter being removed from its mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnedAway {
    pub(super) place: u64,
    pub(super) author: MemberId,
    pub(super) to: MemberId,
    pub(super) id: LetterId,
    pub(super) refusal: Refusal,
    /// Whether the recipient refused it after it had been sent.
    pub(super) by_reader: bool,
}
