//! Handshakes between both ends, and attacks by unauthenticated peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::mac::Mac1Key;
use super::*;
use crate::base::{Carrier, ConnId, Path, PublicKey, Rng, Tick};
use crate::wire::limits::DATA_HEADER_LEN;
use crate::wire::packet::{HANDSHAKE_LEN, INIT_HEADER_LEN, MAC_LEN, RESPONSE_HEADER_LEN};

const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7);
const RELAY_INDEX: u32 = 7000;
const CLIENT_INDEX: u32 = 9000;

fn udp(port: u16) -> Path {
    Path::Udp((SOURCE.ip(), port).into())
}

fn identity(seed: u8) -> Identity {
    Identity::generate(&mut Rng::from_seed([seed; 32]))
}

fn responder() -> Responder {
    let rng = Rng::from_seed([8; 32]);
    Responder::new(identity(2), HandshakeLimits::On, rng)
}

fn initiator(counter: u64, carrier: Carrier) -> Initiator {
    let relay = identity(2).public();
    let payload = InitPayload { counter, continues: None };
    let mut rng = Rng::from_seed([counter as u8; 32]);
    Initiator::new(&identity(1), &relay, &payload, CLIENT_INDEX, carrier, &mut rng).unwrap()
}

fn welcome() -> SessionGrant {
    SessionGrant { session: SessionId([5; 16]), continued: false, member: false }
}

fn offered(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) -> Box<PendingSession> {
    let mut out = Vec::new();
    match relay.handle_init(now, path, SOURCE, init, &mut out) {
        InitOutcome::Pending(pending) if out.is_empty() => pending,
        other => panic!("not a pending session: {other:?}"),
    }
}

fn answer(relay: &mut Responder, now: Tick, path: Path, init: &[u8]) -> (Keys, Vec<u8>) {
    let pending = offered(relay, now, path, init);
    let mut out = Vec::new();
    let keys = relay.accept(now, pending, RELAY_INDEX, &welcome(), &mut out);
    (keys, out)
}

fn established(answered: Result<ResponseOutcome, HandshakeError>) -> Established {
    match answered {
        Ok(ResponseOutcome::Established(established)) => established,
        other => panic!("not a session: {other:?}"),
    }
}

fn drop_of(relay: &mut Responder, path: Path, init: &[u8]) -> Option<InitRejection> {
    let mut out = Vec::new();
    match relay.handle_init(Tick::ZERO, path, SOURCE, init, &mut out) {
        InitOutcome::Rejected(rejection) => {
            assert!(out.is_empty(), "silent");
            Some(rejection)
        }
        _ => None,
    }
}

#[test]
fn both_ends_derive_same_keys_on_either_carrier() {
    for (carrier, path) in [(Carrier::Udp, udp(1)), (Carrier::Tcp, Path::Tcp(ConnId(1)))] {
        let mut client = initiator(1, carrier);
        let mut relay = responder();
        let pending = offered(&mut relay, Tick::ZERO, path, client.packet());
        assert_eq!(pending.client, identity(1).public());
        assert_eq!(pending.payload, InitPayload { counter: 1, continues: None });
        assert_eq!(pending.path, path);

        let mut response = Vec::new();
        let theirs = relay.accept(Tick::ZERO, pending, RELAY_INDEX, &welcome(), &mut response);
        assert!(response.len() <= client.packet().len());
        assert_eq!(response.len() == HANDSHAKE_LEN, carrier == Carrier::Udp);
        let Established { keys, grant: read, .. } = established(client.handle_response(&response));
        assert_eq!(read, welcome());
        assert_eq!(keys.local_index, CLIENT_INDEX);
        assert_eq!(keys.remote_index, RELAY_INDEX);
        assert_eq!(theirs.local_index, RELAY_INDEX);
        assert_eq!(theirs.remote_index, CLIENT_INDEX);

        for (from, to) in [(&keys, &theirs), (&theirs, &keys)] {
            let mut packet = [&[0; DATA_HEADER_LEN][..], b"frames"].concat();
            from.seal(3, &mut packet, 0);
            assert_eq!(to.open(3, &mut packet).unwrap(), b"frames");
        }
        assert!(matches!(client.handle_response(&response), Err(HandshakeError::NotOurs)), "only once");
    }
}

