//! The rows of a member's letters.
//!
//! Must not depend on: which letters a client loads. Invariant: each row has a checksum over all of
//! its fields and its owner, checked on reading. SQLite has none, and a flipped bit could attribute
//! words to the wrong person. A damaged row stays in the file with a wrong checksum. Only its
//! refusal, or that it was shown, is recorded in it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::checksums::{Checksum, checksum_of_values, unsigned};
use crate::base::{Carrier, HostPort, LetterId, Mark, Name, Wall};
use crate::client::{GuestEvent, KIND_GUEST, KIND_TEXT, Reason};

/// Whether the column `refused` may contain this word.
pub(super) fn is_reason(word: &str) -> bool {
    Reason::from_word(word).is_some()
}

/// Returns the SQL condition that a letter was refused and is in no history. Letters refused for
/// `old-copy` are in it, because they may have arrived.
pub(super) fn is_refused() -> String {
    let words = Reason::known_words().filter(|word| *word != Reason::OldCopy.word());
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    format!("(refused IN ({}) OR refused GLOB 'reason-[0-9]*')", words.join(", "))
}

/// Value of the column `way` for a sent letter.
pub(super) const SENT: u8 = 0;
/// Value of the column `way` for a received letter.
pub(super) const RECEIVED: u8 = 1;

/// Value of the column `via` for a letter whose text was erased.
const ERASED: &str = "erased";

/// Number of fields in a checksum.
pub(super) const COLUMNS: usize = 15;
/// Indexes among these fields.
pub(super) const TEXT: usize = 5;
pub(super) const AT: usize = 6;
pub(super) const REFUSED: usize = 8;
pub(super) const DOUBT: usize = 9;
pub(super) const VIA: usize = 10;
pub(super) const MISSING: usize = 11;
pub(super) const SHOWN: usize = 12;
pub(super) const MARK: usize = 13;
pub(super) const KIND: usize = 14;

/// The fields of a checksum, in its order.
macro_rules! checksummed {
    () => {
        "relay, member, way, outbox, number, text, at, request, refused, doubt, via, missing, shown, mark, kind"
    };
}
pub(super) use checksummed;

pub(super) type Values<'a> = [ValueRef<'a>; COLUMNS];

/// Returns the checksum of these fields.
pub(super) fn checksum_of(values: &Values<'_>) -> Checksum {
    checksum_of_values("letter", values)
}

/// Reads the fields of a row from this column on, even if they are damaged.
pub(super) fn values<'a>(row: &'a Row<'_>, from: usize) -> rusqlite::Result<Values<'a>> {
    let mut values = [ValueRef::Null; COLUMNS];
    for (nth, value) in values.iter_mut().enumerate() {
        *value = row.get_ref(from + nth)?;
    }
    Ok(values)
}

/// Whether the checksum in the column after those of [`values`] matches them.
pub(super) fn is_whole(row: &Row<'_>, from: usize) -> rusqlite::Result<bool> {
    let found = row.get_ref(from + COLUMNS)?;
    Ok(found == ValueRef::Blob(&checksum_of(&values(row, from)?)))
}

/// Returns the readable part of a text.
pub(super) fn readable(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// Returns the content of an intact row: its text, or a guest event, whose word is stored as the
/// text.
pub(super) fn content(values: &Values<'_>) -> (String, Option<GuestEvent>) {
    let text = readable(values[TEXT]).unwrap_or_default();
    let is_note = values[KIND] == ValueRef::Integer(KIND_GUEST.into());
    match GuestEvent::from_word(&text).filter(|_| is_note) {
        Some(note) => (String::new(), Some(note)),
        None => (text, None),
    }
}

/// Reads an unsigned 64-bit number, which SQLite stores as a signed one.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}

/// Reads a text that must parse.
pub(super) fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let wrong = |_| rusqlite::Error::InvalidColumnType(column, text.clone(), rusqlite::types::Type::Text);
    text.parse().map_err(wrong)
}

pub(super) fn peer(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<(HostPort, Name)> {
    Ok((parsed(row, column)?, parsed(row, column + 1)?))
}

/// Key of a letter row, as the index has it: the number of the peer, the direction, outbox and
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) peer: i64,
    pub(super) way: u8,
    pub(super) outbox: u64,
    pub(super) number: u64,
}

