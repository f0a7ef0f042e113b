//! Session hints: the addresses of sessions, persisted for the next process of this relay. That
//! process sends them stateless resets (RFC 9000 §10.3), because an idle client would not notice
//! the loss for a long time.
//!
//! Hints are written at most once a second, in one record for all, and the next after its commit. A
//! newer session learns of its loss when it next sends a packet. Hints of a failed record are
//! queued again. Resets are sent at 1,000 a second, in three rounds, and only to validated
//! addresses. A client that has returned gets no more of them.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use crate::base::{Path, Tick};
use crate::wire::packet;

use super::ids::SessionSlot;
use super::limits::RESET_RATE;
use super::mailbox_storage::StoreContinuation;
use super::records::{Record, SessionHint};
use super::unwritten::RecordKey;
use super::{Out, Relay, Timer};

/// Interval between two records of hints.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum sessions, and ended sessions, in one record; the next after [`HINT_TURN_INTERVAL`].
const HINTS_PER_TURN_MAX: usize = 1_024;
/// Pause between two full records, which lets other inputs in: all [`HINTS_MAX`] take 160 ms.
const HINT_TURN_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum number of session hints. More resets than this would take longer than a keep-alive
/// interval, by which the other clients learn of their loss anyway.
const HINTS_MAX: usize = 16_384;
/// Resets for each session: two may be lost.
const ROUNDS: u32 = 3;
/// Minimum interval between two rounds, to outlive a burst of losses.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// Resets sent at once; the next follow after their share of a second.
const RESETS_AT_ONCE: u32 = 20;

/// Hints of this process, and those of the previous one.
#[derive(Debug, Default)]
pub(super) struct SessionHints {
    /// Sessions with outdated hints.
    changed_sessions: BTreeSet<SessionSlot>,
    /// Indexes of ended sessions whose hints must be removed.
    ended: BTreeSet<u32>,
    /// The record that is not committed yet.
    at_disk: Option<AtDisk>,
    /// Number of sessions with a hint.
    len: usize,
    written: Option<Tick>,
    scheduled: Option<Tick>,
    lost: LostSessions,
}

/// Content of one record.
#[derive(Debug)]
struct AtDisk {
    /// Sessions with a changed hint: its value on disk, and the new one.
    changed: Vec<HintChange>,
    /// Indexes of ended sessions.
    ended: Vec<u32>,
    /// Whether more was queued than one record takes.
    is_cut: bool,
}

#[derive(Debug)]
struct HintChange {
    slot: SessionSlot,
    /// The session's serial number, because its slot may be reused by now.
    serial: u64,
    before: Option<SessionHint>,
    after: Option<SessionHint>,
}

/// Sessions of the previous process.
#[derive(Debug, Default)]
struct LostSessions {
    sessions: BTreeSet<SessionHint>,
    /// The last session that got a reset in this round.
    last_reset: Option<SessionHint>,
    rounds: u32,
    round_began: Tick,
    scheduled: Option<Tick>,
}

impl SessionHints {
    /// Whether no more sessions get a hint.
    pub(super) fn are_full(&self) -> bool {
        self.len >= HINTS_MAX
    }
}

impl LostSessions {
    fn next(&self) -> Option<SessionHint> {
        let from = self.last_reset.map_or(Unbounded, Excluded);
        self.sessions.range((from, Unbounded)).next().copied()
    }
}

impl Relay {
    /// Restores the hints of the previous process.
    pub(super) fn restore_hints(&mut self, sessions: Vec<SessionHint>) {
        let lost_sessions = &mut self.session_hints.lost;
        lost_sessions.sessions = sessions.into_iter().take(HINTS_MAX).collect();
        if !lost_sessions.sessions.is_empty() {
            self.deadlines.set(Timer::Resets, Some(Tick::ZERO), &mut lost_sessions.scheduled);
        }
    }

    /// Queues the hint of a session for writing.
    pub(super) fn schedule_hint(&mut self, now: Tick, slot: SessionSlot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.stored_hint.is_none() && self.session_hints.are_full() {
            return;
        }
        session.is_hint_due = true;
        self.session_hints.changed_sessions.insert(slot);
        if let Some(hint) = session.validated_udp_addr() {
            self.forget_lost(hint);
        }
        self.schedule_hints(now);
    }

    /// Queues the removal of an ended session's hint.
    pub(super) fn remove_hint(&mut self, now: Tick, hint: SessionHint) {
        self.session_hints.len -= 1;
        self.session_hints.ended.insert(hint.index);
        self.schedule_hints(now);
    }

    /// Stops resets to the address of a client that has returned.
    fn forget_lost(&mut self, back: SessionHint) {
        let lost_sessions = &mut self.session_hints.lost.sessions;
        while let Some(hint) =
            lost_sessions.range(SessionHint { index: 0, local: None, ..back }..).next().copied()
        {
            if hint.addr != back.addr {
                break;
            }
            lost_sessions.remove(&hint);
            self.session_hints.ended.insert(hint.index);
        }
    }

    fn schedule_hints(&mut self, now: Tick) {
        let at = self
            .session_hints
            .written
            .map_or(now, |written| written + HINT_INTERVAL)
            .max(now + HINT_INTERVAL / 10);
        self.deadlines.set(Timer::SessionHints, Some(at), &mut self.session_hints.scheduled);
    }

