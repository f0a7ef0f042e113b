//! Messages: what the streams of a session deliver whole, once, in order.
//!
//! A message is `kind(1) fields`. Kinds below 0x80 must be understood: an unknown one breaks the protocol. Kinds from
//! 0x80 on may be skipped. Bytes behind the last field of a known message belong to later versions and are skipped.
//! `name` stands for `length(1) UTF-8`; a *letter number* counts from 1 for each outbox and recipient.
//!
//! Client to relay:
//!
//! | kind | stream | message | fields |
//! | --- | --- | --- | --- |
//! | 0x01 | control | sign-in | `name`; or `name invite_len(1) invite flags(1) features(4)`: the secret of an invitation, or nothing; flag 1: a screen follows, hand no letter over before its last part; flag 2: the outbox of its letters stands before `features` ([`OutboxMark`]); see [`super::features`] |
//! | 0x02 | control | stored | `name` of the sender, `outbox(8) through(8) mark(4) flags(1)`: the recipient has every letter up to it that was numbered under that mark or a lower one; flag 1: the sender hears of it at the next full second, see below |
//! | 0x03 | control | read | `name` of the sender, `outbox(8) through(8)`: its reader has seen every letter up to it |
//! | 0x04 | control | ask | `name` of a recipient, `outbox(8)`: how far have my letters come? A receipt answers, and every refusal still owed |
//! | 0x05 | control | heard | `name` of a recipient, `outbox(8) number(8)`: I know that this letter was refused |
//! | 0x06 | control | screen | `flags(1)` and any number of `name`s: whose letters are refused as `blocked`. Flag 1: the first part of a list, 2: the last, 4: take letters from these only, while this session lasts; otherwise: take none from these, which is kept, and with the last part of which this list, and one with flag 4 before it, take effect |
//! | 0x07 | control | mark | `outbox(8) mark(4) token(4)`: from now on the relay knows copies of the outbox by this, as if it had been said in the sign-in; see [`OutboxMark`] |
//! | 0x09 | control | reader's refusal | `name` of the sender, `outbox(8) number(8) reason(1)`: the reader keeps nothing of this letter; only `full` (3), `old-copy` (8) and `unsupported` (10), and only of a letter that this session was handed and that is not stored |
//! | 0x10 | chat | letter | `name` of the recipient, `outbox(8) number(8) prev(8) mark(4) kind(1) body` |
//!
//! Relay to client:
//!
//! | kind | stream | message | fields |
//! | --- | --- | --- | --- |
//! | 0x41 | control | welcome | `text_max(4)`, the longest text of a letter in bytes; `mailbox_letters(4) mailbox_bytes(8) kept_s(4)`, what a mailbox holds of one sender and for how long; `flags(1)`, flag 1: the mark of the sign-in is not durable, and new letters are refused as `full` until it is; `features(4)`, see [`super::features`] |
//! | 0x42 | control | name refused | `reason(1) name`: the name in the way, or an empty one |
//! | 0x43 | control | receipt | `name` of the recipient, `outbox(8) accepted(8) delivered(8) read(8)`, watermarks; `until_ms(8)`, when the last accepted letter leaves the mailbox undelivered, 0 if it waits in none; `taken_ms(8)`, when the relay took the first of the letters that were not accepted at the receipt before, by the clock of `accepted_ms`, 0 if it does not know; `mark(4)`, of the last letter it took |
//! | 0x44 | control | refused | `name` of the recipient, `outbox(8) first(8) through(8) reason(1) may_have_arrived(1) count(1)` and that many nearest `name`s |
//! | 0x46 | control | marked | `mark(4)`: the marks of this session up to it are durable |
//! | 0x50 | chat | delivery | `name` of the sender, `outbox(8) number(8) prev(8) accepted_ms(8) mark(4) kind(1) body` |
//!
//! A refusal covers the letters of that outbox to that recipient from `first` through `through`, at
//! least one, that the relay had read when it sent the refusal: letters of this session, or letters
//! that it had accepted. Numbers in between that were never sent, or that were refused before, are
//! not concerned. A letter whose `prev` was refused in this session is refused for the same reason
//! if that reason is the conversation's (`unknown`, `blocked`), and as `behind` otherwise. A letter
//! that the client sends after it has read a refusal carries another `prev`, and is judged on its
//! own. A reason that the client does not know refuses a letter like any other.
//!
//! `prev` is the last number to that recipient that was not refused, 0 if there is none. The relay never looks into a
//! body; [`super::letter`] says what members put there. Reserved: 0x45 presence, 0x11–0x1f and 0x51–0x5f
//! for groups and files.
//!
//! A letter's `mark` is the one under which its client numbered it. Marks of one outbox and
//! recipient never fall: a letter with a number that is not above the last one taken, and a mark
//! above that of it, was numbered by an old copy of the outbox. It is refused as `old-copy`, by the
//! relay or by its reader, and so is what that session says behind it. A receipt counts for letters
//! up to its mark only.
//!
//! A `stored` counts for each letter up to its number and mark that the reader has not refused
//! before it in the same session. A reader therefore says the refusals it remembers of a
//! conversation once in each session, before the first `stored` of that conversation. It remembers
//! [`super::limits::REFUSALS_REMEMBERED`] of each relay; a relay hands over no more letters than
//! half of that before the first of them has left for good.
//!
//! A reader says flag 1 of `stored` of letters whose sender it does not know. The letters leave the
//! mailbox, and are called accepted, as without it. But until the next full second of the relay's
//! own clock every receipt says of them what it would if they waited in the mailbox: the time at
//! which letters come in, to the millisecond, is not for everybody. A `read`, or a `stored` without
//! the flag, ends that for all letters of the conversation.

