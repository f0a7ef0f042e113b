//! A member's letters on disk: reopening, kills, damage, and equality of the loaded state with the
//! records.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::base::Carrier;
use crate::client::{HistoryEntry, Progress, letter_cost};
use crate::store::{
    Archive, Backend, ClientState, HistoryFilter, MemberStore, RequestOutcome, StoreErrorCause, UnsentLetter,
};

pub(super) const FOLDER: &str = "0123456789abcdef";

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn relay() -> HostPort {
    "127.0.0.1:8081".parse().unwrap()
}

pub(super) fn open(data: &Path) -> Result<(MemberStore, ClientState), StoreError> {
    MemberStore::open(data, &name("TOM"), FOLDER, || [7; 32])
}

/// The outbox of a folder created with the seed of [`open`].
pub(super) const OWN: OutboxId = OutboxId(0x0707_0707_0707_0707);

pub(super) fn database(data: &Path) -> PathBuf {
    data.join("members").join(FOLDER).join("letters.sqlite")
}

/// Returns a body that no current encoder would create from a text.
fn encoded(text: &str) -> LetterBody {
    LetterBody { kind: 1, body: format!("as it was first sent: {text}").into_bytes().into() }
}

pub(super) fn written(to: &str, number: u64, text: &str) -> Record {
    let request = number + 1_000 * to.len() as u64;
    let encoded = encoded(text);
    let text = text.to_owned();
    let mark = Mark(1);
    let written = Wall(number);
    let outbox = OWN;
    let relay = relay();
    let to = name(to);
    Record::Written { relay, to, outbox, number, mark, request, text, written, encoded }
}

pub(super) fn received(from: &str, number: u64, after: u64) -> Record {
    let letter = Incoming {
        relay: relay(),
        from: name(from),
        id: LetterId { outbox: OutboxId(u64::MAX), number },
        text: format!("{from} {number}"),
        at: Wall(u64::MAX - number),
        via: Carrier::Tcp,
        missing: number % 3,
        damaged: false,
        note: None,
    };
    Record::Received { letter, after, mark: Mark(1) }
}

pub(super) fn shown(from: &str, number: u64, read: bool) -> Record {
    let id = LetterId { outbox: OutboxId(u64::MAX), number };
    Record::Shown { relay: relay(), from: name(from), id, read }
}

pub(super) fn declined(from: &str, outbox: u64, number: u64, after: u64) -> Record {
    let id = LetterId { outbox: OutboxId(outbox), number };
    let reason = crate::client::Reason::Full;
    Record::Declined { relay: relay(), from: name(from), id, reason, after, mark: Mark(1) }
}

pub(super) fn reach(
    [last, last_taken]: [u64; 2],
    [accepted, delivered, read]: [u64; 3],
    until: u64,
) -> Reach {
    let watermarks = Watermarks { accepted, delivered, read };
    Reach { last, last_taken, watermarks, until: Wall(until) }
}

fn reached(to: &str, reach: Reach) -> Record {
    Record::Reached { relay: relay(), to: name(to), outbox: OWN, reach }
}

fn refused(to: &str, number: u64) -> Record {
    let reason = crate::client::Reason::Full;
    Record::Refused {
        relay: relay(),
        to: name(to),
        outbox: OWN,
        number,
        reason,
        may_have_arrived: number == 2,
    }
}

pub(super) fn commit(store: &mut MemberStore, records: &[Record]) -> Vec<usize> {
    let mut refused = Vec::new();
    store.commit(records, &mut refused).unwrap();
    refused
}

pub(super) fn entries_of(data: &Path, with: Option<&str>, last: Option<u64>) -> Vec<HistoryEntry> {
    let archive = Archive::open(data, FOLDER).unwrap().unwrap();
    let relay = relay();
    let with = with.map(name);
    let mut entries = Vec::new();
    let filter = HistoryFilter { with: with.as_ref().map(|with| (&relay, with)), last, since: None };
    let result = archive.read(filter, |letter| {
        entries.push(letter);
        Ok::<_, StoreError>(true)
    });
    result.unwrap();
    entries
}

fn texts(entries: &[HistoryEntry]) -> Vec<&str> {
    entries.iter().map(|letter| letter.text.as_str()).collect()
}

