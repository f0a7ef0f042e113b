//! Identifiers of everything that the relay keeps, below all of its modules.

use crate::base::OutboxId;

/// Identifies one member while the relay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(pub(super) usize);

/// Position of a session in the table. Slots are reused: a stored slot may refer to a later
/// session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionSlot(pub(super) usize);

/// Identifies one guest while the relay knows it; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GuestId(pub(super) u64);

/// The recipient of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Destination {
    /// The relay itself.
    Echo,
    /// A guest. Nothing that it receives is ever confirmed.
    Guest(GuestId),
    Member(MemberId),
}

impl Destination {
    pub(super) fn member(self) -> Option<MemberId> {
        match self {
            Destination::Member(member) => Some(member),
            Destination::Echo | Destination::Guest(_) => None,
        }
    }
}

/// Identifies a flow: one outbox and one recipient. Flows to one recipient are adjacent in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowId {
    pub(super) to: Destination,
    pub(super) outbox: OutboxId,
}
