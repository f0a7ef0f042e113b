//! Errors of the store: the cause and the file or folder. `ui` has the sentences.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::{HostPort, Name};

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreError {
    /// The cause.
    pub cause: StoreErrorCause,
    /// The file or folder, as shown to users. Empty if the cause concerns none.
    pub path: String,
}

/// A damaged letter of a member's outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedLetter {
    /// The database, as shown to users.
    pub file: String,
    /// The recipient's relay.
    pub relay: HostPort,
    /// The recipient.
    pub to: Name,
    /// The letter's number in the outbox.
    pub number: u64,
}

/// Cause of a [`StoreError`]. Texts are those of the system or of a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreErrorCause {
    /// The user has no home folder.
    NoHome,
    /// A private file is a symbolic link.
    Link,
    /// The process may open no more files.
    NoFilesLeft,
    /// The file system is read-only.
    ReadOnly,
    /// The disk is full.
    DiskFull,
    /// The system denies access.
    NotPermitted(String),
    /// A file is where a folder must be.
    NotFolder,
    /// Any other error of the system.
    Io(String),
    /// Others may write in the folder, which has this mode.
    FolderOpen(String),
    /// Others may read the private key, whose file has this mode.
    KeyOpen(String),
    /// The file of a private key has other content.
    KeyDamaged,
    /// The file of a private key is missing, and other files of the same identity exist.
    KeyMissing,
    /// The file is no database of this kind.
    NotDatabase,
    /// The database is of this earlier version.
    Older(u32),
    /// The database is of this later version.
    Newer(u32),
    /// The database is damaged.
    Damaged(String),
    /// The database is missing, and the relay's key exists.
    DatabaseMissing,
    /// The database has fewer commits than it must have.
    CommitsMissing {
        /// Commits in the database.
        found: u64,
        /// Commits that it must have.
        known: u64,
        /// The file with that number, as shown to users.
        counter_file: String,
    },
    /// The number of commits that a database must have is damaged.
    CommitsDamaged,
    /// The member's counter of sessions is damaged.
    CounterDamaged,
    /// The file of pinned keys is damaged.
    PinsDamaged {
        /// The line.
        line: usize,
        /// The damage.
        damage: String,
    },
    /// The file with the relay's addresses is damaged.
    AddressesDamaged(String),
    /// Another process of this member holds its folder.
    MemberBusy {
        /// The member's name.
        name: String,
        /// Id of that process; `?` if unknown.
        pid: String,
    },
    /// Another process holds the relay's folder.
    RelayBusy {
        /// Id of that process; `?` if unknown.
        pid: String,
    },
    /// Another process reads the history, so that erased letters still have a copy.
    HistoryInUse,
    /// The folder is not a relay's.
    NoRelay,
    /// The system gives no thread.
    NoThread(String),
    /// The file of a new backup exists.
    BackupExists,
    /// The folder of a new backup does not exist.
    BackupNoFolder,
    /// A backup was stopped.
    BackupStopped,
    /// This store has no backups.
    BackupNotHere,
    /// Another backup is being made.
    BackupBusy,
    /// The backup does not exist.
    BackupMissing,
    /// The file is no backup.
    NoBackup,
    /// A backup is restored into an empty folder only.
    NotEmpty,
}

/// For logs. `ui` has the sentences for users.
impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.cause)
    }
}

impl std::error::Error for StoreError {}

impl StoreErrorCause {
    /// Returns the error with this cause at `path`.
    pub fn at(self, path: &Path) -> StoreError {
        StoreError { cause: self, path: path.display().to_string() }
    }

    /// Returns the error with this cause, which concerns no file.
    pub const fn alone(self) -> StoreError {
        StoreError { cause: self, path: String::new() }
    }

    /// Whether a disk fails, is full or is read-only.
    pub const fn is_of_disk(&self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly | Self::Io(_))
    }
}

#[cfg(test)]
impl StoreError {
    /// Whether the cause is this one, whatever its texts and numbers.
    pub(super) fn is_like(&self, cause: &StoreErrorCause) -> bool {
        std::mem::discriminant(&self.cause) == std::mem::discriminant(cause)
    }
}
