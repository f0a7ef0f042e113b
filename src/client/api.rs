//! Commands, durable records, and events of a client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Carrier, Fingerprint, HostPort, LetterId, Mark, Name, OutboxId, PublicKey, Wall};
use crate::wire::letter::{GuestEvent, LetterBody};
use crate::wire::message::{MarkToken as SignedIn, NameReason, Reason};

use super::block_list::BlockLists;
use super::connect_failure::ConnectFailure;
use super::persisted::{PersistedClient, Reach};
use super::strangers::Holdings;

/// One relay of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayConfig {
    /// Its address over UDP, and over TCP unless `tcp` is set. Also its name in events.
    pub addr: HostPort,
    /// Its TCP address.
    pub tcp: Option<HostPort>,
    /// Its pinned key; `None` pins the first key that the relay proves.
    pub key: Option<PublicKey>,
    /// Expected fingerprint of its key. Nothing is sent under any other key, pinned or not.
    pub fingerprint: Option<Fingerprint>,
}

/// Carriers that a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carriers {
    /// UDP, with TCP as fallback.
    #[default]
    Auto,
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
}

/// Parameters of a new client.
#[derive(Debug)]
pub struct Config {
    /// The member's name; `None` for a client that never signs in (`ping`).
    pub name: Option<Name>,
    /// The member's private X25519 key.
    pub private_key: [u8; 32],
    /// The outbox for its letters, unless [`PersistedClient::outboxes`] has another one for the
    /// relay.
    pub outbox: OutboxId,
    /// The permitted carriers.
    pub carriers: Carriers,
    /// The highest handshake counter that is durably reserved; 0 at the first run.
    pub counter_reserved: u64,
    /// State of earlier runs; `None` without a disk, where letters wait for no commit.
    pub persisted: Option<PersistedClient>,
    /// Maximum bytes kept of all members outside the address book; usually
    /// [`super::STRANGERS_BYTES_MAX`].
    pub strangers_bytes_max: u64,
    /// The seed of all its randomness.
    pub seed: [u8; 32],
}

/// A request of the user or of the host process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the complete list of relays. Sessions with any other relay end.
    Relays(Vec<RelayConfig>),
    /// Sends a letter. `request` is in every event about it, also in later runs. A request that is
    /// already under way is ignored.
    Send {
        /// Identifies this letter in events. Random, so that two runs use different numbers.
        request: u64,
        /// The recipient's relay; it must be one of [`Command::Relays`].
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The text, at most 64 KiB.
        text: String,
    },
    /// Ends the conversation with a guest. Sent as a letter, with the events of [`Command::Send`].
    Close {
        /// As in [`Command::Send`].
        request: u64,
        /// The guest's relay.
        relay: HostPort,
        /// The guest.
        to: Name,
    },
    /// A letter of [`Event::Letter`] was shown. Until then it stays unread for the next frontend.
    Shown {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// Its id.
        id: LetterId,
        /// A user or program has seen it and all letters before it; the relay receives `READ`.
        read: bool,
    },
    /// Measures one round trip with a probe of the link; [`Event::Pong`] has the result.
    Ping {
        /// The relay.
        relay: HostPort,
    },
    /// Sets the invitation secret for relays that require one. Relays that refused the name without
    /// it are tried again.
    Invitation(Vec<u8>),
    /// Sets the block lists; each session begins with them. Also bounds the storage of members
    /// outside the address book.
    Screen(BlockLists),
    /// Sets the bytes stored of each sender, after some of them were erased.
    Held(Holdings),
    /// Sets the permitted carriers. A relay that is on UDP and cannot be reached over TCP refuses
    /// [`Carriers::Tcp`]: [`Event::TcpUnreached`].
    Carriers(Carriers),
    /// Shows no more refusals; the next run shows them.
    HoldRefusals,
    /// The machine has another address or another route to a relay.
    NetworkChanged,
    /// Ends every session cleanly; the answer is [`Event::Left`].
    Leave,
}

