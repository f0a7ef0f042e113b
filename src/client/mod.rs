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

mod acquaintances;
mod api;
mod attempt;
mod choice;
mod connect;
mod counter;
mod declined;
mod delivery;
mod dials;
mod facts;
mod journal;
mod kept;
mod ledger;
mod mail;
mod marks;
mod outbox;
mod pace;
mod paths;
mod screen;
mod strangers;
mod uplink;
mod uplinks;

use std::collections::BTreeMap;
use std::time::Duration;

pub use api::{
    Carriers, Command, Config, Event, Incoming, MovedWhy, Progress, Record, RelaySpec, Said, Unkept,
    Unreached,
};
pub use kept::{
    DECLINED_KEPT_MAX, Kept, KeptConversation, KeptLetter, KeptOutbox, KeptRefusal, KeptSender,
    OUTBOXES_OF_ONE_MAX, Reach,
};
pub use outbox::{OUTBOX_BYTES_MAX, OUTBOX_LETTERS_MAX};
pub use screen::{SCREENED_MAX, Screen, Screens};
pub use strangers::{Contacts, Holdings, STRANGERS_BYTES_MAX, cost as letter_cost};

use crate::base::{
    Carrier, Core, Effect, HostPort, Input, LetterId, Name, Now, OutboxId, Path, Rng, Tick, Ticket, Wall, Why,
};
use crate::peer::Peer;
use crate::session::{AccessSecret, Identity, Indexes};
pub use crate::wire::letter::{GuestNote, Made};
pub use crate::wire::message::{EARLIER_MAX, KIND_GUEST, KIND_TEXT, Reason, Said as SignedIn};
use crate::wire::packet::{self, Packet};

use acquaintances::Acquaintances;
use counter::Counter;
use delivery::Unsupported;
use dials::Next;
use facts::Facts;
use journal::Journal;
use ledger::Ledger;
use mail::{Mail, refused_event};
use marks::Marks;
use outbox::Outbox;
use pace::Pace;
use strangers::Strangers;
use uplink::{Out, Shared, Uplink};
use uplinks::Uplinks;

/// Maximum session indexes of one client, live and lingering. A few for each relay, and two for
/// each connection round of the last 7 s. At most 1,000 rounds a second begin ([`pace`]).
const INDEXES_MAX: usize = 16_384;

/// A deadline missed by more than this means that the process was stopped or the machine slept.
/// Longer than the usual pauses of a busy machine.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// The client of one member.
pub struct Client {
    shared: Shared,
    outbox: OutboxId,
    /// Stored outboxes of relays without an entry in `uplinks` or `parked`.
    outboxes: BTreeMap<HostPort, KeptOutbox>,
    number_floor: u64,
    uplinks: Uplinks,
    /// Letters of relays that are not configured at the moment.
    parked: BTreeMap<HostPort, Mail>,
    /// When UDP last failed to reach these relays, from earlier runs.
    udp_failed: BTreeMap<HostPort, Wall>,
    /// Refusals are not shown in this run; the next run shows them.
    holds_refusals: bool,
    now: Tick,
}

impl Client {
    /// Creates a client without relays. It connects on [`Command::Relays`].
    pub fn new(config: Config) -> Client {
        let mut kept = config.kept;
        let held = kept.as_mut().map(|kept| std::mem::take(&mut kept.held));
        let written_to = kept.as_mut().map(|kept| std::mem::take(&mut kept.written_to));
        let shared = Shared {
            strangers: Strangers::new(config.strangers_bytes_max, config.name.clone(), held),
            acquaintances: Acquaintances::new(config.name.clone(), written_to.unwrap_or_default()),
            unsupported: Unsupported::default(),
            identity: Identity::from_private(config.private_key),
            secret: AccessSecret::default(),
            name: config.name,
            carriers: config.carriers,
            rng: Rng::from_seed(config.seed),
            counter: Counter::new(config.counter_reserved),
            journal: Journal::new(kept.is_some()),
            facts: Facts::new(),
            indexes: Indexes::new(INDEXES_MAX),
            conns: BTreeMap::new(),
            next_conn: 0,
            pace: Pace::new(),
            invitation: Vec::new(),
            screens: None,
        };
        let kept = kept.unwrap_or_default();
        let mut client = Client {
            shared,
            outbox: config.outbox,
            outboxes: BTreeMap::new(),
            number_floor: kept.number_floor,
            uplinks: Uplinks::default(),
            parked: BTreeMap::new(),
            udp_failed: BTreeMap::new(),
            holds_refusals: false,
            now: Tick::ZERO,
        };
        client.restore(kept);
        client
    }

