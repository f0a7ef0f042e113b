//! Layer 0: types that all other modules use.
//!
//! Time ([`Tick`], [`Now`]), network paths ([`Path`]), identities ([`Name`], [`PublicKey`],
//! [`LetterId`]), progress of letters ([`Watermarks`]), seeded randomness ([`Rng`]), lazily boxed
//! state ([`LazyBox`]), localisable sentences ([`Phrase`]), rates ([`RateLimiter`]). Also the
//! contract of a sans-IO state machine: [`Core`], [`Input`], [`Outputs`], [`turn()`].
//!
//! Must not depend on: byte layouts, protocols, the operating system.
//!
//! Invariant: only plain values; nothing reads a clock, a file or the system's randomness.

mod fingerprint;
mod ids;
mod lazy_box;
mod name;
mod packed;
mod path;
mod phrase;
mod rate_limiter;
mod rng;
mod sanitize;
mod serde_text;
mod sorted_chunks;
mod time;
mod turn;
mod watermarks;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use ids::{KeyError, LetterId, Mark, OutboxId, PublicKey};
pub(crate) use lazy_box::empty_value;
pub use lazy_box::{EmptyValue, LazyBox};
pub use name::{Folded, Looks, Name, NameError, is_han};
pub use packed::{KeepAliveCount, Unpacker, pack_maybe_tick, pack_number, pack_path, pack_tick};
pub use path::{Carrier, ConnId, HostPort, HostPortError, Path, PathError, with_brackets};
pub use phrase::Phrase;
pub use rate_limiter::{Rate, RateLimiter};
pub use rng::{Rng, RngState};
pub use sanitize::{sanitize, sanitize_line};
pub use sorted_chunks::SortedChunks;
pub use time::{Now, Tick, Wall};
pub use turn::{
    Core, Effect, Input, InputSource, LetterHeader, Outputs, Payload, Query, Row, SeqFilter, TURN_INPUTS_MAX,
    Ticket, turn,
};
pub use watermarks::Watermarks;
