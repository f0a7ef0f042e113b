//! Scenarios with two or three members, each run separately.

use std::time::Duration;

use queqiao::base::Carrier;
use queqiao::client::{BlockList, BlockLists, Carriers, Command, ConnectFailure, Event};
use queqiao::relay::Limits;
use queqiao::wire::message::{NameReason, Reason};

use crate::oracle::LetterEnd;
use crate::simulation::Simulation;

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// TOM and JACK, both online.
pub fn two_clients(carriers: Carriers) -> (Simulation, usize, usize) {
    two_clients_in(Simulation::new(1), carriers)
}

/// TOM and JACK in this simulation, both online.
pub fn two_clients_in(mut sim: Simulation, carriers: Carriers) -> (Simulation, usize, usize) {
    let tom = sim.add_client("TOM", carriers);
    let jack = sim.add_client("JACK", carriers);
    sim.start(tom);
    sim.start(jack);
    assert!(sim.run_until(secs(5), |sim| is_online(sim, tom) && is_online(sim, jack)), "both come online");
    (sim, tom, jack)
}

/// TOM in this simulation, and JACK, who was online and has left.
pub fn with_jack_away(sim: Simulation) -> (Simulation, usize, usize) {
    let (mut sim, tom, jack) = two_clients_in(sim, Carriers::Auto);
    sim.send_command(jack, Command::Leave);
    sim.run_for(millis(100));
    (sim, tom, jack)
}

/// Sends a letter to JACK, who is away. The relay accepts it for his mailbox.
pub fn leave_letter(sim: &mut Simulation, from: usize, text: &str) -> u64 {
    let letter = sim.send(from, "JACK", text);
    assert!(sim.run_until(secs(1), |sim| sim.fate(letter).accepted), "{:?}", sim.fate(letter));
    letter
}

/// Returns how long a letter takes to be delivered, at most `most`.
pub fn send_and_time(sim: &mut Simulation, from: usize, to: &str, most: Duration) -> Duration {
    let start = sim.now;
    let letter = sim.send(from, to, "hello");
    assert!(sim.run_until(most, |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    sim.now.since(start)
}

/// Checks that the sender received `expired`.
fn assert_expired(sim: &Simulation, letter: u64) {
    let end = sim.fate(letter).end;
    assert!(matches!(end, Some(LetterEnd::Refused { reason: Reason::Expired, .. })), "{end:?}");
}

pub fn is_online(sim: &Simulation, client: usize) -> bool {
    let events = sim.machines[client].events.iter().rev();
    let mut notified = events.filter(|(_, e)| matches!(e, Event::Online { .. } | Event::Lost { .. }));
    matches!(notified.next(), Some((_, Event::Online { .. })))
}

pub fn ended(sim: &Simulation, request: u64) -> bool {
    sim.fate(request).end.is_some()
}

pub fn delivered(sim: &Simulation, request: u64) -> bool {
    sim.fate(request).end == Some(LetterEnd::Delivered)
}

pub fn shows(sim: &Simulation, client: usize, wanted: impl Fn(&Event) -> bool) -> bool {
    sim.machines[client].events.iter().any(|(_, event)| wanted(event))
}

#[test]
fn letter_goes_over_udp() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    send_and_time(&mut sim, tom, "JACK", millis(100));
    assert!(shows(
        &sim,
        jack,
        |e| matches!(e, Event::Letter(l) if l.text == "hello" && l.via == Carrier::Udp)
    ));
    assert_eq!(sim.last_conn, 0, "no TCP connection is opened where UDP works");
}

#[test]
fn letter_goes_over_tcp() {
    let (mut sim, tom, jack) = two_clients(Carriers::Tcp);
    let datagrams = sim.datagrams;
    send_and_time(&mut sim, tom, "JACK", millis(100));
    assert!(shows(&sim, jack, |e| matches!(e, Event::Letter(l) if l.via == Carrier::Tcp)));
    assert_eq!(datagrams, 0, "no datagram for signing in");
    assert_eq!(sim.datagrams, 0, "no datagram for the letter");
}

#[test]
fn first_letter_despite_udp_black_hole_takes_at_most_1500_ms() {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.machines[tom].up.conditions.udp_hole = true;
    sim.start(jack);
    sim.start(tom);
    send_and_time(&mut sim, tom, "JACK", millis(1500));
    assert!(shows(&sim, tom, |e| matches!(e, Event::Online { via: Carrier::Tcp, .. })));
}

#[test]
fn conversation_continues_over_tcp_when_udp_dies() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    sim.machines[tom].up.conditions.udp_hole = true;
    sim.machines[tom].down.conditions.udp_hole = true;
    send_and_time(&mut sim, tom, "JACK", secs(10));
    assert!(shows(&sim, tom, |e| matches!(e, Event::Moved { via: Carrier::Tcp, .. })));
    send_and_time(&mut sim, jack, "TOM", millis(500));
    assert_eq!(sim.relay.core.stats().handshakes, 2, "the session continues");
}

