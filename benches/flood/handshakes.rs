//! Attack: a thousand addresses, each in a different network and each validated, perform handshakes
//! at the permitted rate.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use queqiao::base::{Carrier, PublicKey, Rng};
use queqiao::session::{Identity, InitPayload, Initiator, KeyQuery};

use super::process_harness::harness::Machine;
use super::{Attack, Measured, Options, measure};

/// First messages per second. Each address sends one every 200 ms.
const PER_SECOND: u64 = 5_000;
/// Source addresses, each in another /24.
const ADDRESSES: u64 = 1_000;
/// Head start of the members' sign-in. During the attack a thousand networks share the relay's
/// capacity for handshakes, and forty members behind one address would get a single share.
const HEAD_START: Duration = Duration::from_secs(2);
/// Interval between two bursts of first messages.
const BURST_EVERY: Duration = Duration::from_millis(1);
/// Time limit for the answer to the key query.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One address with its present handshake.
struct Stranger {
    socket: UdpSocket,
    identity: Identity,
    counter: u64,
    initiator: Initiator,
}

/// Runs the attack. With `--loopback-too` the relay limits loopback like any other network.
pub fn run(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    let relay = machine.relay(&["--loopback-too"]);
    let addr = relay.udp;
    let attack = Attack::start(move |sent, over| send_flood(addr, PER_SECOND, sent, over));
    let measured = measure("handshakes", &machine, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

/// Performs handshakes until the attack is over. After an answer a client starts another one;
/// without an answer it repeats its message.
fn send_flood(relay: SocketAddr, per_second: u64, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed([6; 32]);
    let key = key_of(relay, &mut rng);
    let mut strangers: Vec<Stranger> =
        (0..ADDRESSES).map(|n| Stranger::new(n, relay, &key, &mut rng)).collect();
    thread::sleep(HEAD_START);
    let begin = Instant::now();
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(ADDRESSES) {
            strangers[(done % ADDRESSES) as usize].send_init(&key, &mut rng);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

/// Queries the relay's key, as any client may.
fn key_of(relay: SocketAddr, rng: &mut Rng) -> PublicKey {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    let query = KeyQuery::new(Carrier::Udp, rng);
    socket.set_read_timeout(Some(RESPONSE_TIMEOUT)).expect("the timeout is not zero");
    let mut bytes = [0; 1_500];
    loop {
        socket.send_to(query.packet(), relay).expect("loopback accepts datagrams");
        let len = socket.recv(&mut bytes).expect("the relay answers");
        if let Ok(key) = query.handle_answer(&bytes[..len]) {
            return key;
        }
    }
}

impl Stranger {
    fn new(n: u64, relay: SocketAddr, key: &PublicKey, rng: &mut Rng) -> Stranger {
        let ip = IpAddr::from([127, 1 + (n / 250) as u8, (n % 250) as u8, 1]);
        let socket = UdpSocket::bind((ip, 0)).expect("this is a loopback address");
        socket.set_nonblocking(true).expect("sockets can be nonblocking");
        socket.connect(relay).expect("the relay is on loopback");
        let identity = Identity::generate(rng);
        let initiator = begin(&identity, key, 1, rng);
        Stranger { socket, identity, counter: 1, initiator }
    }

    /// Handles received answers, and sends the first message.
    fn send_init(&mut self, key: &PublicKey, rng: &mut Rng) {
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
        // A full buffer is not an error: the message is repeated.
        let _ = self.socket.send(self.initiator.packet());
    }
}

fn begin(identity: &Identity, key: &PublicKey, counter: u64, rng: &mut Rng) -> Initiator {
    let hello = InitPayload { counter, continues: None };
    Initiator::new(identity, key, &hello, counter as u32 | 1, Carrier::Udp, rng)
        .expect("the relay's key is valid")
}
