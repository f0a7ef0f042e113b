//! Last addresses of the relay's sessions. After a restart the relay uses them to report that the
//! sessions are lost.

use rusqlite::{Connection, Transaction, params};

use super::sums::{Sum, sum};
use crate::relay::SessionNote;

/// One row for each session. The relay limits their number.
pub(super) const SCHEMA: &str = "
CREATE TABLE sessions(
  number INTEGER PRIMARY KEY,
  addr TEXT NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Removes ended sessions and adds new ones.
pub(super) fn note(tx: &Transaction<'_>, noted: &[SessionNote], ended: &[u32]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM sessions WHERE number = ?1")?;
    for index in ended {
        delete.execute([index])?;
    }
    let put = "INSERT OR REPLACE INTO sessions(number, addr, sum) VALUES (?1, ?2, ?3)";
    let mut put = tx.prepare_cached(put)?;
    for note in noted {
        let addr = to_text(note);
        put.execute(params![note.index, addr, row_sum(note.index, &addr)])?;
    }
    Ok(())
}

/// Reads every session. Returns `None` if a row is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<SessionNote>>> {
    let mut select = db.prepare("SELECT number, addr, sum FROM sessions")?;
    let rows = select.query_map([], |row| {
        let index: i64 = row.get(0)?;
        let addr: String = row.get(1)?;
        let is_whole = |index: &u32| row.get::<_, Sum>(2).is_ok_and(|sum| sum == row_sum(*index, &addr));
        let index = u32::try_from(index).ok().filter(is_whole);
        Ok(index.and_then(|index| note_of(index, &addr)))
    })?;
    rows.collect()
}

/// Formats the peer's address, followed by the local address that it writes to, if that is known.
fn to_text(note: &SessionNote) -> String {
    match note.asked {
        Some(asked) => format!("{} {asked}", note.addr),
        None => note.addr.to_string(),
    }
}

fn note_of(index: u32, text: &str) -> Option<SessionNote> {
    let (addr, asked) = match text.split_once(' ') {
        Some((addr, asked)) => (addr, Some(asked.parse().ok()?)),
        None => (text, None),
    };
    Some(SessionNote { addr: addr.parse().ok()?, index, asked })
}

fn row_sum(index: u32, addr: &str) -> Sum {
    sum("session", &[addr], &[index.into()], &[])
}
