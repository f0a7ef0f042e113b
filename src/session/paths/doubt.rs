//! A move to an address that is not validated, from one that is (RFC 9000 §9.3.2 and §9.3.3).
//!
//! An attacker on the path may copy each packet and deliver the copy first, from its own address. The
//! original is then a replay, and does not show where it came from. So both paths are challenged. Packets
//! leave on the new path, as far as it may be sent any, until the old one has answered and the new one has
//! had as long again, or until three probe timeouts are over. After that they leave on the old path, and
//! the new one is used once it is validated.

use std::time::Duration;

use super::{CHALLENGE_WAIT_MIN, Direction, Moved, Paths};
use crate::base::{Path, Tick};

/// Probe time-outs within which a new path is to prove itself (RFC 9000 §8.2.4) ...
const TRIAL_PTOS: u32 = 3;
/// ... each no shorter than that of a path whose round trip nobody knows (RFC 9002 §6.2.2).
const PTO_MIN: Duration = Duration::from_millis(999);
/// A new path has at least so much longer than the old one took: timers are no finer (RFC 9002 §6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// The newest packet came on an unproven path, and there is a proven one.
#[derive(Debug)]
pub(super) struct Doubt {
    claimed: Path,
    home: Path,
    since: Tick,
    /// If the new path is the current one, it is no longer than this.
    until: Tick,
    /// The old path has answered since.
    lives: bool,
}

impl Doubt {
    pub(super) fn concerns(&self, path: Path) -> bool {
        path == self.claimed || path == self.home
    }

    /// Whether this path is to be challenged: the new one until it answers, the old one while it is not in use.
    pub(super) fn asks(&self, path: Path, current: Option<Path>) -> bool {
        path == self.claimed || path == self.home && current != Some(path) && !self.lives
    }

    pub(super) fn deadline(&self, current: Option<Path>) -> Option<Tick> {
        (current == Some(self.claimed)).then_some(self.until)
    }
}

impl Paths {
    /// The newest packet that is no probe has come on this path.
    pub(super) fn handle_claim(
        &mut self,
        now: Tick,
        path: Path,
        pto: impl FnOnce() -> Duration,
    ) -> Option<Moved> {
        if self.is_proven(path) {
            return self.settle(now, path);
        }
        let home = self.doubt.as_ref().map(|doubt| doubt.home);
        let Some(home) = home.or(self.current.filter(|path| self.is_proven(*path))) else {
            return Some(self.go_to(now, path));
        };
        let is_home = self.current == Some(home);
        match &mut self.doubt {
            Some(doubt) if !is_home || self.is_wary => doubt.claimed = path,
            _ => {
                let until = now + pto().max(PTO_MIN) * TRIAL_PTOS;
                self.doubt = Some(Box::new(Doubt { claimed: path, home, since: now, until, lives: false }));
            }
        }
        self.challenge(now, path);
        if is_home && self.is_wary {
            self.hasten_challenge(now, path);
            self.forget_challenges();
            return None;
        }
        let moved = (self.current != Some(path)).then(|| self.go_to(now, path));
        if is_home {
            self.challenge(now, home);
        }
        moved
    }

    /// A path has answered its challenge.
    pub(super) fn handle_proof(&mut self, now: Tick, path: Path) -> Option<Moved> {
        let doubt = self.doubt.as_mut()?;
        if path == doubt.claimed {
            self.is_wary = false;
            return self.settle(now, path);
        }
        if path == doubt.home {
            doubt.lives = true;
            doubt.until = doubt.until.min(now + now.since(doubt.since).max(GRANULARITY));
        }
        None
    }

    /// Records that a handshake, answered elsewhere before, was answered on the validated `path` too: the
    /// same first message came from both. Until the session is confirmed, its present path may be that
    /// of a copied message, and is not validated any more.
    pub fn handle_shaken_elsewhere(&mut self, path: Path, is_confirmed: bool) {
        let known = self.current.and_then(|current| self.find_mut(current));
        if let (false, Some(known)) = (is_confirmed, known) {
            known.proven = false;
        }
        self.shaken_at = Some(Box::new(path));
    }

    /// Records that the last packet confirmed the newest handshake. If it came from an address that is not
    /// validated, the other end is where that handshake was answered last.
    pub fn handle_confirmed(&mut self, now: Tick) -> Option<Moved> {
        let home = *self.shaken_at.take()?;
        let newest = self.doubt.as_ref().map(|doubt| doubt.claimed).or(self.current)?;
        if self.is_proven(newest) {
            return None;
        }
        self.learn(home).proven = true;
        if newest == home {
            return self.settle(now, home);
        }
        self.doubt = Some(Box::new(Doubt { claimed: newest, home, since: now, until: now, lives: true }));
        self.challenge(now, newest);
        self.go_home(now)
    }

    /// Lets time pass: a new path that has not proved itself has had its time.
    pub fn handle_time(&mut self, now: Tick) -> Option<Moved> {
        let until = self.doubt.as_ref()?.deadline(self.current)?;
        if until <= now { self.go_home(now) } else { None }
    }

