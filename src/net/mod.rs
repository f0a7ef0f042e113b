//! Floor 5: the outside of a core. One poll over UDP sockets, TCP connections, signals and other threads; clocks;
//! host look-ups; the system's randomness.
//!
//! It must not know: what is in a packet (beyond that one is 1 to 1,200 bytes on UDP and 1 to 16 KiB in a record),
//! who sent it, what a command means. Floors 0 to 4 never see a socket; this room never sees a session.
//!
//! Invariant: a source that was announced ready stands in the ready queue until it has said would-block, and
//! [`Net::wait`] sleeps only when that queue is empty. So edge-triggered readiness is never lost, nothing is asked
//! again in vain, and at rest the process uses no time.
//!
//! The law of use is that of [`turn`](crate::base::turn):
//!
//! ```no_run
//! # use queqiao::base::{Core, Outputs, turn};
//! # use queqiao::net::Net;
//! # fn run<K: Core<Command = u32>>(core: &mut K, net: &mut Net<u32>) {
//! let (mut out, mut deadline) = (Outputs::default(), None);
//! loop {
//!     let now = net.wait(deadline);
//!     deadline = turn(core, now, net, &mut out);
//!     net.carry_out(&mut out, |effect| { /* Persist and Show */ });
//! }
//! # }
//! ```
//!
//! Fairness: each visit to a source takes one batch of datagrams, one read of a connection, or a few commands; then
//! the next source has its turn. Errors of sockets are counted and told, never fatal and never spun on.
//!
//! Not done: answers leave by the address the system chooses, which on a machine with several addresses and a
//! wildcard bind may not be the one the packet came to.

mod bind;
mod clock;
mod conns;
mod hub;
mod inlet;
mod ready;
mod resolve;
mod send;
mod signals;
mod stats;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};

use self::conns::{Accepted, Conns, Opened};
use self::hub::Hub;
use self::inlet::Mail;
pub use self::inlet::{COMMANDS_MAX, Inlet};
use self::resolve::Resolver;
use self::send::Gather;
pub use self::signals::Signal;
use self::signals::Signals;
use self::stats::Line;
pub use self::stats::Stats;
use self::tcp::ReadEnd;
use self::udp::{Batch, UdpPort};
use crate::base::{Inbox, Input, Now, Path, Phrase, Tick};

/// Visits to sources in one turn: what they all drop in silence must not keep the loop from its timers.
const VISITS_PER_TURN: usize = 256;
/// Pieces of mail from other threads taken in a row.
const MAIL_PER_VISIT: usize = 64;
/// Connections accepted in a row.
const ACCEPTS_PER_VISIT: usize = 64;
/// UDP sockets of one process: one of each family, and one to spare.
const UDP_PORTS_MAX: usize = 4;
/// Errors of receiving in a row after which a socket is left alone until its next readiness.
const RECEIVE_ERRORS_MAX: usize = 16;
/// Without descriptors accepting rests for this long: others may be closed meanwhile, and nothing spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Events taken from one poll; more come with the next.
const EVENTS_LEN: usize = 256;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const LISTENER: Token = Token(2);
const FIRST_UDP: usize = 3;
const FIRST_CONN: usize = FIRST_UDP + UDP_PORTS_MAX;

/// What a process wants of the outside.
#[derive(Clone, Debug)]
pub struct NetConfig<C> {
    /// UDP sockets to bind now. `[::]:8081` serves IPv4 too.
    pub udp: Vec<SocketAddr>,
    /// Bind a UDP socket to a free port when the first datagram for its address family is sent.
    pub udp_on_demand: bool,
    /// Where to listen for TCP; port 0 is the port of the first UDP socket, and a free one if there is none.
    pub tcp: Option<SocketAddr>,
    /// TCP connections at once; more are closed as they come. The core has finer limits.
    pub connections_max: usize,
    /// Makes a command of SIGINT, SIGTERM or SIGHUP; `None` leaves these signals alone.
    pub on_signal: Option<fn(Signal) -> C>,
}

impl<C> NetConfig<C> {
    /// A relay's outside: a UDP socket, and maybe a TCP listener.
    pub fn relay(udp: SocketAddr, tcp: Option<SocketAddr>) -> NetConfig<C> {
        NetConfig { udp: vec![udp], udp_on_demand: false, tcp, ..NetConfig::client() }
    }

    /// A client's outside: UDP sockets on demand, no listener.
    pub fn client() -> NetConfig<C> {
        NetConfig { udp: Vec::new(), udp_on_demand: true, tcp: None, connections_max: 4096, on_signal: None }
    }
}

/// The outside of one core, whose commands are of the kind `C`.
pub struct Net<C> {
    hub: Hub<C>,
    events: Events,
    timers: BTreeSet<(Tick, Timer)>,
    udp: Vec<UdpPort>,
    udp_on_demand: bool,
    receive_errors: usize,
    batch: Batch,
    listener: Option<mio::net::TcpListener>,
    connections_max: usize,
    conns: Conns,
    inlet: Inlet<C>,
    mail: VecDeque<Mail<C>>,
    resolver: Resolver,
    signals: Option<(Signals, fn(Signal) -> C)>,
    gather: Gather,
    current: Source,
    visits_left: usize,
}

