//! Content of receipts.

use crate::base::{Wall, Watermarks};

/// Content of one receipt, or of several receipts of one conversation together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReceiptContent {
    pub(super) watermarks: Watermarks,
    pub(super) until: Wall,
    pub(super) taken_at: Wall,
}

impl ReceiptContent {
    /// Adopts higher watermarks of a later receipt, and its `until`. `taken_at` is the earliest
    /// known time.
    pub(super) fn raise(&mut self, other: ReceiptContent) {
        self.watermarks.raise(other.watermarks);
        self.until = other.until;
        let earliest = [self.taken_at, other.taken_at].into_iter().filter(|at| at.0 > 0).min();
        self.taken_at = earliest.unwrap_or_default();
    }

    /// Returns the part about letters before `number`.
    pub(super) fn before(self, number: u64) -> ReceiptContent {
        ReceiptContent { watermarks: self.watermarks.before(number), ..self }
    }
}
