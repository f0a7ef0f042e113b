//! A relay under load: its cookie demand, and the cost for clients in good faith.

use std::net::{Ipv4Addr, SocketAddr};

use queqiao::base::{Carrier, Path};
use queqiao::client::Carriers;
use queqiao::session::InitPayload;
use queqiao::wire::frame::Frame;
use queqiao::wire::packet::{COOKIE_LEN, HANDSHAKE_LEN, PacketType};

use super::client_harness::ClientHarness;
use super::fixtures::{TrafficCounter, two_members};
use super::raw_client::{RawClient, new_initiator, private_key};
use super::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

/// Returns one of at least 2,000 addresses that are not loopback.
fn source(n: u32) -> Path {
    Path::Udp(SocketAddr::from((Ipv4Addr::from(0xC612_8000 + n), 7)))
}

/// Whether `path` is such an address.
fn is_source(path: Path) -> bool {
    matches!(path, Path::Udp(SocketAddr::V4(addr)) if u32::from(*addr.ip()) >= 0xC612_8000)
}

/// Returns a first message with a correct mac1 and garbage behind it.
pub fn garbage(relay: &RelayHarness) -> Vec<u8> {
    use blake2::digest::consts::U16;
    use blake2::digest::{KeyInit, Mac};
    use blake2::{Blake2s256, Blake2sMac, Digest};
    let mut packet = vec![0xA5; HANDSHAKE_LEN - 32];
    packet[..8].copy_from_slice(&[0xFF, PacketType::Init as u8, 1, 0, 0, 0, 0, 7]);
    let key = Blake2s256::new().chain_update(b"queqiao mac1").chain_update(relay.key().0).finalize();
    let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(&key).unwrap();
    packet.extend_from_slice(&mac.chain_update(&packet).finalize().into_bytes());
    packet.resize(HANDSHAKE_LEN, 0);
    packet
}

/// Sends 5,000 of them within a second from as many sources. Returns the answers.
fn flood(relay: &mut RelayHarness, packet: &[u8]) -> Vec<(Path, Vec<u8>)> {
    let mut back = Vec::new();
    for turn in 0..100 {
        let given = (0..50).map(|n| HarnessInput::Packet(source(turn * 50 + n), packet.to_vec())).collect();
        relay.take_turn(given);
        back.extend(relay.sent.extract_if(.., |(to, _)| is_source(*to)));
        relay.wait(ms(10));
    }
    back
}

// faults.md: R5
#[test]
fn wrong_mac1_under_load_is_dropped_without_curve_work() {
    let mut relay = RelayHarness::new();
    let mut packet = garbage(&relay);
    flood(&mut relay, &packet);
    let before = relay.core.stats().curve_work;
    packet[HANDSHAKE_LEN - 20] ^= 1;
    assert_eq!(flood(&mut relay, &packet), []);
    assert_eq!(relay.core.stats().curve_work, before);
}

// faults.md: R6
/// Curve arithmetic stops once the load is noticed, members are served, and without load there are
/// no cookies again.
#[test]
fn correct_mac1_flood_gets_only_cookies() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    let packet = garbage(&relay);
    let before = relay.core.stats();
    let first = flood(&mut relay, &packet);
    let begun = relay.core.stats().curve_work - before.curve_work;
    assert!(begun <= 102, "{begun} before the load was noticed");
    assert_eq!(first.len() as u64 + begun, 5_000);
    let second = flood(&mut relay, &packet);
    assert_eq!((second.len(), relay.core.stats().curve_work - before.curve_work), (5_000, begun));
    assert!(first.iter().chain(&second).all(|(_, bytes)| bytes.len() == COOKIE_LEN && bytes[1] == 3));
    assert_eq!(relay.core.session_count(), 2);
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(!tom.seen_frames.is_empty(), "members are served");
    relay.wait(secs(3));
    let calm =
        new_initiator(&relay, private_key(9), Carrier::Udp, &InitPayload { counter: 1, continues: None }, 1);
    relay.handle_packet(udp(9, 9), calm.packet());
    assert_eq!(
        relay.take_sent_on(udp(9, 9))[0].len(),
        HANDSHAKE_LEN,
        "without load there is no cookie demand"
    );
}

