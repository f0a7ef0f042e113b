//! The owner key of each name at a relay. The mail is in [`super::mail_table`], other state of
//! members in [`super::membership_table`].
//!
//! Invariant: each row has a checksum, because SQLite has none over rows. Without it a flipped bit
//! could leave a name without an owner, or give it to another one.

use std::path::Path;

use blake2::{Blake2s256, Digest};
use rusqlite::{Connection, Transaction};

use super::checksums::{CHECKSUM_LEN, Checksum};
use super::database::{damaged, sqlite_error};
use super::error::StoreError;
use crate::base::{Name, PublicKey};

/// One tree without a second index, so that a row is found by the same bytes that its `sum` covers.
pub(super) const SCHEMA: &str = "
CREATE TABLE members(
  name TEXT PRIMARY KEY NOT NULL,
  key BLOB NOT NULL,
  sum BLOB NOT NULL,
  added INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;";

/// Reads every member, ordered by name.
///
/// # Errors
/// Returns `Damaged`, or an error of the system.
pub(super) fn read_members(db: &Connection, path: &Path) -> Result<Vec<(Name, PublicKey)>, StoreError> {
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let select = "SELECT name, key, sum FROM members ORDER BY name";
    let mut select = db.prepare(select).map_err(to_error)?;
    let mut rows = select.query([]).map_err(to_error)?;
    let mut members = Vec::<(Name, PublicKey)>::new();
    while let Some(row) = rows.next().map_err(to_error)? {
        let name: String = row.get(0).map_err(to_error)?;
        let key: [u8; 32] = row.get(1).map_err(to_error)?;
        let checksum: Checksum = row.get(2).map_err(to_error)?;
        let is_whole = checksum == row_checksum(&name, &key)
            && members.last().is_none_or(|(last, _)| last.as_str() < name.as_str());
        match name.parse() {
            Ok(name) if is_whole => members.push((name, PublicKey(key))),
            _ => return Err(damaged(path, format_args!("members: {name}"))),
        }
    }
    Ok(members)
}

/// Adds a member. Returns `false` if the name has another key, which is then kept.
pub(super) fn add_one(tx: &Transaction<'_>, name: &Name, key: &PublicKey) -> rusqlite::Result<bool> {
    let insert = "INSERT INTO members(name, key, sum) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let row = (name.as_str(), key.0, row_checksum(name.as_str(), &key.0));
    if tx.prepare_cached(insert)?.execute(row)? == 1 {
        return Ok(true);
    }
    let mut owner = tx.prepare_cached("SELECT key FROM members WHERE name = ?1")?;
    Ok(owner.query_row([name.as_str()], |row| row.get::<_, [u8; 32]>(0))? == key.0)
}

pub(super) fn row_checksum(name: &str, key: &[u8; 32]) -> Checksum {
    let hash = Blake2s256::new().chain_update(key).chain_update(name).finalize();
    *hash.first_chunk::<CHECKSUM_LEN>().expect("a hash has 32 bytes")
}