    /// Writes queued hints, unless a record of hints is pending or must be repeated.
    pub(super) fn handle_hints_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.session_hints.scheduled == Some(tick) {
            self.session_hints.scheduled = None;
        }
        if !self.unwritten.has(RecordKey::SessionHints) {
            self.write_hints(now, out);
        }
    }

    /// Submits queued hints, as many as one record takes.
    pub(super) fn write_hints(&mut self, now: Tick, out: &mut Out) {
        if self.session_hints.at_disk.is_some() {
            return;
        }
        let first = |ended: &mut BTreeSet<u32>| ended.pop_first();
        let removed: Vec<u32> =
            std::iter::from_fn(|| first(&mut self.session_hints.ended)).take(HINTS_PER_TURN_MAX).collect();
        let mut hints = Vec::new();
        let mut ended = removed.clone();
        let mut changed = Vec::new();
        for _ in 0..HINTS_PER_TURN_MAX {
            let Some(slot) = self.session_hints.changed_sessions.pop_first() else { break };
            let Some(session) = self.sessions.get_mut(slot).filter(|session| session.is_hint_due) else {
                continue;
            };
            session.is_hint_due = false;
            let before = session.stored_hint;
            let after = session.validated_udp_addr();
            session.stored_hint = after;
            self.session_hints.len =
                self.session_hints.len + usize::from(after.is_some()) - usize::from(before.is_some());
            let index = after.map(|hint| hint.index);
            ended.extend(before.map(|hint| hint.index).filter(|before| Some(*before) != index));
            hints.extend(after.filter(|_| after != before));
            changed.push(HintChange { slot, serial: session.serial, before, after });
        }
        if hints.is_empty() && ended.is_empty() {
            return self.write_more_hints(now);
        }
        self.session_hints.written = Some(now);
        let is_cut = !(self.session_hints.changed_sessions.is_empty() && self.session_hints.ended.is_empty());
        self.session_hints.at_disk = Some(AtDisk { changed, ended: removed, is_cut });
        self.persist(StoreContinuation::SessionHints, Record::Sessions { hints, ended }, out);
    }

    fn write_more_hints(&mut self, now: Tick) {
        if !(self.session_hints.changed_sessions.is_empty() && self.session_hints.ended.is_empty()) {
            self.deadlines.set(
                Timer::SessionHints,
                Some(now + HINT_TURN_INTERVAL),
                &mut self.session_hints.scheduled,
            );
        }
    }

    /// Handles the result of a record. If it failed, each session has the hint that was on disk
    /// before, and is queued again.
    pub(super) fn handle_hints_stored(&mut self, now: Tick, durable: bool) {
        let Some(AtDisk { changed, ended, is_cut }) = self.session_hints.at_disk.take() else { return };
        if durable && is_cut {
            return self.write_more_hints(now);
        }
        if durable {
            if !(self.session_hints.changed_sessions.is_empty() && self.session_hints.ended.is_empty()) {
                self.schedule_hints(now);
            }
            return;
        }
        self.session_hints.ended.extend(ended);
        for HintChange { slot, serial, before, after } in changed {
            match self.sessions.get_mut(slot).filter(|session| session.serial == serial) {
                Some(session) => {
                    session.stored_hint = before;
                    session.is_hint_due = true;
                    self.session_hints.changed_sessions.insert(slot);
                    self.session_hints.len =
                        self.session_hints.len + usize::from(before.is_some()) - usize::from(after.is_some());
                }
                None => {
                    after.into_iter().for_each(|hint| _ = self.session_hints.ended.remove(&hint.index));
                    self.session_hints.ended.extend(before.map(|hint| hint.index));
                }
            }
        }
        self.write_later(RecordKey::SessionHints);
    }

    /// Sends resets to a few lost sessions.
    pub(super) fn handle_resets_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        let lost_sessions = &mut self.session_hints.lost;
        if lost_sessions.scheduled == Some(tick) {
            lost_sessions.scheduled = None;
        }
        if lost_sessions.rounds == 0 {
            lost_sessions.rounds = ROUNDS;
            lost_sessions.round_began = now;
        }
        for _ in 0..RESETS_AT_ONCE {
            let Some(hint) = self.session_hints.lost.next() else { return self.end_round(now) };
            self.session_hints.lost.last_reset = Some(hint);
            self.resets.spend(now, RESET_RATE.interval());
            self.stats.resets += 1;
            let token = self.responder.reset_token(hint.index);
            let path = Path::udp(hint.addr, hint.local);
            out.send_with(path, |buf| packet::write_reset(buf, hint.index, token.bytes()));
        }
        let lost_sessions = &mut self.session_hints.lost;
        let at = Some(now + RESET_RATE.interval() * RESETS_AT_ONCE);
        self.deadlines.set(Timer::Resets, at, &mut lost_sessions.scheduled);
    }

    fn end_round(&mut self, now: Tick) {
        let lost = &mut self.session_hints.lost;
        lost.last_reset = None;
        lost.rounds -= 1;
        if lost.rounds > 0 && !lost.sessions.is_empty() {
            let at = (lost.round_began + ROUND_EVERY).max(now + RESET_RATE.interval() * RESETS_AT_ONCE);
            lost.round_began = at;
            return self.deadlines.set(Timer::Resets, Some(at), &mut lost.scheduled);
        }
        let finished = std::mem::take(&mut lost.sessions);
        self.session_hints.ended.extend(finished.into_iter().map(|hint| hint.index));
        self.schedule_hints(now);
    }
}
