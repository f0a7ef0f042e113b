//! Letters in the relay's database that the disk has damaged: each stays where it is, byte for byte, and a row here says
//! that it waits for nobody any more. Only what is damaged is looked up here, so nothing that is whole is ever hidden.

use rusqlite::{Connection, Transaction, params};

use super::mail_table::StoredLetter;
use crate::base::{Label, LetterId, Name, OutboxId};
use crate::relay::KeptLetter;

pub(super) const SCHEMA: &str = "
CREATE TABLE damaged(
  id INTEGER PRIMARY KEY,
  recipient TEXT NOT NULL
) STRICT;";

/// The letter at this place is none any more.
pub(super) fn put(tx: &Transaction<'_>, place: u64, to: &Name) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO damaged(id, recipient) VALUES (?1, ?2)";
    tx.prepare_cached(put)?.execute(params![place as i64, to.as_str()])?;
    Ok(())
}

/// Whether the letter at this place is known to be damaged.
pub(super) fn knows(db: &Connection, place: u64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM damaged WHERE id = ?1")?.exists([place as i64])
}

/// Whether the index has the letter at this place in this mailbox, as the damaged row says.
pub(super) fn is_indexed(db: &Connection, to: &Name, place: u64) -> rusqlite::Result<bool> {
    let select = "SELECT 1 FROM letters INDEXED BY letters_by_recipient WHERE recipient = ?1 AND id = ?2";
    db.prepare_cached(select)?.exists(params![to.as_str(), place as i64])
}

/// What a damaged letter is called, where that is beyond doubt.
pub(super) fn label(letter: &StoredLetter) -> Option<Label> {
    let id = LetterId { outbox: OutboxId(letter.outbox), number: letter.number };
    let label = Label { from: letter.from.parse().ok()?, id, len: usize::try_from(letter.len).ok()? };
    KeptLetter::believed(label, &letter.message)
}
