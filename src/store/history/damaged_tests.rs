//! Letters that the disk has damaged while nobody looked, and that the others are as they were.

use std::fs;

use super::tests::{FOLDER, OWN, commit, database, name, open, received, relay, said, shown, written};
use super::*;
use crate::client::Said;
use crate::store::{Archive, Unshown};

const TEXT: &str = "in the middle, whatever it says";

/// Three letters, and the second says [`TEXT`].
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

/// Copies of the folder, each with another bit of the second letter's row flipped. So many bytes are before
/// the text: the header of lengths and types, the outbox and the number; and so many behind it, the sum last.
fn harmed(data: &Path, before: usize, behind: usize) -> impl Iterator<Item = (usize, tempfile::TempDir)> {
    let whole = fs::read(database(data)).unwrap();
    let count = fs::read(database(data).with_extension("sqlite-commits")).unwrap();
    let text = whole.windows(TEXT.len()).position(|part| part == TEXT.as_bytes()).unwrap();
    let bits = ((text - before) * 8..(text + TEXT.len() + behind) * 8).step_by(3);
    bits.map(move |bit| {
        let (copy, mut bytes) = (tempfile::tempdir().unwrap(), whole.clone());
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::create_dir_all(database(copy.path()).parent().unwrap()).unwrap();
        fs::write(database(copy.path()), bytes).unwrap();
        fs::write(database(copy.path()).with_extension("sqlite-commits"), &count).unwrap();
        (bit, copy)
    })
}

/// The file itself is found broken: its page, or a field of another type than its column's.
fn is_broken(data: &Path) -> bool {
    match open(data) {
        Ok(_) => false,
        Err(phrase) => {
            assert_eq!(phrase.key(), "store-database-damaged");
            true
        }
    }
}

#[test]
fn row_71_whatever_bit_of_a_letter_flips_it_is_not_sent_its_user_is_told_once_and_the_others_go() {
    let data = folder(outgoing);
    let key = |number| (relay(), name("JACK"), OWN, number);
    let (mut damaged, mut broken) = (0, 0);
    let all = open(data.path()).unwrap().1.kept;
    for (bit, copy) in harmed(data.path(), 17 + 8 + 1, 1 + 2 + 8) {
        let Ok((mut store, state)) = open(copy.path()) else {
            broken += usize::from(is_broken(copy.path()));
            continue;
        };
        if state.kept == all {
            assert!(state.damaged.is_empty());
            continue;
        }
        let kept = state.kept;
        let left = Vec::from_iter(kept.letters.iter().map(|(key, letter)| (key.2, &*letter.text)));
        assert_eq!(left, [(1, "another"), (3, "another")], "{bit}");
        assert_eq!(kept.conversations[&(relay(), name("JACK"))].reach.last, 3);
        let refusal = kept.refusals.get(&key(2)).unwrap_or_else(|| panic!("{bit}: {:?}", kept.refusals));
        assert_eq!((refusal.reason, refusal.may_have_arrived), (Reason::Damaged, true), "{bit}");
        let file = database(copy.path()).display().to_string();
        let told = Phrase::new("letter-damaged").with("file", file).with("relay", relay());
        assert_eq!(state.damaged, [told.with("to", "JACK").with("number", 2)], "{bit}");
        let told = Record::Told { relay: relay(), to: name("JACK"), outbox: OWN, number: 2 };
        assert!(commit(&mut store, &[told]).is_empty());
        drop(store);
        let again = open(copy.path()).unwrap().1;
        assert_eq!(
            (again.kept.refusals.len(), again.damaged.len(), again.kept.letters.len()),
            (0, 0, 2),
            "{bit}"
        );
        damaged += 1;
    }
    assert!(damaged > 80 && broken < damaged / 2, "{damaged} {broken}");
}

