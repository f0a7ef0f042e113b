//! Progress of the letters of one outbox to one recipient.

/// Numbers of letters. Each covers all letters up to it that were not refused; 0 covers none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// The relay is responsible for these letters.
    pub accepted: u64,
    /// Their recipient has stored them.
    pub delivered: u64,
    /// Their recipient has read them.
    pub read: u64,
}

impl Watermarks {
    /// Records that the relay is responsible for every letter up to `number`.
    pub fn accept(&mut self, number: u64) {
        self.accepted = self.accepted.max(number);
    }

    /// Records that the recipient has every letter up to `number`.
    pub fn deliver(&mut self, number: u64) {
        self.accept(number);
        self.delivered = self.delivered.max(number);
    }

    /// Adopts every higher watermark.
    pub fn raise(&mut self, other: Watermarks) {
        self.accepted = self.accepted.max(other.accepted);
        self.delivered = self.delivered.max(other.delivered);
        self.read = self.read.max(other.read);
    }

    /// Returns the part about letters before `number`.
    pub fn before(self, number: u64) -> Watermarks {
        let last = number.saturating_sub(1);
        Watermarks {
            accepted: self.accepted.min(last),
            delivered: self.delivered.min(last),
            read: self.read.min(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermarks(accepted: u64, delivered: u64, read: u64) -> Watermarks {
        Watermarks { accepted, delivered, read }
    }

    #[test]
    fn watermarks_only_rise() {
        let mut all = watermarks(5, 3, 1);
        all.raise(watermarks(4, 4, 0));
        assert_eq!(all, watermarks(5, 4, 1));
        all.deliver(7);
        all.accept(6);
        assert_eq!(all, watermarks(7, 7, 1));
        all.deliver(2);
        assert_eq!(all, watermarks(7, 7, 1));
    }

    #[test]
    fn part_before_letter_ends_at_letter_before_it() {
        assert_eq!(watermarks(5, 3, 1).before(3), watermarks(2, 2, 1));
        assert_eq!(watermarks(5, 3, 1).before(0), watermarks(0, 0, 0));
    }
}
