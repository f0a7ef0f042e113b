//! A refused conversation with many letters in flight. Each letter is sent once and ends once, and
//! no other conversation waits.

use std::net::SocketAddr;

use queqiao::base::{LetterId, Mark, Name, OutboxId, Wall};
use queqiao::client::{Carriers, Event, Progress};
use queqiao::relay::{GuestTexts, Limits, PendingRefusal, PersistedMail};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::{Reason, ToRelay};

use super::client_harness::ClientHarness;
use super::fixtures::two_members;
use super::guest_rules;
use super::raw_client::RawClient;
use super::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

/// Lines for a guest, given in one turn. One window holds a quarter of them.
const LINES: u64 = 900;
/// Bytes of one conversation in flight, as `client/outbox.rs` has it.
const WINDOW_BYTES: u64 = 128 * 1024;
const LINE_LEN: usize = 500;

fn line(number: u64) -> String {
    format!("{number:0LINE_LEN$}")
}

fn refused(jack: &ClientHarness) -> Vec<u64> {
    let number = |event: &Event| match event {
        Event::Refused { request, reason: Reason::Unknown, may_have_arrived: false, text, .. } => {
            assert_eq!(*text, line(*request), "the text is returned");
            Some(*request)
        }
        _ => None,
    };
    jack.events.iter().filter_map(number).collect()
}

#[test]
fn lines_to_gone_guest_are_sent_once_and_end_together() {
    let rules = guest_rules::to_jack(8, GuestTexts::default());
    let mut relay = RelayHarness::with_guests(Limits::default(), Some(rules));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    let mut jack = ClientHarness::signed_in(&mut relay, "JACK", 2, Carriers::Udp);
    let addr = SocketAddr::from(([198, 18, 0, 9], 4_000));
    let guest = Name::of_guest(addr).to_string();
    let conn = relay.connect(addr);
    relay.take_turn(vec![HarnessInput::Text(conn, b"hello\n".to_vec())]);
    jack.send(1, 1, &guest, "are you there?");
    jack.run_with(&mut relay, secs(1));
    let accepted = |e: &Event| matches!(e, Event::Progress { progress: Progress::Accepted, .. });
    assert_eq!(jack.count_events(accepted), 1);
    relay.disconnect(conn);
    jack.run_with(&mut relay, secs(20));

    let before = relay.core.stats().letters_refused;
    let packets = jack.packets_up;
    (2..LINES + 2).for_each(|request| jack.send(1, request, &guest, &line(request)));
    jack.send(1, 9_000, "TOM", "by the way");
    jack.run_with(&mut relay, ms(400));
    tom.send(&mut relay, &[Frame::Ping]);
    assert_eq!(tom.take_deliveries(&mut relay).len(), 1, "another conversation does not wait");
    jack.run_with(&mut relay, secs(5));
    assert_eq!(refused(&jack), (2..LINES + 2).collect::<Vec<_>>(), "each once and in order");
    let went = relay.core.stats().letters_refused - before;
    assert!(went <= WINDOW_BYTES / LINE_LEN as u64, "{went} were sent; the waiting ones end with them");
    let bytes = (jack.packets_up - packets) as u64 * 1_200;
    assert!(bytes <= 2 * WINDOW_BYTES, "at most {bytes} bytes: no line is sent twice");

    // A later line tries again, alone.
    let before = relay.core.stats().letters_refused;
    (5_000..5_300).for_each(|request| jack.send(1, request, &guest, &line(request)));
    jack.run_with(&mut relay, secs(1));
    assert_eq!(refused(&jack).len() as u64, LINES + 300);
    assert_eq!(relay.core.stats().letters_refused - before, 1);
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: OutboxId(0xB0), number }
}

