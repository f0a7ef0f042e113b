//! Detects that the local address towards a peer has changed: another network, a cable, a tunnel.
//!
//! Connecting a UDP socket sends nothing, but the system chooses its local address by the route.
//! Checking this every two seconds for each peer shows every change, without privileges and on
//! every system. A move to a network where the machine has the same address is not noticed.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::bind;

/// Interval of the check. Each check costs a few system calls for each peer.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Maximum peers watched: the relays of one client. The routes of further ones change with them.
const PEERS_MAX: usize = 8;

/// Local address towards each of at most [`PEERS_MAX`] peers, as of the last check.
#[derive(Debug, Default)]
pub(super) struct AddressMonitor {
    local_addrs: Vec<(IpAddr, Option<IpAddr>)>,
}

impl AddressMonitor {
    /// Watches the route to this peer from now on. Returns `true` if the peer is the first.
    pub(super) fn watch(&mut self, peer: SocketAddr) -> bool {
        self.watch_by(peer, local_towards)
    }

    fn watch_by(&mut self, peer: SocketAddr, local: impl Fn(IpAddr) -> Option<IpAddr>) -> bool {
        let ip = peer.ip();
        if self.local_addrs.len() >= PEERS_MAX || self.local_addrs.iter().any(|(peer, _)| *peer == ip) {
            return false;
        }
        self.local_addrs.push((ip, local(ip)));
        self.local_addrs.len() == 1
    }

    /// Whether the local address towards any peer has changed since the last check, or a peer can
    /// be reached again.
    pub(super) fn has_changed(&mut self) -> bool {
        self.has_changed_by(local_towards)
    }

    fn has_changed_by(&mut self, local: impl Fn(IpAddr) -> Option<IpAddr>) -> bool {
        let mut changed = false;
        for (peer, before) in &mut self.local_addrs {
            let now = local(*peer);
            changed |= now.is_some() && now != *before;
            *before = now;
        }
        changed
    }
}

/// Returns the address the system would send from. Returns `None` if there is no route to the peer.
fn local_towards(peer: IpAddr) -> Option<IpAddr> {
    let dest = SocketAddr::new(peer, 9);
    let socket = UdpSocket::bind(bind::any_addr_towards(dest)).ok()?;
    socket.connect(dest).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn other_or_returning_local_address_is_a_change() {
        let home = Some(ip("192.168.1.5"));
        let cafe = Some(ip("10.0.0.7"));
        let mut routes = AddressMonitor::default();
        assert!(routes.watch_by("192.0.2.1:8081".parse().unwrap(), |_| home));
        assert!(
            !routes.watch_by("192.0.2.1:443".parse().unwrap(), |_| unreachable!("it is watched already"))
        );
        let looks = [(home, false), (cafe, true), (cafe, false), (None, false), (None, false), (cafe, true)];
        for (now, changed) in looks {
            assert_eq!(routes.has_changed_by(|_| now), changed, "{now:?}");
        }
    }

    #[test]
    fn change_of_any_watched_route_counts_and_routes_are_bounded() {
        let mut routes = AddressMonitor::default();
        for n in 0..2 * PEERS_MAX as u8 {
            let first = routes.watch_by(([192, 0, 2, n], 1).into(), |_| Some(ip("10.0.0.1")));
            assert_eq!(first, n == 0);
        }
        assert_eq!(routes.local_addrs.len(), PEERS_MAX);
        let tunnel = |peer| Some(if peer == ip("192.0.2.3") { ip("10.8.0.2") } else { ip("10.0.0.1") });
        assert!(routes.has_changed_by(tunnel));
        assert!(!routes.has_changed_by(tunnel));
    }

    #[test]
    fn local_address_comes_from_system_route() {
        let mut routes = AddressMonitor::default();
        routes.watch("127.0.0.1:1".parse().unwrap());
        assert_eq!(routes.local_addrs, [(ip("127.0.0.1"), Some(ip("127.0.0.1")))]);
        assert!(!routes.has_changed());
    }
}
