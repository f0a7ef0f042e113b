//! Disks that refuse single records: each failure is handled, so that memory and disk agree when
//! the disk takes records again.

use std::path::Path as FolderPath;

use queqiao::base::{Input, LetterId, Mark, OutboxId};
use queqiao::relay::{Change, Known, Limits, Marks, Record};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{
    Earlier, NameReason, Names, OutboxMark, Reason, SCREEN_FIRST, SCREEN_LAST, Said, ToRelay,
};

use super::hand::{Hand, Told};
use super::rig::{Given, Rig, START, ms, secs, udp};

/// Time that a mailbox keeps a letter, in seconds. The relay checks all conversations each minute.
const KEEP_S: u64 = 1_000;
/// Time in which everything is written once the disk takes records again, in seconds: the longest
/// pause between attempts and the commits after it.
const WRITTEN_WITHIN_S: u64 = 40;
const DAY_S: u64 = 24 * 3_600;

fn limits() -> Limits {
    Limits { keep: secs(KEEP_S), ..Limits::default() }
}

fn known(rig: &mut Rig) -> Known {
    rig.relay.known(rig.tick)
}

/// Kills the relay and starts another on its folder. Returns the knowledge of both, without state
/// that is kept in memory only.
fn killed(mut rig: Rig, dir: &FolderPath) -> [Known; 2] {
    let mut before = known(&mut rig);
    let tick = rig.tick;
    drop(rig);
    let mut rig = Rig::open(dir, limits(), tick);
    let mut after = known(&mut rig);
    let is_ahead = |marks: &Marks| {
        before
            .ahead
            .iter()
            .any(|flow| (&flow.from, &flow.to, flow.outbox) == (&marks.from, &marks.to, marks.outbox))
    };
    after.marks.retain(|marks| !is_ahead(marks));
    for known in [&mut before, &mut after] {
        known.clock = 0;
        known.sessions = Vec::new();
        known.ahead = Vec::new();
    }
    [before, after]
}

fn screen(rig: &mut Rig, hand: &mut Hand, blocked: &[&str]) {
    let mut bytes = Vec::new();
    blocked.iter().for_each(|name| Names::put(&mut bytes, name));
    let flags = SCREEN_FIRST | SCREEN_LAST;
    hand.say(rig, StreamId::Control, &ToRelay::Screen { flags, names: Names::new(&bytes) });
}

fn leave(rig: &mut Rig, hand: &mut Hand) {
    hand.send(rig, &[Frame::Close { code: 0, reason: "" }]);
}

/// Does everything once that makes a relay write records.
fn live(rig: &mut Rig) {
    let (mut tom, mut jack) = super::house::two(rig);
    screen(rig, &mut jack, &["bob", "eve"]);
    // One letter waits on the disk and is read. Its sender gets the receipt at its next sign-in.
    leave(rig, &mut jack);
    tom.write(rig, "JACK", 1, 0, "hello");
    tom.write(rig, "echo", 1, 0, "hello");
    leave(rig, &mut tom);
    rig.wait(secs(1));
    let mut jack = Hand::member(rig, udp(2, 2), 2, "JACK");
    jack.hear(rig);
    jack.store(rig, "TOM", 1);
    jack.say(rig, StreamId::Control, &ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: 1 });
    jack.say(rig, StreamId::Control, &ToRelay::Read { from: "TOM", outbox: OutboxId(7), through: 3 });
    // Another is refused, and its sender acknowledges the refusal.
    let mut tom = Hand::member(rig, udp(1, 2), 1, "TOM");
    tom.hear(rig);
    leave(rig, &mut jack);
    tom.write(rig, "JACK", 2, 1, "you there");
    rig.wait(ms(100));
    let mut jack = Hand::member(rig, udp(2, 3), 2, "JACK");
    jack.hear(rig);
    let id = LetterId { outbox: OutboxId(0xB0), number: 2 };
    let refusal = ToRelay::ReaderRefusal { from: "TOM", id, reason: Reason::Full };
    jack.say(rig, StreamId::Control, &refusal);
    rig.wait(secs(2));
    assert_eq!(tom.refusals(rig), [(2, Reason::Full)]);
    tom.say(rig, StreamId::Control, &ToRelay::Heard { to: "JACK", id });
    leave(rig, &mut tom);
    leave(rig, &mut jack);
    rig.wait(secs(2));
}

