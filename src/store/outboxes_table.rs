//! The last sign-in of each outbox of each member, in the relay's database. It shows an old copy of
//! a member's folder.

use rusqlite::{Connection, Transaction, params};

use super::checksums::{Checksum, checksum, unsigned};
use crate::base::{Mark, Name, OutboxId};
use crate::relay::{MarkToken, PersistedOutbox};

/// `used` is in milliseconds of the relay's own clock.
pub(super) const SCHEMA: &str = "
CREATE TABLE outboxes(
  member TEXT NOT NULL,
  outbox INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  token INTEGER NOT NULL,
  used INTEGER NOT NULL,
  sum BLOB NOT NULL,
  PRIMARY KEY(member, outbox)
) STRICT, WITHOUT ROWID;";

/// Records a sign-in. Forgets everything about the outbox `forgotten` and its letters.
pub(super) fn put(
    tx: &Transaction<'_>,
    outbox: &PersistedOutbox,
    forgotten: Option<OutboxId>,
) -> rusqlite::Result<()> {
    let member = outbox.member.as_str();
    if let Some(forgotten) = forgotten {
        let tables = [
            "DELETE FROM outboxes WHERE member = ?1 AND outbox = ?2",
            "DELETE FROM receipts WHERE author = ?1 AND outbox = ?2",
            "DELETE FROM refusals WHERE author = ?1 AND outbox = ?2",
        ];
        for delete in tables {
            tx.prepare_cached(delete)?.execute(params![member, forgotten.0 as i64])?;
        }
    }
    let numbers = numbers(outbox);
    let checksum = checksum("outbox", &[member], &numbers, &[]);
    let [id, mark, token, used] = numbers.map(|n| n as i64);
    let put = "INSERT OR REPLACE INTO outboxes(member, outbox, mark, token, used, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    tx.prepare_cached(put)?.execute(params![member, id, mark, token, used, checksum]).map(drop)
}

/// Removes a member that is gone.
pub(super) fn remove_member(tx: &Transaction<'_>, member: &Name) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM outboxes WHERE member = ?1")?.execute([member.as_str()]).map(drop)
}

/// Reads every row. Returns `None` if one is damaged.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Vec<PersistedOutbox>>> {
    let mut select = db.prepare("SELECT member, outbox, mark, token, used, sum FROM outboxes")?;
    let rows = select.query_map([], |row| {
        let member: String = row.get(0)?;
        let [id, mark, token, used] =
            [unsigned(row, 1)?, unsigned(row, 2)?, unsigned(row, 3)?, unsigned(row, 4)?];
        let is_whole =
            row.get::<_, Checksum>(5)? == checksum("outbox", &[&member], &[id, mark, token, used], &[]);
        let mark_token = MarkToken { mark: Mark(mark as u32), token: token as u32 };
        let member = member.parse().ok().filter(|_| is_whole);
        Ok(member.map(|member| PersistedOutbox { member, outbox: OutboxId(id), mark_token, used }))
    })?;
    rows.collect()
}

fn numbers(outbox: &PersistedOutbox) -> [u64; 4] {
    let MarkToken { mark, token } = outbox.mark_token;
    [outbox.outbox.0, mark.0.into(), token.into(), outbox.used]
}
