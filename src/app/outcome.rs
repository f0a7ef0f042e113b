//! How a command ends: an exit status, and at most one sentence why.

use crate::base::Phrase;

/// Exit statuses, as scripts read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Done = 0,
    /// Refused or failed.
    Failed = 1,
    /// Used wrongly.
    Usage = 2,
    /// The relay's disk failed.
    Disk = 74,
    /// Not in time; try again later.
    Later = 75,
    /// Interrupted.
    Interrupted = 130,
}

/// A command that did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it ends.
    pub status: Status,
    /// Why, unless that has been said already.
    pub phrase: Option<Phrase>,
}

/// How a command ends.
pub type Outcome = Result<Status, Failure>;

impl Failure {
    /// Used wrongly.
    pub fn usage(phrase: Phrase) -> Failure {
        Failure { status: Status::Usage, phrase: Some(phrase) }
    }

    /// Not in time.
    pub fn later(phrase: Phrase) -> Failure {
        Failure { status: Status::Later, phrase: Some(phrase) }
    }

    /// A status whose reason has been said.
    pub const fn silent(status: Status) -> Failure {
        Failure { status, phrase: None }
    }
}

impl From<Phrase> for Failure {
    fn from(phrase: Phrase) -> Failure {
        Failure { status: Status::Failed, phrase: Some(phrase) }
    }
}
