//! Layer 6: frontends of a client as pure state machines and text, and all phrases for users in
//! English and Chinese.
//!
//! Only [`terminal`] uses standard input and output.
//!
//! Must not depend on: sockets, files, the protocol, how a client executes a command; of `store`
//! only its errors are used. Invariants: bytes from a peer reach a terminal only through
//! [`crate::base::sanitize`], and a letter's text cannot look like anything but that text.

pub mod connect_failures;
pub mod json;
pub mod line;
pub mod notice;
pub mod plain;
mod store_error;
pub mod strings;
pub mod style;
pub mod terminal;
pub mod time_format;

pub use connect_failures::ConnectFailures;
pub use line::{Action, ContactLookup, LineMode, ResolvedContact, UserInput};
pub use store_error::{damaged_letter, store_error};
pub use strings::{Lang, Strings};
pub use style::{Color, Style, StyledText, TextKind};
