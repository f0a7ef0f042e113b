//! Limits how often a conversation changes its carrier. Only a failure on TCP returns it to UDP
//! early.
//!
//! Failovers from UDP are counted as in the design. After the second within ten minutes the return
//! waits 30 s, and twice as long after each further one, at most ten minutes. Ten good minutes on
//! UDP, a suspension, or another network reset the count.

use std::collections::VecDeque;
use std::time::Duration;

use queqiao::base::{Carrier, Path, Tick};
use queqiao::peer::Peer;
use queqiao::session::SessionId;

use super::cover::{Count, Cover};

const WAIT_MIN: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(600);
const GOOD_AFTER: Duration = Duration::from_secs(600);
/// Upper bound for a validation of UDP that was started by silence on TCP.
const TEST_TAKES: Duration = Duration::from_millis(3_100);
/// Maximum moves of one session within [`WINDOW`] that no lost connection caused. As many are
/// allowed to new sessions, which choose their path as at the start.
///
/// A lost connection may cause two more. The race after it chooses UDP if that answers first. If
/// UDP is silent again, the conversation fails over once more.
///
/// A change of network may cause as many, because a client then forgets its failovers.
const MOVES_MAX: usize = 16;
const WINDOW: Duration = Duration::from_secs(600);

/// Context of a turn that the check needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// The machine was suspended or was notified of another network.
    pub new_network: bool,
    /// The TCP connection that was the path is still open.
    pub has_conn: bool,
}

/// Moves of one client, while its process lives.
#[derive(Debug, Default)]
pub struct Moves {
    path: Option<(SessionId, Path)>,
    keys: Vec<u32>,
    looked_at: Tick,
    silent_at: Option<Tick>,
    flights: u32,
    fled_at: Tick,
    on_udp_since: Option<Tick>,
    /// Moves without a new session, and with one.
    recent: [VecDeque<Tick>; 2],
    /// Returns to UDP because the connection was lost, with the same two cases.
    lost: [VecDeque<Tick>; 2],
    /// Changes of network within [`WINDOW`].
    networks: VecDeque<Tick>,
}

impl Moves {
    /// Checks the session after a turn.
    pub fn look(&mut self, now: Tick, peer: Option<&Peer>, turn: Turn, cover: &mut Cover) {
        if turn.new_network {
            self.flights = 0;
            self.networks.push_back(now);
        }
        let path = peer.and_then(|peer| Some((peer.id(), peer.path()?)));
        let keys = peer.map(|peer| peer.local_indexes().collect::<Vec<_>>()).unwrap_or_default();
        let has_new_keys = keys.iter().any(|index| !self.keys.contains(index));
        if let (Some((before_id, before)), Some((id, after))) = (self.path, path)
            && before.carrier() != after.carrier()
        {
            let is_lost = after.carrier() == Carrier::Udp && !turn.has_conn;
            self.remember(now, before_id != id, is_lost);
            match after.carrier() {
                Carrier::Tcp if before_id == id => self.flee(now),
                Carrier::Tcp => {}
                Carrier::Udp => self.come_back(now, has_new_keys || !turn.has_conn, cover),
            }
        }
        let carrier = path.map(|(_, path)| path.carrier());
        if carrier == Some(Carrier::Udp) {
            self.on_udp_since.get_or_insert(now);
        }
        if carrier == Some(Carrier::Tcp) && peer.is_some_and(|peer| peer.link().pto_count() > 0) {
            self.silent_at = Some(now);
        }
        self.path = path.or(self.path);
        self.keys = keys;
        self.looked_at = now;
    }

    fn remember(&mut self, now: Tick, new_session: bool, is_lost: bool) {
        let recent = &mut self.recent[usize::from(new_session)];
        recent.push_back(now);
        recent.retain(|at| now.since(*at) < WINDOW);
        let lost = &mut self.lost[usize::from(new_session)];
        if is_lost {
            lost.push_back(now);
        }
        lost.retain(|at| now.since(*at) < WINDOW);
        let many = recent.len();
        self.networks.retain(|at| now.since(*at) < WINDOW);
        let most = MOVES_MAX + 2 * (lost.len() + self.networks.len());
        assert!(
            many <= most,
            "{many} changes of carrier within {WINDOW:?}, {most} allowed, new session: {new_session}"
        );
    }

    fn flee(&mut self, now: Tick) {
        if self.on_udp_since.take().is_some_and(|since| now.since(since) >= GOOD_AFTER) {
            self.flights = 0;
        }
        self.flights += 1;
        self.fled_at = now;
    }

    /// `forced`: the connection was lost, or a handshake chose the path again.
    fn come_back(&mut self, now: Tick, forced: bool, cover: &mut Cover) {
        let tested_within = TEST_TAKES + now.since(self.looked_at);
        let was_silent = self.silent_at.is_some_and(|at| now.since(at) <= tested_within);
        if forced || was_silent {
            return cover.add(Count::ForcedReturns);
        }
        let Some(doublings) = self.flights.checked_sub(2) else { return };
        let wait = (WAIT_MIN * (1 << doublings.min(8))).min(WAIT_MAX);
        let waited = now.since(self.fled_at);
        assert!(waited >= wait, "back on UDP {waited:?} after failover {}, {wait:?} at least", self.flights);
        cover.add(Count::DampedReturns);
    }
}
