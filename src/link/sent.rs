//! Sent packets: their content, and the detection of losses (RFC 9002 §6.1).

use std::collections::VecDeque;
use std::ops::Range;

use smallvec::SmallVec;

use super::nanos::{Nanos, after, since};
use crate::base::Tick;
use crate::wire::frame::StreamId;

/// Maximum packets remembered. Beyond it the oldest counts as lost, so that a peer that leaves gaps
/// in its acks costs bounded memory.
pub const RECORDS_MAX: usize = 4096;
/// How far behind an acknowledged packet another one counts as lost (RFC 9002 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossThreshold {
    /// Later packets that were sent on the same path.
    packets: u64,
    /// Time since it was sent.
    delay: Nanos,
}

impl LossThreshold {
    /// The threshold on UDP: three packets (RFC 9002 §6.1.1), or the delay.
    pub const fn udp(delay: Nanos) -> LossThreshold {
        LossThreshold { packets: 3, delay }
    }

    /// The threshold on TCP, which keeps the order: one packet. The other end did not understand
    /// the lost one, because a bit had flipped that TCP's checksum does not show.
    pub const TCP: LossThreshold = LossThreshold { packets: 1, delay: 0 };
}

/// Records for which memory is kept when nothing is outstanding: six initial windows.
const IDLE_RECORDS_MAX: usize = 64;

/// A range of stream data in a packet.
pub type StreamRange = (StreamId, Range<u64>);

/// The state of a sent packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketState {
    /// Requests an ack and has none; in flight.
    Outstanding,
    /// Requests no ack, or went to another path. Nothing must be recovered.
    NonEliciting,
    /// Counts as lost, and its content is sent again. Kept for a while, because a late ack still
    /// shows what arrived.
    Lost,
    /// As `Lost`, because the link left its path.
    Abandoned,
    /// Acknowledged.
    Acked,
}

/// A sent packet.
#[derive(Clone, Debug)]
pub struct SentPacket {
    /// When it was built.
    pub at: Tick,
    /// Its length, with header and tag.
    pub size: usize,
    /// Its state.
    pub state: PacketState,
    /// Stream data.
    pub ranges: SmallVec<[StreamRange; 2]>,
    /// Streams whose credit it announced, as bits.
    pub credits: u8,
    /// Whether it has a PING whose round trip is measured.
    pub ping: bool,
    /// The largest number that it acknowledged.
    pub ack_through: Option<u64>,
    /// Whether a probe carries the same content, so that its loss does not cause another
    /// transmission.
    copied: bool,
    /// The path epoch that it belongs to, and its number there; `None` if it went to another
    /// path.
    path_number: Option<(u32, u64)>,
}

impl SentPacket {
    /// Creates the record of a packet without content.
    pub fn new(at: Tick) -> SentPacket {
        SentPacket {
            at,
            size: 0,
            state: PacketState::NonEliciting,
            ranges: SmallVec::new(),
            credits: 0,
            ping: false,
            ack_through: None,
            copied: false,
            path_number: None,
        }
    }

    /// Whether it has content that needs an ack and that no probe carries yet.
    fn is_to_be_copied(&self) -> bool {
        let carries = !self.ranges.is_empty() || self.credits != 0 || self.ping;
        self.state == PacketState::Outstanding && !self.copied && carries
    }

    fn in_flight(&self) -> usize {
        if self.copied { 0 } else { self.size }
    }
}

/// The result of a search for lost packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Number of packets lost.
    pub count: u64,
    /// When the newest of them was sent.
    pub newest: Option<Tick>,
    /// The longest time between two of them with none acknowledged in between.
    pub span: Nanos,
    /// When the next packet will be lost if no ack arrives.
    pub next_at: Option<Tick>,
}

/// The sent packets that are not forgotten, numbered without gaps.
#[derive(Debug, Default)]
pub struct SentPackets {
    records: VecDeque<SentPacket>,
    /// The number of the first record.
    first: u64,
    /// Number of moves. Packets of an earlier stay neither declare losses nor are declared lost.
    path_epoch: u32,
    next_path_number: u64,
    largest_acked_path_number: Option<u64>,
    outstanding: usize,
    in_flight: usize,
}

impl SentPackets {
    /// Returns the number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Creates the records of a link without packets in flight. `next` is the next number.
    pub fn after_hibernation(next: u64) -> SentPackets {
        SentPackets { first: next, ..SentPackets::default() }
    }

