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

use super::limits::RESET_INTERVAL;
use super::mailbox::Wait;
use super::records::{Record, SessionNote};
use super::sessions::Slot;
use super::unwritten::Kept;
use super::{Out, Relay, Timer};

/// Interval between two records of hints.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Maximum sessions, and ended sessions, in one record; the next after [`NOTED_EVERY`].
const NOTED_AT_ONCE: usize = 1_024;
/// Pause between two full records, which lets other inputs in: all [`NOTES_MAX`] take 160 ms.
const NOTED_EVERY: Duration = Duration::from_millis(10);
/// Maximum number of session hints. More resets than this would take longer than a keep-alive
/// interval, by which the other clients learn of their loss anyway.
const NOTES_MAX: usize = 16_384;
/// Resets for each session: two may be lost.
const ROUNDS: u32 = 3;
/// Minimum interval between two rounds, to outlive a burst of losses.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// Resets sent at once; the next follow after their share of a second.
const RESETS_AT_ONCE: u32 = 20;

/// Hints of this process, and those of the previous one.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Sessions with outdated hints.
    due: BTreeSet<Slot>,
    /// Indexes of ended sessions whose hints must be removed.
    ended: BTreeSet<u32>,
    /// The record that is not committed yet.
    at_disk: Option<AtDisk>,
    /// Number of sessions with a hint.
    len: usize,
    written: Option<Tick>,
    scheduled: Option<Tick>,
    lost: Lost,
}

/// Content of one record.
#[derive(Debug)]
struct AtDisk {
    /// Sessions with a changed hint: its value on disk, and the new one.
    changed: Vec<Change>,
    /// Indexes of ended sessions.
    ended: Vec<u32>,
    /// Whether more was queued than one record takes.
    is_cut: bool,
}

#[derive(Debug)]
struct Change {
    slot: Slot,
    /// The session's serial number, because its slot may be reused by now.
    serial: u64,
    before: Option<SessionNote>,
    after: Option<SessionNote>,
}

/// Sessions of the previous process.
#[derive(Debug, Default)]
struct Lost {
    sessions: BTreeSet<SessionNote>,
    /// The last session that got a reset in this round.
    told: Option<SessionNote>,
    rounds: u32,
    round_began: Tick,
    scheduled: Option<Tick>,
}

impl Notes {
    /// Whether no more sessions get a hint.
    pub(super) fn are_full(&self) -> bool {
        self.len >= NOTES_MAX
    }
}

impl Lost {
    fn next(&self) -> Option<SessionNote> {
        let from = self.told.map_or(Unbounded, Excluded);
        self.sessions.range((from, Unbounded)).next().copied()
    }
}

impl Relay {
    /// Restores the hints of the previous process.
    pub(super) fn take_notes(&mut self, sessions: Vec<SessionNote>) {
        let lost = &mut self.notes.lost;
        lost.sessions = sessions.into_iter().take(NOTES_MAX).collect();
        if !lost.sessions.is_empty() {
            self.deadlines.set(Timer::Resets, Some(Tick::ZERO), &mut lost.scheduled);
        }
    }

    /// Queues the hint of a session for writing.
    pub(super) fn note_session(&mut self, now: Tick, slot: Slot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.noted.is_none() && self.notes.are_full() {
            return;
        }
        session.note_due = true;
        self.notes.due.insert(slot);
        if let Some(note) = session.whereabouts() {
            self.forget_lost(note);
        }
        self.schedule_notes(now);
    }

    /// Queues the removal of an ended session's hint.
    pub(super) fn end_note(&mut self, now: Tick, note: SessionNote) {
        self.notes.len -= 1;
        self.notes.ended.insert(note.index);
        self.schedule_notes(now);
    }

    /// Stops resets to the address of a client that has returned.
    fn forget_lost(&mut self, back: SessionNote) {
        let lost = &mut self.notes.lost.sessions;
        while let Some(note) = lost.range(SessionNote { index: 0, asked: None, ..back }..).next().copied() {
            if note.addr != back.addr {
                break;
            }
            lost.remove(&note);
            self.notes.ended.insert(note.index);
        }
    }

    fn schedule_notes(&mut self, now: Tick) {
        let at = self.notes.written.map_or(now, |written| written + NOTE_EVERY).max(now + NOTE_EVERY / 10);
        self.deadlines.set(Timer::Notes, Some(at), &mut self.notes.scheduled);
    }

