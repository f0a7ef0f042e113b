//! The addresses of the other end, and how much may be sent to each before it is validated.
//!
//! `migration` handles a session whose packets arrive from an address that is not validated.

mod migration;

use std::time::Duration;

use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use self::migration::MigrationTrial;
use crate::base::{Carrier, Path, Rng, RngState, Tick, Unpacker, pack_number, pack_path};

/// Maximum paths remembered per session: two carriers, each before and after a change of address.
/// At the bound the path whose newest packet has the lowest number is forgotten, unvalidated ones
/// first. The current path and those of a pending migration are never forgotten.
pub const PATHS_MAX: usize = 4;
/// Maximum length of a packet with a challenge or its response, in bytes. It is never padded, so
/// that the first packet from a new address already allows one.
pub const CHALLENGE_PACKET_MAX: usize = 64;
/// Bytes that may be sent to an unvalidated address, as a multiple of the bytes received from it
/// (RFC 9000 §8.1).
const AMPLIFICATION: usize = 3;
/// First interval between two challenges: the initial RTT (RFC 9002 §6.2.2). It doubles each time.
const CHALLENGE_WAIT_MIN: Duration = Duration::from_millis(333);
/// Maximum interval between two challenges: 8 s, the maximum probe timeout.
const CHALLENGE_WAIT_MAX: Duration = Duration::from_secs(8);

/// The end that decides where packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPolicy {
    /// We follow the other end: the path of its highest-numbered non-probing packet (RFC 9000
    /// §9.1). Used by the relay.
    Follow,
    /// We choose the path with [`PathSet::select`], and the other end follows. Used by the client.
    Lead,
}

/// A change of the path that packets are sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// The previous path, unless it is closed.
    pub from: Option<Path>,
    /// The path in use.
    pub to: Path,
}

/// The recent paths of one session, and the one in use.
#[derive(Debug)]
pub struct PathSet {
    /// At most [`PATHS_MAX`]. One is stored inline: most sessions have one and need no heap.
    entries: SmallVec<[PathEntry; 1]>,
    current: Option<Path>,
    highest: Option<u64>,
    policy: PathPolicy,
    rng: RngState,
    migration: Option<Box<MigrationTrial>>,
    /// The validated path that also received the response of the newest handshake. See
    /// [`PathSet::handle_handshake_elsewhere`].
    handshake_path: Option<Box<Path>>,
    /// Whether an address failed validation while the path before it still worked. New addresses
    /// must then be validated before anything but a challenge is sent there.
    is_cautious: bool,
}

#[derive(Debug)]
struct PathEntry {
    path: Path,
    received: usize,
    sent: usize,
    validated: bool,
    highest_number: u64,
    challenge: Option<Box<Challenge>>,
    pending_response: Option<[u8; 8]>,
}

/// A challenge without a response so far. Repetitions carry the same random bytes, so that a late
/// response still counts.
#[derive(Debug)]
struct Challenge {
    data: [u8; 8],
    wait: Duration,
    due: Tick,
    sent: Option<Tick>,
}

impl PathSet {
    /// Creates the paths of a session that begins on `path`.
    ///
    /// `proven` says that the handshake's response was sent to `path`: the other end needs it to
    /// use the session's keys. A leading end takes its own choice as validated in any case.
    pub fn new(now: Tick, path: Path, validated: bool, policy: PathPolicy, rng: Rng) -> PathSet {
        let rng = RngState::new(&rng);
        let mut paths = PathSet {
            entries: SmallVec::new(),
            current: None,
            highest: None,
            policy,
            rng,
            migration: None,
            handshake_path: None,
            is_cautious: false,
        };
        paths.find_or_insert(path).validated |= validated || policy == PathPolicy::Lead;
        paths.switch_to(now, path);
        paths
    }

    /// Returns the path that packets are sent on, or `None` if every path is closed.
    pub const fn current(&self) -> Option<Path> {
        self.current
    }

