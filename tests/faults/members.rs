//! Attacks of a signed-in member on the relay and other members: rates, names, counting.

use queqiao::base::{LetterId, OutboxId, Wall};
use queqiao::relay::Limits;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::{
    BLOCK_LIST_FIRST, BLOCK_LIST_LAST, KIND_TEXT, Letter, NameList, NameReason, Reason, ToRelay,
};
use queqiao::wire::varint::write_varint;

use super::fixtures::two_members;
use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Returns the number of letters taken.
fn taken(relay: &RelayHarness) -> u64 {
    relay.core.stats().letters_taken
}

fn few(letters_per_second: u32, letters_burst: u32) -> Limits {
    Limits { letters_per_second, letters_burst, ..Limits::default() }
}

// faults.md: R53
#[test]
fn letters_over_rate_wait_and_control_continues() {
    let mut relay = RelayHarness::with(few(10, 20));
    let (mut tom, mut jack) = two_members(&mut relay);
    for number in 1..=30 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "hello");
    }
    assert_eq!(taken(&relay), 20, "the burst, and not one more");
    jack.receive(&mut relay);
    jack.report_stored(&mut relay, "TOM", 20);
    tom.receive(&mut relay);
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 20 };
    assert_eq!(tom.take_messages(StreamId::Control), [receipt], "control is not delayed");
    relay.wait(ms(500));
    assert_eq!(taken(&relay), 25, "ten a second");
    relay.wait(ms(500));
    assert_eq!(taken(&relay), 30, "nothing is dropped");
    assert_eq!(tom.close_code(), None);
}

// faults.md: R53
#[test]
fn new_session_has_no_new_letter_burst() {
    let mut relay = RelayHarness::with(few(10, 20));
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2_000), 2, "JACK");
    for _ in 0..5 {
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
        for number in 1..=30 {
            tom.send_letter(&mut relay, "JACK", number, number - 1, "hello");
        }
        relay.wait(ms(100));
        jack.receive(&mut relay);
    }
    let most = 20 + 5;
    assert!(taken(&relay) <= most, "{} taken, {most} allowed in half a second", taken(&relay));
}

/// Returns the numbers of letters refused because the name is unknown, each with similar names.
fn told_unknown(client: &mut RawClient, relay: &mut RelayHarness) -> Vec<u64> {
    client.receive(relay);
    let unknown = |messages: &SeenMessage| match messages {
        SeenMessage::Refused { reason: Reason::Unknown, nearest: 1, number, .. } => Some(*number),
        other => panic!("only unknown names with one similar name, not {other:?}"),
    };
    client.take_messages(StreamId::Control).iter().filter_map(unknown).collect()
}

// faults.md: R61
#[test]
fn unknown_names_get_30_answers_a_minute_and_none_is_lost() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    tom.take_messages(StreamId::Control);
    for number in 1..=60 {
        tom.send_letter_from(&mut relay, OutboxId(number), "JACC", (1, 0), b"");
    }
    assert_eq!(told_unknown(&mut tom, &mut relay).len(), 30);
    relay.wait(secs(10));
    assert_eq!(told_unknown(&mut tom, &mut relay).len(), 5, "one every two seconds");
    relay.wait(secs(50));
    assert_eq!(told_unknown(&mut tom, &mut relay).len(), 25, "each letter has its answer");
    assert_eq!(relay.core.stats().letters_refused, 60);
}

/// Writes letters to an unknown name, each from another outbox: one more than are answered at once.
fn write_to_nobody(client: &mut RawClient, relay: &mut RelayHarness) {
    for number in 1..=31 {
        client.send_letter_from(relay, OutboxId(number), "JACC", (1, 0), b"");
    }
}

