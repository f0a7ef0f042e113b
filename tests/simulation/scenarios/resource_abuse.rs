//! Scenarios with a member that demands more than its share: letters of others still arrive.

use queqiao::base::Path;
use queqiao::client::Carriers;
use queqiao::relay::Limits;
use queqiao::wire::limits::MAGIC;

use crate::coverage::Count;
use crate::hostile_member;
use crate::node::PendingInput;
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

/// TCP delivers everything once and in order, so such a packet was damaged or forged. Its sender
/// must not keep the connection.
#[test]
fn packet_of_no_session_closes_its_tcp_connection() {
    let mut sim = Simulation::new(1);
    sim.has_tcp = true;
    let conn = sim.open_hostile_tcp("198.51.100.7:7000".parse().unwrap()).expect("the relay listens");
    sim.run_for(secs(1));
    assert_eq!(sim.coverage.get(Count::TcpClosedByRelay), 0);
    let of_no_session = [&[MAGIC, 6, 1, 0][..], &[9; 60]].concat();
    sim.push_relay_input(PendingInput::Packet(Path::Tcp(conn.id), of_no_session));
    sim.run_for(secs(1));
    assert_eq!(sim.coverage.get(Count::TcpClosedByRelay), 1);
}
