//! What a relay keeps on disk, and what it finds there when it starts.

use std::net::{IpAddr, SocketAddr};

use crate::base::{Label, LetterId, Mark, Name, OutboxId, PublicKey};
use crate::wire::message::{Delivery, Reason, Said, ToClient};

use super::parcels::Parcel;
use super::roll::Change;

/// What a relay makes durable. Records take effect in the order they were handed over.
///
/// Each says what happens when it fails. "Written again": under a key, with what memory knows when
/// the disk takes records again; one entry for each key however long that takes
/// (`relay/unwritten.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// This key registered this name. If it fails the name is refused to the one who asked.
    Member {
        /// The name.
        name: Name,
        /// The identity key that owns it.
        key: PublicKey,
        /// When, on the relay's own clock, in milliseconds; the name counts as unused from then on.
        since: u64,
    },
    /// Who may become a member, who was one, and who refuses whom.
    Roll(Change),
    /// These letters wait in a mailbox now: all of them, or none. If it fails they are tried again
    /// while their recipient is here, and refused to their authors as `full` otherwise.
    Letters {
        /// The recipient.
        to: Name,
        /// In the order of their places.
        letters: Vec<KeptLetter>,
    },
    /// Letters have come further. If it fails the marks are written again, and the letters leave
    /// the disk with them.
    Progress {
        /// How far those of their outbox have come; the watermarks only rise. `None` for letters of the relay itself.
        marks: Option<Marks>,
        /// The places of letters that their recipient has: they leave its mailbox.
        stored: Vec<u64>,
    },
    /// A letter leaves its mailbox undelivered, because it expired or was refused, and its author
    /// is to be told. If this fails, the letter stays and its author hears nothing; it is tried
    /// again.
    Expired {
        /// Its place.
        place: u64,
        /// What the author is told.
        owed: OwedRefusal,
    },
    /// A letter in this mailbox is damaged: it stays on the disk as it is, and waits no longer. If
    /// it fails it is met again when the mailbox is loaded again.
    Damaged {
        /// Its place.
        place: u64,
        /// Whose mailbox.
        to: Name,
        /// What its author is told, where it is known who that is.
        owed: Option<OwedRefusal>,
    },
    /// Nothing depends on these any more: they leave the disk, and memory when that is durable. If
    /// it fails both keep them, and the next round finds them.
    Rested(Vec<FlowNames>),
    /// A member signs in, which is answered once this is durable. If it fails the session takes no
    /// new letters until it is tried again; once that session is gone it is written again.
    SignedIn {
        /// What it says of its outbox.
        outbox: KeptOutbox,
        /// Another outbox of it of which nothing is known any more.
        gone: Option<OutboxId>,
    },
    /// The author knows of this refusal. If it fails it is written again, unless the refusal is
    /// owed again.
    Heard(OwedRefusal),
    /// The relay's own clock: so many milliseconds has it run in all. If it fails it is written
    /// again, as it then is.
    Clock(u64),
    /// Where sessions are, for the relay that runs after this one. If it fails each session is
    /// noted again, as it then is, and those that ended once more.
    Sessions {
        /// New ones, and those that have moved.
        noted: Vec<SessionNote>,
        /// Indexes that lead nowhere any more.
        ended: Vec<u32>,
    },
}

impl Record {
    /// About how many bytes it keeps in memory until it is durable.
    pub fn weight(&self) -> usize {
        match self {
            Record::Letters { letters, .. } => letters.iter().map(|l| l.message.len() + 128).sum(),
            Record::Progress { stored, .. } => 256 + stored.len() * 8,
            Record::Rested(flows) => 256 + flows.len() * 64,
            Record::Sessions { noted, ended } => 256 + noted.len() * 64 + ended.len() * 4,
            Record::Roll(Change::Blocks { blocked, .. }) => 256 + blocked.len() * 128,
            _ => 256,
        }
    }
}