mod marks;
mod names;
mod reason;
mod refused;

use serde::{Deserialize, Serialize};

use crate::base::{LetterId, Mark, OutboxId, Wall};
pub use marks::{EARLIER_MAX, Earlier, OutboxMark, Said};
use marks::{OUTBOX_FOLLOWS, SCREEN_FOLLOWS, read_said, read_sign_in};
pub use names::{Names, SCREEN_FIRST, SCREEN_LAST, SCREEN_ONLY};
pub use reason::Reason;
pub use refused::{NEAREST_MAX, Nearest, Refused};

use super::bytes::{Malformed, Reader, put_short_text};
use super::features::{Feature, Features};

/// The kind of a letter whose body is a [`super::letter`] text.
pub const KIND_TEXT: u8 = 1;
/// The kind of a letter about a guest's conversation.
pub const KIND_GUEST: u8 = 8;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NameReason {
    /// Another key owns it.
    Taken,
    /// It looks like a name another key owns (UTS #39).
    Confusable,
    /// It belongs to the relay.
    Reserved,
    /// It is no name.
    Bad,
    /// This key has another name here already.
    Other,
    /// Too many names were registered from there lately.
    TooMany,
    /// The relay could not write it down; later it may.
    Disk,
    /// This relay is closed, and no invitation, or none that is good, came with the name.
    Closed,
    /// The name is kept for whoever has its invitation; or the invitation that came is for the name told.
    Kept,
    /// The operator removed this member.
    Removed,
    /// This relay has as many members as it takes; the invited still get a name.
    Full,
    /// Another copy of the outbox has signed in since: the name is right, and comes with another
    /// outbox.
    OldCopy,
}

const NAME_REASONS: [(NameReason, u8); 12] = [
    (NameReason::Taken, 1),
    (NameReason::Confusable, 2),
    (NameReason::Reserved, 3),
    (NameReason::Bad, 4),
    (NameReason::Other, 5),
    (NameReason::TooMany, 6),
    (NameReason::Disk, 7),
    (NameReason::Closed, 8),
    (NameReason::Kept, 9),
    (NameReason::Removed, 10),
    (NameReason::Full, 11),
    (NameReason::OldCopy, 12),
];

/// The welcome's flag that no new letters are taken.
const MARK_UNWRITTEN: u8 = 1;
/// The flag of `stored` that its sender is to hear of it later.
const AT_FULL_SECOND: u8 = 1;

/// A letter on its way from its sender to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter<'a> {
    /// The recipient's name, not yet checked.
    pub to: &'a str,
    /// What it is called.
    pub id: LetterId,
    /// The last number to that recipient that was not refused.
    pub prev: u64,
    /// Under which it was numbered.
    pub mark: Mark,
    /// What the body is.
    pub kind: u8,
    /// What only the two members look into.
    pub body: &'a [u8],
}

/// A letter on its way from the relay to its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The sender's name.
    pub from: &'a str,
    /// What it is called.
    pub id: LetterId,
    /// The last number before it that was not refused.
    pub prev: u64,
    /// When the relay took it.
    pub accepted: Wall,
    /// Under which it was numbered.
    pub mark: Mark,
    /// What the body is.
    pub kind: u8,
    /// What only the two members look into.
    pub body: &'a [u8],
}

