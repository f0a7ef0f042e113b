//! Scenarios with two or three members, each run separately.

use std::time::Duration;

use queqiao::base::Carrier;
use queqiao::client::{Carriers, Command, Event, Screen, Screens, Unreached};
use queqiao::relay::Limits;
use queqiao::wire::message::{NameReason, Reason};

use super::oracle::End;
use super::world::World;

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// TOM and JACK, both online.
pub fn two(carriers: Carriers) -> (World, usize, usize) {
    two_in(World::new(1), carriers)
}

/// TOM and JACK in this simulation, both online.
pub fn two_in(mut world: World, carriers: Carriers) -> (World, usize, usize) {
    let tom = world.client("TOM", carriers);
    let jack = world.client("JACK", carriers);
    world.start(tom);
    world.start(jack);
    assert!(world.run_until(secs(5), |w| is_online(w, tom) && is_online(w, jack)), "both come online");
    (world, tom, jack)
}

/// TOM in this simulation, and JACK, who was online and has left.
pub fn one_has_left(world: World) -> (World, usize, usize) {
    let (mut world, tom, jack) = two_in(world, Carriers::Auto);
    world.command(jack, Command::Leave);
    world.run_for(millis(100));
    (world, tom, jack)
}

/// Sends a letter to JACK, who is away. The relay accepts it for his mailbox.
pub fn leave_letter(world: &mut World, from: usize, text: &str) -> u64 {
    let letter = world.send(from, "JACK", text);
    assert!(world.run_until(secs(1), |w| w.fate(letter).accepted), "{:?}", world.fate(letter));
    letter
}

/// Returns how long a letter takes to be delivered, at most `most`.
pub fn say(world: &mut World, from: usize, to: &str, most: Duration) -> Duration {
    let start = world.now;
    let letter = world.send(from, to, "hello");
    assert!(world.run_until(most, |w| delivered(w, letter)), "{:?}", world.fate(letter));
    world.now.since(start)
}

/// Checks that the sender received `expired`.
fn assert_expired(world: &World, letter: u64) {
    let end = world.fate(letter).end;
    assert!(matches!(end, Some(End::Refused { reason: Reason::Expired, .. })), "{end:?}");
}

pub fn is_online(world: &World, client: usize) -> bool {
    let events = world.stations[client].events.iter().rev();
    let mut told = events.filter(|(_, e)| matches!(e, Event::Online { .. } | Event::Lost { .. }));
    matches!(told.next(), Some((_, Event::Online { .. })))
}

pub fn ended(world: &World, request: u64) -> bool {
    world.fate(request).end.is_some()
}

pub fn delivered(world: &World, request: u64) -> bool {
    world.fate(request).end == Some(End::Delivered)
}

pub fn shows(world: &World, client: usize, wanted: impl Fn(&Event) -> bool) -> bool {
    world.stations[client].events.iter().any(|(_, event)| wanted(event))
}

#[test]
fn letter_goes_over_udp() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    say(&mut world, tom, "JACK", millis(100));
    assert!(shows(
        &world,
        jack,
        |e| matches!(e, Event::Letter(l) if l.text == "hello" && l.via == Carrier::Udp)
    ));
    assert_eq!(world.last_conn, 0, "no TCP connection is opened where UDP works");
}

#[test]
fn letter_goes_over_tcp() {
    let (mut world, tom, jack) = two(Carriers::Tcp);
    let datagrams = world.datagrams;
    say(&mut world, tom, "JACK", millis(100));
    assert!(shows(&world, jack, |e| matches!(e, Event::Letter(l) if l.via == Carrier::Tcp)));
    assert_eq!(datagrams, 0, "no datagram for signing in");
    assert_eq!(world.datagrams, 0, "no datagram for the letter");
}

#[test]
fn first_letter_despite_udp_black_hole_takes_at_most_1500_ms() {
    let mut world = World::new(1);
    let tom = world.client("TOM", Carriers::Auto);
    let jack = world.client("JACK", Carriers::Auto);
    world.stations[tom].up.weather.udp_hole = true;
    world.start(jack);
    world.start(tom);
    say(&mut world, tom, "JACK", millis(1500));
    assert!(shows(&world, tom, |e| matches!(e, Event::Online { via: Carrier::Tcp, .. })));
}

