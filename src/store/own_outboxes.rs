//! A member's outboxes in its own database: one for each relay, replaced once it proves to be an
//! old copy.

use std::collections::{BTreeMap, VecDeque};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::letter_rows::{self, Key, LetterUpdate, SENT, number, parsed};
use super::outgoing;
use crate::base::{HostPort, LetterId, Mark, OutboxId};
use crate::client::{EARLIER_MARKS_MAX, PersistedOutbox, Reason, SignedIn};

pub(super) const SCHEMA: &str = "
CREATE TABLE outboxes(
  relay TEXT PRIMARY KEY NOT NULL,
  id INTEGER NOT NULL,
  mark INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE said(
  relay TEXT NOT NULL,
  mark INTEGER NOT NULL,
  token INTEGER NOT NULL,
  PRIMARY KEY(relay, mark)
) STRICT, WITHOUT ROWID;";

/// Cached content of the tables for each relay, so that a letter needs no look-up. Must be cleared
/// when a transaction fails.
#[derive(Debug, Default)]
pub(super) struct OwnOutboxes(BTreeMap<HostPort, (OutboxId, Mark)>);

impl OwnOutboxes {
    /// Clears the cache.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Records that something is numbered in this outbox of a relay, under this mark. If the relay
    /// had another outbox, refuses the letters that wait in it.
    pub(super) fn raise(
        &mut self,
        tx: &Transaction<'_>,
        relay: &HostPort,
        (outbox, mark): (OutboxId, Mark),
    ) -> rusqlite::Result<()> {
        if self.0.get(relay).is_some_and(|current| current.0 == outbox && current.1 >= mark) {
            return Ok(());
        }
        let text = relay.to_string();
        let select = "SELECT id, mark FROM outboxes WHERE relay = ?1";
        let current = tx
            .prepare_cached(select)?
            .query_row([&text], |row| Ok((OutboxId(number(row, 0)?), Mark(number(row, 1)? as u32))));
        let current = current.optional()?;
        if let Some((old, _)) = current.filter(|current| current.0 != outbox) {
            refuse_waiting(tx, &text, old)?;
            tx.prepare_cached("DELETE FROM said WHERE relay = ?1")?.execute([&text])?;
        }
        let mark = current.filter(|current| current.0 == outbox).map_or(mark, |current| current.1.max(mark));
        let put = "INSERT OR REPLACE INTO outboxes(relay, id, mark) VALUES (?1, ?2, ?3)";
        tx.prepare_cached(put)?.execute(params![text, outbox.0 as i64, mark.0])?;
        self.0.insert(relay.clone(), (outbox, mark));
        Ok(())
    }

    /// Records the content of a sign-in that is about to be sent.
    pub(super) fn add_sign_in(
        &mut self,
        tx: &Transaction<'_>,
        relay: &HostPort,
        outbox: OutboxId,
        sign_in: SignedIn,
    ) -> rusqlite::Result<()> {
        self.raise(tx, relay, (outbox, sign_in.mark))?;
        let relay = relay.to_string();
        let put = "INSERT OR REPLACE INTO said(relay, mark, token) VALUES (?1, ?2, ?3)";
        tx.prepare_cached(put)?.execute(params![relay, sign_in.mark.0, sign_in.token])?;
        let forget = "DELETE FROM said WHERE relay = ?1 AND mark NOT IN
            (SELECT mark FROM said WHERE relay = ?1 ORDER BY mark DESC LIMIT ?2)";
        tx.prepare_cached(forget)?.execute(params![relay, EARLIER_MARKS_MAX as i64]).map(drop)
    }
}

/// Refuses the letters that wait in this outbox of a relay.
fn refuse_waiting(tx: &Transaction<'_>, relay: &str, outbox: OutboxId) -> rusqlite::Result<()> {
    let select = "SELECT letters.peer, number FROM conversations
        JOIN peers ON peers.id = conversations.peer
        JOIN letters ON letters.peer = conversations.peer AND way = 0 AND letters.outbox = conversations.outbox_id
            AND number > delivered
        WHERE relay = ?1 AND conversations.outbox_id = ?2 AND refused IS NULL";
    let mut select = tx.prepare_cached(select)?;
    let rows = select.query_map(params![relay, outbox.0 as i64], |row| Ok((row.get(0)?, number(row, 1)?)))?;
    for row in rows.collect::<Result<Vec<_>, _>>()? {
        let key = Key { peer: row.0, way: SENT, outbox: outbox.0, number: row.1 };
        letter_rows::update(tx, key, LetterUpdate::Refused(&Reason::OldCopy.word(), true))?;
        outgoing::remove(tx, key.peer, LetterId { outbox, number: key.number })?;
    }
    Ok(())
}

/// Loads all outboxes.
pub(super) fn load(db: &Connection) -> rusqlite::Result<BTreeMap<HostPort, PersistedOutbox>> {
    let mut select = db.prepare("SELECT relay, id, mark FROM outboxes")?;
    let outboxes = select.query_map([], |row| {
        let id = OutboxId(number(row, 1)?);
        let mark = Mark(number(row, 2)? as u32);
        Ok((parsed(row, 0)?, PersistedOutbox { id, mark, sign_ins: VecDeque::new() }))
    })?;
    let mut outboxes: BTreeMap<HostPort, PersistedOutbox> = outboxes.collect::<Result<_, _>>()?;
    let mut select = db.prepare("SELECT relay, mark, token FROM said ORDER BY relay, mark")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let sign_in = SignedIn { mark: Mark(number(row, 1)? as u32), token: number(row, 2)? as u32 };
        if let Some(outbox) = outboxes.get_mut(&parsed::<HostPort>(row, 0)?) {
            outbox.sign_ins.push_back(sign_in);
        }
    }
    Ok(outboxes)
}
