//! Tests of a mailbox: order, spilling, the end of a session, limits, failed writes, loading.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::LetterId;
use crate::relay::ids::MemberId;
use crate::relay::limits::{Limits, MEMORY_ONLY_MAX, UNWRITTEN_MAX};
use crate::wire::message::Reason;

const TOM: Sender = Sender::Member(MemberId(0));
pub(super) const OUTBOX: OutboxId = OutboxId(5);
const START: Tick = Tick::from_micros(1_000_000);

/// Letters up to this number, with any mark.
pub(super) fn all(number: u64) -> StoredThrough {
    StoredThrough { number, mark: crate::base::Mark(u32::MAX), at_full_second: false }
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: OUTBOX, number }
}

pub(super) fn entry(sender: Sender, number: u64, len: usize) -> MailboxEntry {
    let message = vec![number as u8; len + 1];
    MailboxEntry::new(sender, id(number), len, START, 0, message.into())
}

/// A mailbox and its disk.
#[derive(Default)]
pub(super) struct MailboxWithDisk {
    pub(super) mailbox: Mailbox,
    pub(super) limits: Limits,
    pub(super) now: Tick,
    pub(super) pace: Option<Pace>,
    pub(super) tickets: u64,
    pub(super) last_seq: u64,
    pub(super) disk: BTreeMap<u64, MailboxEntry>,
    pub(super) batch: Vec<MailboxEntry>,
    /// Sequence numbers of stored letters. The store works in order, so they are removed after
    /// their batch is written.
    pub(super) removed_seqs: Vec<u64>,
}

impl MailboxWithDisk {
    fn push(&mut self, numbers: std::ops::RangeInclusive<u64>, len: usize) {
        for number in numbers {
            assert!(self.offer(TOM, number, len));
        }
    }

    /// Offers a letter of a sender that the recipient has written to. Returns whether it is taken.
    pub(super) fn offer(&mut self, sender: Sender, number: u64, len: usize) -> bool {
        self.offer_entry(entry(sender, number, len), SenderClass::Known)
    }

    pub(super) fn offer_entry(&mut self, entry: MailboxEntry, class: SenderClass) -> bool {
        let sender = entry.sender;
        let len = entry.len;
        let admitted = self.mailbox.check_capacity(sender, len, &self.limits);
        let takes =
            admitted.is_some_and(|least| least == SenderClass::Stranger || class == SenderClass::Known);
        if takes {
            self.mailbox.push(entry);
        }
        takes
    }

    fn send_all(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((_, number)) = self.send_one() {
            numbers.push(number);
        }
        numbers
    }

    pub(super) fn send_one(&mut self) -> Option<(Sender, u64)> {
        self.mailbox.apply_pace(self.now, self.pace);
        let entry = self.mailbox.next_waiting()?;
        assert!(!entry.message.is_empty(), "the message of a sent letter is in memory");
        let sent = (entry.sender, entry.id.number);
        self.mailbox.mark_sent(self.now, self.pace);
        Some(sent)
    }

    /// Returns the numbers of the letters whose write begins.
    pub(super) fn write(&mut self, now: Tick, is_recipient_offline: bool) -> Vec<u64> {
        self.tickets += 1;
        let batch =
            self.mailbox.next_batch(now, is_recipient_offline, Ticket(self.tickets), &mut self.last_seq);
        let numbers = batch.iter().map(|e| e.id.number).collect();
        if !batch.is_empty() {
            self.batch = batch;
        }
        numbers
    }

    /// Returns the numbers of the letters accepted by the commit.
    pub(super) fn commit(&mut self) -> Vec<u64> {
        for entry in self.batch.drain(..) {
            self.disk.insert(entry.seq().unwrap(), entry);
        }
        self.removed_seqs.drain(..).for_each(|seq| drop(self.disk.remove(&seq)));
        let ticket = self.mailbox.writing.expect("a batch is being written");
        self.mailbox.mark_committed(ticket).iter().map(|letter| letter.id.number).collect()
    }

