//! Refusals of letters that may have arrived, and of an earlier run.

use super::*;

#[test]
fn expired_letter_tried_before_acceptance_may_have_arrived() {
    let mut outbox = outbox(1);
    offered(&mut outbox);
    outbox.handle_session_lost();
    assert_eq!(offered(&mut outbox), [(1, 0)]);
    apply(&mut outbox, receipt(1, 0, 0, 9));
    assert!(refuse(&mut outbox, 1, Reason::Expired));
    assert!(outbox.take_recorded_refusal(&jack(), id(1)).unwrap().may_have_arrived);
}

/// A process ended before it had shown them.
#[test]
fn refusals_of_earlier_run_are_shown_in_order() {
    let mut outbox = outbox(0);
    for number in 3..6 {
        let letter = PersistedLetter {
            request: number,
            text: number.to_string(),
            written: Wall(0),
            mark: Mark(1),
            encoded: LetterBody::default(),
        };
        let refusal = PersistedRefusal { letter, reason: Reason::Blocked, may_have_arrived: false };
        outbox.restore_refusal(jack(), id(number), refusal);
    }
    let numbers: Vec<u64> =
        std::iter::from_fn(|| outbox.next_old_refusal()).map(|(_, refusal)| refusal.id.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
}

/// The relay took the letter, was killed, and took it again: it accepts it as new, and the reader
/// that refuses it may be another machine than the one that had stored it.
#[test]
fn refusal_of_resent_and_accepted_letter_may_have_arrived() {
    for reason in [Reason::Full, Reason::Unsupported, Reason::Expired] {
        let mut outbox = outbox(1);
        offered(&mut outbox);
        outbox.handle_session_lost();
        offered(&mut outbox);
        apply(&mut outbox, receipt(1, 0, 0, 9));
        assert!(refuse(&mut outbox, 1, reason));
        assert!(outbox.take_recorded_refusal(&jack(), id(1)).unwrap().may_have_arrived, "{reason:?}");
    }
}
