//! CPU cost of keep-alives for the bare loop, as a baseline. It echoes datagrams at the same rate,
//! of the same length and from as many addresses as those of idle members. They come one by one at
//! random times, as theirs do.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Phrase, Rng, Tick};
use crate::net::{self, MultiAddrSocket};
use crate::wire::limits::{DATA_HEADER_LEN, TAG_LEN};

use super::baseline;
use super::child::Child;
use super::idler::{IDLERS_MAX, address};
use super::meter::Meter;

/// Length of a packet that holds one PING, in bytes.
const KEEP_ALIVE_LEN: usize = DATA_HEADER_LEN + 1 + TAG_LEN;
/// Load before the measurement. 2 s: enough for the loop to allocate its memory.
const WARM_UP: Duration = Duration::from_secs(2);

/// Load generator, with counts of what was sent and echoed.
struct KeepAliveLoad {
    socket: MultiAddrSocket,
    server: SocketAddr,
    members: u32,
    /// Mean time between two datagrams.
    every: Duration,
    rng: Rng,
    due: Tick,
    asked: u32,
    answers: u64,
}

/// Returns the CPU time of the bare loop for one datagram, in microseconds; `None` if nothing was
/// echoed. `members` addresses send `per_second` datagrams in all.
///
/// # Errors
/// Those of [`Child::start`], [`MultiAddrSocket::bind`] and [`Meter::open`].
pub(super) fn cpu_us(
    child: &Child,
    members: usize,
    per_second: f64,
    time: Duration,
) -> Result<Option<f64>, Phrase> {
    let meter = Meter::open(child.pid())?;
    let mut sender = MultiAddrSocket::bind()?;
    let due = sender.wait(Tick::ZERO).tick;
    let members = u32::try_from(members).map_or(IDLERS_MAX, |members| members.clamp(1, IDLERS_MAX));
    let every = Duration::from_secs_f64(1.0 / per_second.max(1.0));
    let server = child.addr;
    let rng = Rng::from_seed(net::seed());
    let mut load = KeepAliveLoad { socket: sender, server, members, every, rng, due, asked: 0, answers: 0 };
    load.run(WARM_UP);
    let before = meter.read()?;
    let answers_before = load.answers;
    load.run(time);
    let after = meter.read()?;
    let answers = load.answers - answers_before;
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    Ok((answers > 0).then(|| cpu * 1e6 / answers as f64))
}

impl KeepAliveLoad {
    fn run(&mut self, span: Duration) {
        let mut now = self.socket.wait(Tick::ZERO).tick;
        let end = now + span;
        while now < end {
            now = self.socket.wait(self.due.min(end)).tick;
            while self.socket.receive(|_, _| self.answers += 1) {}
            while self.due <= now {
                self.ask();
                self.due = self.due + self.pause();
            }
        }
    }

    fn ask(&mut self) {
        let number = self.asked % self.members;
        let datagram = baseline::registering::<KEEP_ALIVE_LEN>(number);
        self.socket.send(address(number), self.server, &datagram);
        self.asked = self.asked.wrapping_add(1);
    }

    /// Returns the time to the next datagram. Members send independently, so their datagrams form a
    /// Poisson process.
    fn pause(&mut self) -> Duration {
        let part = (self.rng.next_u32() as f64 + 1.0) / (u32::MAX as f64 + 1.0);
        self.every.mul_f64(-part.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_echoed_at_about_wanted_rate() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sender = MultiAddrSocket::bind().unwrap();
        let due = sender.wait(Tick::ZERO).tick;
        let every = Duration::from_micros(500);
        let rng = Rng::from_seed([7; 32]);
        let server = socket.local_addr().unwrap();
        let mut load =
            KeepAliveLoad { socket: sender, server, members: 3, every, rng, due, asked: 0, answers: 0 };
        let pauses: Duration = (0..10_000).map(|_| load.pause()).sum();
        assert!((4.5..5.5).contains(&pauses.as_secs_f64()), "{pauses:?}");
        load.ask();
        let mut bytes = [0; 99];
        let (len, from) = socket.recv_from(&mut bytes).unwrap();
        assert_eq!(len, KEEP_ALIVE_LEN);
        assert_eq!(from.ip(), address(0));
        socket.send_to(&bytes[..len], from).unwrap();
        let mut tries = 0..100;
        while load.answers == 0 && tries.next().is_some() {
            load.run(Duration::from_millis(100));
        }
        assert!(load.answers > 0);
    }
}
