//! Detection of old copies of members' outboxes.
//!
//! A member's folder may be restored from a backup, or used in two places. Its client would then
//! reuse letter numbers. A relay that identifies letters by number would take the later ones for
//! repetitions, and report letters as delivered that were never sent to anyone. A client therefore
//! counts how often it has opened its outbox or signed in with it. It sends this *mark* with each
//! sign-in and each letter.
//!
//! A sign-in is an old copy's if another copy has signed in since the two parted. Then the mark and
//! token of the last sign-in are not in the list of those it has sent
//! ([`crate::wire::message::OutboxMark`]). It is refused, and the client returns with a new outbox.
//! A copy made while its original had a session shows only by its letters. One of them has a number
//! taken before, under a mark above that of the last letter taken ([`super::flows`]). If a killed
//! relay has forgotten the letters of a session, their recipients have not
//! ([`crate::wire::message::Reason::OldCopy`]).
//!
//! A session sends another mark once its client has refusals on disk that an earlier copy does not
//! know. Such a copy would apply a receipt for later letters to one of the refused letters as well.
//!
//! Invariant: a member is welcomed only once the mark of its sign-in is durable. While the disk
//! accepts none, its letters are refused as `full`.

use crate::base::{Mark, Name, Now, OutboxId, blank};
use crate::wire::frame::close;
use crate::wire::message::{Letter, NameReason, OutboxMark, Reason, Said, ToClient};

use super::limits::{OUTBOXES_MAX, SPILL_AFTER};
use super::mailbox::Wait;
use super::members::MemberId;
use super::records::{KeptOutbox, Record};
use super::sessions::{RefusedLetter, SignIn, Slot};
use super::unwritten::Kept;
use super::{Out, Relay};

/// One outbox of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outbox {
    id: OutboxId,
    /// Mark and token of the last sign-in with it.
    said: Said,
    /// Time of that sign-in, in milliseconds of the uptime clock.
    used: u64,
}

/// The outboxes of one member: at most [`OUTBOXES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Outboxes(Vec<Outbox>);

blank!(Outboxes, Outboxes(Vec::new()), |outboxes| outboxes.0.is_empty());

impl Outboxes {
    /// Restores one of them from disk.
    pub(super) fn found_on_disk(&mut self, id: OutboxId, said: Said, used: u64) {
        self.0.push(Outbox { id, said, used });
    }

    /// Whether another copy of this outbox has signed in since the one that signs in now parted
    /// from it.
    fn is_old(&self, claim: &Claim) -> bool {
        let Some(last) = self.0.iter().find(|outbox| outbox.id == claim.id).map(|outbox| outbox.said) else {
            return false;
        };
        let is_known = claim.earlier.contains(&last);
        // The relay was restored from an older state: it knows less than any copy.
        let is_behind = claim.earlier.iter().all(|earlier| last.mark < earlier.mark);
        last.mark >= claim.said.mark || !(is_known || is_behind && !claim.earlier.is_empty())
    }

    /// Records a sign-in. Returns `false` if there are too many other outboxes.
    fn note(&mut self, claim: &Claim, used: u64) -> bool {
        let outbox = Outbox { id: claim.id, said: claim.said, used };
        if let Some(known) = self.0.iter_mut().find(|known| known.id == claim.id) {
            *known = outbox;
            return true;
        }
        let has_room = self.0.len() < OUTBOXES_MAX;
        if has_room {
            self.0.reserve_exact(1);
            self.0.push(outbox);
        }
        has_room
    }

    /// Raises the mark of an outbox within a session. Returns `false` if the outbox is unknown.
    fn raise(&mut self, id: OutboxId, said: Said, used: u64) -> bool {
        let Some(known) = self.0.iter_mut().find(|known| known.id == id) else { return false };
        if known.said.mark < said.mark {
            known.said = said;
            known.used = used;
        }
        true
    }

