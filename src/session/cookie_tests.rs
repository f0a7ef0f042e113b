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
    let (secret, rng) = (AccessSecret::default(), Rng::from_seed([seed; 32]));
    Responder::new(relay_identity(), secret, HandshakeLimits::On, rng)
}

fn initiator(counter: u64, carrier: Carrier) -> Initiator {
    let (key, hello) = (relay_identity().public(), Hello { counter, continues: None });
    let (identity, secret) = (Identity::from_private([0x11; 32]), AccessSecret::default());
    let mut rng = Rng::from_seed([counter as u8; 32]);
    Initiator::new(&identity, &key, &secret, &hello, 7, carrier, &mut rng).unwrap()
}

fn give(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) -> (Verdict, Vec<u8>) {
    let source = match path {
        Path::Tcp(ConnId(conn)) => (HOME, conn as u16).into(),
        _ => path.udp_peer().unwrap(),
    };
    let mut out = Vec::new();
    let verdict = relay.handle_init(now, path, source, init, &mut out);
    (verdict, out)
}

/// A hundred first messages and more, of as many addresses; a tenth of a second before, so that
/// what may be done at once is left.
fn flood(relay: &mut Responder, now: Tick) {
    let now = now - Duration::from_millis(100);
    let garbage = initiator(1, Carrier::Udp);
    for n in 0..150u16 {
        give(relay, now, udp(Ipv4Addr::new(10, 0, 0, n as u8), n), garbage.packet());
    }
}

/// The COOKIE that a first message from there earns now.
fn cookie_for(relay: &mut Responder, now: Tick, path: Path, init: &Initiator) -> Vec<u8> {
    match give(relay, now, path, init.packet()) {
        (Verdict::Cookie, bytes) => bytes,
        (other, _) => panic!("a cookie, not {other:?}"),
    }
}

fn assert_silent(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) {
    let (verdict, out) = give(relay, now, path, init);
    assert!(matches!(verdict, Verdict::Drop(InitDrop::Mac2)) && out.is_empty(), "{verdict:?}");
}

#[test]
fn under_load_a_first_message_earns_a_cookie_and_with_it_an_offer() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let mut client = initiator(2, Carrier::Udp);
    let cookie = cookie_for(&mut relay, at(0), udp(HOME, 1), &client);
    assert!(cookie.len() == COOKIE_LEN && COOKIE_LEN < HANDSHAKE_LEN);
    assert_eq!(client.handle_cookie(&cookie), Ok(true));
    let again = cookie_for(&mut relay, at(0), udp(HOME, 1), &initiator(2, Carrier::Udp));
    assert_ne!(again, cookie, "another nonce");
    assert_eq!(client.handle_cookie(&again), Ok(false), "the same cookie is no reason to hurry");
    let (verdict, out) = give(&mut relay, at(0), udp(HOME, 1), client.packet());
    assert!(matches!(verdict, Verdict::Offer(_)) && out.is_empty(), "{verdict:?}");
}

#[test]
fn row_08_a_cookie_of_another_address_or_port_or_relay_or_a_forged_one_is_met_with_silence() {
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
    assert!(matches!(give(&mut relay, at(0), udp(HOME, 1), client.packet()).0, Verdict::Offer(_)));
}

#[test]
fn row_08_a_cookie_lives_a_minute_at_least_and_two_at_most() {
    for (asked, used, lives) in
        [(0, 60, true), (0, 119, true), (0, 120, false), (59, 118, true), (59, 120, false)]
    {
        let mut relay = responder(1);
        flood(&mut relay, at(0));
        cookie_for(&mut relay, at(0), udp(AWAY, 1), &initiator(1, Carrier::Udp));
        flood(&mut relay, at(asked));
        let mut client = initiator(2, Carrier::Udp);
        let cookie = cookie_for(&mut relay, at(asked), udp(HOME, 1), &client);
        client.handle_cookie(&cookie).unwrap();
        flood(&mut relay, at(used));
        match lives {
            true => {
                let verdict = give(&mut relay, at(used), udp(HOME, 1), client.packet()).0;
                assert!(matches!(verdict, Verdict::Offer(_)), "{asked} {used} {verdict:?}");
            }
            false => assert_silent(&mut relay, at(used), udp(HOME, 1), client.packet()),
        }
    }
}

#[test]
fn a_client_believes_a_cookie_only_for_its_own_first_message() {
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

#[test]
fn a_cookie_that_earns_no_answer_is_let_go_after_two_sendings() {
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

#[test]
fn a_connection_has_proved_its_address_and_is_counted_all_the_same() {
    let mut relay = responder(1);
    flood(&mut relay, at(0));
    let client = initiator(2, Carrier::Tcp);
    let (verdict, _) = give(&mut relay, at(0), Path::Tcp(ConnId(1)), client.packet());
    assert!(matches!(verdict, Verdict::Offer(_)), "{verdict:?}");

    let mut relay = responder(1);
    for n in 0..150u64 {
        give(&mut relay, at(0), Path::Tcp(ConnId(n)), initiator(n, Carrier::Tcp).packet());
    }
    cookie_for(&mut relay, at(0), udp(AWAY, 1), &initiator(2, Carrier::Udp));
}

#[test]
fn without_limits_nobody_is_asked_for_a_cookie() {
    let (secret, rng) = (AccessSecret::default(), Rng::from_seed([1; 32]));
    let mut relay = Responder::new(relay_identity(), secret, HandshakeLimits::Off, rng);
    flood(&mut relay, at(0));
    let verdict = give(&mut relay, at(0), udp(HOME, 1), initiator(2, Carrier::Udp).packet()).0;
    assert!(matches!(verdict, Verdict::Offer(_)));
}
