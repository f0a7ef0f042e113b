//! Who is connected: the table of sessions, and the ways to find one.

mod asleep;
mod handshakes;
mod refusals;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use slab::Slab;
use zeroize::Zeroizing;

use crate::base::{Path, PublicKey, Seldom, Tick};
use crate::peer::{Heard, Peer};
use crate::session::{Indexes, SessionId};
use crate::wire::features::Features;
use crate::wire::message::ToClient;

use super::Timer;
use super::deadlines::Deadlines;
use super::limits::{
    Bucket, FORGOTTEN_AFTER, Limits, OFFLINE_AFTER, SESSIONS_OF_KEY_MAX, SIGNED_IN_WITHIN, UNCONFIRMED_FOR,
};
use super::marks::{Claim, Taking};
use super::members::MemberId;
use super::records::SessionNote;
use super::screen::Screen;
use asleep::Entry;
pub(super) use handshakes::Arrivals;
use refusals::Refusals;
pub(super) use refusals::RefusedLetter;

/// The place of a session in the table. It may come to stand for a later session; whoever keeps one has to bear that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) usize);

/// Sessions are found to be silent at moments that are so far apart: thousands of idle ones share a turn for it, and each
/// is put off by no more than this.
const OFFLINE_GRID: Duration = Duration::from_millis(250);

/// Sessions marked in one turn. Each takes a few kilobytes with all that is looked at for it: so many of them are still in
/// the processor's second cache (1 MiB) when they are flushed, and fill two `sendmmsg`.
const MARKED_MANY: usize = 64;

/// When a session that was heard last at `heard` is found to be silent.
fn offline_at(heard: Tick) -> Tick {
    (heard + OFFLINE_AFTER).rounded_up(OFFLINE_GRID)
}

/// How far a session has come with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    /// It has claimed none.
    None,
    /// Its name is being made durable.
    Waiting(MemberId),
    /// It is this member, but not before then: the name has just passed to another machine.
    Held(MemberId, Tick),
    /// It is this member, and the mark of its outbox is being made durable.
    Marking(MemberId),
    /// It is this member.
    Done(MemberId),
    /// It may not have the name it claimed.
    Refused,
}

/// One session.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) key: PublicKey,
    /// Counts the sessions: the higher, the newer.
    pub(super) serial: u64,
    pub(super) sign_in: SignIn,
    /// What it said of its outbox, before it is welcomed.
    pub(super) claim: Option<Box<Claim>>,
    pub(super) taking: Taking,
    /// A mark that it has said is on its way to the disk, and it waits to hear of that.
    pub(super) awaits_mark: bool,
    /// Control messages that found no room, in order.
    pub(super) owed: VecDeque<Vec<u8>>,
    /// Letters refused in this turn.
    refusals: Refusals,
    /// When letters may be read again, and when conversations of which nothing is said are
    /// answered.
    pub(super) throttled_until: Option<Tick>,
    pub(super) answers_at: Option<Tick>,
    /// When more may be read on control, and what a session without a name may say there; a member
    /// has its place's share.
    pub(super) control_from: Option<Tick>,
    pub(super) control: Bucket,
    /// Its other end has been silent for too long: letters for it go to its mailbox until it is heard.
    pub(super) lost: bool,
    /// What the disk has, or is being given, of where it is.
    pub(super) noted: Option<SessionNote>,
    /// That is to be looked at when notes are written next.
    pub(super) note_due: bool,
    /// Whose letters it does not want.
    pub(super) screen: Seldom<Screen>,
    /// What its other end has said that it understands.
    pub(super) features: Features,
    /// Whom its last letter went to, and whose letters it stored last: mostly it is them again, and they need not be looked
    /// for.
    pub(super) wrote_to: Option<MemberId>,
    pub(super) stored_of: Option<MemberId>,
    /// Letters it has stored, less what it has said of their reading; at most
    /// [`UNREAD_MAX`](super::limits::UNREAD_MAX). Forgotten while it sleeps.
    pub(super) unread: u64,
    closing_until: Option<Tick>,
    opened: Tick,
    scheduled: Option<Tick>,
    marked: bool,
    /// How much was said in it, when that last changed, and when to look whether it may rest.
    said: u64,
    said_at: Tick,
    rest_at: Option<Tick>,
}

