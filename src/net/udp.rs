//! One UDP socket: batches in, trains and fans out, and what ICMP says.
//!
//! Everything is received through quinn-udp, because with GRO on a plain receive would return several datagrams
//! as one. Would-block on sending fills a bounded queue that empties when the socket is writable again.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::bind;
use super::stats::Stats;
use super::tcp::ReadEnd;
use crate::base::{Path, Why};
use crate::wire::limits::UDP_PACKET_MAX;

/// Receives in one system call.
const BATCH_LEN: usize = 16;
/// Room for one receive, in bytes: GRO merges up to 64 datagrams, and cuts off in silence what does not fit. It is
/// also more than the largest single datagram, 65,507 bytes, so oversize ones are seen whole and dropped.
const RECEIVE_LEN: usize = 64 * UDP_PACKET_MAX;
/// Datagrams in one train: 54 × 1,200 bytes are just below the 65,507 a send may carry.
pub(super) const TRAIN_LEN_MAX: usize = 54;
/// Bytes that wait while the kernel takes none; beyond it datagrams are dropped, as a full router would.
const QUEUE_MAX: usize = 1024 * 1024;
/// Bytes of plain text in one datagram: more than what fits one packet on any usual network.
const TEXT_MAX: usize = 4 * 1024;
/// ICMP errors read in one visit.
const ERRORS_MAX: usize = 64;

const _: () = assert!(TRAIN_LEN_MAX * UDP_PACKET_MAX <= 65_507 && RECEIVE_LEN > 65_507);

/// The datagrams of one receive, lent one after the other. One for all sockets; untouched pages cost nothing.
pub(super) struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_LEN],
    filled: usize,
    /// The receive the next datagram stands in, and where there.
    at: usize,
    offset: usize,
    /// Lengths of datagrams that are lent, in bytes.
    fitting: RangeInclusive<usize>,
    /// Where the socket of this batch is bound, and whether the address that was asked is kept.
    local: SocketAddr,
    tells_asked: bool,
}

/// Where a datagram goes, and the address of ours that it leaves from, if the system is not to choose that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dest {
    pub(super) addr: SocketAddr,
    pub(super) from: Option<IpAddr>,
}

impl Dest {
    /// Where packets of a path go, if it is one of UDP.
    pub(super) fn of(path: Path) -> Option<Dest> {
        path.udp_peer().map(|addr| Dest { addr, from: path.leaves_from() })
    }
}

impl Batch {
    pub(super) fn new(text_too: bool) -> Batch {
        let fitting = if text_too { 0..=TEXT_MAX } else { 1..=UDP_PACKET_MAX };
        let metas = [RecvMeta::default(); BATCH_LEN];
        let (bytes, local) = (vec![0; BATCH_LEN * RECEIVE_LEN], SocketAddr::from(([0; 4], 0)));
        Batch { bytes, metas, filled: 0, at: 0, offset: 0, fitting, local, tells_asked: false }
    }

