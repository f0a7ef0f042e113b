//! Two ends that probe each other's paths. Part of the program under `#[cfg(test)]` only.

use super::*;
use crate::base::{Beats, ConnId, Effect};

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
        Peer::new(at(0), Begin { role, path: udp(1), keys, id, rtt: None, lifetime, rng }).with_full_credit()
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

#[test]
fn whoever_goes_on_talking_to_a_closed_end_is_told_again_but_ever_more_seldom() {
    let (mut client, mut relay) = pair();
    relay.close(3, "replaced");
    let mut told = Vec::new();
    for heard in 0..20 {
        if !flushed(&mut relay).effects.is_empty() {
            told.push(heard);
        }
        relay.handle_unsent(at(1), udp(1), 0);
        assert!(flushed(&mut relay).effects.is_empty(), "nothing was heard");
        client.poke();
        deliver(&flushed(&mut client), &mut relay, None);
    }
    assert_eq!(told, [0, 1, 2, 4, 8, 16]);
}

#[test]
fn a_new_address_that_sent_little_is_told_of_the_end_when_it_has_sent_more() {
    let (mut client, mut relay) = pair();
    let sent = |out: &Out| out.bytes.len();
    let mut came = 0;
    let mut told = Vec::new();
    for round in 0..3 {
        client.poke();
        let out = flushed(&mut client);
        came += sent(&out);
        deliver(&out, &mut relay, Some(udp(2)));
        let mut lens = vec![sent(&flushed(&mut relay))];
        if round == 0 {
            relay.close(7, "so long a reason that it does not fit into what is left");
            lens.push(sent(&flushed(&mut relay)));
        }
        told.extend(lens);
        let went: usize = told.iter().sum();
        assert!(went <= 3 * came, "{told:?} for {came}");
    }
    assert!(told[0] > 0 && told[1] == 0 && told[2] > 0, "{told:?} for {came}");
}

/// What the second of two ends says next: as much as the first, packet by packet. (Only its acks may say a bit more.)
fn says_as_much(now: u64, relay: &mut Peer, again: &mut Peer) -> Out {
    let (mut out, mut same) = (Out::default(), Out::default());
    relay.flush(at(now), &mut out);
    again.flush(at(now), &mut same);
    assert_eq!(out.effects, same.effects);
    same
}

fn packed(peer: &Peer) -> Vec<u8> {
    let mut packed = Vec::new();
    assert!(peer.is_quiet());
    peer.pack(&mut packed);
    packed
}

/// After some talk in both directions.
fn talked() -> (Peer, Peer) {
    let (mut client, mut relay) = pair();
    for round in 0..3 {
        client.send(StreamId::Chat, &[&[round; 300]]).unwrap();
        deliver(&flushed(&mut client), &mut relay, None);
        let mut message = Vec::new();
        assert!(relay.receive(StreamId::Chat, &mut message));
        relay.send(StreamId::Control, &[b"a receipt"]).unwrap();
        deliver(&flushed(&mut relay), &mut client, None);
        assert!(!relay.is_quiet(), "it waits for an ack");
        client.poke();
        deliver(&flushed(&mut client), &mut relay, None);
        assert!(!relay.is_quiet(), "it owes an ack");
        deliver(&flushed(&mut relay), &mut client, None);
        assert!(client.receive(StreamId::Control, &mut message));
    }
    (client, relay)
}

#[test]
fn an_end_at_rest_takes_little_and_goes_on_as_if_it_had_never_rested() {
    let (mut client, mut relay) = talked();
    let bytes = packed(&relay);
    assert!(bytes.len() <= 240, "{} bytes", bytes.len());
    let mut from = crate::base::Unpacker::new(&bytes);
    let mut again = Peer::unpack(&mut from, Beats::default());
    assert!(from.is_empty());
    assert_eq!(Peer::peek(&mut crate::base::Unpacker::new(&bytes)), (relay.id(), udp(1)));
    assert_eq!(packed(&again), bytes);
    for round in 2..6 {
        client.send(StreamId::Control, &[b"more"]).unwrap();
        relay.send(StreamId::Chat, &[&[7; 3000]]).unwrap();
        again.send(StreamId::Chat, &[&[7; 3000]]).unwrap();
        let mut out = Out::default();
        client.flush(at(round * 1000), &mut out);
        deliver(&out, &mut relay, None);
        deliver(&out, &mut again, None);
        let mut message = Vec::new();
        assert!(
            relay.receive(StreamId::Control, &mut message) && again.receive(StreamId::Control, &mut message)
        );
        deliver(&says_as_much(round * 1000, &mut relay, &mut again), &mut client, None);
        assert!(client.receive(StreamId::Chat, &mut message) && message == [7; 3000]);
    }
    assert_eq!(again.link().stats(), relay.link().stats());
}

