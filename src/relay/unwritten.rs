//! What the disk did not take, and what becomes of it.
//!
//! Each record that is handed to the disk has its [`Wait`]. One that was asked for is refused to
//! the one who asked; one that takes something out of memory takes it out when it is durable. Each
//! of the others says what memory knows, under a key: of one that failed the key is kept, one entry
//! for each however long the disk refuses, and what memory knows of it then is written when the
//! disk takes records again. [`Record`] says which is which.
//!
//! Keys are tried again a second after the first failure, later with pauses that double; at once
//! after those where all were taken, twice as many each time, so that a disk with room for one row
//! is not asked for a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Effect, LetterId, OutboxId, Tick, Ticket, Wall};

use super::flows::{FlowId, Refusal, To};
use super::mailbox::Wait;
use super::members::MemberId;
use super::records::{OwedRefusal, Record};
use super::{Out, Relay, Timer};

/// The first pause, and the longest: a disk that has room again has everything within that time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Records tried at once, at most; the next ones after [`RETRY_NEXT`]. As many of the longest,
/// lists of those whose letters are refused, are half of what the store has room for.
const RETRIED_MAX: usize = 64;
/// Lets other inputs in between.
const RETRY_NEXT: Duration = Duration::from_millis(10);
/// Letters of one conversation that leave the disk with one record.
const LETTERS_MAX: usize = 512;

/// What a record says, so that what memory knows of it can be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    /// The relay's own clock.
    Clock,
    /// Where sessions are.
    Notes,
    /// Names whose time is over are free.
    FreeNames,
    /// Whose letters this member refuses.
    Blocked(MemberId),
    /// When this member was here last.
    Seen(MemberId),
    /// The name of this member is used.
    Used(MemberId),
    /// The last sign-in of this member with this outbox, whose session is gone; and that nothing is
    /// known any more of another of its outboxes.
    Outbox(MemberId, OutboxId, Option<OutboxId>),
    /// How far letters of this author have come, or, without a number, what their reader claims;
    /// and that the letter at this place has left its mailbox. Without an author: a letter of the
    /// relay or of a guest.
    Flow(Option<(MemberId, FlowId)>, Option<u64>),
    /// This author knows that this letter was refused.
    Heard(MemberId, FlowId, u64, Refusal),
}

/// What is to be written again.
#[derive(Debug)]
pub(super) struct Unwritten {
    keys: BTreeSet<Kept>,
    /// When members were here last of whom that is not durable, and the record that said so last.
    pub(super) seen: BTreeMap<MemberId, (Wall, Ticket)>,
    /// What was handed over by the present try and has no answer.
    tried: BTreeSet<Ticket>,
    /// A try is being handed over.
    is_trying: bool,
    /// Something of the present try failed.
    has_failed: bool,
    /// Records of the next try, at most, and the pause before it if the present one fails.
    at_once: usize,
    pause: Duration,
    scheduled: Option<Tick>,
}

impl Default for Unwritten {
    fn default() -> Unwritten {
        Unwritten {
            keys: BTreeSet::new(),
            seen: BTreeMap::new(),
            tried: BTreeSet::new(),
            is_trying: false,
            has_failed: false,
            at_once: 1,
            pause: RETRY_AFTER,
            scheduled: None,
        }
    }
}

impl Unwritten {
    /// Whether what memory knows of this failed to be written.
    pub(super) fn has(&self, key: Kept) -> bool {
        self.keys.contains(&key)
    }

    /// Number of keys, those apart that are being tried.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of the next record.
    fn pop(&mut self) -> Option<Vec<Kept>> {
        let mut keys = vec![self.keys.pop_first()?];
        if let Kept::Flow(of, _) = keys[0] {
            let is_same = |key: &Kept| matches!(key, Kept::Flow(other, _) if *other == of);
            while keys.len() <= LETTERS_MAX && self.keys.first().is_some_and(is_same) {
                keys.extend(self.keys.pop_first());
            }
        }
        Some(keys)
    }

