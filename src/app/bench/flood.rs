//! Garbage sent to the relay while letters flow, to measure how much members notice of a flood.
#![allow(clippy::disallowed_types, reason = "real sockets live in real time")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::base::{HostPort, Phrase, Rng};
use crate::net;
use crate::wire::limits::{MAGIC, VERSION};

use super::super::Failure;

/// Maximum datagram length of the flood, in bytes: the Ethernet MTU.
const LEN_MAX: usize = 1_500;
/// Time between two bursts of datagrams.
const BURST_EVERY: Duration = Duration::from_millis(1);

/// Maximum datagrams in one burst. A machine too slow for the rate sends what it can, and still
/// checks whether it should stop.
const BURST_MAX: u64 = 1_000;

/// A thread that sends random datagrams until it is dropped.
pub(super) struct Flood {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Floods a relay with `per_second` datagrams a second, on this machine only.
    ///
    /// # Errors
    /// Status 2 if the relay is on another machine, `cannot-start` if no socket or thread can be
    /// created.
    pub(super) fn start(relay: &HostPort, per_second: u32) -> Result<Flood, Failure> {
        let here = relay.as_socket_addr().filter(|addr| addr.ip().is_loopback());
        let Some(relay) = here else {
            return Err(Failure::usage(Phrase::new("bench-flood-public").with("relay", relay)));
        };
        let cannot = |error: std::io::Error| Phrase::new("cannot-start").with("cause", error);
        let socket = UdpSocket::bind(SocketAddr::new(relay.ip(), 0)).map_err(cannot)?;
        let sent = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let counter = sent.clone();
        let stop = over.clone();
        let run = move || pour(&socket, relay, per_second, &counter, &stop);
        let thread = thread::Builder::new().name("flood".to_owned()).spawn(run).map_err(cannot)?;
        Ok(Flood { sent, over, thread: Some(thread) })
    }

    /// Returns the number of datagrams sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn pour(socket: &UdpSocket, relay: SocketAddr, per_second: u32, sent: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::from_seed(net::seed());
    let begin = Instant::now();
    let mut bytes = [0; LEN_MAX];
    let mut done = 0u64;
    while !over.load(Ordering::Relaxed) {
        let wanted = (begin.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        let burst = wanted.saturating_sub(done).min(BURST_MAX);
        for _ in 0..burst {
            let len = 1 + rng.below(LEN_MAX as u64) as usize;
            rng.fill(&mut bytes[..len]);
            disguise(&mut bytes[..len], done);
            // Continue if a buffer is full or the relay has gone.
            let _ = socket.send_to(&bytes[..len], relay);
            done += 1;
        }
        sent.store(done, Ordering::Relaxed);
        thread::sleep(BURST_EVERY);
    }
}

/// Gives every second datagram the header of a packet, of each type in turn.
fn disguise(bytes: &mut [u8], number: u64) {
    if number.is_multiple_of(2) {
        let head = [MAGIC, (number / 2 % 8) as u8, VERSION, 0];
        bytes.iter_mut().zip(head).for_each(|(byte, header)| *byte = header);
    }
}
