//! Checks which letters arrived, and in which order.

use std::collections::BTreeSet;

/// Letter numbers received from one sender.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    /// Numbers below `next` that were never seen.
    skipped: BTreeSet<u64>,
    /// Letters seen before.
    pub(super) duplicates: u64,
    /// Letters seen after a later one, or never sent.
    pub(super) disorder: u64,
}

impl Order {
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

    fn order(came: &[u64], sent: u64) -> (u64, u64, u64) {
        let mut order = Order::default();
        came.iter().for_each(|number| {
            order.take(*number, sent);
        });
        (order.missing(sent), order.duplicates, order.disorder)
    }

    #[test]
    fn lost_duplicated_and_late_letters_are_distinguished() {
        assert_eq!(order(&[0, 1, 2], 3), (0, 0, 0));
        assert_eq!(order(&[0, 2], 4), (2, 0, 0));
        assert_eq!(order(&[0, 1, 1, 0], 2), (0, 2, 0));
        assert_eq!(order(&[1, 0, 2], 3), (0, 0, 1));
        assert_eq!(order(&[1, 0, 0], 2), (0, 1, 1));
        assert_eq!(order(&[7], 1), (1, 0, 1), "a number that was never sent");
    }

    #[test]
    fn only_first_letter_of_a_number_is_new() {
        let mut order = Order::default();
        let came = [0, 2, 1, 1, 9].map(|number| order.take(number, 3));
        assert_eq!(came, [true, true, true, false, false]);
    }
}
