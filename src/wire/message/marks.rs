//! The outbox a client signs in with, and the proof that no other copy of it has signed in since.
//!
//! `outbox(8) mark(4) token(4) count(1)` and that many times `mark(4) token(4)`: the mark of this
//! sign-in, higher than every one that was said with the outbox before; a random number that nobody
//! else has said with that mark; and what the last sign-ins said that are written down beside it,
//! the oldest first. The relay keeps the mark and token of the last sign-in it has heard. If they
//! are not among those, another copy of the outbox has said them, or a relay was put back to an
//! older state, whose mark is then below all of them.
//!
//! A session says another mark and token (`mark`) when its client has refusals on its disk that an
//! older copy does not know. The relay answers (`marked`) when they are on its disk: a copy made
//! before that is then an old one. Before that the client says of no such refusal that it is
//! `heard`, and sends no letter behind it.

use crate::base::{Mark, OutboxId};

use super::super::bytes::{Malformed, Reader};
use super::super::features::Features;
use super::ToRelay;

/// Earlier sign-ins that are told. A relay may have heard any of them, if none of those after it
/// was answered.
pub const EARLIER_MAX: usize = 16;

const SAID_LEN: usize = 8;

/// The sign-in's flag that a screen follows.
pub(super) const SCREEN_FOLLOWS: u8 = 1;
/// The sign-in's flag that an outbox follows.
pub(super) const OUTBOX_FOLLOWS: u8 = 2;

/// The mark and the token of one sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Higher than those of the sign-ins before it.
    pub mark: Mark,
    /// Random.
    pub token: u32,
}

/// The outbox of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxMark<'a> {
    /// What stands in the ids of its letters.
    pub outbox: OutboxId,
    /// What this sign-in says.
    pub said: Said,
    /// What those before it said.
    pub earlier: Earlier<'a>,
}

/// At most [`EARLIER_MAX`] sign-ins, the oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier<'a>(&'a [u8]);

impl<'a> Earlier<'a> {
    /// Those that [`Earlier::put`] has written.
    pub const fn new(bytes: &'a [u8]) -> Earlier<'a> {
        Earlier(bytes)
    }

    /// Appends one.
    pub fn put(buf: &mut Vec<u8>, said: Said) {
        buf.extend_from_slice(&said.mark.0.to_be_bytes());
        buf.extend_from_slice(&said.token.to_be_bytes());
    }

    /// The sign-ins.
    pub fn iter(self) -> impl Iterator<Item = Said> + 'a {
        self.0.chunks_exact(SAID_LEN).filter_map(|bytes| read_said(&mut Reader::new(bytes)).ok())
    }
}

impl<'a> OutboxMark<'a> {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.outbox.0.to_be_bytes());
        Earlier::put(buf, self.said);
        buf.push(u8::try_from(self.earlier.0.len() / SAID_LEN).expect("they are at most EARLIER_MAX"));
        buf.extend_from_slice(self.earlier.0);
    }

    pub(super) fn decode(r: &mut Reader<'a>) -> Result<OutboxMark<'a>, Malformed> {
        let (outbox, said) = (OutboxId(r.u64()?), read_said(r)?);
        let count = usize::from(r.u8()?);
        if count > EARLIER_MAX {
            return Err(Malformed);
        }
        Ok(OutboxMark { outbox, said, earlier: Earlier(r.bytes(count * SAID_LEN)?) })
    }
}

pub(super) fn read_said(r: &mut Reader<'_>) -> Result<Said, Malformed> {
    Ok(Said { mark: Mark(r.u32()?), token: r.u32()? })
}

/// Reads a sign-in behind its kind.
pub(super) fn read_sign_in(mut r: Reader<'_>) -> Result<ToRelay<'_>, Malformed> {
    let name = r.short_text()?;
    let (mut invite, mut flags) = (&[][..], 0);
    if let Ok(len) = r.u8() {
        invite = r.bytes(usize::from(len))?;
        flags = r.u8()?;
    }
    let outbox = (flags & OUTBOX_FOLLOWS != 0).then(|| OutboxMark::decode(&mut r)).transpose()?;
    let (screen_follows, features) = (flags & SCREEN_FOLLOWS != 0, Features::decode(&mut r));
    Ok(ToRelay::SignIn { name, invite, screen_follows, outbox, features })
}
