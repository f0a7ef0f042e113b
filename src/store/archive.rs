//! Reads a member's history, also while another process writes it.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::database::{self, damaged, sqlite_error};
use super::error::StoreError;
use super::history::KIND;
use super::letter_rows::{
    self, AT, COLUMNS, MISSING, REFUSED, SENT, SHOWN, TEXT, VIA, Values, checksummed, content, is_refused,
    is_whole, key_of, number, parsed, readable,
};
use super::member::member_dir;
use super::received;
use crate::base::{Carrier, HostPort, LetterId, Name, OutboxId, Wall};
use crate::client::{GuestEvent, HistoryEntry, Holdings, Incoming, KIND_GUEST, Progress, Reason};

/// A stored letter that was not shown, with its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadLetter {
    /// Sequence number; rises with each received letter.
    pub seq: u64,
    /// The letter itself.
    pub letter: Incoming,
}

/// Outcome of a letter sent with a request number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The letter was accepted into the outbox and not refused.
    Going {
        /// Id of the letter.
        id: LetterId,
        /// How far the letter has come.
        progress: Progress,
    },
    /// The letter was refused.
    Refused {
        /// Id of the letter.
        id: LetterId,
        /// Recipient.
        to: Name,
        /// Reason of the refusal.
        reason: Reason,
        /// Whether the letter may still have arrived.
        may_have_arrived: bool,
        /// Text of the letter.
        text: String,
        /// Whether the refusal was reported to the user.
        is_reported: bool,
    },
}

/// Selects letters of the history; the default selects all.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryFilter<'a> {
    /// One member at one relay.
    pub with: Option<(&'a HostPort, &'a Name)>,
    /// Written at this time or later.
    pub since: Option<Wall>,
    /// Only this many of the last ones.
    pub last: Option<u64>,
}

/// A letter that its relay has not accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct UnsentLetter {
    /// The request that sent it.
    pub request: u64,
    /// The recipient's relay.
    pub relay: HostPort,
    /// The recipient.
    pub to: Name,
    /// Its text.
    pub text: String,
}

/// A member's letters, open for reading.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    db: Connection,
}

impl Archive {
    /// Opens the letters of the member whose folder is `folder`. Returns `None` if no letters were
    /// ever stored.
    ///
    /// # Errors
    /// As [`super::MemberStore::open`], for the database.
    pub fn open(data_dir: &Path, folder: &str) -> Result<Option<Archive>, StoreError> {
        let path = member_dir(data_dir, folder).join("letters.sqlite");
        let Some(db) = database::open_to_read(&path, &KIND)? else { return Ok(None) };
        Ok(Some(Archive { path, db }))
    }

    /// Passes letters to `tell`, oldest first, until it returns `false`. Leaves out letters refused
    /// for other reasons than `old-copy`.
    ///
    /// Passes only those that `filter` selects.
    ///
    /// # Errors
    /// `Damaged`, an error of the system, or the error of `tell`.
    pub fn read<E: From<StoreError>>(
        &self,
        filter: HistoryFilter<'_>,
        mut tell: impl FnMut(HistoryEntry) -> Result<bool, E>,
    ) -> Result<(), E> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let HistoryFilter { with, since, last } = filter;
        let (relay, member) = with.map(|(relay, member)| (relay.to_string(), member.to_string())).unzip();
        let select = format!(
            "SELECT {}, sum, said.id,
                coalesce(accepted, 0), coalesce(delivered, 0), coalesce(conversations.read, 0), coalesce(until, 0)
            FROM (SELECT letters.*, relay, member FROM letters LEFT JOIN peers ON peers.id = peer
                WHERE via IS NOT 'erased'
                    AND (refused IS NULL OR NOT {})
                    AND (?1 IS NULL OR (relay = ?1 AND member = ?2))
                    AND (?4 IS NULL OR at >= ?4)
                ORDER BY letters.id DESC LIMIT ?3) AS said
            LEFT JOIN conversations ON conversations.peer = said.peer AND conversations.outbox_id = said.outbox
            ORDER BY said.id",
            checksummed!(),
            is_refused()
        );
        let mut select = self.db.prepare(&select).map_err(to_error)?;
        let last = last.map_or(-1, |last| i64::try_from(last).unwrap_or(-1));
        let since = since.map(|since| i64::try_from(since.0).unwrap_or(i64::MAX));
        let mut rows = select.query(params![relay, member, last, since]).map_err(to_error)?;
        while let Some(row) = rows.next().map_err(to_error)? {
            let entry = self.history_entry(row).map_err(|error| damaged(&self.path, error))?;
            if let Some(entry) = entry
                && !tell(entry)?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the members that letters are from or to, and their relays: of those letters that
    /// [`Archive::read`] passes, or `with_refused` of all.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn conversations(&self, with_refused: bool) -> Result<Vec<(HostPort, Name)>, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let select = format!(
            "SELECT relay, member FROM peers
            WHERE EXISTS (SELECT 1 FROM letters WHERE peer = peers.id AND via IS NOT 'erased'
                AND (?1 OR refused IS NULL OR NOT {}))
            ORDER BY member, relay",
            is_refused()
        );
        let mut select = self.db.prepare(&select).map_err(to_error)?;
        let rows =
            select.query_map([with_refused], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let rows = rows.map_err(to_error)?.collect::<Result<Vec<_>, _>>().map_err(to_error)?;
        // Damaged names are in no conversation that can be asked for.
        Ok(rows
            .iter()
            .filter_map(|(relay, member)| Some((relay.parse().ok()?, member.parse().ok()?)))
            .collect())
    }

