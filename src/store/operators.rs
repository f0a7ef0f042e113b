//! Requests of an operator's command to a running relay, in a separate small database in the
//! relay's folder.
//!
//! Must not depend on: the members and mail of the relay. Invariant: only the relay writes those. A
//! command inserts a row and waits for the answer in it. The relay polls for changes of the file
//! several times a second (SQLite's `data_version`, which reads no table). Rows from an earlier run
//! are dropped when the relay starts. A command that still waits inserts its row again, so no
//! request without a waiting command is carried out.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::database::{self, Kind, sqlite_error};
use super::error::{StoreError, StoreErrorCause};
use crate::base::{Name, Wall};
use crate::relay::{Invitation, InvitationId, OperatorRequest};

/// Application id in SQLite's header that marks the file as ours: `QQRQ`.
const APPLICATION_ID: u32 = 0x5151_5251;
/// Relay and command may both make the file.
const KIND: Kind = Kind {
    application_id: APPLICATION_ID,
    schema_version: 2,
    schema: &["
CREATE TABLE IF NOT EXISTS requests(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  invite BLOB,
  name TEXT,
  created_at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  backup BLOB,
  answer TEXT
) STRICT;"],
};
/// Name of the database.
const FILE: &str = "requests.sqlite";
/// Maximum requests read in one poll, to bound its work. Further ones wait for the next poll.
const PAGE: usize = 64;

/// The requests of one relay, for the relay or for a command.
#[derive(Debug)]
pub struct RequestQueue {
    path: PathBuf,
    db: Connection,
    /// Device and inode of the database and of its log. Others at these paths are what commands
    /// use.
    files: [Option<(u64, u64)>; 2],
    version: Option<u32>,
    last: i64,
}

/// A request in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuedRequest {
    /// For the relay's core.
    Core(OperatorRequest),
    /// Copy everything into this new file.
    Backup(PathBuf),
}

/// State of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestStatus {
    /// The relay has not answered yet.
    Waiting,
    /// The relay has answered; the text is the one given to [`RequestQueue::answer`].
    Answered(String),
    /// The request is gone, because the relay has restarted.
    Gone,
}

impl RequestQueue {
    /// Opens the requests for the relay that holds the folder, and drops those of earlier runs.
    ///
    /// # Errors
    /// As [`super::RelayStore::open`], for the file `requests.sqlite`.
    pub fn serve(dir: &Path) -> Result<RequestQueue, StoreError> {
        let requests = RequestQueue::open_or_replace(dir)?;
        let to_error = |error: rusqlite::Error| sqlite_error(&requests.path, &error);
        let count = "SELECT count(*) FROM requests";
        // Write only if needed, because the disk may be full.
        if requests.db.query_row(count, [], |row| row.get::<_, i64>(0)).map_err(to_error)? > 0 {
            requests.db.execute("DELETE FROM requests", []).map_err(to_error)?;
        }
        Ok(requests)
    }

    /// Opens the requests for a command.
    ///
    /// # Errors
    /// Returns `NoRelay` if the folder never belonged to a relay; otherwise as
    /// [`RequestQueue::serve`].
    pub fn open_to_ask(dir: &Path) -> Result<RequestQueue, StoreError> {
        database_of(dir)?;
        RequestQueue::open(dir)
    }

    fn open(dir: &Path) -> Result<RequestQueue, StoreError> {
        let path = dir.join(FILE);
        let db = database::open_shared(&path, &KIND)?;
        let files = files_at(&path);
        Ok(RequestQueue { path, db, files, version: None, last: 0 })
    }

    /// Opens the file again if it was removed or replaced: a command then waits at another one.
    fn follow_file(&mut self) -> Result<(), StoreError> {
        let files = files_at(&self.path);
        if files == self.files {
            return Ok(());
        }
        // Compared while the old file is open, so that a new one has another number.
        let same_file = files[0] == self.files[0];
        // Closed first: closing removes the log at this path, and repairs a file that lost its log.
        self.db = Connection::open_in_memory().map_err(|error| self.mark_error(&error))?;
        self.files = [None; 2];
        let dir = self.path.parent().expect("`open` joined a name to the folder");
        let queue = RequestQueue::open_or_replace(dir)?;
        // In the same file, requests up to `last` are being carried out. A new file counts from 1.
        let count = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence";
        let newest = queue.db.query_row(count, [], |row| row.get(0));
        let newest: i64 = newest.map_err(|error| self.mark_error(&error))?;
        let last = if same_file { self.last.min(newest) } else { 0 };
        *self = RequestQueue { last, ..queue };
        Ok(())
    }

    /// Opens the file for the relay. A damaged or older one is replaced: it holds nothing but
    /// requests of commands that wait, and removing its log damages it.
    fn open_or_replace(dir: &Path) -> Result<RequestQueue, StoreError> {
        RequestQueue::open(dir).or_else(|error| {
            use StoreErrorCause::{Damaged, NotDatabase, Older};
            if !matches!(error.cause, Damaged(_) | NotDatabase | Older(_)) {
                return Err(error);
            }
            database::remove(&dir.join(FILE));
            RequestQueue::open(dir)
        })
    }