// faults.md: R61
#[test]
fn letters_to_one_unknown_name_cost_one_look_up() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    tom.take_refusals(&mut relay);
    for number in 1..=500 {
        tom.send_letter(&mut relay, "nobody", number, number - 1, "hello");
    }
    assert_eq!(relay.core.stats().letters_refused, 500);
    let messages = tom.take_refusals(&mut relay);
    assert!(
        messages.len() > 100 && messages.iter().all(|(_, reason)| *reason == Reason::Unknown),
        "{messages:?}"
    );
    for number in 1..=29 {
        tom.send_letter_from(&mut relay, OutboxId(number), "no-one", (1, 0), b"");
    }
    assert_eq!(relay.core.stats().letters_refused, 529, "other names are answered at once");
    tom.send_letter(&mut relay, "no-one", 1, 0, "the thirty-first name");
    relay.wait(ms(1_900));
    assert_eq!(relay.core.stats().letters_refused, 529);
    relay.wait(ms(100));
    assert_eq!(relay.core.stats().letters_refused, 530);
}

// faults.md: R61
/// An answer from the negative cache stays the same although the name was registered in between.
#[test]
fn cached_unknown_does_not_reveal_new_registration() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    for number in 1..=30 {
        tom.send_letter(&mut relay, "ANN", number, number - 1, "hello");
    }
    assert_eq!(tom.take_refusals(&mut relay).len(), 30);
    let mut ann = RawClient::signed_in(&mut relay, udp(3, 3_000), 3, "ANN");
    tom.send_letter(&mut relay, "ANN", 31, 30, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [(31, Reason::Unknown)]);
    relay.wait(secs(2));
    tom.send_letter(&mut relay, "ANN", 32, 31, "hello");
    assert_eq!(
        tom.take_refusals(&mut relay),
        [(32, Reason::Behind)],
        "31 was refused, so 32 would break the order"
    );
    tom.send_letter(&mut relay, "ANN", 32, 0, "hello");
    ann.receive(&mut relay);
    assert_eq!((ann.take_messages(StreamId::Chat).len(), taken(&relay)), (1, 1));
}

// faults.md: R61
#[test]
fn new_name_is_found_within_1_min_whatever_is_asked() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    tom.send_letter(&mut relay, "ANN", 1, 0, "hello");
    let mut ann = RawClient::signed_in(&mut relay, udp(3, 3_000), 3, "ANN");
    let mut number = 1;
    let mut other = 0;
    for second in 0..60 {
        for _ in 0..if second == 0 { 40 } else { 1 } {
            other += 1;
            tom.send_letter_from(&mut relay, OutboxId(other), "JACC", (1, 0), b"");
        }
        number += 1;
        tom.send_letter(&mut relay, "ANN", number, 0, "are you there?");
        relay.wait(secs(1));
        ann.receive(&mut relay);
        tom.receive(&mut relay);
    }
    relay.wait(secs(60));
    ann.receive(&mut relay);
    assert!(!ann.take_messages(StreamId::Chat).is_empty(), "the name is not found");
}

// faults.md: R61
/// Letters pass while an answer waits. Their receipts would reveal that the name before them is
/// unknown, so receipts wait.
#[test]
fn letter_behind_waiting_answer_is_delivered() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    tom.take_messages(StreamId::Control);
    write_to_nobody(&mut tom, &mut relay);
    tom.send_letter(&mut relay, "JACK", 1, 0, "behind it");
    assert_eq!(told_unknown(&mut tom, &mut relay).len(), 30);
    assert_eq!((jack.take_deliveries(&mut relay).len(), taken(&relay)), (1, 1));
    jack.report_stored(&mut relay, "TOM", 1);
    for outbox in [OutboxId(0xB0), OutboxId(99)] {
        tom.send_message(
            &mut relay,
            StreamId::Control,
            &ToRelay::QueryReceipt { to: "JACK", outbox, accepted: 0, settled: 0 },
        );
        tom.send_message(
            &mut relay,
            StreamId::Control,
            &ToRelay::QueryReceipt { to: "JACC", outbox, accepted: 0, settled: 0 },
        );
    }
    let messages = tom.take_messages(StreamId::Control);
    let none = |to: &str| SeenMessage::Receipt { to: to.into(), delivered: 0 };
    assert_eq!(messages, [none("JACK"), none("JACC"), none("JACK"), none("JACC")]);
    relay.wait(secs(2));
    tom.receive(&mut relay);
    let messages = tom.take_messages(StreamId::Control);
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 1 };
    assert!(
        matches!(&messages[..], [SeenMessage::Refused { number: 1, .. }, last] if *last == receipt),
        "{messages:?}"
    );
}

