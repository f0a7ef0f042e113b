//! Why letters are refused.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::features::{Feature, Features};

/// Why a letter was refused. Scripts read the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// No member has that name.
    Unknown,
    /// The recipient's queue is full.
    Full,
    /// The letter is longer than the relay takes.
    TooLong,
    /// The recipient does not want letters from this sender.
    Blocked,
    /// The letter before it was refused: it goes again with a new `prev`.
    Behind,
    /// Its recipient did not come for it in time.
    Expired,
    /// An old copy of the sender's outbox has numbered it: its number was used before.
    OldCopy,
    /// The relay had accepted it, and its disk has damaged it since.
    Damaged,
    /// Its reader cannot understand it, and keeps nothing of it.
    Unsupported,
    /// Given out later than this version was made: only its number is known. The letter is refused
    /// like any other.
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
/// How the word of [`Reason::Other`] begins; its number follows.
const OTHER_REASON: &str = "reason-";

impl Reason {
    /// The word that scripts read and that disks keep: `unsupported`, or `reason-12` of a reason
    /// that this version does not know.
    pub fn word(self) -> Cow<'static, str> {
        let known = REASONS.iter().find(|known| known.0 == self);
        known.map_or_else(|| format!("{OTHER_REASON}{}", self.code()).into(), |known| known.2.into())
    }

    /// The reason that a disk kept as this word. One that no version writes is a reason too, and
    /// never one that it is not.
    pub fn kept(word: &str) -> Reason {
        Reason::of_word(word).unwrap_or(Reason::Other(0))
    }

    /// The reason of this word; `None` if it is no reason's.
    pub fn of_word(word: &str) -> Option<Reason> {
        let known = REASONS.iter().find(|known| known.2 == word).map(|known| known.0);
        known.or_else(|| Some(Reason::of_code(word.strip_prefix(OTHER_REASON)?.parse().ok()?)))
    }

    /// Every word that [`Reason::of_word`] knows without a number.
    pub fn known_words() -> impl Iterator<Item = &'static str> {
        REASONS.iter().map(|known| known.2)
    }

    /// Whether a reader may refuse a letter for that.
    pub const fn is_of_readers(self) -> bool {
        matches!(self, Reason::Full | Reason::OldCopy | Reason::Unsupported)
    }

    /// What a reader says for it to its relay: the letter of a reason that a later version wrote
    /// down is one that this version cannot understand.
    pub const fn of_reader(self) -> Reason {
        if self.is_of_readers() { self } else { Reason::Unsupported }
    }

    /// What an end that has said these features hears for it: one that it does not know becomes
    /// `unsupported`.
    pub fn known_to(self, peer: Features) -> Reason {
        let is_known = peer.has_all(self.needs()) && !matches!(self, Reason::Other(_));
        if is_known { self } else { Reason::Unsupported }
    }

    /// The feature that an end must have said to hear of it; `None` if every end knows it.
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

    /// Whether it is the conversation that is refused, and not one letter of it: letters behind it
    /// have the same end.
    pub const fn is_of_conversation(self) -> bool {
        matches!(self, Reason::Unknown | Reason::Blocked)
    }

    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Reason::Other(code) => code,
            known => REASONS.iter().find(|r| r.0 == known).expect("every reason is in the table").1,
        }
    }

    /// The reason with this number; never [`Reason::Other`] of one that is known.
    pub fn of_code(code: u8) -> Reason {
        REASONS.iter().find(|r| r.1 == code).map_or(Reason::Other(code), |r| r.0)
    }
}
