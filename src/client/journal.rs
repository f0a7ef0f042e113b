//! Records on their way to the disk, and what waits for them.
//!
//! Records settle in the order they were given: what follows from one happens only after everything before it is
//! durable. One that could not be made durable is tried again after a while, and holds up what is behind it; a letter
//! just written is not tried again: it goes back to its writer at once, also past others that are held up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Effect, HostPort, Name, Now, Outputs, Tick, Ticket};

use super::api::{Event, Record};
use super::counter::Counter;

/// Records at the store at once: well below what its queue takes, so that none is ever turned away.
const HANDED_MAX: usize = 2_048;
/// Records of letters that came in; at the bound no more letters are read, and their sender's credit is withheld.
const INCOMING_MAX: usize = 4_096;
/// Bytes of text of such letters.
const INCOMING_BYTES_MAX: usize = 8 << 20;
/// Records of any kind; at the bound nothing is read, control messages included. A hostile relay
/// may say without end that letters got further, and each such word is written down. This many take
/// some 10 MB.
const RECORDS_MAX: usize = 65_536;
/// Records of what was shown are handed to the store after this time: a process that is killed
/// before it has shown it shows it when it runs again.
const SHOWN_WITHIN: Duration = Duration::from_millis(20);
/// A full disk is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of what is shown now: for the store from then on, when the user has it.
    Shown(Tick),
    /// Not at the store.
    Here,
    /// At the store.
    There(Ticket),
    Durable,
    Failed,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    state: State,
    /// Its place among all that were given, from 1.
    place: u64,
}

impl Entry {
    fn goes_back(&self) -> bool {
        self.state == State::Failed && matches!(self.record, Record::Written { .. })
    }
}

#[derive(Debug)]
pub(super) struct Journal {
    /// Without a disk everything settles at once.
    keeps: bool,
    entries: VecDeque<Entry>,
    handed: usize,
    /// Letters that failed and have not gone back yet.
    returned: usize,
    incoming: usize,
    incoming_bytes: usize,
    retry_at: Option<Tick>,
    /// When this turn began, and when the first of what was shown is for the store.
    now: Tick,
    shown_at: Option<Tick>,
    /// Records given since the start.
    given: u64,
}

impl Journal {
    pub(super) fn new(keeps: bool) -> Journal {
        let (entries, handed, returned) = (VecDeque::new(), 0, 0);
        let (now, shown_at, retry_at) = (Tick::ZERO, None, None);
        let (incoming, incoming_bytes, given) = (0, 0, 0);
        Journal { keeps, entries, handed, returned, incoming, incoming_bytes, retry_at, now, shown_at, given }
    }

    /// Whether there is a disk.
    pub(super) const fn keeps(&self) -> bool {
        self.keeps
    }

    pub(super) fn push(&mut self, record: Record) {
        self.given += 1;
        if let Some(len) = incoming_len(&record) {
            self.incoming += 1;
            self.incoming_bytes += len;
        }
        let state = match record {
            _ if !self.keeps => State::Durable,
            Record::Told { .. } => State::Shown(self.now + SHOWN_WITHIN),
            _ => State::Here,
        };
        if let State::Shown(due) = state {
            self.shown_at.get_or_insert(due);
        }
        self.entries.push_back(Entry { record, state, place: self.given });
    }

    /// Whether letters may be read that would be written down.
    pub(super) fn has_room(&self) -> bool {
        let for_letters = self.incoming < INCOMING_MAX && self.incoming_bytes < INCOMING_BYTES_MAX;
        for_letters && self.has_room_for_control()
    }

    /// Whether control messages may be read.
    pub(super) fn has_room_for_control(&self) -> bool {
        self.entries.len() < RECORDS_MAX
    }

    /// Letters on their way to the disk: through which relay, of whom, and the length of their
    /// texts.
    pub(super) fn coming(&self) -> impl Iterator<Item = (&HostPort, &Name, usize)> {
        self.entries.iter().filter_map(|entry| match &entry.record {
            Record::Received { letter, .. } => Some((&letter.relay, &letter.from, letter.text.len())),
            _ => None,
        })
    }

