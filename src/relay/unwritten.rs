//! Failed records, and how they are repeated.
//!
//! Each submitted record has its [`StoreContinuation`]. Records of a request are reported as
//! failed; records that remove something from memory remove it only after the commit. Each of the
//! others writes the state in memory under a key. If it fails, the key is kept, one entry for each
//! however long the disk fails. Once the disk accepts records again, the state at that time is
//! written. [`Record`] describes each case.
//!
//! Keys are retried one second after the first failure, and then with doubling pauses. After a try
//! without a failure the next follows at once, with twice as many records. A disk with space for
//! one row therefore does not get a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Effect, LetterId, OutboxId, Tick, Ticket, Wall};

use super::flows::Refusal;
use super::ids::{Destination, FlowId, MemberId};
use super::mailbox_storage::StoreContinuation;
use super::records::{PendingRefusal, Record};
use super::{Out, Relay, Timer};

/// First and longest pause before a retry: once the disk has space, everything is written within
/// the latter.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Maximum records of one try; the next after [`RETRY_NEXT`]. 64 of the longest records, block
/// lists, take half of the store's capacity.
const RETRIED_MAX: usize = 64;
/// Pause between two such batches, which lets other inputs in.
const RETRY_NEXT: Duration = Duration::from_millis(10);
/// Maximum letters of one flow removed from disk with one record.
const LETTERS_MAX: usize = 512;

/// Key of a record, which identifies the state to write again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RecordKey {
    /// The uptime clock.
    Clock,
    /// Session hints.
    SessionHints,
    /// The removal of unused names whose time is over.
    FreeNames,
    /// This member's block list.
    Lists(MemberId),
    /// The last sign-in or sign-out of this member.
    Seen(MemberId),
    /// That this member uses its name.
    Used(MemberId),
    /// The last sign-in of this member with this outbox, whose session is gone, and the removal of
    /// another of its outboxes.
    Outbox(MemberId, OutboxId, Option<OutboxId>),
    /// The watermarks of a flow and its sender, or the recipient's orphaned read watermark, if
    /// there is no number. With a number: the removal of the letter with this sequence number.
    /// Without a flow: a letter of the relay or of a guest.
    Flow(Option<(MemberId, FlowId)>, Option<u64>),
    /// This sender's acknowledgement of a refusal.
    RefusalAcknowledged(MemberId, FlowId, u64, Refusal),
}

/// Keys to write again.
#[derive(Debug)]
pub(super) struct Unwritten {
    keys: BTreeSet<RecordKey>,
    /// Times of sign-ins and sign-outs that are not durable, with the ticket of the latest record.
    pub(super) unwritten_sign_ins: BTreeMap<MemberId, (Wall, Ticket)>,
    /// Records of the current try that are pending.
    pending: BTreeSet<Ticket>,
    /// Whether a try is being submitted.
    is_trying: bool,
    /// Whether a record of the current try failed.
    has_failed: bool,
    /// Maximum records of the next try, and the pause before it if the current one fails.
    at_once: usize,
    pause: Duration,
    scheduled: Option<Tick>,
}

impl Default for Unwritten {
    fn default() -> Unwritten {
        Unwritten {
            keys: BTreeSet::new(),
            unwritten_sign_ins: BTreeMap::new(),
            pending: BTreeSet::new(),
            is_trying: false,
            has_failed: false,
            at_once: 1,
            pause: RETRY_AFTER,
            scheduled: None,
        }
    }
}

impl Unwritten {
    /// Whether the record of this key failed.
    pub(super) fn has(&self, key: RecordKey) -> bool {
        self.keys.contains(&key)
    }

    /// Returns the number of keys, without those of the current try.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Removes and returns the keys of the next record.
    fn pop(&mut self) -> Option<Vec<RecordKey>> {
        let mut keys = vec![self.keys.pop_first()?];
        if let RecordKey::Flow(of, _) = keys[0] {
            let is_same = |key: &RecordKey| matches!(key, RecordKey::Flow(other, _) if *other == of);
            while keys.len() <= LETTERS_MAX && self.keys.first().is_some_and(is_same) {
                keys.extend(self.keys.pop_first());
            }
        }
        Some(keys)
    }

