//! A member's database: letters in both directions, how far they have come, and the number of the
//! outbox.
//!
//! SQLite in WAL mode with `synchronous = FULL`. Invariant: each letter is stored once, under its
//! owner and id. How far a sent letter has come is not a column; it follows from the watermarks of
//! its conversation. Rows are in the order in which they were stored here, independent of any
//! clock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::commit_counter::CommitCounter;
use super::database::{self, Kind, sqlite_error};
use super::error::{DamagedLetter, StoreError};
use super::letter_rows::{
    self, AT, COLUMNS, DOUBT, Key, LetterUpdate, MARK, NewLetter, RECEIVED, REFUSED, SENT, checksummed,
    is_reason, is_whole, number, peer, readable,
};
use super::outgoing;
use super::own_outboxes::{self, OwnOutboxes};
use super::received::{self, ReceivedLetter};
use super::replies::Fault;
use crate::base::{HostPort, LetterId, Mark, Name, OutboxId, Wall, Watermarks};
use crate::client::{
    Incoming, LetterBody, PersistedClient, PersistedConversation, PersistedLetter, PersistedRefusal,
    PersistedSender, Reach, Reason, Record,
};

/// Layout of a member's database.
pub(super) const KIND: Kind = Kind {
    // `QQIB`.
    application_id: 0x5151_4942,
    schema_version: 4,
    schema: &[
        "
CREATE TABLE outbox(one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL) STRICT;
CREATE TABLE peers(
  id INTEGER PRIMARY KEY,
  relay TEXT NOT NULL,
  member TEXT NOT NULL,
  UNIQUE(relay, member)
) STRICT;
CREATE TABLE conversations(
  peer INTEGER NOT NULL REFERENCES peers,
  outbox_id INTEGER NOT NULL,
  last INTEGER NOT NULL DEFAULT 0,
  taken INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  read INTEGER NOT NULL DEFAULT 0,
  until INTEGER NOT NULL DEFAULT 0,
  touched INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(peer, outbox_id)
) STRICT;
CREATE TABLE senders(
  peer INTEGER NOT NULL REFERENCES peers,
  outbox INTEGER NOT NULL,
  last INTEGER NOT NULL,
  read INTEGER NOT NULL DEFAULT 0,
  heard INTEGER NOT NULL,
  held INTEGER NOT NULL DEFAULT 0,
  mark INTEGER NOT NULL DEFAULT 0,
  closed INTEGER,
  PRIMARY KEY(peer, outbox)
) STRICT, WITHOUT ROWID;
CREATE TABLE letters(
  id INTEGER PRIMARY KEY,
  way INTEGER NOT NULL CHECK (way IN (0, 1)),
  peer INTEGER NOT NULL REFERENCES peers,
  outbox INTEGER NOT NULL,
  number INTEGER NOT NULL,
  text TEXT,
  at INTEGER NOT NULL,
  request INTEGER,
  refused TEXT,
  doubt INTEGER NOT NULL DEFAULT 0,
  via TEXT,
  missing INTEGER NOT NULL DEFAULT 0,
  shown INTEGER NOT NULL DEFAULT 0,
  mark INTEGER NOT NULL DEFAULT 0,
  sum BLOB,
  kind INTEGER NOT NULL DEFAULT 1,
  UNIQUE(peer, way, outbox, number)
) STRICT;
CREATE UNIQUE INDEX letters_by_request ON letters(request) WHERE request IS NOT NULL;
CREATE INDEX letters_unshown ON letters(id) WHERE way = 1 AND shown = 0;
CREATE INDEX letters_untold ON letters(id) WHERE way = 0 AND shown = 0 AND refused IS NOT NULL;",
        received::DECLINED,
        outgoing::SCHEMA,
        own_outboxes::SCHEMA,
    ],
};

/// Longest wait of a commit for another process. Erasing letters rewrites the whole history, at
/// about 100 MB/s.
pub(super) const BUSY_MAX: Duration = Duration::from_secs(60);

/// Prepared statements kept. A running client commits with about twenty different ones.
const STATEMENTS: usize = 32;
/// Maximum conversations and outboxes of senders loaded at start, newest first: the capacity of the
/// client's tables.
const ROWS_LOADED_MAX: u32 = 65_536;

