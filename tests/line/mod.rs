//! A line between clients and their relay that behaves as bad networks do: real sockets on loopback, with datagrams and
//! connections on the same port. It loses, copies, reorders and delays datagrams, forgets addresses, swallows all of them
//! or only the long ones, and stalls, delays or resets connections. It must not know what it carries.
//!
//! Invariant: which datagram meets which fate follows from the seed and the order in which they come; a byte on a
//! connection is late or lost with its connection, never alone.
#![allow(clippy::disallowed_types, reason = "real sockets live in real time")]
#![allow(dead_code, reason = "each who uses the line needs some of it")]

mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};

use tcp::Connections;
use udp::Datagrams;

/// Tokens of the poll; connections and flows have those above.
const WAKE: Token = Token(0);
const FRONT: Token = Token(1);
const LISTENER: Token = Token(2);
/// Flows have even tokens from here on, the two sockets of each connection the odd ones.
const FIRST: usize = 4;

/// What one direction does to datagrams. Chances are in parts of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    pub loss: u64,
    pub copies: u64,
    /// Such a datagram comes later by up to as much as the others take, and 10 ms.
    pub reordered: u64,
    pub delay: Duration,
    /// Nothing passes.
    pub hole: bool,
    /// Nothing longer passes; 0 is no bound.
    pub longest: usize,
    /// Only so many more pass, of all clients together.
    pub left: Option<u32>,
}

/// How the line behaves now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    pub up: Lane,
    pub down: Lane,
    /// The relay sees each client at another port after so many of its datagrams; 0 is never.
    pub rebind_every: u32,
    /// The port is closed to datagrams: who sends one is told so by the system.
    pub closed: bool,
    /// What is on a connection waits until this is over; new ones are taken and wait.
    pub stalled: bool,
    /// One way, on connections. What a client says first comes a round trip later still, for the opening handshake that
    /// loopback does not have.
    pub tcp_delay: Duration,
}

impl Weather {
    /// The same in both directions.
    pub fn both(lane: Lane) -> Weather {
        Weather { up: lane, down: lane, tcp_delay: lane.delay, ..Weather::default() }
    }

    /// No fault but a round trip of this length.
    pub fn distant(round_trip: Duration) -> Weather {
        Weather::both(Lane { delay: round_trip / 2, ..Lane::default() })
    }

    /// The same, and no datagram passes.
    #[must_use]
    pub fn with_hole(mut self, up: bool, down: bool) -> Weather {
        self.up.hole = up;
        self.down.hole = down;
        self
    }
}

/// What was carried and what was done to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub lost: u64,
    pub swallowed: u64,
    pub copied: u64,
    pub late: u64,
    pub rebound: u64,
    pub connections: u64,
    pub resets: u64,
}

/// What the one who holds the line and its thread share.
#[derive(Debug, Default)]
struct Shared {
    weather: Weather,
    tally: Tally,
    rebind: bool,
    reset: bool,
    over: bool,
}

/// A line that carries until it is dropped.
pub struct Line {
    /// Where clients find it, over UDP and TCP.
    pub addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// A line to the relay at this address, which may come later; the seed decides what it does to each datagram.
    pub fn open(relay: SocketAddr, seed: u64, weather: Weather) -> Line {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), WAKE).unwrap();
        let (connections, datagrams) = one_port(relay, seed, &poll);
        let addr = connections.addr();
        let shared = Arc::new(Mutex::new(Shared { weather, ..Shared::default() }));
        let mut carrier = Carrier { poll, datagrams, connections, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("line".into()).spawn(move || carrier.carry()).unwrap();
        Line { addr, shared, waker, thread: Some(thread) }
    }

    /// From now on it behaves so.
    pub fn set(&self, weather: Weather) {
        self.tell(|shared| shared.weather = weather);
    }

    /// Changes something about how it behaves.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.tell(|shared| change(&mut shared.weather));
    }

    /// The relay sees each client at another port from now on.
    pub fn rebind(&self) {
        self.tell(|shared| shared.rebind = true);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.tell(|shared| shared.reset = true);
    }

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        lock(&self.shared).tally
    }

    fn tell(&self, tell: impl FnOnce(&mut Shared)) {
        tell(&mut lock(&self.shared));
        self.waker.wake().unwrap();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tell(|shared| shared.over = true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A broken carrier's own message says more than one about its lock.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both carriers on one free port.
fn one_port(relay: SocketAddr, seed: u64, poll: &Poll) -> (Connections, Datagrams) {
    for _ in 0..100 {
        let connections = Connections::open((Ipv4Addr::LOCALHOST, 0).into(), relay, poll).unwrap();
        match Datagrams::open(connections.addr(), relay, seed, poll) {
            Ok(datagrams) => return (connections, datagrams),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
    panic!("no port is free for both carriers");
}

/// The line's thread.
struct Carrier {
    poll: Poll,
    datagrams: Datagrams,
    connections: Connections,
    shared: Arc<Mutex<Shared>>,
}

impl Carrier {
    fn carry(&mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let due = [self.datagrams.next_due(), self.connections.next_due()].into_iter().flatten().min();
            let wait = due.map(|at| at.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, wait) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted);
                continue;
            }
            let shared = &mut *lock(&self.shared);
            if shared.over {
                return;
            }
            let now = Instant::now();
            let registry = self.poll.registry();
            self.datagrams.obey(shared, registry);
            if std::mem::take(&mut shared.reset) {
                shared.tally.resets += self.connections.reset(registry);
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTENER => self.connections.accept(now, shared, registry),
                    FRONT => self.datagrams.take_front(now, shared, registry),
                    Token(token) if token % 2 == 0 => self.datagrams.take_back(token, now, shared),
                    Token(token) => self.connections.look(token, event),
                }
            }
            self.datagrams.deliver(now);
            self.connections.carry(now, shared, registry);
        }
    }
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