    /// A record has its answer. Returns how long to wait before the next try, if there is one to
    /// plan.
    fn answered(&mut self, ticket: Ticket, durable: bool) -> Option<Duration> {
        if self.keys.is_empty() && self.tried.is_empty() {
            return None;
        }
        let was_tried = self.tried.remove(&ticket);
        self.has_failed |= was_tried && !durable;
        if !self.tried.is_empty() {
            return None;
        }
        if !was_tried {
            // That the disk takes others shortens the pause.
            return Some(if durable { RETRY_AFTER } else { self.pause });
        }
        if std::mem::take(&mut self.has_failed) {
            self.at_once = 1;
            let pause = self.pause;
            self.pause = (pause * 2).min(RETRY_AFTER_MAX);
            return Some(pause);
        }
        (self.at_once, self.pause) = ((self.at_once * 2).min(RETRIED_MAX), RETRY_AFTER);
        Some(RETRY_NEXT)
    }
}

impl Relay {
    /// Hands a record to the disk, whose answer `wait` hears.
    pub(super) fn persist(&mut self, wait: Wait, record: Record, out: &mut Out) -> Ticket {
        let ticket = self.tickets.issue(wait);
        if self.unwritten.is_trying {
            self.unwritten.tried.insert(ticket);
        }
        out.effects.push(Effect::Persist(ticket, record));
        ticket
    }

    /// Hands over a record that says what memory knows under this key.
    pub(super) fn keep(&mut self, key: Kept, record: Record, out: &mut Out) -> Ticket {
        self.persist(Wait::Kept(vec![key]), record, out)
    }

    /// What memory knew under these keys is on the disk, or is to be written again.
    pub(super) fn handle_kept(&mut self, ticket: Ticket, keys: &[Kept], durable: bool) {
        if !durable {
            return keys.iter().for_each(|key| self.write_later(*key));
        }
        if let Some(Kept::Flow(None, _)) = keys.first() {
            for key in keys {
                if let Kept::Flow(None, Some(place)) = key {
                    self.post.gone.remove(place);
                }
            }
        }
        if let Some(Kept::Seen(member)) = keys.first()
            && self.unwritten.seen.get(member).is_some_and(|last| last.1 == ticket)
        {
            self.unwritten.seen.remove(member);
        }
        if let Some(Kept::Outbox(member, _, gone)) = keys.first() {
            self.made_room(*member, *gone);
        }
    }

    /// What memory knows under this key is to be written, at a time when the disk takes records.
    pub(super) fn write_later(&mut self, key: Kept) {
        if let Kept::Flow(Some((author, flow)), None) = key {
            self.places[author.0].flows.not_written(flow);
        }
        self.unwritten.keys.insert(key);
    }

    /// At the first turn: a start has found what is to be written.
    pub(super) fn write_first(&mut self, key: Kept) {
        self.write_later(key);
        self.deadlines.set(Timer::Unwritten, Some(Tick::ZERO), &mut self.unwritten.scheduled);
    }

    /// The disk has answered for a record; what follows from it is done.
    pub(super) fn plan_retry(&mut self, now: Tick, ticket: Ticket, durable: bool) {
        let Some(pause) = self.unwritten.answered(ticket, durable) else { return };
        self.schedule_retry(now + pause);
    }

    fn schedule_retry(&mut self, at: Tick) {
        if !self.unwritten.keys.is_empty() {
            self.deadlines.set(Timer::Unwritten, Some(at), &mut self.unwritten.scheduled);
        }
    }

