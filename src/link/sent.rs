//! Packets sent: what each carried, and which are lost (RFC 9002 §6.1).

use std::collections::VecDeque;
use std::ops::Range;

use smallvec::SmallVec;

use super::nanos::{Nanos, after, since};
use crate::base::Tick;
use crate::wire::frame::StreamId;

/// Packets remembered. Above it the oldest one is taken as lost, so that a peer that leaves holes in its acks costs a
/// bounded amount of memory.
pub const RECORDS_MAX: usize = 4096;
/// A later packet by this many declares one lost (RFC 9002 §6.1.1).
const PACKET_THRESHOLD: u64 = 3;
/// Records kept without shrinking when nothing is outstanding.
const IDLE_RECORDS_MAX: usize = 64;

/// A piece of a stream in a packet.
pub type Piece = (StreamId, Range<u64>);

/// How a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asks for an ack and has none; counts as in flight.
    Outstanding,
    /// Asks for none, or went to another path: nothing is to be recovered.
    Void,
    /// Taken as lost; what it carried goes again. Kept a while, because a late ack still says what arrived.
    Lost,
    /// The link left its path; otherwise as `Lost`.
    Left,
    /// Acknowledged.
    Acked,
}

/// One packet sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was built.
    pub at: Tick,
    /// Its bytes, header and tag included.
    pub size: usize,
    /// How it stands.
    pub state: State,
    /// Stream data.
    pub pieces: SmallVec<[Piece; 2]>,
    /// Streams whose credit it announced, as bits.
    pub credits: u8,
    /// It holds a PING somebody waits for.
    pub ping: bool,
    /// The largest number it acknowledged.
    pub ack_through: Option<u64>,
    /// A probe carries the same again: not to be sent once more when this one is lost.
    copied: bool,
    /// Which stay on a path it belongs to, and its place there; `None` if it went elsewhere.
    place: Option<(u32, u64)>,
}

impl Sent {
    /// A packet that carries nothing yet.
    pub fn new(at: Tick) -> Sent {
        Sent {
            at,
            size: 0,
            state: State::Void,
            pieces: SmallVec::new(),
            credits: 0,
            ping: false,
            ack_through: None,
            copied: false,
            place: None,
        }
    }

    /// It carries what an ack is needed for, and no probe carries it yet.
    fn is_to_be_copied(&self) -> bool {
        let carries = !self.pieces.is_empty() || self.credits != 0 || self.ping;
        self.state == State::Outstanding && !self.copied && carries
    }

    fn in_flight(&self) -> usize {
        if self.copied { 0 } else { self.size }
    }
}

/// What a pass over the records found lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many packets.
    pub count: u64,
    /// When the newest of them was sent.
    pub newest: Option<Tick>,
    /// The longest time between two of them with nothing acknowledged between.
    pub span: Nanos,
    /// When the next one will be lost if no ack comes.
    pub next_at: Option<Tick>,
}

/// The packets sent and not forgotten, numbered without holes.
#[derive(Debug, Default)]
pub struct SentPackets {
    records: VecDeque<Sent>,
    /// The number of the first record.
    first: u64,
    /// Counts the moves: packets of an earlier stay neither declare losses nor are declared lost.
    stay: u32,
    next_place: u64,
    largest_acked_place: Option<u64>,
    outstanding: usize,
    in_flight: usize,
}

impl SentPackets {
    /// The number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Nothing was sent that may be lost or acknowledged; this number is the next.
    pub fn resting(next: u64) -> SentPackets {
        SentPackets { first: next, ..SentPackets::default() }
    }

    /// Packets that ask for an ack and have none, on this path.
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Their bytes.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Remembers a packet for the present path under [`SentPackets::next_number`]. Answers with an old one that had
    /// to be forgotten though it may be lost.
    pub fn push(&mut self, mut sent: Sent) -> Option<Sent> {
        sent.place = Some((self.stay, self.next_place));
        self.next_place += 1;
        if sent.state == State::Outstanding {
            self.outstanding += 1;
            self.in_flight += sent.size;
        }
        self.records.push_back(sent);
        self.forget_oldest()
    }

    /// Remembers a packet that went to another path.
    pub fn push_elsewhere(&mut self, at: Tick) -> Option<Sent> {
        self.records.push_back(Sent::new(at));
        self.forget_oldest()
    }

    fn forget_oldest(&mut self) -> Option<Sent> {
        if self.records.len() <= RECORDS_MAX {
            return None;
        }
        let oldest = self.records.pop_front().expect("there are more than one");
        self.first += 1;
        if oldest.state == State::Outstanding {
            self.outstanding -= 1;
            self.in_flight -= oldest.in_flight();
        }
        (oldest.state == State::Outstanding && !oldest.copied).then_some(oldest)
    }

    /// Marks the packets of `range` acknowledged and shows each to `each` once, newest first, as it stood before,
    /// with whether it belongs to the present stay.
    pub fn ack(&mut self, range: Range<u64>, mut each: impl FnMut(u64, &Sent, bool)) {
        let (from, to) = (range.start.max(self.first), range.end.min(self.next_number()));
        for number in (from..to).rev() {
            let sent = &mut self.records[(number - self.first) as usize];
            if sent.state == State::Acked {
                continue;
            }
            let here = sent.place.filter(|(stay, _)| *stay == self.stay);
            each(number, sent, here.is_some());
            if sent.state == State::Outstanding {
                self.outstanding -= 1;
                self.in_flight -= sent.in_flight();
            }
            sent.state = State::Acked;
            sent.pieces.clear();
            self.largest_acked_place = self.largest_acked_place.max(here.map(|(_, place)| place));
        }
    }