#[test]
fn letters_and_outbox_persist_and_numbering_continues() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, state) = open(data.path()).unwrap();
    assert_eq!(state.persisted, PersistedClient::default());
    assert!(commit(&mut store, &[written("JACK", 1, "约不"), written("JACK", 2, "在吗")]).is_empty());
    let reach = reach([2, 1], [1, 1, 0], 5);
    commit(&mut store, &[reached("JACK", reach), received("一棵树", 3, 0), shown("一棵树", 3, true)]);
    drop(store);
    let (_store, again) = MemberStore::open(data.path(), &name("TOM"), FOLDER, || [9; 32]).unwrap();
    assert_eq!(again.outbox, state.outbox, "the outbox is created once");
    assert_eq!(again.private_key, [7; 32], "the key is created once");
    let key = (relay(), name("JACK"));
    assert_eq!(again.persisted.conversations[&key], PersistedConversation { reach, touched: 2 });
    let left = PersistedLetter {
        request: 4_002,
        text: "在吗".to_owned(),
        written: Wall(2),
        mark: Mark(1),
        encoded: encoded("在吗"),
    };
    assert_eq!(again.persisted.letters, [((key.0, key.1, 2), left)].into());
    let senders = Vec::from_iter(again.persisted.senders.into_values());
    assert_eq!(
        senders,
        [PersistedSender {
            last: 3,
            read: 3,
            last_received: 3,
            stored_bytes: 11 + letter_cost(0),
            mark: Mark(1),
            closed: None
        }]
    );
}

#[test]
fn commits_survive_kill_and_torn_end_is_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    let log = |data: &Path| database(data).with_extension("sqlite-wal");
    let count = |data: &Path| database(data).with_extension("sqlite-commits");
    commit(&mut store, &[written("JACK", 1, "one")]);
    let one = fs::read(count(data.path())).unwrap();
    commit(&mut store, &[written("JACK", 2, "two")]);
    let log_len = fs::metadata(log(data.path())).unwrap().len();
    for (len, left) in [(log_len - 1, 1), (log_len, 2)] {
        let copy = tempfile::tempdir().unwrap();
        let dir = copy.path().join("members").join(FOLDER);
        fs::create_dir_all(&dir).unwrap();
        for file in fs::read_dir(database(data.path()).parent().unwrap()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
        fs::OpenOptions::new().write(true).open(log(copy.path())).unwrap().set_len(len).unwrap();
        // The counter file is written only after a complete commit.
        fs::write(count(copy.path()), &one).unwrap();
        assert_eq!(open(copy.path()).unwrap().1.persisted.letters.len(), left);
    }
}

#[test]
fn letter_and_request_are_stored_once() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    let twice =
        [received("JACK", 1, 0), received("JACK", 1, 0), received("JACK", 2, 1), received("JACK", 1, 0)];
    assert!(commit(&mut store, &twice).is_empty());
    let again = Record::Written {
        relay: relay(),
        to: name("JACK"),
        outbox: OWN,
        number: 2,
        mark: Mark(1),
        request: 4_001,
        text: "again".to_owned(),
        written: Wall(1),
        encoded: encoded("again"),
    };
    assert_eq!(commit(&mut store, &[written("JACK", 1, "once"), again, written("JACK", 3, "other")]), [1]);
    assert_eq!(texts(&entries_of(data.path(), None, None)), ["JACK 1", "JACK 2", "once", "other"]);
}

/// Refused letters leave a bounded number of rows, however many outboxes their sender uses.
#[test]
fn refused_letters_leave_bounded_rows() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("letters.sqlite");
    let (mut history, mut persisted) = History::open(&path, || 1).unwrap();
    let first = received("JACK", 1, 0);
    let many = crate::client::DECLINED_PERSISTED_MAX as u64 + 100;
    let others = (0..many).map(|outbox| declined("JACK", outbox, 1 + outbox % 7, 0));
    let again = declined("JACK", many - 1, 1 + (many - 1) % 7, 0);
    let records: Vec<Record> = [first].into_iter().chain(others).chain([again]).collect();
    let mut refused = Vec::new();
    history.add(&records, &mut refused).unwrap();
    assert!(refused.is_empty() && records.iter().all(|record| persisted.apply(record)));
    let loaded = history.load().unwrap();
    assert_eq!(loaded, persisted);
    assert_eq!(loaded.senders.len(), crate::client::OUTBOXES_OF_ONE_MAX);
    assert_eq!(loaded.declined.len(), crate::client::DECLINED_PERSISTED_MAX);
    assert_eq!(loaded.holdings[&relay()][&name("JACK")], letter_cost("JACK 1".len()));
}

