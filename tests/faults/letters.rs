//! Letters with a false sender, number, name, time or content.

use queqiao::base::{LetterId, Mark, OutboxId, Wall};
use queqiao::client::{Carriers, Event};
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::{GuestEvent, LetterBody, encode_text};
use queqiao::wire::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};
use queqiao::wire::message::{Delivery, NameReason, Reason, ToClient};

use super::client_harness::ClientHarness;
use super::fixtures::two_members;
use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

// faults.md: R45
#[test]
fn sender_is_session_owner_whatever_body_claims() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    let mut forged = Vec::new();
    let id = LetterId { outbox: OutboxId(1), number: 1 };
    let accepted = Wall(1);
    ToClient::Delivery(Delivery { from: "JACK", id, prev: 0, accepted, mark: Mark(0), kind: 1, body: b"" })
        .encode(&mut forged);
    tom.send_letter_from(&mut relay, OutboxId(1), "JACK", (1, 0), &forged);
    assert_eq!(jack.take_deliveries(&mut relay), [("TOM".to_owned(), 1, forged.clone())]);
    tom.send_message_bytes(&mut relay, StreamId::Chat, &forged);
    assert!(tom.close_code().is_some(), "a message of the relay from a client breaks the protocol");
}

// faults.md: R46
#[test]
fn body_over_limit_by_one_byte_is_refused() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    for (number, len) in [(1, LETTER_BODY_MAX), (2, LETTER_BODY_MAX + 1)] {
        tom.send_letter_from(&mut relay, OutboxId(0xB0), "JACK", (number, number - 1), &vec![0; len]);
        for _ in 0..200 {
            jack.send(&mut relay, &[queqiao::wire::frame::Frame::Ping]);
            relay.wait(ms(20));
        }
    }
    assert_eq!(
        jack.take_deliveries(&mut relay).iter().map(|d| d.2.len()).collect::<Vec<_>>(),
        [LETTER_BODY_MAX]
    );
    tom.receive(&mut relay);
    let refused =
        |t: &SeenMessage| matches!(t, SeenMessage::Refused { number: 2, reason: Reason::TooLong, .. });
    assert!(tom.take_messages(StreamId::Control).iter().any(refused));
}

// faults.md: R46
/// The recipient's program refuses any body that is not text, keeps nothing of it, and reports it
/// once a minute.
#[test]
fn invalid_bodies_are_refused_and_next_letter_is_read() {
    let mut relay = RelayHarness::new();
    let mut jack = ClientHarness::signed_in(&mut relay, "JACK", 2, Carriers::Udp);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let longer = encode_text(&"x".repeat(LETTER_TEXT_MAX + 1), Wall(1));
    let surrogate = [0xA1, 0x00, 0x63, 0xED, 0xA0, 0x80];
    let bodies: [&[u8]; 6] =
        [b"", &[0xFF; 50], &surrogate, &[0xA1, 0x00, 0x7B, 0xFF, 0xFF], &longer, &[0x9F; 400]];
    for (number, body) in (1..).zip(bodies) {
        tom.send_letter_from(&mut relay, OutboxId(0xB0), "JACK", (number, number - 1), body);
        jack.run_with(&mut relay, secs(1));
    }
    let note = LetterBody::from_guest_event(GuestEvent::Left);
    let others: [(u8, &[u8]); 4] = [(2, b""), (200, b"later"), (0, b""), (note.kind, &note.body)];
    for (number, letter) in (7..).zip(others) {
        tom.send_letter_of_kind(&mut relay, "JACK", (number, number - 1), letter);
        jack.run_with(&mut relay, secs(1));
    }
    tom.send_letter(&mut relay, "JACK", 11, 10, "nul \0, escape \u{1b}[2J and all");
    jack.run_with(&mut relay, secs(1));
    let unreadable = |e: &Event| matches!(e, Event::Unreadable { .. });
    assert_eq!(jack.count_events(unreadable), 1);
    assert_eq!(jack.count_events(|e| matches!(e, Event::Letter(letter) if letter.id.number == 11)), 1);
    tom.receive(&mut relay);
    let messages = tom.take_messages(StreamId::Control);
    assert_eq!(messages.last(), Some(&SeenMessage::Receipt { to: "JACK".into(), delivered: 11 }));
    let refused = |messages: &SeenMessage| match messages {
        SeenMessage::Refused { number, through, reason: Reason::Unsupported, .. } => {
            (*number..=*through).collect()
        }
        _ => Vec::new(),
    };
    let refused: Vec<u64> = messages.iter().flat_map(refused).collect();
    assert_eq!(refused, Vec::from_iter(1..=10));
    jack.run_with(&mut relay, secs(60));
    tom.send_letter_of_kind(&mut relay, "JACK", (12, 11), (99, b""));
    jack.run_with(&mut relay, secs(1));
    assert_eq!(jack.count_events(unreadable), 2);
}

