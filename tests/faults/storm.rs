//! A reconnect storm: a thousand clients return to a relay whose socket holds a hundred datagrams
//! and whose processor needs time for each handshake.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use queqiao::base::{Core, Effect, Input, OutboxId, Outputs, Path, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Record};
use queqiao::relay::{Event, Limits};
use queqiao::session::GRANTED_COST_US;

use super::cookies::garbage;
use super::hand::private;
use super::rig::{Feed, Given, Rig, START, now_at};
use super::visitor::{relay_addr, spec};

/// Packets of 1,200 bytes in a receive buffer of 212,992 bytes, the default of Linux.
const SOCKET_MAX: usize = 92;
/// Time of the relay for each packet, on a slow machine.
const PACKET_COST: Duration = Duration::from_micros(20);
/// Additional time for each first message that needs curve arithmetic, on a slow machine.
const SLOW_CURVE_COST: Duration = Duration::from_micros(2_000);
const STEP: Duration = Duration::from_millis(5);
/// Delay of one way.
const DELAY: Duration = Duration::from_millis(25);

struct Returning {
    client: Client,
    addr: Path,
    waiting: Vec<Given<Command>>,
    deadline: Option<Tick>,
}

struct Storm {
    rig: Rig,
    now: Tick,
    clients: Vec<Returning>,
    out: Outputs<Record, queqiao::client::Event>,
    up: VecDeque<(Tick, Path, Vec<u8>)>,
    down: VecDeque<(Tick, Path, Vec<u8>)>,
    socket: VecDeque<(Path, Vec<u8>)>,
    relay_free_at: Tick,
    curve_cost: Duration,
    place: Place,
    neighbour: Option<Neighbour>,
    dropped: usize,
    sent: usize,
    signed_in: BTreeSet<String>,
}

/// Addresses of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Each at a separate address.
    Apart,
    /// All behind one address.
    OneAddress,
}

impl Place {
    fn addr_of(self, n: usize) -> SocketAddr {
        match self {
            Place::Apart => SocketAddr::from((Ipv4Addr::from(0xC612_8000 + n as u32), 7)),
            Place::OneAddress => SocketAddr::from(([198, 19, 0, 1], 10_000 + n as u16)),
        }
    }

    fn index_of(self, path: Path) -> usize {
        let Path::Udp(SocketAddr::V4(addr)) = path else { panic!("all are on UDP and IPv4") };
        match self {
            Place::Apart => (u32::from(*addr.ip()) - 0xC612_8000) as usize,
            Place::OneAddress => usize::from(addr.port()) - 10_000,
        }
    }
}

/// Sends 500 first messages a second whose seal is wrong, each on a new TCP connection, so that its
/// address is proven.
struct Neighbour {
    addr: SocketAddr,
    packet: Vec<u8>,
    sent: u64,
}

impl Storm {
    fn run_until_all_are_in(&mut self, within: Duration) {
        while self.signed_in.len() < self.clients.len() {
            self.step();
            let took = self.now.since(START);
            let stats = self.rig.relay.stats();
            let inside = self.signed_in.len();
            assert!(took < within, "{inside} in after {took:?}, {} lost, {stats:?}", self.dropped);
        }
    }

