//! The connection to one relay: the session, and the letters through it in both directions.
//! `connect` establishes the session, `sign_in` sends its first message.

mod sign_in;

use std::collections::VecDeque;

use crate::base::{Carrier, ConnId, Effect, HostPort, Name, Now, OutboxId, Outputs, Path, Tick};
use crate::peer::{Heard, Peer};
use crate::session::{AccessSecret, Identity, Indexes};
use crate::wire::features::Features;
use crate::wire::frame::{StreamId, close};
use crate::wire::letter::{GuestNote, Made};
use crate::wire::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};
use crate::wire::message::{Letter, NameReason, Reason, Receipt, Refused, ToClient, ToRelay};

use super::acquaintances::Acquaintances;
use super::api::{Carriers, Event, Record, RelaySpec, Unkept, Unreached};
use super::connect::{Connecting, Round};
use super::counter::Counter;
use super::delivery::Unsupported;
use super::facts::Facts;
use super::journal::Journal;
use super::mail::{Mail, refused_event};
use super::outbox::{Refusing, Sendable};
use super::pace::Pace;
use super::paths::Choice;
use super::screen::Screens;
use super::strangers::Strangers;
use super::told;

pub(super) type Out = Outputs<Record, Event>;

/// State shared by all relays of a client.
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) secret: AccessSecret,
    pub(super) name: Option<Name>,
    pub(super) carriers: Carriers,
    pub(super) rng: crate::base::Rng,
    pub(super) counter: Counter,
    pub(super) journal: Journal,
    pub(super) facts: Facts,
    pub(super) indexes: Indexes<HostPort>,
    /// The relay of each TCP connection.
    pub(super) conns: std::collections::BTreeMap<ConnId, HostPort>,
    pub(super) next_conn: u64,
    /// When each relay is tried.
    pub(super) pace: Pace,
    /// The invitation secret; empty if there is none.
    pub(super) invitation: Vec<u8>,
    pub(super) screens: Option<Screens>,
    pub(super) strangers: Strangers,
    pub(super) acquaintances: Acquaintances,
    pub(super) unsupported: Unsupported,
}

/// The last state of this relay that was reported to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Online,
    Away,
}

/// One relay.
pub(super) struct Uplink {
    pub(super) spec: RelaySpec,
    pub(super) peer: Option<Peer>,
    pub(super) connecting: Connecting,
    pub(super) choice: Choice,
    pub(super) told: Told,
    /// No further attempts: the name was refused, or another machine took over.
    pub(super) stopped: bool,
    /// The name was refused; an invitation may help.
    name_refused: bool,
    /// This session has sent the sign-in.
    signed: bool,
    welcomed: bool,
    /// Optional features of the relay.
    features: Features,
    /// The user was notified that the relay could not register the name.
    told_not_written: bool,
    text_max: usize,
    pub(super) mail: Mail,
    /// Block list messages still to be sent; about the size of one list of names.
    screen: VecDeque<Vec<u8>>,
    pub(super) last_author: Option<Name>,
    /// The carrier of the session's last packet.
    pub(super) heard_on: Carrier,
    pings: u32,
    /// Reused buffer for a message being read.
    incoming: Vec<u8>,
    /// Reused buffer for a message being written.
    outgoing: Vec<u8>,
}

