//! Ways packets travel, and addresses as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What carries a path's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Carrier {
    /// Datagrams of at most 1,200 bytes.
    Udp,
    /// Length-prefixed records of at most 16 KiB.
    Tcp,
}

impl Carrier {
    /// `udp` or `tcp`, as scripts read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One TCP connection of this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One way packets travel between two ends.
///
/// A client opens TCP paths under a [`ConnId`] of its own choosing; on the listening side the outside chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// The process's UDP socket and the other end's address.
    Udp(SocketAddr),
    /// The same, and the local address that the other end sends to: for a relay whose socket is bound to
    /// every address of its machine. A client never has paths of this kind.
    UdpAt(AddrPair),
    /// A TCP connection.
    Tcp(ConnId),
}

impl Path {
    /// The path between `peer` and a UDP socket of ours; `asked` is the address of ours that the other end writes to,
    /// where that is to be kept.
    pub fn udp(peer: SocketAddr, asked: Option<IpAddr>) -> Path {
        let pair = asked.and_then(|asked| AddrPair::new(peer, asked));
        pair.map_or(Path::Udp(peer), Path::UdpAt)
    }

    /// What carries this path's packets.
    pub const fn carrier(self) -> Carrier {
        match self {
            Path::Udp(_) | Path::UdpAt(_) => Carrier::Udp,
            Path::Tcp(_) => Carrier::Tcp,
        }
    }

    /// The other end's address over UDP.
    pub fn udp_peer(self) -> Option<SocketAddr> {
        match self {
            Path::Udp(peer) => Some(peer),
            Path::UdpAt(pair) => Some(pair.peer()),
            Path::Tcp(_) => None,
        }
    }

    /// The address of ours that its packets are to leave from, if the system is not to choose it.
    pub fn leaves_from(self) -> Option<IpAddr> {
        match self {
            Path::UdpAt(pair) => Some(pair.asked()),
            Path::Udp(_) | Path::Tcp(_) => None,
        }
    }
}

/// Both addresses of a path over UDP: the other end's, and the one of ours that it writes to. An answer from another one
/// would be dropped by routers and firewalls before it.
///
/// IPv4 addresses are kept as they are mapped to IPv6, so that a path stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddrPair {
    peer: [u8; 16],
    port: u16,
    asked: [u8; 16],
}

impl AddrPair {
    /// `None` where only one network can be meant by the other end's address: there the system knows its own.
    fn new(peer: SocketAddr, asked: IpAddr) -> Option<AddrPair> {
        let is_scoped = matches!(peer, SocketAddr::V6(peer) if peer.scope_id() != 0 || peer.flowinfo() != 0);
        let port = peer.port();
        (!is_scoped).then(|| AddrPair { peer: mapped(peer.ip()), port, asked: mapped(asked) })
    }

    /// The other end's address.
    pub fn peer(self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.peer).to_canonical(), self.port)
    }

    /// Both IP addresses, IPv4 as it is mapped to IPv6.
    pub const fn as_ipv6(self) -> ([u8; 16], [u8; 16]) {
        (self.peer, self.asked)
    }

    /// Ours.
    pub fn asked(self) -> IpAddr {
        Ipv6Addr::from(self.asked).to_canonical()
    }
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Why a path ended or refused to send. A hint only: anybody can forge ICMP and resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing listens there (ECONNREFUSED, ICMP port unreachable).
    Refused,
    /// No route, or not permitted (ENETUNREACH, EHOSTUNREACH, EPERM, …).
    Unreachable,
    /// The other end closed it in good order.
    Closed,
    /// It was reset or broke.
    Reset,
    /// The bytes on it are not records of packets; never resynchronised on garbage.
    Framing,
    /// Connecting took too long.
    TimedOut,
    /// The other end does not read: more than the permitted bytes are queued.
    Stuck,
    /// The machine has no room for it (EMFILE, ENOBUFS).
    NoRoom,
}

/// A host and a port as written in an address book: an IPv4 address, a bracketed IPv6 address or a host name,
/// always with a port. Ordered and compared as written, in lower case. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    host: Arc<str>,
    port: u16,
}