    fn restore(&mut self, kept: Kept) {
        self.udp_failed = kept.udp_failed;
        self.outboxes = kept.outboxes;
        let mut conversations: Vec<_> = kept.conversations.into_iter().collect();
        conversations.sort_by_key(|(_, conversation)| conversation.touched);
        for ((relay, to), conversation) in conversations {
            self.mail(&relay).outbox.restore(to, conversation.reach);
        }
        for ((relay, to, number), letter) in &kept.letters {
            self.mail(relay).outbox.restore_letter(to, *number, letter);
        }
        for ((relay, to, outbox, number), refusal) in kept.refusals {
            let id = LetterId { outbox: outbox.through(&relay), number };
            self.mail(&relay).outbox.restore_refusal(to, id, refusal);
        }
        let mut senders: Vec<_> = kept.senders.into_iter().collect();
        senders.sort_by_key(|(_, sender)| sender.heard);
        for ((relay, from, outbox), sender) in senders {
            self.mail(&relay).ledger.restore(from, outbox, sender);
        }
        let mut declined: Vec<_> = kept.declined.into_iter().collect();
        declined.sort_by_key(|(_, declined)| declined.0);
        for ((relay, from, outbox, number), (_, reason)) in declined {
            self.mail(&relay).ledger.declined.restore((from, outbox), number, reason);
        }
    }

    /// Returns the letters of this relay.
    fn mail(&mut self, relay: &HostPort) -> &mut Mail {
        match self.uplinks.get_mut(relay) {
            Some(uplink) => &mut uplink.mail,
            None => {
                let own = self.outbox;
                let floor = self.number_floor;
                let outboxes = &mut self.outboxes;
                let mail = || {
                    let kept = outboxes.remove(relay);
                    let KeptOutbox { id, mark, said } =
                        kept.unwrap_or(KeptOutbox { id: own, ..KeptOutbox::default() });
                    let outbox = Outbox::new(id, id.through(relay), Marks::new(mark, said), floor);
                    Mail { outbox, ledger: Ledger::default() }
                };
                self.parked.entry(relay.clone()).or_insert_with(mail)
            }
        }
    }

    /// Returns the session with a relay, for inspection.
    pub fn peer(&self, relay: &HostPort) -> Option<&Peer> {
        self.uplinks.get(relay)?.peer.as_ref()
    }

    /// Returns the path of the session with a relay. `None` while UDP is being validated.
    pub fn settled_path(&self, relay: &HostPort) -> Option<Path> {
        self.uplinks.get(relay)?.settled_path()
    }

    /// Whether every letter is delivered or refused.
    pub fn is_idle(&self) -> bool {
        self.uplinks.values().all(Uplink::is_idle)
    }

    /// Whether every record is durable and every relay with a session has acknowledged all data.
    pub fn is_settled(&self) -> bool {
        self.shared.journal.is_empty() && self.uplinks.values().all(Uplink::is_settled)
    }

    /// Returns the number of records given so far, and the number of records settled without a gap
    /// from the first. Effects of an earlier turn are on disk once the second number has reached
    /// that turn's first.
    pub fn given_and_settled(&self) -> (u64, u64) {
        self.shared.journal.given_and_settled()
    }

