//! Lanes: letters that wait for their sender's pace, separate from all others. The pace is the rate
//! and burst at which one sender's letters are sent to one recipient, and a greedy sender is one
//! that exceeds it.
//!
//! The next letter moves to a lane of its sender if its sender's [`Pace`] does not allow it yet.
//! Every later letter of that sender follows, so that order holds within a flow. When the pace
//! allows the first letters of a lane, they go next. Empty lanes are dropped, so a mailbox without
//! a greedy sender has none.
//!
//! Example: the pace allows two letters of TOM, and `T1 T2 T3 T4 J1` wait, the last one of JACK.
//!
//! ```text
//! front            lane of TOM    sent
//! T1 T2 T3 T4 J1   -              -
//! -                T3 T4          T1 T2 J1
//! T3 (released)    T4             T1 T2 J1       a second later
//! ```
//!
//! In a lane, letters on disk come before those in memory:
//!
//! ```text
//! on disk | fresh
//! ```
//!
//! Of letters *on disk* only, the lane stores the sequence number and cost of each: at most
//! `pair_letters` rows of 24 bytes. *Fresh* letters are in memory, and are written like those in
//! the tail.
//!
//! Letters are released one chunk at a time. While letters outside the lanes wait, [`CHUNK_BYTES`]
//! of them leave the front of the mailbox before the next chunk: they are sent or move to a lane.
//! Greedy senders, however many, therefore have one chunk released for each [`CHUNK_BYTES`] of
//! other letters that leave the front.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Tick;
use crate::relay::limits::LOAD_BYTES;
use crate::relay::pace::Pace;

use super::{EntryState, Mailbox, MailboxEntry, RowsToLoad, Sender};

/// Bytes of one lane released at once, unless one letter is longer: as many as are loaded from disk
/// at once. At 256 KiB/s a lane is released four times a second.
const CHUNK_BYTES: usize = LOAD_BYTES;

/// A letter on disk only.
#[derive(Clone, Copy, Debug)]
struct LaneRow {
    seq: u64,
    cost: usize,
    /// Whether it was or may have been in a session of its recipient. Once younger letters of
    /// others have overtaken it, [`Mailbox::sent_through`] does not show whether it was sent.
    may_have_been_sent: bool,
}

/// Waiting letters of one sender, oldest first.
#[derive(Debug, Default)]
struct Lane {
    on_disk: VecDeque<LaneRow>,
    fresh: VecDeque<MailboxEntry>,
    /// The cost of both.
    cost: usize,
}

impl Lane {
    /// Returns the maximum bytes of the next chunk: the least of the lane's cost, [`CHUNK_BYTES`]
    /// and a quarter of a burst, but enough for the first letter.
    fn chunk_bytes_max(&self, pace: Pace) -> usize {
        let fresh = || self.fresh.front().map(MailboxEntry::cost);
        let first = self.on_disk.front().map(|row| row.cost).or_else(fresh).unwrap_or(0);
        self.cost.min(CHUNK_BYTES).min(pace.burst / 4).max(first)
    }

    /// Returns the sequence numbers of the letters on disk that fit into a chunk.
    fn chunk_of_disk(&self, pace: Pace) -> Vec<u64> {
        let mut remaining = self.chunk_bytes_max(pace);
        let mut seqs = Vec::new();
        for row in &self.on_disk {
            if row.cost > remaining {
                break;
            }
            remaining -= row.cost;
            seqs.push(row.seq);
        }
        seqs
    }

    /// Removes and returns the fresh letters that fit into a chunk.
    fn take_chunk(&mut self, pace: Pace) -> Vec<MailboxEntry> {
        let mut remaining = self.chunk_bytes_max(pace);
        let mut taken = Vec::new();
        while self.fresh.front().is_some_and(|entry| entry.cost() <= remaining)
            && let Some(entry) = self.fresh.pop_front()
        {
            remaining -= entry.cost();
            self.cost -= entry.cost();
            taken.push(entry);
        }
        taken
    }

