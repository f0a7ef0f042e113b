//! The relay's mail on disk: content and order after reopening and damage.

use std::fs;
use std::sync::mpsc::channel;

use proptest::prelude::*;

use super::tests::{killed, refused_with_a_flipped_bit};
use super::*;
use crate::base::{LetterId, Mark, OutboxId, Payload, SeqFilter, Ticket, Watermarks};
use crate::relay::{MailboxLetter, PendingRefusal, PersistedFlow, SessionHint, WaitingCount};
use crate::store::{QUEUE_BYTES_MAX, StoreReply, Worker};

const OUTBOX: OutboxId = OutboxId(u64::MAX - 3);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn letter(seq: u64, from: &str, len: usize) -> MailboxLetter {
    let id = LetterId { outbox: OUTBOX, number: seq + 100 };
    let message = vec![seq as u8; len].into();
    MailboxLetter {
        seq,
        stored_at: seq * 10,
        from: name(from),
        id,
        len: len as u64,
        mark: Mark(seq as u32),
        message,
    }
}

fn letters(to: &str, from: &str, places: std::ops::RangeInclusive<u64>, len: usize) -> Record {
    let letters = places.map(|seq| letter(seq, from, len)).collect();
    Record::Letters { to: name(to), letters, deliveries: Vec::new() }
}

fn waiting(to: &str, from: &str, letters: usize, bytes: usize, last: u64) -> WaitingCount {
    WaitingCount {
        to: name(to),
        from: name(from),
        outbox: OUTBOX,
        letters,
        bytes,
        last_number: last + 100,
        last_since: last * 10,
        last_mark: Mark(last as u32),
    }
}

fn marks(from: &str, to: &str, accepted: u64, delivered: u64, read: u64) -> PersistedFlow {
    PersistedFlow {
        from: name(from),
        outbox: OUTBOX,
        to: name(to),
        watermarks: Watermarks { accepted, delivered, read },
        since: accepted,
        mark: Mark(delivered as u32),
        at_full_second: read == 0,
    }
}

fn refusal_of(seq: u64) -> PendingRefusal {
    let id = LetterId { outbox: OUTBOX, number: seq + 100 };
    PendingRefusal::from_stored(name("TOM"), name("JACK"), id, "expired", seq == 4, Mark(seq as u32))
}

fn open(dir: &Path) -> Result<(RelayStore, RelayState), StoreError> {
    RelayStore::open(dir, || [1; 32])
}

fn commit(store: &mut RelayStore, records: &[Record]) {
    let mut refused = Vec::new();
    store.commit(records, &mut refused).unwrap();
    assert_eq!(refused, [0; 0]);
}

fn load_seqs(store: &mut RelayStore, owner: Option<&str>, after: u64, bytes_max: usize) -> Vec<u64> {
    let rows =
        store.load(&Query { owner: owner.map(name), filter: SeqFilter::After(after), bytes_max }).unwrap();
    for row in &rows {
        assert_eq!(row.stored_at, row.seq * 10);
        let Payload::Intact(bytes) = &row.payload else { panic!("the row is damaged: {row:?}") };
        assert!(bytes.iter().all(|byte| *byte == row.seq as u8));
        assert!(owner.is_none_or(|owner| row.owner.as_str() == owner));
    }
    rows.iter().map(|row| row.seq).collect()
}

#[test]
fn letters_are_loaded_in_order_up_to_byte_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    commit(&mut store, &[letters("JACK", "TOM", 1..=4, 100), letters("一棵树", "TOM", 5..=6, 100)]);
    commit(&mut store, &[letters("JACK", "echo", 7..=9, 100)]);
    assert_eq!(load_seqs(&mut store, Some("JACK"), 0, 201), [1, 2, 3]);
    assert_eq!(load_seqs(&mut store, Some("JACK"), 3, 200), [4, 7]);
    assert_eq!(load_seqs(&mut store, Some("JACK"), 7, 9_999), [8, 9]);
    assert_eq!(load_seqs(&mut store, Some("JACK"), 9, 9_999), [0; 0]);
    assert_eq!(load_seqs(&mut store, None, 3, 300), [4, 5, 6]);
    drop(store);
    let mail = open(dir.path()).unwrap().1.mail;
    let wanted = vec![
        waiting("JACK", "TOM", 4, 400, 4),
        waiting("JACK", "echo", 3, 300, 9),
        waiting("一棵树", "TOM", 2, 200, 6),
    ];
    assert_eq!(mail.last_seq, 9);
    assert_eq!(mail.waiting, wanted);
}

