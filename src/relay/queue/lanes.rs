//! Letters that wait for their sender's pace, out of the way of all others.
//!
//! A letter whose turn has come and that its sender's [`Pace`] does not allow yet is set aside into a lane of its sender,
//! and so is every later one of that sender: order holds within a conversation. When the pace allows the first letters of
//! a lane again, they go next. A lane whose last letter has gone is dropped; a queue without a greedy sender has none.
//!
//! ```text
//! kept | fresh
//! ```
//!
//! *Kept* letters are on disk, and all that is known of one is its place and cost: at most the letters of a pair, 16 bytes
//! each. *Fresh* ones are in memory, and are written like those in the tail and before them.
//!
//! Letters are released a chunk at a time, and where others wait too a chunk of theirs passes first: neither a greedy
//! sender nor a hundred hold up another's letters by more than [`CHUNK_BYTES`] for as many bytes of its own.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Tick;
use crate::relay::limits::LOAD_BYTES;
use crate::relay::pace::Pace;

use super::{Author, Entry, Queue, Rows, State};

/// Bytes of one lane that are released at once, unless a letter is longer; no more than a quarter of a burst. It is what is
/// loaded from the disk at once. At 256 KiB/s a lane is looked at four times a second.
const CHUNK_BYTES: usize = LOAD_BYTES;

/// A letter on disk only.
#[derive(Clone, Copy, Debug)]
struct Kept {
    place: u64,
    cost: usize,
    /// It was in a session of its recipient, or may have been.
    was_handed: bool,
}

/// Letters of one sender, oldest first.
#[derive(Debug, Default)]
struct Lane {
    kept: VecDeque<Kept>,
    fresh: VecDeque<Entry>,
    /// The cost of both.
    cost: usize,
}

impl Lane {
    /// The bytes that its pace must allow before letters are released, and that are released then.
    fn chunk(&self, pace: Pace) -> usize {
        let fresh = || self.fresh.front().map(Entry::cost);
        let first = self.kept.front().map(|kept| kept.cost).or_else(fresh).unwrap_or(0);
        self.cost.min(CHUNK_BYTES).min(pace.burst / 4).max(first)
    }

    /// The letters on disk that a chunk has room for.
    fn chunk_of_kept(&self, pace: Pace) -> Vec<u64> {
        let mut left = self.chunk(pace);
        let fits = |kept: &&Kept| {
            let fits = kept.cost <= left;
            left = left.saturating_sub(kept.cost);
            fits
        };
        self.kept.iter().take_while(fits).map(|kept| kept.place).collect()
    }

    fn find(&self, place: u64) -> Option<usize> {
        self.kept.binary_search_by_key(&place, |kept| kept.place).ok()
    }

    fn remove(&mut self, nth: usize) {
        if let Some(kept) = self.kept.remove(nth) {
            self.cost -= kept.cost;
        }
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.fresh.is_empty()
    }
}

/// The lanes of one queue.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Author, Lane>,
    /// No lane is due before then.
    idle_until: Tick,
    /// Bytes of letters that wait in no lane, which pass before the next chunk.
    others_first: usize,
    /// Whose letters are being loaded, and the last place among them.
    loading: Option<(Author, u64)>,
}

impl Lanes {
    pub(super) const EMPTY: Lanes =
        Lanes { lanes: BTreeMap::new(), idle_until: Tick::ZERO, others_first: 0, loading: None };

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// A letter that waits in no lane has left the front.
    pub(super) fn passed(&mut self, cost: usize) {
        self.others_first = self.others_first.saturating_sub(cost);
    }

