//! The relay's persistent state in a form that a test can compare with the state of a relay started
//! from that disk. Used by tests only.

use crate::base::{LetterId, Mark, Name, Tick, Watermarks};

use super::Relay;
use super::flows::Refusal;
use super::ids::{Destination, MemberId};
use super::membership::SenderLists;
use super::records::{FlowNames, PendingRefusal, PersistedFlow, PersistedOutbox, SessionHint};

/// A relay's knowledge of its persistent state, without the letters themselves. Each list is sorted
/// by its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelaySnapshot {
    /// Members, except those being registered or freed.
    pub members: Vec<Name>,
    /// Block lists and allow lists, with their owners.
    pub lists: Vec<(Name, SenderLists)>,
    /// Members with unused names, and the time of their registration, in milliseconds of the uptime
    /// clock.
    pub unused: Vec<(Name, u64)>,
    /// The last sign-in with each outbox.
    pub outboxes: Vec<PersistedOutbox>,
    /// Watermarks that the disk must have with the same values. `since` and `mark` are 0, because
    /// they may change separately; `at_full_second` is `false`.
    pub flows: Vec<PersistedFlow>,
    /// Flows whose watermarks are in memory only, until the sender leaves or one of their letters
    /// leaves the disk.
    pub ahead: Vec<FlowNames>,
    /// Refusals that their senders have not acknowledged.
    pub refusals: Vec<PendingRefusal>,
    /// Session hints, except those of the previous process.
    pub sessions: Vec<SessionHint>,
    /// The uptime clock, in milliseconds.
    pub clock: u64,
    /// Number of failed records that were not submitted again.
    pub unwritten: usize,
}

impl Relay {
    /// Returns this relay's persistent state. Slow: for tests.
    pub fn snapshot(&mut self, now: Tick) -> RelaySnapshot {
        let mut snapshot = RelaySnapshot {
            clock: self.mailboxes.clock.now(now),
            unwritten: self.unwritten.len(),
            ..RelaySnapshot::default()
        };
        for member in (0..self.member_states.len()).map(MemberId) {
            if self.directory.members.is_durable(member) {
                self.snapshot_member(member, &mut snapshot);
            }
            if self.directory.members.is_durable(member) || self.directory.members.is_removed(member) {
                self.snapshot_flows(member, &mut snapshot);
            }
        }
        for slot in self.sessions.all() {
            snapshot.sessions.extend(self.sessions.get_mut(slot).and_then(|session| session.stored_hint));
        }
        snapshot.sessions.sort();
        snapshot.flows.sort_by(|a, b| (&a.from, &a.to, a.outbox).cmp(&(&b.from, &b.to, b.outbox)));
        let id = |refusal: &PendingRefusal| {
            (refusal.from.clone(), refusal.to.clone(), refusal.id.outbox, refusal.id.number)
        };
        snapshot.refusals.sort_by_key(id);
        snapshot.members.sort();
        snapshot.lists.sort();
        snapshot.outboxes.sort_by(|a, b| (&a.member, a.outbox).cmp(&(&b.member, b.outbox)));
        snapshot.unused.sort();
        snapshot
    }

    fn snapshot_member(&self, member: MemberId, snapshot: &mut RelaySnapshot) {
        let name = self.directory.members.name(member);
        let state = &self.member_states[member.0];
        snapshot.members.push(name.clone());
        if !state.lists.is_empty() {
            snapshot.lists.push((name.clone(), (*state.lists).clone()));
        }
        snapshot.outboxes.extend(state.outboxes.persisted(name));
        if let Some(since) = self.unused.since(member) {
            snapshot.unused.push((name.clone(), since));
        }
    }

    fn snapshot_flows(&self, sender: MemberId, snapshot: &mut RelaySnapshot) {
        let state = &self.member_states[sender.0];
        let name = |member: MemberId| self.directory.members.name(member).clone();
        let unread = |from, outbox, to| {
            let mark = Mark::default();
            PersistedFlow {
                from,
                outbox,
                to,
                watermarks: Watermarks::default(),
                since: 0,
                mark,
                at_full_second: false,
            }
        };
        for (flow, watermarks, is_unwritten) in state.flows.all() {
            let Destination::Member(to) = flow.to else { continue };
            let from = name(sender);
            let outbox = flow.outbox;
            let to = name(to);
            if is_unwritten {
                snapshot.ahead.push(FlowNames { from, outbox, to });
            } else if watermarks != Watermarks::default() {
                snapshot.flows.push(PersistedFlow { watermarks, ..unread(from, outbox, to) });
            }
        }
        for ((from, outbox), orphan_read) in state.orphan_reads.iter() {
            snapshot.flows.push(PersistedFlow {
                watermarks: Watermarks { read: orphan_read.through, ..Watermarks::default() },
                ..unread(name(*from), *outbox, name(sender))
            });
        }
        for (flow, number, refusal) in state.flows.pending_refusals() {
            let Destination::Member(to) = flow.to else { continue };
            let id = LetterId { outbox: flow.outbox, number };
            let from = name(sender);
            let to = name(to);
            let Refusal { reason, may_have_arrived, mark } = refusal;
            snapshot.refusals.push(PendingRefusal { from, to, id, reason, may_have_arrived, mark });
        }
    }
}