impl Uplink {
    pub(super) fn new(spec: RelaySpec, mail: Mail) -> Uplink {
        Uplink {
            spec,
            peer: None,
            connecting: Connecting::default(),
            choice: Choice::default(),
            told: Told::Nothing,
            stopped: false,
            name_refused: false,
            signed: false,
            welcomed: false,
            features: Features::default(),
            told_not_written: false,
            text_max: LETTER_TEXT_MAX,
            mail,
            screen: VecDeque::new(),
            last_author: None,
            heard_on: Carrier::Udp,
            pings: 0,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// Whether the user was last notified that the relay is online.
    pub(super) fn is_online(&self) -> bool {
        self.told == Told::Online
    }

    pub(super) fn via(&self) -> Carrier {
        self.peer.as_ref().and_then(Peer::path).map_or(Carrier::Udp, Path::carrier)
    }

    /// Takes a letter into the outbox. It is sent once it is durable.
    pub(super) fn send(
        &mut self,
        now: Now,
        shared: &mut Shared,
        request: u64,
        to: Name,
        text: String,
        out: &mut Out,
    ) -> Result<(), (Reason, String)> {
        if text.len() > self.text_max {
            return Err((Reason::TooLong, text));
        }
        if !self.mail.outbox.has_request(&to, request) {
            let made = Made::of_text(&text, now.wall);
            self.write(now, shared, request, to, (text, made), out);
        }
        Ok(())
    }

    /// Ends the conversation with a guest, by a letter with a closing note.
    pub(super) fn close(&mut self, now: Now, shared: &mut Shared, request: u64, guest: Name, out: &mut Out) {
        if !self.mail.outbox.has_request(&guest, request) {
            let made = Made::of_note(GuestNote::Close);
            self.write(now, shared, request, guest, (String::new(), made), out);
        }
    }

    fn write(
        &mut self,
        now: Now,
        shared: &mut Shared,
        request: u64,
        to: Name,
        (text, made): (String, Made),
        out: &mut Out,
    ) {
        if self.mail.outbox.marks.are_used_up() {
            self.give_up_outbox(shared);
        }
        let outbox = &mut self.mail.outbox;
        if !outbox.has_room(made.body.len()) {
            return out.show(Event::Unkept { request, to, why: Unkept::Full, text });
        }
        let number = outbox.push(request, to.clone(), made.clone());
        self.note_written_to(shared, &to);
        let outbox = self.mail.outbox.base();
        let mark = self.mail.outbox.marks.mark();
        self.raise(shared);
        let relay = self.spec.addr.clone();
        let record =
            Record::Written { relay, to, outbox, number, mark, request, text, written: now.wall, made };
        shared.journal.push(record);
    }

    /// Shows refusals of an earlier run that the user may not have seen.
    pub(super) fn tell_old_refusals(&mut self, journal: &mut Journal, out: &mut Out) {
        while let Some((to, refusal)) = self.mail.outbox.next_old_refusal() {
            journal.push(told(&self.spec.addr, &to, refusal.id));
            out.show(refused_event(to, refusal));
        }
    }

    /// Queues the relay's block list for this session, at its start and after a change.
    pub(super) fn handle_screens(&mut self, shared: &Shared) {
        let screen = shared.screens.as_ref().and_then(|screens| screens.of(&self.spec.addr));
        if let (Some(screen), true) = (screen, self.peer.is_some() && shared.name.is_some()) {
            self.screen = screen.messages();
        }
    }

    /// Starts again with a new invitation, if the name was refused or a sign-in is under way.
    pub(super) fn handle_invitation(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let signing_in = !self.stopped && !self.welcomed && self.peer.is_some();
        if !signing_in && !std::mem::take(&mut self.name_refused) {
            return;
        }
        self.leave(now, shared, out);
        self.stopped = false;
        self.connecting.start_over();
        self.pursue(now, shared, out);
    }

    pub(super) fn ping(&mut self, shared: &mut Shared) {
        self.pings += 1;
        self.raise(shared);
    }

    /// Whether the user waits for this relay.
    pub(super) fn is_urgent(&self) -> bool {
        self.pings > 0 || !self.mail.outbox.is_empty()
    }

    /// Whether every letter is delivered or refused.
    pub(super) fn is_idle(&self) -> bool {
        self.mail.outbox.is_empty()
    }

    /// Whether the relay has acknowledged all data of the session and has every receipt.
    pub(super) fn is_settled(&self) -> bool {
        let unacked = self.peer.as_ref().map_or(0, |peer| peer.link().unacked_bytes());
        let ledger = &self.mail.ledger;
        let told = ledger.next_stored().is_none()
            && ledger.next_read().is_none()
            && ledger.declined.next().is_none();
        unacked == 0 && (self.peer.is_none() || told)
    }

    /// Handles a data packet. Returns `false` if it could not be opened.
    pub(super) fn handle_data(
        &mut self,
        now: Now,
        shared: &mut Shared,
        path: Path,
        bytes: &mut [u8],
        out: &mut Out,
    ) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        let heard = peer.handle_packet(now.tick, path, bytes);
        match heard {
            Heard::Dropped => return false,
            Heard::Taken => {
                self.heard_on = path.carrier();
                self.handle_taken(now, shared, out);
            }
            Heard::Closed(code) => self.handle_closed(now, shared, code, out),
            Heard::Broken(violation) => {
                peer.close(close::PROTOCOL_VIOLATION, violation.as_str());
                peer.flush(now.tick, out);
                self.lose(now, shared, out);
            }
        }
        true
    }

    fn handle_taken(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.free_indexes(now.tick, shared);
        self.stop_repairing(now.tick, shared, out);
        self.read(now, shared, out);
        if let Some(rtt) = self.peer.as_mut().and_then(Peer::take_pong) {
            out.show(Event::Pong { relay: self.spec.addr.clone(), via: self.via(), rtt });
        }
    }

    fn handle_closed(&mut self, now: Now, shared: &mut Shared, code: u16, out: &mut Out) {
        if code == close::REPLACED {
            self.stopped = true;
            out.show(Event::Replaced { relay: self.spec.addr.clone() });
        }
        if code == close::REFUSED {
            self.handle_name_refused(NameReason::Removed, "", out);
        }
        self.lose(now, shared, out);
        if code == close::GOING_AWAY {
            self.connecting.hasten(now.tick, &mut shared.rng);
        }
    }

    /// Handles a cookie: a relay under load requests the first message again.
    pub(super) fn handle_cookie(
        &mut self,
        now: Now,
        shared: &mut Shared,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        if self.connecting.attempts.iter_mut().any(|attempt| attempt.handle_cookie(now.tick, path, bytes)) {
            self.drive_attempts(now, shared, out);
        }
    }

    /// Drops the session for good. A new one is attempted after a pause.
    fn lose(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.drop_peer(now.tick, shared, out);
        self.cancel_attempts(now.tick, shared, out);
        if self.told == Told::Online && !self.stopped {
            self.told = Told::Away;
            out.show(Event::Lost { relay: self.spec.addr.clone() });
        }
        self.connecting.session_ended(now.tick, &mut shared.rng);
    }

    pub(super) fn handle_time(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if let Some(peer) = &mut self.peer {
            peer.handle_time(now.tick);
            self.free_indexes(now.tick, shared);
        }
        if !self.stopped {
            self.pursue(now, shared, out);
            self.retry_sign_in(now.tick, shared, out);
        }
    }

    /// Reads received messages while the journal has space for the records they cause.
    pub(super) fn read(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        for stream in [StreamId::Control, StreamId::Chat] {
            let mut incoming = std::mem::take(&mut self.incoming);
            let has_room = match stream {
                StreamId::Control => Journal::has_room_for_control,
                _ => Journal::has_room,
            };
            while has_room(&shared.journal)
                && self.peer.as_mut().is_some_and(|peer| peer.receive(stream, &mut incoming))
            {
                let understood = match ToClient::decode(&incoming) {
                    Ok(Some(ToClient::NameRefused {
                        reason: reason @ (NameReason::Disk | NameReason::TooMany),
                        ..
                    })) => {
                        self.handle_name_not_written(now, shared, reason, out);
                        true
                    }
                    Ok(Some(message)) if self.is_of_old_copy(&message) => {
                        self.handle_old_copy(now, shared, out);
                        true
                    }
                    Ok(Some(message)) => self.handle_message(now, shared, message, out),
                    Ok(None) => true,
                    Err(_) => false,
                };
                if !understood {
                    if let Some(peer) = &mut self.peer {
                        peer.close(close::PROTOCOL_VIOLATION, "bad message");
                        peer.flush(now.tick, out);
                    }
                    self.lose(now, shared, out);
                }
                // Otherwise the sign-in would be repeated for ever to a relay that is gone.
                if self.stopped {
                    self.leave(now, shared, out);
                }
            }
            self.incoming = incoming;
        }
    }

    fn handle_message(
        &mut self,
        now: Now,
        shared: &mut Shared,
        message: ToClient<'_>,
        out: &mut Out,
    ) -> bool {
        match message {
            ToClient::Welcome { text_max, mailbox_bytes, features, mark_unwritten, .. } => {
                self.features = features;
                self.handle_welcome(shared, text_max, mailbox_bytes, out);
                self.confirm_sign_in(now.tick, shared, mark_unwritten, out);
            }
            ToClient::Marked { mark } => self.handle_marked(now.tick, shared, mark, out),
            ToClient::NameRefused { reason, name } => self.handle_name_refused(reason, name, out),
            ToClient::Receipt(receipt) => self.handle_receipt(shared, &receipt, out),
            ToClient::Refused(refused) => self.handle_refused(shared, &refused),
            ToClient::Delivery(delivery) => return self.handle_delivery(now, shared, &delivery, out),
        }
        true
    }

    /// Adopts the relay's limits: texts that are too long, or that fit into no mailbox, are refused
    /// here. Whether a mailbox is full only the relay knows.
    fn handle_welcome(&mut self, shared: &Shared, text_max: u32, mailbox_bytes: u64, out: &mut Out) {
        let mailbox_bytes = usize::try_from(mailbox_bytes).unwrap_or(usize::MAX);
        let fits = mailbox_bytes.saturating_sub(LETTER_BODY_MAX - LETTER_TEXT_MAX);
        self.welcomed = true;
        self.told_not_written = false;
        self.text_max = (text_max as usize).min(fits).min(LETTER_TEXT_MAX);
        self.mail.outbox.signed_in();
        self.mail.ledger.session_begun(|name| shared.acquaintances.knows(&self.spec.addr, name));
        self.tell_online(out);
    }

    /// Reports that the relay is online, unless that was the last report.
    pub(super) fn tell_online(&mut self, out: &mut Out) {
        if self.welcomed && self.told != Told::Online {
            self.told = Told::Online;
            out.show(Event::Online { relay: self.spec.addr.clone(), via: self.via() });
        }
    }

    fn handle_name_refused(&mut self, reason: NameReason, name: &str, out: &mut Out) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.name_refused = true;
        out.show(Event::NameRefused { relay: self.spec.addr.clone(), reason, name: name.parse().ok() });
    }

