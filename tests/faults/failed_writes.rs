//! Disks that refuse single records: each failure is handled, so that memory and disk agree when
//! the disk takes records again.

use std::path::Path as FolderPath;

use queqiao::base::{Input, LetterId, Mark, OutboxId};
use queqiao::relay::{Limits, MembershipChange, PersistedFlow, Record, RelaySnapshot};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{
    ALLOW_LIST, BLOCK_LIST_FIRST, BLOCK_LIST_LAST, EarlierMarks, MarkToken, NameList, NameReason, OutboxMark,
    Reason, ToRelay,
};

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{HarnessInput, RelayHarness, START, ms, secs, udp};

/// Time that a mailbox keeps a letter, in seconds. The relay checks all conversations each minute.
const KEEP_S: u64 = 1_000;
/// Time in which everything is written once the disk takes records again, in seconds: the longest
/// pause between attempts and the commits after it.
const WRITTEN_WITHIN_S: u64 = 40;
const DAY_S: u64 = 24 * 3_600;

fn limits() -> Limits {
    Limits { keep: secs(KEEP_S), ..Limits::default() }
}

fn known(relay: &mut RelayHarness) -> RelaySnapshot {
    relay.core.snapshot(relay.tick)
}

/// Kills the relay and starts another on its folder. Returns the knowledge of both, without state
/// that is kept in memory only.
fn killed(mut relay: RelayHarness, dir: &FolderPath) -> [RelaySnapshot; 2] {
    let mut before = known(&mut relay);
    let tick = relay.tick;
    drop(relay);
    let mut relay = RelayHarness::open(dir, limits(), tick);
    let mut after = known(&mut relay);
    let is_ahead = |marks: &PersistedFlow| {
        before
            .ahead
            .iter()
            .any(|flow| (&flow.from, &flow.to, flow.outbox) == (&marks.from, &marks.to, marks.outbox))
    };
    after.flows.retain(|marks| !is_ahead(marks));
    for known in [&mut before, &mut after] {
        known.clock = 0;
        known.sessions = Vec::new();
        known.ahead = Vec::new();
    }
    [before, after]
}

/// Sends a block list, and an allow list with TOM.
fn screen(relay: &mut RelayHarness, client: &mut RawClient, blocked: &[&str]) {
    for (list, names) in [(ALLOW_LIST, &["TOM"][..]), (0, blocked)] {
        let mut bytes = Vec::new();
        names.iter().for_each(|name| NameList::put(&mut bytes, name));
        let flags = list | BLOCK_LIST_FIRST | BLOCK_LIST_LAST;
        client.send_message(
            relay,
            StreamId::Control,
            &ToRelay::BlockList { flags, names: NameList::new(&bytes) },
        );
    }
}

fn leave(relay: &mut RelayHarness, client: &mut RawClient) {
    client.send(relay, &[Frame::Close { code: 0, reason: "" }]);
}

/// Does everything once that makes a relay write records.
fn live(relay: &mut RelayHarness) {
    let (mut tom, mut jack) = super::fixtures::two_members(relay);
    screen(relay, &mut jack, &["bob", "eve"]);
    // One letter waits on the disk and is read. Its sender gets the receipt at its next sign-in.
    leave(relay, &mut jack);
    tom.send_letter(relay, "JACK", 1, 0, "hello");
    tom.send_letter(relay, "echo", 1, 0, "hello");
    leave(relay, &mut tom);
    relay.wait(secs(1));
    let mut jack = RawClient::signed_in(relay, udp(2, 2), 2, "JACK");
    jack.receive(relay);
    jack.report_stored(relay, "TOM", 1);
    jack.send_message(
        relay,
        StreamId::Control,
        &ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: 1 },
    );
    jack.send_message(
        relay,
        StreamId::Control,
        &ToRelay::Read { from: "TOM", outbox: OutboxId(7), through: 3 },
    );
    // Another is refused, and its sender acknowledges the refusal.
    let mut tom = RawClient::signed_in(relay, udp(1, 2), 1, "TOM");
    tom.receive(relay);
    leave(relay, &mut jack);
    tom.send_letter(relay, "JACK", 2, 1, "you there");
    relay.wait(ms(100));
    let mut jack = RawClient::signed_in(relay, udp(2, 3), 2, "JACK");
    jack.receive(relay);
    let id = LetterId { outbox: OutboxId(0xB0), number: 2 };
    let refusal = ToRelay::RecipientRefusal { from: "TOM", id, reason: Reason::Full };
    jack.send_message(relay, StreamId::Control, &refusal);
    relay.wait(secs(2));
    assert_eq!(tom.take_refusals(relay), [(2, Reason::Full)]);
    tom.send_message(relay, StreamId::Control, &ToRelay::RefusalReceived { to: "JACK", id });
    leave(relay, &mut tom);
    leave(relay, &mut jack);
    relay.wait(secs(2));
}

