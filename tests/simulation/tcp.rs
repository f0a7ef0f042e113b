//! TCP connections as streams of bytes: cut anywhere, in order, stalled, reset. Each side has the
//! program's queue and reports it as the real I/O layer does.

use std::collections::VecDeque;
use std::time::Duration;

use queqiao::base::{ConnId, PathError, Rng, Tick};
use queqiao::wire::limits::{MAGIC, TCP_QUEUE_MAX, TCP_UNSENT_MAX};
use queqiao::wire::record::{Deframer, frame_record};

use super::link_conditions::LinkDirection;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Relay,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Relay,
            Side::Relay => Side::Client,
        }
    }
}

/// Bytes in transit in one direction, including the system's buffers.
const IN_TRANSIT_MAX: usize = 64 * 1024;
/// Bytes of each side that are cut as the simulation wants. A seed that cuts all of them into
/// single bytes would take most of the time.
const FINE_BYTES_MAX: usize = 40_000;
/// Maximum length of the segments after that.
const COARSE_SEGMENT_MAX: usize = 1460;
/// Bytes that may leave without a report of the queue.
const REPORT_STEP: usize = TCP_UNSENT_MAX / 4;

/// One side: its program's queue, and the data in transit to it.
pub struct Socket {
    /// The program has not closed it and has not received its end.
    pub open: bool,
    pub id: ConnId,
    deframer: Deframer,
    magic_sent: bool,
    queue: VecDeque<u8>,
    reported: usize,
    fresh: usize,
    /// It was closed in good order: queued data still leaves, then the end.
    is_finishing: bool,
    /// Bytes of this side that were cut as the simulation wants.
    fine_bytes: usize,
    /// Segments in transit to this side.
    in_transit: VecDeque<(Tick, Vec<u8>)>,
    in_transit_len: usize,
    last_arrival: Tick,
    /// It does not read before this time.
    pub stalled_until: Tick,
}

pub struct Conn {
    pub client: usize,
    pub client_incarnation: u32,
    pub tries: u32,
    pub established: bool,
    pub socket: [Socket; 2],
    /// Maximum length of a segment.
    pub segment_max: usize,
    /// Chance that a segment has a flipped bit that TCP's checksum missed, in thousandths.
    pub corrupt: u64,
    /// Number of such segments.
    pub flipped: u64,
}

/// An input for one side.
pub enum SocketEvent {
    Packet(Vec<u8>),
    Closed(PathError),
}

impl Socket {
    fn new(id: ConnId, deframer: Deframer) -> Socket {
        Socket {
            open: false,
            id,
            deframer,
            magic_sent: false,
            queue: VecDeque::new(),
            reported: 0,
            fresh: 0,
            is_finishing: false,
            fine_bytes: 0,
            in_transit: VecDeque::new(),
            in_transit_len: 0,
            last_arrival: Tick::ZERO,
            stalled_until: Tick::ZERO,
        }
    }

    fn report(&mut self) -> Option<usize> {
        let len = self.queue.len();
        let due = match len {
            0 => self.reported > 0 || self.fresh >= REPORT_STEP,
            _ => self.fresh > 0 || len <= self.reported / 2,
        };
        due.then(|| {
            self.reported = len;
            self.fresh = 0;
            len
        })
    }
}

impl Conn {
    pub fn new(
        client: usize,
        client_incarnation: u32,
        id: ConnId,
        relay_id: ConnId,
        segment_max: usize,
    ) -> Conn {
        let mut dialled = Socket::new(id, Deframer::for_client());
        dialled.queue.push_back(MAGIC);
        dialled.magic_sent = true;
        let accepted = Socket::new(relay_id, Deframer::for_relay());
        let socket = [dialled, accepted];
        Conn {
            client,
            client_incarnation,
            tries: 0,
            established: false,
            socket,
            segment_max,
            corrupt: 0,
            flipped: 0,
        }
    }

    pub fn side(&mut self, side: Side) -> &mut Socket {
        &mut self.socket[side as usize]
    }

    /// Queues a packet on this side.
    pub fn queue(&mut self, side: Side, packet: &[u8]) -> Result<(), PathError> {
        let socket = self.side(side);
        if socket.queue.len() + packet.len() + 2 > TCP_QUEUE_MAX {
            return Err(PathError::Stuck);
        }
        if !socket.magic_sent {
            socket.queue.push_back(MAGIC);
            socket.magic_sent = true;
        }
        let mut record = Vec::new();
        frame_record(packet, &mut record);
        socket.queue.extend(&record);
        socket.fresh += record.len();
        Ok(())
    }

