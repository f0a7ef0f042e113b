//! Membership: invitations, removed members, block lists and allow lists, as the disk keeps them.

use std::collections::{BTreeMap, BTreeSet};

use blake2::{Blake2s256, Digest};

use crate::base::{Name, PublicKey, Wall, empty_value};

/// Maximum open invitations, about 300 bytes each; at the bound no more are made.
pub const INVITATIONS_MAX: usize = 10_000;
/// Maximum names on one member's block list, and on its allow list.
pub const BLOCK_LIST_MAX: usize = 1_024;

/// Hash of an invitation's secret. A reader of the relay's disk cannot use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvitationId(pub [u8; 32]);

impl InvitationId {
    /// Hashes a secret of at least 128 random bits, which needs no salt.
    pub fn of(secret: &[u8]) -> InvitationId {
        let hash = Blake2s256::new().chain_update("queqiao invitation").chain_update(secret).finalize();
        InvitationId(hash.into())
    }
}

/// An invitation: a user who knows its secret may register once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Hash of its secret.
    pub id: InvitationId,
    /// The name it is for; `None` for any free name.
    pub name: Option<Name>,
    /// Time of its creation.
    pub created_at: Wall,
    /// Time of its end, by the relay's wall clock, because users see a date.
    pub until: Wall,
}

/// The senders whose letters a member refuses.
///
/// The relay keeps both lists while the member is away. Otherwise a refusal would show that its
/// client runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderLists {
    /// Block list: at most [`BLOCK_LIST_MAX`] senders.
    pub blocked: BTreeSet<Name>,
    /// Allow list: all other senders are refused; at most [`BLOCK_LIST_MAX`] of them.
    pub allowed: Option<BTreeSet<Name>>,
}

empty_value!(SenderLists, SenderLists { blocked: BTreeSet::new(), allowed: None }, SenderLists::is_empty);

impl SenderLists {
    /// Whether every sender may write.
    pub fn is_empty(&self) -> bool {
        self.blocked.is_empty() && self.allowed.is_none()
    }

    /// Whether letters of this sender are refused.
    pub fn refuse(&self, name: &Name) -> bool {
        let is_missing = |allowed: &BTreeSet<Name>| !allowed.contains(name);
        self.blocked.contains(name) || self.allowed.as_ref().is_some_and(is_missing)
    }

    /// Returns the number of names on both lists.
    pub fn names(&self) -> usize {
        self.blocked.len() + self.allowed.as_ref().map_or(0, BTreeSet::len)
    }
}

/// A durable change of the membership. Failure cases are described as for
/// [`Record`](super::Record).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// A new invitation. It replaces one for the same name, and expired ones are removed. On
    /// failure the operator is notified.
    Invited(Invitation),
    /// A registration by invitation, which is used up. On failure the claim is refused, and the
    /// invitation is valid again.
    Joined {
        /// The name, which may have belonged to a removed member.
        name: Name,
        /// The identity key that owns it.
        key: PublicKey,
        /// The invitation.
        by: InvitationId,
        /// Time of registration, in milliseconds of the uptime clock; the name counts as unused
        /// from then on.
        since: u64,
    },
    /// The member has sent or received a letter, or has returned: its name is kept for good. On
    /// failure it is written again, also by the next process if the disk has letters of the member.
    Used {
        /// The name.
        name: Name,
    },
    /// A name that was unused for long enough is free again after the commit. On failure it still
    /// belongs to its member, and the record is repeated.
    Freed {
        /// The name.
        name: Name,
    },
    /// A member was removed. Its name is reserved for users invited to it. On failure the operator
    /// is notified, and the member stays.
    Removed {
        /// The name.
        name: Name,
        /// The key that owned it, and needs an invitation to return.
        key: PublicKey,
    },
    /// The member's lists, replacing the previous ones. They apply immediately; on failure the
    /// newest ones are written again.
    Lists {
        /// Owner of the lists.
        owner: Name,
        /// The lists.
        lists: SenderLists,
    },
    /// A member signed in, or its session ended. On failure the newest time is written again.
    Seen {
        /// The member.
        name: Name,
        /// The time.
        at: Wall,
    },
}

/// The membership state that a relay restores at its start, except the members themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipSnapshot {
    /// Open invitations, including expired ones.
    pub invitations: Vec<Invitation>,
    /// Removed members whose names are not used by another member.
    pub removed: Vec<(Name, PublicKey)>,
    /// Block lists and allow lists.
    pub lists: Vec<(Name, SenderLists)>,
    /// Members with unused names, and the time of their registration, in milliseconds of the uptime
    /// clock.
    pub unused: Vec<(Name, u64)>,
}

/// The open invitations.
///
/// Invariant: each name is promised at most once, except by an invitation in use.
#[derive(Debug, Default)]
pub(super) struct Invitations {
    by_id: BTreeMap<InvitationId, InvitationEntry>,
    /// Invitations for a name, by the class of its looks.
    by_class: BTreeSet<(String, InvitationId)>,
    /// Invitations by time of expiry.
    by_end: BTreeSet<(Wall, InvitationId)>,
}

#[derive(Debug)]
struct InvitationEntry {
    invitation: Invitation,
    /// Whether it is being used: the registration is being written.
    in_use: bool,
}

impl Invitations {
    pub(super) fn new(invitations: Vec<Invitation>) -> Invitations {
        let mut all = Invitations::default();
        for invitation in invitations {
            all.insert(invitation);
        }
        all
    }

