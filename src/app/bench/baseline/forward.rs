//! The forwarding loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use rustix::net::SocketAddrAny;

use super::{BATCH_LEN, Batch, Many, REGISTER, bind, number_of, send};

/// Maximum peers; those with higher numbers are not registered.
pub(super) const PEERS_MAX: usize = 65_536;

/// Addresses of registered peers, by number.
#[derive(Default)]
struct Peers {
    addrs: Vec<Option<SocketAddrAny>>,
}

impl Peers {
    /// Returns the number of the peer that receives a datagram from `from`. A registration is
    /// echoed to its sender.
    fn route(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<usize> {
        let number = number_of(datagram)?;
        let place = (number & !REGISTER) as usize;
        if number & REGISTER != 0 && place < PEERS_MAX {
            if self.addrs.len() <= place {
                self.addrs.resize(place + 1, None);
            }
            self.addrs[place] = Some(from.into());
        }
        self.addrs.get(place)?.as_ref().map(|_| place)
    }
}

/// Moves datagrams between peers until the socket fails. Calls `ready` with the bound address.
pub(in super::super) fn forward(
    addr: SocketAddr,
    ready: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> io::Result<Infallible> {
    let socket = bind(addr)?;
    ready(socket.local_addr()?)?;
    let mut batch = Batch::new();
    let mut peers = Peers::default();
    let mut places: Vec<Option<usize>> = Vec::with_capacity(BATCH_LEN);
    loop {
        match batch.receive(&socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        places.clear();
        places.extend(batch.datagrams().map(|(from, datagram)| peers.route(from.into(), datagram)));
        let moved: Many<_> = batch
            .datagrams()
            .zip(&places)
            .filter_map(|((_, datagram), place)| Some((Some(peers.addrs[(*place)?].as_ref()?), datagram)))
            .collect();
        let mut done = 0;
        while done < moved.len() {
            // A datagram that cannot be sent is lost.
            done += send(&socket, &moved[done..]).map_or(1, |sent| sent.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_peers_receive_datagrams() {
        let mut peers = Peers::default();
        let a = "127.0.0.1:1".parse().unwrap();
        let b = "127.0.0.1:2".parse().unwrap();
        assert_eq!(peers.route(a, &[0, 0, 0, 7, 1, 2]), None);
        assert_eq!(peers.route(b, &[0x80, 0, 0, 7]), Some(7), "a registration is echoed");
        assert_eq!(peers.route(a, &[0, 0, 0, 7, 1, 2]), Some(7));
        assert_eq!(peers.addrs[7], Some(b.into()));
        assert_eq!(peers.route(a, &[0, 0, 0, 6]), None);
        assert_eq!(peers.route(a, &[0x80, 1, 0, 0]), None, "a number too high");
        assert_eq!(peers.route(a, &[0, 0, 7]), None, "no number");
    }
}
