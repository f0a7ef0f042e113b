//! Hibernation: idle sessions of members are packed into a few hundred bytes until something
//! happens. Most of a relay's sessions are idle.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::{KeepAliveCount, Path, PublicKey, Tick, Unpacker, pack_number};
use crate::peer::{HibernatedOutcome, Peer};
use crate::relay::deadlines::Deadlines;
use crate::relay::ids::{MemberId, SessionSlot};
use crate::relay::marks::IntakePolicy;
use crate::relay::{Out, Timer};
use crate::session::SessionId;
use crate::wire::features::Features;

use super::{Session, Sessions, SignInState, offline_at};

/// Sessions idle for this long are hibernated. Keep-alives do not count as activity.
///
/// 1 s: longer than the pauses between programs that exchange letters. It is short enough that few
/// of the members that have just signed in are awake at once.
pub(super) const HIBERNATE_AFTER: Duration = Duration::from_secs(1);

/// An entry of the table.
pub(super) enum SessionEntry {
    Active(Box<Session>),
    Hibernated(HibernatedSession),
}

/// A hibernated session of a member.
pub(super) struct HibernatedSession {
    /// The part that changes during hibernation ([`HibernatedHeader`]), the key, the peer, and the
    /// rest.
    packed: Zeroizing<Box<[u8]>>,
}

/// Fields at the start of the packed bytes, in fixed positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HibernatedHeader {
    /// Keep-alives answered since it was packed. [`KeepAliveCount::last`] is the time of the last
    /// packet in any case.
    keep_alives: KeepAliveCount,
    /// Its scheduled deadline.
    scheduled: Option<Tick>,
    /// Whether its session hint is on disk or being written.
    has_hint: bool,
}

const HEADER_LEN: usize = size_of::<u32>() + 2 * size_of::<u64>() + 1;
/// Encodes a missing time.
const NEVER: u64 = u64::MAX;

impl HibernatedHeader {
    fn bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let scheduled = self.scheduled.map_or(NEVER, Tick::as_micros);
        bytes[..4].copy_from_slice(&self.keep_alives.count.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.keep_alives.last.as_micros().to_le_bytes());
        bytes[12..20].copy_from_slice(&scheduled.to_le_bytes());
        bytes[20] = u8::from(self.has_hint);
        bytes
    }

    fn read(from: &mut Unpacker<'_>) -> HibernatedHeader {
        let count = u32::from_le_bytes(from.bytes());
        let last = u64::from_le_bytes(from.bytes());
        let scheduled = Some(u64::from_le_bytes(from.bytes())).filter(|tick| *tick != NEVER);
        let keep_alives = KeepAliveCount { count, last: Tick::from_micros(last) };
        let has_hint = from.bytes() == [1];
        HibernatedHeader { keep_alives, scheduled: scheduled.map(Tick::from_micros), has_hint }
    }
}

impl HibernatedSession {
    /// Packs a session that may hibernate, using `scratch` as a buffer.
    fn new(session: &mut Session, member: MemberId, scratch: &mut Vec<u8>) -> HibernatedSession {
        scratch.clear();
        let keep_alives = KeepAliveCount { count: 0, last: session.peer.link().last_received() };
        let header = HibernatedHeader {
            keep_alives,
            scheduled: session.scheduled,
            has_hint: session.stored_hint.is_some(),
        };
        scratch.extend_from_slice(&header.bytes());
        scratch.extend_from_slice(&session.key.0);
        pack_number(scratch, member.0 as u64);
        session.peer.pack(scratch);
        pack_number(scratch, session.serial);
        pack_number(scratch, session.features.0.into());
        HibernatedSession { packed: Zeroizing::new(scratch[..].into()) }
    }

    /// Unpacks the session.
    ///
    /// Never inlined: it needs kilobytes of stack, and a function with such a frame touches each
    /// page of it on every call. Almost all callers find the session awake.
    #[cold]
    #[inline(never)]
    fn wake(&mut self) -> Box<Session> {
        let HibernatedHeader { keep_alives, scheduled, has_hint } = self.header();
        let (key, member, mut from) = self.open();
        let peer = Peer::unpack(&mut from, keep_alives);
        let serial = from.number();
        let mut session = Session::new(peer, key, serial, Tick::ZERO);
        session.features = Features(u32::try_from(from.number()).expect("packed from a `u32`"));
        session.activity = session.peer.link().progress();
        session.sign_in = SignInState::Done(member);
        session.scheduled = scheduled;
        session.stored_hint = session.validated_udp_addr().filter(|_| has_hint);
        Box::new(session)
    }

