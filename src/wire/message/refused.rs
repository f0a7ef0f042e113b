//! Refusals by the relay.

use crate::base::{LetterId, Mark, OutboxId};

use super::super::bytes::{DecodeError, Reader, put_short_text};
use super::reason::Reason;

/// Maximum nearest names in a refusal.
pub const NEAREST_MAX: usize = 3;

/// Letters of one conversation that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The recipient's name as the sender wrote it.
    pub to: &'a str,
    /// Id of the first letter.
    pub id: LetterId,
    /// Number of the last letter; that of `id` if there is only one.
    pub through: u64,
    /// None of the letters was numbered under a higher mark. [`Mark::MAX`] if the relay does not
    /// know better. A letter of these numbers under a higher one is an old copy's.
    pub mark: Mark,
    /// The cause.
    pub reason: Reason,
    /// It was in flight to the recipient when the recipient's session was lost.
    pub may_have_arrived: bool,
    /// Members whose names resemble the unknown one.
    pub nearest: Nearest<'a>,
}

/// At most [`NEAREST_MAX`] names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nearest<'a>(pub [Option<&'a str>; NEAREST_MAX]);

impl<'a> Refused<'a> {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x44);
        put_short_text(buf, self.to);
        for number in [self.id.outbox.0, self.id.number, self.through] {
            buf.extend_from_slice(&number.to_be_bytes());
        }
        buf.extend_from_slice(&self.mark.0.to_be_bytes());
        let names = self.nearest.0.iter().flatten();
        buf.extend_from_slice(&[
            self.reason.code(),
            u8::from(self.may_have_arrived),
            names.clone().count() as u8,
        ]);
        for name in names {
            put_short_text(buf, name);
        }
    }

    /// Reads a refusal after its kind. A range that ends before it begins is malformed.
    pub(super) fn decode(mut r: Reader<'a>) -> Result<Refused<'a>, DecodeError> {
        let to = r.short_text()?;
        let id = LetterId { outbox: OutboxId(r.u64()?), number: r.u64()? };
        let through = r.u64()?;
        if through < id.number {
            return Err(DecodeError);
        }
        let mark = Mark(r.u32()?);
        let reason = Reason::from_code(r.u8()?);
        let may_have_arrived = r.u8()? != 0;
        let count = usize::from(r.u8()?);
        let mut nearest = Nearest::default();
        for slot in nearest.0.get_mut(..count).ok_or(DecodeError)? {
            *slot = Some(r.short_text()?);
        }
        Ok(Refused { to, id, through, mark, reason, may_have_arrived, nearest })
    }
}