    /// Writes again what failed, as much as one try has.
    pub(super) fn handle_unwritten_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.unwritten.scheduled == Some(tick) {
            self.unwritten.scheduled = None;
        }
        if !self.unwritten.tried.is_empty() {
            return;
        }
        self.unwritten.is_trying = true;
        for _ in 0..self.unwritten.at_once {
            let Some(keys) = self.unwritten.pop() else { break };
            self.write_again(now, &keys, out);
        }
        self.unwritten.is_trying = false;
        if self.unwritten.tried.is_empty() {
            self.schedule_retry(now + RETRY_NEXT);
        }
    }

    /// The relay ends: what failed is tried once more.
    pub(super) fn write_all_again(&mut self, now: Tick, out: &mut Out) {
        while let Some(keys) = self.unwritten.pop() {
            // A name that is freed, and a note of a session, are nothing to a relay that ends.
            if !matches!(keys[0], Kept::FreeNames | Kept::Notes) {
                self.write_again(now, &keys, out);
            }
        }
    }

    /// Writes what memory knows under these keys, all of one record. Under some it knows nothing
    /// that is to be written: the member was removed, or a record with the newest of it is on its
    /// way.
    fn write_again(&mut self, now: Tick, keys: &[Kept], out: &mut Out) {
        match keys[0] {
            Kept::Clock => self.write_clock(now, out),
            Kept::Notes => self.write_notes(now, out),
            Kept::FreeNames => self.free_names(now, out),
            Kept::Blocked(member) => self.write_blocked(member, out),
            Kept::Seen(member) => {
                if let Some((at, _)) = self.unwritten.seen.get(&member).copied() {
                    self.write_seen(member, at, out);
                }
            }
            Kept::Used(member) => self.write_used(member, out),
            Kept::Outbox(member, outbox, _) => self.write_outbox(member, outbox, out),
            Kept::Flow(of, _) => {
                let place = |key: &Kept| if let Kept::Flow(_, place) = key { *place } else { None };
                let places: Vec<u64> = keys.iter().filter_map(place).collect();
                match of {
                    Some((author, flow)) => self.write_flow(author, flow, places, out),
                    None => self.write_gone(places, out),
                }
            }
            Kept::Heard(author, flow, number, refusal) => {
                self.write_heard(author, flow, number, refusal, out);
            }
        }
    }

    // Records of more than one key, or of none.

    /// Letters of the relay itself or of guests have left their mailboxes.
    pub(super) fn write_gone(&mut self, places: Vec<u64>, out: &mut Out) {
        if !places.is_empty() {
            self.post.gone.extend(&places);
            let keys = places.iter().map(|place| Kept::Flow(None, Some(*place))).collect();
            self.persist(Wait::Kept(keys), Record::Progress { marks: None, stored: places }, out);
        }
    }

    /// The author knows of a refusal, unless it is owed again.
    pub(super) fn write_heard(
        &mut self,
        author: MemberId,
        flow: FlowId,
        number: u64,
        refusal: Refusal,
        out: &mut Out,
    ) {
        let To::Member(to) = flow.to else { return };
        if self.places[author.0].flows.owes_refusal(flow, number) {
            return;
        }
        let (from, to) = (self.members.name(author).clone(), self.members.name(to).clone());
        let (id, (reason, may_have_arrived)) = (LetterId { outbox: flow.outbox, number }, refusal);
        let record = Record::Heard(OwedRefusal { from, to, id, reason, may_have_arrived });
        self.keep(Kept::Heard(author, flow, number, refusal), record, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_one_success_brings_all_soon() {
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.answered(Ticket(1), false), None, "nothing is to be written");
        unwritten.keys.insert(Kept::Clock);
        assert_eq!(unwritten.answered(Ticket(1), false), Some(RETRY_AFTER));
        let mut pauses = Vec::new();
        for n in 2..10 {
            unwritten.tried.insert(Ticket(n));
            pauses.extend(unwritten.answered(Ticket(n), false).map(|pause| pause.as_secs()));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(unwritten.answered(Ticket(99), true), Some(RETRY_AFTER), "another record was taken");
        for (n, most) in (10..).zip([2, 4, 8, 16, 32, RETRIED_MAX, RETRIED_MAX]) {
            unwritten.tried.insert(Ticket(n));
            assert_eq!(unwritten.answered(Ticket(n), true), Some(RETRY_NEXT));
            assert_eq!(unwritten.at_once, most);
        }
        unwritten.tried.extend([Ticket(20), Ticket(21)]);
        assert_eq!(unwritten.answered(Ticket(20), false), None, "the try is not over");
        assert_eq!(unwritten.answered(Ticket(21), true), Some(RETRY_AFTER));
        assert_eq!(unwritten.at_once, 1);
    }

    #[test]
    fn letters_of_one_conversation_leave_with_one_record() {
        let mut unwritten = Unwritten::default();
        let flow = |n| Some((MemberId(n), FlowId { to: To::Member(MemberId(9)), outbox: OutboxId(1) }));
        let all = |of| [None, Some(5), Some(7)].map(|place| Kept::Flow(of, place));
        unwritten.keys.extend(all(flow(1)).into_iter().chain(all(flow(2))));
        unwritten.keys.extend((0..2_000).map(|place| Kept::Flow(None, Some(place))));
        let mut lens = Vec::new();
        while let Some(keys) = unwritten.pop() {
            lens.push(keys.len());
        }
        assert_eq!(lens, [513, 513, 513, 461, 3, 3]);
    }
}