    fn find(&self, seq: u64) -> Option<usize> {
        self.on_disk.binary_search_by_key(&seq, |row| row.seq).ok()
    }

    fn remove(&mut self, nth: usize) {
        if let Some(row) = self.on_disk.remove(nth) {
            self.cost -= row.cost;
        }
    }

    fn is_empty(&self) -> bool {
        self.on_disk.is_empty() && self.fresh.is_empty()
    }
}

/// The letters of dissolved lanes.
#[derive(Debug)]
pub(super) struct DissolvedLanes {
    /// Number of letters on disk.
    pub(super) on_disk: usize,
    /// The lowest sequence number of these.
    pub(super) first_seq: Option<u64>,
    /// Letters in memory.
    pub(super) fresh: Vec<MailboxEntry>,
}

/// The lanes of one mailbox.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_sender: BTreeMap<Sender, Lane>,
    /// No lane is due before this time, so none is examined.
    idle_until: Tick,
    /// Bytes of letters outside the lanes that must leave the front before the next chunk.
    others_first: usize,
    /// The sender whose letters are being loaded from disk, and the last sequence number requested.
    loading: Option<(Sender, u64)>,
}

impl Lanes {
    pub(super) const EMPTY: Lanes =
        Lanes { by_sender: BTreeMap::new(), idle_until: Tick::ZERO, others_first: 0, loading: None };

    pub(super) fn is_empty(&self) -> bool {
        self.by_sender.is_empty()
    }

    /// Records that a letter of this cost, in no lane, was sent or moved to a lane.
    pub(super) fn record_passed(&mut self, cost: usize) {
        self.others_first = self.others_first.saturating_sub(cost);
    }

    /// Returns the letters in memory.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &MailboxEntry> {
        self.by_sender.values().flat_map(|lane| &lane.fresh)
    }

    /// Returns the letters being written: the first ones in memory of each lane.
    pub(super) fn being_written(&self) -> impl Iterator<Item = &MailboxEntry> {
        let lanes = self.by_sender.values();
        lanes.flat_map(|lane| lane.fresh.iter().take_while(|entry| entry.seq().is_some()))
    }

    /// Returns the letters in memory, lane by lane.
    pub(super) fn fresh_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<MailboxEntry>> {
        self.by_sender.values_mut().map(|lane| &mut lane.fresh)
    }

    /// Finds a letter on disk by its sequence number alone.
    ///
    /// It examines each lane. Lanes are few: each belongs to a sender from whom the recipient has
    /// just received a whole burst.
    fn find(&self, seq: u64) -> Option<(Sender, usize)> {
        self.by_sender.iter().find_map(|(sender, lane)| Some((*sender, lane.find(seq)?)))
    }

    /// Whether the letter with this sequence number is on disk and in a lane.
    pub(super) fn contains(&self, seq: u64) -> bool {
        self.find(seq).is_some()
    }

    /// Whether the letter with this sequence number was or may have been in a session of its
    /// recipient. Returns `None` if it is not on disk and in a lane.
    pub(super) fn may_have_been_sent(&self, seq: u64) -> Option<bool> {
        let (sender, nth) = self.find(seq)?;
        Some(self.by_sender.get(&sender)?.on_disk.get(nth)?.may_have_been_sent)
    }

    /// Removes the letter with this sequence number. Returns `false` if it is not on disk and in a
    /// lane.
    pub(super) fn remove(&mut self, seq: u64) -> bool {
        let Some((sender, nth)) = self.find(seq) else { return false };
        if let Some(lane) = self.by_sender.get_mut(&sender) {
            lane.remove(nth);
        }
        self.drop_if_empty(sender);
        true
    }

    /// Removes and returns all letters that are not on disk.
    pub(super) fn drain_fresh(&mut self) -> Vec<MailboxEntry> {
        let mut drained = Vec::new();
        self.by_sender.retain(|_, lane| {
            lane.cost -= lane.fresh.iter().map(MailboxEntry::cost).sum::<usize>();
            drained.extend(lane.fresh.drain(..));
            !lane.is_empty()
        });
        drained
    }

    /// Handles the commit of the letters being written: they are on disk only. Returns them.
    pub(super) fn mark_committed(&mut self) -> Vec<MailboxEntry> {
        let mut committed = Vec::new();
        for lane in self.by_sender.values_mut() {
            while let Some(EntryState::Writing(seq)) = lane.fresh.front().map(|entry| entry.state) {
                let Some(entry) = lane.fresh.pop_front() else { break };
                lane.on_disk.push_back(LaneRow {
                    seq,
                    cost: entry.cost(),
                    may_have_been_sent: entry.was_sent,
                });
                committed.push(entry);
            }
        }
        committed
    }

    /// Dissolves all lanes, because there is no session to send letters to.
    pub(super) fn dissolve(&mut self) -> DissolvedLanes {
        let lanes = std::mem::replace(self, Lanes::EMPTY).by_sender;
        let on_disk = lanes.values().map(|lane| lane.on_disk.len()).sum();
        let first_seq = lanes.values().filter_map(|lane| lane.on_disk.front()).map(|row| row.seq).min();
        DissolvedLanes {
            on_disk,
            first_seq,
            fresh: lanes.into_values().flat_map(|lane| lane.fresh).collect(),
        }
    }

    /// Ends a chunk of this lane: its letters were released, except those that the disk does not
    /// have or that are being removed from it.
    fn end_chunk(&mut self, sender: Sender) {
        self.others_first = CHUNK_BYTES;
        self.idle_until = Tick::ZERO;
        self.drop_if_empty(sender);
    }

    fn drop_if_empty(&mut self, sender: Sender) {
        if self.by_sender.get(&sender).is_some_and(Lane::is_empty) {
            self.by_sender.remove(&sender);
        }
    }
}