    /// Returns the key, the member, and the rest from the peer on.
    fn open(&self) -> (PublicKey, MemberId, Unpacker<'_>) {
        let mut from = Unpacker::new(&self.packed[HEADER_LEN..]);
        (PublicKey(from.bytes()), MemberId(from.size()), from)
    }

    #[cold]
    fn member(&self) -> MemberId {
        self.open().1
    }

    fn header(&self) -> HibernatedHeader {
        HibernatedHeader::read(&mut Unpacker::new(&self.packed))
    }

    fn set_header(&mut self, header: HibernatedHeader) {
        self.packed[..HEADER_LEN].copy_from_slice(&header.bytes());
    }
}

impl SessionEntry {
    pub(super) fn active(&self) -> Option<&Session> {
        match self {
            SessionEntry::Active(session) => Some(session),
            SessionEntry::Hibernated(_) => None,
        }
    }

    /// Returns the session, unpacked if necessary.
    pub(super) fn wake(&mut self) -> &mut Session {
        if let SessionEntry::Hibernated(hibernated) = self {
            *self = SessionEntry::Active(hibernated.wake());
        }
        match self {
            SessionEntry::Active(session) => session,
            SessionEntry::Hibernated(_) => unreachable!("just unpacked"),
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        match self {
            SessionEntry::Active(session) => session.key,
            SessionEntry::Hibernated(hibernated) => hibernated.open().0,
        }
    }

    #[inline]
    pub(super) fn member(&self) -> Option<MemberId> {
        match self {
            SessionEntry::Active(session) => session.member(),
            SessionEntry::Hibernated(hibernated) => Some(hibernated.member()),
        }
    }

    pub(super) fn path(&self) -> Option<Path> {
        match self {
            SessionEntry::Active(session) => session.peer.path(),
            SessionEntry::Hibernated(hibernated) => Some(Peer::peek(&mut hibernated.open().2).1),
        }
    }

    /// Returns its identifier, if a handshake may continue it.
    pub(super) fn id_to_continue(&self) -> Option<SessionId> {
        match self {
            SessionEntry::Active(session) => session.is_live().then(|| session.peer.id()),
            SessionEntry::Hibernated(hibernated) => Some(Peer::peek(&mut hibernated.open().2).0),
        }
    }

    /// Whether a packet of its client arrived recently.
    pub(super) fn is_responsive(&self) -> bool {
        self.active().is_none_or(|session| !session.is_silent)
    }

    /// Calls `visit` with the peer.
    pub(super) fn visit_peer<T>(&self, visit: impl FnOnce(&Peer) -> T) -> T {
        match self {
            SessionEntry::Active(session) => visit(&session.peer),
            SessionEntry::Hibernated(hibernated) => {
                visit(&Peer::unpack(&mut hibernated.open().2, hibernated.header().keep_alives))
            }
        }
    }
}

impl Session {
    /// Records whether there was activity since the last call.
    pub(super) fn record_activity(&mut self, now: Tick) {
        let activity = self.peer.link().progress();
        if activity != self.activity {
            self.activity = activity;
            self.active_at = now;
            self.hibernate_at.get_or_insert(now + HIBERNATE_AFTER);
        }
    }

    /// Clears the time of the hibernation check once it is reached, or moves it if there was
    /// activity.
    pub(super) fn handle_hibernate_time(&mut self, now: Tick) {
        if self.hibernate_at.is_some_and(|at| at <= now) {
            self.hibernate_at = Some(self.active_at + HIBERNATE_AFTER).filter(|at| *at > now);
        }
    }

