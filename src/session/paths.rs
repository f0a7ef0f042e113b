//! Where the other end is, and how much may be sent there before it has shown that it is.
//!
//! What becomes of a conversation whose packets come from an address that is not proven stands in `doubt`.

mod doubt;

use std::time::Duration;

use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use self::doubt::Doubt;
use crate::base::{Carrier, Path, Rng, StillRng, Tick, Unpacker, pack_number, pack_path};

/// Paths of one session that are remembered: two carriers, each before and after a change of address. At the bound
/// the one that was heard least lately is forgotten, first among those that are not proven; never the current one, nor one
/// that it may go back to.
pub const PATHS_MAX: usize = 4;
/// The most a packet with a challenge or its answer may have, in bytes: it is never padded, so that the first packet
/// from a new address already allows one.
pub const CHALLENGE_PACKET_MAX: usize = 64;
/// An unproven address is sent at most this many times what came from it (RFC 9000 §8.1).
const AMPLIFICATION: usize = 3;
/// A challenge is repeated first after the initial RTT (RFC 9002 §6.2.2), then with doubled waits up to the PTO's cap.
const CHALLENGE_WAIT_MIN: Duration = Duration::from_millis(333);
const CHALLENGE_WAIT_MAX: Duration = Duration::from_secs(8);

/// Who decides where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We follow the other end: the path of its highest-numbered non-probing packet (RFC 9000 §9.1). The relay's way.
    Follow,
    /// We choose ([`Paths::select`]) and the other end follows. The client's way.
    Lead,
}

/// The other end is now answered elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it was, unless that path is gone.
    pub from: Option<Path>,
    /// Where it is.
    pub to: Path,
}

/// The recent paths of one session and the one in use.
#[derive(Debug)]
pub struct Paths {
    /// At most [`PATHS_MAX`]; the one that most sessions have without the heap.
    known: SmallVec<[KnownPath; 1]>,
    current: Option<Path>,
    highest: Option<u64>,
    direction: Direction,
    rng: StillRng,
    doubt: Option<Box<Doubt>>,
    /// See [`Paths::handle_shaken_elsewhere`].
    shaken_at: Option<Box<Path>>,
    /// An address has failed to prove itself while the one before it was alive: others prove themselves before anything
    /// but a challenge goes there.
    is_wary: bool,
}

#[derive(Debug)]
struct KnownPath {
    path: Path,
    received: usize,
    sent: usize,
    proven: bool,
    heard: u64,
    challenge: Option<Box<Challenge>>,
    owed: Option<[u8; 8]>,
}

/// A challenge that has no answer yet: the same random bytes each time, so that a late answer still counts.
#[derive(Debug)]
struct Challenge {
    data: [u8; 8],
    wait: Duration,
    due: Tick,
    sent: Option<Tick>,
}

impl Paths {
    /// The paths of a session that begins on `path`. It is proven if the handshake's answer went there (whoever uses
    /// its keys has received it), and where we lead.
    pub fn new(now: Tick, path: Path, proven: bool, direction: Direction, rng: Rng) -> Paths {
        let rng = StillRng::new(&rng);
        let mut paths = Paths {
            known: SmallVec::new(),
            current: None,
            highest: None,
            direction,
            rng,
            doubt: None,
            shaken_at: None,
            is_wary: false,
        };
        paths.learn(path).proven |= proven || direction == Direction::Lead;
        paths.go_to(now, path);
        paths
    }

    /// Where packets go; none if every path is gone.
    pub const fn current(&self) -> Option<Path> {
        self.current
    }

    /// Notes an authentic packet of `len` bytes. If it is not a probe and has the highest number so far, and we follow,
    /// its path becomes the current one; for a while only, if it is not proven and the one before it is. `pto` is the probe
    /// time-out there.
    pub fn handle_received(
        &mut self,
        now: Tick,
        (path, number, len): (Path, u64, usize),
        non_probing: bool,
        pto: impl FnOnce() -> Duration,
    ) -> Option<Moved> {
        let known = self.learn(path);
        known.received = known.received.saturating_add(len);
        known.heard = known.heard.max(number);
        let is_highest = self.highest.is_none_or(|highest| number > highest);
        if !non_probing || !(is_highest || self.current.is_none()) {
            return None;
        }
        self.highest = self.highest.max(Some(number));
        let stays = self.current == Some(path) && self.doubt.is_none();
        if stays || self.direction == Direction::Lead {
            return None;
        }
        self.handle_claim(now, path, pto)
    }

