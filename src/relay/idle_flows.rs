//! Idle flows: removed from memory and disk after the retention time.
//!
//! A flow is idle if none of its letters waits, no refusal is pending for it, and its sender has
//! received its marks. Then nothing depends on it: the recipient recognizes a repeated letter, and
//! a query is not answered. Flows with news for the sender stay, because a later receipt that
//! covers a refused letter would report it as delivered. Read marks for letters that the relay does
//! not know are removed after the same time.
//!
//! Members are examined in turn, a bounded number of flows in each turn of the loop. An idle flow
//! leaves memory once it has left the disk. If it is active again by then, it is persisted again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Tick;

use super::flows::{FlowId, Marks, To};
use super::mailbox::Wait;
use super::members::MemberId;
use super::queue::Author;
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
    /// Whether the round has found a flow or a read mark.
    met: bool,
    /// Flows that are being removed from the disk and were not written since.
    pub(super) leaving: BTreeSet<(MemberId, FlowId)>,
    scheduled: Option<Tick>,
}

/// Idle flows that are being removed from the disk.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// They have been idle since before this time, in milliseconds of the uptime clock.
    before: u64,
    names: Vec<FlowNames>,
    /// Senders, flows and marks.
    flows: Vec<(MemberId, FlowId, Marks)>,
    /// Read marks of flows that nothing else is known of, with their senders.
    claims: Vec<(MemberId, FlowId)>,
}

impl IdleFlows {
    /// Whether there are no flows, whose time passes by the uptime clock.
    pub(super) fn is_empty(&self) -> bool {
        self.scheduled.is_none()
    }
}

impl Relay {
    /// Starts the rounds: there is a flow or a read mark.
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
        let kept_since = self.post.clock.now(now).checked_sub(self.limits.keep.as_millis() as u64);
        let mut steps = STEP_MAX;
        let mut gone = Resting { before: kept_since.unwrap_or(0), ..Resting::default() };
        while steps > 0 && self.idle_flows.member < self.places.len() {
            let member = MemberId(self.idle_flows.member);
            let looked_at = self.find_idle(member, steps, &mut gone);
            steps = steps.saturating_sub(looked_at + 1);
        }
        if !gone.names.is_empty() {
            let names = std::mem::take(&mut gone.names);
            self.persist(Wait::Rested(Box::new(gone)), Record::Rested(names), out);
        }
        let at = if self.idle_flows.member < self.places.len() {
            now + STEP_EVERY
        } else {
            self.idle_flows.member = 0;
            self.idle_flows.after = None;
            if !std::mem::take(&mut self.idle_flows.met) {
                return;
            }
            now + self.round_every()
        };
        self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
        self.keep_clock(now);
    }

    /// Examines flows of one member, and moves to the next member after the last one. Returns the
    /// number examined.
    fn find_idle(&mut self, member: MemberId, most: usize, gone: &mut Resting) -> usize {
        let round = &mut self.idle_flows;
        let may_hear = !self.members.is_removed(member);
        let Some(flows) = self.places[member.0].flows.there() else {
            return self.find_idle_claims(member, gone);
        };
        let (idle, last) = flows.idle(round.after, most, gone.before, may_hear);
        round.met |= last.is_some();
        let looked_at = last.map_or(0, |(_, count)| count);
        for flow in idle {
            if self.has_letters(member, flow) || self.idle_flows.leaving.contains(&(member, flow)) {
                continue;
            }
            let marks = self.places[member.0].flows.marks(flow);
            match (flow.to, marks) {
                (To::Member(to), Some(marks)) => {
                    gone.names.push(self.names_of(member, flow.outbox, to));
                    gone.flows.push((member, flow, marks));
                    self.idle_flows.leaving.insert((member, flow));
                }
                // It has no row on disk.
                _ => self.places[member.0].flows.drop_idle(flow),
            }
        }
        match last {
            Some((last, count)) if count >= most => {
                self.idle_flows.after = Some(last);
                looked_at
            }
            _ => looked_at + self.find_idle_claims(member, gone),
        }
    }

    /// Finds old read marks of a member for letters the relay does not know, and moves to the next
    /// member.
    fn find_idle_claims(&mut self, member: MemberId, gone: &mut Resting) -> usize {
        self.idle_flows.member = member.0 + 1;
        self.idle_flows.after = None;
        let Some(claims) = self.places[member.0].claims.there() else { return 0 };
        let looked_at = claims.len();
        self.idle_flows.met |= looked_at > 0;
        let old: Vec<_> =
            claims.iter().filter(|claim| claim.1.since < gone.before).map(|claim| *claim.0).collect();
        for (author, outbox) in old {
            let flow = FlowId { outbox, to: To::Member(member) };
            if self.idle_flows.leaving.insert((author, flow)) {
                gone.names.push(self.names_of(author, outbox, member));
                gone.claims.push((author, flow));
            }
        }
        looked_at
    }

    /// Handles the removal of idle flows from the disk. If it failed, the next round finds them
    /// again.
    ///
    /// Removed flows leave memory, unless they were written in between. Flows that are not idle any
    /// more are written again.
    pub(super) fn handle_rested(&mut self, resting: Resting, durable: bool, out: &mut Out) {
        let Resting { before, flows, claims, .. } = resting;
        for (author, flow, marks) in flows {
            if !self.idle_flows.leaving.remove(&(author, flow)) || !durable {
                continue;
            }
            let may_hear = !self.members.is_removed(author);
            let flows = &self.places[author.0].flows;
            let rests = flows.marks(flow) == Some(marks) && flows.rests(flow, before, may_hear);
            if rests && !self.has_letters(author, flow) {
                self.places[author.0].flows.drop_idle(flow);
            } else {
                self.write_anew(author, flow, out);
            }
        }
        for (author, flow) in claims {
            let To::Member(reader) = flow.to else { continue };
            if !self.idle_flows.leaving.remove(&(author, flow)) || !durable {
                continue;
            }
            let claims = &mut self.places[reader.0].claims;
            let key = (author, flow.outbox);
            if claims.get(&key).is_some_and(|claim| claim.since < before) {
                claims.remove(&key);
            } else {
                self.write_anew(author, flow, out);
            }
        }
    }

    /// Writes a flow again that was removed from the disk.
    fn write_anew(&mut self, author: MemberId, flow: FlowId, out: &mut Out) {
        self.places[author.0].flows.not_written(flow);
        self.write_flow(author, flow, Vec::new(), out);
    }

    /// Whether the recipient's mailbox has letters of this sender.
    pub(super) fn has_letters(&self, author: MemberId, flow: FlowId) -> bool {
        flow.to.member().is_some_and(|to| self.places[to.0].queue.has_letters_of(Author::Member(author)))
    }

    fn names_of(&self, from: MemberId, outbox: crate::base::OutboxId, to: MemberId) -> FlowNames {
        FlowNames { from: self.members.name(from).clone(), outbox, to: self.members.name(to).clone() }
    }
}
