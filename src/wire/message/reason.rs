//! Reasons for refusing a letter.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::features::{Feature, Features};

/// Why a letter was refused. Scripts read the words of [`Reason::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// No member has that name.
    Unknown,
    /// The recipient's mailbox is full.
    Full,
    /// The letter exceeds the relay's limit.
    TooLong,
    /// The recipient does not accept letters from this sender.
    Blocked,
    /// `prev` names a refused letter. The sender repeats this one with a new `prev`.
    Behind,
    /// The recipient did not fetch it in time.
    Expired,
    /// An old copy of the sender's outbox numbered it, so that its number was used before.
    OldCopy,
    /// The relay had accepted it, and its disk has damaged it since.
    Damaged,
    /// The recipient's client cannot decode it and keeps nothing of it.
    Unsupported,
    /// A reason of a later version: only its number is known. Refuses the letter like any other.
    Other(u8),
}

/// Every reason that this version knows, with its number and its word.
const REASONS: [(Reason, u8, &str); 9] = [
    (Reason::Unknown, 1, "unknown"),
    (Reason::Full, 3, "full"),
    (Reason::TooLong, 4, "too-long"),
    (Reason::Blocked, 5, "blocked"),
    (Reason::Behind, 6, "behind"),
    (Reason::Expired, 7, "expired"),
    (Reason::OldCopy, 8, "old-copy"),
    (Reason::Damaged, 9, "damaged"),
    (Reason::Unsupported, 10, "unsupported"),
];
/// Prefix of the word of [`Reason::Other`]; its number follows.
const OTHER_REASON: &str = "reason-";

impl Reason {
    /// Returns the word that scripts read and that is stored on disk.
    ///
    /// `unsupported`, for example, or `reason-12` for a reason that this version does not know.
    pub fn word(self) -> Cow<'static, str> {
        let entry = REASONS.iter().find(|entry| entry.0 == self);
        entry.map_or_else(|| format!("{OTHER_REASON}{}", self.code()).into(), |entry| entry.2.into())
    }

    /// Returns the reason for a word stored on disk.
    ///
    /// A word that no version writes becomes `Other(0)`, and never a wrong reason.
    pub fn from_stored(word: &str) -> Reason {
        Reason::from_word(word).unwrap_or(Reason::Other(0))
    }

    /// Returns the reason for this word; `None` if no reason has it.
    pub fn from_word(word: &str) -> Option<Reason> {
        let reason = REASONS.iter().find(|entry| entry.2 == word).map(|entry| entry.0);
        reason.or_else(|| Some(Reason::from_code(word.strip_prefix(OTHER_REASON)?.parse().ok()?)))
    }

    /// Returns every word that [`Reason::from_word`] knows without a number.
    pub fn known_words() -> impl Iterator<Item = &'static str> {
        REASONS.iter().map(|entry| entry.2)
    }

    /// Whether a recipient may refuse a letter for this reason.
    pub const fn is_by_recipient(self) -> bool {
        matches!(self, Reason::Full | Reason::OldCopy | Reason::Unsupported)
    }

    /// Returns the reason that a recipient sends to its relay.
    ///
    /// A stored reason of a later version becomes `Unsupported`: this version cannot decode its
    /// letter.
    pub const fn by_recipient(self) -> Reason {
        if self.is_by_recipient() { self } else { Reason::Unsupported }
    }

    /// Returns the reason to send to a peer with these features.
    ///
    /// A reason that the peer does not know becomes `Unsupported`.
    pub fn known_to(self, peer: Features) -> Reason {
        let is_known = peer.has_all(self.needs()) && !matches!(self, Reason::Other(_));
        if is_known { self } else { Reason::Unsupported }
    }

    /// Returns the feature that a peer must have announced before it receives this reason.
    ///
    /// `None` if every peer knows it.
    const fn needs(self) -> Option<Feature> {
        match self {
            Reason::Unknown
            | Reason::Full
            | Reason::TooLong
            | Reason::Blocked
            | Reason::Behind
            | Reason::Expired
            | Reason::OldCopy
            | Reason::Damaged
            | Reason::Unsupported
            | Reason::Other(_) => None,
        }
    }

    /// Whether the whole conversation is refused, so that later letters of it are refused as well.
    pub const fn is_about_conversation(self) -> bool {
        matches!(self, Reason::Unknown | Reason::Blocked)
    }

    /// Returns the number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Reason::Other(code) => code,
            reason => REASONS.iter().find(|r| r.0 == reason).expect("every reason is in the table").1,
        }
    }

    /// Returns the reason with this number. Never returns [`Reason::Other`] for a known number.
    pub fn from_code(code: u8) -> Reason {
        REASONS.iter().find(|r| r.1 == code).map_or(Reason::Other(code), |r| r.0)
    }
}
