//! Admission of handshakes at a relay, before curve arithmetic: one budget for all, and cookies
//! under load.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::{Path, PublicKey, Rate, Rng, Tick};
use crate::wire::packet::{Handshake, MAC_LEN};

use super::cookie::Cookies;
use super::fair_share::{Budget, FairShare, Source};
use super::responder::InitRejection;
use super::source_rate_limiter::{HandshakeLoad, SourceRateLimiter};

/// Cost of a first message that is opened and answered: six curve multiplications, in microseconds
/// of loop time. Measured in a release build, as are the other costs here.
///
/// A constant on every machine. The core has no clock inside a turn, and a measured cost would let
/// a busy machine change the budget. A processor three times slower spends three tenths of its time
/// on a flood. The order in which sources are served does not depend on the figure.
pub const GRANTED_COST_US: u32 = 350;
/// Cost of a first message whose seal does not verify, in microseconds: two curve multiplications,
/// and the keys of the cipher.
pub const FORGED_COST_US: u32 = 130;
/// Extra charge to the address and port of a first message whose seal does not verify, in
/// microseconds: ten granted ones. A client that knows the relay's key makes no such mistake.
/// Others behind the same address are not charged.
const FORGED_PENALTY_US: u32 = 10 * GRANTED_COST_US;

/// Budget of all handshakes together: a tenth of the loop's time, remembered for 20 s.
///
/// A thousand networks that take all they can then have five handshakes each and leave space for
/// the next network. The burst is 10 ms, 28 handshakes: short enough for members not to notice. The
/// 29th is admitted 250 ms later, when its first message is repeated.
pub const HANDSHAKE_BUDGET: Budget =
    Budget { capacity: 2_000_000, time: Duration::from_secs(20), burst: 10_000 };

/// Factor of the remaining budget that one network may use.
///
/// With 3, a single address has seven tenths of the budget. Even 500 forged messages a second from
/// it leave the members behind it their handshakes.
const NETWORK_ALPHA: u32 = 3;

/// Part of the burst kept for networks with few handshakes lately, in microseconds: half of the
/// burst. Half of it is for networks with none. They are admitted at once while others take all
/// they can.
const BURST_RESERVED_US: u32 = 5_000;

/// Handshakes of one known key that do not count against its address. One a second is enough for a
/// client that moves between networks; the burst is two carriers in five rounds.
const KEY_RATE: Rate = Rate::new(Duration::from_secs(1), 10);

/// Whether the relay limits handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeLimits {
    /// [`HANDSHAKE_BUDGET`] in all, shared fairly by networks and addresses. Loopback is exempt,
    /// and identical repeats are not counted. Above 100 per second in all, every UDP source needs a
    /// cookie.
    On,
    /// As `On`, with loopback counted as any other network: for benchmarks.
    OnLoopbackToo,
    /// No limits (`--limits off`, for benchmarks on loopback).
    Off,
}

pub(super) struct Admission {
    load: HandshakeLoad,
    cookies: Cookies,
    fair_share: FairShare,
    key_limiter: SourceRateLimiter,
    counts_loopback: bool,
}

impl Admission {
    /// Returns `None` without limits.
    pub(super) fn new(limits: HandshakeLimits, relay: &PublicKey, rng: &mut Rng) -> Option<Admission> {
        if limits == HandshakeLimits::Off {
            return None;
        }
        let mut key = [0; 32];
        rng.fill(&mut key);
        Some(Admission {
            load: HandshakeLoad::default(),
            cookies: Cookies::new(relay),
            fair_share: FairShare::new(key, HANDSHAKE_BUDGET)
                .with_alpha(NETWORK_ALPHA)
                .with_burst_reserved_for_new(BURST_RESERVED_US),
            key_limiter: SourceRateLimiter::new(key, KEY_RATE),
            counts_loopback: limits == HandshakeLimits::OnLoopbackToo,
        })
    }

    /// Whether curve arithmetic may be done for this INIT. `Ok(false)`: not before its address is
    /// validated.
    ///
    /// Sets `source.proven`. A TCP connection proves its address by being open.
    pub(super) fn admit(
        &mut self,
        now: Tick,
        path: Path,
        source: &mut Source,
        init: &Handshake<'_>,
    ) -> Result<bool, InitRejection> {
        let under_load = self.load.count(now);
        let has_mac2 = *init.mac2 != [0; MAC_LEN];
        source.validated = match path.udp_peer() {
            None => true,
            Some(addr) => has_mac2 && self.cookies.verifies(now, addr, init),
        };
        let may = source.validated || !under_load;
        let admitted =
            may && (self.is_exempt(source.ip) || self.fair_share.admit(now, *source, GRANTED_COST_US));
        match (admitted, source.validated) {
            (false, true) => Err(InitRejection::Throttled),
            (false, false) if has_mac2 => Err(InitRejection::Mac2),
            _ => Ok(admitted),
        }
    }

