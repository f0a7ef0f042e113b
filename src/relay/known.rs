//! What the relay knows and has, or is to have, on its disk, in a form that a test can compare:
//! with what a relay knows that starts from that disk. Nothing else asks for it.

use crate::base::{LetterId, Mark, Name, Tick};

use super::Relay;
use super::flows::To;
use super::members::MemberId;
use super::records::{FlowNames, KeptOutbox, Marks, OwedRefusal, SessionNote};

/// What a relay knows of what its disk keeps, the letters themselves apart. Each list is in the
/// order of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Members, those that are being registered or freed apart.
    pub members: Vec<Name>,
    /// Who refuses letters from whom.
    pub blocks: Vec<(Name, Vec<Name>)>,
    /// Members whose names are unused, and when each registered, on the relay's own clock, in
    /// milliseconds.
    pub unused: Vec<(Name, u64)>,
    /// The last sign-in with each outbox.
    pub outboxes: Vec<KeptOutbox>,
    /// How far letters have come that the disk is to have as they are here. `since` and `mark` are
    /// 0: they may move alone; and nothing is said of full seconds.
    pub marks: Vec<Marks>,
    /// Conversations whose marks are in memory only, until the author leaves or a letter of them
    /// leaves the disk.
    pub ahead: Vec<FlowNames>,
    /// Refusals whose authors have not heard of them.
    pub refusals: Vec<OwedRefusal>,
    /// Where sessions are, those of the relay before this one apart.
    pub sessions: Vec<SessionNote>,
    /// The relay's own clock, in milliseconds.
    pub clock: u64,
    /// Records that failed and have not been handed over again.
    pub unwritten: usize,
}

impl Relay {
    /// Returns what this relay knows of what its disk keeps. Slow: for tests.
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
        let (name, place) = (self.members.name(member), &self.places[member.0]);
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
            let (accepted, delivered, read, since, mark) = (0, 0, 0, 0, Mark::default());
            Marks { from, outbox, to, accepted, delivered, read, since, mark, at_full_second: false }
        };
        for (flow, marks, is_unwritten) in place.flows.all() {
            let To::Member(to) = flow.to else { continue };
            let (from, outbox, to) = (name(author), flow.outbox, name(to));
            if is_unwritten {
                known.ahead.push(FlowNames { from, outbox, to });
            } else if (marks.accepted, marks.delivered, marks.read) != (0, 0, 0) {
                let super::flows::Marks { accepted, delivered, read, .. } = marks;
                known.marks.push(Marks { accepted, delivered, read, ..unread(from, outbox, to) });
            }
        }
        for ((from, outbox), claim) in place.claims.iter() {
            let (from, outbox, to) = (name(*from), *outbox, name(author));
            known.marks.push(Marks { read: claim.through, ..unread(from, outbox, to) });
        }
        for (flow, number, (reason, may_have_arrived)) in place.flows.owed() {
            let To::Member(to) = flow.to else { continue };
            let id = LetterId { outbox: flow.outbox, number };
            let (from, to) = (name(author), name(to));
            known.refusals.push(OwedRefusal { from, to, id, reason, may_have_arrived });
        }
    }
}
