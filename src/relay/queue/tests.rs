//! Tests of a mailbox: order, spilling, the end of a session, limits, failed writes, loading.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::relay::limits::{Limits, MEMORY_ONLY_MAX, UNWRITTEN_MAX};
use crate::relay::members::MemberId;
use crate::wire::message::Reason;

const TOM: Author = Author::Member(MemberId(0));
pub(super) const OUTBOX: OutboxId = OutboxId(5);
const START: Tick = Tick::from_micros(1_000_000);

/// Letters up to this number, with any mark.
pub(super) fn all(number: u64) -> Through {
    Through { number, mark: crate::base::Mark(u32::MAX), at_full_second: false }
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: OUTBOX, number }
}

pub(super) fn entry(author: Author, number: u64, len: usize) -> Entry {
    let message = vec![number as u8; len + 1];
    Entry::new(author, id(number), len, START, 0, message.into())
}

/// A mailbox and its disk.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) queue: Queue,
    pub(super) limits: Limits,
    pub(super) now: Tick,
    pub(super) pace: Option<Pace>,
    pub(super) tickets: u64,
    pub(super) last_place: u64,
    pub(super) disk: BTreeMap<u64, Entry>,
    pub(super) batch: Vec<Entry>,
    /// Sequence numbers of stored letters. The store works in order, so they are removed after
    /// their batch is written.
    pub(super) gone: Vec<u64>,
}

impl Desk {
    fn push(&mut self, numbers: std::ops::RangeInclusive<u64>, len: usize) {
        for number in numbers {
            assert!(self.offer(TOM, number, len));
        }
    }

    /// Offers a letter of a sender that the recipient has written to. Returns whether it is taken.
    pub(super) fn offer(&mut self, author: Author, number: u64, len: usize) -> bool {
        self.offer_entry(entry(author, number, len), Sender::Known)
    }

    pub(super) fn offer_entry(&mut self, entry: Entry, sender: Sender) -> bool {
        let author = entry.author;
        let len = entry.len;
        let admitted = self.queue.admits(author, len, &self.limits);
        let takes = admitted.is_some_and(|least| least == Sender::Stranger || sender == Sender::Known);
        if takes {
            self.queue.push(entry);
        }
        takes
    }

    fn hand_all(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((_, number)) = self.hand_one() {
            numbers.push(number);
        }
        numbers
    }

    pub(super) fn hand_one(&mut self) -> Option<(Author, u64)> {
        self.queue.keep_pace(self.now, self.pace);
        let entry = self.queue.next_waiting()?;
        assert!(!entry.message.is_empty(), "the message of a sent letter is in memory");
        let handed = (entry.author, entry.id.number);
        self.queue.mark_handed(self.now, self.pace);
        Some(handed)
    }

    /// Returns the numbers of the letters whose write begins.
    pub(super) fn write(&mut self, now: Tick, away: bool) -> Vec<u64> {
        self.tickets += 1;
        let batch = self.queue.next_batch(now, away, Ticket(self.tickets), &mut self.last_place);
        let numbers = batch.iter().map(|e| e.id.number).collect();
        if !batch.is_empty() {
            self.batch = batch;
        }
        numbers
    }

    /// Returns the numbers of the letters accepted by the commit.
    pub(super) fn commit(&mut self) -> Vec<u64> {
        for entry in self.batch.drain(..) {
            self.disk.insert(entry.place().unwrap(), entry);
        }
        self.gone.drain(..).for_each(|place| drop(self.disk.remove(&place)));
        let ticket = self.queue.writing.expect("a batch is being written");
        self.queue.committed(ticket).iter().map(|(_, id, _)| id.number).collect()
    }

    pub(super) fn load(&mut self, most: usize) {
        let Some(rows) = self.queue.wants_rows(self.now, self.pace) else { return };
        self.tickets += 1;
        self.queue.mark_loading(Ticket(self.tickets));
        let rows: Vec<(&u64, &Entry)> = match &rows {
            Rows::Behind(after) => self.disk.range(after + 1..).take(most).collect(),
            Rows::At(places) => places.iter().map(|place| (place, &self.disk[place])).take(most).collect(),
        };
        let read = |(place, e): (&u64, &Entry)| {
            Entry { was_handed: false, released: false, refused: None, ..e.clone() }.kept(*place)
        };
        let entries: Vec<Entry> = rows.into_iter().map(read).collect();
        let through = entries.last().and_then(Entry::place);
        assert!(self.queue.loaded(Ticket(self.tickets), through, None, entries));
    }

