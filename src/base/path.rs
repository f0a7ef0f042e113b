//! Network paths, and addresses as users write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Transport of a path's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Carrier {
    /// Datagrams of at most 1,200 bytes.
    Udp,
    /// Length-prefixed records of at most 16 KiB.
    Tcp,
}

impl Carrier {
    /// Returns `udp` or `tcp`, as scripts read it.
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

/// One TCP connection of this process; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A path on which packets travel between two ends.
///
/// A client chooses the [`ConnId`] of the TCP paths that it opens. On the listening side, the
/// process around the core chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Our UDP socket and the other end's address.
    Udp(SocketAddr),
    /// The same, with the local address that the other end sends to.
    ///
    /// For a relay whose socket is bound to every address of its machine; never used by clients.
    UdpAt(AddrPair),
    /// A TCP connection.
    Tcp(ConnId),
}

impl Path {
    /// Returns the path between `peer` and our UDP socket.
    ///
    /// `local_ip` is the local address that the other end sends to, if answers must come from it.
    pub fn udp(peer: SocketAddr, local: Option<IpAddr>) -> Path {
        let pair = local.and_then(|local_ip| AddrPair::new(peer, local_ip));
        pair.map_or(Path::Udp(peer), Path::UdpAt)
    }

    /// Returns the transport of this path's packets.
    pub const fn carrier(self) -> Carrier {
        match self {
            Path::Udp(_) | Path::UdpAt(_) => Carrier::Udp,
            Path::Tcp(_) => Carrier::Tcp,
        }
    }

    /// Returns the other end's UDP address.
    pub fn udp_peer(self) -> Option<SocketAddr> {
        match self {
            Path::Udp(peer) => Some(peer),
            Path::UdpAt(pair) => Some(pair.peer()),
            Path::Tcp(_) => None,
        }
    }

    /// Returns the local address that packets must be sent from; `None` if the system chooses it.
    pub fn local_ip(self) -> Option<IpAddr> {
        match self {
            Path::UdpAt(pair) => Some(pair.local()),
            Path::Udp(_) | Path::Tcp(_) => None,
        }
    }
}

/// Both addresses of a UDP path: the other end's, and the local one that it sends to.
///
/// Routers and firewalls of the other end would drop an answer from another address. IPv4 addresses
/// are stored mapped to IPv6, so that a path stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddrPair {
    peer: [u8; 16],
    port: u16,
    local: [u8; 16],
}

impl AddrPair {
    /// Returns `None` if the other end's address is scoped to one network: the system then knows
    /// its own address.
    fn new(peer: SocketAddr, local: IpAddr) -> Option<AddrPair> {
        let is_scoped = matches!(peer, SocketAddr::V6(peer) if peer.scope_id() != 0 || peer.flowinfo() != 0);
        let port = peer.port();
        (!is_scoped).then(|| AddrPair { peer: mapped(peer.ip()), port, local: mapped(local) })
    }

    /// Returns the other end's address.
    pub fn peer(self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.peer).to_canonical(), self.port)
    }

    /// Returns both IP addresses, IPv4 mapped to IPv6.
    pub const fn as_ipv6(self) -> ([u8; 16], [u8; 16]) {
        (self.peer, self.local)
    }

    /// Returns the local address.
    pub fn local(self) -> IpAddr {
        Ipv6Addr::from(self.local).to_canonical()
    }
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Why a path ended or refused to send. A hint only: ICMP errors and TCP resets can be forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The port is closed (ECONNREFUSED, ICMP port unreachable).
    Refused,
    /// No route (ENETUNREACH, EHOSTUNREACH, …).
    Unreachable,
    /// This machine's own rules forbid it, such as a firewall's (EPERM, EACCES).
    NotPermitted,
    /// The packet is larger than the network takes (EMSGSIZE).
    TooBig,
    /// The other end closed it in an orderly way.
    Closed,
    /// The connection was reset or broken.
    Reset,
    /// The bytes on it are not records of packets. A stream is never resynchronised.
    Framing,
    /// Connecting took too long.
    TimedOut,
    /// The other end does not read: more bytes are queued than permitted.
    Stuck,
    /// The machine lacks a resource for it (EMFILE, ENOBUFS).
    NoRoom,
}

/// A host and a port as written in an address book.
///
/// The host is an IPv4 address, a bracketed IPv6 address, perhaps with a zone as in
/// `[fe80::1%eth0]:8081` (RFC 4007 §11), or a host name in ASCII. The port is mandatory. Ordered
/// and compared as written, in lower case except for the zone. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    host: Arc<str>,
    port: u16,
}

