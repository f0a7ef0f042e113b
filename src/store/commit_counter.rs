//! Counts the commits of a database, and moves them from SQLite's log into the database.
//!
//! Must not depend on: the tables of the database. Invariant: the counter file never holds more
//! commits than are durable.
//!
//! ```text
//! 00000000000000001234 5f0c9a7e11d2b384
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::checksums::checksum;
use super::database::{fault, sqlite_error};
use super::error::{StoreError, StoreErrorCause};
use super::files::{io_error, open_private, read_small, sync_folder_of, write_atomically};
use super::replies::Fault;

/// Pages in the log from which a commit moves them into the database. 4 MiB in pages of 4 KiB,
/// SQLite's own default.
const LOG_PAGES: i32 = 1_000;

/// Attempts to read the counter file. A read during a write may be torn, but not this many times in
/// a row.
const READS: u32 = 4;

/// Table of the number in the database. It is created in every layout.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS commits(one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO commits(one, number) VALUES (1, 0);";

/// Counts the commits of one open database and empties its log.
///
/// SQLite reads a log up to the first frame with a wrong checksum. After a crash this correctly
/// cuts off the torn last commit. A flipped bit in the middle, or a missing log, silently cuts off
/// commits that were durable. Therefore each commit raises a number in the database. Once it is
/// durable, the number goes to a counter file next to the database, without a separate sync.
///
/// After a power cut the counter file may be too low, never too high. A database with fewer commits
/// has lost some, or is an old copy. One case stays undetected: a flipped bit in commits of the
/// last seconds before a power cut looks like a torn end.
///
/// The log is emptied here and not by SQLite itself, so that an error of that is noticed.
#[derive(Debug)]
pub(super) struct CommitCounter {
    path: PathBuf,
    /// `None` for a database in memory.
    counter_file: Option<File>,
    log_pages: Arc<AtomicI32>,
}

impl CommitCounter {
    /// Takes a database that was just opened, after [`keep_log`]. From here on closing it empties
    /// its log.
    ///
    /// # Errors
    /// As [`check`], or an error of the file system or SQLite.
    pub(super) fn open(path: &Path, db: &mut Connection) -> Result<CommitCounter, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
        check(path, db)?;
        let beside_path = counter_path(path);
        let is_new = !beside_path.exists();
        let counter_file = open_private(&beside_path).map_err(|error| io_error(&beside_path, &error))?;
        if is_new {
            sync_folder_of(path).map_err(|error| io_error(&beside_path, &error))?;
        }
        db.pragma_update(None, "wal_autocheckpoint", 0).map_err(to_error)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let last_pages = Arc::clone(&log_pages);
        let note = move |_: &mut rusqlite::hooks::Wal, pages| {
            last_pages.store(pages, Ordering::Relaxed);
            Ok(())
        };
        db.wal_hook(Some(note)).map_err(to_error)?;
        db.execute_batch(TABLE).map_err(to_error)?;
        let counter = CommitCounter { path: path.to_owned(), counter_file: Some(counter_file), log_pages };
        // This rewrites and syncs pages whose sync failed in an earlier run. A full disk is not an
        // error here.
        if let Err(Fault::Broken(error)) = counter.checkpoint(db, false) {
            return Err(error);
        }
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(to_error)?;
        Ok(counter)
    }

    /// Takes a database in memory.
    pub(super) fn in_memory(db: &Connection) -> rusqlite::Result<CommitCounter> {
        db.execute_batch(TABLE)?;
        Ok(CommitCounter { path: PathBuf::from(":memory:"), counter_file: None, log_pages: Arc::default() })
    }

    /// Makes everything that `apply` writes durable, or nothing.
    ///
    /// # Errors [`Fault::Transient`] if space was missing or another process held a lock.
    /// [`Fault::Broken`] if the disk failed at this commit, or at moving earlier ones into the
    /// database.
    pub(super) fn commit(
        &mut self,
        db: &Connection,
        apply: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Fault> {
        let committed = (|| {
            // No transaction is open: none outlives this function.
            let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            apply(&tx)?;
            let add = "UPDATE commits SET number = number + 1 RETURNING number";
            let number = tx.prepare_cached(add)?.query_row([], |row| row.get::<_, i64>(0))?;
            tx.commit()?;
            Ok(number)
        })();
        match committed {
            Ok(number) => self.write_number(number as u64),
            Err(error) => {
                let fault = fault(&self.path, &error);
                // On a full disk the log may occupy the only free space, so empty it.
                self.checkpoint(db, matches!(fault, Fault::Broken(_)))?;
                return Err(fault);
            }
        }
        if self.log_pages.load(Ordering::Relaxed) >= LOG_PAGES { self.checkpoint(db, false) } else { Ok(()) }
    }

    /// Empties the log into the database. If the disk has failed, leaves both for the next start.
    fn checkpoint(&self, db: &Connection, is_broken: bool) -> Result<(), Fault> {
        // After a failed write or sync only a restart shows the state on disk, and the log may hold
        // the only good copy of the last commits.
        let emptied = if is_broken || self.counter_file.is_none() { Ok(()) } else { empty_log(db) };
        let emptied = emptied.map_err(|error| fault(&self.path, &error));
        if is_broken || matches!(emptied, Err(Fault::Broken(_))) {
            // If this fails, SQLite tries once more on closing.
            let _ = keep_log(db);
        }
        match emptied {
            Err(Fault::Broken(error)) => Err(Fault::Broken(error)),
            // The commits are durable in the log, which is emptied when there is space.
            Err(Fault::Transient(_)) | Ok(()) => Ok(()),
        }
    }

    fn write_number(&self, number: u64) {
        if let Some(counter_file) = &self.counter_file {
            // The file is only a safeguard. A failed write leaves it too low, which is allowed.
            let _ = counter_file.write_all_at(line(number).as_bytes(), 0);
        }
    }
}

