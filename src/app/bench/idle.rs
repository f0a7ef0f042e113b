//! `queqiao bench --idle N`: what members who say nothing cost a relay. Each has a session and an address of its own in
//! 127/8, answers and keeps alive as a client does, and is told from a client by nothing the relay can see. With `--bare` the
//! relay is the bench's own, and what a keep-alive costs it is told as a multiple of what it costs the bare loop.
#![allow(
    clippy::disallowed_types,
    reason = "the length of the measurement is read from the clock once at each end"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::base::{Carrier, HostPort, HostPortError, Now, Outputs, Phrase, PublicKey, Rng, Tick};
use crate::net::{self, Crowd};
use crate::session::KeyQuery;

use super::super::{Failure, Outcome, Status, print};
#[cfg(target_os = "linux")]
use super::child::Child;
use super::idler::{IDLERS_MAX, Idler, News, Scene, number_of};
use super::meter::Meter;
#[cfg(target_os = "linux")]
use super::{BenchServer, answers};

/// The most members one bench has.
pub const IDLE_MAX: usize = IDLERS_MAX as usize;
/// First messages without an answer at once: more would not fit into a socket's buffer where the system gives the usual
/// 208 KiB, and would be lost.
const SHAKING_MAX: usize = 48;
/// Members that are not signed in yet, at once: they share the commits that make their names durable. A relay bears twice as
/// many strangers.
const COMING_MAX: usize = 1_000;
/// Nobody came online for so long: the relay is not there, or takes no more.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// By then every member has begun to keep its session alive, and the relay has put away what it needs no more.
const SETTLE: Duration = Duration::from_secs(25);
/// A member that has heard nothing for so long, though it has asked, has lost its session.
const ALIVE_WITHIN: Duration = Duration::from_secs(45);

/// What `bench --idle` is told.
#[derive(Clone, Debug)]
pub struct IdleOptions {
    /// The relay, as HOST:PORT, in 127/8; `None` for one of the bench's own, and the bare loop beside it.
    pub relay: Option<String>,
    /// How many members, at most [`IDLE_MAX`].
    pub members: usize,
    /// How long to measure.
    pub time: Duration,
    /// The relay's process, to be asked for its memory and its CPU time.
    pub relay_pid: Option<u32>,
    /// Print one JSON object.
    pub json: bool,
}

/// The keys of the JSON object are these names; those of the relay are `null` without `--relay-pid`.
#[derive(Debug, Default, Serialize)]
struct Report {
    relay: String,
    idle: usize,
    secs: f64,
    sign_in_secs: f64,
    /// Sessions that the relay lost meanwhile.
    lost: usize,
    /// Datagrams the members sent while it was measured, each of which had an answer.
    keep_alives_per_second: f64,
    /// Resident memory of the relay's process more than before, for each session.
    bytes_per_session: Option<f64>,
    memory_before_kib: Option<u64>,
    memory_after_kib: Option<u64>,
    /// CPU time of the relay's process, as a part of one core.
    cpu_percent: Option<f64>,
    cpu_us_per_keep_alive: Option<f64>,
    /// The same of the bare loop, which sends back datagrams as short and as many a second.
    bare_us_per_keep_alive: Option<f64>,
    ratio: Option<f64>,
}

/// Measures a relay with idle members.
///
/// # Errors
/// [`Failure`]: 1 if no relay answers, a member cannot sign in or sessions are lost; 2 for a relay that is elsewhere.
pub fn bench_idle(options: &IdleOptions) -> Outcome {
    let report = match &options.relay {
        Some(relay) => measure(options, here(relay)?, options.relay_pid)?,
        #[cfg(target_os = "linux")]
        None => compare(options)?,
        #[cfg(not(target_os = "linux"))]
        None => return Err(Phrase::new("bench-bare-linux").into()),
    };
    report.print(options.json)?;
    match report.lost {
        0 => Ok(Status::Done),
        lost => Err(Phrase::new("bench-idle-lost").with("lost", lost).into()),
    }
}

/// The address of a relay on this machine.
fn here(relay: &str) -> Result<SocketAddr, Failure> {
    let wrong = |key: &'static str| Failure::usage(Phrase::new(key).with("address", relay));
    let relay: HostPort = relay.parse().map_err(|why: HostPortError| wrong(why.key()))?;
    let here = relay.as_socket_addr().filter(|addr| addr.is_ipv4() && addr.ip().is_loopback());
    here.ok_or_else(|| Failure::usage(Phrase::new("bench-idle-public").with("relay", &relay)))
}

