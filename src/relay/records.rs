//! Persistent records of a relay, and the state it restores at its start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::{LetterHeader, LetterId, Mark, Name, OutboxId, PublicKey, Wall, Watermarks};
use crate::wire::message::{Delivery, MarkToken, Reason, ToClient};

use super::buffer_pool::SharedBytes;
use super::limits::Limits;
use super::membership::MembershipChange;

/// A change to persist. Records take effect in the order in which they are submitted.
///
/// Each describes its failure case. "Written again" means: under a key, with the state at the time
/// when the disk accepts records again. There is one entry for each key however long that takes
/// (`relay/unwritten.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Registers a name for a key. On failure the claim is refused.
    Member {
        /// The name.
        name: Name,
        /// The identity key that owns it.
        key: PublicKey,
        /// Time of registration, in milliseconds of the uptime clock; the name counts as unused
        /// from then on.
        since: u64,
    },
    /// Changes members, invitations or block lists.
    Membership(MembershipChange),
    /// Adds letters to a mailbox and raises watermarks, all or none. On failure the letters are
    /// written again while their recipient is online, and otherwise refused to their senders as
    /// `full`.
    Letters {
        /// The recipient.
        to: Name,
        /// In the order of their sequence numbers.
        letters: Vec<MailboxLetter>,
        /// Earlier deliveries in the same flows that were not persisted yet.
        deliveries: Vec<PersistedFlow>,
    },
    /// Raises watermarks and removes delivered letters. On failure the watermarks are written
    /// again, and the letters removed with them.
    Progress {
        /// Watermarks of the letters' flow, which only rise. `None` for letters of the relay
        /// itself.
        flow: Option<PersistedFlow>,
        /// Sequence numbers of the letters that the recipient has.
        stored: Vec<u64>,
    },
    /// Removes an undelivered letter, which expired or was refused, and keeps its refusal for the
    /// sender. On failure the letter stays, its sender receives nothing, and the record is
    /// repeated.
    Expired {
        /// Its sequence number.
        seq: u64,
        /// The refusal for its sender.
        refusal: PendingRefusal,
    },
    /// Marks a letter as damaged: it stays on disk unchanged, and no longer waits. On failure it is
    /// found again when the mailbox is loaded.
    Damaged {
        /// Its sequence number.
        seq: u64,
        /// Owner of the mailbox.
        to: Name,
        /// The refusal for its sender, if known.
        refusal: Option<PendingRefusal>,
    },
    /// Removes idle flows from disk, and after the commit from memory. On failure both keep them,
    /// and the next round finds them.
    Pruned(Vec<FlowNames>),
    /// A sign-in, which is answered after the commit. On failure the session's new letters are
    /// refused until the write succeeds. Once that session has ended, the record is written again.
    SignedIn {
        /// The outbox and its mark.
        outbox: PersistedOutbox,
        /// Another outbox of the member, to be forgotten.
        forgotten: Option<OutboxId>,
    },
    /// The sender has acknowledged this refusal. On failure it is written again, unless the refusal
    /// is pending again.
    RefusalAcknowledged(PendingRefusal),
    /// The uptime clock: total running time in milliseconds. On failure it is written again with
    /// its new value.
    Clock(u64),
    /// Session hints for the next process of this relay. On failure the current hint of each
    /// session is queued again, and each ended session too.
    Sessions {
        /// New and changed hints.
        hints: Vec<SessionHint>,
        /// Indexes of ended sessions.
        ended: Vec<u32>,
    },
}

impl Record {
    /// Returns the approximate number of bytes that it uses in memory until it is durable.
    pub fn weight(&self) -> usize {
        match self {
            Record::Letters { letters, deliveries, .. } => {
                let letters = letters.iter().map(|letter| letter.message.len() + 128);
                letters.sum::<usize>() + deliveries.len() * 256
            }
            Record::Progress { stored, .. } => 256 + stored.len() * 8,
            Record::Pruned(flows) => 256 + flows.len() * 64,
            Record::Sessions { hints, ended } => 256 + hints.len() * 64 + ended.len() * 4,
            Record::Membership(MembershipChange::Lists { lists, .. }) => 256 + lists.names() * 128,
            _ => 256,
        }
    }
}

/// A letter in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxLetter {
    /// Its sequence number among all letters; a mailbox is emptied in this order.
    pub seq: u64,
    /// Time at which it was taken, in milliseconds of the uptime clock.
    pub stored_at: u64,
    /// Its sender.
    pub from: Name,
    /// Its identifier.
    pub id: LetterId,
    /// The length of its body, in bytes.
    pub len: u64,
    /// The outbox mark under which it was numbered; also in the delivery.
    pub mark: Mark,
    /// The encoded delivery.
    pub message: SharedBytes,
}

impl MailboxLetter {
    /// Returns the header of a damaged letter, if its row and the message in it agree on it.
    pub fn trusted_header(row: LetterHeader, message: &[u8]) -> Option<LetterHeader> {
        let Ok(Some(ToClient::Delivery(delivery))) = ToClient::decode(message) else { return None };
        let Delivery { from, id, body, .. } = delivery;
        ((from, id, body.len()) == (row.from.as_str(), row.id, row.len)).then_some(row)
    }
}

