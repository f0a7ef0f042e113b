//! Which letters have come, and whether in their order.

use std::collections::BTreeSet;

/// The numbers that came from one writer.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    /// Below `next`, and never seen.
    skipped: BTreeSet<u64>,
    /// Seen again.
    pub(super) duplicates: u64,
    /// Seen after a later one, or never written.
    pub(super) disorder: u64,
}

impl Order {
    /// Takes in a letter that came; `sent` letters were written so far. Whether it is seen for the first time.
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

    /// How many of those that were written have not come.
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
    fn what_is_lost_doubled_or_late_is_told_apart() {
        assert_eq!(order(&[0, 1, 2], 3), (0, 0, 0));
        assert_eq!(order(&[0, 2], 4), (2, 0, 0));
        assert_eq!(order(&[0, 1, 1, 0], 2), (0, 2, 0));
        assert_eq!(order(&[1, 0, 2], 3), (0, 0, 1));
        assert_eq!(order(&[1, 0, 0], 2), (0, 1, 1));
        assert_eq!(order(&[7], 1), (1, 0, 1), "a number that was never sent");
    }

    #[test]
    fn only_the_first_of_a_number_is_new() {
        let mut order = Order::default();
        let came = [0, 2, 1, 1, 9].map(|number| order.take(number, 3));
        assert_eq!(came, [true, true, true, false, false]);
    }
}