/// A letter in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLetter {
    /// Where it stands among all letters; it leaves its mailbox in this order.
    pub place: u64,
    /// When it was taken, on the relay's own clock, in milliseconds.
    pub since: u64,
    /// Who wrote it.
    pub from: Name,
    /// What it is called.
    pub id: LetterId,
    /// The length of its body, in bytes.
    pub len: u64,
    /// Under which it was numbered; the delivery says it too.
    pub mark: Mark,
    /// The delivery as it goes to the recipient.
    pub message: Parcel,
}

impl KeptLetter {
    /// What a damaged letter is called, if its row and the message in it agree on that.
    pub fn believed(row: Label, message: &[u8]) -> Option<Label> {
        let Ok(Some(ToClient::Delivery(delivery))) = ToClient::decode(message) else { return None };
        let Delivery { from, id, body, .. } = delivery;
        ((from, id, body.len()) == (row.from.as_str(), row.id, row.len)).then_some(row)
    }
}

/// Watermarks of one author's outbox and one recipient: each number up to them, unless refused, has come so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The author.
    pub from: Name,
    /// The author's outbox.
    pub outbox: OutboxId,
    /// The recipient.
    pub to: Name,
    /// The relay answers for them.
    pub accepted: u64,
    /// The recipient has them.
    pub delivered: u64,
    /// The recipient has read them.
    pub read: u64,
    /// When a letter was last written, on the relay's own clock, in milliseconds; 0 if that is not
    /// known. Of letters that the relay knows nothing of: when their recipient said that it had
    /// read them.
    pub since: u64,
    /// Of the last letter that was taken.
    pub mark: Mark,
}

/// An outbox of a member, and the last sign-in with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOutbox {
    /// The member.
    pub member: Name,
    /// The outbox.
    pub outbox: OutboxId,
    /// What the sign-in said.
    pub said: Said,
    /// When that was, on the relay's own clock, in milliseconds.
    pub used: u64,
}

/// One author's outbox and one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowNames {
    /// The author.
    pub from: Name,
    /// The author's outbox.
    pub outbox: OutboxId,
    /// The recipient.
    pub to: Name,
}

/// A refusal of a letter that had been accepted; it is kept until its author has heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedRefusal {
    /// The author.
    pub from: Name,
    /// The recipient.
    pub to: Name,
    /// Which letter.
    pub id: LetterId,
    /// Why.
    pub reason: Reason,
    /// It was on its way to the recipient once.
    pub may_have_arrived: bool,
}

impl OwedRefusal {
    /// A refusal whose reason was kept as its word.
    pub fn read(from: Name, to: Name, id: LetterId, word: &str, may_have_arrived: bool) -> OwedRefusal {
        OwedRefusal { from, to, id, reason: Reason::kept(word), may_have_arrived }
    }
}

/// The letters of one outbox that wait in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The recipient.
    pub to: Name,
    /// The author.
    pub from: Name,
    /// The author's outbox.
    pub outbox: OutboxId,
    /// How many.
    pub letters: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// The highest number among them.
    pub last_number: u64,
    /// When that one was taken, on the relay's own clock, in milliseconds.
    pub last_since: u64,
    /// The highest mark among them.
    pub last_mark: Mark,
}

/// Where the other end of a session is, over UDP: it has proved that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionNote {
    /// Its address.
    pub addr: SocketAddr,
    /// The index its packets come under; the token of a RESET follows from it and the relay's key.
    pub index: u32,
    /// The address of ours that it writes to, if the system is not to choose where a RESET leaves from.
    pub asked: Option<IpAddr>,
}

/// Everything but the members as the disk has it when a relay starts; the letters themselves stay there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Where the relay's own clock goes on, in milliseconds.
    pub clock: u64,
    /// The highest place ever used by a letter that is still there; 0 if there is none.
    pub last_place: u64,
    /// What waits where.
    pub waiting: Vec<Waiting>,
    /// How far letters have come.
    pub marks: Vec<Marks>,
    /// Refusals whose authors have not heard of them.
    pub refusals: Vec<OwedRefusal>,
    /// Members' outboxes.
    pub outboxes: Vec<KeptOutbox>,
    /// Where the sessions of the relay before this one were.
    pub sessions: Vec<SessionNote>,
}