impl Session {
    fn new(peer: Peer, key: PublicKey, serial: u64, now: Tick) -> Session {
        Session {
            peer,
            key,
            serial,
            sign_in: SignIn::None,
            claim: None,
            taking: Taking::Letters,
            awaits_mark: false,
            owed: VecDeque::new(),
            refusals: Refusals::default(),
            throttled_until: None,
            answers_at: None,
            control_from: None,
            control: Bucket::default(),
            lost: false,
            noted: None,
            note_due: false,
            screen: Seldom::default(),
            features: Features::default(),
            wrote_to: None,
            stored_of: None,
            unread: 0,
            closing_until: None,
            opened: now,
            scheduled: None,
            marked: false,
            said: 0,
            said_at: now,
            rest_at: None,
        }
    }

    fn is_live(&self) -> bool {
        self.peer.is_confirmed() && self.closing_until.is_none()
    }

    /// When it is over, if it has no name by then and does not wait for one.
    fn named_by(&self) -> Option<Tick> {
        matches!(self.sign_in, SignIn::None | SignIn::Refused).then(|| self.opened + SIGNED_IN_WITHIN)
    }

    /// Says something on the control stream, now or as soon as there is room.
    pub(super) fn say(&mut self, message: &ToClient<'_>) {
        if !self.features.has_all(message.needs()) {
            return;
        }
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.owed.push_back(bytes);
    }

    /// Says at the end of the turn that a letter is refused, together with those before and behind
    /// it.
    pub(super) fn refuse(&mut self, refusal: RefusedLetter<'_>) {
        let reason = refusal.reason.known_to(self.features);
        let refusal = RefusedLetter { reason, ..refusal };
        self.owed.extend(self.refusals.add(refusal));
    }

    /// Messages that wait for the end of the turn or for room.
    pub(super) fn owed_len(&self) -> usize {
        self.owed.len() + self.refusals.len()
    }

    /// The turn ends: says what was refused in it.
    #[inline]
    pub(super) fn say_refusals(&mut self) {
        while !self.refusals.is_empty() {
            self.owed.extend(self.refusals.next());
        }
    }

    pub(super) fn member(&self) -> Option<MemberId> {
        match self.sign_in {
            SignIn::Done(member) => Some(member),
            _ => None,
        }
    }

    /// Where a member is over UDP, once it has proved that it is there.
    pub(super) fn whereabouts(&self) -> Option<SessionNote> {
        self.member()?;
        let (path, index) = self.peer.proven_at()?;
        Some(SessionNote { addr: path.udp_peer()?, index, asked: path.leaves_from() })
    }

    /// Whether the disk has, or is being given, something else than that.
    pub(super) fn is_to_be_noted(&self) -> bool {
        !self.note_due && self.noted != self.whereabouts()
    }

    #[inline]
    fn deadline(&self, now: Tick) -> Option<Tick> {
        let heard = self.peer.link().last_heard();
        if let Some(until) = self.closing_until {
            return Some(until);
        }
        if !self.peer.is_confirmed() {
            return Some(self.opened + UNCONFIRMED_FOR);
        }
        let held = if let SignIn::Held(_, until) = self.sign_in { Some(until) } else { self.named_by() };
        // Whoever is forgotten was lost before.
        let silent = if self.lost { heard + FORGOTTEN_AFTER } else { offline_at(heard) };
        Tick::earliest([
            self.peer.next_deadline(now),
            Some(silent),
            self.throttled_until,
            self.answers_at,
            self.control_from,
            held,
            self.rest_at,
        ])
    }
}

/// All sessions, and the ways to find them.
pub(super) struct Sessions {
    slab: Slab<Entry>,
    indexes: Indexes<Slot>,
    /// The sessions of each key, the oldest first. Keys are told apart by [`prefix`], and then as a whole.
    by_key: BTreeMap<(u64, u64), Slot>,
    /// Those that nobody would miss, oldest first: not signed in, or closing.
    strangers: BTreeSet<(u64, Slot)>,
    next_serial: u64,
    marked: Vec<Slot>,
    len_max: usize,
    strangers_max: usize,
    /// What all of them hold behind gaps, and may, in bytes.
    gapped: usize,
    gapped_max: usize,
    indexes_scheduled: Option<Tick>,
    /// Reused: a session being packed, its keys among it.
    scratch: Zeroizing<Vec<u8>>,
}