    /// Handles the result of a record. Returns the pause before the next try, if one must be
    /// planned.
    fn record_answer(&mut self, ticket: Ticket, durable: bool) -> Option<Duration> {
        if self.keys.is_empty() && self.pending.is_empty() {
            return None;
        }
        let was_tried = self.pending.remove(&ticket);
        self.has_failed |= was_tried && !durable;
        if !self.pending.is_empty() {
            return None;
        }
        if !was_tried {
            // Another record's success shortens the pause.
            return Some(if durable { RETRY_AFTER } else { self.pause });
        }
        if std::mem::take(&mut self.has_failed) {
            self.at_once = 1;
            let pause = self.pause;
            self.pause = (pause * 2).min(RETRY_AFTER_MAX);
            return Some(pause);
        }
        self.at_once = (self.at_once * 2).min(RETRIED_MAX);
        self.pause = RETRY_AFTER;
        Some(RETRY_NEXT)
    }
}

impl Relay {
    /// Submits a record, with the continuation `wait` for its result.
    pub(super) fn persist(
        &mut self,
        continuation: StoreContinuation,
        record: Record,
        out: &mut Out,
    ) -> Ticket {
        let ticket = self.tickets.issue(continuation);
        if self.unwritten.is_trying {
            self.unwritten.pending.insert(ticket);
        }
        out.effects.push(Effect::Persist(ticket, record));
        ticket
    }

    /// Submits a record of the state under this key.
    pub(super) fn persist_keyed(&mut self, key: RecordKey, record: Record, out: &mut Out) -> Ticket {
        self.persist(StoreContinuation::Keyed(vec![key]), record, out)
    }

    /// Handles the result of a record of these keys, which are written again after a failure.
    pub(super) fn handle_keyed_stored(&mut self, ticket: Ticket, keys: &[RecordKey], durable: bool) {
        if !durable {
            return keys.iter().for_each(|key| self.write_later(*key));
        }
        for key in keys {
            if let RecordKey::Flow(_, Some(seq)) = key {
                self.mailboxes.removed_seqs.remove(seq);
            }
        }
        if let Some(RecordKey::Seen(member)) = keys.first()
            && self.unwritten.unwritten_sign_ins.get(member).is_some_and(|last| last.1 == ticket)
        {
            self.unwritten.unwritten_sign_ins.remove(member);
        }
        if let Some(RecordKey::Outbox(member, _, forgotten)) = keys.first() {
            self.handle_outbox_forgotten(*member, *forgotten);
        }
    }

    /// Queues the state under this key, to be written when the disk accepts records.
    pub(super) fn write_later(&mut self, key: RecordKey) {
        if let RecordKey::Flow(Some((sender, flow)), None) = key {
            self.member_states[sender.0].flows.mark_unwritten(flow);
        }
        self.unwritten.keys.insert(key);
    }

    /// Queues the state under this key for the first turn, because the restored state differs from
    /// the disk.
    pub(super) fn write_first(&mut self, key: RecordKey) {
        self.write_later(key);
        self.deadlines.set(Timer::Unwritten, Some(Tick::ZERO), &mut self.unwritten.scheduled);
    }

    /// Plans the next try after a record's result was handled.
    pub(super) fn plan_retry(&mut self, now: Tick, ticket: Ticket, durable: bool) {
        let Some(pause) = self.unwritten.record_answer(ticket, durable) else { return };
        self.schedule_retry(now + pause);
    }

    fn schedule_retry(&mut self, at: Tick) {
        if !self.unwritten.keys.is_empty() {
            self.deadlines.set(Timer::Unwritten, Some(at), &mut self.unwritten.scheduled);
        }
    }

