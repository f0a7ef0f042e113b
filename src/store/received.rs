//! Received letters: the watermarks and stored bytes of each sender's outbox, and refused letters.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::letter_rows::{NewLetter, RECEIVED, number, parsed, peer};
use crate::base::{Carrier, HostPort, LetterId, Mark, Name, OutboxId, Wall};
use crate::client::{DECLINED_PERSISTED_MAX, GuestEvent, Holdings, OUTBOXES_OF_ONE_MAX, Reason, letter_cost};

/// Maximum remembered outboxes without stored letters. Twice as many as a running client remembers,
/// so each of those is here too; about 15 MB.
const EMPTY_OUTBOXES_MAX: i64 = 131_072;
/// Refusals after which outboxes above [`EMPTY_OUTBOXES_MAX`] are forgotten. Counting them takes 20
/// ms.
const FORGOTTEN_EVERY: i64 = 1_024;

/// The last [`DECLINED_PERSISTED_MAX`] refused letters.
pub(super) const DECLINED: &str = "
CREATE TABLE declined(
  id INTEGER PRIMARY KEY,
  peer INTEGER NOT NULL REFERENCES peers,
  outbox INTEGER NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  UNIQUE(peer, outbox, number)
) STRICT;";

/// A received letter without its id.
pub(super) struct ReceivedLetter<'a> {
    pub(super) text: &'a str,
    pub(super) note: Option<GuestEvent>,
    pub(super) at: Wall,
    pub(super) via: Carrier,
    pub(super) missing: u64,
}

/// State of a sender's outbox before its letter `id`, which follows `after`.
enum OrderCheck {
    /// The letter was received or refused before.
    Repeated,
    /// The letter's predecessor is missing, or the sender's mark would skip a letter.
    Gap,
    /// The letter is next; `is_stored`: whether the outbox is stored already.
    Next { is_stored: bool },
}

fn check_order(tx: &Transaction<'_>, peer: i64, id: LetterId, after: u64) -> rusqlite::Result<OrderCheck> {
    let mut select = tx.prepare_cached("SELECT last FROM senders WHERE peer = ?1 AND outbox = ?2")?;
    let last = select.query_row((peer, id.outbox.0 as i64), |row| number(row, 0)).optional()?;
    Ok(match last.unwrap_or(0) {
        last if last >= id.number => OrderCheck::Repeated,
        last if after != 0 && last != after => OrderCheck::Gap,
        _ => OrderCheck::Next { is_stored: last.is_some() },
    })
}

/// Adds a letter if it follows its predecessor. Returns `false` if that is missing.
pub(super) fn add(
    tx: &Transaction<'_>,
    peer: i64,
    whose: (&HostPort, &Name),
    (id, after, mark): (LetterId, u64, Mark),
    letter: ReceivedLetter<'_>,
) -> rusqlite::Result<bool> {
    match check_order(tx, peer, id, after)? {
        OrderCheck::Repeated => return Ok(true),
        OrderCheck::Gap => return Ok(false),
        OrderCheck::Next { .. } => {}
    }
    let ReceivedLetter { text, note, at, via, missing } = letter;
    let letter = NewLetter {
        way: RECEIVED,
        id,
        text,
        note,
        at,
        request: None,
        via: Some(via),
        missing,
        mark: Mark::default(),
    };
    let bytes = if letter.insert(tx, peer, whose)? { letter_cost(text.len()) } else { 0 };
    let raise = "INSERT INTO senders(peer, outbox, last, heard, held, mark) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT DO UPDATE SET last = ?3, heard = ?4, held = held + ?5, mark = ?6";
    let outbox = id.outbox.0 as i64;
    let last = id.number as i64;
    let last_received = tx.last_insert_rowid();
    tx.prepare_cached(raise)?.execute((peer, outbox, last, last_received, bytes as i64, mark.0))?;
    Ok(true)
}

