//! Records waiting for their commit, and the effects that wait for them.
//!
//! Records settle in the order in which they were given: the effects of one occur after everything
//! before it is durable. A failed record is retried after a pause and holds up those behind it. A
//! letter just written is not retried: it returns to the user at once, even past records that are
//! held up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Effect, HostPort, Name, Now, Outputs, Tick, Ticket};

use super::api::{Event, Record};
use super::handshake_counter::HandshakeCounter;

/// Maximum records at the store. Well below the capacity of its queue, so that none is rejected.
const SUBMITTED_MAX: usize = 2_048;
/// Maximum records of incoming letters. Beyond it no letters are read, which withholds their stream
/// credit.
const INCOMING_MAX: usize = 4_096;
/// Maximum bytes of their texts.
const INCOMING_BYTES_MAX: usize = 8 << 20;
/// Maximum records of any kind. Beyond it nothing is read, not even control messages: a hostile
/// relay may send endless receipts, each of which causes a record. This many take about 10 MB.
const RECORDS_MAX: usize = 65_536;
/// Delay before the record of a shown refusal goes to the store. A process killed before it has
/// printed the text shows it again in its next run.
const DELAYED_FOR: Duration = Duration::from_millis(20);
/// Delay before a failed commit is retried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How far the records of a client have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitProgress {
    /// Number of records made so far.
    pub pushed: u64,
    /// Number of records settled without a gap from the first. Effects of an earlier turn are on
    /// disk once it has reached that turn's `pushed`.
    pub settled: u64,
}

/// State of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordState {
    /// Its text is being shown. It goes to the store at this time.
    Delayed(Tick),
    /// Not at the store.
    Queued,
    /// At the store.
    Submitted(Ticket),
    Durable,
    Failed,
}

#[derive(Debug)]
struct PendingRecord {
    record: Record,
    state: RecordState,
    /// Position among all records given, from 1.
    seq: u64,
}

impl PendingRecord {
    /// Whether it is a letter that returns to the user.
    fn is_returned(&self) -> bool {
        self.state == RecordState::Failed && matches!(self.record, Record::Written { .. })
    }
}

/// The queue of records.
#[derive(Debug)]
pub(super) struct CommitQueue {
    /// `false` without a disk: all records settle at once.
    keeps: bool,
    entries: VecDeque<PendingRecord>,
    submitted: usize,
    /// Failed letters that have not returned to the user yet.
    returned: usize,
    incoming: usize,
    incoming_bytes: usize,
    retry_at: Option<Tick>,
    /// When this turn began.
    now: Tick,
    /// When the first shown refusal goes to the store.
    delayed_at: Option<Tick>,
    /// Records given so far.
    pushed: u64,
}

impl CommitQueue {
    pub(super) fn new(keeps: bool) -> CommitQueue {
        CommitQueue {
            keeps,
            entries: VecDeque::new(),
            submitted: 0,
            returned: 0,
            incoming: 0,
            incoming_bytes: 0,
            retry_at: None,
            now: Tick::ZERO,
            delayed_at: None,
            pushed: 0,
        }
    }

    /// Whether there is a disk.
    pub(super) const fn keeps(&self) -> bool {
        self.keeps
    }

    pub(super) fn push(&mut self, record: Record) {
        self.pushed += 1;
        if let Some(len) = incoming_len(&record) {
            self.incoming += 1;
            self.incoming_bytes += len;
        }
        let state = match record {
            _ if !self.keeps => RecordState::Durable,
            Record::RefusalShown { .. } => RecordState::Delayed(self.now + DELAYED_FOR),
            _ => RecordState::Queued,
        };
        if let RecordState::Delayed(at) = state {
            self.delayed_at.get_or_insert(at);
        }
        self.entries.push_back(PendingRecord { record, state, seq: self.pushed });
    }

    /// Whether letters may be read, each of which causes a record.
    pub(super) fn has_room(&self) -> bool {
        let for_letters = self.incoming < INCOMING_MAX && self.incoming_bytes < INCOMING_BYTES_MAX;
        for_letters && self.has_room_for_control()
    }

    /// Whether control messages may be read.
    pub(super) fn has_room_for_control(&self) -> bool {
        self.entries.len() < RECORDS_MAX
    }

    /// Returns incoming letters whose records are pending: relay, sender, and length of the text.
    pub(super) fn pending_incoming(&self) -> impl Iterator<Item = (&HostPort, &Name, usize)> {
        self.entries.iter().filter_map(|entry| match &entry.record {
            Record::Received { letter, .. } => Some((&letter.relay, &letter.from, letter.text.len())),
            _ => None,
        })
    }