    /// Sends on `path` from now on: the client's choice. It is taken as proven: nobody else can have made us choose it.
    pub fn select(&mut self, now: Tick, path: Path) -> Option<Moved> {
        self.learn(path).proven = true;
        (self.current != Some(path)).then(|| self.go_to(now, path))
    }

    fn go_to(&mut self, now: Tick, path: Path) -> Moved {
        let from = self.current.replace(path);
        if !self.is_proven(path) {
            self.challenge(now, path);
        }
        self.forget_challenges();
        Moved { from, to: path }
    }

    /// Challenges a path from now on, unless that is being done.
    fn challenge(&mut self, now: Tick, path: Path) {
        let Paths { known, rng, .. } = self;
        if let Some(known) = known.iter_mut().find(|known| known.path == path) {
            known.challenge.get_or_insert_with(|| {
                let data = rng.next_u64().to_be_bytes();
                Box::new(Challenge { data, wait: CHALLENGE_WAIT_MIN, due: now, sent: None })
            });
        }
    }

    /// Ends the challenges of paths of which nothing is to be known any more.
    fn forget_challenges(&mut self) {
        let (current, doubt) = (self.current, self.doubt.as_deref());
        for known in &mut self.known {
            let unproven = Some(known.path) == current && !known.proven;
            if !unproven && !doubt.is_some_and(|doubt| doubt.asks(known.path, current)) {
                known.challenge = None;
            }
        }
    }

    /// Owes the answer to a challenge that came on `path`; a newer one takes the place of an older.
    pub fn handle_challenge(&mut self, path: Path, data: [u8; 8]) {
        self.learn(path).owed = Some(data);
    }

    /// Takes in the answer to a challenge, whichever path it came on (RFC 9000 §8.2.3): the path that was challenged
    /// with it is now proven.
    pub fn handle_response(&mut self, now: Tick, data: [u8; 8]) -> Option<Moved> {
        let answered = |known: &&mut KnownPath| {
            known.challenge.as_ref().is_some_and(|challenge| challenge.data.ct_eq(&data).into())
        };
        let known = self.known.iter_mut().find(answered)?;
        (known.proven, known.challenge) = (true, None);
        let path = known.path;
        self.handle_proof(now, path)
    }

    /// Whether the other end has shown that it is there.
    pub fn is_proven(&self, path: Path) -> bool {
        self.find(path).is_some_and(|known| known.proven)
    }

    /// How many bytes may be sent on a path, challenges and answers aside (their room is kept free); no bound once it
    /// is proven, nothing on a path that is not known.
    pub fn allowance(&self, path: Path) -> usize {
        match self.find(path) {
            Some(known) if known.proven => usize::MAX,
            Some(known) => known.room().saturating_sub(CHALLENGE_PACKET_MAX),
            None => 0,
        }
    }

    /// The same for what ends the session, after which nobody needs to be challenged.
    pub fn last_allowance(&self, path: Path) -> usize {
        self.find(path).map_or(0, KnownPath::room)
    }

    /// Notes a packet of any kind that was sent.
    pub fn note_sent(&mut self, path: Path, len: usize) {
        if let Some(known) = self.find_mut(path) {
            known.sent = known.sent.saturating_add(len);
        }
    }

    /// Whether an answer or a challenge waits, now or later.
    #[inline]
    pub fn owe_anything(&self) -> bool {
        self.known.iter().any(|known| known.owed.is_some() || known.challenge.is_some())
    }

    /// A challenge to be sent now, and the path it leaves on, in a packet of at most [`CHALLENGE_PACKET_MAX`] bytes; with
    /// growing waits. Ask until there is none.
    pub fn challenge_due(&mut self, now: Tick) -> Option<(Path, [u8; 8])> {
        let is_due = |known: &&mut KnownPath| known.challenge_at().is_some_and(|due| due <= now);
        let known = self.known.iter_mut().find(is_due)?;
        let challenge = known.challenge.as_mut()?;
        (challenge.due, challenge.sent) = (now + challenge.wait, Some(now));
        challenge.wait = (challenge.wait * 2).min(CHALLENGE_WAIT_MAX);
        Some((known.path, challenge.data))
    }

    /// An answer owed, and the path it leaves on, in a packet of at most [`CHALLENGE_PACKET_MAX`] bytes. Ask until
    /// there is none.
    pub fn response_due(&mut self) -> Option<(Path, [u8; 8])> {
        let can_pay = |known: &&mut KnownPath| known.owed.is_some() && known.room() >= CHALLENGE_PACKET_MAX;
        let known = self.known.iter_mut().find(can_pay)?;
        known.owed.take().map(|data| (known.path, data))
    }

