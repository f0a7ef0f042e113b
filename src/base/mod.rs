//! Floor 0: the words every other room is written in.
//!
//! Time ([`Tick`], [`Now`]), ways packets travel ([`Path`]), who is who ([`Name`], [`PublicKey`]), what a
//! letter is called ([`LetterId`]), seeded randomness ([`Rng`]), what few have ([`Seldom`]), words for people
//! ([`Phrase`]), and the shape of a sans-IO state machine: [`Core`], [`Input`], [`Outputs`], [`turn()`].
//!
//! It must not know: any byte layout, any protocol, any operating system.
//! Invariant: everything here is a plain value; nothing reads a clock, a file or the system's randomness.

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
