//! Connections: each is carried on by one of our own to the relay, both ways, in order.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Registry, Token};
use socket2::SockRef;

use super::{BOTH, FIRST, LISTENER, Shared};

/// Bytes of one direction on their way at once; beyond it the sender is not read.
const ON_THE_WAY_MAX: usize = 1 << 20;
/// Connections that were not accepted wait so long to be looked at again.
const AGAIN: Duration = Duration::from_millis(20);

/// One direction of a connection.
#[derive(Default)]
struct Way {
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Nothing more comes: since when.
    ended: Option<Instant>,
    shut: bool,
}

/// A connection: the client's socket, and ours to the relay.
struct Connection {
    ends: [TcpStream; 2],
    /// From the client to the relay, and back.
    ways: [Way; 2],
    /// What the client says comes no earlier.
    open_at: Instant,
    broken: bool,
}

pub struct Connections {
    listener: TcpListener,
    relay: SocketAddr,
    /// By the number in their tokens.
    open: BTreeMap<usize, Connection>,
    numbers: usize,
}

impl Connections {
    pub fn open(addr: SocketAddr, relay: SocketAddr, poll: &Poll) -> io::Result<Connections> {
        let mut listener = TcpListener::bind(addr)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Connections { listener, relay, open: BTreeMap::new(), numbers: 0 })
    }

    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes clients; one for whom there is no relay is reset.
    pub fn accept(&mut self, now: Instant, shared: &mut Shared, registry: &Registry) {
        while let Ok((client, _)) = self.listener.accept() {
            let Ok(server) = TcpStream::connect(self.relay) else { continue };
            let mut ends = [client, server];
            for (side, end) in ends.iter_mut().enumerate() {
                let _ = end.set_nodelay(true);
                // Whoever lets go of a socket resets its connection; a connection that ends well is shut down first.
                SockRef::from(&*end).set_linger(Some(Duration::ZERO)).unwrap();
                let token = Token(FIRST + 4 * self.numbers + 1 + 2 * side);
                registry.register(end, token, BOTH).unwrap();
            }
            let open_at = now + 2 * shared.weather.tcp_delay;
            let ways = Default::default();
            self.open.insert(self.numbers, Connection { ends, ways, open_at, broken: false });
            self.numbers += 1;
            shared.tally.connections += 1;
        }
    }

    /// Something has happened to the connection of this token; all of them are looked at by `carry`.
    pub fn look(&mut self, token: usize, event: &Event) {
        if let Some(connection) = self.open.get_mut(&((token - FIRST) / 4)) {
            connection.broken |= event.is_error();
        }
    }

    /// Resets all; how many.
    pub fn reset(&mut self, registry: &Registry) -> u64 {
        let open = std::mem::take(&mut self.open);
        let many = open.len() as u64;
        open.into_values().for_each(|connection| connection.close(registry));
        many
    }

    pub fn next_due(&self) -> Option<Instant> {
        let dues = self.open.values().flat_map(|c| &c.ways).filter_map(|way| {
            let first = way.on_the_way.front().map(|(at, _)| *at);
            first.or(way.ended.filter(|_| !way.shut))
        });
        // What is overdue waits for a socket to take it, or for the line to move again.
        let now = Instant::now();
        dues.map(|due| if due > now { due } else { now + AGAIN }).min()
    }

    /// Takes what has come and hands over what is due.
    pub fn carry(&mut self, now: Instant, shared: &Shared, registry: &Registry) {
        let delay = shared.weather.tcp_delay;
        let stalled = shared.weather.stalled;
        let mut over = Vec::new();
        for (number, connection) in &mut self.open {
            connection.take(now, delay);
            if !stalled {
                connection.hand_over(now);
            }
            if connection.broken || connection.ways.iter().all(|way| way.shut) {
                over.push(*number);
            }
        }
        for number in over {
            let connection = self.open.remove(&number).expect("it was just seen");
            connection.close(registry);
        }
    }
}

impl Connection {
    fn take(&mut self, now: Instant, delay: Duration) {
        let mut bytes = [0; 16 * 1024];
        for (side, way) in self.ways.iter_mut().enumerate() {
            let due = if side == 0 { now.max(self.open_at) + delay } else { now + delay };
            while way.ended.is_none() && way.bytes < ON_THE_WAY_MAX {
                match self.ends[side].read(&mut bytes) {
                    Ok(0) => way.ended = Some(due),
                    Ok(len) => {
                        way.on_the_way.push_back((due, bytes[..len].to_vec()));
                        way.bytes += len;
                    }
                    Err(error) if would_block(&error) => break,
                    Err(_) => {
                        self.broken = true;
                        return;
                    }
                }
            }
        }
    }

    fn hand_over(&mut self, now: Instant) {
        for (side, way) in self.ways.iter_mut().enumerate() {
            let to = &mut self.ends[1 - side];
            while let Some((_, bytes)) = way.on_the_way.front_mut().filter(|(due, _)| *due <= now) {
                match to.write(bytes) {
                    Ok(len) => {
                        way.bytes -= len;
                        bytes.drain(..len);
                        if bytes.is_empty() {
                            way.on_the_way.pop_front();
                        }
                    }
                    Err(error) if would_block(&error) => break,
                    Err(_) => {
                        self.broken = true;
                        return;
                    }
                }
            }
            if way.on_the_way.is_empty() && !way.shut && way.ended.is_some_and(|at| at <= now) {
                way.shut = true;
                let _ = to.shutdown(Shutdown::Write);
            }
        }
    }

    fn close(mut self, registry: &Registry) {
        self.ends.iter_mut().for_each(|end| registry.deregister(end).unwrap());
        if self.ways.iter().all(|way| way.shut) {
            self.ends.iter().for_each(|end| SockRef::from(end).set_linger(None).unwrap());
        }
    }
}

/// Not now, or not yet connected.
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
