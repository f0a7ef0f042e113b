//! Senders that write faster than their pace: letters wait or pass, and none is lost or overtaken.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::MailboxWithDisk;
use super::*;
use crate::relay::ids::MemberId;
use crate::relay::limits::{ENTRY_COST, Limits};

const START: Tick = Tick::from_micros(1_000_000);
const GREEDY: Sender = Sender::Member(MemberId(1));
const FRIEND: Sender = Sender::Member(MemberId(2));
/// Cost of a letter of 936 bytes.
const COST: usize = 1_000;

/// Returns a mailbox whose pairs pass `burst` letters of [`COST`] at once, and one each second.
fn paced(burst: usize) -> MailboxWithDisk {
    let limits = Limits { pair_rate: COST, pair_burst: burst * COST, ..Limits::default() };
    MailboxWithDisk { pace: Pace::of(&limits), now: START, limits, ..MailboxWithDisk::default() }
}

fn offer(harness: &mut MailboxWithDisk, sender: Sender, number: u64) {
    assert!(harness.offer(sender, number, COST - ENTRY_COST));
}

fn send_all(harness: &mut MailboxWithDisk) -> Vec<(Sender, u64)> {
    std::iter::from_fn(|| harness.send_one()).collect()
}

/// Loads and sends until nothing more can be sent.
fn settle(harness: &mut MailboxWithDisk) -> Vec<(Sender, u64)> {
    let mut sent = send_all(harness);
    while harness.mailbox.rows_to_load(harness.now, harness.pace).is_some() {
        harness.load(100);
        sent.extend(send_all(harness));
    }
    sent
}

#[test]
fn letters_beyond_burst_wait_and_others_pass() {
    let mut harness = paced(4);
    (1..=10).for_each(|number| offer(&mut harness, GREEDY, number));
    offer(&mut harness, FRIEND, 1);
    let first: Vec<_> = (1..=4).map(|number| (GREEDY, number)).chain([(FRIEND, 1)]).collect();
    assert_eq!(send_all(&mut harness), first);
    for (second, numbers) in [(1, 5..6), (2, 6..7), (5, 7..10), (6, 10..11)] {
        harness.now = START + Duration::from_secs(second);
        offer(&mut harness, FRIEND, second);
        let due: Vec<_> = numbers.map(|number| (GREEDY, number)).collect();
        let mut sent = send_all(&mut harness);
        sent.retain(|sent| *sent != (FRIEND, second));
        assert_eq!(sent, due, "at second {second}");
    }
    assert!(harness.mailbox.lanes.is_empty());
}