    /// Returns the outcome of the letter sent with this request number. Returns `None` if it was
    /// never accepted into the outbox.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn request_outcome(&self, request: u64) -> Result<Option<RequestOutcome>, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let select = "SELECT member, outbox, number, text, refused, doubt, shown,
                coalesce(accepted, 0), coalesce(delivered, 0), coalesce(read, 0), coalesce(until, 0), relay, kind
            FROM letters JOIN peers ON peers.id = letters.peer
            LEFT JOIN conversations
                ON conversations.peer = letters.peer AND conversations.outbox_id = letters.outbox
            WHERE request = ?1";
        let mut select = self.db.prepare_cached(select).map_err(to_error)?;
        let mut rows = select.query([request as i64]).map_err(to_error)?;
        let row = rows.next().map_err(to_error)?;
        row.map(|row| request_outcome(row).map_err(|error| damaged(&self.path, error))).transpose()
    }

    /// Returns stored letters that were not shown, at most `count_max`, with sequence numbers above
    /// `behind`.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn unread_letters(&self, behind: u64, count_max: usize) -> Result<Vec<UnreadLetter>, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let select = concat!(
            "SELECT ",
            checksummed!(),
            ", sum, letters.id
            FROM letters INDEXED BY letters_unshown LEFT JOIN peers ON peers.id = peer
            WHERE way = 1 AND shown = 0 AND letters.id > ?1 ORDER BY letters.id LIMIT ?2"
        );
        let mut select = self.db.prepare_cached(select).map_err(to_error)?;
        let rows = select
            .query_map((behind as i64, count_max as i64), |row| self.unread_letter(row))
            .map_err(to_error)?;
        rows.map(|row| row.map_err(|error| damaged(&self.path, error))).collect()
    }

    /// Returns the texts that no relay has accepted or refused, the oldest first, at most
    /// `count_max`. A damaged row is left out.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn unsent_letters(&self, count_max: usize) -> Result<Vec<UnsentLetter>, StoreError> {
        let to_error = |error: rusqlite::Error| sqlite_error(&self.path, &error);
        let select = concat!(
            "SELECT ",
            checksummed!(),
            ", sum, request
            FROM (SELECT letters.*, relay, member FROM outgoing
                JOIN letters ON letters.id = outgoing.letter JOIN peers ON peers.id = peer
                WHERE refused IS NULL AND request IS NOT NULL AND text IS NOT NULL) AS said
            LEFT JOIN conversations ON conversations.peer = said.peer AND conversations.outbox_id = said.outbox
            WHERE number > coalesce(accepted, 0) ORDER BY said.id LIMIT ?1"
        );
        let mut select = self.db.prepare(select).map_err(to_error)?;
        let mut rows = select.query([count_max as i64]).map_err(to_error)?;
        let mut letters = Vec::new();
        while let Some(row) = rows.next().map_err(to_error)? {
            letters.extend(unsent_letter(row).map_err(|error| damaged(&self.path, error))?);
        }
        Ok(letters)
    }

    /// Returns the bytes stored for each sender.
    ///
    /// # Errors
    /// `Damaged`, or an error of the system.
    pub fn holdings(&self) -> Result<Holdings, StoreError> {
        received::holdings(&self.db).map_err(|error| sqlite_error(&self.path, &error))
    }

    /// Checks a row for damage and reads its owner and id. For a damaged row they come from the
    /// index, if it lists the row.
    fn check_row(&self, row: &Row<'_>) -> rusqlite::Result<CheckedRow> {
        let whole = is_whole(row, 0)?;
        let key = if whole { None } else { key_of(&self.db, number(row, COLUMNS + 1)?)? };
        let Some(key) = key else {
            let relay = parsed(row, 0)?;
            let member = parsed(row, 1)?;
            let by_me = row.get::<_, u8>(2)? == SENT;
            return Ok(CheckedRow { whole, relay, member, by_me, id: id_at(row, 3)? });
        };
        let select = "SELECT relay, member FROM peers WHERE id = ?1";
        let mut select = self.db.prepare_cached(select)?;
        let (relay, member) = select.query_row([key.peer], |row| Ok((parsed(row, 0)?, parsed(row, 1)?)))?;
        let id = LetterId { outbox: OutboxId(key.outbox), number: key.number };
        Ok(CheckedRow { whole, relay, member, by_me: key.way == SENT, id })
    }

    /// Reads a letter of the history. Returns `None` if it was refused for another reason than
    /// `old-copy`.
    fn history_entry(&self, row: &Row<'_>) -> rusqlite::Result<Option<HistoryEntry>> {
        let CheckedRow { whole, relay, member, by_me, id } = self.check_row(row)?;
        let values = letter_rows::values(row, 0)?;
        let is_old_copy = whole && values[REFUSED] == ValueRef::Text(Reason::OldCopy.word().as_bytes());
        if whole && values[REFUSED] != ValueRef::Null && !is_old_copy {
            return Ok(None);
        }
        let (text, note) = check_content(&values, whole);
        let state = match by_me {
            true => progress(row, COLUMNS + 2, id)?,
            false if values[SHOWN] == ValueRef::Integer(1) => Progress::Read,
            false => Progress::Delivered,
        };
        Ok(Some(HistoryEntry {
            by_me,
            member,
            id: if by_me { LetterId { outbox: id.outbox.for_relay(&relay), ..id } } else { id },
            relay,
            text,
            note,
            at: Wall(number_or_zero(values[AT])),
            state,
            via: (!by_me).then(|| carrier(values[VIA])),
            missing: if whole { number_or_zero(values[MISSING]) } else { 0 },
            damaged: !whole,
            is_old_copy,
        }))
    }

    fn unread_letter(&self, row: &Row<'_>) -> rusqlite::Result<UnreadLetter> {
        let CheckedRow { whole, relay, member, id, .. } = self.check_row(row)?;
        let values = letter_rows::values(row, 0)?;
        let (text, note) = check_content(&values, whole);
        let letter = Incoming {
            relay,
            from: member,
            id,
            text,
            note,
            at: Wall(number_or_zero(values[AT])),
            via: carrier(values[VIA]),
            missing: if whole { number_or_zero(values[MISSING]) } else { 0 },
            damaged: !whole,
        };
        Ok(UnreadLetter { seq: number(row, COLUMNS + 1)?, letter })
    }
}