// faults.md: R48
#[test]
fn deceptive_names_are_refused_with_reason() {
    let mut relay = RelayHarness::new();
    RawClient::signed_in(&mut relay, udp(1, 1), 1, "alice");
    let claim = |relay: &mut RelayHarness, member: u64, name: &str| {
        let mut client = RawClient::handshake(relay, udp(10 + member as u8, 1), 100 + member, 1).unwrap();
        client.sign_in(relay, name);
        relay.wait(ms(5));
        match client.take_messages(StreamId::Control).pop() {
            Some(SeenMessage::NameRefused(reason, _)) => Some(reason),
            Some(SeenMessage::Welcome) => None,
            other => panic!("{name:?}: {other:?}"),
        }
    };
    let long = "x".repeat(255);
    let table = [
        ("Αlice", Some(NameReason::Confusable)),
        ("ALICE", Some(NameReason::Confusable)),
        ("alice", Some(NameReason::Taken)),
        ("alice ", Some(NameReason::Bad)),
        ("../x", Some(NameReason::Bad)),
        ("echo", Some(NameReason::Reserved)),
        ("relay", Some(NameReason::Reserved)),
        ("guest-1", Some(NameReason::Reserved)),
        ("al\u{200b}ice", Some(NameReason::Bad)),
        ("\u{202e}bob", Some(NameReason::Bad)),
        ("bob\u{7}", Some(NameReason::Bad)),
        ("", Some(NameReason::Bad)),
        (&long, Some(NameReason::Bad)),
        ("一棵树", None),
        ("武大郎", None),
        ("Zoë", None),
        ("CON", None),
    ];
    for (member, (name, answer)) in (0..).zip(table) {
        assert_eq!(claim(&mut relay, member, name), answer, "{name:?}");
    }
}

// faults.md: R55
/// The first content of an id is the letter. Another one under the same id is never delivered.
#[test]
fn repeated_id_gets_receipt_and_old_copy_is_refused() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    tom.send_letter(&mut relay, "JACK", 1, 0, "first");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1);
    jack.report_stored(&mut relay, "TOM", 1);
    tom.receive(&mut relay);
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 1 };
    assert_eq!(tom.take_messages(StreamId::Control), std::slice::from_ref(&receipt));
    tom.send_letter(&mut relay, "JACK", 1, 0, "first");
    assert_eq!(tom.take_messages(StreamId::Control), std::slice::from_ref(&receipt));
    tom.mark = Mark(2);
    for number in 1..=30 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "another");
        assert_eq!(
            tom.take_messages(StreamId::Control),
            [old_copy(number)],
            "nothing more is taken in this session"
        );
    }
    assert!(jack.take_deliveries(&mut relay).is_empty());
}

fn old_copy(number: u64) -> SeenMessage {
    let to = "JACK".into();
    let reason = Reason::OldCopy;
    let may_have_arrived = true;
    SeenMessage::Refused { to, number, through: number, reason, may_have_arrived, nearest: 0 }
}

// faults.md: R55
/// The first letters wait in memory, in the session or in the mailbox. The answer is the same
/// wherever they are.
#[test]
fn old_copy_is_refused_before_first_is_accepted() {
    for number in [1, 20, 40] {
        let mut relay = RelayHarness::new();
        let (mut tom, mut jack) = two_members(&mut relay);
        for number in 1..=40 {
            tom.send_letter(&mut relay, "JACK", number, number - 1, "first");
        }
        tom.take_messages(StreamId::Control);
        tom.send_letter(&mut relay, "JACK", number, number - 1, "first");
        assert_eq!(tom.take_messages(StreamId::Control), [], "the first is still unaccepted");
        tom.mark = Mark(7);
        tom.send_letter(&mut relay, "JACK", number, number - 1, "another");
        assert_eq!(tom.take_messages(StreamId::Control), [old_copy(number)]);
        assert_eq!(jack.take_deliveries(&mut relay).len(), 40);
    }
}