/// State that a client makes durable. Each variant states the consequence of a failed commit.
/// "Retried" records keep their order, and later records wait for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Handshake counters up to this one may be used. On failure none is used; the next attempt at
    /// a handshake requests the record again.
    Counter(u64),
    /// The relay proved this key at first use. On failure it is given again, independently of other
    /// records, until it is durable or the user has decided on the key.
    Pin {
        /// The relay, as named in the address book.
        relay: HostPort,
        /// Its key.
        key: PublicKey,
    },
    /// UDP failed to reach this relay, or was validated after a failure. The next run starts with
    /// it. On failure the latest value is given again, independently of other records.
    UdpFailed {
        /// The relay.
        relay: HostPort,
        /// Time of the failure; `None` once UDP is validated.
        at: Option<Wall>,
    },
    /// The client is about to sign in and to number letters under this mark. If the outbox differs
    /// from the previous one, letters waiting there are refused, as with [`Record::OldCopy`]. On
    /// failure the client does not sign in.
    SigningIn {
        /// The relay.
        relay: HostPort,
        /// The outbox of letters that go through it.
        outbox: OutboxId,
        /// Contents of the sign-in.
        sign_in: SignedIn,
    },
    /// This relay's outbox is an old copy. A new outbox replaces it, and waiting letters are
    /// refused with that reason.
    OldCopy {
        /// The relay.
        relay: HostPort,
        /// The new outbox.
        outbox: OutboxId,
    },
    /// The user wrote a letter, which is sent once this is durable. On failure the user gets it
    /// back. The outbox is as in [`Record::SigningIn`].
    Written {
        /// The recipient's relay.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// The letter's number in this outbox, for this recipient.
        number: u64,
        /// The mark under which it was numbered.
        mark: Mark,
        /// The command's number.
        request: u64,
        /// Its text.
        text: String,
        /// Time of writing.
        written: Wall,
        /// Kind and body in the form that is sent, now and in every repetition.
        encoded: LetterBody,
    },
    /// Progress of a conversation's letters: watermarks, which only rise. Retried.
    Reached {
        /// The recipient's relay.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// The watermarks.
        reach: Reach,
    },
    /// A letter was refused for good. No letter behind it is sent before this is durable. Retried.
    Refused {
        /// The relay that refused it.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// The letter's number in the outbox.
        number: u64,
        /// The reason.
        reason: Reason,
        /// Whether the letter may have arrived nevertheless.
        may_have_arrived: bool,
    },
    /// The user has seen a refusal. Every run shows it until then. Retried.
    RefusalShown {
        /// The relay that refused the letter.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// The letter's number in the outbox.
        number: u64,
    },
    /// A letter came in. It is shown, and the relay receives `STORED`, once this is durable.
    /// Retried.
    Received {
        /// The letter.
        letter: Incoming,
        /// Number of the previous stored letter of the same outbox; 0 for any. This record must not
        /// become durable without that letter.
        after: u64,
        /// The mark under which the sender numbered it.
        mark: Mark,
    },
    /// An old copy of the sender's outbox numbered letters from this mark on. None of them is
    /// accepted. Retried.
    Closed {
        /// The relay they come through.
        relay: HostPort,
        /// The sender.
        from: Name,
        /// Its outbox.
        outbox: OutboxId,
        /// The mark.
        mark: Mark,
    },
    /// An incoming letter is refused; only its number is stored. The relay receives the refusal
    /// once this is durable. Retried.
    Declined {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// Its id.
        id: LetterId,
        /// The reason.
        reason: Reason,
        /// As in [`Record::Received`].
        after: u64,
        /// As in [`Record::Received`].
        mark: Mark,
    },
    /// A letter was shown. Retried.
    Shown {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// Its id.
        id: LetterId,
        /// Whether its sender may learn that it and all letters before it were read.
        read: bool,
    },
}

impl Record {
    /// Returns the relay that the record is about.
    pub const fn relay(&self) -> Option<&HostPort> {
        match self {
            Record::Counter(_) => None,
            Record::Received { letter, .. } => Some(&letter.relay),
            Record::Pin { relay, .. }
            | Record::UdpFailed { relay, .. }
            | Record::SigningIn { relay, .. }
            | Record::OldCopy { relay, .. }
            | Record::Closed { relay, .. }
            | Record::Written { relay, .. }
            | Record::Reached { relay, .. }
            | Record::Refused { relay, .. }
            | Record::RefusalShown { relay, .. }
            | Record::Declined { relay, .. }
            | Record::Shown { relay, .. } => Some(relay),
        }
    }
}

impl Progress {
    /// Returns the word for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Progress::Queued => "queued",
            Progress::Accepted => "accepted",
            Progress::Waiting { .. } => "waiting",
            Progress::Delivered => "delivered",
            Progress::Read => "read",
        }
    }
}

/// Progress of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Progress {
    /// It is durable in the outbox.
    Queued,
    /// The relay is responsible for it.
    Accepted,
    /// It is in the recipient's mailbox.
    Waiting {
        /// Time at which it leaves the mailbox undelivered.
        until: Wall,
    },
    /// The recipient's program has stored it.
    Delivered,
    /// The recipient has seen it.
    Read,
}

/// Why a letter did not enter the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotQueued {
    /// Writing it to disk failed.
    Disk,
    /// The outbox holds [`OUTBOX_LETTERS_MAX`](super::OUTBOX_LETTERS_MAX) letters or
    /// [`OUTBOX_BYTES_MAX`](super::OUTBOX_BYTES_MAX) bytes.
    Full,
}

/// An incoming letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// The relay it came through.
    pub relay: HostPort,
    /// Its sender.
    pub from: Name,
    /// Its id.
    pub id: LetterId,
    /// Its text; empty if there is a note.
    pub text: String,
    /// The relay's note about its sender, a guest.
    pub note: Option<GuestEvent>,
    /// When the relay accepted it.
    pub at: Wall,
    /// The carrier it came on.
    pub via: Carrier,
    /// Letters of the same sender between the last one shown and this one that never came.
    pub missing: u64,
    /// The disk has damaged it since it came; any part of it may be wrong.
    pub damaged: bool,
}

