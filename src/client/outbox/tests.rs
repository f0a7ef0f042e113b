//! Tests of the outbox: order, windows, refusals, receipts, and restored state.

use super::*;
use crate::base::{Mark, Watermarks};
use crate::wire::message::{Nearest, Refused};

mod refused;

const BOX: OutboxId = OutboxId(7);

fn jack() -> Name {
    "JACK".parse().unwrap()
}

/// Returns an outbox with this many durable letters to JACK and no other copies.
fn outbox(letters: u64) -> Outbox {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 0);
    outbox.marks.confirm_all();
    for n in 1..=letters {
        push(&mut outbox, 100 + n, vec![n as u8]);
    }
    outbox
}

fn encoded(body: Vec<u8>) -> LetterBody {
    LetterBody { kind: 1, body: body.into() }
}

fn push(outbox: &mut Outbox, request: u64, body: Vec<u8>) -> u64 {
    let number = outbox.push(request, jack(), encoded(body));
    outbox.mark_durable(&jack(), id(number));
    number
}

fn offered(outbox: &mut Outbox) -> Vec<(u64, u64)> {
    let mut sent = Vec::new();
    outbox.send_ready(|letter| {
        sent.push((letter.id.number, letter.prev));
        true
    });
    sent
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: BOX, number }
}

fn receipt(accepted: u64, delivered: u64, read: u64, until: u64) -> Receipt<'static> {
    Receipt {
        to: "JACK",
        outbox: BOX,
        watermarks: Watermarks { accepted, delivered, read },
        until: Wall(until),
        taken_at: Wall(0),
        mark: Mark(u32::MAX),
    }
}

fn reached([last, last_taken]: [u64; 2], accepted: u64, delivered: u64, read: u64) -> Reach {
    let watermarks = Watermarks { accepted, delivered, read };
    Reach { last, last_taken, watermarks, until: Wall(0) }
}

/// Applies a receipt. Returns the reported requests and states.
fn apply(outbox: &mut Outbox, receipt: Receipt<'_>) -> Vec<(u64, Progress)> {
    let mut updates = Vec::new();
    outbox.handle_receipt(&receipt, |update| updates.push((update.request, update.progress)));
    updates
}

fn delivered(outbox: &mut Outbox, through: u64) -> Vec<u64> {
    let updates = apply(outbox, receipt(0, through, 0, 0));
    updates.into_iter().filter(|t| t.1 == Progress::Delivered).map(|t| t.0).collect()
}

fn refuse(outbox: &mut Outbox, number: u64, reason: Reason) -> bool {
    !refuse_all(outbox, number, number, reason).is_empty()
}

/// Refuses these letters. Returns those that end.
fn refuse_all(outbox: &mut Outbox, first: u64, through: u64, reason: Reason) -> Vec<u64> {
    let mut ended = Vec::new();
    let nearest = Vec::new();
    let refused =
        ReceivedRefusal { to: "JACK", id: id(first), through, reason, may_have_arrived: false, nearest };
    outbox.handle_refused(refused, |_, number, _, _| ended.push(number));
    ended
}

/// Makes all pending refusals durable. Returns numbers, reasons, and whether they may have arrived.
fn record_all(outbox: &mut Outbox) -> Vec<(u64, Reason, bool)> {
    let mut updates = Vec::new();
    loop {
        let pending: Vec<u64> = outbox.conversations["JACK"].refusals.iter().map(|r| r.id.number).collect();
        if pending.is_empty() {
            return updates;
        }
        assert!(pending.len() <= 256 || updates.is_empty(), "a bounded number at once");
        for number in pending {
            let refusal = outbox.take_recorded_refusal(&jack(), id(number)).unwrap();
            updates.push((number, refusal.reason, refusal.may_have_arrived));
            outbox.refuse_written(&jack(), |_, _, _, _| ());
        }
    }
}

/// Returns an outbox with one delivered letter and this many behind it.
fn established(letters: u64) -> Outbox {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    assert_eq!(delivered(&mut outbox, 1), [101]);
    for n in 2..=letters + 1 {
        push(&mut outbox, 100 + n, vec![7]);
    }
    outbox
}

