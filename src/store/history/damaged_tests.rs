//! Letters damaged on disk between runs, and the effect on the other letters.

use std::fs;

use super::tests::{
    FOLDER, OWN, commit, database, entries_of, name, open, reach, received, relay, shown, written,
};
use super::*;
use crate::client::HistoryEntry;
use crate::store::{Archive, StoreErrorCause, UnreadLetter};

const TEXT: &str = "in the middle, whatever it says";

/// Returns a folder with three letters, of which the second contains [`TEXT`].
fn folder(letter: impl Fn(u64) -> Record) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &Vec::from_iter((1..=3).map(letter)));
    data
}

fn outgoing(number: u64) -> Record {
    written("JACK", number, if number == 2 { TEXT } else { "another" })
}

fn incoming(number: u64) -> Record {
    let Record::Received { mut letter, after, mark } = received("JACK", number, number - 1) else {
        unreachable!()
    };
    letter.text = if number == 2 { TEXT.to_owned() } else { "another".to_owned() };
    Record::Received { letter, after, mark }
}

/// Returns copies of the folder, each with a different bit of the second letter's row flipped.
/// `before` is the number of bytes before the text: the header of lengths and types, the outbox and
/// the number. `behind` is the number after it, ending with the checksum.
fn harmed(data: &Path, before: usize, behind: usize) -> impl Iterator<Item = (usize, tempfile::TempDir)> {
    let whole = fs::read(database(data)).unwrap();
    let count = fs::read(database(data).with_extension("sqlite-commits")).unwrap();
    let text = whole.windows(TEXT.len()).position(|part| part == TEXT.as_bytes()).unwrap();
    let bits = ((text - before) * 8..(text + TEXT.len() + behind) * 8).step_by(3);
    bits.map(move |bit| {
        let copy = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::create_dir_all(database(copy.path()).parent().unwrap()).unwrap();
        fs::write(database(copy.path()), bytes).unwrap();
        fs::write(database(copy.path()).with_extension("sqlite-commits"), &count).unwrap();
        (bit, copy)
    })
}

/// Whether the file itself is damaged: a page, or a field of another type than its column.
fn is_broken(data: &Path) -> bool {
    match open(data) {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error.cause, StoreErrorCause::Damaged(_)));
            true
        }
    }
}

// faults.md: R71
/// Any flipped bit of a waiting letter: it is not sent, and its user is notified once. The other
/// letters are sent.
#[test]
fn any_flipped_bit_of_outgoing_letter_is_reported_once() {
    let data = folder(outgoing);
    let key = |number| (relay(), name("JACK"), OWN, number);
    let mut damaged = 0;
    let mut broken = 0;
    let all = open(data.path()).unwrap().1.persisted;
    for (bit, copy) in harmed(data.path(), 17 + 8 + 1, 1 + 2 + 8) {
        let Ok((mut store, state)) = open(copy.path()) else {
            broken += usize::from(is_broken(copy.path()));
            continue;
        };
        if state.persisted == all {
            assert!(state.damaged.is_empty());
            continue;
        }
        let persisted = state.persisted;
        let left = Vec::from_iter(persisted.letters.iter().map(|(key, letter)| (key.2, &*letter.text)));
        assert_eq!(left, [(1, "another"), (3, "another")], "{bit}");
        assert_eq!(persisted.conversations[&(relay(), name("JACK"))].reach.last, 3);
        let refusal =
            persisted.refusals.get(&key(2)).unwrap_or_else(|| panic!("{bit}: {:?}", persisted.refusals));
        assert_eq!(refusal.reason, Reason::Damaged, "{bit}");
        assert!(refusal.may_have_arrived, "{bit}");
        let file = database(copy.path()).display().to_string();
        let letter = DamagedLetter { file, relay: relay(), to: name("JACK"), number: 2 };
        assert_eq!(state.damaged, [letter], "{bit}");
        let record = Record::RefusalShown { relay: relay(), to: name("JACK"), outbox: OWN, number: 2 };
        assert!(commit(&mut store, &[record]).is_empty());
        drop(store);
        let again = open(copy.path()).unwrap().1;
        assert_eq!(again.persisted.refusals.len(), 0, "{bit}");
        assert_eq!(again.damaged.len(), 0, "{bit}");
        assert_eq!(again.persisted.letters.len(), 2, "{bit}");
        damaged += 1;
    }
    assert!(damaged > 80 && broken < damaged / 2, "{damaged} {broken}");
}

