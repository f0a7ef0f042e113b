//! Requests of the operator: to invite a user or to remove a member.

use crate::base::{Effect, Name, Now, Wall};
use crate::wire::frame::close;
use crate::wire::message::NameReason;

use super::mailbox::Wait;
use super::members::MemberId;
use super::records::Record;
use super::roll::{Change, Invitation};
use super::unwritten::Kept;
use super::{Event, Out, Relay};

/// A request of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create an invitation.
    Invite(Invitation),
    /// Remove a member: its session ends, waiting letters are refused to their senders, its name is
    /// kept.
    Remove(Name),
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
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
pub(super) struct Asked {
    id: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Invite(Invitation),
    Remove(MemberId),
}

impl Relay {
    /// Handles a request; answered by [`Event::Answered`].
    pub(super) fn handle_request(&mut self, now: Now, id: u64, request: Request, out: &mut Out) {
        let (what, change) = match request {
            Request::Invite(invitation) => {
                let refused = match self.not_free(&invitation) {
                    // On a relay by invitation only, the operator knows the users.
                    Some((reason, other)) if reason != NameReason::Confusable || !self.limits.closed => {
                        Some(Outcome::NotFree(reason, other))
                    }
                    _ => (!self.invitations.has_room(now.wall)).then_some(Outcome::Full),
                };
                if let Some(outcome) = refused {
                    return out.show(Event::Answered { id, outcome });
                }
                (What::Invite(invitation.clone()), Change::Invited(invitation))
            }
            Request::Remove(name) => match self.members.find(name.as_str()) {
                None => return out.show(Event::Answered { id, outcome: Outcome::Unknown }),
                Some(member) => {
                    let name = self.members.name(member).clone();
                    let key = self.members.key(member);
                    (What::Remove(member), Change::Removed { name, key })
                }
            },
        };
        let ticket = self.tickets.issue(Wait::Asked(Asked { id, what }));
        out.effects.push(Effect::Persist(ticket, Record::Roll(change)));
    }

    /// Handles the commit or the failure of a request's record.
    pub(super) fn handle_asked(&mut self, now: Now, asked: Asked, durable: bool, out: &mut Out) {
        let Asked { id, what } = asked;
        let mut outcome = Outcome::Done;
        match what {
            _ if !durable => outcome = Outcome::Disk,
            What::Invite(invitation) => {
                if let Some((NameReason::Confusable, other)) = self.not_free(&invitation) {
                    outcome = Outcome::Alike(other);
                }
                self.invitations.add(invitation);
            }
            What::Remove(member) => self.expel(now, member, out),
        }
        out.show(Event::Answered { id, outcome });
    }

    fn not_free(&self, invitation: &Invitation) -> Option<(NameReason, Name)> {
        invitation.name.as_ref().and_then(|name| self.members.not_free(name))
    }

    fn expel(&mut self, now: Now, member: MemberId, out: &mut Out) {
        if self.members.is_removed(member) {
            return;
        }
        if let Some(slot) = self.places[member.0].session {
            self.sign_out(now.tick, slot, out);
            self.close_session(now.tick, slot, close::REFUSED, "removed");
        }
        self.members.remove(member);
        self.forget_unused(member);
        self.forget_outboxes(member);
        if !std::mem::take(&mut self.places[member.0].blocked).is_empty() {
            // A block list that was being written when the member was removed must not apply to the
            // next owner of the name.
            self.write_blocked(member, out);
        }
        self.turn_all_away(now.tick, member, out);
    }

    /// Persists the time of a member's last sign-in or sign-out.
    pub(super) fn note_seen(&mut self, member: MemberId, out: &mut Out) {
        let at = self.wall;
        if at > Wall(0) {
            self.write_seen(member, at, out);
        }
    }

    pub(super) fn write_seen(&mut self, member: MemberId, at: Wall, out: &mut Out) {
        if self.members.is_durable(member) {
            let name = self.members.name(member).clone();
            let ticket = self.keep(Kept::Seen(member), Record::Roll(Change::Seen { name, at }), out);
            self.unwritten.seen.insert(member, (at, ticket));
        }
    }
}
