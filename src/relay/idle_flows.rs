//! Flows that have come to rest: after `--keep` they leave memory and disk.
//!
//! A flow rests if none of its letters waits, no refusal is owed for it, and its author has heard
//! of its marks. Then nothing depends on what the relay knows of it: a letter that comes again is
//! known to its reader as one it has, and a question is answered with nothing. What the author has
//! not heard stays, because a receipt that passed a refusal would call the refused letter
//! delivered. What a reader said of letters that the relay knows nothing of leaves after the same
//! time.
//!
//! All members are looked at in turn, a bounded number of flows in one turn of the loop. What rests
//! leaves memory when it has left the disk; if it has come to life again by then, the disk is told
//! of it again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Tick;

use super::flows::{FlowId, Marks, To};
use super::mailbox::Wait;
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
/// Bounds of it: an idle relay is not woken for this more often than each minute, and what is due
/// is gone within a day.
const ROUND_EVERY_MIN: Duration = Duration::from_secs(60);
const ROUND_EVERY_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How far the present round is.
#[derive(Debug, Default)]
pub(super) struct IdleFlows {
    member: usize,
    after: Option<FlowId>,
    /// Whether the round has met a flow or what was said of one.
    met: bool,
    /// What is being taken off the disk and was not written since.
    pub(super) leaving: BTreeSet<(MemberId, FlowId)>,
    scheduled: Option<Tick>,
}

/// What rests and is being taken off the disk.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// Nothing was heard of it since, on the relay's own clock, in milliseconds.
    before: u64,
    names: Vec<FlowNames>,
    /// Flows and their marks, by author.
    flows: Vec<(MemberId, FlowId, Marks)>,
    /// What readers said of flows that nothing else is known of, by author.
    claims: Vec<(MemberId, FlowId)>,
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
        let (mut steps, mut gone) =
            (STEP_MAX, Resting { before: kept_since.unwrap_or(0), ..Resting::default() });
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
            (self.idle_flows.member, self.idle_flows.after) = (0, None);
            if !std::mem::take(&mut self.idle_flows.met) {
                return;
            }
            now + self.round_every()
        };
        self.deadlines.set(Timer::IdleFlows, Some(at), &mut self.idle_flows.scheduled);
        self.keep_clock(now);
    }

    /// Looks at flows of one member, and moves to the next member when all were looked at. Returns
    /// how many were.
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
                // The disk knows nothing of it.
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

    /// Finds what a member said long ago of letters that nothing is known of, and moves to the next
    /// member.
    fn find_idle_claims(&mut self, member: MemberId, gone: &mut Resting) -> usize {
        (self.idle_flows.member, self.idle_flows.after) = (member.0 + 1, None);
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

    /// The disk has forgotten these, or keeps them until the next round finds them. What it has
    /// forgotten leaves memory, unless it was written again in between; what rests no more is
    /// written again now.
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
            let (claims, key) = (&mut self.places[reader.0].claims, (author, flow.outbox));
            if claims.get(&key).is_some_and(|claim| claim.since < before) {
                claims.remove(&key);
            } else {
                self.write_anew(author, flow, out);
            }
        }
    }

    /// The disk has forgotten what memory knows of a flow.
    fn write_anew(&mut self, author: MemberId, flow: FlowId, out: &mut Out) {
        self.places[author.0].flows.not_written(flow);
        self.write_flow(author, flow, Vec::new(), out);
    }

    /// Whether the recipient's mailbox has letters of this author.
    pub(super) fn has_letters(&self, author: MemberId, flow: FlowId) -> bool {
        flow.to.member().is_some_and(|to| self.places[to.0].queue.has_letters_of(Author::Member(author)))
    }

    fn names_of(&self, from: MemberId, outbox: crate::base::OutboxId, to: MemberId) -> FlowNames {
        FlowNames { from: self.members.name(from).clone(), outbox, to: self.members.name(to).clone() }
    }
}
