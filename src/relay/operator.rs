//! What the operator asks of a relay: to invite somebody, to remove a member.

use crate::base::{Effect, Name, Now, Wall};
use crate::wire::frame::close;
use crate::wire::message::NameReason;

use super::mailbox::Wait;
use super::members::MemberId;
use super::records::Record;
use super::roll::{Change, Invitation};
use super::unwritten::Kept;
use super::{Event, Out, Relay};

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let somebody in.
    Invite(Invitation),
    /// Take a member out: its session ends, letters that wait for it go back to their authors, its name is kept.
    Remove(Name),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, durably.
    Done,
    /// It is done, durably: the invitation is to a name that looks like this member's.
    Alike(Name),
    /// Nobody is called so.
    Unknown,
    /// The name is somebody else's, looks like this one, or is the relay's.
    NotFree(NameReason, Name),
    /// There are [`super::INVITATIONS_MAX`] invitations.
    Full,
    /// It could not be written down.
    Disk,
}

/// A request that waits for the disk.
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
    /// Takes a request; [`Event::Answered`] says what became of it.
    pub(super) fn handle_request(&mut self, now: Now, id: u64, request: Request, out: &mut Out) {
        let (what, change) = match request {
            Request::Invite(invitation) => {
                let refused = match self.not_free(&invitation) {
                    // The operator knows who comes to a relay that is by invitation only.
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
                    let (name, key) = (self.members.name(member).clone(), self.members.key(member));
                    (What::Remove(member), Change::Removed { name, key })
                }
            },
        };
        let ticket = self.tickets.issue(Wait::Asked(Asked { id, what }));
        out.effects.push(Effect::Persist(ticket, Record::Roll(change)));
    }

    /// A request is durable, or could not become so.
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
            // A list that was on its way when the member was removed is not for the next who has
            // the name.
            self.write_blocked(member, out);
        }
        self.turn_all_away(now.tick, member, out);
    }

    /// Writes down when a member was here last.
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
