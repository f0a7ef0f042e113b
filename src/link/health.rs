//! A sliding window of losses on a path, for each direction. Totals would let one good start hide
//! all later losses.

use crate::wire::limits::UDP_PACKET_MAX;

/// Minimum length of a long packet, in bytes. A path may deliver short ones and lose these.
const LONG_MIN: usize = UDP_PACKET_MAX - 100;
/// Consecutive losses of long packets, whatever happens to short ones, that make a path lossy. The
/// same number of consecutive missing packets of the other end does too. By chance that has a
/// probability of 0.8 % if three in ten are lost.
const LONG_LOST_MAX: u32 = 4;
/// Sent packets in the window.
const SENT_WINDOW: u32 = 16;
/// Numbers of the other end in the window.
const CAME_WINDOW: u64 = 16;
/// The newest numbers of the other end, which may still be on their way.
const CAME_LATE: u64 = 3;
/// Minimum packets for a judgement.
const JUDGED_MIN: u32 = 8;

/// The losses during one stay on one path.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Outcomes of sent packets, the newest in the lowest bit: 1 is lost.
    lost: u32,
    settled: u32,
    long_lost_in_row: u32,
    /// The first and the highest number received.
    came: Option<(u64, u64)>,
    /// Which of the last 64 numbers were received. Bit 0 is the highest.
    seen: u64,
}

impl Health {
    /// Records the arrival of a sent packet.
    pub fn handle_acked(&mut self, size: usize) {
        if size >= LONG_MIN {
            self.long_lost_in_row = 0;
        }
        self.settle(0);
    }

    /// Records the loss of a sent packet.
    pub fn handle_lost(&mut self, size: usize) {
        self.long_lost_in_row += u32::from(size >= LONG_MIN);
        self.settle(1);
    }

    fn settle(&mut self, fate: u32) {
        self.lost = self.lost << 1 | fate;
        self.settled = (self.settled + 1).min(SENT_WINDOW);
    }

    /// Records the number of a received packet.
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

    /// Whether most packets of one direction, or all long ones, were lost lately.
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
    fn good_start_hides_no_losses() {
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
    fn loss_of_long_packets_only_is_noticed() {
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
    fn gaps_in_received_numbers_are_noticed() {
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
