//! Turns of nodes: when they run, their effects, and the invariants afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Input, Path, Tick};
use queqiao::client::Command;
use queqiao::peer::Peer;
use queqiao::wire::packet::PacketType;

use super::cover::Count;
use super::greed::gapped_max;
use super::moves;
use super::node::{Resets, Waiting};
use super::tcp::Side;
use super::weather::below;
use super::world::{Happening, World};

/// Datagrams that a machine may send to one address in the turn in which it wakes, apart from
/// answers (R74 of `faults.md`).
const WAKING_MAX: u32 = 10;

impl World {
    /// Schedules a turn of a node at this time, unless an earlier one is scheduled.
    pub fn wake(&mut self, node: usize, at: Tick) {
        let at = at + below(&mut self.rng, Duration::from_micros(100));
        let turn_at =
            if node == 0 { &mut self.relay.turn_at } else { &mut self.stations[node - 1].node.turn_at };
        if turn_at.is_none_or(|planned| at < planned) {
            *turn_at = Some(at);
            self.agenda.enter(at, Happening::Turn(node));
        }
    }

    fn wake_exactly(&mut self, node: usize, at: Tick) {
        let turn_at =
            if node == 0 { &mut self.relay.turn_at } else { &mut self.stations[node - 1].node.turn_at };
        if turn_at.is_none_or(|planned| at < planned) {
            *turn_at = Some(at);
            self.agenda.enter(at, Happening::Turn(node));
        }
    }

    /// Runs a turn of the relay or of a client, and applies its effects.
    pub fn take_turn(&mut self, node: usize) {
        match node.checked_sub(1) {
            None => self.take_relay_turn(),
            Some(client) => self.take_client_turn(client),
        }
    }

    fn take_relay_turn(&mut self) {
        let now = self.now;
        if self.relay.turn_at != Some(now) {
            return;
        }
        self.relay.turn_at = None;
        let wait = self.relay_up_at.max(self.relay.paused_until);
        if wait > now {
            return self.wake(0, wait);
        }
        let overslept = self.relay.overslept(now);
        let deadline = self.relay.take_turn(now);
        if overslept {
            self.look_at_waking(0);
        }
        let dies = self.relay.meets_its_end(&mut self.rng);
        self.carry_out_relay();
        self.look_at_relay();
        if dies {
            self.cover.add(Count::RelayKilledInTurn);
            let down = below(&mut self.rng, Duration::from_secs(3));
            return self.restart_relay(down);
        }
        if let Some(deadline) = deadline {
            self.wake_exactly(0, deadline);
        }
    }

    fn take_client_turn(&mut self, client: usize) {
        let now = self.now;
        let node = client + 1;
        let station = &mut self.stations[client];
        if station.node.turn_at != Some(now) {
            return;
        }
        station.node.turn_at = None;
        if station.node.paused_until > now {
            let wait = station.node.paused_until;
            return self.wake(node, wait);
        }
        let before = station.node.core.peer(&station.relay).map(|peer| (peer.id(), peer.path()));
        let resets = station.node.resets_in_inbox(&self.forged);
        let overslept = station.node.overslept(now);
        let new_network = overslept || station.node.inbox.iter().any(tells_of_network);
        let deadline = station.node.take_turn(now);
        if before.is_some() && station.node.core.peer(&station.relay).map(Peer::id) != before.map(|b| b.0) {
            assert!(resets != Resets::OnlyForged, "a reset without its token was believed");
            self.cover.add_many(Count::ResetsBelieved, u64::from(resets == Resets::Genuine));
        }
        if overslept {
            self.look_at_waking(node);
        }
        let dies = self.stations[client].node.meets_its_end(&mut self.rng);
        self.carry_out_client(client);
        if dies {
            self.cover.add(Count::KilledInTurn);
            return self.restart_client(client);
        }
        let has_conn = before.is_some_and(|(_, path)| self.is_open(client, path));
        let station = &mut self.stations[client];
        let peer = station.node.core.peer(&station.relay);
        station.watch.look(now, peer, &mut self.cover);
        let turn = moves::Turn { new_network, has_conn };
        station.moves.look(now, peer, turn, &mut self.cover);
        if let Some(deadline) = deadline {
            self.wake_exactly(node, deadline);
        }
    }

    /// Whether this is a TCP connection that the client may still use.
    fn is_open(&mut self, client: usize, path: Option<Path>) -> bool {
        let Some(Path::Tcp(id)) = path else { return false };
        let conn = self.conn_of(client, id.0).and_then(|conn| self.conns.get_mut(&conn));
        conn.is_some_and(|conn| conn.side(Side::Client).open)
    }

    /// Checks that a machine that wakes does not flood the network. The datagrams that it sends to
    /// any address in that turn are few, apart from answers to packets that came in the meantime.
    fn look_at_waking(&mut self, node: usize) {
        let mut sent = BTreeMap::<SocketAddr, u32>::new();
        let mut count = |path: &Path, packet: &[u8]| {
            let own = [PacketType::Init, PacketType::KeyQuery, PacketType::Data];
            if let Path::Udp(to) = path
                && own.iter().any(|kind| packet[1] == *kind as u8)
            {
                *sent.entry(*to).or_default() += 1;
            }
        };
        match node.checked_sub(1) {
            None => self.relay.sends().for_each(|(path, packet)| count(path, packet)),
            Some(client) => self.stations[client].node.sends().for_each(|(path, packet)| count(path, packet)),
        }
        let most = sent.values().max().copied().unwrap_or(0);
        assert!(most <= WAKING_MAX, "node {node} wakes, and sends {most} datagrams at once");
        self.cover.add(Count::Wakings);
    }

    fn look_at_relay(&mut self) {
        self.look_at_curve_work();
        let stats = self.relay.core.stats();
        let honest = stats.violations <= self.intrusions;
        assert!(honest, "an honest client was closed for breaking the protocol");
        self.relay.core.check_sums();
        let sessions = self.relay.core.session_count();
        // A session that a new process of its member has replaced remains for a while.
        let lives: usize = self.stations.iter().map(|station| station.node.life as usize).sum();
        let most = self.stations.len() * 3 + 3 + self.intrusions as usize + lives;
        assert!(sessions <= most, "{sessions} sessions of {} clients", self.stations.len());
        let watches = &mut self.relay_watches;
        let now = self.now;
        let cover = &mut self.cover;
        let mut gapped = 0;
        self.relay.core.look_at_peers(|peer| {
            gapped += peer.link().gapped();
            watches.entry(peer.id()).or_default().look(now, Some(peer), cover);
        });
        let most = gapped_max(&self.limits);
        assert_eq!(gapped, self.relay.core.gapped_bytes(), "bytes behind gaps of all sessions are counted");
        assert!(gapped <= most, "{gapped} bytes are held behind gaps");
    }
}

/// Whether a client is notified that its machine's network has changed.
fn tells_of_network(waiting: &Waiting<Command>) -> bool {
    matches!(waiting, Waiting::Other(Input::Command(Command::NetworkChanged)))
}
