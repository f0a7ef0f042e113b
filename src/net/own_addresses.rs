//! The addresses of this machine, as other machines may reach it.

use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Returns the addresses of interfaces that are up, IPv4 first, each once, in the order of the
/// system. Excludes loopback.
///
/// An IPv4 link-local address (169.254/16, RFC 3927) is returned only if there is no other address.
/// IPv6 link-local addresses (fe80::/10) exist on every interface and mean nothing without its
/// name, so they are excluded. Returns nothing if the system does not list its interfaces.
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    reachable(addresses.collect())
}

fn reachable(all: Vec<IpAddr>) -> Vec<IpAddr> {
    let is_usable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_unspecified() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local()),
    };
    let mut addrs: Vec<IpAddr> = Vec::new();
    let usable = |is_v4: bool| all.iter().filter(move |ip| is_usable(ip) && ip.is_ipv4() == is_v4);
    for ip in usable(true).chain(usable(false)) {
        if !addrs.contains(ip) {
            addrs.push(*ip);
        }
    }
    if addrs.is_empty() {
        let is_local = |ip: &&IpAddr| matches!(ip, IpAddr::V4(v4) if Ipv4Addr::is_link_local(v4));
        addrs.extend(all.iter().find(is_local));
    }
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reachable_addresses_are_kept() {
        let table: [(&[&str], &[&str]); 5] = [
            (&["127.0.0.1", "::1"], &[]),
            (&["::1", "fe80::1", "2001:db8::1", "10.0.0.2"], &["10.0.0.2", "2001:db8::1"]),
            (&["192.0.2.1", "192.0.2.1", "169.254.1.1"], &["192.0.2.1"]),
            (&["127.0.0.1", "169.254.1.1", "fe80::1"], &["169.254.1.1"]),
            (&["fe80::1", "0.0.0.0", "::"], &[]),
        ];
        let parsed = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        for (all, kept) in table {
            assert_eq!(reachable(parsed(all)), parsed(kept), "{all:?}");
        }
    }

    #[test]
    fn own_addresses_exclude_loopback_and_unspecified() {
        assert!(own_addresses().iter().all(|ip| !ip.is_loopback() && !ip.is_unspecified()));
    }
}