/// Watermarks of one outbox and one recipient: each number up to them, unless refused, has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The recipient's name.
    pub to: &'a str,
    /// The sender's outbox.
    pub outbox: OutboxId,
    /// The relay answers for them.
    pub accepted: u64,
    /// The recipient has them.
    pub delivered: u64,
    /// The recipient has read them.
    pub read: u64,
    /// When the last accepted letter leaves the mailbox undelivered; 0 if it waits in none.
    pub until: Wall,
    /// When the relay took the first of the letters that were not accepted at the receipt before, by the clock of
    /// [`Delivery::accepted`]: what it took earlier than that answers none of them. 0 if it does not know.
    pub taken: Wall,
    /// Of the last letter that the relay took: it says nothing of letters under higher ones.
    pub mark: Mark,
}

/// What a client says to its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToRelay<'a> {
    /// I am this member; register the name if it is free.
    SignIn {
        /// The name, not yet checked.
        name: &'a str,
        /// The secret of an invitation; empty if there is none.
        invite: &'a [u8],
        /// A screen follows: no letter is to be handed over before its last part.
        screen_follows: bool,
        /// The outbox of its letters.
        outbox: Option<OutboxMark<'a>>,
        /// What the client understands.
        features: Features,
    },
    /// I have every letter of that sender's outbox up to `through`.
    Stored {
        /// The sender's name.
        from: &'a str,
        /// The sender's outbox.
        outbox: OutboxId,
        /// The last number stored.
        through: u64,
        /// Of that letter: those under higher ones are not meant.
        mark: Mark,
        /// The sender hears of it at the next full second.
        at_full_second: bool,
    },
    /// My reader has seen every letter of that sender's outbox up to `through`.
    Read {
        /// The sender's name.
        from: &'a str,
        /// The sender's outbox.
        outbox: OutboxId,
        /// The last number seen.
        through: u64,
    },
    /// How far have my letters to this recipient come? A receipt answers, and every refusal still owed.
    Ask {
        /// The recipient's name.
        to: &'a str,
        /// The outbox.
        outbox: OutboxId,
    },
    /// I know that this letter was refused; it need not be told again.
    Heard {
        /// The recipient's name.
        to: &'a str,
        /// Which letter.
        id: LetterId,
    },
    /// Know copies of this outbox by this from now on.
    Mark {
        /// The outbox.
        outbox: OutboxId,
        /// Higher than what the session has said before.
        said: Said,
    },
    /// Whose letters to refuse as `blocked`.
    Screen {
        /// [`SCREEN_FIRST`], [`SCREEN_LAST`], [`SCREEN_ONLY`].
        flags: u8,
        /// Members, not yet checked.
        names: Names<'a>,
    },
    /// I keep nothing of this letter; its author may have the text back.
    ReaderRefusal {
        /// The sender's name.
        from: &'a str,
        /// Which letter.
        id: LetterId,
        /// Why; one of those that [`Reason::is_of_readers`].
        reason: Reason,
    },
    /// Take this letter.
    Letter(Letter<'a>),
}

