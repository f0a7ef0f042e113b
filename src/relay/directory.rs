//! The relay's names: who has them, who may get one, and who was invited.
//!
//! Must not depend on: sessions, mailboxes, the disk. Each change is made durable by the caller,
//! who reports the result.

use std::net::IpAddr;

use super::ids::MemberId;
use super::limits::Limits;
use super::members::{Credentials, Members, RegisterResult};
use super::membership::{Invitation, InvitationId, Invitations};
use super::registration_limits::RegistrationLimits;
use crate::base::{Name, Now, PublicKey, Wall};
use crate::wire::message::NameReason;

/// All names, with the invitations and the limits on new names.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) members: Members,
    invitations: Invitations,
    registration_limits: RegistrationLimits,
    /// New names by invitation only.
    is_closed: bool,
    /// Sources are limited.
    per_sender: bool,
    /// Maximum names.
    members_max: usize,
}

/// A key's claim to a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) name: &'a str,
    pub(super) key: PublicKey,
    /// Secret of an invitation; empty without one.
    pub(super) secret: &'a [u8],
    /// Address that the claim came from, if it is known.
    pub(super) ip: Option<IpAddr>,
}

/// Answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClaimAnswer {
    /// The key has the name.
    Owned(MemberId),
    /// The name is free, and kept for this key. It must be made durable, and
    /// [`Directory::end_registration`] called. An invitation is used for it.
    New(MemberId, Option<InvitationId>),
    /// The same claim is being made durable, or the name is being freed.
    Waiting(MemberId),
    /// The name is refused, perhaps because of this other one.
    Refused(NameReason, Option<Name>),
}

/// Reason why an invitation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InviteRefusal {
    /// The name is another member's, looks like one, or is reserved.
    NotFree(NameReason, Name),
    /// There are too many invitations.
    Full,
}

impl Directory {
    /// Returns a directory with these members and invitations. `key` is the secret of the tables of
    /// source addresses.
    pub(super) fn new(
        members: Members,
        invitations: Vec<Invitation>,
        key: [u8; 32],
        limits: &Limits,
    ) -> Directory {
        Directory {
            members,
            invitations: Invitations::new(invitations),
            registration_limits: RegistrationLimits::new(key, limits),
            is_closed: limits.closed,
            per_sender: limits.per_sender,
            members_max: limits.members_max,
        }
    }

    /// Handles a claim. `has_mail`: letters for the previous owner of the name are still being
    /// refused, so that it cannot have another one yet.
    pub(super) fn claim(
        &mut self,
        now: Now,
        claim: Claim<'_>,
        has_mail: impl FnOnce(MemberId) -> bool,
    ) -> ClaimAnswer {
        let invitation = match self.invitation(now, claim) {
            Ok(invitation) => invitation,
            Err(reason) => return ClaimAnswer::Refused(reason, None),
        };
        let by = invitation.as_ref().map(|invitation| invitation.id);
        let credentials = match invitation {
            Some(invitation) => Credentials::Invited(invitation.name),
            None => Credentials::None { closed: self.is_closed },
        };
        match self.members.register(claim.name, claim.key, &credentials) {
            RegisterResult::Owned(member) => ClaimAnswer::Owned(member),
            RegisterResult::Waiting(member) => ClaimAnswer::Waiting(member),
            RegisterResult::Refused(reason, other) => {
                let counted = claim.ip.filter(|_| self.per_sender && other.is_some());
                match counted.is_none_or(|ip| self.registration_limits.admit_refusal(now.tick, ip)) {
                    true => ClaimAnswer::Refused(reason, other),
                    false => ClaimAnswer::Refused(NameReason::TooMany, None),
                }
            }
            RegisterResult::New(member) | RegisterResult::Again(member) => {
                let refusal = self.new_name_refusal(now, member, (claim.ip, by), has_mail(member));
                if let Some((reason, other)) = refusal {
                    self.members.abandon(member);
                    return ClaimAnswer::Refused(reason, other);
                }
                by.into_iter().for_each(|by| self.invitations.set_in_use(by, true));
                ClaimAnswer::New(member, by)
            }
        }
    }

