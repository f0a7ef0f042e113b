//! The mailboxes' disk side: writes, loads and expires letters, and reports the results to their
//! senders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Effect, Held, Name, Now, OutboxId, Places, Query, Row, Tick, Ticket};
use crate::wire::message::{Delivery, Reason, ToClient};

use super::damaged::DamagedLetter;
use super::expiry::{Expiring, SWEEP_AGAIN};
use super::flows::{FlowId, To};
use super::guests::carrier_of;
use super::idle_flows::Resting;
use super::letters::{ECHO, GUEST_PREFIX};
use super::limits::{CLOCK_EVERY, LOAD_BYTES, SPILL_AFTER};
use super::marks::Marking;
use super::members::MemberId;
use super::operator::Asked;
use super::pace::Pace;
use super::parcels::Parcels;
use super::queue::{Author, Entry, Queue, Rows, Stock};
use super::records::{KeptLetter, Record};
use super::roll::InvitationId;
use super::screen::TurnedAway;
use super::sessions::RefusedLetter;
use super::unwritten::Kept;
use super::{Out, Relay, Timer};

/// Continuation of a request to the store.
#[derive(Debug)]
pub(super) enum Wait {
    /// Registration of this member, with the invitation used and the time on the uptime clock.
    Member(MemberId, Option<InvitationId>, u64),
    /// A request of the operator.
    Asked(Asked),
    /// Removal of a rejected letter from its mailbox.
    TurnedAway(TurnedAway),
    /// A batch of letters of this member's mailbox.
    Letters(MemberId),
    /// A load from this member's mailbox.
    Mailbox(MemberId),
    /// A load of the oldest letters of all.
    Oldest,
    /// Removal of an expired letter from its mailbox.
    Expired(Expiring),
    /// Removal of a damaged letter from its mailbox.
    Damaged(DamagedLetter),
    /// A sign-in's record of its outbox.
    Marked(Marking),
    /// State stored under these keys.
    Kept(Vec<Kept>),
    /// The same, with the accepted mark of a flow whose deliveries are reported at the next full
    /// second.
    HeldBack(Vec<Kept>, (MemberId, FlowId, u64)),
    /// Session hints.
    Noted,
    /// Removal of this member, whose name is unused; with the time of its registration.
    Freed(MemberId, u64),
    /// Removal of idle flows.
    Rested(Box<Resting>),
}

/// Tickets and their continuations: at most one for each record in the store and one load for each
/// member.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    waits: BTreeMap<Ticket, Wait>,
}

impl Tickets {
    pub(super) fn issue(&mut self, wait: Wait) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waits.insert(ticket, wait);
        ticket
    }

    fn take(&mut self, ticket: Ticket) -> Option<Wait> {
        self.waits.remove(&ticket)
    }
}

/// The uptime clock: total running time of the relay, in milliseconds.
///
/// Wall clock jumps do not move it, and it stops while the relay is down, so no letter expires
/// earlier than promised.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) base: u64,
    origin: Option<Tick>,
}

impl Clock {
    pub(super) fn now(&mut self, now: Tick) -> u64 {
        let origin = self.origin.get_or_insert(now).as_micros();
        self.base.saturating_add(now.as_micros().saturating_sub(origin) / 1_000)
    }
}

/// State of all mailboxes together.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) clock: Clock,
    /// Usage of all mailboxes.
    pub(super) stock: Stock,
    /// The parts of it that `echo` and all guests of one carrier use.
    pub(super) echo_holds: usize,
    pub(super) udp_guests_hold: usize,
    pub(super) tcp_guests_hold: usize,
    pub(super) parcels: Parcels,
    /// The highest sequence number assigned to a letter.
    pub(super) last_place: u64,
    /// Members whose mailboxes may have letters to write at the end of this turn.
    due: BTreeSet<MemberId>,
    /// Letters being removed from their mailboxes, by sequence number, with the ticket of the
    /// removal: at most one step of expiry, and rejected letters.
    pub(super) expiring: BTreeMap<u64, Ticket>,
    /// Rejected letters whose removal failed, by owner of the mailbox: it is repeated.
    pub(super) turned_away_again: BTreeMap<MemberId, Vec<TurnedAway>>,
    /// Letters of `echo` and of guests that were removed from their mailboxes, by sequence number,
    /// until their rows are deleted. For letters of members the watermarks of their flows say it.
    pub(super) gone: BTreeSet<u64>,
    /// Sign-ins whose record failed: they are written again.
    pub(super) marking_again: BTreeMap<MemberId, Marking>,
    /// Outboxes forgotten in memory and perhaps not on disk: at most one for each member.
    pub(super) making_room: BTreeMap<MemberId, OutboxId>,
    /// The last sequence number this round of expiry has examined; `None` between two rounds.
    pub(super) swept: Option<u64>,
    pub(super) sweep_scheduled: Option<Tick>,
    clock_scheduled: Option<Tick>,
}

