//! Unused names and their registration times. A name is removed once a letter is written to or by
//! its member. The relay frees the remaining names after a while.

use rusqlite::{Connection, Transaction, params};

use super::checksums::{Checksum, checksum, unsigned};
use super::members_table::add_one;
use crate::base::{Name, PublicKey};

/// `since` is in milliseconds of the relay's own clock.
pub(super) const SCHEMA: &str = "
CREATE TABLE unused(
  name TEXT PRIMARY KEY NOT NULL,
  since INTEGER NOT NULL,
  sum BLOB NOT NULL
) STRICT, WITHOUT ROWID;";

/// Adds a member whose name is unused. Returns `false` if the name has another key, which is then
/// kept. A member that exists already is left unchanged.
pub(super) fn add_member(
    tx: &Transaction<'_>,
    name: &Name,
    key: &PublicKey,
    since: u64,
) -> rusqlite::Result<bool> {
    let known = "SELECT 1 FROM members WHERE name = ?1";
    if !tx.prepare_cached(known)?.exists([name.as_str()])? {
        let put = "INSERT OR REPLACE INTO unused(name, since, sum) VALUES (?1, ?2, ?3)";
        let row = params![name.as_str(), since as i64, row_checksum(name.as_str(), since)];
        tx.prepare_cached(put)?.execute(row)?;
    }
    add_one(tx, name, key)
}

/// Removes a name that is in use, or whose member is gone.
pub(super) fn remove(tx: &Transaction<'_>, name: &Name) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM unused WHERE name = ?1")?.execute([name.as_str()]).map(drop)
}

/// Reads all unused names. Returns `None` if a row is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<(Name, u64)>>> {
    let mut select = db.prepare("SELECT name, since, sum FROM unused ORDER BY name")?;
    let rows = select.query_map([], |row| {
        let name: String = row.get(0)?;
        let since = unsigned(row, 1)?;
        let is_whole = row.get::<_, Checksum>(2)? == row_checksum(&name, since);
        Ok(name.parse().ok().filter(|_| is_whole).map(|name| (name, since)))
    })?;
    rows.collect()
}

fn row_checksum(name: &str, since: u64) -> Checksum {
    checksum("unused", &[name], &[since], &[])
}