    /// Letters in memory.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.values().flat_map(|lane| &lane.fresh)
    }

    /// Those of them that are being written.
    pub(super) fn being_written(&self) -> impl Iterator<Item = &Entry> {
        let first = |lane: &Lane| lane.fresh.iter().position(|entry| entry.place().is_none());
        self.lanes.values().flat_map(move |lane| lane.fresh.range(..first(lane).unwrap_or(lane.fresh.len())))
    }

    /// Letters in memory, lane by lane.
    pub(super) fn fresh_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<Entry>> {
        self.lanes.values_mut().map(|lane| &mut lane.fresh)
    }

    /// Whether the letter at this place waits here, and is on disk only.
    pub(super) fn keeps(&self, place: u64) -> bool {
        self.lanes.values().any(|lane| lane.find(place).is_some())
    }

    /// Whether the letter at this place was in a session of its recipient, or may have been; `None` if it waits in no
    /// lane, or in memory.
    pub(super) fn was_handed(&self, place: u64) -> Option<bool> {
        self.lanes.values().find_map(|lane| Some(lane.kept[lane.find(place)?].was_handed))
    }

    /// Takes the letter at this place out, if it waits here and is on disk only.
    pub(super) fn remove(&mut self, place: u64) -> bool {
        let found = self.lanes.iter_mut().find_map(|(author, lane)| Some((*author, lane.find(place)?)));
        let Some((author, nth)) = found else { return false };
        self.lanes.entry(author).or_default().remove(nth);
        self.drop_if_empty(author);
        true
    }

    /// Takes out letters that the disk does not have.
    pub(super) fn drain_fresh(&mut self) -> Vec<Entry> {
        let mut drained = Vec::new();
        self.lanes.retain(|_, lane| {
            lane.cost -= lane.fresh.iter().map(Entry::cost).sum::<usize>();
            drained.extend(lane.fresh.drain(..));
            !lane.is_empty()
        });
        drained
    }

    /// Written letters are on disk only; answers with them.
    pub(super) fn committed(&mut self) -> Vec<Entry> {
        let mut committed = Vec::new();
        for lane in self.lanes.values_mut() {
            while let Some(State::Writing(place)) = lane.fresh.front().map(|entry| entry.state) {
                let Some(entry) = lane.fresh.pop_front() else { break };
                lane.kept.push_back(Kept { place, cost: entry.cost(), was_handed: entry.was_handed });
                committed.push(entry);
            }
        }
        committed
    }

    /// There is no session to hand letters to: dissolves all lanes. Answers with the number of letters that are on disk
    /// only and the first place of one, and with those in memory.
    pub(super) fn dissolve(&mut self) -> (usize, Option<u64>, Vec<Entry>) {
        let lanes = std::mem::replace(self, Lanes::EMPTY).lanes;
        let kept = lanes.values().map(|lane| lane.kept.len()).sum();
        let first = lanes.values().filter_map(|lane| lane.kept.front()).map(|kept| kept.place).min();
        (kept, first, lanes.into_values().flat_map(|lane| lane.fresh).collect())
    }

    fn drop_if_empty(&mut self, author: Author) {
        if self.lanes.get(&author).is_some_and(Lane::is_empty) {
            self.lanes.remove(&author);
        }
    }
}

impl Queue {
    /// Sets letters aside that would go next and may not yet, and takes back those that may; the number set aside.
    pub(in crate::relay) fn keep_pace(&mut self, now: Tick, pace: Option<Pace>) -> u64 {
        let Some(pace) = pace.filter(|_| self.may_hand()) else { return 0 };
        for set_aside in 0.. {
            if self.loaded.is_empty() && !self.lanes.is_empty() {
                self.release(now, pace);
            }
            let may_pass = |front: &Entry| front.released || self.may_pass(front, now, pace);
            if self.front().is_none_or(may_pass) {
                return set_aside;
            }
            self.set_aside();
        }
        0
    }

    fn may_pass(&self, entry: &Entry, now: Tick, pace: Pace) -> bool {
        let waits = !self.lanes.is_empty() && self.lanes.lanes.contains_key(&entry.author);
        !waits && pace.ready_at(self.whole_at(entry.author), entry.cost()) <= now
    }

