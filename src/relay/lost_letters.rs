//! Letters that the relay had accepted, and has lost because it was restored from a backup.
//!
//! Their senders take them for accepted. The next letter that the relay takes would raise the
//! watermarks over them, and the sender would then take them for delivered. For as long as they
//! could still wait, a letter is therefore taken only if it follows the last one that the relay
//! has. All letters between are refused as `behind`, and their sender sends them again.
//!
//! The sender may not have them any more, because the recipient does. Its next query states that
//! (`settled`). A letter that it has sent before it learned of the loss still names a later `prev`,
//! and is refused.

use crate::base::{LetterId, Mark, Name, Now, OutboxId, Tick};
use crate::wire::message::{Letter, Nearest, Reason, Refused, ToClient};

use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::routing::ECHO;
use super::{Out, Relay};

/// A sender's knowledge of one flow, in a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct LostLetters {
    /// The last letter that it knows to be accepted and not delivered.
    pub(super) accepted: u64,
    /// It knows the outcome of every letter up to this one.
    pub(super) settled: u64,
}

impl Relay {
    /// Whether letters that a restore has lost could still wait otherwise.
    fn may_have_lost_letters(&mut self, now: Tick) -> bool {
        let clock = self.mailboxes.clock.now(now);
        self.restored.is_some_and(|restored| restored.is_recent(clock, self.limits.keep))
    }

    /// Whether the letters before this one are lost, or may be.
    pub(super) fn is_behind_lost(
        &mut self,
        now: Tick,
        sender: MemberId,
        flow: FlowId,
        letter: &Letter<'_>,
    ) -> bool {
        flow.to.member().is_some()
            && self.restored.is_some()
            && letter.prev > self.member_states[sender.0].flows.taken(flow)
            && self.may_have_lost_letters(now)
    }

    /// Refuses a letter, and with it the lost ones before it. Their sender receives one message
    /// about all, so that it repeats none before it knows of the others.
    pub(super) fn refuse_behind_lost(
        &mut self,
        now: Now,
        slot: SessionSlot,
        sender: MemberId,
        flow: FlowId,
        letter: &Letter<'_>,
        out: &mut Out,
    ) {
        let Letter { to, id, .. } = *letter;
        let clock = self.mailboxes.clock.now(now.tick);
        self.record_letter(now.tick, sender, flow.to, out);
        let flows = &mut self.member_states[sender.0].flows;
        flows.record_letter_time(flow, clock);
        flows.record_refused(flow, id.number, Reason::Behind);
        self.stats.letters_refused += 1;
        if flows.is_waiting(id.outbox, to) {
            return flows.record_waiting_refused(id.outbox, to, id.number);
        }
        let first = LetterId { number: flows.taken(flow) + 1, ..id };
        self.send_behind(slot, to, first, id.number);
    }

    /// Handles a query: refuses letters that its sender takes for accepted and that are lost.
    pub(super) fn handle_lost(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        to: &str,
        outbox: OutboxId,
        knowledge: LostLetters,
        out: &mut Out,
    ) {
        let LostLetters { accepted, settled } = knowledge;
        let is_guest = || to.parse::<Name>().is_ok_and(|name| name.guest_address().is_some());
        if !self.may_have_lost_letters(now) || to == ECHO || is_guest() {
            return;
        }
        let Some(sender) = self.sessions.member(slot) else { return };
        let mut taken = settled;
        if let Some(member) = self.directory.members.find_ever(to) {
            let flow = FlowId { outbox, to: Destination::Member(member) };
            if self.member_states[sender.0].flows.is_undisclosed(flow) {
                return;
            }
            if settled > 0 {
                self.record_letter(now, sender, flow.to, out);
                self.member_states[sender.0].flows.settle(flow, settled);
            }
            taken = self.member_states[sender.0].flows.taken(flow);
        }
        if accepted > taken {
            self.send_behind(slot, to, LetterId { outbox, number: taken + 1 }, accepted);
        }
    }

    fn send_behind(&mut self, slot: SessionSlot, to: &str, id: LetterId, through: u64) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let nearest = Nearest::default();
        let reason = Reason::Behind;
        let refused = Refused { to, id, through, mark: Mark::MAX, reason, may_have_arrived: false, nearest };
        session.send_control(&ToClient::Refused(refused));
        self.sessions.mark(slot);
    }
}
