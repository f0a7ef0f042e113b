//! Counts of waiting letters: one row for each outbox and recipient, written together with the
//! letters, so that a start need not count them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::checksums::{Checksum, checksum, unsigned};
use crate::base::{Mark, Name, OutboxId};
use crate::relay::{MailboxLetter, WaitingCount};

/// `last_number`, `last_since` and `last_mark` are maxima over all letters since the row was
/// created.
pub(super) const SCHEMA: &str = "
CREATE TABLE waiting(
  recipient TEXT NOT NULL,
  author TEXT NOT NULL,
  outbox INTEGER NOT NULL,
  letters INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  last_number INTEGER NOT NULL,
  last_since INTEGER NOT NULL,
  last_mark INTEGER NOT NULL,
  sum BLOB NOT NULL,
  PRIMARY KEY(recipient, author, outbox)
) STRICT, WITHOUT ROWID;";

/// Recipient, sender, outbox.
type Key = (String, String, u64);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    letters: i64,
    bytes: i64,
    last_number: u64,
    last_since: u64,
    last_mark: Mark,
}

/// Changes by one transaction, by recipient, sender and outbox.
#[derive(Debug, Default)]
pub(super) struct CountChanges {
    counts: BTreeMap<Key, Count>,
    /// Recipients whose letters must be counted from scratch, because the fields of a damaged
    /// letter are unreliable.
    to_recount: BTreeSet<String>,
}

impl CountChanges {
    /// Counts a letter that waits for `to`.
    pub(super) fn add(&mut self, to: &Name, letter: &MailboxLetter) {
        let key = (to.as_str().to_owned(), letter.from.as_str().to_owned(), letter.id.outbox.0);
        let count = self.counts.entry(key).or_default();
        count.letters += 1;
        count.bytes += letter.len as i64;
        count.last_number = count.last_number.max(letter.id.number);
        count.last_since = count.last_since.max(letter.stored_at);
        count.last_mark = count.last_mark.max(letter.mark);
    }

    /// Requests a new count for `to`, because one of its letters is known to be damaged.
    pub(super) fn recount(&mut self, to: &Name) {
        self.to_recount.insert(to.as_str().to_owned());
    }

    /// Counts a letter found in a mailbox.
    pub(super) fn add_read(&mut self, to: String, from: String, outbox: u64, len: u64) {
        let count = self.counts.entry((to, from, outbox)).or_default();
        count.letters += 1;
        count.bytes += len as i64;
    }

    /// Subtracts a letter of this length that no longer waits.
    pub(super) fn remove(&mut self, to: String, from: String, outbox: u64, len: u64) {
        let count = self.counts.entry((to, from, outbox)).or_default();
        count.letters -= 1;
        count.bytes -= len as i64;
    }

    /// Whether these letters, which must be all, match the counts in `waiting`.
    pub(super) fn agrees_with(mut self, waiting: &[WaitingCount]) -> bool {
        let mut agrees = |row: &WaitingCount| {
            let key = (row.to.as_str().to_owned(), row.from.as_str().to_owned(), row.outbox.0);
            match self.counts.entry(key) {
                Entry::Vacant(_) => false,
                Entry::Occupied(count) => {
                    let count = count.remove();
                    count.letters == row.letters as i64 && count.bytes == row.bytes as i64
                }
            }
        };
        waiting.iter().all(&mut agrees) && self.counts.is_empty()
    }

    /// Writes the changed rows.
    ///
    /// # Errors
    /// Returns errors of SQLite, also if a row is damaged.
    pub(super) fn write(mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let anew = std::mem::take(&mut self.to_recount);
        self.write_changes(tx)?;
        anew.iter().try_for_each(|to| recount(tx, to))
    }

    fn write_changes(self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        if self.counts.is_empty() {
            return Ok(());
        }
        let mut select = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM waiting {OF_FLOW}"))?;
        for (key, change) in self.counts {
            let flow = params![key.0, key.1, key.2 as i64];
            let stored = select.query_row(flow, |row| read_count(row, 0, &key)).optional()?;
            let before = stored.map_or(Some(Count::default()), |count| count);
            let Some(count) = before.and_then(|before| before.plus(change)) else {
                return Err(damaged(&key.0));
            };
            put(tx, &key, count)?;
        }
        Ok(())
    }
}

const COLUMNS: &str = "letters, bytes, last_number, last_since, last_mark, sum";
const OF_FLOW: &str = "WHERE recipient = ?1 AND author = ?2 AND outbox = ?3";

