//! A relay's durable state: identity key, members and mail.
//!
//! | file | holds |
//! | --- | --- |
//! | `lock` | the id of the process that holds the folder |
//! | `relay.key` | the relay's private key |
//! | `relay.id` | the random part of its stateless resets ([`super::renew_reset_id`]) |
//! | `relay.sqlite` | members, their waiting letters, and the last addresses of sessions |
//! | `relay.sqlite-commits` | number of commits that `relay.sqlite` must have |
//! | `requests.sqlite` | operator requests to the running relay ([`super::RequestQueue`]) |

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backup::{self, Secrets};
use super::commit_counter::CommitCounter;
use super::database::{self, Kind, sqlite_error};
use super::error::{StoreError, StoreErrorCause};
use super::files::create_folder;
use super::keyfile;
use super::lock::{FolderLock, LockError};
use super::replies::Fault;
use super::reset_id;
use super::waiting_counts_table::{self, CountChanges};
use super::worker::{Backend, BetweenSteps, Records};
use super::{
    damaged_table, mail_table, members_table, membership_table, outboxes_table, sessions_table, unused_table,
};
use crate::base::{Name, PublicKey, Query, Row, Wall};
use crate::relay::{MembershipSnapshot, PersistedMail, Record};

/// Name of a relay's database in its folder.
pub const RELAY_DATABASE: &str = "relay.sqlite";

/// Name of the file with a relay's private key.
pub(super) const KEY_FILE: &str = "relay.key";

/// Layout of a relay's database.
pub(super) const KIND: Kind = Kind {
    // `QQIA`.
    application_id: 0x5151_4941,
    schema_version: 4,
    schema: &[
        members_table::SCHEMA,
        membership_table::SCHEMA,
        mail_table::SCHEMA,
        waiting_counts_table::SCHEMA,
        sessions_table::SCHEMA,
        damaged_table::SCHEMA,
        unused_table::SCHEMA,
        outboxes_table::SCHEMA,
    ],
};

/// Initial state of a relay.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayState {
    /// Its X25519 private key.
    pub private_key: [u8; 32],
    /// Random id that stateless resets are derived from, together with the key.
    pub reset_id: [u8; 16],
    /// Every member, by name.
    pub members: Vec<(Name, PublicKey)>,
    /// Invitations, removed members, and block lists.
    pub membership: MembershipSnapshot,
    /// All other state, except the letters themselves.
    pub mail: PersistedMail,
}

/// Omits the private key.
impl std::fmt::Debug for RelayState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayState").field("members", &self.members).finish_non_exhaustive()
    }
}

/// A relay's folder, held by this process; the backend of its [`super::Worker`].
#[derive(Debug)]
pub struct RelayStore {
    path: PathBuf,
    db: Connection,
    commit_counter: CommitCounter,
    _lock: Option<FolderLock>,
}

impl RelayStore {
    /// Opens a relay's folder; creates it at first use. `seed` provides new private keys and other
    /// random values.
    ///
    /// Never replaces existing state. If only one of key and database is missing, the folder is
    /// rejected: clients would not accept a new key, and an empty database would give every name
    /// away.
    ///
    /// # Errors
    /// Returns `RelayBusy`, `FolderOpen`, `KeyOpen`, `KeyDamaged`, `KeyMissing`, `DatabaseMissing`,
    /// `NotDatabase`, `Damaged`, `Older`, `Newer`, `CommitsMissing`, `CommitsDamaged`, or an error
    /// of the system.
    pub fn open(
        dir: &Path,
        mut seed: impl FnMut() -> [u8; 32],
    ) -> Result<(RelayStore, RelayState), StoreError> {
        create_folder(dir)?;
        let lock = FolderLock::take(dir).map_err(|error| match error {
            LockError::Held(pid) => StoreErrorCause::RelayBusy { pid }.at(dir),
            LockError::System(error) => error,
        })?;
        let key_path = dir.join(KEY_FILE);
        let path = dir.join(RELAY_DATABASE);
        let known_key = keyfile::load(&key_path)?;
        if known_key.is_some() && !database::exists(&path) {
            return Err(StoreErrorCause::DatabaseMissing.at(&path));
        }
        // The database is created first, so that a key without a database cannot result from a
        // crash.
        let (db, commit_counter) = database::open(&path, &KIND)?;
        let members = members_table::read_members(&db, &path)?;
        let private_key = match known_key {
            Some(key) => key,
            None if members.is_empty() => {
                let key = seed();
                keyfile::create(&key_path, "this relay", &key)?;
                key
            }
            None => return Err(StoreErrorCause::KeyMissing.at(&key_path)),
        };
        let reset_id = reset_id::load_or_make(dir, seed)?;
        let mail = mail_table::read_mail(&db, &path)?;
        let membership = membership_table::read_membership(&db, &path)?;
        let store = RelayStore { path, db, commit_counter, _lock: Some(lock) };
        Ok((store, RelayState { private_key, reset_id, members, membership, mail }))
    }