    pub(super) fn may_hibernate(&self) -> bool {
        let later = || self.throttled_until.or(self.answers_at).or(self.control_from);
        let is_busy = || self.marked || self.is_hint_due || later().is_some() || !self.block_list.is_empty();
        self.hibernate_at.is_none()
            && matches!(self.sign_in, SignInState::Done(_))
            && self.intake == IntakePolicy::All
            && !self.is_waiting_for_mark
            && !is_busy()
            && !self.is_silent
            && self.closing_until.is_none()
            && self.pending_control.is_empty()
            && self.refusals.is_empty()
            && (self.stored_hint.is_none() || self.stored_hint == self.validated_udp_addr())
            && self.peer.may_hibernate()
    }
}

impl Sessions {
    /// Hibernates the session if it is idle and nothing is pending for it. Returns its member.
    pub(super) fn hibernate(&mut self, slot: SessionSlot) -> Option<MemberId> {
        let entry = self.slab.get_mut(slot.0)?;
        let SessionEntry::Active(session) = entry else { return None };
        let member = session.member().filter(|_| session.may_hibernate())?;
        *entry = SessionEntry::Hibernated(HibernatedSession::new(session, member, &mut self.scratch));
        Some(member)
    }

    /// Whether a packet may be passed to a session. A hibernated session is woken only by an
    /// authentic packet.
    pub(super) fn may_wake(&mut self, slot: SessionSlot, (now, path): (Tick, Path), bytes: &[u8]) -> bool {
        let Some(SessionEntry::Hibernated(hibernated)) = self.slab.get(slot.0) else { return true };
        let keep_alives = hibernated.header().keep_alives;
        let (_, _, mut from) = hibernated.open();
        Peer::may_open_hibernated(&mut from, keep_alives, (now, path), bytes, &mut self.scratch)
    }

    /// Answers a keep-alive of a hibernated session without waking it.
    ///
    /// `notes_full`: no more session hints are written, so a session without a hint is not woken to
    /// get one.
    pub(super) fn answer_hibernated(
        &mut self,
        slot: SessionSlot,
        (now, path): (Tick, Path),
        notes_full: bool,
        bytes: &[u8],
        out: &mut Out,
    ) -> HibernatedOutcome {
        let Some(SessionEntry::Hibernated(hibernated)) = self.slab.get_mut(slot.0) else {
            return HibernatedOutcome::Wake;
        };
        let header = hibernated.header();
        if !header.has_hint && !notes_full {
            return HibernatedOutcome::Wake;
        }
        let (_, _, mut from) = hibernated.open();
        let outcome = Peer::answer_hibernated(&mut from, header.keep_alives, (now, path), bytes, out);
        if outcome == HibernatedOutcome::Answered {
            let keep_alives = KeepAliveCount { count: header.keep_alives.count + 1, last: now };
            hibernated.set_header(HibernatedHeader { keep_alives, ..header });
        }
        outcome
    }

    /// Handles the deadline of a hibernated session. Returns `true` if a packet arrived
    /// since the deadline was set: the session stays hibernated.
    pub(super) fn stay_hibernated(
        &mut self,
        now: Tick,
        tick: Tick,
        slot: SessionSlot,
        deadlines: &mut Deadlines<Timer>,
    ) -> bool {
        let Some(SessionEntry::Hibernated(hibernated)) = self.slab.get_mut(slot.0) else { return false };
        let mut header = hibernated.header();
        let offline_at = offline_at(header.keep_alives.last);
        if offline_at <= now {
            return false;
        }
        header.scheduled.take_if(|scheduled| *scheduled == tick);
        deadlines.set(Timer::Session(slot), Some(offline_at), &mut header.scheduled);
        hibernated.set_header(header);
        true
    }
}

/// The relay has one for every member.
const _: () = assert!(size_of::<SessionEntry>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Effect, Outputs, Rng};
    use crate::peer::{PeerOptions, Role};
    use crate::session::{Keys, Lifetime};

    fn peer(role: Role) -> Peer {
        let path = Path::Udp(([192, 0, 2, 1], 1).into());
        let id = SessionId([1; 16]);
        let rng = Rng::from_seed([1; 32]);
        let keys = match role {
            Role::Client => Keys::new(1, 2, [3; 32], [4; 32]),
            Role::Relay => Keys::new(2, 1, [4; 32], [3; 32]),
        };
        let begin = PeerOptions { role, path, keys, id, rtt: None, lifetime: Lifetime::default(), rng };
        Peer::new(Tick::ZERO, begin).with_full_credit()
    }

    fn session() -> Session {
        session_and_client().0
    }

