//! The outbox: order, windows, refusals, receipts, and what an earlier run left.

use super::*;

const BOX: OutboxId = OutboxId(7);

fn jack() -> Name {
    "JACK".parse().unwrap()
}

/// An outbox with so many letters to JACK, all durable.
fn outbox(letters: u64) -> Outbox {
    let mut outbox = Outbox::new(BOX, 0);
    for n in 1..=letters {
        push(&mut outbox, 100 + n, vec![n as u8]);
    }
    outbox
}

fn push(outbox: &mut Outbox, request: u64, body: Vec<u8>) -> u64 {
    let number = outbox.push(request, jack(), body);
    outbox.recorded(&jack(), number);
    number
}

fn offered(outbox: &mut Outbox) -> Vec<(u64, u64)> {
    let mut sent = Vec::new();
    outbox.offer(|letter| {
        sent.push((letter.id.number, letter.prev));
        true
    });
    sent
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: BOX, number }
}

fn receipt(accepted: u64, delivered: u64, read: u64, until: u64) -> Receipt<'static> {
    Receipt { to: "JACK", outbox: BOX, accepted, delivered, read, until: Wall(until), taken: Wall(0) }
}

/// What a receipt tells: requests and states.
fn told(outbox: &mut Outbox, receipt: Receipt<'_>) -> Vec<(u64, Progress)> {
    let mut told = Vec::new();
    outbox.handle_receipt(&receipt, |step| told.push((step.request, step.progress)));
    told
}

fn delivered(outbox: &mut Outbox, through: u64) -> Vec<u64> {
    let told = told(outbox, receipt(0, through, 0, 0));
    told.into_iter().filter(|t| t.1 == Progress::Delivered).map(|t| t.0).collect()
}

fn refuse(outbox: &mut Outbox, number: u64, reason: Reason) -> bool {
    outbox.handle_refused("JACK", id(number), (reason, false), Vec::new()).is_some()
}

#[test]
fn letters_go_in_order_each_once_and_end_with_their_receipt() {
    let mut outbox = outbox(3);
    assert_eq!(offered(&mut outbox), [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(offered(&mut outbox), []);
    assert_eq!(delivered(&mut outbox, 2), [101, 102]);
    assert!(!outbox.is_empty());
    assert_eq!(delivered(&mut outbox, 3), [103]);
    assert!(outbox.is_empty());
    assert_eq!((outbox.letters, outbox.bytes), (0, 0));
}

#[test]
fn nothing_goes_out_before_it_is_durable_nor_past_one_that_is_not() {
    let mut outbox = Outbox::new(BOX, 0);
    for request in 1..=3 {
        outbox.push(request, jack(), vec![]);
    }
    assert_eq!(offered(&mut outbox), []);
    outbox.recorded(&jack(), 1);
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    outbox.unrecorded(&jack(), 2);
    outbox.recorded(&jack(), 3);
    assert_eq!(offered(&mut outbox), [(3, 1)], "the one that was lost before it went is no gap");
}

#[test]
fn the_five_states_are_told_once_each_as_they_come() {
    let mut outbox = outbox(2);
    offered(&mut outbox);
    let waiting = Progress::Waiting { until: Wall(9) };
    assert_eq!(told(&mut outbox, receipt(1, 0, 0, 9)), [(101, Progress::Accepted), (101, waiting)]);
    assert_eq!(told(&mut outbox, receipt(1, 0, 0, 9)), []);
    assert_eq!(
        told(&mut outbox, receipt(2, 1, 0, 9)),
        [(102, Progress::Accepted), (102, waiting), (101, Progress::Delivered)]
    );
    assert_eq!(told(&mut outbox, receipt(2, 2, 1, 0)), [(102, Progress::Delivered), (101, Progress::Read)]);
    assert_eq!(told(&mut outbox, receipt(2, 2, 2, 0)), [(102, Progress::Read)]);
    assert_eq!(told(&mut outbox, receipt(2, 2, 2, 0)), []);
}

#[test]
fn a_reader_s_word_is_believed_of_what_was_delivered_only() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    assert_eq!(told(&mut outbox, receipt(0, 0, 9, 0)), [], "nothing was delivered");
    let all = [Progress::Accepted, Progress::Delivered, Progress::Read].map(|progress| (101, progress));
    assert_eq!(told(&mut outbox, receipt(1, 1, 9, 0)), all);
    let reach = outbox.conversations["JACK"].reach;
    assert_eq!(reach, Reach { last: 1, taken: 1, accepted: 1, delivered: 1, read: 1, until: Wall(0) });
}

#[test]
fn after_a_refusal_is_durable_those_behind_go_again_with_a_new_prev() {
    let mut outbox = outbox(5);
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 2, Reason::Full));
    assert!(!refuse(&mut outbox, 3, Reason::Behind));
    assert_eq!(offered(&mut outbox), [], "a crash now would let 3 pass for proof that 2 was accepted");
    let refusal = outbox.refusal_recorded(&jack(), 2).unwrap();
    assert_eq!((refusal.request, refusal.may_have_arrived, refusal.body), (102, false, vec![2]));
    assert_eq!(offered(&mut outbox), [(3, 1)]);
    assert!(!refuse(&mut outbox, 4, Reason::Behind));
    assert_eq!(offered(&mut outbox), [(4, 3)]);
    assert!(!refuse(&mut outbox, 5, Reason::Behind));
    assert_eq!(offered(&mut outbox), [(5, 4)]);
    assert_eq!(delivered(&mut outbox, 5), [101, 103, 104, 105]);
    assert_eq!(outbox.next_heard(), Some((&jack(), id(2))));
}

