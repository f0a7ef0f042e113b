//! The mail in the relay's database: waiting letters, receipts, unacknowledged refusals, and the
//! relay's own clock.
//!
//! Must not depend on: the state of sessions. Invariant: each row has a checksum over all of its
//! fields, checked on reading. SQLite has none, and a flipped bit could deliver a letter to another
//! member. A start reads every row except the letters, whose counts are in
//! [`super::waiting_counts_table`]. It reads the letters too if they are few.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::checksums::{Checksum, checksum, unsigned};
use super::database::{damaged, fault, is_checked_whole, sqlite_error};
use super::error::StoreError;
use super::replies::Fault;
use super::waiting_counts_table::{self, CountChanges};
use super::{damaged_table, membership_table, outboxes_table, restored_table, sessions_table, unused_table};
use crate::base::{LetterId, Mark, Name, OutboxId, Payload, Query, Row, SeqFilter, Watermarks};
use crate::relay::{
    FlowNames, MailboxLetter, PendingRefusal, PersistedFlow, PersistedMail, Record, WaitingCount,
};

/// `letters` is one tree by sequence number, so that new letters are appended, with an index by
/// recipient. Clustering by recipient was measured to be five times slower. Numbers and outboxes
/// are unsigned 64-bit values stored in SQLite's signed ones.
pub(super) const SCHEMA: &str = "
CREATE TABLE letters(
  id INTEGER PRIMARY KEY,
  recipient TEXT NOT NULL,
  author TEXT NOT NULL,
  outbox INTEGER NOT NULL,
  number INTEGER NOT NULL,
  since INTEGER NOT NULL,
  len INTEGER NOT NULL,
  sum BLOB NOT NULL,
  message BLOB NOT NULL
) STRICT;
CREATE INDEX letters_by_recipient ON letters(recipient, id);
CREATE TABLE receipts(
  author TEXT NOT NULL,
  recipient TEXT NOT NULL,
  outbox INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  read INTEGER NOT NULL,
  since INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  at_full_second INTEGER NOT NULL,
  sum BLOB NOT NULL,
  PRIMARY KEY(author, recipient, outbox)
) STRICT, WITHOUT ROWID;
CREATE TABLE refusals(
  author TEXT NOT NULL,
  recipient TEXT NOT NULL,
  outbox INTEGER NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  may_have_arrived INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  sum BLOB NOT NULL,
  PRIMARY KEY(author, recipient, outbox, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  ms INTEGER NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

/// Applies one record to a transaction. Returns `false` if it contradicts the stored state.
/// `changes` must be written at the end of the transaction.
pub(super) fn apply(
    tx: &Transaction<'_>,
    record: &Record,
    changes: &mut CountChanges,
) -> rusqlite::Result<bool> {
    match record {
        Record::Member { name, key, since } => return unused_table::add_member(tx, name, key, *since),
        Record::Membership(change) => return membership_table::apply(tx, change),
        Record::Letters { to, letters, deliveries } => {
            deliveries.iter().try_for_each(|flow| put_flow(tx, flow))?;
            for letter in letters {
                add_letter(tx, to, letter)?;
                changes.add(to, letter);
            }
        }
        Record::Progress { flow, stored } => {
            flow.iter().try_for_each(|flow| put_flow(tx, flow))?;
            for seq in stored {
                remove_letter(tx, *seq, changes)?;
            }
        }
        Record::Expired { seq, refusal } => {
            remove_letter(tx, *seq, changes)?;
            put_refusal(tx, refusal)?;
        }
        Record::Damaged { seq, to, refusal } => {
            damaged_table::put(tx, *seq, to)?;
            changes.recount(to);
            if let Some(refusal) = refusal {
                put_refusal(tx, refusal)?;
            }
        }
        Record::Pruned(flows) => {
            // A removed sender receives no further refusals.
            for table in ["receipts", "refusals"] {
                let delete =
                    format!("DELETE FROM {table} WHERE author = ?1 AND recipient = ?2 AND outbox = ?3");
                let mut delete = tx.prepare_cached(&delete)?;
                for FlowNames { from, outbox, to } in flows {
                    delete.execute(params![from.as_str(), to.as_str(), outbox.0 as i64])?;
                }
            }
        }
        Record::SignedIn { outbox, forgotten } => outboxes_table::put(tx, outbox, *forgotten)?,
        Record::RefusalAcknowledged(refusal) => {
            let delete =
                "DELETE FROM refusals WHERE author = ?1 AND recipient = ?2 AND outbox = ?3 AND number = ?4";
            let PendingRefusal { from, to, id, .. } = refusal;
            let key = params![from.as_str(), to.as_str(), id.outbox.0 as i64, id.number as i64];
            tx.prepare_cached(delete)?.execute(key)?;
        }
        Record::Clock(ms) => {
            let put = "INSERT OR REPLACE INTO clock(one, ms, sum) VALUES (1, ?1, ?2)";
            tx.prepare_cached(put)?.execute(params![*ms as i64, checksum("clock", &[], &[*ms], &[])])?;
        }
        Record::Sessions { hints, ended } => sessions_table::put_hints(tx, hints, ended)?,
    }
    Ok(true)
}

fn add_letter(tx: &Transaction<'_>, to: &Name, letter: &MailboxLetter) -> rusqlite::Result<()> {
    let MailboxLetter { seq, stored_at: since, from, id, len, message, mark: _ } = letter;
    let insert = "INSERT INTO letters(id, recipient, author, outbox, number, since, len, sum, message)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let numbers = [*seq, id.outbox.0, id.number, *since, *len];
    let checksum = checksum("letter", &[to.as_str(), from.as_str()], &numbers, message);
    let [seq, outbox, number, since, len] = numbers.map(|n| n as i64);
    tx.prepare_cached(insert)?.execute(params![
        seq,
        to.as_str(),
        from.as_str(),
        outbox,
        number,
        since,
        len,
        checksum,
        &message[..]
    ])?;
    Ok(())
}

fn remove_letter(tx: &Transaction<'_>, seq: u64, changes: &mut CountChanges) -> rusqlite::Result<()> {
    let delete = "DELETE FROM letters WHERE id = ?1 RETURNING recipient, author, outbox, len";
    let mut delete = tx.prepare_cached(delete)?;
    let removed = delete
        .query_row([seq as i64], |row| Ok((row.get(0)?, row.get(1)?, unsigned(row, 2)?, unsigned(row, 3)?)));
    if let Some((to, from, outbox, len)) = removed.optional()? {
        changes.remove(to, from, outbox, len);
    }
    Ok(())
}

fn put_flow(tx: &Transaction<'_>, flow: &PersistedFlow) -> rusqlite::Result<()> {
    let PersistedFlow { from, outbox, to, watermarks, since, mark, at_full_second } = flow;
    let Watermarks { accepted, delivered, read } = *watermarks;
    let put = "INSERT OR REPLACE INTO
        receipts(author, recipient, outbox, accepted, delivered, read, since, mark, at_full_second, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let later = u64::from(*at_full_second);
    let numbers = [outbox.0, accepted, delivered, read, *since, mark.0.into(), later];
    let checksum = checksum("receipt", &[from.as_str(), to.as_str()], &numbers, &[]);
    let [outbox, accepted, delivered, read, since, mark, later] = numbers.map(|n| n as i64);
    let row =
        params![from.as_str(), to.as_str(), outbox, accepted, delivered, read, since, mark, later, checksum];
    tx.prepare_cached(put)?.execute(row)?;
    Ok(())
}

fn put_refusal(tx: &Transaction<'_>, refusal: &PendingRefusal) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO
        refusals(author, recipient, outbox, number, reason, may_have_arrived, mark, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let from = refusal.from.as_str();
    let to = refusal.to.as_str();
    let reason = refusal.reason.word();
    let numbers =
        [refusal.id.outbox.0, refusal.id.number, refusal.may_have_arrived.into(), refusal.mark.0.into()];
    let checksum = checksum("refusal", &[from, to, &reason], &numbers, &[]);
    let [outbox, number, maybe, mark] = numbers.map(|n| n as i64);
    tx.prepare_cached(put)?.execute(params![from, to, outbox, number, reason, maybe, mark, checksum])?;
    Ok(())
}

/// Loads the requested rows.
///
/// # Errors
/// Always [`Fault::Broken`]: after a failed read the state is known only after a restart.
pub(super) fn load(db: &Connection, path: &Path, query: &Query) -> Result<Vec<Row>, Fault> {
    load_rows(db, query).map_err(|error| Fault::Broken(fault_error(path, &error)))
}

fn load_rows(db: &Connection, query: &Query) -> rusqlite::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    match (&query.filter, &query.owner) {
        (SeqFilter::After(after), Some(owner)) => {
            let select = format!("{FIELDS} WHERE recipient = ?1 AND id > ?2 ORDER BY id");
            let mut select = db.prepare_cached(&select)?;
            let cursor = select.query(params![owner.as_str(), *after as i64])?;
            take_rows(db, query, cursor, &mut rows, &mut bytes)?;
        }
        (SeqFilter::After(after), None) => {
            let mut select = db.prepare_cached(&format!("{FIELDS} WHERE id > ?1 ORDER BY id"))?;
            let cursor = select.query([*after as i64])?;
            take_rows(db, query, cursor, &mut rows, &mut bytes)?;
        }
        (SeqFilter::At(places), _) => {
            let mut select = db.prepare_cached(&format!("{FIELDS} WHERE id = ?1"))?;
            for seq in places {
                if bytes >= query.bytes_max {
                    break;
                }
                let cursor = select.query([*seq as i64])?;
                take_rows(db, query, cursor, &mut rows, &mut bytes)?;
            }
        }
    }
    Ok(rows)
}

/// Takes rows until the byte limit of the query is reached.
fn take_rows(
    db: &Connection,
    query: &Query,
    mut cursor: rusqlite::Rows<'_>,
    rows: &mut Vec<Row>,
    bytes: &mut usize,
) -> rusqlite::Result<()> {
    while *bytes < query.bytes_max
        && let Some(row) = cursor.next()?
    {
        let seq = unsigned(row, 0)?;
        match read_letter(row)?.map(|letter| letter.whole_for(query.owner.as_ref())) {
            Some(Ok((owner, letter))) => {
                *bytes += letter.message.len();
                rows.push(Row {
                    owner,
                    seq,
                    stored_at: letter.since,
                    payload: Payload::Intact(letter.message),
                });
            }
            _ if damaged_table::contains(db, seq)? => {}
            other => {
                let letter = other.and_then(Result::err);
                rows.extend(damaged_row(db, query, seq, letter.as_ref())?);
            }
        }
    }
    Ok(())
}

/// Returns a damaged letter as a row of its mailbox. Returns `None` if only a query for that
/// mailbox shows the owner.
fn damaged_row(
    db: &Connection,
    query: &Query,
    seq: u64,
    letter: Option<&StoredLetter>,
) -> rusqlite::Result<Option<Row>> {
    let owner = match (&query.owner, letter.and_then(|letter| letter.to.parse().ok())) {
        (Some(owner), _) => owner.clone(),
        (None, Some(to)) if damaged_table::is_indexed(db, &to, seq)? => to,
        _ => return Ok(None),
    };
    let payload = Payload::Damaged(letter.and_then(damaged_table::header));
    Ok(Some(Row { owner, seq, stored_at: 0, payload }))
}

fn fault_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    match fault(path, error) {
        Fault::Transient(error) | Fault::Broken(error) => error,
    }
}

const FIELDS: &str = "SELECT id, recipient, author, outbox, number, since, len, sum, message FROM letters";

/// A row as stored, damaged or not.
pub(super) struct StoredLetter {
    to: String,
    pub(super) from: String,
    pub(super) outbox: u64,
    pub(super) number: u64,
    since: u64,
    pub(super) len: u64,
    pub(super) message: Vec<u8>,
    is_whole: bool,
}

impl StoredLetter {
    /// Returns the owner of the mailbox and the letter. Fails with the letter if it is damaged or
    /// in another mailbox than requested.
    fn whole_for(self, expected_owner: Option<&Name>) -> Result<(Name, StoredLetter), StoredLetter> {
        match self.to.parse() {
            Ok(owner)
                if self.is_whole && expected_owner.is_none_or(|expected_owner| *expected_owner == owner) =>
            {
                Ok((owner, self))
            }
            _ => Err(self),
        }
    }
}

/// Reads a letter. Returns `None` if a column does not even have its type.
///
/// # Errors
/// Returns errors of SQLite itself.
fn read_letter(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<StoredLetter>> {
    match read_columns(row) {
        Ok(letter) => Ok(Some(letter)),
        Err(error) if error.sqlite_error().is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

fn read_columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredLetter> {
    let to: String = row.get(1)?;
    let from: String = row.get(2)?;
    let numbers =
        [unsigned(row, 0)?, unsigned(row, 3)?, unsigned(row, 4)?, unsigned(row, 5)?, unsigned(row, 6)?];
    let stored: Checksum = row.get(7)?;
    let message: Vec<u8> = row.get(8)?;
    let is_whole = stored == checksum("letter", &[&to, &from], &numbers, &message);
    let [_, outbox, number, since, len] = numbers;
    Ok(StoredLetter { to, from, outbox, number, since, len, message, is_whole })
}

/// Reads everything except the letters and checks every checksum. If the letters are few, checks
/// theirs too.
///
/// # Errors
/// Returns `Damaged`, or an error of the system.
pub(super) fn read_mail(db: &Connection, path: &Path) -> Result<PersistedMail, StoreError> {
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let waiting =
        waiting_counts_table::read(db).map_err(to_error)?.ok_or_else(|| damaged(path, "waiting"))?;
    if is_checked_whole(path) {
        check_letters(db, path, &waiting)?;
    }
    let last_seq = last_seq(db).map_err(to_error)?;
    let flows = read_flows(db).map_err(to_error)?.ok_or_else(|| damaged(path, "receipts"))?;
    let refusals = read_refusals(db).map_err(to_error)?.ok_or_else(|| damaged(path, "refusals"))?;
    let outboxes = outboxes_table::read(db).map_err(to_error)?.ok_or_else(|| damaged(path, "outboxes"))?;
    let sessions = sessions_table::read(db).map_err(to_error)?.ok_or_else(|| damaged(path, "sessions"))?;
    let clock = read_clock(db).map_err(to_error)?.ok_or_else(|| damaged(path, "clock"))?;
    let restored = restored_table::read(db).map_err(to_error)?;
    let restored = restored.map(|row| row.ok_or_else(|| damaged(path, "restored"))).transpose()?;
    Ok(PersistedMail { clock, last_seq, waiting, flows, refusals, outboxes, sessions, restored })
}

/// Returns the highest sequence number of a letter on disk, or 0.
pub(super) fn last_seq(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT ifnull(max(id), 0) FROM letters", [], |row| unsigned(row, 0))
}

/// Reads the uptime clock, in milliseconds. Returns `None` if its row is damaged.
pub(super) fn read_clock(db: &Connection) -> rusqlite::Result<Option<u64>> {
    let select = "SELECT ms, sum FROM clock";
    let row = db.query_row(select, [], |row| Ok((unsigned(row, 0)?, row.get::<_, Checksum>(1)?)));
    Ok(match row.optional()? {
        None => Some(0),
        Some((ms, stored)) => Some(ms).filter(|_| stored == checksum("clock", &[], &[ms], &[])),
    })
}

/// Checks the checksum of every letter not already known as damaged, and the counts in `waiting`.
pub(super) fn check_letters(
    db: &Connection,
    path: &Path,
    waiting: &[WaitingCount],
) -> Result<(), StoreError> {
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let select = format!("{FIELDS} ORDER BY id");
    let mut select = db.prepare(&select).map_err(to_error)?;
    let mut rows = select.query([]).map_err(to_error)?;
    let mut counted = CountChanges::default();
    while let Some(row) = rows.next().map_err(to_error)? {
        let seq = unsigned(row, 0).map_err(to_error)?;
        match read_letter(row).map_err(to_error)?.filter(|letter| letter.is_whole) {
            Some(letter) => counted.add_read(letter.to, letter.from, letter.outbox, letter.len),
            None if damaged_table::contains(db, seq).map_err(to_error)? => {}
            None => return Err(damaged(path, format_args!("letters: {seq}"))),
        }
    }
    if counted.agrees_with(waiting) { Ok(()) } else { Err(damaged(path, "waiting")) }
}

/// Reads the watermarks of each flow. Returns `None` if a row is damaged.
fn read_flows(db: &Connection) -> rusqlite::Result<Option<Vec<PersistedFlow>>> {
    let select =
        "SELECT author, recipient, outbox, accepted, delivered, read, since, mark, at_full_second, sum
        FROM receipts";
    let mut select = db.prepare(select)?;
    let rows = select.query_map([], |row| {
        let from: String = row.get(0)?;
        let to: String = row.get(1)?;
        let mut numbers = [0; 7];
        for (nth, number) in numbers.iter_mut().enumerate() {
            *number = unsigned(row, 2 + nth)?;
        }
        let is_whole = row.get::<_, Checksum>(9)? == checksum("receipt", &[&from, &to], &numbers, &[]);
        let [outbox, accepted, delivered, read, since, mark, later] = numbers;
        let outbox = OutboxId(outbox);
        let mark = Mark(mark as u32);
        let at_full_second = later == 1;
        let names = from.parse().ok().zip(to.parse().ok()).filter(|_| is_whole);
        let watermarks = Watermarks { accepted, delivered, read };
        let of = |(from, to)| PersistedFlow { from, outbox, to, watermarks, since, mark, at_full_second };
        Ok(names.map(of))
    })?;
    rows.collect()
}

/// Reads the refusals. Returns `None` if a row is damaged.
fn read_refusals(db: &Connection) -> rusqlite::Result<Option<Vec<PendingRefusal>>> {
    let select =
        "SELECT author, recipient, outbox, number, reason, may_have_arrived, mark, sum FROM refusals";
    let mut select = db.prepare(select)?;
    let rows = select.query_map([], |row| {
        let from: String = row.get(0)?;
        let to: String = row.get(1)?;
        let reason: String = row.get(4)?;
        let numbers = [unsigned(row, 2)?, unsigned(row, 3)?, unsigned(row, 5)?, unsigned(row, 6)?];
        let is_whole =
            row.get::<_, Checksum>(7)? == checksum("refusal", &[&from, &to, &reason], &numbers, &[]);
        let [outbox, number, maybe, mark] = numbers;
        let mark = Mark(mark as u32);
        let names = from.parse().ok().zip(to.parse().ok()).filter(|_| is_whole);
        let id = LetterId { outbox: OutboxId(outbox), number };
        let of = |(from, to)| PendingRefusal::from_stored(from, to, id, &reason, maybe == 1, mark);
        Ok(names.map(of))
    })?;
    rows.collect()
}