    fn handle_command(&mut self, now: Now, command: Command, out: &mut Out) {
        match command {
            Command::Relays(specs) => self.set_relays(now, specs, out),
            Command::Send { request, relay, to, text } => {
                self.send(now, &relay, request, to, text, out);
            }
            Command::Close { request, relay, to } => self.close(now, &relay, request, to, out),
            Command::Shown { relay, from, id, read } => {
                self.shared.journal.push(Record::Shown { relay, from, id, read });
            }
            Command::Ping { relay } => {
                if let Some(uplink) = self.uplinks.get_mut(&relay) {
                    uplink.ping(&mut self.shared);
                }
            }
            Command::Invitation(secret) => {
                self.shared.invitation = secret;
                self.uplinks.each(|uplink| uplink.handle_invitation(now, &mut self.shared, out));
            }
            Command::Screen(screens) => {
                if let Some(contacts) = &screens.contacts {
                    self.shared.strangers.set_contacts(contacts.clone());
                }
                let before = self.shared.acquaintances.set_book(&screens);
                self.shared.screens = Some(screens);
                self.uplinks.each(|uplink| {
                    uplink.handle_screens(&self.shared);
                    uplink.handle_book(&before, &self.shared);
                });
            }
            Command::Held(held) => {
                let Shared { strangers, journal, .. } = &mut self.shared;
                strangers.set_held(held, journal.coming());
            }
            Command::Carriers(carriers) => {
                self.shared.carriers = carriers;
                self.uplinks.each(|uplink| uplink.handle_carriers(now, &mut self.shared, out));
            }
            Command::NetworkChanged => {
                self.uplinks.each(|uplink| uplink.handle_network_changed(now, &mut self.shared, out));
            }
            Command::HoldRefusals => self.holds_refusals = true,
            Command::Leave => {
                self.uplinks.each(|uplink| {
                    uplink.flush(now, &self.shared, out);
                    uplink.leave(now, &mut self.shared, out);
                });
                out.show(Event::Left);
            }
        }
    }

    /// Passes a letter to its relay's outbox, or returns it as refused if the relay is unknown or
    /// the text too long.
    fn send(&mut self, now: Now, relay: &HostPort, request: u64, to: Name, text: String, out: &mut Out) {
        let sent = match self.uplinks.get_mut(relay) {
            Some(uplink) => uplink.send(now, &mut self.shared, request, to.clone(), text, out),
            None => Err((Reason::Unknown, text)),
        };
        if let Err((reason, text)) = sent {
            let id = LetterId { outbox: self.outbox.through(relay), number: 0 };
            let may_have_arrived = false;
            let nearest = Vec::new();
            out.show(Event::Refused { request, id, to, reason, may_have_arrived, nearest, text });
        }
    }

    /// Ends a conversation with a guest, as [`Client::send`] sends a letter.
    fn close(&mut self, now: Now, relay: &HostPort, request: u64, to: Name, out: &mut Out) {
        match self.uplinks.get_mut(relay) {
            Some(uplink) => uplink.close(now, &mut self.shared, request, to, out),
            None => self.send(now, relay, request, to, String::new(), out),
        }
    }

    fn set_relays(&mut self, now: Now, specs: Vec<RelaySpec>, out: &mut Out) {
        let wanted: BTreeMap<_, _> = specs.into_iter().map(|spec| (spec.addr.clone(), spec)).collect();
        let gone: Vec<_> = self.uplinks.keys().filter(|addr| !wanted.contains_key(*addr)).cloned().collect();
        for addr in gone {
            if let Some(mut uplink) = self.uplinks.remove(&addr) {
                uplink.leave(now, &mut self.shared, out);
                uplink.mail.outbox.session_lost();
                self.udp_failed.extend(uplink.udp_failed_at().map(|at| (addr.clone(), at)));
                self.parked.insert(addr, uplink.mail);
            }
        }
        for (addr, spec) in wanted {
            match self.uplinks.get_mut(&addr) {
                Some(uplink) => {
                    uplink.spec.tcp = spec.tcp;
                    uplink.set_key(now, spec.key, spec.fingerprint, &mut self.shared, out);
                }
                None => {
                    self.mail(&addr);
                    let mail = self.parked.remove(&addr).expect("it was parked just now");
                    let mut uplink = Uplink::new(spec, mail);
                    uplink.recall_udp(now.wall, self.udp_failed.remove(&addr));
                    if !self.holds_refusals {
                        uplink.tell_old_refusals(&mut self.shared.journal, out);
                    }
                    uplink.pursue(now, &mut self.shared, out);
                    self.uplinks.insert(addr, uplink);
                }
            }
        }
    }

