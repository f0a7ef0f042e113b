//! What one author has sent: for each outbox and recipient, how far its letters have come and which of them were
//! refused. From this come the answers to repeated letters, the `behind` refusals that keep the order, and the
//! receipts.
//!
//! The watermarks outlive the author's sessions, and on disk the relay; what was refused counts in one session only,
//! since a client begins each with what it then knows.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::{OutboxId, Tick, Wall, blank};
use crate::wire::message::Reason;

use super::guests::GuestId;
use super::limits::{FLOWS_MAX, OWED_REFUSALS_MAX, UNKNOWN_FOR};
use super::members::MemberId;

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
    /// The letter before it was refused: refuse it as behind.
    Behind,
    /// It was taken before: it has or will have its receipt.
    Repeated,
    /// There are too many flows.
    Crowded,
}

/// How far the letters of one flow have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// When the last accepted one was taken, on the relay's own clock, in milliseconds.
    pub(super) since: u64,
}

/// Why a letter was refused, and whether it may have arrived.
pub(super) type Refusal = (Reason, bool);

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The last letter that was taken and not refused.
    taken: u64,
    marks: Marks,
    /// When the first of the letters was taken that no receipt has called accepted, by the wall clock; and what the last
    /// receipt said of that.
    taken_at: Option<Wall>,
    told_taken_at: Wall,
    /// The refused numbers that no later letter has overtaken: first and last.
    refused: Option<(u64, u64)>,
    owes_receipt: bool,
    /// The marks rose since the author's last sign-in: what was said then may not have arrived.
    recent: bool,
    /// The marks rose since they were last written down.
    unwritten: bool,
}

impl Flow {
    fn refuse(&mut self, numbers: (u64, u64)) {
        self.refused = Some(self.refused.map_or(numbers, |refused| span(refused, numbers)));
    }

    fn owe(&mut self, id: FlowId, owing: &mut Vec<FlowId>) {
        if !std::mem::replace(&mut self.owes_receipt, true) {
            owing.push(id);
        }
    }
}

fn span(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Names nobody has that an author's refused letters are remembered for; at the bound the first is forgotten, and if
/// somebody takes that very name at once, order may suffer.
const UNKNOWN_MAX: usize = 64;

/// Outboxes of a member that are looked at for whether it has written to another: it has one, and another after an old copy
/// of its folder was put back.
const OUTBOXES_LOOKED_AT: usize = 16;

/// Letters to a name that nobody has.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    /// Their numbers: first and last.
    refused: (u64, u64),
    /// When the name was last looked for.
    looked: Option<Tick>,
}

/// The flows of one author.
#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: BTreeMap<FlowId, Flow>,
    owing: Vec<FlowId>,
    /// What was refused in this session because nobody has the name. It counts when somebody takes the name.
    unknown: BTreeMap<(OutboxId, Box<str>), Unknown>,
    /// Letters that were accepted and refused later, until the author has heard of it.
    refusals: BTreeMap<(FlowId, u64), Refusal>,
    /// Those of `refusals` to be told now.
    untold: BTreeSet<(FlowId, u64)>,
}

blank!(
    Flows,
    Flows {
        flows: BTreeMap::new(),
        owing: Vec::new(),
        unknown: BTreeMap::new(),
        refusals: BTreeMap::new(),
        untold: BTreeSet::new(),
    },
    |flows| {
        let told = flows.refusals.is_empty() && flows.unknown.is_empty() && flows.untold.is_empty();
        told && flows.flows.is_empty() && flows.owing.is_empty()
    }
);