/// A relay and its copy have the same generator (RFC 8937).
#[test]
fn copied_relay_answers_with_other_ephemeral_key() {
    let ephemeral = |fresh: Option<FreshBytes>| {
        let relay = responder();
        let mut relay = match fresh {
            Some(fresh) => relay.with_fresh_bytes(fresh),
            None => relay,
        };
        let client = initiator(1, Carrier::Udp);
        let response = answer(&mut relay, Tick::ZERO, udp(1), client.packet()).1;
        response[RESPONSE_HEADER_LEN..][..32].to_vec()
    };
    assert_eq!(ephemeral(None), ephemeral(None), "a simulation can be repeated");
    let all = [ephemeral(None), ephemeral(Some(|| [1; 32])), ephemeral(Some(|| [2; 32]))];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
}

#[test]
fn session_to_continue_is_transmitted() {
    let payload = InitPayload { counter: 4, continues: Some(SessionId([3; 16])) };
    let key = identity(2).public();
    let mut rng = Rng::from_seed([1; 32]);
    let client = Initiator::new(&identity(1), &key, &payload, 1, Carrier::Udp, &mut rng).unwrap();
    let pending = offered(&mut responder(), Tick::ZERO, udp(1), client.packet());
    assert_eq!(pending.payload, payload);
}

#[test]
fn init_for_another_relay_is_dropped_at_mac1() {
    let mut other = Responder::new(identity(3), HandshakeLimits::On, Rng::from_seed([8; 32]));
    assert_eq!(drop_of(&mut other, udp(1), initiator(1, Carrier::Udp).packet()), Some(InitRejection::Mac1));
}

/// The response is cached for 5 s. Another address must send a cookie. After 5 s the relay decides
/// again whether to grant a session.
#[test]
fn repeated_init_gets_cached_response_on_same_path_only() {
    let client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    let (_, response) = answer(&mut relay, Tick::ZERO, udp(1), client.packet());
    let mut other_mac2 = client.packet().to_vec();
    other_mac2[HANDSHAKE_LEN - 1] ^= 1;
    let mut send = |secs, path, init: &[u8]| {
        let mut out = Vec::new();
        let now = Tick::ZERO + Duration::from_secs(secs);
        (relay.handle_init(now, path, SOURCE, init, &mut out), out)
    };
    for _ in 0..100 {
        let (outcome, out) = send(4, udp(1), client.packet());
        assert!(matches!(outcome, InitOutcome::Repeated), "{outcome:?}: repeats are not counted");
        assert_eq!(out, response);
    }
    assert!(matches!(send(4, udp(1), &other_mac2).0, InitOutcome::Repeated), "identical up to mac1");
    assert!(
        matches!(send(4, udp(2), client.packet()).0, InitOutcome::CookieSent),
        "another address needs a cookie"
    );
    for (secs, path) in [(5, udp(1)), (3600, udp(1))] {
        let (outcome, out) = send(secs, path, client.packet());
        assert!(
            matches!(outcome, InitOutcome::Pending(_)) && out.is_empty(),
            "the relay decides: {outcome:?}"
        );
    }
}

/// A client whose clock was set back begins again above the highest counter.
#[test]
fn stale_counter_gets_highest_counter_in_response() {
    let mut relay = responder();
    answer(&mut relay, Tick::ZERO, udp(1), initiator(90, Carrier::Udp).packet());
    relay.confirm(identity(1).public(), 90);
    relay.confirm(identity(1).public(), 80);
    for counter in [89, 10] {
        let mut client = initiator(counter, Carrier::Udp);
        let mut out = Vec::new();
        let outcome = relay.handle_init(Tick::ZERO, udp(2), SOURCE, client.packet(), &mut out);
        assert!(matches!(outcome, InitOutcome::Stale(key) if key == identity(1).public()));
        assert!(matches!(client.handle_response(&out), Ok(ResponseOutcome::Stale { highest: 90 })));
    }
    let mut again = initiator(91, Carrier::Udp);
    let (_, response) = answer(&mut relay, Tick::ZERO, udp(2), again.packet());
    established(again.handle_response(&response));
}

