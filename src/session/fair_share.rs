//! One budget for all sources, shared fairly by the networks they are in.
//!
//! Usage decays: it counts for 1/e of itself after the budget's time. A network may use at most a
//! fixed multiple of the rest of the budget (dynamic thresholds, Choudhury and Hahne 1998). So k
//! networks that take all they can converge to the same share and leave some for the next one. The
//! number of addresses of a network does not matter. Inside a network the same holds for its parts.
//! By default these are /48 ⊃ /56 ⊃ /64 ⊃ address and port for IPv6. For IPv4 they are /24 ⊃ /32 ⊃
//! address and port.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use blake2::Blake2sMac;
use blake2::digest::consts::U8;
use blake2::digest::{KeyInit, Mac};

use crate::base::{RateLimiter, Tick};

use super::prefix_len::PrefixLen;

/// Entries per hash: enough that sources rarely evict each other.
const WAYS: usize = 4;
/// Groups of entries per level: 4,096 networks of a size in 96 KiB, whatever the flood.
const SETS: usize = 1_024;
/// Levels below the total: three sizes of networks, and the address with its port.
const LEVELS: usize = 4;
/// The level of the address with its port.
const FINEST: usize = LEVELS - 1;
/// Factor of a network's remaining share that one part of it may use: 4, so that a single part has
/// 4/5 of it.
const INNER_ALPHA: u64 = 4;
/// Fraction bits of a counter. Usage is counted in parts of a unit, so that a budget of a few units
/// decays smoothly.
const PART_BITS: u32 = 16;
/// Steps of decay within the budget's time.
///
/// Enough that one step frees less than one source asks for. All counters use the same steps, so
/// that the parts of a network add up to the whole.
const STEPS: u32 = 16_384;
/// The remainder after 1, 2, 4, … steps, in units of 2⁻³². After all of them together, 64 times the
/// budget's time, nothing remains.
const DECAY: [u64; 20] = decay_factors();

const fn decay_factors() -> [u64; 20] {
    // e^(-1/16384)
    let mut decay_factors = [4_294_705_160; 20];
    let mut at = 1;
    while at < decay_factors.len() {
        decay_factors[at] = (decay_factors[at - 1] * decay_factors[at - 1]) >> 32;
        at += 1;
    }
    decay_factors
}

/// The amount that all sources together may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Maximum usage, at most 2³² − 1. It is regained in `time`, so the rate is `capacity` per
    /// `time`.
    pub capacity: u32,
    /// Time in which usage decays to 1/e.
    pub time: Duration,
    /// Maximum usage at once, for all sources together; beyond it the rate applies. At most
    /// `capacity`.
    pub burst: u32,
}

/// The sender of a request: an address and its port.
///
/// Addresses that may be forged are counted separately, so that forging them takes nothing from
/// their owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its address.
    pub ip: IpAddr,
    /// Its port, or another number that distinguishes sources behind one address.
    pub port: u64,
    /// Whether the address is validated.
    pub validated: bool,
}

/// The usage of all sources, in tables of fixed size. At the bound the network with the lowest
/// usage is forgotten.
pub struct FairShare {
    budget: Budget,
    /// Sizes of the networks of each level, the widest first.
    lens: [PrefixLen; FINEST],
    /// Factor of the remaining budget that one network may use.
    alpha: u64,
    /// Part of the burst for sources whose widest network has used little of its share.
    burst_reserved: u32,
    key: [u8; 32],
    all: Usage,
    /// The rate of all sources together.
    limiter: RateLimiter,
    levels: [Vec<NetworkEntry>; LEVELS],
}

#[derive(Clone, Copy, Default)]
struct Usage {
    parts: u64,
    /// The step at which `parts` was correct.
    step: u64,
}

#[derive(Clone, Copy, Default)]
struct NetworkEntry {
    network: u64,
    usage: Usage,
}

/// The counters of a source: the hash of its network on each level. `None` if the level does not
/// exist in its address family.
type Networks = [Option<u64>; LEVELS];

