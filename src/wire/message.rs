//! Messages: the units that the streams of a session deliver completely, once and in order.
//!
//! A message is `kind(1) fields`. Kinds below 0x80 must be understood; an unknown one is a protocol
//! violation. Kinds from 0x80 on may be skipped. Bytes after the last field of a known message
//! belong to later versions and are skipped. `name` means `length(1) UTF-8`. A *letter number*
//! counts from 1 for each outbox and recipient.
//!
//! Client to relay:
//!
//! | kind | stream | message | fields |
//! | --- | --- | --- | --- |
//! | 0x01 | control | sign-in | `name`; or `name invite_len(1) invite flags(1) features(4)`. `invite` is the secret of an invitation, or empty. Flag 1: a block list follows; deliver no letter before its last part. Flag 2: the outbox of the client's letters precedes `features` ([`OutboxMark`]). See [`super::features`] |
//! | 0x02 | control | stored | `name` of the sender, `outbox(8) through(8) mark(4) flags(1)`: the recipient has every letter up to `through` that was numbered under `mark` or a lower one. Flag 1: report it to the sender at the next full second, see below |
//! | 0x03 | control | read | `name` of the sender, `outbox(8) through(8)`: the user has seen every letter up to `through` |
//! | 0x04 | control | query receipt | `name` of a recipient, `outbox(8) accepted(8) settled(8)`: requests a receipt for the letters to this recipient, and every refusal still pending. `accepted`: the last letter that the client knows to be accepted and not delivered, or 0. `settled`: the client knows what became of every letter up to this one |
//! | 0x05 | control | refusal received | `name` of a recipient, `outbox(8) number(8)`: the client knows that this letter was refused |
//! | 0x06 | control | block list, allow list | `flags(1)` and any number of `name`s. Letters of blocked senders are refused as `blocked`. Flag 1: first part of a list. Flag 2: last part. Flag 4: an allow list, accept letters from these names only. Without flag 4: a block list, accept no letters from these names. Its last part puts this list, and an allow list before it, into effect. They replace the earlier ones and stay in effect while the member is away |
//! | 0x07 | control | mark | `outbox(8) mark(4) token(4)`: from this message on, the relay recognises copies of the outbox by these values, as if the sign-in had held them; see [`OutboxMark`] |
//! | 0x09 | control | reader's refusal | `name` of the sender, `outbox(8) number(8) reason(1)`: the recipient keeps nothing of this letter. Only `full` (3), `old-copy` (8) and `unsupported` (10), and only for a letter that was delivered in this session and is not stored |
//! | 0x10 | chat | letter | `name` of the recipient, `outbox(8) number(8) prev(8) mark(4) kind(1) body` |
//!
//! Relay to client:
//!
//! | kind | stream | message | fields |
//! | --- | --- | --- | --- |
//! | 0x41 | control | welcome | `text_max(4)`: the longest text of a letter in bytes. `mailbox_letters(4) mailbox_bytes(8) kept_s(4)`: limits of a mailbox per sender, and the retention time in seconds. `flags(1)`, flag 1: the mark of the sign-in is not durable, and new letters are refused as `full` until it is. `features(4)`, see [`super::features`] |
//! | 0x42 | control | name refused | `reason(1) name`: the conflicting name, or an empty one |
//! | 0x43 | control | receipt | `name` of the recipient, `outbox(8) accepted(8) delivered(8) read(8)`: watermarks. `until_ms(8)`: when the last accepted letter leaves the mailbox undelivered, 0 if it waits in no mailbox. `taken_ms(8)`: when the relay took the first of the letters that were not accepted at the previous receipt, by the clock of `accepted_ms`, 0 if unknown. `mark(4)`: of the last letter that it took |
//! | 0x44 | control | refused | `name` of the recipient, `outbox(8) first(8) through(8)`, `mark(4)`: the highest one of these letters, or the highest number if unknown, `reason(1) may_have_arrived(1) count(1)` and `count` nearest `name`s |
//! | 0x46 | control | marked | `mark(4)`: the marks of this session up to it are durable |
//! | 0x50 | chat | delivery | `name` of the sender, `outbox(8) number(8) prev(8) accepted_ms(8) mark(4) kind(1) body` |
//!
//! A refusal covers the letters of that outbox to that recipient from `first` through `through`, at
//! least one. It covers those only that the relay had read when it sent the refusal: letters of
//! this session, or letters that it had accepted. Numbers in between that were never sent, or were
//! refused before, are not affected.
//!
//! A relay that was restored from a backup refuses letters that it had accepted and lost, as
//! `behind`: after a query those up to `accepted`, and with a letter those before it. The client
//! sends them again. If it does not have them any more, `settled` of its next query is higher.
//!
//! A letter whose `prev` was refused in this session is refused as well. The reason is the same if
//! it concerns the whole conversation (`unknown`, `blocked`), and `behind` otherwise. A letter that
//! the client sends after it has read a refusal carries another `prev`, and is judged
//! independently. A reason that the client does not know refuses a letter like any other.
//!
//! `prev` is the last number to that recipient that was not refused, 0 if there is none. The relay
//! never reads a body; [`super::letter`] defines it. Reserved: 0x45 for presence, 0x11–0x1f and
//! 0x51–0x5f for groups and files.
//!
//! A letter's `mark` is the one under which its client numbered it. Marks of one outbox and
//! recipient never fall. If a letter has a higher mark than the last one taken, but no higher
//! number, an old copy of the outbox has numbered it. The relay or the recipient refuses it as
//! `old-copy`, and all later letters of that session as well. A receipt covers letters up to its
//! mark only.
//!
//! A `stored` covers each letter up to its number and mark that the recipient has not refused
//! earlier in the same session. Therefore it repeats the refusals that it remembers of a
//! conversation once per session, before the first `stored` of that conversation. It remembers
//! [`super::limits::REFUSALS_REMEMBERED`] per relay. A relay delivers at most half as many letters
//! before the first of them has left its mailbox for good.
//!
//! A recipient sets flag 1 of `stored` for letters of senders that it does not know. The letters
//! leave the mailbox and count as accepted, as without the flag. But until the next full second of
//! the relay's own clock, every receipt reports them as if they waited in the mailbox. Otherwise a
//! stranger would learn the arrival time of letters to the millisecond. A `read`, or a `stored`
//! without the flag, ends this for all letters of the conversation.