/// Returns the key of a damaged row from the index, the second copy of the key. If it differs from
/// the key in the row, the whole index is searched.
pub(super) fn key_of(db: &Connection, seq: u64) -> rusqlite::Result<Option<Key>> {
    let key = |row: &Row<'_>| {
        Ok(Key { peer: row.get(0)?, way: row.get(1)?, outbox: unsigned(row, 2)?, number: unsigned(row, 3)? })
    };
    let in_row = "SELECT peer, way, outbox, number FROM letters NOT INDEXED WHERE id = ?1";
    let is_indexed = "SELECT 1 FROM letters INDEXED BY sqlite_autoindex_letters_1
        WHERE peer = ?1 AND way = ?2 AND outbox = ?3 AND number = ?4 AND id = ?5";
    // If the key has columns of the wrong type, none of it is used.
    if let Ok(key) = db.prepare_cached(in_row)?.query_row([seq as i64], key) {
        let row = params![key.peer, key.way, key.outbox as i64, key.number as i64, seq as i64];
        if db.prepare_cached(is_indexed)?.exists(row)? {
            return Ok(Some(key));
        }
    }
    let look = "SELECT peer, way, outbox, number FROM letters INDEXED BY sqlite_autoindex_letters_1
        WHERE peer > -1 AND id = ?1";
    db.prepare_cached(look)?.query_row([seq as i64], key).optional()
}

/// A letter to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewLetter<'a> {
    pub(super) way: u8,
    pub(super) id: LetterId,
    pub(super) text: &'a str,
    pub(super) note: Option<GuestEvent>,
    pub(super) at: Wall,
    pub(super) request: Option<u64>,
    pub(super) via: Option<Carrier>,
    pub(super) missing: u64,
    /// For a sent letter: the mark under which it was numbered.
    pub(super) mark: Mark,
}

impl NewLetter<'_> {
    /// Appends the letter with its checksum. Returns `false` if it is stored already. `whose` is
    /// the row of `peer`.
    pub(super) fn insert(
        &self,
        tx: &Transaction<'_>,
        peer: i64,
        whose: (&HostPort, &Name),
    ) -> rusqlite::Result<bool> {
        let insert =
            "INSERT INTO letters(peer, way, outbox, number, text, at, request, via, missing, mark, sum, kind)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
        let NewLetter { way, note, mark, .. } = *self;
        let text = note.map_or(self.text, |note| note.word());
        let kind = if note.is_some() { KIND_GUEST } else { KIND_TEXT };
        let outbox = self.id.outbox.0 as i64;
        let number = self.id.number as i64;
        let at = self.at.0 as i64;
        let missing = self.missing as i64;
        let request = self.request.map(|request| request as i64);
        let via = self.via.map(Carrier::as_str);
        let relay = whose.0.to_string();
        let checksum = checksum_of(&[
            ValueRef::Text(relay.as_bytes()),
            ValueRef::Text(whose.1.as_str().as_bytes()),
            ValueRef::Integer(way.into()),
            ValueRef::Integer(outbox),
            ValueRef::Integer(number),
            ValueRef::Text(text.as_bytes()),
            ValueRef::Integer(at),
            request.map_or(ValueRef::Null, ValueRef::Integer),
            ValueRef::Null,
            ValueRef::Integer(0),
            text_or_null(via),
            ValueRef::Integer(missing),
            ValueRef::Integer(0),
            ValueRef::Integer(mark.0.into()),
            ValueRef::Integer(kind.into()),
        ]);
        let row = params![peer, way, outbox, number, text, at, request, via, missing, mark.0, checksum, kind];
        Ok(tx.prepare_cached(insert)?.execute(row)? > 0)
    }
}

fn text_or_null(text: Option<&str>) -> ValueRef<'_> {
    text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
}

/// A change recorded after a letter was stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum LetterUpdate<'a> {
    /// The letter was shown, or its refusal was reported.
    Shown,
    /// The letter was refused: the reason, and whether it may still have arrived.
    Refused(&'a str, bool),
}

