//! The relay's store: reopening, damage, kills, full disks.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;

use super::*;
use crate::base::Ticket;
use crate::store::{StoreReply, Worker};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn member(text: &str, key: u8) -> Record {
    Record::Member { name: name(text), key: PublicKey([key; 32]), since: 7 }
}

fn open(dir: &Path, seed: u8) -> Result<(RelayStore, RelayState), StoreError> {
    RelayStore::open(dir, || [seed; 32])
}

/// Returns a cleanly closed folder with the key `[1; 32]` and 1,000 members.
fn folder_with_members() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path(), 1).unwrap();
    let records = Vec::from_iter((0..1_000).map(|n| member(&format!("m{n}"), n as u8)));
    store.commit(&records, &mut Vec::new()).unwrap();
    dir
}

/// Copies the files as a killed process leaves them: the log is not yet in the database, and is
/// truncated to `log_len` bytes.
pub(super) fn killed(dir: &Path, log_len: u64) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["relay.key", "relay.id", "relay.sqlite", "relay.sqlite-wal"] {
        fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    let log = OpenOptions::new().write(true).open(copy.path().join("relay.sqlite-wal")).unwrap();
    log.set_len(log_len).unwrap();
    copy
}

/// Flips one bit of the database at a time. If it still opens, it must pass `check`; otherwise the
/// error must name the file. Returns the number of errors.
pub(super) fn refused_with_a_flipped_bit(dir: &Path, check: impl Fn(usize, RelayState)) -> usize {
    let path = dir.join("relay.sqlite");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // A prime step, so that every field of a row is affected.
    for bit in (0..whole.len() * 8).step_by(1_999) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        for file in ["relay.sqlite-wal", "relay.sqlite-shm"] {
            let _ = fs::remove_file(dir.join(file));
        }
        fs::write(&path, bytes).unwrap();
        match open(dir, 2) {
            Ok((_, state)) => check(bit, state),
            Err(error) => {
                assert_eq!(error.path, path.display().to_string(), "bit {bit}: {error}");
                refused += 1;
            }
        }
    }
    refused
}

fn assert_error(cause: &StoreErrorCause, error: &StoreError, path: &Path) {
    assert!(error.is_like(cause), "{error}");
    assert_eq!(error.path, path.display().to_string(), "{error}");
}

#[test]
fn members_and_key_persist_and_first_key_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("relay");
    let (store, state) = open(&data, 1).unwrap();
    assert_eq!(state, state_of(vec![]));
    let (done_in, done) = channel();
    let worker = Worker::spawn(store, move |d| done_in.send(d).unwrap()).unwrap();
    let records = [member("TOM", 3), member("一棵树", 4), member("TOM", 9), member("TOM", 3)];
    for (ticket, record) in (0..).zip(records) {
        worker.persist(Ticket(ticket), record).unwrap();
    }
    worker.finish();
    let committed = |n| StoreReply::Committed(Ticket(n));
    let answers = [committed(0), committed(1), StoreReply::Failed(Ticket(2)), committed(3)];
    assert_eq!(Vec::from_iter(done.iter()), answers);
    let members = vec![(name("TOM"), PublicKey([3; 32])), (name("一棵树"), PublicKey([4; 32]))];
    assert_eq!(open(&data, 2).unwrap().1, state_of(members));
    for (path, mode) in [("", 0o700), ("relay.key", 0o600), ("relay.sqlite", 0o600), ("lock", 0o600)] {
        assert_eq!(fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn commits_survive_kill_and_torn_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path(), 1).unwrap();
    store.commit(&[member("TOM", 3)], &mut Vec::new()).unwrap();
    store.commit(&[member("JACK", 4)], &mut Vec::new()).unwrap();
    let log_len = fs::metadata(dir.path().join("relay.sqlite-wal")).unwrap().len();
    let tom = (name("TOM"), PublicKey([3; 32]));
    let jack = (name("JACK"), PublicKey([4; 32]));
    for (len, members) in [(log_len - 1, vec![tom.clone()]), (log_len, vec![jack, tom])] {
        let copy = killed(dir.path(), len);
        assert_eq!(open(copy.path(), 2).unwrap().1, state_of(members));
    }
}

