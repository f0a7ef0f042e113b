//! A member's database: letters out and in, how far they have come, and the number of the outbox.
//!
//! SQLite in WAL mode with `synchronous = FULL`. A letter stands in it once: its key is whose it is and what it is
//! called. How far a sent letter has come is no column of it: it follows from its conversation's watermarks. Rows stand
//! in the order in which they were written down here; no clock has a say in that.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::commits::Commits;
use super::database::{self, Kind, phrase};
use super::worker::Fault;
use crate::base::{Carrier, HostPort, LetterId, Name, OutboxId, Phrase, Wall};
use crate::client::{
    Incoming, Kept, KeptConversation, KeptLetter, KeptRefusal, KeptSender, Reach, Reason, Record,
};

/// The layout of a member's database.
pub(super) const KIND: Kind = Kind {
    // `QQIB`.
    application_id: 0x5151_4942,
    schema_version: 1,
    schema: &["
CREATE TABLE outbox(one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL) STRICT;
CREATE TABLE peers(
  id INTEGER PRIMARY KEY,
  relay TEXT NOT NULL,
  member TEXT NOT NULL,
  UNIQUE(relay, member)
) STRICT;
CREATE TABLE conversations(
  peer INTEGER PRIMARY KEY REFERENCES peers,
  last INTEGER NOT NULL DEFAULT 0,
  taken INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  read INTEGER NOT NULL DEFAULT 0,
  until INTEGER NOT NULL DEFAULT 0,
  touched INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE senders(
  peer INTEGER NOT NULL REFERENCES peers,
  outbox INTEGER NOT NULL,
  last INTEGER NOT NULL,
  read INTEGER NOT NULL DEFAULT 0,
  heard INTEGER NOT NULL,
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
  UNIQUE(peer, way, outbox, number)
) STRICT;
CREATE UNIQUE INDEX letters_by_request ON letters(request) WHERE request IS NOT NULL;
CREATE INDEX letters_unshown ON letters(id) WHERE way = 1 AND shown = 0;
CREATE INDEX letters_untold ON letters(id) WHERE way = 0 AND shown = 0 AND refused IS NOT NULL;"],
    steps: &[],
};

/// Conversations and senders' outboxes loaded at start, newest first: what the client's tables hold.
const ROWS_LOADED_MAX: u32 = 65_536;

/// Refusals loaded at start that a killed process did not tell; more are told by the runs after it.
const REFUSALS_LOADED_MAX: u32 = 1_024;
/// What the column `refused` may say.
const REASONS: [Reason; 9] = [
    Reason::Unknown,
    Reason::Offline,
    Reason::Full,
    Reason::TooLong,
    Reason::Blocked,
    Reason::Behind,
    Reason::Expired,
    Reason::Taken,
    Reason::Damaged,
];

/// The reason a word of the column `refused` stands for.
pub(super) fn reason(word: &str) -> Reason {
    REASONS.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Reason::Full)
}

/// Sent, in the column `way`.
pub(super) const SENT: u8 = 0;
/// Received.
pub(super) const RECEIVED: u8 = 1;

/// A member's open database.
#[derive(Debug)]
pub(super) struct History {
    db: Connection,
    commits: Commits,
    outbox: OutboxId,
}

impl History {
    /// Opens the database, or makes one with `outbox` as its number; checks it.
    ///
    /// Errors: `store-not-database`, `store-database-damaged`, `store-newer`, or what the system says.
    pub(super) fn open(path: &Path, outbox: impl FnOnce() -> u64) -> Result<(History, Kept), Phrase> {
        let (db, commits) = database::open(path, &KIND)?;
        let told = |error: rusqlite::Error| phrase(path, &error);
        db.execute("INSERT OR IGNORE INTO outbox(one, id) VALUES (1, ?1)", [outbox() as i64])
            .map_err(told)?;
        let id: i64 = db.query_row("SELECT id FROM outbox", [], |row| row.get(0)).map_err(told)?;
        let history = History { db, commits, outbox: OutboxId(id as u64) };
        let kept = history.load().map_err(told)?;
        Ok((history, kept))
    }

    /// The outbox of this database.
    pub(super) const fn outbox(&self) -> OutboxId {
        self.outbox
    }

    /// Makes these records durable, or none. Those that contradict what is there are left out, and their indexes go
    /// to `refused`.
    pub(super) fn add(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        let outbox = self.outbox;
        self.commits.commit(&mut self.db, |tx| {
            for (index, record) in records.iter().enumerate() {
                if !add_one(tx, outbox, record)? {
                    refused.push(index);
                }
            }
            Ok(())
        })
    }

    fn load(&self) -> rusqlite::Result<Kept> {
        let mut kept = Kept {
            clock: self.db.query_row("SELECT coalesce(max(id), 0) FROM letters", [], |row| number(row, 0))?,
            ..Kept::default()
        };
        self.load_conversations(&mut kept)?;
        self.load_letters(&mut kept)?;
        self.load_refusals(&mut kept)?;
        self.load_senders(&mut kept)?;
        Ok(kept)
    }

    fn load_conversations(&self, kept: &mut Kept) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, last, taken, accepted, delivered, read, until, touched
            FROM conversations JOIN peers ON peers.id = peer ORDER BY touched DESC LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([ROWS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let reach = Reach {
                last: number(row, 2)?,
                taken: number(row, 3)?,
                accepted: number(row, 4)?,
                delivered: number(row, 5)?,
                read: number(row, 6)?,
                until: Wall(number(row, 7)?),
            };
            let conversation = KeptConversation { reach, touched: number(row, 8)? };
            kept.conversations.insert(peer(row, 0)?, conversation);
        }
        if kept.conversations.len() == ROWS_LOADED_MAX as usize {
            let highest = "SELECT max(last) FROM conversations";
            kept.number_floor = self.db.query_row(highest, [], |row| number(row, 0))?;
        }
        Ok(())
    }

    fn load_letters(&self, kept: &mut Kept) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, number, request, text, at FROM conversations
            JOIN letters ON letters.peer = conversations.peer AND way = 0 AND outbox = ?1 AND number > delivered
            JOIN peers ON peers.id = conversations.peer
            WHERE last > delivered AND refused IS NULL";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([self.outbox.0 as i64])?;
        while let Some(row) = rows.next()? {
            let (relay, to) = peer(row, 0)?;
            let (request, text, written) = (number(row, 3)?, row.get(4)?, Wall(number(row, 5)?));
            kept.letters.insert((relay, to, number(row, 2)?), KeptLetter { request, text, written });
        }
        Ok(())
    }

    fn load_refusals(&self, kept: &mut Kept) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, number, request, text, at, refused, doubt
            FROM letters JOIN peers ON peers.id = peer
            WHERE way = 0 AND shown = 0 AND refused IS NOT NULL ORDER BY letters.id LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([REFUSALS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let (relay, to) = peer(row, 0)?;
            let (request, text, written) = (number(row, 3)?, row.get(4)?, Wall(number(row, 5)?));
            let (word, may_have_arrived): (String, bool) = (row.get(6)?, row.get(7)?);
            let letter = KeptLetter { request, text, written };
            let refusal = KeptRefusal { letter, reason: reason(&word), may_have_arrived };
            kept.refusals.insert((relay, to, number(row, 2)?), refusal);
        }
        Ok(())
    }

    fn load_senders(&self, kept: &mut Kept) -> rusqlite::Result<()> {
        let select = "SELECT relay, member, outbox, last, read, heard
            FROM senders JOIN peers ON peers.id = peer ORDER BY heard DESC LIMIT ?1";
        let mut select = self.db.prepare(select)?;
        let mut rows = select.query([ROWS_LOADED_MAX])?;
        while let Some(row) = rows.next()? {
            let (relay, from) = peer(row, 0)?;
            let sender = KeptSender { last: number(row, 3)?, read: number(row, 4)?, heard: number(row, 5)? };
            kept.senders.insert((relay, from, OutboxId(number(row, 2)?)), sender);
        }
        Ok(())
    }
}