/// Records that a letter was refused. Returns `false` as [`add`] does.
pub(super) fn decline(
    tx: &Transaction<'_>,
    peer: i64,
    (id, after, mark): (LetterId, u64, Mark),
    reason: Reason,
) -> rusqlite::Result<bool> {
    let is_stored = match check_order(tx, peer, id, after)? {
        OrderCheck::Repeated => return Ok(true),
        OrderCheck::Gap => return Ok(false),
        OrderCheck::Next { is_stored } => is_stored,
    };
    let outbox = id.outbox.0 as i64;
    let number = id.number as i64;
    let add = "INSERT INTO declined(peer, outbox, number, reason) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO NOTHING";
    tx.prepare_cached(add)?.execute((peer, outbox, number, &*reason.word()))?;
    let forget = "DELETE FROM declined WHERE id <= (SELECT max(id) FROM declined) - ?1";
    tx.prepare_cached(forget)?.execute([DECLINED_PERSISTED_MAX as i64])?;
    let raise = "INSERT INTO senders(peer, outbox, last, heard, mark)
        VALUES (?1, ?2, ?3, (SELECT coalesce(max(id), 0) FROM letters), ?4)
        ON CONFLICT DO UPDATE SET last = ?3, heard = (SELECT coalesce(max(id), 0) FROM letters), mark = ?4";
    tx.prepare_cached(raise)?.execute((peer, outbox, number, mark.0))?;
    if !is_stored {
        forget_outboxes(tx, peer, outbox)?;
    }
    if tx.last_insert_rowid() % FORGOTTEN_EVERY == 0 {
        forget_refused(tx, EMPTY_OUTBOXES_MAX)?;
    }
    Ok(true)
}

/// Records that an old copy numbered the letters of this outbox from this mark on.
pub(super) fn close(tx: &Transaction<'_>, peer: i64, outbox: OutboxId, mark: Mark) -> rusqlite::Result<bool> {
    let close = "UPDATE senders SET closed = min(coalesce(closed, ?3), ?3) WHERE peer = ?1 AND outbox = ?2";
    tx.prepare_cached(close)?.execute((peer, outbox.0 as i64, mark.0))?;
    Ok(true)
}

/// Forgets outboxes of a sender above [`OUTBOXES_OF_ONE_MAX`] that have no stored letters, except
/// `except`, which a letter just came from. Otherwise a sender with a new outbox for each refused
/// letter could fill the disk.
fn forget_outboxes(tx: &Transaction<'_>, peer: i64, except: i64) -> rusqlite::Result<()> {
    let forget = "DELETE FROM senders WHERE peer = ?1 AND held = 0 AND outbox IN (
        SELECT outbox FROM senders WHERE peer = ?1 ORDER BY outbox = ?2, heard, outbox < 0, outbox
        LIMIT max(0, (SELECT count(*) FROM senders WHERE peer = ?1) - ?3))";
    tx.prepare_cached(forget)?.execute((peer, except, OUTBOXES_OF_ONE_MAX as i64)).map(drop)
}

/// Returns the bytes stored for each sender.
pub(super) fn holdings(db: &Connection) -> rusqlite::Result<Holdings> {
    let select = "SELECT relay, member, sum(held) FROM senders JOIN peers ON peers.id = peer
        WHERE held > 0 GROUP BY peer";
    let mut select = db.prepare(select)?;
    let mut holdings = Holdings::new();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (relay, from) = peer(row, 0)?;
        holdings.entry(relay).or_default().insert(from, number(row, 2)?);
    }
    Ok(holdings)
}

/// Forgets outboxes without stored letters above `max`, those silent for longest first. Also
/// removes their senders if nothing else refers to them. Otherwise strangers with a new name each
/// time, as guests have, could fill the disk with refusals.
fn forget_refused(tx: &Transaction<'_>, max: i64) -> rusqlite::Result<()> {
    let forget = "DELETE FROM senders WHERE held = 0 AND (peer, outbox) IN (
        SELECT peer, outbox FROM senders WHERE held = 0 ORDER BY heard
        LIMIT max(0, (SELECT count(*) FROM senders WHERE held = 0) - ?1)) RETURNING peer";
    let mut forget = tx.prepare_cached(forget)?;
    let peers: Vec<i64> = forget.query_map([max], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let unused = "DELETE FROM peers WHERE id = ?1
        AND NOT EXISTS (SELECT 1 FROM senders WHERE peer = ?1)
        AND NOT EXISTS (SELECT 1 FROM letters WHERE peer = ?1)
        AND NOT EXISTS (SELECT 1 FROM conversations WHERE peer = ?1)
        AND NOT EXISTS (SELECT 1 FROM declined WHERE peer = ?1)";
    let mut unused = tx.prepare_cached(unused)?;
    peers.iter().try_for_each(|peer| unused.execute([peer]).map(drop))
}

