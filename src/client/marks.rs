//! The marks of one relay's outbox: how the relay knows this copy of it from an older one.
//!
//! A client counts up when it begins and before each sign-in. Letters are numbered under the last
//! mark, and both become durable together; a sign-in says a mark that is durable. So two copies of
//! one outbox never number letters under one mark that either has signed in with, and each sign-in
//! leaves a trace that only its own copy knows: the mark and a random token. See
//! [`crate::wire::message::OutboxMark`].
//!
//! An older copy may lack a refusal, and would take the receipt of a later letter for one of the
//! refused letter as well. So a session sends a higher mark when refusals are durable, before it
//! lets the relay forget them or sends a letter behind them.
//!
//! A mark that the disk did not take is tried again after [`RETRY_AFTER`]; until then there is no
//! sign-in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Effect, HostPort, Mark, OutboxId, Tick, Ticket};
use crate::wire::message::{EARLIER_MAX, Earlier, Said};

use super::api::Record;
use super::uplink::{Out, Shared};

/// A full disk is tried again so soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// No sign-in is wanted.
    None,
    /// It is being written down.
    Asked(Ticket, Said),
    /// It may be said.
    Ready(Said),
    /// The disk did not take it.
    Refused(Tick),
}

#[derive(Debug)]
pub(super) struct Marks {
    mark: Mark,
    /// What the last sign-ins said, at most [`EARLIER_MAX`].
    said: VecDeque<Said>,
    next: Next,
    /// Refusals that became durable since the client began.
    refusals: u64,
    /// How many of them were durable before the mark of `next` was asked for.
    covers: u64,
    /// The mark that the relay has not confirmed, and the refusals before it.
    unconfirmed: Option<(Mark, u64)>,
    /// Refusals known to each copy that the relay does not call old.
    confirmed: u64,
}

impl Marks {
    /// Begins with an outbox of which the disk has this.
    pub(super) fn new(mark: Mark, said: impl IntoIterator<Item = Said>) -> Marks {
        Marks {
            mark: Mark(mark.0.saturating_add(1)),
            said: said.into_iter().collect(),
            next: Next::None,
            refusals: 0,
            covers: 0,
            unconfirmed: None,
            confirmed: 0,
        }
    }

    /// What letters are numbered under now.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether there are no higher marks: another outbox is needed.
    pub(super) const fn are_used_up(&self) -> bool {
        self.mark.0 == u32::MAX
    }