// faults.md: R71
/// Any flipped bit of a received letter: it is shown as damaged once, and no other letter is left
/// out.
#[test]
fn any_flipped_bit_of_received_letter_is_reported_once() {
    let data = folder(incoming);
    let unread = |data: &Path| Archive::open(data, FOLDER).unwrap().unwrap().unread_letters(0, 9);
    let whole_unshown = unread(data.path()).unwrap();
    let whole_history = entries_of(data.path(), None, None);
    assert_eq!(whole_unshown.len(), 3);
    assert_eq!(whole_history.len(), 3);
    let mut damaged = 0;
    let mut broken = 0;
    for (bit, copy) in harmed(data.path(), 17 + 1 + 1, 1 + 3 + 1 + 8) {
        let Ok((mut store, _)) = open(copy.path()) else {
            broken += usize::from(is_broken(copy.path()));
            continue;
        };
        let waiting = unread(copy.path()).unwrap();
        let history = entries_of(copy.path(), None, None);
        let is_damaged =
            |letters: &[UnreadLetter]| letters.iter().map(|l| l.letter.damaged).collect::<Vec<_>>();
        let is_said_damaged =
            |letters: &[HistoryEntry]| letters.iter().map(|l| l.damaged).collect::<Vec<_>>();
        if waiting == whole_unshown && history == whole_history {
            continue;
        }
        assert_eq!(is_damaged(&waiting), [false, true, false], "{bit}");
        assert_eq!(is_said_damaged(&history), [false, true, false], "{bit}");
        assert_eq!(waiting[0], whole_unshown[0], "{bit}");
        assert_eq!(waiting[2], whole_unshown[2], "{bit}");
        assert_eq!(waiting[1].letter.id, whole_unshown[1].letter.id, "id from the index: {bit}");
        let marks = waiting.iter().map(|l| shown(l.letter.from.as_str(), l.letter.id.number, false));
        assert!(commit(&mut store, &Vec::from_iter(marks)).is_empty());
        assert_eq!(unread(copy.path()).unwrap(), [], "{bit}");
        assert_eq!(is_said_damaged(&entries_of(copy.path(), None, None)), [false, true, false], "{bit}");
        damaged += 1;
    }
    assert!(damaged > 80 && broken < damaged / 2, "{damaged} {broken}");
}

fn sabotage(data: &Path, update: &str) {
    let db = Connection::open(database(data)).unwrap();
    assert_eq!(db.execute(update, []), Ok(1));
}

// faults.md: R71
#[test]
fn damaged_letter_accepted_by_relay_is_not_refused() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let reach = reach([3, 0], [2, 0, 0], 0);
    commit(&mut store, &[Record::Reached { relay: relay(), to: name("JACK"), outbox: OWN, reach }]);
    drop(store);
    sabotage(data.path(), "UPDATE letters SET text = 'something else' WHERE number = 2");
    let state = open(data.path()).unwrap().1;
    assert_eq!(state.persisted.letters.len(), 3);
    assert_eq!(state.persisted.refusals.len(), 0);
    assert_eq!(state.damaged.len(), 0);
    let history = entries_of(data.path(), None, None);
    assert_eq!(history.iter().map(|l| l.damaged).collect::<Vec<_>>(), [false, true, false]);
}

// faults.md: R71
#[test]
fn letters_with_damaged_recipient_are_refused_others_kept() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &[written("MARIA", 1, "to her"), received("JACK", 1, 0)]);
    drop(store);
    sabotage(data.path(), "UPDATE peers SET member = 'JACJ' WHERE member = 'JACK'");
    let state = open(data.path()).unwrap().1;
    assert_eq!(Vec::from_iter(state.persisted.letters.keys()), [&(relay(), name("MARIA"), 1)]);
    let refused = state.persisted.refusals.iter().map(|(key, refusal)| (key.3, refusal.letter.text.as_str()));
    assert_eq!(refused.collect::<Vec<_>>(), [(1, "another"), (2, TEXT), (3, "another")]);
    assert_eq!(state.damaged.len(), 3);
    let history = entries_of(data.path(), None, None);
    assert_eq!(
        history.iter().map(|l| l.damaged).collect::<Vec<_>>(),
        [false, true],
        "refused letters are not in the history"
    );
    let waiting = Archive::open(data.path(), FOLDER).unwrap().unwrap().unread_letters(0, 9).unwrap();
    assert!(waiting.len() == 1 && waiting[0].letter.damaged);
}