    /// Something waits that the current path may perhaps not be sent: if it is a new one with room for less than `room`
    /// bytes, and the old one has answered, that takes its place.
    pub fn handle_stuck(&mut self, now: Tick, room: usize) -> Option<Moved> {
        let doubt = self.doubt.as_ref().filter(|doubt| doubt.lives)?;
        let is_stuck = doubt.deadline(self.current).is_some() && self.allowance(doubt.claimed) < room;
        if is_stuck { self.go_home(now) } else { None }
    }

    fn go_home(&mut self, now: Tick) -> Option<Moved> {
        let doubt = self.doubt.as_ref()?;
        // Where the old path is silent too, it may be the one that is gone.
        self.is_wary |= doubt.lives;
        Some(self.go_to(now, doubt.home))
    }

    /// The path is proven and the newest packet came on it.
    fn settle(&mut self, now: Tick, path: Path) -> Option<Moved> {
        self.doubt = None;
        let moves = self.direction == Direction::Follow && self.current != Some(path);
        let moved = moves.then(|| self.go_to(now, path));
        self.forget_challenges();
        moved
    }

    /// Something has come on a path that is challenged: the next challenge leaves soon, though after many the wait is long.
    fn hasten_challenge(&mut self, now: Tick, path: Path) {
        let challenge = self.find_mut(path).and_then(|known| known.challenge.as_mut());
        if let Some(challenge) = challenge {
            let soon = challenge.sent.map_or(now, |sent| sent + CHALLENGE_WAIT_MIN).max(now);
            challenge.due = challenge.due.min(soon);
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
        paths: Paths,
        next: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let rng = Rng::from_seed([1; 32]);
            let mut scene = Scene { paths: Paths::new(at(0), HOME, true, Direction::Follow, rng), next: 0 };
            assert_eq!(scene.hears(0, HOME), HOME);
            scene
        }

        /// A packet comes first from there; where packets leave then.
        fn hears(&mut self, millis: u64, path: Path) -> Path {
            let packet = (path, self.next, 60);
            self.next += 1;
            self.paths.handle_received(at(millis), packet, true, || Duration::from_millis(50));
            self.paths.current().unwrap()
        }

        fn challenges(&mut self, millis: u64) -> Vec<(Path, [u8; 8])> {
            std::iter::from_fn(|| self.paths.challenge_due(at(millis))).collect()
        }

        /// Challenges leave, and the one for this path is answered later.
        fn answers(&mut self, sent: u64, path: Path, came: u64) -> Path {
            let challenges = self.challenges(sent);
            let (_, data) = challenges.iter().find(|(challenged, _)| *challenged == path).unwrap();
            self.paths.handle_response(at(came), *data);
            self.paths.current().unwrap()
        }

        /// Where packets leave at this time.
        fn is_at(&mut self, millis: u64) -> Path {
            self.paths.handle_time(at(millis));
            assert!(
                self.paths.next_deadline().is_none_or(|due| due > at(millis) || self.paths.owe_anything())
            );
            self.paths.current().unwrap()
        }
    }

    /// The copies go on, from ever other addresses: none moves the conversation again.
    #[test]
    fn copies_that_come_first_cost_one_round_trip() {
        let mut scene = Scene::new();
        assert_eq!(scene.hears(1_000, away(1)), away(1));
        assert_eq!(scene.answers(1_000, HOME, 1_040), away(1));
        assert_eq!((scene.is_at(1_079), scene.is_at(1_080)), (away(1), HOME), "it had as long again");
        for n in 1..100 {
            assert_eq!(scene.hears(1_080 + n, away(n as u16 % 9)), HOME);
        }
        assert_eq!(scene.paths.allowance(HOME), usize::MAX);
        assert!(scene.paths.known.len() <= PATHS_MAX);
        assert_eq!(scene.hears(1_200, HOME), HOME);
        assert!(scene.paths.are_quiet());
    }

    #[test]
    fn address_without_room_yields_once_the_old_one_answers() {
        let mut scene = Scene::new();
        scene.hears(1_000, away(1));
        scene.paths.note_sent(away(1), 120);
        assert_eq!(scene.paths.handle_stuck(at(1_000), 80), None, "the old one may be gone");
        scene.answers(1_000, HOME, 1_040);
        let moved = Moved { from: Some(away(1)), to: HOME };
        assert_eq!(scene.paths.handle_stuck(at(1_040), 80), Some(moved));
        assert_eq!(scene.paths.handle_stuck(at(1_040), 80), None);
    }

