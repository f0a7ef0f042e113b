//! Stories: what two or three people see, each told alone.

use std::time::Duration;

use queqiao::base::Carrier;
use queqiao::client::{Carriers, Event};

use super::oracle::End;
use super::world::World;

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// TOM and JACK, both online.
pub fn two(carriers: Carriers) -> (World, usize, usize) {
    let mut world = World::new(1);
    let (tom, jack) = (world.client("TOM", carriers), world.client("JACK", carriers));
    world.start(tom);
    world.start(jack);
    assert!(world.run_until(secs(5), |w| is_online(w, tom) && is_online(w, jack)), "both come online");
    (world, tom, jack)
}

pub fn is_online(world: &World, client: usize) -> bool {
    let events = world.stations[client].events.iter().rev();
    let mut told = events.filter(|(_, e)| matches!(e, Event::Online { .. } | Event::Lost { .. }));
    matches!(told.next(), Some((_, Event::Online { .. })))
}

pub fn ended(world: &World, request: u64) -> bool {
    world.fate(request).end.is_some()
}

pub fn delivered(world: &World, request: u64) -> bool {
    world.fate(request).end == Some(End::Delivered)
}

pub fn shows(world: &World, client: usize, wanted: impl Fn(&Event) -> bool) -> bool {
    world.stations[client].events.iter().any(|(_, event)| wanted(event))
}

#[test]
fn a_letter_goes_over_udp() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    let letter = world.send(tom, "JACK", "hello");
    assert!(world.run_until(millis(100), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    assert!(shows(&world, jack, |e| matches!(e, Event::Letter(l) if l.text == "hello" && l.via == Carrier::Udp)));
    assert_eq!(world.last_conn, 0, "no TCP connection is opened where UDP works");
}

#[test]
fn a_letter_goes_over_tcp() {
    let (mut world, tom, jack) = two(Carriers::Tcp);
    let datagrams = world.datagrams;
    let letter = world.send(tom, "JACK", "hello");
    assert!(world.run_until(millis(100), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    assert!(shows(&world, jack, |e| matches!(e, Event::Letter(l) if l.via == Carrier::Tcp)));
    assert_eq!((datagrams, world.datagrams), (0, 0), "not one datagram");
}
