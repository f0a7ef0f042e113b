//! Total rate of new names, at an open relay that other machines can reach: a number for each hour.
//!
//! Half of them are open to all, shared fairly by providers (/16, /32), sites (/24, /48) and
//! addresses. The other half, and the upper half of all names of a relay, is for sites that have
//! registered nothing within a day. Of this half a provider has at most as many as are left. A
//! third of it is for providers that have registered nothing within a day. With 60 per hour:
//!
//! - A site with any number of addresses gets 24 names per hour. Ten other sites of its provider
//!   still get one immediately.
//! - A provider with any number of sites gets 34 names per hour. It can exclude its own sites, but
//!   none of another provider.
//! - 29 providers, each with any number of sites, leave one name to another.
//! - More providers can take all 60 in one hour. In later hours they leave ten, which ten further
//!   providers can take. Taking all names for a day, and the next day, needs 240 unrelated
//!   providers.
//!
//! A thousand sites of as many unrelated providers, such as a botnet's, look like newcomers. They
//! get all names, and only invitations let others in. A queue would not help, since an honest
//! newcomer is one of a thousand in it.
//!
//! These counts are forgotten with the process; the number of names is not.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Tick;
use crate::session::{Budget, FairShare, PrefixLen, Source};

const HOUR: Duration = Duration::from_secs(3_600);
/// Time without a registration after which a site counts as new.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Maximum registrations remembered for a day, 100 bytes each: eleven times the number at the
/// default rate. At the bound the oldest is forgotten.
const REMEMBERED_MAX: usize = 16_384;

/// Weight of fair sharing. 4: a network alone gets four fifths of the open names. An office behind
/// one /24 gets 24 names in its first hour, and twenty networks that take all they can leave one in
/// 81 free.
const ALPHA: u32 = 4;
/// Divisor of the reserved names that gives the part for providers without a name today. A third:
/// ten sites of a provider get names in an hour in which another of its sites takes all it can.
const PROVIDERS_PART: usize = 3;

/// Registrations of the last hour and day.
#[derive(Debug)]
pub(super) struct NewNames {
    open_max: usize,
    reserved_max: usize,
    /// The sources of open names, and their number in the last hour.
    shares: FairShare,
    open: Recent,
    /// Reserved names of the last hour, by provider.
    reserved: Recent,
    /// All names of the last day, by site and by provider.
    sites: Recent,
    providers: Recent,
}

impl NewNames {
    /// Returns full budgets. `key` is the secret of the tables' hashes.
    pub(super) fn new(key: [u8; 32], per_hour: u32) -> NewNames {
        let reserved = per_hour / 2;
        let open = per_hour - reserved;
        let lens = [PrefixLen::PROVIDER, PrefixLen::SITE, PrefixLen::SOURCE];
        let budget = Budget { capacity: open, time: HOUR, burst: open };
        NewNames {
            open_max: open as usize,
            reserved_max: reserved as usize,
            shares: FairShare::new(key, budget).with_networks(lens).with_alpha(ALPHA),
            open: Recent::new(HOUR),
            reserved: Recent::new(HOUR),
            sites: Recent::new(DAY),
            providers: Recent::new(DAY),
        }
    }

    /// Counts one more name of `ip`. Returns `false` if it may have none now. `for_new`: only new
    /// sites may.
    pub(super) fn admit(&mut self, now: Tick, ip: IpAddr, for_new: bool) -> bool {
        if ip.to_canonical().is_loopback() {
            return true;
        }
        let site = PrefixLen::SITE.network(ip);
        let provider = PrefixLen::PROVIDER.network(ip);
        for recent in [&mut self.open, &mut self.reserved, &mut self.sites, &mut self.providers] {
            recent.forget_old(now);
        }
        let is_open = !for_new && self.open.len() < self.open_max;
        if is_open && self.shares.admit(now, source(ip), 1) {
            self.open.add(now, site);
        } else if self.sites.count(site) == 0 && self.keeps_one_for(provider) {
            self.reserved.add(now, provider);
        } else {
            return false;
        }
        self.sites.add(now, site);
        self.providers.add(now, provider);
        true
    }