#[test]
fn address_change_mid_conversation_needs_no_handshake() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    for round in 0..6 {
        send_and_time(&mut sim, tom, "JACK", millis(200));
        sim.rebind(tom, round % 2 == 1);
        send_and_time(&mut sim, tom, "JACK", millis(200));
        send_and_time(&mut sim, jack, "TOM", millis(200));
    }
    assert_eq!(sim.relay.core.stats().handshakes, 2, "no new handshake");
}

#[test]
fn first_key_of_relay_is_pinned() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    let relay_key = sim.relay.core.public_key();
    assert!(shows(&sim, tom, |e| matches!(e, Event::Pinned { key, .. } if *key == relay_key)));
    sim.machines[tom].events.clear();
    sim.restart_client(tom);
    assert!(sim.run_until(secs(2), |sim| is_online(sim, tom)));
    assert!(!shows(&sim, tom, |e| matches!(e, Event::Pinned { .. })), "it was known");
}

/// Answers to a key query carry no proof. If one is damaged on the way, the client asks again, and
/// pins only the key that the relay has proved.
#[test]
fn damaged_key_answer_is_never_pinned() {
    for seed in 0..60 {
        let mut sim = Simulation::new(seed);
        let tom = sim.add_client("TOM", if seed % 3 == 0 { Carriers::Udp } else { Carriers::Auto });
        sim.machines[tom].down.conditions.corrupt = 500;
        sim.start(tom);
        sim.run_for(secs(3));
        sim.machines[tom].down.conditions.corrupt = 0;
        assert!(sim.run_until(secs(5), |sim| is_online(sim, tom)), "seed {seed}");
        let changed =
            |e: &Event| matches!(e, Event::Unreached { reason: ConnectFailure::KeyChanged { .. }, .. });
        assert!(!shows(&sim, tom, changed), "seed {seed}: no key was known before");
    }
}

#[test]
fn changed_key_of_relay_is_reported_and_not_accepted() {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let pinned = queqiao::session::Identity::from_private([7; 32]).public();
    sim.machines[tom].pinned = Some(pinned);
    sim.start(tom);
    let offered = sim.relay.core.public_key();
    let wanted = ConnectFailure::KeyChanged { pinned, offered };
    let notified = |sim: &Simulation| {
        shows(sim, tom, |e| matches!(e, Event::Unreached { reason, .. } if *reason == wanted))
    };
    assert!(sim.run_until(secs(3), notified), "{:?}", sim.machines[tom].events);
    assert!(!is_online(&sim, tom));
}

#[test]
fn name_belongs_to_first_key() {
    let (mut sim, _, _) = two_clients(Carriers::Auto);
    let thief = sim.add_client("TOM", Carriers::Auto);
    sim.start(thief);
    let refused = |e: &Event| matches!(e, Event::NameRefused { reason: NameReason::Taken, .. });
    assert!(sim.run_until(secs(2), |sim| shows(sim, thief, refused)));
    let names = sim.relay_disk.members.len();
    sim.run_for(secs(5));
    assert_eq!(names, 2);
    assert_eq!(sim.relay_disk.members.len(), 2, "five seconds later");
}

#[test]
fn unknown_name_is_refused_with_similar_names() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    let letter = sim.send(tom, "JAKC", "hello");
    assert!(sim.run_until(millis(100), |sim| ended(sim, letter)));
    let notified = |e: &Event| match e {
        Event::Refused { reason: Reason::Unknown, nearest, .. } => {
            nearest.first().is_some_and(|name| name.as_str() == "JACK")
        }
        _ => false,
    };
    assert!(shows(&sim, tom, notified), "{:?}", sim.machines[tom].events);
    let letter = sim.send(tom, "JACK", "hello");
    assert!(sim.run_until(millis(100), |sim| delivered(sim, letter)));
}

