//! Event-loop input and output (layer 5): one poll over UDP sockets, TCP connections, signals and
//! other threads. Also clocks, host look-ups and the system's randomness.
//!
//! Must not depend on: packet contents, the sender of a packet, the meaning of a command. A packet
//! is known to have 1 to 1,200 bytes on UDP and 1 byte to 16 KiB in a TCP record. Layers 0 to 4
//! never see a socket; this module never sees a session.
//!
//! Invariant: a source announced as ready stays in the ready queue until it returns would-block.
//! Returning less than was asked for means the same. [`Net::wait`] sleeps only while that queue is
//! empty, so no edge of readiness is lost and no source is asked without need. An idle process uses
//! no processor time, except for the optional check of routes every two seconds.

mod address_monitor;
mod bind;
mod bind_addr;
mod clock;
mod conns;
mod context;
mod inputs;
pub mod ipc;
mod loop_handle;
mod multi_addr_socket;
mod own_addresses;
mod poll_group;
mod ready_queue;
mod resolve;
mod send;
mod signals;
mod stats;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod wait;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;

use mio::{Events, Interest, Poll, Token, Waker};

use self::address_monitor::AddressMonitor;
use self::bind::UDP_PORTS_MAX;
pub use self::bind_addr::{BindAddr, BindAddrError, BindAddrs};
use self::conns::Conns;
use self::context::NetContext;
use self::loop_handle::InjectedInput;
pub use self::loop_handle::{COMMANDS_MAX, LoopHandle};
pub use self::multi_addr_socket::MultiAddrSocket;
pub use self::own_addresses::own_addresses;
pub use self::poll_group::PollGroup;
use self::resolve::Resolver;
use self::send::TxBatch;
use self::signals::Signals;
pub use self::signals::{Signal, not_ignored};
pub use self::stats::Stats;
use self::udp::{RxBatch, UdpPort};
use crate::base::{Now, Phrase, Tick};

/// Maximum visits to sources in one turn. Sources whose inputs are all dropped silently must not
/// keep the loop from its timers.
const VISITS_PER_TURN: usize = 256;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const FIRST_LISTENER: usize = 2;
const FIRST_UDP: usize = FIRST_LISTENER + UDP_PORTS_MAX;
const FIRST_CONN: usize = FIRST_UDP + UDP_PORTS_MAX;

/// Configuration of a [`Net`].
#[derive(Clone, Debug)]
pub struct NetConfig<C> {
    /// UDP sockets to bind at the start. `[::]:8081` serves IPv4 too. Port 0 means the port of the
    /// first one, or a free port.
    pub udp: Vec<SocketAddr>,
    /// Whether to bind a UDP socket to a free port when the first datagram for its address family
    /// is sent.
    pub udp_on_demand: bool,
    /// Addresses to listen on for TCP. Port 0 means the port of the first UDP socket; without one,
    /// a free port.
    pub tcp: Vec<SocketAddr>,
    /// Maximum TCP connections. Further ones are closed on arrival. The core has finer limits.
    pub connections_max: usize,
    /// Whether a connecting peer may speak plain text: its first byte then differs from the magic
    /// byte.
    pub text_too: bool,
    /// Converts SIGINT, SIGTERM or SIGHUP to a command, or to `None` to pass over it. Without a
    /// function these signals are left alone, and so is a signal that the process ignores.
    pub on_signal: Option<fn(Signal) -> Option<C>>,
    /// Makes a command when the local address towards a peer has changed. `None` disables the
    /// check.
    pub on_network_change: Option<fn() -> C>,
}

impl<C> NetConfig<C> {
    /// Returns the configuration of a relay: a UDP socket, and optionally a TCP listener.
    pub fn relay(udp: SocketAddr, tcp: Option<SocketAddr>) -> NetConfig<C> {
        let tcp = tcp.into_iter().collect();
        NetConfig { udp: vec![udp], udp_on_demand: false, tcp, ..NetConfig::client() }
    }

