//! The relay's persistent state in a form that a test can compare with the state of a relay started
//! from that disk. Used by tests only.

use crate::base::{LetterId, Mark, Name, Tick};

use super::Relay;
use super::flows::To;
use super::members::MemberId;
use super::records::{FlowNames, KeptOutbox, Marks, OwedRefusal, SessionNote};

/// A relay's knowledge of its persistent state, without the letters themselves. Each list is sorted
/// by its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Members, except those being registered or freed.
    pub members: Vec<Name>,
    /// Block lists: the owner and the blocked names.
    pub blocks: Vec<(Name, Vec<Name>)>,
    /// Members with unused names, and the time of their registration, in milliseconds of the uptime
    /// clock.
    pub unused: Vec<(Name, u64)>,
    /// The last sign-in with each outbox.
    pub outboxes: Vec<KeptOutbox>,
    /// Marks that the disk must have with the same values. `since` and `mark` are 0, because they
    /// may change separately; `at_full_second` is `false`.
    pub marks: Vec<Marks>,
    /// Flows whose marks are in memory only, until the sender leaves or one of their letters leaves
    /// the disk.
    pub ahead: Vec<FlowNames>,
    /// Refusals that their senders have not acknowledged.
    pub refusals: Vec<OwedRefusal>,
    /// Session hints, except those of the previous process.
    pub sessions: Vec<SessionNote>,
    /// The uptime clock, in milliseconds.
    pub clock: u64,
    /// Number of failed records that were not submitted again.
    pub unwritten: usize,
}

impl Relay {
    /// Returns this relay's persistent state. Slow: for tests.
    pub fn known(&mut self, now: Tick) -> Known {
        let mut known =
            Known { clock: self.post.clock.now(now), unwritten: self.unwritten.len(), ..Known::default() };
        for member in (0..self.places.len()).map(MemberId) {
            if self.members.is_durable(member) {
                self.know_member(member, &mut known);
            }
            if self.members.is_durable(member) || self.members.is_removed(member) {
                self.know_flows(member, &mut known);
            }
        }
        for slot in self.sessions.all() {
            known.sessions.extend(self.sessions.get_mut(slot).and_then(|session| session.noted));
        }
        known.sessions.sort();
        known.marks.sort_by(|a, b| (&a.from, &a.to, a.outbox).cmp(&(&b.from, &b.to, b.outbox)));
        let id = |owed: &OwedRefusal| (owed.from.clone(), owed.to.clone(), owed.id.outbox, owed.id.number);
        known.refusals.sort_by_key(id);
        known.members.sort();
        known.blocks.sort();
        known.outboxes.sort_by(|a, b| (&a.member, a.outbox).cmp(&(&b.member, b.outbox)));
        known.unused.sort();
        known
    }

    fn know_member(&self, member: MemberId, known: &mut Known) {
        let name = self.members.name(member);
        let place = &self.places[member.0];
        known.members.push(name.clone());
        if !place.blocked.is_empty() {
            known.blocks.push((name.clone(), place.blocked.iter().cloned().collect()));
        }
        known.outboxes.extend(place.outboxes.kept(name));
        if let Some(since) = self.unused.since(member) {
            known.unused.push((name.clone(), since));
        }
    }

    fn know_flows(&self, author: MemberId, known: &mut Known) {
        let place = &self.places[author.0];
        let name = |member: MemberId| self.members.name(member).clone();
        let unread = |from, outbox, to| {
            let mark = Mark::default();
            Marks {
                from,
                outbox,
                to,
                accepted: 0,
                delivered: 0,
                read: 0,
                since: 0,
                mark,
                at_full_second: false,
            }
        };
        for (flow, marks, is_unwritten) in place.flows.all() {
            let To::Member(to) = flow.to else { continue };
            let from = name(author);
            let outbox = flow.outbox;
            let to = name(to);
            if is_unwritten {
                known.ahead.push(FlowNames { from, outbox, to });
            } else if (marks.accepted, marks.delivered, marks.read) != (0, 0, 0) {
                let super::flows::Marks { accepted, delivered, read, .. } = marks;
                known.marks.push(Marks { accepted, delivered, read, ..unread(from, outbox, to) });
            }
        }
        for ((from, outbox), claim) in place.claims.iter() {
            known.marks.push(Marks { read: claim.through, ..unread(name(*from), *outbox, name(author)) });
        }
        for (flow, number, (reason, may_have_arrived)) in place.flows.owed() {
            let To::Member(to) = flow.to else { continue };
            let id = LetterId { outbox: flow.outbox, number };
            let from = name(author);
            let to = name(to);
            known.refusals.push(OwedRefusal { from, to, id, reason, may_have_arrived });
        }
    }
}
