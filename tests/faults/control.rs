//! Floods of control messages. They are read at a limited rate and none is dropped. Messages that
//! only report the state of letters have no limit.

use queqiao::base::OutboxId;
use queqiao::relay::Limits;
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{Names, Reason, SCREEN_FIRST, SCREEN_LAST, ToRelay};

use super::hand::{Hand, Told};
use super::rig::{Rig, ms, secs, udp};

/// Flags of a block list in a single part.
const WHOLE: u8 = SCREEN_FIRST | SCREEN_LAST;

/// Returns a block list of these names.
fn list(names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    names.iter().for_each(|name| Names::put(&mut bytes, name));
    let mut message = Vec::new();
    ToRelay::Screen { flags: WHOLE, names: Names::new(&bytes) }.encode(&mut message);
    message
}

/// Sends these messages in turn for `secs` seconds, as fast as there is credit.
fn flood(rig: &mut Rig, hand: &mut Hand, secs: u64, messages: &[Vec<u8>]) {
    let mut said = 0;
    for _ in 0..secs * 5 {
        for _ in 0..100 {
            let message = &messages[said % messages.len()];
            if hand.room(StreamId::Control) < message.len() + 2 {
                break;
            }
            hand.say_bytes(rig, StreamId::Control, message);
            said += 1;
        }
        rig.wait(ms(200));
        hand.hear(rig);
    }
}

fn limits(control_burst: u32, control_per_second: u32) -> Limits {
    Limits { control_burst, control_per_second, ..Limits::default() }
}

/// Unlimited, a member sent 239,000 block lists a second, and each was written to the disk.
#[test]
fn block_lists_are_rate_limited_and_last_one_applies() {
    let mut rig = Rig::with(limits(1_000, 1_000));
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let before = rig.changes;
    flood(&mut rig, &mut tom, 5, &[list(&["JACK", "ANN"]), list(&["ANN"])]);
    let written = rig.changes - before;
    assert!((50..=60).contains(&written), "{written} lists, each as dear as a hundred messages, in 5 s");
    for _ in 0..30 {
        rig.wait(secs(10));
        tom.send(&mut rig, &[Frame::Ping]);
    }
    tom.say_bytes(&mut rig, StreamId::Control, &list(&["JACK"]));
    assert_eq!(tom.closed(), None);
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    jack.write(&mut rig, "TOM", 1, 0, "hello");
    assert_eq!(jack.refusals(&mut rig), [(1, Reason::Blocked)], "nothing was dropped");
}

#[test]
fn long_lists_cost_more_than_short_messages() {
    let long: Vec<String> = (0..300).map(|n| format!("MEMBER{n:04}")).collect();
    let long = list(&long.iter().map(String::as_str).collect::<Vec<_>>());
    let mut ask = Vec::new();
    ToRelay::Ask { to: "NOBODY", outbox: OutboxId(7) }.encode(&mut ask);
    let answered = |messages: &[Vec<u8>]| {
        let mut rig = Rig::with(limits(300, 20));
        let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
        // A list that is stored already costs only by its length.
        tom.say_bytes(&mut rig, StreamId::Control, &messages[0]);
        rig.wait(secs(60));
        flood(&mut rig, &mut tom, 10, messages);
        tom.told(StreamId::Control).iter().filter(|told| matches!(told, Told::Receipt { .. })).count()
    };
    let alone = answered(&[ask.clone()]);
    let among = answered(&[long, ask]);
    assert!((450..=510).contains(&alone), "{alone} questions in 10 s");
    assert!((3..=6).contains(&among), "{among} questions, each behind a list, in 10 s");
}

#[test]
fn limits_off_reads_flood_at_once() {
    let mut rig = Rig::with(Limits { per_sender: false, ..limits(10, 1) });
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let before = rig.changes;
    flood(&mut rig, &mut tom, 2, &[list(&["JACK", "ANN"]), list(&["ANN"])]);
    assert_eq!(rig.changes - before, 1_000);
}

/// Five sessions one after another: the rate belongs to the member.
#[test]
fn new_session_has_no_new_allowance() {
    let mut rig = Rig::with(limits(500, 1));
    let lists = [list(&["JACK", "ANN"]), list(&["ANN"])];
    let mut written = 0;
    for port in 1..=5 {
        let mut tom = Hand::member(&mut rig, udp(1, port), 1, "TOM");
        let before = rig.changes;
        flood(&mut rig, &mut tom, 1, &lists);
        written += rig.changes - before;
    }
    assert!((4..=6).contains(&written), "{written} lists");
}

/// Each letter is stored and read separately. Reports about letters that came cost nothing.
#[test]
fn stored_and_read_reports_are_not_rate_limited() {
    let mut rig = Rig::with(Limits { letters_burst: 5_000, ..limits(20, 1) });
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    for number in 1..=2_000 {
        tom.write(&mut rig, "JACK", number, number - 1, "x");
        jack.hear(&mut rig);
        jack.store(&mut rig, "TOM", number);
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: number };
        jack.say(&mut rig, StreamId::Control, &read);
        rig.wait(ms(1));
    }
    rig.wait(ms(100));
    assert_eq!(rig.relay.stats().letters_stored, 2_000);
}

