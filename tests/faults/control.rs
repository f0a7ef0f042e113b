//! Floods of control messages: read within a rate, nothing dropped, and no limit to what only tells
//! what became of letters.

use queqiao::base::OutboxId;
use queqiao::relay::Limits;
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{Names, Reason, SCREEN_FIRST, SCREEN_LAST, ToRelay};

use super::hand::{Hand, Told};
use super::rig::{Rig, ms, secs, udp};

const WHOLE: u8 = SCREEN_FIRST | SCREEN_LAST;

fn list(names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    names.iter().for_each(|name| Names::put(&mut bytes, name));
    let mut message = Vec::new();
    ToRelay::Screen { flags: WHOLE, names: Names::new(&bytes) }.encode(&mut message);
    message
}

/// Says these messages in turn for `secs` seconds, as fast as there is credit.
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

/// As the issue measured it: 239,000 block lists a second, each of them written to the disk.
#[test]
fn block_lists_are_read_within_a_rate_and_the_last_one_holds() {
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
        // What is written down once and is the same later costs by its length.
        tom.say_bytes(&mut rig, StreamId::Control, &messages[0]);
        rig.wait(secs(60));
        flood(&mut rig, &mut tom, 10, messages);
        tom.told(StreamId::Control).iter().filter(|told| matches!(told, Told::Receipt { .. })).count()
    };
    let (alone, among) = (answered(&[ask.clone()]), answered(&[long, ask]));
    assert!((450..=510).contains(&alone), "{alone} questions in 10 s");
    assert!((3..=6).contains(&among), "{among} questions, each behind a list, in 10 s");
}

#[test]
fn a_flood_is_read_at_once_where_limits_are_off() {
    let mut rig = Rig::with(Limits { per_sender: false, ..limits(10, 1) });
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let before = rig.changes;
    flood(&mut rig, &mut tom, 2, &[list(&["JACK", "ANN"]), list(&["ANN"])]);
    assert_eq!(rig.changes - before, 1_000);
}

/// One session after the other: the rate is the member's.
#[test]
fn signing_in_again_gives_no_new_allowance() {
    let mut rig = Rig::with(limits(500, 1));
    let (lists, mut written) = ([list(&["JACK", "ANN"]), list(&["ANN"])], 0);
    for port in 1..=5 {
        let mut tom = Hand::member(&mut rig, udp(1, port), 1, "TOM");
        let before = rig.changes;
        flood(&mut rig, &mut tom, 1, &lists);
        written += rig.changes - before;
    }
    assert!((4..=6).contains(&written), "{written} lists");
}

/// Each letter is stored and read by itself, and what is said of it costs nothing.
#[test]
fn who_tells_what_became_of_letters_never_meets_the_rate() {
    let mut rig = Rig::with(Limits { letters_burst: 5_000, ..limits(20, 1) });
    let (mut tom, mut jack) =
        (Hand::member(&mut rig, udp(1, 1), 1, "TOM"), Hand::member(&mut rig, udp(2, 2), 2, "JACK"));
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

/// A reader may have read letters that the relay does not know to be delivered. There is no end of
/// such words, and each is written down while their author is away.
#[test]
fn read_marks_of_letters_that_never_came_meet_the_rate() {
    let mut rig = Rig::with(limits(20, 1));
    let (mut tom, mut jack) =
        (Hand::member(&mut rig, udp(1, 1), 1, "TOM"), Hand::member(&mut rig, udp(2, 2), 2, "JACK"));
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

/// Numbers are the author's to choose: a letter with a huge one, perhaps to itself, makes room for as
/// many words on what was read as the number is. There are as many of those as letters, no more.
#[test]
fn read_marks_below_a_leap_in_the_numbers_meet_the_rate() {
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
fn a_flood_of_one_member_holds_nobody_up() {
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
    tom.write(&mut rig, "ANN", 1, 0, "letters have a rate of their own");
    ann.hear(&mut rig);
    assert_eq!(ann.deliveries(&mut rig).len(), 1);
}

/// Bulk has no messages yet: what comes there is let go, and not faster than control.
#[test]
fn bulk_is_let_go_within_the_rate() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let (message, mut said) = (vec![7; 16_000], 0);
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

/// What a stranger says behind its sign-in waits in its little credit until the sign-in is done.
#[test]
fn what_follows_a_sign_in_is_read_with_the_welcome() {
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

/// A session without a name says nothing that is heard, and that within the rate too.
#[test]
fn a_stranger_has_the_same_rate() {
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
