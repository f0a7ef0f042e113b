//! The heart: what a sans-IO state machine takes in and gives out, and the turn that drives it.
//!
//! The law of use: `wait(deadline)`, then one [`turn`], then carry out every effect in order, then wait again. The
//! mio loop and the simulated world both do exactly this.

use std::net::SocketAddr;
use std::ops::Range;

use super::{ConnId, HostPort, LetterId, Name, Now, Path, Tick, Why};

/// At most this many inputs in one turn, so that timers and answers are never late by more than one such batch.
pub const TURN_INPUTS_MAX: usize = 1024;

/// Names one record handed to the store; the core chooses it, the store hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Which rows a core wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// Those at higher places than this one.
    Behind(u64),
    /// Those at these places, which rise.
    At(Vec<u64>),
}

/// Rows a core wants from the store, see [`Effect::Load`]: those of one owner, or of everybody, in
/// the order of their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Whose rows; `None`: everybody's.
    pub owner: Option<Name>,
    /// Where they are.
    pub places: Places,
    /// No further row once so many bytes are there; so the answer is longer by one row at most.
    pub bytes_max: usize,
}

/// One row as the store gives it back to the core that had it made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub owner: Name,
    /// Where it stands among all rows: the core has chosen it, and it rises.
    pub place: u64,
    /// When it was kept, on a clock of the core's own.
    pub since: u64,
    /// What was kept.
    pub held: Held,
}

/// What a row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// What was kept.
    Whole(Vec<u8>),
    /// Something else: the disk has changed it. What it was called, where that is beyond doubt.
    Damaged(Option<Label>),
}

/// What a letter on disk is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Who wrote it.
    pub from: Name,
    /// Its number in its author's outbox.
    pub id: LetterId,
    /// The length of its body, in bytes.
    pub len: usize,
}

/// What can happen to a core. `C` is its own kind of command.
#[derive(Debug)]
pub enum Input<'a, C> {
    /// A packet came on a path; it is opened in place.
    Packet {
        /// Where it came.
        path: Path,
        /// One whole packet, whatever carried it.
        bytes: &'a mut [u8],
    },
    /// Bytes of plain text came on an accepted TCP path whose first byte was not the magic one.
    Text {
        /// Where they came.
        path: Path,
        /// Some of the stream, cut anywhere.
        bytes: &'a mut [u8],
    },
    /// The other end of a path of plain text will send no more; it may still read.
    TextEnded(Path),
    /// A TCP path is open: one accepted, or one asked for by [`Effect::OpenTcp`].
    PathOpened {
        /// The new path.
        path: Path,
        /// The other end's address.
        remote: SocketAddr,
    },
    /// A TCP path is gone, or could not be opened.
    PathClosed(Path, Why),
    /// The system refused to send on a UDP path, or told of an ICMP error. A hint, never an end.
    SendRefused(Path, Why),
    /// A TCP path took bytes: this many are still queued in the program and the kernel.
    Unsent(Path, usize),
    /// The record of this ticket is durable.
    Committed(Ticket),
    /// The record of this ticket could not be made durable.
    NotCommitted(Ticket),
    /// The rows of [`Effect::Load`]; empty if there are none. What was handed over before is in them. Rows that could
    /// not be asked for are [`Input::NotCommitted`].
    Rows(Ticket, Vec<Row>),
    /// The addresses of a host, as asked for by [`Effect::LookUp`]; empty if there are none.
    Resolved(HostPort, Vec<SocketAddr>),
    /// The user, or the process around the core, wants something.
    Command(C),
}

/// What a core wants done, in order. `R` is its kind of record, `E` its kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<R, E> {
    /// Send these bytes of [`Outputs::bytes`] on that path, as one packet; on a path of plain text, as they are.
    Send(Path, Range<usize>),
    /// Open a TCP path; the answer is [`Input::PathOpened`] or [`Input::PathClosed`].
    OpenTcp(ConnId, SocketAddr),
    /// Close a TCP path, or forget a UDP one. There is no answer.
    Close(Path),
    /// Make this record durable, then answer with [`Input::Committed`].
    Persist(Ticket, R),
    /// Read these rows; the answer is [`Input::Rows`].
    Load(Ticket, Query),
    /// Look a host up; the answer is [`Input::Resolved`].
    LookUp(HostPort),
    /// Show this.
    Show(E),
}

/// Everything a turn wants done: one ordered list over reused buffers.
#[derive(Debug)]
pub struct Outputs<R, E> {
    /// The bytes of all packets of the turn; packets for one path that follow each other lie side by side.
    pub bytes: Vec<u8>,
    /// What to do, in order.
    pub effects: Vec<Effect<R, E>>,
}

