//! Marks of one relay's outbox, by which the relay distinguishes this copy of the outbox from an
//! older one.
//!
//! A client increments the mark at start and before each sign-in. Letters are numbered under the
//! last mark, and both become durable together. A sign-in carries a durable mark and a random
//! token. So two copies of an outbox never number letters under the same mark of a sign-in, and
//! each sign-in leaves a trace known only to its own copy. See
//! [`crate::wire::message::OutboxMark`].
//!
//! An older copy may lack a refusal. It would take the receipt of a later letter for one of the
//! refused letter. So when refusals become durable, the session sends a higher mark before it lets
//! the relay forget them or sends a letter behind them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Effect, HostPort, Mark, OutboxId, Tick, Ticket};
use crate::wire::message::{EARLIER_MARKS_MAX, EarlierMarks, MarkToken};

use super::api::Record;
use super::relay_connection::{ClientContext, Out};

/// Pause before a mark that the disk refused is tried again. There is no sign-in until then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextMark {
    /// No sign-in is pending.
    None,
    /// Its record is pending.
    Pending(Ticket, MarkToken),
    /// It is durable and may be sent.
    Ready(MarkToken),
    /// The disk refused it; retried at this time.
    Refused(Tick),
}

/// The marks of one outbox.
#[derive(Debug)]
pub(super) struct Marks {
    mark: Mark,
    /// Contents of the last sign-ins, at most [`EARLIER_MARKS_MAX`].
    sign_ins: VecDeque<MarkToken>,
    next: NextMark,
    /// Refusals that became durable since the start.
    refusals: u64,
    /// The value of `refusals` when the mark of `next` was requested.
    covers: u64,
    /// The mark sent and not confirmed by the relay, with its `covers`.
    unconfirmed: Option<(Mark, u64)>,
    /// Refusals known to each copy that the relay does not consider old.
    confirmed: u64,
}

impl Marks {
    /// Restores the marks of an outbox from the stored state.
    pub(super) fn new(mark: Mark, sign_in: impl IntoIterator<Item = MarkToken>) -> Marks {
        Marks {
            mark: Mark(mark.0.saturating_add(1)),
            sign_ins: sign_in.into_iter().collect(),
            next: NextMark::None,
            refusals: 0,
            covers: 0,
            unconfirmed: None,
            confirmed: 0,
        }
    }

    /// Returns the mark for new letters.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether no higher mark exists, so that another outbox is needed.
    pub(super) const fn are_used_up(&self) -> bool {
        self.mark.0 == u32::MAX
    }

