//! Expiry: finds letters on disk that have waited too long, oldest first, and refuses them as
//! `expired`.

use std::time::Duration;

use crate::base::{Effect, LetterId, Now, Payload, Query, Row, SeqFilter, Tick, Ticket};
use crate::wire::message::Reason;

use super::flows::Refusal;
use super::ids::{Destination, FlowId, MemberId};
use super::limits::{SPILL_AFTER, SWEEP_BYTES};
use super::mailbox::Sender;
use super::mailbox_storage::StoreContinuation;
use super::records::{PendingRefusal, Record};
use super::{Out, Relay, Timer};

/// Minimum interval between two steps of expiry, also after one that could not finish, so that the
/// loop does not spin.
pub(super) const SWEEP_AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct ExpiringLetter {
    seq: u64,
    sender: Sender,
    to: MemberId,
    id: LetterId,
    len: usize,
    refusal: Refusal,
    /// Whether the mailbox counts the letter: it has not left it yet.
    counted: bool,
}

impl Relay {
    pub(super) fn sweep_later(&mut self, at: Tick) {
        self.mailboxes.swept_through = None;
        self.deadlines.set(Timer::Sweep, Some(at), &mut self.mailboxes.sweep_scheduled);
    }

    /// Starts a search for letters that have waited too long, oldest first.
    pub(super) fn handle_sweep_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.mailboxes.sweep_scheduled == Some(tick) {
            self.mailboxes.sweep_scheduled = None;
        }
        if self.mailboxes.swept_through.is_some() {
            return;
        }
        self.mailboxes.clock.now(now);
        self.sweep_on(0, out);
    }

    fn sweep_on(&mut self, after: u64, out: &mut Out) {
        self.mailboxes.swept_through = Some(after);
        let ticket = self.tickets.issue(StoreContinuation::Oldest);
        out.effects.push(Effect::Load(
            ticket,
            Query { owner: None, filter: SeqFilter::After(after), bytes_max: SWEEP_BYTES },
        ));
    }

    pub(super) fn handle_oldest(&mut self, now: Now, rows: &[Row], out: &mut Out) {
        self.mailboxes.swept_through = None;
        let clock = self.mailboxes.clock.now(now.tick);
        let keep = self.limits.keep.as_millis() as u64;
        for row in rows {
            if let Payload::Damaged(label) = &row.payload {
                if let Some(to) = self.directory.members.find_ever(row.owner.as_str()) {
                    self.set_aside_damaged(to, row.seq, label.as_ref(), out);
                }
                continue;
            }
            let remaining_ms = row.stored_at.saturating_add(keep).saturating_sub(clock);
            if remaining_ms > 0 {
                let wait = Duration::from_millis(remaining_ms).max(Duration::from_secs(1));
                return self.sweep_later(now.tick + wait);
            }
            self.expire(now.tick, row, out);
        }
        match rows.last() {
            Some(row) => self.sweep_on(row.seq, out),
            // Nothing is left, or only letters that could not expire.
            None if !self.mailboxes.usage.is_empty() => {
                self.sweep_later(now.tick + SWEEP_AGAIN);
            }
            None => {}
        }
    }

    fn expire(&mut self, now: Tick, row: &Row, out: &mut Out) {
        let Some(to) = self.directory.members.find_ever(row.owner.as_str()) else { return };
        let Some(entry) = self.entry_of(now, row) else { return };
        let sender = entry.sender;
        let id = entry.id;
        let len = entry.len;
        let may = match sender {
            Sender::Member(sender) => self.member_states[sender.0].flows.may_queue_refusal(),
            Sender::Echo | Sender::Guest(_) => true,
        };
        let seq = row.seq;
        if !may
            || self.member_states[to.0].mailbox.contains(seq)
            || self.mailboxes.expiring.contains_key(&seq)
        {
            return;
        }
        if self.is_delivered(to, &entry) {
            self.remove_leftover(to, &entry);
            let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
            return self.write_delivered(sender, flow, vec![seq], out);
        }
        let counted = self.member_states[to.0].mailbox.is_on_disk_only(seq);
        if !counted && !matches!(sender, Sender::Member(_)) {
            return;
        }
        let may_have_arrived = self.member_states[to.0].mailbox.may_row_have_been_sent(seq);
        let reason = Reason::Expired;
        let mark = entry.mark;
        let refusal = Refusal { reason, may_have_arrived, mark };
        let letter = ExpiringLetter { seq, sender, to, id, len, refusal, counted };
        let ticket = self.tickets.issue(StoreContinuation::Expired(letter));
        self.mailboxes.expiring.insert(seq, ticket);
        let from = self.author_name(sender, &entry.message);
        let to = row.owner.clone();
        let refusal = PendingRefusal { from, to, id, reason, may_have_arrived, mark };
        out.effects.push(Effect::Persist(ticket, Record::Expired { seq, refusal }));
    }

    /// Handles the commit of an expiry. The letters behind it may then be loaded: the sender
    /// receives the refusal first. If the write failed, the letter stays in its mailbox.
    pub(super) fn handle_expired(
        &mut self,
        now: Tick,
        ticket: Ticket,
        letter: ExpiringLetter,
        durable: bool,
    ) {
        let ExpiringLetter { seq, sender, to, id, len, refusal, counted } = letter;
        self.mailboxes.expiring.remove(&seq);
        self.member_states[to.0].mailbox.cancel_load(ticket);
        if !durable {
            return self.wake_mailbox(to, now + SPILL_AFTER);
        }
        self.member_states[to.0].session.into_iter().for_each(|slot| self.sessions.mark(slot));
        if counted {
            self.member_states[to.0].mailbox.remove_expired(seq, sender, len);
            self.count_mailbox(to);
        }
        self.stats.letters_expired += 1;
        let Sender::Member(sender) = sender else { return };
        let flow = FlowId { outbox: id.outbox, to: Destination::Member(to) };
        self.member_states[sender.0].flows.queue_refusal(flow, id.number, refusal);
        if let Some(slot) = self.member_states[sender.0].session {
            self.sessions.mark(slot);
        }
    }
}
