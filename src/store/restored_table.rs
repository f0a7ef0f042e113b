//! The origin of a relay's database that was restored from a backup. Other databases do not have
//! this table.

use rusqlite::{Connection, params};

use super::checksums::{Checksum, checksum, unsigned};
use crate::base::Wall;
use crate::relay::Restored;

const SCHEMA: &str = "
DROP TABLE IF EXISTS restored;
CREATE TABLE restored(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  missing_since INTEGER NOT NULL,
  clock INTEGER NOT NULL,
  seq_floor INTEGER NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Writes the row in place of one of an earlier restore.
pub(super) fn write(db: &Connection, restored: &Restored) -> rusqlite::Result<()> {
    let Restored { missing_since, clock, seq_floor } = *restored;
    db.execute_batch(SCHEMA)?;
    let put = "INSERT INTO restored(one, missing_since, clock, seq_floor, sum) VALUES (1, ?1, ?2, ?3, ?4)";
    let numbers = [missing_since.0, clock, seq_floor];
    let [missing_since, clock, seq_floor] = numbers.map(|number| number as i64);
    db.execute(put, params![missing_since, clock, seq_floor, row_checksum(numbers)])?;
    Ok(())
}

/// Reads the row, if the database was restored. Returns `Some(None)` for a damaged row.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Option<Restored>>> {
    let has = "SELECT count(*) FROM sqlite_schema WHERE name = 'restored'";
    if db.query_row(has, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let select = "SELECT missing_since, clock, seq_floor, sum FROM restored";
    db.query_row(select, [], |row| {
        let numbers = [unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?];
        let is_whole = row.get::<_, Checksum>(3)? == row_checksum(numbers);
        let [missing_since, clock, seq_floor] = numbers;
        let missing_since = Wall(missing_since);
        Ok(Some(is_whole.then_some(Restored { missing_since, clock, seq_floor })))
    })
}

fn row_checksum(numbers: [u64; 3]) -> Checksum {
    checksum("restored", &[], &numbers, &[])
}