    fn new(clients: usize, place: Place) -> Storm {
        // Lift the registration limits: these members return and need no new names.
        let names_per_hour = clients as u32;
        let rig = Rig::with(Limits { all_names_per_hour: None, names_per_hour, ..Limits::default() });
        let returning = |n: usize| {
            let client = Client::new(Config {
                name: Some(format!("member{n}").parse().unwrap()),
                private_key: private(n as u64),
                outbox: OutboxId(n as u64),
                carriers: Carriers::Udp,
                counter_reserved: 0,
                kept: None,
                strangers_bytes_max: 0,
                seed: std::array::from_fn(|i| n.to_be_bytes()[i % 8] ^ 0x5A),
            });
            let relays = Command::Relays(vec![spec(1, Some(&rig))]);
            let waiting = vec![Given::Other(Input::Command(relays))];
            Returning { client, addr: Path::Udp(place.addr_of(n)), waiting, deadline: None }
        };
        Storm {
            clients: (0..clients).map(returning).collect(),
            rig,
            now: START,
            out: Outputs::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            socket: VecDeque::new(),
            relay_free_at: START,
            curve_cost: SLOW_CURVE_COST,
            place,
            neighbour: None,
            dropped: 0,
            sent: 0,
            signed_in: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        while self.down.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, to, bytes) = self.down.pop_front().expect("the queue is not empty");
            self.clients[self.place.index_of(to)]
                .waiting
                .push(Given::Packet(Path::Udp(relay_addr(1)), bytes));
        }
        for n in 0..self.clients.len() {
            let client = &self.clients[n];
            if !client.waiting.is_empty() || client.deadline.is_some_and(|at| at <= self.now) {
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
        self.serve();
    }

    fn handle(&mut self, from: Path, bytes: &[u8]) {
        let before = self.rig.relay.stats().curve_work;
        self.rig.give(from, bytes);
        let curve_work = self.rig.relay.stats().curve_work - before;
        self.relay_free_at = self.relay_free_at + PACKET_COST + self.curve_cost * curve_work as u32;
    }

    /// Sends the messages of the neighbour that are due.
    fn forge(&mut self) {
        let due = self.now.since(START).as_millis() as u64 / 2;
        while let Some(neighbour) = self.neighbour.as_mut().filter(|neighbour| neighbour.sent < due) {
            neighbour.sent += 1;
            neighbour.addr.set_port(40_000 + (neighbour.sent % 20_000) as u16);
            let addr = neighbour.addr;
            let packet = neighbour.packet.clone();
            let path = self.rig.connect(addr);
            self.handle(path, &packet);
            assert!(self.rig.is_closed(path) || self.rig.answers(path).is_empty());
        }
    }

    fn take_turn(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let mut feed = Feed { waiting: std::mem::take(&mut client.waiting).into(), lent: Vec::new() };
        self.out.clear();
        client.deadline = turn(&mut client.client, now_at(self.now), &mut feed, &mut self.out);
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(_, range) => {
                    self.sent += 1;
                    self.up.push_back((self.now + DELAY, client.addr, self.out.bytes[range].to_vec()));
                }
                Effect::Persist(ticket, _) => client.waiting.push(Given::Other(Input::Committed(ticket))),
                _ => {}
            }
        }
        let due = client.client.next_deadline().is_some_and(|at| at <= self.now);
        assert!(!due, "a deadline in the past: the loop would spin");
    }

    /// Lets the relay work for the time of one step, one packet after another.
    fn serve(&mut self) {
        self.rig.wait(self.now.since(self.rig.tick));
        self.relay_free_at = self.relay_free_at.max(self.now - STEP);
        self.forge();
        while self.relay_free_at < self.now
            && let Some((from, bytes)) = self.socket.pop_front()
        {
            self.handle(from, &bytes);
        }
        for (to, bytes) in self.rig.sent.drain(..) {
            self.down.push_back((self.now + DELAY, to, bytes));
        }
        for event in self.rig.shown.drain(..) {
            if let Event::SignedIn(name) = event {
                self.signed_in.insert(name.to_string());
            }
        }
    }
}

// faults.md: R32
#[test]
fn thousand_clients_reconnect_within_30_s() {
    let mut storm = Storm::new(1_000, Place::Apart);
    storm.run_until_all_are_in(Duration::from_secs(30));
    let stats = storm.rig.relay.stats();
    assert!(storm.dropped > 0 && stats.cookies > 0, "it was no storm: {stats:?}");
    assert!(storm.sent < 40 * 1_000, "{} packets for a thousand sessions", storm.sent);
}

// faults.md: R32
/// Handshakes have a tenth of the loop's time, and the forged messages take their part of it. So
/// half of a thousand clients have half of thirty seconds.
#[test]
fn clients_behind_one_address_reconnect_despite_forger() {
    let mut storm = Storm::new(500, Place::OneAddress);
    storm.curve_cost = Duration::from_micros(GRANTED_COST_US.into());
    let packet = garbage(&storm.rig);
    storm.neighbour = Some(Neighbour { addr: Place::OneAddress.addr_of(0), packet, sent: 0 });
    storm.run_until_all_are_in(Duration::from_secs(15));
    let stats = storm.rig.relay.stats();
    assert!(stats.curve_work > 2 * stats.handshakes, "most of what was opened was forged: {stats:?}");
}