/// Records a change of a letter, and updates its checksum if it was correct. A refused letter keeps
/// its first refusal.
pub(super) fn update(tx: &Transaction<'_>, key: Key, note: LetterUpdate<'_>) -> rusqlite::Result<()> {
    let select = concat!(
        "SELECT letters.id, ",
        checksummed!(),
        ", sum FROM letters JOIN peers ON peers.id = peer
            WHERE peer = ?1 AND way = ?2 AND outbox = ?3 AND number = ?4"
    );
    let Key { peer, way, outbox, number } = key;
    let mut select = tx.prepare_cached(select)?;
    let mut rows = select.query(params![peer, way, outbox as i64, number as i64])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let seq = row.get::<_, i64>(0)?;
    let whole = is_whole(row, 1)?;
    let mut values = values(row, 1)?;
    match note {
        LetterUpdate::Shown => values[SHOWN] = ValueRef::Integer(1),
        LetterUpdate::Refused(..) if values[REFUSED] != ValueRef::Null => return Ok(()),
        LetterUpdate::Refused(reason, doubt) => {
            values[REFUSED] = ValueRef::Text(reason.as_bytes());
            values[DOUBT] = ValueRef::Integer(doubt.into());
        }
    }
    if whole {
        let update = "UPDATE letters SET refused = ?2, doubt = ?3, shown = ?4, sum = ?5 WHERE id = ?1";
        let refused = values[REFUSED].as_str_or_null()?;
        let row =
            params![seq, refused, values[DOUBT].as_i64()?, values[SHOWN].as_i64()?, checksum_of(&values)];
        tx.prepare_cached(update)?.execute(row)?;
        return Ok(());
    }
    match note {
        LetterUpdate::Shown => tx.execute("UPDATE letters SET shown = 1 WHERE id = ?1", [seq])?,
        LetterUpdate::Refused(reason, doubt) => {
            let update = "UPDATE letters SET refused = ?2, doubt = ?3 WHERE id = ?1";
            tx.execute(update, params![seq, reason, doubt])?
        }
    };
    mend_indexes(tx)
}

/// Marks a letter of the outbox as refused because it is damaged, to be reported to the user.
/// Updates its checksum if it was correct. [`mend_indexes`] must follow.
pub(super) fn refuse_damaged(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    let select = concat!(
        "SELECT ",
        checksummed!(),
        ", sum FROM letters JOIN peers ON peers.id = peer WHERE letters.id = ?1"
    );
    let word = Reason::Damaged.word();
    let mut select = tx.prepare_cached(select)?;
    let mut rows = select.query([seq])?;
    let checksum = match rows.next()? {
        Some(row) if is_whole(row, 0)? => {
            let mut values = values(row, 0)?;
            values[REFUSED] = ValueRef::Text(word.as_bytes());
            values[DOUBT] = ValueRef::Integer(1);
            values[SHOWN] = ValueRef::Integer(0);
            Some(checksum_of(&values))
        }
        _ => None,
    };
    let update =
        "UPDATE letters SET refused = ?2, doubt = 1, shown = 0, sum = coalesce(?3, sum) WHERE id = ?1";
    tx.prepare_cached(update)?.execute(params![seq, word, checksum]).map(drop)
}

/// Erases the text of a letter, which removes it from the history. Updates its checksum if it was
/// correct.
pub(super) fn erase_text(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    let select = concat!(
        "SELECT ",
        checksummed!(),
        ", sum FROM letters JOIN peers ON peers.id = peer WHERE letters.id = ?1"
    );
    let mut select = tx.prepare_cached(select)?;
    let mut rows = select.query([seq])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let whole = is_whole(row, 0)?;
    let mut values = values(row, 0)?;
    values[TEXT] = ValueRef::Null;
    values[VIA] = ValueRef::Text(ERASED.as_bytes());
    // The checksum of a damaged row stays wrong.
    let checksum = whole.then(|| checksum_of(&values));
    let update = "UPDATE letters SET text = NULL, via = ?2, sum = coalesce(?3, sum) WHERE id = ?1";
    tx.prepare_cached(update)?.execute(params![seq, ERASED, checksum])?;
    Ok(())
}

/// Rebuilds the partial indexes. Disk damage changes a row but not the indexes, which still list it
/// by its old values.
pub(super) fn mend_indexes(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch("REINDEX letters_unshown; REINDEX letters_untold")
}
