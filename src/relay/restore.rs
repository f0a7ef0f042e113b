//! Restores mailboxes and flows from the state on disk at the relay's start.

use crate::base::{Mark, Tick, Watermarks};

use super::flows::{FlowMarks, Refusal};
use super::ids::{Destination, FlowId, MemberId};
use super::mailbox::Sender;
use super::records::{self, PendingRefusal, PersistedMail, PersistedOutbox, WaitingCount};
use super::routing::OrphanRead;
use super::{Relay, Timer};

impl Relay {
    /// Restores mailboxes and flows. Letters stay on disk until their recipients sign in.
    pub(super) fn restore_mail(&mut self, mail: PersistedMail) {
        // A letter taken after the backup may have any number up to this one.
        let seq_floor = mail.restored.map_or(0, |restored| restored.seq_floor);
        self.mailboxes.last_seq = mail.last_seq.max(seq_floor);
        self.mailboxes.clock.base = mail.clock;
        mail.outboxes.iter().for_each(|outbox| self.restore_outbox(outbox));
        mail.waiting.iter().for_each(|waiting| self.restore_waiting(waiting, mail.last_seq));
        // Refusals come before watermarks: a refusal is removed with its flow, which may have no
        // other row or only a read watermark.
        mail.refusals.iter().for_each(|refusal| self.restore_refusal(refusal));
        mail.flows.iter().for_each(|row| self.restore_flow(row));
        self.wake_removed();
        if !(mail.waiting.is_empty() && mail.flows.is_empty() && mail.refusals.is_empty()) {
            self.find_idle_flows();
        }
        if !mail.waiting.is_empty() {
            // The first turn looks for letters that are already too old.
            self.deadlines.set(Timer::Sweep, Some(Tick::ZERO), &mut self.mailboxes.sweep_scheduled);
        }
    }

    fn restore_outbox(&mut self, outbox: &PersistedOutbox) {
        if let Some(member) = self.directory.members.find_ever(outbox.member.as_str()) {
            self.member_states[member.0].outboxes.restore(outbox.outbox, outbox.mark_token, outbox.used);
        }
    }

    fn restore_waiting(&mut self, waiting: &WaitingCount, last_seq: u64) {
        self.mailboxes.clock.base = self.mailboxes.clock.base.max(waiting.last_since);
        let Some(to) = self.directory.members.find_ever(waiting.to.as_str()) else { return };
        let Some(sender) = self.sender(waiting.from.as_str(), waiting.outbox) else { return };
        self.member_states[to.0].mailbox.restore_counts(sender, waiting.letters, waiting.bytes, last_seq);
        self.count_mailbox(to);
        self.found_used(to);
        if let Sender::Member(from) = sender {
            self.found_used(from);
            let flow = FlowId { outbox: waiting.outbox, to: Destination::Member(to) };
            let marks = FlowMarks {
                watermarks: Watermarks { accepted: waiting.last_number, ..Watermarks::default() },
                accepted_taken_at: waiting.last_since,
                outbox_mark: waiting.last_mark,
            };
            self.member_states[from.0].flows.restore_waiting(flow, marks, waiting.last_since);
            self.record_correspondents(from, flow.to);
        }
    }

    fn restore_refusal(&mut self, refusal: &PendingRefusal) {
        if let Some((from, flow)) = self.flow_of(&refusal.from, &refusal.to, refusal.id.outbox) {
            let flows = &mut self.member_states[from.0].flows;
            flows.open(flow);
            let PendingRefusal { id, reason, may_have_arrived, mark, .. } = *refusal;
            flows.queue_refusal(flow, id.number, Refusal { reason, may_have_arrived, mark });
        }
    }

    fn restore_flow(&mut self, row: &records::PersistedFlow) {
        let Some((from, flow)) = self.flow_of(&row.from, &row.to, row.outbox) else {
            return;
        };
        flow.to.member().into_iter().chain([from]).for_each(|member| self.found_used(member));
        let Watermarks { accepted, delivered, read } = row.watermarks;
        // A flow has the outbox mark of its last letter, even if none was accepted. Without it,
        // letters of an old copy would pass.
        let is_claim = accepted == 0 && delivered == 0 && row.mark == Mark::default();
        if let Destination::Member(to) = flow.to
            && is_claim
            && self.member_states[from.0].flows.watermarks(flow).is_none()
        {
            let orphan_read = OrphanRead { through: read, since: row.since };
            self.member_states[to.0].orphan_reads.insert((from, flow.outbox), orphan_read);
            return;
        }
        let mut watermarks = row.watermarks;
        watermarks.deliver(delivered);
        let marks = FlowMarks { watermarks, accepted_taken_at: 0, outbox_mark: row.mark };
        self.member_states[from.0].flows.restore(flow, marks, row.since);
        self.record_correspondents(from, flow.to);
        if row.at_full_second {
            self.restore_held_back(from, flow);
        }
    }

    /// Wakes mailboxes of removed members, whose letters are refused to their senders.
    fn wake_removed(&mut self) {
        for member in (0..self.member_states.len()).map(MemberId) {
            if self.directory.members.is_removed(member) && self.member_states[member.0].mailbox.has_mail() {
                self.wake_mailbox(member, Tick::ZERO);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Name, OutboxId};
    use crate::relay::test_relay::relay_of_two;

    const OUTBOX: OutboxId = OutboxId(0xB0);

    /// Returns the flow restored from this row of TOM's letters to JACK.
    fn restored(mark: Mark) -> Option<FlowMarks> {
        let [tom, jack]: [Name; 2] = ["TOM", "JACK"].map(|name| name.parse().expect("a valid name"));
        let row = records::PersistedFlow {
            from: tom.clone(),
            outbox: OUTBOX,
            to: jack.clone(),
            watermarks: Watermarks { read: 1, ..Watermarks::default() },
            since: 5,
            mark,
            at_full_second: false,
        };
        let relay = relay_of_two(PersistedMail { flows: vec![row], ..PersistedMail::default() });
        relay.member_states[0].flows.marks(FlowId { outbox: OUTBOX, to: Destination::Member(MemberId(1)) })
    }

    /// No letter was accepted, and the recipient had sent a read watermark. The row differs from an
    /// orphaned read watermark only by its outbox mark, which a later read watermark must not
    /// lower.
    #[test]
    fn flow_with_mark_is_restored_with_it() {
        let marks = restored(Mark(8)).expect("the flow is restored");
        assert_eq!(marks.outbox_mark, Mark(8));
        assert_eq!(marks.watermarks.read, 1);
    }

    #[test]
    fn row_without_mark_is_orphaned_read_watermark() {
        assert_eq!(restored(Mark(0)), None);
    }
}