    /// Handles a temporary registration failure: reported once, retried as if unreachable.
    fn handle_name_not_written(&mut self, now: Now, shared: &mut Shared, reason: NameReason, out: &mut Out) {
        if reason == NameReason::TooMany {
            self.connecting.slow_down();
        }
        if let Some(peer) = &mut self.peer {
            peer.close(close::DONE, "not signed in");
            peer.flush(now.tick, out);
        }
        self.lose(now, shared, out);
        if !std::mem::replace(&mut self.told_not_written, true) {
            self.told = Told::Away;
            let why = Unreached::NameNotWritten;
            out.show(Event::Unreached { relay: self.spec.addr.clone(), why });
        }
    }

    fn handle_receipt(&mut self, shared: &mut Shared, receipt: &Receipt<'_>, out: &mut Out) {
        let via = self.via();
        let raised = self.mail.outbox.handle_receipt(receipt, |step| out.show(step.event(via)));
        if let (Some(reach), Ok(to)) = (raised, receipt.to.parse()) {
            let relay = self.spec.addr.clone();
            let outbox = self.mail.outbox.base();
            shared.journal.push(Record::Reached { relay, to, outbox, reach });
        }
    }

    fn handle_refused(&mut self, shared: &mut Shared, refused: &Refused<'_>) {
        let Refused { to, id, through, reason, may_have_arrived, nearest } = *refused;
        let nearest = nearest.0.iter().flatten().filter_map(|name| name.parse().ok()).collect();
        let refused = Refusing { to, id, through, reason, may_have_arrived, nearest };
        let relay = &self.spec.addr;
        let outbox = self.mail.outbox.base();
        self.mail.outbox.handle_refused(refused, |to, number, reason, may_have_arrived| {
            shared.journal.push(record_of_refusal(relay, outbox, to, number, reason, may_have_arrived));
        });
    }

