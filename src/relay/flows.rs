//! What one author has sent: for each outbox and recipient, how far its letters have come and which of them were
//! refused. From this come the answers to repeated letters, the `behind` refusals that keep the order, and the
//! receipts.
//!
//! The watermarks outlive the author's sessions, and on disk the relay; what was refused counts in one session only,
//! since a client begins each with what it then knows.
//!
//! Files: `lookups` (unknown names, and conversations whose answers wait), `again` (letters that
//! come a second time), `owed` (refusals of what was accepted), `held_back` (what is told at full
//! seconds), `correspondents`, `outbox` (flows by their outboxes), `found` (what the disk had when
//! the relay started).

mod again;
mod correspondents;
mod found;
mod held_back;
mod lookups;
mod outbox;
mod owed;

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::base::{Mark, OutboxId, Wall, blank};
use crate::wire::message::Reason;

use super::guests::GuestId;
use super::leaving::Leaving;
use super::limits::FLOWS_MAX;
use super::members::MemberId;
use again::Again;
use correspondents::Correspondents;
use held_back::HeldBack;
pub(super) use lookups::{Answer, Numbers};
use lookups::{Unknowns, Waiting};
use owed::OwedRefusals;

/// One outbox and one recipient. Those to one recipient are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowId {
    pub(super) to: To,
    pub(super) outbox: OutboxId,
}

/// Who letters go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum To {
    /// The relay itself.
    Echo,
    /// A guest: what it gets is confirmed by nobody.
    Guest(GuestId),
    Member(MemberId),
}

impl To {
    pub(super) fn member(self) -> Option<MemberId> {
        match self {
            To::Member(member) => Some(member),
            To::Echo | To::Guest(_) => None,
        }
    }
}

/// What is to be done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is next: take it.
    Next,
    /// The letter before it was refused: refuse it for this reason.
    Behind(Reason),
    /// It was taken before: it has or will have its receipt.
    Repeated,
    /// Another one was taken under its number: an old copy of the outbox has numbered it.
    OldCopy,
    /// There are too many flows.
    Crowded,
}

/// How a letter is numbered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    /// The last number before it that its author does not know to be refused.
    pub(super) prev: u64,
    pub(super) mark: Mark,
}

/// How far the letters of one flow have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// When the last accepted one was taken, on the relay's own clock, in milliseconds.
    pub(super) since: u64,
    /// Under which the last one that was taken was numbered; those before it were under no higher
    /// ones.
    pub(super) mark: Mark,
}

impl Marks {
    /// The recipient has every letter up to `number`.
    fn deliver(&mut self, number: u64) {
        self.accepted = self.accepted.max(number);
        self.delivered = self.delivered.max(number);
    }
}

/// Why a letter was refused, and whether it may have arrived.
pub(super) type Refusal = (Reason, bool);

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The last letter that was taken and not refused.
    taken: u64,
    marks: Marks,
    /// When a letter of it came last, on the relay's own clock, in milliseconds.
    touched: u64,
    /// When the first of the letters was taken that no receipt has called accepted, by the wall clock; and what the last
    /// receipt said of that.
    taken_at: Option<Wall>,
    told_taken_at: Wall,
    /// The refused numbers that no later letter has overtaken, and the reason for which those
    /// behind them are refused. They count in session `refused_in` only.
    refused: Option<(Numbers, Reason)>,
    refused_in: u32,
    again: Again,
    standing: Standing,
    /// The session in which a receipt is owed; [`NEVER`]: none is.
    owed_in: u32,
    /// The session in which the marks rose last: what was said in it may not have arrived, and is
    /// owed in the next one.
    raised_in: u32,
    /// The marks rose since they were last written down.
    unwritten: bool,
}

/// No session.
const NEVER: u32 = 0;
/// The number that counts as the session before the first one: the one before it is not [`NEVER`].
const FIRST: u32 = 2;

/// Whether the author of a flow may know that its recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing was said of it yet.
    #[default]
    New,
    /// Its answers wait: see [`lookups`].
    Waits,
    /// It knows.
    Known,
}

