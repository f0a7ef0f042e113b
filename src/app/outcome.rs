//! Result of a command: an exit status, and at most one phrase about the cause.

use std::io::{self, ErrorKind};

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

/// Phrases about a disk that is full, read-only or broken.
const OF_DISK: [&str; 6] =
    ["store-disk-full", "store-read-only", "store-io", "members-disk", "output-disk", "unkept-disk"];

impl From<Phrase> for Failure {
    /// The status is [`ExitStatus::Disk`] if the phrase is about a disk.
    fn from(phrase: Phrase) -> Failure {
        let is_of_disk = OF_DISK.contains(&phrase.key());
        let status = if is_of_disk { ExitStatus::Disk } else { ExitStatus::Failed };
        Failure { status, phrase: Some(phrase) }
    }
}

/// Returns the failure of an output.
pub(super) fn output_failure(error: &io::Error) -> Failure {
    unwritten(error).into()
}

/// Returns the phrase for an output that cannot be written.
pub(super) fn unwritten(error: &io::Error) -> Phrase {
    let is_full =
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    let key = if is_full { Phrase::new("output-disk") } else { Phrase::new("output-failed") };
    key.with("cause", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_disk_have_status_74() {
        let status = |key| Failure::from(Phrase::new(key)).status as u8;
        assert_eq!(OF_DISK.map(status), [74; OF_DISK.len()]);
        assert_eq!(status("store-not-permitted"), 1);
        assert_eq!(output_failure(&ErrorKind::StorageFull.into()).status, ExitStatus::Disk);
        assert_eq!(output_failure(&ErrorKind::Other.into()).status, ExitStatus::Failed);
    }
}
