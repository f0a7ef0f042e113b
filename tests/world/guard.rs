//! What must hold at every step, whatever the network does.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use queqiao::base::{Path, Tick};
use queqiao::link::Stats;
use queqiao::peer::Peer;
use queqiao::session::SessionId;
use queqiao::wire::limits::{UDP_PACKET_MAX, UNACKED_MAX};
use queqiao::wire::packet::PacketType;

use super::cover::{Count, Cover};

/// One address as the relay sees it.
#[derive(Debug, Default)]
struct Far {
    received: usize,
    sent: usize,
    /// Whoever is there has had something from the relay.
    heard: bool,
    /// And has sent something since that came.
    proven: bool,
    /// The station that had data there, perhaps a challenge. It may be elsewhere by now.
    had_data: Option<usize>,
}

/// The three-times rule, and nothing at all for somebody who only repeats what others said.
#[derive(Default)]
pub struct Addresses {
    far: BTreeMap<SocketAddr, Far>,
    /// Resets still allowed to addresses that had proved themselves when the relay restarted.
    noted: BTreeMap<SocketAddr, u32>,
}

/// Resets to one noted address, beside what came from there.
const RESETS_MAX: u32 = 3;

impl Addresses {
    /// The relay starts, and these were noted as proven.
    pub fn of_restart(noted: impl Iterator<Item = SocketAddr>) -> Addresses {
        let mut addresses = Addresses::default();
        noted.for_each(|addr| *addresses.noted.entry(addr).or_default() += RESETS_MAX);
        addresses
    }

    /// A datagram leaves `addr` for the relay: the addresses it may prove to be somebody's, its own if at all.
    pub fn leaves(&self, addr: SocketAddr) -> Vec<SocketAddr> {
        self.far.get(&addr).filter(|far| far.heard).map(|_| addr).into_iter().collect()
    }

    /// The same of a station's datagram; one with data may also answer a challenge that the station had at an address
    /// it has left since (RFC 9000 §8.2.3).
    pub fn leaves_station(&self, station: usize, addr: SocketAddr, packet: &[u8]) -> Vec<SocketAddr> {
        let mut proves = self.leaves(addr);
        if is_data(packet) {
            let answered = |(left, far): (&SocketAddr, &Far)| {
                (far.had_data == Some(station) && *left != addr).then_some(*left)
            };
            proves.extend(self.far.iter().filter_map(answered));
        }
        proves
    }

    /// Whoever is there has shown it.
    pub fn is_proven(&self, addr: SocketAddr) -> bool {
        self.far.get(&addr).is_some_and(|far| far.proven)
    }

    pub fn arrives_at_relay(&mut self, addr: SocketAddr, len: usize, proves: &[SocketAddr]) {
        self.far.entry(addr).or_default().received += len;
        proves.iter().for_each(|addr| self.far.entry(*addr).or_default().proven = true);
    }

    pub fn arrives_there(&mut self, addr: SocketAddr) {
        self.far.entry(addr).or_default().heard = true;
    }

    pub fn arrives_at_station(&mut self, addr: SocketAddr, station: usize, packet: &[u8]) {
        if is_data(packet) {
            self.far.entry(addr).or_default().had_data = Some(station);
        }
    }

    pub fn relay_sends(&mut self, addr: SocketAddr, packet: &[u8], hostile: bool) {
        let is_reset = packet.get(1) == Some(&(PacketType::Reset as u8));
        if let Some(left) = self.noted.get_mut(&addr).filter(|left| is_reset && **left > 0) {
            *left -= 1;
            return;
        }
        let far = self.far.entry(addr).or_default();
        far.sent += packet.len();
        let times = if hostile { 1 } else { 3 };
        let within = far.proven || far.sent <= times * far.received;
        let sent = far.sent;
        let received = far.received;
        assert!(within, "amplification: {sent} bytes to {addr}, {received} came from it");
        assert!(!hostile || !is_data(packet), "data was sent to {addr}, which only repeats others' packets");
    }
}

pub fn is_data(packet: &[u8]) -> bool {
    packet.get(1) == Some(&(PacketType::Data as u8))
}

/// What is kept of one end's session from turn to turn.
#[derive(Default)]
pub struct PeerWatch {
    id: Option<SessionId>,
    path: Option<Path>,
    counted: Stats,
    before: Stats,
    in_flight: usize,
    next_number: u64,
    unacked: usize,
    /// Bytes of streams that there has been reason to send again.
    may_resend: u64,
}

impl PeerWatch {
    /// Looks at a session after a turn.
    pub fn look(&mut self, now: Tick, peer: Option<&Peer>, cover: &mut Cover) {
        let id = peer.map(Peer::id);
        if id != self.id {
            cover.add_link(&self.counted);
            *self = PeerWatch { id, ..PeerWatch::default() };
        }
        let Some(peer) = peer else { return };
        let link = peer.link();
        let stats = link.stats();
        assert!(link.unacked_bytes() <= UNACKED_MAX, "{} bytes unacknowledged", link.unacked_bytes());
        assert!(link.next_number() >= self.next_number, "packet numbers only go up");
        assert!(link.window() >= 2 * UDP_PACKET_MAX, "a window of {}", link.window());
        let in_flight = link.bytes_in_flight();
        let sent = stats.packets_sent > self.before.packets_sent;
        if sent && in_flight > self.in_flight && matches!(link.path(), Some(Path::Udp(_))) {
            let probes = 2 * UDP_PACKET_MAX;
            let bound = link.window() + probes;
            assert!(in_flight <= bound, "{in_flight} bytes in flight, {bound} allowed at {now:?}");
        }
        if let (Some(before), Some(path)) = (self.path, peer.path())
            && before.carrier() != path.carrier()
        {
            let to_tcp = matches!(path, Path::Tcp(_));
            cover.add(if to_tcp { Count::MovedToTcp } else { Count::MovedToUdp });
        }
        self.watch_resent(&stats, link.unacked_bytes());
        self.path = peer.path().or(self.path);
        self.in_flight = in_flight;
        self.next_number = link.next_number();
        self.before = stats;
        self.counted = stats;
    }

    /// What is sent again was declared lost, is a probe's, or was left behind with its path.
    fn watch_resent(&mut self, stats: &Stats, unacked: usize) {
        let packets = stats.packets_lost - self.before.packets_lost + 2 * (stats.ptos - self.before.ptos);
        let left = (stats.moves - self.before.moves) * (self.unacked + unacked) as u64;
        self.may_resend += packets * UDP_PACKET_MAX as u64 + left;
        self.unacked = unacked;
        let resent = stats.stream_bytes_resent;
        let most = self.may_resend;
        assert!(resent <= most, "{resent} bytes sent again, and reason for {most}");
    }

    /// The world ends.
    pub fn finish(&mut self, cover: &mut Cover) {
        cover.add_link(&self.counted);
        *self = PeerWatch::default();
    }
}
