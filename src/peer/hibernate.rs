//! Hibernated sessions at a relay: a quiet peer packed into a few hundred bytes.
//!
//! A keep-alive is answered without unpacking the whole peer, with the same numbers, keys and
//! checks as in an awake one. Any other packet, or one after a loss, wakes the peer.

use std::time::Duration;

use super::{Peer, ROOM_MIN, Role};
use crate::base::{Carrier, KeepAliveCount, LazyBox, Outputs, Path, Tick, Unpacker, pack_number};
use crate::link::{HibernatedLink, Link};
use crate::session::{Keyring, PathSet, SEALED_OVERHEAD, SessionId};
use crate::wire::limits::DATA_HEADER_LEN;
use crate::wire::packet::{self, Packet};

/// Maximum length of a keep-alive packet, in bytes: a PING and an ack of one or a few ranges.
const KEEP_ALIVE_MAX: usize = SEALED_OVERHEAD + ROOM_MIN;

/// The result of a packet for a hibernated session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HibernatedOutcome {
    /// It was a keep-alive, and was answered: one more of the session's [`KeepAliveCount`].
    Answered,
    /// It is not authentic, or a replay. Nothing has changed.
    Dropped,
    /// The awake peer must handle it. Nothing has changed. Check its tag before waking
    /// ([`Peer::may_open_hibernated`]).
    Wake,
}

impl Peer {
    /// Whether [`Peer::pack`] may be called: only the other end acts next, or time that the caller
    /// watches.
    pub fn may_hibernate(&self) -> bool {
        self.role == Role::Relay
            && self.rare.is_empty()
            && self.paths.may_hibernate()
            && self.link.may_hibernate()
            && self.keyring.may_hibernate()
    }

    /// Appends a quiet peer to a hibernated session. The result includes its keys, so the caller
    /// must wipe it.
    pub fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.id.0);
        self.paths.pack(into);
        self.keyring.pack(into);
        self.link.pack(into);
        pack_number(into, self.tcp_unsent as u64);
    }

    /// Restores a peer written by [`Peer::pack`], which has answered `beats` since. All of them
    /// must be counted, or a number would be used twice.
    pub fn unpack(from: &mut Unpacker<'_>, keep_alives: KeepAliveCount) -> Peer {
        let id = SessionId(from.bytes());
        let mut paths = PathSet::unpack(from);
        let keyring = Keyring::unpack(from, keep_alives);
        if let Some(highest) = keyring.highest_opened().filter(|_| keep_alives.count > 0) {
            paths.handle_keep_alives(highest);
        }
        Peer {
            id,
            role: Role::Relay,
            paths,
            keyring,
            link: Link::unpack(from, keep_alives),
            tcp_unsent: from.size(),
            rare: LazyBox::default(),
        }
    }

    /// Returns the id of a packed session, and the path that its packets leave on.
    pub fn peek(from: &mut Unpacker<'_>) -> (SessionId, Path) {
        (SessionId(from.bytes()), PathSet::peek(from))
    }

    /// Whether a packed peer, which has answered `beats` since, would open this packet. `copy` is a
    /// buffer for it.
    pub fn may_open_hibernated(
        from: &mut Unpacker<'_>,
        keep_alives: KeepAliveCount,
        (now, path): (Tick, Path),
        bytes: &[u8],
        copy: &mut Vec<u8>,
    ) -> bool {
        copy.clear();
        copy.extend_from_slice(bytes);
        let _id = SessionId(from.bytes());
        let _path = PathSet::skip(from);
        Keyring::unpack(from, keep_alives).open(now, || Duration::ZERO, path.carrier(), copy).is_ok()
    }

    /// Answers a packet that is only a keep-alive of this packed peer, which has answered `beats`
    /// before.
    pub fn answer_hibernated<R, E>(
        from: &mut Unpacker<'_>,
        keep_alives: KeepAliveCount,
        (now, path): (Tick, Path),
        bytes: &[u8],
        out: &mut Outputs<R, E>,
    ) -> HibernatedOutcome {
        let mut own = [0; KEEP_ALIVE_MAX];
        let Some(own) = own.get_mut(..bytes.len()) else { return HibernatedOutcome::Wake };
        own.copy_from_slice(bytes);
        let _id = SessionId(from.bytes());
        let at = PathSet::skip(from);
        if path.carrier() == Carrier::Tcp || at != path || keep_alives.count == u32::MAX {
            return HibernatedOutcome::Wake;
        }
        let mut keyring = Keyring::unpack(from, keep_alives);
        // A gap before this packet: its ack must be immediate and name the gap, which needs the
        // whole link.
        let is_next =
            |number| keyring.highest_opened().is_none_or(|highest| number <= highest.saturating_add(1));
        if matches!(packet::parse(path.carrier(), bytes), Ok(Packet::Data { number, .. }) if !is_next(number))
        {
            return HibernatedOutcome::Wake;
        }
        let Ok(opened) = keyring.open(now, || Duration::ZERO, path.carrier(), own) else {
            return HibernatedOutcome::Dropped;
        };
        let mut link = HibernatedLink::unpack(from, keep_alives);
        if !link.handle_keep_alive(now, opened.number, opened.plain) {
            return HibernatedOutcome::Wake;
        }
        out.send_with(path, |buf| {
            let start = buf.len();
            buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
            let number = link.write_ack(now, ROOM_MIN, buf);
            keyring.seal(number, buf, start);
        });
        HibernatedOutcome::Answered
    }
}