    /// The next datagram's source and its place in the buffer; those that cannot be packets are
    /// skipped, and those that claim to come from this socket.
    pub(super) fn next(&mut self, stats: &mut Stats) -> Option<(Path, Range<usize>)> {
        while self.at < self.filled {
            let meta = &self.metas[self.at];
            let begin = self.at * RECEIVE_LEN + self.offset;
            let len = meta.stride.max(1).min(meta.len - self.offset);
            self.offset += len;
            if self.offset >= meta.len {
                (self.at, self.offset) = (self.at + 1, 0);
            }
            let from = bind::plain(meta.addr);
            if is_own(self.local, from, meta.dst_ip) {
                stats.datagrams_from_self += 1;
            } else if self.fitting.contains(&len) {
                stats.datagrams_in += 1;
                let asked = meta.dst_ip.filter(|_| self.tells_asked);
                return Some((Path::udp(from, asked), begin..begin + len));
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

/// What became of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has it, or the queue.
    Taken,
    /// Kernel and queue are full: dropped.
    Dropped,
    /// The system refused it.
    Refused(Why),
}

/// A bound socket with its queue.
pub(super) struct UdpPort {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Bound to every address, it says which of them each datagram was sent to.
    tells_asked: bool,
    token: Token,
    queue: Queue,
    /// What is sent waits in the queue for [`UdpPort::flush`].
    pub(super) held: bool,
    /// The poll tells when the socket is writable, because the kernel took no more.
    waits_for_room: bool,
    /// The poll told of an error, and not all of them were read.
    pub(super) may_have_errors: bool,
    /// What a call failed with that may be ICMP's answer to an earlier datagram: the head of the error queue.
    consumed: Option<Why>,
}

/// Datagrams that wait until the kernel takes them again: at most [`QUEUE_MAX`] bytes.
#[derive(Default)]
struct Queue {
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
        let tells_asked = answers && local.ip().is_unspecified();
        #[cfg(target_os = "linux")]
        bind::tell_less(&socket, tells_asked);
        // Not writable too: with edges each datagram that leaves the machine would wake the loop.
        registry.register(&mut socket, token, Interest::READABLE)?;
        let queue = Queue::default();
        Ok(UdpPort {
            socket,
            state,
            local,
            tells_asked,
            token,
            queue,
            held: false,
            waits_for_room: false,
            may_have_errors: false,
            consumed: None,
        })
    }

    /// From one poll to another, where it is known as `token`.
    pub(super) fn move_to(&mut self, from: &Registry, to: &Registry, token: Token) -> io::Result<()> {
        from.deregister(&mut self.socket)?;
        to.register(&mut self.socket, token, Interest::READABLE)?;
        self.token = token;
        Ok(())
    }

    pub(super) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether this socket can send there.
    pub(super) fn reaches(&self, dest: SocketAddr) -> bool {
        match (self.local, dest) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => true,
            (SocketAddr::V6(local), SocketAddr::V4(_)) => local.ip().is_unspecified(),
            (SocketAddr::V4(_), SocketAddr::V6(_)) => false,
        }
    }

    /// Receives what is there, up to a batch, into the empty `batch`.
    ///
    /// Where the system fills a batch in one call, a batch that is not full says as much as would-block: there was no
    /// more, and what comes later is announced.
    pub(super) fn receive(&mut self, batch: &mut Batch) -> io::Result<ReadEnd> {
        (batch.filled, batch.at, batch.offset) = (0, 0, 0);
        (batch.local, batch.tells_asked) = (self.local, self.tells_asked);
        let mut chunks = batch.bytes.chunks_exact_mut(RECEIVE_LEN);
        let mut slices: [IoSliceMut<'_>; BATCH_LEN] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("the buffer has BATCH_LEN chunks")));
        let (socket, state, metas) = (&self.socket, &self.state, &mut batch.metas);
        let received = socket.try_io(|| state.recv(UdpSockRef::from(socket), &mut slices, metas));
        if let Err(error) = &received {
            self.consumed = may_be_of_another(error).then(|| why_refused(error));
        }
        batch.filled = received?;
        let drained = cfg!(target_os = "linux") && batch.filled < BATCH_LEN;
        Ok(if drained { ReadEnd::Drained } else { ReadEnd::More })
    }

    /// How many datagrams one train may have.
    pub(super) fn train_len_max(&self) -> usize {
        self.state.max_gso_segments().min(TRAIN_LEN_MAX)
    }

    /// Sends datagrams of `segment` bytes each, the last maybe shorter, that lie side by side.
    pub(super) fn send(&mut self, dest: Dest, bytes: &[u8], segment: usize, registry: &Registry) -> Sent {
        if self.held || !self.queue.sends.is_empty() {
            return self.queue.push(dest, bytes, segment);
        }
        match self.try_send(dest, bytes, segment) {
            Ok(()) => Sent::Taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let sent = self.queue.push(dest, bytes, segment);
                self.wait_for_room(true, registry);
                sent
            }
            Err(error) if is_of_offload(&error) && bytes.len() > segment => {
                let each = bytes.chunks(segment).map(|one| self.send(dest, one, one.len(), registry));
                each.filter(|sent| *sent != Sent::Taken).last().unwrap_or(Sent::Taken)
            }
            Err(error) => Sent::Refused(why_refused(&error)),
        }
    }

    /// Sends to many peers in one system call, as far as the kernel takes them without complaint: how many. All leave from
    /// the same address of ours.
    #[cfg(target_os = "linux")]
    pub(super) fn send_many(&self, bytes: &[u8], fan: &[(Dest, Range<usize>)]) -> usize {
        if self.held || !self.queue.sends.is_empty() {
            return 0;
        }
        let fan = &fan[..fan.len().min(super::send::FAN_LEN_MAX)];
        match fan.first().and_then(|(dest, _)| dest.from) {
            Some(from) => self.send_many_from(from, bytes, fan),
            None => self.send_many_plainly(bytes, fan),
        }
    }

    /// rustix cannot say where datagrams are to leave from.
    #[cfg(target_os = "linux")]
    fn send_many_from(&self, from: IpAddr, bytes: &[u8], fan: &[(Dest, Range<usize>)]) -> usize {
        use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
        use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
        use std::os::fd::AsRawFd;

        const MANY: usize = super::send::FAN_LEN_MAX;
        let addr = |(dest, _): &(Dest, _)| SockaddrStorage::from(bind::for_socket(self.local, dest.addr));
        let piece = |(_, range): &(Dest, Range<usize>)| &bytes[range.clone()];
        let addrs: [Option<SockaddrStorage>; MANY] = std::array::from_fn(|at| fan.get(at).map(addr));
        let slices: [[io::IoSlice<'_>; 1]; MANY] =
            std::array::from_fn(|at| [io::IoSlice::new(fan.get(at).map_or(&[], piece))]);
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
        let mut headers = MultiHeaders::preallocate(fan.len(), Some(room));
        let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
        sendmmsg(fd, &mut headers, &slices, addrs, [control], none).map_or(0, Iterator::count)
    }

    #[cfg(target_os = "linux")]
    fn send_many_plainly(&self, bytes: &[u8], fan: &[(Dest, Range<usize>)]) -> usize {
        use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};
        use smallvec::SmallVec;

        type Many<T> = SmallVec<[T; super::send::FAN_LEN_MAX]>;
        // Filled in place: collected, each would be moved with all its room, several kilobytes for a few datagrams.
        let (mut addrs, mut slices): (Many<SocketAddrAny>, Many<[io::IoSlice<'_>; 1]>) = Default::default();
        let mut controls: Many<SendAncillaryBuffer<'_, '_, '_>> = Many::new();
        let mut messages: Many<MMsgHdr<'_>> = Many::new();
        for (dest, range) in fan {
            addrs.push(bind::for_socket(self.local, dest.addr).into());
            slices.push([io::IoSlice::new(&bytes[range.clone()])]);
            controls.push(SendAncillaryBuffer::default());
        }
        for ((addr, slice), control) in addrs.iter().zip(&slices).zip(&mut controls) {
            messages.push(MMsgHdr::new_with_addr(addr, slice, control));
        }
        rustix::net::sendmmsg(&self.socket, &mut messages, SendFlags::empty()).unwrap_or(0)
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self, registry: &Registry, mut refused: impl FnMut(SocketAddr, Why)) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.drain(|dest, bytes, segment| self.try_send(dest, bytes, segment), &mut |dest, why| {
            refused(dest.addr, why)
        });
        self.queue = queue;
        self.wait_for_room(!self.queue.sends.is_empty(), registry);
    }

    /// Reads what ICMP said about datagrams sent before: to whom, and why. True if there may be more.
    ///
    /// The error queue names the destination; the socket's pending error, which follows the queue's head, says what
    /// happened there.
    #[cfg(target_os = "linux")]
    pub(super) fn take_errors(&mut self, mut refused: impl FnMut(SocketAddr, Why)) -> bool {
        use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};

        for _ in 0..ERRORS_MAX {
            let pending = self.socket.take_error().ok().flatten().map(|error| why_refused(&error));
            let consumed = self.consumed.take();
            let (mut byte, mut control) = ([0], RecvAncillaryBuffer::default());
            let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
            let Ok(message) = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)
            else {
                return false;
            };
            if let Some(dest) = message.address.and_then(|addr| SocketAddr::try_from(addr).ok()) {
                refused(bind::plain(dest), consumed.or(pending).unwrap_or(Why::Unreachable));
            }
        }
        true
    }

    /// Elsewhere an unconnected socket does not hear of ICMP.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn take_errors(&mut self, _: impl FnMut(SocketAddr, Why)) -> bool {
        let _ = (ERRORS_MAX, self.socket.take_error(), self.consumed.take());
        false
    }

