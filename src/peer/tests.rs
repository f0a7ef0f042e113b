//! Two ends that probe each other's paths. Part of the program under `#[cfg(test)]` only.

use super::*;
use crate::base::{ConnId, Effect};

type Out = Outputs<(), ()>;

const TCP: Path = Path::Tcp(ConnId(1));

fn udp(port: u16) -> Path {
    Path::Udp(([192, 0, 2, 1], port).into())
}

fn at(millis: u64) -> Tick {
    Tick::from_micros(millis * 1000)
}

/// A client and its relay, on the client's path 1.
fn pair() -> (Peer, Peer) {
    let peer = |role, local, remote, send, recv| {
        let keys = Keys::new(local, remote, [send; 32], [recv; 32]);
        let (id, lifetime) = (SessionId([1; 16]), Lifetime::default());
        let rng = Rng::from_seed([local as u8; 32]);
        Peer::new(at(0), Begin { role, path: udp(1), keys, id, rtt: None, lifetime, rng })
    };
    let (mut client, mut relay) = (peer(Role::Client, 1, 2, 3, 4), peer(Role::Relay, 2, 1, 4, 3));
    client.poke();
    let out = flushed(&mut client);
    deliver(&out, &mut relay, None);
    deliver(&flushed(&mut relay), &mut client, None);
    (client, relay)
}

fn flushed(peer: &mut Peer) -> Out {
    let mut out = Out::default();
    peer.flush(at(1), &mut out);
    out
}

/// Brings what was sent to the other end, on its own path or on another one; where and how long each packet was.
fn deliver(out: &Out, to: &mut Peer, from: Option<Path>) -> Vec<(Path, usize)> {
    let mut seen = Vec::new();
    for effect in &out.effects {
        let Effect::Send(path, range) = effect else { continue };
        let mut bytes = out.bytes[range.clone()].to_vec();
        seen.push((*path, bytes.len()));
        assert_eq!(to.handle_packet(at(1), from.unwrap_or(*path), &mut bytes), Heard::Taken);
    }
    seen
}

#[test]
fn a_probe_is_answered_in_full_on_its_own_path_and_moves_nothing() {
    let (mut client, mut relay) = pair();
    for (path, len) in [(udp(2), UDP_PACKET_MAX), (TCP, 42)] {
        let mut out = Out::default();
        client.probe(at(1), path, [7; 8], &mut out);
        assert_eq!(deliver(&out, &mut relay, None), [(path, len)]);
        let out = flushed(&mut relay);
        assert_eq!(deliver(&out, &mut client, None), [(path, len)]);
        assert_eq!(client.take_probe_answer(), Some((path, [7; 8])));
        assert_eq!(
            (client.take_probe_answer(), relay.path(), client.path()),
            (None, Some(udp(1)), Some(udp(1)))
        );
    }
}

#[test]
fn a_flood_of_probes_owes_four_answers_and_never_more_than_what_came() {
    let (mut client, mut relay) = pair();
    let mut out = Out::default();
    (0..50).for_each(|n| client.probe(at(1), udp(2), [n; 8], &mut out));
    deliver(&out, &mut relay, None);
    let out = flushed(&mut relay);
    let answers = deliver(&out, &mut client, None);
    assert_eq!(answers.iter().filter(|(path, _)| *path == udp(2)).count(), PROBES_OWED_MAX);
    assert_eq!(client.take_probe_answer(), Some((udp(2), [49; 8])), "the newest are kept");
}

#[test]
fn the_first_packet_that_is_no_probe_moves_the_conversation() {
    let (mut client, mut relay) = pair();
    client.select(at(1), TCP);
    client.poke();
    let out = flushed(&mut client);
    deliver(&out, &mut relay, None);
    assert_eq!(relay.path(), Some(TCP));
    assert!(flushed(&mut relay).effects.iter().all(|effect| matches!(effect, Effect::Send(TCP, _))));
}
