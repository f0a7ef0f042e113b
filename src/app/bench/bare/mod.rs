//! The least a server over UDP does: a loop of `recvmmsg` and `sendmmsg` that moves datagrams between registered peers,
//! and the peers that keep it busy.
//!
//! A datagram begins with the number of the peer it is for, in four bytes; with the highest bit set it registers its
//! sender under the number in the rest, and is sent back. Nothing is sealed, acknowledged, ordered or sent again.
//!
//! It must not know: letters, relays. Invariant: one datagram into the loop and one out of it for each message.

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

/// Datagrams of one call: more gain nothing.
const BATCH_LEN: usize = 64;
/// The number at the beginning of a datagram.
const NUMBER_LEN: usize = 4;
/// The bit that registers.
const REGISTER: u32 = 1 << 31;
/// The longest message: what fits one packet of a relay too.
const MESSAGE_LEN_MAX: usize = crate::wire::limits::UDP_PACKET_MAX;
/// Receive buffer of the loop's socket, as a relay asks for it; the system may give less.
const SOCKET_BUFFER: usize = 8 * 1024 * 1024;

/// Room for one batch.
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

    /// Receives what is there, at most a batch, and waits for the first if the socket does.
    fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        self.received.clear();
        let mut rooms = self.bytes.chunks_exact_mut(MESSAGE_LEN_MAX);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH_LEN] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().expect("there is room for a batch"))]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages = recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None)?;
        let received = messages.map(|message| {
            let from = message.address.map_or(SocketAddrV4::new(0.into(), 0), SocketAddrV4::from);
            Received { from, len: message.bytes }
        });
        self.received.extend(received);
        Ok(self.received.len())
    }

    /// The datagrams received last.
    fn datagrams(&self) -> impl Iterator<Item = (SocketAddrV4, &[u8])> {
        let rooms = self.bytes.chunks_exact(MESSAGE_LEN_MAX);
        self.received.iter().zip(rooms).map(|(received, room)| (received.from, &room[..received.len]))
    }
}

type Many<T> = SmallVec<[T; BATCH_LEN]>;

/// Sends datagrams, at most a batch, each to its address or where the socket is connected to: how many left.
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

/// The number a datagram begins with.
fn number_of(datagram: &[u8]) -> Option<u32> {
    datagram.first_chunk().map(|number| u32::from_be_bytes(*number))
}

/// A datagram of so many bytes that the loop sends back to where it came from; those with higher numbers share lower ones.
pub(super) fn registering<const LEN: usize>(number: u32) -> [u8; LEN] {
    let mut datagram = [0; LEN];
    datagram[..NUMBER_LEN].copy_from_slice(&((number % forward::PEERS_MAX as u32) | REGISTER).to_be_bytes());
    datagram
}

/// A socket whose receive buffer is as large as the system allows.
fn bind(addr: std::net::SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addr)?;
    // Less is what a system gives that allows no more.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER);
    Ok(socket)
}
