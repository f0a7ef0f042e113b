//! Frames: the content of the sealed part of a data packet, one after the other up to its end.
//!
//! A frame begins with one byte, its type. Integers are varints ([`super::varint`]) unless a width
//! is given.
//!
//! | type | name | body | ack-eliciting | probing |
//! | --- | --- | --- | --- | --- |
//! | 0x00 | PADDING | none; any number of them in a row counts as one frame | no | yes |
//! | 0x01 | PING | none; its ack is sent immediately | yes | no |
//! | 0x02 | ACK | `largest` `delay` `count` `first` then `count` × (`gap` `length`) | no | no |
//! | 0x03 | STREAM | `stream(1)` `offset` `length` `bytes(length)` | yes | no |
//! | 0x04 | MAX_STREAM_DATA | `stream(1)` `limit` | yes | no |
//! | 0x05 | PATH_CHALLENGE | `bytes(8)` | yes | yes |
//! | 0x06 | PATH_RESPONSE | `bytes(8)` | yes | yes |
//! | 0x07 | CLOSE | `code(2)` `length` `reason(length)`: at most 256 bytes of UTF-8 | no | no |
//! | 0x08 | MAX_ACK_DELAY | `delay`: the longest time in microseconds that its sender delays an ack | yes | no |
//! | 0x09–0x3f | reserved, critical | an unknown one closes the session | | |
//! | 0x40 | PROBE | `length` `id(8)` `filler(length − 8)`: fills a packet that validates its path | no | yes |
//! | 0x41 | PROBE_ANSWER | `length` `id(8)` `filler(length − 8)`: as long as the PROBE, on the path that it arrived by | no | yes |
//! | 0x42–0x7f | reserved, ignorable | `length` `bytes(length)`; an unknown one is skipped | yes | no |
//! | 0x80–0xff | reserved | closes the session | | |
//!
//! ACK follows RFC 9000 §19.3. `largest` is the highest number received, `delay` the microseconds
//! that its ack was delayed. The first range is `largest − first ..= largest`. Each further range
//! ends `gap + 2` below the start of the previous one and holds `length + 1` numbers. At most 64
//! ranges in all are read and 32 sent.
//!
//! Streams: 0 control, 1 chat, 2 bulk. Any other stream closes the session. A stream is a sequence
//! of messages, each `length` `bytes(length)`. `offset + length` is at most 2⁶² − 1.
//!
//! `limit` is the offset up to which the other end may send, and never shrinks. It starts at
//! [`super::limits::STREAM_CREDIT`] for data of a relay. For data of a client it starts at
//! [`super::limits::CREDIT_BEFORE_WELCOME`]; MAX_STREAM_DATA together with the welcome grants the
//! rest. A receiver treats data behind a gap that it has no capacity for as lost, because it never
//! acknowledges data that it does not keep.
//!
//! MAX_ACK_DELAY is 25 ms until the frame arrives. A PROBE or PROBE_ANSWER shorter than 8 bytes is
//! skipped.
//!
//! A packet holds at most 64 frames, and at most one ACK. A packet that holds *probing* frames only
//! (RFC 9000 §9.1) does not migrate the session to the path that it arrived on. A packet with any
//! other frame does.

use std::ops::RangeInclusive;

use super::limits::{
    ACK_RANGES_READ_MAX, ACK_RANGES_SENT_MAX, CLOSE_REASON_MAX, FRAMES_PER_PACKET_MAX, UDP_PACKET_MAX,
};
use super::varint::{VARINT_MAX, read_varint, varint_len, write_varint};

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const ACK: u8 = 0x02;
const STREAM: u8 = 0x03;
const MAX_STREAM_DATA: u8 = 0x04;
const PATH_CHALLENGE: u8 = 0x05;
const PATH_RESPONSE: u8 = 0x06;
const CLOSE: u8 = 0x07;
const MAX_ACK_DELAY: u8 = 0x08;
const PROBE: u8 = 0x40;
const PROBE_ANSWER: u8 = 0x41;
const IGNORABLE: RangeInclusive<u8> = 0x40..=0x7f;

/// One of the three ordered byte streams of a session, in order of priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamId {
    /// Receipts, refusals, presence.
    Control = 0,
    /// Letters.
    Chat = 1,
    /// Files.
    Bulk = 2,
}

