//! Sign-in: assigns a name to a session.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::{Now, Path, PublicKey, Rate, Tick};
use crate::session::SourceRateLimiter;
use crate::wire::features::Features;
use crate::wire::frame::close;
use crate::wire::message::{NameReason, OutboxMark, ToClient};

use super::ids::MemberId;
use super::ids::SessionSlot;
use super::limits::{LOOKUP_RATE, Limits, TAKEOVER_INTERVAL};
use super::mailbox::Mailbox;
use super::mailbox_storage::StoreContinuation;
use super::marks::{IntakePolicy, OutboxClaim};
use super::members::{Credentials, RegisterResult};
use super::membership::{Invitation, InvitationId, MembershipChange};
use super::new_names::NewNames;
use super::sessions::SignInState;
use super::{Event, Out, Record, Relay};

const HOUR: Duration = Duration::from_secs(3_600);
/// Invitation secrets tried from one address, except loopback: 20 in an hour. Guessing one is
/// infeasible; this bounds the work.
const SECRET_RATE: Rate = Rate::new(Duration::from_secs(180), 20);

/// Content of a sign-in.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignInRequest<'a> {
    pub(super) name: &'a str,
    pub(super) invite: &'a [u8],
    pub(super) block_list_follows: bool,
    pub(super) outbox: Option<OutboxMark<'a>>,
    pub(super) features: Features,
}

/// Rates of registrations, refused claims and invitation secrets for each source. Tables of fixed
/// size.
#[derive(Debug)]
pub(super) struct RegistrationLimits {
    /// `None`: no registrations, except from loopback.
    new: Option<SourceRateLimiter>,
    /// `None`: the total is not limited.
    all: Option<NewNames>,
    refused: SourceRateLimiter,
    secrets: SourceRateLimiter,
}

impl RegistrationLimits {
    /// Returns full budgets. `key` is the secret of the tables' hashes.
    pub(super) fn new(key: [u8; 32], limits: &Limits) -> RegistrationLimits {
        let per_hour = limits.names_per_hour;
        let interval = HOUR.checked_div(per_hour);
        let all = limits.all_names_per_hour.filter(|_| limits.per_sender && !limits.closed);
        RegistrationLimits {
            new: interval.map(|interval| SourceRateLimiter::new(key, Rate::new(interval, per_hour))),
            all: all.map(|per_hour| NewNames::new(key, per_hour)),
            refused: SourceRateLimiter::new(key, LOOKUP_RATE),
            secrets: SourceRateLimiter::new(key, SECRET_RATE),
        }
    }

    /// Counts one more name of this source. Returns `false` if the hourly rate of the source or of
    /// all sources is exceeded.
    ///
    /// `for_new`: only networks without a registration today get a name.
    fn admit(&mut self, now: Tick, ip: IpAddr, for_new: bool) -> bool {
        if !self.new.as_mut().map_or(ip.is_loopback(), |new| new.admit(now, ip)) {
            return false;
        }
        let is_admitted = self.all.as_mut().is_none_or(|all| all.admit(now, ip, for_new));
        if !is_admitted && let Some(new) = &mut self.new {
            new.refund(ip);
        }
        is_admitted
    }

    /// Counts one more secret. Returns `false` if this source has tried too many.
    fn admit_secret(&mut self, now: Tick, ip: IpAddr) -> bool {
        self.secrets.admit(now, ip)
    }

    /// Takes back the count of a name that could not be persisted, or of the secret used for it.
    fn refund(&mut self, now: Tick, ip: IpAddr, with_secret: bool) {
        if with_secret {
            return self.secrets.refund(ip);
        }
        self.new.iter_mut().for_each(|new| new.refund(ip));
        self.all.iter_mut().for_each(|all| all.refund(now, ip));
    }

    /// Counts one more claim to another member's name. Returns `false` if this source has received
    /// too many such refusals.
    fn admit_refusal(&mut self, now: Tick, ip: IpAddr) -> bool {
        self.refused.admit(now, ip)
    }
}