    /// Returns the outboxes, least recently used first.
    fn by_age(&self) -> Vec<OutboxId> {
        let mut all: Vec<(u64, OutboxId)> = self.0.iter().map(|outbox| (outbox.used, outbox.id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// Returns the rows of `member`'s outboxes.
    pub(super) fn kept(&self, member: &Name) -> impl Iterator<Item = KeptOutbox> {
        let of = |outbox: &Outbox| KeptOutbox {
            member: member.clone(),
            outbox: outbox.id,
            said: outbox.said,
            used: outbox.used,
        };
        self.0.iter().map(of)
    }

    fn forget(&mut self, id: OutboxId) {
        self.0.retain(|outbox| outbox.id != id);
    }
}

/// Content of a sign-in about its outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    id: OutboxId,
    said: Said,
    earlier: Vec<Said>,
}

impl Claim {
    pub(super) fn of(mark: &OutboxMark<'_>) -> Claim {
        Claim { id: mark.outbox, said: mark.said, earlier: mark.earlier.iter().collect() }
    }
}

/// Handling of letters from a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Taking {
    #[default]
    Letters,
    /// New letters are refused until its mark is durable.
    NoNewOnes,
    /// All letters are refused: an old copy has sent one of them.
    Nothing,
}

/// A sign-in being persisted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marking {
    slot: Slot,
    /// The session's serial number, because its slot may be reused by now.
    serial: u64,
    member: MemberId,
    outbox: OutboxId,
    /// The mark that is written.
    mark: Mark,
    /// The outbox that this record removes.
    gone: Option<OutboxId>,
}

