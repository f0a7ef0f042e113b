//! A relay under a flood of garbage, and the members it serves meanwhile. How fast it serves them is measured by
//! `queqiao bench --flood 50000`; that it does is held here.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use queqiao::base::Rng;

use crate::world::{Home, Relay};

const PER_SECOND: u64 = 50_000;
const BURST_MAX: u64 = 1_000;
const BURST_EVERY: Duration = Duration::from_millis(1);
/// Garbage enough to show what it costs: two seconds of it on a quiet machine.
const GARBAGE_MIN: u64 = 100_000;
/// A machine too busy for that has been flooded for long enough.
const FLOOD_MAX: Duration = Duration::from_secs(10);
/// Each socket is closed after so many datagrams: whatever the relay answers is then refused by the system.
const PER_SOCKET: u64 = 500;
/// Kinds of log lines that something outside can cause, each with ten lines a second; and lines about members.
const LINES_PER_SECOND: u64 = 40;
const LINES_BESIDE: u64 = 200;
/// Letters, at least.
const LETTERS: usize = 100;
const GROWTH_MAX_KIB: u64 = 32 * 1024;

struct Flood {
    sent: Arc<AtomicU64>,
    /// Dropped when it is to stop.
    goes_on: Sender<()>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(relay: SocketAddr) -> Flood {
        let (sent, (goes_on, over)) = (Arc::new(AtomicU64::new(0)), channel());
        let counter = sent.clone();
        let thread = thread::spawn(move || pour(relay, &counter, &over));
        Flood { sent, goes_on, thread }
    }

    fn stop(self) -> u64 {
        drop(self.goes_on);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

/// Random bytes of 1 to 1,500, every second time behind the header of a packet.
fn pour(relay: SocketAddr, sent: &AtomicU64, over: &Receiver<()>) {
    let (mut rng, begin, mut done) = (Rng::from_seed([2; 32]), Instant::now(), 0);
    let mut socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut bytes = [0; 1_500];
    while over.recv_timeout(BURST_EVERY) == Err(RecvTimeoutError::Timeout) {
        // A machine too slow for the rate sends what it can.
        let due = (begin.elapsed().as_micros() as u64) * PER_SECOND / 1_000_000;
        for _ in 0..due.saturating_sub(done).min(BURST_MAX) {
            let len = 1 + rng.below(1_500) as usize;
            rng.fill(&mut bytes[..len]);
            if done % 2 == 0 {
                bytes.iter_mut().zip([0xFF, (done / 2 % 8) as u8, 1, 0]).for_each(|(b, h)| *b = h);
            }
            let _ = socket.send_to(&bytes[..len], relay);
            done += 1;
            if done % PER_SOCKET == 0 {
                socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            }
        }
        sent.store(done, Ordering::Relaxed);
    }
}

/// The memory of a process that is not swapped out, in KiB.
fn resident_kib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn row_02_members_write_to_each_other_through_a_flood_that_costs_neither_memory_nor_a_full_log() {
    let home = Home::new();
    let mut command = home.command(&["relay", "--bind", "127.0.0.1:0"]);
    command.env("RUST_LOG", "debug");
    let began = Instant::now();
    let relay = Relay::start(command);
    home.book(&["TOM", "JACK"], relay.udp);
    let jack = home.listen("JACK", &[]);
    let mut tom = home.start(&["send", "--as", "TOM", "--lines", "--wait", "delivered", "JACK"]);
    tom.write("first\n");
    assert!(tom.out().starts_with("delivered "));
    let (pid, flood, flood_began) = (relay.running.pid(), Flood::start(relay.udp), Instant::now());
    let before = resident_kib(&pid);
    let mut number = 1;
    while number < LETTERS
        || (flood.sent.load(Ordering::Relaxed) < GARBAGE_MIN && flood_began.elapsed() < FLOOD_MAX)
    {
        tom.write(&format!("letter {number}\n"));
        assert!(tom.out().starts_with("delivered "), "letter {number}");
        number += 1;
    }
    let grown = resident_kib(&pid).saturating_sub(before);
    let sent = flood.stop();
    assert!(sent > 10_000, "{sent} datagrams are no flood");
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB more after {sent} datagrams");
    tom.feed(b"");
    tom.end().with(0);
    assert_eq!(jack.terminate().out.len(), number, "each letter once");
    let said = relay.stop().with(0).err.len() as u64;
    let most = LINES_BESIDE + LINES_PER_SECOND * (1 + began.elapsed().as_secs());
    assert!(said < most, "{said} lines, {most} allowed, for {sent} datagrams");
}
