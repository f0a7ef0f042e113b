//! What the user may ask of a client, what it makes durable, and what it shows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Carrier, Fingerprint, HostPort, LetterId, Mark, Name, OutboxId, PublicKey, Wall};
use crate::wire::letter::{GuestNote, Made};
use crate::wire::message::{NameReason, Reason, Said as SignedIn};

use super::kept::{Kept, Reach};
use super::screen::Screens;
use super::strangers::Holdings;

/// One relay the client speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySpec {
    /// Where it is reached over UDP, and over TCP unless `tcp` says otherwise. Also its name in events.
    pub addr: HostPort,
    /// Where it listens for TCP.
    pub tcp: Option<HostPort>,
    /// Its key, if it was pinned before; otherwise the first key it shows is pinned.
    pub key: Option<PublicKey>,
    /// What its key has to look like: nothing is sent under another one, pinned or not.
    pub fingerprint: Option<Fingerprint>,
}

/// Which carriers a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carriers {
    /// UDP, and TCP when UDP does not get through.
    #[default]
    Auto,
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
}

/// What a client is made with.
#[derive(Debug)]
pub struct Config {
    /// The member; `None` for a client that signs in nowhere (`ping`).
    pub name: Option<Name>,
    /// The member's private X25519 key.
    pub private_key: [u8; 32],
    /// The outbox its letters are written into, where none of [`Kept::outboxes`] has taken its
    /// place.
    pub outbox: OutboxId,
    /// Which carriers it may use.
    pub carriers: Carriers,
    /// The highest handshake counter that is durably reserved; 0 at the first run.
    pub counter_reserved: u64,
    /// What earlier runs left; `None` if nothing is kept on disk: then letters wait for no commit.
    pub kept: Option<Kept>,
    /// Bytes kept of all who are not in the address book; usually [`super::STRANGERS_BYTES_MAX`].
    pub strangers_bytes_max: u64,
    /// The seed of all its randomness.
    pub seed: [u8; 32],
}

/// What the user, or the process, asks of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// These are the relays to speak to, all of them; others are left.
    Relays(Vec<RelaySpec>),
    /// Send a letter. `request` comes back in every event about it, also in later runs; a request that is on its way
    /// already is not sent a second time.
    Send {
        /// Names this letter in events: a random number, so that no two runs use the same.
        request: u64,
        /// The relay where the recipient is reached; it must be one of [`Command::Relays`].
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// What to say, at most 64 KiB.
        text: String,
    },
    /// End the conversation with a guest. It goes the way of a letter, with [`Command::Send`]'s
    /// events.
    Close {
        /// As in [`Command::Send`].
        request: u64,
        /// The relay where the guest is.
        relay: HostPort,
        /// The guest.
        to: Name,
    },
    /// A letter of [`Event::Letter`] was shown. Until then it is kept for the next who shows letters.
    Shown {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// What it is called.
        id: LetterId,
        /// Somebody, or some program, has seen it and all before it: its sender is told.
        read: bool,
    },
    /// Measure one round trip with a probe of the link; the answer is [`Event::Pong`].
    Ping {
        /// Which relay.
        relay: HostPort,
    },
    /// Come to relays that need it with this secret of an invitation; those that refused the name without it are tried again.
    Invitation(Vec<u8>),
    /// From now on these letters are refused; relays learn it first in each session. What is kept
    /// of members who are not in the address book is bounded from then on.
    Screen(Screens),
    /// The disk has this of each sender: something of it was erased.
    Held(Holdings),
    /// From now on these carriers may be used.
    Carriers(Carriers),
    /// From now on no refusal is shown: the next run tells those that come.
    HoldRefusals,
    /// The machine has another address, or another way to one of the relays.
    NetworkChanged,
    /// End every session in good order; the answer is [`Event::Left`].
    Leave,
}

