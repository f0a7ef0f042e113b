//! A refused conversation with many letters in flight. Each letter is sent once and ends once, and
//! no other conversation waits.

use std::net::SocketAddr;

use queqiao::base::{LetterId, Name, OutboxId, Wall};
use queqiao::client::{Carriers, Event, Progress};
use queqiao::relay::{GuestTexts, Limits, Mail, OwedRefusal};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::{Reason, ToRelay};

use super::guest_rules;
use super::hand::Hand;
use super::house::two;
use super::rig::{Given, Rig, ms, secs, udp};
use super::visitor::Visitor;

/// Lines for a guest, given in one turn. One window holds a quarter of them.
const LINES: u64 = 900;
/// Bytes of one conversation in flight, as `client/outbox.rs` has it.
const WINDOW_BYTES: u64 = 128 * 1024;
const LINE_LEN: usize = 500;

fn line(number: u64) -> String {
    format!("{number:0LINE_LEN$}")
}

fn refused(jack: &Visitor) -> Vec<u64> {
    let number = |event: &Event| match event {
        Event::Refused { request, reason: Reason::Unknown, may_have_arrived: false, text, .. } => {
            assert_eq!(*text, line(*request), "the text is returned");
            Some(*request)
        }
        _ => None,
    };
    jack.shown.iter().filter_map(number).collect()
}

#[test]
fn lines_to_gone_guest_are_sent_once_and_end_together() {
    let rules = guest_rules::to_jack(8, GuestTexts::default());
    let mut rig = Rig::serving(Limits::default(), Some(rules));
    let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    let mut jack = Visitor::signed_in(&mut rig, "JACK", 2, Carriers::Udp);
    let addr = SocketAddr::from(([198, 18, 0, 9], 4_000));
    let guest = Name::of_guest(addr).to_string();
    let conn = rig.connect(addr);
    rig.take(vec![Given::Text(conn, b"hello\n".to_vec())]);
    jack.send(1, 1, &guest, "are you there?");
    jack.run_with(&mut rig, secs(1));
    let accepted = |e: &Event| matches!(e, Event::Progress { progress: Progress::Accepted, .. });
    assert_eq!(jack.shows(accepted), 1);
    rig.disconnect(conn);
    jack.run_with(&mut rig, secs(20));

    let before = rig.relay.stats().letters_refused;
    let packets = jack.packets_up;
    (2..LINES + 2).for_each(|request| jack.send(1, request, &guest, &line(request)));
    jack.send(1, 9_000, "TOM", "by the way");
    jack.run_with(&mut rig, ms(400));
    tom.send(&mut rig, &[Frame::Ping]);
    assert_eq!(tom.deliveries(&mut rig).len(), 1, "another conversation does not wait");
    jack.run_with(&mut rig, secs(5));
    assert_eq!(refused(&jack), (2..LINES + 2).collect::<Vec<_>>(), "each once and in order");
    let went = rig.relay.stats().letters_refused - before;
    assert!(went <= WINDOW_BYTES / LINE_LEN as u64, "{went} were sent; the waiting ones end with them");
    let bytes = (jack.packets_up - packets) as u64 * 1_200;
    assert!(bytes <= 2 * WINDOW_BYTES, "at most {bytes} bytes: no line is sent twice");

    // A later line tries again, alone.
    let before = rig.relay.stats().letters_refused;
    (5_000..5_300).for_each(|request| jack.send(1, request, &guest, &line(request)));
    jack.run_with(&mut rig, secs(1));
    assert_eq!(refused(&jack).len() as u64, LINES + 300);
    assert_eq!(rig.relay.stats().letters_refused - before, 1);
}

fn id(number: u64) -> LetterId {
    LetterId { outbox: OutboxId(0xB0), number }
}

/// Returns a relay with the members TOM, JACK and MARY. TOM has not received this many refusals of
/// letters to JACK.
fn owing(limits: Limits, refusals: u64) -> (Rig, Hand, Hand, Hand) {
    let from: Name = "TOM".parse().unwrap();
    let to: Name = "JACK".parse().unwrap();
    let owed = |number| {
        let from = from.clone();
        let to = to.clone();
        OwedRefusal { from, to, id: id(number), reason: Reason::Expired, may_have_arrived: false }
    };
    let mail = Mail { refusals: (1..=refusals).map(owed).collect(), ..Mail::default() };
    let mut rig = Rig::with_mail(limits, &["TOM", "JACK", "MARY"], mail);
    let (mut tom, jack) = two(&mut rig);
    let mary = Hand::member(&mut rig, udp(3, 1_000), 3, "MARY");
    tom.told(StreamId::Control);
    (rig, tom, jack, mary)
}

/// All refusals that may be pending for one sender belong to one conversation.
#[test]
fn unacknowledged_refusals_block_no_other_conversation() {
    let (mut rig, mut tom, mut jack, mut mary) = owing(Limits::default(), 10_000);
    tom.write(&mut rig, "MARY", 1, 0, "hello");
    assert_eq!(mary.deliveries(&mut rig).len(), 1);
    tom.write(&mut rig, "JACK", 20_000, 0, "hello");
    tom.write_from(&mut rig, OutboxId(0xB1), "JACK", (1, 0), &encode_text("hello", Wall(1)));
    assert_eq!(tom.refusals(&mut rig), [(20_000, Reason::Full), (1, Reason::Full)]);
    tom.say(&mut rig, StreamId::Control, &ToRelay::Heard { to: "JACK", id: id(1) });
    tom.write(&mut rig, "JACK", 20_001, 0, "hello");
    assert_eq!(jack.deliveries(&mut rig).len(), 1);
}

#[test]
fn unacknowledged_refusals_count_against_sender_limit() {
    let limits = Limits { sender_bytes: 1 << 20, ..Limits::default() };
    let (mut rig, mut tom, _, mut mary) = owing(limits, 10_000 + (1 << 20) / 256);
    tom.write(&mut rig, "MARY", 1, 0, "hello");
    assert_eq!(tom.refusals(&mut rig), [(1, Reason::Full)]);
    tom.say(&mut rig, StreamId::Control, &ToRelay::Heard { to: "JACK", id: id(1) });
    tom.write(&mut rig, "MARY", 2, 0, "hello");
    assert_eq!(mary.deliveries(&mut rig).len(), 1);
}