    /// Returns the invitation of this secret, if it is needed and valid.
    ///
    /// # Errors
    /// The reason of the refusal.
    fn invitation(&mut self, now: Now, claim: Claim<'_>) -> Result<Option<Invitation>, NameReason> {
        let Claim { name, key, secret, ip } = claim;
        if secret.is_empty() || self.members.owns(name, key) {
            return Ok(None);
        }
        let counted = ip.filter(|_| self.per_sender);
        if !counted.is_none_or(|ip| self.registration_limits.admit_secret(now.tick, ip)) {
            return Err(NameReason::TooMany);
        }
        match self.invitations.find(now.wall, secret) {
            Some(invitation) => Ok(Some(invitation.clone())),
            None if self.is_closed => Err(NameReason::Closed),
            // An open relay needs no invitation, so an invalid secret does not matter.
            None => Ok(None),
        }
    }

    /// Returns the reason why a name that is free is refused. It is already in `members`. Invited
    /// members do not count against the rate of their address.
    fn new_name_refusal(
        &mut self,
        now: Now,
        member: MemberId,
        (ip, by): (Option<IpAddr>, Option<InvitationId>),
        has_mail: bool,
    ) -> Option<(NameReason, Option<Name>)> {
        let name = self.members.name(member);
        if self.invitations.is_promised(now.wall, name, by) {
            return Some((NameReason::Kept, Some(name.clone())));
        }
        if has_mail {
            return Some((NameReason::Disk, None));
        }
        if !self.per_sender || by.is_some() {
            return None;
        }
        let live = self.members.live();
        if live > self.members_max {
            return Some((NameReason::Full, None));
        }
        let for_new = live > self.members_max.div_ceil(2);
        let is_admitted = ip.is_none_or(|ip| self.registration_limits.admit(now.tick, ip, for_new));
        (!is_admitted).then_some((NameReason::TooMany, None))
    }

    /// Handles the result of making a new name durable.
    pub(super) fn end_registration(
        &mut self,
        now: Now,
        member: MemberId,
        by: Option<InvitationId>,
        ip: Option<IpAddr>,
        durable: bool,
    ) {
        if durable {
            self.members.confirm(member);
            by.into_iter().for_each(|by| self.invitations.remove(by));
            return;
        }
        self.members.abandon(member);
        by.into_iter().for_each(|by| self.invitations.set_in_use(by, false));
        if let Some(ip) = ip.filter(|_| self.per_sender) {
            self.registration_limits.refund(now.tick, ip, by.is_some());
        }
    }

