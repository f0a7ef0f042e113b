//! Tests of flows: order, refusals, receipts, and the pending receipts of each session.

use super::*;

pub(super) const BEHIND: Turn = Turn::Behind(Reason::Behind);
pub(super) const FLOW: FlowId = FlowId { outbox: OutboxId(1), to: To::Member(MemberId(2)) };

pub(super) fn numbered(number: u64, prev: u64) -> Numbered {
    Numbered { number, prev, mark: Mark(1) }
}

fn delivered(flows: &mut Flows) -> Option<u64> {
    flows.next_receipt().map(|(flow, marks, _)| {
        assert_eq!(flow, FLOW);
        marks.delivered
    })
}

pub(super) fn take(flows: &mut Flows, number: u64, prev: u64) -> Turn {
    let turn = flows.turn_of(FLOW, "JACK", numbered(number, prev));
    match turn {
        Turn::Next => drop(flows.took(FLOW, number, Mark(1), Wall(number), 0)),
        Turn::Behind(reason) => flows.refused(FLOW, number, reason),
        Turn::Repeated | Turn::OldCopy | Turn::Crowded => {}
    }
    turn
}

#[test]
fn order_holds_if_middle_letter_is_refused() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), Turn::Next);
    assert_eq!(flows.turn_of(FLOW, "JACK", numbered(2, 1)), Turn::Next);
    flows.refused(FLOW, 2, Reason::Full);
    assert_eq!(take(&mut flows, 3, 2), BEHIND);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert_eq!(take(&mut flows, 3, 1), Turn::Next, "3 comes again with a new prev");
    assert_eq!(take(&mut flows, 5, 4), BEHIND, "5 was sent before 4 was known to be refused");
    assert_eq!(take(&mut flows, 4, 3), Turn::Next);
    assert_eq!(take(&mut flows, 5, 4), Turn::Next);
}

#[test]
fn letters_refused_after_they_were_taken_may_come_again() {
    let mut flows = Flows::default();
    for number in 1..=3 {
        assert_eq!(take(&mut flows, number, number - 1), Turn::Next);
    }
    flows.refused(FLOW, 2, Reason::Full);
    flows.refused(FLOW, 3, Reason::Full);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert_eq!(take(&mut flows, 3, 1), Turn::Next);
    assert_eq!(take(&mut flows, 4, 3), Turn::Next);
}

#[test]
fn letters_behind_refused_flow_are_refused_with_it() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), Turn::Next);
    assert_eq!(flows.turn_of(FLOW, "JACK", numbered(2, 1)), Turn::Next);
    flows.refused(FLOW, 2, Reason::Blocked);
    for number in 3..=9 {
        assert_eq!(take(&mut flows, number, number - 1), Turn::Behind(Reason::Blocked));
    }
    assert_eq!(take(&mut flows, 10, 1), Turn::Next, "its author knows, and tries again");
    assert_eq!(take(&mut flows, 11, 10), Turn::Next);
    assert!(!flows.comes_again(FLOW, 3), "a final refusal grants no pass");
}

#[test]
fn letter_repeated_after_behind_passes_once() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), Turn::Next);
    flows.refused(FLOW, 2, Reason::TooLong);
    assert_eq!(take(&mut flows, 3, 2), BEHIND);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert!(!flows.comes_again(FLOW, 2) && flows.comes_again(FLOW, 3));
    flows.refused(FLOW, 3, Reason::TooLong);
    assert!(flows.comes_again(FLOW, 4));
    assert_eq!(take(&mut flows, 4, 3), BEHIND, "for the second time");
    assert!(!flows.comes_again(FLOW, 4));
}

#[test]
fn receipt_has_time_of_first_letter_new_in_it() {
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
    assert_eq!(told(&mut flows), 1, "no later time is known for the third");
    flows.asked(FLOW);
    assert_eq!(told(&mut flows), 1, "a repeated receipt has the same time");
    assert_eq!(take(&mut flows, 4, 3), Turn::Next);
    flows.delivered(FLOW, 4);
    assert_eq!(told(&mut flows), 4);
}

#[test]
fn numbers_at_end_of_range_do_not_overflow() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 0, 0), Turn::Repeated);
    assert_eq!(take(&mut flows, u64::MAX, 0), Turn::Next);
    flows.refused(FLOW, u64::MAX, Reason::Full);
    assert_eq!(take(&mut flows, u64::MAX, u64::MAX), BEHIND);
}

#[test]
fn repeated_letter_is_answered_again_and_not_taken_again() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), Turn::Next);
    flows.delivered(FLOW, 1);
    assert_eq!(delivered(&mut flows), Some(1));
    flows.paid();
    assert_eq!(flows.next_receipt(), None);
    flows.delivered(FLOW, 1);
    assert_eq!(flows.next_receipt(), None, "nothing new");
    assert_eq!(take(&mut flows, 1, 0), Turn::Repeated);
    assert_eq!(delivered(&mut flows), Some(1));
}

#[test]
fn many_letters_owe_one_receipt() {
    let mut flows = Flows::default();
    for number in 1..=64 {
        take(&mut flows, number, number - 1);
        flows.delivered(FLOW, number);
    }
    assert_eq!(delivered(&mut flows), Some(64));
    flows.paid();
    assert_eq!(flows.next_receipt(), None);
}

#[test]
fn flows_are_bounded() {
    let mut flows = Flows::default();
    for n in 0..FLOWS_MAX {
        let flow = FlowId { outbox: OutboxId(9), to: To::Member(MemberId(n)) };
        assert_eq!(flows.turn_of(flow, "JACK", numbered(1, 0)), Turn::Next);
    }
    assert_eq!(flows.turn_of(FLOW, "JACK", numbered(1, 0)), Turn::Crowded);
    assert!(!flows.open(FLOW));
}