#[test]
fn watermarks_refusals_and_clock_persist() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    commit(&mut store, &[letters("JACK", "TOM", 1..=5, 10), Record::Clock(7)]);
    let progress = |a, d, r, stored| Record::Progress { flow: Some(marks("TOM", "JACK", a, d, r)), stored };
    commit(&mut store, &[progress(101, 101, 0, vec![1]), progress(102, 102, 101, vec![2])]);
    commit(&mut store, &[Record::Progress { flow: None, stored: vec![5] }]);
    let expired = |seq| Record::Expired { seq, refusal: refusal_of(seq) };
    commit(
        &mut store,
        &[expired(3), expired(4), Record::RefusalAcknowledged(refusal_of(3)), Record::Clock(u64::MAX)],
    );
    drop(store);
    let mail = open(dir.path()).unwrap().1.mail;
    let wanted = PersistedMail {
        clock: u64::MAX,
        last_seq: 0,
        waiting: vec![],
        flows: vec![marks("TOM", "JACK", 102, 102, 101)],
        refusals: vec![refusal_of(4)],
        outboxes: vec![],
        sessions: vec![],
        restored: None,
    };
    assert_eq!(mail, wanted);
}

// faults.md: R71
#[test]
fn accepted_letters_survive_kill_and_torn_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    commit(&mut store, &[letters("JACK", "TOM", 1..=3, 5_000)]);
    commit(&mut store, &[letters("JACK", "TOM", 4..=5, 5_000)]);
    let log_len = fs::metadata(dir.path().join("relay.sqlite-wal")).unwrap().len();
    for (len, last) in [(log_len, 5), (log_len - 1, 3), (log_len - 9_000, 3)] {
        let copy = killed(dir.path(), len);
        let (mut store, state) = open(copy.path()).unwrap();
        assert_eq!(state.mail.last_seq, last);
        assert_eq!(load_seqs(&mut store, Some("JACK"), 0, 99_999), Vec::from_iter(1..=last));
    }
}

// faults.md: R71
#[test]
fn flipped_bit_never_changes_mail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let progress = Record::Progress { flow: Some(marks("TOM", "JACK", 9, 8, 7)), stored: vec![1] };
    let expired = Record::Expired { seq: 2, refusal: refusal_of(2) };
    commit(&mut store, &[letters("JACK", "TOM", 1..=40, 300), progress, expired, Record::Clock(5)]);
    drop(store);
    let mail = open(dir.path()).unwrap().1.mail;
    let refused = refused_with_a_flipped_bit(dir.path(), |bit, state| assert_eq!(state.mail, mail, "{bit}"));
    assert!(refused > 40, "{refused}");
}

// faults.md: R72
#[test]
fn full_disk_refuses_commits_but_still_serves_letters() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let path = dir.path().join("relay.sqlite");
    commit(&mut store, &[letters("JACK", "TOM", 1..=3, 100)]);
    let pages: u32 = store.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.db.pragma_update(None, "max_page_count", pages).unwrap();
    let full = StoreErrorCause::DiskFull.at(&path);
    let many = [letters("JACK", "TOM", 4..=4, 100), letters("JACK", "TOM", 5..=9, 64 * 1024)];
    assert_eq!(store.commit(&many, &mut Vec::new()), Err(Fault::Transient(full)));
    assert_eq!(load_seqs(&mut store, Some("JACK"), 0, 9_999), [1, 2, 3], "all of a commit, or nothing");
    commit(&mut store, &[Record::Progress { flow: None, stored: vec![1] }]);
    store.db.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    commit(&mut store, &many);
    drop(store);
    assert_eq!(open(dir.path()).unwrap().1.mail.waiting[0].letters, 8);
}

// faults.md: R31
#[test]
fn session_addresses_persist_until_session_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let note = |index, addr: &str| SessionHint { index, addr: addr.parse().unwrap(), local: None };
    let asked_at = |ip: &str, note| SessionHint { local: Some(ip.parse().unwrap()), ..note };
    let v6 = asked_at("2001:db8::5", note(u32::MAX, "[2001:db8::1]:6"));
    let first = vec![note(1, "192.0.2.1:5"), v6, note(7, "192.0.2.1:7"), note(9, "192.0.2.1:9")];
    commit(&mut store, &[Record::Sessions { hints: first.clone(), ended: vec![] }]);
    let moved = vec![asked_at("127.0.0.5", note(7, "192.0.2.9:9"))];
    commit(&mut store, &[Record::Sessions { hints: moved.clone(), ended: vec![1, 2] }]);
    drop(store);
    let persisted = open(dir.path()).unwrap().1.mail.sessions;
    assert_eq!(persisted, [moved[0], first[3], v6]);
}

#[test]
fn letters_by_sequence_number_load_from_own_mailbox_only() {
    let (mut store, _) = RelayStore::in_memory([4; 32]).unwrap();
    commit(&mut store, &[letters("JACK", "TOM", 1..=6, 100)]);
    commit(&mut store, &[letters("MARY", "TOM", 7..=7, 100)]);
    let mut at = |places: &[u64], bytes_max| {
        let query = Query { owner: Some(name("JACK")), filter: SeqFilter::At(places.to_vec()), bytes_max };
        let rows = store.load(&query).unwrap();
        rows.iter().map(|row| (row.seq, matches!(row.payload, Payload::Intact(_)))).collect::<Vec<_>>()
    };
    assert_eq!(at(&[2, 5, 9], 9_999), [(2, true), (5, true)]);
    assert_eq!(at(&[2, 4, 5], 101), [(2, true), (4, true)]);
    assert_eq!(at(&[7], 9_999), [(7, false)], "a letter in another mailbox counts as damaged");
}