impl StreamId {
    /// All streams, highest priority first.
    pub const ALL: [StreamId; 3] = [StreamId::Control, StreamId::Chat, StreamId::Bulk];

    /// Returns its number on the wire, and its index in tables such as
    /// [`super::limits::STREAM_CREDIT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    const fn from_byte(byte: u8) -> Option<StreamId> {
        match byte {
            0 => Some(StreamId::Control),
            1 => Some(StreamId::Chat),
            2 => Some(StreamId::Bulk),
            _ => None,
        }
    }
}

/// One frame, borrowed from its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Number of padding bytes, at least one.
    Padding(usize),
    /// Requests an immediate ack.
    Ping,
    /// The packets that the other end has received.
    Ack(Ack<'a>),
    /// A range of a stream.
    Stream {
        /// Its stream.
        stream: StreamId,
        /// Offset of its first byte.
        offset: u64,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The stream may be sent up to this offset.
    MaxStreamData {
        /// Its stream.
        stream: StreamId,
        /// The first offset that must not be sent.
        limit: u64,
    },
    /// Must be returned on the path that it arrived on (RFC 9000 §8.2).
    PathChallenge([u8; 8]),
    /// The data of a received PATH_CHALLENGE.
    PathResponse([u8; 8]),
    /// The session has ended.
    Close {
        /// The cause; see [`close`].
        code: u16,
        /// Words or a reason code for the log. Must pass [`crate::base::sanitize`] before it is
        /// shown.
        reason: &'a str,
    },
    /// The longest time that the sender of this frame delays an ack, in microseconds.
    MaxAckDelay(u64),
    /// Must be answered by a packet of the same length on the path that it arrived on.
    Probe(Probe<'a>),
    /// The answer to a PROBE.
    ProbeAnswer(Probe<'a>),
    /// An ignorable frame of a later version.
    Skipped {
        /// Its type, 0x40–0x7f.
        kind: u8,
        /// Its body.
        body: &'a [u8],
    },
}

/// Body of PROBE and PROBE_ANSWER: an id, and filler that gives the packet its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe<'a> {
    /// Chosen at random by the sender of the PROBE.
    pub id: [u8; 8],
    /// Zeros; ignored by the receiver.
    pub filler: &'a [u8],
}

/// The longest possible filler: one UDP packet.
static FILLER: [u8; UDP_PACKET_MAX] = [0; UDP_PACKET_MAX];

impl Probe<'static> {
    /// Returns the probe whose frame has `len` bytes, or the nearest length that a probe can have.
    pub fn of_len(id: [u8; 8], len: usize) -> Probe<'static> {
        let filler = len.saturating_sub(PROBE_LEN_MIN).min(FILLER.len());
        let long = usize::from(8 + filler > 63);
        Probe { id, filler: &FILLER[..filler - long.min(filler)] }
    }
}

impl<'a> Probe<'a> {
    fn len(&self) -> usize {
        8 + self.filler.len()
    }

    fn encode(&self, kind: u8, out: &mut Vec<u8>) {
        out.push(kind);
        write_varint(out, self.len() as u64);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(self.filler);
    }
}

/// Bytes of a PROBE without filler: type, length, id.
const PROBE_LEN_MIN: usize = 10;

/// Codes of CLOSE.
pub mod close {
    /// The other end has nothing more to send.
    pub const DONE: u16 = 0;
    /// The other end has detected a protocol violation.
    pub const PROTOCOL_VIOLATION: u16 = 1;
    /// The same key has signed in from elsewhere.
    pub const REPLACED: u16 = 2;
    /// The relay is stopping or restarting.
    pub const GOING_AWAY: u16 = 3;
    /// The member was removed or is not admitted.
    pub const REFUSED: u16 = 4;
}

/// Bytes that are not frames. Each of these errors closes the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame ends after its packet does.
    Truncated,
    /// A critical type that this version does not know.
    UnknownCritical(u8),
    /// A stream that this version does not know.
    UnknownStream(u8),
    /// More than [`FRAMES_PER_PACKET_MAX`] frames.
    TooManyFrames,
    /// A second ACK in one packet, too many ranges, or a range below zero.
    BadAck,
    /// Stream data that ends beyond 2⁶² − 1.
    PastEnd,
    /// A reason that is too long or not UTF-8.
    BadReason,
}

