//! One handshake with the first packet each way, and a cookie with its use, byte for byte. Another
//! implementation must send and read these bytes.
//!
//! `QUEQIAO_WRITE_VECTORS=1 cargo test --test wire_vectors` rewrites `tests/vectors/*.txt`. A
//! change there is a change of the protocol.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use data_encoding::HEXLOWER;
use queqiao::base::{Carrier, Path, Rng, Tick};
use queqiao::session::{
    HandshakeLimits, Identity, InitOutcome, InitPayload, Initiator, KeyQuery, Keyring, Lifetime, Responder,
    ResponseOutcome, SessionGrant, SessionId, answer_key_query,
};
use queqiao::wire::limits::DATA_HEADER_LEN;

const CLIENT_INDEX: u32 = 0x0102_0304;
const RELAY_INDEX: u32 = 0xA1A2_A3A4;
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);

struct Vectors(String);

impl Vectors {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        writeln!(self.0, "{name} ({} bytes)", bytes.len()).unwrap();
        for line in bytes.chunks(48) {
            writeln!(self.0, "  {}", HEXLOWER.encode(line)).unwrap();
        }
    }
}

fn handshake() -> Vectors {
    let mut vectors = Vectors(String::new());
    let client = Identity::from_private([0x11; 32]);
    let relay = Identity::from_private([0x22; 32]);
    let mut rng = Rng::from_seed([0x44; 32]);
    let key = relay.public();
    vectors.add("client private key", client.private_bytes());
    vectors.add("client public key", &client.public().0);
    vectors.add("relay private key", relay.private_bytes());
    vectors.add("relay public key", &key.0);
    writeln!(vectors.0, "relay fingerprint {}", key.fingerprint()).unwrap();

    let query = KeyQuery::new(Carrier::Udp, &mut rng);
    let mut answer = Vec::new();
    assert!(answer_key_query(&key, Carrier::Udp, query.packet(), &mut answer));
    assert_eq!(query.handle_answer(&answer), Ok(key));
    vectors.add("KEY_QUERY", query.packet());
    vectors.add("KEY_ANSWER", &answer);

    let hello = InitPayload { counter: 0x0000_0190_0000_0001, continues: Some(SessionId([0x55; 16])) };
    let mut begun = Initiator::new(&client, &key, &hello, CLIENT_INDEX, Carrier::Udp, &mut rng).unwrap();
    vectors.add("INIT", begun.packet());

    let path = Path::Udp(SOURCE);
    let mut response = Vec::new();
    let mut responder = Responder::new(relay, HandshakeLimits::On, rng.fork());
    let verdict = responder.handle_init(Tick::ZERO, path, SOURCE, begun.packet(), &mut response);
    let InitOutcome::Pending(offer) = verdict else { panic!("an offer, not {verdict:?}") };
    assert_eq!(offer.client, client.public());
    assert_eq!(offer.payload, hello);
    let welcome = SessionGrant { session: SessionId([0x55; 16]), continued: true, member: false };
    let relay_keys = responder.accept(Tick::ZERO, offer, RELAY_INDEX, &welcome, &mut response);
    vectors.add("RESPONSE", &response);

    let Ok(ResponseOutcome::Established(established)) = begun.handle_response(&response) else {
        panic!("a session")
    };
    assert_eq!(established.grant, welcome);
    let mut up = Keyring::new(Tick::ZERO, established.keys, Lifetime::default());
    let mut down = Keyring::new_unconfirmed(relay_keys, Lifetime::default());
    data(&mut vectors, "first DATA of the client, number 7", 7, &mut up, &mut down);
    data(&mut vectors, "first DATA of the relay, number 8", 8, &mut down, &mut up);
    vectors
}

/// A relay under load, with the private key of the handshake above.
fn cookie() -> Vectors {
    let mut vectors = Vectors(String::new());
    let client = Identity::from_private([0x11; 32]);
    let relay = Identity::from_private([0x22; 32]);
    let mut rng = Rng::from_seed([0x44; 32]);
    let key = relay.public();
    let mut responder = Responder::new(relay, HandshakeLimits::On, rng.fork());
    let mut init = |counter: u64| {
        let hello = InitPayload { counter, continues: None };
        Initiator::new(&client, &key, &hello, CLIENT_INDEX, Carrier::Udp, &mut rng).unwrap()
    };
    let others = init(1);
    let mut ours = init(2);
    let mut ask = |port: u16, packet: &[u8]| {
        let path = Path::Udp((SOURCE.ip(), port).into());
        let mut answer = Vec::new();
        (responder.handle_init(Tick::ZERO, path, SOURCE, packet, &mut answer), answer)
    };
    for port in 1..=150 {
        ask(port, others.packet());
    }
    vectors.add("INIT", ours.packet());
    let (verdict, answer) = ask(4000, ours.packet());
    assert!(matches!(verdict, InitOutcome::CookieSent));
    vectors.add("COOKIE", &answer);
    assert_eq!(ours.handle_cookie(&answer), Ok(true));
    vectors.add("INIT with mac2", ours.packet());
    assert!(matches!(ask(4000, ours.packet()).0, InitOutcome::Pending(_)));

    let (mac1, mac2) = ours.packet()[1_168..].split_at(16);
    let cookie = open_by_the_book(&key.0, mac1, &answer);
    vectors.add("cookie", &cookie);
    assert_eq!(blake2s_16(&cookie, &ours.packet()[..1_184]), mac2);
    vectors
}

/// Opens a COOKIE as the specification describes it, without the code under test.
fn open_by_the_book(relay: &[u8; 32], mac1: &[u8], packet: &[u8]) -> Vec<u8> {
    use blake2::{Blake2s256, Digest};
    use chacha20poly1305::aead::AeadInPlace;
    use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
    let key = Blake2s256::new().chain_update(b"queqiao cookie").chain_update(relay).finalize();
    let mut cookie = packet[32..48].to_vec();
    let tag = packet[48..].into();
    XChaCha20Poly1305::new(&key)
        .decrypt_in_place_detached(XNonce::from_slice(&packet[8..32]), mac1, &mut cookie, tag)
        .unwrap();
    cookie
}

fn blake2s_16(key: &[u8], bytes: &[u8]) -> [u8; 16] {
    use blake2::Blake2sMac;
    use blake2::digest::consts::U16;
    use blake2::digest::{KeyInit, Mac};
    let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(key).unwrap();
    mac.chain_update(bytes).finalize().into_bytes().into()
}

fn data(vectors: &mut Vectors, name: &str, number: u64, from: &mut Keyring, to: &mut Keyring) {
    let plain = b"what stands here is frames";
    let mut packet = [&[0; DATA_HEADER_LEN][..], plain].concat();
    from.seal(number, &mut packet, 0);
    vectors.add(name, &packet);
    let opened = to.open(Tick::ZERO, || std::time::Duration::ZERO, Carrier::Udp, &mut packet).unwrap();
    assert_eq!(opened.number, number);
    assert_eq!(&*opened.plain, &plain[..]);
}

#[test]
fn handshake_has_fixed_bytes() {
    holds("handshake", &handshake());
}

#[test]
fn cookie_has_fixed_bytes() {
    holds("cookie", &cookie());
}

fn holds(name: &str, vectors: &Vectors) {
    let file = format!("{}/tests/vectors/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("QUEQIAO_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &vectors.0).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), vectors.0);
}
