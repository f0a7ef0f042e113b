//! One stream on its way in: pieces to messages, within the credit given.

use std::ops::Range;

use super::Violation;
use super::byte_queue::ByteQueue;
use super::ranges::RangeSet;
use crate::base::{Seldom, Unpacker, pack_number};
use crate::wire::varint::read_varint;

/// Separate runs of bytes waiting for a gap to close. A packet whose piece would make more is treated as lost, so an
/// honest sender is only slowed.
pub const GAPS_MAX: usize = 256;

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Held, or held before.
    Kept,
    /// Held, and a message is whole by it.
    CompletedMessage,
    /// Not held: there are too many gaps.
    Refused,
}

/// The receiving side of one stream. Holds at most `window` bytes.
#[derive(Debug)]
pub struct RecvStream {
    /// Bytes from `read` on; those neither below `contiguous` nor in `held` are zeros that stand for a gap.
    data: ByteQueue,
    read: u64,
    /// The end of the bytes that are there without a gap.
    contiguous: u64,
    /// What is there behind a gap.
    held: Seldom<RangeSet>,
    limit: u64,
    /// Where the first message begins that is not whole yet.
    scanned: u64,
    whole_messages: u32,
    window: u32,
    message_max: u32,
}

impl RecvStream {
    /// An empty stream with `window` bytes of credit and messages of at most `message_max` bytes, both far below 4 GiB.
    pub fn new(window: usize, message_max: usize) -> RecvStream {
        RecvStream {
            data: ByteQueue::default(),
            read: 0,
            contiguous: 0,
            held: Seldom::default(),
            limit: window as u64,
            scanned: 0,
            whole_messages: 0,
            window: window as u32,
            message_max: message_max as u32,
        }
    }

    /// Whether everything that came was read, and the other end knows its credit.
    pub fn is_quiet(&self) -> bool {
        self.data.is_empty() && self.scanned == self.read && !self.owes_credit()
    }

    /// Appends a quiet stream to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        pack_number(into, self.read);
        pack_number(into, self.limit - self.read);
    }

    /// A stream that was packed.
    pub fn unpack(from: &mut Unpacker<'_>, window: usize, message_max: usize) -> RecvStream {
        let read = from.number();
        let limit = read + from.number();
        RecvStream { read, contiguous: read, limit, scanned: read, ..RecvStream::new(window, message_max) }
    }

    /// Takes one piece in.
    pub fn handle_piece(&mut self, offset: u64, piece: &[u8]) -> Result<Piece, Violation> {
        let end = offset + piece.len() as u64;
        if end > self.limit {
            return Err(Violation::PastCredit);
        }
        let offset_kept = offset.max(self.read);
        if offset_kept >= end {
            return Ok(Piece::Kept);
        }
        let piece = &piece[(offset_kept - offset) as usize..];
        let range = offset_kept..end;
        if range.start < self.read + self.data.len() as u64 {
            self.compare(&range, piece)?;
        }
        let is_behind_gap = range.start > self.contiguous;
        if is_behind_gap && self.held.len() >= GAPS_MAX && !self.held.touches(&range) {
            return Ok(Piece::Refused);
        }
        self.write(&range, piece);
        if is_behind_gap {
            self.held.insert(range);
            return Ok(Piece::Kept);
        }
        self.contiguous = self.contiguous.max(range.end);
        while let Some(first) = self.held.first().filter(|first| first.start <= self.contiguous) {
            self.contiguous = self.contiguous.max(first.end);
            self.held.remove_first();
        }
        self.scan()
    }

    /// What is there already must be the same again.
    fn compare(&self, range: &Range<u64>, piece: &[u8]) -> Result<(), Violation> {
        let in_order = range.start..range.end.min(self.contiguous).max(range.start);
        for part in self.held.overlaps(range.clone()).chain([in_order]) {
            let theirs = &piece[(part.start - range.start) as usize..(part.end - range.start) as usize];
            if !part.is_empty() && self.data.as_slice()[self.places(&part)] != *theirs {
                return Err(Violation::Differs);
            }
        }
        Ok(())
    }

    fn places(&self, range: &Range<u64>) -> Range<usize> {
        (range.start - self.read) as usize..(range.end - self.read) as usize
    }

    fn write(&mut self, range: &Range<u64>, piece: &[u8]) {
        let (from, len) = (self.places(range).start, self.data.len());
        let (old, new) = piece.split_at(len.saturating_sub(from).min(piece.len()));
        if !old.is_empty() {
            self.data.as_mut_slice()[from..from + old.len()].copy_from_slice(old);
        }
        let end = self.data.end();
        if from > len {
            end.resize(end.len() + from - len, 0);
        }
        end.extend_from_slice(new);
    }

    /// Counts the messages that have become whole.
    fn scan(&mut self) -> Result<Piece, Violation> {
        let mut outcome = Piece::Kept;
        let mut there = &self.data.as_slice()[self.places(&(self.scanned..self.contiguous))];
        while let Some((_, rest)) = split_message(there, self.message_max.into())? {
            self.scanned += (there.len() - rest.len()) as u64;
            self.whole_messages += 1;
            outcome = Piece::CompletedMessage;
            there = rest;
        }
        Ok(outcome)
    }

    /// Whether a whole message waits to be read.
    pub const fn has_message(&self) -> bool {
        self.whole_messages > 0
    }

    /// Puts the next whole message in place of what `into` held; `false` if there is none.
    pub fn next_message(&mut self, into: &mut Vec<u8>) -> bool {
        if !self.has_message() {
            return false;
        }
        let there = self.data.as_slice();
        let (message, rest) = split_message(there, self.message_max.into())
            .ok()
            .flatten()
            .expect("a message that was counted is there");
        into.clear();
        into.extend_from_slice(message);
        let len = there.len() - rest.len();
        self.data.consume(len);
        self.read += len as u64;
        self.whole_messages -= 1;
        true
    }

    /// Whether the credit is to be announced anew: half of it has been read.
    pub fn owes_credit(&self) -> bool {
        self.read + u64::from(self.window) - self.limit >= u64::from(self.window / 2)
    }

    /// Gives credit up to a full window above what was read, and answers with the new limit.
    pub fn renew_credit(&mut self) -> u64 {
        self.limit = self.read + u64::from(self.window);
        self.limit
    }
}