/// What the room itself waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The end of patience with a connection being opened.
    GiveUp(usize),
    /// The end of the pause of accepting.
    AcceptAgain,
}

/// The source inputs are taken from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    None,
    /// Mail, so many pieces more.
    Mail(usize),
    /// The datagrams in the batch.
    Batch,
    /// The packets of the connection in this slot.
    Conn(usize),
}

/// Where the next input stands, before it is lent.
enum Found<C> {
    Owned(Input<'static, C>),
    Datagram(SocketAddr, Range<usize>),
    Record(usize),
}

impl<C: Send + 'static> Net<C> {
    /// Binds the sockets and begins to listen.
    ///
    /// # Errors
    ///
    /// A phrase that names the address (`port-in-use`, `cannot-bind`), or `cannot-start` when the system refuses
    /// the poll itself.
    pub fn new(config: NetConfig<C>) -> Result<Net<C>, Phrase> {
        assert!(config.udp.len() <= UDP_PORTS_MAX, "more UDP sockets than this room has places for");
        let bound = bind::bind_all(&config.udp, config.tcp)?;
        let start = |error: io::Error| Phrase::new("cannot-start").with("cause", error);
        let hub = Hub::new(Poll::new().map_err(start)?);
        let inlet = Inlet::new(Waker::new(hub.registry(), WAKER).map_err(start)?);
        let mut net = Net {
            hub,
            events: Events::with_capacity(EVENTS_LEN),
            timers: BTreeSet::new(),
            udp: Vec::new(),
            udp_on_demand: config.udp_on_demand,
            receive_errors: 0,
            batch: Batch::new(),
            listener: None,
            connections_max: config.connections_max,
            conns: Conns::new(FIRST_CONN),
            inlet,
            mail: VecDeque::new(),
            resolver: Resolver::default(),
            signals: None,
            gather: Gather::default(),
            current: Source::None,
            visits_left: VISITS_PER_TURN,
        };
        for socket in bound.udp {
            net.add_udp(socket).map_err(start)?;
        }
        if let Some(mut listener) = bound.tcp {
            net.hub.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(start)?;
            net.listener = Some(listener);
        }
        if let Some(on_signal) = config.on_signal {
            net.signals = Some((Signals::new(net.hub.registry(), SIGNALS).map_err(start)?, on_signal));
        }
        Ok(net)
    }

    /// Both clocks, read once.
    pub fn now(&self) -> Now {
        self.hub.clock.now()
    }

