//! Floor 6: the faces of one client, as pure state machines and pure text, and every sentence for people in English
//! and Chinese.
//!
//! [`strings`] turns a [`crate::base::Phrase`] into a sentence, [`notice`] says what happened as phrases, [`mod@line`] is
//! line mode, [`plain`] and [`json`] are what scripts read, [`paint`] puts letters on a screen of some width and
//! [`clock`] times beside them. [`terminal`] alone touches standard input and output.
//!
//! It must not know: sockets, files, the protocol, how a client does what it is asked.
//! Invariant: nothing a peer wrote reaches a terminal but through [`crate::base::harmless`], and no letter's text
//! can pass for anything but that letter's text.

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
