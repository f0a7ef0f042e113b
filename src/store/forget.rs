//! Erasing letters of the history, while the process that writes it may be running.
//!
//! SQLite leaves what was deleted in its file and its log, and copies of rows where it has moved
//! them. Therefore rows are overwritten as they are deleted, the file is then written again without
//! them, and the log is emptied.
//!
//! What has not ended stays: letters that wait in the outbox, refusals that were not told, letters
//! that were not shown. Of a letter that its relay has accepted and its recipient does not have
//! yet, the text goes and the rest stays, so that its end is still known. The watermarks stay too:
//! by them a letter that comes again is known.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::database::{self, phrase};
use super::history::KIND;
use super::letter_rows::{self, RECEIVED};
use super::member::member_dir;
use super::outgoing;
use crate::base::{HostPort, Name, Phrase, Wall};
use crate::client::letter_cost;

/// Rows erased in one transaction: 16 MiB of the longest letters, which the process that writes
/// waits for.
const ROWS_AT_ONCE: u32 = 256;

/// A letter that may go: it was seen, or has come to its end and its writer knows.
const ENDED: &str = "(way = 1 AND shown IS NOT 0
    OR way = 0 AND refused IS NULL AND number <= coalesce(delivered, 0)
    OR way = 0 AND refused IS NOT NULL AND shown IS NOT 0)";
/// A letter in a mailbox, whose text is still here.
const IN_MAILBOX: &str = "(way = 0 AND refused IS NULL AND number > coalesce(delivered, 0)
    AND number <= coalesce(accepted, 0) AND via IS NOT 'erased')";
/// A letter that waits in the outbox, or of whose refusal its writer does not know.
const WAITING: &str =
    "(way = 0 AND refused IS NULL AND number > max(coalesce(delivered, 0), coalesce(accepted, 0))
    OR way = 0 AND refused IS NOT NULL AND shown IS 0)";
/// A letter that was not shown.
const UNSEEN: &str = "(way = 1 AND shown IS 0)";
/// The letters asked for: of a member at a relay, or of all; older than a time, or all. A time that
/// no clock can show is in the future.
const ASKED_FOR: &str = "FROM letters JOIN peers ON peers.id = letters.peer
    LEFT JOIN conversations ON conversations.peer = letters.peer AND conversations.outbox_id = letters.outbox
    WHERE (?1 IS NULL OR (relay = ?1 AND member = ?2)) AND (?3 IS NULL OR (at >= 0 AND at < ?3))";

/// Which letters to erase.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Those exchanged with this member at this relay; `None` for everybody.
    pub with: Option<(HostPort, Name)>,
    /// Those from before this time; `None` for all.
    pub before: Option<Wall>,
}

/// Letters by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// They can be erased, or were.
    pub erased: u64,
    /// They stay, because they have not come to their end.
    pub waiting: u64,
    /// They stay, because they were not shown.
    pub unseen: u64,
}

/// A member's letters, open for erasing.
#[derive(Debug)]
pub struct Eraser {
    path: PathBuf,
    db: Connection,
}

impl Eraser {
    /// Opens the letters of the member whose folder is `folder`; `None` if nothing was ever kept.
    ///
    /// # Errors
    /// As [`super::MemberStore::open`], of the database.
    pub fn open(data_dir: &Path, folder: &str) -> Result<Option<Eraser>, Phrase> {
        let dir = member_dir(data_dir, folder);
        let path = dir.join("letters.sqlite");
        let Some(db) = database::open_beside(&path, &KIND)? else { return Ok(None) };
        let told = |error: rusqlite::Error| phrase(&path, &error);
        db.pragma_update(None, "secure_delete", true).map_err(told)?;
        // The remaining rows pass through a temporary file of SQLite, which must not be more public
        // than this folder.
        db.pragma_update(None, "temp_store_directory", dir.display().to_string()).map_err(told)?;
        Ok(Some(Eraser { path, db }))
    }

