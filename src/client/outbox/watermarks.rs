//! Contents of receipts.

use crate::base::Wall;

/// Contents of a receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watermarks {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    pub(super) until: Wall,
    pub(super) taken_at: Wall,
}

impl Watermarks {
    /// Adopts higher watermarks of a later receipt, and its `until`. `taken` is the earliest known
    /// time.
    pub(super) fn raise(&mut self, other: Watermarks) {
        self.accepted = self.accepted.max(other.accepted);
        self.delivered = self.delivered.max(other.delivered);
        self.read = self.read.max(other.read);
        self.until = other.until;
        let earliest = [self.taken_at, other.taken_at].into_iter().filter(|at| at.0 > 0).min();
        self.taken_at = earliest.unwrap_or_default();
    }

    /// Returns the part about letters before `number`.
    pub(super) fn before(self, number: u64) -> Watermarks {
        let last = number.saturating_sub(1);
        let [accepted, delivered, read] = [self.accepted, self.delivered, self.read].map(|n| n.min(last));
        Watermarks { accepted, delivered, read, ..self }
    }
}
