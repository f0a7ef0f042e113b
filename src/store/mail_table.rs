//! The mail in the relay's database: letters that wait, how far others have come, refusals nobody has heard of, and the
//! relay's own clock.
//!
//! Each row has a sum over all of its fields, checked when the relay starts and again when a letter is read: SQLite has
//! none, and a flipped bit would bring a letter to somebody else.

use std::collections::BTreeMap;
use std::path::Path;

use blake2::{Blake2s256, Digest};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::database::{damaged, fault, phrase};
use super::members_table::{SUM_LEN, add_one};
use super::roll_table;
use super::worker::Fault;
use crate::base::{LetterId, Name, OutboxId, Phrase, Query, Row};
use crate::relay::{KeptLetter, Mail, Marks, OwedRefusal, Record, Waiting};

/// `letters` is one tree by place, so that new letters are appended, and an index by recipient: clustering by recipient
/// was measured to be five times slower. Numbers and outboxes are 64 bits without a sign, kept in SQLite's signed ones.
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
  sum BLOB NOT NULL,
  PRIMARY KEY(author, recipient, outbox, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  ms INTEGER NOT NULL,
  sum BLOB NOT NULL
) STRICT;";

pub(super) type Sum = [u8; SUM_LEN];

/// Takes one record into a transaction; `false` if it contradicts what is stored.
pub(super) fn apply(tx: &Transaction<'_>, record: &Record) -> rusqlite::Result<bool> {
    match record {
        Record::Member { name, key } => return add_one(tx, name, key),
        Record::Roll(change) => return roll_table::apply(tx, change),
        Record::Letters { to, letters } => {
            for letter in letters {
                add_letter(tx, to, letter)?;
            }
        }
        Record::Progress { marks, stored } => {
            if let Some(marks) = marks {
                put_marks(tx, marks)?;
            }
            for place in stored {
                remove_letter(tx, *place)?;
            }
        }
        Record::Expired { place, owed } => {
            remove_letter(tx, *place)?;
            put_refusal(tx, owed)?;
        }
        Record::Heard(owed) => {
            let delete =
                "DELETE FROM refusals WHERE author = ?1 AND recipient = ?2 AND outbox = ?3 AND number = ?4";
            let key =
                params![owed.from.as_str(), owed.to.as_str(), owed.id.outbox.0 as i64, owed.id.number as i64];
            tx.prepare_cached(delete)?.execute(key)?;
        }
        Record::Clock(ms) => {
            let put = "INSERT OR REPLACE INTO clock(one, ms, sum) VALUES (1, ?1, ?2)";
            tx.prepare_cached(put)?.execute(params![*ms as i64, sum("clock", &[], &[*ms], &[])])?;
        }
    }
    Ok(true)
}

fn add_letter(tx: &Transaction<'_>, to: &Name, letter: &KeptLetter) -> rusqlite::Result<()> {
    let KeptLetter { place, since, from, id, len, message } = letter;
    let insert = "INSERT INTO letters(id, recipient, author, outbox, number, since, len, sum, message)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let numbers = [*place, id.outbox.0, id.number, *since, *len];
    let sum = sum("letter", &[to.as_str(), from.as_str()], &numbers, message);
    let [place, outbox, number, since, len] = numbers.map(|n| n as i64);
    tx.prepare_cached(insert)?.execute(params![
        place,
        to.as_str(),
        from.as_str(),
        outbox,
        number,
        since,
        len,
        sum,
        &message[..]
    ])?;
    Ok(())
}

fn remove_letter(tx: &Transaction<'_>, place: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM letters WHERE id = ?1")?.execute([place as i64])?;
    Ok(())
}

fn put_marks(tx: &Transaction<'_>, marks: &Marks) -> rusqlite::Result<()> {
    let Marks { from, outbox, to, accepted, delivered, read } = marks;
    let put = "INSERT OR REPLACE INTO receipts(author, recipient, outbox, accepted, delivered, read, sum)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let numbers = [outbox.0, *accepted, *delivered, *read];
    let sum = sum("receipt", &[from.as_str(), to.as_str()], &numbers, &[]);
    let [outbox, accepted, delivered, read] = numbers.map(|n| n as i64);
    let row = params![from.as_str(), to.as_str(), outbox, accepted, delivered, read, sum];
    tx.prepare_cached(put)?.execute(row)?;
    Ok(())
}

