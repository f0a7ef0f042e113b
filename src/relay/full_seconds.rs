//! Deliveries that are reported to their senders at full seconds of the uptime clock.
//!
//! A recipient requests it if it does not know the sender. Otherwise a stranger could measure the
//! arrival of a letter to the millisecond, and infer distance and network of the recipient. One
//! timer serves all flows, and each flow waits once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Tick;

use super::ids::{FlowId, MemberId};
use super::mailbox::StoredResult;
use super::{Out, Relay, Timer};

const SECOND: Duration = Duration::from_secs(1);
/// Flows reported at once, each perhaps with a packet; the next after [`REPORT_INTERVAL`]. 256:
/// 25,600 a second, and no turn is long.
const REPORTS_PER_TURN_MAX: usize = 256;
/// Pause between two such batches, which lets other inputs in.
const REPORT_INTERVAL: Duration = Duration::from_millis(10);

/// Flows that wait for a full second.
#[derive(Debug, Default)]
pub(super) struct FullSeconds {
    /// Due time, sender and flow, ordered by time. Some no longer wait.
    waiting: VecDeque<(Tick, MemberId, FlowId)>,
    /// Flows held back by the previous process: they wait for the first full second.
    restored: Vec<(MemberId, FlowId)>,
    scheduled: Option<Tick>,
}

impl Relay {
    /// Returns the number of flows that wait for a full second.
    pub fn held_back_count(&self) -> usize {
        self.full_seconds.waiting.len()
    }

    /// Records a delivery that is reported at the next full second, because the recipient does not
    /// know the sender.
    pub(super) fn report_at_full_second(
        &mut self,
        now: Tick,
        sender: MemberId,
        flow: FlowId,
        stored: StoredResult,
        out: &mut Out,
    ) {
        let report_at = next_full_second(now);
        if self.member_states[sender.0].flows.hold_back_delivered(flow, stored.highest_number, now, report_at)
        {
            self.wait_for_second(report_at, sender, flow);
        }
        self.write_watermarks(sender, flow, stored.seqs, out);
    }

    fn wait_for_second(&mut self, report_at: Tick, sender: MemberId, flow: FlowId) {
        let FullSeconds { waiting, scheduled, .. } = &mut self.full_seconds;
        waiting.push_back((report_at, sender, flow));
        self.deadlines.set(Timer::FullSecond, Some(report_at), scheduled);
    }

    /// Restores a flow that the previous process had not fully reported.
    pub(super) fn restore_held_back(&mut self, sender: MemberId, flow: FlowId) {
        self.member_states[sender.0].flows.restore_held_back(flow);
        self.full_seconds.restored.push((sender, flow));
        self.deadlines.set(Timer::FullSecond, Some(Tick::ZERO), &mut self.full_seconds.scheduled);
    }

    /// Records that the disk has letters of this flow, through this number.
    pub(super) fn report_accepted(&mut self, sender: MemberId, flow: FlowId, number: u64) {
        if self.member_states[sender.0].flows.mark_held_back_durable(flow, number) {
            self.mark_sender_session(sender);
        }
    }

    /// Reports the flows whose full second has come.
    pub(super) fn handle_full_second(&mut self, now: Tick, tick: Tick) {
        if self.full_seconds.scheduled == Some(tick) {
            self.full_seconds.scheduled = None;
        }
        let first = next_full_second(now);
        for (sender, flow) in std::mem::take(&mut self.full_seconds.restored) {
            self.member_states[sender.0].flows.hold_back_until(flow, first);
            self.wait_for_second(first, sender, flow);
        }
        for _ in 0..REPORTS_PER_TURN_MAX {
            let Some((report_at, sender, flow)) = self.full_seconds.waiting.pop_front() else { break };
            if report_at > now {
                self.full_seconds.waiting.push_front((report_at, sender, flow));
                break;
            }
            if self.member_states[sender.0].flows.report_held_back(flow, now) {
                self.mark_sender_session(sender);
            }
        }
        let after = |report_at: Tick| if report_at > now { report_at } else { now + REPORT_INTERVAL };
        let next = self.full_seconds.waiting.front().map(|next| after(next.0));
        self.deadlines.set(Timer::FullSecond, next, &mut self.full_seconds.scheduled);
    }

    fn mark_sender_session(&mut self, sender: MemberId) {
        if let Some(slot) = self.member_states[sender.0].session {
            self.sessions.mark(slot);
        }
    }
}

/// Returns the first full second after `now`.
fn next_full_second(now: Tick) -> Tick {
    (now + Duration::from_micros(1)).rounded_up(SECOND)
}