    fn mark_error(&self, error: &rusqlite::Error) -> StoreError {
        sqlite_error(&self.path, error)
    }

    /// Submits a request and returns its number.
    ///
    /// # Errors
    /// An error of the system if the file cannot be written.
    pub fn ask(&mut self, request: &OperatorRequest) -> Result<i64, StoreError> {
        let (invite, name, created_at, until) = match request {
            OperatorRequest::Invite(Invitation { id, name, created_at, until }) => {
                (Some(id.0), name.as_ref(), *created_at, *until)
            }
            OperatorRequest::Remove(name) => (None, Some(name), Wall(0), Wall(0)),
        };
        let insert = "INSERT INTO requests(invite, name, created_at, until) VALUES (?1, ?2, ?3, ?4)";
        let row = params![invite, name.map(Name::as_str), created_at.0 as i64, until.0 as i64];
        self.db.execute(insert, row).map_err(|error| self.mark_error(&error))?;
        Ok(self.db.last_insert_rowid())
    }

    /// Submits the request for a backup into `file`, an absolute path, and returns its number.
    ///
    /// # Errors
    /// An error of the system if the file of requests cannot be written.
    pub fn ask_backup(&mut self, file: &Path) -> Result<i64, StoreError> {
        let insert = "INSERT INTO requests(created_at, until, backup) VALUES (0, 0, ?1)";
        let row = params![file.as_os_str().as_bytes()];
        self.db.execute(insert, row).map_err(|error| self.mark_error(&error))?;
        Ok(self.db.last_insert_rowid())
    }

    /// Returns the state of a request.
    ///
    /// # Errors
    /// An error of the system if the file cannot be read.
    pub fn state(&self, id: i64) -> Result<RequestStatus, StoreError> {
        let select = "SELECT answer FROM requests WHERE id = ?1";
        let result = self.db.query_row(select, [id], |row| row.get::<_, Option<String>>(0)).optional();
        Ok(match result.map_err(|error| self.mark_error(&error))? {
            None => RequestStatus::Gone,
            Some(None) => RequestStatus::Waiting,
            Some(Some(answer)) => RequestStatus::Answered(answer),
        })
    }

    /// Withdraws a request and returns its last state.
    ///
    /// # Errors
    /// An error of the system if the file cannot be read or written.
    pub fn withdraw(&self, id: i64) -> Result<RequestStatus, StoreError> {
        let state = self.state(id)?;
        self.db
            .execute("DELETE FROM requests WHERE id = ?1", [id])
            .map_err(|error| self.mark_error(&error))?;
        Ok(state)
    }

    /// Returns new requests since the last poll, with their numbers. Skips malformed ones. Finds
    /// them also if the file was removed in the meantime.
    ///
    /// # Errors
    /// An error of the system if the file cannot be read.
    pub fn new_ones(&mut self) -> Result<Vec<(i64, QueuedRequest)>, StoreError> {
        self.follow_file()?;
        let version = self.db.pragma_query_value(None, "data_version", |row| row.get::<_, u32>(0));
        let version = version.map_err(|error| self.mark_error(&error))?;
        if self.version == Some(version) {
            return Ok(Vec::new());
        }
        let requests = self.read().map_err(|error| self.mark_error(&error))?;
        if requests.len() < PAGE {
            self.version = Some(version);
        }
        self.last = requests.last().map_or(self.last, |row| row.0);
        Ok(requests.into_iter().filter_map(|(id, request)| Some((id, request?))).collect())
    }

    fn read(&self) -> rusqlite::Result<Vec<(i64, Option<QueuedRequest>)>> {
        let select = "SELECT id, invite, name, created_at, until, backup FROM requests
            WHERE id > ?1 AND answer IS NULL ORDER BY id LIMIT ?2";
        let mut select = self.db.prepare_cached(select)?;
        let rows = select.query_map(params![self.last, PAGE as i64], |row| {
            let invite: Option<[u8; 32]> = row.get(1)?;
            let name: Option<String> = row.get(2)?;
            let wall = |column| row.get::<_, i64>(column).map(|ms| Wall(ms as u64));
            let created_at = wall(3)?;
            let until = wall(4)?;
            let backup: Option<Vec<u8>> = row.get(5)?;
            if let Some(file) = backup {
                return Ok((row.get(0)?, Some(QueuedRequest::Backup(OsString::from_vec(file).into()))));
            }
            let name = name.map(|name| name.parse::<Name>()).transpose().ok();
            let request = match (invite, name) {
                (Some(id), Some(name)) => Some(OperatorRequest::Invite(Invitation {
                    id: InvitationId(id),
                    name,
                    created_at,
                    until,
                })),
                (None, Some(Some(name))) => Some(OperatorRequest::Remove(name)),
                _ => None,
            };
            Ok((row.get(0)?, request.map(QueuedRequest::Core)))
        })?;
        rows.collect()
    }

