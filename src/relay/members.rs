//! Who is who at this relay: names and the keys that own them.

use std::collections::BTreeMap;

use crate::base::{Name, PublicKey};
use crate::wire::message::NameReason;

/// One member, for as long as the relay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(pub(super) usize);

/// What a claim to a name comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The key owns the name already.
    Owned(MemberId),
    /// The name is free, and now kept for this key; it has to be made durable before anybody is told.
    New(MemberId),
    /// The same claim is being made durable.
    Waiting(MemberId),
    /// It may not have the name.
    Refused(NameReason, Option<Name>),
}

#[derive(Debug)]
struct Member {
    name: Name,
    key: PublicKey,
    durable: bool,
}

/// The members, in the order they came.
///
/// Invariant: each name, each skeleton and each key stands for at most one member.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: Vec<Member>,
    by_name: BTreeMap<Name, MemberId>,
    by_key: BTreeMap<PublicKey, MemberId>,
    by_skeleton: BTreeMap<String, MemberId>,
    /// Places of members that never became durable, so that nothing outside refers to them.
    spare: Vec<MemberId>,
}

impl Members {
    /// The members as the disk has them.
    pub(super) fn new(known: Vec<(Name, PublicKey)>) -> Members {
        let mut members = Members::default();
        for (name, key) in known {
            members.insert(name, key, true);
        }
        members
    }

    /// A key claims a name.
    pub(super) fn claim(&mut self, name: &str, key: PublicKey) -> Claim {
        let Ok(name) = name.parse::<Name>() else {
            return Claim::Refused(NameReason::Bad, None);
        };
        if let Some(&id) = self.by_name.get(&name) {
            let member = &self.members[id.0];
            return match (member.key == key, member.durable) {
                (true, true) => Claim::Owned(id),
                (true, false) => Claim::Waiting(id),
                (false, _) => Claim::Refused(NameReason::Taken, Some(name)),
            };
        }
        if name.is_reserved() {
            return Claim::Refused(NameReason::Reserved, Some(name));
        }
        if let Some(&id) = self.by_key.get(&key) {
            return Claim::Refused(NameReason::Other, Some(self.members[id.0].name.clone()));
        }
        if let Some(&id) = self.by_skeleton.get(&name.skeleton()) {
            return Claim::Refused(NameReason::Confusable, Some(self.members[id.0].name.clone()));
        }
        Claim::New(self.insert(name, key, false))
    }

    /// A new member is durable now.
    pub(super) fn confirm(&mut self, id: MemberId) {
        self.members[id.0].durable = true;
    }

    /// A new member could not be made durable: the name is free again.
    pub(super) fn abandon(&mut self, id: MemberId) {
        let member = &self.members[id.0];
        self.by_name.remove(&member.name);
        self.by_key.remove(&member.key);
        self.by_skeleton.remove(&member.name.skeleton());
        self.spare.push(id);
    }

    /// The member of this name; one that is not durable yet does not exist for others.
    pub(super) fn find(&self, name: &str) -> Option<MemberId> {
        self.by_name.get(name).copied().filter(|id| self.members[id.0].durable)
    }

    /// A member's name.
    pub(super) fn name(&self, id: MemberId) -> &Name {
        &self.members[id.0].name
    }

    /// The members' names that look most like one that does not exist.
    pub(super) fn nearest(&self, wanted: &str, most: usize) -> Vec<Name> {
        let durable = self.members.iter().filter(|m| m.durable).map(|m| &m.name);
        Name::nearest(wanted, durable, most)
    }

    fn insert(&mut self, name: Name, key: PublicKey, durable: bool) -> MemberId {
        let id = self.spare.pop().unwrap_or(MemberId(self.members.len()));
        self.by_name.insert(name.clone(), id);
        self.by_key.insert(key, id);
        self.by_skeleton.insert(name.skeleton(), id);
        let member = Member { name, key, durable };
        match self.members.get_mut(id.0) {
            Some(place) => *place = member,
            None => self.members.push(member),
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_key_owns_a_name_and_another_is_refused() {
        let mut members = Members::new(Vec::new());
        let Claim::New(tom) = members.claim("TOM", key(1)) else { panic!("the name is free") };
        assert_eq!(members.find("TOM"), None, "not durable yet");
        assert_eq!(members.claim("TOM", key(1)), Claim::Waiting(tom));
        assert_eq!(members.claim("TOM", key(2)), Claim::Refused(NameReason::Taken, Some(name("TOM"))));
        members.abandon(tom);
        let Claim::New(tom) = members.claim("TOM", key(2)) else { panic!("the name is free again") };
        members.abandon(tom);
        let Claim::New(tom) = members.claim("TOM", key(1)) else { panic!("and again") };
        members.confirm(tom);
        assert_eq!(members.find("TOM"), Some(tom));
        assert_eq!(members.claim("TOM", key(1)), Claim::Owned(tom));
    }

    #[test]
    fn names_that_deceive_are_refused() {
        let mut members = Members::new(vec![(name("alice"), key(1))]);
        let confusable = Claim::Refused(NameReason::Confusable, Some(name("alice")));
        assert_eq!(members.claim("ALICE", key(2)), confusable);
        assert_eq!(members.claim("аlice", key(2)), confusable, "Cyrillic а");
        assert_eq!(members.claim("echo", key(2)), Claim::Refused(NameReason::Reserved, Some(name("echo"))));
        assert_eq!(members.claim("../x", key(2)), Claim::Refused(NameReason::Bad, None));
        assert_eq!(members.claim("bob", key(1)), Claim::Refused(NameReason::Other, Some(name("alice"))));
        assert!(matches!(members.claim("武大郎", key(3)), Claim::New(_)));
    }
}
