//! Peers of the loop: pairs of plain sockets, each with a window of messages in flight, in one
//! direction.
#![allow(clippy::disallowed_types, reason = "the length of the measurement is read from the clock")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::{BATCH_LEN, Batch, Many, NUMBER_LEN, REGISTER, bind, number_of, send};

/// Maximum attempts of a registration.
const REGISTER_TRIES: usize = 50;
/// Time to wait for the echo of each attempt.
const REGISTER_WAIT: Duration = Duration::from_millis(100);
/// Time without a message after which a pair has lost its window, and fills it again.
const SILENT: Duration = Duration::from_millis(200);
/// Maximum events of one poll.
const EVENTS_LEN: usize = 256;

/// Load that the peers put on the loop.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Shape {
    /// Number of pairs of peers.
    pub(in super::super) pairs: usize,
    /// Messages that each pair keeps in flight.
    pub(in super::super) window: usize,
    /// Message length in bytes.
    pub(in super::super) size: usize,
}

/// Messages carried in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Carried {
    /// Messages that arrived.
    pub(in super::super) messages: u64,
    /// Windows that were filled again because nothing arrived.
    pub(in super::super) stalls: u64,
}

/// Loads the loop at `server`: first uncounted for `warm_up`, then counted for `time`. Calls `mark`
/// before and after the counted time.
///
/// # Errors
/// Socket errors; `TimedOut` if no server answers.
pub(in super::super) fn measure<E: From<io::Error>>(
    server: SocketAddr,
    shape: Shape,
    (warm_up, time): (Duration, Duration),
    mut mark: impl FnMut() -> Result<(), E>,
) -> Result<Carried, E> {
    let mut load = Load::open(server, shape)?;
    load.fill_all();
    load.run(Instant::now() + warm_up)?;
    let before = load.carried;
    mark()?;
    load.run(Instant::now() + time)?;
    mark()?;
    let after = load.carried;
    Ok(Carried { messages: after.messages - before.messages, stalls: after.stalls - before.stalls })
}

struct Pair {
    sender: UdpSocket,
    receiver: mio::net::UdpSocket,
    /// The one message that it sends repeatedly.
    message: Vec<u8>,
    last_heard: Instant,
}

struct Load {
    poll: Poll,
    pairs: Vec<Pair>,
    window: usize,
    batch: Batch,
    /// Pairs that received something in this round, each with its number of messages.
    passed: Vec<(usize, usize)>,
    carried: Carried,
}

impl Load {
    fn open(server: SocketAddr, shape: Shape) -> io::Result<Load> {
        let poll = Poll::new()?;
        let mut pairs = Vec::new();
        for place in 0..shape.pairs {
            let number = place as u32;
            let mut receiver = mio::net::UdpSocket::from_std(registered(server, number)?);
            poll.registry().register(&mut receiver, Token(place), Interest::READABLE)?;
            let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            sender.connect(server)?;
            sender.set_nonblocking(true)?;
            let mut message = number.to_be_bytes().to_vec();
            message.resize(shape.size.max(NUMBER_LEN), b'.');
            pairs.push(Pair { sender, receiver, message, last_heard: Instant::now() });
        }
        let batch = Batch::new();
        let carried = Carried::default();
        Ok(Load { poll, pairs, window: shape.window, batch, passed: Vec::new(), carried })
    }

    fn fill_all(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.send(self.window));
    }

    fn run(&mut self, until: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_LEN);
        let mut look = Instant::now() + SILENT;
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            if now >= look {
                self.fill_silent(now);
                look = now + SILENT;
            }
            let timeout = until.min(look).saturating_duration_since(now);
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                let place = event.token().0;
                self.passed.push((place, self.pairs[place].take(&mut self.batch, now)?));
            }
            // As with a relay's members: all of a round have received before the first of them
            // sends.
            for (place, passed) in self.passed.drain(..) {
                self.pairs[place].send(passed);
                self.carried.messages += passed as u64;
            }
        }
    }

    fn fill_silent(&mut self, now: Instant) {
        for pair in self.pairs.iter_mut().filter(|pair| now - pair.last_heard >= SILENT) {
            pair.last_heard = now;
            pair.send(self.window);
            self.carried.stalls += 1;
        }
    }
}

impl Pair {
    /// Receives all pending messages. Returns their number; each is followed by another.
    fn take(&mut self, batch: &mut Batch, now: Instant) -> io::Result<usize> {
        let mut passed = 0;
        loop {
            let came = match batch.receive(&self.receiver) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(passed),
                Err(error) => return Err(error),
            };
            let whole =
                batch.datagrams().filter(|(_, datagram)| *datagram == self.message.as_slice()).count();
            self.last_heard = now;
            passed += whole;
            if came < BATCH_LEN {
                return Ok(passed);
            }
        }
    }

    fn send(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let some: Many<_> = (0..left.min(BATCH_LEN)).map(|_| (None, self.message.as_slice())).collect();
            // Messages that cannot be sent count as lost; `fill_silent` replaces a lost window.
            left -= send(&self.sender, &some).map_or(left, |sent| sent.max(1));
        }
    }
}

/// Returns a socket that is registered with the loop under `number`.
fn registered(server: SocketAddr, number: u32) -> io::Result<UdpSocket> {
    let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(REGISTER_WAIT))?;
    let wanted = number | REGISTER;
    let mut answer = [0; NUMBER_LEN];
    for _ in 0..REGISTER_TRIES {
        socket.send(&wanted.to_be_bytes())?;
        if socket.recv(&mut answer).is_ok() && number_of(&answer) == Some(wanted) {
            socket.set_nonblocking(true)?;
            return Ok(socket);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::forward;
    use super::*;

    #[test]
    fn messages_circulate_through_loop() {
        let (addr_sender, addr_receiver) = channel();
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            forward("127.0.0.1:0".parse().unwrap(), |addr| addr_sender.send(addr).map_err(io::Error::other))
        });
        let shape = Shape { pairs: 3, window: 70, size: 100 };
        let mut load = Load::open(addr_receiver.recv().unwrap(), shape).unwrap();
        load.fill_all();
        while load.carried.messages < 10_000 {
            load.run(Instant::now() + Duration::from_millis(10)).unwrap();
        }
        assert!(load.carried.messages >= 10_000);
    }
}
