//! Letters on their way to the frontend: those stored earlier first, each once, whichever process
//! received it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, LetterId, Name, Phrase};
use crate::client::{Command, Incoming};
use crate::store::Archive;

/// Unread letters loaded from disk at a time: enough to be quick, few enough to keep a turn short.
const PAGE: usize = 256;
/// Recently given letters that are remembered. More than can arrive between a letter and the commit
/// of its mark "shown". Above it the oldest is forgotten; if its mark is lost with the primary, it
/// is shown twice.
const GIVEN_MAX: usize = 16_384;

type Key = (HostPort, Name, LetterId);

/// Letters given to the frontend by this process, and the position in those still on disk.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    /// Letters to catch up with; `behind` is the last of them that was read.
    archive: Option<Archive>,
    behind: u64,
    /// The frontend takes no letters: they stay on disk.
    held: bool,
    /// Letters given to the frontend. The value is set once it has shown the letter: whether it was
    /// read.
    given: BTreeMap<Key, Option<bool>>,
    order: VecDeque<Key>,
}

impl Unshown {
    /// Loads letters from `archive` until all are read.
    pub(super) fn catch_up(&mut self, archive: Option<Archive>) {
        self.archive = archive.filter(|_| !self.held);
        self.behind = 0;
    }

    /// Withholds letters from the frontend. After the release it must catch up.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
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
    pub(super) fn next_page(&mut self) -> Result<(Vec<Incoming>, Vec<Command>), Phrase> {
        let mut letters = Vec::new();
        let mut marks = Vec::new();
        let Some(archive) = &self.archive else { return Ok((letters, marks)) };
        let page = archive.unshown(self.behind, PAGE)?;
        match page.last() {
            Some(last) => self.behind = last.place,
            None => self.archive = None,
        }
        for unshown in page {
            let letter = unshown.letter;
            match self.given.get(&key(&letter)) {
                None => {
                    self.give(&letter);
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
        let new = !self.held && !self.is_catching_up() && !self.given.contains_key(&key(letter));
        if new {
            self.give(letter);
        }
        new
    }

    /// Records that the frontend has shown a letter; `read` if its sender may learn of it.
    pub(super) fn shown(&mut self, letter: &Incoming, read: bool) -> Command {
        if let Some(given) = self.given.get_mut(&key(letter)) {
            *given = Some(read);
        }
        mark(letter, read)
    }

    fn give(&mut self, letter: &Incoming) {
        if self.order.len() == GIVEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.given.remove(&oldest);
        }
        self.order.push_back(key(letter));
        self.given.insert(key(letter), None);
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
        let mut unshown = Unshown::default();
        assert!(unshown.take(&letter(0)));
        assert!(!unshown.take(&letter(0)));
        for number in 1..=GIVEN_MAX as u64 {
            assert!(unshown.take(&letter(number)));
        }
        assert_eq!(unshown.given.len(), GIVEN_MAX);
        assert!(unshown.take(&letter(0)));
    }
}
