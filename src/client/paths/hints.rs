//! Hints about the network: the machine slept, its address changed, the system refuses to send.
//! Also the UDP state kept between runs. Hints may be forged, so none ends a session by itself.

use std::time::Duration;

use crate::base::{Now, Path, PathError, Tick, Wall};
use crate::peer::Peer;

use super::super::api::{Carriers, Record};
use super::super::relay_connection::{ClientContext, Out, RelayConnection};
use super::FlapDamping;

/// Lifetime of a stored UDP failure. After a week the network is probably another one or repaired.
const FAILED_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Age at which a stored UDP failure is written again.
const FAILED_AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// Minimum time for a packet on a TCP connection after a network change. One that stays silent for
/// this and for [`SUSPECTED_RTTS`] belongs to the previous network.
const SUSPECTED_FOR: Duration = Duration::from_secs(1);
/// RTTs for the same check.
const SUSPECTED_RTTS: u32 = 3;

impl RelayConnection {
    /// Handles a pause of the machine or process: the network may have changed.
    pub(in super::super) fn handle_woken(&mut self, now: Tick, carriers: Carriers) {
        let carriers = self.carriers(carriers);
        let manager = &mut self.path_manager;
        manager.flap_damping = FlapDamping::default();
        manager.udp_failed = false;
        manager.fallback_not_before = now;
        manager.validation = None;
        manager.woken_at = Some(now);
        manager.probe_schedule.begin(now, true);
        let Some(peer) = &mut self.peer else { return };
        peer.send_ping();
        let rtt = peer.link().smoothed_rtt();
        match peer.path() {
            Some(Path::Udp(addr)) if carriers == Carriers::Auto => manager.begin_validation(now, addr, rtt),
            Some(Path::Tcp(_)) => {
                self.connector.suspect_path(now, now + SUSPECTED_FOR.max(rtt * SUSPECTED_RTTS));
            }
            _ => {}
        }
    }

    /// Handles a change of address or route. UDP is validated at once, and the relay learns the new
    /// address. A TCP connection of the previous network is given up soon, and a pause between
    /// rounds ends.
    pub(in super::super) fn handle_network_changed(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        if self.stopped {
            return;
        }
        self.handle_woken(now.tick, ctx.carriers);
        self.close_fallback(ctx, out);
        if self.peer.as_ref().and_then(Peer::path).is_none() {
            self.cancel_attempts(now.tick, ctx, out);
            self.connector.start_over();
        }
        self.drive(now, ctx, out);
    }

    /// Handles the system's hint that UDP does not reach `path`, which an attacker can forge: the
    /// fallback opens now.
    pub(in super::super) fn handle_send_refused(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        error: PathError,
        out: &mut Out,
    ) {
        if self.peer.as_ref().and_then(Peer::path) == Some(path)
            && self.carriers(ctx.carriers) == Carriers::Auto
        {
            self.open_fallback(now.tick, ctx, out);
        }
        if self.connector.handle_udp_refused(now.tick, path, error, self.carriers(ctx.carriers)) {
            self.drive(now, ctx, out);
        }
    }

    /// Restores the UDP state of an earlier run.
    pub(in super::super) fn recall_udp(&mut self, now: Wall, failed: Option<Wall>) {
        self.path_manager.failed_on_disk = failed;
        self.path_manager.udp_failed = failed.is_some_and(|at| age(now, at) < FAILED_KEPT);
    }

    /// Returns when UDP last failed, as stored.
    pub(in super::super) const fn udp_failed_at(&self) -> Option<Wall> {
        self.path_manager.failed_on_disk
    }

    /// Stores the last UDP result for later runs, if it is new.
    pub(super) fn record_udp_outcome(&mut self, now: Wall, ctx: &mut ClientContext, out: &mut Out) {
        let Some(works) = self.path_manager.unsaved_udp_works.take() else { return };
        let stored = self.path_manager.failed_on_disk;
        let failed = (!works).then_some(now);
        let is_news = match stored {
            None => failed.is_some(),
            Some(at) => works || age(now, at) >= FAILED_AGAIN,
        };
        if is_news {
            self.path_manager.failed_on_disk = failed;
            let record = Record::UdpFailed { relay: self.config.addr.clone(), at: failed };
            ctx.facts.submit(record, &mut ctx.counter, out);
        }
    }
}

/// Returns the absolute difference of two times: the system clock may have been set in between.
fn age(now: Wall, at: Wall) -> Duration {
    Duration::from_millis(now.0.abs_diff(at.0))
}
