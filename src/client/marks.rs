//! The marks of one relay's outbox: how the relay knows this copy of it from an older one.
//!
//! A client counts up when it begins and before each sign-in. Letters are numbered under the last
//! mark, and both become durable together; a sign-in says a mark that is durable. So two copies of
//! one outbox never number letters under one mark that either has signed in with, and each sign-in
//! leaves a trace that only its own copy knows: the mark and a random token. See
//! [`crate::wire::message::OutboxMark`].
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
}

impl Marks {
    /// Begins with an outbox of which the disk has this.
    pub(super) fn new(mark: Mark, said: impl IntoIterator<Item = Said>) -> Marks {
        Marks { mark: Mark(mark.0.saturating_add(1)), said: said.into_iter().collect(), next: Next::None }
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
        Some((said, earlier))
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if let Next::Refused(retry_at) = self.next { Some(retry_at) } else { None }
    }
}
