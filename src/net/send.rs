//! Carries out the effects of a turn, in order and in as few system calls as that allows.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::address_monitor::LOOK_EVERY;
use super::loop_handle::input_of;
use super::udp::{Dest, SendOutcome, why_refused};
use super::{FIRST_UDP, Net, Timer, UDP_PORTS_MAX, bind};
use crate::base::{ConnId, Effect, HostPort, Input, Outputs, Path, PathError};

/// Time limit for opening a connection. 10 s: TCP itself would try for minutes.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum datagrams of one `sendmmsg`. The first few of a batch bring most of the gain.
pub(super) const MMSG_LEN_MAX: usize = 32;

/// Adjacent datagrams gathered to be sent together. Kept for its buffer.
#[derive(Debug, Default)]
pub(super) struct TxBatch {
    gso: Option<GsoBatch>,
    /// Single datagrams to many peers, at most [`MMSG_LEN_MAX`].
    mmsg: Vec<(Dest, Range<usize>)>,
}

/// Adjacent datagrams to one peer (GSO). All have the same length; only the last may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GsoBatch {
    dest: Dest,
    range: Range<usize>,
    segment: usize,
    len: usize,
}

impl GsoBatch {
    fn new(dest: Dest, range: Range<usize>) -> GsoBatch {
        let segment = range.len();
        GsoBatch { dest, range, segment, len: 1 }
    }

    /// Adds one more datagram if it fits. Returns whether it did.
    fn extend(&mut self, dest: Dest, range: &Range<usize>, len_max: usize) -> bool {
        let last_is_full = self.range.len() == self.len * self.segment;
        let fits = dest == self.dest
            && range.start == self.range.end
            && range.len() <= self.segment
            && last_is_full
            && self.len < len_max;
        if fits {
            self.range.end = range.end;
            self.len += 1;
        }
        fits
    }
}