impl Frame<'_> {
    /// Whether a packet with this frame must be acknowledged (RFC 9002 §2).
    pub const fn is_ack_eliciting(&self) -> bool {
        let answered_otherwise = matches!(self, Frame::Probe(_) | Frame::ProbeAnswer(_));
        !answered_otherwise && !matches!(self, Frame::Padding(_) | Frame::Ack(_) | Frame::Close { .. })
    }

    /// Whether a packet of such frames alone does not migrate the session (RFC 9000 §9.1).
    pub const fn is_probing(&self) -> bool {
        match self {
            Frame::Padding(_) | Frame::PathChallenge(_) | Frame::PathResponse(_) => true,
            Frame::Probe(_) | Frame::ProbeAnswer(_) => true,
            Frame::Skipped { kind, .. } => matches!(*kind, PROBE | PROBE_ANSWER),
            _ => false,
        }
    }

    /// Returns the number of bytes that [`Frame::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        match self {
            Frame::Padding(len) => *len,
            Frame::Ping => 1,
            Frame::Ack(ack) => {
                let head = varint_len(ack.largest) + varint_len(ack.delay_us) + varint_len(ack.more);
                1 + head + varint_len(ack.first) + ack.rest.len()
            }
            Frame::Stream { offset, data, .. } => stream_head_len(*offset, data.len()) + data.len(),
            Frame::MaxStreamData { limit, .. } => 2 + varint_len(*limit),
            Frame::PathChallenge(_) | Frame::PathResponse(_) => 9,
            Frame::Close { reason, .. } => 3 + varint_len(reason.len() as u64) + reason.len(),
            Frame::MaxAckDelay(delay_us) => 1 + varint_len(*delay_us),
            Frame::Probe(probe) | Frame::ProbeAnswer(probe) => {
                1 + varint_len(probe.len() as u64) + probe.len()
            }
            Frame::Skipped { body, .. } => 1 + varint_len(body.len() as u64) + body.len(),
        }
    }

    /// Appends the frame if it takes at most `len_max` bytes. Returns whether it did.
    pub fn encode_within(&self, len_max: usize, out: &mut Vec<u8>) -> bool {
        let fits = self.encoded_len() <= len_max;
        if fits {
            self.encode(out);
        }
        fits
    }

    /// Appends the frame.
    ///
    /// # Panics
    /// If a length or an offset exceeds the limits of the table above: our own frames stay below
    /// them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Padding(len) => out.resize(out.len() + len, PADDING),
            Frame::Ping => out.push(PING),
            Frame::Ack(ack) => {
                out.push(ACK);
                for value in [ack.largest, ack.delay_us, ack.more, ack.first] {
                    write_varint(out, value);
                }
                out.extend_from_slice(ack.rest);
            }
            Frame::Stream { stream, offset, data } => {
                write_stream_head(out, *stream, *offset, data.len());
                out.extend_from_slice(data);
            }
            Frame::MaxStreamData { stream, limit } => {
                out.extend_from_slice(&[MAX_STREAM_DATA, *stream as u8]);
                write_varint(out, *limit);
            }
            Frame::PathChallenge(data) => {
                out.push(PATH_CHALLENGE);
                out.extend_from_slice(data);
            }
            Frame::PathResponse(data) => {
                out.push(PATH_RESPONSE);
                out.extend_from_slice(data);
            }
            Frame::Close { code, reason } => {
                assert!(
                    reason.len() <= CLOSE_REASON_MAX,
                    "our own reasons are at most CLOSE_REASON_MAX bytes"
                );
                out.push(CLOSE);
                out.extend_from_slice(&code.to_be_bytes());
                write_varint(out, reason.len() as u64);
                out.extend_from_slice(reason.as_bytes());
            }
            Frame::MaxAckDelay(delay_us) => {
                out.push(MAX_ACK_DELAY);
                write_varint(out, *delay_us);
            }
            Frame::Probe(probe) => probe.encode(PROBE, out),
            Frame::ProbeAnswer(probe) => probe.encode(PROBE_ANSWER, out),
            Frame::Skipped { kind, body } => {
                out.push(*kind);
                write_varint(out, body.len() as u64);
                out.extend_from_slice(body);
            }
        }
    }
}

