//! A relay's end of a session at rest: what is left of it while nobody says anything.
//!
//! What keeps it alive is answered as it lies there, with the same numbers, keys and checks as by an end that is awake:
//! where anything else is asked for, or a packet was lost before, that end is woken.

use std::time::Duration;

use super::{Peer, ROOM_MIN, Role};
use crate::base::{Beats, Carrier, Outputs, Path, Seldom, Tick, Unpacker, pack_number};
use crate::link::{AtRest, Link};
use crate::session::{Keyring, Paths, SEALED_OVERHEAD, SessionId};
use crate::wire::limits::DATA_HEADER_LEN;
use crate::wire::packet::{self, Packet};

/// A packet that keeps alive is no longer, in bytes: a PING and an ack of one range, or of a few.
const KEEP_ALIVE_MAX: usize = SEALED_OVERHEAD + ROOM_MIN;

/// What becomes of a packet for an end at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resting {
    /// It kept the session alive, and was answered: one more of its [`Beats`].
    Answered,
    /// It is not authentic, or a replay; nothing has changed.
    Dropped,
    /// It is to be given to the end itself; nothing has changed. Its tag is to be checked before
    /// that ([`Peer::opens_at_rest`]).
    Wakes,
}

impl Peer {
    /// Whether [`Peer::pack`] may be called: only the other end, or time that is looked at elsewhere, acts next.
    pub fn is_quiet(&self) -> bool {
        self.role == Role::Relay
            && self.aside.is_nothing()
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

    /// An end that was packed, and has answered these since: none may be left out, or a number would be used twice.
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

    /// Which session was packed here, and where packets of it leave.
    pub fn peek(from: &mut Unpacker<'_>) -> (SessionId, Path) {
        (SessionId(from.bytes()), Paths::peek(from))
    }

    /// Whether a packed end, which has answered these since, would open this packet. `copy` is a
    /// buffer to open it in.
    pub fn opens_at_rest(
        from: &mut Unpacker<'_>,
        beats: Beats,
        (now, path): (Tick, Path),
        bytes: &[u8],
        copy: &mut Vec<u8>,
    ) -> bool {
        copy.clear();
        copy.extend_from_slice(bytes);
        let (_, _) = (SessionId(from.bytes()), Paths::skip(from));
        Keyring::unpack(from, beats).open(now, || Duration::ZERO, path.carrier(), copy).is_ok()
    }

    /// Answers a packet that does nothing but keep this packed end alive, which has answered these before.
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
        let (_, at) = (SessionId(from.bytes()), Paths::skip(from));
        if path.carrier() == Carrier::Tcp || at != path || beats.count == u32::MAX {
            return Resting::Wakes;
        }
        let mut keyring = Keyring::unpack(from, beats);
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
