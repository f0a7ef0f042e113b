//! The flows of one sender: for each outbox and recipient, how far its letters have come and which
//! were refused. They decide about repeated letters, the `behind` refusals that keep the order, and
//! the receipts.
//!
//! The watermarks outlive the sender's sessions and, on disk, the relay. Refusals count in one
//! session only, because a client begins each session with its current knowledge.

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

/// One outbox and one recipient. Flows to one recipient are adjacent in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowId {
    pub(super) to: To,
    pub(super) outbox: OutboxId,
}

/// The recipient of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum To {
    /// The relay itself.
    Echo,
    /// A guest. Nothing that it receives is ever confirmed.
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

/// How a letter fits into the order of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is next and can be taken.
    Next,
    /// Its `prev` names a refused letter. It must be refused for this reason.
    Behind(Reason),
    /// It was taken before. Its receipt was sent or will be.
    Repeated,
    /// Another letter was taken under its number: an old copy of the outbox has numbered it.
    OldCopy,
    /// The sender has too many flows.
    Crowded,
}

/// The number of a letter and its predecessor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    /// The last number before it that its sender does not know to be refused.
    pub(super) prev: u64,
    pub(super) mark: Mark,
}

/// Watermarks of one flow: the last letter accepted, delivered and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// Time at which the last accepted letter was taken, in milliseconds of the uptime clock.
    pub(super) since: u64,
    /// Outbox mark of the last letter taken. The marks of earlier letters are not higher.
    pub(super) mark: Mark,
}

impl Marks {
    /// Records that the recipient has every letter up to `number`.
    fn deliver(&mut self, number: u64) {
        self.accepted = self.accepted.max(number);
        self.delivered = self.delivered.max(number);
    }
}

/// Reason of a refusal, and whether the letter may have arrived.
pub(super) type Refusal = (Reason, bool);

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The last letter that was taken and not refused.
    taken: u64,
    marks: Marks,
    /// Time of the last letter, taken or refused, in milliseconds of the uptime clock.
    touched: u64,
    /// Wall time of the first letter that no receipt has reported as accepted, and the value of
    /// this time in the last receipt.
    taken_at: Option<Wall>,
    told_taken_at: Wall,
    /// Refused numbers that no later letter has overtaken, and the reason for refusing letters
    /// behind them. Valid in session `refused_in` only.
    refused: Option<(Numbers, Reason)>,
    refused_in: u32,
    again: Again,
    standing: Standing,
    /// The session in which a receipt is pending, or [`NEVER`].
    owed_in: u32,
    /// The session in which the marks rose last. Its receipts may not have arrived, so a receipt is
    /// pending in the next session too.
    raised_in: u32,
    /// Whether the marks rose since they were last persisted.
    unwritten: bool,
}

/// No session.
const NEVER: u32 = 0;
/// Number of the session before the first one; its predecessor must not be [`NEVER`].
const FIRST: u32 = 2;

/// Whether the sender of a flow may know that its recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing has been reported about it.
    #[default]
    New,
    /// Its answers wait: see [`lookups`].
    Waits,
    /// The sender knows it.
    Known,
}