/// What a client makes durable. Each says what happens when that fails; "tried again" is in order
/// with all others and holds up what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Handshake counters up to this one may be used. If it fails none is, and the next attempt at
    /// a handshake asks again.
    Counter(u64),
    /// This relay showed this key at first use. If it fails it is given again, by itself, until it
    /// is durable or the user has decided on the key.
    Pin {
        /// The relay, as the address book names it.
        relay: HostPort,
        /// Its key.
        key: PublicKey,
    },
    /// UDP did not get through to this relay, or was proved after that: what the next run begins
    /// with. If it fails the newest of it is given again, by itself.
    UdpFailed {
        /// The relay.
        relay: HostPort,
        /// When it failed; `None` once it is proved.
        at: Option<Wall>,
    },
    /// The client is about to sign in, and to number letters under this mark. Where the outbox is
    /// another one than before, letters that wait in that one are refused, as with
    /// [`Record::OldCopy`]. If it fails the client does not sign in.
    SigningIn {
        /// The relay.
        relay: HostPort,
        /// The outbox of letters that go through it.
        outbox: OutboxId,
        /// What the sign-in says.
        said: SignedIn,
    },
    /// The outbox of this relay is an old copy: another one takes its place, and letters that wait
    /// are refused for that.
    OldCopy {
        /// The relay.
        relay: HostPort,
        /// The new outbox.
        outbox: OutboxId,
    },
    /// The user wrote a letter. It goes out once this is durable. If it fails the letter goes back
    /// to its writer. The outbox is as in [`Record::SigningIn`].
    Written {
        /// The relay where the recipient is reached.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// The letter's number there, for this recipient.
        number: u64,
        /// The mark under which it was numbered.
        mark: Mark,
        /// The command's number.
        request: u64,
        /// What it says.
        text: String,
        /// When it was written.
        written: Wall,
        /// Kind and body, as they are sent, now and whenever it is sent again.
        made: Made,
    },
    /// Letters of a conversation came further: watermarks, which only rise. If it fails it is tried
    /// again.
    Reached {
        /// The relay where the recipient is reached.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox.
        outbox: OutboxId,
        /// How far.
        reach: Reach,
    },
    /// A letter was refused for good. Nothing behind it goes out before this is durable. If it
    /// fails it is tried again.
    Refused {
        /// The relay that refused it.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox, and the letter's number in it.
        outbox: OutboxId,
        /// See `outbox`.
        number: u64,
        /// Why.
        reason: Reason,
        /// It may have arrived all the same.
        may_have_arrived: bool,
    },
    /// The user was told of a refusal. Until then every run tells it. If it fails it is tried
    /// again.
    Told {
        /// The relay that refused the letter.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// The outbox, and the letter's number in it.
        outbox: OutboxId,
        /// See `outbox`.
        number: u64,
    },
    /// A letter came in. It is shown, and the relay is told that it is stored, once this is
    /// durable. If it fails it is tried again.
    Received {
        /// The letter.
        letter: Incoming,
        /// The last letter of the same outbox before it that was stored; 0 if that does not matter. Without that one
        /// this record must not become durable.
        after: u64,
        /// The mark under which its sender numbered it.
        mark: Mark,
    },
    /// A sender's letters from this mark on were numbered by an old copy of its outbox: none of
    /// them is taken. If it fails it is tried again.
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
    /// A letter that came in is refused: nothing of it is kept but its number. The relay hears of
    /// it once this is durable. If it fails it is tried again.
    Declined {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// What it is called.
        id: LetterId,
        /// Why.
        reason: Reason,
        /// As in [`Record::Received`].
        after: u64,
        /// As in [`Record::Received`].
        mark: Mark,
    },
    /// A letter was shown. If it fails it is tried again.
    Shown {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// What it is called.
        id: LetterId,
        /// Its sender may know that it and all before it were seen.
        read: bool,
    },
}

impl Record {
    /// Whose letters it is about.
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
            | Record::Told { relay, .. }
            | Record::Declined { relay, .. }
            | Record::Shown { relay, .. } => Some(relay),
        }
    }
}

impl Progress {
    /// The word scripts read.
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

/// How far a letter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Progress {
    /// It is in the outbox, durably.
    Queued,
    /// The relay answers for it.
    Accepted,
    /// It is in the recipient's mailbox.
    Waiting {
        /// When it leaves the mailbox undelivered.
        until: Wall,
    },
    /// The recipient's program has it.
    Delivered,
    /// The recipient has seen it.
    Read,
}

/// Why a letter was not taken into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unkept {
    /// It could not be written to disk.
    Disk,
    /// The outbox holds [`OUTBOX_LETTERS_MAX`](super::OUTBOX_LETTERS_MAX) letters or
    /// [`OUTBOX_BYTES_MAX`](super::OUTBOX_BYTES_MAX) bytes.
    Full,
}

/// A letter that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// The relay it came through.
    pub relay: HostPort,
    /// Its sender.
    pub from: Name,
    /// What it is called.
    pub id: LetterId,
    /// What it says; empty if there is a note.
    pub text: String,
    /// What the relay says about its sender, a guest.
    pub note: Option<GuestNote>,
    /// When the relay took it.
    pub at: Wall,
    /// What it came on.
    pub via: Carrier,
    /// Letters of the same sender between the last one shown and this one that never came.
    pub missing: u64,
    /// The disk has damaged it since it came: nobody knows what of it is right.
    pub damaged: bool,
}

/// One letter of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether this member wrote it; otherwise the other one did.
    pub by_me: bool,
    /// The relay it went through.
    pub relay: HostPort,
    /// The other one.
    pub member: Name,
    /// What it is called.
    pub id: LetterId,
    /// What it says; empty if there is a note.
    pub text: String,
    /// What was said about the conversation with the other one, a guest.
    pub note: Option<GuestNote>,
    /// When it was written, or when the relay took it.
    pub at: Wall,
    /// How far it has come. One that came in was delivered, and read once it was shown.
    pub state: Progress,
    /// What it came on; `None` for those that were sent.
    pub via: Option<Carrier>,
    /// Letters of its sender before it that never came.
    pub missing: u64,
    /// The disk has damaged it: nobody knows what of it is right.
    pub damaged: bool,
    /// It was refused because the outbox was an old copy: it may have arrived.
    pub is_old_copy: bool,
}

