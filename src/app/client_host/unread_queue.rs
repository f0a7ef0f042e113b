//! Letters on their way to the frontend: those stored earlier first, each once, whichever process
//! received it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, LetterId, Name};
use crate::client::{Command, Incoming};
use crate::store::{Archive, StoreError};

/// Unread letters loaded from disk at a time: enough to be quick, few enough to keep a turn short.
const PAGE: usize = 256;
/// Recently given letters that are remembered. More than can arrive between a letter and the commit
/// of its mark "shown". Above it the oldest is forgotten; if its mark is lost with the primary, it
/// is shown twice.
const PASSED_ON_MAX: usize = 16_384;

type Key = (HostPort, Name, LetterId);

/// Letters given to the frontend by this process, and the position in those still on disk.
#[derive(Debug, Default)]
pub(super) struct UnreadQueue {
    /// Letters to catch up with; `behind` is the last of them that was read.
    archive: Option<Archive>,
    after: u64,
    /// The frontend takes no letters: they stay on disk.
    paused: bool,
    /// Letters given to the frontend. The value is set once it has shown the letter: whether it was
    /// read.
    passed_on: BTreeMap<Key, Option<bool>>,
    order: VecDeque<Key>,
}

impl UnreadQueue {
    /// Loads letters from `archive` until all are read.
    pub(super) fn catch_up(&mut self, archive: Option<Archive>) {
        self.archive = archive.filter(|_| !self.paused);
        self.after = 0;
    }

    /// Withholds letters from the frontend. After the release it must catch up.
    pub(super) fn set_paused(&mut self, held: bool) {
        self.paused = held;
        self.archive = None;
    }

    /// Whether letters are being loaded from disk. Those that arrive during that time are on disk
    /// too, and are loaded from there.
    pub(super) const fn is_catching_up(&self) -> bool {
        self.archive.is_some()
    }

    /// Returns the next page of stored letters that are new to the frontend, oldest first. For
    /// those that are not new it returns the mark again, which may have been lost with an earlier
    /// primary.
    ///
    /// # Errors
    /// The letters cannot be read.
    pub(super) fn next_page(&mut self) -> Result<(Vec<Incoming>, Vec<Command>), StoreError> {
        let mut letters = Vec::new();
        let mut marks = Vec::new();
        let Some(archive) = &self.archive else { return Ok((letters, marks)) };
        let page = archive.unread_letters(self.after, PAGE)?;
        match page.last() {
            Some(last) => self.after = last.seq,
            None => self.archive = None,
        }
        for queue in page {
            let letter = queue.letter;
            match self.passed_on.get(&key(&letter)) {
                None => {
                    self.record_passed_on(&letter);
                    letters.push(letter);
                }
                Some(Some(read)) => marks.push(mark(&letter, *read)),
                Some(None) => {}
            }
        }
        Ok((letters, marks))
    }

    /// Whether a letter that just arrived should be given to the frontend. If so, records it as
    /// given.
    pub(super) fn take(&mut self, letter: &Incoming) -> bool {
        let new = !self.paused && !self.is_catching_up() && !self.passed_on.contains_key(&key(letter));
        if new {
            self.record_passed_on(letter);
        }
        new
    }

    /// Records that the frontend has shown a letter; `read` if its sender may learn of it.
    pub(super) fn mark_shown(&mut self, letter: &Incoming, read: bool) -> Command {
        if let Some(given) = self.passed_on.get_mut(&key(letter)) {
            *given = Some(read);
        }
        mark(letter, read)
    }

    fn record_passed_on(&mut self, letter: &Incoming) {
        if self.order.len() == PASSED_ON_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.passed_on.remove(&oldest);
        }
        self.order.push_back(key(letter));
        self.passed_on.insert(key(letter), None);
    }
}

fn key(letter: &Incoming) -> Key {
    (letter.relay.clone(), letter.from.clone(), letter.id)
}

fn mark(letter: &Incoming, read: bool) -> Command {
    let (relay, from, id) = key(letter);
    // A damaged text cannot have been read.
    Command::Shown { relay, from, id, read: read && !letter.damaged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Carrier, OutboxId, Wall};

    fn letter(number: u64) -> Incoming {
        Incoming {
            relay: "h:1".parse().unwrap(),
            from: "JACK".parse().unwrap(),
            id: LetterId { outbox: OutboxId(1), number },
            text: String::new(),
            at: Wall(0),
            via: Carrier::Udp,
            missing: 0,
            damaged: false,
            note: None,
        }
    }

    #[test]
    fn letter_is_given_once_and_oldest_is_forgotten_at_limit() {
        let mut queue = UnreadQueue::default();
        assert!(queue.take(&letter(0)));
        assert!(!queue.take(&letter(0)));
        for number in 1..=PASSED_ON_MAX as u64 {
            assert!(queue.take(&letter(number)));
        }
        assert_eq!(queue.passed_on.len(), PASSED_ON_MAX);
        assert!(queue.take(&letter(0)));
    }
}
