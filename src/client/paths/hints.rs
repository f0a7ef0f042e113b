//! Hints about the network: the machine slept, its address changed, the system refuses to send.
//! Also the UDP state kept between runs. Hints may be forged, so none ends a session by itself.

use std::time::Duration;

use crate::base::{Now, Path, Tick, Wall};
use crate::peer::Peer;

use super::super::api::{Carriers, Record};
use super::super::uplink::{Out, Shared, Uplink};
use super::Damping;

/// Lifetime of a stored UDP failure. After a week the network is probably another one or repaired.
const FAILED_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Age at which a stored UDP failure is written again.
const FAILED_AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// Minimum time for a packet on a TCP connection after a network change. One that stays silent for
/// this and for [`DOUBTED_RTTS`] belongs to the previous network.
const DOUBTED_FOR: Duration = Duration::from_secs(1);
/// RTTs for the same check.
const DOUBTED_RTTS: u32 = 3;

impl Uplink {
    /// Handles a pause of the machine or process: the network may have changed.
    pub(in super::super) fn handle_woken(&mut self, now: Tick, carriers: Carriers) {
        let choice = &mut self.choice;
        choice.damping = Damping::default();
        choice.udp_failed = false;
        choice.beside_not_before = now;
        choice.proof = None;
        choice.woken_at = Some(now);
        choice.retries.begin(now, true);
        let Some(peer) = &mut self.peer else { return };
        peer.poke();
        let rtt = peer.link().smoothed_rtt();
        match peer.path() {
            Some(Path::Udp(addr)) if carriers == Carriers::Auto => choice.begin_proof(now, addr, rtt),
            Some(Path::Tcp(_)) => {
                self.connecting.doubt(now, now + DOUBTED_FOR.max(rtt * DOUBTED_RTTS));
            }
            _ => {}
        }
    }

    /// Handles a change of address or route. UDP is validated at once, and the relay learns the new
    /// address. A TCP connection of the previous network is given up soon, and a pause between
    /// rounds ends.
    pub(in super::super) fn handle_network_changed(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if self.stopped {
            return;
        }
        self.handle_woken(now.tick, shared.carriers);
        self.close_beside(shared, out);
        if self.peer.as_ref().and_then(Peer::path).is_none() {
            self.cancel_attempts(now.tick, shared, out);
            self.connecting.start_over();
        }
        self.pursue(now, shared, out);
    }

    /// Handles the system's hint that UDP does not reach `path`, which an attacker can forge: the
    /// fallback opens now.
    pub(in super::super) fn handle_send_refused(
        &mut self,
        now: Now,
        shared: &mut Shared,
        path: Path,
        out: &mut Out,
    ) {
        if self.peer.as_ref().and_then(Peer::path) == Some(path) && shared.carriers == Carriers::Auto {
            self.open_beside(now.tick, shared, out);
        }
        if self.connecting.handle_udp_refused(now.tick, path, shared.carriers) {
            self.pursue(now, shared, out);
        }
    }

    /// Restores the UDP state of an earlier run.
    pub(in super::super) fn recall_udp(&mut self, now: Wall, failed: Option<Wall>) {
        self.choice.failed_on_disk = failed;
        self.choice.udp_failed = failed.is_some_and(|at| age(now, at) < FAILED_KEPT);
    }

    /// Returns when UDP last failed, as stored.
    pub(in super::super) const fn udp_failed_at(&self) -> Option<Wall> {
        self.choice.failed_on_disk
    }

    /// Stores the last UDP result for later runs, if it is new.
    pub(super) fn remember_verdict(&mut self, now: Wall, shared: &mut Shared, out: &mut Out) {
        let Some(proved) = self.choice.verdict.take() else { return };
        let known = self.choice.failed_on_disk;
        let failed = (!proved).then_some(now);
        let is_news = match known {
            None => failed.is_some(),
            Some(at) => proved || age(now, at) >= FAILED_AGAIN,
        };
        if is_news {
            self.choice.failed_on_disk = failed;
            let record = Record::UdpFailed { relay: self.spec.addr.clone(), at: failed };
            shared.facts.give(record, &mut shared.counter, out);
        }
    }
}

/// Returns the absolute difference of two times: the system clock may have been set in between.
fn age(now: Wall, at: Wall) -> Duration {
    Duration::from_millis(now.0.abs_diff(at.0))
}