#[test]
fn letters_are_sent_once_in_order_and_end_when_delivered() {
    let mut outbox = outbox(3);
    assert_eq!(offered(&mut outbox), [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(offered(&mut outbox), []);
    assert_eq!(delivered(&mut outbox, 2), [101, 102]);
    assert!(!outbox.is_empty());
    assert_eq!(delivered(&mut outbox, 3), [103]);
    assert!(outbox.is_empty());
    assert_eq!(outbox.letters, 0);
    assert_eq!(outbox.bytes, 0);
}

#[test]
fn letter_not_durable_holds_back_itself_and_later_ones() {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 0);
    for request in 1..=3 {
        outbox.push(request, jack(), encoded(vec![]));
    }
    assert_eq!(offered(&mut outbox), []);
    outbox.mark_durable(&jack(), id(1));
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    outbox.remove_failed(&jack(), id(2));
    outbox.mark_durable(&jack(), id(3));
    assert_eq!(offered(&mut outbox), [(3, 1)], "a letter lost before it was sent leaves no gap");
}

#[test]
fn each_state_is_reported_once() {
    let mut outbox = outbox(2);
    offered(&mut outbox);
    let waiting = Progress::Waiting { until: Wall(9) };
    assert_eq!(apply(&mut outbox, receipt(1, 0, 0, 9)), [(101, Progress::Accepted), (101, waiting)]);
    assert_eq!(apply(&mut outbox, receipt(1, 0, 0, 9)), []);
    assert_eq!(
        apply(&mut outbox, receipt(2, 1, 0, 9)),
        [(102, Progress::Accepted), (102, waiting), (101, Progress::Delivered)]
    );
    assert_eq!(apply(&mut outbox, receipt(2, 2, 1, 0)), [(102, Progress::Delivered), (101, Progress::Read)]);
    assert_eq!(apply(&mut outbox, receipt(2, 2, 2, 0)), [(102, Progress::Read)]);
    assert_eq!(apply(&mut outbox, receipt(2, 2, 2, 0)), []);
}

#[test]
fn read_watermark_counts_for_delivered_letters_only() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    assert_eq!(apply(&mut outbox, receipt(0, 0, 9, 0)), [], "nothing was delivered");
    let all = [Progress::Accepted, Progress::Delivered, Progress::Read].map(|progress| (101, progress));
    assert_eq!(apply(&mut outbox, receipt(1, 1, 9, 0)), all);
    let reach = outbox.conversations["JACK"].reach;
    assert_eq!(reach, reached([1, 1], 1, 1, 1));
}

#[test]
fn durable_refusal_resends_letters_behind_with_new_prev() {
    let mut outbox = outbox(5);
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 2, Reason::TooLong));
    assert!(!refuse(&mut outbox, 3, Reason::Behind));
    assert_eq!(offered(&mut outbox), [], "after a crash now, 3 would prove that 2 was accepted");
    let refusal = outbox.take_recorded_refusal(&jack(), id(2)).unwrap();
    assert_eq!(refusal.request, 102);
    assert!(!refusal.may_have_arrived);
    assert_eq!(*refusal.encoded.body, [2]);
    assert_eq!(offered(&mut outbox), [(3, 1)]);
    assert!(!refuse(&mut outbox, 4, Reason::Behind));
    assert_eq!(offered(&mut outbox), [(4, 3)]);
    assert!(!refuse(&mut outbox, 5, Reason::Behind));
    assert_eq!(offered(&mut outbox), [(5, 4)]);
    assert_eq!(delivered(&mut outbox, 5), [101, 103, 104, 105]);
    assert_eq!(outbox.next_received_refusal(), None, "the relay had not accepted it");
}

#[test]
fn repeated_refusal_is_acknowledged_and_not_shown_again() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 1, Reason::Blocked));
    assert!(!refuse(&mut outbox, 1, Reason::Blocked), "the record is pending");
    assert_eq!(outbox.next_received_refusal(), None);
    outbox.take_recorded_refusal(&jack(), id(1)).unwrap();
    assert_eq!(outbox.next_received_refusal(), None);
    assert!(!refuse(&mut outbox, 1, Reason::Blocked));
    assert_eq!(outbox.next_received_refusal(), Some((&jack(), id(1))));
}

