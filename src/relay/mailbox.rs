//! Between the queues and the disk: letters written, loaded, expired, and what is said to their authors about it.

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

/// What is done when the store has answered.
#[derive(Debug)]
pub(super) enum Wait {
    /// The name of this member is durable; it may have come by an invitation. When it was
    /// registered, on the relay's own clock.
    Member(MemberId, Option<InvitationId>, u64),
    /// What the operator asked for is.
    Asked(Asked),
    /// A letter that its recipient does not want has left its mailbox.
    TurnedAway(TurnedAway),
    /// A batch of this member's queue is.
    Letters(MemberId),
    /// Letters of this member's mailbox are here.
    Mailbox(MemberId),
    /// The oldest letters of all are here.
    Oldest,
    /// A letter has left its mailbox.
    Expired(Expiring),
    /// A damaged letter is no letter any more.
    Damaged(DamagedLetter),
    /// What a sign-in says of its outbox is durable.
    Marked(Marking),
    /// What memory knows under these keys is on the disk.
    Kept(Vec<Kept>),
    /// The same, and with it how far a conversation was accepted of which its author hears at the
    /// next full second.
    HeldBack(Vec<Kept>, (MemberId, FlowId, u64)),
    /// Notes of where sessions are.
    Noted,
    /// Nothing is known of this member any more, whose name is unused since it was
    /// registered.
    Freed(MemberId, u64),
    /// Nothing is known of these any more.
    Rested(Box<Resting>),
}

/// Tickets, and what waits for their answers: as many as the store has records, and a load for each
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

/// The relay's own clock: how long it has run in all, in milliseconds. No jump of the wall clock moves it, and it stands
/// still while the relay is down; so no letter waits for less than it was promised.
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

/// What the relay knows of all mailboxes together.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) clock: Clock,
    /// What all queues hold.
    pub(super) stock: Stock,
    /// The parts that `echo` and all guests of a carrier have written.
    pub(super) echo_holds: usize,
    pub(super) udp_guests_hold: usize,
    pub(super) tcp_guests_hold: usize,
    pub(super) parcels: Parcels,
    /// The highest place given to a letter.
    pub(super) last_place: u64,
    /// Members whose queues may have something to be written, at this turn's end.
    due: BTreeSet<MemberId>,
    /// Letters on their way out of their mailboxes, by place, each with the ticket that ends it: at most one step of expiry,
    /// and those turned away.
    pub(super) expiring: BTreeMap<u64, Ticket>,
    /// Of those turned away, the ones whose way out failed, by whose mailbox they are in: it is taken again.
    pub(super) turned_away_again: BTreeMap<MemberId, Vec<TurnedAway>>,
    /// Letters of the relay itself or of guests that have left their mailboxes, by place, until the
    /// disk does not have them any more. For those of members the marks of their flows say so.
    pub(super) gone: BTreeSet<u64>,
    /// Sign-ins that the disk did not take: they are written again.
    pub(super) marking_again: BTreeMap<MemberId, Marking>,
    /// Outboxes of which memory knows nothing any more, and the disk may: one of each member.
    pub(super) making_room: BTreeMap<MemberId, OutboxId>,
    /// The last place this round of expiry has looked at; `None` between two rounds.
    pub(super) swept: Option<u64>,
    pub(super) sweep_scheduled: Option<Tick>,
    clock_scheduled: Option<Tick>,
}

impl Relay {
    /// Who writes under this name: a member, the relay itself, or guests of the carrier that the outbox is of.
    pub(super) fn author(&self, name: &str, outbox: OutboxId) -> Option<Author> {
        match name {
            ECHO => Some(Author::Echo),
            guest if guest.starts_with(GUEST_PREFIX) => Some(Author::Guest(carrier_of(outbox))),
            member => self.members.find_ever(member).map(Author::Member),
        }
    }

    pub(super) fn flow_of(&self, from: &Name, to: &Name, outbox: OutboxId) -> Option<(MemberId, FlowId)> {
        let (from, to) = (self.members.find_ever(from.as_str())?, self.members.find_ever(to.as_str())?);
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

    // Answers of the store.

    pub(super) fn handle_stored_record(&mut self, now: Now, ticket: Ticket, durable: bool, out: &mut Out) {
        match (self.tickets.take(ticket), durable) {
            (Some(Wait::Member(member, by, since)), _) => {
                self.handle_registered(now, (member, by, since), durable, out);
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
            (Some(Wait::HeldBack(keys, of)), _) => {
                self.handle_kept(ticket, &keys, durable);
                if durable {
                    self.tell_accepted(of);
                }
            }
            (Some(Wait::Noted), _) => self.handle_noted(now.tick, durable),
            (Some(Wait::Freed(member, since)), _) => self.handle_freed(now, (member, since), durable, out),
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

    /// At this turn's end the member's queue is looked at for letters that have to be written.
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

    /// Hands everything that has to be written to the store.
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
            place: entry.place().expect("a batch has its places"),
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

    /// Asks for more of the member's mailbox if its session has room for it.
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
        let (mut entries, mut stale) = (Vec::with_capacity(rows.len()), BTreeMap::<_, Vec<u64>>::new());
        let (mut through, mut leaving) = (None, None);
        // What nobody waits for any more is asked for again.
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
        if self.places[to.0].queue.loaded(ticket, (through, leaving), entries)
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

    /// A row as a letter; `None` if it is none, or of somebody who is no member any more.
    pub(super) fn entry_of(&self, now: Tick, row: &Row) -> Option<Entry> {
        let Held::Whole(bytes) = &row.held else { return None };
        let Ok(Some(ToClient::Delivery(delivery))) = ToClient::decode(bytes) else { return None };
        let Delivery { from, id, mark, body, .. } = delivery;
        let author = self.author(from, id.outbox)?;
        let entry = Entry::new(author, id, body.len(), now, row.since, bytes.clone().into());
        Some(entry.under(mark).kept(row.place))
    }

    /// The recipient has the letter, though the disk does not know.
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

    /// Something depends on the relay's own clock: from now on it is written down.
    pub(super) fn keep_clock(&mut self, now: Tick) {
        if self.post.clock_scheduled.is_none() {
            self.deadlines.set(Timer::Clock, Some(now + CLOCK_EVERY), &mut self.post.clock_scheduled);
        }
    }

    pub(super) fn write_clock(&mut self, now: Tick, out: &mut Out) {
        let clock = self.post.clock.now(now);
        self.keep(Kept::Clock, Record::Clock(clock), out);
    }

    /// The member is here no longer: what it has not stored goes to the disk, and so do its own watermarks.
    pub(super) fn leave_mailbox(&mut self, member: MemberId, out: &mut Out) {
        self.places[member.0].queue.there().map(Queue::session_ended);
        self.look_at_queue(member);
        for flow in self.places[member.0].flows.unwritten() {
            self.write_marks(member, flow, Vec::new(), out);
        }
    }

    /// The relay ends: everything that is in memory only is written, as far as one batch of each queue goes; the rest
    /// was accepted by nobody.
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