/// Why a client cannot reach a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unreached {
    /// The host name has no address.
    NoSuchHost,
    /// Every permitted carrier was refused or stayed silent.
    Silent,
    /// Only TCP is permitted, and nothing listens for it there.
    NoTcpListener,
    /// The relay showed another key than the pinned one.
    KeyChanged {
        /// The pinned key.
        pinned: PublicKey,
        /// What it showed.
        offered: PublicKey,
    },
    /// The relay showed another key than the expected one; none is pinned.
    KeyUnlikeBook {
        /// What its key was expected to look like.
        wanted: Fingerprint,
        /// What it showed.
        offered: PublicKey,
    },
    /// The pinned key is another than the expected one: the relay is not spoken to.
    BookUnlikePin {
        /// What its key is expected to look like.
        wanted: Fingerprint,
        /// The pinned key.
        pinned: PublicKey,
    },
    /// The relay answered, but could not prove the pinned key, or would not take ours.
    HandshakeRefused,
    /// The relay answered, but cannot write our name down now, or has been asked for names too often from here.
    NameNotWritten,
}

impl Unreached {
    /// Whether the relay's key is another than the known one: its user has to decide.
    pub const fn is_other_key(&self) -> bool {
        matches!(
            self,
            Unreached::KeyChanged { .. } | Unreached::KeyUnlikeBook { .. } | Unreached::BookUnlikePin { .. }
        )
    }
}

/// Why a conversation goes on over another carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedWhy {
    /// UDP has fallen silent.
    Silent,
    /// UDP loses too much, or whatever is long.
    Poor,
    /// UDP was tested and gets through.
    Proved,
    /// The TCP connection ended, and UDP answered first.
    Broken,
    /// The user asked for it.
    Asked,
}

/// What a client shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A letter came in, and is durable: once, and in its sender's order.
    Letter(Incoming),
    /// A letter came in that this version cannot understand: nothing of it is kept, and its sender
    /// has it back. Shown once a minute at most.
    Unreadable {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// What it is called.
        id: LetterId,
    },
    /// Letters of members who are not in the address book are refused: as much is kept of them as
    /// may be. Shown once until there is room again.
    StrangersFull {
        /// The relay through which the first of those letters came.
        relay: HostPort,
    },
    /// A letter got further.
    Progress {
        /// The command's number.
        request: u64,
        /// What the letter is called.
        id: LetterId,
        /// How far it has come.
        progress: Progress,
        /// What the client speaks to that relay on.
        via: Carrier,
        /// When the relay took it, or one given shortly before it, by the clock of [`Incoming::at`]: a letter that it took
        /// earlier is no answer. 0 if that is not known.
        taken: Wall,
    },
    /// A letter was refused; the text is the user's again.
    Refused {
        /// The command's number.
        request: u64,
        /// What the letter is called.
        id: LetterId,
        /// Whom it was for.
        to: Name,
        /// Why.
        reason: Reason,
        /// It was on its way when its recipient was lost, or an earlier try had no answer.
        may_have_arrived: bool,
        /// Names like the one that does not exist.
        nearest: Vec<Name>,
        /// What it said; empty if it waited long in a mailbox, behind so many others that its text was not kept here.
        text: String,
    },
    /// A letter was not taken into the outbox; the text is the user's again.
    Unkept {
        /// The command's number.
        request: u64,
        /// Whom it was for.
        to: Name,
        /// Why.
        why: Unkept,
        /// What it said.
        text: String,
    },
    /// Signed in; also after each reconnection.
    Online {
        /// Which relay.
        relay: HostPort,
        /// What it is reached on.
        via: Carrier,
    },
    /// The conversation goes on over another carrier.
    Moved {
        /// Which relay.
        relay: HostPort,
        /// The new carrier.
        via: Carrier,
        /// Why.
        why: MovedWhy,
    },
    /// The relay will not have us under this name. The client stops trying.
    NameRefused {
        /// Which relay.
        relay: HostPort,
        /// Why.
        reason: NameReason,
        /// The name in the way; `None` if there is none or it is no name.
        name: Option<Name>,
    },
    /// The relay's key was pinned: it is the first one it showed.
    Pinned {
        /// Which relay.
        relay: HostPort,
        /// Its key.
        key: PublicKey,
    },
    /// The relay cannot be reached; the client keeps trying where that can help. Shown once until that changes.
    Unreached {
        /// Which relay.
        relay: HostPort,
        /// Why.
        why: Unreached,
    },
    /// A session that was online is gone; the client is at work on a new one.
    Lost {
        /// Which relay.
        relay: HostPort,
    },
    /// The outbox of this relay is an old copy: what is written from now on goes into another one,
    /// and what waited comes back as refused.
    OldCopy {
        /// Which relay.
        relay: HostPort,
    },
    /// Another machine signed in with the same key; this client has stopped.
    Replaced {
        /// Which relay.
        relay: HostPort,
    },
    /// The answer to [`Command::Ping`].
    Pong {
        /// Which relay.
        relay: HostPort,
        /// What it was measured on.
        via: Carrier,
        /// The round trip.
        rtt: Duration,
    },
    /// Every session has ended.
    Left,
}
