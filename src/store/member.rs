//! A member's durable state on this machine: identity key, reserved handshake counters, and
//! letters.

use std::path::{Path, PathBuf};

use super::error::{DamagedLetter, StoreError, StoreErrorCause};
use super::files::{check_folder, create_folder, read_small, write_atomically};
use super::history::History;
use super::keyfile;
use super::lock::{FolderLock, LockError};
use super::pins::Pins;
use super::replies::Fault;
use super::udp_failures::UdpFailures;
use super::worker::Backend;
use crate::base::{Name, OutboxId};
use crate::client::{PersistedClient, Record};

/// Initial state of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientState {
    /// The member's X25519 private key.
    pub private_key: [u8; 32],
    /// The highest durably reserved handshake counter; 0 at the first run.
    pub counter_reserved: u64,
    /// Number of the member's outbox.
    pub outbox: OutboxId,
    /// State of letters from earlier runs.
    pub persisted: PersistedClient,
    /// Damaged letters of the outbox, which are refused for that. Each is reported once.
    pub damaged: Vec<DamagedLetter>,
}

/// Omits the private key.
impl std::fmt::Debug for ClientState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberState")
            .field("counter_reserved", &self.counter_reserved)
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

/// A member's folder, held by this process; the backend of its [`super::Worker`].
///
/// Files in the data folder:
///
/// | file | holds |
/// | --- | --- |
/// | `known_relays.toml` | the relays' keys ([`Pins`]) |
/// | `members/FOLDER/lock` | the id of the process that holds the folder |
/// | `members/FOLDER/socket` | a link to the socket of that process |
/// | `members/FOLDER/name` | the member's name, for users |
/// | `members/FOLDER/identity.key` | the private key |
/// | `members/FOLDER/counter` | handshake counters up to this one may be used |
/// | `members/FOLDER/udp_failed.toml` | relays that UDP did not reach |
/// | `members/FOLDER/letters.sqlite` | letters in both directions, and the number of the outbox |
/// | `members/FOLDER/letters.sqlite-commits` | number of commits that `letters.sqlite` must have |
#[derive(Debug)]
pub struct MemberStore {
    counter_path: PathBuf,
    counter_reserved: u64,
    pins: Pins,
    history: History,
    udp_failures: UdpFailures,
    _lock: FolderLock,
}

/// Returns the folder of a member in the data folder. `folder` is the result of [`Name::folder`].
pub fn member_dir(data_dir: &Path, folder: &str) -> PathBuf {
    data_dir.join("members").join(folder)
}

