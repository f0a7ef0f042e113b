//! The connection to one relay: the session, and the letters through it in both directions.
//! `connect` establishes the session, `sign_in` sends its first message.

mod sign_in;

use std::collections::VecDeque;

use crate::base::{Carrier, ConnId, Effect, HostPort, Name, Now, OutboxId, Outputs, Path, Tick};
use crate::peer::{PacketOutcome, Peer};
use crate::session::{Identity, Indexes};
use crate::wire::features::Features;
use crate::wire::frame::{StreamId, close};
use crate::wire::letter::{GuestEvent, LetterBody};
use crate::wire::limits::LETTER_TEXT_MAX;
use crate::wire::message::{Letter, NameReason, Reason, Receipt, Refused, ToClient, ToRelay};

use super::api::{Carriers, Event, NotQueued, Record, RelayConfig};
use super::block_list::BlockLists;
use super::commit_queue::CommitQueue;
use super::connect::{ConnectReason, Connector};
use super::delivery::Unsupported;
use super::facts::Facts;
use super::handshake_counter::HandshakeCounter;
use super::known_senders::KnownSenders;
use super::outbox::{NextLetter, ReceivedRefusal};
use super::pace::Pace;
use super::paths::PathManager;
use super::refusal_shown_record;
use super::relay_mail::{RelayMail, refused_event};
use super::strangers::Strangers;

pub(super) type Out = Outputs<Record, Event>;

/// State shared by all relays of a client.
pub(super) struct ClientContext {
    pub(super) identity: Identity,
    pub(super) name: Option<Name>,
    pub(super) carriers: Carriers,
    pub(super) rng: crate::base::Rng,
    /// Mixed into the randomness of each handshake; `None` in a simulation.
    pub(super) fresh: Option<crate::session::FreshBytes>,
    pub(super) counter: HandshakeCounter,
    pub(super) commit_queue: CommitQueue,
    pub(super) facts: Facts,
    pub(super) indexes: Indexes<HostPort>,
    /// The relay of each TCP connection.
    pub(super) conns: std::collections::BTreeMap<ConnId, HostPort>,
    pub(super) next_conn: u64,
    /// When each relay is tried.
    pub(super) pace: Pace,
    /// The invitation secret; empty if there is none.
    pub(super) invitation: Vec<u8>,
    pub(super) block_lists: Option<BlockLists>,
    pub(super) strangers: Strangers,
    pub(super) known_senders: KnownSenders,
    pub(super) unsupported: Unsupported,
}

/// The last state of this relay that was reported to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportedState {
    None,
    Online,
    Offline,
}

/// One relay.
pub(super) struct RelayConnection {
    pub(super) config: RelayConfig,
    pub(super) peer: Option<Peer>,
    pub(super) connector: Connector,
    pub(super) path_manager: PathManager,
    pub(super) reported: ReportedState,
    /// No further attempts: the name was refused, another machine took over, or the user left.
    pub(super) stopped: bool,
    /// The name was refused; an invitation may help.
    name_refused: bool,
    /// The sign-in was sent, or the user has no name to sign in with.
    signed: bool,
    welcomed: bool,
    /// Optional features of the relay.
    features: Features,
    /// The user was notified that the relay could not register the name.
    reported_not_written: bool,
    text_max: usize,
    pub(super) mail: RelayMail,
    /// Block list messages still to be sent; about the size of one list of names.
    block_list: VecDeque<Vec<u8>>,
    pub(super) last_sender: Option<Name>,
    /// The carrier of the last received packet.
    pub(super) received_on: Carrier,
    pings: u32,
    /// Reused buffer for a message being read.
    incoming: Vec<u8>,
    /// Reused buffer for a message being written.
    outgoing: Vec<u8>,
}

