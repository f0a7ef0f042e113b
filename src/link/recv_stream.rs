//! The receiving side of one stream: assembles messages from received data, within the credit
//! given.

use super::ProtocolViolation;
use super::byte_queue::ByteQueue;
use super::out_of_order::OutOfOrder;
use crate::base::{EmptyValue, LazyBox, Unpacker, pack_number};
use crate::wire::varint::read_varint;

/// The result of received stream data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertResult {
    /// Held, or held before.
    Accepted,
    /// Held, and it completes a message.
    CompletedMessage,
    /// Not held: too many gaps, or too many bytes behind gaps.
    Refused,
}

/// Memory that all streams of a link hold behind gaps, and its maximum, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Gapped {
    pub held: usize,
    pub max: usize,
}

/// Read offset of a stream that accepts no data: beyond all offsets that can be encoded.
const SHUT: u64 = 1 << 63;

/// The receiving side of one stream. Holds at most `window` bytes, and only received ones.
#[derive(Debug)]
pub struct RecvStream {
    /// The bytes from `read` on that were received without a gap.
    data: ByteQueue,
    read: u64,
    /// The bytes received behind a gap.
    out_of_order: LazyBox<OutOfOrder>,
    limit: u64,
    /// Offset of the first incomplete message.
    scanned: u64,
    complete_messages: u32,
    window: u32,
    message_max: u32,
}

impl RecvStream {
    /// Creates an empty stream with `window` bytes of credit and messages of at most `message_max`
    /// bytes, both far below 4 GiB.
    pub fn new(window: usize, message_max: usize) -> RecvStream {
        RecvStream {
            data: ByteQueue::default(),
            read: 0,
            out_of_order: LazyBox::default(),
            limit: window as u64,
            scanned: 0,
            complete_messages: 0,
            window: window as u32,
            message_max: message_max as u32,
        }
    }

    /// Whether everything received was read, and the other end knows its credit.
    pub fn is_idle(&self) -> bool {
        let is_read = self.data.is_empty() && self.out_of_order.is_empty_value() && self.scanned == self.read;
        is_read && !self.owes_credit()
    }