/// Returns a relay with the members TOM, JACK and MARY. TOM has not received this many refusals of
/// letters to JACK.
fn owing(limits: Limits, refusals: u64) -> (RelayHarness, RawClient, RawClient, RawClient) {
    let from: Name = "TOM".parse().unwrap();
    let to: Name = "JACK".parse().unwrap();
    let mark = Mark(1);
    let owed = |number| {
        let from = from.clone();
        let to = to.clone();
        PendingRefusal { from, to, id: id(number), reason: Reason::Expired, may_have_arrived: false, mark }
    };
    let mail = PersistedMail { refusals: (1..=refusals).map(owed).collect(), ..PersistedMail::default() };
    let mut relay = RelayHarness::with_mail(limits, &["TOM", "JACK", "MARY"], mail);
    let (mut tom, jack) = two_members(&mut relay);
    let mary = RawClient::signed_in(&mut relay, udp(3, 1_000), 3, "MARY");
    tom.take_messages(StreamId::Control);
    (relay, tom, jack, mary)
}

/// All refusals that may be pending for one sender belong to one conversation.
#[test]
fn unacknowledged_refusals_block_no_other_conversation() {
    let (mut relay, mut tom, mut jack, mut mary) = owing(Limits::default(), 10_000);
    tom.send_letter(&mut relay, "MARY", 1, 0, "hello");
    assert_eq!(mary.take_deliveries(&mut relay).len(), 1);
    tom.send_letter(&mut relay, "JACK", 20_000, 0, "hello");
    tom.send_letter_from(&mut relay, OutboxId(0xB1), "JACK", (1, 0), &encode_text("hello", Wall(1)));
    assert_eq!(tom.take_refusals(&mut relay), [(20_000, Reason::Full), (1, Reason::Full)]);
    tom.send_message(&mut relay, StreamId::Control, &ToRelay::RefusalReceived { to: "JACK", id: id(1) });
    tom.send_letter(&mut relay, "JACK", 20_001, 0, "hello");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1);
}

#[test]
fn unacknowledged_refusals_count_against_sender_limit() {
    let limits = Limits { sender_bytes: 1 << 20, ..Limits::default() };
    let (mut relay, mut tom, _, mut mary) = owing(limits, 10_000 + (1 << 20) / 256);
    tom.send_letter(&mut relay, "MARY", 1, 0, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::Full)]);
    tom.send_message(&mut relay, StreamId::Control, &ToRelay::RefusalReceived { to: "JACK", id: id(1) });
    tom.send_letter(&mut relay, "MARY", 2, 0, "hello");
    assert_eq!(mary.take_deliveries(&mut relay).len(), 1);
}

// faults.md: R55
/// The refusals are all that an earlier process of the relay has left of the flow. One of them is
/// acknowledged already.
#[test]
fn letter_numbered_like_refused_one_is_of_old_copy() {
    for (number, acknowledged) in [(1, None), (2, None), (2, Some(1)), (1, Some(1))] {
        let (mut relay, mut tom, mut jack, _) = owing(Limits::default(), 2);
        tom.send_letter(&mut relay, "JACK", number, 0, "of the original");
        assert_eq!(tom.take_refusals(&mut relay), [(number, Reason::Expired)], "a repetition");
        if let Some(number) = acknowledged {
            let received = ToRelay::RefusalReceived { to: "JACK", id: id(number) };
            tom.send_message(&mut relay, StreamId::Control, &received);
        }
        tom.mark = Mark(2);
        tom.send_letter(&mut relay, "JACK", number, 0, "of a copy");
        assert_eq!(tom.take_refusals(&mut relay), [(number, Reason::OldCopy)], "{acknowledged:?}");
        assert!(jack.take_deliveries(&mut relay).is_empty());
    }
}

#[test]
fn copy_knowing_every_refused_letter_sends_next_one() {
    let (mut relay, mut tom, mut jack, _) = owing(Limits::default(), 2);
    tom.mark = Mark(2);
    tom.send_letter(&mut relay, "JACK", 3, 0, "hello");
    assert_eq!(jack.take_deliveries(&mut relay).len(), 1);
}