/// Maximum unreported refusals of a killed process loaded at start. The following runs report
/// further ones.
const REFUSALS_LOADED_MAX: u32 = 1_024;
/// Relay, recipient, outbox and number of a letter.
type LetterKey = (HostPort, Name, OutboxId, u64);

/// A member's open database.
#[derive(Debug)]
pub(super) struct History {
    db: Connection,
    commit_counter: CommitCounter,
    path: PathBuf,
    outbox: OutboxId,
    outboxes: OwnOutboxes,
    damaged: Vec<DamagedLetter>,
}

impl History {
    /// Opens and checks the database, or creates one with `outbox` as its number.
    ///
    /// # Errors
    /// Returns `NotDatabase`, `Damaged`, `Newer`, or an error of the system.
    pub(super) fn open(
        path: &Path,
        outbox: impl FnOnce() -> u64,
    ) -> Result<(History, PersistedClient), StoreError> {
        let (db, commit_counter) = database::open(path, &KIND)?;
        let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
        db.busy_timeout(BUSY_MAX).map_err(to_error)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        db.execute("INSERT OR IGNORE INTO outbox(one, id) VALUES (1, ?1)", [outbox() as i64])
            .map_err(to_error)?;
        let id: i64 = db.query_row("SELECT id FROM outbox", [], |row| row.get(0)).map_err(to_error)?;
        let mut history = History {
            db,
            commit_counter,
            path: path.to_owned(),
            outbox: OutboxId(id as u64),
            outboxes: OwnOutboxes::default(),
            damaged: Vec::new(),
        };
        let persisted = history.load()?;
        Ok((history, persisted))
    }

    /// Takes the damaged letters of the outbox, which is refused for that:
    /// `letter-damaged` (`file`, `relay`, `to`, `number`).
    pub(super) fn take_damaged(&mut self) -> Vec<DamagedLetter> {
        std::mem::take(&mut self.damaged)
    }

    /// Returns the outbox of this database.
    pub(super) const fn outbox(&self) -> OutboxId {
        self.outbox
    }

    /// Makes these records durable, or none. Leaves out records that contradict the stored state
    /// and appends their indexes to `refused`.
    pub(super) fn add(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        let outboxes = &mut self.outboxes;
        let added = self.commit_counter.commit(&self.db, |tx| {
            for (index, record) in records.iter().enumerate() {
                if !add_one(tx, outboxes, record)? {
                    refused.push(index);
                }
            }
            Ok(())
        });
        if added.is_err() {
            self.outboxes.forget();
        }
        added
    }