// faults.md: R7
#[test]
fn garbage_from_2000_sources_leaves_no_state() {
    let mut relay = RelayHarness::new();
    let packet = garbage(&relay);
    for n in 0..2_000 {
        relay.handle_packet(source(n), &packet);
    }
    assert_eq!((relay.core.session_count(), relay.deadline), (0, None), "no state");
    let stats = relay.core.stats();
    assert_eq!((stats.cookies + stats.curve_work, stats.handshakes), (2_000, 0));
}

// faults.md: R8
#[test]
fn moved_late_or_forged_cookie_is_ignored() {
    let mut relay = RelayHarness::new();
    let packet = garbage(&relay);
    flood(&mut relay, &packet);
    let mut first =
        new_initiator(&relay, private_key(9), Carrier::Udp, &InitPayload { counter: 1, continues: None }, 1);
    relay.handle_packet(udp(9, 9), first.packet());
    let cookie = relay.take_sent_on(udp(9, 9)).remove(0);
    assert_eq!(first.handle_cookie(&cookie), Ok(true));
    for elsewhere in [udp(8, 9), udp(9, 8)] {
        relay.handle_packet(elsewhere, first.packet());
    }
    let mut forged = first.packet().to_vec();
    forged[HANDSHAKE_LEN - 1] ^= 1;
    relay.handle_packet(udp(9, 9), &forged);
    relay.wait(secs(119));
    flood(&mut relay, &packet);
    relay.handle_packet(udp(9, 9), first.packet());
    relay.assert_silent();
    assert_eq!(relay.core.session_count(), 0);
}

// faults.md: R9
#[test]
fn replayed_init_under_load_gets_old_answer_or_cookie() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let packet = garbage(&relay);
    flood(&mut relay, &packet);
    // Packets for the live session are not answers.
    relay.take_sent_on(udp(1, 1));
    let mut first =
        new_initiator(&relay, private_key(1), Carrier::Udp, &InitPayload { counter: 50, continues: None }, 1);
    relay.handle_packet(udp(1, 1), first.packet());
    let cookie = relay.take_sent_on(udp(1, 1)).remove(0);
    first.handle_cookie(&cookie).unwrap();
    let granted = relay.core.stats().handshakes;
    relay.handle_packet(udp(1, 1), first.packet());
    let answer = relay.take_sent_on(udp(1, 1));
    assert_eq!((answer.len(), relay.core.stats().handshakes), (1, granted + 1));
    relay.handle_packet(udp(1, 1), first.packet());
    assert_eq!(relay.take_sent_on(udp(1, 1)), answer, "the identical bytes within five seconds");
    let before = relay.core.stats();
    let mut bytes = TrafficCounter::default();
    bytes.send(&mut relay, udp(66, 6), first.packet());
    assert_eq!(bytes.received, 0, "its mac2 belongs to another address");
    let without =
        new_initiator(&relay, private_key(1), Carrier::Udp, &InitPayload { counter: 50, continues: None }, 1);
    bytes.send(&mut relay, udp(66, 6), without.packet());
    assert_eq!(bytes.received, COOKIE_LEN);
    let after = relay.core.stats();
    assert_eq!((after.curve_work, after.handshakes), (before.curve_work, before.handshakes));
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(!tom.seen_frames.is_empty() && tom.close_code().is_none(), "the live session is untouched");
}

// faults.md: R11
#[test]
fn unproven_address_under_load_gets_no_more_than_it_sent() {
    let mut relay = RelayHarness::new();
    let packet = garbage(&relay);
    let back = flood(&mut relay, &packet);
    assert!(back.iter().all(|(_, bytes)| bytes.len() <= packet.len()));
    let mut bytes = TrafficCounter::default();
    for counter in 1..=20 {
        flood(&mut relay, &packet);
        let mut first =
            new_initiator(&relay, private_key(9), Carrier::Udp, &InitPayload { counter, continues: None }, 1);
        bytes.sent += first.packet().len();
        relay.handle_packet(udp(9, 9), first.packet());
        for answer in relay.take_sent_on(udp(9, 9)) {
            bytes.received += answer.len();
            if first.handle_cookie(&answer) == Ok(true) {
                bytes.send(&mut relay, udp(9, 9), first.packet());
            }
        }
        assert!(bytes.received <= bytes.sent, "{} out, {} in", bytes.received, bytes.sent);
    }
    assert!(relay.core.stats().handshakes > 1);
}

