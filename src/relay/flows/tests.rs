//! Tests of flows: order, refusals, receipts, and the pending receipts of each session.

use super::*;
use crate::relay::ids::{GuestId, MemberId};

pub(super) const BEHIND: OrderCheck = OrderCheck::Behind(Reason::Behind);
pub(super) const FLOW: FlowId = FlowId { outbox: OutboxId(1), to: Destination::Member(MemberId(2)) };

pub(super) fn order(number: u64, prev: u64) -> LetterOrder {
    LetterOrder { number, prev, mark: Mark(1) }
}

fn delivered(flows: &mut Flows) -> Option<u64> {
    flows.next_receipt().map(|receipt| {
        assert_eq!(receipt.flow, FLOW);
        receipt.marks.watermarks.delivered
    })
}

pub(super) fn take(flows: &mut Flows, number: u64, prev: u64) -> OrderCheck {
    let check = flows.check_order(FLOW, "JACK", order(number, prev));
    match check {
        OrderCheck::Next => drop(flows.record_taken(FLOW, number, Mark(1), Wall(number), 0)),
        OrderCheck::Behind(reason) => flows.record_refused(FLOW, number, reason),
        OrderCheck::Repeated | OrderCheck::OldCopy | OrderCheck::Full => {}
    }
    check
}

#[test]
fn order_holds_if_middle_letter_is_refused() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
    assert_eq!(flows.check_order(FLOW, "JACK", order(2, 1)), OrderCheck::Next);
    flows.record_refused(FLOW, 2, Reason::Full);
    assert_eq!(take(&mut flows, 3, 2), BEHIND);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert_eq!(take(&mut flows, 3, 1), OrderCheck::Next, "3 comes again with a new prev");
    assert_eq!(take(&mut flows, 5, 4), BEHIND, "5 was sent before 4 was known to be refused");
    assert_eq!(take(&mut flows, 4, 3), OrderCheck::Next);
    assert_eq!(take(&mut flows, 5, 4), OrderCheck::Next);
}

#[test]
fn letters_refused_after_they_were_taken_may_come_again() {
    let mut flows = Flows::default();
    for number in 1..=3 {
        assert_eq!(take(&mut flows, number, number - 1), OrderCheck::Next);
    }
    flows.record_refused(FLOW, 2, Reason::Full);
    flows.record_refused(FLOW, 3, Reason::Full);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert_eq!(take(&mut flows, 3, 1), OrderCheck::Next);
    assert_eq!(take(&mut flows, 4, 3), OrderCheck::Next);
}

#[test]
fn letters_behind_refused_flow_are_refused_with_it() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
    assert_eq!(flows.check_order(FLOW, "JACK", order(2, 1)), OrderCheck::Next);
    flows.record_refused(FLOW, 2, Reason::Blocked);
    for number in 3..=9 {
        assert_eq!(take(&mut flows, number, number - 1), OrderCheck::Behind(Reason::Blocked));
    }
    assert_eq!(take(&mut flows, 10, 1), OrderCheck::Next, "its author knows, and tries again");
    assert_eq!(take(&mut flows, 11, 10), OrderCheck::Next);
    assert!(!flows.redeem_retry_pass(FLOW, 3), "a final refusal grants no pass");
}

#[test]
fn letter_repeated_after_behind_passes_once() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
    flows.record_refused(FLOW, 2, Reason::TooLong);
    assert_eq!(take(&mut flows, 3, 2), BEHIND);
    assert_eq!(take(&mut flows, 4, 3), BEHIND);
    assert!(!flows.redeem_retry_pass(FLOW, 2) && flows.redeem_retry_pass(FLOW, 3));
    flows.record_refused(FLOW, 3, Reason::TooLong);
    assert!(flows.redeem_retry_pass(FLOW, 4));
    assert_eq!(take(&mut flows, 4, 3), BEHIND, "for the second time");
    assert!(!flows.redeem_retry_pass(FLOW, 4));
}

