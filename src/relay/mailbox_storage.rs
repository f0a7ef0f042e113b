//! The mailboxes' disk side: writes, loads and expires letters, and reports the results to their
//! senders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Effect, Name, Now, OutboxId, Payload, Query, Row, SeqFilter, Tick, Ticket};
use crate::wire::message::{Delivery, Reason, ToClient};

use super::block_list::RejectedLetter;
use super::buffer_pool::BufferPool;
use super::damaged::DamagedLetter;
use super::expiry::{ExpiringLetter, SWEEP_AGAIN};
use super::guests::carrier_of;
use super::idle_flows::IdleBatch;
use super::ids::{Destination, FlowId, MemberId};
use super::limits::{CLOCK_INTERVAL, LOAD_BYTES, SPILL_AFTER};
use super::mailbox::{AcceptedLetter, Mailbox, MailboxEntry, MailboxUsage, RowsToLoad, Sender};
use super::marks::PendingMark;
use super::membership::InvitationId;
use super::operator::PendingRequest;
use super::pace::Pace;
use super::records::{MailboxLetter, PersistedFlow, Record};
use super::routing::{ECHO, GUEST_PREFIX};
use super::sessions::RefusedLetter;
use super::unwritten::RecordKey;
use super::{Out, Relay, Timer};

/// Continuation of a request to the store.
#[derive(Debug)]
pub(super) enum StoreContinuation {
    /// Registration of this member, with the invitation used and the time on the uptime clock.
    Member(MemberId, Option<InvitationId>, u64),
    /// A request of the operator.
    OperatorRequest(PendingRequest),
    /// Removal of a rejected letter from its mailbox.
    Rejected(RejectedLetter),
    /// A batch of letters of this member's mailbox.
    Letters(MemberId),
    /// A load from this member's mailbox.
    Mailbox(MemberId),
    /// A load of the oldest letters of all.
    Oldest,
    /// Removal of an expired letter from its mailbox.
    Expired(ExpiringLetter),
    /// Removal of a damaged letter from its mailbox.
    Damaged(DamagedLetter),
    /// A sign-in's record of its outbox.
    Marked(PendingMark),
    /// State stored under these keys.
    Keyed(Vec<RecordKey>),
    /// The same, with the accepted watermark of a flow whose deliveries are reported at the next
    /// full second.
    HeldBack(Vec<RecordKey>, (MemberId, FlowId, u64)),
    /// Session hints.
    SessionHints,
    /// Removal of this member, whose name is unused; with the time of its registration.
    Freed(MemberId, u64),
    /// Removal of idle flows.
    Pruned(Box<IdleBatch>),
}

/// Tickets and their continuations: at most one for each record in the store and one load for each
/// member.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    continuations: BTreeMap<Ticket, StoreContinuation>,
}

impl Tickets {
    pub(super) fn issue(&mut self, continuation: StoreContinuation) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.continuations.insert(ticket, continuation);
        ticket
    }

    fn take(&mut self, ticket: Ticket) -> Option<StoreContinuation> {
        self.continuations.remove(&ticket)
    }
}

/// The uptime clock: total running time of the relay, in milliseconds.
///
/// Wall clock jumps do not move it, and it stops while the relay is down, so no letter expires
/// earlier than promised.
#[derive(Debug, Default)]
pub(super) struct UptimeClock {
    pub(super) base: u64,
    origin: Option<Tick>,
}

impl UptimeClock {
    pub(super) fn now(&mut self, now: Tick) -> u64 {
        let origin = self.origin.get_or_insert(now).as_micros();
        self.base.saturating_add(now.as_micros().saturating_sub(origin) / 1_000)
    }
}