    /// Records an authentic packet of `len` bytes.
    ///
    /// `pto` returns the probe timeout of `path`. A following end moves to `path` if the packet is
    /// not a probe and has the highest number so far. Without validation the move is on trial while
    /// the path before it is validated.
    pub fn handle_received(
        &mut self,
        now: Tick,
        path: Path,
        number: u64,
        len: usize,
        non_probing: bool,
        pto: impl FnOnce() -> Duration,
    ) -> Option<PathChange> {
        let entry = self.find_or_insert(path);
        entry.received = entry.received.saturating_add(len);
        entry.highest_number = entry.highest_number.max(number);
        // Probes never move the session (RFC 9000 §9.1). Nor do older packets: reordering would
        // move it back. With no path left, any packet is better than none.
        let is_highest = self.highest.is_none_or(|highest| number > highest);
        if !non_probing || !(is_highest || self.current.is_none()) {
            return None;
        }
        self.highest = self.highest.max(Some(number));
        // The common case: same path, no migration. A leading end never follows.
        let stays = self.current == Some(path) && self.migration.is_none();
        if stays || self.policy == PathPolicy::Lead {
            return None;
        }
        self.begin_migration(now, path, pto)
    }

    /// Sends on `path` from now on: the client's choice. The path counts as validated, because no
    /// peer can have caused the choice.
    pub fn select(&mut self, now: Tick, path: Path) -> Option<PathChange> {
        self.find_or_insert(path).validated = true;
        (self.current != Some(path)).then(|| self.switch_to(now, path))
    }

    fn switch_to(&mut self, now: Tick, path: Path) -> PathChange {
        let from = self.current.replace(path);
        if !self.is_validated(path) {
            self.challenge(now, path);
        }
        self.forget_challenges();
        PathChange { from, to: path }
    }

    /// Starts challenging a path, unless a challenge is pending.
    fn challenge(&mut self, now: Tick, path: Path) {
        let PathSet { entries, rng, .. } = self;
        if let Some(entry) = entries.iter_mut().find(|entry| entry.path == path) {
            entry.challenge.get_or_insert_with(|| {
                let data = rng.next_u64().to_be_bytes();
                Box::new(Challenge { data, wait: CHALLENGE_WAIT_MIN, due: now, sent: None })
            });
        }
    }

    /// Ends challenges whose result is not needed: all but those of an unvalidated current path and
    /// of a pending migration.
    fn forget_challenges(&mut self) {
        let current = self.current;
        let trial = self.migration.as_deref();
        for entry in &mut self.entries {
            let unproven = Some(entry.path) == current && !entry.validated;
            if !unproven && !trial.is_some_and(|trial| trial.wants_challenge(entry.path, current)) {
                entry.challenge = None;
            }
        }
    }

    /// Schedules the response to a challenge that arrived on `path`. A newer challenge replaces an
    /// older one, so a flood costs one response.
    pub fn handle_challenge(&mut self, path: Path, data: [u8; 8]) {
        self.find_or_insert(path).pending_response = Some(data);
    }

    /// Handles the response to a challenge, on whichever path it arrived (RFC 9000 §8.2.3). The
    /// path that was challenged with `data` is validated.
    pub fn handle_response(&mut self, now: Tick, data: [u8; 8]) -> Option<PathChange> {
        let answered = |entry: &&mut PathEntry| {
            entry.challenge.as_ref().is_some_and(|challenge| challenge.data.ct_eq(&data).into())
        };
        let entry = self.entries.iter_mut().find(answered)?;
        entry.validated = true;
        entry.challenge = None;
        let path = entry.path;
        self.handle_validated(now, path)
    }

    /// Whether the path is validated.
    pub fn is_validated(&self, path: Path) -> bool {
        self.find(path).is_some_and(|entry| entry.validated)
    }

