//! Secondary processes over real sockets: which events each receives.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use tempfile::TempDir;

use super::*;
use crate::app::desk::Mail;
use crate::base::{Carrier, Fingerprint, Inbox, Input, LetterId, OutboxId, Wall};
use crate::client::{Incoming, Progress};
use crate::net::local::Door;
use crate::net::{Net, NetConfig};

/// A primary whose own frontend does `part`, without a client.
struct Stage {
    callers: Callers,
    net: Net<Mail>,
    dir: TempDir,
    _door: Door,
    wishes: Vec<Wish>,
}

/// A secondary process.
struct Other(BufReader<UnixStream>);

impl Other {
    fn say(&mut self, call: &Call) {
        self.0.get_mut().write_all(&[line(call), b"\n".to_vec()].concat()).unwrap();
    }

    fn hears(&mut self) -> Answer {
        let mut text = String::new();
        self.0.read_line(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn hears_event(&mut self) -> Event {
        match self.hears() {
            Answer::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }
}

impl Stage {
    fn new(part: Part) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let net = Net::new(NetConfig::client()).unwrap();
        let door = Door::open(dir.path(), net.inlet(), UNREAD_MAX, Mail::Caller).unwrap();
        let callers = Callers::new(Face { part, requests: 0 });
        Stage { callers, net, dir, _door: door, wishes: Vec::new() }
    }

    /// Handles the next input from a caller.
    fn turn(&mut self, given: u64) {
        loop {
            self.net.wait(None);
            if let Some(Input::Command(Mail::Caller(number, heard))) = self.net.next_input() {
                self.wishes.extend(self.callers.handle(number, heard, given, Carriers::Auto));
                return;
            }
        }
    }

    /// Connects a caller that says hello after `given` records.
    fn call(&mut self, part: Part, requests: u64, given: u64) -> Other {
        let socket = fs::read_link(self.dir.path().join("socket")).unwrap();
        let mut other = Other(BufReader::new(UnixStream::connect(socket).unwrap()));
        let version = VERSION.to_owned();
        other.say(&Call::Hello { version, face: Face { part, requests } });
        (0..2).for_each(|_| self.turn(given));
        other
    }

    fn welcome(&mut self, part: Part, requests: u64) -> (Other, bool) {
        let mut other = self.call(part, requests, 0);
        self.callers.end_turn(0);
        match other.hears() {
            Answer::Welcome { catch_up, .. } => (other, catch_up),
            answer => panic!("{answer:?}"),
        }
    }

    fn relays(&mut self, other: &mut Other, specs: &[RelaySpec]) {
        other.say(&Call::Command(Command::Relays(specs.to_vec())));
        self.turn(0);
        assert_eq!(self.wishes.pop(), Some(Wish::Relays));
    }
}

fn spec(relay: &str) -> RelaySpec {
    RelaySpec { addr: relay.parse().unwrap(), tcp: None, key: None, fingerprint: None }
}

fn online(relay: &str) -> Event {
    Event::Online { relay: relay.parse().unwrap(), via: Carrier::Udp }
}

fn accepted(request: u64) -> Event {
    let id = LetterId { outbox: OutboxId(1), number: 1 };
    Event::Progress { request, id, progress: Progress::Accepted, via: Carrier::Udp, taken: Wall(0) }
}

fn letter() -> Event {
    Event::Letter(Incoming {
        relay: "h:1".parse().unwrap(),
        from: "JACK".parse().unwrap(),
        id: LetterId { outbox: OutboxId(1), number: 1 },
        text: "hi".to_owned(),
        at: Wall(0),
        via: Carrier::Udp,
        missing: 0,
        damaged: false,
        note: None,
    })
}

#[test]
fn progress_goes_to_sender_or_to_own_frontend_once_it_has_gone() {
    let mut stage = Stage::new(Part::Shows);
    let (mut sender, _) = stage.welcome(Part::Sends, 1 << 40);
    let (mut listener, _) = stage.welcome(Part::Shows, 1 << 50);
    let theirs = accepted((1 << 40) + 5);
    assert_eq!(stage.callers.pass(theirs.clone()), None);
    assert_eq!(stage.callers.pass(accepted(5)), Some(accepted(5)));
    assert_eq!(stage.callers.pass(letter()), Some(letter()));
    stage.callers.end_turn(0);
    assert_eq!(sender.hears_event(), theirs);
    assert!(matches!(sender.hears(), Answer::Turn), "it does not receive incoming letters");
    assert_eq!(listener.hears_event(), letter());
    drop(sender);
    stage.turn(0);
    assert_eq!(stage.callers.pass(theirs.clone()), Some(theirs));
}

#[test]
fn next_caller_catches_up_once_marks_of_first_are_durable() {
    let mut stage = Stage::new(Part::Sends);
    let mut first = stage.call(Part::Shows, 1 << 40, 7);
    stage.callers.end_turn(6);
    stage.callers.end_turn(7);
    assert!(matches!(first.hears(), Answer::Welcome { catch_up: true, .. }));
    let (mut second, catch_up) = stage.welcome(Part::Shows, 1 << 50);
    assert!(!catch_up);
    drop(first);
    stage.turn(9);
    stage.callers.end_turn(8);
    assert_eq!(stage.callers.pass(letter()), Some(letter()));
    stage.callers.end_turn(9);
    assert_eq!(second.hears_event(), letter());
    assert!(matches!(second.hears(), Answer::Turn));
    assert!(matches!(second.hears(), Answer::CatchUp));
    let (_third, catch_up) = Stage::new(Part::Shows).welcome(Part::Shows, 1);
    assert!(!catch_up, "our own frontend shows them");
}

#[test]
fn relay_events_go_to_its_users_and_newcomer_gets_its_state() {
    let mut stage = Stage::new(Part::Shows);
    stage.callers.set_own_relays(vec![spec("h:1")]);
    assert_eq!(stage.callers.pass(online("h:1")), Some(online("h:1")));
    let (mut other, _) = stage.welcome(Part::Shows, 1 << 40);
    stage.relays(&mut other, &[spec("h:1"), spec("h:2")]);
    assert_eq!(other.hears_event(), online("h:1"));
    assert_eq!(stage.callers.pass(online("h:2")), None);
    assert_eq!(other.hears_event(), online("h:2"));
    let key = PublicKey([3; 32]);
    let pinned = |relay: &HostPort| (relay.port() == 2).then_some(key);
    let wanted = [spec("h:1"), RelaySpec { key: Some(key), ..spec("h:2") }];
    assert_eq!(stage.callers.relays(pinned), wanted);
    drop(other);
    stage.turn(0);
    assert_eq!(stage.callers.relays(pinned), wanted, "letters it left in the outbox are sent");
}

#[test]
fn newcomer_sees_no_key_change_once_new_key_is_trusted() {
    let mut stage = Stage::new(Part::Shows);
    let pinned = PublicKey([1; 32]);
    let offered = PublicKey([2; 32]);
    let relay: HostPort = "h:1".parse().unwrap();
    let refused = Event::Unreached { relay, why: Unreached::KeyChanged { pinned, offered } };
    let with = |key| [RelaySpec { key: Some(key), ..spec("h:1") }];
    stage.callers.set_own_relays(vec![spec("h:1")]);
    for (trusted, told) in [(pinned, &refused), (offered, &online("h:2"))] {
        stage.callers.pass(refused.clone());
        stage.callers.pass(online("h:2"));
        stage.callers.keep_links(&[&with(trusted)[..], &[spec("h:2")]].concat());
        let (mut other, _) = stage.welcome(Part::Sends, 1 << 40);
        stage.relays(&mut other, &[spec("h:1"), spec("h:2")]);
        assert_eq!(other.hears_event(), *told);
        drop(other);
        stage.turn(0);
    }
}

#[test]
fn expected_key_counts_while_its_caller_is_connected() {
    let mut stage = Stage::new(Part::Shows);
    let key = PublicKey([1; 32]);
    let other_key = PublicKey([2; 32]);
    let expecting = |key: &PublicKey| RelaySpec { fingerprint: Some(Fingerprint::from(key)), ..spec("h:1") };
    stage.callers.set_own_relays(vec![spec("h:1")]);
    let (mut other, _) = stage.welcome(Part::Sends, 1 << 40);
    let at_another = RelaySpec { addr: "h:2".parse().unwrap(), ..expecting(&key) };
    stage.relays(&mut other, &[expecting(&other_key), at_another]);
    let wanted = |stage: &Stage| {
        let relays = stage.callers.relays(|_| Some(key));
        relays.iter().map(|spec| spec.fingerprint).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&stage), [Some(Fingerprint::from(&other_key)), Some(Fingerprint::from(&key))]);
    drop(other);
    stage.turn(0);
    assert_eq!(wanted(&stage), [None, Some(Fingerprint::from(&key))]);
    stage.callers.set_own_relays(vec![expecting(&key)]);
    let (mut other, _) = stage.welcome(Part::Sends, 1 << 50);
    stage.relays(&mut other, &[expecting(&other_key)]);
    assert_eq!(wanted(&stage)[0], Some(Fingerprint::from(&key)), "our own book comes first");
}

#[test]
fn key_refusal_holds_while_it_differs_from_expected_key() {
    let wrong = PublicKey([1; 32]);
    let right = PublicKey([2; 32]);
    let wanted = Fingerprint::from(&wrong);
    let of_book = Unreached::KeyUnlikeBook { wanted, offered: right };
    let of_pin = Unreached::BookUnlikePin { wanted, pinned: right };
    let spec = |key, fingerprint| RelaySpec { key, fingerprint, ..spec("h:1") };
    assert!(holds_still(&of_book, &spec(None, Some(wanted))));
    assert!(!holds_still(&of_book, &spec(None, Some(Fingerprint::from(&right)))));
    assert!(!holds_still(&of_book, &spec(Some(right), Some(wanted))), "it is another refusal by then");
    assert!(holds_still(&of_pin, &spec(Some(right), Some(wanted))));
    assert!(!holds_still(&of_pin, &spec(Some(right), None)));
    assert!(!holds_still(&of_pin, &spec(Some(wrong), Some(wanted))));
}

#[test]
fn caller_with_wrong_protocol_or_no_hello_is_disconnected() {
    let mut stage = Stage::new(Part::Shows);
    for text in ["{\"Command\":\"Leave\"}", "GET / HTTP/1.1", "{}"] {
        let (mut other, _) = stage.welcome(Part::Sends, 9);
        let socket = fs::read_link(stage.dir.path().join("socket")).unwrap();
        let mut stranger = UnixStream::connect(socket).unwrap();
        stranger.write_all(format!("{text}\n").as_bytes()).unwrap();
        (0..2).for_each(|_| stage.turn(0));
        let mut nothing = String::new();
        assert_eq!(BufReader::new(stranger).read_line(&mut nothing).unwrap(), 0);
        stage.turn(0);
        other.say(&Call::Bye);
        stage.turn(0);
        stage.callers.end_turn(0);
        assert!(matches!(other.hears(), Answer::Bye));
        drop(other);
        stage.turn(0);
        assert!(stage.wishes.is_empty() && stage.callers.by_number.is_empty());
    }
}
