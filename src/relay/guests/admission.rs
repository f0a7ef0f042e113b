//! Admission of text datagrams. Forging a source address costs nothing, so limits for all addresses
//! together are needed.
//!
//! | text | limit for all addresses together |
//! | --- | --- |
//! | the first of an address | 50/s, burst 500 |
//! | the next of an address whose first was refused | 50/s, burst 500 |
//! | these two, for one network (/24, /48) | 25/s, burst 250 |
//! | of a guest without a reply | 100/s, burst 1,000 |
//! | of a guest with a reply of a member | 1,000/s, burst 1,000 |
//!
//! Each source (/32, /64) has at most 100/s, burst 1,000, like a member. Loopback has no network
//! limit, because no packet from outside has such a source.
//!
//! The first datagram of an honest guest is taken with probability 1 while at most 50 new addresses
//! write per second, and with 50/F among F. Its second one within a minute is taken with
//! probability 1, unless the forger repeats addresses 50 times a second too.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::{Rate, RateLimiter, Rng, Tick};
use crate::relay::limits::source;
use crate::session::PrefixLen;

use super::byte_budgets::ByteBudgets;
use super::recent_addrs::RecentAddrs;
use super::slots::GuestClass;

/// Rate of one source's texts over UDP or TCP: that of a member.
pub(super) const SOURCE_RATE: Rate = Rate::new(Duration::from_millis(10), 1_000);
/// Rate of first texts. At this rate no guest is evicted from [`super::slots`] within
/// half a minute.
const FIRST_RATE: Rate = Rate::new(Duration::from_millis(20), 500);
/// Half of it for one network: a network that forges only its own addresses leaves the other half.
const NETWORK_RATE: Rate = Rate::new(Duration::from_millis(40), 250);
/// All guests without a reply together may write as much as one member.
const UNANSWERED_RATE: Rate = Rate::new(Duration::from_millis(10), 1_000);
/// All guests with a reply may write as much as ten members: the members choose whom to answer.
const ANSWERED_RATE: Rate = Rate::new(Duration::from_millis(1), 1_000);

/// A rate for all addresses together.
#[derive(Debug)]
struct RateBudget {
    limiter: RateLimiter,
    rate: Rate,
}

impl RateBudget {
    fn new(rate: Rate) -> RateBudget {
        RateBudget { limiter: RateLimiter::default(), rate }
    }

    fn admit(&mut self, now: Tick) -> bool {
        self.limiter.admit(now, self.rate)
    }
}

/// The limits of text over UDP.
#[derive(Debug)]
pub(super) struct GuestAdmission {
    by_source: ByteBudgets,
    by_network: ByteBudgets,
    first: RateBudget,
    second: RateBudget,
    without_reply: RateBudget,
    with_reply: RateBudget,
    /// Addresses whose first text was refused.
    recently_refused: RecentAddrs,
}

impl GuestAdmission {
    pub(super) fn new(rng: &mut Rng) -> GuestAdmission {
        GuestAdmission {
            by_source: ByteBudgets::new(rng, SOURCE_RATE),
            by_network: ByteBudgets::new(rng, NETWORK_RATE),
            first: RateBudget::new(FIRST_RATE),
            second: RateBudget::new(FIRST_RATE),
            without_reply: RateBudget::new(UNANSWERED_RATE),
            with_reply: RateBudget::new(ANSWERED_RATE),
            recently_refused: RecentAddrs::new(rng),
        }
    }

    /// Whether one source may send one more text, for any recipient.
    pub(super) fn admit_source(&mut self, now: Tick, ip: IpAddr) -> bool {
        self.by_source.admit(now, source(ip))
    }

    /// Whether the first text of an address without a guest is taken.
    pub(super) fn admit_stranger(&mut self, now: Tick, from: SocketAddr) -> bool {
        let budget =
            if self.recently_refused.contains(now, from) { &mut self.second } else { &mut self.first };
        let ip = from.ip();
        let network = PrefixLen::SITE.network(ip);
        let admitted = (ip.is_loopback() || self.by_network.admit(now, network)) && budget.admit(now);
        if !admitted {
            self.recently_refused.insert(now, from);
        }
        admitted
    }

    /// Whether one more text of a known guest is taken.
    pub(super) fn admit_guest(&mut self, now: Tick, class: GuestClass) -> bool {
        match class {
            GuestClass::Unanswered => self.without_reply.admit(now),
            GuestClass::Answered | GuestClass::Talking => self.with_reply.admit(now),
        }
    }
}

/// Whether a text datagram can come from a guest.
///
/// A source port below 1024 may belong to a server that answers everything (DNS, NTP, chargen). A
/// multicast, broadcast or unspecified address cannot be answered.
pub(super) fn is_possible(from: SocketAddr) -> bool {
    let ip = from.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    from.port() >= 1_024 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::from_micros(5_000_000);

    fn gate() -> GuestAdmission {
        GuestAdmission::new(&mut Rng::from_seed([1; 32]))
    }

    fn forged(n: u32) -> SocketAddr {
        SocketAddr::from(((0x0a00_0000 + n * 256).to_be_bytes(), 6_000))
    }

    #[test]
    fn second_text_is_taken_during_flood_of_first_ones() {
        let mut gate = gate();
        let guest = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let taken = (0..10_000).filter(|n| gate.admit_stranger(NOW, forged(*n))).count();
        assert_eq!(taken, 500);
        assert!(!gate.admit_stranger(NOW, guest), "one of many first texts");
        assert!(gate.admit_stranger(NOW, guest), "one of few second texts");
        assert!(gate.admit_guest(NOW, GuestClass::Unanswered) && gate.admit_guest(NOW, GuestClass::Talking));
    }

    #[test]
    fn one_network_takes_half_of_first_texts() {
        let mut gate = gate();
        let host = |n: u32| SocketAddr::from(([203, 0, 113, n as u8], 2_000 + n as u16));
        let taken = (0..1_000).filter(|n| gate.admit_stranger(NOW, host(*n))).count();
        assert_eq!(taken, 250);
        assert!((0..1_000).all(|n| !gate.admit_stranger(NOW, host(n))), "nor by writing twice");
        assert!((0..200).all(|n| gate.admit_stranger(NOW, forged(n))));
    }

    #[test]
    fn impossible_sources_are_recognized() {
        let possible = |text: &str| is_possible(text.parse().unwrap());
        for text in ["192.0.2.1:53", "192.0.2.1:123", "192.0.2.1:19", "192.0.2.1:1023", "192.0.2.1:0"] {
            assert!(!possible(text), "{text}");
        }
        for text in ["0.0.0.0:5000", "224.0.0.1:5000", "255.255.255.255:5000", "[::]:5000", "[ff02::1]:5000"]
        {
            assert!(!possible(text), "{text}");
        }
        assert!(possible("192.0.2.1:1024") && possible("[2001:db8::1]:65535"));
    }
}