/// Signs the sender in until it has received and acknowledged everything.
fn hear_all(rig: &mut Rig) {
    for port in 10..13 {
        let mut tom = Hand::member(rig, udp(1, port), 1, "TOM");
        tom.hear(rig);
        leave(rig, &mut tom);
        rig.wait(secs(200));
    }
}

type Kind = (&'static str, fn(&Record) -> bool);

const KINDS: [Kind; 8] = [
    ("none", |_| false),
    ("blocks", |record| matches!(record, Record::Roll(Change::Blocks { .. }))),
    ("seen", |record| matches!(record, Record::Roll(Change::Seen { .. }))),
    ("used", |record| matches!(record, Record::Roll(Change::Used { .. }))),
    ("progress", |record| matches!(record, Record::Progress { .. })),
    ("heard", |record| matches!(record, Record::Heard(_))),
    ("clock", |record| matches!(record, Record::Clock(_))),
    ("sessions", |record| matches!(record, Record::Sessions { .. })),
];

// faults.md: R72
/// Each kind is refused while everything happens. Once the disk takes it, a relay that starts from
/// this disk has the same knowledge.
#[test]
fn every_failed_record_kind_is_written_again() {
    for (kind, refuses) in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), limits(), START);
        rig.refuses = refuses;
        live(&mut rig);
        assert!(rig.refused > 0 || ["none", "clock"].contains(&kind), "{kind}: nothing was refused");
        rig.refuses = |_| false;
        rig.wait(secs(WRITTEN_WITHIN_S));
        let [before, after] = killed(rig, dir.path());
        assert_eq!(before.blocks.len(), 1, "{kind}: {before:?}");
        assert!(
            before.refusals.is_empty() && !before.marks.is_empty() && before.unused.is_empty(),
            "{before:?}"
        );
        assert_eq!(before, after, "{kind}");
    }
}

// faults.md: R72
/// The disk refuses the mark of a sign-in, and its session ends. The mark is written afterwards, so
/// that a relay that starts from this disk detects an old copy.
#[test]
fn failed_sign_in_record_is_written_after_session_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    rig.refuses = |record| matches!(record, Record::SignedIn { .. });
    let counter = rig.counter();
    let mut tom = Hand::shake(&mut rig, udp(1, 1), 1, counter).unwrap();
    let said = Said { mark: Mark(3), token: 9 };
    let outbox = Some(OutboxMark { outbox: OutboxId(0xB0), said, earlier: Earlier::default() });
    let features = Features::OURS;
    let sign_in = ToRelay::SignIn { name: "TOM", invite: &[], screen_follows: false, outbox, features };
    tom.say(&mut rig, StreamId::Control, &sign_in);
    rig.wait(secs(3));
    assert!(rig.refused > 1, "it is tried again while its session is there");
    leave(&mut rig, &mut tom);
    rig.wait(secs(5));
    rig.refuses = |_| false;
    rig.wait(secs(WRITTEN_WITHIN_S));
    let [before, after] = killed(rig, dir.path());
    assert_eq!(before.outboxes.iter().map(|kept| kept.said).collect::<Vec<_>>(), [said]);
    assert_eq!(before, after);
}

// faults.md: R72
/// The relay is killed after the disk has taken the list.
#[test]
fn block_list_refused_by_full_disk_holds_after_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    let (mut tom, mut jack) = super::house::two(&mut rig);
    rig.full = true;
    screen(&mut rig, &mut jack, &["TOM"]);
    rig.wait(secs(5));
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    assert_eq!(tom.refusals(&mut rig), [(1, Reason::Blocked)], "it holds at once");
    rig.full = false;
    rig.wait(secs(WRITTEN_WITHIN_S));
    let tick = rig.tick;
    drop(rig);
    let mut rig = Rig::open(dir.path(), limits(), tick);
    (0..10).for_each(|_| assert!(rig.counter() > 0));
    let mut tom = Hand::member(&mut rig, udp(1, 9), 1, "TOM");
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    assert_eq!(tom.refusals(&mut rig), [(1, Reason::Blocked)]);
}

