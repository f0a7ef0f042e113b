//! Deliveries that are reported to their senders at full seconds of the uptime clock.
//!
//! A recipient requests it if it does not know the sender. Otherwise a stranger could measure the
//! arrival of a letter to the millisecond, and infer distance and network of the recipient. One
//! timer serves all flows, and each flow waits once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Tick;

use super::flows::FlowId;
use super::members::MemberId;
use super::queue::Stored;
use super::{Out, Relay, Timer};

const SECOND: Duration = Duration::from_secs(1);
/// Flows reported at once, each perhaps with a packet; the next after [`TELL_NEXT`]. 256: 25,600 a
/// second, and no turn is long.
const TOLD_AT_ONCE_MAX: usize = 256;
/// Pause between two such batches, which lets other inputs in.
const TELL_NEXT: Duration = Duration::from_millis(10);

/// Flows that wait for a full second.
#[derive(Debug, Default)]
pub(super) struct FullSeconds {
    /// Due time, sender and flow, ordered by time. Some no longer wait.
    waiting: VecDeque<(Tick, MemberId, FlowId)>,
    /// Flows held back by the previous process: they wait for the first full second.
    found: Vec<(MemberId, FlowId)>,
    scheduled: Option<Tick>,
}

impl Relay {
    /// Returns the number of flows that wait for a full second.
    pub fn held_back_count(&self) -> usize {
        self.full_seconds.waiting.len()
    }

    /// Records a delivery that is reported at the next full second, because the recipient does not
    /// know the sender.
    pub(super) fn tell_at_full_second(
        &mut self,
        now: Tick,
        author: MemberId,
        flow: FlowId,
        stored: Stored,
        out: &mut Out,
    ) {
        let due = next_full_second(now);
        if self.places[author.0].flows.delivered_held_back(flow, stored.number, now, due) {
            self.wait_for_second(due, author, flow);
        }
        self.write_marks(author, flow, stored.places, out);
    }

    fn wait_for_second(&mut self, due: Tick, author: MemberId, flow: FlowId) {
        let FullSeconds { waiting, scheduled, .. } = &mut self.full_seconds;
        waiting.push_back((due, author, flow));
        self.deadlines.set(Timer::FullSecond, Some(due), scheduled);
    }

    /// Restores a flow that the previous process had not fully reported.
    pub(super) fn found_held_back(&mut self, author: MemberId, flow: FlowId) {
        self.places[author.0].flows.found_held_back(flow);
        self.full_seconds.found.push((author, flow));
        self.deadlines.set(Timer::FullSecond, Some(Tick::ZERO), &mut self.full_seconds.scheduled);
    }

    /// Records that the disk has letters of this flow, through this number.
    pub(super) fn tell_accepted(&mut self, author: MemberId, flow: FlowId, number: u64) {
        if self.places[author.0].flows.kept_held_back(flow, number) {
            self.mark_author(author);
        }
    }

    /// Reports the flows whose full second has come.
    pub(super) fn handle_full_second(&mut self, now: Tick, tick: Tick) {
        if self.full_seconds.scheduled == Some(tick) {
            self.full_seconds.scheduled = None;
        }
        let first = next_full_second(now);
        for (author, flow) in std::mem::take(&mut self.full_seconds.found) {
            self.places[author.0].flows.hold_back_until(flow, first);
            self.wait_for_second(first, author, flow);
        }
        for _ in 0..TOLD_AT_ONCE_MAX {
            let Some((due, author, flow)) = self.full_seconds.waiting.pop_front() else { break };
            if due > now {
                self.full_seconds.waiting.push_front((due, author, flow));
                break;
            }
            if self.places[author.0].flows.tell_held_back(flow, now) {
                self.mark_author(author);
            }
        }
        let after = |due: Tick| if due > now { due } else { now + TELL_NEXT };
        let next = self.full_seconds.waiting.front().map(|next| after(next.0));
        self.deadlines.set(Timer::FullSecond, next, &mut self.full_seconds.scheduled);
    }

    fn mark_author(&mut self, author: MemberId) {
        if let Some(slot) = self.places[author.0].session {
            self.sessions.mark(slot);
        }
    }
}

/// Returns the first full second after `now`.
fn next_full_second(now: Tick) -> Tick {
    (now + Duration::from_micros(1)).rounded_up(SECOND)
}
