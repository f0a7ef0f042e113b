//! Addresses of a host for one carrier. Each round begins with another one until one has answered.

use std::net::SocketAddr;

use crate::base::{Effect, HostPort, Outputs};

use super::super::api::{Event, Record};

/// The addresses, and which of them are next.
#[derive(Debug, Default)]
pub(in crate::client) struct Addresses {
    /// `None` during the look-up.
    addrs: Option<Vec<SocketAddr>>,
    /// Position of the address that a round begins with.
    first: usize,
    /// Addresses tried in this round.
    tried: usize,
}

impl Addresses {
    /// Begins a round, with these addresses if they are known.
    pub(super) fn begin(&mut self, addrs: Option<Vec<SocketAddr>>) {
        self.addrs = addrs;
        self.tried = 0;
    }

    pub(super) fn set(&mut self, addrs: &[SocketAddr]) {
        self.addrs = Some(addrs.to_vec());
    }

    pub(super) const fn are_known(&self) -> bool {
        self.addrs.is_some()
    }

    /// Returns all known addresses in the order of the look-up.
    pub(in crate::client) fn all(&self) -> &[SocketAddr] {
        self.addrs.as_deref().unwrap_or_default()
    }

    /// Returns all known addresses in the order of attempts.
    pub(super) fn in_turn(&self) -> Vec<SocketAddr> {
        (0..self.all().len()).filter_map(|offset| self.at(offset)).collect()
    }

    /// Returns the address `offset` places after the first; wraps around.
    pub(in crate::client) fn at(&self, offset: usize) -> Option<SocketAddr> {
        let addrs = self.all();
        addrs.get(self.first.wrapping_add(offset) % addrs.len().max(1)).copied()
    }

    /// Returns the next address to try; wraps around.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        let offset = if self.has_more() { self.tried } else { 0 };
        self.tried = offset + 1;
        self.at(offset)
    }

    /// Begins the round with the address `offset` places after the first, which is being tried
    /// already.
    pub(super) fn take(&mut self, offset: usize) {
        self.first = self.first.wrapping_add(offset);
        self.tried = 1;
    }

    /// Whether an address has not been tried in this round.
    pub(super) fn has_more(&self) -> bool {
        self.tried < self.all().len()
    }

    /// Lets the next round begin with the next address.
    pub(super) fn handle_failed_round(&mut self) {
        self.first = self.first.wrapping_add(1);
    }

    /// Lets the next round begin with `addr`, where the relay has answered.
    pub(super) fn handle_answer(&mut self, addr: SocketAddr) {
        if let Some(index) = self.all().iter().position(|addrs| *addrs == addr) {
            self.first = index;
        }
    }
}

/// Returns a host's addresses if it is a literal address; otherwise requests a look-up.
pub(super) fn look_up(host: &HostPort, out: &mut Outputs<Record, Event>) -> Option<Vec<SocketAddr>> {
    let addrs = host.as_socket_addr().map(|addr| vec![addr]);
    if addrs.is_none() {
        out.effects.push(Effect::LookUp(host.clone()));
    }
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn rounds_begin_with_next_address_until_one_answers() {
        let known = vec![addr(0), addr(1), addr(2)];
        let mut addresses = Addresses::default();
        let mut firsts = Vec::new();
        for _ in 0..4 {
            addresses.begin(Some(known.clone()));
            firsts.push(addresses.in_turn()[0]);
            let next = || addresses.has_more().then(|| addresses.next().unwrap());
            let taken: Vec<_> = std::iter::from_fn(next).collect();
            assert_eq!(taken, addresses.in_turn());
            assert_eq!(addresses.next(), addresses.at(0), "after the last the first");
            addresses.handle_failed_round();
        }
        assert_eq!(firsts, [addr(0), addr(1), addr(2), addr(0)]);
        addresses.handle_answer(addr(2));
        addresses.begin(Some(known));
        assert_eq!(addresses.next(), Some(addr(2)));
        addresses.take(1);
        assert_eq!(addresses.next(), Some(addr(1)));
    }

    #[test]
    fn host_without_addresses_yields_none() {
        let mut addresses = Addresses::default();
        assert!(!addresses.are_known() && !addresses.has_more());
        assert_eq!(addresses.next(), None);
        assert!(addresses.in_turn().is_empty());
        addresses.set(&[]);
        assert!(addresses.are_known());
        assert_eq!(addresses.next(), None);
    }
}
