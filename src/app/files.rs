//! How many files the system lets a relay open: a connection is one of them.

use crate::base::Phrase;

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files a relay has open besides its connections: standard ones, sockets, its lock and database,
/// the loop's own, a signal's, and those of the operator's commands.
const FILES_BESIDE: u64 = 32;

/// Number of files that a relay with this many connections at once may have open.
pub(super) const fn promised(conns: usize) -> u64 {
    (conns as u64).saturating_add(FILES_BESIDE)
}

/// Raises the process's own bound as far as the system allows. What there is to say where that is
/// less than was promised: connections above it are not accepted until others have gone.
pub(super) fn raise_limit(promised: u64) -> Option<Phrase> {
    let allowed = raised(promised)?;
    let short = Phrase::new("relay-few-files").with("files", allowed).with("promised", promised);
    (allowed < promised).then_some(short)
}

/// The bound after raising it; `None` if there is no bound.
#[cfg(unix)]
fn raised(promised: u64) -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let soft = before.current?;
    // Some systems have a bound of their own below a hard one of "as many as you like".
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