/// Returns the state of a folder created with seed 1 and these members. Their names are unused
/// since the time of [`member`].
fn state_of(members: Vec<(Name, PublicKey)>) -> RelayState {
    let unused = members.iter().map(|(name, _)| (name.clone(), 7)).collect();
    RelayState {
        private_key: [1; 32],
        reset_id: [1; 16],
        membership: MembershipSnapshot { unused, ..MembershipSnapshot::default() },
        members,
        mail: PersistedMail::default(),
    }
}

// faults.md: R77
#[test]
fn second_relay_on_folder_gets_pid_of_holder() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path(), 1).unwrap();
    let busy = StoreErrorCause::RelayBusy { pid: std::process::id().to_string() }.at(dir.path());
    assert_eq!(open(dir.path(), 1).unwrap_err(), busy);
    drop(held);
    open(dir.path(), 1).unwrap();
}

#[test]
fn truncated_database_is_reported_and_left_unchanged() {
    let dir = folder_with_members();
    let path = dir.path().join("relay.sqlite");
    let whole = fs::read(&path).unwrap();
    for (len, key) in [
        (0, StoreErrorCause::DatabaseMissing),
        (10, StoreErrorCause::NotDatabase),
        (50, StoreErrorCause::Damaged(String::new())),
        (100, StoreErrorCause::Damaged(String::new())),
        (4_096, StoreErrorCause::Damaged(String::new())),
        (whole.len() / 2, StoreErrorCause::Damaged(String::new())),
        (whole.len() - 200, StoreErrorCause::Damaged(String::new())),
    ] {
        fs::write(&path, &whole[..len]).unwrap();
        assert_error(&key, &open(dir.path(), 2).map(|_| len).unwrap_err(), &path);
        assert_eq!(fs::read(&path).unwrap(), whole[..len], "{len}");
    }
    fs::remove_file(&path).unwrap();
    assert_error(&StoreErrorCause::DatabaseMissing, &open(dir.path(), 2).unwrap_err(), &path);
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(dir.path(), 2).unwrap().1.members.len(), 1_000);
}

#[test]
fn flipped_bit_never_changes_members() {
    let dir = folder_with_members();
    let members = open(dir.path(), 2).unwrap().1.members;
    let refused =
        refused_with_a_flipped_bit(dir.path(), |bit, state| assert_eq!(state.members, members, "{bit}"));
    assert!(refused > 100, "{refused}");
}

// faults.md: R71
#[test]
fn foreign_or_newer_database_is_left_unchanged() {
    let dir = folder_with_members();
    let path = dir.path().join("relay.sqlite");
    for (pragma, number, key) in [
        ("user_version", 5, StoreErrorCause::Newer(0)),
        ("user_version", 3, StoreErrorCause::Older(0)),
        ("application_id", 5, StoreErrorCause::NotDatabase),
    ] {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, pragma, number).unwrap();
        drop(db);
        let before = fs::read(&path).unwrap();
        assert_error(&key, &open(dir.path(), 2).unwrap_err(), &path);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(!dir.path().join("relay.sqlite-wal").exists());
    }
}

#[test]
fn damaged_exposed_or_missing_key_is_never_replaced() {
    let dir = folder_with_members();
    let path = dir.path().join("relay.key");
    let whole = fs::read(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_error(&StoreErrorCause::KeyOpen(String::new()), &open(dir.path(), 2).unwrap_err(), &path);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(whole.len() as u64 - 5).unwrap();
    assert_error(&StoreErrorCause::KeyDamaged, &open(dir.path(), 2).unwrap_err(), &path);
    fs::remove_file(&path).unwrap();
    assert_error(&StoreErrorCause::KeyMissing, &open(dir.path(), 2).unwrap_err(), &path);
    assert!(!path.exists());
}

#[test]
fn start_killed_before_key_was_written_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1).unwrap());
    fs::remove_file(dir.path().join("relay.key")).unwrap();
    assert_eq!(open(dir.path(), 2).unwrap().1.private_key, [2; 32]);
}

#[test]
fn file_and_folder_mixed_up_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_error(&StoreErrorCause::NotFolder, &open(&file, 1).unwrap_err(), &file);
    for (name, key) in [
        ("lock", StoreErrorCause::Io(String::new())),
        ("relay.key", StoreErrorCause::Io(String::new())),
        ("relay.sqlite", StoreErrorCause::Io(String::new())),
    ] {
        let data = dir.path().join(format!("with-{name}"));
        fs::create_dir_all(data.join(name)).unwrap();
        assert_error(&key, &open(&data, 1).unwrap_err(), &data.join(name));
    }
}
