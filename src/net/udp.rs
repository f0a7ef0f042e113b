//! One UDP socket: batched receiving, sending in GSO and mmsg batches, and ICMP errors.
//!
//! All receiving uses quinn-udp, because with GRO on a plain receive would return several datagrams
//! as one. Would-block on sending fills a bounded queue, which is flushed when the socket is
//! writable again.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::bind;
use super::stats::Stats;
use super::tcp::ReadStop;
use crate::base::{Path, PathError};
use crate::wire::limits::UDP_PACKET_MAX;

/// Maximum receives in one system call.
const BATCH_LEN: usize = 16;
/// Buffer size of one receive, in bytes. GRO merges up to 64 datagrams, and the kernel silently
/// truncates what does not fit. The size also exceeds the largest single datagram (65,507 bytes),
/// so oversized ones are seen whole and dropped.
const RECEIVE_LEN: usize = 64 * UDP_PACKET_MAX;
/// Maximum datagrams in one GSO batch: 54 × 1,200 bytes are just below the 65,507 bytes of a send.
pub(super) const GSO_LEN_MAX: usize = 54;
/// Maximum bytes that wait while the kernel takes none. Beyond it datagrams are dropped, as a
/// router with a full queue would do.
const QUEUE_MAX: usize = 1024 * 1024;
/// Maximum bytes of plain text in one datagram: as long as a datagram can be. The core makes
/// several letters of a long one.
const TEXT_MAX: usize = 65_507;
/// Maximum ICMP errors read in one visit, so that a flood of them does not starve other sources.
const ERRORS_MAX: usize = 64;

const _: () = assert!(GSO_LEN_MAX * UDP_PACKET_MAX <= 65_507 && RECEIVE_LEN > 65_507);

/// The datagrams of one receive, lent one after another. All sockets share it; untouched pages cost
/// no memory.
pub(super) struct RxBatch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_LEN],
    filled: usize,
    /// Index of the receive that holds the next datagram, followed by the offset in it.
    at: usize,
    offset: usize,
    /// Lengths of datagrams that are lent, in bytes.
    fitting: RangeInclusive<usize>,
    /// Local address of the socket that filled this batch.
    local: SocketAddr,
    local_address: LocalAddress,
}

/// Which local address a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocalAddress {
    /// None: the socket has one address, and no other socket serves its family.
    None,
    /// The destination address of each datagram: the socket is bound to every address.
    Asked,
    /// The socket's own: other sockets serve its family.
    Own,
}

/// Destination of a datagram, and the local address it must leave from. `None`: the system chooses
/// the local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dest {
    pub(super) addr: SocketAddr,
    pub(super) from: Option<IpAddr>,
}

impl Dest {
    /// Returns the destination of packets on a path. Returns `None` for a path over TCP.
    pub(super) fn of(path: Path) -> Option<Dest> {
        path.udp_peer().map(|addr| Dest { addr, from: path.local_ip() })
    }
}

impl RxBatch {
    pub(super) fn new(text_too: bool) -> RxBatch {
        let fitting = if text_too { 0..=TEXT_MAX } else { 1..=UDP_PACKET_MAX };
        let metas = [RecvMeta::default(); BATCH_LEN];
        let bytes = vec![0; BATCH_LEN * RECEIVE_LEN];
        let local = SocketAddr::from(([0; 4], 0));
        RxBatch {
            bytes,
            metas,
            filled: 0,
            at: 0,
            offset: 0,
            fitting,
            local,
            local_address: LocalAddress::None,
        }
    }

    /// Returns the source and byte range of the next datagram. Skips datagrams whose length rules
    /// out a packet, and datagrams that claim to come from this socket.
    pub(super) fn next(&mut self, stats: &mut Stats) -> Option<(Path, Range<usize>)> {
        while self.at < self.filled {
            let meta = &self.metas[self.at];
            let begin = self.at * RECEIVE_LEN + self.offset;
            let len = meta.stride.max(1).min(meta.len - self.offset);
            self.offset += len;
            if self.offset >= meta.len {
                self.at += 1;
                self.offset = 0;
            }
            let from = bind::plain(meta.addr);
            if is_own(self.local, from, meta.dst_ip) {
                stats.datagrams_from_self += 1;
            } else if self.fitting.contains(&len) {
                stats.datagrams_in += 1;
                let local_ip = match self.local_address {
                    LocalAddress::None => None,
                    LocalAddress::Asked => meta.dst_ip,
                    LocalAddress::Own => Some(self.local.ip()),
                };
                return Some((Path::udp(from, local_ip), begin..begin + len));
            } else {
                stats.datagrams_misfit += 1;
            }
        }
        None
    }