/// A member answers one guest after another for months.
#[test]
fn forgotten_flows_of_one_session_leave_nothing() {
    let mut flows = Flows::default();
    for n in 0..10_000 {
        let flow = FlowId { to: To::Guest(GuestId::new(n)), ..FLOW };
        assert_eq!(flows.turn_of(flow, "guest", numbered(1, 0)), Turn::Next);
        flows.took(flow, 1, Mark(1), Wall(0), 0);
        flows.accepted(flow, 1, 0);
        assert!(flows.next_receipt().is_some());
        flows.paid();
        flows.forget(flow.to);
    }
    assert!(flows.raised.len() < 100 && flows.owing.is_empty(), "{}", flows.raised.len());
    take(&mut flows, 1, 0);
    flows.accepted(FLOW, 1, 0);
    flows.begin_session();
    assert_eq!(flows.next_receipt().map(|(flow, ..)| flow), Some(FLOW));
}

/// The last session may have ended before the receipt arrived.
#[test]
fn receipt_is_repeated_in_next_session() {
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
    assert!(flows.next_receipt().is_some(), "a query is answered");
}

#[test]
fn accepted_letter_stays_accepted_after_later_refusals() {
    let mut flows = Flows::default();
    for number in 1..=3 {
        take(&mut flows, number, number - 1);
    }
    flows.accepted(FLOW, 2, 0);
    flows.refused(FLOW, 3, Reason::Full);
    assert_eq!(take(&mut flows, 2, 1), Turn::Repeated);
    assert_eq!(take(&mut flows, 3, 2), Turn::Next);
}

/// The sender asks about the flow, which makes it known.
#[test]
fn read_mark_of_unknown_flow_waits_for_its_sender() {
    let mut flows = Flows::default();
    assert!(flows.read(FLOW, 3).is_none());
    assert!(flows.open(FLOW) && flows.open(FLOW));
    assert_eq!(flows.read(FLOW, 3), Some(Marks::default()));
    assert_eq!(flows.next_receipt().map(|(_, marks, _)| (marks.delivered, marks.read)), Some((0, 3)));
}

#[test]
fn marks_are_written_once_for_each_rise() {
    let mut flows = Flows::default();
    take(&mut flows, 1, 0);
    assert_eq!(flows.unwritten(), []);
    flows.delivered(FLOW, 1);
    assert_eq!(flows.unwritten(), [FLOW]);
    assert_eq!(flows.take_unwritten(FLOW).map(|(marks, _)| marks.delivered), Some(1));
    flows.delivered(FLOW, 1);
    assert!(flows.take_unwritten(FLOW).is_none() && flows.unwritten().is_empty());
}

#[test]
fn refusal_is_reported_in_each_session_until_acknowledged() {
    let mut flows = Flows::default();
    let refusal = (Reason::Expired, false);
    flows.owe_refusal(FLOW, 7, refusal);
    assert_eq!(flows.next_untold(), Some((FLOW, Numbers::one(7), refusal)));
    flows.told(Numbers::one(7));
    assert_eq!(flows.next_untold(), None);
    flows.begin_session();
    assert_eq!(flows.next_untold(), Some((FLOW, Numbers::one(7), refusal)));
    assert_eq!(flows.heard(FLOW, 7), Some(refusal));
    assert_eq!(flows.next_untold(), None);
    assert_eq!(flows.heard(FLOW, 7), None);
    flows.begin_session();
    assert_eq!(flows.next_untold(), None);
}

/// Flows of the previous session are reported once in the next one, and refusals before it do not
/// count in it.
#[test]
fn session_starts_in_same_way_for_any_number_of_flows() {
    let mut flows = Flows::default();
    let of = |outbox| FlowId { outbox: OutboxId(outbox), ..FLOW };
    for outbox in 1..=100 {
        assert_eq!(flows.turn_of(of(outbox), "JACK", numbered(1, 0)), Turn::Next);
        flows.took(of(outbox), 1, Mark(1), Wall(1), 0);
        flows.delivered(of(outbox), 1);
    }
    flows.begin_session();
    assert_eq!(flows.turn_of(of(7), "JACK", numbered(2, 1)), Turn::Next);
    flows.refused(of(7), 2, Reason::Full);
    flows.delivered(of(8), 2);
    let told = |flows: &mut Flows| {
        let told = std::iter::from_fn(|| flows.next_receipt().inspect(|_| flows.paid())).count();
        assert_eq!(flows.next_receipt(), None);
        told
    };
    assert_eq!(told(&mut flows), 100);
    flows.begin_session();
    assert_eq!(flows.turn_of(of(7), "JACK", numbered(3, 2)), Turn::Next, "2 was refused in another session");
    assert_eq!(told(&mut flows), 1, "only 8 was raised in the previous session");
}

#[test]
fn gone_guest_leaves_no_flow_and_no_receipt() {
    let mut flows = Flows::default();
    let guest = |outbox| FlowId { outbox: OutboxId(outbox), to: To::Guest(GuestId::new(3)) };
    for flow in [guest(1), FLOW, guest(2)] {
        flows.turn_of(flow, "guest-3", numbered(1, 0));
        flows.took(flow, 1, Mark(1), Wall(1), 0);
        flows.delivered(flow, 1);
    }
    flows.forget(To::Guest(GuestId::new(3)));
    assert_eq!(flows.next_receipt().map(|receipt| receipt.0), Some(FLOW));
    flows.paid();
    assert_eq!(flows.next_receipt(), None);
    assert_eq!(flows.unwritten(), [FLOW]);
}
