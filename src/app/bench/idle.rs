//! `queqiao bench --idle N`: cost of idle members for a relay. Each has its own session and its own
//! address in 127/8. It answers and keeps alive as a client does, so that the relay cannot
//! distinguish it from one.
//!
//! With `--bare` the bench starts the relay. The cost of a keep-alive is then a multiple of its
//! cost in the bare loop.
#![allow(
    clippy::disallowed_types,
    reason = "the length of the measurement is read from the clock once at each end"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::base::{Carrier, HostPort, HostPortError, Now, Outputs, Phrase, PublicKey, Rng, Tick};
use crate::net::{self, MultiAddrSocket};
use crate::session::KeyQuery;

use super::super::{CommandResult, ExitStatus, Failure, print};
#[cfg(target_os = "linux")]
use super::child::Child;
use super::idler::{IDLERS_MAX, Idler, IdlerConfig, IdlerEvent, number_of};
use super::meter::Meter;
#[cfg(target_os = "linux")]
use super::{BenchServer, keepalive_baseline};

/// Maximum members of one bench.
pub const IDLE_MAX: usize = IDLERS_MAX as usize;
/// Maximum first messages without an answer. More would not fit into a socket buffer of the usual
/// 208 KiB, and would be lost.
const HANDSHAKES_MAX: usize = 48;
/// Maximum members that are signing in. They share the commits that make their names durable. A
/// relay allows twice as many unauthenticated sessions.
const COMING_MAX: usize = 1_000;
/// Time without a new sign-in after which the relay counts as absent or full.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// Time until every member has begun to keep its session alive, and the relay has hibernated the
/// sessions.
const SETTLE: Duration = Duration::from_secs(25);
/// A member that has received nothing for this long, though it has sent keep-alives, has lost its
/// session.
const ALIVE_WITHIN: Duration = Duration::from_secs(45);

/// Options of `bench --idle`.
#[derive(Clone, Debug)]
pub struct IdleOptions {
    /// Relay, as HOST:PORT, in 127/8; `None` to start one, and the bare loop after it.
    pub relay: Option<String>,
    /// Number of members, at most [`IDLE_MAX`].
    pub members: usize,
    /// Duration of the measurement.
    pub time: Duration,
    /// Process of the relay, whose memory and CPU time are read.
    pub relay_pid: Option<u32>,
    /// Print one JSON object.
    pub json: bool,
}

/// One JSON object; its keys are these field names. Those about the relay's process are `null`
/// without `--relay-pid`.
#[derive(Debug, Default, Serialize)]
struct Report {
    relay: String,
    idle: usize,
    secs: f64,
    sign_in_secs: f64,
    /// Sessions that the relay lost during the measurement.
    lost: usize,
    /// Datagrams that members sent during the measurement, each of which was answered.
    keep_alives_per_second: f64,
    /// Growth of the relay's resident memory since the start, for each session.
    bytes_per_session: Option<f64>,
    memory_before_kib: Option<u64>,
    memory_after_kib: Option<u64>,
    /// CPU time of the relay's process, in percent of one core.
    cpu_percent: Option<f64>,
    cpu_us_per_keep_alive: Option<f64>,
    /// CPU time of the bare loop, which echoes datagrams of the same length at the same rate.
    bare_us_per_keep_alive: Option<f64>,
    ratio: Option<f64>,
}

/// Measures a relay with idle members.
///
/// # Errors
/// [`Failure`]: 1 if no relay answers, a member cannot sign in, or sessions are lost; 2 for a relay
/// on another machine.
pub fn bench_idle(options: &IdleOptions) -> CommandResult {
    let report = match &options.relay {
        Some(relay) => measure(options, here(relay)?, options.relay_pid)?,
        #[cfg(target_os = "linux")]
        None => compare(options)?,
        #[cfg(not(target_os = "linux"))]
        None => return Err(Phrase::new("bench-bare-linux").into()),
    };
    report.print(options.json)?;
    match report.lost {
        0 => Ok(ExitStatus::Done),
        lost => Err(Phrase::new("bench-idle-lost").with("lost", lost).into()),
    }
}

