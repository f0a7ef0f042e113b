//! Floods of control messages. They are read at a limited rate and none is dropped. Messages that
//! only report the state of letters have no limit.

use queqiao::base::OutboxId;
use queqiao::relay::Limits;
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList, Reason, ToRelay};

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Flags of a block list in a single part.
const WHOLE: u8 = BLOCK_LIST_FIRST | BLOCK_LIST_LAST;

/// Returns a block list of these names.
fn list(names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    names.iter().for_each(|name| NameList::put(&mut bytes, name));
    let mut message = Vec::new();
    ToRelay::BlockList { flags: WHOLE, names: NameList::new(&bytes) }.encode(&mut message);
    message
}

/// Sends these messages in turn for `secs` seconds, as fast as there is credit.
fn flood(relay: &mut RelayHarness, client: &mut RawClient, secs: u64, messages: &[Vec<u8>]) {
    let mut sent = 0;
    for _ in 0..secs * 5 {
        for _ in 0..100 {
            let message = &messages[sent % messages.len()];
            if client.credit(StreamId::Control) < message.len() + 2 {
                break;
            }
            client.send_message_bytes(relay, StreamId::Control, message);
            sent += 1;
        }
        relay.wait(ms(200));
        client.receive(relay);
    }
}

fn limits(control_burst: u32, control_per_second: u32) -> Limits {
    Limits { control_burst, control_per_second, ..Limits::default() }
}

/// Unlimited, a member sent 239,000 block lists a second, and each was written to the disk.
#[test]
fn block_lists_are_rate_limited_and_last_one_applies() {
    let mut relay = RelayHarness::with(limits(1_000, 1_000));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let before = relay.membership_records;
    flood(&mut relay, &mut tom, 5, &[list(&["JACK", "ANN"]), list(&["ANN"])]);
    let written = relay.membership_records - before;
    assert!((50..=60).contains(&written), "{written} lists, each as dear as a hundred messages, in 5 s");
    for _ in 0..30 {
        relay.wait(secs(10));
        tom.send(&mut relay, &[Frame::Ping]);
    }
    tom.send_message_bytes(&mut relay, StreamId::Control, &list(&["JACK"]));
    assert_eq!(tom.close_code(), None);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    jack.send_letter(&mut relay, "TOM", 1, 0, "hello");
    assert_eq!(jack.take_refusals(&mut relay), [(1, Reason::Blocked)], "nothing was dropped");
}

#[test]
fn long_lists_cost_more_than_short_messages() {
    let long: Vec<String> = (0..300).map(|n| format!("MEMBER{n:04}")).collect();
    let long = list(&long.iter().map(String::as_str).collect::<Vec<_>>());
    let mut ask = Vec::new();
    ToRelay::QueryReceipt { to: "NO", outbox: OutboxId(7), accepted: 0, settled: 0 }.encode(&mut ask);
    let answered = |messages: &[Vec<u8>]| {
        let mut relay = RelayHarness::with(limits(300, 20));
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
        // A list that is stored already costs only by its length.
        tom.send_message_bytes(&mut relay, StreamId::Control, &messages[0]);
        relay.wait(secs(60));
        flood(&mut relay, &mut tom, 10, messages);
        tom.take_messages(StreamId::Control)
            .iter()
            .filter(|message| matches!(message, SeenMessage::Receipt { .. }))
            .count()
    };
    let alone = answered(&[ask.clone()]);
    let among = answered(&[long, ask]);
    assert!((450..=510).contains(&alone), "{alone} questions in 10 s");
    assert!((3..=6).contains(&among), "{among} questions, each behind a list, in 10 s");
}

#[test]
fn limits_off_reads_flood_at_once() {
    let mut relay = RelayHarness::with(Limits { per_sender: false, ..limits(10, 1) });
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let before = relay.membership_records;
    flood(&mut relay, &mut tom, 2, &[list(&["JACK", "ANN"]), list(&["ANN"])]);
    assert_eq!(relay.membership_records - before, 1_000);
}

/// Five sessions one after another: the rate belongs to the member.
#[test]
fn new_session_has_no_new_allowance() {
    let mut relay = RelayHarness::with(limits(500, 1));
    let lists = [list(&["JACK", "ANN"]), list(&["ANN"])];
    let mut written = 0;
    for port in 1..=5 {
        let mut tom = RawClient::signed_in(&mut relay, udp(1, port), 1, "TOM");
        let before = relay.membership_records;
        flood(&mut relay, &mut tom, 1, &lists);
        written += relay.membership_records - before;
    }
    assert!((4..=6).contains(&written), "{written} lists");
}

/// Each letter is stored and read separately. Reports about letters that came cost nothing.
#[test]
fn stored_and_read_reports_are_not_rate_limited() {
    let mut relay = RelayHarness::with(Limits { letters_burst: 5_000, ..limits(20, 1) });
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    for number in 1..=2_000 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "x");
        jack.receive(&mut relay);
        jack.report_stored(&mut relay, "TOM", number);
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: number };
        jack.send_message(&mut relay, StreamId::Control, &read);
        relay.wait(ms(1));
    }
    relay.wait(ms(100));
    assert_eq!(relay.core.stats().letters_stored, 2_000);
}