/// A flow, and the progress of its letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistedFlow {
    /// The sender.
    pub from: Name,
    /// The sender's outbox.
    pub outbox: OutboxId,
    /// The recipient.
    pub to: Name,
    /// Progress of its letters.
    pub watermarks: Watermarks,
    /// Time of the last letter, in milliseconds of the uptime clock; 0 if unknown. For letters that
    /// the relay does not know, the time of the read watermark.
    pub since: u64,
    /// Outbox mark of the last letter taken.
    pub mark: Mark,
    /// Whether `delivered` is reported at the next full second of a running relay.
    pub at_full_second: bool,
}

/// An outbox of a member, and the last sign-in with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistedOutbox {
    /// The member.
    pub member: Name,
    /// The outbox.
    pub outbox: OutboxId,
    /// Mark and token of the sign-in.
    pub mark_token: MarkToken,
    /// Its time, in milliseconds of the uptime clock.
    pub used: u64,
}

/// The names of a flow: a sender's outbox and a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowNames {
    /// The sender.
    pub from: Name,
    /// The sender's outbox.
    pub outbox: OutboxId,
    /// The recipient.
    pub to: Name,
}

/// A refusal of an accepted letter, kept until its sender acknowledges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRefusal {
    /// The sender.
    pub from: Name,
    /// The recipient.
    pub to: Name,
    /// The letter.
    pub id: LetterId,
    /// The reason.
    pub reason: Reason,
    /// Whether it was sent to the recipient, and may have arrived.
    pub may_have_arrived: bool,
    /// The outbox mark under which the letter was numbered. If the letter is damaged, the highest
    /// one of its flow.
    pub mark: Mark,
}

impl PendingRefusal {
    /// Returns a refusal whose reason was stored as a word.
    pub fn from_stored(
        from: Name,
        to: Name,
        id: LetterId,
        word: &str,
        may_have_arrived: bool,
        mark: Mark,
    ) -> PendingRefusal {
        PendingRefusal { from, to, id, reason: Reason::from_stored(word), may_have_arrived, mark }
    }
}

/// The letters of one outbox that wait in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCount {
    /// The recipient.
    pub to: Name,
    /// The sender.
    pub from: Name,
    /// The sender's outbox.
    pub outbox: OutboxId,
    /// Their number.
    pub letters: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// The highest letter number.
    pub last_number: u64,
    /// Time at which that letter was taken, in milliseconds of the uptime clock.
    pub last_since: u64,
    /// The highest outbox mark.
    pub last_mark: Mark,
}

/// Validated UDP address of a session's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionHint {
    /// The client's address.
    pub addr: SocketAddr,
    /// Index of the client's packets; the token of a RESET is derived from it and the relay's key.
    pub index: u32,
    /// The local address that the client writes to, unless the system should choose the source of a
    /// RESET.
    pub local: Option<IpAddr>,
}

/// State that a relay restores at its start, except the members. The letters themselves stay on
/// disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedMail {
    /// Start value of the uptime clock, in milliseconds.
    pub clock: u64,
    /// The highest sequence number of a stored letter; 0 if there is none.
    pub last_seq: u64,
    /// Waiting letters of each flow.
    pub waiting: Vec<WaitingCount>,
    /// Watermarks of each flow.
    pub flows: Vec<PersistedFlow>,
    /// Refusals that their senders have not acknowledged.
    pub refusals: Vec<PendingRefusal>,
    /// Members' outboxes.
    pub outboxes: Vec<PersistedOutbox>,
    /// Session hints of the previous process.
    pub sessions: Vec<SessionHint>,
    /// Origin of a relay that was restored from a backup.
    pub restored: Option<Restored>,
}

impl PersistedMail {
    /// Whether letters that were lost by a restore could still wait otherwise.
    ///
    /// The relay has run for less than the retention time since the restore.
    pub fn is_restore_recent(&self, limits: &Limits) -> bool {
        self.restored.is_some_and(|restored| restored.is_recent(self.clock, limits.keep))
    }
}

/// Origin of a relay that was restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Letters accepted after this time are missing.
    pub missing_since: Wall,
    /// The uptime clock at the restore, in milliseconds.
    pub clock: u64,
    /// Sequence numbers up to this one may have been used before the restore.
    pub seq_floor: u64,
}

/// Sequence numbers that a relay may have used between a backup and its restore. 2^40: at a million
/// letters a second this takes twelve days, and SQLite's 63 bits leave eight million restores.
const SEQS_SKIPPED: u64 = 1 << 40;

impl Restored {
    /// Returns the origin of a relay whose backup was complete up to `missing_since`, with `clock`
    /// and the highest sequence number of a letter in it.
    pub const fn new(missing_since: Wall, clock: u64, last_seq: u64) -> Restored {
        Restored { missing_since, clock, seq_floor: last_seq.saturating_add(SEQS_SKIPPED) }
    }

    /// Whether the relay has run for less than `keep` since the restore, at `clock` of its uptime
    /// clock.
    pub(super) fn is_recent(&self, clock: u64, keep: Duration) -> bool {
        u128::from(clock.saturating_sub(self.clock)) < keep.as_millis()
    }
}