impl<C: Send + 'static> Net<C> {
    /// Carries out every effect in order and clears `out`. Effects of other layers
    /// ([`Effect::Persist`], [`Effect::Load`] and [`Effect::Show`]) go to `other`.
    ///
    /// Adjacent UDP packets of one length for one peer leave as one GSO batch. Single packets for
    /// many peers leave in one `sendmmsg` (Linux). The TCP packets of a turn leave in one write for
    /// each connection.
    pub fn carry_out<R, E>(&mut self, out: &mut Outputs<R, E>, mut other: impl FnMut(Effect<R, E>)) {
        let Outputs { bytes, effects } = out;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(Path::Tcp(id), range) => self.conns.queue(id, &bytes[range], &mut self.ctx),
                Effect::Send(path, range) => {
                    if let Some(dest) = Dest::of(path) {
                        self.add_to_batch(dest, range, bytes);
                    }
                }
                effect => {
                    self.flush_batch(bytes);
                    match effect {
                        Effect::OpenTcp(id, remote) => self.open_tcp(id, remote),
                        Effect::Close(Path::Tcp(id)) => self.conns.close(id, &mut self.ctx),
                        Effect::LookUp(host) => self.look_up(host),
                        Effect::Send(..) | Effect::Close(Path::Udp(_) | Path::UdpAt(_)) => {}
                        effect @ (Effect::Persist(..) | Effect::Load(..) | Effect::Show(_)) => other(effect),
                    }
                }
            }
        }
        self.flush_batch(bytes);
        if !self.ctx.holds {
            self.conns.write_all(&mut self.ctx);
        }
        out.clear();
    }

    pub(super) fn flush_udp(&mut self, index: usize) {
        if let Some(port) = self.udp.get_mut(index) {
            let mut refusals = Vec::new();
            port.flush(self.ctx.udp_registration(index).0, |dest, error| refusals.push((dest, error)));
            refusals.into_iter().for_each(|(dest, error)| self.ctx.refuse(dest, error));
        }
    }

    /// Watches the route to a peer if the configuration asks for route changes.
    fn watch_address(&mut self, peer: SocketAddr) {
        if self.on_network_change.is_some() && self.address_monitor.watch(peer) {
            self.timers.insert((self.ctx.clock.tick() + LOOK_EVERY, Timer::CheckAddresses));
        }
    }

    fn add_to_batch(&mut self, dest: Dest, range: Range<usize>, bytes: &[u8]) {
        self.watch_address(dest.addr);
        let port = self.port_for(dest).map_or_else(|| self.port_on_demand(dest.addr), Ok);
        let index = match port {
            Ok(index) => index,
            Err(error) => return self.ctx.refuse(dest.addr, error),
        };
        let len_max = self.udp[index].gso_len_max();
        let gso = &mut self.tx_batch.gso;
        if !gso.as_mut().is_some_and(|gso| gso.extend(dest, &range, len_max)) {
            let before = gso.replace(GsoBatch::new(dest, range));
            self.flush_gso(before, bytes);
        }
    }

    fn flush_batch(&mut self, bytes: &[u8]) {
        let gso = self.tx_batch.gso.take();
        self.flush_gso(gso, bytes);
        self.flush_mmsg(bytes);
    }

    fn flush_gso(&mut self, gso: Option<GsoBatch>, bytes: &[u8]) {
        match gso {
            None => {}
            Some(GsoBatch { dest, range, len: 1, .. }) => {
                self.tx_batch.mmsg.push((dest, range));
                if self.tx_batch.mmsg.len() >= MMSG_LEN_MAX {
                    self.flush_mmsg(bytes);
                }
            }
            Some(GsoBatch { dest, range, segment, len }) => {
                self.flush_mmsg(bytes);
                self.ctx.stats.batches_out += 1;
                self.send_udp(dest, &bytes[range], segment, len);
            }
        }
    }

    fn flush_mmsg(&mut self, bytes: &[u8]) {
        let mut mmsg = std::mem::take(&mut self.tx_batch.mmsg);
        let mut done = 0;
        while done < mmsg.len() {
            done += self.send_mmsg(&mmsg[done..], bytes);
            if let Some((dest, range)) = mmsg.get(done).cloned() {
                let len = range.len();
                self.send_udp(dest, &bytes[range], len, 1);
                done += 1;
            }
        }
        mmsg.clear();
        self.tx_batch.mmsg = mmsg;
    }

    /// Sends these datagrams together as far as they leave from one local address. Returns how many
    /// left; the next one must be sent alone.
    #[cfg(target_os = "linux")]
    fn send_mmsg(&mut self, mmsg: &[(Dest, Range<usize>)], bytes: &[u8]) -> usize {
        let Some((first, _)) = mmsg.first().filter(|_| mmsg.len() > 1) else {
            return 0;
        };
        let Some(index) = self.port_for(*first) else {
            return 0;
        };
        let fits = |dest: &Dest| dest.from == first.from && self.port_for(*dest) == Some(index);
        let same = mmsg.iter().take_while(|(dest, _)| fits(dest)).count();
        let sent = self.udp[index].send_mmsg(bytes, &mmsg[..same]);
        self.ctx.stats.batches_out += u64::from(sent > 0);
        self.ctx.stats.datagrams_out += sent as u64;
        sent
    }

    #[cfg(not(target_os = "linux"))]
    fn send_mmsg(&mut self, _: &[(Dest, Range<usize>)], _: &[u8]) -> usize {
        0
    }

    fn send_udp(&mut self, dest: Dest, bytes: &[u8], segment: usize, len: usize) {
        let Some(index) = self.port_for(dest) else {
            return;
        };
        match self.udp[index].send(dest, bytes, segment, self.ctx.udp_registration(index).0) {
            SendOutcome::Accepted => self.ctx.stats.datagrams_out += len as u64,
            SendOutcome::Dropped => self.ctx.stats.sends_dropped += len as u64,
            SendOutcome::Refused(error) => self.ctx.refuse(dest.addr, error),
        }
    }

    fn port_for(&self, dest: Dest) -> Option<usize> {
        let source = self.udp.iter().position(|port| port.is_source_of(dest));
        source.or_else(|| self.udp.iter().position(|port| port.reaches(dest.addr)))
    }

    fn port_on_demand(&mut self, dest: SocketAddr) -> Result<usize, PathError> {
        if !self.udp_on_demand || self.udp.len() >= UDP_PORTS_MAX {
            return Err(PathError::Unreachable);
        }
        let socket = bind::bind_udp(bind::any_addr_towards(dest)).map_err(|error| why_refused(&error))?;
        let index = self.add_udp(socket).map_err(|error| why_refused(&error))?;
        self.ctx.ready.push(mio::Token(FIRST_UDP + index));
        Ok(index)
    }

    fn open_tcp(&mut self, id: ConnId, remote: SocketAddr) {
        self.watch_address(remote);
        let until = self.ctx.clock.tick() + OPEN_TIMEOUT;
        match self.conns.open(id, remote, until, &mut self.ctx) {
            Ok(slot) => {
                self.timers.insert((until, Timer::GiveUp(slot)));
            }
            Err(error) => self.ctx.inputs.push_back(Input::PathClosed(Path::Tcp(id), error)),
        }
    }

    fn look_up(&mut self, host: HostPort) {
        if let Some((host, answer)) = self.resolver.resolve(host, &self.loop_handle) {
            self.ctx.inputs.push_back(input_of(host, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gso_batch_has_one_peer_one_length_and_adjacent_bytes() {
        let dest = |addr: &str, from: Option<&str>| Dest {
            addr: addr.parse().unwrap(),
            from: from.map(|from| from.parse().unwrap()),
        };
        let a = dest("192.0.2.1:1", None);
        let b = dest("192.0.2.2:1", None);
        let full = || {
            let mut gso = GsoBatch::new(a, 0..1200);
            assert!(gso.extend(a, &(1200..2400), 54));
            gso
        };
        assert!(full().extend(a, &(2400..3600), 54));
        assert!(!full().extend(a, &(2400..3600), 2), "longer than the device can split");
        assert!(!full().extend(b, &(2400..3600), 54), "another peer");
        assert!(
            !full().extend(dest("192.0.2.1:1", Some("192.0.2.9")), &(2400..3600), 54),
            "from another local address"
        );
        assert!(!full().extend(a, &(2401..3601), 54), "not adjacent");
        assert!(!full().extend(a, &(2400..3601), 54), "longer than the first");
        let mut ended = full();
        assert!(ended.extend(a, &(2400..2500), 54), "the last may be shorter");
        assert!(!ended.extend(a, &(2500..2600), 54), "nothing follows a shorter one");
    }
}
