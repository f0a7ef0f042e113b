//! One TCP connection: records or plain text, in and out of a non-blocking stream.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

use super::udp::why_refused;
use crate::base::{ConnId, PathError, Tick};
use crate::wire::limits::{MAGIC, TCP_QUEUE_MAX, TCP_UNSENT_MAX, TEXT_SECOND_BYTE_MIN};
use crate::wire::record::{Deframer, RECORD_HEADER_LEN, RecordError, frame_record};

/// Bytes that may leave before the queue is reported again. A report costs a turn, and a quarter of
/// the limit is precise enough.
const REPORT_STEP: usize = TCP_UNSENT_MAX / 4;
/// Capacity that an empty queue keeps, in bytes. Small, because most connections are idle.
const IDLE_CAPACITY: usize = 4 * 1024;

/// A connection, opening or open.
pub(super) struct Conn {
    pub(super) stream: TcpStream,
    pub(super) id: ConnId,
    pub(super) remote: SocketAddr,
    /// Time limit while it is being opened.
    pub(super) opening_until: Option<Tick>,
    /// Whether the system reported that the other end will send no more.
    pub(super) read_closed: bool,
    /// Whether it is in the list of connections with data to write.
    pub(super) dirty: bool,
    kind: StreamKind,
    deframer: Deframer,
    /// Plain text read but not yet passed on: one read at most.
    text: Vec<u8>,
    /// Whether the end of plain text was passed on. The connection stays until the core closes it
    /// or it breaks.
    text_ended: bool,
    /// Whether our magic byte was queued.
    greeted: bool,
    /// Cause that ended reading. It is reported after the packets before it.
    ended: Option<PathError>,
    /// Whether writing has failed. Received data is still read to its end, then the connection
    /// ends.
    write_failed: bool,
    out: OutQueue,
}

/// Kind of data on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamKind {
    /// The first byte received decides. Until then, output is plain text.
    Unknown,
    /// Records of packets.
    Records,
    /// Plain text.
    Text,
}

/// Next output of a connection to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnOutput {
    /// Nothing until more is read.
    Nothing,
    /// A whole packet.
    Packet,
    /// Some plain text.
    Text,
    /// The end of plain text.
    TextEnd,
}

/// Bytes not yet taken by the kernel, at most [`TCP_QUEUE_MAX`], and the length last reported to
/// the core.
#[derive(Default)]
struct OutQueue {
    bytes: Vec<u8>,
    sent: usize,
    /// Length last reported.
    reported: usize,
    /// Bytes queued since the last report.
    unreported: usize,
}

/// Where reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadStop {
    /// More data may be available.
    More,
    /// No data until the next readiness.
    Drained,
}

impl Conn {
    /// Creates a connection that this process opens. Its magic byte is sent first.
    pub(super) fn dialled(stream: TcpStream, id: ConnId, remote: SocketAddr, until: Tick) -> Conn {
        let mut conn = Conn::new(stream, id, remote, StreamKind::Records, Deframer::for_client());
        conn.opening_until = Some(until);
        conn.send_greeting();
        conn
    }

    /// Creates an accepted connection. It sends nothing before the other end's magic byte, unless
    /// plain text is allowed.
    pub(super) fn accepted(stream: TcpStream, id: ConnId, remote: SocketAddr, text_too: bool) -> Conn {
        let kind = if text_too { StreamKind::Unknown } else { StreamKind::Records };
        let conn = Conn::new(stream, id, remote, kind, Deframer::for_relay());
        conn.set_options();
        conn
    }

    fn new(stream: TcpStream, id: ConnId, remote: SocketAddr, kind: StreamKind, deframer: Deframer) -> Conn {
        Conn {
            stream,
            id,
            remote,
            opening_until: None,
            read_closed: false,
            dirty: false,
            kind,
            deframer,
            text: Vec::new(),
            text_ended: false,
            greeted: false,
            ended: None,
            write_failed: false,
            out: OutQueue::default(),
        }
    }

    /// Whether the connection that was being opened is open.
    ///
    /// # Errors
    ///
    /// Returns the cause if it cannot be opened.
    pub(super) fn finish_opening(&mut self) -> Result<bool, PathError> {
        if let Some(error) = self.stream.take_error().unwrap_or_else(Some) {
            return Err(why_refused(&error));
        }
        if self.stream.peer_addr().is_err() {
            return Ok(false);
        }
        self.opening_until = None;
        self.set_options();
        Ok(true)
    }

    /// Sets options so that records leave at once and at most [`TCP_UNSENT_MAX`] bytes wait unsent
    /// in the kernel. The length of our queue then shows how old its data is. Refused options only
    /// cost speed.
    fn set_options(&self) {
        let _ = self.stream.set_nodelay(true);
        let socket = socket2::SockRef::from(&self.stream);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket.set_tcp_notsent_lowat(TCP_UNSENT_MAX as u32);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = socket.set_send_buffer_size(TCP_UNSENT_MAX);
    }

