//! Where sessions are, written down for the relay that runs after this one; and what that one does with it: each of
//! them is told by stateless resets (RFC 9000 §10.3) that it is lost, since an idle client would not ask for long.
//!
//! Notes are written at most once a second, one record for all, and the next when that has its
//! answer: a session younger than that learns of its loss when it next says something. What the
//! disk does not take is put back. Resets leave at 1,000 a second, in three rounds, and only to
//! addresses that had proved themselves; whoever has come back is told no more.

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

/// Between two records of notes.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Sessions noted in one turn, and as many that have ended; the next ones after [`NOTED_EVERY`].
const NOTED_AT_ONCE: usize = 1_024;
/// Lets other inputs in between: all [`NOTES_MAX`] are noted within 160 ms.
const NOTED_EVERY: Duration = Duration::from_millis(10);
/// Sessions noted. At the bound no more are: the resets of so many take longer than the first keep-alive, by which the
/// others learn of their loss anyway.
const NOTES_MAX: usize = 16_384;
/// Resets for each session: two may be lost.
const ROUNDS: u32 = 3;
/// A round begins so long after the one before at least, to outlive a burst of losses.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// So many resets at once, and the next ones after their share of a second.
const RESETS_AT_ONCE: u32 = 20;

/// What is noted of this relay's sessions, and what the one before has left.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Sessions whose notes are old.
    due: BTreeSet<Slot>,
    /// Indexes noted that lead nowhere any more.
    ended: BTreeSet<u32>,
    /// The record that the disk has not answered for.
    at_disk: Option<AtDisk>,
    /// How many sessions are noted.
    len: usize,
    written: Option<Tick>,
    scheduled: Option<Tick>,
    lost: Lost,
}

/// What one record says.
#[derive(Debug)]
struct AtDisk {
    /// Whose notes it changes: from what the disk had to what it is given.
    changed: Vec<Change>,
    /// Indexes of sessions that are gone.
    ended: Vec<u32>,
    /// There was more than one record takes.
    is_cut: bool,
}

#[derive(Debug)]
struct Change {
    slot: Slot,
    /// The session's serial number: another may have its slot by now.
    serial: u64,
    before: Option<SessionNote>,
    after: Option<SessionNote>,
}

/// Sessions of the relay before this one.
#[derive(Debug, Default)]
struct Lost {
    sessions: BTreeSet<SessionNote>,
    /// The one told last in this round.
    told: Option<SessionNote>,
    rounds: u32,
    round_began: Tick,
    scheduled: Option<Tick>,
}

impl Notes {
    /// Whether no more sessions are noted than are already.
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
    /// Takes in where sessions were when the relay before this one ended.
    pub(super) fn take_notes(&mut self, sessions: Vec<SessionNote>) {
        let lost = &mut self.notes.lost;
        lost.sessions = sessions.into_iter().take(NOTES_MAX).collect();
        if !lost.sessions.is_empty() {
            self.deadlines.set(Timer::Resets, Some(Tick::ZERO), &mut lost.scheduled);
        }
    }

    /// Sees to it that the note of a session that is to be noted is made, or made anew.
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

    /// The session of this note is gone.
    pub(super) fn end_note(&mut self, now: Tick, note: SessionNote) {
        self.notes.len -= 1;
        self.notes.ended.insert(note.index);
        self.schedule_notes(now);
    }

    /// Somebody is back at this address: what was there is told no more.
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

    /// Writes notes, unless the disk has not answered for earlier ones or has refused them.
    pub(super) fn handle_notes_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.notes.scheduled == Some(tick) {
            self.notes.scheduled = None;
        }
        if !self.unwritten.has(Kept::Notes) {
            self.write_notes(now, out);
        }
    }

    /// Hands what is to be noted to the store, as much as one record takes.
    pub(super) fn write_notes(&mut self, now: Tick, out: &mut Out) {
        if self.notes.at_disk.is_some() {
            return;
        }
        let first = |ended: &mut BTreeSet<u32>| ended.pop_first();
        let gone: Vec<u32> =
            std::iter::from_fn(|| first(&mut self.notes.ended)).take(NOTED_AT_ONCE).collect();
        let (mut noted, mut ended, mut changed) = (Vec::new(), gone.clone(), Vec::new());
        for _ in 0..NOTED_AT_ONCE {
            let Some(slot) = self.notes.due.pop_first() else { break };
            let Some(session) = self.sessions.get_mut(slot).filter(|session| session.note_due) else {
                continue;
            };
            session.note_due = false;
            let (before, after) = (session.noted, session.whereabouts());
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

    /// Notes are on the disk, or are put back: each session has what the disk had of it before.
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
                    (session.noted, session.note_due) = (before, true);
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

    /// Tells a few lost sessions that they are.
    pub(super) fn handle_resets_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        let lost = &mut self.notes.lost;
        if lost.scheduled == Some(tick) {
            lost.scheduled = None;
        }
        if lost.rounds == 0 {
            (lost.rounds, lost.round_began) = (ROUNDS, now);
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
        (lost.told, lost.rounds) = (None, lost.rounds - 1);
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
