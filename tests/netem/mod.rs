//! A network emulator between clients and their relay: real sockets on loopback, with datagrams and
//! connections on the same port.
//!
//! It loses, copies, reorders, and delays datagrams, forgets addresses, and drops all datagrams or
//! only the long ones. It stalls, delays, or resets connections.
//!
//! Must not depend on: the contents of the traffic.
//!
//! Invariant: the treatment of each datagram follows from the seed and the order of arrival. A byte
//! on a connection is late or lost together with its connection, never alone.
#![allow(clippy::disallowed_types, reason = "real sockets live in real time")]
#![allow(dead_code, reason = "each test target uses a part of the line")]

mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};

use tcp::TcpForwarder;
use udp::UdpForwarder;

/// Tokens of the poll. Connections and flows use the ones above.
const WAKE: Token = Token(0);
const FRONT: Token = Token(1);
const LISTENER: Token = Token(2);
/// Flows have even tokens from here on, and the two sockets of each connection have odd ones.
const FIRST: usize = 4;

/// Treatment of datagrams in one direction. Chances are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDirection {
    pub loss: u64,
    pub copies: u64,
    /// Chance that a datagram is late, by up to the delay of the others and 10 ms.
    pub reordered: u64,
    pub delay: Duration,
    /// Drops everything.
    pub hole: bool,
    /// Drops longer datagrams; 0 is no limit.
    pub size_max: usize,
    /// Datagrams that still pass, of all clients together; the others are dropped.
    pub left: Option<u32>,
}

/// Current behaviour of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkConditions {
    pub up: LinkDirection,
    pub down: LinkDirection,
    /// The relay sees each client at another port after this many of its datagrams; 0 is never.
    pub rebind_every: u32,
    /// The port is closed to datagrams: the system reports an error to the sender.
    pub closed: bool,
    /// Data on connections waits until this ends. New connections are accepted and wait too.
    pub stalled: bool,
    /// Delay of one way, on connections. The client's first data arrives one more round trip later,
    /// for the TCP handshake that loopback does not have.
    pub tcp_delay: Duration,
}

impl LinkConditions {
    /// Returns the same behaviour in both directions.
    pub fn both(direction: LinkDirection) -> LinkConditions {
        LinkConditions {
            up: direction,
            down: direction,
            tcp_delay: direction.delay,
            ..LinkConditions::default()
        }
    }

    /// Returns a line without faults, with this round trip.
    pub fn distant(round_trip: Duration) -> LinkConditions {
        LinkConditions::both(LinkDirection { delay: round_trip / 2, ..LinkDirection::default() })
    }

    /// Returns the same behaviour, with all datagrams dropped in these directions.
    #[must_use]
    pub fn with_hole(mut self, up: bool, down: bool) -> LinkConditions {
        self.up.hole = up;
        self.down.hole = down;
        self
    }
}

/// Counts of the traffic and its treatment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    pub passed: u64,
    pub lost: u64,
    pub dropped: u64,
    pub copied: u64,
    pub late: u64,
    pub rebound: u64,
    pub connections: u64,
    pub resets: u64,
}

/// State shared between the owner of the line and its thread.
#[derive(Debug, Default)]
struct Shared {
    conditions: LinkConditions,
    counts: TrafficCounts,
    rebind: bool,
    reset: bool,
    stopped: bool,
}

/// A line that carries traffic until it is dropped.
pub struct NetworkEmulator {
    /// Address for clients, over UDP and TCP.
    pub addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl NetworkEmulator {
    /// Opens a line to the relay at this address, which may start later. The seed decides the
    /// treatment of each datagram.
    pub fn open(relay: SocketAddr, seed: u64, conditions: LinkConditions) -> NetworkEmulator {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), WAKE).unwrap();
        let (connections, udp) = bind_one_port(relay, seed, &poll);
        let addr = connections.addr();
        let shared = Arc::new(Mutex::new(Shared { conditions, ..Shared::default() }));
        let mut forwarder = Forwarder { poll, udp, connections, shared: shared.clone() };
        let thread =
            std::thread::Builder::new().name("netem".into()).spawn(move || forwarder.forward()).unwrap();
        NetworkEmulator { addr, shared, waker, thread: Some(thread) }
    }

    /// Replaces the behaviour.
    pub fn set(&self, conditions: LinkConditions) {
        self.update(|shared| shared.conditions = conditions);
    }

    /// Changes part of the behaviour.
    pub fn change(&self, change: impl FnOnce(&mut LinkConditions)) {
        self.update(|shared| change(&mut shared.conditions));
    }

    /// Moves each client to another port, as the relay sees it.
    pub fn rebind(&self) {
        self.update(|shared| shared.rebind = true);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.update(|shared| shared.reset = true);
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> TrafficCounts {
        lock(&self.shared).counts
    }

    fn update(&self, update: impl FnOnce(&mut Shared)) {
        update(&mut lock(&self.shared));
        self.waker.wake().unwrap();
    }
}

impl Drop for NetworkEmulator {
    fn drop(&mut self) {
        self.update(|shared| shared.stopped = true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Ignores poisoning: the panic of the line's thread says more than one about its lock.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens both carriers on one free port.
fn bind_one_port(relay: SocketAddr, seed: u64, poll: &Poll) -> (TcpForwarder, UdpForwarder) {
    for _ in 0..100 {
        let connections = TcpForwarder::open((Ipv4Addr::LOCALHOST, 0).into(), relay, poll).unwrap();
        match UdpForwarder::open(connections.addr(), relay, seed, poll) {
            Ok(udp) => return (connections, udp),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
    panic!("no port is free for both carriers");
}

/// The line's thread.
struct Forwarder {
    poll: Poll,
    udp: UdpForwarder,
    connections: TcpForwarder,
    shared: Arc<Mutex<Shared>>,
}

impl Forwarder {
    fn forward(&mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let due = [self.udp.next_due(), self.connections.next_due()].into_iter().flatten().min();
            let wait = due.map(|at| at.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, wait) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted);
                continue;
            }
            let shared = &mut *lock(&self.shared);
            if shared.stopped {
                return;
            }
            let now = Instant::now();
            let registry = self.poll.registry();
            self.udp.apply_changes(shared, registry);
            if std::mem::take(&mut shared.reset) {
                shared.counts.resets += self.connections.reset(registry);
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTENER => self.connections.accept(now, shared, registry),
                    FRONT => self.udp.read_clients(now, shared, registry),
                    Token(token) if token % 2 == 0 => self.udp.read_relay(token, now, shared),
                    Token(token) => self.connections.handle_event(token, event),
                }
            }
            self.udp.deliver(now);
            self.connections.forward(now, shared, registry);
        }
    }
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