#[test]
fn conversation_continues_over_tcp_when_udp_dies() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    world.stations[tom].up.weather.udp_hole = true;
    world.stations[tom].down.weather.udp_hole = true;
    say(&mut world, tom, "JACK", secs(10));
    assert!(shows(&world, tom, |e| matches!(e, Event::Moved { via: Carrier::Tcp, .. })));
    say(&mut world, jack, "TOM", millis(500));
    assert_eq!(world.relay.core.stats().handshakes, 2, "the session continues");
}

#[test]
fn address_change_mid_conversation_needs_no_handshake() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    for round in 0..6 {
        say(&mut world, tom, "JACK", millis(200));
        world.rebind(tom, round % 2 == 1);
        say(&mut world, tom, "JACK", millis(200));
        say(&mut world, jack, "TOM", millis(200));
    }
    assert_eq!(world.relay.core.stats().handshakes, 2, "no new handshake");
}

#[test]
fn first_key_of_relay_is_pinned() {
    let (mut world, tom, _) = two(Carriers::Auto);
    let relay_key = world.relay.core.public_key();
    assert!(shows(&world, tom, |e| matches!(e, Event::Pinned { key, .. } if *key == relay_key)));
    world.stations[tom].events.clear();
    world.restart_client(tom);
    assert!(world.run_until(secs(2), |w| is_online(w, tom)));
    assert!(!shows(&world, tom, |e| matches!(e, Event::Pinned { .. })), "it was known");
}

/// Answers to a key query carry no proof. If one is damaged on the way, the client asks again, and
/// pins only the key that the relay has proved.
#[test]
fn damaged_key_answer_is_never_pinned() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        let tom = world.client("TOM", if seed % 3 == 0 { Carriers::Udp } else { Carriers::Auto });
        world.stations[tom].down.weather.corrupt = 500;
        world.start(tom);
        world.run_for(secs(3));
        world.stations[tom].down.weather.corrupt = 0;
        assert!(world.run_until(secs(5), |w| is_online(w, tom)), "seed {seed}");
        let changed = |e: &Event| matches!(e, Event::Unreached { why: Unreached::KeyChanged { .. }, .. });
        assert!(!shows(&world, tom, changed), "seed {seed}: no key was known before");
    }
}

#[test]
fn changed_key_of_relay_is_reported_and_not_accepted() {
    let mut world = World::new(1);
    let tom = world.client("TOM", Carriers::Auto);
    let pinned = queqiao::session::Identity::from_private([7; 32]).public();
    world.stations[tom].pinned = Some(pinned);
    world.start(tom);
    let offered = world.relay.core.public_key();
    let wanted = Unreached::KeyChanged { pinned, offered };
    let told = |w: &World| shows(w, tom, |e| matches!(e, Event::Unreached { why, .. } if *why == wanted));
    assert!(world.run_until(secs(3), told), "{:?}", world.stations[tom].events);
    assert!(!is_online(&world, tom));
}

#[test]
fn name_belongs_to_first_key() {
    let (mut world, _, _) = two(Carriers::Auto);
    let thief = world.client("TOM", Carriers::Auto);
    world.start(thief);
    let refused = |e: &Event| matches!(e, Event::NameRefused { reason: NameReason::Taken, .. });
    assert!(world.run_until(secs(2), |w| shows(w, thief, refused)));
    let names = world.relay_disk.members.len();
    world.run_for(secs(5));
    assert_eq!(names, 2);
    assert_eq!(world.relay_disk.members.len(), 2, "five seconds later");
}

#[test]
fn unknown_name_is_refused_with_similar_names() {
    let (mut world, tom, _) = two(Carriers::Auto);
    let letter = world.send(tom, "JAKC", "hello");
    assert!(world.run_until(millis(100), |w| ended(w, letter)));
    let told = |e: &Event| match e {
        Event::Refused { reason: Reason::Unknown, nearest, .. } => {
            nearest.first().is_some_and(|name| name.as_str() == "JACK")
        }
        _ => false,
    };
    assert!(shows(&world, tom, told), "{:?}", world.stations[tom].events);
    let letter = world.send(tom, "JACK", "hello");
    assert!(world.run_until(millis(100), |w| delivered(w, letter)));
}