/// Leaves the log in place when the database is closed. A damaged or unsynced log stays for
/// inspection.
pub(super) fn keep_log(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Checks that the database has all known commits. Read `known` before `found`, because another
/// process may commit in between.
///
/// # Errors
/// Returns `CommitsMissing`.
fn compare(path: &Path, known: u64, found: u64) -> Result<(), StoreError> {
    if found >= known {
        return Ok(());
    }
    let counter_file = counter_path(path).display().to_string();
    Err(StoreErrorCause::CommitsMissing { found, known, counter_file }.at(path))
}

/// Checks that a missing database may be created.
///
/// # Errors
/// As [`check`].
pub(super) fn check_none(path: &Path) -> Result<(), StoreError> {
    compare(path, known(path)?, 0)
}

/// Checks that an open database has all known commits. Other processes may be writing to it.
///
/// # Errors
/// Returns `CommitsMissing`, `CommitsDamaged`, or an error of the system.
pub(super) fn check(path: &Path, db: &Connection) -> Result<(), StoreError> {
    let known = known(path)?;
    compare(path, known, count(db).map_err(|error| sqlite_error(path, &error))?)
}

/// Returns the number in the counter file, or 0 if there is none.
fn known(path: &Path) -> Result<u64, StoreError> {
    let counter_file = counter_path(path);
    for _ in 0..READS {
        let Some((_, bytes)) = read_small(&counter_file)? else { return Ok(0) };
        // A crash at its creation, or a full disk, left the file empty.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(0);
        }
        let number = str::from_utf8(&bytes).ok().and_then(|text| text.get(..20)?.parse().ok());
        if let Some(number) = number.filter(|number| bytes == line(*number).as_bytes()) {
            return Ok(number);
        }
    }
    Err(StoreErrorCause::CommitsDamaged.at(&counter_file))
}

/// Returns the number of commits in a database.
pub(super) fn count(db: &Connection) -> rusqlite::Result<u64> {
    let has = "SELECT count(*) FROM sqlite_schema WHERE name = 'commits'";
    match db.query_row(has, [], |row| row.get(0))? {
        0 => Ok(0),
        _ => db.query_row("SELECT number FROM commits", [], |row| row.get::<_, i64>(0)).map(|n| n as u64),
    }
}

fn empty_log(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Creates the counter file of a database that was copied with its number of commits.
pub(super) fn create(path: &Path, number: u64) -> Result<(), StoreError> {
    write_atomically(&counter_path(path), line(number).as_bytes())
}

fn counter_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-commits");
    name.into()
}

