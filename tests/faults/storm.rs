//! Everybody at once: a thousand clients return to a relay whose socket holds a hundred datagrams and whose processor
//! needs time for each handshake.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use queqiao::base::{Core, Effect, Input, OutboxId, Outputs, Path, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Record};
use queqiao::relay::{Event, Limits};

use super::hand::private;
use super::rig::{Feed, Given, Rig, START, now_at};
use super::visitor::{relay_addr, spec};

/// What a receive buffer of 212,992 bytes, Linux's default, holds of packets of 1,200 bytes.
const SOCKET_MAX: usize = 92;
/// What a turn of the relay costs for each packet, and for each first message that needs curve arithmetic, on a slow
/// machine.
const PACKET_COST: Duration = Duration::from_micros(20);
const CURVE_COST: Duration = Duration::from_micros(2_000);
const STEP: Duration = Duration::from_millis(5);
/// One way.
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
    dropped: usize,
    sent: usize,
    signed_in: BTreeSet<String>,
}

fn addr_of(n: usize) -> Path {
    Path::Udp(SocketAddr::from((Ipv4Addr::from(0xC612_8000 + n as u32), 7)))
}

fn index_of(path: Path) -> usize {
    let Path::Udp(SocketAddr::V4(addr)) = path else { panic!("all are on UDP and IPv4") };
    (u32::from(*addr.ip()) - 0xC612_8000) as usize
}

impl Storm {
    fn new(clients: usize) -> Storm {
        // They return, so their names are not new ones.
        let rig = Rig::with(Limits { all_names_per_hour: None, ..Limits::default() });
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
            Returning { client, addr: addr_of(n), waiting, deadline: None }
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
            dropped: 0,
            sent: 0,
            signed_in: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        while self.down.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, to, bytes) = self.down.pop_front().expect("it is there");
            self.clients[index_of(to)].waiting.push(Given::Packet(Path::Udp(relay_addr(1)), bytes));
        }
        for n in 0..self.clients.len() {
            let client = &self.clients[n];
            if !client.waiting.is_empty() || client.deadline.is_some_and(|at| at <= self.now) {
                self.take_turn(n);
            }
        }
        while self.up.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, from, bytes) = self.up.pop_front().expect("it is there");
            match self.socket.len() < SOCKET_MAX {
                true => self.socket.push_back((from, bytes)),
                false => self.dropped += 1,
            }
        }
        self.serve();
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

    /// The relay works for as long as a step is, one packet after another.
    fn serve(&mut self) {
        self.rig.wait(self.now.since(self.rig.tick));
        self.relay_free_at = self.relay_free_at.max(self.now - STEP);
        while self.relay_free_at < self.now
            && let Some((from, bytes)) = self.socket.pop_front()
        {
            let before = self.rig.relay.stats().curve_work;
            self.rig.give(from, &bytes);
            let curve_work = self.rig.relay.stats().curve_work - before;
            self.relay_free_at = self.relay_free_at + PACKET_COST + CURVE_COST * curve_work as u32;
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

#[test]
fn row_32_a_thousand_clients_that_return_at_once_are_all_in_within_thirty_seconds() {
    let mut storm = Storm::new(1_000);
    while storm.signed_in.len() < storm.clients.len() {
        storm.step();
        let (took, stats) = (storm.now.since(START), storm.rig.relay.stats());
        let inside = storm.signed_in.len();
        assert!(took < Duration::from_secs(30), "{inside} in after 30 s, {} lost, {stats:?}", storm.dropped);
    }
    let stats = storm.rig.relay.stats();
    assert!(storm.dropped > 0 && stats.cookies > 0, "it was no storm: {stats:?}");
    assert!(storm.sent < 40 * 1_000, "{} packets for a thousand sessions", storm.sent);
}
