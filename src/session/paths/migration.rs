//! A move to an address that is not validated, from one that is (RFC 9000 §9.3.2 and §9.3.3).
//!
//! An attacker on the path may copy each packet and deliver the copy first, from its own address.
//! The original is then a replay, and does not show where it came from. So both paths are
//! challenged.
//!
//! Packets leave on the new path, within its amplification limit, while it is on trial. The trial
//! ends when the old path has answered and the new one has had the same time again, or after three
//! probe timeouts. After that packets leave on the old path, and the new one is used once it is
//! validated.

use std::time::Duration;

use super::{CHALLENGE_WAIT_MIN, PathChange, PathPolicy, PathSet};
use crate::base::{Path, Tick};

/// Probe timeouts within which a new path must be validated (RFC 9000 §8.2.4).
const TRIAL_PTOS: u32 = 3;
/// Minimum probe timeout of a trial: that of a path whose round trip is unknown (RFC 9002 §6.2.2).
const PTO_MIN: Duration = Duration::from_millis(999);
/// Minimum time that a new path has after the old one answered: the granularity of timers (RFC 9002
/// §6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// The state while the newest packet came on an unvalidated path and a validated one exists.
#[derive(Debug)]
pub(super) struct MigrationTrial {
    /// The new path.
    candidate: Path,
    /// The validated path before it.
    previous: Path,
    since: Tick,
    /// End of the trial, if the new path is the current one.
    until: Tick,
    /// Whether the old path has answered since.
    previous_alive: bool,
}

impl MigrationTrial {
    pub(super) fn involves(&self, path: Path) -> bool {
        path == self.candidate || path == self.previous
    }

    /// Whether this path must be challenged: the new one until it answers, the old one while it is
    /// not in use.
    pub(super) fn wants_challenge(&self, path: Path, current: Option<Path>) -> bool {
        path == self.candidate || path == self.previous && current != Some(path) && !self.previous_alive
    }

    pub(super) fn deadline(&self, current: Option<Path>) -> Option<Tick> {
        (current == Some(self.candidate)).then_some(self.until)
    }
}

impl PathSet {
    /// Handles a non-probing packet with the highest number so far, on a path other than the
    /// current one or during a migration.
    pub(super) fn begin_migration(
        &mut self,
        now: Tick,
        path: Path,
        pto: impl FnOnce() -> Duration,
    ) -> Option<PathChange> {
        if self.is_validated(path) {
            return self.finish_migration(now, path);
        }
        // During a migration the previous path stays the same, whichever addresses follow.
        let previous = self.migration.as_ref().map(|trial| trial.previous);
        // No validated path to fall back to: follow at once.
        let Some(previous) = previous.or(self.current.filter(|path| self.is_validated(*path))) else {
            return Some(self.switch_to(now, path));
        };
        let is_home = self.current == Some(previous);
        // During a trial, or if cautious, the tested address changes. The time of the trial does
        // not start again.
        match &mut self.migration {
            Some(trial) if !is_home || self.is_cautious => trial.candidate = path,
            _ => {
                let until = now + pto().max(PTO_MIN) * TRIAL_PTOS;
                self.migration = Some(Box::new(MigrationTrial {
                    candidate: path,
                    previous,
                    since: now,
                    until,
                    previous_alive: false,
                }));
            }
        }
        self.challenge(now, path);
        // Wary: stay on the old path until the new one answers its challenge.
        if is_home && self.is_cautious {
            self.hasten_challenge(now, path);
            self.forget_challenges();
            return None;
        }
        let change = (self.current != Some(path)).then(|| self.switch_to(now, path));
        if is_home {
            self.challenge(now, previous);
        }
        change
    }

    /// Handles the validation of `path`.
    pub(super) fn handle_validated(&mut self, now: Tick, path: Path) -> Option<PathChange> {
        let trial = self.migration.as_mut()?;
        if path == trial.candidate {
            self.is_cautious = false;
            return self.finish_migration(now, path);
        }
        // The old path works, so a faster copy is possible. The new path gets as much time as the
        // old one took.
        if path == trial.previous {
            trial.previous_alive = true;
            trial.until = trial.until.min(now + now.since(trial.since).max(GRANULARITY));
        }
        None
    }