impl<R, E> Default for Outputs<R, E> {
    fn default() -> Self {
        Outputs { bytes: Vec::new(), effects: Vec::new() }
    }
}

impl<R, E> Outputs<R, E> {
    /// Forgets the last turn and keeps its buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.effects.clear();
    }

    /// Queues the packet that `write` appends to the buffer; nothing if it appends nothing.
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

    /// Queues an event to be shown.
    pub fn show(&mut self, event: E) {
        self.effects.push(Effect::Show(event));
    }
}

/// A state machine without sockets, files, threads or clocks.
///
/// No input can make it fail: handling one returns nothing, and a peer that breaks the protocol is closed by an
/// effect like any other.
pub trait Core {
    /// What the process around it may ask for.
    type Command;
    /// What it makes durable.
    type Record;
    /// What it shows.
    type Event;

    /// Lets time pass: every deadline up to `now` is acted on.
    fn handle_time(&mut self, now: Now, out: &mut Outputs<Self::Record, Self::Event>);

    /// Takes one input in. May queue frames and mark peers; builds no packets.
    fn handle(
        &mut self,
        now: Now,
        input: Input<'_, Self::Command>,
        out: &mut Outputs<Self::Record, Self::Event>,
    );

    /// Whether the turn is to end though more inputs are there: so much is marked that a flush would find what was touched
    /// first gone from the processor's cache.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Ends a turn: every marked peer's frames are sealed into as few packets as they fit.
    fn flush(&mut self, now: Now, out: &mut Outputs<Self::Record, Self::Event>);

    /// When time alone would make it act; always later than the turn that has just ended.
    fn next_deadline(&self) -> Option<Tick>;
}

/// Where a turn finds its inputs. Lends one at a time, because packets are opened in place.
pub trait Inbox<C> {
    /// The next input that is there already; never waits.
    fn next_input(&mut self) -> Option<Input<'_, C>>;
}

/// Drives a core through one turn: time first, then at most [`TURN_INPUTS_MAX`] inputs, or as many as the core takes
/// before it wants to flush, then one flush. Answers with the next deadline.
pub fn turn<C: Core>(
    core: &mut C,
    now: Now,
    inbox: &mut impl Inbox<C::Command>,
    out: &mut Outputs<C::Record, C::Event>,
) -> Option<Tick> {
    core.handle_time(now, out);
    for _ in 0..TURN_INPUTS_MAX {
        let Some(input) = inbox.next_input() else { break };
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

    /// Notes what it is given, and flushes after so many.
    struct Counter {
        most: usize,
        taken: Vec<u32>,
        flushes: usize,
    }

    impl Core for Counter {
        type Command = u32;
        type Record = ();
        type Event = ();

        fn handle_time(&mut self, _: Now, _: &mut Outputs<(), ()>) {
            self.taken.clear();
        }

        fn handle(&mut self, _: Now, input: Input<'_, u32>, _: &mut Outputs<(), ()>) {
            if let Input::Command(number) = input {
                self.taken.push(number);
            }
        }

        fn wants_flush(&self) -> bool {
            self.taken.len() >= self.most
        }

        fn flush(&mut self, _: Now, _: &mut Outputs<(), ()>) {
            self.flushes += 1;
        }

        fn next_deadline(&self) -> Option<Tick> {
            None
        }
    }

    impl Inbox<u32> for VecDeque<u32> {
        fn next_input(&mut self) -> Option<Input<'_, u32>> {
            self.pop_front().map(Input::Command)
        }
    }

    /// How many inputs each turn takes until all are taken.
    fn turns(most: usize, inputs: u32) -> Vec<usize> {
        let mut core = Counter { most, taken: Vec::new(), flushes: 0 };
        let (mut inbox, mut out, mut next, mut lens) =
            ((0..inputs).collect(), Outputs::default(), 0, Vec::new());
        while !VecDeque::is_empty(&inbox) {
            turn(&mut core, Now::default(), &mut inbox, &mut out);
            assert!(core.taken.iter().all(|number| std::mem::replace(&mut next, number + 1) == *number));
            lens.push(core.taken.len());
            assert_eq!(core.flushes, lens.len(), "one flush ends each turn");
        }
        lens
    }

    #[test]
    fn a_turn_ends_when_its_core_wants_to_flush_or_at_the_bound_and_what_is_left_is_taken_next() {
        assert_eq!(turns(3, 7), [3, 3, 1]);
        assert_eq!(turns(3, 3), [3], "no turn for nothing");
        assert_eq!(turns(usize::MAX, TURN_INPUTS_MAX as u32), [TURN_INPUTS_MAX]);
        assert_eq!(turns(usize::MAX, TURN_INPUTS_MAX as u32 + 1), [TURN_INPUTS_MAX, 1]);
    }
}