    /// Returns the configuration of a client: UDP sockets on demand, no listener.
    pub fn client() -> NetConfig<C> {
        NetConfig {
            udp: Vec::new(),
            udp_on_demand: true,
            tcp: Vec::new(),
            connections_max: 4096,
            text_too: false,
            on_signal: None,
            on_network_change: None,
        }
    }
}

/// Input and output of one core whose commands have the type `C`.
///
/// Must be used as [`turn`](crate::base::turn) requires:
///
/// ```no_run
/// # use queqiao::base::{Core, Outputs, turn};
/// # use queqiao::net::Net;
/// # fn run<K: Core<Command = u32>>(core: &mut K, net: &mut Net<u32>) {
/// let mut out = Outputs::default();
/// let mut deadline = None;
/// loop {
///     let now = net.wait(deadline);
///     deadline = turn(core, now, net, &mut out);
///     net.carry_out(&mut out, |effect| { /* Persist and Show */ });
/// }
/// # }
/// ```
///
/// Fairness: each visit to a source takes one batch of datagrams, one read of a connection, or a
/// few commands. Then the next source has its turn. Socket errors are counted and reported; they
/// are never fatal and never cause a busy loop.
///
/// Bounds: 1 MiB of datagrams wait while the kernel takes none, and more are dropped. 256 KiB of
/// records wait on a connection, and more close it
/// ([`PathError::Stuck`](crate::base::PathError::Stuck)). 4,096 commands wait in the input queue.
///
/// [`Input::Unsent`](crate::base::Input::Unsent) counts the bytes queued in this process. The
/// kernel holds at most 64 KiB that it has not sent (`TCP_NOTSENT_LOWAT`; elsewhere a small send
/// buffer). A connection that flows is reported after every 16 KiB. One that does not is reported
/// at once, when its queue has halved, and when it is empty.
///
/// If a relay's UDP socket is bound to every local address, a path includes the address that the
/// other end writes to ([`Path::UdpAt`](crate::base::Path::UdpAt)). Replies leave from that
/// address.
pub struct Net<C> {
    ctx: NetContext<C>,
    events: Events,
    timers: BTreeSet<(Tick, Timer)>,
    udp: Vec<UdpPort>,
    udp_on_demand: bool,
    /// Consecutive receive errors.
    receive_errors: usize,
    rx_batch: RxBatch,
    listeners: Vec<mio::net::TcpListener>,
    accept_paused: bool,
    connections_max: usize,
    conns: Conns,
    loop_handle: LoopHandle<C>,
    injected: VecDeque<InjectedInput<C>>,
    resolver: Resolver,
    signals: Option<Signals>,
    on_signal: Option<fn(Signal) -> Option<C>>,
    last_signal: Option<Signal>,
    hung_up: bool,
    address_monitor: AddressMonitor,
    on_network_change: Option<fn() -> C>,
    tx_batch: TxBatch,
    current: Source,
    visits_left: usize,
}

/// A deadline of this module itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Time limit for opening the connection in this slot.
    GiveUp(usize),
    /// End of the pause in accepting connections.
    AcceptAgain,
    /// Next check of the routes to peers.
    CheckAddresses,
}

/// The source that inputs are being taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    None,
    /// Inputs from other threads, with the number still allowed in this visit.
    Injected(usize),
    /// Datagrams in the batch.
    Batch,
    /// Packets of the connection in this slot.
    Conn(usize),
}

