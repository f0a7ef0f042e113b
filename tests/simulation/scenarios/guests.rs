//! Scenarios with plain-text guests among members. No guest receives another's answer, and no
//! accepted letter is lost when the relay ends.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::Name;
use queqiao::client::{Carriers, Command, Event, Progress};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::message::Reason;

use crate::guest_rules;
use crate::oracle::LetterEnd;
use crate::scenarios::basic::{delivered, millis, secs, two_clients_in};
use crate::simulation::Simulation;

/// TOM and JACK, both online. Guests write to JACK.
pub fn member_with_guests(seed: u64, limit: usize) -> (Simulation, usize, usize) {
    let texts = GuestTexts {
        away: "away".into(),
        nobody: "nobody".into(),
        full: "full".into(),
        ..GuestTexts::default()
    };
    let rules = guest_rules::to_jack(limit, texts);
    two_clients_in(Simulation::with_guests(seed, Limits::default(), Some(rules)), Carriers::Auto)
}

pub fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 7, host], 5_000))
}

pub fn name(host: u8) -> String {
    Name::of_guest(addr(host)).to_string()
}

/// Returns sender and text of each letter to this client, in order. Events of guests are in
/// brackets.
pub fn letters(sim: &Simulation, client: usize) -> Vec<(String, String)> {
    let events = sim.machines[client].events.iter();
    let letter = |event: &Event| match event {
        Event::Letter(letter) => {
            let text = letter.note.map_or(letter.text.clone(), |note| format!("[{}]", note.word()));
            Some((letter.from.to_string(), text))
        }
        _ => None,
    };
    events.filter_map(|(_, event)| letter(event)).collect()
}

pub fn texts_of(sim: &Simulation, client: usize, from: &str) -> Vec<String> {
    let all = letters(sim, client).into_iter();
    all.filter(|(who, _)| who == from).map(|(_, text)| text).collect()
}

/// Answers every guest's letter that arrived since the last call.
pub fn answer_all(sim: &mut Simulation, jack: usize, answered: &mut usize) {
    let all = letters(sim, jack);
    for (from, text) in &all[*answered..] {
        let is_note = ["[left]", "[ended]"].contains(&text.as_str());
        if from.starts_with("guest-") && !is_note {
            sim.send(jack, from, &format!("re {text}"));
        }
    }
    *answered = all.len();
}

/// Letters of each guest within ten seconds. Guests on UDP are hosts 1–3, those on TCP 4–6.
const ROUNDS: usize = 10;

fn converse(seed: u64, loss: u64) {
    let (mut sim, tom, jack) = member_with_guests(seed, 256);
    for client in [tom, jack] {
        sim.machines[client].up.conditions.loss = loss;
        sim.machines[client].down.conditions.loss = loss;
    }
    (1..=3).for_each(|host| sim.add_udp_guest(addr(host), loss));
    let conns: Vec<_> = (4..=6).map(|host| sim.add_tcp_guest(addr(host), loss)).collect();
    let mut of_members = Vec::new();
    for round in 0..ROUNDS {
        for host in 1..=3 {
            sim.send_udp_text(addr(host), &format!("{host}-{round} 你好"));
        }
        for (conn, host) in conns.iter().zip(4..) {
            sim.send_tcp_text(*conn, &format!("{host}-{round} 你好\n"));
        }
        of_members.push(sim.send(tom, "JACK", &format!("member {round}")));
        sim.run_for(secs(1));
    }
    let mut answered = 0;
    for _ in 0..100 {
        answer_all(&mut sim, jack, &mut answered);
        sim.run_for(millis(500));
    }
    assert!(of_members.iter().all(|letter| delivered(&sim, *letter)), "seed {seed}");
    for host in 1..=3 {
        let all: Vec<String> = (0..ROUNDS).map(|round| format!("{host}-{round} 你好")).collect();
        let came = texts_of(&sim, jack, &name(host));
        let in_order: Vec<String> = all.iter().filter(|text| came.contains(text)).cloned().collect();
        assert_eq!(came, in_order, "seed {seed}");
        let received = &sim.guests.udp_guest(addr(host)).received;
        let own: Vec<String> = came.iter().map(|text| format!("re {text}")).collect();
        assert!(received.iter().all(|text| own.contains(text)), "seed {seed}: {received:?}");
        assert!(loss > 0 || (came == all && *received == own), "seed {seed}: nothing is lost");
    }
    for (conn, host) in conns.iter().zip(4..) {
        let all: Vec<String> = (0..ROUNDS).map(|round| format!("{host}-{round} 你好")).collect();
        assert_eq!(texts_of(&sim, jack, &name(host)), all, "seed {seed}");
        let own: String = all.iter().map(|text| format!("re {text}\n")).collect();
        assert_eq!(sim.guests.tcp_guest(*conn).received_text(), own, "seed {seed}");
    }
}

#[test]
fn concurrent_guests_receive_only_their_own_answers() {
    converse(1, 0);
}

#[test]
fn loss_drops_guest_datagrams_and_nothing_else() {
    // Seed 20 tears a guest's first line and delays the rest. The delay is longer than the pause
    // that ends a text, as guests may not send newlines.
    (2..22).filter(|seed| *seed != 20).for_each(|seed| converse(seed, [50, 200, 400][seed as usize % 3]));
}