impl Flow {
    /// Later letters whose `prev` is among these numbers are refused for `reason`.
    fn refuse(&mut self, numbers: Numbers, reason: Reason, session: u32) {
        let all = self.refused_now(session).map_or(numbers, |(refused, _)| refused.span(numbers));
        (self.refused, self.refused_in) = (Some((all, reason)), session);
    }

    fn refused_now(&self, session: u32) -> Option<(Numbers, Reason)> {
        self.refused.filter(|_| self.refused_in == session)
    }

    fn owes(&self, session: u32) -> bool {
        self.owed_in == session || self.raised_in == session - 1
    }

    fn owe(&mut self, id: FlowId, session: u32, owing: &mut Vec<FlowId>) {
        if self.standing == Standing::Waits {
            return;
        }
        if !self.owes(session) {
            owing.push(id);
        }
        self.owed_in = session;
    }

    /// The marks rose: the next session is owed a receipt too.
    fn raise(&mut self, id: FlowId, session: u32, raised: &mut Vec<FlowId>) {
        if self.raised_in != session && self.standing != Standing::Waits {
            self.raised_in = session;
            raised.push(id);
        }
    }
}

/// Above this many entries of `raised` and two for each flow, those of flows that are gone are
/// forgotten. That looks at all entries, of which half are then gone.
const RAISED_SLACK: usize = 64;

/// The flows of one author.
#[derive(Debug)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    /// Counts the sessions, so that the start of one costs the same however many flows there are.
    session: u32,
    /// Flows that owe a receipt in this session, and those whose marks rose in it. Either may hold
    /// flows that are gone.
    owing: Vec<FlowId>,
    raised: Vec<FlowId>,
    /// Flows whose marks rose since they were last written down.
    unwritten: BTreeSet<FlowId>,
    /// What was refused in this session because nobody has the name. It counts when somebody takes the name.
    unknowns: Unknowns,
    /// Conversations of which nothing is said before it is said of those before them.
    waiting: Waiting,
    /// Letters that may come again without counting against the author's rate.
    passes: usize,
    /// Letters that were accepted and refused later, until the author has heard of it.
    refusals: OwedRefusals,
    correspondents: Correspondents,
    /// Receipts that are held back.
    held_back: BTreeMap<FlowId, HeldBack>,
    /// Refusals that are not durable yet.
    pub(super) leaving: Leaving<FlowId>,
}

impl Default for Flows {
    fn default() -> Flows {
        <Flows as crate::base::Blank>::fresh()
    }
}

blank!(
    Flows,
    Flows {
        flows: BTreeMap::new(),
        session: FIRST,
        owing: Vec::new(),
        raised: Vec::new(),
        unwritten: BTreeSet::new(),
        unknowns: Unknowns::new(),
        waiting: Waiting::new(),
        passes: 0,
        refusals: OwedRefusals::BLANK,
        correspondents: Correspondents::BLANK,
        held_back: BTreeMap::new(),
        leaving: Leaving::new(),
    },
    |flows| {
        let told = flows.refusals.is_empty() && flows.unknowns.is_empty() && flows.correspondents.is_empty();
        told && flows.waiting.is_empty()
            && flows.leaving.is_empty()
            && flows.flows.is_empty()
            && flows.owing.is_empty()
    }
);

