//! Records: packets on a TCP connection.
//!
//! A TCP connection is a byte stream without boundaries, so each side splits it into packets:
//!
//! ```text
//! stream:  magic(1) = 0xFF, then records
//! record:  length(2, big-endian, 1..=16384) packet(length)
//! ```
//!
//! Each side sends the magic byte once, first. The client sends it immediately, the relay when the
//! client's has arrived. A relay requires it as the first byte that it reads. A client skips up to
//! [`GREETING_LEN_MAX`] bytes before it. A relay that serves plain-text guests may send a greeting
//! before it knows the kind of peer.
//!
//! A length out of range ends the connection. The rest is never searched for a new record.

use std::fmt;

use super::limits::{MAGIC, TCP_PACKET_MAX};

/// Length prefix of each packet, in bytes.
pub const RECORD_HEADER_LEN: usize = 2;

/// Maximum bytes that a client skips before the relay's magic byte: one greeting in plain text.
pub const GREETING_LEN_MAX: usize = 1024;

/// Buffer capacity kept when nothing is buffered, in bytes.
///
/// A burst of chat fits, and a thousand idle connections cost 4 MiB.
const IDLE_CAPACITY: usize = 4 * 1024;

/// Error in a stream of records. The connection is closed and never resynchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The stream does not begin with the magic byte, or too many bytes precede it.
    NoMagic,
    /// A record of length 0 or of more than [`TCP_PACKET_MAX`] bytes.
    BadLength(u16),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NoMagic => f.write_str("no magic byte"),
            RecordError::BadLength(len) => write!(f, "record of {len} bytes"),
        }
    }
}

/// Appends one packet as a record.
///
/// # Panics
/// If the packet is empty or longer than [`TCP_PACKET_MAX`]: cores build no such packets.
pub fn frame_record(packet: &[u8], out: &mut Vec<u8>) {
    assert!((1..=TCP_PACKET_MAX).contains(&packet.len()), "a packet of {} bytes", packet.len());
    let len = u16::try_from(packet.len()).expect("TCP_PACKET_MAX is below 65,536");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(packet);
}

/// Splits the bytes that arrive on one TCP connection into packets.
///
/// Invariant: the packets depend only on the bytes pushed, not on the boundaries of the pushes.
///
/// Push the bytes read, then take packets until none is left. Then at most one unfinished record
/// stays, and the memory held is at most (16 KiB + 1) + one read.
#[derive(Debug)]
pub struct Deframer {
    buffer: Vec<u8>,
    /// Offset in `buffer` of the first byte not yet returned.
    start: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the magic byte; this many bytes may still be skipped.
    Greeting(usize),
    Records,
    Broken(RecordError),
}

impl Deframer {
    /// For the listening side: the first byte must be the magic byte.
    pub const fn for_relay() -> Deframer {
        Deframer { buffer: Vec::new(), start: 0, state: State::Greeting(0) }
    }

    /// For the connecting side: a greeting of up to [`GREETING_LEN_MAX`] bytes may precede the
    /// magic byte.
    pub const fn for_client() -> Deframer {
        Deframer { buffer: Vec::new(), start: 0, state: State::Greeting(GREETING_LEN_MAX) }
    }