impl Relay {
    /// Returns the sender with this name: a member, the relay itself, or the guests of the carrier
    /// that the outbox belongs to.
    pub(super) fn author(&self, name: &str, outbox: OutboxId) -> Option<Author> {
        match name {
            ECHO => Some(Author::Echo),
            guest if guest.starts_with(GUEST_PREFIX) => Some(Author::Guest(carrier_of(outbox))),
            member => self.members.find_ever(member).map(Author::Member),
        }
    }

    pub(super) fn flow_of(&self, from: &Name, to: &Name, outbox: OutboxId) -> Option<(MemberId, FlowId)> {
        let from = self.members.find_ever(from.as_str())?;
        let to = self.members.find_ever(to.as_str())?;
        Some((from, FlowId { outbox, to: To::Member(to) }))
    }

    pub(super) fn author_name(&self, author: Author, message: &[u8]) -> Name {
        match author {
            Author::Member(member) => self.members.name(member).clone(),
            Author::Echo => self.echo_name.clone(),
            Author::Guest(_) => match ToClient::decode(message) {
                Ok(Some(ToClient::Delivery(Delivery { from, .. }))) => from.parse().ok(),
                _ => None,
            }
            .expect("the relay wrote the message and the name in it"),
        }
    }

    // Results of the store.

    pub(super) fn handle_stored_record(&mut self, now: Now, ticket: Ticket, durable: bool, out: &mut Out) {
        match (self.tickets.take(ticket), durable) {
            (Some(Wait::Member(member, by, since)), _) => {
                self.handle_registered(now, member, by, since, durable, out);
            }
            (Some(Wait::Asked(asked)), _) => self.handle_asked(now, asked, durable, out),
            (Some(Wait::TurnedAway(letter)), _) => {
                self.handle_turned_away(now.tick, ticket, letter, durable, out);
            }
            (Some(Wait::Letters(member)), true) => self.handle_written(now, ticket, member, out),
            (Some(Wait::Letters(member)), false) => self.handle_not_written(now, ticket, member),
            (Some(Wait::Mailbox(member)), false) => {
                self.places[member.0].queue.not_loaded(ticket);
                self.wake_queue(member, now.tick + SPILL_AFTER);
            }
            (Some(Wait::Oldest), false) => self.sweep_later(now.tick + SWEEP_AGAIN),
            (Some(Wait::Expired(letter)), _) => self.handle_expired(now.tick, ticket, letter, durable),
            (Some(Wait::Marked(marking)), _) => self.handle_marked(now, marking, durable, out),
            (Some(Wait::Damaged(letter)), _) => self.handle_damaged(now.tick, ticket, letter, durable, out),
            (Some(Wait::Kept(keys)), _) => self.handle_kept(ticket, &keys, durable),
            (Some(Wait::HeldBack(keys, (author, flow, number))), _) => {
                self.handle_kept(ticket, &keys, durable);
                if durable {
                    self.tell_accepted(author, flow, number);
                }
            }
            (Some(Wait::Noted), _) => self.handle_noted(now.tick, durable),
            (Some(Wait::Freed(member, since)), _) => self.handle_freed(now, member, since, durable, out),
            (Some(Wait::Rested(resting)), _) => self.handle_rested(*resting, durable, out),
            (Some(Wait::Mailbox(_) | Wait::Oldest) | None, _) => {}
        }
        self.plan_retry(now.tick, ticket, durable);
    }

    pub(super) fn handle_rows(&mut self, now: Now, ticket: Ticket, rows: Vec<Row>, out: &mut Out) {
        match self.tickets.take(ticket) {
            Some(Wait::Mailbox(member)) => self.handle_loaded(now, ticket, member, &rows, out),
            Some(Wait::Oldest) => self.handle_oldest(now, &rows, out),
            _ => {}
        }
    }

    // Writing.

    /// Schedules a check of the member's mailbox for letters to write, at the end of this turn.
    pub(super) fn look_at_queue(&mut self, member: MemberId) {
        self.post.due.insert(member);
    }

    pub(super) fn wake_queue(&mut self, member: MemberId, at: Tick) {
        let scheduled = &mut self.places[member.0].queue.scheduled;
        self.deadlines.set(Timer::Queue(member), Some(at), scheduled);
    }