/// State of all mailboxes together.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    pub(super) clock: UptimeClock,
    /// Usage of all mailboxes.
    pub(super) usage: MailboxUsage,
    /// The parts of it that `echo` and all guests of one carrier use.
    pub(super) echo_usage: usize,
    pub(super) udp_guest_usage: usize,
    pub(super) tcp_guest_usage: usize,
    pub(super) buffers: BufferPool,
    /// The highest sequence number assigned to a letter.
    pub(super) last_seq: u64,
    /// Members whose mailboxes may have letters to write at the end of this turn.
    due_members: BTreeSet<MemberId>,
    /// Letters being removed from their mailboxes, by sequence number, with the ticket of the
    /// removal: at most one step of expiry, and rejected letters.
    pub(super) expiring: BTreeMap<u64, Ticket>,
    /// Rejected letters whose removal failed, by owner of the mailbox: it is repeated.
    pub(super) rejections_to_retry: BTreeMap<MemberId, Vec<RejectedLetter>>,
    /// Letters that this process removed from their mailboxes, by sequence number, until their rows
    /// are deleted. The watermarks of a flow do not suffice: it may be removed as idle before.
    pub(super) removed_seqs: BTreeSet<u64>,
    /// Flows whose deliveries are written together with a batch of letters, by its ticket.
    deliveries_being_written: BTreeMap<Ticket, Vec<(MemberId, FlowId)>>,
    /// Sign-ins whose record failed: they are written again.
    pub(super) marks_to_retry: BTreeMap<MemberId, PendingMark>,
    /// Outboxes forgotten in memory and perhaps not on disk: at most one for each member.
    pub(super) outboxes_to_forget: BTreeMap<MemberId, OutboxId>,
    /// The last sequence number this round of expiry has examined; `None` between two rounds.
    pub(super) swept_through: Option<u64>,
    pub(super) sweep_scheduled: Option<Tick>,
    clock_scheduled: Option<Tick>,
}

impl Relay {
    /// Returns the sender with this name: a member, the relay itself, or the guests of the carrier
    /// that the outbox belongs to.
    pub(super) fn sender(&self, name: &str, outbox: OutboxId) -> Option<Sender> {
        match name {
            ECHO => Some(Sender::Echo),
            guest if guest.starts_with(GUEST_PREFIX) => Some(Sender::Guest(carrier_of(outbox))),
            member => self.directory.members.find_ever(member).map(Sender::Member),
        }
    }

    pub(super) fn flow_of(&self, from: &Name, to: &Name, outbox: OutboxId) -> Option<(MemberId, FlowId)> {
        let from = self.directory.members.find_ever(from.as_str())?;
        let to = self.directory.members.find_ever(to.as_str())?;
        Some((from, FlowId { outbox, to: Destination::Member(to) }))
    }

    pub(super) fn author_name(&self, sender: Sender, message: &[u8]) -> Name {
        match sender {
            Sender::Member(member) => self.directory.members.name(member).clone(),
            Sender::Echo => self.echo_name.clone(),
            Sender::Guest(_) => match ToClient::decode(message) {
                Ok(Some(ToClient::Delivery(Delivery { from, .. }))) => from.parse().ok(),
                _ => None,
            }
            .expect("the relay wrote the message and the name in it"),
        }
    }

    // Results of the store.

