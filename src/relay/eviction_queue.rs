//! Selects the connection to close if there are too many: one of the network that has the most.
//!
//! Networks are nested as they are assigned: /48 ⊃ /56 ⊃ /64, and /24 ⊃ an IPv4 address. The
//! largest of the widest networks gives way, in it the largest of the next size, and in that the
//! quietest connection. Among networks with equally many connections the quietest gives way. A
//! party that opens many connections therefore displaces its own, however many addresses it has.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::base::{ConnId, Tick};
use crate::session::PrefixLen;

use super::limits::source;

/// Prefix lengths of networks, the widest first.
const LENS: [PrefixLen; LEVELS] = [PrefixLen::SITE, PrefixLen::HOME, PrefixLen::SOURCE];
const LEVELS: usize = 3;

/// One network.
#[derive(Clone, Copy, Debug)]
struct Network {
    count: usize,
    /// Time and connection of the last packet from this network.
    last_received: (Tick, ConnId),
}

/// Rank of a network among those within the same wider one; the last gives way first.
type Rank = (IpAddr, usize, Reverse<(Tick, ConnId)>, IpAddr);

/// Sorts before every connection.
const NEVER: (Tick, ConnId) = (Tick::ZERO, ConnId(0));

/// The connections that may have to be closed.
#[derive(Debug, Default)]
pub(super) struct EvictionQueue {
    /// Networks by level and address.
    networks: [BTreeMap<IpAddr, Network>; LEVELS],
    ranks: [BTreeSet<Rank>; LEVELS],
    /// Connections by source, the quietest first.
    conns: BTreeSet<(IpAddr, Tick, ConnId)>,
}

impl EvictionQueue {
    pub(super) fn len(&self) -> usize {
        self.conns.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// Adds a connection whose last packet came at `last_received`.
    pub(super) fn insert(&mut self, ip: IpAddr, last_received: Tick, conn: ConnId) {
        self.conns.insert((source(ip), last_received, conn));
        self.change(ip, |network| {
            network.count += 1;
            network.last_received = network.last_received.max((last_received, conn));
        });
    }

    /// Removes a connection that was added with `last_received`.
    pub(super) fn remove(&mut self, ip: IpAddr, last_received: Tick, conn: ConnId) {
        if self.conns.remove(&(source(ip), last_received, conn)) {
            self.change(ip, |network| network.count -= 1);
        }
    }

    fn change(&mut self, ip: IpAddr, change: impl Fn(&mut Network)) {
        let networks = LENS.map(|len| len.network(ip));
        // All of the widest networks are within one root network.
        let wider = [IpAddr::from([0; 4]), networks[0], networks[1]];
        for level in 0..LEVELS {
            let own = networks[level];
            let wider = wider[level];
            let empty = Network { count: 0, last_received: NEVER };
            let network = self.networks[level].entry(own).or_insert(empty);
            self.ranks[level].remove(&(wider, network.count, Reverse(network.last_received), own));
            change(network);
            if network.count > 0 {
                self.ranks[level].insert((wider, network.count, Reverse(network.last_received), own));
            } else {
                self.networks[level].remove(&own);
            }
        }
    }

    /// Returns the connection to close first.
    pub(super) fn next(&self) -> Option<ConnId> {
        let mut within = IpAddr::from([0; 4]);
        for ranks in &self.ranks {
            let highest = (within, usize::MAX, Reverse(NEVER), IpAddr::from([0xFF; 16]));
            within = ranks.range(..=highest).next_back()?.3;
        }
        let quietest = self.conns.range((within, Tick::ZERO, ConnId(0))..).next()?;
        Some(quietest.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    fn queue(conns: &[(&str, u64)]) -> EvictionQueue {
        let mut queue = EvictionQueue::default();
        for (number, (ip, last_received)) in conns.iter().enumerate() {
            queue.insert(ip.parse().unwrap(), at(*last_received), ConnId(number as u64));
        }
        queue
    }

    fn first(conns: &[(&str, u64)]) -> u64 {
        queue(conns).next().unwrap().0
    }

    #[test]
    fn largest_network_gives_way_first_and_its_quietest() {
        assert_eq!(first(&[("192.0.2.1", 1), ("198.51.100.1", 9), ("198.51.100.1", 8)]), 2);
        assert_eq!(first(&[("192.0.2.1", 1), ("198.51.100.1", 9), ("198.51.100.2", 8)]), 2, "a /24");
        let wide = [("2001:db8:0:1::1", 9), ("2001:db8:0:2::1", 8), ("2001:db8:1::1", 1)];
        assert_eq!(first(&wide), 1, "a /48");
        let home = [("2001:db8:0:1::1", 9), ("2001:db8:0:2::1", 8), ("2001:db8:0:100::1", 1)];
        assert_eq!(first(&home), 1, "a /56 of a /48");
        let alike = [("192.0.2.1", 5), ("198.51.100.1", 4), ("203.0.113.1", 6)];
        assert_eq!(first(&alike), 1, "the quietest of equally large networks");
    }

    #[test]
    fn every_connection_is_selected_once_and_no_state_is_left() {
        let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::1"];
        let all: Vec<_> = (0..40).map(|n| (addresses[n % 5], n as u64 % 7)).collect();
        let mut queue = queue(&all);
        for remaining in (0..40).rev() {
            let evicted = queue.next().unwrap();
            let (ip, last_received) = all[evicted.0 as usize];
            queue.remove(ip.parse().unwrap(), at(last_received), evicted);
            assert_eq!(queue.len(), remaining);
        }
        assert!(queue.is_empty() && queue.next().is_none());
        assert!(queue.networks.iter().all(BTreeMap::is_empty) && queue.ranks.iter().all(BTreeSet::is_empty));
    }
}