impl Relay {
    /// Admits a session that may have the name. It is welcomed once the mark of its outbox is
    /// durable, unless the outbox is an old copy.
    pub(super) fn admit(&mut self, now: Now, slot: Slot, member: MemberId, out: &mut Out) {
        if self.places[member.0].session.is_some_and(|present| self.sessions.is_before(slot, present)) {
            return self.close_session(now.tick, slot, close::DONE, "a later session has signed in");
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let serial = session.serial;
        let claim = session.claim.clone();
        let Some(claim) = claim else { return self.welcome(now, slot, member, false, out) };
        if self.places[member.0].outboxes.is_old(&claim) {
            return self.refuse_name(slot, NameReason::OldCopy, "");
        }
        session.sign_in = SignIn::Marking(member);
        let used = self.post.clock.now(now.tick);
        self.make_room(member, &claim);
        if !self.places[member.0].outboxes.note(&claim, used) {
            // Letters wait in each of the known outboxes. This one cannot be tracked, so no letters
            // are taken from it.
            return self.welcome(now, slot, member, true, out);
        }
        self.made_room(member, Some(claim.id));
        let mark = claim.said.mark;
        self.write_mark(Marking { slot, serial, member, outbox: claim.id, mark, gone: None }, out);
    }

    /// Handles another mark within a session: copies made before it are old from here on.
    pub(super) fn handle_mark(&mut self, now: Now, slot: Slot, outbox: OutboxId, said: Said, out: &mut Out) {
        let Some(member) = self.sessions.member(slot) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if self.places[member.0].session != Some(slot) {
            return;
        }
        let serial = session.serial;
        let used = self.post.clock.now(now.tick);
        if !self.places[member.0].outboxes.raise(outbox, said, used) {
            // Its letters are not taken anyway, so there is nothing to persist.
            session.say(&ToClient::Marked { mark: said.mark });
            return self.sessions.mark(slot);
        }
        session.awaits_mark = true;
        self.write_mark(Marking { slot, serial, member, outbox, mark: said.mark, gone: None }, out);
    }

    /// Evicts the member's least recently used outbox with its flows, if a new one needs the space.
    ///
    /// Only one at a time: no other is evicted before the previous one has left the disk.
    fn make_room(&mut self, member: MemberId, claim: &Claim) {
        let outboxes = &self.places[member.0].outboxes;
        let has_room =
            outboxes.0.len() < OUTBOXES_MAX || outboxes.0.iter().any(|outbox| outbox.id == claim.id);
        if has_room || self.post.making_room.contains_key(&member) {
            return;
        }
        let Some(gone) = outboxes.by_age().into_iter().find(|id| !self.has_waiting(member, *id)) else {
            return;
        };
        let place = &mut self.places[member.0];
        place.outboxes.forget(gone);
        place.flows.drop_outbox(gone);
        self.post.making_room.insert(member, gone);
    }

    /// Handles the removal of an evicted outbox from the disk.
    pub(super) fn made_room(&mut self, member: MemberId, gone: Option<OutboxId>) {
        if gone.is_some() && self.post.making_room.get(&member).copied() == gone {
            self.post.making_room.remove(&member);
        }
    }

    /// Forgets the outboxes of a member that was removed, from the disk too.
    pub(super) fn forget_outboxes(&mut self, member: MemberId) {
        self.places[member.0].outboxes = Default::default();
        self.post.making_room.remove(&member);
    }

    /// Whether letters of this outbox wait.
    fn has_waiting(&self, member: MemberId, outbox: OutboxId) -> bool {
        let flows = self.places[member.0].flows.unfinished(outbox);
        flows.into_iter().any(|flow| self.has_letters(member, flow))
    }

    /// Refuses a letter that an old copy has numbered, and all later letters of this session.
    pub(super) fn refuse_old_copy(&mut self, slot: Slot, letter: &Letter<'_>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.taking = Taking::Nothing;
        let refusal = RefusedLetter::of(letter.to, letter.id, Reason::OldCopy);
        session.refuse(RefusedLetter { prev: letter.prev, may_have_arrived: true, ..refusal });
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }

    /// Returns the record of the last sign-in with an outbox; `None` if it was forgotten with its
    /// member.
    fn signed_in(&self, member: MemberId, outbox: OutboxId) -> Option<Record> {
        let mut all = self.places[member.0].outboxes.kept(self.members.name(member));
        let outbox = all.find(|kept| kept.outbox == outbox)?;
        let gone = self.making_room(member);
        Some(Record::SignedIn { outbox, gone })
    }

    fn making_room(&self, member: MemberId) -> Option<OutboxId> {
        self.post.making_room.get(&member).copied()
    }

    fn write_mark(&mut self, marking: Marking, out: &mut Out) {
        if let Some(record) = self.signed_in(marking.member, marking.outbox) {
            let gone = self.making_room(marking.member);
            let mark =
                if let Record::SignedIn { outbox, .. } = &record { outbox.said.mark } else { marking.mark };
            self.persist(Wait::Marked(Marking { gone, mark, ..marking }), record, out);
        }
    }

    /// Writes a sign-in whose session is gone.
    pub(super) fn write_outbox(&mut self, member: MemberId, outbox: OutboxId, out: &mut Out) {
        if let Some(record) = self.signed_in(member, outbox) {
            self.keep(Kept::Outbox(member, outbox, self.making_room(member)), record, out);
        }
    }

    /// Handles the result of writing a sign-in's mark.
    ///
    /// A failed write is repeated. Until it succeeds, the session receives waiting letters, but its
    /// new letters are refused.
    pub(super) fn handle_marked(&mut self, now: Now, marking: Marking, durable: bool, out: &mut Out) {
        let Marking { slot, serial, member, outbox, mark, gone } = marking;
        if durable {
            self.made_room(member, gone);
        }
        if !self.sessions.is_serial(slot, serial) {
            if !durable {
                self.write_later(Kept::Outbox(member, outbox, gone));
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if durable && session.taking == Taking::NoNewOnes {
            session.taking = Taking::Letters;
        }
        let is_waiting = session.sign_in == SignIn::Marking(member);
        if durable && !is_waiting {
            session.awaits_mark = false;
            session.say(&ToClient::Marked { mark });
            self.sessions.mark(slot);
        }
        if !durable {
            self.mark_later(member, marking);
            self.wake_queue(member, now.tick + SPILL_AFTER);
        }
        if !is_waiting {
            return;
        }
        if self.members.is_removed(member) {
            return self.refuse_name(slot, NameReason::Removed, "");
        }
        if !self.members.is_durable(member) {
            // The name is being freed. The session claims it again after that, with the same mark.
            self.places[member.0].outboxes.forget(outbox);
            return self.await_registration(slot, member);
        }
        self.welcome(now, slot, member, !durable, out);
    }

    /// Schedules another try for the mark of the member's latest session. The failure for an
    /// earlier session may arrive after the one for the latest, and must not replace it.
    fn mark_later(&mut self, member: MemberId, marking: Marking) {
        let mut latest = marking;
        if let Some(mut other) = self.post.marking_again.remove(&member) {
            if other.serial > latest.serial {
                std::mem::swap(&mut latest, &mut other);
            }
            if other.outbox != latest.outbox {
                self.write_later(Kept::Outbox(member, other.outbox, other.gone));
            }
        }
        self.post.marking_again.insert(member, latest);
    }

    /// Repeats a failed write of a sign-in, for which its session waits if it still exists.
    pub(super) fn mark_again(&mut self, member: MemberId, out: &mut Out) {
        let Some(marking) = self.post.marking_again.remove(&member) else { return };
        if self.sessions.is_serial(marking.slot, marking.serial) {
            self.write_mark(marking, out);
        } else {
            self.write_outbox(member, marking.outbox, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::records::Mail;
    use crate::relay::test_relay::relay_of_two;

    fn said(mark: u32) -> Said {
        Said { mark: Mark(mark), token: mark.wrapping_mul(0x9e37) }
    }

    fn claim(id: u64, now: Said, earlier: &[Said]) -> Claim {
        Claim { id: OutboxId(id), said: now, earlier: earlier.to_vec() }
    }

    fn signed_in(claims: &[Claim]) -> Outboxes {
        let mut outboxes = Outboxes::default();
        claims.iter().for_each(|claim| assert!(outboxes.note(claim, 1)));
        outboxes
    }

    #[test]
    fn sign_in_with_last_one_is_no_old_copy() {
        let outboxes = signed_in(&[claim(1, said(1), &[]), claim(1, said(4), &[said(1)])]);
        assert!(!outboxes.is_old(&claim(1, said(7), &[said(1), said(4)])));
        assert!(!outboxes.is_old(&claim(1, said(9), &[said(1), said(4), said(7)])), "one was not answered");
        assert!(!outboxes.is_old(&claim(2, said(1), &[])), "another outbox");
        assert!(outboxes.is_old(&claim(1, said(4), &[said(1), said(4)])), "a mark is used once");
    }

    /// However often the copy was opened or has tried to sign in.
    #[test]
    fn sign_in_without_last_one_is_old_copy() {
        let outboxes = signed_in(&[claim(1, said(1), &[]), claim(1, said(4), &[said(1)])]);
        for mark in [1, 2, 3, 4, 5, u32::MAX] {
            assert!(outboxes.is_old(&claim(1, said(mark), &[said(1)])), "{mark}");
            assert!(outboxes.is_old(&claim(1, said(mark), &[])), "{mark}");
        }
        let same_mark = Said { token: 7, ..said(4) };
        assert!(
            outboxes.is_old(&claim(1, said(5), &[said(1), same_mark])),
            "the other copy has the same count"
        );
    }

    /// A copy made before the session sent another mark knows all marks of earlier sign-ins.
    #[test]
    fn mark_within_session_makes_earlier_copies_old() {
        let mut outboxes = signed_in(&[claim(1, said(1), &[]), claim(1, said(4), &[said(1)])]);
        assert!(outboxes.raise(OutboxId(1), said(6), 9) && !outboxes.raise(OutboxId(2), said(6), 9));
        assert!(outboxes.is_old(&claim(1, said(7), &[said(1), said(4)])));
        assert!(!outboxes.is_old(&claim(1, said(8), &[said(1), said(4), said(6)])));
        assert!(outboxes.raise(OutboxId(1), said(5), 9));
        assert!(!outboxes.is_old(&claim(1, said(8), &[said(1), said(4), said(6)])), "6 came before 5");
    }

    #[test]
    fn restored_relay_reports_no_client_as_old_copy() {
        let outboxes = signed_in(&[claim(1, said(4), &[said(1)])]);
        assert!(!outboxes.is_old(&claim(1, said(90), &[said(60), said(70)])));
    }

    #[test]
    fn outboxes_of_member_are_bounded() {
        let mut outboxes = Outboxes::default();
        for id in 0..OUTBOXES_MAX as u64 {
            assert!(outboxes.note(&claim(id, said(1), &[]), 100 - id));
        }
        assert!(!outboxes.note(&claim(900, said(1), &[]), 7), "none is evicted silently");
        assert!(outboxes.note(&claim(3, said(2), &[said(1)]), 200));
        assert_eq!(outboxes.by_age()[..2], [OutboxId(63), OutboxId(62)]);
        assert_eq!(outboxes.by_age().last(), Some(&OutboxId(3)));
    }

    fn marking(serial: u64, outbox: u64) -> Marking {
        let outbox = OutboxId(outbox);
        Marking { slot: Slot(0), serial, member: MemberId(0), outbox, mark: Mark(3), gone: None }
    }

    /// Both sessions of a member that connects again wait for a disk that takes no marks. The
    /// failure for the earlier one arrives last.
    #[test]
    fn late_failure_for_earlier_session_keeps_latest_waiting() {
        let mut relay = relay_of_two(Mail::default());
        relay.mark_later(MemberId(0), marking(9, 1));
        relay.mark_later(MemberId(0), marking(4, 1));
        assert_eq!(relay.post.marking_again[&MemberId(0)].serial, 9);
        assert_eq!(relay.unwritten.len(), 0, "one record serves both");
        relay.mark_later(MemberId(0), marking(5, 2));
        assert_eq!(relay.post.marking_again[&MemberId(0)].serial, 9);
        assert!(relay.unwritten.has(Kept::Outbox(MemberId(0), OutboxId(2), None)), "it is written later");
    }
}
