//! Erased letters are in no file, and letters that must stay remain.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::base::{Carrier, LetterId, Mark, OutboxId, Watermarks};
use crate::client::{Incoming, LetterBody, PersistedSender, Reach, Reason, Record};
use crate::store::{Archive, Backend, ClientState, HistoryFilter, MemberStore};

const FOLDER: &str = "0123456789abcdef";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The outbox of a folder created with the seed of [`open`].
const OWN: OutboxId = OutboxId(0x0707_0707_0707_0707);

fn relay() -> HostPort {
    "127.0.0.1:8081".parse().unwrap()
}

fn open(data: &Path) -> (MemberStore, ClientState) {
    MemberStore::open(data, &name("TOM"), FOLDER, || [7; 32]).unwrap()
}

/// Returns a text that no other letter or file contains.
fn text(who: &str, way: &str, number: u64, len: usize) -> String {
    format!("<{who}-{way}-{number}>").repeat(1 + len / 10)
}

fn written(to: &str, number: u64, len: usize) -> Record {
    let relay = relay();
    let request = number + 1_000_000 * to.bytes().map(u64::from).sum::<u64>();
    let text = text(to, "sent", number, len);
    let written = Wall(number * 1_000);
    let encoded = LetterBody::from_text(&text, written);
    let outbox = OWN;
    let mark = Mark(1);
    let to = name(to);
    Record::Written { relay, to, outbox, number, mark, request, text, written, encoded }
}

fn received(from: &str, number: u64, len: usize) -> Record {
    let letter = Incoming {
        relay: relay(),
        from: name(from),
        id: LetterId { outbox: OutboxId(9), number },
        text: text(from, "came", number, len),
        at: Wall(number * 1_000),
        via: Carrier::Udp,
        missing: 0,
        damaged: false,
        note: None,
    };
    Record::Received { letter, after: number - 1, mark: Mark(1) }
}

fn shown(from: &str, number: u64) -> Record {
    let id = LetterId { outbox: OutboxId(9), number };
    Record::Shown { relay: relay(), from: name(from), id, read: true }
}

fn reached(to: &str, accepted: u64, delivered: u64) -> Record {
    let reach = Reach {
        last: accepted,
        last_taken: delivered,
        watermarks: Watermarks { accepted, delivered, read: 0 },
        until: Wall(0),
    };
    Record::Reached { relay: relay(), to: name(to), outbox: OWN, reach }
}

fn refused(to: &str, number: u64) -> Record {
    Record::Refused {
        relay: relay(),
        to: name(to),
        outbox: OWN,
        number,
        reason: Reason::Full,
        may_have_arrived: false,
    }
}

fn refusal_shown(to: &str, number: u64) -> Record {
    Record::RefusalShown { relay: relay(), to: name(to), outbox: OWN, number }
}

fn commit(store: &mut MemberStore, records: &[Record]) {
    let mut refused = Vec::new();
    store.commit(records, &mut refused).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
}

fn with(who: &str) -> EraseFilter {
    EraseFilter { with: Some((relay(), name(who))), before: None }
}

fn forget(data: &Path, filter: &EraseFilter) -> EraseCounts {
    let mut eraser = Eraser::open(data, FOLDER).unwrap().unwrap();
    let foretold = eraser.count(filter).unwrap();
    let count = eraser.erase(filter).unwrap();
    assert_eq!(count, foretold);
    eraser.finish().unwrap();
    count
}

/// Whether any file in the member's folder contains these bytes.
fn is_anywhere(data: &Path, bytes: &str) -> bool {
    let files = fs::read_dir(data.join("members").join(FOLDER)).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.is_file());
    files.any(|path| fs::read(path).unwrap().windows(bytes.len()).any(|found| found == bytes.as_bytes()))
}

fn texts(data: &Path) -> Vec<String> {
    let archive = Archive::open(data, FOLDER).unwrap().unwrap();
    let mut texts = Vec::new();
    let read = archive.read(HistoryFilter::default(), |entry| {
        texts.push(entry.text);
        Ok::<_, StoreError>(true)
    });
    read.unwrap();
    texts
}

#[test]
fn letters_with_one_member_are_erased_others_stay() {
    let data = tempfile::tempdir().unwrap();
    assert!(Eraser::open(data.path(), FOLDER).unwrap().is_none(), "no letters were ever stored");
    let (mut store, _) = open(data.path());
    for number in 1..=20 {
        let len = number as usize * 400;
        commit(&mut store, &[written("JACK", number, len), received("JACK", number, len)]);
        commit(&mut store, &[shown("JACK", number), received("MARY", number, len), shown("MARY", number)]);
    }
    commit(&mut store, &[reached("JACK", 20, 20)]);
    let count = forget(data.path(), &with("JACK"));
    assert_eq!(count, EraseCounts { erased: 40, waiting: 0, unseen: 0 });
    assert!(!is_anywhere(data.path(), "<JACK-"), "even while the process that holds the folder runs");
    assert_eq!(texts(data.path()).len(), 20);
    assert!(is_anywhere(data.path(), "<MARY-came-20>"));
    assert_eq!(forget(data.path(), &EraseFilter::default()).erased, 20);
    assert!(!is_anywhere(data.path(), "<MARY-"), "the newest row is erased too");
    assert_eq!(texts(data.path()), [""; 0]);
    drop(store);
    assert_eq!(forget(data.path(), &EraseFilter::default()), EraseCounts::default());
}