    /// Writes failed records again, as many as one try has.
    pub(super) fn handle_unwritten_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.unwritten.scheduled == Some(tick) {
            self.unwritten.scheduled = None;
        }
        if !self.unwritten.pending.is_empty() {
            return;
        }
        self.unwritten.is_trying = true;
        for _ in 0..self.unwritten.at_once {
            let Some(keys) = self.unwritten.pop() else { break };
            self.write_again(now, &keys, out);
        }
        self.unwritten.is_trying = false;
        if self.unwritten.pending.is_empty() {
            self.schedule_retry(now + RETRY_NEXT);
        }
    }

    /// Writes all failed records once more at the end of the relay.
    pub(super) fn write_all_again(&mut self, now: Tick, out: &mut Out) {
        while let Some(keys) = self.unwritten.pop() {
            // Freeing names and session hints are useless at the end of the relay.
            if !matches!(keys[0], RecordKey::FreeNames | RecordKey::SessionHints) {
                self.write_again(now, &keys, out);
            }
        }
    }

    /// Writes the state under these keys, all of one record.
    ///
    /// Under some keys there is nothing to write: the member was removed, or a record with the
    /// newest state is pending.
    fn write_again(&mut self, now: Tick, keys: &[RecordKey], out: &mut Out) {
        match keys[0] {
            RecordKey::Clock => self.write_clock(now, out),
            RecordKey::SessionHints => self.write_hints(now, out),
            RecordKey::FreeNames => self.free_names(now, out),
            RecordKey::Lists(member) => self.write_lists(member, out),
            RecordKey::Seen(member) => {
                if let Some((at, _)) = self.unwritten.unwritten_sign_ins.get(&member).copied() {
                    self.write_seen(member, at, out);
                }
            }
            RecordKey::Used(member) => self.write_used(member, out),
            RecordKey::Outbox(member, outbox, _) => self.write_outbox(member, outbox, out),
            RecordKey::Flow(of, _) => {
                let seq = |key: &RecordKey| if let RecordKey::Flow(_, seq) = key { *seq } else { None };
                let seqs: Vec<u64> = keys.iter().filter_map(seq).collect();
                match of {
                    Some((sender, flow)) => self.write_flow(sender, flow, seqs, out),
                    None => self.write_removed(seqs, out),
                }
            }
            RecordKey::RefusalAcknowledged(sender, flow, number, refusal) => {
                self.write_acknowledged(sender, flow, number, refusal, out);
            }
        }
    }

    // Records with several keys, or none.

    /// Removes letters of the relay itself or of guests from the disk.
    pub(super) fn write_removed(&mut self, seqs: Vec<u64>, out: &mut Out) {
        if !seqs.is_empty() {
            self.mailboxes.removed_seqs.extend(&seqs);
            let keys = seqs.iter().map(|seq| RecordKey::Flow(None, Some(*seq))).collect();
            self.persist(StoreContinuation::Keyed(keys), Record::Progress { flow: None, stored: seqs }, out);
        }
    }

    /// Writes a sender's acknowledgement of a refusal, unless that is pending again.
    pub(super) fn write_acknowledged(
        &mut self,
        sender: MemberId,
        flow: FlowId,
        number: u64,
        refusal: Refusal,
        out: &mut Out,
    ) {
        let Destination::Member(to) = flow.to else { return };
        if self.member_states[sender.0].flows.has_pending_refusal(flow, number) {
            return;
        }
        let from = self.directory.members.name(sender).clone();
        let to = self.directory.members.name(to).clone();
        let id = LetterId { outbox: flow.outbox, number };
        let Refusal { reason, may_have_arrived, mark } = refusal;
        let acknowledged = PendingRefusal { from, to, id, reason, may_have_arrived, mark };
        let record = Record::RefusalAcknowledged(acknowledged);
        self.persist_keyed(RecordKey::RefusalAcknowledged(sender, flow, number, refusal), record, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_success_speeds_up_retries() {
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.record_answer(Ticket(1), false), None, "no key is queued");
        unwritten.keys.insert(RecordKey::Clock);
        assert_eq!(unwritten.record_answer(Ticket(1), false), Some(RETRY_AFTER));
        let mut pauses = Vec::new();
        for n in 2..10 {
            unwritten.pending.insert(Ticket(n));
            pauses.extend(unwritten.record_answer(Ticket(n), false).map(|pause| pause.as_secs()));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(unwritten.record_answer(Ticket(99), true), Some(RETRY_AFTER), "another record succeeded");
        for (n, most) in (10..).zip([2, 4, 8, 16, 32, RETRIED_MAX, RETRIED_MAX]) {
            unwritten.pending.insert(Ticket(n));
            assert_eq!(unwritten.record_answer(Ticket(n), true), Some(RETRY_NEXT));
            assert_eq!(unwritten.at_once, most);
        }
        unwritten.pending.extend([Ticket(20), Ticket(21)]);
        assert_eq!(unwritten.record_answer(Ticket(20), false), None, "the try is not complete");
        assert_eq!(unwritten.record_answer(Ticket(21), true), Some(RETRY_AFTER));
        assert_eq!(unwritten.at_once, 1);
    }

    #[test]
    fn letters_of_one_flow_are_removed_with_one_record() {
        let mut unwritten = Unwritten::default();
        let flow =
            |n| Some((MemberId(n), FlowId { to: Destination::Member(MemberId(9)), outbox: OutboxId(1) }));
        let all = |of| [None, Some(5), Some(7)].map(|seq| RecordKey::Flow(of, seq));
        unwritten.keys.extend(all(flow(1)).into_iter().chain(all(flow(2))));
        unwritten.keys.extend((0..2_000).map(|seq| RecordKey::Flow(None, Some(seq))));
        let mut lens = Vec::new();
        while let Some(keys) = unwritten.pop() {
            lens.push(keys.len());
        }
        assert_eq!(lens, [513, 513, 513, 461, 3, 3]);
    }
}
