//! State shared by all sources of input.

use std::collections::VecDeque;
use std::net::SocketAddr;

use mio::{Poll, Registry, Token};

use super::FIRST_UDP;
use super::clock::SystemClock;
use super::poll_group::PollGroupToken;
use super::ready_queue::ReadyQueue;
use super::stats::{LogKind, LogLimiter, Stats};
use crate::base::{Input, Path, PathError};

/// Maximum send errors reported in one turn. They are hints, and a flood of ICMP must not become a
/// flood of inputs.
const REFUSALS_MAX: usize = 64;

pub(super) struct NetContext<C> {
    pub(super) poll: Poll,
    pub(super) clock: SystemClock,
    /// Sources that may have input.
    pub(super) ready: ReadyQueue,
    /// Inputs that already happened and wait for the core: a few for each connection, and
    /// [`REFUSALS_MAX`].
    pub(super) inputs: VecDeque<Input<'static, C>>,
    pub(super) stats: Stats,
    log_limiter: LogLimiter,
    refusals: usize,
    /// Whether datagrams and records wait for [`Net::release`](super::Net::release).
    pub(super) holds: bool,
    pub(super) group_token: Option<PollGroupToken>,
}

impl<C> NetContext<C> {
    pub(super) fn new(poll: Poll) -> NetContext<C> {
        NetContext {
            poll,
            clock: SystemClock::new(),
            ready: ReadyQueue::default(),
            inputs: VecDeque::new(),
            stats: Stats::default(),
            log_limiter: LogLimiter::default(),
            refusals: 0,
            holds: false,
            group_token: None,
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Returns where the UDP socket with this index is registered, and its token. In a group that
    /// is the group's poll.
    pub(super) fn udp_registration(&self, index: usize) -> (&Registry, Token) {
        let alone = (self.registry(), Token(FIRST_UDP + index));
        self.group_token.as_ref().map_or(alone, |group_token| group_token.registration_of(index))
    }

    pub(super) fn begin_turn(&mut self) {
        self.refusals = 0;
    }

    /// Reports a send error to the core, once for each run of errors of one peer.
    pub(super) fn refuse(&mut self, dest: SocketAddr, error: PathError) {
        self.stats.count_refused(error);
        self.log(LogKind::Send, || format!("sending to {dest} failed: {error:?}"));
        let path = Path::Udp(dest);
        let is_repeated = matches!(self.inputs.back(), Some(Input::SendRefused(last, _)) if *last == path);
        if !is_repeated && self.refusals < REFUSALS_MAX {
            self.refusals += 1;
            self.inputs.push_back(Input::SendRefused(path, error));
        }
    }

    /// Logs an event of the network, at most ten lines of a kind in a second.
    pub(super) fn log(&mut self, kind: LogKind, text: impl FnOnce() -> String) {
        if log::log_enabled!(log::Level::Debug) && self.log_limiter.may_log(kind, self.clock.tick()) {
            log::debug!("{}", text());
        }
    }
}