    pub(super) fn load(&mut self, most: usize) {
        let Some(rows) = self.mailbox.rows_to_load(self.now, self.pace) else { return };
        self.tickets += 1;
        self.mailbox.mark_loading(Ticket(self.tickets));
        let rows: Vec<(&u64, &MailboxEntry)> = match &rows {
            RowsToLoad::After(after) => self.disk.range(after + 1..).take(most).collect(),
            RowsToLoad::At(seqs) => seqs.iter().map(|seq| (seq, &self.disk[seq])).take(most).collect(),
        };
        let read = |(seq, e): (&u64, &MailboxEntry)| {
            MailboxEntry { was_sent: false, released: false, refused: None, ..e.clone() }.on_disk_at(*seq)
        };
        let entries: Vec<MailboxEntry> = rows.into_iter().map(read).collect();
        let through = entries.last().and_then(MailboxEntry::seq);
        assert!(self.mailbox.append_loaded(Ticket(self.tickets), through, None, entries));
    }

    fn stored(&mut self, through: u64) -> Option<(u64, u64)> {
        let stored = self.mailbox.remove_stored(TOM, OUTBOX, all(through), &mut BufferPool::default())?;
        stored.seqs.iter().for_each(|seq| drop(self.disk.remove(seq)));
        self.removed_seqs.extend(stored.seqs);
        Some((stored.count, stored.highest_number))
    }
}

/// Numbers of letters in memory only, in memory and being written, and on disk only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LocationCounts {
    pub(super) memory_only: usize,
    pub(super) writing: usize,
    pub(super) on_disk: usize,
}

impl MailboxWithDisk {
    pub(super) fn unwritten_of_all(&self) -> usize {
        self.mailbox.usages.iter().map(|(_, share)| share.unwritten).sum()
    }

    /// Returns the numbers of the refused letters that are removed, and the last number stored
    /// behind them.
    fn refused(&mut self) -> (Vec<u64>, u64) {
        let mut numbers = Vec::new();
        let mut shown = 0;
        while let Some(left) = self.mailbox.next_refused() {
            let seq = left.entry.seq().expect("it is on disk");
            assert!(self.disk.remove(&seq).is_some(), "it is on disk");
            numbers.push(left.entry.id.number);
            self.mailbox.end_refusal();
            shown = self
                .stored(left.stored.map_or(0, |stored| stored.number))
                .map_or(shown, |(_, number)| number.max(shown));
        }
        (numbers, shown)
    }
}

#[test]
fn refused_letter_is_written_before_it_is_removed() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=5, 10);
    harness.send_all();
    assert!(
        harness.mailbox.refuse(TOM, id(2), Reason::Full) && !harness.mailbox.refuse(TOM, id(2), Reason::Full)
    );
    assert!(!harness.mailbox.refuse(TOM, id(6), Reason::Full), "it was not sent");
    assert_eq!(harness.stored(4), Some((1, 1)), "letters behind it wait");
    assert_eq!(harness.refused(), (vec![], 0));
    assert_eq!(harness.write(START, false), [2, 3, 4, 5], "at once, with all others");
    assert_eq!(harness.commit(), [2, 3, 4, 5]);
    assert_eq!(harness.refused(), (vec![2], 4));
    assert_eq!(harness.stored(5), Some((1, 5)));
    assert!(harness.disk.is_empty() && !harness.mailbox.has_mail() && harness.mailbox.unwritten == 0);
}

/// The next session gets the letter again, and may refuse it again.
#[test]
fn refusal_of_unwritten_letter_ends_with_session() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=2, 10);
    harness.send_all();
    assert!(harness.mailbox.refuse(TOM, id(1), Reason::Full));
    assert_eq!(harness.stored(2), None);
    harness.mailbox.handle_session_end();
    assert_eq!(harness.send_all(), [1, 2], "the next session gets both");
    assert_eq!(harness.stored(2), Some((2, 2)));
}