impl FairShare {
    /// Creates an unused budget. The tables are hashed with the secret `key`.
    pub fn new(key: [u8; 32], budget: Budget) -> FairShare {
        let levels = std::array::from_fn(|_| vec![NetworkEntry::default(); SETS * WAYS]);
        FairShare {
            budget,
            lens: [PrefixLen::SITE, PrefixLen::HOME, PrefixLen::SOURCE],
            alpha: 1,
            burst_reserved: 0,
            key,
            all: Usage::default(),
            limiter: RateLimiter::default(),
            levels,
        }
    }

    /// Shares by networks of these sizes, the widest first. Equal sizes in an address family are
    /// one level.
    pub fn with_networks(self, lens: [PrefixLen; FINEST]) -> FairShare {
        FairShare { lens, ..self }
    }

    /// Allows a network `alpha` times the rest of the budget: k of them leave 1/(1 + k·alpha), and
    /// a single one has more.
    pub fn with_alpha(self, alpha: u32) -> FairShare {
        FairShare { alpha: alpha.into(), ..self }
    }

    /// Keeps a part of the burst for sources whose widest network has used nothing for the budget's
    /// time.
    ///
    /// Others get less of it the more of their share they have used. Where many take all that the
    /// rate allows, a newcomer is served before them, and its second request too.
    pub fn with_burst_reserved_for_new(self, burst_reserved: u32) -> FairShare {
        FairShare { burst_reserved, ..self }
    }

    /// Whether the budget has space for `cost` from this source. Counts it if so.
    pub fn admit(&mut self, now: Tick, source: Source, cost: u32) -> bool {
        let networks = self.networks(source);
        let step = self.step(now);
        let is_new = self.is_new_at(step, &networks);
        let used = self.all.at(step);
        let parts_max = parts(self.budget.capacity);
        let remaining = parts_max.saturating_sub(used);
        let parts = parts(cost);
        let mut room = remaining.saturating_mul(self.alpha).min(parts_max);
        let reserved = if is_new { 0 } else { self.burst_reserved_from(step, &networks, cost) };
        if parts > remaining || !self.is_within_rate(now, cost, reserved) {
            return false;
        }
        for (level, network) in networks.iter().enumerate() {
            let Some(network) = *network else { continue };
            let used = self.used(level, network, step);
            if used + parts > room {
                return false;
            }
            room = INNER_ALPHA.saturating_mul(room - used).min(parts_max);
        }
        self.all.add(step, parts);
        self.limiter.spend(now, self.time_of(cost));
        self.add(step, &networks, parts);
        true
    }

    /// Adds `extra` to the cost of an admitted request, on all levels. Later requests wait for it.
    pub fn charge(&mut self, now: Tick, source: Source, extra: u32) {
        let networks = self.networks(source);
        let step = self.step(now);
        self.all.add(step, parts(extra));
        self.limiter.spend(now, self.time_of(extra));
        self.add(step, &networks, parts(extra));
    }

    /// Adds `extra` to the usage of this address and port, and not to that of its networks: its
    /// admitted request was useless.
    pub fn penalize(&mut self, now: Tick, source: Source, extra: u32) {
        let networks = self.networks(source);
        let step = self.step(now);
        let finest = std::array::from_fn(|level| networks[level].filter(|_| level == FINEST));
        self.add(step, &finest, parts(extra));
    }

    /// Takes an admitted request off the usage of its source. It still counts for all sources
    /// together.
    pub fn discount(&mut self, now: Tick, source: Source, cost: u32) {
        let networks = self.networks(source);
        let step = self.step(now);
        for (level, network) in networks.iter().enumerate() {
            if let Some(entry) = network.and_then(|network| self.find(level, network)) {
                entry.usage.parts = entry.usage.at(step).saturating_sub(parts(cost));
                entry.usage.step = step;
            }
        }
    }