#[test]
fn letter_without_predecessor_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    assert_eq!(commit(&mut store, &[received("JACK", 1, 0), received("JACK", 3, 2)]), [1]);
    assert!(commit(&mut store, &[received("JACK", 2, 1), received("JACK", 3, 2)]).is_empty());
    assert_eq!(texts(&entries_of(data.path(), None, None)), ["JACK 1", "JACK 2", "JACK 3"]);
}

#[test]
fn unread_letters_are_listed_in_order() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &Vec::from_iter((1..=5).map(|n| received("JACK", n, n - 1))));
    commit(&mut store, &[shown("JACK", 2, true), received("一棵树", 1, 0)]);
    let archive = Archive::open(data.path(), FOLDER).unwrap().unwrap();
    let mut behind = 0;
    let mut waiting = Vec::new();
    loop {
        let page = archive.unread_letters(behind, 2).unwrap();
        let Some(last) = page.last() else { break };
        behind = last.seq;
        waiting.extend(page.into_iter().map(|unread| unread.letter));
    }
    let Record::Received { letter: first, .. } = received("JACK", 1, 0) else { unreachable!() };
    assert_eq!(waiting[0], first);
    let texts: Vec<&str> = waiting.iter().map(|letter| letter.text.as_str()).collect();
    assert_eq!(texts, ["JACK 1", "JACK 3", "JACK 4", "JACK 5", "一棵树 1"]);
}

#[test]
fn history_is_readable_while_written_with_letter_states() {
    let data = tempfile::tempdir().unwrap();
    assert!(Archive::open(data.path(), FOLDER).unwrap().is_none());
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &Vec::from_iter((1..=6).map(|n| written("JACK", n, &format!("letter {n}")))));
    let reach = reach([6, 3], [4, 3, 2], 77);
    commit(&mut store, &[refused("JACK", 1), reached("JACK", reach), received("JACK", 4, 0)]);
    commit(&mut store, &[shown("JACK", 4, false), received("一棵树", 1, 0), refused("JACK", 6)]);
    let all = entries_of(data.path(), None, None);
    assert_eq!(texts(&all), ["letter 2", "letter 3", "letter 4", "letter 5", "JACK 4", "一棵树 1"]);
    let states = Vec::from_iter(all.iter().map(|letter| letter.state));
    let waiting = Progress::Waiting { until: Wall(77) };
    let read = Progress::Read;
    let delivered = Progress::Delivered;
    assert_eq!(states, [read, delivered, waiting, Progress::Queued, read, delivered]);
    assert_eq!(all[4].via, Some(Carrier::Tcp));
    assert_eq!(all[4].missing, 1);
    assert_eq!(all[4].at, Wall(u64::MAX - 4));
    assert_eq!(texts(&entries_of(data.path(), Some("JACK"), Some(2))), ["letter 5", "JACK 4"]);
    assert_eq!(texts(&entries_of(data.path(), None, Some(1))), ["一棵树 1"]);
    assert!(entries_of(data.path(), Some("MARY"), None).is_empty());
    let archive = Archive::open(data.path(), FOLDER).unwrap().unwrap();
    let mut reported = 0;
    let ended = archive.read(HistoryFilter::default(), |_| {
        reported += 1;
        Ok::<_, StoreError>(false)
    });
    assert_eq!(ended, Ok(()), "a reader that stops early is not an error");
    assert_eq!(reported, 1);
}

#[test]
fn history_of_stopped_member_is_readable() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &[written("JACK", 1, "one")]);
    drop(store);
    assert_eq!(texts(&entries_of(data.path(), None, None)), ["one"]);
}

#[test]
fn folder_without_database_keeps_key_and_counter() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    store.commit(&[Record::Counter(5)], &mut Vec::new()).unwrap();
    drop(store);
    fs::remove_file(database(data.path())).unwrap();
    let (_store, state) = open(data.path()).unwrap();
    assert_eq!(state.private_key, [7; 32]);
    assert_eq!(state.counter_reserved, 5);
    assert_eq!(state.persisted, PersistedClient::default());
}

