//! Letters that are sent a second time because the relay refused them as behind another: their
//! author has paid for them, and did not ask for the second time.
//!
//! A pass is granted for a letter that did count against the rate, and each number has one at most:
//! a member that goes round in a circle of refusals pays for every second letter at least.

/// The passes of one flow. Honest authors send numbers in rising order, so three numbers are enough
/// to know them by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Again {
    /// Passes that were granted and not redeemed.
    left: u32,
    /// The highest number that was granted one, and the highest that redeemed one.
    granted: u64,
    redeemed: u64,
}

impl Again {
    /// Grants passes to as many letters, the last of which is `number`; how many there are more of.
    pub(super) fn grant(&mut self, number: u64, letters: u32) -> usize {
        if number <= self.granted {
            return 0;
        }
        if self.left == 0 {
            // Those below were granted none.
            self.redeemed = self.redeemed.max(number.saturating_sub(u64::from(letters)));
        }
        self.granted = number;
        let before = self.left;
        self.left = self.left.saturating_add(letters);
        (self.left - before) as usize
    }

    /// Takes the pass of this letter, if it has one.
    pub(super) fn redeem(&mut self, number: u64) -> bool {
        let has_one = self.left > 0 && self.redeemed < number && number <= self.granted;
        if has_one {
            (self.left, self.redeemed) = (self.left - 1, number);
        }
        has_one
    }

    /// Passes that were granted and not redeemed.
    pub(super) const fn left(&self) -> usize {
        self.left as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_and_only_after_it_was_refused() {
        let mut again = Again::default();
        assert!(!again.redeem(2), "it was never refused");
        assert_eq!((2..=4).map(|number| again.grant(number, 1)).sum::<usize>(), 3);
        assert!(again.redeem(2) && !again.redeem(2));
        assert_eq!(again.grant(3, 1), 0, "it has one");
        assert!(again.redeem(3) && again.redeem(4) && !again.redeem(5));
        assert_eq!((again.grant(4, 1), again.left()), (0, 0), "it had one");
        assert!(!again.redeem(4));
    }

    #[test]
    fn a_leap_in_the_numbers_earns_one_pass() {
        let mut again = Again::default();
        assert_eq!(again.grant(u64::MAX, 1), 1);
        assert!(!again.redeem(1) && again.redeem(u64::MAX) && !again.redeem(u64::MAX));
    }
}
