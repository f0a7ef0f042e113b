//! Hibernation: idle sessions of members are packed into a few hundred bytes until something
//! happens. Most of a relay's sessions are idle.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::{Beats, Path, PublicKey, Seldom, Tick, Unpacker, pack_number};
use crate::peer::{Peer, Resting};
use crate::relay::deadlines::Deadlines;
use crate::relay::marks::Taking;
use crate::relay::members::MemberId;
use crate::relay::screen::Screen;
use crate::relay::{Out, Timer};
use crate::session::SessionId;
use crate::wire::features::Features;

use super::{Session, Sessions, SignIn, Slot, offline_at};

/// Sessions idle for this long are hibernated. Keep-alives do not count as activity.
///
/// 1 s: longer than the pauses between programs that exchange letters. It is short enough that few
/// of the members that have just signed in are awake at once.
pub(super) const REST_AFTER: Duration = Duration::from_secs(1);

/// An entry of the table.
pub(super) enum Entry {
    Awake(Box<Session>),
    Asleep(Asleep),
}

/// A hibernated session of a member.
pub(super) struct Asleep {
    /// The part that changes during hibernation ([`Head`]), the key, the peer, and the rest.
    packed: Zeroizing<Box<[u8]>>,
    /// Its block list and allow list, if any.
    screen: Seldom<Screen>,
}

/// Fields at the start of the packed bytes, in fixed positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// Keep-alives answered since it was packed. [`Beats::last`] is the time of the last packet in
    /// any case.
    beats: Beats,
    /// Its scheduled deadline.
    scheduled: Option<Tick>,
    /// Whether its session hint is on disk or being written.
    noted: bool,
}

const HEAD_LEN: usize = size_of::<u32>() + 2 * size_of::<u64>() + 1;
/// Encodes a missing time.
const NEVER: u64 = u64::MAX;

impl Head {
    fn bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let scheduled = self.scheduled.map_or(NEVER, Tick::as_micros);
        bytes[..4].copy_from_slice(&self.beats.count.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.beats.last.as_micros().to_le_bytes());
        bytes[12..20].copy_from_slice(&scheduled.to_le_bytes());
        bytes[20] = u8::from(self.noted);
        bytes
    }

    fn read(from: &mut Unpacker<'_>) -> Head {
        let count = u32::from_le_bytes(from.bytes());
        let last = u64::from_le_bytes(from.bytes());
        let scheduled = Some(u64::from_le_bytes(from.bytes())).filter(|tick| *tick != NEVER);
        let beats = Beats { count, last: Tick::from_micros(last) };
        let noted = from.bytes() == [1];
        Head { beats, scheduled: scheduled.map(Tick::from_micros), noted }
    }
}

impl Asleep {
    /// Packs a session that may hibernate, using `scratch` as a buffer.
    fn new(session: &mut Session, member: MemberId, scratch: &mut Vec<u8>) -> Asleep {
        scratch.clear();
        let beats = Beats { count: 0, last: session.peer.link().last_heard() };
        let head = Head { beats, scheduled: session.scheduled, noted: session.noted.is_some() };
        scratch.extend_from_slice(&head.bytes());
        scratch.extend_from_slice(&session.key.0);
        pack_number(scratch, member.0 as u64);
        session.peer.pack(scratch);
        pack_number(scratch, session.serial);
        pack_number(scratch, session.features.0.into());
        let mut screen = std::mem::take(&mut session.screen);
        screen.put_away();
        Asleep { packed: Zeroizing::new(scratch[..].into()), screen }
    }

    /// Unpacks the session.
    ///
    /// Never inlined: it needs kilobytes of stack, and a function with such a frame touches each
    /// page of it on every call. Almost all callers find the session awake.
    #[cold]
    #[inline(never)]
    fn wake(&mut self) -> Box<Session> {
        let Head { beats, scheduled, noted } = self.head();
        let (key, member, mut from) = self.open();
        let peer = Peer::unpack(&mut from, beats);
        let serial = from.number();
        let mut session = Session::new(peer, key, serial, Tick::ZERO);
        session.features = Features(u32::try_from(from.number()).expect("packed from a `u32`"));
        session.said = session.peer.link().progress();
        session.sign_in = SignIn::Done(member);
        session.scheduled = scheduled;
        session.noted = session.whereabouts().filter(|_| noted);
        session.screen = std::mem::take(&mut self.screen);
        Box::new(session)
    }

    /// Returns the key, the member, and the rest from the peer on.
    fn open(&self) -> (PublicKey, MemberId, Unpacker<'_>) {
        let mut from = Unpacker::new(&self.packed[HEAD_LEN..]);
        (PublicKey(from.bytes()), MemberId(from.size()), from)
    }

    #[cold]
    fn member(&self) -> MemberId {
        self.open().1
    }

    fn head(&self) -> Head {
        Head::read(&mut Unpacker::new(&self.packed))
    }

    fn set_head(&mut self, head: Head) {
        self.packed[..HEAD_LEN].copy_from_slice(&head.bytes());
    }
}

impl Entry {
    pub(super) fn awake(&self) -> Option<&Session> {
        match self {
            Entry::Awake(session) => Some(session),
            Entry::Asleep(_) => None,
        }
    }

