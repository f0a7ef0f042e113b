//! Identifiers of guests.

/// Identifies one guest while the relay knows it; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::relay) struct GuestId(pub(super) u64);

#[cfg(test)]
impl GuestId {
    pub(in crate::relay) const fn new(number: u64) -> GuestId {
        GuestId(number)
    }
}