impl Mailbox {
    /// Moves next letters into lanes while the pace does not allow them, and releases those that it
    /// allows. Returns the number of letters moved into lanes.
    pub(in crate::relay) fn apply_pace(&mut self, now: Tick, pace: Option<Pace>) -> u64 {
        let Some(pace) = pace.filter(|_| self.may_send()) else { return 0 };
        let mut moved = 0;
        loop {
            if self.loaded.is_empty() && !self.lanes.is_empty() {
                self.release_fresh(now, pace);
            }
            let may_pass = |front: &MailboxEntry| front.released || self.may_pass(front, now, pace);
            if self.front().is_none_or(may_pass) {
                return moved;
            }
            self.set_aside();
            moved += 1;
        }
    }

    fn may_pass(&self, entry: &MailboxEntry, now: Tick, pace: Pace) -> bool {
        // If its sender has a lane, it waits even if the pace allows it, because a longer letter of
        // the sender may be before it.
        let waits = self.lanes.by_sender.contains_key(&entry.sender);
        !waits && pace.ready_at(self.limiter(entry.sender), entry.cost()) <= now
    }

    /// Moves the next letter to the end of its sender's lane.
    fn set_aside(&mut self) {
        let Some(entry) = self.pop_next() else { return };
        let sender = entry.sender;
        let cost = entry.cost();
        let may_have_been_sent = self.may_have_been_sent(&entry);
        self.lanes.record_passed(cost);
        let lane = self.lanes.by_sender.entry(sender).or_default();
        if lane.is_empty() {
            self.lanes.idle_until = Tick::ZERO;
        }
        lane.cost += cost;
        // A letter on disk never follows one in memory: of one sender, older letters are written
        // first.
        match entry.state {
            EntryState::OnDisk(seq) => lane.on_disk.push_back(LaneRow { seq, cost, may_have_been_sent }),
            EntryState::Memory | EntryState::Writing(_) => lane.fresh.push_back(entry),
        }
    }