#[test]
fn letters_leave_in_order_and_only_when_stored() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=3, 10);
    assert!(harness.offer(Sender::Echo, 1, 10));
    assert_eq!(harness.stored(3), None, "nothing is sent yet");
    assert_eq!(harness.send_all(), [1, 2, 3, 1]);
    assert_eq!(harness.stored(2), Some((2, 2)));
    assert_eq!(harness.stored(2), None);
    assert_eq!(harness.mailbox.remove_stored(TOM, OutboxId(6), all(3), &mut BufferPool::default()), None);
    assert_eq!(harness.stored(9), Some((1, 3)));
    assert!(
        harness.mailbox.remove_stored(Sender::Echo, OUTBOX, all(1), &mut BufferPool::default()).is_some()
    );
    assert!(harness.mailbox.next_waiting().is_none() && !harness.mailbox.has_mail());
    assert_eq!(harness.mailbox.memory_only, 0);
    assert_eq!(harness.mailbox.unwritten, 0);
}

#[test]
fn letters_stored_in_time_are_never_written() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=3, 10);
    harness.send_all();
    let before = START + SPILL_AFTER - std::time::Duration::from_micros(1);
    assert_eq!(harness.write(before, false), [0; 0]);
    assert_eq!(harness.mailbox.next_deadline(), Some(START + SPILL_AFTER));
    assert_eq!(harness.stored(3), Some((3, 3)));
    assert_eq!(harness.mailbox.next_deadline(), None);
    assert_eq!(harness.write(START + SPILL_AFTER * 2, false), [0; 0]);
}

#[test]
fn letters_not_stored_in_time_are_written_once_oldest_first() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=3, 10);
    harness.send_all();
    assert_eq!(harness.write(START + SPILL_AFTER, false), [1, 2, 3]);
    harness.push(4..=4, 10);
    assert_eq!(harness.write(START + SPILL_AFTER, false), [0; 0], "one batch at a time");
    assert_eq!(harness.commit(), [1, 2, 3]);
    assert_eq!(harness.write(START + SPILL_AFTER, false), [4]);
    assert_eq!(harness.stored(4), Some((3, 3)), "4 was not sent yet");
    assert_eq!(harness.commit(), [4]);
    assert_eq!(harness.send_all(), [0; 0], "4 is on disk only");
    harness.load(9);
    assert_eq!(harness.send_all(), [4]);
    assert_eq!(harness.stored(4), Some((1, 4)));
    assert!(harness.disk.is_empty());
}

#[test]
fn mailbox_over_memory_limit_is_written_from_front() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=20, 16 * 1024);
    assert!(harness.mailbox.is_above_memory_only_max());
    assert_eq!(harness.write(START, false), [1, 2, 3, 4, 5], "until the rest is within the limit");
    assert!(!harness.mailbox.is_above_memory_only_max());
    assert_eq!(harness.commit(), [1, 2, 3, 4, 5]);
    assert_eq!(harness.mailbox.location_counts(), LocationCounts { memory_only: 15, writing: 0, on_disk: 5 });
    assert_eq!(harness.send_all(), [0; 0], "those in memory wait for those on disk");
    harness.load(2);
    assert_eq!(harness.send_all(), [1, 2]);
    harness.load(9);
    assert_eq!(harness.send_all(), Vec::from_iter(3..=20));
}

#[test]
fn ended_session_spills_all_and_next_one_gets_them_in_order() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=6, 10);
    harness.send_all();
    assert_eq!(harness.write(START + SPILL_AFTER, false).len(), 6);
    harness.commit();
    harness.push(7..=9, 10);
    harness.send_all();
    assert_eq!(harness.stored(2), Some((2, 2)));
    harness.mailbox.handle_session_end();
    assert_eq!(harness.mailbox.location_counts(), LocationCounts { memory_only: 3, writing: 0, on_disk: 4 });
    assert_eq!(harness.write(START, true), [7, 8, 9], "at once");
    assert_eq!(harness.send_all(), [0; 0], "3 to 6 come first");
    harness.load(3);
    assert_eq!(harness.send_all(), [3, 4, 5]);
    assert_eq!(harness.commit(), [7, 8, 9]);
    harness.load(3);
    assert_eq!(harness.send_all(), [6, 7, 8]);
    harness.load(3);
    assert_eq!(harness.send_all(), [9]);
    assert_eq!(harness.stored(9), Some((7, 9)));
    assert!(harness.disk.is_empty() && !harness.mailbox.has_mail());
}

