//! Requests of the operator: to invite a user or to remove a member.

use crate::base::{Effect, Name, Now, Wall};
use crate::wire::frame::close;
use crate::wire::message::NameReason;

use super::directory::InviteRefusal;
use super::ids::MemberId;
use super::mailbox_storage::StoreContinuation;
use super::membership::{Invitation, MembershipChange};
use super::records::Record;
use super::unwritten::RecordKey;
use super::{Event, Out, Relay};

/// A request of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorRequest {
    /// Create an invitation.
    Invite(Invitation),
    /// Remove a member: its session ends, waiting letters are refused to their senders, its name is
    /// kept.
    Remove(Name),
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorOutcome {
    /// Done, durably.
    Done,
    /// Done, durably; the invitation is to a name that looks like this member's.
    Alike(Name),
    /// No member has this name.
    Unknown,
    /// The name is another member's, looks like one, or is reserved.
    NotFree(NameReason, Name),
    /// There are already [`super::INVITATIONS_MAX`] invitations.
    Full,
    /// The record could not be written.
    Disk,
}

/// A request whose record is being written.
#[derive(Clone, Debug)]
pub(super) struct PendingRequest {
    id: u64,
    kind: RequestKind,
}

#[derive(Clone, Debug)]
enum RequestKind {
    Invite(Invitation),
    Remove(MemberId),
}

impl Relay {
    /// Handles a request; answered by [`Event::Answered`].
    pub(super) fn handle_request(&mut self, now: Now, id: u64, request: OperatorRequest, out: &mut Out) {
        let (kind, change) = match request {
            OperatorRequest::Invite(invitation) => {
                let refused = match self.directory.check_invitation(now.wall, &invitation) {
                    Ok(()) => None,
                    Err(InviteRefusal::NotFree(reason, other)) => {
                        Some(OperatorOutcome::NotFree(reason, other))
                    }
                    Err(InviteRefusal::Full) => Some(OperatorOutcome::Full),
                };
                if let Some(outcome) = refused {
                    return out.show(Event::Answered { id, outcome });
                }
                (RequestKind::Invite(invitation.clone()), MembershipChange::Invited(invitation))
            }
            OperatorRequest::Remove(name) => match self.directory.members.find(name.as_str()) {
                None => return out.show(Event::Answered { id, outcome: OperatorOutcome::Unknown }),
                Some(member) => {
                    let name = self.directory.members.name(member).clone();
                    let key = self.directory.members.key(member);
                    (RequestKind::Remove(member), MembershipChange::Removed { name, key })
                }
            },
        };
        let ticket = self.tickets.issue(StoreContinuation::OperatorRequest(PendingRequest { id, kind }));
        out.effects.push(Effect::Persist(ticket, Record::Membership(change)));
    }

    /// Handles the commit or the failure of a request's record.
    pub(super) fn handle_request_stored(
        &mut self,
        now: Now,
        pending: PendingRequest,
        durable: bool,
        out: &mut Out,
    ) {
        let PendingRequest { id, kind } = pending;
        let mut outcome = OperatorOutcome::Done;
        match kind {
            _ if !durable => outcome = OperatorOutcome::Disk,
            RequestKind::Invite(invitation) => {
                let name = invitation.name.clone();
                let alike = self.directory.looks_like(&invitation);
                outcome = alike.map_or(OperatorOutcome::Done, OperatorOutcome::Alike);
                let replaces = self.directory.add_invitation(invitation);
                out.show(Event::Invited { name, replaces });
            }
            RequestKind::Remove(member) => self.remove_member(now, member, out),
        }
        out.show(Event::Answered { id, outcome });
    }

    fn remove_member(&mut self, now: Now, member: MemberId, out: &mut Out) {
        if self.directory.members.is_removed(member) {
            return;
        }
        if let Some(slot) = self.member_states[member.0].session {
            self.sign_out(now.tick, slot, out);
            self.close_session(now.tick, slot, close::REFUSED, "removed");
        }
        self.directory.members.remove(member);
        out.show(Event::Removed(self.directory.members.name(member).clone()));
        self.forget_unused(member);
        self.forget_outboxes(member);
        if !std::mem::take(&mut self.member_states[member.0].lists).is_empty() {
            // Lists that were being written when the member was removed must not apply to the next
            // owner of the name.
            self.write_lists(member, out);
        }
        self.reject_all(now.tick, member, out);
    }

    /// Persists the time of a member's last sign-in or sign-out.
    pub(super) fn record_seen(&mut self, member: MemberId, out: &mut Out) {
        let at = self.wall;
        if at > Wall(0) {
            self.write_seen(member, at, out);
        }
    }

    pub(super) fn write_seen(&mut self, member: MemberId, at: Wall, out: &mut Out) {
        if self.directory.members.is_durable(member) {
            let name = self.directory.members.name(member).clone();
            let ticket = self.persist_keyed(
                RecordKey::Seen(member),
                Record::Membership(MembershipChange::Seen { name, at }),
                out,
            );
            self.unwritten.unwritten_sign_ins.insert(member, (at, ticket));
        }
    }
}
