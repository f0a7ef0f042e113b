//! Somebody on the way who drops nothing: the relay has a copy of each datagram of a client first, from addresses of their
//! own, where nothing that it says there is heard. What must hold: the relay ends by answering where the client is, and
//! nothing is lost. It does not end when the network has healed: no fault of the network is needed for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Path, Tick};
use queqiao::client::{Carriers, Command};

use super::cover::Count;
use super::stories::{millis, say, secs, two};
use super::weather::{below, chance};
use super::world::{Happening, World};

/// When all is well, the relay answers where clients have shown to be within this time.
const PROVED_WITHIN: Duration = Duration::from_secs(5);

/// Clients whose datagrams are copied, and from how many addresses.
#[derive(Default)]
pub struct Copies(BTreeMap<usize, u64>);

impl World {
    pub fn begin_copies(&mut self, client: usize, addresses: u64) {
        self.copies.0.insert(client, addresses);
    }

    /// A datagram of this client arrives then: its copy does before it.
    pub fn copy_first(&mut self, client: usize, at: Tick, bytes: &[u8]) {
        let Some(addresses) = self.copies.0.get(&client).copied() else { return };
        let port = 5_000 + self.rng.below(addresses) as u16;
        let from = SocketAddr::from(([192, 88, 99, client as u8 + 1], port));
        self.cover.add(Count::CopiedFirst);
        let copy = Happening::ToRelay { from, bytes: bytes.to_vec(), proves: Vec::new(), genuine: false };
        self.agenda.enter(at, copy);
    }

    /// Addresses that the relay answers at and nobody has shown to be at.
    fn unproven_paths(&self) -> Vec<SocketAddr> {
        let mut unproven = Vec::new();
        self.relay.core.look_at_peers(|peer| match peer.path() {
            Some(Path::Udp(addr)) if !self.addresses.is_proven(addr) => unproven.push(addr),
            _ => {}
        });
        unproven
    }
}

/// In few seeds one client is copied, from the start or later; mostly one that has no other carrier.
pub fn plan(world: &mut World, span: Duration) {
    if !chance(&mut world.rng, 80) {
        return;
    }
    let client = world.rng.below(world.stations.len() as u64) as usize;
    let addresses = [1, 3, 50][world.rng.below(3) as usize];
    let is_late = chance(&mut world.rng, 700);
    let at = if is_late { below(&mut world.rng, span) } else { Duration::ZERO };
    let only_udp = chance(&mut world.rng, 700);
    world.later(at, move |world| {
        world.begin_copies(client, addresses);
        if only_udp {
            world.stations[client].carriers = Carriers::Udp;
            world.command(client, Command::Carriers(Carriers::Udp));
        }
    });
    if chance(&mut world.rng, 300) {
        let at = at + below(&mut world.rng, span);
        world.later(at, move |world| _ = world.copies.0.remove(&client));
    }
}

/// The relay sends nobody more than a challenge at an address that is not proved, when there was time to prove it.
pub fn check_paths(world: &mut World) {
    world.run_until(PROVED_WITHIN, |world| world.unproven_paths().is_empty());
    let unproven = world.unproven_paths();
    assert!(unproven.is_empty(), "the relay answers at {unproven:?}, where nobody is");
}

/// Six messages to somebody who listens, and the answers; copied from the first packet on, or when both are online.
#[test]
fn copies_from_elsewhere_silence_nobody() {
    for (addresses, from_the_start) in [(1, false), (1, true), (50, false), (50, true)] {
        let (mut world, tom, jack) = two(Carriers::Udp);
        world.begin_copies(jack, addresses);
        if from_the_start {
            world.restart_client(jack);
        }
        for n in 0..6 {
            let took = say(&mut world, tom, "JACK", secs(10));
            let back = say(&mut world, jack, "TOM", secs(10));
            let most = if n == 0 { secs(2) } else { millis(700) };
            assert!(took <= most && back <= most, "{n}: {took:?}, {back:?} by {addresses} addresses");
            world.run_for(secs(n * 15));
        }
        check_paths(&mut world);
    }
}

/// A router forgets the client, and the relay hears of its new address from copies only.
#[test]
fn a_client_that_is_copied_may_move() {
    let (mut world, tom, jack) = two(Carriers::Udp);
    world.begin_copies(jack, 1);
    say(&mut world, tom, "JACK", secs(10));
    world.rebind(jack, true);
    say(&mut world, jack, "TOM", secs(10));
    let took = say(&mut world, tom, "JACK", secs(10));
    assert!(took <= millis(700), "{took:?}");
    check_paths(&mut world);
}

/// Somebody's address changes once, and nothing is copied: the relay answers there at once.
#[test]
fn a_client_that_moves_is_followed_at_once() {
    let (mut world, tom, jack) = two(Carriers::Udp);
    world.rebind(jack, true);
    let back = say(&mut world, jack, "TOM", secs(10));
    let took = say(&mut world, tom, "JACK", secs(10));
    assert!(back <= millis(100) && took <= millis(100), "{back:?}, {took:?}");
}
