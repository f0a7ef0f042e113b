//! What follows from a refusal: which letters end with it, which go again, and what is sent less of.
//!
//! A relay refuses what it has read. Letters of the same conversation that were written before that was known and have
//! not been sent would only meet the same answer, one round trip and one commit after the other: where the conversation
//! is refused, and not one letter of it, they end with those that were sent. A letter that is written later tries again,
//! alone. Letters that an earlier session may have brought there go out as before: only the relay knows what became of
//! them.

use crate::base::{LetterId, Name, OutboxId};
use crate::wire::message::Reason;

use super::{Conversation, HEARD_MAX, OutLetter, Outbox, Refusal, WINDOW_LETTERS};

/// Letters that are refused here at once; the next when these are durable. The records of other conversations wait behind
/// no more than that.
const REFUSED_HERE_MAX: usize = 256;

/// Letters that one refusal can concern: more are never on their way, and a relay tells of no more that it had accepted.
const REFUSED_THERE_MAX: usize = 2 * WINDOW_LETTERS;

/// What a relay says of letters that it refuses.
#[derive(Debug)]
pub(in crate::client) struct Refusing<'a> {
    pub(in crate::client) to: &'a str,
    /// The first of them, and the number of the last.
    pub(in crate::client) id: LetterId,
    pub(in crate::client) through: u64,
    pub(in crate::client) reason: Reason,
    pub(in crate::client) may_have_arrived: bool,
    pub(in crate::client) nearest: Vec<Name>,
}

/// Why what was written before a refusal was known is refused as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The last number that the relay has refused, and the last that was written by then.
    pub(super) refused: u64,
    written: u64,
    reason: Reason,
    /// Shorter ones may pass: a mailbox that is full for one letter may have room for them.
    len_min: usize,
}

impl Outbox {
    /// The relay refused letters; `record` is given those of them that end with it, each with its reason and whether it may
    /// have arrived: to be written down, in this order.
    pub(in crate::client) fn handle_refused(
        &mut self,
        refused: Refusing<'_>,
        mut record: impl FnMut(&Name, u64, Reason, bool),
    ) {
        let Refusing { to, id, through, reason, .. } = refused;
        // Of an outbox that was given up, or of another machine's: whoever comes with that one has to hear it.
        if id.outbox != self.id {
            return;
        }
        let Some(name) = self.conversations.get_key_value(to).map(|(name, _)| name.clone()) else { return };
        let Some(conversation) = self.conversations.get_mut(&name) else { return };
        if reason == Reason::Behind {
            conversation.put_back_all(id.number, through);
            return self.refuse_written(&name, record);
        }
        let letters = conversation.take_refused(&refused);
        if letters.is_empty() {
            return self.hear_again(&name, id, through);
        }
        (self.letters, self.bytes) = (self.letters - letters.len(), self.bytes - sum(&letters));
        for refusal in letters {
            record(&name, refusal.id.number, refusal.reason, refusal.may_have_arrived);
            conversation.refusals.push_back(refusal);
        }
        self.refuse_written(&name, record);
    }

    /// Refuses letters that were written before their conversation was known to be refused, a number of them at a time; they
    /// are given to `record` as in [`Outbox::handle_refused`].
    pub(in crate::client) fn refuse_written(
        &mut self,
        to: &Name,
        mut record: impl FnMut(&Name, u64, Reason, bool),
    ) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        let letters = conversation.take_written(self.id);
        (self.letters, self.bytes) = (self.letters - letters.len(), self.bytes - sum(&letters));
        for refusal in letters {
            record(to, refusal.id.number, refusal.reason, refusal.may_have_arrived);
            conversation.refusals.push_back(refusal);
        }
    }

    /// A refusal is durable: it may be told, and what was behind it goes on.
    pub(in crate::client) fn refusal_recorded(&mut self, to: &Name, id: LetterId) -> Option<Refusal> {
        if id.outbox != self.id {
            return self.ended_before(to, id);
        }
        let number = id.number;
        let conversation = self.conversations.get_mut(to)?;
        let place = conversation.refusals.iter().position(|refusal| refusal.id.number == number)?;
        let refusal = conversation.refusals.remove(place)?;
        if refusal.is_owed {
            self.owe_heard(to.clone(), refusal.id);
        }
        Some(refusal)
    }

    /// Refusals are told again that were written down before.
    fn hear_again(&mut self, to: &Name, id: LetterId, through: u64) {
        let conversation = &self.conversations[to];
        let (last, pending) = (conversation.reach.last, &conversation.refusals);
        let known = |number: &u64| !pending.iter().any(|refusal| refusal.id.number == *number);
        let numbers = (id.number..=through.min(last)).take(HEARD_MAX);
        for number in numbers.filter(known).collect::<Vec<_>>() {
            self.owe_heard(to.clone(), LetterId { number, ..id });
        }
    }

    fn owe_heard(&mut self, to: Name, id: LetterId) {
        if self.heard.len() < HEARD_MAX {
            self.heard.push_back((to, id));
        }
    }
}

