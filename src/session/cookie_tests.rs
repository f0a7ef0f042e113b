//! Handshakes with a relay under load.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::base::{Carrier, ConnId, Path, Rng, Tick};
use crate::wire::packet::{COOKIE_LEN, HANDSHAKE_LEN, MAC_LEN};

const HOME: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const AWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn at(secs: u64) -> Tick {
    Tick::from_micros(1_000_000) + Duration::from_secs(secs)
}

fn udp(ip: Ipv4Addr, port: u16) -> Path {
    Path::Udp((ip, port).into())
}

fn relay_identity() -> Identity {
    Identity::from_private([0x22; 32])
}

fn responder(seed: u8) -> Responder {
    let rng = Rng::from_seed([seed; 32]);
    Responder::new(relay_identity(), HandshakeLimits::On, rng)
}

fn initiator(counter: u64, carrier: Carrier) -> Initiator {
    let key = relay_identity().public();
    let payload = InitPayload { counter, continues: None };
    let identity = Identity::from_private([0x11; 32]);
    let mut rng = Rng::from_seed([counter as u8; 32]);
    Initiator::new(&identity, &key, &payload, 7, carrier, &mut rng).unwrap()
}

fn give(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) -> (InitOutcome, Vec<u8>) {
    let source = match path {
        Path::Tcp(ConnId(conn)) => (HOME, conn as u16).into(),
        _ => path.udp_peer().unwrap(),
    };
    let mut out = Vec::new();
    let outcome = relay.handle_init(now, path, source, init, &mut out);
    (outcome, out)
}

/// Sends more than a hundred first messages of as many addresses, a tenth of a second before `now`,
/// so that the burst is available again.
fn flood(relay: &mut Responder, now: Tick) {
    let now = now - Duration::from_millis(100);
    let garbage = initiator(1, Carrier::Udp);
    for n in 0..150u16 {
        give(relay, now, udp(Ipv4Addr::new(10, 0, 0, n as u8), n), garbage.packet());
    }
}

/// Returns the COOKIE that a first message from `path` gets now.
fn cookie_for(relay: &mut Responder, now: Tick, path: Path, init: &Initiator) -> Vec<u8> {
    match give(relay, now, path, init.packet()) {
        (InitOutcome::CookieSent, bytes) => bytes,
        (other, _) => panic!("not a cookie: {other:?}"),
    }
}

fn assert_silent(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) {
    let (outcome, out) = give(relay, now, path, init);
    assert!(matches!(outcome, InitOutcome::Rejected(InitRejection::Mac2)) && out.is_empty(), "{outcome:?}");
}

#[test]
fn init_under_load_gets_cookie_and_with_mac2_an_offer() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let mut client = initiator(2, Carrier::Udp);
    let cookie = cookie_for(&mut relay, at(0), udp(HOME, 1), &client);
    assert!(cookie.len() == COOKIE_LEN && COOKIE_LEN < HANDSHAKE_LEN);
    assert_eq!(client.handle_cookie(&cookie), Ok(true));
    let again = cookie_for(&mut relay, at(0), udp(HOME, 1), &initiator(2, Carrier::Udp));
    assert_ne!(again, cookie, "another nonce");
    assert_eq!(client.handle_cookie(&again), Ok(false), "a known cookie");
    let (outcome, out) = give(&mut relay, at(0), udp(HOME, 1), client.packet());
    assert!(matches!(outcome, InitOutcome::Pending(_)) && out.is_empty(), "{outcome:?}");
}

/// A cookie of another address, port or relay is ignored, as is a forged one.
// faults.md: R8
#[test]
fn cookie_for_other_address_or_relay_is_ignored() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let mut client = initiator(2, Carrier::Udp);
    let cookie = cookie_for(&mut relay, at(0), udp(HOME, 1), &client);
    client.handle_cookie(&cookie).unwrap();
    for path in [udp(AWAY, 1), udp(HOME, 2)] {
        assert_silent(&mut relay, at(0), path, client.packet());
    }
    let mut started_again = responder(2);
    flood(&mut started_again, at(0));
    assert_silent(&mut started_again, at(0), udp(HOME, 1), client.packet());
    for bit in 0..MAC_LEN * 8 {
        let mut forged = client.packet().to_vec();
        forged[HANDSHAKE_LEN - MAC_LEN + bit / 8] ^= 1 << (bit % 8);
        assert_silent(&mut relay, at(0), udp(HOME, 1), &forged);
    }
    let mut other = initiator(3, Carrier::Udp).packet().to_vec();
    other[HANDSHAKE_LEN - MAC_LEN..].copy_from_slice(&client.packet()[HANDSHAKE_LEN - MAC_LEN..]);
    assert_silent(&mut relay, at(0), udp(HOME, 1), &other);
    assert!(matches!(give(&mut relay, at(0), udp(HOME, 1), client.packet()).0, InitOutcome::Pending(_)));
}

