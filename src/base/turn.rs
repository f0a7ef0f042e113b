//! The `Core` contract: inputs and effects of a sans-IO state machine, and the turn that drives it.
//!
//! Usage: `wait(deadline)`, then one [`turn`], then apply every effect in order, then wait again.
//! The mio loop and the simulation both follow this sequence.

use std::net::SocketAddr;
use std::ops::Range;

use super::{ConnId, HostPort, LetterId, Name, Now, Path, PathError, Tick};

/// Maximum inputs in one turn, so that timers and answers are delayed by at most one such batch.
pub const TURN_INPUTS_MAX: usize = 1024;

/// Identifies one record submitted to the store. The core chooses it, and the store returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Selects rows by sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeqFilter {
    /// Rows with higher numbers than this one.
    After(u64),
    /// Rows with these numbers, in ascending order.
    At(Vec<u64>),
}

/// Selects rows of one owner, or of all owners, in the order of their sequence numbers
/// ([`Effect::Load`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Owner of the rows; `None` for all owners.
    pub owner: Option<Name>,
    /// Sequence numbers of the rows.
    pub filter: SeqFilter,
    /// Bytes after which no further row is read. The result exceeds this by at most one row.
    pub bytes_max: usize,
}

/// One stored row, as the store returns it to the core that submitted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its owner.
    pub owner: Name,
    /// Its sequence number among all rows, chosen by the core in ascending order.
    pub seq: u64,
    /// When it was stored, on a clock that belongs to the core.
    pub stored_at: u64,
    /// Its content.
    pub payload: Payload,
}

/// Content of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Intact content.
    Intact(Vec<u8>),
    /// The disk has changed the content. Holds the header if it is certain.
    Damaged(Option<LetterHeader>),
}

/// Header of a letter on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterHeader {
    /// Its sender.
    pub from: Name,
    /// Its id in the sender's outbox.
    pub id: LetterId,
    /// The length of its body, in bytes.
    pub len: usize,
}

/// An input of a core. `C` is the core's type of command.
#[derive(Debug)]
pub enum Input<'a, C> {
    /// A packet arrived on a path; it is decrypted in place.
    Packet {
        /// The path that it arrived on.
        path: Path,
        /// One complete packet, over UDP or TCP.
        bytes: &'a mut [u8],
    },
    /// Plain text arrived on an accepted TCP path whose first byte was not the magic byte.
    Text {
        /// The path that it arrived on.
        path: Path,
        /// A part of the stream with arbitrary boundaries.
        bytes: &'a mut [u8],
    },
    /// The other end of a plain-text path will send no more; it may still read.
    TextEnded(Path),
    /// A TCP path is open: accepted, or requested by [`Effect::OpenTcp`].
    PathOpened {
        /// The new path.
        path: Path,
        /// The other end's address.
        remote: SocketAddr,
    },
    /// A TCP path has closed, or could not be opened.
    PathClosed(Path, PathError),
    /// The system refused to send on a UDP path, or reported an ICMP error. A hint: the path is not
    /// closed.
    SendRefused(Path, PathError),
    /// A TCP path accepted bytes: this many are still queued in the program and the kernel.
    Unsent(Path, usize),
    /// The record of this ticket is durable.
    Committed(Ticket),
    /// The record of this ticket could not be made durable.
    NotCommitted(Ticket),
    /// The rows of [`Effect::Load`], possibly none.
    ///
    /// Includes all records submitted before. A load that failed yields [`Input::NotCommitted`].
    Rows(Ticket, Vec<Row>),
    /// The addresses of a host, possibly none, as requested by [`Effect::LookUp`].
    Resolved(HostPort, Vec<SocketAddr>),
    /// No name server answered for a host, as requested by [`Effect::LookUp`].
    Unresolved(HostPort),
    /// A request from the user, or from the process around the core.
    Command(C),
}

/// An action that a core requests, applied in order. `R` is its type of record, `E` its type of
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<R, E> {
    /// Send these bytes of [`Outputs::bytes`] on that path as one packet; on a plain-text path,
    /// unframed.
    Send(Path, Range<usize>),
    /// Open a TCP path. Answered by [`Input::PathOpened`] or [`Input::PathClosed`].
    OpenTcp(ConnId, SocketAddr),
    /// Close a TCP path, or forget a UDP path. Not answered.
    Close(Path),
    /// Make this record durable. Answered by [`Input::Committed`] or [`Input::NotCommitted`].
    Persist(Ticket, R),
    /// Read these rows. Answered by [`Input::Rows`] or [`Input::NotCommitted`].
    Load(Ticket, Query),
    /// Resolve a host. Answered by [`Input::Resolved`] or [`Input::Unresolved`].
    LookUp(HostPort),
    /// Pass this event to the frontend.
    Show(E),
}

/// All actions of a turn: one ordered list over reused buffers.
#[derive(Debug)]
pub struct Outputs<R, E> {
    /// Bytes of all packets of the turn. Consecutive packets for one path are adjacent.
    pub bytes: Vec<u8>,
    /// The actions, in order.
    pub effects: Vec<Effect<R, E>>,
}

impl<R, E> Default for Outputs<R, E> {
    fn default() -> Self {
        Outputs { bytes: Vec::new(), effects: Vec::new() }
    }
}