/// Signs the sender in until it has received and acknowledged everything.
fn hear_all(relay: &mut RelayHarness) {
    for port in 10..13 {
        let mut tom = RawClient::signed_in(relay, udp(1, port), 1, "TOM");
        tom.receive(relay);
        leave(relay, &mut tom);
        relay.wait(secs(200));
    }
}

type Kind = (&'static str, fn(&Record) -> bool);

const KINDS: [Kind; 8] = [
    ("none", |_| false),
    ("lists", |record| matches!(record, Record::Membership(MembershipChange::Lists { .. }))),
    ("seen", |record| matches!(record, Record::Membership(MembershipChange::Seen { .. }))),
    ("used", |record| matches!(record, Record::Membership(MembershipChange::Used { .. }))),
    ("progress", |record| matches!(record, Record::Progress { .. })),
    ("heard", |record| matches!(record, Record::RefusalAcknowledged(_))),
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
        let mut relay = RelayHarness::open(dir.path(), limits(), START);
        relay.disk_refuses = refuses;
        live(&mut relay);
        assert!(relay.refused > 0 || ["none", "clock"].contains(&kind), "{kind}: nothing was refused");
        relay.disk_refuses = |_| false;
        relay.wait(secs(WRITTEN_WITHIN_S));
        let [before, after] = killed(relay, dir.path());
        assert_eq!(before.lists.len(), 1, "{kind}: {before:?}");
        assert!(
            before.refusals.is_empty() && !before.flows.is_empty() && before.unused.is_empty(),
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
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    relay.disk_refuses = |record| matches!(record, Record::SignedIn { .. });
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 1), 1, counter).unwrap();
    let said = MarkToken { mark: Mark(3), token: 9 };
    let outbox =
        Some(OutboxMark { outbox: OutboxId(0xB0), mark_token: said, earlier: EarlierMarks::default() });
    let features = Features::OURS;
    let sign_in = ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: false, outbox, features };
    tom.send_message(&mut relay, StreamId::Control, &sign_in);
    relay.wait(secs(3));
    assert!(relay.refused > 1, "it is tried again while its session is there");
    leave(&mut relay, &mut tom);
    relay.wait(secs(5));
    relay.disk_refuses = |_| false;
    relay.wait(secs(WRITTEN_WITHIN_S));
    let [before, after] = killed(relay, dir.path());
    assert_eq!(before.outboxes.iter().map(|kept| kept.mark_token).collect::<Vec<_>>(), [said]);
    assert_eq!(before, after);
}

// faults.md: R72
/// The relay is killed after the disk has taken the list.
#[test]
fn block_list_refused_by_full_disk_holds_after_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    let (mut tom, mut jack) = super::fixtures::two_members(&mut relay);
    relay.disk_is_full = true;
    screen(&mut relay, &mut jack, &["TOM"]);
    relay.wait(secs(5));
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::Blocked)], "it holds at once");
    relay.disk_is_full = false;
    relay.wait(secs(WRITTEN_WITHIN_S));
    let tick = relay.tick;
    drop(relay);
    let mut relay = RelayHarness::open(dir.path(), limits(), tick);
    (0..10).for_each(|_| assert!(relay.next_counter() > 0));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 9), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::Blocked)]);
}