#[test]
fn a_refusal_that_is_told_again_is_answered_and_not_shown_again() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 1, Reason::Blocked));
    assert!(!refuse(&mut outbox, 1, Reason::Blocked), "it is being written down");
    assert_eq!(outbox.next_heard(), None);
    outbox.refusal_recorded(&jack(), 1).unwrap();
    outbox.paid_heard();
    assert!(!refuse(&mut outbox, 1, Reason::Blocked));
    assert_eq!(outbox.next_heard(), Some((&jack(), id(1))));
}

#[test]
fn an_accepted_letter_can_expire_and_is_no_prev_any_more() {
    let mut outbox = outbox(2);
    offered(&mut outbox);
    assert_eq!(delivered(&mut outbox, 1), [101]);
    told(&mut outbox, receipt(2, 1, 0, 9));
    assert!(refuse(&mut outbox, 2, Reason::Expired));
    let refusal = outbox.refusal_recorded(&jack(), 2).unwrap();
    assert_eq!((refusal.reason, refusal.may_have_arrived, refusal.body), (Reason::Expired, false, vec![2]));
    push(&mut outbox, 9, vec![]);
    assert_eq!(offered(&mut outbox), [(3, 1)]);
}

#[test]
fn a_lost_session_sends_the_unaccepted_again_and_a_later_refusal_may_have_arrived() {
    let mut outbox = outbox(3);
    offered(&mut outbox);
    told(&mut outbox, receipt(1, 0, 0, 9));
    outbox.session_lost();
    assert_eq!(offered(&mut outbox), [(2, 1), (3, 2)]);
    assert!(refuse(&mut outbox, 2, Reason::Offline));
    assert!(outbox.refusal_recorded(&jack(), 2).unwrap().may_have_arrived);
    refuse(&mut outbox, 3, Reason::Behind);
    push(&mut outbox, 9, vec![]);
    assert_eq!(offered(&mut outbox), [(3, 1), (4, 3)]);
}

#[test]
fn what_an_earlier_run_left_goes_on_with_its_numbers() {
    let mut outbox = Outbox::new(BOX, 40);
    outbox.restore(jack(), Reach { last: 9, taken: 5, accepted: 7, delivered: 5, ..Reach::default() });
    for number in [7, 8] {
        let kept = KeptLetter { request: number, text: format!("letter {number}"), written: Wall(number) };
        outbox.restore_letter(&jack(), number, &kept);
    }
    outbox.signed_in();
    assert_eq!(outbox.next_ask(), Some((&jack(), BOX)));
    outbox.asked();
    assert_eq!(outbox.next_ask(), None);
    assert!(outbox.has_request(&jack(), 8) && !outbox.has_request(&jack(), 9));
    assert_eq!(push(&mut outbox, 100, vec![]), 10, "9 was given out and refused");
    assert_eq!(offered(&mut outbox), [(8, 7), (10, 8)], "7 was accepted");
    let told = told(&mut outbox, receipt(8, 7, 0, 0));
    assert_eq!(told, [(8, Progress::Accepted), (7, Progress::Delivered)]);
    let zoe: Name = "Zoë".parse().unwrap();
    assert_eq!(outbox.push(1, zoe, vec![]), 41, "above every number that may have been used");
}