    /// Takes an admitted request off all usage, because it cost nothing.
    pub fn refund(&mut self, now: Tick, source: Source, cost: u32) {
        self.discount(now, source, cost);
        let step = self.step(now);
        self.all = Usage { parts: self.all.at(step).saturating_sub(parts(cost)), step };
        self.limiter.refund(self.time_of(cost));
    }

    /// Whether the widest network of this source has used nothing for the budget's time, as far as
    /// is remembered.
    pub fn is_new(&self, now: Tick, source: Source) -> bool {
        self.is_new_at(self.step(now), &self.networks(source))
    }

    /// Returns the usage of all sources together.
    pub fn used_by_all(&self, now: Tick) -> u32 {
        (self.all.at(self.step(now)) >> PART_BITS) as u32
    }

    fn is_new_at(&self, step: u64, networks: &Networks) -> bool {
        let Some(network) = networks[0] else { return false };
        self.entry(0, network).is_none_or(|entry| {
            entry.usage.parts == 0 || step.saturating_sub(entry.usage.step) > u64::from(STEPS)
        })
    }

    /// Returns the part of the burst kept from a source that wants `cost`.
    ///
    /// Half of `burst_reserved` is for new sources only. The rest grows with the logarithm of the
    /// usage of its widest network. So the source with the lowest usage is next, however often
    /// others ask.
    fn burst_reserved_from(&self, step: u64, networks: &Networks, cost: u32) -> u32 {
        let used = networks[0].map_or(0, |network| self.used(0, network, step));
        let used = log2(used / parts(cost).max(1));
        let levels_max = log2((self.budget.capacity / cost.max(1)).into());
        let for_new = self.burst_reserved / 2;
        for_new + (u64::from(self.burst_reserved - for_new) * used.min(levels_max) / levels_max.max(1)) as u32
    }

    /// Whether `cost` may be used at once now, if `reserved` of the burst is for others.
    fn is_within_rate(&self, now: Tick, cost: u32, reserved: u32) -> bool {
        let burst = self.time_of(self.budget.burst.saturating_sub(reserved));
        let cost = self.time_of(cost);
        cost <= burst && self.limiter.ready_at(cost, burst) <= now
    }

    /// Returns how long the rate takes for `cost`.
    fn time_of(&self, cost: u32) -> Duration {
        let micros =
            self.budget.time.as_micros() * u128::from(cost) / u128::from(self.budget.capacity.max(1));
        Duration::from_micros(micros as u64)
    }

    fn step(&self, now: Tick) -> u64 {
        let micros = self.budget.time.as_micros() as u64;
        now.as_micros() / (micros / u64::from(STEPS)).max(1)
    }

    fn add(&mut self, step: u64, networks: &Networks, parts: u64) {
        for (level, network) in networks.iter().enumerate() {
            let Some(network) = *network else { continue };
            self.find_or_insert(level, network, step).usage.add(step, parts);
        }
    }

    fn used(&self, level: usize, network: u64, step: u64) -> u64 {
        self.entry(level, network).map_or(0, |entry| entry.usage.at(step))
    }

    fn entry(&self, level: usize, network: u64) -> Option<&NetworkEntry> {
        self.levels[level][entry_range(network)].iter().find(|entry| entry.network == network)
    }

    fn find(&mut self, level: usize, network: u64) -> Option<&mut NetworkEntry> {
        self.levels[level][entry_range(network)].iter_mut().find(|entry| entry.network == network)
    }

    fn find_or_insert(&mut self, level: usize, network: u64, step: u64) -> &mut NetworkEntry {
        let entries = &mut self.levels[level][entry_range(network)];
        let at = entries.iter().position(|entry| entry.network == network).unwrap_or_else(|| {
            let least_used = (0..WAYS).min_by_key(|at| entries[*at].usage.at(step)).unwrap_or(0);
            entries[least_used] = NetworkEntry { network, usage: Usage::default() };
            least_used
        });
        &mut entries[at]
    }

