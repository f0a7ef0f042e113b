//! Restores mailboxes and flows from the state on disk at the relay's start.

use crate::base::{Mark, Tick};

use super::flows::{FlowId, Marks, To};
use super::letters::ReadClaim;
use super::members::MemberId;
use super::queue::Author;
use super::records::{self, KeptOutbox, Mail, OwedRefusal, Waiting};
use super::{Relay, Timer};

impl Relay {
    /// Restores mailboxes and flows. Letters stay on disk until their recipients sign in.
    pub(super) fn restore_mail(&mut self, mail: Mail) {
        self.post.last_place = mail.last_place;
        self.post.clock.base = mail.clock;
        mail.outboxes.iter().for_each(|outbox| self.restore_outbox(outbox));
        mail.waiting.iter().for_each(|waiting| self.restore_waiting(waiting, mail.last_place));
        // Refusals come before marks: a refusal is removed with its flow, which may have no other
        // row or only a read mark.
        mail.refusals.iter().for_each(|owed| self.restore_refusal(owed));
        mail.marks.iter().for_each(|marks| self.restore_marks(marks));
        self.wake_removed();
        if !(mail.waiting.is_empty() && mail.marks.is_empty() && mail.refusals.is_empty()) {
            self.find_idle_flows();
        }
        if !mail.waiting.is_empty() {
            // The first turn looks for letters that are already too old.
            self.deadlines.set(Timer::Sweep, Some(Tick::ZERO), &mut self.post.sweep_scheduled);
        }
    }

    fn restore_outbox(&mut self, outbox: &KeptOutbox) {
        if let Some(member) = self.members.find_ever(outbox.member.as_str()) {
            self.places[member.0].outboxes.found_on_disk(outbox.outbox, outbox.said, outbox.used);
        }
    }

    fn restore_waiting(&mut self, waiting: &Waiting, last_place: u64) {
        self.post.clock.base = self.post.clock.base.max(waiting.last_since);
        let Some(to) = self.members.find_ever(waiting.to.as_str()) else { return };
        let Some(author) = self.author(waiting.from.as_str(), waiting.outbox) else { return };
        self.places[to.0].queue.found_on_disk(author, waiting.letters, waiting.bytes, last_place);
        self.count_queue(to);
        self.found_used(to);
        if let Author::Member(from) = author {
            self.found_used(from);
            let flow = FlowId { outbox: waiting.outbox, to: To::Member(to) };
            let marks = Marks {
                accepted: waiting.last_number,
                since: waiting.last_since,
                mark: waiting.last_mark,
                ..Marks::default()
            };
            self.places[from.0].flows.found_waiting(flow, marks, waiting.last_since);
            self.note_correspondents(from, flow.to);
        }
    }

    fn restore_refusal(&mut self, owed: &OwedRefusal) {
        if let Some((from, flow)) = self.flow_of(&owed.from, &owed.to, owed.id.outbox) {
            let flows = &mut self.places[from.0].flows;
            flows.open(flow);
            flows.owe_refusal(flow, owed.id.number, (owed.reason, owed.may_have_arrived));
        }
    }

    fn restore_marks(&mut self, marks: &records::Marks) {
        let Some((from, flow)) = self.flow_of(&marks.from, &marks.to, marks.outbox) else { return };
        flow.to.member().into_iter().chain([from]).for_each(|member| self.found_used(member));
        // A flow has the mark of its last letter, even if none was accepted. Without it, letters of
        // an old copy would pass.
        let is_claim = marks.accepted == 0 && marks.delivered == 0 && marks.mark == Mark::default();
        if let To::Member(to) = flow.to
            && is_claim
            && self.places[from.0].flows.marks(flow).is_none()
        {
            let claim = ReadClaim { through: marks.read, since: marks.since };
            self.places[to.0].claims.insert((from, flow.outbox), claim);
            return;
        }
        let restored = Marks {
            accepted: marks.accepted.max(marks.delivered),
            delivered: marks.delivered,
            read: marks.read,
            since: 0,
            mark: marks.mark,
        };
        self.places[from.0].flows.found_on_disk(flow, restored, marks.since);
        self.note_correspondents(from, flow.to);
        if marks.at_full_second {
            self.found_held_back(from, flow);
        }
    }

    /// Wakes mailboxes of removed members, whose letters are refused to their senders.
    fn wake_removed(&mut self) {
        for member in (0..self.places.len()).map(MemberId) {
            if self.members.is_removed(member) && self.places[member.0].queue.has_mail() {
                self.wake_queue(member, Tick::ZERO);
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
    fn restored(mark: Mark) -> Option<Marks> {
        let [tom, jack]: [Name; 2] = ["TOM", "JACK"].map(|name| name.parse().expect("a valid name"));
        let row = records::Marks {
            from: tom.clone(),
            outbox: OUTBOX,
            to: jack.clone(),
            accepted: 0,
            delivered: 0,
            read: 1,
            since: 5,
            mark,
            at_full_second: false,
        };
        let relay = relay_of_two(Mail { marks: vec![row], ..Mail::default() });
        relay.places[0].flows.marks(FlowId { outbox: OUTBOX, to: To::Member(MemberId(1)) })
    }

    /// No letter was accepted, and the recipient had sent a read mark. The row differs from an
    /// orphaned read mark only by its outbox mark, which a later read mark must not lower.
    #[test]
    fn flow_with_mark_is_restored_with_it() {
        let marks = restored(Mark(8)).expect("the flow is restored");
        assert_eq!(marks.mark, Mark(8));
        assert_eq!(marks.read, 1);
    }

    #[test]
    fn row_without_mark_is_orphaned_read_mark() {
        assert_eq!(restored(Mark(0)), None);
    }
}