    fn load(&mut self) -> Result<PersistedClient, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let clock = "SELECT coalesce(max(id), 0) FROM letters";
        let clock = self.db.query_row(clock, [], |row| number(row, 0)).map_err(to_error)?;
        let mut persisted = PersistedClient { clock, ..PersistedClient::default() };
        persisted.outboxes = own_outboxes::load(&self.db).map_err(to_error)?;
        self.load_conversations(&mut persisted).map_err(to_error)?;
        self.load_written_to(&mut persisted).map_err(to_error)?;
        let mut damaged = Vec::new();
        let damaged_seqs = self.load_letters(&mut persisted, &mut damaged).map_err(to_error)?;
        self.load_refusals(&mut persisted, &mut damaged).map_err(to_error)?;
        self.load_senders(&mut persisted).map_err(to_error)?;
        persisted.holdings = received::holdings(&self.db).map_err(to_error)?;
        persisted.declined = received::declined(&self.db).map_err(to_error)?;
        self.refuse(&damaged_seqs)?;
        let file = self.path.display().to_string();
        let letter = |(relay, to, _, number)| DamagedLetter { file: file.clone(), relay, to, number };
        self.damaged = damaged.into_iter().map(letter).collect();
        Ok(persisted)
    }

    /// Marks damaged letters of the outbox as refused: they are never sent.
    fn refuse(&mut self, places: &[u64]) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        let refused = self.commit_counter.commit(&self.db, |tx| {
            for seq in places {
                letter_rows::refuse_damaged(tx, *seq as i64)?;
                outgoing::remove_at(tx, *seq as i64)?;
            }
            letter_rows::mend_indexes(tx)
        });
        refused.map_err(|(Fault::Transient(error) | Fault::Broken(error))| error)
    }

    fn load_conversations(&self, persisted: &mut PersistedClient) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, last, taken, accepted, delivered, read, until, touched
            FROM conversations JOIN peers ON peers.id = peer
            WHERE outbox_id = coalesce((SELECT id FROM outboxes WHERE outboxes.relay = peers.relay), ?2)
            ORDER BY touched DESC LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query(params![ROWS_LOADED_MAX, self.outbox.0 as i64])?;
        while let Some(row) = rows.next()? {
            let reach = Reach {
                last: number(row, 2)?,
                last_taken: number(row, 3)?,
                watermarks: Watermarks {
                    accepted: number(row, 4)?,
                    delivered: number(row, 5)?,
                    read: number(row, 6)?,
                },
                until: Wall(number(row, 7)?),
            };
            let conversation = PersistedConversation { reach, touched: number(row, 8)? };
            persisted.conversations.insert(peer(row, 0)?, conversation);
        }
        if persisted.conversations.len() == ROWS_LOADED_MAX as usize {
            let highest = "SELECT max(last) FROM conversations";
            persisted.number_floor = self.db.query_row(highest, [], |row| number(row, 0))?;
        }
        Ok(())
    }

    fn load_written_to(&self, persisted: &mut PersistedClient) -> rusqlite::Result<()> {
        let select = "SELECT relay, member FROM conversations JOIN peers ON peers.id = peer
            GROUP BY peer ORDER BY max(touched) DESC LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([ROWS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let (relay, member) = peer(row, 0)?;
            persisted.written_to.entry(relay).or_default().insert(member);
        }
        Ok(())
    }

    /// Loads unfinished letters through the index, so that none is missed whatever its row
    /// contains. Damaged letters, or those with a damaged kind or body, become refusals, unless the
    /// relay has accepted them. Returns the sequence numbers of those refusals.
    fn load_letters(
        &self,
        persisted: &mut PersistedClient,
        named: &mut Vec<LetterKey>,
    ) -> rusqlite::Result<Vec<u64>> {
        let select = concat!(
            "SELECT ",
            checksummed!(),
            ", sum, letters.id, number <= accepted, sent_kind, sent_body, sent_sum FROM conversations
            CROSS JOIN letters INDEXED BY sqlite_autoindex_letters_1
                ON letters.peer = conversations.peer AND way = 0 AND letters.outbox = conversations.outbox_id
                    AND number > delivered
            JOIN peers ON peers.id = conversations.peer
            LEFT JOIN outgoing ON outgoing.letter = letters.id
            WHERE last > delivered AND conversations.outbox_id =
                coalesce((SELECT id FROM outboxes WHERE outboxes.relay = peers.relay), ?1)"
        );
        let mut select = self.db.prepare(select)?;
        let mut damaged = Vec::new();
        let mut rows = select.query([self.outbox.0 as i64])?;
        while let Some(row) = rows.next()? {
            let whole = is_whole(row, 0)?;
            let values = letter_rows::values(row, 0)?;
            let refused = readable(values[REFUSED]);
            let is_known_reason = || refused.as_deref().is_some_and(is_reason);
            if refused.is_some() && (whole || is_known_reason()) {
                continue;
            }
            let (key, letter) = self.persisted_letter(row, whole)?;
            let id = LetterId { outbox: key.2, number: key.3 };
            let encoded = outgoing::read(row, COLUMNS + 3, (&key.0, &key.1), id)?;
            if whole && encoded.is_some() || row.get(COLUMNS + 2)? {
                let (relay, to, _, number) = key;
                let encoded = encoded.unwrap_or_default();
                persisted.letters.insert((relay, to, number), PersistedLetter { encoded, ..letter });
            } else {
                named.push(key.clone());
                let refusal = PersistedRefusal { letter, reason: Reason::Damaged, may_have_arrived: true };
                persisted.refusals.insert(key, refusal);
                damaged.push(number(row, COLUMNS + 1)?);
            }
        }
        Ok(damaged)
    }

    fn load_refusals(
        &self,
        persisted: &mut PersistedClient,
        named: &mut Vec<LetterKey>,
    ) -> rusqlite::Result<()> {
        let select = concat!(
            "SELECT ",
            checksummed!(),
            ", sum, letters.id FROM letters INDEXED BY letters_untold JOIN peers ON peers.id = peer
            WHERE way = 0 AND shown = 0 AND refused IS NOT NULL ORDER BY letters.id LIMIT ?1"
        );
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([REFUSALS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let whole = is_whole(row, 0)?;
            let (key, letter) = self.persisted_letter(row, whole)?;
            let word = readable(row.get_ref(REFUSED)?).unwrap_or_default();
            let (reason, may_have_arrived) =
                if whole { (Reason::from_stored(&word), row.get(DOUBT)?) } else { (Reason::Damaged, true) };
            if !whole {
                named.push(key.clone());
            }
            persisted.refusals.insert(key, PersistedRefusal { letter, reason, may_have_arrived });
        }
        Ok(())
    }

    /// Reads a letter of the outbox without its kind and body. For a damaged one, reads what is
    /// readable, with the key from the index.
    fn persisted_letter(
        &self,
        row: &rusqlite::Row<'_>,
        whole: bool,
    ) -> rusqlite::Result<(LetterKey, PersistedLetter)> {
        let values = letter_rows::values(row, 0)?;
        let (text, _) = letter_rows::content(&values);
        let number_at = |nth: usize| values[nth].as_i64().unwrap_or_default() as u64;
        let (relay, to) = peer(row, 0)?;
        let key = if whole { None } else { letter_rows::key_of(&self.db, number(row, COLUMNS + 1)?)? };
        let (outbox, number) =
            key.map_or_else(|| (number_at(3), number_at(4)), |key| (key.outbox, key.number));
        let request = number_at(7);
        let written = Wall(number_at(AT));
        let mark = Mark(number_at(MARK) as u32);
        let letter = PersistedLetter { request, text, written, mark, encoded: LetterBody::default() };
        Ok(((relay, to, OutboxId(outbox), number), letter))
    }

    fn load_senders(&self, persisted: &mut PersistedClient) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, outbox, last, read, heard, held, mark, closed
            FROM senders JOIN peers ON peers.id = peer ORDER BY heard DESC LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([ROWS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let (relay, from) = peer(row, 0)?;
            let [last, read, last_received, stored_bytes] =
                [number(row, 3)?, number(row, 4)?, number(row, 5)?, number(row, 6)?];
            let mark = Mark(number(row, 7)? as u32);
            let closed = row.get::<_, Option<u32>>(8)?.map(Mark);
            let sender = PersistedSender { last, read, last_received, stored_bytes, mark, closed };
            persisted.senders.insert((relay, from, OutboxId(number(row, 2)?)), sender);
        }
        Ok(())
    }
}

fn peer_id(tx: &Transaction<'_>, relay: &HostPort, member: &Name) -> rusqlite::Result<i64> {
    let row = (relay.to_string(), member.as_str());
    let mut select = tx.prepare_cached("SELECT id FROM peers WHERE relay = ?1 AND member = ?2")?;
    if let Some(id) = select.query_row((&row.0, row.1), |row| row.get(0)).optional()? {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO peers(relay, member) VALUES (?1, ?2)")?.execute((&row.0, row.1))?;
    Ok(tx.last_insert_rowid())
}

fn add_one(tx: &Transaction<'_>, outboxes: &mut OwnOutboxes, record: &Record) -> rusqlite::Result<bool> {
    match record {
        Record::Counter(_) | Record::Pin { .. } | Record::UdpFailed { .. } => Ok(true),
        Record::SigningIn { relay, outbox, sign_in } => {
            outboxes.add_sign_in(tx, relay, *outbox, *sign_in)?;
            Ok(true)
        }
        Record::OldCopy { relay, outbox } => {
            outboxes.raise(tx, relay, (*outbox, Mark::default()))?;
            Ok(true)
        }
        Record::Written { relay, to, outbox, number, mark, request, text, written, encoded } => {
            outboxes.raise(tx, relay, (*outbox, *mark))?;
            let id = LetterId { outbox: *outbox, number: *number };
            add_written(tx, (relay, to), (id, *mark), (*request, text.as_str(), *written), encoded)
        }
        Record::Reached { relay, to, outbox, reach } => raise(tx, peer_id(tx, relay, to)?, *outbox, reach),
        Record::Refused { relay, to, outbox, number, reason, may_have_arrived } => {
            let id = LetterId { outbox: *outbox, number: *number };
            let key = key(peer_id(tx, relay, to)?, SENT, id);
            let waits = "SELECT 1 FROM conversations WHERE peer = ?1 AND outbox_id = ?3 AND delivered < ?2";
            if tx.prepare_cached(waits)?.exists((key.peer, *number as i64, key.outbox as i64))? {
                letter_rows::update(tx, key, LetterUpdate::Refused(&reason.word(), *may_have_arrived))?;
                outgoing::remove(tx, key.peer, id)?;
            }
            Ok(true)
        }
        Record::RefusalShown { relay, to, outbox, number } => {
            let key = key(peer_id(tx, relay, to)?, SENT, LetterId { outbox: *outbox, number: *number });
            letter_rows::update(tx, key, LetterUpdate::Shown)?;
            Ok(true)
        }
        Record::Received { letter, after, mark } => {
            let Incoming { relay, from, id, text, note, at, via, missing, damaged: _ } = letter;
            let row = ReceivedLetter { text, note: *note, at: *at, via: *via, missing: *missing };
            received::add(tx, peer_id(tx, relay, from)?, (relay, from), (*id, *after, *mark), row)
        }
        Record::Declined { relay, from, id, reason, after, mark } => {
            received::decline(tx, peer_id(tx, relay, from)?, (*id, *after, *mark), *reason)
        }
        Record::Closed { relay, from, outbox, mark } => {
            received::close(tx, peer_id(tx, relay, from)?, *outbox, *mark)
        }
        Record::Shown { relay, from, id, read } => {
            let key = key(peer_id(tx, relay, from)?, RECEIVED, *id);
            letter_rows::update(tx, key, LetterUpdate::Shown)?;
            if *read {
                let update = "UPDATE senders SET read = max(read, ?3) WHERE peer = ?1 AND outbox = ?2";
                tx.prepare_cached(update)?.execute((key.peer, key.outbox as i64, key.number as i64))?;
            }
            Ok(true)
        }
    }
}

const fn key(peer: i64, way: u8, id: LetterId) -> Key {
    Key { peer, way, outbox: id.outbox.0, number: id.number }
}

fn add_written(
    tx: &Transaction<'_>,
    (relay, to): (&HostPort, &Name),
    (id, mark): (LetterId, Mark),
    (request, text, written): (u64, &str, Wall),
    encoded: &LetterBody,
) -> rusqlite::Result<bool> {
    let peer = peer_id(tx, relay, to)?;
    let letter = NewLetter {
        way: SENT,
        id,
        text,
        note: encoded.guest_event(),
        at: written,
        request: Some(request),
        via: None,
        missing: 0,
        mark,
    };
    if !letter.insert(tx, peer, (relay, to))? {
        return Ok(false);
    }
    let seq = tx.last_insert_rowid();
    outgoing::add(tx, seq, (relay, to), id, encoded)?;
    let touch = "INSERT INTO conversations(peer, outbox_id, last, touched) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET last = max(last, ?3), touched = ?4";
    tx.prepare_cached(touch)?.execute((peer, id.outbox.0 as i64, id.number as i64, seq))?;
    Ok(true)
}

fn raise(tx: &Transaction<'_>, peer: i64, outbox: OutboxId, reach: &Reach) -> rusqlite::Result<bool> {
    let before = "SELECT delivered FROM conversations WHERE peer = ?1 AND outbox_id = ?2";
    let mut before = tx.prepare_cached(before)?;
    let before = before.query_row((peer, outbox.0 as i64), |row| number(row, 0)).optional()?.unwrap_or(0);
    let Reach { last, last_taken, watermarks, until } = *reach;
    let Watermarks { accepted, delivered, read } = watermarks;
    if delivered > before {
        outgoing::remove_through(tx, peer, outbox, before, delivered)?;
    }
    let raise = "INSERT INTO conversations(peer, last, taken, accepted, delivered, read, until, outbox_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT DO UPDATE SET last = max(last, ?2), taken = max(taken, ?3), accepted = max(accepted, ?4),
            delivered = max(delivered, ?5), read = max(read, ?6), until = ?7";
    let marks = [last, last_taken, accepted, delivered, read, until.0].map(|mark| mark as i64);
    let outbox = outbox.0 as i64;
    let row = params![peer, marks[0], marks[1], marks[2], marks[3], marks[4], marks[5], outbox];
    tx.prepare_cached(raise)?.execute(row)?;
    Ok(true)
}

#[cfg(test)]
mod damaged_tests;
#[cfg(test)]
mod tests;
