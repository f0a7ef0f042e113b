//! Backups of a relay: reads them back, and restores a relay's folder from one.

use std::fs;
use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::backup::{self, Secrets};
use super::database::{self, Kind, damaged, sqlite_error};
use super::error::{StoreError, StoreErrorCause};
use super::files::{create_folder, io_error, open_private, sync_folder_of};
use super::lock::{FolderLock, LockError};
use super::relay::{KEY_FILE, KIND, RELAY_DATABASE};
use super::{
    commit_counter, keyfile, mail_table, members_table, membership_table, reset_id, restored_table,
    waiting_counts_table,
};
use crate::base::Wall;
use crate::relay::Restored;

/// A backup: a relay's database with [`backup::APPLICATION_ID`].
const BACKUP: Kind = Kind { application_id: backup::APPLICATION_ID, ..KIND };
/// Entries of a new file system, which do not make a folder a used one.
const FOREIGN_ENTRIES: [&str; 1] = ["lost+found"];

/// Content of a backup.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupContent {
    /// The time up to which every commit is in it.
    pub created_at: Wall,
    /// The relay's private key.
    pub private_key: [u8; 32],
    /// Number of members.
    pub members: usize,
    /// Number of waiting letters.
    pub letters: usize,
}

/// Omits the private key.
impl std::fmt::Debug for BackupContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BackupContent { created_at, members, letters, .. } = self;
        let mut all = f.debug_struct("BackupContent");
        all.field("created_at", created_at)
            .field("members", members)
            .field("letters", letters)
            .finish_non_exhaustive()
    }
}

/// Reads a whole backup, checks every page and row, and writes it to the disk.
///
/// # Errors
/// Returns `BackupMissing`, `NoBackup`, or an error as [`super::RelayStore::open`].
pub fn verify_backup(file: &Path) -> Result<BackupContent, StoreError> {
    let (_, content) = read(file)?;
    backup::sync(file).map_err(|error| io_error(file, &error))?;
    Ok(content)
}

/// Restores a relay into `dir`, which must be empty or missing. `seed` provides random values.
///
/// The new relay has the members, letters and key of the backup. It gets another reset id, and
/// hints of sessions are dropped, because this relay has no sessions of the earlier one.
///
/// # Errors
/// Returns `NotEmpty`, or an error as [`verify_backup`]. The folder is then as
/// before.
pub fn restore(
    file: &Path,
    dir: &Path,
    seed: impl FnOnce() -> [u8; 32],
) -> Result<BackupContent, StoreError> {
    let (source, content) = read(file)?;
    create_folder(dir)?;
    check_empty(dir)?;
    let lock = FolderLock::take(dir).map_err(|error| match error {
        LockError::Held(pid) => StoreErrorCause::RelayBusy { pid }.at(dir),
        LockError::System(error) => error,
    });
    let restored = lock.and_then(|lock| write(&source, file, dir, seed).map(|()| lock));
    if restored.is_err() {
        remove_new_files(dir);
    }
    restored.map(|_lock| content)
}

/// Opens a backup and checks it.
fn read(file: &Path) -> Result<(Connection, BackupContent), StoreError> {
    if !database::exists(file) {
        return Err(StoreErrorCause::BackupMissing.at(file));
    }
    database::check_header(file, &BACKUP).map_err(|error| match error.cause {
        StoreErrorCause::NotDatabase => StoreErrorCause::NoBackup.at(file),
        _ => error,
    })?;
    let to_error = |error: rusqlite::Error| sqlite_error(file, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).map_err(to_error)?;
    let check: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(to_error)?;
    if check != "ok" {
        return Err(damaged(file, check));
    }
    let secrets = backup::read_secrets(&db).map_err(to_error)?;
    let (created_at, Secrets { private_key, .. }) = secrets
        .as_ref()
        .ok_or_else(|| damaged(file, "backup"))
        .map(|(created_at, secrets)| (*created_at, secrets))?;
    let members = members_table::read_members(&db, file)?.len();
    membership_table::read_membership(&db, file)?;
    mail_table::read_mail(&db, file)?;
    let waiting =
        waiting_counts_table::read(&db).map_err(to_error)?.ok_or_else(|| damaged(file, "waiting"))?;
    mail_table::check_letters(&db, file, &waiting)?;
    let letters = waiting.iter().map(|waiting| waiting.letters).sum();
    let private_key = *private_key;
    drop(secrets);
    Ok((db, BackupContent { created_at, private_key, members, letters }))
}

fn check_empty(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(|error| io_error(dir, &error))? {
        let name = entry.map_err(|error| io_error(dir, &error))?.file_name();
        if !FOREIGN_ENTRIES.iter().any(|foreign| name == *foreign) {
            return Err(StoreErrorCause::NotEmpty.at(dir));
        }
    }
    Ok(())
}

/// Writes the relay's files. The database gets its name last, so that no relay starts on half of
/// them.
fn write(
    source: &Connection,
    file: &Path,
    dir: &Path,
    seed: impl FnOnce() -> [u8; 32],
) -> Result<(), StoreError> {
    let path = dir.join(RELAY_DATABASE);
    let new_path = new_database(dir);
    let to_error = |error: rusqlite::Error| sqlite_error(&new_path, &error);
    open_private(&new_path).map_err(|error| io_error(&new_path, &error))?;
    let (created_at, secrets) =
        backup::read_secrets(source).map_err(to_error)?.ok_or_else(|| damaged(file, "backup"))?;
    let commits = write_database(source, &new_path, created_at).map_err(to_error)?;
    keyfile::create(&dir.join(KEY_FILE), "this relay", &secrets.private_key)?;
    reset_id::renew_reset_id(dir, seed)?;
    commit_counter::create(&path, commits)?;
    let renamed = backup::sync(&new_path).and_then(|()| fs::rename(&new_path, &path));
    renamed.and_then(|()| sync_folder_of(&path)).map_err(|error| io_error(&path, &error))
}

fn new_database(dir: &Path) -> std::path::PathBuf {
    dir.join(format!("{RELAY_DATABASE}.new"))
}

/// Copies a backup and makes a relay's database of it. Returns its number of commits.
fn write_database(source: &Connection, new_path: &Path, created_at: Wall) -> rusqlite::Result<u64> {
    let mut db = backup::open_unsynced(new_path)?;
    Backup::new(source, &mut db)?.step(-1)?;
    backup::remove_secrets(&db)?;
    db.execute_batch("DELETE FROM sessions")?;
    let clock = mail_table::read_clock(&db)?.unwrap_or(0);
    let last_seq = mail_table::last_seq(&db)?;
    restored_table::write(&db, &Restored::new(created_at, clock, last_seq))?;
    db.pragma_update(None, "application_id", KIND.application_id)?;
    commit_counter::count(&db)
}

/// Removes what [`restore`] has written into a folder that was empty.
fn remove_new_files(dir: &Path) {
    database::remove(&new_database(dir));
    for name in [KEY_FILE, reset_id::FILE, "relay.sqlite-commits", "lock"] {
        let _ = fs::remove_file(dir.join(name));
    }
}

#[cfg(test)]
mod tests;
