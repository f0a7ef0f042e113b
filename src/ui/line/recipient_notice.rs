//! Notices about a recipient, each given once.

/// Why a message to the recipient deserves a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecipientNotice {
    /// The user blocks it.
    Blocked,
    /// It was removed from the book.
    Removed,
}
