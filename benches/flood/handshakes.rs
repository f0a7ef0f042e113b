//! A thousand addresses that shake hands as often as they may, each in a network of its own, with
//! every address proved.
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use queqiao::base::{Carrier, PublicKey, Rng};
use queqiao::session::{AccessSecret, Hello, Identity, Initiator, KeyQuery};

use super::stage::world::Home;
use super::{Attack, Measured, Options, measure};

/// First messages a second: each address sends one each 200 ms.
const PER_SECOND: u64 = 5_000;
/// Addresses, each in another /24.
const ADDRESSES: u64 = 1_000;
/// The members sign in before the attack: during it a thousand networks share what the relay spends
/// on handshakes, and forty members behind one address would have one part of it.
const HEAD_START: Duration = Duration::from_secs(2);
/// First messages are sent in bursts so far apart.
const BURST_EVERY: Duration = Duration::from_millis(1);
/// An answer to the question for the relay's key has come by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// One address, and the handshake it is at.
struct Stranger {
    socket: UdpSocket,
    identity: Identity,
    counter: u64,
    initiator: Initiator,
}

/// The relay counts loopback as any other network (`--loopback-too`).
pub fn run(options: &Options) -> Option<Measured> {
    let home = Home::new();
    let relay = home.relay(&["--loopback-too"]);
    let addr = relay.udp;
    let attack = Attack::start(move |sent, over| shake_hands(addr, PER_SECOND, sent, over));
    let measured = measure("handshakes", &home, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

/// Handshakes until it is over: after an answer a client begins again, without one it repeats its
/// message.
fn shake_hands(relay: SocketAddr, per_second: u64, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed([6; 32]);
    let key = key_of(relay, &mut rng);
    let mut strangers: Vec<Stranger> =
        (0..ADDRESSES).map(|n| Stranger::new(n, relay, &key, &mut rng)).collect();
    thread::sleep(HEAD_START);
    let (begin, mut done) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(ADDRESSES) {
            strangers[(done % ADDRESSES) as usize].knock(&key, &mut rng);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

/// The relay's key, which any client may ask for.
fn key_of(relay: SocketAddr, rng: &mut Rng) -> PublicKey {
    let (socket, query) =
        (UdpSocket::bind("127.0.0.1:0").expect("loopback"), KeyQuery::new(Carrier::Udp, rng));
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let mut bytes = [0; 1_500];
    loop {
        socket.send_to(query.packet(), relay).expect("loopback takes it");
        let len = socket.recv(&mut bytes).expect("the relay answers");
        if let Ok(key) = query.handle_answer(&bytes[..len]) {
            return key;
        }
    }
}

impl Stranger {
    fn new(n: u64, relay: SocketAddr, key: &PublicKey, rng: &mut Rng) -> Stranger {
        let ip = IpAddr::from([127, 1 + (n / 250) as u8, (n % 250) as u8, 1]);
        let socket = UdpSocket::bind((ip, 0)).expect("loopback has this address");
        socket.set_nonblocking(true).expect("a socket can be so");
        socket.connect(relay).expect("loopback leads there");
        let identity = Identity::generate(rng);
        let initiator = begin(&identity, key, 1, rng);
        Stranger { socket, identity, counter: 1, initiator }
    }

    /// Takes in what has come, and sends its first message.
    fn knock(&mut self, key: &PublicKey, rng: &mut Rng) {
        let mut bytes = [0; 1_500];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(len) if self.initiator.handle_response(&bytes[..len]).is_ok() => {
                    self.counter += 1;
                    self.initiator = begin(&self.identity, key, self.counter, rng);
                }
                Ok(len) => _ = self.initiator.handle_cookie(&bytes[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => break,
            }
        }
        // A full buffer is no reason to stop.
        let _ = self.socket.send(self.initiator.packet());
    }
}

fn begin(identity: &Identity, key: &PublicKey, counter: u64, rng: &mut Rng) -> Initiator {
    let (secret, hello) = (AccessSecret::default(), Hello { counter, continues: None });
    Initiator::new(identity, key, &secret, &hello, counter as u32 | 1, Carrier::Udp, rng)
        .expect("the relay's key is sound")
}
