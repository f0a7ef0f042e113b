//! Layer 4: the relay's state machine: members, presence, routing, limits, `echo`.
//!
//! Must not depend on: sockets, files, clocks, the content of a letter's body (except for letters
//! to `echo`, which the relay answers itself). Driven by [`crate::base::turn`].
//!
//! Invariants: a stranger costs no state. A letter leaves its recipient's mailbox only when the
//! recipient has stored it or its refusal is queued for the sender. `accepted` is sent only once
//! the disk or the recipient has the letter. Letters leave a mailbox in order. No recipient stops
//! the relay from reading a sender.

mod block_list;
mod buffer_pool;
mod conns;
mod control;
mod damaged;
mod deadlines;
mod directory;
mod eviction_queue;
mod expiry;
mod flows;
mod full_seconds;
mod guest_routing;
mod guests;
mod idle_flows;
mod ids;
mod limits;
mod lookups;
mod lost_letters;
mod mailbox;
mod mailbox_storage;
mod marks;
mod members;
mod membership;
mod nearest_names;
mod new_names;
mod operator;
mod pace;
mod pending_removals;
mod receipts;
mod recipient_refusals;
mod records;
mod registration_limits;
mod restore;
mod routing;
mod session_hints;
mod sessions;
mod sign_in;
mod snapshot;
mod sums;
#[cfg(test)]
mod test_relay;
mod unused_names;
mod unwritten;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, Core, Input, Name, Now, Outputs, Path, PublicKey, RateLimiter, Rng, Tick, Wall};
use crate::peer::Peer;
use crate::session::{FreshBytes, HandshakeLimits, Identity, Responder};
use crate::wire::message::NameReason;

pub use crate::wire::message::MarkToken;
pub use buffer_pool::SharedBytes;
use conns::Conns;
use deadlines::Deadlines;
use directory::Directory;
use full_seconds::FullSeconds;
use guests::Guests;
pub use guests::{GuestEncoding, GuestRules, GuestTexts};
use idle_flows::IdleFlows;
use ids::{MemberId, SessionSlot};
pub use limits::Limits;
use limits::TIMERS_A_TURN_MAX;
use mailbox_storage::{Mailboxes, Tickets};
use members::Members;
pub use membership::{
    BLOCK_LIST_MAX, INVITATIONS_MAX, Invitation, InvitationId, MembershipChange, MembershipSnapshot,
    SenderLists,
};
pub use nearest_names::NAMES_LOOKED_AT_MAX;
pub use operator::{OperatorOutcome, OperatorRequest};
pub use records::{
    FlowNames, MailboxLetter, PendingRefusal, PersistedFlow, PersistedMail, PersistedOutbox, Record,
    Restored, SessionHint, WaitingCount,
};
use routing::MemberState;
use session_hints::SessionHints;
use sessions::{PendingInits, Sessions};
pub use snapshot::RelaySnapshot;
use unused_names::UnusedNames;
use unwritten::Unwritten;

/// Everything a relay is created from.
#[derive(Debug)]
pub struct Config {
    /// The relay's private X25519 key.
    pub private_key: [u8; 32],
    /// Key of stateless reset tokens: random, and stored with the private key.
    pub reset_id: [u8; 16],
    /// Registered members, as loaded from disk.
    pub members: Vec<(Name, PublicKey)>,
    /// Invitations, removals, block lists and unused names, as loaded from disk.
    pub membership: MembershipSnapshot,
    /// Mailboxes, flows and sessions, as loaded from disk.
    pub mail: PersistedMail,
    /// Resource limits.
    pub limits: Limits,
    /// Rules for guests, who speak plain text; `None` disables them.
    pub guests: Option<GuestRules>,
    /// Seed of all the relay's randomness.
    pub seed: [u8; 32],
}

/// Lateness of a turn that means that the machine was suspended.
///
/// 1 s: a loaded machine is late by milliseconds, a suspended one by seconds.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// Requests of the process to the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Closes every session in order; answered by [`Event::Stopped`].
    Stop,
    /// A request of the operator; answered by [`Event::Answered`].
    Request {
        /// Identifies the request in its answer.
        id: u64,
        /// The requested operation.
        request: OperatorRequest,
    },
}

