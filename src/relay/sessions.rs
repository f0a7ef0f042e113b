//! The table of sessions, and the ways to find one.

mod handshakes;
mod hibernate;
mod refusals;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use slab::Slab;
use zeroize::Zeroizing;

use crate::base::{LazyBox, Path, PublicKey, RateLimiter, Tick};
use crate::peer::{PacketOutcome, Peer};
use crate::session::{Indexes, SessionId};
use crate::wire::features::Features;
use crate::wire::message::ToClient;

use super::Timer;
use super::block_list::SessionBlockList;
use super::deadlines::Deadlines;
use super::ids::{MemberId, SessionSlot};
use super::limits::{
    FORGOTTEN_AFTER, Limits, OFFLINE_AFTER, SESSIONS_OF_KEY_MAX, SIGNED_IN_WITHIN, UNCONFIRMED_FOR,
};
use super::marks::{IntakePolicy, OutboxClaim};
use super::records::SessionHint;
pub(super) use handshakes::PendingInits;
use hibernate::SessionEntry;
use refusals::Refusals;
pub(super) use refusals::RefusedLetter;

/// Granularity of the times at which silent sessions are detected, and at which silent and
/// unconfirmed ones are forgotten. Thousands of them share a turn for it, and each is delayed by at
/// most this.
const OFFLINE_GRID: Duration = Duration::from_millis(250);

/// Maximum sessions marked in one turn. Each touches a few kilobytes, so 64 still fit into the
/// processor's L2 cache (1 MiB) when they are flushed. Their packets fill two `sendmmsg` calls.
const MARKED_MANY: usize = 64;

/// Returns the time at which a session without packets since `last_received` counts as silent.
fn offline_at(last_received: Tick) -> Tick {
    (last_received + OFFLINE_AFTER).rounded_up(OFFLINE_GRID)
}

/// Progress of a session's sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInState {
    /// It has claimed no name.
    None,
    /// Its name is being made durable.
    Waiting(MemberId),
    /// It is delayed until this time, because the name has just moved to another machine.
    Held(MemberId, Tick),
    /// The mark of its outbox is being made durable.
    Marking(MemberId),
    /// It is signed in as this member.
    Done(MemberId),
    /// Its claim was refused.
    Refused,
}

/// One session.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) key: PublicKey,
    /// Number of the session: newer sessions have higher ones.
    pub(super) serial: u64,
    pub(super) sign_in: SignInState,
    /// Its claim about its outbox, until it is welcomed.
    pub(super) outbox_claim: Option<Box<OutboxClaim>>,
    pub(super) intake: IntakePolicy,
    /// Whether a mark that it has sent is being written, and must be confirmed.
    pub(super) is_waiting_for_mark: bool,
    /// Control messages that wait for space in the stream, in order.
    pub(super) pending_control: VecDeque<Vec<u8>>,
    /// Letters refused in this turn.
    refusals: Refusals,
    /// Whether it was sent receipts that it has not acknowledged.
    pub(super) are_receipts_sent: bool,
    /// Times from which letters may be read again, and waiting flows are answered.
    pub(super) throttled_until: Option<Tick>,
    pub(super) answers_at: Option<Tick>,
    /// Time from which control messages may be read again, and the rate of a session without a
    /// name. Members have a rate in their `ClientState`.
    pub(super) control_from: Option<Tick>,
    pub(super) control: RateLimiter,
    /// Whether the client has been silent for too long: its letters go to the mailbox until a
    /// packet of it arrives.
    pub(super) is_silent: bool,
    /// The hint that is on disk or being written.
    pub(super) stored_hint: Option<SessionHint>,
    /// Whether the hint must be updated with the next record.
    pub(super) is_hint_due: bool,
    /// The lists that it is sending.
    pub(super) block_list: LazyBox<SessionBlockList>,
    /// Features of the client.
    pub(super) features: Features,
    /// Recipient of its last letter, and sender of the last letter it stored. Usually they are the
    /// same again, and need no lookup.
    pub(super) last_recipient: Option<MemberId>,
    pub(super) last_stored_sender: Option<MemberId>,
    /// Stored letters minus read watermarks; at most [`UNREAD_MAX`](super::limits::UNREAD_MAX).
    /// Forgotten while the session is hibernated.
    pub(super) unread: u64,
    closing_until: Option<Tick>,
    /// When its first packet came; before that, the time of the handshake.
    opened: Tick,
    scheduled: Option<Tick>,
    marked: bool,
    /// Activity counter, the time of its last change, and the time of the next check for
    /// hibernation.
    activity: u64,
    active_at: Tick,
    hibernate_at: Option<Tick>,
}

