//! Members of this relay: names and the keys that own them.

use super::ids::MemberId;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::{Looks, Name, PublicKey};
use crate::wire::message::NameReason;

use super::nearest_names::{Found, NameIndex};

/// Maximum names of one class compared with a name that does not exist: 0.2 ms with the longest
/// names. Real names share a class with few others.
const ALIKE_LOOKED_AT_MAX: usize = 16;

/// Result of a claim to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RegisterResult {
    /// The key already owns the name.
    Owned(MemberId),
    /// The name was free and is reserved for this key. It must be made durable before it is
    /// reported.
    New(MemberId),
    /// As [`RegisterResult::New`], for the name of a removed member.
    Again(MemberId),
    /// The same claim is being made durable, or the name is being freed.
    Waiting(MemberId),
    /// The name is refused for this reason, with the name that conflicts.
    Refused(NameReason, Option<Name>),
}

/// Authorization of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// None; refused if the relay is `closed`.
    None { closed: bool },
    /// An invitation, to this name or to any.
    Invited(Option<Name>),
}

/// Phase of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberPhase {
    /// The name is being persisted, for the first time or again after a removal.
    New,
    Again,
    Durable,
    /// The name is unused and being removed from the disk: it does not exist for others.
    Freeing,
    /// The operator removed the member. Its name stays, because letters from it and receipts for
    /// others still refer to it.
    Removed,
}

#[derive(Debug)]
struct Member {
    name: Name,
    key: PublicKey,
    phase: MemberPhase,
}

/// Index by 64-bit hash, 16 bytes per member. A collision costs one extra comparison.
#[derive(Debug, Default)]
struct Index(BTreeSet<(u64, MemberId)>);

impl Index {
    fn hash(of: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        hasher.finish()
    }

    fn insert(&mut self, of: impl Hash, id: MemberId) {
        self.0.insert((Index::hash(of), id));
    }

    fn remove(&mut self, of: impl Hash, id: MemberId) {
        self.0.remove(&(Index::hash(of), id));
    }

    /// Returns the member of this hash for which `is` holds.
    fn find(&self, of: impl Hash, is: impl Fn(MemberId) -> bool) -> Option<MemberId> {
        self.all(of).find(|id| is(*id))
    }

    /// Returns all members of this hash.
    fn all(&self, of: impl Hash) -> impl Iterator<Item = MemberId> {
        let hash = Index::hash(of);
        self.0.range((hash, MemberId(0))..=(hash, MemberId(usize::MAX))).map(|(_, id)| *id)
    }
}

/// All members, in order of registration.
///
/// Invariant: each name and each key belongs to at most one member. No two names look alike, unless
/// the operator invited the later one by exactly that name.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: Vec<Member>,
    by_name: Index,
    by_key: Index,
    /// Index by the class of their looks ([`Looks::class`]).
    by_class: Index,
    /// Names of durable members, for suggestions.
    nearest: NameIndex,
    /// Reusable slots: of members that never became durable or were never used, so nothing refers
    /// to them.
    spare: Vec<MemberId>,
    /// Number of members that were not removed, including those that are not durable yet.
    live: usize,
    /// Keys of removed members: at most one per removal by the operator.
    removed_keys: BTreeSet<PublicKey>,
}

impl Members {
    /// Restores members and removed members from disk.
    pub(super) fn new(members_on_disk: Vec<(Name, PublicKey)>, removed: Vec<(Name, PublicKey)>) -> Members {
        let mut members = Members::default();
        for (name, key) in members_on_disk {
            members.insert(name, key, MemberPhase::Durable);
        }
        let durable = members.members.iter().enumerate();
        members.nearest = NameIndex::new(durable.map(|(id, member)| (MemberId(id), &member.name)));
        for (name, key) in removed {
            members.removed_keys.insert(key);
            if members.id_of(name.as_str()).is_none() {
                let id = MemberId(members.members.len());
                members.by_name.insert(name.as_str(), id);
                members.by_class.insert(name.looks().class(), id);
                members.members.push(Member { name, key, phase: MemberPhase::Removed });
            }
        }
        members
    }

