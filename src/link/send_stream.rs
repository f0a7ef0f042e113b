//! The sending side of one stream: the bytes from the first unacknowledged one on, and which of
//! them to send next.

use std::ops::Range;

use super::byte_queue::ByteQueue;
use super::ranges::RangeSet;
use crate::base::{EmptyValue, LazyBox, Unpacker, empty_value, pack_number};
use crate::wire::varint::write_varint;

/// The sending side of one stream.
///
/// `base ≤ next ≤ end`. Bytes below `base` are acknowledged and freed.
#[derive(Debug)]
pub struct SendStream {
    data: ByteQueue,
    base: u64,
    next: u64,
    limit: u64,
    gaps: LazyBox<Gaps>,
}

/// Deviations from the order, after losses or reordered acks.
#[derive(Debug)]
struct Gaps {
    /// Bytes acknowledged above `base`.
    acked: RangeSet,
    /// Bytes to send again.
    lost: RangeSet,
}

impl Gaps {
    const EMPTY: Gaps = Gaps { acked: RangeSet::NONE, lost: RangeSet::NONE };
}

empty_value!(Gaps, Gaps::EMPTY, |gaps| gaps.acked.is_empty() && gaps.lost.is_empty());

impl SendStream {
    /// Creates an empty stream with credit up to the offset `limit`.
    pub fn new(limit: u64) -> SendStream {
        SendStream { data: ByteQueue::default(), base: 0, next: 0, limit, gaps: LazyBox::default() }
    }

    /// Whether the other end has received everything.
    pub fn is_idle(&self) -> bool {
        self.data.is_empty() && self.gaps.is_empty_value()
    }

    /// Appends a quiet stream to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_number(into, self.base);
        pack_number(into, self.limit.saturating_sub(self.base));
    }

    /// Restores a stream written by [`SendStream::pack`].
    pub fn unpack(from: &mut Unpacker<'_>) -> SendStream {
        let base = from.number();
        SendStream { base, next: base, ..SendStream::new(base + from.number()) }
    }

    fn end(&self) -> u64 {
        self.base + self.data.len() as u64
    }

    /// Returns the bytes queued or sent and not yet freed. The link bounds their sum.
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

    /// Returns the bytes that could be sent now: lost ones, and new ones within the credit.
    pub fn sendable(&self) -> u64 {
        self.gaps.lost.total() + self.limit.min(self.end()).saturating_sub(self.next)
    }

    /// Whether anything could be sent now.
    pub fn has_sendable(&self) -> bool {
        !self.gaps.lost.is_empty() || self.next < self.limit.min(self.end())
    }

    /// Returns the next range to send, lost bytes first. It stays queued until
    /// [`SendStream::take`].
    pub fn peek(&self) -> Option<Range<u64>> {
        let new = self.next..self.limit.min(self.end());
        self.gaps.lost.first().or(Some(new).filter(|range| !range.is_empty()))
    }

    /// Appends the bytes of `range`, the front of the range given by [`SendStream::peek`], and
    /// counts them as sent.
    ///
    /// Returns whether they are a retransmission.
    pub fn take(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> bool {
        let from = (range.start - self.base) as usize;
        let to = (range.end - self.base) as usize;
        out.extend_from_slice(&self.data.as_slice()[from..to]);
        if range.start == self.next {
            self.next = range.end;
            return false;
        }
        self.gaps.lost.remove(range);
        true
    }

    /// Records that the other end has received these bytes.
    pub fn handle_acked(&mut self, range: Range<u64>) {
        if range.end <= self.base {
            return;
        }
        if let Some(gaps) = self.gaps.get_allocated_mut() {
            gaps.lost.remove(range.clone());
        }
        if range.start > self.base {
            self.gaps.acked.insert(range);
            return;
        }
        self.release(range.end);
        while let Some(first) = self.gaps.acked.first().filter(|first| first.start <= self.base) {
            self.release(first.end);
            self.gaps.acked.remove_first();
        }
        if self.data.is_empty() {
            self.gaps.shrink();
        }
    }

    /// Frees everything up to `end`, which the other end has received.
    fn release(&mut self, end: u64) {
        self.data.consume(end.saturating_sub(self.base) as usize);
        self.base = self.base.max(end);
    }

    /// Schedules these bytes to be sent again, except for acknowledged ones. Returns whether any
    /// are left.
    pub fn retransmit(&mut self, range: Range<u64>) -> bool {
        let mut from = range.start.max(self.base);
        let Gaps { acked, lost } = &mut *self.gaps;
        let mut any = false;
        for range in acked.overlaps(from..range.end.max(from)) {
            any |= from < range.start;
            lost.insert(from..range.start);
            from = range.end;
        }
        any |= from < range.end;
        lost.insert(from..range.end.max(from));
        any
    }

    /// Raises the credit limit. A lower one is outdated and ignored.
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
    fn lost_data_is_resent_before_new_data_acked_data_never() {
        let mut stream = SendStream::new(100);
        stream.push(&[b"abc", b"def"]);
        assert_eq!(sent(&mut stream, 3), (0..3, b"\x06ab".to_vec()));
        assert_eq!(sent(&mut stream, 2), (3..5, b"cd".to_vec()));
        stream.handle_acked(1..3);
        assert!(stream.retransmit(0..4));
        assert_eq!(sent(&mut stream, 9), (0..1, b"\x06".to_vec()));
        assert_eq!(sent(&mut stream, 9), (3..4, b"c".to_vec()));
        assert_eq!(sent(&mut stream, 9), (5..7, b"ef".to_vec()));
        assert_eq!(stream.peek(), None);
        stream.handle_acked(0..7);
        assert!(!stream.retransmit(0..7) && stream.unacked() == 0);
    }

    #[test]
    fn credit_limits_new_bytes_and_old_limit_changes_nothing() {
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
    fn drained_stream_frees_its_memory() {
        let mut stream = SendStream::new(1 << 20);
        stream.push(&[&[7; 100_000]]);
        let (range, _) = sent(&mut stream, 1 << 20);
        stream.handle_acked(range);
        assert!(stream.data.capacity() <= IDLE_CAPACITY_MAX);
    }
}
