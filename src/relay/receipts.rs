//! Receipts and refusals for senders.

use crate::base::{LetterId, Mark, Name, Now, OutboxId, Tick, Wall, Watermarks};
use crate::wire::frame::StreamId;
use crate::wire::message::{Letter, NEAREST_MAX, Nearest, Reason, Receipt, Refused, ToClient};

use super::flows::{FlowMarks, Flows, NextReceipt, NumberRange, Refusal, UnsentRefusal};
use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::limits::{LOOKUP_RATE, ORPHAN_READS_MAX, REFUSALS_MAX, SUGGESTION_RATE, UNREAD_MAX};
use super::mailbox::{Sender, StoredThrough};
use super::mailbox_storage::StoreContinuation;
use super::records::{self, Record};
use super::routing::{ECHO, MemberState, OrphanRead};
use super::sessions::RefusedLetter;
use super::unwritten::RecordKey;
use super::{Out, Relay};

impl Relay {
    /// Handles a recipient's report that it has stored every letter of an outbox up to `through`.
    /// Returns whether that is news.
    pub(super) fn handle_stored(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        from: &str,
        outbox: OutboxId,
        through: StoredThrough,
        out: &mut Out,
    ) -> bool {
        let Some(sender) = self.cached_sender(slot, from, outbox) else { return false };
        let Some(member) = self.sessions.member(slot) else { return false };
        let before = self.stats.letters_stored;
        let is_news = self.store_through(now, member, sender, outbox, through, out);
        let stored = self.stats.letters_stored - before;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.unread = session.unread.saturating_add(stored).min(UNREAD_MAX);
        }
        is_news
    }

    /// Records that a recipient has every letter of a sender's outbox up to `through` that it has
    /// not refused. Returns whether that is news.
    pub(super) fn store_through(
        &mut self,
        now: Tick,
        member: MemberId,
        sender: Sender,
        outbox: OutboxId,
        through: StoredThrough,
        out: &mut Out,
    ) -> bool {
        let flow = FlowId { outbox, to: Destination::Member(member) };
        let through = match sender {
            Sender::Member(sender) if !self.member_states[sender.0].flows.pending_removals.is_empty() => {
                self.wait_for_removals(sender, flow, through)
            }
            _ => through,
        };
        let mailbox = &mut self.member_states[member.0].mailbox;
        let buffers = &mut self.mailboxes.buffers;
        let Some(stored) = mailbox.remove_stored(sender, outbox, through, buffers) else { return false };
        self.count_mailbox(member);
        let Sender::Member(sender) = sender else {
            self.write_removed(stored.seqs, out);
            return true;
        };
        self.stats.letters_stored += stored.count;
        if through.at_full_second {
            self.report_at_full_second(now, sender, flow, stored, out);
        } else {
            self.member_states[sender.0].flows.raise_delivered(flow, stored.highest_number);
            self.report_watermarks(sender, flow, stored.seqs, out);
        }
        true
    }

    /// As [`Relay::sender`], but tries the sender of the last letter stored in this session first.
    pub(super) fn cached_sender(
        &mut self,
        slot: SessionSlot,
        name: &str,
        outbox: OutboxId,
    ) -> Option<Sender> {
        let last = self.sessions.get_mut(slot).and_then(|session| session.last_stored_sender);
        if let Some(again) = last.filter(|last| self.directory.members.is(*last, name)) {
            return Some(Sender::Member(again));
        }
        let sender = self.sender(name, outbox);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.last_stored_sender =
                if let Some(Sender::Member(member)) = sender { Some(member) } else { None };
        }
        sender
    }

    /// Handles a read watermark for an outbox's letters up to `through`.
    ///
    /// Returns whether it is exempt from the rate. It is if it is news of sent letters, and the
    /// session has sent fewer such watermarks than it has stored letters.
    pub(super) fn handle_read(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        from: &str,
        outbox: OutboxId,
        through: u64,
        out: &mut Out,
    ) -> bool {
        let Some(Sender::Member(sender)) = self.sender(from, outbox) else { return false };
        let Some(recipient) = self.sessions.member(slot) else { return false };
        let flow = FlowId { outbox, to: Destination::Member(recipient) };
        let Some(before) = self.member_states[sender.0].flows.raise_read(flow, through) else {
            self.keep_orphan_read(now, sender, recipient, outbox, through, out);
            return false;
        };
        self.report_watermarks(sender, flow, Vec::new(), out);
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let is_news = before.read < through && through <= before.delivered && session.unread > 0;
        session.unread -= u64::from(is_news);
        is_news
    }

    /// Keeps a read watermark for letters that this relay does not know, because it was killed
    /// since. It is reported with the sender's next query or letter.
    fn keep_orphan_read(
        &mut self,
        now: Tick,
        sender: MemberId,
        recipient: MemberId,
        outbox: OutboxId,
        through: u64,
        out: &mut Out,
    ) {
        let orphan_reads = &mut self.member_states[recipient.0].orphan_reads;
        if orphan_reads.len() >= ORPHAN_READS_MAX && !orphan_reads.contains_key(&(sender, outbox)) {
            return;
        }
        if orphan_reads.get(&(sender, outbox)).map_or(0, |orphan_read| orphan_read.through) >= through {
            return;
        }
        let since = self.mailboxes.clock.now(now);
        orphan_reads.insert((sender, outbox), OrphanRead { through, since });
        self.watch_flows(now);
        self.note_used(sender, out);
        self.note_used(recipient, out);
        self.write_flow(sender, FlowId { outbox, to: Destination::Member(recipient) }, Vec::new(), out);
    }

    /// Removes delivered letters from the disk, and writes the watermarks of their flow.
    pub(super) fn write_delivered(&mut self, sender: Sender, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        match sender {
            Sender::Member(sender) => self.write_watermarks(sender, flow, stored, out),
            // The record that removes them is pending, or will be written again.
            Sender::Echo | Sender::Guest(_) => {}
        }
    }

    /// Writes the watermarks of a flow, or the read watermark of an unknown one, and removes
    /// letters from the disk.
    pub(super) fn write_flow(&mut self, sender: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        let Destination::Member(recipient) = flow.to else { return };
        let orphan_read = self.member_states[recipient.0].orphan_reads.get(&(sender, flow.outbox)).copied();
        let orphan_read =
            orphan_read.filter(|_| self.member_states[sender.0].flows.watermarks(flow).is_none());
        let Some(OrphanRead { through, since }) = orphan_read else {
            return self.write_watermarks(sender, flow, stored, out);
        };
        let watermarks = Watermarks { read: through, ..Watermarks::default() };
        let marks = FlowMarks { watermarks, ..FlowMarks::default() };
        self.write_progress(sender, flow, Some((marks, since)), stored, out);
    }

    /// Applies the recipient's earlier read watermark to a flow that is known now.
    pub(super) fn apply_orphan_read(&mut self, sender: MemberId, flow: FlowId) {
        let Some(orphan_reads) = flow.to.member().map(|to| &self.member_states[to.0].orphan_reads) else {
            return;
        };
        if orphan_reads.is_empty() {
            return;
        }
        let Some(through) = orphan_reads.get(&(sender, flow.outbox)).map(|orphan_read| orphan_read.through)
        else {
            return;
        };
        if self.member_states[sender.0].flows.raise_read(flow, through).is_some()
            && let Some(recipient) = flow.to.member()
        {
            self.member_states[recipient.0].orphan_reads.remove(&(sender, flow.outbox));
        }
    }

    /// Reports watermarks to the sender if it is online. Writes them if it is not, or if letters
    /// leave the disk.
    fn report_watermarks(&mut self, sender: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        let session = self.member_states[sender.0].session;
        if let Some(slot) = session {
            self.sessions.mark(slot);
        }
        if session.is_none() || !stored.is_empty() {
            self.write_watermarks(sender, flow, stored, out);
        }
    }

    /// Writes the flow's row. A read watermark kept before the flow was known is merged into it.
    pub(super) fn write_watermarks(
        &mut self,
        sender: MemberId,
        flow: FlowId,
        stored: Vec<u64>,
        out: &mut Out,
    ) {
        self.apply_orphan_read(sender, flow);
        let unwritten = self.member_states[sender.0].flows.take_unwritten(flow);
        self.write_progress(sender, flow, unwritten, stored, out);
    }

    fn write_progress(
        &mut self,
        sender: MemberId,
        flow: FlowId,
        unwritten: Option<(FlowMarks, u64)>,
        stored: Vec<u64>,
        out: &mut Out,
    ) {
        let row = unwritten.and_then(|unwritten| self.persisted_flow(sender, flow, unwritten));
        self.mailboxes.removed_seqs.extend(&stored);
        if row.is_some() || !stored.is_empty() {
            let seqs = stored.iter().map(|seq| Some(*seq));
            let keys = row.iter().map(|_| None).chain(seqs);
            let keys = keys.map(|seq| RecordKey::Flow(Some((sender, flow)), seq)).collect();
            let wait = match row.as_ref().filter(|row| row.at_full_second) {
                Some(row) => StoreContinuation::HeldBack(keys, (sender, flow, row.watermarks.accepted)),
                None => StoreContinuation::Keyed(keys),
            };
            self.persist(wait, Record::Progress { flow: row, stored }, out);
        }
    }

    /// Returns the row of a flow with these marks, whose last letter came at `last_letter_at`. The
    /// row is written, so it is not removed as idle.
    pub(super) fn persisted_flow(
        &mut self,
        sender: MemberId,
        flow: FlowId,
        (marks, last_letter_at): (FlowMarks, u64),
    ) -> Option<records::PersistedFlow> {
        self.idle_flows.being_removed.remove(&(sender, flow));
        let to = flow.to.member()?;
        Some(records::PersistedFlow {
            from: self.directory.members.name(sender).clone(),
            outbox: flow.outbox,
            to: self.directory.members.name(to).clone(),
            watermarks: marks.watermarks,
            since: last_letter_at,
            mark: marks.outbox_mark,
            at_full_second: self.member_states[sender.0].flows.is_held_back(flow),
        })
    }

    /// Handles a sender's query for the watermarks of a flow.
    pub(super) fn handle_receipt_query(&mut self, slot: SessionSlot, to: &str, outbox: OutboxId) {
        let removed = || self.directory.members.find_ever(to).map(Destination::Member);
        let flow = self.recipient(to).or_else(removed).map(|to| FlowId { outbox, to });
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let has_orphan_read = |flow: &FlowId| {
            flow.to
                .member()
                .is_some_and(|to| self.member_states[to.0].orphan_reads.contains_key(&(member, flow.outbox)))
        };
        let is_claimed = flow.as_ref().is_some_and(has_orphan_read);
        let flows = &mut self.member_states[member.0].flows;
        // A query alone creates no flow: there is nothing to report. A waiting flow is answered
        // like one with an unknown name.
        let flow = flow.filter(|flow| !flows.is_undisclosed(*flow));
        match flow.filter(|flow| flows.watermarks(*flow).is_some() || is_claimed && flows.open(*flow)) {
            Some(flow) => {
                flows.request_receipt(flow);
                self.apply_orphan_read(member, flow);
            }
            None if session.pending_len() < REFUSALS_MAX => {
                let until = Wall(0);
                let taken_at = Wall(0);
                let mark = Mark::default();
                let watermarks = Watermarks::default();
                let none = Receipt { to, outbox, watermarks, until, taken_at, mark };
                session.send_control(&ToClient::Receipt(none));
            }
            None => {}
        }
        self.sessions.mark(slot);
    }

    /// Handles a sender's acknowledgement of a refusal. Returns whether that is news.
    pub(super) fn handle_refusal_received(
        &mut self,
        slot: SessionSlot,
        to: &str,
        id: LetterId,
        out: &mut Out,
    ) -> bool {
        let Some(member) = self.sessions.member(slot) else { return false };
        let Some(recipient) = self.directory.members.find_ever(to) else { return false };
        let flow = FlowId { outbox: id.outbox, to: Destination::Member(recipient) };
        let Some(refusal) = self.member_states[member.0].flows.take_acknowledged(flow, id.number) else {
            return false;
        };
        self.write_acknowledged(member, flow, id.number, refusal, out);
        true
    }

    /// Sends queued messages, then refusals of accepted letters, then receipts, one for each flow.
    ///
    /// A receipt never overtakes a refusal, because it would also cover the refused letter.
    pub(super) fn send_receipts(&mut self, now: Now, slot: SessionSlot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let are_received = session.are_receipts_sent && session.peer.has_received_all(StreamId::Control);
        if let Some(member) = session.member().filter(|_| are_received) {
            session.are_receipts_sent = false;
            self.member_states[member.0].flows.get_allocated_mut().map(Flows::mark_receipts_received);
        }
        session.send_refusals();
        while let Some(message) = session.pending_control.front() {
            if session.peer.send(StreamId::Control, &[message]).is_err() {
                return;
            }
            session.pending_control.pop_front();
        }
        let Some(member) = session.member() else { return };
        let flows = &mut self.member_states[member.0].flows;
        let members = &self.directory.members;
        let guests = self.guests.as_ref();
        let name_of = |flow: FlowId| match flow.to {
            Destination::Echo => ECHO,
            Destination::Member(member) => members.name(member).as_str(),
            Destination::Guest(guest) => {
                guests.and_then(|guests| guests.name(guest)).map_or("", |name| name.as_str())
            }
        };
        while let Some(UnsentRefusal { flow, numbers, refusal }) = flows.next_unsent_refusal() {
            let to = name_of(flow);
            let id = LetterId { outbox: flow.outbox, number: numbers.first };
            let through = numbers.last;
            let nearest = Nearest::default();
            let Refusal { reason, may_have_arrived, mark } = refusal;
            let reason = reason.known_to(session.features);
            let refused = Refused { to, id, through, mark, reason, may_have_arrived, nearest };
            self.outgoing.clear();
            ToClient::Refused(refused).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.mark_refusal_sent(numbers);
        }
        let clock = self.mailboxes.clock.now(now.tick);
        let keep = self.limits.keep.as_millis() as u64;
        while let Some(NextReceipt { flow, marks, taken_at }) = flows.next_receipt() {
            let until = flow.to.member().map_or(Wall(0), |_| until(now.wall, clock, keep, &marks));
            let FlowMarks { watermarks, outbox_mark: mark, .. } = marks;
            let to = name_of(flow);
            let outbox = flow.outbox;
            let receipt = Receipt { to, outbox, watermarks, until, taken_at, mark };
            self.outgoing.clear();
            ToClient::Receipt(receipt).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.mark_receipt_sent();
            session.are_receipts_sent = true;
        }
    }

    /// Refuses a letter to an unknown recipient, or to one that was unknown at the sender's last
    /// lookup (`is_disclosed`).
    ///
    /// Similar names are searched only while both the sender and all members together have the
    /// budget for it. Without them the refusal is equally fast.
    pub(super) fn refuse_unknown(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        sender: MemberId,
        letter: &Letter<'_>,
        is_known: bool,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let MemberState { lookups, flows, .. } = &mut self.member_states[sender.0];
        let looked_up_at = !is_known && lookups.ready(now, LOOKUP_RATE).is_ok();
        let mut nearest: Vec<Name> = Vec::new();
        if looked_up_at {
            lookups.spend(now, LOOKUP_RATE.interval());
            if self.suggestions.admit(now, SUGGESTION_RATE) {
                let result = self.directory.members.nearest(letter.to, flows.correspondents(), NEAREST_MAX);
                self.stats.names_looked_at += result.looked_at as u64;
                nearest = result.nearest;
            }
        }
        let Letter { to, id, prev, .. } = *letter;
        flows.record_unknown(id.outbox, to, NumberRange::one(id.number), looked_up_at.then_some(now));
        session.refuse(RefusedLetter { prev, nearest, ..RefusedLetter::of(to, id, Reason::Unknown) });
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }

    /// Refuses a letter, at once or after it was taken. A sender that is offline sends it again.
    pub(super) fn refuse_taken(&mut self, sender: MemberId, flow: FlowId, refusal: RefusedLetter<'_>) {
        let state = &mut self.member_states[sender.0];
        state.flows.record_refused(flow, refusal.id.number, refusal.reason);
        match state.session {
            Some(slot) => self.send_or_keep_refusal(slot, sender, flow, refusal),
            None => self.stats.letters_refused += 1,
        }
    }

    /// Reports a refusal, unless the flow's answers wait: then the letter is sent again later.
    fn send_or_keep_refusal(
        &mut self,
        slot: SessionSlot,
        sender: MemberId,
        flow: FlowId,
        refusal: RefusedLetter<'_>,
    ) {
        self.stats.letters_refused += 1;
        let flows = &mut self.member_states[sender.0].flows;
        // A letter that may have arrived was answered by its recipient.
        if !refusal.may_have_arrived && flows.is_waiting(flow.outbox, refusal.to) {
            return flows.record_waiting_refused(flow.outbox, refusal.to, refusal.id.number);
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.refuse(refusal);
            self.sessions.mark(slot);
        }
    }
}

/// Returns the time at which the last accepted letter expires, for display; 0 if it does not wait.
fn until(now: Wall, clock: u64, keep: u64, marks: &FlowMarks) -> Wall {
    if marks.watermarks.accepted <= marks.watermarks.delivered {
        return Wall(0);
    }
    let remaining_ms = marks.accepted_taken_at.saturating_add(keep).saturating_sub(clock);
    Wall(now.0.saturating_add(remaining_ms))
}
