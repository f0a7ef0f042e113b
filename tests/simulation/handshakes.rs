//! Handshake floods: a relay that resets each session as soon as it has begun, and a crowd at many
//! addresses that it can prove.
//!
//! A client must begin few handshakes, and curve arithmetic must keep to its share of the relay's
//! time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Carrier, Rng, Tick};
use queqiao::session::{HANDSHAKE_BUDGET, HandshakeLimits, Identity, InitPayload, Initiator, Responder};
use queqiao::wire::packet::{self, PacketType};

use super::coverage::Count;
use super::link_conditions::{below, chance};
use super::simulation::{SimEvent, Simulation};

/// Handshakes that one process of a client may begin within [`WINDOW`]. Each round takes two, one
/// on each carrier, and a reset after each of them allows six rounds in ten seconds. The rest is
/// for changes of network.
const BEGUN_MAX: usize = 24;
const WINDOW: Duration = Duration::from_secs(10);
/// Maximum delay between the answer to a handshake and its reset.
const RESET_WITHIN: Duration = Duration::from_millis(300);

/// Handshakes that one client has begun recently.
#[derive(Default)]
pub struct HandshakeWatch {
    incarnation: u32,
    begun: VecDeque<(Tick, u32)>,
}

impl HandshakeWatch {
    /// Checks a packet that a client sends in this life of its process.
    pub fn check_packet(&mut self, now: Tick, incarnation: u32, packet: &[u8]) {
        if packet.get(1) != Some(&(PacketType::Init as u8)) {
            return;
        }
        if self.incarnation != incarnation {
            *self = HandshakeWatch { incarnation, ..HandshakeWatch::default() };
        }
        let index = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        while self.begun.front().is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.begun.pop_front();
        }
        if self.begun.iter().all(|(_, known)| *known != index) {
            self.begun.push_back((now, index));
        }
        let many = self.begun.len();
        assert!(many <= BEGUN_MAX, "a client began {many} handshakes within {WINDOW:?}");
    }
}

/// Resets of sessions in the relay's name, with its tokens, and the crowd's first message.
#[derive(Default)]
pub struct HandshakeAttacks {
    resets: Option<(Tick, Responder)>,
    crowd: Option<Initiator>,
}

/// Resets each session that has just begun, for `span`.
pub fn reset_all(sim: &mut Simulation, span: Duration) {
    sim.coverage.add(Count::HostileResetters);
    let identity = Identity::from_private(sim.relay_key);
    let rng = Rng::from_seed([1; 32]);
    let relay = Responder::new(identity, HandshakeLimits::Off, rng);
    sim.handshake_attacks.resets = Some((sim.now + span, relay));
}

/// Lets `many` clients handshake repeatedly within a second, from proven addresses in as many
/// networks.
pub fn add_crowd(sim: &mut Simulation, many: u16) {
    sim.coverage.add(Count::Crowds);
    let mut private_key = [0; 32];
    sim.rng.fill(&mut private_key);
    let identity = Identity::from_private(private_key);
    let relay = sim.relay.core.public_key();
    let hello = InitPayload { counter: 1, continues: None };
    let mut rng = sim.rng.fork();
    let first = Initiator::new(&identity, &relay, &hello, 77, Carrier::Udp, &mut rng);
    let first = first.expect("the relay's key is sound");
    for place in 0..many {
        let [high, low] = place.to_be_bytes();
        let from = SocketAddr::from(([10, high, low, 1], 4_000));
        let bytes = first.packet().to_vec();
        sim.hostile_addrs.insert(from, ());
        send_init(sim, from, bytes);
    }
    sim.handshake_attacks.crowd = Some(first);
}

fn send_init(sim: &mut Simulation, from: SocketAddr, bytes: Vec<u8>) {
    let at = sim.now + below(&mut sim.rng, Duration::from_secs(1));
    let event = SimEvent::ToRelay { from, bytes, proves: Vec::new(), genuine: false };
    sim.event_queue.push(at, event);
}

impl Simulation {
    /// Reacts to a packet that the relay sent to a client, or to one of the crowd.
    pub fn feed_handshake_attacks(&mut self, client: Option<usize>, to: Option<SocketAddr>, packet: &[u8]) {
        let is = |kind: PacketType| packet.get(1) == Some(&(kind as u8));
        if is(PacketType::Cookie)
            && let Some(to) = to.filter(|to| self.hostile_addrs.contains_key(to))
            && let Some(crowd) = &mut self.handshake_attacks.crowd
            && crowd.handle_cookie(packet).is_ok()
        {
            let bytes = crowd.packet().to_vec();
            (0..3).for_each(|_| send_init(self, to, bytes.clone()));
        }
        let resets = self.handshake_attacks.resets.as_ref().filter(|(until, _)| *until > self.now);
        if is(PacketType::Response)
            && let Some(client) = client
            && let Some((_, relay)) = resets
        {
            let index = u32::from_be_bytes(packet[4..8].try_into().unwrap());
            let mut reset = Vec::new();
            packet::write_reset(&mut reset, index, relay.reset_token(index).bytes());
            let wait = below(&mut self.rng, RESET_WITHIN);
            self.schedule(wait, move |sim| sim.inject_to_client(client, reset));
        }
    }

    /// Resets the client's current session too.
    pub fn reset_current(&mut self, client: usize) {
        let Some((index, _)) = self.machines[client].epoch_since else { return };
        let Some((_, relay)) = &self.handshake_attacks.resets else { return };
        let mut reset = Vec::new();
        packet::write_reset(&mut reset, index, relay.reset_token(index).bytes());
        self.inject_to_client(client, reset);
    }

    /// Checks that curve arithmetic takes at most a tenth of the relay's time, and 10 ms at once.
    pub fn check_curve_work(&self) {
        let budget = HANDSHAKE_BUDGET;
        let age = self.now.since(self.relay_since).as_micros() as u64;
        let rate = u64::from(budget.capacity) * age / budget.time.as_micros() as u64;
        let spent = self.relay.core.stats().curve_us;
        let most = rate + u64::from(budget.burst);
        assert!(spent <= most, "{spent} µs of curve arithmetic in {age}, {most} at most");
    }
}

/// In some seeds the relay resets every session for a while. A crowd is rarer, because it costs
/// real time.
pub fn schedule(sim: &mut Simulation, span: Duration) {
    if chance(&mut sim.rng, 60) {
        let at = below(&mut sim.rng, span);
        let long = Duration::from_secs(5 + sim.rng.below(60));
        sim.schedule(at, move |sim| reset_all(sim, long));
    }
    if chance(&mut sim.rng, 50) {
        let at = below(&mut sim.rng, span);
        sim.schedule(at, |sim| add_crowd(sim, 150));
    }
}
