//! Attack: datagrams that belong to no session, from sixteen addresses. A quarter each are random
//! bytes; the correct first byte and random ones; DATA of unknown sessions; INITs of full size with
//! an invalid mac1.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use queqiao::base::Rng;
use queqiao::wire::packet::{HANDSHAKE_LEN, HEADER_LEN, MAC_LEN};

use super::process_harness::harness::Machine;
use super::{Attack, Measured, Options, measure};

/// Default datagrams per second.
pub const PER_SECOND: u64 = 50_000;
/// Interval between two bursts.
const BURST_EVERY: Duration = Duration::from_millis(1);
/// Maximum datagrams of one burst. A machine too slow for the rate sends what it can, and still
/// checks whether to stop.
const BURST_MAX: u64 = 1_000;
/// Distinct datagrams. Generated once, because the flood shares the processors with the members.
const DATAGRAMS: usize = 1_024;
const LEN_MAX: u64 = 1_500;
/// Source addresses of the flood.
const SOURCES: u8 = 16;

pub fn run(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    let relay = machine.relay(&[]);
    let addr = relay.udp;
    let per_second = options.per_second;
    let attack = Attack::start(move |sent, over| send_flood(addr, per_second, sent, over));
    let measured = measure("garbage", &machine, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

fn send_flood(relay: SocketAddr, per_second: u64, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed([5; 32]);
    let datagrams: Vec<Vec<u8>> = (0..DATAGRAMS).map(|number| garbage(number, &mut rng)).collect();
    let sources = (1..=SOURCES).map(|host| UdpSocket::bind((IpAddr::from([127, 255, 255, host]), 0)));
    let sources: Vec<UdpSocket> = sources.filter_map(Result::ok).collect();
    assert!(!sources.is_empty(), "these are loopback addresses");
    let begin = Instant::now();
    let mut done = 0;
    while !over.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(BURST_MAX) {
            let from = &sources[(done / BURST_MAX) as usize % sources.len()];
            // A full buffer is not an error: the next datagram may fit.
            let _ = from.send_to(&datagrams[done as usize % DATAGRAMS], relay);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

fn garbage(number: usize, rng: &mut Rng) -> Vec<u8> {
    let init: [u8; HEADER_LEN] = [0xFF, 1, 1, 0];
    let data: [u8; HEADER_LEN] = [0xFF, 6, 1, 0];
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
        // No mac2: only mac1 is invalid.
        bytes[HANDSHAKE_LEN - MAC_LEN..].fill(0);
    }
    bytes
}
