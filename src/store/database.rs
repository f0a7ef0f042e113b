//! Opens an SQLite file, which must be ours, intact, and in a known layout.
//!
//! WAL mode with `synchronous = FULL`: a commit is on disk when it returns, and the next start cuts
//! off a torn last one. Invariant: a file that is foreign, damaged, or made by a newer version is
//! reported by name and left unchanged.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::commit_counter::{self, CommitCounter};
use super::diagnose::diagnose;
use super::error::{StoreError, StoreErrorCause};
use super::files::{self, io_error, open_private, sync_folder_of};
use super::replies::Fault;

/// Requirements on a file.
pub(super) struct Kind {
    /// Application id in SQLite's header, which marks the file as ours.
    pub(super) application_id: u32,
    /// Version of `schema` in SQLite's `user_version`, raised by each change of the layout. No
    /// version of the program has been released, so only this layout is known.
    pub(super) schema_version: u32,
    /// Parts of the layout.
    pub(super) schema: &'static [&'static str],
}

/// Length of SQLite's header up to and including the application id (SQLite file format §1.3).
const HEADER_LEN: usize = 100;
/// Maximum size of a file that is checked completely at start, which takes about 0.2 s. In a larger
/// file damage is detected on reading: of pages by SQLite, of rows by the store.
const CHECKED_LEN_MAX: u64 = 64 << 20;
/// Longest wait for a lock: a reader of the history holds its lock for milliseconds.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Opens the file for a single writer; creates it at first use.
///
/// # Errors
/// Returns `NotDatabase`, `Damaged`, `Newer`, an error of [`commit_counter::check`], or one of the
/// system.
pub(super) fn open(path: &Path, kind: &Kind) -> Result<(Connection, CommitCounter), StoreError> {
    if !exists(path) {
        commit_counter::check_none(path)?;
    }
    let mut db = open_shared(path, kind)?;
    commit_counter::keep_log(&db).map_err(|error| sqlite_error(path, &error))?;
    let commit_counter = CommitCounter::open(path, &mut db)?;
    Ok((db, commit_counter))
}

/// Opens a file that several processes write; creates it at first use. Its commits are not counted.
///
/// # Errors
/// Returns `NotDatabase`, `Damaged`, `Newer`, or an error of the system.
pub(super) fn open_shared(path: &Path, kind: &Kind) -> Result<Connection, StoreError> {
    check_header(path, kind)?;
    open_private(path).map_err(|error| io_error(path, &error))?;
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(to_error)?;
    db.busy_timeout(BUSY_MAX).map_err(to_error)?;
    let is_new = is_empty(&db).map_err(to_error)?;
    if !is_new {
        check_pragmas(path, kind, &db)?;
    }
    db.pragma_update(None, "journal_mode", "wal").map_err(to_error)?;
    db.pragma_update(None, "synchronous", "full").map_err(to_error)?;
    if is_new {
        create(&mut db, kind).map_err(to_error)?;
        sync_folder_of(path).map_err(|error| io_error(path, &error))?;
    }
    check_pages(path, &db)?;
    Ok(db)
}

/// Opens the file read-only while another process may be writing it. Returns `None` if it does not
/// exist.
///
/// # Errors
/// As [`open`].
pub(super) fn open_to_read(path: &Path, kind: &Kind) -> Result<Option<Connection>, StoreError> {
    if !exists(path) {
        return commit_counter::check_none(path).map(|()| None);
    }
    check_header(path, kind)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let usual = Connection::open_with_flags(path, flags).and_then(read_once);
    let db = match usual {
        Err(error) if lacks_room_for_log(path, &error) => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            let unchanging = Connection::open_with_flags(immutable_uri(path), flags);
            unchanging.and_then(read_once)
        }
        usual => usual,
    };
    let db = db.map_err(|error| sqlite_error(path, &error))?;
    check_pragmas(path, kind, &db)?;
    commit_counter::check(path, &db)?;
    Ok(Some(db))
}

