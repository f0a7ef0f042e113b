//! Guests and members together: whose name is whose, how many guests there may be, and for how
//! long.

use std::net::SocketAddr;

use queqiao::base::{Input, Name, Path};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::{Content, GuestEvent, LetterBody};
use queqiao::wire::message::{KIND_GUEST, KIND_TEXT, Reason};

use crate::guest_rules;
use crate::raw_client::{RawClient, SeenMessage};
use crate::relay_harness::{HarnessInput, RelayHarness, secs, udp};

/// Returns a relay whose guests write to JACK, and JACK.
fn guest_relay(limit: usize) -> (RelayHarness, RawClient) {
    let texts = GuestTexts { full: "full".into(), ..GuestTexts::default() };
    let mut relay = RelayHarness::with_guests(Limits::default(), Some(guest_rules::to_jack(limit, texts)));
    let jack = RawClient::signed_in(&mut relay, udp(100, 1), 1, "JACK");
    (relay, jack)
}

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, 0, host], 4_000))
}

fn name(host: u8) -> String {
    Name::of_guest(addr(host)).to_string()
}

/// Sends a guest's datagram.
fn datagram(relay: &mut RelayHarness, host: u8, text: &str) {
    relay.handle_packet(Path::Udp(addr(host)), text.as_bytes());
}

/// Sends a guest's line on a connection.
fn line(relay: &mut RelayHarness, path: Path, text: &str) {
    relay.take_turn(vec![HarnessInput::Text(path, format!("{text}\n").into_bytes())]);
}

/// Returns the senders and texts of new letters to JACK. Events that the relay reports of a guest
/// are in brackets.
fn letters(relay: &mut RelayHarness, jack: &mut RawClient) -> Vec<(String, String)> {
    jack.send(relay, &[Frame::Ping]);
    let text = |body: &[u8]| match (Content::read(KIND_TEXT, body), Content::read(KIND_GUEST, body)) {
        (Ok(text), _) => text.into_text(),
        (_, Ok(Content::GuestEvent(note))) => format!("[{}]", note.word()),
        other => panic!("{other:?}"),
    };
    jack.take_deliveries(relay).into_iter().map(|(from, _, body)| (from, text(&body))).collect()
}

fn texts(relay: &mut RelayHarness, jack: &mut RawClient) -> Vec<String> {
    letters(relay, jack).into_iter().map(|(_, text)| text).collect()
}