// faults.md: R72
/// Hundreds of lists and sessions of one member while the disk refuses for an hour.
#[test]
fn disk_refusing_for_1_h_costs_one_entry_per_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    super::fixtures::two_members(&mut relay);
    relay.wait(secs(2));
    relay.disk_is_full = true;
    for n in 0..360_u16 {
        let mut jack = RawClient::signed_in(&mut relay, udp(2, 10 + n), 2, "JACK");
        screen(&mut relay, &mut jack, &[["bob", "eve"][usize::from(n % 2)]]);
        leave(&mut relay, &mut jack);
        relay.wait(secs(9));
    }
    let most = ["Blocked", "Seen of two", "Notes", "Clock"].len() + 1;
    assert!(known(&mut relay).unwritten <= most, "{}", known(&mut relay).unwritten);
    let before = relay.refused;
    relay.wait(secs(360));
    let tried = relay.refused - before;
    assert!((10..=16).contains(&tried), "{tried} attempts in six minutes without other events");
    relay.disk_is_full = false;
    relay.wait(secs(WRITTEN_WITHIN_S));
    let [before, after] = killed(relay, dir.path());
    assert_eq!((before.unwritten, before.lists.len()), (0, 1));
    assert_eq!(before, after);
}

// faults.md: R72
/// The name belongs to its member until the disk has freed it. Then another may register it, on the
/// disk too.
#[test]
fn name_not_freed_on_disk_is_freed_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    let mut idle = RawClient::signed_in(&mut relay, udp(1, 1), 1, "idle");
    leave(&mut relay, &mut idle);
    relay.disk_refuses = |record| matches!(record, Record::Membership(MembershipChange::Freed { .. }));
    relay.wait(secs(31 * DAY_S));
    assert!(relay.refused > 100, "{} attempts in a day", relay.refused);
    assert_eq!(relay.core.stats().names_freed, 0);
    let counter = relay.next_counter();
    let mut heir = RawClient::handshake(&mut relay, udp(2, 1), 2, counter).unwrap();
    heir.sign_in(&mut relay, "idle");
    assert_eq!(
        heir.take_messages(StreamId::Control),
        [SeenMessage::NameRefused(NameReason::Taken, "idle".into())]
    );
    relay.disk_refuses = |_| false;
    relay.wait(secs(WRITTEN_WITHIN_S));
    assert_eq!(relay.core.stats().names_freed, 1);
    RawClient::signed_in(&mut relay, udp(2, 2), 2, "idle");
    relay.wait(secs(2));
    let [before, after] = killed(relay, dir.path());
    assert_eq!(before, after);
}

// faults.md: R72
/// The sign-in waits for the disk. The owner has its name whether the disk freed it or not.
#[test]
fn owner_signing_in_while_name_is_freed_keeps_it() {
    for kept in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
        let mut idle = RawClient::signed_in(&mut relay, udp(1, 1), 1, "idle");
        leave(&mut relay, &mut idle);
        relay.wait(secs(30 * DAY_S - 60));
        relay.auto_commit = false;
        relay.wait(secs(120));
        let is_freed = |record: &Record| matches!(record, Record::Membership(MembershipChange::Freed { .. }));
        assert!(relay.records.iter().any(|(_, record)| is_freed(record)));
        let counter = relay.next_counter();
        let mut owner = RawClient::handshake(&mut relay, udp(1, 2), 1, counter).unwrap();
        owner.sign_in(&mut relay, "idle");
        assert_eq!(owner.take_messages(StreamId::Control), []);
        if kept {
            relay.disk_refuses =
                |record| matches!(record, Record::Membership(MembershipChange::Freed { .. }));
        }
        relay.auto_commit = true;
        relay.take_turn(Vec::new());
        relay.wait(ms(100));
        owner.receive(&mut relay);
        assert_eq!(owner.take_messages(StreamId::Control), [SeenMessage::Welcome], "kept: {kept}");
        relay.disk_refuses = |_| false;
        relay.wait(secs(WRITTEN_WITHIN_S));
        let [before, after] = killed(relay, dir.path());
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
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    live(&mut relay);
    hear_all(&mut relay);
    relay.disk_refuses = |record| matches!(record, Record::Pruned(_));
    relay.wait(secs(2 * KEEP_S));
    assert!(relay.refused > 1);
    let marks = known(&mut relay).flows.len();
    assert!(marks > 0, "disk and memory have the same marks");
    relay.disk_refuses = |_| false;
    relay.wait(secs(2 * KEEP_S));
    assert_eq!(known(&mut relay).flows, []);
    let [before, after] = killed(relay, dir.path());
    assert_eq!(before, after);
}