    pub(super) fn handle_stored_record(&mut self, now: Now, ticket: Ticket, durable: bool, out: &mut Out) {
        let deliveries = self.mailboxes.deliveries_being_written.remove(&ticket);
        for (sender, flow) in deliveries.into_iter().flatten().filter(|_| !durable) {
            self.member_states[sender.0].flows.mark_unwritten(flow);
        }
        match (self.tickets.take(ticket), durable) {
            (Some(StoreContinuation::Member(member, by, since)), _) => {
                self.handle_registered(now, member, by, since, durable, out);
            }
            (Some(StoreContinuation::OperatorRequest(request)), _) => {
                self.handle_request_stored(now, request, durable, out)
            }
            (Some(StoreContinuation::Rejected(letter)), _) => {
                self.handle_rejection_stored(now.tick, ticket, letter, durable, out);
            }
            (Some(StoreContinuation::Letters(member)), true) => self.handle_written(now, ticket, member, out),
            (Some(StoreContinuation::Letters(member)), false) => self.handle_not_written(now, ticket, member),
            (Some(StoreContinuation::Mailbox(member)), false) => {
                self.member_states[member.0].mailbox.cancel_load(ticket);
                self.wake_mailbox(member, now.tick + SPILL_AFTER);
            }
            (Some(StoreContinuation::Oldest), false) => self.sweep_later(now.tick + SWEEP_AGAIN),
            (Some(StoreContinuation::Expired(letter)), _) => {
                self.handle_expired(now.tick, ticket, letter, durable)
            }
            (Some(StoreContinuation::Marked(marking)), _) => self.handle_marked(now, marking, durable, out),
            (Some(StoreContinuation::Damaged(letter)), _) => {
                self.handle_damaged(now.tick, ticket, letter, durable, out)
            }
            (Some(StoreContinuation::Keyed(keys)), _) => self.handle_keyed_stored(ticket, &keys, durable),
            (Some(StoreContinuation::HeldBack(keys, (sender, flow, number))), _) => {
                self.handle_keyed_stored(ticket, &keys, durable);
                if durable {
                    self.report_accepted(sender, flow, number);
                }
            }
            (Some(StoreContinuation::SessionHints), _) => self.handle_hints_stored(now.tick, durable),
            (Some(StoreContinuation::Freed(member, since)), _) => {
                self.handle_freed(now, member, since, durable, out)
            }
            (Some(StoreContinuation::Pruned(batch)), _) => self.handle_pruned(*batch, durable, out),
            (Some(StoreContinuation::Mailbox(_) | StoreContinuation::Oldest) | None, _) => {}
        }
        self.plan_retry(now.tick, ticket, durable);
    }

    pub(super) fn handle_rows(&mut self, now: Now, ticket: Ticket, rows: Vec<Row>, out: &mut Out) {
        match self.tickets.take(ticket) {
            Some(StoreContinuation::Mailbox(member)) => self.handle_loaded(now, ticket, member, &rows, out),
            Some(StoreContinuation::Oldest) => self.handle_oldest(now, &rows, out),
            _ => {}
        }
    }

    // Writing.

    /// Schedules a check of the member's mailbox for letters to write, at the end of this turn.
    pub(super) fn mark_mailbox_due(&mut self, member: MemberId) {
        self.mailboxes.due_members.insert(member);
    }

    pub(super) fn wake_mailbox(&mut self, member: MemberId, at: Tick) {
        let scheduled = &mut self.member_states[member.0].mailbox.scheduled;
        self.deadlines.set(Timer::Mailbox(member), Some(at), scheduled);
    }

    pub(super) fn handle_mailbox_time(&mut self, now: Tick, tick: Tick, member: MemberId, out: &mut Out) {
        let state = &mut self.member_states[member.0];
        if state.mailbox.scheduled == Some(tick) {
            state.mailbox.scheduled = None;
        }
        let session = state.session;
        for letter in self.mailboxes.rejections_to_retry.remove(&member).into_iter().flatten() {
            self.write_rejection(letter, out);
        }
        self.retry_mark(member, out);
        if self.directory.members.is_removed(member) {
            return self.reject_all(now, member, out);
        }
        self.mark_mailbox_due(member);
        if let Some(slot) = session {
            self.sessions.mark(slot);
        }
    }