impl Session {
    fn new(peer: Peer, key: PublicKey, serial: u64, now: Tick) -> Session {
        Session {
            peer,
            key,
            serial,
            sign_in: SignInState::None,
            outbox_claim: None,
            intake: IntakePolicy::All,
            is_waiting_for_mark: false,
            pending_control: VecDeque::new(),
            refusals: Refusals::default(),
            are_receipts_sent: false,
            throttled_until: None,
            answers_at: None,
            control_from: None,
            control: RateLimiter::default(),
            is_silent: false,
            stored_hint: None,
            is_hint_due: false,
            block_list: LazyBox::default(),
            features: Features::default(),
            last_recipient: None,
            last_stored_sender: None,
            unread: 0,
            closing_until: None,
            opened: now,
            scheduled: None,
            marked: false,
            activity: 0,
            active_at: now,
            hibernate_at: None,
        }
    }

    fn is_live(&self) -> bool {
        self.peer.is_confirmed() && self.closing_until.is_none()
    }

    /// Returns the time at which it is forgotten, if it has no name and does not wait for one.
    fn name_deadline(&self) -> Option<Tick> {
        matches!(self.sign_in, SignInState::None | SignInState::Refused)
            .then(|| self.opened + SIGNED_IN_WITHIN)
    }

    /// Sends a control message, now or as soon as there is space.
    pub(super) fn send_control(&mut self, message: &ToClient<'_>) {
        if !self.features.has_all(message.needs()) {
            return;
        }
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.pending_control.push_back(bytes);
    }

    /// Reports a refusal at the end of the turn, merged with those of adjacent letters.
    pub(super) fn refuse(&mut self, refusal: RefusedLetter<'_>) {
        let reason = refusal.reason.known_to(self.features);
        let refusal = RefusedLetter { reason, ..refusal };
        self.pending_control.extend(self.refusals.add(refusal));
    }

    /// Returns the number of messages that wait for the end of the turn or for space.
    pub(super) fn pending_len(&self) -> usize {
        self.pending_control.len() + self.refusals.len()
    }

    /// Queues the refusals of this turn.
    #[inline]
    pub(super) fn send_refusals(&mut self) {
        while !self.refusals.is_empty() {
            self.pending_control.extend(self.refusals.next());
        }
    }

    pub(super) fn member(&self) -> Option<MemberId> {
        match self.sign_in {
            SignInState::Done(member) => Some(member),
            _ => None,
        }
    }

    /// Returns the validated UDP address of a member's session.
    pub(super) fn validated_udp_addr(&self) -> Option<SessionHint> {
        self.member()?;
        let (path, index) = self.peer.validated_path()?;
        Some(SessionHint { addr: path.udp_peer()?, index, local: path.local_ip() })
    }

    /// Whether the hint differs from the one that is on disk or being written.
    pub(super) fn wants_hint(&self) -> bool {
        !self.is_hint_due && self.stored_hint != self.validated_udp_addr()
    }

    #[inline]
    fn deadline(&self, now: Tick) -> Option<Tick> {
        let last_received = self.peer.link().last_received();
        if let Some(until) = self.closing_until {
            return Some(until);
        }
        if !self.peer.is_confirmed() {
            return Some((self.opened + UNCONFIRMED_FOR).rounded_up(OFFLINE_GRID));
        }
        let sign_in_deadline =
            if let SignInState::Held(_, until) = self.sign_in { Some(until) } else { self.name_deadline() };
        // A session is marked as lost before it is forgotten.
        let silent = match self.is_silent {
            true => (last_received + FORGOTTEN_AFTER).rounded_up(OFFLINE_GRID),
            false => offline_at(last_received),
        };
        Tick::earliest([
            self.peer.next_deadline(now),
            Some(silent),
            self.throttled_until,
            self.answers_at,
            self.control_from,
            sign_in_deadline,
            self.hibernate_at,
        ])
    }
}

/// All sessions, and the ways to find them.
pub(super) struct Sessions {
    slab: Slab<SessionEntry>,
    indexes: Indexes<SessionSlot>,
    /// Sessions of each key, oldest first, by the key's [`prefix`] and serial number.
    by_key: BTreeMap<(u64, u64), SessionSlot>,
    /// Expendable sessions, oldest first: not signed in, or closing.
    strangers: BTreeSet<(u64, SessionSlot)>,
    next_serial: u64,
    marked: Vec<SessionSlot>,
    len_max: usize,
    strangers_max: usize,
    /// Bytes that all sessions hold behind gaps, and their limit.
    gapped: usize,
    gapped_max: usize,
    indexes_scheduled: Option<Tick>,
    /// Reused buffer for packing a session, which includes its keys.
    scratch: Zeroizing<Vec<u8>>,
}