mod marks;
mod name_list;
mod reason;
mod refused;

use serde::{Deserialize, Serialize};

use crate::base::{LetterId, Mark, OutboxId, Wall, Watermarks};
use marks::{BLOCK_LIST_FOLLOWS, OUTBOX_FOLLOWS, read_mark_token, read_sign_in};
pub use marks::{EARLIER_MARKS_MAX, EarlierMarks, MarkToken, OutboxMark};
pub use name_list::{ALLOW_LIST, BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList};
pub use reason::Reason;
pub use refused::{NEAREST_MAX, Nearest, Refused};

use super::bytes::{DecodeError, Reader, put_short_text};
use super::features::{Feature, Features};

/// Kind of a letter whose body is a [`super::letter`] text.
pub const KIND_TEXT: u8 = 1;
/// Kind of a letter about the conversation with a guest.
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
    /// It is not a valid name.
    Bad,
    /// This key has another name at this relay.
    Other,
    /// Too many names were registered from this source recently.
    TooMany,
    /// The relay could not store it; a later attempt may succeed.
    Disk,
    /// This relay is closed, and the sign-in held no valid invitation.
    Closed,
    /// The name is reserved for the holder of its invitation, or the invitation is for the name
    /// returned.
    Kept,
    /// The operator removed this member.
    Removed,
    /// This relay has its maximum number of members; invited users can still register.
    Full,
    /// Another copy of the outbox has signed in since. The client must sign in with a new outbox;
    /// the name is correct.
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

/// Flag of the welcome: new letters are refused until the mark is durable.
const MARK_UNWRITTEN: u8 = 1;
/// Flag of `stored`: report it to the sender at the next full second.
const AT_FULL_SECOND: u8 = 1;

/// A letter on its way from its sender to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter<'a> {
    /// The recipient's name, not yet checked.
    pub to: &'a str,
    /// Outbox and number.
    pub id: LetterId,
    /// The last number to that recipient that was not refused.
    pub prev: u64,
    /// The mark under which it was numbered.
    pub mark: Mark,
    /// Determines the format of the body.
    pub kind: u8,
    /// Encoded content, which only the two members read.
    pub body: &'a [u8],
}

/// A letter on its way from the relay to its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The sender's name.
    pub from: &'a str,
    /// Outbox and number.
    pub id: LetterId,
    /// The last number before it that was not refused.
    pub prev: u64,
    /// When the relay took it.
    pub accepted: Wall,
    /// The mark under which it was numbered.
    pub mark: Mark,
    /// Determines the format of the body.
    pub kind: u8,
    /// Encoded content, which only the two members read.
    pub body: &'a [u8],
}