fn sum(letters: &[Refusal]) -> usize {
    letters.iter().map(|refusal| refusal.body.len()).sum()
}

impl Conversation {
    /// Letters were refused as behind another: they go again. What was said of the whole conversation is out of date.
    fn put_back_all(&mut self, first: u64, through: u64) {
        let from = self.letters.partition_point(|letter| letter.number < first);
        let to =
            self.letters.partition_point(|letter| letter.number <= through).min(from + REFUSED_THERE_MAX);
        (from..to).for_each(|place| self.put_back(place));
        self.verdict = self.verdict.filter(|verdict| !verdict.reason.is_of_conversation());
    }

    /// Takes out the letters of this refusal that the relay can have read.
    fn take_refused(&mut self, refused: &Refusing<'_>) -> Vec<Refusal> {
        let Refusing { id, through, reason, .. } = *refused;
        let from = self.letters.partition_point(|letter| letter.number < id.number);
        let to =
            self.letters.partition_point(|letter| letter.number <= through).min(from + REFUSED_THERE_MAX);
        let taken = self.letters.take(from..to, OutLetter::was_tried);
        let fresh: Vec<&OutLetter> = taken.iter().filter(|letter| letter.sent).collect();
        if !fresh.is_empty() {
            self.sent_letters -= fresh.len();
            self.sent_bytes -= fresh.iter().map(|letter| letter.cost()).sum::<usize>();
            self.narrow(reason, through, fresh.iter().map(|letter| letter.body.len()).min());
        }
        // Such a letter cannot have been taken by any earlier session either; of one that was accepted the relay knows. But one
        // that grew too old, or was damaged, may have been handed over by a process of the relay that ended before it could
        // answer.
        let never = matches!(reason, Reason::Unknown | Reason::TooLong);
        let is_late = matches!(reason, Reason::Expired | Reason::Damaged);
        let ended = |letter: OutLetter| {
            let accepted = letter.accepted || letter.number <= self.held.accepted;
            let in_doubt = letter.unanswered_before && (!accepted || is_late) && !never;
            // A relay that refuses what it has read owes nothing. Where it had accepted a letter that we do not know of, it
            // says so again in the next session, and hears then.
            let is_owed = accepted || !(never || reason.is_of_conversation());
            let may_have_arrived = refused.may_have_arrived || in_doubt;
            let nearest = refused.nearest.clone();
            Refusal { may_have_arrived, nearest, is_owed, ..letter.refused(id.outbox, reason) }
        };
        taken.into_iter().map(ended).collect()
    }

    /// Less is sent after a refusal, and nothing of what was written by now where the next letter would meet the same.
    fn narrow(&mut self, reason: Reason, refused: u64, shortest: Option<usize>) {
        let is_of_next = reason.is_of_conversation() || reason == Reason::Full;
        self.window = if is_of_next { 1 } else { (self.window / 2).max(1) };
        let len_min = shortest.filter(|_| reason == Reason::Full).unwrap_or(0);
        let verdict = Verdict { refused, written: self.reach.last, reason, len_min };
        self.verdict = is_of_next.then_some(verdict);
    }

    /// Takes out letters that were written before the verdict and have not been sent. They end in order: those behind one that
    /// is on its way end after it.
    fn take_written(&mut self, outbox: OutboxId) -> Vec<Refusal> {
        let Some(Verdict { refused, written, reason, len_min }) = self.verdict else { return Vec::new() };
        if self.refusals.len() > REFUSED_HERE_MAX / 2 {
            return Vec::new();
        }
        let from = self.letters.partition_point(|letter| letter.number <= refused);
        let ends = |letter: &&OutLetter| {
            let is_new = letter.recorded && !letter.was_tried() && letter.number <= written;
            is_new && letter.body.len() >= len_min
        };
        let most = REFUSED_HERE_MAX - self.refusals.len();
        let many = self.letters.range(from..).take(most).take_while(ends).count();
        let taken = self.letters.take(from..from + many, |_| true);
        let waits = many == most || self.letters.get(from).is_some_and(|letter| letter.sent);
        self.verdict = self.verdict.filter(|_| waits);
        taken.into_iter().map(|letter| letter.refused(outbox, reason)).collect()
    }
}

impl OutLetter {
    /// Whether a relay may have read it.
    const fn was_tried(&self) -> bool {
        self.sent || self.accepted || self.unanswered_before
    }

    pub(super) fn refused(self, outbox: OutboxId, reason: Reason) -> Refusal {
        let id = LetterId { outbox, number: self.number };
        let (request, body, nearest) = (self.request, self.body, Vec::new());
        Refusal { request, id, reason, may_have_arrived: false, nearest, body, is_owed: false }
    }
}