    /// A refusal may be ICMP's answer to an earlier datagram, maybe to another peer: reading it clears it, and the
    /// error queue tells whose it was. So the second try counts.
    fn try_send(&mut self, dest: Dest, bytes: &[u8], segment: usize) -> io::Result<()> {
        match self.try_send_from(dest.from, dest.addr, bytes, segment) {
            // The machine has lost that address, or it never was one that datagrams leave from.
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
        let (socket, state) = (&self.socket, &self.state);
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

impl Queue {
    fn push(&mut self, dest: Dest, bytes: &[u8], segment: usize) -> Sent {
        if self.bytes.len() - self.sent + bytes.len() > QUEUE_MAX {
            return Sent::Dropped;
        }
        if self.sent > QUEUE_MAX / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.sends.push_back((dest, segment, bytes.len()));
        Sent::Taken
    }

    /// Sends what waits, until that would block. A train that the device cannot cut goes as single
    /// datagrams.
    fn drain(
        &mut self,
        mut try_send: impl FnMut(Dest, &[u8], usize) -> io::Result<()>,
        refused: &mut impl FnMut(Dest, Why),
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

    /// The first send becomes one for each of its datagrams.
    fn cut_first(&mut self) {
        let Some((dest, segment, len)) = self.sends.pop_front() else { return };
        for start in (0..len).step_by(segment.max(1)).rev() {
            let one = segment.min(len - start);
            self.sends.push_front((dest, one, one));
        }
    }

    fn pop(&mut self) {
        if let Some((_, _, len)) = self.sends.pop_front() {
            self.sent += len;
        }
        if self.sends.is_empty() {
            *self = Queue::default();
        }
    }
}

/// EIO, EINVAL or EMSGSIZE for a train: the device cannot cut it, or not for this route. quinn-udp
/// makes no more trains after the first two, but returns the error of the one that met it.
fn is_of_offload(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::INVAL | Errno::MSGSIZE))
}

/// Whether a send may have failed because of the address that it was to leave from.
fn is_of_source(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NETUNREACH))
}