    /// Returns the session, unpacked if necessary.
    pub(super) fn wake(&mut self) -> &mut Session {
        if let Entry::Asleep(asleep) = self {
            *self = Entry::Awake(asleep.wake());
        }
        match self {
            Entry::Awake(session) => session,
            Entry::Asleep(_) => unreachable!("just unpacked"),
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        match self {
            Entry::Awake(session) => session.key,
            Entry::Asleep(asleep) => asleep.open().0,
        }
    }

    #[inline]
    pub(super) fn member(&self) -> Option<MemberId> {
        match self {
            Entry::Awake(session) => session.member(),
            Entry::Asleep(asleep) => Some(asleep.member()),
        }
    }

    pub(super) fn path(&self) -> Option<Path> {
        match self {
            Entry::Awake(session) => session.peer.path(),
            Entry::Asleep(asleep) => Some(Peer::peek(&mut asleep.open().2).1),
        }
    }

    /// Returns its identifier, if a handshake may continue it.
    pub(super) fn id_to_continue(&self) -> Option<SessionId> {
        match self {
            Entry::Awake(session) => session.is_live().then(|| session.peer.id()),
            Entry::Asleep(asleep) => Some(Peer::peek(&mut asleep.open().2).0),
        }
    }

    /// Whether its client was heard recently.
    pub(super) fn is_heard(&self) -> bool {
        self.awake().is_none_or(|session| !session.lost)
    }

    pub(super) fn screen(&self) -> &Screen {
        match self {
            Entry::Awake(session) => &session.screen,
            Entry::Asleep(asleep) => &asleep.screen,
        }
    }

    /// Calls `look` with the peer.
    pub(super) fn look_at_peer<T>(&self, look: impl FnOnce(&Peer) -> T) -> T {
        match self {
            Entry::Awake(session) => look(&session.peer),
            Entry::Asleep(asleep) => look(&Peer::unpack(&mut asleep.open().2, asleep.head().beats)),
        }
    }
}

impl Session {
    /// Records whether there was activity since the last call.
    pub(super) fn note_talk(&mut self, now: Tick) {
        let said = self.peer.link().progress();
        if said != self.said {
            self.said = said;
            self.said_at = now;
            self.rest_at.get_or_insert(now + REST_AFTER);
        }
    }

    /// Clears the time of the hibernation check once it is reached, or moves it if there was
    /// activity.
    pub(super) fn handle_rest_time(&mut self, now: Tick) {
        if self.rest_at.is_some_and(|at| at <= now) {
            self.rest_at = Some(self.said_at + REST_AFTER).filter(|at| *at > now);
        }
    }

    pub(super) fn may_rest(&self) -> bool {
        let later = || self.throttled_until.or(self.answers_at).or(self.control_from);
        let waits = || self.marked || self.note_due || later().is_some() || self.screen.awaited;
        self.rest_at.is_none()
            && matches!(self.sign_in, SignIn::Done(_))
            && self.taking == Taking::Letters
            && !self.awaits_mark
            && !waits()
            && !self.lost
            && self.closing_until.is_none()
            && self.owed.is_empty()
            && self.refusals.is_empty()
            && (self.noted.is_none() || self.noted == self.whereabouts())
            && self.peer.is_quiet()
    }
}

impl Sessions {
    /// Hibernates the session if it is idle and nothing is pending for it. Returns its member.
    pub(super) fn lull(&mut self, slot: Slot) -> Option<MemberId> {
        let entry = self.slab.get_mut(slot.0)?;
        let Entry::Awake(session) = entry else { return None };
        let member = session.member().filter(|_| session.may_rest())?;
        *entry = Entry::Asleep(Asleep::new(session, member, &mut self.scratch));
        Some(member)
    }

    /// Whether a packet may be passed to a session. A hibernated session is woken only by an
    /// authentic packet.
    pub(super) fn may_wake(&mut self, slot: Slot, (now, path): (Tick, Path), bytes: &[u8]) -> bool {
        let Some(Entry::Asleep(asleep)) = self.slab.get(slot.0) else { return true };
        let beats = asleep.head().beats;
        let (_, _, mut from) = asleep.open();
        Peer::opens_at_rest(&mut from, beats, (now, path), bytes, &mut self.scratch)
    }

    /// Answers a keep-alive of a hibernated session without waking it.
    ///
    /// `notes_full`: no more session hints are written, so a session without a hint is not woken to
    /// get one.
    pub(super) fn answer_asleep(
        &mut self,
        slot: Slot,
        (now, path): (Tick, Path),
        notes_full: bool,
        bytes: &[u8],
        out: &mut Out,
    ) -> Resting {
        let Some(Entry::Asleep(asleep)) = self.slab.get_mut(slot.0) else { return Resting::Wakes };
        let head = asleep.head();
        if !head.noted && !notes_full {
            return Resting::Wakes;
        }
        let (_, _, mut from) = asleep.open();
        let answered = Peer::answer_at_rest(&mut from, head.beats, (now, path), bytes, out);
        if answered == Resting::Answered {
            let beats = Beats { count: head.beats.count + 1, last: now };
            asleep.set_head(Head { beats, ..head });
        }
        answered
    }