    /// Returns the hashes of a source's networks. They are keyed with a secret, so that an attacker
    /// cannot choose sources that share entries.
    fn networks(&self, source: Source) -> Networks {
        let mac = <Blake2sMac<U8> as KeyInit>::new_from_slice(&self.key).expect("BLAKE2s takes 32-byte keys");
        let hash = |bits: u8, ip: IpAddr, port: u64| {
            let mac = mac.clone().chain_update([u8::from(source.validated), bits]);
            let mac = match ip {
                IpAddr::V4(ip) => mac.chain_update(ip.octets()),
                IpAddr::V6(ip) => mac.chain_update(ip.octets()),
            };
            u64::from_be_bytes(mac.chain_update(port.to_be_bytes()).finalize().into_bytes().into())
        };
        let ip = source.ip.to_canonical();
        let of_level = |level: usize| {
            let len = self.lens[level];
            let wider = level.checked_sub(1).map(|level| self.lens[level]);
            let is_one = wider.is_some_and(|wider| wider.of(ip) == len.of(ip));
            (!is_one).then(|| hash(len.of(ip), len.network(ip), 0))
        };
        [of_level(0), of_level(1), of_level(2), Some(hash(0, ip, source.port))]
    }
}

impl Usage {
    /// Returns the usage left at a step.
    fn at(self, step: u64) -> u64 {
        let steps = step.saturating_sub(self.step);
        if steps >> DECAY.len() > 0 {
            return 0;
        }
        let set_bits = (0..DECAY.len()).filter(|bit| steps >> bit & 1 == 1);
        set_bits.fold(self.parts, |parts, bit| ((u128::from(parts) * u128::from(DECAY[bit])) >> 32) as u64)
    }

    fn add(&mut self, step: u64, parts: u64) {
        *self = Usage { parts: self.at(step).saturating_add(parts), step };
    }
}

fn parts(units: u32) -> u64 {
    u64::from(units) << PART_BITS
}

/// Returns the binary logarithm of `times`, in units of 1/256. It is linear between powers of two.
fn log2(times: u64) -> u64 {
    let whole = u64::from(times.max(1).ilog2());
    whole * 256 + (((times.max(1) << (63 - whole)) >> 55) & 0xFF)
}

/// Returns the entries of a level that may hold this network.
fn entry_range(network: u64) -> std::ops::Range<usize> {
    let start = (network % SETS as u64) as usize * WAYS;
    start..start + WAYS
}

