//! How commits reach the disk: counted, so that a start notices when some are gone; and moved from SQLite's log into
//! the database here, where an error of that is seen.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong. After a crash this cuts off the torn last commit,
//! as it should; but a flipped bit in the middle, or a log that is gone, cuts off commits that were durable, and nothing
//! says so. Therefore each commit raises a number in the database, and once it is durable, that number goes to a small
//! file beside it, without a sync of its own. After a power cut that file may tell too little, never too much: a
//! database with fewer commits than it tells has lost some, or is an old copy. What this cannot see is a bit that
//! flipped in commits made within the last seconds before a power cut, which looks like a torn end.
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

use super::database::{fault, phrase};
use super::files::{io_phrase, open_private, read_small, sync_folder_of};
use super::sums::sum;
use super::worker::Fault;
use crate::base::Phrase;

/// Pages in the log from which on a commit moves them into the database: 4 MiB of 4 KiB pages, SQLite's own default.
const LOG_PAGES: i32 = 1_000;

/// Whoever reads the number while it is written may get half of it, but not so often in a row.
const READS: u32 = 4;

/// The number in the database, made beside whatever layout it has.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS commits(one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO commits(one, number) VALUES (1, 0);";

/// Counts the commits of one open database, and empties its log.
#[derive(Debug)]
pub(super) struct Commits {
    path: PathBuf,
    /// None in memory.
    beside: Option<File>,
    log_pages: Arc<AtomicI32>,
}

impl Commits {
    /// Begins with a database that was just opened, after [`keep_log`]. From now on its log is emptied when it is closed.
    ///
    /// Errors: those of [`check`].
    pub(super) fn open(path: &Path, db: &mut Connection) -> Result<Commits, Phrase> {
        let told = |error: rusqlite::Error| phrase(path, &error);
        check(path, db)?;
        let beside_path = beside(path);
        let is_new = !beside_path.exists();
        let beside = open_private(&beside_path).map_err(|error| io_phrase(&beside_path, &error))?;
        if is_new {
            sync_folder_of(path).map_err(|error| io_phrase(&beside_path, &error))?;
        }
        db.pragma_update(None, "wal_autocheckpoint", 0).map_err(told)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&log_pages);
        let note = move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        };
        db.wal_hook(Some(note)).map_err(told)?;
        db.execute_batch(TABLE).map_err(told)?;
        let commits = Commits { path: path.to_owned(), beside: Some(beside), log_pages };
        // Pages whose sync failed in an earlier run are written anew by this, and synced. A full disk can wait.
        if let Err(Fault::Broken(why)) = commits.settle(db, false) {
            return Err(why);
        }
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(told)?;
        Ok(commits)
    }

    /// Begins with a database in memory.
    pub(super) fn in_memory(db: &Connection) -> rusqlite::Result<Commits> {
        db.execute_batch(TABLE)?;
        Ok(Commits { path: PathBuf::from(":memory:"), beside: None, log_pages: Arc::default() })
    }

    /// Makes durable what `apply` writes, or nothing of it.
    ///
    /// Errors: [`Fault::Passing`] if there was no room or a foreign lock; [`Fault::Broken`] if the disk failed at this
    /// commit, or at moving earlier ones into the database.
    pub(super) fn commit(
        &mut self,
        db: &mut Connection,
        apply: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Fault> {
        let committed = (|| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            apply(&tx)?;
            let add = "UPDATE commits SET number = number + 1 RETURNING number";
            let number = tx.prepare_cached(add)?.query_row([], |row| row.get::<_, i64>(0))?;
            tx.commit()?;
            Ok(number)
        })();
        match committed {
            Ok(number) => self.note(number as u64),
            Err(error) => {
                let fault = fault(&self.path, &error);
                // In a full disk the log's room may be all there is: what is in it moves on.
                self.settle(db, matches!(fault, Fault::Broken(_)))?;
                return Err(fault);
            }
        }
        if self.log_pages.load(Ordering::Relaxed) >= LOG_PAGES { self.settle(db, false) } else { Ok(()) }
    }

    /// Empties the log into the database; if the disk is broken already, leaves both for the next start.
    fn settle(&self, db: &Connection, is_broken: bool) -> Result<(), Fault> {
        let emptied = if is_broken || self.beside.is_none() { Ok(()) } else { empty_log(db) };
        let emptied = emptied.map_err(|error| fault(&self.path, &error));
        if is_broken || matches!(emptied, Err(Fault::Broken(_))) {
            // What fails here leaves SQLite to try once more when it closes.
            let _ = keep_log(db);
        }
        match emptied {
            Err(Fault::Broken(why)) => Err(Fault::Broken(why)),
            // The commits are durable in the log, which is emptied when there is room.
            Err(Fault::Passing(_)) | Ok(()) => Ok(()),
        }
    }

    fn note(&self, number: u64) {
        if let Some(beside) = &self.beside {
            // It only guards: a number that cannot be written tells too little, which is allowed.
            let _ = beside.write_all_at(line(number).as_bytes(), 0);
        }
    }
}