#[test]
fn restored_letters_come_before_newer_ones() {
    let mut before = MailboxWithDisk::default();
    before.push(1..=5, 10);
    before.write(START, true);
    before.commit();
    let disk = before.disk;
    let last_seq = before.last_seq;
    let mut harness = MailboxWithDisk { disk, last_seq, ..MailboxWithDisk::default() };
    harness.mailbox.restore_counts(TOM, 5, 50, last_seq);
    harness.push(6..=6, 10);
    assert_eq!(harness.send_all(), [0; 0]);
    let may_row_have_been_sent = |seq| harness.mailbox.may_row_have_been_sent(seq);
    assert!(may_row_have_been_sent(5) && !may_row_have_been_sent(6), "earlier sessions are unknown");
    harness.load(2);
    assert_eq!(harness.send_all(), [1, 2]);
    harness.load(9);
    assert_eq!(harness.send_all(), [3, 4, 5, 6]);
    assert_eq!(harness.stored(6), Some((6, 6)));
    assert!(!harness.mailbox.has_mail());
}

#[test]
fn rows_for_ended_session_are_ignored() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=2, 10);
    harness.write(START, true);
    harness.commit();
    assert_eq!(harness.mailbox.rows_to_load(START, None), Some(RowsToLoad::After(0)));
    harness.mailbox.mark_loading(Ticket(70));
    assert_eq!(harness.mailbox.rows_to_load(START, None), None, "one load at a time");
    harness.mailbox.handle_session_end();
    assert!(!harness.mailbox.append_loaded(Ticket(70), Some(2), None, Vec::new()));
    harness.load(9);
    assert_eq!(harness.send_all(), [1, 2]);
}

#[test]
fn disk_with_fewer_letters_than_counted_blocks_nothing() {
    let mut harness = MailboxWithDisk::default();
    harness.mailbox.restore_counts(TOM, 3, 30, 3);
    harness.push(1..=1, 10);
    harness.load(9);
    assert_eq!(harness.mailbox.rows_to_load(START, None), None, "no further loads");
    assert_eq!(harness.send_all(), [1]);
}

#[test]
fn sender_limit_is_reached_before_mailbox_limit() {
    let limits = Limits { pair_letters: 2, mailbox_letters: 6, ..Limits::default() };
    let mut harness = MailboxWithDisk { limits, ..MailboxWithDisk::default() };
    harness.push(1..=2, 1);
    harness.write(START, true);
    harness.commit();
    assert!(!harness.offer(TOM, 3, 1));
    assert!(harness.offer(Sender::Echo, 1, 1));
    harness.mailbox.remove_expired(1, TOM, 1);
    assert!(harness.offer(TOM, 3, 1));
    let limits = Limits { pair_bytes: 4, ..Limits::default() };
    let mut harness = MailboxWithDisk { limits, ..MailboxWithDisk::default() };
    harness.push(1..=1, 4);
    assert!(!harness.offer(TOM, 2, 1));
}

/// Offers letters of `many` senders in turn. Returns how many of each are taken.
fn fill(harness: &mut MailboxWithDisk, many: usize, class: SenderClass) -> Vec<usize> {
    let mut taken = vec![0; many];
    for number in 1..=200 {
        for (n, taken) in taken.iter_mut().enumerate() {
            let sender = Sender::Member(MemberId(100 + n));
            *taken += usize::from(harness.offer_entry(entry(sender, number, 10), class));
        }
    }
    taken
}

#[test]
fn greedy_senders_leave_as_much_free_as_each_uses() {
    for by_bytes in [true, false] {
        let queue_letters = if by_bytes { 10_000 } else { 120 };
        let queue_bytes = if by_bytes { 1_200 } else { 1 << 20 };
        let limits =
            Limits { mailbox_letters: queue_letters, mailbox_bytes: queue_bytes, ..Limits::default() };
        for many in [1, 2, 3, 5, 11] {
            let mut harness = MailboxWithDisk { limits: limits.clone(), ..MailboxWithDisk::default() };
            assert_eq!(fill(&mut harness, many, SenderClass::Known), vec![120 / (many + 1); many]);
            let mut harness = MailboxWithDisk { limits: limits.clone(), ..MailboxWithDisk::default() };
            let most = 90 / (many + 1);
            let taken = fill(&mut harness, many, SenderClass::Stranger);
            assert!(taken.iter().all(|taken| (most..=most + 1).contains(taken)), "{many}: {taken:?}");
            let friend =
                |harness: &mut MailboxWithDisk, n| harness.offer_entry(entry(TOM, n, 10), SenderClass::Known);
            let of_friend = (1..=200).filter(|n| friend(&mut harness, *n)).count();
            assert!(of_friend >= 15, "half of the reserved quarter: {of_friend}");
        }
    }
}

