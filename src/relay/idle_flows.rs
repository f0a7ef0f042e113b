//! Idle flows: removed from memory and disk after the retention time.
//!
//! A flow is idle if none of its letters waits, no refusal is pending for it, and its sender has
//! received its watermarks. Then nothing depends on it: the recipient recognizes a repeated letter,
//! and a query is not answered. Flows with news for the sender stay, because a later receipt that
//! covers a refused letter would report it as delivered. Read watermarks for letters that the relay
//! does not know are removed after the same time.
//!
//! Members are examined in turn, a bounded number of flows in each turn of the loop. An idle flow
//! leaves memory once it has left the disk. If it is active again by then, it is persisted again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Tick;

use super::flows::{FlowMarks, IdleSearch};
use super::ids::{Destination, FlowId, MemberId};
use super::mailbox::Sender;
use super::mailbox_storage::StoreContinuation;
use super::records::{FlowNames, Record};
use super::{Out, Relay, Timer};

/// Maximum members and flows examined in one turn, about 20 µs; the next after [`STEP_EVERY`].
const STEP_MAX: usize = 256;
/// Pause between two steps, which lets other inputs in: 100,000 flows take four seconds.
const STEP_EVERY: Duration = Duration::from_millis(10);
/// Rounds within the retention time, so that few flows stay much longer than that.
const ROUNDS_A_KEEP: u32 = 16;
/// Bounds of the interval between rounds: an idle relay is woken at most once a minute, and flows
/// that are due leave within a day.
const ROUND_EVERY_MIN: Duration = Duration::from_secs(60);
const ROUND_EVERY_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Progress of the current round.
#[derive(Debug, Default)]
pub(super) struct IdleFlows {
    member: usize,
    after: Option<FlowId>,
    /// Whether the round has found a flow or a read watermark.
    has_met_flow: bool,
    /// Flows that are being removed from the disk and were not written since.
    pub(super) being_removed: BTreeSet<(MemberId, FlowId)>,
    scheduled: Option<Tick>,
}

/// Idle flows that are being removed from the disk.
#[derive(Debug, Default)]
pub(super) struct IdleBatch {
    /// They have been idle since before this time, in milliseconds of the uptime clock.
    before: u64,
    names: Vec<FlowNames>,
    /// Senders, flows and marks.
    flows: Vec<(MemberId, FlowId, FlowMarks)>,
    /// Read watermarks of flows that nothing else is known of, with their senders.
    orphan_reads: Vec<(MemberId, FlowId)>,
}

impl IdleFlows {
    /// Whether there are no flows, whose time passes by the uptime clock.
    pub(super) fn is_empty(&self) -> bool {
        self.scheduled.is_none()
    }
}

impl Relay {
    /// Starts the rounds: there is a flow or a read watermark.
    pub(super) fn watch_flows(&mut self, now: Tick) {
        if self.idle_flows.scheduled.is_none() {
            let at = now + self.round_every();
            self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
            self.keep_clock(now);
        }
    }

    /// Starts a round in the first turn, because flows were restored from disk.
    pub(super) fn find_idle_flows(&mut self) {
        self.deadlines.set(Timer::IdleFlows, Some(Tick::ZERO), &mut self.idle_flows.scheduled);
    }

    fn round_every(&self) -> Duration {
        (self.limits.keep / ROUNDS_A_KEEP).clamp(ROUND_EVERY_MIN, ROUND_EVERY_MAX)
    }