    /// Whether the disk has refused the next mark.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.next, NextMark::Refused(_))
    }

    /// Requests the next mark, unless one is pending or ready.
    pub(super) fn prepare(
        &mut self,
        relay: &HostPort,
        outbox: OutboxId,
        now: Tick,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        match self.next {
            NextMark::None => {}
            NextMark::Refused(retry_at) if retry_at <= now => {}
            _ => return,
        }
        let sign_in = MarkToken { mark: Mark(self.mark.0.saturating_add(1)), token: ctx.rng.next_u32() };
        self.covers = self.refusals;
        if !ctx.commit_queue.keeps() {
            return self.become_ready(sign_in);
        }
        let ticket = ctx.counter.next_ticket();
        self.next = NextMark::Pending(ticket, sign_in);
        let record = Record::SigningIn { relay: relay.clone(), outbox, sign_in };
        out.effects.push(Effect::Persist(ticket, record));
    }

    /// Makes a durable mark available for the next sign-in.
    fn become_ready(&mut self, sign_in: MarkToken) {
        self.mark = self.mark.max(sign_in.mark);
        self.next = NextMark::Ready(sign_in);
    }

    /// Whether the record with this ticket is a mark's.
    pub(super) fn is_waiting_for(&self, ticket: Ticket) -> bool {
        matches!(self.next, NextMark::Pending(asked, _) if asked == ticket)
    }

    /// Handles the commit of a mark, or its failure.
    pub(super) fn handle_committed(&mut self, now: Tick, durable: bool) {
        let NextMark::Pending(_, sign_in) = self.next else { return };
        match durable {
            true => self.become_ready(sign_in),
            false => self.next = NextMark::Refused(now + RETRY_AFTER),
        }
    }

    /// Takes the contents of the next sign-in, with the encoded earlier ones. `None` if not durable
    /// yet.
    pub(super) fn take(&mut self) -> Option<(MarkToken, Vec<u8>)> {
        let NextMark::Ready(sign_in) = self.next else { return None };
        self.next = NextMark::None;
        let mut earlier = Vec::new();
        self.sign_ins.iter().for_each(|sign_in| EarlierMarks::put(&mut earlier, *sign_in));
        self.sign_ins.push_back(sign_in);
        if self.sign_ins.len() > EARLIER_MARKS_MAX {
            self.sign_ins.pop_front();
        }
        self.unconfirmed = Some((sign_in.mark, self.covers));
        Some((sign_in, earlier))
    }

    // Refusals.

    /// Counts a durable refusal. Returns its number for [`Marks::is_confirmed`].
    pub(super) const fn record_refusal(&mut self) -> u64 {
        self.refusals += 1;
        self.refusals
    }

    /// Returns the count of durable refusals.
    pub(super) const fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Whether the relay would detect a copy that lacks this refusal.
    pub(super) const fn is_confirmed(&self, refusal: u64) -> bool {
        refusal <= self.confirmed
    }

    /// Whether the session needs another mark. The caller then calls [`Marks::prepare`].
    pub(super) fn want_another(&mut self) -> bool {
        let wants = self.unconfirmed.is_none() && self.confirmed < self.refusals;
        if wants && matches!(self.next, NextMark::Ready(_)) && self.covers <= self.confirmed {
            // A copy that lacks the refusals may have this mark.
            self.next = NextMark::None;
        }
        wants
    }

    /// Returns the mark that the session must send next.
    pub(super) fn next_of_session(&self) -> Option<MarkToken> {
        let wants = self.unconfirmed.is_none() && self.confirmed < self.covers;
        if let NextMark::Ready(sign_in) = self.next { Some(sign_in).filter(|_| wants) } else { None }
    }

    /// Handles the relay's confirmation of a durable mark.
    pub(super) fn confirm(&mut self, mark: Mark) {
        if let Some((_, covers)) = self.unconfirmed.take_if(|(sign_in, _)| *sign_in <= mark) {
            self.confirmed = self.confirmed.max(covers);
        }
    }

    /// Handles the relay's confirmation of the sign-in's mark.
    pub(super) fn confirm_sign_in(&mut self) {
        if let Some((mark, _)) = self.unconfirmed {
            self.confirm(mark);
        }
    }

    /// Drops the unconfirmed mark, which may not have arrived.
    pub(super) const fn handle_session_lost(&mut self) {
        self.unconfirmed = None;
    }

    /// Confirms all refusals: no other copy exists, as nothing is signed in or stored.
    pub(super) const fn confirm_all(&mut self) {
        self.confirmed = u64::MAX;
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if let NextMark::Refused(retry_at) = self.next { Some(retry_at) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in(mark: u32) -> MarkToken {
        MarkToken { mark: Mark(mark), token: mark }
    }

    fn signed_in() -> Marks {
        let mut marks = Marks::new(Mark(0), []);
        marks.become_ready(sign_in(2));
        assert!(marks.take().is_some());
        marks.confirm_sign_in();
        marks
    }

    /// [`Marks::prepare`] with a disk that takes the mark at once.
    fn prepared(marks: &mut Marks, mark: u32) {
        assert_eq!(marks.next, NextMark::None);
        marks.covers = marks.refusals;
        marks.become_ready(sign_in(mark));
    }

    #[test]
    fn refusal_is_confirmed_by_mark_requested_after_it() {
        let mut marks = signed_in();
        assert!(marks.is_confirmed(0) && !marks.want_another());
        let first = marks.record_refusal();
        assert!(!marks.is_confirmed(first) && marks.want_another());
        prepared(&mut marks, 3);
        let second = marks.record_refusal();
        assert_eq!(marks.next_of_session(), Some(sign_in(3)));
        assert!(marks.take().is_some() && !marks.want_another(), "one at a time");
        marks.confirm(Mark(2));
        assert!(!marks.is_confirmed(first), "that mark was the sign-in's");
        marks.confirm(Mark(3));
        assert!(marks.is_confirmed(first) && !marks.is_confirmed(second));
        assert!(marks.want_another());
    }

    /// A copy made in between has the mark, and not the refusal.
    #[test]
    fn mark_requested_before_refusal_does_not_confirm_it() {
        let mut marks = signed_in();
        prepared(&mut marks, 3);
        let refusal = marks.record_refusal();
        assert_eq!(marks.next_of_session(), None);
        assert!(marks.want_another());
        prepared(&mut marks, 4);
        assert!(marks.take().is_some());
        marks.handle_session_lost();
        marks.confirm(Mark(4));
        assert!(!marks.is_confirmed(refusal) && marks.want_another(), "it may not have arrived");
    }
}