    /// Records that a handshake, answered elsewhere before, was answered on the validated `path`
    /// too: the same first message came from both.
    ///
    /// Until the session is confirmed, its present path may be that of a copied message, and stops
    /// counting as validated.
    pub fn handle_handshake_elsewhere(&mut self, path: Path, is_confirmed: bool) {
        let entry = self.current.and_then(|current| self.find_mut(current));
        if let (false, Some(entry)) = (is_confirmed, entry) {
            entry.validated = false;
        }
        self.handshake_path = Some(Box::new(path));
    }

    /// Records that the last packet confirmed the newest handshake. If it came from an unvalidated
    /// address, the other end is where that handshake was answered last.
    pub fn handle_confirmed(&mut self, now: Tick) -> Option<PathChange> {
        let previous = *self.handshake_path.take()?;
        let newest = self.migration.as_ref().map(|trial| trial.candidate).or(self.current)?;
        if self.is_validated(newest) {
            return None;
        }
        self.find_or_insert(previous).validated = true;
        if newest == previous {
            return self.finish_migration(now, previous);
        }
        self.migration = Some(Box::new(MigrationTrial {
            candidate: newest,
            previous,
            since: now,
            until: now,
            previous_alive: true,
        }));
        self.challenge(now, newest);
        self.revert(now)
    }

    /// Ends the trial of a new path whose time is over.
    pub fn handle_time(&mut self, now: Tick) -> Option<PathChange> {
        let until = self.migration.as_ref()?.deadline(self.current)?;
        if until <= now { self.revert(now) } else { None }
    }

    /// Handles data that the current path may not be allowed to send.
    ///
    /// If the current path is on trial, with space for fewer than `needed` bytes, and the old one
    /// has answered, the old one is used.
    pub fn handle_stuck(&mut self, now: Tick, needed: usize) -> Option<PathChange> {
        let trial = self.migration.as_ref().filter(|trial| trial.previous_alive)?;
        let is_stuck = trial.deadline(self.current).is_some() && self.allowance(trial.candidate) < needed;
        if is_stuck { self.revert(now) } else { None }
    }

    fn revert(&mut self, now: Tick) -> Option<PathChange> {
        let trial = self.migration.as_ref()?;
        // If the old path is silent too, the other end may have moved: that is no reason for
        // suspicion.
        self.is_cautious |= trial.previous_alive;
        Some(self.switch_to(now, trial.previous))
    }

    /// Ends the migration: `path` is validated and carried the newest packet.
    fn finish_migration(&mut self, now: Tick, path: Path) -> Option<PathChange> {
        self.migration = None;
        let moves = self.policy == PathPolicy::Follow && self.current != Some(path);
        let change = moves.then(|| self.switch_to(now, path));
        self.forget_challenges();
        change
    }

