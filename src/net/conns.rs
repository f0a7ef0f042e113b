//! All TCP connections of the process, including the accepted ones.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use slab::Slab;

use super::bind;
use super::context::NetContext;
use super::stats::LogKind;
use super::tcp::{Conn, ConnOutput, ReadStop};
use super::udp::why_refused;
use crate::base::{ConnId, Input, Path, PathError, Tick};

/// Maximum bytes read from one connection before the next has its turn.
const READ_LEN: usize = 64 * 1024;

/// Connections by slot and by id. A slot plus `first_token` is its mio token. Slots are reused, ids
/// never.
pub(super) struct Conns {
    slots: Slab<Conn>,
    slots_by_id: BTreeMap<ConnId, usize>,
    /// Slots with new data to write.
    dirty: Vec<usize>,
    last_accepted: u64,
    first_token: usize,
    scratch: Vec<u8>,
    /// Reused buffer for plain text being lent.
    text: Vec<u8>,
    /// Whether accepted connections may speak plain text.
    text_too: bool,
}

/// Result of accepting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// A connection in this slot.
    Conn(usize),
    /// A connection failed, or exceeded the limit.
    Passed,
    /// No connection waits.
    Drained,
    /// No descriptor or memory is left; retry later.
    NoRoom,
}

impl Conns {
    pub(super) fn new(first_token: usize, text_too: bool) -> Conns {
        Conns {
            slots: Slab::new(),
            slots_by_id: BTreeMap::new(),
            dirty: Vec::new(),
            last_accepted: 0,
            first_token,
            scratch: vec![0; READ_LEN],
            text: Vec::new(),
            text_too,
        }
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Conn> {
        self.slots.get_mut(slot)
    }

    /// Accepts one waiting connection.
    pub(super) fn accept<C>(
        &mut self,
        listener: &TcpListener,
        connections_max: usize,
        ctx: &mut NetContext<C>,
    ) -> Accepted {
        let (stream, remote) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::Drained,
            Err(error) => {
                ctx.stats.accept_errors += 1;
                ctx.log(LogKind::Accept, || format!("accepting a connection failed: {error}"));
                return if why_refused(&error) == PathError::NoRoom {
                    Accepted::NoRoom
                } else {
                    Accepted::Passed
                };
            }
        };
        if self.slots.len() >= connections_max {
            ctx.stats.accepts_refused += 1;
            return Accepted::Passed;
        }
        self.last_accepted += 1;
        let id = ConnId(self.last_accepted);
        let remote = bind::plain(remote);
        match self.insert(Conn::accepted(stream, id, remote, self.text_too), ctx) {
            Ok(slot) => {
                ctx.stats.accepted += 1;
                ctx.inputs.push_back(Input::PathOpened { path: Path::Tcp(id), remote });
                Accepted::Conn(slot)
            }
            Err(_) => Accepted::NoRoom,
        }
    }

    /// Starts opening a connection and returns its slot.
    ///
    /// # Errors
    ///
    /// Returns the cause if it cannot be opened from this machine.
    pub(super) fn open<C>(
        &mut self,
        id: ConnId,
        remote: SocketAddr,
        until: Tick,
        ctx: &mut NetContext<C>,
    ) -> Result<usize, PathError> {
        assert!(!self.slots_by_id.contains_key(&id), "a ConnId is never reused");
        let stream = TcpStream::connect(remote).map_err(|error| why_refused(&error))?;
        self.insert(Conn::dialled(stream, id, remote, until), ctx).map_err(|error| why_refused(&error))
    }

    /// Handles writability: finishes opening, then writes the queue.
    pub(super) fn writable<C>(&mut self, slot: usize, ctx: &mut NetContext<C>) -> Opened {
        let Some(conn) = self.slots.get_mut(slot) else {
            return Opened::No;
        };
        let path = Path::Tcp(conn.id);
        let remote = conn.remote;
        let until = conn.opening_until;
        if let Some(until) = until {
            match conn.finish_opening() {
                Ok(false) => return Opened::No,
                Ok(true) => ctx.inputs.push_back(Input::PathOpened { path, remote }),
                Err(error) => {
                    self.end(slot, error, ctx);
                    return Opened::Until(until);
                }
            }
        }
        self.write(slot, ctx);
        until.map_or(Opened::No, Opened::Until)
    }

    /// Reads once. Also returns `Drained` if there is no connection to read from.
    pub(super) fn read(&mut self, slot: usize) -> ReadStop {
        let Some(conn) = self.slots.get_mut(slot).filter(|conn| conn.opening_until.is_none()) else {
            return ReadStop::Drained;
        };
        let end = conn.read(&mut self.scratch);
        self.mark(slot);
        end
    }

