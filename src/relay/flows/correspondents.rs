//! Whom a member writes with: its correspondents are those whose names it mistypes.

use super::Flows;
use crate::relay::members::MemberId;
use crate::relay::nearest_names::CORRESPONDENTS_MAX;

/// Of those remembered, members that wrote to this one: strangers may write under as many names as
/// they like, and push out none of those that the member itself has written to.
const WROTE_MAX: usize = CORRESPONDENTS_MAX / 3;
/// Of those remembered, members that this one wrote to.
const WRITTEN_TO_MAX: usize = CORRESPONDENTS_MAX - WROTE_MAX;

/// The correspondents met last, by their first letter; a few bytes for each.
#[derive(Debug, Default)]
pub(super) struct Correspondents {
    written_to: Vec<MemberId>,
    wrote: Vec<MemberId>,
}

impl Correspondents {
    pub(super) const BLANK: Correspondents = Correspondents { written_to: Vec::new(), wrote: Vec::new() };

    pub(super) fn is_empty(&self) -> bool {
        self.written_to.is_empty() && self.wrote.is_empty()
    }

    /// The member wrote to this one.
    pub(super) fn note_written_to(&mut self, member: MemberId) {
        note(&mut self.written_to, member, WRITTEN_TO_MAX);
    }

    /// This one wrote to the member.
    pub(super) fn note_wrote(&mut self, member: MemberId) {
        note(&mut self.wrote, member, WROTE_MAX);
    }

    /// All of them, those met last first.
    pub(super) fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.written_to.iter().rev().chain(self.wrote.iter().rev()).copied()
    }
}

fn note(members: &mut Vec<MemberId>, member: MemberId, most: usize) {
    if members.contains(&member) {
        return;
    }
    if members.len() >= most {
        members.remove(0);
    }
    members.push(member);
}

impl Flows {
    /// The member wrote its first letter to this one.
    pub(in crate::relay) fn note_written_to(&mut self, member: MemberId) {
        self.correspondents.note_written_to(member);
    }

    /// This one wrote its first letter to the member.
    pub(in crate::relay) fn note_wrote(&mut self, member: MemberId) {
        self.correspondents.note_wrote(member);
    }

    /// Whom the member writes with, those met last first.
    pub(in crate::relay) fn correspondents(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.correspondents.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_push_out_nobody_that_was_written_to() {
        let mut correspondents = Correspondents::default();
        for n in [7, 8, 7] {
            correspondents.note_written_to(MemberId(n));
        }
        (100..1_000).for_each(|n| correspondents.note_wrote(MemberId(n)));
        let found: Vec<MemberId> = correspondents.iter().collect();
        assert_eq!(found.len(), 2 + WROTE_MAX);
        assert_eq!(found[..3], [MemberId(8), MemberId(7), MemberId(999)]);
    }
}
