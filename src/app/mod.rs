//! Floor 7: cores, store, net and faces joined into processes: the relay, and what a member does.
//!
//! Everything here runs on one thread, the loop's: it waits, turns the core, carries out what came of it, and hands
//! events to a face. Other threads (store, keyboard, printer, address-book watcher, resolver, lines to other processes)
//! speak to it through an inlet.
//!
//! It must not know: how arguments are written, byte layouts.
//! Invariant: standard output carries results only; everything else is a [`Phrase`] said on standard error.
//!
//! Files: `server` (one running relay) and on it `relay` (`files`: how many it may open); `desk`
//! (one running client: its own, or another process's of the same member) and on it `send`,
//! `listen`, `chat` (each with a `printer`), `ping`; `reception` (both in one window); `members`
//! and `operators` (who may use a relay); `history` and `forget`; `setup` (address book, name,
//! folders); `contacts`, `trust`; `join` (with `question`) and `reach` (first contact, from both ends); `demo` and
//! `bench`; `outcome`.

mod bench;
mod chat;
mod contacts;
mod demo;
mod desk;
mod files;
mod forget;
mod history;
mod join;
mod listen;
mod members;
mod operators;
mod outcome;
mod ping;
mod printer;
mod question;
mod reach;
mod reception;
mod relay;
mod send;
mod server;
mod setup;
mod trust;

pub use bench::{
    BenchMode, BenchOptions, BenchServer, IDLE_MAX, IdleOptions, SIZE_MIN as BENCH_SIZE_MIN, bench,
    bench_idle,
};
pub use chat::chat;
pub use contacts::{ContactsAction, NewContact, contacts};
pub use demo::demo;
pub use forget::{ForgetOptions, forget};
pub use history::{HistoryOptions, history};
pub use join::join;
pub use listen::{ListenOptions, listen};
pub use members::{MembersAction, members};
pub use outcome::{Failure, Outcome, Status};
pub use ping::{PingOptions, ping};
pub use relay::{GuestOptions, RelayOptions, relay};
pub use send::{SendOptions, TextSource, send};
pub use server::{RelayServer, ServerNews};
pub use setup::Setup;
pub use trust::trust;

use crate::base::Phrase;
use crate::ui::Strings;
use crate::ui::terminal::{Written, write_err, write_out};

/// Says a sentence on standard error. That nobody listens there is no failure.
pub fn say(strings: &Strings, phrase: &Phrase) {
    let _ = write_err(&format!("{}\n", strings.say(phrase)));
}

/// Prints one line of results.
///
/// # Errors
/// [`Failure`] if standard output cannot be written. A reader that has gone away ends the command with success: that is
/// `Ok(Written::Closed)`.
pub fn print(line: &str) -> Result<Written, Failure> {
    write_out(&format!("{line}\n")).map_err(|why| Phrase::new("output-failed").with("cause", why).into())
}
