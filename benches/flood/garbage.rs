//! Datagrams that belong to no session, from sixteen addresses: a quarter each are random bytes;
//! the right first byte and random ones; DATA of unknown sessions; INITs of full size with a wrong
//! mac1.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use queqiao::base::Rng;
use queqiao::wire::packet::{HANDSHAKE_LEN, HEADER_LEN, MAC_LEN};

use super::stage::world::Home;
use super::{Attack, Measured, Options, measure};

/// Datagrams a second, unless the command line says otherwise.
pub const PER_SECOND: u64 = 50_000;
/// Interval between two bursts.
const BURST_EVERY: Duration = Duration::from_millis(1);
/// Datagrams of one burst: a machine too slow for the rate sends what it can, and still looks
/// whether it should stop.
const BURST_MAX: u64 = 1_000;
/// Made once, so that the flood takes as little as it can of the processors it shares with the
/// members.
const DATAGRAMS: usize = 1_024;
const LEN_MAX: u64 = 1_500;
/// Addresses that the flood comes from.
const SOURCES: u8 = 16;

pub fn run(options: &Options) -> Option<Measured> {
    let home = Home::new();
    let relay = home.relay(&[]);
    let (addr, per_second) = (relay.udp, options.per_second);
    let attack = Attack::start(move |sent, over| pour(addr, per_second, sent, over));
    let measured = measure("garbage", &home, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

fn pour(relay: SocketAddr, per_second: u64, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed([5; 32]);
    let datagrams: Vec<Vec<u8>> = (0..DATAGRAMS).map(|number| garbage(number, &mut rng)).collect();
    let sources = (1..=SOURCES).map(|host| UdpSocket::bind((IpAddr::from([127, 255, 255, host]), 0)));
    let sources: Vec<UdpSocket> = sources.filter_map(Result::ok).collect();
    assert!(!sources.is_empty(), "loopback has these addresses");
    let (begin, mut done) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(BURST_MAX) {
            let from = &sources[(done / BURST_MAX) as usize % sources.len()];
            // A full buffer is no reason to stop.
            let _ = from.send_to(&datagrams[done as usize % DATAGRAMS], relay);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

fn garbage(number: usize, rng: &mut Rng) -> Vec<u8> {
    let (init, data): ([u8; HEADER_LEN], _) = ([0xFF, 1, 1, 0], [0xFF, 6, 1, 0]);
    let (len, head) = match number % 4 {
        0 => (1 + rng.below(LEN_MAX), &[][..]),
        1 => (1 + rng.below(LEN_MAX), &init[..1]),
        2 => (32 + rng.below(HANDSHAKE_LEN as u64 - 31), &data[..]),
        _ => (HANDSHAKE_LEN as u64, &init[..]),
    };
    let mut bytes = vec![0; len as usize];
    rng.fill(&mut bytes);
    bytes[..head.len()].copy_from_slice(head);
    if number % 4 == 3 {
        // No cookie is claimed: it is mac1 alone that is wrong.
        bytes[HANDSHAKE_LEN - MAC_LEN..].fill(0);
    }
    bytes
}