#[test]
fn waiting_letters_are_written_and_return_from_disk() {
    let mut harness = paced(2);
    (1..=6).for_each(|number| offer(&mut harness, GREEDY, number));
    assert_eq!(send_all(&mut harness).len(), 2);
    assert_eq!(harness.write(START + SPILL_AFTER, false).len(), 6, "all are safe in time");
    offer(&mut harness, GREEDY, 7);
    offer(&mut harness, FRIEND, 1);
    assert_eq!(harness.commit(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(send_all(&mut harness), [(FRIEND, 1)], "from memory, before letters on disk");
    assert_eq!(harness.mailbox.unwritten, 2 * COST, "letters on disk are not in memory");
    assert!(harness.mailbox.is_on_disk_only(3) && !harness.mailbox.is_on_disk_only(2));
    harness.now = START + Duration::from_secs(2);
    assert_eq!(settle(&mut harness), [(GREEDY, 3), (GREEDY, 4)]);
    harness.now = START + Duration::from_secs(9);
    assert_eq!(settle(&mut harness), [(GREEDY, 5), (GREEDY, 6)]);
    harness.now = START + Duration::from_secs(11);
    assert_eq!(settle(&mut harness), [(GREEDY, 7)]);
}

#[test]
fn mailbox_full_of_one_sender_lets_others_pass_from_disk() {
    let mut harness = paced(2);
    (1..=300).for_each(|number| offer(&mut harness, GREEDY, number));
    offer(&mut harness, FRIEND, 1);
    while !harness.write(START, true).is_empty() {
        harness.commit();
    }
    let sent = settle(&mut harness);
    assert_eq!(sent, [(GREEDY, 1), (GREEDY, 2), (FRIEND, 1)]);
    assert!(harness.mailbox.loaded.is_empty(), "waiting letters use no memory");
    harness.mailbox.handle_session_end();
    harness.now = harness.now + Duration::from_secs(1);
    assert_eq!(settle(&mut harness), [(GREEDY, 1), (FRIEND, 1)], "the next session gets less at once");
    harness.now = harness.now + Duration::from_secs(2);
    assert_eq!(settle(&mut harness), [(GREEDY, 2), (GREEDY, 3)]);
}

#[test]
fn hundred_greedy_senders_do_not_starve_another() {
    let mut harness = paced(70);
    for number in 1..=90 {
        for n in 0..50 {
            let _ = harness.offer(Sender::Member(MemberId(100 + n)), number, COST - ENTRY_COST);
        }
        while !harness.write(START, true).is_empty() {
            harness.commit();
        }
    }
    // The connection takes twenty letters a second, less than the paces of all.
    let mut worst = 0;
    for number in 1..=40 {
        harness.now = harness.now + Duration::from_secs(1);
        offer(&mut harness, FRIEND, number);
        let mut waited = 0;
        for _ in 0..20 {
            match harness.send_one() {
                Some((FRIEND, _)) => break,
                Some(_) => waited += 1,
                None => harness.load(100),
            }
        }
        harness.mailbox.clear_sent();
        worst = worst.max(waited);
    }
    assert!(worst <= 20, "{worst}");
}

#[test]
fn expired_letters_are_removed_from_their_lane() {
    let mut harness = paced(1);
    (1..=4).for_each(|number| offer(&mut harness, GREEDY, number));
    assert_eq!(send_all(&mut harness), [(GREEDY, 1)]);
    harness.write(START, true);
    harness.commit();
    harness.disk.remove(&3);
    harness.mailbox.remove_expired(3, GREEDY, COST - ENTRY_COST);
    harness.disk.remove(&4);
    harness.mailbox.remove_unidentified(4);
    harness.now = START + Duration::from_secs(60);
    assert_eq!(settle(&mut harness), [(GREEDY, 2)]);
    assert!(harness.mailbox.lanes.is_empty() && harness.mailbox.on_disk == 0);
}

/// A letter waits in its lane while one with a higher sequence number overtakes it. Its refusal
/// must not report that it may have arrived.
#[test]
fn released_letter_counts_as_not_sent_despite_later_ones() {
    let mut harness = paced(1);
    (1..=2).for_each(|number| offer(&mut harness, GREEDY, number));
    assert_eq!(send_all(&mut harness), [(GREEDY, 1)]);
    harness.write(START + SPILL_AFTER, false);
    harness.commit();
    offer(&mut harness, FRIEND, 1);
    assert_eq!(send_all(&mut harness), [(FRIEND, 1)]);
    harness.write(START + 2 * SPILL_AFTER, false);
    harness.commit();
    assert!(
        harness.mailbox.may_row_have_been_sent(3) && !harness.mailbox.may_row_have_been_sent(2),
        "2 waits in a lane"
    );
    harness.now = START + Duration::from_secs(60);
    harness.load(100);
    let entry = harness.mailbox.take_next().unwrap();
    assert_eq!(entry.seq(), Some(2));
    assert!(!harness.mailbox.may_have_been_sent(&entry));
}

#[test]
fn letters_missing_on_disk_are_not_waited_for() {
    let mut harness = paced(1);
    (1..=3).for_each(|number| offer(&mut harness, GREEDY, number));
    assert_eq!(send_all(&mut harness), [(GREEDY, 1)]);
    harness.write(START, true);
    harness.commit();
    harness.now = START + Duration::from_secs(60);
    for _ in 2..=3 {
        assert!(matches!(harness.mailbox.rows_to_load(harness.now, harness.pace), Some(RowsToLoad::At(_))));
        harness.mailbox.mark_loading(Ticket(900));
        assert!(harness.mailbox.append_loaded(Ticket(900), None, None, Vec::new()));
        assert_eq!(send_all(&mut harness), []);
    }
    assert_eq!(harness.mailbox.rows_to_load(harness.now, harness.pace), None);
    assert!(harness.mailbox.lanes.is_empty());
}

impl Mailbox {
    /// Removes all sent letters, as stored.
    fn clear_sent(&mut self) {
        for entry in std::mem::take(&mut self.sent).into_iter().flatten() {
            self.subtract(&entry);
        }
    }
}

#[test]
fn mailbox_is_not_shrunk_before_every_pair_is_full() {
    let mut harness = paced(4);
    (1..=3).for_each(|number| offer(&mut harness, GREEDY, number));
    send_all(&mut harness);
    harness.mailbox.clear_sent();
    MailboxUsage::default().update(&mut harness.mailbox);
    while harness.mailbox.next_usage_change().is_some() {}
    harness.mailbox.clear_pacing(START + Duration::from_secs(2));
    assert!(!harness.mailbox.is_unused());
    harness.mailbox.clear_pacing(START + Duration::from_secs(3));
    assert!(harness.mailbox.is_unused());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8, u16),
    Hand(u8),
    Store(u8),
    Write(bool),
    Commit,
    Fail,
    Load(u8),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3, 0u16..3_000).prop_map(|(sender, len)| Step::Push(sender, len)),
        4 => (1u8..9).prop_map(Step::Hand),
        2 => (0u8..3).prop_map(Step::Store),
        2 => any::<bool>().prop_map(Step::Write),
        3 => Just(Step::Commit),
        1 => Just(Step::Fail),
        3 => (1u8..5).prop_map(Step::Load),
        1 => Just(Step::End),
    ]
}

