//! One whole handshake and the first packet each way, byte for byte: what another implementation must send and read.
//!
//! `QUEQIAO_WRITE_VECTORS=1 cargo test --test wire_vectors` writes `tests/vectors/handshake.txt` anew; a change there is
//! a change of the protocol.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use data_encoding::HEXLOWER;
use queqiao::base::{Carrier, Path, Rng, Tick};
use queqiao::session::{
    AccessSecret, Answered, HandshakeLimits, Hello, Identity, Initiator, KeyQuery, Keyring, Lifetime,
    Responder, SessionId, Verdict, Welcome, answer_key_query,
};
use queqiao::wire::limits::DATA_HEADER_LEN;

const CLIENT_INDEX: u32 = 0x0102_0304;
const RELAY_INDEX: u32 = 0xA1A2_A3A4;
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

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
    let (client, relay) = (Identity::from_private([0x11; 32]), Identity::from_private([0x22; 32]));
    let psk = AccessSecret::new([0x33; 32]);
    let mut rng = Rng::from_seed([0x44; 32]);
    let key = relay.public();
    vectors.add("client private key", client.private_bytes());
    vectors.add("client public key", &client.public().0);
    vectors.add("relay private key", relay.private_bytes());
    vectors.add("relay public key", &key.0);
    writeln!(vectors.0, "relay fingerprint {}", key.fingerprint()).unwrap();
    vectors.add("access secret", &[0x33; 32]);

    let (query, mut answer) = (KeyQuery::new(Carrier::Udp, &mut rng), Vec::new());
    assert!(answer_key_query(&key, Carrier::Udp, query.packet(), &mut answer));
    assert_eq!(query.handle_answer(&answer), Ok(key));
    vectors.add("KEY_QUERY", query.packet());
    vectors.add("KEY_ANSWER", &answer);

    let hello = Hello { counter: 0x0000_0190_0000_0001, continues: Some(SessionId([0x55; 16])) };
    let mut begun =
        Initiator::new(&client, &key, &psk, &hello, CLIENT_INDEX, Carrier::Udp, &mut rng).unwrap();
    vectors.add("INIT", begun.packet());

    let (path, mut response) = (Path::Udp((SOURCE, 4000).into()), Vec::new());
    let mut responder = Responder::new(relay, psk, HandshakeLimits::On, rng.fork());
    let verdict = responder.handle_init(Tick::ZERO, path, SOURCE, begun.packet(), &mut response);
    let Verdict::Offer(offer) = verdict else { panic!("an offer, not {verdict:?}") };
    assert_eq!((offer.client, offer.hello), (client.public(), hello));
    let welcome = Welcome { session: SessionId([0x55; 16]), continued: true };
    let relay_keys = responder.accept(Tick::ZERO, offer, RELAY_INDEX, &welcome, &mut response);
    vectors.add("RESPONSE", &response);

    let Ok(Answered::Established(established)) = begun.handle_response(&response) else {
        panic!("a session")
    };
    assert_eq!(established.welcome, welcome);
    let mut up = Keyring::new(Tick::ZERO, established.keys, Lifetime::default());
    let mut down = Keyring::waiting(relay_keys, Lifetime::default());
    data(&mut vectors, "first DATA of the client, number 7", 7, &mut up, &mut down);
    data(&mut vectors, "first DATA of the relay, number 8", 8, &mut down, &mut up);
    vectors
}

fn data(vectors: &mut Vectors, name: &str, number: u64, from: &mut Keyring, to: &mut Keyring) {
    let plain = b"what stands here is frames";
    let mut packet = [&[0; DATA_HEADER_LEN][..], plain].concat();
    from.seal(number, &mut packet, 0);
    vectors.add(name, &packet);
    let opened = to.open(Tick::ZERO, std::time::Duration::ZERO, Carrier::Udp, &mut packet).unwrap();
    assert_eq!((opened.number, &*opened.plain), (number, &plain[..]));
}

#[test]
fn a_handshake_has_the_bytes_it_always_had() {
    let vectors = handshake().0;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/handshake.txt");
    if std::env::var_os("QUEQIAO_WRITE_VECTORS").is_some() {
        std::fs::write(file, &vectors).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), vectors);
}
