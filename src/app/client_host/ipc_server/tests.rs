//! Secondary processes over real sockets: which events each receives.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use tempfile::TempDir;

use super::*;
use crate::app::client_host::HostInput;
use crate::base::{Carrier, Fingerprint, Input, InputSource, LetterId, OutboxId, Wall};
use crate::client::{Incoming, Progress};
use crate::net::ipc::IpcListener;
use crate::net::{Net, NetConfig};

/// A primary whose own frontend does `part`, without a client.
struct ServerUnderTest {
    server: IpcServer,
    net: Net<HostInput>,
    dir: TempDir,
    _listener: IpcListener,
    commands: Vec<ForwardedCommand>,
}

/// A secondary process.
struct RawSecondary(BufReader<UnixStream>);

impl RawSecondary {
    fn send(&mut self, request: &IpcRequest) {
        self.0.get_mut().write_all(&[encode_line(request), b"\n".to_vec()].concat()).unwrap();
    }

    fn receive(&mut self) -> IpcResponse {
        let mut text = String::new();
        self.0.read_line(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn receive_event(&mut self) -> Event {
        match self.receive() {
            IpcResponse::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }
}

impl ServerUnderTest {
    fn new(kind: FrontendKind) -> ServerUnderTest {
        let dir = tempfile::tempdir().unwrap();
        let net = Net::new(NetConfig::client()).unwrap();
        let on_trouble = |reason| panic!("{reason:?}");
        let handle = net.loop_handle();
        let listener =
            IpcListener::open(dir.path(), handle, UNREAD_MAX, HostInput::Secondary, on_trouble).unwrap();
        let server = IpcServer::new(FrontendInfo { kind, requests: 0 });
        ServerUnderTest { server, net, dir, _listener: listener, commands: Vec::new() }
    }

    /// Handles the next input from a caller.
    fn turn(&mut self, given: u64) {
        loop {
            self.net.wait(None);
            if let Some(Input::Command(HostInput::Secondary(number, heard))) = self.net.next_input() {
                self.commands.extend(self.server.handle(number, heard, given, Carriers::Auto));
                return;
            }
        }
    }

    /// Connects a caller that says hello after `given` records.
    fn connect(&mut self, kind: FrontendKind, requests: u64, given: u64) -> RawSecondary {
        let socket = fs::read_link(self.dir.path().join("socket")).unwrap();
        let mut other = RawSecondary(BufReader::new(UnixStream::connect(socket).unwrap()));
        let version = VERSION.to_owned();
        other.send(&IpcRequest::Hello { version, frontend: FrontendInfo { kind, requests } });
        (0..2).for_each(|_| self.turn(given));
        other
    }

    fn welcome(&mut self, kind: FrontendKind, requests: u64) -> (RawSecondary, bool) {
        let mut other = self.connect(kind, requests, 0);
        self.server.end_turn(0);
        match other.receive() {
            IpcResponse::Welcome { catch_up, .. } => (other, catch_up),
            answer => panic!("{answer:?}"),
        }
    }

    fn relays(&mut self, other: &mut RawSecondary, configs: &[RelayConfig]) {
        other.send(&IpcRequest::Command(Command::Relays(configs.to_vec())));
        self.turn(0);
        assert_eq!(self.commands.pop(), Some(ForwardedCommand::Relays));
    }
}

fn config(relay: &str) -> RelayConfig {
    RelayConfig { addr: relay.parse().unwrap(), tcp: None, key: None, fingerprint: None }
}

fn online(relay: &str) -> Event {
    Event::Online { relay: relay.parse().unwrap(), via: Carrier::Udp }
}

fn accepted(request: u64) -> Event {
    let id = LetterId { outbox: OutboxId(1), number: 1 };
    Event::Progress { request, id, progress: Progress::Accepted, via: Carrier::Udp, taken_at: Wall(0) }
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
    let mut stage = ServerUnderTest::new(FrontendKind::Display);
    let (mut sender, _) = stage.welcome(FrontendKind::SendOnly, 1 << 40);
    let (mut listener, _) = stage.welcome(FrontendKind::Display, 1 << 50);
    let theirs = accepted((1 << 40) + 5);
    assert_eq!(stage.server.route_event(theirs.clone()), None);
    assert_eq!(stage.server.route_event(accepted(5)), Some(accepted(5)));
    assert_eq!(stage.server.route_event(letter()), Some(letter()));
    stage.server.end_turn(0);
    assert_eq!(sender.receive_event(), theirs);
    assert!(matches!(sender.receive(), IpcResponse::Turn), "it does not receive incoming letters");
    assert_eq!(listener.receive_event(), letter());
    drop(sender);
    stage.turn(0);
    assert_eq!(stage.server.route_event(theirs.clone()), Some(theirs));
}

#[test]
fn next_caller_catches_up_once_marks_of_first_are_durable() {
    let mut stage = ServerUnderTest::new(FrontendKind::SendOnly);
    let mut first = stage.connect(FrontendKind::Display, 1 << 40, 7);
    stage.server.end_turn(6);
    stage.server.end_turn(7);
    assert!(matches!(first.receive(), IpcResponse::Welcome { catch_up: true, .. }));
    let (mut second, catch_up) = stage.welcome(FrontendKind::Display, 1 << 50);
    assert!(!catch_up);
    drop(first);
    stage.turn(9);
    stage.server.end_turn(8);
    assert_eq!(stage.server.route_event(letter()), Some(letter()));
    stage.server.end_turn(9);
    assert_eq!(second.receive_event(), letter());
    assert!(matches!(second.receive(), IpcResponse::Turn));
    assert!(matches!(second.receive(), IpcResponse::CatchUp));
    let (_third, catch_up) = ServerUnderTest::new(FrontendKind::Display).welcome(FrontendKind::Display, 1);
    assert!(!catch_up, "our own frontend shows them");
}

#[test]
fn relay_events_go_to_its_users_and_newcomer_gets_its_state() {
    let mut stage = ServerUnderTest::new(FrontendKind::Display);
    stage.server.set_own_relays(vec![config("h:1")]);
    assert_eq!(stage.server.route_event(online("h:1")), Some(online("h:1")));
    let (mut other, _) = stage.welcome(FrontendKind::Display, 1 << 40);
    stage.relays(&mut other, &[config("h:1"), config("h:2")]);
    assert_eq!(other.receive_event(), online("h:1"));
    assert_eq!(stage.server.route_event(online("h:2")), None);
    assert_eq!(other.receive_event(), online("h:2"));
    let key = PublicKey([3; 32]);
    let pinned = |relay: &HostPort| (relay.port() == 2).then_some(key);
    let wanted = [config("h:1"), RelayConfig { key: Some(key), ..config("h:2") }];
    assert_eq!(stage.server.relays(pinned), wanted);
    drop(other);
    stage.turn(0);
    assert_eq!(stage.server.relays(pinned), wanted, "letters it left in the outbox are sent");
}

#[test]
fn newcomer_sees_no_key_change_once_new_key_is_trusted() {
    let mut stage = ServerUnderTest::new(FrontendKind::Display);
    let pinned = PublicKey([1; 32]);
    let offered = PublicKey([2; 32]);
    let relay: HostPort = "h:1".parse().unwrap();
    let refused = Event::Unreached { relay, reason: ConnectFailure::KeyChanged { pinned, offered } };
    let with = |key| [RelayConfig { key: Some(key), ..config("h:1") }];
    stage.server.set_own_relays(vec![config("h:1")]);
    for (trusted, event) in [(pinned, &refused), (offered, &online("h:2"))] {
        stage.server.route_event(refused.clone());
        stage.server.route_event(online("h:2"));
        stage.server.retain_relay_states(&[&with(trusted)[..], &[config("h:2")]].concat());
        let (mut other, _) = stage.welcome(FrontendKind::SendOnly, 1 << 40);
        stage.relays(&mut other, &[config("h:1"), config("h:2")]);
        assert_eq!(other.receive_event(), *event);
        drop(other);
        stage.turn(0);
    }
}

#[test]
fn expected_key_counts_while_its_caller_is_connected() {
    let mut stage = ServerUnderTest::new(FrontendKind::Display);
    let key = PublicKey([1; 32]);
    let other_key = PublicKey([2; 32]);
    let expecting =
        |key: &PublicKey| RelayConfig { fingerprint: Some(Fingerprint::from(key)), ..config("h:1") };
    stage.server.set_own_relays(vec![config("h:1")]);
    let (mut other, _) = stage.welcome(FrontendKind::SendOnly, 1 << 40);
    let at_another = RelayConfig { addr: "h:2".parse().unwrap(), ..expecting(&key) };
    stage.relays(&mut other, &[expecting(&other_key), at_another]);
    let wanted = |stage: &ServerUnderTest| {
        let relays = stage.server.relays(|_| Some(key));
        relays.iter().map(|config| config.fingerprint).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&stage), [Some(Fingerprint::from(&other_key)), Some(Fingerprint::from(&key))]);
    drop(other);
    stage.turn(0);
    assert_eq!(wanted(&stage), [None, Some(Fingerprint::from(&key))]);
    stage.server.set_own_relays(vec![expecting(&key)]);
    let (mut other, _) = stage.welcome(FrontendKind::SendOnly, 1 << 50);
    stage.relays(&mut other, &[expecting(&other_key)]);
    assert_eq!(wanted(&stage)[0], Some(Fingerprint::from(&key)), "our own book comes first");
}

#[test]
fn key_refusal_holds_while_it_differs_from_expected_key() {
    let wrong = PublicKey([1; 32]);
    let right = PublicKey([2; 32]);
    let wanted = Fingerprint::from(&wrong);
    let of_book = ConnectFailure::KeyUnlikeBook { wanted, offered: right };
    let of_pin = ConnectFailure::BookUnlikePin { wanted, pinned: right };
    let config = |key, fingerprint| RelayConfig { key, fingerprint, ..config("h:1") };
    assert!(is_still_true(&of_book, &config(None, Some(wanted))));
    assert!(!is_still_true(&of_book, &config(None, Some(Fingerprint::from(&right)))));
    assert!(!is_still_true(&of_book, &config(Some(right), Some(wanted))), "it is another refusal by then");
    assert!(is_still_true(&of_pin, &config(Some(right), Some(wanted))));
    assert!(!is_still_true(&of_pin, &config(Some(right), None)));
    assert!(!is_still_true(&of_pin, &config(Some(wrong), Some(wanted))));
}

#[test]
fn caller_with_wrong_protocol_or_no_hello_is_disconnected() {
    let mut stage = ServerUnderTest::new(FrontendKind::Display);
    for text in ["{\"Command\":\"Leave\"}", "GET / HTTP/1.1", "{}"] {
        let (mut other, _) = stage.welcome(FrontendKind::SendOnly, 9);
        let socket = fs::read_link(stage.dir.path().join("socket")).unwrap();
        let mut stranger = UnixStream::connect(socket).unwrap();
        stranger.write_all(format!("{text}\n").as_bytes()).unwrap();
        (0..2).for_each(|_| stage.turn(0));
        let mut nothing = String::new();
        assert_eq!(BufReader::new(stranger).read_line(&mut nothing).unwrap(), 0);
        stage.turn(0);
        other.send(&IpcRequest::Bye);
        stage.turn(0);
        stage.server.end_turn(0);
        assert!(matches!(other.receive(), IpcResponse::Bye));
        drop(other);
        stage.turn(0);
        assert!(stage.commands.is_empty() && stage.server.by_number.is_empty());
    }
}