/// Reads once, which makes SQLite open the log and its index.
fn read_once(db: Connection) -> rusqlite::Result<Connection> {
    db.busy_timeout(BUSY_MAX)?;
    is_empty(&db)?;
    Ok(db)
}

/// Whether SQLite failed to create the log or its index, though there is nothing to read in them,
/// on a full or read-only disk. No other process can write the database then.
fn lacks_room_for_log(path: &Path, error: &rusqlite::Error) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let is_of_disk = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::DiskFull)
    );
    is_of_disk && !exists(Path::new(&log))
}

/// Returns the URI of a database that does not change while it is open, so that SQLite needs no log
/// and no lock.
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri + "?immutable=1"
}

/// Opens the file for changes while the process that usually writes it may be running. Returns
/// `None` if it does not exist. Its commits are not counted.
///
/// # Errors
/// As [`open`].
pub(super) fn open_second(path: &Path, kind: &Kind) -> Result<Option<Connection>, StoreError> {
    if !exists(path) {
        return commit_counter::check_none(path).map(|()| None);
    }
    check_header(path, kind)?;
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(to_error)?;
    db.busy_timeout(BUSY_MAX).map_err(to_error)?;
    commit_counter::keep_log(&db).map_err(to_error)?;
    check_pragmas(path, kind, &db)?;
    commit_counter::check(path, &db)?;
    db.pragma_update(None, "synchronous", "full").map_err(to_error)?;
    Ok(Some(db))
}

/// Opens a database that exists in memory only.
pub(super) fn open_in_memory(kind: &Kind) -> rusqlite::Result<(Connection, CommitCounter)> {
    let mut db = Connection::open_in_memory()?;
    create(&mut db, kind)?;
    let commit_counter = CommitCounter::in_memory(&db)?;
    Ok((db, commit_counter))
}

/// Removes a database that no process uses and the files next to it, as far as possible.
pub(super) fn remove(path: &Path) {
    for ending in ["-wal", "-shm", "-journal", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = fs::remove_file(Path::new(&name));
    }
}

/// Whether the file `path` exists and is not empty.
pub(super) fn exists(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > 0)
}

fn is_empty(db: &Connection) -> rusqlite::Result<bool> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let numbers = (pragma("application_id")?, pragma("user_version")?);
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(numbers == (0, 0) && tables == 0)
}

fn create(db: &mut Connection, kind: &Kind) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    for part in kind.schema {
        tx.execute_batch(part)?;
    }
    tx.pragma_update(None, "application_id", kind.application_id)?;
    tx.pragma_update(None, "user_version", kind.schema_version)?;
    tx.commit()?;
    // Moves the layout from the log into the file itself, so that the file's header identifies it.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Whether the file is checked completely at start.
pub(super) fn is_checked_whole(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() <= CHECKED_LEN_MAX)
}

fn check_pages(path: &Path, db: &Connection) -> Result<(), StoreError> {
    if !is_checked_whole(path) {
        return Ok(());
    }
    let check = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match check.map_err(|error| sqlite_error(path, &error))? {
        result if result == "ok" => Ok(()),
        result => Err(damaged(path, result)),
    }
}

fn check_pragmas(path: &Path, kind: &Kind, db: &Connection) -> Result<(), StoreError> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    check_made_by_us(
        path,
        kind,
        pragma("application_id").map_err(to_error)?,
        pragma("user_version").map_err(to_error)?,
    )
}

/// Checks the header without SQLite, which would create files next to the one it opens.
pub(super) fn check_header(path: &Path, kind: &Kind) -> Result<(), StoreError> {
    if !exists(path) {
        return Ok(());
    }
    let mut header = Vec::new();
    let read =
        files::open_to_read(path).and_then(|file| file.take(HEADER_LEN as u64).read_to_end(&mut header));
    read.map_err(|error| io_error(path, &error))?;
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(StoreErrorCause::NotDatabase.at(path));
    }
    let number = |at: usize| header.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    match (number(68), number(60)) {
        (Some(0), Some(0)) => Ok(()),
        (Some(application_id), Some(version)) => check_made_by_us(path, kind, application_id, version),
        _ => Err(damaged(path, "header")),
    }
}

