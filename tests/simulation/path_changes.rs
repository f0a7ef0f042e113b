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

use super::coverage::{Count, Coverage};

const WAIT_MIN: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(600);
const GOOD_AFTER: Duration = Duration::from_secs(600);
/// Upper bound for a validation of UDP that was started by silence on TCP.
const VALIDATION_MAX: Duration = Duration::from_millis(3_100);
/// Maximum moves of one session within [`WINDOW`] that no lost connection caused. As many are
/// allowed to new sessions, which choose their path as at the start.
///
/// A lost or silent connection may cause two more. The race or the validation after it chooses UDP
/// if that answers first. If UDP is silent again, the conversation fails over once more.
const MOVES_MAX: usize = 16;
/// Moves in addition for a change of network within [`WINDOW`]: the client forgets its failovers.
/// It may then return to UDP and fail over twice at once, and again after 30 s and 60 s. As the
/// waits double, further returns take longer than they do without the change.
const MOVES_PER_NETWORK: usize = 8;
const WINDOW: Duration = Duration::from_secs(600);

/// Context of a turn that the check needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnFacts {
    /// The machine was suspended or was notified of another network.
    pub new_network: bool,
    /// The TCP connection that was the path is still open.
    pub has_conn: bool,
}

/// Moves of one client, while its process lives.
#[derive(Debug, Default)]
pub struct PathChanges {
    path: Option<(SessionId, Path)>,
    keys: Vec<u32>,
    checked_at: Tick,
    tcp_silent_at: Option<Tick>,
    failovers: u32,
    failed_over_at: Tick,
    on_udp_since: Option<Tick>,
    /// Moves without a new session, and with one.
    recent: [VecDeque<Tick>; 2],
    /// Returns to UDP because the connection was lost or silent, with the same two cases.
    lost: [VecDeque<Tick>; 2],
    /// Changes of network within [`WINDOW`].
    networks: VecDeque<Tick>,
}

impl PathChanges {
    /// Checks the session after a turn.
    pub fn check_turn(&mut self, now: Tick, peer: Option<&Peer>, facts: TurnFacts, coverage: &mut Coverage) {
        if facts.new_network {
            self.failovers = 0;
            self.networks.push_back(now);
        }
        let path = peer.and_then(|peer| Some((peer.id(), peer.path()?)));
        let keys = peer.map(|peer| peer.local_indexes().collect::<Vec<_>>()).unwrap_or_default();
        let has_new_keys = keys.iter().any(|index| !self.keys.contains(index));
        if let (Some((before_id, before)), Some((id, after))) = (self.path, path)
            && before.carrier() != after.carrier()
        {
            let is_lost = !facts.has_conn || self.was_tcp_silent(now);
            self.record_change(now, before_id != id, after.carrier() == Carrier::Udp && is_lost);
            match after.carrier() {
                Carrier::Tcp if before_id == id => self.record_failover(now),
                Carrier::Tcp => {}
                Carrier::Udp => self.record_return(now, has_new_keys || is_lost, coverage),
            }
        }
        let carrier = path.map(|(_, path)| path.carrier());
        if carrier == Some(Carrier::Udp) {
            self.on_udp_since.get_or_insert(now);
        }
        if carrier == Some(Carrier::Tcp) && peer.is_some_and(|peer| peer.link().pto_count() > 0) {
            self.tcp_silent_at = Some(now);
        }
        self.path = path.or(self.path);
        self.keys = keys;
        self.checked_at = now;
    }

    fn record_change(&mut self, now: Tick, new_session: bool, is_lost: bool) {
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
        let most = MOVES_MAX + 2 * lost.len() + MOVES_PER_NETWORK * self.networks.len();
        assert!(
            many <= most,
            "{many} changes of carrier within {WINDOW:?}, {most} allowed, new session: {new_session}"
        );
    }

    fn record_failover(&mut self, now: Tick) {
        if self.on_udp_since.take().is_some_and(|since| now.since(since) >= GOOD_AFTER) {
            self.failovers = 0;
        }
        self.failovers += 1;
        self.failed_over_at = now;
    }

    /// Whether silence on TCP may have started a validation that has just ended.
    fn was_tcp_silent(&self, now: Tick) -> bool {
        let tested_within = VALIDATION_MAX + now.since(self.checked_at);
        self.tcp_silent_at.is_some_and(|at| now.since(at) <= tested_within)
    }

    /// `forced`: the connection was lost or silent, or a handshake chose the path again.
    fn record_return(&mut self, now: Tick, forced: bool, coverage: &mut Coverage) {
        if forced {
            return coverage.add(Count::ForcedReturns);
        }
        let Some(doublings) = self.failovers.checked_sub(2) else { return };
        let wait = (WAIT_MIN * (1 << doublings.min(8))).min(WAIT_MAX);
        let waited = now.since(self.failed_over_at);
        assert!(
            waited >= wait,
            "back on UDP {waited:?} after failover {}, {wait:?} at least",
            self.failovers
        );
        coverage.add(Count::DampedReturns);
    }
}