    /// Returns the number of packets on this path that request an ack and have none.
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Returns the bytes of outstanding packets.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Records a packet for the current path under [`SentPackets::next_number`].
    ///
    /// Returns an old packet that had to be forgotten though it may be lost.
    pub fn push(&mut self, mut sent: SentPacket) -> Option<SentPacket> {
        sent.path_number = Some((self.path_epoch, self.next_path_number));
        self.next_path_number += 1;
        if sent.state == PacketState::Outstanding {
            self.outstanding += 1;
            self.in_flight += sent.size;
        }
        self.records.push_back(sent);
        self.forget_oldest()
    }

    /// Records a packet for another path. Returns as [`SentPackets::push`].
    pub fn push_elsewhere(&mut self, at: Tick) -> Option<SentPacket> {
        self.records.push_back(SentPacket::new(at));
        self.forget_oldest()
    }

    fn forget_oldest(&mut self) -> Option<SentPacket> {
        if self.records.len() <= RECORDS_MAX {
            return None;
        }
        let oldest = self.records.pop_front().expect("there are more than RECORDS_MAX records");
        self.first += 1;
        if oldest.state == PacketState::Outstanding {
            self.outstanding -= 1;
            self.in_flight -= oldest.in_flight();
        }
        (oldest.state == PacketState::Outstanding && !oldest.copied).then_some(oldest)
    }

    /// Marks the packets of `range` as acknowledged.
    ///
    /// Calls `each` once per packet, newest first, with the packet's earlier state and whether it
    /// belongs to the present stay.
    pub fn ack(&mut self, range: Range<u64>, mut each: impl FnMut(u64, &SentPacket, bool)) {
        let from = range.start.max(self.first);
        let to = range.end.min(self.next_number());
        for number in (from..to).rev() {
            let sent = &mut self.records[(number - self.first) as usize];
            if sent.state == PacketState::Acked {
                continue;
            }
            let current_path_number = sent.path_number.filter(|(epoch, _)| *epoch == self.path_epoch);
            each(number, sent, current_path_number.is_some());
            if sent.state == PacketState::Outstanding {
                self.outstanding -= 1;
                self.in_flight -= sent.in_flight();
            }
            sent.state = PacketState::Acked;
            sent.ranges.clear();
            self.largest_acked_path_number =
                self.largest_acked_path_number.max(current_path_number.map(|(_, path_number)| path_number));
        }
    }

    /// Declares packets lost that are behind a later acknowledged packet of the same stay by the
    /// threshold. Calls `each` with the packets whose content must be sent again.
    pub fn detect_lost(
        &mut self,
        now: Tick,
        threshold: LossThreshold,
        mut each: impl FnMut(&SentPacket),
    ) -> Losses {
        let mut losses = Losses::default();
        let Some(largest) = self.largest_acked_path_number.filter(|_| self.outstanding > 0) else {
            return losses;
        };
        let mut outstanding = self.outstanding;
        let mut in_flight = self.in_flight;
        let mut run = None;
        for sent in &mut self.records {
            let Some((epoch, path_number)) = sent.path_number else { continue };
            if epoch != self.path_epoch || sent.state == PacketState::NonEliciting {
                continue;
            }
            if path_number > largest || sent.state == PacketState::Acked {
                if path_number > largest {
                    break;
                }
                run = None;
                continue;
            }
            if sent.state == PacketState::Outstanding {
                let lost_at = after(sent.at, threshold.delay);
                if path_number + threshold.packets > largest && lost_at > now {
                    losses.next_at = losses.next_at.or(Some(lost_at));
                    continue;
                }
                sent.state = PacketState::Lost;
                outstanding -= 1;
                in_flight -= sent.in_flight();
                losses.count += 1;
                losses.newest = Some(sent.at);
                losses.span = losses.span.max(since(sent.at, *run.get_or_insert(sent.at)));
                if !sent.copied {
                    each(sent);
                }
            }
        }
        self.outstanding = outstanding;
        self.in_flight = in_flight;
        losses
    }

    /// Calls `each` with the oldest outstanding packet whose content no probe carries yet. Returns
    /// `false` if there is none.
    ///
    /// The probe replaces it in flight, so that a long series of probes on a dead path does not
    /// fill the window.
    pub fn copy_oldest(&mut self, each: impl FnOnce(&SentPacket)) -> bool {
        let Some(oldest) = self.records.iter_mut().find(|sent| sent.is_to_be_copied()) else { return false };
        self.in_flight -= oldest.in_flight();
        oldest.copied = true;
        each(oldest);
        true
    }