#[test]
fn refusal_has_no_effect_before_relay_confirms_mark() {
    let mut outbox = outbox(3);
    outbox.marks = Marks::new(Mark(0), []);
    offered(&mut outbox);
    refuse(&mut outbox, 1, Reason::Full);
    outbox.take_recorded_refusal(&jack(), id(1)).unwrap();
    refuse(&mut outbox, 2, Reason::Behind);
    assert!(offered(&mut outbox).is_empty() && outbox.next_received_refusal().is_none());
    outbox.marks.confirm_all();
    assert_eq!(offered(&mut outbox), [(2, 0)]);
    assert_eq!(outbox.next_received_refusal(), Some((&jack(), id(1))));
}

#[test]
fn expired_accepted_letter_is_not_used_as_prev() {
    let mut outbox = outbox(2);
    offered(&mut outbox);
    assert_eq!(delivered(&mut outbox, 1), [101]);
    apply(&mut outbox, receipt(2, 1, 0, 9));
    assert!(refuse(&mut outbox, 2, Reason::Expired));
    let refusal = outbox.take_recorded_refusal(&jack(), id(2)).unwrap();
    assert_eq!(refusal.reason, Reason::Expired);
    assert!(!refusal.may_have_arrived);
    assert_eq!(*refusal.encoded.body, [2]);
    push(&mut outbox, 9, vec![]);
    assert_eq!(offered(&mut outbox), [(3, 1)]);
}

#[test]
fn lost_session_resends_unaccepted_and_makes_refusal_uncertain() {
    let mut outbox = outbox(3);
    offered(&mut outbox);
    apply(&mut outbox, receipt(1, 0, 0, 9));
    outbox.handle_session_lost();
    assert_eq!(offered(&mut outbox), [(2, 1), (3, 2)]);
    assert!(refuse(&mut outbox, 2, Reason::Expired));
    assert!(outbox.take_recorded_refusal(&jack(), id(2)).unwrap().may_have_arrived);
    refuse(&mut outbox, 3, Reason::Behind);
    push(&mut outbox, 9, vec![]);
    assert_eq!(offered(&mut outbox), [(3, 1), (4, 3)]);
}

#[test]
fn restored_outbox_continues_its_numbers() {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 40);
    outbox.restore(jack(), reached([9, 5], 7, 5, 0));
    for number in [7, 8] {
        let persisted = PersistedLetter {
            request: number,
            text: format!("letter {number}"),
            written: Wall(number),
            mark: Mark(1),
            encoded: LetterBody::from_text("letter", Wall(number)),
        };
        outbox.restore_letter(&jack(), number, &persisted);
    }
    outbox.handle_signed_in();
    let to = jack();
    assert_eq!(outbox.next_query(), Some(ReceiptQuery { to: &to, outbox: BOX, accepted: 7, settled: 5 }));
    outbox.mark_query_sent();
    assert_eq!(outbox.next_query(), None);
    assert!(outbox.has_request(&jack(), 8) && !outbox.has_request(&jack(), 9));
    assert_eq!(push(&mut outbox, 100, vec![]), 10, "9 was given out and refused");
    assert_eq!(offered(&mut outbox), [(8, 7), (10, 8)], "7 was accepted");
    let updates = apply(&mut outbox, receipt(8, 7, 0, 0));
    assert_eq!(updates, [(8, Progress::Accepted), (7, Progress::Delivered)]);
    let zoe: Name = "Zoë".parse().unwrap();
    assert_eq!(outbox.push(1, zoe, encoded(vec![])), 41, "above every number that may have been used");
}

#[test]
fn fully_read_conversation_is_not_queried() {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 0);
    outbox.restore(jack(), reached([9, 9], 9, 9, 9));
    outbox.handle_signed_in();
    assert_eq!(outbox.next_query(), None);
    for number in 0..300 {
        outbox.restore(format!("m{number}").parse().unwrap(), reached([1, 1], 1, 1, 0));
    }
    outbox.handle_signed_in();
    assert_eq!(outbox.queries.len(), QUERIES_MAX);
    assert_eq!(outbox.next_query().unwrap().to.as_str(), "m299", "the newest comes first");
}

