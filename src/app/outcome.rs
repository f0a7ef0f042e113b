//! Result of a command: an exit status, and at most one phrase about the cause.

use std::io::{self, ErrorKind};

use crate::base::Phrase;
use crate::store::StoreError;
use crate::ui::store_error;

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

    /// Creates a failure of a disk.
    pub fn disk(phrase: Phrase) -> Failure {
        Failure { status: ExitStatus::Disk, phrase: Some(phrase) }
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
    /// The status is [`ExitStatus::Disk`] if a disk fails, is full or is read-only.
    fn from(phrase: Phrase) -> Failure {
        let status = if phrase.is_of_disk() { ExitStatus::Disk } else { ExitStatus::Failed };
        Failure { status, phrase: Some(phrase) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        store_error(&error).into()
    }
}

/// Returns the failure of an output that cannot be written.
pub(super) fn output_failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Failure::disk(Phrase::new("output-disk").with("cause", error))
        }
        _ => Phrase::new("output-failed").with("cause", error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorCause::{Damaged, DiskFull, Io, NotFolder, NotPermitted, ReadOnly};

    #[test]
    fn failures_of_disk_have_status_74() {
        let status = |cause| Failure::from(StoreError { cause, path: String::new() }).status as u8;
        let text = String::new;
        assert_eq!([DiskFull, ReadOnly, Io(text())].map(status), [74; 3]);
        assert_eq!([NotPermitted(text()), NotFolder, Damaged(text())].map(status), [1; 3]);
        assert_eq!(output_failure(&ErrorKind::StorageFull.into()).status, ExitStatus::Disk);
        assert_eq!(output_failure(&ErrorKind::Other.into()).status, ExitStatus::Failed);
    }
}
