//! Kind and body of the letters that wait in the outbox, as first sent. A letter that may have left
//! is sent again byte for byte.
//!
//! A row exists until its letter is delivered, refused, or erased. Invariant: it has a checksum
//! over all of its fields and the owner of the letter.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Transaction, params};

use super::checksums::{Checksum, checksum};
use super::letter_rows::SENT;
use crate::base::{HostPort, LetterId, Name, OutboxId};
use crate::client::LetterBody;

/// `letter` is the letter's sequence number in `letters`, which is never reused.
pub(super) const SCHEMA: &str = "
CREATE TABLE outgoing(
  letter INTEGER PRIMARY KEY,
  sent_kind INTEGER NOT NULL,
  sent_body BLOB NOT NULL,
  sent_sum BLOB NOT NULL
) STRICT;";

/// Appends the row of the letter with this sequence number, to a member at a relay.
pub(super) fn add(
    tx: &Transaction<'_>,
    seq: i64,
    whose: (&HostPort, &Name),
    id: LetterId,
    encoded: &LetterBody,
) -> rusqlite::Result<()> {
    let add = "INSERT INTO outgoing(letter, sent_kind, sent_body, sent_sum) VALUES (?1, ?2, ?3, ?4)";
    let checksum = checksum_of(whose, id, encoded.kind, &encoded.body);
    tx.prepare_cached(add)?.execute(params![seq, encoded.kind, &*encoded.body, checksum]).map(drop)
}

/// Reads the row from column `from` on. Returns `None` if there is no row, or it is damaged.
pub(super) fn read(
    row: &Row<'_>,
    from: usize,
    whose: (&HostPort, &Name),
    id: LetterId,
) -> rusqlite::Result<Option<LetterBody>> {
    let kind = row.get_ref(from)?;
    let body = row.get_ref(from + 1)?;
    let checksum = row.get_ref(from + 2)?;
    let kind = kind.as_i64().ok().and_then(|kind| u8::try_from(kind).ok());
    let (Some(kind), ValueRef::Blob(body)) = (kind, body) else { return Ok(None) };
    let whole = checksum == ValueRef::Blob(&checksum_of(whose, id, kind, body));
    Ok(whole.then(|| LetterBody { kind, body: body.into() }))
}

/// Removes the row of one letter.
pub(super) fn remove(tx: &Transaction<'_>, peer: i64, id: LetterId) -> rusqlite::Result<()> {
    remove_through(tx, peer, id.outbox, id.number - 1, id.number)
}

/// Removes the rows of the letters from `behind + 1` to `through`.
pub(super) fn remove_through(
    tx: &Transaction<'_>,
    peer: i64,
    outbox: OutboxId,
    behind: u64,
    through: u64,
) -> rusqlite::Result<()> {
    let remove = "DELETE FROM outgoing WHERE letter IN (
        SELECT id FROM letters INDEXED BY sqlite_autoindex_letters_1
        WHERE peer = ?1 AND way = ?2 AND outbox = ?3 AND number > ?4 AND number <= ?5)";
    let row = params![peer, SENT, outbox.0 as i64, behind as i64, through as i64];
    tx.prepare_cached(remove)?.execute(row).map(drop)
}

/// Removes the row of the letter with this sequence number.
pub(super) fn remove_at(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM outgoing WHERE letter = ?1")?.execute([seq]).map(drop)
}

fn checksum_of((relay, to): (&HostPort, &Name), id: LetterId, kind: u8, body: &[u8]) -> Checksum {
    let numbers = [id.outbox.0, id.number, kind.into()];
    checksum("outgoing", &[&relay.to_string(), to.as_str()], &numbers, body)
}
