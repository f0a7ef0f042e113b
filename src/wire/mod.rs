//! Floor 1: bytes to packets, frames, messages and records, and back. This page is the protocol's specification
//! together with the pages of its files: [`packet`], [`frame`], [`record`], [`message`],
//! [`features`], [`letter`].
//!
//! It must not know: who sent anything, what is secret, what is lost. It never allocates by a length it has only
//! been told, and arbitrary bytes never make it panic.
//!
//! Integers are big-endian; a *varint* is that of RFC 9000 §16. A byte layout is written as `name(bytes)`.
//!
//! Layers, from the outside in: a UDP datagram or a TCP [`record`] holds one [`packet`]; the sealed part of a data
//! packet holds [`frame`]s; stream frames carry the bytes of [`message`]s; a message about a letter carries a body,
//! which only the two members ([`letter`]) look into.

mod bytes;
pub mod features;
pub mod frame;
pub mod letter;
pub mod limits;
pub mod message;
pub mod packet;
pub mod record;
pub mod varint;

pub use bytes::Malformed;