impl Flow {
    /// Records that later letters whose `prev` is among these numbers are refused for `reason`.
    fn refuse(&mut self, numbers: Numbers, reason: Reason, session: u32) {
        let all = self.refused_now(session).map_or(numbers, |(refused, _)| refused.span(numbers));
        self.refused = Some((all, reason));
        self.refused_in = session;
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

    /// Records that the marks rose: the next session gets a receipt too.
    fn raise(&mut self, id: FlowId, session: u32, raised: &mut Vec<FlowId>) {
        if self.raised_in != session && self.standing != Standing::Waits {
            self.raised_in = session;
            raised.push(id);
        }
    }
}

/// Entries of `raised`, beyond two for each flow, from which entries of removed flows are dropped.
///
/// 64: the clean-up visits every entry and drops at least half of them, so it pays for itself.
const RAISED_SLACK: usize = 64;

/// The flows of one sender.
#[derive(Debug)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    /// Number of the current session. A counter, so that a session starts in constant time.
    session: u32,
    /// Flows with a pending receipt in this session, and flows whose marks rose in it. Both may
    /// contain removed flows.
    owing: Vec<FlowId>,
    raised: Vec<FlowId>,
    /// Flows whose marks rose since they were last persisted.
    unwritten: BTreeSet<FlowId>,
    /// Letters refused in this session as unknown. They matter if the name is registered.
    unknowns: Unknowns,
    /// Flows whose answers wait for those of earlier flows.
    waiting: Waiting,
    /// Letters that may be sent again without counting against the sender's rate.
    passes: usize,
    /// Letters accepted and refused later, until the sender acknowledges the refusal.
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
    /// Opens a flow that its sender asks about. Returns `false` if the sender has too many flows.
    pub(super) fn open(&mut self, flow: FlowId) -> bool {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&flow) {
            return false;
        }
        self.flows.entry(flow).or_default();
        true
    }

    /// Begins a session of the sender: no refusal counts in it, and unconfirmed receipts and
    /// refusals are pending again.
    pub(super) fn begin_session(&mut self) {
        self.unknowns.clear();
        self.waiting.begin_session();
        self.session += 1;
        self.owing = std::mem::take(&mut self.raised);
        self.refusals.begin_session();
    }

    /// Checks whether this letter to `name` can be taken now.
    pub(super) fn turn_of(&mut self, flow: FlowId, name: &str, letter: Numbered) -> Turn {
        let Numbered { number, prev, mark } = letter;
        // A known number under a higher mark: the outbox was restored from an old copy, and another
        // letter has this number.
        if self.flows.get(&flow).is_some_and(|state| number <= state.taken && mark > state.marks.mark) {
            return Turn::OldCopy;
        }
        if !self.refusals.is_empty() && self.refusals.repeats(flow, number) {
            // It was refused after it had been taken, perhaps by an earlier process of this relay.
            // The refusal holds.
            return Turn::Repeated;
        }
        // Evict no flow: without its `taken` mark a repeated letter would count as new.
        let is_full = self.flows.len() >= FLOWS_MAX;
        let state = match self.flows.entry(flow) {
            Vacant(_) if is_full => return Turn::Crowded,
            entry => entry.or_default(),
        };
        // `name` is registered now. Letters refused while it was unknown belong to this flow.
        // Otherwise a letter written after them would pass as `Next`.
        if let Some(numbers) = self.unknowns.found(flow.outbox, name) {
            state.refuse(numbers, Reason::Behind, self.session);
        }
        // While earlier lookups wait, even the first receipt would show that the recipient exists.
        if state.standing == Standing::New {
            let waits = self.waiting.holds(flow.outbox, name);
            state.standing = if waits { Standing::Waits } else { Standing::Known };
        }
        // The sender lost its session or the receipt. Repeat the receipt, if accepted already.
        if number <= state.taken {
            if number <= state.marks.accepted {
                state.owe(flow, self.session, &mut self.owing);
            }
            return Turn::Repeated;
        }
        // The sender had not received the refusal of `prev` when it sent this letter. It repeats it
        // with a corrected `prev`; taken now, it would overtake letters sent again.
        match state.refused_now(self.session) {
            Some((refused, reason)) if refused.contains(prev) => Turn::Behind(reason),
            _ => Turn::Next,
        }
    }

    /// Records that a letter was taken at `at`, which is `clock` on the uptime clock. Returns
    /// whether it is the first of its flow. Letters whose `prev` is a refused number above it are
    /// still behind.
    pub(super) fn took(&mut self, flow: FlowId, number: u64, mark: Mark, at: Wall, clock: u64) -> bool {
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

    /// Drops entries of removed flows from `raised`. Flows to guests can make them many.
    fn forget_stale_raised(&mut self) {
        let flows = &self.flows;
        let session = self.session;
        self.raised.sort_unstable();
        self.raised.dedup();
        self.raised.retain(|id| flows.get(id).is_some_and(|state| state.raised_in == session));
    }

    /// Records the time of a letter that was refused.
    pub(super) fn touch(&mut self, flow: FlowId, clock: u64) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.touched = clock;
        }
    }

    /// Records a refusal, immediate or later; the letter may be sent again. One refused as `behind`
    /// gets a pass, because its client repeats it unasked.
    pub(super) fn refused(&mut self, flow: FlowId, number: u64, reason: Reason) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = state.taken.min(number.saturating_sub(1)).max(state.marks.accepted);
        let behind = if reason.is_of_conversation() { reason } else { Reason::Behind };
        state.refuse(Numbers::one(number), behind, self.session);
        if reason == Reason::Behind {
            self.passes += state.again.grant(number, 1);
        }
    }

    /// Whether a letter is repeated after `behind`; uses up the pass of its number.
    pub(super) fn comes_again(&mut self, flow: FlowId, number: u64) -> bool {
        let again =
            self.passes > 0 && self.flows.get_mut(&flow).is_some_and(|state| state.again.redeem(number));
        self.passes -= usize::from(again);
        again
    }

    /// Raises the accepted mark. The last of these letters was taken at `since`.
    pub(super) fn accepted(&mut self, flow: FlowId, number: u64, since: u64) {
        self.raise(flow, |marks| {
            marks.accepted = marks.accepted.max(number);
            marks.since = since;
        });
        self.accepted_though_held_back(flow, number);
    }

    /// Raises the delivered mark: the recipient has every letter up to `number`.
    pub(super) fn delivered(&mut self, flow: FlowId, number: u64) {
        self.tell_now(flow);
        self.raise(flow, |marks| marks.deliver(number));
    }

    /// Raises the read mark. Returns the marks before it; `None` if the flow is unknown.
    ///
    /// After a crash the relay may know fewer deliveries than the sender, whose client compares
    /// this mark with its own state.
    pub(super) fn read(&mut self, flow: FlowId, number: u64) -> Option<Marks> {
        self.tell_now(flow);
        self.raise(flow, |marks| marks.read = marks.read.max(number))
    }

    /// Changes the marks and returns those before; `None` if the flow is unknown.
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

    /// Makes a receipt and all refusals of the flow pending, because the sender asks.
    pub(super) fn asked(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.owe(flow, self.session, &mut self.owing);
        }
        self.refusals.asked(flow);
    }

    /// Returns the watermarks of a flow.
    pub(super) fn marks(&self, flow: FlowId) -> Option<Marks> {
        self.flows.get(&flow).map(|state| state.marks)
    }

    /// Forgets all flows to a recipient that no longer exists.
    pub(super) fn forget(&mut self, to: To) {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        while let Some(flow) = self.flows.range(of(0)..=of(u64::MAX)).next().map(|(flow, _)| *flow) {
            self.passes -= self.flows.remove(&flow).map_or(0, |state| state.again.left());
            self.unwritten.remove(&flow);
            self.held_back.remove(&flow);
        }
    }

    // Idle flows.

    /// Finds flows idle since `before` among at most `most` flows after `after`. Returns them, the
    /// last flow examined and the number examined.
    ///
    /// With `may_hear` (the sender can sign in again), a flow with unacknowledged news is not idle.
    pub(super) fn idle(
        &self,
        after: Option<FlowId>,
        most: usize,
        before: u64,
        may_hear: bool,
    ) -> (Vec<FlowId>, Option<(FlowId, usize)>) {
        let behind = after.map_or(Unbounded, Excluded);
        let mut idle = Vec::new();
        let mut last = None;
        for (count, (id, flow)) in self.flows.range((behind, Unbounded)).take(most).enumerate() {
            last = Some((*id, count + 1));
            idle.extend(self.rests_as(*id, flow, before, may_hear).then_some(*id));
        }
        (idle, last)
    }

    /// Whether this flow is idle in the sense of [`Flows::idle`].
    pub(super) fn rests(&self, flow: FlowId, before: u64, may_hear: bool) -> bool {
        self.flows.get(&flow).is_some_and(|state| self.rests_as(flow, state, before, may_hear))
    }

    fn rests_as(&self, id: FlowId, flow: &Flow, before: u64, may_hear: bool) -> bool {
        let owes = || flow.owes(self.session) || self.is_held_back(id) || self.refusals.owes(id);
        let heard = || flow.raised_in != self.session && !owes();
        // Flows to guests are forgotten with their guests.
        let may_go = !matches!(id.to, To::Guest(_)) && flow.touched < before;
        may_go && (!may_hear || heard())
    }

    /// Forgets an idle flow.
    pub(super) fn drop_idle(&mut self, flow: FlowId) {
        self.passes -= self.flows.remove(&flow).map_or(0, |state| state.again.left());
        self.unwritten.remove(&flow);
        self.held_back.remove(&flow);
        self.refusals.forget(flow);
    }

    // Receipts.

    /// Returns the next pending receipt and the time at which the first letter new in it was taken.
    /// Call [`Flows::paid`] once it is sent.
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

    /// Marks the receipt of [`Flows::next_receipt`] as sent.
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

    // Persistence.

    /// Returns the marks to persist, and the time of the last letter; `None` if they did not rise.
    pub(super) fn take_unwritten(&mut self, flow: FlowId) -> Option<(Marks, u64)> {
        let state = self.flows.get_mut(&flow)?;
        if !std::mem::take(&mut state.unwritten) {
            return None;
        }
        self.unwritten.remove(&flow);
        Some((state.marks, state.touched))
    }

    /// Marks the flow as not persisted: a write failed, or the disk lost it.
    pub(super) fn not_written(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.unwritten = true;
            self.unwritten.insert(flow);
        }
    }

    /// Returns every flow to a member whose marks rose since they were last persisted.
    pub(super) fn unwritten(&self) -> Vec<FlowId> {
        self.unwritten.iter().filter(|id| id.to.member().is_some()).copied().collect()
    }

    // Refusals of accepted letters.

    /// Whether one more refusal may become pending. Otherwise no letter of this sender expires.
    pub(super) fn may_owe_refusal(&self) -> bool {
        self.refusals.has_room()
    }

    /// Whether one more letter to `to` may be taken, which might be refused later.
    ///
    /// `false` only if the sender has too many unacknowledged refusals, some of them from `to`.
    /// Letters to other recipients are not affected.
    pub(super) fn may_owe_refusal_of(&self, to: To) -> bool {
        self.refusals.has_room() || !self.refusals.owes_of(to)
    }

    /// Returns the number of pending refusals above the bound of [`Flows::may_owe_refusal`].
    pub(super) fn refusals_above_bound(&self) -> usize {
        self.refusals.above_bound()
    }

    /// Queues the refusal of an accepted letter.
    pub(super) fn owe_refusal(&mut self, flow: FlowId, number: u64, refusal: Refusal) {
        self.refusals.owe(flow, number, refusal);
    }

    /// Returns the next refusal, of consecutive letters. Call [`Flows::told`] once it is sent.
    pub(super) fn next_untold(&mut self) -> Option<(FlowId, Numbers, Refusal)> {
        if self.refusals.is_empty() {
            return None;
        }
        let (flow, first, refusal) = self.refusals.next()?;
        let last = self.refusals.last_of(flow, first, refusal);
        Some((flow, Numbers { first, last }, refusal))
    }

    /// Marks the refusal of [`Flows::next_untold`] as sent.
    pub(super) fn told(&mut self, numbers: Numbers) {
        (numbers.first..=numbers.last).for_each(|_| self.refusals.told());
    }

    /// Handles the sender's acknowledgement of a refusal, which is returned if it was pending.
    pub(super) fn heard(&mut self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.refusals.heard(flow, number)
    }

    /// Whether the refusal of this letter is pending.
    pub(super) fn owes_refusal(&self, flow: FlowId, number: u64) -> bool {
        self.refusals.has(flow, number)
    }

    // For tests.

    /// Returns every flow, its marks, and whether they rose since they were persisted.
    pub(super) fn all(&self) -> impl Iterator<Item = (FlowId, Marks, bool)> + '_ {
        self.flows.iter().map(|(id, flow)| (*id, flow.marks, flow.unwritten))
    }

    /// Returns every pending refusal.
    pub(super) fn owed(&self) -> impl Iterator<Item = (FlowId, u64, Refusal)> + '_ {
        self.refusals.all()
    }
}

#[cfg(test)]
mod tests;