    /// Forgets a path. If it was the current one there is none; but where we follow, the proven path that was heard
    /// last takes its place, if there is one.
    pub fn close(&mut self, path: Path) -> Option<Moved> {
        self.known.retain(|known| known.path != path);
        if self.doubt.as_ref().is_some_and(|doubt| doubt.concerns(path)) {
            self.doubt = None;
            self.forget_challenges();
        }
        if self.current != Some(path) {
            return None;
        }
        let follows = self.direction == Direction::Follow;
        let others = self.known.iter().filter(|known| follows && known.proven);
        self.current = others.max_by_key(|known| known.heard).map(|known| known.path);
        self.current.map(|to| Moved { from: None, to })
    }

    /// When a challenge is to be repeated, or a path has had its time.
    #[inline]
    pub fn next_deadline(&self) -> Option<Tick> {
        let challenges = self.known.iter().filter_map(KnownPath::challenge_at);
        let doubt = self.doubt.as_ref().and_then(|doubt| doubt.deadline(self.current));
        challenges.chain(doubt).min()
    }

    /// Whether there is nothing to be sent or waited for, and we follow from a path that is proven.
    pub fn are_quiet(&self) -> bool {
        let at = self.current.and_then(|path| self.find(path));
        let quiet = at.is_some_and(|at| at.proven && at.challenge.is_none() && at.owed.is_none());
        quiet && self.doubt.is_none() && self.direction == Direction::Follow
    }

    /// Appends quiet paths to what is at rest, the current one first. Those that are not proven are forgotten.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let current = self.current.expect("only quiet paths are packed, and those have a current one");
        let others = self.known.iter().filter(|known| known.proven && known.path != current);
        let all = self.find(current).into_iter().chain(others);
        pack_number(into, (all.clone().count() as u64) << 1 | u64::from(self.is_wary));
        for known in all {
            pack_path(into, known.path);
            pack_number(into, known.heard);
        }
        pack_number(into, self.highest.map_or(0, |highest| highest.saturating_add(1)));
        self.rng.pack(into);
    }

    /// Paths that were packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> Paths {
        let (many, is_wary) = unpack_head(from);
        let known = (0..many).map(|_| {
            let (path, heard) = (from.path(), from.number());
            KnownPath { proven: true, heard, ..KnownPath::new(path) }
        });
        let known: SmallVec<[KnownPath; 1]> = known.collect();
        let current = known.first().map(|known| known.path);
        let (highest, rng) = (from.number().checked_sub(1), StillRng::unpack(from));
        let direction = Direction::Follow;
        Paths { known, current, highest, direction, rng, doubt: None, shaken_at: None, is_wary }
    }

    /// Where packets of quiet paths leave, as they were packed.
    pub fn peek(from: &mut Unpacker<'_>) -> Path {
        let _ = from.number();
        from.path()
    }

    /// The same, and reads over the rest of them.
    pub fn skip(from: &mut Unpacker<'_>) -> Path {
        let ((many, _), current, _) = (unpack_head(from), from.path(), from.number());
        for _ in 1..many {
            let _ = (from.path(), from.number());
        }
        let _ = (from.number(), StillRng::unpack(from));
        current
    }

    /// Packets up to this number came on the current path while the paths were packed.
    pub fn handle_beats(&mut self, highest: u64) {
        self.highest = self.highest.max(Some(highest));
        if let Some(known) = self.current.and_then(|path| self.find_mut(path)) {
            known.heard = known.heard.max(highest);
        }
    }

    fn find(&self, path: Path) -> Option<&KnownPath> {
        self.known.iter().find(|known| known.path == path)
    }

    fn find_mut(&mut self, path: Path) -> Option<&mut KnownPath> {
        self.known.iter_mut().find(|known| known.path == path)
    }

    fn learn(&mut self, path: Path) -> &mut KnownPath {
        if let Some(at) = self.known.iter().position(|known| known.path == path) {
            return &mut self.known[at];
        }
        if self.known.len() == PATHS_MAX {
            let (current, doubt) = (self.current, self.doubt.as_deref());
            let in_use = |path| Some(path) == current || doubt.is_some_and(|doubt| doubt.concerns(path));
            let others = self.known.iter().enumerate().filter(|(_, known)| !in_use(known.path));
            let oldest = others.min_by_key(|(_, known)| (known.proven, known.heard)).map(|(at, _)| at);
            self.known.remove(oldest.expect("of several paths three at most are in use"));
        }
        self.known.push(KnownPath::new(path));
        self.known.last_mut().expect("it has just been pushed")
    }
}

