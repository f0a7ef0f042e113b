//! The state of one path and its timers.

use std::time::Duration;

use super::congestion::Congestion;
use super::loss_window::LossWindow;
use super::nanos::{Nanos, after, nanos};
use super::rtt::{INITIAL_RTT, Rtt};
use crate::base::{Carrier, Path, Tick, Unpacker, pack_number, pack_path};
use crate::wire::limits::{TCP_PACKET_MAX, UDP_PACKET_MAX};

/// Maximum interval between two probe timeouts: 8 s, within which a path that works again is
/// noticed.
pub const PTO_MAX: Nanos = nanos(Duration::from_secs(8));
/// Probe timeout on TCP: 3 s, so that a connection without an ack counts as dead after three,
/// within 10 s.
const TCP_PTO: Nanos = nanos(Duration::from_secs(3));
/// Packets per probe timeout on UDP (RFC 9002 §6.2.4).
pub const PROBES_UDP: u8 = 2;
/// Packets per probe timeout on TCP. One is enough, because TCP itself retransmits.
const PROBES_TCP: u8 = 1;

/// Minimum limit of a record on TCP, in bytes. Even at 1 kB/s its ack arrives within a probe
/// timeout.
const RECORD_MIN: usize = UDP_PACKET_MAX;
/// Time to the ack of a long record below which records grow.
const RECORD_QUICK: Nanos = nanos(Duration::from_millis(500));
/// Time to an ack above which records shrink.
const RECORD_SLOW: Nanos = nanos(Duration::from_secs(2));

/// One path as the link sees it.
#[derive(Clone, Debug)]
pub struct PathState {
    /// The path.
    pub path: Path,
    /// Its round trip.
    pub rtt: Rtt,
    /// Its window and pacer; unused on TCP.
    pub congestion: Congestion,
    /// Probe timeouts since the last progress.
    pub pto_count: u32,
    /// Packets that may still leave as probes, whatever the window.
    pub probes: u8,
    /// The latest of: sending of the oldest outstanding packet, progress, probe timeout.
    pub waiting_since: Tick,
    /// As `waiting_since` without probe timeouts, plus the time by which this process missed its
    /// own deadlines.
    pub silent_since: Tick,
    /// When the next packet counts as lost.
    pub loss_at: Option<Tick>,
    /// When the pacer allows the next packet.
    pub paced_until: Option<Tick>,
    /// When a packet last arrived on the path.
    pub last_received: Option<Tick>,
    /// Losses on the path.
    pub loss_window: LossWindow,
    /// Maximum length of a TCP record, in bytes.
    record_max: usize,
    /// When the process last continued after a suspension. Acks of packets sent before do not count
    /// as round trips.
    pub woken_at: Option<Tick>,
}

impl PathState {
    /// Creates the state of a path on which nothing was sent.
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
            last_received: None,
            loss_window: LossWindow::default(),
            record_max: RECORD_MIN,
            woken_at: None,
        }
    }

    /// Returns a state with the same estimates for `path`, with nothing outstanding.
    pub fn renewed(&self, path: Path, now: Tick) -> PathState {
        let fresh = PathState::new(path, now, INITIAL_RTT);
        PathState { rtt: self.rtt, congestion: self.congestion.clone(), ..fresh }
    }

    /// Whether no timer runs and no probe is pending.
    pub fn is_idle(&self) -> bool {
        (self.pto_count, self.probes, self.loss_at, self.paced_until) == (0, 0, None, None)
    }

    /// Appends a quiet state to a hibernated link. Losses are forgotten.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_path(into, self.path);
        self.rtt.pack(into);
        self.congestion.pack(into);
        pack_number(into, self.record_max as u64);
    }

    /// Restores a state written by [`PathState::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> PathState {
        let fresh = PathState::new(from.path(), Tick::ZERO, INITIAL_RTT);
        let rtt = Rtt::unpack(from);
        let congestion = Congestion::unpack(from);
        PathState { rtt, congestion, record_max: from.size(), ..fresh }
    }

    /// Stops all timers, because nothing is outstanding.
    pub fn clear_timers(&mut self) {
        self.pto_count = 0;
        self.probes = 0;
        self.loss_at = None;
        self.paced_until = None;
    }

    /// Whether `path` is UDP to the same IP address, but another port.
    pub fn differs_by_port_only(&self, path: Path) -> bool {
        let ip = |path: Path| path.udp_peer().map(|addr| addr.ip());
        ip(path).is_some() && ip(path) == ip(self.path)
    }

    /// Whether the estimates are useful later. TCP paths never return, and an unmeasured path has
    /// no estimates.
    pub fn is_worth_remembering(&self) -> bool {
        self.is_udp() && self.rtt.latest().is_some()
    }

    /// Whether the path is UDP.
    pub fn is_udp(&self) -> bool {
        self.path.carrier() == Carrier::Udp
    }

    /// Returns when the probe timer fires without progress.
    ///
    /// Unlike RFC 9002 it counts from the oldest outstanding packet or the last progress, not from
    /// the last packet. Otherwise a user who types steadily on a dead path would see no timeout
    /// (RFC 6298 §5 does the same). The backoff ends at [`PTO_MAX`].
    pub fn pto_at(&self) -> Tick {
        let span = match self.path.carrier() {
            Carrier::Udp => (self.rtt.pto() << self.pto_count.min(16)).min(PTO_MAX),
            Carrier::Tcp => TCP_PTO,
        };
        after(self.waiting_since, span)
    }

    /// Returns the maximum length of a packet on the path, in bytes.
    ///
    /// A slow TCP path gets short records, so that acks arrive while bytes trickle. Below 2 kB/s a
    /// record of 16 KiB takes longer than three probe timeouts.
    pub fn packet_max(&self) -> usize {
        if self.is_udp() { UDP_PACKET_MAX } else { self.record_max }
    }

    /// Handles the ack of a packet of `size` bytes after the time `sample`.
    pub fn handle_sample(&mut self, sample: Nanos, size: usize, ack_delay: Nanos) {
        self.rtt.handle_sample(sample, ack_delay);
        if sample < RECORD_QUICK && size * 2 > self.record_max {
            self.record_max = (self.record_max * 2).min(TCP_PACKET_MAX);
        } else if sample > RECORD_SLOW {
            self.record_max = (self.record_max / 2).max(RECORD_MIN);
        }
    }

    /// Starts the timers: a packet leaves that requests an ack, and none was outstanding.
    pub fn begin_waiting(&mut self, now: Tick) {
        self.waiting_since = now;
        self.silent_since = now;
    }

    /// Handles an expired probe timer.
    pub fn handle_pto(&mut self, now: Tick) {
        self.pto_count = self.pto_count.saturating_add(1);
        self.probes = if self.is_udp() { PROBES_UDP } else { PROBES_TCP };
        self.waiting_since = now;
    }

    /// Handles the ack of an outstanding packet.
    pub fn handle_progress(&mut self, now: Tick) {
        self.pto_count = 0;
        self.probes = 0;
        self.begin_waiting(now);
    }
}