    fn stored(&mut self, through: u64) -> Option<(u64, u64)> {
        let stored = self.queue.stored(TOM, OUTBOX, all(through), &mut Parcels::default())?;
        stored.places.iter().for_each(|place| drop(self.disk.remove(place)));
        self.gone.extend(stored.places);
        Some((stored.count, stored.number))
    }
}

impl Desk {
    pub(super) fn unwritten_of_all(&self) -> usize {
        self.queue.shares.iter().map(|(_, share)| share.unwritten).sum()
    }

    /// Returns the numbers of the refused letters that are removed, and the last number stored
    /// behind them.
    fn refused(&mut self) -> (Vec<u64>, u64) {
        let mut numbers = Vec::new();
        let mut shown = 0;
        while let Some(left) = self.queue.next_refused() {
            let place = left.entry.place().expect("it is on disk");
            assert!(self.disk.remove(&place).is_some(), "it is on disk");
            numbers.push(left.entry.id.number);
            self.queue.refusal_ended();
            shown = self
                .stored(left.stored.map_or(0, |stored| stored.number))
                .map_or(shown, |(_, number)| number.max(shown));
        }
        (numbers, shown)
    }
}

#[test]
fn refused_letter_is_written_before_it_is_removed() {
    let mut desk = Desk::default();
    desk.push(1..=5, 10);
    desk.hand_all();
    assert!(desk.queue.refuse(TOM, id(2), Reason::Full) && !desk.queue.refuse(TOM, id(2), Reason::Full));
    assert!(!desk.queue.refuse(TOM, id(6), Reason::Full), "it was not sent");
    assert_eq!(desk.stored(4), Some((1, 1)), "letters behind it wait");
    assert_eq!(desk.refused(), (vec![], 0));
    assert_eq!(desk.write(START, false), [2, 3, 4, 5], "at once, with all others");
    assert_eq!(desk.commit(), [2, 3, 4, 5]);
    assert_eq!(desk.refused(), (vec![2], 4));
    assert_eq!(desk.stored(5), Some((1, 5)));
    assert!(desk.disk.is_empty() && !desk.queue.has_mail() && desk.queue.unwritten == 0);
}

/// The next session gets the letter again, and may refuse it again.
#[test]
fn refusal_of_unwritten_letter_ends_with_session() {
    let mut desk = Desk::default();
    desk.push(1..=2, 10);
    desk.hand_all();
    assert!(desk.queue.refuse(TOM, id(1), Reason::Full));
    assert_eq!(desk.stored(2), None);
    desk.queue.session_ended();
    assert_eq!(desk.hand_all(), [1, 2], "the next session gets both");
    assert_eq!(desk.stored(2), Some((2, 2)));
}

#[test]
fn letters_leave_in_order_and_only_when_stored() {
    let mut desk = Desk::default();
    desk.push(1..=3, 10);
    assert!(desk.offer(Author::Echo, 1, 10));
    assert_eq!(desk.stored(3), None, "nothing is sent yet");
    assert_eq!(desk.hand_all(), [1, 2, 3, 1]);
    assert_eq!(desk.stored(2), Some((2, 2)));
    assert_eq!(desk.stored(2), None);
    assert_eq!(desk.queue.stored(TOM, OutboxId(6), all(3), &mut Parcels::default()), None);
    assert_eq!(desk.stored(9), Some((1, 3)));
    assert!(desk.queue.stored(Author::Echo, OUTBOX, all(1), &mut Parcels::default()).is_some());
    assert!(desk.queue.next_waiting().is_none() && !desk.queue.has_mail());
    assert_eq!(desk.queue.memory_only, 0);
    assert_eq!(desk.queue.unwritten, 0);
}