impl HostPort {
    /// The host, without brackets, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port; `None` for port 0.
    pub fn with_port(&self, port: u16) -> Option<HostPort> {
        (port != 0).then(|| HostPort { host: self.host.clone(), port })
    }

    /// The address, if the host is an IP address and needs no look-up.
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> HostPort {
        HostPort { host: addr.ip().to_string().into(), port: addr.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What is wrong with a written address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPortError {
    /// No `:PORT` at the end.
    NoPort,
    /// The port is not a number from 1 to 65535.
    BadPort,
    /// The host is empty or holds something no host name holds.
    BadHost,
    /// An IPv6 address without brackets around it.
    NoBrackets,
    /// A full-width colon (`：`) instead of `:`.
    FullWidthColon,
}

impl HostPortError {
    /// The key of the phrase that tells a person what to do about it.
    pub const fn key(self) -> &'static str {
        match self {
            HostPortError::NoPort => "address-no-port",
            HostPortError::BadPort => "address-bad-port",
            HostPortError::BadHost => "address-bad-host",
            HostPortError::NoBrackets => "address-no-brackets",
            HostPortError::FullWidthColon => "address-full-width-colon",
        }
    }
}

/// The longest host name (RFC 1035 §2.3.4).
const HOST_LEN_MAX: usize = 253;

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<HostPort, HostPortError> {
        if text.contains('：') {
            return Err(HostPortError::FullWidthColon);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(HostPortError::NoBrackets);
        }
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError::NoPort)?;
        if text.ends_with(']') {
            return Err(HostPortError::NoPort);
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(HostPortError::BadPort);
        }
        let port = port.parse().ok().filter(|p| *p != 0).ok_or(HostPortError::BadPort)?;
        Ok(HostPort { host: parse_host(host)?.into(), port })
    }
}

fn parse_host(host: &str) -> Result<String, HostPortError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(HostPortError::BadHost)?;
        let ip: Ipv6Addr = inner.parse().map_err(|_| HostPortError::BadHost)?;
        return Ok(ip.to_string());
    }
    if host.contains(':') {
        return Err(HostPortError::NoBrackets);
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || host.len() > HOST_LEN_MAX || !host.bytes().all(fits) {
        return Err(HostPortError::BadHost);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["127.0.0.1:8081", "chat.example.org:443", "[::1]:9", "a_b-c.d:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("Chat.Example.ORG:1".parse::<HostPort>().unwrap().to_string(), "chat.example.org:1");
    }

    #[test]
    fn a_pair_holds_both_addresses_and_a_path_stays_small() {
        for (peer, asked) in [("192.0.2.7:9", "198.51.100.1"), ("[2001:db8::1]:9", "2001:db8::2")] {
            let (peer, asked): (SocketAddr, IpAddr) = (peer.parse().unwrap(), asked.parse().unwrap());
            let path = Path::udp(peer, Some(asked));
            assert_eq!((path.udp_peer(), path.leaves_from()), (Some(peer), Some(asked)));
            assert_eq!((Path::udp(peer, None), path.carrier()), (Path::Udp(peer), Carrier::Udp));
        }
        let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 2).into();
        assert_eq!(Path::udp(scoped, Some("fe80::2".parse().unwrap())), Path::Udp(scoped));
        assert!(size_of::<Path>() <= 40);
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let table = [
            ("127.0.0.1", HostPortError::NoPort),
            ("[::1]", HostPortError::NoPort),
            ("h:0", HostPortError::BadPort),
            ("h:", HostPortError::BadPort),
            ("h:65536", HostPortError::BadPort),
            ("h:+1", HostPortError::BadPort),
            (":1", HostPortError::BadHost),
            ("a b:1", HostPortError::BadHost),
            ("[x]:1", HostPortError::BadHost),
            ("::1", HostPortError::NoBrackets),
            ("fe80::1:8081", HostPortError::NoBrackets),
            ("127.0.0.1：8081", HostPortError::FullWidthColon),
        ];
        for (text, wrong) in table {
            assert_eq!(text.parse::<HostPort>(), Err(wrong), "{text}");
        }
    }
}