    /// Returns how many records were pushed and how many are settled.
    pub(super) fn commit_progress(&self) -> CommitProgress {
        let settled = self.entries.front().map_or(self.pushed, |first| first.seq - 1);
        CommitProgress { pushed: self.pushed, settled }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Submits records to the store, up to its limit.
    pub(super) fn submit(&mut self, counter: &mut HandshakeCounter, out: &mut Outputs<Record, Event>) {
        if self.submitted >= SUBMITTED_MAX || self.submitted == self.entries.len() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.state == RecordState::Queued) {
            if self.submitted >= SUBMITTED_MAX {
                return;
            }
            let ticket = counter.next_ticket();
            entry.state = RecordState::Submitted(ticket);
            self.submitted += 1;
            out.effects.push(Effect::Persist(ticket, entry.record.clone()));
        }
    }

    /// Handles the store's answer for a record.
    pub(super) fn handle_committed(&mut self, now: Now, ticket: Ticket, durable: bool) {
        let is_of_ticket = |entry: &&mut PendingRecord| entry.state == RecordState::Submitted(ticket);
        let Some(entry) = self.entries.iter_mut().find(is_of_ticket) else { return };
        self.submitted -= 1;
        entry.state = if durable { RecordState::Durable } else { RecordState::Failed };
        self.returned += usize::from(entry.is_returned());
        if !durable && self.retry_at.is_none() {
            self.retry_at = Some(now.tick + RETRY_AFTER);
        }
    }

