//! Guests: peers that speak plain text and are known only by their address.
//!
//! A guest is a UDP address that sent text, or a TCP connection whose first byte began no packet.
//! This module splits their text into letters and paces the replies; the relay routes the letters.
//!
//! Plain text proves no address. Nothing automatic sent to a UDP guest is larger than what it sent,
//! and replies run at most three datagrams ahead. `admission` limits the accepted text, and `slots`
//! assigns [`GuestRules::limit`] slots. A connection that gets none receives a text and is closed;
//! until its first letter only the limit of connections applies. A guest may have 64 KiB of waiting
//! replies (4 KiB without a slot) and 4 KiB of an unfinished line.

mod admission;
mod byte_budgets;
mod echo;
mod guest;
mod index;
mod letters;
mod line_splitter;
mod raw_input;
mod recent_addrs;
mod slots;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, LetterId, Name, OutboxId, Path, Rng, Tick};
use crate::session::PrefixLen;
use crate::wire::letter::GuestEvent;
use crate::wire::message::Reason;

use super::Out;
use super::ids::{GuestId, MemberId};
use super::limits::LOOKUP_RATE;
use super::routing::ECHO;
use admission::GuestAdmission;
use byte_budgets::ByteBudgets;
use echo::Echoes;
use guest::Guest;
use guest::outbox_of;
pub(super) use guest::{GuestReply, carrier_of};
use index::GuestIndex;
use slots::{GuestClass, GuestSlots, SlotChange};
pub use text::GuestEncoding;
use words::BYE;

/// Silence after which a connection is greeted. 300 ms: a member's client sends at once.
const GREET_AFTER: Duration = Duration::from_millis(300);
/// Time in which a guest that has closed its sending side may read replies.
const ENDED_FOR: Duration = Duration::from_secs(60);
/// Maximum members that one guest writes to; letters to more are refused.
const RECIPIENTS_MAX: usize = 16;

/// How guests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRules {
    /// Default recipient; with `echo` every text comes back in upper case.
    pub to: Name,
    /// Whether guests may write to any member, with a text that begins with `@NAME `.
    pub anyone: bool,
    /// Character encoding of their text.
    pub encoding: GuestEncoding,
    /// First text sent to a TCP guest, at most 1,024 bytes; empty for none.
    pub greeting: String,
    /// Slots: for connections that have written a letter, and up to half of them for UDP addresses
    /// that have written twice or got a reply. `echo` needs no slot.
    pub limit: usize,
    /// Texts of the relay, in the language of its operator.
    pub texts: GuestTexts,
}

/// Texts that the relay sends to guests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestTexts {
    /// To a TCP guest: the member is offline, and the letter waits.
    pub away: String,
    /// To a TCP guest: the recipient is unknown.
    pub nobody: String,
    /// To a TCP guest: the letter was refused.
    pub full: String,
    /// To a web browser: this is no web server.
    pub no_web: String,
}

/// Something to route for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GuestAction {
    /// A letter of a guest.
    Letter {
        /// Its sender.
        path: Path,
        /// Its recipient.
        to: Name,
        /// Its text.
        text: String,
    },
    /// A note about a guest, in the guest's name, to the members it has written to.
    Event {
        /// The guest.
        from: Name,
        /// Its outbox.
        outbox: OutboxId,
        /// Recipients, each with the number of the last letter before.
        to: Vec<(MemberId, u64)>,
        /// The note.
        event: GuestEvent,
    },
}

/// Something to route, before its letter numbers are known.
#[derive(Debug)]
enum PendingGuestAction {
    Letter { path: Path, to: Name, text: String },
    Ended(Path),
    Left(Path),
}

/// All guests.
#[derive(Debug)]
pub(super) struct Guests {
    rules: GuestRules,
    rng: Rng,
    guests: BTreeMap<Path, Guest>,
    index: GuestIndex,
    /// Refused texts and guests, and datagrams whose source cannot be a guest.
    refused: u64,
    forged: u64,
    deadlines: BTreeSet<(Tick, Path)>,
    slots: GuestSlots,
    admission: GuestAdmission,
    echoes: Echoes,
    /// Rates of text by source of a connection.
    byte_budgets: ByteBudgets,
    /// Rates of lookups by network of a connection. UDP guests get no answers to lookups.
    query_budgets: ByteBudgets,
    last_id: u64,
    /// Results of the current input.
    pending: VecDeque<PendingGuestAction>,
    /// Connections to close.
    closing: Vec<ConnId>,
}

