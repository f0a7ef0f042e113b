//! Refusals on their way to an author: those of one conversation that follow each other become one
//! message for each turn, however many letters were read in it.

use std::collections::BTreeMap;

use crate::base::{LetterId, Name, OutboxId};
use crate::wire::message::{Nearest, Reason, Refused, ToClient};

/// One letter that is refused.
#[derive(Debug)]
pub(in crate::relay) struct RefusedLetter<'a> {
    /// The recipient's name as the author wrote it.
    pub(in crate::relay) to: &'a str,
    pub(in crate::relay) id: LetterId,
    /// The number before it, as the author said.
    pub(in crate::relay) prev: u64,
    pub(in crate::relay) reason: Reason,
    pub(in crate::relay) may_have_arrived: bool,
    /// Names like the unknown one.
    pub(in crate::relay) nearest: Vec<Name>,
}

impl<'a> RefusedLetter<'a> {
    /// A letter that cannot have arrived, and is next to the one before it.
    pub(in crate::relay) fn of(to: &'a str, id: LetterId, reason: Reason) -> RefusedLetter<'a> {
        let (prev, may_have_arrived, nearest) = (id.number.saturating_sub(1), false, Vec::new());
        RefusedLetter { to, id, prev, reason, may_have_arrived, nearest }
    }
}

/// Letters of one conversation that are refused together.
#[derive(Debug)]
struct Run {
    first: u64,
    through: u64,
    reason: Reason,
    may_have_arrived: bool,
    nearest: Vec<Name>,
}

impl Run {
    /// Whether a letter continues it: every letter that its author has sent between its ends is in
    /// it.
    fn takes(&self, letter: &RefusedLetter<'_>) -> bool {
        let is_next = letter.id.number > self.through
            && (letter.id.number - 1 == self.through || (self.first..=self.through).contains(&letter.prev));
        is_next && (letter.reason, letter.may_have_arrived) == (self.reason, self.may_have_arrived)
    }

    fn encode(&self, outbox: OutboxId, to: &str) -> Vec<u8> {
        let mut nearest = Nearest::default();
        for (slot, name) in nearest.0.iter_mut().zip(&self.nearest) {
            *slot = Some(name.as_str());
        }
        let id = LetterId { outbox, number: self.first };
        let Run { through, reason, may_have_arrived, .. } = *self;
        let mut bytes = Vec::new();
        ToClient::Refused(Refused { to, id, through, reason, may_have_arrived, nearest }).encode(&mut bytes);
        bytes
    }
}

/// The refusals of one turn; at most one run for each conversation.
#[derive(Debug, Default)]
pub(in crate::relay) struct Refusals {
    runs: BTreeMap<(OutboxId, Box<str>), Run>,
}

impl Refusals {
    pub(in crate::relay) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes a refusal in; the message of those before it, if it does not continue them.
    pub(in crate::relay) fn add(&mut self, letter: RefusedLetter<'_>) -> Option<Vec<u8>> {
        let key = (letter.id.outbox, Box::from(letter.to));
        if let Some(run) = self.runs.get_mut(&key)
            && run.takes(&letter)
        {
            run.through = letter.id.number;
            return None;
        }
        let RefusedLetter { id, reason, may_have_arrived, nearest, .. } = letter;
        let run = Run { first: id.number, through: id.number, reason, may_have_arrived, nearest };
        self.runs.insert(key, run).map(|before| before.encode(id.outbox, letter.to))
    }

    /// The message of one conversation's refusals.
    #[cold]
    pub(in crate::relay) fn next(&mut self) -> Option<Vec<u8>> {
        let ((outbox, to), run) = self.runs.pop_first()?;
        Some(run.encode(outbox, &to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of these letters to `TOM` or `JIM`: name, first, last, reason.
    fn said(letters: &[(&str, u64, u64, Reason)]) -> Vec<(String, u64, u64, Reason)> {
        let mut refusals = Refusals::default();
        let mut messages = Vec::new();
        for (to, number, prev, reason) in letters {
            let id = LetterId { outbox: OutboxId(1), number: *number };
            let (prev, reason, may_have_arrived, nearest) = (*prev, *reason, false, Vec::new());
            messages.extend(refusals.add(RefusedLetter { to, id, prev, reason, may_have_arrived, nearest }));
        }
        messages.extend(std::iter::from_fn(|| refusals.next()));
        let read = |message: &Vec<u8>| match ToClient::decode(message) {
            Ok(Some(ToClient::Refused(r))) => (r.to.to_owned(), r.id.number, r.through, r.reason),
            other => panic!("{other:?}"),
        };
        messages.iter().map(read).collect()
    }

    #[test]
    fn refusals_of_one_conversation_are_one_message() {
        let mut letters = Vec::new();
        for number in 5..=500 {
            letters.push(("TOM", number, number - 1, Reason::Blocked));
            letters.push(("JIM", number, number - 1, Reason::Unknown));
        }
        let expected =
            [("JIM".to_owned(), 5, 500, Reason::Unknown), ("TOM".to_owned(), 5, 500, Reason::Blocked)];
        assert_eq!(said(&letters), expected);
    }

    #[test]
    fn numbers_that_were_never_given_out_do_not_part_a_run() {
        let letters = [("TOM", 5, 4, Reason::Blocked), ("TOM", 9, 5, Reason::Blocked)];
        assert_eq!(said(&letters), [("TOM".to_owned(), 5, 9, Reason::Blocked)]);
    }

    #[test]
    fn a_letter_that_does_not_follow_begins_another_run() {
        let letters = [
            ("TOM", 5, 4, Reason::TooLong),
            ("TOM", 6, 5, Reason::Behind),
            ("TOM", 7, 6, Reason::Behind),
            ("TOM", 12, 10, Reason::Behind),
            ("TOM", 6, 4, Reason::Behind),
        ];
        let name = || "TOM".to_owned();
        let expected = [
            (name(), 5, 5, Reason::TooLong),
            (name(), 6, 7, Reason::Behind),
            (name(), 12, 12, Reason::Behind),
            (name(), 6, 6, Reason::Behind),
        ];
        assert_eq!(said(&letters), expected);
    }
}
