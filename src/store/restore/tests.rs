//! A backup contains every commit before its last step, and a relay restored from it nothing that
//! the earlier relay may have handed out.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::base::{LetterId, Mark, Name, OutboxId, PublicKey, Ticket};
use crate::relay::{MailboxLetter, Record, SessionHint};
use crate::store::{
    Backend, BackupReply, Backups, Fault, RelayState, RelayStore, StoreReply, SubmitError, Worker,
};

const MADE: Wall = Wall(1_000);

/// A folder with a relay, and the path for a backup.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self, folder: &str) -> (RelayStore, RelayState) {
        RelayStore::open(&self.path(folder), || [1; 32]).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn restore(&self, folder: &str) -> Result<BackupContent, StoreError> {
        restore(&self.path("backup"), &self.path(folder), || [2; 32])
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn letters(seqs: std::ops::RangeInclusive<u64>, len: usize) -> Record {
    let letter = |seq| MailboxLetter {
        seq,
        stored_at: 5,
        from: name("TOM"),
        id: LetterId { outbox: OutboxId(7), number: seq },
        len: len as u64,
        mark: Mark(1),
        message: vec![seq as u8; len].into(),
    };
    Record::Letters { to: name("JACK"), letters: seqs.map(letter).collect(), deliveries: Vec::new() }
}

fn commit(store: &mut RelayStore, records: &[Record]) {
    let mut refused = Vec::new();
    store.commit(records, &mut refused).unwrap();
    assert!(refused.is_empty());
}

fn member(text: &str, key: u8) -> Record {
    Record::Member { name: name(text), key: PublicKey([key; 32]), since: 7 }
}

/// Copies the relay in one go.
fn back_up(store: &mut RelayStore, file: &Path) -> Result<Wall, StoreError> {
    store.backup(file, || MADE, &mut |_, _| true)
}

#[test]
fn restored_relay_has_members_letters_and_key() {
    let fixture = Fixture::new();
    let (mut store, before) = fixture.open("relay");
    let hint = SessionHint { addr: "192.0.2.1:9".parse().unwrap(), index: 44, local: None };
    commit(&mut store, &[member("TOM", 3), member("JACK", 4), letters(1..=5, 100)]);
    commit(&mut store, &[Record::Clock(77), Record::Sessions { hints: vec![hint], ended: vec![] }]);
    assert_eq!(back_up(&mut store, &fixture.path("backup")), Ok(MADE));
    let content = verify_backup(&fixture.path("backup")).unwrap();
    assert_eq!((content.created_at, content.members, content.letters), (MADE, 2, 5));
    let mode = fs::metadata(fixture.path("backup")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let files = fs::read_dir(fixture.dir.path()).unwrap().count();
    assert_eq!(files, 2, "the relay's folder and one file");
    assert_eq!(fixture.restore("again").unwrap(), content);
    let (_, after) = fixture.open("again");
    assert_eq!(after.private_key, before.private_key);
    assert_eq!(after.members.len(), 2);
    assert_eq!(after.mail.waiting[0].letters, 5);
    assert_eq!(after.mail.restored, Some(Restored::new(MADE, 77, 5)));
}

/// Its reset id is another one, so that no reset of an earlier session concerns one of this relay.
#[test]
fn restored_relay_reuses_no_index_or_sequence_number() {
    let fixture = Fixture::new();
    let (mut store, before) = fixture.open("relay");
    let hint = SessionHint { addr: "192.0.2.1:9".parse().unwrap(), index: 44, local: None };
    commit(&mut store, &[Record::Sessions { hints: vec![hint], ended: vec![] }, letters(1..=5, 100)]);
    back_up(&mut store, &fixture.path("backup")).unwrap();
    commit(&mut store, &[letters(6..=9, 100)]);
    fixture.restore("again").unwrap();
    let (_, after) = fixture.open("again");
    assert_eq!(after.mail.sessions, []);
    assert_ne!(after.reset_id, before.reset_id);
    let floor = after.mail.restored.unwrap().seq_floor;
    assert!(floor > 1 << 39, "{floor}");
    // A second restore leaves the numbers of the first one unused as well.
    let (mut again, _) = fixture.open("again");
    commit(&mut again, &[letters(floor + 1..=floor + 1, 100)]);
    fs::remove_file(fixture.path("backup")).unwrap();
    back_up(&mut again, &fixture.path("backup")).unwrap();
    fixture.restore("third").unwrap();
    assert!(fixture.open("third").1.mail.restored.unwrap().seq_floor > floor + (1 << 39));
}

/// A folder whose database lost its last commits is still refused after a restore.
#[test]
fn restored_relay_notices_cut_log() {
    let fixture = Fixture::new();
    let (mut store, _) = fixture.open("relay");
    for key in 3..9 {
        commit(&mut store, &[member(&format!("TOM-{key}"), key)]);
    }
    back_up(&mut store, &fixture.path("backup")).unwrap();
    fixture.restore("again").unwrap();
    let whole = fs::read(fixture.path("again/relay.sqlite")).unwrap();
    let (mut again, _) = fixture.open("again");
    commit(&mut again, &[member("JACK", 40)]);
    drop(again);
    fs::write(fixture.path("again/relay.sqlite"), whole).unwrap();
    let error = RelayStore::open(&fixture.path("again"), || [1; 32]).unwrap_err();
    assert!(matches!(error.cause, StoreErrorCause::CommitsMissing { found: 6, known: 7, .. }), "{error}");
}

#[test]
fn unsuitable_files_and_folders_are_refused_and_left() {
    let fixture = Fixture::new();
    let (mut store, _) = fixture.open("relay");
    commit(&mut store, &[member("TOM", 3), letters(1..=30, 3_000)]);
    assert_eq!(fixture.restore("again").unwrap_err().cause, StoreErrorCause::BackupMissing);
    let file = fixture.path("backup");
    back_up(&mut store, &file).unwrap();
    assert!(matches!(back_up(&mut store, &file).unwrap_err().cause, StoreErrorCause::BackupExists));
    assert_eq!(fixture.restore("relay").unwrap_err().cause, StoreErrorCause::NotEmpty);
    let whole = fs::read(&file).unwrap();
    let mut found = 0;
    for bit in (0..whole.len() * 8).step_by(40_009) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, bytes).unwrap();
        // A bit of a free page or of an unused field does not matter.
        if let Err(error) = fixture.restore("again") {
            found += 1;
            assert_eq!(fs::read_dir(fixture.path("again")).map_or(0, Iterator::count), 0, "{error}");
        } else {
            fs::remove_dir_all(fixture.path("again")).unwrap();
        }
    }
    assert!(found > 15, "{found}");
    fs::copy(fixture.path("relay/relay.sqlite"), &file).unwrap();
    assert_eq!(fixture.restore("again").unwrap_err().cause, StoreErrorCause::NoBackup);
    fs::write(&file, "not a database").unwrap();
    assert_eq!(fixture.restore("again").unwrap_err().cause, StoreErrorCause::NoBackup);
    let missing = back_up(&mut store, &fixture.path("none/backup")).unwrap_err();
    assert_eq!(missing, StoreErrorCause::BackupNoFolder.at(&fixture.path("none/backup")));
}