    /// How many records were given, and how many of them, from the first on, have settled.
    pub(super) fn given_and_settled(&self) -> (u64, u64) {
        (self.given, self.entries.front().map_or(self.given, |first| first.place - 1))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hands records to the store, as many as it may have.
    pub(super) fn hand_over(&mut self, counter: &mut Counter, out: &mut Outputs<Record, Event>) {
        if self.handed >= HANDED_MAX || self.handed == self.entries.len() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::Here) {
            if self.handed >= HANDED_MAX {
                return;
            }
            let ticket = counter.other_ticket();
            entry.state = State::There(ticket);
            self.handed += 1;
            out.effects.push(Effect::Persist(ticket, entry.record.clone()));
        }
    }

    /// The store answered for a record.
    pub(super) fn handle_committed(&mut self, now: Now, ticket: Ticket, durable: bool) {
        let mine = |entry: &&mut Entry| entry.state == State::There(ticket);
        let Some(entry) = self.entries.iter_mut().find(mine) else { return };
        self.handed -= 1;
        entry.state = if durable { State::Durable } else { State::Failed };
        self.returned += usize::from(entry.goes_back());
        if !durable && self.retry_at.is_none() {
            self.retry_at = Some(now.tick + RETRY_AFTER);
        }
    }

    /// Lets time pass: what was shown is written down, and what failed is handed to the store again.
    pub(super) fn handle_time(&mut self, now: Now) {
        self.now = now.tick;
        if self.shown_at.take_if(|at| *at <= now.tick).is_some() {
            for entry in &mut self.entries {
                match entry.state {
                    State::Shown(due) if due <= now.tick => entry.state = State::Here,
                    State::Shown(due) => {
                        self.shown_at.get_or_insert(due);
                    }
                    _ => {}
                }
            }
        }
        if self.retry_at.take_if(|at| *at <= now.tick).is_none() {
            return;
        }
        for entry in &mut self.entries {
            if entry.state == State::Failed && !entry.goes_back() {
                entry.state = State::Here;
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        [self.shown_at, self.retry_at].into_iter().flatten().min()
    }

    /// The next record that has settled, and whether it is durable: in order, but for what goes back.
    pub(super) fn next_settled(&mut self) -> Option<(Record, bool)> {
        let at = match self.entries.front()?.state {
            State::Durable => 0,
            _ if self.returned > 0 => self.entries.iter().position(Entry::goes_back)?,
            _ => return None,
        };
        let Entry { record, state, .. } = self.entries.remove(at)?;
        let durable = state == State::Durable;
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
    use crate::wire::letter::Made;

    fn now(second: u64) -> Now {
        Now { tick: Tick::from_micros(second * 1_000_000), wall: Wall(0) }
    }

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn name() -> Name {
        "JACK".parse().unwrap()
    }

    fn shown(number: u64) -> Record {
        let id = LetterId { outbox: OutboxId(1), number };
        Record::Shown { relay: relay(), from: name(), id, read: true }
    }

    fn written(number: u64) -> Record {
        let (text, written) = (String::new(), Wall(0));
        let (outbox, mark, made) = (OutboxId(1), crate::base::Mark(1), Made::default());
        let (relay, to, request) = (relay(), name(), number);
        Record::Written { relay, to, outbox, number, mark, request, text, written, made }
    }

    fn handed(journal: &mut Journal, counter: &mut Counter) -> Vec<Ticket> {
        let mut out = Outputs::default();
        journal.hand_over(counter, &mut out);
        let ticket = |effect: &Effect<Record, Event>| match effect {
            Effect::Persist(ticket, _) => *ticket,
            other => panic!("{other:?}"),
        };
        out.effects.iter().map(ticket).collect()
    }

    #[test]
    fn records_settle_in_order_whatever_order_the_store_answers_in() {
        let (mut journal, mut counter) = (Journal::new(true), Counter::new(0));
        (1..=3).for_each(|n| journal.push(shown(n)));
        assert_eq!(journal.next_settled(), None);
        let tickets = handed(&mut journal, &mut counter);
        assert_eq!(handed(&mut journal, &mut counter), [], "each is handed over once");
        journal.handle_committed(now(0), tickets[1], true);
        assert_eq!(journal.next_settled(), None);
        journal.handle_committed(now(0), tickets[0], true);
        assert_eq!(journal.next_settled(), Some((shown(1), true)));
        assert_eq!(journal.next_settled(), Some((shown(2), true)));
        assert_eq!(journal.next_settled(), None);
    }

    /// A relay says without end that letters got further, faster than the disk takes it.
    #[test]
    fn full_journal_reads_on_when_a_record_has_settled() {
        let (mut journal, mut counter) = (Journal::new(true), Counter::new(0));
        (1..RECORDS_MAX as u64).for_each(|n| journal.push(shown(n)));
        assert!(journal.has_room() && journal.has_room_for_control());
        journal.push(shown(0));
        assert!(!journal.has_room() && !journal.has_room_for_control());
        let tickets = handed(&mut journal, &mut counter);
        journal.handle_committed(now(0), tickets[0], true);
        assert_eq!(journal.next_settled(), Some((shown(1), true)));
        assert!(journal.has_room() && journal.has_room_for_control());
    }

    #[test]
    fn what_failed_is_tried_again_but_a_letter_goes_back_to_its_writer() {
        let (mut journal, mut counter) = (Journal::new(true), Counter::new(0));
        journal.push(written(1));
        journal.push(shown(2));
        for ticket in handed(&mut journal, &mut counter) {
            journal.handle_committed(now(0), ticket, false);
        }
        assert_eq!(journal.next_settled(), Some((written(1), false)));
        assert_eq!(journal.next_settled(), None);
        assert_eq!(journal.next_deadline(), Some(now(1).tick));
        journal.handle_time(now(1));
        assert_eq!(journal.next_deadline(), None);
        let tickets = handed(&mut journal, &mut counter);
        journal.handle_committed(now(1), tickets[0], true);
        assert_eq!(journal.next_settled(), Some((shown(2), true)));
        assert!(journal.is_empty());
    }

    #[test]
    fn a_letter_that_failed_goes_back_though_what_is_before_it_waits_for_room() {
        let (mut journal, mut counter) = (Journal::new(true), Counter::new(0));
        [shown(1), written(1), shown(2), written(2)].into_iter().for_each(|record| journal.push(record));
        let tickets = handed(&mut journal, &mut counter);
        [0, 1, 3].into_iter().for_each(|n| journal.handle_committed(now(0), tickets[n], false));
        assert_eq!(journal.next_settled(), Some((written(1), false)));
        assert_eq!(journal.next_settled(), Some((written(2), false)));
        assert_eq!(journal.next_settled(), None);
        assert_eq!(journal.given_and_settled(), (4, 0), "the first has not settled");
        journal.handle_committed(now(0), tickets[2], true);
        journal.handle_time(now(1));
        let tickets = handed(&mut journal, &mut counter);
        assert_eq!(tickets.len(), 1);
        journal.handle_committed(now(1), tickets[0], true);
        assert_eq!(journal.next_settled(), Some((shown(1), true)));
        assert_eq!(journal.next_settled(), Some((shown(2), true)));
        assert!(journal.is_empty() && journal.given_and_settled() == (4, 4));
    }

    #[test]
    fn the_store_is_never_given_more_than_it_takes() {
        let (mut journal, mut counter) = (Journal::new(true), Counter::new(0));
        (0..3_000).for_each(|n| journal.push(shown(n)));
        let tickets = handed(&mut journal, &mut counter);
        assert_eq!(tickets.len(), HANDED_MAX);
        journal.handle_committed(now(0), tickets[0], true);
        assert_eq!(handed(&mut journal, &mut counter).len(), 1);
    }

    #[test]
    fn without_a_disk_everything_settles_at_once() {
        let mut journal = Journal::new(false);
        journal.push(written(1));
        assert_eq!(journal.next_settled(), Some((written(1), true)));
        assert!(handed(&mut journal, &mut Counter::new(0)).is_empty());
    }
}