/// The first bytes of a key: nobody finds two keys that share them.
fn prefix(key: &PublicKey) -> u64 {
    u64::from_be_bytes(*key.0.first_chunk().expect("a key is longer than that"))
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Sessions {
        let len_max = limits.sessions;
        Sessions {
            slab: Slab::new(),
            // Each session has up to four live indexes while keys are renewed, and as many at rest.
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

    /// Takes in a data packet of a session, within what is left for all of them.
    fn hear(&mut self, now: Tick, slot: Slot, path: Path, bytes: &mut [u8]) -> Heard {
        let Some(session) = self.slab.get_mut(slot.0).map(Entry::wake) else { return Heard::Dropped };
        let others = self.gapped - session.peer.link().gapped();
        session.peer.set_gapped_max(self.gapped_max.saturating_sub(others));
        let heard = session.peer.handle_packet(now, path, bytes);
        self.gapped = others + session.peer.link().gapped();
        heard
    }

    /// Ends a session, which lets go what it holds.
    fn close(&mut self, slot: Slot, code: u16, reason: &'static str) {
        let Some(session) = self.slab.get_mut(slot.0).map(Entry::wake) else { return };
        self.gapped -= session.peer.link().gapped();
        session.peer.close(code, reason);
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Session> {
        self.slab.get_mut(slot.0).map(Entry::wake)
    }

    fn awake(&self, slot: Slot) -> Option<&Session> {
        self.slab.get(slot.0).and_then(Entry::awake)
    }

    /// Until when this session may be without a name, if it is.
    pub(super) fn named_by(&self, slot: Slot) -> Option<Tick> {
        self.awake(slot).and_then(Session::named_by)
    }

    /// Whether the session of this serial number is there.
    pub(super) fn is_serial(&self, slot: Slot, serial: u64) -> bool {
        self.awake(slot).is_some_and(|session| session.serial == serial)
    }

    /// Whether the session of this serial number is there, and is not confirmed.
    pub(super) fn is_unconfirmed(&self, slot: Slot, serial: u64) -> bool {
        self.awake(slot).is_some_and(|session| session.serial == serial && !session.peer.is_confirmed())
    }

    /// What becomes of letters that it brings.
    #[inline]
    pub(super) fn taking(&self, slot: Slot) -> Taking {
        self.awake(slot).map_or(Taking::Letters, |session| session.taking)
    }

    /// Who is signed in by this session.
    #[inline]
    pub(super) fn member(&self, slot: Slot) -> Option<MemberId> {
        self.slab.get(slot.0)?.member()
    }

    /// Where packets of this session leave.
    pub(super) fn path(&self, slot: Slot) -> Option<Path> {
        self.slab.get(slot.0)?.path()
    }

    /// Whether this session's other end was heard lately.
    pub(super) fn is_heard(&self, slot: Slot) -> bool {
        self.slab.get(slot.0).is_some_and(Entry::is_heard)
    }

    /// What was said in this session about letters that are not wanted.
    pub(super) fn screen(&self, slot: Slot) -> Option<&Screen> {
        self.slab.get(slot.0).map(Entry::screen)
    }

    /// Something is to be sent by this session at the turn's end.
    pub(super) fn mark(&mut self, slot: Slot) {
        if let Some(session) = self.get_mut(slot)
            && !std::mem::replace(&mut session.marked, true)
        {
            self.marked.push(slot);
        }
    }

    /// Whether as many are marked as a turn is to have.
    pub(super) fn are_many_marked(&self) -> bool {
        self.marked.len() >= MARKED_MANY
    }

    /// The next of those; the caller unmarks it.
    pub(super) fn pop_marked(&mut self) -> Option<Slot> {
        self.marked.pop()
    }

    /// The sessions of this key that wait for their member's name to become durable, the newest
    /// last.
    pub(super) fn waiting_for(&self, member: MemberId, key: PublicKey) -> Vec<Slot> {
        let waits = |slot: &Slot| self.awake(*slot).is_some_and(|s| s.sign_in == SignIn::Waiting(member));
        self.of_key(key).filter(waits).collect()
    }

    pub(super) fn all(&self) -> Vec<Slot> {
        self.slab.iter().map(|(slot, _)| Slot(slot)).collect()
    }

    pub(super) fn look_at_peers(&self, mut look: impl FnMut(&Peer)) {
        self.slab.iter().for_each(|(_, entry)| entry.look_at_peer(&mut look));
    }

    pub(super) fn handle_index_time(&mut self, now: Tick) {
        self.indexes_scheduled = None;
        self.indexes.handle_time(now);
    }

    pub(super) fn schedule_indexes(&mut self, deadlines: &mut Deadlines<Timer>) {
        deadlines.set(Timer::Indexes, self.indexes.next_deadline(), &mut self.indexes_scheduled);
    }

    /// The sessions of a key, the oldest first.
    fn of_key(&self, key: PublicKey) -> impl Iterator<Item = Slot> + '_ {
        let prefix = prefix(&key);
        let near = self.by_key.range((prefix, 0)..=(prefix, u64::MAX)).map(|(_, slot)| *slot);
        near.filter(move |slot| self.slab.get(slot.0).is_some_and(|entry| entry.key() == key))
    }

    /// Takes a new session in at the place of [`Slab::vacant_key`].
    fn insert(&mut self, session: Session) {
        let (place, stranger) = ((prefix(&session.key), session.serial), session.serial);
        let slot = Slot(self.slab.insert(Entry::Awake(Box::new(session))));
        self.strangers.insert((stranger, slot));
        self.by_key.insert(place, slot);
    }

    /// The session of this key that a handshake wants continued.
    fn find(&self, key: &PublicKey, id: SessionId) -> Option<Slot> {
        let id_of = |slot: &Slot| self.slab.get(slot.0).and_then(Entry::id_to_continue);
        self.of_key(*key).find(|slot| id_of(slot) == Some(id))
    }

    /// The oldest closing session of this key, if it has as many sessions as it may have: so what
    /// is looked for among the sessions of one key is looked for among a few.
    fn closed_out(&self, key: &PublicKey) -> Option<Slot> {
        let is_closing = |slot: &Slot| self.awake(*slot).is_some_and(|s| s.closing_until.is_some());
        let is_full = self.of_key(*key).count() >= SESSIONS_OF_KEY_MAX;
        self.of_key(*key).find(is_closing).filter(|_| is_full)
    }

    /// Who has to go before another stranger is let in: the one that came first.
    fn pushed_out(&self) -> Option<Slot> {
        let full = self.strangers.len() >= self.strangers_max || self.slab.len() >= self.len_max;
        self.strangers.first().filter(|_| full).map(|oldest| oldest.1)
    }

    /// Whether a session is one that may be pushed out.
    pub(super) fn set_stranger(&mut self, slot: Slot, is_stranger: bool) {
        let Some(session) = self.get_mut(slot) else { return };
        let place = (session.serial, slot);
        if is_stranger {
            self.strangers.insert(place)
        } else {
            self.strangers.remove(&place)
        };
    }

    /// Confirmed sessions of this one's key that were begun before it and have no name: one of them is enough.
    fn nameless_before(&self, slot: Slot) -> Vec<Slot> {
        let Some(key) = self.slab.get(slot.0).map(Entry::key) else { return Vec::new() };
        let is_nameless =
            |other: &Slot| self.awake(*other).is_some_and(|s| s.is_live() && s.member().is_none());
        self.of_key(key).take_while(|other| *other != slot).filter(is_nameless).collect()
    }

    /// Whether `later`, a session of the same key, was begun after this one.
    pub(super) fn is_before(&self, slot: Slot, later: Slot) -> bool {
        let Some(key) = self.slab.get(slot.0).map(Entry::key) else { return false };
        self.of_key(key).skip_while(|other| *other != slot).skip(1).any(|other| other == later)
    }

    /// Frees indexes that lead to this session no longer; whether there were any.
    fn free_indexes(&mut self, now: Tick, slot: Slot) -> bool {
        let Some(session) = self.slab.get_mut(slot.0).map(Entry::wake) else { return false };
        let mut freed = false;
        while let Some(index) = session.peer.next_freed() {
            freed |= self.indexes.free(now, session.peer.linger(), index).is_some();
        }
        freed
    }

    fn forget(&mut self, now: Tick, slot: Slot) -> Option<Session> {
        self.free_indexes(now, slot);
        let Entry::Awake(session) = self.slab.try_remove(slot.0)? else {
            unreachable!("whose indexes were looked at is awake");
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