    /// Closes this side in good order.
    pub fn close(&mut self, side: Side) {
        let socket = self.side(side);
        socket.open = false;
        socket.is_finishing = true;
    }

    /// Moves bytes of this side's queue into transit. Returns when the other side must look, and
    /// the queue's report for the core.
    pub fn pump(
        &mut self,
        side: Side,
        now: Tick,
        direction: &mut LinkDirection,
        rng: &mut Rng,
    ) -> (Option<Tick>, Option<usize>) {
        let segment_max = self.segment_max;
        let mut arrives = None;
        let corrupt = self.corrupt;
        let is_finishing = self.side(side).is_finishing;
        loop {
            let in_transit = self.side(side.other()).in_transit_len;
            let socket = self.side(side);
            if socket.queue.is_empty() || in_transit >= IN_TRANSIT_MAX || !self.established {
                break;
            }
            let socket = self.side(side);
            let segment_max =
                if socket.fine_bytes < FINE_BYTES_MAX { segment_max } else { COARSE_SEGMENT_MAX };
            let len = (1 + rng.below(segment_max as u64) as usize).min(socket.queue.len());
            socket.fine_bytes += len;
            let mut bytes: Vec<u8> = socket.queue.drain(..len).collect();
            if super::link_conditions::chance(rng, corrupt) {
                let bit = rng.below(len as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
                self.flipped += 1;
            }
            let other = self.side(side.other());
            let is_first = other.in_transit.is_empty();
            let at = direction.transmit_segment(now, len, rng).max(other.last_arrival);
            other.last_arrival = at;
            other.in_transit_len += len;
            other.in_transit.push_back((at, bytes));
            arrives = arrives.or(is_first.then_some(at));
        }
        if is_finishing && self.side(side).queue.is_empty() && self.established {
            self.side(side).is_finishing = false;
            let other = self.side(side.other());
            let is_first = other.in_transit.is_empty();
            let at = other.last_arrival.max(now + direction.conditions.delay);
            other.last_arrival = at;
            other.in_transit.push_back((at, Vec::new()));
            arrives = arrives.or(is_first.then_some(at));
        }
        let socket = self.side(side);
        let report = if socket.open { socket.report() } else { None };
        (arrives, report)
    }

    /// Returns when to look again for data in transit to this side. Data within 20 ms is delivered
    /// together.
    pub fn next_arrival(&mut self, side: Side, now: Tick) -> Option<Tick> {
        let socket = self.side(side);
        let (at, _) = socket.in_transit.front()?;
        Some((*at).max((now + Duration::from_millis(20)).min(socket.last_arrival)))
    }

    /// Delivers the data that has arrived. `Err` is the time to look again, if it cannot be
    /// delivered yet.
    pub fn deliver(
        &mut self,
        side: Side,
        now: Tick,
        hole: bool,
        events: &mut Vec<SocketEvent>,
    ) -> Result<u64, Tick> {
        let mut segments = 0;
        let socket = self.side(side);
        if hole && !socket.in_transit.is_empty() {
            return Err(now + Duration::from_millis(300));
        }
        if socket.stalled_until > now && !socket.in_transit.is_empty() {
            return Err(socket.stalled_until);
        }
        while let Some((at, _)) = socket.in_transit.front() {
            if *at > now {
                break;
            }
            let (_, bytes) = socket.in_transit.pop_front().expect("it was just seen");
            segments += 1;
            socket.in_transit_len -= bytes.len();
            if socket.open {
                socket.receive(&bytes, events);
            }
        }
        Ok(segments)
    }

    /// Whether both programs have closed it and nothing is left to send.
    pub fn is_over(&self) -> bool {
        let over = |s: &Socket| !s.open && !s.is_finishing && s.in_transit.is_empty();
        self.established && self.socket.iter().all(over)
    }
}

impl Socket {
    /// Receives a segment. An empty one is the end of the other side.
    fn receive(&mut self, bytes: &[u8], events: &mut Vec<SocketEvent>) {
        if bytes.is_empty() {
            self.open = false;
            self.queue.clear();
            events.push(SocketEvent::Closed(PathError::Closed));
            return;
        }
        self.deframer.push(bytes);
        if self.deframer.has_begun() && !self.magic_sent {
            self.magic_sent = true;
            self.queue.push_back(MAGIC);
        }
        loop {
            match self.deframer.next_packet() {
                Ok(Some(packet)) => events.push(SocketEvent::Packet(packet.to_vec())),
                Ok(None) => break,
                Err(_) => {
                    self.open = false;
                    self.is_finishing = true;
                    self.queue.clear();
                    events.push(SocketEvent::Closed(PathError::Framing));
                    break;
                }
            }
        }
    }
}