impl<R, E> Outputs<R, E> {
    /// Discards the previous turn and keeps its buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.effects.clear();
    }

    /// Queues the packet that `write` appends to the buffer, or nothing if it appends nothing.
    pub fn send_with(&mut self, path: Path, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() > start {
            self.effects.push(Effect::Send(path, start..self.bytes.len()));
        }
    }

    /// Queues a copy of a finished packet.
    pub fn send(&mut self, path: Path, packet: &[u8]) {
        self.send_with(path, |bytes| bytes.extend_from_slice(packet));
    }

    /// Queues an event for the frontend.
    pub fn show(&mut self, event: E) {
        self.effects.push(Effect::Show(event));
    }
}

/// A state machine without sockets, files, threads or clocks.
///
/// No input can make it fail: handling one returns nothing. A peer that violates the protocol is
/// closed by an effect like any other.
pub trait Core {
    /// Requests from the process around it.
    type Command;
    /// Data that it makes durable.
    type Record;
    /// Events for the frontend.
    type Event;

    /// Advances time: handles every deadline up to `now`.
    fn handle_time(&mut self, now: Now, out: &mut Outputs<Self::Record, Self::Event>);

    /// Handles one input. May queue frames and mark peers; builds no packets.
    fn handle(
        &mut self,
        now: Now,
        input: Input<'_, Self::Command>,
        out: &mut Outputs<Self::Record, Self::Event>,
    );

    /// Whether the turn should end although more inputs are pending.
    ///
    /// With more marked peers, a flush would find the state touched first evicted from the
    /// processor's cache.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Ends a turn: seals the frames of every marked peer into as few packets as possible.
    fn flush(&mut self, now: Now, out: &mut Outputs<Self::Record, Self::Event>);

    /// Returns the next time at which it acts without input; always later than the turn just ended.
    fn next_deadline(&self) -> Option<Tick>;
}

/// Source of the inputs of a turn. Lends one at a time, because packets are decrypted in place.
pub trait InputSource<C> {
    /// Returns the next pending input; never waits.
    fn next_input(&mut self) -> Option<Input<'_, C>>;
}

/// Drives a core through one turn and returns its next deadline.
///
/// Time comes first, then inputs, then one flush. The inputs end after [`TURN_INPUTS_MAX`], or when
/// the core wants to flush.
pub fn turn<C: Core>(
    core: &mut C,
    now: Now,
    source: &mut impl InputSource<C::Command>,
    out: &mut Outputs<C::Record, C::Event>,
) -> Option<Tick> {
    core.handle_time(now, out);
    for _ in 0..TURN_INPUTS_MAX {
        let Some(input) = source.next_input() else { break };
        core.handle(now, input, out);
        if core.wants_flush() {
            break;
        }
    }
    core.flush(now, out);
    core.next_deadline()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Records its inputs, and wants to flush after `flush_after` of them.
    struct Counter {
        flush_after: usize,
        inputs_taken: Vec<u32>,
        flushes: usize,
    }

    impl Core for Counter {
        type Command = u32;
        type Record = ();
        type Event = ();

        fn handle_time(&mut self, _: Now, _: &mut Outputs<(), ()>) {
            self.inputs_taken.clear();
        }

        fn handle(&mut self, _: Now, input: Input<'_, u32>, _: &mut Outputs<(), ()>) {
            if let Input::Command(number) = input {
                self.inputs_taken.push(number);
            }
        }

        fn wants_flush(&self) -> bool {
            self.inputs_taken.len() >= self.flush_after
        }

        fn flush(&mut self, _: Now, _: &mut Outputs<(), ()>) {
            self.flushes += 1;
        }

        fn next_deadline(&self) -> Option<Tick> {
            None
        }
    }

    impl InputSource<u32> for VecDeque<u32> {
        fn next_input(&mut self) -> Option<Input<'_, u32>> {
            self.pop_front().map(Input::Command)
        }
    }

    /// Returns the number of inputs of each turn until all are handled.
    fn turns(flush_after: usize, inputs: u32) -> Vec<usize> {
        let mut core = Counter { flush_after, inputs_taken: Vec::new(), flushes: 0 };
        let mut inbox = (0..inputs).collect();
        let mut out = Outputs::default();
        let mut next = 0;
        let mut lens = Vec::new();
        while !VecDeque::is_empty(&inbox) {
            turn(&mut core, Now::default(), &mut inbox, &mut out);
            assert!(
                core.inputs_taken.iter().all(|number| std::mem::replace(&mut next, number + 1) == *number)
            );
            lens.push(core.inputs_taken.len());
            assert_eq!(core.flushes, lens.len(), "one flush ends each turn");
        }
        lens
    }

    /// The next turn takes the remaining inputs.
    #[test]
    fn turn_ends_on_wants_flush_or_input_limit() {
        assert_eq!(turns(3, 7), [3, 3, 1]);
        assert_eq!(turns(3, 3), [3], "no turn without inputs");
        assert_eq!(turns(usize::MAX, TURN_INPUTS_MAX as u32), [TURN_INPUTS_MAX]);
        assert_eq!(turns(usize::MAX, TURN_INPUTS_MAX as u32 + 1), [TURN_INPUTS_MAX, 1]);
    }
}