/// A relay cannot be started on a backup in place of its database.
#[test]
fn backup_is_no_database_of_relay() {
    let fixture = Fixture::new();
    let (mut store, _) = fixture.open("relay");
    back_up(&mut store, &fixture.path("backup")).unwrap();
    drop(store);
    fs::rename(fixture.path("backup"), fixture.path("relay/relay.sqlite")).unwrap();
    let error = RelayStore::open(&fixture.path("relay"), || [1; 32]).unwrap_err();
    assert!(matches!(error.cause, StoreErrorCause::NotDatabase));
}

/// A worker with a relay whose database takes several steps.
struct Harness {
    fixture: Fixture,
    worker: Worker<Record>,
    backups: Backups<Record>,
    /// Replies of the store and of the backup, in their order.
    replies: Receiver<String>,
    /// Lets the backup take its next step.
    go: std::sync::mpsc::Sender<()>,
}

fn running_backup() -> Harness {
    let fixture = Fixture::new();
    let (mut store, _) = fixture.open("relay");
    commit(&mut store, &[letters(1..=100, 60_000)]);
    let (reply_sender, replies) = channel();
    let of_backup = reply_sender.clone();
    let worker = Worker::spawn(store, move |reply| match reply {
        StoreReply::Committed(Ticket(ticket)) => reply_sender.send(format!("committed {ticket}")).unwrap(),
        other => panic!("{other:?}"),
    });
    let worker = worker.unwrap();
    let (go, gone) = channel();
    let backups = worker.backups();
    let begun = backups.begin(
        fixture.path("backup"),
        || MADE,
        move |reply| match reply {
            BackupReply::Progress(_) => {
                let _ = of_backup.send("step".to_owned());
                // The backup continues by itself once the test has dropped its end.
                let _ = gone.recv();
            }
            BackupReply::Done(created_at) => of_backup.send(format!("done {}", created_at.0)).unwrap(),
            BackupReply::Failed(error) => drop(of_backup.send(format!("{:?}", error.cause))),
        },
    );
    begun.unwrap();
    Harness { fixture, worker, backups, replies, go }
}

