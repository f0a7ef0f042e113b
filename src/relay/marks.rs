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

use crate::base::{Mark, Name, Now, OutboxId, empty_value};
use crate::wire::frame::close;
use crate::wire::message::{EARLIER_MARKS_MAX, Letter, MarkToken, NameReason, OutboxMark, Reason, ToClient};

use super::ids::{MemberId, SessionSlot};
use super::limits::{OUTBOXES_MAX, SPILL_AFTER};
use super::mailbox_storage::StoreContinuation;
use super::records::{PersistedOutbox, Record};
use super::sessions::{RefusedLetter, SignInState};
use super::unwritten::RecordKey;
use super::{Out, Relay};

/// One outbox of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outbox {
    id: OutboxId,
    /// Mark and token of the last sign-in with it.
    mark_token: MarkToken,
    /// Time of that sign-in, in milliseconds of the uptime clock.
    used: u64,
}

/// The outboxes of one member: at most [`OUTBOXES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Outboxes(Vec<Outbox>);

empty_value!(Outboxes, Outboxes(Vec::new()), |outboxes| outboxes.0.is_empty());

impl Outboxes {
    /// Restores one of them from disk.
    pub(super) fn restore(&mut self, id: OutboxId, mark_token: MarkToken, used: u64) {
        self.0.push(Outbox { id, mark_token, used });
    }

    /// Whether another copy of this outbox has signed in since the one that signs in now parted
    /// from it.
    fn is_old(&self, claim: &OutboxClaim) -> bool {
        let Some(last) = self.0.iter().find(|outbox| outbox.id == claim.id).map(|outbox| outbox.mark_token)
        else {
            return false;
        };
        let is_known = claim.earlier.contains(&last);
        // A shorter list has every sign-in of this copy. A full one may have lost the relay's last
        // mark: 16 sign-ins did not arrive, or the relay was restored to an older state.
        let is_behind = claim.earlier.len() == EARLIER_MARKS_MAX
            && claim.earlier.iter().all(|earlier| last.mark < earlier.mark);
        last.mark >= claim.mark_token.mark || !(is_known || is_behind)
    }

    /// Records a sign-in. Returns `false` if there are too many other outboxes.
    fn note(&mut self, claim: &OutboxClaim, used: u64) -> bool {
        let outbox = Outbox { id: claim.id, mark_token: claim.mark_token, used };
        if let Some(current) = self.0.iter_mut().find(|outbox| outbox.id == claim.id) {
            *current = outbox;
            return true;
        }
        let has_capacity = self.0.len() < OUTBOXES_MAX;
        if has_capacity {
            self.0.reserve_exact(1);
            self.0.push(outbox);
        }
        has_capacity
    }