    /// Submits all letters that must be written.
    pub(super) fn write_mailboxes(&mut self, now: Tick, out: &mut Out) {
        while let Some(member) = self.mailboxes.due_members.pop_first() {
            let is_recipient_offline = self.receiving_session(member).is_none();
            let Some(mailbox) = self.member_states[member.0].mailbox.get_allocated_mut() else { continue };
            let ticket = self.tickets.issue(StoreContinuation::Letters(member));
            let batch = mailbox.next_batch(now, is_recipient_offline, ticket, &mut self.mailboxes.last_seq);
            if batch.is_empty() {
                self.tickets.take(ticket);
                if let Some(at) = self.member_states[member.0].mailbox.next_deadline() {
                    self.wake_mailbox(member, at.max(now + Duration::from_micros(1)));
                }
                continue;
            }
            let deliveries = self.take_deliveries(member, ticket, &batch);
            let letters = batch.into_iter().map(|entry| self.mailbox_letter(entry)).collect();
            let to = self.directory.members.name(member).clone();
            out.effects.push(Effect::Persist(ticket, Record::Letters { to, letters, deliveries }));
        }
    }

    /// Returns the deliveries in the flows of these letters that the disk does not have.
    ///
    /// A relay that finds the letters on its disk takes all earlier ones of their flows for
    /// accepted. If it did not know that their recipient has those, and the recipient refused
    /// these, their sender would never learn that those were delivered. Flows that are held back
    /// are always written.
    fn take_deliveries(
        &mut self,
        to: MemberId,
        ticket: Ticket,
        batch: &[MailboxEntry],
    ) -> Vec<PersistedFlow> {
        let mut deliveries = Vec::new();
        let mut keys = Vec::new();
        for entry in batch {
            let Sender::Member(sender) = entry.sender else { continue };
            let flow = FlowId { outbox: entry.id.outbox, to: Destination::Member(to) };
            let flows = &mut self.member_states[sender.0].flows;
            if flows.has_unwritten_delivery(flow)
                && !flows.is_held_back(flow)
                && let Some(unwritten) = flows.take_unwritten(flow)
            {
                deliveries.extend(self.persisted_flow(sender, flow, unwritten));
                keys.push((sender, flow));
            }
        }
        if !keys.is_empty() {
            self.mailboxes.deliveries_being_written.insert(ticket, keys);
        }
        deliveries
    }

    fn mailbox_letter(&self, entry: MailboxEntry) -> MailboxLetter {
        MailboxLetter {
            seq: entry.seq().expect("`next_batch` has assigned sequence numbers"),
            stored_at: entry.taken_at,
            from: self.author_name(entry.sender, &entry.message),
            id: entry.id,
            len: entry.len as u64,
            mark: entry.mark,
            message: entry.message,
        }
    }

    fn handle_written(&mut self, now: Now, ticket: Ticket, to: MemberId, out: &mut Out) {
        let accepted = self.member_states[to.0].mailbox.mark_committed(ticket);
        self.count_mailbox(to);
        self.stats.letters_written += accepted.len() as u64;
        for AcceptedLetter { sender, id, taken_at } in accepted {
            let Sender::Member(sender) = sender else { continue };
            let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
            let state = &mut self.member_states[sender.0];
            state.flows.raise_accepted(flow, id.number, taken_at);
            if let Some(slot) = state.session {
                self.sessions.mark(slot);
            }
        }
        if self.mailboxes.sweep_scheduled.is_none() && self.mailboxes.swept_through.is_none() {
            self.sweep_later(now.tick + self.limits.keep);
        }
        self.keep_clock(now.tick);
        self.reject_refused(to, out);
        self.mark_mailbox_due(to);
        if let Some(slot) = self.member_states[to.0].session {
            self.sessions.mark(slot);
        }
    }

    fn handle_not_written(&mut self, now: Now, ticket: Ticket, to: MemberId) {
        let is_recipient_offline = self.receiving_session(to).is_none();
        let refused =
            self.member_states[to.0].mailbox.mark_commit_failed(now.tick, ticket, is_recipient_offline);
        self.count_mailbox(to);
        let name = self.directory.members.name(to).clone();
        for entry in refused {
            let Sender::Member(sender) = entry.sender else { continue };
            let flow = FlowId { outbox: entry.id.outbox, to: Destination::Member(to) };
            let refusal = RefusedLetter::of(name.as_str(), entry.id, Reason::Full);
            let may_have_arrived = entry.was_sent;
            let mark = entry.mark;
            self.refuse_taken(sender, flow, RefusedLetter { may_have_arrived, mark, ..refusal });
        }
        self.mark_mailbox_due(to);
    }