/// Returns the folders of all members that have one in the data folder.
pub fn member_dirs(data_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(data_dir.join("members")) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

impl MemberStore {
    /// Opens the folder of the member `name`, `members/FOLDER` in the data folder. The first use
    /// creates it, with one `seed` as the new private key and another for the number of the outbox.
    /// Never replaces an existing key or existing letters.
    ///
    /// # Errors
    /// Returns `MemberBusy`, `FolderOpen`, `KeyOpen`, `KeyDamaged`, `KeyMissing`, `CounterDamaged`,
    /// `PinsDamaged`, `NotDatabase`, `Damaged`, `Older`, `Newer`, `CommitsMissing`,
    /// `CommitsDamaged`, or an error of the system.
    pub fn open(
        data_dir: &Path,
        name: &Name,
        folder: &str,
        seed: impl Fn() -> [u8; 32],
    ) -> Result<(MemberStore, ClientState), StoreError> {
        let dir = member_dir(data_dir, folder);
        check_folder(data_dir)?;
        check_folder(&data_dir.join("members"))?;
        create_folder(&dir)?;
        let lock = FolderLock::take(&dir).map_err(|error| match error {
            LockError::Held(pid) => StoreErrorCause::MemberBusy { name: name.to_string(), pid }.alone(),
            LockError::System(error) => error,
        })?;
        let private_key = load_or_create_key(&dir, name, &seed)?;
        let counter_path = dir.join("counter");
        let counter_reserved = load_counter(&counter_path)?;
        let pins = Pins::load(data_dir)?;
        let number = || u64::from_le_bytes(*seed().first_chunk().expect("a seed has 32 bytes"));
        let (mut history, mut persisted) = History::open(&dir.join("letters.sqlite"), number)?;
        let outbox = history.outbox();
        let damaged = history.take_damaged();
        let udp_failures = UdpFailures::load(&dir);
        persisted.udp_failed = udp_failures.by_relay().clone();
        let store = MemberStore { counter_path, counter_reserved, pins, history, udp_failures, _lock: lock };
        Ok((store, ClientState { private_key, counter_reserved, outbox, persisted, damaged }))
    }

    fn reserve(&mut self, counter: u64) -> Result<(), StoreError> {
        if counter > self.counter_reserved {
            write_atomically(&self.counter_path, format!("{counter}\n").as_bytes())?;
            self.counter_reserved = counter;
        }
        Ok(())
    }
}

impl Backend<Record> for MemberStore {
    /// Refuses a pin if another process pinned a different key first, a request that was stored
    /// before, and a received letter whose predecessor is missing. Faults of the small files are
    /// passing: each write replaces the whole file, so nothing depends on a failed write.
    fn commit(&mut self, records: &[Record], refused: &mut Vec<usize>) -> Result<(), Fault> {
        let mut counter = 0;
        let mut pins = Vec::new();
        let mut pin_indexes = Vec::new();
        let mut letters = false;
        let mut succeeded = false;
        for (index, record) in records.iter().enumerate() {
            match record {
                Record::Counter(reserved) => counter = counter.max(*reserved),
                Record::Pin { relay, key } => {
                    pins.push((relay, *key));
                    pin_indexes.push(index);
                }
                Record::UdpFailed { relay, at } => {
                    self.udp_failures.set(relay, *at);
                    succeeded = true;
                }
                _ => letters = true,
            }
        }
        self.reserve(counter).map_err(Fault::Transient)?;
        if !pins.is_empty() {
            let taken = self.pins.set_first(pins).map_err(Fault::Transient)?;
            refused.extend(taken.into_iter().map(|nth| pin_indexes[nth]));
        }
        if succeeded {
            self.udp_failures.write();
        }
        if letters {
            self.history.add(records, refused)?;
            refused.sort_unstable();
        }
        Ok(())
    }
}

fn load_or_create_key(dir: &Path, name: &Name, seed: impl Fn() -> [u8; 32]) -> Result<[u8; 32], StoreError> {
    let key_path = dir.join("identity.key");
    let name_path = dir.join("name");
    let known_key = keyfile::load(&key_path)?;
    let has_name = read_small(&name_path)?.is_some();
    let key = match known_key {
        Some(key) => key,
        // The name is written after the key: if it exists, there was a key.
        None if has_name => return Err(StoreErrorCause::KeyMissing.at(&key_path)),
        None => {
            let key = seed();
            keyfile::create(&key_path, name.as_str(), &key)?;
            key
        }
    };
    if !has_name {
        write_atomically(&name_path, format!("{name}\n").as_bytes())?;
    }
    Ok(key)
}

fn load_counter(path: &Path) -> Result<u64, StoreError> {
    let Some((_, bytes)) = read_small(path)? else { return Ok(0) };
    let digits = str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let counter =
        digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok());
    counter.ok_or_else(|| StoreErrorCause::CounterDamaged.at(path))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::base::{PublicKey, Ticket};
    use crate::store::{StoreReply, Worker};

    const FOLDER: &str = "0123456789abcdef";

    fn tom() -> Name {
        "TOM".parse().unwrap()
    }

    fn open(data: &Path, seed: u8) -> Result<(MemberStore, ClientState), StoreError> {
        MemberStore::open(data, &tom(), FOLDER, || [seed; 32])
    }

    #[test]
    fn member_keeps_key_counter_and_pins() {
        let data = tempfile::tempdir().unwrap();
        let (store, state) = open(data.path(), 1).unwrap();
        assert_eq!(state.private_key, [1; 32]);
        assert_eq!(state.counter_reserved, 0);
        let (done_in, done) = channel();
        let worker = Worker::spawn(store, move |d| done_in.send(d).unwrap()).unwrap();
        let relay: crate::base::HostPort = "h:1".parse().unwrap();
        let pin = |key| Record::Pin { relay: relay.clone(), key: PublicKey([key; 32]) };
        let records = [Record::Counter(7), pin(5), Record::Counter(6), pin(6)];
        for (ticket, record) in (1..).zip(records) {
            worker.persist(Ticket(ticket), record).unwrap();
        }
        worker.finish();
        let answers = [1, 2, 3].map(|n| StoreReply::Committed(Ticket(n)));
        assert_eq!(Vec::from_iter(done.iter()), [&answers[..], &[StoreReply::Failed(Ticket(4))]].concat());
        let (_store, state) = open(data.path(), 2).unwrap();
        assert_eq!(state.private_key, [1; 32]);
        assert_eq!(state.counter_reserved, 7);
        assert_eq!(Pins::load(data.path()).unwrap().get(&relay).unwrap().key, PublicKey([5; 32]));
        let dir = data.path().join("members").join(FOLDER);
        assert_eq!(fs::read_to_string(dir.join("name")).unwrap(), "TOM\n");
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.join("identity.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn udp_failures_are_known_to_next_run() {
        let data = tempfile::tempdir().unwrap();
        let relay: crate::base::HostPort = "h:1".parse().unwrap();
        let at = |ms: Option<u64>| Record::UdpFailed { relay: relay.clone(), at: ms.map(crate::base::Wall) };
        for (records, known) in [(vec![at(Some(5)), at(None), at(Some(7))], 1), (vec![at(None)], 0)] {
            let (mut store, _) = open(data.path(), 1).unwrap();
            assert_eq!(store.commit(&records, &mut Vec::new()), Ok(()));
            drop(store);
            assert_eq!(open(data.path(), 1).unwrap().1.persisted.udp_failed.len(), known);
        }
    }

    #[test]
    fn second_process_gets_pid_of_folder_holder() {
        let data = tempfile::tempdir().unwrap();
        let _held = open(data.path(), 1).unwrap();
        let busy =
            StoreErrorCause::MemberBusy { name: "TOM".to_owned(), pid: std::process::id().to_string() }
                .alone();
        assert_eq!(open(data.path(), 1).unwrap_err(), busy);
        let jack = MemberStore::open(data.path(), &"JACK".parse().unwrap(), "fedc", || [2; 32]);
        assert_eq!(jack.unwrap().1.private_key, [2; 32]);
    }

    // faults.md: R76
    #[test]
    fn damaged_file_is_reported_and_left_unchanged() {
        let data = tempfile::tempdir().unwrap();
        let dir = data.path().join("members").join(FOLDER);
        drop(open(data.path(), 1).unwrap());
        type MemberFault = fn(&Path);
        let table: [(&str, MemberFault, StoreErrorCause); 6] = [
            ("identity.key", |f| fs::write(f, "short").unwrap(), StoreErrorCause::KeyDamaged),
            (
                "identity.key",
                |f| fs::set_permissions(f, Permissions::from_mode(0o644)).unwrap(),
                StoreErrorCause::KeyOpen(String::new()),
            ),
            ("identity.key", |f| fs::remove_file(f).unwrap(), StoreErrorCause::KeyMissing),
            ("counter", |f| fs::write(f, "12").unwrap(), StoreErrorCause::CounterDamaged),
            ("counter", |f| fs::write(f, "-1\n").unwrap(), StoreErrorCause::CounterDamaged),
            (
                "../../known_relays.toml",
                |f| fs::write(f, "x").unwrap(),
                StoreErrorCause::PinsDamaged { line: 0, damage: String::new() },
            ),
        ];
        for (file, harm, key) in table {
            let whole = fs::read(dir.join("identity.key")).unwrap();
            harm(&dir.join(file));
            let harmed = fs::read(dir.join(file)).ok();
            let error = open(data.path(), 2).unwrap_err();
            assert!(error.is_like(&key), "{file}");
            let file_name = file.trim_start_matches("../");
            assert!(error.path.ends_with(file_name), "{error}");
            assert_eq!(fs::read(dir.join(file)).ok(), harmed);
            let _ = fs::remove_file(dir.join(file));
            keyfile::create(&dir.join("identity.key"), "TOM", &[1; 32]).unwrap();
            assert_eq!(fs::read(dir.join("identity.key")).unwrap(), whole);
        }
    }

    #[test]
    fn unwritable_counter_is_not_reserved() {
        let data = tempfile::tempdir().unwrap();
        let (mut store, _) = open(data.path(), 1).unwrap();
        let blocked = data.path().join("members").join(FOLDER).join("counter.new");
        fs::create_dir(&blocked).unwrap();
        for _ in 0..2 {
            let fault = store.commit(&[Record::Counter(5)], &mut Vec::new());
            assert!(matches!(fault, Err(Fault::Transient(_))), "{fault:?}");
        }
        fs::remove_dir(&blocked).unwrap();
        assert_eq!(store.commit(&[Record::Counter(5)], &mut Vec::new()), Ok(()));
        drop(store);
        assert_eq!(open(data.path(), 1).unwrap().1.counter_reserved, 5);
    }
}