impl Flows {
    /// A flow its author asks about, if need be a new one; `false` if there are too many.
    pub(super) fn open(&mut self, flow: FlowId) -> bool {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&flow) {
            return false;
        }
        self.flows.entry(flow).or_default();
        true
    }

    /// The author begins a session: nothing was refused in it, and it is told what it may not know.
    pub(super) fn begin_session(&mut self) {
        self.unknowns.clear();
        self.waiting.begin_session();
        self.session += 1;
        self.owing = std::mem::take(&mut self.raised);
        self.refusals.begin_session();
    }

    /// Whether this letter to somebody called `name` may be taken now.
    pub(super) fn turn_of(&mut self, flow: FlowId, name: &str, letter: Numbered) -> Turn {
        let Numbered { number, prev, mark } = letter;
        if self.flows.get(&flow).is_some_and(|state| number <= state.taken && mark > state.marks.mark) {
            return Turn::OldCopy;
        }
        if !self.refusals.is_empty() && self.refusals.repeats(flow, number) {
            // It was refused after it had been taken, perhaps by an earlier process of this relay.
            // The refusal holds.
            return Turn::Repeated;
        }
        let is_full = self.flows.len() >= FLOWS_MAX;
        let state = match self.flows.entry(flow) {
            Vacant(_) if is_full => return Turn::Crowded,
            entry => entry.or_default(),
        };
        if let Some(numbers) = self.unknowns.found(flow.outbox, name) {
            state.refuse(numbers, Reason::Behind, self.session);
        }
        if state.standing == Standing::New {
            let waits = self.waiting.holds(flow.outbox, name);
            state.standing = if waits { Standing::Waits } else { Standing::Known };
        }
        if number <= state.taken {
            if number <= state.marks.accepted {
                state.owe(flow, self.session, &mut self.owing);
            }
            return Turn::Repeated;
        }
        match state.refused_now(self.session) {
            Some((refused, reason)) if refused.contains(prev) => Turn::Behind(reason),
            _ => Turn::Next,
        }
    }

    /// The letter was taken at this time, which is `clock` on the relay's own clock; whether it is
    /// the first of its flow. Later ones whose `prev` was refused are still behind.
    pub(super) fn took(&mut self, flow: FlowId, (number, mark): (u64, Mark), at: Wall, clock: u64) -> bool {
        if self.raised.len() > 2 * self.flows.len() + RAISED_SLACK {
            self.forget_stale_raised();
        }
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        state.touched = clock;
        state.marks.mark = state.marks.mark.max(mark);
        let is_first = state.taken == 0;
        state.taken = number;
        state.taken_at.get_or_insert(at);
        let refused = state.refused_now(self.session);
        state.refused = refused.and_then(|(refused, reason)| Some((refused.behind(number)?, reason)));
        is_first
    }

    /// Forgets which marks rose of flows that are gone: a long session may have had many, as those
    /// to guests.
    fn forget_stale_raised(&mut self) {
        let (flows, session) = (&self.flows, self.session);
        self.raised.sort_unstable();
        self.raised.dedup();
        self.raised.retain(|id| flows.get(id).is_some_and(|state| state.raised_in == session));
    }

    /// A letter came that was refused.
    pub(super) fn touch(&mut self, flow: FlowId, clock: u64) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.touched = clock;
        }
    }

    /// The letter was refused, at once or after it had been taken; in both cases it may come again.
    /// One that was refused as behind another has a pass: it is sent again without its author's
    /// doing.
    pub(super) fn refused(&mut self, flow: FlowId, number: u64, reason: Reason) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = state.taken.min(number.saturating_sub(1)).max(state.marks.accepted);
        let behind = if reason.is_of_conversation() { reason } else { Reason::Behind };
        state.refuse(Numbers::one(number), behind, self.session);
        if reason == Reason::Behind {
            self.passes += state.again.grant(number, 1);
        }
    }

    /// Whether a letter comes a second time because it was refused as behind another: once for each
    /// number.
    pub(super) fn comes_again(&mut self, flow: FlowId, number: u64) -> bool {
        let again =
            self.passes > 0 && self.flows.get_mut(&flow).is_some_and(|state| state.again.redeem(number));
        self.passes -= usize::from(again);
        again
    }

    /// The relay answers for every letter up to `number`, the last of which was taken at `since`.
    pub(super) fn accepted(&mut self, flow: FlowId, number: u64, since: u64) {
        self.raise(flow, |marks| {
            marks.accepted = marks.accepted.max(number);
            marks.since = since;
        });
        self.accepted_though_held_back(flow, number);
    }

    /// The recipient has every letter up to `number`.
    pub(super) fn delivered(&mut self, flow: FlowId, number: u64) {
        self.tell_now(flow);
        self.raise(flow, |marks| marks.deliver(number));
    }

    /// The recipient says that it has read every letter up to `number`. Returns the marks before
    /// that; `None` if nothing is known of the flow. A relay that was killed may know less of what
    /// was delivered than the author, who holds this against what it knows.
    pub(super) fn read(&mut self, flow: FlowId, number: u64) -> Option<Marks> {
        self.tell_now(flow);
        self.raise(flow, |marks| marks.read = marks.read.max(number))
    }

    /// Returns the marks before; `None` if nothing is known of the flow.
    fn raise(&mut self, flow: FlowId, raise: impl FnOnce(&mut Marks)) -> Option<Marks> {
        let state = self.flows.get_mut(&flow)?;
        let before = state.marks;
        raise(&mut state.marks);
        if state.marks != before {
            state.owe(flow, self.session, &mut self.owing);
            state.raise(flow, self.session, &mut self.raised);
            if !std::mem::replace(&mut state.unwritten, true) {
                self.unwritten.insert(flow);
            }
        }
        Some(before)
    }

    /// The author asks how far a flow has come: a receipt is owed, and every refusal it may not know of.
    pub(super) fn asked(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.owe(flow, self.session, &mut self.owing);
        }
        self.refusals.asked(flow);
    }

    /// How far a flow has come.
    pub(super) fn marks(&self, flow: FlowId) -> Option<Marks> {
        self.flows.get(&flow).map(|state| state.marks)
    }

    /// There is no such recipient any more.
    pub(super) fn forget(&mut self, to: To) {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        while let Some(flow) = self.flows.range(of(0)..=of(u64::MAX)).next().map(|(flow, _)| *flow) {
            self.passes -= self.flows.remove(&flow).map_or(0, |state| state.again.left());
            self.unwritten.remove(&flow);
            self.held_back.remove(&flow);
        }
    }

    // Rest.

    /// Looks at flows behind `after`, at most as many: those that rest since `before`, the last one
    /// looked at, and how many were. `may_hear` is whether the author can ever come again: if so,
    /// no flow rests of which it has not heard all.
    pub(super) fn idle(
        &self,
        after: Option<FlowId>,
        most: usize,
        before: u64,
        may_hear: bool,
    ) -> (Vec<FlowId>, Option<(FlowId, usize)>) {
        let behind = after.map_or(Unbounded, Excluded);
        let (mut idle, mut last) = (Vec::new(), None);
        for (count, (id, flow)) in self.flows.range((behind, Unbounded)).take(most).enumerate() {
            last = Some((*id, count + 1));
            idle.extend(self.rests_as(*id, flow, before, may_hear).then_some(*id));
        }
        (idle, last)
    }

    /// Whether this flow rests, as those of [`Flows::idle`].
    pub(super) fn rests(&self, flow: FlowId, before: u64, may_hear: bool) -> bool {
        self.flows.get(&flow).is_some_and(|state| self.rests_as(flow, state, before, may_hear))
    }

    fn rests_as(&self, id: FlowId, flow: &Flow, before: u64, may_hear: bool) -> bool {
        let owes = || flow.owes(self.session) || self.is_held_back(id) || self.refusals.owes(id);
        let heard = || flow.raised_in != self.session && !owes();
        // Guests' are forgotten with their guests.
        let may_go = !matches!(id.to, To::Guest(_)) && flow.touched < before;
        may_go && (!may_hear || heard())
    }

    /// Forgets a flow that rests.
    pub(super) fn drop_idle(&mut self, flow: FlowId) {
        self.passes -= self.flows.remove(&flow).map_or(0, |state| state.again.left());
        self.unwritten.remove(&flow);
        self.held_back.remove(&flow);
        self.refusals.forget(flow);
    }

    // Receipts.

    /// The next receipt that is owed, and when the first of the letters that are new in it was taken; `paid` when it was
    /// sent.
    pub(super) fn next_receipt(&mut self) -> Option<(FlowId, Marks, Wall)> {
        loop {
            let flow = *self.owing.last()?;
            if let Some(state) = self.flows.get(&flow).filter(|state| state.owes(self.session)) {
                let marks = self.told_of(flow, state);
                return Some((flow, marks, state.taken_at.unwrap_or(state.told_taken_at)));
            }
            self.owing.pop();
        }
    }

    /// The receipt of [`Flows::next_receipt`] was sent.
    pub(super) fn paid(&mut self) {
        let Some(flow) = self.owing.pop() else { return };
        let accepted = self.flows.get(&flow).map_or(0, |state| self.told_of(flow, state).accepted);
        if let Some(state) = self.flows.get_mut(&flow) {
            state.owed_in = NEVER;
            if state.raised_in != self.session {
                state.raised_in = NEVER;
            }
            if accepted >= state.taken {
                state.told_taken_at = state.taken_at.take().unwrap_or(state.told_taken_at);
            }
        }
    }

    // To the disk.

    /// The marks of this flow are being written down, unless the disk has them already; and when a
    /// letter of it came last.
    pub(super) fn take_unwritten(&mut self, flow: FlowId) -> Option<(Marks, u64)> {
        let state = self.flows.get_mut(&flow)?;
        if !std::mem::take(&mut state.unwritten) {
            return None;
        }
        self.unwritten.remove(&flow);
        Some((state.marks, state.touched))
    }

    /// The disk does not have the marks of this flow, or has lost them.
    pub(super) fn not_written(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.unwritten = true;
            self.unwritten.insert(flow);
        }
    }

    /// Every flow to a member whose marks rose since they were last written down.
    pub(super) fn unwritten(&self) -> Vec<FlowId> {
        self.unwritten.iter().filter(|id| id.to.member().is_some()).copied().collect()
    }

    // Refusals of what was accepted.

    /// Whether one more refusal may be owed. If not, no letter of the author expires.
    pub(super) fn may_owe_refusal(&self) -> bool {
        self.refusals.has_room()
    }

    /// Whether one more letter to there may be taken, which might be refused later. If not, the author has not heard of
    /// earlier refusals, some of them from there; its letters to others are not held up by those.
    pub(super) fn may_owe_refusal_of(&self, to: To) -> bool {
        self.refusals.has_room() || !self.refusals.owes_of(to)
    }

    /// The number of refusals owed above the bound of [`Flows::may_owe_refusal`].
    pub(super) fn refusals_above_bound(&self) -> usize {
        self.refusals.above_bound()
    }

    /// An accepted letter was refused after all.
    pub(super) fn owe_refusal(&mut self, flow: FlowId, number: u64, refusal: Refusal) {
        self.refusals.owe(flow, number, refusal);
    }

    /// The next refusal to be reported, of letters that follow each other; [`Flows::told`] when it
    /// was.
    pub(super) fn next_untold(&mut self) -> Option<(FlowId, Numbers, Refusal)> {
        if self.refusals.is_empty() {
            return None;
        }
        let (flow, first, refusal) = self.refusals.next()?;
        let last = self.refusals.last_of(flow, first, refusal);
        Some((flow, Numbers { first, last }, refusal))
    }

    /// The refusal of [`Flows::next_untold`] was told.
    pub(super) fn told(&mut self, numbers: Numbers) {
        (numbers.first..=numbers.last).for_each(|_| self.refusals.told());
    }

    /// The author knows of a refusal; what was owed, if it was.
    pub(super) fn heard(&mut self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.refusals.heard(flow, number)
    }

    /// Whether the refusal of this letter is owed.
    pub(super) fn owes_refusal(&self, flow: FlowId, number: u64) -> bool {
        self.refusals.has(flow, number)
    }

    // For tests.

    /// Every flow, how far it has come, and whether that was not written down since it rose.
    pub(super) fn all(&self) -> impl Iterator<Item = (FlowId, Marks, bool)> + '_ {
        self.flows.iter().map(|(id, flow)| (*id, flow.marks, flow.unwritten))
    }

    /// Every refusal that is owed.
    pub(super) fn owed(&self) -> impl Iterator<Item = (FlowId, u64, Refusal)> + '_ {
        self.refusals.all()
    }
}

#[cfg(test)]
mod tests;