/// Progress of the letters of one sender.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    pushed: u64,
    sent: u64,
    stored: u64,
    accepted: u64,
}

impl MailboxWithDisk {
    /// Stores the sender's letters up to `through`.
    fn store(&mut self, sender: Sender, through: u64) {
        if let Some(stored) = self.mailbox.remove_stored(
            sender,
            super::tests::OUTBOX,
            super::tests::all(through),
            &mut BufferPool::default(),
        ) {
            stored.seqs.iter().for_each(|seq| drop(self.disk.remove(seq)));
            self.removed_seqs.extend(stored.seqs);
        }
    }
}

proptest! {
    /// For any order of events: letters of each sender arrive in order, and none is lost. None is
    /// accepted before it and every earlier one is on disk or with the recipient. None passes
    /// before its pace allows it.
    #[test]
    fn no_letter_of_any_sender_is_lost_or_overtaken(
        burst in 1usize..6,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut harness = paced(burst);
        let mut courses = BTreeMap::<Sender, Course>::new();
        let mut passed = BTreeMap::<Sender, usize>::new();
        let sender = |n: u8| Sender::Member(MemberId(n.into()));
        for step in steps {
            harness.now = harness.now + Duration::from_millis(200);
            match step {
                Step::Push(n, len) => {
                    let course = courses.entry(sender(n)).or_default();
                    let mut next = super::tests::entry(sender(n), course.pushed + 1, len.into());
                    next.queued_at = harness.now;
                    course.pushed += u64::from(harness.offer_entry(next, SenderClass::Known));
                }
                Step::Hand(most) => for _ in 0..most {
                    let Some((sender, number)) = harness.send_one() else { break };
                    let course = courses.get_mut(&sender).unwrap();
                    prop_assert_eq!(number, course.sent + 1);
                    course.sent = number;
                    let len = harness.mailbox.sent.back().unwrap().as_ref().unwrap().len;
                    let passed = passed.entry(sender).or_default();
                    *passed += len + ENTRY_COST;
                    let allowed = COST * burst + COST * harness.now.since(START).as_millis() as usize / 1_000;
                    prop_assert!(*passed <= allowed + 3_064, "{} of {}", passed, allowed);
                },
                Step::Store(n) => {
                    let course = courses.entry(sender(n)).or_default();
                    course.stored = course.sent;
                    course.accepted = course.accepted.max(course.stored);
                    let through = course.sent;
                    harness.store(sender(n), through);
                }
                Step::Write(is_recipient_offline) => drop(harness.write(harness.now, is_recipient_offline)),
                Step::Commit if harness.mailbox.writing.is_some() => {
                    for entry in harness.batch.drain(..) {
                        harness.disk.insert(entry.seq().unwrap(), entry);
                    }
                    harness.removed_seqs.drain(..).for_each(|seq| drop(harness.disk.remove(&seq)));
                    let ticket = harness.mailbox.writing.unwrap();
                    for AcceptedLetter { sender, id, .. } in harness.mailbox.mark_committed(ticket) {
                        let course = courses.get_mut(&sender).unwrap();
                        prop_assert_eq!(id.number, course.accepted + 1, "every earlier one is safe");
                        course.accepted = id.number;
                    }
                }
                Step::Fail if harness.mailbox.writing.is_some() => {
                    harness.batch.clear();
                    let ticket = harness.mailbox.writing.unwrap();
                    prop_assert_eq!(harness.mailbox.mark_commit_failed(harness.now, ticket, false), []);
                }
                Step::Commit | Step::Fail => {}
                Step::Load(most) => harness.load(most.into()),
                Step::End => {
                    harness.mailbox.handle_session_end();
                    courses.values_mut().for_each(|course| course.sent = course.stored);
                }
            }
        }
        for _ in 0..10_000 {
            harness.now = harness.now + Duration::from_secs(1);
            if harness.mailbox.writing.is_some() {
                harness.commit();
            }
            harness.load(3);
            while let Some((sender, number)) = harness.send_one() {
                let course = courses.get_mut(&sender).unwrap();
                prop_assert_eq!(number, course.sent + 1);
                course.sent = number;
            }
            courses.iter().for_each(|(sender, course)| harness.store(*sender, course.sent));
            if !harness.mailbox.has_mail() {
                break;
            }
        }
        for course in courses.values() {
            prop_assert_eq!(course.sent, course.pushed);
        }
        prop_assert_eq!(harness.unwritten_of_all(), 0);
        prop_assert!(!harness.mailbox.has_mail() && harness.mailbox.unwritten == 0 && harness.mailbox.lanes.is_empty());
    }
}