    /// Examines the next flows of this round.
    pub(super) fn handle_idle_flows_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.idle_flows.scheduled == Some(tick) {
            self.idle_flows.scheduled = None;
        }
        let kept_since = self.mailboxes.clock.now(now).checked_sub(self.limits.keep.as_millis() as u64);
        let mut steps = STEP_MAX;
        let mut batch = IdleBatch { before: kept_since.unwrap_or(0), ..IdleBatch::default() };
        while steps > 0 && self.idle_flows.member < self.member_states.len() {
            let member = MemberId(self.idle_flows.member);
            let looked_at = self.find_idle(member, steps, &mut batch);
            steps = steps.saturating_sub(looked_at + 1);
        }
        if !batch.names.is_empty() {
            let names = std::mem::take(&mut batch.names);
            self.persist(StoreContinuation::Pruned(Box::new(batch)), Record::Pruned(names), out);
        }
        let at = if self.idle_flows.member < self.member_states.len() {
            now + STEP_EVERY
        } else {
            self.idle_flows.member = 0;
            self.idle_flows.after = None;
            if !std::mem::take(&mut self.idle_flows.has_met_flow) {
                return;
            }
            now + self.round_every()
        };
        self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
        self.keep_clock(now);
    }

    /// Examines flows of one member, and moves to the next member after the last one. Returns the
    /// number examined.
    fn find_idle(&mut self, member: MemberId, count_max: usize, batch: &mut IdleBatch) -> usize {
        let round = &mut self.idle_flows;
        let sender_may_return = !self.directory.members.is_removed(member);
        let Some(flows) = self.member_states[member.0].flows.get_allocated_mut() else {
            return self.find_idle_orphan_reads(member, batch);
        };
        let IdleSearch { idle, last, examined } =
            flows.idle(round.after, count_max, batch.before, sender_may_return);
        round.has_met_flow |= last.is_some();
        for flow in idle {
            if self.has_letters(member, flow) || self.idle_flows.being_removed.contains(&(member, flow)) {
                continue;
            }
            let marks = self.member_states[member.0].flows.marks(flow);
            match (flow.to, marks) {
                (Destination::Member(to), Some(marks)) => {
                    batch.names.push(self.names_of(member, flow.outbox, to));
                    batch.flows.push((member, flow, marks));
                    self.idle_flows.being_removed.insert((member, flow));
                }
                // It has no row on disk.
                _ => self.member_states[member.0].flows.remove(flow),
            }
        }
        match last {
            Some(last) if examined >= count_max => {
                self.idle_flows.after = Some(last);
                examined
            }
            _ => examined + self.find_idle_orphan_reads(member, batch),
        }
    }

    /// Finds old read watermarks of a member for letters the relay does not know, and moves to the
    /// next member.
    fn find_idle_orphan_reads(&mut self, member: MemberId, batch: &mut IdleBatch) -> usize {
        self.idle_flows.member = member.0 + 1;
        self.idle_flows.after = None;
        let Some(orphan_reads) = self.member_states[member.0].orphan_reads.get_allocated_mut() else {
            return 0;
        };
        let looked_at = orphan_reads.len();
        self.idle_flows.has_met_flow |= looked_at > 0;
        let old: Vec<_> = orphan_reads
            .iter()
            .filter(|orphan_read| orphan_read.1.since < batch.before)
            .map(|orphan_read| *orphan_read.0)
            .collect();
        for (sender, outbox) in old {
            let flow = FlowId { outbox, to: Destination::Member(member) };
            if self.idle_flows.being_removed.insert((sender, flow)) {
                batch.names.push(self.names_of(sender, outbox, member));
                batch.orphan_reads.push((sender, flow));
            }
        }
        looked_at
    }

    /// Handles the removal of idle flows from the disk. If it failed, the next round finds them
    /// again.
    ///
    /// Removed flows leave memory, unless they were written in between. Flows that are not idle any
    /// more are written again.
    pub(super) fn handle_pruned(&mut self, batch: IdleBatch, durable: bool, out: &mut Out) {
        let IdleBatch { before, flows, orphan_reads, .. } = batch;
        for (sender, flow, marks) in flows {
            if !self.idle_flows.being_removed.remove(&(sender, flow)) || !durable {
                continue;
            }
            let sender_may_return = !self.directory.members.is_removed(sender);
            let flows = &self.member_states[sender.0].flows;
            let is_unchanged =
                flows.marks(flow) == Some(marks) && flows.is_idle(flow, before, sender_may_return);
            if is_unchanged && !self.has_letters(sender, flow) {
                self.member_states[sender.0].flows.remove(flow);
            } else {
                self.rewrite_flow(sender, flow, out);
            }
        }
        for (sender, flow) in orphan_reads {
            let Destination::Member(recipient) = flow.to else { continue };
            if !self.idle_flows.being_removed.remove(&(sender, flow)) || !durable {
                continue;
            }
            let orphan_reads = &mut self.member_states[recipient.0].orphan_reads;
            let key = (sender, flow.outbox);
            if orphan_reads.get(&key).is_some_and(|orphan_read| orphan_read.since < before) {
                orphan_reads.remove(&key);
            } else {
                self.rewrite_flow(sender, flow, out);
            }
        }
    }

    /// Writes a flow again that was removed from the disk.
    fn rewrite_flow(&mut self, sender: MemberId, flow: FlowId, out: &mut Out) {
        self.member_states[sender.0].flows.mark_unwritten(flow);
        self.write_flow(sender, flow, Vec::new(), out);
    }

    /// Whether the recipient's mailbox has letters of this sender.
    pub(super) fn has_letters(&self, sender: MemberId, flow: FlowId) -> bool {
        flow.to
            .member()
            .is_some_and(|to| self.member_states[to.0].mailbox.has_letters_of(Sender::Member(sender)))
    }

    fn names_of(&self, from: MemberId, outbox: crate::base::OutboxId, to: MemberId) -> FlowNames {
        FlowNames {
            from: self.directory.members.name(from).clone(),
            outbox,
            to: self.directory.members.name(to).clone(),
        }
    }
}
