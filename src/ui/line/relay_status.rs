//! State of the relays in line mode.

use crate::base::{Carrier, Tick};
use crate::client::Carriers;

/// State of the connection to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelayStatus {
    Online(Carrier),
    Lost,
    Unreached,
    Stopped,
}

/// An attempt to use TCP alone.
#[derive(Debug)]
pub(super) struct PathTrial {
    /// Carriers to go back to.
    pub(super) before: Carriers,
    pub(super) deadline: Tick,
}