#[test]
fn what_came_before_a_rest_is_not_opened_after_it() {
    let (mut client, mut relay) = pair();
    client.poke();
    let late = flushed(&mut client);
    client.poke();
    deliver(&flushed(&mut client), &mut relay, None);
    flushed(&mut relay);
    let mut again = Peer::unpack(&mut crate::base::Unpacker::new(&packed(&relay)), Beats::default());
    let mut bytes = late.bytes.clone();
    assert_eq!(again.handle_packet(at(1), udp(1), &mut bytes), Heard::Dropped);
    assert_eq!(relay.handle_packet(at(1), udp(1), &mut late.bytes.clone()), Heard::Taken);
}

#[test]
fn whoever_has_something_to_do_does_not_rest() {
    let (mut client, mut relay) = talked();
    assert!(!client.is_quiet(), "it keeps the session alive");
    let mut out = Out::default();
    client.poke();
    client.flush(at(5), &mut out);
    deliver(&out, &mut relay, Some(udp(2)));
    flushed(&mut relay);
    assert!(!relay.is_quiet(), "an address is to be proved");
    let (_, mut relay) = talked();
    relay.renew(at(5), Keys::new(9, 9, [9; 32], [9; 32]));
    assert!(!relay.is_quiet(), "keys wait");
    let (_, mut relay) = talked();
    relay.close(0, "");
    assert!(!relay.is_quiet());
}

fn beats_of(packed: &[u8], beats: Beats, now: Tick, path: Path, bytes: &[u8]) -> (Resting, Out) {
    let mut out = Out::default();
    let mut from = crate::base::Unpacker::new(packed);
    let resting = Peer::answer_at_rest(&mut from, beats, (now, path), bytes, &mut out);
    (resting, out)
}

#[test]
fn what_keeps_alive_is_answered_at_rest_as_by_an_end_that_wakes_each_time() {
    let (mut client, relay) = talked();
    let (mut beats, asleep) = (Beats::default(), packed(&relay));
    let mut waking = asleep.clone();
    for round in 1..20 {
        let now = at(round * 20_000);
        client.handle_time(now);
        let mut ping = Out::default();
        client.flush(now, &mut ping);
        assert!(!ping.bytes.is_empty(), "a keep-alive is due");

        let (resting, answer) = beats_of(&asleep, beats, now, udp(1), &ping.bytes);
        assert_eq!(resting, Resting::Answered);
        beats = Beats { count: beats.count + 1, last: now };
        assert_eq!(beats_of(&asleep, beats, now, udp(1), &ping.bytes).0, Resting::Dropped, "a replay");

        let mut woken = Peer::unpack(&mut crate::base::Unpacker::new(&waking), Beats::default());
        let mut expected = Out::default();
        assert_eq!(woken.handle_packet(now, udp(1), &mut ping.bytes.clone()), Heard::Taken);
        woken.flush(now, &mut expected);
        assert_eq!((&answer.bytes, &answer.effects), (&expected.bytes, &expected.effects));
        waking = packed(&woken);
        let again = Peer::unpack(&mut crate::base::Unpacker::new(&asleep), beats);
        assert_eq!(packed(&again), waking);
        assert_eq!(again.link().last_heard(), now);
        deliver(&answer, &mut client, None);
        assert_eq!(client.link().unasked_since(), Some(now), "it has its answer");
    }
}

#[test]
fn whatever_else_comes_wakes_an_end_at_rest() {
    let (mut client, relay) = talked();
    let (asleep, none) = (packed(&relay), Beats::default());
    let answered = |bytes: &[u8], path| beats_of(&asleep, none, at(1), path, bytes).0;
    client.poke();
    let ping = flushed(&mut client).bytes;
    assert_eq!(answered(&ping, udp(1)), Resting::Answered);
    assert_eq!(answered(&ping, udp(2)), Resting::Wakes, "another address");
    assert_eq!(answered(&ping, TCP), Resting::Wakes);
    let mut forged = ping.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(answered(&forged, udp(1)), Resting::Dropped);
    assert_eq!(answered(&ping[..20], udp(1)), Resting::Dropped);
    client.poke();
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), Resting::Wakes, "one before it was lost");

    let (mut client, _) = talked();
    client.send(StreamId::Chat, &[b"short"]).unwrap();
    client.poke();
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), Resting::Wakes, "a letter");
    let (mut client, _) = talked();
    client.send(StreamId::Chat, &[&[7; 500]]).unwrap();
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), Resting::Wakes, "a long one");
    let (mut client, _) = talked();
    client.close(0, "");
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), Resting::Wakes, "its end");
}