    /// Returns the length of the packet that [`SentPackets::copy_oldest`] would use, or 0.
    pub fn oldest_size(&self) -> usize {
        self.records.iter().find(|sent| sent.is_to_be_copied()).map_or(0, |oldest| oldest.size)
    }

    /// Begins a stay on another path. Calls `each` with the outstanding packets, whose content must
    /// be sent again there.
    pub fn abandon_all(&mut self, mut each: impl FnMut(&SentPacket)) {
        for sent in self.records.iter_mut().filter(|sent| sent.state == PacketState::Outstanding) {
            sent.state = PacketState::Abandoned;
            if !sent.copied {
                each(sent);
            }
        }
        self.path_epoch += 1;
        self.largest_acked_path_number = None;
        self.outstanding = 0;
        self.in_flight = 0;
    }

    /// Forgets settled packets from the front, and those lost before `lost_before`.
    pub fn forget(&mut self, lost_before: impl Fn() -> Tick) {
        let is_settled = |sent: &SentPacket| match sent.state {
            PacketState::Outstanding => false,
            PacketState::NonEliciting | PacketState::Acked => true,
            PacketState::Lost | PacketState::Abandoned => sent.at < lost_before(),
        };
        while self.records.front().is_some_and(is_settled) {
            self.records.pop_front();
            self.first += 1;
        }
        if self.records.is_empty() && self.records.capacity() > IDLE_RECORDS_MAX {
            self.records.shrink_to(IDLE_RECORDS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1000)
    }

    fn packet(millis: u64) -> SentPacket {
        SentPacket { state: PacketState::Outstanding, size: 100, credits: 1, ..SentPacket::new(at(millis)) }
    }

    fn sent(count: u64) -> SentPackets {
        let mut packets = SentPackets::default();
        (0..count).for_each(|n| assert!(packets.push(packet(n)).is_none()));
        packets
    }

    const LONG: Nanos = 9_000_000_000;

    #[test]
    fn three_later_packets_or_enough_time_declare_loss() {
        let mut packets = sent(6);
        packets.ack(4..5, |_, _, _| ());
        let losses = packets.detect_lost(at(5), LossThreshold::udp(LONG), |_| ());
        assert_eq!(losses.count, 2);
        assert_eq!(losses.newest, Some(at(1)));
        assert_eq!(losses.next_at, Some(after(at(2), LONG)));
        assert_eq!(packets.detect_lost(after(at(2), LONG), LossThreshold::udp(LONG), |_| ()).count, 1);
        assert_eq!(packets.outstanding(), 2);
        assert_eq!(packets.in_flight(), 200);
    }

    #[test]
    fn packets_on_other_or_earlier_paths_declare_no_loss() {
        let mut packets = sent(1);
        (0..5).for_each(|_| assert!(packets.push_elsewhere(at(1)).is_none()));
        packets.ack(1..6, |_, _, on_current_path| assert!(!on_current_path));
        assert_eq!(packets.detect_lost(at(99_999), LossThreshold::udp(LONG), |_| ()), Losses::default());
        packets.abandon_all(|_| ());
        packets.push(packet(2));
        packets.ack(6..7, |_, _, on_current_path| assert!(on_current_path));
        assert_eq!(packets.detect_lost(at(99_999), LossThreshold::udp(LONG), |_| ()).count, 0);
    }

    /// Of three lost packets, one was repeated in a probe. Only two are sent again.
    #[test]
    fn data_repeated_in_probe_is_not_resent_on_its_loss() {
        let mut packets = sent(6);
        assert!(packets.copy_oldest(|oldest| assert_eq!(oldest.at, at(0))));
        packets.ack(5..6, |_, _, _| ());
        let mut again = 0;
        assert_eq!(packets.detect_lost(at(6), LossThreshold::udp(LONG), |_| again += 1).count, 3);
        assert_eq!(again, 2);
    }

    #[test]
    fn packet_is_acked_once_and_settled_ones_are_forgotten() {
        let mut packets = sent(3);
        let mut seen = Vec::new();
        packets.ack(0..2, |number, _, _| seen.push(number));
        packets.ack(0..3, |number, _, _| seen.push(number));
        assert_eq!(seen, [1, 0, 2]);
        packets.forget(|| at(0));
        assert_eq!(packets.records.len(), 0);
        assert_eq!(packets.next_number(), 3);
    }

    #[test]
    fn records_are_bounded_and_oldest_counts_as_lost() {
        let mut packets = sent(RECORDS_MAX as u64);
        assert_eq!(packets.push(packet(7)).map(|oldest| oldest.at), Some(at(0)));
        assert_eq!(packets.outstanding(), RECORDS_MAX);
    }
}