/// Leaves the log as it is when the database is closed: what was found damaged, or failed to sync, stays to be looked at.
pub(super) fn keep_log(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Whether the database has all commits that are known of. To be asked with `found` counted after `known` was read, as
/// others may write meanwhile.
///
/// Errors: `store-commits-missing`.
fn compare(path: &Path, known: u64, found: u64) -> Result<(), Phrase> {
    if found >= known {
        return Ok(());
    }
    Err(Phrase::new("store-commits-missing")
        .with("file", path.display())
        .with("found", found)
        .with("known", known)
        .with("beside", beside(path).display()))
}

/// Whether a database that is not there may be made.
///
/// Errors: as [`check`].
pub(super) fn check_none(path: &Path) -> Result<(), Phrase> {
    compare(path, known(path)?, 0)
}

/// Whether an open database has all commits that are known of; others may be writing to it.
///
/// Errors: `store-commits-missing` (`file`, `found`, `known`, `beside`), `store-commits-damaged`, or what the system says.
pub(super) fn check(path: &Path, db: &Connection) -> Result<(), Phrase> {
    let known = known(path)?;
    compare(path, known, count(db).map_err(|error| phrase(path, &error))?)
}

/// The number beside the database; 0 if there is none.
fn known(path: &Path) -> Result<u64, Phrase> {
    let beside = beside(path);
    for _ in 0..READS {
        let Some((_, bytes)) = read_small(&beside)? else { return Ok(0) };
        // A crash at its making, or a full disk, left it empty.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(0);
        }
        let number = str::from_utf8(&bytes).ok().and_then(|text| text.get(..20)?.parse().ok());
        if let Some(number) = number.filter(|number| bytes == line(*number).as_bytes()) {
            return Ok(number);
        }
    }
    Err(Phrase::new("store-commits-damaged").with("file", beside.display()))
}

fn count(db: &Connection) -> rusqlite::Result<u64> {
    let has = "SELECT count(*) FROM sqlite_schema WHERE name = 'commits'";
    match db.query_row(has, [], |row| row.get(0))? {
        0 => Ok(0),
        _ => db.query_row("SELECT number FROM commits", [], |row| row.get::<_, i64>(0)).map(|n| n as u64),
    }
}

fn empty_log(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-commits");
    name.into()
}