#[test]
fn damaged_foreign_or_newer_database_is_left_unchanged() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &Vec::from_iter((1..=500).map(|n| written("JACK", n, "一棵树"))));
    drop(store);
    let path = database(data.path());
    let whole = fs::read(&path).unwrap();
    let assert_refused = |cause: StoreErrorCause| {
        let before = fs::read(&path).unwrap();
        let error = open(data.path()).unwrap_err();
        assert!(error.is_like(&cause), "{error}");
        assert_eq!(error.path, path.display().to_string(), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, &whole).unwrap();
    };
    for len in [50, 4_096, whole.len() / 2, whole.len() - 100] {
        fs::write(&path, &whole[..len]).unwrap();
        assert_refused(StoreErrorCause::Damaged(String::new()));
    }
    fs::write(&path, "not a database at all").unwrap();
    assert_refused(StoreErrorCause::NotDatabase);
    for (pragma, number, cause) in [
        ("user_version", 5, StoreErrorCause::Newer(0)),
        ("user_version", 3, StoreErrorCause::Older(0)),
        ("application_id", 5, StoreErrorCause::NotDatabase),
    ] {
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, pragma, number).unwrap();
        drop(db);
        assert_refused(cause);
    }
    assert_eq!(open(data.path()).unwrap().1.persisted.letters.len(), 500);
}

#[test]
fn full_disk_fails_whole_commit_and_later_one_succeeds() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("letters.sqlite");
    let (mut history, _) = History::open(&path, || 1).unwrap();
    let pages: u32 = history.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    history.db.pragma_update(None, "max_page_count", pages).unwrap();
    let text = "x".repeat(20_000);
    let many = [written("JACK", 1, "small"), written("JACK", 2, &text)];
    let full = StoreErrorCause::DiskFull.at(&path);
    assert_eq!(history.add(&many, &mut Vec::new()), Err(Fault::Transient(full)));
    history.db.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert_eq!(history.load().unwrap().letters.len(), 0);
    assert_eq!(history.add(&many, &mut Vec::new()), Ok(()));
    assert_eq!(history.load().unwrap().letters.len(), 2);
}

