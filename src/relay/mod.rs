//! Room `relay`.

mod deadlines;
mod flows;
mod limits;
mod members;
mod queue;

use crate::base::{Name, PublicKey};

/// What a relay makes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// This key registered this name.
    Member {
        /// The name.
        name: Name,
        /// The identity key that owns it.
        key: PublicKey,
    },
}