// faults.md: R55
#[test]
fn recipient_shows_id_once_across_sessions() {
    let mut relay = RelayHarness::new();
    let mut jack = ClientHarness::signed_in(&mut relay, "JACK", 2, Carriers::Udp);
    for text in ["first", "first", "another"] {
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
        tom.send_letter(&mut relay, "JACK", 1, 0, text);
        jack.run_with(&mut relay, secs(1));
        tom.receive(&mut relay);
        let messages = tom.take_messages(StreamId::Control);
        assert_eq!(messages.last(), Some(&SeenMessage::Receipt { to: "JACK".into(), delivered: 1 }));
    }
    assert_eq!(jack.count_events(|e| matches!(e, Event::Letter(_))), 1);
}

// faults.md: R56
#[test]
fn gaps_are_reported_and_old_numbers_not_shown_again() {
    let mut relay = RelayHarness::new();
    let mut jack = ClientHarness::signed_in(&mut relay, "JACK", 2, Carriers::Udp);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for (number, prev) in [(1, 0), (4, 3), (3, 2), (4, 3), (0, 0), (1 << 63, 4), (u64::MAX, u64::MAX)] {
        tom.send_letter(&mut relay, "JACK", number, prev, "text");
        jack.run_with(&mut relay, secs(1));
    }
    let shown: Vec<(u64, u64)> = jack
        .events
        .iter()
        .filter_map(|e| if let Event::Letter(l) = e { Some((l.id.number, l.missing)) } else { None })
        .collect();
    let last = u64::MAX - (1 << 63);
    assert_eq!(shown, [(1, 0), (4, 2), (1 << 63, 0), (u64::MAX, last)]);
    assert_eq!(tom.close_code(), None);
}

#[test]
fn stored_report_covers_only_delivered_letters() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    let mut mallory = RawClient::signed_in(&mut relay, udp(3, 3), 3, "mallory");
    tom.send_letter(&mut relay, "JACK", 1, 0, "for JACK");
    mallory.report_stored(&mut relay, "TOM", u64::MAX);
    jack.report_stored(&mut relay, "mallory", u64::MAX);
    jack.report_stored(&mut relay, "nobody", u64::MAX);
    tom.receive(&mut relay);
    assert!(tom.take_messages(StreamId::Control).is_empty());
    jack.report_stored(&mut relay, "TOM", u64::MAX);
    tom.receive(&mut relay);
    let receipt = SeenMessage::Receipt { to: "JACK".into(), delivered: 1 };
    assert_eq!(tom.take_messages(StreamId::Control), [receipt], "the receipt names the letter that was sent");
}

// faults.md: R52
/// A sender may hold as much as it leaves free, and a sixteenth of all. The first bound applies to
/// letters not yet on the disk, the second to all waiting letters. Letters that leave one mailbox
/// free space in the others.
#[test]
fn all_mailboxes_together_are_bounded() {
    let text = "x".repeat(1_000);
    for (memory, limits) in [
        (false, queqiao::relay::Limits { all_bytes: 16 * 1_100, ..Default::default() }),
        (true, queqiao::relay::Limits { memory_bytes: 11_000, ..Default::default() }),
    ] {
        let limits = queqiao::relay::Limits { all_names_per_hour: None, ..limits };
        let mut relay = RelayHarness::with(limits);
        let (mut tom, mut jack) = two_members(&mut relay);
        let full = |client: &mut RawClient| {
            let full = |t: &SeenMessage| matches!(t, SeenMessage::Refused { reason: Reason::Full, .. });
            client.take_messages(StreamId::Control).iter().any(full)
        };
        let each = if memory { 5 } else { 1 };
        for number in 1..=each {
            tom.send_letter(&mut relay, ["JACK", "TOM"][number as usize % 2], number, 0, &text);
        }
        assert!(!full(&mut tom));
        tom.send_letter(&mut relay, "JACK", 6, 0, &text);
        assert!(full(&mut tom), "its share of all");
        let mut others = 0;
        let mut last = loop {
            let n = others + 3;
            relay.wait(ms(5));
            let mut other = RawClient::signed_in(&mut relay, udp(n as u8, 3), n, &format!("member-{n}"));
            other.send_letter(&mut relay, "JACK", 1, 0, &text);
            if full(&mut other) {
                break other;
            }
            others += 1;
        };
        assert_eq!(others, if memory { 5 } else { 15 });
        if memory {
            relay.wait(ms(600));
            assert_eq!(relay.core.stats().letters_written, 10);
        } else {
            jack.report_stored(&mut relay, "member-3", 1);
        }
        last.send_letter(&mut relay, "JACK", 1, 0, &text);
        assert!(!full(&mut last), "there is space again");
        relay.core.check_sums();
    }
}

