//! Tests of the client core without a relay: durability before effects, and restart after a kill.

use super::*;
use crate::base::{Effect, Inbox, Name, Outputs, Wall, turn};

const NOW: Now = Now { tick: Tick::from_micros(1_000_000), wall: Wall(1_800_000_000_000) };

/// A client with a disk that commits on request.
struct Desk {
    client: Client,
    kept: Kept,
    counter: u64,
    at_disk: Vec<(Ticket, Record)>,
    shown: Vec<Event>,
}

struct Given(Option<Input<'static, Command>>);

impl Inbox<Command> for Given {
    fn next_input(&mut self) -> Option<Input<'_, Command>> {
        self.0.take()
    }
}

fn client(kept: Option<Kept>, counter_reserved: u64) -> Client {
    Client::new(Config {
        name: Some("TOM".parse().unwrap()),
        private_key: [1; 32],
        outbox: OutboxId(7),
        carriers: Carriers::Udp,
        counter_reserved,
        kept,
        strangers_bytes_max: 2_048,
        seed: [2; 32],
    })
}

fn relay() -> HostPort {
    "192.0.2.1:8081".parse().unwrap()
}

fn jack() -> Name {
    "JACK".parse().unwrap()
}

impl Desk {
    fn new(kept: Kept) -> Desk {
        let client = client(Some(kept.clone()), 0);
        let mut desk = Desk { client, kept, counter: 0, at_disk: Vec::new(), shown: Vec::new() };
        desk.command(Command::Relays(vec![RelaySpec {
            addr: relay(),
            tcp: None,
            key: None,
            fingerprint: None,
        }]));
        desk
    }

    fn input(&mut self, input: Input<'static, Command>) {
        self.input_at(NOW, Some(input));
    }