/// Events for the operator's display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A member signed in.
    SignedIn {
        /// The member.
        name: Name,
        /// Address that it is reached at.
        from: Option<SocketAddr>,
        /// Carrier of its session.
        via: Option<Carrier>,
    },
    /// A member's session ended.
    SignedOut(Name),
    /// A name was registered, durably.
    Registered {
        /// The name.
        name: Name,
        /// Whether an invitation was used up for it.
        by_invitation: bool,
    },
    /// A sign-in was refused.
    NameRefused {
        /// The requested name, which may be invalid. Empty if it is not known any more.
        name: String,
        /// The reason.
        reason: NameReason,
    },
    /// The operator created an invitation.
    Invited {
        /// Name that it is for; `None` for any.
        name: Option<Name>,
        /// Whether an earlier invitation for the same name ended with it.
        replaces: bool,
    },
    /// The operator removed a member.
    Removed(Name),
    /// A name is free again because it was not used.
    Freed(Name),
    /// A letter was found damaged on disk. It stays there unchanged; reported once for each letter.
    Damaged {
        /// Sequence number of its row.
        seq: u64,
        /// Owner of the mailbox.
        to: Name,
        /// Sender, if known.
        from: Option<Name>,
    },
    /// Every session has been asked to close.
    Stopped,
    /// Result of a request of the operator.
    Answered {
        /// Identifies the request.
        id: u64,
        /// Its result.
        outcome: OperatorOutcome,
    },
}

/// Effects, records and events that a turn of the relay produces.
pub type Out = Outputs<Record, Event>;

/// Event counts, for logs and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets dropped without an answer: invalid, from strangers, replayed, or of unknown
    /// sessions.
    pub dropped: u64,
    /// Handshakes answered.
    pub handshakes: u64,
    /// First handshake messages that cost curve arithmetic, whatever the result.
    pub curve_work: u64,
    /// Time spent on that arithmetic, in microseconds as charged to the handshake budget.
    pub curve_us: u64,
    /// First handshake messages answered with a cookie only.
    pub cookies: u64,
    /// Sessions continued under new keys or on a new path.
    pub continued: u64,
    /// Stateless resets sent: in answer to data packets of unknown sessions, and after a restart.
    pub resets: u64,
    /// Sessions closed because the other end broke the protocol.
    pub violations: u64,
    /// Letters taken from their senders.
    pub letters_taken: u64,
    /// Letters stored by their recipients.
    pub letters_stored: u64,
    /// Letters written into mailboxes.
    pub letters_written: u64,
    /// Letters that expired in their mailboxes.
    pub letters_expired: u64,
    /// Letters delayed by the rate of their sender and recipient, once per session of the
    /// recipient.
    pub letters_paced: u64,
    /// Letters refused.
    pub letters_refused: u64,
    /// Sign-ins that got their name.
    pub sign_ins: u64,
    /// Names registered.
    pub names_registered: u64,
    /// Sign-ins that were refused.
    pub names_refused: u64,
    /// Names freed because they were never used.
    pub names_freed: u64,
    /// Names compared with one that does not exist, to suggest similar names.
    pub names_looked_at: u64,
    /// TCP connections closed because of a limit.
    pub conns_refused: u64,
    /// Texts of guests refused because of a rate or of the number of guests.
    pub guests_refused: u64,
    /// Text datagrams whose source cannot be a guest: a port below 1024, a multicast address.
    pub guests_forged: u64,
}

/// Owner of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Session(SessionSlot),
    Conn(crate::base::ConnId),
    Indexes,
    Mailbox(MemberId),
    Sweep,
    UnusedNames,
    IdleFlows,
    Clock,
    SessionHints,
    Resets,
    Unwritten,
    FullSecond,
}