/// How many paths were packed, and whether they are wary.
fn unpack_head(from: &mut Unpacker<'_>) -> (u64, bool) {
    let head = from.number();
    (head >> 1, head & 1 == 1)
}

impl KnownPath {
    /// TCP paths are proven: the system's own handshake went both ways.
    fn new(path: Path) -> KnownPath {
        let proven = path.carrier() == Carrier::Tcp;
        KnownPath { path, received: 0, sent: 0, proven, heard: 0, challenge: None, owed: None }
    }

    /// When its challenge may leave, if one waits.
    #[inline]
    fn challenge_at(&self) -> Option<Tick> {
        let challenge = self.challenge.as_ref()?;
        (self.room() >= CHALLENGE_PACKET_MAX).then_some(challenge.due)
    }

    fn room(&self) -> usize {
        if self.proven {
            usize::MAX
        } else {
            (self.received.saturating_mul(AMPLIFICATION)).saturating_sub(self.sent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;

    const TCP: Path = Path::Tcp(ConnId(1));

    fn udp(port: u16) -> Path {
        Path::Udp(([192, 0, 2, 1], port).into())
    }

    fn at(millis: u64) -> Tick {
        Tick::ZERO + Duration::from_millis(millis)
    }

    fn pto() -> Duration {
        Duration::from_millis(100)
    }

    fn heard(paths: &mut Paths, millis: u64, packet: (Path, u64, usize), non_probing: bool) -> Option<Moved> {
        paths.handle_received(at(millis), packet, non_probing, pto)
    }

    /// What a path is challenged with now, if it is.
    fn challenge(paths: &mut Paths, millis: u64, path: Path) -> Option<[u8; 8]> {
        let due: Vec<_> = std::iter::from_fn(|| paths.challenge_due(at(millis))).collect();
        due.into_iter().find(|(challenged, _)| *challenged == path).map(|(_, data)| data)
    }

    fn follow() -> Paths {
        let mut paths = Paths::new(at(0), udp(1), true, Direction::Follow, Rng::from_seed([1; 32]));
        assert_eq!(heard(&mut paths, 0, (udp(1), 0, 100), true), None);
        paths
    }

    #[test]
    fn the_highest_non_probing_packet_says_where_to_answer() {
        let mut paths = follow();
        assert_eq!(heard(&mut paths, 0, (udp(2), 5, 100), false), None, "a probe moves nothing");
        assert_eq!(paths.current(), Some(udp(1)));
        let moved = Moved { from: Some(udp(1)), to: udp(2) };
        assert_eq!(heard(&mut paths, 0, (udp(2), 6, 100), true), Some(moved));
        assert_eq!(heard(&mut paths, 0, (udp(1), 4, 100), true), None, "an older packet moves nothing");
        assert_eq!(heard(&mut paths, 0, (udp(1), 6, 100), true), None, "nor one as old");
        assert_eq!(paths.current(), Some(udp(2)));
        assert!(heard(&mut paths, 0, (TCP, 7, 100), true).is_some());
        assert_eq!((paths.current(), paths.allowance(TCP)), (Some(TCP), usize::MAX));
    }

    #[test]
    fn an_unproven_address_is_sent_three_times_what_came() {
        let mut paths = follow();
        assert_eq!(paths.allowance(udp(1)), usize::MAX);
        assert_eq!(paths.allowance(udp(2)), 0, "unknown");
        heard(&mut paths, 0, (udp(2), 1, 100), true);
        let room = 300 - CHALLENGE_PACKET_MAX;
        assert_eq!(paths.allowance(udp(2)), room);
        paths.note_sent(udp(2), room);
        assert_eq!(paths.allowance(udp(2)), 0);
        let data = challenge(&mut paths, 0, udp(2)).expect("its room was kept free");
        paths.note_sent(udp(2), CHALLENGE_PACKET_MAX);
        assert_eq!(challenge(&mut paths, 2_000, udp(2)), None, "no room");

        assert_eq!(paths.handle_response(at(1), [0; 8]), None);
        assert!(!paths.is_proven(udp(2)));
        assert_eq!(paths.handle_response(at(1), data), None, "packets leave there already");
        assert_eq!(paths.allowance(udp(2)), usize::MAX);
        assert_eq!((paths.challenge_due(at(9_000)), paths.next_deadline()), (None, None), "answered once");
    }

    #[test]
    fn the_smallest_packet_from_a_new_address_allows_a_challenge_at_once() {
        let mut paths = follow();
        heard(&mut paths, 7, (udp(2), 1, 33), true);
        assert_eq!(paths.next_deadline(), Some(at(7)));
        assert!(challenge(&mut paths, 7, udp(2)).is_some());
    }

    #[test]
    fn a_challenge_is_repeated_with_growing_waits_while_its_path_is_in_use() {
        let mut paths = Paths::new(at(0), udp(1), false, Direction::Follow, Rng::from_seed([1; 32]));
        heard(&mut paths, 0, (udp(2), 1, 10_000), true);
        let (mut sent, mut now) = (Vec::new(), at(0));
        while now < at(30_000) {
            let (path, data) = paths.challenge_due(now).expect("it is due at the deadline");
            assert_eq!((path, paths.challenge_due(now)), (udp(2), None), "once each time");
            sent.push((now.as_micros() / 1000, data));
            now = paths.next_deadline().unwrap();
        }
        let times: Vec<u64> = sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 333, 999, 2331, 4995, 10323, 18323, 26323]);
        assert!(sent.iter().all(|(_, data)| *data == sent[0].1));
        paths.handle_received(now, (udp(1), 2, 100), true, pto);
        assert_eq!(challenge(&mut paths, 99_000, udp(2)), None, "no longer in use");
    }

    #[test]
    fn a_flood_of_challenges_leaves_one_answer_owed_on_its_own_path() {
        let mut paths = follow();
        heard(&mut paths, 0, (udp(2), 1, 50), false);
        for flood in 0..1000u64 {
            paths.handle_challenge(udp(2), flood.to_be_bytes());
        }
        paths.handle_challenge(udp(1), [9; 8]);
        let owed = [paths.response_due(), paths.response_due(), paths.response_due()];
        assert_eq!(owed, [Some((udp(1), [9; 8])), Some((udp(2), 999u64.to_be_bytes())), None]);
        paths.note_sent(udp(2), 140);
        paths.handle_challenge(udp(2), [1; 8]);
        assert_eq!(paths.response_due(), None, "three times what came");
    }

    #[test]
    fn a_client_that_hops_is_followed_in_bounded_memory() {
        let mut paths = follow();
        for hop in 1..1000 {
            assert!(heard(&mut paths, 0, (udp(hop + 1), hop.into(), 100), true).is_some());
            assert!(paths.known.len() <= PATHS_MAX);
            assert_eq!(paths.allowance(udp(hop + 1)), 300 - CHALLENGE_PACKET_MAX);
        }
        for probe in 2000..3000 {
            assert_eq!(heard(&mut paths, 0, (udp(probe), probe.into(), 100), false), None);
        }
        assert_eq!(paths.current(), Some(udp(1000)), "probes never push the current path out");
        assert!(paths.allowance(udp(1000)) > 0);
    }

    #[test]
    fn a_closed_path_gives_way_to_a_proven_one() {
        let mut paths = follow();
        heard(&mut paths, 0, (udp(2), 1, 100), false);
        heard(&mut paths, 0, (TCP, 2, 100), true);
        assert_eq!(paths.close(TCP), Some(Moved { from: None, to: udp(1) }));
        assert_eq!(paths.close(udp(1)), None);
        assert_eq!((paths.current(), paths.allowance(TCP)), (None, 0));
        let moved = Moved { from: None, to: udp(2) };
        assert_eq!(heard(&mut paths, 0, (udp(2), 1, 100), true), Some(moved), "any is better than none");
    }

    #[test]
    fn the_leading_end_moves_by_its_own_choice_only() {
        let mut paths = Paths::new(at(0), udp(1), false, Direction::Lead, Rng::from_seed([1; 32]));
        assert_eq!(paths.allowance(udp(1)), usize::MAX);
        assert_eq!(heard(&mut paths, 0, (udp(2), 9, 100), true), None);
        assert_eq!(paths.select(at(0), TCP), Some(Moved { from: Some(udp(1)), to: TCP }));
        assert_eq!(paths.select(at(0), TCP), None);
        assert_eq!((paths.close(TCP), paths.current(), paths.next_deadline()), (None, None, None));
    }
}
