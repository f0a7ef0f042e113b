//! Expiry: finds letters on disk that have waited too long, oldest first, and refuses them as
//! `expired`.

use std::time::Duration;

use crate::base::{Effect, Held, LetterId, Now, Places, Query, Row, Tick, Ticket};
use crate::wire::message::Reason;

use super::flows::{FlowId, To};
use super::limits::{SPILL_AFTER, SWEEP_BYTES};
use super::mailbox::Wait;
use super::members::MemberId;
use super::queue::Author;
use super::records::{OwedRefusal, Record};
use super::{Out, Relay, Timer};

/// Minimum interval between two steps of expiry, also after one that could not finish, so that the
/// loop does not spin.
pub(super) const SWEEP_AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Expiring {
    place: u64,
    author: Author,
    to: MemberId,
    id: LetterId,
    len: usize,
    may_have_arrived: bool,
    /// Whether the mailbox counts the letter: it has not left it yet.
    counted: bool,
}

impl Relay {
    pub(super) fn sweep_later(&mut self, at: Tick) {
        self.post.swept = None;
        self.deadlines.set(Timer::Sweep, Some(at), &mut self.post.sweep_scheduled);
    }

    /// Starts a search for letters that have waited too long, oldest first.
    pub(super) fn handle_sweep_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.post.sweep_scheduled == Some(tick) {
            self.post.sweep_scheduled = None;
        }
        if self.post.swept.is_some() {
            return;
        }
        self.post.clock.now(now);
        self.sweep_on(0, out);
    }

    fn sweep_on(&mut self, after: u64, out: &mut Out) {
        self.post.swept = Some(after);
        let ticket = self.tickets.issue(Wait::Oldest);
        out.effects.push(Effect::Load(
            ticket,
            Query { owner: None, places: Places::Behind(after), bytes_max: SWEEP_BYTES },
        ));
    }

    pub(super) fn handle_oldest(&mut self, now: Now, rows: &[Row], out: &mut Out) {
        self.post.swept = None;
        let clock = self.post.clock.now(now.tick);
        let keep = self.limits.keep.as_millis() as u64;
        for row in rows {
            if let Held::Damaged(label) = &row.held {
                if let Some(to) = self.members.find_ever(row.owner.as_str()) {
                    self.put_aside(to, row.place, label.as_ref(), out);
                }
                continue;
            }
            let left = row.since.saturating_add(keep).saturating_sub(clock);
            if left > 0 {
                let wait = Duration::from_millis(left).max(Duration::from_secs(1));
                return self.sweep_later(now.tick + wait);
            }
            self.expire(now.tick, row, out);
        }
        match rows.last() {
            Some(row) => self.sweep_on(row.place, out),
            // Nothing is left, or only letters that could not expire.
            None if !self.post.stock.is_empty() => {
                self.sweep_later(now.tick + SWEEP_AGAIN);
            }
            None => {}
        }
    }

    fn expire(&mut self, now: Tick, row: &Row, out: &mut Out) {
        let Some(to) = self.members.find_ever(row.owner.as_str()) else { return };
        let Some(entry) = self.entry_of(now, row) else { return };
        let author = entry.author;
        let id = entry.id;
        let len = entry.len;
        let may = match author {
            Author::Member(author) => self.places[author.0].flows.may_owe_refusal(),
            Author::Echo | Author::Guest(_) => true,
        };
        let place = row.place;
        if !may || self.places[to.0].queue.holds(place) || self.post.expiring.contains_key(&place) {
            return;
        }
        if self.was_delivered(to, &entry) {
            self.places[to.0].queue.was_left(place, author, len);
            self.count_queue(to);
            let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
            return self.write_delivered(author, flow, vec![place], out);
        }
        let counted = self.places[to.0].queue.is_on_disk_only(place);
        if !counted && !matches!(author, Author::Member(_)) {
            return;
        }
        let may_have_arrived = self.places[to.0].queue.may_have_arrived(place);
        let letter = Expiring { place, author, to, id, len, may_have_arrived, counted };
        let ticket = self.tickets.issue(Wait::Expired(letter));
        self.post.expiring.insert(place, ticket);
        let from = self.author_name(author, &entry.message);
        let to = row.owner.clone();
        let owed = OwedRefusal { from, to, id, reason: Reason::Expired, may_have_arrived };
        out.effects.push(Effect::Persist(ticket, Record::Expired { place, owed }));
    }

    /// Handles the commit of an expiry. The letters behind it may then be loaded: the sender
    /// receives the refusal first. If the write failed, the letter stays in its mailbox.
    pub(super) fn handle_expired(&mut self, now: Tick, ticket: Ticket, letter: Expiring, durable: bool) {
        let Expiring { place, author, to, id, len, may_have_arrived, counted } = letter;
        self.post.expiring.remove(&place);
        self.places[to.0].queue.not_loaded(ticket);
        if !durable {
            return self.wake_queue(to, now + SPILL_AFTER);
        }
        self.places[to.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
        if counted {
            self.places[to.0].queue.expired(place, author, len);
            self.count_queue(to);
        }
        self.stats.letters_expired += 1;
        let Author::Member(author) = author else { return };
        let flow = FlowId { outbox: id.outbox, to: To::Member(to) };
        self.places[author.0].flows.owe_refusal(flow, id.number, (Reason::Expired, may_have_arrived));
        if let Some(slot) = self.places[author.0].session {
            self.sessions.mark(slot);
        }
    }
}