    /// Returns what [`Eraser::erase`] would do.
    ///
    /// # Errors
    /// The database is damaged or cannot be read.
    pub fn count(&self, which: &Which) -> Result<Count, Phrase> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        let select = format!(
            "SELECT count(*) FILTER (WHERE ({ENDED} OR {IN_MAILBOX}) AND via IS NOT 'erased'),
                count(*) FILTER (WHERE {WAITING}), count(*) FILTER (WHERE {UNSEEN}) {ASKED_FOR}"
        );
        let (relay, member, before) = which.as_params();
        let count = self.db.query_row(&select, params![relay, member, before], |row| {
            let [erased, waiting, unseen] = [row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?];
            Ok(Count { erased: erased as u64, waiting: waiting as u64, unseen: unseen as u64 })
        });
        count.map_err(told)
    }

    /// Erases letters, some at a time. [`Eraser::finish`] has to follow, whatever becomes of this.
    ///
    /// # Errors
    /// The database is damaged or cannot be written; then some may be erased.
    pub fn erase(&mut self, which: &Which) -> Result<Count, Phrase> {
        let stays = self.count(which)?;
        let (mut behind, mut erased) = (0, 0);
        loop {
            let told = |error: rusqlite::Error| phrase(&self.path, &error);
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
            let rows = find(&tx, which, behind).map_err(told)?;
            let newest = "SELECT coalesce(max(id), 0) FROM letters";
            let newest = tx.query_row(newest, [], |row| row.get::<_, i64>(0)).map_err(told)?;
            for row in &rows {
                erase(&tx, row, row.place == newest).map_err(told)?;
                erased += u64::from(!row.was_erased);
            }
            tx.commit().map_err(told)?;
            match rows.last() {
                Some(last) => behind = last.place,
                None => return Ok(Count { erased, ..stays }),
            }
        }
    }

    /// Leaves no copy of what was erased in the file or its log.
    ///
    /// # Errors
    /// `history-in-use` (`file`) if another process reads an old state of the file: then the log is
    /// left as it is. Or the database cannot be written.
    pub fn finish(self) -> Result<(), Phrase> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        self.db.execute_batch("VACUUM").map_err(told)?;
        let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.db.query_row(empty, [], |row| row.get::<_, bool>(0)).map_err(told)?;
        if busy { Err(Phrase::new("history-in-use").with("file", self.path.display())) } else { Ok(()) }
    }
}

impl Which {
    fn as_params(&self) -> (Option<String>, Option<&str>, Option<i64>) {
        let (relay, member) =
            self.with.as_ref().map(|(relay, member)| (relay.to_string(), member.as_str())).unzip();
        (relay, member, self.before.map(|at| i64::try_from(at.0).unwrap_or(i64::MAX)))
    }
}

/// A letter that goes, or its text.
struct Doomed {
    place: i64,
    key: letter_rows::Key,
    text_len: u64,
    /// It has ended: nothing of it is needed.
    ended: bool,
    /// Its text went before.
    was_erased: bool,
}

fn find(tx: &Transaction<'_>, which: &Which, behind: i64) -> rusqlite::Result<Vec<Doomed>> {
    let select = format!(
        "SELECT letters.id, letters.peer, way, outbox, number, octet_length(coalesce(text, '')), {ENDED},
            via IS 'erased' {ASKED_FOR} AND letters.id > ?4 AND ({ENDED} OR {IN_MAILBOX})
            ORDER BY letters.id LIMIT ?5"
    );
    let mut select = tx.prepare_cached(&select)?;
    let (relay, member, before) = which.as_params();
    let rows = select.query_map(params![relay, member, before, behind, ROWS_AT_ONCE], |row| {
        let [outbox, number, len] = [row.get::<_, i64>(3)?, row.get(4)?, row.get(5)?].map(|n| n as u64);
        Ok(Doomed {
            place: row.get(0)?,
            key: letter_rows::Key { peer: row.get(1)?, way: row.get(2)?, outbox, number },
            text_len: len,
            ended: row.get(6)?,
            was_erased: row.get(7)?,
        })
    })?;
    rows.collect()
}

/// Erases one letter. The newest row stays without its text, so that its place is never another
/// letter's.
fn erase(tx: &Transaction<'_>, row: &Doomed, is_newest: bool) -> rusqlite::Result<()> {
    let goes = row.ended && !is_newest;
    outgoing::remove_at(tx, row.place)?;
    if goes {
        tx.prepare_cached("DELETE FROM letters WHERE id = ?1")?.execute([row.place])?;
    } else {
        letter_rows::erase_text(tx, row.place)?;
    }
    if row.key.way == RECEIVED {
        let freed = row.text_len + if goes { letter_cost(0) } else { 0 };
        let free = "UPDATE senders SET held = max(0, held - ?3) WHERE peer = ?1 AND outbox = ?2";
        tx.prepare_cached(free)?.execute((row.key.peer, row.key.outbox as i64, freed as i64))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
