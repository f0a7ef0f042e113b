//! Damaged letters in the relay's database. Each stays in place unchanged, and a row here excludes
//! it from its mailbox. Invariant: this table is consulted for damaged letters only, so it never
//! hides an intact one.

use rusqlite::{Connection, Transaction, params};

use super::mail_table::StoredLetter;
use crate::base::{LetterHeader, LetterId, Name, OutboxId};
use crate::relay::MailboxLetter;

pub(super) const SCHEMA: &str = "
CREATE TABLE damaged(
  id INTEGER PRIMARY KEY,
  recipient TEXT NOT NULL
) STRICT;";

/// Excludes the letter with this sequence number from its mailbox.
pub(super) fn put(tx: &Transaction<'_>, seq: u64, to: &Name) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO damaged(id, recipient) VALUES (?1, ?2)";
    tx.prepare_cached(put)?.execute(params![seq as i64, to.as_str()])?;
    Ok(())
}

/// Whether the letter with this sequence number is known to be damaged.
pub(super) fn contains(db: &Connection, seq: u64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM damaged WHERE id = ?1")?.exists([seq as i64])
}

/// Whether the index lists the letter with this sequence number in this mailbox, as its damaged row
/// claims.
pub(super) fn is_indexed(db: &Connection, to: &Name, seq: u64) -> rusqlite::Result<bool> {
    let select = "SELECT 1 FROM letters INDEXED BY letters_by_recipient WHERE recipient = ?1 AND id = ?2";
    db.prepare_cached(select)?.exists(params![to.as_str(), seq as i64])
}

/// Returns the header of a damaged letter if row and message agree on it.
pub(super) fn header(letter: &StoredLetter) -> Option<LetterHeader> {
    let id = LetterId { outbox: OutboxId(letter.outbox), number: letter.number };
    let label = LetterHeader { from: letter.from.parse().ok()?, id, len: usize::try_from(letter.len).ok()? };
    MailboxLetter::trusted_header(label, &letter.message)
}