#[test]
fn records_are_committed_between_steps_and_are_in_backup() {
    let Harness { fixture, worker, backups, replies, go } = running_backup();
    for step in 0..3 {
        assert_eq!(replies.recv().unwrap(), "step");
        let seq = 200 + step;
        worker.persist(Ticket(seq), letters(seq..=seq, 60_000)).unwrap();
        if step == 1 {
            // Another one does not wait, and does not disturb the first.
            let (reply_sender, other) = channel();
            let reply = move |reply| drop(reply_sender.send(reply));
            backups.begin(fixture.path("other"), || MADE, reply).unwrap();
            go.send(()).unwrap();
            let busy = BackupReply::Failed(StoreErrorCause::BackupBusy.alone());
            assert_eq!(replies.recv().unwrap(), format!("committed {seq}"));
            assert_eq!(other.recv().unwrap(), busy);
            continue;
        }
        go.send(()).unwrap();
        assert_eq!(replies.recv().unwrap(), format!("committed {seq}"));
    }
    drop(go);
    let last = replies.iter().find(|reply| reply != "step").unwrap();
    assert_eq!(last, "done 1000");
    worker.finish();
    assert_eq!(verify_backup(&fixture.path("backup")).unwrap().letters, 103);
    assert_eq!(backups.begin(fixture.path("late"), || MADE, drop), Err(SubmitError::Ended));
}

#[test]
fn backup_ends_with_its_relay_and_leaves_nothing() {
    let Harness { fixture, worker, replies, go, .. } = running_backup();
    assert_eq!(replies.recv().unwrap(), "step");
    drop(go);
    // Submitted before the end: it is committed.
    worker.persist(Ticket(200), letters(200..=200, 60_000)).unwrap();
    worker.finish();
    let replies: Vec<String> = replies.iter().filter(|reply| reply != "step").collect();
    assert_eq!(replies[0], "committed 200");
    if replies[1] == "BackupStopped" {
        assert_eq!(fs::read_dir(fixture.dir.path()).unwrap().count(), 1, "only the relay's folder is left");
    } else {
        // The thread was fast enough to complete it.
        assert_eq!(replies[1], "done 1000");
    }
}

#[test]
fn store_without_folder_has_no_backup() {
    let fixture = Fixture::new();
    let (mut store, _) = RelayStore::in_memory([3; 32]).unwrap();
    let error = back_up(&mut store, &fixture.path("backup")).unwrap_err();
    assert!(matches!(error.cause, StoreErrorCause::BackupNotHere));
    let nothing = crate::store::NullStore;
    let kept = Backend::<u8>::commit(&mut { nothing }, &[], &mut Vec::new());
    assert_eq!(kept, Ok::<(), Fault>(()));
}
