//! An on-path attacker that drops nothing. It sends the relay a copy of each client datagram before
//! the original, from its own addresses, and ignores the replies there.
//!
//! The relay must in the end answer at the client's address, and nothing may be lost. Healing the
//! network does not stop the copies, because they need no network fault.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Path, Tick};
use queqiao::client::{Carriers, Command};

use super::coverage::Count;
use super::link_conditions::{below, chance};
use super::scenarios::basic::{millis, secs, send_and_time, two_clients};
use super::simulation::{SimEvent, Simulation};

/// Once nothing is faulty, the relay answers only at proven addresses within this time.
const VALIDATION_MAX: Duration = Duration::from_secs(5);

/// Number of copying addresses, by client.
#[derive(Default)]
pub struct Copies(BTreeMap<usize, u64>);

impl Simulation {
    pub fn begin_copies(&mut self, client: usize, addresses: u64) {
        self.copies.0.insert(client, addresses);
    }

    /// Returns the number of copied clients that may choose their carrier.
    pub fn copied_and_free(&self) -> u64 {
        let is_free = |client: &&usize| self.machines[**client].carriers == Carriers::Auto;
        self.copies.0.keys().filter(is_free).count() as u64
    }

    /// Delivers a copy of this client's datagram just before the datagram itself.
    pub fn copy_first(&mut self, client: usize, at: Tick, bytes: &[u8]) {
        let Some(addresses) = self.copies.0.get(&client).copied() else { return };
        let port = 5_000 + self.rng.below(addresses) as u16;
        let from = SocketAddr::from(([192, 88, 99, client as u8 + 1], port));
        self.coverage.add(Count::CopiedFirst);
        let copy = SimEvent::ToRelay { from, bytes: bytes.to_vec(), proves: Vec::new(), genuine: false };
        self.event_queue.push(at, copy);
    }

    /// Returns the addresses at which the relay answers although they are not proven.
    fn unproven_paths(&self) -> Vec<SocketAddr> {
        let mut unproven = Vec::new();
        self.relay.core.visit_peers(|peer| match peer.path() {
            Some(Path::Udp(addr)) if !self.address_limits.is_proven(addr) => unproven.push(addr),
            _ => {}
        });
        unproven
    }
}

/// In a few seeds one client is copied, from the start or later. Mostly it has no other carrier.
pub fn schedule(sim: &mut Simulation, span: Duration) {
    if !chance(&mut sim.rng, 80) {
        return;
    }
    let client = sim.rng.below(sim.machines.len() as u64) as usize;
    let addresses = [1, 3, 50][sim.rng.below(3) as usize];
    let is_late = chance(&mut sim.rng, 700);
    let at = if is_late { below(&mut sim.rng, span) } else { Duration::ZERO };
    let only_udp = chance(&mut sim.rng, 700);
    sim.schedule(at, move |sim| {
        sim.begin_copies(client, addresses);
        if only_udp {
            sim.machines[client].carriers = Carriers::Udp;
            sim.send_command(client, Command::Carriers(Carriers::Udp));
        }
    });
    if chance(&mut sim.rng, 300) {
        let at = at + below(&mut sim.rng, span);
        sim.schedule(at, move |sim| _ = sim.copies.0.remove(&client));
    }
}

/// Checks that no session is on an unproven address, once there was time to prove it. Such an
/// address may receive a challenge only.
pub fn check_paths(sim: &mut Simulation) {
    sim.run_until(VALIDATION_MAX, |sim| sim.unproven_paths().is_empty());
    let unproven = sim.unproven_paths();
    assert!(unproven.is_empty(), "the relay answers at unproven addresses: {unproven:?}");
}

/// Six letters each way, copied from the first packet on or from when both are online.
#[test]
fn copied_datagrams_silence_neither_member() {
    for (addresses, from_the_start) in [(1, false), (1, true), (50, false), (50, true)] {
        let (mut sim, tom, jack) = two_clients(Carriers::Udp);
        sim.begin_copies(jack, addresses);
        if from_the_start {
            sim.restart_client(jack);
        }
        for n in 0..6 {
            let took = send_and_time(&mut sim, tom, "JACK", secs(10));
            let back = send_and_time(&mut sim, jack, "TOM", secs(10));
            let most = if n == 0 { secs(2) } else { millis(700) };
            assert!(took <= most && back <= most, "{n}: {took:?}, {back:?} by {addresses} addresses");
            sim.run_for(secs(n * 15));
        }
        check_paths(&mut sim);
    }
}

/// A router forgets the client, and the relay sees its new address in copies only.
#[test]
fn copied_client_can_change_its_address() {
    let (mut sim, tom, jack) = two_clients(Carriers::Udp);
    sim.begin_copies(jack, 1);
    send_and_time(&mut sim, tom, "JACK", secs(10));
    sim.rebind(jack, true);
    send_and_time(&mut sim, jack, "TOM", secs(10));
    let took = send_and_time(&mut sim, tom, "JACK", secs(10));
    assert!(took <= millis(700), "{took:?}");
    check_paths(&mut sim);
}

/// The address changes once and nothing is copied: the relay answers there at once.
#[test]
fn relay_follows_changed_address_within_100_ms() {
    let (mut sim, tom, jack) = two_clients(Carriers::Udp);
    sim.rebind(jack, true);
    let back = send_and_time(&mut sim, jack, "TOM", secs(10));
    let took = send_and_time(&mut sim, tom, "JACK", secs(10));
    assert!(back <= millis(100) && took <= millis(100), "{back:?}, {took:?}");
}
