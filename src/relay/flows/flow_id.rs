//! Names of flows.

use crate::base::OutboxId;
use crate::relay::guests::GuestId;
use crate::relay::members::MemberId;

/// One outbox and one recipient. Flows to one recipient are adjacent in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::relay) struct FlowId {
    pub(in crate::relay) to: Destination,
    pub(in crate::relay) outbox: OutboxId,
}

/// The recipient of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::relay) enum Destination {
    /// The relay itself.
    Echo,
    /// A guest. Nothing that it receives is ever confirmed.
    Guest(GuestId),
    Member(MemberId),
}

impl Destination {
    pub(in crate::relay) fn member(self) -> Option<MemberId> {
        match self {
            Destination::Member(member) => Some(member),
            Destination::Echo | Destination::Guest(_) => None,
        }
    }
}