#[test]
fn a_conversation_that_was_read_to_its_end_is_not_asked_about() {
    let mut outbox = Outbox::new(BOX, 0);
    outbox.restore(jack(), Reach { last: 9, taken: 9, accepted: 9, delivered: 9, read: 9, until: Wall(0) });
    outbox.signed_in();
    assert_eq!(outbox.next_ask(), None);
    for number in 0..300 {
        let reach = Reach { last: 1, taken: 1, accepted: 1, delivered: 1, ..Reach::default() };
        outbox.restore(format!("m{number}").parse().unwrap(), reach);
    }
    outbox.signed_in();
    assert_eq!(outbox.asks.len(), ASKED_MAX);
    assert_eq!(outbox.next_ask().unwrap().0.as_str(), "m299", "the newest comes first");
}

#[test]
fn an_outbox_restored_from_an_old_copy_reuses_no_number() {
    let mut outbox = outbox(1);
    assert_eq!(told(&mut outbox, receipt(8, 8, 0, 0)), [], "the relay means another letter of this number");
    assert_eq!(push(&mut outbox, 9, vec![]), 9);
    assert_eq!(offered(&mut outbox), [(1, 0), (9, 1)]);
}

#[test]
fn row_56_numbers_that_no_outbox_comes_to_are_not_believed() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    for absurd in [1 << 63, u64::MAX] {
        assert_eq!(told(&mut outbox, receipt(absurd, 0, 0, 0)), []);
        assert_eq!(told(&mut outbox, receipt(0, absurd, 0, 0)), []);
    }
    assert_eq!(push(&mut outbox, 102, vec![2]), 2, "there is room for more letters");
    assert_eq!(delivered(&mut outbox, 1), [101]);
}

#[test]
fn a_window_bounds_what_is_on_its_way_and_what_waits_in_a_mailbox_is_outside_it() {
    let mut outbox = Outbox::new(BOX, 0);
    for n in 0..3 {
        push(&mut outbox, n, vec![0; WINDOW_BYTES]);
    }
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    delivered(&mut outbox, 1);
    assert_eq!(offered(&mut outbox), [(2, 1)]);
    told(&mut outbox, receipt(2, 1, 0, 9));
    assert_eq!(offered(&mut outbox), [(3, 2)]);
    let mut many = super::tests::outbox(WINDOW_LETTERS as u64 + 5);
    assert_eq!(offered(&mut many).len(), WINDOW_LETTERS);
    let mut longer = Outbox::new(BOX, 0);
    for n in 0..WINDOW_LETTERS as u64 {
        push(&mut longer, n, vec![0; 100]);
    }
    assert_eq!(offered(&mut longer).len(), WINDOW_BYTES / (100 + LETTER_COST));
}

#[test]
fn what_is_said_of_letters_behind_a_refused_one_is_told_after_it() {
    let mut outbox = outbox(4);
    offered(&mut outbox);
    told(&mut outbox, receipt(4, 0, 0, 0));
    assert!(refuse(&mut outbox, 2, Reason::Expired));
    assert_eq!(told(&mut outbox, receipt(4, 3, 3, 0)), [(101, Progress::Delivered), (101, Progress::Read),]);
    assert_eq!(told(&mut outbox, receipt(4, 4, 3, 0)), []);
    assert!(outbox.refusal_recorded(&jack(), 2).is_some());
    let mut resumed = Vec::new();
    let reach = outbox.resume(&jack(), |step| resumed.push((step.request, step.progress)));
    let all = [(103, Progress::Delivered), (104, Progress::Delivered), (103, Progress::Read)];
    assert_eq!(resumed, all);
    assert_eq!(reach.map(|reach| (reach.delivered, reach.read)), Some((4, 3)));
    assert_eq!(outbox.resume(&jack(), |step| panic!("{step:?} is told twice")), None);
}

#[test]
fn of_two_refusals_the_first_holds_back_what_is_behind_it_though_the_second_is_durable() {
    let mut outbox = outbox(3);
    offered(&mut outbox);
    told(&mut outbox, receipt(3, 0, 0, 0));
    outbox.session_lost();
    assert!(refuse(&mut outbox, 2, Reason::Expired) && refuse(&mut outbox, 1, Reason::Expired));
    assert_eq!(told(&mut outbox, receipt(3, 3, 0, 0)), []);
    assert!(outbox.refusal_recorded(&jack(), 2).is_some());
    assert_eq!(outbox.resume(&jack(), |step| panic!("{step:?} is told before the first")), None);
    assert!(outbox.refusal_recorded(&jack(), 1).is_some());
    let mut resumed = Vec::new();
    outbox.resume(&jack(), |step| resumed.push((step.request, step.progress)));
    assert_eq!(resumed, [(103, Progress::Delivered)]);
    assert!(outbox.is_empty());
}

