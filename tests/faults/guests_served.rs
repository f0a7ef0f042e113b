//! Guests and members together: whose name is whose, how many guests there may be, and for how
//! long.

use std::net::SocketAddr;

use queqiao::base::{Input, Name, Path};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::{Content, GuestNote, Made};
use queqiao::wire::message::{KIND_GUEST, KIND_TEXT, Reason};

use crate::guest_rules;
use crate::hand::{Hand, Told};
use crate::rig::{Given, Rig, secs, udp};

/// Returns a relay whose guests write to JACK, and JACK.
fn desk(limit: usize) -> (Rig, Hand) {
    let texts = GuestTexts { full: "full".into(), ..GuestTexts::default() };
    let mut rig = Rig::serving(Limits::default(), Some(guest_rules::to_jack(limit, texts)));
    let jack = Hand::member(&mut rig, udp(100, 1), 1, "JACK");
    (rig, jack)
}

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, 0, host], 4_000))
}

fn name(host: u8) -> String {
    Name::of_guest(addr(host)).to_string()
}

/// Sends a guest's datagram.
fn datagram(rig: &mut Rig, host: u8, text: &str) {
    rig.give(Path::Udp(addr(host)), text.as_bytes());
}

/// Sends a guest's line on a connection.
fn line(rig: &mut Rig, path: Path, text: &str) {
    rig.take(vec![Given::Text(path, format!("{text}\n").into_bytes())]);
}

/// Returns the senders and texts of new letters to JACK. Events that the relay reports of a guest
/// are in brackets.
fn letters(rig: &mut Rig, jack: &mut Hand) -> Vec<(String, String)> {
    jack.send(rig, &[Frame::Ping]);
    let text = |body: &[u8]| match (Content::read(KIND_TEXT, body), Content::read(KIND_GUEST, body)) {
        (Ok(text), _) => text.into_text(),
        (_, Ok(Content::Note(note))) => format!("[{}]", note.word()),
        other => panic!("{other:?}"),
    };
    jack.deliveries(rig).into_iter().map(|(from, _, body)| (from, text(&body))).collect()
}

fn texts(rig: &mut Rig, jack: &mut Hand) -> Vec<String> {
    letters(rig, jack).into_iter().map(|(_, text)| text).collect()
}