// faults.md: R61
#[test]
fn known_conversations_get_receipts_while_answers_wait() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    jack.take_deliveries(&mut relay);
    tom.take_messages(StreamId::Control);
    write_to_nobody(&mut tom, &mut relay);
    for number in 2..=40 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "on and on");
        jack.report_stored(&mut relay, "TOM", number);
        tom.receive(&mut relay);
        let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: number };
        assert_eq!(tom.take_messages(StreamId::Control).last(), Some(&receipt));
    }
}

// faults.md: R61
#[test]
fn name_registered_during_wait_gets_letters_again() {
    let mut relay =
        RelayHarness::with(Limits { letters_per_second: 1, letters_burst: 37, ..Limits::default() });
    let (mut tom, _) = two_members(&mut relay);
    write_to_nobody(&mut tom, &mut relay);
    tom.take_refusals(&mut relay);
    (1..=3).for_each(|number| tom.send_letter(&mut relay, "ANN", number, number - 1, "are you there?"));
    let mut ann = RawClient::signed_in(&mut relay, udp(3, 3_000), 3, "ANN");
    relay.wait(secs(2));
    tom.receive(&mut relay);
    let messages = tom.take_messages(StreamId::Control);
    let behind = |t: &SeenMessage| {
        matches!(t, SeenMessage::Refused { number: 1, through: 3, reason: Reason::Behind, .. })
    };
    assert!(messages.iter().any(behind), "{messages:?}");
    // Five are left of the burst and of two seconds.
    (4..=7).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "counts"));
    (1..=3).for_each(|number| tom.send_letter(&mut relay, "ANN", number, number - 1, "are you there?"));
    assert_eq!(ann.take_deliveries(&mut relay).len(), 3, "letters sent again do not count");
}

// faults.md: R61
#[test]
fn new_session_reveals_no_name_early() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    tom.take_messages(StreamId::Control);
    write_to_nobody(&mut tom, &mut relay);
    let mut again = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    again.send_letter_from(&mut relay, OutboxId(31), "JACC", (1, 0), b"");
    again.send_letter(&mut relay, "JACK", 1, 0, "is there a JACK?");
    assert!(told_unknown(&mut again, &mut relay).is_empty());
    relay.wait(ms(700));
    let mut again = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    again.send_letter(&mut relay, "JACK", 1, 0, "is there a JACK?");
    relay.wait(ms(700));
    assert_eq!(again.take_messages(StreamId::Control), [], "JACC has its turn though nothing asks for it");
    relay.wait(secs(1));
    again.receive(&mut relay);
    assert_eq!(
        again.take_messages(StreamId::Control),
        [SeenMessage::Receipt { to: "JACK".into(), delivered: 0 }]
    );
}

// faults.md: R61
#[test]
fn waiting_answers_are_bounded_and_known_flows_continue() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    RawClient::signed_in(&mut relay, udp(3, 3_000), 3, "ANN");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hello");
    for number in 1..=30 + 256 {
        tom.send_letter_from(&mut relay, OutboxId(number), "JACC", (1, 0), b"");
    }
    tom.take_refusals(&mut relay);
    tom.send_letter_from(&mut relay, OutboxId(900), "JACC", (1, 0), b"");
    tom.send_letter_from(&mut relay, OutboxId(900), "ANN", (1, 0), b"");
    assert_eq!(
        tom.take_refusals(&mut relay),
        [(1, Reason::Full), (1, Reason::Full)],
        "whether the name exists or not"
    );
    tom.send_letter(&mut relay, "JACK", 2, 1, "hello again");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 2);
}