/// A message, and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The message at the front; `None` if it is not whole.
fn split_message(bytes: &[u8], len_max: u64) -> Result<Option<Split<'_>>, Violation> {
    let mut rest = bytes;
    match read_varint(&mut rest) {
        Some(len) if len > len_max => Err(Violation::MessageTooLong),
        Some(len) => Ok(rest.split_at_checked(len as usize)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_whole_only_when_its_last_gap_closes() {
        let mut stream = RecvStream::new(100, 50);
        assert_eq!(stream.handle_piece(4, b"d"), Ok(Piece::Kept));
        assert_eq!(stream.handle_piece(0, b"\x04ab"), Ok(Piece::Kept));
        let mut message = b"old".to_vec();
        assert!(!stream.next_message(&mut message));
        assert_eq!(stream.handle_piece(2, b"bcd"), Ok(Piece::CompletedMessage));
        assert!(stream.next_message(&mut message) && message == b"abcd");
        assert_eq!(stream.handle_piece(0, b"\x04ab"), Ok(Piece::Kept));
    }

    #[test]
    fn pieces_past_the_credit_or_unlike_what_is_held_are_violations() {
        let mut stream = RecvStream::new(100, 50);
        assert_eq!(stream.handle_piece(99, b"xy"), Err(Violation::PastCredit));
        assert_eq!(stream.handle_piece((1 << 62) - 3, b"xy"), Err(Violation::PastCredit));
        assert_eq!(stream.handle_piece(10, b"abc"), Ok(Piece::Kept));
        assert_eq!(stream.handle_piece(8, b"..abc"), Ok(Piece::Kept));
        assert_eq!(stream.handle_piece(12, b"C"), Err(Violation::Differs));
        assert_eq!(stream.handle_piece(0, &[51]), Err(Violation::MessageTooLong));
    }

    #[test]
    fn gaps_beyond_the_bound_are_refused_and_what_goes_on_from_held_bytes_is_not() {
        let mut stream = RecvStream::new(10_000, 500);
        for gap in 1..=GAPS_MAX as u64 {
            assert_eq!(stream.handle_piece(gap * 2, &[1]), Ok(Piece::Kept));
        }
        assert_eq!(stream.handle_piece(9_000, &[1]), Ok(Piece::Refused));
        assert_eq!(stream.handle_piece(3, &[0]), Ok(Piece::Kept));
        assert_eq!(stream.handle_piece(0, &[1]), Ok(Piece::Kept));
        assert_eq!(stream.handle_piece(1, &[9]), Ok(Piece::CompletedMessage));
    }

    #[test]
    fn credit_comes_back_when_half_is_read_and_not_before() {
        let mut stream = RecvStream::new(8, 4);
        let mut message = Vec::new();
        stream.handle_piece(0, &[1, 7, 1, 7, 1, 7]).unwrap();
        stream.next_message(&mut message);
        assert!(!stream.owes_credit());
        stream.next_message(&mut message);
        assert!(stream.owes_credit());
        assert_eq!(stream.renew_credit(), 12);
        assert!(!stream.owes_credit());
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_give_the_messages_in_order(
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
            let (mut got, mut into) = (Vec::new(), Vec::new());
            for ((start, len), reads) in cuts.into_iter().zip(read_at) {
                let from = start.min(bytes.len());
                let to = (start + len).min(bytes.len());
                stream.handle_piece(from as u64, &bytes[from..to]).unwrap();
                while reads && stream.next_message(&mut into) {
                    got.push(into.clone());
                }
            }
            stream.handle_piece(0, &bytes).unwrap();
            while stream.next_message(&mut into) {
                got.push(into.clone());
            }
            prop_assert_eq!(got, messages);
        }
    }
}