#[test]
fn guest_letter_to_absent_member_survives_relay_restart() {
    let (mut sim, _, jack) = member_with_guests(1, 256);
    sim.send_command(jack, Command::Leave);
    sim.run_for(secs(1));
    sim.add_udp_guest(addr(1), 0);
    let conn = sim.add_tcp_guest(addr(2), 0);
    sim.send_udp_text(addr(1), "by UDP");
    sim.send_tcp_text(conn, "by TCP\nand more\n");
    sim.run_for(secs(1));
    assert_eq!(sim.guests.tcp_guest(conn).received_text(), "away\n", "once, and not by UDP");
    assert_eq!(sim.guests.udp_guest(addr(1)).received, [""; 0]);
    sim.restart_relay(secs(1));
    assert!(sim.guests.tcp_guest(conn).closed);
    sim.run_for(secs(3));
    sim.restart_client(jack);
    assert!(sim.run_until(secs(5), |sim| letters(sim, jack).len() == 3), "{:?}", letters(&sim, jack));
    let expected = [(name(1), "by UDP"), (name(2), "by TCP"), (name(2), "and more")];
    assert_eq!(letters(&sim, jack), expected.map(|(who, text)| (who, text.to_owned())));
    let early = sim.send(jack, &name(1), "are you there?");
    assert!(sim.run_until(secs(5), |sim| sim.fate(early).end.is_some()));
    let unknown = Some(LetterEnd::Refused { reason: Reason::Unknown, may_have_arrived: false });
    assert_eq!(sim.fate(early).end, unknown, "the relay does not know earlier guests");
    sim.send_udp_text(addr(1), "yes");
    sim.run_for(secs(1));
    let letter = sim.send(jack, &name(1), "at last");
    assert!(sim.run_until(secs(5), |sim| sim.fate(letter).accepted));
    sim.run_for(secs(1));
    assert_eq!(sim.guests.udp_guest(addr(1)).received, ["at last"]);
    assert_eq!(sim.fate(letter).end, None, "plain text confirms nothing");
}

#[test]
fn guest_continues_with_member_that_leaves_and_returns() {
    let (mut sim, _, jack) = member_with_guests(3, 256);
    let conn = sim.add_tcp_guest(addr(1), 0);
    let mut answered = 0;
    for round in 0..4 {
        sim.send_tcp_text(conn, &format!("before {round}\n"));
        sim.run_for(secs(1));
        answer_all(&mut sim, jack, &mut answered);
        sim.run_for(secs(1));
        sim.send_command(jack, Command::Leave);
        sim.run_for(secs(1));
        sim.send_tcp_text(conn, &format!("while away {round}\n"));
        sim.run_for(secs(30));
        sim.restart_client(jack);
        sim.run_for(secs(3));
        answer_all(&mut sim, jack, &mut answered);
        sim.run_for(secs(1));
    }
    let mut received = String::new();
    for round in 0..4 {
        received.push_str(&format!("re before {round}\n"));
        received.push_str(if round == 0 { "away\n" } else { "" });
        received.push_str(&format!("re while away {round}\n"));
    }
    assert_eq!(sim.guests.tcp_guest(conn).received_text(), received);
    sim.end_tcp_guest(conn);
    sim.run_for(secs(61));
    assert!(sim.guests.tcp_guest(conn).closed);
    let last = texts_of(&sim, jack, &name(1)).pop();
    assert_eq!(last.as_deref(), Some("[ended]"));
}

#[test]
fn broken_guest_connection_is_reported_and_letters_stay() {
    let (mut sim, _, jack) = member_with_guests(4, 256);
    let conn = sim.add_tcp_guest(addr(1), 0);
    sim.send_tcp_text(conn, "one\nhalf a li");
    sim.reset_tcp_guest(conn);
    sim.run_for(secs(1));
    assert_eq!(texts_of(&sim, jack, &name(1)), ["one", "[left]"]);
    let letter = sim.send(jack, &name(1), "too late");
    assert!(sim.run_until(secs(5), |sim| sim.fate(letter).end.is_some()));
}

#[test]
fn long_answer_is_fetched_three_datagrams_ahead_despite_loss() {
    for seed in 0..10 {
        let loss = 100 * (seed % 3);
        let (mut sim, _, jack) = member_with_guests(seed, 16);
        sim.add_udp_guest(addr(1), loss);
        let text = "长".repeat(8_000);
        while texts_of(&sim, jack, &name(1)).is_empty() {
            sim.send_udp_text(addr(1), "tell me all");
            sim.run_for(secs(1));
        }
        let letter = sim.send(jack, &name(1), &text);
        let accepted = |event: &Event| matches!(event, Event::Progress { request, progress: Progress::Accepted, .. } if *request == letter);
        let notified = |sim: &Simulation| sim.machines[jack].events.iter().any(|(_, event)| accepted(event));
        assert!(sim.run_until(secs(5), notified), "the relay has it, however slowly it is fetched");
        for _ in 0..200 {
            sim.send_udp_text(addr(1), "");
            sim.run_for(Duration::from_millis(20));
        }
        let received = sim.guests.udp_guest(addr(1)).received.concat();
        assert!(received.chars().all(|c| c == '长'), "no character is cut");
        assert!(received.len() <= text.len() && (loss > 0 || received == text), "{} bytes", received.len());
    }
}
