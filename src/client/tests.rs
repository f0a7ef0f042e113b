//! Tests of the client core without a relay: durability before effects, and restart after a kill.

use super::*;
use crate::base::{Effect, InputSource, Name, Outputs, Ticket, Wall, turn};

const NOW: Now = Now { tick: Tick::from_micros(1_000_000), wall: Wall(1_800_000_000_000) };

/// A client with a disk that commits on request.
struct ClientWithDisk {
    client: Client,
    persisted: PersistedClient,
    counter: u64,
    submitted: Vec<(Ticket, Record)>,
    shown: Vec<Event>,
}

struct SubmittedRecord(Option<Input<'static, Command>>);

impl InputSource<Command> for SubmittedRecord {
    fn next_input(&mut self) -> Option<Input<'_, Command>> {
        self.0.take()
    }
}

fn client(persisted: Option<PersistedClient>, counter_reserved: u64) -> Client {
    Client::new(Config {
        name: Some("TOM".parse().unwrap()),
        private_key: [1; 32],
        outbox: OutboxId(7),
        carriers: Carriers::Udp,
        counter_reserved,
        persisted,
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

impl ClientWithDisk {
    fn new(persisted: PersistedClient) -> ClientWithDisk {
        let client = client(Some(persisted.clone()), 0);
        let mut disk_client =
            ClientWithDisk { client, persisted, counter: 0, submitted: Vec::new(), shown: Vec::new() };
        disk_client.command(Command::Relays(vec![RelayConfig {
            addr: relay(),
            tcp: None,
            key: None,
            fingerprint: None,
        }]));
        disk_client
    }

    fn input(&mut self, input: Input<'static, Command>) {
        self.input_at(NOW, Some(input));
    }

    fn input_at(&mut self, now: Now, input: Option<Input<'static, Command>>) {
        let mut out = Outputs::default();
        turn(&mut self.client, now, &mut SubmittedRecord(input), &mut out);
        for effect in out.effects {
            match effect {
                Effect::Persist(ticket, record) => self.submitted.push((ticket, record)),
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
        for (ticket, record) in std::mem::take(&mut self.submitted) {
            assert!(self.persisted.apply(&record));
            if let Record::Counter(mark) = record {
                self.counter = mark;
            }
            self.input(Input::Committed(ticket));
        }
    }

    /// Kills the process and starts another one from the durable state.
    fn crash(&mut self) {
        *self = ClientWithDisk::new(self.persisted.clone());
    }

    fn queued(&mut self) -> Vec<(u64, u64)> {
        let queued = |event| match event {
            Event::Progress { request, id, progress: Progress::Queued, .. } => Some((request, id.number)),
            _ => None,
        };
        self.shown.drain(..).filter_map(queued).collect()
    }
}

/// A machine and its clone have the same generator and the same disk (RFC 8937).
#[test]
fn cloned_client_begins_with_other_ephemeral_key() {
    let ephemeral = |fresh: Option<crate::session::FreshBytes>| {
        let mut client = client(None, 1_000);
        client.ctx.fresh = fresh;
        let key = Identity::from_private([9; 32]).public();
        let config = RelayConfig { addr: relay(), tcp: None, key: Some(key), fingerprint: None };
        let mut out = Outputs::default();
        let mut input = Some(Input::Command(Command::Relays(vec![config])));
        for step in 0..100 {
            let tick = NOW.tick + std::time::Duration::from_millis(10 * step);
            turn(&mut client, Now { tick, ..NOW }, &mut SubmittedRecord(input.take()), &mut out);
            // The first record is the mark above the handshake counter.
            let record = out.effects.iter().find_map(|effect| match effect {
                Effect::Persist(ticket, _) => Some(*ticket),
                _ => None,
            });
            input = record.filter(|_| step == 0).map(Input::Committed);
        }
        let is_init =
            |bytes: &[u8]| matches!(packet::parse(crate::base::Carrier::Udp, bytes), Ok(Packet::Init(_)));
        let sent = out.effects.iter().filter_map(|effect| match effect {
            Effect::Send(_, range) => Some(&out.bytes[range.clone()]),
            _ => None,
        });
        let init = sent.into_iter().find(|bytes| is_init(bytes)).expect("a handshake");
        init[crate::wire::packet::INIT_HEADER_LEN..][..32].to_vec()
    };
    assert_eq!(ephemeral(None), ephemeral(None), "a simulation can be repeated");
    assert_ne!(ephemeral(Some(|| [1; 32])), ephemeral(Some(|| [2; 32])));
}

#[test]
fn letter_is_queued_only_once_durable() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(5, "hello");
    assert!(disk_client.queued().is_empty());
    assert!(
        disk_client.submitted.iter().any(|(_, r)| matches!(r, Record::Written { number: 1, request: 5, .. }))
    );
    assert!(!disk_client.client.is_idle() && !disk_client.client.is_flushed());
    disk_client.commit();
    assert_eq!(disk_client.queued(), [(5, 1)]);
}

/// Restarts also repeat the user's requests: a stored one has no effect, an unstored number is
/// reused.
#[test]
fn kill_before_commit_loses_only_unreported_letters() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(1, "one");
    disk_client.commit();
    disk_client.send(2, "two");
    disk_client.crash();
    assert!(!disk_client.client.is_idle(), "the first letter is sent in this run");
    disk_client.send(1, "one");
    assert!(
        !disk_client.submitted.iter().any(|(_, record)| matches!(record, Record::Written { .. })),
        "not twice"
    );
    disk_client.send(3, "three");
    disk_client.commit();
    assert_eq!(disk_client.queued(), [(3, 2)], "the number of the lost letter is free");
    let texts: Vec<&str> =
        disk_client.persisted.letters.values().map(|letter| letter.text.as_str()).collect();
    assert_eq!(texts, ["one", "three"]);
    disk_client.crash();
    disk_client.send(4, "four");
    disk_client.commit();
    assert_eq!(disk_client.queued(), [(4, 3)]);
}

#[test]
fn letter_that_cannot_be_stored_returns_to_user() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(1, "one");
    disk_client.send(2, "two");
    let (ticket, _) = disk_client
        .submitted
        .iter()
        .find(|(_, record)| matches!(record, Record::Written { number: 1, .. }))
        .cloned()
        .unwrap();
    disk_client.input(Input::NotCommitted(ticket));
    let back = Event::Unkept { request: 1, to: jack(), reason: NotQueued::Disk, text: "one".to_owned() };
    assert_eq!(disk_client.shown.pop(), Some(back));
    disk_client.submitted.retain(|(other, _)| *other != ticket);
    disk_client.commit();
    assert_eq!(disk_client.queued(), [(2, 2)]);
}

#[test]
fn failed_record_is_retried_until_disk_accepts_it() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    let from = jack();
    let id = LetterId { outbox: OutboxId(9), number: 1 };
    disk_client.command(Command::Shown { relay: relay(), from, id, read: true });
    disk_client.submitted.retain(|(_, record)| matches!(record, Record::Shown { .. }));
    let (ticket, _) = disk_client.submitted.pop().unwrap();
    disk_client.input(Input::NotCommitted(ticket));
    assert!(disk_client.submitted.is_empty() && !disk_client.client.is_flushed());
    let later = Now { tick: Tick::from_micros(2_000_000), ..NOW };
    disk_client.input_at(later, None);
    assert!(disk_client.submitted.iter().any(|(_, record)| matches!(record, Record::Shown { .. })));
}

#[test]
fn letters_of_removed_relay_wait_for_its_return() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(1, "one");
    disk_client.command(Command::Relays(Vec::new()));
    disk_client.commit();
    assert_eq!(disk_client.queued(), [(1, 1)]);
    assert!(disk_client.client.is_idle(), "no relay is left to wait for");
    disk_client.command(Command::Relays(vec![RelayConfig {
        addr: relay(),
        tcp: None,
        key: None,
        fingerprint: None,
    }]));
    assert!(!disk_client.client.is_idle());
}