#[test]
fn receipt_for_unknown_letters_reveals_old_copy() {
    let outbox = outbox(3);
    assert!(
        !outbox.is_contradicted_by(&receipt(3, 2, 0, 0)) && !outbox.is_contradicted_by(&receipt(0, 0, 0, 0))
    );
    assert!(outbox.is_contradicted_by(&receipt(4, 2, 0, 0)), "4 was never assigned here");
    let mark = outbox.marks.mark();
    assert!(!outbox.is_contradicted_by(&Receipt { mark, ..receipt(1, 0, 0, 0) }));
    let lower = Receipt { mark: Mark(0), ..receipt(1, 0, 0, 0) };
    assert!(outbox.is_contradicted_by(&lower), "the relay has another letter of this number");
    assert!(!outbox.is_contradicted_by(&Receipt { outbox: OutboxId(8), ..lower }));
}

/// An earlier session may have sent the letters, so the refusal would end them otherwise.
#[test]
fn refusal_under_lower_mark_reveals_old_copy() {
    let outbox = outbox(3);
    let refused = Refused {
        to: "JACK",
        id: id(2),
        through: 5,
        mark: outbox.marks.mark(),
        reason: Reason::Expired,
        may_have_arrived: false,
        nearest: Nearest::default(),
    };
    assert!(!outbox.has_letter_unlike(&refused));
    assert!(!outbox.has_letter_unlike(&Refused { mark: Mark::MAX, ..refused }));
    let lower = Refused { mark: Mark(0), ..refused };
    assert!(outbox.has_letter_unlike(&lower));
    assert!(!outbox.has_letter_unlike(&Refused { id: id(4), ..lower }), "no such letter is here");
    let id = LetterId { outbox: OutboxId(8), ..lower.id };
    assert!(!outbox.has_letter_unlike(&Refused { id, ..lower }));
}

/// Each text returns once, and the next letter is in another outbox.
#[test]
fn replaced_outbox_returns_every_letter_once() {
    let mut outbox = outbox(3);
    offered(&mut outbox);
    apply(&mut outbox, receipt(1, 0, 0, 9));
    refuse(&mut outbox, 2, Reason::TooLong);
    assert_eq!(outbox.push(9, jack(), encoded(vec![9])), 4);
    outbox.give_up(OutboxId(8), OutboxId(8));
    assert!(!outbox.is_empty() && outbox.is_switching());
    outbox.remove_failed(&jack(), id(4));
    assert_eq!(
        outbox.take_recorded_refusal(&jack(), id(2)).map(|refusal| refusal.reason),
        Some(Reason::TooLong)
    );
    let refusals = outbox.take_returned();
    let returned = refusals.iter().map(|(_, r)| (r.id, r.reason, r.may_have_arrived, &*r.encoded.body));
    let old_copy = |number: u64| (id(number), Reason::OldCopy, true);
    assert_eq!(returned.map(|t| (t.0, t.1, t.2)).collect::<Vec<_>>(), [old_copy(1), old_copy(3)]);
    assert!(outbox.is_empty() && !outbox.is_switching());
    let number = outbox.push(10, jack(), encoded(vec![]));
    assert_eq!(LetterId { outbox: outbox.id(), number }, LetterId { outbox: OutboxId(8), number: 1 });
}
// faults.md: R56
#[test]
fn impossible_numbers_in_receipt_are_ignored() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    for absurd in [1 << 63, u64::MAX] {
        assert_eq!(apply(&mut outbox, receipt(absurd, 0, 0, 0)), []);
        assert_eq!(apply(&mut outbox, receipt(0, absurd, 0, 0)), []);
    }
    assert_eq!(push(&mut outbox, 102, vec![2]), 2, "more letters fit in");
    assert_eq!(delivered(&mut outbox, 1), [101]);
}