    /// Checks whether an invitation may be created.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub(super) fn check_invitation(
        &mut self,
        now: Wall,
        invitation: &Invitation,
    ) -> Result<(), InviteRefusal> {
        match self.not_free(invitation) {
            // On a relay by invitation only, the operator knows the users.
            Some((reason, other)) if reason != NameReason::Confusable || !self.is_closed => {
                Err(InviteRefusal::NotFree(reason, other))
            }
            _ if !self.invitations.has_capacity(now) => Err(InviteRefusal::Full),
            _ => Ok(()),
        }
    }

    /// Returns a member whose name looks like the invited one.
    pub(super) fn looks_like(&self, invitation: &Invitation) -> Option<Name> {
        match self.not_free(invitation)? {
            (NameReason::Confusable, other) => Some(other),
            _ => None,
        }
    }

    /// Adds an invitation that is durable. Returns whether it replaces one for the same name.
    pub(super) fn add_invitation(&mut self, invitation: Invitation) -> bool {
        self.invitations.add(invitation)
    }

    fn not_free(&self, invitation: &Invitation) -> Option<(NameReason, Name)> {
        invitation.name.as_ref().and_then(|name| self.members.not_free(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Tick;

    const SECRET: &[u8] = b"sixteen bytes of";

    fn now() -> Now {
        Now { tick: Tick::from_micros(1), wall: Wall(1_000) }
    }

    fn directory(limits: Limits, invitations: Vec<Invitation>) -> Directory {
        Directory::new(Members::new(Vec::new(), Vec::new()), invitations, [1; 32], &limits)
    }

    fn claim(name: &str, key: u8) -> Claim<'_> {
        Claim { name, key: PublicKey([key; 32]), secret: &[], ip: Some([192, 0, 2, 1].into()) }
    }

    fn invitation(name: Option<&str>) -> Invitation {
        let name = name.map(|name| name.parse().unwrap());
        Invitation { id: InvitationId::of(SECRET), name, created_at: Wall(0), until: Wall(2_000) }
    }

    fn refused(reason: NameReason, other: Option<&str>) -> ClaimAnswer {
        ClaimAnswer::Refused(reason, other.map(|name| name.parse().unwrap()))
    }

    #[test]
    fn name_belongs_to_first_key_once_durable() {
        let mut names = directory(Limits::default(), Vec::new());
        let answer = |names: &mut Directory, key| names.claim(now(), claim("TOM", key), |_| false);
        let tom = MemberId(0);
        assert_eq!(answer(&mut names, 1), ClaimAnswer::New(tom, None));
        assert_eq!(answer(&mut names, 1), ClaimAnswer::Waiting(tom));
        assert_eq!(answer(&mut names, 2), refused(NameReason::Taken, Some("TOM")));
        names.end_registration(now(), tom, None, None, true);
        assert_eq!(answer(&mut names, 1), ClaimAnswer::Owned(tom));
        assert_eq!(answer(&mut names, 2), refused(NameReason::Taken, Some("TOM")));
    }

    #[test]
    fn failed_write_gives_name_and_count_back() {
        let mut names = directory(Limits { names_per_hour: 1, ..Limits::default() }, Vec::new());
        for key in 1..9 {
            let answer = names.claim(now(), claim("TOM", key), |_| false);
            let ClaimAnswer::New(member, None) = answer else { panic!("{answer:?}") };
            names.end_registration(now(), member, None, claim("TOM", key).ip, false);
        }
        assert!(matches!(names.claim(now(), claim("TOM", 9), |_| false), ClaimAnswer::New(..)));
        let one_more = names.claim(now(), claim("JACK", 10), |_| false);
        assert_eq!(one_more, refused(NameReason::TooMany, None), "one name in an hour");
    }

    #[test]
    fn name_with_letters_to_refuse_has_no_new_owner_yet() {
        let mut names = directory(Limits::default(), Vec::new());
        assert_eq!(names.claim(now(), claim("TOM", 1), |_| true), refused(NameReason::Disk, None));
        assert!(matches!(names.claim(now(), claim("TOM", 2), |_| false), ClaimAnswer::New(..)));
    }

    #[test]
    fn invitation_is_used_up_by_durable_name_only() {
        let closed = Limits { closed: true, ..Limits::default() };
        let mut names = directory(closed, vec![invitation(None)]);
        let invited = |name, key| Claim { secret: SECRET, ..claim(name, key) };
        assert_eq!(names.claim(now(), claim("TOM", 1), |_| false), refused(NameReason::Closed, None));
        for durable in [false, true] {
            let answer = names.claim(now(), invited("TOM", 1), |_| false);
            let ClaimAnswer::New(member, by @ Some(_)) = answer else { panic!("{answer:?}") };
            let other = names.claim(now(), invited("JACK", 2), |_| false);
            assert_eq!(other, refused(NameReason::Closed, None), "it is in use");
            names.end_registration(now(), member, by, None, durable);
        }
        assert_eq!(names.claim(now(), invited("JACK", 2), |_| false), refused(NameReason::Closed, None));
    }

    #[test]
    fn invited_name_is_kept_for_invited_key() {
        let mut names = directory(Limits::default(), Vec::new());
        let jack = invitation(Some("JACK"));
        assert_eq!(names.check_invitation(now().wall, &jack), Ok(()));
        assert_eq!(names.looks_like(&jack), None);
        assert!(!names.add_invitation(jack.clone()));
        let answer = names.claim(now(), claim("JACK", 1), |_| false);
        assert_eq!(answer, refused(NameReason::Kept, Some("JACK")));
        let invited = Claim { secret: SECRET, ..claim("JACK", 2) };
        assert!(matches!(names.claim(now(), invited, |_| false), ClaimAnswer::New(_, Some(_))));
        let taken = InviteRefusal::NotFree(NameReason::Taken, "JACK".parse().unwrap());
        assert_eq!(names.check_invitation(now().wall, &jack), Err(taken));
    }
}