fn put_refusal(tx: &Transaction<'_>, owed: &OwedRefusal) -> rusqlite::Result<()> {
    let put =
        "INSERT OR REPLACE INTO refusals(author, recipient, outbox, number, reason, may_have_arrived, sum)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (from, to, reason) = (owed.from.as_str(), owed.to.as_str(), owed.reason.as_str());
    let numbers = [owed.id.outbox.0, owed.id.number, owed.may_have_arrived.into()];
    let sum = sum("refusal", &[from, to, reason], &numbers, &[]);
    let [outbox, number, maybe] = numbers.map(|n| n as i64);
    tx.prepare_cached(put)?.execute(params![from, to, outbox, number, reason, maybe, sum])?;
    Ok(())
}

/// The rows asked for.
///
/// Errors: always [`Fault::Broken`]: what cannot be read now is known only after a restart.
pub(super) fn load(db: &Connection, path: &Path, query: &Query) -> Result<Vec<Row>, Fault> {
    let told = |error: rusqlite::Error| Fault::Broken(fault_phrase(path, &error));
    const FIELDS: &str =
        "SELECT id, recipient, author, outbox, number, since, len, sum, message FROM letters";
    let of_owner = format!("{FIELDS} WHERE recipient = ?1 AND id > ?2 ORDER BY id");
    let of_all = format!("{FIELDS} WHERE id > ?1 ORDER BY id");
    let after = query.after as i64;
    let mut select =
        db.prepare_cached(if query.owner.is_some() { &of_owner } else { &of_all }).map_err(told)?;
    let mut found = match &query.owner {
        Some(owner) => select.query(params![owner.as_str(), after]),
        None => select.query(params![after]),
    }
    .map_err(told)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < query.bytes_max
        && let Some(row) = found.next().map_err(told)?
    {
        let letter = read_letter(row).map_err(told)?;
        let owner = letter.to.parse().ok().filter(|_| letter.is_whole);
        let Some(owner) = owner else {
            return Err(Fault::Broken(damaged(path, format_args!("letters: {}", letter.place))));
        };
        bytes += letter.message.len();
        rows.push(Row { owner, place: letter.place, since: letter.since, bytes: letter.message });
    }
    Ok(rows)
}

fn fault_phrase(path: &Path, error: &rusqlite::Error) -> Phrase {
    match fault(path, error) {
        Fault::Passing(phrase) | Fault::Broken(phrase) => phrase,
    }
}

struct Letter {
    place: u64,
    to: String,
    from: String,
    outbox: u64,
    number: u64,
    since: u64,
    len: u64,
    message: Vec<u8>,
    is_whole: bool,
}

fn read_letter(row: &rusqlite::Row<'_>) -> rusqlite::Result<Letter> {
    let (to, from): (String, String) = (row.get(1)?, row.get(2)?);
    let numbers =
        [unsigned(row, 0)?, unsigned(row, 3)?, unsigned(row, 4)?, unsigned(row, 5)?, unsigned(row, 6)?];
    let (stored, message): (Sum, Vec<u8>) = (row.get(7)?, row.get(8)?);
    let is_whole = stored == sum("letter", &[&to, &from], &numbers, &message);
    let [place, outbox, number, since, len] = numbers;
    Ok(Letter { place, to, from, outbox, number, since, len, message, is_whole })
}

pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n as u64)
}

/// Reads everything, letters included, and checks every sum.
///
/// Errors: `store-database-damaged`, or what the system says.
pub(super) fn read_mail(db: &Connection, path: &Path) -> Result<Mail, Phrase> {
    let told = |error: rusqlite::Error| phrase(path, &error);
    let (last_place, waiting) = read_waiting(db, path)?;
    let marks = read_marks(db).map_err(told)?;
    let refusals = read_refusals(db).map_err(told)?;
    let clock = "SELECT ms, sum FROM clock";
    let clock = db
        .query_row(clock, [], |row| Ok((unsigned(row, 0)?, row.get::<_, Sum>(1)?)))
        .optional()
        .map_err(told)?;
    let clock = match clock {
        None => 0,
        Some((ms, stored)) if stored == sum("clock", &[], &[ms], &[]) => ms,
        Some(_) => return Err(damaged(path, "clock")),
    };
    let marks = marks.ok_or_else(|| damaged(path, "receipts"))?;
    let refusals = refusals.ok_or_else(|| damaged(path, "refusals"))?;
    Ok(Mail { clock, last_place, waiting, marks, refusals })
}