    /// Brings forward the next challenge of a path that a packet came on, however long the interval
    /// between challenges has become.
    fn hasten_challenge(&mut self, now: Tick, path: Path) {
        let challenge = self.find_mut(path).and_then(|entry| entry.challenge.as_mut());
        if let Some(challenge) = challenge {
            let earliest = challenge.sent.map_or(now, |sent| sent + CHALLENGE_WAIT_MIN).max(now);
            challenge.due = challenge.due.min(earliest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, Rng};
    use crate::session::paths::PATHS_MAX;

    const TCP: Path = Path::Tcp(ConnId(1));
    const HOME: Path =
        Path::Udp(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 1));

    fn away(port: u16) -> Path {
        Path::Udp(([198, 51, 100, 1], port).into())
    }

    fn at(millis: u64) -> Tick {
        Tick::ZERO + Duration::from_millis(millis)
    }

    /// The relay's paths, and the number of the client's next packet.
    struct Scene {
        paths: PathSet,
        next: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let rng = Rng::from_seed([1; 32]);
            let mut scene =
                Scene { paths: PathSet::new(at(0), HOME, true, PathPolicy::Follow, rng), next: 0 };
            assert_eq!(scene.receive(0, HOME), HOME);
            scene
        }

        /// Handles the first arrival of a packet on `path`. Returns the path in use then.
        fn receive(&mut self, millis: u64, path: Path) -> Path {
            self.paths.handle_received(at(millis), path, self.next, 60, true, || Duration::from_millis(50));
            self.next += 1;
            self.paths.current().unwrap()
        }

        fn challenges(&mut self, millis: u64) -> Vec<(Path, [u8; 8])> {
            std::iter::from_fn(|| self.paths.next_challenge(at(millis))).collect()
        }

        /// Sends challenges at `sent`, and handles the response to that of `path` at `received`.
        fn respond(&mut self, sent: u64, path: Path, received: u64) -> Path {
            let challenges = self.challenges(sent);
            let (_, data) = challenges.iter().find(|(challenged, _)| *challenged == path).unwrap();
            self.paths.handle_response(at(received), *data);
            self.paths.current().unwrap()
        }

        /// Returns the path in use at this time.
        fn is_at(&mut self, millis: u64) -> Path {
            self.paths.handle_time(at(millis));
            assert!(
                self.paths
                    .next_deadline()
                    .is_none_or(|due| due > at(millis) || self.paths.has_pending_frames())
            );
            self.paths.current().unwrap()
        }
    }

    /// Further copies, from increasingly many addresses, do not move the session again.
    #[test]
    fn faster_copies_cost_one_round_trip() {
        let mut scene = Scene::new();
        assert_eq!(scene.receive(1_000, away(1)), away(1));
        assert_eq!(scene.respond(1_000, HOME, 1_040), away(1));
        assert_eq!(scene.is_at(1_079), away(1), "it has as long as the old path took");
        assert_eq!(scene.is_at(1_080), HOME);
        for n in 1..100 {
            assert_eq!(scene.receive(1_080 + n, away(n as u16 % 9)), HOME);
        }
        assert_eq!(scene.paths.allowance(HOME), usize::MAX);
        assert!(scene.paths.entries.len() <= PATHS_MAX);
        assert_eq!(scene.receive(1_200, HOME), HOME);
        assert!(scene.paths.may_hibernate());
    }

    /// Data that does not fit into the new path's allowance is sent on the old path.
    #[test]
    fn path_without_allowance_yields_once_old_one_answers() {
        let mut scene = Scene::new();
        scene.receive(1_000, away(1));
        scene.paths.note_sent(away(1), 120);
        assert_eq!(scene.paths.handle_stuck(at(1_000), 80), None, "the old path may be gone");
        scene.respond(1_000, HOME, 1_040);
        let change = PathChange { from: Some(away(1)), to: HOME };
        assert_eq!(scene.paths.handle_stuck(at(1_040), 80), Some(change));
        assert_eq!(scene.paths.handle_stuck(at(1_040), 80), None);
    }

    #[test]
    fn address_validated_in_time_is_kept() {
        let mut scene = Scene::new();
        scene.receive(1_000, away(1));
        let challenges = scene.challenges(1_000);
        let mut challenged: Vec<_> = challenges.iter().map(|(path, _)| *path).collect();
        challenged.sort();
        assert_eq!(challenged, [HOME, away(1)], "both are challenged");
        for (path, data) in challenges {
            assert_eq!(scene.paths.handle_response(at(1_040), data), None, "{path:?}");
        }
        assert_eq!(scene.is_at(9_000), away(1));
        assert!(scene.paths.may_hibernate());
    }

    /// The old path is gone, and every challenge is lost. The new path is used when it answers,
    /// late or not.
    #[test]
    fn silence_for_three_ptos_leads_back() {
        let mut scene = Scene::new();
        scene.receive(1_000, away(1));
        let until = 1_000 + 3 * PTO_MIN.as_millis() as u64;
        scene.challenges(1_000);
        assert_eq!(scene.is_at(until - 1), away(1));
        assert_eq!(scene.is_at(until), HOME);
        assert_eq!(scene.receive(until + 1, away(1)), away(1), "the old path was silent");
        assert_eq!(scene.is_at(2 * until), HOME);
        assert_eq!(scene.respond(2 * until, away(1), 2 * until + 40), away(1));
        assert!(scene.paths.may_hibernate());
    }

