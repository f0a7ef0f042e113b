//! One recipient's queue: the letters the relay holds for it, in the order they came.
//!
//! A letter is *waiting*, then *handed* to the recipient's session, then gone: stored by the recipient, or refused.
//! Letters leave the queue in order; the handed ones always stand before the waiting ones.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{LetterId, OutboxId, Wall};

use super::limits::{HANDED_MAX, Limits};
use super::members::MemberId;

/// Who wrote a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Author {
    /// A member, whoever of its sessions it came by.
    Member(MemberId),
    /// The relay itself, as `echo`.
    Echo,
}

/// One letter in a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) author: Author,
    pub(super) id: LetterId,
    pub(super) prev: u64,
    pub(super) kind: u8,
    pub(super) accepted: Wall,
    pub(super) body: Box<[u8]>,
}

/// Letters of one author in a queue.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    letters: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// `None` where the recipient stored a letter behind one it has not stored yet.
    entries: VecDeque<Option<Entry>>,
    /// How many places at the front are handed.
    handed: usize,
    total: Share,
    shares: BTreeMap<Author, Share>,
}

impl Queue {
    /// Takes a letter in, unless the queue or its author's share of it is full.
    pub(super) fn push(&mut self, entry: Entry, limits: &Limits) -> Result<(), Entry> {
        let share = self.shares.get(&entry.author).copied().unwrap_or_default();
        let len = entry.body.len();
        let full = self.total.letters >= limits.queue_letters
            || self.total.bytes + len > limits.queue_bytes
            || share.letters >= limits.pair_letters
            || share.bytes + len > limits.pair_bytes;
        if full {
            return Err(entry);
        }
        self.total.add(len);
        self.shares.entry(entry.author).or_default().add(len);
        self.entries.push_back(Some(entry));
        Ok(())
    }

    /// The letter to hand over next, if another may be handed.
    pub(super) fn next_waiting(&self) -> Option<&Entry> {
        if self.handed >= HANDED_MAX { None } else { self.entries.get(self.handed).and_then(Option::as_ref) }
    }

    /// The letter of [`Queue::next_waiting`] was handed over.
    pub(super) fn mark_handed(&mut self) {
        self.handed += 1;
    }

    /// The recipient stored every letter of this outbox up to `through`. Tells how many letters
    /// this took out of the queue, and the highest number among them.
    pub(super) fn stored(&mut self, author: Author, outbox: OutboxId, through: u64) -> Option<(u64, u64)> {
        let (mut count, mut highest) = (0, 0);
        for place in 0..self.handed {
            let slot = &mut self.entries[place];
            let Some(entry) = slot else { continue };
            if entry.author == author && entry.id.outbox == outbox && entry.id.number <= through {
                (count, highest) = (count + 1, highest.max(entry.id.number));
                let entry = slot.take().expect("it was just seen");
                self.forget_share(&entry);
            }
        }
        while matches!(self.entries.front(), Some(None)) {
            self.entries.pop_front();
            self.handed -= 1;
        }
        (count > 0).then_some((count, highest))
    }

    /// Takes every letter out, in order; `true` for those that were handed over.
    pub(super) fn drain(&mut self) -> Vec<(Entry, bool)> {
        let handed = std::mem::take(&mut self.handed);
        let drained = self.entries.drain(..).enumerate();
        let left = drained.filter_map(|(place, slot)| slot.map(|entry| (entry, place < handed))).collect();
        self.total = Share::default();
        self.shares.clear();
        left
    }

    /// Letters were handed over that are not stored yet.
    pub(super) fn awaits_recipient(&self) -> bool {
        self.handed > 0
    }

    fn forget_share(&mut self, entry: &Entry) {
        self.total.remove(entry.body.len());
        if let Some(share) = self.shares.get_mut(&entry.author) {
            share.remove(entry.body.len());
        }
        if self.total.letters == 0 && self.shares.len() > SHARES_KEPT {
            self.shares.clear();
        }
    }
}

/// Authors remembered by an empty queue: a queue that runs empty after each letter allocates nothing for the next.
const SHARES_KEPT: usize = 64;

impl Share {
    fn add(&mut self, len: usize) {
        self.letters += 1;
        self.bytes += len;
    }

    fn remove(&mut self, len: usize) {
        self.letters -= 1;
        self.bytes -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOM: Author = Author::Member(MemberId(0));
    const OUTBOX: OutboxId = OutboxId(5);

    fn entry(author: Author, number: u64, len: usize) -> Entry {
        let id = LetterId { outbox: OUTBOX, number };
        let body = vec![0; len].into_boxed_slice();
        Entry { author, id, prev: number - 1, kind: 1, accepted: Wall(0), body }
    }

    fn hand_all(queue: &mut Queue) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(number) = queue.next_waiting().map(|e| e.id.number) {
            numbers.push(number);
            queue.mark_handed();
        }
        numbers
    }

    #[test]
    fn letters_leave_in_order_and_only_when_stored() {
        let mut queue = Queue::default();
        for number in 1..=3 {
            queue.push(entry(TOM, number, 10), &Limits::default()).unwrap();
        }
        queue.push(entry(Author::Echo, 1, 10), &Limits::default()).unwrap();
        assert_eq!(queue.stored(TOM, OUTBOX, 3), None, "nothing is handed yet");
        assert_eq!(hand_all(&mut queue), [1, 2, 3, 1]);
        assert_eq!(queue.stored(TOM, OUTBOX, 2), Some((2, 2)));
        assert_eq!(queue.stored(TOM, OUTBOX, 2), None);
        assert_eq!(queue.stored(TOM, OutboxId(6), 3), None);
        let left = queue.drain();
        let left: Vec<_> = left.iter().map(|(e, handed)| (e.author, e.id.number, *handed)).collect();
        assert_eq!(left, [(TOM, 3, true), (Author::Echo, 1, true)]);
        assert!(queue.next_waiting().is_none() && !queue.awaits_recipient());
    }

    #[test]
    fn a_share_is_full_before_the_queue_is() {
        let limits = Limits { pair_letters: 2, queue_letters: 3, ..Limits::default() };
        let mut queue = Queue::default();
        assert!(queue.push(entry(TOM, 1, 1), &limits).is_ok());
        assert!(queue.push(entry(TOM, 2, 1), &limits).is_ok());
        assert!(queue.push(entry(TOM, 3, 1), &limits).is_err());
        assert!(queue.push(entry(Author::Echo, 1, 1), &limits).is_ok());
        assert!(queue.push(entry(Author::Echo, 2, 1), &limits).is_err());
        let limits = Limits { pair_bytes: 4, ..Limits::default() };
        let mut queue = Queue::default();
        assert!(queue.push(entry(TOM, 1, 4), &limits).is_ok());
        assert!(queue.push(entry(TOM, 2, 1), &limits).is_err());
    }

    #[test]
    fn no_more_than_a_bounded_number_is_handed() {
        let mut queue = Queue::default();
        for number in 1..=HANDED_MAX as u64 + 1 {
            queue.push(entry(TOM, number, 0), &Limits::default()).unwrap();
        }
        assert_eq!(hand_all(&mut queue).len(), HANDED_MAX);
        assert_eq!(queue.stored(TOM, OUTBOX, 1), Some((1, 1)));
        assert_eq!(hand_all(&mut queue), [HANDED_MAX as u64 + 1]);
    }
}