#[test]
fn dropped_offer_leaves_no_state() {
    let client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    drop(offered(&mut relay, Tick::ZERO, udp(1), client.packet()));
    offered(&mut relay, Tick::ZERO, udp(1), client.packet());
}

/// The counter of a first message has no effect before the client has shown that it has the keys of
/// the response.
#[test]
fn unconfirmed_counter_blocks_no_later_handshake() {
    let mut relay = responder();
    answer(&mut relay, Tick::ZERO, udp(1), initiator(u64::MAX, Carrier::Udp).packet());
    offered(&mut relay, Tick::ZERO, udp(2), initiator(2, Carrier::Udp).packet());
}

#[test]
fn init_received_twice_before_opening_gets_one_response() {
    let client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    let mut check = || match relay.check_init(Tick::ZERO, udp(1), SOURCE, client.packet(), &mut Vec::new()) {
        InitOutcome::Admitted(source) => source,
        other => panic!("more than admitted: {other:?}"),
    };
    let source = check();
    let again = check();
    let mut response = Vec::new();
    let InitOutcome::Pending(pending) =
        relay.open_init(Tick::ZERO, udp(1), source, client.packet(), &mut response)
    else {
        panic!("not a pending session")
    };
    relay.accept(Tick::ZERO, pending, RELAY_INDEX, &welcome(), &mut response);
    let mut repeated = Vec::new();
    let outcome = relay.open_init(Tick::ZERO, udp(1), again, client.packet(), &mut repeated);
    assert!(matches!(outcome, InitOutcome::Repeated) && repeated == response, "{outcome:?}");
}

#[test]
fn every_flipped_bit_of_init_is_dropped_by_mac1_or_earlier() {
    let client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    for bit in 0..(HANDSHAKE_LEN - MAC_LEN) * 8 {
        let mut bad = client.packet().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let rejection = drop_of(&mut relay, udp(1), &bad);
        assert!(
            matches!(rejection, Some(InitRejection::Mac1 | InitRejection::Malformed(_))),
            "bit {bit}: {rejection:?}"
        );
    }
}

/// Replaces mac1 by one for `receiver`, as any peer can that knows the receiver's public key.
fn with_new_mac1(packet: &[u8], receiver: &PublicKey) -> Vec<u8> {
    let mut forged = packet[..packet.len() - 2 * MAC_LEN].to_vec();
    Mac1Key::new(receiver).append(&mut forged, 0);
    forged
}

#[test]
fn changed_init_with_new_mac1_is_dropped_by_noise() {
    let mut relay = Responder::new(identity(2), HandshakeLimits::Off, Rng::from_seed([8; 32]));
    let client = initiator(1, Carrier::Tcp);
    let sealed_len = client.packet().len() - 2 * MAC_LEN;
    for at in 4..sealed_len {
        let mut bad = client.packet().to_vec();
        bad[at] ^= 1;
        let bad = with_new_mac1(&bad, &relay.public());
        assert_eq!(drop_of(&mut relay, Path::Tcp(ConnId(1)), &bad), Some(InitRejection::Noise), "byte {at}");
    }
}

