//! Opening sockets with the options they need, and phrases for the errors.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Socket, Type};

use crate::base::{Carrier, Phrase};

/// Kernel buffer requested for each UDP socket in each direction, in bytes. Holds a burst from
/// hundreds of clients during one turn. The kernel grants less if its limit is lower
/// (`net.core.rmem_max`).
const UDP_BUFFER: usize = 4 * 1024 * 1024;
/// Connections that the kernel completes while the loop is busy: all clients of a relay that
/// reconnect.
const BACKLOG: i32 = 1024;
/// Attempts to find a port that is free for both UDP and TCP. A port free for UDP is rarely in use
/// for TCP.
const PORT_TRIES: usize = 16;

/// Maximum UDP sockets of one process, and maximum TCP listeners. A client has one socket for each
/// address family, and a relay one for each address of its host name.
pub(super) const UDP_PORTS_MAX: usize = 4;

/// The UDP sockets and the TCP listeners of a process.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) udp: Vec<mio::net::UdpSocket>,
    pub(super) tcp: Vec<mio::net::TcpListener>,
}

/// Binds all of these addresses. Port 0 means the port of the first UDP socket. If that is 0 too,
/// picks a port free for all.
pub(super) fn bind_all(udp: &[SocketAddr], tcp: &[SocketAddr]) -> Result<Bound, Phrase> {
    let free_for_all = udp.first().is_some_and(|addr| addr.port() == 0) && udp.len() + tcp.len() > 1;
    let mut tries = if free_for_all { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match try_bind_all(udp, tcp) {
            Err((_, error)) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(((carrier, addr), error)) => return Err(cannot_bind(carrier, addr, &error)),
            Ok(bound) => return Ok(bound),
        }
    }
}

type BindError = ((Carrier, SocketAddr), io::Error);

fn try_bind_all(udp: &[SocketAddr], tcp: &[SocketAddr]) -> Result<Bound, BindError> {
    let mut bound = Bound { udp: Vec::new(), tcp: Vec::new() };
    for addr in udp {
        let addr = with_port_of(bound.udp.first(), *addr);
        bound.udp.push(bind_udp(addr).map_err(|error| ((Carrier::Udp, addr), error))?);
    }
    for addr in tcp {
        let addr = with_port_of(bound.udp.first(), *addr);
        bound.tcp.push(listen(addr).map_err(|error| ((Carrier::Tcp, addr), error))?);
    }
    Ok(bound)
}

/// Replaces port 0 by the port of the first socket, if there is one.
fn with_port_of(first: Option<&mio::net::UdpSocket>, mut addr: SocketAddr) -> SocketAddr {
    let first = first.and_then(|first| first.local_addr().ok());
    if let Some(first) = first.filter(|_| addr.port() == 0) {
        addr.set_port(first.port());
    }
    addr
}

/// Binds a UDP socket without SO_REUSEADDR: with it two relays could share a port, and each would
/// receive half of the packets.
pub(super) fn bind_udp(addr: SocketAddr) -> io::Result<mio::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(mio::net::UdpSocket::from_std(socket.into()))
}

/// Turns off ancillary data that quinn-udp requests and this module does not read: arrival time,
/// traffic class, and, unless `keep_destination`, destination. Each costs time for every datagram.
/// Arrival times even make the kernel timestamp all datagrams of the machine.
#[cfg(target_os = "linux")]
pub(super) fn disable_ancillary_data(socket: &mio::net::UdpSocket, keep_destination: bool) {
    use nix::sys::socket::{setsockopt, sockopt};

    // A refusal is not an error: the data is still sent, at a cost in time.
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &false);
    let _ = setsockopt(socket, sockopt::IpRecvTos, &false);
    let is_ipv6 = socket.local_addr().is_ok_and(|local| local.is_ipv6());
    if is_ipv6 {
        let _ = setsockopt(socket, sockopt::Ipv6RecvTClass, &false);
    }
    if keep_destination {
        return;
    }
    let _ = setsockopt(socket, sockopt::Ipv4PacketInfo, &false);
    if is_ipv6 {
        let _ = setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false);
    }
}