/// Measures a relay, then the bare loop with as many keep-alives a second, each in a process of its own.
#[cfg(target_os = "linux")]
fn compare(options: &IdleOptions) -> Result<Report, Failure> {
    let relay = Child::start(BenchServer::Relay)?;
    let report = measure(options, relay.addr, Some(relay.pid()))?;
    drop(relay);
    let bare = Child::start(BenchServer::Bare)?;
    let bare = answers::cpu_us(&bare, options.members, report.keep_alives_per_second, options.time)?;
    let ratio = report.cpu_us_per_keep_alive.zip(bare).map(|(relay, bare)| rounded(relay / bare));
    Ok(Report { bare_us_per_keep_alive: bare.map(rounded), ratio, ..report })
}

fn measure(options: &IdleOptions, relay: SocketAddr, pid: Option<u32>) -> Result<Report, Failure> {
    let meter = pid.map(Meter::open).transpose()?;
    let used = || meter.as_ref().map(Meter::read).transpose();
    let mut hall = Hall::open(relay)?;
    let (at_first, begin) = (used()?, Instant::now());
    hall.sign_in(options.members)?;
    let sign_in_secs = begin.elapsed().as_secs_f64();
    hall.run(SETTLE);
    let (before, begin) = (used()?, Instant::now());
    let asked_before = hall.answers;
    hall.run(options.time);
    let (after, secs) = (used()?, begin.elapsed().as_secs_f64());
    let grown = at_first.zip(after).map(|(first, after)| after.rss_kib as f64 - first.rss_kib as f64);
    let cpu = before.zip(after).map(|(before, after)| after.cpu.saturating_sub(before.cpu).as_secs_f64());
    let keep_alives = (hall.answers - asked_before) as f64;
    Ok(Report {
        relay: relay.to_string(),
        idle: options.members,
        secs: rounded(secs),
        sign_in_secs: rounded(sign_in_secs),
        lost: hall.lost(),
        keep_alives_per_second: rounded(keep_alives / secs),
        bytes_per_session: grown.map(|kib| rounded(kib * 1_024.0 / options.members as f64)),
        memory_before_kib: at_first.map(|used| used.rss_kib),
        memory_after_kib: after.map(|used| used.rss_kib),
        cpu_percent: cpu.map(|cpu| rounded(cpu * 100.0 / secs)),
        cpu_us_per_keep_alive: cpu.filter(|_| keep_alives > 0.0).map(|cpu| rounded(cpu * 1e6 / keep_alives)),
        bare_us_per_keep_alive: None,
        ratio: None,
    })
}

impl Report {
    fn print(&self, json: bool) -> Result<(), Failure> {
        let object = serde_json::to_value(self).expect("texts and numbers always serialise");
        if json {
            return print(&object.to_string()).map(drop);
        }
        let fields = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        fields.into_iter().try_for_each(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            print(&format!("{name} {value}")).map(drop)
        })
    }
}

/// All members and the one socket they share.
struct Hall {
    crowd: Crowd,
    relay: SocketAddr,
    key: PublicKey,
    rng: Rng,
    idlers: Vec<Idler>,
    /// When each member wants time to pass: the entry, and the mark beside the member.
    deadlines: BTreeSet<(Tick, u32)>,
    scheduled: Vec<Option<Tick>>,
    answered: usize,
    online: usize,
    gone: usize,
    /// Datagrams of the relay that came.
    answers: u64,
    out: Outputs<(), ()>,
}

impl Hall {
    /// Asks the relay for its key.
    fn open(relay: SocketAddr) -> Result<Hall, Failure> {
        let (mut crowd, mut rng) = (Crowd::bind()?, Rng::from_seed(net::seed()));
        let query = KeyQuery::new(Carrier::Udp, &mut rng);
        let (mut key, mut now) = (None, crowd.wait(Tick::ZERO));
        let end = now.tick + STALLED_AFTER;
        while key.is_none() && now.tick < end {
            crowd.send(Ipv4Addr::LOCALHOST, relay, query.packet());
            now = crowd.wait(now.tick + STALLED_AFTER / 20);
            crowd.receive(|_, bytes| key = key.or(query.handle_answer(bytes).ok()));
        }
        let silent = || Failure::from(Phrase::new("bench-idle-stalled").with("online", 0));
        Ok(Hall {
            crowd,
            relay,
            key: key.ok_or_else(silent)?,
            rng,
            idlers: Vec::new(),
            deadlines: BTreeSet::new(),
            scheduled: Vec::new(),
            answered: 0,
            online: 0,
            gone: 0,
            answers: 0,
            out: Outputs::default(),
        })
    }

