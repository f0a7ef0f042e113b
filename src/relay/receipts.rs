//! Receipts and refusals for senders.

use crate::base::{LetterId, Mark, Name, Now, OutboxId, Tick, Wall};
use crate::wire::frame::StreamId;
use crate::wire::message::{Letter, NEAREST_MAX, Nearest, Reason, Receipt, Refused, ToClient};

use super::flows::{FlowId, Marks, Numbers, To};
use super::letters::{ECHO, Place, ReadClaim};
use super::limits::{
    CLAIMS_MAX, LOOKUP_INTERVAL, LOOKUPS_BURST, REFUSALS_MAX, SUGGESTION_INTERVAL, SUGGESTIONS_BURST,
    UNREAD_MAX,
};
use super::mailbox::Wait;
use super::members::MemberId;
use super::queue::{Author, Through};
use super::records::{self, Record};
use super::sessions::{RefusedLetter, Slot};
use super::unwritten::Kept;
use super::{Out, Relay};

impl Relay {
    /// Handles a recipient's report that it has stored every letter of an outbox up to `through`.
    /// Returns whether that is news.
    pub(super) fn handle_stored(
        &mut self,
        now: Tick,
        slot: Slot,
        from: &str,
        outbox: OutboxId,
        through: Through,
        out: &mut Out,
    ) -> bool {
        let Some(author) = self.author_again(slot, from, outbox) else { return false };
        let Some(member) = self.sessions.member(slot) else { return false };
        let before = self.stats.letters_stored;
        let is_news = self.store_through(now, member, author, outbox, through, out);
        let stored = self.stats.letters_stored - before;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.unread = session.unread.saturating_add(stored).min(UNREAD_MAX);
        }
        is_news
    }

    /// Records that a recipient has every letter of a sender's outbox up to `through` that it has
    /// not refused. Returns whether that is news.
    pub(super) fn store_through(
        &mut self,
        now: Tick,
        member: MemberId,
        author: Author,
        outbox: OutboxId,
        through: Through,
        out: &mut Out,
    ) -> bool {
        let flow = FlowId { outbox, to: To::Member(member) };
        let through = match author {
            Author::Member(author) if !self.places[author.0].flows.leaving.is_empty() => {
                self.places[author.0].flows.leaving.store(flow, through)
            }
            _ => through,
        };
        let queue = &mut self.places[member.0].queue;
        let parcels = &mut self.post.parcels;
        let Some(stored) = queue.stored(author, outbox, through, parcels) else { return false };
        self.count_queue(member);
        let Author::Member(author) = author else {
            self.write_gone(stored.places, out);
            return true;
        };
        self.stats.letters_stored += stored.count;
        if through.at_full_second {
            self.tell_at_full_second(now, author, flow, stored, out);
        } else {
            self.places[author.0].flows.delivered(flow, stored.number);
            self.tell_marks(author, flow, stored.places, out);
        }
        true
    }

    /// As [`Relay::author`], but tries the sender of the last letter stored in this session first.
    pub(super) fn author_again(&mut self, slot: Slot, name: &str, outbox: OutboxId) -> Option<Author> {
        let last = self.sessions.get_mut(slot).and_then(|session| session.stored_of);
        if let Some(again) = last.filter(|last| self.members.is(*last, name)) {
            return Some(Author::Member(again));
        }
        let author = self.author(name, outbox);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.stored_of = if let Some(Author::Member(member)) = author { Some(member) } else { None };
        }
        author
    }

    /// Handles a read mark for an outbox's letters up to `through`.
    ///
    /// Returns whether it is exempt from the rate. It is if it is news of sent letters, and the
    /// session has sent fewer such marks than it has stored letters.
    pub(super) fn handle_read(
        &mut self,
        now: Tick,
        slot: Slot,
        from: &str,
        outbox: OutboxId,
        through: u64,
        out: &mut Out,
    ) -> bool {
        let Some(Author::Member(author)) = self.author(from, outbox) else { return false };
        let Some(reader) = self.sessions.member(slot) else { return false };
        let flow = FlowId { outbox, to: To::Member(reader) };
        let Some(before) = self.places[author.0].flows.read(flow, through) else {
            self.keep_claim(now, author, reader, outbox, through, out);
            return false;
        };
        self.tell_marks(author, flow, Vec::new(), out);
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let is_news = before.read < through && through <= before.delivered && session.unread > 0;
        session.unread -= u64::from(is_news);
        is_news
    }

    /// Keeps a read mark for letters that this relay does not know, because it was killed since. It
    /// is reported when their sender next asks or writes.
    fn keep_claim(
        &mut self,
        now: Tick,
        author: MemberId,
        reader: MemberId,
        outbox: OutboxId,
        through: u64,
        out: &mut Out,
    ) {
        let claims = &mut self.places[reader.0].claims;
        if claims.len() >= CLAIMS_MAX && !claims.contains_key(&(author, outbox)) {
            return;
        }
        if claims.get(&(author, outbox)).map_or(0, |claim| claim.through) >= through {
            return;
        }
        let since = self.post.clock.now(now);
        claims.insert((author, outbox), ReadClaim { through, since });
        self.watch_flows(now);
        self.note_used(author, out);
        self.note_used(reader, out);
        self.write_flow(author, FlowId { outbox, to: To::Member(reader) }, Vec::new(), out);
    }

    /// Removes delivered letters from the disk, and writes the marks of their flow.
    pub(super) fn write_delivered(&mut self, author: Author, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        match author {
            Author::Member(author) => self.write_marks(author, flow, stored, out),
            // The record that removes them is pending, or will be written again.
            Author::Echo | Author::Guest(_) => {}
        }
    }

    /// Writes the marks of a flow, or the read mark of an unknown one, and removes letters from the
    /// disk.
    pub(super) fn write_flow(&mut self, author: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        let To::Member(reader) = flow.to else { return };
        let claim = self.places[reader.0].claims.get(&(author, flow.outbox)).copied();
        let claim = claim.filter(|_| self.places[author.0].flows.marks(flow).is_none());
        let Some(ReadClaim { through, since }) = claim else {
            return self.write_marks(author, flow, stored, out);
        };
        let marks = Marks { read: through, ..Marks::default() };
        self.write_progress(author, flow, Some((marks, since)), stored, out);
    }

    /// Applies the recipient's earlier read mark to a flow that is known now.
    pub(super) fn settle_claim(&mut self, author: MemberId, flow: FlowId) {
        let Some(claims) = flow.to.member().map(|to| &self.places[to.0].claims) else { return };
        if claims.is_empty() {
            return;
        }
        let Some(through) = claims.get(&(author, flow.outbox)).map(|claim| claim.through) else { return };
        if self.places[author.0].flows.read(flow, through).is_some()
            && let Some(reader) = flow.to.member()
        {
            self.places[reader.0].claims.remove(&(author, flow.outbox));
        }
    }

    /// Reports marks to the sender if it is online. Writes them if it is not, or if letters leave
    /// the disk.
    fn tell_marks(&mut self, author: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        let session = self.places[author.0].session;
        if let Some(slot) = session {
            self.sessions.mark(slot);
        }
        if session.is_none() || !stored.is_empty() {
            self.write_marks(author, flow, stored, out);
        }
    }

    /// Writes the flow's row. A read mark kept before the flow was known is merged into it.
    pub(super) fn write_marks(&mut self, author: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        self.settle_claim(author, flow);
        let marks = self.places[author.0].flows.take_unwritten(flow);
        self.write_progress(author, flow, marks, stored, out);
    }

    fn write_progress(
        &mut self,
        author: MemberId,
        flow: FlowId,
        marks: Option<(Marks, u64)>,
        stored: Vec<u64>,
        out: &mut Out,
    ) {
        if marks.is_some() {
            self.idle_flows.leaving.remove(&(author, flow));
        }
        let marks = marks.zip(flow.to.member()).map(|((marks, since), to)| records::Marks {
            from: self.members.name(author).clone(),
            outbox: flow.outbox,
            to: self.members.name(to).clone(),
            accepted: marks.accepted,
            delivered: marks.delivered,
            read: marks.read,
            since,
            mark: marks.mark,
            at_full_second: self.places[author.0].flows.is_held_back(flow),
        });
        if marks.is_some() || !stored.is_empty() {
            let places = stored.iter().map(|place| Some(*place));
            let keys = marks.iter().map(|_| None).chain(places);
            let keys = keys.map(|place| Kept::Flow(Some((author, flow)), place)).collect();
            let held_back = marks.as_ref().filter(|marks| marks.at_full_second);
            let wait = match held_back {
                Some(marks) => Wait::HeldBack(keys, (author, flow, marks.accepted)),
                None => Wait::Kept(keys),
            };
            self.persist(wait, Record::Progress { marks, stored }, out);
        }
    }

    /// Handles a sender's query for the marks of a flow.
    pub(super) fn handle_ask(&mut self, slot: Slot, to: &str, outbox: OutboxId) {
        let removed = || self.members.find_ever(to).map(To::Member);
        let known = self.recipient(to).or_else(removed).map(|to| FlowId { outbox, to });
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let claimed = |flow: &FlowId| {
            flow.to.member().is_some_and(|to| self.places[to.0].claims.contains_key(&(member, flow.outbox)))
        };
        let is_claimed = known.as_ref().is_some_and(claimed);
        let flows = &mut self.places[member.0].flows;
        // A query alone creates no flow: there is nothing to report. A waiting flow is answered
        // like one with an unknown name.
        let known = known.filter(|flow| !flows.waits(*flow));
        match known.filter(|flow| flows.marks(*flow).is_some() || is_claimed && flows.open(*flow)) {
            Some(flow) => {
                flows.asked(flow);
                self.settle_claim(member, flow);
            }
            None if session.owed_len() < REFUSALS_MAX => {
                let until = Wall(0);
                let taken = Wall(0);
                let mark = Mark::default();
                let none = Receipt { to, outbox, accepted: 0, delivered: 0, read: 0, until, taken, mark };
                session.say(&ToClient::Receipt(none));
            }
            None => {}
        }
        self.sessions.mark(slot);
    }

    /// Handles a sender's acknowledgement of a refusal. Returns whether that is news.
    pub(super) fn handle_heard(&mut self, slot: Slot, to: &str, id: LetterId, out: &mut Out) -> bool {
        let Some(member) = self.sessions.member(slot) else { return false };
        let Some(found) = self.members.find_ever(to) else { return false };
        let flow = FlowId { outbox: id.outbox, to: To::Member(found) };
        let Some(refusal) = self.places[member.0].flows.heard(flow, id.number) else { return false };
        self.write_heard(member, flow, id.number, refusal, out);
        true
    }

    /// Sends queued messages, then refusals of accepted letters, then receipts, one for each flow.
    ///
    /// A receipt never overtakes a refusal, because it would also cover the refused letter.
    pub(super) fn pay_debts(&mut self, now: Now, slot: Slot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.say_refusals();
        while let Some(message) = session.owed.front() {
            if session.peer.send(StreamId::Control, &[message]).is_err() {
                return;
            }
            session.owed.pop_front();
        }
        let Some(member) = session.member() else { return };
        let flows = &mut self.places[member.0].flows;
        let members = &self.members;
        let guests = self.guests.as_ref();
        let name_of = |flow: FlowId| match flow.to {
            To::Echo => ECHO,
            To::Member(member) => members.name(member).as_str(),
            To::Guest(guest) => guests.and_then(|guests| guests.name(guest)).map_or("", |name| name.as_str()),
        };
        while let Some((flow, numbers, (reason, may_have_arrived))) = flows.next_untold() {
            let to = name_of(flow);
            let id = LetterId { outbox: flow.outbox, number: numbers.first };
            let through = numbers.last;
            let nearest = Nearest::default();
            let reason = reason.known_to(session.features);
            let refused = Refused { to, id, through, reason, may_have_arrived, nearest };
            self.outgoing.clear();
            ToClient::Refused(refused).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.told(numbers);
        }
        let clock = self.post.clock.now(now.tick);
        let keep = self.limits.keep.as_millis() as u64;
        while let Some((flow, marks, taken)) = flows.next_receipt() {
            let until = flow.to.member().map_or(Wall(0), |_| until(now.wall, clock, keep, &marks));
            let Marks { accepted, delivered, read, mark, .. } = marks;
            let to = name_of(flow);
            let outbox = flow.outbox;
            let receipt = Receipt { to, outbox, accepted, delivered, read, until, taken, mark };
            self.outgoing.clear();
            ToClient::Receipt(receipt).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.paid();
        }
    }

    /// Refuses a letter to an unknown recipient, or to one that was unknown at the sender's last
    /// lookup (`is_known`).
    ///
    /// Similar names are searched only while both the sender and all members together have the
    /// budget for it. Without them the refusal is equally fast.
    pub(super) fn refuse_unknown(
        &mut self,
        now: Tick,
        slot: Slot,
        author: MemberId,
        letter: &Letter<'_>,
        is_known: bool,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Place { lookups, flows, .. } = &mut self.places[author.0];
        let looked = !is_known && lookups.ready(now, LOOKUP_INTERVAL, LOOKUPS_BURST).is_ok();
        let mut nearest: Vec<Name> = Vec::new();
        if looked {
            lookups.spend(now, LOOKUP_INTERVAL);
            if self.suggestions.ready(now, SUGGESTION_INTERVAL, SUGGESTIONS_BURST).is_ok() {
                self.suggestions.spend(now, SUGGESTION_INTERVAL);
                let found = self.members.nearest(letter.to, flows.correspondents(), NEAREST_MAX);
                self.stats.names_looked_at += found.looked_at as u64;
                nearest = found.nearest;
            }
        }
        let Letter { to, id, prev, .. } = *letter;
        flows.refused_unknown(id.outbox, to, Numbers::one(id.number), looked.then_some(now));
        session.refuse(RefusedLetter { prev, nearest, ..RefusedLetter::of(to, id, Reason::Unknown) });
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }

    /// Refuses a letter, at once or after it was taken. A sender that is offline sends it again.
    pub(super) fn refuse_taken(&mut self, author: MemberId, flow: FlowId, refusal: RefusedLetter<'_>) {
        let place = &mut self.places[author.0];
        place.flows.refused(flow, refusal.id.number, refusal.reason);
        match place.session {
            Some(slot) => self.say_or_keep(slot, author, flow, refusal),
            None => self.stats.letters_refused += 1,
        }
    }

    /// Reports a refusal, unless the flow's answers wait: then the letter is sent again later.
    fn say_or_keep(&mut self, slot: Slot, author: MemberId, flow: FlowId, refusal: RefusedLetter<'_>) {
        self.stats.letters_refused += 1;
        let flows = &mut self.places[author.0].flows;
        // A letter that may have arrived was answered by its recipient.
        if !refusal.may_have_arrived && flows.is_waiting(flow.outbox, refusal.to) {
            return flows.refused_waiting(flow.outbox, refusal.to, refusal.id.number);
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.refuse(refusal);
            self.sessions.mark(slot);
        }
    }
}

/// Returns the time at which the last accepted letter expires, for display; 0 if it does not wait.
fn until(now: Wall, clock: u64, keep: u64, marks: &Marks) -> Wall {
    if marks.accepted <= marks.delivered {
        return Wall(0);
    }
    let left = marks.since.saturating_add(keep).saturating_sub(clock);
    Wall(now.0.saturating_add(left))
}