    pub(super) fn flush(&mut self, now: Now, shared: &Shared, out: &mut Out) {
        let Some(peer) = self.peer.as_mut() else { return };
        if !self.signed {
            return peer.flush(now.tick, out);
        }
        let outgoing = &mut self.outgoing;
        while let Some(message) = self.screen.front() {
            if peer.send(StreamId::Control, &[message]).is_err() {
                break;
            }
            self.screen.pop_front();
        }
        let features = self.features;
        let mut say = |message: ToRelay<'_>| {
            if !features.has_all(message.needs()) {
                return true;
            }
            outgoing.clear();
            message.encode(outgoing);
            peer.send(StreamId::Control, &[outgoing]).is_ok()
        };
        if self.welcomed {
            let knows = |name: &Name| shared.acquaintances.knows(&self.spec.addr, name);
            self.mail.speak(features, knows, &mut say);
        }
        self.mail.outbox.offer(|letter| {
            self.choice.letter = true;
            outgoing.clear();
            let Sendable { to, id, prev, mark, made } = letter;
            let letter = Letter { to: to.as_str(), id, prev, mark, kind: made.kind, body: &made.body };
            ToRelay::Letter(letter).encode(outgoing);
            peer.send(StreamId::Chat, &[outgoing]).is_ok()
        });
        if self.pings > 0 {
            self.pings = 0;
            peer.ping();
        }
        peer.flush(now.tick, out);
    }

    pub(super) fn next_deadline(&self, now: Tick, carriers: Carriers) -> Option<Tick> {
        let peer = self.peer.as_ref().and_then(|peer| peer.next_deadline(now));
        let connecting = if self.stopped { None } else { self.connecting.next_deadline() };
        let mark = if self.stopped { None } else { self.mail.outbox.marks.next_deadline() };
        [peer, connecting, mark, self.next_choice(now, carriers)].into_iter().flatten().min()
    }

    /// Begins a session: signs in, and sends letters again that no earlier session answered.
    pub(super) fn begin(&mut self, now: Tick, peer: Peer, shared: &mut Shared, out: &mut Out) {
        self.mail.outbox.session_lost();
        self.welcomed = shared.name.is_none();
        self.features = Features::default();
        self.signed = self.welcomed;
        self.peer = Some(peer);
        self.screen.clear();
        self.handle_screens(shared);
        self.sign_in(now, shared, out);
    }

    /// Ends the session cleanly.
    pub(super) fn leave(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.stopped = true;
        self.forget_turn(shared);
        if let Some(peer) = &mut self.peer {
            // Acks and STORED messages must leave before the session closes.
            peer.flush(now.tick, out);
            peer.close(close::DONE, "leaving");
            peer.flush(now.tick, out);
        }
        self.drop_peer(now.tick, shared, out);
        self.close_beside(shared, out);
        self.cancel_attempts(now.tick, shared, out);
    }

    /// Drops the session and closes its connection.
    pub(super) fn drop_peer(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        self.drop_peer_but(now, shared, None, out);
    }

    /// Drops the session. Closes its connection unless a new session uses it, on the path `kept`.
    pub(super) fn drop_peer_but(
        &mut self,
        now: Tick,
        shared: &mut Shared,
        kept: Option<Path>,
        out: &mut Out,
    ) {
        self.free_indexes(now, shared);
        let Some(peer) = self.peer.take() else { return };
        for index in peer.local_indexes() {
            shared.indexes.free(now, peer.linger(), index);
        }
        if let Some(Path::Tcp(conn)) = peer.path().filter(|path| Some(*path) != kept) {
            close_conn(shared, conn, out);
        }
    }

    pub(super) fn free_indexes(&mut self, now: Tick, shared: &mut Shared) {
        let Some(peer) = &mut self.peer else { return };
        while let Some(index) = peer.next_freed() {
            shared.indexes.free(now, peer.linger(), index);
        }
    }

    /// Ends a repair round: a packet of the session has come, so its path works.
    fn stop_repairing(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        let healthy =
            self.peer.as_ref().is_some_and(|peer| peer.link().pto_count() == 0 && peer.path().is_some());
        if healthy && self.connecting.round == Some(Round::Repair) {
            self.cancel_attempts(now, shared, out);
            self.connecting.succeeded();
        }
        if healthy && self.told == Told::Away {
            self.tell_online(out);
        }
    }
}

/// Returns the record of a refused letter.
pub(super) fn record_of_refusal(
    relay: &HostPort,
    outbox: OutboxId,
    to: &Name,
    number: u64,
    reason: Reason,
    may_have_arrived: bool,
) -> Record {
    Record::Refused { relay: relay.clone(), to: to.clone(), outbox, number, reason, may_have_arrived }
}

/// Closes a TCP connection.
pub(super) fn close_conn(shared: &mut Shared, conn: ConnId, out: &mut Out) {
    shared.conns.remove(&conn);
    shared.pace.dials.end(conn);
    out.effects.push(Effect::Close(Path::Tcp(conn)));
}
