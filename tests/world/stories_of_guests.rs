//! Scenarios with plain-text guests among members. No guest receives another's answer, and no
//! accepted letter is lost when the relay ends.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::Name;
use queqiao::client::{Carriers, Command, Event, Progress};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::message::Reason;

use super::guest_rules;
use super::oracle::End;
use super::stories::{delivered, millis, secs, two_in};
use super::world::World;

/// TOM and JACK, both online. Guests write to JACK.
pub fn desk(seed: u64, limit: usize) -> (World, usize, usize) {
    let texts = GuestTexts { away: "away".into(), nobody: "nobody".into(), full: "full".into() };
    let rules = guest_rules::to_jack(limit, texts);
    two_in(World::serving(seed, Limits::default(), Some(rules)), Carriers::Auto)
}

pub fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 7, host], 5_000))
}

pub fn name(host: u8) -> String {
    Name::of_guest(addr(host)).to_string()
}

/// Returns sender and text of each letter to this client, in order. Events of guests are in
/// brackets.
pub fn letters(world: &World, client: usize) -> Vec<(String, String)> {
    let events = world.stations[client].events.iter();
    let letter = |event: &Event| match event {
        Event::Letter(letter) => {
            let text = letter.note.map_or(letter.text.clone(), |note| format!("[{}]", note.word()));
            Some((letter.from.to_string(), text))
        }
        _ => None,
    };
    events.filter_map(|(_, event)| letter(event)).collect()
}

pub fn texts_of(world: &World, client: usize, from: &str) -> Vec<String> {
    let all = letters(world, client).into_iter();
    all.filter(|(who, _)| who == from).map(|(_, text)| text).collect()
}

/// Answers every guest's letter that arrived since the last call.
pub fn answer(world: &mut World, jack: usize, answered: &mut usize) {
    let all = letters(world, jack);
    for (from, text) in &all[*answered..] {
        let is_note = ["[left]", "[ended]"].contains(&text.as_str());
        if from.starts_with("guest-") && !is_note {
            world.send(jack, from, &format!("re {text}"));
        }
    }
    *answered = all.len();
}

/// Letters of each guest within ten seconds. Guests on UDP are hosts 1–3, those on TCP 4–6.
const ROUNDS: usize = 10;

fn talk(seed: u64, loss: u64) {
    let (mut world, tom, jack) = desk(seed, 256);
    for client in [tom, jack] {
        world.stations[client].up.weather.loss = loss;
        world.stations[client].down.weather.loss = loss;
    }
    (1..=3).for_each(|host| world.caller(addr(host), loss));
    let conns: Vec<_> = (4..=6).map(|host| world.guest(addr(host), loss)).collect();
    let mut of_members = Vec::new();
    for round in 0..ROUNDS {
        for host in 1..=3 {
            world.say_by_udp(addr(host), &format!("{host}-{round} 你好"));
        }
        for (conn, host) in conns.iter().zip(4..) {
            world.say_by_tcp(*conn, &format!("{host}-{round} 你好\n"));
        }
        of_members.push(world.send(tom, "JACK", &format!("member {round}")));
        world.run_for(secs(1));
    }
    let mut answered = 0;
    for _ in 0..100 {
        answer(&mut world, jack, &mut answered);
        world.run_for(millis(500));
    }
    assert!(of_members.iter().all(|letter| delivered(&world, *letter)), "seed {seed}");
    for host in 1..=3 {
        let all: Vec<String> = (0..ROUNDS).map(|round| format!("{host}-{round} 你好")).collect();
        let came = texts_of(&world, jack, &name(host));
        let in_order: Vec<String> = all.iter().filter(|text| came.contains(text)).cloned().collect();
        assert_eq!(came, in_order, "seed {seed}");
        let heard = &world.visitors.at(addr(host)).heard;
        let own: Vec<String> = came.iter().map(|text| format!("re {text}")).collect();
        assert!(heard.iter().all(|text| own.contains(text)), "seed {seed}: {heard:?}");
        assert!(loss > 0 || (came == all && *heard == own), "seed {seed}: nothing is lost");
    }
    for (conn, host) in conns.iter().zip(4..) {
        let all: Vec<String> = (0..ROUNDS).map(|round| format!("{host}-{round} 你好")).collect();
        assert_eq!(texts_of(&world, jack, &name(host)), all, "seed {seed}");
        let own: String = all.iter().map(|text| format!("re {text}\n")).collect();
        assert_eq!(world.visitors.on(*conn).heard(), own, "seed {seed}");
    }
}

#[test]
fn concurrent_guests_receive_only_their_own_answers() {
    talk(1, 0);
}

#[test]
fn loss_drops_guest_datagrams_and_nothing_else() {
    // Seed 20 tears a guest's first line and delays the rest. The delay is longer than the pause
    // that ends a text, as guests may not send newlines.
    (2..22).filter(|seed| *seed != 20).for_each(|seed| talk(seed, [50, 200, 400][seed as usize % 3]));
}