    /// Returns a session whose member has just signed in, at the end of its first turn.
    fn session_and_client() -> (Session, Peer) {
        let mut client = peer(Role::Client);
        let mut relay = peer(Role::Relay);
        let mut out = Outputs::<(), ()>::default();
        client.send_ping();
        client.flush(Tick::ZERO, &mut out);
        for effect in std::mem::take(&mut out.effects) {
            let Effect::Send(path, range) = effect else { continue };
            relay.handle_packet(Tick::ZERO, path, &mut out.bytes[range]);
        }
        relay.flush(Tick::ZERO, &mut out);
        let mut session = Session::new(relay, PublicKey([5; 32]), 100_000, Tick::ZERO);
        session.sign_in = SignInState::Done(MemberId(99_999));
        session.scheduled = Some(Tick::from_micros(600_000_000));
        (session, client)
    }

    /// Any kind of packet: a probe, a long packet, one on another path or carrier, one with a
    /// number far ahead.
    #[test]
    fn forged_packets_wake_no_session() {
        let (mut session, mut client) = session_and_client();
        session.hibernate_at = None;
        let mut sessions = Sessions::new(&crate::relay::Limits::default());
        sessions.insert(session);
        let slot = SessionSlot(0);
        sessions.hibernate(slot).expect("the session is idle");
        let mut out = Outputs::<(), ()>::default();
        let paths = [
            Path::Udp(([192, 0, 2, 1], 1).into()),
            Path::Udp(([192, 0, 2, 66], 6).into()),
            Path::Tcp(crate::base::ConnId(1)),
        ];
        for path in paths {
            client.probe(Tick::ZERO, path, [1; 8], &mut out);
        }
        for effect in &out.effects {
            let Effect::Send(path, range) = effect else { continue };
            let genuine = &out.bytes[range.clone()];
            let mut forged = genuine.to_vec();
            *forged.last_mut().unwrap() ^= 1;
            assert!(!sessions.may_wake(slot, (Tick::ZERO, *path), &forged));
            assert!(sessions.active(slot).is_none(), "it stays hibernated");
            assert!(sessions.may_wake(slot, (Tick::ZERO, *path), genuine));
        }
        assert_eq!(out.effects.len(), paths.len());
    }

    #[test]
    fn idle_session_and_its_member_are_small() {
        let mut session = session();
        assert!(session.may_hibernate());
        let hibernated = HibernatedSession::new(&mut session, MemberId(99_999), &mut Vec::new());
        assert!(hibernated.packed.len() <= 284, "{} bytes", hibernated.packed.len());
    }

    #[test]
    fn session_is_unchanged_by_hibernation() {
        let mut session = session();
        session.stored_hint = session.validated_udp_addr();
        let before = (session.key, session.serial, session.member(), session.stored_hint, session.scheduled);
        let packed = |session: &Session| {
            let mut packed = Vec::new();
            session.peer.pack(&mut packed);
            packed
        };
        let peer = packed(&session);
        let mut entry =
            SessionEntry::Hibernated(HibernatedSession::new(&mut session, MemberId(99_999), &mut Vec::new()));
        assert_eq!(entry.key(), before.0);
        assert_eq!(entry.member(), before.2);
        assert_eq!(entry.path(), session.peer.path());
        assert_eq!(entry.id_to_continue(), Some(SessionId([1; 16])));
        assert!(entry.is_responsive());
        let woken = entry.wake();
        assert_eq!(packed(woken), peer);
        let after = (woken.key, woken.serial, woken.member(), woken.stored_hint, woken.scheduled);
        assert!(after == before && woken.may_hibernate());
        woken.block_list.awaited = true;
        assert!(!woken.may_hibernate(), "the rest of its lists follows");
    }

    #[test]
    fn session_may_hibernate_1_s_after_last_activity() {
        let mut session = session();
        let at = |millis| Tick::ZERO + Duration::from_millis(millis);
        session.record_activity(at(0));
        assert_eq!(session.hibernate_at, None, "a keep-alive is not activity");
        session.activity = 7;
        session.record_activity(at(10));
        session.activity = 8;
        session.record_activity(at(500));
        assert_eq!(session.hibernate_at, Some(at(1_010)));
        session.handle_hibernate_time(at(1_010));
        assert_eq!(session.hibernate_at, Some(at(1_500)));
        assert!(!session.may_hibernate());
        session.handle_hibernate_time(at(1_500));
        assert!(session.may_hibernate());
        session.throttled_until = Some(at(9_000));
        assert!(!session.may_hibernate());
    }
}