#[test]
fn longest_letter_fits_into_empty_mailbox() {
    let tiny = Limits { mailbox_bytes: 1_000, ..Limits::default() };
    let few = Limits { all_bytes: 160_000, sender_bytes: 5_000, memory_bytes: 9_000, ..Limits::default() };
    for limits in [Limits::default(), tiny, few] {
        let len = limits.body_max();
        assert!(len > 600);
        let harness = MailboxWithDisk { limits, ..MailboxWithDisk::default() };
        assert_eq!(harness.mailbox.check_capacity(TOM, len, &harness.limits), Some(SenderClass::Stranger));
        assert!(MailboxUsage::EMPTY.has_capacity(len, 0, &harness.limits));
        let longer = harness.mailbox.check_capacity(TOM, len + 1, &harness.limits)
            == Some(SenderClass::Stranger)
            && MailboxUsage::EMPTY.has_capacity(len + 1, 0, &harness.limits);
        assert!(!longer || harness.limits == Limits::default());
    }
}

#[test]
fn slow_disk_does_not_fill_memory() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=1, 64 * 1024);
    harness.write(START, true);
    let taken = (2..).take_while(|n| harness.offer(TOM, *n, 64 * 1024)).count();
    assert!((taken + 1) * 64 * 1024 <= UNWRITTEN_MAX / 2 && taken > 20, "{taken}");
}

/// The space for letters that are not on disk yet is shared like the mailbox, on a slow and a
/// failing disk.
#[test]
fn sender_ahead_of_disk_leaves_space_to_others() {
    for is_failing in [false, true] {
        let mut harness = MailboxWithDisk::default();
        let len = 8 * 1024;
        harness.push(1..=1, len);
        harness.write(START, true);
        if is_failing {
            harness.mailbox.mark_commit_failed(START, harness.mailbox.writing.unwrap(), false);
        }
        let most = if is_failing { MEMORY_ONLY_MAX } else { UNWRITTEN_MAX } / (len + 64);
        let of_tom = 1 + (2..).take_while(|n| harness.offer(TOM, *n, len)).count();
        assert!((most / 2..=most / 2 + 1).contains(&of_tom), "{of_tom} of {most}, {is_failing}");
        for (n, part) in [(1, 4), (2, 8), (3, 16)] {
            let other = Sender::Member(MemberId(n));
            let taken = (1..).take_while(|n| harness.offer(other, *n, len)).count();
            assert!(taken >= most / part, "{taken} of sender {n}, {is_failing}");
        }
        assert!(!harness.offer(TOM, 1_000, len));
    }
}

#[test]
fn failed_write_refuses_only_letters_to_offline_recipient() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=2, 10);
    harness.send_all();
    assert_eq!(harness.write(START + SPILL_AFTER, false), [1, 2]);
    let failed_at = START + SPILL_AFTER;
    assert_eq!(harness.mailbox.mark_commit_failed(failed_at, harness.mailbox.writing.unwrap(), false), []);
    assert_eq!(harness.mailbox.location_counts(), LocationCounts { memory_only: 2, writing: 0, on_disk: 0 });
    assert_eq!(harness.write(failed_at, false), [0; 0], "no retry at once");
    assert_eq!(harness.mailbox.next_deadline(), Some(failed_at + SPILL_AFTER));
    assert_eq!(harness.stored(1), Some((1, 1)), "the recipient may still take them");
    harness.mailbox.handle_session_end();
    harness.push(3..=3, 10);
    assert_eq!(harness.write(failed_at + SPILL_AFTER, true), [2, 3]);
    let refused = harness.mailbox.mark_commit_failed(failed_at, harness.mailbox.writing.unwrap(), true);
    let refused: Vec<_> = refused.iter().map(|e| (e.id.number, e.was_sent)).collect();
    assert_eq!(refused, [(2, true), (3, false)], "2 may have arrived");
    assert!(!harness.mailbox.has_mail());
    assert_eq!(harness.mailbox.memory_only, 0);
    assert_eq!(harness.mailbox.unwritten, 0);
}