fn answers(rig: &mut Rig, path: Path) -> Vec<String> {
    rig.answers(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

/// Writes JACK's next letter to the guest at `host`.
fn write(rig: &mut Rig, jack: &mut Hand, host: u8, number: u64, text: &str) {
    jack.write(rig, &name(host), number, number - 1, text);
}

/// Lets time pass while JACK stays signed in.
fn pass(rig: &mut Rig, jack: &mut Hand, seconds: u64) {
    for _ in 0..seconds / 10 {
        rig.wait(secs(10));
        jack.send(rig, &[Frame::Ping]);
    }
    rig.wait(secs(seconds % 10));
}

#[test]
fn member_connection_from_guest_address_keeps_guest_name() {
    let (mut rig, mut jack) = desk(8);
    datagram(&mut rig, 1, "hello");
    let conn = rig.connect(addr(1));
    let mut tom = Hand::member(&mut rig, conn, 2, "TOM");
    tom.write(&mut rig, "JACK", 1, 0, "from TOM");
    assert_eq!(letters(&mut rig, &mut jack), [(name(1), "hello".into()), ("TOM".into(), "from TOM".into())]);
    write(&mut rig, &mut jack, 1, 1, "to the guest");
    assert_eq!(answers(&mut rig, Path::Udp(addr(1))), ["to the guest"]);
    rig.disconnect(conn);
    write(&mut rig, &mut jack, 1, 2, "again");
    assert_eq!(answers(&mut rig, Path::Udp(addr(1))), ["again"]);
}

#[test]
fn of_two_guests_with_one_name_latest_writer_is_answered() {
    let (mut rig, mut jack) = desk(8);
    let by_udp = Path::Udp(addr(1));
    let by_tcp = rig.connect(addr(1));
    datagram(&mut rig, 1, "by UDP");
    write(&mut rig, &mut jack, 1, 1, "one");
    assert_eq!(answers(&mut rig, by_udp), ["one"], "the open connection has sent no text yet");
    line(&mut rig, by_tcp, "by TCP");
    write(&mut rig, &mut jack, 1, 2, "two");
    assert_eq!(answers(&mut rig, by_tcp), ["two\n"]);
    datagram(&mut rig, 1, "by UDP again");
    write(&mut rig, &mut jack, 1, 3, "three");
    assert_eq!(answers(&mut rig, by_udp), ["three"]);
    line(&mut rig, by_tcp, "by TCP again");
    line(&mut rig, by_tcp, "exit");
    write(&mut rig, &mut jack, 1, 4, "four");
    assert_eq!(answers(&mut rig, by_udp), ["four"], "the other is left");
    assert_eq!(answers(&mut rig, by_tcp), [""; 0]);
}

#[test]
fn guest_limit_bounds_tcp_guests_only() {
    let (mut rig, mut jack) = desk(2);
    datagram(&mut rig, 1, "one");
    datagram(&mut rig, 1, "one again");
    let two = rig.connect(addr(2));
    let three = rig.connect(addr(3));
    let four = rig.connect(addr(4));
    line(&mut rig, two, "two");
    line(&mut rig, three, "three");
    assert_eq!(texts(&mut rig, &mut jack), ["one", "one again", "two", "three"]);
    line(&mut rig, four, "@echo echo is for all");
    line(&mut rig, four, "four");
    assert_eq!(texts(&mut rig, &mut jack), [""; 0]);
    assert_eq!(answers(&mut rig, four), ["ECHO IS FOR ALL\n", "full\n"]);
    assert!(rig.is_closed(four) && !rig.is_closed(two) && !rig.is_closed(three));
    assert_eq!(rig.relay.stats().guests_refused, 1);
    datagram(&mut rig, 1, "without a place");
    datagram(&mut rig, 5, "a new one");
    let conn = rig.connect(addr(6));
    Hand::member(&mut rig, conn, 5, "TOM").write(&mut rig, "JACK", 1, 0, "a member");
    assert_eq!(texts(&mut rig, &mut jack), ["without a place", "a new one", "a member"]);
    line(&mut rig, two, "exit");
    let four = rig.connect(addr(4));
    line(&mut rig, four, "four");
    assert_eq!(texts(&mut rig, &mut jack), ["[left]", "four"]);
}

/// A guest without a place is answered like any other, but few bytes wait for it.
#[test]
fn more_answers_wait_for_guest_with_place() {
    let (mut rig, mut jack) = desk(2);
    datagram(&mut rig, 1, "one");
    datagram(&mut rig, 2, "two");
    write(&mut rig, &mut jack, 1, 1, "takes the one place there is");
    let long = "x".repeat(8 * 1_024);
    write(&mut rig, &mut jack, 1, 2, &long);
    jack.write(&mut rig, &name(2), 3, 2, "is answered too");
    jack.write(&mut rig, &name(2), 4, 3, &long);
    assert_eq!(answers(&mut rig, udp(1, 4_000)).len(), 4);
    assert_eq!(answers(&mut rig, udp(2, 4_000)), ["is answered too"]);
    let full = Told::Refused {
        to: name(2),
        number: 4,
        through: 4,
        reason: Reason::Full,
        may_have_arrived: false,
        nearest: 0,
    };
    assert!(jack.told(StreamId::Control).contains(&full));
}

#[test]
fn guest_is_forgotten_after_10_min_without_text() {
    let (mut rig, mut jack) = desk(8);
    let conn = rig.connect(addr(2));
    datagram(&mut rig, 1, "one");
    line(&mut rig, conn, "two");
    pass(&mut rig, &mut jack, 599);
    write(&mut rig, &mut jack, 1, 1, "are you");
    jack.write(&mut rig, &name(2), 2, 0, "there?");
    pass(&mut rig, &mut jack, 599);
    assert!(!rig.is_closed(conn), "an answer counts as well");
    write(&mut rig, &mut jack, 1, 3, "last");
    pass(&mut rig, &mut jack, 1);
    assert!(rig.is_closed(conn));
    assert_eq!(answers(&mut rig, udp(1, 4_000)), ["are you", "last"]);
    assert_eq!(texts(&mut rig, &mut jack), ["one", "two", "[left]"]);
    pass(&mut rig, &mut jack, 599);
    jack.told(StreamId::Control);
    write(&mut rig, &mut jack, 1, 4, "too late");
    let refused = |told: &Told| matches!(told, Told::Refused { number: 4, reason: Reason::Unknown, .. });
    assert!(jack.told(StreamId::Control).iter().any(refused));
    assert_eq!(answers(&mut rig, udp(1, 4_000)), [""; 0]);
}

#[test]
fn half_closed_guest_reads_for_one_minute() {
    let (mut rig, mut jack) = desk(8);
    let conn = rig.connect(addr(1));
    rig.take(vec![Given::Text(conn, b"hi".to_vec()), Given::Other(Input::TextEnded(conn))]);
    assert_eq!(texts(&mut rig, &mut jack), ["hi", "[ended]"]);
    pass(&mut rig, &mut jack, 59);
    write(&mut rig, &mut jack, 1, 1, "just in time");
    assert_eq!(answers(&mut rig, conn), ["just in time"]);
    assert!(!rig.is_closed(conn));
    pass(&mut rig, &mut jack, 1);
    assert!(rig.is_closed(conn));
    assert_eq!(texts(&mut rig, &mut jack), [""; 0], "`[ended]` was reported already");
}

#[test]
fn guest_cannot_forge_event_of_relay() {
    let (mut rig, mut jack) = desk(8);
    let forged = ["left", "\u{2}left", "\u{2}ended", "\u{8}"];
    forged.iter().for_each(|text| datagram(&mut rig, 1, text));
    assert_eq!(texts(&mut rig, &mut jack), forged);
}

/// A member ends the conversation with a letter of a separate kind. Its texts are texts, whatever
/// their words.
#[test]
fn close_event_ends_guest_conversation_and_text_does_not() {
    let (mut rig, mut jack) = desk(8);
    let conn = rig.connect(addr(1));
    line(&mut rig, conn, "hi");
    for (number, text) in (1..).zip(["q", "/close", "quit"]) {
        jack.write(&mut rig, &name(1), number, number - 1, text);
    }
    assert_eq!(answers(&mut rig, conn), ["q\n", "/close\n", "quit\n"]);
    assert!(!rig.is_closed(conn));
    let close = Made::of_note(GuestNote::Close);
    jack.write_kind(&mut rig, &name(1), (4, 3), (close.kind, &close.body));
    assert_eq!(answers(&mut rig, conn), ["q\n"]);
    assert!(rig.is_closed(conn));
    assert_eq!(texts(&mut rig, &mut jack), ["hi", "[left]"]);
}

/// Letters of other kinds cannot be expressed as plain text. They are refused.
#[test]
fn unsupported_letters_to_guests_and_echo_are_refused() {
    let (mut rig, mut jack) = desk(8);
    let conn = rig.connect(addr(1));
    line(&mut rig, conn, "hi");
    let left = Made::of_note(GuestNote::Left);
    for to in [name(1), "echo".to_owned()] {
        let letters: [(u8, &[u8]); 3] = [(left.kind, &left.body), (200, b"later"), (KIND_TEXT, b"broken")];
        for (number, letter) in (1..).zip(letters) {
            jack.write_kind(&mut rig, &to, (number, 0), letter);
            let refused = |told: &Told| {
                let Told::Refused { to: of, number: n, reason, .. } = told else { return false };
                (of, *n, *reason) == (&to, number, Reason::Unsupported)
            };
            assert!(jack.told(StreamId::Control).iter().any(refused), "{to} {number}");
        }
    }
    assert_eq!(answers(&mut rig, conn), [""; 0]);
    assert_eq!(texts(&mut rig, &mut jack), ["hi"], "no echo comes either");
}