/// Hides the key.
impl fmt::Debug for FairShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairShare").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    /// 10,000 units per second, remembered for one second, 200 at once.
    const BUDGET: Budget = Budget { capacity: 10_000, time: Duration::from_secs(1), burst: 200 };
    const COST: u32 = 4;

    fn shares() -> FairShare {
        FairShare::new([1; 32], BUDGET)
    }

    fn source(ip: &str, port: u64) -> Source {
        Source { ip: ip.parse().unwrap(), port, validated: true }
    }

    fn v4(network: usize, host: usize) -> Source {
        source(&format!("10.{}.{}.{host}", network / 256, network % 256), 4_000)
    }

    /// Lets sources ask in a random order, each `count` times on average in six seconds. Returns
    /// the units granted to each in the last three.
    fn grants(shares: &mut FairShare, sources: &[Source], count: usize) -> Vec<u32> {
        let mut granted = vec![0; sources.len()];
        let mut rng = Rng::from_seed([7; 32]);
        let tries = count * sources.len();
        for n in 0..tries {
            let now = Tick::from_micros((n * 6_000_000 / tries) as u64);
            let asking = rng.below(sources.len() as u64) as usize;
            let is_admitted = shares.admit(now, sources[asking], COST);
            granted[asking] += if is_admitted && n >= tries / 2 { COST } else { 0 };
        }
        granted
    }

    fn assert_alike(granted: &[u32]) {
        let least = granted.iter().min().unwrap();
        let most = granted.iter().max().unwrap();
        assert!(most - least <= most / 3, "{granted:?}");
    }

    #[test]
    fn greedy_networks_share_equally_and_leave_spare_capacity() {
        for count in [1, 4, 20] {
            let mut shares = shares();
            let sources: Vec<_> = (0..count).map(|n| v4(n, 1)).collect();
            assert_alike(&grants(&mut shares, &sources, 30_000 / count));
            let free = BUDGET.capacity - shares.used_by_all(Tick::from_micros(6_000_000));
            assert!(free >= BUDGET.capacity / (count as u32 + 2), "{count}: {free}");
        }
    }

    #[test]
    fn newcomer_is_admitted_among_thousand_greedy_networks() {
        let mut shares = shares();
        let sources: Vec<_> = (0..1_000).map(|n| v4(n, 1)).collect();
        grants(&mut shares, &sources, 60);
        let admitted = (0..20).filter(|n| {
            let now = |part: u64| Tick::from_micros(6_000_000 + n * 10_000 + part * 100);
            for part in 0..100 {
                shares.admit(now(part), sources[(n * 100 + part) as usize % 1_000], COST);
            }
            shares.admit(now(100), v4(2_000 + *n as usize, 1), COST)
        });
        assert_eq!(admitted.count(), 20);
    }

    #[test]
    fn total_usage_never_exceeds_rate() {
        let mut shares = shares();
        let mut granted = 0;
        for n in 0..30_000u64 {
            let now = Tick::from_micros(n * 100);
            granted +=
                if shares.admit(now, v4((n * 7 % 3_000) as usize, 1), COST) { u64::from(COST) } else { 0 };
            assert!(granted <= 200 + n, "{granted} after {n} tries");
        }
        assert!(granted > 25_000, "{granted}: the rate can be used");
    }

    /// A thousand /64 of one /48 together get no more than a single source in another /48.
    #[test]
    fn thousand_64s_of_one_48_share_one_48_budget() {
        let mut shares = shares();
        let mut sources: Vec<_> = (0..1_000).map(|n| source(&format!("2001:db8:0:{n:x}::1"), 1)).collect();
        let other = source("2001:db8:1::1", 1);
        sources.extend([other; 1_000]);
        let granted = grants(&mut shares, &sources, 30);
        let crowd: u32 = granted[..1_000].iter().sum();
        let other: u32 = granted[1_000..].iter().sum();
        assert!(crowd < other * 5 / 4, "{crowd} {other}");
    }

    #[test]
    fn parts_of_network_share_it_fairly() {
        let mut shares = shares();
        let mut sources: Vec<_> = (0..64).map(|n| source(&format!("2001:db8:0:{n:x}::1"), 1)).collect();
        sources.extend([source("2001:db8:0:100::1", 1); 64]);
        let granted = grants(&mut shares, &sources, 1_000);
        let crowd: u32 = granted[..64].iter().sum();
        let other: u32 = granted[64..].iter().sum();
        assert!(crowd < other * 3 / 2, "a /56 and another: {crowd} {other}");
        assert_alike(&granted[..64]);
    }

    #[test]
    fn single_source_gets_two_fifths() {
        for source in [v4(1, 1), source("2001:db8::1", 1)] {
            let granted = grants(&mut shares(), &[source], 30_000)[0];
            assert!((12_000..15_600).contains(&granted), "{granted} of 30,000");
        }
    }

    /// Another port of the same address is still admitted.
    #[test]
    fn punishment_counts_against_its_port_only() {
        let mut shares = shares();
        let now = Tick::from_micros(1);
        let bad = source("192.0.2.1", 1);
        let good = source("192.0.2.1", 2);
        shares.penalize(now, bad, BUDGET.capacity);
        assert!(!shares.admit(now, bad, COST));
        assert!(shares.admit(now, good, COST));
    }

    /// Unvalidated addresses have separate counters.
    #[test]
    fn forged_addresses_take_nothing_from_owners() {
        let mut shares = shares();
        let start = Tick::from_micros(1);
        let owner = v4(1, 1);
        let now = start + Duration::from_millis(600);
        shares.charge(start, Source { validated: false, ..owner }, 6_000);
        assert!(!shares.admit(now, Source { validated: false, ..owner }, 3_000));
        assert!(shares.admit(now, owner, COST));
        shares.penalize(now, owner, 10_000);
        assert!(!shares.admit(now, owner, COST), "its own use");
    }

    #[test]
    fn forgiven_use_counts_for_all_and_refunded_use_for_none() {
        let mut shares = shares();
        let now = Tick::from_micros(1);
        assert!(shares.admit(now, v4(1, 1), 100));
        assert!(!shares.is_new(now, v4(1, 2)) && shares.is_new(now, v4(2, 1)));
        shares.discount(now, v4(1, 1), 100);
        assert!(shares.is_new(now, v4(1, 1)));
        assert_eq!(shares.used_by_all(now), 100);
        assert!(shares.admit(now, v4(1, 1), 100) && !shares.admit(now, v4(1, 1), 100));
        shares.refund(now, v4(1, 1), 100);
        assert!(shares.admit(now, v4(1, 1), 100), "the burst is refunded too");
        assert_eq!(shares.used_by_all(now), 200);
    }

    #[test]
    fn other_network_sizes_are_supported() {
        let budget = Budget { capacity: 60, time: Duration::from_secs(3_600), burst: 60 };
        let shares = || FairShare::new([1; 32], budget);
        let now = Tick::from_micros(1);
        let lens = [PrefixLen::PROVIDER, PrefixLen::SITE, PrefixLen::SOURCE];
        let site = |provider: u16, n: u16| source(&format!("2001:{provider:x}:{n:x}::1"), 1);
        for (mut shares, most) in [(shares(), 60), (shares().with_networks(lens), 30)] {
            let admitted = (0..1_000).filter(|n| shares.admit(now, site(1, *n), 1)).count();
            assert_eq!(admitted, most);
            assert_eq!(shares.admit(now, site(2, 0), 1), most < 60);
        }
    }

    /// At the limit of the burst, the source with the lower usage is next, though others ask just
    /// before.
    #[test]
    fn source_with_least_usage_is_next() {
        let mut shares = shares().with_alpha(3).with_burst_reserved_for_new(100);
        let now = Tick::from_micros(1);
        shares.charge(now, v4(1, 1), 64);
        shares.charge(now, v4(2, 1), 16);
        while shares.admit(now, v4(1, 1), COST) {}
        assert!(shares.admit(now, v4(2, 1), COST));
        while shares.admit(now, v4(2, 1), COST) {}
        assert!(!shares.admit(now, v4(1, 1), COST));
        assert!(shares.admit(now, v4(3, 1), COST), "half of the kept burst is for new sources");
    }

    #[test]
    fn logarithm_grows_evenly() {
        assert_eq!([0, 1, 2, 3, 4, 1 << 20].map(log2), [0, 0, 256, 384, 512, 20 * 256]);
        assert!((1..5_000).all(|n| log2(n) <= log2(n + 1)));
    }

    #[test]
    fn usage_decays_to_one_eth_and_then_to_nothing() {
        let mut usage = Usage::default();
        usage.add(5, 1 << 40);
        let left = usage.at(5 + u64::from(STEPS)) as f64 / (1u64 << 40) as f64;
        assert!((left - (-1f64).exp()).abs() < 1e-5, "{left}");
        assert_eq!(usage.at(5 + 64 * u64::from(STEPS)), 0);
        assert_eq!(usage.at(u64::MAX), 0);
    }

    #[test]
    fn flood_of_sources_does_not_grow_tables() {
        let mut shares = shares();
        let greedy = v4(60_000, 1);
        let before = shares.levels.each_ref().map(Vec::len);
        shares.charge(Tick::ZERO, greedy, 500);
        for n in 0..20_000 {
            shares.charge(Tick::ZERO, v4(n, 1), 1);
        }
        assert_eq!(shares.levels.each_ref().map(Vec::len), before);
        assert!(!shares.is_new(Tick::ZERO, greedy), "the source with the highest usage is remembered");
    }
}
