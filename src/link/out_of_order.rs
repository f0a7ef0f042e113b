//! Bytes of a stream behind a gap: runs of received bytes, without memory for the gaps.

use crate::base::empty_value;

/// Maximum runs per stream. A packet whose data would exceed it is treated as lost, which only
/// slows an honest sender.
pub const RUNS_MAX: usize = 256;
/// Approximate memory of a run besides its bytes: its entry in the list, and the allocator's
/// overhead. It counts like bytes, so that runs of one byte cannot use much memory.
pub const RUN_COST: usize = 64;
/// Maximum length up to which a run is merged with an adjacent one before it, in bytes. This bounds
/// the work, and a burst of short packets makes one run.
const MERGED_MAX: usize = 4 * 1024;

/// Contiguous bytes that begin at `start`.
#[derive(Debug)]
struct Run {
    start: u64,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Appends `bytes`. Returns the additional memory.
    ///
    /// A run grows by at least a half, so that one of many ranges is rarely moved.
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

/// The runs of one stream, lowest first. They never overlap, but may touch.
#[derive(Debug)]
pub struct OutOfOrder {
    runs: Vec<Run>,
    cost: usize,
}

empty_value!(OutOfOrder, OutOfOrder::EMPTY, |out_of_order| out_of_order.runs.is_empty());

impl OutOfOrder {
    const EMPTY: OutOfOrder = OutOfOrder { runs: Vec::new(), cost: 0 };

    /// Returns the memory of all runs, in bytes.
    pub const fn cost(&self) -> usize {
        self.cost
    }

    /// Returns the index of the first run that ends after `number`.
    fn index_after(&self, number: u64) -> usize {
        self.runs.partition_point(|run| run.end() <= number)
    }

    /// Whether the bytes of `piece`, which begins at `start`, agree with those held.
    pub fn is_consistent(&self, start: u64, data: &[u8]) -> bool {
        let end = start + data.len() as u64;
        let runs = self.runs[self.index_after(start)..].iter().take_while(|run| run.start < end);
        runs.into_iter().all(|run| {
            let from = start.max(run.start);
            let to = end.min(run.end());
            let held = (from - run.start) as usize..(to - run.start) as usize;
            let new = (from - start) as usize..(to - start) as usize;
            run.bytes[held] == data[new]
        })
    }