#[test]
fn letters_stored_in_time_are_never_written() {
    let mut desk = Desk::default();
    desk.push(1..=3, 10);
    desk.hand_all();
    let before = START + SPILL_AFTER - std::time::Duration::from_micros(1);
    assert_eq!(desk.write(before, false), [0; 0]);
    assert_eq!(desk.queue.next_deadline(), Some(START + SPILL_AFTER));
    assert_eq!(desk.stored(3), Some((3, 3)));
    assert_eq!(desk.queue.next_deadline(), None);
    assert_eq!(desk.write(START + SPILL_AFTER * 2, false), [0; 0]);
}

#[test]
fn letters_not_stored_in_time_are_written_once_oldest_first() {
    let mut desk = Desk::default();
    desk.push(1..=3, 10);
    desk.hand_all();
    assert_eq!(desk.write(START + SPILL_AFTER, false), [1, 2, 3]);
    desk.push(4..=4, 10);
    assert_eq!(desk.write(START + SPILL_AFTER, false), [0; 0], "one batch at a time");
    assert_eq!(desk.commit(), [1, 2, 3]);
    assert_eq!(desk.write(START + SPILL_AFTER, false), [4]);
    assert_eq!(desk.stored(4), Some((3, 3)), "4 was not sent yet");
    assert_eq!(desk.commit(), [4]);
    assert_eq!(desk.hand_all(), [0; 0], "4 is on disk only");
    desk.load(9);
    assert_eq!(desk.hand_all(), [4]);
    assert_eq!(desk.stored(4), Some((1, 4)));
    assert!(desk.disk.is_empty());
}

#[test]
fn mailbox_over_memory_limit_is_written_from_front() {
    let mut desk = Desk::default();
    desk.push(1..=20, 16 * 1024);
    assert!(desk.queue.is_too_big());
    assert_eq!(desk.write(START, false), [1, 2, 3, 4, 5], "until the rest is within the limit");
    assert!(!desk.queue.is_too_big());
    assert_eq!(desk.commit(), [1, 2, 3, 4, 5]);
    assert_eq!(desk.queue.whereabouts(), (15, 0, 5));
    assert_eq!(desk.hand_all(), [0; 0], "those in memory wait for those on disk");
    desk.load(2);
    assert_eq!(desk.hand_all(), [1, 2]);
    desk.load(9);
    assert_eq!(desk.hand_all(), Vec::from_iter(3..=20));
}

#[test]
fn ended_session_spills_all_and_next_one_gets_them_in_order() {
    let mut desk = Desk::default();
    desk.push(1..=6, 10);
    desk.hand_all();
    assert_eq!(desk.write(START + SPILL_AFTER, false).len(), 6);
    desk.commit();
    desk.push(7..=9, 10);
    desk.hand_all();
    assert_eq!(desk.stored(2), Some((2, 2)));
    desk.queue.session_ended();
    assert_eq!(desk.queue.whereabouts(), (3, 0, 4));
    assert_eq!(desk.write(START, true), [7, 8, 9], "at once");
    assert_eq!(desk.hand_all(), [0; 0], "3 to 6 come first");
    desk.load(3);
    assert_eq!(desk.hand_all(), [3, 4, 5]);
    assert_eq!(desk.commit(), [7, 8, 9]);
    desk.load(3);
    assert_eq!(desk.hand_all(), [6, 7, 8]);
    desk.load(3);
    assert_eq!(desk.hand_all(), [9]);
    assert_eq!(desk.stored(9), Some((7, 9)));
    assert!(desk.disk.is_empty() && !desk.queue.has_mail());
}

#[test]
fn restored_letters_come_before_newer_ones() {
    let mut before = Desk::default();
    before.push(1..=5, 10);
    before.write(START, true);
    before.commit();
    let disk = before.disk;
    let last_place = before.last_place;
    let mut desk = Desk { disk, last_place, ..Desk::default() };
    desk.queue.found_on_disk(TOM, 5, 50, last_place);
    desk.push(6..=6, 10);
    assert_eq!(desk.hand_all(), [0; 0]);
    let may_have_arrived = |place| desk.queue.may_have_arrived(place);
    assert!(may_have_arrived(5) && !may_have_arrived(6), "earlier sessions are unknown");
    desk.load(2);
    assert_eq!(desk.hand_all(), [1, 2]);
    desk.load(9);
    assert_eq!(desk.hand_all(), [3, 4, 5, 6]);
    assert_eq!(desk.stored(6), Some((6, 6)));
    assert!(!desk.queue.has_mail());
}