impl Guests {
    pub(super) fn new(rules: GuestRules, mut rng: Rng) -> Guests {
        Guests {
            slots: GuestSlots::new(rules.limit),
            admission: GuestAdmission::new(&mut rng),
            echoes: Echoes::new(&mut rng),
            byte_budgets: ByteBudgets::new(&mut rng, admission::SOURCE_RATE),
            query_budgets: ByteBudgets::new(&mut rng, LOOKUP_RATE),
            rules,
            rng,
            guests: BTreeMap::new(),
            index: GuestIndex::default(),
            refused: 0,
            forged: 0,
            deadlines: BTreeSet::new(),
            last_id: 0,
            pending: VecDeque::new(),
            closing: Vec::new(),
        }
    }

    // Inputs.

    /// Handles a new connection. Its first byte will show whether it is a guest's.
    pub(super) fn open(&mut self, now: Tick, conn: ConnId, remote: SocketAddr) {
        let greet_at = (!self.rules.greeting.is_empty()).then(|| now + GREET_AFTER);
        self.insert(now, Path::Tcp(conn), remote, greet_at);
    }

    /// Removes a connection that is a member's. Returns whether it could have been a guest's.
    pub(super) fn is_no_guest(&mut self, conn: ConnId) -> bool {
        self.forget(Path::Tcp(conn))
    }

    /// Handles text on a connection.
    pub(super) fn handle_text(&mut self, now: Tick, conn: ConnId, bytes: &[u8], out: &mut Out) {
        let path = Path::Tcp(conn);
        let is_echo = self.is_echo();
        let Some(guest) = self.guests.get_mut(&path) else { return };
        guest.last_active = now;
        let mut letters = Vec::new();
        guest.line_splitter.push(now, bytes, |charset, letter| letters.push((charset, letter.to_vec())));
        if is_echo {
            guest.line_splitter.cut(|charset, letter| letters.push((charset, letter.to_vec())));
        }
        self.take_letters(now, path, letters, out);
        self.schedule(path);
    }

    /// Handles the end of a TCP guest's text.
    pub(super) fn handle_text_end(&mut self, now: Tick, conn: ConnId, out: &mut Out) {
        let path = Path::Tcp(conn);
        let is_echo = self.is_echo();
        let Some(guest) = self.guests.get_mut(&path) else { return };
        let mut letters = Vec::new();
        guest.line_splitter.finish(|charset, letter| letters.push((charset, letter.to_vec())));
        self.take_letters(now, path, letters, out);
        let Some(guest) = self.guests.get_mut(&path) else { return };
        if is_echo || !guest.has_written {
            send_greeting(guest, &self.rules.greeting, out);
            return self.close(path);
        }
        guest.ended_until = Some(now + ENDED_FOR);
        self.pending.push_back(PendingGuestAction::Ended(path));
        self.schedule(path);
    }

    /// Handles the end of a connection.
    pub(super) fn handle_closed(&mut self, conn: ConnId) {
        self.remove(Path::Tcp(conn));
    }