    /// Where the first UDP socket is bound.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.udp.first().map(UdpPort::local_addr)
    }

    /// Where the listener listens.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// A handle for other threads.
    pub fn inlet(&self) -> Inlet<C> {
        self.inlet.clone()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.hub.stats
    }

    /// Waits until there may be an input or `deadline` has come; without a deadline, for as long as it takes. What
    /// only concerns this room is dealt with meanwhile. The time of the turn that follows.
    pub fn wait(&mut self, deadline: Option<Tick>) -> Now {
        self.visits_left = VISITS_PER_TURN;
        self.hub.begin_turn();
        loop {
            let tick = self.hub.clock.tick();
            self.fire_timers(tick);
            let due = deadline.is_some_and(|deadline| deadline <= tick);
            let at_once = due || self.may_have_input();
            let timer = self.timers.first().map(|(until, _)| *until);
            let until = deadline.into_iter().chain(timer).min();
            self.poll(if at_once { Some(Duration::ZERO) } else { until.map(|until| until.since(tick)) });
            if at_once || self.may_have_input() {
                return self.now();
            }
        }
    }

    fn may_have_input(&self) -> bool {
        self.current != Source::None || !self.hub.told.is_empty() || !self.hub.ready.is_empty()
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        match self.hub.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => panic!("the poll on our own descriptors failed: {error}"),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.note(event));
        self.events = events;
    }

    fn note(&mut self, event: &Event) {
        match event.token() {
            Token(index) if index >= FIRST_CONN => self.note_conn(event),
            Token(index) if index >= FIRST_UDP => {
                if event.is_writable() {
                    self.flush_udp(index - FIRST_UDP);
                }
                self.hub.ready.push(event.token());
            }
            token => self.hub.ready.push(token),
        }
    }

    fn note_conn(&mut self, event: &Event) {
        let slot = self.conns.slot_of(event.token());
        if let Some(conn) = self.conns.get(slot) {
            conn.read_closed |= event.is_read_closed() || event.is_error();
        }
        if event.is_writable() || event.is_error() {
            if let Opened::Until(until) = self.conns.writable(slot, &mut self.hub) {
                self.timers.remove(&(until, Timer::GiveUp(slot)));
                self.hub.ready.push(event.token());
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.hub.ready.push(event.token());
        }
    }

    fn fire_timers(&mut self, tick: Tick) {
        while let Some((until, timer)) = self.timers.first().copied()
            && until <= tick
        {
            self.timers.pop_first();
            match timer {
                Timer::GiveUp(slot) => self.conns.give_up(slot, until, &mut self.hub),
                Timer::AcceptAgain => self.hub.ready.push(LISTENER),
            }
        }
    }

    fn find(&mut self) -> Option<Found<C>> {
        loop {
            if let Some(input) = self.hub.told.pop_front() {
                return Some(Found::Owned(input));
            }
            match self.current {
                Source::Mail(left) => {
                    if let Some(input) = self.next_mail(left) {
                        return Some(Found::Owned(input));
                    }
                }
                Source::Batch => match self.batch.next(&mut self.hub.stats) {
                    Some((from, range)) => return Some(Found::Datagram(from, range)),
                    None => self.current = Source::None,
                },
                Source::Conn(slot) => {
                    if self.conns.has_packet(slot, &mut self.hub) {
                        return Some(Found::Record(slot));
                    }
                    self.current = Source::None;
                }
                Source::None => {
                    self.visits_left = self.visits_left.checked_sub(1)?;
                    let token = self.hub.ready.pop()?;
                    self.visit(token);
                }
            }
        }
    }

    fn visit(&mut self, token: Token) {
        match token {
            WAKER => {
                if self.mail.is_empty() {
                    self.inlet.take(&mut self.mail);
                }
                self.current = Source::Mail(MAIL_PER_VISIT);
            }
            SIGNALS => {
                if let Some((signals, on_signal)) = &mut self.signals {
                    self.hub.told.extend(signals.pending().map(|signal| Input::Command(on_signal(signal))));
                }
            }
            LISTENER => self.visit_listener(),
            Token(index) if index < FIRST_CONN => self.visit_udp(index - FIRST_UDP),
            token => {
                let slot = self.conns.slot_of(token);
                if self.conns.read(slot) == ReadEnd::More {
                    self.hub.ready.push(token);
                }
                self.current = Source::Conn(slot);
            }
        }
    }

    fn visit_udp(&mut self, index: usize) {
        let token = Token(FIRST_UDP + index);
        let Some(port) = self.udp.get_mut(index) else {
            return;
        };
        let hub = &mut self.hub;
        let more_errors = port.take_errors(|dest, why| hub.refuse(dest, why));
        match port.receive(&mut self.batch) {
            Ok(()) => {
                self.receive_errors = 0;
                self.current = Source::Batch;
                self.hub.ready.push(token);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.receive_errors = 0;
                if more_errors {
                    self.hub.ready.push(token);
                }
            }
            Err(error) => {
                self.receive_errors += 1;
                self.hub.stats.receive_errors += 1;
                self.hub.log(Line::Receive, || format!("receiving failed: {error}"));
                if self.receive_errors < RECEIVE_ERRORS_MAX {
                    self.hub.ready.push(token);
                }
            }
        }
    }

    fn visit_listener(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        for _ in 0..ACCEPTS_PER_VISIT {
            match self.conns.accept(listener, self.connections_max, &mut self.hub) {
                Accepted::Conn(slot) => self.hub.ready.push(self.conns.token(slot)),
                Accepted::Passed => {}
                Accepted::Drained => return,
                Accepted::NoRoom => {
                    self.timers.insert((self.hub.clock.tick() + ACCEPT_PAUSE, Timer::AcceptAgain));
                    return;
                }
            }
        }
        self.hub.ready.push(LISTENER);
    }

    fn next_mail(&mut self, left: usize) -> Option<Input<'static, C>> {
        if left == 0 || self.mail.is_empty() {
            if !self.mail.is_empty() {
                self.hub.ready.push(WAKER);
            }
            self.current = Source::None;
            return None;
        }
        self.current = Source::Mail(left - 1);
        Some(match self.mail.pop_front()? {
            Mail::Command(command) => Input::Command(command),
            Mail::Committed(ticket) => Input::Committed(ticket),
            Mail::NotCommitted(ticket) => Input::NotCommitted(ticket),
            Mail::Resolved(host, addrs) => {
                self.resolver.answered(&host, &self.inlet);
                Input::Resolved(host, addrs)
            }
        })
    }

    fn add_udp(&mut self, socket: mio::net::UdpSocket) -> io::Result<usize> {
        let index = self.udp.len();
        self.udp.push(UdpPort::new(socket, self.hub.registry(), Token(FIRST_UDP + index))?);
        Ok(index)
    }
}

impl<C: Send + 'static> Inbox<C> for Net<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.find()? {
            Found::Owned(input) => input,
            Found::Datagram(from, range) => {
                Input::Packet { path: Path::Udp(from), bytes: self.batch.bytes_mut(range) }
            }
            Found::Record(slot) => {
                self.hub.stats.records_in += 1;
                let conn = self.conns.get(slot)?;
                let path = Path::Tcp(conn.id);
                Input::Packet { path, bytes: conn.packet()? }
            }
        })
    }
}

impl<C> Drop for Net<C> {
    fn drop(&mut self) {
        self.inlet.close();
    }
}

impl<C> std::fmt::Debug for Net<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("stats", &self.hub.stats).finish_non_exhaustive()
    }
}

/// 32 bytes of the system's randomness: the seed of all randomness inside.
///
/// # Panics
///
/// If the system has none, in which case no key is safe.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the system has randomness");
    seed
}
