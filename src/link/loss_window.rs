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
const RECEIVED_WINDOW: u64 = 16;
/// The newest numbers of the other end, which may still be on their way.
const REORDER_MAX: u64 = 3;
/// Minimum packets for a judgement.
const SAMPLES_MIN: u32 = 8;

/// The losses during one stay on one path.
#[derive(Clone, Debug, Default)]
pub struct LossWindow {
    /// Outcomes of sent packets, the newest in the lowest bit: 1 is lost.
    lost: u32,
    samples: u32,
    long_lost_in_row: u32,
    /// The first and the highest number received.
    number_range: Option<(u64, u64)>,
    /// Which of the last 64 numbers were received. Bit 0 is the highest.
    received: u64,
}

impl LossWindow {
    /// Records the arrival of a sent packet.
    pub fn handle_acked(&mut self, size: usize) {
        if size >= LONG_MIN {
            self.long_lost_in_row = 0;
        }
        self.record_outcome(0);
    }

    /// Records the loss of a sent packet.
    pub fn handle_lost(&mut self, size: usize) {
        self.long_lost_in_row += u32::from(size >= LONG_MIN);
        self.record_outcome(1);
    }

    fn record_outcome(&mut self, lost: u32) {
        self.lost = self.lost << 1 | lost;
        self.samples = (self.samples + 1).min(SENT_WINDOW);
    }

    /// Records the number of a received packet.
    pub fn handle_number(&mut self, number: u64) {
        let (first, highest) = self.number_range.unwrap_or((number, number));
        if number > highest {
            let step = number - highest;
            self.received = if step < 64 { self.received << step } else { 0 };
        }
        let newest = highest.max(number);
        self.number_range = Some((first, newest));
        if newest - number < 64 {
            self.received |= 1 << (newest - number);
        }
    }

    /// Whether most packets of one direction were lost lately, or [`LONG_LOST_MAX`] in a row: long
    /// packets sent, or any packets of the other end.
    pub fn is_lossy(&self) -> bool {
        let lost = (self.lost & ((1 << SENT_WINDOW) - 1)).count_ones();
        let up = self.samples >= SAMPLES_MIN && lost * 2 > self.samples;
        up || self.long_lost_in_row >= LONG_LOST_MAX || self.has_lost_most()
    }

    fn has_lost_most(&self) -> bool {
        let Some((first, highest)) = self.number_range else { return false };
        let judged_count = (highest - first + 1).min(RECEIVED_WINDOW).saturating_sub(REORDER_MAX) as u32;
        let missing = !(self.received >> REORDER_MAX) & ((1 << judged_count) - 1);
        let in_row = missing & missing >> 1 & missing >> 2 & missing >> 3 != 0;
        in_row || judged_count >= SAMPLES_MIN && missing.count_ones() * 2 > judged_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_start_hides_no_losses() {
        let mut health = LossWindow::default();
        (0..1_000).for_each(|_| health.handle_acked(100));
        (0..8).for_each(|_| health.handle_lost(100));
        assert!(!health.is_lossy(), "half of sixteen");
        health.handle_lost(100);
        assert!(health.is_lossy());
        (0..8).for_each(|_| health.handle_acked(100));
        assert!(!health.is_lossy());
    }

    #[test]
    fn loss_of_long_packets_only_is_noticed() {
        let mut health = LossWindow::default();
        for _ in 0..4 {
            assert!(!health.is_lossy());
            (0..3).for_each(|_| health.handle_acked(200));
            health.handle_lost(1200);
        }
        assert!(health.is_lossy());
        health.handle_acked(1200);
        assert!(!health.is_lossy());
    }

    #[test]
    fn gaps_in_received_numbers_are_noticed() {
        let mut health = LossWindow::default();
        (100..150).for_each(|number| health.handle_number(number));
        assert!(!health.is_lossy());
        for number in [153, 156, 159, 162, 165, 168] {
            health.handle_number(number);
        }
        assert!(health.is_lossy());
        let mut row = LossWindow::default();
        (0..20).filter(|number| !(10..14).contains(number)).for_each(|number| row.handle_number(number));
        assert!(row.is_lossy(), "four in a row");
        (150..169).rev().for_each(|number| health.handle_number(number));
        assert!(!health.is_lossy(), "they were only late");
        health.handle_number(1_000);
        health.handle_number(u64::MAX >> 2);
        health.handle_number(3);
    }
}