#[test]
fn row_71_whatever_bit_of_a_letter_that_came_flips_it_is_shown_as_damaged_once_and_nothing_is_left_out() {
    let data = folder(incoming);
    let unshown = |data: &Path| Archive::open(data, FOLDER).unwrap().unwrap().unshown(0, 9);
    let whole = (unshown(data.path()).unwrap(), said(data.path(), None, None));
    assert_eq!((whole.0.len(), whole.1.len()), (3, 3));
    let (mut damaged, mut broken) = (0, 0);
    for (bit, copy) in harmed(data.path(), 17 + 1 + 1, 1 + 3 + 1 + 8) {
        let Ok((mut store, _)) = open(copy.path()) else {
            broken += usize::from(is_broken(copy.path()));
            continue;
        };
        let (waiting, history) = (unshown(copy.path()).unwrap(), said(copy.path(), None, None));
        let is_damaged = |letters: &[Unshown]| letters.iter().map(|l| l.letter.damaged).collect::<Vec<_>>();
        let is_said_damaged = |letters: &[Said]| letters.iter().map(|l| l.damaged).collect::<Vec<_>>();
        if (&waiting, &history) == (&whole.0, &whole.1) {
            continue;
        }
        assert_eq!(is_damaged(&waiting), [false, true, false], "{bit}");
        assert_eq!(is_said_damaged(&history), [false, true, false], "{bit}");
        assert_eq!((&waiting[0], &waiting[2]), (&whole.0[0], &whole.0[2]), "{bit}");
        assert_eq!(waiting[1].letter.id, whole.0[1].letter.id, "as the index calls it: {bit}");
        let marks = waiting.iter().map(|l| shown(l.letter.from.as_str(), l.letter.id.number, false));
        assert!(commit(&mut store, &Vec::from_iter(marks)).is_empty());
        assert_eq!(unshown(copy.path()).unwrap(), [], "{bit}");
        assert_eq!(is_said_damaged(&said(copy.path(), None, None)), [false, true, false], "{bit}");
        damaged += 1;
    }
    assert!(damaged > 80 && broken < damaged / 2, "{damaged} {broken}");
}

fn sabotage(data: &Path, update: &str) {
    let db = Connection::open(database(data)).unwrap();
    assert_eq!(db.execute(update, []), Ok(1));
}

#[test]
fn row_71_a_damaged_letter_that_the_relay_answers_for_is_not_refused() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let reach = Reach { last: 3, taken: 0, accepted: 2, ..Reach::default() };
    commit(&mut store, &[Record::Reached { relay: relay(), to: name("JACK"), outbox: OWN, reach }]);
    drop(store);
    sabotage(data.path(), "UPDATE letters SET text = 'something else' WHERE number = 2");
    let state = open(data.path()).unwrap().1;
    assert_eq!((state.kept.letters.len(), state.kept.refusals.len(), state.damaged.len()), (3, 0, 0));
    let history = said(data.path(), None, None);
    assert_eq!(history.iter().map(|l| l.damaged).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn row_71_letters_whose_recipient_is_damaged_go_to_nobody_and_all_others_go() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    commit(&mut store, &[written("MARIA", 1, "to her"), received("JACK", 1, 0)]);
    drop(store);
    sabotage(data.path(), "UPDATE peers SET member = 'JACJ' WHERE member = 'JACK'");
    let state = open(data.path()).unwrap().1;
    assert_eq!(Vec::from_iter(state.kept.letters.keys()), [&(relay(), name("MARIA"), 1)]);
    let refused = state.kept.refusals.iter().map(|(key, refusal)| (key.3, refusal.letter.text.as_str()));
    assert_eq!(refused.collect::<Vec<_>>(), [(1, "another"), (2, TEXT), (3, "another")]);
    assert_eq!(state.damaged.len(), 3);
    let history = said(data.path(), None, None);
    assert_eq!(
        history.iter().map(|l| l.damaged).collect::<Vec<_>>(),
        [false, true],
        "refused ones are in none"
    );
    let waiting = Archive::open(data.path(), FOLDER).unwrap().unwrap().unshown(0, 9).unwrap();
    assert!(waiting.len() == 1 && waiting[0].letter.damaged);
}