impl HostPort {
    /// Returns the host, without brackets, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the same host with another port; `None` for port 0.
    pub fn with_port(&self, port: u16) -> Option<HostPort> {
        (port != 0).then(|| HostPort { host: self.host.clone(), port })
    }

    /// Returns the address if the host is an IP address and needs no lookup. The zone of an
    /// address has to be looked up.
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// Whether the host is this machine: a loopback address, or `localhost` (RFC 6761 §6.3).
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.split('%').next().and_then(|host| host.parse::<IpAddr>().ok());
        ip.is_some_and(|ip| ip.to_canonical().is_loopback()) || self.host.eq_ignore_ascii_case("localhost")
    }

    /// Whether no relay can be reached there: the host is an unspecified, a broadcast or a
    /// multicast address.
    pub fn is_unreachable(&self) -> bool {
        let ip = self.host.split('%').next().and_then(|host| host.parse::<IpAddr>().ok());
        ip.is_some_and(|ip| {
            let ip = ip.to_canonical();
            let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            ip.is_unspecified() || ip.is_multicast() || is_broadcast
        })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> HostPort {
        let host = match addr {
            SocketAddr::V6(addr) if addr.scope_id() != 0 => format!("{}%{}", addr.ip(), addr.scope_id()),
            addr => addr.ip().to_string(),
        };
        HostPort { host: host.into(), port: addr.port() }
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

/// Why a text is not a valid address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPortError {
    /// No text at all.
    Empty,
    /// No `:PORT` at the end.
    NoPort,
    /// The port is not a number from 1 to 65535.
    BadPort,
    /// The host is empty, too long, or contains a character that is invalid in host names.
    BadHost,
    /// An IPv6 address without brackets around it.
    NoBrackets,
    /// A full-width colon (`：`) instead of `:`.
    FullWidthColon,
    /// A scheme before it or a path behind it, as in `http://127.0.0.1:8081/`.
    Url,
    /// A host name with characters other than ASCII.
    NotAscii,
}

impl HostPortError {
    /// Returns the key of the phrase with the fix.
    pub const fn key(self) -> &'static str {
        match self {
            HostPortError::Empty => "address-empty",
            HostPortError::NoPort => "address-no-port",
            HostPortError::BadPort => "address-bad-port",
            HostPortError::BadHost => "address-bad-host",
            HostPortError::NoBrackets => "address-no-brackets",
            HostPortError::FullWidthColon => "address-full-width-colon",
            HostPortError::Url => "address-url",
            HostPortError::NotAscii => "address-not-ascii",
        }
    }
}

/// Maximum host name, in bytes (RFC 1035 §2.3.4).
const HOST_LEN_MAX: usize = 253;
/// Maximum name of a network interface, in bytes: more than any system has (15 on Linux).
const ZONE_LEN_MAX: usize = 64;

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<HostPort, HostPortError> {
        if text.is_empty() {
            return Err(HostPortError::Empty);
        }
        if text.contains('：') {
            return Err(HostPortError::FullWidthColon);
        }
        if text.contains('/') {
            return Err(HostPortError::Url);
        }
        if is_ipv6(text) {
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

/// Whether the text is an IPv6 address, with or without a zone.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
}

fn parse_host(host: &str) -> Result<String, HostPortError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(HostPortError::BadHost)?;
        let (ip, zone) = inner.split_once('%').map_or((inner, None), |(ip, zone)| (ip, Some(zone)));
        let ip: Ipv6Addr = ip.parse().map_err(|_| HostPortError::BadHost)?;
        return match zone {
            None => Ok(ip.to_string()),
            Some(zone) if is_zone(zone) => Ok(format!("{ip}%{zone}")),
            Some(_) => Err(HostPortError::BadHost),
        };
    }
    if is_ipv6(host) {
        return Err(HostPortError::NoBrackets);
    }
    if !host.is_ascii() {
        return Err(HostPortError::NotAscii);
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || host.len() > HOST_LEN_MAX || !host.bytes().all(fits) {
        return Err(HostPortError::BadHost);
    }
    Ok(host.to_ascii_lowercase())
}

/// Whether the text can be the name or the number of a network interface.
fn is_zone(zone: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~@".contains(&b);
    !zone.is_empty() && zone.len() <= ZONE_LEN_MAX && zone.bytes().all(fits)
}

