//! The way of a letter: from its sender's chat stream into its recipient's queue, from there to the recipient's
//! session, and the answer back.

use crate::base::{LetterId, Name, Now, OutboxId, Tick, Wall};
use crate::wire::frame::StreamId;
use crate::wire::letter::{decode_text, encode_text};
use crate::wire::limits::LETTER_BODY_MAX;
use crate::wire::message::{
    Delivery, KIND_TEXT, Letter, NEAREST_MAX, Nearest, Reason, Receipt, Refused, ToClient, ToRelay,
};

use super::flows::{FlowId, Turn};
use super::limits::{Bucket, LOOKUP_INTERVAL, LOOKUPS_BURST, REFUSALS_MAX};
use super::members::MemberId;
use super::queue::{Author, Entry, Queue};
use super::sessions::Slot;
use super::{Out, Relay};

/// The relay's own name for those who want to test a connection.
const ECHO: &str = "echo";

/// What the relay has for one member.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Where the member is signed in.
    pub(super) session: Option<Slot>,
    queue: Queue,
    /// The last letter `echo` wrote to the member.
    echo_number: u64,
    /// Its share of letters and of names looked for, whichever session it comes by.
    letters: Bucket,
    lookups: Bucket,
}

impl Relay {
    /// Reads letters for as long as this member may send more.
    pub(super) fn read_chat(&mut self, now: Now, slot: Slot, out: &mut Out) {
        let mut incoming = std::mem::take(&mut self.incoming);
        while let Some(author) = self.next_letter(now.tick, slot, &mut incoming) {
            match ToRelay::decode(&incoming) {
                Ok(Some(ToRelay::Letter(letter))) => self.route(now, slot, author, &letter),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    self.break_off(now.tick, slot, "bad chat message", out);
                    break;
                }
            }
        }
        self.incoming = incoming;
    }

    fn next_letter(&mut self, now: Tick, slot: Slot, incoming: &mut Vec<u8>) -> Option<MemberId> {
        let limits = &self.limits;
        let session = self.sessions.get_mut(slot)?;
        let author = session.member()?;
        session.throttled_until = None;
        if session.owed.len() >= REFUSALS_MAX {
            return None;
        }
        let (share, interval) = (&mut self.places[author.0].letters, limits.letter_interval());
        if limits.per_sender
            && let Err(until) = share.ready(now, interval, limits.letters_burst)
        {
            session.throttled_until = Some(until);
            return None;
        }
        if !session.peer.receive(StreamId::Chat, incoming) {
            return None;
        }
        share.spend(now, interval);
        Some(author)
    }

    fn route(&mut self, now: Now, slot: Slot, author: MemberId, letter: &Letter<'_>) {
        let to = match self.members.find(letter.to) {
            _ if letter.to == ECHO => None,
            Some(member) => Some(member),
            None => return self.refuse_unknown(now.tick, slot, author, letter),
        };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let flow = FlowId { outbox: letter.id.outbox, to };
        let refusal = match session.flows.turn_of(flow, letter.to, letter.id.number, letter.prev) {
            Turn::Repeated => return self.sessions.mark(slot),
            // Said at once: as behind, a row of letters would come back one letter a round trip.
            Turn::Behind if to.is_some_and(|to| self.present(to).is_none()) => Some(Reason::Offline),
            Turn::Behind => Some(Reason::Behind),
            Turn::Crowded => Some(Reason::Full),
            Turn::Next if letter.body.len() > LETTER_BODY_MAX => Some(Reason::TooLong),
            Turn::Next => match to {
                None => self.echo(now, slot, author, letter),
                Some(to) => self.enqueue(now, author, to, letter),
            },
        };
        match refusal {
            Some(reason) => self.refuse(slot, flow, letter.to, letter.id, (reason, false)),
            None => {
                self.stats.letters_taken += 1;
                if let Some(session) = self.sessions.get_mut(slot) {
                    session.flows.took(flow, letter.id.number);
                }
                if to.is_none() {
                    self.pay_echo(slot, letter.id);
                }
            }
        }
    }

    fn enqueue(&mut self, now: Now, author: MemberId, to: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        let Some(recipient) = self.present(to) else { return Some(Reason::Offline) };
        let entry = Entry {
            author: Author::Member(author),
            id: letter.id,
            prev: letter.prev,
            kind: letter.kind,
            accepted: now.wall,
            body: letter.body.into(),
        };
        if self.places[to.0].queue.push(entry, &self.limits).is_err() {
            return Some(Reason::Full);
        }
        self.sessions.mark(recipient);
        None
    }

    /// The session where a member takes letters now.
    fn present(&self, member: MemberId) -> Option<Slot> {
        self.places[member.0].session.filter(|slot| self.sessions.get(*slot).is_some_and(|s| !s.lost))
    }

    /// Answers a letter to `echo` with its text, ASCII letters in upper case.
    fn echo(&mut self, now: Now, slot: Slot, author: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        if letter.kind != KIND_TEXT {
            return None;
        }
        let Ok((text, _)) = decode_text(letter.body) else { return None };
        let place = &mut self.places[author.0];
        let number = place.echo_number + 1;
        let entry = Entry {
            author: Author::Echo,
            id: LetterId { outbox: self.echo_outbox, number },
            prev: place.echo_number,
            kind: KIND_TEXT,
            accepted: now.wall,
            body: encode_text(&text.to_ascii_uppercase(), now.wall).into_boxed_slice(),
        };
        if place.queue.push(entry, &self.limits).is_err() {
            return Some(Reason::Full);
        }
        place.echo_number = number;
        self.sessions.mark(slot);
        None
    }

    fn pay_echo(&mut self, slot: Slot, id: LetterId) {
        self.stats.letters_stored += 1;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.flows.delivered(None, id);
        }
    }

    /// Moves letters from the member's queue into its session, as many as it has room for.
    pub(super) fn hand_over(&mut self, now: Tick, slot: Slot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let queue = &mut self.places[member.0].queue;
        while let Some(entry) = queue.next_waiting() {
            let from = match entry.author {
                Author::Member(author) => self.members.name(author).as_str(),
                Author::Echo => ECHO,
            };
            let Entry { id, prev, kind, accepted, ref body, .. } = *entry;
            self.outgoing.clear();
            Delivery { from, id, prev, accepted, kind, body }.encode_head(&mut self.outgoing);
            if session.peer.send(StreamId::Chat, &[&self.outgoing, body]).is_err() {
                break;
            }
            queue.mark_handed();
            session.handed_since.get_or_insert(now);
        }
    }

    /// A recipient has every letter of that outbox up to `through`.
    pub(super) fn handle_stored(
        &mut self,
        now: Tick,
        slot: Slot,
        from: &str,
        outbox: OutboxId,
        through: u64,
    ) {
        let author = match self.members.find(from) {
            _ if from == ECHO => Author::Echo,
            Some(member) => Author::Member(member),
            None => return,
        };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(member) = session.member() else { return };
        let queue = &mut self.places[member.0].queue;
        let Some((count, number)) = queue.stored(author, outbox, through) else { return };
        session.handed_since = queue.awaits_recipient().then_some(now);
        let Author::Member(author) = author else { return };
        self.stats.letters_stored += count;
        let Some(sender) = self.places[author.0].session else { return };
        if let Some(session) = self.sessions.get_mut(sender) {
            session.flows.delivered(Some(member), LetterId { outbox, number });
            self.sessions.mark(sender);
        }
    }

    /// Tells a sender how far its letters have come, in as few messages as it has conversations.
    pub(super) fn pay_receipts(&mut self, slot: Slot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        while let Some((flow, delivered)) = session.flows.next_receipt() {
            let to = flow.to.map_or(ECHO, |member| self.members.name(member).as_str());
            let receipt =
                Receipt { to, outbox: flow.outbox, accepted: delivered, delivered, read: 0, until: Wall(0) };
            self.outgoing.clear();
            ToClient::Receipt(receipt).encode(&mut self.outgoing);
            if session.peer.send(StreamId::Control, &[&self.outgoing]).is_err() {
                break;
            }
            session.flows.paid();
        }
    }

    /// The member is gone, or another session of its took over: every letter in its queue goes back to its sender.
    /// One that was handed over may have arrived. One that was not is asked for again if there is a new session.
    pub(super) fn give_back(&mut self, member: MemberId, replaced: bool) {
        let name = self.members.name(member).clone();
        if let Some(session) = self.places[member.0].session.and_then(|slot| self.sessions.get_mut(slot)) {
            session.handed_since = None;
        }
        for (entry, handed) in self.places[member.0].queue.drain() {
            let Author::Member(author) = entry.author else { continue };
            let Some(sender) = self.places[author.0].session else { continue };
            let reason = if replaced && !handed { Reason::Behind } else { Reason::Offline };
            let flow = FlowId { outbox: entry.id.outbox, to: Some(member) };
            self.refuse(sender, flow, name.as_str(), entry.id, (reason, handed));
        }
    }

    fn refuse_unknown(&mut self, now: Tick, slot: Slot, author: MemberId, letter: &Letter<'_>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let mut names: Vec<Name> = Vec::new();
        let lookups = &mut self.places[author.0].lookups;
        if lookups.ready(now, LOOKUP_INTERVAL, LOOKUPS_BURST).is_ok() {
            lookups.spend(now, LOOKUP_INTERVAL);
            names = self.members.nearest(letter.to, NEAREST_MAX);
        }
        let mut nearest = Nearest::default();
        for (slot, name) in nearest.0.iter_mut().zip(&names) {
            *slot = Some(name.as_str());
        }
        let (to, id) = (letter.to, letter.id);
        session.flows.refused_unknown(id.outbox, to, id.number);
        let refused = Refused { to, id, reason: Reason::Unknown, may_have_arrived: false, nearest };
        session.say(&ToClient::Refused(refused));
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }

    fn refuse(&mut self, slot: Slot, flow: FlowId, to: &str, id: LetterId, why: (Reason, bool)) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let (reason, may_have_arrived) = why;
        session.flows.refused(flow, id.number);
        let refused = Refused { to, id, reason, may_have_arrived, nearest: Nearest::default() };
        session.say(&ToClient::Refused(refused));
        self.stats.letters_refused += 1;
        self.sessions.mark(slot);
    }
}
