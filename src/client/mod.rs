//! Layer 4: the client's state machine. It sends and receives one member's letters through any
//! number of relays.
//!
//! Must not depend on: sockets, files, clocks, the address book, the user interface.
//! [`crate::base::turn`] drives it: [`Command`]s in, [`Event`]s out.
//!
//! Invariants:
//! - An outgoing letter is durable before it is sent. It ends in exactly one `delivered` or
//!   `refused`, in this run or a later one.
//! - An incoming letter is durable before the relay gets its receipt. It is shown once, in its
//!   sender's order.
//! - A failing relay never delays another relay's conversations.

mod api;
mod attempt;
mod block_list;
mod commit_queue;
mod commits;
mod connect;
mod connect_failure;
mod declined;
mod delivery;
mod dials;
mod facts;
mod handshake_counter;
mod known_senders;
mod marks;
mod outbox;
mod pace;
mod path_validation;
mod paths;
mod persisted;
mod received_index;
mod relay_connection;
mod relay_connections;
mod relay_mail;
mod strangers;

use std::collections::BTreeMap;
use std::time::Duration;

pub use api::{
    Carriers, Command, Config, Event, HistoryEntry, Incoming, MoveReason, NotQueued, Progress, Record,
    RelayConfig,
};
pub use block_list::{BLOCK_LIST_MAX, BlockList, BlockLists};
pub use commit_queue::CommitProgress;
pub use connect_failure::ConnectFailure;
pub use outbox::{OUTBOX_BYTES_MAX, OUTBOX_LETTERS_MAX};
pub use persisted::{
    DECLINED_PERSISTED_MAX, OUTBOXES_OF_ONE_MAX, PersistedClient, PersistedConversation, PersistedLetter,
    PersistedOutbox, PersistedRefusal, PersistedSender, Reach,
};
pub use strangers::{Contacts, Holdings, STRANGERS_BYTES_MAX, cost as letter_cost};

use crate::base::{
    Core, Effect, HostPort, Input, LetterId, Name, Now, OutboxId, Path, PathError, Rng, Tick, Wall,
};
use crate::peer::Peer;
use crate::session::{FreshBytes, Identity, Indexes};
pub use crate::wire::letter::{GuestEvent, LetterBody};
pub use crate::wire::message::{EARLIER_MARKS_MAX, KIND_GUEST, KIND_TEXT, MarkToken as SignedIn, Reason};
use crate::wire::packet::{self, Packet};

use commit_queue::CommitQueue;
use delivery::Unsupported;
use dials::DialAction;
use facts::Facts;
use handshake_counter::HandshakeCounter;
use known_senders::KnownSenders;
use marks::Marks;
use outbox::Outbox;
use pace::Pace;
use received_index::ReceivedIndex;
use relay_connection::{ClientContext, Out, RelayConnection};
use relay_connections::RelayConnections;
use relay_mail::RelayMail;
use strangers::Strangers;

/// Maximum session indexes of one client, live and lingering. A few for each relay, and two for
/// each connection round of the last 7 s. At most 1,000 rounds a second begin ([`pace`]).
const INDEXES_MAX: usize = 16_384;

/// A deadline missed by more than this means that the process was stopped or the machine slept.
/// Longer than the usual pauses of a busy machine.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// The client of one member.
pub struct Client {
    ctx: ClientContext,
    outbox: OutboxId,
    /// Stored outboxes of relays without an entry in `uplinks` or `parked`.
    outboxes: BTreeMap<HostPort, PersistedOutbox>,
    number_floor: u64,
    connections: RelayConnections,
    /// Letters of relays that are not configured at the moment.
    parked: BTreeMap<HostPort, RelayMail>,
    /// When UDP last failed to reach these relays, from earlier runs.
    udp_failed: BTreeMap<HostPort, Wall>,
    /// Refusals are not shown in this run; the next run shows them.
    holds_refusals: bool,
    now: Tick,
}

