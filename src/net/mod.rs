//! Floor 5: the outside of a core. One poll over UDP sockets, TCP connections, signals and other threads; clocks;
//! host look-ups; the system's randomness.
//!
//! It must not know: what is in a packet (beyond that one is 1 to 1,200 bytes on UDP and 1 to 16 KiB in a record),
//! who sent it, what a command means. Floors 0 to 4 never see a socket; this room never sees a session.
//!
//! Invariant: a source that was announced ready stands in the ready queue until it has said would-block (or given less
//! than there was room for, which says the same), and [`Net::wait`] sleeps only when that queue is empty. So
//! edge-triggered readiness is never lost, nothing is asked again in vain, and at rest the process uses no time, but
//! for a look at the routes every two seconds where that is asked for.
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
//! [`local`] has lines between the processes of one user on this machine, on threads of their own.
//!
//! Bounds: 1 MiB of datagrams wait where the kernel takes none, more are dropped; 256 KiB of records wait on a
//! connection, more close it ([`Why::Stuck`](crate::base::Why::Stuck)); 4,096 commands wait in the inlet.
//!
//! [`Input::Unsent`](crate::base::Input::Unsent) tells the bytes queued in the program; the kernel holds at most
//! 64 KiB that it has not sent (`TCP_NOTSENT_LOWAT`; elsewhere a small send buffer). A connection that flows is
//! reported after every 16 KiB, one that does not at once, when its queue has halved, and when it is empty.
//!
//! Where a relay's UDP socket is bound to every address of the machine, paths hold the one that the other end writes to
//! ([`Path::UdpAt`](crate::base::Path::UdpAt)), and answers leave from it.

mod bind;
mod clock;
mod conns;
mod crowd;
mod group;
mod hub;
mod inlet;
pub mod local;
mod own_addresses;
mod ready;
mod resolve;
mod routes;
mod send;
mod signals;
mod stats;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod visit;
mod wait;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;

use mio::{Events, Interest, Poll, Token, Waker};

use self::conns::Conns;
pub use self::crowd::Crowd;
pub use self::group::Group;
use self::hub::Hub;
use self::inlet::Mail;
pub use self::inlet::{COMMANDS_MAX, Inlet};
pub use self::own_addresses::own_addresses;
use self::resolve::Resolver;
use self::routes::Routes;
use self::send::Gather;
pub use self::signals::Signal;
use self::signals::Signals;
pub use self::stats::Stats;
use self::udp::{Batch, UdpPort};
use crate::base::{Now, Phrase, Tick};

/// Visits to sources in one turn: what they all drop in silence must not keep the loop from its timers.
const VISITS_PER_TURN: usize = 256;
/// UDP sockets of one process: one of each family, and one to spare.
const UDP_PORTS_MAX: usize = 4;

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
    /// Whether those who connect may speak plain text: those whose first byte is not the magic one.
    pub text_too: bool,
    /// Makes a command of SIGINT, SIGTERM or SIGHUP; `None` leaves these signals alone.
    pub on_signal: Option<fn(Signal) -> C>,
    /// Makes a command when the machine speaks to its peers from another address than before; `None`: nobody looks.
    pub on_network_change: Option<fn() -> C>,
}

impl<C> NetConfig<C> {
    /// A relay's outside: a UDP socket, and maybe a TCP listener.
    pub fn relay(udp: SocketAddr, tcp: Option<SocketAddr>) -> NetConfig<C> {
        NetConfig { udp: vec![udp], udp_on_demand: false, tcp, ..NetConfig::client() }
    }

    /// A client's outside: UDP sockets on demand, no listener.
    pub fn client() -> NetConfig<C> {
        NetConfig {
            udp: Vec::new(),
            udp_on_demand: true,
            tcp: None,
            connections_max: 4096,
            text_too: false,
            on_signal: None,
            on_network_change: None,
        }
    }
}

/// The outside of one core, whose commands are of the kind `C`.
pub struct Net<C> {
    hub: Hub<C>,
    events: Events,
    timers: BTreeSet<(Tick, Timer)>,
    udp: Vec<UdpPort>,
    udp_on_demand: bool,
    /// In a row.
    receive_errors: usize,
    batch: Batch,
    listener: Option<mio::net::TcpListener>,
    accept_paused: bool,
    connections_max: usize,
    conns: Conns,
    inlet: Inlet<C>,
    mail: VecDeque<Mail<C>>,
    resolver: Resolver,
    signals: Option<Signals>,
    on_signal: Option<fn(Signal) -> C>,
    routes: Routes,
    on_network_change: Option<fn() -> C>,
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
    /// The routes to peers are looked at.
    LookAtRoutes,
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
            events: Events::with_capacity(wait::EVENTS_LEN),
            timers: BTreeSet::new(),
            udp: Vec::new(),
            udp_on_demand: config.udp_on_demand,
            receive_errors: 0,
            batch: Batch::new(config.text_too),
            listener: None,
            accept_paused: false,
            connections_max: config.connections_max,
            conns: Conns::new(FIRST_CONN, config.text_too),
            inlet,
            mail: VecDeque::new(),
            resolver: Resolver::default(),
            signals: None,
            on_signal: config.on_signal,
            routes: Routes::default(),
            on_network_change: config.on_network_change,
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
        if config.on_signal.is_some() {
            net.signals = Some(Signals::new(net.hub.registry(), SIGNALS).map_err(start)?);
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

    fn add_udp(&mut self, socket: mio::net::UdpSocket) -> io::Result<usize> {
        let index = self.udp.len();
        let (registry, token) = self.hub.udp_place(index);
        let mut port = UdpPort::new(socket, registry, token, !self.udp_on_demand)?;
        port.held = self.hub.holds;
        self.udp.push(port);
        Ok(index)
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

/// The wall clock, for those who have no loop.
pub fn wall() -> crate::base::Wall {
    clock::Clock::new().now().wall
}