    pub(super) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }
}

/// Result of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// Accepted by the kernel or the queue.
    Accepted,
    /// Dropped, because kernel and queue are full.
    Dropped,
    /// Refused by the system.
    Refused(PathError),
}

/// A bound socket with its send queue.
pub(super) struct UdpPort {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    local_address: LocalAddress,
    token: Token,
    queue: SendQueue,
    /// Whether all sends wait in the queue for [`UdpPort::flush`].
    pub(super) held: bool,
    /// Whether the poll watches for writability, because the kernel took no more.
    waits_for_room: bool,
    /// Whether the poll reported an error and not all errors have been read.
    pub(super) may_have_errors: bool,
    /// Error of a failed call that may be ICMP's reply to an earlier datagram. It belongs to the
    /// head of the error queue.
    consumed: Option<PathError>,
}

/// Datagrams that wait until the kernel takes them again: at most [`QUEUE_MAX`] bytes.
#[derive(Default)]
struct SendQueue {
    bytes: Vec<u8>,
    sent: usize,
    /// Destination, segment size and length of each send.
    sends: VecDeque<(Dest, usize, usize)>,
}

impl UdpPort {
    pub(super) fn new(
        mut socket: mio::net::UdpSocket,
        registry: &Registry,
        token: Token,
        answers: bool,
    ) -> io::Result<UdpPort> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        if let Err(error) = state.enable_transport_errors(UdpSockRef::from(&socket)) {
            log::debug!("no ICMP errors from this socket: {error}");
        }
        let local = socket.local_addr()?;
        let reports_local = answers && local.ip().is_unspecified();
        let local_address = if reports_local { LocalAddress::Asked } else { LocalAddress::None };
        #[cfg(target_os = "linux")]
        bind::disable_ancillary_data(&socket, reports_local);
        // Not registered for writability: with edges each datagram that leaves the machine would
        // wake the loop.
        registry.register(&mut socket, token, Interest::READABLE)?;
        let queue = SendQueue::default();
        Ok(UdpPort {
            socket,
            state,
            local,
            local_address,
            token,
            queue,
            held: false,
            waits_for_room: false,
            may_have_errors: false,
            consumed: None,
        })
    }

    /// Moves the socket from one poll to another, where its token is `token`.
    pub(super) fn move_to(&mut self, from: &Registry, to: &Registry, token: Token) -> io::Result<()> {
        from.deregister(&mut self.socket)?;
        to.register(&mut self.socket, token, Interest::READABLE)?;
        self.token = token;
        Ok(())
    }

    pub(super) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Names the socket's own address in paths, so that replies leave from it.
    pub(super) fn tell_own_address(&mut self) {
        if self.local_address == LocalAddress::None {
            self.local_address = LocalAddress::Own;
        }
    }

    /// Whether datagrams to `dest` must leave from this socket.
    pub(super) fn is_source_of(&self, dest: Dest) -> bool {
        self.local_address == LocalAddress::Own && dest.from == Some(self.local.ip())
    }

    /// Whether this socket can send to `dest`.
    pub(super) fn reaches(&self, dest: SocketAddr) -> bool {
        match (self.local, dest) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => true,
            (SocketAddr::V6(local), SocketAddr::V4(_)) => local.ip().is_unspecified(),
            (SocketAddr::V4(_), SocketAddr::V6(_)) => false,
        }
    }

    /// Receives the waiting datagrams, up to a batch, into the empty `batch`.
    ///
    /// On Linux one call fills a batch, so a batch that is not full means would-block. Later
    /// datagrams are announced by the poll.
    pub(super) fn receive(&mut self, batch: &mut RxBatch) -> io::Result<ReadStop> {
        batch.filled = 0;
        batch.at = 0;
        batch.offset = 0;
        batch.local = self.local;
        batch.local_address = self.local_address;
        let mut chunks = batch.bytes.chunks_exact_mut(RECEIVE_LEN);
        let mut slices: [IoSliceMut<'_>; BATCH_LEN] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("the buffer has BATCH_LEN chunks")));
        let socket = &self.socket;
        let state = &self.state;
        let received = socket.try_io(|| state.recv(UdpSockRef::from(socket), &mut slices, &mut batch.metas));
        if let Err(error) = &received {
            self.consumed = may_be_of_another(error).then(|| why_refused(error));
        }
        batch.filled = received?;
        let drained = cfg!(target_os = "linux") && batch.filled < BATCH_LEN;
        Ok(if drained { ReadStop::Drained } else { ReadStop::More })
    }

    /// Returns the maximum number of datagrams in one GSO batch.
    pub(super) fn gso_len_max(&self) -> usize {
        self.state.max_gso_segments().min(GSO_LEN_MAX)
    }

    /// Sends adjacent datagrams of `segment` bytes each; the last may be shorter.
    pub(super) fn send(
        &mut self,
        dest: Dest,
        bytes: &[u8],
        segment: usize,
        registry: &Registry,
    ) -> SendOutcome {
        if self.held || !self.queue.sends.is_empty() {
            return self.queue.push(dest, bytes, segment);
        }
        match self.try_send(dest, bytes, segment) {
            Ok(()) => SendOutcome::Accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let sent = self.queue.push(dest, bytes, segment);
                self.wait_for_room(true, registry);
                sent
            }
            Err(error) if is_of_offload(&error) && bytes.len() > segment => {
                let each =
                    bytes.chunks(segment).map(|datagram| self.send(dest, datagram, datagram.len(), registry));
                each.filter(|sent| *sent != SendOutcome::Accepted).last().unwrap_or(SendOutcome::Accepted)
            }
            Err(error) => SendOutcome::Refused(why_refused(&error)),
        }
    }

    /// Sends to many peers in one system call and returns how many datagrams the kernel took
    /// without an error. All must leave from the same local address.
    #[cfg(target_os = "linux")]
    pub(super) fn send_mmsg(&self, bytes: &[u8], mmsg: &[(Dest, Range<usize>)]) -> usize {
        if self.held || !self.queue.sends.is_empty() {
            return 0;
        }
        let mmsg = &mmsg[..mmsg.len().min(super::send::MMSG_LEN_MAX)];
        match mmsg.first().and_then(|(dest, _)| dest.from) {
            Some(from) => self.send_mmsg_from(from, bytes, mmsg),
            None => self.send_mmsg_plain(bytes, mmsg),
        }
    }

    /// Sends from the local address `from`. Uses nix, because rustix cannot set the source address.
    #[cfg(target_os = "linux")]
    fn send_mmsg_from(&self, from: IpAddr, bytes: &[u8], mmsg: &[(Dest, Range<usize>)]) -> usize {
        use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
        use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
        use std::os::fd::AsRawFd;

        const MMSG_LEN: usize = super::send::MMSG_LEN_MAX;
        let addr = |(dest, _): &(Dest, _)| SockaddrStorage::from(bind::for_socket(self.local, dest.addr));
        let piece = |(_, range): &(Dest, Range<usize>)| &bytes[range.clone()];
        let addrs: [Option<SockaddrStorage>; MMSG_LEN] = std::array::from_fn(|at| mmsg.get(at).map(addr));
        let slices: [[io::IoSlice<'_>; 1]; MMSG_LEN] =
            std::array::from_fn(|at| [io::IoSlice::new(mmsg.get(at).map_or(&[], piece))]);
        let (v4, v6);
        let (control, room) = match from {
            IpAddr::V4(ip) => {
                let spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: in_addr { s_addr: 0 } };
                (ControlMessage::Ipv4PacketInfo(&v4), nix::cmsg_space!(in_pktinfo))
            }
            IpAddr::V6(ip) => {
                v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
                (ControlMessage::Ipv6PacketInfo(&v6), nix::cmsg_space!(in6_pktinfo))
            }
        };
        let mut headers = MultiHeaders::preallocate(mmsg.len(), Some(room));
        let fd = self.socket.as_raw_fd();
        let sent = sendmmsg(fd, &mut headers, &slices, addrs, [control], MsgFlags::empty());
        sent.map_or(0, Iterator::count)
    }

    #[cfg(target_os = "linux")]
    fn send_mmsg_plain(&self, bytes: &[u8], mmsg: &[(Dest, Range<usize>)]) -> usize {
        use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
        use smallvec::SmallVec;

        type MmsgBuffers<T> = SmallVec<[T; super::send::MMSG_LEN_MAX]>;
        // Filled in place: `collect` would move each array with its whole capacity, several
        // kilobytes for a few datagrams.
        let mut addrs: MmsgBuffers<SocketAddrAny> = MmsgBuffers::new();
        let mut slices: MmsgBuffers<[io::IoSlice<'_>; 1]> = MmsgBuffers::new();
        let mut controls: MmsgBuffers<SendAncillaryBuffer<'_, '_, '_>> = MmsgBuffers::new();
        let mut messages: MmsgBuffers<MMsgHdr<'_>> = MmsgBuffers::new();
        for (dest, range) in mmsg {
            addrs.push(bind::for_socket(self.local, dest.addr).into());
            slices.push([io::IoSlice::new(&bytes[range.clone()])]);
            controls.push(SendAncillaryBuffer::default());
        }
        for ((addr, slice), control) in addrs.iter().zip(&slices).zip(&mut controls) {
            messages.push(MMsgHdr::new_with_addr(addr, slice, control));
        }
        rustix::net::sendmmsg(&self.socket, &mut messages, SendFlags::empty()).unwrap_or(0)
    }

    /// Sends the queue, as far as the kernel takes it.
    pub(super) fn flush(&mut self, registry: &Registry, mut refused: impl FnMut(SocketAddr, PathError)) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.drain(|dest, bytes, segment| self.try_send(dest, bytes, segment), &mut |dest, error| {
            refused(dest.addr, error)
        });
        self.queue = queue;
        self.wait_for_room(!self.queue.sends.is_empty(), registry);
    }

    /// Reads pending ICMP errors and reports the destination and cause of each. Returns `true` if
    /// there may be more.
    ///
    /// The error queue names the destination. The socket's pending error belongs to the head of
    /// that queue and gives the cause.
    #[cfg(target_os = "linux")]
    pub(super) fn take_errors(&mut self, mut refused: impl FnMut(SocketAddr, PathError)) -> bool {
        use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};

        for _ in 0..ERRORS_MAX {
            let pending = self.socket.take_error().ok().flatten().map(|error| why_refused(&error));
            let consumed = self.consumed.take();
            let mut byte = [0];
            let mut control = RecvAncillaryBuffer::default();
            let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
            let Ok(message) = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)
            else {
                return false;
            };
            if let Some(dest) = message.address.and_then(|addr| SocketAddr::try_from(addr).ok()) {
                refused(bind::plain(dest), consumed.or(pending).unwrap_or(PathError::Unreachable));
            }
        }
        true
    }

    /// Reports no destination: outside Linux an unconnected socket receives no ICMP errors.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn take_errors(&mut self, _: impl FnMut(SocketAddr, PathError)) -> bool {
        let _ = (ERRORS_MAX, self.socket.take_error(), self.consumed.take());
        false
    }

    /// Sends once more if a refusal may be ICMP's reply to an earlier datagram, perhaps to another
    /// peer. Reading that error clears it, and the error queue names its destination, so the second
    /// result counts.
    fn try_send(&mut self, dest: Dest, bytes: &[u8], segment: usize) -> io::Result<()> {
        match self.try_send_from(dest.from, dest.addr, bytes, segment) {
            // The machine has lost that address, or it never was an address that datagrams leave
            // from.
            Err(error) if dest.from.is_some() && is_of_source(&error) => {
                self.try_send_from(None, dest.addr, bytes, segment)
            }
            sent => sent,
        }
    }

    fn try_send_from(
        &mut self,
        src_ip: Option<IpAddr>,
        addr: SocketAddr,
        bytes: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let segment_size = (bytes.len() > segment).then_some(segment);
        let destination = bind::for_socket(self.local, addr);
        let transmit = Transmit { destination, ecn: None, contents: bytes, segment_size, src_ip };
        let socket = &self.socket;
        let state = &self.state;
        let send = || socket.try_io(|| state.try_send(UdpSockRef::from(socket), &transmit));
        match send() {
            Err(error) if may_be_of_another(&error) => {
                let sent = send();
                let cleared = !sent.as_ref().is_err_and(may_be_of_another);
                self.consumed = cleared.then(|| why_refused(&error));
                sent
            }
            sent => sent,
        }
    }

    fn wait_for_room(&mut self, waits: bool, registry: &Registry) {
        if std::mem::replace(&mut self.waits_for_room, waits) == waits {
            return;
        }
        let interest = Interest::READABLE;
        let interest = if waits { interest | Interest::WRITABLE } else { interest };
        registry.reregister(&mut self.socket, self.token, interest).expect("the socket is registered");
    }
}

