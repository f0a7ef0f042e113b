//! Last addresses of the relay's sessions. After a restart the relay uses them to report that the
//! sessions are lost.

use rusqlite::{Connection, Transaction, params};

use super::checksums::{Checksum, checksum};
use crate::relay::SessionHint;

/// One row for each session. The relay limits their number.
pub(super) const SCHEMA: &str = "
CREATE TABLE sessions(
  number INTEGER PRIMARY KEY,
  addr TEXT NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Removes ended sessions and adds new ones.
pub(super) fn put_hints(tx: &Transaction<'_>, hints: &[SessionHint], ended: &[u32]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM sessions WHERE number = ?1")?;
    for index in ended {
        delete.execute([index])?;
    }
    let put = "INSERT OR REPLACE INTO sessions(number, addr, sum) VALUES (?1, ?2, ?3)";
    let mut put = tx.prepare_cached(put)?;
    for hint in hints {
        let addr = to_text(hint);
        put.execute(params![hint.index, addr, row_checksum(hint.index, &addr)])?;
    }
    Ok(())
}

/// Reads every session. Returns `None` if a row is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<SessionHint>>> {
    let mut select = db.prepare("SELECT number, addr, sum FROM sessions")?;
    let rows = select.query_map([], |row| {
        let index: i64 = row.get(0)?;
        let addr: String = row.get(1)?;
        let is_whole = |index: &u32| {
            row.get::<_, Checksum>(2).is_ok_and(|checksum| checksum == row_checksum(*index, &addr))
        };
        let index = u32::try_from(index).ok().filter(is_whole);
        Ok(index.and_then(|index| hint_of(index, &addr)))
    })?;
    rows.collect()
}

/// Formats the peer's address, followed by the local address that it writes to, if that is known.
fn to_text(hint: &SessionHint) -> String {
    match hint.local {
        Some(local_ip) => format!("{} {local_ip}", hint.addr),
        None => hint.addr.to_string(),
    }
}

fn hint_of(index: u32, text: &str) -> Option<SessionHint> {
    let (addr, local_ip) = match text.split_once(' ') {
        Some((addr, local_ip)) => (addr, Some(local_ip.parse().ok()?)),
        None => (text, None),
    };
    Some(SessionHint { addr: addr.parse().ok()?, index, local: local_ip })
}

fn row_checksum(index: u32, addr: &str) -> Checksum {
    checksum("session", &[addr], &[index.into()], &[])
}
