//! Limit of open files: each connection of a relay needs one.

use crate::base::Phrase;

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a relay has open in addition to its connections. These are the standard streams,
/// sockets, its lock and database, and those of the loop, of a signal and of operator commands.
const FILES_BESIDE: u64 = 32;

/// Returns how many files a relay with `conns` connections may have open.
pub(super) const fn promised(conns: usize) -> u64 {
    (conns as u64).saturating_add(FILES_BESIDE)
}

/// Raises the process's limit as far as the system allows. Returns a warning if it is below
/// `promised`: connections above it are not accepted until others have closed.
pub(super) fn raise_limit(promised: u64) -> Option<Phrase> {
    let allowed = raised(promised)?;
    let short = Phrase::new("relay-few-files").with("files", allowed).with("promised", promised);
    (allowed < promised).then_some(short)
}

/// Returns the limit after raising it; `None` if there is no limit.
#[cfg(unix)]
fn raised(promised: u64) -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let soft = before.current?;
    // Some systems have another limit below a hard limit of infinity.
    for wanted in [before.maximum.unwrap_or(promised), promised] {
        let limit = Rlimit { current: Some(wanted), maximum: before.maximum };
        if wanted > soft && setrlimit(Resource::Nofile, limit).is_ok() {
            return Some(wanted);
        }
    }
    Some(soft)
}

#[cfg(not(unix))]
fn raised(_promised: u64) -> Option<u64> {
    None
}
