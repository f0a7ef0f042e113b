//! Who may become a member: invitations, members that were removed, and who takes letters from whom; what of this the
//! disk keeps.

use std::collections::{BTreeMap, BTreeSet};

use blake2::{Blake2s256, Digest};

use crate::base::{Name, PublicKey, Wall};

/// Invitations that wait, about 300 bytes each; at the bound no more are made.
pub const INVITATIONS_MAX: usize = 10_000;
/// Names in one member's list of those whose letters it refuses, and in a session's of those whose it takes.
pub const SCREENED_MAX: usize = 1_024;

/// What the relay knows an invitation's secret by: a hash, so that nobody who reads its disk can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvitationId(pub [u8; 32]);

impl InvitationId {
    /// The hash of a secret of at least 128 random bits, which need no salt.
    pub fn of(secret: &[u8]) -> InvitationId {
        let hash = Blake2s256::new().chain_update("queqiao invitation").chain_update(secret).finalize();
        InvitationId(hash.into())
    }
}

/// The promise of a place at this relay to whoever knows its secret, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What its secret hashes to.
    pub id: InvitationId,
    /// The name it is for; `None` for any that is free.
    pub name: Option<Name>,
    /// When it was made.
    pub made: Wall,
    /// When it ends, by the relay's clock on the wall: a person is told a date.
    pub until: Wall,
}

/// What changes in the roll of members, and is made durable. What happens when that fails is said
/// as for [`Record`](super::Record).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody may come. Another invitation for the same name, and those whose time is over, are
    /// forgotten. If it fails the operator is told.
    Invited(Invitation),
    /// Somebody came by an invitation, which is thereby used up. If it fails the name is refused to
    /// the one who asked, and the invitation is good again.
    Joined {
        /// The name; it may have belonged to a member who was removed.
        name: Name,
        /// The identity key that owns it now.
        key: PublicKey,
        /// The invitation.
        by: InvitationId,
        /// When, on the relay's own clock, in milliseconds; the name counts as unused from then on.
        since: u64,
    },
    /// A letter was written to or by this member, or it came again: its name is kept for good. If
    /// it fails it is written again, by the next relay too if the disk has mail of it.
    Used {
        /// The name.
        name: Name,
    },
    /// This name was unused for long enough: nothing is known of it any more, once this is durable.
    /// If it fails the name is its member's still, and is tried again.
    Freed {
        /// The name.
        name: Name,
    },
    /// A member was removed. The name is kept from everybody but whoever is invited to it. If it
    /// fails the operator is told, and the member stays.
    Removed {
        /// The name.
        name: Name,
        /// The key that owned it, and may not come again uninvited.
        key: PublicKey,
    },
    /// This member takes no letters from these, whichever others it refused before. The list holds
    /// at once; if this fails the newest list is written again.
    Blocks {
        /// The member.
        owner: Name,
        /// Those it refuses.
        blocked: Vec<Name>,
    },
    /// A member signed in, or its session ended. If it fails the newest time is written again.
    Seen {
        /// The member.
        name: Name,
        /// When.
        at: Wall,
    },
}

/// The roll as the disk has it when a relay starts, the members themselves apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Invitations that wait, those whose time is over included.
    pub invitations: Vec<Invitation>,
    /// Members that were removed and whose names nobody else has.
    pub removed: Vec<(Name, PublicKey)>,
    /// Who refuses letters from whom.
    pub blocks: Vec<(Name, Vec<Name>)>,
    /// Members whose names are unused, and when each came, on the relay's own clock, in
    /// milliseconds.
    pub unused: Vec<(Name, u64)>,
}

/// The invitations that wait.
///
/// Invariant: each name is promised at most once, but for one that is in use.
#[derive(Debug, Default)]
pub(super) struct Invitations {
    by_id: BTreeMap<InvitationId, Pending>,
    /// Those for a name, by the class of its looks.
    by_class: BTreeSet<(String, InvitationId)>,
    /// Those whose time is over first.
    by_end: BTreeSet<(Wall, InvitationId)>,
}

#[derive(Debug)]
struct Pending {
    invitation: Invitation,
    /// It is being used: the name is on its way to the disk.
    in_use: bool,
}

impl Invitations {
    pub(super) fn new(known: Vec<Invitation>) -> Invitations {
        let mut all = Invitations::default();
        for invitation in known {
            all.insert(invitation);
        }
        all
    }

    /// Whether another one has room, once those whose time is over are gone.
    pub(super) fn has_room(&mut self, now: Wall) -> bool {
        // Those in use are few, and are met again until they are used up.
        let over = self.by_end.iter().take_while(|end| end.0 <= now).map(|end| end.1);
        let over: Vec<InvitationId> = over.filter(|id| !self.is_in_use(*id)).collect();
        over.into_iter().for_each(|id| self.remove(id));
        self.by_id.len() < INVITATIONS_MAX
    }

    /// Takes one in, in the place of another for the same name.
    pub(super) fn add(&mut self, invitation: Invitation) {
        if let Some(name) = &invitation.name {
            let is_same = |id: &InvitationId| self.by_id[id].invitation.name.as_ref() == Some(name);
            let others = self.of_class(name.looks().class()).filter(|id| is_same(id) && !self.is_in_use(*id));
            others.collect::<Vec<_>>().into_iter().for_each(|id| self.remove(id));
        }
        self.insert(invitation);
    }