#[test]
fn absent_member_receives_letters_in_order_on_return() {
    let (mut world, tom, jack) = one_has_left(World::new(1));
    let letters: Vec<u64> = (0..50).map(|n| world.send(tom, "JACK", &format!("letter {n}"))).collect();
    assert!(world.run_until(millis(500), |w| letters.iter().all(|l| w.fate(*l).accepted)));
    assert_eq!(world.relay_disk.len(), 50);
    world.restart_relay(millis(100));
    world.run_for(secs(5));
    world.restart_client(jack);
    assert!(world.run_until(secs(60), |w| letters.iter().all(|l| delivered(w, *l))));
    world.run_for(millis(500));
    assert_eq!(world.relay_disk.len(), 0);
    assert!(letters.iter().all(|l| world.fate(*l).shown == 1));
}

#[test]
fn letter_between_online_members_is_never_written_to_disk() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    for n in 0..200 {
        let letter = world.send(tom, "JACK", &format!("letter {n}"));
        let answer = world.send(jack, "TOM", &format!("answer {n}"));
        assert!(world.run_until(secs(1), |w| delivered(w, letter) && delivered(w, answer)));
    }
    world.run_for(secs(5));
    assert_eq!(world.relay.core.stats().letters_written, 0);
}

/// The recipient stops receiving. The letter is in memory only for at least 400 ms, and accepted
/// within 700 ms. The relay then restarts.
#[test]
fn letter_to_silent_recipient_is_accepted_and_arrives_once() {
    let (mut world, tom, jack) = two(Carriers::Udp);
    world.stations[jack].down.weather.udp_hole = true;
    let letter = world.send(tom, "JACK", "hello");
    world.run_for(millis(400));
    assert!(!world.fate(letter).accepted, "it is only in memory");
    assert!(world.run_until(millis(300), |w| w.fate(letter).accepted));
    world.restart_relay(millis(50));
    let next = world.send(tom, "JACK", "still there?");
    assert!(world.run_until(secs(20), |w| w.fate(next).accepted), "{:?}", world.fate(next));
    world.heal();
    assert!(world.run_until(secs(60), |w| delivered(w, letter) && delivered(w, next)));
    assert_eq!(world.fate(letter).shown, 1);
    assert_eq!(world.fate(next).shown, 1);
}

#[test]
fn letter_expires_by_uptime_despite_wall_clock_jump() {
    let limits = Limits { keep: secs(3_600), ..Limits::default() };
    let (mut world, tom, jack) = one_has_left(World::with_limits(1, limits));
    let letter = leave_letter(&mut world, tom, "soon too old");
    world.relay.wall_offset_ms = 10 * 365 * 86_400_000;
    world.run_for(secs(1_800));
    let later = world.send(tom, "JACK", "young enough");
    world.run_for(secs(1_000));
    assert_eq!(world.relay.core.stats().letters_expired, 0, "no jump makes it older");
    world.restart_relay(millis(100));
    // After a crash letters wait for up to an hour more: the uptime clock resumes where a letter or
    // an hour was last written.
    world.run_for(secs(1_900));
    assert_eq!(world.relay_disk.len(), 1);
    assert_expired(&world, letter);
    world.restart_client(jack);
    assert!(world.run_until(secs(10), |w| delivered(w, later)), "{:?}", world.fate(later));
}

/// The sender is unreachable from before the letter expires until after the restart.
#[test]
fn refusal_of_expired_letter_survives_relay_restart() {
    let limits = Limits { keep: secs(60), ..Limits::default() };
    let (mut world, tom, _) = one_has_left(World::with_limits(1, limits));
    let letter = leave_letter(&mut world, tom, "soon too old");
    world.isolate(tom);
    assert!(world.run_until(secs(90), |w| w.relay.core.stats().letters_expired == 1));
    world.restart_relay(millis(100));
    world.heal();
    assert!(world.run_until(secs(90), |w| w.fate(letter).end.is_some()), "no refusal arrived");
    assert_expired(&world, letter);
}