    /// Returns the sender whose lane has been due for longest, if one is due.
    fn due_lane(&mut self, now: Tick, pace: Pace) -> Option<Sender> {
        if self.lanes.idle_until > now {
            return None;
        }
        let ready_at = |(sender, lane): (&Sender, &Lane)| {
            (pace.ready_at(self.limiter(*sender), lane.chunk_bytes_max(pace)), *sender)
        };
        let (at, sender) = self.lanes.by_sender.iter().map(ready_at).min()?;
        self.lanes.idle_until = at;
        (at <= now).then_some(sender)
    }

    /// Returns the sender of the lane from which a chunk may be released.
    fn next_lane(&mut self, now: Tick, pace: Pace) -> Option<Sender> {
        let others_wait = self.front().is_some() || self.wants_more();
        if others_wait && self.lanes.others_first > 0 {
            return None;
        }
        self.due_lane(now, pace)
    }

    /// Releases a chunk of letters in memory, unless the next lane has earlier ones on disk.
    fn release_fresh(&mut self, now: Tick, pace: Pace) {
        let Some(sender) = self.next_lane(now, pace) else { return };
        let Some(lane) = self.lanes.by_sender.get_mut(&sender) else { return };
        if !lane.on_disk.is_empty() {
            // `Mailbox::lane_rows_to_load` requests them.
            return;
        }
        let released =
            lane.take_chunk(pace).into_iter().map(|entry| MailboxEntry { released: true, ..entry });
        self.loaded.extend(released);
        self.lanes.end_chunk(sender);
    }

    /// Returns the time at which letters of a lane may go, if there are lanes.
    pub(in crate::relay) fn next_release(&mut self, now: Tick, pace: Option<Pace>) -> Option<Tick> {
        let pace = pace.filter(|_| !self.lanes.is_empty())?;
        self.due_lane(now, pace);
        Some(self.lanes.idle_until)
    }

    /// Returns the letters on disk to load now, if any: a chunk of the next lane.
    pub(super) fn lane_rows_to_load(&mut self, now: Tick, pace: Option<Pace>) -> Option<RowsToLoad> {
        let pace = pace.filter(|_| !self.lanes.is_empty())?;
        let sender = self.next_lane(now, pace)?;
        let seqs = self.lanes.by_sender.get(&sender)?.chunk_of_disk(pace);
        self.lanes.loading = Some((sender, *seqs.last()?));
        Some(RowsToLoad::At(seqs))
    }

    /// Appends `entries` if [`Mailbox::lane_rows_to_load`] requested them; otherwise returns
    /// `false`.
    ///
    /// `through` is the last sequence number examined, if any; letters after it stay in the lane.
    /// With `is_removal_pending`, the load ended because the next letter is being removed from the
    /// disk. Otherwise, a load without letters means that the disk has none of those requested.
    /// They are removed from the lane, which would request them forever.
    pub(super) fn append_loaded_lane(
        &mut self,
        through: Option<u64>,
        is_removal_pending: bool,
        entries: &mut Vec<MailboxEntry>,
    ) -> bool {
        let Some((sender, requested)) = self.lanes.loading.take() else { return false };
        let through = through.or((!is_removal_pending).then_some(requested)).unwrap_or(0);
        for mut entry in entries.drain(..) {
            entry.was_sent = entry.seq().is_some_and(|seq| self.may_row_have_been_sent(seq));
            entry.released = true;
            self.loaded.push_back(entry);
        }
        if let Some(lane) = self.lanes.by_sender.get_mut(&sender) {
            while lane.on_disk.front().is_some_and(|row| row.seq <= through) {
                lane.remove(0);
            }
        }
        self.lanes.end_chunk(sender);
        true
    }

    /// Cancels the load of [`Mailbox::lane_rows_to_load`], which failed.
    pub(super) fn cancel_lane_load(&mut self) {
        self.lanes.loading = None;
    }
}