/// The true response still completes the handshake.
#[test]
fn wrong_response_does_not_end_handshake() {
    let mut client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    let (_, response) = answer(&mut relay, Tick::ZERO, udp(1), client.packet());
    let changed = |at: usize| {
        let mut bad = response.clone();
        bad[at] ^= 1;
        bad
    };
    let ours = identity(1).public();
    let table = [
        (changed(1), HandshakeError::Malformed),
        (changed(8), HandshakeError::NotOurs),
        (changed(4), HandshakeError::Mac1),
        (changed(100), HandshakeError::Mac1),
        (with_new_mac1(&changed(RESPONSE_HEADER_LEN), &ours), HandshakeError::Noise),
        (with_new_mac1(&changed(100), &ours), HandshakeError::Noise),
        (response[..300].to_vec(), HandshakeError::Malformed),
    ];
    for (bad, error) in table {
        assert_eq!(client.handle_response(&bad).map(|_| ()), Err(error));
    }
    established(client.handle_response(&response));
}

/// Returns every encoding of a point of order 1, 2, 4 or 8, with and without the top bit, which
/// X25519 ignores.
fn low_order_keys() -> Vec<PublicKey> {
    let mut keys = vec![
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .into_iter()
    .map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
    .collect::<Vec<[u8; 32]>>();
    for mut key in keys.clone() {
        key[31] |= 0x80;
        keys.push(key);
    }
    keys.into_iter().map(PublicKey).collect()
}

/// Keys of low order are refused in all four positions: ephemeral and long-term, of both ends.
// faults.md: R14
#[test]
fn low_order_keys_are_refused_in_every_position() {
    let client = initiator(1, Carrier::Udp);
    for low in low_order_keys() {
        assert!(is_low_order(&low), "{low}");
        let mut relay = responder();

        let mut bad_e = client.packet().to_vec();
        bad_e[INIT_HEADER_LEN..INIT_HEADER_LEN + 32].copy_from_slice(&low.0);
        let bad_e = with_new_mac1(&bad_e, &relay.public());
        assert_eq!(drop_of(&mut relay, udp(1), &bad_e), Some(InitRejection::LowOrder), "e of the client");
        let bad_s = init_claiming(low);
        assert_eq!(drop_of(&mut relay, udp(1), &bad_s), Some(InitRejection::LowOrder), "s of the client");

        let mut client = initiator(1, Carrier::Udp);
        let (_, mut response) = answer(&mut relay, Tick::ZERO, udp(1), client.packet());
        response[RESPONSE_HEADER_LEN..RESPONSE_HEADER_LEN + 32].copy_from_slice(&low.0);
        let response = with_new_mac1(&response, &identity(1).public());
        let answered = client.handle_response(&response).map(|_| ());
        assert_eq!(answered, Err(HandshakeError::LowOrder), "e of the relay");

        let payload = InitPayload { counter: 1, continues: None };
        let begun =
            Initiator::new(&identity(1), &low, &payload, 1, Carrier::Udp, &mut Rng::from_seed([1; 32]));
        assert_eq!(begun.map(|_| ()).unwrap_err(), HandshakeError::LowOrder, "s of the relay");
    }
    assert!(!is_low_order(&identity(1).public()));
}

/// Returns an INIT whose sender claims `public` as its own, without its private key.
fn init_claiming(public: PublicKey) -> Vec<u8> {
    let mut packet = Vec::new();
    crate::wire::packet::write_init_header(&mut packet, CLIENT_INDEX);
    let prologue = [b"queqiao", &packet[..]].concat();
    let mut noise = snow::Builder::with_resolver(noise::PATTERN.parse().unwrap(), Box::new(Liar(public)))
        .local_private_key(&[1; 32])
        .and_then(|builder| builder.psk(2, &[0; 32]))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(|builder| builder.remote_public_key(&identity(2).public().0)?.build_initiator())
        .unwrap();
    packet.resize(HANDSHAKE_LEN - 2 * MAC_LEN, 0);
    let payload_len = packet.len() - INIT_HEADER_LEN - noise::FIRST_OVERHEAD;
    noise.write_message(&vec![0; payload_len], &mut packet[INIT_HEADER_LEN..]).unwrap();
    Mac1Key::new(&identity(2).public()).append(&mut packet, 0);
    packet
}

/// A resolver whose long-term key claims to be `.0`.
struct Liar(PublicKey);

impl CryptoResolver for Liar {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        struct Ones;
        impl Random for Ones {
            fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
                dest.fill(1);
                Ok(())
            }
        }
        Some(Box::new(Ones))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(LiarDh { real: DefaultResolver.resolve_dh(choice)?, claimed: self.0, lies: false }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Returns the true key if it was generated, and a false one if it was set: the long-term key.
struct LiarDh {
    real: Box<dyn Dh>,
    claimed: PublicKey,
    lies: bool,
}

impl Dh for LiarDh {
    fn name(&self) -> &'static str {
        self.real.name()
    }
    fn pub_len(&self) -> usize {
        self.real.pub_len()
    }
    fn priv_len(&self) -> usize {
        self.real.priv_len()
    }
    fn set(&mut self, privkey: &[u8]) {
        self.lies = true;
        self.real.set(privkey);
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        self.real.generate(rng)
    }
    fn pubkey(&self) -> &[u8] {
        if self.lies { &self.claimed.0 } else { self.real.pubkey() }
    }
    fn privkey(&self) -> &[u8] {
        self.real.privkey()
    }
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        self.real.dh(pubkey, out)
    }
}