/// Progress of the letters of one outbox to one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The recipient's name.
    pub to: &'a str,
    /// The sender's outbox.
    pub outbox: OutboxId,
    /// Progress of these letters.
    pub watermarks: Watermarks,
    /// When the last accepted letter leaves the mailbox undelivered; 0 if it waits in no mailbox.
    pub until: Wall,
    /// When the relay took the first of the letters that were not accepted at the previous receipt.
    ///
    /// By the clock of [`Delivery::accepted`]; 0 if unknown. A letter that the relay took earlier
    /// answers none of them.
    pub taken_at: Wall,
    /// Mark of the last letter that the relay took. The receipt does not cover letters under higher
    /// ones.
    pub mark: Mark,
}

/// A message from a client to its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToRelay<'a> {
    /// Signs in as this member; registers the name if it is free.
    SignIn {
        /// The name, not yet checked.
        name: &'a str,
        /// The secret of an invitation; empty if there is none.
        invite: &'a [u8],
        /// A block list follows: the relay must deliver no letter before its last part.
        block_list_follows: bool,
        /// The outbox of the client's letters.
        outbox: Option<OutboxMark<'a>>,
        /// Features that the client understands.
        features: Features,
    },
    /// The recipient has every letter of that sender's outbox up to `through`, but for those that
    /// it has refused in this session. `through` is a letter delivered in this session.
    Stored {
        /// The sender's name.
        from: &'a str,
        /// The sender's outbox.
        outbox: OutboxId,
        /// The last number stored.
        through: u64,
        /// Mark of that letter; letters under higher marks are not covered.
        mark: Mark,
        /// Report it to the sender at the next full second.
        at_full_second: bool,
    },
    /// The user has seen every letter of that sender's outbox up to `through`.
    Read {
        /// The sender's name.
        from: &'a str,
        /// The sender's outbox.
        outbox: OutboxId,
        /// The last number seen.
        through: u64,
    },
    /// Requests a receipt for the letters to this recipient, and every refusal still pending.
    QueryReceipt {
        /// The recipient's name.
        to: &'a str,
        /// The outbox.
        outbox: OutboxId,
        /// The last letter known as accepted and not as delivered, or 0.
        accepted: u64,
        /// The client knows the outcome of every letter up to this one.
        settled: u64,
    },
    /// The client knows that this letter was refused; the relay need not repeat it.
    RefusalReceived {
        /// The recipient's name.
        to: &'a str,
        /// The refused letter.
        id: LetterId,
    },
    /// The relay must recognise copies of this outbox by this value from this message on.
    Mark {
        /// The outbox.
        outbox: OutboxId,
        /// Higher than every earlier one of the session.
        mark_token: MarkToken,
    },
    /// Block list: senders whose letters are refused as `blocked`; or an allow list.
    BlockList {
        /// [`BLOCK_LIST_FIRST`], [`BLOCK_LIST_LAST`], [`ALLOW_LIST`].
        flags: u8,
        /// Names of members, not yet checked.
        names: NameList<'a>,
    },
    /// The recipient keeps nothing of this letter; its sender may recover the text.
    RecipientRefusal {
        /// The sender's name.
        from: &'a str,
        /// The refused letter.
        id: LetterId,
        /// One of the reasons for which [`Reason::is_by_recipient`] holds.
        reason: Reason,
    },
    /// A letter to deliver.
    Letter(Letter<'a>),
}

