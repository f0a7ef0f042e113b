//! What keep-alives would cost the least server: the bare loop sends datagrams back that are as many a second, as short and
//! from as many addresses as those of idle members, one by one and at random times, as theirs are.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Phrase, Rng, Tick};
use crate::net::{self, Crowd};
use crate::wire::limits::{DATA_HEADER_LEN, TAG_LEN};

use super::bare;
use super::child::Child;
use super::idler::{IDLERS_MAX, address};
use super::meter::Meter;

/// A packet that holds a PING.
const KEEP_ALIVE_LEN: usize = DATA_HEADER_LEN + 1 + TAG_LEN;
/// Before anything is measured: the loop's memory is there, and its socket.
const WARM_UP: Duration = Duration::from_secs(2);

/// The load, and what came back.
struct Asker {
    crowd: Crowd,
    server: SocketAddr,
    members: u32,
    /// Between two datagrams, on the average.
    every: Duration,
    rng: Rng,
    due: Tick,
    asked: u32,
    answers: u64,
}

/// CPU time of the bare loop for one datagram of `members` that come `per_second`, in microseconds; `None` if nothing came
/// back.
///
/// # Errors
/// Those of [`Child::start`], [`Crowd::bind`] and [`Meter::open`].
pub(super) fn cpu_us(
    child: &Child,
    members: usize,
    per_second: f64,
    time: Duration,
) -> Result<Option<f64>, Phrase> {
    let meter = Meter::open(child.pid())?;
    let mut crowd = Crowd::bind()?;
    let due = crowd.wait(Tick::ZERO).tick;
    let members = u32::try_from(members).map_or(IDLERS_MAX, |members| members.clamp(1, IDLERS_MAX));
    let every = Duration::from_secs_f64(1.0 / per_second.max(1.0));
    let (server, rng) = (child.addr, Rng::from_seed(net::seed()));
    let mut asker = Asker { crowd, server, members, every, rng, due, asked: 0, answers: 0 };
    asker.run(WARM_UP);
    let (before, answers_before) = (meter.read()?, asker.answers);
    asker.run(time);
    let (after, answers) = (meter.read()?, asker.answers - answers_before);
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    Ok((answers > 0).then(|| cpu * 1e6 / answers as f64))
}

impl Asker {
    fn run(&mut self, span: Duration) {
        let mut now = self.crowd.wait(Tick::ZERO).tick;
        let end = now + span;
        while now < end {
            now = self.crowd.wait(self.due.min(end)).tick;
            while self.crowd.receive(|_, _| self.answers += 1) {}
            while self.due <= now {
                self.ask();
                self.due = self.due + self.pause();
            }
        }
    }

    fn ask(&mut self) {
        let number = self.asked % self.members;
        let datagram = bare::registering::<KEEP_ALIVE_LEN>(number);
        self.crowd.send(address(number), self.server, &datagram);
        self.asked = self.asked.wrapping_add(1);
    }

    /// Members know nothing of each other: their datagrams are a Poisson process.
    fn pause(&mut self) -> Duration {
        let part = (self.rng.next_u32() as f64 + 1.0) / (u32::MAX as f64 + 1.0);
        self.every.mul_f64(-part.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_comes_back_at_about_the_rate_that_is_wanted() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::bind().unwrap();
        let due = crowd.wait(Tick::ZERO).tick;
        let (every, rng) = (Duration::from_micros(500), Rng::from_seed([7; 32]));
        let server = socket.local_addr().unwrap();
        let mut asker = Asker { crowd, server, members: 3, every, rng, due, asked: 0, answers: 0 };
        let pauses: Duration = (0..10_000).map(|_| asker.pause()).sum();
        assert!((4.5..5.5).contains(&pauses.as_secs_f64()), "{pauses:?}");
        asker.ask();
        let mut bytes = [0; 99];
        let (len, from) = socket.recv_from(&mut bytes).unwrap();
        assert_eq!((len, from.ip()), (KEEP_ALIVE_LEN, address(0).into()));
        socket.send_to(&bytes[..len], from).unwrap();
        let mut tries = 0..100;
        while asker.answers == 0 && tries.next().is_some() {
            asker.run(Duration::from_millis(100));
        }
        assert!(asker.answers > 0);
    }
}
