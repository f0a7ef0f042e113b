//! The replay window: packet numbers already seen.

/// Numbers remembered below the highest: 1,024, more than a full window of reordering on any path.
pub const WINDOW_LEN: u64 = 1024;
const WORDS: usize = WINDOW_LEN as usize / 64;

/// A sliding window over packet numbers (RFC 6479).
///
/// Each number is new once. A number [`WINDOW_LEN`] or more below the highest is never new.
#[derive(Debug, Default)]
pub struct ReplayWindow {
    highest: Option<u64>,
    /// One bit for each of the last [`WINDOW_LEN`] numbers, at number mod [`WINDOW_LEN`].
    ///
    /// `None` while all of them count as seen: packets arrive in order, or not at all.
    seen: Option<Box<[u64; WORDS]>>,
}

impl ReplayWindow {
    /// Whether this number has not been seen and is not below the window.
    pub fn is_new(&self, number: u64) -> bool {
        let Some(highest) = self.highest else { return true };
        if number > highest {
            return true;
        }
        let seen = self.seen.as_deref();
        highest - number < WINDOW_LEN && seen.is_some_and(|seen| seen[word(number)] & bit(number) == 0)
    }

    /// Marks a number as seen. Call it only after the tag of its packet has been verified;
    /// otherwise a forged packet could move the window.
    pub fn mark(&mut self, number: u64) {
        let highest = self.highest;
        // In order: no memory is needed.
        if self.seen.is_none() && number == highest.map_or(0, |highest| highest.saturating_add(1)) {
            self.highest = Some(number);
            return;
        }
        let seen =
            self.seen.get_or_insert_with(|| Box::new([u64::from(highest.is_some()) * u64::MAX; WORDS]));
        match highest {
            Some(highest) if number <= highest => {}
            Some(highest) if number - highest < WINDOW_LEN => {
                for skipped in highest + 1..number {
                    seen[word(skipped)] &= !bit(skipped);
                }
                self.highest = Some(number);
            }
            _ => {
                **seen = [0; WORDS];
                self.highest = Some(number);
            }
        }
        if highest.is_none_or(|highest| number > highest || highest - number < WINDOW_LEN) {
            seen[word(number)] |= bit(number);
        }
    }

    /// Returns the highest number seen.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Creates a window that has seen all numbers up to `highest`, without memory for them until a
    /// gap occurs.
    pub const fn after_hibernation(highest: u64) -> ReplayWindow {
        ReplayWindow { highest: Some(highest), seen: None }
    }
}

const fn word(number: u64) -> usize {
    (number % WINDOW_LEN / 64) as usize
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn number_is_new_once_and_never_below_window() {
        let mut window = ReplayWindow::default();
        assert!(window.is_new(0));
        window.mark(0);
        assert!(!window.is_new(0));
        window.mark(2000);
        assert!(!window.is_new(2000));
        assert!(window.is_new(2000 - WINDOW_LEN + 1));
        assert!(!window.is_new(2000 - WINDOW_LEN));
        assert!(!window.is_new(2000 - 1025));
    }

    #[test]
    fn numbers_in_order_take_no_memory() {
        let mut window = ReplayWindow::default();
        (0..5_000).for_each(|number| window.mark(number));
        assert!(window.seen.is_none() && !window.is_new(4_999) && window.is_new(5_000));
        window.mark(5_001);
        assert!(window.is_new(5_000) && !window.is_new(5_001) && !window.is_new(4_999));
    }

    #[test]
    fn largest_numbers_do_not_overflow() {
        let mut window = ReplayWindow::default();
        for number in [1, 1 << 63, u64::MAX - 1, u64::MAX] {
            assert!(window.is_new(number));
            window.mark(number);
            assert!(!window.is_new(number));
        }
        assert!(window.is_new(u64::MAX - 2));
        assert!(!window.is_new(0));
    }

    #[test]
    fn only_higher_numbers_are_new_after_hibernation() {
        let mut window = ReplayWindow::default();
        window.mark(10);
        assert!(window.is_new(9));
        let mut window = ReplayWindow::after_hibernation(window.highest().unwrap());
        assert!(!window.is_new(9) && !window.is_new(10) && window.is_new(11));
        window.mark(12);
        assert!(window.is_new(11) && !window.is_new(10) && !window.is_new(12));
    }

    proptest! {
        #[test]
        fn behaves_like_set(numbers in proptest::collection::vec(0u64..3000, 0..300)) {
            let mut window = ReplayWindow::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                let highest = set.last().copied().unwrap_or(0);
                let expected = !set.contains(&number) && number + WINDOW_LEN > highest;
                prop_assert_eq!(window.is_new(number), expected);
                if expected {
                    window.mark(number);
                    set.insert(number);
                }
            }
        }
    }
}