#[test]
fn window_bounds_letters_on_their_way_but_not_in_mailbox() {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 0);
    for n in 0..3 {
        push(&mut outbox, n, vec![0; WINDOW_BYTES]);
    }
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    delivered(&mut outbox, 1);
    assert_eq!(offered(&mut outbox), [(2, 1)]);
    apply(&mut outbox, receipt(2, 1, 0, 9));
    assert_eq!(offered(&mut outbox), [(3, 2)]);
    assert_eq!(offered(&mut established(WINDOW_LETTERS as u64 + 5)).len(), WINDOW_LETTERS);
    let mut longer = established(0);
    for n in 0..WINDOW_LETTERS as u64 {
        push(&mut longer, n, vec![0; 100]);
    }
    assert_eq!(offered(&mut longer).len(), WINDOW_BYTES / (100 + LETTER_COST));
}

#[test]
fn receipts_behind_refusal_are_reported_after_it() {
    let mut outbox = outbox(4);
    offered(&mut outbox);
    apply(&mut outbox, receipt(4, 0, 0, 0));
    assert!(refuse(&mut outbox, 2, Reason::Expired));
    assert_eq!(apply(&mut outbox, receipt(4, 3, 3, 0)), [(101, Progress::Delivered), (101, Progress::Read),]);
    assert_eq!(apply(&mut outbox, receipt(4, 4, 3, 0)), []);
    assert!(outbox.take_recorded_refusal(&jack(), id(2)).is_some());
    let mut resumed = Vec::new();
    let reach = outbox.resume(&jack(), |update| resumed.push((update.request, update.progress)));
    let all = [(103, Progress::Delivered), (104, Progress::Delivered), (103, Progress::Read)];
    assert_eq!(resumed, all);
    assert_eq!(reach.map(|reach| (reach.watermarks.delivered, reach.watermarks.read)), Some((4, 3)));
    assert_eq!(outbox.resume(&jack(), |update| panic!("{update:?} is reported twice")), None);
}

/// The second refusal becomes durable first.
#[test]
fn first_of_two_refusals_holds_back_receipts_behind_it() {
    let mut outbox = outbox(3);
    offered(&mut outbox);
    apply(&mut outbox, receipt(3, 0, 0, 0));
    outbox.handle_session_lost();
    assert!(refuse(&mut outbox, 2, Reason::Expired) && refuse(&mut outbox, 1, Reason::Expired));
    assert_eq!(apply(&mut outbox, receipt(3, 3, 0, 0)), []);
    assert!(outbox.take_recorded_refusal(&jack(), id(2)).is_some());
    assert_eq!(outbox.resume(&jack(), |update| panic!("{update:?} is reported before the first")), None);
    assert!(outbox.take_recorded_refusal(&jack(), id(1)).is_some());
    let mut resumed = Vec::new();
    outbox.resume(&jack(), |update| resumed.push((update.request, update.progress)));
    assert_eq!(resumed, [(103, Progress::Delivered)]);
    assert!(outbox.is_empty());
}

/// All letters behind a refused one are wasted. With a window that is always full, many refused
/// letters would cost the square of their number.
#[test]
fn refusals_narrow_window_and_accepted_letters_widen_it() {
    let last = 2 * WINDOW_LETTERS as u64;
    let mut outbox = established(last);
    let mut sent = 0;
    for number in 2..=100 {
        sent += offered(&mut outbox).len();
        assert!(refuse(&mut outbox, number, Reason::TooLong));
        assert_eq!(refuse_all(&mut outbox, number + 1, last, Reason::Behind), [0_u64; 0]);
        outbox.take_recorded_refusal(&jack(), id(number)).unwrap();
    }
    assert!(sent < 2 * WINDOW_LETTERS + 100, "{sent}");
    assert_eq!(offered(&mut outbox), [(101, 1)]);
    assert_eq!(delivered(&mut outbox, 101), [201]);
    assert_eq!(offered(&mut outbox), [(102, 101), (103, 102)]);
    assert_eq!(delivered(&mut outbox, 103), [202, 203]);
    assert_eq!(offered(&mut outbox).len(), 4);
}