    fn handle_packet(&mut self, now: Now, path: Path, bytes: &mut [u8], out: &mut Out) {
        let shared = &mut self.shared;
        match packet::parse(path.carrier(), bytes) {
            Ok(Packet::Data { receiver, .. }) => {
                let relay = shared.indexes.get(receiver).cloned();
                let uplink = relay.and_then(|relay| self.uplinks.get_mut(&relay));
                let taken = uplink.is_some_and(|uplink| uplink.handle_data(now, shared, path, bytes, out));
                if !taken {
                    self.spoil(now, path, out);
                }
            }
            Ok(Packet::Response { receiver, .. }) => {
                let Some(relay) = shared.indexes.get(receiver).cloned() else { return };
                if let Some(uplink) = self.uplinks.get_mut(&relay) {
                    uplink.handle_response(now, shared, path, bytes, out);
                }
            }
            Ok(Packet::Cookie { receiver, .. }) => {
                let Some(relay) = shared.indexes.get(receiver).cloned() else { return };
                if let Some(uplink) = self.uplinks.get_mut(&relay) {
                    uplink.handle_cookie(now, shared, path, bytes, out);
                }
            }
            Ok(Packet::KeyAnswer { .. }) => {
                let change = |uplink: &mut Uplink| uplink.handle_key_answer(now, shared, path, bytes, out);
                self.uplinks.each_of(Uplink::is_trying, change);
            }
            Ok(Packet::Reset { index, token }) => {
                let change = |uplink: &mut Uplink| uplink.handle_reset(now, shared, index, token, out);
                self.uplinks.each_of(|uplink| uplink.peer.is_some(), change);
            }
            _ => self.spoil(now, path, out),
        }
    }

    /// Closes a TCP connection that brought unreadable data. TCP loses nothing and nothing is
    /// retransmitted there, so the rest of the stream is of no use either.
    fn spoil(&mut self, now: Now, path: Path, out: &mut Out) {
        if let Some((uplink, shared, conn)) = self.uplink_of_conn(path) {
            out.effects.push(Effect::Close(path));
            uplink.handle_path_closed(now, shared, conn, Why::Framing, out);
        }
    }

    fn uplink_of_conn(&mut self, path: Path) -> Option<(&mut Uplink, &mut Shared, crate::base::ConnId)> {
        let Path::Tcp(conn) = path else { return None };
        let relay = self.shared.conns.get(&conn)?;
        Some((self.uplinks.get_mut(relay)?, &mut self.shared, conn))
    }
}

