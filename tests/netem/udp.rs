//! Datagrams: one socket for all clients, and one socket towards the relay for each of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Registry, Token};
use queqiao::base::Rng;

use super::{FIRST, FRONT, LinkDirection, Shared};

/// Datagrams in transit. Further ones are lost.
const IN_FLIGHT_MAX: usize = 100_000;
/// Maximum delay of a reordered datagram, in addition to the line's delay.
const REORDER_DELAY_MAX: Duration = Duration::from_millis(10);
/// Forgotten addresses of a client that stay open. The relay's answers there are lost without an
/// error.
const OLD_SOCKETS_MAX: usize = 32;

/// One client.
struct Flow {
    client: SocketAddr,
    back: UdpSocket,
    old_sockets: Vec<UdpSocket>,
    /// Datagrams of the client since the relay first saw this address.
    sent: u32,
}

/// A datagram in transit. `due`: its time, and its position among those of the same time.
struct InFlight {
    due: (Instant, u64),
    flow: usize,
    up: bool,
    bytes: Vec<u8>,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &InFlight) -> bool {
        self.due == other.due
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &InFlight) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &InFlight) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

pub struct UdpForwarder {
    addr: SocketAddr,
    relay: SocketAddr,
    /// `None` while the port is closed.
    front: Option<UdpSocket>,
    flows: Vec<Flow>,
    flows_by_client: BTreeMap<SocketAddr, usize>,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    count: u64,
    rng: Rng,
}

impl UdpForwarder {
    pub fn open(addr: SocketAddr, relay: SocketAddr, seed: u64, poll: &Poll) -> io::Result<UdpForwarder> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let front = Some(front(addr, poll.registry())?);
        let flows = Vec::new();
        let flows_by_client = BTreeMap::new();
        let in_flight = BinaryHeap::new();
        let rng = Rng::from_seed(bytes);
        Ok(UdpForwarder { addr, relay, front, flows, flows_by_client, in_flight, count: 0, rng })
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(datagram)| datagram.due.0)
    }

    /// Opens or closes the port and forgets addresses, as the behaviour demands.
    pub fn apply_changes(&mut self, shared: &mut Shared, registry: &Registry) {
        match (shared.conditions.closed, self.front.is_some()) {
            (true, true) => self.front = None,
            (false, false) => self.front = Some(front(self.addr, registry).unwrap()),
            _ => {}
        }
        if std::mem::take(&mut shared.rebind) {
            (0..self.flows.len()).for_each(|number| self.forget(number, shared, registry));
        }
    }

    fn forget(&mut self, number: usize, shared: &mut Shared, registry: &Registry) {
        let flow = &mut self.flows[number];
        let mut old = std::mem::replace(&mut flow.back, back(number, registry));
        registry.deregister(&mut old).unwrap();
        if flow.old_sockets.len() == OLD_SOCKETS_MAX {
            flow.old_sockets.remove(0);
        }
        flow.old_sockets.push(old);
        flow.sent = 0;
        shared.counts.rebound += 1;
    }

    fn flow_of(&mut self, client: SocketAddr, registry: &Registry) -> usize {
        let number = *self.flows_by_client.entry(client).or_insert(self.flows.len());
        if number == self.flows.len() {
            self.flows.push(Flow { client, back: back(number, registry), old_sockets: Vec::new(), sent: 0 });
        }
        number
    }

    /// Reads datagrams of clients.
    pub fn read_clients(&mut self, now: Instant, shared: &mut Shared, registry: &Registry) {
        let mut bytes = [0; 65_536];
        // An error belongs to an earlier answer, to a client that has gone.
        while let Some(front) = &self.front {
            let (len, client) = match front.recv_from(&mut bytes) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let number = self.flow_of(client, registry);
            let every = shared.conditions.rebind_every;
            if every > 0 && self.flows[number].sent >= every {
                self.forget(number, shared, registry);
            }
            self.flows[number].sent += 1;
            self.forward(now, number, true, &bytes[..len], shared);
        }
    }

    /// Reads datagrams of the relay to one client.
    pub fn read_relay(&mut self, token: usize, now: Instant, shared: &mut Shared) {
        let number = (token - FIRST) / 2;
        let mut bytes = [0; 65_536];
        loop {
            match self.flows[number].back.recv_from(&mut bytes) {
                Ok((len, _)) => self.forward(now, number, false, &bytes[..len], shared),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn forward(&mut self, now: Instant, flow: usize, up: bool, bytes: &[u8], shared: &mut Shared) {
        let Shared { conditions, counts, .. } = shared;
        let direction = if up { &mut conditions.up } else { &mut conditions.down };
        let none_left = direction.left == Some(0);
        direction.left = direction.left.map(|left| left.saturating_sub(1));
        if direction.hole || none_left || (direction.size_max > 0 && bytes.len() > direction.size_max) {
            counts.dropped += 1;
            return;
        }
        if self.chance(direction.loss) || self.in_flight.len() >= IN_FLIGHT_MAX {
            counts.lost += 1;
            return;
        }
        counts.passed += 1;
        let copies = self.chance(direction.copies);
        counts.copied += u64::from(copies);
        for _ in 0..=usize::from(copies) {
            let late = self.extra_delay(direction);
            counts.late += u64::from(!late.is_zero());
            self.count += 1;
            let due = (now + direction.delay + late, self.count);
            self.in_flight.push(Reverse(InFlight { due, flow, up, bytes: bytes.to_vec() }));
        }
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.below(1_000) < thousandths
    }

    fn extra_delay(&mut self, direction: &LinkDirection) -> Duration {
        if !self.chance(direction.reordered) {
            return Duration::ZERO;
        }
        Duration::from_micros(1 + self.rng.below((direction.delay + REORDER_DELAY_MAX).as_micros() as u64))
    }

    /// Delivers due datagrams. A failed send is a loss like any other.
    pub fn deliver(&mut self, now: Instant) {
        while self.in_flight.peek().is_some_and(|Reverse(datagram)| datagram.due.0 <= now) {
            let Some(Reverse(datagram)) = self.in_flight.pop() else { return };
            let flow = &self.flows[datagram.flow];
            if datagram.up {
                let _ = flow.back.send_to(&datagram.bytes, self.relay);
            } else if let Some(front) = &self.front {
                let _ = front.send_to(&datagram.bytes, flow.client);
            }
        }
    }
}

fn front(addr: SocketAddr, registry: &Registry) -> io::Result<UdpSocket> {
    let mut front = UdpSocket::bind(addr)?;
    registry.register(&mut front, FRONT, Interest::READABLE)?;
    Ok(front)
}

fn back(number: usize, registry: &Registry) -> UdpSocket {
    let mut back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    registry.register(&mut back, Token(FIRST + 2 * number), Interest::READABLE).unwrap();
    back
}
