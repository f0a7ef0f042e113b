//! Bytes of a stream behind a gap: runs of received bytes, and no memory for the gaps between them.

use crate::base::blank;

/// Runs of one stream. A packet whose piece would make more is treated as lost, so an honest sender
/// is only slowed.
pub const RUNS_MAX: usize = 256;
/// Memory of a run besides its bytes, about: its entry in the list, and what the allocator adds. It
/// counts like bytes, so that runs of one byte are no cheap way to much memory.
pub const RUN_COST: usize = 64;
/// A run that is met by the one before it becomes one with it up to this length, in bytes: the work
/// of that is bounded, and a burst of short packets makes one run.
const MERGED_MAX: usize = 4 * 1024;

/// Bytes in order, their first one at `start`.
#[derive(Debug)]
struct Run {
    start: u64,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Appends `bytes`. Returns how much more memory that takes. A run grows by a half at least, so
    /// that one of many pieces is rarely moved.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let before = self.bytes.capacity();
        if before - self.bytes.len() < bytes.len() {
            self.bytes.reserve_exact(bytes.len().max(self.bytes.len() / 2));
        }
        self.bytes.extend_from_slice(bytes);
        self.bytes.capacity() - before
    }

    fn cost(&self) -> usize {
        RUN_COST + self.bytes.capacity()
    }
}

/// The runs of one stream, lowest first; they never overlap, and may touch.
#[derive(Debug)]
pub struct Ahead {
    runs: Vec<Run>,
    cost: usize,
}

blank!(Ahead, Ahead::NOTHING, |ahead| ahead.runs.is_empty());

impl Ahead {
    const NOTHING: Ahead = Ahead { runs: Vec::new(), cost: 0 };

    /// The memory of all runs, in bytes.
    pub const fn cost(&self) -> usize {
        self.cost
    }

    /// The first run that ends behind `number`.
    fn place(&self, number: u64) -> usize {
        self.runs.partition_point(|run| run.end() <= number)
    }

    /// Whether a piece, which begins at `start`, is the same where it was held before.
    pub fn agrees(&self, start: u64, piece: &[u8]) -> bool {
        let end = start + piece.len() as u64;
        let runs = self.runs[self.place(start)..].iter().take_while(|run| run.start < end);
        runs.into_iter().all(|run| {
            let (from, to) = (start.max(run.start), end.min(run.end()));
            let (ours, theirs) = (from - run.start..to - run.start, from - start..to - start);
            run.bytes[ours.start as usize..ours.end as usize]
                == piece[theirs.start as usize..theirs.end as usize]
        })
    }

    /// Keeps what is new of a piece that begins at `start`. Returns `false`, and changes nothing,
    /// if there is no room for the piece, or there are too many runs. A run grows by half of what
    /// it holds, and may exceed `room` by that much.
    pub fn hold(&mut self, start: u64, piece: &[u8], room: usize) -> bool {
        let end = start + piece.len() as u64;
        let mut at = self.runs.partition_point(|run| run.end() < start);
        let reached = self.runs.get(at).filter(|run| run.start <= start);
        if reached.is_some_and(|run| run.end() >= end) {
            return true;
        }
        let is_new = reached.is_none();
        if RUN_COST + piece.len() > room || is_new && self.runs.len() >= RUNS_MAX {
            return false;
        }
        if is_new {
            self.runs.insert(at, Run { start, bytes: Vec::new() });
            self.cost += RUN_COST;
        }
        loop {
            let next = self.runs.get(at + 1).map_or(u64::MAX, |next| next.start);
            let run = &mut self.runs[at];
            let (from, to) = (run.end().max(start), end.min(next));
            if from < to {
                self.cost += run.append(&piece[(from - start) as usize..(to - start) as usize]);
            }
            if self.merge(at) {
                continue;
            }
            if next >= end {
                return true;
            }
            at += 1;
        }
    }