    // Loading.

    /// Loads more of the member's mailbox if its session has space for it.
    pub(super) fn load_mailbox(&mut self, now: Tick, member: MemberId, out: &mut Out) {
        let mailbox = &mut self.member_states[member.0].mailbox;
        let Some(rows) = mailbox.rows_to_load(now, Pace::of(&self.limits)) else { return };
        let seqs = match rows {
            RowsToLoad::After(after) => SeqFilter::After(after),
            RowsToLoad::At(seqs) => SeqFilter::At(seqs),
        };
        let ticket = self.tickets.issue(StoreContinuation::Mailbox(member));
        mailbox.mark_loading(ticket);
        let owner = Some(self.directory.members.name(member).clone());
        out.effects.push(Effect::Load(ticket, Query { owner, filter: seqs, bytes_max: LOAD_BYTES }));
    }

    fn handle_loaded(&mut self, now: Now, ticket: Ticket, to: MemberId, rows: &[Row], out: &mut Out) {
        let mut entries = Vec::with_capacity(rows.len());
        let mut stale = BTreeMap::<_, Vec<u64>>::new();
        let mut through = None;
        let mut removal = None;
        // Rows of a cancelled load are ignored; they are requested again.
        let rows = if self.member_states[to.0].mailbox.is_waiting_for(ticket) { rows } else { &[] };
        for row in rows {
            removal = self.mailboxes.expiring.get(&row.seq).copied();
            if let (Payload::Damaged(label), None) = (&row.payload, removal) {
                removal = self.set_aside_damaged(to, row.seq, label.as_ref(), out);
            }
            if removal.is_some() {
                break;
            }
            through = Some(row.seq);
            let Some(entry) = self.entry_of(now.tick, row) else { continue };
            if self.is_delivered(to, &entry) {
                self.remove_leftover(to, &entry);
                let flow = FlowId { outbox: entry.id.outbox, to: Destination::Member(to) };
                stale.entry((entry.sender, flow)).or_default().push(row.seq);
            } else {
                entries.push(entry);
            }
        }
        if self.member_states[to.0].mailbox.append_loaded(ticket, through, removal, entries)
            && let Some(slot) = self.member_states[to.0].session
        {
            self.sessions.mark(slot);
        }
        if self.directory.members.is_removed(to) {
            self.reject_all(now.tick, to, out);
        }
        for ((sender, flow), seqs) in stale {
            self.write_delivered(sender, flow, seqs, out);
        }
    }

    /// Converts a row to a mailbox entry. `None` if it is malformed or its sender is unknown.
    pub(super) fn entry_of(&self, now: Tick, row: &Row) -> Option<MailboxEntry> {
        let Payload::Intact(bytes) = &row.payload else { return None };
        let Ok(Some(ToClient::Delivery(delivery))) = ToClient::decode(bytes) else { return None };
        let Delivery { from, id, mark, body, .. } = delivery;
        let sender = self.sender(from, id.outbox)?;
        let entry = MailboxEntry::new(sender, id, body.len(), now, row.stored_at, bytes.clone().into());
        Some(entry.with_mark(mark).on_disk_at(row.seq))
    }

    /// Whether this process has removed the letter from its mailbox.
    fn is_removed_here(&self, entry: &MailboxEntry) -> bool {
        entry.seq().is_some_and(|seq| self.mailboxes.removed_seqs.contains(&seq))
    }