    pub(super) fn handle_queue_time(&mut self, now: Tick, tick: Tick, member: MemberId, out: &mut Out) {
        let place = &mut self.places[member.0];
        if place.queue.scheduled == Some(tick) {
            place.queue.scheduled = None;
        }
        let session = place.session;
        for letter in self.post.turned_away_again.remove(&member).into_iter().flatten() {
            self.write_turned_away(letter, out);
        }
        self.mark_again(member, out);
        if self.members.is_removed(member) {
            return self.turn_all_away(now, member, out);
        }
        self.look_at_queue(member);
        if let Some(slot) = session {
            self.sessions.mark(slot);
        }
    }

    /// Submits all letters that must be written.
    pub(super) fn write_queues(&mut self, now: Tick, out: &mut Out) {
        while let Some(member) = self.post.due.pop_first() {
            let away = self.present(member).is_none();
            let Some(queue) = self.places[member.0].queue.there() else { continue };
            let ticket = self.tickets.issue(Wait::Letters(member));
            let batch = queue.next_batch(now, away, ticket, &mut self.post.last_place);
            if batch.is_empty() {
                self.tickets.take(ticket);
                if let Some(at) = self.places[member.0].queue.next_deadline() {
                    self.wake_queue(member, at.max(now + Duration::from_micros(1)));
                }
                continue;
            }
            let letters = batch.into_iter().map(|entry| self.kept_letter(entry)).collect();
            let to = self.members.name(member).clone();
            out.effects.push(Effect::Persist(ticket, Record::Letters { to, letters }));
        }
    }

    fn kept_letter(&self, entry: Entry) -> KeptLetter {
        KeptLetter {
            place: entry.place().expect("`next_batch` has assigned sequence numbers"),
            since: entry.born,
            from: self.author_name(entry.author, &entry.message),
            id: entry.id,
            len: entry.len as u64,
            mark: entry.mark,
            message: entry.message,
        }
    }

    fn handle_written(&mut self, now: Now, ticket: Ticket, to: MemberId, out: &mut Out) {
        let accepted = self.places[to.0].queue.committed(ticket);
        self.count_queue(to);
        self.stats.letters_written += accepted.len() as u64;
        for (author, id, born) in accepted {
            let Author::Member(author) = author else { continue };
            let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
            let place = &mut self.places[author.0];
            place.flows.accepted(flow, id.number, born);
            if let Some(slot) = place.session {
                self.sessions.mark(slot);
            }
        }
        if self.post.sweep_scheduled.is_none() && self.post.swept.is_none() {
            self.sweep_later(now.tick + self.limits.keep);
        }
        self.keep_clock(now.tick);
        self.turn_refused_away(to, out);
        self.look_at_queue(to);
        if let Some(slot) = self.places[to.0].session {
            self.sessions.mark(slot);
        }
    }

    fn handle_not_written(&mut self, now: Now, ticket: Ticket, to: MemberId) {
        let away = self.present(to).is_none();
        let refused = self.places[to.0].queue.failed(now.tick, ticket, away);
        self.count_queue(to);
        let name = self.members.name(to).clone();
        for entry in refused {
            let Author::Member(author) = entry.author else { continue };
            let flow = FlowId { outbox: entry.id.outbox, to: To::Member(to) };
            let refusal = RefusedLetter::of(name.as_str(), entry.id, Reason::Full);
            self.refuse_taken(author, flow, RefusedLetter { may_have_arrived: entry.was_handed, ..refusal });
        }
        self.look_at_queue(to);
    }

    // Loading.

    /// Loads more of the member's mailbox if its session has space for it.
    pub(super) fn load_mailbox(&mut self, now: Tick, member: MemberId, out: &mut Out) {
        let queue = &mut self.places[member.0].queue;
        let Some(rows) = queue.wants_rows(now, Pace::of(&self.limits)) else { return };
        let places = match rows {
            Rows::Behind(after) => Places::Behind(after),
            Rows::At(places) => Places::At(places),
        };
        let ticket = self.tickets.issue(Wait::Mailbox(member));
        queue.mark_loading(ticket);
        let owner = Some(self.members.name(member).clone());
        out.effects.push(Effect::Load(ticket, Query { owner, places, bytes_max: LOAD_BYTES }));
    }

    fn handle_loaded(&mut self, now: Now, ticket: Ticket, to: MemberId, rows: &[Row], out: &mut Out) {
        let mut entries = Vec::with_capacity(rows.len());
        let mut stale = BTreeMap::<_, Vec<u64>>::new();
        let mut through = None;
        let mut leaving = None;
        // Rows of a cancelled load are ignored; they are requested again.
        let rows = if self.places[to.0].queue.awaits(ticket) { rows } else { &[] };
        for row in rows {
            leaving = self.post.expiring.get(&row.place).copied();
            if let (Held::Damaged(label), None) = (&row.held, leaving) {
                leaving = self.put_aside(to, row.place, label.as_ref(), out);
            }
            if leaving.is_some() {
                break;
            }
            through = Some(row.place);
            let Some(entry) = self.entry_of(now.tick, row) else { continue };
            if self.was_delivered(to, &entry) {
                self.places[to.0].queue.was_left(row.place, entry.author, entry.len);
                let flow = FlowId { outbox: entry.id.outbox, to: To::Member(to) };
                stale.entry((entry.author, flow)).or_default().push(row.place);
            } else {
                entries.push(entry);
            }
        }
        if self.places[to.0].queue.loaded(ticket, through, leaving, entries)
            && let Some(slot) = self.places[to.0].session
        {
            self.sessions.mark(slot);
        }
        if self.members.is_removed(to) {
            self.turn_all_away(now.tick, to, out);
        }
        if !stale.is_empty() {
            self.count_queue(to);
        }
        for ((author, flow), places) in stale {
            self.write_delivered(author, flow, places, out);
        }
    }