    /// Writes queued hints, unless a record of hints is pending or must be repeated.
    pub(super) fn handle_notes_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.notes.scheduled == Some(tick) {
            self.notes.scheduled = None;
        }
        if !self.unwritten.has(Kept::Notes) {
            self.write_notes(now, out);
        }
    }

    /// Submits queued hints, as many as one record takes.
    pub(super) fn write_notes(&mut self, now: Tick, out: &mut Out) {
        if self.notes.at_disk.is_some() {
            return;
        }
        let first = |ended: &mut BTreeSet<u32>| ended.pop_first();
        let gone: Vec<u32> =
            std::iter::from_fn(|| first(&mut self.notes.ended)).take(NOTED_AT_ONCE).collect();
        let mut noted = Vec::new();
        let mut ended = gone.clone();
        let mut changed = Vec::new();
        for _ in 0..NOTED_AT_ONCE {
            let Some(slot) = self.notes.due.pop_first() else { break };
            let Some(session) = self.sessions.get_mut(slot).filter(|session| session.note_due) else {
                continue;
            };
            session.note_due = false;
            let before = session.noted;
            let after = session.whereabouts();
            session.noted = after;
            self.notes.len = self.notes.len + usize::from(after.is_some()) - usize::from(before.is_some());
            let index = after.map(|note| note.index);
            ended.extend(before.map(|note| note.index).filter(|before| Some(*before) != index));
            noted.extend(after.filter(|_| after != before));
            changed.push(Change { slot, serial: session.serial, before, after });
        }
        if noted.is_empty() && ended.is_empty() {
            return self.note_more(now);
        }
        self.notes.written = Some(now);
        let is_cut = !(self.notes.due.is_empty() && self.notes.ended.is_empty());
        self.notes.at_disk = Some(AtDisk { changed, ended: gone, is_cut });
        self.persist(Wait::Noted, Record::Sessions { noted, ended }, out);
    }

    fn note_more(&mut self, now: Tick) {
        if !(self.notes.due.is_empty() && self.notes.ended.is_empty()) {
            self.deadlines.set(Timer::Notes, Some(now + NOTED_EVERY), &mut self.notes.scheduled);
        }
    }

    /// Handles the result of a record. If it failed, each session has the hint that was on disk
    /// before, and is queued again.
    pub(super) fn handle_noted(&mut self, now: Tick, durable: bool) {
        let Some(AtDisk { changed, ended, is_cut }) = self.notes.at_disk.take() else { return };
        if durable && is_cut {
            return self.note_more(now);
        }
        if durable {
            if !(self.notes.due.is_empty() && self.notes.ended.is_empty()) {
                self.schedule_notes(now);
            }
            return;
        }
        self.notes.ended.extend(ended);
        for Change { slot, serial, before, after } in changed {
            match self.sessions.get_mut(slot).filter(|session| session.serial == serial) {
                Some(session) => {
                    session.noted = before;
                    session.note_due = true;
                    self.notes.due.insert(slot);
                    self.notes.len =
                        self.notes.len + usize::from(before.is_some()) - usize::from(after.is_some());
                }
                None => {
                    after.into_iter().for_each(|note| _ = self.notes.ended.remove(&note.index));
                    self.notes.ended.extend(before.map(|note| note.index));
                }
            }
        }
        self.write_later(Kept::Notes);
    }

    /// Sends resets to a few lost sessions.
    pub(super) fn handle_resets_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        let lost = &mut self.notes.lost;
        if lost.scheduled == Some(tick) {
            lost.scheduled = None;
        }
        if lost.rounds == 0 {
            lost.rounds = ROUNDS;
            lost.round_began = now;
        }
        for _ in 0..RESETS_AT_ONCE {
            let Some(note) = self.notes.lost.next() else { return self.end_round(now) };
            self.notes.lost.told = Some(note);
            self.resets.spend(now, RESET_INTERVAL);
            self.stats.resets += 1;
            let token = self.responder.reset_token(note.index);
            let path = Path::udp(note.addr, note.asked);
            out.send_with(path, |buf| packet::write_reset(buf, note.index, token.bytes()));
        }
        let lost = &mut self.notes.lost;
        let at = Some(now + RESET_INTERVAL * RESETS_AT_ONCE);
        self.deadlines.set(Timer::Resets, at, &mut lost.scheduled);
    }

    fn end_round(&mut self, now: Tick) {
        let lost = &mut self.notes.lost;
        lost.told = None;
        lost.rounds -= 1;
        if lost.rounds > 0 && !lost.sessions.is_empty() {
            let at = (lost.round_began + ROUND_EVERY).max(now + RESET_INTERVAL * RESETS_AT_ONCE);
            lost.round_began = at;
            return self.deadlines.set(Timer::Resets, Some(at), &mut lost.scheduled);
        }
        let told = std::mem::take(&mut lost.sessions);
        self.notes.ended.extend(told.into_iter().map(|note| note.index));
        self.schedule_notes(now);
    }
}