    /// Returns how many bytes may be sent on a path, besides challenges and responses, whose space
    /// is reserved.
    ///
    /// Unlimited once the path is validated; 0 on an unknown path.
    pub fn allowance(&self, path: Path) -> usize {
        match self.find(path) {
            Some(entry) if entry.validated => usize::MAX,
            Some(entry) => entry.allowance().saturating_sub(CHALLENGE_PACKET_MAX),
            None => 0,
        }
    }

    /// Returns how many bytes may be sent on a path by packets that end the session. No space is
    /// reserved, because no challenge follows.
    pub fn last_allowance(&self, path: Path) -> usize {
        self.find(path).map_or(0, PathEntry::allowance)
    }

    /// Records that a packet of any kind was sent.
    pub fn note_sent(&mut self, path: Path, len: usize) {
        if let Some(entry) = self.find_mut(path) {
            entry.sent = entry.sent.saturating_add(len);
        }
    }

    /// Whether a response or a challenge is pending, due or not.
    #[inline]
    pub fn has_pending_frames(&self) -> bool {
        self.entries.iter().any(|entry| entry.pending_response.is_some() || entry.challenge.is_some())
    }

    /// Returns the next challenge that is due, with its path, and schedules its repetition.
    ///
    /// It must leave in a packet of at most [`CHALLENGE_PACKET_MAX`] bytes. Call until `None`.
    pub fn next_challenge(&mut self, now: Tick) -> Option<(Path, [u8; 8])> {
        let is_due = |entry: &&mut PathEntry| entry.challenge_at().is_some_and(|due| due <= now);
        let entry = self.entries.iter_mut().find(is_due)?;
        let challenge = entry.challenge.as_mut()?;
        challenge.due = now + challenge.wait;
        challenge.sent = Some(now);
        challenge.wait = (challenge.wait * 2).min(CHALLENGE_WAIT_MAX);
        Some((entry.path, challenge.data))
    }

    /// Returns a pending response, with its path.
    ///
    /// It must leave in a packet of at most [`CHALLENGE_PACKET_MAX`] bytes. Call until `None`.
    pub fn next_response(&mut self) -> Option<(Path, [u8; 8])> {
        let can_pay = |entry: &&mut PathEntry| {
            entry.pending_response.is_some() && entry.allowance() >= CHALLENGE_PACKET_MAX
        };
        let entry = self.entries.iter_mut().find(can_pay)?;
        entry.pending_response.take().map(|data| (entry.path, data))
    }

    /// Forgets a path.
    ///
    /// If it was the current one, a following end moves to the validated path of the newest packet.
    /// A leading end, or one without another validated path, has no path then.
    pub fn close(&mut self, path: Path) -> Option<PathChange> {
        self.entries.retain(|entry| entry.path != path);
        if self.migration.as_ref().is_some_and(|trial| trial.involves(path)) {
            self.migration = None;
            self.forget_challenges();
        }
        if self.current != Some(path) {
            return None;
        }
        let follows = self.policy == PathPolicy::Follow;
        let others = self.entries.iter().filter(|entry| follows && entry.validated);
        self.current = others.max_by_key(|entry| entry.highest_number).map(|entry| entry.path);
        self.current.map(|to| PathChange { from: None, to })
    }

    /// Returns when a challenge must be repeated, or the trial of a new path ends.
    #[inline]
    pub fn next_deadline(&self) -> Option<Tick> {
        let challenges = self.entries.iter().filter_map(PathEntry::challenge_at);
        let trial = self.migration.as_ref().and_then(|trial| trial.deadline(self.current));
        challenges.chain(trial).min()
    }

    /// Whether nothing is pending and we follow from a validated path. Only such paths can be
    /// packed.
    pub fn may_hibernate(&self) -> bool {
        let at = self.current.and_then(|path| self.find(path));
        let quiet =
            at.is_some_and(|at| at.validated && at.challenge.is_none() && at.pending_response.is_none());
        quiet && self.migration.is_none() && self.policy == PathPolicy::Follow
    }

