//! What a relay keeps: its identity key, its members and their mail.
//!
//! | file | holds |
//! | --- | --- |
//! | `lock` | the process that has the folder |
//! | `relay.key` | the relay's private key |
//! | `relay.id` | what its resets are made with ([`super::renew_reset_id`]) |
//! | `relay.sqlite` | its members, letters that wait for them, and where its sessions were |
//! | `relay.sqlite-commits` | how many commits `relay.sqlite` must have |
//! | `requests.sqlite` | what its operator asks of it while it runs ([`super::Requests`]) |

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::commits::Commits;
use super::database::{self, Kind, phrase};
use super::files::create_folder;
use super::keyfile;
use super::lock::{FolderLock, LockError};
use super::reset_id;
use super::waiting_table::{self, Changes};
use super::worker::{Backend, Fault};
use super::{
    damaged_table, mail_table, members_table, outboxes_table, roll_table, sessions_table, unused_table,
};
use crate::base::{Name, Phrase, PublicKey, Query, Row};
use crate::relay::{Mail, Record, Roll};

/// The name of a relay's database in its folder.
pub const RELAY_DATABASE: &str = "relay.sqlite";

/// The layout of a relay's database.
pub(super) const KIND: Kind = Kind {
    // `QQIA`.
    application_id: 0x5151_4941,
    schema_version: 4,
    schema: &[
        members_table::SCHEMA,
        roll_table::SCHEMA,
        mail_table::SCHEMA,
        waiting_table::SCHEMA,
        sessions_table::SCHEMA,
        damaged_table::SCHEMA,
        unused_table::SCHEMA,
        outboxes_table::SCHEMA,
    ],
};

/// What a relay starts with.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayState {
    /// Its X25519 private key.
    pub private_key: [u8; 32],
    /// The random id that its resets are made with, together with the key.
    pub reset_id: [u8; 16],
    /// Every member, by name.
    pub members: Vec<(Name, PublicKey)>,
    /// Who was invited, who was removed, and who refuses whom.
    pub roll: Roll,
    /// Everything else, the letters themselves apart.
    pub mail: Mail,
}

/// Shows no key.
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
    commits: Commits,
    _lock: Option<FolderLock>,
}

impl RelayStore {
    /// Opens a relay's folder, and makes it at first use; `seed` makes new private keys, and what
    /// else is random.
    ///
    /// Nothing that is there is ever replaced: where the key or the database is gone but the other is not, the folder
    /// is refused, since a new key is a stranger to every client and an empty database gives every name away.
    ///
    /// # Errors
    /// Each names the file. `relay-busy` (`folder`, `pid`); `store-key-open` (`mode`); `store-key-damaged`;
    /// `store-key-missing`; `store-database-missing`; `store-not-database`; `store-database-damaged` (`cause`);
    /// `store-newer` (`version`); `store-commits-missing` (`found`, `known`, `beside`); `store-commits-damaged`;
    /// `store-disk-full`; `store-not-permitted` (`cause`); `store-not-folder`; `store-io` (`cause`).
    pub fn open(dir: &Path, mut seed: impl FnMut() -> [u8; 32]) -> Result<(RelayStore, RelayState), Phrase> {
        create_folder(dir)?;
        let lock = FolderLock::take(dir).map_err(|error| match error {
            LockError::Held(pid) => Phrase::new("relay-busy").with("folder", dir.display()).with("pid", pid),
            LockError::System(phrase) => phrase,
        })?;
        let (key_path, path) = (dir.join("relay.key"), dir.join(RELAY_DATABASE));
        let known_key = keyfile::load(&key_path)?;
        if known_key.is_some() && !database::exists(&path) {
            return Err(Phrase::new("store-database-missing").with("file", path.display()));
        }
        // The database comes first, so that a key without one is never the trace of a crash.
        let (db, commits) = database::open(&path, &KIND)?;
        let members = members_table::read_members(&db, &path)?;
        let private_key = match known_key {
            Some(key) => key,
            None if members.is_empty() => {
                let key = seed();
                keyfile::create(&key_path, "this relay", &key)?;
                key
            }
            None => return Err(Phrase::new("store-key-missing").with("file", key_path.display())),
        };
        let reset_id = reset_id::load_or_make(dir, seed)?;
        let mail = mail_table::read_mail(&db, &path)?;
        let roll = roll_table::read_roll(&db, &path)?;
        let store = RelayStore { path, db, commits, _lock: Some(lock) };
        Ok((store, RelayState { private_key, reset_id, members, roll, mail }))
    }

    /// A relay's store that is gone with its process, for those who leave no files; `private_key` is the relay's.
    ///
    /// # Errors
    /// What SQLite says; it needs memory only.
    pub fn in_memory(private_key: [u8; 32]) -> Result<(RelayStore, RelayState), Phrase> {
        let path = PathBuf::from(":memory:");
        let (db, commits) = database::open_in_memory(&KIND).map_err(|error| phrase(&path, &error))?;
        let store = RelayStore { path, db, commits, _lock: None };
        let (members, roll, mail) = (Vec::new(), Roll::default(), Mail::default());
        Ok((store, RelayState { private_key, reset_id: [0; 16], members, roll, mail }))
    }
}

impl Backend<Record> for RelayStore {
    fn commit(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        self.commits.commit(&mut self.db, |tx| {
            let mut changes = Changes::default();
            for (index, record) in records.iter().enumerate() {
                if !mail_table::apply(tx, record, &mut changes)? {
                    refused.push(index);
                }
            }
            changes.write(tx)
        })
    }

    fn load(&mut self, query: &Query) -> Result<Vec<Row>, Fault> {
        mail_table::load(&self.db, &self.path, query)
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
mod roll_tests;
#[cfg(test)]
mod tests;