fn line(number: u64) -> String {
    let checksum = u64::from_be_bytes(checksum("commits", &[], &[number], &[]));
    format!("{number:020} {checksum:016x}\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::database::{self, Kind};

    const KIND: Kind = Kind {
        application_id: 7,
        schema_version: 1,
        schema: &["CREATE TABLE t(n INTEGER, text TEXT) STRICT;"],
    };

    /// Makes one commit for each number, and copies the files as a crash at that moment would leave
    /// them.
    fn crashed(numbers: std::ops::Range<u32>) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let whole = tempfile::tempdir().unwrap();
        let (mut db, mut counter) = database::open(&whole.path().join("d"), &KIND).unwrap();
        for n in numbers {
            add(&mut counter, &mut db, n).unwrap();
        }
        for file in fs::read_dir(whole.path()).unwrap().map(|file| file.unwrap().file_name()) {
            fs::copy(whole.path().join(&file), dir.path().join(&file)).unwrap();
        }
        let path = dir.path().join("d");
        (dir, path)
    }

    fn add(counter: &mut CommitCounter, db: &mut Connection, n: u32) -> Result<(), Fault> {
        counter.commit(db, |tx| tx.execute("INSERT INTO t VALUES (?1, 'text')", [n]).map(drop))
    }

    fn open(path: &Path) -> Result<u32, StoreError> {
        let (db, _commits) = database::open(path, &KIND)?;
        Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap())
    }

    fn log(path: &Path) -> PathBuf {
        path.with_file_name("d-wal")
    }

    fn files(path: &Path) -> Vec<Option<Vec<u8>>> {
        [path.to_owned(), log(path), counter_path(path)].map(|file| fs::read(file).ok()).into()
    }

    // faults.md: R71
    #[test]
    fn flipped_bit_in_log_never_loses_commits_silently() {
        let (_dir, path) = crashed(0..4);
        let whole = files(&path);
        let len = fs::metadata(log(&path)).unwrap().len() as usize;
        let mut missed = 0;
        for bit in (0..len * 8).step_by(1_009) {
            let mut bytes = whole[1].clone().unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, whole[0].as_ref().unwrap()).unwrap();
            fs::write(log(&path), bytes).unwrap();
            fs::write(counter_path(&path), whole[2].as_ref().unwrap()).unwrap();
            let _ = fs::remove_file(path.with_file_name("d-shm"));
            let harmed = files(&path);
            match open(&path) {
                Ok(found) => assert_eq!(found, 4, "{bit}"),
                Err(error) => {
                    use StoreErrorCause::{CommitsMissing, Damaged};
                    assert!(matches!(error.cause, CommitsMissing { .. } | Damaged(_)));
                    assert_eq!(error.path, path.display().to_string());
                    assert_eq!(files(&path), harmed, "all files are left unchanged");
                    missed += 1;
                }
            }
        }
        assert!(missed > 40, "{missed}");
    }

    // faults.md: R71
    #[test]
    fn missing_or_old_log_or_database_is_reported() {
        type CommitFault = fn(&Path);
        let table: [(&str, CommitFault); 3] = [
            ("no log", |path| fs::remove_file(log(path)).unwrap()),
            ("an empty log", |path| fs::write(log(path), "").unwrap()),
            ("no database", |path| {
                fs::remove_file(log(path)).unwrap();
                fs::remove_file(path).unwrap();
            }),
        ];
        for (what, harm) in table {
            let (_dir, path) = crashed(0..3);
            harm(&path);
            for _ in 0..2 {
                let error = open(&path).unwrap_err();
                let counter_file = counter_path(&path).display().to_string();
                let missing = StoreErrorCause::CommitsMissing { found: 0, known: 3, counter_file };
                assert_eq!(error, missing.at(&path), "{what}");
            }
            fs::remove_file(counter_path(&path)).unwrap();
            assert_eq!(open(&path), Ok(0), "{what}: opens once the user removes the counter file");
        }
    }

    // faults.md: R71
    #[test]
    fn torn_end_is_cut_off_and_low_counter_file_is_accepted() {
        let (_dir, path) = crashed(0..3);
        let bytes = fs::read(log(&path)).unwrap();
        fs::write(log(&path), &bytes[..bytes.len() - 1]).unwrap();
        fs::write(counter_path(&path), line(2)).unwrap();
        assert_eq!(open(&path), Ok(2));
        let (_dir, path) = crashed(0..3);
        fs::write(counter_path(&path), "").unwrap();
        assert_eq!(open(&path), Ok(3));
    }

    #[test]
    fn damaged_counter_file_is_reported() {
        for bit in 0..line(3).len() * 8 {
            let dir = tempfile::tempdir().unwrap();
            let mut bytes = line(3).into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let path = dir.path().join("d");
            fs::write(counter_path(&path), bytes).unwrap();
            assert!(matches!(known(&path).unwrap_err().cause, StoreErrorCause::CommitsDamaged), "{bit}");
        }
    }

    #[test]
    fn commit_empties_log_that_grew_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        let (db, mut counter) = database::open(&path, &KIND).unwrap();
        let text = "x".repeat(100_000);
        let mut longest = 0;
        for _ in 0..100 {
            let insert = |tx: &Transaction<'_>| tx.execute("INSERT INTO t VALUES (1, ?1)", [&text]).map(drop);
            counter.commit(&db, insert).unwrap();
            longest = longest.max(fs::metadata(log(&path)).unwrap().len());
        }
        assert!((4_000_000..4_500_000).contains(&longest), "{longest}");
        drop(db);
        assert!(!log(&path).exists(), "a clean close leaves no log");
        assert_eq!(open(&path), Ok(100));
    }
}
