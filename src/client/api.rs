//! What the user may ask of a client, what it makes durable, and what it shows.

use std::time::Duration;

use crate::base::{Carrier, HostPort, LetterId, Name, OutboxId, PublicKey, Wall};
use crate::wire::message::{NameReason, Reason};

/// One relay the client speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySpec {
    /// Where it is reached over UDP, and over TCP unless `tcp` says otherwise. Also its name in events.
    pub addr: HostPort,
    /// Where it listens for TCP.
    pub tcp: Option<HostPort>,
    /// Its key, if it was pinned before; otherwise the first key it shows is pinned.
    pub key: Option<PublicKey>,
}

/// Which carriers a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The outbox its letters are written into.
    pub outbox: OutboxId,
    /// Which carriers it may use.
    pub carriers: Carriers,
    /// The highest handshake counter that is durably reserved; 0 at the first run.
    pub counter_reserved: u64,
    /// The seed of all its randomness.
    pub seed: [u8; 32],
}

/// What the user, or the process, asks of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// These are the relays to speak to, all of them; others are left.
    Relays(Vec<RelaySpec>),
    /// Send a letter. `request` comes back in every event about it.
    Send {
        /// Names this letter in events.
        request: u64,
        /// The relay where the recipient is reached; it must be one of [`Command::Relays`].
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// What to say, at most 64 KiB.
        text: String,
    },
    /// Measure one round trip with a probe of the link; the answer is [`Event::Pong`].
    Ping {
        /// Which relay.
        relay: HostPort,
    },
    /// From now on these carriers may be used.
    Carriers(Carriers),
    /// End every session in good order; the answer is [`Event::Left`].
    Leave,
}

/// What a client makes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Handshake counters up to this one may be used.
    Counter(u64),
    /// This relay showed this key at first use.
    Pin {
        /// The relay, as the address book names it.
        relay: HostPort,
        /// Its key.
        key: PublicKey,
    },
}

/// How far a letter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// The relay answers for it.
    Accepted,
    /// The recipient's program has it.
    Delivered,
}

/// A letter that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The relay it came through.
    pub relay: HostPort,
    /// Its sender.
    pub from: Name,
    /// What it is called.
    pub id: LetterId,
    /// What it says.
    pub text: String,
    /// When the relay took it.
    pub at: Wall,
    /// What it came on.
    pub via: Carrier,
    /// Letters of the same sender between the last one shown and this one that never came.
    pub missing: u64,
}

/// Why a client cannot reach a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The relay answered, but could not prove the pinned key, or would not take ours.
    HandshakeRefused,
}

/// Why a conversation goes on over another carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A letter came in: once, and in its sender's order.
    Letter(Incoming),
    /// A letter came in that this version cannot read. It counts as stored.
    Unreadable {
        /// The relay it came through.
        relay: HostPort,
        /// Its sender.
        from: Name,
        /// What it is called.
        id: LetterId,
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
    },
    /// A letter was refused; the text is the user's again.
    Refused {
        /// The command's number.
        request: u64,
        /// What the letter is called.
        id: LetterId,
        /// Why.
        reason: Reason,
        /// It was on its way when its recipient was lost, or an earlier try had no answer.
        may_have_arrived: bool,
        /// Names like the one that does not exist.
        nearest: Vec<Name>,
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