    fn input_at(&mut self, now: Now, input: Option<Input<'static, Command>>) {
        let mut out = Outputs::default();
        turn(&mut self.client, now, &mut Given(input), &mut out);
        for effect in out.effects {
            match effect {
                Effect::Persist(ticket, record) => self.at_disk.push((ticket, record)),
                Effect::Show(event) => self.shown.push(event),
                _ => {}
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn send(&mut self, request: u64, text: &str) {
        self.command(Command::Send { request, relay: relay(), to: jack(), text: text.to_owned() });
    }

    /// Commits all submitted records.
    fn commit(&mut self) {
        for (ticket, record) in std::mem::take(&mut self.at_disk) {
            assert!(self.kept.apply(&record));
            if let Record::Counter(mark) = record {
                self.counter = mark;
            }
            self.input(Input::Committed(ticket));
        }
    }

    /// Kills the process and starts another one from the durable state.
    fn crash(&mut self) {
        *self = Desk::new(self.kept.clone());
    }

    fn queued(&mut self) -> Vec<(u64, u64)> {
        let queued = |event| match event {
            Event::Progress { request, id, progress: Progress::Queued, .. } => Some((request, id.number)),
            _ => None,
        };
        self.shown.drain(..).filter_map(queued).collect()
    }
}

#[test]
fn letter_is_queued_only_once_durable() {
    let mut desk = Desk::new(Kept::default());
    desk.send(5, "hello");
    assert!(desk.queued().is_empty());
    assert!(desk.at_disk.iter().any(|(_, r)| matches!(r, Record::Written { number: 1, request: 5, .. })));
    assert!(!desk.client.is_idle() && !desk.client.is_settled());
    desk.commit();
    assert_eq!(desk.queued(), [(5, 1)]);
}

/// Restarts also repeat the user's requests: a stored one has no effect, an unstored number is
/// reused.
#[test]
fn kill_before_commit_loses_only_unreported_letters() {
    let mut desk = Desk::new(Kept::default());
    desk.send(1, "one");
    desk.commit();
    desk.send(2, "two");
    desk.crash();
    assert!(!desk.client.is_idle(), "the first letter is sent in this run");
    desk.send(1, "one");
    assert!(!desk.at_disk.iter().any(|(_, record)| matches!(record, Record::Written { .. })), "not twice");
    desk.send(3, "three");
    desk.commit();
    assert_eq!(desk.queued(), [(3, 2)], "the number of the lost letter is free");
    let texts: Vec<&str> = desk.kept.letters.values().map(|letter| letter.text.as_str()).collect();
    assert_eq!(texts, ["one", "three"]);
    desk.crash();
    desk.send(4, "four");
    desk.commit();
    assert_eq!(desk.queued(), [(4, 3)]);
}

#[test]
fn letter_that_cannot_be_stored_returns_to_user() {
    let mut desk = Desk::new(Kept::default());
    desk.send(1, "one");
    desk.send(2, "two");
    let (ticket, _) = desk
        .at_disk
        .iter()
        .find(|(_, record)| matches!(record, Record::Written { number: 1, .. }))
        .cloned()
        .unwrap();
    desk.input(Input::NotCommitted(ticket));
    let back = Event::Unkept { request: 1, to: jack(), why: Unkept::Disk, text: "one".to_owned() };
    assert_eq!(desk.shown.pop(), Some(back));
    desk.at_disk.retain(|(other, _)| *other != ticket);
    desk.commit();
    assert_eq!(desk.queued(), [(2, 2)]);
}

#[test]
fn failed_record_is_retried_until_disk_accepts_it() {
    let mut desk = Desk::new(Kept::default());
    let from = jack();
    let id = LetterId { outbox: OutboxId(9), number: 1 };
    desk.command(Command::Shown { relay: relay(), from, id, read: true });
    desk.at_disk.retain(|(_, record)| matches!(record, Record::Shown { .. }));
    let (ticket, _) = desk.at_disk.pop().unwrap();
    desk.input(Input::NotCommitted(ticket));
    assert!(desk.at_disk.is_empty() && !desk.client.is_settled());
    let later = Now { tick: Tick::from_micros(2_000_000), ..NOW };
    desk.input_at(later, None);
    assert!(desk.at_disk.iter().any(|(_, record)| matches!(record, Record::Shown { .. })));
}

#[test]
fn letters_of_removed_relay_wait_for_its_return() {
    let mut desk = Desk::new(Kept::default());
    desk.send(1, "one");
    desk.command(Command::Relays(Vec::new()));
    desk.commit();
    assert_eq!(desk.queued(), [(1, 1)]);
    assert!(desk.client.is_idle(), "no relay is left to wait for");
    desk.command(Command::Relays(vec![RelaySpec { addr: relay(), tcp: None, key: None, fingerprint: None }]));
    assert!(!desk.client.is_idle());
}

#[test]
fn client_without_disk_waits_for_no_commit() {
    let mut client = client(None, 0);
    let mut out = Outputs::default();
    let relays = vec![RelaySpec { addr: relay(), tcp: None, key: None, fingerprint: None }];
    for command in [
        Command::Relays(relays),
        Command::Send { request: 1, relay: relay(), to: jack(), text: "hello".to_owned() },
    ] {
        turn(&mut client, NOW, &mut Given(Some(Input::Command(command))), &mut out);
    }
    let letters =
        |effect: &Effect<Record, Event>| matches!(effect, Effect::Persist(_, Record::Written { .. }));
    assert!(!out.effects.iter().any(letters));
    let queued = |effect: &Effect<Record, Event>| {
        matches!(effect, Effect::Show(Event::Progress { progress: Progress::Queued, .. }))
    };
    assert!(out.effects.iter().any(queued));
}

#[test]
fn refusal_stored_but_not_shown_is_shown_by_next_run() {
    let mut desk = Desk::new(Kept::default());
    desk.send(1, "one");
    desk.commit();
    desk.kept.apply(&Record::Refused {
        relay: relay(),
        to: jack(),
        outbox: OutboxId(7),
        number: 1,
        reason: Reason::Full,
        may_have_arrived: true,
    });
    desk.crash();
    let told = |event: &Event| match event {
        Event::Refused { request: 1, reason: Reason::Full, may_have_arrived: true, text, .. } => {
            text == "one"
        }
        _ => false,
    };
    assert!(desk.shown.iter().any(told), "{:?}", desk.shown);
    desk.commit();
    desk.crash();
    assert!(desk.shown.iter().any(told), "killed before the user can have read it: shown again");
    let later = Now { tick: desk.client.next_deadline().expect("a record is pending"), ..NOW };
    desk.input_at(later, None);
    desk.commit();
    desk.crash();
    assert!(!desk.shown.iter().any(told), "once");
    assert!(desk.client.is_idle());
}

/// A command that shows no texts, such as `join`, leaves them to the next run.
#[test]
fn held_refusal_waits_for_next_run() {
    let mut desk = Desk::new(Kept::default());
    desk.send(1, "one");
    desk.commit();
    let refused = Record::Refused {
        relay: relay(),
        to: jack(),
        outbox: OutboxId(7),
        number: 1,
        reason: Reason::Full,
        may_have_arrived: true,
    };
    desk.kept.apply(&refused);
    let is_refusal = |event: &Event| matches!(event, Event::Refused { request: 1, .. });
    desk.client = client(Some(desk.kept.clone()), 0);
    desk.shown.clear();
    desk.command(Command::HoldRefusals);
    desk.command(Command::Relays(vec![RelaySpec { addr: relay(), tcp: None, key: None, fingerprint: None }]));
    let later = Now { tick: Tick::from_micros(2_000_000), ..NOW };
    desk.input_at(later, None);
    desk.commit();
    assert!(!desk.shown.iter().any(is_refusal), "{:?}", desk.shown);
    desk.crash();
    assert!(desk.shown.iter().any(is_refusal), "{:?}", desk.shown);
}