/// A recipient may have read letters that the relay does not know to be delivered. The number of
/// such reports is unbounded, and each is written to the disk while their sender is away.
#[test]
fn read_watermarks_for_missing_letters_are_rate_limited() {
    let mut relay = RelayHarness::with(limits(20, 1));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    tom.send_letter(&mut relay, "JACK", 1, 0, "x");
    jack.receive(&mut relay);
    jack.report_stored(&mut relay, "TOM", 1);
    let mut sent = 0;
    while sent < 20_000 && jack.credit(StreamId::Control) > 40 {
        sent += 1;
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: sent };
        jack.send_message(&mut relay, StreamId::Control, &read);
    }
    assert!(sent < 15_000, "{sent} messages, more than the credit of one stream holds");
    assert_eq!(jack.close_code(), None);
}

/// The sender chooses its numbers. One letter with a huge number, perhaps to itself, makes as many
/// read reports plausible as the number says. Only as many as there are letters are free.
#[test]
fn read_watermarks_below_number_leap_are_rate_limited() {
    let mut relay = RelayHarness::with(limits(20, 1));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_letter(&mut relay, "TOM", u64::MAX / 2, 0, "x");
    tom.receive(&mut relay);
    tom.report_stored(&mut relay, "TOM", u64::MAX / 2);
    let mut sent = 0;
    for _ in 0..10 {
        while sent < 20_000 && tom.credit(StreamId::Control) > 40 {
            sent += 1;
            let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: sent };
            tom.send_message(&mut relay, StreamId::Control, &read);
        }
        relay.wait(ms(200));
        tom.receive(&mut relay);
    }
    assert!(sent < 15_000, "{sent} messages, more than the credit of one stream holds");
    assert_eq!(tom.close_code(), None);
}

#[test]
fn flood_of_one_member_delays_no_other_member() {
    let mut relay = RelayHarness::new();
    let clients = ["TOM", "JACK", "ANN"].map(|name| {
        let member = u64::from(name.as_bytes()[0]);
        RawClient::signed_in(&mut relay, udp(member as u8, 1), member, name)
    });
    let [mut tom, mut jack, mut ann] = clients;
    flood(&mut relay, &mut tom, 5, &[list(&["TIM", "TAM"]), list(&["TAM"])]);
    jack.send_letter(&mut relay, "ANN", 1, 0, "hello");
    ann.receive(&mut relay);
    assert_eq!(ann.take_deliveries(&mut relay).len(), 1);
    tom.send_letter(&mut relay, "ANN", 1, 0, "letters have a separate rate");
    ann.receive(&mut relay);
    assert_eq!(ann.take_deliveries(&mut relay).len(), 1);
}

/// The bulk stream has no messages yet. Its bytes are discarded, no faster than control messages
/// are read.
#[test]
fn bulk_messages_are_discarded_within_the_rate() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let message = vec![7; 16_000];
    let mut sent = 0;
    for _ in 0..200 {
        while tom.credit(StreamId::Bulk) > message.len() + 4 {
            tom.send_message_bytes(&mut relay, StreamId::Bulk, &message);
            sent += 1;
        }
        relay.wait(ms(50));
        tom.receive(&mut relay);
    }
    assert!((20..=60).contains(&sent), "{sent} messages of 16 KB in 10 s");
    assert_eq!(tom.close_code(), None);
}

/// Messages of a stranger behind its sign-in wait in its small credit until the sign-in is done.
#[test]
fn messages_after_sign_in_are_read_with_the_welcome() {
    let mut relay = RelayHarness::new();
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    relay.auto_commit = false;
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 1), 1, counter).unwrap();
    tom.send_message(
        &mut relay,
        StreamId::Control,
        &ToRelay::SignIn {
            name: "TOM",
            invite: &[],
            block_list_follows: true,
            outbox: None,
            features: Features::OURS,
        },
    );
    tom.send_message_bytes(&mut relay, StreamId::Control, &list(&["JACK"]));
    tom.send_message_bytes(&mut relay, StreamId::Control, &[&[0x80][..], &[0; 3_000]].concat());
    assert_eq!((tom.take_messages(StreamId::Control), tom.close_code()), (Vec::new(), None));
    let (ticket, _) = relay.records.remove(0);
    relay.auto_commit = true;
    relay.take_turn(vec![super::relay_harness::HarnessInput::Other(queqiao::base::Input::Committed(ticket))]);
    tom.receive(&mut relay);
    assert_eq!(tom.take_messages(StreamId::Control), [SeenMessage::Welcome]);
    jack.send_letter(&mut relay, "TOM", 1, 0, "hello");
    assert_eq!(jack.take_refusals(&mut relay), [(1, Reason::Blocked)]);
}

/// Messages of a session without a name have no effect, and count against the same rate.
#[test]
fn unsigned_session_has_the_same_rate() {
    let mut relay = RelayHarness::with(limits(50, 1));
    let mut stranger = RawClient::handshake(&mut relay, udp(1, 1), 1, 1).unwrap();
    let message = [&[0x80][..], &[0; 20]].concat();
    let mut sent = 0;
    while sent < 10_000 && stranger.credit_of(StreamId::Control, 4_100) > 30 {
        stranger.send_message_bytes(&mut relay, StreamId::Control, &message);
        sent += 1;
    }
    assert!(sent < 300, "{sent} messages");
    assert_eq!(stranger.close_code(), None);
}