/// Integrity, owner and id of a row.
struct CheckedRow {
    whole: bool,
    relay: HostPort,
    member: Name,
    by_me: bool,
    id: LetterId,
}

/// Returns the content of a letter; of a damaged one, the readable part of its text.
fn check_content(values: &Values<'_>, whole: bool) -> (String, Option<GuestEvent>) {
    if whole { content(values) } else { (readable(values[TEXT]).unwrap_or_default(), None) }
}

fn request_outcome(row: &Row<'_>) -> rusqlite::Result<RequestOutcome> {
    let id = sent_id(row, 1, &parsed(row, 11)?)?;
    let is_note = row.get_ref(12)? == ValueRef::Integer(KIND_GUEST.into());
    match readable(row.get_ref(4)?) {
        None => Ok(RequestOutcome::Going { id, progress: progress(row, 7, id)? }),
        Some(word) => Ok(RequestOutcome::Refused {
            id,
            to: parsed(row, 0)?,
            reason: Reason::from_stored(&word),
            may_have_arrived: row.get(5)?,
            text: readable(row.get_ref(3)?).filter(|_| !is_note).unwrap_or_default(),
            is_reported: row.get(6)?,
        }),
    }
}

/// Returns how far a sent letter has come, from the watermarks of its conversation: accepted,
/// delivered, read, until.
fn unsent_letter(row: &Row<'_>) -> rusqlite::Result<Option<UnsentLetter>> {
    if !is_whole(row, 0)? {
        return Ok(None);
    }
    let (text, _) = letter_rows::content(&letter_rows::values(row, 0)?);
    let request = row.get::<_, i64>(COLUMNS + 1)? as u64;
    Ok(Some(UnsentLetter { request, relay: parsed(row, 0)?, to: parsed(row, 1)?, text }))
}

fn progress(row: &Row<'_>, column: usize, id: LetterId) -> rusqlite::Result<Progress> {
    let watermarks = [number(row, column)?, number(row, column + 1)?, number(row, column + 2)?];
    Ok(match id.number {
        letter if letter <= watermarks[2] => Progress::Read,
        letter if letter <= watermarks[1] => Progress::Delivered,
        letter if letter <= watermarks[0] => match Wall(number(row, column + 3)?) {
            Wall(0) => Progress::Accepted,
            until => Progress::Waiting { until },
        },
        _ => Progress::Queued,
    })
}

/// Returns the id that a sent letter has at that relay.
fn sent_id(row: &Row<'_>, column: usize, relay: &HostPort) -> rusqlite::Result<LetterId> {
    let persisted = id_at(row, column)?;
    Ok(LetterId { outbox: persisted.outbox.for_relay(relay), ..persisted })
}

fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<LetterId> {
    Ok(LetterId { outbox: OutboxId(number(row, column)?), number: number(row, column + 1)? })
}

fn carrier(value: ValueRef<'_>) -> Carrier {
    match readable(value).as_deref() {
        Some("tcp") => Carrier::Tcp,
        _ => Carrier::Udp,
    }
}

/// Reads a number of a row that may be damaged; 0 if it is none.
fn number_or_zero(value: ValueRef<'_>) -> u64 {
    value.as_i64().unwrap_or_default() as u64
}