// faults.md: R52
/// A text too long for any mailbox is refused by the relay until the client knows the limit, and by
/// the client from then on. Only the relay knows whether a mailbox is full.
#[test]
fn exceeding_any_limit_returns_the_text() {
    let limits = queqiao::relay::Limits { pair_bytes: 1_000, pair_letters: 3, ..Default::default() };
    let mut relay = RelayHarness::with(limits);
    RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let mut tom = ClientHarness::known_to(&relay, "TOM", 1, Carriers::Udp);
    let refused = |tom: &ClientHarness, request: u64| {
        tom.events.iter().find_map(|event| match event {
            Event::Refused { request: r, id, reason, text, .. } if *r == request => {
                Some((*reason, id.number > 0, text.len()))
            }
            _ => None,
        })
    };
    let largest = "x".repeat(1_000 - 64);
    let longer = "x".repeat(1_000);
    tom.send(1, 1, "JACK", &longer);
    tom.run_with(&mut relay, secs(1));
    assert_eq!(refused(&tom, 1), Some((Reason::TooLong, true, longer.len())), "by the relay");
    let before = (tom.packets_up, relay.core.stats().letters_refused);
    tom.send(1, 2, "JACK", &longer);
    tom.run_with(&mut relay, ms(1));
    assert_eq!(
        refused(&tom, 2),
        Some((Reason::TooLong, false, longer.len())),
        "by the client: it has no number"
    );
    assert_eq!((tom.packets_up, relay.core.stats().letters_refused), before, "and nothing was sent");
    tom.send(1, 3, "JACK", &largest);
    tom.send(1, 4, "JACK", &"x".repeat(100));
    tom.run_with(&mut relay, secs(1));
    assert_eq!(refused(&tom, 3), None, "the longest that is allowed");
    assert_eq!(refused(&tom, 4), Some((Reason::Full, true, 100)), "by the relay: JACK takes nothing");
}

// faults.md: R52
#[test]
fn full_share_refuses_only_its_sender() {
    let limits = queqiao::relay::Limits { pair_letters: 3, mailbox_letters: 7, ..Default::default() };
    let mut relay = RelayHarness::with(limits);
    let (mut tom, mut jack) = two_members(&mut relay);
    let mut mary = RawClient::signed_in(&mut relay, udp(3, 3), 3, "mary");
    let outcome = |client: &mut RawClient, relay: &mut RelayHarness, number: u64, prev: u64| {
        client.send_letter(relay, "JACK", number, prev, "hello");
        client
            .take_messages(StreamId::Control)
            .iter()
            .find_map(|t| if let SeenMessage::Refused { reason, .. } = t { Some(*reason) } else { None })
    };
    for number in 1..=3 {
        assert_eq!(outcome(&mut tom, &mut relay, number, number - 1), None);
    }
    assert_eq!(outcome(&mut tom, &mut relay, 4, 3), Some(Reason::Full), "its share");
    assert_eq!(outcome(&mut tom, &mut relay, 5, 4), Some(Reason::Behind), "and the order is kept");
    assert_eq!(outcome(&mut mary, &mut relay, 1, 0), None);
    assert_eq!(outcome(&mut mary, &mut relay, 2, 1), None);
    assert_eq!(outcome(&mut mary, &mut relay, 3, 2), Some(Reason::Full), "it holds more than is free");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 5);
    jack.report_stored(&mut relay, "TOM", 3);
    tom.receive(&mut relay);
    tom.take_messages(StreamId::Control);
    assert_eq!(outcome(&mut tom, &mut relay, 5, 3), None, "stored letters free space");
}
