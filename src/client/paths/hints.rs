//! What the machine says of the network under it, hints all of them: it slept, it has another address, the system will not
//! send. And what a run leaves to the next about UDP.

use std::time::Duration;

use crate::base::{Now, Path, Tick, Wall};
use crate::peer::Peer;

use super::super::api::{Carriers, Record};
use super::super::uplink::{Out, Shared, Uplink};
use super::Damping;

/// UDP that failed is not held against it for longer: the network is another one, or was mended.
const FAILED_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A failure that is written down already is written again after this time.
const FAILED_AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// A TCP connection that says nothing for so long after the network changed, nor for [`DOUBTED_RTTS`], has stayed behind.
const DOUBTED_FOR: Duration = Duration::from_secs(1);
/// Round trips for the answer of a doubted connection.
const DOUBTED_RTTS: u32 = 3;

impl Uplink {
    /// The machine slept, or the process was stopped: the network may be another one.
    pub(in super::super) fn handle_woken(&mut self, now: Tick, carriers: Carriers) {
        let choice = &mut self.choice;
        (choice.damping, choice.udp_failed, choice.beside_not_before) = (Damping::default(), false, now);
        (choice.proof, choice.woken_at) = (None, Some(now));
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

    /// The machine has another address, or another way to the relay: UDP is tested at once, the relay hears from where we
    /// speak now, a connection that stayed behind is given up soon, and a pause between rounds is over.
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

    /// The system says that UDP does not get there: a hint, which anybody can forge, to look for TCP now.
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

    /// What an earlier run has written down of UDP to this relay.
    pub(in super::super) fn recall_udp(&mut self, now: Wall, failed: Option<Wall>) {
        self.choice.failed_on_disk = failed;
        self.choice.udp_failed = failed.is_some_and(|at| age(now, at) < FAILED_KEPT);
    }

    /// When UDP to this relay failed, as it is written down.
    pub(in super::super) const fn udp_failed_at(&self) -> Option<Wall> {
        self.choice.failed_on_disk
    }

    /// Writes down for later runs how UDP has fared, when that is news.
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

/// How long ago that was, by a clock that may have been set since; the far side of zero counts as well.
fn age(now: Wall, at: Wall) -> Duration {
    Duration::from_millis(now.0.abs_diff(at.0))
}