/// Returns the number of bytes before the data of a STREAM frame.
pub const fn stream_head_len(offset: u64, data_len: usize) -> usize {
    2 + varint_len(offset) + varint_len(data_len as u64)
}

/// Appends the head of a STREAM frame; the caller appends exactly `data_len` bytes next.
///
/// For callers whose data consists of two slices.
pub fn write_stream_head(out: &mut Vec<u8>, stream: StreamId, offset: u64, data_len: usize) {
    out.extend_from_slice(&[STREAM, stream as u8]);
    write_varint(out, offset);
    write_varint(out, data_len as u64);
}

/// Checked body of an ACK: at least one range, at most [`ACK_RANGES_READ_MAX`], none below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The highest number received.
    pub largest: u64,
    /// Time by which the other end reports to have delayed the ack of `largest`, in microseconds.
    pub delay_us: u64,
    more: u64,
    first: u64,
    rest: &'a [u8],
}

impl<'a> Ack<'a> {
    /// Returns the numbers received as disjoint ranges, highest first.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + use<'a> {
        let mut rest = self.rest;
        let mut start = self.largest - self.first;
        let below = std::iter::from_fn(move || {
            let range = next_range(start, &mut rest).ok()?;
            start = *range.start();
            Some(range)
        });
        std::iter::once(start..=self.largest).chain(below)
    }

    fn decode(bytes: &mut &'a [u8]) -> Result<Ack<'a>, FrameError> {
        let largest = varint(bytes)?;
        let delay_us = varint(bytes)?;
        let more = varint(bytes)?;
        let first = varint(bytes)?;
        if more >= ACK_RANGES_READ_MAX as u64 {
            return Err(FrameError::BadAck);
        }
        let mut start = largest.checked_sub(first).ok_or(FrameError::BadAck)?;
        let before = *bytes;
        for _ in 0..more {
            start = *next_range(start, bytes)?.start();
        }
        let rest = &before[..before.len() - bytes.len()];
        Ok(Ack { largest, delay_us, more, first, rest })
    }
}

/// Reads the range below the one that begins at `start`.
fn next_range(start: u64, bytes: &mut &[u8]) -> Result<RangeInclusive<u64>, FrameError> {
    let gap = varint(bytes)?;
    let length = varint(bytes)?;
    let end = start.checked_sub(gap + 2).ok_or(FrameError::BadAck)?;
    Ok(end.checked_sub(length).ok_or(FrameError::BadAck)?..=end)
}

/// Appends an ACK of the newest `ranges` that fit into `len_max` bytes, at most
/// [`ACK_RANGES_SENT_MAX`].
///
/// `ranges` come highest first, disjoint and not adjacent. Returns `false`, appending nothing, if
/// there is no range or not even one fits.
pub fn encode_ack(
    ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
    delay_us: u64,
    len_max: usize,
    out: &mut Vec<u8>,
) -> bool {
    let mut rest = ranges.clone();
    let Some(newest) = rest.next() else { return false };
    let delay_us = delay_us.min(VARINT_MAX);
    let first = newest.end() - newest.start();
    const COUNT_LEN: usize = varint_len(ACK_RANGES_SENT_MAX as u64);
    let mut len = 1 + varint_len(*newest.end()) + varint_len(delay_us) + COUNT_LEN + varint_len(first);
    if len > len_max {
        return false;
    }
    let pairs =
        |above: u64, range: &RangeInclusive<u64>| (above - range.end() - 2, range.end() - range.start());
    let mut more = 0;
    let mut above = *newest.start();
    for range in rest.clone().take(ACK_RANGES_SENT_MAX - 1) {
        let (gap, length) = pairs(above, &range);
        len += varint_len(gap) + varint_len(length);
        if len > len_max {
            break;
        }
        more += 1;
        above = *range.start();
    }
    out.push(ACK);
    for value in [*newest.end(), delay_us, more as u64, first] {
        write_varint(out, value);
    }
    above = *newest.start();
    for range in rest.take(more) {
        let (gap, length) = pairs(above, &range);
        write_varint(out, gap);
        write_varint(out, length);
        above = *range.start();
    }
    true
}