    /// Counts the removal of a delivered letter whose row is still on disk. The mailbox counts it
    /// if a previous process delivered it.
    pub(super) fn remove_leftover(&mut self, to: MemberId, entry: &MailboxEntry) {
        if let Some(seq) = entry.seq().filter(|_| !self.is_removed_here(entry)) {
            self.member_states[to.0].mailbox.remove_expired(seq, entry.sender, entry.len);
            self.count_mailbox(to);
        }
    }

    /// Whether the recipient has the letter although its row is still on disk.
    pub(super) fn is_delivered(&self, to: MemberId, entry: &MailboxEntry) -> bool {
        if self.is_removed_here(entry) {
            return true;
        }
        let Sender::Member(sender) = entry.sender else { return false };
        let flow = FlowId { outbox: entry.id.outbox, to: Destination::Member(to) };
        self.member_states[sender.0]
            .flows
            .watermarks(flow)
            .is_some_and(|watermarks| entry.id.number <= watermarks.delivered)
    }

    pub(super) fn handle_clock_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.mailboxes.clock_scheduled == Some(tick) {
            self.mailboxes.clock_scheduled = None;
        }
        self.write_clock(now, out);
        if self.mailboxes.sweep_scheduled.is_some() || !self.unused.is_empty() || !self.idle_flows.is_empty()
        {
            self.keep_clock(now);
        }
    }

    /// Persists the uptime clock from here on, because something depends on it.
    pub(super) fn keep_clock(&mut self, now: Tick) {
        if self.mailboxes.clock_scheduled.is_none() {
            self.deadlines.set(Timer::Clock, Some(now + CLOCK_INTERVAL), &mut self.mailboxes.clock_scheduled);
        }
    }

    pub(super) fn write_clock(&mut self, now: Tick, out: &mut Out) {
        let clock = self.mailboxes.clock.now(now);
        self.persist_keyed(RecordKey::Clock, Record::Clock(clock), out);
    }

    /// Handles a member going offline: its unstored letters and its own watermarks are written to
    /// disk.
    pub(super) fn release_mailbox(&mut self, member: MemberId, out: &mut Out) {
        self.member_states[member.0].mailbox.get_allocated_mut().map(Mailbox::handle_session_end);
        self.mark_mailbox_due(member);
        for flow in self.member_states[member.0].flows.unwritten() {
            self.write_watermarks(member, flow, Vec::new(), out);
        }
    }

    /// Handles the end of the relay: writes everything that is in memory only, at most one batch
    /// for each mailbox. The rest was never reported as accepted.
    pub(super) fn close_mailboxes(&mut self, now: Tick, out: &mut Out) {
        for member in (0..self.member_states.len()).map(MemberId) {
            if self.member_states[member.0].session.take().is_some() {
                self.release_mailbox(member, out);
            }
        }
        self.write_all_again(now, out);
        self.write_mailboxes(now, out);
        self.write_clock(now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LetterId;
    use crate::relay::records::PersistedMail;
    use crate::relay::test_relay::relay_of_two;

    /// A row that cannot be deleted may be loaded again, or be too old. Without a flow only its
    /// sequence number shows that its recipient has the letter.
    #[test]
    fn stored_letter_of_echo_is_delivered_until_its_row_is_gone() {
        let mut relay = relay_of_two(PersistedMail::default());
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        let entry = MailboxEntry::new(Sender::Echo, id, 5, Tick::ZERO, 0, vec![].into()).on_disk_at(392);
        let mut out = Out::default();
        assert!(!relay.is_delivered(MemberId(0), &entry));
        relay.write_removed(vec![392], &mut out);
        assert!(relay.is_delivered(MemberId(0), &entry));
        let keys = [RecordKey::Flow(None, Some(392))];
        relay.handle_keyed_stored(Ticket(0), &keys, false);
        assert!(relay.is_delivered(MemberId(0), &entry), "the disk refused to delete it");
        relay.handle_keyed_stored(Ticket(0), &keys, true);
        assert!(!relay.is_delivered(MemberId(0), &entry));
    }
}