    /// Raises the mark of an outbox within a session. Returns `false` if the outbox is unknown.
    fn raise(&mut self, id: OutboxId, mark_token: MarkToken, used: u64) -> bool {
        let Some(outbox) = self.0.iter_mut().find(|outbox| outbox.id == id) else { return false };
        if outbox.mark_token.mark < mark_token.mark {
            outbox.mark_token = mark_token;
            outbox.used = used;
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
    pub(super) fn persisted(&self, member: &Name) -> impl Iterator<Item = PersistedOutbox> {
        let of = |outbox: &Outbox| PersistedOutbox {
            member: member.clone(),
            outbox: outbox.id,
            mark_token: outbox.mark_token,
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
pub(super) struct OutboxClaim {
    id: OutboxId,
    mark_token: MarkToken,
    earlier: Vec<MarkToken>,
}

impl OutboxClaim {
    pub(super) fn of(mark: &OutboxMark<'_>) -> OutboxClaim {
        OutboxClaim { id: mark.outbox, mark_token: mark.mark_token, earlier: mark.earlier.iter().collect() }
    }

    pub(super) fn outbox(&self) -> OutboxId {
        self.id
    }
}

/// Handling of letters from a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum IntakePolicy {
    #[default]
    All,
    /// New letters are refused until its mark is durable.
    KnownOnly,
    /// All letters are refused: an old copy has sent one of them.
    None,
}

/// A sign-in being persisted.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingMark {
    slot: SessionSlot,
    /// The session's serial number, because its slot may be reused by now.
    serial: u64,
    member: MemberId,
    outbox: OutboxId,
    /// The mark that is written.
    mark: Mark,
    /// The outbox that this record removes.
    forgotten: Option<OutboxId>,
}

impl Relay {
    /// Admits a session that may have the name. It is welcomed once the mark of its outbox is
    /// durable, unless the outbox is an old copy.
    pub(super) fn admit(&mut self, now: Now, slot: SessionSlot, member: MemberId, out: &mut Out) {
        if self.member_states[member.0].session.is_some_and(|present| self.sessions.is_before(slot, present))
        {
            return self.close_session(now.tick, slot, close::DONE, "a later session has signed in");
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let serial = session.serial;
        let claim = session.outbox_claim.clone();
        let Some(claim) = claim else { return self.welcome(now, slot, member, false, out) };
        if self.member_states[member.0].outboxes.is_old(&claim) {
            return self.refuse_member(slot, member, NameReason::OldCopy, out);
        }
        session.sign_in = SignInState::Marking(member);
        let used = self.mailboxes.clock.now(now.tick);
        self.make_space(member, &claim);
        if !self.member_states[member.0].outboxes.note(&claim, used) {
            // Letters wait in each of the known outboxes. This one cannot be tracked, so no letters
            // are taken from it.
            return self.welcome(now, slot, member, true, out);
        }
        self.handle_outbox_forgotten(member, Some(claim.id));
        let mark = claim.mark_token.mark;
        self.write_mark(PendingMark { slot, serial, member, outbox: claim.id, mark, forgotten: None }, out);
    }

    /// Handles another mark within a session: copies made before it are old from here on.
    pub(super) fn handle_mark(
        &mut self,
        now: Now,
        slot: SessionSlot,
        outbox: OutboxId,
        mark_token: MarkToken,
        out: &mut Out,
    ) {
        let Some(member) = self.sessions.member(slot) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if self.member_states[member.0].session != Some(slot) {
            return;
        }
        let serial = session.serial;
        let used = self.mailboxes.clock.now(now.tick);
        if !self.member_states[member.0].outboxes.raise(outbox, mark_token, used) {
            // Its letters are not taken anyway, so there is nothing to persist.
            session.send_control(&ToClient::Marked { mark: mark_token.mark });
            return self.sessions.mark(slot);
        }
        session.is_waiting_for_mark = true;
        self.write_mark(
            PendingMark { slot, serial, member, outbox, mark: mark_token.mark, forgotten: None },
            out,
        );
    }

    /// Evicts the member's least recently used outbox with its flows, if a new one needs the space.
    ///
    /// Only one at a time: no other is evicted before the previous one has left the disk.
    fn make_space(&mut self, member: MemberId, claim: &OutboxClaim) {
        let outboxes = &self.member_states[member.0].outboxes;
        let has_capacity =
            outboxes.0.len() < OUTBOXES_MAX || outboxes.0.iter().any(|outbox| outbox.id == claim.id);
        if has_capacity || self.mailboxes.outboxes_to_forget.contains_key(&member) {
            return;
        }
        let Some(forgotten) = outboxes.by_age().into_iter().find(|id| !self.has_waiting(member, *id)) else {
            return;
        };
        let state = &mut self.member_states[member.0];
        state.outboxes.forget(forgotten);
        state.flows.drop_outbox(forgotten);
        self.mailboxes.outboxes_to_forget.insert(member, forgotten);
    }

    /// Handles the removal of an evicted outbox from the disk.
    pub(super) fn handle_outbox_forgotten(&mut self, member: MemberId, forgotten: Option<OutboxId>) {
        if forgotten.is_some() && self.mailboxes.outboxes_to_forget.get(&member).copied() == forgotten {
            self.mailboxes.outboxes_to_forget.remove(&member);
        }
    }

    /// Forgets the outboxes of a member that was removed, from the disk too.
    pub(super) fn forget_outboxes(&mut self, member: MemberId) {
        self.member_states[member.0].outboxes = Default::default();
        self.mailboxes.outboxes_to_forget.remove(&member);
    }

    /// Whether letters of this outbox wait.
    fn has_waiting(&self, member: MemberId, outbox: OutboxId) -> bool {
        let flows = self.member_states[member.0].flows.unfinished(outbox);
        flows.into_iter().any(|flow| self.has_letters(member, flow))
    }

    /// Refuses a letter that an old copy has numbered, and all later letters of this session.
    pub(super) fn refuse_old_copy(&mut self, slot: SessionSlot, letter: &Letter<'_>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.intake = IntakePolicy::None;
        let refusal = RefusedLetter::of(letter.to, letter.id, Reason::OldCopy);
        session.refuse(RefusedLetter { prev: letter.prev, may_have_arrived: true, ..refusal });
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }

    /// Returns the record of the last sign-in with an outbox; `None` if it was forgotten with its
    /// member.
    fn sign_in_record(&self, member: MemberId, outbox: OutboxId) -> Option<Record> {
        let mut all = self.member_states[member.0].outboxes.persisted(self.directory.members.name(member));
        let outbox = all.find(|row| row.outbox == outbox)?;
        let forgotten = self.outbox_to_forget(member);
        Some(Record::SignedIn { outbox, forgotten })
    }

    fn outbox_to_forget(&self, member: MemberId) -> Option<OutboxId> {
        self.mailboxes.outboxes_to_forget.get(&member).copied()
    }

    fn write_mark(&mut self, marking: PendingMark, out: &mut Out) {
        if let Some(record) = self.sign_in_record(marking.member, marking.outbox) {
            let forgotten = self.outbox_to_forget(marking.member);
            let mark = if let Record::SignedIn { outbox, .. } = &record {
                outbox.mark_token.mark
            } else {
                marking.mark
            };
            self.persist(StoreContinuation::Marked(PendingMark { forgotten, mark, ..marking }), record, out);
        }
    }

    /// Writes a sign-in whose session is gone.
    pub(super) fn write_outbox(&mut self, member: MemberId, outbox: OutboxId, out: &mut Out) {
        if let Some(record) = self.sign_in_record(member, outbox) {
            self.persist_keyed(RecordKey::Outbox(member, outbox, self.outbox_to_forget(member)), record, out);
        }
    }

    /// Handles the result of writing a sign-in's mark.
    ///
    /// A failed write is repeated. Until it succeeds, the session receives waiting letters, but its
    /// new letters are refused.
    pub(super) fn handle_marked(&mut self, now: Now, marking: PendingMark, durable: bool, out: &mut Out) {
        let PendingMark { slot, serial, member, outbox, mark, forgotten } = marking;
        if durable {
            self.handle_outbox_forgotten(member, forgotten);
        }
        if !self.sessions.is_serial(slot, serial) {
            if !durable {
                self.write_later(RecordKey::Outbox(member, outbox, forgotten));
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if durable && session.intake == IntakePolicy::KnownOnly {
            session.intake = IntakePolicy::All;
        }
        let is_waiting = session.sign_in == SignInState::Marking(member);
        if durable && !is_waiting {
            session.is_waiting_for_mark = false;
            session.send_control(&ToClient::Marked { mark });
            self.sessions.mark(slot);
        }
        if !durable {
            self.retry_mark_later(member, marking);
            self.wake_mailbox(member, now.tick + SPILL_AFTER);
        }
        if !is_waiting {
            return;
        }
        if self.directory.members.is_removed(member) {
            return self.refuse_member(slot, member, NameReason::Removed, out);
        }
        if !self.directory.members.is_durable(member) {
            // The name is being freed. The session claims it again after that, with the same mark.
            self.member_states[member.0].outboxes.forget(outbox);
            return self.await_registration(slot, member);
        }
        self.welcome(now, slot, member, !durable, out);
    }

    /// Schedules another try for the mark of the member's latest session. The failure for an
    /// earlier session may arrive after the one for the latest, and must not replace it.
    fn retry_mark_later(&mut self, member: MemberId, marking: PendingMark) {
        let mut latest = marking;
        if let Some(mut other) = self.mailboxes.marks_to_retry.remove(&member) {
            if other.serial > latest.serial {
                std::mem::swap(&mut latest, &mut other);
            }
            if other.outbox != latest.outbox {
                self.write_later(RecordKey::Outbox(member, other.outbox, other.forgotten));
            }
        }
        self.mailboxes.marks_to_retry.insert(member, latest);
    }

    /// Repeats a failed write of a sign-in, for which its session waits if it still exists.
    pub(super) fn retry_mark(&mut self, member: MemberId, out: &mut Out) {
        let Some(marking) = self.mailboxes.marks_to_retry.remove(&member) else { return };
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
    use crate::relay::records::PersistedMail;
    use crate::relay::test_relay::relay_of_two;

    fn mark_token(mark: u32) -> MarkToken {
        MarkToken { mark: Mark(mark), token: mark.wrapping_mul(0x9e37) }
    }

    fn claim(id: u64, now: MarkToken, earlier: &[MarkToken]) -> OutboxClaim {
        OutboxClaim { id: OutboxId(id), mark_token: now, earlier: earlier.to_vec() }
    }

    fn signed_in(claims: &[OutboxClaim]) -> Outboxes {
        let mut outboxes = Outboxes::default();
        claims.iter().for_each(|claim| assert!(outboxes.note(claim, 1)));
        outboxes
    }

    #[test]
    fn sign_in_with_last_one_is_no_old_copy() {
        let outboxes = signed_in(&[claim(1, mark_token(1), &[]), claim(1, mark_token(4), &[mark_token(1)])]);
        assert!(!outboxes.is_old(&claim(1, mark_token(7), &[mark_token(1), mark_token(4)])));
        assert!(
            !outboxes.is_old(&claim(1, mark_token(9), &[mark_token(1), mark_token(4), mark_token(7)])),
            "one was not answered"
        );
        assert!(!outboxes.is_old(&claim(2, mark_token(1), &[])), "another outbox");
        assert!(
            outboxes.is_old(&claim(1, mark_token(4), &[mark_token(1), mark_token(4)])),
            "a mark is used once"
        );
    }

    /// However often the copy was opened or has tried to sign in.
    #[test]
    fn sign_in_without_last_one_is_old_copy() {
        let outboxes = signed_in(&[claim(1, mark_token(1), &[]), claim(1, mark_token(4), &[mark_token(1)])]);
        for mark in [1, 2, 3, 4, 5, u32::MAX] {
            assert!(outboxes.is_old(&claim(1, mark_token(mark), &[mark_token(1)])), "{mark}");
            assert!(outboxes.is_old(&claim(1, mark_token(mark), &[])), "{mark}");
        }
        let same_mark = MarkToken { token: 7, ..mark_token(4) };
        assert!(
            outboxes.is_old(&claim(1, mark_token(5), &[mark_token(1), same_mark])),
            "the other copy has the same count"
        );
    }

    /// A copy made before the session sent another mark knows all marks of earlier sign-ins.
    #[test]
    fn mark_within_session_makes_earlier_copies_old() {
        let mut outboxes =
            signed_in(&[claim(1, mark_token(1), &[]), claim(1, mark_token(4), &[mark_token(1)])]);
        assert!(
            outboxes.raise(OutboxId(1), mark_token(6), 9) && !outboxes.raise(OutboxId(2), mark_token(6), 9)
        );
        assert!(outboxes.is_old(&claim(1, mark_token(7), &[mark_token(1), mark_token(4)])));
        assert!(!outboxes.is_old(&claim(1, mark_token(8), &[mark_token(1), mark_token(4), mark_token(6)])));
        assert!(outboxes.raise(OutboxId(1), mark_token(5), 9));
        assert!(
            !outboxes.is_old(&claim(1, mark_token(8), &[mark_token(1), mark_token(4), mark_token(6)])),
            "6 came before 5"
        );
    }

    /// The relay's last mark is no longer among those that the client sends.
    #[test]
    fn relay_far_behind_reports_no_client_as_old_copy() {
        let outboxes = signed_in(&[claim(1, mark_token(4), &[mark_token(1)])]);
        let later: Vec<_> = (0..EARLIER_MARKS_MAX as u32).map(|count| mark_token(60 + count)).collect();
        assert!(!outboxes.is_old(&claim(1, mark_token(90), &later)));
    }

    /// The copy was made before the first sign-in, and its marks rose with each start.
    #[test]
    fn copy_with_few_sign_ins_and_high_marks_is_old() {
        let outboxes = signed_in(&[claim(1, mark_token(2), &[])]);
        assert!(outboxes.is_old(&claim(1, mark_token(5), &[mark_token(4)])));
        let all_but_one: Vec<_> = (1..EARLIER_MARKS_MAX as u32).map(|count| mark_token(60 + count)).collect();
        assert!(outboxes.is_old(&claim(1, mark_token(90), &all_but_one)));
    }

    #[test]
    fn outboxes_of_member_are_bounded() {
        let mut outboxes = Outboxes::default();
        for id in 0..OUTBOXES_MAX as u64 {
            assert!(outboxes.note(&claim(id, mark_token(1), &[]), 100 - id));
        }
        assert!(!outboxes.note(&claim(900, mark_token(1), &[]), 7), "none is evicted silently");
        assert!(outboxes.note(&claim(3, mark_token(2), &[mark_token(1)]), 200));
        assert_eq!(outboxes.by_age()[..2], [OutboxId(63), OutboxId(62)]);
        assert_eq!(outboxes.by_age().last(), Some(&OutboxId(3)));
    }

    fn marking(serial: u64, outbox: u64) -> PendingMark {
        let outbox = OutboxId(outbox);
        PendingMark {
            slot: SessionSlot(0),
            serial,
            member: MemberId(0),
            outbox,
            mark: Mark(3),
            forgotten: None,
        }
    }

    /// Both sessions of a member that connects again wait for a disk that takes no marks. The
    /// failure for the earlier one arrives last.
    #[test]
    fn late_failure_for_earlier_session_keeps_latest_waiting() {
        let mut relay = relay_of_two(PersistedMail::default());
        relay.retry_mark_later(MemberId(0), marking(9, 1));
        relay.retry_mark_later(MemberId(0), marking(4, 1));
        assert_eq!(relay.mailboxes.marks_to_retry[&MemberId(0)].serial, 9);
        assert_eq!(relay.unwritten.len(), 0, "one record serves both");
        relay.retry_mark_later(MemberId(0), marking(5, 2));
        assert_eq!(relay.mailboxes.marks_to_retry[&MemberId(0)].serial, 9);
        assert!(
            relay.unwritten.has(RecordKey::Outbox(MemberId(0), OutboxId(2), None)),
            "it is written later"
        );
    }
}
