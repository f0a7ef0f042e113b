//! Membership in the relay's database: invitations, removed members, block and allow lists, and
//! times of last sign-in.
//!
//! Invariant: rows that decide about permissions have a checksum over all of their fields, as those
//! of members and mail do.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::checksums::{Checksum, checksum, unsigned};
use super::database::{damaged, sqlite_error};
use super::error::StoreError;
use super::members_table::row_checksum;
use super::{outboxes_table, unused_table};
use crate::base::{Name, PublicKey, Wall};
use crate::relay::{Invitation, InvitationId, MembershipChange, MembershipSnapshot, SenderLists};

pub(super) const SCHEMA: &str = "
CREATE TABLE invitations(
  id BLOB PRIMARY KEY NOT NULL,
  name TEXT,
  created_at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  sum BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE removed(
  name TEXT PRIMARY KEY NOT NULL,
  key BLOB NOT NULL,
  sum BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lists(
  owner TEXT PRIMARY KEY NOT NULL,
  blocked TEXT NOT NULL,
  allowed TEXT,
  sum BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE seen(
  name TEXT PRIMARY KEY NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";

/// Applies one change to a transaction. Returns `false` if it contradicts the stored state.
pub(super) fn apply(tx: &Transaction<'_>, change: &MembershipChange) -> rusqlite::Result<bool> {
    match change {
        MembershipChange::Invited(invitation) => invite(tx, invitation)?,
        MembershipChange::Joined { name, key, by, since } => {
            // In one transaction: a crash leaves both the name and the used invitation, or neither.
            let used = tx.prepare_cached("DELETE FROM invitations WHERE id = ?1")?.execute([by.0])?;
            if used == 0 || !unused_table::add_member(tx, name, key, *since)? {
                return Ok(false);
            }
            tx.prepare_cached("DELETE FROM removed WHERE name = ?1")?.execute([name.as_str()])?;
        }
        MembershipChange::Removed { name, key } => {
            remove_member(tx, name)?;
            let put = "INSERT OR REPLACE INTO removed(name, key, sum) VALUES (?1, ?2, ?3)";
            let checksum = row_checksum(name.as_str(), &key.0);
            tx.prepare_cached(put)?.execute(params![name.as_str(), key.0, checksum])?;
        }
        MembershipChange::Used { name } => unused_table::remove(tx, name)?,
        MembershipChange::Freed { name } => {
            remove_member(tx, name)?;
            tx.prepare_cached("DELETE FROM seen WHERE name = ?1")?.execute([name.as_str()])?;
        }
        MembershipChange::Lists { owner, lists } => {
            let blocked = lines(&lists.blocked);
            let allowed = lists.allowed.as_ref().map(lines);
            let checksum = lists_checksum(owner.as_str(), &blocked, allowed.as_deref());
            let put = "INSERT OR REPLACE INTO lists(owner, blocked, allowed, sum) VALUES (?1, ?2, ?3, ?4)";
            tx.prepare_cached(put)?.execute(params![owner.as_str(), blocked, allowed, checksum])?;
        }
        MembershipChange::Seen { name, at } => {
            let put = "INSERT OR REPLACE INTO seen(name, at) VALUES (?1, ?2)";
            tx.prepare_cached(put)?.execute(params![name.as_str(), at.0 as i64])?;
        }
    }
    Ok(true)
}

fn remove_member(tx: &Transaction<'_>, name: &Name) -> rusqlite::Result<()> {
    for table in ["DELETE FROM members WHERE name = ?1", "DELETE FROM lists WHERE owner = ?1"] {
        tx.prepare_cached(table)?.execute([name.as_str()])?;
    }
    outboxes_table::remove_member(tx, name)?;
    unused_table::remove(tx, name)
}

fn invite(tx: &Transaction<'_>, invitation: &Invitation) -> rusqlite::Result<()> {
    let Invitation { id, name, created_at, until } = invitation;
    // SQLite's numbers are signed, and it compares these times.
    let until = &Wall(until.0.min(i64::MAX as u64));
    let name = name.as_ref().map(Name::as_str);
    tx.prepare_cached("DELETE FROM invitations WHERE until <= ?1 OR name = ?2")?
        .execute(params![created_at.0 as i64, name])?;
    let checksum = invitation_checksum(id, name, *created_at, *until);
    let put =
        "INSERT OR REPLACE INTO invitations(id, name, created_at, until, sum) VALUES (?1, ?2, ?3, ?4, ?5)";
    tx.prepare_cached(put)?.execute(params![id.0, name, created_at.0 as i64, until.0 as i64, checksum])?;
    Ok(())
}

fn invitation_checksum(id: &InvitationId, name: Option<&str>, created_at: Wall, until: Wall) -> Checksum {
    // An empty text is not a valid name, so it encodes a missing one.
    checksum("invitation", &[name.unwrap_or("")], &[created_at.0, until.0], &id.0)
}

/// Reads the whole membership and checks every checksum.
///
/// # Errors
/// Returns `Damaged`, or an error of the system.
pub(super) fn read_membership(db: &Connection, path: &Path) -> Result<MembershipSnapshot, StoreError> {
    let to_error = |error: rusqlite::Error| sqlite_error(path, &error);
    let invitations = read_invitations(db).map_err(to_error)?;
    let removed = read_removed(db).map_err(to_error)?;
    let lists = read_lists(db).map_err(to_error)?;
    let unused = unused_table::read(db).map_err(to_error)?;
    Ok(MembershipSnapshot {
        invitations: invitations.ok_or_else(|| damaged(path, "invitations"))?,
        removed: removed.ok_or_else(|| damaged(path, "removed"))?,
        lists: lists.ok_or_else(|| damaged(path, "lists"))?,
        unused: unused.ok_or_else(|| damaged(path, "unused"))?,
    })
}

/// Reads all invitations, oldest first. Returns `None` if a row is damaged, as do the functions
/// below.
pub(super) fn read_invitations(db: &Connection) -> rusqlite::Result<Option<Vec<Invitation>>> {
    let mut select =
        db.prepare("SELECT id, name, created_at, until, sum FROM invitations ORDER BY created_at, id")?;
    let rows = select.query_map([], |row| {
        let id = InvitationId(row.get(0)?);
        let name: Option<String> = row.get(1)?;
        let created_at = Wall(unsigned(row, 2)?);
        let until = Wall(unsigned(row, 3)?);
        let whole =
            row.get::<_, Checksum>(4)? == invitation_checksum(&id, name.as_deref(), created_at, until);
        let name = name.map(|name| name.parse::<Name>()).transpose().ok().filter(|_| whole);
        Ok(name.map(|name| Invitation { id, name, created_at, until }))
    })?;
    rows.collect()
}

fn read_removed(db: &Connection) -> rusqlite::Result<Option<Vec<(Name, PublicKey)>>> {
    let mut select = db.prepare("SELECT name, key, sum FROM removed ORDER BY name")?;
    let rows = select.query_map([], |row| {
        let name: String = row.get(0)?;
        let key: [u8; 32] = row.get(1)?;
        let whole = row.get::<_, Checksum>(2)? == row_checksum(&name, &key);
        Ok(name.parse().ok().filter(|_| whole).map(|name| (name, PublicKey(key))))
    })?;
    rows.collect()
}

fn read_lists(db: &Connection) -> rusqlite::Result<Option<Vec<(Name, SenderLists)>>> {
    let mut select = db.prepare("SELECT owner, blocked, allowed, sum FROM lists ORDER BY owner")?;
    let rows = select.query_map([], |row| {
        let owner: String = row.get(0)?;
        let blocked: String = row.get(1)?;
        let allowed: Option<String> = row.get(2)?;
        let whole = row.get::<_, Checksum>(3)? == lists_checksum(&owner, &blocked, allowed.as_deref());
        Ok(if whole { parse_lists(&owner, &blocked, allowed.as_deref()) } else { None })
    })?;
    rows.collect()
}

/// Returns `None` if a name is not valid.
fn parse_lists(owner: &str, blocked: &str, allowed: Option<&str>) -> Option<(Name, SenderLists)> {
    let allowed = match allowed {
        Some(names) => Some(parse_lines(names)?),
        None => None,
    };
    Some((owner.parse().ok()?, SenderLists { blocked: parse_lines(blocked)?, allowed }))
}

/// Joins names to a text with a line for each.
fn lines(names: &BTreeSet<Name>) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join("\n")
}

fn parse_lines(names: &str) -> Option<BTreeSet<Name>> {
    names.lines().map(|name| name.parse().ok()).collect()
}

fn lists_checksum(owner: &str, blocked: &str, allowed: Option<&str>) -> Checksum {
    checksum("lists", &[owner, blocked, allowed.unwrap_or("")], &[allowed.is_some().into()], &[])
}

/// Returns when a member signed in or left last, if that is known.
pub(super) fn seen(db: &Connection, name: &Name) -> rusqlite::Result<Option<Wall>> {
    let mut select = db.prepare_cached("SELECT at FROM seen WHERE name = ?1")?;
    select.query_row([name.as_str()], |row| unsigned(row, 0).map(Wall)).optional()
}
