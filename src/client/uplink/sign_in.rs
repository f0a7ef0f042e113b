//! Signing in: the first message of a session, and the replacement of an outbox that is an old
//! copy.

use crate::base::{Mark, Now, OutboxId, Tick};
use crate::client::api::{Event, Record};
use crate::wire::features::Features;
use crate::wire::frame::{StreamId, close};
use crate::wire::message::{Earlier, NameReason, OutboxMark, Reason, ToClient, ToRelay};

use super::{Out, Shared, Uplink};

impl Uplink {
    /// Prepares a mark for the session if refusals became durable since the last one.
    pub(in crate::client) fn mark_refusals(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        if shared.name.is_none() || !shared.journal.keeps() {
            return self.mail.outbox.marks.confirm_all();
        }
        if self.welcomed && self.mail.outbox.marks.want_another() {
            self.prepare_sign_in(now, shared, out);
        }
    }

    /// Handles a successful sign-in. `unwritten`: the relay has not committed the mark yet.
    pub(super) fn confirm_sign_in(&mut self, now: Tick, shared: &mut Shared, unwritten: bool, out: &mut Out) {
        if !unwritten {
            self.mail.outbox.marks.confirm_sign_in();
        }
        self.mark_refusals(now, shared, out);
    }

    /// Handles the relay's confirmation of a mark sent during the session.
    pub(super) fn handle_marked(&mut self, now: Tick, shared: &mut Shared, mark: Mark, out: &mut Out) {
        self.mail.outbox.marks.confirm(mark);
        self.mark_refusals(now, shared, out);
    }

    /// Prepares a mark for the next sign-in. Returns `false` while the disk refuses it.
    pub(in crate::client) fn prepare_sign_in(
        &mut self,
        now: Tick,
        shared: &mut Shared,
        out: &mut Out,
    ) -> bool {
        if shared.name.is_none() {
            return true;
        }
        if self.mail.outbox.marks.are_used_up() {
            self.give_up_outbox(shared);
        }
        let outbox = &mut self.mail.outbox;
        // On disk, the marks of a new outbox come after the outbox itself.
        if !outbox.is_switching() {
            let base = outbox.base();
            outbox.marks.prepare(&self.spec.addr, base, now, shared, out);
        }
        !outbox.marks.is_refused()
    }

    /// Sends the sign-in, once a mark is durable.
    pub(in crate::client) fn sign_in(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        if self.signed || self.peer.is_none() {
            return;
        }
        self.prepare_sign_in(now, shared, out);
        let (Some(peer), Some(name)) = (&mut self.peer, &shared.name) else { return };
        let outbox = self.mail.outbox.id();
        let Some((said, earlier)) = self.mail.outbox.marks.take() else { return };
        let earlier = Earlier::new(&earlier);
        let screen = shared.screens.as_ref().and_then(|screens| screens.of(&self.spec.addr));
        let name = name.as_str();
        let invite = &*shared.invitation;
        let screen_follows = screen.is_some();
        let outbox = Some(OutboxMark { outbox, said, earlier });
        self.outgoing.clear();
        let features = Features::OURS;
        ToRelay::SignIn { name, invite, screen_follows, outbox, features }.encode(&mut self.outgoing);
        peer.send(StreamId::Control, &[&self.outgoing]).expect("a new session has room for one message");
        self.signed = true;
    }

    /// Handles the store's answer for a mark.
    pub(in crate::client) fn handle_mark(
        &mut self,
        now: Now,
        shared: &mut Shared,
        durable: bool,
        out: &mut Out,
    ) {
        self.mail.outbox.marks.handle_committed(now.tick, durable);
        if durable {
            self.sign_in(now.tick, shared, out);
            self.drive_attempts(now, shared, out);
            self.mark_refusals(now.tick, shared, out);
        }
    }

    /// Requests a mark again after a failed commit.
    pub(super) fn retry_sign_in(&mut self, now: Tick, shared: &mut Shared, out: &mut Out) {
        if self.mail.outbox.marks.next_deadline().is_some_and(|at| at <= now) {
            self.prepare_sign_in(now, shared, out);
        }
    }

    /// Whether the message shows that another copy of this outbox has been used.
    pub(super) fn is_of_old_copy(&self, message: &ToClient<'_>) -> bool {
        let ours = |outbox: OutboxId| outbox == self.mail.outbox.id();
        match message {
            ToClient::NameRefused { reason: NameReason::OldCopy, .. } => true,
            ToClient::Refused(refused) => refused.reason == Reason::OldCopy && ours(refused.id.outbox),
            ToClient::Receipt(receipt) => self.mail.outbox.belies(receipt),
            _ => false,
        }
    }

    /// Replaces an outbox that is an old copy. The session ends, so that nothing sent in it has an
    /// effect. The next session begins with another outbox.
    pub(super) fn handle_old_copy(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        self.give_up_outbox(shared);
        out.show(Event::OldCopy { relay: self.spec.addr.clone() });
        if let Some(peer) = &mut self.peer {
            peer.close(close::DONE, "an old copy");
            peer.flush(now.tick, out);
        }
        self.drop_peer(now.tick, shared, out);
        self.cancel_attempts(now.tick, shared, out);
        self.connecting.session_ended(now.tick, &mut shared.rng);
        self.connecting.hasten(now.tick, &mut shared.rng);
    }

    /// Switches to a new outbox for all letters from now on.
    pub(super) fn give_up_outbox(&mut self, shared: &mut Shared) {
        let relay = self.spec.addr.clone();
        let outbox = OutboxId(shared.rng.next_u64());
        self.mail.outbox.give_up(outbox, outbox.through(&relay));
        shared.journal.push(Record::OldCopy { relay, outbox });
    }
}