    /// The run after this one becomes a part of it, if they touch and it is short.
    fn merge(&mut self, at: usize) -> bool {
        let [run, next, ..] = &mut self.runs[at..] else { return false };
        let merges = run.end() == next.start && next.bytes.len() <= MERGED_MAX;
        if merges {
            self.cost += run.append(&next.bytes);
            self.cost -= self.runs.remove(at + 1).cost();
        }
        merges
    }

    /// Everything up to `end` is there: what follows it without a gap leaves, its new part appended
    /// to `into`.
    pub fn leave(&mut self, end: u64, into: &mut Vec<u8>) {
        let (mut end, mut gone) = (end, 0);
        for run in &self.runs {
            if run.start > end {
                break;
            }
            if run.end() > end {
                into.extend_from_slice(&run.bytes[(end - run.start) as usize..]);
                end = run.end();
            }
            gone += 1;
        }
        self.cost -= self.runs.drain(..gone).map(|run| run.cost()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ROOM: usize = 1 << 20;

    impl Ahead {
        fn bytes(&self) -> BTreeMap<u64, u8> {
            let of = |run: &Run| (run.start..).zip(run.bytes.clone()).collect::<Vec<_>>();
            self.runs.iter().flat_map(of).collect()
        }
    }

    #[test]
    fn the_last_byte_of_a_window_takes_one_byte() {
        let mut ahead = Ahead::NOTHING;
        assert!(ahead.hold(163_839, &[7], ROOM));
        assert!(ahead.cost() <= RUN_COST + 8, "{}", ahead.cost());
    }

    #[test]
    fn runs_of_one_byte_are_counted_and_bounded() {
        let mut ahead = Ahead::NOTHING;
        assert!((0..RUNS_MAX as u64).all(|place| ahead.hold(place * 2, &[1], ROOM)));
        assert!(!ahead.hold(9_000, &[1], ROOM));
        assert!(ahead.cost() >= RUNS_MAX * RUN_COST);
        assert!(ahead.hold(1, &[0], ROOM) && ahead.hold(9_000, &[1], ROOM), "two runs are one");
    }

    #[test]
    fn what_has_no_room_changes_nothing() {
        let mut ahead = Ahead::NOTHING;
        assert!(!ahead.hold(5, &[1; 100], RUN_COST + 99) && ahead.runs.is_empty());
        assert!(ahead.hold(5, &[1; 100], RUN_COST + 100));
        assert!(ahead.hold(7, &[1; 90], 0), "it is there");
        assert!(!ahead.hold(7, &[1; 99], 0));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_of_single_bytes(
            steps in proptest::collection::vec((0_u64..400, 1_usize..60, 0_usize..30), 1..80)
        ) {
            let (mut ahead, mut model, mut gone) = (Ahead::NOTHING, BTreeMap::new(), 0);
            for (start, len, leaves) in steps {
                let start = start + gone;
                let piece: Vec<u8> = (start..).take(len).map(|place| place as u8).collect();
                prop_assert!(ahead.agrees(start, &piece));
                if ahead.hold(start, &piece, ROOM) {
                    model.extend((start..).zip(piece.clone()));
                }
                prop_assert_eq!(ahead.cost(), ahead.runs.iter().map(Run::cost).sum::<usize>());
                prop_assert!(ahead.cost() <= ahead.runs.len() * (RUN_COST + 8) + model.len() * 3 / 2);
                prop_assert_eq!(&ahead.bytes(), &model);
                prop_assert!(ahead.runs.windows(2).all(|two| two[0].end() <= two[1].start));
                let mut other = piece.clone();
                other[len / 2] ^= 1;
                let held = model.contains_key(&(start + len as u64 / 2));
                prop_assert_eq!(ahead.agrees(start, &other), !held);
                if leaves == 0 {
                    let (mut left, from) = (Vec::new(), start);
                    ahead.leave(from, &mut left);
                    gone = from + left.len() as u64;
                    prop_assert!(left.iter().zip(from..).all(|(byte, place)| *byte == place as u8));
                    model.retain(|place, _| *place >= gone);
                    prop_assert_eq!(&ahead.bytes(), &model);
                    prop_assert!(!model.contains_key(&gone));
                }
            }
        }
    }
}
