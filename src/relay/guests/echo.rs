//! `echo`: returns a guest's text in upper case, at its own length.
//!
//! An answer of another relay's `echo` looks like text, so one forged datagram could make two
//! relays answer each other forever. Echoing does not change an answer, so unchanged texts have a
//! separate limit.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Path, Rate, Rng, Tick};
use crate::relay::Out;

use super::byte_budgets::ByteBudgets;
use super::text::Charset;

/// Interval and burst of texts of one address that are returned unchanged.
///
/// A person writing Chinese is not faster. Two relays stop after 128 datagrams, unless the path
/// between them takes half a second, and each further forged datagram causes two.
const UNCHANGED_RATE: Rate = Rate::new(Duration::from_secs(1), 64);

/// The limits of what `echo` answers over UDP.
#[derive(Debug)]
pub(super) struct Echoes {
    unchanged: ByteBudgets,
}

impl Echoes {
    pub(super) fn new(rng: &mut Rng) -> Echoes {
        Echoes { unchanged: ByteBudgets::new(rng, UNCHANGED_RATE) }
    }

    /// Whether a text from `from` is answered.
    pub(super) fn admit(&mut self, now: Tick, from: SocketAddr, charset: Charset, text: &[u8]) -> bool {
        !charset.is_upper(text) || self.unchanged.admit(now, from)
    }
}

/// Sends a text back in upper case, at its own length.
pub(super) fn echo(path: Path, charset: Charset, text: &[u8], out: &mut Out) {
    out.send_with(path, |bytes| {
        let start = bytes.len();
        bytes.extend_from_slice(text);
        charset.make_upper(&mut bytes[start..]);
    });
}