// faults.md: R72
/// Hundreds of lists and sessions of one member while the disk refuses for an hour.
#[test]
fn disk_refusing_for_1_h_costs_one_entry_per_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    super::house::two(&mut rig);
    rig.wait(secs(2));
    rig.full = true;
    for n in 0..360_u16 {
        let mut jack = Hand::member(&mut rig, udp(2, 10 + n), 2, "JACK");
        screen(&mut rig, &mut jack, &[["bob", "eve"][usize::from(n % 2)]]);
        leave(&mut rig, &mut jack);
        rig.wait(secs(9));
    }
    let most = ["Blocked", "Seen of two", "Notes", "Clock"].len() + 1;
    assert!(known(&mut rig).unwritten <= most, "{}", known(&mut rig).unwritten);
    let before = rig.refused;
    rig.wait(secs(360));
    let tried = rig.refused - before;
    assert!((10..=16).contains(&tried), "{tried} attempts in six minutes without other events");
    rig.full = false;
    rig.wait(secs(WRITTEN_WITHIN_S));
    let [before, after] = killed(rig, dir.path());
    assert_eq!((before.unwritten, before.blocks.len()), (0, 1));
    assert_eq!(before, after);
}

// faults.md: R72
/// The name belongs to its member until the disk has freed it. Then another may register it, on the
/// disk too.
#[test]
fn name_not_freed_on_disk_is_freed_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), Limits::default(), START);
    let mut idle = Hand::member(&mut rig, udp(1, 1), 1, "idle");
    leave(&mut rig, &mut idle);
    rig.refuses = |record| matches!(record, Record::Roll(Change::Freed { .. }));
    rig.wait(secs(31 * DAY_S));
    assert!(rig.refused > 100, "{} attempts in a day", rig.refused);
    assert_eq!(rig.relay.stats().names_freed, 0);
    let counter = rig.counter();
    let mut heir = Hand::shake(&mut rig, udp(2, 1), 2, counter).unwrap();
    heir.sign_in(&mut rig, "idle");
    assert_eq!(heir.told(StreamId::Control), [Told::NameRefused(NameReason::Taken, "idle".into())]);
    rig.refuses = |_| false;
    rig.wait(secs(WRITTEN_WITHIN_S));
    assert_eq!(rig.relay.stats().names_freed, 1);
    Hand::member(&mut rig, udp(2, 2), 2, "idle");
    rig.wait(secs(2));
    let [before, after] = killed(rig, dir.path());
    assert_eq!(before, after);
}

// faults.md: R72
/// The sign-in waits for the disk. The owner has its name whether the disk freed it or not.
#[test]
fn owner_signing_in_while_name_is_freed_keeps_it() {
    for kept in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), Limits::default(), START);
        let mut idle = Hand::member(&mut rig, udp(1, 1), 1, "idle");
        leave(&mut rig, &mut idle);
        rig.wait(secs(30 * DAY_S - 60));
        rig.commits = false;
        rig.wait(secs(120));
        let is_freed = |record: &Record| matches!(record, Record::Roll(Change::Freed { .. }));
        assert!(rig.asked.iter().any(|(_, record)| is_freed(record)));
        let counter = rig.counter();
        let mut owner = Hand::shake(&mut rig, udp(1, 2), 1, counter).unwrap();
        owner.sign_in(&mut rig, "idle");
        assert_eq!(owner.told(StreamId::Control), []);
        if kept {
            rig.refuses = |record| matches!(record, Record::Roll(Change::Freed { .. }));
        }
        rig.commits = true;
        rig.take(Vec::new());
        rig.wait(ms(100));
        owner.hear(&mut rig);
        assert_eq!(owner.told(StreamId::Control), [Told::Welcome], "kept: {kept}");
        rig.refuses = |_| false;
        rig.wait(secs(WRITTEN_WITHIN_S));
        let [before, after] = killed(rig, dir.path());
        assert_eq!(before.members.len(), 1);
        assert_eq!(before, after, "kept: {kept}");
    }
}

