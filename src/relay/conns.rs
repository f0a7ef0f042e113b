//! TCP connections as the relay sees them: their number, owners and time limits.
//!
//! Half of the connections are reserved for members. A connection counts as a stranger's until a
//! session that has signed in sends a packet on it. If there are too many, connections of strangers
//! are closed first, fairly among networks ([`EvictionQueue`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::{ConnId, Effect, Path, Tick};

use super::eviction_queue::EvictionQueue;
use super::ids::SessionSlot;
use super::limits::{CONN_FIRST_PACKET, CONN_IDLE, UNCONFIRMED_FOR, source};
use super::{Out, Relay, Timer};

/// Connections of one session that count as a member's: the current one and the one it moves to.
const CONNS_PER_SESSION: usize = 2;
/// Minimum interval between two updates of a stranger's rank by activity: an update for each packet
/// would cost as much as the packet.
const RERANK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Conn {
    remote: SocketAddr,
    /// The connection is closed then unless a valid packet arrives.
    until: Tick,
    /// The session of the last packets.
    pub(super) session: Option<SessionSlot>,
    /// The unconfirmed session granted on this connection, which may be gone, and its serial
    /// number.
    pending: Option<(SessionSlot, u64)>,
    /// A handshake was answered since the last valid packet.
    handshake_answered: bool,
    owner: ConnOwner,
    scheduled: Option<Tick>,
}

/// The party that a connection is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnOwner {
    /// No session on it has signed in; the time of its last packet is accurate to
    /// [`RERANK_INTERVAL`].
    Stranger(Tick),
    /// A session that has signed in.
    Member(SessionSlot),
}

/// The open connections, and their number for each source.
#[derive(Debug, Default)]
pub(super) struct Conns {
    conns: BTreeMap<ConnId, Conn>,
    by_source: BTreeMap<IpAddr, usize>,
    strangers: EvictionQueue,
    /// Connections of sessions that have signed in, oldest first, and their number for each source.
    by_session: BTreeMap<SessionSlot, Vec<ConnId>>,
    members_by_source: BTreeMap<IpAddr, usize>,
}

fn count_down(counts: &mut BTreeMap<IpAddr, usize>, key: IpAddr) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Conns {
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&conn)
    }

    pub(super) fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.conns.get(&conn).map(|c| c.remote)
    }

    pub(super) fn forget(&mut self, conn: ConnId) -> Option<Conn> {
        let conn_state = self.conns.remove(&conn)?;
        count_down(&mut self.by_source, source(conn_state.remote.ip()));
        self.remove_owner(conn, conn_state.remote, conn_state.owner);
        Some(conn_state)
    }

    fn insert(&mut self, now: Tick, conn: ConnId, entry: Conn) {
        let ip = entry.remote.ip();
        *self.by_source.entry(source(ip)).or_default() += 1;
        self.strangers.insert(ip, now, conn);
        self.conns.insert(conn, entry);
    }

    /// Whether one more connection from `remote` must be refused, even as a stranger's.
    fn is_full(&self, remote: SocketAddr, max: usize, per_address: usize) -> bool {
        let of_source = self.by_source.get(&source(remote.ip())).copied().unwrap_or(0);
        let is_crowded = !remote.ip().is_loopback() && of_source >= per_address;
        is_crowded || (self.conns.len() >= max && self.strangers.is_empty())
    }

    /// Returns the stranger's connection to close if there are more than `max` connections.
    fn stranger_to_evict(&self, max: usize) -> Option<ConnId> {
        let fit = self.conns.len() <= max && self.strangers.len() <= max.div_ceil(2);
        if fit { None } else { self.strangers.next() }
    }

    /// Records a packet of a stranger.
    pub(super) fn record_received(&mut self, now: Tick, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        if let ConnOwner::Stranger(last_received) = entry.owner
            && now.since(last_received) >= RERANK_INTERVAL
        {
            entry.owner = ConnOwner::Stranger(now);
            self.strangers.remove(entry.remote.ip(), last_received, conn);
            self.strangers.insert(entry.remote.ip(), now, conn);
        }
    }

    fn remove_owner(&mut self, conn: ConnId, remote: SocketAddr, owner: ConnOwner) {
        match owner {
            ConnOwner::Stranger(last_received) => self.strangers.remove(remote.ip(), last_received, conn),
            ConnOwner::Member(slot) => {
                count_down(&mut self.members_by_source, source(remote.ip()));
                if let Some(conns) = self.by_session.get_mut(&slot) {
                    conns.retain(|other| *other != conn);
                    if conns.is_empty() {
                        self.by_session.remove(&slot);
                    }
                }
            }
        }
    }

    /// Counts the connection as the session's, which has signed in, unless its source already has
    /// `per_source` such connections.
    pub(super) fn join_session(&mut self, now: Tick, conn: ConnId, slot: SessionSlot, per_source: usize) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let remote = entry.remote;
        let owner = entry.owner;
        let of_source = self.members_by_source.get(&source(remote.ip())).copied().unwrap_or(0);
        let is_crowded = !remote.ip().is_loopback() && of_source >= per_source;
        if owner == ConnOwner::Member(slot) || is_crowded {
            return;
        }
        entry.owner = ConnOwner::Member(slot);
        self.remove_owner(conn, remote, owner);
        *self.members_by_source.entry(source(remote.ip())).or_default() += 1;
        let conns = self.by_session.entry(slot).or_default();
        conns.push(conn);
        if conns.len() > CONNS_PER_SESSION {
            let oldest = conns[0];
            self.leave_session(now, oldest);
        }
    }

    /// Counts a connection as a stranger's again.
    fn leave_session(&mut self, now: Tick, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let remote = entry.remote;
        let owner = entry.owner;
        if matches!(owner, ConnOwner::Member(_)) {
            entry.owner = ConnOwner::Stranger(now);
            self.remove_owner(conn, remote, owner);
            self.strangers.insert(remote.ip(), now, conn);
        }
    }

    /// Counts the connections of an ended session as strangers'.
    pub(super) fn end_session(&mut self, now: Tick, slot: SessionSlot) {
        for conn in self.by_session.get(&slot).cloned().unwrap_or_default() {
            self.leave_session(now, conn);
        }
    }
}