#[test]
fn unfinished_letters_are_not_erased() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    commit(&mut store, &Vec::from_iter((1..=8).map(|number| written("JACK", number, 50))));
    commit(
        &mut store,
        &[refused("JACK", 1), refusal_shown("JACK", 1), refused("JACK", 4), reached("JACK", 5, 3)],
    );
    commit(&mut store, &Vec::from_iter((1..=3).map(|number| received("JACK", number, 50))));
    commit(&mut store, &[shown("JACK", 1)]);
    // Letter 1 was refused and its refusal shown; 2 and 3 were delivered; 5 is in a mailbox, so its
    // text is not needed.
    let count = forget(data.path(), &with("JACK"));
    assert_eq!(count, EraseCounts { erased: 5, waiting: 4, unseen: 2 });
    for (way, number, stays) in [
        ("sent", 1, false),
        ("sent", 2, false),
        ("sent", 3, false),
        ("sent", 4, true),
        ("sent", 5, false),
        ("sent", 6, true),
        ("sent", 8, true),
        ("came", 1, false),
        ("came", 2, true),
    ] {
        assert_eq!(is_anywhere(data.path(), &format!("<JACK-{way}-{number}>")), stays, "{way} {number}");
    }
    drop(store);
    let (_store, state) = open(data.path());
    let numbers: Vec<u64> = state.persisted.letters.keys().map(|(.., number)| *number).collect();
    assert_eq!(numbers, [5, 6, 7, 8], "the outcome of the fifth is still recorded");
    assert_eq!(state.persisted.refusals.len(), 1);
    assert!(state.damaged.is_empty(), "a letter with an erased text is not damaged");
}

#[test]
fn numbers_that_identify_duplicates_stay() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    commit(&mut store, &[written("JACK", 1, 9), written("JACK", 2, 9), reached("JACK", 2, 2)]);
    commit(&mut store, &[received("MARY", 1, 9), received("MARY", 2, 9), shown("MARY", 1), shown("MARY", 2)]);
    assert_eq!(forget(data.path(), &EraseFilter::default()).erased, 4);
    commit(&mut store, &[received("MARY", 1, 9), received("MARY", 2, 9)]);
    assert_eq!(texts(data.path()), [""; 0], "a repeated letter is not stored again");
    commit(&mut store, &[received("MARY", 3, 9)]);
    drop(store);
    let (_store, state) = open(data.path());
    assert_eq!(state.persisted.conversations[&(relay(), name("JACK"))].reach.last, 2, "numbers continue");
    let sender = state.persisted.senders[&(relay(), name("MARY"), OutboxId(9))];
    assert_eq!(sender.last, 3);
    assert_eq!(sender.read, 2);
    assert_eq!(texts(data.path()), [text("MARY", "came", 3, 9)]);
}

#[test]
fn only_older_letters_are_erased() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    for number in 1..=5 {
        commit(&mut store, &[received("JACK", number, 9), shown("JACK", number)]);
    }
    let mut future = received("JACK", 6, 9);
    let Record::Received { letter, .. } = &mut future else { unreachable!() };
    letter.at = Wall(u64::MAX);
    commit(&mut store, &[future, shown("JACK", 6)]);
    let before = |at: u64| EraseFilter { with: None, before: Some(Wall(at)) };
    assert_eq!(forget(data.path(), &before(3_000)).erased, 2);
    assert_eq!(texts(data.path()).len(), 4);
    assert_eq!(
        forget(data.path(), &before(u64::MAX)).erased,
        3,
        "a time beyond any clock is never in the past"
    );
    assert_eq!(forget(data.path(), &EraseFilter::default()).erased, 1);
}

#[test]
fn erased_letters_no_longer_count_as_stored() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    let held = |data: &Path| Archive::open(data, FOLDER).unwrap().unwrap().holdings().unwrap();
    for number in 1..=3 {
        commit(&mut store, &[received("MARY", number, 500), shown("MARY", number)]);
    }
    commit(&mut store, &[received("MARY", 4, 500), received("JACK", 1, 10)]);
    let of = |data: &Path, who: &str| held(data)[&relay()][&name(who)];
    assert_eq!(of(data.path(), "MARY"), 4 * letter_cost(text("MARY", "came", 1, 500).len()));
    forget(data.path(), &with("MARY"));
    assert_eq!(
        of(data.path(), "MARY"),
        letter_cost(text("MARY", "came", 4, 500).len()),
        "one letter was not shown"
    );
    assert_eq!(of(data.path(), "JACK"), letter_cost(text("JACK", "came", 1, 10).len()));
    let before = held(data.path());
    drop(store);
    let (_store, state) = open(data.path());
    assert_eq!(state.persisted.holdings, before);
    let sender = state.persisted.senders[&(relay(), name("MARY"), OutboxId(9))];
    assert_eq!(sender, PersistedSender { stored_bytes: of(data.path(), "MARY"), ..sender });
}