/// All behind a refused letter go for nothing: were the window always full, letters to a full mailbox would cost its square.
#[test]
fn refusals_narrow_the_window_and_accepted_letters_widen_it_again() {
    let mut outbox = outbox(2 * WINDOW_LETTERS as u64);
    let mut sent = 0;
    for number in 1..=100 {
        sent += offered(&mut outbox).len();
        assert!(refuse(&mut outbox, number, Reason::Full));
        (number + 1..=2 * WINDOW_LETTERS as u64).for_each(|n| _ = refuse(&mut outbox, n, Reason::Behind));
        outbox.refusal_recorded(&jack(), number).unwrap();
    }
    assert!(sent < 2 * WINDOW_LETTERS + 100, "{sent}");
    assert_eq!(offered(&mut outbox), [(101, 0)]);
    assert_eq!(delivered(&mut outbox, 101), [201]);
    assert_eq!(offered(&mut outbox), [(102, 101), (103, 102)]);
    assert_eq!(delivered(&mut outbox, 103), [202, 203]);
    assert_eq!(offered(&mut outbox).len(), 4);
}

#[test]
fn letters_to_a_name_that_nobody_has_go_on_in_a_full_window() {
    let mut outbox = outbox(WINDOW_LETTERS as u64 + 1);
    assert_eq!(offered(&mut outbox).len(), WINDOW_LETTERS);
    (1..=2).for_each(|number| assert!(refuse(&mut outbox, number, Reason::Unknown)));
    (1..=2).for_each(|number| assert!(outbox.refusal_recorded(&jack(), number).is_some()));
    assert_eq!(offered(&mut outbox).len(), 1);
}

#[test]
fn no_room_keeps_the_rest_for_later() {
    let mut outbox = outbox(3);
    let mut room = 2;
    outbox.offer(|_| {
        room -= 1;
        room >= 0
    });
    assert_eq!(offered(&mut outbox), [(3, 2)]);
}

#[test]
fn a_request_waits_from_its_letter_to_the_letters_end_however_that_comes() {
    let mut outbox = outbox(4);
    let waiting = |outbox: &Outbox| -> Vec<u64> {
        (100..106).filter(|request| outbox.has_request(&jack(), *request)).collect()
    };
    assert_eq!(waiting(&outbox), [101, 102, 103, 104]);
    assert!(!outbox.has_request(&"TOM".parse().unwrap(), 101), "nobody wrote to TOM");
    outbox.unrecorded(&jack(), 4);
    offered(&mut outbox);
    assert!(refuse(&mut outbox, 2, Reason::Full));
    assert_eq!(waiting(&outbox), [101, 103]);
    outbox.refusal_recorded(&jack(), 2);
    told(&mut outbox, receipt(1, 0, 0, 0));
    assert_eq!(waiting(&outbox), [101, 103], "accepted is not the end");
    assert_eq!(delivered(&mut outbox, 1), [101]);
    assert_eq!(waiting(&outbox), [103]);
}

#[test]
fn the_outbox_is_bounded() {
    let mut outbox = Outbox::new(BOX, 0);
    assert!(outbox.has_room(OUTBOX_BYTES_MAX) && !outbox.has_room(OUTBOX_BYTES_MAX + 1));
    for n in 0..OUTBOX_LETTERS_MAX as u64 {
        outbox.push(n, jack(), vec![]);
    }
    assert!(!outbox.has_room(0));
    outbox.unrecorded(&jack(), OUTBOX_LETTERS_MAX as u64);
    assert!(outbox.has_room(0));
}

#[test]
fn a_letter_too_old_that_was_tried_before_it_was_accepted_may_have_arrived() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    outbox.session_lost();
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    told(&mut outbox, receipt(1, 0, 0, 9));
    assert!(refuse(&mut outbox, 1, Reason::Expired));
    assert!(outbox.refusal_recorded(&jack(), 1).unwrap().may_have_arrived);
}