#[test]
fn guest_letter_to_absent_member_survives_relay_restart() {
    let (mut world, _, jack) = desk(1, 256);
    world.command(jack, Command::Leave);
    world.run_for(secs(1));
    world.caller(addr(1), 0);
    let conn = world.guest(addr(2), 0);
    world.say_by_udp(addr(1), "by UDP");
    world.say_by_tcp(conn, "by TCP\nand more\n");
    world.run_for(secs(1));
    assert_eq!(world.visitors.on(conn).heard(), "away\n", "once, and not by UDP");
    assert_eq!(world.visitors.at(addr(1)).heard, [""; 0]);
    world.restart_relay(secs(1));
    assert!(world.visitors.on(conn).closed);
    world.run_for(secs(3));
    world.restart_client(jack);
    assert!(world.run_until(secs(5), |w| letters(w, jack).len() == 3), "{:?}", letters(&world, jack));
    let expected = [(name(1), "by UDP"), (name(2), "by TCP"), (name(2), "and more")];
    assert_eq!(letters(&world, jack), expected.map(|(who, text)| (who, text.to_owned())));
    let early = world.send(jack, &name(1), "are you there?");
    assert!(world.run_until(secs(5), |w| w.fate(early).end.is_some()));
    let unknown = Some(End::Refused { reason: Reason::Unknown, may_have_arrived: false });
    assert_eq!(world.fate(early).end, unknown, "the relay does not know earlier guests");
    world.say_by_udp(addr(1), "yes");
    world.run_for(secs(1));
    let letter = world.send(jack, &name(1), "at last");
    assert!(world.run_until(secs(5), |w| w.fate(letter).accepted));
    world.run_for(secs(1));
    assert_eq!(world.visitors.at(addr(1)).heard, ["at last"]);
    assert_eq!(world.fate(letter).end, None, "plain text confirms nothing");
}

#[test]
fn guest_continues_with_member_that_leaves_and_returns() {
    let (mut world, _, jack) = desk(3, 256);
    let conn = world.guest(addr(1), 0);
    let mut answered = 0;
    for round in 0..4 {
        world.say_by_tcp(conn, &format!("before {round}\n"));
        world.run_for(secs(1));
        answer(&mut world, jack, &mut answered);
        world.run_for(secs(1));
        world.command(jack, Command::Leave);
        world.run_for(secs(1));
        world.say_by_tcp(conn, &format!("while away {round}\n"));
        world.run_for(secs(30));
        world.restart_client(jack);
        world.run_for(secs(3));
        answer(&mut world, jack, &mut answered);
        world.run_for(secs(1));
    }
    let mut heard = String::new();
    for round in 0..4 {
        heard.push_str(&format!("re before {round}\n"));
        heard.push_str(if round == 0 { "away\n" } else { "" });
        heard.push_str(&format!("re while away {round}\n"));
    }
    assert_eq!(world.visitors.on(conn).heard(), heard);
    world.end_by_tcp(conn);
    world.run_for(secs(61));
    assert!(world.visitors.on(conn).closed);
    let last = texts_of(&world, jack, &name(1)).pop();
    assert_eq!(last.as_deref(), Some("[ended]"));
}

#[test]
fn broken_guest_connection_is_reported_and_letters_stay() {
    let (mut world, _, jack) = desk(4, 256);
    let conn = world.guest(addr(1), 0);
    world.say_by_tcp(conn, "one\nhalf a li");
    world.reset_by_guest(conn);
    world.run_for(secs(1));
    assert_eq!(texts_of(&world, jack, &name(1)), ["one", "[left]"]);
    let letter = world.send(jack, &name(1), "too late");
    assert!(world.run_until(secs(5), |w| w.fate(letter).end.is_some()));
}

#[test]
fn long_answer_is_fetched_three_datagrams_ahead_despite_loss() {
    for seed in 0..10 {
        let loss = 100 * (seed % 3);
        let (mut world, _, jack) = desk(seed, 16);
        world.caller(addr(1), loss);
        let text = "长".repeat(8_000);
        while texts_of(&world, jack, &name(1)).is_empty() {
            world.say_by_udp(addr(1), "tell me all");
            world.run_for(secs(1));
        }
        let letter = world.send(jack, &name(1), &text);
        let accepted = |event: &Event| matches!(event, Event::Progress { request, progress: Progress::Accepted, .. } if *request == letter);
        let told = |w: &World| w.stations[jack].events.iter().any(|(_, event)| accepted(event));
        assert!(world.run_until(secs(5), told), "the relay has it, however slowly it is fetched");
        for _ in 0..200 {
            world.say_by_udp(addr(1), "");
            world.run_for(Duration::from_millis(20));
        }
        let heard = world.visitors.at(addr(1)).heard.concat();
        assert!(heard.chars().all(|c| c == '长'), "no character is cut");
        assert!(heard.len() <= text.len() && (loss > 0 || heard == text), "{} bytes", heard.len());
    }
}
