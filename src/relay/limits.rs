//! What one member, one address and everybody together may ask of a relay. Each number is a default that a caller may
//! change; the reasons stand beside them.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::Tick;

/// The bounds of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes, TCP connections, names and letters are counted against one sender. Off for benchmarks only.
    pub per_sender: bool,
    /// Letters a second of one member, in the long run.
    pub letters_per_second: u32,
    /// Letters a member may send at once after a pause.
    pub letters_burst: u32,
    /// Letters kept for one recipient.
    pub queue_letters: usize,
    /// Bytes of bodies kept for one recipient.
    pub queue_bytes: usize,
    /// Letters of one sender kept for one recipient.
    pub pair_letters: usize,
    /// Bytes of bodies of one sender kept for one recipient.
    pub pair_bytes: usize,
    /// TCP connections in all.
    pub conns: usize,
    /// TCP connections of one address, loopback exempt.
    pub conns_per_address: usize,
    /// Sessions in all, those of strangers who never sign in included.
    pub sessions: usize,
    /// Names registered in one hour from one address, loopback exempt.
    pub names_per_hour: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_sender: true,
            letters_per_second: 100,
            letters_burst: 1_000,
            queue_letters: 10_000,
            queue_bytes: 32 << 20,
            pair_letters: 5_000,
            pair_bytes: 8 << 20,
            conns: 1_024,
            conns_per_address: 256,
            sessions: 65_536,
            names_per_hour: 5,
        }
    }
}

/// A TCP connection shows its first valid packet within this time, or is closed.
pub(super) const CONN_FIRST_PACKET: Duration = Duration::from_secs(5);
/// A TCP connection without a valid packet for this long is closed: three keep-alives and slack.
pub(super) const CONN_IDLE: Duration = Duration::from_secs(75);
/// A member unheard for this long is offline.
pub(super) const OFFLINE_AFTER: Duration = Duration::from_secs(75);
/// A session unheard for this long is forgotten.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);
/// A session that nobody confirmed is forgotten: the answer or the client is lost.
pub(super) const UNCONFIRMED_FOR: Duration = Duration::from_secs(10);
/// A recipient that is given letters and not heard for this long counts as lost until it is heard again: its senders
/// are waiting, and until letters are kept on disk nobody else can answer them.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(8);
/// Letters handed to one recipient's session and not yet stored by it; the rest wait in its queue.
pub(super) const HANDED_MAX: usize = 512;
/// Flows (outbox and recipient) one session may have open; each costs about 100 bytes.
pub(super) const FLOWS_MAX: usize = 4_096;
/// Refusals waiting for room on a sender's control stream; above it no more letters are read from it.
pub(super) const REFUSALS_MAX: usize = 1_024;
/// Sessions of one identity that are not yet confirmed: one for each carrier of a client that tries both.
pub(super) const PENDING_MAX: usize = 2;
/// Stateless resets in a second, to all together: enough for a thousand clients after a restart, and 24 kB whatever the
/// flood.
pub(super) const RESETS_PER_SECOND: u32 = 1_000;
/// How long a session that we ended answers late packets with its CLOSE: longer than a keep-alive, so that an idle
/// client learns it.
pub(super) const CLOSING_FOR: Duration = Duration::from_secs(30);
/// Names like an unknown one are looked for so often in a minute for one session; more refusals go without.
pub(super) const LOOKUPS_PER_MINUTE: u32 = 30;

/// A token bucket: so many at once, so many a second in the long run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    micro_tokens: u64,
    at: Tick,
}

const MICRO: u64 = 1_000_000;

impl Bucket {
    pub(super) fn full(burst: u32, now: Tick) -> Bucket {
        Bucket { micro_tokens: u64::from(burst) * MICRO, at: now }
    }

    /// Whether a token is there, or when one will be.
    pub(super) fn ready(&mut self, now: Tick, per_second: u32, burst: u32) -> Result<(), Tick> {
        let gained = (now.since(self.at).as_micros() as u64).saturating_mul(u64::from(per_second));
        self.micro_tokens = (self.micro_tokens.saturating_add(gained)).min(u64::from(burst) * MICRO);
        self.at = now;
        match MICRO.checked_sub(self.micro_tokens) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(now + Duration::from_micros(missing.div_ceil(u64::from(per_second.max(1))))),
        }
    }

    /// Takes the token that is there.
    pub(super) fn spend(&mut self) {
        self.micro_tokens = self.micro_tokens.saturating_sub(MICRO);
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let start = Tick::from_micros(7);
        let mut bucket = Bucket::full(3, start);
        for _ in 0..3 {
            assert_eq!(bucket.ready(start, 100, 3), Ok(()));
            bucket.spend();
        }
        let again = start + Duration::from_millis(10);
        assert_eq!(bucket.ready(start, 100, 3), Err(again));
        assert_eq!(bucket.ready(again, 100, 3), Ok(()));
        bucket.spend();
        assert!(bucket.ready(again, 100, 3).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(source(a), source(b));
    }
}