impl Client {
    /// Creates a client without relays. It connects on [`Command::Relays`].
    pub fn new(config: Config) -> Client {
        let mut persisted = config.persisted;
        let holdings = persisted.as_mut().map(|persisted| std::mem::take(&mut persisted.holdings));
        let written_to = persisted.as_mut().map(|persisted| std::mem::take(&mut persisted.written_to));
        let ctx = ClientContext {
            strangers: Strangers::new(config.strangers_bytes_max, config.name.clone(), holdings),
            known_senders: KnownSenders::new(config.name.clone(), written_to.unwrap_or_default()),
            unsupported: Unsupported::default(),
            identity: Identity::from_private(config.private_key),
            name: config.name,
            carriers: config.carriers,
            rng: Rng::from_seed(config.seed),
            fresh: None,
            counter: HandshakeCounter::new(config.counter_reserved),
            commit_queue: CommitQueue::new(persisted.is_some()),
            facts: Facts::new(),
            indexes: Indexes::new(INDEXES_MAX),
            conns: BTreeMap::new(),
            next_conn: 0,
            pace: Pace::new(),
            invitation: Vec::new(),
            block_lists: None,
        };
        let persisted = persisted.unwrap_or_default();
        let mut client = Client {
            ctx,
            outbox: config.outbox,
            outboxes: BTreeMap::new(),
            number_floor: persisted.number_floor,
            connections: RelayConnections::default(),
            parked: BTreeMap::new(),
            udp_failed: BTreeMap::new(),
            holds_refusals: false,
            now: Tick::ZERO,
        };
        client.restore(persisted);
        client
    }

    fn restore(&mut self, persisted: PersistedClient) {
        self.udp_failed = persisted.udp_failed;
        self.outboxes = persisted.outboxes;
        let mut conversations: Vec<_> = persisted.conversations.into_iter().collect();
        conversations.sort_by_key(|(_, conversation)| conversation.touched);
        for ((relay, to), conversation) in conversations {
            self.mail(&relay).outbox.restore(to, conversation.reach);
        }
        for ((relay, to, number), letter) in &persisted.letters {
            self.mail(relay).outbox.restore_letter(to, *number, letter);
        }
        for ((relay, to, outbox, number), refusal) in persisted.refusals {
            let id = LetterId { outbox: outbox.for_relay(&relay), number };
            self.mail(&relay).outbox.restore_refusal(to, id, refusal);
        }
        let mut senders: Vec<_> = persisted.senders.into_iter().collect();
        senders.sort_by_key(|(_, sender)| sender.last_received);
        for ((relay, from, outbox), sender) in senders {
            self.mail(&relay).received.restore(from, outbox, sender);
        }
        let mut declined: Vec<_> = persisted.declined.into_iter().collect();
        declined.sort_by_key(|(_, declined)| declined.0);
        for ((relay, from, outbox, number), (_, reason)) in declined {
            self.mail(&relay).received.declined.restore((from, outbox), number, reason);
        }
    }

    /// Returns the letters of this relay.
    fn mail(&mut self, relay: &HostPort) -> &mut RelayMail {
        match self.connections.get_mut(relay) {
            Some(connection) => &mut connection.mail,
            None => {
                let own = self.outbox;
                let floor = self.number_floor;
                let outboxes = &mut self.outboxes;
                let mail = || {
                    let persisted = outboxes.remove(relay);
                    let PersistedOutbox { id, mark, sign_ins } =
                        persisted.unwrap_or(PersistedOutbox { id: own, ..PersistedOutbox::default() });
                    let outbox = Outbox::new(id, id.for_relay(relay), Marks::new(mark, sign_ins), floor);
                    RelayMail { outbox, received: ReceivedIndex::default() }
                };
                self.parked.entry(relay.clone()).or_insert_with(mail)
            }
        }
    }

    /// Returns the session with a relay, for inspection.
    pub fn peer(&self, relay: &HostPort) -> Option<&Peer> {
        self.connections.get(relay)?.peer.as_ref()
    }

    /// Returns the path of the session with a relay. `None` while UDP is being validated.
    pub fn selected_path(&self, relay: &HostPort) -> Option<Path> {
        self.connections.get(relay)?.selected_path()
    }

    /// Mixes fresh bytes into the randomness of each handshake.
    #[must_use]
    pub fn with_fresh_bytes(mut self, fresh: FreshBytes) -> Client {
        self.ctx.fresh = Some(fresh);
        self
    }

    /// Returns the relays with a path in use, and that path.
    pub fn selected_paths(&self) -> impl Iterator<Item = (&HostPort, Path)> {
        self.connections.keys().filter_map(|relay| Some((relay, self.selected_path(relay)?)))
    }

    /// Whether every letter is delivered or refused.
    pub fn is_idle(&self) -> bool {
        self.connections.values().all(RelayConnection::is_idle)
    }

