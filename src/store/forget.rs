//! Erases letters of the history, also while the process that writes it is running.
//!
//! SQLite leaves deleted data in its file and log, and copies of rows that it has moved. Therefore
//! deleted rows are overwritten, the file is rewritten without them, and the log is emptied.
//!
//! Invariant: unfinished letters stay. These are letters waiting in the outbox, unreported
//! refusals, and letters not yet shown. A letter that was accepted but not delivered loses its text
//! only, so that its outcome is still recorded. The watermarks stay too, because they identify
//! repeated letters.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::database::{self, sqlite_error};
use super::diagnose::diagnose;
use super::error::{StoreError, StoreErrorCause};
use super::history::KIND;
use super::letter_rows::{self, RECEIVED};
use super::member::member_dir;
use super::outgoing;
use crate::base::{HostPort, Name, Wall};
use crate::client::letter_cost;

/// Maximum rows erased in one transaction: 16 MiB of the longest letters. The writing process waits
/// for it.
const ROWS_AT_ONCE: u32 = 256;

/// A letter that can be deleted: it was shown, or it is finished and its sender was notified.
const ENDED: &str = "(way = 1 AND shown IS NOT 0
    OR way = 0 AND refused IS NULL AND number <= coalesce(delivered, 0)
    OR way = 0 AND refused IS NOT NULL AND shown IS NOT 0)";
/// A letter in a mailbox whose text is still stored here.
const IN_MAILBOX: &str = "(way = 0 AND refused IS NULL AND number > coalesce(delivered, 0)
    AND number <= coalesce(accepted, 0) AND via IS NOT 'erased')";
/// A letter waiting in the outbox, or with an unreported refusal.
const WAITING: &str =
    "(way = 0 AND refused IS NULL AND number > max(coalesce(delivered, 0), coalesce(accepted, 0))
    OR way = 0 AND refused IS NOT NULL AND shown IS 0)";
/// A letter that was not shown.
const UNSEEN: &str = "(way = 1 AND shown IS 0)";
/// The selected letters: of one member at one relay, or of all; older than a time, or all. A
/// negative time is later than any clock can show.
const ASKED_FOR: &str = "FROM letters JOIN peers ON peers.id = letters.peer
    LEFT JOIN conversations ON conversations.peer = letters.peer AND conversations.outbox_id = letters.outbox
    WHERE (?1 IS NULL OR (relay = ?1 AND member = ?2)) AND (?3 IS NULL OR (at >= 0 AND at < ?3))";

/// Selection of letters to erase.
#[derive(Clone, Debug, Default)]
pub struct EraseFilter {
    /// Letters exchanged with this member at this relay; `None` selects all.
    pub with: Option<(HostPort, Name)>,
    /// Letters from before this time; `None` selects all.
    pub before: Option<Wall>,
}

/// Number of letters by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseCounts {
    /// Letters that can be erased, or were.
    pub erased: u64,
    /// Letters that stay because they are unfinished.
    pub waiting: u64,
    /// Letters that stay because they were not shown.
    pub unseen: u64,
}

/// A member's letters, open for erasing.
#[derive(Debug)]
pub struct Eraser {
    path: PathBuf,
    db: Connection,
}

impl Eraser {
    /// Opens the letters of the member whose folder is `folder`. Returns `None` if no letters were
    /// ever stored.
    ///
    /// # Errors
    /// As [`super::MemberStore::open`], for the database.
    pub fn open(data_dir: &Path, folder: &str) -> Result<Option<Eraser>, StoreError> {
        let dir = member_dir(data_dir, folder);
        let path = dir.join("letters.sqlite");
        let Some(db) = database::open_second(&path, &KIND)? else { return Ok(None) };
        let to_error = |error: rusqlite::Error| sqlite_error(&path, &error);
        db.pragma_update(None, "secure_delete", true).map_err(to_error)?;
        // The remaining rows pass through a temporary file of SQLite, which must be as private as
        // this folder.
        db.pragma_update(None, "temp_store_directory", dir.display().to_string())
            .map_err(|error| diagnose(&path).unwrap_or_else(|| to_error(error)))?;
        Ok(Some(Eraser { path, db }))
    }