/// A relay.
pub struct Relay {
    limits: Limits,
    responder: Responder,
    rng: Rng,
    directory: Directory,
    unused: UnusedNames,
    /// The time of day, for texts that people read.
    wall: Wall,
    /// The last turn after a suspension. In that turn hardly any packets are sent.
    woken_at: Option<Tick>,
    sessions: Sessions,
    pending_inits: PendingInits,
    conns: Conns,
    guests: Option<Guests>,
    /// State kept for each member, indexed by `MemberId`.
    member_states: Vec<MemberState>,
    mailboxes: Mailboxes,
    idle_flows: IdleFlows,
    tickets: Tickets,
    unwritten: Unwritten,
    full_seconds: FullSeconds,
    /// Origin of a relay that was restored from a backup.
    restored: Option<Restored>,
    echo_outbox: crate::base::OutboxId,
    echo_name: Name,
    deadlines: Deadlines<Timer>,
    resets: RateLimiter,
    /// Suggestions of similar names, shared by all members.
    suggestions: RateLimiter,
    session_hints: SessionHints,
    /// Reused buffers: for a received message, a message to send, and an answered packet.
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    answer: Vec<u8>,
    stats: Stats,
}

impl Relay {
    /// Returns a relay without connections.
    pub fn new(config: Config) -> Relay {
        let mut rng = Rng::from_seed(config.seed);
        let handshakes = match (config.limits.per_sender, config.limits.loopback_too) {
            (false, _) => HandshakeLimits::Off,
            (true, false) => HandshakeLimits::On,
            (true, true) => HandshakeLimits::OnLoopbackToo,
        };
        let identity = Identity::from_private(config.private_key);
        // A separate stream, so that the other values drawn from the seed do not change.
        let mut key = [0; 32];
        Rng::from_seed(config.seed.map(|byte| !byte)).fill(&mut key);
        let MembershipSnapshot { invitations, removed, lists, unused } = config.membership;
        let members = Members::new(config.members, removed);
        let member_states = (0..members.len()).map(|_| MemberState::default()).collect();
        let mut relay = Relay {
            responder: Responder::new(identity, handshakes, rng.fork()).with_reset_id(&config.reset_id),
            mailboxes: Mailboxes::default(),
            idle_flows: IdleFlows::default(),
            tickets: Tickets::default(),
            unwritten: Unwritten::default(),
            full_seconds: FullSeconds::default(),
            restored: config.mail.restored,
            echo_name: routing::ECHO.parse().expect("`echo` is a valid name"),
            echo_outbox: crate::base::OutboxId(rng.next_u64()),
            directory: Directory::new(members, invitations, key, &config.limits),
            unused: UnusedNames::default(),
            wall: Wall(0),
            woken_at: None,
            sessions: Sessions::new(&config.limits),
            pending_inits: PendingInits::default(),
            conns: Conns::default(),
            guests: config.guests.map(|rules| Guests::new(rules, rng.fork())),
            member_states,
            deadlines: Deadlines::new(),
            resets: RateLimiter::default(),
            suggestions: RateLimiter::default(),
            session_hints: SessionHints::default(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            answer: Vec::new(),
            stats: Stats::default(),
            limits: config.limits,
            rng,
        };
        for (owner, lists) in lists {
            if let Some(member) = relay.directory.members.find(owner.as_str()) {
                *relay.member_states[member.0].lists = lists;
            }
        }
        relay.take_unused(unused);
        let mut mail = config.mail;
        relay.restore_hints(std::mem::take(&mut mail.sessions));
        relay.restore_mail(mail);
        relay
    }

    /// Mixes fresh bytes into the randomness of each handshake.
    #[must_use]
    pub fn with_fresh_bytes(mut self, fresh: FreshBytes) -> Relay {
        self.responder = self.responder.with_fresh_bytes(fresh);
        self
    }

    /// The relay's public key.
    pub fn public_key(&self) -> PublicKey {
        self.responder.public()
    }

    /// Returns the counts since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Number of live sessions, unconfirmed ones included.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Number of names: registered, being made durable, and reserved.
    pub fn member_count(&self) -> usize {
        self.member_states.len()
    }

    /// Number of members that are online.
    pub fn online_count(&self) -> usize {
        self.member_states.iter().filter(|state| state.session.is_some()).count()
    }

    /// Bytes of memory that all sessions use for data received behind gaps.
    pub fn gapped_bytes(&self) -> usize {
        self.sessions.gapped_bytes()
    }

    /// Calls `visit` with the peer of each session.
    pub fn visit_peers(&self, visit: impl FnMut(&Peer)) {
        self.sessions.visit_peers(visit);
    }

    fn handle_timer(&mut self, now: Now, tick: Tick, timer: Timer, out: &mut Out) {
        match timer {
            Timer::Session(slot) => self.handle_session_time(now, tick, slot, out),
            Timer::Conn(conn) => self.handle_conn_time(now.tick, tick, conn, out),
            Timer::Indexes => {
                self.sessions.handle_index_time(now.tick);
                self.sessions.schedule_indexes(&mut self.deadlines);
            }
            Timer::Mailbox(member) => self.handle_mailbox_time(now.tick, tick, member, out),
            Timer::Sweep => self.handle_sweep_time(now.tick, tick, out),
            Timer::UnusedNames => self.handle_unused_time(now.tick, tick, out),
            Timer::IdleFlows => self.handle_idle_flows_time(now.tick, tick, out),
            Timer::Clock => self.handle_clock_time(now.tick, tick, out),
            Timer::SessionHints => self.handle_hints_time(now.tick, tick, out),
            Timer::Resets => self.handle_resets_time(now.tick, tick, out),
            Timer::Unwritten => self.handle_unwritten_time(now.tick, tick, out),
            Timer::FullSecond => self.handle_full_second(now.tick, tick),
        }
    }
}

impl Core for Relay {
    type Command = Command;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Out) {
        self.wall = now.wall;
        let Some(deadline) = self.next_deadline().filter(|at| *at <= now.tick) else { return };
        if now.tick.since(deadline) > OVERSLEPT {
            self.woken_at = Some(now.tick);
        }
        // After a suspension every session is due, and must learn of it in this turn.
        let timers_max = if self.woken_at == Some(now.tick) { usize::MAX } else { TIMERS_A_TURN_MAX };
        for _ in 0..timers_max {
            let Some((tick, timer)) = self.deadlines.pop_due(now.tick) else { break };
            self.handle_timer(now, tick, timer, out);
        }
        self.handle_guest_time(now, out);
    }

