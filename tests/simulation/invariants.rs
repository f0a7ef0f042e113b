//! Invariants that hold at every step, under any network fault.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use queqiao::base::{Path, Tick};
use queqiao::link::Stats;
use queqiao::peer::Peer;
use queqiao::session::SessionId;
use queqiao::wire::limits::{TCP_PACKET_MAX, UDP_PACKET_MAX, UNACKED_MAX};
use queqiao::wire::packet::PacketType;

use super::coverage::{Count, Coverage};

/// One remote address as the relay sees it.
#[derive(Debug, Default)]
struct RemoteAddress {
    received: usize,
    sent: usize,
    /// The peer there has received something from the relay.
    has_received: bool,
    /// It has sent something since then.
    is_proven: bool,
    /// The client machine that received a response or data there, perhaps a challenge. It may have
    /// moved since.
    had_challenge: Option<usize>,
}

/// The anti-amplification limit (RFC 9000 §8). An attacker that only repeats packets of others gets
/// at most the bytes that it sent, and no data.
#[derive(Default)]
pub struct AddressLimits {
    remotes: BTreeMap<SocketAddr, RemoteAddress>,
    /// Resets still allowed to addresses that were proven when the relay restarted.
    noted: BTreeMap<SocketAddr, u32>,
}

/// Resets to one noted address, in addition to the limit for bytes received from there.
const RESETS_MAX: u32 = 3;

impl AddressLimits {
    /// Returns the state after a relay restart with these addresses noted as proven.
    pub fn after_restart(noted: impl Iterator<Item = SocketAddr>) -> AddressLimits {
        let mut addresses = AddressLimits::default();
        noted.for_each(|addr| *addresses.noted.entry(addr).or_default() += RESETS_MAX);
        addresses
    }

    /// Returns the addresses that a datagram from `addr` may prove: at most `addr` itself.
    pub fn provable_addrs(&self, addr: SocketAddr) -> Vec<SocketAddr> {
        self.remotes.get(&addr).filter(|remote| remote.has_received).map(|_| addr).into_iter().collect()
    }

    /// Like [`AddressLimits::provable_addrs`], for a client machine.
    ///
    /// A datagram with data may also answer a challenge received at an address that the machine has
    /// left since (RFC 9000 §8.2.3). If it is sealed with the keys of a response, that response was
    /// received there (RFC 9000 §8.1).
    pub fn provable_addrs_of_machine(
        &self,
        machine: usize,
        addr: SocketAddr,
        packet: &[u8],
    ) -> Vec<SocketAddr> {
        let mut proves = self.provable_addrs(addr);
        if is_data(packet) {
            let answered = |(left, remote): (&SocketAddr, &RemoteAddress)| {
                (remote.had_challenge == Some(machine) && *left != addr).then_some(*left)
            };
            proves.extend(self.remotes.iter().filter_map(answered));
        }
        proves
    }

    /// Whether a peer has proven that it receives packets there.
    pub fn is_proven(&self, addr: SocketAddr) -> bool {
        self.remotes.get(&addr).is_some_and(|remote| remote.is_proven)
    }

    pub fn record_arrival_at_relay(&mut self, addr: SocketAddr, len: usize, proves: &[SocketAddr]) {
        self.remotes.entry(addr).or_default().received += len;
        proves.iter().for_each(|addr| self.remotes.entry(*addr).or_default().is_proven = true);
    }

    pub fn record_arrival(&mut self, addr: SocketAddr) {
        self.remotes.entry(addr).or_default().has_received = true;
    }

    pub fn record_arrival_at_machine(&mut self, addr: SocketAddr, machine: usize, packet: &[u8]) {
        if is_data(packet) || packet.get(1) == Some(&(PacketType::Response as u8)) {
            self.remotes.entry(addr).or_default().had_challenge = Some(machine);
        }
    }

    pub fn check_relay_send(&mut self, addr: SocketAddr, packet: &[u8], hostile: bool) {
        let is_reset = packet.get(1) == Some(&(PacketType::Reset as u8));
        if let Some(left) = self.noted.get_mut(&addr).filter(|left| is_reset && **left > 0) {
            *left -= 1;
            return;
        }
        let remote = self.remotes.entry(addr).or_default();
        remote.sent += packet.len();
        let times = if hostile { 1 } else { 3 };
        let within = remote.is_proven || remote.sent <= times * remote.received;
        let sent = remote.sent;
        let received = remote.received;
        assert!(within, "amplification: {sent} bytes to {addr}, {received} came from it");
        assert!(!hostile || !is_data(packet), "data was sent to {addr}, which only repeats others' packets");
    }
}

pub fn is_data(packet: &[u8]) -> bool {
    packet.get(1) == Some(&(PacketType::Data as u8))
}

/// State of one end's session, kept from turn to turn.
#[derive(Default)]
pub struct PeerWatch {
    id: Option<SessionId>,
    path: Option<Path>,
    counted: Stats,
    before: Stats,
    in_flight: usize,
    next_number: u64,
    unacked: usize,
    /// Stream bytes that may have been sent again so far.
    may_resend: u64,
}

impl PeerWatch {
    /// Checks a session after a turn.
    pub fn check_turn(&mut self, now: Tick, peer: Option<&Peer>, coverage: &mut Coverage) {
        let id = peer.map(Peer::id);
        if id != self.id {
            coverage.add_link(&self.counted);
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
            coverage.add(if to_tcp { Count::MovedToTcp } else { Count::MovedToUdp });
        }
        self.check_resent(&stats, link.unacked_bytes());
        self.path = peer.path().or(self.path);
        self.in_flight = in_flight;
        self.next_number = link.next_number();
        self.before = stats;
        self.counted = stats;
    }

    /// Checks that data sent again was declared lost, belongs to a probe, or was left behind with
    /// its path.
    fn check_resent(&mut self, stats: &Stats, unacked: usize) {
        let packets = stats.packets_lost - self.before.packets_lost + 2 * (stats.ptos - self.before.ptos);
        let left = (stats.moves - self.before.moves) * (self.unacked + unacked) as u64;
        let is_on_tcp = matches!(self.path, Some(Path::Tcp(_)));
        let packet_max = if is_on_tcp { TCP_PACKET_MAX } else { UDP_PACKET_MAX };
        self.may_resend += packets * packet_max as u64 + left;
        self.unacked = unacked;
        let resent = stats.stream_bytes_resent;
        let most = self.may_resend;
        assert!(resent <= most, "{resent} bytes were sent again, {most} allowed");
    }

    /// Handles the end of the simulation.
    pub fn finish(&mut self, coverage: &mut Coverage) {
        coverage.add_link(&self.counted);
        *self = PeerWatch::default();
    }
}