impl SendQueue {
    fn push(&mut self, dest: Dest, bytes: &[u8], segment: usize) -> SendOutcome {
        if self.bytes.len() - self.sent + bytes.len() > QUEUE_MAX {
            return SendOutcome::Dropped;
        }
        if self.sent > QUEUE_MAX / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.sends.push_back((dest, segment, bytes.len()));
        SendOutcome::Accepted
    }

    /// Sends the queue until the socket would block. A GSO batch that the device cannot split is
    /// sent as single datagrams.
    fn drain(
        &mut self,
        mut try_send: impl FnMut(Dest, &[u8], usize) -> io::Result<()>,
        refused: &mut impl FnMut(Dest, PathError),
    ) {
        while let Some((dest, segment, len)) = self.sends.front().copied() {
            match try_send(dest, &self.bytes[self.sent..self.sent + len], segment) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_offload(&error) && len > segment => {
                    self.cut_first();
                    continue;
                }
                Err(error) => refused(dest, why_refused(&error)),
                Ok(()) => {}
            }
            self.pop();
        }
    }

    /// Splits the first send into one send for each of its datagrams.
    fn cut_first(&mut self) {
        let Some((dest, segment, len)) = self.sends.pop_front() else { return };
        for start in (0..len).step_by(segment.max(1)).rev() {
            let datagram_len = segment.min(len - start);
            self.sends.push_front((dest, datagram_len, datagram_len));
        }
    }

    fn pop(&mut self) {
        if let Some((_, _, len)) = self.sends.pop_front() {
            self.sent += len;
        }
        if self.sends.is_empty() {
            *self = SendQueue::default();
        }
    }
}

