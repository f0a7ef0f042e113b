//! What is known of the path packets leave on, and its timers.

use std::time::Duration;

use super::congestion::Congestion;
use super::health::Health;
use super::nanos::{Nanos, after, nanos};
use super::rtt::{INITIAL_RTT, Rtt};
use crate::base::{Carrier, Path, Tick, Unpacker, pack_number, pack_path};
use crate::wire::limits::{TCP_PACKET_MAX, UDP_PACKET_MAX};

/// The longest wait between two probe time-outs: a path that comes back is noticed within it.
pub const PTO_MAX: Nanos = nanos(Duration::from_secs(8));
/// On TCP without an ack: three of them, and the connection counts as dead before 10 s.
const TCP_PTO: Nanos = nanos(Duration::from_secs(3));
/// Packets at a probe time-out on UDP (RFC 9002 §6.2.4); TCP itself repeats, so one shows there what two would.
pub const PROBES_UDP: u8 = 2;
const PROBES_TCP: u8 = 1;

/// The shortest bound for a record on TCP, in bytes: with it there is an ack within a probe time-out at 1 kB/s.
const RECORD_MIN: usize = UDP_PACKET_MAX;
/// An ack of a long record within the one lets records grow, one later than the other makes them shrink.
const RECORD_QUICK: Nanos = nanos(Duration::from_millis(500));
const RECORD_SLOW: Nanos = nanos(Duration::from_secs(2));

/// One path as the link sees it.
#[derive(Clone, Debug)]
pub struct PathState {
    /// Which path.
    pub path: Path,
    /// Its round trip.
    pub rtt: Rtt,
    /// Its window and pacer; unused on TCP.
    pub congestion: Congestion,
    /// Probe time-outs since the last progress.
    pub pto_count: u32,
    /// Packets that may still leave as probes, whatever the window says.
    pub probes: u8,
    /// When the oldest outstanding packet was sent, or progress or a probe time-out came since.
    pub waiting_since: Tick,
    /// The same without regard to probe time-outs, later by what this process was late for its own deadlines.
    pub silent_since: Tick,
    /// When the next packet counts as lost.
    pub loss_at: Option<Tick>,
    /// When the pacer lets the next packet go.
    pub paced_until: Option<Tick>,
    /// When a packet last came on it.
    pub heard: Option<Tick>,
    /// How packets fare on it.
    pub health: Health,
    /// The longest record that TCP is given, in bytes.
    record_max: usize,
    /// When the process last woke from a stop: acks of packets sent before say nothing of the round trip.
    pub woke: Option<Tick>,
}

impl PathState {
    /// A path nothing was sent on.
    pub fn new(path: Path, now: Tick, rtt: Nanos) -> PathState {
        PathState {
            path,
            rtt: Rtt::new(rtt),
            congestion: Congestion::new(now),
            pto_count: 0,
            probes: 0,
            waiting_since: now,
            silent_since: now,
            loss_at: None,
            paced_until: None,
            heard: None,
            health: Health::default(),
            record_max: RECORD_MIN,
            woke: None,
        }
    }

    /// The same estimates for `path`, nothing outstanding.
    pub fn again(&self, path: Path, now: Tick) -> PathState {
        let fresh = PathState::new(path, now, INITIAL_RTT);
        PathState { rtt: self.rtt, congestion: self.congestion.clone(), ..fresh }
    }

    /// Whether no timer runs and no probe waits.
    pub fn is_quiet(&self) -> bool {
        (self.pto_count, self.probes, self.loss_at, self.paced_until) == (0, 0, None, None)
    }

    /// Appends what is quiet to what is at rest; how packets fared is forgotten.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_path(into, self.path);
        self.rtt.pack(into);
        self.congestion.pack(into);
        pack_number(into, self.record_max as u64);
    }

    /// What was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> PathState {
        let fresh = PathState::new(from.path(), Tick::ZERO, INITIAL_RTT);
        let (rtt, congestion) = (Rtt::unpack(from), Congestion::unpack(from));
        PathState { rtt, congestion, record_max: from.size(), ..fresh }
    }

    /// Nothing is outstanding: no timer runs.
    pub fn quiet(&mut self) {
        (self.pto_count, self.probes, self.loss_at, self.paced_until) = (0, 0, None, None);
    }

    /// Whether `path` is UDP to the same IP address, but another port.
    pub fn differs_by_port_only(&self, path: Path) -> bool {
        let ip = |path: Path| path.udp_peer().map(|addr| addr.ip());
        ip(path).is_some() && ip(path) == ip(self.path)
    }

    /// TCP paths never come back, and an unmeasured path has nothing to remember.
    pub fn is_worth_remembering(&self) -> bool {
        self.is_udp() && self.rtt.latest().is_some()
    }

    /// Whether it carries datagrams.
    pub fn is_udp(&self) -> bool {
        self.path.carrier() == Carrier::Udp
    }

    /// When the probe timer fires if there is no progress.
    pub fn pto_at(&self) -> Tick {
        let span = match self.path.carrier() {
            Carrier::Udp => (self.rtt.pto() << self.pto_count.min(16)).min(PTO_MAX),
            Carrier::Tcp => TCP_PTO,
        };
        after(self.waiting_since, span)
    }

    /// The longest packet that is to be made for it, in bytes. A slow TCP path gets short records, so that acks come
    /// while its bytes crawl: below 2 kB/s one of 16 KiB outlasts three probe time-outs.
    pub fn packet_max(&self) -> usize {
        if self.is_udp() { UDP_PACKET_MAX } else { self.record_max }
    }

    /// The ack of a packet of `size` bytes took so long to come.
    pub fn handle_sample(&mut self, sample: Nanos, size: usize, ack_delay: Nanos) {
        self.rtt.handle_sample(sample, ack_delay);
        if sample < RECORD_QUICK && size * 2 > self.record_max {
            self.record_max = (self.record_max * 2).min(TCP_PACKET_MAX);
        } else if sample > RECORD_SLOW {
            self.record_max = (self.record_max / 2).max(RECORD_MIN);
        }
    }

    /// A packet leaves that asks for an ack, and none was outstanding.
    pub fn begin_waiting(&mut self, now: Tick) {
        (self.waiting_since, self.silent_since) = (now, now);
    }

    /// The probe timer fired.
    pub fn handle_pto(&mut self, now: Tick) {
        self.pto_count = self.pto_count.saturating_add(1);
        self.probes = if self.is_udp() { PROBES_UDP } else { PROBES_TCP };
        self.waiting_since = now;
    }

    /// Something outstanding was acknowledged.
    pub fn handle_progress(&mut self, now: Tick) {
        (self.pto_count, self.probes) = (0, 0);
        self.begin_waiting(now);
    }
}
