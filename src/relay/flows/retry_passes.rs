//! Letters sent a second time because the relay refused them as `behind`: their sender has paid for
//! them and did not ask for the repetition.
//!
//! A pass is granted for a letter that counted against the rate, and at most one for each number. A
//! member in a cycle of refusals therefore pays for every second letter at least.

/// The passes of one flow. Regular clients send numbers in rising order, so three numbers are
/// enough to identify them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryPasses {
    /// Passes granted and not redeemed.
    outstanding: u32,
    /// The highest number that got a pass, and the highest that redeemed one.
    granted: u64,
    redeemed: u64,
}

impl RetryPasses {
    /// Grants passes to `letters` letters, the last of which is `number`. Returns how many were
    /// added.
    pub(super) fn grant(&mut self, number: u64, letters: u32) -> usize {
        if number <= self.granted {
            return 0;
        }
        if self.outstanding == 0 {
            // The numbers below these letters got none.
            self.redeemed = self.redeemed.max(number.saturating_sub(u64::from(letters)));
        }
        self.granted = number;
        let before = self.outstanding;
        self.outstanding = self.outstanding.saturating_add(letters);
        (self.outstanding - before) as usize
    }

    /// Redeems the pass of this letter. Returns whether it had one.
    pub(super) fn redeem(&mut self, number: u64) -> bool {
        let has_one = self.outstanding > 0 && self.redeemed < number && number <= self.granted;
        if has_one {
            self.outstanding -= 1;
            self.redeemed = number;
        }
        has_one
    }

    /// Returns the number of passes granted and not redeemed.
    pub(super) const fn outstanding(&self) -> usize {
        self.outstanding as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_and_only_after_refusal() {
        let mut again = RetryPasses::default();
        assert!(!again.redeem(2), "it was never refused");
        assert_eq!((2..=4).map(|number| again.grant(number, 1)).sum::<usize>(), 3);
        assert!(again.redeem(2) && !again.redeem(2));
        assert_eq!(again.grant(3, 1), 0, "it has one");
        assert!(again.redeem(3) && again.redeem(4) && !again.redeem(5));
        assert_eq!(again.grant(4, 1), 0, "it had one");
        assert_eq!(again.outstanding(), 0);
        assert!(!again.redeem(4));
    }

    #[test]
    fn leap_in_numbers_earns_one_pass() {
        let mut again = RetryPasses::default();
        assert_eq!(again.grant(u64::MAX, 1), 1);
        assert!(!again.redeem(1) && again.redeem(u64::MAX) && !again.redeem(u64::MAX));
    }
}