#[test]
fn absent_member_receives_letters_in_order_on_return() {
    let (mut sim, tom, jack) = with_jack_away(Simulation::new(1));
    let letters: Vec<u64> = (0..50).map(|n| sim.send(tom, "JACK", &format!("letter {n}"))).collect();
    assert!(sim.run_until(millis(500), |sim| letters.iter().all(|l| sim.fate(*l).accepted)));
    assert_eq!(sim.relay_disk.len(), 50);
    sim.restart_relay(millis(100));
    sim.run_for(secs(5));
    sim.restart_client(jack);
    assert!(sim.run_until(secs(60), |sim| letters.iter().all(|l| delivered(sim, *l))));
    sim.run_for(millis(500));
    assert_eq!(sim.relay_disk.len(), 0);
    assert!(letters.iter().all(|l| sim.fate(*l).shown == 1));
}

#[test]
fn letter_between_online_members_is_never_written_to_disk() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    for n in 0..200 {
        let letter = sim.send(tom, "JACK", &format!("letter {n}"));
        let answer = sim.send(jack, "TOM", &format!("answer {n}"));
        assert!(sim.run_until(secs(1), |sim| delivered(sim, letter) && delivered(sim, answer)));
    }
    sim.run_for(secs(5));
    assert_eq!(sim.relay.core.stats().letters_written, 0);
}

/// The recipient stops receiving. The letter is in memory only for at least 400 ms, and accepted
/// within 700 ms. The relay then restarts.
#[test]
fn letter_to_silent_recipient_is_accepted_and_arrives_once() {
    let (mut sim, tom, jack) = two_clients(Carriers::Udp);
    sim.machines[jack].down.conditions.udp_hole = true;
    let letter = sim.send(tom, "JACK", "hello");
    sim.run_for(millis(400));
    assert!(!sim.fate(letter).accepted, "it is only in memory");
    assert!(sim.run_until(millis(300), |sim| sim.fate(letter).accepted));
    sim.restart_relay(millis(50));
    let next = sim.send(tom, "JACK", "still there?");
    assert!(sim.run_until(secs(20), |sim| sim.fate(next).accepted), "{:?}", sim.fate(next));
    sim.heal();
    assert!(sim.run_until(secs(60), |sim| delivered(sim, letter) && delivered(sim, next)));
    assert_eq!(sim.fate(letter).shown, 1);
    assert_eq!(sim.fate(next).shown, 1);
}

#[test]
fn letter_expires_by_uptime_despite_wall_clock_jump() {
    let limits = Limits { keep: secs(3_600), ..Limits::default() };
    let (mut sim, tom, jack) = with_jack_away(Simulation::with_limits(1, limits));
    let letter = leave_letter(&mut sim, tom, "soon too old");
    sim.relay.wall_offset_ms = 10 * 365 * 86_400_000;
    sim.run_for(secs(1_800));
    let later = sim.send(tom, "JACK", "young enough");
    sim.run_for(secs(1_000));
    assert_eq!(sim.relay.core.stats().letters_expired, 0, "no jump makes it older");
    sim.restart_relay(millis(100));
    // After a crash letters wait for up to an hour more: the uptime clock resumes where a letter or
    // an hour was last written.
    sim.run_for(secs(1_900));
    assert_eq!(sim.relay_disk.len(), 1);
    assert_expired(&sim, letter);
    sim.restart_client(jack);
    assert!(sim.run_until(secs(10), |sim| delivered(sim, later)), "{:?}", sim.fate(later));
}

/// The sender is unreachable from before the letter expires until after the restart.
#[test]
fn refusal_of_expired_letter_survives_relay_restart() {
    let limits = Limits { keep: secs(60), ..Limits::default() };
    let (mut sim, tom, _) = with_jack_away(Simulation::with_limits(1, limits));
    let letter = leave_letter(&mut sim, tom, "soon too old");
    sim.isolate(tom);
    assert!(sim.run_until(secs(90), |sim| sim.relay.core.stats().letters_expired == 1));
    sim.restart_relay(millis(100));
    sim.heal();
    assert!(sim.run_until(secs(90), |sim| sim.fate(letter).end.is_some()), "no refusal arrived");
    assert_expired(&sim, letter);
}