/// One letter of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Whether this member wrote it.
    pub by_me: bool,
    /// The relay it went through.
    pub relay: HostPort,
    /// The other member.
    pub member: Name,
    /// Its id.
    pub id: LetterId,
    /// Its text; empty if there is a note.
    pub text: String,
    /// The note about the conversation with the other member, a guest.
    pub note: Option<GuestEvent>,
    /// When it was written, or when the relay accepted it.
    pub at: Wall,
    /// Its progress. Incoming letters are delivered, and read once shown.
    pub state: Progress,
    /// The carrier it came on; `None` for sent letters.
    pub via: Option<Carrier>,
    /// Letters of its sender before it that never came.
    pub missing: u64,
    /// The disk has damaged it; any part of it may be wrong.
    pub damaged: bool,
    /// It was refused because the outbox was an old copy, so it may have arrived.
    pub is_old_copy: bool,
}

/// Why a conversation changed its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveReason {
    /// UDP has fallen silent.
    Silent,
    /// UDP loses too many packets, or all long ones.
    Poor,
    /// UDP was validated.
    Proved,
    /// The TCP connection ended, and UDP answered first.
    Broken,
    /// The user permitted no other carrier.
    Asked,
}

/// An event for the user interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A letter came in and is durable. Shown once, in its sender's order.
    Letter(Incoming),
    /// A letter came in that this version does not understand. Its content is not kept, and the
    /// sender gets it back. Shown at most once a minute.
    Unreadable {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// Its id.
        id: LetterId,
    },
    /// Letters of members outside the address book are refused: their storage is full. Shown once
    /// until some of it is free again.
    StrangersFull {
        /// The relay of the first refused letter.
        relay: HostPort,
    },
    /// Progress of a letter.
    Progress {
        /// The command's number.
        request: u64,
        /// The letter's id.
        id: LetterId,
        /// The progress.
        progress: Progress,
        /// The carrier of the session with that relay.
        via: Carrier,
        /// When the relay accepted it, or a letter given shortly before it, by the clock of
        /// [`Incoming::at`]. A letter accepted earlier is not an answer to it. 0 if unknown.
        taken_at: Wall,
    },
    /// A letter was refused; the user gets the text back.
    Refused {
        /// The command's number.
        request: u64,
        /// The letter's id.
        id: LetterId,
        /// The recipient.
        to: Name,
        /// The reason.
        reason: Reason,
        /// Whether it may have arrived: it was on its way when its recipient was lost, or an
        /// earlier attempt had no answer.
        may_have_arrived: bool,
        /// Existing names similar to the unknown one.
        nearest: Vec<Name>,
        /// The text. Empty if it was dropped here while the letter waited in a mailbox with many
        /// others.
        text: String,
    },
    /// A letter did not enter the outbox; the user gets the text back.
    Unkept {
        /// The command's number.
        request: u64,
        /// The recipient.
        to: Name,
        /// The reason.
        reason: NotQueued,
        /// Its text.
        text: String,
    },
    /// The client has signed in; also after each reconnection.
    Online {
        /// The relay.
        relay: HostPort,
        /// The carrier.
        via: Carrier,
    },
    /// The conversation continues over another carrier.
    Moved {
        /// The relay.
        relay: HostPort,
        /// The new carrier.
        via: Carrier,
        /// The reason.
        reason: MoveReason,
    },
    /// [`Command::Carriers`] permitted TCP only, and a relay reached over UDP was not reached over
    /// TCP. It stays on UDP, with the carriers permitted before.
    TcpUnreached {
        /// The relay.
        relay: HostPort,
        /// It refused the connection: it has no TCP listener. Otherwise it did not answer.
        is_refused: bool,
    },
    /// The relay refuses the client under this name. The client stops trying.
    NameRefused {
        /// The relay.
        relay: HostPort,
        /// The reason.
        reason: NameReason,
        /// The conflicting name; `None` if there is none or it is not a valid name.
        name: Option<Name>,
    },
    /// The relay's key was pinned: the first one it proved.
    Pinned {
        /// The relay.
        relay: HostPort,
        /// Its key.
        key: PublicKey,
    },
    /// The relay is unreachable; the client keeps trying where that can help. Shown once until that
    /// changes.
    Unreached {
        /// The relay.
        relay: HostPort,
        /// The reason.
        reason: ConnectFailure,
    },
    /// A session that was online is gone. The client is connecting again.
    Lost {
        /// The relay.
        relay: HostPort,
    },
    /// This relay's outbox is an old copy. New letters go into another outbox, and waiting letters
    /// are refused.
    OldCopy {
        /// The relay.
        relay: HostPort,
    },
    /// The relay was restored from a backup and has lost letters that it had accepted. They may not
    /// have arrived, and are sent again.
    LostByRelay {
        /// The relay.
        relay: HostPort,
        /// Their recipient.
        to: Name,
        /// Their number.
        letters: usize,
    },
    /// Another machine signed in with the same key. This client has stopped.
    Replaced {
        /// The relay.
        relay: HostPort,
    },
    /// The answer to [`Command::Ping`].
    Pong {
        /// The relay.
        relay: HostPort,
        /// The carrier of the probe.
        via: Carrier,
        /// The round trip.
        rtt: Duration,
    },
    /// Every session has ended.
    Left,
}