#[test]
fn receipt_has_time_of_first_letter_new_in_it() {
    let mut flows = Flows::default();
    let next_taken_at = |flows: &mut Flows| {
        let receipt = flows.next_receipt().unwrap();
        flows.mark_receipt_sent();
        receipt.taken_at.0
    };
    (1..=3).for_each(|number| assert_eq!(take(&mut flows, number, number - 1), OrderCheck::Next));
    flows.raise_accepted(FLOW, 2, 0);
    assert_eq!(next_taken_at(&mut flows), 1);
    flows.raise_delivered(FLOW, 3);
    assert_eq!(next_taken_at(&mut flows), 1, "no later time is known for the third");
    flows.request_receipt(FLOW);
    assert_eq!(next_taken_at(&mut flows), 1, "a repeated receipt has the same time");
    assert_eq!(take(&mut flows, 4, 3), OrderCheck::Next);
    flows.raise_delivered(FLOW, 4);
    assert_eq!(next_taken_at(&mut flows), 4);
}

#[test]
fn numbers_at_end_of_range_do_not_overflow() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 0, 0), OrderCheck::Repeated);
    assert_eq!(take(&mut flows, u64::MAX, 0), OrderCheck::Next);
    flows.record_refused(FLOW, u64::MAX, Reason::Full);
    assert_eq!(take(&mut flows, u64::MAX, u64::MAX), BEHIND);
}

#[test]
fn repeated_letter_is_answered_again_and_not_taken_again() {
    let mut flows = Flows::default();
    assert_eq!(take(&mut flows, 1, 0), OrderCheck::Next);
    flows.raise_delivered(FLOW, 1);
    assert_eq!(delivered(&mut flows), Some(1));
    flows.mark_receipt_sent();
    assert_eq!(flows.next_receipt(), None);
    flows.raise_delivered(FLOW, 1);
    assert_eq!(flows.next_receipt(), None, "nothing new");
    assert_eq!(take(&mut flows, 1, 0), OrderCheck::Repeated);
    assert_eq!(delivered(&mut flows), Some(1));
}

#[test]
fn many_letters_have_one_receipt() {
    let mut flows = Flows::default();
    for number in 1..=64 {
        take(&mut flows, number, number - 1);
        flows.raise_delivered(FLOW, number);
    }
    assert_eq!(delivered(&mut flows), Some(64));
    flows.mark_receipt_sent();
    assert_eq!(flows.next_receipt(), None);
}

#[test]
fn flows_are_bounded() {
    let mut flows = Flows::default();
    for n in 0..FLOWS_MAX {
        let flow = FlowId { outbox: OutboxId(9), to: Destination::Member(MemberId(n)) };
        assert_eq!(flows.check_order(flow, "JACK", order(1, 0)), OrderCheck::Next);
    }
    assert_eq!(flows.check_order(FLOW, "JACK", order(1, 0)), OrderCheck::Full);
    assert!(!flows.open(FLOW));
}

/// A member answers one guest after another for months.
#[test]
fn forgotten_flows_of_one_session_leave_nothing() {
    let mut flows = Flows::default();
    for n in 0..10_000 {
        let flow = FlowId { to: Destination::Guest(GuestId(n)), ..FLOW };
        assert_eq!(flows.check_order(flow, "guest", order(1, 0)), OrderCheck::Next);
        flows.record_taken(flow, 1, Mark(1), Wall(0), 0);
        flows.raise_accepted(flow, 1, 0);
        assert!(flows.next_receipt().is_some());
        flows.mark_receipt_sent();
        flows.mark_receipts_received();
        flows.forget_recipient(flow.to);
    }
    assert!(flows.receipts.news_len() < 100 && flows.receipts.has_none_due(), "{:?}", flows.receipts);
    take(&mut flows, 1, 0);
    flows.raise_accepted(FLOW, 1, 0);
    flows.begin_session(None);
    assert_eq!(flows.next_receipt().map(|receipt| receipt.flow), Some(FLOW));
}

/// Sends all pending receipts. Returns their flows, in order of their names.
fn send_receipts(flows: &mut Flows) -> Vec<FlowId> {
    let next = || flows.next_receipt().inspect(|_| flows.mark_receipt_sent());
    let mut sent: Vec<FlowId> = std::iter::from_fn(next).map(|receipt| receipt.flow).collect();
    sent.sort_unstable();
    sent
}

