//! Senders that write faster than their pace: letters wait or pass, and none is lost or overtaken.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::Desk;
use super::*;
use crate::relay::limits::{ENTRY_COST, Limits};
use crate::relay::members::MemberId;

const START: Tick = Tick::from_micros(1_000_000);
const GREEDY: Author = Author::Member(MemberId(1));
const FRIEND: Author = Author::Member(MemberId(2));
/// Cost of a letter of 936 bytes.
const COST: usize = 1_000;

/// Returns a mailbox whose pairs pass `burst` letters of [`COST`] at once, and one each second.
fn paced(burst: usize) -> Desk {
    let limits = Limits { pair_rate: COST, pair_burst: burst * COST, ..Limits::default() };
    Desk { pace: Pace::of(&limits), now: START, limits, ..Desk::default() }
}

fn offer(desk: &mut Desk, author: Author, number: u64) {
    assert!(desk.offer(author, number, COST - ENTRY_COST));
}

fn hand_all(desk: &mut Desk) -> Vec<(Author, u64)> {
    std::iter::from_fn(|| desk.hand_one()).collect()
}

/// Loads and sends until nothing more can be sent.
fn settle(desk: &mut Desk) -> Vec<(Author, u64)> {
    let mut handed = hand_all(desk);
    while desk.queue.wants_rows(desk.now, desk.pace).is_some() {
        desk.load(100);
        handed.extend(hand_all(desk));
    }
    handed
}

#[test]
fn letters_beyond_burst_wait_and_others_pass() {
    let mut desk = paced(4);
    (1..=10).for_each(|number| offer(&mut desk, GREEDY, number));
    offer(&mut desk, FRIEND, 1);
    let first: Vec<_> = (1..=4).map(|number| (GREEDY, number)).chain([(FRIEND, 1)]).collect();
    assert_eq!(hand_all(&mut desk), first);
    for (second, numbers) in [(1, 5..6), (2, 6..7), (5, 7..10), (6, 10..11)] {
        desk.now = START + Duration::from_secs(second);
        offer(&mut desk, FRIEND, second);
        let due: Vec<_> = numbers.map(|number| (GREEDY, number)).collect();
        let mut handed = hand_all(&mut desk);
        handed.retain(|handed| *handed != (FRIEND, second));
        assert_eq!(handed, due, "at second {second}");
    }
    assert!(desk.queue.lanes.is_empty());
}

