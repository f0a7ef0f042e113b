//! Attack: strangers perform a handshake, send only the last byte of their window, and fall silent.
//! A relay that allocated the missing bytes would hold a full window for each.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use queqiao::base::{Carrier, PublicKey, Rng};
use queqiao::session::{Identity, InitPayload, Initiator, KeyQuery, Keys, ResponseOutcome};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::limits::{CREDIT_BEFORE_WELCOME, DATA_HEADER_LEN};

use super::process_harness::harness::Machine;
use super::{Attack, Measured, Options, measure};

/// Identities; they repeat after this many.
const STRANGERS: u64 = 2_048;
/// Handshakes under way at a time, each from a different address.
const SOCKETS: u8 = 128;
/// Time limit for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(1);

/// One address with its present handshake.
struct AttackSocket {
    socket: UdpSocket,
    handshake: Option<(Initiator, Instant)>,
}

pub fn run(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    // Limit handshakes over loopback like any others. Without a limit they would take a whole core.
    let relay = machine.relay(&["--loopback-too"]);
    let addr = relay.udp;
    let attack = Attack::start(move |sent, over| send_flood(addr, sent, over));
    let measured = measure("last-bytes", &machine, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

/// Performs handshakes until `over`. `sent` counts the last bytes.
fn send_flood(relay: SocketAddr, sent: &AtomicU64, over: &AtomicBool) {
    let key = query_key(relay);
    let mut sockets: Vec<AttackSocket> = (1..=SOCKETS).map(socket_at).collect();
    let mut next = 0;
    let mut buf = [0; 2_048];
    while !over.load(Ordering::Relaxed) {
        for socket_at in &mut sockets {
            while let Ok((len, from)) = socket_at.socket.recv_from(&mut buf) {
                if from == relay && handle_reply(socket_at, relay, &buf[..len]) {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
            let is_free =
                socket_at.handshake.as_ref().is_none_or(|(_, since)| since.elapsed() > RESPONSE_TIMEOUT);
            if is_free && !over.load(Ordering::Relaxed) {
                let initiator = new_initiator(next % STRANGERS, &key);
                next += 1;
                let _ = socket_at.socket.send_to(initiator.packet(), relay);
                socket_at.handshake = Some((initiator, Instant::now()));
            }
        }
        thread::sleep(PAUSE);
    }
}

fn socket_at(host: u8) -> AttackSocket {
    let socket = UdpSocket::bind((IpAddr::from([127, 255, 254, host]), 0)).expect("a loopback address");
    socket.set_nonblocking(true).expect("sockets can be nonblocking");
    AttackSocket { socket, handshake: None }
}

fn new_initiator(who: u64, key: &PublicKey) -> Initiator {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hello = InitPayload { counter: since.as_micros() as u64, continues: None };
    let mut private = [7; 32];
    private[..8].copy_from_slice(&who.to_be_bytes());
    let identity = Identity::from_private(private);
    let mut rng = Rng::from_seed(std::array::from_fn(|at| hello.counter.to_be_bytes()[at % 8] ^ private[at]));
    let index = 1 + rng.next_u32() / 2;
    Initiator::new(&identity, key, &hello, index, Carrier::Udp, &mut rng).expect("the key is valid")
}

/// Handles an answer. Returns whether the handshake succeeded and the last byte was sent.
fn handle_reply(socket_at: &mut AttackSocket, relay: SocketAddr, bytes: &[u8]) -> bool {
    let Some((initiator, _)) = &mut socket_at.handshake else { return false };
    if initiator.handle_cookie(bytes) == Ok(true) {
        let _ = socket_at.socket.send_to(initiator.packet(), relay);
        return false;
    }
    let Ok(answered) = initiator.handle_response(bytes) else { return false };
    socket_at.handshake = None;
    let ResponseOutcome::Established(established) = answered else { return false };
    socket_at.socket.send_to(&last_byte(&established.keys), relay).is_ok()
}

fn last_byte(keys: &Keys) -> Vec<u8> {
    let stream = StreamId::Control;
    let mut packet = vec![0; DATA_HEADER_LEN];
    let offset = CREDIT_BEFORE_WELCOME[stream.index()] as u64 - 1;
    Frame::Stream { stream, offset, data: &[7] }.encode(&mut packet);
    keys.seal(0, &mut packet, 0);
    packet
}

fn query_key(relay: SocketAddr) -> PublicKey {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("the timeout is not zero");
    let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([2; 32]));
    socket.send_to(query.packet(), relay).expect("loopback accepts datagrams");
    let mut answer = [0; 2_048];
    let (len, _) = socket.recv_from(&mut answer).expect("the relay answers");
    query.handle_answer(&answer[..len]).expect("the answer is valid")
}