/// Each session may end before the receipt arrives.
#[test]
fn receipt_is_repeated_in_each_session_until_it_is_received() {
    let mut flows = Flows::default();
    take(&mut flows, 1, 0);
    flows.raise_accepted(FLOW, 1, 5);
    assert_eq!(
        flows
            .next_receipt()
            .map(|NextReceipt { marks, .. }| (marks.watermarks.accepted, marks.accepted_taken_at)),
        Some((1, 5))
    );
    for _ in 0..3 {
        assert_eq!(send_receipts(&mut flows), [FLOW]);
        assert_eq!(send_receipts(&mut flows), []);
        assert!(!flows.is_idle(FLOW, 1, true));
        flows.begin_session(None);
    }
    assert_eq!(send_receipts(&mut flows), [FLOW]);
    flows.mark_receipts_received();
    assert!(flows.is_idle(FLOW, 1, true));
    flows.begin_session(None);
    assert_eq!(send_receipts(&mut flows), [], "nothing is new since the last sign-in");
    flows.request_receipt(FLOW);
    assert_eq!(send_receipts(&mut flows), [FLOW], "a query is answered");
}

/// The watermarks rise between the receipt and its acknowledgement.
#[test]
fn acknowledgement_of_earlier_receipt_leaves_later_news() {
    let mut flows = Flows::default();
    take(&mut flows, 1, 0);
    flows.raise_accepted(FLOW, 1, 0);
    assert_eq!(send_receipts(&mut flows), [FLOW]);
    flows.raise_delivered(FLOW, 1);
    flows.mark_receipts_received();
    assert!(!flows.is_idle(FLOW, 1, true));
    assert_eq!(send_receipts(&mut flows), [FLOW]);
    flows.begin_session(None);
    flows.mark_receipts_received();
    assert_eq!(send_receipts(&mut flows), [FLOW], "sent in the session before");
}

/// Two machines of one member, each with its own outbox.
#[test]
fn session_of_another_outbox_receives_no_receipt() {
    let other = FlowId { outbox: OutboxId(FLOW.outbox.0 + 1), ..FLOW };
    let mut flows = Flows::default();
    flows.begin_session(Some(FLOW.outbox));
    take(&mut flows, 1, 0);
    flows.raise_accepted(FLOW, 1, 0);
    assert_eq!(send_receipts(&mut flows), [FLOW]);
    for _ in 0..2 {
        flows.begin_session(Some(other.outbox));
        flows.raise_delivered(FLOW, 1);
        assert_eq!(send_receipts(&mut flows), []);
        flows.mark_receipts_received();
        assert!(!flows.is_idle(FLOW, 1, true));
    }
    flows.begin_session(Some(FLOW.outbox));
    assert_eq!(delivered(&mut flows), Some(1));
}

#[test]
fn accepted_letter_stays_accepted_after_later_refusals() {
    let mut flows = Flows::default();
    for number in 1..=3 {
        take(&mut flows, number, number - 1);
    }
    flows.raise_accepted(FLOW, 2, 0);
    flows.record_refused(FLOW, 3, Reason::Full);
    assert_eq!(take(&mut flows, 2, 1), OrderCheck::Repeated);
    assert_eq!(take(&mut flows, 3, 2), OrderCheck::Next);
}

/// The sender queries the flow, which makes it known.
#[test]
fn read_watermark_of_unknown_flow_waits_for_its_sender() {
    let mut flows = Flows::default();
    assert!(flows.raise_read(FLOW, 3).is_none());
    assert!(flows.open(FLOW) && flows.open(FLOW));
    assert_eq!(flows.raise_read(FLOW, 3), Some(Watermarks::default()));
    assert_eq!(
        flows
            .next_receipt()
            .map(|NextReceipt { marks, .. }| (marks.watermarks.delivered, marks.watermarks.read)),
        Some((0, 3))
    );
}

#[test]
fn watermarks_are_written_once_for_each_rise() {
    let mut flows = Flows::default();
    take(&mut flows, 1, 0);
    assert_eq!(flows.unwritten(), []);
    flows.raise_delivered(FLOW, 1);
    assert_eq!(flows.unwritten(), [FLOW]);
    assert_eq!(flows.take_unwritten(FLOW).map(|(marks, _)| marks.watermarks.delivered), Some(1));
    flows.raise_delivered(FLOW, 1);
    assert!(flows.take_unwritten(FLOW).is_none() && flows.unwritten().is_empty());
}

