//! Copies of a relay in one file, made while it runs.
//!
//! A copy is the relay's database with one more table, which holds the relay's private key and its
//! reset id. Another application id in the header keeps the file from being used as a database.
//!
//! SQLite's backup interface copies pages in steps. Commits of the same connection between two
//! steps reach the copy as well, so it contains everything up to its end and never starts again.

#![allow(clippy::disallowed_types, reason = "the length of a step is measured")]

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::checksums::{Checksum, checksum, unsigned};
use super::database::{self, sqlite_error};
use super::error::{StoreError, StoreErrorCause};
use super::files::{io_error, sync_folder_of};
use super::replies::BackupProgress;
use super::reset_id::RESET_ID_LEN;
use crate::base::Wall;

/// Application id of a copy: `QQBK`.
pub(super) const APPLICATION_ID: u32 = 0x5151_424B;

/// Table of a copy that a relay's database does not have.
const SCHEMA: &str = "
CREATE TABLE backup(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  created_at INTEGER NOT NULL,
  private_key BLOB NOT NULL,
  reset_id BLOB NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Desired length of a step, with the sync of what it has written. 10 ms: a step that takes longer
/// halves the next one, so that a commit waits for less than 50 ms even if a step takes four times
/// as long.
const STEP_TIME: Duration = Duration::from_millis(10);
/// Pages in the smallest step, also the first one. 16 pages of 4 KiB are one read of most disks.
const PAGES_MIN: i32 = 16;
/// Pages in the largest step: 1 MiB, a hundredth of a second of a slow disk.
const PAGES_MAX: i32 = 256;
/// Mode of a copy: it holds the relay's private key.
const FILE_MODE: u32 = 0o600;

/// The relay's secrets that are not in its database.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct Secrets {
    pub(super) private_key: [u8; 32],
    pub(super) reset_id: [u8; RESET_ID_LEN],
}

/// Copies `db`, whose file is `path`, into the new file `file`. Calls `between` after each step,
/// and stops if that returns `false`. Returns the time of `clock` up to which all commits are in
/// the copy, which is not synced.
///
/// # Errors
/// Returns `BackupExists`, `BackupNoFolder`, `BackupStopped`, or an error of the system.
/// Nothing is left of the file.
pub(super) fn write(
    (path, db): (&Path, &Connection),
    file: &Path,
    secrets: &Secrets,
    clock: fn() -> Wall,
    between: impl FnMut(BackupProgress) -> bool,
) -> Result<Wall, StoreError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(file);
    let created = created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => StoreErrorCause::BackupExists.at(file),
        ErrorKind::NotFound => StoreErrorCause::BackupNoFolder.at(file),
        _ => io_error(file, &error),
    })?;
    let to_error = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => sqlite_error(path, &error),
        _ => sqlite_error(file, &error),
    };
    let written = copy(db, (file, &created), clock, between).map_err(to_error).and_then(|created_at| {
        let created_at = created_at.ok_or_else(|| StoreErrorCause::BackupStopped.at(file))?;
        finish(file, secrets, created_at).map_err(to_error).map(|()| created_at)
    });
    written.inspect_err(|_| database::remove(file))
}

/// Opens a database that no other process uses and that is synced as a whole at its end.
pub(super) fn open_unsynced(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.pragma_update(None, "synchronous", "off")?;
    Ok(db)
}

/// Writes a finished file and its name to the disk.
///
/// # Errors
/// Returns an error of the file system.
pub(super) fn sync(file: &Path) -> io::Result<()> {
    File::open(file)?.sync_all()?;
    sync_folder_of(file)
}

/// Returns the time up to which the copy is complete; `None` if `between` has stopped it.
fn copy(
    db: &Connection,
    (file, created): (&Path, &File),
    clock: fn() -> Wall,
    mut between: impl FnMut(BackupProgress) -> bool,
) -> rusqlite::Result<Option<Wall>> {
    let mut target = open_unsynced(file)?;
    target.pragma_update(None, "journal_mode", "off")?;
    let mut pages = PAGES_MIN;
    let backup = Backup::new(db, &mut target)?;
    loop {
        // Every commit up to now is in the copy once the last step is done.
        let at = clock();
        let started_at = Instant::now();
        let step = backup.step(pages)?;
        // Otherwise the sync of the next commit would wait for all that the copy has written.
        let _ = created.sync_data();
        pages = match started_at.elapsed() {
            took if took > STEP_TIME => (pages / 2).max(PAGES_MIN),
            took if took < STEP_TIME / 2 => (pages * 2).min(PAGES_MAX),
            _ => pages,
        };
        let progress = backup.progress();
        let total = progress.pagecount.try_into().unwrap_or(0);
        let remaining: u64 = progress.remaining.try_into().unwrap_or(0);
        if step == StepResult::Done {
            return Ok(Some(at));
        }
        if !between(BackupProgress { done: total - remaining.min(total), total }) {
            return Ok(None);
        }
    }
}

/// Adds the secrets, and makes one file of the copy.
fn finish(file: &Path, secrets: &Secrets, created_at: Wall) -> rusqlite::Result<()> {
    let target = open_unsynced(file)?;
    // The copied header asks for a log.
    target.pragma_update(None, "journal_mode", "delete")?;
    target.execute_batch(SCHEMA)?;
    let put = "INSERT INTO backup(one, created_at, private_key, reset_id, sum) VALUES (1, ?1, ?2, ?3, ?4)";
    let Secrets { private_key, reset_id } = secrets;
    target.execute(
        put,
        params![created_at.0 as i64, private_key, reset_id, row_checksum(created_at, secrets)],
    )?;
    target.pragma_update(None, "application_id", APPLICATION_ID)
}

/// Reads what [`write()`] has added to a database. Returns `None` if the row is missing or damaged.
pub(super) fn read_secrets(db: &Connection) -> rusqlite::Result<Option<(Wall, Secrets)>> {
    let select = "SELECT created_at, private_key, reset_id, sum FROM backup";
    let row = db.query_row(select, [], |row| {
        let created_at = Wall(unsigned(row, 0)?);
        let secrets = Secrets { private_key: row.get(1)?, reset_id: row.get(2)? };
        let is_whole = row.get::<_, Checksum>(3)? == row_checksum(created_at, &secrets);
        Ok(is_whole.then_some((created_at, secrets)))
    });
    Ok(row.optional()?.flatten())
}

/// Turns a copy into a relay's database, in a transaction of `db`.
pub(super) fn remove_secrets(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "secure_delete", "on")?;
    db.execute_batch("DROP TABLE backup")
}

fn row_checksum(created_at: Wall, secrets: &Secrets) -> Checksum {
    let rest = [&secrets.private_key[..], &secrets.reset_id].concat();
    checksum("backup", &[], &[created_at.0], &rest)
}
