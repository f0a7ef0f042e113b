//! Sign-in: assigns a name to a session.

use std::net::{IpAddr, SocketAddr};

use crate::base::{Name, Now, Path, Tick};
use crate::wire::features::Features;
use crate::wire::frame::close;
use crate::wire::message::{NameReason, OutboxMark, ToClient};

use super::directory::{Claim, ClaimAnswer};
use super::ids::{MemberId, SessionSlot};
use super::limits::TAKEOVER_INTERVAL;
use super::mailbox::Mailbox;
use super::mailbox_storage::StoreContinuation;
use super::marks::{IntakePolicy, OutboxClaim};
use super::membership::{InvitationId, MembershipChange};
use super::sessions::SignInState;
use super::{Event, Out, Record, Relay};

/// Content of a sign-in.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignInRequest<'a> {
    pub(super) name: &'a str,
    pub(super) invite: &'a [u8],
    pub(super) block_list_follows: bool,
    pub(super) outbox: Option<OutboxMark<'a>>,
    pub(super) features: Features,
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
        let claim = Claim { name, key, secret: invite, ip };
        let states = &self.member_states;
        let has_mail = |member: MemberId| states.get(member.0).is_some_and(|state| state.mailbox.has_mail());
        match self.directory.claim(now, claim, has_mail) {
            ClaimAnswer::Owned(member) => match self.takeover_wait(now.tick, slot, member) {
                Some(until) => self.hold_sign_in(slot, member, until),
                None => self.admit(now, slot, member, out),
            },
            ClaimAnswer::Waiting(member) => self.await_registration(slot, member),
            ClaimAnswer::Refused(reason, other) => {
                let other = other.as_ref().map_or("", Name::as_str);
                self.refuse_name(slot, name, reason, other, out);
            }
            ClaimAnswer::New(member, by) => self.register(now, slot, member, by, out),
        }
    }

    /// Persists a new member.
    fn register(
        &mut self,
        now: Now,
        slot: SessionSlot,
        member: MemberId,
        by: Option<InvitationId>,
        out: &mut Out,
    ) {
        let len = self.member_states.len().max(member.0 + 1);
        self.member_states.resize_with(len, Default::default);
        let name = self.directory.members.name(member).clone();
        let key = self.directory.members.key(member);
        let since = self.mailboxes.clock.now(now.tick);
        self.await_registration(slot, member);
        let record = match by {
            None => Record::Member { name, key, since },
            Some(by) => Record::Membership(MembershipChange::Joined { name, key, by, since }),
        };
        self.persist(StoreContinuation::Member(member, by, since), record, out);
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
        let key = self.directory.members.key(member);
        let name = self.directory.members.name(member).clone();
        let waiting = self.sessions.waiting_for(member, key);
        let path = waiting.first().and_then(|slot| self.sessions.path(*slot));
        self.directory.end_registration(now, member, by, self.remote_ip(path), durable);
        if durable {
            self.note_unused(now.tick, member, since);
            self.stats.names_registered += 1;
            out.show(Event::Registered { name: name.clone(), by_invitation: by.is_some() });
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
        if self.directory.members.is_removed(member) {
            return self.refuse_member(slot, member, NameReason::Removed, out);
        }
        if !self.directory.members.is_durable(member) {
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
            name: self.directory.members.name(member).clone(),
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
        let name = self.directory.members.name(member).clone();
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
