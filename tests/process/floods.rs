//! A relay under a flood of garbage, and the members that it serves at the same time. `queqiao
//! bench --flood 50000` measures how fast it serves them; this test shows that it does.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use queqiao::base::Rng;

use crate::harness::{Machine, Relay};

const PER_SECOND: u64 = 50_000;
const BURST_MAX: u64 = 1_000;
const BURST_EVERY: Duration = Duration::from_millis(1);
/// Datagrams that show the cost of garbage: two seconds of it on a quiet machine.
const GARBAGE_MIN: u64 = 100_000;
/// Maximum time of the flood, for a machine too busy to send that many.
const FLOOD_MAX: Duration = Duration::from_secs(10);
/// Datagrams of one socket. It is closed afterwards, and the system refuses later answers of the
/// relay.
const PER_SOCKET: u64 = 500;
/// Log lines per second: four kinds with external causes, ten lines a second each.
const LINES_PER_SECOND: u64 = 40;
/// Other log lines, about members.
const OTHER_LINES: u64 = 200;
/// Minimum number of letters.
const LETTERS: usize = 100;
const GROWTH_MAX_KIB: u64 = 32 * 1024;

struct Flood {
    sent: Arc<AtomicU64>,
    /// Dropped to stop the thread.
    stop_sender: Sender<()>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(relay: SocketAddr) -> Flood {
        let sent = Arc::new(AtomicU64::new(0));
        let (stop_sender, over) = channel();
        let counter = sent.clone();
        let thread = thread::spawn(move || send_flood(relay, &counter, &over));
        Flood { sent, stop_sender, thread }
    }

    fn stop(self) -> u64 {
        drop(self.stop_sender);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

/// Sends random datagrams of 1 to 1,500 bytes. Every second one has the header of a packet.
fn send_flood(relay: SocketAddr, sent: &AtomicU64, over: &Receiver<()>) {
    let mut rng = Rng::from_seed([2; 32]);
    let begin = Instant::now();
    let mut done = 0;
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

/// Returns the resident memory of a process, in KiB.
fn resident_kib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

// faults.md: R2
#[test]
fn letters_pass_flood_without_growth_of_memory_or_log() {
    let machine = Machine::new();
    let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0"]);
    command.env("RUST_LOG", "debug");
    let began = Instant::now();
    let relay = Relay::start(command);
    machine.book(&["TOM", "JACK"], relay.udp);
    let jack = machine.listen("JACK", &[]);
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "--wait", "delivered", "JACK"]);
    tom.write("first\n");
    assert!(tom.out().starts_with("delivered "));
    let pid = relay.process.pid();
    let flood = Flood::start(relay.udp);
    let flood_began = Instant::now();
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
    tom.write_and_close(b"");
    tom.end().with(0);
    assert_eq!(jack.terminate().out.len(), number, "each letter once");
    let notices = relay.stop().with(0).err.len() as u64;
    let most = OTHER_LINES + LINES_PER_SECOND * (1 + began.elapsed().as_secs());
    assert!(notices < most, "{notices} lines, {most} allowed, for {sent} datagrams");
}