/// A number of 64 bits, as SQLite keeps it.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}

/// A text that must read as something.
pub(super) fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let wrong = |_| rusqlite::Error::InvalidColumnType(column, text.clone(), rusqlite::types::Type::Text);
    text.parse().map_err(wrong)
}

fn peer(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<(HostPort, Name)> {
    Ok((parsed(row, column)?, parsed(row, column + 1)?))
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

fn add_one(tx: &Transaction<'_>, outbox: OutboxId, record: &Record) -> rusqlite::Result<bool> {
    match record {
        Record::Counter(_) | Record::Pin { .. } | Record::UdpFailed { .. } => Ok(true),
        Record::Written { relay, to, number, request, text, written } => {
            let peer = peer_id(tx, relay, to)?;
            let letter = (*number, *request, text.as_str(), *written);
            add_written(tx, peer, outbox, letter)
        }
        Record::Reached { relay, to, reach } => raise(tx, peer_id(tx, relay, to)?, reach),
        Record::Refused { relay, to, number, reason, may_have_arrived } => {
            let update = "UPDATE letters SET refused = ?4, doubt = ?5
                WHERE peer = ?1 AND way = 0 AND outbox = ?2 AND number = ?3 AND refused IS NULL
                    AND number > (SELECT delivered FROM conversations WHERE conversations.peer = ?1)";
            let (peer, outbox, number) = (peer_id(tx, relay, to)?, outbox.0 as i64, *number as i64);
            tx.prepare_cached(update)?.execute((peer, outbox, number, reason.as_str(), may_have_arrived))?;
            Ok(true)
        }
        Record::Told { relay, to, number } => {
            let update = "UPDATE letters SET shown = 1
                WHERE peer = ?1 AND way = 0 AND outbox = ?2 AND number = ?3";
            let row = (peer_id(tx, relay, to)?, outbox.0 as i64, *number as i64);
            tx.prepare_cached(update)?.execute(row)?;
            Ok(true)
        }
        Record::Received { letter, after } => {
            let Incoming { relay, from, id, text, at, via, missing } = letter;
            let peer = peer_id(tx, relay, from)?;
            let row = Arrived { text: Some(text), at: *at, via: Some(*via), missing: *missing, shown: false };
            add_received(tx, peer, *id, *after, row)
        }
        Record::Unreadable { relay, from, id, at, after } => {
            let row = Arrived { text: None, at: *at, via: None, missing: 0, shown: true };
            add_received(tx, peer_id(tx, relay, from)?, *id, *after, row)
        }
        Record::Shown { relay, from, id, read } => {
            let row = (peer_id(tx, relay, from)?, id.outbox.0 as i64, id.number as i64);
            let update = "UPDATE letters SET shown = 1
                WHERE peer = ?1 AND way = 1 AND outbox = ?2 AND number = ?3";
            tx.prepare_cached(update)?.execute(row)?;
            if *read {
                let update = "UPDATE senders SET read = max(read, ?3) WHERE peer = ?1 AND outbox = ?2";
                tx.prepare_cached(update)?.execute(row)?;
            }
            Ok(true)
        }
    }
}

fn add_written(
    tx: &Transaction<'_>,
    peer: i64,
    outbox: OutboxId,
    (number, request, text, written): (u64, u64, &str, Wall),
) -> rusqlite::Result<bool> {
    let insert = "INSERT INTO letters(way, peer, outbox, number, request, text, at)
        VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let row = params![peer, outbox.0 as i64, number as i64, request as i64, text, written.0 as i64];
    if tx.prepare_cached(insert)?.execute(row)? == 0 {
        return Ok(false);
    }
    let touch = "INSERT INTO conversations(peer, last, touched) VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET last = max(last, ?2), touched = ?3";
    tx.prepare_cached(touch)?.execute((peer, number as i64, tx.last_insert_rowid()))?;
    Ok(true)
}

fn raise(tx: &Transaction<'_>, peer: i64, reach: &Reach) -> rusqlite::Result<bool> {
    let raise = "INSERT INTO conversations(peer, last, taken, accepted, delivered, read, until)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT DO UPDATE SET last = max(last, ?2), taken = max(taken, ?3), accepted = max(accepted, ?4),
            delivered = max(delivered, ?5), read = max(read, ?6), until = ?7";
    let Reach { last, taken, accepted, delivered, read, until } = *reach;
    let marks = [last, taken, accepted, delivered, read, until.0].map(|mark| mark as i64);
    let row = params![peer, marks[0], marks[1], marks[2], marks[3], marks[4], marks[5]];
    tx.prepare_cached(raise)?.execute(row)?;
    Ok(true)
}

struct Arrived<'a> {
    text: Option<&'a str>,
    at: Wall,
    via: Option<Carrier>,
    missing: u64,
    shown: bool,
}

/// A letter goes in only behind the one before it, or the sender's mark would pass over one that is not there.
fn add_received(
    tx: &Transaction<'_>,
    peer: i64,
    id: LetterId,
    after: u64,
    letter: Arrived<'_>,
) -> rusqlite::Result<bool> {
    let outbox = id.outbox.0 as i64;
    let mut select = tx.prepare_cached("SELECT last FROM senders WHERE peer = ?1 AND outbox = ?2")?;
    let last = select.query_row((peer, outbox), |row| number(row, 0)).optional()?.unwrap_or(0);
    if last >= id.number {
        return Ok(true);
    }
    if after != 0 && last != after {
        return Ok(false);
    }
    let insert = "INSERT INTO letters(way, peer, outbox, number, text, at, via, missing, shown)
        VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    let Arrived { text, at, via, missing, shown } = letter;
    let (number, via) = (id.number as i64, via.map(Carrier::as_str));
    let row = params![peer, outbox, number, text, at.0 as i64, via, missing as i64, shown];
    tx.prepare_cached(insert)?.execute(row)?;
    let mark = "INSERT INTO senders(peer, outbox, last, heard) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET last = ?3, heard = ?4";
    tx.prepare_cached(mark)?.execute((peer, outbox, number, tx.last_insert_rowid()))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
