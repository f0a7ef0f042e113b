//! Signals as events of the same poll.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0;

/// A signal to the process, from the system or the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: the user pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: the process should end cleanly.
    Terminate,
    /// SIGHUP: the terminal is gone, or a daemon should read its configuration again.
    HangUp,
}

/// Catches the signals until dropped.
pub(super) struct Signals(v1_0::Signals);

impl Signals {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Signals> {
        let mut signals = v1_0::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Signals(signals))
    }

    /// Returns the signals received since the last call, each once.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = Signal> + '_ {
        self.0.pending().filter_map(|number| match number {
            SIGINT => Some(Signal::Interrupt),
            SIGTERM => Some(Signal::Terminate),
            SIGHUP => Some(Signal::HangUp),
            _ => None,
        })
    }
}