#[test]
fn reader_of_old_state_keeps_log_and_is_reported() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    commit(&mut store, &[received("MARY", 1, 500), shown("MARY", 1)]);
    let path = data.path().join("members").join(FOLDER).join("letters.sqlite");
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM letters", [], |_| Ok(())).unwrap();
    let mut eraser = Eraser::open(data.path(), FOLDER).unwrap().unwrap();
    eraser.db.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert_eq!(eraser.erase(&EraseFilter::default()).unwrap().erased, 1);
    assert!(matches!(eraser.finish().unwrap_err().cause, StoreErrorCause::HistoryInUse));
    drop(reader);
    assert_eq!(forget(data.path(), &EraseFilter::default()).erased, 0);
    assert!(!is_anywhere(data.path(), "<MARY-"), "the next run removes it");
}

#[test]
fn database_with_missing_commits_is_left_unchanged() {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path());
    commit(&mut store, &[received("MARY", 1, 500), shown("MARY", 1)]);
    let copy = tempfile::tempdir().unwrap();
    let from = data.path().join("members").join(FOLDER);
    let to = copy.path().join("members").join(FOLDER);
    fs::create_dir_all(&to).unwrap();
    for file in ["letters.sqlite", "letters.sqlite-commits"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let before = fs::read(to.join("letters.sqlite")).unwrap();
    assert!(matches!(
        Eraser::open(copy.path(), FOLDER).unwrap_err().cause,
        StoreErrorCause::CommitsMissing { .. }
    ));
    assert_eq!(fs::read(to.join("letters.sqlite")).unwrap(), before);
}

#[derive(Clone, Debug)]
enum Step {
    Say(usize, usize),
    Hear(usize, usize),
    Refuse(usize),
    Forget(Option<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3usize;
    let len = prop_oneof![0..200usize, 1_000..9_000usize];
    prop_oneof![
        8 => (who.clone(), len.clone()).prop_map(|(who, len)| Step::Say(who, len)),
        8 => (who.clone(), len).prop_map(|(who, len)| Step::Hear(who, len)),
        4 => who.clone().prop_map(Step::Refuse),
        1 => prop::option::of(who).prop_map(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows are moved when others are written around them. Erased texts must be in no file, all
    /// others in some file.
    #[test]
    fn erased_texts_are_in_no_file(steps in prop::collection::vec(step(), 1..120)) {
        const NAMES: [&str; 3] = ["JO", "JACK", "MARY"];
        let data = tempfile::tempdir().unwrap();
        let (mut store, _) = open(data.path());
        let mut sent = [0_u64; 3];
        let mut came = [0_u64; 3];
        let mut here: Vec<(usize, String)> = Vec::new();
        let mut erased: Vec<String> = Vec::new();
        for step in steps {
            match step {
                Step::Say(who, len) => {
                    sent[who] += 1;
                    commit(&mut store, &[written(NAMES[who], sent[who], len)]);
                    commit(&mut store, &[reached(NAMES[who], sent[who], sent[who])]);
                    here.push((who, format!("<{}-sent-{}>", NAMES[who], sent[who])));
                }
                Step::Hear(who, len) => {
                    came[who] += 1;
                    commit(&mut store, &[received(NAMES[who], came[who], len), shown(NAMES[who], came[who])]);
                    here.push((who, format!("<{}-came-{}>", NAMES[who], came[who])));
                }
                Step::Refuse(who) => {
                    sent[who] += 1;
                    commit(&mut store, &[written(NAMES[who], sent[who], 300)]);
                    commit(&mut store, &[refused(NAMES[who], sent[who])]);
                    commit(&mut store, &[refusal_shown(NAMES[who], sent[who])]);
                    here.push((who, format!("<{}-sent-{}>", NAMES[who], sent[who])));
                }
                Step::Forget(who) => {
                    let filter = who.map_or_else(EraseFilter::default, |who| with(NAMES[who]));
                    let (goes, stays): (Vec<_>, Vec<_>) =
                        here.drain(..).partition(|(whose, _)| who.is_none_or(|who| who == *whose));
                    prop_assert_eq!(forget(data.path(), &filter).erased, goes.len() as u64);
                    erased.extend(goes.into_iter().map(|(_, mark)| mark));
                    here = stays;
                    for mark in &erased {
                        prop_assert!(!is_anywhere(data.path(), mark), "{} is still there", mark);
                    }
                }
            }
        }
        for (_, mark) in &here {
            prop_assert!(is_anywhere(data.path(), mark), "{} is gone", mark);
        }
    }
}
