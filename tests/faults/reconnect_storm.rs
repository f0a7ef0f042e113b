//! A reconnect storm: a thousand clients return to a relay whose socket holds a hundred datagrams
//! and whose processor needs time for each handshake.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use queqiao::base::{Core, Effect, Input, OutboxId, Outputs, Path, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Record};
use queqiao::relay::{Event, Limits};
use queqiao::session::GRANTED_COST_US;

use super::client_harness::{relay_addr, relay_config};
use super::cookies::garbage;
use super::raw_client::private_key;
use super::relay_harness::{HarnessInput, InputFeed, RelayHarness, START, now_at};

/// Packets of 1,200 bytes in a receive buffer of 212,992 bytes, the default of Linux.
const SOCKET_MAX: usize = 92;
/// Time of the relay for each packet, on a slow machine.
const PACKET_COST: Duration = Duration::from_micros(20);
/// Additional time for each first message that needs curve arithmetic, on a slow machine.
const SLOW_CURVE_COST: Duration = Duration::from_micros(2_000);
const STEP: Duration = Duration::from_millis(5);
/// Delay of one way.
const DELAY: Duration = Duration::from_millis(25);

struct ReturningClient {
    core: Client,
    addr: Path,
    inputs: Vec<HarnessInput<Command>>,
    deadline: Option<Tick>,
}

struct ReconnectStorm {
    relay: RelayHarness,
    now: Tick,
    clients: Vec<ReturningClient>,
    out: Outputs<Record, queqiao::client::Event>,
    up: VecDeque<(Tick, Path, Vec<u8>)>,
    down: VecDeque<(Tick, Path, Vec<u8>)>,
    socket: VecDeque<(Path, Vec<u8>)>,
    relay_free_at: Tick,
    curve_cost: Duration,
    placement: Placement,
    forger: Option<Forger>,
    dropped: usize,
    sent: usize,
    signed_in: BTreeSet<String>,
}

/// Addresses of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Each at a separate address.
    SeparateAddresses,
    /// All behind one address.
    OneAddress,
}

impl Placement {
    fn addr_of(self, n: usize) -> SocketAddr {
        match self {
            Placement::SeparateAddresses => SocketAddr::from((Ipv4Addr::from(0xC612_8000 + n as u32), 7)),
            Placement::OneAddress => SocketAddr::from(([198, 19, 0, 1], 10_000 + n as u16)),
        }
    }

    fn index_of(self, path: Path) -> usize {
        let Path::Udp(SocketAddr::V4(addr)) = path else { panic!("all are on UDP and IPv4") };
        match self {
            Placement::SeparateAddresses => (u32::from(*addr.ip()) - 0xC612_8000) as usize,
            Placement::OneAddress => usize::from(addr.port()) - 10_000,
        }
    }
}

/// Sends 500 first messages a second whose seal is wrong, each on a new TCP connection, so that its
/// address is proven.
struct Forger {
    addr: SocketAddr,
    packet: Vec<u8>,
    sent: u64,
}

impl ReconnectStorm {
    fn run_until_all_are_in(&mut self, within: Duration) {
        while self.signed_in.len() < self.clients.len() {
            self.step();
            let took = self.now.since(START);
            let stats = self.relay.core.stats();
            let signed_in = self.signed_in.len();
            assert!(took < within, "{signed_in} in after {took:?}, {} lost, {stats:?}", self.dropped);
        }
    }