    /// Appends quiet paths to a hibernated session, the current one first. Unvalidated paths are
    /// forgotten.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let current = self.current.expect("quiet paths have a current one, and only those are packed");
        let others = self.entries.iter().filter(|entry| entry.validated && entry.path != current);
        let all = self.find(current).into_iter().chain(others);
        pack_number(into, (all.clone().count() as u64) << 1 | u64::from(self.is_cautious));
        for entry in all {
            pack_path(into, entry.path);
            pack_number(into, entry.highest_number);
        }
        pack_number(into, self.highest.map_or(0, |highest| highest.saturating_add(1)));
        self.rng.pack(into);
    }

    /// Restores paths written by [`PathSet::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> PathSet {
        let (count, is_cautious) = unpack_head(from);
        let entries = (0..count).map(|_| {
            let path = from.path();
            let highest_number = from.number();
            PathEntry { validated: true, highest_number, ..PathEntry::new(path) }
        });
        let entries: SmallVec<[PathEntry; 1]> = entries.collect();
        let current = entries.first().map(|entry| entry.path);
        let highest = from.number().checked_sub(1);
        let rng = RngState::unpack(from);
        PathSet {
            entries,
            current,
            highest,
            policy: PathPolicy::Follow,
            rng,
            migration: None,
            handshake_path: None,
            is_cautious,
        }
    }

    /// Returns the current path of packed paths. Does not read to their end.
    pub fn peek(from: &mut Unpacker<'_>) -> Path {
        let _ = from.number();
        from.path()
    }

    /// Returns the current path of packed paths, and reads to their end.
    pub fn skip(from: &mut Unpacker<'_>) -> Path {
        let (count, _) = unpack_head(from);
        let current = from.path();
        let _highest_number = from.number();
        for _ in 1..count {
            let _path = from.path();
            let _highest_number = from.number();
        }
        let _highest = from.number();
        let _rng = RngState::unpack(from);
        current
    }

    /// Records that packets up to number `highest` arrived on the current path during hibernation.
    pub fn handle_keep_alives(&mut self, highest: u64) {
        self.highest = self.highest.max(Some(highest));
        if let Some(entry) = self.current.and_then(|path| self.find_mut(path)) {
            entry.highest_number = entry.highest_number.max(highest);
        }
    }

    fn find(&self, path: Path) -> Option<&PathEntry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    fn find_mut(&mut self, path: Path) -> Option<&mut PathEntry> {
        self.entries.iter_mut().find(|entry| entry.path == path)
    }

    /// Returns the entry of a path, adding it if it is unknown.
    fn find_or_insert(&mut self, path: Path) -> &mut PathEntry {
        if let Some(at) = self.entries.iter().position(|entry| entry.path == path) {
            return &mut self.entries[at];
        }
        if self.entries.len() == PATHS_MAX {
            // The previous path of a migration must survive a flood of addresses.
            let current = self.current;
            let trial = self.migration.as_deref();
            let in_use = |path| Some(path) == current || trial.is_some_and(|trial| trial.involves(path));
            let others = self.entries.iter().enumerate().filter(|(_, entry)| !in_use(entry.path));
            let oldest =
                others.min_by_key(|(_, entry)| (entry.validated, entry.highest_number)).map(|(at, _)| at);
            self.entries.remove(oldest.expect("at most three of the remembered paths are in use"));
        }
        self.entries.push(PathEntry::new(path));
        self.entries.last_mut().expect("an entry was pushed above")
    }
}

/// Returns how many paths were packed, and whether the set is cautious.
fn unpack_head(from: &mut Unpacker<'_>) -> (u64, bool) {
    let head = from.number();
    (head >> 1, head & 1 == 1)
}

impl PathEntry {
    /// Creates an entry. TCP paths count as validated: the system's own handshake went both ways.
    fn new(path: Path) -> PathEntry {
        let validated = path.carrier() == Carrier::Tcp;
        PathEntry {
            path,
            received: 0,
            sent: 0,
            validated,
            highest_number: 0,
            challenge: None,
            pending_response: None,
        }
    }