impl Relay {
    pub(super) fn open_conn(&mut self, now: Tick, conn: ConnId, remote: SocketAddr, out: &mut Out) {
        let max = self.limits.conns;
        let per_address = self.limits.conns_per_address;
        if self.limits.per_sender && self.conns.is_full(remote, max, per_address) {
            self.stats.conns_refused += 1;
            out.effects.push(Effect::Close(Path::Tcp(conn)));
            return;
        }
        let mut entry = Conn {
            remote,
            until: now + CONN_FIRST_PACKET,
            session: None,
            pending: None,
            handshake_answered: false,
            owner: ConnOwner::Stranger(now),
            scheduled: None,
        };
        match &mut self.guests {
            // While it may be a guest's, `guests` keeps its deadline.
            Some(guests) => guests.open(now, conn, remote),
            None => self.deadlines.set(Timer::Conn(conn), Some(entry.until), &mut entry.scheduled),
        }
        self.conns.insert(now, conn, entry);
        while self.limits.per_sender
            && let Some(other) = self.conns.stranger_to_evict(max)
        {
            self.stats.conns_refused += 1;
            self.close_conn(now, other, out);
        }
    }

    /// Handles the first packet on a connection that could have been a guest's. It gets the time
    /// limit of any new connection.
    pub(super) fn note_no_guest(&mut self, now: Tick, conn: ConnId) {
        let Some(guests) = &mut self.guests else { return };
        if guests.is_no_guest(conn)
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.until = now + CONN_FIRST_PACKET;
            self.deadlines.set(Timer::Conn(conn), Some(entry.until), &mut entry.scheduled);
        }
    }

    /// Extends the connection's time limit after an answered handshake message, so that the client
    /// can confirm the session.
    ///
    /// Only once: a client that repeats handshakes without confirming must not keep the connection.
    pub(super) fn note_handshake(&mut self, now: Tick, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        if !std::mem::replace(&mut entry.handshake_answered, true) {
            entry.until = entry.until.max(now + UNCONFIRMED_FOR);
        }
    }

    /// Returns the unconfirmed session granted on this connection earlier; it gives way to the next
    /// one.
    pub(super) fn pending_on(&self, path: Path) -> Option<SessionSlot> {
        let Path::Tcp(conn) = path else { return None };
        let (slot, serial) = self.conns.conns.get(&conn)?.pending?;
        self.sessions.is_unconfirmed(slot, serial).then_some(slot)
    }

    /// Records the unconfirmed session granted on this path.
    pub(super) fn note_pending(&mut self, path: Path, slot: SessionSlot, serial: u64) {
        if let Path::Tcp(conn) = path
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.pending = Some((slot, serial));
        }
    }

    /// Records a valid packet of `session` on the connection. A session that has not signed in
    /// keeps the connection only until its time limit for that.
    pub(super) fn note_valid_packet(&mut self, now: Tick, conn: ConnId, session: SessionSlot) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.session = Some(session);
        entry.handshake_answered = false;
        if entry.owner == ConnOwner::Member(session) {
            entry.until = now + CONN_IDLE;
            return;
        }
        let name_deadline = self.sessions.name_deadline(session);
        entry.until = name_deadline.map_or(now + CONN_IDLE, |deadline| deadline.max(entry.until));
        self.conns.record_received(now, conn);
        if self.sessions.member(session).is_some() {
            self.count_as_member(now, Path::Tcp(conn), session);
        }
    }

    /// Counts the path of a session that has signed in as a member's. One source gets at most a
    /// quarter of the half that is reserved for members.
    pub(super) fn count_as_member(&mut self, now: Tick, path: Path, slot: SessionSlot) {
        if let Path::Tcp(conn) = path
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.until = now + CONN_IDLE;
            self.conns.join_session(now, conn, slot, self.limits.conns_per_address.div_ceil(2));
        }
    }

    pub(super) fn handle_conn_time(&mut self, now: Tick, tick: Tick, conn: ConnId, out: &mut Out) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        if entry.scheduled == Some(tick) {
            entry.scheduled = None;
        }
        if entry.until <= now {
            self.close_conn(now, conn, out);
        } else {
            self.deadlines.set(Timer::Conn(conn), Some(entry.until), &mut entry.scheduled);
        }
    }

    /// Closes a connection from the relay's side.
    pub(super) fn close_conn(&mut self, now: Tick, conn: ConnId, out: &mut Out) {
        if let Some(closed) = self.conns.forget(conn) {
            out.effects.push(Effect::Close(Path::Tcp(conn)));
            if let Some(guests) = &mut self.guests {
                guests.handle_closed(conn);
            }
            if let Some(slot) = closed.session {
                self.leave_path(now, slot, Path::Tcp(conn));
            }
        }
    }
}
