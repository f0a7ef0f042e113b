//! Answers of the store's thread.

use super::error::StoreError;
use crate::base::{Row, Ticket, Wall};

/// Progress of a copy, in pages of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Pages copied.
    pub done: u64,
    /// Pages in all.
    pub total: u64,
}

/// A message about a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupReply {
    /// It continues.
    Progress(BackupProgress),
    /// It is complete, with every commit up to this time. Its bytes may not be on the disk yet.
    Done(Wall),
    /// It has failed, and nothing is left of the file.
    Failed(StoreError),
}

/// Cause of a failed commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of the commit is on disk, and a later one may succeed, for example after a full
    /// disk.
    Transient(StoreError),
    /// A write or fsync failed. The state on disk is known only after a restart.
    Broken(StoreError),
}

/// A reply of the store thread to the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// The record is durable.
    Committed(Ticket),
    /// The record is not durable and will not become so.
    Failed(Ticket),
    /// The requested rows. A failed load is [`StoreReply::Failed`].
    Rows(Ticket, Vec<Row>),
    /// Cause of failing records. Sent before the first of them, and again only if a commit has
    /// succeeded since.
    Trouble(StoreError),
    /// A commit has succeeded after [`StoreReply::Trouble`]. Sent before replies to its records.
    Recovered,
    /// The disk failed and the thread has ended: the relay's process exits with status 74. Open
    /// tickets get no reply.
    Broken(StoreError),
}

/// Reason why a record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// [`super::QUEUE_RECORDS_MAX`] records or [`super::QUEUE_BYTES_MAX`] bytes are waiting.
    Full,
    /// The thread has ended, after [`StoreReply::Broken`].
    Ended,
}
