//! The letters of one conversation in the order of their numbers, with an index of their requests.

use std::collections::{BTreeSet, VecDeque};
use std::ops::{Deref, Index, IndexMut, Range};

use crate::base::{Mark, Wall};
use crate::wire::letter::LetterBody;

use super::LETTER_COST;

/// A letter that is neither delivered nor refused.
#[derive(Debug)]
pub(super) struct OutboxLetter {
    pub(super) request: u64,
    pub(super) number: u64,
    /// The mark under which it was numbered.
    pub(super) mark: Mark,
    pub(super) encoded: LetterBody,
    /// The text, if `encoded` does not contain it: a later version wrote it, or the disk has
    /// damaged it.
    pub(super) text: Option<String>,
    /// It is durable and may be sent.
    pub(super) recorded: bool,
    pub(super) sent: bool,
    pub(super) accepted: bool,
    /// Until when it waits in the mailbox, as far as reported.
    pub(super) until: Wall,
    /// An earlier session accepted it, or may have, and its fate is unknown.
    pub(super) unanswered_before: bool,
    /// A session was lost before an answer to it. A session of an earlier run may have been: the
    /// disk does not record what was sent.
    pub(super) lost_unanswered: bool,
    /// The relay had accepted it, and has lost it.
    pub(super) is_lost: bool,
}

impl OutboxLetter {
    pub(super) fn cost(&self) -> usize {
        self.encoded.body.len() + LETTER_COST
    }
}

/// The letters of one conversation. A stored letter's number and request never change.
#[derive(Debug, Default)]
pub(super) struct ConversationQueue {
    queue: VecDeque<OutboxLetter>,
    /// Request and number of each letter, for look-ups by request.
    requests: BTreeSet<(u64, u64)>,
}

impl ConversationQueue {
    /// Appends a letter.
    pub(super) fn push(&mut self, letter: OutboxLetter) {
        self.requests.insert((letter.request, letter.number));
        self.queue.push_back(letter);
    }

    /// Removes the letter at this position, if there is one.
    pub(super) fn remove(&mut self, index: usize) -> Option<OutboxLetter> {
        let letter = self.queue.remove(index)?;
        self.requests.remove(&(letter.request, letter.number));
        Some(letter)
    }

    /// Removes those letters at these positions for which `holds` returns `true`.
    pub(super) fn take(
        &mut self,
        range: Range<usize>,
        holds: impl Fn(&OutboxLetter) -> bool,
    ) -> Vec<OutboxLetter> {
        let start = range.start;
        // A relay may name letters that it cannot have read. Then nothing moves.
        if !self.queue.range(range.clone()).any(&holds) {
            return Vec::new();
        }
        let (taken, rest): (Vec<_>, Vec<_>) = self.queue.drain(range).partition(holds);
        if !rest.is_empty() {
            // Inserted one by one, each letter would move all letters before or behind it.
            self.queue.rotate_left(start);
            rest.into_iter().rev().for_each(|letter| self.queue.push_front(letter));
            self.queue.rotate_right(start);
        }
        for letter in &taken {
            self.requests.remove(&(letter.request, letter.number));
        }
        taken
    }

    /// Whether a letter of this request is stored.
    pub(super) fn has_request(&self, request: u64) -> bool {
        self.requests.range((request, 0)..=(request, u64::MAX)).next().is_some()
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut OutboxLetter> {
        self.queue.iter_mut()
    }
}

impl Deref for ConversationQueue {
    type Target = VecDeque<OutboxLetter>;

    fn deref(&self) -> &VecDeque<OutboxLetter> {
        &self.queue
    }
}

impl Index<usize> for ConversationQueue {
    type Output = OutboxLetter;

    fn index(&self, index: usize) -> &OutboxLetter {
        &self.queue[index]
    }
}

impl IndexMut<usize> for ConversationQueue {
    fn index_mut(&mut self, index: usize) -> &mut OutboxLetter {
        &mut self.queue[index]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letter(request: u64, number: u64) -> OutboxLetter {
        OutboxLetter {
            request,
            number,
            mark: Mark::default(),
            encoded: LetterBody::default(),
            text: None,
            recorded: false,
            sent: false,
            accepted: false,
            until: Wall(0),
            unanswered_before: false,
            lost_unanswered: false,
            is_lost: false,
        }
    }

    proptest! {
        #[test]
        fn take_removes_matching_letters_and_keeps_order(
            tried in prop::collection::vec(any::<bool>(), 0..12),
            (a, b) in (0..12_usize, 0..12_usize),
        ) {
            let mut letters = ConversationQueue::default();
            for (number, tried) in tried.iter().enumerate() {
                letters.push(OutboxLetter { sent: *tried, ..letter(number as u64, number as u64) });
            }
            let a = a.min(tried.len());
            let b = b.min(tried.len());
            let range = a.min(b)..a.max(b);
            let is_taken = |number: &usize| range.contains(number) && tried[*number];
            let taken = letters.take(range.clone(), |letter| letter.sent);
            let numbers = |it: &mut dyn Iterator<Item = &OutboxLetter>| -> Vec<usize> {
                it.map(|letter| letter.number as usize).collect()
            };
            prop_assert_eq!(numbers(&mut taken.iter()), (0..tried.len()).filter(is_taken).collect::<Vec<_>>());
            let remaining: Vec<usize> = (0..tried.len()).filter(|number| !is_taken(number)).collect();
            prop_assert_eq!(numbers(&mut letters.iter()), remaining);
            prop_assert_eq!(letters.requests.len(), letters.len());
        }

        #[test]
        fn request_is_found_while_its_letter_is_stored(
            steps in prop::collection::vec((any::<bool>(), 0..6_u64, 0..8_usize), 0..60),
        ) {
            let mut letters = ConversationQueue::default();
            for (number, (comes, request, index)) in steps.into_iter().enumerate() {
                match comes {
                    true => letters.push(letter(request, number as u64)),
                    false => drop(letters.remove(index)),
                }
                for request in 0..6 {
                    let waits = letters.iter().any(|letter| letter.request == request);
                    prop_assert_eq!(letters.has_request(request), waits);
                }
                prop_assert_eq!(letters.requests.len(), letters.len());
            }
        }
    }
}