/// Returns what an address without brackets may mean: `[fe80::1]:8081` for `fe80::1:8081`, with
/// the port 8081 where none can be seen.
pub fn with_brackets(text: &str) -> String {
    let ip = text.rsplit_once(':').filter(|(ip, port)| {
        let is_port = port.len() >= PORT_DIGITS_MIN && port.parse::<u16>().is_ok();
        is_port && is_ipv6(ip)
    });
    ip.map_or_else(|| format!("[{text}]:8081"), |(ip, port)| format!("[{ip}]:{port}"))
}

/// Digits from which the last group of an IPv6 address may be a port: those of relays have four or
/// five.
const PORT_DIGITS_MIN: usize = 4;

/// Effects and events carry paths.
const _: () = assert!(size_of::<Path>() <= 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["127.0.0.1:8081", "chat.example.org:443", "[::1]:9", "a_b-c.d:65535", "[fe80::1%eth0]:1"]
        {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("Chat.Example.ORG:1".parse::<HostPort>().unwrap().to_string(), "chat.example.org:1");
    }

    #[test]
    fn brackets_are_suggested_around_the_address_only() {
        let table = [
            ("::1", "[::1]:8081"),
            ("fe80::1:8081", "[fe80::1]:8081"),
            ("fe80::1%eth0:8081", "[fe80::1%eth0]:8081"),
            ("2001:db8:1:2:3:4:5:443", "[2001:db8:1:2:3:4:5:443]:8081"),
        ];
        for (text, wanted) in table {
            assert_eq!(with_brackets(text), wanted);
            assert_eq!(with_brackets(text).parse::<HostPort>().unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn addresses_of_no_machine_are_unreachable() {
        for text in [
            "0.0.0.0:1",
            "[::]:1",
            "255.255.255.255:1",
            "224.0.0.1:1",
            "[ff02::1%eth0]:1",
            "[::ffff:0.0.0.0]:1",
        ] {
            assert!(text.parse::<HostPort>().unwrap().is_unreachable(), "{text}");
        }
        for text in ["127.0.0.1:1", "[fe80::1%eth0]:1", "chat.example.org:1", "192.0.2.255:1"] {
            assert!(!text.parse::<HostPort>().unwrap().is_unreachable(), "{text}");
        }
        let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 2);
        assert_eq!(HostPort::from(SocketAddr::from(scoped)).to_string(), "[fe80::1%2]:9");
    }

    #[test]
    fn loopback_is_this_machine_in_every_form() {
        for text in
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "LOCALHOST:1"]
        {
            assert!(text.parse::<HostPort>().unwrap().is_loopback(), "{text}");
        }
        for text in ["192.0.2.1:1", "[2001:db8::1]:1", "localhost.example:1", "128.0.0.1:1"] {
            assert!(!text.parse::<HostPort>().unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn path_with_address_pair_round_trips() {
        for (peer, local_ip) in [("192.0.2.7:9", "198.51.100.1"), ("[2001:db8::1]:9", "2001:db8::2")] {
            let peer: SocketAddr = peer.parse().unwrap();
            let local_ip: IpAddr = local_ip.parse().unwrap();
            let path = Path::udp(peer, Some(local_ip));
            assert_eq!(path.udp_peer(), Some(peer));
            assert_eq!(path.local_ip(), Some(local_ip));
            assert_eq!(path.carrier(), Carrier::Udp);
            assert_eq!(Path::udp(peer, None), Path::Udp(peer));
        }
        let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 2).into();
        assert_eq!(Path::udp(scoped, Some("fe80::2".parse().unwrap())), Path::Udp(scoped));
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
            ("fe80::1%eth0", HostPortError::NoBrackets),
            ("fe80::1%eth0:8081", HostPortError::NoBrackets),
            ("[fe80::1%]:1", HostPortError::BadHost),
            ("[fe80::1%a b]:1", HostPortError::BadHost),
            ("[127.0.0.1%eth0]:1", HostPortError::BadHost),
            ("a:b:1", HostPortError::BadHost),
            ("127.0.0.1:8081:8082", HostPortError::BadHost),
            ("http://127.0.0.1:8081", HostPortError::Url),
            ("https://[::1]:8081/", HostPortError::Url),
            ("127.0.0.1:8081/", HostPortError::Url),
            ("http://127.0.0.1", HostPortError::Url),
            ("中继.example:8081", HostPortError::NotAscii),
            ("zoë.example:8081", HostPortError::NotAscii),
        ];
        for (text, wrong) in table {
            assert_eq!(text.parse::<HostPort>(), Err(wrong), "{text}");
        }
    }
}