    fn new(clients: usize, placement: Placement) -> ReconnectStorm {
        // Lift the registration limits: these members return and need no new names.
        let names_per_hour = clients as u32;
        let relay =
            RelayHarness::with(Limits { all_names_per_hour: None, names_per_hour, ..Limits::default() });
        let returning = |n: usize| {
            let client = Client::new(Config {
                name: Some(format!("member{n}").parse().unwrap()),
                private_key: private_key(n as u64),
                outbox: OutboxId(n as u64),
                carriers: Carriers::Udp,
                counter_reserved: 0,
                persisted: None,
                strangers_bytes_max: 0,
                seed: std::array::from_fn(|i| n.to_be_bytes()[i % 8] ^ 0x5A),
            });
            let relays = Command::Relays(vec![relay_config(1, Some(&relay))]);
            let waiting = vec![HarnessInput::Other(Input::Command(relays))];
            ReturningClient {
                core: client,
                addr: Path::Udp(placement.addr_of(n)),
                inputs: waiting,
                deadline: None,
            }
        };
        ReconnectStorm {
            clients: (0..clients).map(returning).collect(),
            relay,
            now: START,
            out: Outputs::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            socket: VecDeque::new(),
            relay_free_at: START,
            curve_cost: SLOW_CURVE_COST,
            placement,
            forger: None,
            dropped: 0,
            sent: 0,
            signed_in: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        while self.down.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, to, bytes) = self.down.pop_front().expect("the queue is not empty");
            self.clients[self.placement.index_of(to)]
                .inputs
                .push(HarnessInput::Packet(Path::Udp(relay_addr(1)), bytes));
        }
        for n in 0..self.clients.len() {
            let client = &self.clients[n];
            if !client.inputs.is_empty() || client.deadline.is_some_and(|at| at <= self.now) {
                self.take_turn(n);
            }
        }
        while self.up.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, from, bytes) = self.up.pop_front().expect("the queue is not empty");
            match self.socket.len() < SOCKET_MAX {
                true => self.socket.push_back((from, bytes)),
                false => self.dropped += 1,
            }
        }
        self.run_relay();
    }

    fn handle(&mut self, from: Path, bytes: &[u8]) {
        let before = self.relay.core.stats().curve_work;
        self.relay.handle_packet(from, bytes);
        let curve_work = self.relay.core.stats().curve_work - before;
        self.relay_free_at = self.relay_free_at + PACKET_COST + self.curve_cost * curve_work as u32;
    }

    /// Sends the messages of the neighbour that are due.
    fn forge(&mut self) {
        let due = self.now.since(START).as_millis() as u64 / 2;
        while let Some(forger) = self.forger.as_mut().filter(|forger| forger.sent < due) {
            forger.sent += 1;
            forger.addr.set_port(40_000 + (forger.sent % 20_000) as u16);
            let addr = forger.addr;
            let packet = forger.packet.clone();
            let path = self.relay.connect(addr);
            self.handle(path, &packet);
            assert!(self.relay.is_closed(path) || self.relay.take_sent_on(path).is_empty());
        }
    }

    fn take_turn(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let mut feed = InputFeed { waiting: std::mem::take(&mut client.inputs).into(), lent: Vec::new() };
        self.out.clear();
        client.deadline = turn(&mut client.core, now_at(self.now), &mut feed, &mut self.out);
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(_, range) => {
                    self.sent += 1;
                    self.up.push_back((self.now + DELAY, client.addr, self.out.bytes[range].to_vec()));
                }
                Effect::Persist(ticket, _) => {
                    client.inputs.push(HarnessInput::Other(Input::Committed(ticket)))
                }
                _ => {}
            }
        }
        let due = client.core.next_deadline().is_some_and(|at| at <= self.now);
        assert!(!due, "a deadline in the past: the loop would spin");
    }

    /// Lets the relay work for the time of one step, one packet after another.
    fn run_relay(&mut self) {
        self.relay.wait(self.now.since(self.relay.tick));
        self.relay_free_at = self.relay_free_at.max(self.now - STEP);
        self.forge();
        while self.relay_free_at < self.now
            && let Some((from, bytes)) = self.socket.pop_front()
        {
            self.handle(from, &bytes);
        }
        for (to, bytes) in self.relay.sent.drain(..) {
            self.down.push_back((self.now + DELAY, to, bytes));
        }
        for event in self.relay.events.drain(..) {
            if let Event::SignedIn { name, .. } = event {
                self.signed_in.insert(name.to_string());
            }
        }
    }
}

// faults.md: R32
#[test]
fn thousand_clients_reconnect_within_30_s() {
    let mut storm = ReconnectStorm::new(1_000, Placement::SeparateAddresses);
    storm.run_until_all_are_in(Duration::from_secs(30));
    let stats = storm.relay.core.stats();
    assert!(storm.dropped > 0 && stats.cookies > 0, "it was no storm: {stats:?}");
    assert!(storm.sent < 40 * 1_000, "{} packets for a thousand sessions", storm.sent);
}

// faults.md: R32
/// Handshakes have a tenth of the loop's time, and the forged messages take their part of it. So
/// half of a thousand clients have half of thirty seconds.
#[test]
fn clients_behind_one_address_reconnect_despite_forger() {
    let mut storm = ReconnectStorm::new(500, Placement::OneAddress);
    storm.curve_cost = Duration::from_micros(GRANTED_COST_US.into());
    let packet = garbage(&storm.relay);
    storm.forger = Some(Forger { addr: Placement::OneAddress.addr_of(0), packet, sent: 0 });
    storm.run_until_all_are_in(Duration::from_secs(15));
    let stats = storm.relay.core.stats();
    assert!(stats.curve_work > 2 * stats.handshakes, "most of what was opened was forged: {stats:?}");
}