#[test]
fn rows_for_ended_session_are_ignored() {
    let mut desk = Desk::default();
    desk.push(1..=2, 10);
    desk.write(START, true);
    desk.commit();
    assert_eq!(desk.queue.wants_rows(START, None), Some(Rows::Behind(0)));
    desk.queue.mark_loading(Ticket(70));
    assert_eq!(desk.queue.wants_rows(START, None), None, "one load at a time");
    desk.queue.session_ended();
    assert!(!desk.queue.loaded(Ticket(70), Some(2), None, Vec::new()));
    desk.load(9);
    assert_eq!(desk.hand_all(), [1, 2]);
}

#[test]
fn disk_with_fewer_letters_than_counted_blocks_nothing() {
    let mut desk = Desk::default();
    desk.queue.found_on_disk(TOM, 3, 30, 3);
    desk.push(1..=1, 10);
    desk.load(9);
    assert_eq!(desk.queue.wants_rows(START, None), None, "no further loads");
    assert_eq!(desk.hand_all(), [1]);
}

#[test]
fn sender_limit_is_reached_before_mailbox_limit() {
    let limits = Limits { pair_letters: 2, queue_letters: 6, ..Limits::default() };
    let mut desk = Desk { limits, ..Desk::default() };
    desk.push(1..=2, 1);
    desk.write(START, true);
    desk.commit();
    assert!(!desk.offer(TOM, 3, 1));
    assert!(desk.offer(Author::Echo, 1, 1));
    desk.queue.expired(1, TOM, 1);
    assert!(desk.offer(TOM, 3, 1));
    let limits = Limits { pair_bytes: 4, ..Limits::default() };
    let mut desk = Desk { limits, ..Desk::default() };
    desk.push(1..=1, 4);
    assert!(!desk.offer(TOM, 2, 1));
}

/// Offers letters of `many` senders in turn. Returns how many of each are taken.
fn fill(desk: &mut Desk, many: usize, sender: Sender) -> Vec<usize> {
    let mut taken = vec![0; many];
    for number in 1..=200 {
        for (n, taken) in taken.iter_mut().enumerate() {
            let author = Author::Member(MemberId(100 + n));
            *taken += usize::from(desk.offer_entry(entry(author, number, 10), sender));
        }
    }
    taken
}

#[test]
fn greedy_senders_leave_as_much_free_as_each_uses() {
    for by_bytes in [true, false] {
        let queue_letters = if by_bytes { 10_000 } else { 120 };
        let queue_bytes = if by_bytes { 1_200 } else { 1 << 20 };
        let limits = Limits { queue_letters, queue_bytes, ..Limits::default() };
        for many in [1, 2, 3, 5, 11] {
            let mut desk = Desk { limits: limits.clone(), ..Desk::default() };
            assert_eq!(fill(&mut desk, many, Sender::Known), vec![120 / (many + 1); many]);
            let mut desk = Desk { limits: limits.clone(), ..Desk::default() };
            let most = 90 / (many + 1);
            let taken = fill(&mut desk, many, Sender::Stranger);
            assert!(taken.iter().all(|taken| (most..=most + 1).contains(taken)), "{many}: {taken:?}");
            let friend = |desk: &mut Desk, n| desk.offer_entry(entry(TOM, n, 10), Sender::Known);
            let of_friend = (1..=200).filter(|n| friend(&mut desk, *n)).count();
            assert!(of_friend >= 15, "half of the reserved quarter: {of_friend}");
        }
    }
}

#[test]
fn longest_letter_fits_into_empty_mailbox() {
    let tiny = Limits { queue_bytes: 1_000, ..Limits::default() };
    let few = Limits { all_bytes: 160_000, sender_bytes: 5_000, memory_bytes: 9_000, ..Limits::default() };
    for limits in [Limits::default(), tiny, few] {
        let len = limits.body_max();
        assert!(len > 600);
        let desk = Desk { limits, ..Desk::default() };
        assert_eq!(desk.queue.admits(TOM, len, &desk.limits), Some(Sender::Stranger));
        assert!(Stock::EMPTY.has_room(len, 0, &desk.limits));
        let longer = desk.queue.admits(TOM, len + 1, &desk.limits) == Some(Sender::Stranger)
            && Stock::EMPTY.has_room(len + 1, 0, &desk.limits);
        assert!(!longer || desk.limits == Limits::default());
    }
}

