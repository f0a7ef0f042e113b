//! The outbox in a sign-in, and the proof that no other copy of it has signed in since.
//!
//! `outbox(8) mark(4) token(4) count(1)`, then `count` times `mark(4) token(4)`:
//!
//! - The mark of this sign-in is higher than every mark sent with the outbox before.
//! - The token is a random number that no other client has sent with that mark.
//! - The `count` pairs are those of the latest sign-ins that the client has stored on disk, oldest
//!   first.
//!
//! The relay keeps the mark and token of the last sign-in that it received. If they are not among
//! the pairs, another copy of the outbox has sent them. If there are 16 pairs, all with marks above
//! the relay's, they may also have been sent too long ago: many sign-ins did not arrive, or the
//! relay was restored to an older state.
//!
//! A session sends another mark and token (`mark`) when its client has refusals on disk that an
//! older copy does not know. The relay answers (`marked`) when they are on its own disk; a copy
//! made earlier is then recognised as old. Before that, the client sends no `refusal received` for
//! such a refusal, and no letter behind it.

use crate::base::{Mark, OutboxId};

use super::super::bytes::{DecodeError, Reader};
use super::super::features::Features;
use super::ToRelay;

/// Maximum earlier sign-ins in a message.
///
/// The relay may have received any of them, if none of those after it was answered.
pub const EARLIER_MARKS_MAX: usize = 16;

const MARK_TOKEN_LEN: usize = 8;

/// Flag of the sign-in: a block list follows.
pub(super) const BLOCK_LIST_FOLLOWS: u8 = 1;
/// Flag of the sign-in: an outbox follows.
pub(super) const OUTBOX_FOLLOWS: u8 = 2;

/// Mark and token of one sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkToken {
    /// Higher than those of earlier sign-ins.
    pub mark: Mark,
    /// A random number.
    pub token: u32,
}

/// The outbox of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxMark<'a> {
    /// Appears in the ids of its letters.
    pub outbox: OutboxId,
    /// Mark and token of this sign-in.
    pub mark_token: MarkToken,
    /// Marks and tokens of earlier sign-ins.
    pub earlier: EarlierMarks<'a>,
}

/// At most [`EARLIER_MARKS_MAX`] sign-ins, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlierMarks<'a>(&'a [u8]);

impl<'a> EarlierMarks<'a> {
    /// Wraps bytes that [`EarlierMarks::put`] has written.
    pub const fn new(bytes: &'a [u8]) -> EarlierMarks<'a> {
        EarlierMarks(bytes)
    }

    /// Appends one sign-in.
    pub fn put(buf: &mut Vec<u8>, mark_token: MarkToken) {
        buf.extend_from_slice(&mark_token.mark.0.to_be_bytes());
        buf.extend_from_slice(&mark_token.token.to_be_bytes());
    }

    /// Returns the sign-ins, oldest first.
    pub fn iter(self) -> impl Iterator<Item = MarkToken> + 'a {
        self.0.chunks_exact(MARK_TOKEN_LEN).filter_map(|bytes| read_mark_token(&mut Reader::new(bytes)).ok())
    }
}

impl<'a> OutboxMark<'a> {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.outbox.0.to_be_bytes());
        EarlierMarks::put(buf, self.mark_token);
        buf.push(u8::try_from(self.earlier.0.len() / MARK_TOKEN_LEN).expect("there are at most EARLIER_MAX"));
        buf.extend_from_slice(self.earlier.0);
    }

    pub(super) fn decode(r: &mut Reader<'a>) -> Result<OutboxMark<'a>, DecodeError> {
        let outbox = OutboxId(r.u64()?);
        let mark_token = read_mark_token(r)?;
        let count = usize::from(r.u8()?);
        if count > EARLIER_MARKS_MAX {
            return Err(DecodeError);
        }
        Ok(OutboxMark { outbox, mark_token, earlier: EarlierMarks(r.bytes(count * MARK_TOKEN_LEN)?) })
    }
}

pub(super) fn read_mark_token(r: &mut Reader<'_>) -> Result<MarkToken, DecodeError> {
    Ok(MarkToken { mark: Mark(r.u32()?), token: r.u32()? })
}

/// Reads a sign-in after its kind.
pub(super) fn read_sign_in(mut r: Reader<'_>) -> Result<ToRelay<'_>, DecodeError> {
    let name = r.short_text()?;
    let mut invite = &[][..];
    let mut flags = 0;
    if let Ok(len) = r.u8() {
        invite = r.bytes(usize::from(len))?;
        flags = r.u8()?;
    }
    let outbox = (flags & OUTBOX_FOLLOWS != 0).then(|| OutboxMark::decode(&mut r)).transpose()?;
    let block_list_follows = flags & BLOCK_LIST_FOLLOWS != 0;
    let features = Features::decode(&mut r);
    Ok(ToRelay::SignIn { name, invite, block_list_follows, outbox, features })
}