/// Moves a record to another outbox of the member.
fn in_outbox(mut record: Record, own: OutboxId) -> Record {
    if let Record::Written { request, .. } = &mut record {
        *request += 100_000 * (own.0 - OWN.0);
    }
    if let Record::Written { outbox, .. }
    | Record::Reached { outbox, .. }
    | Record::Refused { outbox, .. }
    | Record::RefusalShown { outbox, .. } = &mut record
    {
        *outbox = own;
    }
    record
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Reach(usize, [u64; 4]),
    Refuse(usize, u64),
    Tell(usize, u64),
    Receive(usize, u64, u64),
    Show(usize, u64, bool),
    Decline(usize, u64, u64, u64),
    SignIn(u32),
    Switch(bool),
    Close(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3usize;
    prop_oneof![
        who.clone().prop_map(Step::Write),
        (who.clone(), prop::array::uniform4(0..9u64)).prop_map(|(w, marks)| Step::Reach(w, marks)),
        (who.clone(), 0..9u64).prop_map(|(w, n)| Step::Refuse(w, n)),
        (who.clone(), 0..9u64).prop_map(|(w, n)| Step::Tell(w, n)),
        (who.clone(), 1..9u64, 0..9u64).prop_map(|(w, n, after)| Step::Receive(w, n, after)),
        (who.clone(), 1..9u64, any::<bool>()).prop_map(|(w, n, read)| Step::Show(w, n, read)),
        (0..40u32).prop_map(Step::SignIn),
        any::<bool>().prop_map(Step::Switch),
        (who.clone(), 0..9u32).prop_map(|(w, mark)| Step::Close(w, mark)),
        (who, 0..3u64, 1..9u64, 0..9u64).prop_map(|(w, outbox, n, after)| Step::Decline(w, outbox, n, after)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn loaded_state_equals_applied_records(steps in prop::collection::vec(step(), 0..40)) {
        const NAMES: [&str; 3] = ["JO", "JACK", "一棵树"];
        let data: TempDir = tempfile::tempdir().unwrap();
        let path = data.path().join("letters.sqlite");
        let (mut history, mut persisted) = History::open(&path, || OWN.0).unwrap();
        let mut numbers = [0; 3];
        let mut own = OWN;
        let mut mark = 0;
        for step in steps {
            let record = match step {
                Step::Write(who) => {
                    numbers[who] += 1;
                    written(NAMES[who], numbers[who], "text")
                }
                Step::Reach(who, marks) => {
                    let last = numbers[who];
                    if last == 0 {
                        continue;
                    }
                    let [last_taken, accepted, delivered, read] = marks.map(|mark| last.min(mark));
                    reached(NAMES[who], reach([last, last_taken], [accepted, delivered, read], read))
                }
                Step::Refuse(who, number) => refused(NAMES[who], number),
                Step::Tell(who, number) if persisted.letters.contains_key(&(relay(), name(NAMES[who]), number)) => continue,
                Step::Tell(who, number) => Record::RefusalShown { relay: relay(), to: name(NAMES[who]), outbox: OWN, number },
                Step::Receive(who, number, after) => received(NAMES[who], number, after),
                Step::Show(who, number, read) => shown(NAMES[who], number, read),
                Step::SignIn(token) => {
                    mark += 1;
                    let sign_in = crate::client::SignedIn { mark: Mark(mark), token };
                    Record::SigningIn { relay: relay(), outbox: own, sign_in }
                }
                Step::Switch(early) => {
                    own = OutboxId(own.0 + 1);
                    numbers = [0; 3];
                    mark = 0;
                    // A letter may be durable before the record of the switch.
                    let record = Record::OldCopy { relay: relay(), outbox: own };
                    if early {
                        numbers[0] += 1;
                        written(NAMES[0], 1, "text")
                    } else {
                        record
                    }
                }
                Step::Close(who, mark) => {
                    let from = name(NAMES[who]);
                    let outbox = OutboxId(u64::MAX);
                    Record::Closed { relay: relay(), from, outbox, mark: Mark(mark) }
                }
                Step::Decline(who, outbox, number, after) => declined(NAMES[who], u64::MAX - outbox, number, after),
            };
            let record = in_outbox(record, own);
            let mut refused = Vec::new();
            history.add(std::slice::from_ref(&record), &mut refused).unwrap();
            prop_assert_eq!(persisted.apply(&record), refused.is_empty(), "{:?}", record);
        }
        drop(history);
        let (_, loaded) = History::open(&path, || 2).unwrap();
        prop_assert_eq!(loaded, persisted);
    }
}

#[test]
fn letters_without_answer_of_relay_are_unsent() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    let letters: Vec<Record> = (1..=5).map(|number| written("JACK", number, "hi")).collect();
    commit(&mut store, &letters);
    commit(&mut store, &[reached("JACK", reach([5, 2], [2, 1, 1], 9)), refused("JACK", 5)]);
    let archive = Archive::open(data.path(), FOLDER).unwrap().unwrap();
    let unsent = |request| UnsentLetter { request, relay: relay(), to: name("JACK"), text: "hi".to_owned() };
    assert_eq!(archive.unsent_letters(9).unwrap(), [unsent(4_003), unsent(4_004)]);
    assert_eq!(archive.unsent_letters(1).unwrap(), [unsent(4_003)]);
}

#[test]
fn request_number_finds_outcome_of_its_letter() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, state) = open(data.path()).unwrap();
    let letters: Vec<Record> = (1..=5).map(|number| written("JACK", number, "hi")).collect();
    commit(&mut store, &letters);
    let reach = reach([5, 2], [4, 2, 1], 9);
    commit(&mut store, &[reached("JACK", reach), refused("JACK", 5)]);
    let archive = Archive::open(data.path(), FOLDER).unwrap().unwrap();
    let id = |number| LetterId { outbox: state.outbox.for_relay(&relay()), number };
    let states = [Progress::Read, Progress::Delivered, Progress::Waiting { until: Wall(9) }];
    for (number, progress) in (1..).zip(states) {
        let going = RequestOutcome::Going { id: id(number), progress };
        assert_eq!(archive.request_outcome(4_000 + number), Ok(Some(going)));
    }
    let refused_outcome = |is_reported| RequestOutcome::Refused {
        id: id(5),
        to: name("JACK"),
        reason: crate::client::Reason::Full,
        may_have_arrived: false,
        text: "hi".to_owned(),
        is_reported,
    };
    assert_eq!(archive.request_outcome(4_005), Ok(Some(refused_outcome(false))));
    commit(&mut store, &[Record::RefusalShown { relay: relay(), to: name("JACK"), outbox: OWN, number: 5 }]);
    assert_eq!(archive.request_outcome(4_005), Ok(Some(refused_outcome(true))));
    assert_eq!(archive.request_outcome(4_006), Ok(None));
}
