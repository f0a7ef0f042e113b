//! Layer 6: frontends of a client as pure state machines and text, and all phrases for users in
//! English and Chinese.
//!
//! Only [`terminal`] uses standard input and output.
//!
//! Must not depend on: sockets, files, the protocol, how a client executes a command. Invariants:
//! bytes from a peer reach a terminal only through [`crate::base::harmless`], and a letter's text
//! cannot look like anything but that text.

pub mod clock;
pub mod json;
pub mod line;
pub mod notice;
pub mod paint;
pub mod plain;
pub mod strings;
pub mod terminal;
pub mod unreached;

pub use line::{Book, Do, LineMode, Resolved, Typed};
pub use paint::{Color, Paint, Styled, Tone};
pub use strings::{Lang, Strings};
pub use unreached::NotReached;