    fn handle(&mut self, now: Now, input: Input<'_, Command>, out: &mut Out) {
        match input {
            Input::Packet { path, bytes } => self.handle_packet(now, path, bytes, out),
            Input::PathOpened { path: Path::Tcp(conn), remote } => {
                self.open_conn(now.tick, conn, remote, out)
            }
            Input::Text { path: Path::Tcp(conn), bytes } => self.handle_guest_text(now, conn, bytes, out),
            Input::TextEnded(Path::Tcp(conn)) => self.handle_guest_end(now, conn, out),
            Input::PathClosed(path, _) => self.handle_path_closed(now, path, out),
            Input::Unsent(path, bytes) => self.handle_unsent(now.tick, path, bytes),
            Input::Committed(ticket) => self.handle_stored_record(now, ticket, true, out),
            Input::NotCommitted(ticket) => self.handle_stored_record(now, ticket, false, out),
            Input::Rows(ticket, rows) => self.handle_rows(now, ticket, rows, out),
            Input::Command(Command::Stop) => self.stop(now, out),
            Input::Command(Command::Request { id, request }) => self.handle_request(now, id, request, out),
            Input::PathOpened { .. }
            | Input::SendRefused(..)
            | Input::Resolved(..)
            | Input::Unresolved(_) => {}
            Input::Text { .. } | Input::TextEnded(_) => {}
        }
    }

    fn wants_flush(&self) -> bool {
        self.sessions.are_many_marked()
    }

    fn flush(&mut self, now: Now, out: &mut Out) {
        while let Some(slot) = self.sessions.pop_marked() {
            self.flush_session(now, slot, out);
        }
        self.open_pending_inits(now, out);
        self.write_mailboxes(now.tick, out);
    }

    fn next_deadline(&self) -> Option<Tick> {
        let guests = self.guests.as_ref().and_then(Guests::next_deadline);
        self.deadlines.next().into_iter().chain(guests).min()
    }
}
