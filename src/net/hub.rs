//! State shared by all sources of input.

use std::collections::VecDeque;
use std::net::SocketAddr;

use mio::{Poll, Registry, Token};

use super::FIRST_UDP;
use super::clock::Clock;
use super::group::Membership;
use super::ready::Ready;
use super::stats::{Limiter, Line, Stats};
use crate::base::{Input, Path, Why};

/// Maximum send errors reported in one turn. They are hints, and a flood of ICMP must not become a
/// flood of inputs.
const REFUSALS_MAX: usize = 64;

pub(super) struct Hub<C> {
    pub(super) poll: Poll,
    pub(super) clock: Clock,
    /// Sources that may have input.
    pub(super) ready: Ready,
    /// Inputs that already happened and wait for the core: a few for each connection, and
    /// [`REFUSALS_MAX`].
    pub(super) told: VecDeque<Input<'static, C>>,
    pub(super) stats: Stats,
    limiter: Limiter,
    refusals: usize,
    /// Whether datagrams and records wait for [`Net::release`](super::Net::release).
    pub(super) holds: bool,
    pub(super) membership: Option<Membership>,
}

impl<C> Hub<C> {
    pub(super) fn new(poll: Poll) -> Hub<C> {
        Hub {
            poll,
            clock: Clock::new(),
            ready: Ready::default(),
            told: VecDeque::new(),
            stats: Stats::default(),
            limiter: Limiter::default(),
            refusals: 0,
            holds: false,
            membership: None,
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Returns where the UDP socket with this index is registered, and its token. In a group that
    /// is the group's poll.
    pub(super) fn udp_place(&self, index: usize) -> (&Registry, Token) {
        let alone = (self.registry(), Token(FIRST_UDP + index));
        self.membership.as_ref().map_or(alone, |membership| membership.place_of(index))
    }

    pub(super) fn begin_turn(&mut self) {
        self.refusals = 0;
    }

    /// Reports a send error to the core, once for each run of errors of one peer.
    pub(super) fn refuse(&mut self, dest: SocketAddr, why: Why) {
        self.stats.count_refused(why);
        self.log(Line::Send, || format!("sending to {dest} failed: {why:?}"));
        let path = Path::Udp(dest);
        let told = matches!(self.told.back(), Some(Input::SendRefused(last, _)) if *last == path);
        if !told && self.refusals < REFUSALS_MAX {
            self.refusals += 1;
            self.told.push_back(Input::SendRefused(path, why));
        }
    }

    /// Logs an event of the network, at most ten lines of a kind in a second.
    pub(super) fn log(&mut self, line: Line, text: impl FnOnce() -> String) {
        if log::log_enabled!(log::Level::Debug) && self.limiter.may(line, self.clock.tick()) {
            log::debug!("{}", text());
        }
    }
}
