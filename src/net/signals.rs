//! Signals as events of the same poll.

use std::fs;
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
    /// Catches the signals that this process does not ignore ([`not_ignored`]).
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Signals> {
        let mut signals = v1_0::Signals::new(not_ignored(&[SIGINT, SIGTERM, SIGHUP]))?;
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

/// Returns those of `signals` that this process does not ignore.
///
/// A parent that starts a process with a signal ignored wants it to survive that signal: `nohup`
/// ignores SIGHUP, and a shell script ignores SIGINT for its background jobs. Catching it would end
/// the process after all. Systems other than Linux do not report it. Every signal is caught there.
pub fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = ignored_mask(&status);
    signals.iter().copied().filter(|signal| mask >> (signal - 1) & 1 == 0).collect()
}

/// Returns the field `SigIgn` of `/proc/PID/status` (proc_pid_status(5)): bit N-1 is signal N.
fn ignored_mask(status: &str) -> u64 {
    let field = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    field.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_status_file() {
        let status = "Name:\tqueqiao\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\nSigCgt:\t2\n";
        // SIGHUP and SIGPIPE.
        assert_eq!(ignored_mask(status), 1 << (SIGHUP - 1) | 1 << 12);
        for unknown in ["", "SigIgn:\n", "SigIgn:\txyz\n"] {
            assert_eq!(ignored_mask(unknown), 0, "{unknown:?}");
        }
    }
}