#[test]
fn delivered_letter_still_on_disk_leaves_count_once() {
    let mut desk = Desk::default();
    desk.queue.found_on_disk(TOM, 2, 20, 2);
    let count = |desk: &Desk| (desk.queue.total.letters, desk.queue.on_disk);
    desk.queue.was_left(1, TOM, 10);
    assert_eq!(count(&desk), (1, 1), "a previous process delivered it");
    desk.queue.was_left(1, TOM, 10);
    desk.queue.was_left(3, TOM, 10);
    assert_eq!(count(&desk), (1, 1), "it is not counted, or this process delivered it");
}

#[test]
fn slow_disk_does_not_fill_memory() {
    let mut desk = Desk::default();
    desk.push(1..=1, 64 * 1024);
    desk.write(START, true);
    let taken = (2..).take_while(|n| desk.offer(TOM, *n, 64 * 1024)).count();
    assert!((taken + 1) * 64 * 1024 <= UNWRITTEN_MAX / 2 && taken > 20, "{taken}");
}

/// The space for letters that are not on disk yet is shared like the mailbox, on a slow and a
/// failing disk.
#[test]
fn sender_ahead_of_disk_leaves_space_to_others() {
    for is_failing in [false, true] {
        let mut desk = Desk::default();
        let len = 8 * 1024;
        desk.push(1..=1, len);
        desk.write(START, true);
        if is_failing {
            desk.queue.failed(START, desk.queue.writing.unwrap(), false);
        }
        let most = if is_failing { MEMORY_ONLY_MAX } else { UNWRITTEN_MAX } / (len + 64);
        let of_tom = 1 + (2..).take_while(|n| desk.offer(TOM, *n, len)).count();
        assert!((most / 2..=most / 2 + 1).contains(&of_tom), "{of_tom} of {most}, {is_failing}");
        for (n, part) in [(1, 4), (2, 8), (3, 16)] {
            let other = Author::Member(MemberId(n));
            let taken = (1..).take_while(|n| desk.offer(other, *n, len)).count();
            assert!(taken >= most / part, "{taken} of sender {n}, {is_failing}");
        }
        assert!(!desk.offer(TOM, 1_000, len));
    }
}

#[test]
fn failed_write_refuses_only_letters_to_offline_recipient() {
    let mut desk = Desk::default();
    desk.push(1..=2, 10);
    desk.hand_all();
    assert_eq!(desk.write(START + SPILL_AFTER, false), [1, 2]);
    let failed_at = START + SPILL_AFTER;
    assert_eq!(desk.queue.failed(failed_at, desk.queue.writing.unwrap(), false), []);
    assert_eq!(desk.queue.whereabouts(), (2, 0, 0));
    assert_eq!(desk.write(failed_at, false), [0; 0], "no retry at once");
    assert_eq!(desk.queue.next_deadline(), Some(failed_at + SPILL_AFTER));
    assert_eq!(desk.stored(1), Some((1, 1)), "the recipient may still take them");
    desk.queue.session_ended();
    desk.push(3..=3, 10);
    assert_eq!(desk.write(failed_at + SPILL_AFTER, true), [2, 3]);
    let refused = desk.queue.failed(failed_at, desk.queue.writing.unwrap(), true);
    let refused: Vec<_> = refused.iter().map(|e| (e.id.number, e.was_handed)).collect();
    assert_eq!(refused, [(2, true), (3, false)], "2 may have arrived");
    assert!(!desk.queue.has_mail());
    assert_eq!(desk.queue.memory_only, 0);
    assert_eq!(desk.queue.unwritten, 0);
}