/// A message from a relay to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// The sign-in succeeded.
    Welcome {
        /// Maximum text of a letter, in bytes.
        text_max: u32,
        /// Maximum letters of one sender in a mailbox.
        mailbox_letters: u32,
        /// Maximum bytes of bodies of one sender in a mailbox.
        mailbox_bytes: u64,
        /// Retention time of a letter, in seconds.
        kept_s: u32,
        /// The mark of the sign-in is not durable: new letters are refused as `full` until it is.
        mark_unwritten: bool,
        /// Features that the relay understands.
        features: Features,
    },
    /// The sign-in failed.
    NameRefused {
        /// The cause.
        reason: NameReason,
        /// The conflicting name, or an empty text.
        name: &'a str,
    },
    /// Progress of the client's letters.
    Receipt(Receipt<'a>),
    /// Letters of the client were refused.
    Refused(Refused<'a>),
    /// The marks of the client's session are durable.
    Marked {
        /// Up to this mark.
        mark: Mark,
    },
    /// A letter for the client.
    Delivery(Delivery<'a>),
}

impl ToRelay<'_> {
    /// Appends the message.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            ToRelay::SignIn { name, invite, block_list_follows, outbox, features } => {
                buf.push(0x01);
                put_short_text(buf, name);
                let flags = if *block_list_follows { BLOCK_LIST_FOLLOWS } else { 0 }
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
            ToRelay::QueryReceipt { to, outbox, accepted, settled } => {
                buf.push(0x04);
                put_short_text(buf, to);
                put_numbers(buf, &[outbox.0, *accepted, *settled]);
            }
            ToRelay::RefusalReceived { to, id } => {
                buf.push(0x05);
                put_short_text(buf, to);
                put_numbers(buf, &[id.outbox.0, id.number]);
            }
            ToRelay::Mark { outbox, mark_token } => {
                buf.push(0x07);
                put_numbers(buf, &[outbox.0]);
                EarlierMarks::put(buf, *mark_token);
            }
            ToRelay::BlockList { flags, names } => {
                buf.extend_from_slice(&[0x06, *flags]);
                buf.extend_from_slice(names.as_bytes());
            }
            ToRelay::RecipientRefusal { from, id, reason } => {
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
    /// Returns the feature that a relay must have announced before it receives this message.
    ///
    /// `None` if every relay understands it.
    pub const fn needs(&self) -> Option<Feature> {
        match self {
            ToRelay::SignIn { .. }
            | ToRelay::Stored { .. }
            | ToRelay::Read { .. }
            | ToRelay::QueryReceipt { .. }
            | ToRelay::RefusalReceived { .. }
            | ToRelay::Mark { .. }
            | ToRelay::BlockList { .. }
            | ToRelay::RecipientRefusal { .. }
            | ToRelay::Letter(_) => None,
        }
    }
}

impl<'a> ToRelay<'a> {
    /// Decodes a message. Returns `None` for one that may be skipped.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is cut short, or its kind is unknown and must be understood.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<ToRelay<'a>>, DecodeError> {
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
            0x04 => ToRelay::QueryReceipt {
                to: r.short_text()?,
                outbox: OutboxId(r.u64()?),
                accepted: r.u64()?,
                settled: r.u64()?,
            },
            0x05 => ToRelay::RefusalReceived { to: r.short_text()?, id: read_id(&mut r)? },
            0x06 => ToRelay::BlockList { flags: r.u8()?, names: NameList::decode(r)? },
            0x07 => ToRelay::Mark { outbox: OutboxId(r.u64()?), mark_token: read_mark_token(&mut r)? },
            0x09 => read_recipient_refusal(r)?,
            0x10 => ToRelay::Letter(Letter {
                to: r.short_text()?,
                id: read_id(&mut r)?,
                prev: r.u64()?,
                mark: Mark(r.u32()?),
                kind: r.u8()?,
                body: r.rest(),
            }),
            0x80.. => return Ok(None),
            _ => return Err(DecodeError),
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
                let Receipt { outbox, until, taken_at, .. } = receipt;
                let Watermarks { accepted, delivered, read } = receipt.watermarks;
                put_numbers(buf, &[outbox.0, accepted, delivered, read, until.0, taken_at.0]);
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
    /// Returns the feature that a client must have announced before it receives this message.
    ///
    /// `None` if every client understands it.
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
    /// Decodes a message. Returns `None` for one that may be skipped.
    ///
    /// # Errors
    /// [`DecodeError`] if the message is cut short, or its kind is unknown and must be understood.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<ToClient<'a>>, DecodeError> {
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
                let reason = NAME_REASONS.iter().find(|n| n.1 == code).ok_or(DecodeError)?.0;
                ToClient::NameRefused { reason, name: r.short_text()? }
            }
            0x43 => ToClient::Receipt(Receipt {
                to: r.short_text()?,
                outbox: OutboxId(r.u64()?),
                watermarks: Watermarks { accepted: r.u64()?, delivered: r.u64()?, read: r.u64()? },
                until: Wall(r.u64()?),
                taken_at: Wall(r.u64()?),
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
            _ => return Err(DecodeError),
        }))
    }
}

impl Delivery<'_> {
    /// Appends everything except the body, so that a body stored elsewhere need not be copied
    /// first.
    pub fn encode_head(&self, buf: &mut Vec<u8>) {
        buf.push(0x50);
        put_short_text(buf, self.from);
        put_numbers(buf, &[self.id.outbox.0, self.id.number, self.prev, self.accepted.0]);
        put_mark(buf, self.mark);
        buf.push(self.kind);
    }
}

/// Reads a reader's refusal after its kind. Any reason that no recipient may give is malformed.
fn read_recipient_refusal(mut r: Reader<'_>) -> Result<ToRelay<'_>, DecodeError> {
    let from = r.short_text()?;
    let id = read_id(&mut r)?;
    let reason = Reason::from_code(r.u8()?);
    if reason.is_by_recipient() {
        Ok(ToRelay::RecipientRefusal { from, id, reason })
    } else {
        Err(DecodeError)
    }
}

fn read_id(r: &mut Reader<'_>) -> Result<LetterId, DecodeError> {
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