    /// Whether every record is durable and every relay with a session has acknowledged all data.
    pub fn is_flushed(&self) -> bool {
        self.ctx.commit_queue.is_empty() && self.connections.values().all(RelayConnection::is_flushed)
    }

    /// Returns how far the records have come.
    pub fn commit_progress(&self) -> CommitProgress {
        self.ctx.commit_queue.commit_progress()
    }

    fn handle_command(&mut self, now: Now, command: Command, out: &mut Out) {
        match command {
            Command::Relays(configs) => self.set_relays(now, configs, out),
            Command::Send { request, relay, to, text } => {
                self.send(now, &relay, request, to, text, out);
            }
            Command::Close { request, relay, to } => self.close(now, &relay, request, to, out),
            Command::Shown { relay, from, id, read } => {
                self.ctx.commit_queue.push(Record::Shown { relay, from, id, read });
            }
            Command::Ping { relay } => {
                if let Some(connection) = self.connections.get_mut(&relay) {
                    connection.ping(&mut self.ctx);
                }
            }
            Command::Invitation(secret) => {
                self.ctx.invitation = secret;
                self.connections.each(|connection| connection.handle_invitation(now, &mut self.ctx, out));
            }
            Command::Screen(block_lists) => {
                if let Some(contacts) = &block_lists.contacts {
                    self.ctx.strangers.set_contacts(contacts.clone());
                }
                let before = self.ctx.known_senders.set_contacts(&block_lists);
                self.ctx.block_lists = Some(block_lists);
                self.connections.each(|connection| {
                    connection.handle_block_lists(&self.ctx);
                    connection.handle_contacts(&before, &self.ctx);
                });
            }
            Command::Held(holdings) => {
                let ClientContext { strangers, commit_queue, .. } = &mut self.ctx;
                strangers.set_held(holdings, commit_queue.pending_incoming());
            }
            Command::Carriers(carriers) => {
                let before = std::mem::replace(&mut self.ctx.carriers, carriers);
                self.connections
                    .each(|connection| connection.handle_carriers(now, before, &mut self.ctx, out));
            }
            Command::NetworkChanged => {
                self.connections
                    .each(|connection| connection.handle_network_changed(now, &mut self.ctx, out));
            }
            Command::HoldRefusals => self.holds_refusals = true,
            Command::Leave => {
                self.connections.each(|connection| {
                    connection.flush(now, &self.ctx, out);
                    connection.leave(now, &mut self.ctx, out);
                });
                out.show(Event::Left);
            }
        }
    }

    /// Passes a letter to its relay's outbox, or returns it as refused if the relay is unknown or
    /// the text too long.
    fn send(&mut self, now: Now, relay: &HostPort, request: u64, to: Name, text: String, out: &mut Out) {
        let sent = match self.connections.get_mut(relay) {
            Some(connection) => connection.send(now, &mut self.ctx, request, to.clone(), text, out),
            None => Err((Reason::Unknown, text)),
        };
        if let Err((reason, text)) = sent {
            let id = LetterId { outbox: self.outbox.for_relay(relay), number: 0 };
            let may_have_arrived = false;
            let nearest = Vec::new();
            out.show(Event::Refused { request, id, to, reason, may_have_arrived, nearest, text });
        }
    }

    /// Ends a conversation with a guest, as [`Client::send`] sends a letter.
    fn close(&mut self, now: Now, relay: &HostPort, request: u64, to: Name, out: &mut Out) {
        match self.connections.get_mut(relay) {
            Some(connection) => connection.close(now, &mut self.ctx, request, to, out),
            None => self.send(now, relay, request, to, String::new(), out),
        }
    }

    fn set_relays(&mut self, now: Now, configs: Vec<RelayConfig>, out: &mut Out) {
        let configs_by_addr: BTreeMap<_, _> =
            configs.into_iter().map(|config| (config.addr.clone(), config)).collect();
        let removed: Vec<_> =
            self.connections.keys().filter(|addr| !configs_by_addr.contains_key(*addr)).cloned().collect();
        for addr in removed {
            if let Some(mut connection) = self.connections.remove(&addr) {
                connection.leave(now, &mut self.ctx, out);
                connection.mail.outbox.handle_session_lost();
                self.udp_failed.extend(connection.udp_failed_at().map(|at| (addr.clone(), at)));
                self.parked.insert(addr, connection.mail);
            }
        }
        for (addr, config) in configs_by_addr {
            match self.connections.get_mut(&addr) {
                Some(connection) => {
                    connection.config.tcp = config.tcp;
                    connection.set_key(now, config.key, config.fingerprint, &mut self.ctx, out);
                }
                None => {
                    self.mail(&addr);
                    let mail = self.parked.remove(&addr).expect("it was parked just now");
                    let mut connection = RelayConnection::new(config, mail);
                    connection.recall_udp(now.wall, self.udp_failed.remove(&addr));
                    if !self.holds_refusals {
                        connection.report_old_refusals(&mut self.ctx.commit_queue, out);
                    }
                    connection.drive(now, &mut self.ctx, out);
                    self.connections.insert(addr, connection);
                }
            }
        }
    }