    /// Whether this INIT proves its address by a cookie. It is counted as any other. Under load,
    /// one with a cookie of another address is an error.
    pub(super) fn check_cookie(
        &mut self,
        now: Tick,
        addr: SocketAddr,
        init: &Handshake<'_>,
    ) -> Result<bool, InitRejection> {
        let under_load = self.load.count(now);
        let has_mac2 = *init.mac2 != [0; MAC_LEN];
        let is_proven = has_mac2 && self.cookies.verifies(now, addr, init);
        if under_load && has_mac2 && !is_proven { Err(InitRejection::Mac2) } else { Ok(is_proven) }
    }

    /// Appends a COOKIE.
    pub(super) fn send_cookie(
        &mut self,
        now: Tick,
        path: Path,
        init: &Handshake<'_>,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) {
        if let Some(addr) = path.udp_peer() {
            self.cookies.write_cookie(now, addr, init, rng, out);
        }
    }

    /// Charges an admitted message that was forged: its own cost is lower than that of a granted
    /// one, and its source pays a fine.
    pub(super) fn penalize(&mut self, now: Tick, source: Source) {
        if !self.is_exempt(source.ip) {
            self.fair_share.refund(now, source, GRANTED_COST_US - FORGED_COST_US);
            self.fair_share.penalize(now, source, FORGED_PENALTY_US);
        }
    }

    /// Refunds an admitted message that was not opened.
    pub(super) fn refund(&mut self, now: Tick, source: Source) {
        if !self.is_exempt(source.ip) {
            self.fair_share.refund(now, source, GRANTED_COST_US);
        }
    }

    /// Counts an admitted message of a known key against the key's own allowance, as far as that
    /// lasts, and not against its source.
    pub(super) fn exempt_known_key(&mut self, now: Tick, source: Source, key: &PublicKey) {
        if !self.is_exempt(source.ip) && self.key_limiter.admit_key(now, key) {
            self.fair_share.discount(now, source, GRANTED_COST_US);
        }
    }

    /// Whether a source is exempt: a process on this machine can take processor time without
    /// handshakes.
    fn is_exempt(&self, ip: IpAddr) -> bool {
        !self.counts_loopback && ip.to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Carrier, ConnId};
    use crate::session::{Identity, InitPayload, Initiator};
    use crate::wire::packet::{self, Packet};

    /// A relay's admission, and a first message whose content does not matter here.
    struct Door {
        gate: Admission,
        init: Vec<u8>,
        granted_us: u64,
    }

    impl Door {
        fn new(limits: HandshakeLimits) -> Door {
            let identity = Identity::from_private([1; 32]);
            let relay = Identity::from_private([2; 32]).public();
            let payload = InitPayload { counter: 1, continues: None };
            let mut rng = Rng::from_seed([3; 32]);
            let init = Initiator::new(&identity, &relay, &payload, 7, Carrier::Tcp, &mut rng).unwrap();
            let gate = Admission::new(limits, &relay, &mut rng).unwrap();
            Door { gate, init: init.packet().to_vec(), granted_us: 0 }
        }

        /// Handles an INIT from this address over TCP, which counts as validated.
        fn knock(&mut self, micros: u64, from: &str) -> Option<Source> {
            let from: SocketAddr = from.parse().unwrap();
            self.knock_from(micros, Path::Tcp(ConnId(1)), from)
        }

        fn knock_from(&mut self, micros: u64, path: Path, from: SocketAddr) -> Option<Source> {
            let Ok(Packet::Init(init)) = packet::parse(Carrier::Tcp, &self.init) else {
                panic!("the packet is an INIT")
            };
            let mut source = Source { ip: from.ip(), port: from.port().into(), validated: false };
            let admitted = self.gate.admit(at(micros), path, &mut source, &init) == Ok(true);
            self.granted_us += if admitted { u64::from(GRANTED_COST_US) } else { 0 };
            admitted.then_some(source)
        }

        /// Handles an INIT as `knock` does, with a seal that does not verify.
        fn forge(&mut self, micros: u64, from: &str) {
            if let Some(source) = self.knock(micros, from) {
                self.gate.penalize(at(micros), source);
            }
        }
    }

    fn at(micros: u64) -> Tick {
        Tick::from_micros(1 + micros)
    }

    #[test]
    fn all_handshakes_use_at_most_tenth_of_time() {
        let mut door = Door::new(HandshakeLimits::On);
        for n in 0..30_000u64 {
            let micros = n * 500;
            door.knock(micros, &format!("10.{}.{}.1:4000", n * 7 % 1_000 / 250, n * 7 % 250));
            assert!(door.granted_us <= 10_000 + micros / 10, "{} µs in {micros}", door.granted_us);
        }
        assert!(door.granted_us > 1_300_000, "{}", door.granted_us);
    }

