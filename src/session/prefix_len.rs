//! Sizes of networks as they are assigned, by the length of their prefixes.

use std::net::IpAddr;

/// The length of a network's prefix, in bits of an IPv4 and of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLen {
    v4: u8,
    v6: u8,
}

impl PrefixLen {
    /// A provider: the smallest IPv6 allocation of a registry, and the IPv4 addresses of a provider
    /// of some size.
    pub const PROVIDER: PrefixLen = PrefixLen { v4: 16, v6: 32 };
    /// An office or a campus. One subscriber rarely has more.
    pub const SITE: PrefixLen = PrefixLen { v4: 24, v6: 48 };
    /// A home.
    pub const HOME: PrefixLen = PrefixLen { v4: 32, v6: 56 };
    /// One source: an IPv4 address, or one link with all its IPv6 addresses.
    pub const SOURCE: PrefixLen = PrefixLen { v4: 32, v6: 64 };

    /// Returns the network of this size that contains an address, as its first address. An
    /// IPv4-mapped IPv6 address counts as IPv4.
    pub fn network(self, ip: IpAddr) -> IpAddr {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4)).unwrap_or(0);
                IpAddr::from((u32::from(v4) & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6)).unwrap_or(0);
                IpAddr::from((u128::from(v6) & mask).to_be_bytes())
            }
        }
    }

    /// Returns the length for addresses of this family.
    pub(super) fn of(self, ip: IpAddr) -> u8 {
        if ip.is_ipv4() { self.v4 } else { self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_nest_by_prefix_length_in_both_families() {
        let lens = [PrefixLen::PROVIDER, PrefixLen::SITE, PrefixLen::HOME, PrefixLen::SOURCE];
        let of = |text: &str| lens.map(|len| len.network(text.parse().unwrap()).to_string());
        assert_eq!(of("192.0.2.77"), ["192.0.0.0", "192.0.2.0", "192.0.2.77", "192.0.2.77"]);
        assert_eq!(of("::ffff:192.0.2.77"), of("192.0.2.77"));
        assert_eq!(
            of("2001:db8:7:1234:5::1"),
            ["2001:db8::", "2001:db8:7::", "2001:db8:7:1200::", "2001:db8:7:1234::"]
        );
    }
}