#[test]
fn refused_conversation_ends_all_letters_after_one_window() {
    for reason in [Reason::Blocked, Reason::Unknown] {
        let all = 3 * WINDOW_LETTERS as u64;
        let mut outbox = established(all);
        let last = WINDOW_LETTERS as u64 + 1;
        assert_eq!(offered(&mut outbox).len(), WINDOW_LETTERS);
        assert_eq!(refuse_all(&mut outbox, 2, 20, reason), (2..=20).collect::<Vec<_>>());
        assert_eq!(offered(&mut outbox), [], "{reason:?}: letters behind those on their way wait for them");
        refuse_all(&mut outbox, 21, last, reason);
        let expected: Vec<_> = (2..=all + 1).map(|number| (number, reason, false)).collect();
        assert_eq!(record_all(&mut outbox), expected, "{reason:?}: each once, in order");
        assert!(outbox.is_empty() && (outbox.letters, outbox.bytes) == (0, 0));
        let jack = &outbox.conversations["JACK"];
        assert_eq!(jack.sent_letters, 0);
        assert_eq!(jack.sent_bytes, 0);
    }
}

#[test]
fn letters_written_after_refusal_are_tried_one_at_a_time() {
    let mut outbox = established(10);
    assert_eq!(offered(&mut outbox).len(), 10);
    refuse_all(&mut outbox, 2, 11, Reason::Blocked);
    (0..3).for_each(|n| _ = push(&mut outbox, 900 + n, vec![1]));
    assert_eq!(offered(&mut outbox), [], "the refusal is not durable");
    assert_eq!(record_all(&mut outbox).len(), 10);
    assert_eq!(offered(&mut outbox), [(12, 1)]);
    refuse_all(&mut outbox, 12, 12, Reason::Blocked);
    assert_eq!(record_all(&mut outbox).len(), 3, "letters written by then end with it");
    push(&mut outbox, 999, vec![1]);
    assert_eq!(offered(&mut outbox), [(15, 1)]);
    assert_eq!(delivered(&mut outbox, 15), [999]);
}

/// A mailbox is full for a moment. Letters behind the refused one are tried, not returned with it.
#[test]
fn letters_behind_full_mailbox_refusal_are_tried() {
    let mut outbox = established(10);
    outbox.conversations.get_mut("JACK").unwrap().window = 2;
    assert_eq!(offered(&mut outbox), [(2, 1), (3, 2)]);
    assert_eq!(refuse_all(&mut outbox, 2, 2, Reason::Full), [2]);
    assert_eq!(refuse_all(&mut outbox, 3, 3, Reason::Behind), [0_u64; 0]);
    assert_eq!(record_all(&mut outbox).len(), 1);
    assert_eq!(offered(&mut outbox), [(3, 1)]);
    assert_eq!(delivered(&mut outbox, 3), [103]);
    assert_eq!(offered(&mut outbox), [(4, 3), (5, 4)]);
}

#[test]
fn letters_of_earlier_session_are_refused_by_relay_only() {
    let mut outbox = established(50);
    assert_eq!(offered(&mut outbox).len(), 50);
    (0..10).for_each(|n| _ = push(&mut outbox, 900 + n, vec![1]));
    outbox.handle_session_lost();
    outbox.conversations.get_mut("JACK").unwrap().window = 1;
    assert_eq!(offered(&mut outbox).len(), WINDOW_IN_DOUBT, "they are sent together");
    assert_eq!(refuse_all(&mut outbox, 2, 33, Reason::Blocked).len(), WINDOW_IN_DOUBT);
    assert!(record_all(&mut outbox).iter().all(|(_, _, may_have_arrived)| *may_have_arrived));
    assert_eq!(offered(&mut outbox).first(), Some(&(34, 1)));
    let ended = refuse_all(&mut outbox, 34, 51, Reason::Blocked);
    assert_eq!(ended, (34..=61).collect::<Vec<_>>(), "letters that were never sent end with them");
    let in_doubt =
        record_all(&mut outbox).iter().filter(|(_, _, may_have_arrived)| *may_have_arrived).count();
    assert_eq!(in_doubt, 18);
}