/// Opens a listener with SO_REUSEADDR, so that a relay can restart while its old connections are in
/// TIME_WAIT.
fn listen(addr: SocketAddr) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

fn cannot_bind(carrier: Carrier, addr: SocketAddr, error: &io::Error) -> Phrase {
    let phrase = match error.kind() {
        io::ErrorKind::AddrInUse => Phrase::new("port-in-use"),
        _ => Phrase::new("cannot-bind").with("cause", error),
    };
    phrase.with("carrier", carrier).with("addr", addr)
}

/// Returns the wildcard address to bind a client's UDP socket to for this destination.
pub(super) fn any_addr_towards(dest: SocketAddr) -> SocketAddr {
    match dest {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Returns the address as the core knows it. An IPv4 address is plain, whichever socket it came
/// from.
pub(super) fn plain(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

/// Returns the address in the form that a socket bound to `local` requires.
pub(super) fn for_socket(local: SocketAddr, dest: SocketAddr) -> SocketAddr {
    match (local, dest) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        _ => dest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_PORT: &str = "127.0.0.1:0";

    #[test]
    fn port_0_is_same_port_for_both_carriers() {
        let any = ANY_PORT.parse().unwrap();
        let bound = bind_all(&[any], &[any]).unwrap();
        let udp = bound.udp[0].local_addr().unwrap();
        let tcp = bound.tcp[0].local_addr().unwrap();
        assert_ne!(udp.port(), 0);
        assert_eq!(udp, tcp);
    }

    #[test]
    fn port_0_is_same_port_for_all_addresses() {
        let all: Vec<SocketAddr> = ["127.0.0.1:0", "127.0.0.2:0"].map(|addr| addr.parse().unwrap()).into();
        let bound = bind_all(&all, &all).unwrap();
        let udp = bound.udp.iter().map(|socket| socket.local_addr().unwrap().port());
        let tcp = bound.tcp.iter().map(|listener| listener.local_addr().unwrap().port());
        let ports: Vec<u16> = udp.chain(tcp).collect();
        assert_eq!(ports, [ports[0]; 4]);
    }

    #[test]
    fn taken_port_is_refused_with_its_address() {
        let first = bind_all(&[ANY_PORT.parse().unwrap()], &[]).unwrap();
        let addr = first.udp[0].local_addr().unwrap();
        let phrase = bind_all(&[addr], &[]).unwrap_err();
        assert_eq!(phrase, Phrase::new("port-in-use").with("carrier", "udp").with("addr", addr));
        let foreign = "192.0.2.1:1".parse().unwrap();
        let phrase = bind_all(&[], &[foreign]).unwrap_err();
        assert_eq!(phrase.key(), "cannot-bind");
        assert!(phrase.args().contains(&("addr", "192.0.2.1:1".to_owned())));
    }

    #[test]
    fn listener_rebinds_at_once_after_closing_connections() {
        let mut bound = bind_all(&[], &[ANY_PORT.parse().unwrap()]).unwrap();
        let listener = bound.tcp.remove(0);
        let addr = listener.local_addr().unwrap();
        let mut client = std::net::TcpStream::connect(addr).unwrap();
        let accepted = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        drop((accepted, listener));
        assert_eq!(
            std::io::Read::read(&mut client, &mut [0]).unwrap(),
            0,
            "the listener's side closed first"
        );
        drop(client);
        bind_all(&[], &[addr]).unwrap();
    }

    #[test]
    fn ipv4_is_plain_for_core_and_mapped_for_dual_stack_socket() {
        let v4 = "192.0.2.7:9".parse().unwrap();
        let local = "[::]:8081".parse().unwrap();
        let mapped = for_socket(local, v4);
        assert_eq!(mapped, "[::ffff:192.0.2.7]:9".parse().unwrap());
        assert_eq!(plain(mapped), v4);
        assert_eq!(for_socket("0.0.0.0:0".parse().unwrap(), v4), v4);
    }
}
