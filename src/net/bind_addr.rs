//! Address for a relay to listen on, as an operator writes it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use super::bind::{self, UDP_PORTS_MAX};
use crate::base::{HostPort, Phrase};

/// Address to listen on. Port 0 is a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddr {
    /// `IP:PORT`, or a port alone, which is one of `127.0.0.1`.
    Ip(SocketAddr),
    /// `:PORT`: every address of this machine, of IPv6 too if the system has it.
    Every(u16),
    /// `HOST:PORT`: every address of the host name.
    Host(String, u16),
}

/// The text is not an address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddrError;

/// Addresses to bind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindAddrs {
    /// At least one, and at most four: as many sockets as a process has.
    pub usable: Vec<SocketAddr>,
    /// Other addresses of the host name, which this machine does not have.
    pub foreign: Vec<SocketAddr>,
}

impl FromStr for BindAddr {
    type Err = BindAddrError;

    fn from_str(text: &str) -> Result<BindAddr, BindAddrError> {
        let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u16>().map_err(|_| BindAddrError),
            false => Err(BindAddrError),
        };
        if let Ok(addr) = text.parse() {
            return Ok(BindAddr::Ip(addr));
        }
        let Some((host, digits)) = text.rsplit_once(':') else {
            return Ok(BindAddr::Ip((Ipv4Addr::LOCALHOST, port(text)?).into()));
        };
        let port = port(digits)?;
        if matches!(host, "" | "*") {
            return Ok(BindAddr::Every(port));
        }
        // Any port but 0 shows whether the host is valid.
        let host: HostPort = format!("{host}:1").parse().map_err(|_| BindAddrError)?;
        // A host of digits and dots would be looked up as an abbreviated IPv4 address.
        let is_numeric = host.host().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_numeric { Err(BindAddrError) } else { Ok(BindAddr::Host(host.host().to_owned(), port)) }
    }
}

impl BindAddr {
    /// Returns the addresses to bind. Looks up a host name, which may block.
    ///
    /// # Errors
    /// `bind-no-address` (`host`, `cause`), `bind-not-here` (`host`, `addr`), or
    /// `bind-too-many` (`host`, `count`).
    pub fn resolve(&self) -> Result<BindAddrs, Phrase> {
        let (host, port) = match self {
            BindAddr::Ip(addr) => return Ok(BindAddrs { usable: vec![*addr], ..BindAddrs::default() }),
            BindAddr::Every(port) => {
                let every = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port);
                let every = if has(every.ip()) { every } else { (Ipv4Addr::UNSPECIFIED, *port).into() };
                return Ok(BindAddrs { usable: vec![every], ..BindAddrs::default() });
            }
            BindAddr::Host(host, port) => (host, *port),
        };
        let found = (host.as_str(), port)
            .to_socket_addrs()
            .map_err(|cause| Phrase::new("bind-no-address").with("host", host).with("cause", cause))?;
        let mut all: Vec<SocketAddr> = found.collect();
        all.sort_by_key(SocketAddr::is_ipv6);
        all.dedup();
        let (usable, foreign): (Vec<_>, Vec<_>) = all.into_iter().partition(|addr| has(addr.ip()));
        if usable.is_empty() {
            let addr = foreign.first().map_or("-".to_owned(), |addr| addr.ip().to_string());
            return Err(Phrase::new("bind-not-here").with("host", host).with("addr", addr));
        }
        if usable.len() > UDP_PORTS_MAX {
            let count = usable.len();
            return Err(Phrase::new("bind-too-many").with("host", host).with("count", count));
        }
        Ok(BindAddrs { usable, foreign })
    }
}

/// Whether this machine has the address. An error of another kind is reported by the real bind.
fn has(ip: IpAddr) -> bool {
    use rustix::io::Errno;
    let missing = |error: &io::Error| {
        matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
    };
    !bind::bind_udp(SocketAddr::new(ip, 0)).is_err_and(|error| missing(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_host_and_address_are_parsed() {
        let ip = |text: &str| BindAddr::Ip(text.parse().unwrap());
        let host = |host: &str, port| BindAddr::Host(host.to_owned(), port);
        let table = [
            ("127.0.0.1:8081", ip("127.0.0.1:8081")),
            ("[::]:0", ip("[::]:0")),
            ("8081", ip("127.0.0.1:8081")),
            (":8081", BindAddr::Every(8081)),
            ("*:8081", BindAddr::Every(8081)),
            ("localhost:8081", host("localhost", 8081)),
            ("Chat.Example.org:0", host("chat.example.org", 0)),
        ];
        for (text, wanted) in table {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        let wrong =
            ["", ":", "localhost", "localhost:", "65536", ":65536", "+1", "::1", "a b:1", "1.2:1", "[::1]"];
        for wrong in wrong {
            assert_eq!(wrong.parse::<BindAddr>(), Err(BindAddrError), "{wrong}");
        }
    }

    #[test]
    fn localhost_has_ipv4_address_first() {
        let found = BindAddr::Host("localhost".to_owned(), 7).resolve().unwrap();
        assert_eq!(found.usable[0], "127.0.0.1:7".parse().unwrap());
        assert!(found.usable.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 7));
    }

    #[test]
    fn unknown_host_name_is_refused() {
        let key = |host: &str| BindAddr::Host(host.to_owned(), 7).resolve().unwrap_err().key();
        // RFC 6761 §6.4: the name never exists.
        assert_eq!(key("relay.invalid"), "bind-no-address");
        assert_eq!(BindAddr::Every(9).resolve().unwrap().usable[0].port(), 9);
    }
}
