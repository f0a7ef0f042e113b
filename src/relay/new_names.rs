//! How many new names all together may have: at an open relay that others than this machine reach, a number an hour, shared
//! fairly by the networks they come from.
//!
//! Half of the hour's names are for networks that have registered none within a day, and so is the upper half of all names
//! that a relay takes. So neither a network with any number of addresses nor one that has had its share keeps newcomers out.
//! What is counted here is forgotten with the process; how many names there are is not.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Tick;
use crate::session::{Budget, FairShare, Source};

const HOUR: Duration = Duration::from_secs(3_600);
/// A network that has registered nothing for this long counts as new.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Maximum networks remembered for a day, 48 bytes each: eleven times as many as register at the default rate. Beyond it the
/// one that registered first is new again.
const NETWORKS_MAX: usize = 16_384;

/// A network that is alone has four fifths of what is not kept for new ones: an office behind one /24 gets 24 names in its
/// first hour, and twenty networks that take what they can leave one in 81 free besides that.
const ALPHA: u32 = 4;

/// Registrations of the last hour and day.
#[derive(Debug)]
pub(super) struct NewNames {
    per_hour: u32,
    shares: FairShare,
    /// Registrations within the last hour, the oldest first: at most `per_hour`.
    hour: VecDeque<Tick>,
    /// The networks that registered within a day, and how often; and each registration, the oldest first.
    networks: BTreeMap<IpAddr, u32>,
    day: VecDeque<(Tick, IpAddr)>,
}

impl NewNames {
    /// `key` is secret.
    pub(super) fn new(key: [u8; 32], per_hour: u32) -> NewNames {
        let kept_for_new = per_hour / 2;
        let budget = Budget { capacity: per_hour, time: HOUR, burst: per_hour, kept_for_new };
        NewNames {
            per_hour,
            shares: FairShare::new(key, budget).with_alpha(ALPHA),
            hour: VecDeque::new(),
            networks: BTreeMap::new(),
            day: VecDeque::new(),
        }
    }

    /// Counts one more name from there; `false` if it may have none now. `for_new` is whether only new networks may.
    pub(super) fn admits(&mut self, now: Tick, ip: IpAddr, for_new: bool) -> bool {
        if ip.to_canonical().is_loopback() {
            return true;
        }
        self.forget_old(now);
        let network = widest(ip);
        let is_new = !self.networks.contains_key(&network);
        let most = if is_new { self.per_hour } else { self.per_hour / 2 };
        if for_new && !is_new || self.hour.len() >= most as usize {
            return false;
        }
        if !self.shares.admits(now, source(ip), 1) {
            return false;
        }
        self.hour.push_back(now);
        self.day.push_back((now, network));
        *self.networks.entry(network).or_default() += 1;
        true
    }

    /// The last name from there could not be written down, and does not count.
    pub(super) fn give_back(&mut self, now: Tick, ip: IpAddr) {
        let network = widest(ip);
        let Some(at) = self.day.iter().rposition(|(_, known)| *known == network) else { return };
        let Some((tick, _)) = self.day.remove(at) else { return };
        self.forget_one(network);
        if let Some(at) = self.hour.iter().rposition(|known| *known == tick) {
            self.hour.remove(at);
        }
        self.shares.refund(now, source(ip), 1);
    }

    fn forget_old(&mut self, now: Tick) {
        while self.hour.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.hour.pop_front();
        }
        let is_over = |(at, _): &(Tick, IpAddr), len: usize| now.since(*at) >= DAY || len >= NETWORKS_MAX;
        while let Some((_, network)) =
            self.day.front().copied().filter(|first| is_over(first, self.day.len()))
        {
            self.day.pop_front();
            self.forget_one(network);
        }
    }

    fn forget_one(&mut self, network: IpAddr) {
        if let Some(count) = self.networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

fn source(ip: IpAddr) -> Source {
    Source { ip, port: 0, proven: true }
}

/// The widest network an address is counted in: a /48 or a /24.
fn widest(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[6..].fill(0);
            IpAddr::from(octets)
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

    /// A /64 of the /48 of this number.
    fn v6(network: u16, part: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, network, part, 0, 0, 0, 1])
    }

    fn admitted(names: &mut NewNames, now: Tick, ips: impl Iterator<Item = IpAddr>) -> usize {
        ips.filter(|ip| names.admits(now, *ip, false)).count()
    }

    #[test]
    fn all_together_have_sixty_an_hour_and_not_one_more() {
        let mut names = names();
        assert_eq!(admitted(&mut names, START, (0..1_000).map(|n| v6(n, 0))), 60);
        let almost = START + HOUR - Duration::from_secs(1);
        assert_eq!(admitted(&mut names, almost, (1_000..2_000).map(|n| v6(n, 0))), 0);
        let later = admitted(&mut names, START + HOUR, (2_000..3_000).map(|n| v6(n, 0)));
        assert!((30..=60).contains(&later), "{later}");
        assert!((0..100).all(|_| names.admits(START, IpAddr::from([127, 0, 0, 1]), true)));
    }

    #[test]
    fn a_network_with_a_thousand_64s_leaves_half_to_others() {
        let mut names = names();
        let mut now = START;
        for hour in 0..24 {
            let greedy = admitted(&mut names, now, (0..1_000).map(|n| v6(7, n)));
            assert!(greedy <= 30, "{greedy}");
            for other in 0..10 {
                assert!(names.admits(now, v6(100 + hour * 10 + other, 0), false), "hour {hour}");
            }
            now = now + HOUR;
        }
    }

    /// Half is for those that registered nothing today, whatever they did yesterday.
    #[test]
    fn half_is_kept_for_networks_without_a_name_today() {
        let mut names = names();
        assert_eq!(admitted(&mut names, START, (0..30).map(|n| v6(n, 0))), 30);
        let soon = START + Duration::from_secs(1_800);
        assert_eq!(admitted(&mut names, soon, (0..30).map(|n| v6(n, 1))), 0);
        assert_eq!(admitted(&mut names, soon, (30..90).map(|n| v6(n, 0))), 30);
        assert!(!names.admits(START + HOUR * 23, v6(1, 0), true), "today already");
        assert!(names.admits(START + HOUR * 25, v6(1, 0), true), "yesterday");
    }

    #[test]
    fn name_that_was_not_written_down_does_not_count() {
        let mut names = names();
        assert!(names.admits(START, v6(1, 0), true));
        names.give_back(START, v6(1, 0));
        assert!(names.hour.is_empty() && names.networks.is_empty() && names.day.is_empty());
        assert!(names.admits(START, v6(1, 0), true));
        names.give_back(START, v6(2, 0));
        assert_eq!(names.hour.len(), 1);
    }

    #[test]
    fn networks_of_a_day_are_bounded() {
        let mut names = NewNames::new([1; 32], 1_000_000);
        for n in 0..NETWORKS_MAX as u32 + 100 {
            names.admits(START, IpAddr::from((n << 8).to_be_bytes()), false);
        }
        assert!(names.day.len() <= NETWORKS_MAX && names.networks.len() <= NETWORKS_MAX);
    }
}