    fn set_aside(&mut self) {
        let Some(entry) = self.pop_next() else { return };
        let (author, cost) = (entry.author, entry.cost());
        let was_handed = entry.was_handed || self.may_have_arrived(entry.place().unwrap_or(u64::MAX));
        self.lanes.passed(cost);
        if !self.lanes.lanes.contains_key(&author) {
            self.lanes.idle_until = Tick::ZERO;
        }
        let lane = self.lanes.lanes.entry(author).or_default();
        lane.cost += cost;
        match entry.state {
            State::Kept(place) => lane.kept.push_back(Kept { place, cost, was_handed }),
            State::Memory | State::Writing(_) => lane.fresh.push_back(entry),
        }
    }

    /// The lane that is due, the one that has been so for longest.
    fn due_lane(&mut self, now: Tick, pace: Pace) -> Option<Author> {
        if self.lanes.idle_until > now {
            return None;
        }
        let due = |(author, lane): (&Author, &Lane)| {
            (pace.ready_at(self.whole_at(*author), lane.chunk(pace)), *author)
        };
        let (at, author) = self.lanes.lanes.iter().map(due).min()?;
        self.lanes.idle_until = at;
        (at <= now).then_some(author)
    }

    /// Whether letters that wait in no lane pass before the next chunk does.
    fn others_come_first(&self) -> bool {
        self.lanes.others_first > 0 && (self.front().is_some() || self.wants_more())
    }

    /// Takes a chunk of letters in memory back from the lane that is due.
    fn release(&mut self, now: Tick, pace: Pace) {
        if self.others_come_first() {
            return;
        }
        let Some(author) = self.due_lane(now, pace) else { return };
        let Some(lane) = self.lanes.lanes.get_mut(&author).filter(|lane| lane.kept.is_empty()) else {
            return;
        };
        let mut left = lane.chunk(pace);
        while lane.fresh.front().is_some_and(|entry| entry.cost() <= left)
            && let Some(mut entry) = lane.fresh.pop_front()
        {
            left -= entry.cost();
            lane.cost -= entry.cost();
            entry.released = true;
            self.loaded.push_back(entry);
        }
        self.released(author);
    }

    fn released(&mut self, author: Author) {
        self.lanes.others_first = CHUNK_BYTES;
        self.lanes.idle_until = Tick::ZERO;
        self.lanes.drop_if_empty(author);
    }

    /// When letters of a lane may go, if there are lanes.
    pub(in crate::relay) fn next_release(&mut self, now: Tick, pace: Option<Pace>) -> Option<Tick> {
        let pace = pace.filter(|_| !self.lanes.is_empty())?;
        self.due_lane(now, pace);
        Some(self.lanes.idle_until)
    }

    /// The letters of a lane to be loaded now, if any.
    pub(super) fn wants_kept(&mut self, now: Tick, pace: Option<Pace>) -> Option<Rows> {
        let pace = pace.filter(|_| !self.lanes.is_empty() && !self.others_come_first())?;
        let author = self.due_lane(now, pace)?;
        let places = self.lanes.lanes.get(&author)?.chunk_of_kept(pace);
        self.lanes.loading = Some((author, *places.last()?));
        Some(Rows::At(places))
    }

    /// Whether the rows being loaded are a lane's: then takes them in, `through` being the last place looked at. What was
    /// asked for and is not on the disk is waited for no longer.
    pub(super) fn kept_loaded(
        &mut self,
        through: Option<u64>,
        leaving: bool,
        entries: &mut Vec<Entry>,
    ) -> bool {
        let Some((author, asked)) = self.lanes.loading.take() else { return false };
        let through = through.or((!leaving).then_some(asked)).unwrap_or(0);
        for mut entry in entries.drain(..) {
            entry.was_handed = entry.place().is_some_and(|place| self.may_have_arrived(place));
            entry.released = true;
            self.loaded.push_back(entry);
        }
        if let Some(lane) = self.lanes.lanes.get_mut(&author) {
            while lane.kept.front().is_some_and(|kept| kept.place <= through) {
                lane.remove(0);
            }
        }
        self.released(author);
        true
    }

    /// No rows come.
    pub(super) fn kept_not_loaded(&mut self) {
        self.lanes.loading = None;
    }
}