    /// Returns the number of members that were not removed, including those that are not durable
    /// yet.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Returns the number of members, including removed ones.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Handles a key's claim to a name. Strangers learn nothing about names from a closed relay.
    pub(super) fn register(
        &mut self,
        name: &str,
        key: PublicKey,
        credentials: &Credentials,
    ) -> RegisterResult {
        let Ok(name) = name.parse::<Name>() else {
            return RegisterResult::Refused(NameReason::Bad, None);
        };
        let existing = self.id_of(name.as_str());
        if let Some(id) = existing.filter(|id| self.members[id.0].key == key) {
            match self.members[id.0].phase {
                MemberPhase::Durable => return RegisterResult::Owned(id),
                MemberPhase::New | MemberPhase::Again | MemberPhase::Freeing => {
                    return RegisterResult::Waiting(id);
                }
                MemberPhase::Removed => {}
            }
        }
        match credentials {
            Credentials::None { .. }
                if self.removed_keys.contains(&key) && self.id_of_key(&key).is_none() =>
            {
                return RegisterResult::Refused(NameReason::Removed, None);
            }
            Credentials::None { closed: true } => return RegisterResult::Refused(NameReason::Closed, None),
            Credentials::Invited(Some(promised)) if *promised != name => {
                return RegisterResult::Refused(NameReason::Kept, Some(promised.clone()));
            }
            Credentials::None { closed: false } | Credentials::Invited(_) => {}
        }
        self.register_free(name, key, existing, credentials)
    }

    fn register_free(
        &mut self,
        name: Name,
        key: PublicKey,
        existing: Option<MemberId>,
        credentials: &Credentials,
    ) -> RegisterResult {
        if let Some(id) = self.id_of_key(&key) {
            let other = self.members[id.0].name.clone();
            let reason = if existing.is_some() { NameReason::Taken } else { NameReason::Other };
            return RegisterResult::Refused(reason, Some(if existing.is_some() { name } else { other }));
        }
        match existing {
            Some(id) if self.members[id.0].phase != MemberPhase::Removed => {
                RegisterResult::Refused(NameReason::Taken, Some(name))
            }
            Some(id) if matches!(credentials, Credentials::Invited(Some(_))) => {
                self.by_key.insert(key.0, id);
                self.live += 1;
                self.members[id.0] = Member { name, key, phase: MemberPhase::Again };
                RegisterResult::Again(id)
            }
            Some(_) => RegisterResult::Refused(NameReason::Kept, Some(name)),
            None => match self.in_the_way(&name) {
                // The operator knows both names, and wants this one.
                Some((NameReason::Confusable, _)) if matches!(credentials, Credentials::Invited(Some(_))) => {
                    RegisterResult::New(self.insert(name, key, MemberPhase::New))
                }
                Some((reason, other)) => RegisterResult::Refused(reason, Some(other)),
                None => RegisterResult::New(self.insert(name, key, MemberPhase::New)),
            },
        }
    }

    /// Whether the name is this key's already, or about to be.
    pub(super) fn owns(&self, name: &str, key: PublicKey) -> bool {
        let is_of_key = |id: &MemberId| self.members[id.0].key == key && !self.is_removed(*id);
        self.id_of(name).is_some_and(|id| is_of_key(&id))
    }

    /// Returns the reason why an unused name cannot be registered, with the name that conflicts.
    fn in_the_way(&self, name: &Name) -> Option<(NameReason, Name)> {
        if name.is_reserved() {
            return Some((NameReason::Reserved, name.clone()));
        }
        let other = self.alike(&name.looks())?;
        Some((NameReason::Confusable, self.members[other.0].name.clone()))
    }

    /// Returns a member whose name looks like `looks`.
    ///
    /// Also returns the last of [`Looks::COMPARED_MAX`] compared members if none matches: one more
    /// name of this class could not be compared with all of them.
    fn alike(&self, looks: &Looks) -> Option<MemberId> {
        let mut compared = self.by_class.all(looks.class()).take(Looks::COMPARED_MAX).enumerate();
        let is = |id: MemberId| self.members[id.0].name.looks().matches(looks);
        compared.find(|(at, id)| is(*id) || at + 1 == Looks::COMPARED_MAX).map(|(_, id)| id)
    }

    /// Returns the reason why no user can be invited to this name.
    pub(super) fn not_free(&self, name: &Name) -> Option<(NameReason, Name)> {
        match self.id_of(name.as_str()) {
            Some(id) if self.members[id.0].phase == MemberPhase::Removed => None,
            Some(_) => Some((NameReason::Taken, name.clone())),
            None => self.in_the_way(name),
        }
    }

    /// Removes a member, whose name stays reserved, and its key.
    pub(super) fn remove(&mut self, id: MemberId) {
        if matches!(self.members[id.0].phase, MemberPhase::Durable | MemberPhase::Freeing) {
            self.leave_nearest(id);
        }
        let member = &mut self.members[id.0];
        member.phase = MemberPhase::Removed;
        self.live -= 1;
        self.by_key.remove(member.key.0, id);
        self.removed_keys.insert(member.key);
    }

