//! Flows that have come to rest: after `--keep` they leave memory and disk.
//!
//! A flow rests if none of its letters waits, no refusal is owed for it, and its author has heard of its marks. Then nothing
//! depends on what the relay knows of it: a letter that comes again is known to its reader as one it has, and a question is
//! answered with nothing. What the author has not heard stays, because a receipt that passed a refusal would call the refused
//! letter delivered. What a reader said of letters that the relay knows nothing of leaves after the same time.
//!
//! All members are looked at in turn, a bounded number of flows in one turn of the loop.

use std::time::Duration;

use crate::base::{Effect, Tick};

use super::flows::{FlowId, To};
use super::members::MemberId;
use super::queue::Author;
use super::records::{FlowNames, Record};
use super::{Out, Relay, Timer};

/// Members and flows looked at in one turn; the next ones after [`STEP_EVERY`]. About 20 µs.
const STEP_MAX: usize = 256;
/// Lets other inputs in between: 100,000 flows take four seconds.
const STEP_EVERY: Duration = Duration::from_millis(10);
/// Between two rounds: a part of the time that flows are kept, so that few stay for much longer.
const ROUNDS_A_KEEP: u32 = 16;
/// Bounds of it: an idle relay is not woken for this more often than each minute, and what is due is gone within a day.
const ROUND_EVERY_MIN: Duration = Duration::from_secs(60);
const ROUND_EVERY_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How far the present round is.
#[derive(Debug, Default)]
pub(super) struct IdleFlows {
    member: usize,
    after: Option<FlowId>,
    /// Whether the round has met a flow or what was said of one.
    met: bool,
    scheduled: Option<Tick>,
}

impl IdleFlows {
    /// Whether there may be flows, whose time passes by the relay's own clock.
    pub(super) fn is_empty(&self) -> bool {
        self.scheduled.is_none()
    }
}

impl Relay {
    /// There is a flow, or something was said of one.
    pub(super) fn watch_flows(&mut self, now: Tick) {
        if self.idle_flows.scheduled.is_none() {
            let at = now + self.round_every();
            self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
            self.keep_clock(now);
        }
    }

    /// The disk had flows when the relay started: the first turn looks for those that rest.
    pub(super) fn find_idle_flows(&mut self) {
        self.deadlines.set(Timer::IdleFlows, Some(Tick::ZERO), &mut self.idle_flows.scheduled);
    }

    fn round_every(&self) -> Duration {
        (self.limits.keep / ROUNDS_A_KEEP).clamp(ROUND_EVERY_MIN, ROUND_EVERY_MAX)
    }

    /// Looks at the next flows of this round.
    pub(super) fn handle_idle_flows_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.idle_flows.scheduled == Some(tick) {
            self.idle_flows.scheduled = None;
        }
        let kept_since = self.post.clock.now(now).checked_sub(self.limits.keep.as_millis() as u64);
        let (mut steps, mut gone) = (STEP_MAX, Vec::new());
        while steps > 0 && self.idle_flows.member < self.places.len() {
            let member = MemberId(self.idle_flows.member);
            let looked_at = self.forget_idle(member, kept_since.unwrap_or(0), steps, &mut gone);
            steps = steps.saturating_sub(looked_at + 1);
        }
        if !gone.is_empty() {
            out.effects.push(Effect::Persist(self.tickets.idle(), Record::Rested(gone)));
        }
        let at = if self.idle_flows.member < self.places.len() {
            now + STEP_EVERY
        } else {
            (self.idle_flows.member, self.idle_flows.after) = (0, None);
            if !std::mem::take(&mut self.idle_flows.met) {
                return;
            }
            now + self.round_every()
        };
        self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
        self.keep_clock(now);
    }

    /// Looks at flows of one member, and goes on to the next member when all were looked at; how many they were.
    fn forget_idle(
        &mut self,
        member: MemberId,
        before: u64,
        most: usize,
        gone: &mut Vec<FlowNames>,
    ) -> usize {
        let round = &mut self.idle_flows;
        let may_hear = !self.members.is_removed(member);
        let Some(flows) = self.places[member.0].flows.there() else {
            return self.forget_claims(member, before, gone);
        };
        let (idle, last) = flows.idle(round.after, most, before, may_hear);
        round.met |= last.is_some();
        let looked_at = last.map_or(0, |(_, count)| count);
        for flow in idle {
            if self.has_letters(member, flow) {
                continue;
            }
            self.places[member.0].flows.drop_idle(flow);
            if let To::Member(to) = flow.to {
                gone.push(self.names_of(member, flow.outbox, to));
            }
        }
        match last {
            Some((last, count)) if count >= most => {
                self.idle_flows.after = Some(last);
                looked_at
            }
            _ => looked_at + self.forget_claims(member, before, gone),
        }
    }

    /// Drops what a member said long ago of letters that nothing is known of, and goes on to the next member.
    fn forget_claims(&mut self, member: MemberId, before: u64, gone: &mut Vec<FlowNames>) -> usize {
        (self.idle_flows.member, self.idle_flows.after) = (member.0 + 1, None);
        let Some(claims) = self.places[member.0].claims.there() else { return 0 };
        let looked_at = claims.len();
        self.idle_flows.met |= looked_at > 0;
        let old: Vec<_> =
            claims.iter().filter(|claim| claim.1.since < before).map(|claim| *claim.0).collect();
        for (author, outbox) in old {
            self.places[member.0].claims.remove(&(author, outbox));
            gone.push(self.names_of(author, outbox, member));
        }
        looked_at
    }

    /// Whether the recipient's mailbox has letters of this author.
    pub(super) fn has_letters(&self, author: MemberId, flow: FlowId) -> bool {
        flow.to.member().is_some_and(|to| self.places[to.0].queue.has_letters_of(Author::Member(author)))
    }

    fn names_of(&self, from: MemberId, outbox: crate::base::OutboxId, to: MemberId) -> FlowNames {
        FlowNames { from: self.members.name(from).clone(), outbox, to: self.members.name(to).clone() }
    }
}