    /// Whether one more invitation is possible, after removing expired ones.
    pub(super) fn has_capacity(&mut self, now: Wall) -> bool {
        // Invitations in use are few; they are skipped here until they are used up.
        let expired = self.by_end.iter().take_while(|end| end.0 <= now).map(|end| end.1);
        let expired: Vec<InvitationId> = expired.filter(|id| !self.is_in_use(*id)).collect();
        expired.into_iter().for_each(|id| self.remove(id));
        self.by_id.len() < INVITATIONS_MAX
    }

    /// Adds an invitation, in place of another for the same name. Returns whether there was one
    /// that was still valid when the new one was made.
    pub(super) fn add(&mut self, invitation: Invitation) -> bool {
        let mut replaced = false;
        if let Some(name) = &invitation.name {
            let is_same = |id: &InvitationId| self.by_id[id].invitation.name.as_ref() == Some(name);
            let same_name =
                self.of_class(name.looks().class()).filter(|id| is_same(id) && !self.is_in_use(*id));
            for id in same_name.collect::<Vec<_>>() {
                replaced |= self.by_id[&id].invitation.until > invitation.created_at;
                self.remove(id);
            }
        }
        self.insert(invitation);
        replaced
    }

    fn insert(&mut self, invitation: Invitation) {
        let id = invitation.id;
        self.remove(id);
        self.by_class.extend(invitation.name.as_ref().map(|name| (name.looks().class(), id)));
        self.by_end.insert((invitation.until, id));
        self.by_id.insert(id, InvitationEntry { invitation, in_use: false });
    }

    fn of_class(&self, class: String) -> impl Iterator<Item = InvitationId> + '_ {
        let of = |id| (class.clone(), InvitationId(id));
        self.by_class.range(of([0; 32])..=of([u8::MAX; 32])).map(|(_, id)| *id)
    }

    fn is_in_use(&self, id: InvitationId) -> bool {
        self.by_id.get(&id).is_some_and(|pending| pending.in_use)
    }

    /// Returns the invitation with this secret, if it is valid now.
    pub(super) fn find(&self, now: Wall, secret: &[u8]) -> Option<&Invitation> {
        let pending = self.by_id.get(&InvitationId::of(secret))?;
        (!pending.in_use && pending.invitation.until > now).then_some(&pending.invitation)
    }

    /// Whether a name, or one that it looks like, is promised by an invitation other than `mine`.
    ///
    /// An invitation to exactly this name has precedence over another one to a name that looks like
    /// it.
    pub(super) fn is_promised(&self, now: Wall, name: &Name, own: Option<InvitationId>) -> bool {
        let pending = |id: InvitationId| &self.by_id[&id].invitation;
        let is_mine = own.and_then(|id| self.by_id.get(&id)).is_some_and(|it| it.invitation.name.is_some());
        let looks = name.looks();
        let is_in_the_way = |other: &Name| other == name || !is_mine && other.looks().matches(&looks);
        let mut conflicting = self.of_class(looks.class()).filter(|id| Some(*id) != own);
        conflicting.any(|id| pending(id).until > now && pending(id).name.as_ref().is_some_and(is_in_the_way))
    }

    /// Marks an invitation as being used, or not.
    pub(super) fn set_in_use(&mut self, id: InvitationId, in_use: bool) {
        if let Some(pending) = self.by_id.get_mut(&id) {
            pending.in_use = in_use;
        }
    }

    /// Removes an invitation.
    pub(super) fn remove(&mut self, id: InvitationId) {
        let Some(InvitationEntry { invitation, .. }) = self.by_id.remove(&id) else { return };
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
        Invitation { id: InvitationId::of(&[secret; 16]), name, created_at: Wall(0), until: Wall(until) }
    }

    #[test]
    fn invitation_is_valid_once_and_until_its_end() {
        let mut all = Invitations::new(vec![invitation(1, None, 100)]);
        assert_eq!(all.find(Wall(99), &[2; 16]), None);
        assert_eq!(all.find(Wall(100), &[1; 16]), None, "expired");
        let id = all.find(Wall(99), &[1; 16]).unwrap().id;
        all.set_in_use(id, true);
        assert_eq!(all.find(Wall(99), &[1; 16]), None);
        all.set_in_use(id, false);
        assert!(all.find(Wall(99), &[1; 16]).is_some(), "the registration failed");
        all.remove(id);
        assert_eq!(all.find(Wall(99), &[1; 16]), None);
    }

    #[test]
    fn name_and_look_alikes_are_promised_once() {
        let mut all = Invitations::default();
        all.add(invitation(1, Some("alice"), 100));
        let greek = "Αlice".parse().unwrap();
        let mine = InvitationId::of(&[1; 16]);
        assert!(all.is_promised(Wall(1), &greek, None));
        assert!(!all.is_promised(Wall(1), &greek, Some(mine)));
        assert!(!all.is_promised(Wall(100), &greek, None));
        all.add(invitation(2, Some("alice"), 100));
        assert_eq!(all.find(Wall(1), &[1; 16]), None, "replaced by a later one");
        assert!(all.find(Wall(1), &[2; 16]).is_some());
    }

    #[test]
    fn invitation_to_exact_name_precedes_one_to_look_alike() {
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
    fn invitations_are_bounded_and_expired_ones_are_replaced() {
        let mut all = Invitations::default();
        for n in 0..INVITATIONS_MAX as u64 {
            let id = InvitationId::of(&n.to_be_bytes());
            assert!(all.has_capacity(Wall(1)));
            all.add(Invitation { id, name: None, created_at: Wall(0), until: Wall(5) });
        }
        assert!(!all.has_capacity(Wall(4)));
        assert!(all.has_capacity(Wall(5)));
    }
}
