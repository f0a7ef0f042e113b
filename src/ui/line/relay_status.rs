//! State of the relays in line mode.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Carrier, HostPort, Tick};
use crate::client::Carriers;

/// State of the connection to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelayStatus {
    Online(Carrier),
    Lost,
    Unreached,
    /// It shows another key than the known one, or the book expects another one.
    OtherKey,
    Stopped,
}

/// `/path tcp`, until each relay has moved to TCP or has refused it.
#[derive(Debug)]
pub(super) struct TcpRequest {
    /// Carriers to go back to if no relay moves.
    pub(super) before: Carriers,
    /// Relays that have done neither.
    pub(super) pending: BTreeSet<HostPort>,
}

/// `/status`, until each connected relay has answered a ping.
#[derive(Debug)]
pub(super) struct StatusRequest {
    pub(super) deadline: Tick,
    pub(super) pending: BTreeSet<HostPort>,
    pub(super) round_trips: BTreeMap<HostPort, Duration>,
}