    fn insert(&mut self, invitation: Invitation) {
        let id = invitation.id;
        self.remove(id);
        self.by_class.extend(invitation.name.as_ref().map(|name| (name.looks().class(), id)));
        self.by_end.insert((invitation.until, id));
        self.by_id.insert(id, Pending { invitation, in_use: false });
    }

    fn of_class(&self, class: String) -> impl Iterator<Item = InvitationId> + '_ {
        let of = |id| (class.clone(), InvitationId(id));
        self.by_class.range(of([0; 32])..=of([u8::MAX; 32])).map(|(_, id)| *id)
    }

    fn is_in_use(&self, id: InvitationId) -> bool {
        self.by_id.get(&id).is_some_and(|pending| pending.in_use)
    }

    /// The invitation with this secret, if it is good now.
    pub(super) fn find(&self, now: Wall, secret: &[u8]) -> Option<&Invitation> {
        let pending = self.by_id.get(&InvitationId::of(secret))?;
        (!pending.in_use && pending.invitation.until > now).then_some(&pending.invitation)
    }

    /// Whether a name, or one that it looks like, is promised to somebody who has another
    /// invitation than `mine`. An invitation to this very name is stronger than another's to one
    /// that looks like it.
    pub(super) fn is_promised(&self, now: Wall, name: &Name, mine: Option<InvitationId>) -> bool {
        let pending = |id: InvitationId| &self.by_id[&id].invitation;
        let is_mine = mine.and_then(|id| self.by_id.get(&id)).is_some_and(|it| it.invitation.name.is_some());
        let looks = name.looks();
        let is_in_the_way = |other: &Name| other == name || !is_mine && other.looks().meet(&looks);
        let mut others = self.of_class(looks.class()).filter(|id| Some(*id) != mine);
        others.any(|id| pending(id).until > now && pending(id).name.as_ref().is_some_and(is_in_the_way))
    }

    /// An invitation is being used, or is not after all.
    pub(super) fn set_in_use(&mut self, id: InvitationId, in_use: bool) {
        if let Some(pending) = self.by_id.get_mut(&id) {
            pending.in_use = in_use;
        }
    }

    /// An invitation is used up.
    pub(super) fn remove(&mut self, id: InvitationId) {
        let Some(Pending { invitation, .. }) = self.by_id.remove(&id) else { return };
        self.by_end.remove(&(invitation.until, id));
        if let Some(name) = invitation.name {
            self.by_class.remove(&(name.looks().class(), id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(secret: u8, name: Option<&str>, until: u64) -> Invitation {
        let name = name.map(|name| name.parse().unwrap());
        Invitation { id: InvitationId::of(&[secret; 16]), name, made: Wall(0), until: Wall(until) }
    }

    #[test]
    fn an_invitation_is_good_once_and_until_its_time_is_over() {
        let mut all = Invitations::new(vec![invitation(1, None, 100)]);
        assert_eq!(all.find(Wall(99), &[2; 16]), None);
        assert_eq!(all.find(Wall(100), &[1; 16]), None, "its time is over");
        let id = all.find(Wall(99), &[1; 16]).unwrap().id;
        all.set_in_use(id, true);
        assert_eq!(all.find(Wall(99), &[1; 16]), None);
        all.set_in_use(id, false);
        assert!(all.find(Wall(99), &[1; 16]).is_some(), "the name could not be written down");
        all.remove(id);
        assert_eq!(all.find(Wall(99), &[1; 16]), None);
    }

    #[test]
    fn a_name_is_promised_once_by_its_looks() {
        let mut all = Invitations::default();
        all.add(invitation(1, Some("alice"), 100));
        let (greek, mine) = ("Αlice".parse().unwrap(), InvitationId::of(&[1; 16]));
        assert!(all.is_promised(Wall(1), &greek, None));
        assert!(!all.is_promised(Wall(1), &greek, Some(mine)));
        assert!(!all.is_promised(Wall(100), &greek, None));
        all.add(invitation(2, Some("alice"), 100));
        assert_eq!(all.find(Wall(1), &[1; 16]), None, "a later one takes its place");
        assert!(all.find(Wall(1), &[2; 16]).is_some());
    }

    #[test]
    fn invitation_to_a_name_is_stronger_than_one_to_its_like() {
        let mut all = Invitations::default();
        all.add(invitation(1, Some("王五"), 100));
        all.add(invitation(2, Some("玊五"), 100));
        all.add(invitation(3, None, 100));
        let [first, second, third] = [1, 2, 3].map(|secret| InvitationId::of(&[secret; 16]));
        let [name, like, other] = ["王五", "玊五", "王伍"].map(|name| name.parse().unwrap());
        for (name, mine) in [(&name, first), (&like, second)] {
            assert!(!all.is_promised(Wall(1), name, Some(mine)));
            assert!(all.is_promised(Wall(1), name, Some(third)) && all.is_promised(Wall(1), name, None));
        }
        assert!(!all.is_promised(Wall(1), &other, Some(third)));
    }

    #[test]
    fn invitations_are_bounded_and_those_that_are_over_make_room() {
        let mut all = Invitations::default();
        for n in 0..INVITATIONS_MAX as u64 {
            let id = InvitationId::of(&n.to_be_bytes());
            assert!(all.has_room(Wall(1)));
            all.add(Invitation { id, name: None, made: Wall(0), until: Wall(5) });
        }
        assert!(!all.has_room(Wall(4)));
        assert!(all.has_room(Wall(5)));
    }
}