// faults.md: R72
/// A letter comes while the disk removes its conversation.
#[test]
fn conversation_used_during_removal_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    live(&mut relay);
    hear_all(&mut relay);
    relay.auto_commit = false;
    while !relay.records.iter().any(|(_, record)| matches!(record, Record::Pruned(_))) {
        relay.wait(secs(10));
        assert!(relay.tick < START + secs(2 * KEEP_S), "no conversation is inactive");
    }
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 20), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 3, 2, "are you there");
    relay.auto_commit = true;
    relay.take_turn(Vec::new());
    relay.wait(secs(5));
    leave(&mut relay, &mut tom);
    relay.wait(secs(5));
    let [before, after] = killed(relay, dir.path());
    assert_eq!(before.flows.len(), 1, "{before:?}");
    assert_eq!(before, after);
}

// faults.md: R72
/// The relay is killed after writing a letter and before writing that its sender's name is used.
#[test]
fn name_with_mail_counts_as_used_after_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    let (mut tom, mut jack) = super::fixtures::two_members(&mut relay);
    leave(&mut relay, &mut jack);
    relay.disk_refuses = |record| matches!(record, Record::Membership(MembershipChange::Used { .. }));
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    relay.wait(ms(10));
    let [before, after] = killed(relay, dir.path());
    assert_eq!((before.unused.len(), after.unused.len()), (0, 0));
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    relay.wait(secs(1));
    let [before, after] = killed(relay, dir.path());
    assert_eq!((before.unused, before.unwritten), (after.unused, 0));
    let state = queqiao::store::RelayStore::open(dir.path(), || [0; 32]).unwrap().1;
    assert_eq!(state.membership.unused, [], "the use is written");
}

// faults.md: R72
/// All tickets are answered: records that a stopped relay could not write are tried once more as it
/// ends.
#[test]
fn ending_relay_retries_failed_records_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), limits(), START);
    let (_tom, mut jack) = super::fixtures::two_members(&mut relay);
    relay.disk_is_full = true;
    screen(&mut relay, &mut jack, &["TOM"]);
    relay.wait(ms(10));
    relay.disk_is_full = false;
    relay.take_turn(vec![HarnessInput::Other(Input::Command(queqiao::relay::Command::Stop))]);
    drop(relay);
    let state = queqiao::store::RelayStore::open(dir.path(), || [0; 32]).unwrap().1;
    assert_eq!(state.membership.lists.len(), 1);
}

// faults.md: R72
/// When the relay is killed, the disk has only waiting letters of a conversation, or read claims of
/// their recipient. A letter expires then, and the rest of the conversation is as old.
#[test]
fn disk_keeps_flow_of_expired_letter() {
    for claimed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), limits(), START);
        let (mut tom, mut jack) = super::fixtures::two_members(&mut relay);
        if claimed {
            let outbox = OutboxId(0xB0);
            jack.send_message(
                &mut relay,
                StreamId::Control,
                &ToRelay::Read { from: "TOM", outbox, through: 9 },
            );
        }
        leave(&mut relay, &mut jack);
        tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
        relay.wait(secs(1));
        assert_eq!(relay.core.stats().letters_written, 1);
        for _ in 0..2 {
            let tick = relay.tick;
            drop(relay);
            relay = RelayHarness::open(dir.path(), limits(), tick);
            relay.wait(secs(2 * KEEP_S));
            let tick = relay.tick;
            let [before, after] = killed(relay, dir.path());
            assert_eq!(before.refusals.len(), 1, "claimed: {claimed}");
            assert_eq!(before, after, "claimed: {claimed}");
            relay = RelayHarness::open(dir.path(), limits(), tick);
        }
    }
}
