//! How a path has fared lately, each direction by itself, on a sliding window: totals would let one good start hide
//! every later loss.

use crate::wire::limits::UDP_PACKET_MAX;

/// Packets longer than this are long ones: a path may let short ones through and lose these.
const LONG_MIN: usize = UDP_PACKET_MAX - 100;
/// So many long packets lost in a row, whatever becomes of short ones, are a reason for doubt, and so are four packets of
/// the other end missing in a row: 0.8 % by chance where three in ten are lost.
const LONG_LOST_MAX: u32 = 4;
/// Packets of ours in the window.
const SENT_WINDOW: u32 = 16;
/// Numbers of the other end in the window, and the newest of them that may still be on their way.
const CAME_WINDOW: u64 = 16;
const CAME_LATE: u64 = 3;
/// With fewer packets than this nothing can be said.
const JUDGED_MIN: u32 = 8;

/// The window of one stay on one path.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Fates of what was sent here, the newest in the lowest bit: 1 is lost.
    lost: u32,
    settled: u32,
    long_lost_in_row: u32,
    /// The first and the highest number that came since, and which of the last 64 did: bit 0 is the highest.
    came: Option<(u64, u64)>,
    seen: u64,
}

impl Health {
    /// Something sent here has arrived.
    pub fn handle_acked(&mut self, size: usize) {
        if size >= LONG_MIN {
            self.long_lost_in_row = 0;
        }
        self.settle(0);
    }

    /// Something sent here is taken as lost.
    pub fn handle_lost(&mut self, size: usize) {
        self.long_lost_in_row += u32::from(size >= LONG_MIN);
        self.settle(1);
    }

    fn settle(&mut self, fate: u32) {
        self.lost = self.lost << 1 | fate;
        self.settled = (self.settled + 1).min(SENT_WINDOW);
    }

    /// A packet of this number has come.
    pub fn handle_number(&mut self, number: u64) {
        let (first, highest) = self.came.unwrap_or((number, number));
        if number > highest {
            let step = number - highest;
            self.seen = if step < 64 { self.seen << step } else { 0 };
        }
        let newest = highest.max(number);
        self.came = Some((first, newest));
        if newest - number < 64 {
            self.seen |= 1 << (newest - number);
        }
    }

    /// Most of what is sent, or of what the other end sends, or every long packet, gets lost.
    pub fn is_poor(&self) -> bool {
        let lost = (self.lost & ((1 << SENT_WINDOW) - 1)).count_ones();
        let up = self.settled >= JUDGED_MIN && lost * 2 > self.settled;
        up || self.long_lost_in_row >= LONG_LOST_MAX || self.misses_most()
    }

    fn misses_most(&self) -> bool {
        let Some((first, highest)) = self.came else { return false };
        let judged = (highest - first + 1).min(CAME_WINDOW).saturating_sub(CAME_LATE) as u32;
        let missing = !(self.seen >> CAME_LATE) & ((1 << judged) - 1);
        let in_row = missing & missing >> 1 & missing >> 2 & missing >> 3 != 0;
        in_row || judged >= JUDGED_MIN && missing.count_ones() * 2 > judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_start_hides_nothing() {
        let mut health = Health::default();
        (0..1_000).for_each(|_| health.handle_acked(100));
        (0..8).for_each(|_| health.handle_lost(100));
        assert!(!health.is_poor(), "half of sixteen");
        health.handle_lost(100);
        assert!(health.is_poor());
        (0..8).for_each(|_| health.handle_acked(100));
        assert!(!health.is_poor());
    }

    #[test]
    fn long_packets_that_all_get_lost_are_noticed_among_short_ones_that_arrive() {
        let mut health = Health::default();
        for _ in 0..4 {
            assert!(!health.is_poor());
            (0..3).for_each(|_| health.handle_acked(200));
            health.handle_lost(1200);
        }
        assert!(health.is_poor());
        health.handle_acked(1200);
        assert!(!health.is_poor());
    }

    #[test]
    fn holes_in_the_numbers_of_the_other_end_are_noticed() {
        let mut health = Health::default();
        (100..150).for_each(|number| health.handle_number(number));
        assert!(!health.is_poor());
        for number in [153, 156, 159, 162, 165, 168] {
            health.handle_number(number);
        }
        assert!(health.is_poor());
        let mut row = Health::default();
        (0..20).filter(|number| !(10..14).contains(number)).for_each(|number| row.handle_number(number));
        assert!(row.is_poor(), "four in a row");
        (150..169).rev().for_each(|number| health.handle_number(number));
        assert!(!health.is_poor(), "they were only late");
        health.handle_number(1_000);
        health.handle_number(u64::MAX >> 2);
        health.handle_number(3);
    }
}