#[test]
fn key_claimed_by_another_identity_is_dropped_by_noise() {
    let claimed = init_claiming(identity(1).public());
    assert_eq!(drop_of(&mut responder(), udp(1), &claimed), Some(InitRejection::Noise));
}

/// A replayed data packet is not opened, does not move the session, and gives its address no
/// allowance.
#[test]
fn replay_from_another_address_has_no_effect() {
    let mut client = initiator(1, Carrier::Udp);
    let mut relay = responder();
    let (keys, response) = answer(&mut relay, Tick::ZERO, udp(1), client.packet());
    let Established { keys: ours, .. } = established(client.handle_response(&response));
    let mut client = Keyring::new(Tick::ZERO, ours, Lifetime::default());
    let mut keyring = Keyring::new_unconfirmed(keys, Lifetime::default());
    let mut paths = PathSet::new(Tick::ZERO, udp(1), true, PathPolicy::Follow, Rng::from_seed([1; 32]));

    let mut packet = [&[0; DATA_HEADER_LEN][..], b"frames"].concat();
    client.seal(0, &mut packet, 0);
    let mut receive = |path: Path, packet: &[u8]| {
        let mut bytes = packet.to_vec();
        let opened = keyring.open(Tick::ZERO, || Duration::ZERO, path.carrier(), &mut bytes)?;
        let pto = || Duration::ZERO;
        Ok(paths.handle_received(Tick::ZERO, path, opened.number, packet.len(), true, pto))
    };
    assert_eq!(receive(udp(1), &packet), Ok(None));
    assert_eq!(receive(udp(2), &packet), Err(OpenError::Replayed));
    assert_eq!(paths.current(), Some(udp(1)));
    assert_eq!(paths.allowance(udp(2)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn truncated_extended_and_spliced_packets_never_panic(
        cut in 0..=HANDSHAKE_LEN,
        tail in proptest::collection::vec(any::<u8>(), 0..64),
        new_mac1 in any::<bool>(),
    ) {
        let mut client = initiator(1, Carrier::Udp);
        let mut relay = responder();
        let (_, response) = answer(&mut relay, Tick::ZERO, udp(1), client.packet());
        let spoil = |packet: &[u8], receiver: PublicKey| {
            let bad = [&packet[..cut], &tail].concat();
            if new_mac1 && bad.len() > 2 * MAC_LEN { with_new_mac1(&bad, &receiver) } else { bad }
        };
        for path in [udp(1), Path::Tcp(ConnId(1))] {
            let _ = drop_of(&mut relay, path, &spoil(client.packet(), identity(2).public()));
        }
        let _ = client.handle_response(&spoil(&response, identity(1).public()));
        let mut on_tcp = initiator(1, Carrier::Tcp);
        let _ = on_tcp.handle_response(&spoil(&response, identity(1).public()));
    }
}
