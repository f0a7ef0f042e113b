//! Checks which letters arrived, and in which order.

use std::collections::BTreeSet;

/// Letter numbers received from one sender.
#[derive(Debug, Default)]
pub(super) struct SequenceChecker {
    next: u64,
    /// Numbers below `next` that were never seen.
    skipped: BTreeSet<u64>,
    /// Letters seen before.
    pub(super) duplicates: u64,
    /// Letters seen after a later one, or never sent.
    pub(super) disorder: u64,
}

impl SequenceChecker {
    /// Records an arrived letter; `sent` letters were sent so far. Returns whether it is seen for
    /// the first time.
    pub(super) fn take(&mut self, number: u64, sent: u64) -> bool {
        if number >= sent {
            self.disorder += 1;
            return false;
        }
        if number >= self.next {
            self.skipped.extend(self.next..number);
            self.next = number + 1;
            return true;
        }
        let late = self.skipped.remove(&number);
        self.disorder += u64::from(late);
        self.duplicates += u64::from(!late);
        late
    }

    /// Returns how many of the sent letters have not arrived.
    pub(super) fn missing(&self, sent: u64) -> u64 {
        self.skipped.len() as u64 + sent - self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Counts {
        missing: u64,
        duplicates: u64,
        disorder: u64,
    }

    fn counts(came: &[u64], sent: u64) -> Counts {
        let mut checker = SequenceChecker::default();
        came.iter().for_each(|number| {
            checker.take(*number, sent);
        });
        Counts { missing: checker.missing(sent), duplicates: checker.duplicates, disorder: checker.disorder }
    }

    #[test]
    fn lost_duplicated_and_late_letters_are_distinguished() {
        let none = Counts::default();
        assert_eq!(counts(&[0, 1, 2], 3), none);
        assert_eq!(counts(&[0, 2], 4), Counts { missing: 2, ..none });
        assert_eq!(counts(&[0, 1, 1, 0], 2), Counts { duplicates: 2, ..none });
        assert_eq!(counts(&[1, 0, 2], 3), Counts { disorder: 1, ..none });
        assert_eq!(counts(&[1, 0, 0], 2), Counts { duplicates: 1, disorder: 1, ..none });
        let never_sent = Counts { missing: 1, disorder: 1, ..none };
        assert_eq!(counts(&[7], 1), never_sent);
    }

    #[test]
    fn only_first_letter_of_each_number_is_new() {
        let mut checker = SequenceChecker::default();
        let came = [0, 2, 1, 1, 9].map(|number| checker.take(number, 3));
        assert_eq!(came, [true, true, true, false, false]);
    }
}
