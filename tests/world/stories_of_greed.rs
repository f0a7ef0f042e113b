//! Scenarios with a member that demands more than its share: letters of others still arrive.

use queqiao::client::Carriers;
use queqiao::relay::Limits;

use super::cover::Count;
use super::hostile;
use super::stories::{delivered, secs};
use super::world::World;

/// The others write through a network that loses packets, so that their letters have gaps too.
fn letters_despite_greed(seed: u64) -> World {
    let mut world = World::with_limits(seed, Limits { reassembly_bytes: 4_096, ..Limits::default() });
    let tom = world.client("TOM", Carriers::Auto);
    let jack = world.client("JACK", Carriers::Auto);
    for client in [tom, jack] {
        world.start(client);
        world.stations[client].up.weather.loss = 30;
        world.stations[client].down.weather.loss = 30;
    }
    world.run_for(secs(5));
    hostile::join(&mut world, secs(60));
    for _ in 0..12 {
        let letters: Vec<_> = [(tom, "JACK", 20_000), (jack, "TOM", 10)]
            .map(|(from, to, len)| world.send(from, to, &"letter ".repeat(len / 7)))
            .into();
        let arrived = world.run_until(secs(10), |w| letters.iter().all(|letter| delivered(w, *letter)));
        assert!(arrived, "seed {seed}: {:?}", letters.iter().map(|l| world.fate(*l)).collect::<Vec<_>>());
        world.run_for(secs(4));
    }
    world
}

#[test]
fn letters_arrive_despite_greedy_member() {
    let mut met = super::cover::Cover::default();
    (0..8).for_each(|seed| met.merge(&letters_despite_greed(seed).cover));
    for count in [Count::ControlFloods, Count::LastBytes] {
        assert!(met.get(count) >= 3, "{count:?}: {}", met.get(count));
    }
}
