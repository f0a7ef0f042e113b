//! Reads a relay's members, whether or not the relay is running.

use std::path::Path;

use super::database::{self, damaged, sqlite_error};
use super::error::StoreError;
use super::members_table::row_checksum;
use super::membership_table;
use super::relay::KIND;
use crate::base::{Name, PublicKey, Wall};
use crate::relay::Invitation;

/// One member, as shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberListing {
    /// The name.
    pub name: Name,
    /// The identity key that owns it.
    pub key: PublicKey,
    /// Time of registration.
    pub since: Wall,
    /// Time of the last sign-in or end of session, if known.
    pub seen: Option<Wall>,
}

/// Returns every member of the relay whose data folder is `dir`, by name, and every open
/// invitation, oldest first.
///
/// # Errors
/// Returns `NoRelay` if the folder never belonged to a relay; otherwise as
/// [`super::RelayStore::open`].
pub fn members_list(dir: &Path) -> Result<(Vec<MemberListing>, Vec<Invitation>), StoreError> {
    let path = super::operators::database_of(dir)?;
    let db = database::open_to_read(&path, &KIND)?.ok_or_else(|| super::operators::no_relay(dir))?;
    let to_error = |error: rusqlite::Error| sqlite_error(&path, &error);
    let mut select =
        db.prepare("SELECT name, key, added, sum FROM members ORDER BY name").map_err(to_error)?;
    let mut rows = select.query([]).map_err(to_error)?;
    let mut members = Vec::new();
    while let Some(row) = rows.next().map_err(to_error)? {
        let name: String = row.get(0).map_err(to_error)?;
        let key: [u8; 32] = row.get(1).map_err(to_error)?;
        let since = row.get::<_, i64>(2).map_err(to_error)?;
        let whole = row.get::<_, [u8; 8]>(3).map_err(to_error)? == row_checksum(&name, &key);
        let Some(name) = name.parse::<Name>().ok().filter(|_| whole) else {
            return Err(damaged(&path, format_args!("members: {name}")));
        };
        let seen = membership_table::seen(&db, &name).map_err(to_error)?;
        let since = Wall(u64::try_from(since).unwrap_or(0).saturating_mul(1_000));
        members.push(MemberListing { name, key: PublicKey(key), since, seen });
    }
    let invitations = membership_table::read_invitations(&db).map_err(to_error)?;
    Ok((members, invitations.ok_or_else(|| damaged(&path, "invitations"))?))
}
