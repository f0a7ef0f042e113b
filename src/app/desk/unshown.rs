//! Letters on their way to a face: those stored earlier first, each once, whatever process brought it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, LetterId, Name, Phrase};
use crate::client::{Command, Incoming};
use crate::store::Archive;

/// Letters that wait to be shown are read from disk so many at a time.
const PAGE: usize = 256;
/// Letters this process was given last: more than can come between a letter's arrival and the mark on disk that it was
/// shown. Above it the oldest is forgotten; were its mark lost with the owner, it would be shown twice.
const GIVEN_MAX: usize = 16_384;

type Key = (HostPort, Name, LetterId);

/// What this process has given to its face, and what is still to be read from disk.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    /// The letters to catch up with, and the last of them that was looked at.
    archive: Option<Archive>,
    behind: u64,
    /// The face takes no letters now: they stay on disk.
    held: bool,
    /// Letters given to the face, and what it said when it had shown them: whether somebody saw.
    given: BTreeMap<Key, Option<bool>>,
    order: VecDeque<Key>,
}

impl Unshown {
    /// From now on letters come from disk, until those are all.
    pub(super) fn catch_up(&mut self, archive: Option<Archive>) {
        (self.archive, self.behind) = (archive.filter(|_| !self.held), 0);
    }

    /// Gives the face no letters until it is let go; then it has to catch up.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
        self.archive = None;
    }

    /// Whether letters come from disk. Those that come live meanwhile are on disk too, and come from there.
    pub(super) const fn is_catching_up(&self) -> bool {
        self.archive.is_some()
    }

    /// Letters of the archive that are new to the face, oldest first, some at a time, and what is to be done for those
    /// that are not: the mark of an earlier owner may have been lost.
    ///
    /// # Errors
    /// The letters cannot be read.
    pub(super) fn next_page(&mut self) -> Result<(Vec<Incoming>, Vec<Command>), Phrase> {
        let (mut letters, mut marks) = (Vec::new(), Vec::new());
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

    /// Whether a letter that comes live is to be given to the face.
    pub(super) fn take(&mut self, letter: &Incoming) -> bool {
        let new = !self.held && !self.is_catching_up() && !self.given.contains_key(&key(letter));
        if new {
            self.give(letter);
        }
        new
    }

    /// The face has shown a letter; `read` if its sender may know.
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
    // Nobody has read what it said.
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
    fn a_letter_is_given_once_and_the_oldest_is_forgotten_at_the_bound() {
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