/// A recipient may have read letters that the relay does not know to be delivered. The number of
/// such reports is unbounded, and each is written to the disk while their sender is away.
#[test]
fn read_marks_for_missing_letters_are_rate_limited() {
    let mut rig = Rig::with(limits(20, 1));
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    tom.write(&mut rig, "JACK", 1, 0, "x");
    jack.hear(&mut rig);
    jack.store(&mut rig, "TOM", 1);
    let mut said = 0;
    while said < 20_000 && jack.room(StreamId::Control) > 40 {
        said += 1;
        let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: said };
        jack.say(&mut rig, StreamId::Control, &read);
    }
    assert!(said < 15_000, "{said} messages, more than the credit of one stream holds");
    assert_eq!(jack.closed(), None);
}

/// The sender chooses its numbers. One letter with a huge number, perhaps to itself, makes as many
/// read reports plausible as the number says. Only as many as there are letters are free.
#[test]
fn read_marks_below_number_leap_are_rate_limited() {
    let mut rig = Rig::with(limits(20, 1));
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    tom.write(&mut rig, "TOM", u64::MAX / 2, 0, "x");
    tom.hear(&mut rig);
    tom.store(&mut rig, "TOM", u64::MAX / 2);
    let mut said = 0;
    for _ in 0..10 {
        while said < 20_000 && tom.room(StreamId::Control) > 40 {
            said += 1;
            let read = ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through: said };
            tom.say(&mut rig, StreamId::Control, &read);
        }
        rig.wait(ms(200));
        tom.hear(&mut rig);
    }
    assert!(said < 15_000, "{said} messages, more than the credit of one stream holds");
    assert_eq!(tom.closed(), None);
}

#[test]
fn flood_of_one_member_delays_no_other_member() {
    let mut rig = Rig::new();
    let hands = ["TOM", "JACK", "ANN"].map(|name| {
        let who = u64::from(name.as_bytes()[0]);
        Hand::member(&mut rig, udp(who as u8, 1), who, name)
    });
    let [mut tom, mut jack, mut ann] = hands;
    flood(&mut rig, &mut tom, 5, &[list(&["TIM", "TAM"]), list(&["TAM"])]);
    jack.write(&mut rig, "ANN", 1, 0, "hello");
    ann.hear(&mut rig);
    assert_eq!(ann.deliveries(&mut rig).len(), 1);
    tom.write(&mut rig, "ANN", 1, 0, "letters have a separate rate");
    ann.hear(&mut rig);
    assert_eq!(ann.deliveries(&mut rig).len(), 1);
}

/// The bulk stream has no messages yet. Its bytes are discarded, no faster than control messages
/// are read.
#[test]
fn bulk_messages_are_discarded_within_the_rate() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let message = vec![7; 16_000];
    let mut said = 0;
    for _ in 0..200 {
        while tom.room(StreamId::Bulk) > message.len() + 4 {
            tom.say_bytes(&mut rig, StreamId::Bulk, &message);
            said += 1;
        }
        rig.wait(ms(50));
        tom.hear(&mut rig);
    }
    assert!((20..=60).contains(&said), "{said} messages of 16 KB in 10 s");
    assert_eq!(tom.closed(), None);
}

/// Messages of a stranger behind its sign-in wait in its small credit until the sign-in is done.
#[test]
fn messages_after_sign_in_are_read_with_the_welcome() {
    let mut rig = Rig::new();
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    rig.commits = false;
    let counter = rig.counter();
    let mut tom = Hand::shake(&mut rig, udp(1, 1), 1, counter).unwrap();
    tom.say(
        &mut rig,
        StreamId::Control,
        &ToRelay::SignIn {
            name: "TOM",
            invite: &[],
            screen_follows: true,
            outbox: None,
            features: Features::OURS,
        },
    );
    tom.say_bytes(&mut rig, StreamId::Control, &list(&["JACK"]));
    tom.say_bytes(&mut rig, StreamId::Control, &[&[0x80][..], &[0; 3_000]].concat());
    assert_eq!((tom.told(StreamId::Control), tom.closed()), (Vec::new(), None));
    let (ticket, _) = rig.asked.remove(0);
    rig.commits = true;
    rig.take(vec![super::rig::Given::Other(queqiao::base::Input::Committed(ticket))]);
    tom.hear(&mut rig);
    assert_eq!(tom.told(StreamId::Control), [Told::Welcome]);
    jack.write(&mut rig, "TOM", 1, 0, "hello");
    assert_eq!(jack.refusals(&mut rig), [(1, Reason::Blocked)]);
}

/// Messages of a session without a name have no effect, and count against the same rate.
#[test]
fn unsigned_session_has_the_same_rate() {
    let mut rig = Rig::with(limits(50, 1));
    let mut stranger = Hand::shake(&mut rig, udp(1, 1), 1, 1).unwrap();
    let message = [&[0x80][..], &[0; 20]].concat();
    let mut said = 0;
    while said < 10_000 && stranger.room_of(StreamId::Control, 4_100) > 30 {
        stranger.say_bytes(&mut rig, StreamId::Control, &message);
        said += 1;
    }
    assert!(said < 300, "{said} messages");
    assert_eq!(stranger.closed(), None);
}
