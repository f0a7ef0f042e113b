//! Scenarios with a member that demands more than its share: letters of others still arrive.

use queqiao::client::Carriers;
use queqiao::relay::Limits;

use crate::coverage::Count;
use crate::hostile_member;
use crate::scenarios::basic::{delivered, secs};
use crate::simulation::Simulation;

/// The others write through a network that loses packets, so that their letters have gaps too.
fn letters_despite_abuse(seed: u64) -> Simulation {
    let mut sim = Simulation::with_limits(seed, Limits { reassembly_bytes: 4_096, ..Limits::default() });
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    for client in [tom, jack] {
        sim.start(client);
        sim.machines[client].up.conditions.loss = 30;
        sim.machines[client].down.conditions.loss = 30;
    }
    sim.run_for(secs(5));
    hostile_member::add_hostile_member(&mut sim, secs(60));
    for _ in 0..12 {
        let letters: Vec<_> = [(tom, "JACK", 20_000), (jack, "TOM", 10)]
            .map(|(from, to, len)| sim.send(from, to, &"letter ".repeat(len / 7)))
            .into();
        let arrived = sim.run_until(secs(10), |sim| letters.iter().all(|letter| delivered(sim, *letter)));
        assert!(arrived, "seed {seed}: {:?}", letters.iter().map(|l| sim.fate(*l)).collect::<Vec<_>>());
        sim.run_for(secs(4));
    }
    sim
}

#[test]
fn letters_arrive_despite_greedy_member() {
    let mut met = crate::coverage::Coverage::default();
    (0..8).for_each(|seed| met.merge(&letters_despite_abuse(seed).coverage));
    for count in [Count::ControlFloods, Count::LastBytes] {
        assert!(met.get(count) >= 3, "{count:?}: {}", met.get(count));
    }
}
