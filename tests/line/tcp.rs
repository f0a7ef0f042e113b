//! Connections. Each is continued by a connection of the line to the relay, both ways, in order.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Registry, Token};
use socket2::SockRef;

use super::{BOTH, FIRST, LISTENER, Shared};

/// Bytes in transit in one direction. Beyond this the line does not read from the sender.
const ON_THE_WAY_MAX: usize = 1 << 20;
/// Interval between attempts to deliver data that a socket did not take. 20 ms is short next to the
/// delays of tests, and long enough not to spin.
const AGAIN: Duration = Duration::from_millis(20);

/// One direction of a connection.
#[derive(Default)]
struct Way {
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the sender ended this direction.
    ended: Option<Instant>,
    shut: bool,
}

/// A connection: the client's socket, and the line's socket to the relay.
struct Connection {
    ends: [TcpStream; 2],
    /// From the client to the relay, and back.
    ways: [Way; 2],
    /// Data of the client arrives no earlier.
    open_at: Instant,
    broken: bool,
}

pub struct Connections {
    listener: TcpListener,
    relay: SocketAddr,
    /// By the number in the tokens.
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

    /// Accepts clients. If the relay cannot be reached, the client's connection is reset.
    pub fn accept(&mut self, now: Instant, shared: &mut Shared, registry: &Registry) {
        while let Ok((client, _)) = self.listener.accept() {
            let Ok(server) = TcpStream::connect(self.relay) else { continue };
            let mut ends = [client, server];
            for (side, end) in ends.iter_mut().enumerate() {
                let _ = end.set_nodelay(true);
                // Dropping a socket resets its connection. One that ends in good order is shut down
                // first.
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

    /// Notes an error on the connection of this token. `carry` handles all connections.
    pub fn look(&mut self, token: usize, event: &Event) {
        if let Some(connection) = self.open.get_mut(&((token - FIRST) / 4)) {
            connection.broken |= event.is_error();
        }
    }

    /// Resets all connections. Returns their number.
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
        // Overdue data waits for a socket to take it, or for the end of a stall.
        let now = Instant::now();
        dues.map(|due| if due > now { due } else { now + AGAIN }).min()
    }

    /// Reads the data that has arrived and writes the data that is due.
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
            let connection = self.open.remove(&number).expect("the loop above found it");
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

/// The socket is not ready, or not yet connected.
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