    /// Holds the new bytes of `piece`, which begins at `start`. Returns `false`, changing nothing,
    /// if `room` is too small or there are too many runs.
    ///
    /// A run grows by half of its length, and may exceed `room` by that much.
    pub fn insert(&mut self, start: u64, data: &[u8], room: usize) -> bool {
        let end = start + data.len() as u64;
        let mut at = self.runs.partition_point(|run| run.end() < start);
        let reached = self.runs.get(at).filter(|run| run.start <= start);
        if reached.is_some_and(|run| run.end() >= end) {
            return true;
        }
        let is_new = reached.is_none();
        if RUN_COST + data.len() > room || is_new && self.runs.len() >= RUNS_MAX {
            return false;
        }
        if is_new {
            self.runs.insert(at, Run { start, bytes: Vec::new() });
            self.cost += RUN_COST;
        }
        // Fills the gaps that `piece` covers, from one run to the next, and merges the runs that
        // meet.
        loop {
            let next = self.runs.get(at + 1).map_or(u64::MAX, |next| next.start);
            let run = &mut self.runs[at];
            let from = run.end().max(start);
            let to = end.min(next);
            if from < to {
                self.cost += run.append(&data[(from - start) as usize..(to - start) as usize]);
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

    /// Merges the next run into this one if they touch and it is short. Returns whether they were
    /// merged.
    fn merge(&mut self, at: usize) -> bool {
        let [run, next, ..] = &mut self.runs[at..] else { return false };
        let merges = run.end() == next.start && next.bytes.len() <= MERGED_MAX;
        if merges {
            self.cost += run.append(&next.bytes);
            self.cost -= self.runs.remove(at + 1).cost();
        }
        merges
    }

    /// Removes the bytes that follow `end` without a gap, and appends those beyond `end` to `into`.
    /// All bytes before `end` have been received.
    pub fn drain_contiguous(&mut self, end: u64, into: &mut Vec<u8>) {
        let mut end = end;
        let mut drained = 0;
        for run in &self.runs {
            if run.start > end {
                break;
            }
            if run.end() > end {
                into.extend_from_slice(&run.bytes[(end - run.start) as usize..]);
                end = run.end();
            }
            drained += 1;
        }
        self.cost -= self.runs.drain(..drained).map(|run| run.cost()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ROOM: usize = 1 << 20;

    impl OutOfOrder {
        fn bytes(&self) -> BTreeMap<u64, u8> {
            let of = |run: &Run| (run.start..).zip(run.bytes.clone()).collect::<Vec<_>>();
            self.runs.iter().flat_map(of).collect()
        }
    }

    #[test]
    fn last_byte_of_window_takes_one_byte() {
        let mut out_of_order = OutOfOrder::EMPTY;
        assert!(out_of_order.insert(163_839, &[7], ROOM));
        assert!(out_of_order.cost() <= RUN_COST + 8, "{}", out_of_order.cost());
    }

    #[test]
    fn runs_of_one_byte_are_counted_and_bounded() {
        let mut out_of_order = OutOfOrder::EMPTY;
        assert!((0..RUNS_MAX as u64).all(|index| out_of_order.insert(index * 2, &[1], ROOM)));
        assert!(!out_of_order.insert(9_000, &[1], ROOM));
        assert!(out_of_order.cost() >= RUNS_MAX * RUN_COST);
        assert!(
            out_of_order.insert(1, &[0], ROOM) && out_of_order.insert(9_000, &[1], ROOM),
            "two runs are one"
        );
    }

    #[test]
    fn insert_beyond_capacity_changes_nothing() {
        let mut out_of_order = OutOfOrder::EMPTY;
        assert!(!out_of_order.insert(5, &[1; 100], RUN_COST + 99) && out_of_order.runs.is_empty());
        assert!(out_of_order.insert(5, &[1; 100], RUN_COST + 100));
        assert!(out_of_order.insert(7, &[1; 90], 0), "it is held already");
        assert!(!out_of_order.insert(7, &[1; 99], 0));
    }

    proptest! {
        #[test]
        fn behaves_like_map_of_single_bytes(
            steps in proptest::collection::vec((0_u64..400, 1_usize..60, 0_usize..30), 1..80)
        ) {
            let mut out_of_order = OutOfOrder::EMPTY;
            let mut model = BTreeMap::new();
            let mut drained = 0;
            for (start, len, leaves) in steps {
                let start = start + drained;
                let data: Vec<u8> = (start..).take(len).map(|position| position as u8).collect();
                prop_assert!(out_of_order.is_consistent(start, &data));
                if out_of_order.insert(start, &data, ROOM) {
                    model.extend((start..).zip(data.clone()));
                }
                prop_assert_eq!(out_of_order.cost(), out_of_order.runs.iter().map(Run::cost).sum::<usize>());
                prop_assert!(out_of_order.cost() <= out_of_order.runs.len() * (RUN_COST + 8) + model.len() * 3 / 2);
                prop_assert_eq!(&out_of_order.bytes(), &model);
                prop_assert!(out_of_order.runs.windows(2).all(|two| two[0].end() <= two[1].start));
                let mut other = data.clone();
                other[len / 2] ^= 1;
                let held = model.contains_key(&(start + len as u64 / 2));
                prop_assert_eq!(out_of_order.is_consistent(start, &other), !held);
                if leaves == 0 {
                    let mut left = Vec::new();
                    let from = start;
                    out_of_order.drain_contiguous(from, &mut left);
                    drained = from + left.len() as u64;
                    prop_assert!(left.iter().zip(from..).all(|(byte, position)| *byte == position as u8));
                    model.retain(|position, _| *position >= drained);
                    prop_assert_eq!(&out_of_order.bytes(), &model);
                    prop_assert!(!model.contains_key(&drained));
                }
            }
        }
    }
}