    fn handle_packet(&mut self, now: Now, path: Path, bytes: &mut [u8], out: &mut Out) {
        let ctx = &mut self.ctx;
        match packet::parse(path.carrier(), bytes) {
            Ok(Packet::Data { receiver, .. }) => {
                let relay = ctx.indexes.get(receiver).cloned();
                let connection = relay.and_then(|relay| self.connections.get_mut(&relay));
                let is_accepted =
                    connection.is_some_and(|connection| connection.handle_data(now, ctx, path, bytes, out));
                if !is_accepted {
                    self.close_on_garbage(now, path, out);
                }
            }
            Ok(Packet::Response { receiver, .. }) => {
                let Some(relay) = ctx.indexes.get(receiver).cloned() else { return };
                if let Some(connection) = self.connections.get_mut(&relay) {
                    connection.handle_response(now, ctx, path, bytes, out);
                }
            }
            Ok(Packet::Cookie { receiver, .. }) => {
                let Some(relay) = ctx.indexes.get(receiver).cloned() else { return };
                if let Some(connection) = self.connections.get_mut(&relay) {
                    connection.handle_cookie(now, ctx, path, bytes, out);
                }
            }
            Ok(Packet::KeyAnswer { .. }) => {
                let change = |connection: &mut RelayConnection| {
                    connection.handle_key_answer(now, ctx, path, bytes, out)
                };
                self.connections.each_of(RelayConnection::is_connecting, change);
            }
            Ok(Packet::Reset { index, token }) => {
                let change =
                    |connection: &mut RelayConnection| connection.handle_reset(now, ctx, index, token, out);
                self.connections.each_of(|connection| connection.peer.is_some(), change);
            }
            _ => self.close_on_garbage(now, path, out),
        }
    }

    /// Closes a TCP connection that brought unreadable data. TCP loses nothing and nothing is
    /// retransmitted there, so the rest of the stream is of no use either.
    fn close_on_garbage(&mut self, now: Now, path: Path, out: &mut Out) {
        if let Some((connection, ctx, conn)) = self.connection_of_path(path) {
            out.effects.push(Effect::Close(path));
            connection.handle_path_closed(now, ctx, conn, PathError::Framing, out);
        }
    }

    fn connection_of_path(
        &mut self,
        path: Path,
    ) -> Option<(&mut RelayConnection, &mut ClientContext, crate::base::ConnId)> {
        let Path::Tcp(conn) = path else { return None };
        let relay = self.ctx.conns.get(&conn)?;
        Some((self.connections.get_mut(relay)?, &mut self.ctx, conn))
    }
}