/// Returns the first bytes of a key. Finding two keys with the same prefix is expensive and breaks
/// nothing.
fn prefix(key: &PublicKey) -> u64 {
    u64::from_be_bytes(*key.0.first_chunk().expect("a key has 32 bytes"))
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Sessions {
        let len_max = limits.sessions;
        Sessions {
            slab: Slab::new(),
            // Each session has up to four live indexes during a rekey, and as many that are
            // retired.
            indexes: Indexes::new(len_max.saturating_mul(8)),
            by_key: BTreeMap::new(),
            strangers: BTreeSet::new(),
            next_serial: 0,
            marked: Vec::new(),
            len_max,
            strangers_max: limits.strangers,
            gapped: 0,
            gapped_max: limits.reassembly_bytes,
            indexes_scheduled: None,
            scratch: Zeroizing::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn gapped_bytes(&self) -> usize {
        self.gapped
    }

    /// Handles a data packet of a session, within the gap space left for all of them.
    fn handle_packet(&mut self, now: Tick, slot: SessionSlot, path: Path, bytes: &mut [u8]) -> PacketOutcome {
        let Some(session) = self.slab.get_mut(slot.0).map(SessionEntry::wake) else {
            return PacketOutcome::Dropped;
        };
        let other_gapped = self.gapped - session.peer.link().gapped();
        session.peer.set_gapped_max(self.gapped_max.saturating_sub(other_gapped));
        let outcome = session.peer.handle_packet(now, path, bytes);
        self.gapped = other_gapped + session.peer.link().gapped();
        outcome
    }

    /// Closes a session and releases its gap space.
    fn close(&mut self, slot: SessionSlot, code: u16, reason: &'static str) {
        let Some(session) = self.slab.get_mut(slot.0).map(SessionEntry::wake) else { return };
        self.gapped -= session.peer.link().gapped();
        session.peer.close(code, reason);
    }

    pub(super) fn get_mut(&mut self, slot: SessionSlot) -> Option<&mut Session> {
        self.slab.get_mut(slot.0).map(SessionEntry::wake)
    }

    fn active(&self, slot: SessionSlot) -> Option<&Session> {
        self.slab.get(slot.0).and_then(SessionEntry::active)
    }

    /// Returns the time limit of a session without a name.
    pub(super) fn name_deadline(&self, slot: SessionSlot) -> Option<Tick> {
        self.active(slot).and_then(Session::name_deadline)
    }

    /// Whether the session with this serial number exists.
    pub(super) fn is_serial(&self, slot: SessionSlot, serial: u64) -> bool {
        self.active(slot).is_some_and(|session| session.serial == serial)
    }

    /// Whether the session with this serial number exists and is not confirmed.
    pub(super) fn is_unconfirmed(&self, slot: SessionSlot, serial: u64) -> bool {
        self.active(slot).is_some_and(|session| session.serial == serial && !session.peer.is_confirmed())
    }

    /// Returns the handling of letters from this session.
    #[inline]
    pub(super) fn intake(&self, slot: SessionSlot) -> IntakePolicy {
        self.active(slot).map_or(IntakePolicy::All, |session| session.intake)
    }

    /// Returns the member that is signed in by this session.
    #[inline]
    pub(super) fn member(&self, slot: SessionSlot) -> Option<MemberId> {
        self.slab.get(slot.0)?.member()
    }

    /// Returns the path on which packets of this session are sent.
    pub(super) fn path(&self, slot: SessionSlot) -> Option<Path> {
        self.slab.get(slot.0)?.path()
    }

    /// Whether a packet of this session's client arrived recently.
    pub(super) fn is_responsive(&self, slot: SessionSlot) -> bool {
        self.slab.get(slot.0).is_some_and(SessionEntry::is_responsive)
    }

    /// Marks a session that must send something at the end of the turn.
    pub(super) fn mark(&mut self, slot: SessionSlot) {
        if let Some(session) = self.get_mut(slot)
            && !std::mem::replace(&mut session.marked, true)
        {
            self.marked.push(slot);
        }
    }

    /// Whether the number of marked sessions has reached the limit of a turn.
    pub(super) fn are_many_marked(&self) -> bool {
        self.marked.len() >= MARKED_MANY
    }

    /// Returns the next marked session; the caller resets its mark.
    pub(super) fn pop_marked(&mut self) -> Option<SessionSlot> {
        self.marked.pop()
    }

    /// Returns the sessions of this key that wait for their member's name to become durable, newest
    /// last.
    pub(super) fn waiting_for(&self, member: MemberId, key: PublicKey) -> Vec<SessionSlot> {
        let waits = |slot: &SessionSlot| {
            self.active(*slot).is_some_and(|s| s.sign_in == SignInState::Waiting(member))
        };
        self.of_key(key).filter(waits).collect()
    }

    pub(super) fn all(&self) -> Vec<SessionSlot> {
        self.slab.iter().map(|(slot, _)| SessionSlot(slot)).collect()
    }

    pub(super) fn visit_peers(&self, mut visit: impl FnMut(&Peer)) {
        self.slab.iter().for_each(|(_, entry)| entry.visit_peer(&mut visit));
    }

    pub(super) fn handle_index_time(&mut self, now: Tick) {
        self.indexes_scheduled = None;
        self.indexes.handle_time(now);
    }

    pub(super) fn schedule_indexes(&mut self, deadlines: &mut Deadlines<Timer>) {
        deadlines.set(Timer::Indexes, self.indexes.next_deadline(), &mut self.indexes_scheduled);
    }

    /// Returns the sessions of a key, oldest first.
    fn of_key(&self, key: PublicKey) -> impl Iterator<Item = SessionSlot> + '_ {
        let prefix = prefix(&key);
        let same_prefix = self.by_key.range((prefix, 0)..=(prefix, u64::MAX)).map(|(_, slot)| *slot);
        same_prefix.filter(move |slot| self.slab.get(slot.0).is_some_and(|entry| entry.key() == key))
    }

    /// Inserts a new session at [`Slab::vacant_key`].
    fn insert(&mut self, session: Session) {
        let key = (prefix(&session.key), session.serial);
        let stranger = session.serial;
        let slot = SessionSlot(self.slab.insert(SessionEntry::Active(Box::new(session))));
        self.strangers.insert((stranger, slot));
        self.by_key.insert(key, slot);
    }

    /// Returns the session of this key that a handshake continues.
    fn find(&self, key: &PublicKey, id: SessionId) -> Option<SessionSlot> {
        let id_of = |slot: &SessionSlot| self.slab.get(slot.0).and_then(SessionEntry::id_to_continue);
        self.of_key(*key).find(|slot| id_of(slot) == Some(id))
    }

    /// Returns the oldest closing session of this key if the key has the maximum number. The limit
    /// keeps searches among the sessions of one key short.
    fn closing_to_evict(&self, key: &PublicKey) -> Option<SessionSlot> {
        let is_closing = |slot: &SessionSlot| self.active(*slot).is_some_and(|s| s.closing_until.is_some());
        let is_full = self.of_key(*key).count() >= SESSIONS_OF_KEY_MAX;
        self.of_key(*key).find(is_closing).filter(|_| is_full)
    }

    /// Returns the session to evict before another stranger is admitted: the oldest stranger.
    fn stranger_to_evict(&self) -> Option<SessionSlot> {
        let full = self.strangers.len() >= self.strangers_max || self.slab.len() >= self.len_max;
        self.strangers.first().filter(|_| full).map(|oldest| oldest.1)
    }

    /// Sets whether a session may be evicted.
    pub(super) fn set_stranger(&mut self, slot: SessionSlot, is_stranger: bool) {
        let Some(session) = self.get_mut(slot) else { return };
        let entry = (session.serial, slot);
        if is_stranger {
            self.strangers.insert(entry)
        } else {
            self.strangers.remove(&entry)
        };
    }

    /// Returns confirmed sessions of the same key that began earlier and have no name: one of them
    /// is enough.
    fn nameless_before(&self, slot: SessionSlot) -> Vec<SessionSlot> {
        let Some(key) = self.slab.get(slot.0).map(SessionEntry::key) else { return Vec::new() };
        let is_nameless =
            |other: &SessionSlot| self.active(*other).is_some_and(|s| s.is_live() && s.member().is_none());
        self.of_key(key).take_while(|other| *other != slot).filter(is_nameless).collect()
    }

    /// Whether `later`, a session of the same key, began after this one.
    pub(super) fn is_before(&self, slot: SessionSlot, later: SessionSlot) -> bool {
        let Some(key) = self.slab.get(slot.0).map(SessionEntry::key) else { return false };
        self.of_key(key).skip_while(|other| *other != slot).skip(1).any(|other| other == later)
    }

    /// Frees indexes that this session has retired. Returns whether there were any.
    fn free_indexes(&mut self, now: Tick, slot: SessionSlot) -> bool {
        let Some(session) = self.slab.get_mut(slot.0).map(SessionEntry::wake) else { return false };
        let mut freed = false;
        while let Some(index) = session.peer.next_freed() {
            freed |= self.indexes.free(now, session.peer.linger(), index).is_some();
        }
        freed
    }

    fn forget(&mut self, now: Tick, slot: SessionSlot) -> Option<Session> {
        self.free_indexes(now, slot);
        let SessionEntry::Active(session) = self.slab.try_remove(slot.0)? else {
            unreachable!("freeing the indexes woke the session");
        };
        self.strangers.remove(&(session.serial, slot));
        self.gapped -= session.peer.link().gapped();
        let rest = session.peer.linger();
        for index in session.peer.local_indexes() {
            self.indexes.free(now, rest, index);
        }
        self.by_key.remove(&(prefix(&session.key), session.serial));
        Some(*session)
    }
}