    /// Converts a row to a mailbox entry. `None` if it is malformed or its sender is unknown.
    pub(super) fn entry_of(&self, now: Tick, row: &Row) -> Option<Entry> {
        let Held::Whole(bytes) = &row.held else { return None };
        let Ok(Some(ToClient::Delivery(delivery))) = ToClient::decode(bytes) else { return None };
        let Delivery { from, id, mark, body, .. } = delivery;
        let author = self.author(from, id.outbox)?;
        let entry = Entry::new(author, id, body.len(), now, row.since, bytes.clone().into());
        Some(entry.under(mark).kept(row.place))
    }

    /// Whether the recipient has the letter although its row is still on disk.
    pub(super) fn was_delivered(&self, to: MemberId, entry: &Entry) -> bool {
        let Author::Member(author) = entry.author else {
            return entry.place().is_some_and(|place| self.post.gone.contains(&place));
        };
        let flow = FlowId { outbox: entry.id.outbox, to: To::Member(to) };
        self.places[author.0].flows.marks(flow).is_some_and(|marks| entry.id.number <= marks.delivered)
    }

    pub(super) fn handle_clock_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.post.clock_scheduled == Some(tick) {
            self.post.clock_scheduled = None;
        }
        self.write_clock(now, out);
        if self.post.sweep_scheduled.is_some() || !self.unused.is_empty() || !self.idle_flows.is_empty() {
            self.keep_clock(now);
        }
    }

    /// Persists the uptime clock from here on, because something depends on it.
    pub(super) fn keep_clock(&mut self, now: Tick) {
        if self.post.clock_scheduled.is_none() {
            self.deadlines.set(Timer::Clock, Some(now + CLOCK_EVERY), &mut self.post.clock_scheduled);
        }
    }

    pub(super) fn write_clock(&mut self, now: Tick, out: &mut Out) {
        let clock = self.post.clock.now(now);
        self.keep(Kept::Clock, Record::Clock(clock), out);
    }

    /// Handles a member going offline: its unstored letters and its own watermarks are written to
    /// disk.
    pub(super) fn leave_mailbox(&mut self, member: MemberId, out: &mut Out) {
        self.places[member.0].queue.there().map(Queue::session_ended);
        self.look_at_queue(member);
        for flow in self.places[member.0].flows.unwritten() {
            self.write_marks(member, flow, Vec::new(), out);
        }
    }

    /// Handles the end of the relay: writes everything that is in memory only, at most one batch
    /// for each mailbox. The rest was never reported as accepted.
    pub(super) fn close_mailboxes(&mut self, now: Tick, out: &mut Out) {
        for member in (0..self.places.len()).map(MemberId) {
            if self.places[member.0].session.take().is_some() {
                self.leave_mailbox(member, out);
            }
        }
        self.write_all_again(now, out);
        self.write_queues(now, out);
        self.write_clock(now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LetterId;
    use crate::relay::records::Mail;
    use crate::relay::test_relay::relay_of_two;

    /// A row that cannot be deleted may be loaded again, or be too old. Without a flow only its
    /// sequence number tells that its recipient has the letter.
    #[test]
    fn stored_letter_of_echo_is_delivered_until_its_row_is_gone() {
        let mut relay = relay_of_two(Mail::default());
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        let entry = Entry::new(Author::Echo, id, 5, Tick::ZERO, 0, vec![].into()).kept(392);
        let mut out = Out::default();
        assert!(!relay.was_delivered(MemberId(0), &entry));
        relay.write_gone(vec![392], &mut out);
        assert!(relay.was_delivered(MemberId(0), &entry));
        let keys = [Kept::Flow(None, Some(392))];
        relay.handle_kept(Ticket(0), &keys, false);
        assert!(relay.was_delivered(MemberId(0), &entry), "the disk refused to delete it");
        relay.handle_kept(Ticket(0), &keys, true);
        assert!(!relay.was_delivered(MemberId(0), &entry));
    }
}