#[test]
fn letter_stored_during_its_write_is_removed_from_disk() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=2, 10);
    harness.send_all();
    harness.write(START + SPILL_AFTER, false);
    let stored = harness.mailbox.remove_stored(TOM, OUTBOX, all(1), &mut BufferPool::default()).unwrap();
    assert_eq!(stored, StoredResult { count: 1, highest_number: 1, seqs: vec![1] });
    assert_eq!(harness.commit(), [2]);
}

#[test]
fn number_of_sent_letters_is_bounded() {
    let mut harness = MailboxWithDisk::default();
    harness.push(1..=SENT_MAX as u64 + 1, 0);
    assert_eq!(harness.send_all().len(), SENT_MAX);
    assert_eq!(harness.stored(1), Some((1, 1)));
    assert_eq!(harness.send_all(), [SENT_MAX as u64 + 1]);
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
        let mut harness = MailboxWithDisk::default();
        let mut pushed = 0;
        let mut shown = 0;
        let mut accepted = 0;
        let mut now = START;
        let mut last_sent = 0;
        let mut refused = std::collections::BTreeSet::new();
        for step in steps {
            now = now + std::time::Duration::from_millis(200);
            match step {
                Step::Push(len) => {
                    let mut next = entry(TOM, pushed + 1, len.into());
                    next.queued_at = now;
                    pushed += u64::from(harness.offer_entry(next, SenderClass::Known));
                }
                Step::Hand(most) => for _ in 0..most {
                    let Some((_, next)) = harness.send_one() else { break };
                    prop_assert!(next > last_sent, "{} after {}", next, last_sent);
                    last_sent = next;
                },
                Step::Store => {
                    if let Some((_, number)) = harness.stored(last_sent) {
                        shown = number.max(shown);
                    }
                }
                Step::Write(is_recipient_offline) => drop(harness.write(now, is_recipient_offline)),
                Step::Commit if harness.mailbox.writing.is_some() => {
                    for number in harness.commit() {
                        prop_assert!(number > accepted);
                        accepted = number;
                        prop_assert!(harness.disk.values().any(|e| e.id.number == number));
                    }
                }
                Step::Fail if harness.mailbox.writing.is_some() => {
                    harness.batch.clear();
                    let ticket = harness.mailbox.writing.unwrap();
                    prop_assert_eq!(harness.mailbox.mark_commit_failed(now, ticket, false), []);
                }
                Step::Commit | Step::Fail => {}
                Step::Load(most) => harness.load(most.into()),
                Step::Refuse(back) => {
                    let number = last_sent.saturating_sub(back.into());
                    harness.mailbox.refuse(TOM, id(number), Reason::Full);
                }
                Step::End => {
                    harness.mailbox.handle_session_end();
                    last_sent = shown;
                }
            }
            let (left, stored) = harness.refused();
            refused.extend(left);
            shown = shown.max(stored);
            prop_assert_eq!(harness.unwritten_of_all(), harness.mailbox.unwritten);
        }
        harness.mailbox.handle_session_end();
        if harness.mailbox.writing.is_some() {
            harness.commit();
        }
        let mut rest = Vec::new();
        loop {
            harness.load(3);
            let sent = harness.send_all();
            if sent.is_empty() && harness.mailbox.rows_to_load(START, None).is_none() {
                break;
            }
            harness.stored(sent.last().copied().unwrap_or(0));
            rest.extend(sent);
        }
        prop_assert_eq!(rest, Vec::from_iter((shown + 1..=pushed).filter(|n| !refused.contains(n))));
        prop_assert!(!harness.mailbox.has_mail() && harness.mailbox.unwritten == 0);
    }
}