/// Parses the address of a relay on this machine.
fn here(relay: &str) -> Result<SocketAddr, Failure> {
    let wrong = |key: &'static str| Failure::usage(Phrase::new(key).with("address", relay));
    let relay: HostPort = relay.parse().map_err(|error: HostPortError| wrong(error.key()))?;
    let here = relay.as_socket_addr().filter(|addr| addr.is_ipv4() && addr.ip().is_loopback());
    here.ok_or_else(|| Failure::usage(Phrase::new("bench-idle-public").with("relay", &relay)))
}

/// Measures a relay, then the bare loop with as many keep-alives a second, each in a separate
/// process.
#[cfg(target_os = "linux")]
fn compare(options: &IdleOptions) -> Result<Report, Failure> {
    let relay = Child::start(BenchServer::Relay)?;
    let report = measure(options, relay.addr, Some(relay.pid()))?;
    drop(relay);
    let bare = Child::start(BenchServer::Baseline)?;
    let bare =
        keepalive_baseline::cpu_us(&bare, options.members, report.keep_alives_per_second, options.time)?;
    let ratio = report.cpu_us_per_keep_alive.zip(bare).map(|(relay, bare)| rounded(relay / bare));
    Ok(Report { bare_us_per_keep_alive: bare.map(rounded), ratio, ..report })
}