    /// Declares lost what later acknowledged packets of the same stay leave behind by three places or by
    /// `loss_delay` since its sending. `each` gets what is to go again.
    pub fn lose(&mut self, now: Tick, loss_delay: Nanos, mut each: impl FnMut(&Sent)) -> Losses {
        let mut losses = Losses::default();
        let Some(largest) = self.largest_acked_place.filter(|_| self.outstanding > 0) else { return losses };
        let (mut outstanding, mut in_flight, mut run) = (self.outstanding, self.in_flight, None);
        for sent in &mut self.records {
            let Some((stay, place)) = sent.place else { continue };
            if stay != self.stay || sent.state == State::Void {
                continue;
            }
            if place > largest || sent.state == State::Acked {
                if place > largest {
                    break;
                }
                run = None;
                continue;
            }
            if sent.state == State::Outstanding {
                let due = after(sent.at, loss_delay);
                if place + PACKET_THRESHOLD > largest && due > now {
                    losses.next_at = losses.next_at.or(Some(due));
                    continue;
                }
                sent.state = State::Lost;
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
        (self.outstanding, self.in_flight) = (outstanding, in_flight);
        losses
    }

    /// Shows what the oldest outstanding packet carried that no probe carries yet; `false` if there is none. The
    /// probe takes its place in flight, so that a long row of probes into a dead path does not fill the window.
    pub fn copy_oldest(&mut self, each: impl FnOnce(&Sent)) -> bool {
        let Some(oldest) = self.records.iter_mut().find(|sent| sent.is_to_be_copied()) else { return false };
        self.in_flight -= oldest.in_flight();
        oldest.copied = true;
        each(oldest);
        true
    }

    /// The size of the packet that [`SentPackets::copy_oldest`] would show; 0 if there is none.
    pub fn oldest_size(&self) -> usize {
        self.records.iter().find(|sent| sent.is_to_be_copied()).map_or(0, |oldest| oldest.size)
    }

    /// Begins a stay on another path: everything outstanding is shown to `each`, to go again there.
    pub fn leave(&mut self, mut each: impl FnMut(&Sent)) {
        for sent in self.records.iter_mut().filter(|sent| sent.state == State::Outstanding) {
            sent.state = State::Left;
            if !sent.copied {
                each(sent);
            }
        }
        self.stay += 1;
        (self.largest_acked_place, self.outstanding, self.in_flight) = (None, 0, 0);
    }

    /// Forgets from the front what is settled, and what was taken as lost before `lost_before`.
    pub fn forget(&mut self, lost_before: impl Fn() -> Tick) {
        let settled = |sent: &Sent| match sent.state {
            State::Outstanding => false,
            State::Void | State::Acked => true,
            State::Lost | State::Left => sent.at < lost_before(),
        };
        while self.records.front().is_some_and(settled) {
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

    fn packet(millis: u64) -> Sent {
        Sent { state: State::Outstanding, size: 100, credits: 1, ..Sent::new(at(millis)) }
    }

    fn sent(count: u64) -> SentPackets {
        let mut packets = SentPackets::default();
        (0..count).for_each(|n| assert!(packets.push(packet(n)).is_none()));
        packets
    }

    const LONG: Nanos = 9_000_000_000;

    #[test]
    fn three_later_packets_or_enough_time_declare_one_lost() {
        let mut packets = sent(6);
        packets.ack(4..5, |_, _, _| ());
        let losses = packets.lose(at(5), LONG, |_| ());
        assert_eq!((losses.count, losses.newest, losses.next_at), (2, Some(at(1)), Some(after(at(2), LONG))));
        assert_eq!(packets.lose(after(at(2), LONG), LONG, |_| ()).count, 1);
        assert_eq!((packets.outstanding(), packets.in_flight()), (2, 200));
    }

    #[test]
    fn packets_to_other_paths_and_of_earlier_stays_declare_nothing_lost() {
        let mut packets = sent(1);
        (0..5).for_each(|_| assert!(packets.push_elsewhere(at(1)).is_none()));
        packets.ack(1..6, |_, _, here| assert!(!here));
        assert_eq!(packets.lose(at(99_999), LONG, |_| ()), Losses::default());
        packets.leave(|_| ());
        packets.push(packet(2));
        packets.ack(6..7, |_, _, here| assert!(here));
        assert_eq!(packets.lose(at(99_999), LONG, |_| ()).count, 0);
    }

    #[test]
    fn what_a_probe_carries_again_is_not_sent_a_third_time_by_its_loss() {
        let mut packets = sent(6);
        assert!(packets.copy_oldest(|oldest| assert_eq!(oldest.at, at(0))));
        packets.ack(5..6, |_, _, _| ());
        let mut again = 0;
        assert_eq!(packets.lose(at(6), LONG, |_| again += 1).count, 3);
        assert_eq!(again, 2);
    }

    #[test]
    fn an_ack_is_seen_once_and_settled_packets_are_forgotten() {
        let mut packets = sent(3);
        let mut seen = Vec::new();
        packets.ack(0..2, |number, _, _| seen.push(number));
        packets.ack(0..3, |number, _, _| seen.push(number));
        assert_eq!(seen, [1, 0, 2]);
        packets.forget(|| at(0));
        assert_eq!((packets.records.len(), packets.next_number()), (0, 3));
    }

    #[test]
    fn records_are_bounded_and_the_oldest_is_taken_as_lost() {
        let mut packets = sent(RECORDS_MAX as u64);
        assert_eq!(packets.push(packet(7)).map(|oldest| oldest.at), Some(at(0)));
        assert_eq!(packets.outstanding(), RECORDS_MAX);
    }
}