impl Core for Client {
    type Command = Command;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Out) {
        let overslept = self.next_deadline().is_some_and(|at| now.tick.since(at) > OVERSLEPT);
        self.now = now.tick;
        self.ctx.indexes.handle_time(now.tick);
        self.ctx.commit_queue.handle_time(now);
        self.ctx.facts.handle_time(now.tick, &mut self.ctx.counter, out);
        if overslept {
            self.connections.each(|connection| {
                connection.peer.iter_mut().for_each(|peer| peer.handle_woken(now.tick));
                connection.handle_woken(now.tick, self.ctx.carriers);
                connection.handle_time(now, &mut self.ctx, out);
            });
        } else {
            self.connections.each_due(now.tick, |connection| connection.handle_time(now, &mut self.ctx, out));
        }
        self.grant_requests(now, out);
    }

    fn handle(&mut self, now: Now, input: Input<'_, Command>, out: &mut Out) {
        match input {
            Input::Packet { path, bytes } => self.handle_packet(now, path, bytes, out),
            Input::Command(command) => self.handle_command(now, command, out),
            Input::PathOpened { path, .. } => {
                if let Some((connection, ctx, conn)) = self.connection_of_path(path) {
                    connection.handle_opened(now, ctx, conn, out);
                }
            }
            Input::PathClosed(path, error) => {
                if let Some((connection, ctx, conn)) = self.connection_of_path(path) {
                    connection.handle_path_closed(now, ctx, conn, error, out);
                }
            }
            Input::Unsent(path, bytes) => {
                if let Some((connection, _, _)) = self.connection_of_path(path)
                    && let Some(peer) = &mut connection.peer
                {
                    peer.handle_unsent(now.tick, path, bytes);
                }
            }
            Input::Resolved(host, addrs) => {
                let ctx = &mut self.ctx;
                let change = |connection: &mut RelayConnection| {
                    connection.handle_resolved(now, ctx, &host, &addrs, out)
                };
                self.connections.each_of(|connection| connection.wants_host(&host), change);
            }
            Input::Unresolved(host) => {
                let ctx = &mut self.ctx;
                let change =
                    |connection: &mut RelayConnection| connection.handle_unresolved(now, ctx, &host, out);
                self.connections.each_of(|connection| connection.wants_host(&host), change);
            }
            Input::Committed(ticket) => self.handle_committed(now, ticket, true, out),
            Input::NotCommitted(ticket) => self.handle_committed(now, ticket, false, out),
            Input::SendRefused(path, error) => {
                let change = |connection: &mut RelayConnection| {
                    connection.handle_send_refused(now, &mut self.ctx, path, error, out)
                };
                self.connections.each_of(|connection| connection.has_path(path), change);
            }
            Input::Rows(..) | Input::Text { .. } | Input::TextEnded(_) => {}
        }
        self.handle_commits(now, out);
    }

    fn flush(&mut self, now: Now, out: &mut Out) {
        self.handle_commits(now, out);
        self.grant_requests(now, out);
        self.ctx.commit_queue.submit(&mut self.ctx.counter, out);
        let carriers = self.ctx.carriers;
        self.connections.finish(now.tick, carriers, |connection| {
            connection.update_path(now, &mut self.ctx, out);
            connection.flush(now, &self.ctx, out);
        });
    }

    fn next_deadline(&self) -> Option<Tick> {
        let connections = self.connections.next_deadline(self.now, self.ctx.carriers);
        let ctx = &self.ctx;
        let others = [
            ctx.indexes.next_deadline(),
            ctx.commit_queue.next_deadline(),
            ctx.facts.next_deadline(),
            ctx.pace.next_deadline(),
        ];
        connections.into_iter().chain(others.into_iter().flatten()).min()
    }
}

impl Client {
    /// Starts connection rounds and TCP connections whose turn has come.
    fn grant_requests(&mut self, now: Now, out: &mut Out) {
        while let Some(relay) = self.ctx.pace.next(now.tick) {
            if let Some(connection) = self.connections.get_mut(&relay) {
                connection.handle_pace_grant(now, &mut self.ctx, out);
            }
        }
        while let Some(next) = self.next_dial(now.tick) {
            match next {
                DialAction::Open(relay) => {
                    if let Some(connection) = self.connections.get_mut(&relay) {
                        connection.handle_dial_grant(now, &mut self.ctx, out);
                    }
                }
                DialAction::Yield(relay, conn) => match self.connections.get_mut(&relay) {
                    Some(connection) => connection.yield_conn(now, conn, &mut self.ctx, out),
                    None => self.ctx.pace.dials.end(conn),
                },
            }
        }
    }

    /// Returns the next action of the queue for TCP connections. Skips rounds that have ended, so
    /// that no connection is given up for them.
    fn next_dial(&mut self, now: Tick) -> Option<DialAction> {
        let dials = &mut self.ctx.pace.dials;
        while let Some((request, relay)) = dials.first() {
            if self.connections.get(relay).is_some_and(|connection| connection.is_waiting_to_dial(*request)) {
                break;
            }
            let request = *request;
            let relay = relay.clone();
            dials.cancel(request, &relay);
        }
        dials.next(now, self.ctx.conns.len())
    }
}

fn refusal_shown_record(relay: &HostPort, to: &Name, id: LetterId) -> Record {
    // `through` is its own inverse: it gives the outbox's name on disk.
    let outbox = id.outbox.for_relay(relay);
    Record::RefusalShown { relay: relay.clone(), to: to.clone(), outbox, number: id.number }
}

#[cfg(test)]
mod tests;
