//! The relay's database, and in it which key owns which name. The mail is in [`super::mail_table`], all else
//! about members in [`super::roll_table`].
//!
//! SQLite in WAL mode with `synchronous = FULL`: a commit is on disk when it returns, and a torn last one is cut off
//! at the next start. SQLite has no checksums over rows, so each row has one; without it a flipped bit would hand a
//! name to nobody, or to somebody else.

use std::path::{Path, PathBuf};

use blake2::{Blake2s256, Digest};
use rusqlite::{Connection, OpenFlags, Transaction};

use super::database::{Kind, check_header, check_made_by_us, damaged, phrase};
use super::files::{io_phrase, open_private, sync_folder_of};
use super::{mail_table, roll_table};
use crate::base::{Name, Phrase, PublicKey};

/// Marks the file as ours in SQLite's header: `QQIA`.
const APPLICATION_ID: u32 = 0x5151_4941;

/// The layout of [`SCHEMA`], in SQLite's `user_version`. A change of it adds one to this, and a step from the
/// number before.
const SCHEMA_VERSION: u32 = 3;
/// What each layout has added to the one of the number before.
const STEPS: [(u32, &str); 2] = [(2, mail_table::SCHEMA), (3, roll_table::SCHEMA)];

/// One tree and no second index, so that a row is found by the very bytes that its `sum` covers.
const SCHEMA: &str = "
CREATE TABLE members(
  name TEXT PRIMARY KEY NOT NULL,
  key BLOB NOT NULL,
  sum BLOB NOT NULL,
  added INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;";

/// What the file must be.
pub(super) const KIND: Kind =
    Kind { application_id: APPLICATION_ID, schema_version: SCHEMA_VERSION, schema: SCHEMA };

/// An open database.
#[derive(Debug)]
pub(super) struct MembersTable {
    pub(super) path: PathBuf,
    pub(super) db: Connection,
}

impl MembersTable {
    /// Opens the database, or makes one; checks all of it; answers with every member, by name.
    ///
    /// Errors: `store-not-database`, `store-database-damaged`, `store-newer`, or what the system says.
    pub(super) fn open(path: &Path) -> Result<(MembersTable, Vec<(Name, PublicKey)>), Phrase> {
        check_header(path, &KIND)?;
        open_private(path).map_err(|error| io_phrase(path, &error))?;
        let mut table = connect(path).map_err(|error| phrase(path, &error))?;
        table.prepare()?;
        let members = table.load()?;
        Ok((table, members))
    }

    /// A database that is gone with its process, with no members and no mail.
    pub(super) fn in_memory() -> Result<MembersTable, Phrase> {
        let path = PathBuf::from(":memory:");
        let opened = Connection::open_in_memory().and_then(|db| {
            let mut table = MembersTable { path: path.clone(), db };
            table.create()?;
            Ok(table)
        });
        opened.map_err(|error| phrase(&path, &error))
    }

    fn prepare(&mut self) -> Result<(), Phrase> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        let pragma = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        let found = (pragma("application_id").map_err(told)?, pragma("user_version").map_err(told)?);
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: u32 = self.db.query_row(tables, [], |row| row.get(0)).map_err(told)?;
        let is_new = found == (0, 0) && tables == 0;
        if !is_new {
            check_made_by_us(&self.path, &KIND, found.0, found.1)?;
        }
        self.db.pragma_update(None, "journal_mode", "wal").map_err(told)?;
        self.db.pragma_update(None, "synchronous", "full").map_err(told)?;
        if !is_new && found.1 < SCHEMA_VERSION {
            self.step_up_from(found.1).map_err(|error| phrase(&self.path, &error))?;
        }
        if is_new {
            self.create().map_err(|error| phrase(&self.path, &error))?;
            sync_folder_of(&self.path).map_err(|error| io_phrase(&self.path, &error))?;
        }
        Ok(())
    }

    fn create(&mut self) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute_batch(SCHEMA)?;
        for (_, added) in STEPS {
            tx.execute_batch(added)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.commit()?;
        // Out of the log and into the file itself, whose header then says what it is.
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn step_up_from(&mut self, version: u32) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        for (_, added) in STEPS.iter().filter(|step| step.0 > version) {
            tx.execute_batch(added)?;
        }
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.commit()
    }

    fn load(&self) -> Result<Vec<(Name, PublicKey)>, Phrase> {
        let told = |error: rusqlite::Error| phrase(&self.path, &error);
        let check = "PRAGMA quick_check(1)";
        let verdict: String = self.db.query_row(check, [], |row| row.get(0)).map_err(told)?;
        if verdict != "ok" {
            return Err(damaged(&self.path, verdict));
        }
        let select = "SELECT name, key, sum FROM members ORDER BY name";
        let mut select = self.db.prepare(select).map_err(told)?;
        let mut rows = select.query([]).map_err(told)?;
        let mut members = Vec::<(Name, PublicKey)>::new();
        while let Some(row) = rows.next().map_err(told)? {
            let (name, key, sum) = (row.get(0), row.get(1), row.get(2));
            let (name, key, sum): (String, [u8; 32], [u8; SUM_LEN]) =
                (name.map_err(told)?, key.map_err(told)?, sum.map_err(told)?);
            let is_whole = sum == row_sum(&name, &key)
                && members.last().is_none_or(|(last, _)| last.as_str() < name.as_str());
            match name.parse() {
                Ok(name) if is_whole => members.push((name, PublicKey(key))),
                _ => return Err(damaged(&self.path, format_args!("members: {name}"))),
            }
        }
        Ok(members)
    }
}

/// Adds a member; `false` if the name has another key already, which keeps it.
pub(super) fn add_one(tx: &Transaction<'_>, name: &Name, key: &PublicKey) -> rusqlite::Result<bool> {
    let insert = "INSERT INTO members(name, key, sum) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let row = (name.as_str(), key.0, row_sum(name.as_str(), &key.0));
    if tx.prepare_cached(insert)?.execute(row)? == 1 {
        return Ok(true);
    }
    let mut owner = tx.prepare_cached("SELECT key FROM members WHERE name = ?1")?;
    Ok(owner.query_row([name.as_str()], |row| row.get::<_, [u8; 32]>(0))? == key.0)
}

fn connect(path: &Path) -> rusqlite::Result<MembersTable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(MembersTable { path: path.to_owned(), db: Connection::open_with_flags(path, flags)? })
}

pub(super) const SUM_LEN: usize = 8;

pub(super) fn row_sum(name: &str, key: &[u8; 32]) -> [u8; SUM_LEN] {
    let hash = Blake2s256::new().chain_update(key).chain_update(name).finalize();
    *hash.first_chunk().expect("a hash of 32 bytes")
}