/// The counts read at start equal a count of all letters, in whatever order letters arrived and
/// left.
#[test]
fn waiting_counts_are_known_without_reading_letters() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let removed = |stored: Vec<u64>| Record::Progress { flow: None, stored };
    let expired = |seq| Record::Expired { seq, refusal: refusal_of(seq) };
    commit(&mut store, &[letters("JACK", "TOM", 1..=9, 50), removed(vec![1, 2, 77]), expired(3)]);
    commit(&mut store, &[letters("JACK", "MARY", 10..=11, 7), removed(vec![4]), removed(vec![10, 11, 4])]);
    let query = Query { owner: Some(name("JACK")), filter: SeqFilter::After(0), bytes_max: 9_999 };
    assert_eq!(store.load(&query).unwrap().len(), 5);
    store.db.execute("UPDATE letters SET message = x'00', sum = x'00'", []).unwrap();
    let waiting = crate::store::waiting_counts_table::read(&store.db).unwrap();
    assert_eq!(waiting.unwrap(), [self::waiting("JACK", "TOM", 5, 250, 9)]);
    commit(&mut store, &[removed(vec![5, 6, 7, 8, 9])]);
    assert_eq!(crate::store::waiting_counts_table::read(&store.db).unwrap().unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The start of a small database compares its counts with the letters, and fails if they
    /// differ.
    #[test]
    fn waiting_counts_match_letters_after_any_changes(
        commits in prop::collection::vec(prop::collection::vec((0..3_u8, 0..4_usize, 1..60_u64), 1..8), 1..12),
    ) {
        const NAMES: [&str; 4] = ["TOM", "JACK", "MARY", "一棵树"];
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path()).unwrap();
        let mut next = 1;
        for steps in commits {
            let records = Vec::from_iter(steps.into_iter().map(|(kind, who, n)| match kind {
                0 => {
                    let seqs = next..=next + n % 5;
                    next = seqs.end() + 1;
                    letters(NAMES[who], NAMES[(who + 1) % 4], seqs, n as usize)
                }
                1 => Record::Progress { flow: None, stored: (n..n + 4).collect() },
                _ => Record::Expired { seq: n, refusal: refusal_of(n) },
            }));
            commit(&mut store, &records);
        }
        let left = load_seqs(&mut store, None, 0, usize::MAX).len();
        drop(store);
        let mail = open(dir.path()).unwrap().1.mail;
        prop_assert_eq!(mail.waiting.iter().map(|waiting| waiting.letters).sum::<usize>(), left);
    }
}

// faults.md: R71
#[test]
fn wrong_waiting_counts_are_reported() {
    for harm in ["DELETE FROM letters WHERE id = 2", "DELETE FROM waiting"] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path()).unwrap();
        commit(&mut store, &[letters("JACK", "TOM", 1..=3, 10)]);
        store.db.execute(harm, []).unwrap();
        drop(store);
        assert!(matches!(open(dir.path()).unwrap_err().cause, StoreErrorCause::Damaged(_)), "{harm}");
    }
}

#[test]
fn store_in_memory_keeps_mail_while_it_exists() {
    let (mut store, state) = RelayStore::in_memory([4; 32]).unwrap();
    assert_eq!(state.private_key, [4; 32]);
    assert_eq!(state.mail, PersistedMail::default());
    commit(&mut store, &[letters("JACK", "TOM", 1..=3, 10)]);
    assert_eq!(load_seqs(&mut store, Some("JACK"), 1, 9_999), [2, 3]);
}

#[test]
fn load_returns_all_earlier_records() {
    let (store, _) = RelayStore::in_memory([4; 32]).unwrap();
    let (done_in, done) = channel();
    let worker = Worker::spawn(store, move |d| done_in.send(d).unwrap()).unwrap();
    let query = || Query { owner: None, filter: SeqFilter::After(0), bytes_max: 9_999 };
    for seq in 1..=3 {
        worker.persist(Ticket(seq), letters("JACK", "TOM", seq..=seq, 10)).unwrap();
        worker.load(Ticket(100 + seq), query()).unwrap();
    }
    worker.finish();
    let mut loads = 0;
    for reply in done.iter() {
        if let StoreReply::Rows(Ticket(ticket), rows) = reply {
            assert_eq!(rows.len() as u64, ticket - 100);
            loads += 1;
        }
    }
    assert_eq!(loads, 3);
}

#[test]
fn records_beyond_queue_bytes_are_refused() {
    let (store, _) = RelayStore::in_memory([4; 32]).unwrap();
    let worker = Worker::spawn(store, |_| {}).unwrap();
    let huge = || letters("JACK", "TOM", 1..=1, QUEUE_BYTES_MAX);
    let mut taken = 0;
    while worker.persist(Ticket(taken), huge()).is_ok() {
        taken += 1;
    }
    assert!(taken >= 1, "one record may always wait");
    worker.finish();
}