    /// Whether the disk has refused the next mark.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.next, Next::Refused(_))
    }

    /// Has the next mark written down, unless there is one.
    pub(super) fn prepare(
        &mut self,
        (relay, outbox): (&HostPort, OutboxId),
        now: Tick,
        shared: &mut Shared,
        out: &mut Out,
    ) {
        match self.next {
            Next::None => {}
            Next::Refused(retry_at) if retry_at <= now => {}
            _ => return,
        }
        let said = Said { mark: Mark(self.mark.0.saturating_add(1)), token: shared.rng.next_u32() };
        self.covers = self.refusals;
        if !shared.journal.keeps() {
            return self.become_ready(said);
        }
        let ticket = shared.counter.other_ticket();
        self.next = Next::Asked(ticket, said);
        let record = Record::SigningIn { relay: relay.clone(), outbox, said };
        out.effects.push(Effect::Persist(ticket, record));
    }

    fn become_ready(&mut self, said: Said) {
        self.mark = self.mark.max(said.mark);
        self.next = Next::Ready(said);
    }

    /// Whether it waits for this ticket.
    pub(super) fn awaits(&self, ticket: Ticket) -> bool {
        matches!(self.next, Next::Asked(asked, _) if asked == ticket)
    }

    /// The mark that was asked for is durable, or could not become so.
    pub(super) fn handle_committed(&mut self, now: Tick, durable: bool) {
        let Next::Asked(_, said) = self.next else { return };
        match durable {
            true => self.become_ready(said),
            false => self.next = Next::Refused(now + RETRY_AFTER),
        }
    }

    /// What the next sign-in says, and those before it, encoded; `None` if it is not durable yet.
    pub(super) fn take(&mut self) -> Option<(Said, Vec<u8>)> {
        let Next::Ready(said) = self.next else { return None };
        self.next = Next::None;
        let mut earlier = Vec::new();
        self.said.iter().for_each(|said| Earlier::put(&mut earlier, *said));
        self.said.push_back(said);
        if self.said.len() > EARLIER_MAX {
            self.said.pop_front();
        }
        self.unconfirmed = Some((said.mark, self.covers));
        Some((said, earlier))
    }

    // Refusals.

    /// A refusal is durable. Returns the number under which it waits for [`Marks::is_confirmed`].
    pub(super) const fn refused(&mut self) -> u64 {
        self.refusals += 1;
        self.refusals
    }

    /// How many refusals have become durable.
    pub(super) const fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Whether the relay would know a copy that does not have this refusal.
    pub(super) const fn is_confirmed(&self, refusal: u64) -> bool {
        refusal <= self.confirmed
    }

    /// Whether the session needs another mark, which the caller prepares.
    pub(super) fn want_another(&mut self) -> bool {
        let wants = self.unconfirmed.is_none() && self.confirmed < self.refusals;
        if wants && matches!(self.next, Next::Ready(_)) && self.covers <= self.confirmed {
            // A copy may have it that does not have the refusals.
            self.next = Next::None;
        }
        wants
    }

    /// The mark that the session sends next.
    pub(super) fn next_of_session(&self) -> Option<Said> {
        let wants = self.unconfirmed.is_none() && self.confirmed < self.covers;
        if let Next::Ready(said) = self.next { Some(said).filter(|_| wants) } else { None }
    }

    /// The relay has a mark of this session on its disk.
    pub(super) fn confirm(&mut self, mark: Mark) {
        if let Some((_, covers)) = self.unconfirmed.take_if(|(said, _)| *said <= mark) {
            self.confirmed = self.confirmed.max(covers);
        }
    }

    /// The relay has the mark of the sign-in on its disk.
    pub(super) fn confirm_sign_in(&mut self) {
        if let Some((mark, _)) = self.unconfirmed {
            self.confirm(mark);
        }
    }

    /// The mark that it has sent need not have arrived.
    pub(super) const fn session_lost(&mut self) {
        self.unconfirmed = None;
    }

    /// There are no other copies: nothing is signed in with it, or it is in memory only.
    pub(super) const fn confirm_all(&mut self) {
        self.confirmed = u64::MAX;
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if let Next::Refused(retry_at) = self.next { Some(retry_at) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(mark: u32) -> Said {
        Said { mark: Mark(mark), token: mark }
    }

    fn signed_in() -> Marks {
        let mut marks = Marks::new(Mark(0), []);
        marks.become_ready(said(2));
        assert!(marks.take().is_some());
        marks.confirm_sign_in();
        marks
    }

    /// [`Marks::prepare`] with a disk that takes the mark at once.
    fn prepared(marks: &mut Marks, mark: u32) {
        assert_eq!(marks.next, Next::None);
        marks.covers = marks.refusals;
        marks.become_ready(said(mark));
    }

    #[test]
    fn refusal_counts_once_the_relay_has_a_mark_asked_for_after_it() {
        let mut marks = signed_in();
        assert!(marks.is_confirmed(0) && !marks.want_another());
        let first = marks.refused();
        assert!(!marks.is_confirmed(first) && marks.want_another());
        prepared(&mut marks, 3);
        let second = marks.refused();
        assert_eq!(marks.next_of_session(), Some(said(3)));
        assert!(marks.take().is_some() && !marks.want_another(), "one at a time");
        marks.confirm(Mark(2));
        assert!(!marks.is_confirmed(first), "that was the sign-in's");
        marks.confirm(Mark(3));
        assert!(marks.is_confirmed(first) && !marks.is_confirmed(second));
        assert!(marks.want_another());
    }

    /// A copy made in between has the mark, and not the refusal.
    #[test]
    fn mark_asked_for_before_a_refusal_is_not_said_for_it() {
        let mut marks = signed_in();
        prepared(&mut marks, 3);
        let refusal = marks.refused();
        assert_eq!(marks.next_of_session(), None);
        assert!(marks.want_another());
        prepared(&mut marks, 4);
        assert!(marks.take().is_some());
        marks.session_lost();
        marks.confirm(Mark(4));
        assert!(!marks.is_confirmed(refusal) && marks.want_another(), "it may not have arrived");
    }
}