    /// Returns when the pending challenge may leave, or `None` without one or without space for it.
    #[inline]
    fn challenge_at(&self) -> Option<Tick> {
        let challenge = self.challenge.as_ref()?;
        (self.allowance() >= CHALLENGE_PACKET_MAX).then_some(challenge.due)
    }

    /// Returns how many bytes may be sent on this path, of any kind.
    fn allowance(&self) -> usize {
        if self.validated {
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

    fn receive(
        paths: &mut PathSet,
        millis: u64,
        (path, number, len): (Path, u64, usize),
        non_probing: bool,
    ) -> Option<PathChange> {
        paths.handle_received(at(millis), path, number, len, non_probing, pto)
    }

    /// Returns the challenge of `path` that is due, if any.
    fn challenge(paths: &mut PathSet, millis: u64, path: Path) -> Option<[u8; 8]> {
        let due: Vec<_> = std::iter::from_fn(|| paths.next_challenge(at(millis))).collect();
        due.into_iter().find(|(challenged, _)| *challenged == path).map(|(_, data)| data)
    }

    fn follow() -> PathSet {
        let mut paths = PathSet::new(at(0), udp(1), true, PathPolicy::Follow, Rng::from_seed([1; 32]));
        assert_eq!(receive(&mut paths, 0, (udp(1), 0, 100), true), None);
        paths
    }

    #[test]
    fn highest_non_probing_packet_selects_path() {
        let mut paths = follow();
        assert_eq!(receive(&mut paths, 0, (udp(2), 5, 100), false), None, "a probe does not move it");
        assert_eq!(paths.current(), Some(udp(1)));
        let change = PathChange { from: Some(udp(1)), to: udp(2) };
        assert_eq!(receive(&mut paths, 0, (udp(2), 6, 100), true), Some(change));
        assert_eq!(receive(&mut paths, 0, (udp(1), 4, 100), true), None, "an older packet does not move it");
        assert_eq!(receive(&mut paths, 0, (udp(1), 6, 100), true), None, "nor does an equal number");
        assert_eq!(paths.current(), Some(udp(2)));
        assert!(receive(&mut paths, 0, (TCP, 7, 100), true).is_some());
        assert_eq!(paths.current(), Some(TCP));
        assert_eq!(paths.allowance(TCP), usize::MAX);
    }

    #[test]
    fn unvalidated_address_is_sent_three_times_bytes_received() {
        let mut paths = follow();
        assert_eq!(paths.allowance(udp(1)), usize::MAX);
        assert_eq!(paths.allowance(udp(2)), 0, "unknown");
        receive(&mut paths, 0, (udp(2), 1, 100), true);
        let allowance = 300 - CHALLENGE_PACKET_MAX;
        assert_eq!(paths.allowance(udp(2)), allowance);
        paths.note_sent(udp(2), allowance);
        assert_eq!(paths.allowance(udp(2)), 0);
        let data = challenge(&mut paths, 0, udp(2)).expect("space for a challenge is reserved");
        paths.note_sent(udp(2), CHALLENGE_PACKET_MAX);
        assert_eq!(challenge(&mut paths, 2_000, udp(2)), None, "no space");

        assert_eq!(paths.handle_response(at(1), [0; 8]), None);
        assert!(!paths.is_validated(udp(2)));
        assert_eq!(paths.handle_response(at(1), data), None, "the path is in use already");
        assert_eq!(paths.allowance(udp(2)), usize::MAX);
        assert_eq!(paths.next_challenge(at(9_000)), None, "answered once");
        assert_eq!(paths.next_deadline(), None);
    }

    #[test]
    fn smallest_packet_from_new_address_allows_challenge_at_once() {
        let mut paths = follow();
        receive(&mut paths, 7, (udp(2), 1, 33), true);
        assert_eq!(paths.next_deadline(), Some(at(7)));
        assert!(challenge(&mut paths, 7, udp(2)).is_some());
    }

    #[test]
    fn challenge_is_repeated_with_backoff_while_path_is_in_use() {
        let mut paths = PathSet::new(at(0), udp(1), false, PathPolicy::Follow, Rng::from_seed([1; 32]));
        receive(&mut paths, 0, (udp(2), 1, 10_000), true);
        let mut sent = Vec::new();
        let mut now = at(0);
        while now < at(30_000) {
            let (path, data) = paths.next_challenge(now).expect("it is due at the deadline");
            assert_eq!(path, udp(2));
            assert_eq!(paths.next_challenge(now), None, "once each time");
            sent.push((now.as_micros() / 1000, data));
            now = paths.next_deadline().unwrap();
        }
        let times: Vec<u64> = sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 333, 999, 2331, 4995, 10323, 18323, 26323]);
        assert!(sent.iter().all(|(_, data)| *data == sent[0].1));
        paths.handle_received(now, udp(1), 2, 100, true, pto);
        assert_eq!(challenge(&mut paths, 99_000, udp(2)), None, "the path is not in use");
    }

