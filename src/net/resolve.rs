//! Host look-ups off the loop.

use std::collections::{BTreeSet, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use super::inlet::Inlet;
use crate::base::HostPort;

/// Look-ups that run at once, each in a thread of its own: the system's resolver blocks, for up to half a minute.
const RUNNING_MAX: usize = 8;
/// Look-ups that wait for one of these; more are answered with no address at once.
const WAITING_MAX: usize = 256;
/// Addresses taken from one answer: more than any relay has.
const ADDRS_MAX: usize = 16;

/// Which look-ups run and which wait. One host is looked up once however often it is asked for meanwhile.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    running: BTreeSet<HostPort>,
    waiting: VecDeque<HostPort>,
}

impl Resolver {
    /// Starts or queues a look-up; the answer comes through the inlet, or at once if there is nothing to ask.
    pub(super) fn ask<C: Send + 'static>(
        &mut self,
        host: HostPort,
        inlet: &Inlet<C>,
    ) -> Option<(HostPort, Vec<SocketAddr>)> {
        if let Some(addr) = host.as_socket_addr() {
            return Some((host, vec![addr]));
        }
        if self.running.contains(&host) || self.waiting.contains(&host) {
            return None;
        }
        if self.running.len() < RUNNING_MAX {
            return self.start(host, inlet);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(host);
            return None;
        }
        Some((host, Vec::new()))
    }

    /// Notes that an answer has come and starts the next look-up.
    pub(super) fn answered<C: Send + 'static>(&mut self, host: &HostPort, inlet: &Inlet<C>) {
        self.running.remove(host);
        if let Some(next) = self.waiting.pop_front()
            && let Some((host, addrs)) = self.start(next, inlet)
        {
            inlet.resolved(host, addrs);
        }
    }

    fn start<C: Send + 'static>(
        &mut self,
        host: HostPort,
        inlet: &Inlet<C>,
    ) -> Option<(HostPort, Vec<SocketAddr>)> {
        let (asked, inlet) = (host.clone(), inlet.clone());
        let thread = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            let addrs = look_up(&asked);
            inlet.resolved(asked, addrs);
        });
        if thread.is_err() {
            return Some((host, Vec::new()));
        }
        self.running.insert(host);
        None
    }
}

fn look_up(host: &HostPort) -> Vec<SocketAddr> {
    match (host.host(), host.port()).to_socket_addrs() {
        Ok(addrs) => addrs.take(ADDRS_MAX).collect(),
        Err(error) => {
            log::debug!("no address of {host}: {error}");
            Vec::new()
        }
    }
}