/// 1,000 addresses in as many networks prove themselves and send first messages as fast as they
/// can, for ten seconds. Curve arithmetic stays within 10 % of the time.
#[test]
fn thousand_proven_addresses_leave_newcomers_their_share() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    let garbage = garbage(&relay);
    flood(&mut relay, &garbage);
    let proven = (0..1_000).map(|n: u16| {
        let path = udp_of([10, (n >> 8) as u8, n as u8, 1]);
        // One message that comes from many addresses would be opened once.
        let hello = InitPayload { counter: 1, continues: None };
        let mut first = new_initiator(&relay, private_key(9), Carrier::Udp, &hello, u32::from(n) + 1);
        relay.handle_packet(path, first.packet());
        first.handle_cookie(&relay.take_sent_on(path)[0]).unwrap();
        (path, first.packet().to_vec())
    });
    let proven: Vec<_> = proven.collect();
    let start = relay.tick;
    let before = relay.core.stats();
    for turn in 0..1_000 {
        let given = (0..20).map(|n| &proven[(turn * 20 + n) % 1_000]);
        relay.take_turn(given.map(|(path, packet)| HarnessInput::Packet(*path, packet.clone())).collect());
        relay.sent.clear();
        let spent = relay.core.stats().curve_us - before.curve_us;
        let most = 10_000 + relay.tick.since(start).as_micros() as u64 / 10;
        assert!(spent <= most, "{spent} µs of curve arithmetic, {most} at most");
        if turn > 500 && turn % 50 == 0 {
            let newcomer = udp_of([11, 0, (turn / 50) as u8, 1]);
            assert!(RawClient::handshake(&mut relay, newcomer, turn as u64, 1).is_some(), "turn {turn}");
        }
        relay.wait(ms(10));
    }
    assert!(relay.core.stats().curve_us - before.curve_us > 800_000, "what there is may be used");
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(!tom.seen_frames.is_empty(), "members are served");
}

fn udp_of(ip: [u8; 4]) -> Path {
    Path::Udp((ip, 4_000).into())
}

/// Packets of live sessions are handled first in a turn, whatever came before them.
#[test]
fn packets_of_sessions_are_handled_before_first_messages() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    let first =
        new_initiator(&relay, private_key(9), Carrier::Udp, &InitPayload { counter: 1, continues: None }, 1);
    let ping = tom.seal(&[Frame::Ping]);
    relay.take_turn(vec![
        HarnessInput::Packet(udp(9, 9), first.packet().to_vec()),
        HarnessInput::Packet(tom.path, ping),
        HarnessInput::Packet(udp(9, 9), first.packet().to_vec()),
    ]);
    let to: Vec<_> = relay.sent.iter().map(|(path, _)| *path).collect();
    assert_eq!(to, [tom.path, udp(9, 9), udp(9, 9)]);
    assert_eq!(relay.sent[1].1, relay.sent[2].1, "the same message has the same answer");
}

/// One cookie, and at most six packets in all.
#[test]
fn client_under_load_signs_in_with_one_extra_round_trip() {
    let mut relay = RelayHarness::new();
    let packet = garbage(&relay);
    flood(&mut relay, &packet);
    let asked = relay.core.stats().cookies;
    let mut tom = ClientHarness::known_to(&relay, "TOM", 1, Carriers::Udp);
    tom.run_with(&mut relay, ms(100));
    assert_eq!(relay.core.stats().cookies, asked + 1);
    assert!(relay.core.session_count() == 1 && tom.packets_up <= 6, "{} packets", tom.packets_up);
}

// faults.md: R63
/// Each byte of a tag, a mac1 and a mac2 is tried.
#[test]
fn bad_tag_is_dropped_wherever_it_is_wrong() {
    let mut relay = RelayHarness::new();
    let (mut tom, _) = two_members(&mut relay);
    let sealed = tom.seal(&[Frame::Ping]);
    let packet = garbage(&relay);
    flood(&mut relay, &packet);
    let mut first =
        new_initiator(&relay, private_key(9), Carrier::Udp, &InitPayload { counter: 1, continues: None }, 1);
    relay.handle_packet(udp(9, 9), first.packet());
    first.handle_cookie(&relay.take_sent_on(udp(9, 9))[0]).unwrap();
    relay.sent.clear();
    relay.events.clear();
    for byte in 0..16 {
        for (mut bytes, end) in
            [(sealed.clone(), 0), (first.packet().to_vec(), 0), (first.packet().to_vec(), 16)]
        {
            let at = bytes.len() - end - 16 + byte;
            bytes[at] ^= 1;
            relay.handle_packet(udp(9, 9), &bytes);
        }
    }
    relay.assert_silent();
}