    /// Only the newest challenge of a path is answered.
    #[test]
    fn flood_of_challenges_leaves_one_response_per_path() {
        let mut paths = follow();
        receive(&mut paths, 0, (udp(2), 1, 50), false);
        for flood in 0..1000u64 {
            paths.handle_challenge(udp(2), flood.to_be_bytes());
        }
        paths.handle_challenge(udp(1), [9; 8]);
        let responses = [paths.next_response(), paths.next_response(), paths.next_response()];
        assert_eq!(responses, [Some((udp(1), [9; 8])), Some((udp(2), 999u64.to_be_bytes())), None]);
        paths.note_sent(udp(2), 140);
        paths.handle_challenge(udp(2), [1; 8]);
        assert_eq!(paths.next_response(), None, "the amplification limit is reached");
    }

    #[test]
    fn hopping_client_is_followed_in_bounded_memory() {
        let mut paths = follow();
        for hop in 1..1000 {
            assert!(receive(&mut paths, 0, (udp(hop + 1), hop.into(), 100), true).is_some());
            assert!(paths.entries.len() <= PATHS_MAX);
            assert_eq!(paths.allowance(udp(hop + 1)), 300 - CHALLENGE_PACKET_MAX);
        }
        for probe in 2000..3000 {
            assert_eq!(receive(&mut paths, 0, (udp(probe), probe.into(), 100), false), None);
        }
        assert_eq!(paths.current(), Some(udp(1000)), "probes never evict the current path");
        assert!(paths.allowance(udp(1000)) > 0);
    }

    #[test]
    fn closed_path_is_replaced_by_validated_one() {
        let mut paths = follow();
        receive(&mut paths, 0, (udp(2), 1, 100), false);
        receive(&mut paths, 0, (TCP, 2, 100), true);
        assert_eq!(paths.close(TCP), Some(PathChange { from: None, to: udp(1) }));
        assert_eq!(paths.close(udp(1)), None);
        assert_eq!(paths.current(), None);
        assert_eq!(paths.allowance(TCP), 0);
        let change = PathChange { from: None, to: udp(2) };
        assert_eq!(
            receive(&mut paths, 0, (udp(2), 1, 100), true),
            Some(change),
            "any path is better than none"
        );
    }

    /// Packets on another path do not move a client.
    #[test]
    fn leading_end_moves_by_its_own_choice_only() {
        let mut paths = PathSet::new(at(0), udp(1), false, PathPolicy::Lead, Rng::from_seed([1; 32]));
        assert_eq!(paths.allowance(udp(1)), usize::MAX);
        assert_eq!(receive(&mut paths, 0, (udp(2), 9, 100), true), None);
        assert_eq!(paths.select(at(0), TCP), Some(PathChange { from: Some(udp(1)), to: TCP }));
        assert_eq!(paths.select(at(0), TCP), None);
        assert_eq!(paths.close(TCP), None);
        assert_eq!(paths.current(), None);
        assert_eq!(paths.next_deadline(), None);
    }
}
