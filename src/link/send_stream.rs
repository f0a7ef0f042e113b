//! One stream on its way out: the bytes from the first unacknowledged one on, and which of them go next.

use std::ops::Range;

use super::byte_queue::ByteQueue;
use super::ranges::RangeSet;
use crate::base::{Blank, Seldom, Unpacker, blank, pack_number};
use crate::wire::varint::write_varint;

/// The sending side of one stream. `base ≤ next ≤ end`; what is below `base` is acknowledged and gone.
#[derive(Debug)]
pub struct SendStream {
    data: ByteQueue,
    base: u64,
    next: u64,
    limit: u64,
    holes: Seldom<Holes>,
}

/// What is not in order, since packets were lost or came late.
#[derive(Debug)]
struct Holes {
    /// Acknowledged above `base`.
    acked: RangeSet,
    /// To be sent again.
    again: RangeSet,
}

impl Holes {
    const NONE: Holes = Holes { acked: RangeSet::NONE, again: RangeSet::NONE };
}

blank!(Holes, Holes::NONE, |holes| holes.acked.is_empty() && holes.again.is_empty());

impl SendStream {
    /// An empty stream that may be sent up to `limit`.
    pub fn new(limit: u64) -> SendStream {
        SendStream { data: ByteQueue::default(), base: 0, next: 0, limit, holes: Seldom::default() }
    }

    /// Whether the other end has everything.
    pub fn is_quiet(&self) -> bool {
        self.data.is_empty() && self.holes.is_blank()
    }

    /// Appends a quiet stream to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_number(into, self.base);
        pack_number(into, self.limit.saturating_sub(self.base));
    }

    /// A stream that was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> SendStream {
        let base = from.number();
        SendStream { base, next: base, ..SendStream::new(base + from.number()) }
    }

    fn end(&self) -> u64 {
        self.base + self.data.len() as u64
    }

    /// Bytes queued or sent and not yet given up; the link bounds their sum.
    pub fn unacked(&self) -> usize {
        self.data.len()
    }

    /// Queues one message: its length, then its parts.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let end = self.data.end();
        write_varint(end, len as u64);
        parts.iter().for_each(|part| end.extend_from_slice(part));
    }

    /// Bytes that could go now: lost ones, and new ones within the credit.
    pub fn sendable(&self) -> u64 {
        self.holes.again.total() + self.limit.min(self.end()).saturating_sub(self.next)
    }

    /// Whether anything could go now.
    pub fn waits(&self) -> bool {
        !self.holes.again.is_empty() || self.next < self.limit.min(self.end())
    }

    /// The next run of bytes to send, lost ones first. It stays queued until [`SendStream::take`].
    pub fn peek(&self) -> Option<Range<u64>> {
        let new = self.next..self.limit.min(self.end());
        self.holes.again.first().or(Some(new).filter(|range| !range.is_empty()))
    }

    /// Appends the bytes of `range`, the front of what [`SendStream::peek`] gave, and counts them as sent. Tells
    /// whether they had been sent before.
    pub fn take(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        let (from, to) = ((range.start - self.base) as usize, (range.end - self.base) as usize);
        out.extend_from_slice(&self.data.as_slice()[from..to]);
        if range.start == self.next {
            self.next = range.end;
            return false;
        }
        self.holes.again.remove(range);
        true
    }

    /// The other end has these bytes.
    pub fn acked(&mut self, range: Range<u64>) {
        if range.end <= self.base {
            return;
        }
        if let Some(holes) = self.holes.there() {
            holes.again.remove(range.clone());
        }
        if range.start > self.base {
            self.holes.acked.insert(range);
            return;
        }
        self.give_up(range.end);
        while let Some(first) = self.holes.acked.first().filter(|first| first.start <= self.base) {
            self.give_up(first.end);
            self.holes.acked.remove_first();
        }
        if self.data.is_empty() {
            self.holes.put_away();
        }
    }

    /// The other end has everything up to `end`.
    fn give_up(&mut self, end: u64) {
        self.data.consume(end.saturating_sub(self.base) as usize);
        self.base = self.base.max(end);
    }

    /// These bytes go again, but for those the other end has. Tells whether any do.
    pub fn send_again(&mut self, range: Range<u64>) -> bool {
        let mut from = range.start.max(self.base);
        let Holes { acked, again } = &mut *self.holes;
        let mut any = false;
        for held in acked.overlaps(from..range.end.max(from)) {
            any |= from < held.start;
            again.insert(from..held.start);
            from = held.end;
        }
        any |= from < range.end;
        again.insert(from..range.end.max(from));
        any
    }

    /// The other end permits sending up to `limit`; a lower one than before is old news.
    pub fn handle_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::super::byte_queue::IDLE_CAPACITY_MAX;
    use super::*;

    fn sent(stream: &mut SendStream, len: u64) -> (Range<u64>, Vec<u8>) {
        let next = stream.peek().unwrap();
        let range = next.start..next.end.min(next.start + len);
        let mut out = Vec::new();
        stream.take(range.clone(), &mut out);
        (range, out)
    }

    #[test]
    fn lost_pieces_go_again_before_new_ones_and_acked_ones_never() {
        let mut stream = SendStream::new(100);
        stream.push(&[b"abc", b"def"]);
        assert_eq!(sent(&mut stream, 3), (0..3, b"\x06ab".to_vec()));
        assert_eq!(sent(&mut stream, 2), (3..5, b"cd".to_vec()));
        stream.acked(1..3);
        assert!(stream.send_again(0..4));
        assert_eq!(sent(&mut stream, 9), (0..1, b"\x06".to_vec()));
        assert_eq!(sent(&mut stream, 9), (3..4, b"c".to_vec()));
        assert_eq!(sent(&mut stream, 9), (5..7, b"ef".to_vec()));
        assert_eq!(stream.peek(), None);
        stream.acked(0..7);
        assert!(!stream.send_again(0..7) && stream.unacked() == 0);
    }

    #[test]
    fn credit_holds_new_bytes_back_and_an_old_limit_changes_nothing() {
        let mut stream = SendStream::new(4);
        stream.push(&[&[7; 50]]);
        assert_eq!(stream.sendable(), 4);
        sent(&mut stream, 99);
        assert_eq!(stream.peek(), None);
        stream.handle_limit(10);
        stream.handle_limit(9);
        assert_eq!(sent(&mut stream, 99).0, 4..10);
    }

    #[test]
    fn a_drained_stream_gives_its_memory_back() {
        let mut stream = SendStream::new(1 << 20);
        stream.push(&[&[7; 100_000]]);
        let (range, _) = sent(&mut stream, 1 << 20);
        stream.acked(range);
        assert!(stream.data.capacity() <= IDLE_CAPACITY_MAX);
    }
}