/// Whether a datagram says that it comes from the socket bound to `local`: a forged one, whose
/// answer would come back as the next. `dest` is the address it was sent to, where the system tells
/// it. A socket bound to every address has that one, and all of loopback.
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

/// What a failed send or connection means to a core.
pub(super) fn why_refused(error: &io::Error) -> Why {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => Why::Refused,
        Some(Errno::NOBUFS | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => Why::NoRoom,
        Some(Errno::TIMEDOUT) => Why::TimedOut,
        Some(Errno::CONNRESET | Errno::PIPE) => Why::Reset,
        _ => Why::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(poll: &mio::Poll) -> UdpPort {
        let socket = bind::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        UdpPort::new(socket, poll.registry(), Token(1), false).unwrap()
    }

    fn dest(addr: &str) -> Dest {
        Dest { addr: addr.parse().unwrap(), from: None }
    }

    #[test]
    fn the_queue_is_bounded_and_keeps_order() {
        let mut queue = Queue::default();
        let dest = dest("127.0.0.1:1");
        let taken = (0..2000).take_while(|_| queue.push(dest, &[0; 1200], 1200) == Sent::Taken).count();
        assert_eq!(taken, QUEUE_MAX / 1200);
        (0..taken - 1).for_each(|_| queue.pop());
        assert_eq!(queue.push(dest, b"last", 4), Sent::Taken);
        assert!(queue.bytes.len() < 2 * 1200, "what was sent is forgotten");
        queue.pop();
        assert_eq!(&queue.bytes[queue.sent..], b"last");
    }

    /// A double of the system: it takes single datagrams, four at a time, and refuses trains with
    /// this error.
    #[test]
    fn train_that_waited_is_cut_where_the_device_cannot() {
        use rustix::io::Errno;
        let (one, other) = (dest("127.0.0.1:1"), dest("127.0.0.1:2"));
        for errno in [Errno::IO, Errno::INVAL, Errno::MSGSIZE] {
            let mut queue = Queue::default();
            queue.push(other, b"zz", 2);
            queue.push(one, b"aabbccddeeffg", 2);
            queue.push(other, b"hh", 2);
            let (mut sent, mut room, mut refused) = (Vec::new(), 4, Vec::new());
            for _ in 0..3 {
                queue.drain(
                    |dest: Dest, bytes, segment| match (bytes.len() > segment, room) {
                        (true, _) => Err(errno.into()),
                        (false, 0) => Err(io::ErrorKind::WouldBlock.into()),
                        (false, _) => {
                            room -= 1;
                            sent.push((dest.addr.port(), String::from_utf8(bytes.to_vec()).unwrap()));
                            Ok(())
                        }
                    },
                    &mut |dest, why| refused.push((dest, why)),
                );
                room = 4;
            }
            let parts = ["aa", "bb", "cc", "dd", "ee", "ff", "g"].map(|part| (1, part.to_owned()));
            let (first, last) = ((2, "zz".to_owned()), (2, "hh".to_owned()));
            let expected: Vec<_> = [first].into_iter().chain(parts).chain([last]).collect();
            assert_eq!((sent, refused, queue.bytes.len()), (expected, vec![], 0), "{errno:?}");
        }
    }

    /// A single datagram that the system refuses with such an error is refused, not tried for ever.
    #[test]
    fn single_datagram_with_an_offload_error_is_refused() {
        let (mut queue, mut refused) = (Queue::default(), 0);
        queue.push(dest("127.0.0.1:1"), b"aabb", 2);
        queue.drain(|_, _, _| Err(rustix::io::Errno::IO.into()), &mut |_, _| refused += 1);
        assert_eq!((refused, queue.sends.len()), (2, 0));
    }

    #[test]
    fn own_address_is_known_however_the_socket_is_bound() {
        let own = |local: &str, from: &str, dest: Option<&str>| {
            let dest = dest.map(|dest| dest.parse().unwrap());
            is_own(local.parse().unwrap(), from.parse().unwrap(), dest)
        };
        assert!(own("192.0.2.1:8081", "192.0.2.1:8081", None));
        assert!(own("0.0.0.0:8081", "192.0.2.1:8081", Some("192.0.2.1")));
        assert!(own("[::]:8081", "192.0.2.1:8081", Some("::ffff:192.0.2.1")));
        assert!(own("[::]:8081", "[2001:db8::1]:8081", Some("2001:db8::1")));
        assert!(own("0.0.0.0:8081", "127.0.0.9:8081", Some("127.0.0.1")));
        assert!(!own("0.0.0.0:8081", "192.0.2.1:8082", Some("192.0.2.1")), "a program of this machine");
        assert!(!own("0.0.0.0:8081", "192.0.2.9:8081", Some("192.0.2.1")), "another relay");
        assert!(!own("127.0.0.1:8081", "127.0.0.2:8081", Some("127.0.0.1")), "another relay of this machine");
    }

    #[test]
    fn what_waited_is_sent_when_the_socket_is_writable_again() {
        let poll = mio::Poll::new().unwrap();
        let (mut from, mut to) = (port(&poll), port(&poll));
        let dest = Dest { addr: to.local_addr(), from: None };
        from.queue.push(dest, b"one", 3);
        assert_eq!(from.send(dest, b"two", 3, poll.registry()), Sent::Taken, "behind the first");
        from.flush(poll.registry(), |_, _| panic!("nothing is refused"));
        let (mut batch, mut stats, mut got) = (Batch::new(false), Stats::default(), Vec::new());
        while got.len() < 2 {
            if to.receive(&mut batch).is_ok() {
                while let Some((from, range)) = batch.next(&mut stats) {
                    got.push((from, batch.bytes_mut(range).to_vec()));
                }
            }
        }
        let from = Path::Udp(from.local_addr());
        assert_eq!(got, [(from, b"one".to_vec()), (from, b"two".to_vec())]);
    }
}
