//! One UDP socket for many local addresses. Each member of a benchmark gets its own address in
//! 127/8, as clients do on a network, without a file descriptor for each.
#![allow(clippy::disallowed_types, reason = "the only layer that waits")]

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::bind;
use super::clock::SystemClock;
use crate::base::{Now, Phrase, Tick};
use crate::wire::limits::UDP_PACKET_MAX;

/// Maximum receives in one system call.
const BATCH_LEN: usize = 32;
/// Buffer size of one receive, in bytes. GRO merges up to 64 datagrams into one.
const RECEIVE_LEN: usize = 64 * UDP_PACKET_MAX;
/// Batches received before the clock is read again.
const BATCHES_MAX: usize = 8;

/// A socket bound to every IPv4 address of the machine.
pub struct MultiAddrSocket {
    poll: Poll,
    events: Events,
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    clock: SystemClock,
    bytes: Vec<u8>,
}

impl MultiAddrSocket {
    /// Binds the socket to a free port.
    ///
    /// # Errors
    /// Returns `cannot-start` with the system's cause.
    pub fn bind() -> Result<MultiAddrSocket, Phrase> {
        let cannot = |error: io::Error| Phrase::new("cannot-start").with("cause", error);
        let mut socket = bind::bind_udp((Ipv4Addr::UNSPECIFIED, 0).into()).map_err(cannot)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).map_err(cannot)?;
        let poll = Poll::new().map_err(cannot)?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).map_err(cannot)?;
        let events = Events::with_capacity(1);
        let bytes = vec![0; BATCH_LEN * RECEIVE_LEN];
        let clock = SystemClock::new();
        Ok(MultiAddrSocket { poll, events, socket, state, clock, bytes })
    }

    /// Waits until a datagram arrives or `until` has come, at most 1 s, and reads the clocks.
    pub fn wait(&mut self, until: Tick) -> Now {
        let span = until.since(self.clock.tick()).min(Duration::from_secs(1));
        // A signal ends the wait early, which is not an error.
        let _ = self.poll.poll(&mut self.events, Some(span));
        self.clock.now()
    }

    /// Sends a datagram from one of the machine's addresses. A datagram that the system does not
    /// take is lost, as on a network.
    pub fn send(&self, from: Ipv4Addr, to: SocketAddr, bytes: &[u8]) {
        let src_ip = Some(IpAddr::V4(from));
        let transmit = Transmit { destination: to, ecn: None, contents: bytes, segment_size: None, src_ip };
        let _ = self.socket.try_io(|| self.state.try_send(UdpSockRef::from(&self.socket), &transmit));
    }

    /// Passes each waiting datagram to `each`, with its destination address. Returns `true` if
    /// there may be more.
    pub fn receive(&mut self, mut each: impl FnMut(Ipv4Addr, &mut [u8])) -> bool {
        for _ in 0..BATCHES_MAX {
            let mut metas = [RecvMeta::default(); BATCH_LEN];
            let mut chunks = self.bytes.chunks_exact_mut(RECEIVE_LEN);
            let mut slices: [IoSliceMut<'_>; BATCH_LEN] = std::array::from_fn(|_| {
                IoSliceMut::new(chunks.next().expect("the buffer has BATCH_LEN chunks"))
            });
            let socket = &self.socket;
            let state = &self.state;
            let received = socket.try_io(|| state.recv(UdpSockRef::from(socket), &mut slices, &mut metas));
            let Ok(count) = received else { return false };
            for (meta, buf) in metas[..count].iter().zip(self.bytes.chunks_exact_mut(RECEIVE_LEN)) {
                let Some(IpAddr::V4(to)) = meta.dst_ip else { continue };
                buf[..meta.len].chunks_mut(meta.stride.max(1)).for_each(|datagram| each(to, datagram));
            }
        }
        true
    }
}

impl fmt::Debug for MultiAddrSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_sends_and_receives_for_itself() {
        let mut socket = MultiAddrSocket::bind().unwrap();
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mine = [Ipv4Addr::new(127, 9, 8, 7), Ipv4Addr::new(127, 200, 0, 1)];
        for from in mine {
            socket.send(from, other.local_addr().unwrap(), &from.octets());
            let mut bytes = [0; 9];
            let (len, addr) = other.recv_from(&mut bytes).unwrap();
            assert_eq!(addr.ip(), from);
            assert_eq!(bytes[..len], from.octets());
            other.send_to(b"back", addr).unwrap();
        }
        let mut received = Vec::new();
        let end = socket.clock.tick() + Duration::from_secs(10);
        while received.len() < 2 && socket.wait(end).tick < end {
            socket.receive(|to, bytes| received.push((to, bytes.to_vec())));
        }
        assert_eq!(received, mine.map(|to| (to, b"back".to_vec())));
    }
}