fn answers(relay: &mut RelayHarness, path: Path) -> Vec<String> {
    relay.take_sent_on(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

/// Writes JACK's next letter to the guest at `host`.
fn write(relay: &mut RelayHarness, jack: &mut RawClient, host: u8, number: u64, text: &str) {
    jack.send_letter(relay, &name(host), number, number - 1, text);
}

/// Lets time pass while JACK stays signed in.
fn pass(relay: &mut RelayHarness, jack: &mut RawClient, seconds: u64) {
    for _ in 0..seconds / 10 {
        relay.wait(secs(10));
        jack.send(relay, &[Frame::Ping]);
    }
    relay.wait(secs(seconds % 10));
}

#[test]
fn member_connection_from_guest_address_keeps_guest_name() {
    let (mut relay, mut jack) = guest_relay(8);
    datagram(&mut relay, 1, "hello");
    let conn = relay.connect(addr(1));
    let mut tom = RawClient::signed_in(&mut relay, conn, 2, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "from TOM");
    assert_eq!(
        letters(&mut relay, &mut jack),
        [(name(1), "hello".into()), ("TOM".into(), "from TOM".into())]
    );
    write(&mut relay, &mut jack, 1, 1, "to the guest");
    assert_eq!(answers(&mut relay, Path::Udp(addr(1))), ["to the guest"]);
    relay.disconnect(conn);
    write(&mut relay, &mut jack, 1, 2, "again");
    assert_eq!(answers(&mut relay, Path::Udp(addr(1))), ["again"]);
}

#[test]
fn of_two_guests_with_one_name_latest_writer_is_answered() {
    let (mut relay, mut jack) = guest_relay(8);
    let by_udp = Path::Udp(addr(1));
    let by_tcp = relay.connect(addr(1));
    datagram(&mut relay, 1, "by UDP");
    write(&mut relay, &mut jack, 1, 1, "one");
    assert_eq!(answers(&mut relay, by_udp), ["one"], "the open connection has sent no text yet");
    line(&mut relay, by_tcp, "by TCP");
    write(&mut relay, &mut jack, 1, 2, "two");
    assert_eq!(answers(&mut relay, by_tcp), ["two\n"]);
    datagram(&mut relay, 1, "by UDP again");
    write(&mut relay, &mut jack, 1, 3, "three");
    assert_eq!(answers(&mut relay, by_udp), ["three"]);
    line(&mut relay, by_tcp, "by TCP again");
    line(&mut relay, by_tcp, "exit");
    write(&mut relay, &mut jack, 1, 4, "four");
    assert_eq!(answers(&mut relay, by_udp), ["four"], "the other is left");
    assert_eq!(answers(&mut relay, by_tcp), [""; 0]);
}

#[test]
fn guest_limit_bounds_tcp_guests_only() {
    let (mut relay, mut jack) = guest_relay(2);
    datagram(&mut relay, 1, "one");
    datagram(&mut relay, 1, "one again");
    let two = relay.connect(addr(2));
    let three = relay.connect(addr(3));
    let four = relay.connect(addr(4));
    line(&mut relay, two, "two");
    line(&mut relay, three, "three");
    assert_eq!(texts(&mut relay, &mut jack), ["one", "one again", "two", "three"]);
    line(&mut relay, four, "@echo echo is for all");
    line(&mut relay, four, "four");
    assert_eq!(texts(&mut relay, &mut jack), [""; 0]);
    assert_eq!(answers(&mut relay, four), ["ECHO IS FOR ALL\n", "full\n"]);
    assert!(relay.is_closed(four) && !relay.is_closed(two) && !relay.is_closed(three));
    assert_eq!(relay.core.stats().guests_refused, 1);
    datagram(&mut relay, 1, "without a place");
    datagram(&mut relay, 5, "a new one");
    let conn = relay.connect(addr(6));
    RawClient::signed_in(&mut relay, conn, 5, "TOM").send_letter(&mut relay, "JACK", 1, 0, "a member");
    assert_eq!(texts(&mut relay, &mut jack), ["without a place", "a new one", "a member"]);
    line(&mut relay, two, "exit");
    let four = relay.connect(addr(4));
    line(&mut relay, four, "four");
    assert_eq!(texts(&mut relay, &mut jack), ["[left]", "four"]);
}

/// A guest without a place is answered like any other, but few bytes wait for it.
#[test]
fn more_answers_wait_for_guest_with_place() {
    let (mut relay, mut jack) = guest_relay(2);
    datagram(&mut relay, 1, "one");
    datagram(&mut relay, 2, "two");
    write(&mut relay, &mut jack, 1, 1, "takes the one place there is");
    let long = "x".repeat(8 * 1_024);
    write(&mut relay, &mut jack, 1, 2, &long);
    jack.send_letter(&mut relay, &name(2), 3, 2, "is answered too");
    jack.send_letter(&mut relay, &name(2), 4, 3, &long);
    assert_eq!(answers(&mut relay, udp(1, 4_000)).len(), 4);
    assert_eq!(answers(&mut relay, udp(2, 4_000)), ["is answered too"]);
    let full = SeenMessage::Refused {
        to: name(2),
        number: 4,
        through: 4,
        reason: Reason::Full,
        may_have_arrived: false,
        nearest: 0,
    };
    assert!(jack.take_messages(StreamId::Control).contains(&full));
}

#[test]
fn guest_is_forgotten_after_10_min_without_text() {
    let (mut relay, mut jack) = guest_relay(8);
    let conn = relay.connect(addr(2));
    datagram(&mut relay, 1, "one");
    line(&mut relay, conn, "two");
    pass(&mut relay, &mut jack, 599);
    write(&mut relay, &mut jack, 1, 1, "are you");
    jack.send_letter(&mut relay, &name(2), 2, 0, "there?");
    pass(&mut relay, &mut jack, 599);
    assert!(!relay.is_closed(conn), "an answer counts as well");
    write(&mut relay, &mut jack, 1, 3, "last");
    pass(&mut relay, &mut jack, 1);
    assert!(relay.is_closed(conn));
    assert_eq!(answers(&mut relay, udp(1, 4_000)), ["are you", "last"]);
    assert_eq!(texts(&mut relay, &mut jack), ["one", "two", "[left]"]);
    pass(&mut relay, &mut jack, 599);
    jack.take_messages(StreamId::Control);
    write(&mut relay, &mut jack, 1, 4, "too late");
    let refused = |messages: &SeenMessage| {
        matches!(messages, SeenMessage::Refused { number: 4, reason: Reason::Unknown, .. })
    };
    assert!(jack.take_messages(StreamId::Control).iter().any(refused));
    assert_eq!(answers(&mut relay, udp(1, 4_000)), [""; 0]);
}

#[test]
fn half_closed_guest_reads_for_one_minute() {
    let (mut relay, mut jack) = guest_relay(8);
    let conn = relay.connect(addr(1));
    relay.take_turn(vec![
        HarnessInput::Text(conn, b"hi".to_vec()),
        HarnessInput::Other(Input::TextEnded(conn)),
    ]);
    assert_eq!(texts(&mut relay, &mut jack), ["hi", "[ended]"]);
    pass(&mut relay, &mut jack, 59);
    write(&mut relay, &mut jack, 1, 1, "just in time");
    assert_eq!(answers(&mut relay, conn), ["just in time"]);
    assert!(!relay.is_closed(conn));
    pass(&mut relay, &mut jack, 1);
    assert!(relay.is_closed(conn));
    assert_eq!(texts(&mut relay, &mut jack), [""; 0], "`[ended]` was reported already");
}

#[test]
fn guest_cannot_forge_event_of_relay() {
    let (mut relay, mut jack) = guest_relay(8);
    let forged = ["left", "\u{2}left", "\u{2}ended", "\u{8}"];
    forged.iter().for_each(|text| datagram(&mut relay, 1, text));
    assert_eq!(texts(&mut relay, &mut jack), forged);
}

/// A member ends the conversation with a letter of a separate kind. Its texts are texts, whatever
/// their words.
#[test]
fn close_event_ends_guest_conversation_and_text_does_not() {
    let (mut relay, mut jack) = guest_relay(8);
    let conn = relay.connect(addr(1));
    line(&mut relay, conn, "hi");
    for (number, text) in (1..).zip(["q", "/close", "quit"]) {
        jack.send_letter(&mut relay, &name(1), number, number - 1, text);
    }
    assert_eq!(answers(&mut relay, conn), ["q\n", "/close\n", "quit\n"]);
    assert!(!relay.is_closed(conn));
    let close = LetterBody::from_guest_event(GuestEvent::Close);
    jack.send_letter_of_kind(&mut relay, &name(1), (4, 3), (close.kind, &close.body));
    assert_eq!(answers(&mut relay, conn), ["q\n"]);
    assert!(relay.is_closed(conn));
    assert_eq!(texts(&mut relay, &mut jack), ["hi", "[left]"]);
}

/// Letters of other kinds cannot be expressed as plain text. They are refused.
#[test]
fn unsupported_letters_to_guests_and_echo_are_refused() {
    let (mut relay, mut jack) = guest_relay(8);
    let conn = relay.connect(addr(1));
    line(&mut relay, conn, "hi");
    let left = LetterBody::from_guest_event(GuestEvent::Left);
    for to in [name(1), "echo".to_owned()] {
        let letters: [(u8, &[u8]); 3] = [(left.kind, &left.body), (200, b"later"), (KIND_TEXT, b"broken")];
        for (number, letter) in (1..).zip(letters) {
            jack.send_letter_of_kind(&mut relay, &to, (number, 0), letter);
            let refused = |messages: &SeenMessage| {
                let SeenMessage::Refused { to: of, number: n, reason, .. } = messages else { return false };
                (of, *n, *reason) == (&to, number, Reason::Unsupported)
            };
            assert!(jack.take_messages(StreamId::Control).iter().any(refused), "{to} {number}");
        }
    }
    assert_eq!(answers(&mut relay, conn), [""; 0]);
    assert_eq!(texts(&mut relay, &mut jack), ["hi"], "no echo comes either");
}
