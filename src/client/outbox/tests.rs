//! The outbox: order, windows, refusals, receipts.

use super::*;
use crate::base::Wall;

const BOX: OutboxId = OutboxId(7);

fn outbox(letters: u64) -> Outbox {
    let mut outbox = Outbox::new(BOX);
    for n in 1..=letters {
        outbox.push(100 + n, "JACK".parse().unwrap(), vec![n as u8]);
    }
    outbox
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

fn delivered(outbox: &mut Outbox, through: u64) -> Vec<u64> {
    let receipt =
        Receipt { to: "JACK", outbox: BOX, accepted: 0, delivered: through, read: 0, until: Wall(0) };
    let mut requests = Vec::new();
    outbox.handle_receipt(&receipt, |outcome| {
        if let Outcome::Progress { request, progress: Progress::Delivered, .. } = outcome {
            requests.push(request);
        }
    });
    requests
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
}

#[test]
fn after_a_refusal_those_behind_go_again_with_a_new_prev() {
    let mut outbox = outbox(4);
    offered(&mut outbox);
    let refused = outbox.handle_refused("JACK", id(2), Reason::Full, false);
    let gone = Outcome::Refused { request: 102, id: id(2), may_have_arrived: false, body: vec![2] };
    assert_eq!(refused, Some(gone));
    assert_eq!(outbox.handle_refused("JACK", id(3), Reason::Behind, false), None);
    assert_eq!(offered(&mut outbox), [(3, 1)]);
    assert_eq!(outbox.handle_refused("JACK", id(4), Reason::Behind, false), None);
    assert_eq!(offered(&mut outbox), [(4, 3)]);
    assert_eq!(delivered(&mut outbox, 4), [101, 103, 104]);
}

#[test]
fn a_lost_session_sends_everything_again_and_a_later_refusal_may_have_arrived() {
    let mut outbox = outbox(2);
    offered(&mut outbox);
    outbox.session_lost();
    assert!(delivered(&mut outbox, 2).is_empty(), "a receipt before it was sent again means nothing");
    assert_eq!(offered(&mut outbox), [(1, 0), (2, 1)]);
    let refused = outbox.handle_refused("JACK", id(1), Reason::Offline, false);
    assert!(matches!(refused, Some(Outcome::Refused { may_have_arrived: true, .. })));
    outbox.handle_refused("JACK", id(2), Reason::Behind, false);
    outbox.push(9, "JACK".parse().unwrap(), vec![]);
    assert_eq!(offered(&mut outbox), [(2, 0), (3, 2)]);
}

#[test]
fn a_window_bounds_what_is_on_its_way() {
    let mut outbox = Outbox::new(BOX);
    for n in 0..3 {
        outbox.push(n, "JACK".parse().unwrap(), vec![0; WINDOW_BYTES]);
    }
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    delivered(&mut outbox, 1);
    assert_eq!(offered(&mut outbox), [(2, 1)]);
    let mut many = super::tests::outbox(WINDOW_LETTERS as u64 + 5);
    assert_eq!(offered(&mut many).len(), WINDOW_LETTERS);
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
