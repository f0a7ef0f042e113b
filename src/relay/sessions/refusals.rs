//! Refusals to report to a sender. Those of adjacent letters of one flow become one message per
//! turn, however many letters were read in it.

use std::collections::BTreeMap;

use crate::base::{LetterId, Mark, Name, OutboxId};
use crate::wire::message::{Nearest, Reason, Refused, ToClient};

/// One refused letter.
#[derive(Debug)]
pub(in crate::relay) struct RefusedLetter<'a> {
    /// The recipient's name as the sender wrote it.
    pub(in crate::relay) to: &'a str,
    pub(in crate::relay) id: LetterId,
    /// The preceding number that the sender named.
    pub(in crate::relay) prev: u64,
    /// Its outbox mark; [`Mark::MAX`] for a letter of this session.
    pub(in crate::relay) mark: Mark,
    pub(in crate::relay) reason: Reason,
    pub(in crate::relay) may_have_arrived: bool,
    /// Names similar to the unknown one.
    pub(in crate::relay) nearest: Vec<Name>,
}

impl<'a> RefusedLetter<'a> {
    /// Returns the refusal of a letter that cannot have arrived, and directly follows the one
    /// before it.
    pub(in crate::relay) fn of(to: &'a str, id: LetterId, reason: Reason) -> RefusedLetter<'a> {
        let prev = id.number.saturating_sub(1);
        let mark = Mark::MAX;
        RefusedLetter { to, id, prev, mark, reason, may_have_arrived: false, nearest: Vec::new() }
    }
}

/// Adjacent letters of one flow that are refused together.
#[derive(Debug)]
struct Run {
    first: u64,
    through: u64,
    /// The highest mark of these letters.
    mark: Mark,
    reason: Reason,
    may_have_arrived: bool,
    nearest: Vec<Name>,
}

impl Run {
    /// Whether a letter continues the run: the run contains every letter that its sender has sent
    /// between its ends.
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
        let Run { through, mark, reason, may_have_arrived, .. } = *self;
        let mut bytes = Vec::new();
        let refused = Refused { to, id, through, mark, reason, may_have_arrived, nearest };
        ToClient::Refused(refused).encode(&mut bytes);
        bytes
    }
}

/// The refusals of one turn; at most one run for each flow.
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

    /// Adds a refusal. Returns the message of the run before it, if it does not continue that run.
    pub(in crate::relay) fn add(&mut self, letter: RefusedLetter<'_>) -> Option<Vec<u8>> {
        let key = (letter.id.outbox, Box::from(letter.to));
        if let Some(run) = self.runs.get_mut(&key)
            && run.takes(&letter)
        {
            run.through = letter.id.number;
            run.mark = run.mark.max(letter.mark);
            return None;
        }
        let RefusedLetter { id, mark, reason, may_have_arrived, nearest, .. } = letter;
        let run = Run { first: id.number, through: id.number, mark, reason, may_have_arrived, nearest };
        self.runs.insert(key, run).map(|before| before.encode(id.outbox, letter.to))
    }

    /// Removes a flow's run and returns its message.
    #[cold]
    pub(in crate::relay) fn next(&mut self) -> Option<Vec<u8>> {
        let ((outbox, to), run) = self.runs.pop_first()?;
        Some(run.encode(outbox, &to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the messages about these letters to `TOM` or `JIM`: name, first, last, reason.
    fn said(letters: &[(&str, u64, u64, Reason)]) -> Vec<(String, u64, u64, Reason)> {
        let mut refusals = Refusals::default();
        let mut messages = Vec::new();
        for (to, number, prev, reason) in letters {
            let id = LetterId { outbox: OutboxId(1), number: *number };
            let mut refusal = RefusedLetter::of(to, id, *reason);
            refusal.prev = *prev;
            messages.extend(refusals.add(refusal));
        }
        messages.extend(std::iter::from_fn(|| refusals.next()));
        let read = |message: &Vec<u8>| match ToClient::decode(message) {
            Ok(Some(ToClient::Refused(r))) => (r.to.to_owned(), r.id.number, r.through, r.reason),
            other => panic!("{other:?}"),
        };
        messages.iter().map(read).collect()
    }

    #[test]
    fn refusals_of_one_flow_are_one_message() {
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
    fn unused_numbers_do_not_split_run() {
        let letters = [("TOM", 5, 4, Reason::Blocked), ("TOM", 9, 5, Reason::Blocked)];
        assert_eq!(said(&letters), [("TOM".to_owned(), 5, 9, Reason::Blocked)]);
    }

    #[test]
    fn non_adjacent_letter_begins_another_run() {
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