// faults.md: R71
/// A letter was refused and then damaged. Its user gets the readable part of the text back.
#[test]
fn readable_text_of_refused_and_damaged_letter_is_returned() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let refused = Record::Refused {
        relay: relay(),
        to: name("JACK"),
        outbox: OWN,
        number: 2,
        reason: Reason::Full,
        may_have_arrived: false,
    };
    commit(&mut store, &[refused]);
    drop(store);
    sabotage(data.path(), "UPDATE letters SET text = CAST(x'6869ff' AS TEXT) WHERE number = 2");
    let state = open(data.path()).unwrap().1;
    let refusal = &state.persisted.refusals[&(relay(), name("JACK"), OWN, 2)];
    assert_eq!(refusal.reason, Reason::Damaged);
    assert_eq!(&*refusal.letter.text, "hi\u{fffd}");
    assert_eq!(state.damaged.len(), 1);
}

/// A letter whose body differs from the one first sent is never sent. Its user gets the text back.
#[test]
fn letters_with_damaged_stored_body_are_refused() {
    let harms = [
        "UPDATE outgoing SET sent_body = x'a1006268690100' WHERE letter = 2",
        "UPDATE outgoing SET sent_kind = 2 WHERE letter = 2",
        "UPDATE outgoing SET letter = 9 WHERE letter = 2",
        "DELETE FROM outgoing WHERE letter = 2",
    ];
    for harm in harms {
        let data = folder(outgoing);
        sabotage(data.path(), harm);
        for runs in 0..2 {
            let state = open(data.path()).unwrap().1;
            let numbers = state.persisted.letters.keys().map(|key| key.2);
            assert_eq!(Vec::from_iter(numbers), [1, 3], "{harm}");
            let refusal = &state.persisted.refusals[&(relay(), name("JACK"), OWN, 2)];
            assert_eq!(refusal.reason, Reason::Damaged, "{harm}");
            assert_eq!(&*refusal.letter.text, TEXT, "{harm}");
            assert_eq!(state.damaged.len(), 1 - runs, "it is reported once");
        }
    }
}

/// The stored body of a letter is sent as it was first sent, whatever the current version would
/// make of its text. It is removed when the letter is finished.
#[test]
fn stored_body_is_unchanged_until_letter_is_finished() {
    let data = folder(outgoing);
    let (mut store, state) = open(data.path()).unwrap();
    let bodies = state.persisted.letters.values().map(|letter| String::from_utf8_lossy(&letter.encoded.body));
    let sent = |text: &str| format!("as it was first sent: {text}");
    assert_eq!(Vec::from_iter(bodies), [sent("another"), sent(TEXT), sent("another")]);
    let reach = reach([3, 1], [2, 1, 0], 0);
    let refused = Record::Refused {
        relay: relay(),
        to: name("JACK"),
        outbox: OWN,
        number: 3,
        reason: Reason::Full,
        may_have_arrived: false,
    };
    let reached = Record::Reached { relay: relay(), to: name("JACK"), outbox: OWN, reach };
    commit(&mut store, &[reached, refused]);
    drop(store);
    let db = Connection::open(database(data.path())).unwrap();
    let mut left = db.prepare("SELECT letter FROM outgoing").unwrap();
    let left = left.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(Result::unwrap);
    assert_eq!(Vec::from_iter(left), [2]);
}

/// A reason stored by a later version is not read as another known reason.
#[test]
fn reasons_of_later_versions_are_preserved() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let refuse = |number, reason| {
        let to = name("JACK");
        Record::Refused { relay: relay(), to, outbox: OWN, number, reason, may_have_arrived: false }
    };
    let id = LetterId { outbox: OutboxId(4), number: 1 };
    let from = name("JACK");
    let reason = Reason::Unsupported;
    let decline = Record::Declined { relay: relay(), from, id, reason, after: 0, mark: Mark(1) };
    commit(&mut store, &[refuse(1, Reason::Other(14)), refuse(2, Reason::Unsupported), decline]);
    drop(store);
    sabotage(data.path(), "UPDATE declined SET reason = 'unheard-of'");
    let persisted = open(data.path()).unwrap().1.persisted;
    let reasons = persisted.refusals.values().map(|refusal| refusal.reason);
    assert_eq!(Vec::from_iter(reasons), [Reason::Other(14), Reason::Unsupported]);
    let declined = persisted.declined.values().map(|(_, reason)| *reason);
    assert_eq!(Vec::from_iter(declined), [Reason::Other(0)]);
    assert_eq!(Reason::Other(0).by_recipient(), Reason::Unsupported);
    let texts = entries_of(data.path(), None, None).into_iter().map(|entry| entry.text);
    assert_eq!(Vec::from_iter(texts), ["another"], "refused letters are not in the history");
}