    /// Answers a request, unless it was withdrawn.
    ///
    /// # Errors
    /// An error of the system if the file cannot be written.
    pub fn answer(&self, id: i64, answer: &str) -> Result<(), StoreError> {
        let update = "UPDATE requests SET answer = ?2 WHERE id = ?1";
        self.db.execute(update, params![id, answer]).map_err(|error| self.mark_error(&error))?;
        Ok(())
    }
}

/// Returns device and inode of a database and of its log, of each that exists.
fn files_at(path: &Path) -> [Option<(u64, u64)>; 2] {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)].map(|file| file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino())))
}

/// Returns the database of the relay whose folder is `dir`.
///
/// # Errors
/// Returns `NoRelay`, `NotFolder`, or `NotPermitted`.
pub(super) fn database_of(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(super::RELAY_DATABASE);
    match path.metadata() {
        Ok(metadata) if metadata.len() > 0 => Ok(path),
        Err(error)
            if !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Err(super::files::io_error(&path, &error))
        }
        _ => Err(no_relay(dir)),
    }
}

pub(super) fn no_relay(dir: &Path) -> StoreError {
    StoreErrorCause::NoRelay.at(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_sees_requests_after_their_files_were_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("relay.sqlite"), "x").unwrap();
        let mut relay = RequestQueue::serve(dir.path()).unwrap();
        let remove = OperatorRequest::Remove("TOM".parse().unwrap());
        let cleaned: [&[&str]; 4] = [
            &["requests.sqlite"],
            &["requests.sqlite", "requests.sqlite-wal", "requests.sqlite-shm"],
            &["requests.sqlite-wal", "requests.sqlite-shm"],
            &["requests.sqlite-wal"],
        ];
        for files in cleaned {
            for file in files {
                std::fs::remove_file(dir.path().join(file)).unwrap();
            }
            // The relay polls several times a second, so it is the first to find the damage.
            if !files.contains(&FILE) {
                assert_eq!(relay.new_ones().unwrap(), [], "{files:?}");
            }
            let mut command = RequestQueue::open_to_ask(dir.path()).unwrap();
            let id = command.ask(&remove).unwrap();
            assert_eq!(relay.new_ones().unwrap(), [(id, QueuedRequest::Core(remove.clone()))], "{files:?}");
            assert_eq!(relay.new_ones().unwrap(), [], "{files:?}");
            relay.answer(id, "done").unwrap();
            assert_eq!(command.withdraw(id).unwrap(), RequestStatus::Answered("done".to_owned()));
        }
    }

    #[test]
    fn requests_of_older_version_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let db = database::open_shared(&dir.path().join(FILE), &KIND).unwrap();
        db.execute_batch("DROP TABLE requests; PRAGMA user_version = 1").unwrap();
        drop(db);
        let mut relay = RequestQueue::serve(dir.path()).unwrap();
        assert_eq!(relay.new_ones().unwrap(), []);
    }

    #[test]
    fn request_is_seen_once_and_gone_after_relay_restart() {
        let dir = tempfile::tempdir().unwrap();
        let no_relay = RequestQueue::open_to_ask(dir.path()).unwrap_err();
        assert!(matches!(no_relay.cause, StoreErrorCause::NoRelay));
        std::fs::write(dir.path().join("relay.sqlite"), "x").unwrap();
        let mut relay = RequestQueue::serve(dir.path()).unwrap();
        assert_eq!(relay.new_ones().unwrap(), []);
        let mut command = RequestQueue::open_to_ask(dir.path()).unwrap();
        let name: Name = "TOM".parse().unwrap();
        let invitation =
            Invitation { id: InvitationId([7; 32]), name: None, created_at: Wall(1), until: Wall(u64::MAX) };
        let requests = [OperatorRequest::Remove(name), OperatorRequest::Invite(invitation)];
        let mut ids: Vec<i64> = requests.iter().map(|request| command.ask(request).unwrap()).collect();
        let file = PathBuf::from(OsString::from_vec(b"/b\xFF.sqlite".to_vec()));
        ids.push(command.ask_backup(&file).unwrap());
        let seen = relay.new_ones().unwrap();
        let requests = requests.map(QueuedRequest::Core).into_iter().chain([QueuedRequest::Backup(file)]);
        assert_eq!(seen, Vec::from_iter(ids.iter().copied().zip(requests)));
        assert_eq!(relay.new_ones().unwrap(), [], "each is carried out once");
        assert_eq!(command.state(ids[0]).unwrap(), RequestStatus::Waiting);
        relay.answer(ids[0], "done").unwrap();
        assert_eq!(command.withdraw(ids[0]).unwrap(), RequestStatus::Answered("done".to_owned()));
        assert_eq!(relay.new_ones().unwrap(), []);
        drop(relay);
        let mut relay = RequestQueue::serve(dir.path()).unwrap();
        assert_eq!(command.state(ids[1]).unwrap(), RequestStatus::Gone);
        assert_eq!(relay.new_ones().unwrap(), []);
    }
}