/// The oracle checks the order at both clients.
#[test]
fn expiry_is_reported_before_later_letter_is_delivered() {
    for restarted in [false, true] {
        let limits = Limits { keep: secs(60), ..Limits::default() };
        let (mut world, tom, jack) = one_has_left(World::with_limits(1, limits));
        let [old, young] = [("soon too old", 40), ("young enough", 1)].map(|(text, pause)| {
            let letter = leave_letter(&mut world, tom, text);
            world.run_for(secs(pause));
            letter
        });
        world.isolate(tom);
        assert!(world.run_until(secs(30), |w| w.relay.core.stats().letters_expired == 1));
        world.restart_client(jack);
        let shown = |w: &World| shows(w, jack, |e| matches!(e, Event::Letter(l) if l.text == "young enough"));
        assert!(world.run_until(secs(15), shown));
        world.run_for(secs(1));
        if restarted {
            world.restart_relay(millis(100));
        }
        world.heal();
        assert!(world.run_until(secs(90), |w| delivered(w, young) && ended(w, old)), "{:?}", world.fate(old));
        assert_expired(&world, old);
    }
}

/// The relay may have queried its disk for the oldest letters just before one of them was stored.
#[test]
fn letter_stored_during_expiry_query_is_counted_out_once() {
    for early in 20..56 {
        let limits = Limits { keep: secs(60), ..Limits::default() };
        let (mut world, tom, jack) = one_has_left(World::with_limits(early, limits));
        let old = leave_letter(&mut world, tom, "nearly too old");
        world.run_for(secs(60) - millis(early));
        world.restart_client(jack);
        let others: Vec<u64> = (0..40)
            .map(|_| {
                world.run_for(millis(5));
                world.send(tom, "JACK", "young")
            })
            .collect();
        let all = |w: &World| ended(w, old) && others.iter().all(|letter| delivered(w, *letter));
        assert!(world.run_until(secs(30), all), "{early} ms early");
    }
}

#[test]
fn unwanted_letter_is_refused_once_full_disk_has_space() {
    let (mut world, tom, jack) = one_has_left(World::new(1));
    let letter = leave_letter(&mut world, tom, "for the mailbox");
    // JACK refuses a letter that the relay has accepted.
    world.oracle.liars.insert("JACK".to_owned());
    world.relay_platter.full_until = world.now + secs(5);
    world.restart_client(jack);
    let nobody = Screen { only: Some(Vec::new()), ..Screen::default() };
    world.command(jack, Command::Screen(Screens { others: Some(nobody), ..Screens::default() }));
    world.run_for(millis(4_900));
    assert!(is_online(&world, jack) && !ended(&world, letter) && world.relay_disk.len() == 1);
    assert!(world.run_until(secs(2), |w| ended(w, letter)), "{:?}", world.fate(letter));
    let end = world.fate(letter).end;
    assert!(matches!(end, Some(End::Refused { reason: Reason::Blocked, .. })), "{end:?}");
    assert_eq!(world.relay_disk.len(), 0);
}

#[test]
fn echo_answers_in_capitals() {
    let (mut world, tom, _) = two(Carriers::Auto);
    let letter = world.send(tom, "echo", "hello 你好");
    assert!(world.run_until(millis(100), |w| delivered(w, letter)));
    let capitals = |e: &Event| matches!(e, Event::Letter(l) if l.text == "HELLO 你好");
    assert!(world.run_until(millis(100), |w| shows(w, tom, capitals)));
}

#[test]
fn longest_letter_arrives_and_longer_one_is_refused() {
    let (mut world, tom, _) = two(Carriers::Auto);
    let longest = world.send(tom, "JACK", &"x".repeat(64 * 1024));
    let longer = world.send(tom, "JACK", &"x".repeat(64 * 1024 + 1));
    assert!(world.run_until(secs(2), |w| delivered(w, longest)), "{:?}", world.fate(longest).end);
    let too_long = End::Refused { reason: Reason::TooLong, may_have_arrived: false };
    assert_eq!(world.fate(longer).end, Some(too_long));
}

#[test]
fn listener_receives_next_letter_after_broken_connection() {
    let (mut world, tom, jack) = two(Carriers::Tcp);
    world.run_for(secs(5));
    let ours = world.conns.iter().find(|(_, conn)| conn.client == jack).map(|(number, _)| *number);
    world.reset(ours.expect("JACK is connected"));
    world.run_for(secs(3));
    say(&mut world, tom, "JACK", secs(1));
}