impl RelayConnection {
    pub(super) fn new(config: RelayConfig, mail: RelayMail) -> RelayConnection {
        RelayConnection {
            config,
            peer: None,
            connector: Connector::default(),
            path_manager: PathManager::default(),
            reported: ReportedState::None,
            stopped: false,
            name_refused: false,
            signed: false,
            welcomed: false,
            features: Features::default(),
            reported_not_written: false,
            text_max: LETTER_TEXT_MAX,
            mail,
            block_list: VecDeque::new(),
            last_sender: None,
            received_on: Carrier::Udp,
            pings: 0,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// Whether the user was last notified that the relay is online.
    pub(super) fn is_online(&self) -> bool {
        self.reported == ReportedState::Online
    }

    pub(super) fn via(&self) -> Carrier {
        self.peer.as_ref().and_then(Peer::path).map_or(Carrier::Udp, Path::carrier)
    }

    /// Takes a letter into the outbox. It is sent once it is durable.
    pub(super) fn send(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        request: u64,
        to: Name,
        text: String,
        out: &mut Out,
    ) -> Result<(), (Reason, String)> {
        if text.len() > self.text_max {
            return Err((Reason::TooLong, text));
        }
        if !self.mail.outbox.has_request(&to, request) {
            let encoded = LetterBody::from_text(&text, now.wall);
            self.write(now, ctx, request, to, (text, encoded), out);
        }
        Ok(())
    }

    /// Ends the conversation with a guest, by a letter with a closing note.
    pub(super) fn close(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        request: u64,
        guest: Name,
        out: &mut Out,
    ) {
        if !self.mail.outbox.has_request(&guest, request) {
            let encoded = LetterBody::from_guest_event(GuestEvent::Close);
            self.write(now, ctx, request, guest, (String::new(), encoded), out);
        }
    }

    fn write(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        request: u64,
        to: Name,
        (text, encoded): (String, LetterBody),
        out: &mut Out,
    ) {
        if self.mail.outbox.marks.are_used_up() {
            self.give_up_outbox(ctx);
        }
        let outbox = &mut self.mail.outbox;
        if !outbox.has_room(encoded.body.len()) {
            return out.show(Event::Unkept { request, to, reason: NotQueued::Full, text });
        }
        let number = outbox.push(request, to.clone(), encoded.clone());
        self.record_written_to(ctx, &to);
        let outbox = self.mail.outbox.base();
        let mark = self.mail.outbox.marks.mark();
        self.raise_priority(ctx);
        let relay = self.config.addr.clone();
        let record =
            Record::Written { relay, to, outbox, number, mark, request, text, written: now.wall, encoded };
        ctx.commit_queue.push(record);
    }

    /// Shows refusals of an earlier run that the user may not have seen.
    pub(super) fn report_old_refusals(&mut self, commit_queue: &mut CommitQueue, out: &mut Out) {
        while let Some((to, refusal)) = self.mail.outbox.next_old_refusal() {
            commit_queue.push(refusal_shown_record(&self.config.addr, &to, refusal.id));
            out.show(refused_event(to, refusal));
        }
    }

    /// Queues the relay's block list for this session, at its start and after a change.
    pub(super) fn handle_block_lists(&mut self, ctx: &ClientContext) {
        let block_list = ctx.block_lists.as_ref().and_then(|block_lists| block_lists.of(&self.config.addr));
        if let (Some(block_list), true) = (block_list, self.peer.is_some() && ctx.name.is_some()) {
            self.block_list = block_list.messages();
        }
    }

    /// Starts again with a new invitation, if the name was refused or a sign-in is under way.
    pub(super) fn handle_invitation(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        let signing_in = !self.stopped && !self.welcomed && self.peer.is_some();
        if !signing_in && !std::mem::take(&mut self.name_refused) {
            return;
        }
        self.leave(now, ctx, out);
        self.stopped = false;
        self.connector.start_over();
        self.drive(now, ctx, out);
    }

    pub(super) fn ping(&mut self, ctx: &mut ClientContext) {
        self.pings += 1;
        self.raise_priority(ctx);
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
    pub(super) fn is_flushed(&self) -> bool {
        let unacked = self.peer.as_ref().map_or(0, |peer| peer.link().unacked_bytes());
        let received = &self.mail.received;
        let nothing_unsent = received.next_stored().is_none()
            && received.next_read().is_none()
            && received.declined.next().is_none();
        unacked == 0 && (self.peer.is_none() || nothing_unsent)
    }

    /// Handles a data packet. Returns `false` if it could not be opened.
    pub(super) fn handle_data(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        bytes: &mut [u8],
        out: &mut Out,
    ) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        let outcome = peer.handle_packet(now.tick, path, bytes);
        match outcome {
            PacketOutcome::Dropped => return false,
            PacketOutcome::Accepted => {
                self.received_on = path.carrier();
                self.handle_packet_accepted(now, ctx, out);
            }
            PacketOutcome::Closed(code) => self.handle_closed(now, ctx, code, out),
            PacketOutcome::Violated(violation) => {
                peer.close(close::PROTOCOL_VIOLATION, violation.as_str());
                peer.flush(now.tick, out);
                self.lose(now, ctx, out);
            }
        }
        true
    }

    fn handle_packet_accepted(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        self.free_indexes(now.tick, ctx);
        self.stop_repairing(now.tick, ctx, out);
        self.read(now, ctx, out);
        if let Some(rtt) = self.peer.as_mut().and_then(Peer::take_pong) {
            out.show(Event::Pong { relay: self.config.addr.clone(), via: self.via(), rtt });
        }
    }

    fn handle_closed(&mut self, now: Now, ctx: &mut ClientContext, code: u16, out: &mut Out) {
        if code == close::REPLACED {
            self.stopped = true;
            out.show(Event::Replaced { relay: self.config.addr.clone() });
        }
        if code == close::REFUSED {
            self.handle_name_refused(NameReason::Removed, "", out);
        }
        self.lose(now, ctx, out);
        if code == close::GOING_AWAY {
            self.connector.retry_soon(now.tick, &mut ctx.rng);
        }
    }

    /// Handles a cookie: a relay under load requests the first message again.
    pub(super) fn handle_cookie(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        if self.connector.attempts.iter_mut().any(|attempt| attempt.handle_cookie(now.tick, path, bytes)) {
            self.drive_attempts(now, ctx, out);
        }
    }

    /// Handles the loss of the session. Unless stopped, it connects again after a pause.
    fn lose(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        self.drop_peer(now.tick, ctx, out);
        self.cancel_attempts(now.tick, ctx, out);
        if self.reported == ReportedState::Online && !self.stopped {
            self.reported = ReportedState::Offline;
            out.show(Event::Lost { relay: self.config.addr.clone() });
        }
        self.connector.handle_session_ended(now.tick, &mut ctx.rng);
    }

    pub(super) fn handle_time(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        if let Some(peer) = &mut self.peer {
            peer.handle_time(now.tick);
            self.free_indexes(now.tick, ctx);
        }
        if !self.stopped {
            self.drive(now, ctx, out);
            self.retry_sign_in(now.tick, ctx, out);
        }
    }

    /// Reads received messages while the commit queue has space for the records they cause.
    pub(super) fn read(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        for stream in [StreamId::Control, StreamId::Chat] {
            let mut incoming = std::mem::take(&mut self.incoming);
            let has_room = match stream {
                StreamId::Control => CommitQueue::has_room_for_control,
                _ => CommitQueue::has_room,
            };
            while has_room(&ctx.commit_queue)
                && self.peer.as_mut().is_some_and(|peer| peer.receive(stream, &mut incoming))
            {
                let understood = match ToClient::decode(&incoming) {
                    Ok(Some(ToClient::NameRefused {
                        reason: reason @ (NameReason::Disk | NameReason::TooMany),
                        ..
                    })) => {
                        self.handle_name_not_written(now, ctx, reason, out);
                        true
                    }
                    Ok(Some(message)) if self.is_of_old_copy(&message) => {
                        self.handle_old_copy(now, ctx, out);
                        true
                    }
                    Ok(Some(message)) => self.handle_message(now, ctx, message, out),
                    Ok(None) => true,
                    Err(_) => false,
                };
                if !understood {
                    if let Some(peer) = &mut self.peer {
                        peer.close(close::PROTOCOL_VIOLATION, "bad message");
                        peer.flush(now.tick, out);
                    }
                    self.lose(now, ctx, out);
                }
                // Otherwise the sign-in would be repeated for ever to a relay that is gone.
                if self.stopped {
                    self.leave(now, ctx, out);
                }
            }
            self.incoming = incoming;
        }
    }

    fn handle_message(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        message: ToClient<'_>,
        out: &mut Out,
    ) -> bool {
        match message {
            ToClient::Welcome { text_max, mailbox_bytes, features, mark_unwritten, .. } => {
                self.features = features;
                self.handle_welcome(ctx, text_max, mailbox_bytes, out);
                self.confirm_sign_in(now.tick, ctx, mark_unwritten, out);
            }
            ToClient::Marked { mark } => self.handle_marked(now.tick, ctx, mark, out),
            ToClient::NameRefused { reason, name } => self.handle_name_refused(reason, name, out),
            ToClient::Receipt(receipt) => self.handle_receipt(ctx, &receipt, out),
            ToClient::Refused(refused) => self.handle_refused(ctx, &refused, out),
            ToClient::Delivery(delivery) => return self.handle_delivery(now, ctx, &delivery, out),
        }
        true
    }

    fn handle_receipt(&mut self, ctx: &mut ClientContext, receipt: &Receipt<'_>, out: &mut Out) {
        let via = self.via();
        let raised = self.mail.outbox.handle_receipt(receipt, |update| out.show(update.event(via)));
        if let (Some(reach), Ok(to)) = (raised, receipt.to.parse()) {
            let relay = self.config.addr.clone();
            let outbox = self.mail.outbox.base();
            ctx.commit_queue.push(Record::Reached { relay, to, outbox, reach });
        }
    }

    fn handle_refused(&mut self, ctx: &mut ClientContext, refused: &Refused<'_>, out: &mut Out) {
        let Refused { to, id, through, reason, may_have_arrived, nearest, mark: _ } = *refused;
        let nearest = nearest.0.iter().flatten().filter_map(|name| name.parse().ok()).collect();
        let refused = ReceivedRefusal { to, id, through, reason, may_have_arrived, nearest };
        let relay = &self.config.addr;
        let outbox = self.mail.outbox.base();
        let lost = self.mail.outbox.handle_refused(refused, |to, number, reason, may_have_arrived| {
            ctx.commit_queue.push(record_of_refusal(relay, outbox, to, number, reason, may_have_arrived));
        });
        if let (1.., Ok(to)) = (lost, to.parse()) {
            out.show(Event::LostByRelay { relay: relay.clone(), to, letters: lost });
        }
    }

    pub(super) fn flush(&mut self, now: Now, ctx: &ClientContext, out: &mut Out) {
        let Some(peer) = self.peer.as_mut() else { return };
        if !self.signed {
            return peer.flush(now.tick, out);
        }
        let outgoing = &mut self.outgoing;
        while let Some(message) = self.block_list.front() {
            if peer.send(StreamId::Control, &[message]).is_err() {
                break;
            }
            self.block_list.pop_front();
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
            let knows = |name: &Name| ctx.known_senders.is_known(&self.config.addr, name);
            self.mail.send_control(features, knows, &mut say);
        }
        self.mail.outbox.send_ready(|letter| {
            self.path_manager.had_letter = true;
            outgoing.clear();
            let NextLetter { to, id, prev, mark, encoded } = letter;
            let letter = Letter { to: to.as_str(), id, prev, mark, kind: encoded.kind, body: &encoded.body };
            ToRelay::Letter(letter).encode(outgoing);
            peer.send(StreamId::Chat, &[outgoing]).is_ok()
        });
        if self.pings > 0 {
            self.pings = 0;
            peer.measure_ping();
        }
        peer.flush(now.tick, out);
    }

    pub(super) fn next_deadline(&self, now: Tick, carriers: Carriers) -> Option<Tick> {
        let peer = self.peer.as_ref().and_then(|peer| peer.next_deadline(now));
        let connecting = if self.stopped { None } else { self.connector.next_deadline() };
        let mark = if self.stopped { None } else { self.mail.outbox.marks.next_deadline() };
        [peer, connecting, mark, self.next_path_deadline(now, carriers)].into_iter().flatten().min()
    }

    /// Begins a session: signs in, and sends letters again that no earlier session answered.
    pub(super) fn begin(&mut self, now: Tick, peer: Peer, ctx: &mut ClientContext, out: &mut Out) {
        self.mail.outbox.handle_session_lost();
        self.mail.received.begin_session();
        self.welcomed = ctx.name.is_none();
        self.features = Features::default();
        self.signed = self.welcomed;
        self.peer = Some(peer);
        self.block_list.clear();
        self.handle_block_lists(ctx);
        self.sign_in(now, ctx, out);
    }

    /// Ends the session cleanly and makes no further attempts.
    pub(super) fn leave(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        self.stopped = true;
        self.cancel_requests(ctx);
        if let Some(peer) = &mut self.peer {
            // Acks and STORED messages must leave before the session closes.
            peer.flush(now.tick, out);
            peer.close(close::DONE, "leaving");
            peer.flush(now.tick, out);
        }
        self.drop_peer(now.tick, ctx, out);
        self.close_fallback(ctx, out);
        self.cancel_attempts(now.tick, ctx, out);
    }

    /// Drops the session and closes its connection.
    pub(super) fn drop_peer(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        self.drop_peer_but(now, ctx, None, out);
    }

    /// Drops the session. Closes its connection unless a new session uses it, on `kept_path`.
    pub(super) fn drop_peer_but(
        &mut self,
        now: Tick,
        ctx: &mut ClientContext,
        kept_path: Option<Path>,
        out: &mut Out,
    ) {
        self.free_indexes(now, ctx);
        let Some(peer) = self.peer.take() else { return };
        for index in peer.local_indexes() {
            ctx.indexes.free(now, peer.linger(), index);
        }
        if let Some(Path::Tcp(conn)) = peer.path().filter(|path| Some(*path) != kept_path) {
            close_conn(ctx, conn, out);
        }
    }

    pub(super) fn free_indexes(&mut self, now: Tick, ctx: &mut ClientContext) {
        let Some(peer) = &mut self.peer else { return };
        while let Some(index) = peer.next_freed() {
            ctx.indexes.free(now, peer.linger(), index);
        }
    }

    /// Ends a repair round: a packet of the session has come, so its path works.
    fn stop_repairing(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        let healthy =
            self.peer.as_ref().is_some_and(|peer| peer.link().pto_count() == 0 && peer.path().is_some());
        if healthy && self.connector.reason == Some(ConnectReason::Recovery) {
            self.cancel_attempts(now, ctx, out);
            self.connector.handle_success();
        }
        if healthy && self.reported == ReportedState::Offline {
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
pub(super) fn close_conn(ctx: &mut ClientContext, conn: ConnId, out: &mut Out) {
    ctx.conns.remove(&conn);
    ctx.pace.dials.end(conn);
    out.effects.push(Effect::Close(Path::Tcp(conn)));
}