    /// Returns the next output of this connection. Removes a connection that has ended, after its
    /// last packet.
    pub(super) fn next<C>(&mut self, slot: usize, ctx: &mut NetContext<C>) -> ConnOutput {
        let Some(conn) = self.slots.get_mut(slot) else {
            return ConnOutput::Nothing;
        };
        conn.next().unwrap_or_else(|error| {
            ctx.stats.framing_errors += u64::from(error == PathError::Framing);
            self.end(slot, error, ctx);
            ConnOutput::Nothing
        })
    }

    /// Returns the plain text that [`Conns::next`] found, with its connection.
    pub(super) fn text(&mut self, slot: usize) -> Option<(ConnId, &mut [u8])> {
        let conn = self.slots.get_mut(slot)?;
        self.text.clear();
        conn.take_text(&mut self.text);
        Some((conn.id, &mut self.text))
    }

    /// Queues a packet, which [`Conns::write_all`] writes. Does nothing if the connection is gone.
    pub(super) fn queue<C>(&mut self, id: ConnId, packet: &[u8], ctx: &mut NetContext<C>) {
        let Some(slot) = self.slots_by_id.get(&id).copied() else {
            return;
        };
        match self.slots[slot].queue(packet) {
            Ok(()) => {
                ctx.stats.records_out += 1;
                self.mark(slot);
            }
            Err(error) => {
                ctx.stats.stuck += 1;
                self.end(slot, error, ctx);
            }
        }
    }

    /// Writes everything queued since the last call, with one system call for each connection.
    pub(super) fn write_all<C>(&mut self, ctx: &mut NetContext<C>) {
        while let Some(slot) = self.dirty.pop() {
            self.write(slot, ctx);
        }
    }

    /// Closes a connection for the core. Queued bytes are sent if the kernel takes them at once.
    pub(super) fn close<C>(&mut self, id: ConnId, ctx: &mut NetContext<C>) {
        if let Some(slot) = self.slots_by_id.get(&id).copied() {
            let conn = &mut self.slots[slot];
            let _ = conn.write();
            // Unread bytes would turn the close into a reset, which destroys the bytes just
            // written.
            let _ = conn.read(&mut self.scratch);
            self.remove(slot, ctx);
        }
    }

    /// Gives up a connection whose opening has not finished by `until`.
    pub(super) fn give_up<C>(&mut self, slot: usize, until: Tick, ctx: &mut NetContext<C>) {
        if self.slots.get(slot).is_some_and(|conn| conn.opening_until == Some(until)) {
            self.end(slot, PathError::TimedOut, ctx);
        }
    }

    /// Returns the slot of a mio token.
    pub(super) const fn slot_of(&self, token: Token) -> usize {
        token.0 - self.first_token
    }

    /// Returns the mio token of a slot.
    pub(super) const fn token(&self, slot: usize) -> Token {
        Token(self.first_token + slot)
    }

    fn mark(&mut self, slot: usize) {
        let conn = &mut self.slots[slot];
        if conn.has_unsent() && !conn.dirty {
            conn.dirty = true;
            self.dirty.push(slot);
        }
    }

    fn write<C>(&mut self, slot: usize, ctx: &mut NetContext<C>) {
        let Some(conn) = self.slots.get_mut(slot) else {
            return;
        };
        conn.dirty = false;
        match conn.write() {
            Ok(None) => {}
            Ok(Some(len)) => ctx.inputs.push_back(Input::Unsent(Path::Tcp(conn.id), len)),
            Err(_) => ctx.ready.push(self.token(slot)),
        }
    }

    fn insert<C>(&mut self, conn: Conn, ctx: &mut NetContext<C>) -> io::Result<usize> {
        let id = conn.id;
        let slot = self.slots.insert(conn);
        let token = self.token(slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = ctx.registry().register(&mut self.slots[slot].stream, token, interest) {
            self.slots.remove(slot);
            return Err(error);
        }
        self.slots_by_id.insert(id, slot);
        Ok(slot)
    }

    fn end<C>(&mut self, slot: usize, error: PathError, ctx: &mut NetContext<C>) {
        if let Some(id) = self.remove(slot, ctx) {
            ctx.log(LogKind::Connection, || format!("connection {} ended: {error:?}", id.0));
            ctx.inputs.push_back(Input::PathClosed(Path::Tcp(id), error));
        }
    }

    /// The only function that removes a connection. Its slot may linger in `dirty`; writing it then
    /// does nothing.
    fn remove<C>(&mut self, slot: usize, ctx: &mut NetContext<C>) -> Option<ConnId> {
        let mut conn = self.slots.try_remove(slot)?;
        self.slots_by_id.remove(&conn.id);
        let _ = ctx.registry().deregister(&mut conn.stream);
        Some(conn.id)
    }
}

/// Result of handling writability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// No opening has finished.
    No,
    /// The opening with this deadline has finished or failed.
    Until(Tick),
}