    /// Handles time: submits records of shown refusals and failed records.
    pub(super) fn handle_time(&mut self, now: Now) {
        self.now = now.tick;
        if self.delayed_at.take_if(|at| *at <= now.tick).is_some() {
            for entry in &mut self.entries {
                match entry.state {
                    RecordState::Delayed(at) if at <= now.tick => entry.state = RecordState::Queued,
                    RecordState::Delayed(at) => {
                        self.delayed_at.get_or_insert(at);
                    }
                    _ => {}
                }
            }
        }
        if self.retry_at.take_if(|at| *at <= now.tick).is_none() {
            return;
        }
        for entry in &mut self.entries {
            if entry.state == RecordState::Failed && !entry.is_returned() {
                entry.state = RecordState::Queued;
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        [self.delayed_at, self.retry_at].into_iter().flatten().min()
    }

    /// Returns the next settled record, and whether it is durable. In order, except for letters
    /// that return to the user.
    pub(super) fn next_outcome(&mut self) -> Option<(Record, bool)> {
        let at = match self.entries.front()?.state {
            RecordState::Durable => 0,
            _ if self.returned > 0 => self.entries.iter().position(PendingRecord::is_returned)?,
            _ => return None,
        };
        let PendingRecord { record, state, .. } = self.entries.remove(at)?;
        let durable = state == RecordState::Durable;
        self.returned -= usize::from(!durable);
        if let Some(len) = incoming_len(&record) {
            self.incoming -= 1;
            self.incoming_bytes -= len;
        }
        Some((record, durable))
    }
}

fn incoming_len(record: &Record) -> Option<usize> {
    match record {
        Record::Received { letter, .. } => Some(letter.text.len()),
        Record::Declined { .. } => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LetterId, OutboxId, Wall};
    use crate::wire::letter::LetterBody;

    fn now(second: u64) -> Now {
        Now { tick: Tick::from_micros(second * 1_000_000), wall: Wall(0) }
    }

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn name() -> Name {
        "JACK".parse().unwrap()
    }

    fn refusal_shown(number: u64) -> Record {
        let id = LetterId { outbox: OutboxId(1), number };
        Record::Shown { relay: relay(), from: name(), id, read: true }
    }

    fn written(number: u64) -> Record {
        Record::Written {
            relay: relay(),
            to: name(),
            outbox: OutboxId(1),
            number,
            mark: crate::base::Mark(1),
            request: number,
            text: String::new(),
            written: Wall(0),
            encoded: LetterBody::default(),
        }
    }

    fn handed(queue: &mut CommitQueue, counter: &mut HandshakeCounter) -> Vec<Ticket> {
        let mut out = Outputs::default();
        queue.submit(counter, &mut out);
        let ticket = |effect: &Effect<Record, Event>| match effect {
            Effect::Persist(ticket, _) => *ticket,
            other => panic!("{other:?}"),
        };
        out.effects.iter().map(ticket).collect()
    }

    #[test]
    fn records_settle_in_order_whatever_order_store_answers_in() {
        let mut queue = CommitQueue::new(true);
        let mut counter = HandshakeCounter::new(0);
        (1..=3).for_each(|n| queue.push(refusal_shown(n)));
        assert_eq!(queue.next_outcome(), None);
        let tickets = handed(&mut queue, &mut counter);
        assert_eq!(handed(&mut queue, &mut counter), [], "each is submitted once");
        queue.handle_committed(now(0), tickets[1], true);
        assert_eq!(queue.next_outcome(), None);
        queue.handle_committed(now(0), tickets[0], true);
        assert_eq!(queue.next_outcome(), Some((refusal_shown(1), true)));
        assert_eq!(queue.next_outcome(), Some((refusal_shown(2), true)));
        assert_eq!(queue.next_outcome(), None);
    }

    /// A relay sends endless receipts, faster than the disk commits their records.
    #[test]
    fn full_queue_resumes_reading_once_record_settles() {
        let mut queue = CommitQueue::new(true);
        let mut counter = HandshakeCounter::new(0);
        (1..RECORDS_MAX as u64).for_each(|n| queue.push(refusal_shown(n)));
        assert!(queue.has_room() && queue.has_room_for_control());
        queue.push(refusal_shown(0));
        assert!(!queue.has_room() && !queue.has_room_for_control());
        let tickets = handed(&mut queue, &mut counter);
        queue.handle_committed(now(0), tickets[0], true);
        assert_eq!(queue.next_outcome(), Some((refusal_shown(1), true)));
        assert!(queue.has_room() && queue.has_room_for_control());
    }

    #[test]
    fn failed_record_is_retried_but_letter_returns_to_user() {
        let mut queue = CommitQueue::new(true);
        let mut counter = HandshakeCounter::new(0);
        queue.push(written(1));
        queue.push(refusal_shown(2));
        for ticket in handed(&mut queue, &mut counter) {
            queue.handle_committed(now(0), ticket, false);
        }
        assert_eq!(queue.next_outcome(), Some((written(1), false)));
        assert_eq!(queue.next_outcome(), None);
        assert_eq!(queue.next_deadline(), Some(now(1).tick));
        queue.handle_time(now(1));
        assert_eq!(queue.next_deadline(), None);
        let tickets = handed(&mut queue, &mut counter);
        queue.handle_committed(now(1), tickets[0], true);
        assert_eq!(queue.next_outcome(), Some((refusal_shown(2), true)));
        assert!(queue.is_empty());
    }

    /// The disk is full: records before the letter are held up.
    #[test]
    fn failed_letter_returns_past_records_held_up() {
        let mut queue = CommitQueue::new(true);
        let mut counter = HandshakeCounter::new(0);
        [refusal_shown(1), written(1), refusal_shown(2), written(2)]
            .into_iter()
            .for_each(|record| queue.push(record));
        let tickets = handed(&mut queue, &mut counter);
        [0, 1, 3].into_iter().for_each(|n| queue.handle_committed(now(0), tickets[n], false));
        assert_eq!(queue.next_outcome(), Some((written(1), false)));
        assert_eq!(queue.next_outcome(), Some((written(2), false)));
        assert_eq!(queue.next_outcome(), None);
        let progress = queue.commit_progress();
        assert_eq!(progress, CommitProgress { pushed: 4, settled: 0 }, "the first has not settled");
        queue.handle_committed(now(0), tickets[2], true);
        queue.handle_time(now(1));
        let tickets = handed(&mut queue, &mut counter);
        assert_eq!(tickets.len(), 1);
        queue.handle_committed(now(1), tickets[0], true);
        assert_eq!(queue.next_outcome(), Some((refusal_shown(1), true)));
        assert_eq!(queue.next_outcome(), Some((refusal_shown(2), true)));
        assert!(queue.is_empty());
        assert_eq!(queue.commit_progress(), CommitProgress { pushed: 4, settled: 4 });
    }

    #[test]
    fn store_gets_at_most_its_limit() {
        let mut queue = CommitQueue::new(true);
        let mut counter = HandshakeCounter::new(0);
        (0..3_000).for_each(|n| queue.push(refusal_shown(n)));
        let tickets = handed(&mut queue, &mut counter);
        assert_eq!(tickets.len(), SUBMITTED_MAX);
        queue.handle_committed(now(0), tickets[0], true);
        assert_eq!(handed(&mut queue, &mut counter).len(), 1);
    }

    #[test]
    fn without_disk_all_records_settle_at_once() {
        let mut queue = CommitQueue::new(false);
        queue.push(written(1));
        assert_eq!(queue.next_outcome(), Some((written(1), true)));
        assert!(handed(&mut queue, &mut HandshakeCounter::new(0)).is_empty());
    }
}