impl Core for Client {
    type Command = Command;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Out) {
        let overslept = self.next_deadline().is_some_and(|at| now.tick.since(at) > OVERSLEPT);
        self.now = now.tick;
        self.shared.indexes.handle_time(now.tick);
        self.shared.journal.handle_time(now);
        self.shared.facts.handle_time(now.tick, &mut self.shared.counter, out);
        if overslept {
            self.uplinks.each(|uplink| {
                uplink.peer.iter_mut().for_each(|peer| peer.handle_woken(now.tick));
                uplink.handle_woken(now.tick, self.shared.carriers);
                uplink.handle_time(now, &mut self.shared, out);
            });
        } else {
            self.uplinks.each_due(now.tick, |uplink| uplink.handle_time(now, &mut self.shared, out));
        }
        self.give_turns(now, out);
    }

    fn handle(&mut self, now: Now, input: Input<'_, Command>, out: &mut Out) {
        match input {
            Input::Packet { path, bytes } => self.handle_packet(now, path, bytes, out),
            Input::Command(command) => self.handle_command(now, command, out),
            Input::PathOpened { path, .. } => {
                if let Some((uplink, shared, conn)) = self.uplink_of_conn(path) {
                    uplink.handle_opened(now, shared, conn, out);
                }
            }
            Input::PathClosed(path, why) => {
                if let Some((uplink, shared, conn)) = self.uplink_of_conn(path) {
                    uplink.handle_path_closed(now, shared, conn, why, out);
                }
            }
            Input::Unsent(path, bytes) => {
                if let Some((uplink, _, _)) = self.uplink_of_conn(path)
                    && let Some(peer) = &mut uplink.peer
                {
                    peer.handle_unsent(now.tick, path, bytes);
                }
            }
            Input::Resolved(host, addrs) => {
                let shared = &mut self.shared;
                let change = |uplink: &mut Uplink| uplink.handle_resolved(now, shared, &host, &addrs, out);
                self.uplinks.each_of(|uplink| uplink.asks_for(&host), change);
            }
            Input::Committed(ticket) => self.handle_committed(now, ticket, true, out),
            Input::NotCommitted(ticket) => self.handle_committed(now, ticket, false, out),
            Input::SendRefused(path, _) => {
                let change =
                    |uplink: &mut Uplink| uplink.handle_send_refused(now, &mut self.shared, path, out);
                self.uplinks.each_of(|uplink| uplink.sends_to(path), change);
            }
            Input::Rows(..) | Input::Text { .. } | Input::TextEnded(_) => {}
        }
        self.settle(now, out);
    }

    fn flush(&mut self, now: Now, out: &mut Out) {
        self.settle(now, out);
        self.give_turns(now, out);
        self.shared.journal.hand_over(&mut self.shared.counter, out);
        let carriers = self.shared.carriers;
        self.uplinks.finish(now.tick, carriers, |uplink| {
            uplink.choose(now, &mut self.shared, out);
            uplink.flush(now, &self.shared, out);
        });
    }

    fn next_deadline(&self) -> Option<Tick> {
        let uplinks = self.uplinks.next_deadline(self.now, self.shared.carriers);
        let shared = &self.shared;
        let others = [
            shared.indexes.next_deadline(),
            shared.journal.next_deadline(),
            shared.facts.next_deadline(),
            shared.pace.next_deadline(),
        ];
        uplinks.into_iter().chain(others.into_iter().flatten()).min()
    }
}

impl Client {
    /// Starts connection rounds and TCP connections whose turn has come.
    fn give_turns(&mut self, now: Now, out: &mut Out) {
        while let Some(relay) = self.shared.pace.next(now.tick) {
            if let Some(uplink) = self.uplinks.get_mut(&relay) {
                uplink.handle_turn(now, &mut self.shared, out);
            }
        }
        while let Some(next) = self.next_dial(now.tick) {
            match next {
                Next::Opens(relay) => {
                    if let Some(uplink) = self.uplinks.get_mut(&relay) {
                        uplink.handle_dial_turn(now, &mut self.shared, out);
                    }
                }
                Next::Yields(relay, conn) => match self.uplinks.get_mut(&relay) {
                    Some(uplink) => uplink.yield_conn(now, conn, &mut self.shared, out),
                    None => self.shared.pace.dials.end(conn),
                },
            }
        }
    }

    /// Returns the next action of the queue for TCP connections. Skips rounds that have ended, so
    /// that no connection is given up for them.
    fn next_dial(&mut self, now: Tick) -> Option<Next> {
        let dials = &mut self.shared.pace.dials;
        while let Some((turn, relay)) = dials.first() {
            if self.uplinks.get(relay).is_some_and(|uplink| uplink.waits_to_dial(*turn)) {
                break;
            }
            let turn = *turn;
            let relay = relay.clone();
            dials.forget(turn, &relay);
        }
        dials.next(now, self.shared.conns.len())
    }