    /// Whether a new site of this provider may have a reserved name.
    fn keeps_one_for(&self, provider: IpAddr) -> bool {
        let is_new = self.providers.count(provider) == 0;
        let for_others = if is_new { 0 } else { self.reserved_max / PROVIDERS_PART };
        let remaining = self.reserved_max.saturating_sub(self.reserved.len() + for_others);
        self.reserved.count(provider) < remaining
    }

    /// Takes back the last name of `ip`, which could not be persisted.
    pub(super) fn refund(&mut self, now: Tick, ip: IpAddr) {
        let site = PrefixLen::SITE.network(ip);
        let provider = PrefixLen::PROVIDER.network(ip);
        if !self.sites.remove_last(site) {
            return;
        }
        self.providers.remove_last(provider);
        if self.open.remove_last(site) {
            self.shares.refund(now, source(ip), 1);
        } else {
            self.reserved.remove_last(provider);
        }
    }
}

fn source(ip: IpAddr) -> Source {
    Source { ip: PrefixLen::SOURCE.network(ip), port: 0, validated: true }
}

/// Registrations of the last hour or day, each with the network it counts for.
#[derive(Debug)]
struct Recent {
    time: Duration,
    /// Oldest first.
    all: VecDeque<(Tick, IpAddr)>,
    counts: BTreeMap<IpAddr, usize>,
}

