//! Datagrams: one socket for all clients, and one socket towards the relay for each of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Registry, Token};
use queqiao::base::Rng;

use super::{FIRST, FRONT, Lane, Shared};

/// Datagrams in transit. Further ones are lost.
const ON_THE_WAY_MAX: usize = 100_000;
/// Maximum delay of a reordered datagram, in addition to the line's delay.
const LATE: Duration = Duration::from_millis(10);
/// Forgotten addresses of a client that stay open. The relay's answers there are lost without an
/// error.
const FORGOTTEN_MAX: usize = 32;

/// One client.
struct Flow {
    client: SocketAddr,
    back: UdpSocket,
    forgotten: Vec<UdpSocket>,
    /// Datagrams of the client since the relay first saw this address.
    sent: u32,
}

/// A datagram in transit. `due`: its time, and its position among those of the same time.
struct Flying {
    due: (Instant, u64),
    flow: usize,
    up: bool,
    bytes: Vec<u8>,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Flying) -> bool {
        self.due == other.due
    }
}

impl Eq for Flying {}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Flying) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flying {
    fn cmp(&self, other: &Flying) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

pub struct Datagrams {
    addr: SocketAddr,
    relay: SocketAddr,
    /// `None` while the port is closed.
    front: Option<UdpSocket>,
    flows: Vec<Flow>,
    places: BTreeMap<SocketAddr, usize>,
    on_the_way: BinaryHeap<Reverse<Flying>>,
    count: u64,
    rng: Rng,
}

impl Datagrams {
    pub fn open(addr: SocketAddr, relay: SocketAddr, seed: u64, poll: &Poll) -> io::Result<Datagrams> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let front = Some(front(addr, poll.registry())?);
        let flows = Vec::new();
        let places = BTreeMap::new();
        let on_the_way = BinaryHeap::new();
        let rng = Rng::from_seed(bytes);
        Ok(Datagrams { addr, relay, front, flows, places, on_the_way, count: 0, rng })
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.on_the_way.peek().map(|Reverse(flying)| flying.due.0)
    }

    /// Opens or closes the port and forgets addresses, as the behaviour demands.
    pub fn obey(&mut self, shared: &mut Shared, registry: &Registry) {
        match (shared.weather.closed, self.front.is_some()) {
            (true, true) => self.front = None,
            (false, false) => self.front = Some(front(self.addr, registry).unwrap()),
            _ => {}
        }
        if std::mem::take(&mut shared.rebind) {
            (0..self.flows.len()).for_each(|place| self.forget(place, shared, registry));
        }
    }

    fn forget(&mut self, place: usize, shared: &mut Shared, registry: &Registry) {
        let flow = &mut self.flows[place];
        let mut old = std::mem::replace(&mut flow.back, back(place, registry));
        registry.deregister(&mut old).unwrap();
        if flow.forgotten.len() == FORGOTTEN_MAX {
            flow.forgotten.remove(0);
        }
        flow.forgotten.push(old);
        flow.sent = 0;
        shared.tally.rebound += 1;
    }

    fn place_of(&mut self, client: SocketAddr, registry: &Registry) -> usize {
        let place = *self.places.entry(client).or_insert(self.flows.len());
        if place == self.flows.len() {
            self.flows.push(Flow { client, back: back(place, registry), forgotten: Vec::new(), sent: 0 });
        }
        place
    }

    /// Reads datagrams of clients.
    pub fn take_front(&mut self, now: Instant, shared: &mut Shared, registry: &Registry) {
        let mut bytes = [0; 65_536];
        // An error belongs to an earlier answer, to a client that has gone.
        while let Some(front) = &self.front {
            let (len, client) = match front.recv_from(&mut bytes) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let place = self.place_of(client, registry);
            let every = shared.weather.rebind_every;
            if every > 0 && self.flows[place].sent >= every {
                self.forget(place, shared, registry);
            }
            self.flows[place].sent += 1;
            self.carry(now, place, true, &bytes[..len], shared);
        }
    }

    /// Reads datagrams of the relay to one client.
    pub fn take_back(&mut self, token: usize, now: Instant, shared: &mut Shared) {
        let place = (token - FIRST) / 2;
        let mut bytes = [0; 65_536];
        loop {
            match self.flows[place].back.recv_from(&mut bytes) {
                Ok((len, _)) => self.carry(now, place, false, &bytes[..len], shared),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn carry(&mut self, now: Instant, flow: usize, up: bool, bytes: &[u8], shared: &mut Shared) {
        let Shared { weather, tally, .. } = shared;
        let lane = if up { &mut weather.up } else { &mut weather.down };
        let none_left = lane.left == Some(0);
        lane.left = lane.left.map(|left| left.saturating_sub(1));
        if lane.hole || none_left || (lane.longest > 0 && bytes.len() > lane.longest) {
            tally.swallowed += 1;
            return;
        }
        if self.chance(lane.loss) || self.on_the_way.len() >= ON_THE_WAY_MAX {
            tally.lost += 1;
            return;
        }
        tally.passed += 1;
        let copies = self.chance(lane.copies);
        tally.copied += u64::from(copies);
        for _ in 0..=usize::from(copies) {
            let late = self.lateness(lane);
            tally.late += u64::from(!late.is_zero());
            self.count += 1;
            let due = (now + lane.delay + late, self.count);
            self.on_the_way.push(Reverse(Flying { due, flow, up, bytes: bytes.to_vec() }));
        }
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.below(1_000) < thousandths
    }

    fn lateness(&mut self, lane: &Lane) -> Duration {
        if !self.chance(lane.reordered) {
            return Duration::ZERO;
        }
        Duration::from_micros(1 + self.rng.below((lane.delay + LATE).as_micros() as u64))
    }

    /// Delivers due datagrams. A failed send is a loss like any other.
    pub fn deliver(&mut self, now: Instant) {
        while self.on_the_way.peek().is_some_and(|Reverse(flying)| flying.due.0 <= now) {
            let Some(Reverse(flying)) = self.on_the_way.pop() else { return };
            let flow = &self.flows[flying.flow];
            if flying.up {
                let _ = flow.back.send_to(&flying.bytes, self.relay);
            } else if let Some(front) = &self.front {
                let _ = front.send_to(&flying.bytes, flow.client);
            }
        }
    }
}

fn front(addr: SocketAddr, registry: &Registry) -> io::Result<UdpSocket> {
    let mut front = UdpSocket::bind(addr)?;
    registry.register(&mut front, FRONT, Interest::READABLE)?;
    Ok(front)
}

fn back(place: usize, registry: &Registry) -> UdpSocket {
    let mut back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    registry.register(&mut back, Token(FIRST + 2 * place), Interest::READABLE).unwrap();
    back
}