#[test]
fn behind_or_lost_session_clears_verdict() {
    let mut outbox = established(60);
    outbox.conversations.get_mut("JACK").unwrap().window = 20;
    offered(&mut outbox);
    assert_eq!(refuse_all(&mut outbox, 2, 10, Reason::Unknown).len(), 9);
    assert_eq!(refuse_all(&mut outbox, 11, 21, Reason::Behind), [0_u64; 0]);
    assert_eq!(record_all(&mut outbox).len(), 9);
    assert_eq!(offered(&mut outbox), [(11, 1)], "the name exists now");
    assert_eq!(refuse_all(&mut outbox, 11, 11, Reason::Unknown).len(), 51);
    outbox.handle_session_lost();
    assert_eq!(outbox.conversations["JACK"].standing_refusal, None);
}

#[test]
fn refusal_range_affects_sent_letters_only() {
    let mut outbox = established(5);
    outbox.conversations.get_mut("JACK").unwrap().window = 2;
    assert_eq!(offered(&mut outbox), [(2, 1), (3, 2)]);
    assert_eq!(refuse_all(&mut outbox, 1, u64::MAX, Reason::TooLong), [2, 3]);
    assert_eq!(record_all(&mut outbox).len(), 2);
    assert_eq!(offered(&mut outbox), [(4, 1)]);
}

#[test]
fn busy_conversation_leaves_space_for_others() {
    let mut outbox = established(0);
    let tom: Name = "TOM".parse().unwrap();
    for n in 0..100 {
        push(&mut outbox, 1_000 + n, vec![0; 1_000]);
    }
    for to in ["TOM", "ANN", "ZOË"] {
        let to: Name = to.parse().unwrap();
        let number = outbox.push(1, to.clone(), encoded(vec![1]));
        outbox.mark_durable(&to, id(number));
    }
    let mut sent = Vec::new();
    let mut room = 20;
    let mut offer = |outbox: &mut Outbox, sent: &mut Vec<String>, more: usize| {
        room = more;
        outbox.send_ready(|letter| {
            let has_room = room > 0;
            room -= usize::from(has_room);
            sent.extend(has_room.then(|| letter.to.to_string()));
            has_room
        });
    };
    offer(&mut outbox, &mut sent, 20);
    assert!(["ANN", "TOM", "ZOË"].iter().all(|name| sent.iter().any(|to| to == name)), "{sent:?}");
    let number = outbox.push(2, tom.clone(), encoded(vec![1]));
    outbox.mark_durable(&tom, id(number));
    sent.clear();
    offer(&mut outbox, &mut sent, 20);
    assert!(sent.iter().any(|to| to == "TOM"), "{sent:?}");
}

#[test]
fn full_session_keeps_rest_for_later() {
    let mut outbox = outbox(3);
    let mut room = 2;
    outbox.send_ready(|_| {
        room -= 1;
        room >= 0
    });
    assert_eq!(offered(&mut outbox), [(3, 2)]);
}

#[test]
fn request_is_pending_until_its_letter_ends() {
    let mut outbox = outbox(4);
    let waiting = |outbox: &Outbox| -> Vec<u64> {
        (100..106).filter(|request| outbox.has_request(&jack(), *request)).collect()
    };
    assert_eq!(waiting(&outbox), [101, 102, 103, 104]);
    assert!(!outbox.has_request(&"TOM".parse().unwrap(), 101), "no letter to TOM was written");
    outbox.remove_failed(&jack(), id(4));
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 2, Reason::TooLong));
    assert_eq!(waiting(&outbox), [101, 103]);
    outbox.take_recorded_refusal(&jack(), id(2));
    apply(&mut outbox, receipt(1, 0, 0, 0));
    assert_eq!(waiting(&outbox), [101, 103], "accepted is not the end");
    assert_eq!(delivered(&mut outbox, 1), [101]);
    assert_eq!(waiting(&outbox), [103]);
}

#[test]
fn outbox_is_bounded() {
    let mut outbox = Outbox::new(BOX, BOX, Marks::new(Mark(0), []), 0);
    assert!(outbox.has_room(OUTBOX_BYTES_MAX) && !outbox.has_room(OUTBOX_BYTES_MAX + 1));
    for n in 0..OUTBOX_LETTERS_MAX as u64 {
        outbox.push(n, jack(), encoded(vec![]));
    }
    assert!(!outbox.has_room(0));
    outbox.remove_failed(&jack(), id(OUTBOX_LETTERS_MAX as u64));
    assert!(outbox.has_room(0));
}
