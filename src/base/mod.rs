//! Layer 0: types that all other modules use.
//!
//! Time ([`Tick`], [`Now`]), network paths ([`Path`]), identities ([`Name`], [`PublicKey`],
//! [`LetterId`]), seeded randomness ([`Rng`]), lazily boxed state ([`Seldom`]), localisable
//! sentences ([`Phrase`]). Also the contract of a sans-IO state machine: [`Core`], [`Input`],
//! [`Outputs`], [`turn()`].
//!
//! Must not depend on: byte layouts, protocols, the operating system.
//!
//! Invariant: only plain values; nothing reads a clock, a file or the system's randomness.

mod as_text;
mod fingerprint;
mod harmless;
mod ids;
mod name;
mod packed;
mod path;
mod phrase;
mod rng;
mod seldom;
mod sorted_chunks;
mod time;
mod turn;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use harmless::{harmless, harmless_line};
pub use ids::{KeyError, LetterId, Mark, OutboxId, PublicKey};
pub use name::{Folded, Looks, Name, NameError};
pub use packed::{Beats, Unpacker, pack_maybe_tick, pack_number, pack_path, pack_tick};
pub use path::{Carrier, ConnId, HostPort, HostPortError, Path, Why};
pub use phrase::Phrase;
pub use rng::{Rng, StillRng};
pub(crate) use seldom::blank;
pub use seldom::{Blank, Seldom};
pub use sorted_chunks::SortedChunks;
pub use time::{Now, Tick, Wall};
pub use turn::{
    Core, Effect, Held, Inbox, Input, Label, Outputs, Places, Query, Row, TURN_INPUTS_MAX, Ticket, turn,
};