/// What a relay says to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// You are signed in.
    Welcome {
        /// The longest text of a letter, in bytes.
        text_max: u32,
        /// Letters a mailbox holds of one sender.
        mailbox_letters: u32,
        /// Bytes of bodies a mailbox holds of one sender.
        mailbox_bytes: u64,
        /// For how long, in seconds.
        kept_s: u32,
        /// The mark of the sign-in is not durable: new letters are refused as `full` until it is.
        mark_unwritten: bool,
        /// What the relay understands.
        features: Features,
    },
    /// You are not signed in.
    NameRefused {
        /// Why.
        reason: NameReason,
        /// The name in the way, or an empty text.
        name: &'a str,
    },
    /// How far your letters have come.
    Receipt(Receipt<'a>),
    /// Letters of yours were refused.
    Refused(Refused<'a>),
    /// The marks of your session are durable.
    Marked {
        /// Up to this mark.
        mark: Mark,
    },
    /// A letter for you.
    Delivery(Delivery<'a>),
}

impl ToRelay<'_> {
    /// Appends the message.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            ToRelay::SignIn { name, invite, screen_follows, outbox, features } => {
                buf.push(0x01);
                put_short_text(buf, name);
                let flags = if *screen_follows { SCREEN_FOLLOWS } else { 0 }
                    | if outbox.is_some() { OUTBOX_FOLLOWS } else { 0 };
                buf.push(u8::try_from(invite.len()).expect("an invitation is short"));
                buf.extend_from_slice(invite);
                buf.push(flags);
                outbox.iter().for_each(|outbox| outbox.encode(buf));
                features.encode(buf);
            }
            ToRelay::Stored { from, outbox, through, mark, at_full_second } => {
                buf.push(0x02);
                put_short_text(buf, from);
                put_numbers(buf, &[outbox.0, *through]);
                put_mark(buf, *mark);
                buf.push(if *at_full_second { AT_FULL_SECOND } else { 0 });
            }
            ToRelay::Read { from, outbox, through } => {
                buf.push(0x03);
                put_short_text(buf, from);
                put_numbers(buf, &[outbox.0, *through]);
            }
            ToRelay::Ask { to, outbox } => {
                buf.push(0x04);
                put_short_text(buf, to);
                put_numbers(buf, &[outbox.0]);
            }
            ToRelay::Heard { to, id } => {
                buf.push(0x05);
                put_short_text(buf, to);
                put_numbers(buf, &[id.outbox.0, id.number]);
            }
            ToRelay::Mark { outbox, said } => {
                buf.push(0x07);
                put_numbers(buf, &[outbox.0]);
                Earlier::put(buf, *said);
            }
            ToRelay::Screen { flags, names } => {
                buf.extend_from_slice(&[0x06, *flags]);
                buf.extend_from_slice(names.as_bytes());
            }
            ToRelay::ReaderRefusal { from, id, reason } => {
                buf.push(0x09);
                put_short_text(buf, from);
                put_numbers(buf, &[id.outbox.0, id.number]);
                buf.push(reason.code());
            }
            ToRelay::Letter(letter) => {
                buf.push(0x10);
                put_short_text(buf, letter.to);
                put_numbers(buf, &[letter.id.outbox.0, letter.id.number, letter.prev]);
                put_mark(buf, letter.mark);
                buf.push(letter.kind);
                buf.extend_from_slice(letter.body);
            }
        }
    }
}

impl ToRelay<'_> {
    /// The feature that a relay must have said to hear this; `None` if every relay understands it.
    pub const fn needs(&self) -> Option<Feature> {
        match self {
            ToRelay::SignIn { .. }
            | ToRelay::Stored { .. }
            | ToRelay::Read { .. }
            | ToRelay::Ask { .. }
            | ToRelay::Heard { .. }
            | ToRelay::Mark { .. }
            | ToRelay::Screen { .. }
            | ToRelay::ReaderRefusal { .. }
            | ToRelay::Letter(_) => None,
        }
    }
}

impl<'a> ToRelay<'a> {
    /// Reads a message; `None` is one that may be skipped.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut short or its kind must be understood and is not.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<ToRelay<'a>>, Malformed> {
        let mut r = Reader::new(bytes);
        Ok(Some(match r.u8()? {
            0x01 => read_sign_in(r)?,
            0x02 => ToRelay::Stored {
                from: r.short_text()?,
                outbox: OutboxId(r.u64()?),
                through: r.u64()?,
                mark: Mark(r.u32()?),
                at_full_second: r.u8()? & AT_FULL_SECOND != 0,
            },
            0x03 => ToRelay::Read { from: r.short_text()?, outbox: OutboxId(r.u64()?), through: r.u64()? },
            0x04 => ToRelay::Ask { to: r.short_text()?, outbox: OutboxId(r.u64()?) },
            0x05 => ToRelay::Heard { to: r.short_text()?, id: read_id(&mut r)? },
            0x06 => ToRelay::Screen { flags: r.u8()?, names: Names::decode(r)? },
            0x07 => ToRelay::Mark { outbox: OutboxId(r.u64()?), said: read_said(&mut r)? },
            0x09 => read_reader_refusal(r)?,
            0x10 => ToRelay::Letter(Letter {
                to: r.short_text()?,
                id: read_id(&mut r)?,
                prev: r.u64()?,
                mark: Mark(r.u32()?),
                kind: r.u8()?,
                body: r.rest(),
            }),
            0x80.. => return Ok(None),
            _ => return Err(Malformed),
        }))
    }
}