fn put(tx: &Transaction<'_>, key: &Key, count: Count) -> rusqlite::Result<()> {
    let to = &key.0;
    let from = &key.1;
    let outbox = key.2 as i64;
    if count.letters == 0 {
        let delete = format!("DELETE FROM waiting {OF_FLOW}");
        return tx.prepare_cached(&delete)?.execute(params![to, from, outbox]).map(drop);
    }
    let put = "INSERT OR REPLACE INTO waiting VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let [letters, bytes, number, since, mark] = count.numbers().map(|n| n as i64);
    let row = params![to, from, outbox, letters, bytes, number, since, mark, count.checksum(key)];
    tx.prepare_cached(put)?.execute(row).map(drop)
}

/// Counts the letters of one mailbox that are not known to be damaged. Fields of other damaged
/// letters may contain anything, so no new row is created from them.
fn recount(tx: &Transaction<'_>, to: &str) -> rusqlite::Result<()> {
    let select = "SELECT author, outbox, count(*), CAST(total(len) AS INTEGER) FROM letters
                  WHERE recipient = ?1 AND id NOT IN (SELECT id FROM damaged) GROUP BY author, outbox";
    let mut select = tx.prepare_cached(select)?;
    let mut cursor = select.query([to])?;
    let mut counts = BTreeMap::new();
    while let Some(row) = cursor.next()? {
        if let (Ok(from), Ok(outbox)) = (row.get::<_, String>(0), unsigned(row, 1)) {
            counts.insert((from, outbox), (row.get::<_, i64>(2)?, row.get::<_, i64>(3)?));
        }
    }
    let mut select =
        tx.prepare_cached(&format!("SELECT author, outbox, {COLUMNS} FROM waiting WHERE recipient = ?1"))?;
    let mut cursor = select.query([to])?;
    let mut rows = Vec::new();
    while let Some(row) = cursor.next()? {
        let key: Key = (to.to_owned(), row.get(0)?, unsigned(row, 1)?);
        let count = read_count(row, 2, &key)?.ok_or_else(|| damaged(to))?;
        let (letters, bytes) = counts.remove(&(key.1.clone(), key.2)).unwrap_or_default();
        rows.push((key, Count { letters, bytes, ..count }));
    }
    rows.iter().try_for_each(|(key, count)| put(tx, key, *count))
}

fn damaged(to: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, format!("waiting: {to}").into())
}

impl Count {
    /// Adds a change. Returns `None` if more letters would be removed than were counted.
    fn plus(self, change: Count) -> Option<Count> {
        let count = Count {
            letters: self.letters.checked_add(change.letters)?,
            bytes: self.bytes.checked_add(change.bytes)?,
            last_number: self.last_number.max(change.last_number),
            last_since: self.last_since.max(change.last_since),
            last_mark: self.last_mark.max(change.last_mark),
        };
        (count.letters >= 0 && count.bytes >= 0).then_some(count)
    }

    fn numbers(&self) -> [u64; 5] {
        let Count { last_number, last_since, last_mark, .. } = *self;
        [self.letters as u64, self.bytes as u64, last_number, last_since, last_mark.0.into()]
    }

    fn checksum(&self, key: &Key) -> Checksum {
        let [letters, bytes, number, since, mark] = self.numbers();
        checksum("waiting", &[&key.0, &key.1], &[key.2, letters, bytes, number, since, mark], &[])
    }
}

/// Reads the numbers from `column` on. Returns `None` if the row is damaged.
fn read_count(row: &rusqlite::Row<'_>, column: usize, key: &Key) -> rusqlite::Result<Option<Count>> {
    let [last_number, last_since] = [unsigned(row, column + 2)?, unsigned(row, column + 3)?];
    let last_mark = Mark(unsigned(row, column + 4)? as u32);
    let letters = row.get(column)?;
    let bytes = row.get(column + 1)?;
    let count = Count { letters, bytes, last_number, last_since, last_mark };
    let is_whole = row.get::<_, Checksum>(column + 5)? == count.checksum(key);
    Ok((is_whole && count.letters > 0 && count.bytes >= 0).then_some(count))
}

/// Reads every row. Returns `None` if one is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<WaitingCount>>> {
    let mut select = db.prepare(&format!("SELECT recipient, author, outbox, {COLUMNS} FROM waiting"))?;
    let rows = select.query_map([], |row| {
        let key: Key = (row.get(0)?, row.get(1)?, unsigned(row, 2)?);
        let Some(count) = read_count(row, 3, &key)? else { return Ok(None) };
        let names = key.0.parse().ok().zip(key.1.parse().ok());
        Ok(names.map(|(to, from)| WaitingCount {
            to,
            from,
            outbox: OutboxId(key.2),
            letters: count.letters as usize,
            bytes: count.bytes as usize,
            last_number: count.last_number,
            last_since: count.last_since,
            last_mark: count.last_mark,
        }))
    })?;
    rows.collect()
}
