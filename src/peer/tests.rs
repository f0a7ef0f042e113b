//! Two ends that probe, move, close and hibernate.

use super::*;
use crate::base::{ConnId, Effect, KeepAliveCount};

type Out = Outputs<(), ()>;

const TCP: Path = Path::Tcp(ConnId(1));

fn udp(port: u16) -> Path {
    Path::Udp(([192, 0, 2, 1], port).into())
}

fn at(millis: u64) -> Tick {
    Tick::from_micros(millis * 1000)
}

/// Returns a client and its relay, on the client's path 1.
fn pair() -> (Peer, Peer) {
    let peer = |role, local, remote, send, recv| {
        let keys = Keys::new(local, remote, [send; 32], [recv; 32]);
        let id = SessionId([1; 16]);
        let lifetime = Lifetime::default();
        let rng = Rng::from_seed([local as u8; 32]);
        Peer::new(at(0), PeerOptions { role, path: udp(1), keys, id, rtt: None, lifetime, rng })
            .with_full_credit()
    };
    let mut client = peer(Role::Client, 1, 2, 3, 4);
    let mut relay = peer(Role::Relay, 2, 1, 4, 3);
    client.send_ping();
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

/// Delivers the sent packets to the other end, on their own path or on `from`. Returns the path and
/// length of each.
fn deliver(out: &Out, to: &mut Peer, from: Option<Path>) -> Vec<(Path, usize)> {
    let mut seen = Vec::new();
    for effect in &out.effects {
        let Effect::Send(path, range) = effect else { continue };
        let mut bytes = out.bytes[range.clone()].to_vec();
        seen.push((*path, bytes.len()));
        assert_eq!(to.handle_packet(at(1), from.unwrap_or(*path), &mut bytes), PacketOutcome::Accepted);
    }
    seen
}

#[test]
fn probe_is_answered_in_full_on_its_own_path() {
    let (mut client, mut relay) = pair();
    for (path, len) in [(udp(2), UDP_PACKET_MAX), (TCP, 42)] {
        let mut out = Out::default();
        client.probe(at(1), path, [7; 8], &mut out);
        assert_eq!(deliver(&out, &mut relay, None), [(path, len)]);
        let out = flushed(&mut relay);
        assert_eq!(deliver(&out, &mut client, None), [(path, len)]);
        assert_eq!(client.take_probe_answer(), Some((path, [7; 8])));
        assert_eq!(client.take_probe_answer(), None);
        assert_eq!(relay.path(), Some(udp(1)));
        assert_eq!(client.path(), Some(udp(1)));
    }
}

/// Only the newest four of 50 probes are answered.
#[test]
fn flood_of_probes_gets_four_answers_within_bytes_received() {
    let (mut client, mut relay) = pair();
    let mut out = Out::default();
    (0..50).for_each(|n| client.probe(at(1), udp(2), [n; 8], &mut out));
    deliver(&out, &mut relay, None);
    let out = flushed(&mut relay);
    let answers = deliver(&out, &mut client, None);
    assert_eq!(answers.iter().filter(|(path, _)| *path == udp(2)).count(), PENDING_PROBE_REPLIES_MAX);
    assert_eq!(client.take_probe_answer(), Some((udp(2), [49; 8])), "the newest are kept");
}

#[test]
fn first_non_probing_packet_moves_session() {
    let (mut client, mut relay) = pair();
    client.select(at(1), TCP);
    client.send_ping();
    let out = flushed(&mut client);
    deliver(&out, &mut relay, None);
    assert_eq!(relay.path(), Some(TCP));
    assert!(flushed(&mut relay).effects.iter().all(|effect| matches!(effect, Effect::Send(TCP, _))));
}

/// CLOSE is sent at once, and again after 1, 2, 4, 8 and 16 packets of the other end.
#[test]
fn closed_end_repeats_close_with_growing_intervals() {
    let (mut client, mut relay) = pair();
    relay.close(3, "replaced");
    let mut answered = Vec::new();
    for number in 0..20 {
        if !flushed(&mut relay).effects.is_empty() {
            answered.push(number);
        }
        relay.handle_unsent(at(1), udp(1), 0);
        assert!(flushed(&mut relay).effects.is_empty(), "nothing was received");
        client.send_ping();
        deliver(&flushed(&mut client), &mut relay, None);
    }
    assert_eq!(answered, [0, 1, 2, 4, 8, 16]);
}

/// An unvalidated address is sent at most three times the bytes received from it, CLOSE included.
#[test]
fn close_is_sent_once_new_address_has_sent_enough() {
    let (mut client, mut relay) = pair();
    let sent = |out: &Out| out.bytes.len();
    let mut received = 0;
    let mut sent_lens = Vec::new();
    for round in 0..3 {
        client.send_ping();
        let out = flushed(&mut client);
        received += sent(&out);
        deliver(&out, &mut relay, Some(udp(2)));
        let mut lens = vec![sent(&flushed(&mut relay))];
        if round == 0 {
            relay.close(7, "a reason that does not fit into the allowance that is left");
            lens.push(sent(&flushed(&mut relay)));
        }
        sent_lens.extend(lens);
        let sent_total: usize = sent_lens.iter().sum();
        assert!(sent_total <= 3 * received, "{sent_lens:?} for {received}");
    }
    assert!(sent_lens[0] > 0 && sent_lens[1] == 0 && sent_lens[2] > 0, "{sent_lens:?} for {received}");
}

/// Asserts that the second of two ends sends as much as the first, packet by packet. Returns its
/// packets. (Only its acks may contain a bit more.)
fn says_as_much(now: u64, relay: &mut Peer, again: &mut Peer) -> Out {
    let mut out = Out::default();
    let mut same = Out::default();
    relay.flush(at(now), &mut out);
    again.flush(at(now), &mut same);
    assert_eq!(out.effects, same.effects);
    same
}

fn packed(peer: &Peer) -> Vec<u8> {
    let mut packed = Vec::new();
    assert!(peer.may_hibernate());
    peer.pack(&mut packed);
    packed
}

/// Returns both ends after a few messages in both directions.
fn pair_after_exchange() -> (Peer, Peer) {
    let (mut client, mut relay) = pair();
    for round in 0..3 {
        client.send(StreamId::Chat, &[&[round; 300]]).unwrap();
        deliver(&flushed(&mut client), &mut relay, None);
        let mut message = Vec::new();
        assert!(relay.receive(StreamId::Chat, &mut message));
        relay.send(StreamId::Control, &[b"a receipt"]).unwrap();
        deliver(&flushed(&mut relay), &mut client, None);
        assert!(!relay.may_hibernate(), "its message has no ack yet");
        client.send_ping();
        deliver(&flushed(&mut client), &mut relay, None);
        assert!(!relay.may_hibernate(), "its ack is pending");
        deliver(&flushed(&mut relay), &mut client, None);
        assert!(client.receive(StreamId::Control, &mut message));
    }
    (client, relay)
}

/// A packed peer has at most 240 bytes. After unpacking it sends the same packets as one that was
/// not packed.
#[test]
fn hibernated_peer_is_small_and_resumes_unchanged() {
    let (mut client, mut relay) = pair_after_exchange();
    let bytes = packed(&relay);
    assert!(bytes.len() <= 240, "{} bytes", bytes.len());
    let mut from = crate::base::Unpacker::new(&bytes);
    let mut again = Peer::unpack(&mut from, KeepAliveCount::default());
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
fn packet_sent_before_hibernation_is_not_opened_after_it() {
    let (mut client, mut relay) = pair();
    client.send_ping();
    let late = flushed(&mut client);
    client.send_ping();
    deliver(&flushed(&mut client), &mut relay, None);
    flushed(&mut relay);
    let mut again = Peer::unpack(&mut crate::base::Unpacker::new(&packed(&relay)), KeepAliveCount::default());
    let mut bytes = late.bytes.clone();
    assert_eq!(again.handle_packet(at(1), udp(1), &mut bytes), PacketOutcome::Dropped);
    assert_eq!(relay.handle_packet(at(1), udp(1), &mut late.bytes.clone()), PacketOutcome::Accepted);
}

#[test]
fn busy_peer_does_not_hibernate() {
    let (mut client, mut relay) = pair_after_exchange();
    assert!(!client.may_hibernate(), "it keeps the session alive");
    let mut out = Out::default();
    client.send_ping();
    client.flush(at(5), &mut out);
    deliver(&out, &mut relay, Some(udp(2)));
    flushed(&mut relay);
    assert!(!relay.may_hibernate(), "an address is not validated");
    let (_, mut relay) = pair_after_exchange();
    relay.renew(at(5), Keys::new(9, 9, [9; 32], [9; 32]));
    assert!(!relay.may_hibernate(), "keys wait");
    let (_, mut relay) = pair_after_exchange();
    relay.close(0, "");
    assert!(!relay.may_hibernate());
}

fn beats_of(
    packed: &[u8],
    keep_alives: KeepAliveCount,
    now: Tick,
    path: Path,
    bytes: &[u8],
) -> (HibernatedOutcome, Out) {
    let mut out = Out::default();
    let mut from = crate::base::Unpacker::new(packed);
    let resting = Peer::answer_hibernated(&mut from, keep_alives, (now, path), bytes, &mut out);
    (resting, out)
}

/// A packed peer that answers keep-alives is compared with one that is unpacked for each.
#[test]
fn hibernated_peer_answers_keep_alive_as_awake_one() {
    let (mut client, relay) = pair_after_exchange();
    let mut keep_alives = KeepAliveCount::default();
    let asleep = packed(&relay);
    let mut waking = asleep.clone();
    for round in 1..20 {
        let now = at(round * 20_000);
        client.handle_time(now);
        let mut ping = Out::default();
        client.flush(now, &mut ping);
        assert!(!ping.bytes.is_empty(), "a keep-alive is due");

        let (resting, answer) = beats_of(&asleep, keep_alives, now, udp(1), &ping.bytes);
        assert_eq!(resting, HibernatedOutcome::Answered);
        keep_alives = KeepAliveCount { count: keep_alives.count + 1, last: now };
        assert_eq!(
            beats_of(&asleep, keep_alives, now, udp(1), &ping.bytes).0,
            HibernatedOutcome::Dropped,
            "a replay"
        );

        let mut woken = Peer::unpack(&mut crate::base::Unpacker::new(&waking), KeepAliveCount::default());
        let mut expected = Out::default();
        assert_eq!(woken.handle_packet(now, udp(1), &mut ping.bytes.clone()), PacketOutcome::Accepted);
        woken.flush(now, &mut expected);
        assert_eq!(answer.bytes, expected.bytes);
        assert_eq!(answer.effects, expected.effects);
        waking = packed(&woken);
        let again = Peer::unpack(&mut crate::base::Unpacker::new(&asleep), keep_alives);
        assert_eq!(packed(&again), waking);
        assert_eq!(again.link().last_received(), now);
        deliver(&answer, &mut client, None);
        assert_eq!(client.link().quiet_since(), Some(now), "the keep-alive is acknowledged");
    }
}

#[test]
fn other_packet_wakes_hibernated_peer() {
    let (mut client, relay) = pair_after_exchange();
    let asleep = packed(&relay);
    let none = KeepAliveCount::default();
    let answered = |bytes: &[u8], path| beats_of(&asleep, none, at(1), path, bytes).0;
    client.send_ping();
    let ping = flushed(&mut client).bytes;
    assert_eq!(answered(&ping, udp(1)), HibernatedOutcome::Answered);
    assert_eq!(answered(&ping, udp(2)), HibernatedOutcome::Wake, "another address");
    assert_eq!(answered(&ping, TCP), HibernatedOutcome::Wake);
    let mut forged = ping.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(answered(&forged, udp(1)), HibernatedOutcome::Dropped);
    assert_eq!(answered(&ping[..20], udp(1)), HibernatedOutcome::Dropped);
    client.send_ping();
    assert_eq!(
        answered(&flushed(&mut client).bytes, udp(1)),
        HibernatedOutcome::Wake,
        "a packet was lost before"
    );

    let (mut client, _) = pair_after_exchange();
    client.send(StreamId::Chat, &[b"short"]).unwrap();
    client.send_ping();
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), HibernatedOutcome::Wake, "a letter");
    let (mut client, _) = pair_after_exchange();
    client.send(StreamId::Chat, &[&[7; 500]]).unwrap();
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), HibernatedOutcome::Wake, "a long one");
    let (mut client, _) = pair_after_exchange();
    client.close(0, "");
    assert_eq!(answered(&flushed(&mut client).bytes, udp(1)), HibernatedOutcome::Wake, "a CLOSE");
}
