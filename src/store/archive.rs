//! Reading what was said: a member's letters, beside the process that writes them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, params};

use super::database::{self, damaged, phrase};
use super::history::{KIND, RECEIVED, SENT, number, parsed};
use super::member::member_dir;
use crate::base::{Carrier, HostPort, LetterId, Name, OutboxId, Phrase, Wall};
use crate::client::{Incoming, Progress, Said};

/// A letter that was stored and not shown, and its place among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unshown {
    /// Rises with each letter that comes.
    pub place: u64,
    /// The letter.
    pub letter: Incoming,
}

/// A member's letters, open for reading.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    db: Connection,
}

impl Archive {
    /// Opens the letters of the member whose folder is `folder`; `None` if nothing was ever kept.
    ///
    /// # Errors
    /// As [`super::MemberStore::open`], of the database.
    pub fn open(data_dir: &Path, folder: &str) -> Result<Option<Archive>, Phrase> {
        let path = member_dir(data_dir, folder).join("letters.sqlite");
        Ok(database::open_to_read(&path, &KIND)?.map(|db| Archive { path, db }))
    }

    /// Tells every letter, oldest first, without those that were refused: of one member at one relay, or of all; the
    /// last so many, or all. Ends early when `tell` answers `false`.
    ///
    /// # Errors
    /// The database is damaged or cannot be read; or what `tell` fails with.
    pub fn read<E: From<Phrase>>(
        &self,
        with: Option<(&HostPort, &Name)>,
        last: Option<u64>,
        mut tell: impl FnMut(Said) -> Result<bool, E>,
    ) -> Result<(), E> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        let (relay, member) = with.map(|(relay, member)| (relay.to_string(), member.to_string())).unzip();
        let select = "SELECT relay, member, way, outbox, number, text, at, via, missing, shown,
                coalesce(accepted, 0), coalesce(delivered, 0), coalesce(read, 0), coalesce(until, 0)
            FROM (SELECT letters.*, relay, member FROM letters JOIN peers ON peers.id = peer
                WHERE text IS NOT NULL AND refused IS NULL
                    AND (?1 IS NULL OR (relay = ?1 AND member = ?2))
                ORDER BY letters.id DESC LIMIT ?3) AS said
            LEFT JOIN conversations ON conversations.peer = said.peer
            ORDER BY said.id";
        let mut select = self.db.prepare(select).map_err(told)?;
        let last = last.map_or(-1, |last| i64::try_from(last).unwrap_or(-1));
        let mut rows = select.query(params![relay, member, last]).map_err(told)?;
        while let Some(row) = rows.next().map_err(told)? {
            if !tell(said(row).map_err(|error| damaged(&self.path, error))?)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Letters that were stored and not shown, behind this place: at most so many.
    ///
    /// # Errors
    /// The database is damaged or cannot be read.
    pub fn unshown(&self, behind: u64, most: usize) -> Result<Vec<Unshown>, Phrase> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        let select = "SELECT relay, member, letters.id, outbox, number, text, at, via, missing
            FROM letters JOIN peers ON peers.id = peer
            WHERE way = 1 AND shown = 0 AND letters.id > ?1 ORDER BY letters.id LIMIT ?2";
        let mut select = self.db.prepare_cached(select).map_err(told)?;
        let rows = select.query_map((behind as i64, most as i64), unshown).map_err(told)?;
        rows.map(|row| row.map_err(|error| damaged(&self.path, error))).collect()
    }
}

fn said(row: &Row<'_>) -> rusqlite::Result<Said> {
    let (kept, by_me) = (id_at(row, 3)?, row.get::<_, u8>(2)? == SENT);
    let relay: HostPort = parsed(row, 0)?;
    let outbox = if by_me { kept.outbox.through(&relay) } else { kept.outbox };
    let id = LetterId { outbox, ..kept };
    let reach = [number(row, 10)?, number(row, 11)?, number(row, 12)?];
    let state = match id.number {
        _ if !by_me && row.get::<_, bool>(9)? => Progress::Read,
        _ if !by_me => Progress::Delivered,
        letter if letter <= reach[2] => Progress::Read,
        letter if letter <= reach[1] => Progress::Delivered,
        letter if letter <= reach[0] => match Wall(number(row, 13)?) {
            Wall(0) => Progress::Accepted,
            until => Progress::Waiting { until },
        },
        _ => Progress::Queued,
    };
    debug_assert!(by_me || row.get::<_, u8>(2)? == RECEIVED);
    Ok(Said {
        by_me,
        relay,
        member: parsed(row, 1)?,
        id,
        text: row.get(5)?,
        at: Wall(number(row, 6)?),
        state,
        via: if by_me { None } else { Some(carrier(row, 7)?) },
        missing: number(row, 8)?,
    })
}

fn unshown(row: &Row<'_>) -> rusqlite::Result<Unshown> {
    let letter = Incoming {
        relay: parsed(row, 0)?,
        from: parsed(row, 1)?,
        id: id_at(row, 3)?,
        text: row.get(5)?,
        at: Wall(number(row, 6)?),
        via: carrier(row, 7)?,
        missing: number(row, 8)?,
    };
    Ok(Unshown { place: number(row, 2)?, letter })
}

fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<LetterId> {
    Ok(LetterId { outbox: OutboxId(number(row, column)?), number: number(row, column + 1)? })
}

fn carrier(row: &Row<'_>, column: usize) -> rusqlite::Result<Carrier> {
    Ok(match row.get_ref(column)?.as_str()? {
        "tcp" => Carrier::Tcp,
        _ => Carrier::Udp,
    })
}