impl Relay {
    /// Handles a sign-in.
    pub(super) fn sign_in(&mut self, now: Now, slot: SessionSlot, request: SignInRequest<'_>, out: &mut Out) {
        let SignInRequest { name, invite, block_list_follows, outbox, features } = request;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.sign_in != SignInState::None {
            return;
        }
        session.features = features;
        if block_list_follows {
            session.block_list.awaited = true;
        }
        if let Some(outbox) = &outbox {
            session.outbox_claim = Some(Box::new(OutboxClaim::of(outbox)));
        }
        let key = session.key;
        let path = session.peer.path();
        let ip = self.remote_ip(path);
        let invitation = match self.invitation(now, ip, name, key, invite) {
            Ok(invitation) => invitation,
            Err(reason) => return self.refuse_name(slot, name, reason, "", out),
        };
        let id = invitation.as_ref().map(|invitation| invitation.id);
        let credentials = match invitation {
            Some(invitation) => Credentials::Invited(invitation.name),
            None => Credentials::None { closed: self.limits.closed },
        };
        match self.members.register(name, key, &credentials) {
            RegisterResult::Owned(member) => match self.takeover_wait(now.tick, slot, member) {
                Some(until) => self.hold_sign_in(slot, member, until),
                None => self.admit(now, slot, member, out),
            },
            RegisterResult::Waiting(member) => self.await_registration(slot, member),
            RegisterResult::Refused(reason, in_the_way) => {
                let counted = ip.filter(|_| self.limits.per_sender && in_the_way.is_some());
                if counted.is_some_and(|ip| !self.registration_limits.admit_refusal(now.tick, ip)) {
                    return self.refuse_name(slot, name, NameReason::TooMany, "", out);
                }
                let in_the_way = in_the_way.as_ref().map_or("", |n| n.as_str());
                self.refuse_name(slot, name, reason, in_the_way, out);
            }
            RegisterResult::New(member) | RegisterResult::Again(member) => {
                self.register(now, slot, member, key, (ip, id), out);
            }
        }
    }

    /// Returns the invitation of this secret, if it is needed and valid.
    ///
    /// # Errors
    /// The reason of the refusal.
    fn invitation(
        &mut self,
        now: Now,
        ip: Option<IpAddr>,
        name: &str,
        key: PublicKey,
        secret: &[u8],
    ) -> Result<Option<Invitation>, NameReason> {
        if secret.is_empty() || self.members.owns(name, key) {
            return Ok(None);
        }
        let counted = ip.filter(|_| self.limits.per_sender);
        if !counted.is_none_or(|ip| self.registration_limits.admit_secret(now.tick, ip)) {
            return Err(NameReason::TooMany);
        }
        let invitation = self.invitations.find(now.wall, secret);
        invitation.cloned().map(Some).ok_or(NameReason::Closed).or_else(|closed| {
            // An open relay needs no invitation, so an invalid secret does not matter.
            if self.limits.closed { Err(closed) } else { Ok(None) }
        })
    }

    /// Persists a new member. Invited members do not count against the rate of their address.
    fn register(
        &mut self,
        now: Now,
        slot: SessionSlot,
        member: MemberId,
        key: PublicKey,
        (ip, by): (Option<IpAddr>, Option<InvitationId>),
        out: &mut Out,
    ) {
        let len = self.member_states.len().max(member.0 + 1);
        self.member_states.resize_with(len, Default::default);
        let name = self.members.name(member).clone();
        let since = self.mailboxes.clock.now(now.tick);
        let is_counted = self.limits.per_sender && by.is_none();
        let refusal = if self.invitations.is_promised(now.wall, &name, by) {
            Some((NameReason::Kept, name.as_str()))
        } else if self.member_states[member.0].mailbox.has_mail() {
            // Letters for the previous owner of the name are still being refused.
            Some((NameReason::Disk, ""))
        } else if is_counted {
            self.capacity_refusal(now.tick, ip).map(|reason| (reason, ""))
        } else {
            None
        };
        if let Some((reason, in_the_way)) = refusal {
            self.members.abandon(member);
            return self.refuse_name(slot, name.as_str(), reason, in_the_way, out);
        }
        self.await_registration(slot, member);
        let record = match by {
            None => Record::Member { name, key, since },
            Some(by) => {
                self.invitations.set_in_use(by, true);
                Record::Membership(MembershipChange::Joined { name, key, by, since })
            }
        };
        self.persist(StoreContinuation::Member(member, by, since), record, out);
    }