fn measure(options: &IdleOptions, relay: SocketAddr, pid: Option<u32>) -> Result<Report, Failure> {
    let meter = pid.map(Meter::open).transpose()?;
    let used = || meter.as_ref().map(Meter::read).transpose();
    let mut idlers = IdleMembers::open(relay)?;
    let at_first = used()?;
    let begin = Instant::now();
    idlers.sign_in(options.members)?;
    let sign_in_secs = begin.elapsed().as_secs_f64();
    idlers.run(SETTLE);
    let before = used()?;
    let begin = Instant::now();
    let asked_before = idlers.answers;
    idlers.run(options.time);
    let after = used()?;
    let secs = begin.elapsed().as_secs_f64();
    let grown = at_first.zip(after).map(|(first, after)| after.rss_kib as f64 - first.rss_kib as f64);
    let cpu = before.zip(after).map(|(before, after)| after.cpu.saturating_sub(before.cpu).as_secs_f64());
    let keep_alives = (idlers.answers - asked_before) as f64;
    Ok(Report {
        relay: relay.to_string(),
        idle: options.members,
        secs: rounded(secs),
        sign_in_secs: rounded(sign_in_secs),
        lost: idlers.lost(),
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
        let object = serde_json::to_value(self).expect("strings and numbers always serialize");
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

/// All members, and the socket they share.
struct IdleMembers {
    socket: MultiAddrSocket,
    relay: SocketAddr,
    key: PublicKey,
    rng: Rng,
    idlers: Vec<Idler>,
    /// Deadlines of all members. `scheduled` holds each member's entry, to find it again.
    deadlines: BTreeSet<(Tick, u32)>,
    scheduled: Vec<Option<Tick>>,
    answered: usize,
    online: usize,
    gone: usize,
    /// Datagrams received from the relay.
    answers: u64,
    out: Outputs<(), ()>,
}

impl IdleMembers {
    /// Binds the socket and queries the relay's key.
    fn open(relay: SocketAddr) -> Result<IdleMembers, Failure> {
        let mut socket = MultiAddrSocket::bind()?;
        let mut rng = Rng::from_seed(net::seed());
        let query = KeyQuery::new(Carrier::Udp, &mut rng);
        let mut key = None;
        let mut now = socket.wait(Tick::ZERO);
        let end = now.tick + STALLED_AFTER;
        while key.is_none() && now.tick < end {
            socket.send(Ipv4Addr::LOCALHOST, relay, query.packet());
            now = socket.wait(now.tick + STALLED_AFTER / 20);
            socket.receive(|_, bytes| key = key.or(query.handle_answer(bytes).ok()));
        }
        let silent = || Failure::from(Phrase::new("bench-idle-stalled").with("online", 0));
        Ok(IdleMembers {
            socket,
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
        let mut now = self.socket.wait(Tick::ZERO);
        let mut last = 0;
        let mut stalled_at = now.tick + STALLED_AFTER;
        while self.online < members {
            while self.idlers.len() < members
                && self.idlers.len() - self.online < COMING_MAX
                && self.idlers.len() - self.answered < HANDSHAKES_MAX
            {
                let number = self.idlers.len() as u32;
                let config = IdlerConfig { socket: &self.socket, relay: self.relay, key: self.key };
                self.idlers.push(Idler::begin(number, now, &config, &mut self.rng));
                self.scheduled.push(None);
                self.schedule(number, now.tick);
            }
            now = self.turn(stalled_at);
            if self.online > last {
                last = self.online;
                stalled_at = now.tick + STALLED_AFTER;
            }
            if self.gone > 0 || now.tick >= stalled_at {
                return Err(Phrase::new("bench-idle-stalled").with("online", self.online).into());
            }
        }
        Ok(())
    }

    fn run(&mut self, span: Duration) {
        let mut now = self.socket.wait(Tick::ZERO);
        let end = now.tick + span;
        while now.tick < end {
            now = self.turn(end);
        }
    }

    /// Waits until something happens, or until `until`, and handles it.
    fn turn(&mut self, until: Tick) -> Now {
        let next = self.deadlines.first().map_or(until, |(tick, _)| until.min(*tick));
        let now = self.socket.wait(next);
        while self.receive(now.tick) {}
        while let Some((tick, number)) = self.deadlines.first().copied().filter(|due| due.0 <= now.tick) {
            self.deadlines.remove(&(tick, number));
            self.scheduled[number as usize] = None;
            let config = IdlerConfig { socket: &self.socket, relay: self.relay, key: self.key };
            self.idlers[number as usize].handle_time(now, &config, &mut self.rng, &mut self.out);
            self.schedule(number, now.tick);
        }
        now
    }

    fn receive(&mut self, now: Tick) -> bool {
        let mut datagrams = Vec::new();
        let more = self.socket.receive(|to, bytes| {
            datagrams.extend(number_of(to).map(|number| (number, bytes.to_vec())));
        });
        for (number, mut bytes) in datagrams {
            let config = IdlerConfig { socket: &self.socket, relay: self.relay, key: self.key };
            let Some(idler) = self.idlers.get_mut(number as usize) else { continue };
            self.answers += 1;
            match idler.handle(now, &mut bytes, &config, &mut self.out) {
                IdlerEvent::Nothing => {}
                IdlerEvent::Answered => self.answered += 1,
                IdlerEvent::Online => self.online += 1,
                IdlerEvent::Gone => self.gone += 1,
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
        let since = self.socket.wait(Tick::ZERO).tick - ALIVE_WITHIN;
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
    /// 300 members: several times [`HANDSHAKES_MAX`], so that they sign in in batches.
    fn members_sign_in_in_batches_and_return_with_same_names() {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let (store, state) = RelayStore::in_memory(net::seed()).unwrap();
        let limits = Limits { per_sender: false, ..Limits::default() };
        let server = RelayServer::open(NetConfig::relay(loopback, None), store, state, limits).unwrap();
        let relay = server.udp_addr();
        let loop_handle = server.loop_handle();
        let running = std::thread::spawn(move || server.run(|_| ()).unwrap());
        for _ in 0..2 {
            let mut idlers =
                IdleMembers::open(relay).unwrap_or_else(|_| panic!("the relay must send its key"));
            assert!(idlers.sign_in(300).is_ok());
            assert_eq!(idlers.online, 300);
            assert_eq!(idlers.gone, 0);
            assert_eq!(idlers.lost(), 0);
        }
        assert!(loop_handle.command(Command::Stop));
        running.join().unwrap();
    }
}
