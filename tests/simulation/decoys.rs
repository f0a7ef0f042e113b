//! A relay host with additional addresses. Some lead nowhere, some refuse, and some accept a
//! connection and stay silent.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, Input, Path, PathError};
use queqiao::client::Carriers;

use super::coverage::Count;
use super::link_conditions::chance;
use super::node::PendingInput;
use super::scenarios::basic::{is_online, millis, secs};
use super::simulation::{RELAY_ADDR, RELAY_HOST, Simulation};

/// Time after which the system gives up opening a connection.
const TIMED_OUT_AFTER: Duration = Duration::from_secs(7);

/// Kind of a false address of the relay's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoy {
    /// Packets to it are lost.
    Nothing,
    /// A machine without a listener.
    Refuses,
    /// Accepts connections and never sends anything.
    Silent,
}

/// False addresses of the relay's host, listed before and after the true one.
#[derive(Default)]
pub struct Decoys {
    before: Vec<Decoy>,
    after: Vec<Decoy>,
}

fn addr(place: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 101 + place as u8], 8081))
}

impl Decoys {
    /// Returns all addresses of the host, in order.
    pub fn among(&self, relay: SocketAddr) -> Vec<SocketAddr> {
        let before = self.before.len();
        let all = self.before.len() + self.after.len();
        (0..before).map(addr).chain([relay]).chain((before..all).map(addr)).collect()
    }

    pub fn has(&self, to: SocketAddr) -> bool {
        self.at(to).is_some()
    }

    fn at(&self, to: SocketAddr) -> Option<Decoy> {
        let decoys = self.before.iter().chain(&self.after);
        decoys.enumerate().find(|(place, _)| addr(*place) == to).map(|(_, decoy)| *decoy)
    }
}

impl Simulation {
    pub fn send_to_decoy(&mut self, client: usize, to: SocketAddr) {
        self.datagrams += 1;
        self.coverage.add(Count::Decoyed);
        if self.decoys.at(to) == Some(Decoy::Refuses) {
            let refused = Input::SendRefused(Path::Udp(to), PathError::Refused);
            self.tell_from_decoy(client, Duration::ZERO, refused);
        }
    }

    pub fn dial_decoy(&mut self, client: usize, id: ConnId, to: SocketAddr) {
        self.coverage.add(Count::Decoyed);
        let path = Path::Tcp(id);
        let (after, what) = match self.decoys.at(to) {
            Some(Decoy::Silent) => (Duration::ZERO, Input::PathOpened { path, remote: to }),
            Some(Decoy::Refuses) => (Duration::ZERO, Input::PathClosed(path, PathError::Refused)),
            Some(Decoy::Nothing) | None => (TIMED_OUT_AFTER, Input::PathClosed(path, PathError::TimedOut)),
        };
        self.tell_from_decoy(client, after, what);
    }

    /// Delivers an input to the client's process, if that still runs.
    fn tell_from_decoy(
        &mut self,
        client: usize,
        after: Duration,
        what: Input<'static, queqiao::client::Command>,
    ) {
        let machine = &self.machines[client];
        let incarnation = machine.node.incarnation;
        let rtt = machine.up.conditions.delay * 2;
        self.schedule(after + rtt, move |sim| {
            if sim.machines[client].node.incarnation == incarnation {
                sim.push_client_input(client, PendingInput::Other(what));
            }
        });
    }
}

/// In some seeds the relay's host has one to three false addresses.
pub fn schedule(sim: &mut Simulation) {
    if !chance(&mut sim.rng, 150) {
        return;
    }
    for _ in 0..1 + sim.rng.below(3) {
        let decoy = [Decoy::Nothing, Decoy::Refuses, Decoy::Silent][sim.rng.below(3) as usize];
        let list = if chance(&mut sim.rng, 600) { &mut sim.decoys.before } else { &mut sim.decoys.after };
        list.push(decoy);
    }
}

/// Returns how long a client needs to come online through this host.
fn online_after(carriers: Carriers, before: &[Decoy], is_pinned: bool) -> Duration {
    let mut sim = Simulation::new(1);
    sim.decoys.before = before.to_vec();
    let tom = sim.add_client("TOM", carriers);
    let key = sim.relay.core.public_key();
    let machine = &mut sim.machines[tom];
    machine.relay = RELAY_HOST.parse().unwrap();
    machine.pinned = is_pinned.then_some(key);
    let start = sim.now;
    sim.start(tom);
    assert!(sim.run_until(secs(30), |sim| is_online(sim, tom)), "{carriers:?} behind {before:?}");
    assert_eq!(sim.decoys.among(RELAY_ADDR.parse().unwrap()).len(), before.len() + 1);
    sim.now.since(start)
}

/// In addition to the lookup and four round trips of 10 ms, TCP to the second address starts 250 ms
/// after TCP to the first.
#[test]
fn each_wrong_address_delays_connecting_by_250_ms() {
    for carriers in [Carriers::Tcp, Carriers::Udp] {
        for is_pinned in [true, false] {
            for decoy in [Decoy::Nothing, Decoy::Silent] {
                for many in 0..4 {
                    let took = online_after(carriers, &vec![decoy; many], is_pinned);
                    // Repeats over UDP come at growing intervals: at 0, 250, 500, and 1,000 ms, ±
                    // 10 %.
                    let waits =
                        if carriers == Carriers::Udp { [0, 275, 550, 1_100] } else { [0, 250, 500, 750] };
                    let most = millis(waits[many] + 100);
                    assert!(took <= most, "{took:?} behind {many} {decoy:?}, {carriers:?}, {is_pinned}");
                }
            }
        }
    }
}

#[test]
fn refusing_address_costs_one_round_trip() {
    let took = online_after(Carriers::Tcp, &[Decoy::Refuses, Decoy::Refuses], true);
    assert!(took <= millis(120), "{took:?}");
}

/// More addresses than the six packets of a round: the later ones follow in later rounds.
#[test]
fn address_beyond_first_round_is_tried_in_later_round() {
    let took = online_after(Carriers::Udp, &[Decoy::Nothing; 8], true);
    assert!(took <= secs(25), "{took:?}");
}
