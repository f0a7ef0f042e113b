//! The end of refused letters, and of those written behind them.
//!
//! A relay can refuse only letters that it has read. Letters of the same conversation that were
//! written by then and have not been sent would meet the same answer, one round trip and one commit
//! after the other. Where the whole conversation is refused, they therefore end with those that
//! were sent. A letter that is written later is sent again, alone.
//!
//! Example: 500 letters to a guest that has left are written, and 1 to 100 are sent. The relay
//! refuses `1 through 100` as `gone`. Letters 1 to 100 end with that reason, and 101 to 500 end
//! without being sent. Letter 501, written later, is sent.
//!
//! Letters that an earlier session may have brought to the relay are sent in any case: only the
//! relay knows their outcome.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::base::{LetterId, Name, OutboxId};
use crate::wire::message::Reason;

use super::{Conversation, Outbox, OutboxLetter, RECEIVED_REFUSALS_MAX, Refusal, WINDOW_LETTERS};

/// Maximum number of letters of one conversation that end here without being sent and are not
/// durable yet. The next ones end when half of these are durable, so that records of other
/// conversations wait behind no more than this.
const REFUSED_HERE_MAX: usize = 256;

/// Maximum number of letters that one refusal can concern: a window of those on their way, and a
/// window of those that the relay had accepted.
const REFUSED_THERE_MAX: usize = 2 * WINDOW_LETTERS;

/// A relay's refusal of letters.
#[derive(Debug)]
pub(in crate::client) struct ReceivedRefusal<'a> {
    pub(in crate::client) to: &'a str,
    /// The first letter of the range.
    pub(in crate::client) id: LetterId,
    /// The number of the last one.
    pub(in crate::client) through: u64,
    pub(in crate::client) reason: Reason,
    pub(in crate::client) may_have_arrived: bool,
    pub(in crate::client) nearest: Vec<Name>,
}

/// The refusal of a whole conversation. Letters written before it was known end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StandingRefusal {
    /// The last number refused by the relay.
    pub(super) refused: u64,
    /// The last number written when the refusal came.
    written: u64,
    reason: Reason,
}

impl Outbox {
    /// Handles a refusal by the relay. Calls `record` for each letter that ends with it, in the
    /// order of the records to write: number, reason, and whether it may have arrived. Returns the
    /// number of letters that the relay had accepted and that are sent again.
    pub(in crate::client) fn handle_refused(
        &mut self,
        refused: ReceivedRefusal<'_>,
        mut record: impl FnMut(&Name, u64, Reason, bool),
    ) -> usize {
        let ReceivedRefusal { to, id, through, reason, .. } = refused;
        // The refusal belongs to a replaced outbox or to another machine. Only the client that uses
        // that outbox may acknowledge it.
        if id.outbox != self.id {
            return 0;
        }
        let Some((name, _)) = self.conversations.get_key_value(to) else { return 0 };
        let name = name.clone();
        let Some(conversation) = self.conversations.get_mut(&name) else { return 0 };
        let mut lost = 0;
        if reason == Reason::Behind {
            conversation.put_back_all(id.number, through);
            if id.number <= conversation.reach.watermarks.accepted.max(conversation.reach.last_taken) {
                let ended;
                (lost, ended) = conversation.put_back_lost(id, through);
                self.end(&name, ended, &mut record);
                self.query_again(&name);
            }
        } else {
            let ended = conversation.take_refused(&refused);
            if ended.is_empty() {
                self.repeat_received_refusal(&name, id, through);
                return 0;
            }
            self.end(&name, ended, &mut record);
        }
        self.refuse_written(&name, record);
        lost
    }