    /// Returns the reason why a name without an invitation is refused. The name is already in
    /// `members`.
    fn capacity_refusal(&mut self, now: Tick, ip: Option<IpAddr>) -> Option<NameReason> {
        let live = self.members.live();
        let members_max = self.limits.members_max;
        if live > members_max {
            return Some(NameReason::Full);
        }
        let for_new = live > members_max.div_ceil(2);
        let is_admitted = ip.is_none_or(|ip| self.registration_limits.admit(now, ip, for_new));
        (!is_admitted).then_some(NameReason::TooMany)
    }

    /// Handles the result of persisting a registration.
    pub(super) fn handle_registered(
        &mut self,
        now: Now,
        member: MemberId,
        by: Option<InvitationId>,
        since: u64,
        durable: bool,
        out: &mut Out,
    ) {
        let key = self.members.key(member);
        let name = self.members.name(member).clone();
        if durable {
            self.members.confirm(member);
            self.note_unused(now.tick, member, since);
            self.stats.names_registered += 1;
            out.show(Event::Registered { name: name.clone(), by_invitation: by.is_some() });
        } else {
            self.members.abandon(member);
        }
        match by {
            Some(by) if durable => self.invitations.remove(by),
            Some(by) => self.invitations.set_in_use(by, false),
            None => {}
        }
        let waiting = self.sessions.waiting_for(member, key);
        let path = waiting.first().and_then(|slot| self.sessions.path(*slot));
        if let Some(ip) = self.remote_ip(path).filter(|_| !durable && self.limits.per_sender) {
            self.registration_limits.refund(now.tick, ip, by.is_some());
        }
        for slot in waiting {
            if durable {
                self.admit(now, slot, member, out);
            } else {
                self.refuse_name(slot, name.as_str(), NameReason::Disk, "", out);
            }
        }
    }