/// Checks that these numbers of a header belong to a file of ours in a known layout.
fn check_made_by_us(path: &Path, kind: &Kind, application_id: u32, version: u32) -> Result<(), StoreError> {
    if application_id != kind.application_id {
        return Err(StoreErrorCause::NotDatabase.at(path));
    }
    match version {
        0 => Err(damaged(path, "user_version")),
        version if version == kind.schema_version => Ok(()),
        older if older < kind.schema_version => Err(StoreErrorCause::Older(older).at(path)),
        newer => Err(StoreErrorCause::Newer(newer).at(path)),
    }
}

pub(super) fn damaged(path: &Path, cause: impl std::fmt::Display) -> StoreError {
    StoreErrorCause::Damaged(cause.to_string()).at(path)
}

/// Converts an error of SQLite at `path`.
pub(super) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreErrorCause::NotDatabase.at(path),
        Some(ErrorCode::DiskFull) => StoreErrorCause::DiskFull.at(path),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            let unknown = || StoreErrorCause::Io(error.to_string()).at(path);
            diagnose(path).unwrap_or_else(unknown)
        }
        Some(ErrorCode::SystemIoFailure) => {
            let unknown = || StoreErrorCause::Io(io_cause(error).to_string()).at(path);
            diagnose(path).unwrap_or_else(unknown)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreErrorCause::Io(error.to_string()).at(path)
        }
        _ => damaged(path, error),
    }
}

/// Returns the kind of I/O error. SQLite's own text is "disk I/O error" for all of them.
fn io_cause(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => "disk I/O error (fsync)",
        Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE) => "disk I/O error (write)",
        Some(ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ) => "disk I/O error (read)",
        _ => "disk I/O error",
    }
}

/// Classifies an error of a commit. A commit without space, behind another process's lock, or
/// without any write is rolled back completely. After any other error, a failed fsync above all,
/// only a restart shows the state on disk.
pub(super) fn fault(path: &Path, error: &rusqlite::Error) -> Fault {
    let passes = match error {
        rusqlite::Error::SqliteFailure(ffi::Error { code, extended_code }, _) => {
            matches!(code, ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                || [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE].contains(extended_code)
        }
        _ => false,
    };
    if passes {
        Fault::Transient(sqlite_error(path, error))
    } else {
        Fault::Broken(sqlite_error(path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_commit_error_is_classified() {
        let table = [
            (ffi::SQLITE_FULL, StoreErrorCause::DiskFull, true),
            (ffi::SQLITE_IOERR_WRITE, StoreErrorCause::Io(String::new()), true),
            (ffi::SQLITE_IOERR_SHMSIZE, StoreErrorCause::Io(String::new()), true),
            (ffi::SQLITE_BUSY, StoreErrorCause::Io(String::new()), true),
            (ffi::SQLITE_IOERR_FSYNC, StoreErrorCause::Io(String::new()), false),
            (ffi::SQLITE_IOERR_DIR_FSYNC, StoreErrorCause::Io(String::new()), false),
            (ffi::SQLITE_IOERR_READ, StoreErrorCause::Io(String::new()), false),
            (ffi::SQLITE_CORRUPT, StoreErrorCause::Damaged(String::new()), false),
            (ffi::SQLITE_READONLY_DBMOVED, StoreErrorCause::Io(String::new()), false),
            (ffi::SQLITE_CANTOPEN, StoreErrorCause::Io(String::new()), false),
        ];
        for (code, key, passes) in table {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let (error, found) = match fault(Path::new("/d/f"), &error) {
                Fault::Transient(error) => (error, true),
                Fault::Broken(error) => (error, false),
            };
            assert!(error.is_like(&key), "{code}");
            assert_eq!(found, passes, "{code}");
            assert!(error.path.starts_with("/d"), "{error}");
        }
    }
}
