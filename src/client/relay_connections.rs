//! All relay connections of a client, with the time at which each is due.
//!
//! A turn visits only those that are due or were touched: with thousands of relays nearly all are
//! idle.
//!
//! Invariant: every method that returns an [`RelayConnection`] for modification touches it.

use std::collections::BTreeMap;

use crate::base::{HostPort, Tick};

use super::api::Carriers;
use super::relay_connection::RelayConnection;

/// Relay connections by address. Slots of removed relays are reused.
#[derive(Default)]
pub(super) struct RelayConnections {
    by_addr: BTreeMap<HostPort, usize>,
    all: Vec<ConnectionSlot>,
    /// Slots touched in this turn, each once, in the order of touching.
    touched: Vec<usize>,
    vacant: Vec<usize>,
}

#[derive(Default)]
struct ConnectionSlot {
    connection: Option<RelayConnection>,
    /// Next deadline, as of the last turn in which it was touched.
    next_deadline: Option<Tick>,
    is_touched: bool,
}

impl RelayConnections {
    pub(super) fn get(&self, relay: &HostPort) -> Option<&RelayConnection> {
        self.all[*self.by_addr.get(relay)?].connection.as_ref()
    }

    /// Returns a relay's connection for modification, and touches it.
    pub(super) fn get_mut(&mut self, relay: &HostPort) -> Option<&mut RelayConnection> {
        let at = *self.by_addr.get(relay)?;
        self.touch(at);
        self.all[at].connection.as_mut()
    }

    pub(super) fn insert(&mut self, relay: HostPort, connection: RelayConnection) {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.all.push(ConnectionSlot::default());
            self.all.len() - 1
        });
        self.all[at].connection = Some(connection);
        self.by_addr.insert(relay, at);
        self.touch(at);
    }

    pub(super) fn remove(&mut self, relay: &HostPort) -> Option<RelayConnection> {
        let at = self.by_addr.remove(relay)?;
        self.vacant.push(at);
        self.all[at].next_deadline = None;
        self.all[at].connection.take()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &HostPort> {
        self.by_addr.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &RelayConnection> {
        self.all.iter().filter_map(|slot| slot.connection.as_ref())
    }

    /// Calls `change` for every relay connection.
    pub(super) fn each(&mut self, change: impl FnMut(&mut RelayConnection)) {
        self.each_of(|_| true, change);
    }

    /// Calls `change` for every relay connection selected by `about`; the others are not touched.
    /// Returns whether there was one.
    pub(super) fn each_of(
        &mut self,
        about: impl Fn(&RelayConnection) -> bool,
        mut change: impl FnMut(&mut RelayConnection),
    ) -> bool {
        let mut any = false;
        for at in 0..self.all.len() {
            if self.all[at].connection.as_ref().is_some_and(&about) {
                any = true;
                self.touch(at);
                self.all[at].connection.iter_mut().for_each(&mut change);
            }
        }
        any
    }

    /// Calls `change` for every relay connection that is due.
    pub(super) fn each_due(&mut self, now: Tick, mut change: impl FnMut(&mut RelayConnection)) {
        for at in 0..self.all.len() {
            if self.all[at].next_deadline.is_some_and(|deadline| deadline <= now) {
                self.touch(at);
                self.all[at].connection.iter_mut().for_each(&mut change);
            }
        }
    }

    /// Ends a turn: calls `finish` for every touched relay connection and updates its deadline.
    pub(super) fn finish(
        &mut self,
        now: Tick,
        carriers: Carriers,
        mut finish: impl FnMut(&mut RelayConnection),
    ) {
        for at in self.touched.drain(..) {
            let slot = &mut self.all[at];
            slot.is_touched = false;
            slot.connection.iter_mut().for_each(&mut finish);
            slot.next_deadline =
                slot.connection.as_ref().and_then(|connection| connection.next_deadline(now, carriers));
        }
    }

    /// Returns the earliest deadline of all relay connections.
    pub(super) fn next_deadline(&self, now: Tick, carriers: Carriers) -> Option<Tick> {
        let deadline_of = |slot: &ConnectionSlot| match &slot.connection {
            Some(connection) if slot.is_touched => connection.next_deadline(now, carriers),
            _ => slot.next_deadline,
        };
        self.all.iter().filter_map(deadline_of).min()
    }

    fn touch(&mut self, at: usize) {
        if !std::mem::replace(&mut self.all[at].is_touched, true) {
            self.touched.push(at);
        }
    }
}