    /// Handles the deadline of a hibernated session. Returns `true` if it was heard since the
    /// deadline was set, and therefore stays hibernated.
    pub(super) fn sleep_on(
        &mut self,
        now: Tick,
        tick: Tick,
        slot: Slot,
        deadlines: &mut Deadlines<Timer>,
    ) -> bool {
        let Some(Entry::Asleep(asleep)) = self.slab.get_mut(slot.0) else { return false };
        let mut head = asleep.head();
        let due = offline_at(head.beats.last);
        if due <= now {
            return false;
        }
        head.scheduled.take_if(|scheduled| *scheduled == tick);
        deadlines.set(Timer::Session(slot), Some(due), &mut head.scheduled);
        asleep.set_head(head);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Effect, Outputs, Rng};
    use crate::peer::{Begin, Role};
    use crate::relay::letters::Place;
    use crate::session::{Keys, Lifetime};

    fn peer(role: Role) -> Peer {
        let path = Path::Udp(([192, 0, 2, 1], 1).into());
        let id = SessionId([1; 16]);
        let rng = Rng::from_seed([1; 32]);
        let keys = match role {
            Role::Client => Keys::new(1, 2, [3; 32], [4; 32]),
            Role::Relay => Keys::new(2, 1, [4; 32], [3; 32]),
        };
        let begin = Begin { role, path, keys, id, rtt: None, lifetime: Lifetime::default(), rng };
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
        client.poke();
        client.flush(Tick::ZERO, &mut out);
        for effect in std::mem::take(&mut out.effects) {
            let Effect::Send(path, range) = effect else { continue };
            relay.handle_packet(Tick::ZERO, path, &mut out.bytes[range]);
        }
        relay.flush(Tick::ZERO, &mut out);
        let mut session = Session::new(relay, PublicKey([5; 32]), 100_000, Tick::ZERO);
        session.sign_in = SignIn::Done(MemberId(99_999));
        session.scheduled = Some(Tick::from_micros(600_000_000));
        (session, client)
    }

    /// Any kind of packet: a probe, a long packet, one on another path or carrier, one with a
    /// number far ahead.
    #[test]
    fn forged_packets_wake_no_session() {
        let (mut session, mut client) = session_and_client();
        session.rest_at = None;
        let mut sessions = Sessions::new(&crate::relay::Limits::default());
        sessions.insert(session);
        let slot = Slot(0);
        sessions.lull(slot).expect("the session is idle");
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
            assert!(sessions.awake(slot).is_none(), "it stays hibernated");
            assert!(sessions.may_wake(slot, (Tick::ZERO, *path), genuine));
        }
        assert_eq!(out.effects.len(), paths.len());
    }

    #[test]
    fn idle_session_and_its_member_are_small() {
        let mut session = session();
        assert!(session.may_rest());
        let asleep = Asleep::new(&mut session, MemberId(99_999), &mut Vec::new());
        assert!(asleep.packed.len() <= 284, "{} bytes", asleep.packed.len());
        assert!(size_of::<Entry>() <= 24, "{}", size_of::<Entry>());
        assert!(size_of::<Place>() <= 104, "{}", size_of::<Place>());
    }

    #[test]
    fn session_is_unchanged_by_hibernation() {
        let mut session = session();
        session.noted = session.whereabouts();
        session.screen.only = Some(Default::default());
        let before = (session.key, session.serial, session.member(), session.noted, session.scheduled);
        let packed = |session: &Session| {
            let mut packed = Vec::new();
            session.peer.pack(&mut packed);
            packed
        };
        let peer = packed(&session);
        let mut entry = Entry::Asleep(Asleep::new(&mut session, MemberId(99_999), &mut Vec::new()));
        assert_eq!(entry.key(), before.0);
        assert_eq!(entry.member(), before.2);
        assert_eq!(entry.path(), session.peer.path());
        assert_eq!(entry.id_to_continue(), Some(SessionId([1; 16])));
        assert!(entry.is_heard());
        assert!(entry.screen().only.is_some());
        let woken = entry.wake();
        assert_eq!(packed(woken), peer);
        let after = (woken.key, woken.serial, woken.member(), woken.noted, woken.scheduled);
        assert!(after == before && woken.screen.only.is_some() && woken.may_rest());
    }

    #[test]
    fn session_may_hibernate_1_s_after_last_activity() {
        let mut session = session();
        let at = |millis| Tick::ZERO + Duration::from_millis(millis);
        session.note_talk(at(0));
        assert_eq!(session.rest_at, None, "a keep-alive is not activity");
        session.said = 7;
        session.note_talk(at(10));
        session.said = 8;
        session.note_talk(at(500));
        assert_eq!(session.rest_at, Some(at(1_010)));
        session.handle_rest_time(at(1_010));
        assert_eq!(session.rest_at, Some(at(1_500)));
        assert!(!session.may_rest());
        session.handle_rest_time(at(1_500));
        assert!(session.may_rest());
        session.throttled_until = Some(at(9_000));
        assert!(!session.may_rest());
    }
}