    /// A thousand networks that ask twice a second each use all that the rate allows. A newcomer is
    /// still admitted at once.
    #[test]
    fn newcomer_is_admitted_at_once_among_thousand_networks() {
        let mut door = Door::new(HandshakeLimits::On);
        for n in 0..20_000u64 {
            let micros = n * 500;
            door.knock(micros, &format!("10.{}.{}.1:4000", n * 7 % 1_000 / 250, n * 7 % 250));
            if n > 10_000 && n % 100 == 0 {
                let newcomer = format!("11.{}.{}.1:4000", n / 25_000, n / 100 % 250);
                assert!(door.knock(micros + 7, &newcomer).is_some(), "{newcomer} after {micros} µs");
            }
        }
    }

    /// The newcomer has had one handshake already, and asks every 250 ms until it has another. It
    /// was restarted, or lost its session. The thousand have had more, but ask more often.
    #[test]
    fn second_handshake_succeeds_soon_among_thousand_networks() {
        let mut door = Door::new(HandshakeLimits::On);
        let mut tries = [0; 8];
        for n in 0..60_000u64 {
            let micros = n * 500;
            door.knock(micros, &format!("10.{}.{}.1:4000", n * 7 % 1_000 / 250, n * 7 % 250));
            for (source, tries) in tries.iter_mut().enumerate().filter(|(_, tries)| **tries < 100) {
                let first = 20_000_000 + source as u64 * 700_000;
                let again = first + 2_000_000 + *tries * 250_000;
                let from = format!("11.0.{source}.1:4000");
                if micros == first {
                    assert!(door.knock(micros + 7, &from).is_some(), "newcomer {source}");
                } else if micros == again {
                    let is_in = door.knock(micros + 7, &from).is_some();
                    *tries += if is_in { 100 } else { 1 };
                    assert!(*tries < 5 || is_in, "newcomer {source} waits for its second handshake");
                }
            }
        }
        assert!(tries.iter().all(|tries| *tries >= 100), "{tries:?}");
    }

    /// Members behind an address that sends 500 bad first messages a second, from one port or from
    /// a range of ports, are not affected.
    #[test]
    fn neighbour_forging_500_inits_per_s_blocks_no_member() {
        for ports in [1, 20_000] {
            let mut door = Door::new(HandshakeLimits::On);
            let mut rng = Rng::from_seed([9; 32]);
            let mut tries = 0;
            let mut signed_in = 0;
            for n in 0..20_000u64 {
                door.forge(n * 2_000, &format!("192.0.2.1:{}", 10_000 + n % ports));
                // 4 members a second, each at a random moment.
                if n >= 10_000 && n % 125 == 0 {
                    tries += 1;
                    let micros = n * 2_000 + rng.below(2_000);
                    signed_in += u64::from(door.knock(micros, "192.0.2.1:777").is_some());
                }
            }
            assert_eq!(signed_in, tries, "{ports} ports");
        }
    }

    /// Whether or not the relay knows their keys, in which case they do not count against their
    /// address.
    #[test]
    fn thousand_clients_of_one_address_sign_in_within_30_s() {
        for known in [true, false] {
            let mut door = Door::new(HandshakeLimits::On);
            let mut out: Vec<u64> = (0..1_000).collect();
            let mut micros = 0;
            while !out.is_empty() {
                // Each tries once in two seconds, at its own moment.
                micros += 2_000;
                let index = (micros / 2_000 * 7 % 1_000).min(out.len() as u64 - 1) as usize;
                let client = out[index];
                if let Some(source) = door.knock(micros, &format!("192.0.2.1:{}", 1_000 + client)) {
                    out.swap_remove(index);
                    let key = PublicKey(std::array::from_fn(|i| client.to_be_bytes()[i % 8]));
                    if known {
                        door.gate.exempt_known_key(at(micros), source, &key);
                    }
                }
                assert!(micros < 30_000_000, "{} are still out, known: {known}", out.len());
            }
        }
    }

    #[test]
    fn forging_address_takes_nothing_from_its_owner() {
        let mut door = Door::new(HandshakeLimits::On);
        let owner: SocketAddr = "192.0.2.1:777".parse().unwrap();
        let mut forged = 0;
        for n in 0..1_800 {
            if let Some(source) = door.knock_from(n * 11_000, Path::Udp(owner), owner) {
                forged += 1;
                door.gate.penalize(at(n * 11_000), source);
            }
        }
        assert!(forged < 1_200, "{forged} of 1,800: a forged one costs as much as ten");
        assert!(door.knock(19_800_000, "192.0.2.1:777").is_some());
    }

    #[test]
    fn loopback_is_exempt_unless_counted() {
        for (limits, all) in [(HandshakeLimits::On, true), (HandshakeLimits::OnLoopbackToo, false)] {
            let mut door = Door::new(limits);
            for from in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
                let admitted = (0..200).filter(|_| door.knock(5, from).is_some()).count();
                assert_eq!(admitted == 200, all, "{from}");
            }
        }
    }
}