fn read_waiting(db: &Connection, path: &Path) -> Result<(u64, Vec<Waiting>), Phrase> {
    let told = |error: rusqlite::Error| phrase(path, &error);
    let select =
        "SELECT id, recipient, author, outbox, number, since, len, sum, message FROM letters ORDER BY id";
    let mut select = db.prepare(select).map_err(told)?;
    let mut rows = select.query([]).map_err(told)?;
    let mut last_place = 0;
    let mut waiting = BTreeMap::<(String, String, u64), Waiting>::new();
    while let Some(row) = rows.next().map_err(told)? {
        let letter = read_letter(row).map_err(told)?;
        let broken = || damaged(path, format_args!("letters: {}", letter.place));
        if !letter.is_whole {
            return Err(broken());
        }
        last_place = letter.place;
        let (Ok(to), Ok(from)) = (letter.to.parse(), letter.from.parse()) else { return Err(broken()) };
        let outbox = OutboxId(letter.outbox);
        let none = Waiting { to, from, outbox, letters: 0, bytes: 0, last_number: 0, last_since: 0 };
        let flow = waiting.entry((letter.to, letter.from, letter.outbox)).or_insert(none);
        flow.letters += 1;
        flow.bytes += letter.len as usize;
        flow.last_number = flow.last_number.max(letter.number);
        flow.last_since = flow.last_since.max(letter.since);
    }
    Ok((last_place, waiting.into_values().collect()))
}

/// `None` if a row is damaged.
fn read_marks(db: &Connection) -> rusqlite::Result<Option<Vec<Marks>>> {
    let select = "SELECT author, recipient, outbox, accepted, delivered, read, sum FROM receipts";
    let mut select = db.prepare(select)?;
    let rows = select.query_map([], |row| {
        let (from, to): (String, String) = (row.get(0)?, row.get(1)?);
        let numbers = [unsigned(row, 2)?, unsigned(row, 3)?, unsigned(row, 4)?, unsigned(row, 5)?];
        let is_whole = row.get::<_, Sum>(6)? == sum("receipt", &[&from, &to], &numbers, &[]);
        let [outbox, accepted, delivered, read] = numbers;
        let outbox = OutboxId(outbox);
        let names = from.parse().ok().zip(to.parse().ok()).filter(|_| is_whole);
        Ok(names.map(|(from, to)| Marks { from, outbox, to, accepted, delivered, read }))
    })?;
    rows.collect()
}

/// `None` if a row is damaged.
fn read_refusals(db: &Connection) -> rusqlite::Result<Option<Vec<OwedRefusal>>> {
    let select = "SELECT author, recipient, outbox, number, reason, may_have_arrived, sum FROM refusals";
    let mut select = db.prepare(select)?;
    let rows = select.query_map([], |row| {
        let (from, to, reason): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(4)?);
        let numbers = [unsigned(row, 2)?, unsigned(row, 3)?, unsigned(row, 5)?];
        let is_whole = row.get::<_, Sum>(6)? == sum("refusal", &[&from, &to, &reason], &numbers, &[]);
        let [outbox, number, maybe] = numbers;
        let names = from.parse().ok().zip(to.parse().ok()).filter(|_| is_whole);
        let id = LetterId { outbox: OutboxId(outbox), number };
        Ok(names.and_then(|(from, to)| OwedRefusal::read(from, to, id, &reason, maybe == 1)))
    })?;
    rows.collect()
}

/// BLAKE2s over every field, each text and the message with its length before it.
pub(super) fn sum(table: &str, texts: &[&str], numbers: &[u64], message: &[u8]) -> Sum {
    let mut hash = Blake2s256::new().chain_update(table);
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.update(message);
    *hash.finalize().first_chunk().expect("a hash of 32 bytes")
}