/// A secret makes cookies for 60 s and counts for 120 s. The time left depends on the age of the
/// secret.
// faults.md: R8
#[test]
fn cookie_is_valid_for_60_to_120_s() {
    for (issued, used, is_valid) in
        [(0, 60, true), (0, 119, true), (0, 120, false), (59, 118, true), (59, 120, false)]
    {
        let mut relay = responder(1);
        flood(&mut relay, at(0));
        cookie_for(&mut relay, at(0), udp(AWAY, 1), &initiator(1, Carrier::Udp));
        flood(&mut relay, at(issued));
        let mut client = initiator(2, Carrier::Udp);
        let cookie = cookie_for(&mut relay, at(issued), udp(HOME, 1), &client);
        client.handle_cookie(&cookie).unwrap();
        flood(&mut relay, at(used));
        match is_valid {
            true => {
                let outcome = give(&mut relay, at(used), udp(HOME, 1), client.packet()).0;
                assert!(matches!(outcome, InitOutcome::Pending(_)), "{issued} {used} {outcome:?}");
            }
            false => assert_silent(&mut relay, at(used), udp(HOME, 1), client.packet()),
        }
    }
}

#[test]
fn client_accepts_cookie_only_for_its_own_init() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let mut client = initiator(2, Carrier::Udp);
    let before = client.packet().to_vec();
    let others = cookie_for(&mut relay, at(0), udp(HOME, 1), &initiator(3, Carrier::Udp));
    assert_eq!(client.handle_cookie(&others), Err(HandshakeError::Noise));
    let cookie = cookie_for(&mut relay, at(0), udp(HOME, 1), &client);
    for bit in 0..COOKIE_LEN * 8 {
        let mut bad = cookie.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(client.handle_cookie(&bad).is_err(), "bit {bit}");
    }
    assert_eq!(client.packet(), before);
    assert_eq!(client.handle_cookie(&cookie), Ok(true));
}

/// The INIT is sent without mac2 again, so that it gets another cookie.
#[test]
fn unanswered_cookie_is_dropped_after_two_transmissions() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let mut client = initiator(2, Carrier::Udp);
    let without = client.packet().to_vec();
    let cookie = cookie_for(&mut relay, at(0), udp(HOME, 1), &client);
    client.handle_cookie(&cookie).unwrap();
    for sending in 1..=4 {
        client.begin_sending();
        assert_eq!(client.packet() == without, sending > 2, "sending {sending}");
    }
    assert_eq!(client.handle_cookie(&cookie), Ok(true));
}

/// An open connection has proved its address.
#[test]
fn tcp_init_needs_no_cookie_but_counts_towards_load() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let client = initiator(2, Carrier::Tcp);
    let (outcome, _) = give(&mut relay, at(0), Path::Tcp(ConnId(1)), client.packet());
    assert!(matches!(outcome, InitOutcome::Pending(_)), "{outcome:?}");

    let mut relay = responder(1);
    for n in 0..150u64 {
        give(&mut relay, at(0), Path::Tcp(ConnId(n)), initiator(n, Carrier::Tcp).packet());
    }
    cookie_for(&mut relay, at(0), udp(AWAY, 1), &initiator(2, Carrier::Udp));
}

#[test]
fn no_cookies_are_required_without_limits() {
    let rng = Rng::from_seed([1; 32]);
    let mut relay = Responder::new(relay_identity(), HandshakeLimits::Off, rng);
    flood(&mut relay, at(0));
    let outcome = give(&mut relay, at(0), udp(HOME, 1), initiator(2, Carrier::Udp).packet()).0;
    assert!(matches!(outcome, InitOutcome::Pending(_)));
}