impl<C: Send + 'static> Net<C> {
    /// Binds the sockets and starts listening.
    ///
    /// # Errors
    ///
    /// Returns a phrase that names the address (`port-in-use`, `cannot-bind`), or `cannot-start` if
    /// the system refuses the poll itself.
    pub fn new(config: NetConfig<C>) -> Result<Net<C>, Phrase> {
        assert!(config.udp.len() <= UDP_PORTS_MAX, "more UDP sockets than this module has tokens for");
        assert!(config.tcp.len() <= UDP_PORTS_MAX, "more listeners than this module has tokens for");
        let bound = bind::bind_all(&config.udp, &config.tcp)?;
        let start = |error: io::Error| Phrase::new("cannot-start").with("cause", error);
        let ctx = NetContext::new(Poll::new().map_err(start)?);
        let loop_handle = LoopHandle::new(Waker::new(ctx.registry(), WAKER).map_err(start)?);
        let mut net = Net {
            ctx,
            events: Events::with_capacity(wait::EVENTS_LEN),
            timers: BTreeSet::new(),
            udp: Vec::new(),
            udp_on_demand: config.udp_on_demand,
            receive_errors: 0,
            rx_batch: RxBatch::new(config.text_too),
            listeners: Vec::new(),
            accept_paused: false,
            connections_max: config.connections_max,
            conns: Conns::new(FIRST_CONN, config.text_too),
            loop_handle,
            injected: VecDeque::new(),
            resolver: Resolver::default(),
            signals: None,
            on_signal: config.on_signal,
            last_signal: None,
            hung_up: false,
            address_monitor: AddressMonitor::default(),
            on_network_change: config.on_network_change,
            tx_batch: TxBatch::default(),
            current: Source::None,
            visits_left: VISITS_PER_TURN,
        };
        for socket in bound.udp {
            net.add_udp(socket).map_err(start)?;
        }
        for mut listener in bound.tcp {
            let token = Token(FIRST_LISTENER + net.listeners.len());
            net.ctx.registry().register(&mut listener, token, Interest::READABLE).map_err(start)?;
            net.listeners.push(listener);
        }
        if config.on_signal.is_some() {
            net.signals = Some(Signals::new(net.ctx.registry(), SIGNALS).map_err(start)?);
        }
        Ok(net)
    }

    /// Returns both clocks, read once.
    pub fn now(&self) -> Now {
        self.ctx.clock.now()
    }

    /// Returns the local address of the first UDP socket.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.udp_addrs().next()
    }

    /// Returns the local addresses of the UDP sockets.
    pub fn udp_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.udp.iter().map(UdpPort::local_addr)
    }

    /// Returns the local address of the first TCP listener.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp_addrs().next()
    }

    /// Returns the local addresses of the TCP listeners.
    pub fn tcp_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Returns a handle for other threads.
    pub fn loop_handle(&self) -> LoopHandle<C> {
        self.loop_handle.clone()
    }

    /// Returns the counters since the start.
    pub fn stats(&self) -> Stats {
        self.ctx.stats
    }

    /// Whether SIGHUP has come since the last call.
    pub fn take_hang_up(&mut self) -> bool {
        std::mem::take(&mut self.hung_up)
    }

    /// Returns the last signal that the process received here.
    pub fn last_signal(&self) -> Option<Signal> {
        self.last_signal
    }

    fn add_udp(&mut self, socket: mio::net::UdpSocket) -> io::Result<usize> {
        let index = self.udp.len();
        let (registry, token) = self.ctx.udp_registration(index);
        let mut port = UdpPort::new(socket, registry, token, !self.udp_on_demand)?;
        port.held = self.ctx.holds;
        let is_kin = |other: &UdpPort| other.local_addr().is_ipv4() == port.local_addr().is_ipv4();
        if !self.udp_on_demand && self.udp.iter().any(is_kin) {
            // Replies must leave from the socket that was written to.
            self.udp.push(port);
            self.udp.iter_mut().for_each(UdpPort::tell_own_address);
            return Ok(index);
        }
        self.udp.push(port);
        Ok(index)
    }
}

impl<C> Drop for Net<C> {
    fn drop(&mut self) {
        self.loop_handle.close();
    }
}

impl<C> std::fmt::Debug for Net<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("stats", &self.ctx.stats).finish_non_exhaustive()
    }
}

/// Returns 32 bytes of the system's randomness, the seed of all randomness in a core.
///
/// # Panics
///
/// Panics if the system has none, because no key would be safe then.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("every supported system provides randomness");
    seed
}

/// Returns the wall-clock time, for code that has no event loop.
pub fn wall() -> crate::base::Wall {
    clock::SystemClock::new().now().wall
}