/// A letter behind a refused one is read twice and counts once. A circle of refusals still has a
/// cost.
#[test]
fn letter_sent_again_after_behind_counts_once() {
    let limits = Limits { letters_per_second: 1, letters_burst: 40, pair_letters: 10, ..Limits::default() };
    let mut relay = RelayHarness::with(limits);
    let (mut tom, mut jack) = two_members(&mut relay);
    (1..=10).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "hello"));
    (11..=30).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "hello"));
    assert_eq!(tom.take_refusals(&mut relay).len(), 20);
    assert_eq!(jack.take_deliveries(&mut relay).len(), 10);
    jack.report_stored(&mut relay, "TOM", 10);
    tom.send_letter(&mut relay, "JACK", 12, 10, "again");
    (13..=21).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "again"));
    assert_eq!(jack.take_deliveries(&mut relay).len(), 10, "ten of forty are left");
    jack.report_stored(&mut relay, "TOM", 21);
    tom.send_letter(&mut relay, "JACK", 40, 39, "new");
    let refused = relay.core.stats().letters_refused;
    // Each of these has had its free repetition.
    for _ in 0..10 {
        (12..=21).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "again"));
    }
    assert_eq!((taken(&relay), relay.core.stats().letters_refused), (21, refused));
    tom.send_letter(&mut relay, "JACK", 41, 40, "waits");
    assert_eq!(taken(&relay), 21, "the circle used up the rest");
}

#[test]
fn blocked_burst_gets_one_refusal_for_all() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    let mut names = Vec::new();
    NameList::put(&mut names, "TOM");
    let flags = BLOCK_LIST_FIRST | BLOCK_LIST_LAST;
    jack.send_message(
        &mut relay,
        StreamId::Control,
        &ToRelay::BlockList { flags, names: NameList::new(&names) },
    );
    tom.take_messages(StreamId::Control);
    let mut burst = Vec::new();
    let body = encode_text("hello", Wall(1));
    for number in 1..=20 {
        let id = LetterId { outbox: OutboxId(5), number };
        let letter = Letter {
            to: "JACK",
            id,
            prev: number - 1,
            mark: queqiao::base::Mark(0),
            kind: KIND_TEXT,
            body: &body,
        };
        let mut bytes = Vec::new();
        ToRelay::Letter(letter).encode(&mut bytes);
        write_varint(&mut burst, bytes.len() as u64);
        burst.extend_from_slice(&bytes);
    }
    tom.send(&mut relay, &[Frame::Stream { stream: StreamId::Chat, offset: 0, data: &burst }]);
    let whole = SeenMessage::Refused {
        to: "JACK".into(),
        number: 1,
        through: 20,
        reason: Reason::Blocked,
        may_have_arrived: false,
        nearest: 0,
    };
    assert_eq!(tom.take_messages(StreamId::Control), [whole]);
    assert_eq!(relay.core.stats().letters_refused, 20);
}

// faults.md: R61
#[test]
fn address_learns_of_30_taken_names_a_minute() {
    let mut relay = RelayHarness::new();
    two_members(&mut relay);
    let mut messages = Vec::new();
    for member in 100..140 {
        let mut stranger = RawClient::handshake(&mut relay, udp(7, 7), member, 1).unwrap();
        stranger.sign_in(&mut relay, "JACK");
        messages.extend(stranger.take_messages(StreamId::Control));
        relay.wait(ms(210));
    }
    let taken = SeenMessage::NameRefused(NameReason::Taken, "JACK".into());
    let too_many = SeenMessage::NameRefused(NameReason::TooMany, String::new());
    let count = |wanted: &SeenMessage| messages.iter().filter(|messages| *messages == wanted).count();
    assert_eq!((count(&taken), count(&too_many)), (34, 6), "thirty, and one every two seconds");
    let mut tom = RawClient::signed_in(&mut relay, udp(7, 7), 1, "TOM");
    tom.receive(&mut relay);
    assert_eq!(tom.close_code(), None, "the owner of a name is not affected");
}

// faults.md: R61
#[test]
fn only_members_may_look_up_names() {
    let mut relay = RelayHarness::new();
    RawClient::signed_in(&mut relay, udp(2, 2_000), 2, "JACK");
    let mut stranger = RawClient::handshake(&mut relay, udp(9, 1_000), 9, 1).unwrap();
    stranger.send_letter(&mut relay, "JACK", 1, 0, "is there a JACK?");
    stranger.send_letter(&mut relay, "JACC", 1, 0, "or a JACC?");
    relay.wait(secs(5));
    stranger.receive(&mut relay);
    assert!(stranger.take_messages(StreamId::Control).is_empty());
    assert_eq!(relay.core.stats().letters_refused, 0);
}
