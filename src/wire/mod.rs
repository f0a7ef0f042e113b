//! Layer 1: encodes and decodes packets, frames, messages and records.
//!
//! Must not depend on: who sent the bytes, secrets, loss recovery. Memory is never allocated by a
//! length that was only announced, and arbitrary bytes never cause a panic.
//!
//! This page and the pages of its files are the specification of the protocol: [`packet`],
//! [`frame`], [`record`], [`message`], [`features`], [`letter`].
//!
//! Integers are big-endian. A *varint* is a variable-length integer of RFC 9000 §16. A byte layout
//! is written as `name(bytes)`.
//!
//! Layers, from the outside in:
//!
//! - A UDP datagram or a TCP [`record`] holds one [`packet`].
//! - The sealed part of a data packet holds [`frame`]s.
//! - Stream frames carry the bytes of [`message`]s.
//! - A message about a letter carries a body ([`letter`]), which only the two members read.

mod bytes;
pub mod features;
pub mod frame;
pub mod letter;
pub mod limits;
pub mod message;
pub mod packet;
pub mod record;
pub mod varint;

pub use bytes::DecodeError;