    pub(super) fn await_registration(&mut self, slot: SessionSlot, member: MemberId) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.sign_in = SignInState::Waiting(member);
        }
    }

    /// Repeats the sign-in of a session that waited while its name was being freed.
    pub(super) fn sign_in_again(&mut self, now: Now, slot: SessionSlot, name: &str, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.sign_in = SignInState::None;
        let features = session.features;
        let again = SignInRequest { name, invite: &[], block_list_follows: false, outbox: None, features };
        self.sign_in(now, slot, again, out);
        self.sessions.mark(slot);
    }

    /// Returns the time from which a member's name may move to another machine, if that is later.
    ///
    /// A process restarted on the same machine is not delayed.
    fn takeover_wait(&self, now: Tick, slot: SessionSlot, member: MemberId) -> Option<Tick> {
        let until = self.member_states[member.0].taken_over_at? + TAKEOVER_INTERVAL;
        (until > now && self.is_takeover(slot, member)).then_some(until)
    }

    /// Whether this session would replace a live session of the member on another machine.
    fn is_takeover(&self, slot: SessionSlot, member: MemberId) -> bool {
        let ip_of = |slot: SessionSlot| self.remote_ip(self.sessions.path(slot));
        let earlier = self.receiving_session(member).filter(|earlier| *earlier != slot).and_then(ip_of);
        earlier.is_some_and(|earlier| ip_of(slot) != Some(earlier))
    }

    fn hold_sign_in(&mut self, slot: SessionSlot, member: MemberId, until: Tick) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.sign_in = SignInState::Held(member, until);
            self.sessions.mark(slot);
        }
    }

    /// Ends the delay of a sign-in. Its member may have been removed in the meantime.
    pub(super) fn release_sign_in(&mut self, now: Now, slot: SessionSlot, member: MemberId, out: &mut Out) {
        if self.members.is_removed(member) {
            return self.refuse_member(slot, member, NameReason::Removed, out);
        }
        if !self.members.is_durable(member) {
            return self.refuse_member(slot, member, NameReason::Disk, out);
        }
        self.admit(now, slot, member, out);
    }

    /// Welcomes the session as its member's and closes an earlier one.
    ///
    /// A session begun before the member's present one arrives late: its client has given it up and
    /// made another, so it is closed. Until the mark is written, new letters of the session are
    /// refused.
    pub(super) fn welcome(
        &mut self,
        now: Now,
        slot: SessionSlot,
        member: MemberId,
        mark_unwritten: bool,
        out: &mut Out,
    ) {
        let present = self.member_states[member.0].session;
        if present.is_some_and(|present| self.sessions.is_before(slot, present)) {
            return self.close_session(now.tick, slot, close::DONE, "a later session has signed in");
        }
        if self.is_takeover(slot, member) {
            self.member_states[member.0].taken_over_at = Some(now.tick);
        }
        let earlier = self.member_states[member.0].session.replace(slot);
        if let Some(earlier) = earlier.filter(|e| *e != slot) {
            self.displace(now, earlier);
            self.member_states[member.0].mailbox.get_allocated_mut().map(Mailbox::handle_session_end);
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.sign_in = SignInState::Done(member);
        let outbox = session.outbox_claim.take().map(|claim| claim.outbox());
        session.intake = if mark_unwritten { IntakePolicy::KnownOnly } else { IntakePolicy::All };
        session.peer.grant_full_credit();
        let path = session.peer.path();
        session.send_control(&ToClient::Welcome {
            text_max: self.limits.text_max() as u32,
            mailbox_letters: self.limits.pair_letters as u32,
            mailbox_bytes: self.limits.pair_bytes as u64,
            kept_s: u32::try_from(self.limits.keep.as_secs()).unwrap_or(u32::MAX),
            mark_unwritten,
            features: Features::OURS,
        });
        if let Some(path) = path {
            self.count_as_member(now.tick, path, slot);
        }
        if let Some(flows) = self.member_states[member.0].flows.get_allocated_mut() {
            flows.begin_session(outbox);
        }
        self.sessions.set_stranger(slot, false);
        self.sessions.mark(slot);
        self.stats.sign_ins += 1;
        out.show(Event::SignedIn {
            name: self.members.name(member).clone(),
            from: path.and_then(|path| self.remote_addr(path)),
            via: path.map(Path::carrier),
        });
        self.record_seen(member, out);
        self.note_present(now.tick, member, out);
        self.read_control(now, slot, out);
        self.read_chat(now, slot, out);
    }

    /// Refuses the name `requested`, perhaps because of the name `in_the_way`, which may be empty.
    pub(super) fn refuse_name(
        &mut self,
        slot: SessionSlot,
        requested: &str,
        reason: NameReason,
        in_the_way: &str,
        out: &mut Out,
    ) {
        self.stats.names_refused += 1;
        out.show(Event::NameRefused { name: requested.to_owned(), reason });
        if let Some(session) = self.sessions.get_mut(slot) {
            session.sign_in = SignInState::Refused;
            session.send_control(&ToClient::NameRefused { reason, name: in_the_way });
            self.sessions.mark(slot);
        }
    }

    /// Refuses a session the name of this member, which it had requested.
    pub(super) fn refuse_member(
        &mut self,
        slot: SessionSlot,
        member: MemberId,
        reason: NameReason,
        out: &mut Out,
    ) {
        let name = self.members.name(member).clone();
        self.refuse_name(slot, name.as_str(), reason, "", out);
    }

    fn remote_ip(&self, path: Option<Path>) -> Option<IpAddr> {
        self.remote_addr(path?).map(|addr| addr.ip())
    }

    fn remote_addr(&self, path: Path) -> Option<SocketAddr> {
        match path {
            Path::Tcp(conn) => self.conns.remote(conn),
            path => path.udp_peer(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_registers_few_names_per_hour() {
        let limits = Limits { all_names_per_hour: None, ..Limits::default() };
        let mut registration_limits = RegistrationLimits::new([1; 32], &limits);
        let start = Tick::from_micros(1);
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut admits = |now, ip| registration_limits.admit(now, ip, false);
        assert!((0..5).all(|_| admits(start, ip)));
        assert!(!admits(start, ip));
        assert!(admits(start, IpAddr::from([192, 0, 2, 2])));
        assert!(admits(start + HOUR / 5, ip) && !admits(start + HOUR / 5, ip));
        assert!((0..50).all(|_| admits(start, IpAddr::from([127, 0, 0, 1]))));
        let none = Limits { names_per_hour: 0, ..limits };
        assert!(!RegistrationLimits::new([1; 32], &none).admit(start, ip, false));
    }
}
