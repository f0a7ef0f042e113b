//! Where the relay's sessions were last: a relay that starts again tells them that they are lost.

use std::net::SocketAddr;

use rusqlite::{Connection, Transaction, params};

use super::sums::{Sum, sum};
use crate::relay::SessionNote;

/// One row for each session; at most as many as the relay notes.
pub(super) const SCHEMA: &str = "
CREATE TABLE sessions(
  number INTEGER PRIMARY KEY,
  addr TEXT NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Takes sessions out and in.
pub(super) fn note(tx: &Transaction<'_>, noted: &[SessionNote], ended: &[u32]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM sessions WHERE number = ?1")?;
    for index in ended {
        delete.execute([index])?;
    }
    let put = "INSERT OR REPLACE INTO sessions(number, addr, sum) VALUES (?1, ?2, ?3)";
    let mut put = tx.prepare_cached(put)?;
    for note in noted {
        let addr = note.addr.to_string();
        put.execute(params![note.index, addr, row_sum(note.index, &addr)])?;
    }
    Ok(())
}

/// Every session; `None` if a row is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<SessionNote>>> {
    let mut select = db.prepare("SELECT number, addr, sum FROM sessions")?;
    let rows = select.query_map([], |row| {
        let (index, addr): (i64, String) = (row.get(0)?, row.get(1)?);
        let is_whole = |index: &u32| row.get::<_, Sum>(2).is_ok_and(|sum| sum == row_sum(*index, &addr));
        let index = u32::try_from(index).ok().filter(is_whole);
        Ok(index.zip(addr.parse::<SocketAddr>().ok()).map(|(index, addr)| SessionNote { index, addr }))
    })?;
    rows.collect()
}

fn row_sum(index: u32, addr: &str) -> Sum {
    sum("session", &[addr], &[index.into()], &[])
}