#[test]
fn letter_stored_during_its_write_is_removed_from_disk() {
    let mut desk = Desk::default();
    desk.push(1..=2, 10);
    desk.hand_all();
    desk.write(START + SPILL_AFTER, false);
    let stored = desk.queue.stored(TOM, OUTBOX, all(1), &mut Parcels::default()).unwrap();
    assert_eq!(stored, Stored { count: 1, number: 1, places: vec![1] });
    assert_eq!(desk.commit(), [2]);
}

#[test]
fn number_of_sent_letters_is_bounded() {
    let mut desk = Desk::default();
    desk.push(1..=HANDED_MAX as u64 + 1, 0);
    assert_eq!(desk.hand_all().len(), HANDED_MAX);
    assert_eq!(desk.stored(1), Some((1, 1)));
    assert_eq!(desk.hand_all(), [HANDED_MAX as u64 + 1]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u16),
    Hand(u8),
    Store,
    Write(bool),
    Commit,
    Fail,
    Load(u8),
    Refuse(u8),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..20_000).prop_map(Step::Push),
        4 => (1u8..9).prop_map(Step::Hand),
        2 => Just(Step::Store),
        2 => any::<bool>().prop_map(Step::Write),
        3 => Just(Step::Commit),
        1 => Just(Step::Fail),
        3 => (1u8..5).prop_map(Step::Load),
        1 => (0u8..4).prop_map(Step::Refuse),
        1 => Just(Step::End),
    ]
}

proptest! {
    /// For any order of events, letters arrive in order within one session, and none is lost. None
    /// is accepted before the disk or the recipient has it.
    #[test]
    fn no_letter_is_lost_or_overtaken(steps in prop::collection::vec(step(), 1..200)) {
        let mut desk = Desk::default();
        let mut pushed = 0;
        let mut shown = 0;
        let mut accepted = 0;
        let mut now = START;
        let mut last_handed = 0;
        let mut refused = std::collections::BTreeSet::new();
        for step in steps {
            now = now + std::time::Duration::from_millis(200);
            match step {
                Step::Push(len) => {
                    let mut next = entry(TOM, pushed + 1, len.into());
                    next.since = now;
                    pushed += u64::from(desk.offer_entry(next, Sender::Known));
                }
                Step::Hand(most) => for _ in 0..most {
                    let Some((_, next)) = desk.hand_one() else { break };
                    prop_assert!(next > last_handed, "{} after {}", next, last_handed);
                    last_handed = next;
                },
                Step::Store => {
                    if let Some((_, number)) = desk.stored(last_handed) {
                        shown = number.max(shown);
                    }
                }
                Step::Write(away) => drop(desk.write(now, away)),
                Step::Commit if desk.queue.writing.is_some() => {
                    for number in desk.commit() {
                        prop_assert!(number > accepted);
                        accepted = number;
                        prop_assert!(desk.disk.values().any(|e| e.id.number == number));
                    }
                }
                Step::Fail if desk.queue.writing.is_some() => {
                    desk.batch.clear();
                    let ticket = desk.queue.writing.unwrap();
                    prop_assert_eq!(desk.queue.failed(now, ticket, false), []);
                }
                Step::Commit | Step::Fail => {}
                Step::Load(most) => desk.load(most.into()),
                Step::Refuse(back) => {
                    let number = last_handed.saturating_sub(back.into());
                    desk.queue.refuse(TOM, id(number), Reason::Full);
                }
                Step::End => {
                    desk.queue.session_ended();
                    last_handed = shown;
                }
            }
            let (left, stored) = desk.refused();
            refused.extend(left);
            shown = shown.max(stored);
            prop_assert_eq!(desk.unwritten_of_all(), desk.queue.unwritten);
        }
        desk.queue.session_ended();
        if desk.queue.writing.is_some() {
            desk.commit();
        }
        let mut rest = Vec::new();
        loop {
            desk.load(3);
            let handed = desk.hand_all();
            if handed.is_empty() && desk.queue.wants_rows(START, None).is_none() {
                break;
            }
            desk.stored(handed.last().copied().unwrap_or(0));
            rest.extend(handed);
        }
        prop_assert_eq!(rest, Vec::from_iter((shown + 1..=pushed).filter(|n| !refused.contains(n))));
        prop_assert!(!desk.queue.has_mail() && desk.queue.unwritten == 0);
    }
}