    /// A client whose address changes after copies were seen waits one round trip.
    #[test]
    fn wary_end_moves_only_to_validated_path() {
        let mut scene = Scene::new();
        scene.receive(1_000, away(1));
        scene.respond(1_000, HOME, 1_040);
        assert_eq!(scene.is_at(2_000), HOME);
        assert_eq!(scene.receive(3_000, away(2)), HOME);
        assert_eq!(scene.respond(3_000, away(2), 3_040), away(2));
        assert_eq!(scene.receive(4_000, away(3)), away(3), "it is not wary any more");
    }

    /// The interval between two challenges may have grown to any length.
    #[test]
    fn packet_from_doubtful_address_hastens_its_challenge() {
        let mut scene = Scene::new();
        scene.receive(0, away(1));
        scene.respond(0, HOME, 40);
        scene.is_at(80);
        for millis in (400..40_000).step_by(400) {
            scene.receive(millis, away(1));
            assert_eq!(scene.challenges(millis).len(), 1, "at {millis}");
            scene.paths.note_sent(away(1), 64);
            scene.receive(millis + 1, away(1));
            assert_eq!(scene.challenges(millis + 1), [], "at {millis}");
        }
    }

    /// A hundred addresses in turn do not evict the validated path.
    #[test]
    fn way_back_is_remembered_while_others_are_forgotten() {
        let mut scene = Scene::new();
        for port in 1..100 {
            assert_eq!(scene.receive(1_000, away(port)), away(port));
        }
        assert_eq!(scene.respond(1_000, HOME, 1_010), away(99));
        assert_eq!(scene.is_at(1_020), HOME);
    }

    #[test]
    fn closed_connection_is_no_way_back() {
        let mut scene = Scene::new();
        scene.receive(500, TCP);
        assert_eq!(scene.receive(1_000, away(1)), away(1), "a copy from TCP");
        assert_eq!(scene.paths.close(TCP), None);
        assert_eq!(scene.is_at(9_000), away(1));
        scene.receive(9_500, HOME);
        scene.receive(10_000, TCP);
        scene.receive(10_500, away(2));
        assert_eq!(scene.respond(10_500, TCP, 10_550), away(2));
        assert_eq!(scene.is_at(10_600), TCP);
    }

    /// A copy of the first message is answered first. Then all packets of the client are copied
    /// too, or none.
    #[test]
    fn path_of_repeated_response_becomes_current_on_confirmation() {
        for (is_fresh, copied) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut scene = Scene::new();
            let (begun, new) = if is_fresh { (away(1), away(2)) } else { (HOME, away(2)) };
            if is_fresh {
                let rng = Rng::from_seed([1; 32]);
                scene.paths = PathSet::new(at(0), begun, true, PathPolicy::Follow, rng);
            }
            scene.paths.handle_handshake_elsewhere(new, !is_fresh);
            assert_eq!(scene.paths.current(), Some(begun), "only its packets confirm it");
            scene.receive(10, if copied { away(1) } else { new });
            scene.paths.handle_confirmed(at(10));
            assert_eq!(scene.is_at(11), new);
            assert_eq!(scene.paths.allowance(new), usize::MAX);
            assert_ne!(scene.paths.allowance(away(1)), usize::MAX);
        }
    }

    #[test]
    fn wariness_survives_hibernation() {
        let mut scene = Scene::new();
        scene.receive(1_000, away(1));
        scene.respond(1_000, HOME, 1_040);
        scene.is_at(2_000);
        scene.receive(2_000, HOME);
        let mut bytes = Vec::new();
        scene.paths.pack(&mut bytes);
        scene.paths = PathSet::unpack(&mut crate::base::Unpacker::new(&bytes));
        assert_eq!(PathSet::skip(&mut crate::base::Unpacker::new(&bytes)), HOME);
        assert_eq!(scene.receive(3_000, away(2)), HOME);
    }
}