    /// Appends a quiet stream to a hibernated link.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_number(into, self.read);
        pack_number(into, self.limit - self.read);
    }

    /// Restores a stream written by [`RecvStream::pack`].
    pub fn unpack(from: &mut Unpacker<'_>, window: usize, message_max: usize) -> RecvStream {
        let read = from.number();
        let limit = read + from.number();
        RecvStream { read, limit, scanned: read, ..RecvStream::new(window, message_max) }
    }

    /// Discards the content, and ignores all further data as if it were read.
    pub fn shut(&mut self) {
        let window = self.window as usize;
        let message_max = self.message_max as usize;
        let limit = SHUT + u64::from(self.window);
        *self = RecvStream { read: SHUT, limit, scanned: SHUT, ..RecvStream::new(window, message_max) };
    }

    /// Handles received data of `piece.len()` bytes at `offset`.
    pub fn insert(
        &mut self,
        offset: u64,
        data: &[u8],
        gapped: &mut Gapped,
    ) -> Result<InsertResult, ProtocolViolation> {
        let end = offset + data.len() as u64;
        if end > self.limit {
            return Err(ProtocolViolation::PastCredit);
        }
        if end <= self.read {
            return Ok(InsertResult::Accepted);
        }
        // The common case: the next bytes in order, with none behind a gap. Nothing can conflict.
        let contiguous_end = self.contiguous_end();
        if offset != contiguous_end || self.out_of_order.get_allocated_mut().is_some() {
            self.compare(offset, data)?;
            if end <= contiguous_end {
                return Ok(InsertResult::Accepted);
            }
            if offset > contiguous_end {
                return Ok(self.hold(offset, data, gapped));
            }
        }
        self.data.end().extend_from_slice(&data[(contiguous_end - offset) as usize..]);
        self.close_gap(gapped);
        self.scan()
    }

    /// Returns the end of the bytes received without a gap.
    fn contiguous_end(&self) -> u64 {
        self.read + self.data.len() as u64
    }

    /// Checks that repeated bytes are the same as before.
    fn compare(&mut self, offset: u64, data: &[u8]) -> Result<(), ProtocolViolation> {
        let from = offset.max(self.read);
        let to = self.contiguous_end().min(offset + data.len() as u64);
        let is_same = from >= to || {
            let ours = &self.data.as_slice()[(from - self.read) as usize..(to - self.read) as usize];
            *ours == data[(from - offset) as usize..(to - offset) as usize]
        };
        let agrees = is_same
            && self
                .out_of_order
                .get_allocated_mut()
                .is_none_or(|out_of_order| out_of_order.is_consistent(offset, data));
        if agrees { Ok(()) } else { Err(ProtocolViolation::Differs) }
    }

    /// Holds data behind a gap.
    fn hold(&mut self, offset: u64, data: &[u8], gapped: &mut Gapped) -> InsertResult {
        if data.is_empty() {
            return InsertResult::Accepted;
        }
        let others = gapped.held - self.out_of_order.cost();
        let inserted = self.out_of_order.insert(offset, data, gapped.max.saturating_sub(gapped.held));
        self.out_of_order.shrink();
        gapped.held = others + self.out_of_order.cost();
        if inserted { InsertResult::Accepted } else { InsertResult::Refused }
    }

    /// Moves bytes whose gap has closed to those without a gap.
    fn close_gap(&mut self, gapped: &mut Gapped) {
        let contiguous_end = self.contiguous_end();
        let Some(out_of_order) = self.out_of_order.get_allocated_mut() else { return };
        gapped.held -= out_of_order.cost();
        out_of_order.drain_contiguous(contiguous_end, self.data.end());
        gapped.held += out_of_order.cost();
        self.out_of_order.shrink();
    }

    /// Counts the messages that are now complete.
    fn scan(&mut self) -> Result<InsertResult, ProtocolViolation> {
        let mut outcome = InsertResult::Accepted;
        let mut unread = &self.data.as_slice()[(self.scanned - self.read) as usize..];
        while let Some((_, rest)) = split_message(unread, self.message_max.into())? {
            self.scanned += (unread.len() - rest.len()) as u64;
            self.complete_messages += 1;
            outcome = InsertResult::CompletedMessage;
            unread = rest;
        }
        Ok(outcome)
    }

    /// Returns the allocated memory, in bytes.
    pub fn memory(&self) -> usize {
        self.data.capacity() + self.out_of_order.cost()
    }

    /// Whether a complete message is ready to read.
    pub const fn has_message(&self) -> bool {
        self.complete_messages > 0
    }

    /// Replaces the content of `into` with the next complete message. Returns `false` if there is
    /// none.
    pub fn next_message(&mut self, into: &mut Vec<u8>) -> bool {
        if !self.has_message() {
            return false;
        }
        let unread = self.data.as_slice();
        let (message, rest) = split_message(unread, self.message_max.into())
            .ok()
            .flatten()
            .expect("a counted message is complete");
        into.clear();
        into.extend_from_slice(message);
        let len = unread.len() - rest.len();
        self.data.consume(len);
        self.read += len as u64;
        self.complete_messages -= 1;
        true
    }

    /// Whether the credit must be announced again: half of it has been read.
    pub fn owes_credit(&self) -> bool {
        self.read + u64::from(self.window) - self.limit >= u64::from(self.window / 2).max(1)
    }

    /// Sets the credit window. Returns whether it changed, in which case the other end must be
    /// notified.
    pub fn widen(&mut self, window: usize) -> bool {
        std::mem::replace(&mut self.window, window as u32) != window as u32
    }

    /// Raises the credit to a full window above the read bytes. Returns the new limit.
    pub fn renew_credit(&mut self) -> u64 {
        self.limit = self.read + u64::from(self.window);
        self.limit
    }
}

