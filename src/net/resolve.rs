//! Host look-ups on separate threads.

use std::collections::{BTreeSet, VecDeque};
use std::thread;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use super::loop_handle::{Answer, LoopHandle};
use crate::base::HostPort;

/// Maximum concurrent look-ups, each on its own thread: the system's resolver blocks for up to 30
/// s.
const RUNNING_MAX: usize = 8;
/// Maximum look-ups waiting for a thread. Further ones are answered at once, as if no name server
/// had answered.
const WAITING_MAX: usize = 256;
/// Maximum addresses taken from one answer: more than any relay has.
const ADDRS_MAX: usize = 16;

/// Running and waiting look-ups. A host is looked up once, however often it is requested in the
/// meantime.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    running: BTreeSet<HostPort>,
    waiting: VecDeque<HostPort>,
}

impl Resolver {
    /// Starts or queues a look-up, whose result comes through the input queue. Returns the result
    /// at once if no look-up is needed or possible.
    pub(super) fn resolve<C: Send + 'static>(
        &mut self,
        host: HostPort,
        loop_handle: &LoopHandle<C>,
    ) -> Option<(HostPort, Answer)> {
        if let Some(addr) = host.as_socket_addr() {
            return Some((host, Some(vec![addr])));
        }
        if self.running.contains(&host) || self.waiting.contains(&host) {
            return None;
        }
        if self.running.len() < RUNNING_MAX {
            return self.start(host, loop_handle);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(host);
            return None;
        }
        Some((host, None))
    }

    /// Records that a look-up has finished, and starts the next one.
    pub(super) fn handle_answer<C: Send + 'static>(&mut self, host: &HostPort, loop_handle: &LoopHandle<C>) {
        self.running.remove(host);
        if let Some(next) = self.waiting.pop_front()
            && let Some((host, answer)) = self.start(next, loop_handle)
        {
            loop_handle.resolved(host, answer);
        }
    }

    fn start<C: Send + 'static>(
        &mut self,
        host: HostPort,
        loop_handle: &LoopHandle<C>,
    ) -> Option<(HostPort, Answer)> {
        let looked_up = host.clone();
        let loop_handle = loop_handle.clone();
        let thread = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            let answer = look_up(&looked_up);
            loop_handle.resolved(looked_up, answer);
        });
        if thread.is_err() {
            return Some((host, None));
        }
        self.running.insert(host);
        None
    }
}

fn look_up(host: &HostPort) -> Answer {
    // One kind of socket, because otherwise each address comes once for each kind.
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    match getaddrinfo(Some(host.host()), Some(&host.port().to_string()), Some(hints)) {
        Ok(infos) => Some(infos.filter_map(Result::ok).map(|info| info.sockaddr).take(ADDRS_MAX).collect()),
        Err(error) => {
            log::debug!("no address of {host}: {error:?}");
            let is_unknown = matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData);
            is_unknown.then(Vec::new)
        }
    }
}