    /// Ends some of the letters that were written before their conversation was known to be
    /// refused. They go to `record` as in [`Outbox::handle_refused`].
    pub(in crate::client) fn refuse_written(
        &mut self,
        to: &Name,
        mut record: impl FnMut(&Name, u64, Reason, bool),
    ) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        let ended = conversation.take_written(self.id);
        self.end(to, ended, &mut record);
    }

    /// Keeps removed letters until their refusal is durable.
    fn end(&mut self, to: &Name, letters: Vec<Refusal>, record: &mut impl FnMut(&Name, u64, Reason, bool)) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        for refusal in letters {
            self.letters -= 1;
            self.bytes -= refusal.encoded.body.len();
            record(to, refusal.id.number, refusal.reason, refusal.may_have_arrived);
            conversation.refusals.push_back(refusal);
        }
    }

    /// Handles a durable refusal and returns it for the user. Letters behind it may be sent again.
    pub(in crate::client) fn take_recorded_refusal(&mut self, to: &Name, id: LetterId) -> Option<Refusal> {
        if id.outbox != self.id {
            return self.take_ended_before(to, id);
        }
        let number = id.number;
        let conversation = self.conversations.get_mut(to)?;
        conversation.refused = self.marks.record_refusal();
        let index = conversation.refusals.iter().position(|refusal| refusal.id.number == number)?;
        let refusal = conversation.refusals.remove(index)?;
        if refusal.is_owed {
            self.queue_received_refusal(to.clone(), refusal.id);
        }
        Some(refusal)
    }

    /// Acknowledges refusals that the relay repeats and that are durable here.
    fn repeat_received_refusal(&mut self, to: &Name, id: LetterId, through: u64) {
        let Some(conversation) = self.conversations.get(to) else { return };
        // A pending refusal is acknowledged once it is durable.
        let pending: BTreeSet<u64> = conversation.refusals.iter().map(|refusal| refusal.id.number).collect();
        let numbers = (id.number..=through.min(conversation.reach.last))
            .take(RECEIVED_REFUSALS_MAX - self.received_refusals.len());
        for number in numbers.filter(|number| !pending.contains(number)) {
            self.queue_received_refusal(to.clone(), LetterId { number, ..id });
        }
    }

    /// Queues the acknowledgement of a refusal.
    fn queue_received_refusal(&mut self, to: Name, id: LetterId) {
        if self.received_refusals.len() < RECEIVED_REFUSALS_MAX {
            self.received_refusals.push_back((to, id, self.marks.refusals()));
        }
    }
}

impl Conversation {
    /// Returns the positions of letters `first` through `through`, at most [`REFUSED_THERE_MAX`].
    pub(super) fn positions(&self, first: u64, through: u64) -> Range<usize> {
        let from = self.letters.partition_point(|letter| letter.number < first);
        let to = self.letters.partition_point(|letter| letter.number <= through);
        from..to.min(from + REFUSED_THERE_MAX)
    }

    /// Puts back letters refused as `behind`; they are sent again. The relay accepts letters of
    /// this conversation again, so an earlier refusal of all of it is out of date.
    fn put_back_all(&mut self, first: u64, through: u64) {
        self.positions(first, through).for_each(|index| self.put_back(index));
        self.standing_refusal =
            self.standing_refusal.filter(|refusal| !refusal.reason.is_about_conversation());
    }

    /// Removes the letters of this refusal that the relay can have read.
    fn take_refused(&mut self, refused: &ReceivedRefusal<'_>) -> Vec<Refusal> {
        let ReceivedRefusal { id, through, reason, .. } = *refused;
        let taken = self.letters.take(self.positions(id.number, through), OutboxLetter::was_tried);
        let sent: Vec<&OutboxLetter> = taken.iter().filter(|letter| letter.sent).collect();
        if !sent.is_empty() {
            self.sent_letters -= sent.len();
            self.sent_bytes -= sent.iter().map(|letter| letter.cost()).sum::<usize>();
            self.narrow(reason, through);
        }
        let ended = |letter: OutboxLetter| {
            let accepted = letter.accepted || letter.number <= self.held_receipts.watermarks.accepted;
            let may_have_arrived = refused.may_have_arrived || letter.is_in_doubt(reason, accepted);
            // The relay waits for the acknowledgement of an accepted letter's refusal. A letter not
            // known to be accepted may be accepted nevertheless. But if the relay refuses the whole
            // conversation, it has only read the letter; if it had accepted it, it repeats the
            // refusal in the next session.
            let is_owed = accepted || !(was_never_taken(reason) || reason.is_about_conversation());
            let nearest = refused.nearest.clone();
            Refusal { may_have_arrived, nearest, is_owed, ..letter.refused(id.outbox, reason) }
        };
        taken.into_iter().map(ended).collect()
    }