    /// Whether the operator removed this member.
    pub(super) fn is_removed(&self, id: MemberId) -> bool {
        self.members[id.0].phase == MemberPhase::Removed
    }

    /// Returns a member's key.
    pub(super) fn key(&self, id: MemberId) -> PublicKey {
        self.members[id.0].key
    }

    /// Marks a new member as durable.
    pub(super) fn confirm(&mut self, id: MemberId) {
        self.members[id.0].phase = MemberPhase::Durable;
        let members = &self.members;
        self.nearest.insert(id, &members[id.0].name, |id| members.get(id.0).map(|member| &member.name));
    }

    /// Frees the name of a new member that could not be made durable.
    pub(super) fn abandon(&mut self, id: MemberId) {
        let member = &mut self.members[id.0];
        if member.phase == MemberPhase::Again {
            self.by_key.remove(member.key.0, id);
            self.live -= 1;
            member.phase = MemberPhase::Removed;
            return;
        }
        self.forget(id);
    }

    /// Whether it is a member, durably.
    pub(super) fn is_durable(&self, id: MemberId) -> bool {
        self.members[id.0].phase == MemberPhase::Durable
    }

    /// Begins to free an unused name.
    pub(super) fn begin_freeing(&mut self, id: MemberId) {
        self.members[id.0].phase = MemberPhase::Freeing;
    }

    /// Ends an attempt to free a name that stays on disk. Returns whether it was being freed.
    pub(super) fn end_freeing(&mut self, id: MemberId) -> bool {
        let phase = &mut self.members[id.0].phase;
        let was_freeing = *phase == MemberPhase::Freeing;
        if was_freeing {
            *phase = MemberPhase::Durable;
        }
        was_freeing
    }

    /// Frees an unused name and its slot: nothing refers to it.
    pub(super) fn free(&mut self, id: MemberId) {
        self.leave_nearest(id);
        self.forget(id);
    }

    fn leave_nearest(&mut self, id: MemberId) {
        let members = &self.members;
        self.nearest.remove(id, &members[id.0].name, |id| members.get(id.0).map(|member| &member.name));
    }

    fn forget(&mut self, id: MemberId) {
        let member = &mut self.members[id.0];
        // No index contains it, and in this state its number refers to no member.
        member.phase = MemberPhase::New;
        self.live -= 1;
        self.by_key.remove(member.key.0, id);
        self.by_name.remove(member.name.as_str(), id);
        self.by_class.remove(member.name.looks().class(), id);
        self.spare.push(id);
    }

    /// Returns the member of this name. A member that is not durable yet does not exist for others.
    pub(super) fn find(&self, name: &str) -> Option<MemberId> {
        self.find_ever(name).filter(|id| self.members[id.0].phase == MemberPhase::Durable)
    }

    /// Returns the member of this name, removed or not, because earlier letters and receipts may
    /// refer to it.
    pub(super) fn find_ever(&self, name: &str) -> Option<MemberId> {
        self.id_of(name)
            .filter(|id| !matches!(self.members[id.0].phase, MemberPhase::New | MemberPhase::Freeing))
    }

    /// Whether [`Members::find`] returns this member.
    pub(super) fn is(&self, id: MemberId, name: &str) -> bool {
        let member = &self.members[id.0];
        member.phase == MemberPhase::Durable && member.name.as_str() == name
    }

    fn id_of(&self, name: &str) -> Option<MemberId> {
        self.by_name.find(name, |id| self.members[id.0].name.as_str() == name)
    }

    fn id_of_key(&self, key: &PublicKey) -> Option<MemberId> {
        self.by_key.find(key.0, |id| self.members[id.0].key == *key)
    }

    /// Whether a member has this key.
    pub(super) fn knows(&self, key: &PublicKey) -> bool {
        self.id_of_key(key).is_some()
    }

    /// Returns a member's name.
    pub(super) fn name(&self, id: MemberId) -> &Name {
        &self.members[id.0].name
    }

    /// Returns the members' names nearest to one that does not exist, for a member with these
    /// correspondents.
    pub(super) fn nearest(
        &mut self,
        wanted: &str,
        correspondents: impl Iterator<Item = MemberId>,
        count_max: usize,
    ) -> Found {
        let members = &self.members;
        let durable = |id: MemberId| members.get(id.0).filter(|member| member.phase == MemberPhase::Durable);
        let same_look = Looks::of(wanted).and_then(|looks| {
            let is = |id: &MemberId| durable(*id).is_some_and(|member| member.name.looks().matches(&looks));
            self.by_class.all(looks.class()).take(ALIKE_LOOKED_AT_MAX).find(is)
        });
        let name_of = |id| durable(id).map(|member| &member.name);
        self.nearest.nearest(wanted, same_look, correspondents, name_of, count_max)
    }