#[test]
fn row_71_the_text_of_a_letter_that_was_refused_and_then_damaged_is_given_back_as_it_can_be_read() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let (reason, may_have_arrived) = (Reason::Full, false);
    commit(
        &mut store,
        &[Record::Refused {
            relay: relay(),
            to: name("JACK"),
            outbox: OWN,
            number: 2,
            reason,
            may_have_arrived,
        }],
    );
    drop(store);
    sabotage(data.path(), "UPDATE letters SET text = CAST(x'6869ff' AS TEXT) WHERE number = 2");
    let state = open(data.path()).unwrap().1;
    let refusal = &state.kept.refusals[&(relay(), name("JACK"), OWN, 2)];
    assert_eq!((refusal.reason, &*refusal.letter.text), (Reason::Damaged, "hi\u{fffd}"));
    assert_eq!(state.damaged.len(), 1);
}

/// A letter whose bytes are not those that were first sent never goes: its author has the text
/// back.
#[test]
fn letters_whose_kept_bytes_are_damaged_are_refused() {
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
            let numbers = state.kept.letters.keys().map(|key| key.2);
            assert_eq!(Vec::from_iter(numbers), [1, 3], "{harm}");
            let refusal = &state.kept.refusals[&(relay(), name("JACK"), OWN, 2)];
            assert_eq!((refusal.reason, &*refusal.letter.text), (Reason::Damaged, TEXT), "{harm}");
            assert_eq!(state.damaged.len(), 1 - runs, "it is named once");
        }
    }
}

/// What is kept of a letter goes as it was first sent, whatever this version would make of its
/// text, and is gone with the letter's end.
#[test]
fn kept_bytes_stay_as_they_were_sent_until_the_letter_ends() {
    let data = folder(outgoing);
    let (mut store, state) = open(data.path()).unwrap();
    let bodies = state.kept.letters.values().map(|letter| String::from_utf8_lossy(&letter.made.body));
    let sent = |text: &str| format!("as it was first sent: {text}");
    assert_eq!(Vec::from_iter(bodies), [sent("another"), sent(TEXT), sent("another")]);
    let reach = Reach { last: 3, taken: 1, accepted: 2, delivered: 1, ..Reach::default() };
    let (reason, may_have_arrived) = (Reason::Full, false);
    let refused = Record::Refused {
        relay: relay(),
        to: name("JACK"),
        outbox: OWN,
        number: 3,
        reason,
        may_have_arrived,
    };
    let reached = Record::Reached { relay: relay(), to: name("JACK"), outbox: OWN, reach };
    commit(&mut store, &[reached, refused]);
    drop(store);
    let db = Connection::open(database(data.path())).unwrap();
    let mut left = db.prepare("SELECT letter FROM outgoing").unwrap();
    let left = left.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(Result::unwrap);
    assert_eq!(Vec::from_iter(left), [2]);
}

/// A reason that a later version wrote down is no other one.
#[test]
fn reasons_of_later_versions_stay_what_they_are() {
    let data = folder(outgoing);
    let (mut store, _) = open(data.path()).unwrap();
    let refuse = |number, reason| {
        let (relay, to) = (relay(), name("JACK"));
        Record::Refused { relay, to, outbox: OWN, number, reason, may_have_arrived: false }
    };
    let id = LetterId { outbox: OutboxId(4), number: 1 };
    let (relay, from, reason) = (relay(), name("JACK"), Reason::Unsupported);
    let decline = Record::Declined { relay, from, id, reason, after: 0, mark: Mark(1) };
    commit(&mut store, &[refuse(1, Reason::Other(14)), refuse(2, Reason::Unsupported), decline]);
    drop(store);
    sabotage(data.path(), "UPDATE declined SET reason = 'unheard-of'");
    let kept = open(data.path()).unwrap().1.kept;
    let reasons = kept.refusals.values().map(|refusal| refusal.reason);
    assert_eq!(Vec::from_iter(reasons), [Reason::Other(14), Reason::Unsupported]);
    let declined = kept.declined.values().map(|(_, reason)| *reason);
    assert_eq!(Vec::from_iter(declined), [Reason::Other(0)]);
    assert_eq!(Reason::Other(0).of_reader(), Reason::Unsupported);
    let texts = said(data.path(), None, None).into_iter().map(|said| said.text);
    assert_eq!(Vec::from_iter(texts), ["another"], "refused letters are in no history");
}