    /// Takes the next bytes of the stream, any number of them. Ends the borrow of earlier packets.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if let State::Greeting(_) = self.state {
            bytes = self.skip_greeting(bytes);
        }
        if bytes.is_empty() || matches!(self.state, State::Broken(_)) {
            return;
        }
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the other side's magic byte has arrived.
    pub const fn has_begun(&self) -> bool {
        !matches!(self.state, State::Greeting(_) | State::Broken(RecordError::NoMagic))
    }

    /// Whether a complete packet is available.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are not a stream of records; every later call fails as well.
    pub fn has_packet(&mut self) -> Result<bool, RecordError> {
        Ok(self.next_len()?.is_some())
    }

    /// Returns the next complete packet, in place; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are not a stream of records; every later call fails as well.
    pub fn next_packet(&mut self) -> Result<Option<&mut [u8]>, RecordError> {
        let Some(len) = self.next_len()? else {
            return Ok(None);
        };
        let begin = self.start + RECORD_HEADER_LEN;
        self.start = begin + len;
        Ok(Some(&mut self.buffer[begin..self.start]))
    }

    /// Returns the number of bytes held that belong to no packet returned yet.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn next_len(&mut self) -> Result<Option<usize>, RecordError> {
        if let State::Broken(error) = self.state {
            return Err(error);
        }
        let rest = &self.buffer[self.start..];
        let Some(header) = rest.first_chunk::<RECORD_HEADER_LEN>() else {
            return Ok(None);
        };
        let len = u16::from_be_bytes(*header);
        if !(1..=TCP_PACKET_MAX).contains(&usize::from(len)) {
            return Err(self.break_off(RecordError::BadLength(len)));
        }
        let len = usize::from(len);
        Ok((rest.len() >= RECORD_HEADER_LEN + len).then_some(len))
    }

    fn skip_greeting<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Greeting(skippable) = self.state else {
            return bytes;
        };
        match bytes.iter().position(|b| *b == MAGIC) {
            Some(at) if at <= skippable => {
                self.state = State::Records;
                &bytes[at + 1..]
            }
            None if bytes.len() <= skippable => {
                self.state = State::Greeting(skippable - bytes.len());
                &[]
            }
            _ => {
                self.break_off(RecordError::NoMagic);
                &[]
            }
        }
    }

    fn break_off(&mut self, error: RecordError) -> RecordError {
        self.state = State::Broken(error);
        self.buffer = Vec::new();
        self.start = 0;
        error
    }

    fn compact(&mut self) {
        self.buffer.copy_within(self.start.., 0);
        self.buffer.truncate(self.buffer.len() - self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_CAPACITY {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns all packets of `stream` when it arrives in these cuts, and the error that ended it.
    fn cut(mut deframer: Deframer, stream: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Option<RecordError>) {
        let mut packets = Vec::new();
        let mut rest = stream;
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let len = cuts.next().map_or(rest.len(), |cut| (*cut).clamp(1, rest.len()));
            deframer.push(&rest[..len]);
            rest = &rest[len..];
            loop {
                match deframer.next_packet() {
                    Ok(Some(packet)) => packets.push(packet.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (packets, Some(error)),
                }
            }
            assert!(deframer.buffered_len() < RECORD_HEADER_LEN + TCP_PACKET_MAX);
            assert!(deframer.buffer.capacity() <= 2 * (RECORD_HEADER_LEN + TCP_PACKET_MAX + len));
        }
        (packets, None)
    }

    fn stream_of(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = vec![MAGIC];
        packets.iter().for_each(|packet| frame_record(packet, &mut stream));
        stream
    }

    #[test]
    fn record_is_length_and_packet() {
        assert_eq!(stream_of(&[b"ab".to_vec(), vec![7; 256]])[..8], [0xFF, 0, 2, b'a', b'b', 1, 0, 7]);
    }

    #[test]
    fn sixty_records_at_once_equal_one_byte_at_a_time() {
        let packets: Vec<Vec<u8>> = (1..=60).map(|i| vec![i; usize::from(i) * 13]).collect();
        let stream = stream_of(&packets);
        assert_eq!(cut(Deframer::for_relay(), &stream, &[]), (packets.clone(), None));
        assert_eq!(cut(Deframer::for_relay(), &stream, &[1]), (packets, None));
    }

    #[test]
    fn largest_packet_passes_and_invalid_length_ends_stream() {
        let largest = vec![vec![9; TCP_PACKET_MAX]];
        assert_eq!(cut(Deframer::for_relay(), &stream_of(&largest), &[4096]), (largest, None));
        for (header, len) in [([0, 0], 0), ([0x40, 1], 16_385), ([0xFF, 0xFF], 0xFFFF)] {
            let mut stream = stream_of(&[b"first".to_vec()]);
            stream.extend_from_slice(&header);
            let (packets, error) = cut(Deframer::for_relay(), &stream, &[]);
            assert_eq!(packets.len(), 1);
            assert_eq!(error, Some(RecordError::BadLength(len)));
        }
    }

    #[test]
    fn relay_requires_magic_byte_first() {
        for stream in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"\x05\x01\0", b"x\xFF"]
        {
            let mut deframer = Deframer::for_relay();
            deframer.push(stream);
            assert!(!deframer.has_begun());
            assert_eq!(deframer.has_packet(), Err(RecordError::NoMagic));
            deframer.push(&[MAGIC, 0, 1, 1]);
            assert_eq!(deframer.next_packet(), Err(RecordError::NoMagic), "an ended stream stays ended");
        }
    }

    #[test]
    fn client_skips_greeting_of_at_most_1_kib() {
        for (len, error) in [(0, None), (1024, None), (1025, Some(RecordError::NoMagic))] {
            let mut stream = vec![b'.'; len];
            stream.extend(stream_of(&[b"hello".to_vec()]));
            for cuts in [&[][..], &[1], &[100, 1000]] {
                let (packets, ended) = cut(Deframer::for_client(), &stream, cuts);
                assert_eq!(packets.len(), usize::from(error.is_none()));
                assert_eq!(ended, error);
            }
        }
    }

    #[test]
    fn memory_shrinks_after_burst() {
        let mut deframer = Deframer::for_relay();
        deframer.push(&stream_of(&vec![vec![1; TCP_PACKET_MAX]; 4]));
        while deframer.next_packet().unwrap().is_some() {}
        deframer.push(&[0]);
        assert!(deframer.buffer.capacity() <= IDLE_CAPACITY);
    }

    proptest! {
        #[test]
        fn cuts_never_change_packets(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..20),
            greeting in "[ -~]{0,40}",
            cuts in prop::collection::vec(1usize..2000, 0..20),
        ) {
            let mut stream = greeting.into_bytes();
            stream.extend(stream_of(&packets));
            prop_assert_eq!(cut(Deframer::for_client(), &stream, &cuts), (packets, None));
        }

        #[test]
        fn arbitrary_bytes_end_alike_for_all_cuts(
            mut stream in prop::collection::vec(any::<u8>(), 0..3000),
            magic in any::<bool>(),
            cuts in prop::collection::vec(1usize..500, 0..20),
        ) {
            if magic {
                stream.insert(0, MAGIC);
            }
            prop_assert_eq!(cut(Deframer::for_relay(), &stream, &cuts), cut(Deframer::for_relay(), &stream, &[1]));
            prop_assert_eq!(cut(Deframer::for_client(), &stream, &cuts), cut(Deframer::for_client(), &stream, &[]));
        }
    }
}