#[test]
fn waiting_letters_are_written_and_return_from_disk() {
    let mut desk = paced(2);
    (1..=6).for_each(|number| offer(&mut desk, GREEDY, number));
    assert_eq!(hand_all(&mut desk).len(), 2);
    assert_eq!(desk.write(START + SPILL_AFTER, false).len(), 6, "all are safe in time");
    offer(&mut desk, GREEDY, 7);
    offer(&mut desk, FRIEND, 1);
    assert_eq!(desk.commit(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(hand_all(&mut desk), [(FRIEND, 1)], "from memory, before letters on disk");
    assert_eq!(desk.queue.unwritten, 2 * COST, "letters on disk are not in memory");
    assert!(desk.queue.is_on_disk_only(3) && !desk.queue.is_on_disk_only(2));
    desk.now = START + Duration::from_secs(2);
    assert_eq!(settle(&mut desk), [(GREEDY, 3), (GREEDY, 4)]);
    desk.now = START + Duration::from_secs(9);
    assert_eq!(settle(&mut desk), [(GREEDY, 5), (GREEDY, 6)]);
    desk.now = START + Duration::from_secs(11);
    assert_eq!(settle(&mut desk), [(GREEDY, 7)]);
}

#[test]
fn mailbox_full_of_one_sender_lets_others_pass_from_disk() {
    let mut desk = paced(2);
    (1..=300).for_each(|number| offer(&mut desk, GREEDY, number));
    offer(&mut desk, FRIEND, 1);
    while !desk.write(START, true).is_empty() {
        desk.commit();
    }
    let handed = settle(&mut desk);
    assert_eq!(handed, [(GREEDY, 1), (GREEDY, 2), (FRIEND, 1)]);
    assert!(desk.queue.loaded.is_empty(), "waiting letters use no memory");
    desk.queue.session_ended();
    desk.now = desk.now + Duration::from_secs(1);
    assert_eq!(settle(&mut desk), [(GREEDY, 1), (FRIEND, 1)], "the next session gets less at once");
    desk.now = desk.now + Duration::from_secs(2);
    assert_eq!(settle(&mut desk), [(GREEDY, 2), (GREEDY, 3)]);
}

#[test]
fn hundred_greedy_senders_do_not_starve_another() {
    let mut desk = paced(70);
    for number in 1..=90 {
        for n in 0..50 {
            let _ = desk.offer(Author::Member(MemberId(100 + n)), number, COST - ENTRY_COST);
        }
        while !desk.write(START, true).is_empty() {
            desk.commit();
        }
    }
    // The connection takes twenty letters a second, less than the paces of all.
    let mut worst = 0;
    for number in 1..=40 {
        desk.now = desk.now + Duration::from_secs(1);
        offer(&mut desk, FRIEND, number);
        let mut waited = 0;
        for _ in 0..20 {
            match desk.hand_one() {
                Some((FRIEND, _)) => break,
                Some(_) => waited += 1,
                None => desk.load(100),
            }
        }
        desk.queue.session_stored_all();
        worst = worst.max(waited);
    }
    assert!(worst <= 20, "{worst}");
}

#[test]
fn expired_letters_are_removed_from_their_lane() {
    let mut desk = paced(1);
    (1..=4).for_each(|number| offer(&mut desk, GREEDY, number));
    assert_eq!(hand_all(&mut desk), [(GREEDY, 1)]);
    desk.write(START, true);
    desk.commit();
    desk.disk.remove(&3);
    desk.queue.expired(3, GREEDY, COST - ENTRY_COST);
    desk.disk.remove(&4);
    desk.queue.lost(4);
    desk.now = START + Duration::from_secs(60);
    assert_eq!(settle(&mut desk), [(GREEDY, 2)]);
    assert!(desk.queue.lanes.is_empty() && desk.queue.on_disk == 0);
}

/// A letter waits in its lane while one with a higher sequence number overtakes it. Its refusal
/// must not report that it may have arrived.
#[test]
fn released_letter_counts_as_not_sent_despite_later_ones() {
    let mut desk = paced(1);
    (1..=2).for_each(|number| offer(&mut desk, GREEDY, number));
    assert_eq!(hand_all(&mut desk), [(GREEDY, 1)]);
    desk.write(START + SPILL_AFTER, false);
    desk.commit();
    offer(&mut desk, FRIEND, 1);
    assert_eq!(hand_all(&mut desk), [(FRIEND, 1)]);
    desk.write(START + 2 * SPILL_AFTER, false);
    desk.commit();
    assert!(desk.queue.may_have_arrived(3) && !desk.queue.may_have_arrived(2), "2 waits in a lane");
    desk.now = START + Duration::from_secs(60);
    desk.load(100);
    let entry = desk.queue.take_next().unwrap();
    assert_eq!(entry.place(), Some(2));
    assert!(!desk.queue.was_handed(&entry));
}

#[test]
fn letters_missing_on_disk_are_not_waited_for() {
    let mut desk = paced(1);
    (1..=3).for_each(|number| offer(&mut desk, GREEDY, number));
    assert_eq!(hand_all(&mut desk), [(GREEDY, 1)]);
    desk.write(START, true);
    desk.commit();
    desk.now = START + Duration::from_secs(60);
    for _ in 2..=3 {
        assert!(matches!(desk.queue.wants_rows(desk.now, desk.pace), Some(Rows::At(_))));
        desk.queue.mark_loading(Ticket(900));
        assert!(desk.queue.loaded(Ticket(900), None, None, Vec::new()));
        assert_eq!(hand_all(&mut desk), []);
    }
    assert_eq!(desk.queue.wants_rows(desk.now, desk.pace), None);
    assert!(desk.queue.lanes.is_empty());
}

#[test]
fn mailbox_is_not_shrunk_before_every_pair_is_full() {
    let mut desk = paced(4);
    (1..=3).for_each(|number| offer(&mut desk, GREEDY, number));
    hand_all(&mut desk);
    desk.queue.session_stored_all();
    Stock::default().count(&mut desk.queue);
    while desk.queue.next_moved().is_some() {}
    desk.queue.settle(START + Duration::from_secs(2));
    assert!(!desk.queue.is_at_rest());
    desk.queue.settle(START + Duration::from_secs(3));
    assert!(desk.queue.is_at_rest());
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
        6 => (0u8..3, 0u16..3_000).prop_map(|(author, len)| Step::Push(author, len)),
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
    handed: u64,
    stored: u64,
    accepted: u64,
}

impl Desk {
    /// Stores the sender's letters up to `through`.
    fn store(&mut self, author: Author, through: u64) {
        if let Some(stored) = self.queue.stored(
            author,
            super::tests::OUTBOX,
            super::tests::all(through),
            &mut Parcels::default(),
        ) {
            stored.places.iter().for_each(|place| drop(self.disk.remove(place)));
            self.gone.extend(stored.places);
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
        let mut desk = paced(burst);
        let mut courses = BTreeMap::<Author, Course>::new();
        let mut passed = BTreeMap::<Author, usize>::new();
        let author = |n: u8| Author::Member(MemberId(n.into()));
        for step in steps {
            desk.now = desk.now + Duration::from_millis(200);
            match step {
                Step::Push(n, len) => {
                    let course = courses.entry(author(n)).or_default();
                    let mut next = super::tests::entry(author(n), course.pushed + 1, len.into());
                    next.since = desk.now;
                    course.pushed += u64::from(desk.offer_entry(next, Sender::Known));
                }
                Step::Hand(most) => for _ in 0..most {
                    let Some((author, number)) = desk.hand_one() else { break };
                    let course = courses.get_mut(&author).unwrap();
                    prop_assert_eq!(number, course.handed + 1);
                    course.handed = number;
                    let len = desk.queue.handed.back().unwrap().as_ref().unwrap().len;
                    let passed = passed.entry(author).or_default();
                    *passed += len + ENTRY_COST;
                    let allowed = COST * burst + COST * desk.now.since(START).as_millis() as usize / 1_000;
                    prop_assert!(*passed <= allowed + 3_064, "{} of {}", passed, allowed);
                },
                Step::Store(n) => {
                    let course = courses.entry(author(n)).or_default();
                    course.stored = course.handed;
                    course.accepted = course.accepted.max(course.stored);
                    let through = course.handed;
                    desk.store(author(n), through);
                }
                Step::Write(away) => drop(desk.write(desk.now, away)),
                Step::Commit if desk.queue.writing.is_some() => {
                    for entry in desk.batch.drain(..) {
                        desk.disk.insert(entry.place().unwrap(), entry);
                    }
                    desk.gone.drain(..).for_each(|place| drop(desk.disk.remove(&place)));
                    let ticket = desk.queue.writing.unwrap();
                    for (author, id, _) in desk.queue.committed(ticket) {
                        let course = courses.get_mut(&author).unwrap();
                        prop_assert_eq!(id.number, course.accepted + 1, "every earlier one is safe");
                        course.accepted = id.number;
                    }
                }
                Step::Fail if desk.queue.writing.is_some() => {
                    desk.batch.clear();
                    let ticket = desk.queue.writing.unwrap();
                    prop_assert_eq!(desk.queue.failed(desk.now, ticket, false), []);
                }
                Step::Commit | Step::Fail => {}
                Step::Load(most) => desk.load(most.into()),
                Step::End => {
                    desk.queue.session_ended();
                    courses.values_mut().for_each(|course| course.handed = course.stored);
                }
            }
        }
        for _ in 0..10_000 {
            desk.now = desk.now + Duration::from_secs(1);
            if desk.queue.writing.is_some() {
                desk.commit();
            }
            desk.load(3);
            while let Some((author, number)) = desk.hand_one() {
                let course = courses.get_mut(&author).unwrap();
                prop_assert_eq!(number, course.handed + 1);
                course.handed = number;
            }
            courses.iter().for_each(|(author, course)| desk.store(*author, course.handed));
            if !desk.queue.has_mail() {
                break;
            }
        }
        for course in courses.values() {
            prop_assert_eq!(course.handed, course.pushed);
        }
        prop_assert_eq!(desk.unwritten_of_all(), 0);
        prop_assert!(!desk.queue.has_mail() && desk.queue.unwritten == 0 && desk.queue.lanes.is_empty());
    }
}
