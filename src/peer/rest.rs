//! A relay's end of a session at rest: what is left of it while nobody says anything.

use smallvec::SmallVec;

use super::{Peer, Role};
use crate::base::{Path, Unpacker, pack_number};
use crate::link::Link;
use crate::session::{Keyring, Paths, SessionId};

impl Peer {
    /// Whether [`Peer::pack`] may be called: only the other end, or time that is looked at elsewhere, acts next.
    pub fn is_quiet(&self) -> bool {
        self.role == Role::Relay
            && self.closing.is_none()
            && self.probes_owed.is_empty()
            && self.answers.is_empty()
            && self.paths.are_quiet()
            && self.link.is_quiet()
            && self.keyring.is_quiet()
    }

    /// Appends a quiet end to what is at rest, its keys among it: whoever drops that wipes it.
    pub fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.id.0);
        self.paths.pack(into);
        self.keyring.pack(into);
        self.link.pack(into);
        pack_number(into, self.tcp_unsent as u64);
    }

    /// An end that was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> Peer {
        Peer {
            id: SessionId(from.bytes()),
            role: Role::Relay,
            paths: Paths::unpack(from),
            keyring: Keyring::unpack(from),
            link: Link::unpack(from),
            tcp_unsent: from.size(),
            closing: None,
            probes_owed: SmallVec::new(),
            answers: SmallVec::new(),
            apart: Vec::new(),
        }
    }

    /// Which session was packed here, and where packets of it leave.
    pub fn peek(from: &mut Unpacker<'_>) -> (SessionId, Path) {
        (SessionId(from.bytes()), from.path())
    }
}