/// Whether a GSO batch failed because the device cannot split it, or not on this route (EIO, EINVAL
/// or EMSGSIZE). quinn-udp stops using GSO after the first two failures, but returns the error of
/// the failed send.
fn is_of_offload(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::INVAL | Errno::MSGSIZE))
}

/// Whether a send may have failed because of the local address it was to leave from.
fn is_of_source(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NETUNREACH))
}

/// Whether a datagram claims to come from the socket bound to `local`. It is then forged, and a
/// reply would arrive as the next datagram. `dest` is its destination address, if the system
/// reports it. A socket bound to every address owns that one and all of loopback.
fn is_own(local: SocketAddr, from: SocketAddr, dest: Option<IpAddr>) -> bool {
    let is_any = local.ip().is_unspecified();
    let is_dest = dest.is_some_and(|dest| dest.to_canonical() == from.ip());
    from.port() == local.port()
        && (from.ip() == local.ip().to_canonical() || is_any && (is_dest || from.ip().is_loopback()))
}

fn may_be_of_another(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Converts the error of a failed send or connection to the cause that a core sees.
pub(super) fn why_refused(error: &io::Error) -> PathError {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => PathError::Refused,
        Some(Errno::NOBUFS | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => PathError::NoRoom,
        Some(Errno::TIMEDOUT) => PathError::TimedOut,
        Some(Errno::CONNRESET | Errno::PIPE) => PathError::Reset,
        Some(Errno::PERM | Errno::ACCESS) => PathError::NotPermitted,
        Some(Errno::MSGSIZE) => PathError::TooBig,
        _ => PathError::Unreachable,
    }
}

#[cfg(test)]
mod tests;
