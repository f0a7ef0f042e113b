//! Room `client`.
mod api;
mod ledger;
mod outbox;

pub use api::{Carriers, Command, Config, Event, Incoming, Progress, Record, RelaySpec, Unreached};
