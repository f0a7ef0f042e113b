//! Names of guests, which the relay derives from their address. Every user can read the address in
//! the name.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Name, RESERVED_PREFIX};

impl Name {
    /// Returns the name of a guest: `guest-ADDRESS-PORT`, with `.` for the `:` of IPv6.
    pub fn of_guest(remote: SocketAddr) -> Name {
        let name = format!("{RESERVED_PREFIX}{}-{}", remote.ip(), remote.port()).replace(':', ".");
        name.parse().expect("an address consists of letters, digits and dots")
    }

    /// Returns the address of the guest with this name; `None` if no relay has assigned the name.
    pub fn guest_address(&self) -> Option<SocketAddr> {
        let (ip, port) = self.0.strip_prefix(RESERVED_PREFIX)?.rsplit_once('-')?;
        let v6 = || ip.replace('.', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
        let ip = ip.parse().ok().map(IpAddr::V4).or_else(v6)?;
        Some(SocketAddr::new(ip, port.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_name_and_address_round_trip() {
        let table = [
            ("127.0.0.1:62851", "guest-127.0.0.1-62851"),
            ("[::1]:9", "guest-..1-9"),
            (
                "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
                "guest-2001.db8.1111.2222.3333.4444.5555.6666-65535",
            ),
        ];
        for (addr, text) in table {
            let addr: SocketAddr = addr.parse().unwrap();
            let name = Name::of_guest(addr);
            assert_eq!(name.as_str(), text);
            assert_eq!(name.guest_address(), Some(addr));
        }
        for text in ["guest-x", "guest-1.2.3.4", "TOM", "guest-1.2.3.4-65536"] {
            assert_eq!(text.parse::<Name>().unwrap().guest_address(), None, "{text}");
        }
    }
}