    /// Narrows the window after a refusal. If the next letters would be refused too, sets the
    /// verdict for all letters written so far. A full mailbox may have space for the next letter.
    fn narrow(&mut self, reason: Reason, refused: u64) {
        let is_of_next = reason.is_about_conversation();
        self.window = if is_of_next { 1 } else { (self.window / 2).max(1) };
        let standing_refusal = StandingRefusal { refused, written: self.reach.last, reason };
        self.standing_refusal = is_of_next.then_some(standing_refusal);
    }

    /// Removes letters that the verdict concerns and that were not sent, at most
    /// [`REFUSED_HERE_MAX`] pending in all. They end in order, so a letter behind one on its way
    /// waits for the relay's answer. The verdict is dropped once it concerns no more letters.
    fn take_written(&mut self, outbox: OutboxId) -> Vec<Refusal> {
        let Some(StandingRefusal { refused, written, reason }) = self.standing_refusal else {
            return Vec::new();
        };
        // Half of them at a time, so that not every durable refusal causes a search.
        if self.refusals.len() > REFUSED_HERE_MAX / 2 {
            return Vec::new();
        }
        let count_max = REFUSED_HERE_MAX - self.refusals.len();
        let from = self.letters.partition_point(|letter| letter.number <= refused);
        let ends =
            |letter: &&OutboxLetter| letter.recorded && !letter.was_tried() && letter.number <= written;
        let count = self.letters.range(from..).take(count_max).take_while(ends).count();
        let taken = self.letters.take(from..from + count, |_| true);
        let next_is_sent = self.letters.get(from).is_some_and(|letter| letter.sent);
        if count < count_max && !next_is_sent {
            self.standing_refusal = None;
        }
        taken.into_iter().map(|letter| letter.refused(outbox, reason)).collect()
    }
}

/// Whether an earlier session cannot have accepted a letter that is refused for this reason.
const fn was_never_taken(reason: Reason) -> bool {
    matches!(reason, Reason::Unknown | Reason::TooLong)
}

impl OutboxLetter {
    /// Whether the relay may have read it.
    const fn was_tried(&self) -> bool {
        self.sent || self.accepted || self.unanswered_before
    }

    /// Whether an earlier session may have delivered the letter without an answer.
    ///
    /// The relay knows the state of a letter that it `accepted`, with two exceptions. An earlier
    /// process of the relay may have delivered a letter that a lost session had sent, and ended
    /// before it could answer. The same holds for expired and damaged letters of an earlier run.
    /// A relay that has lost a letter does not know its outcome.
    const fn is_in_doubt(&self, reason: Reason, accepted: bool) -> bool {
        let is_late = matches!(reason, Reason::Expired | Reason::Damaged);
        let may_be_unknown = !accepted || is_late || self.lost_unanswered;
        self.is_lost || self.unanswered_before && may_be_unknown && !was_never_taken(reason)
    }

    pub(super) fn refused(self, outbox: OutboxId, reason: Reason) -> Refusal {
        let id = LetterId { outbox, number: self.number };
        let OutboxLetter { request, encoded, text, .. } = self;
        let nearest = Vec::new();
        Refusal { request, id, reason, may_have_arrived: false, nearest, encoded, text, is_owed: false }
    }
}