impl ToClient<'_> {
    /// Appends the message.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            ToClient::Welcome {
                text_max,
                mailbox_letters,
                mailbox_bytes,
                kept_s,
                mark_unwritten,
                features,
            } => {
                buf.push(0x41);
                buf.extend_from_slice(&text_max.to_be_bytes());
                buf.extend_from_slice(&mailbox_letters.to_be_bytes());
                buf.extend_from_slice(&mailbox_bytes.to_be_bytes());
                buf.extend_from_slice(&kept_s.to_be_bytes());
                buf.push(if *mark_unwritten { MARK_UNWRITTEN } else { 0 });
                features.encode(buf);
            }
            ToClient::NameRefused { reason, name } => {
                let code =
                    NAME_REASONS.iter().find(|r| r.0 == *reason).expect("every reason is in the table").1;
                buf.extend_from_slice(&[0x42, code]);
                put_short_text(buf, name);
            }
            ToClient::Receipt(receipt) => {
                buf.push(0x43);
                put_short_text(buf, receipt.to);
                let Receipt { outbox, accepted, delivered, read, until, taken, .. } = receipt;
                put_numbers(buf, &[outbox.0, *accepted, *delivered, *read, until.0, taken.0]);
                put_mark(buf, receipt.mark);
            }
            ToClient::Refused(refused) => refused.encode(buf),
            ToClient::Marked { mark } => {
                buf.push(0x46);
                put_mark(buf, *mark);
            }
            ToClient::Delivery(delivery) => {
                delivery.encode_head(buf);
                buf.extend_from_slice(delivery.body);
            }
        }
    }
}

impl ToClient<'_> {
    /// The feature that a client must have said to hear this; `None` if every client understands
    /// it.
    pub const fn needs(&self) -> Option<Feature> {
        match self {
            ToClient::Welcome { .. }
            | ToClient::NameRefused { .. }
            | ToClient::Receipt(_)
            | ToClient::Refused(_)
            | ToClient::Marked { .. }
            | ToClient::Delivery(_) => None,
        }
    }
}

impl<'a> ToClient<'a> {
    /// Reads a message; `None` is one that may be skipped.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut short or its kind must be understood and is not.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<ToClient<'a>>, Malformed> {
        let mut r = Reader::new(bytes);
        Ok(Some(match r.u8()? {
            0x41 => ToClient::Welcome {
                text_max: r.u32()?,
                mailbox_letters: r.u32()?,
                mailbox_bytes: r.u64()?,
                kept_s: r.u32()?,
                mark_unwritten: r.u8().is_ok_and(|flags| flags & MARK_UNWRITTEN != 0),
                features: Features::decode(&mut r),
            },
            0x42 => {
                let code = r.u8()?;
                let reason = NAME_REASONS.iter().find(|n| n.1 == code).ok_or(Malformed)?.0;
                ToClient::NameRefused { reason, name: r.short_text()? }
            }
            0x43 => ToClient::Receipt(Receipt {
                to: r.short_text()?,
                outbox: OutboxId(r.u64()?),
                accepted: r.u64()?,
                delivered: r.u64()?,
                read: r.u64()?,
                until: Wall(r.u64()?),
                taken: Wall(r.u64()?),
                mark: Mark(r.u32()?),
            }),
            0x44 => ToClient::Refused(Refused::decode(r)?),
            0x46 => ToClient::Marked { mark: Mark(r.u32()?) },
            0x50 => ToClient::Delivery(Delivery {
                from: r.short_text()?,
                id: read_id(&mut r)?,
                prev: r.u64()?,
                accepted: Wall(r.u64()?),
                mark: Mark(r.u32()?),
                kind: r.u8()?,
                body: r.rest(),
            }),
            0x80.. => return Ok(None),
            _ => return Err(Malformed),
        }))
    }
}

impl Delivery<'_> {
    /// Appends everything but the body, so that a body that lies elsewhere need not be copied first.
    pub fn encode_head(&self, buf: &mut Vec<u8>) {
        buf.push(0x50);
        put_short_text(buf, self.from);
        put_numbers(buf, &[self.id.outbox.0, self.id.number, self.prev, self.accepted.0]);
        put_mark(buf, self.mark);
        buf.push(self.kind);
    }
}

fn read_reader_refusal(mut r: Reader<'_>) -> Result<ToRelay<'_>, Malformed> {
    let (from, id, reason) = (r.short_text()?, read_id(&mut r)?, Reason::of_code(r.u8()?));
    if reason.is_of_readers() { Ok(ToRelay::ReaderRefusal { from, id, reason }) } else { Err(Malformed) }
}

fn read_id(r: &mut Reader<'_>) -> Result<LetterId, Malformed> {
    Ok(LetterId { outbox: OutboxId(r.u64()?), number: r.u64()? })
}

fn put_numbers(buf: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        buf.extend_from_slice(&number.to_be_bytes());
    }
}

fn put_mark(buf: &mut Vec<u8>, mark: Mark) {
    buf.extend_from_slice(&mark.0.to_be_bytes());
}

#[cfg(test)]
mod tests;