    /// Returns the result that [`Eraser::erase`] would have.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn count(&self, filter: &EraseFilter) -> Result<EraseCounts, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let select = format!(
            "SELECT count(*) FILTER (WHERE ({ENDED} OR {IN_MAILBOX}) AND via IS NOT 'erased'),
                count(*) FILTER (WHERE {WAITING}), count(*) FILTER (WHERE {UNSEEN}) {ASKED_FOR}"
        );
        let (relay, member, before) = filter.as_params();
        let count = self.db.query_row(&select, params![relay, member, before], |row| {
            let [erased, waiting, unseen] = [row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?];
            Ok(EraseCounts { erased: erased as u64, waiting: waiting as u64, unseen: unseen as u64 })
        });
        count.map_err(to_error)
    }

    /// Erases letters in batches. [`Eraser::finish`] must follow, even after an error.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system. Some letters may be erased then.
    pub fn erase(&mut self, filter: &EraseFilter) -> Result<EraseCounts, StoreError> {
        let kept_count = self.count(filter)?;
        let mut behind = 0;
        let mut erased = 0;
        loop {
            let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(to_error)?;
            let rows = find(&tx, filter, behind).map_err(to_error)?;
            let newest = "SELECT coalesce(max(id), 0) FROM letters";
            let newest = tx.query_row(newest, [], |row| row.get::<_, i64>(0)).map_err(to_error)?;
            for row in &rows {
                erase(&tx, row, row.seq == newest).map_err(to_error)?;
                erased += u64::from(!row.was_erased);
            }
            tx.commit().map_err(to_error)?;
            match rows.last() {
                Some(last) => behind = last.seq,
                None => return Ok(EraseCounts { erased, ..kept_count }),
            }
        }
    }

    /// Removes all copies of erased letters from the file and its log.
    ///
    /// # Errors
    /// Returns `HistoryInUse` if another process reads an old state of the file, and
    /// leaves the log unchanged. Returns another error if the database cannot be written.
    pub fn finish(self) -> Result<(), StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        self.db.execute_batch("VACUUM").map_err(to_error)?;
        let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.db.query_row(empty, [], |row| row.get::<_, bool>(0)).map_err(to_error)?;
        if busy { Err(StoreErrorCause::HistoryInUse.at(&self.path)) } else { Ok(()) }
    }
}

impl EraseFilter {
    fn as_params(&self) -> (Option<String>, Option<&str>, Option<i64>) {
        let (relay, member) =
            self.with.as_ref().map(|(relay, member)| (relay.to_string(), member.as_str())).unzip();
        (relay, member, self.before.map(|at| i64::try_from(at.0).unwrap_or(i64::MAX)))
    }
}

/// A letter that is deleted, or loses its text.
struct ErasableRow {
    seq: i64,
    key: letter_rows::Key,
    text_len: u64,
    /// Whether it is finished, so that the whole row can be deleted.
    ended: bool,
    /// Whether its text was erased before.
    was_erased: bool,
}

fn find(tx: &Transaction<'_>, filter: &EraseFilter, behind: i64) -> rusqlite::Result<Vec<ErasableRow>> {
    let select = format!(
        "SELECT letters.id, letters.peer, way, outbox, number, octet_length(coalesce(text, '')), {ENDED},
            via IS 'erased' {ASKED_FOR} AND letters.id > ?4 AND ({ENDED} OR {IN_MAILBOX})
            ORDER BY letters.id LIMIT ?5"
    );
    let mut select = tx.prepare_cached(&select)?;
    let (relay, member, before) = filter.as_params();
    let rows = select.query_map(params![relay, member, before, behind, ROWS_AT_ONCE], |row| {
        let [outbox, number, len] = [row.get::<_, i64>(3)?, row.get(4)?, row.get(5)?].map(|n| n as u64);
        Ok(ErasableRow {
            seq: row.get(0)?,
            key: letter_rows::Key { peer: row.get(1)?, way: row.get(2)?, outbox, number },
            text_len: len,
            ended: row.get(6)?,
            was_erased: row.get(7)?,
        })
    })?;
    rows.collect()
}

/// Erases one letter. The newest row stays without its text, so that its sequence number is never
/// reused.
fn erase(tx: &Transaction<'_>, row: &ErasableRow, is_newest: bool) -> rusqlite::Result<()> {
    let is_removed = row.ended && !is_newest;
    outgoing::remove_at(tx, row.seq)?;
    if is_removed {
        tx.prepare_cached("DELETE FROM letters WHERE id = ?1")?.execute([row.seq])?;
    } else {
        letter_rows::erase_text(tx, row.seq)?;
    }
    if row.key.way == RECEIVED {
        let freed = row.text_len + if is_removed { letter_cost(0) } else { 0 };
        let free = "UPDATE senders SET held = max(0, held - ?3) WHERE peer = ?1 AND outbox = ?2";
        tx.prepare_cached(free)?.execute((row.key.peer, row.key.outbox as i64, freed as i64))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
