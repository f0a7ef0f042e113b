//! Signing in: the first message of a session, and the replacement of an outbox that is an old
//! copy.

use crate::base::{Mark, Now, OutboxId, Tick};
use crate::client::api::{Event, Record};
use crate::client::connect_failure::ConnectFailure;
use crate::wire::features::Features;
use crate::wire::frame::{StreamId, close};
use crate::wire::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};
use crate::wire::message::{EarlierMarks, NameReason, OutboxMark, Reason, ToClient, ToRelay};

use super::{ClientContext, Out, RelayConnection, ReportedState};

impl RelayConnection {
    /// Prepares a mark for the session if refusals became durable since the last one.
    pub(in crate::client) fn mark_refusals(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        if ctx.name.is_none() || !ctx.commit_queue.keeps() {
            return self.mail.outbox.marks.confirm_all();
        }
        if self.welcomed && self.mail.outbox.marks.want_another() {
            self.prepare_sign_in(now, ctx, out);
        }
    }

    /// Handles a successful sign-in. `unwritten`: the relay has not committed the mark yet.
    pub(super) fn confirm_sign_in(
        &mut self,
        now: Tick,
        ctx: &mut ClientContext,
        unwritten: bool,
        out: &mut Out,
    ) {
        if !unwritten {
            self.mail.outbox.marks.confirm_sign_in();
        }
        self.mark_refusals(now, ctx, out);
    }

    /// Handles the relay's confirmation of a mark sent during the session.
    pub(super) fn handle_marked(&mut self, now: Tick, ctx: &mut ClientContext, mark: Mark, out: &mut Out) {
        self.mail.outbox.marks.confirm(mark);
        self.mark_refusals(now, ctx, out);
    }

    /// Prepares a mark for the next sign-in. Returns `false` while the disk refuses it.
    pub(in crate::client) fn prepare_sign_in(
        &mut self,
        now: Tick,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) -> bool {
        if ctx.name.is_none() {
            return true;
        }
        if self.mail.outbox.marks.are_used_up() {
            self.give_up_outbox(ctx);
        }
        let outbox = &mut self.mail.outbox;
        // On disk, the marks of a new outbox come after the outbox itself.
        if !outbox.is_switching() {
            let base = outbox.base();
            outbox.marks.prepare(&self.config.addr, base, now, ctx, out);
        }
        !outbox.marks.is_refused()
    }

    /// Sends the sign-in, once a mark is durable.
    pub(in crate::client) fn sign_in(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        if self.signed || self.peer.is_none() {
            return;
        }
        self.prepare_sign_in(now, ctx, out);
        let (Some(peer), Some(name)) = (&mut self.peer, &ctx.name) else { return };
        let outbox = self.mail.outbox.id();
        let Some((mark_token, earlier)) = self.mail.outbox.marks.take() else { return };
        let earlier = EarlierMarks::new(&earlier);
        let block_list = ctx.block_lists.as_ref().and_then(|block_lists| block_lists.of(&self.config.addr));
        let name = name.as_str();
        let invite = &*ctx.invitation;
        let block_list_follows = block_list.is_some();
        let outbox = Some(OutboxMark { outbox, mark_token, earlier });
        self.outgoing.clear();
        let features = Features::OURS;
        ToRelay::SignIn { name, invite, block_list_follows, outbox, features }.encode(&mut self.outgoing);
        peer.send(StreamId::Control, &[&self.outgoing]).expect("a new session has room for one message");
        self.signed = true;
    }

    /// Handles the store's answer for a mark.
    pub(in crate::client) fn handle_mark(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        durable: bool,
        out: &mut Out,
    ) {
        self.mail.outbox.marks.handle_committed(now.tick, durable);
        if durable {
            self.sign_in(now.tick, ctx, out);
            self.drive_attempts(now, ctx, out);
            self.mark_refusals(now.tick, ctx, out);
        }
    }

    /// Requests a mark again after a failed commit.
    pub(super) fn retry_sign_in(&mut self, now: Tick, ctx: &mut ClientContext, out: &mut Out) {
        if self.mail.outbox.marks.next_deadline().is_some_and(|at| at <= now) {
            self.prepare_sign_in(now, ctx, out);
        }
    }