    fn sign_in(&mut self, members: usize) -> Result<(), Failure> {
        let mut now = self.crowd.wait(Tick::ZERO);
        let (mut last, mut stalled_at) = (0, now.tick + STALLED_AFTER);
        while self.online < members {
            while self.idlers.len() < members
                && self.idlers.len() - self.online < COMING_MAX
                && self.idlers.len() - self.answered < SHAKING_MAX
            {
                let number = self.idlers.len() as u32;
                let scene = Scene { crowd: &self.crowd, relay: self.relay, key: self.key };
                self.idlers.push(Idler::begin(number, now, &scene, &mut self.rng));
                self.scheduled.push(None);
                self.schedule(number, now.tick);
            }
            now = self.turn(stalled_at);
            if self.online > last {
                (last, stalled_at) = (self.online, now.tick + STALLED_AFTER);
            }
            if self.gone > 0 || now.tick >= stalled_at {
                return Err(Phrase::new("bench-idle-stalled").with("online", self.online).into());
            }
        }
        Ok(())
    }

    fn run(&mut self, span: Duration) {
        let mut now = self.crowd.wait(Tick::ZERO);
        let end = now.tick + span;
        while now.tick < end {
            now = self.turn(end);
        }
    }

    /// Waits until something happens, or `until`, and deals with it.
    fn turn(&mut self, until: Tick) -> Now {
        let next = self.deadlines.first().map_or(until, |(tick, _)| until.min(*tick));
        let now = self.crowd.wait(next);
        while self.hear(now.tick) {}
        while let Some((tick, number)) = self.deadlines.first().copied().filter(|due| due.0 <= now.tick) {
            self.deadlines.remove(&(tick, number));
            self.scheduled[number as usize] = None;
            let scene = Scene { crowd: &self.crowd, relay: self.relay, key: self.key };
            self.idlers[number as usize].handle_time(now, &scene, &mut self.rng, &mut self.out);
            self.schedule(number, now.tick);
        }
        now
    }

    fn hear(&mut self, now: Tick) -> bool {
        let mut datagrams = Vec::new();
        let more = self.crowd.receive(|to, bytes| {
            datagrams.extend(number_of(to).map(|number| (number, bytes.to_vec())));
        });
        for (number, mut bytes) in datagrams {
            let scene = Scene { crowd: &self.crowd, relay: self.relay, key: self.key };
            let Some(idler) = self.idlers.get_mut(number as usize) else { continue };
            self.answers += 1;
            match idler.handle(now, &mut bytes, &scene, &mut self.out) {
                News::Nothing => {}
                News::Answered => self.answered += 1,
                News::Online => self.online += 1,
                News::Gone => self.gone += 1,
            }
            self.schedule(number, now);
        }
        more
    }

    fn schedule(&mut self, number: u32, now: Tick) {
        let wanted = self.idlers[number as usize].next_deadline(now);
        let before = std::mem::replace(&mut self.scheduled[number as usize], wanted);
        if before != wanted {
            before.map(|tick| self.deadlines.remove(&(tick, number)));
            wanted.map(|tick| self.deadlines.insert((tick, number)));
        }
    }

    fn lost(&mut self) -> usize {
        let since = self.crowd.wait(Tick::ZERO).tick - ALIVE_WITHIN;
        self.idlers.iter().filter(|idler| !idler.is_alive(since)).count()
    }
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::RelayServer;
    use crate::net::NetConfig;
    use crate::relay::{Command, Limits};
    use crate::store::RelayStore;

    #[test]
    fn members_sign_in_by_the_hundred_and_come_back_under_the_same_names() {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let (store, state) = RelayStore::in_memory(net::seed()).unwrap();
        let limits = Limits { per_sender: false, ..Limits::default() };
        let server = RelayServer::open(NetConfig::relay(loopback, None), store, state, limits).unwrap();
        let (relay, inlet) = (server.udp_addr(), server.inlet());
        let running = std::thread::spawn(move || server.run(|_| ()).unwrap());
        for _ in 0..2 {
            let mut hall = Hall::open(relay).unwrap_or_else(|_| panic!("the relay shows its key"));
            assert!(hall.sign_in(300).is_ok());
            assert_eq!((hall.online, hall.gone, hall.lost()), (300, 0, 0));
        }
        assert!(inlet.command(Command::Stop));
        running.join().unwrap();
    }
}
