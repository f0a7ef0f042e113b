//! Letters to unknown names: how many answers an author gets, and what becomes of its other letters
//! in the meantime. See [`super::flows`] for what is remembered of it.

use crate::base::{LetterId, Mark, Tick};
use crate::wire::message::{KIND_TEXT, Letter, Reason};

use super::Relay;
use super::flows::{Answer, FlowId, Numbers, To};
use super::limits::{LOOKUP_INTERVAL, LOOKUPS_BURST};
use super::members::MemberId;
use super::sessions::{RefusedLetter, Slot};

/// Where a letter's recipient is looked for, and what its author may know of that now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Among the members; the answer is given at once.
    Now,
    /// In the answers that its author had before: the name is unknown.
    Known,
    /// Among the members; nothing is said of it for now.
    Silent,
    /// The name is unknown, and nothing is said of it for now.
    Later,
}

impl Relay {
    /// Where this letter's recipient is looked for. An author who has asked for too many names gets
    /// the answer again that it had for this one, whether or not the name was taken since: from
    /// that it learns nothing.
    pub(super) fn look_for(&self, now: Tick, author: MemberId, letter: &Letter<'_>) -> Look {
        if !self.limits.per_sender {
            return Look::Now;
        }
        let super::letters::Place { lookups, flows, .. } = &self.places[author.0];
        let (outbox, name) = (letter.id.outbox, letter.to);
        let is_ready = lookups.ready(now, LOOKUP_INTERVAL, LOOKUPS_BURST).is_ok();
        if flows.is_behind_unknown(now, outbox, name, letter.prev) {
            return Look::Known;
        }
        if !flows.has_waiting() {
            return match is_ready {
                true => Look::Now,
                false if flows.is_known_unknown(now, outbox, name) => Look::Known,
                false if self.recipient(name).is_some() => Look::Now,
                false => Look::Later,
            };
        }
        match self.recipient(name) {
            Some(_) if flows.is_waiting(outbox, name) => Look::Silent,
            None if flows.is_waiting(outbox, name) => Look::Later,
            Some(To::Echo) => Look::Now,
            Some(to) if flows.is_known(FlowId { outbox, to }) => Look::Now,
            _ if flows.is_known_unknown(now, outbox, name) => Look::Known,
            Some(_) => Look::Silent,
            None => Look::Later,
        }
    }

    /// Nothing is said of this letter's conversation for now; `false` if too many wait already, and
    /// the letter is refused whether or not the name exists.
    pub(super) fn begin_waiting(&mut self, slot: Slot, author: MemberId, letter: &Letter<'_>) -> bool {
        let Letter { to, id, prev, .. } = *letter;
        let flows = &mut self.places[author.0].flows;
        if flows.wait(id.outbox, to) {
            return true;
        }
        flows.refused_unknown(id.outbox, to, Numbers::one(id.number), None);
        self.stats.letters_refused += 1;
        self.say_refused(slot, RefusedLetter { prev, ..RefusedLetter::of(to, id, Reason::Full) });
        false
    }

    /// Drops a letter to an unknown name; its author gets the answer later.
    pub(super) fn drop_for_now(&mut self, slot: Slot, author: MemberId, letter: &Letter<'_>) {
        if self.begin_waiting(slot, author, letter) {
            let id = letter.id;
            self.places[author.0].flows.refused_waiting(id.outbox, letter.to, id.number);
        }
    }

    /// Answers conversations of which nothing was said, as far as their author may learn of them
    /// now.
    pub(super) fn answer_waiting(&mut self, now: Tick, slot: Slot) {
        let Some(author) = self.sessions.member(slot) else { return };
        let mut answers_at = None;
        while let Some(name) = self.places[author.0].flows.next_waiting() {
            let to = self.recipient(name);
            let lookups = &self.places[author.0].lookups;
            if to.is_none()
                && let Err(at) = lookups.ready(now, LOOKUP_INTERVAL, LOOKUPS_BURST)
            {
                answers_at = Some(at);
                break;
            }
            let Some(answer) = self.places[author.0].flows.take_waiting() else { break };
            self.answer_one(now, slot, author, &answer, to);
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.answers_at = answers_at;
        }
        self.sessions.mark(slot);
    }

    fn answer_one(&mut self, now: Tick, slot: Slot, author: MemberId, answer: &Answer, to: Option<To>) {
        let Answer { outbox, name, refused, .. } = answer;
        if let Some(to) = to {
            let flow = FlowId { outbox: *outbox, to };
            self.places[author.0].flows.answer(flow, answer);
        }
        let Some(Numbers { first, last }) = *refused else {
            if to.is_none() {
                self.places[author.0].lookups.spend(now, LOOKUP_INTERVAL);
            }
            return;
        };
        let id = LetterId { outbox: *outbox, number: first };
        match to {
            Some(_) => self.say_refused(slot, RefusedLetter::of(name, id, Reason::Behind)),
            None => {
                let letter =
                    Letter { to: name, id, prev: 0, mark: Mark::default(), kind: KIND_TEXT, body: &[] };
                self.refuse_unknown(now, slot, author, &letter, false);
            }
        }
        if last > first {
            let id = LetterId { number: last, ..id };
            let reason = if to.is_some() { Reason::Behind } else { Reason::Unknown };
            if to.is_none() {
                self.places[author.0].flows.refused_unknown(*outbox, name, Numbers { first, last }, None);
            }
            self.say_refused(slot, RefusedLetter { prev: first, ..RefusedLetter::of(name, id, reason) });
        }
    }

    fn say_refused(&mut self, slot: Slot, refusal: RefusedLetter<'_>) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.refuse(refusal);
        }
        self.sessions.mark(slot);
    }
}