    /// Whether the message shows that another copy of this outbox has been used.
    pub(super) fn is_of_old_copy(&self, message: &ToClient<'_>) -> bool {
        let ours = |outbox: OutboxId| outbox == self.mail.outbox.id();
        match message {
            ToClient::NameRefused { reason: NameReason::OldCopy, .. } => true,
            ToClient::Refused(refused) => {
                refused.reason == Reason::OldCopy && ours(refused.id.outbox)
                    || self.mail.outbox.has_letter_unlike(refused)
            }
            ToClient::Receipt(receipt) => self.mail.outbox.is_contradicted_by(receipt),
            _ => false,
        }
    }

    /// Replaces an outbox that is an old copy. The session ends, so that nothing sent in it has an
    /// effect. The next session begins with another outbox.
    pub(super) fn handle_old_copy(&mut self, now: Now, ctx: &mut ClientContext, out: &mut Out) {
        self.give_up_outbox(ctx);
        out.show(Event::OldCopy { relay: self.config.addr.clone() });
        if let Some(peer) = &mut self.peer {
            peer.close(close::DONE, "an old copy");
            peer.flush(now.tick, out);
        }
        self.drop_peer(now.tick, ctx, out);
        self.cancel_attempts(now.tick, ctx, out);
        self.connector.handle_session_ended(now.tick, &mut ctx.rng);
        self.connector.retry_soon(now.tick, &mut ctx.rng);
    }

    /// Switches to a new outbox for all letters from now on.
    pub(super) fn give_up_outbox(&mut self, ctx: &mut ClientContext) {
        let relay = self.config.addr.clone();
        let outbox = OutboxId(ctx.rng.next_u64());
        self.mail.outbox.give_up(outbox, outbox.for_relay(&relay));
        ctx.commit_queue.push(Record::OldCopy { relay, outbox });
    }

    /// Adopts the relay's limits: texts that are too long, or that fit into no mailbox, are refused
    /// here. Whether a mailbox is full only the relay knows.
    pub(super) fn handle_welcome(
        &mut self,
        ctx: &ClientContext,
        text_max: u32,
        mailbox_bytes: u64,
        out: &mut Out,
    ) {
        let mailbox_bytes = usize::try_from(mailbox_bytes).unwrap_or(usize::MAX);
        let fits = mailbox_bytes.saturating_sub(LETTER_BODY_MAX - LETTER_TEXT_MAX);
        self.welcomed = true;
        self.reported_not_written = false;
        self.text_max = (text_max as usize).min(fits).min(LETTER_TEXT_MAX);
        self.mail.outbox.handle_signed_in();
        self.mail.received.handle_welcome(|name| ctx.known_senders.is_known(&self.config.addr, name));
        self.tell_online(out);
    }

    /// Reports that the relay is online, unless that was the last report.
    pub(in crate::client) fn tell_online(&mut self, out: &mut Out) {
        if self.welcomed && self.reported != ReportedState::Online {
            self.reported = ReportedState::Online;
            out.show(Event::Online { relay: self.config.addr.clone(), via: self.via() });
        }
    }

    pub(super) fn handle_name_refused(&mut self, reason: NameReason, name: &str, out: &mut Out) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.name_refused = true;
        out.show(Event::NameRefused { relay: self.config.addr.clone(), reason, name: name.parse().ok() });
    }

    /// Handles a temporary registration failure: reported once, retried as if unreachable.
    pub(super) fn handle_name_not_written(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        reason: NameReason,
        out: &mut Out,
    ) {
        if reason == NameReason::TooMany {
            self.connector.slow_down();
        }
        if let Some(peer) = &mut self.peer {
            peer.close(close::DONE, "not signed in");
            peer.flush(now.tick, out);
        }
        self.lose(now, ctx, out);
        if !std::mem::replace(&mut self.reported_not_written, true) {
            self.reported = ReportedState::Offline;
            let failure = ConnectFailure::NameNotWritten;
            out.show(Event::Unreached { relay: self.config.addr.clone(), reason: failure });
        }
    }
}
