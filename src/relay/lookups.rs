//! Letters to unknown names: the number of answers a sender gets, and the handling of its other
//! letters in the meantime. [`super::flows`] has the state.

use crate::base::{LetterId, Mark, Tick};
use crate::wire::message::{KIND_TEXT, Letter, Reason};

use super::Relay;
use super::flows::{LookupAnswer, NumberRange};
use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::limits::LOOKUP_RATE;
use super::sessions::RefusedLetter;

/// Lookup of a letter's recipient, and the result that its sender may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupPolicy {
    /// Look among the members; answer immediately.
    Now,
    /// Answer from the sender's negative cache: unknown recipient.
    Known,
    /// Look among the members; report nothing yet.
    Silent,
    /// Unknown recipient; report nothing yet.
    Later,
}

impl Relay {
    /// Selects the lookup for this letter.
    ///
    /// A sender over its budget gets the cached result for this name and learns nothing from it,
    /// even if the name was registered since.
    pub(super) fn lookup_policy(&self, now: Tick, sender: MemberId, letter: &Letter<'_>) -> LookupPolicy {
        if !self.limits.per_sender {
            return LookupPolicy::Now;
        }
        let super::routing::MemberState { lookups, flows, .. } = &self.member_states[sender.0];
        let outbox = letter.id.outbox;
        let name = letter.to;
        let is_ready = lookups.ready(now, LOOKUP_RATE).is_ok();
        if flows.is_behind_unknown(now, outbox, name, letter.prev) {
            return LookupPolicy::Known;
        }
        if !flows.has_waiting() {
            return match is_ready {
                true => LookupPolicy::Now,
                false if flows.is_cached_unknown(now, outbox, name) => LookupPolicy::Known,
                false if self.recipient(name).is_some() => LookupPolicy::Now,
                false => LookupPolicy::Later,
            };
        }
        match self.recipient(name) {
            Some(_) if flows.is_waiting(outbox, name) => LookupPolicy::Silent,
            None if flows.is_waiting(outbox, name) => LookupPolicy::Later,
            Some(Destination::Echo) => LookupPolicy::Now,
            Some(to) if flows.is_disclosed(FlowId { outbox, to }) => LookupPolicy::Now,
            _ if flows.is_cached_unknown(now, outbox, name) => LookupPolicy::Known,
            Some(_) => LookupPolicy::Silent,
            None => LookupPolicy::Later,
        }
    }

    /// Makes this letter's flow wait. Returns `false` if too many wait already: the letter is then
    /// refused, whether or not the name exists.
    pub(super) fn begin_waiting(&mut self, slot: SessionSlot, sender: MemberId, letter: &Letter<'_>) -> bool {
        let Letter { to, id, prev, .. } = *letter;
        let flows = &mut self.member_states[sender.0].flows;
        if flows.wait(id.outbox, to) {
            return true;
        }
        flows.record_unknown(id.outbox, to, NumberRange::one(id.number), None);
        self.stats.letters_refused += 1;
        self.send_refused(slot, RefusedLetter { prev, ..RefusedLetter::of(to, id, Reason::Full) });
        false
    }

    /// Drops a letter to an unknown name; its sender gets the answer later.
    pub(super) fn drop_for_now(&mut self, slot: SessionSlot, sender: MemberId, letter: &Letter<'_>) {
        if self.begin_waiting(slot, sender, letter) {
            let id = letter.id;
            self.member_states[sender.0].flows.record_waiting_refused(id.outbox, letter.to, id.number);
        }
    }

    /// Answers waiting flows, as far as the sender's budget allows.
    pub(super) fn answer_waiting(&mut self, now: Tick, slot: SessionSlot) {
        let Some(sender) = self.sessions.member(slot) else { return };
        let mut answers_at = None;
        while let Some(name) = self.member_states[sender.0].flows.next_waiting() {
            let to = self.recipient(name);
            let lookups = &self.member_states[sender.0].lookups;
            if to.is_none()
                && let Err(at) = lookups.ready(now, LOOKUP_RATE)
            {
                answers_at = Some(at);
                break;
            }
            let Some(answer) = self.member_states[sender.0].flows.take_waiting() else { break };
            self.answer_one(now, slot, sender, &answer, to);
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.answers_at = answers_at;
        }
        self.sessions.mark(slot);
    }

    fn answer_one(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        sender: MemberId,
        answer: &LookupAnswer,
        to: Option<Destination>,
    ) {
        let LookupAnswer { outbox, name, refused, .. } = answer;
        if let Some(to) = to {
            let flow = FlowId { outbox: *outbox, to };
            self.member_states[sender.0].flows.answer(flow, answer);
        }
        let Some(NumberRange { first, last }) = *refused else {
            if to.is_none() {
                self.member_states[sender.0].lookups.spend(now, LOOKUP_RATE.interval());
            }
            return;
        };
        let id = LetterId { outbox: *outbox, number: first };
        match to {
            Some(_) => self.send_refused(slot, RefusedLetter::of(name, id, Reason::Behind)),
            None => {
                let letter =
                    Letter { to: name, id, prev: 0, mark: Mark::default(), kind: KIND_TEXT, body: &[] };
                self.refuse_unknown(now, slot, sender, &letter, false);
            }
        }
        if last > first {
            let id = LetterId { number: last, ..id };
            let reason = if to.is_some() { Reason::Behind } else { Reason::Unknown };
            if to.is_none() {
                self.member_states[sender.0].flows.record_unknown(
                    *outbox,
                    name,
                    NumberRange { first, last },
                    None,
                );
            }
            self.send_refused(slot, RefusedLetter { prev: first, ..RefusedLetter::of(name, id, reason) });
        }
    }

    fn send_refused(&mut self, slot: SessionSlot, refusal: RefusedLetter<'_>) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.refuse(refusal);
        }
        self.sessions.mark(slot);
    }
}
