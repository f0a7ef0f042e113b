//! The least that a UDP server can do: a loop of `recvmmsg` and `sendmmsg` that moves datagrams
//! between registered peers. Includes the peers that keep it busy.
//!
//! A datagram begins with the number of its recipient, in four bytes. If the highest bit is set, it
//! registers its sender under the number in the other bits, and is echoed. Nothing is encrypted,
//! acknowledged, ordered, or retransmitted.
//!
//! Must not depend on: letters, relays. Invariant: one datagram into the loop and one out of it for
//! each message.

mod forward;
mod peers;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use smallvec::SmallVec;

pub(super) use forward::forward;
pub(super) use peers::{Carried, Shape, measure};

/// Maximum datagrams of one system call: more gain nothing.
const BATCH_LEN: usize = 64;
/// Length of the number at the beginning of a datagram, in bytes.
const NUMBER_LEN: usize = 4;
/// Bit that marks a registration.
const REGISTER: u32 = 1 << 31;
/// Maximum message length in bytes: that of a relay's packet.
const MESSAGE_LEN_MAX: usize = crate::wire::limits::UDP_PACKET_MAX;
/// Receive buffer of the loop's socket, in bytes: as large as a relay's. The system may grant less.
const SOCKET_BUFFER: usize = 8 * 1024 * 1024;

/// Buffers for one batch.
struct Batch {
    headers: MultiHeaders<SockaddrIn>,
    bytes: Vec<u8>,
    received: SmallVec<[Received; BATCH_LEN]>,
}

#[derive(Clone, Copy)]
struct Received {
    from: SocketAddrV4,
    len: usize,
}

impl Batch {
    fn new() -> Batch {
        Batch {
            headers: MultiHeaders::preallocate(BATCH_LEN, None),
            bytes: vec![0; BATCH_LEN * MESSAGE_LEN_MAX],
            received: SmallVec::new(),
        }
    }

    /// Receives available datagrams, at most a batch. Waits for the first if the socket is
    /// blocking.
    fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        self.received.clear();
        let mut buffers = self.bytes.chunks_exact_mut(MESSAGE_LEN_MAX);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH_LEN] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().expect("there is a buffer for each"))]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages = recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None)?;
        let received = messages.map(|message| {
            let from = message.address.map_or(SocketAddrV4::new(0.into(), 0), SocketAddrV4::from);
            Received { from, len: message.bytes }
        });
        self.received.extend(received);
        Ok(self.received.len())
    }

    /// Returns the datagrams received last.
    fn datagrams(&self) -> impl Iterator<Item = (SocketAddrV4, &[u8])> {
        let buffers = self.bytes.chunks_exact(MESSAGE_LEN_MAX);
        self.received.iter().zip(buffers).map(|(received, buffer)| (received.from, &buffer[..received.len]))
    }
}

type Many<T> = SmallVec<[T; BATCH_LEN]>;

/// Sends datagrams, at most a batch, each to its address or to the peer that the socket is
/// connected to. Returns how many were sent.
fn send(socket: &impl AsFd, datagrams: &[(Option<&SocketAddrAny>, &[u8])]) -> io::Result<usize> {
    let slices: Many<[IoSlice<'_>; 1]> = datagrams.iter().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
    let mut controls: Many<SendAncillaryBuffer<'_, '_, '_>> =
        datagrams.iter().map(|_| Default::default()).collect();
    let mut messages: Many<MMsgHdr<'_>> = datagrams
        .iter()
        .zip(&slices)
        .zip(&mut controls)
        .map(|(((addr, _), slice), control)| match addr {
            Some(addr) => MMsgHdr::new_with_addr(addr, slice, control),
            None => MMsgHdr::new(slice, control),
        })
        .collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::empty())?)
}

/// Returns the number at the beginning of a datagram.
fn number_of(datagram: &[u8]) -> Option<u32> {
    datagram.first_chunk().map(|number| u32::from_be_bytes(*number))
}

/// Returns a datagram of `LEN` bytes that the loop echoes. Numbers of [`forward::PEERS_MAX`] and
/// above share lower ones.
pub(super) fn registering<const LEN: usize>(number: u32) -> [u8; LEN] {
    let mut datagram = [0; LEN];
    datagram[..NUMBER_LEN].copy_from_slice(&((number % forward::PEERS_MAX as u32) | REGISTER).to_be_bytes());
    datagram
}

/// Binds a socket with a receive buffer as large as the system allows.
fn bind(addr: std::net::SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addr)?;
    // An error leaves the system's default size, which works too.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER);
    Ok(socket)
}