/// A message, and the bytes after it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits off the first message. Returns `None` if it is incomplete.
fn split_message(bytes: &[u8], len_max: u64) -> Result<Option<Split<'_>>, ProtocolViolation> {
    let mut rest = bytes;
    match read_varint(&mut rest) {
        Some(len) if len > len_max => Err(ProtocolViolation::MessageTooLong),
        Some(len) => Ok(rest.split_at_checked(len as usize)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl RecvStream {
        fn take(&mut self, offset: u64, data: &[u8]) -> Result<InsertResult, ProtocolViolation> {
            let mut gapped = Gapped { held: self.out_of_order.cost(), max: 1 << 20 };
            let outcome = self.insert(offset, data, &mut gapped);
            assert_eq!(gapped.held, self.out_of_order.cost());
            outcome
        }
    }

    #[test]
    fn message_is_complete_only_when_its_last_gap_closes() {
        let mut stream = RecvStream::new(100, 50);
        assert_eq!(stream.take(4, b"d"), Ok(InsertResult::Accepted));
        assert_eq!(stream.take(0, b"\x04ab"), Ok(InsertResult::Accepted));
        let mut message = b"old".to_vec();
        assert!(!stream.next_message(&mut message));
        assert_eq!(stream.take(2, b"bcd"), Ok(InsertResult::CompletedMessage));
        assert!(stream.next_message(&mut message) && message == b"abcd");
        assert_eq!(stream.take(0, b"\x04ab"), Ok(InsertResult::Accepted));
    }

    #[test]
    fn data_beyond_credit_or_conflicting_is_violation() {
        let mut stream = RecvStream::new(100, 50);
        assert_eq!(stream.take(99, b"xy"), Err(ProtocolViolation::PastCredit));
        assert_eq!(stream.take((1 << 62) - 3, b"xy"), Err(ProtocolViolation::PastCredit));
        assert_eq!(stream.take(10, b"abc"), Ok(InsertResult::Accepted));
        assert_eq!(stream.take(8, b"..abc"), Ok(InsertResult::Accepted));
        assert_eq!(stream.take(12, b"C"), Err(ProtocolViolation::Differs));
        assert_eq!(stream.take(0, b"\x20abcdefg.!"), Err(ProtocolViolation::Differs));
        assert_eq!(stream.take(0, b"\x20abcdefg.."), Ok(InsertResult::Accepted));
        assert_eq!(stream.take(9, b".aBc"), Err(ProtocolViolation::Differs));
        assert_eq!(RecvStream::new(100, 50).take(0, &[51]), Err(ProtocolViolation::MessageTooLong));
    }

    #[test]
    fn last_byte_of_window_takes_little_memory() {
        let mut stream = RecvStream::new(160 << 10, 64 << 10);
        assert_eq!(stream.take((160 << 10) - 1, &[7]), Ok(InsertResult::Accepted));
        assert!(stream.memory() < 128, "{}", stream.memory());
        stream.shut();
        assert_eq!(stream.memory(), 0);
        assert_eq!(stream.take(0, &[7; 1_000]), Ok(InsertResult::Accepted));
        assert_eq!(stream.memory(), 0);
        assert!(!stream.has_message());
    }

    #[test]
    fn out_of_order_data_beyond_budget_is_refused() {
        let mut stream = RecvStream::new(10_000, 500);
        let mut gapped = Gapped { held: 0, max: 0 };
        assert_eq!(stream.insert(5, &[0; 50], &mut gapped), Ok(InsertResult::Refused));
        assert_eq!(gapped.held, 0);
        assert_eq!(stream.memory(), 0);
        assert_eq!(stream.insert(0, &[0; 50], &mut gapped), Ok(InsertResult::CompletedMessage));
    }

    #[test]
    fn credit_is_raised_when_half_is_read_and_not_before() {
        let mut stream = RecvStream::new(8, 4);
        let mut message = Vec::new();
        stream.take(0, &[1, 7, 1, 7, 1, 7]).unwrap();
        stream.next_message(&mut message);
        assert!(!stream.owes_credit());
        stream.next_message(&mut message);
        assert!(stream.owes_credit());
        assert_eq!(stream.renew_credit(), 12);
        assert!(!stream.owes_credit());
    }

    proptest! {
        #[test]
        fn data_in_any_order_yields_messages_in_order(
            lens in proptest::collection::vec(0_usize..70, 1..12),
            cuts in proptest::collection::vec((0_usize..600, 1_usize..90), 0..80),
            read_at in proptest::collection::vec(any::<bool>(), 80),
        ) {
            let messages: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|n| n as u8).collect()).collect();
            let mut bytes = Vec::new();
            for message in &messages {
                crate::wire::varint::write_varint(&mut bytes, message.len() as u64);
                bytes.extend_from_slice(message);
            }
            let mut stream = RecvStream::new(2_000, 70);
            let mut got = Vec::new();
            let mut into = Vec::new();
            for ((start, len), reads) in cuts.into_iter().zip(read_at) {
                let from = start.min(bytes.len());
                let to = (start + len).min(bytes.len());
                stream.take(from as u64, &bytes[from..to]).unwrap();
                while reads && stream.next_message(&mut into) {
                    got.push(into.clone());
                }
            }
            stream.take(0, &bytes).unwrap();
            while stream.next_message(&mut into) {
                got.push(into.clone());
            }
            prop_assert_eq!(got, messages);
        }
    }
}