type Declined = BTreeMap<(HostPort, Name, OutboxId, u64), (u64, Reason)>;

/// Returns the refused letters, each with its sequence number.
pub(super) fn declined(db: &Connection) -> rusqlite::Result<Declined> {
    let select = "SELECT relay, member, outbox, number, declined.id, reason
        FROM declined JOIN peers ON peers.id = peer";
    let mut select = db.prepare(select)?;
    let rows = select.query_map([], |row| {
        let (relay, from) = peer(row, 0)?;
        let key = (relay, from, OutboxId(number(row, 2)?), number(row, 3)?);
        Ok((key, (number(row, 4)?, Reason::from_stored(&parsed::<String>(row, 5)?))))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strangers use a new name for each letter, and all are refused. Few of them leave a row, and
    /// stored letters remain.
    #[test]
    fn refused_strangers_leave_bounded_rows() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::history::KIND.schema.iter().for_each(|text| db.execute_batch(text).unwrap());
        let tx = db.transaction().unwrap();
        let relay: HostPort = "h:1".parse().unwrap();
        let id = |outbox| LetterId { outbox: OutboxId(outbox), number: 1 };
        for peer in 1..=20_i64 {
            let name: Name = format!("guest{peer}").parse().unwrap();
            tx.execute("INSERT INTO peers VALUES (?1, 'h:1', ?2)", (peer, name.as_str())).unwrap();
            if peer == 3 {
                let at = Wall(1);
                let letter = ReceivedLetter { text: "kept", note: None, at, via: Carrier::Udp, missing: 0 };
                assert!(add(&tx, peer, (&relay, &name), (id(3), 0, Mark(1)), letter).unwrap());
            } else {
                assert!(decline(&tx, peer, (id(peer as u64), 0, Mark(1)), Reason::Full).unwrap());
            }
        }
        tx.execute("DELETE FROM declined WHERE peer < 15", []).unwrap();
        forget_refused(&tx, 4).unwrap();
        let peers = |select: &str| -> Vec<i64> {
            let mut select = tx.prepare(select).unwrap();
            select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(peers("SELECT count(*) FROM senders"), [5]);
        assert!(peers("SELECT peer FROM senders WHERE held > 0") == [3]);
        let named = peers("SELECT id FROM peers ORDER BY id");
        assert!(named.contains(&3) && named.iter().filter(|peer| **peer < 15).count() <= 5, "{named:?}");
        assert!((15..=20).all(|peer| named.contains(&peer)), "a stored refusal keeps its sender");
    }

    /// At the limit, refusing one more stranger forgets the one silent for longest, within
    /// [`FORGOTTEN_EVERY`] refusals.
    #[test]
    fn refusals_above_limit_are_forgotten_by_later_ones() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::history::KIND.schema.iter().for_each(|text| db.execute_batch(text).unwrap());
        let tx = db.transaction().unwrap();
        let many = "WITH RECURSIVE peer(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM peer WHERE n < ?1)";
        for (table, row) in [("peers", "n, 'h:1', 'a' || n"), ("senders", "n, 1, 1, 0, 0, 0, 1, NULL")] {
            let insert = format!("INSERT INTO {table} {many} SELECT {row} FROM peer");
            tx.execute(&insert, [EMPTY_OUTBOXES_MAX]).unwrap();
        }
        let count = || tx.query_row("SELECT count(*) FROM senders", [], |row| row.get::<_, i64>(0)).unwrap();
        let newcomer = EMPTY_OUTBOXES_MAX + 1;
        tx.execute("INSERT INTO peers VALUES (?1, 'h:1', 'b')", [newcomer]).unwrap();
        for number in 1..FORGOTTEN_EVERY as u64 {
            let id = LetterId { outbox: OutboxId(1), number };
            assert!(decline(&tx, newcomer, (id, 0, Mark(1)), Reason::Full).unwrap());
        }
        assert_eq!(count(), EMPTY_OUTBOXES_MAX + 1);
        let id = LetterId { outbox: OutboxId(1), number: FORGOTTEN_EVERY as u64 };
        assert!(decline(&tx, newcomer, (id, 0, Mark(1)), Reason::Full).unwrap());
        assert_eq!(count(), EMPTY_OUTBOXES_MAX);
    }
}
