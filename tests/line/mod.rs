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

use tcp::Connections;
use udp::Datagrams;

/// Tokens of the poll. Connections and flows use the ones above.
const WAKE: Token = Token(0);
const FRONT: Token = Token(1);
const LISTENER: Token = Token(2);
/// Flows have even tokens from here on, and the two sockets of each connection have odd ones.
const FIRST: usize = 4;

/// Treatment of datagrams in one direction. Chances are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    pub loss: u64,
    pub copies: u64,
    /// Chance that a datagram is late, by up to the delay of the others and 10 ms.
    pub reordered: u64,
    pub delay: Duration,
    /// Drops everything.
    pub hole: bool,
    /// Drops longer datagrams; 0 is no limit.
    pub longest: usize,
    /// Datagrams that still pass, of all clients together; the others are dropped.
    pub left: Option<u32>,
}

/// Current behaviour of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    pub up: Lane,
    pub down: Lane,
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

impl Weather {
    /// Returns the same behaviour in both directions.
    pub fn both(lane: Lane) -> Weather {
        Weather { up: lane, down: lane, tcp_delay: lane.delay, ..Weather::default() }
    }

    /// Returns a line without faults, with this round trip.
    pub fn distant(round_trip: Duration) -> Weather {
        Weather::both(Lane { delay: round_trip / 2, ..Lane::default() })
    }

    /// Returns the same behaviour, with all datagrams dropped in these directions.
    #[must_use]
    pub fn with_hole(mut self, up: bool, down: bool) -> Weather {
        self.up.hole = up;
        self.down.hole = down;
        self
    }
}

/// Counts of the traffic and its treatment.
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

/// State shared between the owner of the line and its thread.
#[derive(Debug, Default)]
struct Shared {
    weather: Weather,
    tally: Tally,
    rebind: bool,
    reset: bool,
    over: bool,
}

/// A line that carries traffic until it is dropped.
pub struct Line {
    /// Address for clients, over UDP and TCP.
    pub addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Opens a line to the relay at this address, which may start later. The seed decides the
    /// treatment of each datagram.
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

    /// Replaces the behaviour.
    pub fn set(&self, weather: Weather) {
        self.tell(|shared| shared.weather = weather);
    }

    /// Changes part of the behaviour.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.tell(|shared| change(&mut shared.weather));
    }

    /// Moves each client to another port, as the relay sees it.
    pub fn rebind(&self) {
        self.tell(|shared| shared.rebind = true);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.tell(|shared| shared.reset = true);
    }

    /// Returns the counts so far.
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

/// Ignores poisoning: the panic of the line's thread says more than one about its lock.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens both carriers on one free port.
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
