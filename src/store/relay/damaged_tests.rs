//! Letters damaged on disk between runs: their header, and the effect on the other letters.

use std::fs;

use super::*;
use crate::base::{LetterHeader, LetterId, Mark, OutboxId, Payload, SeqFilter};
use crate::relay::{MailboxLetter, PendingRefusal};

const OUTBOX: OutboxId = OutboxId(0x0123_4567_89ab_cdef);
const LEN: usize = 40;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn id(seq: u64) -> LetterId {
    LetterId { outbox: OUTBOX, number: seq + 100 }
}

/// Returns a letter as relays write it. Its body repeats its sequence number.
fn letter(seq: u64) -> MailboxLetter {
    // A delivery: type, name, id, previous number, time, mark, text.
    let mut message = b"\x50\x03TOM".to_vec();
    for number in [OUTBOX.0, id(seq).number, 0, 1] {
        message.extend(number.to_be_bytes());
    }
    message.extend([0, 0, 0, 3, 1]);
    message.extend([seq as u8; LEN]);
    MailboxLetter {
        seq,
        stored_at: 9,
        from: name("TOM"),
        id: id(seq),
        len: LEN as u64,
        mark: Mark(3),
        message: message.into(),
    }
}

/// Returns a folder with three letters for JACK.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = RelayStore::open(dir.path(), || [1; 32]).unwrap();
    let letters = (1..=3).map(letter).collect();
    store
        .commit(&[Record::Letters { to: name("JACK"), letters, deliveries: Vec::new() }], &mut Vec::new())
        .unwrap();
    dir
}

fn whole(seq: u64) -> (u64, Payload) {
    (seq, Payload::Intact(letter(seq).message.to_vec()))
}

fn label() -> LetterHeader {
    LetterHeader { from: name("TOM"), id: id(2), len: LEN }
}

fn load(db: &Connection, path: &Path, owner: Option<Name>) -> Result<Vec<(u64, Payload)>, Fault> {
    let rows = mail_table::load(db, path, &Query { owner, filter: SeqFilter::After(0), bytes_max: 9_999 })?;
    Ok(rows.into_iter().map(|row| (row.seq, row.payload)).collect())
}

fn at(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("the file contains the part")
}

// faults.md: R71
/// Any flipped bit of a letter: the others are intact, and its header is correct or missing.
#[test]
fn any_flipped_bit_leaves_header_correct_or_missing() {
    let dir = folder();
    let path = dir.path().join(RELAY_DATABASE);
    let bytes = fs::read(&path).unwrap();
    let body = at(&bytes, &[2; LEN]);
    let row = bytes[..body].windows(7).rposition(|window| window == b"JACKTOM").unwrap();
    let mut labelled = 0;
    let mut nameless = 0;
    let mut broken = 0;
    // The row's header of lengths and types precedes its texts.
    for bit in ((row - 12) * 8..(body + LEN) * 8).step_by(3) {
        let mut harmed = bytes.clone();
        harmed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, harmed).unwrap();
        let db = Connection::open(&path).unwrap();
        for owner in [Some(name("JACK")), None] {
            let rows = match load(&db, &path, owner.clone()) {
                Ok(rows) => rows,
                Err(_) => {
                    broken += 1;
                    continue;
                }
            };
            // Some bits of a header have no meaning.
            if rows == [whole(1), whole(2), whole(3)] {
                continue;
            }
            let others: Vec<_> = rows.iter().filter(|(_, held)| matches!(held, Payload::Intact(_))).collect();
            assert_eq!(others, [&whole(1), &whole(3)], "{bit}");
            match rows.iter().find(|(_, held)| matches!(held, Payload::Damaged(_))) {
                Some((_, Payload::Damaged(Some(found)))) => {
                    assert_eq!(*found, label(), "{bit}");
                    labelled += 1;
                }
                Some(_) => nameless += 1,
                None => {
                    assert_eq!(owner, None, "{bit}: a query for its mailbox returns it whatever it contains")
                }
            }
        }
    }
    assert!(labelled > 200 && nameless > 20 && broken < nameless, "{labelled} {nameless} {broken}");
}

// faults.md: R71
/// Records the damage as the relay does. The letter leaves its mailbox and stays in the file byte
/// for byte.
#[test]
fn known_damaged_letter_leaves_mailbox_but_stays_in_file() {
    let dir = folder();
    let (mut store, _) = RelayStore::open(dir.path(), || [1; 32]).unwrap();
    store.db.execute("UPDATE letters SET author = x'ff', len = 7 WHERE id = 2", []).unwrap_err();
    store.db.execute("UPDATE letters SET author = 'TOn', len = 7 WHERE id = 2", []).unwrap();
    let jack = || Some(name("JACK"));
    let found = load(&store.db, &store.path, jack()).unwrap();
    assert_eq!(found, [whole(1), (2, Payload::Damaged(None)), whole(3)]);
    let expected = PendingRefusal::from_stored(name("TOM"), name("JACK"), id(2), "damaged", false, Mark(3));
    let record = Record::Damaged { seq: 2, to: name("JACK"), refusal: Some(expected.clone()) };
    store.commit(&[record.clone(), record], &mut Vec::new()).unwrap();
    assert_eq!(load(&store.db, &store.path, jack()).unwrap(), [whole(1), whole(3)]);
    drop(store);
    let (mut store, state) = RelayStore::open(dir.path(), || [1; 32]).unwrap();
    let waiting = &state.mail.waiting;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].letters, 2);
    assert_eq!(waiting[0].bytes, 2 * LEN);
    assert_eq!(state.mail.last_seq, 3);
    assert_eq!(state.mail.refusals, [expected]);
    let stored = Record::Progress { flow: None, stored: vec![1, 3] };
    store.commit(&[stored], &mut Vec::new()).unwrap();
    drop(store);
    let (store, state) = RelayStore::open(dir.path(), || [1; 32]).unwrap();
    assert_eq!(state.mail.waiting.len(), 0);
    assert_eq!(state.mail.last_seq, 2, "its sequence number is never reused");
    let author = store.db.query_row("SELECT author FROM letters", [], |row| row.get::<_, String>(0));
    assert_eq!(author.unwrap(), "TOn");
}

// faults.md: R71
#[test]
fn intact_letter_is_never_hidden() {
    let dir = folder();
    let (mut store, _) = RelayStore::open(dir.path(), || [1; 32]).unwrap();
    store.commit(&[Record::Damaged { seq: 2, to: name("JACK"), refusal: None }], &mut Vec::new()).unwrap();
    let found = load(&store.db, &store.path, Some(name("JACK"))).unwrap();
    assert_eq!(found, [whole(1), whole(2), whole(3)]);
}