impl Recent {
    fn new(time: Duration) -> Recent {
        Recent { time, all: VecDeque::new(), counts: BTreeMap::new() }
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn count(&self, network: IpAddr) -> usize {
        self.counts.get(&network).copied().unwrap_or(0)
    }

    fn add(&mut self, now: Tick, network: IpAddr) {
        self.all.push_back((now, network));
        *self.counts.entry(network).or_default() += 1;
    }

    fn forget_old(&mut self, now: Tick) {
        while let Some((at, network)) = self.all.front().copied()
            && (now.since(at) >= self.time || self.all.len() >= REMEMBERED_MAX)
        {
            self.all.pop_front();
            self.count_down(network);
        }
    }

    /// Removes the last registration of this network. Returns whether there was one.
    fn remove_last(&mut self, network: IpAddr) -> bool {
        let Some(at) = self.all.iter().rposition(|(_, other)| *other == network) else { return false };
        self.all.remove(at);
        self.count_down(network);
        true
    }

    fn count_down(&mut self, network: IpAddr) {
        if let Some(count) = self.counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Tick = Tick::from_micros(1);

    fn names() -> NewNames {
        NewNames::new([1; 32], 60)
    }

    /// Returns an address in a /64 of a /48 of a /32.
    fn v6(provider: u16, site: u16, part: u16) -> IpAddr {
        IpAddr::from([0x2001, provider, site, part, 0, 0, 0, 1])
    }

    fn admitted(names: &mut NewNames, now: Tick, ips: impl Iterator<Item = IpAddr>) -> usize {
        ips.filter(|ip| names.admit(now, *ip, false)).count()
    }

    #[test]
    fn total_is_sixty_names_per_hour() {
        let mut names = names();
        assert_eq!(admitted(&mut names, START, (0..1_000).map(|n| v6(n, 0, 0))), 60);
        let almost = START + HOUR - Duration::from_secs(1);
        assert_eq!(admitted(&mut names, almost, (1_000..2_000).map(|n| v6(n, 0, 0))), 0);
        let later = admitted(&mut names, START + HOUR, (2_000..3_000).map(|n| v6(n, 0, 0)));
        assert!((30..=60).contains(&later), "{later}");
        assert!((0..100).all(|_| names.admit(START, IpAddr::from([127, 0, 0, 1]), true)));
    }

    #[test]
    fn site_with_thousand_64s_leaves_half_to_neighbours() {
        let mut names = names();
        for hour in 0..24 {
            let now = START + HOUR * hour;
            let greedy = admitted(&mut names, now, (0..1_000).map(|n| v6(7, 7, n)));
            assert!((10..=30).contains(&greedy), "{greedy}");
            let neighbours = (0..10).map(|n| v6(7, 100 + hour as u16 * 10 + n, 0));
            assert_eq!(admitted(&mut names, now, neighbours), 10, "hour {hour}");
            let others = (0..10).map(|n| v6(100 + hour as u16 * 10 + n, 0, 0));
            assert_eq!(admitted(&mut names, now, others), 10, "hour {hour}");
        }
    }

    /// For a day, 1,200 new sites of one provider ask each hour. Sites of others still get names at
    /// once.
    #[test]
    fn provider_with_many_48s_leaves_names_to_others() {
        let mut names = names();
        let mut sites = 0;
        let mut newcomers = 0;
        for minute in 0..24 * 60_u32 {
            let now = START + Duration::from_secs(60 * u64::from(minute));
            let greedy = admitted(&mut names, now, (sites..sites + 20).map(|n| v6(7, n, 0)));
            sites += 20;
            assert!(minute > 0 || greedy == 20, "it takes all it can");
            if minute % 10 == 9 {
                newcomers += 1;
                assert!(names.admit(now, v6(100 + newcomers, 0, 0), false), "minute {minute}");
            }
        }
        let greedy = names.providers.count(PrefixLen::PROVIDER.network(v6(7, 0, 0)));
        assert!((24 * 25..=24 * 40).contains(&greedy), "{greedy}");
    }

    #[test]
    fn network_with_many_24s_leaves_names_to_others() {
        let mut names = names();
        assert!(admitted(&mut names, START, (0..=255).map(|n| IpAddr::from([198, 51, n, 1]))) < 40);
        assert!(names.admit(START, IpAddr::from([198, 52, 1, 1]), false));
    }

    /// Each of them has a new site each time it asks, eight times an hour.
    #[test]
    fn many_providers_leave_names_to_others() {
        for (providers, locked_out) in [(29, 0), (60, 1)] {
            let mut names = names();
            let mut site = 0;
            for hour in 0..12 {
                let now = START + HOUR * hour;
                for _ in 0..8 {
                    site += 1;
                    admitted(&mut names, now, (0..providers).map(|provider| v6(provider, site, 0)));
                }
                let is_in = names.admit(now, v6(1_000 + hour as u16, 0, 0), false);
                assert_eq!(is_in, hour >= locked_out, "{providers} providers, hour {hour}");
            }
        }
    }

    /// Half is for sites that have registered nothing today, whatever they did yesterday.
    #[test]
    fn half_is_reserved_for_sites_without_name_today() {
        let mut names = names();
        assert_eq!(admitted(&mut names, START, (0..30).map(|n| v6(n, 0, 0))), 30);
        let soon = START + Duration::from_secs(1_800);
        assert_eq!(admitted(&mut names, soon, (0..30).map(|n| v6(n, 0, 1))), 0);
        assert_eq!(admitted(&mut names, soon, (30..90).map(|n| v6(n, 0, 0))), 30);
        assert!(!names.admit(START + HOUR * 23, v6(1, 0, 0), true), "today already");
        assert!(names.admit(START + HOUR * 25, v6(1, 0, 0), true), "yesterday");
    }

    #[test]
    fn name_not_persisted_does_not_count() {
        let mut names = names();
        for for_new in [true, false] {
            assert!(names.admit(START, v6(1, 0, 0), for_new));
            names.refund(START, v6(1, 0, 0));
            for recent in [&names.open, &names.reserved, &names.sites, &names.providers] {
                assert!(recent.all.is_empty() && recent.counts.is_empty());
            }
        }
        assert_eq!(names.shares.used_by_all(START), 0);
        assert!(names.admit(START, v6(1, 0, 0), true));
        names.refund(START, v6(2, 0, 0));
        assert_eq!(names.reserved.len(), 1);
        assert_eq!(names.sites.len(), 1);
    }

    #[test]
    fn registrations_of_day_are_bounded() {
        let mut names = NewNames::new([1; 32], 1_000_000);
        for n in 0..REMEMBERED_MAX as u32 + 100 {
            names.admit(START, IpAddr::from((n << 8).to_be_bytes()), false);
        }
        for recent in [&names.open, &names.reserved, &names.sites, &names.providers] {
            assert!(recent.len() <= REMEMBERED_MAX && recent.counts.len() <= REMEMBERED_MAX);
        }
        assert_eq!(names.sites.len(), REMEMBERED_MAX);
    }
}