    fn handle_committed(&mut self, now: Now, ticket: Ticket, durable: bool, out: &mut Out) {
        if self.shared.counter.handle_committed(ticket, durable) {
            let change = |uplink: &mut Uplink| uplink.drive_attempts(now, &mut self.shared, out);
            self.uplinks.each_of(Uplink::is_trying, change);
            return;
        }
        let shared = &mut self.shared;
        let mark = |uplink: &mut Uplink| uplink.handle_mark(now, shared, durable, out);
        if self.uplinks.each_of(|uplink| uplink.mail.outbox.marks.awaits(ticket), mark) {
            return;
        }
        if let Some(mail) = self.parked.values_mut().find(|mail| mail.outbox.marks.awaits(ticket)) {
            return mail.outbox.marks.handle_committed(now.tick, durable);
        }
        if self.shared.facts.handle_committed(now.tick, ticket, durable) {
            return;
        }
        let had_room = self.shared.journal.has_room();
        self.shared.journal.handle_committed(now, ticket, durable);
        self.settle(now, out);
        if !had_room && self.shared.journal.has_room() {
            let change = |uplink: &mut Uplink| uplink.read(now, &mut self.shared, out);
            self.uplinks.each_of(|uplink| uplink.peer.is_some(), change);
        }
    }

    /// Carries out the consequences of settled records.
    fn settle(&mut self, now: Now, out: &mut Out) {
        while let Some((record, durable)) = self.shared.journal.next_settled() {
            let Some(relay) = record.relay().cloned() else { continue };
            let via = self.uplinks.get(&relay).map_or(Carrier::Udp, Uplink::via);
            if let Record::OldCopy { .. } = record {
                self.settle_old_copy(now, &relay, out);
            } else if let Some(event) = self.mail(&relay).settle(via, record, durable) {
                if self.holds_refusals && matches!(event, Event::Refused { .. }) {
                    continue;
                }
                let refused =
                    if let Event::Refused { to, id, .. } = &event { Some((to.clone(), *id)) } else { None };
                out.show(event);
                if let Some((to, id)) = refused {
                    self.settle_refused(relay.clone(), to, id, out);
                    if let Some(uplink) = self.uplinks.get_mut(&relay) {
                        uplink.mark_refusals(now.tick, &mut self.shared, out);
                    }
                }
            }
        }
    }

    /// Handles a refusal that was shown: receipts of letters behind it may be shown now.
    fn settle_refused(&mut self, relay: HostPort, to: Name, id: LetterId, out: &mut Out) {
        self.shared.journal.push(told(&relay, &to, id));
        if id.outbox != self.mail(&relay).outbox.id() {
            return;
        }
        let via = self.uplinks.get(&relay).map_or(Carrier::Udp, Uplink::via);
        let reach = self.mail(&relay).outbox.resume(&to, |step| out.show(step.event(via)));
        let mut more = Vec::new();
        let outbox = self.mail(&relay).outbox.base();
        self.mail(&relay).outbox.refuse_written(&to, |to, number, reason, may_have_arrived| {
            more.push(uplink::record_of_refusal(&relay, outbox, to, number, reason, may_have_arrived));
        });
        more.into_iter().for_each(|record| self.shared.journal.push(record));
        if let Some(reach) = reach {
            self.shared.journal.push(Record::Reached { relay, to, outbox, reach });
        }
    }

    /// Returns the letters of an outbox that was an old copy, after its replacement became durable.
    fn settle_old_copy(&mut self, now: Now, relay: &HostPort, out: &mut Out) {
        let given_back = self.mail(relay).outbox.take_given_back();
        for (to, refusal) in given_back.into_iter().filter(|_| !self.holds_refusals) {
            self.shared.journal.push(told(relay, &to, refusal.id));
            out.show(refused_event(to, refusal));
        }
        if let Some(uplink) = self.uplinks.get_mut(relay) {
            uplink.sign_in(now.tick, &mut self.shared, out);
        }
    }
}

fn told(relay: &HostPort, to: &Name, id: LetterId) -> Record {
    // `through` is its own inverse: it gives the outbox's name on disk.
    let outbox = id.outbox.through(relay);
    Record::Told { relay: relay.clone(), to: to.clone(), outbox, number: id.number }
}

#[cfg(test)]
mod tests;
