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
const IN_FLIGHT_MAX: usize = 1 << 20;
/// Interval between attempts to deliver data that a socket did not take. 20 ms is short next to the
/// delays of tests, and long enough not to spin.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the sender ended this direction.
    ended: Option<Instant>,
    shut: bool,
}

/// A connection: the client's socket, and the line's socket to the relay.
struct Connection {
    ends: [TcpStream; 2],
    /// From the client to the relay, and back.
    pipes: [Pipe; 2],
    /// Data of the client arrives no earlier.
    open_at: Instant,
    broken: bool,
}

pub struct TcpForwarder {
    listener: TcpListener,
    relay: SocketAddr,
    /// By the number in the tokens.
    open: BTreeMap<usize, Connection>,
    numbers: usize,
}

impl TcpForwarder {
    pub fn open(addr: SocketAddr, relay: SocketAddr, poll: &Poll) -> io::Result<TcpForwarder> {
        let mut listener = TcpListener::bind(addr)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(TcpForwarder { listener, relay, open: BTreeMap::new(), numbers: 0 })
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
            let open_at = now + 2 * shared.conditions.tcp_delay;
            let pipes = Default::default();
            self.open.insert(self.numbers, Connection { ends, pipes, open_at, broken: false });
            self.numbers += 1;
            shared.counts.connections += 1;
        }
    }

    /// Notes an error on the connection of this token. `carry` handles all connections.
    pub fn handle_event(&mut self, token: usize, event: &Event) {
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
        let dues = self.open.values().flat_map(|c| &c.pipes).filter_map(|pipe| {
            let first = pipe.in_flight.front().map(|(at, _)| *at);
            first.or(pipe.ended.filter(|_| !pipe.shut))
        });
        // Overdue data waits for a socket to take it, or for the end of a stall.
        let now = Instant::now();
        dues.map(|due| if due > now { due } else { now + RETRY_AFTER }).min()
    }

    /// Reads the data that has arrived and writes the data that is due.
    pub fn forward(&mut self, now: Instant, shared: &Shared, registry: &Registry) {
        let delay = shared.conditions.tcp_delay;
        let stalled = shared.conditions.stalled;
        let mut stopped = Vec::new();
        for (number, connection) in &mut self.open {
            connection.take(now, delay);
            if !stalled {
                connection.write_due(now);
            }
            if connection.broken || connection.pipes.iter().all(|pipe| pipe.shut) {
                stopped.push(*number);
            }
        }
        for number in stopped {
            let connection = self.open.remove(&number).expect("the loop above found it");
            connection.close(registry);
        }
    }
}

impl Connection {
    fn take(&mut self, now: Instant, delay: Duration) {
        let mut bytes = [0; 16 * 1024];
        for (side, pipe) in self.pipes.iter_mut().enumerate() {
            let due = if side == 0 { now.max(self.open_at) + delay } else { now + delay };
            while pipe.ended.is_none() && pipe.bytes < IN_FLIGHT_MAX {
                match self.ends[side].read(&mut bytes) {
                    Ok(0) => pipe.ended = Some(due),
                    Ok(len) => {
                        pipe.in_flight.push_back((due, bytes[..len].to_vec()));
                        pipe.bytes += len;
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

    fn write_due(&mut self, now: Instant) {
        for (side, pipe) in self.pipes.iter_mut().enumerate() {
            let to = &mut self.ends[1 - side];
            while let Some((_, bytes)) = pipe.in_flight.front_mut().filter(|(due, _)| *due <= now) {
                match to.write(bytes) {
                    Ok(len) => {
                        pipe.bytes -= len;
                        bytes.drain(..len);
                        if bytes.is_empty() {
                            pipe.in_flight.pop_front();
                        }
                    }
                    Err(error) if would_block(&error) => break,
                    Err(_) => {
                        self.broken = true;
                        return;
                    }
                }
            }
            if pipe.in_flight.is_empty() && !pipe.shut && pipe.ended.is_some_and(|at| at <= now) {
                pipe.shut = true;
                let _ = to.shutdown(Shutdown::Write);
            }
        }
    }

    fn close(mut self, registry: &Registry) {
        self.ends.iter_mut().for_each(|end| registry.deregister(end).unwrap());
        if self.pipes.iter().all(|pipe| pipe.shut) {
            self.ends.iter().for_each(|end| SockRef::from(end).set_linger(None).unwrap());
        }
    }
}

/// The socket is not ready, or not yet connected.
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