    /// Creates a relay's store in memory, for processes that leave no files. `private_key` is the
    /// relay's key.
    ///
    /// # Errors
    /// Returns an error of SQLite, which needs only memory here.
    pub fn in_memory(private_key: [u8; 32]) -> Result<(RelayStore, RelayState), StoreError> {
        let path = PathBuf::from(":memory:");
        let (db, commit_counter) =
            database::open_in_memory(&KIND).map_err(|error| sqlite_error(&path, &error))?;
        let store = RelayStore { path, db, commit_counter, _lock: None };
        let state = RelayState {
            private_key,
            reset_id: [0; 16],
            members: Vec::new(),
            membership: MembershipSnapshot::default(),
            mail: PersistedMail::default(),
        };
        Ok((store, state))
    }
}

/// The open database of a relay, between two steps of its backup.
struct OpenDatabase<'a> {
    path: &'a Path,
    db: &'a Connection,
    commit_counter: &'a mut CommitCounter,
}

impl Records<Record> for OpenDatabase<'_> {
    fn commit_records(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        self.commit_counter.commit(self.db, |tx| {
            let mut changes = CountChanges::default();
            for (index, record) in records.iter().enumerate() {
                if !mail_table::apply(tx, record, &mut changes)? {
                    refused.push(index);
                }
            }
            changes.write(tx)
        })
    }

    fn load_rows(&mut self, query: &Query) -> Result<Vec<Row>, Fault> {
        mail_table::load(self.db, self.path, query)
    }
}

impl RelayStore {
    fn open_database(&mut self) -> OpenDatabase<'_> {
        OpenDatabase { path: &self.path, db: &self.db, commit_counter: &mut self.commit_counter }
    }

    /// Reads the secrets that are in files next to the database.
    fn secrets(&self) -> Result<Secrets, StoreError> {
        let dir = self.path.parent().filter(|_| self._lock.is_some());
        let dir = dir.ok_or_else(|| StoreErrorCause::BackupNotHere.at(&self.path))?;
        let key_path = dir.join(KEY_FILE);
        let missing = || StoreErrorCause::KeyMissing.at(&key_path);
        let private_key = keyfile::load(&key_path)?.ok_or_else(missing)?;
        // A lost id is made again at the next start.
        Ok(Secrets { private_key, reset_id: reset_id::load(dir)?.unwrap_or_default() })
    }
}

impl Backend<Record> for RelayStore {
    fn commit(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        self.open_database().commit_records(records, refused)
    }

    fn load(&mut self, query: &Query) -> Result<Vec<Row>, Fault> {
        self.open_database().load_rows(query)
    }

    fn backup(
        &mut self,
        file: &Path,
        clock: fn() -> Wall,
        between: &mut BetweenSteps<'_, Record>,
    ) -> Result<Wall, StoreError> {
        let secrets = self.secrets()?;
        let mut open = self.open_database();
        let source = (open.path, open.db);
        backup::write(source, file, &secrets, clock, |progress| between(&mut open, progress))
    }

    fn weight(record: &Record) -> usize {
        record.weight()
    }
}

#[cfg(test)]
mod damaged_tests;
#[cfg(test)]
mod mail_tests;
#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod tests;