/// Iterator over the frames of a packet. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    count: usize,
    has_ack: bool,
}

impl<'a> Frames<'a> {
    /// Reads the decrypted part of a data packet, which may be empty.
    pub const fn new(bytes: &'a [u8]) -> Frames<'a> {
        Frames { rest: bytes, count: 0, has_ack: false }
    }

    #[inline]
    fn decode(&mut self) -> Result<Frame<'a>, FrameError> {
        self.count += 1;
        // Nothing is left to read after an error.
        let mut rest = std::mem::take(&mut self.rest);
        if self.count > FRAMES_PER_PACKET_MAX {
            return Err(FrameError::TooManyFrames);
        }
        let bytes = &mut rest;
        let frame = match byte(bytes)? {
            PADDING => {
                let more = bytes.iter().take_while(|b| **b == PADDING).count();
                take(bytes, more)?;
                Frame::Padding(more + 1)
            }
            PING => Frame::Ping,
            ACK if std::mem::replace(&mut self.has_ack, true) => return Err(FrameError::BadAck),
            ACK => Frame::Ack(Ack::decode(bytes)?),
            STREAM => decode_stream(bytes)?,
            MAX_STREAM_DATA => Frame::MaxStreamData { stream: stream(bytes)?, limit: varint(bytes)? },
            PATH_CHALLENGE => Frame::PathChallenge(eight(bytes)?),
            PATH_RESPONSE => Frame::PathResponse(eight(bytes)?),
            CLOSE => decode_close(bytes)?,
            MAX_ACK_DELAY => Frame::MaxAckDelay(varint(bytes)?),
            kind if IGNORABLE.contains(&kind) => {
                let len = varint(bytes)?;
                let body = take_long(bytes, len)?;
                match (kind, body.split_first_chunk()) {
                    (PROBE, Some((id, filler))) => Frame::Probe(Probe { id: *id, filler }),
                    (PROBE_ANSWER, Some((id, filler))) => Frame::ProbeAnswer(Probe { id: *id, filler }),
                    _ => Frame::Skipped { kind, body },
                }
            }
            kind => return Err(FrameError::UnknownCritical(kind)),
        };
        self.rest = rest;
        Ok(frame)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.decode())
    }
}

fn decode_stream<'a>(bytes: &mut &'a [u8]) -> Result<Frame<'a>, FrameError> {
    let stream = stream(bytes)?;
    let offset = varint(bytes)?;
    let len = varint(bytes)?;
    if offset + len > VARINT_MAX {
        return Err(FrameError::PastEnd);
    }
    Ok(Frame::Stream { stream, offset, data: take_long(bytes, len)? })
}

fn decode_close<'a>(bytes: &mut &'a [u8]) -> Result<Frame<'a>, FrameError> {
    let code = u16::from_be_bytes([byte(bytes)?, byte(bytes)?]);
    let len = varint(bytes)?;
    if len > CLOSE_REASON_MAX as u64 {
        return Err(FrameError::BadReason);
    }
    let reason = std::str::from_utf8(take_long(bytes, len)?).map_err(|_| FrameError::BadReason)?;
    Ok(Frame::Close { code, reason })
}

fn varint(bytes: &mut &[u8]) -> Result<u64, FrameError> {
    read_varint(bytes).ok_or(FrameError::Truncated)
}

fn byte(bytes: &mut &[u8]) -> Result<u8, FrameError> {
    Ok(take(bytes, 1)?[0])
}

fn stream(bytes: &mut &[u8]) -> Result<StreamId, FrameError> {
    let byte = byte(bytes)?;
    StreamId::from_byte(byte).ok_or(FrameError::UnknownStream(byte))
}

fn eight(bytes: &mut &[u8]) -> Result<[u8; 8], FrameError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(FrameError::Truncated)?;
    *bytes = rest;
    Ok(*head)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], FrameError> {
    let (head, rest) = bytes.split_at_checked(len).ok_or(FrameError::Truncated)?;
    *bytes = rest;
    Ok(head)
}

fn take_long<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], FrameError> {
    take(bytes, usize::try_from(len).map_err(|_| FrameError::Truncated)?)
}

#[cfg(test)]
mod tests;