    /// Reads once, through `scratch`.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> ReadStop {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => self.ended = Some(PathError::Closed),
                Ok(len) => {
                    self.take(&scratch[..len]);
                    let drained = len < scratch.len() && !self.read_closed && !self.write_failed;
                    return if drained { ReadStop::Drained } else { ReadStop::More };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.write_failed => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.ended = Some(PathError::Reset),
            }
            return ReadStop::Drained;
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.kind == StreamKind::Unknown {
            self.kind = match bytes {
                [MAGIC, second, ..] if *second >= TEXT_SECOND_BYTE_MIN => StreamKind::Text,
                [MAGIC, ..] => StreamKind::Records,
                _ => StreamKind::Text,
            };
        }
        if self.kind == StreamKind::Text {
            self.text.extend_from_slice(bytes);
            return;
        }
        self.deframer.push(bytes);
        if self.deframer.has_begun() && !self.greeted {
            self.send_greeting();
        }
    }

    /// Returns the next output.
    ///
    /// # Errors
    ///
    /// Returns the cause if there is no output and none will come.
    pub(super) fn next(&mut self) -> Result<ConnOutput, PathError> {
        if self.kind != StreamKind::Records {
            return match self.ended {
                _ if !self.text.is_empty() => Ok(ConnOutput::Text),
                Some(PathError::Closed) if !self.text_ended => Ok(ConnOutput::TextEnd),
                Some(PathError::Closed) | None if !self.write_failed => Ok(ConnOutput::Nothing),
                ended => Err(ended.unwrap_or(PathError::Reset)),
            };
        }
        match self.deframer.has_packet() {
            Ok(true) => Ok(ConnOutput::Packet),
            Ok(false) => self.ended.map_or(Ok(ConnOutput::Nothing), Err),
            Err(RecordError::NoMagic | RecordError::BadLength(_)) => Err(PathError::Framing),
        }
    }

    /// Moves the text that [`Conn::next`] found into the empty `text`.
    pub(super) fn take_text(&mut self, text: &mut Vec<u8>) {
        text.append(&mut self.text);
        self.text = Vec::new();
    }

    /// Marks the end of text that [`Conn::next`] found as passed on.
    pub(super) fn end_text(&mut self) {
        self.kind = StreamKind::Text;
        self.text_ended = true;
    }

    /// Returns the packet that [`Conn::next`] found.
    pub(super) fn packet(&mut self) -> Option<&mut [u8]> {
        self.deframer.next_packet().ok().flatten()
    }

    /// Queues a packet as a record, or plain text unchanged.
    ///
    /// # Errors
    ///
    /// Returns [`PathError::Stuck`] if the queue is full, because the other end does not read.
    pub(super) fn queue(&mut self, packet: &[u8]) -> Result<(), PathError> {
        if self.write_failed {
            return Ok(());
        }
        if self.out.len() + RECORD_HEADER_LEN + packet.len() > TCP_QUEUE_MAX {
            return Err(PathError::Stuck);
        }
        let before = self.out.len();
        self.out.compact();
        if self.kind == StreamKind::Records {
            if !self.greeted {
                self.send_greeting();
            }
            frame_record(packet, &mut self.out.bytes);
        } else {
            self.out.bytes.extend_from_slice(packet);
        }
        self.out.unreported += self.out.len() - before;
        Ok(())
    }

    /// Whether data waits to be written.
    pub(super) fn has_unsent(&self) -> bool {
        self.out.len() > 0
    }

    /// Writes the queue as far as the kernel takes it. Returns the queue's length if it must be
    /// reported to the core.
    ///
    /// # Errors
    ///
    /// Returns [`PathError::Reset`] if the connection broke. Data received before must still be
    /// read.
    pub(super) fn write(&mut self) -> Result<Option<usize>, PathError> {
        while self.opening_until.is_none() && self.has_unsent() {
            match self.stream.write(&self.out.bytes[self.out.sent..]) {
                Ok(len) => self.out.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.write_failed = true;
                    self.out = OutQueue::default();
                    return Err(PathError::Reset);
                }
            }
        }
        Ok(self.out.report())
    }

    fn send_greeting(&mut self) {
        self.out.bytes.push(MAGIC);
        self.greeted = true;
    }
}

impl OutQueue {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn compact(&mut self) {
        if self.sent > 0 && self.sent >= self.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Returns the length if a report is due. A queue that empties at once is reported after every
    /// [`REPORT_STEP`] bytes. Any other queue is reported at once, when it has halved, and when it
    /// is empty.
    fn report(&mut self) -> Option<usize> {
        let len = self.len();
        if len == 0 {
            self.sent = 0;
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_CAPACITY);
        }
        let is_due = match len {
            0 => self.reported > 0 || self.unreported >= REPORT_STEP,
            _ => self.unreported > 0 || len <= self.reported / 2,
        };
        is_due.then(|| {
            self.reported = len;
            self.unreported = 0;
            len
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_is_reported_in_steps_if_flowing_and_at_half_if_not() {
        let mut out = OutQueue::default();
        let queue = |out: &mut OutQueue, queued: usize, sent: usize| {
            out.bytes.extend(vec![0; queued]);
            out.unreported += queued;
            out.sent += sent;
            out.report()
        };
        assert_eq!(queue(&mut out, 100, 100), None);
        assert_eq!(queue(&mut out, REPORT_STEP - 100, REPORT_STEP - 100), Some(0));
        assert_eq!(queue(&mut out, 1000, 0), Some(1000));
        assert_eq!(queue(&mut out, 0, 400), None);
        assert_eq!(queue(&mut out, 0, 100), Some(500));
        assert_eq!(queue(&mut out, 0, 500), Some(0));
    }
}
