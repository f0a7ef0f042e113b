//! Hibernated sessions at a relay: a quiet peer packed into a few hundred bytes.
//!
//! A keep-alive is answered without unpacking the whole peer, with the same numbers, keys and
//! checks as in an awake one. Any other packet, or one after a loss, wakes the peer.

use std::time::Duration;

use super::{Peer, ROOM_MIN, Role};
use crate::base::{Beats, Carrier, Outputs, Path, Seldom, Tick, Unpacker, pack_number};
use crate::link::{AtRest, Link};
use crate::session::{Keyring, Paths, SEALED_OVERHEAD, SessionId};
use crate::wire::limits::DATA_HEADER_LEN;
use crate::wire::packet::{self, Packet};

/// Maximum length of a keep-alive packet, in bytes: a PING and an ack of one or a few ranges.
const KEEP_ALIVE_MAX: usize = SEALED_OVERHEAD + ROOM_MIN;

/// The result of a packet for a hibernated session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resting {
    /// It was a keep-alive, and was answered: one more of the session's [`Beats`].
    Answered,
    /// It is not authentic, or a replay. Nothing has changed.
    Dropped,
    /// The awake peer must handle it. Nothing has changed. Check its tag before waking
    /// ([`Peer::opens_at_rest`]).
    Wakes,
}

impl Peer {
    /// Whether [`Peer::pack`] may be called: only the other end acts next, or time that the caller
    /// watches.
    pub fn is_quiet(&self) -> bool {
        self.role == Role::Relay
            && self.aside.is_nothing()
            && self.paths.are_quiet()
            && self.link.is_quiet()
            && self.keyring.is_quiet()
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
    pub fn unpack(from: &mut Unpacker<'_>, beats: Beats) -> Peer {
        let id = SessionId(from.bytes());
        let mut paths = Paths::unpack(from);
        let keyring = Keyring::unpack(from, beats);
        if let Some(highest) = keyring.highest_opened().filter(|_| beats.count > 0) {
            paths.handle_beats(highest);
        }
        Peer {
            id,
            role: Role::Relay,
            paths,
            keyring,
            link: Link::unpack(from, beats),
            tcp_unsent: from.size(),
            aside: Seldom::default(),
        }
    }

    /// Returns the id of a packed session, and the path that its packets leave on.
    pub fn peek(from: &mut Unpacker<'_>) -> (SessionId, Path) {
        (SessionId(from.bytes()), Paths::peek(from))
    }

    /// Whether a packed peer, which has answered `beats` since, would open this packet. `copy` is a
    /// buffer for it.
    pub fn opens_at_rest(
        from: &mut Unpacker<'_>,
        beats: Beats,
        (now, path): (Tick, Path),
        bytes: &[u8],
        copy: &mut Vec<u8>,
    ) -> bool {
        copy.clear();
        copy.extend_from_slice(bytes);
        let _id = SessionId(from.bytes());
        let _path = Paths::skip(from);
        Keyring::unpack(from, beats).open(now, || Duration::ZERO, path.carrier(), copy).is_ok()
    }

    /// Answers a packet that is only a keep-alive of this packed peer, which has answered `beats`
    /// before.
    pub fn answer_at_rest<R, E>(
        from: &mut Unpacker<'_>,
        beats: Beats,
        (now, path): (Tick, Path),
        bytes: &[u8],
        out: &mut Outputs<R, E>,
    ) -> Resting {
        let mut own = [0; KEEP_ALIVE_MAX];
        let Some(own) = own.get_mut(..bytes.len()) else { return Resting::Wakes };
        own.copy_from_slice(bytes);
        let _id = SessionId(from.bytes());
        let at = Paths::skip(from);
        if path.carrier() == Carrier::Tcp || at != path || beats.count == u32::MAX {
            return Resting::Wakes;
        }
        let mut keyring = Keyring::unpack(from, beats);
        // A gap before this packet: its ack must be immediate and name the gap, which needs the
        // whole link.
        let is_next =
            |number| keyring.highest_opened().is_none_or(|highest| number <= highest.saturating_add(1));
        if matches!(packet::parse(path.carrier(), bytes), Ok(Packet::Data { number, .. }) if !is_next(number))
        {
            return Resting::Wakes;
        }
        let Ok(opened) = keyring.open(now, || Duration::ZERO, path.carrier(), own) else {
            return Resting::Dropped;
        };
        let mut link = AtRest::unpack(from, beats);
        if !link.handle_keep_alive(now, opened.number, opened.plain) {
            return Resting::Wakes;
        }
        out.send_with(path, |buf| {
            let start = buf.len();
            buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
            let number = link.answer(now, ROOM_MIN, buf);
            keyring.seal(number, buf, start);
        });
        Resting::Answered
    }
}
