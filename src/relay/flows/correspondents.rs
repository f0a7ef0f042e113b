//! Correspondents of a member: their names are the ones it may mistype.

use super::Flows;
use crate::relay::ids::MemberId;
use crate::relay::nearest_names::CORRESPONDENTS_MAX;

/// Remembered members that wrote to this one. A third: strangers may write under any number of
/// names, and must not evict members that this one has written to.
const WROTE_MAX: usize = CORRESPONDENTS_MAX / 3;
/// Remembered members that this one wrote to.
const WRITTEN_TO_MAX: usize = CORRESPONDENTS_MAX - WROTE_MAX;

/// The latest correspondents, ordered by their first letter.
#[derive(Debug, Default)]
pub(super) struct Correspondents {
    written_to: Vec<MemberId>,
    wrote: Vec<MemberId>,
}

impl Correspondents {
    pub(super) const EMPTY: Correspondents = Correspondents { written_to: Vec::new(), wrote: Vec::new() };

    pub(super) fn is_empty(&self) -> bool {
        self.written_to.is_empty() && self.wrote.is_empty()
    }

    /// Records that the member wrote to `member`.
    pub(super) fn note_written_to(&mut self, member: MemberId) {
        note(&mut self.written_to, member, WRITTEN_TO_MAX);
    }

    /// Records that `member` wrote to this one.
    pub(super) fn note_wrote(&mut self, member: MemberId) {
        note(&mut self.wrote, member, WROTE_MAX);
    }

    /// Returns all correspondents, the latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.written_to.iter().rev().chain(self.wrote.iter().rev()).copied()
    }
}

fn note(members: &mut Vec<MemberId>, member: MemberId, count_max: usize) {
    if members.contains(&member) {
        return;
    }
    if members.len() >= count_max {
        members.remove(0);
    }
    members.push(member);
}

impl Flows {
    /// Records the first letter of this member to `member`.
    pub(in crate::relay) fn note_written_to(&mut self, member: MemberId) {
        self.correspondents.note_written_to(member);
    }

    /// Records the first letter of `member` to this one.
    pub(in crate::relay) fn note_wrote(&mut self, member: MemberId) {
        self.correspondents.note_wrote(member);
    }

    /// Returns the member's correspondents, the latest first.
    pub(in crate::relay) fn correspondents(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.correspondents.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_evict_no_member_written_to() {
        let mut correspondents = Correspondents::default();
        for n in [7, 8, 7] {
            correspondents.note_written_to(MemberId(n));
        }
        (100..1_000).for_each(|n| correspondents.note_wrote(MemberId(n)));
        let members: Vec<MemberId> = correspondents.iter().collect();
        assert_eq!(members.len(), 2 + WROTE_MAX);
        assert_eq!(members[..3], [MemberId(8), MemberId(7), MemberId(999)]);
    }
}