#[test]
fn client_without_disk_waits_for_no_commit() {
    let mut client = client(None, 0);
    let mut out = Outputs::default();
    let relays = vec![RelayConfig { addr: relay(), tcp: None, key: None, fingerprint: None }];
    for command in [
        Command::Relays(relays),
        Command::Send { request: 1, relay: relay(), to: jack(), text: "hello".to_owned() },
    ] {
        turn(&mut client, NOW, &mut SubmittedRecord(Some(Input::Command(command))), &mut out);
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
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(1, "one");
    disk_client.commit();
    disk_client.persisted.apply(&Record::Refused {
        relay: relay(),
        to: jack(),
        outbox: OutboxId(7),
        number: 1,
        reason: Reason::Full,
        may_have_arrived: true,
    });
    disk_client.crash();
    let progress_of = |event: &Event| match event {
        Event::Refused { request: 1, reason: Reason::Full, may_have_arrived: true, text, .. } => {
            text == "one"
        }
        _ => false,
    };
    assert!(disk_client.shown.iter().any(progress_of), "{:?}", disk_client.shown);
    disk_client.commit();
    disk_client.crash();
    assert!(
        disk_client.shown.iter().any(progress_of),
        "killed before the user can have read it: shown again"
    );
    let later = Now { tick: disk_client.client.next_deadline().expect("a record is pending"), ..NOW };
    disk_client.input_at(later, None);
    disk_client.commit();
    disk_client.crash();
    assert!(!disk_client.shown.iter().any(progress_of), "once");
    assert!(disk_client.client.is_idle());
}

/// A command that shows no texts, such as `join`, leaves them to the next run.
#[test]
fn held_refusal_waits_for_next_run() {
    let mut disk_client = ClientWithDisk::new(PersistedClient::default());
    disk_client.send(1, "one");
    disk_client.commit();
    let refused = Record::Refused {
        relay: relay(),
        to: jack(),
        outbox: OutboxId(7),
        number: 1,
        reason: Reason::Full,
        may_have_arrived: true,
    };
    disk_client.persisted.apply(&refused);
    let is_refusal = |event: &Event| matches!(event, Event::Refused { request: 1, .. });
    disk_client.client = client(Some(disk_client.persisted.clone()), 0);
    disk_client.shown.clear();
    disk_client.command(Command::HoldRefusals);
    disk_client.command(Command::Relays(vec![RelayConfig {
        addr: relay(),
        tcp: None,
        key: None,
        fingerprint: None,
    }]));
    let later = Now { tick: Tick::from_micros(2_000_000), ..NOW };
    disk_client.input_at(later, None);
    disk_client.commit();
    assert!(!disk_client.shown.iter().any(is_refusal), "{:?}", disk_client.shown);
    disk_client.crash();
    assert!(disk_client.shown.iter().any(is_refusal), "{:?}", disk_client.shown);
}
