//! What an author's last letters said, as far as it takes to know whether a letter that comes again is the same.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::base::blank;

use super::flows::FlowId;

/// Letters remembered of each author, over all its conversations, 16 bytes each: 4 KiB for one who never rests. A letter
/// that comes again when it is forgotten, or after a restart of the relay, counts as the same: the first one stands, and
/// the second is delivered to nobody.
const RECENT_MAX: usize = 256;

/// The same of an author that is here and says nothing: what it wrote last has been confirmed to it.
const RECENT_AT_REST: usize = 4;

/// Digests of letters that were taken, the newest last: of what each is called, and of what it says. Whoever made two
/// letters with one digest would deceive nobody but itself.
#[derive(Debug, Default)]
pub(super) struct Recent {
    letters: VecDeque<(u64, u64)>,
}

impl Recent {
    /// Its author says nothing now: the letters that may come again last are remembered.
    pub(super) fn rest(&mut self) {
        let old = self.letters.len().saturating_sub(RECENT_AT_REST);
        self.letters.drain(..old);
        self.letters.shrink_to_fit();
    }

    /// This letter was taken.
    pub(super) fn took(&mut self, flow: FlowId, number: u64, kind: u8, body: &[u8]) {
        if self.letters.len() == RECENT_MAX {
            self.letters.pop_front();
        }
        self.letters.push_back((called(flow, number), digest(kind, body)));
    }

    /// Whether another letter than this one was taken under its number.
    pub(super) fn differs(&self, flow: FlowId, number: u64, kind: u8, body: &[u8]) -> bool {
        let called = called(flow, number);
        let known = self.letters.iter().rev().find(|letter| letter.0 == called);
        known.is_some_and(|letter| letter.1 != digest(kind, body))
    }
}

blank!(Recent, Recent { letters: VecDeque::new() }, |recent| recent.letters.is_empty());

fn called(flow: FlowId, number: u64) -> u64 {
    FixedState::default().hash_one((flow, number))
}

fn digest(kind: u8, body: &[u8]) -> u64 {
    FixedState::with_seed(u64::from(kind)).hash_one(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OutboxId;
    use crate::relay::flows::To;

    #[test]
    fn another_letter_under_a_number_is_known_for_as_long_as_the_first_is_remembered() {
        let flow = |outbox| FlowId { outbox: OutboxId(outbox), to: To::Echo };
        let mut recent = Recent::default();
        recent.took(flow(1), 1, 1, b"first");
        assert!(!recent.differs(flow(1), 1, 1, b"first"));
        assert!(recent.differs(flow(1), 1, 1, b"another") && recent.differs(flow(1), 1, 2, b"first"));
        assert!(!recent.differs(flow(1), 2, 1, b"another") && !recent.differs(flow(2), 1, 1, b"another"));
        for number in 2..=RECENT_MAX as u64 {
            recent.took(flow(1), number, 1, b"");
        }
        assert!(recent.differs(flow(1), 1, 1, b"another"));
        recent.took(flow(2), 1, 1, b"");
        assert!(!recent.differs(flow(1), 1, 1, b"another"), "forgotten");
        assert_eq!(recent.letters.len(), RECENT_MAX);
    }
}