impl Flows {
    /// What the disk has of a flow.
    pub(super) fn found_on_disk(&mut self, flow: FlowId, marks: Marks) {
        let state = self.flows.entry(flow).or_default();
        state.marks.accepted = state.marks.accepted.max(marks.accepted);
        state.marks.delivered = state.marks.delivered.max(marks.delivered);
        state.marks.read = state.marks.read.max(marks.read);
        state.marks.since = state.marks.since.max(marks.since);
        (state.taken, state.recent) = (state.marks.accepted, true);
    }

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
        self.unknown.clear();
        self.owing.clear();
        for (id, flow) in &mut self.flows {
            flow.refused = None;
            flow.owes_receipt = std::mem::take(&mut flow.recent);
            self.owing.extend(flow.owes_receipt.then_some(*id));
        }
        self.untold = self.refusals.keys().copied().collect();
    }

    /// Whether this letter to somebody called `name` may be taken now.
    pub(super) fn turn_of(&mut self, flow: FlowId, name: &str, number: u64, prev: u64) -> Turn {
        let is_full = self.flows.len() >= FLOWS_MAX;
        let state = match self.flows.entry(flow) {
            Vacant(_) if is_full => return Turn::Crowded,
            entry => entry.or_default(),
        };
        if !self.unknown.is_empty()
            && let Some(unknown) = self.unknown.remove(&(flow.outbox, name.into()))
        {
            state.refuse(unknown.refused);
        }
        if number <= state.taken {
            if number <= state.marks.accepted {
                state.owe(flow, &mut self.owing);
            }
            return Turn::Repeated;
        }
        match state.refused {
            Some((first, last)) if (first..=last).contains(&prev) => Turn::Behind,
            _ => Turn::Next,
        }
    }

    /// The letter was taken at this time. Later ones whose `prev` was refused are still behind.
    pub(super) fn took(&mut self, flow: FlowId, number: u64, at: Wall) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = number;
        state.taken_at.get_or_insert(at);
        let behind = |(first, last): (u64, u64)| (first.max(number.saturating_add(1)), last);
        state.refused = state.refused.map(behind).filter(|r| r.0 <= r.1);
    }

    /// The letter was refused, at once or after it had been taken; in both cases it may come again.
    pub(super) fn refused(&mut self, flow: FlowId, number: u64) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.taken = state.taken.min(number.saturating_sub(1)).max(state.marks.accepted);
        state.refuse((number, number));
    }

    /// The letter was refused because nobody is called `name`, looked for at `looked` or earlier.
    pub(super) fn refused_unknown(
        &mut self,
        outbox: OutboxId,
        name: &str,
        number: u64,
        looked: Option<Tick>,
    ) {
        let new = Unknown { refused: (number, number), looked };
        let unknown = self.unknown.entry((outbox, name.into())).or_insert(new);
        unknown.refused = span(unknown.refused, (number, number));
        unknown.looked = unknown.looked.max(looked);
        if self.unknown.len() > UNKNOWN_MAX {
            self.unknown.pop_first();
        }
    }

    /// Whether the author was told in this session, and not long ago, that nobody is called `name`.
    pub(super) fn is_known_unknown(&self, now: Tick, outbox: OutboxId, name: &str) -> bool {
        let unknown = self.unknown.get(&(outbox, name.into()));
        unknown.and_then(|unknown| unknown.looked).is_some_and(|at| now.since(at) < UNKNOWN_FOR)
    }

    /// The relay answers for every letter up to `number`, the last of which was taken at `since`.
    pub(super) fn accepted(&mut self, flow: FlowId, number: u64, since: u64) {
        self.raise(flow, |marks| {
            marks.accepted = marks.accepted.max(number);
            marks.since = since;
        });
    }

    /// The recipient has every letter up to `number`.
    pub(super) fn delivered(&mut self, flow: FlowId, number: u64) {
        self.raise(flow, |marks| {
            marks.accepted = marks.accepted.max(number);
            marks.delivered = marks.delivered.max(number);
        });
    }

    /// The recipient says that it has read every letter up to `number`; `false` if nothing is known of the flow. A relay
    /// that was killed may know less of what was delivered than the author, who holds this against what it knows.
    pub(super) fn read(&mut self, flow: FlowId, number: u64) -> bool {
        self.raise(flow, |marks| marks.read = marks.read.max(number))
    }

    fn raise(&mut self, flow: FlowId, raise: impl FnOnce(&mut Marks)) -> bool {
        let Some(state) = self.flows.get_mut(&flow) else { return false };
        let before = state.marks;
        raise(&mut state.marks);
        if state.marks != before {
            (state.recent, state.unwritten) = (true, true);
            state.owe(flow, &mut self.owing);
        }
        true
    }

    /// The author asks how far a flow has come: a receipt is owed, and every refusal it may not know of.
    pub(super) fn asked(&mut self, flow: FlowId) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.owe(flow, &mut self.owing);
        }
        let of_flow = self.refusals.range((flow, 0)..=(flow, u64::MAX)).map(|(key, _)| *key);
        self.untold.extend(of_flow);
    }

    /// How far a flow has come.
    pub(super) fn marks(&self, flow: FlowId) -> Option<Marks> {
        self.flows.get(&flow).map(|state| state.marks)
    }

    /// Whether a letter to this recipient, from whichever outbox, was accepted. Flows that rest for as long as letters are
    /// kept are forgotten, so that it was accepted not long ago.
    pub(super) fn has_written_to(&self, to: To) -> bool {
        let of = |outbox| FlowId { to, outbox: OutboxId(outbox) };
        let mut flows = self.flows.range(of(0)..=of(u64::MAX)).take(OUTBOXES_LOOKED_AT);
        flows.any(|(_, flow)| flow.marks.accepted > 0)
    }

    /// There is no such recipient any more.
    pub(super) fn forget(&mut self, to: To) {
        self.owing.retain(|flow| flow.to != to);
        self.flows.retain(|flow, _| flow.to != to);
    }

    // Receipts.

    /// The next receipt that is owed, and when the first of the letters that are new in it was taken; `paid` when it was
    /// sent.
    pub(super) fn next_receipt(&self) -> Option<(FlowId, Marks, Wall)> {
        let flow = *self.owing.last()?;
        let state = &self.flows[&flow];
        Some((flow, state.marks, state.taken_at.unwrap_or(state.told_taken_at)))
    }

    /// The receipt of [`Flows::next_receipt`] was sent.
    pub(super) fn paid(&mut self) {
        if let Some(state) = self.owing.pop().and_then(|flow| self.flows.get_mut(&flow)) {
            state.owes_receipt = false;
            if state.marks.accepted >= state.taken {
                state.told_taken_at = state.taken_at.take().unwrap_or(state.told_taken_at);
            }
        }
    }

    // To the disk.

    /// The marks of this flow are being written down, unless the disk has them already.
    pub(super) fn take_unwritten(&mut self, flow: FlowId) -> Option<Marks> {
        let state = self.flows.get_mut(&flow)?;
        std::mem::take(&mut state.unwritten).then_some(state.marks)
    }

    /// Every flow to a member whose marks rose since they were last written down.
    pub(super) fn unwritten(&self) -> Vec<FlowId> {
        let unwritten =
            |(id, flow): (&FlowId, &Flow)| (flow.unwritten && id.to.member().is_some()).then_some(*id);
        self.flows.iter().filter_map(unwritten).collect()
    }

    // Refusals of what was accepted.

    /// Whether one more refusal may be owed.
    pub(super) fn may_owe_refusal(&self) -> bool {
        self.refusals.len() < OWED_REFUSALS_MAX
    }

    /// An accepted letter was refused after all.
    pub(super) fn owe_refusal(&mut self, flow: FlowId, number: u64, refusal: Refusal) {
        self.refusals.insert((flow, number), refusal);
        self.untold.insert((flow, number));
    }

    /// The next refusal to be told; `told` when it was.
    pub(super) fn next_untold(&self) -> Option<(FlowId, u64, Refusal)> {
        let key = *self.untold.first()?;
        Some((key.0, key.1, self.refusals[&key]))
    }

    /// The refusal of [`Flows::next_untold`] was told.
    pub(super) fn told(&mut self) {
        self.untold.pop_first();
    }

    /// The author knows of a refusal; what was owed, if it was.
    pub(super) fn heard(&mut self, flow: FlowId, number: u64) -> Option<Refusal> {
        self.untold.remove(&(flow, number));
        self.refusals.remove(&(flow, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: FlowId = FlowId { outbox: OutboxId(1), to: To::Member(MemberId(2)) };

    fn delivered(flows: &Flows) -> Option<u64> {
        flows.next_receipt().map(|(flow, marks, _)| {
            assert_eq!(flow, FLOW);
            marks.delivered
        })
    }

    fn take(flows: &mut Flows, number: u64, prev: u64) -> Turn {
        let turn = flows.turn_of(FLOW, "JACK", number, prev);
        match turn {
            Turn::Next => flows.took(FLOW, number, Wall(number)),
            Turn::Behind => flows.refused(FLOW, number),
            Turn::Repeated | Turn::Crowded => {}
        }
        turn
    }

    #[test]
    fn order_holds_when_a_letter_in_the_middle_is_refused() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        assert_eq!(flows.turn_of(FLOW, "JACK", 2, 1), Turn::Next);
        flows.refused(FLOW, 2);
        assert_eq!(take(&mut flows, 3, 2), Turn::Behind);
        assert_eq!(take(&mut flows, 4, 3), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next, "3 comes again with a new prev");
        assert_eq!(take(&mut flows, 5, 4), Turn::Behind, "5 was sent before 4 was known to be refused");
        assert_eq!(take(&mut flows, 4, 3), Turn::Next);
        assert_eq!(take(&mut flows, 5, 4), Turn::Next);
    }

    #[test]
    fn letters_refused_after_they_were_taken_may_come_again() {
        let mut flows = Flows::default();
        for number in 1..=3 {
            assert_eq!(take(&mut flows, number, number - 1), Turn::Next);
        }
        flows.refused(FLOW, 2);
        flows.refused(FLOW, 3);
        assert_eq!(take(&mut flows, 4, 3), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next);
        assert_eq!(take(&mut flows, 4, 3), Turn::Next);
    }

    #[test]
    fn a_letter_behind_one_to_an_unknown_name_waits_though_the_name_is_taken_meanwhile() {
        let mut flows = Flows::default();
        flows.refused_unknown(FLOW.outbox, "JACK", 1, None);
        flows.refused_unknown(FLOW.outbox, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 0), Turn::Next, "its sender knows now that 1 and 2 were refused");
        for name in 0..2 * UNKNOWN_MAX {
            flows.refused_unknown(FLOW.outbox, &name.to_string(), 1, None);
            assert!(flows.unknown.len() <= UNKNOWN_MAX);
        }
    }

    #[test]
    fn that_a_name_is_unknown_is_remembered_for_a_minute_and_for_as_long_as_nobody_is_found() {
        let (mut flows, at) = (Flows::default(), |second: u64| Tick::from_micros(second * 1_000_000));
        let known = |flows: &Flows, second| flows.is_known_unknown(at(second), FLOW.outbox, "JACK");
        flows.refused_unknown(FLOW.outbox, "JACK", 1, Some(at(5)));
        flows.refused_unknown(FLOW.outbox, "JACK", 2, None);
        assert!(known(&flows, 64), "nobody looked again");
        assert!(!known(&flows, 65));
        flows.refused_unknown(FLOW.outbox, "JACK", 3, Some(at(66)));
        assert!(known(&flows, 100) && !flows.is_known_unknown(at(100), FLOW.outbox, "JACC"));
        assert_eq!(take(&mut flows, 4, 3), Turn::Behind, "somebody was found");
        assert!(!known(&flows, 100));
        flows.refused_unknown(FLOW.outbox, "JACC", 1, Some(at(100)));
        flows.begin_session();
        assert!(!flows.is_known_unknown(at(100), FLOW.outbox, "JACC"), "it was told in another session");
    }

    #[test]
    fn letters_to_a_member_who_was_away_for_a_while_keep_their_order() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        flows.refused_unknown(FLOW.outbox, "JACK", 2, None);
        assert_eq!(take(&mut flows, 3, 2), Turn::Behind);
        assert_eq!(take(&mut flows, 3, 1), Turn::Next);
    }

    #[test]
    fn a_receipt_tells_when_the_first_letter_was_taken_that_is_new_in_it() {
        let mut flows = Flows::default();
        let told = |flows: &mut Flows| {
            let (_, _, at) = flows.next_receipt().unwrap();
            flows.paid();
            at.0
        };
        (1..=3).for_each(|number| assert_eq!(take(&mut flows, number, number - 1), Turn::Next));
        flows.accepted(FLOW, 2, 0);
        assert_eq!(told(&mut flows), 1);
        flows.delivered(FLOW, 3);
        assert_eq!(told(&mut flows), 1, "of the third nothing later is known");
        flows.asked(FLOW);
        assert_eq!(told(&mut flows), 1, "a receipt that is repeated says the same");
        assert_eq!(take(&mut flows, 4, 3), Turn::Next);
        flows.delivered(FLOW, 4);
        assert_eq!(told(&mut flows), 4);
    }

    #[test]
    fn numbers_at_the_end_of_the_range_do_no_harm() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 0, 0), Turn::Repeated);
        assert_eq!(take(&mut flows, u64::MAX, 0), Turn::Next);
        flows.refused(FLOW, u64::MAX);
        assert_eq!(take(&mut flows, u64::MAX, u64::MAX), Turn::Behind);
    }

    #[test]
    fn a_repeated_letter_is_answered_again_and_not_taken_again() {
        let mut flows = Flows::default();
        assert_eq!(take(&mut flows, 1, 0), Turn::Next);
        flows.delivered(FLOW, 1);
        assert_eq!(delivered(&flows), Some(1));
        flows.paid();
        assert_eq!(flows.next_receipt(), None);
        flows.delivered(FLOW, 1);
        assert_eq!(flows.next_receipt(), None, "nothing new");
        assert_eq!(take(&mut flows, 1, 0), Turn::Repeated);
        assert_eq!(delivered(&flows), Some(1));
    }

    #[test]
    fn many_letters_owe_one_receipt() {
        let mut flows = Flows::default();
        for number in 1..=64 {
            take(&mut flows, number, number - 1);
            flows.delivered(FLOW, number);
        }
        assert_eq!(delivered(&flows), Some(64));
        flows.paid();
        assert_eq!(flows.next_receipt(), None);
    }

    #[test]
    fn flows_are_bounded() {
        let mut flows = Flows::default();
        for n in 0..FLOWS_MAX {
            let flow = FlowId { outbox: OutboxId(9), to: To::Member(MemberId(n)) };
            assert_eq!(flows.turn_of(flow, "JACK", 1, 0), Turn::Next);
        }
        assert_eq!(flows.turn_of(FLOW, "JACK", 1, 0), Turn::Crowded);
        assert!(!flows.open(FLOW));
    }

    #[test]
    fn a_new_session_hears_what_the_last_one_may_not_have_heard_once_more() {
        let mut flows = Flows::default();
        take(&mut flows, 1, 0);
        flows.accepted(FLOW, 1, 5);
        assert_eq!(flows.next_receipt().map(|(_, marks, _)| (marks.accepted, marks.since)), Some((1, 5)));
        flows.paid();
        flows.begin_session();
        assert!(flows.next_receipt().is_some());
        flows.paid();
        flows.begin_session();
        assert_eq!(flows.next_receipt(), None, "nothing is new since the last sign-in");
        flows.asked(FLOW);
        assert!(flows.next_receipt().is_some(), "but who asks is answered");
    }

    #[test]
    fn what_is_accepted_stays_so_whatever_is_refused_later() {
        let mut flows = Flows::default();
        for number in 1..=3 {
            take(&mut flows, number, number - 1);
        }
        flows.accepted(FLOW, 2, 0);
        flows.refused(FLOW, 3);
        assert_eq!(take(&mut flows, 2, 1), Turn::Repeated);
        assert_eq!(take(&mut flows, 3, 2), Turn::Next);
    }

    #[test]
    fn what_was_read_of_a_flow_that_is_not_known_waits_until_its_author_asks() {
        let mut flows = Flows::default();
        assert!(!flows.read(FLOW, 3));
        assert!(flows.open(FLOW) && flows.open(FLOW));
        assert!(flows.read(FLOW, 3));
        assert_eq!(flows.next_receipt().map(|(_, marks, _)| (marks.delivered, marks.read)), Some((0, 3)));
    }

    #[test]
    fn marks_are_written_once_for_each_rise() {
        let mut flows = Flows::default();
        take(&mut flows, 1, 0);
        assert_eq!(flows.unwritten(), []);
        flows.delivered(FLOW, 1);
        assert_eq!(flows.unwritten(), [FLOW]);
        assert_eq!(flows.take_unwritten(FLOW).map(|marks| marks.delivered), Some(1));
        flows.delivered(FLOW, 1);
        assert!(flows.take_unwritten(FLOW).is_none() && flows.unwritten().is_empty());
    }

    #[test]
    fn a_refusal_is_told_in_each_session_until_it_is_heard() {
        let mut flows = Flows::default();
        let refusal = (Reason::Expired, false);
        flows.owe_refusal(FLOW, 7, refusal);
        assert_eq!(flows.next_untold(), Some((FLOW, 7, refusal)));
        flows.told();
        assert_eq!(flows.next_untold(), None);
        flows.begin_session();
        assert_eq!(flows.next_untold(), Some((FLOW, 7, refusal)));
        assert_eq!(flows.heard(FLOW, 7), Some(refusal));
        assert_eq!((flows.next_untold(), flows.heard(FLOW, 7)), (None, None));
        flows.begin_session();
        assert_eq!(flows.next_untold(), None);
    }
}
