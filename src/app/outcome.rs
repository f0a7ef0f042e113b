//! Result of a command: an exit status, and at most one phrase about the cause.

use crate::base::Phrase;

/// Exit statuses, part of the interface for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Success.
    Done = 0,
    /// Refused or failed.
    Failed = 1,
    /// Invalid arguments.
    Usage = 2,
    /// A disk failed: the relay's or the member's.
    Disk = 74,
    /// Not done in time; a later attempt may succeed.
    Later = 75,
    /// Ended by a signal or by the user.
    Interrupted = 130,
}

/// A command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status.
    pub status: ExitStatus,
    /// Cause, unless it has been reported already.
    pub phrase: Option<Phrase>,
}

/// Result of a command.
pub type CommandResult = Result<ExitStatus, Failure>;

impl Failure {
    /// Creates a failure for invalid arguments.
    pub fn usage(phrase: Phrase) -> Failure {
        Failure { status: ExitStatus::Usage, phrase: Some(phrase) }
    }

    /// Creates a failure for a time limit.
    pub fn later(phrase: Phrase) -> Failure {
        Failure { status: ExitStatus::Later, phrase: Some(phrase) }
    }

    /// Creates a failure whose cause has been reported already.
    pub const fn silent(status: ExitStatus) -> Failure {
        Failure { status, phrase: None }
    }
}

impl From<Phrase> for Failure {
    fn from(phrase: Phrase) -> Failure {
        Failure { status: ExitStatus::Failed, phrase: Some(phrase) }
    }
}
