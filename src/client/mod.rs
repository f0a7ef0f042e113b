//! Room `client`.
mod api;

pub use api::{Carriers, Command, Config, Event, Incoming, Progress, Record, RelaySpec, Unreached};
