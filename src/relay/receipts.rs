//! What senders are told: how far their letters have come, and which were refused.

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
    /// A recipient has every letter of that outbox up to `through`; whether that is news.
    pub(super) fn handle_stored(
        &mut self,
        now: Tick,
        slot: Slot,
        (from, outbox): (&str, OutboxId),
        through: Through,
        out: &mut Out,
    ) -> bool {
        let Some(author) = self.author_again(slot, from, outbox) else { return false };
        let Some(member) = self.sessions.member(slot) else { return false };
        let before = self.stats.letters_stored;
        let is_news = self.store_through(now, member, (author, outbox), through, out);
        let stored = self.stats.letters_stored - before;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.unread = session.unread.saturating_add(stored).min(UNREAD_MAX);
        }
        is_news
    }

    /// A recipient has every letter of that author's outbox up to `through` that it has not
    /// refused; whether that is news.
    pub(super) fn store_through(
        &mut self,
        now: Tick,
        member: MemberId,
        (author, outbox): (Author, OutboxId),
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
        let (queue, parcels) = (&mut self.places[member.0].queue, &mut self.post.parcels);
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

    /// As [`Relay::author`], whose letters this session stored last being looked at first.
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

    /// A reader has seen every letter of that outbox up to `through`. Returns whether that is news
    /// of letters it was handed, and its session has said no more of that yet than it has stored
    /// letters: a reader pays for every other word.
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
            self.keep_claim(now, (author, reader), outbox, through, out);
            return false;
        };
        self.tell_marks(author, flow, Vec::new(), out);
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let is_news = before.read < through && through <= before.delivered && session.unread > 0;
        session.unread -= u64::from(is_news);
        is_news
    }

    /// A reader has read letters of which this relay knows nothing: they passed before it was killed. It is told when
    /// their author next asks or writes.
    fn keep_claim(
        &mut self,
        now: Tick,
        (author, reader): (MemberId, MemberId),
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

    /// Letters that their recipient has are on the disk yet: they leave it, with how far those of
    /// their conversation have come.
    pub(super) fn write_delivered(&mut self, author: Author, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        match author {
            Author::Member(author) => self.write_marks(author, flow, stored, out),
            // The record that says so is on its way, or will be written again.
            Author::Echo | Author::Guest(_) => {}
        }
    }

    /// Writes down what is known of a flow, or what its reader claims of one that is not known, and
    /// that letters of it are gone.
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

    /// The flow is known now: what its reader has claimed to have read belongs to it.
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

    /// The author is told if it is there; if it is not, or letters leave the disk, the watermarks are written down.
    fn tell_marks(&mut self, author: MemberId, flow: FlowId, stored: Vec<u64>, out: &mut Out) {
        let session = self.places[author.0].session;
        if let Some(slot) = session {
            self.sessions.mark(slot);
        }
        if session.is_none() || !stored.is_empty() {
            self.write_marks(author, flow, stored, out);
        }
    }

    /// What the disk has of the flow is replaced: a claim that was kept before the flow was known goes into it.
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

    /// A sender asks how far its letters have come.
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
        // A question alone makes no flow: there is nothing to answer. Of a conversation that waits
        // no more is said than of one with an unknown name.
        let known = known.filter(|flow| !flows.waits(*flow));
        match known.filter(|flow| flows.marks(*flow).is_some() || is_claimed && flows.open(*flow)) {
            Some(flow) => {
                flows.asked(flow);
                self.settle_claim(member, flow);
            }
            None if session.owed_len() < REFUSALS_MAX => {
                let (until, taken, mark) = (Wall(0), Wall(0), Mark::default());
                let none = Receipt { to, outbox, accepted: 0, delivered: 0, read: 0, until, taken, mark };
                session.say(&ToClient::Receipt(none));
            }
            None => {}
        }
        self.sessions.mark(slot);
    }

    /// A sender knows that an accepted letter was refused; whether that is news.
    pub(super) fn handle_heard(&mut self, slot: Slot, to: &str, id: LetterId, out: &mut Out) -> bool {
        let Some(member) = self.sessions.member(slot) else { return false };
        let Some(found) = self.members.find_ever(to) else { return false };
        let flow = FlowId { outbox: id.outbox, to: To::Member(found) };
        let Some(refusal) = self.places[member.0].flows.heard(flow, id.number) else { return false };
        self.write_heard(member, flow, id.number, refusal, out);
        true
    }

    /// Says what found no room before; then tells a sender which letters it thought safe were refused, and how far the others
    /// have come, in as few messages as it has conversations. A receipt never passes a refusal: it would stand for the
    /// refused letter as well.
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
        let (flows, members) = (&mut self.places[member.0].flows, &self.members);
        let guests = self.guests.as_ref();
        let name_of = |flow: FlowId| match flow.to {
            To::Echo => ECHO,
            To::Member(member) => members.name(member).as_str(),
            To::Guest(guest) => guests.and_then(|guests| guests.name(guest)).map_or("", |name| name.as_str()),
        };
        while let Some((flow, numbers, (reason, may_have_arrived))) = flows.next_untold() {
            let (to, id) = (name_of(flow), LetterId { outbox: flow.outbox, number: numbers.first });
            let (through, nearest) = (numbers.last, Nearest::default());
            let reason = reason.known_to(session.features);
            let refused = Refused { to, id, through, reason, may_have_arrived, nearest };
            self.outgoing.clear();
            ToClient::Refused(refused).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.told(numbers);
        }
        let (clock, keep) = (self.post.clock.now(now.tick), self.limits.keep.as_millis() as u64);
        while let Some((flow, marks, taken)) = flows.next_receipt() {
            let until = flow.to.member().map_or(Wall(0), |_| until(now.wall, clock, keep, &marks));
            let Marks { accepted, delivered, read, mark, .. } = marks;
            let (to, outbox) = (name_of(flow), flow.outbox);
            let receipt = Receipt { to, outbox, accepted, delivered, read, until, taken, mark };
            self.outgoing.clear();
            ToClient::Receipt(receipt).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                return;
            }
            flows.paid();
        }
    }

    /// Refuses a letter to an unknown recipient, or to one that was when its author was last
    /// answered (`is_known`). Names like it are looked for only while both the author and all
    /// members together have the budget for it; without them the refusal is as soon.
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

    /// A letter was refused, at once or after it had been taken. An author who is away sends it again.
    pub(super) fn refuse_taken(&mut self, author: MemberId, flow: FlowId, refusal: RefusedLetter<'_>) {
        let place = &mut self.places[author.0];
        place.flows.refused(flow, refusal.id.number, refusal.reason);
        match place.session {
            Some(slot) => self.say_or_keep(slot, author, flow, refusal),
            None => self.stats.letters_refused += 1,
        }
    }

    /// Says that a letter is refused, unless nothing is said of its conversation for now: then it
    /// goes again later.
    fn say_or_keep(&mut self, slot: Slot, author: MemberId, flow: FlowId, refusal: RefusedLetter<'_>) {
        self.stats.letters_refused += 1;
        let flows = &mut self.places[author.0].flows;
        // What may have arrived was answered by its recipient.
        if !refusal.may_have_arrived && flows.is_waiting(flow.outbox, refusal.to) {
            return flows.refused_waiting(flow.outbox, refusal.to, refusal.id.number);
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.refuse(refusal);
            self.sessions.mark(slot);
        }
    }
}

/// When the last accepted letter leaves its mailbox, for people; nothing if it does not wait in one.
fn until(now: Wall, clock: u64, keep: u64, marks: &Marks) -> Wall {
    if marks.accepted <= marks.delivered {
        return Wall(0);
    }
    let left = marks.since.saturating_add(keep).saturating_sub(clock);
    Wall(now.0.saturating_add(left))
}