/// The oracle checks the order at both clients.
#[test]
fn expiry_is_reported_before_later_letter_is_delivered() {
    for restarted in [false, true] {
        let limits = Limits { keep: secs(60), ..Limits::default() };
        let (mut sim, tom, jack) = with_jack_away(Simulation::with_limits(1, limits));
        let [old, young] = [("soon too old", 40), ("young enough", 1)].map(|(text, pause)| {
            let letter = leave_letter(&mut sim, tom, text);
            sim.run_for(secs(pause));
            letter
        });
        sim.isolate(tom);
        assert!(sim.run_until(secs(30), |sim| sim.relay.core.stats().letters_expired == 1));
        sim.restart_client(jack);
        let shown = |sim: &Simulation| {
            shows(sim, jack, |e| matches!(e, Event::Letter(l) if l.text == "young enough"))
        };
        assert!(sim.run_until(secs(15), shown));
        sim.run_for(secs(1));
        if restarted {
            sim.restart_relay(millis(100));
        }
        sim.heal();
        assert!(
            sim.run_until(secs(90), |sim| delivered(sim, young) && ended(sim, old)),
            "{:?}",
            sim.fate(old)
        );
        assert_expired(&sim, old);
    }
}

/// The relay may have queried its disk for the oldest letters just before one of them was stored.
#[test]
fn letter_stored_during_expiry_query_is_counted_out_once() {
    for early in 20..56 {
        let limits = Limits { keep: secs(60), ..Limits::default() };
        let (mut sim, tom, jack) = with_jack_away(Simulation::with_limits(early, limits));
        let old = leave_letter(&mut sim, tom, "nearly too old");
        sim.run_for(secs(60) - millis(early));
        sim.restart_client(jack);
        let others: Vec<u64> = (0..40)
            .map(|_| {
                sim.run_for(millis(5));
                sim.send(tom, "JACK", "young")
            })
            .collect();
        let all = |sim: &Simulation| ended(sim, old) && others.iter().all(|letter| delivered(sim, *letter));
        assert!(sim.run_until(secs(30), all), "{early} ms early");
    }
}

#[test]
fn unwanted_letter_is_refused_once_full_disk_has_space() {
    let (mut sim, tom, jack) = with_jack_away(Simulation::new(1));
    let letter = leave_letter(&mut sim, tom, "for the mailbox");
    // JACK refuses a letter that the relay has accepted.
    sim.oracle.untrusted.insert("JACK".to_owned());
    sim.relay_sim_disk.full_until = sim.now + secs(5);
    sim.restart_client(jack);
    let nobody = BlockList { only: Some(Vec::new()), ..BlockList::default() };
    sim.send_command(jack, Command::Screen(BlockLists { others: Some(nobody), ..BlockLists::default() }));
    sim.run_for(millis(4_900));
    assert!(is_online(&sim, jack) && !ended(&sim, letter) && sim.relay_disk.len() == 1);
    assert!(sim.run_until(secs(2), |sim| ended(sim, letter)), "{:?}", sim.fate(letter));
    let end = sim.fate(letter).end;
    assert!(matches!(end, Some(LetterEnd::Refused { reason: Reason::Blocked, .. })), "{end:?}");
    assert_eq!(sim.relay_disk.len(), 0);
}

#[test]
fn echo_answers_in_capitals() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    let letter = sim.send(tom, "echo", "hello 你好");
    assert!(sim.run_until(millis(100), |sim| delivered(sim, letter)));
    let capitals = |e: &Event| matches!(e, Event::Letter(l) if l.text == "HELLO 你好");
    assert!(sim.run_until(millis(100), |sim| shows(sim, tom, capitals)));
}

#[test]
fn longest_letter_arrives_and_longer_one_is_refused() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    let longest = sim.send(tom, "JACK", &"x".repeat(64 * 1024));
    let longer = sim.send(tom, "JACK", &"x".repeat(64 * 1024 + 1));
    assert!(sim.run_until(secs(2), |sim| delivered(sim, longest)), "{:?}", sim.fate(longest).end);
    let too_long = LetterEnd::Refused { reason: Reason::TooLong, may_have_arrived: false };
    assert_eq!(sim.fate(longer).end, Some(too_long));
}

#[test]
fn listener_receives_next_letter_after_broken_connection() {
    let (mut sim, tom, jack) = two_clients(Carriers::Tcp);
    sim.run_for(secs(5));
    let ours = sim.conns.iter().find(|(_, conn)| conn.client == jack).map(|(number, _)| *number);
    sim.reset_tcp(ours.expect("JACK is connected"));
    sim.run_for(secs(3));
    send_and_time(&mut sim, tom, "JACK", secs(1));
}