fn line(number: u64) -> String {
    let sum = u64::from_be_bytes(sum("commits", &[], &[number], &[]));
    format!("{number:020} {sum:016x}\n")
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

    /// As many commits as numbers, the process dies, and these are the files.
    fn crashed(numbers: std::ops::Range<u32>) -> (tempfile::TempDir, PathBuf) {
        let (dir, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut db, mut commits) = database::open(&whole.path().join("d"), &KIND).unwrap();
        for n in numbers {
            add(&mut commits, &mut db, n).unwrap();
        }
        for file in fs::read_dir(whole.path()).unwrap().map(|file| file.unwrap().file_name()) {
            fs::copy(whole.path().join(&file), dir.path().join(&file)).unwrap();
        }
        let path = dir.path().join("d");
        (dir, path)
    }

    fn add(commits: &mut Commits, db: &mut Connection, n: u32) -> Result<(), Fault> {
        commits.commit(db, |tx| tx.execute("INSERT INTO t VALUES (?1, 'text')", [n]).map(drop))
    }

    fn open(path: &Path) -> Result<u32, Phrase> {
        let (db, _commits) = database::open(path, &KIND)?;
        Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap())
    }

    fn log(path: &Path) -> PathBuf {
        path.with_file_name("d-wal")
    }

    fn files(path: &Path) -> Vec<Option<Vec<u8>>> {
        [path.to_owned(), log(path), beside(path)].map(|file| fs::read(file).ok()).into()
    }

    #[test]
    fn row_71_no_flipped_bit_in_the_log_is_passed_over() {
        let (_dir, path) = crashed(0..4);
        let (whole, len) = (files(&path), fs::metadata(log(&path)).unwrap().len() as usize);
        let mut missed = 0;
        for bit in (0..len * 8).step_by(1_009) {
            let mut bytes = whole[1].clone().unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, whole[0].as_ref().unwrap()).unwrap();
            fs::write(log(&path), bytes).unwrap();
            fs::write(beside(&path), whole[2].as_ref().unwrap()).unwrap();
            let _ = fs::remove_file(path.with_file_name("d-shm"));
            let harmed = files(&path);
            match open(&path) {
                Ok(found) => assert_eq!(found, 4, "{bit}"),
                Err(error) => {
                    assert!(["store-commits-missing", "store-database-damaged"].contains(&error.key()));
                    assert_eq!(error.args()[0].1, path.display().to_string());
                    assert_eq!(files(&path), harmed, "all is left as it was");
                    missed += 1;
                }
            }
        }
        assert!(missed > 40, "{missed}");
    }

    #[test]
    fn row_71_a_log_or_a_database_that_is_gone_or_old_is_named() {
        type Harm = fn(&Path);
        let table: [(&str, Harm); 3] = [
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
                assert_eq!(error.key(), "store-commits-missing", "{what}");
                let told: Vec<&str> = error.args().iter().map(|arg| arg.1.as_str()).collect();
                assert_eq!(told[1..], ["0", "3", &beside(&path).display().to_string()], "{what}");
            }
            fs::remove_file(beside(&path)).unwrap();
            assert_eq!(open(&path), Ok(0), "{what}: the user goes on without");
        }
    }

    #[test]
    fn row_71_a_torn_end_is_cut_off_and_a_number_that_tells_too_little_is_believed() {
        let (_dir, path) = crashed(0..3);
        let bytes = fs::read(log(&path)).unwrap();
        fs::write(log(&path), &bytes[..bytes.len() - 1]).unwrap();
        fs::write(beside(&path), line(2)).unwrap();
        assert_eq!(open(&path), Ok(2));
        let (_dir, path) = crashed(0..3);
        fs::write(beside(&path), "").unwrap();
        assert_eq!(open(&path), Ok(3));
    }

    #[test]
    fn a_number_that_cannot_be_read_is_named() {
        for bit in 0..line(3).len() * 8 {
            let (dir, mut bytes) = (tempfile::tempdir().unwrap(), line(3).into_bytes());
            bytes[bit / 8] ^= 1 << (bit % 8);
            let path = dir.path().join("d");
            fs::write(beside(&path), bytes).unwrap();
            assert_eq!(known(&path).unwrap_err().key(), "store-commits-damaged", "{bit}");
        }
    }

    #[test]
    fn a_long_log_is_emptied_by_the_commit_that_made_it_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        let (mut db, mut commits) = database::open(&path, &KIND).unwrap();
        let (text, mut longest) = ("x".repeat(100_000), 0);
        for _ in 0..100 {
            let insert = |tx: &Transaction<'_>| tx.execute("INSERT INTO t VALUES (1, ?1)", [&text]).map(drop);
            commits.commit(&mut db, insert).unwrap();
            longest = longest.max(fs::metadata(log(&path)).unwrap().len());
        }
        assert!((4_000_000..4_500_000).contains(&longest), "{longest}");
        drop(db);
        assert!(!log(&path).exists(), "a clean end leaves none");
        assert_eq!(open(&path), Ok(100));
    }
}