    #[test]
    fn an_address_that_answers_in_time_is_kept() {
        let mut scene = Scene::new();
        scene.hears(1_000, away(1));
        let challenges = scene.challenges(1_000);
        let mut asked: Vec<_> = challenges.iter().map(|(path, _)| *path).collect();
        asked.sort();
        assert_eq!(asked, [HOME, away(1)], "both are asked");
        for (path, data) in challenges {
            assert_eq!(scene.paths.handle_response(at(1_040), data), None, "{path:?}");
        }
        assert_eq!((scene.is_at(9_000), scene.paths.are_quiet()), (away(1), true));
    }

    /// The old path is gone, and every challenge got lost: the new one is taken when it answers, late or not.
    #[test]
    fn silence_for_three_time_outs_leads_back() {
        let mut scene = Scene::new();
        scene.hears(1_000, away(1));
        let until = 1_000 + 3 * PTO_MIN.as_millis() as u64;
        scene.challenges(1_000);
        assert_eq!((scene.is_at(until - 1), scene.is_at(until)), (away(1), HOME));
        assert_eq!(scene.hears(until + 1, away(1)), away(1), "nothing was heard of the old one");
        assert_eq!(scene.is_at(2 * until), HOME);
        assert_eq!(scene.answers(2 * until, away(1), 2 * until + 40), away(1));
        assert!(scene.paths.are_quiet());
    }

    /// Somebody whose address changed after copies had been seen waits one round trip.
    #[test]
    fn a_wary_end_moves_to_what_has_proved_itself() {
        let mut scene = Scene::new();
        scene.hears(1_000, away(1));
        scene.answers(1_000, HOME, 1_040);
        assert_eq!(scene.is_at(2_000), HOME);
        assert_eq!(scene.hears(3_000, away(2)), HOME);
        assert_eq!(scene.answers(3_000, away(2), 3_040), away(2));
        assert_eq!(scene.hears(4_000, away(3)), away(3), "it is wary no more");
    }

    /// However long the wait between two challenges has become.
    #[test]
    fn a_packet_from_an_address_in_doubt_hastens_its_challenge() {
        let mut scene = Scene::new();
        scene.hears(0, away(1));
        scene.answers(0, HOME, 40);
        scene.is_at(80);
        for millis in (400..40_000).step_by(400) {
            scene.hears(millis, away(1));
            assert_eq!(scene.challenges(millis).len(), 1, "at {millis}");
            scene.paths.note_sent(away(1), 64);
            scene.hears(millis + 1, away(1));
            assert_eq!(scene.challenges(millis + 1), [], "at {millis}");
        }
    }

    #[test]
    fn the_way_back_is_remembered_while_others_are_forgotten() {
        let mut scene = Scene::new();
        for port in 1..100 {
            assert_eq!(scene.hears(1_000, away(port)), away(port));
        }
        assert_eq!(scene.answers(1_000, HOME, 1_010), away(99));
        assert_eq!(scene.is_at(1_020), HOME);
    }

    #[test]
    fn there_is_no_way_back_to_a_connection_that_was_closed() {
        let mut scene = Scene::new();
        scene.hears(500, TCP);
        assert_eq!(scene.hears(1_000, away(1)), away(1), "a copy from TCP");
        assert_eq!(scene.paths.close(TCP), None);
        assert_eq!(scene.is_at(9_000), away(1));
        scene.hears(9_500, HOME);
        scene.hears(10_000, TCP);
        scene.hears(10_500, away(2));
        assert_eq!(scene.answers(10_500, TCP, 10_550), away(2));
        assert_eq!(scene.is_at(10_600), TCP);
    }

    /// The first message of a handshake came from elsewhere first, and so does every packet; or none does.
    #[test]
    fn who_had_the_answer_of_a_handshake_too_is_the_other_end() {
        for (is_fresh, copied) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut scene = Scene::new();
            let (begun, new) = if is_fresh { (away(1), away(2)) } else { (HOME, away(2)) };
            if is_fresh {
                let rng = Rng::from_seed([1; 32]);
                scene.paths = Paths::new(at(0), begun, true, Direction::Follow, rng);
            }
            scene.paths.handle_shaken_elsewhere(new, !is_fresh);
            assert_eq!(scene.paths.current(), Some(begun), "only its packets confirm it");
            scene.hears(10, if copied { away(1) } else { new });
            scene.paths.handle_confirmed(at(10));
            assert_eq!(scene.is_at(11), new);
            assert_eq!(scene.paths.allowance(new), usize::MAX);
            assert_ne!(scene.paths.allowance(away(1)), usize::MAX);
        }
    }

    #[test]
    fn wariness_outlasts_a_rest() {
        let mut scene = Scene::new();
        scene.hears(1_000, away(1));
        scene.answers(1_000, HOME, 1_040);
        scene.is_at(2_000);
        scene.hears(2_000, HOME);
        let mut bytes = Vec::new();
        scene.paths.pack(&mut bytes);
        scene.paths = Paths::unpack(&mut crate::base::Unpacker::new(&bytes));
        assert_eq!(Paths::skip(&mut crate::base::Unpacker::new(&bytes)), HOME);
        assert_eq!(scene.hears(3_000, away(2)), HOME);
    }
}
