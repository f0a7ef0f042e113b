//! TCP connections as the relay sees them: how many, whose, and until when.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::base::{ConnId, Effect, Path, Tick};

use super::limits::{CONN_FIRST_PACKET, CONN_IDLE, UNCONFIRMED_FOR, source};
use super::sessions::Slot;
use super::{Out, Relay, Timer};

#[derive(Debug)]
pub(super) struct Conn {
    remote: SocketAddr,
    /// Closed at this time unless a valid packet comes.
    until: Tick,
    /// The session whose packets came last.
    pub(super) session: Option<Slot>,
    scheduled: Option<Tick>,
}

/// The connections that are open, and how many each source has.
#[derive(Debug, Default)]
pub(super) struct Conns {
    conns: BTreeMap<ConnId, Conn>,
    by_source: BTreeMap<IpAddr, usize>,
}

impl Conns {
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&conn)
    }

    pub(super) fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.conns.get(&conn).map(|c| c.remote)
    }

    pub(super) fn forget(&mut self, conn: ConnId) -> Option<Conn> {
        let gone = self.conns.remove(&conn)?;
        let key = source(gone.remote.ip());
        if let Some(count) = self.by_source.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&key);
            }
        }
        Some(gone)
    }

    fn count_of(&self, remote: SocketAddr) -> usize {
        self.by_source.get(&source(remote.ip())).copied().unwrap_or(0)
    }
}

impl Relay {
    pub(super) fn open_conn(&mut self, now: Tick, conn: ConnId, remote: SocketAddr, out: &mut Out) {
        let crowded = self.conns.conns.len() >= self.limits.conns
            || (!remote.ip().is_loopback() && self.conns.count_of(remote) >= self.limits.conns_per_address);
        if self.limits.per_sender && crowded {
            self.stats.conns_refused += 1;
            out.effects.push(Effect::Close(Path::Tcp(conn)));
            return;
        }
        *self.conns.by_source.entry(source(remote.ip())).or_default() += 1;
        let mut entry = Conn { remote, until: now + CONN_FIRST_PACKET, session: None, scheduled: None };
        match &mut self.guests {
            // As long as it may be a guest's, the guests know when its time is up.
            Some(guests) => guests.open(now, conn, remote),
            None => self.deadlines.set(Timer::Conn(conn), Some(entry.until), &mut entry.scheduled),
        }
        self.conns.conns.insert(conn, entry);
    }

    /// The first packet came on a connection that could have been a guest's: it has as long as others.
    pub(super) fn note_no_guest(&mut self, now: Tick, conn: ConnId) {
        let Some(guests) = &mut self.guests else { return };
        if guests.is_no_guest(conn)
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.until = now + CONN_FIRST_PACKET;
            self.deadlines.set(Timer::Conn(conn), Some(entry.until), &mut entry.scheduled);
        }
    }

    /// A first handshake message was answered: its client gets as long to confirm it as the session does.
    pub(super) fn note_handshake(&mut self, now: Tick, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.until = entry.until.max(now + UNCONFIRMED_FOR);
    }

    /// A valid packet of this session came on the connection.
    pub(super) fn note_valid_packet(&mut self, now: Tick, conn: ConnId, session: Slot) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.until = now + CONN_IDLE;
        entry.session = Some(session);
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

    /// Closes a connection from our side.
    pub(super) fn close_conn(&mut self, now: Tick, conn: ConnId, out: &mut Out) {
        if let Some(gone) = self.conns.forget(conn) {
            out.effects.push(Effect::Close(Path::Tcp(conn)));
            if let Some(guests) = &mut self.guests {
                guests.handle_closed(conn);
            }
            if let Some(slot) = gone.session {
                self.leave_path(now, slot, Path::Tcp(conn));
            }
        }
    }
}