// faults.md: R72
/// An inactive conversation leaves memory after it has left the disk. One that becomes active in
/// between stays in both.
#[test]
fn conversation_kept_by_disk_stays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    live(&mut rig);
    hear_all(&mut rig);
    rig.refuses = |record| matches!(record, Record::Rested(_));
    rig.wait(secs(2 * KEEP_S));
    assert!(rig.refused > 1);
    let marks = known(&mut rig).marks.len();
    assert!(marks > 0, "disk and memory have the same marks");
    rig.refuses = |_| false;
    rig.wait(secs(2 * KEEP_S));
    assert_eq!(known(&mut rig).marks, []);
    let [before, after] = killed(rig, dir.path());
    assert_eq!(before, after);
}

// faults.md: R72
/// A letter comes while the disk removes its conversation.
#[test]
fn conversation_used_during_removal_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    live(&mut rig);
    hear_all(&mut rig);
    rig.commits = false;
    while !rig.asked.iter().any(|(_, record)| matches!(record, Record::Rested(_))) {
        rig.wait(secs(10));
        assert!(rig.tick < START + secs(2 * KEEP_S), "no conversation is inactive");
    }
    let mut tom = Hand::member(&mut rig, udp(1, 20), 1, "TOM");
    tom.write(&mut rig, "JACK", 3, 2, "are you there");
    rig.commits = true;
    rig.take(Vec::new());
    rig.wait(secs(5));
    leave(&mut rig, &mut tom);
    rig.wait(secs(5));
    let [before, after] = killed(rig, dir.path());
    assert_eq!(before.marks.len(), 1, "{before:?}");
    assert_eq!(before, after);
}

// faults.md: R72
/// The relay is killed after writing a letter and before writing that its sender's name is used.
#[test]
fn name_with_mail_counts_as_used_after_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    let (mut tom, mut jack) = super::house::two(&mut rig);
    leave(&mut rig, &mut jack);
    rig.refuses = |record| matches!(record, Record::Roll(Change::Used { .. }));
    tom.write(&mut rig, "JACK", 1, 0, "hello");
    rig.wait(ms(10));
    let [before, after] = killed(rig, dir.path());
    assert_eq!((before.unused.len(), after.unused.len()), (0, 0));
    let mut rig = Rig::open(dir.path(), limits(), START);
    rig.wait(secs(1));
    let [before, after] = killed(rig, dir.path());
    assert_eq!((before.unused, before.unwritten), (after.unused, 0));
    let state = queqiao::store::RelayStore::open(dir.path(), || [0; 32]).unwrap().1;
    assert_eq!(state.roll.unused, [], "the use is written");
}

// faults.md: R72
/// All tickets are answered: records that a stopped relay could not write are tried once more as it
/// ends.
#[test]
fn ending_relay_retries_failed_records_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), limits(), START);
    let (_tom, mut jack) = super::house::two(&mut rig);
    rig.full = true;
    screen(&mut rig, &mut jack, &["TOM"]);
    rig.wait(ms(10));
    rig.full = false;
    rig.take(vec![Given::Other(Input::Command(queqiao::relay::Command::Stop))]);
    drop(rig);
    let state = queqiao::store::RelayStore::open(dir.path(), || [0; 32]).unwrap().1;
    assert_eq!(state.roll.blocks.len(), 1);
}

// faults.md: R72
/// When the relay is killed, the disk has only waiting letters of a conversation, or read claims of
/// their recipient. A letter expires then, and the rest of the conversation is as old.
#[test]
fn disk_keeps_flow_of_expired_letter() {
    for claimed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), limits(), START);
        let (mut tom, mut jack) = super::house::two(&mut rig);
        if claimed {
            let outbox = OutboxId(0xB0);
            jack.say(&mut rig, StreamId::Control, &ToRelay::Read { from: "TOM", outbox, through: 9 });
        }
        leave(&mut rig, &mut jack);
        tom.write(&mut rig, "JACK", 1, 0, "hello");
        rig.wait(secs(1));
        assert_eq!(rig.relay.stats().letters_written, 1);
        for _ in 0..2 {
            let tick = rig.tick;
            drop(rig);
            rig = Rig::open(dir.path(), limits(), tick);
            rig.wait(secs(2 * KEEP_S));
            let tick = rig.tick;
            let [before, after] = killed(rig, dir.path());
            assert_eq!(before.refusals.len(), 1, "claimed: {claimed}");
            assert_eq!(before, after, "claimed: {claimed}");
            rig = Rig::open(dir.path(), limits(), tick);
        }
    }
}
