//! Turns of nodes: when they run, their effects, and the invariants afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Input, Path, Tick};
use queqiao::client::Command;
use queqiao::peer::Peer;
use queqiao::wire::packet::PacketType;

use super::coverage::Count;
use super::link_conditions::below;
use super::node::{PendingInput, Resets};
use super::path_changes;
use super::resource_abuse::gapped_max;
use super::simulation::{SimEvent, Simulation};
use super::tcp::Side;

/// Datagrams that a machine may send to one address in the turn in which it wakes, apart from
/// answers (R74 of `faults.md`).
const WAKING_MAX: u32 = 10;

impl Simulation {
    /// Schedules a turn of a node at this time, unless an earlier one is scheduled.
    pub fn wake(&mut self, node: usize, at: Tick) {
        let at = at + below(&mut self.rng, Duration::from_micros(100));
        let turn_at =
            if node == 0 { &mut self.relay.turn_at } else { &mut self.machines[node - 1].node.turn_at };
        if turn_at.is_none_or(|planned| at < planned) {
            *turn_at = Some(at);
            self.event_queue.push(at, SimEvent::Turn(node));
        }
    }

    fn wake_exactly(&mut self, node: usize, at: Tick) {
        let turn_at =
            if node == 0 { &mut self.relay.turn_at } else { &mut self.machines[node - 1].node.turn_at };
        if turn_at.is_none_or(|planned| at < planned) {
            *turn_at = Some(at);
            self.event_queue.push(at, SimEvent::Turn(node));
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
        let overslept = self.relay.has_overslept(now);
        let deadline = self.relay.take_turn(now);
        if overslept {
            self.check_waking(0);
        }
        let crashes = self.relay.crashes_now(&mut self.rng);
        self.apply_relay_effects();
        self.check_relay();
        if crashes {
            self.coverage.add(Count::RelayKilledInTurn);
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
        let machine = &mut self.machines[client];
        if machine.node.turn_at != Some(now) {
            return;
        }
        machine.node.turn_at = None;
        if machine.node.paused_until > now {
            let wait = machine.node.paused_until;
            return self.wake(node, wait);
        }
        let before = machine.node.core.peer(&machine.relay).map(|peer| (peer.id(), peer.path()));
        let resets = machine.node.pending_resets(&self.forged);
        let overslept = machine.node.has_overslept(now);
        let new_network = overslept || machine.node.inputs.iter().any(is_network_change);
        let deadline = machine.node.take_turn(now);
        if before.is_some() && machine.node.core.peer(&machine.relay).map(Peer::id) != before.map(|b| b.0) {
            assert!(resets != Resets::OnlyForged, "a reset without its token was believed");
            self.coverage.add_many(Count::ResetsBelieved, u64::from(resets == Resets::Genuine));
        }
        if overslept {
            self.check_waking(node);
        }
        let crashes = self.machines[client].node.crashes_now(&mut self.rng);
        self.apply_client_effects(client);
        if crashes {
            self.coverage.add(Count::KilledInTurn);
            return self.restart_client(client);
        }
        let has_conn = before.is_some_and(|(_, path)| self.is_open(client, path));
        let machine = &mut self.machines[client];
        let peer = machine.node.core.peer(&machine.relay);
        machine.peer_watch.check_turn(now, peer, &mut self.coverage);
        let turn = path_changes::TurnFacts { new_network, has_conn };
        machine.path_changes.check_turn(now, peer, turn, &mut self.coverage);
        if let Some(deadline) = deadline {
            self.wake_exactly(node, deadline);
        }
    }

    /// Whether this is a TCP connection that the client may still use.
    fn is_open(&mut self, client: usize, path: Option<Path>) -> bool {
        let Some(Path::Tcp(id)) = path else { return false };
        let conn = self.tcp_conn_of(client, id.0).and_then(|conn| self.conns.get_mut(&conn));
        conn.is_some_and(|conn| conn.side(Side::Client).open)
    }

    /// Checks that a machine that wakes does not flood the network. The datagrams that it sends to
    /// any address in that turn are few, apart from answers to packets that came in the meantime.
    fn check_waking(&mut self, node: usize) {
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
            None => self.relay.sent_packets().for_each(|(path, packet)| count(path, packet)),
            Some(client) => {
                self.machines[client].node.sent_packets().for_each(|(path, packet)| count(path, packet))
            }
        }
        let most = sent.values().max().copied().unwrap_or(0);
        assert!(most <= WAKING_MAX, "node {node} wakes, and sends {most} datagrams at once");
        self.coverage.add(Count::Wakings);
    }

    fn check_relay(&mut self) {
        self.check_curve_work();
        let stats = self.relay.core.stats();
        let honest = stats.violations <= self.violations;
        assert!(honest, "an honest client was closed for breaking the protocol");
        self.relay.core.check_sums();
        let sessions = self.relay.core.session_count();
        // A session that a new process of its member has replaced remains for a while.
        let incarnations: usize = self.machines.iter().map(|machine| machine.node.incarnation as usize).sum();
        let most = self.machines.len() * 3 + 3 + self.violations as usize + incarnations;
        assert!(sessions <= most, "{sessions} sessions of {} clients", self.machines.len());
        let watches = &mut self.relay_watches;
        let now = self.now;
        let coverage = &mut self.coverage;
        let mut gapped = 0;
        self.relay.core.visit_peers(|peer| {
            gapped += peer.link().gapped();
            watches.entry(peer.id()).or_default().check_turn(now, Some(peer), coverage);
        });
        let most = gapped_max(&self.limits);
        assert_eq!(gapped, self.relay.core.gapped_bytes(), "bytes behind gaps of all sessions are counted");
        assert!(gapped <= most, "{gapped} bytes are held behind gaps");
    }
}

/// Whether a client is notified that its machine's network has changed.
fn is_network_change(input: &PendingInput<Command>) -> bool {
    matches!(input, PendingInput::Other(Input::Command(Command::NetworkChanged)))
}