    /// Handles pauses, greetings and time limits that are due.
    pub(super) fn handle_time(&mut self, now: Tick, out: &mut Out) {
        while let Some((at, path)) = self.deadlines.first().copied().filter(|first| first.0 <= now) {
            self.deadlines.remove(&(at, path));
            let Some(guest) = self.guests.get_mut(&path) else { continue };
            if guest.idle_at() <= now || guest.ended_until.is_some_and(|until| until <= now) {
                self.close(path);
                continue;
            }
            if guest.greet_at.is_some_and(|at| at <= now) {
                send_greeting(guest, &self.rules.greeting, out);
            }
            let mut letters = Vec::new();
            guest.line_splitter.handle_time(now, |charset, letter| letters.push((charset, letter.to_vec())));
            self.take_letters(now, path, letters, out);
            self.schedule(path);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.deadlines.first().map(|first| first.0).into_iter().chain(self.index.next_deadline()).min()
    }

    // Requests of the relay.

    /// Returns the next result of the last input.
    pub(super) fn next_action(&mut self) -> Option<GuestAction> {
        loop {
            let action = match self.pending.pop_front()? {
                PendingGuestAction::Letter { path, to, text } => Some(GuestAction::Letter { path, to, text }),
                PendingGuestAction::Ended(path) => self.guest_event(path, GuestEvent::Ended),
                PendingGuestAction::Left(path) => {
                    let action = self.guest_event(path, GuestEvent::Left);
                    self.forget(path);
                    action
                }
            };
            if action.is_some() {
                return action;
            }
        }
    }

    /// Returns a connection to close.
    pub(super) fn next_closing(&mut self) -> Option<ConnId> {
        self.closing.pop()
    }

    /// Returns a guest that left and has no pending receipts, and the members that wrote to it.
    pub(super) fn next_gone(&mut self, now: Tick) -> Option<(GuestId, BTreeSet<MemberId>)> {
        self.index.next_gone(now)
    }

    /// Returns and resets the numbers of refused texts and guests, and of forged datagrams.
    pub(super) fn take_refused(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.refused), std::mem::take(&mut self.forged))
    }

    /// Whether this guest named its recipient.
    pub(super) fn has_named(&self, to: &str) -> bool {
        self.rules.to.as_str() != to
    }

    /// Whether a guest may learn if the name that it wrote to exists.
    ///
    /// A network has the lookup budget of a member. Existing names count too, unless the guest has
    /// written to them before.
    pub(super) fn may_query(&mut self, now: Tick, path: Path, recipient: Option<MemberId>) -> bool {
        let Some(guest) = self.guests.get(&path) else { return false };
        let is_known = recipient.is_some_and(|member| guest.numbers.contains_key(&member));
        is_known
            || !matches!(path, Path::Tcp(_))
            || self.query_budgets.admit(now, PrefixLen::SITE.network(guest.remote.ip()))
    }

    /// Returns a guest's name, its next letter's identifier and the number before. `None` if the
    /// guest is gone or has too many recipients.
    pub(super) fn address(&self, path: Path, to: MemberId) -> Option<(&Name, LetterId, u64)> {
        let guest = self.guests.get(&path)?;
        let prev = match guest.numbers.get(&to) {
            Some(last) => *last,
            None if guest.numbers.len() < RECIPIENTS_MAX => 0,
            None => return None,
        };
        Some((&guest.name, LetterId { outbox: guest.outbox, number: prev + 1 }, prev))
    }

    /// Records that the letter of [`Guests::address`] was taken.
    pub(super) fn record_taken(&mut self, path: Path, to: MemberId) {
        if let Some(guest) = self.guests.get_mut(&path) {
            *guest.numbers.entry(to).or_default() += 1;
        }
    }

    /// Sends a TCP guest a notice, each kind once. A UDP guest has not proved its address.
    pub(super) fn reply(&mut self, path: Path, notice: GuestReply, out: &mut Out) {
        let Some(guest) = self.guests.get_mut(&path) else { return };
        let texts = &self.rules.texts;
        let text = match notice {
            GuestReply::Away => &texts.away,
            GuestReply::Nobody => &texts.nobody,
            GuestReply::Full => &texts.full,
        };
        if matches!(path, Path::Tcp(_)) && guest.replies_sent.insert(notice) {
            send_greeting(guest, &self.rules.greeting, out);
            // A connection takes what it is given, or ends.
            let _ = guest.write(guest.last_active, text, out);
        }
    }

    /// Returns the guest of this name.
    pub(super) fn find(&self, name: &str) -> Option<GuestId> {
        self.index.find(name)
    }

    /// Returns the path of the guest of this name.
    pub(super) fn path_of(&self, name: &str) -> Option<Path> {
        self.index.path(self.index.find(name)?)
    }

    /// Returns the name of a guest.
    pub(super) fn name(&self, id: GuestId) -> Option<&Name> {
        self.index.name(id)
    }

    /// Sends a member's text to a guest.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub(super) fn answer(
        &mut self,
        now: Tick,
        sender: MemberId,
        id: GuestId,
        text: &str,
        out: &mut Out,
    ) -> Result<(), Reason> {
        let path = self.write(now, sender, id, text, out)?;
        self.schedule(path);
        Ok(())
    }

    /// Ends the conversation of a member with a guest.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub(super) fn end(
        &mut self,
        now: Tick,
        sender: MemberId,
        id: GuestId,
        out: &mut Out,
    ) -> Result<(), Reason> {
        let path = self.write(now, sender, id, BYE, out)?;
        self.close(path);
        Ok(())
    }

    /// Writes a member's text to a guest and returns the guest's path.
    fn write(
        &mut self,
        now: Tick,
        sender: MemberId,
        id: GuestId,
        text: &str,
        out: &mut Out,
    ) -> Result<Path, Reason> {
        let path = self.index.path(id).ok_or(Reason::Unknown)?;
        let guest = self.guests.get_mut(&path).ok_or(Reason::Unknown)?;
        guest.senders.insert(sender);
        send_greeting(guest, &self.rules.greeting, out);
        guest.class = guest.class.max(GuestClass::Answered);
        self.assign_udp_slot(now, path);
        let guest = self.guests.get_mut(&path).ok_or(Reason::Unknown)?;
        let written = guest.write(now, text, out);
        if written.is_err() {
            self.schedule(path);
        }
        written.map(|()| path)
    }

    // Processing.

    fn is_echo(&self) -> bool {
        self.rules.to.as_str() == ECHO
    }

    /// Returns a note about a guest to the members that it has written to.
    fn guest_event(&mut self, path: Path, event: GuestEvent) -> Option<GuestAction> {
        let guest = self.guests.get_mut(&path)?;
        let to: Vec<_> = guest.numbers.iter().map(|(member, last)| (*member, *last)).collect();
        guest.numbers.values_mut().for_each(|last| *last += 1);
        let from = guest.name.clone();
        let outbox = guest.outbox;
        (!to.is_empty()).then_some(GuestAction::Event { from, outbox, to, event })
    }

    /// Whether this TCP guest may write letters. It takes a slot with the first one.
    fn assign_tcp_slot(&mut self, path: Path) -> bool {
        let Some(guest) = self.guests.get_mut(&path) else { return false };
        if guest.has_slot {
            return true;
        }
        let Some(change) = self.slots.take_tcp(path, guest.remote.ip()) else {
            self.refused += 1;
            return false;
        };
        guest.has_slot = true;
        self.handle_slot_change(change);
        true
    }

    /// Updates the slot of a UDP guest that was received from or written to.
    fn assign_udp_slot(&mut self, now: Tick, path: Path) {
        let Some(guest) = self.guests.get_mut(&path).filter(|_| path.carrier() == Carrier::Udp) else {
            return;
        };
        let change = self.slots.note_udp(now, path, guest.class, guest.wants_slot());
        guest.has_slot = self.slots.has_slot(path);
        self.handle_slot_change(change);
    }

    fn handle_slot_change(&mut self, change: SlotChange) {
        if let Some(guest) = change.displaced.and_then(|path| self.guests.get_mut(&path)) {
            guest.release_slot();
        }
        if let Some(path) = change.forgotten {
            self.forget(path);
        }
    }

    fn insert(&mut self, now: Tick, path: Path, remote: SocketAddr, greet_at: Option<Tick>) {
        self.last_id += 1;
        let id = GuestId(self.last_id);
        let outbox = outbox_of(self.rng.next_u64(), path.carrier());
        let mut guest = Guest::new(now, id, path, remote, outbox, self.rules.encoding);
        guest.greet_at = greet_at;
        self.guests.insert(path, guest);
        self.schedule(path);
    }

    fn schedule(&mut self, path: Path) {
        let Some(guest) = self.guests.get_mut(&path) else { return };
        let before = (guest.deadline, path);
        guest.deadline = guest.next_deadline();
        self.deadlines.remove(&before);
        self.deadlines.insert((guest.deadline, path));
    }

    /// Ends a conversation from the relay's side.
    fn close(&mut self, path: Path) {
        self.remove(path);
        if let Path::Tcp(conn) = path {
            self.closing.push(conn);
        }
    }

    /// Removes a guest, and notifies its recipients if they do not know that it ended.
    fn remove(&mut self, path: Path) {
        let ended = self.guests.get(&path).is_some_and(|guest| guest.ended_until.is_some());
        if matches!(path, Path::Tcp(_)) && !ended {
            self.pending.push_back(PendingGuestAction::Left(path));
        } else {
            self.forget(path);
        }
    }

    fn forget(&mut self, path: Path) -> bool {
        let Some(guest) = self.guests.remove(&path) else { return false };
        self.deadlines.remove(&(guest.deadline, path));
        self.slots.leave(path);
        self.index.remove(guest.id, guest.idle_at(), guest.senders);
        true
    }
}

/// Returns the part of this text that is for `echo`.
fn for_echo<'a>(rules: &GuestRules, bytes: &'a [u8]) -> Option<&'a [u8]> {
    if rules.to.as_str() == ECHO { Some(bytes) } else { bytes.strip_prefix(b"@echo ") }
}

/// Greets a TCP guest that was not greeted yet.
fn send_greeting(guest: &mut Guest, greeting: &str, out: &mut Out) {
    guest.greet_at = None;
    if matches!(guest.path, Path::Tcp(_))
        && !std::mem::replace(&mut guest.is_greeted, true)
        && !greeting.is_empty()
    {
        guest.write_greeting(greeting, out);
    }
}
