//! Layer 7: joins cores, store, net and frontends into processes: the relay, and the commands of a
//! member.
//!
//! Everything runs on the event-loop thread: wait, run one turn of the core, apply its effects,
//! pass events to the frontend. Other threads (such as store, keyboard and printer) send input
//! through its input queue.
//!
//! Must not depend on: the syntax of arguments, byte layouts. Invariant: standard output carries
//! results only; everything else is a [`Phrase`](crate::base::Phrase) on standard error.

mod backup;
mod bench;
mod chat;
mod client_host;
mod contacts;
mod conversation;
mod demo;
mod files;
mod forget;
mod history;
mod join;
mod listen;
mod log_output;
mod members;
mod operator_log;
mod operator_requests;
mod outcome;
mod output_thread;
mod ping;
mod question;
mod relay;
mod relay_addresses;
mod relay_console;
mod relay_meter;
mod relay_request;
mod report;
mod send;
mod server;
mod setup;
mod trust;

pub use backup::BackupAction;
pub use bench::{
    BenchMode, BenchOptions, BenchServer, IDLE_MAX, IdleOptions, SIZE_MIN as BENCH_SIZE_MIN, bench,
    bench_idle,
};
pub use chat::chat;
pub use contacts::{ContactsAction, ContactsForm, NewContact, contacts};
pub use demo::demo;
pub use forget::{ForgetOptions, forget};
pub use history::{HistoryOptions, history};
pub use join::join;
pub use listen::{ListenOptions, listen};
pub use log_output::{LogOutput, OPERATOR};
pub use members::{MembersAction, members};
pub use outcome::{CommandResult, ExitStatus, Failure};
pub use ping::{PingOptions, ping};
pub use relay::{GuestOptions, RelayOptions, relay};
pub use relay_meter::{Counts, Flood, FloodKind, MeterReport, Totals};
pub use report::{print, say, say_line};
pub use send::{SendOptions, TextSource, send};
pub use server::{RelayServer, ServerNews};
pub use setup::Setup;
pub use trust::trust;

use std::collections::BTreeMap;
use std::path::Path;

pub use crate::net::{BindAddr, BindAddrError};
use crate::ui::Strings;

/// Backs up or restores the relay in the folder `data`.
///
/// # Errors
/// [`Failure`]: 74 if a disk fails or is full, 75 if the relay does not answer, otherwise 1.
pub fn backup(data: Option<&Path>, action: &BackupAction, strings: &Strings) -> CommandResult {
    let done = backup::run(data, action)?;
    say(strings, &done.notice);
    print(&done.line)?;
    Ok(ExitStatus::Done)
}

/// Writes documents into a directory, which is created if it is missing.
///
/// # Errors
/// [`Failure`]: 74 if a disk fails or is full, otherwise 1.
pub fn write_documents(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    Ok(crate::store::write_documents(dir, files)?)
}