    fn insert(&mut self, name: Name, key: PublicKey, phase: MemberPhase) -> MemberId {
        let id = self.spare.pop().unwrap_or(MemberId(self.members.len()));
        self.live += 1;
        self.by_name.insert(name.as_str(), id);
        self.by_key.insert(key.0, id);
        self.by_class.insert(name.looks().class(), id);
        let member = Member { name, key, phase };
        match self.members.get_mut(id.0) {
            Some(slot) => *slot = member,
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

    fn register(members: &mut Members, name: &str, of: u8) -> RegisterResult {
        members.register(name, key(of), &Credentials::None { closed: false })
    }

    #[test]
    fn closed_relay_hides_names_and_admits_members_and_invited() {
        let mut members = Members::new(vec![(name("TOM"), key(1))], Vec::new());
        let closed = Credentials::None { closed: true };
        assert_eq!(members.register("TOM", key(1), &closed), RegisterResult::Owned(MemberId(0)));
        for requested in ["TOM", "T0M", "ann", "echo"] {
            assert_eq!(
                members.register(requested, key(2), &closed),
                RegisterResult::Refused(NameReason::Closed, None)
            );
        }
        let to_ann = Credentials::Invited(Some(name("ann")));
        assert_eq!(
            members.register("bob", key(2), &to_ann),
            RegisterResult::Refused(NameReason::Kept, Some(name("ann")))
        );
        assert!(matches!(members.register("ann", key(2), &to_ann), RegisterResult::New(_)));
        assert!(matches!(
            members.register("bob", key(3), &Credentials::Invited(None)),
            RegisterResult::New(_)
        ));
    }

    #[test]
    fn names_and_keys_of_removed_members_need_invitation() {
        let mut members = Members::new(vec![(name("TOM"), key(1))], Vec::new());
        members.remove(MemberId(0));
        let again = Members::new(Vec::new(), vec![(name("TOM"), key(1))]);
        for mut members in [members, again] {
            assert_eq!(members.find("TOM"), None);
            assert_eq!(members.find_ever("TOM"), Some(MemberId(0)));
            assert_eq!(register(&mut members, "TOM", 1), RegisterResult::Refused(NameReason::Removed, None));
            assert_eq!(register(&mut members, "tim", 1), RegisterResult::Refused(NameReason::Removed, None));
            assert_eq!(
                register(&mut members, "TOM", 2),
                RegisterResult::Refused(NameReason::Kept, Some(name("TOM")))
            );
            let confusable = RegisterResult::Refused(NameReason::Confusable, Some(name("TOM")));
            assert_eq!(register(&mut members, "tom", 2), confusable);
            let reserved = RegisterResult::Refused(NameReason::Kept, Some(name("TOM")));
            assert_eq!(members.register("TOM", key(2), &Credentials::Invited(None)), reserved);
            assert_eq!(members.not_free(&name("TOM")), None);
            let invited = Credentials::Invited(Some(name("TOM")));
            assert_eq!(members.register("TOM", key(2), &invited), RegisterResult::Again(MemberId(0)));
            members.abandon(MemberId(0));
            assert_eq!(members.register("TOM", key(2), &invited), RegisterResult::Again(MemberId(0)));
            members.confirm(MemberId(0));
            assert_eq!(register(&mut members, "TOM", 2), RegisterResult::Owned(MemberId(0)));
            assert!(matches!(
                members.register("tim", key(1), &Credentials::Invited(None)),
                RegisterResult::New(_)
            ));
        }
    }

    #[test]
    fn first_key_owns_name_and_other_keys_are_refused() {
        let mut members = Members::new(Vec::new(), Vec::new());
        let RegisterResult::New(tom) = register(&mut members, "TOM", 1) else { panic!("the name is free") };
        assert_eq!(members.find("TOM"), None, "not durable yet");
        assert_eq!(register(&mut members, "TOM", 1), RegisterResult::Waiting(tom));
        assert_eq!(
            register(&mut members, "TOM", 2),
            RegisterResult::Refused(NameReason::Taken, Some(name("TOM")))
        );
        members.abandon(tom);
        let RegisterResult::New(tom) = register(&mut members, "TOM", 2) else {
            panic!("the name is free again")
        };
        members.abandon(tom);
        let RegisterResult::New(tom) = register(&mut members, "TOM", 1) else { panic!("and again") };
        members.confirm(tom);
        assert_eq!(members.find("TOM"), Some(tom));
        assert_eq!(register(&mut members, "TOM", 1), RegisterResult::Owned(tom));
    }

    #[test]
    fn deceptive_names_are_refused() {
        let mut members = Members::new(vec![(name("alice"), key(1))], Vec::new());
        let confusable = RegisterResult::Refused(NameReason::Confusable, Some(name("alice")));
        assert_eq!(register(&mut members, "ALICE", 2), confusable);
        assert_eq!(register(&mut members, "аlice", 2), confusable, "Cyrillic а");
        assert_eq!(
            register(&mut members, "echo", 2),
            RegisterResult::Refused(NameReason::Reserved, Some(name("echo")))
        );
        assert_eq!(register(&mut members, "../x", 2), RegisterResult::Refused(NameReason::Bad, None));
        assert_eq!(
            register(&mut members, "bob", 1),
            RegisterResult::Refused(NameReason::Other, Some(name("alice")))
        );
        assert!(matches!(register(&mut members, "武大郎", 3), RegisterResult::New(_)));
    }

    #[test]
    fn look_alikes_are_refused_in_every_script() {
        let taken = ["TOM", "自己", "武大郎", "王五", "人民", "内", "黄", "说", "Ella"];
        let known = taken.iter().zip(1..).map(|(taken, of)| (name(taken), key(of))).collect();
        let mut members = Members::new(known, Vec::new());
        for (requested, like) in
            ["ТОМ", "自已", "武太郎", "玊五", "入民", "內", "黃", "説", "EIla"].iter().zip(taken)
        {
            let confusable = RegisterResult::Refused(NameReason::Confusable, Some(name(like)));
            assert_eq!(register(&mut members, requested, 100), confusable, "{requested}");
            assert_eq!(
                members.register(requested, key(100), &Credentials::Invited(None)),
                confusable,
                "{requested}"
            );
            assert_eq!(members.not_free(&name(requested)), Some((NameReason::Confusable, name(like))));
        }
        for (of, other) in (100..).zip(["TIM", "自我", "武二郎", "王伍", "李三", "张三", "Elia"]) {
            assert!(matches!(register(&mut members, other, of), RegisterResult::New(_)), "{other}");
        }
    }

    /// Also a name that differs only in upper and lower case. Both are found, and each is removed
    /// without affecting the other.
    #[test]
    fn invitation_to_exact_name_permits_look_alike() {
        let mut members = Members::new(vec![(name("TOM"), key(1)), (name("王五"), key(2))], Vec::new());
        for (of, requested) in (10..).zip(["玊五", "tom", "ТОМ"]) {
            let invited = Credentials::Invited(Some(name(requested)));
            let RegisterResult::New(id) = members.register(requested, key(of), &invited) else {
                panic!("{requested}")
            };
            members.confirm(id);
            assert_eq!(
                members.register(requested, key(of), &Credentials::None { closed: true }),
                RegisterResult::Owned(id)
            );
        }
        let reserved = RegisterResult::Refused(NameReason::Reserved, Some(name("eсho")));
        assert_eq!(members.register("eсho", key(20), &Credentials::Invited(Some(name("eсho")))), reserved);
        let nearest = |members: &mut Members| {
            members
                .nearest("tom_", std::iter::empty(), 3)
                .nearest
                .iter()
                .map(Name::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(nearest(&mut members), ["TOM", "tom"]);
        let tom = members.find("TOM").unwrap();
        members.remove(tom);
        assert_eq!(nearest(&mut members), ["tom"]);
    }

    /// Names that have only the class of their looks in common, more than are compared.
    #[test]
    fn names_of_one_class_are_bounded() {
        let spelled =
            |n: usize| (0..10).map(|bit| if n >> bit & 1 == 0 { '千' } else { '乾' }).collect::<String>();
        let mut members = Members::new(Vec::new(), Vec::new());
        let mut taken = 0;
        for n in 0..1_usize << 10 {
            let mut of = [0; 32];
            of[..8].copy_from_slice(&n.to_be_bytes());
            let credentials = Credentials::None { closed: false };
            match members.register(&spelled(n), PublicKey(of), &credentials) {
                RegisterResult::New(_) => taken += 1,
                refused => {
                    assert!(matches!(refused, RegisterResult::Refused(NameReason::Confusable, Some(_))))
                }
            }
        }
        assert_eq!(taken, Looks::COMPARED_MAX);
        assert!(matches!(register(&mut members, "千山", 255), RegisterResult::New(_)), "of another class");
    }
}