#[test]
fn refusal_is_reported_in_each_session_until_acknowledged() {
    let mut flows = Flows::default();
    let refusal = Refusal { reason: Reason::Expired, may_have_arrived: false, mark: Mark(1) };
    let unsent = UnsentRefusal { flow: FLOW, numbers: NumberRange::one(7), refusal };
    flows.queue_refusal(FLOW, 7, refusal);
    assert_eq!(flows.next_unsent_refusal(), Some(unsent));
    flows.mark_refusal_sent(NumberRange::one(7));
    assert_eq!(flows.next_unsent_refusal(), None);
    flows.begin_session(None);
    assert_eq!(flows.next_unsent_refusal(), Some(unsent));
    assert_eq!(flows.take_acknowledged(FLOW, 7), Some(refusal));
    assert_eq!(flows.next_unsent_refusal(), None);
    assert_eq!(flows.take_acknowledged(FLOW, 7), None);
    flows.begin_session(None);
    assert_eq!(flows.next_unsent_refusal(), None);
}

fn under(mark: u32, number: u64, prev: u64) -> LetterOrder {
    LetterOrder { mark: Mark(mark), ..order(number, prev) }
}

/// Letters 2 and 3 were refused after they had been accepted. The flow is known or not.
#[test]
fn number_of_refused_letter_under_higher_mark_is_of_old_copy() {
    for known in [false, true] {
        let mut flows = Flows::default();
        if known {
            (1..=3).for_each(|number| assert_eq!(take(&mut flows, number, number - 1), OrderCheck::Next));
            flows.raise_accepted(FLOW, 1, 0);
            (2..=3).for_each(|number| flows.record_refused(FLOW, number, Reason::Expired));
        }
        let refusal = Refusal { reason: Reason::Expired, may_have_arrived: false, mark: Mark(1) };
        (2..=3).for_each(|number| flows.queue_refusal(FLOW, number, refusal));
        for number in 1..=3 {
            assert_eq!(flows.check_order(FLOW, "JACK", under(2, number, 0)), OrderCheck::OldCopy);
        }
        assert_eq!(flows.check_order(FLOW, "JACK", under(1, 3, 2)), OrderCheck::Repeated);
        assert_eq!(flows.take_acknowledged(FLOW, 2), Some(refusal));
        assert_eq!(flows.check_order(FLOW, "JACK", under(2, 2, 1)), OrderCheck::OldCopy);
        assert_eq!(flows.check_order(FLOW, "JACK", under(2, 4, 1)), OrderCheck::Next);
    }
}

/// Flows of the previous session are reported once in the next one, and refusals before it do not
/// count in it.
#[test]
fn receipts_of_many_flows_are_repeated_unless_received() {
    let mut flows = Flows::default();
    let of = |outbox| FlowId { outbox: OutboxId(outbox), ..FLOW };
    for outbox in 1..=100 {
        assert_eq!(flows.check_order(of(outbox), "JACK", order(1, 0)), OrderCheck::Next);
        flows.record_taken(of(outbox), 1, Mark(1), Wall(1), 0);
        flows.raise_delivered(of(outbox), 1);
    }
    flows.begin_session(None);
    assert_eq!(flows.check_order(of(7), "JACK", order(2, 1)), OrderCheck::Next);
    flows.record_refused(of(7), 2, Reason::Full);
    flows.raise_delivered(of(8), 2);
    assert_eq!(send_receipts(&mut flows).len(), 100);
    flows.mark_receipts_received();
    flows.raise_delivered(of(8), 3);
    flows.begin_session(None);
    assert_eq!(
        flows.check_order(of(7), "JACK", order(3, 2)),
        OrderCheck::Next,
        "2 was refused in another session"
    );
    assert_eq!(send_receipts(&mut flows), [of(8)], "only 8 was raised in the previous session");
}

#[test]
fn gone_guest_leaves_no_flow_and_no_receipt() {
    let mut flows = Flows::default();
    let guest = |outbox| FlowId { outbox: OutboxId(outbox), to: Destination::Guest(GuestId(3)) };
    for flow in [guest(1), FLOW, guest(2)] {
        flows.check_order(flow, "guest-3", order(1, 0));
        flows.record_taken(flow, 1, Mark(1), Wall(1), 0);
        flows.raise_delivered(flow, 1);
    }
    flows.forget_recipient(Destination::Guest(GuestId(3)));
    assert_eq!(flows.next_receipt().map(|receipt| receipt.flow), Some(FLOW));
    flows.mark_receipt_sent();
    assert_eq!(flows.next_receipt(), None);
    assert_eq!(flows.unwritten(), [FLOW]);
}
